//! IP: IPv4 and IPv6 input and output, routes, source addresses, fragments, ICMP, path MTU.
//!
//! Read in this order: [`types`] (what passes between this layer and those above), `interface`,
//! `route` and `source`, `input` (with `ipv4` and `ipv6`), `output`, `fragment`, `icmp`, `arp` and
//! `ndp`, `duplicate`, `pmtu`.

mod interface;
pub mod types;

pub(crate) use interface::Queued;
pub use interface::{Address, AddressState, Interface, InterfaceConfig, InterfaceCounters, NeighbourEntry};
pub use types::*;

use crate::IfaceId;
use crate::buf::Chunk;
use crate::env::Env;
use crate::errno::Errno;
use crate::link::{Busy, Frame, Received, Sink};
use crate::time::Instant;
use alloc::vec::Vec;
use core::net::IpAddr;

/// The IP layer.
#[derive(Debug)]
pub struct Ip {
    ifaces: Vec<Option<Interface>>,
    generation: u32,
}

#[allow(unused_variables, missing_docs, clippy::missing_errors_doc)]
impl Ip {
    pub fn new(env: &mut Env<'_>) -> Self {
        Self { ifaces: Vec::new(), generation: 0 }
    }
    pub fn add_interface(&mut self, env: &mut Env<'_>, config: InterfaceConfig) -> IfaceId {
        IfaceId(1)
    }
    pub fn remove_interface(&mut self, env: &mut Env<'_>, id: IfaceId) -> Result<(), Errno> {
        Err(Errno::ENODEV)
    }
    pub fn interface(&self, id: IfaceId) -> Option<&Interface> {
        self.ifaces.get(id.0 as usize)?.as_ref()
    }
    pub fn interfaces(&self) -> impl Iterator<Item = (IfaceId, &Interface)> {
        self.ifaces.iter().enumerate().filter_map(|(i, f)| Some((IfaceId(i as u32), f.as_ref()?)))
    }
    pub fn add_address(&mut self, env: &mut Env<'_>, iface: IfaceId, cidr: Cidr) -> Result<(), Errno> {
        Ok(())
    }
    pub fn remove_address(&mut self, env: &mut Env<'_>, iface: IfaceId, addr: IpAddr) -> Result<(), Errno> {
        Ok(())
    }
    pub fn add_route(&mut self, route: Route) -> Result<(), Errno> {
        Ok(())
    }
    pub fn remove_route(&mut self, route: &Route) -> Result<(), Errno> {
        Ok(())
    }
    pub fn routes(&self) -> Vec<Route> {
        Vec::new()
    }
    pub fn neighbours(&self) -> Vec<NeighbourEntry> {
        Vec::new()
    }
    pub fn generation(&self) -> u32 {
        self.generation
    }
    pub fn path(&mut self, src: Option<IpAddr>, dst: IpAddr, iface: Option<IfaceId>) -> Result<Path, Errno> {
        Err(Errno::ENETUNREACH)
    }
    pub fn is_local(&self, addr: IpAddr) -> bool {
        false
    }
    pub fn is_broadcast(&self, addr: IpAddr) -> bool {
        false
    }
    pub fn handle_frame<'a>(
        &mut self,
        env: &mut Env<'_>,
        iface: IfaceId,
        frame: Frame<'a>,
        assembled: &'a mut Option<Chunk>,
    ) -> Input<'a> {
        Input::default()
    }
    pub fn handle_timeout(&mut self, env: &mut Env<'_>) {}
    pub fn next_deadline(&self) -> Option<Instant> {
        None
    }
    pub fn emit(
        &mut self,
        env: &mut Env<'_>,
        packet: &Outgoing<'_>,
        sink: &mut dyn Sink,
    ) -> Result<(), Busy> {
        Ok(())
    }
    pub fn enqueue(&mut self, env: &mut Env<'_>, packet: &Outgoing<'_>) -> Result<(), Errno> {
        Ok(())
    }
    pub fn enqueue_raw(&mut self, env: &mut Env<'_>, path: &Path, packet: &[u8]) -> Result<(), Errno> {
        Ok(())
    }
    pub fn poll_transmit(&mut self, env: &mut Env<'_>, sink: &mut dyn Sink) {}
    pub fn next_looped(&mut self) -> Option<Received> {
        None
    }
    pub fn send_icmp_error(&mut self, env: &mut Env<'_>, about: &Datagram<'_>, kind: ErrorKind) {}
    /// Destinations whose queued packets were dropped because the next hop did not answer: tell the
    /// sockets that sent to them EHOSTUNREACH.
    pub fn take_unreachable(&mut self) -> Option<(IfaceId, IpAddr)> {
        None
    }
    /// Remembers for ten minutes that packets to `dst` must not exceed `mtu`; true if it shrank.
    pub fn learn_path_mtu(&mut self, now: Instant, dst: IpAddr, mtu: usize) -> bool {
        false
    }
    /// An upper layer saw the next hop answer: an ACK for new data came (RFC 4861 section 7.3.1).
    pub fn confirm(&mut self, now: Instant, path: &Path) {}
}
