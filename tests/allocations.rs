//! In steady state a bulk transfer allocates nothing: not for a segment sent, received or
//! acknowledged, with super-segments and without, with copies and without.

use bytes::Bytes;
use std::collections::VecDeque;
use std::time::Duration;
use wirestack::buf::Pool;
use wirestack::link::{Busy, Capabilities, Medium, Received, RxChecksum, RxOffload, Sink, TxFrame};
use wirestack::socket::{Domain, MsgFlags, Type};
use wirestack::stack::InterfaceConfig;
use wirestack::{Config, Errno, IfaceId, Instant, SocketId, Stack};

/// Frames on their way in buffers that are used again, as a device has them.
struct Lane {
    pool: Pool,
    frames: VecDeque<Received>,
}

impl Lane {
    fn new(capabilities: &Capabilities) -> Self {
        let buffer = if capabilities.max_gso > 0 { 65_600 } else { 1600 };
        Self { pool: Pool::new(buffer, 4096), frames: VecDeque::with_capacity(4096) }
    }
}

impl Sink for Lane {
    fn transmit(&mut self, _: IfaceId, frame: &TxFrame<'_>) -> Result<(), Busy> {
        let mut buf = self.pool.take();
        let len = frame.copy_to(buf.as_mut_slice());
        let checksum = frame.offload.checksum.map_or(RxChecksum::Unknown, RxChecksum::Partial);
        let chunk = self.pool.freeze(buf, len);
        self.frames.push_back(Received { chunk, offload: RxOffload { checksum, gso: frame.offload.gso } });
        Ok(())
    }
}

struct Pair {
    a: Stack,
    b: Stack,
    iface: IfaceId,
    to_b: Lane,
    to_a: Lane,
    now: Instant,
}

fn stack(host: u8, capabilities: Capabilities) -> (Stack, IfaceId) {
    let mut stack = Stack::new(Instant::ZERO, Config { secret: [host.into(), 1], ..Config::default() });
    let config = InterfaceConfig {
        name: "eth0".into(),
        mac: [2, 0, 0, 0, 0, host],
        capabilities,
        addresses: vec![format!("10.0.0.{host}/24").parse().unwrap()],
        detect_duplicates: false,
    };
    let iface = stack.add_interface(Instant::ZERO, config);
    (stack, iface)
}

/// What each step of a round allocated.
#[derive(Debug, Default, PartialEq, Eq)]
struct Allocated {
    write: u64,
    transmit: u64,
    receive: u64,
    read: u64,
    acknowledge: u64,
    process_ack: u64,
}

fn count(into: &mut u64, f: impl FnOnce()) {
    *into += allocation_counter::measure(f).count_total;
}

impl Pair {
    /// Two stacks with a connection from `a` to `b`.
    fn new(capabilities: Capabilities) -> (Self, SocketId, SocketId) {
        let ((a, iface), (b, _)) = (stack(1, capabilities), stack(2, capabilities));
        let now = Instant::from_nanos(1_000_000);
        let (to_b, to_a) = (Lane::new(&capabilities), Lane::new(&capabilities));
        let mut p = Self { a, b, iface, to_b, to_a, now };
        let listener = p.b.socket(Domain::Inet, Type::Stream, 0).unwrap();
        p.b.bind(now, listener, "10.0.0.2:80".parse().unwrap()).unwrap();
        p.b.listen(now, listener, 1).unwrap();
        let from = p.a.socket(Domain::Inet, Type::Stream, 0).unwrap();
        assert_eq!(p.a.connect(now, from, "10.0.0.2:80".parse().unwrap()), Err(Errno::EINPROGRESS));
        for _ in 0..6 {
            p.transfer(&mut Allocated::default(), |_, _| {}, |_, _| {});
        }
        let (to, _) = p.b.accept(p.now, listener).unwrap();
        (p, from, to)
    }

    fn transfer(
        &mut self,
        allocated: &mut Allocated,
        write: impl FnOnce(&mut Stack, Instant),
        mut read: impl FnMut(&mut Stack, Instant),
    ) {
        let Self { a, b, iface, to_b, to_a, now } = self;
        *now += Duration::from_micros(50);
        let now = *now;
        count(&mut allocated.write, || write(a, now));
        // The lanes may grow: they are not the stack's.
        to_b.frames.reserve(4096);
        count(&mut allocated.transmit, || a.poll_transmit(now, to_b));
        let mut n = 0;
        while let Some(r) = to_b.frames.pop_front() {
            count(&mut allocated.receive, || b.handle_frame(now, *iface, r.as_frame()));
            drop(r);
            n += 1;
            if n % 4 == 0 || to_b.frames.is_empty() {
                count(&mut allocated.read, || read(b, now));
                count(&mut allocated.acknowledge, || b.poll_transmit(now, to_a));
            }
        }
        while let Some(r) = to_a.frames.pop_front() {
            count(&mut allocated.process_ack, || a.handle_frame(now, *iface, r.as_frame()));
        }
        for s in [a, b] {
            while s.poll_event().is_some() {}
            if s.poll_timeout().is_some_and(|t| t <= now) {
                s.handle_timeout(now);
            }
        }
    }
}

/// A hundred rounds after a hundred to warm up: what they allocated, and the octets of all.
fn steady_state(capabilities: Capabilities, copy: bool) -> (Allocated, u64) {
    let (mut p, from, to) = Pair::new(capabilities);
    // Whole super-segments of 45 segments: what is less than half of the device's buffer is copied out of
    // it, so that a few octets do not hold 64 KiB, and that copy is an allocation by design.
    let data = Bytes::from(vec![7; 45 * 1448]);
    let mut buf = vec![0; 300_000];
    let mut received = 0;
    let mut round = |p: &mut Pair, allocated: &mut Allocated| {
        p.transfer(
            allocated,
            |a, now| {
                let mut send = || match copy {
                    true => a.send(now, from, &data, MsgFlags::empty()),
                    false => a.send_bytes(now, from, &mut data.clone()),
                };
                for _ in 0..20 {
                    if send().is_err() {
                        break;
                    }
                }
            },
            |b, now| loop {
                let n = match copy {
                    true => b.recv(now, to, &mut buf, MsgFlags::empty()),
                    false => b.recv_chunk(now, to, usize::MAX).map(|c| c.len()),
                };
                match n {
                    Ok(n) => received += n as u64,
                    Err(_) => break,
                }
            },
        );
    };
    for _ in 0..100 {
        round(&mut p, &mut Allocated::default());
    }
    let mut allocated = Allocated::default();
    for _ in 0..100 {
        round(&mut p, &mut allocated);
    }
    assert_eq!(p.a.stats().count.tcp_retrans_segs, 0);
    (allocated, received)
}

const SUPER: Capabilities =
    Capabilities { medium: Medium::Ethernet, mtu: 1500, max_gso: 65_535, tx_checksum: true };

#[test]
fn super_segments_without_a_copy() {
    let (allocated, received) = steady_state(SUPER, false);
    assert!(received > 100_000_000, "the transfer stands at {received} octets");
    assert_eq!(allocated, Allocated::default());
}

#[test]
fn super_segments_copied() {
    let (allocated, received) = steady_state(SUPER, true);
    assert!(received > 100_000_000, "the transfer stands at {received} octets");
    assert_eq!(allocated, Allocated::default());
}

#[test]
fn plain_frames_without_a_copy() {
    let (allocated, received) = steady_state(Capabilities::ETHERNET, false);
    assert!(received > 100_000_000, "the transfer stands at {received} octets");
    assert_eq!(allocated, Allocated::default());
}

#[test]
fn plain_frames_copied() {
    let (allocated, received) = steady_state(Capabilities::ETHERNET, true);
    assert!(received > 100_000_000, "the transfer stands at {received} octets");
    assert_eq!(allocated, Allocated::default());
}
