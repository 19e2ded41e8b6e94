//! What is in flight: every transmitted and unacknowledged run of segments, with what SACK (RFC 2018),
//! RACK (RFC 8985) and the retransmission timer say about it.
//!
//! A record is a run that was sent in one go, up to a super-segment. Where a SACK block or a
//! retransmission covers a part of it, it is split at a segment border; neighbours that are both
//! SACKed melt into one. So a window without loss costs one record a super-segment, and a window with
//! loss about two a hole.

use crate::event::RetransmitCause;
use crate::time::{Duration, Instant};
use crate::wire::Seq;
use alloc::collections::VecDeque;

/// More records than this are never made: a SACK block that would split further is ignored, which
/// bounds what hostile SACK blocks can cost.
const MAX_RECORDS: usize = 16_384;

bitflags::bitflags! {
    /// What is known about a record.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct Mark: u8 {
        /// The peer says it has it.
        const SACKED = 1;
        /// It is deemed lost.
        const LOST = 2;
        /// It was sent again and that retransmission is in flight.
        const RETRANS = 4;
        /// It was sent again at some time (Karn's rule).
        const EVER_RETRANS = 8;
        /// It begins with our SYN.
        const SYN = 16;
        /// It ends with our FIN.
        const FIN = 32;
    }
}

/// A run of segments in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// First sequence number.
    pub seq: Seq,
    /// The sequence number after the last.
    pub end: Seq,
    /// When it was last sent.
    pub sent_at: Instant,
    /// How many segments it is on the wire.
    pub count: u32,
    /// What is known about it.
    pub mark: Mark,
    /// If it is lost: by which reasoning.
    pub cause: RetransmitCause,
}

impl Sent {
    /// Octets of sequence space.
    pub fn octets(&self) -> u32 {
        self.end.distance(self.seq)
    }

    fn has(&self, m: Mark) -> bool {
        self.mark.contains(m)
    }
}

/// What an acknowledgment newly delivered, gathered record by record.
#[derive(Clone, Copy, Debug)]
pub struct Delivery {
    /// Segments newly acknowledged or SACKed.
    pub delivered: u32,
    /// Segments newly and cumulatively acknowledged that were not SACKed before.
    pub acked: u32,
    /// When the latest record that was sent only once was sent: an RTT sample (Karn's rule).
    pub rtt_from: Option<Instant>,
    /// When the first such record was sent.
    pub first_rtt_from: Option<Instant>,
    /// The latest-sent record (RFC 8985 section 6.2 step 2): when sent, its end.
    pub newest: Option<(Instant, Seq)>,
    /// A record that was never sent again and lies below `high_seq` was delivered: what F-RTO looks
    /// for (RFC 5682).
    pub original_below_high: bool,
    /// A retransmitted record was delivered.
    pub retransmitted: bool,
    /// The lowest never-retransmitted record that was delivered after a later one: reordering.
    pub reordered: bool,
    /// When the segment was sent that the ACK echoes, in milliseconds: it was sent no later.
    pub echo_ms: Option<u64>,
    high_seq: Seq,
    now: Instant,
    min_rtt: Option<Duration>,
    fack: Option<Seq>,
}

impl Delivery {
    /// Nothing yet. `high_seq` is the recovery point, `fack` the highest sequence delivered so far.
    pub fn new(now: Instant, high_seq: Seq, min_rtt: Option<Duration>, fack: Option<Seq>) -> Self {
        Self {
            delivered: 0,
            acked: 0,
            rtt_from: None,
            first_rtt_from: None,
            newest: None,
            original_below_high: false,
            retransmitted: false,
            reordered: false,
            echo_ms: None,
            high_seq,
            now,
            min_rtt,
            fack,
        }
    }

    fn note(&mut self, s: &Sent) {
        self.delivered += s.count;
        if s.has(Mark::EVER_RETRANS) {
            self.retransmitted = true;
            // The ACK may be for the first copy: an echo from before the second says so, or a round trip
            // shorter than any seen (RFC 8985 section 6.2 step 2).
            let older = self.echo_ms.is_some_and(|ms| ms < s.sent_at.as_millis());
            if older || self.min_rtt.is_some_and(|min| self.now.since(s.sent_at) < min) {
                return;
            }
        } else {
            self.rtt_from = self.rtt_from.max(Some(s.sent_at));
            self.first_rtt_from = Some(self.first_rtt_from.map_or(s.sent_at, |t| t.min(s.sent_at)));
            if s.end.at_or_before(self.high_seq) {
                self.original_below_high = true;
            }
            if self.fack.is_some_and(|f| s.end.before(f)) {
                self.reordered = true;
            }
        }
        if self.newest.is_none_or(|(at, end)| sent_after(s.sent_at, s.end, at, end)) {
            self.newest = Some((s.sent_at, s.end));
        }
    }
}

/// Was segment 1 sent after segment 2? Equal times are decided by sequence (RFC 8985 section 6.1).
pub fn sent_after(t1: Instant, end1: Seq, t2: Instant, end2: Seq) -> bool {
    t1 > t2 || (t1 == t2 && end1.after(end2))
}

/// The records of a connection, in sequence order, without gaps.
#[derive(Clone, Debug, Default)]
pub struct Scoreboard {
    records: VecDeque<Sent>,
    /// Segments in flight or SACKed: all that is not cumulatively acknowledged.
    packets: u32,
    /// Of these, SACKed (or, without SACK, counted by duplicate ACKs).
    sacked: u32,
    /// Of these, deemed lost and not SACKed.
    lost: u32,
    /// Of these, retransmitted and that in flight.
    retrans: u32,
    /// Highest end of a SACKed record.
    highest_sacked: Option<Seq>,
    /// No record before this is lost and waiting for its retransmission.
    lost_from: Option<Seq>,
}

impl Scoreboard {
    /// Segments sent and not cumulatively acknowledged.
    pub fn packets(&self) -> u32 {
        self.packets
    }

    /// Segments SACKed.
    pub fn sacked(&self) -> u32 {
        self.sacked
    }

    /// Segments deemed lost.
    pub fn lost(&self) -> u32 {
        self.lost
    }

    /// Retransmitted segments in flight.
    pub fn retrans(&self) -> u32 {
        self.retrans
    }

    /// Segments deemed to be in the network (RFC 6675's pipe, counted in segments).
    pub fn in_flight(&self) -> u32 {
        (self.packets + self.retrans).saturating_sub(self.sacked + self.lost)
    }

    /// Nothing unacknowledged?
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The records.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Sent> {
        self.records.iter()
    }

    /// The first unacknowledged record.
    pub fn front(&self) -> Option<&Sent> {
        self.records.front()
    }

    /// The last record sent.
    pub fn back(&self) -> Option<&Sent> {
        self.records.back()
    }

    /// The highest sequence number SACKed.
    pub fn highest_sacked(&self) -> Option<Seq> {
        self.highest_sacked
    }

    /// Adds what was just sent for the first time.
    pub fn push(&mut self, seq: Seq, end: Seq, count: u32, now: Instant, mark: Mark) {
        self.packets += count;
        self.records.push_back(Sent { seq, end, sent_at: now, count, mark, cause: RetransmitCause::Timeout });
    }

    /// Takes a record out of the counters, or puts it back with `add`.
    fn tally(&mut self, s: &Sent, add: bool) {
        let change = |n: &mut u32, by: u32| *n = if add { *n + by } else { n.saturating_sub(by) };
        change(&mut self.packets, s.count);
        if s.has(Mark::SACKED) {
            change(&mut self.sacked, s.count);
        }
        if s.has(Mark::LOST) {
            change(&mut self.lost, s.count);
        }
        if s.has(Mark::RETRANS) {
            change(&mut self.retrans, s.count);
        }
    }

    /// The index of the first record that ends after `seq`.
    fn index_of(&self, seq: Seq) -> usize {
        self.records.partition_point(|s| s.end.at_or_before(seq))
    }

    /// Forgets what is acknowledged cumulatively; `mss` says how a cut record counts.
    pub fn acknowledge(&mut self, una: Seq, mss: u32, delivery: &mut Delivery) {
        while let Some(&front) = self.records.front() {
            if una.at_or_before(front.seq) {
                break;
            }
            self.tally(&front, false);
            self.records.pop_front();
            let mut gone = front;
            if una.before(front.end) {
                let mut rest = front;
                rest.seq = una;
                rest.mark -= Mark::SYN;
                rest.count = segments(rest.octets(), mss).min(front.count);
                gone.end = una;
                gone.mark -= Mark::FIN;
                gone.count = front.count - rest.count;
                self.records.push_front(rest);
                self.tally(&rest, true);
            }
            if !gone.has(Mark::SACKED) {
                delivery.acked += gone.count;
                delivery.note(&gone);
            }
        }
        if self.records.is_empty() {
            self.highest_sacked = None;
            self.lost_from = None;
            self.sacked = 0;
        }
    }

    /// Splits the record at `index` so that one begins at `at`. False if that may not be done.
    fn split(&mut self, index: usize, at: Seq, mss: u32) -> bool {
        let Some(&whole) = self.records.get(index) else { return false };
        if at.at_or_before(whole.seq) || at.at_or_after(whole.end) || self.records.len() >= MAX_RECORDS {
            return false;
        }
        let (mut a, mut b) = (whole, whole);
        a.end = at;
        a.mark -= Mark::FIN;
        b.seq = at;
        b.mark -= Mark::SYN;
        a.count = segments(a.octets(), mss);
        b.count = segments(b.octets(), mss);
        self.tally(&whole, false);
        self.tally(&a, true);
        self.tally(&b, true);
        self.records[index] = a;
        self.records.insert(index + 1, b);
        true
    }

    /// Marks what a SACK block covers. Of a record that is covered in part only whole segments count.
    pub fn sack(&mut self, start: Seq, end: Seq, mss: u32, delivery: &mut Delivery) {
        let mut i = self.index_of(start);
        while let Some(&s) = self.records.get(i) {
            if s.seq.at_or_after(end) {
                break;
            }
            if s.has(Mark::SACKED) {
                i += 1;
                continue;
            }
            if start.after(s.seq) {
                let skip = start.distance(s.seq).next_multiple_of(mss);
                if !self.split(i, s.seq + skip, mss) {
                    i += 1;
                    continue;
                }
                i += 1;
                continue;
            }
            if end.before(s.end) {
                let whole = end.distance(s.seq) / mss * mss;
                if whole == 0 || !self.split(i, s.seq + whole, mss) {
                    break;
                }
            }
            self.mark_sacked(i, delivery);
            i = self.melt(i) + 1;
        }
    }

    fn mark_sacked(&mut self, index: usize, delivery: &mut Delivery) {
        let before = self.records[index];
        delivery.note(&before);
        let s = &mut self.records[index];
        s.mark -= Mark::LOST | Mark::RETRANS;
        s.mark |= Mark::SACKED;
        let after = *s;
        self.tally(&before, false);
        self.tally(&after, true);
        self.highest_sacked = Some(self.highest_sacked.map_or(after.end, |h| h.latest(after.end)));
    }

    /// Joins a SACKED record with SACKED neighbours; returns its index after that.
    fn melt(&mut self, mut index: usize) -> usize {
        let joinable = |s: &Sent| s.has(Mark::SACKED) && !s.mark.intersects(Mark::SYN | Mark::FIN);
        for left in [index, index.wrapping_sub(1)] {
            let (Some(&a), Some(&b)) = (self.records.get(left), self.records.get(left.wrapping_add(1)))
            else {
                continue;
            };
            if joinable(&a) && joinable(&b) {
                let ever = b.mark & Mark::EVER_RETRANS;
                let s = &mut self.records[left];
                s.end = b.end;
                s.count += b.count;
                s.mark |= ever;
                self.records.remove(left + 1);
                index = left;
            }
        }
        index
    }

    /// Without SACK: one duplicate ACK says that one segment has left the network (RFC 5681 section
    /// 3.2), as long as there is one it can be.
    pub fn count_duplicate(&mut self) {
        if self.sacked + self.lost < self.packets {
            self.sacked += 1;
        }
    }

    /// Without SACK: forgets `n` of the duplicates counted.
    pub fn forget_duplicates(&mut self, n: u32) {
        self.sacked = self.sacked.saturating_sub(n).min(self.packets - self.lost.min(self.packets));
    }

    fn set_lost(&mut self, index: usize, cause: RetransmitCause) {
        let before = self.records[index];
        if before.has(Mark::SACKED) {
            return;
        }
        let s = &mut self.records[index];
        s.mark -= Mark::RETRANS;
        s.mark |= Mark::LOST;
        s.cause = cause;
        let after = *s;
        self.tally(&before, false);
        self.tally(&after, true);
        self.lost_from = Some(self.lost_from.map_or(after.seq, |l| l.earliest(after.seq)));
    }

    /// Deems lost every record that is not SACKed and for which `is_lost` holds; it is asked in
    /// sequence order and can end the walk with `None`. Returns what was newly lost, as its bounds.
    pub fn mark_lost(
        &mut self,
        cause: RetransmitCause,
        mut is_lost: impl FnMut(&Sent) -> Option<bool>,
    ) -> Option<(Seq, Seq)> {
        let mut bounds: Option<(Seq, Seq)> = None;
        for i in 0..self.records.len() {
            let s = self.records[i];
            if s.has(Mark::SACKED) || (s.has(Mark::LOST) && !s.has(Mark::RETRANS)) {
                continue;
            }
            match is_lost(&s) {
                None => break,
                Some(false) => {}
                Some(true) => {
                    self.set_lost(i, cause);
                    bounds = Some((bounds.map_or(s.seq, |b| b.0), s.end));
                }
            }
        }
        bounds
    }

    /// Deems the first segment lost (without SACK only the first is known to be missing).
    pub fn mark_front_lost(&mut self, mss: u32, cause: RetransmitCause) -> Option<(Seq, Seq)> {
        let front = *self.records.front()?;
        if front.has(Mark::SACKED) || (front.has(Mark::LOST) && !front.has(Mark::RETRANS)) {
            return None;
        }
        self.split(0, front.seq + mss, mss);
        self.set_lost(0, cause);
        self.forget_duplicates(0);
        self.records.front().map(|s| (s.seq, s.end))
    }

    /// The first record that is lost and not yet sent again.
    pub fn next_lost(&mut self) -> Option<Sent> {
        let from = self.lost_from?;
        let start = self.index_of(from);
        let found = self
            .records
            .iter()
            .skip(start)
            .find(|s| s.has(Mark::LOST) && !s.has(Mark::RETRANS) && !s.has(Mark::SACKED))
            .copied();
        self.lost_from = found.map(|s| s.seq);
        found
    }

    /// The octets `seq .. end` of a record were sent again: splits off the rest and dates the part.
    pub fn retransmitted(&mut self, seq: Seq, end: Seq, mss: u32, now: Instant) {
        let mut i = self.index_of(seq);
        if self.split(i, seq, mss) {
            i += 1;
        }
        self.split(i, end, mss);
        let Some(&before) = self.records.get(i) else { return };
        let s = &mut self.records[i];
        s.mark |= Mark::RETRANS | Mark::EVER_RETRANS;
        s.sent_at = now;
        let after = *s;
        self.tally(&before, false);
        self.tally(&after, true);
    }

    /// Nothing is deemed lost any more: the loss was spurious.
    pub fn clear_lost(&mut self) {
        for s in &mut self.records {
            s.mark -= Mark::LOST;
        }
        self.lost = 0;
        self.lost_from = None;
    }

    /// The peer took its SACKs back (RFC 2018 section 8): forgets them.
    pub fn clear_sacked(&mut self) {
        for s in &mut self.records {
            s.mark -= Mark::SACKED;
        }
        self.sacked = 0;
        self.highest_sacked = None;
    }

    /// Forgets that anything is deemed in flight as a retransmission: the timer said so.
    pub fn clear_retrans(&mut self) {
        for s in &mut self.records {
            s.mark -= Mark::RETRANS;
        }
        self.retrans = 0;
    }

    /// Everything is gone.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Counts anew what is counted as it goes: the two must agree.
    pub(crate) fn check_invariants(&self, sack_enabled: bool) {
        let sum =
            |m: Mark| -> u32 { self.records.iter().filter(|s| s.mark.contains(m)).map(|s| s.count).sum() };
        assert_eq!(self.packets, self.records.iter().map(|s| s.count).sum::<u32>(), "packets");
        assert_eq!(self.lost, sum(Mark::LOST), "lost");
        assert_eq!(self.retrans, sum(Mark::RETRANS), "retrans");
        if sack_enabled {
            assert_eq!(self.sacked, sum(Mark::SACKED), "sacked");
        }
        for (a, b) in self.records.iter().zip(self.records.iter().skip(1)) {
            assert_eq!(a.end, b.seq, "gap between records");
        }
        for s in &self.records {
            assert!(s.seq.before(s.end), "empty record {s:?}");
            assert!(s.count > 0, "record without a segment {s:?}");
            assert!(!(s.has(Mark::SACKED) && s.mark.intersects(Mark::LOST | Mark::RETRANS)), "{s:?}");
        }
    }
}

/// How many segments `len` octets are; SYN and FIN alone are one.
fn segments(len: u32, mss: u32) -> u32 {
    len.div_ceil(mss.max(1)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MSS: u32 = 100;

    fn delivery() -> Delivery {
        Delivery::new(Instant::from_millis(9), Seq(0), None, None)
    }

    fn in_flight(start: Seq, segments: u32) -> Scoreboard {
        let mut b = Scoreboard::default();
        b.push(start, start + segments * MSS, segments, Instant::ZERO, Mark::empty());
        b
    }

    #[test]
    fn a_sack_in_the_middle_splits_at_segment_borders() {
        let mut b = in_flight(Seq(0xffff_ff00), 10);
        let s = Seq(0xffff_ff00);
        b.sack(s + 250, s + 560, MSS, &mut delivery());
        let runs: alloc::vec::Vec<_> =
            b.iter().map(|r| (r.seq.distance(s), r.end.distance(s), r.mark == Mark::SACKED)).collect();
        assert_eq!(runs, [(0, 300, false), (300, 500, true), (500, 1000, false)]);
        assert_eq!((b.packets(), b.sacked(), b.in_flight()), (10, 2, 8));
    }

    #[test]
    fn neighbouring_sacks_melt() {
        let mut b = in_flight(Seq(0), 6);
        let mut d = delivery();
        b.sack(Seq(100), Seq(200), MSS, &mut d);
        b.sack(Seq(300), Seq(400), MSS, &mut d);
        b.sack(Seq(200), Seq(300), MSS, &mut d);
        assert_eq!((b.records.len(), d.delivered), (3, 3));
        b.check_invariants(true);
    }

    #[test]
    fn a_loss_is_offered_once_until_it_is_lost_again() {
        let mut b = in_flight(Seq(0), 4);
        b.sack(Seq(200), Seq(400), MSS, &mut delivery());
        b.mark_lost(RetransmitCause::Rack, |_| Some(true));
        let lost = b.next_lost().unwrap();
        assert_eq!((lost.seq, lost.end), (Seq(0), Seq(200)));
        b.retransmitted(Seq(0), Seq(100), MSS, Instant::from_millis(1));
        assert_eq!(b.next_lost().map(|s| s.seq), Some(Seq(100)));
        b.retransmitted(Seq(100), Seq(200), MSS, Instant::from_millis(1));
        assert_eq!(b.next_lost(), None);
        assert_eq!((b.in_flight(), b.lost(), b.retrans()), (2, 2, 2));
        b.mark_lost(RetransmitCause::Rack, |s| Some(s.seq == Seq(0)));
        assert_eq!(b.next_lost().map(|s| s.seq), Some(Seq(0)));
        b.check_invariants(true);
    }

    proptest! {
        /// Any order of SACKs, ACKs, losses and retransmissions: the counters stay those of the records,
        /// and what is delivered is delivered once.
        #[test]
        fn counters_follow_the_records(iss: u32, ops in proptest::collection::vec((0u8..6, 0u32..3000, 0u32..3000), 1..60)) {
            let start = Seq(iss);
            let (mut b, mut una, mut nxt, mut delivered, mut sent) = (Scoreboard::default(), start, start, 0, 0);
            for (op, x, y) in ops {
                let mut d = delivery();
                match op {
                    0 | 1 => {
                        let n = x % 7 + 1;
                        b.push(nxt, nxt + n * MSS, n, Instant::ZERO, Mark::empty());
                        nxt += n * MSS;
                        sent += n;
                    }
                    2 => {
                        let (a, z) = (una + x.min(y), una + x.max(y));
                        if z.at_or_before(nxt) { b.sack(a, z, MSS, &mut d); }
                    }
                    3 => {
                        let to = una + x / MSS * MSS;
                        if to.at_or_before(nxt) { b.acknowledge(to, MSS, &mut d); una = to; }
                    }
                    4 => { b.mark_lost(RetransmitCause::Rack, |s| Some(s.seq.distance(una) < x)); }
                    _ => if let Some(l) = b.next_lost() {
                        b.retransmitted(l.seq, (l.seq + MSS).earliest(l.end), MSS, Instant::from_millis(1));
                    }
                }
                delivered += d.delivered;
                b.check_invariants(true);
                prop_assert!(delivered <= sent);
            }
            let mut d = delivery();
            b.acknowledge(nxt, MSS, &mut d);
            prop_assert_eq!(delivered + d.delivered, sent);
            prop_assert!(b.is_empty());
            prop_assert_eq!((b.packets(), b.sacked(), b.lost(), b.retrans()), (0, 0, 0, 0));
        }
    }
}
