use super::*;
use crate::link::GsoKind;
use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice};
use std::vec;

/// A TCP frame with a right checksum: from 02::1 to 02::2, 10.0.0.1 to 10.0.0.2 (or fd00::1 to ::2),
/// sequence number 1000, with timestamps-sized options, ACK, PSH, FIN and CWR.
pub(in crate::device) fn tcp_frame(v6: bool, payload: &[u8]) -> Vec<u8> {
    let b = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    let b = if v6 {
        let (mut a, mut z) = ([0; 16], [0; 16]);
        (a[0], a[15], z[0], z[15]) = (0xfd, 1, 0xfd, 2);
        b.ipv6(a, z, 64)
    } else {
        b.ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
    };
    let b = b.tcp(5000, 80, 1000, 4096).ack(77).psh().fin().cwr().options_raw(&[1; 12]).unwrap();
    let mut out = Vec::new();
    b.write(&mut out, payload).unwrap();
    out
}

/// A UDP frame over IPv4 with a right checksum.
pub(in crate::device) fn udp_frame(payload: &[u8]) -> Vec<u8> {
    let b = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    let mut out = Vec::new();
    b.ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).udp(9, 7).write(&mut out, payload).unwrap();
    out
}

/// The frame with its checksum made partial, as a sender that leaves it to the device gives it.
pub(in crate::device) fn make_partial(frame: &mut [u8]) -> PartialChecksum {
    let l = Layout::of(frame, Medium::Ethernet).unwrap();
    let (src, dst) = l.addresses(frame).unwrap();
    let mut s = Sum::new();
    s.add_pseudo_header(src, dst, l.protocol, l.end - l.transport);
    let at = l.checksum_at().unwrap();
    frame[at..at + 2].copy_from_slice(&s.folded().to_be_bytes());
    PartialChecksum { start: l.transport as u16, offset: (at - l.transport) as u16 }
}

/// Are the checksums of the IP header and of the transport right?
pub(in crate::device) fn is_sound(frame: &[u8]) -> bool {
    let Ok(p) = SlicedPacket::from_ethernet(frame) else { return false };
    let (Some(net), Some(transport)) = (p.net, p.transport) else { return false };
    match (net, transport) {
        (NetSlice::Ipv4(ip), TransportSlice::Tcp(t)) => {
            ip.header().header_checksum() == ip.header().to_header().calc_header_checksum()
                && t.calc_checksum_ipv4(ip.header().source(), ip.header().destination()) == Ok(t.checksum())
        }
        (NetSlice::Ipv4(ip), TransportSlice::Udp(u)) => {
            ip.header().header_checksum() == ip.header().to_header().calc_header_checksum()
                && u.to_header().calc_checksum_ipv4_raw(
                    ip.header().source(),
                    ip.header().destination(),
                    u.payload(),
                ) == Ok(u.checksum())
        }
        (NetSlice::Ipv6(ip), TransportSlice::Tcp(t)) => {
            t.calc_checksum_ipv6(ip.header().source(), ip.header().destination()) == Ok(t.checksum())
        }
        _ => false,
    }
}

fn pattern(n: usize) -> Vec<u8> {
    (0..n).map(|i| (i * 7 + i / 256) as u8).collect()
}

#[test]
fn a_super_segment_becomes_what_hardware_would_send() {
    for (v6, ecn) in [(false, true), (true, true), (false, false)] {
        let payload = pattern(3500);
        let frame = tcp_frame(v6, &payload);
        let kind = if v6 { GsoKind::Tcp6 } else { GsoKind::Tcp4 };
        let mut cut = vec![];
        let n = tcp(&frame, Medium::Ethernet, Gso { kind, size: 1400, ecn }, |f| cut.push(f.to_vec()));
        assert_eq!((n, cut.len()), (3, 3));
        let mut joined = vec![];
        for (i, f) in cut.iter().enumerate() {
            assert!(is_sound(f), "segment {i} v6 {v6}");
            let p = SlicedPacket::from_ethernet(f).unwrap();
            let Some(TransportSlice::Tcp(t)) = p.transport else { panic!("TCP") };
            assert_eq!(t.sequence_number(), 1000 + 1400 * i as u32);
            assert_eq!((t.fin(), t.psh(), t.ack()), (i == 2, i == 2, true));
            assert_eq!(t.cwr(), i == 0, "as Linux cuts it (tcp_gso_segment)");
            assert_eq!(t.options(), [1; 12]);
            if let Some(NetSlice::Ipv4(ip)) = p.net {
                let first = u16::from_be_bytes([frame[18], frame[19]]);
                assert_eq!(ip.header().identification(), first.wrapping_add(i as u16));
            }
            joined.extend_from_slice(t.payload());
        }
        assert_eq!(joined, payload);
    }
}

#[test]
fn a_udp_super_frame_becomes_datagrams() {
    let payload = pattern(2500);
    let frame = udp_frame(&payload);
    let mut joined = vec![];
    let n = udp(&frame, Medium::Ethernet, 1000, |f| {
        assert!(is_sound(f));
        joined.extend_from_slice(&f[42..]);
    });
    assert_eq!((n, joined), (3, payload));
}

#[test]
fn a_partial_checksum_is_completed_to_the_right_one() {
    for mut frame in [tcp_frame(false, b"odd"), tcp_frame(true, b"even"), udp_frame(b"datagram")] {
        let right = frame.clone();
        let c = make_partial(&mut frame);
        assert!(!is_sound(&frame));
        let (a, b) = frame.split_at(47);
        let pieces = completed([a, b].into_iter(), c);
        offload::complete_checksum(&mut frame, c);
        assert_eq!(frame, right);
        let field = usize::from(c.start + c.offset);
        assert_eq!(pieces.to_be_bytes(), right[field..field + 2]);
    }
}

#[test]
fn extension_headers_and_tags_are_passed() {
    let tagged = {
        let mut f = tcp_frame(false, b"x");
        f.splice(12..12, [0x81, 0, 0, 5]);
        f
    };
    assert_eq!(Layout::of(&tagged, Medium::Ethernet).unwrap().transport, 38);
    let mut v6 = tcp_frame(true, b"x");
    // Hop-by-hop, then destination options of 16 octets.
    v6.splice(54..54, [60, 0, 1, 4, 0, 0, 0, 0, 6, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    v6[20] = 0;
    let len = (v6.len() - 54) as u16;
    v6[18..20].copy_from_slice(&len.to_be_bytes());
    let l = Layout::of(&v6, Medium::Ethernet).unwrap();
    assert_eq!((l.transport, l.protocol), (78, TCP));
}

proptest::proptest! {
    /// Any octets, and any cut of a good frame, are refused or cut without a panic.
    #[test]
    fn nothing_panics(noise: Vec<u8>, cut in 0usize..120, at in 12usize..60, bits: u8, v6: bool, size: u16) {
        let mut frame = tcp_frame(v6, &pattern(40));
        let at = at.min(frame.len() - 1);
        frame[at] ^= bits;
        frame.truncate(cut.max(1));
        for bytes in [&noise[..], &frame[..]] {
            for medium in [Medium::Ethernet, Medium::Ip] {
                for kind in [GsoKind::Tcp4, GsoKind::Tcp6] {
                    tcp(bytes, medium, Gso { kind, size, ecn: true }, |_| {});
                }
                udp(bytes, medium, size, |_| {});
                let mut copy = bytes.to_vec();
                offload::complete_checksum(&mut copy, PartialChecksum { start: size, offset: size });
            }
        }
    }
}
