//! Buffers that grow with what the connection can use: dynamic right-sizing of the receive buffer, and
//! a send buffer of twice the congestion window.

use super::tcb::Tcb;
use crate::env::Env;
use crate::time::{Duration, Instant};

/// What the receiver has measured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecvTuning {
    /// Octets read by the application since `since`.
    copied: usize,
    /// Octets it read in the round trip before.
    space: usize,
    since: Instant,
    /// Round trip as the receiver sees it.
    rtt: Option<Duration>,
    /// The timestamp that the last sample was made from: one sample each.
    last_echo: u32,
}

/// A millisecond clock cannot tell a shorter round trip.
const LEAST_RTT: Duration = Duration::from_millis(1);

impl RecvTuning {
    /// The round trip as the receiver sees it (tcpi_rcv_rtt).
    pub fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    /// Octets the application read in a round trip (tcpi_rcv_space).
    pub fn space(&self) -> usize {
        self.space
    }

    /// The connection is established.
    pub fn starting(now: Instant) -> Self {
        Self { since: now, ..Self::default() }
    }

    /// Data came that echoes the timestamp `echo` at the time `now`, both on our millisecond clock.
    pub fn sample(&mut self, echo: u32, now: u32) {
        let ms = now.wrapping_sub(echo);
        if echo == self.last_echo || ms > 1 << 20 {
            return;
        }
        self.last_echo = echo;
        let rtt = Duration::from_millis(u64::from(ms)).max(LEAST_RTT);
        // The smallest is the one without the application's delays in it; it may rise slowly.
        self.rtt = Some(self.rtt.map_or(rtt, |r| if rtt < r { rtt } else { r + (rtt - r) / 64 }));
    }
}

impl Tcb {
    /// The application read `n` octets: once a round trip, give the peer twice what was read in it.
    pub(crate) fn tune_recv_buffer(&mut self, env: &Env<'_>, n: usize) {
        let adv_mss = usize::from(self.rcv.adv_mss);
        let tune = &mut self.rcv.tune;
        tune.copied += n;
        let rtt = tune.rtt.or_else(|| self.rtt.srtt()).unwrap_or(Duration::from_millis(100)).max(LEAST_RTT);
        if env.now.since(tune.since) < rtt {
            return;
        }
        let copied = tune.copied;
        let space = tune.space.max(10 * adv_mss);
        if copied > space && !self.settings.rcvbuf_locked {
            let mut window = 2 * copied + 16 * adv_mss;
            // Catch up with a sender in slow start, which doubles.
            window += (window as u128 * (copied - space) as u128 / space as u128 * 2)
                .min(usize::MAX as u128 / 4) as usize;
            let buffer = window.saturating_mul(2).min(env.config.profile.rmem[2]);
            self.settings.rcvbuf = self.settings.rcvbuf.max(buffer);
        }
        tune.space = tune.space.max(copied);
        tune.copied = 0;
        tune.since = env.now;
    }

    /// The congestion window grew: the send buffer should hold two of them.
    pub(crate) fn tune_send_buffer(&mut self, env: &Env<'_>) {
        if self.settings.sndbuf_locked {
            return;
        }
        let segments = self.window.cwnd.max(env.config.profile.initial_window) as usize;
        // A segment costs about twice its payload (Linux: SKB_TRUESIZE), and twice the window is wanted.
        let wanted = segments.saturating_mul(self.snd.mss as usize).saturating_mul(4);
        self.settings.sndbuf = self.settings.sndbuf.max(wanted.min(env.config.profile.wmem[2]));
    }

    /// Octets the application may still write.
    pub(crate) fn send_room(&self) -> usize {
        // As in Linux half of the buffer pays for overhead.
        (self.settings.sndbuf / 2).saturating_sub(self.snd.queue.len())
    }
}
