//! What packetdrill asks of libc and not of the table. With this library in `LD_PRELOAD` these four
//! functions stand before libc's, and hand on what is not about a token of the stack.

use crate::message::send_file;
use crate::name::{to_c, to_ssize};
use crate::{calls, engine, sockopt};
use libc::{c_int, c_void, off_t, size_t, socklen_t, ssize_t, tms};
use std::sync::atomic::{AtomicI64, Ordering};

fn ours(fd: c_int) -> bool {
    engine::look(|e| e.tokens.contains_key(&fd)).unwrap_or(false)
}

/// getsockopt(2): TCP_INFO of a token for `%{ }%`.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getsockopt(
    fd: c_int,
    level: c_int,
    name: c_int,
    out: *mut c_void,
    len: *mut socklen_t,
) -> c_int {
    if !ours(fd) {
        // SAFETY: handed on as it came.
        return unsafe { libc::syscall(libc::SYS_getsockopt, fd, level, name, out, len) as c_int };
    }
    // SAFETY: the contract of getsockopt(2).
    to_c(sockopt::value_of(fd, level, name).and_then(|v| unsafe { sockopt::give(&v, out, len) }))
}

/// close(2): packetdrill closes sockets that the script left open by this one.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn close(fd: c_int) -> c_int {
    calls::close_token(fd).unwrap_or_else(|| calls::kernel_close(fd))
}

/// sendfile(2).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sendfile(to: c_int, from: c_int, offset: *mut off_t, count: size_t) -> ssize_t {
    if !ours(to) {
        // SAFETY: handed on as it came.
        return unsafe { libc::syscall(libc::SYS_sendfile, to, from, offset, count) as ssize_t };
    }
    // SAFETY: null, or an offset of the caller's.
    to_ssize(send_file(to, from, unsafe { offset.as_mut() }, count))
}

/// times(2), as a counter: packetdrill waits for the kernel's tick to change, which says nothing here.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn times(out: *mut tms) -> libc::clock_t {
    static TICKS: AtomicI64 = AtomicI64::new(0);
    // SAFETY: null, or a struct to write.
    if let Some(out) = unsafe { out.as_mut() } {
        // SAFETY: all zeros is a valid struct of numbers.
        *out = unsafe { std::mem::zeroed() };
    }
    TICKS.fetch_add(1, Ordering::Relaxed)
}
