//! IPv6 extension headers (RFC 8200; ATTACKS 28).

use super::bed::*;
use crate::ip::protocol;
use crate::reason::Drop;
use alloc::vec;
use alloc::vec::Vec;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const NONE: u8 = 59;
const DESTINATION: u8 = 60;

/// An extension header with this content, padded with PadN to a multiple of 8.
fn ext(next: u8, content: &[u8]) -> Vec<u8> {
    let mut h = vec![next, 0];
    h.extend_from_slice(content);
    match (8 - h.len() % 8) % 8 {
        0 => {}
        1 => h.push(0),
        n => {
            h.extend_from_slice(&[1, n as u8 - 2]);
            h.resize(h.len() + n - 2, 0);
        }
    }
    h[1] = (h.len() / 8 - 1) as u8;
    h
}

/// A chain of headers before a UDP header; each is given as its number and its content.
fn chain(headers: &[(u8, &[u8])]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (i, (_, content)) in headers.iter().enumerate() {
        payload.extend(ext(headers.get(i + 1).map_or(protocol::UDP, |h| h.0), content));
    }
    payload.extend_from_slice(&udp_packet("fd00::2", "fd00::1", b"data")[40..]);
    ipv6("fd00::2", "fd00::1", headers.first().map_or(protocol::UDP, |h| h.0), 64, &payload)
}

/// The ICMPv6 error that the host sends about a packet: type, code, pointer.
fn answer(h: &mut Host, packet: &[u8]) -> Option<(u8, u8, u32)> {
    h.acquaint();
    h.input(&eth(packet));
    let sent = h.sent();
    assert!(sent.len() <= 1);
    let frame = sent.first()?;
    assert_eq!(frame[20], protocol::ICMPV6);
    assert_eq!(&frame[62..], &packet[..frame.len() - 62], "the quote");
    Some((frame[54], frame[55], u32::from_be_bytes([frame[58], frame[59], frame[60], frame[61]])))
}

#[test]
fn known_headers_are_walked_over() {
    let mut h = Host::new();
    let routed = [0, 0, 0, 0, 0, 0];
    for headers in [
        &[][..],
        &[(HOP_BY_HOP, &[][..])],
        &[(HOP_BY_HOP, &[5, 2, 0, 0]), (DESTINATION, &[]), (ROUTING, &routed), (DESTINATION, &[])],
        // An unknown option that may be skipped.
        &[(DESTINATION, &[0x1e, 3, 1, 2, 3])],
        // Type 0 routing, but nobody left to visit.
        &[(ROUTING, &[0, 0, 0, 0, 0, 0])],
    ] {
        let d = h.takes(&eth(&chain(headers)));
        assert_eq!((d.protocol, &d.payload[8..], d.checksum_ok), (protocol::UDP, &b"data"[..], true));
    }
}

#[test]
fn an_atomic_fragment_is_a_packet() {
    let mut h = Host::new();
    let udp = &udp_packet("fd00::2", "fd00::1", b"data")[40..];
    let mut payload = vec![protocol::UDP, 0, 0, 0, 1, 2, 3, 4];
    payload.extend_from_slice(udp);
    let packet = ipv6("fd00::2", "fd00::1", FRAGMENT, 64, &payload);
    for _ in 0..2 {
        // Neither collides with another of the same identification.
        assert_eq!(&h.takes(&eth(&packet)).payload[8..], b"data");
    }
    assert_eq!(h.ip.next_deadline(), None);
    // A fragment header in a fragment.
    let mut nested = vec![FRAGMENT, 0, 0, 0, 1, 2, 3, 4];
    nested.extend_from_slice(&payload);
    h.refuses(&eth(&ipv6("fd00::2", "fd00::1", FRAGMENT, 64, &nested)), Drop::IpBadExtension);
}

#[test]
fn unknown_options_are_treated_as_their_bits_say() {
    for (option, unicast) in [(0x1e, None), (0x5e, None), (0x9e, Some((4, 2, 42))), (0xde, Some((4, 2, 42)))]
    {
        let packet = chain(&[(DESTINATION, &[option, 2, 0, 0])]);
        let mut h = Host::new();
        assert_eq!(answer(&mut h, &packet), unicast, "{option:x}");
        h.mark();
        let (delivered, _) = h.input(&eth(&packet));
        assert_eq!(delivered.is_some(), option == 0x1e);
        // To a group: 10 is still answered, 11 is not.
        let mut many = packet.clone();
        many[24..40].copy_from_slice(&v6("ff02::1").octets());
        let mut h = Host::new();
        let expected = if option == 0x9e { unicast } else { None };
        assert_eq!(answer(&mut h, &many), expected, "{option:x} to a group");
    }
}

#[test]
fn routes_through_us_are_refused() {
    for kind in [0, 2, 4, 99] {
        let packet = chain(&[(ROUTING, &[kind, 1, 0, 0, 0, 0])]);
        let mut h = Host::new();
        assert_eq!(answer(&mut h, &packet), Some((4, 0, 42)));
        h.refuses(&eth(&packet), Drop::IpBadExtension);
    }
}

#[test]
fn hop_by_hop_stands_first_or_not_at_all() {
    let packet = chain(&[(DESTINATION, &[]), (HOP_BY_HOP, &[])]);
    let mut h = Host::new();
    assert_eq!(answer(&mut h, &packet), Some((4, 1, 40)));
    h.refuses(&eth(&packet), Drop::IpBadExtension);
}

#[test]
fn nothing_follows_no_next_header() {
    let mut h = Host::new();
    h.refuses(&eth(&ipv6("fd00::2", "fd00::1", NONE, 64, b"")), Drop::IpNoNextHeader);
    h.refuses(&eth(&ipv6("fd00::2", "fd00::1", NONE, 64, &[7; 100])), Drop::IpNoNextHeader);
}

#[test]
fn headers_that_lie() {
    let mut h = Host::new();
    // Header lengths past the end, all of them.
    for kind in [HOP_BY_HOP, ROUTING, DESTINATION] {
        for len in 1..=255u8 {
            let payload = [protocol::UDP, len, 1, 4, 0, 0, 0, 0];
            h.refuses(&eth(&ipv6("fd00::2", "fd00::1", kind, 64, &payload)), Drop::IpBadExtension);
        }
        for n in 0..8 {
            h.refuses(&eth(&ipv6("fd00::2", "fd00::1", kind, 64, &[0; 8][..n])), Drop::IpBadExtension);
        }
    }
    for n in 0..8 {
        h.refuses(&eth(&ipv6("fd00::2", "fd00::1", FRAGMENT, 64, &[0; 8][..n])), Drop::IpBadExtension);
    }
    // An option past the end of its header, one without a length.
    for content in [&[0x1e, 5, 0, 0, 0, 0][..], &[0x1e, 255, 0, 0, 0, 0], &[1, 3, 0, 0, 0, 0x1e]] {
        h.refuses(&eth(&chain(&[(DESTINATION, content)])), Drop::IpBadExtension);
    }
}

#[test]
fn floods_of_options_and_headers() {
    let mut h = Host::new();
    // A thousand options; Pad1 without end; padding that says something.
    let many: Vec<u8> = core::iter::repeat_n([0x1e, 0], 1000).flatten().collect();
    h.refuses(&eth(&chain(&[(HOP_BY_HOP, &many)])), Drop::IpBadExtension);
    h.refuses(&eth(&chain(&[(HOP_BY_HOP, &[0; 2000])])), Drop::IpBadExtension);
    h.refuses(&eth(&chain(&[(DESTINATION, &[1, 4, 0, 0, 7, 0])])), Drop::IpBadExtension);
    h.takes(&eth(&chain(&[(HOP_BY_HOP, &[0; 6])])));
    h.takes(&eth(&chain(&[(DESTINATION, &[0x1e, 0].repeat(8))])));
    h.refuses(&eth(&chain(&[(DESTINATION, &[0x1e, 0].repeat(9))])), Drop::IpBadExtension);
    // A long chain.
    h.takes(&eth(&chain(&[(DESTINATION, &[][..]); 15])));
    h.refuses(&eth(&chain(&[(DESTINATION, &[][..]); 16])), Drop::IpBadExtension);
    h.refuses(&eth(&chain(&[(DESTINATION, &[][..]); 180])), Drop::IpBadExtension);
}

#[test]
fn a_jumbogram_is_not_one_of_ours() {
    // Payload length 0 with the jumbo option (RFC 2675): unknown, and says so.
    let packet = chain(&[(HOP_BY_HOP, &[0xc2, 4, 0, 1, 0, 0])]);
    let mut h = Host::new();
    assert_eq!(answer(&mut h, &packet), Some((4, 2, 42)));
}
