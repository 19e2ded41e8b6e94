//! The system calls that want `unsafe`.
#![allow(unsafe_code)]

use rustix::io::{Errno, Result};
use rustix::thread::{LinkNameSpaceType, UnshareFlags};
use std::ffi::{c_int, c_short};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;

/// Moves the calling thread into a new network namespace.
pub(crate) fn unshare_network() -> Result<()> {
    // SAFETY: only the network namespace is unshared, no table of descriptors that other threads
    // believe to share.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }
}

/// Moves the calling process, which must have a single thread, into a new user namespace.
pub(crate) fn unshare_user() -> Result<()> {
    // SAFETY: as above; the kernel refuses this one with EINVAL in a process with several threads.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWUSER) }
}

/// The network namespace of the calling thread.
pub(crate) fn current_namespace() -> Result<OwnedFd> {
    use rustix::fs::{Mode, OFlags};
    rustix::fs::open("/proc/thread-self/ns/net", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}

/// Moves the calling thread into a network namespace.
pub(crate) fn enter(ns: BorrowedFd<'_>) -> Result<()> {
    rustix::thread::move_into_link_name_space(ns, Some(LinkNameSpaceType::Network))
}

/// A socket for interface ioctls (netdevice(7)) in the namespace of the calling thread.
pub(crate) fn control_socket() -> Result<OwnedFd> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
    socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
}

/// Makes `command` start inside `ns` and be killed when the thread that starts it ends.
pub(crate) fn start_in(command: &mut Command, ns: Arc<OwnedFd>) {
    let parent = rustix::process::getpid();
    let setup = move || {
        enter(ns.as_fd())?;
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        // The parent may have died before the line above; then nobody would kill this child.
        if rustix::process::getppid() != Some(parent) {
            return Err(std::io::Error::from(Errno::SRCH));
        }
        Ok(())
    };
    // SAFETY: between fork and exec the closure makes three system calls and nothing else: it
    // neither allocates nor takes a lock. (`io::Error::from` an errno does not allocate.)
    unsafe { command.pre_exec(setup) };
}

/// `struct ethtool_value` (linux/ethtool.h).
#[repr(C)]
struct EthtoolValue {
    cmd: u32,
    data: u32,
}

/// `struct ifreq` (netdevice(7)) with the pointer member of its union, padded to the union's size.
#[repr(C)]
struct IfreqData {
    name: [u8; libc::IFNAMSIZ],
    data: *mut EthtoolValue,
    _rest: [u8; 16],
}

/// `struct ifreq` with the flags member of its union.
#[repr(C)]
struct IfreqFlags {
    name: [u8; libc::IFNAMSIZ],
    flags: c_short,
    _rest: [u8; 22],
}

const _: () = assert!(size_of::<IfreqData>() == size_of::<libc::ifreq>());
const _: () = assert!(size_of::<IfreqFlags>() == size_of::<libc::ifreq>());

/// Sets an on-or-off feature of an interface by its `ETHTOOL_S...` number.
pub(crate) fn ethtool_set(control: BorrowedFd<'_>, interface: &str, cmd: u32, on: bool) -> Result<()> {
    let mut value = EthtoolValue { cmd, data: u32::from(on) };
    let mut request = IfreqData { name: ifname(interface)?, data: &raw mut value, _rest: [0; 16] };
    // SAFETY: SIOCETHTOOL takes a struct ifreq whose ifr_data points to the command's structure,
    // which for the ETHTOOL_S* value commands is struct ethtool_value; both outlive the call.
    let result =
        unsafe { libc::ioctl(control.as_raw_fd(), libc::SIOCETHTOOL as libc::Ioctl, &raw mut request) };
    check(result)
}

/// The flags (`IFF_...`) of an interface.
pub(crate) fn flags(control: BorrowedFd<'_>, interface: &str) -> Result<c_short> {
    let mut request = IfreqFlags { name: ifname(interface)?, flags: 0, _rest: [0; 22] };
    // SAFETY: SIOCGIFFLAGS fills ifr_flags of a struct ifreq, which outlives the call.
    check(unsafe { libc::ioctl(control.as_raw_fd(), libc::SIOCGIFFLAGS as libc::Ioctl, &raw mut request) })?;
    Ok(request.flags)
}

/// Sets or clears flags of an interface.
pub(crate) fn change_flags(
    control: BorrowedFd<'_>,
    interface: &str,
    set: c_short,
    clear: c_short,
) -> Result<()> {
    let flags = (flags(control, interface)? | set) & !clear;
    let mut request = IfreqFlags { name: ifname(interface)?, flags, _rest: [0; 22] };
    // SAFETY: SIOCSIFFLAGS reads ifr_flags of a struct ifreq, which outlives the call.
    check(unsafe { libc::ioctl(control.as_raw_fd(), libc::SIOCSIFFLAGS as libc::Ioctl, &raw mut request) })
}

/// A name as `struct ifreq` holds it. One that does not fit cannot be the name of an interface.
fn ifname(name: &str) -> Result<[u8; libc::IFNAMSIZ]> {
    let mut out = [0; libc::IFNAMSIZ];
    if name.is_empty() || name.len() >= out.len() || name.contains('\0') {
        return Err(Errno::NODEV);
    }
    out[..name.len()].copy_from_slice(name.as_bytes());
    Ok(out)
}

fn check(result: c_int) -> Result<()> {
    if result < 0 {
        Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
    } else {
        Ok(())
    }
}
