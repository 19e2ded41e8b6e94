//! Target `operations`: socket calls of all kinds at two stacks on a hostile wire.
//!
//! Whatever the wire does, an application reads a prefix of what the other wrote, and the end only
//! after all of it. Once the wire is honest, everything is delivered or fails within bounded time, and
//! nothing is left when everything is closed.
//!
//! Input: look and seed (5 octets), then operations until the end.

use crate::input::Input;
use crate::lab::{Hostility, IFACE, Lab};
use crate::stream::Stream;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use wirestack::profile::CongestionAlgorithm;
use wirestack::socket::{Domain, MsgFlags, Shutdown, SocketOption, Type};
use wirestack::stack::Usage;
use wirestack::{Errno, SocketId};

/// Operations looked at in one input.
const OPERATIONS: usize = 128;
/// Octets written in one input, all streams together.
const BUDGET: usize = 800_000;

/// Runs an input.
pub fn operations(data: &[u8]) {
    run(data);
}

/// What came of an input: tests of the seeds look at it, so that a seed that no longer does anything is
/// noticed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// Connections of which both ends had a socket.
    pub connections: usize,
    /// Octets read, both directions of all.
    pub octets: usize,
    /// Directions whose reader was told the end.
    pub ends: usize,
}

/// Runs an input, and tells what came of it.
pub fn run(data: &[u8]) -> Outcome {
    let mut input = Input::new(data);
    let mut world = World::new(input.u8(), input.u32());
    for _ in 0..OPERATIONS {
        if input.is_empty() {
            break;
        }
        world.act(&mut input);
        world.lab.step();
    }
    world.make_peace();
    world.close_everything();
    world.outcome()
}

/// A connection between the ends, known by its two addresses.
#[derive(Debug)]
struct Pair {
    /// What each end writes.
    streams: [Stream; 2],
    /// Which ends had a socket for it.
    seen: [bool; 2],
    /// Whatever is read proves nothing: the addresses were used by two connections, or an end broke off.
    broken: bool,
}

/// A socket.
#[derive(Debug)]
struct App {
    end: usize,
    id: SocketId,
    ty: Type,
    pair: Option<usize>,
    read_shut: bool,
    failed: bool,
}

#[derive(Debug)]
struct World {
    lab: Lab,
    apps: Vec<App>,
    pairs: Vec<Pair>,
    by_address: HashMap<(SocketAddr, SocketAddr), usize>,
    budget: usize,
    port: u16,
    severed: bool,
}

/// An option from the input, of every kind.
pub fn option(input: &mut Input<'_>) -> SocketOption {
    use SocketOption as O;
    let seconds = |input: &mut Input<'_>| Duration::from_secs(u64::from(input.u8()));
    match input.u8() % 24 {
        0 => O::ReuseAddr(input.bool()),
        1 => O::ReusePort(input.bool()),
        2 => O::KeepAlive(input.bool()),
        3 => O::OobInline(input.bool()),
        4 => O::Linger(input.bool().then(|| seconds(input))),
        5 => O::RecvBuffer(usize::from(input.u16()) * 16),
        6 => O::SendBuffer(usize::from(input.u16()) * 16),
        7 => O::RecvLowAt(usize::from(input.u16())),
        8 => O::NoDelay(input.bool()),
        9 => O::Cork(input.bool()),
        10 => O::QuickAck(input.bool()),
        11 => O::MaxSegment(input.u16()),
        12 => O::KeepIdle(seconds(input)),
        13 => O::KeepInterval(seconds(input)),
        14 => O::KeepCount(u32::from(input.u8())),
        15 => O::SynCount(u32::from(input.u8())),
        16 => O::FinWait2(input.bool().then(|| seconds(input))),
        17 => O::UserTimeout(Duration::from_millis(u64::from(input.u16()))),
        18 => O::Congestion(if input.bool() {
            CongestionAlgorithm::NewReno
        } else {
            CongestionAlgorithm::Cubic
        }),
        19 => O::NotSentLowAt(u32::from(input.u16())),
        20 => O::WindowClamp(u32::from(input.u16())),
        21 => O::TrafficClass(input.u8()),
        22 => O::HopLimit(input.bool().then(|| input.u8())),
        _ => O::V6Only(input.bool()),
    }
}

impl World {
    fn new(look: u8, seed: u32) -> Self {
        Self {
            lab: Lab::new(look, seed),
            apps: Vec::new(),
            pairs: Vec::new(),
            by_address: HashMap::new(),
            budget: BUDGET,
            port: 5000,
            severed: false,
        }
    }

    fn act(&mut self, input: &mut Input<'_>) {
        let op = input.u8();
        match op % 20 {
            0 => self.listen(input),
            1 | 2 => self.connect(input),
            3 => self.accept(),
            4 => self.simultaneous_open(input),
            5..=7 => self.write(input),
            8..=10 => self.read(input),
            11 => self.look_around(input),
            12 => self.shutdown(input),
            13 => self.close(input),
            14 => self.set_option(input),
            15 => self.datagram(input),
            16 if op == 16 => self.sever(input),
            16 => self.change_weather(input),
            _ => {
                let time = Duration::from_micros(input.micros());
                self.lab.run(time, |_| {});
            }
        }
    }

    fn socket(&mut self, end: usize, domain: Domain, ty: Type) -> Option<usize> {
        if self.apps.len() >= 24 {
            return None;
        }
        let id = self.lab.ends[end].socket(domain, ty, 0).ok()?;
        self.apps.push(App { end, id, ty, pair: None, read_shut: false, failed: false });
        Some(self.apps.len() - 1)
    }

    fn pick(&self, input: &mut Input<'_>) -> Option<usize> {
        let n = self.apps.len();
        (n > 0).then(|| input.below(n))
    }

    fn listen(&mut self, input: &mut Input<'_>) {
        let (end, how) = (input.below(2), input.u8());
        let (domain, any): (_, IpAddr) = if how & 1 != 0 {
            (Domain::Inet, [0, 0, 0, 0].into())
        } else {
            (Domain::Inet6, [0u16; 8].into())
        };
        let Some(a) = self.socket(end, domain, Type::Stream) else { return };
        let (id, now) = (self.apps[a].id, self.lab.now);
        let stack = &mut self.lab.ends[end];
        if how & 2 != 0 {
            let _ = stack.set_option(now, id, option(input));
        }
        let _ = stack.set_option(now, id, SocketOption::ReuseAddr(true));
        let _ = stack.bind(now, id, SocketAddr::new(any, 80 + u16::from(how >> 2 & 1)));
        let _ = stack.listen(now, id, i32::from(how >> 4));
    }

    fn connect(&mut self, input: &mut Input<'_>) {
        let (end, how) = (input.below(2), input.u8());
        let (domain, to) = match how & 3 {
            0 => (Domain::Inet6, format!("[fd00::{}]:80", 2 - end)),
            1 => (Domain::Inet6, format!("[::ffff:10.0.0.{}]:80", 2 - end)),
            _ => (Domain::Inet, format!("10.0.0.{}:{}", 2 - end, 80 + (how >> 2 & 1))),
        };
        let Some(a) = self.socket(end, domain, Type::Stream) else { return };
        if how & 8 != 0 {
            let _ = self.lab.ends[end].set_option(self.lab.now, self.apps[a].id, option(input));
        }
        self.connect_to(a, to.parse().unwrap());
    }

    fn connect_to(&mut self, a: usize, to: SocketAddr) {
        let (end, id) = (self.apps[a].end, self.apps[a].id);
        if self.lab.ends[end].connect(self.lab.now, id, to) == Err(Errno::EINPROGRESS) {
            let local = self.lab.ends[end].local_addr(id).unwrap();
            self.join(a, local, to);
        }
    }

    /// The socket belongs to the connection of these addresses.
    fn join(&mut self, a: usize, local: SocketAddr, remote: SocketAddr) {
        let (local, remote) = (canonical(local), canonical(remote));
        let end = self.apps[a].end;
        let key = if end == 0 { (local, remote) } else { (remote, local) };
        let n = self.pairs.len();
        let pair = *self.by_address.entry(key).or_insert(n);
        if pair == n {
            let streams = [Stream::new(n as u8), Stream::new(100 + n as u8)];
            self.pairs.push(Pair { streams, seen: [false; 2], broken: false });
        }
        let p = &mut self.pairs[pair];
        p.broken |= p.seen[end];
        p.seen[end] = true;
        self.apps[a].pair = Some(pair);
    }

    fn accept(&mut self) {
        for a in 0..self.apps.len() {
            let (end, id, ty) = (self.apps[a].end, self.apps[a].id, self.apps[a].ty);
            if ty != Type::Stream || self.apps.len() >= 24 {
                continue;
            }
            let Ok((new, remote)) = self.lab.ends[end].accept(self.lab.now, id) else { continue };
            let local = self.lab.ends[end].local_addr(new).unwrap();
            self.apps.push(App { end, id: new, ty, pair: None, read_shut: false, failed: false });
            self.join(self.apps.len() - 1, local, remote);
        }
    }

    fn simultaneous_open(&mut self, input: &mut Input<'_>) {
        self.port += 2;
        let address = |end: usize| SocketAddr::new([10, 0, 0, end as u8 + 1].into(), self.port + end as u16);
        let addresses = [address(0), address(1)];
        for end in 0..2 {
            let Some(a) = self.socket(end, Domain::Inet, Type::Stream) else { return };
            let id = self.apps[a].id;
            if self.lab.ends[end].bind(self.lab.now, id, addresses[end]).is_ok() {
                self.connect_to(a, addresses[1 - end]);
            }
            self.lab.run(Duration::from_micros(u64::from(input.u8())), |_| {});
        }
    }

    fn write(&mut self, input: &mut Input<'_>) {
        let Some(a) = self.pick(input) else { return };
        let how = input.u8();
        let n = usize::from(input.u16()) * usize::from(1 + (how & 3));
        let n = if how & 4 != 0 { n % 64 } else { n }.min(self.budget);
        let App { end, id, pair: Some(pair), .. } = self.apps[a] else { return };
        let stream = &mut self.pairs[pair].streams[end];
        let data = stream.next(n);
        let (now, stack) = (self.lab.now, &mut self.lab.ends[end]);
        let mut flags = MsgFlags::empty();
        flags.set(MsgFlags::OOB, how & 0x18 == 0x18);
        flags.set(MsgFlags::MORE, how & 0xe0 == 0xe0);
        let sent = if how & 0xe0 == 0x20 {
            flags = MsgFlags::empty();
            stack.send_bytes(now, id, &mut data.clone().into())
        } else {
            stack.send(now, id, &data, flags)
        };
        match sent {
            Ok(k) => {
                assert!(k <= n, "{k} octets taken of {n}");
                stream.wrote(k, flags.contains(MsgFlags::OOB) && k == n);
                self.budget -= k;
            }
            Err(Errno::EAGAIN | Errno::EPIPE) => {}
            Err(_) => self.apps[a].failed = true,
        }
    }

    fn read(&mut self, input: &mut Input<'_>) {
        let Some(a) = self.pick(input) else { return };
        let how = input.u8();
        let n = if how & 1 != 0 { 1 + usize::from(input.u8()) } else { 65_536 };
        let App { end, id, pair: Some(pair), .. } = self.apps[a] else { return };
        let now = self.lab.now;
        match how >> 4 {
            0 => {
                let mut buf = [0; 4];
                let got = self.lab.ends[end].recv(now, id, &mut buf, MsgFlags::OOB);
                if got == Ok(1) && !self.pairs[pair].broken {
                    self.pairs[pair].streams[1 - end].took_urgent(buf[0]);
                }
                self.apps[a].failed |= !matches!(got, Ok(_) | Err(Errno::EAGAIN | Errno::EINVAL));
            }
            1 | 2 => {
                let mut buf = vec![0; n];
                if let Ok(k) = self.lab.ends[end].recv(now, id, &mut buf, MsgFlags::PEEK) {
                    if !self.pairs[pair].broken {
                        self.pairs[pair].streams[1 - end].peeked(&buf[..k]);
                    }
                } else {
                    // It may have taken the pending error.
                    self.apps[a].failed = true;
                }
            }
            _ => drop(self.take(a, n, how & 2 != 0)),
        }
    }

    /// Reads up to `n` octets, and holds them against what was written. True if there may be more.
    fn take(&mut self, a: usize, n: usize, chunk: bool) -> bool {
        let App { end, id, pair: Some(pair), read_shut, failed, .. } = self.apps[a] else { return false };
        let now = self.lab.now;
        let stack = &mut self.lab.ends[end];
        let got = if chunk {
            stack.recv_chunk(now, id, n).map(|c| c.to_vec())
        } else {
            let mut buf = vec![0; n];
            stack.recv(now, id, &mut buf, MsgFlags::empty()).map(|k| buf[..k].to_vec())
        };
        let Pair { streams, broken, .. } = &mut self.pairs[pair];
        let stream = &mut streams[1 - end];
        match got {
            Ok(data) if *broken => !data.is_empty(),
            Ok(data) if data.is_empty() => {
                if !read_shut && !failed {
                    stream.end();
                }
                false
            }
            Ok(data) => {
                stream.took(&data);
                true
            }
            Err(Errno::EAGAIN) => {
                assert!(!stream.ended || *broken, "EAGAIN after the end of the stream");
                false
            }
            Err(_) => {
                self.apps[a].failed = true;
                false
            }
        }
    }

    fn look_around(&mut self, input: &mut Input<'_>) {
        let Some(a) = self.pick(input) else { return };
        let App { end, id, .. } = self.apps[a];
        let stack = &mut self.lab.ends[end];
        let _ = (stack.readiness(id), stack.at_mark(id), stack.tcp_state(id), stack.lingers(id));
        let _ = (stack.local_addr(id), stack.peer_addr(id), stack.sockets());
        if input.bool() {
            self.apps[a].failed |= matches!(stack.take_error(id), Ok(Some(_)));
        }
    }

    fn shutdown(&mut self, input: &mut Input<'_>) {
        let Some(a) = self.pick(input) else { return };
        let how = [Shutdown::Read, Shutdown::Write, Shutdown::Both, Shutdown::Write][input.below(4)];
        self.shut(a, how);
    }

    fn shut(&mut self, a: usize, how: Shutdown) {
        let App { end, id, pair, .. } = self.apps[a];
        let done = self.lab.ends[end].shutdown(self.lab.now, id, how).is_ok();
        self.apps[a].read_shut |= done && how != Shutdown::Write;
        if let Some(pair) = pair
            && done
            && how != Shutdown::Read
        {
            self.pairs[pair].streams[end].finished = true;
        }
    }

    fn close(&mut self, input: &mut Input<'_>) {
        let Some(a) = self.pick(input) else { return };
        let app = self.apps.swap_remove(a);
        self.lab.ends[app.end].close(self.lab.now, app.id).unwrap();
        if let Some(pair) = app.pair {
            self.pairs[pair].streams[app.end].finished = true;
            // Its reader is gone; the other end is on its own.
            self.pairs[pair].seen[app.end] = true;
        }
    }

    fn set_option(&mut self, input: &mut Input<'_>) {
        let Some(a) = self.pick(input) else { return };
        let App { end, id, .. } = self.apps[a];
        let _ = self.lab.ends[end].set_option(self.lab.now, id, option(input));
    }

    fn datagram(&mut self, input: &mut Input<'_>) {
        let (end, len) = (input.below(2), usize::from(input.u16()) % 9000);
        let now = self.lab.now;
        let receiver = self.socket(1 - end, Domain::Inet, Type::Dgram);
        if let Some(r) = receiver {
            let addr = SocketAddr::new([0, 0, 0, 0].into(), 53);
            if self.lab.ends[1 - end].bind(now, self.apps[r].id, addr).is_err() {
                let app = self.apps.swap_remove(r);
                self.lab.ends[app.end].close(now, app.id).unwrap();
            }
        }
        let Some(s) = self.socket(end, Domain::Inet, Type::Dgram) else { return };
        let to = SocketAddr::new([10, 0, 0, 2 - end as u8].into(), 53);
        let data = vec![len as u8; len];
        let _ = self.lab.ends[end].send_to(now, self.apps[s].id, &data, MsgFlags::empty(), to);
        let app = self.apps.swap_remove(s);
        self.lab.ends[app.end].close(now, app.id).unwrap();
        self.read_datagrams();
    }

    fn read_datagrams(&mut self) {
        let mut buf = vec![0; 10_000];
        for app in self.apps.iter().filter(|a| a.ty == Type::Dgram) {
            // After SHUT_RD a socket reads as empty for ever.
            for _ in 0..64 {
                let stack = &mut self.lab.ends[app.end];
                let Ok(n) = stack.recv(self.lab.now, app.id, &mut buf, MsgFlags::empty()) else { break };
                assert!(
                    buf[..n].iter().all(|b| *b == n as u8),
                    "a datagram of {n} octets is not what was sent"
                );
            }
        }
    }

    fn sever(&mut self, input: &mut Input<'_>) {
        let end = input.below(2);
        let _ = self.lab.ends[end].remove_interface(self.lab.now, IFACE);
        self.severed = true;
    }

    fn change_weather(&mut self, input: &mut Input<'_>) {
        self.lab.hostility = Hostility {
            lose: input.u8() / 2,
            repeat: input.u8(),
            delay: input.u8(),
            longest: Duration::from_micros(input.micros().min(20_000_000)),
            damage: input.u8() / 4,
            cut: input.u8() / 4,
        };
    }

    /// The wire becomes honest, every writer finishes, every reader reads whenever it is woken.
    fn make_peace(&mut self) {
        self.lab.hostility = Hostility::default();
        self.accept();
        for a in 0..self.apps.len() {
            let App { end, id, pair, .. } = self.apps[a];
            if pair.is_some() {
                let _ = self.lab.ends[end].set_option(self.lab.now, id, SocketOption::RecvLowAt(1));
                self.shut(a, Shutdown::Write);
            }
            while self.take(a, 65_536, false) {}
        }
        self.lab.awake.clear();
        let until = self.lab.now + Duration::from_secs(900);
        self.lab.step();
        let mut turns = 0;
        loop {
            self.serve();
            if !self.lab.turn(until) {
                break;
            }
            turns += 1;
            assert!(turns < 400_000, "no peace after {turns} turns");
        }
        self.lab.now = self.lab.now.max(until);
        if !self.severed {
            self.check_delivered();
        }
    }

    /// Readers that were woken read; connections that wait are accepted.
    fn serve(&mut self) {
        while let Some((end, id)) = self.lab.awake.pop() {
            let Some(a) = self.apps.iter().position(|a| a.end == end && a.id == id) else { continue };
            let before = self.apps.len();
            self.accept();
            for new in before..self.apps.len() {
                while self.take(new, 65_536, false) {}
                self.shut(new, Shutdown::Write);
            }
            if self.apps[a].pair.is_some() {
                // A handshake that was under way is over: now the end can be sent.
                self.shut(a, Shutdown::Write);
                while self.take(a, 65_536, false) {}
            }
            self.lab.step();
        }
    }

    /// With an honest wire and readers that read, both directions of every connection that has both its
    /// ends came to their end, or an end knows better.
    fn check_delivered(&self) {
        for (i, pair) in self.pairs.iter().enumerate().filter(|(_, p)| !p.broken) {
            let ends: Vec<_> = self.apps.iter().filter(|a| a.pair == Some(i)).collect();
            if ends.len() != 2 || ends.iter().any(|a| a.failed || a.read_shut) {
                continue;
            }
            for reader in ends {
                let s = &pair.streams[1 - reader.end];
                let stack = &self.lab.ends[reader.end];
                assert!(
                    s.ended,
                    "end {} read {} of {} octets and no end in 15 minutes: {:?} and {:?}",
                    reader.end,
                    s.read,
                    s.written,
                    stack.sockets(),
                    self.lab.ends[1 - reader.end].sockets()
                );
            }
        }
    }

    fn outcome(&self) -> Outcome {
        let streams = || self.pairs.iter().flat_map(|p| &p.streams);
        Outcome {
            connections: self.pairs.iter().filter(|p| p.seen == [true; 2]).count(),
            octets: streams().map(|s| s.read).sum(),
            ends: streams().filter(|s| s.ended).count(),
        }
    }

    /// Everything is closed, time goes by: nothing may be left.
    fn close_everything(&mut self) {
        for app in self.apps.drain(..) {
            self.lab.ends[app.end].close(self.lab.now, app.id).unwrap();
        }
        let time = if self.severed { 4 * 3600 } else { 600 };
        self.lab.run(Duration::from_secs(time), |_| {});
        for stack in &self.lab.ends {
            assert_eq!(stack.usage(), Usage::default(), "left over: {:?}", stack.sockets());
        }
    }
}

fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}
