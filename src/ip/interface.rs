//! Interfaces and their addresses.

use super::duplicate::Probing;
use super::{Cidr, Ip};
use crate::IfaceId;
use crate::env::Env;
use crate::errno::Errno;
use crate::link::ethernet::{link_local, solicited_node};
use crate::link::neighbour::NeighbourCache;
use crate::link::{Capabilities, Medium, OwnedFrame};
use crate::time::Instant;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How an interface is set up.
#[derive(Clone, Debug)]
pub struct InterfaceConfig {
    /// Its name, for people and for SO_BINDTODEVICE.
    pub name: String,
    /// Its Ethernet address; ignored on bare-IP links.
    pub mac: [u8; 6],
    /// What its device can do.
    pub capabilities: Capabilities,
    /// Its addresses.
    pub addresses: Vec<Cidr>,
    /// Test each address for duplicates before it is used (RFC 4862, RFC 5227).
    pub detect_duplicates: bool,
}

/// May an address be used?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressState {
    /// Not yet: it is being tested for duplicates.
    Tentative,
    /// Yes.
    Preferred,
    /// No: another host has it (RFC 4862 section 5.4.5, RFC 5227 section 2.1.1).
    Duplicate,
}

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address and its prefix.
    pub cidr: Cidr,
    /// May it be used?
    pub state: AddressState,
    /// Probes and announcements still to send, and when the next is due.
    pub(super) probing: Option<Probing>,
    /// When it was defended last (RFC 5227 section 2.4).
    pub(super) defended: Option<Instant>,
}

/// What went through an interface. Counts wrap at 2^64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterfaceCounters {
    /// Frames received.
    pub frames_in: u64,
    /// Octets received, link headers included.
    pub bytes_in: u64,
    /// Frames handed to the device.
    pub frames_out: u64,
    /// Octets handed to the device.
    pub bytes_out: u64,
}

/// An interface.
#[derive(Debug)]
pub struct Interface {
    pub(super) name: String,
    pub(super) mac: [u8; 6],
    pub(super) capabilities: Capabilities,
    pub(super) addresses: Vec<Address>,
    pub(super) detect_duplicates: bool,
    pub(super) counters: InterfaceCounters,
    pub(super) queue: VecDeque<OwnedFrame>,
    pub(super) neighbours: NeighbourCache,
}

impl Interface {
    pub(super) fn new(config: &InterfaceConfig) -> Self {
        Self {
            name: config.name.clone(),
            mac: config.mac,
            capabilities: config.capabilities,
            addresses: Vec::new(),
            detect_duplicates: config.detect_duplicates && config.capabilities.medium == Medium::Ethernet,
            counters: InterfaceCounters::default(),
            queue: VecDeque::new(),
            neighbours: NeighbourCache::default(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its Ethernet address; without meaning on bare-IP links.
    pub fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// What its device can do.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Its addresses, with their state.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// What went through it.
    pub fn counters(&self) -> InterfaceCounters {
        self.counters
    }

    /// Frames that wait for the device.
    pub fn queue_len(&self) -> usize {
        self.queue.len()
    }

    /// The addresses that may be used.
    pub(super) fn usable(&self) -> impl Iterator<Item = Cidr> + '_ {
        self.addresses.iter().filter(|a| a.state == AddressState::Preferred).map(|a| a.cidr)
    }

    /// Has it this address, usable?
    pub(super) fn owns(&self, addr: IpAddr) -> bool {
        self.usable().any(|c| c.addr == addr)
    }

    /// Is `addr` the broadcast address of one of its networks? RFC 3021 networks (/31) have none.
    pub(super) fn is_subnet_broadcast(&self, addr: Ipv4Addr) -> bool {
        self.usable().any(|c| match c.addr {
            IpAddr::V4(a) if c.prefix_len < 31 => {
                let host = u32::MAX.checked_shr(u32::from(c.prefix_len)).unwrap_or(0);
                a.to_bits() | host == addr.to_bits()
            }
            _ => false,
        })
    }

    /// Does an address of this interface listen on this solicited-node multicast group? Tentative
    /// ones do, to hear the answer to their probe.
    pub(super) fn has_solicited_node(&self, group: Ipv6Addr) -> bool {
        self.addresses.iter().any(|a| {
            a.state != AddressState::Duplicate
                && matches!(a.cidr.addr, IpAddr::V6(v6) if solicited_node(v6) == group)
        })
    }
}

/// What `Ip::neighbours` lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeighbourEntry {
    /// On which interface.
    pub iface: IfaceId,
    /// Whose IP address.
    pub addr: IpAddr,
    /// Its link address, if known.
    pub mac: Option<[u8; 6]>,
    /// The state of RFC 4861 section 7.3.2.
    pub state: crate::link::neighbour::NeighbourState,
}

impl Ip {
    /// Adds an interface with its addresses and the routes to their networks. An Ethernet interface
    /// with an IPv6 address gets a link-local one as well, made from its MAC address, unless the
    /// configuration names one (RFC 4291 section 2.8).
    pub fn add_interface(&mut self, env: &mut Env<'_>, config: InterfaceConfig) -> IfaceId {
        let id = IfaceId(self.ifaces.len() as u32);
        let interface = Interface::new(&config);
        self.ifaces.push(Some(interface));
        let (first, rest): (Vec<_>, Vec<_>) =
            config.addresses.into_iter().partition(|c| is_link_local(c.addr));
        for cidr in first.into_iter().chain(rest) {
            // An address that cannot be one, or stands there twice, is left out.
            let _ = self.add_address(env, id, cidr);
        }
        self.changed();
        id
    }

    /// Removes an interface: its device is gone. What waits for it is dropped; its number is not used
    /// again.
    ///
    /// # Errors
    /// `ENODEV`: no such interface. `EINVAL`: it is the loopback.
    pub fn remove_interface(&mut self, env: &mut Env<'_>, id: IfaceId) -> Result<(), Errno> {
        if id == IfaceId::LOOPBACK {
            return Err(Errno::EINVAL);
        }
        let slot = self.ifaces.get_mut(id.0 as usize).ok_or(Errno::ENODEV)?;
        let gone = slot.take().ok_or(Errno::ENODEV)?;
        for _ in 0..gone.queue.len() + gone.neighbours.waiting() {
            env.drop(crate::reason::Drop::LinkInterfaceDown);
        }
        self.routes.remove_interface(id);
        self.reassembly.remove_interface(id);
        self.changed();
        Ok(())
    }

    /// The interface of that number, if there is one.
    pub fn interface(&self, id: IfaceId) -> Option<&Interface> {
        self.ifaces.get(id.0 as usize)?.as_ref()
    }

    pub(super) fn interface_mut(&mut self, id: IfaceId) -> Option<&mut Interface> {
        self.ifaces.get_mut(id.0 as usize)?.as_mut()
    }

    /// All interfaces, the loopback first.
    pub fn interfaces(&self) -> impl Iterator<Item = (IfaceId, &Interface)> {
        self.ifaces.iter().enumerate().filter_map(|(i, f)| Some((IfaceId(i as u32), f.as_ref()?)))
    }

    /// Adds an address and the route to its network. If the interface detects duplicates, the address
    /// can be used only after a while (1 to 2 s for IPv6, 4 to 7 s for IPv4).
    ///
    /// # Errors
    /// `ENODEV`: no such interface. `EINVAL`: it is a multicast, broadcast or unspecified address, or a loopback
    /// one elsewhere than on the loopback. `EEXIST`: the interface has it already.
    pub fn add_address(&mut self, env: &mut Env<'_>, iface: IfaceId, cidr: Cidr) -> Result<(), Errno> {
        let cidr = Cidr::new(cidr.addr, cidr.prefix_len);
        let addr = cidr.addr;
        let unusual = match addr {
            IpAddr::V4(a) => a.is_broadcast() || a.octets()[0] == 0,
            IpAddr::V6(a) => a.to_ipv4_mapped().is_some(),
        };
        let astray = addr.is_loopback() && iface != IfaceId::LOOPBACK;
        if unusual || astray || addr.is_multicast() || addr.is_unspecified() {
            return Err(Errno::EINVAL);
        }
        let interface = self.interface_mut(iface).ok_or(Errno::ENODEV)?;
        if interface.addresses.iter().any(|a| a.cidr.addr == addr) {
            return Err(Errno::EEXIST);
        }
        let (state, probing) = if interface.detect_duplicates {
            (AddressState::Tentative, Some(Probing::begin(env)))
        } else {
            (AddressState::Preferred, None)
        };
        interface.addresses.push(Address { cidr, state, probing, defended: None });
        let needs_link_local = interface.capabilities.medium == Medium::Ethernet
            && addr.is_ipv6()
            && !interface.addresses.iter().any(|a| is_link_local(a.cidr.addr));
        let mac = interface.mac;
        self.routes.add_connected(iface, cidr);
        self.changed();
        if needs_link_local {
            let _ = self.add_address(env, iface, Cidr::new(IpAddr::V6(link_local(mac)), 64));
        }
        Ok(())
    }

    /// Removes an address, and the route to its network if it was the last one there.
    ///
    /// # Errors
    /// `ENODEV`: no such interface. `EADDRNOTAVAIL`: it has no such address.
    pub fn remove_address(&mut self, _env: &mut Env<'_>, iface: IfaceId, addr: IpAddr) -> Result<(), Errno> {
        let interface = self.interface_mut(iface).ok_or(Errno::ENODEV)?;
        let at = interface.addresses.iter().position(|a| a.cidr.addr == addr);
        let gone = interface.addresses.remove(at.ok_or(Errno::EADDRNOTAVAIL)?).cidr;
        let network = super::route::network(gone);
        if !interface.addresses.iter().any(|a| super::route::network(a.cidr) == network) {
            self.routes.remove_connected(iface, gone);
        }
        self.changed();
        Ok(())
    }

    /// All neighbours that are known or being resolved.
    pub fn neighbours(&self) -> Vec<NeighbourEntry> {
        let of = |(iface, interface): (IfaceId, &Interface)| -> Vec<NeighbourEntry> {
            let entry = |(addr, mac, state)| NeighbourEntry { iface, addr, mac, state };
            interface.neighbours.iter().map(entry).collect()
        };
        self.interfaces().flat_map(of).collect()
    }

    /// Is it an address of ours that may be used? All of 127.0.0.0/8 is.
    pub fn is_local(&self, addr: IpAddr) -> bool {
        matches!(addr, IpAddr::V4(a) if a.is_loopback()) || self.interfaces().any(|(_, f)| f.owns(addr))
    }

    /// Is it the limited broadcast address, or the broadcast address of a network that we are in?
    pub fn is_broadcast(&self, addr: IpAddr) -> bool {
        match addr {
            IpAddr::V4(a) => a.is_broadcast() || self.interfaces().any(|(_, f)| f.is_subnet_broadcast(a)),
            IpAddr::V6(_) => false,
        }
    }
}

fn is_link_local(addr: IpAddr) -> bool {
    matches!(addr, IpAddr::V6(a) if a.is_unicast_link_local())
}
