//! Cutting super-segments and completing checksums, where a device needs frames as a wire would
//! carry them: impairments that count packets, captures, UDP super-frames of the kernel.

use crate::link::{Frame, Gso, GsoKind, Medium, PartialChecksum, RxChecksum, RxOffload, offload};
use crate::wire::checksum::{Sum, checksum};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::vec::Vec;

/// Where the headers of an IP packet are in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Where the IP header begins.
    pub ip: usize,
    /// IPv6, else IPv4.
    pub v6: bool,
    /// Where the transport header begins.
    pub transport: usize,
    /// The transport protocol.
    pub protocol: u8,
    /// Where the packet ends; what follows is padding of the link.
    pub end: usize,
    /// Not the whole packet: a fragment. Its transport header may be elsewhere.
    pub fragment: bool,
}

const ETHERTYPE_VLAN: [u8; 2] = [0x81, 0x00];
const ETHERTYPE_QINQ: [u8; 2] = [0x88, 0xa8];
/// Most extension headers that are looked at.
const MAX_EXTENSIONS: usize = 8;

pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

impl Layout {
    /// Finds the headers; `None` if the frame holds no whole IP packet.
    pub(super) fn of(frame: &[u8], medium: Medium) -> Option<Self> {
        let ip = match medium {
            Medium::Ip => 0,
            Medium::Ethernet => {
                let mut at = 12;
                while [ETHERTYPE_VLAN, ETHERTYPE_QINQ].iter().any(|t| frame.get(at..at + 2) == Some(t)) {
                    at += 4;
                }
                match frame.get(at..at + 2)? {
                    [0x08, 0x00] | [0x86, 0xdd] => at + 2,
                    _ => return None,
                }
            }
        };
        match frame.get(ip)? >> 4 {
            4 => Self::v4(frame, ip),
            6 => Self::v6(frame, ip),
            _ => None,
        }
    }

    fn v4(frame: &[u8], ip: usize) -> Option<Self> {
        let h = frame.get(ip..)?.first_chunk::<20>()?;
        let transport = ip + usize::from(h[0] & 15) * 4;
        let end = ip + usize::from(u16::from_be_bytes([h[2], h[3]]));
        let fragment = u16::from_be_bytes([h[6], h[7]]) & 0x3fff != 0;
        (transport >= ip + 20 && transport <= end && end <= frame.len()).then_some(Self {
            ip,
            v6: false,
            transport,
            protocol: h[9],
            end,
            fragment,
        })
    }

    fn v6(frame: &[u8], ip: usize) -> Option<Self> {
        let h = frame.get(ip..)?.first_chunk::<40>()?;
        let end = ip + 40 + usize::from(u16::from_be_bytes([h[4], h[5]]));
        let (mut protocol, mut transport, mut fragment) = (h[6], ip + 40, false);
        if end > frame.len() {
            return None;
        }
        for _ in 0..MAX_EXTENSIONS {
            let e = frame.get(transport..end)?;
            let len = match protocol {
                0 | 43 | 60 => usize::from(*e.get(1)?) * 8 + 8,
                44 => {
                    fragment = true;
                    8
                }
                _ => return Some(Self { ip, v6: true, transport, protocol, end, fragment }),
            };
            protocol = *e.first()?;
            transport += len;
        }
        None
    }

    fn addresses(&self, frame: &[u8]) -> Option<(IpAddr, IpAddr)> {
        if self.v6 {
            let a = frame.get(self.ip + 8..)?.first_chunk::<32>()?;
            let part = |at| Ipv6Addr::from(*a[at..].first_chunk::<16>().unwrap_or(&[0; 16]));
            Some((part(0).into(), part(16).into()))
        } else {
            let a = frame.get(self.ip + 12..)?.first_chunk::<8>()?;
            Some((Ipv4Addr::new(a[0], a[1], a[2], a[3]).into(), Ipv4Addr::new(a[4], a[5], a[6], a[7]).into()))
        }
    }

    /// Where the checksum over the whole transport segment is, if the protocol has one.
    pub(super) fn checksum_at(&self) -> Option<usize> {
        match self.protocol {
            TCP => Some(self.transport + 16),
            UDP => Some(self.transport + 6),
            ICMP | ICMPV6 => Some(self.transport + 2),
            _ => None,
        }
    }

    /// Sets the length of the packet (to the end of `frame`), the identification (`nth` after the
    /// one it has) and the checksum of the IP header.
    fn fix_ip(&self, frame: &mut [u8], nth: u16) {
        let len = frame.len() - self.ip;
        let h = &mut frame[self.ip..self.transport];
        if self.v6 {
            h[4..6].copy_from_slice(&((len - 40) as u16).to_be_bytes());
            return;
        }
        h[2..4].copy_from_slice(&(len as u16).to_be_bytes());
        let id = u16::from_be_bytes([h[4], h[5]]).wrapping_add(nth);
        h[4..6].copy_from_slice(&id.to_be_bytes());
        h[10..12].fill(0);
        let sum = checksum(h);
        h[10..12].copy_from_slice(&sum.to_be_bytes());
    }

    /// Makes the TCP or UDP checksum of a packet that goes to the end of `frame`.
    fn fix_transport(&self, frame: &mut [u8], addresses: (IpAddr, IpAddr), field: usize) {
        frame[field..field + 2].fill(0);
        let mut s = Sum::new();
        s.add_pseudo_header(addresses.0, addresses.1, self.protocol, frame.len() - self.transport);
        s.add(&frame[self.transport..]);
        let sum = finish(s, field - self.transport);
        frame[field..field + 2].copy_from_slice(&sum.to_be_bytes());
    }
}

/// The checksum as it stands in a header: UDP has no 0, which would say that there is none
/// (RFC 768). UDP is known by where its field is, as in the kernel.
fn finish(s: Sum, field_offset: usize) -> u16 {
    match s.checksum() {
        0 if field_offset == 6 => 0xffff,
        n => n,
    }
}

/// The value that completes a partial checksum of a frame in pieces.
pub(super) fn completed<'a>(pieces: impl Iterator<Item = &'a [u8]>, c: PartialChecksum) -> u16 {
    let (mut skip, mut s) = (usize::from(c.start), Sum::new());
    for p in pieces {
        s.add(&p[skip.min(p.len())..]);
        skip = skip.saturating_sub(p.len());
    }
    finish(s, usize::from(c.offset))
}

/// Cuts a TCP super-segment into the frames that a wire would carry, each with right lengths and
/// checksums, and hands them to `each` in order. Returns how many; 0 if it is not a TCP segment.
///
/// The cut is the one of hardware: sequence numbers and IPv4 identifications count up, FIN and PSH
/// stand on the last only, CWR on the first only. `link::offload` makes it.
pub(super) fn tcp(frame: &[u8], medium: Medium, gso: Gso, mut each: impl FnMut(&[u8])) -> usize {
    let Some(l) = Layout::of(frame, medium) else { return 0 };
    let right_kind = l.v6 == (gso.kind == GsoKind::Tcp6);
    let Some(h) = frame.get(l.transport..l.transport + 20) else { return 0 };
    let headers = l.transport + usize::from(h[12] >> 4) * 4;
    if l.protocol != TCP || l.fragment || !right_kind || headers < l.transport + 20 || headers > l.end {
        return 0;
    }
    let whole = Frame::borrowed(frame, RxOffload { checksum: RxChecksum::Verified, gso: Some(gso) });
    let (mut out, mut count) = (Vec::new(), 0);
    offload::on_the_wire(&whole, medium, &mut |segment| {
        out.resize(segment.len(), 0);
        segment.copy_to(&mut out);
        each(&out);
        count += 1;
    });
    count
}

/// Cuts a UDP super-frame (UDP_SEGMENT of a sender on the same machine) into its datagrams, each
/// with right lengths and checksums. Returns how many; 0 if it is not a UDP datagram.
pub(super) fn udp(frame: &[u8], medium: Medium, size: u16, mut each: impl FnMut(&[u8])) -> usize {
    let Some(l) = Layout::of(frame, medium) else { return 0 };
    let headers = l.transport + 8;
    let Some(addresses) = l.addresses(frame) else { return 0 };
    if l.protocol != UDP || l.fragment || headers > l.end {
        return 0;
    }
    let mut out = Vec::with_capacity(headers + usize::from(size));
    let mut count = 0;
    for part in frame[headers..l.end].chunks(usize::from(size.max(1))) {
        out.clear();
        out.extend_from_slice(&frame[..headers]);
        out.extend_from_slice(part);
        l.fix_ip(&mut out, count as u16);
        let len = (out.len() - l.transport) as u16;
        out[l.transport + 4..l.transport + 6].copy_from_slice(&len.to_be_bytes());
        l.fix_transport(&mut out, addresses, l.transport + 6);
        each(&out);
        count += 1;
    }
    count
}

#[cfg(test)]
pub(super) mod tests;
