//! Data: read, write and their relatives; pipe and splice.

use crate::engine::{blocking, look};
use crate::name::{self, fail, to_ssize};
use libc::{c_int, c_uint, c_void, iovec, loff_t, msghdr, size_t, sockaddr, socklen_t, ssize_t};
use std::net::SocketAddr;
use wirestack::Errno;
use wirestack::socket::{MsgFlags, OptionName, Readiness, RecvMsg, Type};

/// Most that one call moves.
const MOST: usize = 64 << 20;

/// Receives up to `len` octets.
fn receive(fd: c_int, len: usize, flags: c_int) -> Result<(RecvMsg, Vec<u8>), Errno> {
    let flags = MsgFlags::from_bits_truncate(flags as u32);
    let wait = !flags.contains(MsgFlags::DONTWAIT) && !flags.contains(MsgFlags::OOB);
    let (mut got, mut done) = (Vec::new(), 0);
    blocking(
        |e| wait && e.sock(fd).is_ok_and(|s| !s.nonblocking),
        |e| e.time_limit(fd, OptionName::RecvTimeout),
        |e| {
            let s = e.sock(fd)?;
            let may_wait = wait && !s.nonblocking && s.ty == Type::Stream;
            // A call that may sleep waits for SO_RCVLOWAT octets.
            let over = Readiness::IN | Readiness::HUP | Readiness::ERR | Readiness::RDHUP;
            let waits = e.stack.peer_addr(s.id).is_ok() && !e.stack.readiness(s.id)?.intersects(over);
            if may_wait && waits && len > 0 && !flags.contains(MsgFlags::PEEK) {
                return Err(Errno::EAGAIN);
            }
            got.resize(len.min(MOST), 0);
            let all = flags.contains(MsgFlags::WAITALL) && may_wait;
            match e.stack.recv_msg(e.now, s.id, &mut got[done..], flags - MsgFlags::DONTWAIT) {
                Ok(m) => {
                    done += m.len;
                    if all && m.len > 0 && done < len {
                        return Err(Errno::EAGAIN);
                    }
                    Ok(RecvMsg { len: done, full_len: m.full_len.max(done), ..m })
                }
                Err(err) => Err(err),
            }
        },
    )
    .or_else(|e| {
        let part = RecvMsg { len: done, full_len: done, from: None, flags: MsgFlags::empty() };
        if done > 0 { Ok(part) } else { Err(e) }
    })
    .map(|m| (m, got))
}

/// Sends; a call that may sleep returns when all of it is in the buffer.
fn transmit(fd: c_int, data: &[u8], flags: c_int, to: Option<SocketAddr>) -> Result<usize, Errno> {
    if flags & (libc::MSG_FASTOPEN | libc::MSG_ZEROCOPY) != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    let flags = MsgFlags::from_bits_truncate(flags as u32);
    let mut done = 0;
    let result = blocking(
        |e| !flags.contains(MsgFlags::DONTWAIT) && e.sock(fd).is_ok_and(|s| !s.nonblocking),
        |e| e.time_limit(fd, OptionName::SendTimeout),
        |e| {
            let s = e.sock(fd)?;
            e.own_something(true);
            if s.ty != Type::Stream {
                return match to {
                    Some(to) => e.stack.send_to(e.now, s.id, data, flags, to),
                    None => e.stack.send(e.now, s.id, data, flags),
                };
            }
            loop {
                done += e.stack.send(e.now, s.id, &data[done..], flags)?;
                if done >= data.len() {
                    return Ok(done);
                }
                e.drain();
            }
        },
    );
    result.or_else(|e| if done > 0 { Ok(done) } else { Err(e) })
}

/// The buffers of an array.
///
/// # Safety
/// `iov` is null or points to `count` valid iovecs.
unsafe fn buffers<'a>(iov: *const iovec, count: usize) -> Result<&'a [iovec], Errno> {
    if iov.is_null() && count > 0 {
        return Err(Errno::EFAULT);
    }
    if count > 1024 {
        return Err(Errno::EINVAL);
    }
    // SAFETY: valid by the contract of this function; an empty array needs no address.
    Ok(if count == 0 { &[] } else { unsafe { std::slice::from_raw_parts(iov, count) } })
}

/// Copies received octets out, buffer after buffer.
///
/// # Safety
/// The buffers may be written.
unsafe fn scatter(data: &[u8], iov: &[iovec]) -> Result<(), Errno> {
    let mut rest = data;
    for b in iov {
        let n = rest.len().min(b.iov_len);
        if n > 0 && b.iov_base.is_null() {
            return Err(Errno::EFAULT);
        }
        // SAFETY: `n` octets are there on both sides; the caller's buffers are not ours.
        unsafe { std::ptr::copy_nonoverlapping(rest.as_ptr(), b.iov_base.cast::<u8>(), n) };
        rest = &rest[n..];
    }
    Ok(())
}

/// Collects what is to be sent.
///
/// # Safety
/// The buffers may be read.
unsafe fn gather(iov: &[iovec]) -> Result<Vec<u8>, Errno> {
    let mut out = Vec::new();
    for b in iov.iter().filter(|b| b.iov_len > 0) {
        if b.iov_base.is_null() {
            return Err(Errno::EFAULT);
        }
        // SAFETY: the caller has `iov_len` octets there.
        out.extend_from_slice(unsafe { std::slice::from_raw_parts(b.iov_base.cast::<u8>(), b.iov_len) });
    }
    Ok(out)
}

fn total(iov: &[iovec]) -> usize {
    iov.iter().fold(0usize, |n, b| n.saturating_add(b.iov_len))
}

/// One buffer as an array of one.
fn one(buf: *const c_void, len: size_t) -> iovec {
    iovec { iov_base: buf.cast_mut(), iov_len: len }
}

/// # Safety
/// The buffers may be written.
unsafe fn receive_into(fd: c_int, iov: &[iovec], flags: c_int) -> Result<(usize, RecvMsg), Errno> {
    let (msg, data) = receive(fd, total(iov), flags)?;
    // SAFETY: by the contract of this function.
    unsafe { scatter(&data[..msg.len], iov) }?;
    let cut = flags & libc::MSG_TRUNC != 0 && msg.full_len > msg.len;
    Ok((if cut { msg.full_len } else { msg.len }, msg))
}

pub(crate) unsafe extern "C" fn read(ud: *mut c_void, fd: c_int, buf: *mut c_void, len: size_t) -> ssize_t {
    // SAFETY: the contract of read(2) is recv(2)'s.
    unsafe { recv(ud, fd, buf, len, 0) }
}

pub(crate) unsafe extern "C" fn readv(_: *mut c_void, fd: c_int, iov: *const iovec, count: c_int) -> ssize_t {
    // SAFETY: the contract of readv(2).
    let result =
        unsafe { buffers(iov, count.max(0) as usize).and_then(|iov| receive_into(fd, iov, 0).map(|r| r.0)) };
    to_ssize(result)
}

pub(crate) unsafe extern "C" fn recv(
    _: *mut c_void,
    fd: c_int,
    buf: *mut c_void,
    len: size_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: the caller has room for `len` octets at `buf`.
    to_ssize(unsafe { receive_into(fd, &[one(buf, len)], flags) }.map(|r| r.0))
}

pub(crate) unsafe extern "C" fn recvfrom(
    _: *mut c_void,
    fd: c_int,
    buf: *mut c_void,
    len: size_t,
    flags: c_int,
    addr: *mut sockaddr,
    addr_len: *mut socklen_t,
) -> ssize_t {
    // SAFETY: the caller has room for `len` octets at `buf`.
    match unsafe { receive_into(fd, &[one(buf, len)], flags) } {
        Ok((n, msg)) => {
            if let Some(from) = msg.from {
                // SAFETY: the caller has room for `*addr_len` octets at `addr`, or gives null.
                unsafe { name::write(from, addr, addr_len) };
            }
            n as ssize_t
        }
        Err(e) => fail(e) as ssize_t,
    }
}

pub(crate) unsafe extern "C" fn recvmsg(
    _: *mut c_void,
    fd: c_int,
    msg: *mut msghdr,
    flags: c_int,
) -> ssize_t {
    // SAFETY: null, or a message of the caller's.
    let Some(m) = (unsafe { msg.as_mut() }) else { return fail(Errno::EFAULT) as ssize_t };
    // SAFETY: the message names valid buffers.
    let received = unsafe { buffers(m.msg_iov, m.msg_iovlen).and_then(|iov| receive_into(fd, iov, flags)) };
    match received {
        Ok((n, got)) => {
            m.msg_flags = got.flags.bits() as c_int;
            m.msg_controllen = 0;
            match got.from {
                // SAFETY: the message names room for `msg_namelen` octets, or null.
                Some(from) => unsafe { name::write(from, m.msg_name.cast(), &raw mut m.msg_namelen) },
                None => m.msg_namelen = 0,
            }
            n as ssize_t
        }
        Err(e) => fail(e) as ssize_t,
    }
}

pub(crate) unsafe extern "C" fn write(
    ud: *mut c_void,
    fd: c_int,
    buf: *const c_void,
    len: size_t,
) -> ssize_t {
    // SAFETY: the contract of write(2) is send(2)'s.
    unsafe { send(ud, fd, buf, len, 0) }
}

pub(crate) unsafe extern "C" fn writev(
    _: *mut c_void,
    fd: c_int,
    iov: *const iovec,
    count: c_int,
) -> ssize_t {
    // SAFETY: the contract of writev(2).
    let data = unsafe { buffers(iov, count.max(0) as usize).and_then(|iov| gather(iov)) };
    to_ssize(data.and_then(|d| transmit(fd, &d, 0, None)))
}

pub(crate) unsafe extern "C" fn send(
    _: *mut c_void,
    fd: c_int,
    buf: *const c_void,
    len: size_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: the caller has `len` octets at `buf`.
    let data = unsafe { gather(&[one(buf, len)]) };
    to_ssize(data.and_then(|d| transmit(fd, &d, flags, None)))
}

pub(crate) unsafe extern "C" fn sendto(
    _: *mut c_void,
    fd: c_int,
    buf: *const c_void,
    len: size_t,
    flags: c_int,
    addr: *const sockaddr,
    addr_len: socklen_t,
) -> ssize_t {
    // SAFETY: the caller has `len` octets at `buf`, and `addr_len` at `addr` if that is not null.
    let (data, to) = unsafe {
        let to = if addr.is_null() { Ok(None) } else { name::read(addr, addr_len) };
        (gather(&[one(buf, len)]), to)
    };
    to_ssize(data.and_then(|d| transmit(fd, &d, flags, to?)))
}

pub(crate) unsafe extern "C" fn sendmsg(
    _: *mut c_void,
    fd: c_int,
    msg: *const msghdr,
    flags: c_int,
) -> ssize_t {
    // SAFETY: null, or a message of the caller's.
    let Some(m) = (unsafe { msg.as_ref() }) else { return fail(Errno::EFAULT) as ssize_t };
    // SAFETY: the message names valid buffers and, if not null, a valid address.
    let (data, to) = unsafe {
        let named = !m.msg_name.is_null() && m.msg_namelen > 0;
        let to = if named { name::read(m.msg_name.cast(), m.msg_namelen) } else { Ok(None) };
        (buffers(m.msg_iov, m.msg_iovlen).and_then(|iov| gather(iov)), to)
    };
    to_ssize(data.and_then(|d| transmit(fd, &d, flags, to?)))
}

/// Pipes are the kernel's: nothing of the stack is in them.
pub(crate) unsafe extern "C" fn pipe(_: *mut c_void, out: *mut c_int) -> c_int {
    // SAFETY: the caller has room for two descriptors.
    unsafe { libc::pipe(out) }
}

/// Moves octets between a pipe of the kernel and a socket of the stack. Offsets do not apply to either.
pub(crate) unsafe extern "C" fn splice(
    _: *mut c_void,
    from: c_int,
    _: *mut loff_t,
    to: c_int,
    _: *mut loff_t,
    len: size_t,
    flags: c_uint,
) -> ssize_t {
    let ours = |fd| look(|e| e.tokens.contains_key(&fd)).unwrap_or(false);
    let len = len.min(65_536);
    let nonblock = if flags & libc::SPLICE_F_NONBLOCK != 0 { libc::MSG_DONTWAIT } else { 0 };
    if ours(from) {
        return match receive(from, len, nonblock) {
            Ok((m, data)) => to_ssize(push(to, &data[..m.len])),
            Err(e) => fail(e) as ssize_t,
        };
    }
    if !ours(to) {
        return fail(Errno::EINVAL) as ssize_t;
    }
    let more = if flags & libc::SPLICE_F_MORE != 0 { libc::MSG_MORE } else { 0 };
    to_ssize(pull(from, len).and_then(|d| transmit(to, &d, nonblock | more, None)))
}

/// Writes all of it to a descriptor of the kernel.
fn push(fd: c_int, data: &[u8]) -> Result<usize, Errno> {
    // SAFETY: `data` is valid for its length.
    let n = unsafe { libc::write(fd, data.as_ptr().cast(), data.len()) };
    usize::try_from(n).map_err(|_| Errno::EINVAL)
}

/// Reads what a descriptor of the kernel has.
pub(crate) fn pull(fd: c_int, len: usize) -> Result<Vec<u8>, Errno> {
    let mut data = vec![0u8; len];
    // SAFETY: `data` has room for `len` octets.
    let n = unsafe { libc::read(fd, data.as_mut_ptr().cast(), len) };
    data.truncate(usize::try_from(n).map_err(|_| Errno::EINVAL)?);
    Ok(data)
}

/// sendfile(2) for the preload: from a file of the kernel to a socket of the stack.
pub(crate) fn send_file(
    to: c_int,
    from: c_int,
    offset: Option<&mut i64>,
    len: usize,
) -> Result<usize, Errno> {
    let data = match &offset {
        Some(at) => {
            let mut data = vec![0u8; len.min(MOST)];
            // SAFETY: `data` has room for its length.
            let n = unsafe { libc::pread(from, data.as_mut_ptr().cast(), data.len(), **at) };
            data.truncate(usize::try_from(n).map_err(|_| Errno::EINVAL)?);
            data
        }
        None => pull(from, len.min(MOST))?,
    };
    let sent = transmit(to, &data, 0, None)?;
    if let Some(at) = offset {
        *at += sent as i64;
    }
    Ok(sent)
}
