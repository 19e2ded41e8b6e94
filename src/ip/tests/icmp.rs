//! ICMP: echo, errors in, errors out, and their rate (ATTACKS 26).

use super::bed::*;
use crate::IfaceId;
use crate::ip::{Datagram, ErrorKind, Unreachable, protocol};
use crate::link::Frame;
use crate::reason::Drop;
use crate::time::Duration;
use alloc::vec;
use alloc::vec::Vec;

fn echo(len: usize) -> Vec<u8> {
    let mut body = vec![8, 0, 0, 0, 0x12, 0x34, 0, 1];
    body.extend((0..len).map(|i| i as u8));
    body
}

#[test]
fn echo_is_answered() {
    let mut h = Host::new();
    h.acquaint();
    let (d, _) = h.input(&eth(&icmpv4("10.0.0.2", "10.0.0.1", &echo(56))));
    assert_eq!(d.unwrap().protocol, protocol::ICMP, "raw sockets see it, too");
    let sent = h.sent();
    assert_eq!(sent.len(), 1);
    let reply = &sent[0][14..];
    assert_eq!(sent[0][..6], PEER_MAC);
    assert_eq!((&reply[12..16], &reply[16..20]), (&[10, 0, 0, 1][..], &[10, 0, 0, 2][..]));
    assert_eq!((reply[20], &reply[24..]), (0, &echo(56)[4..]));
    assert_eq!(crate::wire::checksum::checksum(&reply[20..]), 0);

    let mut body = echo(56);
    body[0] = 128;
    h.input(&eth(&icmpv6("fd00::2", "fd00::1", 64, &body)));
    let sent = h.sent();
    let mut expected = body.clone();
    expected[0] = 129;
    let expected = icmpv6("fd00::1", "fd00::2", 64, &expected);
    // All but the flow label.
    assert_eq!((sent[0][14], &sent[0][18..]), (expected[0], &expected[4..]));
}

#[test]
fn a_large_echo_comes_back_in_fragments() {
    let mut a = Host::tun(1500);
    let packet = icmpv4("10.0.0.2", "10.0.0.1", &echo(4000));
    a.input(&packet);
    assert_eq!(a.sent().len(), 3);
}

#[test]
fn echo_to_many() {
    let mut h = Host::new();
    h.acquaint();
    for dst in ["10.0.0.255", "255.255.255.255", "224.0.0.1"] {
        h.refuses(&eth(&icmpv4("10.0.0.2", dst, &echo(8))), Drop::IcmpBroadcast);
    }
    assert!(h.sent().is_empty());
    // IPv6 answers, from an address of its own (RFC 4443 section 4.2).
    let mut body = echo(8);
    body[0] = 128;
    h.takes(&eth(&icmpv6("fd00::2", "ff02::1", 64, &body)));
    let sent = h.sent();
    assert_eq!((sent[0][54], &sent[0][22..38]), (129, &v6("fd00::1").octets()[..]));
}

#[test]
fn malformed_messages() {
    let mut h = Host::new();
    for n in 0..8 {
        h.refuses(&eth(&ipv4("10.0.0.2", "10.0.0.1", 1, 0, &[], &[0; 8][..n])), Drop::IcmpMalformed);
        h.refuses(&eth(&ipv6("fd00::2", "fd00::1", 58, 64, &[0; 8][..n])), Drop::IcmpMalformed);
    }
    let mut frame = eth(&icmpv4("10.0.0.2", "10.0.0.1", &echo(8)));
    frame[45] ^= 1;
    h.refuses(&frame, Drop::IcmpBadChecksum);
    let mut frame = eth(&icmpv6("fd00::2", "fd00::1", 64, &[128, 0, 0, 0, 0, 0, 0, 0]));
    frame[60] ^= 1;
    h.refuses(&frame, Drop::IcmpBadChecksum);
    for (kind, reason) in [(4, Drop::IcmpSourceQuench), (5, Drop::IcmpRedirect)] {
        h.refuses(&eth(&icmpv4("10.0.0.2", "10.0.0.1", &[kind, 0, 0, 0, 10, 0, 0, 9])), reason);
    }
    // Of an unknown type: counted, and given to raw sockets.
    h.mark();
    let (d, _) = h.input(&eth(&icmpv4("10.0.0.2", "10.0.0.1", &[13, 0, 0, 0, 0, 0, 0, 0])));
    assert!(d.is_some());
    assert_eq!(h.new_drops(), [(Drop::IcmpUnknownType, 1)]);
}

/// An error of the peer that quotes a packet.
fn error_v4(kind: u8, code: u8, field: [u8; 4], quote: &[u8]) -> Vec<u8> {
    let mut body = vec![kind, code, 0, 0];
    body.extend_from_slice(&field);
    body.extend_from_slice(quote);
    eth(&icmpv4("10.0.0.2", "10.0.0.1", &body))
}

fn error_v6(kind: u8, code: u8, field: [u8; 4], quote: &[u8]) -> Vec<u8> {
    let mut body = vec![kind, code, 0, 0];
    body.extend_from_slice(&field);
    body.extend_from_slice(quote);
    eth(&icmpv6("fd00::2", "fd00::1", 64, &body))
}

#[test]
fn errors_about_our_packets_are_reported() {
    use ErrorKind::{PacketTooBig, ParameterProblem, TimeExceeded};
    use Unreachable::{Host as NoHost, Network, Other, Port, Prohibited, Protocol};
    let un = ErrorKind::Unreachable;
    let quote = udp_packet("10.0.0.1", "192.0.2.9", b"some data");
    let mut h = Host::new();
    for (kind, code, field, expected) in [
        (3, 0, [0; 4], un(Network)),
        (3, 1, [0; 4], un(NoHost)),
        (3, 2, [0; 4], un(Protocol)),
        (3, 3, [0; 4], un(Port)),
        (3, 4, [0, 0, 5, 0], PacketTooBig { mtu: 1280 }),
        // RFC 1191: the upper half is unused, and an old router leaves the lower one zero as well.
        (3, 4, [9, 9, 0, 0], PacketTooBig { mtu: 0 }),
        (3, 5, [0; 4], un(Unreachable::SourceRoute)),
        (3, 6, [0; 4], un(Unreachable::NetworkUnknown)),
        (3, 7, [0; 4], un(Unreachable::HostUnknown)),
        (3, 8, [0; 4], un(Unreachable::Isolated)),
        (3, 9, [0; 4], un(Prohibited)),
        (3, 10, [0; 4], un(Prohibited)),
        (3, 11, [0; 4], un(Network)),
        (3, 12, [0; 4], un(NoHost)),
        (3, 13, [0; 4], un(Prohibited)),
        (3, 14, [0; 4], un(Other(14))),
        (3, 15, [0; 4], un(Other(15))),
        (3, 200, [0; 4], un(Other(200))),
        (11, 0, [0; 4], TimeExceeded { code: 0 }),
        (12, 0, [20, 0, 0, 0], ParameterProblem { pointer: 20, code: 0 }),
    ] {
        let (datagram, error) = h.input(&error_v4(kind, code, field, &quote));
        let e = error.unwrap();
        assert_eq!(e.kind, expected);
        assert_eq!((e.src, e.dst, e.protocol), (ip("10.0.0.1"), ip("192.0.2.9"), protocol::UDP));
        assert_eq!(e.transport, &quote[20..]);
        assert!(datagram.is_some());
    }
    let quote = udp_packet("fd00::1", "2001:db8::9", b"some data");
    for (kind, code, field, expected) in [
        (1, 0, [0; 4], un(Network)),
        (1, 1, [0; 4], un(Prohibited)),
        (1, 3, [0; 4], un(NoHost)),
        (1, 4, [0; 4], un(Port)),
        (1, 5, [0; 4], un(Prohibited)),
        (2, 0, [0, 0, 5, 0], PacketTooBig { mtu: 1280 }),
        (3, 1, [0; 4], TimeExceeded { code: 1 }),
        (4, 0, [0, 0, 0, 6], ParameterProblem { pointer: 6, code: 0 }),
        (4, 1, [0, 0, 0, 6], un(Protocol)),
    ] {
        let e = h.input(&error_v6(kind, code, field, &quote)).1.unwrap();
        assert_eq!((e.kind, e.protocol), (expected, protocol::UDP));
        assert_eq!((e.src, e.dst), (ip("fd00::1"), ip("2001:db8::9")));
        assert_eq!(e.transport, &quote[40..]);
    }
}

#[test]
fn quotes_that_prove_nothing() {
    let mut h = Host::new();
    let good = udp_packet("10.0.0.1", "192.0.2.9", b"");
    for n in 0..28 {
        h.refuses(&error_v4(3, 3, [0; 4], &good[..n]), Drop::IcmpMalformed);
    }
    // Not ours; about a fragment that is not the first; nobody as destination.
    let foreign = udp_packet("10.0.0.7", "192.0.2.9", b"");
    h.refuses(&error_v4(3, 3, [0; 4], &foreign), Drop::IcmpQuoteMismatch);
    let later = ipv4("10.0.0.1", "192.0.2.9", 17, 5, &[], &[0; 16]);
    h.refuses(&error_v4(3, 3, [0; 4], &later), Drop::IcmpMalformed);
    let nobody = udp_packet("10.0.0.1", "0.0.0.0", b"");
    h.refuses(&error_v4(3, 3, [0; 4], &nobody), Drop::IcmpQuoteMismatch);
    // Errors sent to many.
    let mut body = vec![3, 3, 0, 0, 0, 0, 0, 0];
    body.extend_from_slice(&good);
    h.refuses(&eth(&icmpv4("10.0.0.2", "10.0.0.255", &body)), Drop::IcmpBroadcast);

    let good = udp_packet("fd00::1", "2001:db8::9", b"");
    for n in 0..48 {
        h.refuses(&error_v6(1, 4, [0; 4], &good[..n]), Drop::IcmpMalformed);
    }
    h.refuses(&error_v6(1, 4, [0; 4], &udp_packet("fd00::7", "2001:db8::9", b"")), Drop::IcmpQuoteMismatch);
    // The quote of a later fragment has no ports.
    let mut payload = vec![17, 0, 0, 80, 0, 0, 0, 1];
    payload.extend_from_slice(&[0; 16]);
    let later = ipv6("fd00::1", "2001:db8::9", 44, 64, &payload);
    h.refuses(&error_v6(1, 4, [0; 4], &later), Drop::IcmpMalformed);
    // That of a first fragment does.
    payload[3] = 1;
    let first = ipv6("fd00::1", "2001:db8::9", 44, 64, &payload);
    let e = h.input(&error_v6(1, 4, [0; 4], &first)).1.unwrap();
    assert_eq!((e.protocol, e.transport), (17, payload[8..].to_vec()));
}

/// A datagram of the frame, as the machine would have it in its hands.
fn complain(h: &mut Host, frame: &[u8], kind: ErrorKind) -> Vec<Vec<u8>> {
    h.call(|ip, env| {
        let mut assembled = None;
        let input = ip.handle_frame(env, ETH, Frame::from(frame), &mut assembled);
        if let Some(d) = input.datagram {
            ip.send_icmp_error(env, &d, kind);
        }
    });
    h.sent()
}

#[test]
fn errors_go_out_with_as_much_of_the_packet_as_fits() {
    let mut h = Host::new();
    h.acquaint();
    let port = ErrorKind::Unreachable(Unreachable::Port);
    for (len, total) in [(4, 20 + 8 + 20 + 8 + 4), (1000, 576)] {
        let frame = udp("10.0.0.2", "10.0.0.1", &vec![1; len]);
        let sent = complain(&mut h, &frame, port);
        let packet = &sent[0][14..];
        assert_eq!((packet.len(), packet[20], packet[21]), (total, 3, 3));
        assert_eq!(packet[28..], frame[14..14 + total - 28]);
        assert_eq!(crate::wire::checksum::checksum(&packet[20..]), 0);
    }
    for (len, total) in [(4, 40 + 8 + 40 + 8 + 4), (1400, 1280)] {
        let frame = udp("fd00::2", "fd00::1", &vec![1; len]);
        let sent = complain(&mut h, &frame, port);
        let packet = &sent[0][14..];
        assert_eq!((packet.len(), packet[40], packet[41]), (total, 1, 4));
        assert_eq!(packet[48..], frame[14..14 + total - 48]);
    }
    // IPv6 has no "protocol unreachable": a pointer to the octet that named it.
    let sent = complain(
        &mut h,
        &eth(&ipv6("fd00::2", "fd00::1", 132, 64, &[0; 8])),
        ErrorKind::Unreachable(Unreachable::Protocol),
    );
    assert_eq!(sent[0][54..62], [4, 1, sent[0][56], sent[0][57], 0, 0, 0, 6]);
    let sent = complain(
        &mut h,
        &eth(&ipv4("10.0.0.2", "10.0.0.1", 132, 0, &[], &[0; 8])),
        ErrorKind::Unreachable(Unreachable::Protocol),
    );
    assert_eq!(sent[0][34..36], [3, 2]);
    assert_eq!(h.around.stats.count.icmp_errors_out, 6);
}

#[test]
fn who_gets_no_error() {
    let mut h = Host::new();
    h.acquaint();
    let port = ErrorKind::Unreachable(Unreachable::Port);
    // Sent to many: by IP, by the link.
    for dst in ["10.0.0.255", "255.255.255.255", "224.0.0.1"] {
        assert!(complain(&mut h, &udp("10.0.0.2", dst, b"x"), port).is_empty());
    }
    assert!(complain(&mut h, &udp("fd00::2", "ff02::1", b"x"), port).is_empty());
    assert!(complain(&mut h, &eth_to([0xff; 6], &udp_packet("10.0.0.2", "10.0.0.1", b"x")), port).is_empty());
    // Errors themselves, known and unknown; but questions may be answered with one.
    let quote = udp_packet("10.0.0.1", "192.0.2.9", b"");
    assert!(complain(&mut h, &error_v4(3, 3, [0; 4], &quote), port).is_empty());
    assert!(complain(&mut h, &error_v6(77, 0, [0; 4], &quote), port).is_empty());
    assert!(
        !complain(&mut h, &eth(&icmpv4("10.0.0.2", "10.0.0.1", &[0, 0, 0, 0, 0, 0, 0, 0])), port).is_empty()
    );
    // Sources that are nobody, which input refuses already: asked directly.
    for src in ["0.0.0.0", "224.0.0.9", "255.255.255.255", "10.0.0.255", "127.0.0.1"] {
        let packet = udp_packet(src, "10.0.0.1", b"x");
        h.call(|ip, env| {
            let about = Datagram {
                iface: ETH,
                src: src.parse().unwrap(),
                dst: "10.0.0.1".parse().unwrap(),
                protocol: 17,
                hop_limit: 64,
                traffic_class: 0,
                broadcast: false,
                frame: Frame::from(&packet[..]),
                packet: (0..packet.len()).into(),
                payload: (20..packet.len()).into(),
            };
            ip.send_icmp_error(env, &about, port);
        });
        assert!(h.sent().is_empty(), "{src}");
    }
}

#[test]
fn errors_are_rationed() {
    let mut h = Host::tun(1500);
    let port = ErrorKind::Unreachable(Unreachable::Port);
    let frame = udp_packet("10.0.0.2", "10.0.0.1", b"x");
    let burst = |h: &mut Host, n: usize| (0..n).map(|_| complain(h, &frame, port).len()).sum::<usize>();
    let first = burst(&mut h, 1000);
    assert!((25..=50).contains(&first), "{first}");
    assert_eq!(h.around.stats.count.icmp_rate_limited, 1000 - first as u64);
    assert_eq!(burst(&mut h, 10), 0);
    // A thousand a second, a burst at a time.
    h.pass(Duration::from_millis(10));
    assert!((5..=10).contains(&burst(&mut h, 1000)));
    h.pass(Duration::from_secs(3600));
    assert!((25..=50).contains(&burst(&mut h, 1000)));
    // Echo has no part in it.
    h.input(&icmpv4("10.0.0.2", "10.0.0.1", &echo(8)));
    assert_eq!(h.sent().len(), 1);
    // Half a token does not get lost.
    burst(&mut h, 1000);
    let mut slow = 0;
    for _ in 0..4000 {
        h.pass(Duration::from_micros(250));
        slow += burst(&mut h, 1);
    }
    assert!((600..=1000).contains(&slow), "{slow}");
}

#[test]
fn the_loopback_has_its_errors_too() {
    let mut h = Host::new();
    let packet = udp_packet("127.0.0.1", "127.0.0.1", b"x");
    h.call(|ip, env| {
        let mut assembled = None;
        let input = ip.handle_frame(env, IfaceId::LOOPBACK, Frame::from(&packet[..]), &mut assembled);
        let port = ErrorKind::Unreachable(Unreachable::Port);
        ip.send_icmp_error(env, &input.datagram.unwrap(), port);
    });
    let back = h.ip.next_looped().unwrap();
    let (_, error) = h.input_on(IfaceId::LOOPBACK, back.as_frame());
    assert_eq!(error.unwrap().kind, ErrorKind::Unreachable(Unreachable::Port));
}
