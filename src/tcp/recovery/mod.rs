//! Loss recovery: from an acknowledgment to what is lost, what may be sent, and when a response was
//! wrong.
//!
//! Read in this order: [`scoreboard`] (what is in flight), [`rack`] (what is lost), [`prr`] (how much
//! may be sent meanwhile), [`tlp`] (losses at the tail), and this file: the phases of RFC 5681 and
//! RFC 6675 with the undo of RFC 3522, 5682 and 3708.

pub mod prr;
pub mod rack;
mod respond;
pub mod scoreboard;
pub mod tlp;

use crate::wire::Seq;
use prr::Prr;
use rack::Rack;
use tlp::Probe;

/// Where the congestion response stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum Phase {
    /// Nothing is wrong.
    #[default]
    Open = 0,
    /// Duplicate ACKs or SACKs came, nothing is deemed lost.
    Disorder = 1,
    /// The window shrinks without a retransmission (ECN, a repaired tail loss).
    Cwr = 2,
    /// Losses are being repaired, the ACK clock runs (fast recovery).
    Recovery = 3,
    /// The retransmission timer expired.
    Loss = 4,
}

impl Phase {
    /// The congestion window is under the control of the recovery, not of the algorithm.
    pub const fn shrinks(self) -> bool {
        matches!(self, Self::Cwr | Self::Recovery)
    }
}

/// The state of recovery in a connection.
#[derive(Clone, Debug)]
pub struct Recovery {
    /// Where it stands.
    pub phase: Phase,
    /// snd.nxt when the phase began: it ends when this is acknowledged.
    pub high_seq: Seq,
    /// PRR of this recovery.
    pub prr: Prr,
    /// RACK.
    pub rack: Rack,
    /// An outstanding tail-loss probe.
    pub probe: Option<Probe>,
    /// What to restore if the response proves wrong.
    pub undo: Option<Undo>,
    /// F-RTO is looking whether this timeout was spurious.
    pub frto: bool,
    /// Highest sequence number delivered so far (for reordering).
    pub fack: Option<Seq>,
}

/// A congestion response that may yet prove wrong; what was before it is kept by the controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undo {
    /// snd.una when it began.
    pub marker: Seq,
    /// Retransmitted segments not yet reported as duplicates: none left means all were needless.
    pub outstanding: u32,
    /// Did it retransmit anything?
    pub retransmitted: bool,
    /// TSval of its first retransmission: an echo from before it proves that the original arrived
    /// (Eifel detection, RFC 3522).
    pub first_retransmit_ts: Option<u32>,
}

impl Default for Recovery {
    fn default() -> Self {
        Self {
            phase: Phase::Open,
            high_seq: Seq(0),
            prr: Prr::default(),
            rack: Rack::default(),
            probe: None,
            undo: None,
            frto: false,
            fack: None,
        }
    }
}
