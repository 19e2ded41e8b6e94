//! ARP, NDP and duplicate address detection on the wire (ATTACKS 29).

use super::bed::*;
use crate::event::Event;
use crate::ip::AddressState;
use crate::link::Capabilities;
use crate::link::neighbour::NeighbourState;
use crate::reason::Drop;
use crate::time::{Duration, Instant};
use alloc::vec;
use alloc::vec::Vec;

const OTHER: [u8; 6] = [2, 0, 0, 0, 0, 9];
const MS: Duration = Duration::from_millis(1);

fn send(h: &mut Host, dst: &str) {
    let path = h.path(dst);
    let header = udp_header(4);
    let result = h.emit(&outgoing(&path, ip(dst), &header, &[b"data"]));
    assert_eq!(result, Ok(()));
}

fn entry(h: &Host, addr: &str) -> Option<(Option<[u8; 6]>, NeighbourState)> {
    h.ip.neighbours().iter().find(|n| n.addr == ip(addr)).map(|n| (n.mac, n.state))
}

#[test]
fn arp_asks_and_then_sends() {
    let mut h = Host::new();
    send(&mut h, "10.0.0.2");
    let sent = h.sent();
    assert_eq!(sent.len(), 1);
    let mut question = arp(1, MAC, "10.0.0.1", "10.0.0.2");
    assert_eq!(sent[0], question);
    assert!(h.sent().is_empty());
    assert_eq!(h.input(&arp(2, PEER_MAC, "10.0.0.2", "10.0.0.1")), (None, None));
    let sent = h.sent();
    assert_eq!((sent.len(), &sent[0][..12]), (1, &[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1][..]));
    assert_eq!(&sent[0][42..], b"data");
    assert_eq!(entry(&h, "10.0.0.2"), Some((Some(PEER_MAC), NeighbourState::Reachable)));
    let events: Vec<_> = core::iter::from_fn(|| h.around.events.pop()).collect();
    assert!(events.iter().any(|e| matches!(e, Event::Neighbour { reachable: true, .. })));
    // Straight out from now on.
    send(&mut h, "10.0.0.2");
    assert_eq!(h.out.len(), 1);
    h.out.clear();
    // After half a minute or so it is asked again, by itself.
    h.pass(Duration::from_secs(50));
    send(&mut h, "10.0.0.2");
    h.pass(Duration::from_secs(5));
    let sent = h.sent();
    question[..6].copy_from_slice(&PEER_MAC);
    assert_eq!(sent[1..], [question]);
}

#[test]
fn ndp_asks_and_then_sends() {
    let mut h = Host::new();
    send(&mut h, "fd00::2");
    let sent = h.sent();
    assert_eq!(sent.len(), 1);
    let mut question = ns("fd00::1", "fd00::2", Some(MAC));
    question[6..12].copy_from_slice(&MAC);
    assert_eq!(sent[0], question);
    assert_eq!(h.input(&na("fd00::2", 0x60, Some(PEER_MAC))).1, None);
    let sent = h.sent();
    assert_eq!((sent.len(), &sent[0][..6], &sent[0][62..]), (1, &PEER_MAC[..], &b"data"[..]));
    assert_eq!(entry(&h, "fd00::2"), Some((Some(PEER_MAC), NeighbourState::Reachable)));
}

#[test]
fn the_gateway_is_asked_for_hosts_behind_it() {
    let mut h = Host::new();
    let route =
        crate::ip::Route { dst: cidr("0.0.0.0/0"), via: Some(ip("10.0.0.254")), iface: ETH, metric: 0 };
    h.ip.add_route(route).unwrap();
    send(&mut h, "192.0.2.1");
    assert_eq!(h.sent(), [arp(1, MAC, "10.0.0.1", "10.0.0.254")]);
}

#[test]
fn groups_are_not_asked_for() {
    let mut h = Host::new();
    for (dst, mac) in [
        ("10.0.0.255", [0xff; 6]),
        ("255.255.255.255", [0xff; 6]),
        ("224.129.2.3", [1, 0, 0x5e, 1, 2, 3]),
        ("ff02::1:2:3", [0x33, 0x33, 0, 2, 0, 3]),
    ] {
        send(&mut h, dst);
        assert_eq!(h.sent()[0][..6], mac, "{dst}");
    }
    assert!(h.ip.neighbours().is_empty());
}

#[test]
fn silence_is_reported_to_whom_it_concerns() {
    let mut h = Host::new();
    send(&mut h, "10.0.0.7");
    send(&mut h, "10.0.0.7");
    h.pass(Duration::from_millis(2999));
    assert_eq!(h.ip.take_unreachable(), None);
    assert_eq!(h.sent().len(), 3);
    h.pass(MS);
    assert_eq!(h.ip.take_unreachable(), Some((ETH, ip("10.0.0.7"))));
    assert_eq!(h.ip.take_unreachable(), None);
    assert_eq!(h.around.stats.dropped(Drop::NeighbourUnreachable), 2);
    assert!(h.sent().is_empty() && h.ip.next_deadline().is_none());
    // The one behind a gateway hears of it, not the gateway.
    let route = crate::ip::Route { dst: cidr("::/0"), via: Some(ip("fd00::99")), iface: ETH, metric: 0 };
    h.ip.add_route(route).unwrap();
    send(&mut h, "2001:db8::1");
    h.pass(Duration::from_secs(3));
    assert_eq!(h.ip.take_unreachable(), Some((ETH, ip("2001:db8::1"))));
}

#[test]
fn questions_for_us_are_answered() {
    let mut h = Host::new();
    h.input(&arp(1, PEER_MAC, "10.0.0.2", "10.0.0.1"));
    let mut answer = arp(2, MAC, "10.0.0.1", "10.0.0.2");
    answer[..6].copy_from_slice(&PEER_MAC);
    answer[32..38].copy_from_slice(&PEER_MAC);
    assert_eq!(h.sent(), [answer]);
    assert_eq!(entry(&h, "10.0.0.2"), Some((Some(PEER_MAC), NeighbourState::Stale)));
    h.refuses(&arp(1, PEER_MAC, "10.0.0.2", "10.0.0.3"), Drop::ArpNotForUs);
    assert!(h.sent().is_empty());

    let mut answer = na("fd00::1", 0x60, Some(MAC));
    let mut body = answer[54..].to_vec();
    body[2..4].fill(0);
    answer.splice(14.., icmpv6("fd00::1", "fd00::2", 255, &body));
    answer[..6].copy_from_slice(&PEER_MAC);
    answer[6..12].copy_from_slice(&MAC);
    h.input(&ns("fd00::2", "fd00::1", Some(PEER_MAC)));
    assert_eq!(h.sent(), [answer.clone()]);
    // Without its address, if we know it; if not, it asked the wrong way.
    h.input(&ns("fd00::2", "fd00::1", None));
    assert_eq!(h.sent(), [answer]);
    h.refuses(&ns("fd00::3", "fd00::1", None), Drop::NdpUnsolicited);
    h.refuses(&ns("fd00::2", "fd00::2:1", Some(PEER_MAC)), Drop::IpNotForUs);
}

#[test]
fn arp_that_lies() {
    let mut h = Host::new();
    let good = arp(1, PEER_MAC, "10.0.0.2", "10.0.0.1");
    for n in 15..42 {
        h.refuses(&good[..n], Drop::ArpMalformed);
    }
    for (at, value) in [(15, 6), (17, 1), (18, 8), (18, 0), (18, 255), (19, 16), (19, 0), (21, 3), (21, 0)] {
        let mut bad = good.clone();
        bad[at] = value;
        h.refuses(&bad, Drop::ArpMalformed);
    }
    for sender in ["127.0.0.1", "224.0.0.1", "255.255.255.255", "10.0.0.255", "0.1.2.3"] {
        h.refuses(&arp(1, PEER_MAC, sender, "10.0.0.1"), Drop::ArpBadSender);
    }
    for mac in [MAC, [0xff; 6], [3, 0, 0, 0, 0, 1], [0; 6]] {
        h.refuses(&arp(1, mac, "10.0.0.2", "10.0.0.1"), Drop::ArpBadSender);
    }
    h.refuses(&arp(2, PEER_MAC, "10.0.0.2", "10.0.0.1"), Drop::ArpUnsolicited);
    h.refuses(&arp(1, PEER_MAC, "10.0.0.2", "10.0.0.2"), Drop::ArpNotForUs);
    assert!(h.ip.neighbours().is_empty() && h.sent().is_empty());
    // From another network: answered, not remembered.
    h.mark();
    h.input(&arp(1, PEER_MAC, "192.168.7.7", "10.0.0.1"));
    assert_eq!((h.sent().len(), h.ip.neighbours().len(), h.new_drops()), (1, 0, vec![]));
}

#[test]
fn a_forged_announcement_on_the_wire() {
    let mut h = Host::new();
    send(&mut h, "10.0.0.2");
    h.input(&arp(2, PEER_MAC, "10.0.0.2", "10.0.0.1"));
    h.sent();
    h.input(&arp(1, OTHER, "10.0.0.2", "10.0.0.2"));
    assert_eq!(entry(&h, "10.0.0.2"), Some((Some(PEER_MAC), NeighbourState::Probe)));
    // The one we know is asked, and says no.
    h.pass(Duration::ZERO);
    let sent = h.sent();
    assert_eq!((sent.len(), &sent[0][..6]), (1, &PEER_MAC[..]));
    h.input(&arp(2, PEER_MAC, "10.0.0.2", "10.0.0.1"));
    assert_eq!(entry(&h, "10.0.0.2"), Some((Some(PEER_MAC), NeighbourState::Reachable)));
    // If it is gone, the new one is found in three seconds.
    h.input(&arp(1, OTHER, "10.0.0.2", "10.0.0.2"));
    h.pass(Duration::from_secs(3));
    h.sent();
    send(&mut h, "10.0.0.2");
    assert_eq!(h.sent(), [arp(1, MAC, "10.0.0.1", "10.0.0.2")]);
    h.input(&arp(2, OTHER, "10.0.0.2", "10.0.0.1"));
    assert_eq!(h.sent()[0][..6], OTHER);
}

#[test]
fn ndp_that_lies() {
    let mut h = Host::new();
    h.acquaint();
    let target = v6("fd00::1").octets();
    let message = |kind: u8, code: u8, hops: u8, src: &str, dst: &str, options: &[u8]| {
        let mut body = vec![kind, code, 0, 0, 0, 0, 0, 0];
        body.extend_from_slice(&target);
        body.extend_from_slice(options);
        eth(&icmpv6(src, dst, hops, &body))
    };
    let slla = [1, 1, 2, 0, 0, 0, 0, 2];
    h.takes(&message(135, 0, 255, "fd00::2", "fd00::1", &slla));
    for bad in [
        // From afar; with a code; options of length 0, cut, with a group as address.
        message(135, 0, 254, "fd00::2", "fd00::1", &slla),
        message(135, 1, 255, "fd00::2", "fd00::1", &slla),
        message(135, 0, 255, "fd00::2", "fd00::1", &[1, 0, 0, 0, 0, 0, 0, 0]),
        message(135, 0, 255, "fd00::2", "fd00::1", &slla[..7]),
        message(135, 0, 255, "fd00::2", "fd00::1", &[1, 2, 2, 0, 0, 0, 0, 2]),
        message(135, 0, 255, "fd00::2", "fd00::1", &[1, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        message(135, 0, 255, "fd00::2", "fd00::1", &[14, 0]),
        message(135, 0, 255, "fd00::2", "fd00::1", &[1]),
        // From nobody, with an address, or not to the group.
        message(135, 0, 255, "::", "ff02::1:ff00:1", &slla),
        message(135, 0, 255, "::", "fd00::1", &[]),
        message(136, 0, 64, "fd00::2", "fd00::1", &[]),
        message(136, 7, 255, "fd00::2", "fd00::1", &[]),
        // Too short.
        eth(&icmpv6("fd00::2", "fd00::1", 255, &[135, 0, 0, 0, 0, 0, 0, 0])),
        eth(&icmpv6(
            "fd00::2",
            "fd00::1",
            255,
            &[[136, 0, 0, 0, 0, 0, 0, 0].as_slice(), &target[..15]].concat(),
        )),
        // Our own address as source of the link.
        message(135, 0, 255, "fd00::2", "fd00::1", &[1, 1, 2, 0, 0, 0, 0, 1]),
    ] {
        h.refuses(&bad, Drop::NdpMalformed);
    }
    // A solicited answer to everyone; a target that is a group.
    let mut body = vec![136, 0, 0, 0, 0x60, 0, 0, 0];
    body.extend_from_slice(&v6("fd00::2").octets());
    h.refuses(&eth(&icmpv6("fd00::2", "ff02::1", 255, &body)), Drop::NdpMalformed);
    body[8..24].copy_from_slice(&v6("ff02::2").octets());
    h.refuses(&eth(&icmpv6("fd00::2", "fd00::1", 255, &body)), Drop::NdpMalformed);
    h.refuses(&na("fd00::5", 0x60, Some(PEER_MAC)), Drop::NdpUnsolicited);
    h.refuses(&na("fd00::5", 0x20, None), Drop::NdpUnsolicited);
    // Routers: prefix length 255, MTU 0, redirects.
    let prefix = [&[3, 4, 255, 0xc0][..], &[0xff; 28]].concat();
    h.refuses(&message(134, 0, 255, "fe80::2", "ff02::1", &prefix), Drop::NdpRouter);
    h.refuses(&message(134, 0, 255, "fe80::2", "ff02::1", &[5, 1, 0, 0, 0, 0, 0, 0]), Drop::NdpRouter);
    h.refuses(&message(133, 0, 255, "fe80::2", "ff02::1", &[]), Drop::NdpRouter);
    h.refuses(&message(137, 0, 255, "fd00::2", "fd00::1", &[]), Drop::IcmpRedirect);
    assert_eq!(h.ip.neighbours().len(), 2);
    assert_eq!(h.conflicts(), 0);
}

#[test]
fn advertisements_without_a_link_address() {
    let mut h = Host::new();
    send(&mut h, "fd00::2");
    // While the address is unknown it says nothing.
    h.input(&na("fd00::2", 0x60, None));
    assert_eq!(entry(&h, "fd00::2"), Some((None, NeighbourState::Incomplete)));
    h.input(&na("fd00::2", 0x20, Some(PEER_MAC)));
    assert_eq!(entry(&h, "fd00::2"), Some((Some(PEER_MAC), NeighbourState::Stale)));
    // Later it confirms.
    h.input(&na("fd00::2", 0x40, None));
    assert_eq!(entry(&h, "fd00::2"), Some((Some(PEER_MAC), NeighbourState::Reachable)));
}

/// ATTACKS 29, the whole way: ten thousand packets to hosts that do not exist, and a living one.
#[test]
fn calls_into_the_void_do_not_stop_the_rest() {
    let mut h = Host::bare(crate::Config::default());
    h.add(Capabilities::ETHERNET, &["10.0.0.1/8", "fd00::1/64"], false);
    send(&mut h, "10.0.0.2");
    h.input(&arp(2, PEER_MAC, "10.0.0.2", "10.0.0.1"));
    h.sent();
    for n in 0..10_000u32 {
        // The device takes nothing at the moment, so that the queue fills as well.
        h.room = 0;
        let dst = alloc::format!("10.1.{}.{}", n / 250, n % 250 + 1);
        let path = h.path(&dst);
        let header = udp_header(4);
        let packet = outgoing(&path, ip(&dst), &header, &[b"data"]);
        let _ = h.call(|i, env| i.enqueue(env, &packet));
        h.pass(MS / 2);
    }
    assert!(h.ip.interface(ETH).unwrap().queue_len() <= 512, "questions fill half of the queue at most");
    // Others still go through: a known neighbour, and a new one.
    for dst in ["10.0.0.2", "10.0.0.3"] {
        let path = h.path(dst);
        let header = udp_header(4);
        h.call(|i, env| i.enqueue(env, &outgoing(&path, ip(dst), &header, &[b"data"]))).unwrap();
    }
    h.room = usize::MAX;
    let sent = h.sent();
    assert!(sent.iter().any(|f| f[..6] == PEER_MAC && f.ends_with(b"data")));
    let question = arp(1, MAC, "10.0.0.1", "10.0.0.3");
    // Its question may have found the queue full: it is asked once more in a second at the latest.
    h.pass(Duration::from_secs(1));
    let later = h.sent();
    assert!(sent.iter().chain(&later).any(|f| *f == question));
    h.input(&arp(2, OTHER, "10.0.0.3", "10.0.0.1"));
    assert_eq!(h.sent().iter().filter(|f| f[..6] == OTHER).count(), 1);
}

#[test]
fn storms_of_replies_leave_nothing_behind() {
    let mut h = Host::new();
    for n in 0..10_000u32 {
        let mac = [2, 9, 9, 9, (n >> 8) as u8, n as u8];
        h.input(&arp(2, mac, "10.0.0.77", "10.0.0.1"));
        h.input(&na("fd00::77", 0x60, Some(mac)));
    }
    assert!(h.ip.neighbours().is_empty() && h.sent().is_empty());
    // Questions are answered and remembered within bounds, also while the device takes nothing.
    h.room = 0;
    for n in 0..10_000u32 {
        h.input(&arp(
            1,
            [2, 9, 9, 9, (n >> 8) as u8, n as u8],
            &alloc::format!("10.0.0.{}", n % 200 + 10),
            "10.0.0.1",
        ));
    }
    assert!(h.ip.interface(ETH).unwrap().queue_len() <= 512);
}

fn probing() -> Host {
    let mut h = Host::bare(crate::Config::default());
    h.add(Capabilities::ETHERNET, &["10.0.0.1/24", "fd00::1/64"], true);
    h
}

fn states(h: &Host) -> Vec<AddressState> {
    h.ip.interface(ETH).unwrap().addresses().iter().map(|a| a.state).collect()
}

#[test]
fn addresses_are_probed_before_they_are_used() {
    let mut h = probing();
    let start = h.now;
    let mut frames = Vec::new();
    let generation = h.ip.generation();
    let mut usable = Vec::new();
    while let Some(at) = h.ip.next_deadline() {
        assert_eq!(h.ip.is_local(ip("10.0.0.1")), usable.iter().any(|(_, n)| *n == 0));
        h.pass(at.since(h.now));
        frames.extend(h.sent().into_iter().map(|f| (h.now.since(start), f)));
        for (i, s) in states(&h).into_iter().enumerate() {
            if s == AddressState::Preferred && !usable.iter().any(|(_, n)| *n == i) {
                usable.push((h.now.since(start), i));
            }
        }
    }
    assert_ne!(h.ip.generation(), generation, "paths may have changed");
    let of = |index: usize| usable.iter().find(|u| u.1 == index).unwrap().0;
    let seconds = Duration::from_secs_f64;
    assert!((seconds(4.0)..=seconds(7.0)).contains(&of(0)), "IPv4 after {:?}", of(0));
    assert!((seconds(1.0)..=seconds(2.0)).contains(&of(1)), "IPv6 after {:?}", of(1));
    let probe = arp(1, MAC, "0.0.0.0", "10.0.0.1");
    let announcement = arp(1, MAC, "10.0.0.1", "10.0.0.1");
    assert_eq!(frames.iter().filter(|f| f.1 == probe).count(), 3);
    let announced: Vec<_> = frames.iter().filter(|f| f.1 == announcement).map(|f| f.0).collect();
    assert_eq!(announced, [of(0), of(0) + Duration::from_secs(2)]);
    let mut solicit = ns("::", "fd00::1", None);
    solicit[6..12].copy_from_slice(&MAC);
    assert_eq!(frames.iter().filter(|f| f.1 == solicit).count(), 1);
    // Three ARP probes, two announcements, and a solicitation for each of the IPv6 addresses.
    assert_eq!(frames.len(), 7);
}

#[test]
fn an_address_that_another_host_has_is_not_used() {
    // What gives it away: its use, its announcement, its answer, another probe for it.
    let signs: [(usize, Vec<u8>); 6] = [
        (0, arp(1, PEER_MAC, "10.0.0.1", "10.0.0.9")),
        (0, arp(1, PEER_MAC, "10.0.0.1", "10.0.0.1")),
        (0, arp(2, PEER_MAC, "10.0.0.1", "0.0.0.0")),
        (0, arp(1, PEER_MAC, "0.0.0.0", "10.0.0.1")),
        (1, {
            let mut body = vec![136, 0, 0, 0, 0x20, 0, 0, 0];
            body.extend_from_slice(&v6("fd00::1").octets());
            body.extend_from_slice(&[2, 1, 2, 0, 0, 0, 0, 2]);
            eth_to([0x33, 0x33, 0, 0, 0, 1], &icmpv6("fd00::1", "ff02::1", 255, &body))
        }),
        (1, ns("::", "fd00::1", None)),
    ];
    for (index, sign) in signs {
        let mut h = probing();
        h.pass(Duration::from_millis(500));
        h.input(&sign);
        h.pass(Duration::from_secs(20));
        let mut expected = [AddressState::Preferred; 3];
        expected[index] = AddressState::Duplicate;
        assert_eq!(states(&h), expected, "{sign:x?}");
        assert_eq!(h.conflicts(), 1);
        let addr = ["10.0.0.1", "fd00::1"][index];
        assert!(!h.ip.is_local(ip(addr)));
        assert!(h.ip.path(Some(ip(addr)), ip("10.0.0.2"), None).is_err());
    }
}

#[test]
fn our_own_probe_coming_back_is_no_conflict() {
    let mut h = probing();
    for _ in 0..40 {
        h.pass(Duration::from_millis(250));
        for f in h.sent() {
            h.input(&f);
        }
    }
    assert_eq!(states(&h), [AddressState::Preferred; 3]);
}

#[test]
fn an_address_in_use_is_defended_now_and_then() {
    let mut h = Host::new();
    let announcement = arp(1, MAC, "10.0.0.1", "10.0.0.1");
    for n in 0..100 {
        h.refuses(&arp(1, PEER_MAC, "10.0.0.1", "10.0.0.9"), Drop::ArpBadSender);
        let expected = if n % 50 == 0 { vec![announcement.clone()] } else { vec![] };
        assert_eq!(h.sent(), expected, "{n}");
        h.pass(Duration::from_millis(200));
    }
    assert!(h.ip.is_local(ip("10.0.0.1")));
    assert_eq!(h.conflicts(), 2);
    // One who probes for it hears that it is taken.
    h.input(&arp(1, PEER_MAC, "0.0.0.0", "10.0.0.1"));
    assert_eq!(h.sent().len(), 1);
    h.input(&ns("::", "fd00::1", None));
    let sent = h.sent();
    assert_eq!((&sent[0][..6], sent[0][54], sent[0][58]), (&[0x33, 0x33, 0, 0, 0, 1][..], 136, 0x20));
    assert!(h.ip.neighbours().is_empty(), "nobody has no address to remember");
}

#[test]
fn time_may_jump() {
    let mut h = Host::new();
    send(&mut h, "10.0.0.2");
    h.input(&arp(2, PEER_MAC, "10.0.0.2", "10.0.0.1"));
    h.now = Instant::from_secs(1);
    send(&mut h, "10.0.0.2");
    h.now = Instant::from_secs(30 * 86_400);
    h.call(crate::ip::Ip::handle_timeout);
    send(&mut h, "10.0.0.2");
    h.now = Instant::from_nanos(u64::MAX);
    h.call(crate::ip::Ip::handle_timeout);
}
