//! Raw sockets (raw(7)): whole IP packets of one protocol, past the protocols of the stack.
//!
//! ICMP and protocols that nobody here speaks are delivered; TCP and UDP never are. That is BSD's rule (Linux
//! copies them too): a raw socket cannot listen in on connections. Fragments are put together first,
//! so a packet is delivered whole or not at all.

#[cfg(test)]
mod tests;

use crate::buf::Chunk;
use crate::endpoint::TableKey;
use crate::errno::{Errno, Result};
use crate::ip::{Datagram, protocol};
use crate::posix::{Domain, Readiness};
use crate::rng::Rng;
use crate::{IfaceId, SocketId};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::IpAddr;
use hashbrown::HashMap;
use slotmap::SecondaryMap;

/// IPPROTO_RAW: a socket that only sends, with headers of its own.
pub const SEND_ONLY: u8 = 255;

/// A received packet.
#[derive(Clone, Debug)]
pub struct Message {
    /// The packet: with its IP header on IPv4, without any header before the transport's on IPv6.
    pub data: Chunk,
    /// The sender.
    pub from: IpAddr,
    /// To which address.
    pub dst: IpAddr,
    /// On which interface.
    pub iface: IfaceId,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// TOS or traffic class.
    pub traffic_class: u8,
}

/// What a message costs beside the buffer of its packet.
const OVERHEAD: usize = 64 + size_of::<Message>();

impl Message {
    fn memory(&self) -> usize {
        self.data.backing_len() + OVERHEAD
    }
}

/// A raw socket.
#[derive(Debug)]
pub struct RawSocket {
    /// AF_INET or AF_INET6.
    pub domain: Domain,
    /// The address it is bound to: only packets to it are delivered, and those sent have it as source.
    pub local: Option<IpAddr>,
    /// The address it is connected to: only packets from it are delivered.
    pub peer: Option<IpAddr>,
    /// SO_BINDTODEVICE.
    pub iface: Option<IfaceId>,
    /// IP_HDRINCL: what is sent begins with an IP header.
    pub header_included: bool,
    /// IPV6_CHECKSUM: where the machine puts the transport checksum on sending. Always 2 for ICMPv6
    /// (RFC 3542 section 3.1).
    pub checksum_offset: Option<u16>,
    /// SO_BROADCAST.
    pub broadcast: bool,
    /// SO_RCVBUF as read back: octets of memory.
    pub recv_buffer: usize,
    /// IP_TTL, IPV6_UNICAST_HOPS; `None` is the profile's.
    pub hop_limit: Option<u8>,
    /// IP_TOS, IPV6_TCLASS.
    pub traffic_class: u8,
    protocol: u8,
    queue: VecDeque<Message>,
    memory: usize,
    error: Option<Errno>,
    dropped: u64,
}

impl RawSocket {
    /// A socket for `protocol`.
    ///
    /// # Errors
    /// EPROTONOSUPPORT for protocol 0: a raw socket has one.
    pub fn new(domain: Domain, protocol: u8, recv_buffer: usize) -> Result<Self> {
        if protocol == 0 {
            return Err(Errno::EPROTONOSUPPORT);
        }
        let icmp6 = domain == Domain::Inet6 && protocol == protocol::ICMPV6;
        Ok(Self {
            domain,
            local: None,
            peer: None,
            iface: None,
            header_included: protocol == SEND_ONLY,
            checksum_offset: icmp6.then_some(2),
            broadcast: false,
            recv_buffer,
            hop_limit: None,
            traffic_class: 0,
            protocol,
            queue: VecDeque::new(),
            memory: 0,
            error: None,
            dropped: 0,
        })
    }

    /// Its protocol.
    pub const fn protocol(&self) -> u8 {
        self.protocol
    }

    fn wants(&self, d: &Datagram<'_>) -> bool {
        let family = match self.domain {
            Domain::Inet => d.src.is_ipv4(),
            Domain::Inet6 => d.src.is_ipv6(),
        };
        family
            && self.local.is_none_or(|a| a == d.dst)
            && self.peer.is_none_or(|a| a == d.src)
            && self.iface.is_none_or(|i| i == d.iface)
    }

    /// Takes the oldest packet.
    ///
    /// # Errors
    /// The pending error, which is cleared; else EAGAIN if there is no packet.
    pub fn recv(&mut self) -> Result<Message> {
        self.peek()?;
        let message = self.queue.pop_front().ok_or(Errno::EAGAIN)?;
        self.memory -= message.memory();
        Ok(message)
    }

    /// Looks at the oldest packet and leaves it.
    ///
    /// # Errors
    /// As [`Self::recv`].
    pub fn peek(&mut self) -> Result<&Message> {
        match self.error.take() {
            Some(e) => Err(e),
            None => self.queue.front().ok_or(Errno::EAGAIN),
        }
    }

    /// Octets of memory in the receive queue.
    pub const fn memory(&self) -> usize {
        self.memory
    }

    /// Packets dropped because the queue was full.
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

    /// What poll(2) says of it.
    pub fn readiness(&self) -> Readiness {
        let mut r = Readiness::OUT;
        r.set(Readiness::ERR, self.error.is_some());
        r.set(Readiness::IN, !self.queue.is_empty());
        r
    }
}

/// What became of a packet, as far as raw sockets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// No raw socket wants it: an unknown protocol is answered with "protocol unreachable".
    NoSocket,
    /// Sockets that have it, and sockets that want it and have no room. Not both are 0.
    Matched {
        /// Got it.
        delivered: u32,
        /// Had no room.
        full: u32,
    },
}

/// The raw sockets of a stack.
#[derive(Debug)]
pub struct RawTable {
    sockets: SecondaryMap<SocketId, RawSocket>,
    protocols: HashMap<u8, Vec<SocketId>, TableKey>,
}

impl RawTable {
    /// A table without sockets.
    pub fn new(rng: &mut Rng) -> Self {
        Self { sockets: SecondaryMap::new(), protocols: HashMap::with_hasher(TableKey::new(rng)) }
    }

    /// Adds a socket; it gets packets from now on.
    pub fn insert(&mut self, id: SocketId, socket: RawSocket) {
        self.remove(id);
        self.protocols.entry(socket.protocol).or_default().push(id);
        self.sockets.insert(id, socket);
    }

    /// Removes a socket with all that it holds.
    pub fn remove(&mut self, id: SocketId) -> Option<RawSocket> {
        let socket = self.sockets.remove(id)?;
        if let Some(list) = self.protocols.get_mut(&socket.protocol) {
            list.retain(|&s| s != id);
            if list.is_empty() {
                self.protocols.remove(&socket.protocol);
            }
        }
        Some(socket)
    }

    /// A socket.
    pub fn get(&self, id: SocketId) -> Option<&RawSocket> {
        self.sockets.get(id)
    }

    /// A socket, to change.
    pub fn get_mut(&mut self, id: SocketId) -> Option<&mut RawSocket> {
        self.sockets.get_mut(id)
    }

    /// Every socket.
    pub fn iter(&self) -> impl Iterator<Item = (SocketId, &RawSocket)> {
        self.sockets.iter()
    }

    /// How many sockets.
    pub fn len(&self) -> usize {
        self.sockets.len()
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// Gives a packet to every socket that wants it. `wake` is told each that got it.
    pub fn deliver(&mut self, d: &Datagram<'_>, mut wake: impl FnMut(SocketId)) -> Delivery {
        if matches!(d.protocol, protocol::TCP | protocol::UDP | SEND_ONLY) {
            return Delivery::NoSocket;
        }
        let Self { sockets, protocols } = self;
        let (mut delivered, mut full) = (0, 0);
        let mut data: Option<Chunk> = None;
        for &id in protocols.get(&d.protocol).map_or(&[][..], Vec::as_slice) {
            let Some(s) = sockets.get_mut(id).filter(|s| s.wants(d)) else { continue };
            if s.memory > s.recv_buffer {
                s.dropped += 1;
                full += 1;
                continue;
            }
            let data = data.get_or_insert_with(|| keep(d)).clone();
            let (from, dst, iface) = (d.src, d.dst, d.iface);
            let message =
                Message { data, from, dst, iface, hop_limit: d.hop_limit, traffic_class: d.traffic_class };
            s.memory += message.memory();
            s.queue.push_back(message);
            delivered += 1;
            wake(id);
        }
        if delivered + full == 0 { Delivery::NoSocket } else { Delivery::Matched { delivered, full } }
    }
}

fn keep(d: &Datagram<'_>) -> Chunk {
    if d.src.is_ipv4() {
        d.frame.keep(d.packet.start..d.packet.end)
    } else {
        d.keep(0..d.payload.end - d.payload.start)
    }
}
