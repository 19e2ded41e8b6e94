//! AF_PACKET: a raw socket on an interface that exists (packet(7)): a veth, a bridge, a network card.
//!
//! With a virtio header (`PACKET_VNET_HDR`) received super-segments and partial checksums come as
//! they are: on a veth the kernel passes 64 KiB frames whose checksum was never made. Without it such
//! frames look broken; then switch the offloads of the sender off (`ethtool -K IF tso off gso off gro
//! off tx off`).
//!
//! The kernel still sees the same frames. If it has the stack's IP address too, it answers in between
//! (a RST to every TCP segment, for it has no such connection): give the stack an address that the
//! kernel does not have on any interface.
//!
//! Received is what arrives at the interface from outside. The kernel's own frames leave through it
//! and are not seen, so the stack talks to hosts behind the interface, not to the machine it is on.
//! (On a veth the machine is behind it: at the other end.)
//!
//! VLAN tags: the kernel takes the tag off a received frame, and this device does not ask for it; a
//! tagged frame looks like an untagged one. Put the socket on the VLAN's own interface instead.

use super::port::{Port, SUPER_BUFFER, WriteError};
use super::{DeviceCounters, DeviceError, derive_mac, sys};
use crate::errno::Errno;
use crate::link::{Capabilities, Device, Medium, Received, TxError, TxFrame};
use crate::time::Instant;
use rustix::io::Errno as SysErrno;
use rustix::net::RecvFlags;
use std::format;
use std::os::fd::{AsFd, BorrowedFd};
use std::string::String;

/// How to open a [`Packet`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacketOptions {
    /// Exchange super-segments and partial checksums with the kernel if it can. Default: yes.
    pub vnet_hdr: bool,
    /// Receive frames for any MAC address, so that the stack can have one of its own. Default: yes.
    pub promiscuous: bool,
    /// Size of the receive buffer in octets; the kernel doubles it for its own use. Without
    /// CAP_NET_ADMIN it is cut to net.core.rmem_max. Default: 8 MiB.
    pub receive_buffer: u32,
}

impl Default for PacketOptions {
    fn default() -> Self {
        Self { vnet_hdr: true, promiscuous: true, receive_buffer: 8 << 20 }
    }
}

/// A raw socket on an Ethernet interface.
#[derive(Debug)]
pub struct Packet {
    port: Port,
    name: String,
    index: i32,
    kernel_mac: [u8; 6],
    capabilities: Capabilities,
    /// The interface was seen down, and no frame arrived since.
    down: bool,
    /// It was deleted, whatever frames still wait in the socket.
    gone: bool,
}

impl Packet {
    /// Opens a socket on the interface `name`, in the network namespace of the calling thread.
    ///
    /// # Errors
    /// One sentence each: no CAP_NET_RAW (`EPERM`); no such interface (`ENODEV`); the interface is
    /// down (`ENETDOWN`) or is not Ethernet (`EOPNOTSUPP`); the kernel is older than
    /// 4.20 (`ENOPROTOOPT`).
    pub fn open(name: &str, options: &PacketOptions) -> Result<Self, DeviceError> {
        let failed = |what: &str, e: SysErrno| {
            DeviceError::new(sys::errno(e), format!("cannot {what} the interface {name:?}: {e}"))
        };
        let fd = sys::packet_socket().map_err(|e| match e {
            SysErrno::PERM | SysErrno::ACCESS => DeviceError::new(
                Errno::EPERM,
                format!("a raw socket on {name:?} needs the capability CAP_NET_RAW: run as root"),
            ),
            e => failed("open a raw socket on", e),
        })?;
        let control = fd.as_fd();
        let index = sys::interface_index(control, name).map_err(|e| match e {
            SysErrno::NODEV => {
                DeviceError::new(Errno::ENODEV, format!("there is no interface {name:?}: see `ip link`"))
            }
            e => failed("find", e),
        })?;
        let (hardware, kernel_mac) =
            sys::interface_hardware(control, name).map_err(|e| failed("read the MAC address of", e))?;
        // The loopback would give back every frame that is sent.
        if hardware != libc::ARPHRD_ETHER {
            return Err(DeviceError::new(
                Errno::EOPNOTSUPP,
                format!("the interface {name:?} is not an Ethernet interface: choose one that is"),
            ));
        }
        if !sys::interface_is_up(control, name).map_err(|e| failed("read the state of", e))? {
            return Err(DeviceError::new(
                Errno::ENETDOWN,
                format!("the interface {name:?} is down: bring it up with `ip link set {name} up`"),
            ));
        }
        let mtu = sys::interface_mtu(control, name).map_err(|e| failed("read the MTU of", e))?;
        let vnet =
            options.vnet_hdr && sys::set_option(control, libc::SOL_PACKET, sys::PACKET_VNET_HDR, 1).is_ok();
        // Else the socket would receive what the kernel itself sends through the interface, which is
        // nothing that arrived. What the socket sends does not come back to it in any case.
        sys::set_option(control, libc::SOL_PACKET, sys::PACKET_IGNORE_OUTGOING, 1)
            .map_err(|e| failed("leave out sent frames (Linux 4.20 or later) on", e))?;
        set_receive_buffer(control, options.receive_buffer);
        if options.promiscuous {
            sys::packet_promiscuous(control, index)
                .map_err(|e| failed("receive for any MAC address on", e))?;
        }
        sys::packet_bind(control, index).map_err(|e| failed("receive from", e))?;
        let capabilities = Capabilities {
            medium: Medium::Ethernet,
            mtu: usize::try_from(mtu).unwrap_or(0).clamp(68, 65_535),
            max_gso: if vnet { 65_535 } else { 0 },
            tx_checksum: vnet,
        };
        // With MSG_TRUNC the kernel tells the whole length of a frame that it had to cut.
        let read = |fd: BorrowedFd<'_>, buf: &mut [u8]| {
            rustix::net::recv(fd, buf, RecvFlags::TRUNC).map(|(_, len)| len)
        };
        let port = Port::new(fd, vnet, read, SUPER_BUFFER);
        Ok(Self { port, name: name.into(), index, kernel_mac, capabilities, down: false, gone: false })
    }

    /// The name of the interface.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The MAC address of the interface, which the kernel uses.
    pub fn kernel_mac(&self) -> [u8; 6] {
        self.kernel_mac
    }

    /// A MAC address for the stack: stable for the name, and not the kernel's. Frames for it arrive
    /// only with [`PacketOptions::promiscuous`] (or on a veth).
    pub fn peer_mac(&self) -> [u8; 6] {
        derive_mac(&self.name, self.kernel_mac)
    }

    /// What happened to frames that could not be passed on.
    pub fn counters(&self) -> DeviceCounters {
        self.port.counters
    }

    /// The kernel tells one socket call that the interface went down, and nobody that it was deleted
    /// after that: ask.
    fn is_gone(&self) -> bool {
        sys::interface_index(self.port.fd(), &self.name) != Ok(self.index)
    }

    fn failure(&mut self, e: SysErrno) -> Errno {
        match e {
            SysErrno::NXIO => {
                self.gone = true;
                Errno::ENODEV
            }
            SysErrno::NETDOWN => {
                self.down = true;
                self.gone |= self.is_gone();
                if self.gone { Errno::ENODEV } else { Errno::ENETDOWN }
            }
            e => sys::errno(e),
        }
    }
}

/// As large as the kernel allows: a burst of super-segments must fit while the process sleeps.
fn set_receive_buffer(fd: BorrowedFd<'_>, size: u32) {
    let size = i32::try_from(size).unwrap_or(i32::MAX);
    if sys::set_option(fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, size).is_err() {
        // Unprivileged: the kernel cuts it to its limit and does not fail.
        let _ = sys::set_option(fd, libc::SOL_SOCKET, libc::SO_RCVBUF, size);
    }
}

impl Device for Packet {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// # Errors
    /// `ENETDOWN`, told once: the interface went down; it may come up again. `ENODEV`: it was deleted.
    fn receive(&mut self, _now: Instant) -> Result<Option<Received>, Errno> {
        match self.port.receive() {
            Ok(Some(r)) => {
                self.down = false;
                Ok(Some(r))
            }
            Ok(None) if self.gone || (self.down && self.is_gone()) => Err(Errno::ENODEV),
            Ok(None) => Ok(None),
            Err(e) => Err(self.failure(e)),
        }
    }

    /// # Errors
    /// `ENETDOWN`: the interface is down. `ENODEV`: it was deleted.
    fn transmit(&mut self, _now: Instant, frame: &TxFrame<'_>) -> Result<(), TxError> {
        self.port.transmit(frame).map_err(|e| match e {
            WriteError::Busy => TxError::Busy,
            WriteError::Failed(e) => TxError::Failed(self.failure(e)),
        })
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.port.fd())
    }
}
