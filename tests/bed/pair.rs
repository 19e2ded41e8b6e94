//! Two hosts on an impaired wire in virtual time, and transfers between them.
//!
//! Each host is polled until nothing happens at this instant; then time goes to the earliest deadline of a stack or of
//! a device. So an hour of virtual time costs what happens in it.

use super::pattern;
use std::time::Duration;
use wirestack::device::{Impair, ImpairConfig, Wire, WireEnd, WireOptions};
use wirestack::event::{Event, EventFilter, TcpHappening};
use wirestack::ip::InterfaceConfig;
use wirestack::link::{Busy, Capabilities, Device, Medium, TxError, TxFrame};
use wirestack::posix::{Domain, MsgFlags, Shutdown, Type};
use wirestack::socket::SocketOption;
use wirestack::{Config, Errno, IfaceId, Instant, Profile, SocketId, Stack};

/// What every host of the bed hangs on.
pub type Link = Impair<WireEnd>;

/// MTU 1500, bare IP, nothing done by the device.
pub const PLAIN: Capabilities = Capabilities { medium: Medium::Ip, ..Capabilities::ETHERNET };

/// Two ends of a wire; what is sent suffers `impair` (its `out.` part or both), with a seed of its own on each side.
pub fn links(impair: &str, seed: u64, capabilities: Capabilities) -> [Link; 2] {
    let options = WireOptions { capabilities, queue: 1 << 17, ..WireOptions::PLAIN };
    let config: ImpairConfig = impair.parse().unwrap();
    let mut n = 0;
    Wire::pair(options).map(|end| {
        n += 1;
        let config = ImpairConfig { incoming: Default::default(), seed: seed * 2 + n, ..config };
        Impair::new(end, config)
    })
}

/// What one side of a transfer has to do: to write `send` octets and finish, and to read `recv` octets and an end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Task {
    pub send: u64,
    pub recv: u64,
    sent: u64,
    received: u64,
    finished: bool,
    /// When the end of the peer's stream was read.
    pub end_at: Option<Instant>,
}

impl Task {
    pub fn new(send: u64, recv: u64) -> Self {
        Self { send, recv, ..Self::default() }
    }

    pub fn is_done(&self) -> bool {
        self.finished && self.end_at.is_some()
    }

    /// The next piece to write.
    pub fn piece(&self, buf: &mut [u8; 16_384]) -> usize {
        let n = (self.send - self.sent).min(buf.len() as u64) as usize;
        for (i, b) in buf[..n].iter_mut().enumerate() {
            *b = pattern(self.sent + i as u64);
        }
        n
    }

    pub fn wrote(&mut self, n: usize) {
        self.sent += n as u64;
    }

    pub fn all_written(&self) -> bool {
        self.sent == self.send
    }

    /// May it close? One that only reads closes after the end of what it reads.
    pub fn may_finish(&self) -> bool {
        self.all_written() && (self.send > 0 || self.end_at.is_some())
    }

    pub fn finish(&mut self) -> bool {
        !std::mem::replace(&mut self.finished, true)
    }

    pub fn has_finished(&self) -> bool {
        self.finished
    }

    pub fn read(&mut self, bytes: &[u8]) {
        for (i, &b) in bytes.iter().enumerate() {
            let at = self.received + i as u64;
            assert_eq!(b, pattern(at), "octet {at} of the stream is wrong");
        }
        self.received += bytes.len() as u64;
        assert!(self.received <= self.recv, "more octets than were sent");
    }

    pub fn read_end(&mut self, now: Instant) {
        assert_eq!(self.received, self.recv, "the stream ended early");
        self.end_at.get_or_insert(now);
    }
}

/// A host in virtual time.
pub trait Host {
    /// Does what there is to do now; true if it did anything.
    fn poll(&mut self, now: Instant) -> bool;
    /// When there is something to do again.
    fn next(&mut self) -> Option<Instant>;
    fn task(&self) -> &Task;
    /// The peer connects to this one.
    fn listen(&mut self, now: Instant);
    fn connect(&mut self, now: Instant);
    /// What it has to do.
    fn assign(&mut self, task: Task);
    fn describe(&self) -> String;
}

/// A wirestack host: its address is 10.0.0.1 for side 0 and 10.0.0.2 for side 1.
pub struct Ours {
    pub stack: Stack,
    pub dev: Link,
    pub iface: IfaceId,
    pub socket: Option<SocketId>,
    pub listener: Option<SocketId>,
    pub side: u8,
    pub options: Vec<SocketOption>,
    /// Events of TCP, if the filter asked for them.
    pub events: Vec<(Instant, TcpHappening)>,
    task: Task,
    polls: u64,
    buf: Box<[u8; 16_384]>,
}

pub const PORT: u16 = 7;

impl Ours {
    pub fn new(
        side: u8,
        dev: Link,
        profile: Profile,
        events: EventFilter,
        options: Vec<SocketOption>,
    ) -> Self {
        let now = Instant::from_secs(1);
        let config = Config { secret: [u64::from(side), 77], profile, events, ..Config::default() };
        let mut stack = Stack::new(now, config);
        let iface = stack.add_interface(
            now,
            InterfaceConfig {
                name: "bed0".into(),
                mac: [2, 0, 0, 0, 0, side],
                capabilities: dev.capabilities(),
                addresses: vec![format!("10.0.0.{}/24", side + 1).parse().unwrap()],
                detect_duplicates: false,
            },
        );
        Self {
            stack,
            dev,
            iface,
            socket: None,
            listener: None,
            side,
            options,
            events: Vec::new(),
            task: Task::default(),
            polls: 0,
            buf: Box::new([0; 16_384]),
        }
    }

    fn open(&mut self, now: Instant) -> SocketId {
        let id = self.stack.socket(Domain::Inet, Type::Stream, 0).unwrap();
        for &o in &self.options {
            self.stack.set_option(now, id, o).unwrap();
        }
        id
    }

    fn application(&mut self, now: Instant) -> bool {
        if self.socket.is_none()
            && let Some(l) = self.listener
            && let Ok((id, _)) = self.stack.accept(now, l)
        {
            self.socket = Some(id);
        }
        let Some(id) = self.socket else { return false };
        let mut any = false;
        while !self.task.all_written() {
            let n = self.task.piece(&mut self.buf);
            match self.stack.send(now, id, &self.buf[..n], MsgFlags::empty()) {
                Ok(n) => self.task.wrote(n),
                Err(Errno::EAGAIN) => break,
                Err(e) => panic!("send: {e}: {}", self.describe()),
            }
            any = true;
        }
        while self.task.end_at.is_none() {
            match self.stack.recv(now, id, &mut self.buf[..], MsgFlags::empty()) {
                Ok(0) => self.task.read_end(now),
                Ok(n) => self.task.read(&self.buf[..n]),
                Err(Errno::EAGAIN | Errno::ENOTCONN) => break,
                Err(e) => panic!("recv: {e}: {}", self.describe()),
            }
            any = true;
        }
        if self.task.may_finish() && !self.task.has_finished() {
            match self.stack.shutdown(now, id, Shutdown::Write) {
                Ok(()) => any |= self.task.finish(),
                Err(e) => panic!("shutdown: {e}"),
            }
        }
        any
    }

    fn transmit(&mut self, now: Instant) {
        let dev = &mut self.dev;
        let mut sink = |_: IfaceId, f: &TxFrame<'_>| match dev.transmit(now, f) {
            Ok(()) => Ok(()),
            Err(TxError::Busy) => Err(Busy),
            Err(TxError::Failed(e)) => panic!("{e}"),
        };
        self.stack.poll_transmit(now, &mut sink);
    }
}

impl Host for Ours {
    fn poll(&mut self, now: Instant) -> bool {
        // A frame that is due moves to the peer when the device is asked, and the peer must look once more.
        let mut any = self.dev.next_deadline().is_some_and(|at| at <= now);
        while let Some(r) = self.dev.receive(now).unwrap() {
            self.stack.handle_frame(now, self.iface, r.as_frame());
            any = true;
        }
        if self.stack.poll_timeout().is_some_and(|at| at <= now) {
            self.stack.handle_timeout(now);
            any = true;
        }
        any |= self.application(now);
        self.transmit(now);
        // It walks everything there is: after each entry it would cost more than the transfer.
        self.polls += 1;
        if self.polls.is_multiple_of(64) {
            self.stack.check_invariants();
        }
        while let Some(e) = self.stack.poll_event() {
            if let Event::Tcp(e) = e {
                self.events.push((e.at, e.what));
            }
        }
        any
    }

    fn next(&mut self) -> Option<Instant> {
        [self.stack.poll_timeout(), self.dev.next_deadline()].into_iter().flatten().min()
    }

    fn task(&self) -> &Task {
        &self.task
    }

    fn listen(&mut self, now: Instant) {
        let id = self.open(now);
        self.stack.bind(now, id, ([10, 0, 0, self.side + 1], PORT).into()).unwrap();
        self.stack.listen(now, id, 8).unwrap();
        self.listener = Some(id);
    }

    fn connect(&mut self, now: Instant) {
        let id = self.open(now);
        let peer = ([10, 0, 0, 2 - self.side], PORT).into();
        assert_eq!(self.stack.connect(now, id, peer), Err(Errno::EINPROGRESS));
        self.socket = Some(id);
    }

    fn assign(&mut self, task: Task) {
        self.task = task;
    }

    fn describe(&self) -> String {
        format!("side {}: {:?}\n{:?}\n{:?}", self.side, self.task, self.stack.sockets(), self.stack.stats())
    }
}

/// Runs two hosts until both tasks are done; returns the time from the connect to the end of the later stream.
/// Panics when `limit` of virtual time or a number of steps that fits it is not enough.
pub fn transfer(a: &mut dyn Host, b: &mut dyn Host, tasks: [Task; 2], limit: Duration) -> Duration {
    let start = Instant::from_secs(1);
    let mut now = start;
    a.assign(tasks[0]);
    b.assign(tasks[1]);
    b.listen(now);
    a.connect(now);
    let mut steps = 0u64;
    loop {
        let mut still = 0;
        while a.poll(now) | b.poll(now) {
            still += 1;
            assert!(still < 100_000, "no end at {now}:\n{}\n{}", a.describe(), b.describe());
        }
        if a.task().is_done() && b.task().is_done() {
            return a.task().end_at.max(b.task().end_at).unwrap().since(start);
        }
        let next = [a.next(), b.next()].into_iter().flatten().min();
        let Some(next) = next else { panic!("everybody waits:\n{}\n{}", a.describe(), b.describe()) };
        now = next.max(now);
        steps += 1;
        assert!(
            now.since(start) < limit && steps < 2_000_000,
            "not done after {:?} and {steps} steps:\n{}\n{}",
            now.since(start),
            a.describe(),
            b.describe()
        );
    }
}

/// Runs on after a transfer, for what follows it.
pub fn run(a: &mut dyn Host, b: &mut dyn Host, from: Instant, time: Duration) {
    let mut now = from;
    loop {
        while a.poll(now) | b.poll(now) {}
        match [a.next(), b.next()].into_iter().flatten().min() {
            Some(next) if next <= from + time => now = next.max(now),
            _ => return,
        }
    }
}

/// Two wirestacks under an impairment.
pub struct Pair {
    pub a: Ours,
    pub b: Ours,
}

impl Pair {
    pub fn new(impair: &str, seed: u64, events: EventFilter, options: &[SocketOption]) -> Self {
        Self::with(impair, seed, events, options, Profile::linux(), PLAIN)
    }

    pub fn with(
        impair: &str,
        seed: u64,
        events: EventFilter,
        options: &[SocketOption],
        profile: Profile,
        capabilities: Capabilities,
    ) -> Self {
        let [x, y] = links(impair, seed, capabilities);
        Self {
            a: Ours::new(0, x, profile.clone(), events, options.to_vec()),
            b: Ours::new(1, y, profile, events, options.to_vec()),
        }
    }

    /// `up` octets from a to b and `down` from b to a.
    pub fn transfer(&mut self, up: u64, down: u64, limit: Duration) -> Duration {
        transfer(&mut self.a, &mut self.b, [Task::new(up, down), Task::new(down, up)], limit)
    }
}
