//! What one UDP socket holds.

use crate::IfaceId;
use crate::buf::Chunk;
use crate::endpoint::{Endpoint, LocalAddr};
use crate::errno::{Errno, Result};
use crate::posix::{Domain, Readiness};
use alloc::collections::VecDeque;
use core::net::IpAddr;

/// A received datagram.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its payload.
    pub data: Chunk,
    /// The sender.
    pub from: Endpoint,
    /// The address it was sent to (IP_PKTINFO).
    pub dst: IpAddr,
    /// The interface it came in on (IP_PKTINFO).
    pub iface: IfaceId,
    /// TTL or hop limit (IP_RECVTTL).
    pub hop_limit: u8,
    /// TOS or traffic class (IP_RECVTOS).
    pub traffic_class: u8,
}

/// What a message costs beside the buffer of its payload.
const OVERHEAD: usize = 64 + size_of::<Message>();

impl Message {
    /// Octets of memory that it keeps alive.
    fn memory(&self) -> usize {
        self.data.backing_len() + OVERHEAD
    }
}

/// Options of a UDP socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// SO_REUSEADDR.
    pub reuse_addr: bool,
    /// SO_REUSEPORT.
    pub reuse_port: bool,
    /// SO_BROADCAST: sending to a broadcast address is meant.
    pub broadcast: bool,
    /// SO_BINDTODEVICE.
    pub iface: Option<IfaceId>,
    /// SO_RCVBUF as read back (doubled): octets of memory.
    pub recv_buffer: usize,
    /// SO_SNDBUF as read back (doubled): a datagram longer than this is refused.
    pub send_buffer: usize,
    /// IP_TTL, IPV6_UNICAST_HOPS; `None` is the profile's.
    pub hop_limit: Option<u8>,
    /// IP_MULTICAST_TTL, IPV6_MULTICAST_HOPS.
    pub multicast_hop_limit: u8,
    /// IP_TOS, IPV6_TCLASS.
    pub traffic_class: u8,
    /// IP_MTU_DISCOVER.
    pub dont_fragment: bool,
    /// IP_RECVERR: errors are told to a socket that is not connected, too, and soft ones as well.
    pub recv_err: bool,
    /// IPV6_V6ONLY.
    pub v6only: bool,
}

impl Default for Options {
    /// Linux: buffers of 212,992 octets, multicast hop limit 1.
    fn default() -> Self {
        Self {
            reuse_addr: false,
            reuse_port: false,
            broadcast: false,
            iface: None,
            recv_buffer: 212_992,
            send_buffer: 212_992,
            hop_limit: None,
            multicast_hop_limit: 1,
            traffic_class: 0,
            dont_fragment: false,
            recv_err: false,
            v6only: false,
        }
    }
}

/// A UDP socket.
#[derive(Debug)]
pub struct UdpSocket {
    /// AF_INET or AF_INET6.
    pub domain: Domain,
    /// Its options.
    pub options: Options,
    pub(super) local: LocalAddr,
    pub(super) port: u16,
    pub(super) peer: Option<Endpoint>,
    queue: VecDeque<Message>,
    memory: usize,
    error: Option<Errno>,
    dropped: u64,
    shut_read: bool,
    shut_write: bool,
}

impl UdpSocket {
    /// A socket that is neither bound nor connected.
    pub fn new(domain: Domain, options: Options) -> Self {
        let local = match domain {
            Domain::Inet => LocalAddr::AnyV4,
            Domain::Inet6 => LocalAddr::Any,
        };
        Self {
            domain,
            options,
            local,
            port: 0,
            peer: None,
            queue: VecDeque::new(),
            memory: 0,
            error: None,
            dropped: 0,
            shut_read: false,
            shut_write: false,
        }
    }

    /// Its local address.
    pub const fn local(&self) -> LocalAddr {
        self.local
    }

    /// Its local port; 0 if it is not bound.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Its peer, if it is connected.
    pub const fn peer(&self) -> Option<Endpoint> {
        self.peer
    }

    /// Where a datagram goes: to `to`, or to the peer.
    ///
    /// # Errors
    /// The pending error, which is cleared. EPIPE after shutdown. EDESTADDRREQ without a
    /// destination. EINVAL for port 0. EMSGSIZE if `len` exceeds the send buffer.
    pub fn destination(&mut self, to: Option<Endpoint>, len: usize) -> Result<Endpoint> {
        if let Some(e) = self.error.take() {
            return Err(e);
        }
        if self.shut_write {
            return Err(Errno::EPIPE);
        }
        let to = to.or(self.peer).ok_or(Errno::EDESTADDRREQ)?;
        if to.port == 0 {
            return Err(Errno::EINVAL);
        }
        if len > self.options.send_buffer {
            return Err(Errno::EMSGSIZE);
        }
        Ok(to)
    }

    /// Queues a datagram, which is made only if there is room for it. As in Linux, the one that passes
    /// the limit is still taken, so that even the smallest buffer holds one. False if there is no room.
    pub(super) fn offer(&mut self, make: impl FnOnce() -> Message) -> bool {
        if self.memory > self.options.recv_buffer {
            self.dropped += 1;
            return false;
        }
        let message = make();
        self.memory += message.memory();
        self.queue.push_back(message);
        true
    }

    /// Takes the oldest datagram.
    ///
    /// # Errors
    /// The pending error, which is cleared; else EAGAIN if there is no datagram. After
    /// shutdown of the reading half an empty queue gives `Ok(None)`: recv returns 0.
    pub fn recv(&mut self) -> Result<Option<Message>> {
        self.ready()?;
        let message = self.queue.pop_front();
        if let Some(m) = &message {
            self.memory -= m.memory();
        }
        Ok(message)
    }

    /// Looks at the oldest datagram and leaves it.
    ///
    /// # Errors
    /// As [`Self::recv`].
    pub fn peek(&mut self) -> Result<Option<&Message>> {
        self.ready()?;
        Ok(self.queue.front())
    }

    fn ready(&mut self) -> Result<()> {
        match self.error.take() {
            Some(e) => Err(e),
            None if self.queue.is_empty() && !self.shut_read => Err(Errno::EAGAIN),
            None => Ok(()),
        }
    }

    /// Octets of payload of the oldest datagram (FIONREAD).
    pub fn next_len(&self) -> usize {
        self.queue.front().map_or(0, |m| m.data.len())
    }

    /// Octets of memory in the receive queue: what `ss` shows as Recv-Q.
    pub const fn memory(&self) -> usize {
        self.memory
    }

    /// Datagrams dropped because the queue was full.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Sets the pending error.
    pub fn set_error(&mut self, error: Errno) {
        self.error = Some(error);
    }

    /// SO_ERROR: takes the pending error.
    pub fn take_error(&mut self) -> Option<Errno> {
        self.error.take()
    }

    /// shutdown(2). Queued datagrams can still be read.
    ///
    /// # Errors
    /// ENOTCONN without a peer; Linux shuts down all the same and so does this.
    pub fn shutdown(&mut self, read: bool, write: bool) -> Result<()> {
        self.shut_read |= read;
        self.shut_write |= write;
        if self.peer.is_some() { Ok(()) } else { Err(Errno::ENOTCONN) }
    }

    /// What poll(2) says of it (datagram_poll). A datagram socket can nearly always send.
    pub fn readiness(&self) -> Readiness {
        let mut r = Readiness::OUT;
        r.set(Readiness::ERR, self.error.is_some());
        r.set(Readiness::IN, !self.queue.is_empty() || self.shut_read);
        r.set(Readiness::RDHUP, self.shut_read);
        r.set(Readiness::HUP, self.shut_read && self.shut_write);
        r
    }
}
