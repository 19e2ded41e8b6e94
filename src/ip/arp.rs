//! ARP: RFC 826, with the probes and announcements of RFC 5227.

use super::Ip;
use crate::IfaceId;
use crate::env::Env;
use crate::event::Event;
use crate::link::ethernet::{self, BROADCAST};
use crate::link::neighbour::Heard;
use crate::reason::Drop;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};
use etherparse::{ArpEthIpv4Packet, ArpOperation, ArpPacketSlice, EtherType};

impl Ip {
    pub(super) fn arp_input(&mut self, env: &mut Env<'_>, iface: IfaceId, bytes: &[u8]) -> Result<(), Drop> {
        let slice = ArpPacketSlice::from_slice(bytes).map_err(|_| Drop::ArpMalformed)?;
        let arp = slice.to_packet().try_eth_ipv4().map_err(|_| Drop::ArpMalformed)?;
        if arp.operation != ArpOperation::REQUEST && arp.operation != ArpOperation::REPLY {
            return Err(Drop::ArpMalformed);
        }
        let interface = self.interface(iface).ok_or(Drop::LinkInterfaceDown)?;
        let request = arp.operation == ArpOperation::REQUEST;
        let (sender, target) = (arp.sender_ipv4_addr(), arp.target_ipv4_addr());
        // Our own frame came back: a loop in the network, or a bridge.
        if arp.sender_mac == interface.mac || ethernet::is_group(arp.sender_mac) || arp.sender_mac == [0; 6] {
            return Err(Drop::ArpBadSender);
        }
        let probe = request && sender.is_unspecified();
        if interface.addresses.iter().any(|a| a.cidr.addr == IpAddr::V4(sender)) {
            self.conflict(env, iface, IpAddr::V4(sender));
            return Err(Drop::ArpBadSender);
        }
        if probe && !interface.owns(IpAddr::V4(target)) {
            // Another host tries the address that we are trying: neither may have it.
            let ours = self.conflict(env, iface, IpAddr::V4(target));
            return if ours { Ok(()) } else { Err(Drop::ArpNotForUs) };
        }
        let impossible = sender.is_multicast()
            || sender.is_loopback()
            || self.is_broadcast(IpAddr::V4(sender))
            || (sender.octets()[0] == 0 && !probe);
        if impossible {
            return Err(Drop::ArpBadSender);
        }
        self.arp_learn(env, iface, &arp, probe)
    }

    fn arp_learn(
        &mut self,
        env: &mut Env<'_>,
        iface: IfaceId,
        arp: &ArpEthIpv4Packet,
        probe: bool,
    ) -> Result<(), Drop> {
        let (sender, target) = (arp.sender_ipv4_addr(), arp.target_ipv4_addr());
        let Some(interface) = self.interface_mut(iface) else { return Ok(()) };
        let for_us = interface.owns(IpAddr::V4(target));
        let on_link = interface.usable().any(|c| c.contains(IpAddr::V4(sender)));
        let request = arp.operation == ArpOperation::REQUEST;
        // RFC 826: what the sender says about itself updates what is known; only one who talks to us
        // becomes known by it.
        let heard = match (request, for_us) {
            (true, true) => Heard::Request(arp.sender_mac),
            (false, true) => Heard::ArpReply(arp.sender_mac),
            (_, false) => Heard::ArpAnnouncement(arp.sender_mac),
        };
        let mut known = false;
        // A sender from another network is answered, but not remembered.
        if !probe && (on_link || !matches!(heard, Heard::Request(_))) {
            known = self.hear(env, iface, IpAddr::V4(sender), heard);
        }
        match (request, for_us) {
            (true, true) => {
                self.send_arp(env, iface, ArpOperation::REPLY, target, (arp.sender_mac, sender));
                Ok(())
            }
            (true, false) if sender == target && known => Ok(()),
            (false, _) if known => Ok(()),
            (false, true) => Err(Drop::ArpUnsolicited),
            (_, false) => Err(Drop::ArpNotForUs),
        }
    }

    /// Tells the neighbour cache, and sends what waited. True if the neighbour is known.
    pub(super) fn hear(&mut self, env: &mut Env<'_>, iface: IfaceId, addr: IpAddr, heard: Heard) -> bool {
        let Some(interface) = self.interface_mut(iface) else { return false };
        let learned = interface.neighbours.learn(env, addr, heard);
        if learned.reachable {
            env.events.push(Event::Neighbour { at: env.now, iface, addr, reachable: true });
        }
        if let Some((mac, frames)) = learned.release {
            self.release(env, iface, mac, frames);
        }
        learned.known
    }

    /// Asks for the link address of `target`: everyone, or the host that had it.
    pub(super) fn send_arp_request(
        &mut self,
        env: &mut Env<'_>,
        iface: IfaceId,
        target: Ipv4Addr,
        mac: Option<[u8; 6]>,
    ) {
        let Some(interface) = self.interface(iface) else { return };
        let v4 = || interface.usable().filter(|c| c.addr.is_ipv4());
        let best = v4().find(|c| c.contains(IpAddr::V4(target))).or_else(|| v4().next());
        let Some(IpAddr::V4(sender)) = best.map(|c| c.addr) else { return };
        self.send_arp(env, iface, ArpOperation::REQUEST, sender, (mac.unwrap_or(BROADCAST), target));
    }

    /// "Does anybody have this address?" without claiming it (RFC 5227 section 2.1.1).
    pub(super) fn send_arp_probe(&mut self, env: &mut Env<'_>, iface: IfaceId, addr: Ipv4Addr) {
        let request = ArpOperation::REQUEST;
        self.send_arp(env, iface, request, Ipv4Addr::UNSPECIFIED, (BROADCAST, addr));
    }

    /// "This address is mine" (RFC 5227 section 2.3).
    pub(super) fn send_arp_announcement(&mut self, env: &mut Env<'_>, iface: IfaceId, addr: Ipv4Addr) {
        self.send_arp(env, iface, ArpOperation::REQUEST, addr, (BROADCAST, addr));
    }

    fn send_arp(
        &mut self,
        env: &mut Env<'_>,
        iface: IfaceId,
        operation: ArpOperation,
        sender: Ipv4Addr,
        (to, target): ([u8; 6], Ipv4Addr),
    ) {
        let Some(mac) = self.interface(iface).map(|f| f.mac) else { return };
        let known = operation == ArpOperation::REPLY;
        let arp = ArpEthIpv4Packet {
            operation,
            sender_mac: mac,
            sender_ipv4: sender.octets(),
            target_mac: if known { to } else { [0; 6] },
            target_ipv4: target.octets(),
        };
        let mut frame = Vec::with_capacity(ethernet::HEADER_LEN + ArpEthIpv4Packet::LEN);
        frame.extend_from_slice(&ethernet::header(to, mac, EtherType::ARP));
        frame.extend_from_slice(&arp.to_bytes());
        if self.send_control(env, iface, frame) {
            env.stats.count.arp_out += 1;
        }
    }
}
