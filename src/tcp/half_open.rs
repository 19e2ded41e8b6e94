//! Half-open connections of a listener: a compact record from the SYN to the last ACK of the
//! handshake (RFC 9293 sections 3.5, 3.10.7.2, 3.10.7.4 for SYN-RECEIVED; RFC 4987 section 3).

use super::cookie::{self, CookieOptions};
use super::handshake::{MAX_WINDOW_SCALE, peer_mss};
use super::output::{SynOffer, write_syn_options};
use super::segment::{Header, Segment};
use super::settings::Settings;
use super::tcb::{Opening, Tcb};
use super::{isn, mss, window};
use crate::env::Env;
use crate::event::{Event, RetransmitCause, SegmentInfo, TcpEvent, TcpHappening};
use crate::ip::{Datagram, Path};
use crate::reason::Drop;
use crate::state::{Cause, State};
use crate::time::{Duration, Instant};
use crate::wire::options::{OptionWriter, Timestamps};
use crate::wire::{Seq, TcpFlags};
use crate::{ConnId, SocketId};
use core::net::{IpAddr, SocketAddr};

/// SYN-RECEIVED after a passive open.
#[derive(Clone, Debug)]
pub struct HalfOpen {
    /// The listener.
    pub listener: SocketId,
    local: (IpAddr, u16),
    remote: (IpAddr, u16),
    iss: Seq,
    irs: Seq,
    ts_recent: u32,
    sent_at: Instant,
    peer_mss: u16,
    window: u16,
    recv_window: u16,
    peer_scale: Option<u8>,
    our_scale: u8,
    sack: bool,
    timestamps: bool,
    /// SYN-ACKs sent beyond the first.
    pub retries: u8,
    /// The last ACK came while the accept queue was full.
    pub acked: bool,
    /// It is not kept: what it holds travels in the SYN-ACK as a cookie.
    cookie: bool,
}

/// What a segment for a half-open connection comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HalfOpenVerdict {
    /// The handshake is complete.
    Complete,
    /// The SYN came again: send the SYN-ACK again.
    Repeat,
    /// The peer takes the connection back.
    Abandon,
    /// Dropped; with `ack`, answered with an ACK.
    Dropped {
        /// Why.
        reason: Drop,
        /// An ACK is due.
        ack: bool,
    },
    /// Dropped and answered with RST.
    Refused(Drop),
}

/// The window of the SYN-ACK: whole segments of the size that the peer will send, timestamps taken off.
fn first_window(settings: &Settings, path: &Path, dg: &Datagram<'_>, timestamps: bool) -> u16 {
    let mss = mss::advertised(path, dg.src.is_ipv4(), settings.max_segment);
    window::initial(settings, mss.saturating_sub(if timestamps { mss::TIMESTAMPS as u16 } else { 0 }))
}

impl HalfOpen {
    /// From the SYN of a peer.
    pub fn from_syn(
        env: &Env<'_>,
        listener: SocketId,
        seg: &Segment,
        dg: &Datagram<'_>,
        settings: &Settings,
        path: &Path,
    ) -> Self {
        let profile = &env.config.profile;
        let local = SocketAddr::new(dg.dst, seg.dst_port);
        let remote = SocketAddr::new(dg.src, seg.src_port);
        let scaling = profile.window_scaling && seg.options.window_scale.is_some();
        let timestamps = profile.timestamps && seg.options.timestamps.is_some();
        let full = first_window(settings, path, dg, timestamps);
        Self {
            listener,
            local: (local.ip(), local.port()),
            remote: (remote.ip(), remote.port()),
            iss: isn::initial_sequence(env.rng, env.now, local, remote),
            irs: seg.seq,
            ts_recent: seg.options.timestamps.map_or(0, |t| t.value),
            sent_at: env.now,
            peer_mss: peer_mss(profile, dg.src.is_ipv4(), seg.options.mss),
            window: seg.window,
            recv_window: full,
            peer_scale: seg.options.window_scale.filter(|_| scaling).map(|s| s.min(MAX_WINDOW_SCALE)),
            our_scale: if scaling { window::choose_scale(profile, settings) } else { 0 },
            sack: profile.sack && seg.options.sack_permitted,
            timestamps,
            retries: 0,
            acked: false,
            cookie: false,
        }
    }

    /// Not to be kept: the SYN-ACK carries a cookie. Without timestamps to hold them the options are
    /// given up (RFC 4987 section 3.6).
    pub fn into_cookie(mut self, env: &Env<'_>) -> Self {
        self.iss = cookie::make(env.rng, env.now, self.local(), self.remote(), self.irs, self.peer_mss);
        self.cookie = true;
        if !self.timestamps {
            self.peer_scale = None;
            self.our_scale = 0;
            self.sack = false;
        }
        self
    }

    /// From the last ACK of a handshake whose SYN-ACK carried a cookie; `None` if it does not
    /// acknowledge a cookie of ours.
    pub fn from_cookie(
        env: &Env<'_>,
        listener: SocketId,
        seg: &Segment,
        dg: &Datagram<'_>,
        settings: &Settings,
        path: &Path,
    ) -> Option<Self> {
        let profile = &env.config.profile;
        let local = SocketAddr::new(dg.dst, seg.dst_port);
        let remote = SocketAddr::new(dg.src, seg.src_port);
        let (iss, irs) = (seg.ack - 1, seg.seq - 1);
        let mss = cookie::check(env.rng, env.now, local, remote, irs, iss)?;
        let ts = seg.options.timestamps.filter(|_| profile.timestamps);
        let offset = isn::timestamp_offset(env.rng, local, remote);
        let options = ts.map(|t| cookie::unstamp(t.echo.wrapping_sub(offset)));
        let peer_scale = options.and_then(|o| o.window_scale).filter(|_| profile.window_scaling);
        Some(Self {
            listener,
            local: (local.ip(), local.port()),
            remote: (remote.ip(), remote.port()),
            iss,
            irs,
            ts_recent: ts.map_or(0, |t| t.value),
            sent_at: env.now,
            peer_mss: mss,
            window: seg.window,
            recv_window: first_window(settings, path, dg, ts.is_some()),
            peer_scale,
            our_scale: peer_scale.map_or(0, |_| window::choose_scale(profile, settings)),
            sack: options.is_some_and(|o| o.sack) && profile.sack,
            timestamps: ts.is_some(),
            // The round trip is not known: as after a retransmission.
            retries: 1,
            acked: false,
            cookie: true,
        })
    }

    /// Another ISS than the clock and the hash give.
    pub fn begin_at(&mut self, iss: Seq) {
        self.iss = iss;
    }

    /// Our address and port.
    pub fn local(&self) -> SocketAddr {
        SocketAddr::new(self.local.0, self.local.1)
    }

    /// The peer's.
    pub fn remote(&self) -> SocketAddr {
        SocketAddr::new(self.remote.0, self.remote.1)
    }

    /// When the SYN-ACK is to be sent again.
    pub fn retransmit_after(&self, env: &Env<'_>) -> Duration {
        let p = &env.config.profile;
        (p.rto_initial * (1 << self.retries.min(7))).min(p.rto_max)
    }

    fn ts(&self, env: &Env<'_>) -> Timestamps {
        let offset = isn::timestamp_offset(env.rng, self.local(), self.remote());
        let mut clock = env.now.as_millis() as u32;
        if self.cookie {
            clock = cookie::stamp(clock, CookieOptions { window_scale: self.peer_scale, sack: self.sack });
        }
        Timestamps { value: clock.wrapping_add(offset), echo: self.ts_recent }
    }

    /// Writes the SYN-ACK.
    pub fn syn_ack(&self, env: &mut Env<'_>, path: &Path, max_segment: u16, out: &mut [u8; 60]) -> usize {
        let mut w = OptionWriter::new();
        let offer = SynOffer {
            mss: mss::advertised(path, self.remote.0.is_ipv4(), max_segment),
            window_scale: self.peer_scale.map(|_| self.our_scale),
            sack: self.sack,
            timestamps: self.timestamps.then(|| self.ts(env)),
        };
        write_syn_options(env.config.profile.syn_options, &mut w, &offer);
        let header = self.header(TcpFlags::SYN | TcpFlags::ACK, self.iss);
        let cause = (self.retries > 0).then_some(RetransmitCause::Syn);
        self.tell_sent(env, &header, cause);
        header.write(w.finish(), out)
    }

    /// Writes an ACK.
    pub fn plain_ack(&self, env: &mut Env<'_>, out: &mut [u8; 60]) -> usize {
        let mut w = OptionWriter::new();
        if self.timestamps {
            w.nop().nop().timestamps(self.ts(env));
        }
        let header = self.header(TcpFlags::ACK, self.iss + 1);
        self.tell_sent(env, &header, None);
        header.write(w.finish(), out)
    }

    fn header(&self, flags: TcpFlags, seq: Seq) -> Header {
        Header {
            src_port: self.local.1,
            dst_port: self.remote.1,
            seq,
            ack: self.irs + 1,
            flags,
            window: if flags.contains(TcpFlags::SYN) {
                self.recv_window
            } else {
                self.recv_window >> self.our_scale
            },
            urgent: 0,
        }
    }

    fn tell_sent(&self, env: &mut Env<'_>, h: &Header, cause: Option<RetransmitCause>) {
        let count = &mut env.stats.count;
        if cause.is_some() {
            count.tcp_retrans_segs += 1;
            count.tcp_retrans_syn += 1;
        } else {
            count.tcp_segs_out += 1;
        }
        let segment = SegmentInfo {
            seq: h.seq,
            len: 0,
            flags: h.flags,
            ack: h.ack,
            window: u32::from(self.recv_window),
        };
        self.tell(env, TcpHappening::Sent { segment, cause });
    }

    /// Tells a transition from or to SYN-RECEIVED.
    pub fn tell_state(&self, env: &mut Env<'_>, from: State, to: State) {
        self.tell(env, TcpHappening::State { from, to });
    }

    /// Tells an event; a half-open connection has no name of its own yet.
    pub fn tell(&self, env: &mut Env<'_>, what: TcpHappening) {
        let (local, remote) = (self.local(), self.remote());
        env.events.push(Event::Tcp(TcpEvent { at: env.now, conn: ConnId::default(), local, remote, what }));
    }

    /// A segment for this connection (section 3.10.7.4 as far as SYN-RECEIVED is concerned).
    pub fn handle_segment(&mut self, env: &mut Env<'_>, seg: &Segment) -> HalfOpenVerdict {
        use HalfOpenVerdict as V;
        let info = SegmentInfo {
            seq: seg.seq,
            len: seg.payload_len as u32,
            flags: seg.flags,
            ack: seg.ack,
            window: u32::from(seg.window)
                << if seg.has(TcpFlags::SYN) { 0 } else { self.peer_scale.unwrap_or(0) },
        };
        self.tell(env, TcpHappening::Received { segment: info });
        let next = self.irs + 1;
        if seg.has(TcpFlags::SYN) && !seg.has(TcpFlags::ACK) && !seg.has(TcpFlags::RST) && seg.seq == self.irs
        {
            return V::Repeat;
        }
        if self.is_old(seg) {
            return V::Dropped { reason: Drop::TcpPaws, ack: !seg.has(TcpFlags::RST) };
        }
        let window = u32::from(self.recv_window);
        let in_window = seg.seq == next || seg.seq.in_range(next, window);
        if !in_window {
            let reason = if seg.has(TcpFlags::RST) { Drop::TcpRstOutOfWindow } else { Drop::TcpOutOfWindow };
            return V::Dropped { reason, ack: !seg.has(TcpFlags::RST) };
        }
        if seg.has(TcpFlags::RST) {
            if seg.seq == next {
                return V::Abandon;
            }
            return V::Dropped { reason: Drop::TcpRstInWindow, ack: true };
        }
        if seg.has(TcpFlags::SYN) {
            return V::Dropped { reason: Drop::TcpSynInWindow, ack: true };
        }
        if !seg.has(TcpFlags::ACK) {
            return V::Dropped { reason: Drop::TcpNoAck, ack: false };
        }
        if seg.ack != self.iss + 1 {
            return V::Refused(Drop::TcpBadAck);
        }
        V::Complete
    }

    fn is_old(&self, seg: &Segment) -> bool {
        self.timestamps
            && seg.options.timestamps.is_some_and(|t| (t.value.wrapping_sub(self.ts_recent) as i32) < 0)
    }

    /// The connection that this becomes; `seg`, the last ACK of the handshake, goes to it next.
    pub fn complete(
        &self,
        env: &mut Env<'_>,
        id: ConnId,
        seg: &Segment,
        path: Path,
        generation: u32,
        settings: Settings,
    ) -> Tcb {
        let open = Opening {
            local: self.local(),
            remote: self.remote(),
            settings,
            iss: self.iss,
            ts_offset: isn::timestamp_offset(env.rng, self.local(), self.remote()),
            path,
            path_generation: generation,
        };
        let mut t = Tcb::new(env, id, open);
        env.stats.count.tcp_passive_opens += 1;
        t.passive = true;
        t.state = State::SynReceived;
        t.snd.una = self.iss + 1;
        t.snd.nxt = self.iss + 1;
        t.recovery.high_seq = self.iss;
        t.snd.peer_mss = self.peer_mss;
        t.snd.wscale = self.peer_scale.unwrap_or(0);
        t.snd.wnd = u32::from(seg.window) << t.snd.wscale;
        t.snd.max_wnd = t.snd.wnd.max(u32::from(self.window));
        t.snd.wl1 = seg.seq;
        t.snd.wl2 = seg.ack;
        t.rcv.irs = self.irs;
        t.rcv.nxt = self.irs + 1;
        t.rcv.acked = t.rcv.nxt;
        t.rcv.edge = t.rcv.nxt + u32::from(self.recv_window);
        t.rcv.wscale = self.our_scale;
        t.rcv.ts_recent = self.ts_recent;
        t.rcv.ts_recent_at = env.now;
        t.sack_ok = self.sack;
        t.ts_ok = self.timestamps;
        t.update_mss(&env.config.profile);
        self.measure(env, &mut t, seg);
        t.established(env, Cause::RcvAckOfSyn);
        t
    }

    fn measure(&self, env: &Env<'_>, t: &mut Tcb, seg: &Segment) {
        let profile = &env.config.profile;
        if self.retries == 0 {
            t.rtt.sample(env.now, env.now.since(self.sent_at), profile);
        } else if let Some(ts) = seg.options.timestamps.filter(|ts| self.timestamps && ts.echo != 0) {
            let ms = t.ts_now(env.now).wrapping_sub(ts.echo).clamp(1, 1 << 30);
            t.rtt.sample(env.now, Duration::from_millis(u64::from(ms)), profile);
        } else {
            t.rtt.syn_was_lost();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_small() {
        assert!(size_of::<HalfOpen>() <= 128, "{}", size_of::<HalfOpen>());
    }
}
