//! Deadlines that have passed.

use super::{Stack, TimerKey};
use crate::ConnId;
use crate::time::Instant;

/// # Time
impl Stack {
    /// The time that [`Self::poll_timeout`] gave has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.ip.handle_timeout(&mut self.around.env(now));
        self.tell_unreachable(now);
        while let Some(key) = self.wheel.pop_expired(now) {
            match key {
                TimerKey::Connection(id) => self.connection_timeout(now, id),
                TimerKey::HalfOpen(id) => self.half_open_timeout(now, id),
                TimerKey::TimeWait(id) => self.remove_time_wait(now, id),
            }
        }
    }

    fn connection_timeout(&mut self, now: Instant, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        conn.timer = None;
        conn.tcb.handle_timers(&mut self.around.env(now));
        self.settle(now, id);
    }
}
