//! The states of a connection and the transitions between them (RFC 9293 section 3.3.2, figure 5),
//! written once: the machine checks itself against the table, the tests walk it, the docs draw it.

use core::fmt;

/// The state of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum State {
    /// A connection in both directions.
    Established = 1,
    /// SYN sent, waiting for a SYN in return.
    SynSent = 2,
    /// SYN received and sent, waiting for the ACK of ours.
    SynReceived = 3,
    /// FIN sent, waiting for its ACK or the peer's FIN.
    FinWait1 = 4,
    /// Our FIN is acknowledged, waiting for the peer's.
    FinWait2 = 5,
    /// Both FINs are acknowledged; old segments die out.
    TimeWait = 6,
    /// No connection.
    Closed = 7,
    /// The peer's FIN came; the application has not closed yet.
    CloseWait = 8,
    /// Our FIN, sent after the peer's, waits for its ACK.
    LastAck = 9,
    /// A listener.
    Listen = 10,
    /// Both FINs crossed; ours waits for its ACK.
    Closing = 11,
}

impl State {
    /// All of them, in the order of a connection's life.
    pub const ALL: [Self; 11] = [
        Self::Closed,
        Self::Listen,
        Self::SynSent,
        Self::SynReceived,
        Self::Established,
        Self::FinWait1,
        Self::FinWait2,
        Self::CloseWait,
        Self::Closing,
        Self::LastAck,
        Self::TimeWait,
    ];

    /// The RFC's name: `"SYN-RECEIVED"`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "CLOSED",
            Self::Listen => "LISTEN",
            Self::SynSent => "SYN-SENT",
            Self::SynReceived => "SYN-RECEIVED",
            Self::Established => "ESTABLISHED",
            Self::FinWait1 => "FIN-WAIT-1",
            Self::FinWait2 => "FIN-WAIT-2",
            Self::CloseWait => "CLOSE-WAIT",
            Self::Closing => "CLOSING",
            Self::LastAck => "LAST-ACK",
            Self::TimeWait => "TIME-WAIT",
        }
    }

    /// Both sequence numbers are agreed (RFC 9293 section 3.5.3, group 3).
    pub const fn is_synchronised(self) -> bool {
        !matches!(self, Self::Closed | Self::Listen | Self::SynSent | Self::SynReceived)
    }

    /// The peer may still send data.
    pub const fn can_receive(self) -> bool {
        matches!(self, Self::Established | Self::FinWait1 | Self::FinWait2)
    }

    /// The application may still send data.
    pub const fn can_send(self) -> bool {
        matches!(self, Self::Established | Self::CloseWait)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What makes a connection change its state: the labels on the arrows of RFC 9293 figure 5, and the
/// ways out that its text adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cause {
    /// Passive OPEN: listen(2).
    PassiveOpen,
    /// Active OPEN: connect(2) sends a SYN.
    ActiveOpen,
    /// A SYN came, without an ACK of ours.
    RcvSyn,
    /// A SYN with the ACK of our SYN came.
    RcvSynAck,
    /// The ACK of our SYN came.
    RcvAckOfSyn,
    /// The ACK of our FIN came.
    RcvAckOfFin,
    /// A FIN came.
    RcvFin,
    /// CLOSE: close(2) or shutdown(2) queues our FIN.
    Close,
    /// 2 MSL passed in TIME-WAIT, or an orphan waited too long in FIN-WAIT-2.
    Timeout,
    /// A RST came, or the user aborted, or the peer did not answer any more.
    Abort,
    /// A RST or a timeout ended a half-open connection of a listener, which goes on listening.
    BackToListen,
    /// A new SYN reopened a connection from TIME-WAIT (RFC 9293 MAY-2, RFC 6191).
    Reopen,
}

/// A transition: from, why, to.
pub type Transition = (State, Cause, State);

/// Every transition there is. Figure 5 of RFC 9293 first, in its order from top to bottom; then what
/// its notes and the text add. The arrow from FIN-WAIT-1 straight to TIME-WAIT (a FIN with the ACK of
/// ours, note 2) is two steps here: the ACK is processed first, then the FIN. [`State::next`] looks here and nowhere else.
pub const TRANSITIONS: &[Transition] = {
    use Cause as C;
    use State as S;
    &[
        (S::Closed, C::PassiveOpen, S::Listen),
        (S::Closed, C::ActiveOpen, S::SynSent),
        (S::Listen, C::Close, S::Closed),
        (S::Listen, C::RcvSyn, S::SynReceived),
        (S::Listen, C::ActiveOpen, S::SynSent),
        (S::SynSent, C::Close, S::Closed),
        (S::SynSent, C::RcvSyn, S::SynReceived),
        (S::SynSent, C::RcvSynAck, S::Established),
        (S::SynReceived, C::RcvAckOfSyn, S::Established),
        (S::SynReceived, C::Close, S::FinWait1),
        (S::Established, C::Close, S::FinWait1),
        (S::Established, C::RcvFin, S::CloseWait),
        (S::FinWait1, C::RcvAckOfFin, S::FinWait2),
        (S::FinWait1, C::RcvFin, S::Closing),
        (S::CloseWait, C::Close, S::LastAck),
        (S::FinWait2, C::RcvFin, S::TimeWait),
        (S::Closing, C::RcvAckOfFin, S::TimeWait),
        (S::LastAck, C::RcvAckOfFin, S::Closed),
        (S::TimeWait, C::Timeout, S::Closed),
        // Note 1 of figure 5: a RST in SYN-RECEIVED that came from LISTEN goes back there.
        (S::SynReceived, C::BackToListen, S::Listen),
        // Section 3.10.7.4, eighth: a FIN in SYN-RECEIVED goes to CLOSE-WAIT.
        (S::SynReceived, C::RcvFin, S::CloseWait),
        // Note 3: any state may be aborted.
        (S::SynSent, C::Abort, S::Closed),
        (S::SynReceived, C::Abort, S::Closed),
        (S::Established, C::Abort, S::Closed),
        (S::FinWait1, C::Abort, S::Closed),
        (S::FinWait2, C::Abort, S::Closed),
        (S::CloseWait, C::Abort, S::Closed),
        (S::Closing, C::Abort, S::Closed),
        (S::LastAck, C::Abort, S::Closed),
        // An orphan does not wait for the peer's FIN for ever (tcp(7): tcp_fin_timeout).
        (S::FinWait2, C::Timeout, S::Closed),
        // Section 3.6.1, MAY-2.
        (S::TimeWait, C::Reopen, S::SynReceived),
    ]
};

impl State {
    /// Where `cause` leads from here; `None` if figure 5 has no such arrow.
    pub fn next(self, cause: Cause) -> Option<Self> {
        TRANSITIONS.iter().find(|t| t.0 == self && t.1 == cause).map(|t| t.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    #[test]
    fn the_table_is_a_function_and_reaches_every_state() {
        let mut seen = BTreeSet::new();
        for t in TRANSITIONS {
            assert!(seen.insert((t.0, t.1)), "two arrows for {t:?}");
        }
        let mut reached = BTreeSet::from([State::Closed]);
        while let Some(t) = TRANSITIONS.iter().find(|t| reached.contains(&t.0) && !reached.contains(&t.2)) {
            reached.insert(t.2);
        }
        assert_eq!(reached.len(), State::ALL.len());
    }

    #[test]
    fn every_state_leads_back_to_closed() {
        let mut leads = BTreeSet::from([State::Closed]);
        while let Some(t) = TRANSITIONS.iter().find(|t| leads.contains(&t.2) && !leads.contains(&t.0)) {
            leads.insert(t.0);
        }
        assert_eq!(leads.len(), State::ALL.len());
    }
}
