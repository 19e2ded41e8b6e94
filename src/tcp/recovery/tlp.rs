//! Tail-loss probe: a segment sent two round trips after the last, so that a loss at the tail shows as
//! a SACK instead of a timeout (RFC 8985 section 7).

use crate::time::Duration;
use crate::wire::Seq;

/// A probe that is outstanding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// TLP.end_seq: snd.nxt when it was sent.
    pub end: Seq,
    /// It was a retransmission, not new data.
    pub retransmission: bool,
}

/// What an ACK says about an outstanding probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeOutcome {
    /// Nothing yet.
    Pending,
    /// Both copies arrived, or new data did: nothing was lost.
    NothingLost,
    /// The probe repaired a loss that nobody else noticed: the congestion window must shrink.
    Repaired,
}

impl Probe {
    /// Section 7.4.2: `dsack` says the ACK reports the probe as a duplicate, `duplicate_ack` that it
    /// acknowledges nothing new and carries no SACK.
    pub fn on_ack(self, ack: Seq, dsack: bool, duplicate_ack: bool) -> ProbeOutcome {
        if ack.before(self.end) {
            return ProbeOutcome::Pending;
        }
        if !self.retransmission || dsack {
            return ProbeOutcome::NothingLost;
        }
        // An ACK of exactly the tail may be for either copy: only the next ACK tells.
        match (ack == self.end, duplicate_ack) {
            (false, _) => ProbeOutcome::Repaired,
            (true, true) => ProbeOutcome::NothingLost,
            (true, false) => ProbeOutcome::Pending,
        }
    }
}

/// PTO: after how long to probe (section 7.2). One segment in flight may wait for a delayed ACK.
pub fn probe_timeout(srtt: Option<Duration>, in_flight: u32, max_ack_delay: Duration) -> Duration {
    match srtt {
        Some(srtt) if in_flight == 1 => 2 * srtt + max_ack_delay,
        Some(srtt) => 2 * srtt + Duration::from_millis(2),
        None => Duration::from_secs(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outcomes_of_section_7_4_2() {
        let p = Probe { end: Seq(100), retransmission: true };
        assert_eq!(p.on_ack(Seq(99), false, false), ProbeOutcome::Pending);
        assert_eq!(p.on_ack(Seq(100), true, false), ProbeOutcome::NothingLost);
        assert_eq!(p.on_ack(Seq(100), false, true), ProbeOutcome::NothingLost);
        assert_eq!(p.on_ack(Seq(100), false, false), ProbeOutcome::Pending);
        assert_eq!(p.on_ack(Seq(101), false, false), ProbeOutcome::Repaired);
        let new = Probe { retransmission: false, ..p };
        assert_eq!(new.on_ack(Seq(100), false, false), ProbeOutcome::NothingLost);
    }
}
