//! A packet of the stack, taken apart; what is wrong with it on its face is told at once.

use crate::script::TcpOption;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use wirestack::wire::checksum::{Sum, checksum};

/// A packet as it left.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// Source.
    pub src: IpAddr,
    /// Destination.
    pub dst: IpAddr,
    /// TOS or traffic class.
    pub tos: u8,
    /// TTL or hop limit.
    pub ttl: u8,
    /// What it carries.
    pub body: DecodedBody,
}

/// What a packet carries. Numbers are the wire's.
#[derive(Clone, Debug)]
pub enum DecodedBody {
    /// TCP.
    Tcp(DecodedTcp),
    /// UDP.
    Udp {
        /// Source port.
        from: u16,
        /// Destination port.
        to: u16,
        /// Payload.
        payload: Vec<u8>,
    },
    /// ICMP and ICMPv6.
    Icmp {
        /// ICMPv6.
        v6: bool,
        /// Type.
        ty: u8,
        /// Code.
        code: u8,
        /// MTU of "packet too big" and "fragmentation needed".
        mtu: u32,
    },
    /// Something else: its protocol.
    Other(u8),
}

/// A segment. Numbers are the wire's.
#[derive(Clone, Debug)]
pub struct DecodedTcp {
    /// Source port.
    pub from: u16,
    /// Destination port.
    pub to: u16,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgment number.
    pub ack: u32,
    /// Control bits.
    pub flags: u16,
    /// Window field.
    pub window: u16,
    /// Urgent pointer.
    pub urgent: u16,
    /// Options.
    pub options: Vec<TcpOption>,
    /// Payload.
    pub payload: Vec<u8>,
}

/// Takes a packet apart.
///
/// # Errors
/// It is malformed, or a checksum is wrong.
pub fn decode(bytes: &[u8]) -> Result<Decoded, String> {
    let (src, dst, tos, ttl, protocol, payload) = ip(bytes)?;
    if matches!(protocol, 6 | 17 | 58) {
        let mut sum = Sum::new();
        sum.add_pseudo_header(src, dst, protocol, payload.len());
        sum.add(payload);
        if sum.checksum() != 0 {
            return Err("its transport checksum is wrong".into());
        }
    }
    let body = match protocol {
        6 => DecodedBody::Tcp(tcp(payload)?),
        17 => {
            let [a, b, c, d, l1, l2, _, _] =
                *payload.first_chunk::<8>().ok_or("its UDP header is cut short")?;
            if usize::from(u16::from_be_bytes([l1, l2])) != payload.len() {
                return Err("its UDP length is wrong".into());
            }
            DecodedBody::Udp {
                from: u16::from_be_bytes([a, b]),
                to: u16::from_be_bytes([c, d]),
                payload: payload[8..].to_vec(),
            }
        }
        1 | 58 => {
            let h = payload.first_chunk::<8>().ok_or("its ICMP header is cut short")?;
            let v6 = protocol == 58;
            if !v6 && checksum(payload) != 0 {
                return Err("its ICMP checksum is wrong".into());
            }
            let low = u32::from(u16::from_be_bytes([h[6], h[7]]));
            let mtu = if v6 { u32::from_be_bytes([h[4], h[5], h[6], h[7]]) } else { low };
            DecodedBody::Icmp { v6, ty: h[0], code: h[1], mtu }
        }
        other => DecodedBody::Other(other),
    };
    Ok(Decoded { src, dst, tos, ttl, body })
}

type IpParts<'a> = (IpAddr, IpAddr, u8, u8, u8, &'a [u8]);

fn ip(bytes: &[u8]) -> Result<IpParts<'_>, String> {
    match bytes.first().map(|b| b >> 4) {
        Some(4) => {
            let h = bytes.first_chunk::<20>().ok_or("its IPv4 header is cut short")?;
            let len = usize::from(h[0] & 15) * 4;
            let header = bytes.get(..len).ok_or("its IPv4 header is cut short")?;
            if checksum(header) != 0 {
                return Err("its IPv4 header checksum is wrong".into());
            }
            if usize::from(u16::from_be_bytes([h[2], h[3]])) != bytes.len() {
                return Err("its IPv4 length is wrong".into());
            }
            if u16::from_be_bytes([h[6], h[7]]) & 0x3fff != 0 {
                return Err("it is a fragment".into());
            }
            let src = Ipv4Addr::new(h[12], h[13], h[14], h[15]);
            let dst = Ipv4Addr::new(h[16], h[17], h[18], h[19]);
            Ok((src.into(), dst.into(), h[1], h[8], h[9], &bytes[len..]))
        }
        Some(6) => {
            let h = bytes.first_chunk::<40>().ok_or("its IPv6 header is cut short")?;
            if usize::from(u16::from_be_bytes([h[4], h[5]])) + 40 != bytes.len() {
                return Err("its IPv6 length is wrong".into());
            }
            let address = |at: usize| {
                let mut a = [0; 16];
                a.copy_from_slice(&h[at..at + 16]);
                IpAddr::V6(Ipv6Addr::from(a))
            };
            Ok((address(8), address(24), h[0] << 4 | h[1] >> 4, h[7], h[6], &bytes[40..]))
        }
        _ => Err("it is no IP packet".into()),
    }
}

fn tcp(bytes: &[u8]) -> Result<DecodedTcp, String> {
    let h = bytes.first_chunk::<20>().ok_or("its TCP header is cut short")?;
    let u16_at = |i: usize| u16::from_be_bytes([h[i], h[i + 1]]);
    let u32_at = |i: usize| u32::from_be_bytes([h[i], h[i + 1], h[i + 2], h[i + 3]]);
    let len = usize::from(h[12] >> 4) * 4;
    if len < 20 {
        return Err("its TCP data offset is wrong".into());
    }
    let raw = bytes.get(20..len).ok_or("its TCP options are cut short")?;
    Ok(DecodedTcp {
        from: u16_at(0),
        to: u16_at(2),
        seq: u32_at(4),
        ack: u32_at(8),
        flags: u16_at(12) & 0x1ff,
        window: u16_at(14),
        urgent: u16_at(18),
        options: options(raw),
        payload: bytes[len..].to_vec(),
    })
}

fn options(mut bytes: &[u8]) -> Vec<TcpOption> {
    let mut out = Vec::new();
    while let [kind, rest @ ..] = bytes {
        match kind {
            0 => {
                out.push(TcpOption::Eol);
                bytes = rest;
                continue;
            }
            1 => {
                out.push(TcpOption::Nop);
                bytes = rest;
                continue;
            }
            _ => {}
        }
        let len = rest.first().map_or(0, |l| usize::from(*l));
        if len < 2 || len > bytes.len() {
            out.push(TcpOption::Raw(bytes.to_vec()));
            break;
        }
        out.push(option(*kind, &bytes[2..len], &bytes[..len]));
        bytes = &bytes[len..];
    }
    out
}

fn option(kind: u8, body: &[u8], whole: &[u8]) -> TcpOption {
    let u32_at = |b: &[u8]| u32::from_be_bytes([b[0], b[1], b[2], b[3]]);
    match (kind, body) {
        (2, [a, b]) => TcpOption::Mss(u16::from_be_bytes([*a, *b])),
        (3, [n]) => TcpOption::WindowScale(*n),
        (4, []) => TcpOption::SackOk,
        (5, blocks) if !blocks.is_empty() && blocks.len() % 8 == 0 => {
            TcpOption::Sack(blocks.chunks(8).map(|b| (u32_at(b), u32_at(&b[4..]))).collect())
        }
        (8, b) if b.len() == 8 => TcpOption::Timestamps(Some(u32_at(b)), Some(u32_at(&b[4..]))),
        (19, d) if d.len() == 16 => TcpOption::Md5(Some(d.to_vec())),
        (34, cookie) => TcpOption::FastOpen { experimental: false, cookie: cookie.to_vec() },
        (254, [0xf9, 0x89, cookie @ ..]) => {
            TcpOption::FastOpen { experimental: true, cookie: cookie.to_vec() }
        }
        _ => TcpOption::Raw(whole.to_vec()),
    }
}
