//! CUBIC (RFC 9438), in integers.
//!
//! The window follows `W_cubic(t) = C * (t - K)^3 + W_max` (figure 1): it comes back quickly towards the
//! window of the last loss, stays flat around it, and then looks for more, whatever the round-trip
//! time. Where Reno would be faster (short round trips, small windows) it follows Reno's estimate.

use super::{AckInfo, Congestion, Prior, Window};
use crate::profile::CongestionAlgorithm;
use crate::time::{Duration, Instant};

/// Binary places of windows in fixed point. With 24 of them, one segment acknowledged at a window
/// of 100,000 still counts.
const FRACTION: u32 = 24;

/// C is 0.4 segments per second cubed and beta 0.7 (RFC 9438 section 4.6, 5.1).
const BETA_TENTHS: u32 = 7;

/// Past this distance from K (1000 s: 400 million segments) the curve is cut, so that the cube fits
/// 64 bits.
const FAR: i64 = 1_000_000;

/// The CUBIC controller.
#[derive(Clone, Debug, Default)]
pub struct Cubic {
    curve: Curve,
    /// The last time an acknowledgment was looked at in congestion avoidance.
    last_ack: Instant,
    undo: Option<(Prior, Curve)>,
}

/// The curve that the window follows, and what is known from the last loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Curve {
    /// When this stage of congestion avoidance began; `ZERO` with `running` false.
    epoch: Instant,
    /// `W_est`, Reno's estimate, in 2^-24 segments.
    w_est: u64,
    /// `W_max` in tenths and hundredths: 1/100 segments. 0 when unknown.
    w_max: u32,
    /// `K` in milliseconds.
    k: u32,
    /// `cwnd_prior`: the window at the last reduction.
    cwnd_prior: u32,
    running: bool,
}

impl Curve {
    /// Begins congestion avoidance with `cwnd` (RFC 9438 section 4.2, 4.8).
    fn begin(&mut self, cwnd: u32, now: Instant) {
        self.running = true;
        self.epoch = now;
        self.w_est = u64::from(cwnd) << FRACTION;
        let cwnd = cwnd.saturating_mul(100);
        if self.w_max > cwnd {
            // K = cbrt((W_max - cwnd_epoch) / C) seconds; in milliseconds 10^9 / (100 * 0.4) goes under the root.
            self.k = cbrt(u64::from(self.w_max - cwnd) * 25_000_000) as u32;
        } else {
            self.w_max = cwnd;
            self.k = 0;
        }
    }

    /// `W_cubic(t)` in 2^-24 segments.
    fn w_cubic(&self, t: Duration) -> u64 {
        let t = i64::try_from(t.as_millis()).unwrap_or(i64::MAX);
        let d = t.saturating_sub(i64::from(self.k)).clamp(-FAR, FAR);
        // C * d^3 with d in milliseconds is d^3 * 4 / 10^10 segments, so d^3 * 2^26 / 10^10 = d^3 * 2^16 / 5^10
        // here. Dividing first keeps it in 64 bits and costs 1/256 of a segment.
        let cube = (d * d * d / 9_765_625) << 16;
        let max = (i64::from(self.w_max) << FRACTION) / 100;
        (max + cube).max(0) as u64
    }
}

impl Cubic {
    fn congestion_avoidance(&mut self, w: &mut Window, ack: &AckInfo, acked: u32) {
        let c = &mut self.curve;
        if !c.running {
            c.begin(w.cwnd, ack.now);
            w.cwnd_cnt = 0;
        }
        let t = ack.now.since(c.epoch);
        let cwnd = u64::from(w.cwnd) << FRACTION;

        // Section 4.3: W_est grows by alpha_cubic segments a round trip, 3 * (1 - beta) / (1 + beta) = 9/17
        // until it is back where the last loss was, then by 1 as Reno.
        let (num, den) = if c.w_est < u64::from(c.cwnd_prior) << FRACTION { (9, 17) } else { (1, 1) };
        c.w_est += (u64::from(acked) << FRACTION) * num / den / u64::from(w.cwnd.max(1));

        let have = cwnd + u64::from(w.cwnd_cnt);
        let next = if c.w_cubic(t) < c.w_est {
            c.w_est.max(have)
        } else {
            // Section 4.4, 4.5: a part of the way to where the curve is in a round trip from now, but
            // at most half the window more in a round trip.
            let target = c.w_cubic(t + ack.srtt).clamp(cwnd, cwnd + cwnd / 2);
            have + (target - cwnd).saturating_mul(u64::from(acked)) / u64::from(w.cwnd.max(1))
        };
        let whole = u32::try_from(next >> FRACTION).unwrap_or(u32::MAX);
        w.grow(whole.saturating_sub(w.cwnd));
        w.cwnd_cnt = (next & ((1 << FRACTION) - 1)) as u32;
    }

    /// The curve stands still from the last acknowledgment until now: time in which the window was not
    /// used tells nothing about the path (RFC 9438 section 4.2).
    fn stand_still(&mut self, now: Instant) {
        if self.curve.running {
            self.curve.epoch += now.since(self.last_ack);
        }
    }
}

impl Congestion for Cubic {
    fn name(&self) -> &'static str {
        CongestionAlgorithm::Cubic.name()
    }

    fn on_ack(&mut self, w: &mut Window, ack: &AckInfo) {
        if ack.may_grow() {
            let rest = if w.in_slow_start() { w.slow_start(ack.acked) } else { ack.acked };
            if rest > 0 {
                self.congestion_avoidance(w, ack, rest);
            }
        } else if !ack.cwnd_limited {
            self.stand_still(ack.now);
        }
        self.last_ack = ack.now;
    }

    /// 0.7 of the window (section 4.6). Section 4.7, fast convergence: a loss below the last maximum says
    /// that a new flow wants its share, so the curve flattens earlier, at 0.85 of this window.
    fn ssthresh_after_loss(&mut self, w: &Window, _in_flight: u32, _now: Instant) -> u32 {
        self.undo = Some((Prior::of(w), self.curve));
        let cwnd = w.cwnd.saturating_mul(100);
        let w_max = if cwnd < self.curve.w_max { w.cwnd.saturating_mul(85) } else { cwnd };
        self.curve = Curve { w_max, cwnd_prior: w.cwnd, ..Curve::default() };
        let reduced = u64::from(w.cwnd) * u64::from(BETA_TENTHS) / 10;
        (reduced as u32).max(2)
    }

    /// Section 4.8: after a timeout the curve begins anew from the window at which congestion
    /// avoidance begins, with K = 0.
    fn on_rto(&mut self, _w: &mut Window, _now: Instant) {
        self.curve = Curve { cwnd_prior: self.curve.cwnd_prior, ..Curve::default() };
    }

    /// Section 4.9: everything goes back. The curve stood still meanwhile.
    fn on_undo(&mut self, w: &mut Window, _now: Instant) {
        if let Some((prior, curve)) = self.undo.take() {
            prior.restore(w);
            self.curve = curve;
        }
    }

    fn on_idle_restart(&mut self, _w: &mut Window, now: Instant) {
        self.stand_still(now);
        self.last_ack = now;
    }
}

/// The cube root, rounded down (Hacker's Delight's digit-by-digit method: three bits a step).
pub(super) fn cbrt(mut x: u64) -> u64 {
    let mut root = 0u64;
    for shift in (0..=63).rev().step_by(3) {
        root *= 2;
        let bit = (3 * root * (root + 1) + 1) << shift;
        // The shift can lose bits only when the product is beyond x anyway.
        if bit >> shift == 3 * root * (root + 1) + 1 && x >= bit {
            x -= bit;
            root += 1;
        }
    }
    root
}
