//! A wire in memory: endpoints that hear each other, without latency and without loss.
//!
//! It keeps no time of its own, so it serves in virtual time; it is behind a lock, so endpoints may
//! live in different threads ([`WireOptions::wake`] gives each a descriptor to wait on). Delay and
//! loss are [`Impair`](super::Impair)'s job.
//!
//! Two endpoints are a cable. More are a switch: it learns which MAC address is behind which
//! endpoint, and floods what it does not know, broadcast and multicast.
//!
//! ```
//! use wirestack::device::{Wire, WireOptions};
//! use wirestack::link::{Device, TxFrame, TxOffload};
//! use wirestack::Instant;
//!
//! let [mut a, mut b] = Wire::pair(WireOptions::default());
//! let frame = TxFrame { header: &[0xff; 14], payload: &[b"hello"], offload: TxOffload::default() };
//! a.transmit(Instant::ZERO, &frame).unwrap();
//! assert_eq!(&b.receive(Instant::ZERO).unwrap().unwrap().chunk[14..], b"hello");
//! ```

use crate::buf::Pool;
use crate::errno::Errno;
use crate::link::{Capabilities, Device, Medium, Received, RxChecksum, RxOffload, TxError, TxFrame};
use crate::time::Instant;
use std::collections::{HashMap, VecDeque};
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec::Vec;

/// What a [`Wire`] is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireOptions {
    /// What every endpoint says it can do. With `max_gso` and `tx_checksum` super-segments and
    /// partial checksums pass as they are, as between two processes on one kernel.
    pub capabilities: Capabilities,
    /// Most frames that wait for one endpoint, at least 1.
    pub queue: usize,
    /// What happens to a frame for an endpoint whose queue is full.
    pub full: WhenFull,
    /// Give each endpoint a descriptor that is readable while frames wait for it, or room was made
    /// for a frame that was refused. (Linux.)
    pub wake: bool,
}

/// What happens to a frame for an endpoint whose queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// The sender keeps it ([`TxError::Busy`]), and nobody gets it.
    Busy,
    /// It is lost for that endpoint, as on a real switch, and counted.
    Drop,
}

impl WireOptions {
    /// Plain Ethernet frames of at most 1514 octets, all checksums made.
    pub const PLAIN: Self =
        Self { capabilities: Capabilities::ETHERNET, queue: 1024, full: WhenFull::Busy, wake: false };

    /// MTU 1500 with super-segments of up to 64 KiB and partial checksums.
    pub const OFFLOAD: Self = Self {
        capabilities: Capabilities { max_gso: 65_535, tx_checksum: true, ..Capabilities::ETHERNET },
        ..Self::PLAIN
    };
}

/// [`WireOptions::PLAIN`]
impl Default for WireOptions {
    fn default() -> Self {
        Self::PLAIN
    }
}

/// What a wire did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WireCounters {
    /// Frames that a sender gave to the wire.
    pub frames: u64,
    /// Frames put into queues: more than `frames` when they are flooded.
    pub delivered: u64,
    /// Frames for an endpoint whose queue was full ([`WhenFull::Drop`]).
    pub overflow: u64,
    /// Frames larger than the MTU that were not super-segments.
    pub oversized: u64,
}

/// The medium between the [`WireEnd`]s.
#[derive(Debug)]
pub struct Wire {
    options: WireOptions,
    ports: Vec<Port>,
    /// Behind which port an address was seen last.
    learned: HashMap<[u8; 6], usize>,
    counters: WireCounters,
}

#[derive(Debug)]
struct Port {
    queue: VecDeque<Received>,
    attached: bool,
    /// It was refused a frame and waits for room.
    refused: bool,
    wake: Option<Wake>,
}

/// MAC addresses that a wire remembers; beyond that it floods.
const MAX_LEARNED: usize = 1024;
/// Frames up to this size lie in small buffers.
const SMALL: usize = 2048;

impl Wire {
    /// A wire with `n` endpoints.
    ///
    /// # Panics
    /// With [`WireOptions::wake`], if the process has no descriptors left.
    #[expect(clippy::new_ret_no_self, reason = "a wire is only ever used through its ends")]
    pub fn new(n: usize, mut options: WireOptions) -> Vec<WireEnd> {
        options.queue = options.queue.max(1);
        let port = |_| Port {
            queue: VecDeque::new(),
            attached: true,
            refused: false,
            wake: options.wake.then(Wake::new),
        };
        let ports: Vec<Port> = (0..n).map(port).collect();
        let wakes: Vec<Option<Wake>> = ports.iter().map(|p| p.wake.clone()).collect();
        let wire = Self { options, ports, learned: HashMap::new(), counters: WireCounters::default() };
        let wire = Arc::new(Mutex::new(wire));
        let end = |(index, wake)| WireEnd {
            wire: wire.clone(),
            index,
            wake,
            capabilities: options.capabilities,
            small: Pool::new(SMALL, options.queue),
            large: Pool::new(SUPER, 64),
        };
        wakes.into_iter().enumerate().map(end).collect()
    }

    /// A wire with two endpoints.
    ///
    /// # Panics
    /// As [`Wire::new`].
    pub fn pair(options: WireOptions) -> [WireEnd; 2] {
        let mut ends = Self::new(2, options).into_iter();
        let (Some(a), Some(b)) = (ends.next(), ends.next()) else { unreachable!("two were asked for") };
        [a, b]
    }

    /// The only port that a frame from `from` is for, if that is known.
    fn destination(&mut self, from: usize, frame: &[u8]) -> Option<usize> {
        let (true, Some(addresses)) =
            (self.options.capabilities.medium == Medium::Ethernet, frame.first_chunk::<12>())
        else {
            return None;
        };
        let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5] = *addresses;
        let (dst, src) = ([d0, d1, d2, d3, d4, d5], [s0, s1, s2, s3, s4, s5]);
        if src[0] & 1 == 0 && (self.learned.len() < MAX_LEARNED || self.learned.contains_key(&src)) {
            self.learned.insert(src, from);
        }
        if dst[0] & 1 == 0 { self.learned.get(&dst).copied() } else { None }
    }

    fn is_full(&self, port: usize) -> bool {
        self.ports[port].queue.len() >= self.options.queue
    }

    /// There is room: whoever was refused may try again.
    fn wake_refused(&mut self) {
        for p in self.ports.iter_mut().filter(|p| p.refused) {
            p.refused = false;
            if let Some(w) = &p.wake {
                w.set();
            }
        }
    }
}

/// A buffer for a super-segment.
const SUPER: usize = 65_535 + 18;

/// One endpoint of a [`Wire`]. Dropping it is pulling the plug: frames for it go nowhere.
#[derive(Debug)]
pub struct WireEnd {
    wire: Arc<Mutex<Wire>>,
    index: usize,
    wake: Option<Wake>,
    capabilities: Capabilities,
    small: Pool,
    large: Pool,
}

impl WireEnd {
    /// What the whole wire did so far.
    pub fn counters(&self) -> WireCounters {
        lock(&self.wire).counters
    }

    /// How many frames wait for this endpoint.
    pub fn waiting(&self) -> usize {
        lock(&self.wire).ports[self.index].queue.len()
    }

    /// As one who receives it sees what was sent.
    fn received(&mut self, frame: &TxFrame<'_>) -> Received {
        let len = frame.len();
        let chunk = if len > SUPER {
            frame.to_chunk()
        } else {
            let pool = if len <= SMALL { &mut self.small } else { &mut self.large };
            let mut buf = pool.take();
            frame.copy_to(buf.as_mut_slice());
            pool.freeze(buf, len)
        };
        let checksum = frame.offload.checksum.map_or(RxChecksum::Unknown, RxChecksum::Partial);
        Received { chunk, offload: RxOffload { checksum, gso: frame.offload.gso } }
    }

    fn largest(&self, frame: &TxFrame<'_>) -> usize {
        let link = if self.capabilities.medium == Medium::Ethernet { 14 } else { 0 };
        let ip = if frame.offload.gso.is_some() { self.capabilities.max_gso } else { self.capabilities.mtu };
        link + ip
    }
}

/// A panic in another thread leaves the queues whole: they are changed in single steps.
fn lock(wire: &Mutex<Wire>) -> MutexGuard<'_, Wire> {
    wire.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Device for WireEnd {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// Never fails.
    fn receive(&mut self, _now: Instant) -> Result<Option<Received>, Errno> {
        let mut wire = lock(&self.wire);
        let wire = &mut *wire;
        let got = wire.ports[self.index].queue.pop_front();
        if got.is_none()
            && let Some(w) = &self.wake
        {
            w.clear();
        }
        // A refused sender is woken when half of the queue is free, not for each frame.
        if got.is_some() && wire.ports[self.index].queue.len() == wire.options.queue / 2 {
            wire.wake_refused();
        }
        Ok(got)
    }

    /// Never fails; is [`TxError::Busy`] only as [`WhenFull::Busy`] says.
    fn transmit(&mut self, _now: Instant, frame: &TxFrame<'_>) -> Result<(), TxError> {
        let oversized = frame.len() > self.largest(frame);
        let received = self.received(frame);
        let mut wire = lock(&self.wire);
        let wire = &mut *wire;
        if oversized {
            wire.counters.frames += 1;
            wire.counters.oversized += 1;
            return Ok(());
        }
        let only = wire.destination(self.index, &received.chunk);
        let index = self.index;
        let wanted = |p: usize| p != index && only.is_none_or(|o| o == p);
        let targets = || (0..wire.ports.len()).filter(|&p| wanted(p) && wire.ports[p].attached);
        if wire.options.full == WhenFull::Busy && targets().any(|p| wire.is_full(p)) {
            wire.ports[index].refused = true;
            return Err(TxError::Busy);
        }
        wire.counters.frames += 1;
        for p in 0..wire.ports.len() {
            if !wanted(p) || !wire.ports[p].attached {
                continue;
            }
            if wire.is_full(p) {
                wire.counters.overflow += 1;
                continue;
            }
            wire.counters.delivered += 1;
            let port = &mut wire.ports[p];
            port.queue.push_back(received.clone());
            if port.queue.len() == 1
                && let Some(w) = &port.wake
            {
                w.set();
            }
        }
        Ok(())
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.wake.as_ref().map(Wake::as_fd)
    }
}

impl Drop for WireEnd {
    fn drop(&mut self) {
        let mut wire = lock(&self.wire);
        let wire = &mut *wire;
        wire.ports[self.index].attached = false;
        wire.ports[self.index].queue = VecDeque::new();
        // Whoever waited for room here need not wait any more.
        wire.wake_refused();
    }
}

/// A descriptor that is readable while it is set: an eventfd.
#[derive(Clone, Debug)]
struct Wake(Arc<std::os::fd::OwnedFd>);

impl Wake {
    #[cfg(target_os = "linux")]
    fn new() -> Self {
        use rustix::event::{EventfdFlags, eventfd};
        let fd = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC);
        Self(Arc::new(fd.expect("a descriptor for the wake-up of a wire")))
    }

    #[cfg(not(target_os = "linux"))]
    fn new() -> Self {
        panic!("a wire wakes nobody on this system: leave `WireOptions::wake` off")
    }

    fn set(&self) {
        // Fails only when it was set 2^64 - 1 times: it is set then.
        let _ = rustix::io::write(&*self.0, &1u64.to_ne_bytes());
    }

    fn clear(&self) {
        // Fails only when it is not set.
        let _ = rustix::io::read(&*self.0, &mut [0u8; 8]);
    }

    fn as_fd(&self) -> BorrowedFd<'_> {
        std::os::fd::AsFd::as_fd(&*self.0)
    }
}

#[cfg(test)]
mod tests;
