//! ICMP (RFC 792, RFC 1122 section 3.2.2) and ICMPv6 (RFC 4443): echo, errors in, errors out.

use super::ipv6::{CODE_NEXT_HEADER, CODE_OPTION, protocol_octet, quoted_transport};
use super::{Datagram, ErrorKind, IcmpError, Input, Ip, Outgoing, Unreachable, protocol, route};
use crate::IfaceId;
use crate::env::Env;
use crate::link::RxChecksum;
use crate::reason::Drop;
use crate::time::Instant;
use crate::wire::checksum::{Sum, checksum};
use core::net::IpAddr;
use etherparse::{Ipv4HeaderSlice, Ipv6HeaderSlice, icmpv4, icmpv6};

/// Octets of an ICMP header; what follows in an error is the quote.
const HEADER: usize = 8;
/// An error is at most this long with its IP header (RFC 1812 section 4.3.2.3, RFC 4443 section 2.4).
const MAX_ERROR_V4: usize = 576;
const MAX_ERROR_V6: usize = 1280;
/// A quote must hold this much of the transport header to find the socket.
const MIN_TRANSPORT: usize = 8;

/// How many errors may be sent: a token bucket (RFC 1812 section 4.3.2.8, RFC 4443 section 2.4 (f)).
///
/// Now and then an error costs two tokens. Who counts the errors that a flood provokes could otherwise
/// learn from the last one missing what others provoked meanwhile, and so which port is open
/// (CVE-2020-25705; Linux blurs its count as well).
#[derive(Debug)]
pub(super) struct Budget {
    tokens: u32,
    /// Up to here tokens were credited.
    at: Instant,
}

impl Budget {
    pub fn new(env: &Env<'_>) -> Self {
        Self { tokens: env.config.limits.icmp_burst, at: env.now }
    }

    /// May an error be sent now?
    fn take(&mut self, env: &mut Env<'_>) -> bool {
        let (rate, burst) = (env.config.limits.icmp_per_second, env.config.limits.icmp_burst);
        let nanos_each = 1_000_000_000u64.checked_div(u64::from(rate)).unwrap_or(u64::MAX);
        let passed = env.now.as_nanos().saturating_sub(self.at.as_nanos());
        let earned = passed / nanos_each;
        if earned > 0 {
            self.tokens = u32::try_from(earned).unwrap_or(u32::MAX).saturating_add(self.tokens).min(burst);
            let rest = passed % nanos_each;
            self.at = Instant::from_nanos(env.now.as_nanos() - rest);
        }
        if self.tokens == 0 {
            env.stats.count.icmp_rate_limited += 1;
            return false;
        }
        let cost = if env.rng.below(8) == 0 { 2 } else { 1 };
        self.tokens = self.tokens.saturating_sub(cost);
        true
    }
}

impl Ip {
    pub(super) fn icmpv4_input<'a>(
        &mut self,
        env: &mut Env<'_>,
        datagram: &Datagram<'a>,
    ) -> Result<Input<'a>, Drop> {
        env.stats.count.icmp_in += 1;
        let bytes = datagram.payload();
        if bytes.len() < HEADER {
            return Err(Drop::IcmpMalformed);
        }
        // No pseudo header here.
        if datagram.frame.offload.checksum == RxChecksum::Unknown && checksum(bytes) != 0 {
            return Err(Drop::IcmpBadChecksum);
        }
        let mut input = Input { datagram: Some(*datagram), error: None };
        match bytes[0] {
            icmpv4::TYPE_ECHO_REQUEST if datagram.broadcast => return Err(Drop::IcmpBroadcast),
            icmpv4::TYPE_ECHO_REQUEST => self.answer_echo(env, datagram),
            icmpv4::TYPE_ECHO_REPLY => {}
            icmpv4::TYPE_SOURCE_QUENCH => return Err(Drop::IcmpSourceQuench),
            icmpv4::TYPE_REDIRECT => return Err(Drop::IcmpRedirect),
            icmpv4::TYPE_DEST_UNREACH | icmpv4::TYPE_TIME_EXCEEDED | icmpv4::TYPE_PARAMETER_PROBLEM => {
                input.error = Some(self.error_input(env, datagram, error_v4(bytes))?);
            }
            // Raw sockets still see it.
            _ => env.drop(Drop::IcmpUnknownType),
        }
        Ok(input)
    }

    pub(super) fn icmpv6_input<'a>(
        &mut self,
        env: &mut Env<'_>,
        datagram: &Datagram<'a>,
        fragmented: bool,
    ) -> Result<Input<'a>, Drop> {
        env.stats.count.icmp_in += 1;
        let bytes = datagram.payload();
        if bytes.len() < HEADER {
            return Err(Drop::IcmpMalformed);
        }
        if !datagram.checksum_ok() {
            return Err(Drop::IcmpBadChecksum);
        }
        let nameless = datagram.src.is_unspecified();
        let mut input = Input { datagram: Some(*datagram), error: None };
        match bytes[0] {
            icmpv6::TYPE_NEIGHBOR_SOLICITATION | icmpv6::TYPE_ROUTER_SOLICITATION => {
                self.ndp_input(env, datagram, fragmented)?;
            }
            _ if nameless => return Err(Drop::IpBadSource),
            icmpv6::TYPE_ROUTER_ADVERTISEMENT
            | icmpv6::TYPE_NEIGHBOR_ADVERTISEMENT
            | icmpv6::TYPE_REDIRECT_MESSAGE => self.ndp_input(env, datagram, fragmented)?,
            icmpv6::TYPE_ECHO_REQUEST => self.answer_echo(env, datagram),
            icmpv6::TYPE_ECHO_REPLY => {}
            icmpv6::TYPE_DST_UNREACH
            | icmpv6::TYPE_PACKET_TOO_BIG
            | icmpv6::TYPE_TIME_EXCEEDED
            | icmpv6::TYPE_PARAMETER_PROBLEM => {
                input.error = Some(self.error_input(env, datagram, error_v6(bytes))?);
            }
            _ => env.drop(Drop::IcmpUnknownType),
        }
        Ok(input)
    }

    /// RFC 1122 section 3.2.2.6, RFC 4443 section 4.2: the same octets back.
    fn answer_echo(&mut self, env: &mut Env<'_>, datagram: &Datagram<'_>) {
        let bytes = datagram.payload();
        let (head, data) = bytes.split_at(HEADER);
        let kind = if datagram.src.is_ipv4() { icmpv4::TYPE_ECHO_REPLY } else { icmpv6::TYPE_ECHO_REPLY };
        let head = [kind, 0, 0, 0, head[4], head[5], head[6], head[7]];
        self.send_icmp(env, datagram, datagram.traffic_class, head, data);
    }

    /// An error in answer to a packet: which of ours was it about?
    fn error_input<'a>(
        &self,
        env: &mut Env<'_>,
        datagram: &Datagram<'a>,
        kind: ErrorKind,
    ) -> Result<IcmpError<'a>, Drop> {
        if datagram.broadcast {
            return Err(Drop::IcmpBroadcast);
        }
        let quote = &datagram.payload()[HEADER..];
        let (src, dst, protocol, transport) = if datagram.src.is_ipv4() {
            let header = Ipv4HeaderSlice::from_slice(quote).map_err(|_| Drop::IcmpMalformed)?;
            if header.fragments_offset().value() != 0 {
                return Err(Drop::IcmpMalformed);
            }
            let end = quote.len().min(usize::from(header.total_len()));
            let transport = quote.get(header.slice().len()..end).unwrap_or_default();
            let (src, dst) = (header.source_addr(), header.destination_addr());
            (IpAddr::V4(src), IpAddr::V4(dst), header.protocol().0, transport)
        } else {
            let header = Ipv6HeaderSlice::from_slice(quote).map_err(|_| Drop::IcmpMalformed)?;
            let end = quote.len().min(40 + usize::from(header.payload_length()));
            let (protocol, at) = quoted_transport(quote).ok_or(Drop::IcmpMalformed)?;
            let (src, dst) = (header.source_addr(), header.destination_addr());
            let transport = quote.get(at..end).unwrap_or_default();
            (IpAddr::V6(src), IpAddr::V6(dst), protocol, transport)
        };
        if transport.len() < MIN_TRANSPORT {
            return Err(Drop::IcmpMalformed);
        }
        if !self.is_local(src) || dst.is_unspecified() {
            return Err(Drop::IcmpQuoteMismatch);
        }
        env.stats.count.icmp_errors_in += 1;
        Ok(IcmpError { from: datagram.src, src, dst, protocol, transport, kind })
    }

    /// Tells the sender of a packet what is wrong with it, if it may be told (RFC 1122 section 3.2.2,
    /// RFC 4443 section 2.4 (e)): not about errors, not about what was sent to many, not to an address
    /// that is no single host; and not more often than the limits say.
    pub fn send_icmp_error(&mut self, env: &mut Env<'_>, about: &Datagram<'_>, kind: ErrorKind) {
        let kind = translate(about, kind);
        let to_many = about.broadcast && !allowed_about_multicast(about, kind);
        let nobody = about.src.is_unspecified()
            || about.src.is_multicast()
            || self.is_broadcast(about.src)
            || (about.src.is_loopback() && about.iface != IfaceId::LOOPBACK);
        if to_many || nobody || is_error(about) || is_later_fragment(about) {
            return;
        }
        if !self.icmp_budget.take(env) {
            return;
        }
        let (head, room) = encode(about, kind);
        let packet = about.packet();
        let quote = &packet[..packet.len().min(room)];
        // Linux: internetwork control for IPv4, nothing for IPv6.
        let class = if about.src.is_ipv4() { about.traffic_class & 0x1c | 0xc0 } else { 0 };
        env.stats.count.icmp_errors_out += 1;
        self.send_icmp(env, about, class, head, quote);
    }

    /// Sends an ICMP message back to where a packet came from.
    fn send_icmp(
        &mut self,
        env: &mut Env<'_>,
        about: &Datagram<'_>,
        traffic_class: u8,
        mut head: [u8; HEADER],
        data: &[u8],
    ) {
        let dst = about.src;
        let src = self.is_local(about.dst).then_some(about.dst);
        let iface = route::is_link_scoped(dst).then_some(about.iface);
        let Ok(path) = self.path(src, dst, iface) else {
            env.drop(Drop::IpNoRoute);
            return;
        };
        let v4 = dst.is_ipv4();
        if v4 {
            let mut sum = Sum::new();
            sum.add(&head);
            sum.add(data);
            head[2..4].copy_from_slice(&sum.checksum().to_be_bytes());
        }
        let packet = Outgoing {
            path: &path,
            src: path.src,
            dst,
            protocol: if v4 { protocol::ICMP } else { protocol::ICMPV6 },
            hop_limit: env.config.profile.hop_limit,
            traffic_class,
            dont_fragment: false,
            header: &head,
            payload: &[data],
            checksum_offset: if v4 { None } else { Some(2) },
            gso_size: None,
        };
        if self.enqueue(env, &packet).is_ok() {
            env.stats.count.icmp_out += 1;
        }
    }
}

fn be32(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]])
}

/// What a message of at least eight octets says.
fn error_v4(bytes: &[u8]) -> ErrorKind {
    let code = bytes[1];
    match bytes[0] {
        icmpv4::TYPE_TIME_EXCEEDED => ErrorKind::TimeExceeded { code },
        icmpv4::TYPE_PARAMETER_PROBLEM => ErrorKind::ParameterProblem { pointer: u32::from(bytes[4]), code },
        _ if code == icmpv4::CODE_DST_UNREACH_NEED_FRAG => {
            ErrorKind::PacketTooBig { mtu: be32(bytes) & 0xffff }
        }
        _ => ErrorKind::Unreachable(match code {
            0 | 11 => Unreachable::Network,
            1 | 12 => Unreachable::Host,
            2 => Unreachable::Protocol,
            3 => Unreachable::Port,
            5 => Unreachable::SourceRoute,
            6 => Unreachable::NetworkUnknown,
            7 => Unreachable::HostUnknown,
            8 => Unreachable::Isolated,
            9 | 10 | 13 => Unreachable::Prohibited,
            other => Unreachable::Other(other),
        }),
    }
}

/// What a message of at least eight octets says.
fn error_v6(bytes: &[u8]) -> ErrorKind {
    let code = bytes[1];
    match bytes[0] {
        icmpv6::TYPE_PACKET_TOO_BIG => ErrorKind::PacketTooBig { mtu: be32(bytes) },
        icmpv6::TYPE_TIME_EXCEEDED => ErrorKind::TimeExceeded { code },
        // The other host does not know the protocol: what IPv4 has "protocol unreachable" for.
        icmpv6::TYPE_PARAMETER_PROBLEM if code == CODE_NEXT_HEADER => {
            ErrorKind::Unreachable(Unreachable::Protocol)
        }
        icmpv6::TYPE_PARAMETER_PROBLEM => ErrorKind::ParameterProblem { pointer: be32(bytes), code },
        _ => ErrorKind::Unreachable(match code {
            0 => Unreachable::Network,
            1 | 5 | 6 => Unreachable::Prohibited,
            3 => Unreachable::Host,
            4 => Unreachable::Port,
            other => Unreachable::Other(other),
        }),
    }
}

/// IPv6 has no "protocol unreachable": it points at the octet that names the protocol.
fn translate(about: &Datagram<'_>, kind: ErrorKind) -> ErrorKind {
    match kind {
        ErrorKind::Unreachable(Unreachable::Protocol) if about.src.is_ipv6() => {
            let pointer = protocol_octet(about.packet()) as u32;
            ErrorKind::ParameterProblem { pointer, code: CODE_NEXT_HEADER }
        }
        kind => kind,
    }
}

/// The first eight octets of an error, and how much of the packet it quotes.
fn encode(about: &Datagram<'_>, kind: ErrorKind) -> ([u8; HEADER], usize) {
    let v4 = about.src.is_ipv4();
    let (ty, code, field) = match (kind, v4) {
        (ErrorKind::Unreachable(u), true) => (icmpv4::TYPE_DEST_UNREACH, unreachable_v4(u), 0),
        (ErrorKind::Unreachable(u), false) => (icmpv6::TYPE_DST_UNREACH, unreachable_v6(u), 0),
        (ErrorKind::PacketTooBig { mtu }, true) => {
            (icmpv4::TYPE_DEST_UNREACH, icmpv4::CODE_DST_UNREACH_NEED_FRAG, mtu.min(0xffff))
        }
        (ErrorKind::PacketTooBig { mtu }, false) => (icmpv6::TYPE_PACKET_TOO_BIG, 0, mtu),
        (ErrorKind::TimeExceeded { code }, true) => (icmpv4::TYPE_TIME_EXCEEDED, code, 0),
        (ErrorKind::TimeExceeded { code }, false) => (icmpv6::TYPE_TIME_EXCEEDED, code, 0),
        (ErrorKind::ParameterProblem { pointer, code }, true) => {
            (icmpv4::TYPE_PARAMETER_PROBLEM, code, pointer << 24)
        }
        (ErrorKind::ParameterProblem { pointer, code }, false) => {
            (icmpv6::TYPE_PARAMETER_PROBLEM, code, pointer)
        }
    };
    let [a, b, c, d] = field.to_be_bytes();
    let room = if v4 { MAX_ERROR_V4 - 20 } else { MAX_ERROR_V6 - 40 };
    ([ty, code, 0, 0, a, b, c, d], room - HEADER)
}

fn unreachable_v4(u: Unreachable) -> u8 {
    match u {
        Unreachable::Network => 0,
        Unreachable::Host => 1,
        Unreachable::Protocol => 2,
        Unreachable::Port => 3,
        Unreachable::SourceRoute => 5,
        Unreachable::NetworkUnknown => 6,
        Unreachable::HostUnknown => 7,
        Unreachable::Isolated => 8,
        Unreachable::Prohibited => 13,
        Unreachable::Other(code) => code,
    }
}

fn unreachable_v6(u: Unreachable) -> u8 {
    match u {
        Unreachable::Network | Unreachable::NetworkUnknown => 0,
        Unreachable::Prohibited => 1,
        Unreachable::Port => 4,
        Unreachable::Other(code) => code,
        Unreachable::Host
        | Unreachable::HostUnknown
        | Unreachable::Isolated
        | Unreachable::SourceRoute
        | Unreachable::Protocol => 3,
    }
}

/// RFC 4443 section 2.4 (e.3): path MTU discovery works for multicast, and so do unknown options.
fn allowed_about_multicast(about: &Datagram<'_>, kind: ErrorKind) -> bool {
    about.src.is_ipv6()
        && matches!(
            kind,
            ErrorKind::PacketTooBig { .. } | ErrorKind::ParameterProblem { code: CODE_OPTION, .. }
        )
}

/// Is the packet an ICMP error itself, or a redirect?
fn is_error(about: &Datagram<'_>) -> bool {
    let packet = about.packet();
    if about.src.is_ipv4() {
        let query = |t: u8| matches!(t, 0 | 8 | 9 | 10 | 13..=18);
        return about.protocol == protocol::ICMP && !about.payload().first().is_some_and(|&t| query(t));
    }
    match quoted_transport(packet) {
        Some((protocol::ICMPV6, at)) => {
            packet.get(at).is_none_or(|&t| t < 128 || t == icmpv6::TYPE_REDIRECT_MESSAGE)
        }
        _ => false,
    }
}

/// Is the packet a fragment other than the first (RFC 1122 section 3.2.2)?
fn is_later_fragment(about: &Datagram<'_>) -> bool {
    let packet = about.packet();
    about.src.is_ipv4() && packet.get(6..8).is_some_and(|f| u16::from_be_bytes([f[0], f[1]]) & 0x1fff != 0)
}
