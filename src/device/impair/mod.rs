//! Impairments: a device around a device that makes the network bad, the same way every time.
//!
//! Read in this order: `config` (what can be configured, and its syntax on a command line), `lane`
//! (what happens to a frame in one direction), and here the device.
//!
//! What happens to a frame, in this order: it is dropped if it is larger than the MTU; lost (bursty,
//! then independent); duplicated; corrupted; queued at the rate limit; delayed; put out of order.
//!
//! A super-segment is cut into the frames that a wire would carry before anything happens to it: what
//! is lost is a packet, not 64 KiB. A direction with nothing configured passes frames untouched.
//!
//! Time is the `now` of the calls. [`Device::next_deadline`] says when a held frame is due; the
//! frames to send that are due go out in [`Device::receive`] and [`Device::transmit`], whichever
//! comes first. The outcome depends on the seed, on the frames and on the times they came, and on
//! nothing else.

mod config;
mod lane;

pub use config::{BurstLoss, ImpairConfig, Impairment, ParseError, Probability, QueueLimit, Reorder};
pub use lane::LaneCounters;

use super::segment;
use crate::buf::Chunk;
use crate::errno::Errno;
use crate::link::{Capabilities, Device, Received, RxChecksum, RxOffload, TxError, TxFrame, TxOffload};
use crate::time::{Duration, Instant};
use lane::{Item, Lane};
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, PoisonError};

/// Frames taken from the device in one call: a flood must not hold the caller.
const BATCH: usize = 1024;
/// How long a frame that is due waits for a device that is busy.
const RETRY: Duration = Duration::from_millis(1);

/// What an [`Impair`] did, in each direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImpairCounters {
    /// To frames received.
    pub incoming: LaneCounters,
    /// To frames sent.
    pub outgoing: LaneCounters,
}

/// The counters of an [`Impair`], for whoever cannot reach the device any more.
#[derive(Clone, Debug)]
pub struct ImpairHandle(Arc<Mutex<ImpairCounters>>);

impl ImpairHandle {
    /// What it did so far.
    pub fn counters(&self) -> ImpairCounters {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A device that makes the network behind it bad.
#[derive(Debug)]
pub struct Impair<D> {
    inner: D,
    config: ImpairConfig,
    incoming: Lane,
    outgoing: Lane,
    /// The device was busy when a held frame was due.
    busy_until: Option<Instant>,
    /// A call ended before the device was empty: ask again at once.
    more: Option<Instant>,
    shared: Arc<Mutex<ImpairCounters>>,
}

impl<D: Device> Impair<D> {
    /// Impairs `inner` as `config` says.
    pub fn new(inner: D, config: ImpairConfig) -> Self {
        let medium = inner.capabilities().medium;
        Self {
            incoming: Lane::new(config.incoming, medium, [config.seed, 1]),
            outgoing: Lane::new(config.outgoing, medium, [config.seed, 2]),
            inner,
            config,
            busy_until: None,
            more: None,
            shared: Arc::default(),
        }
    }

    /// What is configured.
    pub fn config(&self) -> &ImpairConfig {
        &self.config
    }

    /// The device behind.
    pub fn inner(&self) -> &D {
        &self.inner
    }

    /// What it did so far.
    pub fn counters(&self) -> ImpairCounters {
        ImpairCounters { incoming: self.incoming.counters, outgoing: self.outgoing.counters }
    }

    /// A hold on the counters that outlives the device.
    pub fn handle(&self) -> ImpairHandle {
        ImpairHandle(self.shared.clone())
    }

    fn publish(&self) {
        *self.shared.lock().unwrap_or_else(PoisonError::into_inner) = self.counters();
    }

    /// Sends the frames that are due.
    fn flush(&mut self, now: Instant) -> Result<(), Errno> {
        self.busy_until = None;
        while let Some(item) = self.outgoing.due(now) {
            let (header, payload) = item.received.chunk.split_at(item.headers);
            let RxOffload { checksum, gso } = item.received.offload;
            let checksum = match checksum {
                RxChecksum::Partial(p) => Some(p),
                RxChecksum::Unknown | RxChecksum::Verified => None,
            };
            let offload = TxOffload { checksum, gso };
            match self.inner.transmit(now, &TxFrame { header, payload: &[payload], offload }) {
                Ok(()) => self.outgoing.pop(),
                Err(TxError::Busy) => {
                    self.busy_until = Some(now + RETRY);
                    break;
                }
                Err(TxError::Failed(e)) => {
                    self.outgoing.pop();
                    return Err(e);
                }
            }
        }
        Ok(())
    }
}

/// Cuts a super-segment, and hands each frame to the lane.
fn admit(lane: &mut Lane, now: Instant, received: Received, headers: usize) {
    if let Some(gso) = received.offload.gso {
        let medium = lane.medium();
        let cut = segment::tcp(&received.chunk, medium, gso, |frame| {
            let received = Received { chunk: Chunk::copy_from(frame), offload: RxOffload::default() };
            let headers = received.chunk.len();
            lane.admit(now, Item { received, headers });
        });
        if cut > 0 {
            return;
        }
    }
    lane.admit(now, Item { received, headers });
}

impl<D: Device> Device for Impair<D> {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn receive(&mut self, now: Instant) -> Result<Option<Received>, Errno> {
        self.flush(now)?;
        if self.incoming.is_clean() {
            return self.inner.receive(now);
        }
        self.more = Some(now);
        for _ in 0..BATCH {
            let Some(r) = self.inner.receive(now)? else {
                self.more = None;
                break;
            };
            let headers = r.chunk.len();
            admit(&mut self.incoming, now, r, headers);
        }
        let got = self.incoming.due(now).map(|i| i.received.clone());
        if got.is_some() {
            self.incoming.pop();
        }
        self.publish();
        Ok(got)
    }

    /// Is busy only where nothing is configured for frames sent: elsewhere a full queue drops.
    fn transmit(&mut self, now: Instant, frame: &TxFrame<'_>) -> Result<(), TxError> {
        if self.outgoing.is_clean() {
            return self.inner.transmit(now, frame);
        }
        let checksum = frame.offload.checksum.map_or(RxChecksum::Unknown, RxChecksum::Partial);
        let offload = RxOffload { checksum, gso: frame.offload.gso };
        let received = Received { chunk: frame.to_chunk(), offload };
        admit(&mut self.outgoing, now, received, frame.header.len());
        let flushed = self.flush(now);
        self.publish();
        flushed.map_err(TxError::Failed)
    }

    fn next_deadline(&self) -> Option<Instant> {
        let outgoing = match (self.outgoing.next_due(), self.busy_until) {
            (Some(due), Some(retry)) => Some(due.max(retry)),
            (due, _) => due,
        };
        [self.incoming.next_due(), outgoing, self.more, self.inner.next_deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.inner.as_fd()
    }
}

#[cfg(test)]
mod tests;
