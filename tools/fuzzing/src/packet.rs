//! Makes packets, good and bad, without the help of the code under test.

use std::net::{IpAddr, SocketAddr};

/// A TCP segment to be made.
#[derive(Clone, Debug)]
pub struct Tcp<'a> {
    /// From where.
    pub src: SocketAddr,
    /// To where; of the same family.
    pub dst: SocketAddr,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgment number.
    pub ack: u32,
    /// The octet of control bits, FIN = 1 to CWR = 128.
    pub flags: u8,
    /// Window, not scaled.
    pub window: u16,
    /// Urgent pointer.
    pub urgent: u16,
    /// Options, at most 40 octets; filled up with EOL.
    pub options: &'a [u8],
    /// Payload.
    pub payload: &'a [u8],
}

/// FIN.
pub const FIN: u8 = 1;
/// SYN.
pub const SYN: u8 = 2;
/// RST.
pub const RST: u8 = 4;
/// PSH.
pub const PSH: u8 = 8;
/// ACK.
pub const ACK: u8 = 16;
/// URG.
pub const URG: u8 = 32;

/// The ones' complement sum (RFC 1071), folded to 16 bits. In words of 32 bits: with every comparison
/// counted by the fuzzer, a loop over octets takes most of its time.
pub fn sum(start: u32, bytes: &[u8]) -> u32 {
    let words = bytes.chunks_exact(4);
    let mut tail = [0; 4];
    tail[..words.remainder().len()].copy_from_slice(words.remainder());
    let word = |w: &[u8]| u64::from(u32::from_be_bytes([w[0], w[1], w[2], w[3]]));
    let mut total = words.map(word).sum::<u64>() + word(&tail) + u64::from(start);
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    total as u32
}

/// The sum of the pseudo header of TCP, UDP and ICMPv6.
pub fn pseudo_sum(src: IpAddr, dst: IpAddr, protocol: u8, len: usize) -> u32 {
    let mut total = sum(u32::from(protocol), &(len as u32).to_be_bytes());
    for addr in [src, dst] {
        total = match addr {
            IpAddr::V4(a) => sum(total, &a.octets()),
            IpAddr::V6(a) => sum(total, &a.octets()),
        };
    }
    total
}

/// An IP packet around a transport header and payload.
pub fn ip(src: IpAddr, dst: IpAddr, protocol: u8, transport: &[u8]) -> Vec<u8> {
    match (src, dst) {
        (IpAddr::V4(s), IpAddr::V4(d)) => ipv4(s.octets(), d.octets(), protocol, 0x4000, transport),
        (IpAddr::V6(s), IpAddr::V6(d)) => {
            let mut p = vec![0x60, 0, 0, 0];
            p.extend((transport.len() as u16).to_be_bytes());
            p.extend([protocol, 64]);
            p.extend(s.octets());
            p.extend(d.octets());
            p.extend(transport);
            p
        }
        _ => Vec::new(),
    }
}

/// An IPv4 packet with a fragment field of one's own.
pub fn ipv4(src: [u8; 4], dst: [u8; 4], protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let mut p = vec![0x45, 0];
    p.extend(((20 + payload.len()) as u16).to_be_bytes());
    p.extend([0x12, 0x34]);
    p.extend(fragment.to_be_bytes());
    p.extend([64, protocol, 0, 0]);
    p.extend(src);
    p.extend(dst);
    let check = !(sum(0, &p) as u16);
    p[10..12].copy_from_slice(&check.to_be_bytes());
    p.extend(payload);
    p
}

/// A TCP header with its payload and a good checksum.
pub fn tcp_transport(t: &Tcp<'_>) -> Vec<u8> {
    let options = &t.options[..t.options.len().min(40)];
    let header = 20 + options.len().next_multiple_of(4);
    let mut s = Vec::with_capacity(header + t.payload.len());
    s.extend(t.src.port().to_be_bytes());
    s.extend(t.dst.port().to_be_bytes());
    s.extend(t.seq.to_be_bytes());
    s.extend(t.ack.to_be_bytes());
    s.extend([(header as u8 / 4) << 4, t.flags]);
    s.extend(t.window.to_be_bytes());
    s.extend([0, 0]);
    s.extend(t.urgent.to_be_bytes());
    s.extend(options);
    s.resize(header, 0);
    s.extend(t.payload);
    fix_checksum(&mut s, 16, t.src.ip(), t.dst.ip(), 6);
    s
}

/// A UDP header with its payload and a good checksum.
pub fn udp_transport(src: SocketAddr, dst: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let mut s = Vec::with_capacity(8 + payload.len());
    s.extend(src.port().to_be_bytes());
    s.extend(dst.port().to_be_bytes());
    s.extend(((8 + payload.len()) as u16).to_be_bytes());
    s.extend([0, 0]);
    s.extend(payload);
    fix_checksum(&mut s, 6, src.ip(), dst.ip(), 17);
    s
}

/// Puts the checksum over the pseudo header and `transport` where it belongs.
pub fn fix_checksum(transport: &mut [u8], at: usize, src: IpAddr, dst: IpAddr, protocol: u8) {
    let Some(field) = transport.get_mut(at..at + 2) else { return };
    field.fill(0);
    let total = sum(pseudo_sum(src, dst, protocol, transport.len()), transport);
    transport[at..at + 2].copy_from_slice(&(!(total as u16)).to_be_bytes());
}

/// An ICMP or ICMPv6 message (by the family of the addresses) as an IP packet.
pub fn icmp(src: IpAddr, dst: IpAddr, ty: u8, code: u8, word: u32, body: &[u8]) -> Vec<u8> {
    let mut m = vec![ty, code, 0, 0];
    m.extend(word.to_be_bytes());
    m.extend(body);
    if src.is_ipv4() {
        let check = !(sum(0, &m) as u16);
        m[2..4].copy_from_slice(&check.to_be_bytes());
        ip(src, dst, 1, &m)
    } else {
        fix_checksum(&mut m, 2, src, dst, 58);
        ip(src, dst, 58, &m)
    }
}

/// An Ethernet frame around an IP packet.
pub fn ethernet(dst: [u8; 6], src: [u8; 6], packet: &[u8]) -> Vec<u8> {
    let kind: u16 = if packet.first().is_some_and(|b| b >> 4 == 6) { 0x86dd } else { 0x0800 };
    let mut f = Vec::with_capacity(14 + packet.len());
    f.extend(dst);
    f.extend(src);
    f.extend(kind.to_be_bytes());
    f.extend(packet);
    f
}

/// An ARP packet in its frame: operation 1 asks, 2 answers.
pub fn arp(op: u16, mac: [u8; 6], sender: [u8; 4], target_mac: [u8; 6], target: [u8; 4]) -> Vec<u8> {
    let mut f = if op == 1 { vec![0xff; 6] } else { target_mac.to_vec() };
    f.extend(mac);
    f.extend([0x08, 0x06, 0, 1, 8, 0, 6, 4]);
    f.extend(op.to_be_bytes());
    f.extend(mac);
    f.extend(sender);
    f.extend(target_mac);
    f.extend(target);
    f
}
