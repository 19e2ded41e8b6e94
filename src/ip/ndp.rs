//! Neighbour discovery for IPv6 (RFC 4861): solicitations and advertisements, and the probes of
//! duplicate address detection (RFC 4862). The host is configured by hand: router messages and
//! redirects are not taken.

use super::{AddressState, Datagram, Ip, protocol};
use crate::IfaceId;
use crate::env::Env;
use crate::link::Medium;
use crate::link::ethernet::{self, multicast_v6, solicited_node};
use crate::link::neighbour::Heard;
use crate::reason::Drop;
use crate::wire::checksum::Sum;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr};
use etherparse::icmpv6::{
    NdpOptionSlice, NdpOptionsIterator, NeighborAdvertisementHeader, TYPE_NEIGHBOR_ADVERTISEMENT,
    TYPE_NEIGHBOR_SOLICITATION, TYPE_REDIRECT_MESSAGE,
};
use etherparse::{EtherType, IpNumber, Ipv6Header};

/// Type, code, checksum, flags or reserved, target.
const FIXED: usize = 24;
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const SOURCE_LINK_ADDRESS: u8 = 1;
const TARGET_LINK_ADDRESS: u8 = 2;

/// A solicitation or advertisement whose form is right.
struct Message {
    src: Ipv6Addr,
    dst: Ipv6Addr,
    target: Ipv6Addr,
    flags: NeighborAdvertisementHeader,
    source_mac: Option<[u8; 6]>,
    target_mac: Option<[u8; 6]>,
}

/// The checks of RFC 4861 sections 7.1.1 and 7.1.2 that both have in common.
fn parse(datagram: &Datagram<'_>) -> Result<Message, Drop> {
    let bytes = datagram.payload();
    let (IpAddr::V6(src), IpAddr::V6(dst)) = (datagram.src, datagram.dst) else {
        return Err(Drop::NdpMalformed);
    };
    let target = bytes.get(8..FIXED).and_then(|b| <[u8; 16]>::try_from(b).ok());
    let target = Ipv6Addr::from(target.ok_or(Drop::NdpMalformed)?);
    if target.is_multicast() {
        return Err(Drop::NdpMalformed);
    }
    let flags = NeighborAdvertisementHeader::from_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
    let mut message = Message { src, dst, target, flags, source_mac: None, target_mac: None };
    for option in NdpOptionsIterator::from_slice(&bytes[FIXED..]) {
        let mac = |address: &[u8]| {
            let mac = <[u8; 6]>::try_from(address).ok().filter(|m| !ethernet::is_group(*m) && *m != [0; 6]);
            mac.ok_or(Drop::NdpMalformed)
        };
        match option.map_err(|_| Drop::NdpMalformed)? {
            NdpOptionSlice::SourceLinkLayerAddress(o) => {
                message.source_mac = Some(mac(o.link_layer_address())?);
            }
            NdpOptionSlice::TargetLinkLayerAddress(o) => {
                message.target_mac = Some(mac(o.link_layer_address())?);
            }
            _ => {}
        }
    }
    Ok(message)
}

impl Ip {
    /// A neighbour discovery message whose checksum is right.
    pub(super) fn ndp_input(
        &mut self,
        env: &mut Env<'_>,
        datagram: &Datagram<'_>,
        fragmented: bool,
    ) -> Result<(), Drop> {
        env.stats.count.ndp_in += 1;
        let bytes = datagram.payload();
        // From this link only; in one piece (RFC 6980).
        if datagram.hop_limit != 255 || fragmented || bytes.get(1) != Some(&0) {
            return Err(Drop::NdpMalformed);
        }
        match bytes[0] {
            TYPE_NEIGHBOR_SOLICITATION => {
                let message = parse(datagram)?;
                let own = self.interface(datagram.iface).map(|f| f.mac);
                if message.src.is_unspecified() && link_source(datagram) == own {
                    // Our own probe came back through a loop in the network (RFC 7527).
                    return Err(Drop::NdpMalformed);
                }
                self.solicitation_input(env, datagram.iface, &message)
            }
            TYPE_NEIGHBOR_ADVERTISEMENT => {
                let message = parse(datagram)?;
                self.advertisement_input(env, datagram.iface, &message)
            }
            TYPE_REDIRECT_MESSAGE => Err(Drop::IcmpRedirect),
            _ => Err(Drop::NdpRouter),
        }
    }

    fn solicitation_input(&mut self, env: &mut Env<'_>, iface: IfaceId, m: &Message) -> Result<(), Drop> {
        let probe = m.src.is_unspecified();
        if probe && (m.source_mac.is_some() || m.dst != solicited_node(m.target)) {
            return Err(Drop::NdpMalformed);
        }
        let target = IpAddr::V6(m.target);
        let interface = self.interface(iface).ok_or(Drop::LinkInterfaceDown)?;
        if m.source_mac.is_some_and(|mac| mac == interface.mac) {
            return Err(Drop::NdpMalformed);
        }
        let state = interface.addresses.iter().find(|a| a.cidr.addr == target).map(|a| a.state);
        match state {
            Some(AddressState::Preferred) => {}
            Some(AddressState::Tentative) if probe => {
                self.conflict(env, iface, target);
                return Ok(());
            }
            _ => return Err(Drop::IpNotForUs),
        }
        if probe {
            // The prober has no address yet: everyone hears that this one is taken.
            let flags = NeighborAdvertisementHeader { router: false, solicited: false, r#override: true };
            self.send_advertisement(env, iface, m.target, ALL_NODES, flags, multicast_v6(ALL_NODES));
            return Ok(());
        }
        let flags = NeighborAdvertisementHeader { router: false, solicited: true, r#override: true };
        let src = IpAddr::V6(m.src);
        if let Some(mac) = m.source_mac {
            self.hear(env, iface, src, Heard::Request(mac));
            self.send_advertisement(env, iface, m.target, m.src, flags, mac);
        } else {
            // A unicast solicitation may leave its address out, because we should know it (RFC 4861
            // section 7.2.2).
            let now = env.now;
            let mac = self.interface_mut(iface).and_then(|f| f.neighbours.resolve(now, src));
            let mac = mac.ok_or(Drop::NdpUnsolicited)?;
            self.send_advertisement(env, iface, m.target, m.src, flags, mac);
        }
        Ok(())
    }

    fn advertisement_input(&mut self, env: &mut Env<'_>, iface: IfaceId, m: &Message) -> Result<(), Drop> {
        if m.flags.solicited && m.dst.is_multicast() {
            return Err(Drop::NdpMalformed);
        }
        let target = IpAddr::V6(m.target);
        let interface = self.interface(iface).ok_or(Drop::LinkInterfaceDown)?;
        if m.target_mac.is_some_and(|mac| mac == interface.mac) {
            return Err(Drop::NdpMalformed);
        }
        if interface.addresses.iter().any(|a| a.cidr.addr == target) {
            self.conflict(env, iface, target);
            return Ok(());
        }
        let (solicited, overriding) = (m.flags.solicited, m.flags.r#override);
        let heard = Heard::Advertisement { mac: m.target_mac, solicited, overriding };
        if self.hear(env, iface, target, heard) { Ok(()) } else { Err(Drop::NdpUnsolicited) }
    }

    /// Asks for the link address of `target`: its solicited-node group, or the host that had it.
    pub(super) fn send_solicitation(
        &mut self,
        env: &mut Env<'_>,
        iface: IfaceId,
        target: Ipv6Addr,
        mac: Option<[u8; 6]>,
    ) {
        let Some(interface) = self.interface(iface) else { return };
        let v6 = || interface.usable().filter(|c| c.addr.is_ipv6());
        let best = v6().find(|c| c.contains(IpAddr::V6(target))).or_else(|| v6().next());
        let Some(IpAddr::V6(src)) = best.map(|c| c.addr) else { return };
        let dst = if mac.is_some() { target } else { solicited_node(target) };
        let mut body = body(TYPE_NEIGHBOR_SOLICITATION, [0; 4], target);
        option(&mut body, SOURCE_LINK_ADDRESS, interface.mac);
        self.send_ndp(env, iface, src, dst, mac.unwrap_or(multicast_v6(dst)), body);
    }

    /// "Does anybody have this address?" (RFC 4862 section 5.4.2).
    pub(super) fn send_duplicate_probe(&mut self, env: &mut Env<'_>, iface: IfaceId, addr: Ipv6Addr) {
        let dst = solicited_node(addr);
        let body = body(TYPE_NEIGHBOR_SOLICITATION, [0; 4], addr);
        self.send_ndp(env, iface, Ipv6Addr::UNSPECIFIED, dst, multicast_v6(dst), body);
    }

    fn send_advertisement(
        &mut self,
        env: &mut Env<'_>,
        iface: IfaceId,
        target: Ipv6Addr,
        dst: Ipv6Addr,
        flags: NeighborAdvertisementHeader,
        mac: [u8; 6],
    ) {
        let Some(own) = self.interface(iface).map(|f| f.mac) else { return };
        let mut body = body(TYPE_NEIGHBOR_ADVERTISEMENT, flags.to_bytes(), target);
        option(&mut body, TARGET_LINK_ADDRESS, own);
        self.send_ndp(env, iface, target, dst, mac, body);
    }

    fn send_ndp(
        &mut self,
        env: &mut Env<'_>,
        iface: IfaceId,
        src: Ipv6Addr,
        dst: Ipv6Addr,
        mac: [u8; 6],
        mut body: Vec<u8>,
    ) {
        let Some(interface) = self.interface(iface) else { return };
        if interface.capabilities.medium != Medium::Ethernet {
            return;
        }
        let mut sum = Sum::new();
        sum.add_pseudo_header(IpAddr::V6(src), IpAddr::V6(dst), protocol::ICMPV6, body.len());
        sum.add(&body);
        body[2..4].copy_from_slice(&sum.checksum().to_be_bytes());
        let header = Ipv6Header {
            payload_length: body.len() as u16,
            next_header: IpNumber::IPV6_ICMP,
            hop_limit: 255,
            source: src.octets(),
            destination: dst.octets(),
            ..Ipv6Header::default()
        };
        let mut frame = Vec::with_capacity(ethernet::HEADER_LEN + Ipv6Header::LEN + body.len());
        frame.extend_from_slice(&ethernet::header(mac, interface.mac, EtherType::IPV6));
        frame.extend_from_slice(&header.to_bytes());
        frame.extend_from_slice(&body);
        if self.send_control(env, iface, frame) {
            env.stats.count.ndp_out += 1;
            env.stats.count.ip_out += 1;
        }
    }
}

/// Who sent the frame that a packet lies in.
fn link_source(datagram: &Datagram<'_>) -> Option<[u8; 6]> {
    let header = datagram.frame.bytes().get(..datagram.packet.start)?;
    header.get(6..12).and_then(|mac| <[u8; 6]>::try_from(mac).ok())
}

/// Type, code 0, checksum 0, flags, target.
fn body(kind: u8, flags: [u8; 4], target: Ipv6Addr) -> Vec<u8> {
    let mut body = Vec::with_capacity(FIXED + 8);
    body.extend_from_slice(&[kind, 0, 0, 0]);
    body.extend_from_slice(&flags);
    body.extend_from_slice(&target.octets());
    body
}

/// A link-layer address option.
fn option(body: &mut Vec<u8>, kind: u8, mac: [u8; 6]) {
    body.extend_from_slice(&[kind, 1]);
    body.extend_from_slice(&mac);
}
