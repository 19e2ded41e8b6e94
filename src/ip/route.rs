//! Routes: longest prefix first, then metric (RFC 1122 section 3.3.1, RFC 4861 section 5.2), and the
//! way from a destination to the [`Path`] that a packet takes.

use super::{Cidr, Ip, Path, Route, source};
use crate::IfaceId;
use crate::errno::Errno;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The routing table.
#[derive(Debug, Default)]
pub(super) struct RouteTable {
    /// Best first: longest prefix, then lowest metric, then the one that was added first.
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    route: Route,
    /// It came with an address and goes with it.
    connected: bool,
}

impl RouteTable {
    fn add(&mut self, route: Route, connected: bool) -> Result<(), Errno> {
        if self.entries.iter().any(|e| e.route == route) {
            return Err(Errno::EEXIST);
        }
        let rank = |r: &Route| (core::cmp::Reverse(r.dst.prefix_len), r.metric);
        let at = self.entries.partition_point(|e| rank(&e.route) <= rank(&route));
        self.entries.insert(at, Entry { route, connected });
        Ok(())
    }

    fn remove(&mut self, route: &Route, connected: bool) -> Result<(), Errno> {
        let at = self.entries.iter().position(|e| e.route == *route && e.connected == connected);
        self.entries.remove(at.ok_or(Errno::ESRCH)?);
        Ok(())
    }

    /// The best route to `dst`, through `iface` if one is given.
    fn lookup(&self, dst: IpAddr, iface: Option<IfaceId>) -> Option<Route> {
        self.entries
            .iter()
            .map(|e| e.route)
            .find(|r| r.dst.contains(dst) && iface.is_none_or(|i| i == r.iface))
    }

    /// Adds the route to the network of an address.
    pub fn add_connected(&mut self, iface: IfaceId, cidr: Cidr) {
        // Two addresses in one network share its route.
        let _ = self.add(connected(iface, cidr), true);
    }

    /// Removes the route to the network of an address.
    pub fn remove_connected(&mut self, iface: IfaceId, cidr: Cidr) {
        let _ = self.remove(&connected(iface, cidr), true);
    }

    /// Removes every route through an interface.
    pub fn remove_interface(&mut self, iface: IfaceId) {
        self.entries.retain(|e| e.route.iface != iface);
    }
}

fn connected(iface: IfaceId, cidr: Cidr) -> Route {
    Route { dst: network(cidr), via: None, iface, metric: 0 }
}

/// A network by its own address: host bits cleared.
pub(super) fn network(cidr: Cidr) -> Cidr {
    let len = u32::from(cidr.prefix_len);
    let addr = match cidr.addr {
        IpAddr::V4(a) => {
            let mask = u32::MAX.checked_shl(32 - len.min(32)).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(a.to_bits() & mask))
        }
        IpAddr::V6(a) => {
            let mask = u128::MAX.checked_shl(128 - len.min(128)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(a.to_bits() & mask))
        }
    };
    Cidr { addr, prefix_len: cidr.prefix_len }
}

/// Does a destination mean nothing without an interface?
pub(super) fn is_link_scoped(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(a) => a.is_broadcast() || a.is_multicast(),
        IpAddr::V6(a) => a.is_multicast() || a.is_unicast_link_local(),
    }
}

impl Ip {
    /// Adds a route. Host bits of the destination are cleared.
    ///
    /// # Errors
    /// `ENODEV`: no such interface. `EINVAL`: the gateway is of another family, or ours. `ENETUNREACH`: the
    /// gateway is not on the link. `EEXIST`: the route is there already.
    pub fn add_route(&mut self, route: Route) -> Result<(), Errno> {
        let route = Route { dst: network(route.dst), ..route };
        self.interface(route.iface).ok_or(Errno::ENODEV)?;
        if let Some(via) = route.via {
            let same_family = via.is_ipv4() == route.dst.addr.is_ipv4();
            if !same_family || self.is_local(via) || via.is_multicast() || via.is_unspecified() {
                return Err(Errno::EINVAL);
            }
            let on_link = self.routes.lookup(via, Some(route.iface)).is_some_and(|r| r.via.is_none());
            if !on_link && !is_link_scoped(via) {
                return Err(Errno::ENETUNREACH);
            }
        }
        self.routes.add(route, false)?;
        self.changed();
        Ok(())
    }

    /// Removes a route that [`Self::add_route`] added.
    ///
    /// # Errors
    /// `ESRCH`: there is no such route.
    pub fn remove_route(&mut self, route: &Route) -> Result<(), Errno> {
        self.routes.remove(&Route { dst: network(route.dst), ..*route }, false)?;
        self.changed();
        Ok(())
    }

    /// All routes, those that came with addresses included; the order is the one in which they are
    /// looked at.
    pub fn routes(&self) -> Vec<Route> {
        self.routes.entries.iter().map(|e| e.route).collect()
    }

    /// How packets to `dst` travel: through which interface, to which neighbour, from which source
    /// address (RFC 6724 for IPv6), and how large they may be. Valid until [`Self::generation`]
    /// changes. Packets to addresses of ours travel through the loopback.
    ///
    /// # Errors
    /// `ENETUNREACH`: no route. `EADDRNOTAVAIL`: `src` is not ours or not usable, or no address of ours can be
    /// the source. `EINVAL`: families differ, or a loopback source for a destination outside.
    pub fn path(&mut self, src: Option<IpAddr>, dst: IpAddr, iface: Option<IfaceId>) -> Result<Path, Errno> {
        if let Some(src) = src {
            if src.is_ipv4() != dst.is_ipv4() {
                return Err(Errno::EINVAL);
            }
            if !self.is_local(src) {
                return Err(Errno::EADDRNOTAVAIL);
            }
        }
        if self.is_local(dst) || dst.is_unspecified() {
            return Ok(self.local_path(src, dst));
        }
        if src.is_some_and(|s| s.is_loopback()) || dst.is_loopback() {
            return Err(Errno::EINVAL);
        }
        let (out, next_hop) = self.next_hop(src, dst, iface)?;
        let src = match src {
            Some(s) => s,
            None => source::select(self, out, dst, next_hop).ok_or(Errno::EADDRNOTAVAIL)?,
        };
        let link = self.interface(out).ok_or(Errno::ENETUNREACH)?.capabilities().mtu;
        let mtu = self.path_mtus.get(dst).map_or(link, |learned| learned.min(link));
        Ok(Path { iface: out, next_hop, src, mtu })
    }

    /// To ourselves. The destination is its own best source (as in Linux), but for 127.0.0.0/8.
    fn local_path(&self, src: Option<IpAddr>, dst: IpAddr) -> Path {
        let own = match dst {
            IpAddr::V4(a) if a.is_loopback() || a.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(a) if a.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            a => a,
        };
        let mtu = self.interface(IfaceId::LOOPBACK).map_or(65_535, |l| l.capabilities().mtu);
        let next_hop = if dst.is_unspecified() { own } else { dst };
        Path { iface: IfaceId::LOOPBACK, next_hop, src: src.unwrap_or(own), mtu }
    }

    fn next_hop(
        &self,
        src: Option<IpAddr>,
        dst: IpAddr,
        iface: Option<IfaceId>,
    ) -> Result<(IfaceId, IpAddr), Errno> {
        if is_link_scoped(dst) {
            // The interface decides, not a prefix: the one given, the source's, that of a matching
            // route, or the first there is.
            let owner = |s: IpAddr| {
                self.interfaces().find(|(i, f)| *i != IfaceId::LOOPBACK && f.owns(s)).map(|(i, _)| i)
            };
            let first = || {
                let has = |c: Cidr| c.addr.is_ipv4() == dst.is_ipv4();
                let mut outside = self.interfaces().filter(|(i, _)| *i != IfaceId::LOOPBACK);
                outside.find(|(_, f)| f.usable().any(has)).map(|(i, _)| i)
            };
            let out = iface
                .or_else(|| src.and_then(owner))
                .or_else(|| self.routes.lookup(dst, None).map(|r| r.iface))
                .or_else(first)
                .ok_or(Errno::ENETUNREACH)?;
            return self.interface(out).map(|_| (out, dst)).ok_or(Errno::ENETUNREACH);
        }
        match self.routes.lookup(dst, iface) {
            Some(r) => Ok((r.iface, r.via.unwrap_or(dst))),
            // Bound to an interface without a route: the destination is taken to be on the link, as in
            // Linux (ip_route_output_key_hash_rcu).
            None => match iface.and_then(|i| Some((i, self.interface(i)?))) {
                Some((i, f)) if i != IfaceId::LOOPBACK && dst.is_ipv4() => {
                    f.usable().any(|c| c.addr.is_ipv4()).then_some((i, dst)).ok_or(Errno::ENETUNREACH)
                }
                _ => Err(Errno::ENETUNREACH),
            },
        }
    }
}
