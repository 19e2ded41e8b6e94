//! TIME-WAIT: a compact record that answers retransmitted FINs and keeps old segments from a new
//! connection of the same addresses (RFC 9293 section 3.10.7.4, RFC 1337, RFC 6191).

use super::segment::{Header, Segment};
use super::tcb::Tcb;
use crate::ConnId;
use crate::env::Env;
use crate::event::{Event, SegmentInfo, TcpEvent, TcpHappening};
use crate::reason::Drop;
use crate::state::State;
use crate::time::Instant;
use crate::wire::options::{OptionWriter, Timestamps};
use crate::wire::{Seq, TcpFlags};
use core::net::{IpAddr, SocketAddr};

/// What is kept of a connection in TIME-WAIT.
#[derive(Clone, Debug)]
pub struct TimeWait {
    local: (IpAddr, u16),
    remote: (IpAddr, u16),
    snd_nxt: Seq,
    rcv_nxt: Seq,
    rcv_window: u32,
    ts_recent: u32,
    ts_offset: u32,
    ts_ok: bool,
    wscale: u8,
    last_ack_at: Option<Instant>,
}

/// What a segment in TIME-WAIT comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeWaitVerdict {
    /// Dropped without an answer.
    Dropped(Drop),
    /// Dropped, answered with an ACK; with `restart` the 2 MSL begin anew.
    Acknowledge {
        /// Why it was dropped.
        reason: Drop,
        /// Begin the wait anew.
        restart: bool,
    },
    /// A SYN that is surely new: the record is forgotten and the SYN goes to the listener.
    Reopen,
}

impl TimeWait {
    /// The ACK that it sends, in short.
    pub fn ack_info(&self) -> SegmentInfo {
        SegmentInfo {
            seq: self.snd_nxt,
            len: 0,
            flags: TcpFlags::ACK,
            ack: self.rcv_nxt,
            window: self.rcv_window,
        }
    }

    /// What is kept of `tcb`.
    pub fn new(tcb: &Tcb) -> Self {
        Self {
            local: (tcb.local.ip(), tcb.local.port()),
            remote: (tcb.remote.ip(), tcb.remote.port()),
            snd_nxt: tcb.snd.nxt,
            rcv_nxt: tcb.rcv.nxt,
            rcv_window: tcb.recv_window(),
            ts_recent: tcb.rcv.ts_recent,
            ts_offset: tcb.ts_offset,
            ts_ok: tcb.ts_ok,
            wscale: tcb.rcv.wscale,
            last_ack_at: None,
        }
    }

    /// Our address and port.
    pub fn local(&self) -> SocketAddr {
        SocketAddr::new(self.local.0, self.local.1)
    }

    /// The peer's.
    pub fn remote(&self) -> SocketAddr {
        SocketAddr::new(self.remote.0, self.remote.1)
    }

    /// Where a new connection of the same addresses may start its sequence numbers: beyond anything
    /// that was used (RFC 1122 section 4.2.2.13).
    pub fn next_iss(&self) -> Seq {
        self.snd_nxt + 65_535 + 2
    }

    /// A segment for the connection that was.
    pub fn handle_segment(&mut self, env: &mut Env<'_>, seg: &Segment) -> TimeWaitVerdict {
        use TimeWaitVerdict as V;
        // RFC 1337: a RST must not end TIME-WAIT.
        if seg.has(TcpFlags::RST) {
            return V::Dropped(Drop::TcpRstTimeWait);
        }
        let newer_ts = seg
            .options
            .timestamps
            .filter(|_| self.ts_ok)
            .map(|t| t.value.wrapping_sub(self.ts_recent) as i32);
        if seg.has(TcpFlags::SYN) && !seg.has(TcpFlags::ACK) {
            // RFC 6191 section 2; RFC 9293 MAY-2 without timestamps.
            let fresh = newer_ts.is_some_and(|d| d > 0) || seg.seq.after(self.rcv_nxt);
            if fresh && newer_ts.is_none_or(|d| d >= 0) {
                return V::Reopen;
            }
            return self.acknowledge(env, Drop::TcpSynInWindow, false);
        }
        if newer_ts.is_some_and(|d| d < 0) {
            return self.acknowledge(env, Drop::TcpPaws, false);
        }
        let in_window = seg.seq == self.rcv_nxt || seg.seq.in_range(self.rcv_nxt, self.rcv_window);
        let is_last_fin = seg.has(TcpFlags::FIN) && seg.end() == self.rcv_nxt;
        if is_last_fin {
            return self.acknowledge(env, Drop::TcpTimeWait, true);
        }
        if !in_window || seg.seq_len() > 0 {
            return self.acknowledge(env, Drop::TcpTimeWait, false);
        }
        V::Dropped(Drop::TcpTimeWait)
    }

    /// An ACK, at a bounded rate so that two ends cannot keep each other talking.
    fn acknowledge(&mut self, env: &Env<'_>, reason: Drop, restart: bool) -> TimeWaitVerdict {
        let interval = env.config.profile.invalid_ratelimit;
        if !restart && self.last_ack_at.is_some_and(|at| env.now.since(at) < interval) {
            return TimeWaitVerdict::Dropped(reason);
        }
        self.last_ack_at = Some(env.now);
        TimeWaitVerdict::Acknowledge { reason, restart }
    }

    /// Tells that TIME-WAIT is over.
    pub(crate) fn tell_end(&self, env: &mut Env<'_>, conn: ConnId) {
        let what = TcpHappening::State { from: State::TimeWait, to: State::Closed };
        let (local, remote) = (self.local(), self.remote());
        env.events.push(Event::Tcp(TcpEvent { at: env.now, conn, local, remote, what }));
    }

    /// Writes the ACK.
    pub fn ack(&self, env: &Env<'_>, out: &mut [u8; 60]) -> usize {
        let mut w = OptionWriter::new();
        if self.ts_ok {
            let value = (env.now.as_millis() as u32).wrapping_add(self.ts_offset);
            w.nop().nop().timestamps(Timestamps { value, echo: self.ts_recent });
        }
        let header = Header {
            src_port: self.local.1,
            dst_port: self.remote.1,
            seq: self.snd_nxt,
            ack: self.rcv_nxt,
            flags: TcpFlags::ACK,
            window: (self.rcv_window >> self.wscale).min(65_535) as u16,
            urgent: 0,
        };
        header.write(w.finish(), out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_small() {
        assert!(size_of::<TimeWait>() <= 128, "{}", size_of::<TimeWait>());
    }
}
