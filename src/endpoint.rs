//! The names of connections and sockets: addresses with ports, and the keyed hash of the tables that hold them.

use crate::rng::Rng;
use core::fmt;
use core::hash::{BuildHasher, Hash, Hasher};
use core::net::{IpAddr, SocketAddr};
use siphasher::sip::SipHasher13;

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

impl From<(IpAddr, u16)> for Endpoint {
    fn from((addr, port): (IpAddr, u16)) -> Self {
        Self::new(addr, port)
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

/// A secret key for tables and for choosing among equals: SipHash-1-3 (Aumasson and Bernstein 2012), so
/// that nobody outside can fill one bucket or aim at one of several listeners.
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
