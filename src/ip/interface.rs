//! Interfaces and their addresses.

use crate::IfaceId;
use crate::ip::Cidr;
use crate::link::neighbour::NeighbourCache;
use crate::link::{Capabilities, Medium, TxOffload};
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
    /// Announcements and probes still to send, and when the next is due.
    pub(super) probing: Option<Probing>,
    /// When it was defended last (RFC 5227 section 2.4).
    pub(super) defended: Option<Instant>,
}

/// Where duplicate address detection of one address stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Probing {
    /// When the next step is due.
    pub at: Instant,
    /// Steps done: probes sent, then announcements sent.
    pub step: u8,
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

/// A frame that waits: for the device, or for a neighbour's link address.
#[derive(Clone, Debug)]
pub(crate) struct Queued {
    /// The whole frame.
    pub bytes: Vec<u8>,
    /// How many of its first octets are headers.
    pub header_len: usize,
    /// What is still to be done with it.
    pub offload: TxOffload,
    /// The IP destination; unspecified for ARP.
    pub dst: IpAddr,
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
    pub(super) queue: VecDeque<Queued>,
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
                && matches!(a.cidr.addr, IpAddr::V6(v6) if crate::link::ethernet::solicited_node(v6) == group)
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
