//! IPv6 input: the header and the chain of extension headers (RFC 8200 section 4).

use super::fragment::{FRAGMENT_UNIT, Fragment, Key, Whole};
use super::input::{Arrival, Outcome};
use super::{Datagram, ErrorKind, Input, Ip, protocol};
use crate::IfaceId;
use crate::buf::Chunk;
use crate::env::Env;
use crate::reason::Drop;
use core::net::{IpAddr, Ipv6Addr};
use etherparse::{IpNumber, Ipv6FragmentHeaderSlice, Ipv6HeaderSlice, Ipv6RawExtHeaderSlice};

/// Extension headers in a packet. Real ones have three or four.
const MAX_HEADERS: usize = 16;
/// Options other than padding in a header, and octets of padding in a row (Linux:
/// max_dst_opts_number, max_hbh_opts_number; RFC 8504 section 5.3).
const MAX_OPTIONS: usize = 8;
const MAX_PADDING: usize = 7;

/// "Erroneous header field", "unrecognised next header", "unrecognised option", "first fragment has
/// an incomplete header chain": codes of Parameter Problem (RFC 4443, RFC 7112).
pub(super) const CODE_FIELD: u8 = 0;
pub(super) const CODE_NEXT_HEADER: u8 = 1;
pub(super) const CODE_OPTION: u8 = 2;
const CODE_FIRST_FRAGMENT: u8 = 3;

/// Why the chain cannot be followed, and what the sender is to be told.
struct Fault {
    reason: Drop,
    problem: Option<ErrorKind>,
}

impl From<Drop> for Fault {
    fn from(reason: Drop) -> Self {
        Self { reason, problem: None }
    }
}

/// A fault at an octet of the packet that the sender hears of.
fn problem(reason: Drop, pointer: usize, code: u8) -> Fault {
    Fault { reason, problem: Some(ErrorKind::ParameterProblem { pointer: pointer as u32, code }) }
}

/// Where the chain ends.
enum End {
    /// At a protocol; its header begins at this offset of the packet.
    Transport { protocol: u8, at: usize, after_fragment: bool },
    /// At the header of a real fragment, at this offset.
    Fragment { at: usize },
}

impl Ip {
    pub(super) fn ipv6_input<'a>(
        &mut self,
        env: &mut Env<'_>,
        arrival: &Arrival<'a>,
    ) -> Result<Outcome<'a>, Drop> {
        let bytes = arrival.bytes();
        let header = Ipv6HeaderSlice::from_slice(bytes).map_err(|_| Drop::IpTruncated)?;
        let (src, dst) = (header.source_addr(), header.destination_addr());
        let packet = bytes.get(..40 + usize::from(header.payload_length())).ok_or(Drop::IpTruncated)?;
        self.check_source_v6(arrival.iface, src, header.next_header().0)?;
        let Some(group) = self.takes_v6(arrival.iface, dst) else {
            env.stats.count.ip_forward_refused += u64::from(!dst.is_multicast());
            return Err(Drop::IpNotForUs);
        };
        let start = arrival.start;
        let mut datagram = Datagram {
            iface: arrival.iface,
            src: IpAddr::V6(src),
            dst: IpAddr::V6(dst),
            protocol: header.next_header().0,
            hop_limit: header.hop_limit(),
            traffic_class: header.traffic_class(),
            broadcast: group || arrival.link_broadcast,
            frame: arrival.frame,
            packet: (start..start + packet.len()).into(),
            payload: (start + 40..start + packet.len()).into(),
        };
        let end = match follow(packet, arrival.reassembled, group) {
            Ok(end) => end,
            Err(fault) => {
                if let Some(kind) = fault.problem {
                    self.send_icmp_error(env, &datagram, kind);
                }
                return Err(fault.reason);
            }
        };
        match end {
            End::Fragment { at } => {
                env.stats.count.ip_fragments_in += 1;
                self.fragment_v6(env, &datagram, packet, at)
            }
            End::Transport { protocol, at, after_fragment } => {
                datagram.protocol = protocol;
                datagram.payload.start = start + at;
                match protocol {
                    protocol::ICMPV6 => {
                        let fragmented = after_fragment || arrival.reassembled;
                        self.icmpv6_input(env, &datagram, fragmented).map(Outcome::Input)
                    }
                    _ if src.is_unspecified() => Err(Drop::IpBadSource),
                    _ => Ok(Outcome::Input(Input { datagram: Some(datagram), error: None })),
                }
            }
        }
    }

    fn fragment_v6<'a>(
        &mut self,
        env: &mut Env<'_>,
        datagram: &Datagram<'a>,
        packet: &'a [u8],
        at: usize,
    ) -> Result<Outcome<'a>, Drop> {
        let header = packet.get(at..).map(Ipv6FragmentHeaderSlice::from_slice);
        let Some(Ok(header)) = header else { return Err(Drop::FragmentMalformed) };
        let offset = usize::from(header.fragment_offset().value()) * FRAGMENT_UNIT;
        let (more, data) = (header.more_fragments(), &packet[at + 8..]);
        let fault = if more && data.len() % FRAGMENT_UNIT != 0 {
            Some(problem(Drop::FragmentMalformed, 4, CODE_FIELD))
        } else if at - 40 + offset + data.len() > 65_535 {
            Some(problem(Drop::FragmentMalformed, at + 2, CODE_FIELD))
        } else if offset == 0 && !holds_chain(header.next_header().0, data) {
            Some(problem(Drop::FragmentTinyFirst, 0, CODE_FIRST_FRAGMENT))
        } else {
            None
        };
        if let Some(fault) = fault {
            if let Some(kind) = fault.problem {
                self.send_icmp_error(env, datagram, kind);
            }
            return Err(fault.reason);
        }
        let key = Key {
            iface: datagram.iface,
            src: datagram.src,
            dst: datagram.dst,
            id: header.identification(),
            protocol: 0,
        };
        let from = datagram.packet.start + at + 8;
        let fragment = Fragment {
            key,
            head: &packet[..at + 8],
            offset,
            more,
            data: datagram.frame.keep(from..datagram.packet.end),
            ecn: datagram.traffic_class & 3,
        };
        Ok(match self.reassembly.add(env, fragment)? {
            Some(whole) => Outcome::Assembled(assemble(whole).ok_or(Drop::FragmentMalformed)?),
            None => Outcome::Done,
        })
    }

    fn check_source_v6(&self, iface: IfaceId, src: Ipv6Addr, next_header: u8) -> Result<(), Drop> {
        let looped = iface == IfaceId::LOOPBACK;
        let impossible = src.is_multicast()
            || src.to_ipv4_mapped().is_some()
            || ((src.is_loopback() || self.is_local(IpAddr::V6(src))) && !looped)
            // Duplicate address detection has no source yet; nobody else may go without.
            || (src.is_unspecified() && !matches!(next_header, protocol::ICMPV6 | 0));
        if impossible { Err(Drop::IpBadSource) } else { Ok(()) }
    }

    /// Is the packet for us? If so, is it for others, too?
    fn takes_v6(&self, iface: IfaceId, dst: Ipv6Addr) -> Option<bool> {
        let interface = self.interface(iface)?;
        if dst.is_multicast() {
            let all_nodes = matches!(dst.segments(), [0xff01 | 0xff02, 0, 0, 0, 0, 0, 0, 1]);
            return (all_nodes || interface.has_solicited_node(dst)).then_some(true);
        }
        let ours = if dst.is_unicast_link_local() && iface != IfaceId::LOOPBACK {
            interface.owns(IpAddr::V6(dst))
        } else {
            self.is_local(IpAddr::V6(dst))
        };
        (ours && (!dst.is_loopback() || iface == IfaceId::LOOPBACK)).then_some(false)
    }
}

/// Follows the chain from the IPv6 header.
fn follow(packet: &[u8], reassembled: bool, group: bool) -> Result<End, Fault> {
    let mut next = *packet.get(6).ok_or(Drop::IpTruncated)?;
    let (mut at, mut named) = (40, 6);
    let mut after_fragment = false;
    for _ in 0..MAX_HEADERS {
        match IpNumber(next) {
            IpNumber::IPV6_HEADER_HOP_BY_HOP if at != 40 => {
                return Err(problem(Drop::IpBadExtension, named, CODE_NEXT_HEADER));
            }
            IpNumber::IPV6_FRAGMENTATION_HEADER => {
                if reassembled || after_fragment {
                    return Err(Drop::IpBadExtension.into());
                }
                let header = packet.get(at..).map(Ipv6FragmentHeaderSlice::from_slice);
                let Some(Ok(header)) = header else { return Err(Drop::IpBadExtension.into()) };
                if header.is_fragmenting_payload() {
                    return Ok(End::Fragment { at });
                }
                // An atomic fragment is a packet of its own (RFC 6946).
                after_fragment = true;
                next = header.next_header().0;
                (named, at) = (at, at + 8);
            }
            IpNumber::IPV6_HEADER_HOP_BY_HOP
            | IpNumber::IPV6_DESTINATION_OPTIONS
            | IpNumber::IPV6_ROUTE_HEADER => {
                let header = packet.get(at..).map(Ipv6RawExtHeaderSlice::from_slice);
                let Some(Ok(header)) = header else { return Err(Drop::IpBadExtension.into()) };
                if IpNumber(next) == IpNumber::IPV6_ROUTE_HEADER {
                    check_routing(header.slice(), at)?;
                } else {
                    check_options(header.slice(), at, group)?;
                }
                next = header.next_header().0;
                (named, at) = (at, at + header.slice().len());
            }
            IpNumber::IPV6_NO_NEXT_HEADER => return Err(Drop::IpNoNextHeader.into()),
            _ => return Ok(End::Transport { protocol: next, at, after_fragment }),
        }
    }
    Err(Drop::IpBadExtension.into())
}

/// No routing header is for us to act on; type 0 is dead anyway (RFC 5095).
fn check_routing(header: &[u8], at: usize) -> Result<(), Fault> {
    const SEGMENTS_LEFT: usize = 3;
    const TYPE: usize = 2;
    match header.get(SEGMENTS_LEFT) {
        Some(0) => Ok(()),
        _ => Err(problem(Drop::IpBadExtension, at + TYPE, CODE_FIELD)),
    }
}

/// The options of a hop-by-hop or destination header: what to do with an unknown one stands in its
/// two highest bits (RFC 8200 section 4.2).
fn check_options(header: &[u8], base: usize, group: bool) -> Result<(), Fault> {
    const PAD1: u8 = 0;
    const PADN: u8 = 1;
    let (mut at, mut count, mut padding) = (2, 0, 0);
    while let Some(&kind) = header.get(at) {
        let len = match (kind, header.get(at + 1)) {
            (PAD1, _) => 1,
            (_, Some(&len)) => 2 + usize::from(len),
            (_, None) => return Err(Drop::IpBadExtension.into()),
        };
        let Some(option) = header.get(at..at + len) else { return Err(Drop::IpBadExtension.into()) };
        if kind == PAD1 || kind == PADN {
            padding += len;
            // More than aligns anything, or padding that says something: a covert channel.
            if padding > MAX_PADDING || option.iter().skip(2).any(|&b| b != 0) {
                return Err(Drop::IpBadExtension.into());
            }
        } else {
            padding = 0;
            count += 1;
            if count > MAX_OPTIONS {
                return Err(Drop::IpBadExtension.into());
            }
            let unknown = problem(Drop::IpBadExtension, base + at, CODE_OPTION);
            match kind >> 6 {
                0b00 => {}
                0b01 => return Err(Drop::IpBadExtension.into()),
                0b11 if group => return Err(Drop::IpBadExtension.into()),
                _ => return Err(unknown),
            }
        }
        at += len;
    }
    Ok(())
}

/// Does a first fragment hold all headers, the transport's included (RFC 7112)?
fn holds_chain(mut next: u8, data: &[u8]) -> bool {
    let mut at = 0;
    for _ in 0..MAX_HEADERS {
        let rest = data.get(at..).unwrap_or_default();
        let least = match IpNumber(next) {
            IpNumber::IPV6_DESTINATION_OPTIONS | IpNumber::IPV6_ROUTE_HEADER => {
                let Ok(header) = Ipv6RawExtHeaderSlice::from_slice(rest) else { return false };
                next = header.next_header().0;
                at += header.slice().len();
                continue;
            }
            IpNumber::TCP => 20,
            IpNumber::UDP | IpNumber::IPV6_ICMP => 8,
            _ => 0,
        };
        return rest.len() >= least;
    }
    false
}

/// The unfragmentable part of the first fragment, without its fragment header, becomes the head of
/// the packet (RFC 8200 section 4.5).
fn assemble(whole: Whole) -> Option<Chunk> {
    let fragment = whole.head.len().checked_sub(8)?;
    let next = *whole.head.get(fragment)?;
    let mut head = whole.head.get(..fragment)?.to_vec();
    let named = naming_octet(&head)?;
    *head.get_mut(named)? = next;
    let len = u16::try_from(fragment - 40 + whole.len).ok()?;
    head.get_mut(4..6)?.copy_from_slice(&len.to_be_bytes());
    if whole.congested {
        // ECN: the lower two bits of the traffic class, which straddles octets 0 and 1.
        *head.get_mut(1)? |= 0x30;
    }
    Some(whole.into_chunk(&head))
}

/// The octet of an unfragmentable part that names what follows it.
fn naming_octet(head: &[u8]) -> Option<usize> {
    let (mut named, mut at) = (6, 40);
    while at < head.len() {
        let len = Ipv6RawExtHeaderSlice::from_slice(head.get(at..)?).ok()?.slice().len();
        (named, at) = (at, at + len);
    }
    Some(named)
}

/// The octet that names the transport protocol of a packet: what "unrecognised next header" points at.
pub(super) fn protocol_octet(packet: &[u8]) -> usize {
    let (mut named, mut at) = (6, 40);
    for _ in 0..MAX_HEADERS {
        let len = match packet.get(named).map(|&n| IpNumber(n)) {
            Some(
                IpNumber::IPV6_HEADER_HOP_BY_HOP
                | IpNumber::IPV6_DESTINATION_OPTIONS
                | IpNumber::IPV6_ROUTE_HEADER,
            ) => packet.get(at + 1).map_or(0, |&l| (usize::from(l) + 1) * 8),
            Some(IpNumber::IPV6_FRAGMENTATION_HEADER) => 8,
            _ => break,
        };
        if len == 0 {
            break;
        }
        (named, at) = (at, at + len);
    }
    named
}

/// Where the transport header of a quoted packet begins, and which it is; `None` if the quote is cut
/// before, or is of a fragment that has none.
pub(super) fn quoted_transport(packet: &[u8]) -> Option<(u8, usize)> {
    let named = protocol_octet(packet);
    let mut at = 40;
    let mut walked = 6;
    while walked != named {
        let len = if packet.get(walked) == Some(&44) {
            let fragment = Ipv6FragmentHeaderSlice::from_slice(packet.get(at..)?).ok()?;
            if fragment.fragment_offset().value() != 0 {
                return None;
            }
            8
        } else {
            (usize::from(*packet.get(at + 1)?) + 1) * 8
        };
        (walked, at) = (at, at + len);
    }
    Some((*packet.get(named)?, at))
}
