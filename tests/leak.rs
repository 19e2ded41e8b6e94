//! Connections that come and go leave nothing: ten thousand of them, in virtual time, and the
//! socket tables and the memory are where they were.

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use wirestack::buf::Chunk;
use wirestack::ip::Cidr;
use wirestack::link::{Busy, Capabilities, Frame, RxOffload, TxFrame};
use wirestack::socket::{Domain, MsgFlags, Type};
use wirestack::stack::InterfaceConfig;
use wirestack::{Config, Errno, IfaceId, Instant, SocketId, Stack};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Octets allocated now.
fn live() -> usize {
    let s = ALLOCATOR.stats();
    s.bytes_allocated - s.bytes_deallocated
}

const CONNECTIONS: usize = 10_000;
const NONE: MsgFlags = MsgFlags::empty();

/// Two stacks on a wire without delay. 0 is the client, 1 the server.
struct Pair {
    now: Instant,
    stacks: [Stack; 2],
    iface: [IfaceId; 2],
}

const fn addr(number: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, number))
}

impl Pair {
    fn new() -> Self {
        let now = Instant::from_secs(1);
        let mut iface = [IfaceId::LOOPBACK; 2];
        let stacks = [0, 1].map(|i| {
            let number = i as u8 + 1;
            let mut stack = Stack::new(now, Config { secret: [number.into(), 1], ..Config::default() });
            let config = InterfaceConfig {
                name: "wire0".into(),
                mac: [2, 0, 0, 0, 0, number],
                capabilities: Capabilities::ETHERNET,
                addresses: vec![Cidr::new(addr(number), 24)],
                detect_duplicates: false,
            };
            iface[i] = stack.add_interface(now, config);
            stack
        });
        Self { now, stacks, iface }
    }

    /// Carries frames until both are silent.
    fn carry(&mut self) {
        for _ in 0..1000 {
            let mut silent = true;
            for from in [0, 1] {
                let mut sent: Vec<Chunk> = Vec::new();
                self.stacks[from].poll_transmit(self.now, &mut |_: IfaceId, frame: &TxFrame<'_>| {
                    sent.push(frame.to_chunk());
                    Ok::<(), Busy>(())
                });
                silent &= sent.is_empty();
                for frame in &sent {
                    let frame = Frame::shared(frame, RxOffload::default());
                    self.stacks[1 - from].handle_frame(self.now, self.iface[1 - from], frame);
                }
            }
            self.stacks.iter_mut().for_each(|s| while s.poll_event().is_some() {});
            if silent {
                return;
            }
        }
        panic!("the wire does not fall silent");
    }

    /// Lets time pass, with every timer at its time.
    fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(next) = self.stacks.iter_mut().filter_map(Stack::poll_timeout).min()
            && next <= end
        {
            self.now = self.now.max(next);
            let now = self.now;
            self.stacks.iter_mut().for_each(|s| s.handle_timeout(now));
            self.carry();
        }
        self.now = end;
    }

    fn listen(&mut self) -> SocketId {
        let (now, server) = (self.now, &mut self.stacks[1]);
        let listener = server.socket(Domain::Inet, Type::Stream, 0).unwrap();
        server.bind(now, listener, SocketAddr::new(addr(2), 80)).unwrap();
        server.listen(now, listener, 16).unwrap();
        listener
    }

    /// A connection with a request and an answer. Side `first` closes first.
    fn one_connection(&mut self, listener: SocketId, first: usize) {
        let now = self.now;
        let socket = self.stacks[0].socket(Domain::Inet, Type::Stream, 0).unwrap();
        let connected = self.stacks[0].connect(now, socket, SocketAddr::new(addr(2), 80));
        assert!(matches!(connected, Ok(()) | Err(Errno::EINPROGRESS)), "{connected:?}");
        self.carry();
        let (accepted, _) = self.stacks[1].accept(now, listener).unwrap();
        let ends = [socket, accepted];
        let mut buf = [0; 2000];
        for from in [0, 1] {
            assert_eq!(self.stacks[from].send(now, ends[from], &[7; 1000], NONE), Ok(1000));
            self.carry();
            assert_eq!(self.stacks[1 - from].recv(now, ends[1 - from], &mut buf, NONE), Ok(1000));
        }
        self.stacks[first].close(now, ends[first]).unwrap();
        self.carry();
        let second = 1 - first;
        assert_eq!(self.stacks[second].recv(now, ends[second], &mut buf, NONE), Ok(0));
        self.stacks[second].close(now, ends[second]).unwrap();
        self.carry();
    }

    /// Many, with some time between them, then the time for TIME-WAIT and everything behind it.
    fn many_connections(&mut self, listener: SocketId) {
        for i in 0..CONNECTIONS {
            // In turns, so that both sides have their share of TIME-WAIT.
            self.one_connection(listener, i % 2);
            self.pass(Duration::from_millis(5));
        }
        self.pass(Duration::from_secs(600));
    }

    fn sockets(&self) -> [usize; 2] {
        [self.stacks[0].sockets().len(), self.stacks[1].sockets().len()]
    }
}

// One test in this file: the allocator counts what all threads do.
#[test]
fn ten_thousand_connections_leave_nothing() {
    let mut pair = Pair::new();
    let listener = pair.listen();
    // The tables grow to what this many need, and stay that large.
    pair.many_connections(listener);
    assert_eq!(pair.sockets(), [0, 1], "only the listener is left");
    let before = live();

    pair.many_connections(listener);
    assert_eq!(pair.sockets(), [0, 1], "only the listener is left");
    let after = live();
    // Less than an octet a connection: some tables may double once more for other hashes.
    assert!(after < before + CONNECTIONS, "{before} octets before, {after} after");

    let now = pair.now;
    pair.stacks[1].close(now, listener).unwrap();
    pair.pass(Duration::from_secs(600));
    assert_eq!(pair.sockets(), [0, 0]);
    let timers = pair.stacks.each_mut().map(Stack::poll_timeout);
    assert_eq!(timers, [None, None], "a timer runs although nothing is left");
}
