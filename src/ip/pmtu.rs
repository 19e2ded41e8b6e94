//! Learned path MTUs (RFC 1191, RFC 8201). Only upper layers add to it, after they checked that the
//! ICMP error quotes something they sent.

use super::Ip;
use crate::time::{Duration, Instant};
use alloc::collections::BTreeMap;
use core::net::IpAddr;

/// How long a learned path MTU holds (RFC 1191 section 6.3: ten minutes).
pub const PATH_MTU_LIFETIME: Duration = Duration::from_secs(600);
/// No router makes an IPv4 path smaller than this for us (Linux: min_pmtu 552): a forged "MTU 68"
/// would make us send 28 octets of payload in a packet.
pub const MIN_PATH_MTU_V4: usize = 552;
/// The least MTU of an IPv6 link (RFC 8200 section 5).
pub const MIN_PATH_MTU_V6: usize = 1280;
/// Destinations remembered.
const LIMIT: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct PathMtus {
    table: BTreeMap<IpAddr, (usize, Instant)>,
    /// Nothing expires earlier.
    deadline: Option<Instant>,
}

impl PathMtus {
    pub fn get(&self, dst: IpAddr) -> Option<usize> {
        self.table.get(&dst).map(|e| e.0)
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Forgets what is too old; true if there was anything.
    pub fn expire(&mut self, now: Instant) -> bool {
        if self.deadline.is_none_or(|d| d > now) {
            return false;
        }
        let before = self.table.len();
        self.table.retain(|_, e| e.1 > now);
        self.deadline = self.table.values().map(|e| e.1).min();
        self.table.len() != before
    }

    fn learn(&mut self, now: Instant, dst: IpAddr, mtu: usize) {
        if self.table.len() >= LIMIT && !self.table.contains_key(&dst) {
            let oldest = self.table.iter().min_by_key(|(_, e)| e.1).map(|(a, _)| *a);
            oldest.map(|a| self.table.remove(&a));
        }
        let until = now + PATH_MTU_LIFETIME;
        self.table.insert(dst, (mtu, until));
        self.deadline = Some(self.deadline.map_or(until, |d| d.min(until)));
    }
}

impl Ip {
    /// Remembers for ten minutes that packets to `dst` must not exceed `mtu` octets; true if that is
    /// less than before. A path MTU never grows by an ICMP message, and never falls below 552 (IPv4)
    /// or 1280 (IPv6).
    ///
    /// Call it only for an error that quotes a packet of ours which was really in flight.
    pub fn learn_path_mtu(&mut self, now: Instant, dst: IpAddr, mtu: usize) -> bool {
        let Ok(path) = self.path(None, dst, None) else { return false };
        let mtu = mtu.max(if dst.is_ipv4() { MIN_PATH_MTU_V4 } else { MIN_PATH_MTU_V6 });
        if path.iface == crate::IfaceId::LOOPBACK || mtu >= path.mtu {
            return false;
        }
        self.path_mtus.learn(now, dst, mtu);
        self.changed();
        true
    }
}
