//! The system calls that no crate wraps safely: TUN and interface ioctls, options and binding of
//! packet sockets. tun-rs was looked at for the former and left (see [`super::tap`]).
#![allow(unsafe_code)]

use crate::errno::Errno;
use core::mem;
use libc::{c_int, c_ulong, ifreq};
use rustix::io::Errno as SysErrno;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Octets of an interface name with its final NUL.
pub(super) const NAME_SIZE: usize = libc::IFNAMSIZ;

/// Packet socket options that the libc crate lacks (linux/if_packet.h).
pub(super) const PACKET_VNET_HDR: c_int = 15;
pub(super) const PACKET_IGNORE_OUTGOING: c_int = 23;

type Result<T> = core::result::Result<T, SysErrno>;

fn check(r: c_int) -> Result<c_int> {
    if r < 0 { Err(last_error()) } else { Ok(r) }
}

fn last_error() -> SysErrno {
    SysErrno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(SysErrno::IO)
}

/// The same error by the name that the sockets use. What has no name there is `EIO`.
pub(super) fn errno(e: SysErrno) -> Errno {
    match e {
        SysErrno::PERM => Errno::EPERM,
        SysErrno::NXIO => Errno::ENXIO,
        SysErrno::BADF => Errno::EBADF,
        SysErrno::NOMEM => Errno::ENOMEM,
        SysErrno::ACCESS => Errno::EACCES,
        SysErrno::FAULT => Errno::EFAULT,
        SysErrno::BUSY => Errno::EBUSY,
        SysErrno::EXIST => Errno::EEXIST,
        // The descriptor of a TAP whose interface was deleted says "in bad state".
        SysErrno::NODEV | SysErrno::NOENT | SysErrno::BADFD => Errno::ENODEV,
        SysErrno::INVAL => Errno::EINVAL,
        SysErrno::MFILE | SysErrno::NFILE => Errno::EMFILE,
        SysErrno::NOTTY => Errno::ENOTTY,
        SysErrno::MSGSIZE => Errno::EMSGSIZE,
        SysErrno::NOPROTOOPT => Errno::ENOPROTOOPT,
        SysErrno::OPNOTSUPP => Errno::EOPNOTSUPP,
        SysErrno::AFNOSUPPORT => Errno::EAFNOSUPPORT,
        SysErrno::NETDOWN => Errno::ENETDOWN,
        SysErrno::NETUNREACH => Errno::ENETUNREACH,
        SysErrno::NOBUFS => Errno::ENOBUFS,
        _ => Errno::EIO,
    }
}

/// An interface request with a name; `None` if the name is too long for the kernel.
fn request(name: &str) -> Option<ifreq> {
    if name.len() >= NAME_SIZE {
        return None;
    }
    // SAFETY: ifreq is a C struct of integers and a union of them; all zeros is a valid value.
    let mut req: ifreq = unsafe { mem::zeroed() };
    for (to, from) in req.ifr_name.iter_mut().zip(name.as_bytes()) {
        *to = *from as libc::c_char;
    }
    Some(req)
}

/// An ioctl that takes a pointer to an interface request and may write to it.
fn ioctl_ifreq(fd: BorrowedFd<'_>, op: c_ulong, req: &mut ifreq) -> Result<()> {
    // SAFETY: the descriptor is open, `req` is valid for reads and writes, and every `op` that this
    // module passes takes a struct ifreq.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), op as _, core::ptr::from_mut(req)) }).map(drop)
}

/// TUNSETIFF: makes the descriptor of /dev/net/tun the other end of the interface `name` (which may
/// hold `%d`); returns the name that it has.
pub(super) fn tun_attach(fd: BorrowedFd<'_>, name: &str, flags: c_int) -> Result<std::string::String> {
    let mut req = request(name).ok_or(SysErrno::NAMETOOLONG)?;
    req.ifr_ifru.ifru_flags = flags as libc::c_short;
    ioctl_ifreq(fd, libc::TUNSETIFF as c_ulong, &mut req)?;
    let octets = req.ifr_name.iter().map(|&c| c as u8).take_while(|&c| c != 0).collect();
    std::string::String::from_utf8(octets).map_err(|_| SysErrno::INVAL)
}

/// TUNSETOFFLOAD: which super-segments and partial checksums the kernel may pass (`TUN_F_*`).
pub(super) fn tun_set_offload(fd: BorrowedFd<'_>, flags: u32) -> Result<()> {
    // SAFETY: the descriptor is open and the argument is a plain number.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETOFFLOAD as _, c_ulong::from(flags)) }).map(drop)
}

/// TUNSETVNETHDRSZ: the length of the virtio header.
pub(super) fn tun_set_vnet_header_size(fd: BorrowedFd<'_>, len: c_int) -> Result<()> {
    // SAFETY: the descriptor is open and the argument points to an int that lives through the call.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETVNETHDRSZ as _, &raw const len) }).map(drop)
}

/// TUNSETPERSIST: whether the interface outlives the descriptor.
pub(super) fn tun_set_persist(fd: BorrowedFd<'_>, on: bool) -> Result<()> {
    // SAFETY: the descriptor is open and the argument is a plain number.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETPERSIST as _, c_ulong::from(on)) }).map(drop)
}

/// A socket to ask about interfaces with; it lives in the network namespace of the calling thread.
pub(super) fn control_socket() -> Result<OwnedFd> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
    socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
}

fn interface_ioctl(fd: BorrowedFd<'_>, name: &str, op: c_ulong) -> Result<ifreq> {
    let mut req = request(name).ok_or(SysErrno::NODEV)?;
    ioctl_ifreq(fd, op, &mut req)?;
    Ok(req)
}

/// The index of an interface.
pub(super) fn interface_index(fd: BorrowedFd<'_>, name: &str) -> Result<c_int> {
    let req = interface_ioctl(fd, name, libc::SIOCGIFINDEX as c_ulong)?;
    // SAFETY: SIOCGIFINDEX fills this member of the union; it is an integer.
    Ok(unsafe { req.ifr_ifru.ifru_ifindex })
}

/// The MTU of an interface.
pub(super) fn interface_mtu(fd: BorrowedFd<'_>, name: &str) -> Result<c_int> {
    let req = interface_ioctl(fd, name, libc::SIOCGIFMTU as c_ulong)?;
    // SAFETY: SIOCGIFMTU fills this member of the union; it is an integer.
    Ok(unsafe { req.ifr_ifru.ifru_mtu })
}

/// Sets the MTU of an interface.
pub(super) fn set_interface_mtu(fd: BorrowedFd<'_>, name: &str, mtu: c_int) -> Result<()> {
    let mut req = request(name).ok_or(SysErrno::NODEV)?;
    req.ifr_ifru.ifru_mtu = mtu;
    ioctl_ifreq(fd, libc::SIOCSIFMTU as c_ulong, &mut req)
}

/// The hardware address of an interface and its type (`ARPHRD_*`).
pub(super) fn interface_hardware(fd: BorrowedFd<'_>, name: &str) -> Result<(u16, [u8; 6])> {
    let req = interface_ioctl(fd, name, libc::SIOCGIFHWADDR as c_ulong)?;
    // SAFETY: SIOCGIFHWADDR fills this member of the union; it holds integers only.
    let addr = unsafe { req.ifr_ifru.ifru_hwaddr };
    let mut mac = [0; 6];
    for (to, from) in mac.iter_mut().zip(addr.sa_data) {
        *to = from as u8;
    }
    Ok((addr.sa_family, mac))
}

/// Is the interface up (`IFF_UP`)?
pub(super) fn interface_is_up(fd: BorrowedFd<'_>, name: &str) -> Result<bool> {
    Ok(interface_flags(fd, name)? & libc::IFF_UP as libc::c_short != 0)
}

fn interface_flags(fd: BorrowedFd<'_>, name: &str) -> Result<libc::c_short> {
    let req = interface_ioctl(fd, name, libc::SIOCGIFFLAGS as c_ulong)?;
    // SAFETY: SIOCGIFFLAGS fills this member of the union; it is an integer.
    Ok(unsafe { req.ifr_ifru.ifru_flags })
}

/// Brings an interface up or down.
pub(super) fn set_interface_up(fd: BorrowedFd<'_>, name: &str, up: bool) -> Result<()> {
    let bit = libc::IFF_UP as libc::c_short;
    let flags = interface_flags(fd, name)?;
    let mut req = request(name).ok_or(SysErrno::NODEV)?;
    req.ifr_ifru.ifru_flags = if up { flags | bit } else { flags & !bit };
    ioctl_ifreq(fd, libc::SIOCSIFFLAGS as c_ulong, &mut req)
}

/// A packet socket, non-blocking, that receives nothing until it is bound.
pub(super) fn packet_socket() -> Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // Protocol 0: a socket made for all protocols would hear every interface until it is bound.
    // SAFETY: plain numbers.
    let fd = check(unsafe { libc::socket(libc::AF_PACKET, kind, 0) })?;
    // SAFETY: the descriptor is new and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sets an option whose value is an int.
pub(super) fn set_option(fd: BorrowedFd<'_>, level: c_int, option: c_int, value: c_int) -> Result<()> {
    set_option_value(fd, level, option, &value)
}

fn set_option_value<T>(fd: BorrowedFd<'_>, level: c_int, option: c_int, value: &T) -> Result<()> {
    // SAFETY: the pointer and the length describe `value`, which lives through the call; `T` is an
    // int or a C struct of integers without padding.
    check(unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            option,
            core::ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    })
    .map(drop)
}

/// struct packet_mreq (packet(7)).
#[repr(C)]
struct Membership {
    index: c_int,
    kind: u16,
    len: u16,
    address: [u8; 8],
}

/// Makes the interface receive frames for any MAC address while the socket lives.
pub(super) fn packet_promiscuous(fd: BorrowedFd<'_>, index: c_int) -> Result<()> {
    let m = Membership { index, kind: libc::PACKET_MR_PROMISC as u16, len: 0, address: [0; 8] };
    set_option_value(fd, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &m)
}

/// Binds a packet socket to all protocols of one interface: from now on it receives.
pub(super) fn packet_bind(fd: BorrowedFd<'_>, index: c_int) -> Result<()> {
    // SAFETY: sockaddr_ll is a C struct of integers; all zeros is a valid value.
    let mut addr: libc::sockaddr_ll = unsafe { mem::zeroed() };
    addr.sll_family = libc::AF_PACKET as u16;
    addr.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    addr.sll_ifindex = index;
    // SAFETY: the pointer and the length describe `addr`, which lives through the call.
    check(unsafe {
        libc::bind(
            fd.as_raw_fd(),
            (&raw const addr).cast(),
            size_of::<libc::sockaddr_ll>() as libc::socklen_t,
        )
    })
    .map(drop)
}

/// Moves the calling thread to a new network namespace, which ends with the last thread, process or
/// descriptor in it.
#[cfg(test)]
pub(super) fn new_network_namespace() -> Result<()> {
    // SAFETY: only FILES would make descriptors invalid in other threads.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }
}
