//! Reassembly of fragments (RFC 791 section 3.2, RFC 815, RFC 8200 section 4.5).
//!
//! Memory is bounded in packets and in octets, with what a fragment's buffer really costs. At the bound
//! the oldest packet goes, so that a flood of fragments that never become whole does not lock out the
//! rest for the 30 or 60 s until they expire. Overlaps spoil the whole packet, as RFC 5722 wants for IPv6
//! and as Linux does for IPv4 as well: no honest sender makes them.

use super::{Datagram, ErrorKind, Ip};
use crate::IfaceId;
use crate::buf::Chunk;
use crate::config::FRAGMENT_TIMEOUT;
use crate::env::Env;
use crate::link::Frame;
use crate::reason::Drop;
use crate::time::{Duration, Instant};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::IpAddr;

#[cfg(test)]
mod tests;

/// Fragment offsets count in this many octets.
pub(super) const FRAGMENT_UNIT: usize = 8;
/// How long the rest of an IPv6 packet may take (RFC 8200 section 4.5).
const FRAGMENT_TIMEOUT_V6: Duration = Duration::from_secs(60);
/// What a fragment and what a packet cost beside their octets.
const FRAGMENT_OVERHEAD: usize = 128;
const PACKET_OVERHEAD: usize = 512;

/// What the fragments of one packet have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub iface: IfaceId,
    pub src: IpAddr,
    pub dst: IpAddr,
    pub id: u32,
    /// IPv4 only (RFC 791); 0 for IPv6.
    pub protocol: u8,
}

/// One fragment.
#[derive(Debug)]
pub(super) struct Fragment<'a> {
    pub key: Key,
    /// Everything before the data: IP header, options, extension headers, fragment header.
    pub head: &'a [u8],
    /// Octets before it in the packet: a multiple of 8.
    pub offset: usize,
    /// It is not the last.
    pub more: bool,
    pub data: Chunk,
    /// The lower two bits of the traffic class.
    pub ecn: u8,
}

/// A packet whose fragments are all there.
#[derive(Debug)]
pub(super) struct Whole {
    /// The head of its first fragment.
    pub head: Vec<u8>,
    pub parts: BTreeMap<usize, Chunk>,
    pub len: usize,
    /// Some fragment met congestion: the packet carries CE (RFC 3168 section 5.3).
    pub congested: bool,
}

#[derive(Debug)]
struct Packet {
    serial: u64,
    until: Instant,
    parts: BTreeMap<usize, Chunk>,
    have: usize,
    total: Option<usize>,
    head: Option<Vec<u8>>,
    /// Which of the four ECN codepoints the fragments carry, a bit each.
    ecn: u8,
    charge: usize,
    /// Two fragments overlapped: whatever else comes is dropped until the time is over.
    spoiled: bool,
}

/// The packets under reassembly.
#[derive(Debug, Default)]
pub(super) struct Reassembly {
    packets: BTreeMap<Key, Packet>,
    /// Oldest first, of each family (whose timeouts differ).
    order: [BTreeMap<u64, Key>; 2],
    bytes: usize,
    serial: u64,
}

impl Reassembly {
    /// Takes a fragment in; gives the packet when it was the last one missing.
    pub fn add(&mut self, env: &mut Env<'_>, fragment: Fragment<'_>) -> Result<Option<Whole>, Drop> {
        let (start, end) = (fragment.offset, fragment.offset + fragment.data.len());
        if fragment.data.is_empty() || (fragment.more && end % FRAGMENT_UNIT != 0) || end > 65_535 {
            return Err(Drop::FragmentMalformed);
        }
        let key = fragment.key;
        let charge = fragment.data.backing_len() + FRAGMENT_OVERHEAD;
        self.make_room(env, &key, charge);
        if !self.packets.contains_key(&key) {
            self.begin(env, key);
        }
        let Some(packet) = self.packets.get_mut(&key) else { return Ok(None) };
        if packet.spoiled {
            return Err(Drop::FragmentOverlap);
        }
        if let Some(same) = packet.parts.get(&start)
            && **same == *fragment.data
            && fragment.more == (packet.total != Some(end))
        {
            return Err(Drop::FragmentDuplicate);
        }
        if packet.overlaps(start, end) || !packet.ends_fit(end, fragment.more) {
            self.spoil(&key);
            return Err(Drop::FragmentOverlap);
        }
        packet.ecn |= 1 << (fragment.ecn & 3);
        packet.have += end - start;
        packet.charge += charge;
        self.bytes += charge;
        if start == 0 {
            packet.head = Some(fragment.head.to_vec());
        }
        if !fragment.more {
            packet.total = Some(end);
        }
        packet.parts.insert(start, fragment.data);
        if packet.total == Some(packet.have) { self.finish(&key) } else { Ok(None) }
    }

    fn begin(&mut self, env: &Env<'_>, key: Key) {
        self.serial += 1;
        let v6 = key.src.is_ipv6();
        let until = env.now + if v6 { FRAGMENT_TIMEOUT_V6 } else { FRAGMENT_TIMEOUT };
        self.order[usize::from(v6)].insert(self.serial, key);
        self.bytes += PACKET_OVERHEAD;
        let packet = Packet {
            serial: self.serial,
            until,
            parts: BTreeMap::new(),
            have: 0,
            total: None,
            head: None,
            ecn: 0,
            charge: PACKET_OVERHEAD,
            spoiled: false,
        };
        self.packets.insert(key, packet);
    }

    /// Drops the oldest packets until a fragment of `charge` octets fits.
    fn make_room(&mut self, env: &mut Env<'_>, key: &Key, charge: usize) {
        let limits = &env.config.limits;
        let (packets, bytes) = (limits.reassemblies.max(1), limits.reassembly_bytes);
        let known = self.packets.contains_key(key);
        let wanted = charge + if known { 0 } else { PACKET_OVERHEAD };
        while !self.packets.is_empty()
            && (self.bytes + wanted > bytes || (!known && self.packets.len() >= packets))
        {
            let heads = self.order.iter().filter_map(|o| o.first_key_value());
            let Some(oldest) = heads.min_by_key(|(serial, _)| **serial).map(|(_, k)| *k) else { break };
            self.remove(&oldest);
            env.drop(Drop::FragmentTooMany);
        }
    }

    fn remove(&mut self, key: &Key) -> Option<Packet> {
        let packet = self.packets.remove(key)?;
        self.order[usize::from(key.src.is_ipv6())].remove(&packet.serial);
        self.bytes -= packet.charge;
        Some(packet)
    }

    /// Forgets what a packet consists of, and remembers that nothing more of it is wanted.
    fn spoil(&mut self, key: &Key) {
        if let Some(packet) = self.packets.get_mut(key) {
            self.bytes -= packet.charge - PACKET_OVERHEAD;
            packet.charge = PACKET_OVERHEAD;
            packet.parts.clear();
            packet.head = None;
            packet.spoiled = true;
        }
    }

    fn finish(&mut self, key: &Key) -> Result<Option<Whole>, Drop> {
        let Some(packet) = self.remove(key) else { return Ok(None) };
        let Some(head) = packet.head else { return Ok(None) };
        let congested = packet.ecn & 0b1000 != 0;
        if congested && packet.ecn & 0b0001 != 0 {
            // Some fragments can carry a congestion mark and some cannot: no sender does that.
            return Err(Drop::FragmentMalformed);
        }
        Ok(Some(Whole { head, parts: packet.parts, len: packet.have, congested }))
    }

    /// When the oldest packet expires.
    pub fn next_deadline(&self) -> Option<Instant> {
        let heads = self.order.iter().filter_map(|o| o.first_key_value());
        heads.filter_map(|(_, key)| Some(self.packets.get(key)?.until)).min()
    }

    /// A packet that expired.
    fn pop_expired(&mut self, now: Instant) -> Option<(Key, Packet)> {
        let heads = self.order.iter().filter_map(|o| o.first_key_value());
        let late = |k: &Key| self.packets.get(k).is_some_and(|p| p.until <= now);
        let key = heads.map(|(_, k)| *k).find(late)?;
        self.remove(&key).map(|p| (key, p))
    }

    /// Forgets everything that came through an interface.
    pub fn remove_interface(&mut self, iface: IfaceId) {
        let gone: Vec<Key> = self.packets.keys().filter(|k| k.iface == iface).copied().collect();
        for key in gone {
            self.remove(&key);
        }
    }
}

impl Packet {
    fn overlaps(&self, start: usize, end: usize) -> bool {
        let before = self.parts.range(..=start).next_back();
        let after = self.parts.range(start..).next();
        before.is_some_and(|(at, part)| at + part.len() > start) || after.is_some_and(|(at, _)| *at < end)
    }

    /// Is the end of a fragment where it can be, after what is known of the end of the packet?
    fn ends_fit(&self, end: usize, more: bool) -> bool {
        let last = self.parts.last_key_value().map_or(0, |(at, part)| at + part.len());
        match (self.total, more) {
            (Some(total), true) => end < total,
            (Some(total), false) => end == total,
            (None, true) => true,
            (None, false) => last <= end,
        }
    }
}

impl Whole {
    /// The packet in one piece behind `head`.
    pub fn into_chunk(self, head: &[u8]) -> Chunk {
        let mut bytes = Vec::with_capacity(head.len() + self.len);
        bytes.extend_from_slice(head);
        for part in self.parts.values() {
            bytes.extend_from_slice(part);
        }
        Chunk::copy_from(&bytes)
    }
}

impl Ip {
    /// Drops the packets whose time is over; their sender hears of it if we have their first fragment
    /// (RFC 1122 section 3.3.2, RFC 4443 section 3.3).
    pub(super) fn expire_reassemblies(&mut self, env: &mut Env<'_>) {
        while let Some((key, packet)) = self.reassembly.pop_expired(env.now) {
            env.drop(Drop::FragmentTimeout);
            let (Some(mut quote), Some(first)) = (packet.head, packet.parts.get(&0)) else { continue };
            let header = quote.len();
            quote.extend_from_slice(first);
            let about = Datagram {
                iface: key.iface,
                src: key.src,
                dst: key.dst,
                // IPv6: what follows is found by walking the quote, not by this number.
                protocol: key.protocol,
                hop_limit: 0,
                traffic_class: 0,
                broadcast: key.dst.is_multicast() || self.is_broadcast(key.dst),
                frame: Frame::from(&quote[..]),
                packet: (0..quote.len()).into(),
                payload: (header..quote.len()).into(),
            };
            self.send_icmp_error(env, &about, ErrorKind::TimeExceeded { code: 1 });
        }
    }
}
