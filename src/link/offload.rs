//! What a device cannot do, done in software: segmentation and checksums (DESIGN D3). Nowhere else.
//!
//! A super-segment is cut as hardware does it (TSO): every segment gets a copy of the headers with
//! its own sequence number, lengths, IPv4 identification and checksums.
//!
//! ```text
//! header: eth | ip | tcp      payload pieces:  [aaaaaaaaa][bbbbbb]      gso size 6
//!
//! cut:    eth | ip'| tcp' [aaaaaa]      seq      id      CWR  -    -
//!         eth | ip'| tcp' [aaa][bbb]    seq+6    id+1     -   -    -
//!         eth | ip'| tcp' [bbb]         seq+12   id+2     -   PSH  FIN
//! ```
//!
//! Payload is never copied: a segment that crosses the border of two pieces has two pieces.

use super::ethernet;
use super::{Busy, Capabilities, Frame, Gso, Medium, PartialChecksum, RxChecksum, Sink, TxFrame, TxOffload};
use crate::IfaceId;
use crate::wire::TcpFlags;
use crate::wire::checksum::{Sum, checksum};
use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

#[cfg(test)]
mod tests;

/// Link, IP and TCP headers at their longest: 18 + 60 + 60, and room for IPv6 extension headers.
const HEADERS: usize = 256;
/// Pieces of payload in a segment before they are copied together: a segment of 1500 octets that
/// spans more was written by the application in writes of less than a hundred octets.
const PIECES: usize = 16;

/// What left through a sink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Frames.
    pub frames: u64,
    /// Octets, link headers included.
    pub bytes: u64,
}

impl Sent {
    fn count(&mut self, frame: &TxFrame<'_>) {
        self.frames += 1;
        self.bytes += frame.len() as u64;
    }
}

/// Hands a frame to the sink in the form that a device with `caps` can take.
///
/// If the device becomes busy in the middle of a cut, the segments that it did not take go to `rest`,
/// in order and complete: nothing is lost and nothing is sent twice.
///
/// # Errors
/// [`Busy`]: the device took nothing; the frame is still the caller's.
///
/// A super-segment whose headers cannot be found goes nowhere: no frame is reported as sent.
pub fn transmit(
    sink: &mut dyn Sink,
    iface: IfaceId,
    caps: &Capabilities,
    frame: &TxFrame<'_>,
    rest: &mut dyn FnMut(&TxFrame<'_>),
) -> Result<Sent, Busy> {
    let mut sent = Sent::default();
    match must_cut(caps, frame) {
        None if frame.offload.gso.is_some() && caps.max_gso == 0 => Ok(sent),
        None => {
            deliver(caps, frame, &mut |f| sink.transmit(iface, f))?;
            sent.count(frame);
            Ok(sent)
        }
        Some((layout, gso, unit)) => {
            let (mut refused, mut first) = (false, true);
            cut(&layout, frame, gso.size, unit, &mut |segment| {
                if !refused {
                    refused = deliver(caps, segment, &mut |f| sink.transmit(iface, f)).is_err();
                    if refused && first {
                        return false;
                    }
                    if !refused {
                        sent.count(segment);
                    }
                }
                if refused {
                    rest(segment);
                }
                first = false;
                true
            });
            if refused && first { Err(Busy) } else { Ok(sent) }
        }
    }
}

/// Does the frame need cutting for this device? Then how, and how much payload goes in a piece: one
/// segment, or as many as the device cuts by itself.
fn must_cut(caps: &Capabilities, frame: &TxFrame<'_>) -> Option<(Layout, Gso, usize)> {
    let gso = frame.offload.gso?;
    let layout = Layout::of(caps.medium, frame.header, frame.offload.checksum?)?;
    let size = usize::from(gso.size.max(1));
    let headers = layout.end - layout.network;
    let ip_len = frame.len() - layout.network;
    if !caps.tx_checksum || caps.max_gso == 0 {
        return Some((layout, gso, size));
    }
    let whole = caps.max_gso.saturating_sub(headers) / size;
    (ip_len > caps.max_gso).then_some((layout, gso, size * whole.max(1)))
}

/// Gives a frame that needs no cutting to `put`, its checksum completed if the device does not.
fn deliver(
    caps: &Capabilities,
    frame: &TxFrame<'_>,
    put: &mut dyn FnMut(&TxFrame<'_>) -> Result<(), Busy>,
) -> Result<(), Busy> {
    match frame.offload.checksum {
        Some(partial) if !caps.tx_checksum => {
            let mut sum = Sum::new();
            sum.add(frame.header.get(usize::from(partial.start)..).unwrap_or_default());
            for piece in frame.payload {
                sum.add(piece);
            }
            let mut small = [0u8; HEADERS];
            let mut large = Vec::new();
            let header: &mut [u8] = if frame.header.len() <= HEADERS {
                &mut small[..frame.header.len()]
            } else {
                large.resize(frame.header.len(), 0);
                &mut large
            };
            header.copy_from_slice(frame.header);
            store(header, partial, sum);
            put(&TxFrame { header, payload: frame.payload, offload: TxOffload::default() })
        }
        _ => put(frame),
    }
}

/// Writes a completed checksum to its field. All ones stand for zero: the same number, and to UDP
/// zero would mean "none" (RFC 768).
fn store(bytes: &mut [u8], partial: PartialChecksum, sum: Sum) {
    let at = usize::from(partial.start) + usize::from(partial.offset);
    if let Some(field) = bytes.get_mut(at..at + 2) {
        let sum = match sum.checksum() {
            0 => 0xffff,
            n => n,
        };
        field.copy_from_slice(&sum.to_be_bytes());
    }
}

/// Completes a partial checksum in a frame that lies in one piece.
pub fn complete_checksum(bytes: &mut [u8], partial: PartialChecksum) {
    let mut sum = Sum::new();
    sum.add(bytes.get(usize::from(partial.start)..).unwrap_or_default());
    store(bytes, partial, sum);
}

/// A received frame with its checksum completed: what a capture should show. A super-segment stays in
/// one piece.
pub fn completed<'a>(frame: &Frame<'a>) -> Cow<'a, [u8]> {
    match frame.offload.checksum {
        RxChecksum::Partial(partial) => {
            let mut bytes = frame.bytes().to_vec();
            complete_checksum(&mut bytes, partial);
            Cow::Owned(bytes)
        }
        RxChecksum::Unknown | RxChecksum::Verified => Cow::Borrowed(frame.bytes()),
    }
}

/// Shows a received frame as it would be on a real wire: super-segments cut, checksums complete.
pub fn on_the_wire(frame: &Frame<'_>, medium: Medium, each: &mut dyn FnMut(&TxFrame<'_>)) {
    let whole = completed(frame);
    let cut_at = frame.offload.gso.and_then(|gso| {
        let start = transport_offset(medium, &whole)?;
        let layout = Layout::of(medium, &whole, PartialChecksum { start: start as u16, offset: 16 })?;
        Some((gso, layout))
    });
    let Some((gso, layout)) = cut_at else {
        each(&TxFrame { header: &whole, payload: &[], offload: TxOffload::default() });
        return;
    };
    let all = TxFrame { header: &whole, payload: &[], offload: TxOffload::default() };
    let plain = Capabilities { medium, mtu: usize::MAX, max_gso: 0, tx_checksum: false };
    cut(&layout, &all, gso.size, usize::from(gso.size.max(1)), &mut |segment| {
        // The closure never says Busy.
        let _ = deliver(&plain, segment, &mut |f| {
            each(f);
            Ok(())
        });
        true
    });
}

/// Where the IP header of a frame begins.
fn network_offset(medium: Medium, frame: &[u8]) -> usize {
    match medium {
        Medium::Ip => 0,
        Medium::Ethernet => match frame.get(12..14) {
            Some([0x81, 0x00] | [0x88, 0xa8]) => ethernet::HEADER_LEN + 4,
            _ => ethernet::HEADER_LEN,
        },
    }
}

/// Where the TCP header of a frame begins, if it is TCP without IPv6 extension headers.
fn transport_offset(medium: Medium, frame: &[u8]) -> Option<usize> {
    let network = network_offset(medium, frame);
    let ip = frame.get(network..)?;
    match ip.first()? >> 4 {
        4 if *ip.get(9)? == TCP => Some(network + usize::from(ip[0] & 0xf) * 4),
        6 if *ip.get(6)? == TCP => Some(network + 40),
        _ => None,
    }
}

/// Where the headers of a TCP frame lie.
#[derive(Clone, Copy, Debug)]
struct Layout {
    network: usize,
    transport: usize,
    /// One past the TCP header.
    end: usize,
    v6: bool,
}

impl Layout {
    /// `None` if the headers do not lie in `header` or are too long to be real.
    fn of(medium: Medium, header: &[u8], partial: PartialChecksum) -> Option<Self> {
        let network = network_offset(medium, header);
        let transport = usize::from(partial.start);
        let end = transport + usize::from(header.get(transport + 12)? >> 4) * 4;
        let (v6, least) = match header.get(network)? >> 4 {
            4 => (false, 20),
            6 => (true, 40),
            _ => return None,
        };
        let plausible = transport >= network + least
            && end >= transport + 20
            && end <= header.len().min(HEADERS)
            && partial.offset == 16;
        plausible.then_some(Self { network, transport, end, v6 })
    }
}

/// Cuts a frame into pieces of `unit` octets of payload (a multiple of `size`), each with a partial
/// checksum, and those longer than `size` still to be cut by the device. Stops when `each` says so.
fn cut(
    layout: &Layout,
    frame: &TxFrame<'_>,
    size: u16,
    unit: usize,
    each: &mut dyn FnMut(&TxFrame<'_>) -> bool,
) {
    let mut left = Pieces { first: &frame.header[layout.end..], rest: frame.payload, at: 0 };
    let total = frame.len() - layout.end;
    let mut done = 0;
    loop {
        let n = unit.min(total - done);
        let last = done + n == total;
        let mut header = [0u8; HEADERS];
        let header = &mut header[..layout.end];
        header.copy_from_slice(&frame.header[..layout.end]);
        layout.patch(header, done, n, (done / usize::from(size.max(1))) as u16, last);
        let gso = frame.offload.gso.filter(|_| n > usize::from(size));
        let gso = gso.map(|g| Gso { ecn: g.ecn && done == 0, ..g });
        let checksum = Some(PartialChecksum { start: layout.transport as u16, offset: TCP_CHECKSUM as u16 });
        let mut slices = [&[][..]; PIECES];
        let offload = TxOffload { checksum, gso };
        let go_on = match left.take(n, &mut slices) {
            Ok(count) => each(&TxFrame { header, payload: &slices[..count], offload }),
            Err(copy) => each(&TxFrame { header, payload: &[&copy], offload }),
        };
        done += n;
        if last || !go_on {
            break;
        }
    }
}

/// The protocol number of TCP.
const TCP: u8 = etherparse::IpNumber::TCP.0;
/// Where the checksum is in a TCP header.
const TCP_CHECKSUM: usize = 16;

impl Layout {
    /// Makes the headers those of the segment that holds payload `at .. at + len`.
    fn patch(&self, header: &mut [u8], at: usize, len: usize, index: u16, last: bool) {
        let transport_len = self.end - self.transport + len;
        let (src, dst) = if self.v6 {
            let ip = &mut header[self.network..];
            put_u16(ip, 4, (self.transport - self.network - 40 + transport_len) as u16);
            (v6_at(ip, 8), v6_at(ip, 24))
        } else {
            let ip = &mut header[self.network..self.transport];
            put_u16(ip, 2, (self.transport - self.network + transport_len) as u16);
            put_u16(ip, 4, u16_at(ip, 4).wrapping_add(index));
            put_u16(ip, 10, 0);
            put_u16(ip, 10, checksum(ip));
            (v4_at(ip, 12), v4_at(ip, 16))
        };
        let tcp = &mut header[self.transport..];
        let seq = u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]).wrapping_add(at as u32);
        tcp[4..8].copy_from_slice(&seq.to_be_bytes());
        let mut flags = TcpFlags::from_bits_retain(u16::from(tcp[13]));
        if at > 0 {
            flags -= TcpFlags::CWR;
        }
        if !last {
            flags -= TcpFlags::FIN | TcpFlags::PSH;
        }
        // The urgent pointer stays as it is, as in Linux (tcp_gso_segment): TCP does not ask for
        // segmentation while urgent data is outstanding.
        tcp[13] = flags.bits() as u8;
        let mut pseudo = Sum::new();
        pseudo.add_pseudo_header(src, dst, TCP, transport_len);
        put_u16(tcp, TCP_CHECKSUM, pseudo.folded());
    }
}

fn put_u16(bytes: &mut [u8], at: usize, n: u16) {
    bytes[at..at + 2].copy_from_slice(&n.to_be_bytes());
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn v4_at(bytes: &[u8], at: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]))
}

fn v6_at(bytes: &[u8], at: usize) -> IpAddr {
    let mut o = [0; 16];
    o.copy_from_slice(&bytes[at..at + 16]);
    IpAddr::V6(Ipv6Addr::from(o))
}

/// The payload not yet cut off: a first piece and the others, `at` octets of the first taken.
struct Pieces<'a> {
    first: &'a [u8],
    rest: &'a [&'a [u8]],
    at: usize,
}

impl<'a> Pieces<'a> {
    /// The next `n` octets as slices; copied together if they lie in too many.
    fn take(&mut self, mut n: usize, out: &mut [&'a [u8]; PIECES]) -> Result<usize, Vec<u8>> {
        let mut count = 0;
        let mut copy: Option<Vec<u8>> = None;
        while n > 0 {
            let left = &self.first[self.at..];
            if left.is_empty() {
                let Some((next, rest)) = self.rest.split_first() else { break };
                (self.first, self.rest, self.at) = (next, rest, 0);
                continue;
            }
            let slice = &left[..n.min(left.len())];
            self.at += slice.len();
            n -= slice.len();
            if count == PIECES {
                copy.get_or_insert_with(|| out.concat()).extend_from_slice(slice);
            } else {
                out[count] = slice;
                count += 1;
            }
        }
        copy.map_or(Ok(count), Err)
    }
}
