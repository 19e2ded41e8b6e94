//! IP: IPv4 and IPv6 input and output, routes, source addresses, fragments, ICMP, path MTU.
//!
//! Read in this order: [`types`] (what passes between this layer and those above), `interface`,
//! `route` and `source` (where a packet goes and from where), `input` with `ipv4` and `ipv6`,
//! `output`, `fragment`, `icmp`, `arp` and `ndp`, `duplicate` (address detection), `pmtu`.
//!
//! [`Ip`] is a plain value that the machine owns. A packet comes in by [`Ip::handle_frame`], which does
//! IP's own part (ARP, NDP, echo, reassembly) and returns what is for the protocols above. A packet goes
//! out by [`Ip::emit`] straight into a sink, or by [`Ip::enqueue`] and [`Ip::poll_transmit`].

mod arp;
mod duplicate;
mod fragment;
mod icmp;
mod input;
mod interface;
mod ipv4;
mod ipv6;
mod ndp;
mod output;
mod pmtu;
mod route;
mod source;
#[cfg(test)]
mod tests;
pub mod types;

pub use interface::{Address, AddressState, Interface, InterfaceConfig, InterfaceCounters, NeighbourEntry};
pub use pmtu::{MIN_PATH_MTU_V4, MIN_PATH_MTU_V6, PATH_MTU_LIFETIME};
pub use types::*;

use crate::IfaceId;
use crate::env::Env;
use crate::event::Event;
use crate::link::neighbour::Due;
use crate::link::{Capabilities, Medium};
use crate::reason::Drop;
use crate::time::Instant;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Destinations reported as unreachable that nobody asked for yet.
const UNREACHABLE_LIMIT: usize = 1024;

/// The IP layer of a stack, with the links below it.
#[derive(Debug)]
pub struct Ip {
    /// By number; `None` where one was removed.
    ifaces: Vec<Option<Interface>>,
    routes: route::RouteTable,
    path_mtus: pmtu::PathMtus,
    reassembly: fragment::Reassembly,
    icmp_budget: icmp::Budget,
    idents: output::Idents,
    looped: output::Loop,
    unreachable: VecDeque<(IfaceId, IpAddr)>,
    generation: u32,
}

impl Ip {
    /// An IP layer with one interface, the loopback: 127.0.0.1/8 and ::1/128.
    pub fn new(env: &mut Env<'_>) -> Self {
        let mut ip = Self {
            ifaces: Vec::new(),
            routes: route::RouteTable::default(),
            path_mtus: pmtu::PathMtus::default(),
            reassembly: fragment::Reassembly::default(),
            icmp_budget: icmp::Budget::new(env),
            idents: output::Idents::new(env.rng),
            looped: output::Loop::new(),
            unreachable: VecDeque::new(),
            generation: 0,
        };
        let capabilities =
            Capabilities { medium: Medium::Ip, mtu: 65_535, max_gso: 65_535, tx_checksum: true };
        let addresses =
            [Cidr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8), Cidr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 128)];
        let config = InterfaceConfig {
            name: String::from("lo"),
            mac: [0; 6],
            capabilities,
            addresses: addresses.into(),
            detect_duplicates: false,
        };
        ip.add_interface(env, config);
        ip
    }

    /// Changes whenever a [`Path`] may have become wrong: an interface, address or route came or went,
    /// or a path MTU was learned or forgotten.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    fn changed(&mut self) {
        self.generation = self.generation.wrapping_add(1);
    }

    /// Does what is due: solicitations, duplicate address detection, reassembly timeouts, path MTUs.
    pub fn handle_timeout(&mut self, env: &mut Env<'_>) {
        for index in 0..self.ifaces.len() as u32 {
            self.poll_duplicates(env, IfaceId(index));
            self.poll_neighbours(env, IfaceId(index));
        }
        self.expire_reassemblies(env);
        if self.path_mtus.expire(env.now) {
            self.changed();
        }
    }

    /// When [`Self::handle_timeout`] has something to do. May be too early, is never too late.
    pub fn next_deadline(&self) -> Option<Instant> {
        let neighbours = self.interfaces().filter_map(|(_, f)| f.neighbours.next_deadline());
        let others =
            [self.duplicates_deadline(), self.reassembly.next_deadline(), self.path_mtus.next_deadline()];
        neighbours.chain(others.into_iter().flatten()).min()
    }

    /// Asks the neighbours that are to be asked, and gives up those that did not answer.
    fn poll_neighbours(&mut self, env: &mut Env<'_>, iface: IfaceId) {
        while let Some(due) = self.interface_mut(iface).and_then(|f| f.neighbours.poll(env.now)) {
            match due {
                Due::Solicit(IpAddr::V4(addr), mac) => self.send_arp_request(env, iface, addr, mac),
                Due::Solicit(IpAddr::V6(addr), mac) => self.send_solicitation(env, iface, addr, mac),
                Due::Failed(addr, waiting) => {
                    env.events.push(Event::Neighbour { at: env.now, iface, addr, reachable: false });
                    for frame in waiting {
                        env.drop(Drop::NeighbourUnreachable);
                        self.report_unreachable(iface, frame.dst);
                    }
                }
            }
        }
    }

    fn report_unreachable(&mut self, iface: IfaceId, dst: Option<IpAddr>) {
        let Some(dst) = dst else { return };
        if self.unreachable.back() != Some(&(iface, dst)) && self.unreachable.len() < UNREACHABLE_LIMIT {
            self.unreachable.push_back((iface, dst));
        }
    }

    /// A destination whose packets were dropped because the next hop did not answer three
    /// solicitations: the sockets that sent to it get EHOSTUNREACH. Take until there is none.
    pub fn take_unreachable(&mut self) -> Option<(IfaceId, IpAddr)> {
        self.unreachable.pop_front()
    }

    /// An upper layer saw the next hop work: new data of ours was acknowledged (RFC 4861 section
    /// 7.3.1). Saves probes.
    pub fn confirm(&mut self, now: Instant, path: &Path) {
        if let Some(f) = self.interface_mut(path.iface) {
            f.neighbours.confirm(now, path.next_hop);
        }
    }
}
