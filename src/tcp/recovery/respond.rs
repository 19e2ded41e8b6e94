//! The response to an acknowledgment and to timeouts: phases, losses, congestion window, undo.

use super::prr::Prr;
use super::rack::DUP_THRESH;
use super::scoreboard::Mark;
use super::tlp::{self, ProbeOutcome};
use super::{Phase, Undo};
use crate::env::Env;
use crate::event::Timer;
use crate::event::{RetransmitCause, TcpHappening};
use crate::tcp::ack::AckOutcome;
use crate::tcp::congestion::{AckInfo, Congestion};
use crate::tcp::tcb::Tcb;
use crate::wire::Seq;

impl Tcb {
    /// After an ACK has updated the scoreboard.
    pub(crate) fn respond(&mut self, env: &mut Env<'_>, ack: &AckOutcome) {
        let before = (self.window.cwnd, self.window.ssthresh);
        let lost_before = self.board.lost();
        self.judge_probe(env, ack);
        self.note_delivery(env, ack);
        self.count_duplicates(ack);
        self.try_undo(env, ack);
        self.leave_phase(env, ack);
        self.trail_recovery_point();
        self.detect_loss(env, ack);
        if self.board.lost() > 0 && matches!(self.recovery.phase, Phase::Open | Phase::Disorder | Phase::Cwr)
        {
            self.enter_recovery(env);
        }
        if matches!(self.recovery.phase, Phase::Open | Phase::Disorder) {
            self.recovery.phase = if self.board.sacked() > 0 { Phase::Disorder } else { Phase::Open };
        }
        self.update_cwnd(env, ack, self.board.lost() > lost_before);
        self.tell_cwnd(env, before);
    }

    fn note_delivery(&mut self, env: &mut Env<'_>, ack: &AckOutcome) {
        self.count.delivered = self.count.delivered.wrapping_add(ack.delivery.delivered);
        self.count.reord_seen += u32::from(ack.delivery.reordered);
        self.recovery.rack.on_delivery(env.now, &ack.delivery);
        if ack.dsack.is_some() {
            self.recovery.rack.on_dsack(self.snd.una, self.snd.nxt);
        }
        let fack = self.board.highest_sacked().map_or(self.snd.una, |h| h.latest(self.snd.una));
        self.recovery.fack = Some(self.recovery.fack.map_or(fack, |f| f.latest(fack)));
    }

    /// Without SACK the duplicate ACKs stand for segments that left the network.
    fn count_duplicates(&mut self, ack: &AckOutcome) {
        if self.sack_ok {
            return;
        }
        if ack.duplicate {
            self.board.count_duplicate();
        } else if ack.advanced {
            self.board.forget_duplicates(ack.delivery.acked.saturating_sub(1).max(1));
            if self.recovery.phase == Phase::Open {
                self.board.forget_duplicates(u32::MAX);
            }
        }
    }

    fn judge_probe(&mut self, env: &mut Env<'_>, ack: &AckOutcome) {
        let Some(probe) = self.recovery.probe else { return };
        let dsack = ack.dsack.is_some();
        match probe.on_ack(self.snd.una, dsack, ack.duplicate) {
            ProbeOutcome::Pending => {}
            ProbeOutcome::NothingLost => self.recovery.probe = None,
            ProbeOutcome::Repaired => {
                self.recovery.probe = None;
                if matches!(self.recovery.phase, Phase::Open | Phase::Disorder) {
                    self.reduce(env, Phase::Cwr);
                }
            }
        }
    }

    /// Was the last response wrong? A DSACK for everything that was retransmitted says so (RFC 3708),
    /// an echo from before the first retransmission (RFC 3522), or an original that is delivered after a
    /// timeout (F-RTO, RFC 5682).
    fn try_undo(&mut self, env: &mut Env<'_>, ack: &AckOutcome) {
        let Some(undo) = &mut self.recovery.undo else { return };
        if let Some(block) = ack.dsack {
            let segments = block.end.distance(block.start).div_ceil(self.snd.mss.max(1)).max(1);
            undo.outstanding = undo.outstanding.saturating_sub(segments);
        }
        let undo = *undo;
        let all_needless = undo.retransmitted && undo.outstanding == 0;
        let echo_is_older = ack.advanced
            && undo.retransmitted
            && matches!((ack.echo, undo.first_retransmit_ts), (Some(e), Some(t)) if e != 0 && (e.wrapping_sub(t) as i32) < 0);
        let original_arrived = self.recovery.frto && ack.delivery.original_below_high;
        if all_needless || echo_is_older || original_arrived {
            self.undo(env);
        }
    }

    fn undo(&mut self, env: &mut Env<'_>) {
        match self.recovery.phase {
            Phase::Loss => env.stats.count.tcp_spurious_rto += 1,
            _ => env.stats.count.tcp_spurious_recoveries += 1,
        }
        self.board.clear_lost();
        self.congestion.on_undo(&mut self.window, env.now);
        self.recovery.undo = None;
        self.recovery.frto = false;
        if matches!(self.recovery.phase, Phase::Loss | Phase::Recovery) {
            self.recovery.phase = if self.board.sacked() > 0 { Phase::Disorder } else { Phase::Open };
        }
        self.rtt.reset_backoff();
        self.tell(env, TcpHappening::Undo);
    }

    /// Everything that was in flight when the phase began is acknowledged: it is over.
    fn leave_phase(&mut self, env: &mut Env<'_>, ack: &AckOutcome) {
        if !ack.advanced || self.snd.una.before(self.recovery.high_seq) {
            return;
        }
        match self.recovery.phase {
            Phase::Recovery | Phase::Cwr => {
                if self.window.ssthresh != u32::MAX {
                    self.window.cwnd = self.window.ssthresh;
                    self.window.cwnd_cnt = 0;
                }
                self.congestion.on_recovery_exit(&mut self.window, env.now);
                self.recovery.rack.on_recovery_exit();
            }
            Phase::Loss => self.recovery.frto = false,
            Phase::Open | Phase::Disorder => return,
        }
        self.recovery.phase = Phase::Open;
        if !self.sack_ok {
            self.board.forget_duplicates(u32::MAX);
        }
    }

    /// The recovery point follows far behind: left where it was it would lie ahead again after 2 GiB,
    /// and three duplicate ACKs would mean nothing for the next two.
    fn trail_recovery_point(&mut self) {
        if matches!(self.recovery.phase, Phase::Open | Phase::Disorder)
            && self.snd.una.after(self.recovery.high_seq)
        {
            self.recovery.high_seq = self.snd.una - 1;
        }
    }

    fn detect_loss(&mut self, env: &mut Env<'_>, ack: &AckOutcome) {
        if self.sack_ok {
            self.detect_by_rack(env);
            return;
        }
        let recovering = self.recovery.phase == Phase::Recovery;
        let lost = if recovering && ack.advanced {
            // A partial ACK: the next hole is lost too (RFC 6582 section 3.2 step 3).
            self.board.mark_front_lost(self.snd.mss, RetransmitCause::PartialAck)
        } else if !recovering
            && self.recovery.phase != Phase::Loss
            && self.board.sacked() >= DUP_THRESH
            && self.snd.una.after(self.recovery.high_seq)
        {
            self.board.mark_front_lost(self.snd.mss, RetransmitCause::Fast)
        } else {
            None
        };
        self.tell_lost(env, lost, RetransmitCause::Fast);
    }

    /// RACK looks, and says when it wants to look again.
    fn detect_by_rack(&mut self, env: &mut Env<'_>) {
        let srtt = self.srtt_or_initial();
        let min_rtt = self.rtt.min().unwrap_or(srtt);
        let recovering = matches!(self.recovery.phase, Phase::Recovery | Phase::Loss);
        let (lost, again) = self.recovery.rack.detect(env.now, &mut self.board, recovering, srtt, min_rtt);
        match again {
            Some(after) => self.timers.set(Timer::Rack, env.now + after),
            None => self.timers.clear(Timer::Rack),
        }
        self.tell_lost(env, lost, RetransmitCause::Rack);
    }

    /// The reordering window has passed.
    pub(crate) fn on_rack_timer(&mut self, env: &mut Env<'_>) {
        let before = (self.window.cwnd, self.window.ssthresh);
        self.detect_by_rack(env);
        if self.board.lost() > 0 && !matches!(self.recovery.phase, Phase::Recovery | Phase::Loss) {
            self.enter_recovery(env);
        }
        if self.recovery.phase == Phase::Recovery {
            let (in_flight, ssthresh) = (self.board.in_flight(), self.window.ssthresh);
            self.window.cwnd = self.recovery.prr.on_ack(0, false, in_flight, ssthresh).max(1);
        }
        self.tell_cwnd(env, before);
        if !self.board.is_empty() {
            self.timers.set(Timer::Retransmit, env.now + self.rtt.rto(&env.config.profile));
        }
    }

    fn enter_recovery(&mut self, env: &mut Env<'_>) {
        env.stats.count.tcp_fast_recoveries += 1;
        self.timers.clear(Timer::TailLossProbe);
        self.recovery.probe = None;
        self.begin_undo();
        if self.recovery.phase == Phase::Cwr {
            self.recovery.phase = Phase::Recovery;
            self.recovery.high_seq = self.snd.nxt;
        } else {
            self.reduce(env, Phase::Recovery);
        }
    }

    fn begin_undo(&mut self) {
        self.recovery.undo = Some(Undo {
            marker: self.snd.una,
            outstanding: 0,
            retransmitted: false,
            first_retransmit_ts: None,
        });
    }

    /// The window shrinks over the next round trip, by PRR.
    fn reduce(&mut self, env: &mut Env<'_>, phase: Phase) {
        let ssthresh = self.congestion.ssthresh_after_loss(&self.window, self.board.packets(), env.now);
        self.recovery.prr = Prr::start(self.window.cwnd);
        self.window.ssthresh = ssthresh;
        self.window.cwnd_cnt = 0;
        self.recovery.phase = phase;
        self.recovery.high_seq = self.snd.nxt;
    }

    fn update_cwnd(&mut self, env: &mut Env<'_>, ack: &AckOutcome, new_loss: bool) {
        let in_flight = self.board.in_flight();
        if self.recovery.phase.shrinks() {
            let progress = ack.advanced && !new_loss;
            let cwnd =
                self.recovery.prr.on_ack(ack.delivery.delivered, progress, in_flight, self.window.ssthresh);
            self.window.cwnd = cwnd.max(1);
            return;
        }
        let info = AckInfo {
            now: env.now,
            acked: ack.delivery.delivered,
            rtt: ack.rtt,
            srtt: self.rtt.srtt().unwrap_or_default(),
            min_rtt: self.rtt.min().unwrap_or_default(),
            in_flight: ack.prior_in_flight,
            cwnd_limited: self.is_cwnd_limited(),
            mss: self.snd.mss,
            snd_una_advanced: ack.advanced,
            in_recovery: false,
        };
        self.congestion.on_ack(&mut self.window, &info);
    }

    /// The retransmission timer expired (RFC 6298 section 5.4): everything that RACK cannot still find
    /// delivered is lost, and one segment goes out.
    pub(crate) fn enter_loss(&mut self, env: &mut Env<'_>) {
        env.stats.count.tcp_rto += 1;
        self.count.total_rto = self.count.total_rto.saturating_add(1);
        let before = (self.window.cwnd, self.window.ssthresh);
        // A SACKed segment at the front means that the peer threw it away (RFC 2018 section 8).
        if self.board.front().is_some_and(|s| s.mark.contains(Mark::SACKED)) {
            self.board.clear_sacked();
        }
        let first = self.recovery.phase != Phase::Loss;
        let progress_since = self.snd.una.at_or_after(self.recovery.high_seq);
        if first || progress_since {
            self.window.ssthresh =
                self.congestion.ssthresh_after_loss(&self.window, self.board.packets(), env.now);
            self.begin_undo();
        }
        self.recovery.frto = self.sack_ok && (first || progress_since);
        self.timers.clear(Timer::Rack);
        self.timers.clear(Timer::TailLossProbe);
        self.recovery.probe = None;
        let lost = self.mark_lost_by_timeout(env);
        self.tell_lost(env, lost, RetransmitCause::Timeout);
        if !self.sack_ok {
            self.board.forget_duplicates(u32::MAX);
        }
        self.recovery.phase = Phase::Loss;
        self.recovery.high_seq = self.snd.nxt;
        self.window.cwnd = self.board.in_flight() + 1;
        self.window.cwnd_cnt = 0;
        self.congestion.on_rto(&mut self.window, env.now);
        self.tell_cwnd(env, before);
    }

    fn mark_lost_by_timeout(&mut self, env: &mut Env<'_>) -> Option<(Seq, Seq)> {
        let srtt = self.srtt_or_initial();
        let min_rtt = self.rtt.min().unwrap_or(srtt);
        let (una, now, sack) = (self.snd.una, env.now, self.sack_ok);
        let rack = &self.recovery.rack;
        self.board.mark_lost(RetransmitCause::Timeout, |s| {
            let spare = sack && s.seq != una && rack.is_too_recent(now, s.sent_at, srtt, min_rtt);
            Some(!spare)
        })
    }

    /// Arms the tail-loss probe if nothing is being repaired (RFC 8985 section 7.2).
    pub(crate) fn schedule_probe(&mut self, env: &Env<'_>) {
        let wanted = self.sack_ok
            && self.recovery.phase == Phase::Open
            && self.recovery.probe.is_none()
            && !self.board.is_empty()
            && self.state.is_synchronised()
            && self.rtt.srtt().is_some();
        if !wanted {
            self.timers.clear(Timer::TailLossProbe);
            return;
        }
        let profile = &env.config.profile;
        let pto = tlp::probe_timeout(self.rtt.srtt(), self.board.packets(), profile.delayed_ack_max);
        if pto < self.rtt.rto(profile) {
            self.timers.set(Timer::TailLossProbe, env.now + pto);
        } else {
            self.timers.clear(Timer::TailLossProbe);
        }
    }

    /// A segment was sent once more.
    pub(crate) fn note_retransmission(&mut self, env: &Env<'_>, segments: u32) {
        self.recovery.prr.on_sent(segments);
        let ts = self.ts_ok.then(|| self.ts_now(env.now));
        if let Some(undo) = &mut self.recovery.undo {
            undo.outstanding += segments;
            if !undo.retransmitted {
                undo.retransmitted = true;
                undo.first_retransmit_ts = ts;
            }
        }
    }

    fn tell_lost(&self, env: &mut Env<'_>, lost: Option<(Seq, Seq)>, cause: RetransmitCause) {
        if let Some((seq, end)) = lost {
            self.tell(env, TcpHappening::Lost { seq, end, cause });
        }
    }

    fn tell_cwnd(&self, env: &mut Env<'_>, before: (u32, u32)) {
        let (cwnd, ssthresh) = (self.window.cwnd, self.window.ssthresh);
        if (cwnd, ssthresh) != before && env.events.filter().metrics {
            self.tell(env, TcpHappening::Cwnd { cwnd, ssthresh });
        }
    }
}
