//! TCP and UDP with the names, signatures and meanings of `std::net`, on a wirestack [`Runtime`].
//!
//! A program moves over by changing its `use` lines, and by calling [`Runtime::set_default`] once. Where
//! several stacks live in one process, `bind_on`, `connect_on` and `connect_timeout_on` take the runtime
//! as their first argument. What `std::net` has not (keep-alive, linger, buffer sizes, urgent data) is on
//! the [`Socket`] that each type gives by `as_ref()`.
//!
//! Addresses are what `std::net::ToSocketAddrs` takes. A host *name* is resolved by the system, over the
//! system's own network and not over the stack; numeric addresses ask nobody.

mod listener;
mod stream;
mod udp;

pub use listener::{Incoming, TcpListener};
pub use std::net::{Shutdown, SocketAddr, SocketAddrV4, SocketAddrV6, ToSocketAddrs};
pub use stream::TcpStream;
pub use udp::UdpSocket;

use super::{Runtime, Socket};
use crate::errno::Errno;
use crate::socket::{Domain, OptionName, SocketOption};
use std::io;
use std::time::Duration;

/// Tries `f` with each address until one succeeds; the last error if none does.
fn each_addr<T>(addrs: impl ToSocketAddrs, mut f: impl FnMut(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    let mut last = None;
    for addr in addrs.to_socket_addrs()? {
        match f(addr) {
            Ok(value) => return Ok(value),
            Err(e) => last = Some(e),
        }
    }
    Err(last
        .unwrap_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "could not resolve to any addresses")))
}

fn domain(addr: &SocketAddr) -> Domain {
    if addr.is_ipv4() { Domain::Inet } else { Domain::Inet6 }
}

fn from_std(how: Shutdown) -> crate::socket::Shutdown {
    match how {
        Shutdown::Read => crate::socket::Shutdown::Read,
        Shutdown::Write => crate::socket::Shutdown::Write,
        Shutdown::Both => crate::socket::Shutdown::Both,
    }
}

fn flag(socket: &Socket, name: OptionName) -> io::Result<bool> {
    match socket.option(name)? {
        SocketOption::NoDelay(on)
        | SocketOption::QuickAck(on)
        | SocketOption::KeepAlive(on)
        | SocketOption::Broadcast(on)
        | SocketOption::V6Only(on) => Ok(on),
        _ => Err(Errno::EINVAL.into()),
    }
}

/// SO_RCVTIMEO and SO_SNDTIMEO; `std` refuses zero, because to setsockopt(2) it means "for ever".
fn refuse_zero(timeout: Option<Duration>) -> io::Result<Option<Duration>> {
    if timeout.is_some_and(|t| t.is_zero()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "cannot set a 0 duration timeout"));
    }
    Ok(timeout)
}

fn timeout(socket: &Socket, name: OptionName) -> io::Result<Option<Duration>> {
    match socket.option(name)? {
        SocketOption::RecvTimeout(t) | SocketOption::SendTimeout(t) => Ok(t.filter(|t| !t.is_zero())),
        _ => Err(Errno::EINVAL.into()),
    }
}

/// IP_TTL of 1..=255.
fn set_ttl(socket: &Socket, ttl: u32) -> io::Result<()> {
    match u8::try_from(ttl) {
        Ok(ttl @ 1..) => socket.set_option(SocketOption::HopLimit(Some(ttl))),
        _ => Err(Errno::EINVAL.into()),
    }
}

fn ttl(socket: &Socket) -> io::Result<u32> {
    match socket.option(OptionName::HopLimit)? {
        SocketOption::HopLimit(ttl) => Ok(u32::from(ttl.unwrap_or(DEFAULT_TTL))),
        _ => Err(Errno::EINVAL.into()),
    }
}

/// Where the socket has none of its own, it is the profile's, which is this one in all of them.
const DEFAULT_TTL: u8 = 64;

/// The methods that all three types share.
macro_rules! common {
    ($name:ident) => {
        impl $name {
            /// The address it is bound to.
            ///
            /// # Errors
            /// `ENETDOWN`.
            pub fn local_addr(&self) -> io::Result<SocketAddr> {
                self.socket.local_addr()
            }

            /// Another handle of the same socket, which is closed when the last one is dropped.
            ///
            /// # Errors
            /// None today.
            pub fn try_clone(&self) -> io::Result<Self> {
                Ok(Self { socket: self.socket.clone() })
            }

            /// Moves it, and all its clones, into or out of non-blocking mode, where a call that would
            /// wait fails with `WouldBlock`.
            ///
            /// # Errors
            /// None today.
            pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
                self.socket.set_nonblocking(nonblocking)
            }

            /// SO_ERROR: the pending error, cleared by reading it.
            ///
            /// # Errors
            /// `ENETDOWN`.
            pub fn take_error(&self) -> io::Result<Option<io::Error>> {
                self.socket.take_error()
            }

            /// IP_TTL or the hop limit of packets sent.
            ///
            /// # Errors
            /// `ENETDOWN`.
            pub fn ttl(&self) -> io::Result<u32> {
                super::ttl(&self.socket)
            }

            /// Sets IP_TTL or the hop limit of packets sent, 1 to 255.
            ///
            /// # Errors
            /// `EINVAL` for any other value.
            pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
                super::set_ttl(&self.socket, ttl)
            }
        }

        impl AsRef<Socket> for $name {
            fn as_ref(&self) -> &Socket {
                &self.socket
            }
        }

        impl From<Socket> for $name {
            fn from(socket: Socket) -> Self {
                Self { socket }
            }
        }

        impl From<$name> for Socket {
            fn from(it: $name) -> Self {
                it.socket
            }
        }
    };
}

/// Timeouts of reading and writing.
macro_rules! timeouts {
    ($name:ident) => {
        impl $name {
            /// Limits how long reading waits; `None` is for ever. When the time is over reading fails
            /// with `WouldBlock`.
            ///
            /// # Errors
            /// `InvalidInput` for zero.
            pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
                self.socket.set_option(SocketOption::RecvTimeout(super::refuse_zero(timeout)?))
            }

            /// Limits how long writing waits; `None` is for ever. When the time is over writing fails
            /// with `WouldBlock`.
            ///
            /// # Errors
            /// `InvalidInput` for zero.
            pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
                self.socket.set_option(SocketOption::SendTimeout(super::refuse_zero(timeout)?))
            }

            /// How long reading waits; `None` is for ever.
            ///
            /// # Errors
            /// `ENETDOWN`.
            pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
                super::timeout(&self.socket, OptionName::RecvTimeout)
            }

            /// How long writing waits; `None` is for ever.
            ///
            /// # Errors
            /// `ENETDOWN`.
            pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
                super::timeout(&self.socket, OptionName::SendTimeout)
            }
        }
    };
}

use {common, timeouts};
