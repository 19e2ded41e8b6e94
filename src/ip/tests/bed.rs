//! A host under test with its surroundings, and makers of frames.

use crate::IfaceId;
use crate::config::Config;
use crate::env::{Env, Surroundings};
use crate::event::{Event, EventFilter, Events};
use crate::ip::{Cidr, ErrorKind, InterfaceConfig, Ip, Outgoing, Path, protocol};
use crate::link::{Busy, Capabilities, Frame, Medium, TxFrame};
use crate::reason::Drop;
use crate::rng::Rng;
use crate::time::{Duration, Instant};
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use etherparse::PacketBuilder;

pub const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub const PEER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
pub const ETH: IfaceId = IfaceId(1);

pub fn ip(s: &str) -> IpAddr {
    s.parse().unwrap()
}
pub fn v4(s: &str) -> Ipv4Addr {
    s.parse().unwrap()
}
pub fn v6(s: &str) -> Ipv6Addr {
    s.parse().unwrap()
}
pub fn cidr(s: &str) -> Cidr {
    s.parse().unwrap()
}

/// What came out for the protocols above.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivered {
    pub src: IpAddr,
    pub dst: IpAddr,
    pub protocol: u8,
    pub broadcast: bool,
    pub payload: Vec<u8>,
    pub checksum_ok: bool,
    pub traffic_class: u8,
}

/// An ICMP error about a packet of ours.
#[derive(Clone, Debug, PartialEq)]
pub struct Reported {
    pub src: IpAddr,
    pub dst: IpAddr,
    pub protocol: u8,
    pub transport: Vec<u8>,
    pub kind: ErrorKind,
}

pub struct Host {
    pub ip: Ip,
    pub around: Surroundings,
    pub now: Instant,
    /// Transmit attempts that the device still takes before it is busy.
    pub room: usize,
    pub out: Vec<Vec<u8>>,
    drops: Vec<(Drop, u64)>,
}

impl Host {
    /// A host without interfaces but the loopback.
    pub fn bare(config: Config) -> Self {
        let events = Events::new(EventFilter::ALL, 1 << 16);
        let mut around = Surroundings::new(config, Rng::new([1, 2]), events);
        let now = Instant::from_secs(1000);
        let ip = Ip::new(&mut around.env(now));
        Self { ip, around, now, room: usize::MAX, out: Vec::new(), drops: Vec::new() }
    }

    /// 10.0.0.1/24 and fd00::1/64 on Ethernet, without duplicate address detection.
    pub fn new() -> Self {
        Self::with_caps(Capabilities::ETHERNET)
    }

    pub fn with_caps(capabilities: Capabilities) -> Self {
        let mut host = Self::bare(Config::default());
        host.add(capabilities, &["10.0.0.1/24", "fd00::1/64"], false);
        host
    }

    /// Bare IP: nothing to resolve.
    pub fn tun(mtu: usize) -> Self {
        Self::with_caps(Capabilities { medium: Medium::Ip, mtu, max_gso: 0, tx_checksum: false })
    }

    pub fn add(
        &mut self,
        capabilities: Capabilities,
        addresses: &[&str],
        detect_duplicates: bool,
    ) -> IfaceId {
        let config = InterfaceConfig {
            name: String::from("eth0"),
            mac: MAC,
            capabilities,
            addresses: addresses.iter().map(|a| cidr(a)).collect(),
            detect_duplicates,
        };
        self.call(|ip, env| ip.add_interface(env, config))
    }

    pub fn call<R>(&mut self, f: impl FnOnce(&mut Ip, &mut Env<'_>) -> R) -> R {
        f(&mut self.ip, &mut self.around.env(self.now))
    }

    pub fn input(&mut self, frame: &[u8]) -> (Option<Delivered>, Option<Reported>) {
        self.input_on(ETH, Frame::from(frame))
    }

    pub fn input_on(&mut self, iface: IfaceId, frame: Frame<'_>) -> (Option<Delivered>, Option<Reported>) {
        self.call(|ip, env| {
            let mut assembled = None;
            let input = ip.handle_frame(env, iface, frame, &mut assembled);
            let delivered = input.datagram.map(|d| Delivered {
                src: d.src,
                dst: d.dst,
                protocol: d.protocol,
                broadcast: d.broadcast,
                payload: d.payload().to_vec(),
                checksum_ok: d.checksum_ok(),
                traffic_class: d.traffic_class,
            });
            let error = input.error.map(|e| Reported {
                src: e.src,
                dst: e.dst,
                protocol: e.protocol,
                transport: e.transport.to_vec(),
                kind: e.kind,
            });
            (delivered, error)
        })
    }

    /// The frame is dropped, for this reason and no other.
    #[track_caller]
    pub fn refuses(&mut self, frame: &[u8], reason: Drop) {
        self.mark();
        let got = self.input(frame);
        assert_eq!(got, (None, None), "delivered");
        assert_eq!(self.new_drops(), [(reason, 1)]);
    }

    /// The frame is delivered, and nothing is dropped.
    #[track_caller]
    pub fn takes(&mut self, frame: &[u8]) -> Delivered {
        self.mark();
        let (delivered, _) = self.input(frame);
        assert_eq!(self.new_drops(), []);
        delivered.expect("nothing delivered")
    }

    /// From here on [`Self::new_drops`] counts.
    pub fn mark(&mut self) {
        self.drops = self.around.stats.drops().collect();
    }

    pub fn new_drops(&self) -> Vec<(Drop, u64)> {
        let before = |r| self.drops.iter().find(|(x, _)| *x == r).map_or(0, |d| d.1);
        self.around.stats.drops().map(|(r, n)| (r, n - before(r))).filter(|d| d.1 > 0).collect()
    }

    /// Everything that the host sends now, complete as on the wire.
    pub fn sent(&mut self) -> Vec<Vec<u8>> {
        let mut room = self.room;
        let mut out = core::mem::take(&mut self.out);
        self.call(|ip, env| {
            ip.poll_transmit(env, &mut |_: IfaceId, frame: &TxFrame<'_>| take(&mut room, &mut out, frame));
        });
        self.room = room;
        out
    }

    pub fn emit(&mut self, packet: &Outgoing<'_>) -> Result<(), Busy> {
        let mut room = self.room;
        let mut out = core::mem::take(&mut self.out);
        let result = self.call(|ip, env| {
            ip.emit(env, packet, &mut |_: IfaceId, frame: &TxFrame<'_>| take(&mut room, &mut out, frame))
        });
        self.room = room;
        self.out = out;
        result
    }

    /// Lets time pass, doing what is due when it is due.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.ip.next_deadline().filter(|&d| d <= end) {
            self.now = at.max(self.now);
            self.call(Ip::handle_timeout);
            assert!(self.ip.next_deadline().is_none_or(|d| d > self.now), "a deadline that does not go away");
        }
        self.now = end;
    }

    pub fn path(&mut self, dst: &str) -> Path {
        self.ip.path(None, ip(dst), None).unwrap()
    }

    /// Makes the host know the peer at 10.0.0.2 and fd00::2.
    pub fn acquaint(&mut self) {
        self.input(&arp(1, PEER_MAC, "10.0.0.2", "10.0.0.1"));
        self.input(&ns("fd00::2", "fd00::1", Some(PEER_MAC)));
        self.sent();
        assert_eq!(self.ip.neighbours().len(), 2);
    }

    pub fn conflicts(&mut self) -> usize {
        core::iter::from_fn(|| self.around.events.pop())
            .filter(|e| matches!(e, Event::AddressConflict { .. }))
            .count()
    }
}

fn take(room: &mut usize, out: &mut Vec<Vec<u8>>, frame: &TxFrame<'_>) -> Result<(), Busy> {
    *room = room.checked_sub(1).ok_or(Busy)?;
    let mut bytes = frame.to_chunk().to_vec();
    if let Some(partial) = frame.offload.checksum {
        crate::link::offload::complete_checksum(&mut bytes, partial);
    }
    out.push(bytes);
    Ok(())
}

/// A UDP packet in an Ethernet frame from the peer to the host.
pub fn udp(src: &str, dst: &str, payload: &[u8]) -> Vec<u8> {
    eth(&udp_packet(src, dst, payload))
}

pub fn udp_packet(src: &str, dst: &str, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let builder = match (ip(src), ip(dst)) {
        (IpAddr::V4(s), IpAddr::V4(d)) => PacketBuilder::ipv4(s.octets(), d.octets(), 64),
        (IpAddr::V6(s), IpAddr::V6(d)) => PacketBuilder::ipv6(s.octets(), d.octets(), 64),
        _ => panic!("families differ"),
    };
    builder.udp(1000, 2000).write(&mut out, payload).unwrap();
    out
}

/// An Ethernet header of the peer before an IP packet.
pub fn eth(packet: &[u8]) -> Vec<u8> {
    eth_to(MAC, packet)
}

pub fn eth_to(dst: [u8; 6], packet: &[u8]) -> Vec<u8> {
    let ether_type = if packet.first().is_some_and(|b| b >> 4 == 6) {
        etherparse::EtherType::IPV6
    } else {
        etherparse::EtherType::IPV4
    };
    let mut out = crate::link::ethernet::header(dst, PEER_MAC, ether_type).to_vec();
    out.extend_from_slice(packet);
    out
}

/// An IPv4 packet: header with the given options and fragment field, right checksum.
pub fn ipv4(src: &str, dst: &str, protocol: u8, frag: u16, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let header = 20 + options.len();
    let mut p = Vec::from([0x40 | (header / 4) as u8, 0]);
    p.extend_from_slice(&((header + payload.len()) as u16).to_be_bytes());
    p.extend_from_slice(&[0x12, 0x34]);
    p.extend_from_slice(&frag.to_be_bytes());
    p.extend_from_slice(&[64, protocol, 0, 0]);
    p.extend_from_slice(&v4(src).octets());
    p.extend_from_slice(&v4(dst).octets());
    p.extend_from_slice(options);
    fix_ipv4(&mut p);
    p.extend_from_slice(payload);
    p
}

/// Makes the header checksum right again.
pub fn fix_ipv4(packet: &mut [u8]) {
    let len = usize::from(packet[0] & 0xf) * 4;
    packet[10..12].fill(0);
    let sum = crate::wire::checksum::checksum(&packet[..len]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
}

/// An IPv6 packet with any next header.
pub fn ipv6(src: &str, dst: &str, next: u8, hop_limit: u8, payload: &[u8]) -> Vec<u8> {
    let mut p = Vec::from([0x60, 0, 0, 0]);
    p.extend_from_slice(&(payload.len() as u16).to_be_bytes());
    p.extend_from_slice(&[next, hop_limit]);
    p.extend_from_slice(&v6(src).octets());
    p.extend_from_slice(&v6(dst).octets());
    p.extend_from_slice(payload);
    p
}

/// An ICMPv6 packet with a right checksum; `body` begins with type and code and a checksum of zero.
pub fn icmpv6(src: &str, dst: &str, hop_limit: u8, body: &[u8]) -> Vec<u8> {
    let mut body = body.to_vec();
    let mut sum = crate::wire::checksum::Sum::new();
    sum.add_pseudo_header(ip(src), ip(dst), protocol::ICMPV6, body.len());
    sum.add(&body);
    body[2..4].copy_from_slice(&sum.checksum().to_be_bytes());
    ipv6(src, dst, protocol::ICMPV6, hop_limit, &body)
}

/// An ICMP packet with a right checksum.
pub fn icmpv4(src: &str, dst: &str, body: &[u8]) -> Vec<u8> {
    let mut body = body.to_vec();
    let sum = crate::wire::checksum::checksum(&body);
    body[2..4].copy_from_slice(&sum.to_be_bytes());
    ipv4(src, dst, protocol::ICMP, 0, &[], &body)
}

/// An ARP frame: operation, sender, target. Requests are broadcast.
pub fn arp(operation: u16, mac: [u8; 6], sender: &str, target: &str) -> Vec<u8> {
    let packet = etherparse::ArpEthIpv4Packet {
        operation: etherparse::ArpOperation(operation),
        sender_mac: mac,
        sender_ipv4: v4(sender).octets(),
        target_mac: if operation == 1 { [0; 6] } else { MAC },
        target_ipv4: v4(target).octets(),
    };
    let to = if operation == 1 { [0xff; 6] } else { MAC };
    let mut out = crate::link::ethernet::header(to, mac, etherparse::EtherType::ARP).to_vec();
    out.extend_from_slice(&packet.to_bytes());
    out
}

/// A neighbour solicitation for `target`.
pub fn ns(src: &str, target: &str, mac: Option<[u8; 6]>) -> Vec<u8> {
    let group = crate::link::ethernet::solicited_node(v6(target));
    let mut body = Vec::from([135, 0, 0, 0, 0, 0, 0, 0]);
    body.extend_from_slice(&v6(target).octets());
    if let Some(mac) = mac {
        body.extend_from_slice(&[1, 1]);
        body.extend_from_slice(&mac);
    }
    let packet = icmpv6(src, &alloc::format!("{group}"), 255, &body);
    eth_to(crate::link::ethernet::multicast_v6(group), &packet)
}

/// A neighbour advertisement to the host: `flags` are R, S, O from the highest bit down.
pub fn na(target: &str, flags: u8, mac: Option<[u8; 6]>) -> Vec<u8> {
    let mut body = Vec::from([136, 0, 0, 0, flags, 0, 0, 0]);
    body.extend_from_slice(&v6(target).octets());
    if let Some(mac) = mac {
        body.extend_from_slice(&[2, 1]);
        body.extend_from_slice(&mac);
    }
    eth(&icmpv6(target, "fd00::1", 255, &body))
}

/// A packet to send, with a UDP header whose checksum is to be filled in.
pub fn outgoing<'a>(path: &'a Path, dst: IpAddr, header: &'a [u8], payload: &'a [&'a [u8]]) -> Outgoing<'a> {
    Outgoing {
        path,
        src: path.src,
        dst,
        protocol: protocol::UDP,
        hop_limit: 64,
        traffic_class: 0,
        dont_fragment: false,
        header,
        payload,
        checksum_offset: Some(6),
        gso_size: None,
    }
}

/// A UDP header for so much payload.
pub fn udp_header(payload: usize) -> [u8; 8] {
    let len = ((payload + 8) as u16).to_be_bytes();
    [0x03, 0xe8, 0x07, 0xd0, len[0], len[1], 0, 0]
}
