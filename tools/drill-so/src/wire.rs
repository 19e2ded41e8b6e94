//! Packets in and out, and time: what stands for the network and the clock.

use crate::engine;
use libc::{c_int, c_uint, c_void, size_t, timeval};

/// The end: all sockets were closed before.
pub(crate) unsafe extern "C" fn free(_: *mut c_void) {
    engine::stop();
}

/// A raw IP packet into the stack. Always 0: a packet that is dropped is not the sender's matter.
pub(crate) unsafe extern "C" fn netdev_send(_: *mut c_void, packet: *const c_void, len: size_t) -> c_int {
    if !packet.is_null() {
        // SAFETY: the caller has `len` octets at `packet`, and nobody writes them during the call.
        let bytes = unsafe { std::slice::from_raw_parts(packet.cast::<u8>(), len) };
        let _ = engine::with(|e| {
            e.inject(bytes);
            Ok(())
        });
    }
    0
}

/// The next packet out of the stack, with the moment it left. Length 0 if none will ever leave: the
/// script fails then, instead of waiting for ever.
pub(crate) unsafe extern "C" fn netdev_receive(
    _: *mut c_void,
    out: *mut c_void,
    len: *mut size_t,
    usecs: *mut i64,
) -> c_int {
    if out.is_null() || len.is_null() || usecs.is_null() {
        return -1;
    }
    let packet = engine::next_packet();
    // SAFETY: `out` has room for `*len` octets, `len` and `usecs` are valid (not null, see above).
    unsafe {
        match packet {
            Some((at, bytes)) => {
                let n = bytes.len().min(*len);
                std::ptr::copy_nonoverlapping(bytes.as_ptr(), out.cast::<u8>(), n);
                (*len, *usecs) = (n, at);
            }
            None => *len = 0,
        }
    }
    0
}

/// Time passes at once.
pub(crate) unsafe extern "C" fn usleep(_: *mut c_void, micros: c_uint) -> c_int {
    engine::pass(u64::from(micros));
    0
}

/// The clock. Each look at it takes a microsecond, so that whoever spins on it gets on.
pub(crate) unsafe extern "C" fn gettimeofday(_: *mut c_void, tv: *mut timeval, _tz: *mut c_void) -> c_int {
    engine::pass(1);
    let now = engine::look(|e| {
        let at = e.moment_for();
        e.calendar(at)
    });
    let now = now.unwrap_or(0);
    // SAFETY: null, or a timeval to write.
    if let Some(tv) = unsafe { tv.as_mut() } {
        tv.tv_sec = now / 1_000_000;
        tv.tv_usec = now % 1_000_000;
    }
    0
}
