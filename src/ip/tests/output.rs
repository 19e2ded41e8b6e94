//! Sending: in place, through queues, to ourselves, raw.

use super::bed::*;
use crate::IfaceId;
use crate::config::Config;
use crate::errno::Errno;
use crate::ip::{Outgoing, Path, protocol};
use crate::link::{Busy, Capabilities, GsoKind, Medium, RxChecksum, TxFrame};
use crate::reason::Drop;
use alloc::vec;
use alloc::vec::Vec;
use etherparse::TcpHeader;

fn tcp() -> Vec<u8> {
    let mut header = TcpHeader::new(1000, 2000, 7, 500);
    header.ack = true;
    header.to_bytes().to_vec()
}

fn segment<'a>(
    path: &'a Path,
    dst: &str,
    header: &'a [u8],
    payload: &'a [&'a [u8]],
    gso: Option<u16>,
) -> Outgoing<'a> {
    Outgoing {
        protocol: protocol::TCP,
        dont_fragment: true,
        checksum_offset: Some(16),
        gso_size: gso,
        traffic_class: 0xb9,
        ..outgoing(path, ip(dst), header, payload)
    }
}

const FULL: Capabilities =
    Capabilities { medium: Medium::Ethernet, mtu: 1500, max_gso: 65_535, tx_checksum: true };

#[test]
fn headers_are_right() {
    let mut h = Host::new();
    h.acquaint();
    for dst in ["10.0.0.2", "fd00::2"] {
        let path = h.path(dst);
        let header = tcp();
        h.emit(&segment(&path, dst, &header, &[b"ab", b"c", b"defg"], None)).unwrap();
        let frame = h.out.pop().unwrap();
        let packet = etherparse::SlicedPacket::from_ethernet(&frame).unwrap();
        let Some(etherparse::TransportSlice::Tcp(t)) = &packet.transport else { panic!() };
        assert_eq!(t.payload(), b"abcdefg");
        match packet.net.as_ref().unwrap() {
            etherparse::NetSlice::Ipv4(s) => {
                let ip = s.header().to_header();
                assert_eq!((ip.source, ip.destination), ([10, 0, 0, 1], [10, 0, 0, 2]));
                assert_eq!((ip.dscp.value(), ip.ecn.value(), ip.time_to_live), (0x2e, 1, 64));
                assert_eq!(ip.header_checksum, ip.calc_header_checksum());
                assert!(ip.dont_fragment && !ip.more_fragments);
                assert_eq!(t.checksum(), t.calc_checksum_ipv4(ip.source, ip.destination).unwrap());
            }
            etherparse::NetSlice::Ipv6(s) => {
                let ip = s.header().to_header();
                assert_eq!((ip.traffic_class, ip.hop_limit, ip.payload_length), (0xb9, 64, 27));
                assert_ne!(ip.flow_label.value(), 0);
                assert_eq!(t.checksum(), t.calc_checksum_ipv6(ip.source, ip.destination).unwrap());
            }
            _ => panic!(),
        }
    }
}

#[test]
fn a_flow_keeps_its_label_and_identifications_do_not_repeat() {
    let mut h = Host::new();
    h.acquaint();
    let mut send = |dst: &str, port: u16| {
        let path = h.path(dst);
        let mut header = tcp();
        header[..2].copy_from_slice(&port.to_be_bytes());
        h.emit(&segment(&path, dst, &header, &[], None)).unwrap();
        h.out.pop().unwrap()
    };
    let label = |f: &[u8]| f[15..18].to_vec();
    let a = label(&send("fd00::2", 1));
    assert_eq!(label(&send("fd00::2", 1)), a);
    assert_ne!(label(&send("fd00::2", 2)), a);
    let id = |f: &[u8]| u16::from_be_bytes([f[18], f[19]]);
    let first = id(&send("10.0.0.2", 1));
    for n in 1..100 {
        assert_eq!(id(&send("10.0.0.2", 1)), first.wrapping_add(n));
    }
}

#[test]
fn a_capable_device_gets_the_super_segment_whole() {
    let mut h = Host::with_caps(FULL);
    h.acquaint();
    let data = vec![7; 30_000];
    for (dst, kind, start) in [("10.0.0.2", GsoKind::Tcp4, 34), ("fd00::2", GsoKind::Tcp6, 54)] {
        let path = h.path(dst);
        let header = tcp();
        let mut frames = Vec::new();
        let pieces: [&[u8]; 2] = [&data, &data];
        let packet = segment(&path, dst, &header, &pieces, Some(1448));
        let result = h.call(|ip, env| {
            ip.emit(env, &packet, &mut |_: IfaceId, f: &TxFrame<'_>| {
                frames.push((f.len(), f.header.len(), f.payload.len(), f.offload));
                Ok(())
            })
        });
        assert_eq!(result, Ok(()));
        let [(len, header_len, pieces, offload)] = frames[..] else { panic!("{}", frames.len()) };
        assert_eq!((len, header_len, pieces), (start + 20 + 60_000, start + 20, 2));
        let gso = offload.gso.unwrap();
        assert_eq!((gso.kind, gso.size, gso.ecn), (kind, 1448, false));
        let partial = offload.checksum.unwrap();
        assert_eq!((usize::from(partial.start), partial.offset), (start, 16));
        // What fits in one segment is none to be cut.
        let packet = segment(&path, dst, &header, &[&[1; 1440]], Some(1440));
        let mut offload = None;
        h.call(|ip, env| {
            ip.emit(env, &packet, &mut |_: IfaceId, f: &TxFrame<'_>| {
                offload = Some(f.offload);
                Ok(())
            })
        })
        .unwrap();
        assert_eq!(offload.unwrap().gso, None);
    }
}

#[test]
fn busy_in_the_middle_of_a_cut_loses_and_repeats_nothing() {
    let data: Vec<u8> = (0..20_000).map(|i| (i / 7) as u8).collect();
    for room in 0..20 {
        let mut h = Host::new();
        h.acquaint();
        let path = h.path("10.0.0.2");
        let header = tcp();
        let pieces = [&data[..]];
        let packet = segment(&path, "10.0.0.2", &header, &pieces, Some(1448));
        h.room = room;
        let result = h.emit(&packet);
        if room == 0 {
            assert_eq!(result, Err(Busy));
            assert_eq!((h.out.len(), h.ip.interface(ETH).unwrap().queue_len()), (0, 0));
            continue;
        }
        assert_eq!(result, Ok(()));
        if room < 14 {
            // Whoever comes next waits until the rest is out, or would overtake it.
            assert_eq!(h.ip.interface(ETH).unwrap().queue_len(), 14 - room);
            let last = tcp();
            assert_eq!(h.emit(&segment(&path, "10.0.0.2", &last, &[], None)), Err(Busy));
        }
        let mut all = Vec::new();
        while all.len() < 14 {
            h.room = 3;
            let some = h.sent();
            assert!(!some.is_empty());
            all.extend(some);
        }
        let together: Vec<u8> = all.iter().flat_map(|f| f[54..].to_vec()).collect();
        assert_eq!(together, data);
        let counters = h.ip.interface(ETH).unwrap().counters();
        assert_eq!(counters.frames_out, h.around.stats.count.frames_out);
        // The two that made the acquaintance were answered.
        assert_eq!(counters.frames_out, 14 + 2);
    }
}

#[test]
fn a_super_segment_waits_for_arp_as_one() {
    let mut h = Host::with_caps(FULL);
    let path = h.path("10.0.0.2");
    let header = tcp();
    h.emit(&segment(&path, "10.0.0.2", &header, &[&[1; 10_000]], Some(1448))).unwrap();
    h.sent();
    h.input(&arp(2, PEER_MAC, "10.0.0.2", "10.0.0.1"));
    let sent = h.sent();
    assert_eq!((sent.len(), sent[0].len()), (1, 54 + 10_000));
}

#[test]
fn the_queue_is_bounded() {
    let config = Config { limits: crate::Limits { tx_queue: 10, ..Default::default() }, ..Config::default() };
    let mut h = Host::bare(config);
    h.add(Capabilities { medium: Medium::Ip, ..Capabilities::ETHERNET }, &["10.0.0.1/24"], false);
    let path = h.path("10.0.0.2");
    let header = udp_header(0);
    let results: Vec<_> = (0..12)
        .map(|_| h.call(|i, env| i.enqueue(env, &outgoing(&path, ip("10.0.0.2"), &header, &[]))))
        .collect();
    assert_eq!(results[9..], [Ok(()), Err(Errno::ENOBUFS), Err(Errno::ENOBUFS)]);
    assert_eq!(h.around.stats.dropped(Drop::LinkQueueFull), 2);
    assert_eq!(h.sent().len(), 10);
    // To ourselves as well.
    let path = h.path("10.0.0.1");
    for n in 0..12 {
        let result = h.call(|i, env| i.enqueue(env, &outgoing(&path, ip("10.0.0.1"), &header, &[])));
        assert_eq!(result.is_ok(), n < 10);
    }
    assert_eq!(h.emit(&outgoing(&path, ip("10.0.0.1"), &header, &[])), Err(Busy));
    h.ip.next_looped().unwrap();
    assert_eq!(h.emit(&outgoing(&path, ip("10.0.0.1"), &header, &[])), Ok(()));
}

#[test]
fn a_busy_interface_does_not_stop_another() {
    let mut h = Host::tun(1500);
    let other = h.add(Capabilities { medium: Medium::Ip, ..Capabilities::ETHERNET }, &["10.9.0.1/24"], false);
    let header = udp_header(0);
    for dst in ["10.0.0.2", "10.9.0.2"] {
        let path = h.path(dst);
        h.call(|i, env| i.enqueue(env, &outgoing(&path, ip(dst), &header, &[]))).unwrap();
    }
    let mut got = Vec::new();
    h.call(|ip, env| {
        ip.poll_transmit(env, &mut |i: IfaceId, _: &TxFrame<'_>| {
            got.push(i);
            if i == ETH { Err(Busy) } else { Ok(()) }
        });
    });
    assert_eq!(got, [ETH, other]);
    assert_eq!(h.sent().len(), 1);
}

#[test]
fn packets_to_ourselves_go_round_undone() {
    let mut h = Host::new();
    let path = h.path("10.0.0.1");
    assert_eq!(path.iface, IfaceId::LOOPBACK);
    let header = tcp();
    let data: Vec<u8> = (0..40_000).map(|i| (i / 11) as u8).collect();
    for gso in [Some(1448), None] {
        h.emit(&segment(&path, "10.0.0.1", &header, &[&data], gso)).unwrap();
        let looped = h.ip.next_looped().unwrap();
        assert_eq!(looped.offload.gso.map(|g| g.size), gso);
        assert!(matches!(looped.offload.checksum, RxChecksum::Partial(p) if p.start == 20));
        let (d, _) = h.input_on(IfaceId::LOOPBACK, looped.as_frame());
        let d = d.unwrap();
        assert!(d.checksum_ok);
        assert_eq!(&d.payload[20..], &data[..]);
    }
    assert!(h.ip.next_looped().is_none() && h.out.is_empty());
}

#[test]
fn an_interface_that_is_gone() {
    let mut h = Host::new();
    let path = h.path("10.0.0.2");
    let header = udp_header(0);
    let generation = h.ip.generation();
    h.emit(&outgoing(&path, ip("10.0.0.2"), &header, &[])).unwrap();
    h.mark();
    h.call(|ip, env| ip.remove_interface(env, ETH)).unwrap();
    assert_eq!(h.new_drops(), [(Drop::LinkInterfaceDown, 1)]);
    assert_ne!(h.ip.generation(), generation);
    assert_eq!(h.emit(&outgoing(&path, ip("10.0.0.2"), &header, &[])), Ok(()));
    assert_eq!(h.around.stats.dropped(Drop::LinkInterfaceDown), 2);
    let result = h.call(|i, env| i.enqueue(env, &outgoing(&path, ip("10.0.0.2"), &header, &[])));
    assert_eq!(result, Err(Errno::ENETDOWN));
    assert_eq!(h.call(|ip, env| ip.enqueue_raw(env, &path, &[0x45; 20])), Err(Errno::ENETDOWN));
    assert_eq!(h.ip.path(None, ip("10.0.0.2"), None), Err(Errno::ENETUNREACH));
    assert_eq!(h.call(|ip, env| ip.remove_interface(env, ETH)), Err(Errno::ENODEV));
    assert_eq!(h.call(|ip, env| ip.remove_interface(env, IfaceId::LOOPBACK)), Err(Errno::EINVAL));
    assert!(!h.ip.is_local(ip("10.0.0.1")) && h.ip.next_deadline().is_none());
    // Its number is not given away again.
    assert_eq!(h.add(Capabilities::ETHERNET, &["10.0.0.1/24"], false), IfaceId(2));
}

#[test]
fn families_do_not_mix() {
    let mut h = Host::new();
    let path = h.path("10.0.0.2");
    let header = udp_header(0);
    let mixed = outgoing(&path, ip("fd00::2"), &header, &[]);
    assert_eq!(h.call(|i, env| i.enqueue(env, &mixed)), Err(Errno::EINVAL));
    assert_eq!(h.emit(&mixed), Ok(()));
    assert!(h.out.is_empty() && h.around.stats.dropped(Drop::IpNoSource) == 1);
}

#[test]
fn a_header_longer_than_any_is_sent_all_the_same() {
    let mut h = Host::tun(1500);
    let path = h.path("10.0.0.2");
    let header = vec![9; 300];
    let packet =
        Outgoing { checksum_offset: None, protocol: 99, ..outgoing(&path, ip("10.0.0.2"), &header, &[b"x"]) };
    h.emit(&packet).unwrap();
    h.call(|i, env| i.enqueue(env, &packet)).unwrap();
    let sent = h.sent();
    assert_eq!(sent.len(), 2);
    assert!(sent.iter().all(|f| f.len() == 321 && f[20..320] == header[..] && f[320] == b'x'));
}

#[test]
fn raw_packets_are_completed() {
    let mut h = Host::tun(1500);
    let path = h.path("10.0.0.2");
    let mut packet = ipv4("0.0.0.0", "10.0.0.2", 99, 0, &[1, 1, 1, 0], b"payload");
    packet[2..6].fill(0);
    packet[10..12].fill(0xee);
    h.call(|ip, env| ip.enqueue_raw(env, &path, &packet)).unwrap();
    let sent = h.sent().remove(0);
    assert_eq!(sent.len(), packet.len());
    assert_eq!((&sent[12..16], &sent[24..]), (&[10, 0, 0, 1][..], &b"payload"[..]));
    assert_eq!(usize::from(u16::from_be_bytes([sent[2], sent[3]])), sent.len());
    assert_ne!(sent[4..6], [0, 0]);
    assert_eq!(crate::wire::checksum::checksum(&sent[..24]), 0);
    // What is set stays.
    let packet = ipv4("10.0.0.77", "10.0.0.2", 99, 0, &[], b"payload");
    h.call(|ip, env| ip.enqueue_raw(env, &path, &packet)).unwrap();
    assert_eq!(h.sent()[..], [&packet[..]]);
    for bad in [&packet[..19], &[0x45; 19], &[0x44; 40], &[0x65; 40], &[0x4f; 40], &[]] {
        assert_eq!(h.call(|ip, env| ip.enqueue_raw(env, &path, bad)), Err(Errno::EINVAL));
    }
    let long = ipv4("10.0.0.1", "10.0.0.2", 99, 0, &[], &[0; 1481]);
    assert_eq!(h.call(|ip, env| ip.enqueue_raw(env, &path, &long)), Err(Errno::EMSGSIZE));
    // To ourselves.
    let path = h.path("10.0.0.1");
    let packet = ipv4("10.0.0.1", "10.0.0.1", 99, 0, &[], b"payload");
    h.call(|ip, env| ip.enqueue_raw(env, &path, &packet)).unwrap();
    let looped = h.ip.next_looped().unwrap();
    assert_eq!(h.input_on(IfaceId::LOOPBACK, looped.as_frame()).0.unwrap().payload, b"payload");
}
