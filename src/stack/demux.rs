//! Which connection or listener a TCP segment belongs to.
//!
//! The peer chooses half of a tuple, so the tables are keyed with a secret ([`TableKey`]).

#[cfg(test)]
mod tests;

pub use crate::endpoint::{Endpoint, LocalAddr, TableKey, Tuple};
use crate::rng::Rng;
use crate::{ConnId, IfaceId, SocketId};
use alloc::vec::Vec;
use core::net::IpAddr;
use hashbrown::HashMap;

slotmap::new_key_type! {
    /// A half-open connection: a SYN was answered, the handshake's last ACK is awaited.
    pub struct HalfOpenId;
    /// A connection in TIME-WAIT.
    pub struct TimeWaitId;
}

/// What a 4-tuple leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flow {
    /// A connection with all its state.
    Connection(ConnId),
    /// A compact record of one in SYN-RECEIVED.
    HalfOpen(HalfOpenId),
    /// A compact record of one in TIME-WAIT.
    TimeWait(TimeWaitId),
}

#[derive(Clone, Copy, Debug)]
struct Listener {
    addr: LocalAddr,
    iface: Option<IfaceId>,
    socket: SocketId,
}

impl Listener {
    fn score(&self, dst: IpAddr, iface: IfaceId) -> u8 {
        match (self.addr.score(dst), self.iface) {
            (0, _) => 0,
            (s, None) => s,
            // Bound to this interface beats not bound, but not an exact address.
            (s, Some(i)) if i == iface => s + 2,
            (_, Some(_)) => 0,
        }
    }
}

/// Connections by 4-tuple and listeners by port.
#[derive(Debug)]
pub struct Demux {
    flows: HashMap<Tuple, Flow, TableKey>,
    listeners: HashMap<u16, Vec<Listener>, TableKey>,
    key: TableKey,
}

impl Demux {
    /// Empty tables with keys of their own.
    pub fn new(rng: &mut Rng) -> Self {
        Self {
            flows: HashMap::with_hasher(TableKey::new(rng)),
            listeners: HashMap::with_hasher(TableKey::new(rng)),
            key: TableKey::new(rng),
        }
    }

    /// What a tuple leads to.
    pub fn get(&self, tuple: &Tuple) -> Option<Flow> {
        self.flows.get(tuple).copied()
    }

    /// Adds a tuple. Gives back what was there before; that stays, and nothing is added.
    ///
    /// # Errors
    /// The flow that has the tuple.
    pub fn insert(&mut self, tuple: Tuple, flow: Flow) -> Result<(), Flow> {
        match self.flows.entry(tuple) {
            hashbrown::hash_map::Entry::Occupied(e) => Err(*e.get()),
            hashbrown::hash_map::Entry::Vacant(e) => {
                e.insert(flow);
                Ok(())
            }
        }
    }

    /// Lets a tuple lead to `flow` from now on, as when a half-open connection is established or a
    /// connection enters TIME-WAIT. Returns what it led to.
    pub fn replace(&mut self, tuple: Tuple, flow: Flow) -> Option<Flow> {
        self.flows.insert(tuple, flow)
    }

    /// Removes a tuple; returns what it led to.
    pub fn remove(&mut self, tuple: &Tuple) -> Option<Flow> {
        self.flows.remove(tuple)
    }

    /// Tuples in the table.
    pub fn len(&self) -> usize {
        self.flows.len()
    }

    /// Is the table empty?
    pub fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }

    /// Every tuple, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = (&Tuple, Flow)> {
        self.flows.iter().map(|(t, f)| (t, *f))
    }

    /// Adds a listener. Whether its address is free is for [`super::ports::PortTable`] to say.
    pub fn listen_insert(&mut self, addr: LocalAddr, port: u16, iface: Option<IfaceId>, socket: SocketId) {
        self.listeners.entry(port).or_default().push(Listener { addr, iface, socket });
    }

    /// Removes a listener. False if it was none.
    pub fn listen_remove(&mut self, port: u16, socket: SocketId) -> bool {
        let Some(list) = self.listeners.get_mut(&port) else { return false };
        let before = list.len();
        list.retain(|l| l.socket != socket);
        let removed = list.len() < before;
        if list.is_empty() {
            self.listeners.remove(&port);
        }
        removed
    }

    /// Who listens for a SYN with this tuple that came in on `iface`: the most specific listener. Among
    /// equals (SO_REUSEPORT) a keyed hash of the tuple decides, so that a retransmitted SYN and the
    /// handshake's last ACK find the same one.
    pub fn listener(&self, tuple: &Tuple, iface: IfaceId) -> Option<SocketId> {
        let list = self.listeners.get(&tuple.local.port)?;
        let mut best = 0;
        let mut equals = 0;
        let mut first = None;
        for l in list {
            let score = l.score(tuple.local.addr, iface);
            if score > best {
                (best, equals, first) = (score, 1, Some(l.socket));
            } else if score == best && score > 0 {
                equals += 1;
            }
        }
        if equals <= 1 {
            return first;
        }
        let nth = self.key.choose(tuple, equals);
        list.iter().filter(|l| l.score(tuple.local.addr, iface) == best).nth(nth).map(|l| l.socket)
    }

    /// Listening sockets with their ports.
    pub fn listeners(&self) -> impl Iterator<Item = (u16, SocketId)> {
        self.listeners.iter().flat_map(|(&port, list)| list.iter().map(move |l| (port, l.socket)))
    }
}
