//! Ethernet framing (IEEE 802.3), and how IP addresses map to it.

use crate::reason::Drop;
use core::net::{Ipv4Addr, Ipv6Addr};
use etherparse::{EtherType, Ethernet2HeaderSlice, SingleVlanHeaderSlice};

/// Octets of an Ethernet header without tags.
pub const HEADER_LEN: usize = 14;
/// The broadcast address.
pub const BROADCAST: [u8; 6] = [0xff; 6];

/// What an Ethernet header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The receiver.
    pub dst: [u8; 6],
    /// The sender.
    pub src: [u8; 6],
    /// What follows, after a priority tag.
    pub ether_type: EtherType,
    /// Where it begins: 14, or 18 after a tag.
    pub len: usize,
}

/// Reads the header. A tag with VLAN identifier 0 carries a priority only and is skipped (IEEE
/// 802.1Q); a frame of another VLAN is not ours.
///
/// # Errors
/// Why the frame is to be dropped.
pub fn parse(frame: &[u8]) -> Result<Header, Drop> {
    let eth = Ethernet2HeaderSlice::from_slice(frame).map_err(|_| Drop::LinkTruncated)?;
    let (mut ether_type, mut len) = (eth.ether_type(), HEADER_LEN);
    if ether_type == EtherType::VLAN_TAGGED_FRAME || ether_type == EtherType::PROVIDER_BRIDGING {
        let tag = SingleVlanHeaderSlice::from_slice(&frame[HEADER_LEN..]).map_err(|_| Drop::LinkTruncated)?;
        if tag.vlan_identifier().value() != 0 {
            return Err(Drop::LinkVlan);
        }
        ether_type = tag.ether_type();
        len += 4;
    }
    Ok(Header { dst: eth.destination(), src: eth.source(), ether_type, len })
}

/// The octets of an untagged header.
pub fn header(dst: [u8; 6], src: [u8; 6], ether_type: EtherType) -> [u8; HEADER_LEN] {
    etherparse::Ethernet2Header { destination: dst, source: src, ether_type }.to_bytes()
}

/// Is it a group address: broadcast or multicast?
pub const fn is_group(mac: [u8; 6]) -> bool {
    mac[0] & 1 == 1
}

/// The Ethernet address of an IPv4 multicast group (RFC 1112 section 6.4).
pub const fn multicast_v4(group: Ipv4Addr) -> [u8; 6] {
    let o = group.octets();
    [0x01, 0x00, 0x5e, o[1] & 0x7f, o[2], o[3]]
}

/// The Ethernet address of an IPv6 multicast group (RFC 2464 section 7).
pub const fn multicast_v6(group: Ipv6Addr) -> [u8; 6] {
    let o = group.octets();
    [0x33, 0x33, o[12], o[13], o[14], o[15]]
}

/// The solicited-node multicast group of an address (RFC 4291 section 2.7.1).
pub const fn solicited_node(addr: Ipv6Addr) -> Ipv6Addr {
    let o = addr.octets();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | o[13] as u16, (o[14] as u16) << 8 | o[15] as u16)
}

/// The link-local address made from an Ethernet address (RFC 4291 appendix A).
pub fn link_local(mac: [u8; 6]) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac;
    let pair = |x: u8, y: u8| u16::from_be_bytes([x, y]);
    Ipv6Addr::new(0xfe80, 0, 0, 0, pair(a ^ 2, b), pair(c, 0xff), pair(0xfe, d), pair(e, f))
}
