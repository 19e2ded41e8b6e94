//! What each timer does when it expires.

use super::output::ProbeKind;
use super::tcb::Tcb;
use crate::env::Env;
use crate::errno::Errno;
use crate::event::TcpHappening;
use crate::event::Timer;
use crate::state::{Cause, State};
use crate::time::Duration;

impl Tcb {
    /// Runs every timer whose deadline has come.
    pub(crate) fn handle_timers(&mut self, env: &mut Env<'_>) {
        while let Some(timer) = self.timers.pop_expired(env.now) {
            let attempt = match timer {
                Timer::Persist => u32::from(self.persist_backoff),
                Timer::KeepAlive => self.keepalive.probes,
                _ => u32::from(self.rtt.backoff()),
            };
            self.tell(env, TcpHappening::TimerFired { timer, attempt });
            match timer {
                Timer::Retransmit => self.on_retransmit_timer(env),
                Timer::TailLossProbe => self.on_probe_timer(env),
                Timer::Rack => self.on_rack_timer(env),
                Timer::Persist => self.on_persist_timer(env),
                Timer::DelayedAck => self.on_delayed_ack_timer(env),
                Timer::KeepAlive => self.on_keepalive_timer(env),
                Timer::FinWait2 => self.on_fin_wait2_timer(env),
                Timer::Cork => self.snd.push_now = true,
            }
        }
    }

    /// RFC 6298 section 5.4 to 5.7, with R1 and R2 of RFC 9293 section 3.8.3.
    fn on_retransmit_timer(&mut self, env: &mut Env<'_>) {
        if self.board.is_empty() {
            return;
        }
        let since = *self.retransmit_since.get_or_insert(env.now - self.rtt.rto(&env.config.profile));
        if self.gives_up(env, env.now.since(since)) {
            env.stats.count.tcp_timeouts += 1;
            let error = self.soft_error.unwrap_or(Errno::ETIMEDOUT);
            self.fail(env, error);
            return;
        }
        self.rtt.back_off();
        if matches!(self.state, State::SynSent | State::SynReceived) {
            self.snd.syn_due = true;
            self.syn_retries = self.syn_retries.saturating_add(1);
        } else {
            self.enter_loss(env);
        }
        self.timers.set(Timer::Retransmit, env.now + self.rtt.rto(&env.config.profile));
    }

    /// R2: has it been retransmitted often, or long, enough?
    fn gives_up(&self, env: &Env<'_>, since: Duration) -> bool {
        let profile = &env.config.profile;
        if self.state == State::SynSent {
            return u32::from(self.syn_retries) >= self.settings.syn_retries
                || (self.settings.user_timeout > Duration::ZERO && since >= self.settings.user_timeout);
        }
        if self.state == State::SynReceived {
            return u32::from(self.syn_retries) >= profile.synack_retries;
        }
        if self.settings.user_timeout > Duration::ZERO {
            return since >= self.settings.user_timeout;
        }
        let retries = if self.orphan { profile.orphan_retries } else { profile.retries2 };
        u32::from(self.rtt.backoff()) >= retries
    }

    /// PTO: probe for a loss at the tail (RFC 8985 section 7.3).
    fn on_probe_timer(&mut self, env: &mut Env<'_>) {
        if !self.board.is_empty() {
            self.snd.probe = Some(ProbeKind::TailLoss);
            self.timers.set(Timer::Retransmit, env.now + self.rtt.rto(&env.config.profile));
        }
    }

    /// There is data, the window has no room for it and nothing is in flight: arms the persist timer
    /// (RFC 9293 section 3.8.6.1). Called when nothing more can be sent.
    pub(crate) fn consider_persist(&mut self, env: &Env<'_>) {
        let stuck = self.board.is_empty()
            && (self.unsent() > 0)
            && self.state.is_synchronised()
            && !self.timers.is_armed(Timer::Cork);
        if !stuck {
            if self.unsent() == 0 || !self.board.is_empty() {
                self.timers.clear(Timer::Persist);
                self.persist_backoff = 0;
            }
        } else if !self.timers.is_armed(Timer::Persist) {
            self.timers.set(Timer::Persist, env.now + self.persist_interval(env));
        }
    }

    /// The interval to the next probe begins with the answer to the last one (Linux).
    pub(crate) fn restart_persist(&mut self, env: &Env<'_>) {
        if self.timers.is_armed(Timer::Persist) {
            self.timers.set(Timer::Persist, env.now + self.persist_interval(env));
        }
    }

    fn persist_interval(&self, env: &Env<'_>) -> Duration {
        let profile = &env.config.profile;
        let base = self.rtt.base_rto().max(profile.rto_min);
        (base * (1u32 << self.persist_backoff.min(16))).min(profile.rto_max)
    }

    /// A probe every interval, doubling. A peer that answers lives, however long its window stays
    /// closed (MUST-37), unless there is no application left: then a peer that answers and never takes
    /// anything could hold our memory for ever (Linux: tcp_probe_timer). One that does not answer is
    /// given up like one that does not acknowledge data.
    fn on_persist_timer(&mut self, env: &mut Env<'_>) {
        if self.unsent() == 0 || !self.board.is_empty() {
            return;
        }
        let profile = &env.config.profile;
        let retries = if self.orphan { profile.orphan_retries } else { profile.retries2 };
        let silent = env.now.since(self.rcv.last_at);
        let user = self.settings.user_timeout;
        let forgotten = self.orphan
            && u32::from(self.persist_backoff) >= retries
            && self.persist_interval(env) >= profile.rto_max;
        if forgotten
            || u32::from(self.probes) >= retries
            || (user > Duration::ZERO && self.probes > 0 && silent >= user)
        {
            env.stats.count.tcp_timeouts += 1;
            let error = self.soft_error.unwrap_or(Errno::ETIMEDOUT);
            self.fail(env, error);
            return;
        }
        self.snd.probe = Some(ProbeKind::ZeroWindow);
        self.probes = self.probes.saturating_add(1);
        // Answered or not, the next one waits longer (RFC 9293 SHLD-30).
        self.persist_backoff = self.persist_backoff.saturating_add(1);
        self.timers.set(Timer::Persist, env.now + self.persist_interval(env));
    }

    fn on_fin_wait2_timer(&mut self, env: &mut Env<'_>) {
        if self.state == State::FinWait2 && self.orphan {
            self.go(env, Cause::Timeout);
        }
    }
}
