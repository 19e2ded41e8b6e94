//! The machine: one value that owns everything and does no I/O (DESIGN D1).
//!
//! Everything enters with `now` and is drained after:
//!
//! ```text
//! stack.handle_frame(now, iface, frame)      a frame arrived
//! stack.handle_timeout(now)                  the deadline passed
//! stack.connect(now, ..), send, recv, ...    a socket call; never blocks
//!     then: poll_transmit(now, &mut sink) -> poll_event() -> poll_timeout()
//! ```
//!
//! Read in this order: this file (what it owns), `input` (a frame on its way in), `transmit` (on the
//! way out), `connections` with `handshakes` before and `time_waits` after (their life), `timeouts`; then the tables: [`demux`],
//! [`ports`], [`wheel`], `table` (what a socket is). The socket calls stand one layer up, in [`crate::socket`].

mod connections;
mod control;
pub mod demux;
mod errors;
mod handshakes;
mod input;
pub mod ports;
pub(crate) mod table;
mod time_waits;
mod timeouts;
mod transmit;
pub mod wheel;

use crate::config::Config;
use crate::endpoint::Tuple;
use crate::env::Surroundings;
use crate::errno::Result;
use crate::event::{Event, Events};
use crate::ip::{Cidr, Interface, Ip, NeighbourEntry, Route};
use crate::raw::RawTable;
use crate::rng::Rng;
use crate::stats::Stats;
use crate::tcp::{HalfOpen, Tcb, TimeWait};
use crate::time::Instant;
use crate::udp::UdpTable;
use crate::{ConnId, IfaceId, SocketId};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use demux::{Demux, HalfOpenId, TimeWaitId};
use ports::PortTable;
use slotmap::SlotMap;
use table::Socket;
use wheel::{TimerId, TimerWheel};

pub use crate::ip::InterfaceConfig;

/// Whose timer it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimerKey {
    Connection(ConnId),
    HalfOpen(HalfOpenId),
    TimeWait(TimeWaitId),
}

/// A connection and its places in the machine.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) tcb: Tcb,
    /// Its entry in the timer wheel. It may fire early: then it is armed anew.
    timer: Option<(TimerId, Instant)>,
    /// It stands in the list of those that may have something to send.
    queued: bool,
    /// The listener whose accept queue it waits in.
    pub(crate) listener: Option<SocketId>,
    /// SO_REUSEADDR and SO_REUSEPORT of its socket, while it holds its port.
    hold: Option<ports::Share>,
}

/// A half-open connection and its timer.
#[derive(Debug)]
pub(crate) struct HalfOpenEntry {
    pub(crate) record: HalfOpen,
    timer: TimerId,
}

/// A TIME-WAIT record and its timer.
#[derive(Debug)]
pub(crate) struct TimeWaitEntry {
    pub(crate) record: TimeWait,
    timer: TimerId,
    /// The connection it was.
    conn: ConnId,
    reuse: (bool, bool),
}

/// A TCP/IP stack.
#[derive(Debug)]
pub struct Stack {
    pub(crate) around: Surroundings,
    pub(crate) ip: Ip,
    pub(crate) demux: Demux,
    pub(crate) ports: PortTable,
    pub(crate) udp: UdpTable,
    pub(crate) raw: RawTable,
    pub(crate) sockets: SlotMap<SocketId, Socket>,
    pub(crate) conns: SlotMap<ConnId, Box<Conn>>,
    pub(crate) half_open: SlotMap<HalfOpenId, HalfOpenEntry>,
    pub(crate) time_wait: SlotMap<TimeWaitId, TimeWaitEntry>,
    /// TIME-WAIT records in the order they began; those that are gone are skipped.
    time_wait_order: VecDeque<TimeWaitId>,
    orphans: usize,
    wheel: TimerWheel<TimerKey>,
    /// Connections that may have something to send.
    ready: VecDeque<ConnId>,
    /// Sockets whose readiness changed and was not told yet.
    awake: VecDeque<SocketId>,
    /// The last `poll_transmit` stopped before everything was done.
    unfinished: bool,
}

/// # Setting up
impl Stack {
    /// A stack with the loopback interface and nothing else.
    pub fn new(now: Instant, config: Config) -> Self {
        let mut rng = Rng::new(config.secret);
        let events = Events::new(config.events, config.limits.events);
        let (demux, udp, raw) = (Demux::new(&mut rng), UdpTable::new(&mut rng), RawTable::new(&mut rng));
        let ports = PortTable::new(&mut rng, config.profile.ephemeral_ports);
        let mut around = Surroundings::new(config, rng, events);
        let ip = Ip::new(&mut around.env(now));
        Self {
            around,
            ip,
            demux,
            ports,
            udp,
            raw,
            sockets: SlotMap::with_key(),
            conns: SlotMap::with_key(),
            half_open: SlotMap::with_key(),
            time_wait: SlotMap::with_key(),
            time_wait_order: VecDeque::new(),
            orphans: 0,
            wheel: TimerWheel::new(now),
            ready: VecDeque::new(),
            awake: VecDeque::new(),
            unfinished: false,
        }
    }

    /// Adds an interface. Its addresses can be used at once, or after duplicate address detection if
    /// the configuration asks for it.
    pub fn add_interface(&mut self, now: Instant, config: InterfaceConfig) -> IfaceId {
        self.ip.add_interface(&mut self.around.env(now), config)
    }

    /// Removes an interface: its device is gone. Connections over it end with `ENETDOWN`.
    ///
    /// # Errors
    /// `ENODEV` if there is no such interface.
    pub fn remove_interface(&mut self, now: Instant, iface: IfaceId) -> Result<()> {
        self.ip.remove_interface(&mut self.around.env(now), iface)?;
        self.fail_connections_over(now, iface);
        Ok(())
    }

    /// Gives an interface another address.
    ///
    /// # Errors
    /// `ENODEV` without such an interface, `EEXIST` if it has the address, `EINVAL` for an address that
    /// no host can have.
    pub fn add_address(&mut self, now: Instant, iface: IfaceId, cidr: Cidr) -> Result<()> {
        self.ip.add_address(&mut self.around.env(now), iface, cidr)?;
        self.make_all_ready();
        Ok(())
    }

    /// Adds a route.
    ///
    /// # Errors
    /// `ENODEV` without such an interface, `EEXIST` for a route that is there, `ENETUNREACH` for a
    /// gateway that is not on a link.
    pub fn add_route(&mut self, route: Route) -> Result<()> {
        self.ip.add_route(route)?;
        self.make_all_ready();
        Ok(())
    }

    /// Removes a route.
    ///
    /// # Errors
    /// `EINVAL` if it is not there.
    pub fn remove_route(&mut self, route: &Route) -> Result<()> {
        self.ip.remove_route(route)
    }

    /// Changes the looks from now on, as a sysctl does. What connections have agreed on stays; sockets
    /// that exist keep their settings; the range of ephemeral ports stays.
    pub fn set_profile(&mut self, profile: crate::profile::Profile) {
        self.around.config.profile = profile;
    }

    /// Changes which diagnostic events [`Self::poll_event`] gives from now on.
    pub fn set_event_filter(&mut self, filter: crate::event::EventFilter) {
        self.around.events.set_filter(filter);
    }
}

/// # Getters
impl Stack {
    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.around.config
    }

    /// Counters and drops.
    pub fn stats(&self) -> &Stats {
        &self.around.stats
    }

    /// Every route, those of the addresses included.
    pub fn routes(&self) -> Vec<Route> {
        self.ip.routes()
    }

    /// Every interface.
    pub fn interfaces(&self) -> impl Iterator<Item = (IfaceId, &Interface)> {
        self.ip.interfaces()
    }

    /// Every neighbour.
    pub fn neighbours(&self) -> Vec<NeighbourEntry> {
        self.ip.neighbours()
    }

    /// Diagnostic events that were forgotten because nobody took them.
    pub fn events_lost(&self) -> u64 {
        self.around.events.lost()
    }

    /// How much of everything there is: what a test for leaks compares.
    pub fn usage(&self) -> Usage {
        Usage {
            sockets: self.sockets.len(),
            connections: self.conns.len(),
            half_open: self.half_open.len(),
            time_wait: self.time_wait.len(),
            flows: self.demux.len(),
            ports: self.ports.len(),
            timers: self.wheel.len(),
        }
    }
}

/// Sizes of the machine's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Usage {
    /// Sockets.
    pub sockets: usize,
    /// TCP connections.
    pub connections: usize,
    /// Half-open connections.
    pub half_open: usize,
    /// TIME-WAIT records.
    pub time_wait: usize,
    /// Address pairs in the demultiplexer.
    pub flows: usize,
    /// Local ports in use.
    pub ports: usize,
    /// Timers armed.
    pub timers: usize,
}

/// # Polling
impl Stack {
    /// What happened since the last call: sockets whose readiness changed, each once, then diagnostic
    /// events.
    pub fn poll_event(&mut self) -> Option<Event> {
        while let Some(id) = self.awake.pop_front() {
            if let Some(s) = self.sockets.get_mut(id) {
                s.announced = false;
                return Some(Event::Socket(id));
            }
        }
        self.around.events.pop()
    }

    /// When [`Self::handle_timeout`] wants to be called: never before, and soon after.
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        if self.unfinished {
            return Some(Instant::ZERO);
        }
        [self.wheel.next_deadline(), self.ip.next_deadline()].into_iter().flatten().min()
    }

    /// Tells that the readiness of a socket changed.
    pub(crate) fn wake(&mut self, id: SocketId) {
        if let Some(s) = self.sockets.get_mut(id)
            && !s.announced
        {
            s.announced = true;
            self.awake.push_back(id);
        }
    }
}

/// # Checking
impl Stack {
    /// Panics if the machine contradicts itself. Tests and fuzzers call it after every entry.
    pub fn check_invariants(&self) {
        for (id, c) in &self.conns {
            c.tcb.check_invariants();
            let tuple = Tuple::new(c.tcb.local, c.tcb.remote);
            if c.tcb.state != crate::tcp::State::Closed {
                assert_eq!(
                    self.demux.get(&tuple),
                    Some(demux::Flow::Connection(id)),
                    "{tuple} is not listed"
                );
                let deadline = c.tcb.timers.next();
                assert!(
                    deadline.is_none() || c.timer.is_some_and(|(_, at)| Some(at) <= deadline),
                    "{tuple}: a timer of the connection is not in the wheel"
                );
            }
            if let Some(s) = c.tcb.socket {
                assert!(self.sockets.contains_key(s), "{tuple}: its socket is gone");
            }
        }
        for (tuple, flow) in self.demux.iter() {
            let there = match flow {
                demux::Flow::Connection(id) => self.conns.contains_key(id),
                demux::Flow::HalfOpen(id) => self.half_open.contains_key(id),
                demux::Flow::TimeWait(id) => self.time_wait.contains_key(id),
            };
            assert!(there, "{tuple} leads nowhere");
        }
        let most = 2 * self.around.config.limits.time_wait + 17;
        assert!(self.time_wait_order.len() <= most, "the order of TIME-WAIT records is never cleared");
        let queued = self.conns.values().filter(|c| c.queued).count();
        assert!(self.ready.len() >= queued, "a connection waits to send and is not listed");
    }
}
