//! Everything that happens, as typed values (DESIGN D5).
//!
//! Two kinds come out of `Stack::poll_event`: [`Event::Socket`] tells that a socket's readiness
//! changed (always on: the runtime wakes sleepers by it), and the others tell what the protocols did
//! (on when the configuration asks for them; the queue is bounded and counts what it had to forget).

use crate::errno::Errno;
use crate::reason::Drop;
use crate::state::State;
use crate::time::{Duration, Instant};
use crate::wire::Seq;
use crate::{ConnId, IfaceId, SocketId};
use alloc::collections::VecDeque;
use core::net::{IpAddr, SocketAddr};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The readiness of a socket changed; ask `Stack::readiness` what it is now.
    Socket(SocketId),
    /// A TCP connection did something.
    Tcp(TcpEvent),
    /// A frame, packet or segment was dropped.
    Dropped {
        /// When.
        at: Instant,
        /// Why.
        reason: Drop,
    },
    /// A neighbour became reachable, or was given up.
    Neighbour {
        /// When.
        at: Instant,
        /// On which interface.
        iface: IfaceId,
        /// Whose address.
        addr: IpAddr,
        /// Does it answer?
        reachable: bool,
    },
    /// An address of ours is used by another host (duplicate address detection, RFC 4862, 5227).
    AddressConflict {
        /// When.
        at: Instant,
        /// On which interface.
        iface: IfaceId,
        /// The address.
        addr: IpAddr,
    },
}

/// Something a TCP connection did.
#[derive(Clone, Debug, PartialEq)]
pub struct TcpEvent {
    /// When.
    pub at: Instant,
    /// Which connection.
    pub conn: ConnId,
    /// Its local address and port.
    pub local: SocketAddr,
    /// Its peer's.
    pub remote: SocketAddr,
    /// What.
    pub what: TcpHappening,
}

/// What a TCP connection did.
#[derive(Clone, Debug, PartialEq)]
pub enum TcpHappening {
    /// The state changed.
    State {
        /// From.
        from: State,
        /// To.
        to: State,
    },
    /// A segment went out.
    Sent {
        /// The segment in short.
        segment: SegmentInfo,
        /// Why it was sent once more, if it was.
        cause: Option<RetransmitCause>,
    },
    /// A segment came in (before any check but the checksum).
    Received {
        /// The segment in short.
        segment: SegmentInfo,
    },
    /// A timer of the connection expired.
    TimerFired {
        /// Which.
        timer: Timer,
        /// How often in a row (RTO backoff, probes sent).
        attempt: u32,
    },
    /// A round-trip time was measured.
    Rtt {
        /// The sample.
        sample: Duration,
        /// Smoothed (RFC 6298).
        srtt: Duration,
        /// Variation.
        rttvar: Duration,
        /// The retransmission timeout that follows.
        rto: Duration,
    },
    /// The congestion window or the slow-start threshold changed.
    Cwnd {
        /// Congestion window in segments.
        cwnd: u32,
        /// Slow-start threshold in segments; `u32::MAX` when unset.
        ssthresh: u32,
    },
    /// Segments were declared lost.
    Lost {
        /// First sequence number.
        seq: Seq,
        /// One past the last.
        end: Seq,
        /// By which reasoning.
        cause: RetransmitCause,
    },
    /// A congestion response was taken back because its loss was spurious.
    Undo,
    /// The connection ended with an error.
    Aborted {
        /// What the application is told.
        error: Errno,
    },
    /// The segment just received was dropped.
    Dropped {
        /// Why.
        reason: Drop,
    },
}

/// A timer of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(usize)]
pub enum Timer {
    /// Retransmission (RFC 6298), also of SYN and FIN.
    Retransmit,
    /// Tail-loss probe (RFC 8985 section 7).
    TailLossProbe,
    /// Reordering window of RACK (RFC 8985 section 6.3).
    Rack,
    /// Zero-window probe (RFC 9293 section 3.8.6.1).
    Persist,
    /// Delayed ACK (RFC 9293 section 3.8.6.3).
    DelayedAck,
    /// Keep-alive (RFC 9293 section 3.8.4).
    KeepAlive,
    /// FIN-WAIT-2 of an orphan.
    FinWait2,
    /// Corked data is sent after all (tcp(7): TCP_CORK, 200 ms).
    Cork,
}

impl Timer {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Retransmit,
        Self::TailLossProbe,
        Self::Rack,
        Self::Persist,
        Self::DelayedAck,
        Self::KeepAlive,
        Self::FinWait2,
        Self::Cork,
    ];
}

/// Why a segment was sent once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RetransmitCause {
    /// The retransmission timer expired (RFC 6298).
    Timeout,
    /// Three duplicate ACKs, or their worth in SACK blocks (RFC 5681, 6675).
    Fast,
    /// A later segment was delivered and the reordering window passed (RFC 8985).
    Rack,
    /// A tail-loss probe (RFC 8985 section 7).
    TailLossProbe,
    /// A partial ACK in NewReno recovery (RFC 6582).
    PartialAck,
    /// A SYN or SYN-ACK whose answer did not come.
    Syn,
    /// A probe of a window shrunk to zero (RFC 9293 section 3.8.6.1).
    ZeroWindowProbe,
    /// A keep-alive probe (RFC 9293 section 3.8.4).
    KeepAlive,
    /// The path MTU shrank below what was sent (RFC 1191).
    PathMtu,
}

impl RetransmitCause {
    /// A word for a trace: `"rto"`, `"rack"`, ...
    pub const fn label(self) -> &'static str {
        match self {
            Self::Timeout => "rto",
            Self::Fast => "fast",
            Self::Rack => "rack",
            Self::TailLossProbe => "tlp",
            Self::PartialAck => "partial-ack",
            Self::Syn => "syn",
            Self::ZeroWindowProbe => "zero-window-probe",
            Self::KeepAlive => "keep-alive",
            Self::PathMtu => "path-mtu",
        }
    }
}

/// A segment in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Sequence number.
    pub seq: Seq,
    /// Payload octets (a super-segment may have 64 KiB).
    pub len: u32,
    /// Control bits.
    pub flags: crate::wire::TcpFlags,
    /// Acknowledgment number; meaningful with the ACK flag.
    pub ack: Seq,
    /// Window in octets, scaled.
    pub window: u32,
}

/// Which diagnostic events are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct EventFilter {
    /// State changes, timers, losses, undo, aborts.
    pub transitions: bool,
    /// Every segment sent and received.
    pub segments: bool,
    /// RTT samples and congestion window.
    pub metrics: bool,
    /// Drops, neighbours, address conflicts.
    pub drops: bool,
}

impl EventFilter {
    /// Everything.
    pub const ALL: Self = Self { transitions: true, segments: true, metrics: true, drops: true };
    /// Nothing but readiness.
    pub const NONE: Self = Self { transitions: false, segments: false, metrics: false, drops: false };
}

/// The queue behind `Stack::poll_event`.
#[derive(Debug)]
pub struct Events {
    filter: EventFilter,
    limit: usize,
    queue: VecDeque<Event>,
    lost: u64,
}

impl Events {
    /// A queue that holds at most `limit` diagnostic events; the oldest are forgotten first.
    pub fn new(filter: EventFilter, limit: usize) -> Self {
        Self { filter, limit, queue: VecDeque::new(), lost: 0 }
    }

    /// What is wanted.
    pub fn filter(&self) -> EventFilter {
        self.filter
    }

    /// Changes what is wanted from now on.
    pub fn set_filter(&mut self, filter: EventFilter) {
        self.filter = filter;
    }

    /// How many events were forgotten because nobody took them in time.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Adds an event if its class is wanted.
    pub(crate) fn push(&mut self, event: Event) {
        let wanted = match &event {
            Event::Socket(_) => true,
            Event::Dropped { .. } | Event::Neighbour { .. } | Event::AddressConflict { .. } => {
                self.filter.drops
            }
            Event::Tcp(e) => match e.what {
                TcpHappening::Sent { .. } | TcpHappening::Received { .. } => self.filter.segments,
                TcpHappening::Rtt { .. } | TcpHappening::Cwnd { .. } => self.filter.metrics,
                TcpHappening::Dropped { .. } => self.filter.drops,
                TcpHappening::State { .. }
                | TcpHappening::TimerFired { .. }
                | TcpHappening::Lost { .. }
                | TcpHappening::Undo
                | TcpHappening::Aborted { .. } => self.filter.transitions,
            },
        };
        if !wanted {
            return;
        }
        if self.queue.len() >= self.limit {
            self.queue.pop_front();
            self.lost += 1;
        }
        self.queue.push_back(event);
    }

    /// The oldest event.
    pub(crate) fn pop(&mut self) -> Option<Event> {
        self.queue.pop_front()
    }
}
