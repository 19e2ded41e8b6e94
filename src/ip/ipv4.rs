//! IPv4 input (RFC 791, RFC 1122 section 3.2.1).

use super::fragment::{FRAGMENT_UNIT, Fragment, Key, Whole};
use super::input::{Arrival, Outcome};
use super::{Datagram, ErrorKind, Input, Ip, protocol};
use crate::IfaceId;
use crate::buf::Chunk;
use crate::env::Env;
use crate::reason::Drop;
use crate::wire::checksum::checksum;
use core::net::{IpAddr, Ipv4Addr};
use etherparse::Ipv4HeaderSlice;
use etherparse::err::ipv4::{HeaderError, HeaderSliceError};

/// The least that the first fragment of a TCP segment must hold: its fixed header.
const TCP_HEADER: usize = 20;

impl Ip {
    pub(super) fn ipv4_input<'a>(
        &mut self,
        env: &mut Env<'_>,
        arrival: &Arrival<'a>,
    ) -> Result<Outcome<'a>, Drop> {
        let bytes = arrival.bytes();
        let header = parse(bytes)?;
        let (src, dst) = (header.source_addr(), header.destination_addr());
        self.check_source_v4(arrival.iface, src)?;
        let Some(group) = self.takes_v4(arrival.iface, dst) else {
            env.stats.count.ip_forward_refused += u64::from(!dst.is_multicast());
            return Err(Drop::IpNotForUs);
        };
        let total = usize::from(header.total_len());
        let (start, header_len) = (arrival.start, header.slice().len());
        let datagram = Datagram {
            iface: arrival.iface,
            src: IpAddr::V4(src),
            dst: IpAddr::V4(dst),
            protocol: header.protocol().0,
            hop_limit: header.ttl(),
            traffic_class: bytes[1],
            broadcast: group || arrival.link_broadcast,
            frame: arrival.frame,
            packet: (start..start + total).into(),
            payload: (start + header_len..start + total).into(),
        };
        if let Err((reason, at)) = check_options(header.options()) {
            let pointer = 20 + at as u32;
            self.send_icmp_error(env, &datagram, ErrorKind::ParameterProblem { pointer, code: 0 });
            return Err(reason);
        }
        if header.more_fragments() || header.fragments_offset().value() != 0 {
            env.stats.count.ip_fragments_in += 1;
            return self.fragment_v4(env, &datagram, &header);
        }
        match datagram.protocol {
            protocol::ICMP => self.icmpv4_input(env, &datagram).map(Outcome::Input),
            _ => Ok(Outcome::Input(Input { datagram: Some(datagram), error: None })),
        }
    }

    fn fragment_v4<'a>(
        &mut self,
        env: &mut Env<'_>,
        datagram: &Datagram<'a>,
        header: &Ipv4HeaderSlice<'a>,
    ) -> Result<Outcome<'a>, Drop> {
        let offset = usize::from(header.fragments_offset().value()) * FRAGMENT_UNIT;
        let len = datagram.payload().len();
        // RFC 1858, RFC 3128: a TCP header split over fragments serves only to get past a filter.
        let tiny = match offset {
            0 => len < TCP_HEADER,
            _ => offset < TCP_HEADER,
        };
        if datagram.protocol == protocol::TCP && tiny && len > 0 {
            return Err(Drop::FragmentTinyFirst);
        }
        if offset + len + header.slice().len() > 65_535 {
            return Err(Drop::FragmentMalformed);
        }
        let key = Key {
            iface: datagram.iface,
            src: datagram.src,
            dst: datagram.dst,
            id: u32::from(header.identification()),
            protocol: datagram.protocol,
        };
        let fragment = Fragment {
            key,
            head: header.slice(),
            offset,
            more: header.more_fragments(),
            data: datagram.keep(0..len),
            ecn: datagram.traffic_class & 3,
        };
        Ok(match self.reassembly.add(env, fragment)? {
            Some(whole) => Outcome::Assembled(assemble(whole).ok_or(Drop::FragmentMalformed)?),
            None => Outcome::Done,
        })
    }

    /// RFC 1122 section 3.2.1.3: what a source address cannot be.
    fn check_source_v4(&self, iface: IfaceId, src: Ipv4Addr) -> Result<(), Drop> {
        let looped = iface == IfaceId::LOOPBACK;
        let impossible = src.is_multicast()
            || src.octets()[0] == 0
            || self.is_broadcast(IpAddr::V4(src))
            || (self.is_local(IpAddr::V4(src)) && !looped);
        if impossible { Err(Drop::IpBadSource) } else { Ok(()) }
    }

    /// Is the packet for us? If so, is it for others, too?
    fn takes_v4(&self, iface: IfaceId, dst: Ipv4Addr) -> Option<bool> {
        if dst.is_loopback() && iface != IfaceId::LOOPBACK {
            return None;
        }
        if self.is_local(IpAddr::V4(dst)) {
            return Some(false);
        }
        let all_hosts = dst == Ipv4Addr::new(224, 0, 0, 1);
        (all_hosts || self.is_broadcast(IpAddr::V4(dst))).then_some(true)
    }
}

fn parse(bytes: &[u8]) -> Result<Ipv4HeaderSlice<'_>, Drop> {
    let header = Ipv4HeaderSlice::from_slice(bytes).map_err(|e| match e {
        HeaderSliceError::Content(HeaderError::UnexpectedVersion { .. }) => Drop::IpBadVersion,
        HeaderSliceError::Content(HeaderError::HeaderLengthSmallerThanHeader { .. }) => {
            Drop::IpBadHeaderLength
        }
        HeaderSliceError::Len(_) if bytes.len() < 20 => Drop::IpTruncated,
        HeaderSliceError::Len(_) => Drop::IpBadHeaderLength,
    })?;
    let total = usize::from(header.total_len());
    if total < header.slice().len() {
        return Err(Drop::IpBadHeaderLength);
    }
    if total > bytes.len() {
        return Err(Drop::IpTruncated);
    }
    if checksum(header.slice()) != 0 {
        return Err(Drop::IpBadChecksum);
    }
    Ok(header)
}

/// The header of the first fragment becomes that of the packet.
fn assemble(whole: Whole) -> Option<Chunk> {
    let mut head = whole.head.clone();
    let total = u16::try_from(head.len() + whole.len).ok()?;
    if whole.congested {
        *head.get_mut(1)? |= 3;
    }
    head.get_mut(2..4)?.copy_from_slice(&total.to_be_bytes());
    head.get_mut(6..8)?.copy_from_slice(&[0, 0]);
    head.get_mut(10..12)?.copy_from_slice(&[0, 0]);
    let sum = checksum(&head);
    head.get_mut(10..12)?.copy_from_slice(&sum.to_be_bytes());
    Some(whole.into_chunk(&head))
}

/// Options are checked and otherwise ignored (RFC 1122 section 3.2.1.8, RFC 7126). A source route that
/// is not at its end asks us to forward the packet. The error carries the offset of what is wrong.
fn check_options(options: &[u8]) -> Result<(), (Drop, usize)> {
    const END: u8 = 0;
    const NOP: u8 = 1;
    const LOOSE_SOURCE_ROUTE: u8 = 131;
    const STRICT_SOURCE_ROUTE: u8 = 137;
    let mut at = 0;
    while let Some(&kind) = options.get(at) {
        match kind {
            END => break,
            NOP => at += 1,
            _ => {
                let len = options.get(at + 1).map_or(0, |&l| usize::from(l));
                if len < 2 || at + len > options.len() {
                    return Err((Drop::IpBadOption, at + 1));
                }
                if kind == LOOSE_SOURCE_ROUTE || kind == STRICT_SOURCE_ROUTE {
                    let pointer = options.get(at + 2).map_or(0, |&p| usize::from(p));
                    if len < 3 || pointer < 4 {
                        return Err((Drop::IpBadOption, at + 2));
                    }
                    if pointer <= len {
                        return Err((Drop::IpSourceRouted, at));
                    }
                }
                at += len;
            }
        }
    }
    Ok(())
}
