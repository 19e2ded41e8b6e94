//! RACK: loss detection by time (RFC 8985 section 6).
//!
//! A segment is lost if another one that was sent at least a reordering window later was delivered.
//! The window starts at a quarter of the smallest round trip once reordering was seen (before that, at
//! zero while a loss is being repaired), and grows with every DSACK.

use super::scoreboard::{Delivery, Mark, Scoreboard, sent_after};
use crate::event::RetransmitCause;
use crate::time::{Duration, Instant};
use crate::wire::Seq;

/// Duplicate ACKs, or their worth in SACKed segments, that mean a loss (RFC 5681 section 3.2).
pub const DUP_THRESH: u32 = 3;
/// Recoveries that a widened reordering window lasts without another DSACK (RFC 8985 section 6.2.4).
const PERSIST: u8 = 16;

/// The state of RACK in a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rack {
    /// When the latest-sent delivered segment was sent, and its end.
    newest: Option<(Instant, Seq)>,
    /// Its round-trip time.
    rtt: Duration,
    /// Reordering was seen on this connection.
    pub reordering_seen: bool,
    /// The reordering window is this many quarters of the smallest RTT.
    reo_wnd_mult: u8,
    reo_wnd_persist: u8,
    /// One DSACK a round trip widens the window: until the ACK reaches this.
    dsack_round: Option<Seq>,
}

impl Default for Rack {
    fn default() -> Self {
        Self {
            newest: None,
            rtt: Duration::ZERO,
            reordering_seen: false,
            reo_wnd_mult: 1,
            reo_wnd_persist: PERSIST,
            dsack_round: None,
        }
    }
}

impl Rack {
    /// Section 6.2 steps 2 to 4, when an ACK delivered something.
    pub fn on_delivery(&mut self, now: Instant, delivery: &Delivery) {
        if delivery.reordered {
            self.reordering_seen = true;
        }
        if let Some((at, end)) = delivery.newest
            && self.newest.is_none_or(|(a, e)| sent_after(at, end, a, e))
        {
            self.newest = Some((at, end));
            self.rtt = now.since(at);
        }
    }

    /// Section 6.2 step 4: a DSACK came; the window was too small.
    pub fn on_dsack(&mut self, una: Seq, nxt: Seq) {
        if self.dsack_round.is_none_or(|r| una.at_or_after(r)) {
            self.dsack_round = Some(nxt);
            self.reo_wnd_mult = self.reo_wnd_mult.saturating_add(1);
            self.reo_wnd_persist = PERSIST;
            self.reordering_seen = true;
        }
    }

    /// A recovery ended: the widened window is kept for some recoveries only.
    pub fn on_recovery_exit(&mut self) {
        self.reo_wnd_persist = self.reo_wnd_persist.saturating_sub(1);
        if self.reo_wnd_persist == 0 {
            self.reo_wnd_mult = 1;
            self.reo_wnd_persist = PERSIST;
        }
    }

    /// The reordering window (section 6.2 step 4).
    fn reo_wnd(&self, board: &Scoreboard, recovering: bool, srtt: Duration, min_rtt: Duration) -> Duration {
        if !self.reordering_seen && (recovering || board.sacked() >= DUP_THRESH) {
            return Duration::ZERO;
        }
        (min_rtt / 4 * u32::from(self.reo_wnd_mult)).min(srtt)
    }

    /// Section 6.2 step 5: deems lost what was sent long enough before the newest delivery. Returns the
    /// bounds of what was lost, and after how long to look again.
    pub fn detect(
        &self,
        now: Instant,
        board: &mut Scoreboard,
        recovering: bool,
        srtt: Duration,
        min_rtt: Duration,
    ) -> (Option<(Seq, Seq)>, Option<Duration>) {
        let Some((at, end)) = self.newest else { return (None, None) };
        let wait = self.rtt + self.reo_wnd(board, recovering, srtt, min_rtt);
        let mut timeout: Option<Duration> = None;
        let lost = board.mark_lost(RetransmitCause::Rack, |s| {
            if !sent_after(at, end, s.sent_at, s.end) {
                // What was sent once goes out in order: nothing later can have been sent earlier.
                return if s.mark.contains(Mark::EVER_RETRANS) { Some(false) } else { None };
            }
            let due = s.sent_at + wait;
            if due <= now {
                return Some(true);
            }
            timeout = timeout.max(Some(due.since(now)));
            Some(false)
        });
        (lost, timeout)
    }

    /// After a retransmission timeout: was this record sent so recently that RACK could still find it
    /// delivered? (RFC 8985 section 6.3.)
    pub fn is_too_recent(&self, now: Instant, sent_at: Instant, srtt: Duration, min_rtt: Duration) -> bool {
        sent_at + self.rtt.max(srtt) + (min_rtt / 4 * u32::from(self.reo_wnd_mult)).min(srtt) > now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const MSS: u32 = 1000;

    /// Ten segments sent one millisecond apart, from t = 0.
    fn ten() -> Scoreboard {
        let mut b = Scoreboard::default();
        for i in 0..10 {
            let s = Seq(i * MSS);
            b.push(s, s + MSS, 1, Instant::from_millis(u64::from(i)), Mark::empty());
        }
        b
    }

    fn deliver(rack: &mut Rack, b: &mut Scoreboard, i: u32, now: Instant, fack: Option<Seq>) {
        let mut d = Delivery::new(now, Seq(0), None, fack);
        b.sack(Seq(i * MSS), Seq((i + 1) * MSS), MSS, &mut d);
        rack.on_delivery(now, &d);
    }

    #[test]
    fn a_later_delivery_makes_the_earlier_lost_after_a_quarter_rtt() {
        let (mut rack, mut b) = (Rack::default(), ten());
        let now = Instant::from_millis(41);
        deliver(&mut rack, &mut b, 1, now, None);
        // Segment 1 took 40 ms. Segment 0 was sent 1 ms before it: lost at 0 + 40 + 10 ms.
        let (lost, again) = rack.detect(now, &mut b, false, 40 * MS, 40 * MS);
        assert_eq!((lost, again), (None, Some(9 * MS)));
        let (lost, again) = rack.detect(now + 9 * MS, &mut b, false, 40 * MS, 40 * MS);
        assert_eq!((lost, again), (Some((Seq(0), Seq(1000))), None));
    }

    #[test]
    fn without_reordering_three_sacked_segments_lose_at_once() {
        let (mut rack, mut b) = (Rack::default(), ten());
        let now = Instant::from_millis(43);
        for i in 1..=3 {
            deliver(&mut rack, &mut b, i, now, None);
        }
        let (lost, _) = rack.detect(now, &mut b, false, 40 * MS, 40 * MS);
        assert_eq!(lost, Some((Seq(0), Seq(1000))));
        assert_eq!(b.lost(), 1);
    }

    #[test]
    fn with_reordering_seen_three_are_not_enough() {
        let (mut rack, mut b) = (Rack { reordering_seen: true, ..Rack::default() }, ten());
        let now = Instant::from_millis(43);
        for i in 1..=3 {
            deliver(&mut rack, &mut b, i, now, None);
        }
        assert_eq!(rack.detect(now, &mut b, false, 40 * MS, 40 * MS).0, None);
    }

    #[test]
    fn a_lost_retransmission_is_found() {
        let (mut rack, mut b) = (Rack::default(), ten());
        for i in 1..=3 {
            deliver(&mut rack, &mut b, i, Instant::from_millis(43), None);
        }
        rack.detect(Instant::from_millis(43), &mut b, false, 40 * MS, 40 * MS);
        b.retransmitted(Seq(0), Seq(1000), MSS, Instant::from_millis(44));
        // Segment 10 is sent after the retransmission and delivered; the retransmission is not.
        b.push(Seq(10_000), Seq(11_000), 1, Instant::from_millis(45), Mark::empty());
        deliver(&mut rack, &mut b, 10, Instant::from_millis(90), None);
        let (lost, _) = rack.detect(Instant::from_millis(90), &mut b, true, 40 * MS, 40 * MS);
        assert_eq!(lost.map(|l| l.0), Some(Seq(0)));
    }

    #[test]
    fn each_round_with_a_dsack_widens_the_window_by_a_quarter() {
        let mut rack = Rack::default();
        rack.on_dsack(Seq(0), Seq(100));
        rack.on_dsack(Seq(50), Seq(150));
        rack.on_dsack(Seq(100), Seq(200));
        assert_eq!(rack.reo_wnd_mult, 3);
        for _ in 0..PERSIST {
            rack.on_recovery_exit();
        }
        assert_eq!(rack.reo_wnd_mult, 1);
    }
}
