use super::*;
use crate::link::{Gso, GsoKind, Received, RxOffload};
use alloc::vec;
use etherparse::{IpNumber, Ipv4Header, Ipv6Header, PacketBuilder, SlicedPacket, TcpHeader, TransportSlice};
use proptest::prelude::*;

const IFACE: IfaceId = IfaceId(1);

/// The headers of a super-segment, with the sum of the pseudo header where the checksum goes.
fn headers(v6: bool, options: usize, payload: usize, seq: u32, flags: TcpFlags) -> (Vec<u8>, TxOffload) {
    let mut tcp = TcpHeader::new(1000, 2000, seq, 4096);
    tcp.set_options_raw(&vec![1; options]).unwrap();
    let link = PacketBuilder::ethernet2([2; 6], [4; 6]);
    let (network, src, dst, bytes) = if v6 {
        let header =
            Ipv6Header { hop_limit: 64, source: [7; 16], destination: [8; 16], ..Ipv6Header::default() };
        let mut bytes = Vec::new();
        let tcp = tcp.clone();
        let ip = etherparse::IpHeaders::Ipv6(header, etherparse::Ipv6Extensions::default());
        link.ip(ip).tcp_header(tcp).write(&mut bytes, &vec![0; payload]).unwrap();
        (40, IpAddr::from([7u8; 16]), IpAddr::from([8u8; 16]), bytes)
    } else {
        let mut header = Ipv4Header::new(0, 64, IpNumber::TCP, [10, 0, 0, 1], [10, 0, 0, 2]).unwrap();
        header.identification = 0xfffe;
        header.dont_fragment = true;
        let mut bytes = Vec::new();
        let ip = etherparse::IpHeaders::Ipv4(header, etherparse::Ipv4Extensions::default());
        link.ip(ip).tcp_header(tcp.clone()).write(&mut bytes, &vec![0; payload]).unwrap();
        (20, IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]), bytes)
    };
    let start = 14 + network;
    let end = start + 20 + options;
    let mut header = bytes[..end].to_vec();
    header[start + 13] = flags.bits() as u8;
    let mut sum = Sum::new();
    sum.add_pseudo_header(src, dst, TCP, 20 + options + payload);
    header[start + 16..start + 18].copy_from_slice(&sum.folded().to_be_bytes());
    let checksum = Some(PartialChecksum { start: start as u16, offset: 16 });
    (header, TxOffload { checksum, gso: None })
}

/// A sink with room for so many frames, which keeps what it gets.
struct Tape {
    room: usize,
    frames: Vec<(Vec<u8>, TxOffload)>,
}

impl Sink for Tape {
    fn transmit(&mut self, _: IfaceId, frame: &TxFrame<'_>) -> Result<(), Busy> {
        self.room = self.room.checked_sub(1).ok_or(Busy)?;
        self.frames.push((frame.to_chunk().to_vec(), frame.offload));
        Ok(())
    }
}

fn gso(v6: bool, size: u16) -> Gso {
    Gso { kind: if v6 { GsoKind::Tcp6 } else { GsoKind::Tcp4 }, size, ecn: false }
}

/// Checks a frame by etherparse's rules; its sequence number, flags, payload, and IPv4 identification.
fn read(frame: &[u8]) -> (u32, TcpFlags, Vec<u8>, u16) {
    let packet = SlicedPacket::from_ethernet(frame).unwrap();
    let Some(TransportSlice::Tcp(tcp)) = &packet.transport else { panic!("no TCP") };
    let (net, mut id) = (packet.net.as_ref().unwrap(), 0);
    if let Some(ip) = net.ipv4_ref() {
        let header = ip.header();
        assert_eq!(header.header_checksum(), header.to_header().calc_header_checksum());
        assert_eq!(usize::from(header.total_len()), frame.len() - 14);
        id = header.identification();
        let sum = tcp.calc_checksum_ipv4(header.source(), header.destination()).unwrap();
        assert!(same(tcp.checksum(), sum));
    } else {
        let header = net.ipv6_ref().unwrap().header();
        assert_eq!(usize::from(header.payload_length()), frame.len() - 54);
        let sum = tcp.calc_checksum_ipv6(header.source(), header.destination()).unwrap();
        assert!(same(tcp.checksum(), sum));
    }
    let flags = TcpFlags::from_bits_retain(u16::from(tcp.header_slice()[13]));
    (tcp.sequence_number(), flags, tcp.payload().to_vec(), id)
}

/// Zero and all ones are the same number.
fn same(a: u16, b: u16) -> bool {
    a == b || (a | b == 0xffff && a & b == 0)
}

proptest! {
    /// However the payload lies, whatever the device can do, wherever it becomes busy: the segments
    /// come out whole, in order, once, with every field right.
    #[test]
    fn segments_put_together_are_the_super_segment(
        v6: bool,
        options in (0usize..=10).prop_map(|n| n * 4),
        size in 1u16..3000,
        pieces in proptest::collection::vec(0usize..700, 0..40),
        seq: u32,
        flags in 0u16..256,
        device in 0usize..4,
        room in 0usize..80,
    ) {
        let total: usize = pieces.iter().sum();
        let data: Vec<u8> = (0..total).map(|i| (i * 7 + i / 251) as u8).collect();
        let mut rest = &data[..];
        let slices: Vec<&[u8]> = pieces.iter().map(|&n| { let (a, b) = rest.split_at(n); rest = b; a }).collect();
        let flags = TcpFlags::from_bits_truncate(flags);
        let (header, mut offload) = headers(v6, options, total, seq, flags);
        offload.gso = (total > usize::from(size)).then(|| gso(v6, size));
        let (max_gso, tx_checksum) = [(0, false), (0, true), (5000, true), (65_535, true)][device];
        let caps = Capabilities { medium: Medium::Ethernet, mtu: 1500, max_gso, tx_checksum };
        let frame = TxFrame { header: &header, payload: &slices, offload };
        let mut tape = Tape { room, frames: Vec::new() };
        let mut left: Vec<(Vec<u8>, TxOffload, usize)> = Vec::new();
        let result = transmit(&mut tape, IFACE, &caps, &frame, &mut |f| {
            left.push((f.to_chunk().to_vec(), f.offload, f.header.len()));
        });
        if room == 0 {
            prop_assert_eq!(result, Err(Busy));
            prop_assert!(left.is_empty());
            tape.room = usize::MAX;
            transmit(&mut tape, IFACE, &caps, &frame, &mut |_| panic!("not busy")).unwrap();
        } else {
            let sent = result.unwrap();
            prop_assert_eq!(sent.frames as usize, tape.frames.len());
            prop_assert_eq!(sent.bytes as usize, tape.frames.iter().map(|f| f.0.len()).sum::<usize>());
            tape.room = usize::MAX;
            for (bytes, offload, header) in left {
                let (header, payload) = bytes.split_at(header);
                let frame = TxFrame { header, payload: &[payload], offload };
                transmit(&mut tape, IFACE, &caps, &frame, &mut |_| panic!("not busy")).unwrap();
            }
        }
        // What the device would do with its frames, by the other way into the same code.
        let mut wire: Vec<Vec<u8>> = Vec::new();
        for (bytes, offload) in &tape.frames {
            if !tx_checksum {
                prop_assert_eq!(*offload, TxOffload::default());
            }
            if offload.gso.is_some() {
                prop_assert!(max_gso > 0 && bytes.len() - 14 <= max_gso.max(usize::from(size) + 100));
            }
            let checksum = offload.checksum.map_or(RxChecksum::Unknown, RxChecksum::Partial);
            let frame = Frame::borrowed(bytes, RxOffload { checksum, gso: offload.gso });
            on_the_wire(&frame, Medium::Ethernet, &mut |f| wire.push(f.to_chunk().to_vec()));
        }
        let count = total.div_ceil(usize::from(size)).max(1);
        prop_assert_eq!(wire.len(), count);
        let mut together = Vec::new();
        for (i, frame) in wire.iter().enumerate() {
            let (s, f, payload, id) = read(frame);
            prop_assert_eq!(s, seq.wrapping_add((i * usize::from(size)) as u32));
            let mut expected = flags;
            if i > 0 { expected -= TcpFlags::CWR; }
            if i + 1 < count { expected -= TcpFlags::FIN | TcpFlags::PSH; }
            prop_assert_eq!(f, expected);
            if !v6 { prop_assert_eq!(id, 0xfffeu16.wrapping_add(i as u16)); }
            prop_assert!(i + 1 == count || payload.len() == usize::from(size));
            together.extend(payload);
        }
        prop_assert_eq!(together, data);
    }

    /// Frames that claim to be super-segments and are not: nothing panics, nothing is sent uncut.
    #[test]
    fn nonsense_is_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200), size in 0u16..100, start: u16, offset: u16) {
        let partial = PartialChecksum { start: start % 220, offset: offset % 40 };
        let gso = Some(gso(false, size));
        let frame = TxFrame { header: &bytes, payload: &[&bytes], offload: TxOffload { checksum: Some(partial), gso } };
        let mut tape = Tape { room: 50, frames: Vec::new() };
        let _ = transmit(&mut tape, IFACE, &Capabilities::ETHERNET, &frame, &mut |_| {});
        prop_assert!(tape.frames.iter().all(|f| f.1 == TxOffload::default()));
        for medium in [Medium::Ip, Medium::Ethernet] {
            let rx = RxOffload { checksum: RxChecksum::Partial(partial), gso };
            on_the_wire(&Frame::borrowed(&bytes, rx), medium, &mut |_| {});
        }
    }
}

#[test]
fn a_device_that_can_gets_the_frame_as_it_is() {
    let (header, mut offload) = headers(false, 12, 20_000, 1, TcpFlags::ACK);
    offload.gso = Some(gso(false, 1448));
    let data = vec![5; 20_000];
    let caps = Capabilities { medium: Medium::Ethernet, mtu: 1500, max_gso: 65_535, tx_checksum: true };
    let mut tape = Tape { room: 9, frames: Vec::new() };
    let frame = TxFrame { header: &header, payload: &[&data], offload };
    let sent = transmit(&mut tape, IFACE, &caps, &frame, &mut |_| panic!("cut")).unwrap();
    assert_eq!(sent, Sent { frames: 1, bytes: (header.len() + 20_000) as u64 });
    assert_eq!(tape.frames[0].1, offload);
}

#[test]
fn the_urgent_pointer_stays_as_it_is() {
    let (mut header, mut offload) = headers(false, 0, 3000, 1, TcpFlags::ACK | TcpFlags::URG);
    header[34 + 18..34 + 20].copy_from_slice(&[0, 99]);
    offload.gso = Some(gso(false, 1000));
    let mut tape = Tape { room: 9, frames: Vec::new() };
    let frame = TxFrame { header: &header, payload: &[&[0; 3000]], offload };
    transmit(&mut tape, IFACE, &Capabilities::ETHERNET, &frame, &mut |_| {}).unwrap();
    assert_eq!(tape.frames.len(), 3);
    for (frame, _) in &tape.frames {
        assert_eq!(frame[34 + 18..34 + 20], [0, 99]);
        assert!(read(frame).1.contains(TcpFlags::URG));
    }
}

#[test]
fn a_capture_shows_the_checksum_that_the_wire_would_have() {
    let (header, offload) = headers(true, 0, 5, 1, TcpFlags::ACK);
    let mut bytes = header;
    bytes.extend_from_slice(b"hello");
    let received = Received {
        chunk: crate::buf::Chunk::copy_from(&bytes),
        offload: RxOffload { checksum: RxChecksum::Partial(offload.checksum.unwrap()), gso: None },
    };
    let shown = completed(&received.as_frame());
    assert_ne!(&shown[..], &bytes[..]);
    assert_eq!(read(&shown).2, b"hello");
    // One without a partial checksum is shown as it is, right or wrong.
    assert_eq!(&completed(&Frame::from(&bytes[..]))[..], &bytes[..]);
}

#[test]
fn a_udp_checksum_of_zero_becomes_all_ones() {
    // Sixteen-bit words that sum to 0xffff.
    let mut bytes = [0xff, 0xff, 0, 0];
    complete_checksum(&mut bytes, PartialChecksum { start: 0, offset: 2 });
    assert_eq!(bytes, [0xff, 0xff, 0xff, 0xff]);
    // A field outside the frame is left alone.
    complete_checksum(&mut bytes, PartialChecksum { start: 3, offset: 1 });
    complete_checksum(&mut bytes, PartialChecksum { start: 900, offset: 900 });
    assert_eq!(bytes, [0xff; 4]);
}
