//! Addresses and results in the shape of C.

use libc::{c_int, sockaddr, sockaddr_in, sockaddr_in6, sockaddr_storage, socklen_t};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use wirestack::Errno;

/// Sets `errno` of this thread and gives -1.
pub(crate) fn fail(e: Errno) -> c_int {
    // SAFETY: __errno_location gives this thread's errno, valid while the thread lives.
    unsafe { *libc::__errno_location() = e.number() };
    -1
}

/// A result as C has it.
pub(crate) fn to_c(r: Result<c_int, Errno>) -> c_int {
    r.unwrap_or_else(fail)
}

/// A count as C has it.
pub(crate) fn to_ssize(r: Result<usize, Errno>) -> isize {
    r.map_or_else(|e| fail(e) as isize, |n| n as isize)
}

/// Reads an address. `None` for AF_UNSPEC.
///
/// # Safety
/// `addr` is null or points to `len` octets.
pub(crate) unsafe fn read(addr: *const sockaddr, len: socklen_t) -> Result<Option<SocketAddr>, Errno> {
    if addr.is_null() {
        return Err(Errno::EFAULT);
    }
    if (len as usize) < size_of::<libc::sa_family_t>() {
        return Err(Errno::EINVAL);
    }
    // SAFETY: at least the family is there, by the check above; it may lie anywhere.
    let family = c_int::from(unsafe { addr.cast::<libc::sa_family_t>().read_unaligned() });
    match family {
        libc::AF_UNSPEC => Ok(None),
        libc::AF_INET if len as usize >= size_of::<sockaddr_in>() => {
            // SAFETY: there are at least as many octets as this struct has, and all values are valid.
            let a = unsafe { addr.cast::<sockaddr_in>().read_unaligned() };
            let ip = Ipv4Addr::from(u32::from_be(a.sin_addr.s_addr));
            Ok(Some(SocketAddr::new(IpAddr::V4(ip), u16::from_be(a.sin_port))))
        }
        // 24 octets: the scope may be missing (RFC 2133).
        libc::AF_INET6 if len as usize >= 24 => {
            let mut whole = [0u8; size_of::<sockaddr_in6>()];
            let n = whole.len().min(len as usize);
            // SAFETY: `n` octets are there on both sides, and they do not overlap.
            unsafe { std::ptr::copy_nonoverlapping(addr.cast::<u8>(), whole.as_mut_ptr(), n) };
            let mut ip = [0; 16];
            ip.copy_from_slice(&whole[8..24]);
            let port = u16::from_be_bytes([whole[2], whole[3]]);
            Ok(Some(SocketAddr::new(IpAddr::V6(Ipv6Addr::from(ip)), port)))
        }
        libc::AF_INET | libc::AF_INET6 => Err(Errno::EINVAL),
        _ => Err(Errno::EAFNOSUPPORT),
    }
}

/// Writes an address where the caller wants one; the length becomes the address's.
///
/// # Safety
/// `out` is null or points to `*len` octets; `len` is null or valid.
pub(crate) unsafe fn write(addr: SocketAddr, out: *mut sockaddr, len: *mut socklen_t) {
    if out.is_null() || len.is_null() {
        return;
    }
    // SAFETY: all zeros is a valid sockaddr_storage.
    let mut storage: sockaddr_storage = unsafe { std::mem::zeroed() };
    let place = (&raw mut storage).cast::<u8>();
    let whole = match addr {
        SocketAddr::V4(a) => {
            // SAFETY: zeros are valid.
            let mut s: sockaddr_in = unsafe { std::mem::zeroed() };
            s.sin_family = libc::AF_INET as libc::sa_family_t;
            s.sin_port = a.port().to_be();
            s.sin_addr.s_addr = u32::from_ne_bytes(a.ip().octets());
            // SAFETY: storage is larger and aligned for every address.
            unsafe { place.cast::<sockaddr_in>().write(s) };
            size_of::<sockaddr_in>()
        }
        SocketAddr::V6(a) => {
            // SAFETY: zeros are valid.
            let mut s: sockaddr_in6 = unsafe { std::mem::zeroed() };
            s.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            s.sin6_port = a.port().to_be();
            s.sin6_addr.s6_addr = a.ip().octets();
            // SAFETY: storage is larger and aligned for every address.
            unsafe { place.cast::<sockaddr_in6>().write(s) };
            size_of::<sockaddr_in6>()
        }
    };
    // SAFETY: the caller has `*len` octets at `out`; no more than these, and no more than there are.
    unsafe {
        let n = whole.min(*len as usize);
        std::ptr::copy_nonoverlapping(place, out.cast::<u8>(), n);
        *len = whole as socklen_t;
    }
}
