//! Data that arrives: in order to the socket, out of order to the reassembly queue (RFC 9293 section
//! 3.10.7.4, seventh; RFC 2018; RFC 2883).

use super::sack::SackReport;
use super::segment::Segment;
use super::tcb::{Signals, Tcb};
use crate::buf::Chunk;
use crate::env::Env;
use crate::ip::Datagram;
use crate::reason::Drop;
use crate::wire::options::SackBlock;
use crate::wire::{Seq, TcpFlags};
use alloc::collections::BTreeMap;

/// What a run costs beside its octets: its place in the map and the header of its buffer.
const RUN_OVERHEAD: usize = 96;

/// Data received beyond a hole.
#[derive(Debug, Default)]
pub struct Reassembly {
    /// Runs that do not overlap, by their distance from `origin`.
    runs: BTreeMap<u64, Chunk>,
    /// A sequence number and where it is counted: sequence numbers wrap, the map's keys do not.
    origin: (Seq, u64),
    held: usize,
    /// Blocks to report.
    pub(crate) report: SackReport,
    /// A FIN came out of order: the sequence number it occupies.
    fin: Option<Seq>,
}

impl Reassembly {
    /// Nothing is missing?
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.fin.is_none()
    }

    /// Octets of memory it holds.
    pub fn memory(&self) -> usize {
        self.held
    }

    /// Runs in it.
    pub fn runs(&self) -> usize {
        self.runs.len()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    fn key(&self, seq: Seq) -> u64 {
        self.origin.1.wrapping_add_signed(i64::from(seq.offset_from(self.origin.0)))
    }

    fn seq(&self, key: u64) -> Seq {
        Seq(self.origin.0.0.wrapping_add(key.wrapping_sub(self.origin.1) as u32))
    }

    fn rebase(&mut self, nxt: Seq) {
        if self.runs.is_empty() {
            self.origin = (nxt, 1 << 40);
        } else {
            self.origin = (nxt, self.key(nxt));
        }
    }

    fn put(&mut self, key: u64, chunk: Chunk) {
        self.held += chunk.backing_len() + RUN_OVERHEAD;
        self.runs.insert(key, chunk);
    }

    fn take(&mut self, key: u64) -> Option<Chunk> {
        let chunk = self.runs.remove(&key)?;
        self.held -= chunk.backing_len() + RUN_OVERHEAD;
        Some(chunk)
    }

    /// Adds a run that begins at `seq`, beyond `nxt`. What is there already stays; what the new run
    /// covers whole is replaced. Returns the duplicate part, if there is one.
    fn insert(&mut self, nxt: Seq, seq: Seq, mut chunk: Chunk) -> Option<SackBlock> {
        self.rebase(nxt);
        let (mut start, end) = (self.key(seq), self.key(seq) + chunk.len() as u64);
        let mut duplicate: Option<(u64, u64)> = None;
        if let Some((&k, c)) = self.runs.range(..=start).next_back() {
            let before_end = k + c.len() as u64;
            if before_end > start {
                duplicate = Some((start, before_end.min(end)));
                if before_end >= end {
                    return self.duplicate(duplicate);
                }
                chunk.advance((before_end - start) as usize);
                start = before_end;
            }
        }
        while let Some((&k, c)) = self.runs.range(start..end).next() {
            let len = c.len() as u64;
            duplicate = duplicate.or(Some((k, (k + len).min(end))));
            let old = self.take(k);
            if k + len > end
                && let Some(mut old) = old
            {
                old.advance((end - k) as usize);
                self.put(end, old);
            }
        }
        let block = SackBlock { start: self.seq(start), end: self.seq(end) };
        self.put(start, chunk);
        self.report.note(block);
        self.duplicate(duplicate)
    }

    fn duplicate(&self, duplicate: Option<(u64, u64)>) -> Option<SackBlock> {
        duplicate.map(|(a, b)| SackBlock { start: self.seq(a), end: self.seq(b) })
    }

    /// The run that continues the stream at `nxt`, cut to what is new.
    fn next(&mut self, nxt: Seq) -> Option<Chunk> {
        loop {
            let (&k, _) = self.runs.first_key_value()?;
            let at = self.seq(k);
            if at.after(nxt) {
                return None;
            }
            let mut chunk = self.take(k)?;
            chunk.advance(nxt.distance(at) as usize);
            if !chunk.is_empty() {
                return Some(chunk);
            }
        }
    }

    /// The stream has reached `nxt`: blocks below it need no report.
    fn retire(&mut self, nxt: Seq) {
        self.rebase(nxt);
        self.report.retire(nxt);
        // Blocks that were crowded out are still held: report the first of them.
        if self.report.is_empty()
            && let Some((&k, c)) = self.runs.first_key_value()
        {
            let mut end = k + c.len() as u64;
            for (&k, c) in self.runs.range(end..) {
                if k != end {
                    break;
                }
                end = k + c.len() as u64;
            }
            self.report.note(SackBlock { start: self.seq(k), end: self.seq(end) });
        }
    }

    /// Throws away the furthest run if it lies beyond `seq`; returns its octets.
    fn prune_beyond(&mut self, seq: Seq) -> Option<usize> {
        let (&k, _) = self.runs.last_key_value()?;
        if self.seq(k).at_or_before(seq) {
            return None;
        }
        let gone = self.take(k)?;
        let cut = self.seq(k);
        self.report.cut(cut);
        Some(gone.len())
    }

    pub(crate) fn check_invariants(&self, nxt: Seq) {
        let held: usize = self.runs.values().map(|c| c.backing_len() + RUN_OVERHEAD).sum();
        assert_eq!(held, self.held, "memory of the reassembly queue");
        let mut end = 0;
        for (&k, c) in &self.runs {
            assert!(k >= end && !c.is_empty(), "runs overlap");
            assert!(self.seq(k).after(nxt), "a run that could be read is still queued");
            end = k + c.len() as u64;
        }
    }
}

impl Tcb {
    /// The payload and the FIN of an acceptable segment. Gives the reason if nothing of it was taken.
    pub(crate) fn receive_data(
        &mut self,
        env: &mut Env<'_>,
        seg: &Segment,
        dg: &Datagram<'_>,
    ) -> Result<(), Drop> {
        let payload = &dg.payload()[seg.header_len..];
        let seq = seg.payload_seq();
        let end = seq + payload.len() as u32;
        let fin = seg.has(TcpFlags::FIN).then_some(end);
        if payload.is_empty() && fin.is_none() {
            return Ok(());
        }
        if self.rcv.fin {
            self.rcv.ack.now();
            return if end.after(self.rcv.nxt) {
                Err(Drop::TcpReceiveClosed)
            } else {
                Err(Drop::TcpDuplicate)
            };
        }
        self.take_urgent_octet(seq, payload);
        // Cut to what is new and fits the window.
        let first = seq.latest(self.rcv.nxt);
        if first.after(seq) && !payload.is_empty() {
            self.report_duplicate(env, SackBlock { start: seq, end: end.earliest(self.rcv.nxt) });
        }
        let last = end.earliest(self.rcv.edge.latest(first));
        let fin = fin.filter(|f| last == *f);
        let range =
            seg.header_len + first.distance(seq) as usize..seg.header_len + last.distance(seq) as usize;
        let last_at = core::mem::replace(&mut self.rcv.last_data_at, env.now);
        self.sample_receiver_rtt(env, seg);
        if first == self.rcv.nxt {
            if first.before(last) {
                let chunk = dg.keep(range);
                self.learn_segment_size(seg);
                self.deliver(chunk);
                self.drain_reassembly();
            }
            if fin == Some(self.rcv.nxt) || self.rcv.ofo.fin == Some(self.rcv.nxt) {
                self.receive_fin(env);
            } else if first == last {
                // Nothing new: an old segment, or one that the window has no room for.
                self.rcv.ack.now();
                return Err(if end.after(self.rcv.nxt) { Drop::TcpBufferFull } else { Drop::TcpDuplicate });
            } else {
                self.schedule_ack(env, last_at);
            }
            Ok(())
        } else {
            self.receive_out_of_order(env, first, dg.keep(range), fin)
        }
    }

    fn receive_out_of_order(
        &mut self,
        env: &mut Env<'_>,
        first: Seq,
        chunk: Chunk,
        fin: Option<Seq>,
    ) -> Result<(), Drop> {
        // Every segment out of order is acknowledged at once (RFC 5681 section 4.2); without SACK each
        // ACK is a duplicate that the sender counts.
        if self.sack_ok {
            self.rcv.ack.now();
        } else {
            self.rcv.ack.one_more();
        }
        self.rcv.ack.be_quick(&env.config.profile);
        if let Some(fin) = fin {
            self.rcv.ofo.fin = Some(fin);
        }
        if chunk.is_empty() {
            return Ok(());
        }
        while self.recv_memory() + chunk.backing_len() + RUN_OVERHEAD > self.settings.rcvbuf {
            match self.rcv.ofo.prune_beyond(first) {
                Some(n) => env.stats.count.tcp_ofo_pruned += n as u64,
                None if self.rcv.ofo.runs() == 0 && self.rcv.queue.is_empty() => break,
                None => return Err(Drop::TcpOfoFull),
            }
        }
        env.stats.count.tcp_ofo_queued += 1;
        self.count.rcv_ooopack += 1;
        if let Some(duplicate) = self.rcv.ofo.insert(self.rcv.nxt, first, chunk) {
            self.report_duplicate(env, duplicate);
        }
        Ok(())
    }

    fn deliver(&mut self, chunk: Chunk) {
        self.count.bytes_received += chunk.len() as u64;
        self.rcv.nxt += chunk.len() as u32;
        self.rcv.queue.push(chunk);
        if self.recv_memory() > self.settings.rcvbuf {
            // The window counts octets, the buffer memory: small segments may fill it many times over.
            self.rcv.queue.compact();
        }
        if self.is_worth_reading() {
            self.signals |= Signals::READABLE;
        }
    }

    fn drain_reassembly(&mut self) {
        if self.rcv.ofo.runs() == 0 {
            return;
        }
        while let Some(chunk) = self.rcv.ofo.next(self.rcv.nxt) {
            self.deliver(chunk);
        }
        self.rcv.ofo.retire(self.rcv.nxt);
        // A hole was filled: tell at once (RFC 5681 section 4.2).
        self.rcv.ack.now();
    }

    fn receive_fin(&mut self, env: &mut Env<'_>) {
        self.rcv.nxt += 1;
        self.rcv.edge = self.rcv.edge.latest(self.rcv.nxt);
        self.rcv.fin = true;
        self.rcv.ofo.clear();
        self.rcv.ack.now();
        self.signals |= Signals::READABLE;
        self.on_fin(env);
    }

    /// A duplicate arrived: the next ACK reports it (RFC 2883).
    pub(crate) fn report_duplicate(&mut self, env: &mut Env<'_>, block: SackBlock) {
        if self.sack_ok && block.start.before(block.end) {
            self.rcv.dsack = Some(block);
            env.stats.count.tcp_dsack_out += 1;
        }
        self.rcv.ack.now();
        self.rcv.ack.be_quick(&env.config.profile);
    }

    /// The round trip as the receiver sees it: how old the timestamp is that data echoes.
    fn sample_receiver_rtt(&mut self, env: &Env<'_>, seg: &Segment) {
        if let Some(ts) = seg.options.timestamps.filter(|ts| self.ts_ok && ts.echo != 0) {
            self.rcv.tune.sample(ts.echo, self.ts_now(env.now));
        }
    }

    /// What "a full segment" of the peer is: the largest seen lately, at most what we offered.
    fn learn_segment_size(&mut self, seg: &Segment) {
        let wire =
            (seg.payload_len as u32).div_ceil(seg.wire_segments).min(u32::from(self.rcv.adv_mss)) as u16;
        if wire >= self.rcv.seg_size {
            self.rcv.seg_size = wire;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn block(a: u32, b: u32) -> SackBlock {
        SackBlock { start: Seq(a), end: Seq(b) }
    }

    #[test]
    fn blocks_that_were_crowded_out_are_reported_when_the_others_are_gone() {
        let mut r = Reassembly::default();
        for i in (1..=20u32).rev() {
            r.insert(Seq(0), Seq(i * 100), Chunk::copy_from(&[0; 10]));
        }
        let first = |r: &Reassembly| r.report.pick(1).0[0];
        assert_eq!((r.report.len(), first(&r)), (16, block(100, 110)));
        while let Some(c) = r.next(Seq(1990)) {
            drop(c);
        }
        r.retire(Seq(1990));
        assert_eq!(first(&r), block(2000, 2010));
    }

    proptest! {
        /// Any segments of a stream in any order with any overlap give the stream back, across the
        /// wrap of the sequence space, in bounded time.
        #[test]
        fn any_order_gives_the_stream(start: u32, cuts in proptest::collection::vec((0usize..2000, 1usize..300), 1..120)) {
            let stream: Vec<u8> = (0..2300u32).map(|i| (i * 31 % 251) as u8).collect();
            let mut r = Reassembly::default();
            let (mut nxt, mut got) = (Seq(start), Vec::new());
            for (at, len) in cuts.into_iter().chain([(0, 2300)]) {
                let seq = Seq(start) + at as u32;
                let mut chunk = Chunk::copy_from(&stream[at..at + len]);
                if seq.at_or_before(nxt) {
                    chunk.advance(nxt.distance(seq) as usize);
                    nxt += chunk.len() as u32;
                    got.extend_from_slice(&chunk);
                    while let Some(c) = r.next(nxt) {
                        nxt += c.len() as u32;
                        got.extend_from_slice(&c);
                    }
                    r.retire(nxt);
                } else {
                    r.insert(nxt, seq, chunk);
                }
                r.check_invariants(nxt);
                for b in &r.report.pick(4).0[..r.report.pick(4).1] {
                    prop_assert!(b.start.after(nxt) && b.start.before(b.end));
                }
            }
            prop_assert_eq!(&got[..], &stream[..]);
            prop_assert_eq!(r.memory(), 0);
        }
    }
}
