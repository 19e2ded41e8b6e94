//! Active and simultaneous opens (RFC 9293 sections 3.5, 3.10.1, 3.10.7.3), and what both sides agree
//! on in the handshake.

use super::input::{Step, Verdict};
use super::recovery::scoreboard::Delivery;
use super::segment::Segment;
use super::tcb::{Opening, Signals, Tcb};
use crate::ConnId;
use crate::env::Env;
use crate::event::Timer;
use crate::ip::Datagram;
use crate::profile::Profile;
use crate::reason::Drop;
use crate::state::{Cause, State};
use crate::wire::{TcpFlags, TcpOptions};

/// RFC 7323 section 2.3: a larger shift counts as this.
pub(crate) const MAX_WINDOW_SCALE: u8 = 14;

impl Tcb {
    /// Active open: a SYN is due.
    pub(crate) fn connect(env: &mut Env<'_>, id: ConnId, open: Opening) -> Self {
        let mut tcb = Self::new(env, id, open);
        env.stats.count.tcp_active_opens += 1;
        tcb.snd.syn_due = true;
        tcb.go(env, Cause::ActiveOpen);
        tcb
    }

    /// SYN-SENT (section 3.10.7.3).
    pub(crate) fn syn_sent(&mut self, env: &mut Env<'_>, seg: &Segment, dg: &Datagram<'_>) -> Step {
        let acks = seg.has(TcpFlags::ACK);
        // First, the ACK: of our SYN and of nothing else.
        if acks && (seg.ack.at_or_before(self.snd.iss) || seg.ack.after(self.snd.nxt)) {
            return Err(if seg.has(TcpFlags::RST) {
                Verdict::Dropped(Drop::TcpBadSynAck)
            } else {
                Verdict::Refused(Drop::TcpBadSynAck)
            });
        }
        // Second, RST: believed only with the right ACK.
        if seg.has(TcpFlags::RST) {
            if !acks {
                return Err(Verdict::Dropped(Drop::TcpRstOutOfWindow));
            }
            self.on_reset(env);
            return Err(Verdict::Taken);
        }
        // Fourth, SYN.
        if !seg.has(TcpFlags::SYN) {
            return Err(Verdict::Dropped(Drop::TcpBadSynAck));
        }
        self.take_peer_syn(env, seg);
        if acks {
            self.acknowledge_syn(env, seg);
            self.rcv.ack.now();
            self.established(env, Cause::RcvSynAck);
        } else {
            // Simultaneous open: our SYN goes out again, with an ACK. Data and a FIN that came along wait
            // for ESTABLISHED: they are left to be sent again, as in Linux. (A FIN taken here would lead
            // to CLOSE-WAIT with our SYN not acknowledged.)
            self.snd.syn_due = true;
            self.go(env, Cause::RcvSyn);
            return Ok(());
        }
        // Data and FIN that came with the SYN-ACK.
        if seg.payload_len > 0 || seg.has(TcpFlags::FIN) {
            self.rcv.edge = self.rcv.nxt + self.window_allowed();
            self.on_urgent_pointer(seg);
            self.receive_data(env, seg, dg).map_err(Verdict::Dropped)?;
        }
        Ok(())
    }

    /// What the peer's SYN says.
    pub(crate) fn take_peer_syn(&mut self, env: &mut Env<'_>, seg: &Segment) {
        self.rcv.irs = seg.seq;
        self.rcv.nxt = seg.seq + 1;
        self.rcv.acked = self.rcv.nxt;
        self.rcv.edge = self.rcv.nxt + self.window_allowed().min(65_535);
        self.rcv.last_at = env.now;
        self.snd.wnd = u32::from(seg.window);
        self.snd.max_wnd = self.snd.wnd;
        self.snd.wl1 = seg.seq;
        self.snd.wl2 = seg.ack;
        self.agree(env, &seg.options);
    }

    /// The options of the peer's SYN against what we offered.
    fn agree(&mut self, env: &Env<'_>, theirs: &TcpOptions) {
        let profile = &env.config.profile;
        self.sack_ok &= theirs.sack_permitted;
        match theirs.timestamps {
            Some(ts) if self.ts_ok => {
                self.rcv.ts_recent = ts.value;
                self.rcv.ts_recent_at = env.now;
            }
            _ => self.ts_ok = false,
        }
        self.agree_scale(profile, theirs.window_scale);
        self.snd.peer_mss = peer_mss(profile, self.remote.is_ipv4(), theirs.mss);
        self.update_mss(profile);
    }

    fn agree_scale(&mut self, profile: &Profile, theirs: Option<u8>) {
        match theirs {
            Some(shift) if profile.window_scaling => self.snd.wscale = shift.min(MAX_WINDOW_SCALE),
            _ => {
                self.snd.wscale = 0;
                self.rcv.wscale = 0;
            }
        }
    }

    /// Our SYN is acknowledged by `seg`.
    fn acknowledge_syn(&mut self, env: &mut Env<'_>, seg: &Segment) {
        let mut delivery = Delivery::new(env.now, self.snd.iss, None, None);
        self.board.acknowledge(self.snd.iss + 1, 1, &mut delivery);
        self.snd.una = self.snd.iss + 1;
        self.recovery.high_seq = self.snd.iss;
        self.snd.syn_due = false;
        if let Some(at) = delivery.first_rtt_from {
            self.rtt.sample(env.now, env.now.since(at), &env.config.profile);
        } else if let Some(ts) = seg.options.timestamps.filter(|ts| self.ts_ok && ts.echo != 0) {
            let ms = self.ts_now(env.now).wrapping_sub(ts.echo).clamp(1, 1 << 30);
            self.rtt.sample(env.now, crate::time::Duration::from_millis(u64::from(ms)), &env.config.profile);
        }
        if self.syn_retries > 0 {
            self.rtt.syn_was_lost();
        }
        self.rtt.reset_backoff();
        self.retransmit_since = None;
        self.timers.clear(Timer::Retransmit);
        if self.syn_retries > 0 {
            // RFC 5681 section 3.1: a lost SYN starts with one segment; Linux and RFC 6928 keep the
            // initial window after a single loss.
            self.window.cwnd = if self.syn_retries > 1 { 1 } else { self.window.cwnd };
        }
    }

    /// SYN-RECEIVED in a connection of its own (simultaneous open): the ACK of our SYN.
    pub(crate) fn handshake_ack(&mut self, env: &mut Env<'_>, seg: &Segment) -> Step {
        if self.state != State::SynReceived {
            return Ok(());
        }
        if seg.ack != self.snd.iss + 1 {
            return Err(Verdict::Refused(Drop::TcpBadAck));
        }
        self.acknowledge_syn(env, seg);
        // The window of a SYN-ACK, after two SYNs crossed, is not scaled.
        let shift = if seg.has(TcpFlags::SYN) { 0 } else { self.snd.wscale };
        self.snd.wnd = u32::from(seg.window) << shift;
        self.snd.max_wnd = self.snd.max_wnd.max(self.snd.wnd);
        self.snd.wl1 = seg.seq;
        self.snd.wl2 = seg.ack;
        self.established(env, Cause::RcvAckOfSyn);
        Ok(())
    }

    /// The handshake is done.
    pub(crate) fn established(&mut self, env: &mut Env<'_>, cause: Cause) {
        self.go(env, cause);
        self.rcv.tune = super::autotune::RecvTuning::starting(env.now);
        self.snd.last_at = env.now;
        self.restart_keepalive(env);
        self.tune_send_buffer(env);
        if self.snd.fin {
            // Shut down while the handshake was under way.
            self.go(env, Cause::Close);
            self.orphaned(env);
        }
        self.signals |= Signals::CONNECTED | Signals::WRITABLE;
    }
}

/// The MSS that a peer's SYN gives, not below the profile's least (CVE-2019-11479).
pub(crate) fn peer_mss(profile: &Profile, ipv4: bool, option: Option<u16>) -> u16 {
    match option {
        Some(mss) if mss > 0 => mss.max(profile.min_mss),
        _ => super::mss::default_for(ipv4),
    }
}
