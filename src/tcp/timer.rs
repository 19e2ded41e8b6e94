//! The timers of a connection: an enum-indexed table of deadlines.

use crate::event::Timer;
use crate::time::Instant;
use core::fmt;

/// The deadlines of one connection.
#[derive(Clone, PartialEq, Eq)]
pub struct TimerTable([Instant; Timer::ALL.len()]);

impl Default for TimerTable {
    fn default() -> Self {
        Self([Instant::FAR_FUTURE; Timer::ALL.len()])
    }
}

impl TimerTable {
    /// Arms a timer, or arms it anew.
    pub fn set(&mut self, timer: Timer, at: Instant) {
        self.0[timer as usize] = at;
    }

    /// Disarms a timer.
    pub fn clear(&mut self, timer: Timer) {
        self.0[timer as usize] = Instant::FAR_FUTURE;
    }

    /// When a timer expires, if it is armed.
    pub fn get(&self, timer: Timer) -> Option<Instant> {
        Some(self.0[timer as usize]).filter(|&t| t != Instant::FAR_FUTURE)
    }

    /// Is it armed?
    pub fn is_armed(&self, timer: Timer) -> bool {
        self.get(timer).is_some()
    }

    /// The earliest deadline.
    pub fn next(&self) -> Option<Instant> {
        self.0.iter().copied().min().filter(|&t| t != Instant::FAR_FUTURE)
    }

    /// Disarms and returns a timer whose deadline has come.
    pub fn pop_expired(&mut self, now: Instant) -> Option<Timer> {
        let t = Timer::ALL.into_iter().find(|&t| self.0[t as usize] <= now && self.is_armed(t))?;
        self.clear(t);
        Some(t)
    }

    /// Disarms everything.
    pub fn clear_all(&mut self) {
        *self = Self::default();
    }
}

impl fmt::Debug for TimerTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(Timer::ALL.into_iter().filter_map(|t| Some((t, self.get(t)?)))).finish()
    }
}
