//! getsockopt and setsockopt in the shape of C.

use crate::engine::with;
use crate::info;
use crate::name::to_c;
use libc::{c_int, c_void, linger, socklen_t, timeval};
use std::time::Duration;
use wirestack::Errno;
use wirestack::profile::CongestionAlgorithm;
use wirestack::socket::{OptionName as N, SocketOption as O, Type};
use wirestack::tcp::State;
use wirestack_drill::options;

/// The octets of a value.
///
/// # Safety
/// `value` is null or points to `len` octets.
unsafe fn octets<'a>(value: *const c_void, len: socklen_t) -> Result<&'a [u8], Errno> {
    if value.is_null() {
        return Err(Errno::EFAULT);
    }
    // SAFETY: not null, and `len` octets by the contract of this function.
    Ok(unsafe { std::slice::from_raw_parts(value.cast::<u8>(), len as usize) })
}

/// An int, or the single octet that IP options take.
fn number(v: &[u8], level: c_int) -> Result<i64, Errno> {
    match (v, v.first_chunk::<4>()) {
        (_, Some(n)) => Ok(i64::from(i32::from_ne_bytes(*n))),
        ([n, ..], None) if level == libc::IPPROTO_IP => Ok(i64::from(*n)),
        _ => Err(Errno::EINVAL),
    }
}

fn make(name: N, v: &[u8], level: c_int) -> Result<O, Errno> {
    let i32_at = |at: usize| {
        let n = v.get(at..at + 4).and_then(|b| b.first_chunk::<4>()).ok_or(Errno::EINVAL)?;
        Ok::<i32, Errno>(i32::from_ne_bytes(*n))
    };
    let i64_at = |at: usize| {
        let n = v.get(at..at + 8).and_then(|b| b.first_chunk::<8>()).ok_or(Errno::EINVAL)?;
        Ok::<i64, Errno>(i64::from_ne_bytes(*n))
    };
    match name {
        N::Linger => {
            let (on, secs) = (i32_at(0)?, i32_at(4)?);
            Ok(O::Linger((on != 0).then(|| Duration::from_secs(secs.max(0) as u64))))
        }
        N::RecvTimeout | N::SendTimeout => {
            let time = Duration::from_secs(i64_at(0)?.max(0) as u64)
                + Duration::from_micros(i64_at(8)?.max(0) as u64);
            let time = Some(time).filter(|t| !t.is_zero());
            Ok(if name == N::RecvTimeout { O::RecvTimeout(time) } else { O::SendTimeout(time) })
        }
        N::Congestion => {
            let end = v.iter().position(|c| *c == 0).unwrap_or(v.len());
            let text = std::str::from_utf8(&v[..end]).map_err(|_| Errno::EINVAL)?;
            // Linux says ENOENT, which no call of the stack gives.
            CongestionAlgorithm::by_name(text).map(O::Congestion).ok_or(Errno::EINVAL)
        }
        _ => options::from_number(name, number(v, level)?),
    }
}

pub(crate) unsafe extern "C" fn setsockopt(
    _: *mut c_void,
    fd: c_int,
    level: c_int,
    number: c_int,
    value: *const c_void,
    len: socklen_t,
) -> c_int {
    // SAFETY: the caller has `len` octets at `value`.
    let v = unsafe { octets(value, len) };
    to_c(with(|e| {
        let s = e.sock(fd)?;
        let name = options::name(i64::from(level), i64::from(number)).ok_or(Errno::ENOPROTOOPT)?;
        let option = make(name, v?, level)?;
        e.stack.set_option(e.now, s.id, option).map(|()| 0)
    }))
}

/// The value of an option as octets.
pub(crate) fn value_of(fd: c_int, level: c_int, number: c_int) -> Result<Vec<u8>, Errno> {
    let int = |n: i64| (n as i32).to_ne_bytes().to_vec();
    with(|e| {
        let s = e.sock(fd)?;
        match (level, number) {
            (libc::SOL_SOCKET, libc::SO_ERROR) => {
                return Ok(int(e.stack.take_error(s.id)?.map_or(0, |e| i64::from(e.number()))));
            }
            (libc::SOL_SOCKET, libc::SO_TYPE) => {
                return Ok(int(match s.ty {
                    Type::Stream => 1,
                    Type::Dgram => 2,
                    Type::Raw => 3,
                }));
            }
            (libc::SOL_SOCKET, libc::SO_ACCEPTCONN) => {
                return Ok(int(i64::from(e.stack.tcp_state(s.id) == Ok(State::Listen))));
            }
            (libc::SOL_SOCKET, libc::SO_MEMINFO) => return Ok(vec![0; info::MEMINFO]),
            (libc::IPPROTO_TCP, libc::TCP_INFO) => {
                return Ok(info::tcp_info(&e.stack.tcp_info(e.now, s.id)?).to_vec());
            }
            (libc::IPPROTO_TCP, libc::TCP_CC_INFO) => return Ok(Vec::new()),
            _ => {}
        }
        let name = options::name(i64::from(level), i64::from(number)).ok_or(Errno::ENOPROTOOPT)?;
        let option = e.stack.option(s.id, name)?;
        Ok(match option {
            O::Linger(time) => {
                let l = linger {
                    l_onoff: c_int::from(time.is_some()),
                    l_linger: time.map_or(0, |d| d.as_secs() as c_int),
                };
                [l.l_onoff.to_ne_bytes(), l.l_linger.to_ne_bytes()].concat()
            }
            O::RecvTimeout(d) | O::SendTimeout(d) => {
                let d = d.unwrap_or_default();
                let t = timeval { tv_sec: d.as_secs() as i64, tv_usec: i64::from(d.subsec_micros()) };
                [t.tv_sec.to_ne_bytes(), t.tv_usec.to_ne_bytes()].concat()
            }
            // TCP_CA_NAME_MAX octets, as Linux gives.
            O::Congestion(c) => {
                let mut text = c.name().as_bytes().to_vec();
                text.resize(16, 0);
                text
            }
            other => int(options::to_number(&other).ok_or(Errno::ENOPROTOOPT)?),
        })
    })
}

/// Copies a value to the caller; the length becomes what was copied.
///
/// # Safety
/// `out` has room for `*len` octets; `len` is null or valid.
pub(crate) unsafe fn give(value: &[u8], out: *mut c_void, len: *mut socklen_t) -> Result<c_int, Errno> {
    // SAFETY: null, or valid by the contract of this function.
    let len = unsafe { len.as_mut() }.ok_or(Errno::EFAULT)?;
    let n = value.len().min(*len as usize);
    if n > 0 {
        if out.is_null() {
            return Err(Errno::EFAULT);
        }
        // SAFETY: `n` octets are there on both sides.
        unsafe { std::ptr::copy_nonoverlapping(value.as_ptr(), out.cast::<u8>(), n) };
    }
    *len = n as socklen_t;
    Ok(0)
}

pub(crate) unsafe extern "C" fn getsockopt(
    _: *mut c_void,
    fd: c_int,
    level: c_int,
    number: c_int,
    out: *mut c_void,
    len: *mut socklen_t,
) -> c_int {
    // SAFETY: the contract of getsockopt(2).
    to_c(value_of(fd, level, number).and_then(|v| unsafe { give(&v, out, len) }))
}
