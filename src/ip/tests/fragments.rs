//! Fragmentation and reassembly between two hosts, and hostile fragments (ATTACKS 27).

use super::bed::*;
use crate::IfaceId;
use crate::config::Config;
use crate::ip::protocol;
use crate::link::{Capabilities, Frame, Medium};
use crate::reason::Drop;
use crate::time::Duration;
use alloc::vec;
use alloc::vec::Vec;
use proptest::prelude::*;

const MORE: u16 = 0x2000;

/// Two hosts on a bare-IP link; the second is 10.0.0.2 and fd00::2.
fn pair(mtu: usize) -> (Host, Host) {
    let caps = Capabilities { medium: Medium::Ip, mtu, max_gso: 0, tx_checksum: false };
    let mut b = Host::bare(Config::default());
    b.add(caps, &["10.0.0.2/24", "fd00::2/64"], false);
    (Host::tun(mtu), b)
}

fn send_udp(h: &mut Host, dst: &str, data: &[u8], dont_fragment: bool) -> Result<(), crate::Errno> {
    let path = h.path(dst);
    let header = udp_header(data.len());
    let (a, b) = data.split_at(data.len() / 3);
    let pieces = [a, b];
    let mut packet = outgoing(&path, ip(dst), &header, &pieces);
    packet.dont_fragment = dont_fragment;
    packet.traffic_class = 0b10;
    h.call(|ip, env| ip.enqueue(env, &packet))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever the size and the MTU, in whatever order it arrives: the datagram is what was sent.
    #[test]
    fn a_datagram_in_fragments_arrives_whole(v6: bool, mtu in 68usize..3000, len in 0usize..65_000, shuffle: u64) {
        let mtu = if v6 { mtu.max(1280) } else { mtu };
        let (mut a, mut b) = pair(mtu);
        let data: Vec<u8> = (0..len).map(|i| (i / 3 * 7 + i) as u8).collect();
        let dst = if v6 { "fd00::2" } else { "10.0.0.2" };
        let room = a.around.config.limits.tx_queue;
        let result = send_udp(&mut a, dst, &data, false);
        let mut frames = a.sent();
        if frames.is_empty() {
            // More fragments than the queue holds: none goes.
            prop_assert_eq!(result, Err(crate::Errno::ENOBUFS));
            prop_assert!(len / (mtu - 20) >= room / 2);
            return Ok(());
        }
        prop_assert!(frames.iter().all(|f| f.len() <= mtu));
        let mut s = shuffle;
        for i in (1..frames.len()).rev() {
            s = s.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            frames.swap(i, (s >> 33) as usize % (i + 1));
        }
        let last = frames.pop().unwrap();
        for f in &frames {
            prop_assert_eq!(b.input(f), (None, None));
        }
        let (d, _) = b.input(&last);
        let d = d.unwrap();
        prop_assert!(d.checksum_ok);
        prop_assert_eq!(d.traffic_class, 0b10);
        prop_assert_eq!(&d.payload[8..], &data[..]);
        prop_assert_eq!(b.around.stats.count.ip_reassembled, u64::from(!frames.is_empty()));
        prop_assert_eq!(b.ip.next_deadline(), None);
    }
}

#[test]
fn fragments_on_the_wire() {
    let (mut a, _) = pair(1500);
    send_udp(&mut a, "10.0.0.2", &vec![1; 3000], false).unwrap();
    let frames = a.sent();
    assert_eq!(frames.iter().map(Vec::len).collect::<Vec<_>>(), [1500, 1500, 68]);
    let field = |f: &[u8]| u16::from_be_bytes([f[6], f[7]]);
    assert_eq!(frames.iter().map(|f| field(f)).collect::<Vec<_>>(), [MORE, MORE | 185, 370]);
    assert!(frames.iter().all(|f| f[4..6] == frames[0][4..6]), "one identification");
    assert!(frames.iter().all(|f| crate::wire::checksum::checksum(&f[..20]) == 0));
    send_udp(&mut a, "fd00::2", &vec![1; 3000], false).unwrap();
    let frames = a.sent();
    assert_eq!(frames.iter().map(Vec::len).collect::<Vec<_>>(), [1496, 1496, 160]);
    assert!(frames.iter().all(|f| f[6] == 44 && f[40] == protocol::UDP));
    assert_eq!((a.around.stats.count.ip_fragmented, a.around.stats.count.ip_out), (2, 6));
}

#[test]
fn dont_fragment_is_obeyed() {
    let (mut a, mut b) = pair(1500);
    assert_eq!(send_udp(&mut a, "10.0.0.2", &[1; 1473], true), Err(crate::Errno::EMSGSIZE));
    assert!(a.sent().is_empty());
    send_udp(&mut a, "10.0.0.2", &[1; 1472], true).unwrap();
    let frames = a.sent();
    assert_eq!((frames.len(), frames[0].len(), frames[0][6]), (1, 1500, 0x40));
    b.takes(&frames[0]);
    // Larger than IP itself.
    assert_eq!(send_udp(&mut a, "10.0.0.2", &vec![1; 65_508], false), Err(crate::Errno::EMSGSIZE));
    send_udp(&mut a, "10.0.0.2", &vec![1; 65_507], false).unwrap();
}

#[test]
fn the_path_mtu_counts_not_only_the_links() {
    let (mut a, mut b) = pair(1500);
    let now = a.now;
    assert!(a.ip.learn_path_mtu(now, ip("fd00::2"), 1300));
    send_udp(&mut a, "fd00::2", &[5; 1400], false).unwrap();
    let frames = a.sent();
    assert!(frames.len() == 2 && frames.iter().all(|f| f.len() <= 1300));
    b.input(&frames[0]);
    assert_eq!(&b.takes(&frames[1]).payload[8..], &[5; 1400]);
}

#[test]
fn a_datagram_to_ourselves_is_fragmented_only_past_the_loopback_mtu() {
    let mut h = Host::new();
    for len in [100, 20_000, 65_500] {
        let path = h.path("fd00::1");
        let (header, data) = (udp_header(len), vec![3; len]);
        h.call(|i, env| i.enqueue(env, &outgoing(&path, ip("fd00::1"), &header, &[&data]))).unwrap();
        let mut frames: Vec<_> = core::iter::from_fn(|| h.ip.next_looped()).collect();
        assert_eq!(frames.len(), if len > 65_000 { 2 } else { 1 });
        let last = frames.pop().unwrap();
        for f in frames {
            h.input_on(IfaceId::LOOPBACK, f.as_frame());
        }
        let (d, _) = h.input_on(IfaceId::LOOPBACK, last.as_frame());
        assert_eq!(&d.unwrap().payload[8..], &data[..]);
    }
}

#[test]
fn hostile_ipv4_fragments() {
    let mut h = Host::new();
    let frag =
        |protocol, field, payload: &[u8]| eth(&ipv4("10.0.0.2", "10.0.0.1", protocol, field, &[], payload));
    // Ping of death.
    h.refuses(&frag(1, 8191, &[0; 1000]), Drop::FragmentMalformed);
    // Teardrop.
    h.mark();
    h.input(&frag(17, MORE, &[0; 40]));
    assert_eq!(h.new_drops(), []);
    h.refuses(&frag(17, 3, &[0; 8]), Drop::FragmentOverlap);
    h.refuses(&frag(17, 5, &[0; 8]), Drop::FragmentOverlap);
    // Nothing in it; not a multiple of eight.
    h.refuses(&frag(1, MORE, &[]), Drop::FragmentMalformed);
    h.refuses(&frag(1, 2, &[]), Drop::FragmentMalformed);
    h.refuses(&frag(1, MORE, &[0; 9]), Drop::FragmentMalformed);
    // The TCP header cut in two, or overwritten by the second fragment.
    h.refuses(&frag(6, MORE, &[0; 16]), Drop::FragmentTinyFirst);
    h.refuses(&frag(6, MORE | 1, &[0; 16]), Drop::FragmentTinyFirst);
    h.refuses(&frag(6, 2, &[0; 16]), Drop::FragmentTinyFirst);
    h.mark();
    h.input(&frag(6, MORE, &[0; 24]));
    assert_eq!(h.new_drops(), []);
}

fn fragment_v6(next: u8, field: u16, id: u32, data: &[u8]) -> Vec<u8> {
    let mut payload = vec![next, 0];
    payload.extend_from_slice(&field.to_be_bytes());
    payload.extend_from_slice(&id.to_be_bytes());
    payload.extend_from_slice(data);
    eth(&ipv6("fd00::2", "fd00::1", 44, 64, &payload))
}

#[test]
fn hostile_ipv6_fragments() {
    let mut h = Host::new();
    h.acquaint();
    let mut answer = |frame: &[u8], reason| {
        h.refuses(frame, reason);
        let sent = h.sent();
        sent.first().map(|f| (f[54], f[55], f[61]))
    };
    let malformed = Drop::FragmentMalformed;
    assert_eq!(answer(&fragment_v6(17, 1, 1, &[0; 9]), malformed), Some((4, 0, 4)));
    assert_eq!(answer(&fragment_v6(17, 0xfff8, 1, &[0; 100]), malformed), Some((4, 0, 42)));
    assert_eq!(answer(&fragment_v6(17, 8, 1, &[]), malformed), None);
    // RFC 7112: the first fragment has all headers.
    assert_eq!(answer(&fragment_v6(6, 1, 2, &[0; 16]), Drop::FragmentTinyFirst), Some((4, 3, 0)));
    assert_eq!(
        answer(&fragment_v6(60, 1, 2, &[6, 1, 1, 4, 0, 0, 0, 0]), Drop::FragmentTinyFirst),
        Some((4, 3, 0))
    );
}

#[test]
fn overlapping_ipv6_fragments_lose_the_whole_packet() {
    let mut h = Host::new();
    let packet = udp_packet("fd00::2", "fd00::1", &[7; 40]);
    let udp = &packet[40..];
    let mut take = |frame: &[u8]| {
        h.mark();
        (h.input(frame).0.is_some(), h.new_drops())
    };
    assert_eq!(take(&fragment_v6(17, 1, 9, &udp[..24])), (false, vec![]));
    assert_eq!(take(&fragment_v6(17, 1, 9, &udp[..24])), (false, vec![(Drop::FragmentDuplicate, 1)]));
    assert_eq!(take(&fragment_v6(17, 16 | 1, 9, &udp[16..32])), (false, vec![(Drop::FragmentOverlap, 1)]));
    assert_eq!(take(&fragment_v6(17, 24, 9, &udp[24..])), (false, vec![(Drop::FragmentOverlap, 1)]));
    assert_eq!(take(&fragment_v6(17, 1, 10, &udp[..24])), (false, vec![]));
    assert_eq!(take(&fragment_v6(17, 24, 10, &udp[24..])), (true, vec![]));
}

#[test]
fn what_is_put_together_is_checked_again() {
    let mut h = Host::new();
    // Fragments that make a packet with a fragment header in it.
    let mut inner = vec![17, 0, 0, 0, 0, 0, 0, 5];
    inner.extend_from_slice(&[0; 24]);
    h.mark();
    h.input(&fragment_v6(44, 1, 11, &inner[..16]));
    h.input(&fragment_v6(44, 16, 11, &inner[16..]));
    assert_eq!(h.new_drops(), [(Drop::IpBadExtension, 1)]);
    // Neighbour discovery in fragments (RFC 6980).
    let mut body = vec![135, 0, 0, 0, 0, 0, 0, 0];
    body.extend_from_slice(&v6("fd00::1").octets());
    body.extend_from_slice(&[1, 1, 2, 0, 0, 0, 0, 2]);
    let solicitation = icmpv6("fd00::2", "fd00::1", 255, &body);
    let piece = |field: u8, data: &[u8]| {
        let mut payload = vec![58, 0, 0, field, 0, 0, 0, 12];
        payload.extend_from_slice(data);
        eth(&ipv6("fd00::2", "fd00::1", 44, 255, &payload))
    };
    h.mark();
    h.input(&piece(1, &solicitation[40..56]));
    h.input(&piece(16, &solicitation[56..]));
    h.input(&piece(0, &solicitation[40..]));
    assert_eq!(h.new_drops(), [(Drop::NdpMalformed, 2)]);
    assert!(h.ip.neighbours().is_empty());
}

#[test]
fn extension_headers_before_the_fragment_header_stay() {
    let mut h = Host::new();
    let packet = udp_packet("fd00::2", "fd00::1", &[7; 40]);
    let udp = &packet[40..];
    let with_options = |field: u16, data: &[u8]| {
        let mut payload = vec![44, 0, 1, 4, 0, 0, 0, 0, 17, 0];
        payload.extend_from_slice(&field.to_be_bytes());
        payload.extend_from_slice(&[0, 0, 0, 1]);
        payload.extend_from_slice(data);
        eth(&ipv6("fd00::2", "fd00::1", 60, 64, &payload))
    };
    assert_eq!(h.input(&with_options(24, &udp[24..])).0, None);
    // The last to come has no options before its fragment header: those of the first count.
    let d = h.takes(&with_options(1, &udp[..24]));
    assert_eq!((&d.payload[..], d.checksum_ok), (udp, true));
    assert_eq!(h.input(&with_options(1, &udp[..24])).0, None);
    let d = h.takes(&fragment_v6(17, 24, 1, &udp[24..]));
    assert_eq!((&d.payload[..], d.checksum_ok), (udp, true));
}

#[test]
fn a_timeout_is_told_if_the_first_fragment_is_there() {
    for first in [true, false] {
        let mut h = Host::tun(1500);
        let field = if first { MORE } else { MORE | 1 };
        h.input(&ipv4("10.0.0.2", "10.0.0.1", 17, field, &[], &[9; 16]));
        h.input(&fragment_v6(17, if first { 1 } else { 9 }, 5, &[9; 16])[14..]);
        h.pass(Duration::from_secs(29));
        assert_eq!(h.around.stats.dropped(Drop::FragmentTimeout), 0);
        h.pass(Duration::from_secs(1));
        assert_eq!(h.around.stats.dropped(Drop::FragmentTimeout), 1);
        let v4 = h.sent();
        h.pass(Duration::from_secs(30));
        assert_eq!(h.around.stats.dropped(Drop::FragmentTimeout), 2);
        let v6 = h.sent();
        if first {
            let (v4, v6) = (&v4[0], &v6[0]);
            assert_eq!((v4[20], v4[21], &v4[48..]), (11, 1, &[9; 16][..]));
            assert_eq!((v6[40], v6[41], &v6[48 + 48..]), (3, 1, &[9; 16][..]));
        } else {
            assert!(v4.is_empty() && v6.is_empty());
        }
        assert_eq!(h.ip.next_deadline(), None);
    }
}

#[test]
fn a_reassembled_packet_borrows_its_own_buffer() {
    let (mut a, mut b) = pair(1500);
    send_udp(&mut a, "10.0.0.2", &vec![1; 3000], false).unwrap();
    let frames = a.sent();
    b.call(|ip, env| {
        for (i, f) in frames.iter().enumerate() {
            let mut assembled = None;
            let input = ip.handle_frame(env, ETH, Frame::from(&f[..]), &mut assembled);
            assert_eq!(input.datagram.is_some(), i == 2);
            if let Some(d) = input.datagram {
                // Kept without a copy: the chunk's buffer is the assembled one.
                assert_eq!(d.keep(8..3008).backing_len(), d.frame.bytes().len());
            }
        }
    });
}
