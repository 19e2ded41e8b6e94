//! The interfaces' side of a runtime: reading in batches, sending, and what to do when a device fails.

use crate::errno::Errno;
use crate::link::{Busy, Device, Sink, TxError, TxFrame};
use crate::time::Instant;
use crate::{IfaceId, Stack};
use rustix::event::PollFlags;
use std::boxed::Box;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::string::String;
use std::sync::Arc;
use std::time::Duration;
use std::vec::Vec;

/// Frames read from a device before what they cause is sent. More would let the answers wait.
const BATCH_FRAMES: usize = 64;

/// Octets read from a device before what they cause is sent: a quarter of a window of 1 MiB, since
/// a sender whose window runs out before our ACK comes stalls (measured: half the throughput).
const BATCH_BYTES: usize = 256 << 10;

/// When a full device is tried again that cannot tell when it has room.
const BUSY_RETRY: Duration = Duration::from_millis(1);

/// A descriptor that goes on reporting an error which the device does not know of would keep the engine
/// awake for ever: after so many reports in a row, without a frame in between, the device has failed.
const HUNG_LIMIT: u8 = 16;

/// One interface of the stack and its device.
pub(super) struct Slot {
    pub(super) iface: IfaceId,
    pub(super) name: String,
    device: Option<Box<dyn Device + Send>>,
    /// A duplicate of the device's descriptor for the engine to sleep on: the device itself may be
    /// dropped by another thread in the meantime.
    fd: Option<Arc<OwnedFd>>,
    /// It refused a frame; asks to be tried when writable.
    blocked: bool,
    /// Its descriptor was reported writable since it last took a frame.
    told_writable: bool,
    /// It was reported writable and refused a frame all the same, so its descriptor says nothing about
    /// room (an eventfd is always writable): it is tried again after [`BUSY_RETRY`], or when it is readable.
    distrusted: bool,
    /// How often in a row its descriptor reported an error or a hang-up of which the device said nothing.
    hung: u8,
    /// It took a frame since the engine last looked at it.
    transmitted: bool,
    error: Option<Errno>,
}

/// What the engine has to know before it sleeps.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    slot: usize,
    pub(super) fd: Arc<OwnedFd>,
    /// Also wait for it to be writable.
    pub(super) writable: bool,
}

/// All interfaces of a runtime, in the order in which they were added.
#[derive(Default)]
pub(super) struct Devices {
    slots: Vec<Slot>,
    last_frame: Option<Instant>,
}

impl Devices {
    pub(super) fn add(
        &mut self,
        iface: IfaceId,
        name: String,
        device: Box<dyn Device + Send>,
    ) -> std::io::Result<()> {
        let fd = device.as_fd().map(|fd: BorrowedFd<'_>| fd.try_clone_to_owned()).transpose()?;
        self.slots.push(Slot {
            iface,
            name,
            device: Some(device),
            fd: fd.map(Arc::new),
            blocked: false,
            told_writable: false,
            distrusted: false,
            hung: 0,
            transmitted: false,
            error: None,
        });
        Ok(())
    }

    /// Reads a batch from each device into the stack. True if there may be more.
    pub(super) fn receive(&mut self, stack: &mut Stack, now: Instant) -> bool {
        let mut more = false;
        for slot in &mut self.slots {
            slot.transmitted = false;
            slot.blocked = false;
            let (frames, full) = slot.receive_batch(stack, now);
            more |= full;
            if frames > 0 {
                self.last_frame = Some(now);
            }
        }
        more
    }

    /// When the last frame came.
    pub(super) fn last_frame(&self) -> Option<Instant> {
        self.last_frame
    }

    /// Sends what the stack has to send, until it has nothing more or the devices are full.
    pub(super) fn transmit(&mut self, stack: &mut Stack, now: Instant) {
        stack.poll_transmit(now, &mut DeviceSink { slots: &mut self.slots, now });
    }

    /// Drops the devices that failed since the last call; false if there are none. The stack is told,
    /// which may give it something to send.
    pub(super) fn bury(&mut self, stack: &mut Stack, now: Instant) -> bool {
        let mut any = false;
        for slot in self.slots.iter_mut().filter(|s| s.error.is_some() && s.device.is_some()) {
            slot.device = None;
            slot.fd = None;
            // It was added when the runtime was built, and nobody else removes it.
            let _ = stack.remove_interface(now, slot.iface);
            any = true;
        }
        any
    }

    /// Takes the devices out, to be dropped without the lock. Their errors stay.
    pub(super) fn close(&mut self) -> Vec<Box<dyn Device + Send>> {
        self.slots
            .iter_mut()
            .filter_map(|slot| {
                slot.fd = None;
                slot.blocked = false;
                slot.device.take()
            })
            .collect()
    }

    /// When a device wants to be read although nothing wakes us.
    pub(super) fn deadline(&self, now: Instant) -> Instant {
        let mut earliest = Instant::FAR_FUTURE;
        for slot in &self.slots {
            let Some(device) = &slot.device else { continue };
            earliest = earliest.min(device.next_deadline().unwrap_or(Instant::FAR_FUTURE));
            if slot.fd.is_none() && slot.transmitted {
                earliest = now;
            } else if slot.blocked && !slot.waits_for_room() {
                earliest = earliest.min(now + BUSY_RETRY);
            }
        }
        earliest
    }

    /// How many devices ask to be tried again when they are writable.
    pub(super) fn blocked(&self) -> usize {
        self.slots.iter().filter(|s| s.waits_for_room()).count()
    }

    /// What to sleep on.
    pub(super) fn watch(&self, out: &mut Vec<Watch>) {
        out.clear();
        for (slot, s) in self.slots.iter().enumerate() {
            if let Some(fd) = &s.fd {
                out.push(Watch { slot, fd: fd.clone(), writable: s.waits_for_room() });
            }
        }
    }

    /// What poll(2) said about the descriptor of this device.
    pub(super) fn report(&mut self, watch: &Watch, said: PollFlags) {
        let Some(slot) = self.slots.get_mut(watch.slot) else { return };
        slot.told_writable = said.contains(PollFlags::OUT);
        if !said.intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL) {
            slot.hung = 0;
        } else if slot.hung < HUNG_LIMIT {
            slot.hung += 1;
        } else {
            slot.error.get_or_insert(Errno::EIO);
        }
    }

    /// There was at least one device, and none is left.
    pub(super) fn all_failed(&self) -> bool {
        !self.slots.is_empty() && self.slots.iter().all(|s| s.error.is_some())
    }

    /// Those that failed, with the reason.
    pub(super) fn errors(&self) -> impl Iterator<Item = (&Slot, Errno)> {
        self.slots.iter().filter_map(|s| s.error.map(|e| (s, e)))
    }
}

impl Slot {
    /// It is full, and its descriptor tells when it no longer is.
    fn waits_for_room(&self) -> bool {
        self.blocked && !self.distrusted && self.fd.is_some()
    }

    /// How many frames were read, and whether the batch is full, so that there may be more.
    fn receive_batch(&mut self, stack: &mut Stack, now: Instant) -> (usize, bool) {
        let Some(device) = self.device.as_mut().filter(|_| self.error.is_none()) else { return (0, false) };
        let mut bytes = 0;
        for frames in 0..BATCH_FRAMES {
            match device.receive(now) {
                Ok(Some(frame)) => {
                    self.hung = 0;
                    bytes += frame.chunk.len();
                    stack.handle_frame(now, self.iface, frame.as_frame());
                    if bytes >= BATCH_BYTES {
                        return (frames + 1, true);
                    }
                }
                Ok(None) => return (frames, false),
                Err(e) => {
                    self.error = Some(e);
                    return (frames, false);
                }
            }
        }
        (BATCH_FRAMES, true)
    }
}

struct DeviceSink<'a> {
    slots: &'a mut [Slot],
    now: Instant,
}

impl Sink for DeviceSink<'_> {
    fn transmit(&mut self, iface: IfaceId, frame: &TxFrame<'_>) -> Result<(), Busy> {
        let Some(slot) = self.slots.iter_mut().find(|s| s.iface == iface && s.error.is_none()) else {
            return Ok(()); // A device that is gone: the frame with it.
        };
        let Some(device) = slot.device.as_mut() else { return Ok(()) };
        match device.transmit(self.now, frame) {
            Ok(()) => {
                slot.transmitted = true;
                slot.told_writable = false;
                slot.hung = 0;
                slot.distrusted = false;
                Ok(())
            }
            Err(TxError::Busy) => {
                slot.blocked = true;
                slot.distrusted |= slot.told_writable;
                Err(Busy)
            }
            Err(TxError::Failed(e)) => {
                slot.error = Some(e);
                Ok(())
            }
        }
    }
}
