//! Which packets are taken and which are refused (ATTACKS groups 1, 2, 6).

use super::bed::*;
use crate::IfaceId;
use crate::ip::{AddressState, protocol};
use crate::link::{Frame, Gso, GsoKind, PartialChecksum, RxChecksum, RxOffload};
use crate::reason::Drop;
use alloc::vec;
use alloc::vec::Vec;

#[test]
fn a_packet_for_us_is_delivered_and_padding_is_cut() {
    let mut h = Host::new();
    let mut frame = udp("10.0.0.2", "10.0.0.1", b"hi");
    frame.resize(60, 0xaa);
    let d = h.takes(&frame);
    assert_eq!((d.src, d.dst, d.protocol), (ip("10.0.0.2"), ip("10.0.0.1"), protocol::UDP));
    assert_eq!(&d.payload[8..], b"hi");
    assert!(d.checksum_ok && !d.broadcast);
    let mut frame = udp("fd00::2", "fd00::1", b"hi");
    frame.resize(90, 0xaa);
    assert_eq!(&h.takes(&frame).payload[8..], b"hi");
}

#[test]
fn a_wrong_transport_checksum_is_seen_unless_the_device_vouches_for_it() {
    let mut h = Host::new();
    let mut frame = udp("10.0.0.2", "10.0.0.1", b"hi");
    frame[40] ^= 1;
    assert!(!h.takes(&frame).checksum_ok);
    for checksum in [RxChecksum::Verified, RxChecksum::Partial(PartialChecksum { start: 34, offset: 6 })] {
        let (d, _) = h.input_on(ETH, Frame::borrowed(&frame, RxOffload { checksum, gso: None }));
        assert!(d.unwrap().checksum_ok);
    }
}

#[test]
fn link_headers() {
    let mut h = Host::new();
    let good = udp("10.0.0.2", "10.0.0.1", b"hi");
    for n in 0..14 {
        h.refuses(&good[..n], Drop::LinkTruncated);
    }
    h.refuses(&good[..14], Drop::IpTruncated);
    let mut other = good.clone();
    other[5] = 9;
    h.refuses(&other, Drop::LinkNotForUs);
    let mut unknown = good.clone();
    unknown[12..14].copy_from_slice(&[0x88, 0xcc]);
    h.refuses(&unknown, Drop::LinkUnknownProtocol);
    // 802.3 with a length instead of a type.
    unknown[12..14].copy_from_slice(&[0, 46]);
    h.refuses(&unknown, Drop::LinkUnknownProtocol);
    h.mark();
    assert_eq!(h.input_on(IfaceId(7), Frame::from(&good[..])), (None, None));
    assert_eq!(h.new_drops(), [(Drop::LinkInterfaceDown, 1)]);
}

#[test]
fn vlan_tags() {
    let mut h = Host::new();
    let good = udp("10.0.0.2", "10.0.0.1", b"hi");
    let tagged = |tci: [u8; 2]| {
        let mut f = good[..12].to_vec();
        f.extend_from_slice(&[0x81, 0]);
        f.extend_from_slice(&tci);
        f.extend_from_slice(&good[12..]);
        f
    };
    assert_eq!(&h.takes(&tagged([0xe0, 0])).payload[8..], b"hi");
    h.refuses(&tagged([0, 5]), Drop::LinkVlan);
    h.refuses(&tagged([0, 0])[..17], Drop::LinkTruncated);
    // A second tag is not looked into.
    let mut twice = tagged([0, 0]);
    twice[16..18].copy_from_slice(&[0x81, 0]);
    h.refuses(&twice, Drop::LinkUnknownProtocol);
}

#[test]
fn ipv4_headers_that_lie() {
    let mut h = Host::new();
    let good = udp_packet("10.0.0.2", "10.0.0.1", b"hi");
    for n in 1..20 {
        h.refuses(&eth(&good[..n]), Drop::IpTruncated);
    }
    for n in 20..good.len() {
        h.refuses(&eth(&good[..n]), Drop::IpTruncated);
    }
    let with = |at: usize, value: u8| {
        let mut p = good.clone();
        p[at] = value;
        p
    };
    let mut short = with(0, 0x44);
    fix_ipv4(&mut short);
    h.refuses(&eth(&short), Drop::IpBadHeaderLength);
    h.refuses(&eth(&with(0, 0x4f)), Drop::IpBadHeaderLength);
    let mut zero = with(3, 19);
    fix_ipv4(&mut zero);
    h.refuses(&eth(&zero), Drop::IpBadHeaderLength);
    h.refuses(&eth(&with(8, 63)), Drop::IpBadChecksum);
    // The version against the EtherType, both ways.
    let mut frame = eth(&good);
    frame[14] = 0x65;
    h.refuses(&frame, Drop::IpBadVersion);
    let mut frame = udp("fd00::2", "fd00::1", b"");
    frame[14] = 0x40;
    h.refuses(&frame, Drop::IpBadVersion);
    frame[14] = 0xf0;
    h.refuses(&frame, Drop::IpBadVersion);
}

#[test]
fn ipv6_headers_that_lie() {
    let mut h = Host::new();
    let good = udp_packet("fd00::2", "fd00::1", b"hi");
    for n in 1..good.len() {
        h.refuses(&eth(&good[..n]), Drop::IpTruncated);
    }
    let mut long = good.clone();
    long[4] = 0xff;
    h.refuses(&eth(&long), Drop::IpTruncated);
}

#[test]
fn bare_ip_links_look_at_the_version_alone() {
    let mut h = Host::tun(1500);
    assert_eq!(&h.takes(&udp_packet("10.0.0.2", "10.0.0.1", b"a")).payload[8..], b"a");
    assert_eq!(&h.takes(&udp_packet("fd00::2", "fd00::1", b"b")).payload[8..], b"b");
    h.refuses(&[], Drop::IpTruncated);
    h.refuses(&[0x50; 60], Drop::IpBadVersion);
}

#[test]
fn martian_sources() {
    let mut h = Host::new();
    for src in [
        "0.0.0.0",
        "0.1.2.3",
        "127.0.0.1",
        "127.9.9.9",
        "224.0.0.1",
        "239.1.1.1",
        "255.255.255.255",
        "10.0.0.255",
        "10.0.0.1",
    ] {
        h.refuses(&udp(src, "10.0.0.1", b"x"), Drop::IpBadSource);
    }
    for src in ["::", "::1", "ff02::1", "fd00::1", "::ffff:10.0.0.2"] {
        h.refuses(&udp(src, "fd00::1", b"x"), Drop::IpBadSource);
    }
}

#[test]
fn destinations() {
    let mut h = Host::new();
    for dst in ["10.0.0.3", "127.0.0.1", "0.0.0.0", "224.0.0.5", "10.0.1.255"] {
        h.refuses(&udp("10.0.0.2", dst, b"x"), Drop::IpNotForUs);
    }
    for dst in ["fd00::3", "::1", "::", "ff02::5", "ff02::1:ff00:7", "fe80::99"] {
        h.refuses(&udp("fd00::2", dst, b"x"), Drop::IpNotForUs);
    }
    for dst in ["10.0.0.255", "255.255.255.255", "224.0.0.1"] {
        assert!(h.takes(&udp("10.0.0.2", dst, b"x")).broadcast, "{dst}");
    }
    for dst in ["ff02::1", "ff01::1", "ff02::1:ff00:1"] {
        assert!(h.takes(&udp("fd00::2", dst, b"x")).broadcast, "{dst}");
    }
    // The link-local address that every Ethernet interface with IPv6 has.
    assert!(!h.takes(&udp("fd00::2", "fe80::ff:fe00:1", b"x")).broadcast);
    // A unicast packet in a broadcast frame says so.
    assert!(h.takes(&eth_to([0xff; 6], &udp_packet("10.0.0.2", "10.0.0.1", b"x"))).broadcast);
}

#[test]
fn ipv4_options() {
    let mut h = Host::new();
    let with = |options: &[u8]| eth(&ipv4("10.0.0.2", "10.0.0.1", protocol::UDP, 0, options, &[0; 8]));
    for good in [
        &[1, 1, 1, 0][..],
        &[0, 9, 9, 9],
        // Record route, a source route at its end, router alert, 40 octets of nothing.
        &[7, 7, 4, 0, 0, 0, 0, 0],
        &[131, 7, 8, 10, 0, 0, 1, 0],
        &[148, 4, 0, 0],
        &[1; 40],
    ] {
        h.takes(&with(good));
    }
    for bad in
        [&[7, 0, 0, 0][..], &[7, 1, 0, 0], &[7, 5, 0, 0], &[1, 1, 1, 7], &[131, 3, 0, 0], &[131, 2, 0, 0]]
    {
        h.refuses(&with(bad), Drop::IpBadOption);
    }
    h.refuses(&with(&[131, 7, 4, 10, 0, 0, 9, 0]), Drop::IpSourceRouted);
    h.refuses(&with(&[137, 7, 4, 10, 0, 0, 9, 0]), Drop::IpSourceRouted);
}

#[test]
fn a_super_segment_is_longer_than_the_mtu() {
    let mut h = Host::new();
    let payload = vec![7; 40_000];
    let frame = udp("10.0.0.2", "10.0.0.1", &payload);
    let gso = Some(Gso { kind: GsoKind::Tcp4, size: 1448, ecn: false });
    let (d, _) = h.input_on(ETH, Frame::borrowed(&frame, RxOffload { checksum: RxChecksum::Verified, gso }));
    assert_eq!(d.unwrap().payload.len(), 40_008);
}

#[test]
fn the_loopback_takes_what_others_must_not() {
    let mut h = Host::new();
    for (src, dst) in
        [("127.0.0.1", "127.0.0.1"), ("127.3.0.1", "127.0.0.9"), ("10.0.0.1", "10.0.0.1"), ("::1", "::1")]
    {
        let packet = udp_packet(src, dst, b"me");
        let (d, _) = h.input_on(IfaceId::LOOPBACK, Frame::from(&packet[..]));
        assert_eq!(&d.unwrap().payload[8..], b"me");
    }
}

#[test]
fn a_tentative_address_is_nobodys() {
    let mut h = Host::bare(crate::Config::default());
    h.add(crate::link::Capabilities::ETHERNET, &["10.0.0.1/24", "fd00::1/64"], true);
    h.refuses(&udp("10.0.0.2", "10.0.0.1", b"x"), Drop::IpNotForUs);
    h.refuses(&udp("fd00::2", "fd00::1", b"x"), Drop::IpNotForUs);
    let states: Vec<_> = h.ip.interface(ETH).unwrap().addresses().iter().map(|a| a.state).collect();
    assert_eq!(states, [AddressState::Tentative; 3]);
}
