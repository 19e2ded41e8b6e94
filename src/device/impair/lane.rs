//! What happens to a frame in one direction.

use super::config::{Impairment, Probability, QueueLimit, Reorder};
use crate::buf::Chunk;
use crate::device::segment::Layout;
use crate::link::{Medium, Received, RxChecksum};
use crate::rng::Rng;
use crate::time::{Duration, Instant, nanos};
use core::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};
use std::vec::Vec;

/// Most octets that a lane holds back. 10 Gbit/s for 50 ms.
const MAX_HELD: usize = 64 << 20;
/// How long a frame that is put out of order waits for frames to overtake it.
const MAX_ASIDE: Duration = Duration::from_millis(50);

/// What happened to frames in one direction. Super-segments count as the frames they were cut into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneCounters {
    /// Frames that came in.
    pub frames: u64,
    /// Frames that came out: duplicates count twice.
    pub passed: u64,
    /// Lost independently.
    pub lost: u64,
    /// Lost in a burst.
    pub burst_lost: u64,
    /// Sent twice.
    pub duplicated: u64,
    /// With a bit flipped.
    pub corrupted: u64,
    /// Put out of order.
    pub reordered: u64,
    /// Dropped because the queue was full.
    pub overflow: u64,
    /// Dropped because they were larger than the MTU.
    pub too_big: u64,
}

/// A frame on its way, and how many of its octets are headers.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub received: Received,
    pub headers: usize,
}

/// A frame that is due at some time; frames due at the same time keep their order.
#[derive(Debug)]
struct Held {
    due: Instant,
    seq: u64,
    item: Item,
}

impl Held {
    fn key(&self) -> (Instant, u64) {
        (self.due, self.seq)
    }
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}
impl Eq for Held {}
impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Held {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

/// A frame that waits until `left` others have overtaken it, but not longer than `until`.
#[derive(Debug)]
struct Aside {
    left: u32,
    due: Instant,
    until: Instant,
    item: Item,
}

/// One direction.
#[derive(Debug)]
pub(super) struct Lane {
    config: Impairment,
    medium: Medium,
    clean: bool,
    rng: Rng,
    /// The bad state of the burst-loss model.
    bad: bool,
    /// When the rate-limited link has sent all that was given to it.
    link_free: Instant,
    /// Frames that it has not sent yet: when each will have left, and its size.
    link_queue: VecDeque<(Instant, usize)>,
    link_octets: usize,
    last_due: Instant,
    seq: u64,
    held: BinaryHeap<Reverse<Held>>,
    aside: Vec<Aside>,
    held_octets: usize,
    pub counters: LaneCounters,
}

impl Lane {
    pub(super) fn new(config: Impairment, medium: Medium, seed: [u64; 2]) -> Self {
        Self {
            clean: config == Impairment::default(),
            config,
            medium,
            rng: Rng::new(seed),
            bad: false,
            link_free: Instant::ZERO,
            link_queue: VecDeque::new(),
            link_octets: 0,
            last_due: Instant::ZERO,
            seq: 0,
            held: BinaryHeap::new(),
            aside: Vec::new(),
            held_octets: 0,
            counters: LaneCounters::default(),
        }
    }

    /// Nothing is configured.
    pub(super) fn is_clean(&self) -> bool {
        self.clean
    }

    pub(super) fn medium(&self) -> Medium {
        self.medium
    }

    /// Takes a frame in.
    pub(super) fn admit(&mut self, now: Instant, item: Item) {
        self.counters.frames += 1;
        let link = if self.medium == Medium::Ethernet { 14 } else { 0 };
        if self.config.mtu.is_some_and(|mtu| item.received.chunk.len() > mtu + link) {
            self.counters.too_big += 1;
        } else if self.burst_loss() {
            self.counters.burst_lost += 1;
        } else if self.hit(self.config.loss) {
            self.counters.lost += 1;
        } else if self.hit(self.config.duplicate) {
            self.counters.duplicated += 1;
            self.carry(now, item.clone());
            self.carry(now, item);
        } else {
            self.carry(now, item);
        }
    }

    fn hit(&mut self, p: Probability) -> bool {
        !p.is_zero() && p.contains(self.rng.below(Probability::SCALE))
    }

    /// One step of the two-state chain of Gilbert and Elliott, then the loss of the state it is in.
    fn burst_loss(&mut self) -> bool {
        let Some(b) = self.config.burst_loss else { return false };
        let change = self.hit(if self.bad { b.leave } else { b.enter });
        self.bad ^= change;
        self.hit(if self.bad { b.loss_in_bad } else { b.loss_in_good })
    }

    /// Carries a frame that is not lost: over the link with a rate, and then over the distance.
    fn carry(&mut self, now: Instant, mut item: Item) {
        if self.hit(self.config.corrupt) && self.corrupt(&mut item.received) {
            self.counters.corrupted += 1;
        }
        let len = item.received.chunk.len();
        let (Some(departure), true) = (self.departure(now, len), self.held_octets + len <= MAX_HELD) else {
            self.counters.overflow += 1;
            return;
        };
        self.held_octets += len;
        let due = (departure + self.config.delay + self.jitter()) - self.config.jitter;
        // A real path delays more or less, but it is a queue: jitter does not put frames out of
        // order. That is what `reorder` is for.
        let due = due.max(departure).max(self.last_due);
        let reorder = self.config.reorder;
        match reorder {
            Some(r) if self.hit(r.probability()) => {
                self.counters.reordered += 1;
                match r {
                    Reorder::Delay { extra, .. } => self.hold(due + extra, item),
                    Reorder::Gap { frames, .. } => {
                        self.aside.push(Aside { left: frames.max(1), due, until: due + MAX_ASIDE, item });
                    }
                }
            }
            _ => {
                self.last_due = due;
                self.hold(due, item);
                self.overtake(due);
            }
        }
    }

    /// When the link has sent a frame of `len` octets; `None` if its queue is full.
    fn departure(&mut self, now: Instant, len: usize) -> Option<Instant> {
        let Some(rate) = self.config.rate else { return Some(now) };
        while let Some(&(left, n)) = self.link_queue.front()
            && left <= now
        {
            self.link_queue.pop_front();
            self.link_octets -= n;
        }
        let full = match self.config.queue {
            QueueLimit::Frames(n) => self.link_queue.len() >= n as usize,
            QueueLimit::Octets(n) => self.link_octets + len > n as usize,
        };
        if full {
            return None;
        }
        let bits = len as u128 * 8 * 1_000_000_000;
        let takes = u64::try_from(bits.div_ceil(u128::from(rate.max(1)))).unwrap_or(u64::MAX);
        self.link_free = self.link_free.max(now) + Duration::from_nanos(takes);
        self.link_queue.push_back((self.link_free, len));
        self.link_octets += len;
        Some(self.link_free)
    }

    /// Uniform in 0 ..= 2 * jitter.
    fn jitter(&mut self) -> Duration {
        let width = u128::from(nanos(self.config.jitter)) * 2 + 1;
        if width == 1 {
            return Duration::ZERO;
        }
        let n = (u128::from(self.rng.next_u64()) * width) >> 64;
        Duration::from_nanos(u64::try_from(n).unwrap_or(u64::MAX))
    }

    fn hold(&mut self, due: Instant, item: Item) {
        self.seq += 1;
        self.held.push(Reverse(Held { due, seq: self.seq, item }));
    }

    /// A frame that is due at `due` has overtaken those that were set aside.
    fn overtake(&mut self, due: Instant) {
        let mut i = 0;
        while let Some(a) = self.aside.get_mut(i) {
            a.left -= 1;
            if a.left == 0 {
                let a = self.aside.remove(i);
                self.hold(due.max(a.due), a.item);
            } else {
                i += 1;
            }
        }
    }

    /// The frame that is due, if there is one. It stays until [`Lane::pop`].
    pub(super) fn due(&mut self, now: Instant) -> Option<&Item> {
        while let Some(i) = self.aside.iter().position(|a| a.until <= now) {
            let a = self.aside.remove(i);
            self.hold(a.until, a.item);
        }
        self.held.peek().filter(|h| h.0.due <= now).map(|h| &h.0.item)
    }

    /// Lets the frame go that [`Lane::due`] showed.
    pub(super) fn pop(&mut self) {
        if let Some(Reverse(h)) = self.held.pop() {
            self.held_octets -= h.item.received.chunk.len();
            self.counters.passed += 1;
        }
    }

    /// When the next frame is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let aside = self.aside.iter().map(|a| a.until);
        self.held.peek().map(|h| h.0.due).into_iter().chain(aside).min()
    }

    /// Flips a bit that the transport checksum covers. A frame without a transport checksum (ARP) is
    /// left alone: on a real link the frame check sequence would have found it, and it would be lost.
    /// A UDP datagram that was sent without one (RFC 768) arrives wrong, as it would.
    fn corrupt(&mut self, r: &mut Received) -> bool {
        let Some(l) = Layout::of(&r.chunk, self.medium) else { return false };
        // What is a super-segment still could not be cut: it is no TCP.
        if l.checksum_at().is_none() || l.transport >= l.end || r.offload.gso.is_some() {
            return false;
        }
        let mut bytes = r.chunk.to_vec();
        // It must be the right checksum of the right octets first, or the receiver would make a good
        // one for the wrong octets.
        if let RxChecksum::Partial(p) = r.offload.checksum {
            crate::link::offload::complete_checksum(&mut bytes, p);
        }
        let bit = self.rng.below(((l.end - l.transport) * 8) as u32) as usize;
        bytes[l.transport + bit / 8] ^= 1 << (bit % 8);
        r.chunk = Chunk::copy_from(&bytes);
        r.offload.checksum = RxChecksum::Unknown;
        true
    }
}
