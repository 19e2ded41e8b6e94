//! Duplicate address detection: RFC 4862 section 5.4 for IPv6, RFC 5227 for IPv4.
//!
//! ```text
//! IPv6   0..1 s   NS probe   1 s   usable
//! IPv4   0..1 s   ARP probe  1..2 s  ARP probe  1..2 s  ARP probe  2 s  usable, announced  2 s  announced
//! ```

use super::{AddressState, Ip};
use crate::IfaceId;
use crate::env::Env;
use crate::event::Event;
use crate::link::neighbour::RETRANS_TIMER;
use crate::time::{Duration, Instant};
use core::net::IpAddr;

/// Where the detection for one address stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Probing {
    /// When the next step is due.
    at: Instant,
    /// Probes and announcements sent.
    sent: u8,
}

impl Probing {
    /// The first probe goes out after a random delay, so that hosts switched on together do not probe
    /// together (PROBE_WAIT, MAX_RTR_SOLICITATION_DELAY: 1 s).
    pub fn begin(env: &mut Env<'_>) -> Self {
        Self { at: env.now + Duration::from_millis(u64::from(env.rng.below(1000))), sent: 0 }
    }
}

/// ARP probes (PROBE_NUM).
const ARP_PROBES: u8 = 3;
/// Announcements after them (ANNOUNCE_NUM).
const ARP_ANNOUNCEMENTS: u8 = 2;
/// After the last probe (ANNOUNCE_WAIT), and between announcements (ANNOUNCE_INTERVAL).
const ANNOUNCE_WAIT: Duration = Duration::from_secs(2);
/// An address is defended at most this often (DEFEND_INTERVAL).
const DEFEND_INTERVAL: Duration = Duration::from_secs(10);

/// What one step of the detection comes to.
enum Step {
    Probe {
        next: Duration,
    },
    /// The address is ours; IPv4 tells everyone.
    Won {
        announce: bool,
        next: Option<Duration>,
    },
}

fn step(addr: IpAddr, sent: u8, env: &mut Env<'_>) -> Step {
    let between = |env: &mut Env<'_>| Duration::from_millis(1000 + u64::from(env.rng.below(1000)));
    match addr {
        IpAddr::V6(_) if sent == 0 => Step::Probe { next: RETRANS_TIMER },
        IpAddr::V6(_) => Step::Won { announce: false, next: None },
        IpAddr::V4(_) if sent + 1 < ARP_PROBES => Step::Probe { next: between(env) },
        IpAddr::V4(_) if sent < ARP_PROBES => Step::Probe { next: ANNOUNCE_WAIT },
        IpAddr::V4(_) => {
            let more = sent + 1 < ARP_PROBES + ARP_ANNOUNCEMENTS;
            Step::Won { announce: true, next: more.then_some(ANNOUNCE_WAIT) }
        }
    }
}

impl Ip {
    /// Sends the probes and announcements that are due.
    pub(super) fn poll_duplicates(&mut self, env: &mut Env<'_>, iface: IfaceId) {
        let mut index = 0;
        while let Some(address) = self.interface_mut(iface).and_then(|f| f.addresses.get_mut(index)) {
            index += 1;
            let Some(probing) = address.probing.filter(|p| p.at <= env.now) else { continue };
            let addr = address.cidr.addr;
            let (again, probe, announce) = match step(addr, probing.sent, env) {
                Step::Probe { next } => (Some(next), true, false),
                Step::Won { announce, next } => (next, false, announce),
            };
            address.probing = again.map(|d| Probing { at: env.now + d, sent: probing.sent + 1 });
            let won = !probe && address.state == AddressState::Tentative;
            if won {
                address.state = AddressState::Preferred;
                self.changed();
            }
            match addr {
                IpAddr::V4(a) if probe => self.send_arp_probe(env, iface, a),
                IpAddr::V4(a) if announce => self.send_arp_announcement(env, iface, a),
                IpAddr::V6(a) if probe => self.send_duplicate_probe(env, iface, a),
                _ => {}
            }
        }
    }

    /// When the next probe or announcement is due.
    pub(super) fn duplicates_deadline(&self) -> Option<Instant> {
        self.interfaces().flat_map(|(_, f)| &f.addresses).filter_map(|a| Some(a.probing?.at)).min()
    }

    /// Another host claims an address of ours. A tentative one is given up; one in use is kept, and
    /// announced again at most every ten seconds (RFC 5227 section 2.4 (c): connections live on it).
    /// True if the address is still wanted.
    pub(super) fn conflict(&mut self, env: &mut Env<'_>, iface: IfaceId, addr: IpAddr) -> bool {
        let now = env.now;
        let Some(interface) = self.interface_mut(iface) else { return false };
        let Some(address) = interface.addresses.iter_mut().find(|a| a.cidr.addr == addr) else {
            return false;
        };
        if address.state == AddressState::Duplicate {
            return false;
        }
        let tentative = address.state == AddressState::Tentative;
        let defend = !tentative && address.defended.is_none_or(|t| t + DEFEND_INTERVAL <= now);
        if tentative {
            address.state = AddressState::Duplicate;
            address.probing = None;
        }
        if tentative || defend {
            address.defended = Some(now);
            env.events.push(Event::AddressConflict { at: now, iface, addr });
        }
        if let (true, IpAddr::V4(a)) = (defend, addr) {
            self.send_arp_announcement(env, iface, a);
        }
        !tentative
    }
}
