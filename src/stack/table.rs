//! What a socket is: its place in the table, and what belongs to the descriptor rather than to the
//! connection.

use super::Stack;
use super::ports::Share;
use crate::endpoint::LocalAddr;
use crate::errno::{Errno, Result};
use crate::posix::{self, Domain, Type};
use crate::tcp::{Settings, Tcb};
use crate::time::Instant;
use crate::{ConnId, IfaceId, SocketId};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::net::{IpAddr, Ipv6Addr, SocketAddr};
use core::time::Duration;

/// A socket.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) domain: Domain,
    pub(crate) ty: Type,
    pub(crate) protocol: u8,
    /// Its readiness changed and `poll_event` has not told it yet.
    pub(crate) announced: bool,
    pub(crate) reuse_addr: bool,
    pub(crate) reuse_port: bool,
    pub(crate) v6only: bool,
    pub(crate) iface: Option<IfaceId>,
    pub(crate) linger: Option<Duration>,
    /// connect(2) began and has not told yet how it ended.
    pub(crate) connecting: bool,
    pub(crate) recv_timeout: Option<Duration>,
    pub(crate) send_timeout: Option<Duration>,
    /// The port that bind(2) gave it, with the address.
    pub(crate) bound: Option<(LocalAddr, u16)>,
    pub(crate) kind: Kind,
}

/// What it does.
#[derive(Debug)]
pub(crate) enum Kind {
    /// A stream socket that neither listens nor connects.
    Fresh(Box<Settings>),
    /// A listener.
    Listening(Box<Listener>),
    /// A connection, being opened, open or over.
    Connected(ConnId),
    /// UDP: its state is in the UDP table.
    Udp,
    /// Raw: its state is in the raw table.
    Raw,
}

/// A listener.
#[derive(Debug)]
pub(crate) struct Listener {
    /// What accepted sockets inherit.
    pub(crate) settings: Box<Settings>,
    pub(crate) reuse_addr: bool,
    pub(crate) reuse_port: bool,
    /// One connection more than this may wait (listen(2) in Linux).
    pub(crate) backlog: usize,
    /// Half-open connections.
    pub(crate) half_open: usize,
    /// When a SYN cookie was last sent: for a while after it ACKs may carry one.
    pub(crate) cookie_at: Option<Instant>,
    /// Connections to accept, in the order in which they were established.
    pub(crate) queue: VecDeque<ConnId>,
}

impl Socket {
    pub(crate) fn listener(&self) -> Option<&Listener> {
        match &self.kind {
            Kind::Listening(l) => Some(l),
            _ => None,
        }
    }

    pub(crate) fn listener_mut(&mut self) -> Option<&mut Listener> {
        match &mut self.kind {
            Kind::Listening(l) => Some(l),
            _ => None,
        }
    }

    /// How it shares a port.
    pub(crate) fn share(&self, addr: LocalAddr) -> Share {
        Share { addr, iface: self.iface, reuse_addr: self.reuse_addr, reuse_port: self.reuse_port }
    }

    /// An address as the application of this socket sees it: IPv4 is mapped under IPv6.
    pub(crate) fn user_addr(&self, addr: SocketAddr) -> SocketAddr {
        match (self.domain, addr.ip()) {
            (Domain::Inet6, IpAddr::V4(v4)) => SocketAddr::new(IpAddr::V6(v4.to_ipv6_mapped()), addr.port()),
            _ => addr,
        }
    }

    /// An address as the application gives it, for the stack: mapped IPv4 is IPv4.
    ///
    /// # Errors
    /// `EAFNOSUPPORT` for an IPv6 address on an IPv4 socket, `EINVAL` the other way round, as in Linux;
    /// `ENETUNREACH` for mapped IPv4 on a socket that is IPv6 only.
    pub(crate) fn core_addr(&self, addr: SocketAddr) -> Result<SocketAddr> {
        match (self.domain, addr.ip()) {
            (Domain::Inet, IpAddr::V6(_)) => Err(Errno::EAFNOSUPPORT),
            (Domain::Inet6, IpAddr::V4(_)) => Err(Errno::EINVAL),
            (Domain::Inet6, IpAddr::V6(v6)) if v6.to_ipv4_mapped().is_some() && self.v6only => {
                Err(Errno::ENETUNREACH)
            }
            (_, ip) => Ok(SocketAddr::new(ip.to_canonical(), addr.port())),
        }
    }

    /// The unspecified address of its family.
    pub(crate) fn unspecified(&self) -> SocketAddr {
        posix::unspecified(self.domain)
    }

    /// The address that a wildcard binding reads back as.
    pub(crate) fn wildcard(&self, addr: LocalAddr) -> IpAddr {
        match addr {
            LocalAddr::Exact(ip) => ip,
            _ if self.domain == Domain::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            _ => self.unspecified().ip(),
        }
    }
}

/// # Sockets by their id
impl Stack {
    pub(crate) fn sock(&self, id: SocketId) -> Result<&Socket> {
        self.sockets.get(id).ok_or(Errno::EBADF)
    }

    pub(crate) fn sock_mut(&mut self, id: SocketId) -> Result<&mut Socket> {
        self.sockets.get_mut(id).ok_or(Errno::EBADF)
    }

    /// The connection of a stream socket, if it has one.
    pub(crate) fn conn_of(&self, id: SocketId) -> Result<Option<ConnId>> {
        Ok(match self.sock(id)?.kind {
            Kind::Connected(conn) => Some(conn),
            _ => None,
        })
    }

    pub(crate) fn tcb(&self, conn: ConnId) -> Option<&Tcb> {
        self.conns.get(conn).map(|c| &c.tcb)
    }
}
