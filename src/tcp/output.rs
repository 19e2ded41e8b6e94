//! What to send next (RFC 9293 sections 3.8.6, 3.9.1.2, 3.10.2; RFC 5681).
//!
//! The machine asks for a [`Plan`], puts header and payload together, hands them to the device and
//! commits the plan when the device took it. A device that is busy changes nothing here.

use super::recovery::scoreboard::Mark;
use super::recovery::tlp::Probe;
use super::segment::Header;
use super::tcb::Tcb;
use crate::env::Env;
use crate::event::Timer;
use crate::event::{RetransmitCause, SegmentInfo, TcpHappening};
use crate::profile::{Profile, SynOptions};
use crate::state::State;
use crate::time::{Duration, Instant};
use crate::wire::options::{OptionWriter, SackBlock, Timestamps};
use crate::wire::{Seq, TcpFlags};
use core::ops::Range;

/// A segment that is sent although window or cwnd would not have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeKind {
    /// A keep-alive probe: an old sequence number, no data.
    KeepAlive,
    /// A zero-window probe.
    ZeroWindow,
    /// A tail-loss probe.
    TailLoss,
}

/// A segment to send.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Its sequence number.
    pub seq: Seq,
    /// Where its payload starts in the send queue.
    pub offset: usize,
    /// Octets of payload.
    pub len: usize,
    /// Its control bits, but ECN's.
    pub flags: TcpFlags,
    /// Why it is sent once more, if it is.
    pub cause: Option<RetransmitCause>,
    /// Payload octets per segment on the wire.
    pub mss: u32,
    /// What it probes.
    pub probe: Option<ProbeKind>,
}

impl Plan {
    fn pure(seq: Seq, flags: TcpFlags) -> Self {
        Self { seq, offset: 0, len: 0, flags, cause: None, mss: 1, probe: None }
    }

    /// The sequence number after it.
    pub fn end(&self) -> Seq {
        let control =
            u32::from(self.flags.contains(TcpFlags::SYN)) + u32::from(self.flags.contains(TcpFlags::FIN));
        self.seq + self.len as u32 + control
    }

    /// The payload must be cut for the wire.
    pub fn is_super(&self) -> bool {
        self.len > self.mss as usize
    }

    /// Segments on the wire.
    pub fn segments(&self) -> u32 {
        (self.len as u32).div_ceil(self.mss.max(1)).max(1)
    }

    /// Fewer octets could be gathered than planned.
    pub fn shorten(&mut self, len: usize) {
        if len < self.len {
            self.len = len;
            self.flags -= TcpFlags::PSH | TcpFlags::FIN;
        }
    }

    /// The payload in the send queue.
    pub fn payload(&self) -> Range<usize> {
        self.offset..self.offset + self.len
    }
}

/// Octets of payload in a super-segment: what fits an IPv4 packet of 65535 octets with any headers.
const MAX_SUPER: u32 = 65_535 - 60 - 60;
/// How long a cork holds (tcp(7)).
const CORK: Duration = Duration::from_millis(200);

impl Tcb {
    /// The next segment to send now, if there is one.
    pub(crate) fn plan(&mut self, env: &mut Env<'_>) -> Option<Plan> {
        if self.state == State::Closed || self.state == State::TimeWait {
            return None;
        }
        if self.snd.syn_due {
            return Some(self.plan_syn());
        }
        if self.state == State::SynSent {
            return None;
        }
        if self.snd.probe == Some(ProbeKind::TailLoss) && self.board.is_empty() {
            // An ACK for everything came between the timer and now.
            self.snd.probe = None;
        }
        match self.snd.probe {
            Some(ProbeKind::TailLoss) => return self.plan_tail_loss_probe(),
            Some(kind) => return Some(self.plan_window_probe(kind)),
            None => {}
        }
        self.plan_retransmission()
            .or_else(|| self.plan_new(env))
            .or_else(|| (self.rcv.ack.due > 0).then(|| Plan::pure(self.snd.nxt, TcpFlags::ACK)))
    }

    fn plan_syn(&self) -> Plan {
        let flags = if self.state == State::SynSent { TcpFlags::SYN } else { TcpFlags::SYN | TcpFlags::ACK };
        let again = self.snd.nxt != self.snd.iss;
        Plan { cause: again.then_some(RetransmitCause::Syn), ..Plan::pure(self.snd.iss, flags) }
    }

    /// A probe carries what the window has room for, or else an old sequence number that asks for an
    /// answer (RFC 9293 section 3.8.6.1).
    fn plan_window_probe(&self, kind: ProbeKind) -> Plan {
        let room = (self.snd.una + self.snd.wnd).offset_from(self.snd.nxt).max(0) as usize;
        let cause = match kind {
            ProbeKind::KeepAlive => RetransmitCause::KeepAlive,
            _ => RetransmitCause::ZeroWindowProbe,
        };
        if kind == ProbeKind::ZeroWindow && room > 0 && self.unsent() > 0 {
            let len = room.min(self.unsent()).min(self.snd.mss as usize);
            return Plan { probe: Some(kind), ..self.plan_payload(self.snd.nxt, len, self.snd.mss) };
        }
        Plan { cause: Some(cause), probe: Some(kind), ..Plan::pure(self.snd.una - 1, TcpFlags::ACK) }
    }

    /// New data if there is some, else the last segment again (RFC 8985 section 7.3).
    fn plan_tail_loss_probe(&mut self) -> Option<Plan> {
        let probe = Some(ProbeKind::TailLoss);
        let mss = self.payload_mss();
        let room = (self.snd.una + self.snd.wnd).offset_from(self.snd.nxt).max(0) as usize;
        let fresh = self.unsent().min(room).min(mss as usize);
        if fresh > 0 {
            return Some(Plan { probe, ..self.plan_payload(self.snd.nxt, fresh, mss) });
        }
        let last = *self.board.back()?;
        let fin = last.mark.contains(Mark::FIN);
        let octets = last.octets() - u32::from(fin);
        let tail = if octets == 0 { 0 } else { (octets - 1) % mss + 1 };
        let seq = last.end - u32::from(fin) - tail;
        Some(Plan {
            probe,
            cause: Some(RetransmitCause::TailLossProbe),
            ..self.plan_payload(seq, tail as usize, mss)
        })
    }

    /// What is lost, as far as the congestion window allows, within the window of the peer; the first
    /// unacknowledged segment goes out in any case (RFC 9293 SHLD-16).
    fn plan_retransmission(&mut self) -> Option<Plan> {
        let room = self.window.cwnd.saturating_sub(self.board.in_flight());
        if room == 0 || self.board.lost() == 0 {
            return None;
        }
        let lost = self.board.next_lost()?;
        if lost.mark.contains(Mark::SYN) {
            self.snd.syn_due = true;
            return Some(self.plan_syn());
        }
        let edge = self.snd.una + self.snd.wnd;
        if lost.seq != self.snd.una && lost.seq.at_or_after(edge) {
            return None;
        }
        let mss = self.payload_mss();
        let fin = u32::from(lost.mark.contains(Mark::FIN));
        let max = room.saturating_mul(mss).min(MAX_SUPER / mss * mss);
        let len = (lost.octets() - fin).min(max);
        Some(Plan { cause: Some(lost.cause), ..self.plan_payload(lost.seq, len as usize, mss) })
    }

    /// New data, and the FIN behind it.
    fn plan_new(&mut self, env: &mut Env<'_>) -> Option<Plan> {
        if self.state == State::SynReceived {
            return None;
        }
        let unsent = self.unsent() as u32;
        let fin_due = self.snd.fin && !self.fin_sent();
        if unsent == 0 {
            return fin_due.then(|| self.plan_payload(self.snd.nxt, 0, self.snd.mss));
        }
        self.restart_after_idle(env);
        let mss = self.payload_mss();
        let window = (self.snd.una + self.snd.wnd).offset_from(self.snd.nxt).max(0) as u32;
        let segments = self.window.cwnd.saturating_sub(self.board.in_flight());
        let largest = if self.snd.urgent.up.is_some() { mss } else { MAX_SUPER / mss * mss };
        let by_cwnd = segments.saturating_mul(mss);
        let limit = window.min(by_cwnd).min(largest);
        if by_cwnd < unsent.min(window) {
            self.snd.cwnd_limited = true;
        }
        let len = if limit >= unsent {
            self.whole_or_held(env, unsent, mss, fin_due)?
        } else {
            self.part_or_deferred(env.now, limit, largest, mss, unsent)?
        };
        Some(self.plan_payload(self.snd.nxt, len as usize, mss))
    }

    /// All that is unsent fits: does the small segment at its end go too (Nagle, cork)?
    fn whole_or_held(&mut self, env: &Env<'_>, unsent: u32, mss: u32, fin_due: bool) -> Option<u32> {
        let small = unsent % mss;
        if small == 0 || fin_due || self.snd.push_now || self.may_send_small(env) {
            return Some(unsent);
        }
        (unsent > small).then_some(unsent - small)
    }

    /// Nagle in Minshall's variant: a small segment waits for the one before it to be acknowledged.
    fn may_send_small(&mut self, env: &Env<'_>) -> bool {
        if self.settings.cork || self.snd.more {
            if !self.timers.is_armed(Timer::Cork) {
                self.timers.set(Timer::Cork, env.now + CORK);
            }
            return false;
        }
        let small_in_flight = !self.board.is_empty() && self.snd.small.after(self.snd.una);
        self.settings.nodelay || !small_in_flight
    }

    /// Window or cwnd end before the data does: whole segments only, and if more is about to be
    /// allowed by the next ACK, rather one large super-segment then than a small one now.
    fn part_or_deferred(&self, now: Instant, limit: u32, largest: u32, mss: u32, unsent: u32) -> Option<u32> {
        let whole = limit / mss * mss;
        if whole == 0 {
            return None;
        }
        let full = largest.min(unsent);
        let third = (self.window.cwnd / 3).saturating_mul(mss).min(self.snd.wnd / 3);
        let repairing = self.recovery.phase.shrinks();
        if whole < full && whole < third && !repairing && self.ack_is_near(now) {
            return None;
        }
        Some(whole)
    }

    /// Is the next ACK about to come? Only then is waiting for it free: the last of a burst of ACKs is
    /// followed by a round trip of silence, and what is held back then is missing in the next one.
    /// (Linux, tcp_tso_should_defer: the last write within 1 ms, the oldest segment sent half a round
    /// trip ago.)
    fn ack_is_near(&self, now: Instant) -> bool {
        let Some(oldest) = self.board.front() else { return false };
        let half = self.rtt.srtt().unwrap_or_default() / 2;
        now.since(self.snd.last_at) <= Duration::from_millis(1) && now.since(oldest.sent_at) >= half
    }

    /// A plan for octets of the send queue, with FIN and PSH where they belong.
    fn plan_payload(&self, seq: Seq, len: usize, mss: u32) -> Plan {
        let mut flags = TcpFlags::ACK;
        let end = seq + len as u32;
        let at_end = end == self.queue_end();
        if self.snd.fin && at_end {
            flags |= TcpFlags::FIN;
        }
        let half_window = end.after(self.snd.pushed + self.snd.max_wnd / 2);
        if len > 0 && (at_end || half_window) {
            flags |= TcpFlags::PSH;
        }
        let offset = seq.distance(self.queue_seq()) as usize;
        Plan { seq, offset, len, flags, cause: None, mss, probe: None }
    }

    /// Payload octets of a full segment now: SACK blocks take room too.
    fn payload_mss(&self) -> u32 {
        let blocks = self.rcv.ofo.report.len() + usize::from(self.rcv.dsack.is_some());
        let sack = if blocks > 0 && self.sack_ok { 4 + 8 * blocks.min(self.sack_room()) as u32 } else { 0 };
        self.segment_size().saturating_sub(sack).max(1)
    }

    fn sack_room(&self) -> usize {
        if self.ts_ok { 3 } else { 4 }
    }

    /// Room for blocks that report new data, beside the one that reports a duplicate.
    fn report_room(&self) -> usize {
        self.sack_room() - usize::from(self.rcv.dsack.is_some())
    }

    /// Nothing in flight for longer than an RTO: what was known of the path is old (RFC 5681 section 4.1).
    fn restart_after_idle(&mut self, env: &Env<'_>) {
        use super::congestion::Congestion;
        if !self.board.is_empty() {
            return;
        }
        let profile = &env.config.profile;
        let (idle, rto) = (env.now.since(self.snd.last_at), self.rtt.rto(profile));
        if idle > rto {
            self.window.restart_after_idle(idle, rto, profile.initial_window);
            self.congestion.on_idle_restart(&mut self.window, env.now);
            self.snd.last_at = env.now;
        }
    }

    /// Did cwnd limit what was sent? In slow start it may grow to twice what was in flight (RFC 7661).
    pub(crate) fn is_cwnd_limited(&self) -> bool {
        if self.window.in_slow_start() {
            self.window.cwnd < 2 * self.snd.max_packets.max(self.board.packets())
        } else {
            self.snd.cwnd_limited
        }
    }

    /// Header and options of a plan, with the window of now.
    pub(crate) fn write_header(&mut self, env: &Env<'_>, plan: &Plan, out: &mut [u8; 60]) -> usize {
        let syn = plan.flags.contains(TcpFlags::SYN);
        let mut options = OptionWriter::new();
        let profile = &env.config.profile;
        if syn {
            self.syn_options(profile, env, &mut options);
        } else {
            self.plain_options(env, &mut options);
        };
        let urgent = if syn || plan.len == 0 { None } else { self.urgent_for(plan.seq) };
        let header = Header {
            src_port: self.local.port(),
            dst_port: self.remote.port(),
            seq: plan.seq,
            ack: self.rcv.nxt,
            flags: plan.flags | if urgent.is_some() { TcpFlags::URG } else { TcpFlags::empty() },
            window: self.advertise(syn),
            urgent: urgent.unwrap_or(0),
        };
        header.write(options.finish(), out)
    }

    fn timestamps(&self, env: &Env<'_>) -> Timestamps {
        Timestamps { value: self.ts_now(env.now), echo: self.rcv.ts_recent }
    }

    /// Writes the RST that ends the connection, with the timestamps agreed (RFC 7323 section 3.2).
    pub(crate) fn write_farewell(&self, env: &Env<'_>, header: &Header, out: &mut [u8; 60]) -> usize {
        let mut w = OptionWriter::new();
        if self.ts_ok {
            w.nop().nop().timestamps(self.timestamps(env));
        }
        header.write(w.finish(), out)
    }

    fn syn_options(&self, profile: &Profile, env: &Env<'_>, w: &mut OptionWriter) {
        let scale = profile.window_scaling
            && (self.state == State::SynSent || self.rcv.wscale > 0 || self.snd.wscale > 0);
        write_syn_options(
            profile.syn_options,
            w,
            &SynOffer {
                mss: self.rcv.adv_mss,
                window_scale: scale.then_some(self.rcv.wscale),
                sack: self.sack_ok,
                timestamps: self.ts_ok.then(|| self.timestamps(env)),
            },
        );
    }

    fn plain_options(&self, env: &Env<'_>, w: &mut OptionWriter) {
        if self.ts_ok {
            w.nop().nop().timestamps(self.timestamps(env));
        }
        if !self.sack_ok {
            return;
        }
        let mut blocks = [SackBlock::default(); 5];
        let (report, reported) = self.rcv.ofo.report.pick(self.report_room());
        let mut n = 0;
        for b in self.rcv.dsack.iter().chain(&report[..reported]) {
            blocks[n] = *b;
            n += 1;
        }
        if n > 0 {
            w.nop().nop().sack(&blocks[..n]);
        }
    }

    /// The device took the segment.
    pub(crate) fn commit(&mut self, env: &mut Env<'_>, plan: &Plan) {
        self.count_sent(env, plan);
        if plan.flags.contains(TcpFlags::ACK) {
            self.note_ack_sent();
        }
        if plan.flags.contains(TcpFlags::SYN) {
            self.commit_syn(env, plan);
            return;
        }
        if plan.end() == plan.seq {
            if plan.probe.is_some() {
                self.snd.probe = None;
            }
            return;
        }
        if plan.end().after(self.snd.nxt) {
            self.commit_new(env, plan);
        } else {
            let mss = plan.mss;
            self.board.retransmitted(plan.seq, plan.end(), mss, env.now);
            self.note_retransmission(env, plan.segments());
        }
        self.commit_probe(env, plan);
        let rto = self.rtt.rto(&env.config.profile);
        // The first unacknowledged segment begins its round trip anew: without this a recovery with a
        // round trip above the least RTO would time out in the middle (RFC 6675 section 6; Linux,
        // tcp_xmit_retransmit_queue).
        let oldest_again = plan.seq == self.snd.una && plan.cause.is_some();
        if !self.timers.is_armed(Timer::Retransmit) || plan.probe == Some(ProbeKind::TailLoss) || oldest_again
        {
            self.timers.set(Timer::Retransmit, env.now + rto);
        }
        if plan.probe.is_none() {
            self.schedule_probe(env);
        }
    }

    fn commit_probe(&mut self, env: &mut Env<'_>, plan: &Plan) {
        if self.snd.probe.take() == Some(ProbeKind::TailLoss) {
            env.stats.count.tcp_tlp_probes += 1;
            self.recovery.probe = Some(Probe { end: self.snd.nxt, retransmission: plan.cause.is_some() });
            self.timers.clear(Timer::TailLossProbe);
        }
    }

    fn commit_syn(&mut self, env: &mut Env<'_>, plan: &Plan) {
        self.snd.syn_due = false;
        if self.snd.nxt == self.snd.iss {
            self.snd.nxt = plan.end();
            self.board.push(plan.seq, plan.end(), 1, env.now, Mark::SYN);
        } else {
            self.board.retransmitted(plan.seq, plan.end(), 1, env.now);
        }
        self.timers.set(Timer::Retransmit, env.now + self.rtt.rto(&env.config.profile));
    }

    fn commit_new(&mut self, env: &mut Env<'_>, plan: &Plan) {
        let mark = if plan.flags.contains(TcpFlags::FIN) { Mark::FIN } else { Mark::empty() };
        if mark == Mark::FIN {
            self.snd.fin_seq = Some(plan.end() - 1);
        }
        self.board.push(plan.seq, plan.end(), plan.segments(), env.now, mark);
        self.snd.nxt = plan.end();
        self.snd.last_at = env.now;
        if !(plan.len as u32).is_multiple_of(plan.mss) {
            self.snd.small = plan.end();
        }
        if plan.flags.contains(TcpFlags::PSH) {
            self.snd.pushed = plan.end();
        }
        if self.unsent() == 0 {
            self.snd.push_now = false;
            self.timers.clear(Timer::Cork);
        }
        // A FIN alone answers nothing (Linux: tcp_event_data_sent is for data).
        if plan.len > 0 && env.now.since(self.rcv.last_data_at) < self.rcv.ack.learned_delay() {
            self.rcv.ack.interactive();
        }
        if self.recovery.phase.shrinks() {
            self.recovery.prr.on_sent(plan.segments());
        }
        self.validate_cwnd();
    }

    /// RFC 7661: remembers, over a round trip, how much of the window was used.
    fn validate_cwnd(&mut self) {
        let packets = self.board.packets();
        if self.snd.una.at_or_after(self.snd.cwnd_usage) || packets > self.snd.max_packets {
            self.snd.max_packets = packets;
            self.snd.cwnd_usage = self.snd.nxt;
            self.snd.cwnd_limited = self.board.in_flight() >= self.window.cwnd;
        } else if self.board.in_flight() >= self.window.cwnd {
            self.snd.cwnd_limited = true;
        }
    }

    fn note_ack_sent(&mut self) {
        let room = self.report_room();
        self.rcv.ack.sent();
        self.rcv.acked = self.rcv.nxt;
        self.rcv.dsack = None;
        if self.sack_ok && self.rcv.ofo.report.told(room) {
            self.rcv.ack.now();
        }
        self.timers.clear(Timer::DelayedAck);
    }

    fn count_sent(&mut self, env: &mut Env<'_>, plan: &Plan) {
        let count = &mut env.stats.count;
        let segments = u64::from(plan.segments());
        self.tally_sent(plan);
        match plan.cause {
            Some(RetransmitCause::KeepAlive) => count.tcp_segs_out += 1,
            Some(RetransmitCause::ZeroWindowProbe) => {
                count.tcp_segs_out += 1;
                count.tcp_zero_window_probes += 1;
            }
            Some(RetransmitCause::Syn) => {
                count.tcp_retrans_segs += 1;
                count.tcp_retrans_syn += 1;
            }
            Some(_) => count.tcp_retrans_segs += segments,
            None => count.tcp_segs_out += segments,
        }
        if plan.is_super() {
            count.tcp_super_segs_out += 1;
        }
        if env.events.filter().segments {
            let window = self.recv_window();
            let segment = SegmentInfo {
                seq: plan.seq,
                len: plan.len as u32,
                flags: plan.flags,
                ack: self.rcv.nxt,
                window,
            };
            self.tell(env, TcpHappening::Sent { segment, cause: plan.cause });
        }
    }
}

/// # Counting
impl Tcb {
    fn tally_sent(&mut self, plan: &Plan) {
        let (segments, octets) = (plan.segments(), plan.len as u64);
        let tally = &mut self.count;
        tally.segs_out = tally.segs_out.wrapping_add(segments);
        if plan.len > 0 {
            tally.data_segs_out = tally.data_segs_out.wrapping_add(segments);
            tally.bytes_sent += octets;
        }
        if plan.cause.is_some() && plan.end() != plan.seq {
            tally.total_retrans = tally.total_retrans.wrapping_add(segments);
            tally.bytes_retrans += octets;
        }
    }
}

/// What a SYN offers.
pub(crate) struct SynOffer {
    pub(crate) mss: u16,
    pub(crate) window_scale: Option<u8>,
    pub(crate) sack: bool,
    pub(crate) timestamps: Option<Timestamps>,
}

/// Writes the options of a SYN in the layout of a system.
pub(crate) fn write_syn_options(layout: SynOptions, w: &mut OptionWriter, offer: &SynOffer) {
    w.mss(offer.mss);
    match layout {
        SynOptions::Linux => {
            match (offer.sack, offer.timestamps) {
                (true, Some(ts)) => w.sack_permitted().timestamps(ts),
                (false, Some(ts)) => w.nop().nop().timestamps(ts),
                (true, None) => w.nop().nop().sack_permitted(),
                (false, None) => w,
            };
            if let Some(scale) = offer.window_scale {
                w.nop().window_scale(scale);
            }
        }
        SynOptions::FreeBsd => {
            if let Some(scale) = offer.window_scale {
                w.nop().window_scale(scale);
            }
            if offer.sack {
                w.sack_permitted();
            }
            if let Some(ts) = offer.timestamps {
                w.timestamps(ts);
            }
        }
    }
}
