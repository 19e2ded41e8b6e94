//! What an acknowledgment does: it frees sequence space and buffer, moves the window, measures the
//! round trip, and feeds loss recovery (RFC 9293 section 3.10.7.4 fifth, RFC 5681, RFC 6298).

use super::recovery::scoreboard::Delivery;
use super::segment::Segment;
use super::tcb::{Signals, Tcb};
use crate::env::Env;
use crate::event::TcpHappening;
use crate::event::Timer;
use crate::state::State;
use crate::time::Duration;
use crate::wire::options::SackBlock;
use crate::wire::{Seq, TcpFlags};

/// What recovery needs to know about one acknowledgment.
pub(crate) struct AckOutcome {
    /// What it delivered.
    pub(crate) delivery: Delivery,
    /// snd.una moved.
    pub(crate) advanced: bool,
    /// It is a duplicate ACK (RFC 5681 section 2), as far as RFC 6675 counts without SACK.
    pub(crate) duplicate: bool,
    /// It reports a duplicate (RFC 2883).
    pub(crate) dsack: Option<SackBlock>,
    /// Segments in flight before it.
    pub(crate) prior_in_flight: u32,
    /// The RTT it measured.
    pub(crate) rtt: Option<Duration>,
    /// The timestamp it echoes.
    pub(crate) echo: Option<u32>,
}

impl Tcb {
    /// An ACK in range.
    pub(crate) fn process_ack(&mut self, env: &mut Env<'_>, seg: &Segment) {
        self.keepalive.probes = 0;
        self.probes = 0;
        let window_before = self.snd.wnd;
        if seg.ack.at_or_after(self.snd.una) {
            self.update_window(seg);
        }
        let una_before = self.snd.una;
        let mut outcome = AckOutcome {
            delivery: Delivery::new(env.now, self.recovery.high_seq, self.rtt.min(), self.recovery.fack),
            advanced: seg.ack.after(self.snd.una),
            duplicate: false,
            dsack: None,
            prior_in_flight: self.board.in_flight(),
            rtt: None,
            echo: seg.options.timestamps.filter(|_| self.ts_ok).map(|t| t.echo),
        };
        outcome.delivery.echo_ms = self.echo_time(env, outcome.echo);
        if self.board.is_empty() {
            self.late_report(env, seg, &mut outcome);
            self.after_ack(env, window_before);
            return;
        }
        if outcome.advanced {
            self.advance_una(env, seg.ack, &mut outcome.delivery);
        }
        outcome.dsack = self.process_sack(env, seg, &mut outcome.delivery);
        outcome.duplicate = !outcome.advanced
            && seg.ack == una_before
            && seg.payload_len == 0
            && !seg.flags.intersects(TcpFlags::SYN | TcpFlags::FIN)
            && self.snd.wnd == window_before;
        if outcome.duplicate {
            env.stats.count.tcp_dup_acks_in += 1;
        }
        self.measure_rtt(env, &mut outcome);
        self.respond(env, &outcome);
        if outcome.advanced {
            self.retransmit_since = None;
            if self.board.is_empty() {
                self.timers.clear(Timer::Retransmit);
                self.timers.clear(Timer::TailLossProbe);
                self.timers.clear(Timer::Rack);
            } else {
                self.timers.set(Timer::Retransmit, env.now + self.rtt.rto(&env.config.profile));
            }
        }
        self.schedule_probe(env);
        self.after_ack(env, window_before);
    }

    /// Nothing is in flight, and yet an ACK can tell that what was sent twice arrived twice.
    fn late_report(&mut self, env: &mut Env<'_>, seg: &Segment, outcome: &mut AckOutcome) {
        outcome.dsack = self.process_sack(env, seg, &mut outcome.delivery);
        outcome.duplicate = seg.ack == self.snd.una && seg.seq_len() == 0;
        if outcome.dsack.is_some() || self.recovery.probe.is_some() {
            self.respond(env, outcome);
        }
    }

    /// When the segment was sent whose timestamp is echoed, in the milliseconds of `Instant`.
    fn echo_time(&self, env: &Env<'_>, echo: Option<u32>) -> Option<u64> {
        let ago = self.ts_now(env.now).wrapping_sub(echo.filter(|&e| e != 0)?);
        env.now.as_millis().checked_sub(u64::from(ago)).filter(|_| ago < 1 << 31)
    }

    /// What follows any ACK: persist if there is unsent data and no window, room for the application,
    /// the acknowledged FIN.
    fn after_ack(&mut self, env: &mut Env<'_>, window_before: u32) {
        if window_before == 0 && self.snd.wnd > 0 {
            self.timers.clear(Timer::Persist);
            self.persist_backoff = 0;
            self.rtt.reset_backoff();
        } else if self.snd.wnd == 0 {
            self.restart_persist(env);
        }
        if self.snd.wants_room && self.send_room() * 3 >= self.settings.sndbuf / 2 {
            self.snd.wants_room = false;
            self.signals |= Signals::WRITABLE;
        }
        if self.fin_acked() && matches!(self.state, State::FinWait1 | State::Closing | State::LastAck) {
            self.on_fin_acked(env);
        }
    }

    /// SND.UNA moves to `ack`.
    fn advance_una(&mut self, env: &mut Env<'_>, ack: Seq, delivery: &mut Delivery) {
        let data_start = self.queue_seq();
        let data_end = self.queue_end();
        self.board.acknowledge(ack, self.snd.mss, delivery);
        let freed = ack.earliest(data_end).latest(data_start).distance(data_start);
        self.snd.queue.advance(freed as usize, env.blocks);
        self.count.bytes_acked += u64::from(freed);
        self.snd.una = ack;
        if self.snd.urgent.up.is_some_and(|up| up.at_or_before(ack)) {
            self.snd.urgent.up = None;
        }
        if freed > 0 {
            self.tune_send_buffer(env);
        }
    }

    /// RFC 9293 section 3.10.7.4: a window from an older segment does not replace a newer one.
    fn update_window(&mut self, seg: &Segment) {
        let window = u32::from(seg.window) << if seg.has(TcpFlags::SYN) { 0 } else { self.snd.wscale };
        let newer = seg.ack.after(self.snd.una)
            || seg.seq.after(self.snd.wl1)
            || (seg.seq == self.snd.wl1 && seg.ack.at_or_after(self.snd.wl2));
        if newer {
            self.snd.wl1 = seg.seq;
            self.snd.wl2 = seg.ack;
            self.snd.wnd = window;
            self.snd.max_wnd = self.snd.max_wnd.max(window);
        }
    }

    /// The SACK blocks of an ACK (RFC 2018); the first may be a duplicate report (RFC 2883 section 4).
    fn process_sack(
        &mut self,
        env: &mut Env<'_>,
        seg: &Segment,
        delivery: &mut Delivery,
    ) -> Option<SackBlock> {
        if !self.sack_ok {
            return None;
        }
        let blocks = seg.options.sack_blocks();
        let first = *blocks.first()?;
        let within = |b: &SackBlock, outer: &SackBlock| {
            b.start.at_or_after(outer.start) && b.end.at_or_before(outer.end)
        };
        let is_dsack =
            first.start.before(seg.ack) || blocks.get(1).is_some_and(|second| within(&first, second));
        let plausible = |b: &SackBlock| b.start.before(b.end) && b.end.at_or_before(self.snd.nxt);
        let dsack = (is_dsack
            && plausible(&first)
            && first.end.distance(first.start) <= self.snd.max_wnd.max(65_535))
        .then_some(first);
        if dsack.is_some() {
            self.count.dsack_dups += 1;
            env.stats.count.tcp_dsack_in += 1;
        }
        for b in &blocks[usize::from(is_dsack)..] {
            let good =
                b.start.before(b.end) && b.start.after(self.snd.una) && b.end.at_or_before(self.snd.nxt);
            if good {
                self.board.sack(b.start, b.end, self.snd.mss, delivery);
            }
        }
        dsack
    }

    /// A sample from a segment that was sent once (Karn), else from the timestamp (RFC 7323 section 4).
    fn measure_rtt(&mut self, env: &mut Env<'_>, outcome: &mut AckOutcome) {
        let d = &outcome.delivery;
        let from = if outcome.advanced && !d.retransmitted { d.first_rtt_from } else { None };
        let from = from.or(if outcome.advanced { None } else { d.rtt_from });
        let sample = from.map(|at| env.now.since(at)).or_else(|| {
            let echo = outcome.echo.filter(|&e| outcome.advanced && e != 0)?;
            let ms = self.ts_now(env.now).wrapping_sub(echo);
            (ms < 1 << 30).then(|| Duration::from_millis(u64::from(ms.max(1))))
        });
        let Some(sample) = sample else { return };
        let profile = &env.config.profile;
        self.rtt.sample(env.now, sample, profile);
        self.rtt.reset_backoff();
        outcome.rtt = Some(sample);
        if env.events.filter().metrics {
            let what = TcpHappening::Rtt {
                sample,
                srtt: self.rtt.srtt().unwrap_or_default(),
                rttvar: self.rtt.rttvar(),
                rto: self.rtt.rto(profile),
            };
            self.tell(env, what);
        }
    }
}
