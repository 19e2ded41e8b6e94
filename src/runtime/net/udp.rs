//! `std::net::UdpSocket` on a runtime.

use super::{Runtime, Socket, ToSocketAddrs, common, timeouts};
use crate::socket::{MsgFlags, OptionName, SocketOption, Type};
use core::fmt;
use core::net::SocketAddr;
use std::io;
use std::time::Duration;

/// A UDP socket, shaped like `std::net::UdpSocket`.
pub struct UdpSocket {
    socket: Socket,
}

common!(UdpSocket);
timeouts!(UdpSocket);

impl UdpSocket {
    /// Binds on the process's runtime, to the first of the addresses that is free; port 0 picks one.
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
            let socket = Socket::new(runtime, super::domain(&addr), Type::Dgram, 0)?;
            socket.bind(addr)?;
            Ok(Self { socket })
        })
    }

    /// Sets the peer: [`send`](Self::send) goes there, and only what it sends is received.
    ///
    /// # Errors
    /// As [`Socket::connect`].
    pub fn connect<A: ToSocketAddrs>(&self, addr: A) -> io::Result<()> {
        super::each_addr(addr, |addr| self.socket.connect(addr))
    }

    /// The peer's address.
    ///
    /// # Errors
    /// `ENOTCONN`.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.peer_addr()
    }

    /// Sends a datagram to the first of the addresses.
    ///
    /// # Errors
    /// As [`Socket::send_to`]; `InvalidInput` if there is no address.
    pub fn send_to<A: ToSocketAddrs>(&self, buf: &[u8], addr: A) -> io::Result<usize> {
        match addr.to_socket_addrs()?.next() {
            Some(addr) => self.socket.send_to(buf, addr),
            None => Err(io::Error::new(io::ErrorKind::InvalidInput, "no addresses to send data to")),
        }
    }

    /// Waits for a datagram; says how many octets are in `buf`, and who sent it. What does not fit is lost.
    ///
    /// # Errors
    /// As [`Socket::recv_from`].
    pub fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.socket.recv_from(buf, MsgFlags::empty())
    }

    /// [`recv_from`](Self::recv_from) that leaves the datagram in the queue.
    ///
    /// # Errors
    /// As there.
    pub fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.socket.recv_from(buf, MsgFlags::PEEK)
    }

    /// Sends a datagram to the peer.
    ///
    /// # Errors
    /// As [`Socket::send`]; `EDESTADDRREQ` without a peer.
    pub fn send(&self, buf: &[u8]) -> io::Result<usize> {
        self.socket.send(buf)
    }

    /// Waits for a datagram of the peer.
    ///
    /// # Errors
    /// As [`Socket::recv`].
    pub fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.socket.recv(buf)
    }

    /// [`recv`](Self::recv) that leaves the datagram in the queue.
    ///
    /// # Errors
    /// As there.
    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.socket.peek(buf)
    }

    /// SO_BROADCAST: allows sending to a broadcast address.
    ///
    /// # Errors
    /// `ENETDOWN`.
    pub fn set_broadcast(&self, broadcast: bool) -> io::Result<()> {
        self.socket.set_option(SocketOption::Broadcast(broadcast))
    }

    /// SO_BROADCAST as it is.
    ///
    /// # Errors
    /// `ENETDOWN`.
    pub fn broadcast(&self) -> io::Result<bool> {
        super::flag(&self.socket, OptionName::Broadcast)
    }
}

impl fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UdpSocket").field(&self.socket).finish()
    }
}
