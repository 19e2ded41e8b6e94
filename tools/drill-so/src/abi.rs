//! The table of functions, in packetdrill's order: 33 pointers. Each function gets the user data first
//! and returns a result, or -1 with `errno` set.

use crate::{calls, message, select, sockopt, wire};
use libc::{
    c_int, c_long, c_uint, c_ulong, c_void, epoll_event, iovec, loff_t, msghdr, nfds_t, pollfd, size_t,
    sockaddr, socklen_t, ssize_t, timeval,
};

type Ud = *mut c_void;
type Fd = c_int;

/// What packetdrill calls.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "each is the function of that name in POSIX or Linux, or is told in `wire`")]
pub struct Interface {
    pub userdata: Ud,
    pub free: Option<unsafe extern "C" fn(Ud)>,
    pub socket: Option<unsafe extern "C" fn(Ud, c_int, c_int, c_int) -> Fd>,
    pub bind: Option<unsafe extern "C" fn(Ud, Fd, *const sockaddr, socklen_t) -> c_int>,
    pub listen: Option<unsafe extern "C" fn(Ud, Fd, c_int) -> c_int>,
    pub accept: Option<unsafe extern "C" fn(Ud, Fd, *mut sockaddr, *mut socklen_t) -> c_int>,
    pub connect: Option<unsafe extern "C" fn(Ud, Fd, *const sockaddr, socklen_t) -> c_int>,
    pub read: Option<unsafe extern "C" fn(Ud, Fd, *mut c_void, size_t) -> ssize_t>,
    pub readv: Option<unsafe extern "C" fn(Ud, Fd, *const iovec, c_int) -> ssize_t>,
    pub recv: Option<unsafe extern "C" fn(Ud, Fd, *mut c_void, size_t, c_int) -> ssize_t>,
    pub recvfrom: Option<
        unsafe extern "C" fn(Ud, Fd, *mut c_void, size_t, c_int, *mut sockaddr, *mut socklen_t) -> ssize_t,
    >,
    pub recvmsg: Option<unsafe extern "C" fn(Ud, Fd, *mut msghdr, c_int) -> ssize_t>,
    pub write: Option<unsafe extern "C" fn(Ud, Fd, *const c_void, size_t) -> ssize_t>,
    pub writev: Option<unsafe extern "C" fn(Ud, Fd, *const iovec, c_int) -> ssize_t>,
    pub send: Option<unsafe extern "C" fn(Ud, Fd, *const c_void, size_t, c_int) -> ssize_t>,
    pub sendto: Option<
        unsafe extern "C" fn(Ud, Fd, *const c_void, size_t, c_int, *const sockaddr, socklen_t) -> ssize_t,
    >,
    pub sendmsg: Option<unsafe extern "C" fn(Ud, Fd, *const msghdr, c_int) -> ssize_t>,
    pub fcntl: Option<unsafe extern "C" fn(Ud, Fd, c_int, c_long) -> c_int>,
    pub ioctl: Option<unsafe extern "C" fn(Ud, Fd, c_ulong, *mut c_int) -> c_int>,
    pub close: Option<unsafe extern "C" fn(Ud, Fd) -> c_int>,
    pub shutdown: Option<unsafe extern "C" fn(Ud, Fd, c_int) -> c_int>,
    pub getsockopt: Option<unsafe extern "C" fn(Ud, Fd, c_int, c_int, *mut c_void, *mut socklen_t) -> c_int>,
    pub setsockopt: Option<unsafe extern "C" fn(Ud, Fd, c_int, c_int, *const c_void, socklen_t) -> c_int>,
    pub poll: Option<unsafe extern "C" fn(Ud, *mut pollfd, nfds_t, c_int) -> c_int>,
    pub netdev_send: Option<unsafe extern "C" fn(Ud, *const c_void, size_t) -> c_int>,
    pub netdev_receive: Option<unsafe extern "C" fn(Ud, *mut c_void, *mut size_t, *mut i64) -> c_int>,
    pub usleep: Option<unsafe extern "C" fn(Ud, c_uint) -> c_int>,
    pub gettimeofday: Option<unsafe extern "C" fn(Ud, *mut timeval, *mut c_void) -> c_int>,
    pub epoll_create: Option<unsafe extern "C" fn(Ud, c_int) -> Fd>,
    pub epoll_ctl: Option<unsafe extern "C" fn(Ud, Fd, c_int, Fd, *mut epoll_event) -> c_int>,
    pub epoll_wait: Option<unsafe extern "C" fn(Ud, Fd, *mut epoll_event, c_int, c_int) -> c_int>,
    pub pipe: Option<unsafe extern "C" fn(Ud, *mut c_int) -> c_int>,
    pub splice: Option<unsafe extern "C" fn(Ud, Fd, *mut loff_t, Fd, *mut loff_t, size_t, c_uint) -> ssize_t>,
}

const _: () = assert!(size_of::<Interface>() == 33 * size_of::<usize>());

impl Interface {
    /// Every pointer filled.
    pub fn new() -> Self {
        Self {
            userdata: std::ptr::null_mut(),
            free: Some(wire::free),
            socket: Some(calls::socket),
            bind: Some(calls::bind),
            listen: Some(calls::listen),
            accept: Some(calls::accept),
            connect: Some(calls::connect),
            read: Some(message::read),
            readv: Some(message::readv),
            recv: Some(message::recv),
            recvfrom: Some(message::recvfrom),
            recvmsg: Some(message::recvmsg),
            write: Some(message::write),
            writev: Some(message::writev),
            send: Some(message::send),
            sendto: Some(message::sendto),
            sendmsg: Some(message::sendmsg),
            fcntl: Some(calls::fcntl),
            ioctl: Some(calls::ioctl),
            close: Some(calls::close),
            shutdown: Some(calls::shutdown),
            getsockopt: Some(sockopt::getsockopt),
            setsockopt: Some(sockopt::setsockopt),
            poll: Some(select::poll),
            netdev_send: Some(wire::netdev_send),
            netdev_receive: Some(wire::netdev_receive),
            usleep: Some(wire::usleep),
            gettimeofday: Some(wire::gettimeofday),
            epoll_create: Some(select::epoll_create),
            epoll_ctl: Some(select::epoll_ctl),
            epoll_wait: Some(select::epoll_wait),
            pipe: Some(message::pipe),
            splice: Some(message::splice),
        }
    }
}

impl Default for Interface {
    fn default() -> Self {
        Self::new()
    }
}
