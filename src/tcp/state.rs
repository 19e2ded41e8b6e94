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
