use super::*;
use crate::config::Config;
use crate::env::Surroundings;
use crate::event::{EventFilter, Events};
use crate::rng::Rng;
use alloc::vec;
use core::net::{Ipv4Addr, Ipv6Addr};
use proptest::prelude::*;

struct Bed {
    reassembly: Reassembly,
    around: Surroundings,
    now: Instant,
}

impl Bed {
    fn new() -> Self {
        Self {
            reassembly: Reassembly::default(),
            around: Surroundings::new(
                Config::default(),
                Rng::new([1, 1]),
                Events::new(EventFilter::NONE, 16),
            ),
            now: Instant::from_secs(100),
        }
    }

    fn add(
        &mut self,
        id: u32,
        offset: usize,
        more: bool,
        data: &[u8],
        ecn: u8,
    ) -> Result<Option<Whole>, Drop> {
        let fragment =
            Fragment { key: key(id), head: b"head", offset, more, data: Chunk::copy_from(data), ecn };
        let mut env = self.around.env(self.now);
        let result = self.reassembly.add(&mut env, fragment);
        // In a flood the books are looked at now and then: it takes a while.
        if self.reassembly.packets.len() < 50 || id.is_multiple_of(1000) {
            self.check();
        }
        result
    }

    /// What is counted is what is there, and it is within the limits.
    fn check(&self) {
        let r = &self.reassembly;
        assert_eq!(r.bytes, r.packets.values().map(|p| p.charge).sum::<usize>());
        assert_eq!(r.packets.len(), r.order.iter().map(BTreeMap::len).sum::<usize>());
        assert!(r.bytes <= self.around.config.limits.reassembly_bytes);
        assert!(r.packets.len() <= self.around.config.limits.reassemblies);
        for p in r.packets.values() {
            assert_eq!(p.have * usize::from(!p.spoiled), p.parts.values().map(Chunk::len).sum::<usize>());
        }
    }
}

fn key(id: u32) -> Key {
    let (src, dst) = (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)));
    Key { iface: IfaceId(1), src, dst, id, protocol: 17 }
}

fn text(whole: Whole) -> Vec<u8> {
    whole.into_chunk(b"").to_vec()
}

proptest! {
    /// Any cut, any order, any repetition: out comes what went in, once.
    #[test]
    fn fragments_in_any_order_make_the_packet(
        cuts in proptest::collection::vec(1usize..40, 1..60),
        tail in 1usize..100,
        order in proptest::collection::vec(any::<u16>(), 0..200),
    ) {
        let total = cuts.iter().sum::<usize>() * 8 + tail;
        let data: Vec<u8> = (0..total).map(|i| (i / 8 * 3 + i) as u8).collect();
        let mut parts = Vec::new();
        let mut at = 0;
        for c in &cuts {
            parts.push((at, true, &data[at..at + c * 8]));
            at += c * 8;
        }
        parts.push((at, false, &data[at..]));
        let mut bed = Bed::new();
        let mut missing: alloc::collections::BTreeSet<usize> = (0..parts.len()).collect();
        let mut schedule: Vec<usize> = order.iter().map(|&o| usize::from(o) % parts.len()).collect();
        schedule.extend((0..parts.len()).rev());
        for i in schedule {
            let (at, more, bytes) = parts[i];
            let seen = !missing.remove(&i);
            let result = bed.add(1, at, more, bytes, 0);
            if missing.is_empty() {
                prop_assert_eq!(text(result.unwrap().unwrap()), data);
                break;
            }
            prop_assert_eq!(result.map(|w| w.is_some()), if seen { Err(Drop::FragmentDuplicate) } else { Ok(false) });
        }
        prop_assert!(missing.is_empty());
        prop_assert_eq!(bed.reassembly.bytes, 0);
    }

    /// Fragments of no sense: nothing panics, the books stay right.
    #[test]
    fn nonsense_is_survived(fragments in proptest::collection::vec((0u32..3, 0usize..80, any::<bool>(), 0usize..100, any::<u8>()), 0..80)) {
        let mut bed = Bed::new();
        for (id, at, more, len, fill) in fragments {
            let _ = bed.add(id, at * 8, more, &vec![fill & 1; len], fill);
        }
    }
}

#[test]
fn an_overlap_spoils_the_packet_and_what_comes_later() {
    for (at, more, data) in [
        // Begins within, ends within, covers, is covered, ends elsewhere, same place with other content.
        (8, true, &[9; 16][..]),
        (16, true, &[9; 16]),
        (8, true, &[9; 40]),
        (24, true, &[9; 8]),
        (16, true, &[7; 24]),
        (16, false, &[9; 16]),
        (16, true, &[9; 24]),
        (16, false, &[9; 24]),
    ] {
        let mut bed = Bed::new();
        bed.add(1, 16, true, &[9; 24], 0).unwrap();
        let expected = if (at, more, data) == (16, true, &[9; 24]) {
            Drop::FragmentDuplicate
        } else {
            Drop::FragmentOverlap
        };
        assert_eq!(bed.add(1, at, more, data, 0).unwrap_err(), expected, "{at} {more} {}", data.len());
        if expected == Drop::FragmentOverlap {
            assert_eq!(bed.add(1, 0, true, &[1; 16], 0).unwrap_err(), Drop::FragmentOverlap);
            assert_eq!(bed.add(1, 40, false, &[1; 16], 0).unwrap_err(), Drop::FragmentOverlap);
            // Another packet is not concerned.
            bed.add(2, 0, true, &[1; 16], 0).unwrap();
        }
    }
}

#[test]
fn ends_that_contradict_each_other_spoil_the_packet() {
    let mut bed = Bed::new();
    bed.add(1, 16, false, &[1; 5], 0).unwrap();
    assert_eq!(bed.add(1, 24, true, &[1; 8], 0).unwrap_err(), Drop::FragmentOverlap);
    bed.add(2, 16, true, &[1; 8], 0).unwrap();
    assert_eq!(bed.add(2, 8, false, &[1; 8], 0).unwrap_err(), Drop::FragmentOverlap);
    bed.add(3, 16, false, &[1; 8], 0).unwrap();
    assert_eq!(bed.add(3, 32, false, &[1; 8], 0).unwrap_err(), Drop::FragmentOverlap);
}

#[test]
fn impossible_fragments() {
    let mut bed = Bed::new();
    assert_eq!(bed.add(1, 0, true, &[], 0).unwrap_err(), Drop::FragmentMalformed);
    assert_eq!(bed.add(1, 0, true, &[1; 7], 0).unwrap_err(), Drop::FragmentMalformed);
    // The ping of death: ends past 65535.
    assert_eq!(bed.add(1, 65_528, false, &[1; 8], 0).unwrap_err(), Drop::FragmentMalformed);
    assert_eq!(bed.reassembly.packets.len(), 0);
    bed.add(1, 65_528, false, &[1; 7], 0).unwrap();
}

#[test]
fn congestion_marks_are_kept_and_mixtures_refused() {
    let mut bed = Bed::new();
    bed.add(1, 0, true, &[1; 8], 0b10).unwrap();
    assert!(bed.add(1, 8, false, &[1; 8], 0b11).unwrap().unwrap().congested);
    bed.add(2, 0, true, &[1; 8], 0b10).unwrap();
    assert!(!bed.add(2, 8, false, &[1; 8], 0b01).unwrap().unwrap().congested);
    bed.add(3, 0, true, &[1; 8], 0b00).unwrap();
    assert_eq!(bed.add(3, 8, false, &[1; 8], 0b11).unwrap_err(), Drop::FragmentMalformed);
    assert_eq!(bed.reassembly.packets.len(), 0);
}

/// ATTACKS 27: a flood of packets that never become whole.
#[test]
fn a_hundred_thousand_incomplete_packets_stay_within_bounds_and_do_not_lock_out() {
    let mut bed = Bed::new();
    for id in 0..100_000 {
        bed.add(id, 8, true, &[0; 1000], 0).unwrap();
        if id % 10_000 == 0 {
            // An honest packet gets through in the middle of it.
            bed.add(1_000_000, 0, true, &[1; 8], 0).unwrap();
            assert!(bed.add(1_000_000, 8, false, &[1; 8], 0).unwrap().is_some());
        }
    }
    assert!(bed.around.stats.dropped(Drop::FragmentTooMany) > 98_000);
}

#[test]
fn octets_are_bounded_before_numbers_are() {
    let mut bed = Bed::new();
    for id in 0..200 {
        bed.add(id, 0, true, &[0; 60_000], 0).unwrap();
    }
    assert!(bed.reassembly.packets.len() < 80);
    // One packet in ever so many small pieces is charged for what they cost.
    for at in 0..8000 {
        bed.add(1_000_000, at * 8, true, &[0; 8], 0).unwrap();
    }
}

#[test]
fn each_family_has_its_time() {
    let mut bed = Bed::new();
    bed.add(1, 0, true, &[1; 8], 0).unwrap();
    let v6 = Key {
        src: IpAddr::V6(Ipv6Addr::LOCALHOST),
        dst: IpAddr::V6(Ipv6Addr::LOCALHOST),
        protocol: 0,
        ..key(1)
    };
    bed.now += Duration::from_secs(1);
    let fragment =
        Fragment { key: v6, head: b"", offset: 0, more: true, data: Chunk::copy_from(&[1; 8]), ecn: 0 };
    let mut env = bed.around.env(bed.now);
    bed.reassembly.add(&mut env, fragment).unwrap();
    let r = &mut bed.reassembly;
    assert_eq!(r.next_deadline(), Some(Instant::from_secs(130)));
    assert!(r.pop_expired(Instant::from_millis(129_999)).is_none());
    assert_eq!(r.pop_expired(Instant::from_secs(130)).unwrap().0, key(1));
    assert_eq!(r.next_deadline(), Some(Instant::from_secs(161)));
    assert!(r.pop_expired(Instant::from_secs(160)).is_none());
    assert_eq!(r.pop_expired(Instant::from_secs(161)).unwrap().0, v6);
    assert_eq!((r.next_deadline(), r.bytes), (None, 0));
}
