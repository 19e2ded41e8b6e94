//! The UDP header (RFC 768): checking what came, building what goes.

use crate::errno::{Errno, Result};
use crate::ip::{Datagram, protocol};
use crate::link::RxChecksum;
use crate::reason::Drop;
use crate::wire::checksum::Sum;
use core::net::IpAddr;
use core::ops::Range;

/// Octets of the header.
pub const HEADER_LEN: usize = 8;
/// Where the checksum stands in it, for [`crate::ip::Outgoing::checksum_offset`]. A sum of 0 is sent as 0xffff.
pub const CHECKSUM_OFFSET: u16 = 6;

/// A checked header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Source port; 0 if the sender wants no answer.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Where the payload lies, counted from the header.
    pub payload: Range<usize>,
}

/// Checks a datagram: lengths, then the checksum. What the IP packet has beyond the UDP length is cut.
///
/// # Errors
/// The reason to drop it: length below 8 or beyond the packet; a wrong checksum, or none on IPv6
/// (RFC 8200 section 8.1; RFC 6935 allows none only to tunnels).
pub fn parse(d: &Datagram<'_>) -> core::result::Result<Header, Drop> {
    let bytes = d.payload();
    let Some(&[s0, s1, d0, d1, l0, l1, c0, c1]) = bytes.first_chunk::<HEADER_LEN>() else {
        return Err(Drop::UdpMalformed);
    };
    let len = usize::from(u16::from_be_bytes([l0, l1]));
    let Some(used) = bytes.get(..len).filter(|u| u.len() >= HEADER_LEN) else {
        return Err(Drop::UdpMalformed);
    };
    let none = [c0, c1] == [0, 0];
    let good = match d.frame.offload.checksum {
        RxChecksum::Partial(_) => true,
        _ if none => d.dst.is_ipv4(),
        RxChecksum::Verified => true,
        RxChecksum::Unknown => {
            let mut sum = Sum::new();
            sum.add_pseudo_header(d.src, d.dst, protocol::UDP, len);
            sum.add(used);
            sum.checksum() == 0
        }
    };
    if !good {
        return Err(Drop::UdpBadChecksum);
    }
    let (src_port, dst_port) = (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]));
    Ok(Header { src_port, dst_port, payload: HEADER_LEN..len })
}

/// The header of a datagram with `len` octets of payload, its checksum field zero.
///
/// # Errors
/// EMSGSIZE: header and payload exceed what a packet to `dst` can hold (65,507 octets of payload on
/// IPv4, 65,527 on IPv6).
pub fn header(src_port: u16, dst_port: u16, dst: IpAddr, len: usize) -> Result<[u8; HEADER_LEN]> {
    let room = if dst.is_ipv4() { 65_535 - 20 } else { 65_535 };
    let total = len.checked_add(HEADER_LEN).filter(|&t| t <= room).ok_or(Errno::EMSGSIZE)?;
    let ([s0, s1], [d0, d1]) = (src_port.to_be_bytes(), dst_port.to_be_bytes());
    let [l0, l1] = (total as u16).to_be_bytes();
    Ok([s0, s1, d0, d1, l0, l1, 0, 0])
}
