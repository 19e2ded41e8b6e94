//! A scripted packet as octets on the wire.

use super::flow::{Flow, pattern};
use crate::script::{Body, Ecn, IcmpSpec, IpInfo, Packet, Quote, TcpOption, TcpSpec};
use std::net::{IpAddr, SocketAddr};
use wirestack::wire::checksum::{Sum, checksum};

const TCP: u8 = 6;
const UDP: u8 = 17;

/// The packet, from the peer to the stack.
pub fn packet(p: &Packet, flow: &Flow, mtu_of_quote: usize) -> Vec<u8> {
    let (protocol, transport) = match &p.body {
        Body::Tcp(t) => (TCP, tcp(t, flow)),
        Body::Udp { len, .. } => (UDP, udp(*len, flow.remote, flow.local)),
        Body::Icmp(i) => (if i.v6 { 58 } else { 1 }, icmp(i, flow, mtu_of_quote)),
    };
    ip(&p.ip, flow.remote.ip(), flow.local.ip(), protocol, transport)
}

/// Puts an IP header in front and fills in the checksum of the transport.
fn ip(info: &IpInfo, src: IpAddr, dst: IpAddr, protocol: u8, mut transport: Vec<u8>) -> Vec<u8> {
    let offset = match protocol {
        TCP => Some(16),
        UDP => Some(6),
        58 => Some(2),
        _ => None,
    };
    if let Some(at) = offset {
        let mut sum = Sum::new();
        sum.add_pseudo_header(src, dst, protocol, transport.len());
        sum.add(&transport);
        let sum = if protocol == UDP && sum.checksum() == 0 { 0xffff } else { sum.checksum() };
        transport[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    }
    let ecn = match info.ecn {
        None | Some(Ecn::NoEcn) => 0,
        Some(Ecn::Ect1) => 1,
        Some(Ecn::Ect0 | Ecn::Ect01) => 2,
        Some(Ecn::Ce) => 3,
    };
    let tos = info.tos.unwrap_or(ecn);
    let ttl = info.ttl.unwrap_or(255);
    let mut out = Vec::with_capacity(40 + transport.len());
    match (src, dst) {
        (IpAddr::V4(s), IpAddr::V4(d)) => {
            out.extend([0x45, tos]);
            out.extend(((20 + transport.len()) as u16).to_be_bytes());
            out.extend([0, 0, 0x40, 0, ttl, protocol, 0, 0]);
            out.extend(s.octets());
            out.extend(d.octets());
            let sum = checksum(&out);
            out[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        (IpAddr::V6(s), IpAddr::V6(d)) => {
            out.extend([0x60 | tos >> 4, tos << 4, 0, 0]);
            out.extend((transport.len() as u16).to_be_bytes());
            out.extend([protocol, ttl]);
            out.extend(s.octets());
            out.extend(d.octets());
        }
        _ => {}
    }
    out.extend(transport);
    out
}

fn tcp(t: &TcpSpec, flow: &Flow) -> Vec<u8> {
    let options = options(t.options.as_deref().unwrap_or_default(), flow);
    let header = 20 + options.len();
    let (from, to) = t.ports.unwrap_or((flow.remote.port(), flow.local.port()));
    let mut out = Vec::with_capacity(header + t.len);
    out.extend(from.to_be_bytes());
    out.extend(to.to_be_bytes());
    out.extend(flow.peers_live(t.seq).to_be_bytes());
    out.extend(t.ack.map_or(0, |a| flow.ours_live(a)).to_be_bytes());
    out.extend((((header / 4) as u16) << 12 | t.flags & 0x1ff).to_be_bytes());
    out.extend(t.window.unwrap_or(0).to_be_bytes());
    out.extend([0, 0]);
    out.extend(t.urgent.unwrap_or(0).to_be_bytes());
    out.extend(options);
    // The first octet after the SYN is number 0, also if the SYN carries it.
    let syn = u32::from(t.flags & 0x002 != 0);
    let first = t.seq.wrapping_add(syn).wrapping_sub(flow.peer_isn.unwrap_or(0).wrapping_add(1));
    out.extend((0..t.len as u64).map(|i| pattern(u64::from(first) + i)));
    out
}

fn options(list: &[TcpOption], flow: &Flow) -> Vec<u8> {
    let mut out = Vec::new();
    for o in list {
        match o {
            TcpOption::Eol => out.push(0),
            TcpOption::Nop => out.push(1),
            TcpOption::Mss(n) => {
                out.extend([2, 4]);
                out.extend(n.to_be_bytes());
            }
            TcpOption::WindowScale(n) => out.extend([3, 3, *n]),
            TcpOption::SackOk => out.extend([4, 2]),
            TcpOption::Sack(blocks) => {
                out.extend([5, 2 + 8 * blocks.len() as u8]);
                for (a, b) in blocks {
                    out.extend(flow.ours_live(*a).to_be_bytes());
                    out.extend(flow.ours_live(*b).to_be_bytes());
                }
            }
            TcpOption::Timestamps(val, ecr) => {
                out.extend([8, 10]);
                out.extend(val.unwrap_or(0).to_be_bytes());
                out.extend(ecr.map_or(0, |e| flow.timestamp_live(e)).to_be_bytes());
            }
            TcpOption::FastOpen { experimental: false, cookie } => {
                out.extend([34, 2 + cookie.len() as u8]);
                out.extend(cookie);
            }
            TcpOption::FastOpen { experimental: true, cookie } => {
                out.extend([254, 4 + cookie.len() as u8, 0xf9, 0x89]);
                out.extend(cookie);
            }
            TcpOption::Md5(digest) => {
                out.extend([19, 18]);
                out.extend(digest.clone().unwrap_or_else(|| vec![0; 16]));
            }
            TcpOption::Raw(octets) => out.extend(octets),
        }
    }
    while out.len() % 4 != 0 {
        out.push(0);
    }
    out.truncate(40);
    out
}

fn udp(len: usize, from: SocketAddr, to: SocketAddr) -> Vec<u8> {
    let mut out = Vec::with_capacity(8 + len);
    out.extend(from.port().to_be_bytes());
    out.extend(to.port().to_be_bytes());
    out.extend(((8 + len) as u16).to_be_bytes());
    out.extend([0, 0]);
    out.extend((0..len as u64).map(pattern));
    out
}

/// An ICMP error quotes a packet that the stack sent: its IP header and the first octets after it.
fn icmp(i: &IcmpSpec, flow: &Flow, header_octets: usize) -> Vec<u8> {
    let mut out = vec![i.ty, i.code, 0, 0, 0, 0, 0, 0];
    match (i.v6, i.mtu) {
        (false, Some(mtu)) => out[6..8].copy_from_slice(&(mtu as u16).to_be_bytes()),
        (true, Some(mtu)) => out[4..8].copy_from_slice(&mtu.to_be_bytes()),
        _ => {}
    }
    if let Some(quote) = i.quote {
        let (protocol, transport) = match quote {
            Quote::Tcp { seq, len } => {
                let mut t = Vec::new();
                t.extend(flow.local.port().to_be_bytes());
                t.extend(flow.remote.port().to_be_bytes());
                t.extend(flow.ours_live(seq).to_be_bytes());
                t.extend([0, 0, 0, 0, 0x50, 0x10, 0, 0, 0, 0, 0, 0]);
                t.resize(20 + len, 0);
                (TCP, t)
            }
            Quote::Udp { len } => (UDP, udp(len, flow.local, flow.remote)),
        };
        let whole = ip(&IpInfo::default(), flow.local.ip(), flow.remote.ip(), protocol, transport);
        let ip_header = if flow.local.is_ipv4() { 20 } else { 40 };
        out.extend(&whole[..whole.len().min(ip_header + header_octets)]);
    }
    if !i.v6 {
        let sum = checksum(&out);
        out[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    out
}
