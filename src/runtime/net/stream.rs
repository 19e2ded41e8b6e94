//! `std::net::TcpStream` on a runtime.

use super::{Runtime, Shutdown, Socket, ToSocketAddrs, common, timeouts};
use crate::errno::Errno;
use crate::socket::{OptionName, SocketOption, Type};
use core::fmt;
use core::net::SocketAddr;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::time::Duration;

/// A TCP connection, shaped like `std::net::TcpStream`.
///
/// Dropping the last handle closes it: what was written is still delivered in the background, as long as
/// the runtime lives ([`Runtime::shutdown`] waits for it). `&TcpStream` reads and writes too, so several
/// threads can share one.
pub struct TcpStream {
    pub(super) socket: Socket,
}

common!(TcpStream);
timeouts!(TcpStream);

impl TcpStream {
    /// Connects on the process's runtime, to the first of the addresses that answers.
    ///
    /// # Errors
    /// As [`Socket::connect`], for the last address; `ENETDOWN` if the process has no runtime.
    pub fn connect<A: ToSocketAddrs>(addr: A) -> io::Result<Self> {
        Self::connect_on(&Runtime::current()?, addr)
    }

    /// [`connect`](Self::connect) on this runtime.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn connect_on<A: ToSocketAddrs>(runtime: &Runtime, addr: A) -> io::Result<Self> {
        super::each_addr(addr, |addr| {
            let socket = Socket::new(runtime, super::domain(&addr), Type::Stream, 0)?;
            socket.connect(addr)?;
            Ok(Self { socket })
        })
    }

    /// Connects on the process's runtime, waiting at most `timeout`.
    ///
    /// # Errors
    /// `TimedOut`; `InvalidInput` for zero; else as [`connect`](Self::connect).
    pub fn connect_timeout(addr: &SocketAddr, timeout: Duration) -> io::Result<Self> {
        Self::connect_timeout_on(&Runtime::current()?, addr, timeout)
    }

    /// [`connect_timeout`](Self::connect_timeout) on this runtime.
    ///
    /// # Errors
    /// As [`connect_timeout`](Self::connect_timeout).
    pub fn connect_timeout_on(runtime: &Runtime, addr: &SocketAddr, timeout: Duration) -> io::Result<Self> {
        let socket = Socket::new(runtime, super::domain(addr), Type::Stream, 0)?;
        socket.connect_timeout(*addr, timeout)?;
        Ok(Self { socket })
    }

    /// The peer's address.
    ///
    /// # Errors
    /// `ENOTCONN`.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.peer_addr()
    }

    /// Ends one direction or both. The peer sees the end of the stream after all data.
    ///
    /// # Errors
    /// `ENOTCONN`.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.shutdown(super::from_std(how))
    }

    /// Reads without taking.
    ///
    /// # Errors
    /// As [`Socket::recv_with_flags`].
    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.socket.peek(buf)
    }

    /// TCP_NODELAY: `true` sends small segments at once (no Nagle, RFC 9293 section 3.7.4).
    ///
    /// # Errors
    /// `ENETDOWN`.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.socket.set_option(SocketOption::NoDelay(nodelay))
    }

    /// TCP_NODELAY as it is.
    ///
    /// # Errors
    /// `ENETDOWN`.
    pub fn nodelay(&self) -> io::Result<bool> {
        super::flag(&self.socket, OptionName::NoDelay)
    }

    /// TCP_QUICKACK, as `std::os::linux::net::TcpStreamExt` has it.
    ///
    /// # Errors
    /// `ENETDOWN`.
    pub fn set_quickack(&self, quickack: bool) -> io::Result<()> {
        self.socket.set_option(SocketOption::QuickAck(quickack))
    }

    /// TCP_QUICKACK as it is.
    ///
    /// # Errors
    /// `ENETDOWN`.
    pub fn quickack(&self) -> io::Result<bool> {
        super::flag(&self.socket, OptionName::QuickAck)
    }

    /// SO_LINGER: how long closing waits until the peer has acknowledged everything; `None` closes in the
    /// background; zero throws away what is not sent yet and resets the connection.
    ///
    /// # Errors
    /// `ENETDOWN`.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        self.socket.set_option(SocketOption::Linger(linger))
    }

    /// SO_LINGER as it is.
    ///
    /// # Errors
    /// `ENETDOWN`.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        match self.socket.option(OptionName::Linger)? {
            SocketOption::Linger(linger) => Ok(linger),
            _ => Err(Errno::EINVAL.into()),
        }
    }

    fn read_(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.socket.recv(buf)
    }

    fn read_vectored_(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        // As much as one call finds: the first buffer may wait, the others must not.
        let mut total = 0;
        for buf in bufs.iter_mut().filter(|b| !b.is_empty()) {
            let flags = if total == 0 { Default::default() } else { crate::socket::MsgFlags::DONTWAIT };
            match self.socket.recv_with_flags(buf, flags) {
                Ok(n) => {
                    total += n;
                    if n < buf.len() {
                        break;
                    }
                }
                Err(_) if total > 0 => break,
                Err(e) => return Err(e),
            }
        }
        Ok(total)
    }
}

impl Read for &TcpStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.read_(buf)
    }
    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.read_vectored_(bufs)
    }
}

impl Read for TcpStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.read_(buf)
    }
    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.read_vectored_(bufs)
    }
}

impl Write for &TcpStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.socket.send(buf)
    }
    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.socket.send_vectored(bufs)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for TcpStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.socket.send(buf)
    }
    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.socket.send_vectored(bufs)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TcpStream").field(&self.socket).finish()
    }
}
