//! Who has which local port: the conflicts of bind(2) and listen(2) as Linux decides them, and the
//! choice of ephemeral ports (RFC 6056).
//!
//! Two kinds of users stand in the table. A *binding* belongs to a socket that called bind. A *hold*
//! is a connection on the port without a binding of its own (accepted, opened by connect without
//! bind, or in TIME-WAIT); of equal holds only the number is kept, so that a hundred thousand accepted connections
//! cost a counter.

#[cfg(test)]
mod tests;

use crate::endpoint::{Endpoint, LocalAddr, TableKey, Tuple};
use crate::errno::{Errno, Result};
use crate::ip::protocol;
use crate::rng::Rng;
use crate::{IfaceId, SocketId};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::hash::BuildHasher;
use core::net::IpAddr;
use hashbrown::HashMap;

/// What decides about conflicts on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// The local address.
    pub addr: LocalAddr,
    /// SO_BINDTODEVICE.
    pub iface: Option<IfaceId>,
    /// SO_REUSEADDR.
    pub reuse_addr: bool,
    /// SO_REUSEPORT.
    pub reuse_port: bool,
}

impl Share {
    /// A share of `addr` on any interface, without SO_REUSEADDR and SO_REUSEPORT.
    pub const fn new(addr: LocalAddr) -> Self {
        Self { addr, iface: None, reuse_addr: false, reuse_port: false }
    }

    fn overlaps(&self, other: &Self) -> bool {
        let same_link = match (self.iface, other.iface) {
            (Some(a), Some(b)) => a == b,
            _ => true,
        };
        same_link && self.addr.overlaps(other.addr)
    }
}

#[derive(Clone, Copy, Debug)]
struct Binding {
    socket: SocketId,
    share: Share,
    listening: bool,
}

#[derive(Debug, Default)]
struct Users {
    /// In the order of bind; see [`Users::add`] for the exception.
    bindings: Vec<Binding>,
    holds: Vec<(Share, u32)>,
    port_sharing: PortSharing,
}

/// What Linux remembers of SO_REUSEPORT on a TCP port (`fastreuseport`), and so a part of the semantics: who
/// matches it is not compared with every other socket, not even with one that it conflicts with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum PortSharing {
    /// The last to bind or listen did not set it.
    #[default]
    No,
    /// Everyone did so far.
    All,
    /// One that set it was let in beside others, with this address.
    At(LocalAddr),
}

impl PortSharing {
    fn admits(self, new: &Share) -> bool {
        let covered = match self {
            Self::No => false,
            Self::All => true,
            Self::At(addr @ LocalAddr::Exact(_)) => addr == new.addr,
            Self::At(wildcard) => wildcard.overlaps(new.addr),
        };
        covered && new.reuse_port
    }

    /// After `new` bound or began to listen; `alone` if nobody was on the port before.
    const fn next(self, new: &Share, alone: bool, admitted: bool) -> Self {
        match (new.reuse_port, alone, admitted) {
            (false, ..) => Self::No,
            (true, true, _) => Self::All,
            (true, false, true) => self,
            (true, false, false) => Self::At(new.addr),
        }
    }
}

/// How bind treats sharing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    /// The caller named the port: sharing as the options allow.
    Allowed,
    /// The port is being chosen: TCP takes one that needs no sharing.
    Avoided,
}

impl Users {
    fn conflicts(&self, protocol: u8, new: &Share, me: SocketId, sharing: Sharing) -> bool {
        let mut others = self.bindings.iter().rev().filter(|b| b.socket != me && new.overlaps(&b.share));
        if protocol == protocol::TCP {
            if sharing == Sharing::Allowed && self.port_sharing.admits(new) {
                return false;
            }
            let held = self.holds.iter().map(|(s, _)| s).filter(|s| new.overlaps(s));
            if sharing == Sharing::Avoided {
                return others.next().is_some() || held.count() > 0;
            }
            return others.any(|b| !tcp_may_share(new, &b.share, b.listening))
                || held.filter(|s| !tcp_may_share(new, s, false)).count() > 0;
        }
        // Linux looks at the sockets from the latest on and stops at the first that does not share by
        // SO_REUSEADDR: SO_REUSEPORT on both settles it, whatever comes after.
        others
            .find(|b| !(new.reuse_addr && b.share.reuse_addr))
            .is_some_and(|b| !(new.reuse_port && b.share.reuse_port))
    }

    /// Adds a binding that does not conflict. Linux appends IPv6 sockets with SO_REUSEPORT to the end of its
    /// chain and puts all others in front; the order decides about UDP sockets that disagree on the options.
    fn add(&mut self, socket: SocketId, share: Share) {
        self.port_sharing = self.port_sharing.next(&share, self.is_empty(), self.port_sharing.admits(&share));
        let six = matches!(share.addr, LocalAddr::Any | LocalAddr::AnyV6 | LocalAddr::Exact(IpAddr::V6(_)));
        let at = if six && share.reuse_port { 0 } else { self.bindings.len() };
        self.bindings.insert(at, Binding { socket, share, listening: false });
    }

    fn is_empty(&self) -> bool {
        self.bindings.is_empty() && self.holds.is_empty()
    }
}

/// SO_REUSEADDR shares with everything but a listener, TIME-WAIT included; SO_REUSEPORT also with listeners.
const fn tcp_may_share(new: &Share, old: &Share, old_listens: bool) -> bool {
    (new.reuse_addr && old.reuse_addr && !old_listens) || (new.reuse_port && old.reuse_port)
}

/// Counters of RFC 6056 algorithm 4; its section 3.3.4 takes ten as an example, Linux 2^16.
const COUNTERS: usize = 256;

/// The local ports in use.
#[derive(Debug)]
pub struct PortTable {
    users: HashMap<(u8, u16), Users, TableKey>,
    first: u16,
    last: u16,
    counters: Box<[u32; COUNTERS]>,
    /// The keys of F and G of RFC 6056 algorithm 4.
    offset_key: TableKey,
    counter_key: TableKey,
}

impl PortTable {
    /// An empty table that chooses ports from `range`, both ends included
    /// ([`crate::Profile::ephemeral_ports`]).
    pub fn new(rng: &mut Rng, range: (u16, u16)) -> Self {
        let first = range.0.max(1);
        let mut counters = Box::new([0; COUNTERS]);
        counters.fill_with(|| rng.next_u32());
        Self {
            users: HashMap::with_hasher(TableKey::new(rng)),
            first,
            last: range.1.max(first),
            counters,
            offset_key: TableKey::new(rng),
            counter_key: TableKey::new(rng),
        }
    }

    /// Binds a socket to a port, or to a free one if `port` is 0; returns the port. `protocol` is TCP or
    /// UDP. A socket that is bound must be released before it binds again.
    ///
    /// # Errors
    /// EADDRINUSE: another socket has the port and one of the two does not share it, or no
    /// port is free.
    pub fn bind(
        &mut self,
        rng: &mut Rng,
        protocol: u8,
        port: u16,
        socket: SocketId,
        share: Share,
    ) -> Result<u16> {
        let port = if port == 0 {
            let random = rng.next_u32();
            // Odd ports first: connect() takes even ones, so the two seldom meet (as Linux does).
            let candidates = candidates(self.first, self.last, random, 1);
            let free = |&(_, p): &(u32, u16)| !self.conflicts(protocol, p, &share, socket, Sharing::Avoided);
            candidates.into_iter().find(free).ok_or(Errno::EADDRINUSE)?.1
        } else if self.conflicts(protocol, port, &share, socket, Sharing::Allowed) {
            return Err(Errno::EADDRINUSE);
        } else {
            port
        };
        self.users.entry((protocol, port)).or_default().add(socket, share);
        Ok(port)
    }

    fn conflicts(&self, protocol: u8, port: u16, new: &Share, me: SocketId, sharing: Sharing) -> bool {
        self.users.get(&(protocol, port)).is_some_and(|u| u.conflicts(protocol, new, me, sharing))
    }

    /// A TCP socket that is bound begins to listen. SO_REUSEADDR let it bind beside another that now
    /// may listen already. Listening already is no error and changes nothing.
    ///
    /// # Errors
    /// EADDRINUSE: another socket listens on the address, and SO_REUSEPORT is not set on both.
    /// EINVAL: the socket is not bound to this port.
    pub fn listen(&mut self, port: u16, socket: SocketId) -> Result<()> {
        let users = self.users.get_mut(&(protocol::TCP, port)).ok_or(Errno::EINVAL)?;
        let Binding { share, listening, .. } = *find(users, socket).ok_or(Errno::EINVAL)?;
        if listening {
            return Ok(());
        }
        if users.conflicts(protocol::TCP, &share, socket, Sharing::Allowed) {
            return Err(Errno::EADDRINUSE);
        }
        users.port_sharing = users.port_sharing.next(&share, false, users.port_sharing.admits(&share));
        find(users, socket).ok_or(Errno::EINVAL)?.listening = true;
        Ok(())
    }

    /// A listener stops listening (shutdown); it stays bound.
    pub fn unlisten(&mut self, port: u16, socket: SocketId) {
        if let Some(b) = self.users.get_mut(&(protocol::TCP, port)).and_then(|u| find(u, socket)) {
            b.listening = false;
        }
    }

    /// The share of a bound socket.
    pub fn share(&self, protocol: u8, port: u16, socket: SocketId) -> Option<Share> {
        let users = self.users.get(&(protocol, port))?;
        users.bindings.iter().find(|b| b.socket == socket).map(|b| b.share)
    }

    /// Changes the share of a bound socket: an option was set, or connect fixed its address. As in
    /// Linux that is never a conflict. False if the socket is not bound to the port.
    pub fn set_share(&mut self, protocol: u8, port: u16, socket: SocketId, share: Share) -> bool {
        match self.users.get_mut(&(protocol, port)).and_then(|u| find(u, socket)) {
            Some(b) => {
                b.share = share;
                true
            }
            None => false,
        }
    }

    /// A bound socket gives up its port. False if it has none there.
    pub fn release(&mut self, protocol: u8, port: u16, socket: SocketId) -> bool {
        let Some(users) = self.users.get_mut(&(protocol, port)) else { return false };
        let before = users.bindings.len();
        users.bindings.retain(|b| b.socket != socket);
        let released = users.bindings.len() < before;
        if users.is_empty() {
            self.users.remove(&(protocol, port));
        }
        released
    }

    /// A TCP connection without a binding begins to use a port: accepted, opened on an ephemeral port, or
    /// gone into TIME-WAIT. Pair it with [`Self::unhold`] of the same share.
    pub fn hold(&mut self, port: u16, share: Share) {
        let users = self.users.entry((protocol::TCP, port)).or_default();
        match users.holds.iter_mut().find(|(s, _)| *s == share) {
            Some((_, n)) => *n += 1,
            None => users.holds.push((share, 1)),
        }
    }

    /// Ends one [`Self::hold`]. False if there is none like it.
    pub fn unhold(&mut self, port: u16, share: Share) -> bool {
        let key = (protocol::TCP, port);
        let Some(users) = self.users.get_mut(&key) else { return false };
        let Some(at) = users.holds.iter().position(|(s, _)| *s == share) else { return false };
        users.holds[at].1 -= 1;
        if users.holds[at].1 == 0 {
            users.holds.swap_remove(at);
        }
        if users.is_empty() {
            self.users.remove(&key);
        }
        true
    }

    /// A local port for a TCP connection from `local` to `remote` by a socket that is not bound: RFC 6056
    /// algorithm 4 (double hash). A connection to the same peer gets the next port, so that it
    /// does not meet its predecessor's TIME-WAIT, and nobody else can tell how far that is. Ports that a
    /// socket has bound are passed over; `is_free` says whether the 4-tuple with a port is free.
    /// `None` (EADDRNOTAVAIL) if none is. At most one look at each port of the range.
    pub fn ephemeral_for(
        &mut self,
        local: IpAddr,
        remote: Endpoint,
        mut is_free: impl FnMut(u16) -> bool,
    ) -> Option<u16> {
        let name = Tuple { local: Endpoint::new(local, 0), remote };
        let offset = self.offset_key.hash_one(name) as u32;
        let counter = self.counter_key.choose(&name, COUNTERS);
        let start = offset.wrapping_add(self.counters[counter]);
        let (tried, port) = candidates(self.first, self.last, start, 0).into_iter().find(|&(_, p)| {
            let bound = self.users.get(&(protocol::TCP, p)).is_some_and(|u| !u.bindings.is_empty());
            !bound && is_free(p)
        })?;
        self.counters[counter] = self.counters[counter].wrapping_add(tried + 1);
        Some(port)
    }

    /// Ports in use, of both protocols.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Is none in use?
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }
}

fn find(users: &mut Users, socket: SocketId) -> Option<&mut Binding> {
    users.bindings.iter_mut().find(|b| b.socket == socket)
}

/// Every port of the range once, with its place in the order: those at an even distance from the first port
/// (`parity` 0) or at an odd one (1), from a place that `start` gives, around; then the others.
fn candidates(first: u16, last: u16, start: u32, parity: u32) -> impl IntoIterator<Item = (u32, u16)> {
    let count = u32::from(last) - u32::from(first) + 1;
    let half = [count.div_ceil(2), count / 2];
    [parity, 1 - parity]
        .into_iter()
        .flat_map(move |parity| {
            let n = half[parity as usize];
            (0..n).map(move |k| first + (2 * (start.wrapping_add(k) % n) + parity) as u16)
        })
        .zip(0..)
        .map(|(port, place)| (place, port))
}
