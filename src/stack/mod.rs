//! The machine: one value that owns everything and does no I/O (DESIGN D1).

pub mod demux;
pub mod ports;
pub mod wheel;

use crate::config::Config;
use crate::errno::{Errno, Result};
use crate::event::Event;
use crate::ip::{Cidr, Route};
use crate::link::{Capabilities, Frame, Sink};
use crate::socket::{
    Domain, MsgFlags, OptionName, Readiness, RecvMsg, Shutdown, SocketOption, SocketSummary, Type,
};
use crate::stats::Stats;
use crate::time::Instant;
use crate::{IfaceId, SocketId};
use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;

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

/// A TCP/IP stack.
pub struct Stack {
    stats: Stats,
}

#[allow(unused_variables, missing_docs, clippy::missing_errors_doc)]
impl Stack {
    pub fn new(now: Instant, config: Config) -> Self {
        Self { stats: Stats::default() }
    }

    // ---- interfaces, addresses, routes

    pub fn add_interface(&mut self, now: Instant, config: InterfaceConfig) -> IfaceId {
        IfaceId(1)
    }
    /// The device is gone: sockets bound to its addresses get ENETDOWN.
    pub fn remove_interface(&mut self, now: Instant, iface: IfaceId) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }
    pub fn add_address(&mut self, now: Instant, iface: IfaceId, cidr: Cidr) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }
    pub fn add_route(&mut self, route: Route) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }
    pub fn routes(&self) -> Vec<Route> {
        Vec::new()
    }

    // ---- handle_*

    pub fn handle_frame(&mut self, now: Instant, iface: IfaceId, frame: Frame<'_>) {}
    pub fn handle_timeout(&mut self, now: Instant) {}

    // ---- poll_*: drain these after each handle_* and each call

    /// Hands frames to `sink` until there are none left or the device of each interface is busy.
    pub fn poll_transmit(&mut self, now: Instant, sink: &mut dyn Sink) {}
    pub fn poll_event(&mut self) -> Option<Event> {
        None
    }
    /// When `handle_timeout` wants to be called; `None` if no timer runs.
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        None
    }

    // ---- BSD calls

    /// `protocol` 0 is the type's default.
    pub fn socket(&mut self, domain: Domain, ty: Type, protocol: u8) -> Result<SocketId> {
        Err(Errno::EOPNOTSUPP)
    }
    pub fn bind(&mut self, now: Instant, socket: SocketId, addr: SocketAddr) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }
    pub fn listen(&mut self, now: Instant, socket: SocketId, backlog: i32) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }
    /// EAGAIN if no connection waits.
    pub fn accept(&mut self, now: Instant, socket: SocketId) -> Result<(SocketId, SocketAddr)> {
        Err(Errno::EOPNOTSUPP)
    }
    /// EINPROGRESS for TCP: writable when done, result by `take_error`.
    pub fn connect(&mut self, now: Instant, socket: SocketId, addr: SocketAddr) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }
    pub fn send(&mut self, now: Instant, socket: SocketId, data: &[u8], flags: MsgFlags) -> Result<usize> {
        Err(Errno::EOPNOTSUPP)
    }
    pub fn send_to(
        &mut self,
        now: Instant,
        socket: SocketId,
        data: &[u8],
        flags: MsgFlags,
        to: SocketAddr,
    ) -> Result<usize> {
        Err(Errno::EOPNOTSUPP)
    }
    /// TCP only, no copy; takes from the front of `data` what fits and leaves the rest.
    pub fn send_bytes(&mut self, now: Instant, socket: SocketId, data: &mut bytes::Bytes) -> Result<usize> {
        Err(Errno::EOPNOTSUPP)
    }
    /// 0 at the end of a stream; EAGAIN if nothing is there.
    pub fn recv(&mut self, now: Instant, socket: SocketId, buf: &mut [u8], flags: MsgFlags) -> Result<usize> {
        Err(Errno::EOPNOTSUPP)
    }
    pub fn recv_msg(
        &mut self,
        now: Instant,
        socket: SocketId,
        buf: &mut [u8],
        flags: MsgFlags,
    ) -> Result<RecvMsg> {
        Err(Errno::EOPNOTSUPP)
    }
    /// TCP only, no copy; empty at the end of the stream.
    pub fn recv_chunk(&mut self, now: Instant, socket: SocketId, max: usize) -> Result<crate::buf::Chunk> {
        Err(Errno::EOPNOTSUPP)
    }
    pub fn shutdown(&mut self, now: Instant, socket: SocketId, how: Shutdown) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }
    /// With SO_LINGER on, the skin waits until `lingering` says no or the time is over.
    pub fn close(&mut self, now: Instant, socket: SocketId) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }
    pub fn set_option(&mut self, now: Instant, socket: SocketId, option: SocketOption) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }
    pub fn option(&self, socket: SocketId, name: OptionName) -> Result<SocketOption> {
        Err(Errno::EOPNOTSUPP)
    }
    /// SO_ERROR: the pending error, cleared by reading it.
    pub fn take_error(&mut self, socket: SocketId) -> Result<Option<Errno>> {
        Err(Errno::EOPNOTSUPP)
    }
    pub fn readiness(&self, socket: SocketId) -> Result<Readiness> {
        Err(Errno::EOPNOTSUPP)
    }
    pub fn local_addr(&self, socket: SocketId) -> Result<SocketAddr> {
        Err(Errno::EOPNOTSUPP)
    }
    pub fn peer_addr(&self, socket: SocketId) -> Result<SocketAddr> {
        Err(Errno::EOPNOTSUPP)
    }

    // ---- getters

    pub fn stats(&self) -> &Stats {
        &self.stats
    }
    /// Every socket and every connection without one.
    pub fn sockets(&self) -> Vec<SocketSummary> {
        Vec::new()
    }
}
