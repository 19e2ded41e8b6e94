//! NewReno (RFC 5681, RFC 6582): slow start, one segment a round trip after it, half at a loss.

use super::{AckInfo, Congestion, Prior, Window};
use crate::profile::CongestionAlgorithm;
use crate::time::Instant;

/// The NewReno controller.
#[derive(Clone, Debug, Default)]
pub struct NewReno {
    prior: Option<Prior>,
}

impl Congestion for NewReno {
    fn name(&self) -> &'static str {
        CongestionAlgorithm::NewReno.name()
    }

    fn on_ack(&mut self, w: &mut Window, ack: &AckInfo) {
        if !ack.may_grow() {
            return;
        }
        let rest = if w.in_slow_start() { w.slow_start(ack.acked) } else { ack.acked };
        if rest > 0 {
            w.additive_increase(w.cwnd, rest);
        }
    }

    /// Half the window, as Linux does. RFC 5681 equation 4 takes the flight size so that a window
    /// that was never used does not count; here it does not grow unused ([`AckInfo::cwnd_limited`]),
    /// and the flight size would punish a sender that the application limited at the time of the loss.
    fn ssthresh_after_loss(&mut self, w: &Window, _in_flight: u32, _now: Instant) -> u32 {
        self.prior = Some(Prior::of(w));
        (w.cwnd / 2).max(2)
    }

    fn on_undo(&mut self, w: &mut Window, _now: Instant) {
        if let Some(prior) = self.prior.take() {
            prior.restore(w);
        }
    }
}
