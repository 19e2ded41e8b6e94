//! A tee to pcapng: what passes a device, in both directions, with nanosecond timestamps.
//!
//! A capture shows the frames of the device it is around: outside of an
//! [`Impair`](super::Impair) what the stack saw, inside of it what was on the link.
//!
//! Checksums that were left to the device are completed in the copy, so that a reader finds no bad
//! one. Super-segments are written whole, as a capture of the kernel shows them, or cut
//! ([`CaptureOptions::cut`]).

use super::pcapng::{Direction, LinkType, PacketRecord, PcapngWriter};
use super::segment;
use crate::errno::Errno;
use crate::link::{
    Capabilities, Device, Gso, Medium, PartialChecksum, Received, RxChecksum, TxError, TxFrame,
};
use crate::time::{Instant, nanos};
use core::time::Duration;
use std::io::{self, Write};
use std::os::fd::BorrowedFd;
use std::string::{String, ToString};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use std::vec::Vec;

/// How to write a [`Capture`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptureOptions {
    /// The name of the interface in the file.
    pub interface: String,
    /// What the clock on the wall shows at [`Instant::ZERO`], since 1970-01-01 00:00 UTC. Zero suits
    /// virtual time: the timestamps are the virtual ones. See [`CaptureOptions::wall_clock`].
    pub origin: Duration,
    /// Write super-segments as the frames that a wire would carry. Default: no.
    pub cut: bool,
    /// Most octets of a frame that are written. Default: all.
    pub snaplen: Option<u32>,
}

impl Default for CaptureOptions {
    fn default() -> Self {
        Self { interface: "wirestack".to_string(), origin: Duration::ZERO, cut: false, snaplen: None }
    }
}

impl CaptureOptions {
    /// Timestamps by the clock on the wall, given what time it is for the stack now.
    #[must_use]
    pub fn wall_clock(mut self, now: Instant) -> Self {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.origin = wall.saturating_sub(now.since(Instant::ZERO));
        self
    }
}

/// What a capture wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaptureCounters {
    /// Packets in the file.
    pub written: u64,
    /// Packets that are missing because writing failed.
    pub lost: u64,
}

/// A device around a device that writes everything that passes.
#[derive(Debug)]
pub struct Capture<D, W: Write> {
    inner: D,
    file: Arc<Mutex<File<W>>>,
}

/// A hold on the file of a [`Capture`], for whoever cannot reach the device any more.
#[derive(Debug)]
pub struct CaptureHandle<W: Write>(Arc<Mutex<File<W>>>);

impl<W: Write> Clone for CaptureHandle<W> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

#[derive(Debug)]
struct File<W: Write> {
    writer: PcapngWriter<W>,
    interface: u32,
    options: CaptureOptions,
    medium: Medium,
    counters: CaptureCounters,
    /// The first error. Nothing is written after it: half a block may stand at the end of the file.
    error: Option<io::Error>,
}

impl<D: Device, W: Write> Capture<D, W> {
    /// Writes to `out` what passes `inner`. Give it something that buffers
    /// ([`std::io::BufWriter`]): each frame is one write.
    ///
    /// # Errors
    /// The beginning of the file cannot be written.
    pub fn new(inner: D, out: W, options: CaptureOptions) -> io::Result<Self> {
        let medium = inner.capabilities().medium;
        let mut writer = PcapngWriter::new(out, concat!("wirestack ", env!("CARGO_PKG_VERSION")))?;
        let link = match medium {
            Medium::Ethernet => LinkType::Ethernet,
            Medium::Ip => LinkType::RawIp,
        };
        let interface = writer.add_interface(&options.interface, link, options.snaplen.unwrap_or(0))?;
        let counters = CaptureCounters::default();
        let file = File { writer, interface, options, medium, counters, error: None };
        Ok(Self { inner, file: Arc::new(Mutex::new(file)) })
    }

    /// A hold on the file that outlives the device.
    pub fn handle(&self) -> CaptureHandle<W> {
        CaptureHandle(self.file.clone())
    }

    /// The device.
    pub fn inner(&self) -> &D {
        &self.inner
    }
}

impl<W: Write> CaptureHandle<W> {
    /// Writes what is buffered, and tells what became of the file: the first error there was, or what
    /// was written. May be called while the device still runs, and more than once.
    ///
    /// # Errors
    /// The first error of the writer, at every call. Packets since then are lost
    /// ([`CaptureHandle::counters`] says how many).
    pub fn finish(&self) -> io::Result<CaptureCounters> {
        let mut f = lock(&self.0);
        if let Some(e) = &f.error {
            return Err(again(e));
        }
        match f.writer.flush() {
            Ok(()) => Ok(f.counters),
            Err(e) => {
                let told = again(&e);
                f.error = Some(e);
                Err(told)
            }
        }
    }

    /// How many packets were written, and how many were lost because writing failed.
    pub fn counters(&self) -> CaptureCounters {
        lock(&self.0).counters
    }
}

/// The same error once more: io::Error cannot be cloned.
fn again(e: &io::Error) -> io::Error {
    match e.raw_os_error() {
        Some(n) => io::Error::from_raw_os_error(n),
        None => io::Error::new(e.kind(), e.to_string()),
    }
}

fn lock<W: Write>(file: &Mutex<File<W>>) -> MutexGuard<'_, File<W>> {
    file.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Pieces of a frame that are written without joining them first; two more when a checksum is put in.
const MAX_PIECES: usize = 64;

impl<W: Write> File<W> {
    fn timestamp(&self, now: Instant) -> u64 {
        now.as_nanos().saturating_add(nanos(self.options.origin))
    }

    /// A frame with what is still to be done to it.
    fn record(
        &mut self,
        now: Instant,
        direction: Direction,
        pieces: &[&[u8]],
        checksum: Option<PartialChecksum>,
        gso: Option<Gso>,
    ) {
        if let (Some(gso), true) = (gso, self.options.cut) {
            let whole = pieces.concat();
            let medium = self.medium;
            if segment::tcp(&whole, medium, gso, |frame| self.write(now, direction, &[frame])) > 0 {
                return;
            }
        }
        let Some(c) = checksum else { return self.write(now, direction, pieces) };
        let field = usize::from(c.start) + usize::from(c.offset);
        let first = pieces.first().copied().unwrap_or_default();
        if field + 2 <= first.len() && pieces.len() <= MAX_PIECES {
            let sum = segment::completed(pieces.iter().copied(), c).to_be_bytes();
            let mut parts = [&[][..]; MAX_PIECES + 2];
            (parts[0], parts[1], parts[2]) = (&first[..field], &sum, &first[field + 2..]);
            parts[3..pieces.len() + 2].copy_from_slice(&pieces[1..]);
            self.write(now, direction, &parts[..pieces.len() + 2]);
        } else {
            let mut whole = pieces.concat();
            crate::link::offload::complete_checksum(&mut whole, c);
            self.write(now, direction, &[&whole]);
        }
    }

    fn write(&mut self, now: Instant, direction: Direction, pieces: &[&[u8]]) {
        if self.error.is_some() {
            self.counters.lost += 1;
            return;
        }
        let len: usize = pieces.iter().map(|p| p.len()).sum();
        let record = PacketRecord {
            interface: self.interface,
            timestamp: self.timestamp(now),
            direction: Some(direction),
            data: pieces,
            original_len: Some(len),
            comments: &[],
        };
        let written = match self.options.snaplen.map(|n| n as usize) {
            Some(most) if len > most => {
                let mut whole: Vec<u8> = pieces.concat();
                whole.truncate(most);
                self.writer.write_packet(&PacketRecord { data: &[&whole], ..record })
            }
            _ => self.writer.write_packet(&record),
        };
        match written {
            Ok(()) => self.counters.written += 1,
            Err(e) => {
                self.counters.lost += 1;
                self.error = Some(e);
            }
        }
    }
}

impl<W: Write> Drop for File<W> {
    fn drop(&mut self) {
        // Nobody is left to be told; `finish` is for those who want to know.
        let _ = self.writer.flush();
    }
}

impl<D: Device, W: Write> Device for Capture<D, W> {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn receive(&mut self, now: Instant) -> Result<Option<Received>, Errno> {
        let got = self.inner.receive(now)?;
        if let Some(r) = &got {
            let checksum = match r.offload.checksum {
                RxChecksum::Partial(p) => Some(p),
                RxChecksum::Unknown | RxChecksum::Verified => None,
            };
            lock(&self.file).record(now, Direction::Inbound, &[&r.chunk], checksum, r.offload.gso);
        }
        Ok(got)
    }

    /// Written only if the device took it.
    fn transmit(&mut self, now: Instant, frame: &TxFrame<'_>) -> Result<(), TxError> {
        self.inner.transmit(now, frame)?;
        let mut pieces = [&[][..]; MAX_PIECES];
        let count = frame.payload.len() + 1;
        let mut file = lock(&self.file);
        let (checksum, gso) = (frame.offload.checksum, frame.offload.gso);
        if count <= MAX_PIECES {
            pieces[0] = frame.header;
            pieces[1..count].copy_from_slice(frame.payload);
            file.record(now, Direction::Outbound, &pieces[..count], checksum, gso);
        } else {
            let payload = frame.payload.concat();
            file.record(now, Direction::Outbound, &[frame.header, &payload], checksum, gso);
        }
        Ok(())
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.inner.next_deadline()
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.inner.as_fd()
    }
}

#[cfg(test)]
mod tests;
