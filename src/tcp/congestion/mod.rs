//! Congestion control behind a small trait: what it is asked, and what it answers.
//!
//! Read in this order: this file (the trait, the window, the dispatch), `newreno`, `cubic`.
//!
//! Who sets what. The controller owns the *growth* of the window ([`Congestion::on_ack`]) and the
//! *size* of a reduction ([`Congestion::ssthresh_after_loss`]). Recovery owns the window while it
//! lasts: it stores the new `ssthresh`, moves `cwnd` towards it, and sets `cwnd` after a timeout.

mod cubic;
mod newreno;
#[cfg(test)]
mod tests;

pub use cubic::Cubic;
pub use newreno::NewReno;

use crate::profile::CongestionAlgorithm;
use crate::time::{Duration, Instant};

/// The congestion window of a connection, in segments of the effective send MSS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Congestion window, at least 1.
    pub cwnd: u32,
    /// Slow-start threshold; `u32::MAX` while there was no loss.
    pub ssthresh: u32,
    /// What has been gathered towards the next step of `cwnd`. Only the controller knows its unit:
    /// set it to 0 whenever `cwnd` is set from outside.
    pub cwnd_cnt: u32,
    /// `cwnd` does not grow past this.
    pub clamp: u32,
}

impl Window {
    /// The window of a new connection (RFC 6928: 10 segments).
    pub const fn new(initial: u32) -> Self {
        Self { cwnd: initial, ssthresh: u32::MAX, cwnd_cnt: 0, clamp: u32::MAX }
    }

    /// Is the window below the threshold?
    pub const fn in_slow_start(&self) -> bool {
        self.cwnd < self.ssthresh
    }

    /// Slow start (RFC 5681 section 3.1): one segment for each one acknowledged, not beyond
    /// `ssthresh`. Returns the segments left over for congestion avoidance.
    pub fn slow_start(&mut self, acked: u32) -> u32 {
        let grown = self.cwnd.saturating_add(acked).min(self.ssthresh).max(self.cwnd);
        let rest = acked - (grown - self.cwnd);
        self.cwnd = grown.min(self.clamp.max(self.cwnd));
        rest
    }

    /// Linear growth (RFC 5681 equation 3, counted in segments as RFC 3465 does): one segment for
    /// every `per` acknowledged.
    pub fn additive_increase(&mut self, per: u32, acked: u32) {
        let per = per.max(1);
        let total = self.cwnd_cnt.saturating_add(acked);
        self.cwnd_cnt = total % per;
        self.grow(total / per);
    }

    /// Adds `n` segments, up to the clamp.
    pub fn grow(&mut self, n: u32) {
        self.cwnd = self.cwnd.saturating_add(n).min(self.clamp.max(self.cwnd));
    }

    /// The threshold that a sender keeps in mind over an idle time: three quarters of a window that
    /// was in use are known to have fitted (RFC 2861 section 3.1, RFC 7661 section 4.2).
    pub fn current_ssthresh(&self) -> u32 {
        self.ssthresh.max((self.cwnd >> 1) + (self.cwnd >> 2))
    }

    /// The window after the sender was idle for `idle` (RFC 2861): it halves with each RTO that passes, not
    /// below `restart` (the initial window, RFC 5681 section 4.1). Nothing changes if `idle` is
    /// below one RTO.
    pub fn restart_after_idle(&mut self, idle: Duration, rto: Duration, restart: u32) {
        if rto.is_zero() || idle <= rto {
            return;
        }
        self.ssthresh = self.current_ssthresh();
        let halvings = (idle.as_nanos() / rto.as_nanos()).min(31) as u32;
        let floor = restart.min(self.cwnd).max(1);
        self.cwnd = (self.cwnd >> halvings).max(floor);
        self.cwnd_cnt = 0;
    }
}

/// What one acknowledgment told.
#[derive(Clone, Copy, Debug)]
pub struct AckInfo {
    /// When it came.
    pub now: Instant,
    /// Segments newly delivered: acknowledged cumulatively or by SACK.
    pub acked: u32,
    /// The round-trip time it measured, if it did.
    pub rtt: Option<Duration>,
    /// Smoothed round-trip time; zero before the first sample.
    pub srtt: Duration,
    /// Smallest round-trip time seen; zero before the first sample.
    pub min_rtt: Duration,
    /// Segments in flight before this acknowledgment.
    pub in_flight: u32,
    /// The window, and not the application or the peer's window, limited what was sent. Otherwise
    /// `cwnd` is not known to fit the path and does not grow (RFC 7661).
    pub cwnd_limited: bool,
    /// Effective send MSS in octets.
    pub mss: u32,
    /// `SND.UNA` moved.
    pub snd_una_advanced: bool,
    /// Fast recovery sets the window now. False after a timeout: there slow start goes on.
    pub in_recovery: bool,
}

impl AckInfo {
    /// May the window grow by this acknowledgment?
    const fn may_grow(&self) -> bool {
        self.cwnd_limited && self.snd_una_advanced && !self.in_recovery && self.acked > 0
    }
}

/// What a congestion controller is told. Every hook but the first three may be left out.
pub trait Congestion {
    /// The name that TCP_CONGESTION gives.
    fn name(&self) -> &'static str;

    /// An acknowledgment came: grow the window.
    fn on_ack(&mut self, w: &mut Window, ack: &AckInfo);

    /// A loss was found: returns the new slow-start threshold in segments, at least 2. Called once for
    /// each loss episode, before anything in `w` is changed; the caller stores the result.
    /// `in_flight` counts what is sent and not cumulatively acknowledged.
    fn ssthresh_after_loss(&mut self, w: &Window, in_flight: u32, now: Instant) -> u32;

    /// The connection is established, or the controller took over from another.
    fn on_init(&mut self, cwnd: u32) {
        let _ = cwnd;
    }

    /// The retransmission timer expired. Called after [`Self::ssthresh_after_loss`], if the timeout
    /// began a loss episode, and after the caller has set `w.cwnd`.
    fn on_rto(&mut self, w: &mut Window, now: Instant) {
        let _ = (w, now);
    }

    /// Fast recovery is over; the caller has set `w.cwnd` to `w.ssthresh`.
    fn on_recovery_exit(&mut self, w: &mut Window, now: Instant) {
        let _ = (w, now);
    }

    /// The last loss was spurious: `w` goes back to what it was at the last
    /// [`Self::ssthresh_after_loss`], unless it has grown past it. Does nothing the second time.
    fn on_undo(&mut self, w: &mut Window, now: Instant);

    /// The sender starts again after having had nothing to send. The caller has set `w`
    /// ([`Window::restart_after_idle`]).
    fn on_idle_restart(&mut self, w: &mut Window, now: Instant) {
        let _ = (w, now);
    }
}

/// The window before a reduction, to take the reduction back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Prior {
    cwnd: u32,
    ssthresh: u32,
}

impl Prior {
    const fn of(w: &Window) -> Self {
        Self { cwnd: w.cwnd, ssthresh: w.ssthresh }
    }

    fn restore(self, w: &mut Window) {
        w.cwnd = w.cwnd.max(self.cwnd);
        w.ssthresh = self.ssthresh;
        w.cwnd_cnt = 0;
    }
}

/// A controller of any kind, without a box.
#[derive(Clone, Debug)]
pub enum Controller {
    /// NewReno.
    NewReno(NewReno),
    /// CUBIC.
    Cubic(Cubic),
}

macro_rules! delegate {
    ($self:ident, $c:ident => $call:expr) => {
        match $self {
            Self::NewReno($c) => $call,
            Self::Cubic($c) => $call,
        }
    };
}

impl Controller {
    /// A fresh controller. When it replaces another in the middle of a connection, set
    /// [`Window::cwnd_cnt`] to 0.
    pub fn new(algorithm: CongestionAlgorithm) -> Self {
        match algorithm {
            CongestionAlgorithm::NewReno => Self::NewReno(NewReno::default()),
            CongestionAlgorithm::Cubic => Self::Cubic(Cubic::default()),
        }
    }

    /// Which it is.
    pub const fn algorithm(&self) -> CongestionAlgorithm {
        match self {
            Self::NewReno(_) => CongestionAlgorithm::NewReno,
            Self::Cubic(_) => CongestionAlgorithm::Cubic,
        }
    }
}

impl Congestion for Controller {
    fn name(&self) -> &'static str {
        delegate!(self, c => c.name())
    }
    fn on_ack(&mut self, w: &mut Window, ack: &AckInfo) {
        delegate!(self, c => c.on_ack(w, ack));
    }
    fn ssthresh_after_loss(&mut self, w: &Window, in_flight: u32, now: Instant) -> u32 {
        delegate!(self, c => c.ssthresh_after_loss(w, in_flight, now))
    }
    fn on_init(&mut self, cwnd: u32) {
        delegate!(self, c => c.on_init(cwnd));
    }
    fn on_rto(&mut self, w: &mut Window, now: Instant) {
        delegate!(self, c => c.on_rto(w, now));
    }
    fn on_recovery_exit(&mut self, w: &mut Window, now: Instant) {
        delegate!(self, c => c.on_recovery_exit(w, now));
    }
    fn on_undo(&mut self, w: &mut Window, now: Instant) {
        delegate!(self, c => c.on_undo(w, now));
    }
    fn on_idle_restart(&mut self, w: &mut Window, now: Instant) {
        delegate!(self, c => c.on_idle_restart(w, now));
    }
}
