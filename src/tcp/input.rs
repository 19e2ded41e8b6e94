//! The way of a segment through a connection: the steps of RFC 9293 section 3.10.7.4 in their order,
//! with the checks of RFC 7323 and RFC 5961 where these put them.

use super::segment::Segment;
use super::tcb::Tcb;
use crate::env::Env;
use crate::event::{SegmentInfo, TcpHappening};
use crate::ip::Datagram;
use crate::reason::Drop;
use crate::state::State;
use crate::time::{Duration, Instant};
use crate::wire::TcpFlags;

/// What became of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was processed.
    Taken,
    /// It was dropped; if an answer was due, it is scheduled.
    Dropped(Drop),
    /// It was dropped, and the machine answers with a RST (RFC 9293 section 3.5.2).
    Refused(Drop),
}

/// A step lets the segment pass, or ends its way.
pub(crate) type Step = Result<(), Verdict>;

/// Timestamps older than this cannot be compared (RFC 7323 section 5.5).
const PAWS_IDLE: Duration = Duration::from_secs(24 * 24 * 3600);

impl Tcb {
    /// A segment for this connection.
    pub fn handle_segment(&mut self, env: &mut Env<'_>, seg: &Segment, dg: &Datagram<'_>) -> Verdict {
        self.count.segs_in = self.count.segs_in.wrapping_add(seg.wire_segments);
        if seg.payload_len > 0 {
            self.count.data_segs_in = self.count.data_segs_in.wrapping_add(seg.wire_segments);
        }
        if env.events.filter().segments {
            self.tell(env, TcpHappening::Received { segment: self.describe(seg) });
        }
        let step = match self.state {
            State::Closed | State::Listen | State::TimeWait => Err(Verdict::Refused(Drop::TcpNoSocket)),
            State::SynSent => self.syn_sent(env, seg, dg),
            _ => self.synchronised(env, seg, dg),
        };
        let verdict = step.err().unwrap_or(Verdict::Taken);
        if let Verdict::Dropped(reason) | Verdict::Refused(reason) = verdict {
            env.drop(reason);
            self.tell(env, TcpHappening::Dropped { reason });
        }
        verdict
    }

    fn synchronised(&mut self, env: &mut Env<'_>, seg: &Segment, dg: &Datagram<'_>) -> Step {
        self.check_timestamps(env, seg)?;
        self.check_sequence(env, seg)?;
        self.check_rst(env, seg)?;
        self.check_syn(env, seg)?;
        if !seg.has(TcpFlags::ACK) {
            return Err(Verdict::Dropped(Drop::TcpNoAck));
        }
        self.check_ack(env, seg)?;
        self.keep_timestamp(env.now, seg);
        self.rcv.last_at = env.now;
        self.handshake_ack(env, seg)?;
        self.process_ack(env, seg);
        self.refuse_after_close(env, seg)?;
        if self.state == State::Closed {
            return Ok(());
        }
        self.on_urgent_pointer(seg);
        self.receive_data(env, seg, dg).map_err(Verdict::Dropped)
    }

    /// PAWS (RFC 7323 section 5.3 R1): a timestamp older than the last is from an old segment.
    fn check_timestamps(&mut self, env: &mut Env<'_>, seg: &Segment) -> Step {
        if !self.ts_ok || seg.has(TcpFlags::RST) {
            return Ok(());
        }
        let Some(ts) = seg.options.timestamps else {
            return if env.config.profile.require_timestamps {
                Err(Verdict::Dropped(Drop::TcpNoTimestamp))
            } else {
                Ok(())
            };
        };
        let older = (ts.value.wrapping_sub(self.rcv.ts_recent) as i32) < 0;
        if !older || env.now.since(self.rcv.ts_recent_at) > PAWS_IDLE {
            return Ok(());
        }
        // A pure ACK that was overtaken by another carries nothing that could do harm.
        if seg.seq_len() == 0 && seg.seq == self.rcv.nxt && seg.ack == self.snd.una {
            return Ok(());
        }
        self.answer_unacceptable(env, seg);
        Err(Verdict::Dropped(Drop::TcpPaws))
    }

    /// First: the sequence number (section 3.10.7.4).
    fn check_sequence(&mut self, env: &mut Env<'_>, seg: &Segment) -> Step {
        let acceptable = seg.end().at_or_after(self.rcv.acked.earliest(self.rcv.nxt))
            && seg.seq.at_or_before(self.rcv.edge.latest(self.rcv.nxt));
        if acceptable {
            return Ok(());
        }
        if seg.has(TcpFlags::RST) {
            return Err(Verdict::Dropped(Drop::TcpRstOutOfWindow));
        }
        if seg.end().at_or_before(self.rcv.nxt) && seg.payload_len > 0 {
            let block = crate::wire::options::SackBlock { start: seg.payload_seq(), end: seg.end() };
            self.report_duplicate(env, block);
        }
        self.answer_unacceptable(env, seg);
        Err(Verdict::Dropped(Drop::TcpOutOfWindow))
    }

    /// Second: RST. Only one at the left edge of the window ends the connection (RFC 5961 section 3.2).
    fn check_rst(&mut self, env: &mut Env<'_>, seg: &Segment) -> Step {
        if !seg.has(TcpFlags::RST) {
            return Ok(());
        }
        if seg.seq == self.rcv.nxt {
            self.on_reset(env);
            return Err(Verdict::Taken);
        }
        self.challenge(env);
        Err(Verdict::Dropped(Drop::TcpRstInWindow))
    }

    /// Fourth: SYN. Whatever its sequence number, it is challenged (RFC 5961 section 4.2).
    fn check_syn(&mut self, env: &mut Env<'_>, seg: &Segment) -> Step {
        if !seg.has(TcpFlags::SYN) || self.is_crossing_syn_ack(seg) {
            return Ok(());
        }
        self.challenge(env);
        Err(Verdict::Dropped(Drop::TcpSynInWindow))
    }

    /// Two SYNs crossed, and this is the peer's answer to ours (RFC 9293 section 3.5, figure 7): it
    /// completes the handshake, though its SYN stands before the window.
    fn is_crossing_syn_ack(&self, seg: &Segment) -> bool {
        self.state == State::SynReceived
            && seg.has(TcpFlags::ACK)
            && seg.seq_len() == 1
            && seg.end() == self.rcv.nxt
            && seg.ack == self.snd.nxt
    }

    /// Fifth: the range of the acknowledgment number (RFC 5961 section 5.2).
    fn check_ack(&mut self, env: &mut Env<'_>, seg: &Segment) -> Step {
        if seg.ack.after(self.snd.nxt) {
            if self.state == State::SynReceived {
                return Err(Verdict::Refused(Drop::TcpBadAck));
            }
            self.challenge(env);
            return Err(Verdict::Dropped(Drop::TcpBadAck));
        }
        let oldest = self.snd.una - self.snd.max_wnd;
        if seg.ack.before(oldest) && self.state != State::SynReceived {
            self.challenge(env);
            return Err(Verdict::Dropped(Drop::TcpBadAck));
        }
        Ok(())
    }

    /// The TSval to echo (RFC 7323 section 4.3): from the segment that begins where the last ACK ended.
    pub(crate) fn keep_timestamp(&mut self, now: Instant, seg: &Segment) {
        if let Some(ts) = seg.options.timestamps
            && self.ts_ok
            && seg.seq.at_or_before(self.rcv.acked)
            && (ts.value.wrapping_sub(self.rcv.ts_recent) as i32 >= 0
                || now.since(self.rcv.ts_recent_at) > PAWS_IDLE)
        {
            self.rcv.ts_recent = ts.value;
            self.rcv.ts_recent_at = now;
        }
    }

    /// New data for an application that is gone is lost: the peer is told by a RST (section 3.6.1,
    /// SHLD-3). Half a close (SHUT_RD) is not: what comes is kept until the close.
    fn refuse_after_close(&mut self, env: &mut Env<'_>, seg: &Segment) -> Step {
        let new_data =
            seg.payload_len > 0 && (seg.payload_seq() + seg.payload_len as u32).after(self.rcv.nxt);
        let closing = matches!(self.state, State::FinWait1 | State::FinWait2);
        if self.rcv.shut && closing && new_data {
            // The segment is answered as one for a connection that is not there (Linux).
            self.reset(env, None);
            self.farewell = None;
            return Err(Verdict::Refused(Drop::TcpAfterClose));
        }
        Ok(())
    }

    /// An unacceptable segment is answered with an ACK; one without data at a bounded rate, so that two
    /// ends that find each other's ACKs unacceptable fall silent (Linux: tcp_invalid_ratelimit).
    pub(crate) fn answer_unacceptable(&mut self, env: &mut Env<'_>, seg: &Segment) {
        if seg.payload_len > 0 && !seg.has(TcpFlags::SYN) {
            self.rcv.ack.now();
        } else {
            self.challenge_within(env, env.config.profile.invalid_ratelimit);
        }
    }

    /// A challenge ACK (RFC 5961), at most one in `invalid_ratelimit` on a connection: the budget of one
    /// connection shows nothing about another (CVE-2016-5696).
    pub(crate) fn challenge(&mut self, env: &mut Env<'_>) {
        self.challenge_within(env, env.config.profile.invalid_ratelimit);
    }

    fn challenge_within(&mut self, env: &mut Env<'_>, interval: Duration) {
        if self.challenged_at.is_some_and(|at| env.now.since(at) < interval) {
            env.drop(Drop::TcpChallengeLimited);
            return;
        }
        self.challenged_at = Some(env.now);
        env.stats.count.tcp_challenge_acks += 1;
        self.rcv.ack.now();
    }

    /// A segment of the peer, in short.
    fn describe(&self, seg: &Segment) -> SegmentInfo {
        let shift = if seg.has(TcpFlags::SYN) { 0 } else { self.snd.wscale };
        SegmentInfo {
            seq: seg.seq,
            len: seg.payload_len as u32,
            flags: seg.flags,
            ack: seg.ack,
            window: u32::from(seg.window) << shift,
        }
    }
}
