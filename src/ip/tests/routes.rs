//! Routes, source addresses, path MTUs, addresses.

use super::bed::*;
use crate::IfaceId;
use crate::config::Config;
use crate::errno::Errno;
use crate::ip::{AddressState, Cidr, PATH_MTU_LIFETIME, Route};
use crate::link::Capabilities;
use crate::time::Duration;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::net::IpAddr;
use proptest::prelude::*;

fn route(dst: &str, via: &str, iface: u32, metric: u32) -> Route {
    Route { dst: cidr(dst), via: Some(ip(via)), iface: IfaceId(iface), metric }
}

/// eth 1: 10.0.0.1/24, fd00::1/64; eth 2: 10.1.0.1/16, fd01::1/64.
fn two() -> Host {
    let mut h = Host::new();
    h.add(Capabilities { mtu: 9000, ..Capabilities::ETHERNET }, &["10.1.0.1/16", "fd01::1/64"], false);
    h
}

#[test]
fn the_longest_prefix_wins_then_the_metric() {
    let mut h = two();
    for r in [
        route("0.0.0.0/0", "10.0.0.254", 1, 10),
        route("0.0.0.0/0", "10.1.0.254", 2, 5),
        route("172.16.0.0/12", "10.0.0.253", 1, 0),
        route("172.16.9.0/24", "10.1.0.253", 2, 99),
        route("2001:db8::/32", "fe80::5", 1, 0),
    ] {
        h.ip.add_route(r).unwrap();
    }
    for (dst, iface, hop, src) in [
        ("10.0.0.7", 1, "10.0.0.7", "10.0.0.1"),
        ("10.1.200.7", 2, "10.1.200.7", "10.1.0.1"),
        ("192.0.2.1", 2, "10.1.0.254", "10.1.0.1"),
        ("172.16.1.1", 1, "10.0.0.253", "10.0.0.1"),
        ("172.16.9.1", 2, "10.1.0.253", "10.1.0.1"),
        ("2001:db8::1", 1, "fe80::5", "fd00::1"),
        ("fd01::9", 2, "fd01::9", "fd01::1"),
    ] {
        let p = h.path(dst);
        assert_eq!((p.iface.0, p.next_hop, p.src), (iface, ip(hop), ip(src)), "{dst}");
        assert_eq!(p.mtu, if iface == 1 { 1500 } else { 9000 });
    }
    assert_eq!(h.ip.path(None, ip("2001:db9::1"), None), Err(Errno::ENETUNREACH));
    // Bound to an interface: its routes only; without any, the destination is on the link (IPv4).
    let p = h.ip.path(None, ip("192.0.2.1"), Some(IfaceId(1))).unwrap();
    assert_eq!((p.iface.0, p.next_hop), (1, ip("10.0.0.254")));
    h.ip.remove_route(&route("0.0.0.0/0", "10.0.0.254", 1, 10)).unwrap();
    let p = h.ip.path(None, ip("192.0.2.1"), Some(IfaceId(1))).unwrap();
    assert_eq!((p.iface.0, p.next_hop, p.src), (1, ip("192.0.2.1"), ip("10.0.0.1")));
    assert_eq!(h.ip.path(None, ip("2001:db9::1"), Some(IfaceId(1))), Err(Errno::ENETUNREACH));
    assert_eq!(h.ip.path(None, ip("10.0.0.7"), Some(IfaceId(9))), Err(Errno::ENETUNREACH));
}

proptest! {
    /// The table against the definition.
    #[test]
    fn look_up_is_the_best_of_all(routes in proptest::collection::vec((any::<u32>(), 0u8..=32, 0u32..3), 0..30), dst: u32) {
        let mut h = Host::tun(1500);
        let mut model: Vec<Route> = Vec::new();
        let dst = core::net::Ipv4Addr::from_bits(dst);
        prop_assume!(!h.ip.is_local(IpAddr::V4(dst)) && !dst.is_multicast() && !dst.is_broadcast() && !dst.is_loopback());
        for (i, (addr, len, metric)) in routes.into_iter().enumerate() {
            // Half of them near the destination.
            let addr = if addr % 2 == 0 { dst.to_bits() ^ (addr >> 20) } else { addr };
            let via = core::net::Ipv4Addr::from_bits(0x0a00_0002 + i as u32);
            let r = Route { dst: Cidr::new(IpAddr::V4(core::net::Ipv4Addr::from_bits(addr)), len), via: Some(IpAddr::V4(via)), iface: ETH, metric };
            // A gateway that an earlier route took off the link is refused.
            if h.ip.add_route(r).is_ok() { model.push(r); }
        }
        model.push(Route { dst: cidr("10.0.0.0/24"), via: None, iface: ETH, metric: 0 });
        let best = model.iter().filter(|r| r.dst.contains(IpAddr::V4(dst))).map(|r| (r.dst.prefix_len, u32::MAX - r.metric)).max();
        let got = h.ip.path(None, IpAddr::V4(dst), None);
        match best {
            None => prop_assert_eq!(got, Err(Errno::ENETUNREACH)),
            Some(best) => {
                let hop = got.unwrap().next_hop;
                let ok = model.iter().any(|r| r.via.unwrap_or(IpAddr::V4(dst)) == hop && (r.dst.prefix_len, u32::MAX - r.metric) == best);
                prop_assert!(ok);
            }
        }
    }
}

#[test]
fn routes_come_and_go() {
    let mut h = Host::new();
    let before = h.ip.routes();
    let names: Vec<_> = before.iter().map(|r| r.dst.to_string()).collect();
    assert_eq!(names, ["::1/128", "fd00::/64", "fe80::/64", "10.0.0.0/24", "127.0.0.0/8"]);
    let generation = h.ip.generation();
    // Host bits do not matter.
    let r = route("192.0.2.77/24", "10.0.0.9", 1, 0);
    h.ip.add_route(r).unwrap();
    assert_ne!(h.ip.generation(), generation);
    assert_eq!(h.ip.add_route(route("192.0.2.0/24", "10.0.0.9", 1, 0)), Err(Errno::EEXIST));
    assert_eq!(h.ip.remove_route(&route("192.0.2.1/24", "10.0.0.9", 1, 1)), Err(Errno::ESRCH));
    h.ip.remove_route(&route("192.0.2.1/24", "10.0.0.9", 1, 0)).unwrap();
    assert_eq!(h.ip.routes(), before);
    assert_eq!(h.ip.remove_route(&before[3]), Err(Errno::ESRCH), "it goes with its address");
    for (bad, error) in [
        (route("0.0.0.0/0", "10.0.0.9", 7, 0), Errno::ENODEV),
        (route("0.0.0.0/0", "fd00::9", 1, 0), Errno::EINVAL),
        (route("0.0.0.0/0", "10.0.0.1", 1, 0), Errno::EINVAL),
        (route("0.0.0.0/0", "0.0.0.0", 1, 0), Errno::EINVAL),
        (route("::/0", "ff02::2", 1, 0), Errno::EINVAL),
        (route("0.0.0.0/0", "192.0.2.1", 1, 0), Errno::ENETUNREACH),
        (route("::/0", "2001:db8::1", 1, 0), Errno::ENETUNREACH),
    ] {
        assert_eq!(h.ip.add_route(bad), Err(error), "{bad:?}");
    }
    // Without a gateway: on the link.
    h.ip.add_route(Route { via: None, ..r }).unwrap();
    assert_eq!(h.path("192.0.2.5").next_hop, ip("192.0.2.5"));
    h.call(|ip, env| ip.remove_interface(env, ETH)).unwrap();
    assert_eq!(h.ip.routes().len(), 2);
}

#[test]
fn addresses_come_and_go_with_their_routes() {
    let mut h = Host::new();
    let add = |h: &mut Host, i: u32, a: &str| h.call(|ip, env| ip.add_address(env, IfaceId(i), cidr(a)));
    let remove = |h: &mut Host, a: &str| h.call(|i, env| i.remove_address(env, ETH, ip(a)));
    add(&mut h, 1, "10.0.0.5/24").unwrap();
    add(&mut h, 1, "10.7.0.1/16").unwrap();
    assert_eq!(add(&mut h, 1, "10.7.0.1/8"), Err(Errno::EEXIST));
    assert_eq!(add(&mut h, 9, "10.7.0.1/8"), Err(Errno::ENODEV));
    for bad in [
        "0.0.0.0/0",
        "0.1.2.3/8",
        "255.255.255.255/32",
        "224.0.0.1/4",
        "127.0.0.5/8",
        "::/0",
        "::1/128",
        "ff02::1/128",
        "::ffff:1.2.3.4/128",
    ] {
        assert_eq!(add(&mut h, 1, bad), Err(Errno::EINVAL), "{bad}");
    }
    add(&mut h, 0, "192.0.2.1/32").unwrap();
    assert_eq!(h.path("192.0.2.1").iface, IfaceId::LOOPBACK);
    // Two in one network share the route.
    remove(&mut h, "10.0.0.1").unwrap();
    assert_eq!(h.path("10.0.0.2").src, ip("10.0.0.5"));
    remove(&mut h, "10.0.0.5").unwrap();
    assert_eq!(h.ip.path(None, ip("10.0.0.2"), None), Err(Errno::ENETUNREACH));
    assert_eq!(remove(&mut h, "10.0.0.5"), Err(Errno::EADDRNOTAVAIL));
    assert_eq!(h.path("10.7.9.9").src, ip("10.7.0.1"));
}

#[test]
fn what_is_ours_and_what_is_broadcast() {
    let mut h = two();
    h.add(Capabilities::ETHERNET, &["192.0.2.0/31", "192.0.2.9/32"], false);
    for a in
        ["10.0.0.1", "10.1.0.1", "127.0.0.1", "127.200.1.1", "192.0.2.0", "::1", "fd00::1", "fe80::ff:fe00:1"]
    {
        assert!(h.ip.is_local(ip(a)), "{a}");
    }
    for a in ["10.0.0.2", "128.0.0.1", "192.0.2.1", "::2", "fe80::1"] {
        assert!(!h.ip.is_local(ip(a)), "{a}");
    }
    for a in ["255.255.255.255", "10.0.0.255", "10.1.255.255"] {
        assert!(h.ip.is_broadcast(ip(a)), "{a}");
    }
    // A point-to-point /31 and a /32 have none (RFC 3021).
    for a in ["10.0.1.255", "10.1.0.255", "192.0.2.1", "192.0.2.9", "ff02::1"] {
        assert!(!h.ip.is_broadcast(ip(a)), "{a}");
    }
}

#[test]
fn our_own_addresses_lead_to_the_loopback() {
    let mut h = two();
    for (dst, src) in [
        ("127.0.0.1", "127.0.0.1"),
        ("127.5.5.5", "127.0.0.1"),
        ("10.0.0.1", "10.0.0.1"),
        ("fd01::1", "fd01::1"),
        ("::1", "::1"),
        ("0.0.0.0", "127.0.0.1"),
        ("::", "::1"),
    ] {
        let p = h.path(dst);
        assert_eq!((p.iface, p.src, p.mtu), (IfaceId::LOOPBACK, ip(src), 65_535), "{dst}");
    }
    let p = h.ip.path(Some(ip("10.1.0.1")), ip("10.0.0.1"), None).unwrap();
    assert_eq!((p.iface, p.src), (IfaceId::LOOPBACK, ip("10.1.0.1")));
}

#[test]
fn given_sources() {
    let mut h = two();
    // The weak host model: a source of another interface is allowed.
    let p = h.ip.path(Some(ip("10.1.0.1")), ip("10.0.0.2"), None).unwrap();
    assert_eq!((p.iface.0, p.src), (1, ip("10.1.0.1")));
    assert_eq!(h.ip.path(Some(ip("10.0.0.9")), ip("10.0.0.2"), None), Err(Errno::EADDRNOTAVAIL));
    assert_eq!(h.ip.path(Some(ip("127.0.0.1")), ip("10.0.0.2"), None), Err(Errno::EINVAL));
    assert_eq!(h.ip.path(Some(ip("fd00::1")), ip("10.0.0.2"), None), Err(Errno::EINVAL));
    // Groups and link-local addresses go where the source is, or where they are told to go.
    assert_eq!(h.ip.path(Some(ip("10.1.0.1")), ip("224.0.0.9"), None).unwrap().iface.0, 2);
    assert_eq!(h.ip.path(None, ip("ff02::9"), Some(IfaceId(2))).unwrap().iface.0, 2);
    assert_eq!(h.ip.path(None, ip("fe80::9"), Some(IfaceId(2))).unwrap().iface.0, 2);
    assert_eq!(h.ip.path(None, ip("ff02::9"), Some(IfaceId(9))), Err(Errno::ENETUNREACH));
    let mut bare = Host::bare(Config::default());
    assert_eq!(bare.ip.path(None, ip("255.255.255.255"), None), Err(Errno::ENETUNREACH));
    assert_eq!(bare.ip.path(None, ip("10.0.0.1"), None), Err(Errno::ENETUNREACH));
}

/// RFC 6724 section 10.1, as far as addresses and scopes go (no deprecation, homes or privacy).
#[test]
fn source_selection_by_the_examples_of_rfc_6724() {
    for (dst, candidates, expected) in [
        ("2001:db8:1::1", &["2001:db8:3::1", "fe80::1"][..], "2001:db8:3::1"),
        ("ff05::1", &["2001:db8:3::1", "fe80::1"], "2001:db8:3::1"),
        ("fe80::99", &["fe80::1", "2001:db8:1::1"], "fe80::1"),
        ("2001:db8:1::1", &["2001:db8:1::2", "2001:db8:3::2"], "2001:db8:1::2"),
        ("2001:db8:1::1", &["2001:db8:3::2", "2001:db8:1::2"], "2001:db8:1::2"),
        // The label of 2002::/16 against that of the rest.
        ("2002:c633:6401::1", &["2001:db8:1::2", "2002:c633:6401::d5e3"], "2002:c633:6401::d5e3"),
        ("2002:c633:6401::1", &["2002:836b:2179::d5e3", "2001:db8:1::2"], "2002:836b:2179::d5e3"),
        // Unique local for unique local.
        ("fd11::1", &["2001:db8:1::2", "fd00::5"], "fd00::5"),
        // Of equals the first.
        ("2001:4860::1", &["2001:db8:0:1::2", "2001:db8:0:2::2"], "2001:db8:0:1::2"),
    ] {
        let mut h = Host::bare(Config::default());
        let eth = h.add(Capabilities::ETHERNET, &[], false);
        for c in candidates {
            let c = Cidr::new(ip(c), 64);
            h.call(|ip, env| ip.add_address(env, eth, c)).unwrap();
        }
        h.ip.add_route(Route { dst: cidr("::/0"), via: None, iface: eth, metric: 0 }).unwrap();
        assert_eq!(h.path(dst).src, ip(expected), "{dst} from {candidates:?}");
    }
}

#[test]
fn tentative_addresses_are_no_sources() {
    let mut h = Host::bare(Config::default());
    let eth = h.add(Capabilities::ETHERNET, &["10.0.0.1/24"], true);
    assert_eq!(h.ip.path(None, ip("10.0.0.2"), None), Err(Errno::EADDRNOTAVAIL));
    h.pass(Duration::from_secs(10));
    assert_eq!(h.ip.interface(eth).unwrap().addresses()[0].state, AddressState::Preferred);
    assert_eq!(h.path("10.0.0.2").src, ip("10.0.0.1"));
}

#[test]
fn path_mtus_are_learned_and_forgotten() {
    let mut h = Host::new();
    let generation = h.ip.generation();
    let learn = |h: &mut Host, dst: &str, mtu| {
        let now = h.now;
        h.ip.learn_path_mtu(now, ip(dst), mtu)
    };
    // Not larger, not for ourselves, not for the unreachable.
    for (dst, mtu) in [("10.0.0.2", 1500), ("10.0.0.2", 65_535), ("10.0.0.1", 600), ("192.0.2.1", 600)] {
        assert!(!learn(&mut h, dst, mtu));
    }
    assert_eq!(h.ip.generation(), generation);
    assert!(learn(&mut h, "10.0.0.2", 1400));
    assert_ne!(h.ip.generation(), generation);
    assert_eq!((h.path("10.0.0.2").mtu, h.path("10.0.0.3").mtu), (1400, 1500));
    // It never grows by a message, and never falls below what a real path has.
    assert!(!learn(&mut h, "10.0.0.2", 1450));
    assert!(learn(&mut h, "10.0.0.2", 0));
    assert_eq!(h.path("10.0.0.2").mtu, 552);
    assert!(!learn(&mut h, "10.0.0.2", 68));
    assert!(learn(&mut h, "fd00::2", 68));
    assert_eq!(h.path("fd00::2").mtu, 1280);
    let generation = h.ip.generation();
    h.pass(PATH_MTU_LIFETIME - Duration::from_secs(1));
    assert_eq!((h.path("10.0.0.2").mtu, h.ip.generation()), (552, generation));
    h.pass(Duration::from_secs(1));
    assert_eq!((h.path("10.0.0.2").mtu, h.path("fd00::2").mtu), (1500, 1500));
    assert_ne!(h.ip.generation(), generation);
    assert_eq!(h.ip.next_deadline(), None);
}

#[test]
fn many_path_mtus_are_bounded() {
    let mut h = Host::tun(1500);
    h.ip.add_route(Route { dst: cidr("0.0.0.0/0"), via: None, iface: ETH, metric: 0 }).unwrap();
    for n in 0..10_000u32 {
        let dst = IpAddr::V4(core::net::Ipv4Addr::from_bits(0x0800_0000 + n));
        let now = h.now;
        assert!(h.ip.learn_path_mtu(now, dst, 1000));
        h.now += Duration::from_micros(1);
    }
    let kept = (0..10_000u32).filter(|n| {
        let dst = IpAddr::V4(core::net::Ipv4Addr::from_bits(0x0800_0000 + n));
        h.ip.path(None, dst, None).unwrap().mtu == 1000
    });
    assert_eq!(kept.count(), 4096);
}
