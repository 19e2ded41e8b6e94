//! poll and epoll.

use crate::calls::new_token;
use crate::engine::{Engine, Token, Watch, blocking, with};
use crate::name::to_c;
use libc::{c_int, c_void, epoll_event, nfds_t, pollfd};
use std::time::Duration;
use wirestack::{Errno, Instant};

/// POLLERR and POLLHUP are told whether asked for or not.
const ALWAYS: u32 = 0x8 | 0x10;
const NVAL: u32 = 0x20;
const ONESHOT: u32 = 1 << 30;
const EDGE: u32 = 1 << 31;

/// What a descriptor is ready for, with the bits that go along (POLLRDNORM, POLLWRNORM).
fn ready(e: &Engine, fd: c_int) -> u32 {
    let Ok(s) = e.sock(fd) else { return NVAL };
    let bits = e.stack.readiness(s.id).map_or(NVAL, |r| u32::from(r.bits()));
    bits | if bits & 1 != 0 { 0x40 } else { 0 } | if bits & 4 != 0 { 0x100 } else { 0 }
}

fn deadline(e: &Engine, millis: c_int) -> Option<Instant> {
    (millis >= 0).then(|| e.now + Duration::from_millis(millis as u64))
}

pub(crate) unsafe extern "C" fn poll(_: *mut c_void, fds: *mut pollfd, n: nfds_t, millis: c_int) -> c_int {
    let fds: &mut [pollfd] = if fds.is_null() || n == 0 {
        &mut []
    } else {
        // SAFETY: the caller has `n` of them.
        unsafe { std::slice::from_raw_parts_mut(fds, n as usize) }
    };
    let result = blocking(
        |_| millis != 0,
        |e| deadline(e, millis),
        |e| {
            let mut count = 0;
            for f in fds.iter_mut() {
                let wanted = u32::from(f.events as u16) | ALWAYS | NVAL;
                let got = if f.fd < 0 { 0 } else { ready(e, f.fd) & wanted };
                f.revents = got as i16;
                count += c_int::from(got != 0);
            }
            if count == 0 { Err(Errno::EAGAIN) } else { Ok(count) }
        },
    );
    to_c(result.or_else(|e| if e == Errno::EAGAIN { Ok(0) } else { Err(e) }))
}

pub(crate) unsafe extern "C" fn epoll_create(_: *mut c_void, size: c_int) -> c_int {
    to_c(with(|e| {
        if size <= 0 {
            return Err(Errno::EINVAL);
        }
        let fd = new_token()?;
        e.tokens.insert(fd, Token::Epoll(Vec::new()));
        Ok(fd)
    }))
}

pub(crate) unsafe extern "C" fn epoll_ctl(
    _: *mut c_void,
    epfd: c_int,
    op: c_int,
    fd: c_int,
    event: *mut epoll_event,
) -> c_int {
    // SAFETY: null, or an event of the caller's; it is packed on some machines, hence the copy.
    let event = if event.is_null() { None } else { Some(unsafe { event.read_unaligned() }) };
    to_c(with(|e| {
        if !e.tokens.contains_key(&fd) {
            return Err(Errno::EBADF);
        }
        let Some(Token::Epoll(watches)) = e.tokens.get_mut(&epfd) else { return Err(Errno::EINVAL) };
        let at = watches.iter().position(|w| w.fd == fd);
        let watch = || {
            let event = event.ok_or(Errno::EFAULT)?;
            let (events, data) = (event.events, event.u64);
            Ok::<_, Errno>(Watch { fd, events, data, edge: true, spent: false })
        };
        match (op, at) {
            (libc::EPOLL_CTL_ADD, None) => watches.push(watch()?),
            (libc::EPOLL_CTL_ADD, Some(_)) => return Err(Errno::EEXIST),
            (libc::EPOLL_CTL_MOD, Some(i)) => watches[i] = watch()?,
            (libc::EPOLL_CTL_DEL, Some(i)) => {
                watches.remove(i);
            }
            // Linux says ENOENT, which no call of the stack gives.
            _ => return Err(Errno::EINVAL),
        }
        Ok(0)
    }))
}

pub(crate) unsafe extern "C" fn epoll_wait(
    _: *mut c_void,
    epfd: c_int,
    out: *mut epoll_event,
    most: c_int,
    millis: c_int,
) -> c_int {
    let result = blocking(
        |_| millis != 0,
        |e| deadline(e, millis),
        |e| {
            if most <= 0 {
                return Err(Errno::EINVAL);
            }
            let Some(Token::Epoll(watches)) = e.tokens.get(&epfd) else { return Err(Errno::EINVAL) };
            let mut found: Vec<(c_int, epoll_event)> = Vec::new();
            for w in watches {
                let events = ready(e, w.fd) & (w.events | ALWAYS);
                let told = w.spent || (w.events & EDGE != 0 && !w.edge);
                if events != 0 && !told && found.len() < most as usize {
                    found.push((w.fd, epoll_event { events, u64: w.data }));
                }
            }
            if found.is_empty() {
                return Err(Errno::EAGAIN);
            }
            if let Some(Token::Epoll(watches)) = e.tokens.get_mut(&epfd) {
                for w in watches.iter_mut().filter(|w| found.iter().any(|f| f.0 == w.fd)) {
                    w.edge = false;
                    w.spent = w.events & ONESHOT != 0;
                }
            }
            Ok(found)
        },
    );
    to_c(match result {
        Ok(found) => {
            for (i, (_, event)) in found.iter().enumerate() {
                // SAFETY: the caller has room for `most` events, and no more were found.
                unsafe { out.add(i).write_unaligned(*event) };
            }
            Ok(found.len() as c_int)
        }
        // Nothing came in time: the array stays as it is.
        Err(Errno::EAGAIN) => Ok(0),
        Err(e) => Err(e),
    })
}
