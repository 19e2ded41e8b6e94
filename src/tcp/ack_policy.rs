//! When to acknowledge: at once or delayed (RFC 9293 section 3.8.6.3), with the quick ACKs that Linux
//! sends while the peer is in slow start.

use super::tcb::Tcb;
use crate::env::Env;
use crate::event::Timer;
use crate::profile::Profile;
use crate::time::{Duration, Instant};

/// What is owed to the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AckPolicy {
    /// Pure ACKs to send at the next opportunity.
    pub due: u8,
    /// An ACK is owed; the delayed-ACK timer runs for it.
    pub pending: bool,
    /// Segments that are still acknowledged at once.
    quick: u8,
    /// Time to wait for data to ride on, once measured.
    timeout: Option<Duration>,
    /// The application answers what it gets: delaying pays.
    interactive: bool,
}

/// Duplicate ACKs kept in hand for a peer without SACK; beyond it they tell nothing new.
const MAX_DUE: u8 = 64;

impl AckPolicy {
    pub(crate) fn new(profile: &Profile) -> Self {
        Self {
            due: 0,
            pending: false,
            quick: profile.initial_quick_acks.min(255) as u8,
            timeout: None,
            interactive: false,
        }
    }

    /// One ACK at the next opportunity.
    pub fn now(&mut self) {
        self.due = self.due.max(1);
    }

    /// One more ACK: each counts for a peer that counts duplicates.
    pub fn one_more(&mut self) {
        self.due = self.due.saturating_add(1).min(MAX_DUE);
    }

    /// Segments with an ACK went out: nothing is owed any more.
    pub fn sent(&mut self) {
        self.quick = self.quick.saturating_sub(u8::from(self.due > 0 || self.pending));
        self.due = self.due.saturating_sub(1);
        self.pending = false;
    }

    /// The application sent data soon after it received some: delaying ACKs pays from now on.
    pub fn interactive(&mut self) {
        self.interactive = true;
    }

    /// Loss or reordering: acknowledge at once for a while.
    pub fn be_quick(&mut self, profile: &Profile) {
        self.quick = profile.initial_quick_acks.min(16) as u8;
        self.interactive = false;
    }

    fn is_quick(&self, wish: Option<bool>) -> bool {
        wish.unwrap_or(self.quick > 0 && !self.interactive)
    }

    /// Data came in order: learns how long a delay is worth (Linux: tcp_event_data_recv).
    fn on_data(&mut self, now: Instant, last: Instant, rto: Duration, profile: &Profile) {
        let min = profile.delayed_ack_min;
        let gap = now.since(last);
        self.timeout = Some(match self.timeout {
            None => min,
            Some(t) if gap <= min / 2 => t / 2 + min / 2,
            Some(t) if gap < t => (t / 2 + gap).min(rto),
            Some(t) => {
                if gap > rto {
                    self.be_quick(profile);
                }
                t
            }
        });
    }

    /// How long an ACK waits now (tcpi_ato).
    pub(crate) fn timeout(&self, profile: &Profile) -> Duration {
        self.delay(profile)
    }

    /// How long data may wait for an answer to ride on, zero before any data came: what is sent then
    /// answers nothing.
    pub(crate) fn learned_delay(&self) -> Duration {
        self.timeout.unwrap_or(Duration::ZERO)
    }

    fn delay(&self, profile: &Profile) -> Duration {
        self.timeout
            .unwrap_or(profile.delayed_ack_min)
            .clamp(profile.delayed_ack_min, profile.delayed_ack_max)
    }
}

impl Tcb {
    /// Data of `len` octets came in order: decides when it is acknowledged.
    pub(crate) fn schedule_ack(&mut self, env: &mut Env<'_>, last_at: Instant) {
        let profile = &env.config.profile;
        let rto = self.rtt.rto(profile);
        self.rcv.ack.on_data(env.now, last_at, rto, profile);
        let unacked = self.rcv.nxt.distance(self.rcv.acked);
        let two_segments = unacked > u32::from(self.rcv.seg_size)
            && (self.rcv.queue.len() < self.settings.recv_lowat
                || self.window_allowed() >= self.recv_window());
        if two_segments || self.rcv.ack.is_quick(self.settings.quickack) || !self.rcv.ofo.is_empty() {
            self.rcv.ack.now();
        } else if !self.rcv.ack.pending {
            self.rcv.ack.pending = true;
            self.timers.set(Timer::DelayedAck, env.now + self.rcv.ack.delay(profile));
        }
    }

    /// The delayed ACK's time is up.
    pub(crate) fn on_delayed_ack_timer(&mut self, env: &mut Env<'_>) {
        if self.rcv.ack.pending {
            self.rcv.ack.pending = false;
            self.rcv.ack.now();
            env.stats.count.tcp_delayed_acks += 1;
        }
    }
}
