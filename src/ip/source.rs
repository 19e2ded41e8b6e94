//! Which of our addresses is the source of a packet (RFC 6724 section 5; RFC 1122 section 3.3.4.3).

use super::{Cidr, Ip};
use crate::IfaceId;
use core::cmp::Reverse;
use core::net::{IpAddr, Ipv6Addr};

/// The source address for packets to `dst` that leave through `iface` towards `next_hop`.
pub(super) fn select(ip: &Ip, iface: IfaceId, dst: IpAddr, next_hop: IpAddr) -> Option<IpAddr> {
    match dst {
        IpAddr::V4(_) => {
            // The address in the next hop's network, else the interface's first, else any.
            let interface = ip.interface(iface)?;
            let here = || interface.usable().filter(|c| c.addr.is_ipv4());
            here()
                .find(|c| c.contains(next_hop))
                .or_else(|| here().next())
                .or_else(|| elsewhere(ip, iface).find(|c| c.addr.is_ipv4()))
                .map(|c| c.addr)
        }
        IpAddr::V6(to) => {
            let v6 = |c: Cidr| match c.addr {
                IpAddr::V6(a) => Some((a, c.prefix_len)),
                IpAddr::V4(_) => None,
            };
            // Rule 5 made strict: candidates are the addresses of the outgoing interface (section 4),
            // and others only if it has none.
            let here = ip.interface(iface)?.usable().filter_map(v6);
            let best = here.min_by_key(|&(a, len)| Reverse(preference(a, len, to)));
            let far = || {
                let reaches = |a: &(Ipv6Addr, u8)| scope(a.0) >= scope(to);
                elsewhere(ip, iface)
                    .filter_map(v6)
                    .filter(reaches)
                    .min_by_key(|&(a, len)| Reverse(preference(a, len, to)))
            };
            // A link-local source cannot be answered from beyond the link.
            match best {
                Some((a, _)) if scope(a) >= scope(to) => Some(IpAddr::V6(a)),
                _ => far().or(best).map(|(a, _)| IpAddr::V6(a)),
            }
        }
    }
}

fn elsewhere(ip: &Ip, iface: IfaceId) -> impl Iterator<Item = Cidr> + '_ {
    ip.interfaces().filter(move |(i, _)| *i != iface && *i != IfaceId::LOOPBACK).flat_map(|(_, f)| f.usable())
}

/// How good a source is for a destination, by rules 1, 2, 6 and 8; the greater the better.
fn preference(src: Ipv6Addr, prefix_len: u8, dst: Ipv6Addr) -> (bool, bool, i8, bool, u32) {
    let (s, d) = (scope(src), scope(dst));
    // Rule 2: a scope large enough, and of those the smallest; of the too small ones the largest.
    let reaches = s >= d;
    let closeness = if reaches { -(s as i8) } else { s as i8 };
    let common = (src.to_bits() ^ dst.to_bits()).leading_zeros().min(u32::from(prefix_len));
    (src == dst, reaches, closeness, label(src) == label(dst), common)
}

/// The scope of an address (RFC 6724 section 3.1, RFC 7346).
fn scope(addr: Ipv6Addr) -> u8 {
    if addr.is_multicast() {
        addr.octets()[1] & 0xf
    } else if addr.is_unicast_link_local() || addr.is_loopback() {
        2
    } else {
        14
    }
}

/// The label of the default policy table (RFC 6724 section 2.1).
fn label(addr: Ipv6Addr) -> u8 {
    const POLICY: [(Ipv6Addr, u8, u8); 9] = [
        (Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 1), 128, 0),
        (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96, 4),
        (Ipv6Addr::UNSPECIFIED, 96, 3),
        (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32, 5),
        (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, 2),
        (Ipv6Addr::new(0x3ffe, 0, 0, 0, 0, 0, 0, 0), 16, 12),
        (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, 11),
        (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, 13),
        (Ipv6Addr::UNSPECIFIED, 0, 1),
    ];
    let matches = |&&(prefix, len, _): &&(Ipv6Addr, u8, u8)| {
        Cidr { addr: IpAddr::V6(prefix), prefix_len: len }.contains(IpAddr::V6(addr))
    };
    POLICY.iter().find(matches).map_or(1, |p| p.2)
}
