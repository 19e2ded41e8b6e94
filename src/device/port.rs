//! What TAP and AF_PACKET have in common: a descriptor that gives and takes one frame a call, with
//! or without a virtio header.

use super::{DeviceCounters, segment, vnet};
use crate::buf::{Pool, PoolBuf};
use crate::link::{Medium, Received, RxOffload, TxFrame};
use rustix::io::Errno as SysErrno;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::vec::Vec;

/// The largest frame: an IP packet of 64 KiB, Ethernet, two VLAN tags, the virtio header. A few
/// octets more, so that a frame that fills the buffer is known to have been cut.
pub(super) const SUPER_BUFFER: usize = 65_535 + 14 + 8 + vnet::LEN + 1;
/// Frames that are refused in one call of `receive` before it says "nothing there": a flood of
/// nonsense must not hold the caller.
const MAX_SKIP: usize = 64;
/// Pieces of a frame that one call takes without joining them first.
const MAX_PIECES: usize = 64;
/// Octets that the pool may keep for reuse.
const POOL_OCTETS: usize = 8 << 20;

/// One read into a buffer: how long the frame was, which may be more than was read.
type Read = fn(BorrowedFd<'_>, &mut [u8]) -> Result<usize, SysErrno>;

/// Why the kernel did not take a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteError {
    Busy,
    Failed(SysErrno),
}

#[derive(Debug)]
pub(super) struct Port {
    fd: OwnedFd,
    vnet: bool,
    read: Read,
    pool: Pool,
    /// A buffer that was taken and not filled.
    spare: Option<PoolBuf>,
    /// Datagrams of a UDP super-frame that were not handed out yet.
    cut: VecDeque<Received>,
    /// Where a frame in very many pieces is joined.
    joined: Vec<u8>,
    pub(super) counters: DeviceCounters,
}

impl Port {
    pub(super) fn new(fd: OwnedFd, vnet: bool, read: Read, buffer: usize) -> Self {
        Self {
            fd,
            vnet,
            read,
            pool: Pool::new(buffer, POOL_OCTETS / buffer),
            spare: None,
            cut: VecDeque::new(),
            joined: Vec::new(),
            counters: DeviceCounters::default(),
        }
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The next frame. The error is the kernel's; "nothing there" is `Ok(None)`.
    pub(super) fn receive(&mut self) -> Result<Option<Received>, SysErrno> {
        if let Some(r) = self.cut.pop_front() {
            return Ok(Some(r));
        }
        for _ in 0..MAX_SKIP {
            let mut buf = self.spare.take().unwrap_or_else(|| self.pool.take());
            let got = loop {
                match (self.read)(self.fd.as_fd(), buf.as_mut_slice()) {
                    Err(SysErrno::INTR) => {}
                    other => break other,
                }
            };
            match got {
                Ok(n) if n >= self.pool.buffer_size() => {
                    self.spare = Some(buf);
                    self.counters.rx_truncated += 1;
                }
                Ok(n) => {
                    if let Some(r) = self.accept(buf, n) {
                        return Ok(Some(r));
                    }
                }
                // A packet socket says EINVAL for a super-frame of a kind that the header has no
                // number for; it is gone, the next one is fine.
                Err(SysErrno::INVAL) => {
                    self.spare = Some(buf);
                    self.counters.rx_unsupported += 1;
                }
                Err(e) => {
                    self.spare = Some(buf);
                    return if e == SysErrno::AGAIN { Ok(None) } else { Err(e) };
                }
            }
        }
        Ok(None)
    }

    /// Takes the header off a frame that was read.
    fn accept(&mut self, mut buf: PoolBuf, len: usize) -> Option<Received> {
        if !self.vnet {
            return Some(Received { chunk: self.pool.freeze(buf, len), offload: RxOffload::default() });
        }
        let header: [u8; vnet::LEN] = *buf.as_mut_slice().first_chunk()?;
        let decoded = match len.checked_sub(vnet::LEN).map(|n| vnet::decode(&header, n)) {
            Some(Ok(d)) => d,
            Some(Err(vnet::Unsupported)) | None => {
                self.spare = Some(buf);
                self.counters.rx_unsupported += 1;
                return None;
            }
        };
        let mut chunk = self.pool.freeze(buf, len);
        chunk.advance(vnet::LEN);
        match decoded {
            vnet::Decoded::Frame(offload) => Some(Received { chunk, offload }),
            vnet::Decoded::UdpSuper { size, .. } => {
                let cut = &mut self.cut;
                let n = segment::udp(&chunk, Medium::Ethernet, size, |frame| {
                    let chunk = crate::buf::Chunk::copy_from(frame);
                    cut.push_back(Received { chunk, offload: RxOffload::default() });
                });
                self.counters.rx_unsupported += u64::from(n == 0);
                self.cut.pop_front()
            }
        }
    }

    /// Sends a frame with one call. What the kernel will never take, it counts and forgets.
    pub(super) fn transmit(&mut self, frame: &TxFrame<'_>) -> Result<(), WriteError> {
        let sent = loop {
            match self.write(frame) {
                Err(SysErrno::INTR) => {}
                other => break other,
            }
        };
        match sent {
            Ok(_) => Ok(()),
            Err(SysErrno::AGAIN) => Err(WriteError::Busy),
            Err(SysErrno::NOBUFS | SysErrno::NOMEM) => {
                self.counters.tx_dropped += 1;
                Ok(())
            }
            Err(SysErrno::INVAL | SysErrno::MSGSIZE) => {
                self.counters.tx_rejected += 1;
                Ok(())
            }
            Err(e) => Err(WriteError::Failed(e)),
        }
    }

    fn write(&mut self, frame: &TxFrame<'_>) -> Result<usize, SysErrno> {
        let header = vnet::encode(&frame.offload, frame.header.len());
        let mut slices = [IoSlice::new(&[]); MAX_PIECES + 2];
        slices[0] = IoSlice::new(&header);
        slices[1] = IoSlice::new(frame.header);
        let mut count = 2 + frame.payload.len();
        if frame.payload.len() <= MAX_PIECES {
            for (to, piece) in slices[2..].iter_mut().zip(frame.payload) {
                *to = IoSlice::new(piece);
            }
        } else {
            self.joined.clear();
            frame.payload.iter().for_each(|p| self.joined.extend_from_slice(p));
            slices[2] = IoSlice::new(&self.joined);
            count = 3;
        }
        rustix::io::writev(&self.fd, &slices[usize::from(!self.vnet)..count])
    }
}
