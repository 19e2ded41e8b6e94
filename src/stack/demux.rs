//! Which connection or listener a TCP segment belongs to.
//!
//! Tuples and ports are chosen by the other side, so the tables are keyed with a secret: SipHash-1-3
//! (Aumasson and Bernstein 2012) keeps a peer from filling one bucket.

#[cfg(test)]
mod tests;

use crate::rng::Rng;
use crate::{ConnId, IfaceId, SocketId};
use alloc::vec::Vec;
use core::fmt;
use core::hash::{BuildHasher, Hash, Hasher};
use core::net::{IpAddr, SocketAddr};
use hashbrown::HashMap;
use siphasher::sip::SipHasher13;

slotmap::new_key_type! {
    /// A half-open connection: a SYN was answered, the handshake's last ACK is awaited.
    pub struct HalfOpenId;
    /// A connection in TIME-WAIT.
    pub struct TimeWaitId;
}

/// What a 4-tuple leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flow {
    /// A connection with all its state.
    Connection(ConnId),
    /// A compact record of one in SYN-RECEIVED.
    HalfOpen(HalfOpenId),
    /// A compact record of one in TIME-WAIT.
    TimeWait(TimeWaitId),
}

/// An address and a port. IPv4-mapped IPv6 addresses do not occur: whoever makes one writes IPv4.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// The address.
    pub addr: IpAddr,
    /// The port.
    pub port: u16,
}

impl Endpoint {
    /// `addr:port`, with a mapped address written as IPv4.
    pub const fn new(addr: IpAddr, port: u16) -> Self {
        Self { addr: addr.to_canonical(), port }
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(a: SocketAddr) -> Self {
        Self::new(a.ip(), a.port())
    }
}

impl From<Endpoint> for SocketAddr {
    fn from(e: Endpoint) -> Self {
        Self::new(e.addr, e.port)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::from(*self).fmt(f)
    }
}

/// The four numbers that name a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tuple {
    /// Our side.
    pub local: Endpoint,
    /// The peer's.
    pub remote: Endpoint,
}

impl Tuple {
    /// The tuple of these two ends.
    pub fn new(local: impl Into<Endpoint>, remote: impl Into<Endpoint>) -> Self {
        Self { local: local.into(), remote: remote.into() }
    }
}

impl Hash for Tuple {
    /// One write of 12 or 36 octets; the hash covers the length, so the families cannot collide by design.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut bytes = [0u8; 36];
        bytes[0..2].copy_from_slice(&self.local.port.to_ne_bytes());
        bytes[2..4].copy_from_slice(&self.remote.port.to_ne_bytes());
        let mut at = 4;
        for addr in [self.local.addr, self.remote.addr] {
            match addr {
                IpAddr::V4(a) => {
                    bytes[at..at + 4].copy_from_slice(&a.octets());
                    at += 4;
                }
                IpAddr::V6(a) => {
                    bytes[at..at + 16].copy_from_slice(&a.octets());
                    at += 16;
                }
            }
        }
        state.write(&bytes[..at]);
    }
}

impl fmt::Display for Tuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} > {}", self.local, self.remote)
    }
}

/// A secret key for tables and for choosing among equals.
#[derive(Clone, Copy)]
pub struct TableKey(u64, u64);

impl TableKey {
    /// A key of its own.
    pub fn new(rng: &mut Rng) -> Self {
        let (a, b) = rng.derive_key();
        Self(a, b)
    }

    /// A number in `0..n` for this tuple, the same each time; 0 for `n` 0.
    pub fn choose(&self, tuple: &Tuple, n: usize) -> usize {
        ((u128::from(self.hash_one(tuple)) * n as u128) >> 64) as usize
    }
}

impl fmt::Debug for TableKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TableKey(secret)")
    }
}

impl BuildHasher for TableKey {
    type Hasher = SipHasher13;
    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0, self.1)
    }
}

/// Which local addresses a socket has: the one it is bound to, or all of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LocalAddr {
    /// One address; never a mapped one.
    Exact(IpAddr),
    /// `0.0.0.0`: every IPv4 address.
    AnyV4,
    /// `::` with IPV6_V6ONLY: every IPv6 address.
    AnyV6,
    /// `::` of a dual-stack socket: every address of both families.
    Any,
}

impl LocalAddr {
    /// What bind(2) with `addr` means. `addr` is of the socket's family; `::ffff:0.0.0.0` on a
    /// dual-stack socket means every IPv4 address.
    pub fn new(addr: IpAddr, v6only: bool) -> Self {
        match (addr, addr.to_canonical()) {
            (IpAddr::V6(a), _) if a.is_unspecified() && v6only => Self::AnyV6,
            (IpAddr::V6(a), _) if a.is_unspecified() => Self::Any,
            (_, IpAddr::V4(a)) if a.is_unspecified() => Self::AnyV4,
            (_, a) => Self::Exact(a),
        }
    }

    /// Is `addr` (not a mapped one) among them?
    pub fn contains(self, addr: IpAddr) -> bool {
        self.score(addr) > 0
    }

    /// Is there an address in both?
    pub fn overlaps(self, other: Self) -> bool {
        match (self, other) {
            (Self::Exact(a), b) | (b, Self::Exact(a)) => b.contains(a),
            (Self::AnyV4, Self::AnyV6) | (Self::AnyV6, Self::AnyV4) => false,
            _ => true,
        }
    }

    /// How well it fits a destination: 0 not at all, an exact address better than a wildcard of its
    /// own family, and that better than the dual-stack wildcard (as Linux scores an AF_INET socket).
    pub(crate) fn score(self, dst: IpAddr) -> u8 {
        match (self, dst) {
            (Self::Exact(a), d) if a == d => 6,
            (Self::AnyV4, IpAddr::V4(_)) | (Self::AnyV6 | Self::Any, IpAddr::V6(_)) => 3,
            (Self::Any, IpAddr::V4(_)) => 2,
            _ => 0,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Listener {
    addr: LocalAddr,
    iface: Option<IfaceId>,
    socket: SocketId,
}

impl Listener {
    fn score(&self, dst: IpAddr, iface: IfaceId) -> u8 {
        match (self.addr.score(dst), self.iface) {
            (0, _) => 0,
            (s, None) => s,
            // Bound to this interface beats not bound, but not an exact address.
            (s, Some(i)) if i == iface => s + 2,
            (_, Some(_)) => 0,
        }
    }
}

/// Connections by 4-tuple and listeners by port.
#[derive(Debug)]
pub struct Demux {
    flows: HashMap<Tuple, Flow, TableKey>,
    listeners: HashMap<u16, Vec<Listener>, TableKey>,
    key: TableKey,
}

impl Demux {
    /// Empty tables with keys of their own.
    pub fn new(rng: &mut Rng) -> Self {
        Self {
            flows: HashMap::with_hasher(TableKey::new(rng)),
            listeners: HashMap::with_hasher(TableKey::new(rng)),
            key: TableKey::new(rng),
        }
    }

    /// What a tuple leads to.
    pub fn get(&self, tuple: &Tuple) -> Option<Flow> {
        self.flows.get(tuple).copied()
    }

    /// Adds a tuple. Gives back what was there before; that stays, and nothing is added.
    ///
    /// # Errors
    /// The flow that has the tuple.
    pub fn insert(&mut self, tuple: Tuple, flow: Flow) -> Result<(), Flow> {
        match self.flows.entry(tuple) {
            hashbrown::hash_map::Entry::Occupied(e) => Err(*e.get()),
            hashbrown::hash_map::Entry::Vacant(e) => {
                e.insert(flow);
                Ok(())
            }
        }
    }

    /// Lets a tuple lead to `flow` from now on, as when a half-open connection is established or a
    /// connection enters TIME-WAIT. Returns what it led to.
    pub fn replace(&mut self, tuple: Tuple, flow: Flow) -> Option<Flow> {
        self.flows.insert(tuple, flow)
    }

    /// Removes a tuple; returns what it led to.
    pub fn remove(&mut self, tuple: &Tuple) -> Option<Flow> {
        self.flows.remove(tuple)
    }

    /// Tuples in the table.
    pub fn len(&self) -> usize {
        self.flows.len()
    }

    /// Is the table empty?
    pub fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }

    /// Every tuple, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = (&Tuple, Flow)> {
        self.flows.iter().map(|(t, f)| (t, *f))
    }

    /// Adds a listener. Whether its address is free is for [`super::ports::PortTable`] to say.
    pub fn listen_insert(&mut self, addr: LocalAddr, port: u16, iface: Option<IfaceId>, socket: SocketId) {
        self.listeners.entry(port).or_default().push(Listener { addr, iface, socket });
    }

    /// Removes a listener. False if it was none.
    pub fn listen_remove(&mut self, port: u16, socket: SocketId) -> bool {
        let Some(list) = self.listeners.get_mut(&port) else { return false };
        let before = list.len();
        list.retain(|l| l.socket != socket);
        let removed = list.len() < before;
        if list.is_empty() {
            self.listeners.remove(&port);
        }
        removed
    }

    /// Who listens for a SYN with this tuple that came in on `iface`: the most specific listener. Among
    /// equals (SO_REUSEPORT) a keyed hash of the tuple decides, so that a retransmitted SYN and the
    /// handshake's last ACK find the same one.
    pub fn listener(&self, tuple: &Tuple, iface: IfaceId) -> Option<SocketId> {
        let list = self.listeners.get(&tuple.local.port)?;
        let mut best = 0;
        let mut equals = 0;
        let mut first = None;
        for l in list {
            let score = l.score(tuple.local.addr, iface);
            if score > best {
                (best, equals, first) = (score, 1, Some(l.socket));
            } else if score == best && score > 0 {
                equals += 1;
            }
        }
        if equals <= 1 {
            return first;
        }
        let nth = self.key.choose(tuple, equals);
        list.iter().filter(|l| l.score(tuple.local.addr, iface) == best).nth(nth).map(|l| l.socket)
    }

    /// Listening sockets with their ports.
    pub fn listeners(&self) -> impl Iterator<Item = (u16, SocketId)> {
        self.listeners.iter().flat_map(|(&port, list)| list.iter().map(move |l| (port, l.socket)))
    }
}
