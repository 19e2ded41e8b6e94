//! What a device is: where frames come from and go to, and what it can do by itself.

use super::frame::{Received, TxFrame};
use crate::errno::Errno;
use crate::time::Instant;

/// What a frame on the device begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Medium {
    /// An Ethernet header; neighbours are found by ARP and NDP.
    Ethernet,
    /// The IP header (TUN and point-to-point links); there are no neighbours.
    Ip,
}

/// What a device can do. What it cannot is done in software, in one place (`link::offload`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// What frames begin with.
    pub medium: Medium,
    /// Largest IP packet on the link, in octets: 68 (IPv4) or 1280 (IPv6) to 65535.
    pub mtu: usize,
    /// Largest IP packet of a super-segment that the device cuts by itself; 0 if it cannot.
    pub max_gso: usize,
    /// The device completes transport checksums of frames sent.
    pub tx_checksum: bool,
}

impl Capabilities {
    /// A plain Ethernet device: MTU 1500, everything else in software.
    pub const ETHERNET: Self = Self { medium: Medium::Ethernet, mtu: 1500, max_gso: 0, tx_checksum: false };
}

/// Why a device did not take a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TxError {
    /// Not now: its queue is full. Try again when it is writable.
    Busy,
    /// The device is gone or broken.
    Failed(Errno),
}

/// A device: plain calls that never block. Middleware (impairment, capture) is a device around a
/// device.
pub trait Device {
    /// What it can do. Constant while the device lives.
    fn capabilities(&self) -> Capabilities;

    /// The next frame that arrived by `now`; `None` if there is none.
    ///
    /// # Errors
    /// The device is gone or broken (`EIO`, `ENODEV`, `ENETDOWN`, ...).
    fn receive(&mut self, now: Instant) -> Result<Option<Received>, Errno>;

    /// Sends a frame.
    ///
    /// # Errors
    /// [`TxError::Busy`]: the caller keeps the frame. [`TxError::Failed`]: the device is gone.
    fn transmit(&mut self, now: Instant, frame: &TxFrame<'_>) -> Result<(), TxError>;

    /// When the device wants to be asked again although nothing arrived from outside: a frame that an
    /// impairment holds back becomes due then.
    fn next_deadline(&self) -> Option<Instant> {
        None
    }

    /// A descriptor to wait on for readability and writability, if the device has one.
    #[cfg(feature = "std")]
    fn as_fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        None
    }
}

impl<D: Device + ?Sized> Device for alloc::boxed::Box<D> {
    fn capabilities(&self) -> Capabilities {
        (**self).capabilities()
    }
    fn receive(&mut self, now: Instant) -> Result<Option<Received>, Errno> {
        (**self).receive(now)
    }
    fn transmit(&mut self, now: Instant, frame: &TxFrame<'_>) -> Result<(), TxError> {
        (**self).transmit(now, frame)
    }
    fn next_deadline(&self) -> Option<Instant> {
        (**self).next_deadline()
    }
    #[cfg(feature = "std")]
    fn as_fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        (**self).as_fd()
    }
}
