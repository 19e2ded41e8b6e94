//! TAP: an Ethernet interface of the kernel whose cable ends in this process
//! (Documentation/networking/tuntap.rst).
//!
//! With a virtio header ([`TapOptions::vnet_hdr`]) the unit of a call is up to 64 KiB, which is what
//! makes such a stack fast (DESIGN D3): the kernel hands over what its TCP would have given to a
//! network card that segments, and takes the same.
//!
//! The interface is made with three ioctls of our own. The crate tun-rs makes TAPs too, but with
//! `offload` it also asks for UDP super-frames, which the machine has no unit for, it does not ask
//! for `TUN_F_TSO_ECN` nor set the length of the virtio header (a persistent TAP keeps the one of its
//! former owner), and it creates /dev/net/tun with mknod(2) if it is missing. All that would have to
//! be undone right after it, for one `TUNSETIFF` saved.
//!
//! Two hosts are on the cable: the kernel with its MAC address ([`Tap::kernel_mac`]) and the stack,
//! which needs one of its own ([`Tap::peer_mac`]). The addresses of the kernel's side (`ip addr add`)
//! are not the device's business.

use super::port::{Port, SUPER_BUFFER, WriteError};
use super::{DeviceCounters, DeviceError, derive_mac, sys, vnet};
use crate::errno::Errno;
use crate::link::{Capabilities, Device, Medium, Received, TxError, TxFrame};
use crate::time::Instant;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno as SysErrno;
use std::format;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::string::String;

/// How to open a [`Tap`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TapOptions {
    /// Exchange super-segments and partial checksums with the kernel. Default: yes.
    pub vnet_hdr: bool,
    /// Set this MTU, 68 to 65521. Default: leave the one it has (1500 for a new interface).
    pub mtu: Option<u16>,
    /// Bring the interface up. Default: yes.
    pub up: bool,
    /// Leave the interface there when the device is closed. Default: no.
    pub persistent: bool,
}

impl Default for TapOptions {
    fn default() -> Self {
        Self { vnet_hdr: true, mtu: None, up: true, persistent: false }
    }
}

/// The other end of a TAP interface. Closing it removes the interface unless it is persistent.
#[derive(Debug)]
pub struct Tap {
    port: Port,
    name: String,
    kernel_mac: [u8; 6],
    capabilities: Capabilities,
}

impl Tap {
    /// Attaches to the TAP interface `name`, in the network namespace of the calling thread. An
    /// interface that does not exist is made; `%d` in the name becomes the first free number.
    ///
    /// # Errors
    /// One sentence each: no /dev/net/tun; no privilege (`EPERM`, `EACCES`); somebody else is attached
    /// (`EBUSY`); an interface of that name is no TAP (`EINVAL`); a name that is empty or longer than
    /// 15 octets (`EINVAL`); an MTU that the kernel refuses.
    pub fn open(name: &str, options: &TapOptions) -> Result<Self, DeviceError> {
        check_name(name)?;
        let fd = rustix::fs::open(
            "/dev/net/tun",
            OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(no_tun)?;
        let mut flags = libc::IFF_TAP | libc::IFF_NO_PI;
        if options.vnet_hdr {
            flags |= libc::IFF_VNET_HDR;
        }
        let name = sys::tun_attach(fd.as_fd(), name, flags).map_err(|e| attach_failed(name, e))?;
        Self::set_up(fd, name, options)
    }

    fn set_up(fd: OwnedFd, name: String, options: &TapOptions) -> Result<Self, DeviceError> {
        let failed = |what: &str, e: SysErrno| {
            let hint = if e == SysErrno::PERM { ": it needs CAP_NET_ADMIN, run as root" } else { "" };
            DeviceError::new(sys::errno(e), format!("cannot {what} of the TAP interface {name:?}: {e}{hint}"))
        };
        let mut offloads = 0;
        if options.vnet_hdr {
            offloads = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN;
            sys::tun_set_vnet_header_size(fd.as_fd(), vnet::LEN as i32)
                .map_err(|e| failed("set the virtio header", e))?;
        }
        // Without a virtio header too: a persistent TAP keeps the offloads of its former owner.
        sys::tun_set_offload(fd.as_fd(), offloads).map_err(|e| failed("set the offloads", e))?;
        if options.persistent {
            sys::tun_set_persist(fd.as_fd(), true).map_err(|e| failed("set the persistence", e))?;
        }
        let control = sys::control_socket().map_err(|e| failed("ask for the state", e))?;
        let control = control.as_fd();
        let mtu = || sys::interface_mtu(control, &name).map_err(|e| failed("read the MTU", e));
        // Both only when something changes: the owner of a persistent TAP may lack the privilege.
        if let Some(wanted) = options.mtu.map(i32::from)
            && wanted != mtu()?
        {
            sys::set_interface_mtu(control, &name, wanted)
                .map_err(|e| failed(&format!("set the MTU {wanted}"), e))?;
        }
        let is_up = sys::interface_is_up(control, &name).map_err(|e| failed("read the state", e))?;
        if options.up && !is_up {
            sys::set_interface_up(control, &name, true).map_err(|e| failed("change the state (up)", e))?;
        }
        let (_, kernel_mac) =
            sys::interface_hardware(control, &name).map_err(|e| failed("read the MAC address", e))?;
        let mtu = usize::try_from(mtu()?).unwrap_or(0).clamp(68, 65_535);
        let capabilities = Capabilities {
            medium: Medium::Ethernet,
            mtu,
            max_gso: if options.vnet_hdr { 65_535 } else { 0 },
            tx_checksum: options.vnet_hdr,
        };
        let buffer = if options.vnet_hdr { SUPER_BUFFER } else { mtu + 14 + 8 + 1 };
        let read = |fd: BorrowedFd<'_>, buf: &mut [u8]| rustix::io::read(fd, buf);
        Ok(Self { port: Port::new(fd, options.vnet_hdr, read, buffer), name, kernel_mac, capabilities })
    }

    /// The name of the interface.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The MAC address that the kernel uses on the interface.
    pub fn kernel_mac(&self) -> [u8; 6] {
        self.kernel_mac
    }

    /// A MAC address for the stack: stable for the name, and not the kernel's.
    pub fn peer_mac(&self) -> [u8; 6] {
        derive_mac(&self.name, self.kernel_mac)
    }

    /// What happened to frames that could not be passed on.
    pub fn counters(&self) -> DeviceCounters {
        self.port.counters
    }
}

impl Device for Tap {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// # Errors
    /// `ENODEV`: the interface was deleted.
    fn receive(&mut self, _now: Instant) -> Result<Option<Received>, Errno> {
        self.port.receive().map_err(gone)
    }

    /// # Errors
    /// `ENETDOWN`: the interface is down; it may come up again. `ENODEV`: it was deleted.
    fn transmit(&mut self, _now: Instant, frame: &TxFrame<'_>) -> Result<(), TxError> {
        self.port.transmit(frame).map_err(|e| match e {
            WriteError::Busy => TxError::Busy,
            WriteError::Failed(e) => TxError::Failed(gone(e)),
        })
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.port.fd())
    }
}

/// The errors of a TAP descriptor by better names.
fn gone(e: SysErrno) -> Errno {
    match e {
        // A write while the interface is down.
        SysErrno::IO => Errno::ENETDOWN,
        // A read that the deletion of the interface interrupted.
        SysErrno::FAULT => Errno::ENODEV,
        e => sys::errno(e),
    }
}

/// Refuses names that the kernel would refuse with less to say.
fn check_name(name: &str) -> Result<(), DeviceError> {
    let wrong = if name.is_empty() {
        "is empty"
    } else if name.len() >= sys::NAME_SIZE {
        "is too long"
    } else if name == "." || name == ".." || name.bytes().any(|b| b == b'/' || b <= b' ') {
        "holds a character that no interface name may hold"
    } else {
        return Ok(());
    };
    Err(DeviceError::new(
        Errno::EINVAL,
        format!("the interface name {name:?} {wrong}: give 1 to 15 letters, digits, '-' or '_'"),
    ))
}

fn no_tun(e: SysErrno) -> DeviceError {
    let text = match e {
        SysErrno::NOENT | SysErrno::NODEV | SysErrno::NXIO => {
            "there is no TUN/TAP driver at /dev/net/tun: load it with `modprobe tun`, or give the container the device"
        }
        SysErrno::ACCESS | SysErrno::PERM => {
            "/dev/net/tun may not be opened by this user: run as root, or allow it for the user"
        }
        _ => "/dev/net/tun cannot be opened",
    };
    DeviceError::new(sys::errno(e), text)
}

fn attach_failed(name: &str, e: SysErrno) -> DeviceError {
    let exists = || sys::control_socket().is_ok_and(|s| sys::interface_index(s.as_fd(), name).is_ok());
    let text = match e {
        SysErrno::PERM => format!(
            "making the TAP interface {name:?} needs the capability CAP_NET_ADMIN: run as root, or have root \
             give this user one with `ip tuntap add dev {name} mode tap user USER`"
        ),
        SysErrno::BUSY => format!(
            "the TAP interface {name:?} is in use by another process: end that one, or choose another name"
        ),
        SysErrno::INVAL if exists() => {
            format!("{name:?} exists and is not a TAP interface with one queue: choose another name")
        }
        _ => format!("the TAP interface {name:?} cannot be made: {e}"),
    };
    DeviceError::new(sys::errno(e), text)
}
