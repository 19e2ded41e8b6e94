//! Sockets and their descriptors. A token is a real descriptor of the kernel (an eventfd), because
//! packetdrill closes what is left at its end by close(2) of libc.

use crate::engine::{Engine, Token, blocking, look, read_sysctls, with};
use crate::name::{self, fail, to_c};
use libc::{c_int, c_long, c_ulong, c_void, sockaddr, socklen_t};
use std::time::Duration;
use wirestack::socket::{Domain, OptionName, Shutdown, SocketOption, Type};
use wirestack::tcp::State;
use wirestack::{Errno, Instant, SocketId};

/// A new descriptor of the kernel that means nothing to it.
pub(crate) fn new_token() -> Result<c_int, Errno> {
    // SAFETY: eventfd takes two numbers and gives a descriptor.
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
    if fd < 0 { Err(Errno::EMFILE) } else { Ok(fd) }
}

/// Closes a descriptor of the kernel, past any `close` that is preloaded.
pub(crate) fn kernel_close(fd: c_int) -> c_int {
    // SAFETY: close takes a number; a wrong one is EBADF.
    unsafe { libc::syscall(libc::SYS_close, fd) as c_int }
}

/// A socket token taken apart.
pub(crate) struct Sock {
    pub(crate) id: SocketId,
    pub(crate) ty: Type,
    pub(crate) domain: Domain,
    pub(crate) nonblocking: bool,
}

impl Engine {
    pub(crate) fn sock(&self, fd: c_int) -> Result<Sock, Errno> {
        match self.tokens.get(&fd) {
            Some(&Token::Socket { id, ty, domain, nonblocking }) => Ok(Sock { id, ty, domain, nonblocking }),
            Some(Token::Epoll(_)) => Err(Errno::ENOTSOCK),
            None => Err(Errno::EBADF),
        }
    }

    /// A time that an option bounds a call with.
    pub(crate) fn time_limit(&self, fd: c_int, name: OptionName) -> Option<Instant> {
        let id = self.sock(fd).ok()?.id;
        match self.stack.option(id, name) {
            Ok(SocketOption::RecvTimeout(d) | SocketOption::SendTimeout(d)) => d.map(|d| self.now + d),
            _ => None,
        }
    }

    fn add(&mut self, id: SocketId, ty: Type, domain: Domain, nonblocking: bool) -> Result<c_int, Errno> {
        let fd = new_token()?;
        self.tokens.insert(fd, Token::Socket { id, ty, domain, nonblocking });
        Ok(fd)
    }
}

pub(crate) unsafe extern "C" fn socket(_: *mut c_void, domain: c_int, ty: c_int, protocol: c_int) -> c_int {
    let sysctls = read_sysctls();
    to_c(with(|e| {
        e.apply_sysctls(&sysctls);
        let domain = match domain {
            libc::AF_INET => Domain::Inet,
            libc::AF_INET6 => Domain::Inet6,
            _ => return Err(Errno::EAFNOSUPPORT),
        };
        let kind = match ty & 0xf {
            libc::SOCK_STREAM => Type::Stream,
            libc::SOCK_DGRAM => Type::Dgram,
            libc::SOCK_RAW => Type::Raw,
            _ => return Err(Errno::EINVAL),
        };
        let protocol = u8::try_from(protocol).map_err(|_| Errno::EPROTONOSUPPORT)?;
        let id = e.stack.socket(domain, kind, protocol)?;
        e.add(id, kind, domain, ty & libc::SOCK_NONBLOCK != 0)
    }))
}

pub(crate) unsafe extern "C" fn bind(
    _: *mut c_void,
    fd: c_int,
    addr: *const sockaddr,
    len: socklen_t,
) -> c_int {
    // SAFETY: the caller gives an address of `len` octets.
    let addr = unsafe { name::read(addr, len) };
    to_c(with(|e| {
        let addr = addr?.ok_or(Errno::EAFNOSUPPORT)?;
        let s = e.sock(fd)?;
        if !addr.ip().is_unspecified() {
            e.own(addr.ip());
        }
        e.stack.bind(e.now, s.id, addr).map(|()| 0)
    }))
}

pub(crate) unsafe extern "C" fn listen(_: *mut c_void, fd: c_int, backlog: c_int) -> c_int {
    to_c(with(|e| {
        let s = e.sock(fd)?;
        e.stack.listen(e.now, s.id, backlog).map(|()| 0)
    }))
}

pub(crate) unsafe extern "C" fn accept(
    _: *mut c_void,
    fd: c_int,
    addr: *mut sockaddr,
    len: *mut socklen_t,
) -> c_int {
    let accepted = blocking(
        |e| e.sock(fd).is_ok_and(|s| !s.nonblocking),
        |e| e.time_limit(fd, OptionName::RecvTimeout),
        |e| {
            let s = e.sock(fd)?;
            let (id, peer) = e.stack.accept(e.now, s.id)?;
            Ok((e.add(id, Type::Stream, s.domain, false)?, peer))
        },
    );
    match accepted {
        Ok((new, peer)) => {
            // SAFETY: the caller has room for `*len` octets at `addr`, or gives null.
            unsafe { name::write(peer, addr, len) };
            new
        }
        Err(e) => fail(e),
    }
}

pub(crate) unsafe extern "C" fn connect(
    _: *mut c_void,
    fd: c_int,
    addr: *const sockaddr,
    len: socklen_t,
) -> c_int {
    // SAFETY: the caller gives an address of `len` octets.
    let addr = match unsafe { name::read(addr, len) } {
        Ok(Some(addr)) => addr,
        Ok(None) => return fail(Errno::EAFNOSUPPORT),
        Err(e) => return fail(e),
    };
    let mut begun = false;
    to_c(blocking(
        |e| e.sock(fd).is_ok_and(|s| !s.nonblocking),
        |e| e.time_limit(fd, OptionName::SendTimeout),
        |e| {
            let s = e.sock(fd)?;
            if !begun {
                begun = true;
                e.own_something(addr.ip().to_canonical().is_ipv4());
                return match e.stack.connect(e.now, s.id, addr) {
                    Err(Errno::EINPROGRESS) if !s.nonblocking => Err(Errno::EAGAIN),
                    other => other.map(|()| 0),
                };
            }
            match e.stack.tcp_state(s.id) {
                Ok(State::SynSent | State::SynReceived) => Err(Errno::EAGAIN),
                _ => e.stack.take_error(s.id)?.map_or(Ok(0), Err),
            }
        },
    ))
}

pub(crate) unsafe extern "C" fn shutdown(_: *mut c_void, fd: c_int, how: c_int) -> c_int {
    to_c(with(|e| {
        let how = match how {
            libc::SHUT_RD => Shutdown::Read,
            libc::SHUT_WR => Shutdown::Write,
            libc::SHUT_RDWR => Shutdown::Both,
            _ => return Err(Errno::EINVAL),
        };
        let s = e.sock(fd)?;
        e.stack.shutdown(e.now, s.id, how).map(|()| 0)
    }))
}

pub(crate) unsafe extern "C" fn close(_: *mut c_void, fd: c_int) -> c_int {
    close_token(fd).unwrap_or_else(|| kernel_close(fd))
}

/// Closes what a token stands for; `None` if it is none.
pub(crate) fn close_token(fd: c_int) -> Option<c_int> {
    let token = look(|e| e.tokens.get(&fd).cloned())??;
    if let Token::Socket { id, ty, nonblocking, .. } = token {
        linger(fd, id, ty, nonblocking);
    }
    let result = with(|e| {
        e.tokens.remove(&fd);
        for t in e.tokens.values_mut() {
            if let Token::Epoll(watches) = t {
                watches.retain(|w| w.fd != fd);
            }
        }
        match token {
            Token::Socket { id, .. } => e.stack.close(e.now, id).map(|()| 0),
            Token::Epoll(_) => Ok(0),
        }
    });
    kernel_close(fd);
    Some(to_c(result))
}

/// SO_LINGER with a time: the FIN goes out, and close waits for what is unacknowledged.
fn linger(fd: c_int, id: SocketId, ty: Type, nonblocking: bool) {
    let time = look(|e| match e.stack.option(id, OptionName::Linger) {
        Ok(SocketOption::Linger(Some(d))) => d,
        _ => Duration::ZERO,
    });
    let time = time.unwrap_or_default();
    if time.is_zero() || nonblocking || ty != Type::Stream {
        return;
    }
    let _ = with(|e| e.stack.shutdown(e.now, id, Shutdown::Write));
    let _ = blocking(
        |_| true,
        |e| Some(e.now + time),
        |e| {
            e.sock(fd)?;
            if e.stack.lingers(id) { Err(Errno::EAGAIN) } else { Ok(()) }
        },
    );
}

pub(crate) unsafe extern "C" fn fcntl(_: *mut c_void, fd: c_int, command: c_int, arg: c_long) -> c_int {
    to_c(with(|e| {
        let Some(Token::Socket { nonblocking, .. }) = e.tokens.get_mut(&fd) else { return Err(Errno::EBADF) };
        match command {
            libc::F_GETFL => Ok(libc::O_RDWR | if *nonblocking { libc::O_NONBLOCK } else { 0 }),
            libc::F_SETFL => {
                *nonblocking = arg as c_int & libc::O_NONBLOCK != 0;
                Ok(0)
            }
            libc::F_GETFD => Ok(libc::FD_CLOEXEC),
            libc::F_SETFD => Ok(0),
            _ => Err(Errno::EINVAL),
        }
    }))
}

pub(crate) unsafe extern "C" fn ioctl(_: *mut c_void, fd: c_int, request: c_ulong, arg: *mut c_int) -> c_int {
    const OUTQNSD: c_ulong = 0x894b;
    const ATMARK: c_ulong = 0x8905;
    // SAFETY: the requests here take a pointer to an int, or null.
    let Some(arg) = (unsafe { arg.as_mut() }) else { return fail(Errno::EFAULT) };
    to_c(with(|e| {
        let s = e.sock(fd)?;
        if request == libc::FIONBIO {
            if let Some(Token::Socket { nonblocking, .. }) = e.tokens.get_mut(&fd) {
                *nonblocking = *arg != 0;
            }
            return Ok(0);
        }
        let line = e.stack.sockets().into_iter().find(|l| l.socket == Some(s.id)).ok_or(Errno::EBADF)?;
        *arg = match request {
            libc::FIONREAD if line.state == State::Listen => return Err(Errno::EINVAL),
            libc::FIONREAD => line.recv_queue as c_int,
            libc::TIOCOUTQ => line.send_queue as c_int,
            OUTQNSD => e.stack.tcp_info(e.now, s.id)?.notsent_bytes as c_int,
            ATMARK => c_int::from(e.stack.at_mark(s.id)?),
            _ => return Err(Errno::ENOTTY),
        };
        Ok(0)
    }))
}
