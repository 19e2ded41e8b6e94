use super::*;
use crate::device::segment::tests::{is_sound, make_partial, tcp_frame, udp_frame};
use crate::device::wire::{Wire, WireEnd, WireOptions};
use crate::link::{Gso, GsoKind};
use std::vec::Vec;

const MS: u64 = 1_000_000;

fn at(ns: u64) -> Instant {
    Instant::from_nanos(ns)
}

/// A frame that carries its number.
fn numbered(n: u32) -> Vec<u8> {
    udp_frame(&n.to_be_bytes())
}

fn number(frame: &[u8]) -> u32 {
    u32::from_be_bytes(frame[42..46].try_into().unwrap())
}

fn plain(bytes: &[u8]) -> TxFrame<'_> {
    TxFrame { header: bytes, payload: &[], offload: TxOffload::default() }
}

fn config(text: &str) -> ImpairConfig {
    text.parse().unwrap()
}

fn pair(text: &str, options: WireOptions) -> (Impair<WireEnd>, WireEnd) {
    let [a, b] = Wire::pair(options);
    (Impair::new(a, config(text)), b)
}

/// When which frame came out.
type Log = Vec<(u64, Vec<u8>)>;

/// Gives frame `n` to `a` at `n * gap`, asks at every deadline, and notes when what came out at `b`.
fn run(text: &str, count: u32, gap: u64) -> (Log, LaneCounters) {
    let (mut a, mut b) = pair(text, WireOptions { queue: 1 << 20, ..WireOptions::PLAIN });
    let mut log = Vec::new();
    let mut now = at(0);
    let mut next = 0;
    loop {
        if next < count && now >= at(u64::from(next) * gap) {
            a.transmit(now, &plain(&numbered(next))).unwrap();
            next += 1;
        }
        assert!(a.receive(now).unwrap().is_none());
        while let Some(r) = b.receive(now).unwrap() {
            log.push((now.as_nanos(), r.chunk.to_vec()));
        }
        let send = (next < count).then(|| at(u64::from(next) * gap));
        let Some(then) = [send, a.next_deadline()].into_iter().flatten().min() else { break };
        now = then.max(now);
    }
    (log, a.counters().outgoing)
}

#[test]
fn nothing_configured_touches_nothing() {
    let (mut a, mut b) = pair("seed=1", WireOptions::OFFLOAD);
    let mut frame = tcp_frame(false, &[5; 9000]);
    let checksum = Some(make_partial(&mut frame));
    let gso = Some(Gso { kind: GsoKind::Tcp4, size: 1400, ecn: false });
    a.transmit(at(0), &TxFrame { header: &frame, payload: &[], offload: TxOffload { checksum, gso } })
        .unwrap();
    let r = b.receive(at(0)).unwrap().unwrap();
    assert_eq!((&r.chunk[..], r.offload.gso), (&frame[..], gso));
    assert_eq!(a.next_deadline(), None);
}

#[test]
fn delay_is_exact_and_in_order() {
    let (log, _) = run("delay=20ms", 50, MS);
    let want: Log = (0..50).map(|n| (u64::from(n) * MS + 20 * MS, numbered(n))).collect();
    assert_eq!(log, want);
}

#[test]
fn received_frames_are_delayed_from_when_they_arrived() {
    let (mut a, mut b) = pair("in.delay=10ms", WireOptions::PLAIN);
    b.transmit(at(0), &plain(&numbered(1))).unwrap();
    assert!(a.receive(at(0)).unwrap().is_none());
    assert_eq!(a.next_deadline(), Some(at(10 * MS)));
    assert!(a.receive(at(10 * MS - 1)).unwrap().is_none());
    assert_eq!(number(&a.receive(at(10 * MS)).unwrap().unwrap().chunk), 1);
    assert_eq!(a.next_deadline(), None);
    // Frames sent are not.
    a.transmit(at(10 * MS), &plain(&numbered(2))).unwrap();
    assert!(b.receive(at(10 * MS)).unwrap().is_some());
}

#[test]
fn jitter_stays_in_its_bounds_spreads_and_keeps_order() {
    let (log, _) = run("delay=20ms,jitter=5ms,seed=3", 2000, 50 * MS);
    let late: Vec<u64> = log.iter().map(|(t, f)| t - u64::from(number(f)) * 50 * MS).collect();
    assert!(late.iter().all(|d| (15 * MS..=25 * MS).contains(d)));
    let mean = late.iter().sum::<u64>() / 2000;
    assert!((19_800_000..20_200_000).contains(&mean), "{mean}");
    assert!(late.iter().any(|d| *d < 15 * MS + MS / 4) && late.iter().any(|d| *d > 25 * MS - MS / 4));
    // So close together that the delays alone would put them out of order.
    let (log, _) = run("delay=20ms,jitter=5ms,seed=3", 2000, MS / 10);
    assert!(log.windows(2).all(|w| number(&w[0].1) < number(&w[1].1)));
}

#[test]
fn loss_and_duplicates_come_as_often_as_asked() {
    let (log, c) = run("loss=5%,duplicate=2%,seed=1", 20_000, MS);
    // Five standard deviations: 154 and 97.
    assert!((846..1154).contains(&c.lost), "{}", c.lost);
    assert!((283..477).contains(&c.duplicated), "{}", c.duplicated);
    assert_eq!(log.len() as u64, 20_000 - c.lost + c.duplicated);
    assert_eq!((c.frames, c.passed), (20_000, log.len() as u64));
}

#[test]
fn burst_loss_comes_in_bursts() {
    let (log, c) = run("burst-loss=1%/25%,seed=5", 40_000, MS);
    let lost = c.burst_lost as f64 / 40_000.0;
    // In the long run 1 / (1 + 25).
    assert!((0.030..0.047).contains(&lost), "{lost}");
    let mut bursts = 0u64;
    let mut expect = 0;
    for (_, f) in &log {
        bursts += u64::from(number(f) != expect);
        expect = number(f) + 1;
    }
    let mean = c.burst_lost as f64 / bursts as f64;
    assert!((3.4..4.6).contains(&mean), "mean burst {mean}");
}

#[test]
fn reordered_frames_are_overtaken_by_as_many_as_asked() {
    let (log, c) = run("reorder=1%/5,seed=2", 5000, MS);
    assert!(c.reordered > 20);
    assert_eq!(log.len(), 5000, "none is lost");
    let mut late = 0;
    for (place, (_, f)) in log.iter().enumerate() {
        let n = number(f) as usize;
        let behind = log[..place].iter().rev().take(16).filter(|(_, g)| number(g) as usize > n).count();
        if behind > 0 {
            late += 1;
            assert!((4..=8).contains(&behind), "frame {n} was overtaken by {behind}");
        }
    }
    // Frames set aside together do not overtake each other.
    assert!(late > c.reordered * 8 / 10, "{late} of {}", c.reordered);
}

#[test]
fn a_reordered_frame_that_nothing_follows_comes_after_all() {
    let (log, c) = run("reorder=100%,seed=2", 1, MS);
    assert_eq!((log.len(), c.reordered, log[0].0), (1, 1, 50 * MS));
}

#[test]
fn reordering_by_time_holds_frames_back_by_it() {
    let (log, c) = run("delay=10ms,reorder=2%/7ms,seed=2", 3000, MS);
    let late = log.iter().filter(|(t, f)| t - u64::from(number(f)) * MS == 17 * MS).count() as u64;
    let rest = log.iter().filter(|(t, f)| t - u64::from(number(f)) * MS == 10 * MS).count() as u64;
    assert_eq!((late, rest), (c.reordered, 3000 - c.reordered));
    assert!(c.reordered > 20);
}

#[test]
fn corruption_is_always_seen_by_the_checksum() {
    let (log, c) = run("corrupt=30%,seed=9", 2000, MS);
    let unsound = log.iter().filter(|(_, f)| !is_sound(f)).count() as u64;
    assert_eq!(unsound, c.corrupted);
    assert!((500..700).contains(&c.corrupted), "{}", c.corrupted);
}

#[test]
fn corruption_of_a_frame_with_a_partial_or_verified_checksum_is_seen() {
    let (mut a, mut b) = pair("corrupt=100%,seed=4", WireOptions::OFFLOAD);
    let good = tcp_frame(false, &[1; 500]);
    let mut frame = good.clone();
    let checksum = Some(make_partial(&mut frame));
    a.transmit(at(0), &TxFrame { header: &frame, payload: &[], offload: TxOffload { checksum, gso: None } })
        .unwrap();
    let r = b.receive(at(0)).unwrap().unwrap();
    assert_eq!(r.offload.checksum, RxChecksum::Unknown);
    let flipped: u32 = r.chunk.iter().zip(&good).map(|(x, y)| (x ^ y).count_ones()).sum();
    assert_eq!((flipped, is_sound(&r.chunk)), (1, false));

    let mut lane = Lane::new(a.config().incoming, crate::link::Medium::Ethernet, [0, 0]);
    let offload = RxOffload { checksum: RxChecksum::Verified, gso: None };
    lane.admit(at(0), Item { received: Received { chunk: Chunk::copy_from(&good), offload }, headers: 0 });
    let r = &lane.due(at(0)).unwrap().received;
    assert_eq!((r.offload.checksum, is_sound(&r.chunk)), (RxChecksum::Unknown, false));
}

#[test]
fn arp_is_not_corrupted() {
    let (mut a, mut b) = pair("corrupt=100%", WireOptions::PLAIN);
    let mut arp = std::vec![0xffu8; 42];
    arp[12..14].copy_from_slice(&[8, 6]);
    a.transmit(at(0), &plain(&arp)).unwrap();
    assert_eq!(&b.receive(at(0)).unwrap().unwrap().chunk[..], &arp[..]);
    assert_eq!(a.counters().outgoing.corrupted, 0);
}

#[test]
fn the_rate_is_kept_and_the_queue_drops_its_tail() {
    // 46 octets are 368 bits: 368 us at 1 Mbit/s.
    let (log, c) = run("rate=1mbit,queue=10", 100, 1000);
    assert_eq!((log.len() as u64, c.overflow), (c.passed, 100 - c.passed));
    assert_eq!(
        log.iter().map(|(t, _)| *t).collect::<Vec<_>>(),
        (1..=10).map(|n| n * 368_000).collect::<Vec<_>>()
    );
    let (log, c) = run("rate=1mbit,queue=460b", 100, 1000);
    assert_eq!((log.len(), c.overflow), (10, 90));
    // Slower than the rate: nothing waits.
    let (log, c) = run("rate=1mbit,queue=1", 100, 368_000);
    assert_eq!((log.len(), c.overflow), (100, 0));
}

#[test]
fn frames_beyond_the_mtu_vanish() {
    let (mut a, mut b) = pair("mtu=100", WireOptions::PLAIN);
    for len in [72, 73] {
        a.transmit(at(0), &plain(&udp_frame(&std::vec![0; len]))).unwrap();
    }
    assert_eq!(b.receive(at(0)).unwrap().unwrap().chunk.len(), 114);
    assert!(b.receive(at(0)).unwrap().is_none());
    assert_eq!(a.counters().outgoing.too_big, 1);
}

#[test]
fn of_a_super_segment_single_packets_are_lost() {
    let (mut a, mut b) = pair("loss=10%,seed=6", WireOptions { queue: 1 << 16, ..WireOptions::OFFLOAD });
    let mut frame = tcp_frame(false, &[3; 44_800]);
    let checksum = Some(make_partial(&mut frame));
    let gso = Some(Gso { kind: GsoKind::Tcp4, size: 1400, ecn: false });
    let (header, payload) = frame.split_at(66);
    for _ in 0..20 {
        a.transmit(at(0), &TxFrame { header, payload: &[payload], offload: TxOffload { checksum, gso } })
            .unwrap();
    }
    let mut came = 0;
    while let Some(r) = b.receive(at(0)).unwrap() {
        assert!(is_sound(&r.chunk) && r.chunk.len() == 1466 && r.offload == RxOffload::default());
        came += 1;
    }
    let c = a.counters().outgoing;
    assert_eq!((c.frames, came), (640, 640 - c.lost));
    assert!((25..110).contains(&c.lost), "{}", c.lost);
    assert_eq!(a.handle().counters(), a.counters());
}

#[test]
fn the_same_seed_gives_the_same_outcome_and_another_does_not() {
    let all = "loss=5%,burst-loss=1%/25%,delay=20ms,jitter=5ms,reorder=1%,duplicate=1%,corrupt=0.5%,\
               rate=10mbit,queue=50,mtu=1400";
    let one = run(&std::format!("{all},seed=7"), 3000, MS / 10);
    assert_eq!(one, run(&std::format!("{all},seed=7"), 3000, MS / 10));
    assert_ne!(one, run(&std::format!("{all},seed=8"), 3000, MS / 10));
}

#[test]
fn both_directions_are_independent() {
    let (mut a, mut b) = pair("in.loss=100%", WireOptions::PLAIN);
    a.transmit(at(0), &plain(&numbered(1))).unwrap();
    b.transmit(at(0), &plain(&numbered(2))).unwrap();
    assert!(b.receive(at(0)).unwrap().is_some() && a.receive(at(0)).unwrap().is_none());
    let c = a.counters();
    assert_eq!((c.incoming.lost, c.outgoing.frames), (1, 0));
}

#[test]
fn a_busy_device_is_tried_again_without_spinning() {
    let (mut a, mut b) = pair("out.delay=1ms", WireOptions { queue: 1, ..WireOptions::PLAIN });
    for n in 0..2 {
        a.transmit(at(0), &plain(&numbered(n))).unwrap();
    }
    a.receive(at(MS)).unwrap();
    assert_eq!(a.next_deadline(), Some(at(2 * MS)), "not now: the wire is full");
    assert_eq!(number(&b.receive(at(MS)).unwrap().unwrap().chunk), 0);
    a.receive(at(2 * MS)).unwrap();
    assert_eq!(number(&b.receive(at(2 * MS)).unwrap().unwrap().chunk), 1);
    assert_eq!(a.next_deadline(), None);
}

#[test]
fn a_burst_that_is_all_lost_does_not_hide_what_is_behind_it() {
    let (mut a, mut b) =
        pair("in.delay=1ms,in.loss=100%", WireOptions { queue: 1 << 12, ..WireOptions::PLAIN });
    for n in 0..3000 {
        b.transmit(at(0), &plain(&numbered(n))).unwrap();
    }
    let mut calls = 0;
    loop {
        calls += 1;
        assert!(calls < 10 && a.receive(at(5)).unwrap().is_none());
        match a.next_deadline() {
            Some(t) => assert_eq!(t, at(5), "at once"),
            None => break,
        }
    }
    assert_eq!(a.counters().incoming.lost, 3000);
}
