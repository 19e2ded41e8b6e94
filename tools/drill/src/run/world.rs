//! Everything a running script has: the stack, the descriptors, the flows.

use super::flow::Flow;
use super::host::Host;
use crate::script::{Pos, Settings};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use wirestack::SocketId;
use wirestack::socket::Type;
use wirestack::tcp::State;

/// Why a script failed: a place and words.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Where.
    pub pos: Pos,
    /// What.
    pub message: String,
}

/// Shorthand.
pub fn fault<T>(pos: Pos, message: impl Into<String>) -> Result<T, Fault> {
    Err(Fault { pos, message: message.into() })
}

/// What a descriptor is.
#[derive(Clone, Debug)]
pub enum Descriptor {
    /// A socket.
    Socket(SocketFd),
    /// epoll_create(2): what is watched, by descriptor.
    Epoll(Vec<Watch>),
}

/// A socket's descriptor.
#[derive(Clone, Debug)]
pub struct SocketFd {
    /// The socket.
    pub id: SocketId,
    /// Its type.
    pub ty: Type,
    /// AF_INET6.
    pub v6: bool,
    /// O_NONBLOCK.
    pub nonblocking: bool,
    /// The flow it is an end of.
    pub flow: Option<usize>,
}

/// What epoll watches.
#[derive(Clone, Debug)]
pub struct Watch {
    /// Which descriptor.
    pub fd: i64,
    /// For what.
    pub events: u32,
    /// What is given back with it.
    pub data: i64,
    /// EPOLLET: something happened since it was last reported.
    pub edge: bool,
    /// EPOLLONESHOT: it was reported.
    pub spent: bool,
}

/// Everything a running script has.
#[derive(Debug)]
pub struct World {
    /// The stack.
    pub host: Host,
    /// The script's settings.
    pub settings: Settings,
    /// Descriptors, by the numbers the script uses.
    pub fds: BTreeMap<i64, Descriptor>,
    /// Flows, oldest first.
    pub flows: Vec<Flow>,
    /// The flow that packets without ports belong to.
    pub current: Option<usize>,
    /// Port of the newest listener.
    pub listening: Option<u16>,
    /// The stream socket that was made last: what `%{ }%` looks at.
    pub newest_stream: Option<i64>,
    /// The peer's sequence numbers are so much larger on the wire than in scripts.
    pub peer_offset: u32,
    next_peer_port: u16,
}

impl World {
    /// Nothing has happened yet.
    pub fn new(host: Host, settings: Settings, peer_offset: u32) -> Self {
        Self {
            host,
            settings,
            fds: BTreeMap::new(),
            flows: Vec::new(),
            current: None,
            listening: None,
            newest_stream: None,
            peer_offset,
            next_peer_port: 40_001,
        }
    }

    /// The flow between these addresses.
    pub fn flow_between(&self, local: SocketAddr, remote: SocketAddr) -> Option<usize> {
        self.flows.iter().rposition(|f| f.local == local && f.remote == remote)
    }

    /// Adds a flow, or finds it; it becomes the current one.
    pub fn open_flow(&mut self, local: SocketAddr, remote: SocketAddr) -> usize {
        let local = SocketAddr::new(local.ip().to_canonical(), local.port());
        let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
        let index = self.flow_between(local, remote).unwrap_or_else(|| {
            self.flows.push(Flow::new(local, remote, self.peer_offset));
            self.flows.len() - 1
        });
        self.current = Some(index);
        index
    }

    /// Does the stack have a connection, or the remains of one, on this flow?
    pub fn is_alive(&self, flow: usize) -> bool {
        let Some(f) = self.flows.get(flow) else { return false };
        self.host.stack.sockets().iter().any(|s| {
            let same = |a: SocketAddr, b: SocketAddr| a.ip().to_canonical() == b.ip() && a.port() == b.port();
            s.ty == Type::Stream
                // A SYN may open a new connection out of TIME-WAIT, with another number of ours.
                && !matches!(s.state, State::Closed | State::Listen | State::TimeWait)
                && same(s.local, f.local)
                && same(s.remote, f.remote)
        })
    }

    /// The flow that a packet from the peer belongs to. A SYN may begin a new one.
    pub fn flow_for_inbound(&mut self, ports: Option<(u16, u16)>, syn: Option<u32>, stream: bool) -> usize {
        let (local, remote) = (self.settings.local(), self.settings.remote());
        let index = match (ports, self.current) {
            (Some((from, to)), _) => {
                self.open_flow(SocketAddr::new(local, to), SocketAddr::new(remote, from))
            }
            (None, Some(i)) if syn.is_none() || !self.is_for_newer_listener(i) => i,
            (None, _) => {
                let port = self.listening.unwrap_or(self.settings.bind_port);
                let peer = if stream { self.next_peer_port } else { self.settings.connect_port };
                self.next_peer_port += u16::from(stream);
                self.open_flow(SocketAddr::new(local, port), SocketAddr::new(remote, peer))
            }
        };
        self.current = Some(index);
        if let Some(isn) = syn {
            let alive = self.is_alive(index);
            let f = &mut self.flows[index];
            if !alive {
                f.renew();
            }
            if f.peer_isn.is_none() || !alive {
                f.peer_isn = Some(isn);
            }
        }
        index
    }

    /// A listener on another port was made since this flow began.
    fn is_for_newer_listener(&self, flow: usize) -> bool {
        let port = self.flows[flow].local.port();
        !self.is_alive(flow) && self.listening.is_some_and(|l| l != port)
    }

    /// The smallest descriptor from 3 up that is free.
    pub fn free_fd(&self) -> i64 {
        (3..).find(|n| !self.fds.contains_key(n)).unwrap_or(3)
    }

    /// Tells the epoll descriptors which sockets were woken.
    pub fn deliver_edges(&mut self) {
        let woken = std::mem::take(&mut self.host.woken);
        if woken.is_empty() {
            return;
        }
        let fds: Vec<i64> = self
            .fds
            .iter()
            .filter(|(_, d)| matches!(d, Descriptor::Socket(s) if woken.contains(&s.id)))
            .map(|(n, _)| *n)
            .collect();
        for d in self.fds.values_mut() {
            if let Descriptor::Epoll(watches) = d {
                for w in watches.iter_mut().filter(|w| fds.contains(&w.fd)) {
                    w.edge = true;
                }
            }
        }
    }
}
