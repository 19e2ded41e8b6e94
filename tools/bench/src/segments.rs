//! The machine alone: two stacks joined in memory, no device, no other thread. What a segment costs.

use crate::cells::{Outcome, mac};
use crate::measure::Times;
use bytes::Bytes;
use std::collections::VecDeque;
use std::io;
use std::time::Duration;
use wirestack::buf::Pool;
use wirestack::ip::Cidr;
use wirestack::link::{
    Busy, Capabilities, Frame, Gso, Medium, Received, RxChecksum, RxOffload, Sink, TxFrame,
};
use wirestack::socket::{Domain, Type};
use wirestack::stack::InterfaceConfig;
use wirestack::{Config, Errno, IfaceId, Instant, SocketId, Stack};

/// What the link can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Super-segments of 64 KiB, no checksums.
    Super,
    /// Frames of 1514 octets, checksums made and verified.
    Plain,
}

impl Kind {
    fn capabilities(self) -> Capabilities {
        match self {
            Self::Super => {
                Capabilities { medium: Medium::Ethernet, mtu: 1500, max_gso: 65_535, tx_checksum: true }
            }
            Self::Plain => Capabilities::ETHERNET,
        }
    }

    fn buffer(self) -> usize {
        if self == Self::Super { 65_600 } else { 1600 }
    }
}

/// Frames under way in one direction. Only the first octets are copied: the payload of all of them is
/// zeros, and so are the buffers.
pub struct Lane {
    pool: Pool,
    pub frames: VecDeque<Received>,
}

/// More than all headers.
const HEADERS: usize = 160;

impl Lane {
    pub fn new(buffer: usize) -> Self {
        Self { pool: Pool::new(buffer, 4096), frames: VecDeque::new() }
    }
}

impl Sink for Lane {
    fn transmit(&mut self, _: IfaceId, frame: &TxFrame<'_>) -> Result<(), Busy> {
        let mut buf = self.pool.take();
        let out = buf.as_mut_slice();
        let len = frame.len();
        out[..frame.header.len()].copy_from_slice(frame.header);
        // What a shorter header leaves of a longer one before it.
        out[frame.header.len()..HEADERS].fill(0);
        let checksum = frame.offload.checksum.map_or(RxChecksum::Unknown, RxChecksum::Partial);
        let gso: Option<Gso> = frame.offload.gso;
        let chunk = self.pool.freeze(buf, len);
        self.frames.push_back(Received { chunk, offload: RxOffload { checksum, gso } });
        Ok(())
    }
}

/// A stack with one interface.
pub fn stack(host: u8, capabilities: Capabilities, config: Config) -> (Stack, IfaceId) {
    let mut stack = Stack::new(Instant::ZERO, config);
    let addr: Cidr = format!("10.0.0.{host}/8").parse().expect("a constant");
    let config = InterfaceConfig {
        name: "memory".into(),
        mac: mac(&addr.to_string()),
        capabilities,
        addresses: vec![addr],
        detect_duplicates: false,
    };
    let iface = stack.add_interface(Instant::ZERO, config);
    (stack, iface)
}

/// A sender and a receiver with a connection.
pub struct Pair {
    pub a: Stack,
    pub b: Stack,
    iface: IfaceId,
    to_b: Lane,
    to_a: Lane,
    now: Instant,
    from: SocketId,
    to: SocketId,
}

/// What a phase took, over all rounds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    pub nanos: u64,
    pub units: u64,
    pub allocations: u64,
}

impl Cost {
    /// Runs `f`, which tells how many units it did.
    fn count(&mut self, f: impl FnOnce() -> usize) {
        let mut units = 0;
        let begin = std::time::Instant::now();
        let mut nanos = 0;
        let info = allocation_counter::measure(|| {
            units = f();
            nanos = begin.elapsed().as_nanos() as u64;
        });
        self.nanos += nanos;
        self.units += units as u64;
        self.allocations += info.count_total;
    }
}

/// The costs of a transfer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Costs {
    pub send: Cost,
    pub receive: Cost,
    pub acknowledge: Cost,
}

impl Pair {
    pub fn new(kind: Kind) -> io::Result<Self> {
        let config = |n| Config { secret: [n, 7], ..Config::default() };
        let (mut a, iface) = stack(1, kind.capabilities(), config(1));
        let (mut b, _) = stack(2, kind.capabilities(), config(2));
        let now = Instant::from_nanos(1_000_000);
        let listener = b.socket(Domain::Inet, Type::Stream, 0)?;
        b.bind(now, listener, "10.0.0.2:80".parse().expect("a constant"))?;
        b.listen(now, listener, 1)?;
        let from = a.socket(Domain::Inet, Type::Stream, 0)?;
        match a.connect(now, from, "10.0.0.2:80".parse().expect("a constant")) {
            Ok(()) | Err(Errno::EINPROGRESS) => {}
            Err(e) => return Err(e.into()),
        }
        let lane = || Lane::new(kind.buffer());
        let mut pair = Self { a, b, iface, to_b: lane(), to_a: lane(), now, from, to: from };
        for _ in 0..8 {
            pair.exchange();
        }
        pair.to = pair.b.accept(pair.now, listener)?.0;
        Ok(pair)
    }

    fn exchange(&mut self) {
        let Self { a, b, iface, to_b, to_a, now, .. } = self;
        *now += Duration::from_micros(10);
        a.poll_transmit(*now, to_b);
        while let Some(r) = to_b.frames.pop_front() {
            b.handle_frame(*now, *iface, r.as_frame());
        }
        b.poll_transmit(*now, to_a);
        while let Some(r) = to_a.frames.pop_front() {
            a.handle_frame(*now, *iface, r.as_frame());
        }
    }

    /// One round: the sender writes what it has room for and sends it, the receiver takes and reads it,
    /// the ACKs go back.
    pub fn round(&mut self, data: &Bytes, costs: &mut Costs) -> io::Result<()> {
        let Self { a, b, iface, to_b, to_a, now, from, to } = self;
        *now += Duration::from_micros(20);
        let now = *now;
        let mut failure = None;
        costs.send.count(|| {
            loop {
                match a.send_bytes(now, *from, &mut data.clone()) {
                    Ok(_) => {}
                    Err(Errno::EAGAIN) => break,
                    Err(e) => {
                        failure = Some(e);
                        break;
                    }
                }
            }
            a.poll_transmit(now, to_b);
            while a.poll_event().is_some() {}
            to_b.frames.len()
        });
        costs.receive.count(|| {
            let mut frames = 0;
            while let Some(r) = to_b.frames.pop_front() {
                b.handle_frame(now, *iface, Frame::shared(&r.chunk, r.offload));
                frames += 1;
                // The application reads after a batch.
                if frames % 4 == 0 || to_b.frames.is_empty() {
                    while b.recv_chunk(now, *to, usize::MAX).is_ok_and(|c| !c.is_empty()) {}
                    b.poll_transmit(now, to_a);
                    while b.poll_event().is_some() {}
                }
            }
            frames
        });
        costs.acknowledge.count(|| {
            let mut acks = 0;
            while let Some(r) = to_a.frames.pop_front() {
                a.handle_frame(now, *iface, Frame::shared(&r.chunk, r.offload));
                acks += 1;
            }
            acks
        });
        if self.a.poll_timeout().is_some_and(|t| t <= now) {
            self.a.handle_timeout(now);
        }
        if self.b.poll_timeout().is_some_and(|t| t <= now) {
            self.b.handle_timeout(now);
        }
        failure.map_or(Ok(()), |e| Err(e.into()))
    }
}

/// Nanoseconds and allocations per segment, in steady state.
pub fn run(kind: Kind, times: Times) -> io::Result<Outcome> {
    crate::machine::pin(crate::machine::STACK_CPU);
    let mut pair = Pair::new(kind)?;
    let data = Bytes::from(vec![0; 256 << 10]);
    let mut costs = Costs::default();
    for (limit, fresh) in [(times.warm_up, true), (times.window, false)] {
        if !fresh {
            costs = Costs::default();
        }
        let begin = std::time::Instant::now();
        while begin.elapsed() < limit {
            for _ in 0..16 {
                pair.round(&data, &mut costs)?;
            }
        }
    }
    let mut outcome = Outcome::default();
    for (cost, names) in [
        (costs.send, ["send: ns/segment", "send: allocations/segment"]),
        (costs.receive, ["receive: ns/segment", "receive: allocations/segment"]),
        (costs.acknowledge, ["ACK: ns/ACK", "ACK: allocations/ACK"]),
    ] {
        let per = |n: u64| n as f64 / cost.units as f64;
        outcome.values.push((names[0], per(cost.nanos)));
        outcome.values.push((names[1], per(cost.allocations)));
    }
    outcome.troubles = crate::direct::troubles(&pair.a);
    outcome.troubles.extend(crate::direct::troubles(&pair.b));
    Ok(outcome)
}
