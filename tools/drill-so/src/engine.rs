//! The stack behind the table, its virtual clock, and the threads that sleep in a call.
//!
//! Time passes only by calls: `gettimeofday` by a microsecond, `usleep` by what it sleeps,
//! `netdev_receive` up to the next packet. Before time passes, every thread that sleeps in a call has
//! looked at what changed (`quiesce`): else a packet that wakes a sleeping writer would race
//! with the clock.
//!
//! A thread that sleeps really does (condition variable, futex): packetdrill waits to see it asleep.
//! When nobody calls for a while (the script waits for the call to return, and only time can end it) the
//! sleeper itself lets time pass.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::ThreadId;
use std::time::Duration;
use wirestack::ip::{Cidr, Route};
use wirestack::link::{Capabilities, Frame, Medium, TxFrame};
use wirestack::socket::{Domain, Type};
use wirestack::stack::InterfaceConfig;
use wirestack::{Config, Errno, Event, IfaceId, Instant, Limits, Profile, SocketId, Stack};
use wirestack_drill::run::sysctl;

/// Real time without any call after which a sleeper lets virtual time pass.
const STALL: Duration = Duration::from_millis(60);
/// Real time after which a call that nothing can end gives up.
const HOPELESS: u32 = 100;
/// Timer rounds at one instant: beyond it the stack spins, and time is pushed on.
const SPIN: u32 = 10_000;

/// What a token stands for.
#[derive(Clone, Debug)]
pub(crate) enum Token {
    Socket { id: SocketId, ty: Type, domain: Domain, nonblocking: bool },
    Epoll(Vec<Watch>),
}

/// What epoll watches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch {
    pub(crate) fd: i32,
    pub(crate) events: u32,
    pub(crate) data: u64,
    pub(crate) edge: bool,
    pub(crate) spent: bool,
}

#[derive(Debug)]
struct Sleeper {
    /// The generation of the stack that it has looked at.
    seen: u64,
    deadline: Option<Instant>,
}

/// Everything.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) stack: Stack,
    pub(crate) iface: IfaceId,
    pub(crate) now: Instant,
    /// Packets that left, with the moment.
    pub(crate) sent: VecDeque<(Instant, Vec<u8>)>,
    pub(crate) tokens: HashMap<i32, Token>,
    /// Calendar time of instant zero, in microseconds.
    epoch: i64,
    profile: Profile,
    local: Option<IpAddr>,
    /// Grows with everything that may let a sleeper go on.
    generation: u64,
    sleepers: HashMap<ThreadId, Sleeper>,
    /// When a thread's call returned: the next time it asks, it is told that.
    returned: HashMap<ThreadId, Instant>,
    /// Calls made: stands still when nobody calls.
    activity: u64,
    rounds: u32,
}

static ENGINE: OnceLock<Mutex<Option<Engine>>> = OnceLock::new();
static CHANGED: Condvar = Condvar::new();

fn mutex() -> &'static Mutex<Option<Engine>> {
    ENGINE.get_or_init(|| Mutex::new(None))
}

fn lock() -> MutexGuard<'static, Option<Engine>> {
    mutex().lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes the stack.
pub(crate) fn start(flags: &str) {
    let mut profile = Profile::linux();
    let (mut local, mut mtu) = (None, 1500);
    for flag in flags.split([',', ' ']).filter(|f| !f.is_empty()) {
        match flag.split_once('=') {
            Some(("local", a)) => local = a.parse().ok(),
            Some(("mtu", n)) => mtu = n.parse().unwrap_or(mtu),
            Some(("profile", "linux")) => profile = Profile::linux(),
            Some(("profile", "freebsd")) => profile = Profile::freebsd(),
            Some(("profile", "rfc")) => profile = Profile::rfc(),
            Some(("remote" | "peer", _) | ("clock", "virtual")) => {}
            _ => eprintln!("wirestack: the flag \"{flag}\" is not known"),
        }
    }
    *lock() = Some(Engine::new(profile, local, mtu));
}

/// The end of the script.
pub(crate) fn stop() {
    *lock() = None;
    CHANGED.notify_all();
}

impl Engine {
    fn new(profile: Profile, local: Option<IpAddr>, mtu: usize) -> Self {
        let now = Instant::from_secs(1000);
        let calendar = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |d| d.as_micros() as i64);
        let secret = [0x7061_636b_6574, calendar as u64];
        let config =
            Config { secret, profile: profile.clone(), limits: Limits::default(), ..Config::default() };
        let mut stack = Stack::new(now, config);
        let capabilities = Capabilities { medium: Medium::Ip, mtu, max_gso: 0, tx_checksum: false };
        let iface = stack.add_interface(
            now,
            InterfaceConfig {
                name: "tun0".into(),
                mac: [0; 6],
                capabilities,
                addresses: vec![],
                detect_duplicates: false,
            },
        );
        for any in ["0.0.0.0", "::"] {
            if let Ok(addr) = any.parse() {
                // A new interface and a new route: this cannot fail.
                let _ = stack.add_route(Route { dst: Cidr::new(addr, 0), via: None, iface, metric: 100 });
            }
        }
        let mut engine = Self {
            stack,
            iface,
            now,
            sent: VecDeque::new(),
            tokens: HashMap::new(),
            epoch: calendar - now.as_micros() as i64,
            profile,
            local,
            generation: 0,
            sleepers: HashMap::new(),
            returned: HashMap::new(),
            activity: 0,
            rounds: 0,
        };
        if let Some(addr) = local {
            engine.own(addr);
        }
        engine
    }

    /// An address of ours.
    pub(crate) fn own(&mut self, addr: IpAddr) {
        let addr = addr.to_canonical();
        let mapped = Cidr::new(addr, if addr.is_ipv4() { 24 } else { 64 });
        // It is there already, or it is none that a host can have: then packets to it are dropped.
        let _ = self.stack.add_address(self.now, self.iface, mapped);
    }

    /// A source for connections when nothing told our address yet: packetdrill's own defaults.
    pub(crate) fn own_something(&mut self, ipv4: bool) {
        let have = self
            .stack
            .interfaces()
            .any(|(id, i)| id == self.iface && i.addresses().iter().any(|a| a.cidr.addr.is_ipv4() == ipv4));
        if have {
            return;
        }
        let default = if ipv4 { "192.168.0.1" } else { "fd3d:a0b:17d6::1" };
        if let Some(addr) = self.local.filter(|a| a.is_ipv4() == ipv4).or(default.parse().ok()) {
            self.own(addr);
        }
    }

    /// The sysctls hold for what begins now.
    pub(crate) fn apply_sysctls(&mut self, values: &[(&str, String)]) {
        let mut profile = self.profile.clone();
        let mut limits = Limits::default();
        for (name, value) in values {
            // What this stack does not have stays as it is.
            let _ = sysctl::set(name, value.trim(), &mut profile, &mut limits);
        }
        self.stack.set_profile(profile);
    }

    /// Calendar time of an instant, in microseconds.
    pub(crate) fn calendar(&self, at: Instant) -> i64 {
        self.epoch + at.as_micros() as i64
    }

    /// Takes what the stack has to give; sleepers look again.
    pub(crate) fn drain(&mut self) {
        let (now, sent) = (self.now, &mut self.sent);
        self.stack.poll_transmit(now, &mut |_: IfaceId, f: &TxFrame<'_>| {
            let mut bytes = vec![0; f.len()];
            f.copy_to(&mut bytes);
            sent.push_back((now, bytes));
            Ok(())
        });
        let mut woken = Vec::new();
        while let Some(event) = self.stack.poll_event() {
            if let Event::Socket(id) = event {
                woken.push(id);
            }
        }
        if !woken.is_empty() {
            self.mark_edges(&woken);
        }
    }

    fn mark_edges(&mut self, woken: &[SocketId]) {
        let is_woken = |t: &Token| matches!(t, Token::Socket { id, .. } if woken.contains(id));
        let fds: Vec<i32> = self.tokens.iter().filter(|(_, t)| is_woken(t)).map(|(fd, _)| *fd).collect();
        for t in self.tokens.values_mut() {
            if let Token::Epoll(watches) = t {
                watches.iter_mut().filter(|w| fds.contains(&w.fd)).for_each(|w| w.edge = true);
            }
        }
    }

    /// Something changed: sleepers look again.
    pub(crate) fn changed(&mut self) {
        self.drain();
        self.generation += 1;
        CHANGED.notify_all();
    }

    /// A packet arrives.
    pub(crate) fn inject(&mut self, packet: &[u8]) {
        if let Some(dst) = destination(packet) {
            self.own(dst);
        }
        self.stack.handle_frame(self.now, self.iface, Frame::from(packet));
        self.changed();
    }

    /// Lets time pass up to the next thing that happens, at most to `until`; false once it is reached.
    fn step(&mut self, until: Instant) -> bool {
        let due = self.stack.poll_timeout().filter(|d| *d <= until);
        let Some(due) = due.filter(|_| self.rounds < SPIN) else {
            self.now = self.now.max(until);
            self.rounds = 0;
            return false;
        };
        self.rounds = if due > self.now { 0 } else { self.rounds + 1 };
        self.now = self.now.max(due);
        self.stack.handle_timeout(self.now);
        self.changed();
        true
    }

    /// The next moment at which something happens by itself.
    fn next_moment(&mut self) -> Option<Instant> {
        let now = self.now;
        let sleeper = self.sleepers.values().filter_map(|s| s.deadline).filter(|d| *d > now).min();
        [self.stack.poll_timeout(), sleeper].into_iter().flatten().min()
    }

    /// The moment to tell a thread that asks: its call's return, if it has not asked since.
    pub(crate) fn moment_for(&mut self) -> Instant {
        self.returned.remove(&std::thread::current().id()).unwrap_or(self.now)
    }
}

/// The sysctls of this network namespace, which scripts set. Read without the engine held: reading
/// closes files, and `close` may be ours (see `preload`).
pub(crate) fn read_sysctls() -> Vec<(&'static str, String)> {
    let read = |name: &&'static str| {
        let path = format!("/proc/sys/net/ipv4/{name}");
        Some((*name, std::fs::read_to_string(path).ok()?))
    };
    sysctl::NAMES.iter().filter_map(read).collect()
}

fn destination(packet: &[u8]) -> Option<IpAddr> {
    match packet.first()? >> 4 {
        4 => Some(IpAddr::from(*packet.get(16..20)?.first_chunk::<4>()?)),
        6 => Some(IpAddr::from(*packet.get(24..40)?.first_chunk::<16>()?)),
        _ => None,
    }
}

/// The engine, held.
pub(crate) type Held = MutexGuard<'static, Option<Engine>>;

/// Waits until every thread that sleeps in a call has looked at the latest change.
fn quiesce(mut held: Held) -> Held {
    loop {
        let Some(e) = held.as_ref() else { return held };
        if e.sleepers.values().all(|s| s.seen == e.generation) {
            return held;
        }
        let (h, timeout) =
            CHANGED.wait_timeout(held, Duration::from_millis(200)).unwrap_or_else(PoisonError::into_inner);
        held = h;
        if timeout.timed_out() {
            return held;
        }
    }
}

/// Runs `f` on the engine; `ENODEV` before init and after free.
pub(crate) fn with<T>(f: impl FnOnce(&mut Engine) -> Result<T, Errno>) -> Result<T, Errno> {
    let mut held = lock();
    let e = held.as_mut().ok_or(Errno::ENODEV)?;
    e.activity += 1;
    let result = f(e);
    e.changed();
    result
}

/// Runs `f` on the engine if it is there, and changes nothing.
pub(crate) fn look<T>(f: impl FnOnce(&mut Engine) -> T) -> Option<T> {
    lock().as_mut().map(f)
}

/// Lets `micros` pass.
pub(crate) fn pass(micros: u64) {
    let mut held = quiesce(lock());
    let Some(until) = held.as_mut().map(|e| {
        e.activity += 1;
        e.now + Duration::from_micros(micros)
    }) else {
        return;
    };
    while held.as_mut().is_some_and(|e| e.step(until)) {
        held = quiesce(held);
    }
    if let Some(e) = held.as_mut() {
        e.changed();
    }
}

/// The next packet that leaves; time passes up to it. `None` if nothing will ever leave by itself.
pub(crate) fn next_packet() -> Option<(i64, Vec<u8>)> {
    let mut held = lock();
    loop {
        held = quiesce(held);
        let e = held.as_mut()?;
        e.activity += 1;
        if let Some((at, bytes)) = e.sent.pop_front() {
            return Some((e.calendar(at), bytes));
        }
        let next = e.next_moment()?;
        e.step(next);
        e.changed();
    }
}

/// Makes a call until it does not say `EAGAIN` any more, or `deadline` has passed. `may_block` is asked
/// once.
pub(crate) fn blocking<T>(
    may_block: impl FnOnce(&Engine) -> bool,
    deadline: impl FnOnce(&Engine) -> Option<Instant>,
    mut f: impl FnMut(&mut Engine) -> Result<T, Errno>,
) -> Result<T, Errno> {
    let me = std::thread::current().id();
    let mut held = lock();
    let e = held.as_mut().ok_or(Errno::ENODEV)?;
    e.activity += 1;
    let (may_block, deadline) = (may_block(e), deadline(e));
    let (mut seen_activity, mut stalled) = (e.activity, 0);
    loop {
        let Some(e) = held.as_mut() else { return Err(Errno::EBADF) };
        let result = f(e);
        let would_block = matches!(result, Err(Errno::EAGAIN));
        if !would_block || !may_block || deadline.is_some_and(|d| e.now >= d) || stalled > HOPELESS {
            if e.sleepers.remove(&me).is_some() {
                e.returned.insert(me, e.now);
            }
            e.changed();
            return result;
        }
        e.drain();
        e.sleepers.insert(me, Sleeper { seen: e.generation, deadline });
        CHANGED.notify_all();
        let (h, timeout) = CHANGED.wait_timeout(held, STALL).unwrap_or_else(PoisonError::into_inner);
        held = h;
        let Some(e) = held.as_mut() else { return Err(Errno::EBADF) };
        if timeout.timed_out() && e.activity == seen_activity {
            // Nobody calls: only time can end this.
            stalled += 1;
            if let Some(next) = e.next_moment() {
                e.step(next);
                e.changed();
            }
        } else {
            stalled = 0;
        }
        seen_activity = e.activity;
    }
}
