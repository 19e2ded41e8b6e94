//! How a stack is set up: its secret, its look, its limits.

use crate::event::EventFilter;
use crate::profile::Profile;
use crate::time::Duration;

/// The configuration of a `Stack`. Constant while the stack lives.
#[derive(Clone, Debug)]
pub struct Config {
    /// 128 random bits. Everything random in the stack comes from them: sequence numbers (RFC 6528),
    /// ports (RFC 6056), cookies, table keys. Use fresh bits in production, a fixed value in tests.
    pub secret: [u64; 2],
    /// Which system the stack looks like (DESIGN D6).
    pub profile: Profile,
    /// Bounds on memory and numbers.
    pub limits: Limits,
    /// Which diagnostic events are kept for `Stack::poll_event`.
    pub events: EventFilter,
}

impl Default for Config {
    /// Linux's look and limits, no diagnostic events, and a secret of zeros: set one.
    fn default() -> Self {
        Self {
            secret: [0, 0],
            profile: Profile::linux(),
            limits: Limits::default(),
            events: EventFilter::NONE,
        }
    }
}

/// Bounds. Each is enforced, and each drop for one of them has its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sockets at a time.
    pub sockets: usize,
    /// TCP connections in any state but TIME-WAIT and SYN-RECEIVED.
    pub connections: usize,
    /// TIME-WAIT records; beyond it the oldest is dropped (Linux: tcp_max_tw_buckets).
    pub time_wait: usize,
    /// Half-open connections of all listeners.
    pub syn_queue: usize,
    /// Connections without a socket that are still closing (Linux: tcp_max_orphans).
    pub orphans: usize,
    /// Largest backlog that listen(2) gives (Linux: somaxconn).
    pub somaxconn: usize,
    /// Diagnostic events kept until they are taken.
    pub events: usize,
    /// Packets waiting in the transmit queue of an interface.
    pub tx_queue: usize,
    /// Neighbours known or being resolved, per interface.
    pub neighbours: usize,
    /// Packets that wait for one neighbour's link address (Linux: unres_qlen_bytes is about 100).
    pub neighbour_queue: usize,
    /// Packets under reassembly.
    pub reassemblies: usize,
    /// Octets under reassembly (Linux: ipfrag_high_thresh, 4 MiB).
    pub reassembly_bytes: usize,
    /// ICMP errors sent per second in all (Linux: icmp_msgs_per_sec).
    pub icmp_per_second: u32,
    /// Burst of ICMP errors (Linux: icmp_msgs_burst).
    pub icmp_burst: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sockets: 1 << 20,
            connections: 1 << 20,
            time_wait: 1 << 16,
            syn_queue: 1 << 14,
            orphans: 1 << 14,
            somaxconn: 4096,
            events: 1 << 16,
            tx_queue: 1024,
            neighbours: 1024,
            neighbour_queue: 32,
            reassemblies: 1024,
            reassembly_bytes: 4 << 20,
            icmp_per_second: 1000,
            icmp_burst: 50,
        }
    }
}

/// Times that no profile changes.
pub(crate) const FRAGMENT_TIMEOUT: Duration = Duration::from_secs(30);
