//! Proportional rate reduction: how much may be sent while a loss is repaired (RFC 9937).

/// The state of one recovery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prr {
    /// Segments delivered since the recovery began.
    delivered: u32,
    /// Segments sent since the recovery began.
    out: u32,
    /// The congestion window when it began (RecoverFS counted in segments).
    prior_cwnd: u32,
}

impl Prr {
    /// A recovery begins.
    pub fn start(prior_cwnd: u32) -> Self {
        Self { delivered: 0, out: 0, prior_cwnd: prior_cwnd.max(1) }
    }

    /// Something was sent.
    pub fn on_sent(&mut self, segments: u32) {
        self.out += segments;
    }

    /// An ACK came that delivered `delivered` segments: the new congestion window. `progress` says that
    /// it advanced snd.una and no further loss was found (SafeACK).
    pub fn on_ack(&mut self, delivered: u32, progress: bool, in_flight: u32, ssthresh: u32) -> u32 {
        self.delivered += delivered;
        let allowed = if in_flight > ssthresh {
            let target =
                (u64::from(self.delivered) * u64::from(ssthresh)).div_ceil(u64::from(self.prior_cwnd));
            (target as u32).saturating_sub(self.out)
        } else {
            let room = ssthresh - in_flight;
            let mut limit = self.delivered.saturating_sub(self.out).max(delivered);
            if progress {
                limit += 1;
            }
            room.min(limit)
        };
        // The first retransmission always goes out.
        let allowed = if self.out == 0 { allowed.max(1) } else { allowed };
        in_flight + allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9937 section 7, the first example: 100 segments in flight, one lost, CUBIC-like halving.
    #[test]
    fn the_window_shrinks_in_proportion_to_what_is_delivered() {
        let mut p = Prr::start(20);
        let ssthresh = 10;
        let mut in_flight = 19;
        let mut sent = 0;
        for _ in 0..18 {
            in_flight -= 1;
            let cwnd = p.on_ack(1, false, in_flight, ssthresh);
            while in_flight < cwnd {
                in_flight += 1;
                sent += 1;
                p.on_sent(1);
            }
        }
        assert_eq!(in_flight, ssthresh);
        assert_eq!(sent, 9, "one for every second delivered");
    }

    #[test]
    fn after_heavy_loss_it_sends_as_fast_as_is_delivered_and_no_faster() {
        let mut p = Prr::start(20);
        // 15 of 20 lost: the pipe is far below ssthresh.
        let cwnd = p.on_ack(2, false, 3, 10);
        assert_eq!(cwnd, 5);
        p.on_sent(2);
        assert_eq!(p.on_ack(1, true, 4, 10), 6, "one delivered, and one more since it made progress");
    }
}
