//! Which sockets a datagram or an ICMP error concerns.

use super::{Message, UdpSocket, header};
use crate::endpoint::{Endpoint, LocalAddr, TableKey, Tuple};
use crate::errno::Errno;
use crate::ip::{Datagram, ErrorKind, IcmpError, Unreachable, protocol};
use crate::reason::Drop;
use crate::rng::Rng;
use crate::{IfaceId, SocketId};
use alloc::vec::Vec;
use core::net::IpAddr;
use hashbrown::HashMap;
use slotmap::SecondaryMap;

/// What became of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// At least one socket has it.
    Delivered,
    /// No socket is bound there and it was for this host alone: answer "port unreachable".
    NoSocket,
    /// It is dropped without an answer.
    Dropped(Drop),
}

/// The UDP sockets of a stack.
#[derive(Debug)]
pub struct UdpTable {
    sockets: SecondaryMap<SocketId, UdpSocket>,
    /// The sockets on a local port, in the order of bind.
    ports: HashMap<u16, Vec<SocketId>, TableKey>,
    key: TableKey,
}

impl UdpTable {
    /// A table without sockets.
    pub fn new(rng: &mut Rng) -> Self {
        Self {
            sockets: SecondaryMap::new(),
            ports: HashMap::with_hasher(TableKey::new(rng)),
            key: TableKey::new(rng),
        }
    }

    /// Adds a socket; it gets nothing before it is bound.
    pub fn insert(&mut self, id: SocketId, socket: UdpSocket) {
        self.remove(id);
        self.sockets.insert(id, socket);
    }

    /// Removes a socket with all that it holds.
    pub fn remove(&mut self, id: SocketId) -> Option<UdpSocket> {
        self.unlist(id);
        self.sockets.remove(id)
    }

    /// A socket.
    pub fn get(&self, id: SocketId) -> Option<&UdpSocket> {
        self.sockets.get(id)
    }

    /// A socket, to change.
    pub fn get_mut(&mut self, id: SocketId) -> Option<&mut UdpSocket> {
        self.sockets.get_mut(id)
    }

    /// Every socket.
    pub fn iter(&self) -> impl Iterator<Item = (SocketId, &UdpSocket)> {
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

    /// Sets the local address and port of a socket; port 0 makes it unbound. Whether they are free
    /// is for [`crate::stack::ports::PortTable`] to say.
    pub fn bind(&mut self, id: SocketId, addr: LocalAddr, port: u16) {
        self.unlist(id);
        let Some(s) = self.sockets.get_mut(id) else { return };
        (s.local, s.port) = (addr, port);
        if port != 0 {
            self.ports.entry(port).or_default().push(id);
        }
    }

    /// Connects a bound socket: it gets datagrams from `peer` only, to `local` only. `None` dissolves the
    /// connection (connect with AF_UNSPEC). What is queued already stays, as in Linux.
    pub fn connect(&mut self, id: SocketId, local: LocalAddr, peer: Option<Endpoint>) {
        if let Some(s) = self.sockets.get_mut(id) {
            (s.local, s.peer) = (local, peer);
            s.take_error();
        }
    }

    fn unlist(&mut self, id: SocketId) {
        let Some(port) = self.sockets.get(id).map(|s| s.port) else { return };
        if let Some(list) = self.ports.get_mut(&port) {
            list.retain(|&s| s != id);
            if list.is_empty() {
                self.ports.remove(&port);
            }
        }
    }

    /// Gives a datagram to the socket it is for; broadcast and multicast to every socket that matches.
    /// `wake` is told each socket that got it.
    pub fn deliver(&mut self, d: &Datagram<'_>, mut wake: impl FnMut(SocketId)) -> Delivery {
        let h = match header::parse(d) {
            Ok(h) => h,
            Err(reason) => return Delivery::Dropped(reason),
        };
        let local = Endpoint { addr: d.dst, port: h.dst_port };
        let from = Endpoint { addr: d.src, port: h.src_port };
        let tuple = Tuple { local, remote: from };
        let message = |data| Message {
            data,
            from,
            dst: d.dst,
            iface: d.iface,
            hop_limit: d.hop_limit,
            traffic_class: d.traffic_class,
        };
        if !d.broadcast {
            let Some(id) = self.lookup(&tuple, d.iface) else { return Delivery::NoSocket };
            let Some(s) = self.sockets.get_mut(id) else { return Delivery::NoSocket };
            if !s.offer(|| message(d.keep(h.payload))) {
                return Delivery::Dropped(Drop::UdpBufferFull);
            }
            wake(id);
            return Delivery::Delivered;
        }
        let Self { sockets, ports, .. } = self;
        let list = ports.get(&h.dst_port).map_or(&[][..], Vec::as_slice);
        let mut outcome = Delivery::Dropped(Drop::UdpNoSocket);
        let mut data = None;
        for &id in list {
            let Some(s) = sockets.get_mut(id).filter(|s| score(s, &tuple, d.iface).is_some()) else {
                continue;
            };
            if s.offer(|| message(data.get_or_insert_with(|| d.keep(h.payload.clone())).clone())) {
                wake(id);
                outcome = Delivery::Delivered;
            } else if outcome != Delivery::Delivered {
                outcome = Delivery::Dropped(Drop::UdpBufferFull);
            }
        }
        outcome
    }

    /// The socket for a tuple: the best match; of equals with SO_REUSEPORT the one that a keyed hash
    /// chooses, of equals without it the one bound last.
    fn lookup(&self, tuple: &Tuple, iface: IfaceId) -> Option<SocketId> {
        let list = self.ports.get(&tuple.local.port)?;
        let scored = || {
            list.iter().rev().filter_map(|&id| {
                let s = self.sockets.get(id)?;
                Some((score(s, tuple, iface)?, id, s))
            })
        };
        let (mut best, mut found, mut group) = (0, None, 0);
        for (n, id, s) in scored() {
            if n > best {
                (best, found, group) = (n, Some(id), 0);
            }
            // A connected socket is meant by its peer alone; it takes no part in the sharing.
            group += usize::from(n == best && s.options.reuse_port && s.peer.is_none());
        }
        if group < 2 {
            return found;
        }
        let mut members = scored().filter(|(n, _, s)| *n == best && s.options.reuse_port && s.peer.is_none());
        members.nth(self.key.choose(tuple, group)).map(|(_, id, _)| id)
    }

    /// Tells the socket that sent the quoted datagram of an ICMP error. Returns the socket if it has an
    /// error pending now.
    ///
    /// # Errors
    /// The reason to drop it: no socket of ours has the quoted ports.
    pub fn handle_error(&mut self, e: &IcmpError<'_>) -> Result<Option<SocketId>, Drop> {
        let Some(&[s0, s1, d0, d1]) = e.transport.first_chunk::<4>() else {
            return Err(Drop::IcmpMalformed);
        };
        if e.protocol != protocol::UDP {
            return Err(Drop::IcmpQuoteMismatch);
        }
        let tuple = Tuple {
            local: Endpoint { addr: e.src, port: u16::from_be_bytes([s0, s1]) },
            remote: Endpoint { addr: e.dst, port: u16::from_be_bytes([d0, d1]) },
        };
        let id = self.lookup_sender(&tuple).ok_or(Drop::IcmpQuoteMismatch)?;
        let Some(s) = self.sockets.get_mut(id) else { return Err(Drop::IcmpQuoteMismatch) };
        let (errno, fatal) = meaning(e.kind, e.dst);
        // Without IP_RECVERR only a connected socket can tell which of its datagrams an error is
        // about, and only errors that will not pass by themselves are worth a failing call.
        let told = s.options.recv_err || (fatal && s.peer.is_some());
        if !told {
            return Ok(None);
        }
        s.set_error(errno);
        Ok(Some(id))
    }

    /// The interface of the error may be another than the one the datagram left by.
    fn lookup_sender(&self, tuple: &Tuple) -> Option<SocketId> {
        let list = self.ports.get(&tuple.local.port)?;
        let best = list.iter().rev().filter_map(|&id| {
            let s = self.sockets.get(id)?;
            let iface = s.options.iface.unwrap_or(IfaceId::LOOPBACK);
            Some((score(s, tuple, iface)?, id))
        });
        best.max_by_key(|&(n, _)| n).map(|(_, id)| id)
    }
}

/// How well a socket matches; `None` if it does not. An exact local address weighs more than anything
/// else, then each thing that must match and does (Linux: two look-ups, then compute_score).
fn score(s: &UdpSocket, tuple: &Tuple, iface: IfaceId) -> Option<u32> {
    let local = s.local.score(tuple.local.addr);
    if local == 0 || s.options.iface.is_some_and(|i| i != iface) || s.peer.is_some_and(|p| p != tuple.remote)
    {
        return None;
    }
    let exact = u32::from(matches!(s.local, LocalAddr::Exact(_)));
    let connected = u32::from(s.peer.is_some());
    let on_iface = u32::from(s.options.iface.is_some());
    Some(exact * 100 + connected * 20 + on_iface * 10 + u32::from(local))
}

/// The errno of an ICMP error, and whether it is fatal (icmp_err_convert and icmpv6_err_convert
/// in Linux). A packet that was too big is: the application must send smaller ones.
fn meaning(kind: ErrorKind, dst: IpAddr) -> (Errno, bool) {
    match kind {
        // RFC 4443 codes 1, 5 and 6; IPv4 has EHOSTUNREACH for its codes 9, 10 and 13.
        ErrorKind::Unreachable(Unreachable::Prohibited) if dst.is_ipv6() => (Errno::EACCES, true),
        ErrorKind::Unreachable(u) => {
            let fatal = match u {
                Unreachable::Protocol
                | Unreachable::Port
                | Unreachable::NetworkUnknown
                | Unreachable::HostUnknown
                | Unreachable::Isolated
                | Unreachable::Prohibited => true,
                Unreachable::Network
                | Unreachable::Host
                | Unreachable::SourceRoute
                | Unreachable::Other(_) => false,
            };
            (kind.errno(), fatal)
        }
        ErrorKind::PacketTooBig { .. } | ErrorKind::ParameterProblem { .. } => (kind.errno(), true),
        ErrorKind::TimeExceeded { .. } => (kind.errno(), false),
    }
}
