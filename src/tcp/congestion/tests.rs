use super::cubic::cbrt;
use super::*;
use proptest::prelude::*;

const RTT: Duration = Duration::from_millis(100);

fn ack(now: Instant, acked: u32) -> AckInfo {
    AckInfo {
        now,
        acked,
        rtt: Some(RTT),
        srtt: RTT,
        min_rtt: RTT,
        in_flight: acked,
        cwnd_limited: true,
        mss: 1448,
        snd_una_advanced: true,
        in_recovery: false,
    }
}

/// One round trip in which the whole window is acknowledged, two segments an ACK.
fn round(c: &mut Controller, w: &mut Window, now: &mut Instant, rtt: Duration) {
    let window = w.cwnd;
    let acks = window.div_ceil(2);
    for i in 0..acks {
        *now += rtt / acks;
        let acked = if i + 1 == acks && window % 2 == 1 { 1 } else { 2 };
        c.on_ack(w, &AckInfo { srtt: rtt, min_rtt: rtt, ..ack(*now, acked) });
    }
}

fn lose(c: &mut Controller, w: &mut Window, now: Instant) {
    w.ssthresh = c.ssthresh_after_loss(w, w.cwnd, now);
    w.cwnd = w.ssthresh;
    w.cwnd_cnt = 0;
    c.on_recovery_exit(w, now);
}

fn both() -> [Controller; 2] {
    [CongestionAlgorithm::NewReno, CongestionAlgorithm::Cubic].map(Controller::new)
}

#[test]
fn slow_start_doubles_every_round_trip_up_to_the_threshold() {
    for mut c in both() {
        let mut w = Window::new(10);
        let mut now = Instant::ZERO;
        for expected in [20, 40, 80, 160] {
            round(&mut c, &mut w, &mut now, RTT);
            assert_eq!(w.cwnd, expected, "{}", c.name());
        }
        w.ssthresh = 200;
        round(&mut c, &mut w, &mut now, RTT);
        assert!((200..=203).contains(&w.cwnd), "{}: {}", c.name(), w.cwnd);
    }
}

#[test]
fn newreno_adds_one_segment_a_round_trip() {
    let mut c = Controller::new(CongestionAlgorithm::NewReno);
    let mut w = Window { ssthresh: 10, ..Window::new(10) };
    let mut now = Instant::ZERO;
    for expected in 11..60 {
        round(&mut c, &mut w, &mut now, RTT);
        assert_eq!(w.cwnd, expected);
    }
}

#[test]
fn a_loss_takes_half_from_newreno_and_three_tenths_from_cubic() {
    // (window, NewReno, CUBIC)
    for (cwnd, reno, cubic) in [(10, 5, 7), (100, 50, 70), (3, 2, 2), (2, 2, 2), (1, 2, 2), (11, 5, 7)] {
        let [mut r, mut c] = both();
        let w = Window::new(cwnd);
        assert_eq!(r.ssthresh_after_loss(&w, cwnd, Instant::ZERO), reno);
        assert_eq!(c.ssthresh_after_loss(&w, cwnd, Instant::ZERO), cubic);
    }
}

#[test]
fn a_window_that_is_not_used_does_not_grow() {
    for mut c in both() {
        for ssthresh in [u32::MAX, 5] {
            let mut w = Window { ssthresh, ..Window::new(10) };
            let before = w;
            for i in 0..1000 {
                let at = Instant::from_millis(i);
                c.on_ack(&mut w, &AckInfo { cwnd_limited: false, ..ack(at, 2) });
                c.on_ack(&mut w, &AckInfo { in_recovery: true, ..ack(at, 2) });
                c.on_ack(&mut w, &AckInfo { snd_una_advanced: false, ..ack(at, 2) });
            }
            assert_eq!(w, before, "{}", c.name());
        }
    }
}

#[test]
fn the_clamp_holds_in_every_phase() {
    for mut c in both() {
        let mut w = Window { clamp: 33, ..Window::new(10) };
        let mut now = Instant::ZERO;
        for _ in 0..10 {
            round(&mut c, &mut w, &mut now, RTT);
        }
        assert_eq!(w.cwnd, 33);
        w.ssthresh = 20;
        for _ in 0..300 {
            round(&mut c, &mut w, &mut now, RTT);
        }
        assert_eq!(w.cwnd, 33, "{}", c.name());
    }
}

#[test]
fn undo_gives_back_window_and_threshold_once() {
    for mut c in both() {
        let mut w = Window { ssthresh: 40, ..Window::new(100) };
        lose(&mut c, &mut w, Instant::ZERO);
        assert!(w.cwnd < 100);
        c.on_undo(&mut w, Instant::ZERO);
        assert_eq!((w.cwnd, w.ssthresh), (100, 40), "{}", c.name());
        w.cwnd = 3;
        c.on_undo(&mut w, Instant::ZERO);
        assert_eq!(w.cwnd, 3, "there is nothing left to undo");
    }
}

/// RFC 9438 figure 1 in floating point.
fn w_cubic(t: f64, w_max: f64, cwnd_epoch: f64) -> f64 {
    let k = ((w_max - cwnd_epoch) / 0.4).cbrt_();
    0.4 * (t - k) * (t - k) * (t - k) + w_max
}

/// `core` has no floating cube root; Newton's will do for a test.
trait Cbrt {
    fn cbrt_(self) -> f64;
}
impl Cbrt for f64 {
    fn cbrt_(self) -> f64 {
        let mut r = self.max(1.0);
        for _ in 0..200 {
            r -= (r * r * r - self) / (3.0 * r * r);
        }
        r
    }
}

#[test]
fn cubic_follows_figure_1() {
    for w_max in [1_000u32, 5_000, 20_000] {
        let mut c = Controller::new(CongestionAlgorithm::Cubic);
        let mut w = Window::new(w_max);
        let mut now = Instant::from_secs(1);
        lose(&mut c, &mut w, now);
        let epoch_cwnd = f64::from(w.cwnd);
        let start = now;
        let mut checked = 0;
        while now.since(start) < Duration::from_secs(60) {
            round(&mut c, &mut w, &mut now, RTT);
            let t = now.since(start).as_secs_f64();
            // The window heads for where the curve is one round trip later, so it lies between.
            let low = w_cubic(t - 0.2, f64::from(w_max), epoch_cwnd);
            let high = w_cubic(t + 0.2, f64::from(w_max), epoch_cwnd);
            let cwnd = f64::from(w.cwnd);
            if t > 0.5 {
                assert!(cwnd >= low - 2.0 && cwnd <= high + 2.0, "t={t}: {low} <= {cwnd} <= {high}");
                checked += 1;
            }
        }
        assert!(checked > 500 && w.cwnd > w_max, "{w_max}: {} after {checked} rounds", w.cwnd);
    }
}

/// Section 4.3: at a short round trip the window is Reno's with the factor 9/17, until the old window is
/// reached, and then Reno's.
#[test]
fn cubic_is_as_fast_as_reno_on_short_paths() {
    let rtt = Duration::from_millis(1);
    let mut c = Controller::new(CongestionAlgorithm::Cubic);
    let mut w = Window::new(100);
    let mut now = Instant::from_secs(1);
    lose(&mut c, &mut w, now);
    assert_eq!(w.cwnd, 70);
    for _ in 0..34 {
        round(&mut c, &mut w, &mut now, rtt);
    }
    // 34 rounds of 9/17 segment: 18 more.
    assert!((87..=88).contains(&w.cwnd), "{}", w.cwnd);
    while w.cwnd < 100 {
        round(&mut c, &mut w, &mut now, rtt);
    }
    let before = w.cwnd;
    for _ in 0..50 {
        round(&mut c, &mut w, &mut now, rtt);
    }
    assert!((before + 48..=before + 51).contains(&w.cwnd), "{} from {before}", w.cwnd);
}

/// Section 4.7: a second loss below the first maximum flattens the curve at 0.85 of the window.
#[test]
fn fast_convergence_gives_way_to_a_new_flow() {
    let plateau = |losses: &[u32]| {
        let mut c = Controller::new(CongestionAlgorithm::Cubic);
        let mut w = Window::new(0);
        let mut now = Instant::from_secs(1);
        for &cwnd in losses {
            w.cwnd = cwnd;
            lose(&mut c, &mut w, now);
            round(&mut c, &mut w, &mut now, RTT);
        }
        // The flattest place of the curve.
        let mut least = (u32::MAX, 0);
        for _ in 0..60 {
            let before = w.cwnd;
            for _ in 0..5 {
                round(&mut c, &mut w, &mut now, RTT);
            }
            least = least.min((w.cwnd - before, before));
        }
        least.1
    };
    let grown = plateau(&[8_000, 10_000]);
    assert!((9_900..=10_100).contains(&grown), "{grown}");
    let shrunk = plateau(&[12_000, 10_000]);
    assert!((8_400..=8_600).contains(&shrunk), "{shrunk}");
}

#[test]
fn after_a_timeout_the_curve_begins_where_slow_start_ends() {
    let mut c = Controller::new(CongestionAlgorithm::Cubic);
    let mut w = Window::new(1_000);
    let mut now = Instant::from_secs(1);
    w.ssthresh = c.ssthresh_after_loss(&w, 1_000, now);
    w.cwnd = 1;
    w.cwnd_cnt = 0;
    c.on_rto(&mut w, now);
    assert_eq!(w.ssthresh, 700);
    while w.cwnd < 700 {
        round(&mut c, &mut w, &mut now, RTT);
    }
    // K = 0 and W_max = 700: after 5 s the curve is at 700 + 0.4 * 125 = 750. Were the old maximum
    // remembered, it would be far above (K = 9.1 s: 973).
    let start = now;
    while now.since(start) < Duration::from_secs(5) {
        round(&mut c, &mut w, &mut now, RTT);
    }
    assert!((740..=760).contains(&w.cwnd), "{}", w.cwnd);
}

/// Section 4.2: time in which the application sent nothing, or less than the window, does not count.
#[test]
fn an_idle_hour_does_not_make_the_window_leap() {
    let run = |pause: bool| {
        let mut c = Controller::new(CongestionAlgorithm::Cubic);
        let mut w = Window::new(1_000);
        let mut now = Instant::from_secs(1);
        lose(&mut c, &mut w, now);
        for i in 0..100 {
            if pause && i == 50 {
                now += Duration::from_secs(1800);
                c.on_idle_restart(&mut w, now);
                now += Duration::from_secs(1800);
                c.on_ack(&mut w, &AckInfo { cwnd_limited: false, ..ack(now, 2) });
            }
            round(&mut c, &mut w, &mut now, RTT);
        }
        w.cwnd
    };
    assert_eq!(run(true), run(false));
}

#[test]
fn cubic_undo_brings_back_the_curve() {
    let grow_on = |spurious: bool| {
        let mut c = Controller::new(CongestionAlgorithm::Cubic);
        let mut w = Window::new(2_000);
        let mut now = Instant::from_secs(1);
        lose(&mut c, &mut w, now);
        for i in 0..80 {
            if spurious && i == 40 {
                lose(&mut c, &mut w, now);
                c.on_undo(&mut w, now);
            }
            round(&mut c, &mut w, &mut now, RTT);
        }
        w.cwnd
    };
    let (clean, undone) = (grow_on(false), grow_on(true));
    assert!(clean.abs_diff(undone) <= 1, "{clean} and {undone}");
}

#[test]
fn an_idle_window_halves_each_rto() {
    let rto = Duration::from_millis(300);
    // (idle in ms, window after it)
    for (idle, cwnd) in [(0, 100), (300, 100), (301, 50), (700, 25), (900, 12), (1_200, 10), (9_999_999, 10)]
    {
        let mut w = Window::new(100);
        w.restart_after_idle(Duration::from_millis(idle), rto, 10);
        assert_eq!(w.cwnd, cwnd, "{idle} ms");
    }
    let mut small = Window { ssthresh: 3, ..Window::new(4) };
    small.restart_after_idle(Duration::from_secs(9), rto, 10);
    assert_eq!((small.cwnd, small.ssthresh), (4, 3), "never raised to the restart window");
}

#[test]
fn a_controller_is_small() {
    assert!(size_of::<Controller>() < 96, "{}", size_of::<Controller>());
}

proptest! {
    #[test]
    fn cbrt_is_the_floor_of_the_root(x: u64) {
        let r = u128::from(cbrt(x));
        prop_assert!(r * r * r <= u128::from(x) && (r + 1) * (r + 1) * (r + 1) > u128::from(x));
    }

    /// Whatever happens in whatever order: no panic, at least one segment, never past the clamp by
    /// growth, and never more than the acknowledged segments at a time.
    #[test]
    fn growth_is_bounded_by_what_was_delivered(
        algorithm in prop_oneof![Just(CongestionAlgorithm::NewReno), Just(CongestionAlgorithm::Cubic)],
        ops in prop::collection::vec((0u8..8, any::<u32>(), 0u64..1 << 45), 1..200),
    ) {
        let mut c = Controller::new(algorithm);
        let mut w = Window { clamp: 1 << 20, ..Window::new(10) };
        let mut now = Instant::ZERO;
        for (op, n, dt) in ops {
            now += Duration::from_nanos(dt);
            match op {
                0 => lose(&mut c, &mut w, now),
                1 => {
                    w.ssthresh = c.ssthresh_after_loss(&w, n, now);
                    (w.cwnd, w.cwnd_cnt) = (1, 0);
                    c.on_rto(&mut w, now);
                }
                2 => c.on_undo(&mut w, now),
                3 => c.on_idle_restart(&mut w, now),
                _ => {
                    let acked = n % 100;
                    let before = w.cwnd;
                    let srtt = Duration::from_nanos(u64::from(n) * 100);
                    let limited = op != 4;
                    c.on_ack(&mut w, &AckInfo { srtt, cwnd_limited: limited, ..ack(now, acked) });
                    prop_assert!(w.cwnd >= before && w.cwnd <= before.max(w.clamp));
                }
            }
            prop_assert!(w.cwnd >= 1);
        }
    }
}
