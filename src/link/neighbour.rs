//! The neighbour cache of an interface: which link address belongs to which IP address. ARP (RFC 826)
//! and NDP (RFC 4861) share it; the states are those of RFC 4861 section 7.3.2 for both.
//!
//! ```text
//!            asked            answered             30 s            used            5 s
//!  (none) ---------> INCOMPLETE -------> REACHABLE ----> STALE ----------> DELAY -----> PROBE
//!     ^                 | 3 x 1 s           ^              ^                 | upper layer |
//!     +-----------------+                   |              | heard of it    | confirms    | answered
//!     ^                                     +--------------|----------------+-------------+
//!     +------------------------------------------------------------- 3 x 1 s, no answer ---+
//! ```
//!
//! The cache sends nothing itself: `NeighbourCache::poll` says whom to ask and who did not answer.
//!
//! Bounds (RFC 4861 section 7.2.2, RFC 6583): the table has a limit, at most half of it is unresolved,
//! each unresolved neighbour holds few packets, and all together hold `MAX_HELD` octets. What makes
//! room is chosen so that ten thousand hosts that never answer do not keep away the one that does.

use super::OwnedFrame;
use crate::env::Env;
use crate::reason::Drop;
use crate::time::{Duration, Instant};
use alloc::collections::{BTreeMap, VecDeque};
use core::net::IpAddr;

#[cfg(test)]
mod tests;

/// Time between two solicitations (RETRANS_TIMER).
pub const RETRANS_TIMER: Duration = Duration::from_secs(1);
/// Solicitations before a neighbour is given up (MAX_MULTICAST_SOLICIT, MAX_UNICAST_SOLICIT).
pub const MAX_SOLICIT: u8 = 3;
/// How long an upper layer has to confirm an old entry in use (DELAY_FIRST_PROBE_TIME).
pub const DELAY_FIRST_PROBE: Duration = Duration::from_secs(5);
/// Half to one and a half times this an answer is good for (REACHABLE_TIME).
pub const REACHABLE_TIME: Duration = Duration::from_secs(30);
/// Octets that wait for one neighbour (Linux: unres_qlen_bytes).
const MAX_HELD_EACH: usize = 212_992;
/// Octets that wait for all neighbours of an interface.
const MAX_HELD: usize = 4 << 20;

/// The state of a neighbour (RFC 4861 section 7.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NeighbourState {
    /// Its link address was asked for; no answer yet.
    Incomplete,
    /// It answered lately.
    Reachable,
    /// Its link address is known, but old or hearsay.
    Stale,
    /// Stale and in use again: upper layers have a moment to confirm it.
    Delay,
    /// Stale, in use and unconfirmed: it is being asked.
    Probe,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Incomplete { sent: u8, at: Instant },
    Reachable { until: Instant },
    Stale,
    Delay { until: Instant },
    Probe { sent: u8, at: Instant },
}

#[derive(Debug)]
struct Neighbour {
    mac: [u8; 6],
    state: State,
    /// The cache's clock when it was last of use; the smallest is evicted first.
    used: u64,
    waiting: VecDeque<OwnedFrame>,
    waiting_bytes: usize,
}

impl Neighbour {
    /// When it wants to be polled.
    fn due(&self) -> Option<Instant> {
        match self.state {
            State::Incomplete { at, .. } | State::Probe { at, .. } => Some(at),
            State::Delay { until } => Some(until),
            State::Reachable { .. } | State::Stale => None,
        }
    }

    fn is_unresolved(&self) -> bool {
        matches!(self.state, State::Incomplete { .. })
    }
}

/// What a packet from a neighbour said about its link address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It asked for an address of ours: it wants to talk (ARP request, neighbour solicitation).
    Request([u8; 6]),
    /// An ARP reply to us.
    ArpReply([u8; 6]),
    /// An ARP announcement to everyone.
    ArpAnnouncement([u8; 6]),
    /// A neighbour advertisement.
    Advertisement {
        /// The target link-layer address option.
        mac: Option<[u8; 6]>,
        /// It answers a solicitation of ours.
        solicited: bool,
        /// It may replace a link address already known.
        overriding: bool,
    },
}

/// What follows from something heard.
#[derive(Debug, Default)]
pub(crate) struct Learned {
    /// There is, or was made, an entry.
    pub known: bool,
    /// The neighbour is newly reachable.
    pub reachable: bool,
    /// The link address, and the frames that waited for it.
    pub release: Option<([u8; 6], VecDeque<OwnedFrame>)>,
}

/// What is to be done about a neighbour.
#[derive(Debug)]
pub(crate) enum Due {
    /// Ask for its link address: everyone, or this link address.
    Solicit(IpAddr, Option<[u8; 6]>),
    /// It did not answer; these frames waited for it.
    Failed(IpAddr, VecDeque<OwnedFrame>),
}

/// The cache. The limits come with the configuration at each call.
#[derive(Debug, Default)]
pub(crate) struct NeighbourCache {
    table: BTreeMap<IpAddr, Neighbour>,
    unresolved: usize,
    held: usize,
    clock: u64,
    /// Nothing is due earlier.
    deadline: Option<Instant>,
}

impl NeighbourCache {
    /// The link address to send to, if it is known. Using an old one starts its verification.
    pub fn resolve(&mut self, now: Instant, addr: IpAddr) -> Option<[u8; 6]> {
        let entry = self.table.get_mut(&addr)?;
        self.clock += 1;
        entry.used = self.clock;
        let stale = match entry.state {
            State::Incomplete { .. } => return None,
            State::Reachable { until } => until <= now,
            State::Stale => true,
            State::Delay { .. } | State::Probe { .. } => false,
        };
        if stale {
            let until = now + DELAY_FIRST_PROBE;
            entry.state = State::Delay { until };
            self.deadline = Some(self.deadline.map_or(until, |d| d.min(until)));
        }
        Some(entry.mac)
    }

    /// Keeps a frame until the neighbour's link address is known. Poll afterwards: it may have to be
    /// asked.
    pub fn hold(&mut self, env: &mut Env<'_>, addr: IpAddr, frame: OwnedFrame) {
        if !self.table.contains_key(&addr) {
            self.insert(env, addr, [0; 6], State::Incomplete { sent: 0, at: env.now });
            self.deadline = Some(self.deadline.map_or(env.now, |d| d.min(env.now)));
        }
        let Some(entry) = self.table.get_mut(&addr) else { return };
        entry.waiting_bytes += frame.bytes.len();
        self.held += frame.bytes.len();
        entry.waiting.push_back(frame);
        // The newest packet is the one worth keeping (RFC 1122 section 2.3.2.2).
        while entry.waiting.len() > env.config.limits.neighbour_queue.max(1)
            || (entry.waiting_bytes > MAX_HELD_EACH && entry.waiting.len() > 1)
        {
            drop_oldest(env, entry, &mut self.held);
        }
        while self.held > MAX_HELD {
            let Some(largest) = self.table.values_mut().max_by_key(|n| n.waiting_bytes) else { break };
            drop_oldest(env, largest, &mut self.held);
        }
    }

    /// Takes in what was heard about a neighbour.
    pub fn learn(&mut self, env: &mut Env<'_>, addr: IpAddr, heard: Heard) -> Learned {
        let reachable = State::Reachable { until: env.now + reachable_time(env) };
        let Some(entry) = self.table.get_mut(&addr) else {
            if let Heard::Request(mac) = heard {
                self.insert(env, addr, mac, State::Stale);
            }
            return Learned { known: matches!(heard, Heard::Request(_)), ..Learned::default() };
        };
        let before = entry.state;
        let (mac, state) = next_state(entry, heard, reachable, env.now);
        entry.mac = mac;
        entry.state = state;
        let mut learned = Learned { known: true, ..Learned::default() };
        learned.reachable =
            matches!(state, State::Reachable { .. }) && !matches!(before, State::Reachable { .. });
        if matches!(before, State::Incomplete { .. }) && !entry.is_unresolved() {
            self.unresolved -= 1;
            self.held -= entry.waiting_bytes;
            entry.waiting_bytes = 0;
            learned.release = Some((mac, core::mem::take(&mut entry.waiting)));
        }
        if let Some(due) = entry.due() {
            self.deadline = Some(self.deadline.map_or(due, |d| d.min(due)));
        }
        learned
    }

    /// An upper layer got an answer through this neighbour (RFC 4861 section 7.3.1). It must have a
    /// link address already.
    pub fn confirm(&mut self, now: Instant, addr: IpAddr) {
        if let Some(entry) = self.table.get_mut(&addr)
            && !entry.is_unresolved()
        {
            entry.state = State::Reachable { until: now + REACHABLE_TIME };
        }
    }

    /// The next thing that is due; call until there is none.
    pub fn poll(&mut self, now: Instant) -> Option<Due> {
        if self.deadline.is_none_or(|d| d > now) {
            return None;
        }
        let due = self.table.iter().find(|(_, n)| n.due().is_some_and(|d| d <= now)).map(|(a, _)| *a);
        let Some(addr) = due else {
            self.deadline = self.table.values().filter_map(Neighbour::due).min();
            return None;
        };
        let entry = self.table.get_mut(&addr)?;
        let (sent, unicast) = match entry.state {
            State::Incomplete { sent, .. } => (sent, None),
            State::Probe { sent, .. } => (sent, Some(entry.mac)),
            State::Delay { .. } => (0, Some(entry.mac)),
            State::Reachable { .. } | State::Stale => return None,
        };
        if sent >= MAX_SOLICIT {
            let entry = self.remove(addr)?;
            return Some(Due::Failed(addr, entry.waiting));
        }
        let (sent, at) = (sent + 1, now + RETRANS_TIMER);
        entry.state =
            if unicast.is_some() { State::Probe { sent, at } } else { State::Incomplete { sent, at } };
        Some(Due::Solicit(addr, unicast))
    }

    /// When [`Self::poll`] has something to do; may be too early, is never too late.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Frames that wait for a link address.
    pub fn waiting(&self) -> usize {
        self.table.values().map(|n| n.waiting.len()).sum()
    }

    /// All entries, in the order of their addresses.
    pub fn iter(&self) -> impl Iterator<Item = (IpAddr, Option<[u8; 6]>, NeighbourState)> + '_ {
        self.table.iter().map(|(addr, n)| {
            let state = match n.state {
                State::Incomplete { .. } => NeighbourState::Incomplete,
                State::Reachable { .. } => NeighbourState::Reachable,
                State::Stale => NeighbourState::Stale,
                State::Delay { .. } => NeighbourState::Delay,
                State::Probe { .. } => NeighbourState::Probe,
            };
            (*addr, (!n.is_unresolved()).then_some(n.mac), state)
        })
    }

    fn insert(&mut self, env: &mut Env<'_>, addr: IpAddr, mac: [u8; 6], state: State) {
        let limit = env.config.limits.neighbours.max(2);
        let unresolved = matches!(state, State::Incomplete { .. });
        if unresolved && self.unresolved >= limit / 2 {
            self.evict(env, Neighbour::is_unresolved);
        } else if self.table.len() >= limit {
            self.evict(env, |n| !n.is_unresolved());
        }
        self.clock += 1;
        self.unresolved += usize::from(unresolved);
        let entry = Neighbour { mac, state, used: self.clock, waiting: VecDeque::new(), waiting_bytes: 0 };
        self.table.insert(addr, entry);
    }

    /// Makes room. Of unresolved neighbours the one goes that was asked most often, for it is the
    /// least likely to answer; of the others the one least recently used, unverified ones first.
    fn evict(&mut self, env: &mut Env<'_>, among: fn(&Neighbour) -> bool) {
        let victim = self.table.iter().filter(|(_, n)| among(n)).min_by_key(|(_, n)| {
            let class = match n.state {
                State::Incomplete { sent, .. } => MAX_SOLICIT.saturating_sub(sent),
                State::Stale => 0,
                State::Reachable { .. } | State::Delay { .. } | State::Probe { .. } => 1,
            };
            (class, n.used)
        });
        let Some((&addr, _)) = victim else { return };
        if let Some(gone) = self.remove(addr) {
            for _ in &gone.waiting {
                env.drop(Drop::NeighbourTableFull);
            }
        }
    }

    fn remove(&mut self, addr: IpAddr) -> Option<Neighbour> {
        let entry = self.table.remove(&addr)?;
        self.unresolved -= usize::from(entry.is_unresolved());
        self.held -= entry.waiting_bytes;
        Some(entry)
    }
}

fn drop_oldest(env: &mut Env<'_>, entry: &mut Neighbour, held: &mut usize) {
    if let Some(old) = entry.waiting.pop_front() {
        entry.waiting_bytes -= old.bytes.len();
        *held -= old.bytes.len();
        env.drop(Drop::NeighbourQueueFull);
    }
}

/// REACHABLE_TIME, spread so that hosts do not probe in step (RFC 4861 section 6.3.2).
fn reachable_time(env: &mut Env<'_>) -> Duration {
    REACHABLE_TIME / 2 + Duration::from_millis(u64::from(env.rng.below(30_000)))
}

/// The link address and state after something was heard about a known neighbour.
fn next_state(entry: &Neighbour, heard: Heard, reachable: State, now: Instant) -> ([u8; 6], State) {
    let unchanged = (entry.mac, entry.state);
    if entry.is_unresolved() {
        return match heard {
            Heard::Request(mac) | Heard::ArpAnnouncement(mac) => (mac, State::Stale),
            Heard::ArpReply(mac) => (mac, reachable),
            Heard::Advertisement { mac: Some(mac), solicited, .. } => {
                (mac, if solicited { reachable } else { State::Stale })
            }
            Heard::Advertisement { mac: None, .. } => unchanged,
        };
    }
    match heard {
        Heard::Request(mac) | Heard::ArpReply(mac) | Heard::ArpAnnouncement(mac) if mac != entry.mac => {
            doubt(entry, mac, now)
        }
        // Only an answer to a question says that packets of ours arrive.
        Heard::ArpReply(mac) if matches!(entry.state, State::Probe { .. }) => (mac, reachable),
        Heard::Request(_) | Heard::ArpReply(_) | Heard::ArpAnnouncement(_) => unchanged,
        // RFC 4861 section 7.2.5.
        Heard::Advertisement { mac, solicited, overriding } => {
            let mac = mac.unwrap_or(entry.mac);
            let differs = mac != entry.mac;
            match entry.state {
                State::Reachable { .. } if differs && !overriding => (entry.mac, State::Stale),
                _ if differs && !overriding => unchanged,
                _ if solicited => (mac, reachable),
                _ if differs => (mac, State::Stale),
                _ => unchanged,
            }
        }
    }
}

/// Somebody claims that a known neighbour has a new link address. Hearsay moves an entry that is not
/// in use; one in use is first asked at its old address, so that one forged frame does not take over
/// the gateway. If it has really moved, it does not answer there, and is looked up anew in 3 s.
/// (RFC 4861 section 7.2.3 would let a solicitation replace it at once, with a "should".)
fn doubt(entry: &Neighbour, new: [u8; 6], now: Instant) -> ([u8; 6], State) {
    match entry.state {
        State::Reachable { .. } | State::Delay { .. } => (entry.mac, State::Probe { sent: 0, at: now }),
        State::Probe { .. } => (entry.mac, entry.state),
        State::Stale | State::Incomplete { .. } => (new, State::Stale),
    }
}
