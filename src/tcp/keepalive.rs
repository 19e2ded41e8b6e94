//! Keep-alive probes (RFC 9293 section 3.8.4, RFC 1122 section 4.2.3.6).

use super::output::ProbeKind;
use super::tcb::Tcb;
use crate::env::Env;
use crate::errno::Errno;
use crate::event::Timer;
use crate::state::State;
use crate::time::Duration;

/// Probing of an idle peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeepAlive {
    /// Probes without an answer, in a row.
    pub probes: u32,
}

impl Tcb {
    /// SO_KEEPALIVE or its times changed, or the connection was established: arms or disarms.
    pub(crate) fn restart_keepalive(&mut self, env: &Env<'_>) {
        self.keepalive.probes = 0;
        if self.settings.keepalive && self.state.is_synchronised() && self.state != State::TimeWait {
            self.timers.set(
                Timer::KeepAlive,
                self.rcv.last_at.max(env.now - self.settings.keep_idle) + self.settings.keep_idle,
            );
        } else {
            self.timers.clear(Timer::KeepAlive);
        }
    }

    /// The keep-alive timer expired. Data in flight suspends probing: retransmission decides then.
    pub(crate) fn on_keepalive_timer(&mut self, env: &mut Env<'_>) {
        if !self.settings.keepalive || !self.state.is_synchronised() {
            return;
        }
        let idle = env.now.since(self.rcv.last_at);
        if !self.board.is_empty() || self.unsent() > 0 {
            self.timers.set(Timer::KeepAlive, env.now + self.settings.keep_idle);
            return;
        }
        if idle < self.settings.keep_idle {
            self.keepalive.probes = 0;
            self.timers.set(Timer::KeepAlive, env.now + (self.settings.keep_idle - idle));
            return;
        }
        let user = self.settings.user_timeout;
        let given_up = if user > Duration::ZERO {
            idle >= user && self.keepalive.probes > 0
        } else {
            self.keepalive.probes >= self.settings.keep_count
        };
        if given_up {
            env.stats.count.tcp_timeouts += 1;
            self.reset(env, Some(self.soft_error.unwrap_or(Errno::ETIMEDOUT)));
            return;
        }
        self.keepalive.probes += 1;
        self.snd.probe = Some(ProbeKind::KeepAlive);
        env.stats.count.tcp_keepalive_probes += 1;
        self.timers.set(Timer::KeepAlive, env.now + self.settings.keep_interval);
    }
}
