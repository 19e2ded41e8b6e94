use super::*;
use crate::config::Config;
use crate::env::Surroundings;
use crate::event::{EventFilter, Events};
use crate::link::TxOffload;
use crate::rng::Rng;
use alloc::vec;
use core::net::Ipv4Addr;

const A: [u8; 6] = [2, 0, 0, 0, 0, 0xa];
const B: [u8; 6] = [2, 0, 0, 0, 0, 0xb];

struct Bed {
    cache: NeighbourCache,
    around: Surroundings,
    now: Instant,
}

impl Bed {
    fn new() -> Self {
        Self {
            cache: NeighbourCache::default(),
            around: Surroundings::new(
                Config::default(),
                Rng::new([1, 1]),
                Events::new(EventFilter::NONE, 16),
            ),
            now: Instant::from_secs(100),
        }
    }

    fn call<R>(&mut self, f: impl FnOnce(&mut NeighbourCache, &mut Env<'_>) -> R) -> R {
        let mut env = self.around.env(self.now);
        f(&mut self.cache, &mut env)
    }

    fn hold(&mut self, addr: IpAddr, len: usize) {
        let frame = OwnedFrame {
            bytes: vec![0; len],
            header_len: 14,
            offload: TxOffload::default(),
            dst: Some(addr),
        };
        self.call(|c, env| c.hold(env, addr, frame));
    }

    fn learn(&mut self, addr: IpAddr, heard: Heard) -> Learned {
        let learned = self.call(|c, env| c.learn(env, addr, heard));
        self.check();
        learned
    }

    /// Whom it asks, and whom it gives up, until nothing is due.
    fn due(&mut self) -> Vec<(IpAddr, &'static str)> {
        let mut out = Vec::new();
        while let Some(due) = self.cache.poll(self.now) {
            out.push(match due {
                Due::Solicit(a, None) => (a, "ask all"),
                Due::Solicit(a, Some(_)) => (a, "ask"),
                Due::Failed(a, _) => (a, "failed"),
            });
            self.check();
        }
        out
    }

    fn pass(&mut self, time: Duration) -> Vec<(IpAddr, &'static str)> {
        self.now += time;
        self.due()
    }

    fn state(&self, addr: IpAddr) -> Option<(Option<[u8; 6]>, NeighbourState)> {
        self.cache.iter().find(|e| e.0 == addr).map(|e| (e.1, e.2))
    }

    /// What the cache counts is what is there.
    fn check(&self) {
        let c = &self.cache;
        // In a flood now and then: it takes a while.
        if c.table.len() > 50 && !c.clock.is_multiple_of(64) {
            return;
        }
        assert_eq!(c.unresolved, c.table.values().filter(|n| n.is_unresolved()).count());
        assert_eq!(c.held, c.table.values().map(|n| n.waiting_bytes).sum::<usize>());
        for n in c.table.values() {
            assert_eq!(n.waiting_bytes, n.waiting.iter().map(|f| f.bytes.len()).sum::<usize>());
            assert!(n.due().is_none_or(|d| c.deadline.is_some_and(|at| at <= d)), "a deadline is late");
        }
    }
}

use alloc::vec::Vec;

fn host(n: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + n))
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn three_questions_a_second_apart_and_then_no_more() {
    let mut bed = Bed::new();
    bed.hold(host(2), 60);
    assert_eq!(bed.due(), [(host(2), "ask all")]);
    assert_eq!(bed.pass(Duration::from_millis(999)), []);
    assert_eq!(bed.pass(Duration::from_millis(1)), [(host(2), "ask all")]);
    assert_eq!(bed.pass(SECOND), [(host(2), "ask all")]);
    assert_eq!(bed.pass(SECOND), [(host(2), "failed")]);
    assert_eq!((bed.state(host(2)), bed.cache.next_deadline()), (None, None));
}

#[test]
fn an_answer_releases_what_waited_in_order() {
    let mut bed = Bed::new();
    for len in [60, 61, 62] {
        bed.hold(host(2), len);
    }
    bed.due();
    let learned = bed.learn(host(2), Heard::ArpReply(A));
    let (mac, frames) = learned.release.unwrap();
    assert_eq!(mac, A);
    assert_eq!(frames.iter().map(|f| f.bytes.len()).collect::<Vec<_>>(), [60, 61, 62]);
    assert!(learned.reachable);
    assert_eq!(bed.state(host(2)), Some((Some(A), NeighbourState::Reachable)));
    assert_eq!(bed.cache.resolve(bed.now, host(2)), Some(A));
}

#[test]
fn an_old_entry_in_use_is_verified_and_given_up_if_it_is_silent() {
    let mut bed = Bed::new();
    bed.learn(host(2), Heard::Request(A));
    assert_eq!(bed.state(host(2)), Some((Some(A), NeighbourState::Stale)));
    assert_eq!(bed.pass(1000 * SECOND), []);
    assert_eq!(bed.cache.resolve(bed.now, host(2)), Some(A));
    assert_eq!(bed.state(host(2)).unwrap().1, NeighbourState::Delay);
    assert_eq!(bed.pass(5 * SECOND), [(host(2), "ask")]);
    assert_eq!(bed.cache.resolve(bed.now, host(2)), Some(A));
    assert_eq!(bed.pass(SECOND), [(host(2), "ask")]);
    assert_eq!(bed.pass(SECOND), [(host(2), "ask")]);
    assert_eq!(bed.pass(SECOND), [(host(2), "failed")]);
}

#[test]
fn upper_layers_spare_the_probes() {
    let mut bed = Bed::new();
    bed.learn(host(2), Heard::Request(A));
    bed.cache.resolve(bed.now, host(2));
    bed.cache.confirm(bed.now, host(2));
    assert_eq!(bed.pass(29 * SECOND), []);
    assert_eq!(bed.cache.resolve(bed.now, host(2)), Some(A));
    assert_eq!(bed.state(host(2)).unwrap().1, NeighbourState::Reachable);
    bed.pass(2 * SECOND);
    bed.cache.resolve(bed.now, host(2));
    assert_eq!(bed.state(host(2)).unwrap().1, NeighbourState::Delay);
    // It does not make up an address.
    bed.hold(host(3), 60);
    bed.cache.confirm(bed.now, host(3));
    assert_eq!(bed.state(host(3)), Some((None, NeighbourState::Incomplete)));
}

#[test]
fn what_is_heard_changes_the_state_as_the_rfc_says() {
    let reachable = |bed: &mut Bed| {
        bed.hold(host(2), 60);
        bed.due();
        bed.learn(host(2), Heard::ArpReply(A));
    };
    let stale = |bed: &mut Bed| {
        bed.learn(host(2), Heard::Request(A));
    };
    let probe = |bed: &mut Bed| {
        bed.learn(host(2), Heard::Request(A));
        bed.cache.resolve(bed.now, host(2));
        bed.pass(5 * SECOND);
    };
    let incomplete = |bed: &mut Bed| {
        bed.hold(host(2), 60);
        bed.due();
    };
    let na = |mac, solicited, overriding| Heard::Advertisement { mac, solicited, overriding };
    use NeighbourState::{Incomplete, Probe, Reachable, Stale};
    type Case<'a> = (&'a dyn Fn(&mut Bed), Heard, Option<[u8; 6]>, NeighbourState);
    // RFC 4861 appendix C, and for ARP what the comments of this module say.
    let cases: [Case<'_>; 22] = [
        (&incomplete, na(None, true, true), None, Incomplete),
        (&incomplete, na(Some(A), true, false), Some(A), Reachable),
        (&incomplete, na(Some(A), false, false), Some(A), Stale),
        (&incomplete, Heard::Request(A), Some(A), Stale),
        (&incomplete, Heard::ArpAnnouncement(A), Some(A), Stale),
        (&reachable, na(Some(B), true, false), Some(A), Stale),
        (&reachable, na(Some(B), false, false), Some(A), Stale),
        (&reachable, na(Some(B), true, true), Some(B), Reachable),
        (&reachable, na(Some(B), false, true), Some(B), Stale),
        (&reachable, na(None, false, true), Some(A), Reachable),
        (&stale, na(Some(B), true, false), Some(A), Stale),
        (&stale, na(Some(A), true, false), Some(A), Reachable),
        (&stale, na(None, true, false), Some(A), Reachable),
        (&stale, na(Some(B), false, true), Some(B), Stale),
        (&probe, na(Some(A), true, false), Some(A), Reachable),
        (&probe, na(Some(B), true, false), Some(A), Probe),
        (&probe, Heard::ArpReply(A), Some(A), Reachable),
        (&probe, Heard::ArpReply(B), Some(A), Probe),
        (&stale, Heard::ArpReply(A), Some(A), Stale),
        (&stale, Heard::ArpAnnouncement(B), Some(B), Stale),
        (&reachable, Heard::ArpAnnouncement(B), Some(A), Probe),
        (&reachable, Heard::Request(B), Some(A), Probe),
    ];
    for (i, (before, heard, mac, state)) in cases.into_iter().enumerate() {
        let mut bed = Bed::new();
        before(&mut bed);
        bed.learn(host(2), heard);
        assert_eq!(bed.state(host(2)), Some((mac, state)), "case {i}: {heard:?}");
    }
}

#[test]
fn a_forged_announcement_does_not_take_the_gateway_over() {
    let mut bed = Bed::new();
    bed.hold(host(1), 60);
    bed.due();
    bed.learn(host(1), Heard::ArpReply(A));
    for _ in 0..100 {
        bed.learn(host(1), Heard::ArpAnnouncement(B));
        bed.learn(host(1), Heard::Request(B));
        bed.learn(host(1), Heard::ArpReply(B));
        assert_eq!(bed.cache.resolve(bed.now, host(1)), Some(A));
    }
    assert_eq!(bed.due(), [(host(1), "ask")]);
    bed.learn(host(1), Heard::ArpReply(A));
    assert_eq!(bed.state(host(1)), Some((Some(A), NeighbourState::Reachable)));
}

#[test]
fn strangers_are_not_remembered_for_what_they_say_unasked() {
    let mut bed = Bed::new();
    for heard in [
        Heard::ArpAnnouncement(A),
        Heard::ArpReply(A),
        Heard::Advertisement { mac: Some(A), solicited: true, overriding: true },
    ] {
        assert!(!bed.learn(host(2), heard).known);
    }
    assert_eq!(bed.cache.iter().count(), 0);
}

#[test]
fn few_packets_wait_and_the_newest_are_kept() {
    let mut bed = Bed::new();
    for len in 100..150 {
        bed.hold(host(2), len);
    }
    assert_eq!(bed.around.stats.dropped(Drop::NeighbourQueueFull), 50 - 32);
    let (_, frames) = bed.learn(host(2), Heard::ArpReply(A)).release.unwrap();
    assert_eq!(frames.front().unwrap().bytes.len(), 118);
    // Octets are bounded as well, but one packet always waits.
    for _ in 0..10 {
        bed.hold(host(3), 65_000);
    }
    assert!(bed.cache.table[&host(3)].waiting_bytes <= MAX_HELD_EACH);
    assert_eq!(bed.cache.table[&host(3)].waiting.len(), 3);
    bed.check();
}

#[test]
fn all_that_waits_together_is_bounded() {
    let mut bed = Bed::new();
    for n in 0..500 {
        for _ in 0..3 {
            bed.hold(host(n + 2), 65_000);
        }
    }
    assert!(bed.cache.held <= MAX_HELD);
    bed.check();
    // A newcomer's packet still finds a place: the fattest queue makes room.
    bed.hold(host(900), 60);
    assert_eq!(bed.cache.table[&host(900)].waiting.len(), 1);
    assert!(bed.cache.held <= MAX_HELD);
}

/// ATTACKS 29: ten thousand hosts that do not exist are called, and one that does.
#[test]
fn ten_thousand_silent_hosts_do_not_keep_the_living_away() {
    let mut bed = Bed::new();
    // A neighbour in use, verified.
    bed.hold(host(1), 60);
    bed.due();
    bed.learn(host(1), Heard::ArpReply(A));
    for n in 0..10_000u32 {
        bed.hold(host(10_000 + n), 60);
        bed.due();
        if n % 500 == 0 {
            // One that exists answers at once.
            let alive = host(5_000 + n);
            bed.hold(alive, 60);
            assert!(bed.due().contains(&(alive, "ask all")));
            assert_eq!(bed.learn(alive, Heard::ArpReply(B)).release.unwrap().1.len(), 1);
        }
        if n % 1000 == 999 {
            bed.pass(SECOND);
        }
        assert!(bed.cache.unresolved <= 512 && bed.cache.table.len() <= 1024 + 1);
    }
    assert_eq!(bed.cache.resolve(bed.now, host(1)), Some(A));
    assert!(bed.around.stats.dropped(Drop::NeighbourTableFull) > 9000);
    // In the full table a new one that exists is resolved, even if it needs a second question.
    bed.hold(host(1), 60);
    bed.hold(host(77), 60);
    assert!(bed.due().contains(&(host(77), "ask all")));
    assert!(bed.pass(SECOND).contains(&(host(77), "ask all")));
    assert!(bed.learn(host(77), Heard::ArpReply(B)).release.is_some());
}

/// The other way round: ten thousand strangers talk to us.
#[test]
fn strangers_that_talk_to_us_do_not_push_out_who_is_in_use() {
    let mut bed = Bed::new();
    bed.hold(host(1), 60);
    bed.due();
    bed.learn(host(1), Heard::ArpReply(A));
    bed.hold(host(2), 60);
    for n in 0..10_000 {
        bed.learn(host(10_000 + n), Heard::Request(B));
    }
    assert!(bed.cache.table.len() <= 1024);
    assert_eq!(bed.state(host(1)), Some((Some(A), NeighbourState::Reachable)));
    assert!(bed.learn(host(2), Heard::ArpReply(A)).release.is_some());
}
