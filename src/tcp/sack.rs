//! Which SACK blocks an ACK reports (RFC 2018 section 4).
//!
//! The first block holds the segment that came last. RFC 2018 relies on every block being reported in
//! several ACKs; where one ACK answers a whole batch of segments, more holes may open in it than an ACK
//! has room for. So blocks that were never told come before those that were, and as long as there are
//! such, another ACK is due: otherwise the peer would take what it is not told of for lost.

use crate::wire::Seq;
use crate::wire::options::{MAX_SACK_BLOCKS, SackBlock};
use alloc::vec::Vec;

/// Blocks kept in mind. More holes than this in one window are reported as the first ones close.
const KEPT: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    block: SackBlock,
    told: bool,
}

/// The blocks to report, the one with the latest segment first.
#[derive(Clone, Debug, Default)]
pub(crate) struct SackReport {
    entries: Vec<Entry>,
}

impl SackReport {
    /// Nothing to report?
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many blocks there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// A block changed or came: it is the latest, joined with what it touches.
    pub(crate) fn note(&mut self, mut block: SackBlock) {
        self.entries.retain(|e| {
            let touches = e.block.start.at_or_before(block.end) && block.start.at_or_before(e.block.end);
            if touches {
                block = SackBlock {
                    start: block.start.earliest(e.block.start),
                    end: block.end.latest(e.block.end),
                };
            }
            !touches
        });
        self.entries.truncate(KEPT - 1);
        self.entries.insert(0, Entry { block, told: false });
    }

    /// The stream has reached `nxt`: what lies below needs no report.
    pub(crate) fn retire(&mut self, nxt: Seq) {
        self.entries.retain(|e| e.block.end.after(nxt));
        if self.entries.is_empty() {
            self.entries = Vec::new();
        }
    }

    /// What lies at and beyond `cut` was thrown away.
    pub(crate) fn cut(&mut self, cut: Seq) {
        self.entries.retain_mut(|e| {
            e.block.end = e.block.end.earliest(cut);
            e.block.start.before(e.block.end)
        });
    }

    /// The places of the blocks that the next ACK with room for `room` of them reports.
    fn choice(&self, room: usize) -> impl Iterator<Item = usize> + '_ {
        let rest = |told: bool| (1..self.entries.len()).filter(move |&i| self.entries[i].told == told);
        (0..self.entries.len().min(1)).chain(rest(false)).chain(rest(true)).take(room)
    }

    /// The blocks that the next ACK reports, and how many.
    pub(crate) fn pick(&self, room: usize) -> ([SackBlock; MAX_SACK_BLOCKS], usize) {
        let mut out = [SackBlock::default(); MAX_SACK_BLOCKS];
        let mut n = 0;
        for i in self.choice(room.min(MAX_SACK_BLOCKS)) {
            out[n] = self.entries[i].block;
            n += 1;
        }
        (out, n)
    }

    /// An ACK with room for `room` blocks went out; true if blocks remain that were never told.
    pub(crate) fn told(&mut self, room: usize) -> bool {
        let mut sent = [0; MAX_SACK_BLOCKS];
        let mut n = 0;
        for i in self.choice(room.min(MAX_SACK_BLOCKS)) {
            sent[n] = i;
            n += 1;
        }
        for &i in &sent[..n] {
            self.entries[i].told = true;
        }
        self.entries.iter().any(|e| !e.told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn block(a: u32, b: u32) -> SackBlock {
        SackBlock { start: Seq(a), end: Seq(b) }
    }

    fn picked(r: &SackReport, room: usize) -> Vec<SackBlock> {
        let (blocks, n) = r.pick(room);
        blocks[..n].to_vec()
    }

    #[test]
    fn the_latest_is_first_and_neighbours_join() {
        let mut r = SackReport::default();
        r.note(block(100, 110));
        r.note(block(300, 310));
        r.note(block(110, 120));
        assert_eq!(picked(&r, 4), vec![block(100, 120), block(300, 310)]);
        r.retire(Seq(200));
        assert_eq!(picked(&r, 4), vec![block(300, 310)]);
        r.cut(Seq(305));
        assert_eq!(picked(&r, 4), vec![block(300, 305)]);
    }

    #[test]
    fn every_hole_of_a_batch_is_told_before_any_is_told_twice() {
        let mut r = SackReport::default();
        for i in 1..=7 {
            r.note(block(i * 100, i * 100 + 10));
        }
        let mut seen = vec![];
        for more in [true, true, false] {
            seen.extend(picked(&r, 3));
            assert_eq!(r.told(3), more);
        }
        seen.sort_by_key(|b| b.start.0);
        seen.dedup();
        assert_eq!(seen.len(), 7);
        assert_eq!(picked(&r, 3)[0], block(700, 710), "the latest leads");
    }
}
