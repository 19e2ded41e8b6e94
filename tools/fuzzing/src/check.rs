//! What must hold of every frame that a stack sends: another decoder reads it, and its lengths and
//! checksums are right.

use crate::packet;
use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use std::net::{IpAddr, SocketAddr};
use wirestack::link::{Capabilities, Medium, TxFrame};

/// A TCP segment that the stack sent, as far as its peer looks at it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The stack's end.
    pub local: SocketAddr,
    /// Its peer.
    pub remote: SocketAddr,
    /// Sequence number.
    pub seq: u32,
    /// Sequence number after the segment.
    pub end: u32,
    /// Acknowledgment number.
    pub ack: u32,
    /// Control bits.
    pub flags: u8,
    /// Window as sent.
    pub window: u16,
    /// TSval.
    pub timestamp: Option<u32>,
}

/// Checks a frame; tells what it is if it is TCP.
///
/// # Panics
/// If the frame is wrong.
pub fn frame(caps: &Capabilities, frame: &TxFrame<'_>) -> Option<Seen> {
    let mut bytes = vec![0; frame.len()];
    assert_eq!(frame.copy_to(&mut bytes), bytes.len());
    if let Some(partial) = frame.offload.checksum {
        assert!(caps.tx_checksum, "a device without checksum offload was asked for it");
        let (start, field) = (usize::from(partial.start), usize::from(partial.start + partial.offset));
        let total = packet::sum(0, &bytes[start..]);
        bytes[field..field + 2].copy_from_slice(&(!(total as u16)).to_be_bytes());
    }
    let link = if caps.medium == Medium::Ethernet { 14 } else { 0 };
    match frame.offload.gso {
        Some(gso) => {
            assert!(caps.max_gso > 0 && gso.size > 0, "super-segment for a device that cannot cut");
            assert!(bytes.len() - link <= caps.max_gso, "super-segment of {} octets", bytes.len());
            assert!(frame.offload.checksum.is_some(), "super-segment without a partial checksum");
        }
        None => assert!(bytes.len() - link <= caps.mtu, "{} octets exceed the MTU", bytes.len() - link),
    }
    let parsed = match caps.medium {
        Medium::Ethernet => SlicedPacket::from_ethernet(&bytes),
        Medium::Ip => SlicedPacket::from_ip(&bytes),
    };
    let parsed = parsed.unwrap_or_else(|e| panic!("a frame that cannot be read: {e}: {bytes:02x?}"));
    let (src, dst): (IpAddr, IpAddr) = match parsed.net.as_ref()? {
        NetSlice::Ipv4(v4) => {
            let h = v4.header();
            assert_eq!(usize::from(h.total_len()), bytes.len() - link, "IPv4 length");
            assert_eq!(
                packet::sum(0, &bytes[link..link + usize::from(h.ihl()) * 4]),
                0xffff,
                "IPv4 checksum"
            );
            (h.source_addr().into(), h.destination_addr().into())
        }
        NetSlice::Ipv6(v6) => {
            let h = v6.header();
            assert_eq!(usize::from(h.payload_length()) + 40, bytes.len() - link, "IPv6 length");
            (h.source_addr().into(), h.destination_addr().into())
        }
        NetSlice::Arp(_) => return None,
    };
    if parsed.is_ip_payload_fragmented() {
        return None;
    }
    transport(src, dst, &parsed, frame.offload.gso.is_some())
}

fn transport(src: IpAddr, dst: IpAddr, parsed: &SlicedPacket<'_>, cut: bool) -> Option<Seen> {
    let good = |protocol: u8, bytes: &[u8]| {
        let pseudo = packet::pseudo_sum(src, dst, protocol, bytes.len());
        assert_eq!(packet::sum(pseudo, bytes), 0xffff, "checksum of protocol {protocol}");
    };
    match parsed.transport.as_ref()? {
        TransportSlice::Tcp(t) => {
            good(6, t.slice());
            let timestamp = t.options_iterator().find_map(|o| match o {
                Ok(etherparse::TcpOptionElement::Timestamp(value, _)) => Some(value),
                Ok(_) => None,
                Err(e) => panic!("options that cannot be read: {e}"),
            });
            // Each segment that it is cut into would have the pointer, from a sequence number of its own.
            assert!(!(cut && t.urg()), "a super-segment with an urgent pointer");
            let control = u32::from(t.syn()) + u32::from(t.fin());
            let seq = t.sequence_number();
            Some(Seen {
                local: SocketAddr::new(src, t.source_port()),
                remote: SocketAddr::new(dst, t.destination_port()),
                seq,
                end: seq.wrapping_add(t.payload().len() as u32 + control),
                ack: t.acknowledgment_number(),
                flags: t.slice()[13],
                window: t.window_size(),
                timestamp,
            })
        }
        TransportSlice::Udp(u) => {
            if u.checksum() != 0 || src.is_ipv6() {
                good(17, u.slice());
            }
            None
        }
        TransportSlice::Icmpv4(m) => {
            assert_eq!(packet::sum(0, m.slice()), 0xffff, "ICMP checksum");
            None
        }
        TransportSlice::Icmpv6(m) => {
            good(58, m.slice());
            None
        }
        TransportSlice::Igmp(_) => None,
    }
}
