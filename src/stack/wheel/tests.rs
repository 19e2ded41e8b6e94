use super::*;
use crate::time::Duration;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use proptest::prelude::*;

const DAY_MS: u64 = 86_400_000;

fn ms(n: u64) -> Instant {
    Instant::from_millis(n)
}

fn drain(w: &mut TimerWheel<u32>, now: Instant) -> Vec<u32> {
    core::iter::from_fn(|| w.pop_expired(now)).collect()
}

#[test]
fn equal_deadlines_fire_in_the_order_they_were_armed() {
    let mut w = TimerWheel::new(ms(5));
    for key in 0..10 {
        w.insert(ms(70), key);
    }
    assert_eq!(w.pop_expired(ms(69)), None);
    assert_eq!(drain(&mut w, ms(70)), (0..10).collect::<Vec<_>>());
}

#[test]
fn rescheduling_counts_as_arming_anew() {
    let mut w = TimerWheel::new(ms(0));
    let first = w.insert(ms(9), 1);
    w.insert(ms(9), 2);
    assert!(w.reschedule(first, ms(9)));
    assert_eq!(drain(&mut w, ms(9)), [2, 1]);
    assert!(!w.reschedule(first, ms(20)), "a fired timer cannot be moved");
    assert!(w.is_empty());
}

#[test]
fn within_a_millisecond_the_exact_deadline_decides() {
    let mut w = TimerWheel::new(ms(0));
    w.insert(Instant::from_micros(3_900), 1);
    w.insert(Instant::from_micros(3_100), 2);
    assert_eq!(w.next_deadline(), Some(Instant::from_micros(3_100)));
    assert_eq!(w.pop_expired(Instant::from_nanos(3_099_999)), None);
    assert_eq!(drain(&mut w, Instant::from_micros(3_100)), [2]);
    assert_eq!(w.next_deadline(), Some(Instant::from_micros(3_900)));
    assert_eq!(drain(&mut w, Instant::from_micros(3_900)), [1]);
}

#[test]
fn a_stale_id_touches_nobody_else() {
    let mut w = TimerWheel::new(ms(0));
    let old = w.insert(ms(10), 1);
    assert_eq!(w.cancel(old), Some(1));
    let new = w.insert(ms(20), 2);
    assert_eq!(w.cancel(old), None);
    assert!(!w.reschedule(old, ms(1)));
    assert_eq!(w.deadline(old), None);
    assert_eq!(w.deadline(new), Some(ms(20)));
    assert_eq!(w.len(), 1);
}

#[test]
fn never_and_the_largest_instant_have_a_place() {
    let mut w = TimerWheel::new(ms(0));
    let id = w.insert(Instant::FAR_FUTURE, 1);
    assert_eq!(w.pop_expired(Instant::from_nanos(u64::MAX - 1)), None);
    assert_eq!(w.deadline(id), Some(Instant::FAR_FUTURE));
    assert_eq!(w.pop_expired(Instant::FAR_FUTURE), Some(1));
}

#[test]
fn a_jump_of_thirty_days_fires_everything_in_order() {
    let mut w = TimerWheel::new(ms(1_000));
    let deadlines = [5, 1_001, 1_064, 5_000, 200_000, 7_200_000, DAY_MS, 29 * DAY_MS];
    for (key, &at) in deadlines.iter().enumerate().rev() {
        w.insert(ms(at), key as u32);
    }
    w.insert(ms(31 * DAY_MS), 99);
    assert_eq!(drain(&mut w, ms(30 * DAY_MS + 1_000)), (0..8).collect::<Vec<_>>());
    assert_eq!(w.len(), 1);
    w.insert(ms(30 * DAY_MS + 1_200), 7);
    assert_eq!(drain(&mut w, ms(31 * DAY_MS)), [7, 99]);
}

#[test]
fn a_clock_that_goes_back_delays_timers_but_loses_none() {
    let mut w = TimerWheel::new(ms(30 * DAY_MS));
    assert_eq!(w.pop_expired(ms(30 * DAY_MS + 5)), None);
    w.insert(ms(300), 2);
    w.insert(ms(200), 1);
    assert_eq!(w.next_deadline(), Some(ms(200)));
    assert_eq!(drain(&mut w, ms(199)), []);
    assert_eq!(drain(&mut w, ms(200)), [1]);
    assert_eq!(drain(&mut w, ms(30 * DAY_MS)), [2]);
}

/// Sleeping until `next_deadline` and calling again must lead to the timer in a handful of wake-ups.
#[test]
fn following_next_deadline_does_not_spin() {
    for at in [1, 63, 64, 65, 200, 4_095, 4_096, 65_000, 7_200_000, 40 * DAY_MS] {
        let start = 77;
        let mut w = TimerWheel::new(ms(start));
        let deadline = ms(start + at) + Duration::from_nanos(1);
        w.insert(deadline, 0);
        let mut wakeups = 0;
        let mut now = ms(start);
        loop {
            let next = w.next_deadline().expect("armed");
            assert!(next <= deadline && next > now, "{next} after {now} for {deadline}");
            now = next;
            wakeups += 1;
            if w.pop_expired(now).is_some() {
                break;
            }
        }
        assert_eq!(now, deadline);
        assert!(wakeups <= LEVELS, "{wakeups} wake-ups for {at} ms");
    }
}

/// Touches of entries per operation stay the same when there are a hundred times as many timers.
#[test]
fn arming_and_disarming_cost_the_same_among_many_timers() {
    let steps_of = |n: u64| {
        let mut w = TimerWheel::new(ms(0));
        let ids: Vec<_> = (0..n).map(|i| w.insert(ms(1_000 + i * 7919 % 100_000), i as u32)).collect();
        let before = w.steps;
        for &id in ids.iter().take(100) {
            w.reschedule(id, ms(60_000));
            w.cancel(id);
            w.insert(ms(500), 0);
        }
        (w.steps - before, w.entries.len() as u64)
    };
    let (few, slots) = steps_of(1_000);
    assert_eq!(slots, 1_000, "entries are used again");
    assert_eq!(few, 400);
    assert_eq!(steps_of(100_000), (few, 100_000));
}

/// An entry is moved at most once a level on its way down, however far away it is.
#[test]
fn cascading_is_bounded_by_the_levels() {
    let n = 5_000u64;
    let mut w = TimerWheel::new(ms(0));
    for i in 0..n {
        w.insert(ms(1 + i * 1_000_003 % (40 * DAY_MS)), i as u32);
    }
    let mut fired = 0;
    while let Some(next) = w.next_deadline() {
        fired += drain(&mut w, next).len() as u64;
    }
    assert_eq!(fired, n);
    assert!(w.steps <= n * (LEVELS as u64 + 2), "{} steps for {n} timers", w.steps);
}

#[derive(Clone, Debug)]
enum Op {
    Insert(u64),
    Cancel(usize),
    Reschedule(usize, u64),
    Advance(u64),
    Back(u64),
    Follow,
}

fn ops() -> impl Strategy<Value = Op> {
    // Nanoseconds, of every magnitude up to a month.
    let span = || (0u32..52).prop_flat_map(|bits| 0..=(1u64 << bits));
    prop_oneof![
        4 => span().prop_map(Op::Insert),
        2 => any::<usize>().prop_map(Op::Cancel),
        2 => (any::<usize>(), span()).prop_map(|(i, d)| Op::Reschedule(i, d)),
        2 => span().prop_map(Op::Advance),
        1 => span().prop_map(Op::Back),
        2 => Just(Op::Follow),
    ]
}

proptest! {
    #[test]
    fn the_wheel_is_the_sorted_map_it_models(start in 0u64..1 << 50, ops in prop::collection::vec(ops(), 1..200)) {
        let mut now = Instant::from_nanos(start);
        let mut wheel = TimerWheel::new(now);
        // (deadline, order) -> key, and every id ever given with where the model has it.
        let mut model: BTreeMap<(Instant, u32), u32> = BTreeMap::new();
        let mut ids: Vec<(TimerId, Option<(Instant, u32)>)> = Vec::new();
        let mut order = 0;
        for op in ops {
            order += 1;
            match op {
                Op::Insert(d) => {
                    let at = now + Duration::from_nanos(d);
                    let key = ids.len() as u32;
                    ids.push((wheel.insert(at, key), Some((at, order))));
                    model.insert((at, order), key);
                }
                Op::Cancel(i) if !ids.is_empty() => {
                    let i = i % ids.len();
                    let (id, place) = &mut ids[i];
                    let expected = place.take().and_then(|p| model.remove(&p));
                    prop_assert_eq!(wheel.cancel(*id), expected);
                }
                Op::Reschedule(i, d) if !ids.is_empty() => {
                    let i = i % ids.len();
                    let (id, place) = &mut ids[i];
                    let at = now + Duration::from_nanos(d);
                    let known = place.take().and_then(|p| model.remove(&p));
                    prop_assert_eq!(wheel.reschedule(*id, at), known.is_some());
                    if let Some(key) = known {
                        *place = Some((at, order));
                        model.insert((at, order), key);
                    }
                }
                Op::Advance(d) => now += Duration::from_nanos(d),
                Op::Back(d) => now = now - Duration::from_nanos(d),
                Op::Follow => now = now.max(wheel.next_deadline().unwrap_or(now)),
                Op::Cancel(_) | Op::Reschedule(..) => {}
            }
            let first = model.keys().next().map(|k| k.0);
            let next = wheel.next_deadline();
            prop_assert_eq!(next.is_some(), first.is_some());
            prop_assert!(next <= first, "{:?} is later than {:?}", next, first);
            if !matches!(op, Op::Insert(_)) {
                while let Some(key) = wheel.pop_expired(now) {
                    let ((at, _), expected) = model.pop_first().expect("the model has one");
                    prop_assert_eq!(key, expected);
                    prop_assert!(at <= now);
                    ids[key as usize].1 = None;
                }
                prop_assert!(model.keys().next().is_none_or(|k| k.0 > now), "a timer did not fire");
                if let Some(next) = wheel.next_deadline() {
                    prop_assert!(next > now, "{} is not after {}: the caller would spin", next, now);
                }
            }
            prop_assert_eq!(wheel.len(), model.len());
        }
    }
}
