//! A descriptor for devices that have none.

use crate::errno::Errno;
use crate::link::{Capabilities, Device, Received, TxError, TxFrame};
use crate::time::Instant;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// One end of an in-memory wire, with a descriptor that becomes readable when the other end does
/// something: so two runtimes can sleep on two ends of a wire that knows nothing of sleeping.
///
/// ```text
///   runtime a -- Doorbell(end a) == the wire == Doorbell(end b) -- runtime b
///                     rings b when it sends         rings a when it takes or sends
/// ```
///
/// A frame that the wire holds back (delay, rate) rings too early; `next_deadline` of the end then says
/// when to look again. The descriptor is the reading end of a pipe, which is never writable, so a
/// runtime that waits for writability sleeps until the other end makes room and rings.
#[derive(Debug)]
pub struct Doorbell<D> {
    end: D,
    mine: Arc<Bell>,
    reader: PipeReader,
    other: Arc<Bell>,
}

#[derive(Debug)]
struct Bell {
    writer: PipeWriter,
    /// There is one octet in the pipe, or on its way into it: never more than one, so writing never
    /// blocks.
    rung: AtomicBool,
    /// The owner of this bell was refused a frame, and waits for room.
    wants_room: AtomicBool,
}

impl Bell {
    fn new() -> std::io::Result<(PipeReader, Arc<Self>)> {
        let (reader, writer) = std::io::pipe()?;
        Ok((
            reader,
            Arc::new(Self { writer, rung: AtomicBool::new(false), wants_room: AtomicBool::new(false) }),
        ))
    }

    fn ring(&self) {
        if !self.rung.swap(true, SeqCst) {
            // It fails when the other end is gone, and then nobody listens.
            let _ = (&self.writer).write(&[1]);
        }
    }
}

impl<A: Device, B: Device> Doorbell<(A, B)> {
    /// Joins the two ends of a wire.
    ///
    /// # Errors
    /// No descriptors are left (EMFILE).
    pub fn pair(a: A, b: B) -> std::io::Result<(Doorbell<A>, Doorbell<B>)> {
        let (reader_a, bell_a) = Bell::new()?;
        let (reader_b, bell_b) = Bell::new()?;
        Ok((
            Doorbell { end: a, mine: bell_a.clone(), reader: reader_a, other: bell_b.clone() },
            Doorbell { end: b, mine: bell_b, reader: reader_b, other: bell_a },
        ))
    }
}

impl<D: Device> Doorbell<D> {
    /// The end of the wire inside.
    pub fn get_ref(&self) -> &D {
        &self.end
    }

    /// The frame just taken may have made the room that the other end waits for.
    fn took(&self) {
        if self.other.wants_room.swap(false, SeqCst) {
            self.other.ring();
        }
    }
}

impl<D: Device> Device for Doorbell<D> {
    fn capabilities(&self) -> Capabilities {
        self.end.capabilities()
    }

    fn receive(&mut self, now: Instant) -> Result<Option<Received>, Errno> {
        let mut frame = self.end.receive(now)?;
        if frame.is_none() && self.mine.rung.load(SeqCst) {
            // First take the octet, then look once more: a frame put on the wire after that look rings
            // again.
            let _ = self.reader.read(&mut [0]);
            self.mine.rung.store(false, SeqCst);
            frame = self.end.receive(now)?;
        }
        if frame.is_some() {
            self.took();
        }
        Ok(frame)
    }

    fn transmit(&mut self, now: Instant, frame: &TxFrame<'_>) -> Result<(), TxError> {
        let mut result = self.end.transmit(now, frame);
        if result == Err(TxError::Busy) {
            // Say so first, then try once more: the other end may have made room in between, when
            // nobody had asked it to ring.
            self.mine.wants_room.store(true, SeqCst);
            result = self.end.transmit(now, frame);
        }
        if result.is_ok() {
            self.other.ring();
        }
        result
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.end.next_deadline()
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.reader.as_fd())
    }
}
