//! `std::net::TcpListener` on a runtime.

use super::OptionName;
use super::{Runtime, Socket, TcpStream, ToSocketAddrs, common};
use crate::socket::{SocketOption, Type};
use core::fmt;
use core::net::SocketAddr;
use std::io;
use std::iter::FusedIterator;
use std::time::Duration;

/// Connections that may wait to be accepted: Linux's default for somaxconn.
const BACKLOG: i32 = 4096;

/// A listening TCP socket, shaped like `std::net::TcpListener`.
pub struct TcpListener {
    socket: Socket,
}

common!(TcpListener);

impl TcpListener {
    /// Listens on the process's runtime, on the first of the addresses that is free; port 0 picks one.
    /// SO_REUSEADDR is set, as `std` does on Unix.
    ///
    /// # Errors
    /// As [`Socket::bind`]; `ENETDOWN` if the process has no runtime.
    pub fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<Self> {
        Self::bind_on(&Runtime::current()?, addr)
    }

    /// [`bind`](Self::bind) on this runtime.
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    pub fn bind_on<A: ToSocketAddrs>(runtime: &Runtime, addr: A) -> io::Result<Self> {
        super::each_addr(addr, |addr| {
            let socket = Socket::new(runtime, super::domain(&addr), Type::Stream, 0)?;
            socket.set_option(SocketOption::ReuseAddr(true))?;
            socket.bind(addr)?;
            socket.listen(BACKLOG)?;
            Ok(Self { socket })
        })
    }

    /// Waits for the next connection.
    ///
    /// # Errors
    /// As [`Socket::accept`].
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (socket, peer) = self.socket.accept()?;
        Ok((TcpStream { socket }, peer))
    }

    /// The connections, one after the other, without end.
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
    }

    /// Limits how long [`accept`](Self::accept) waits (SO_RCVTIMEO); `None` is for ever. When the time is
    /// over it fails with `WouldBlock`. `std` has no such method.
    ///
    /// # Errors
    /// `InvalidInput` for zero.
    pub fn set_accept_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket.set_option(SocketOption::RecvTimeout(super::refuse_zero(timeout)?))
    }

    /// How long [`accept`](Self::accept) waits; `None` is for ever.
    ///
    /// # Errors
    /// `ENETDOWN`.
    pub fn accept_timeout(&self) -> io::Result<Option<Duration>> {
        super::timeout(&self.socket, OptionName::RecvTimeout)
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TcpListener").field(&self.socket).finish()
    }
}

/// The connections of a listener.
#[derive(Debug)]
pub struct Incoming<'a> {
    listener: &'a TcpListener,
}

impl Iterator for Incoming<'_> {
    type Item = io::Result<TcpStream>;
    fn next(&mut self) -> Option<Self::Item> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }
}

impl FusedIterator for Incoming<'_> {}
