//! Looks are data (DESIGN D6): what differs between Linux, FreeBSD and the text of the RFCs.

use crate::time::Duration;

/// The order and padding of options on a SYN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SynOptions {
    /// `mss,sackOK,TS,nop,wscale`; `mss,nop,nop,sackOK,nop,wscale` without timestamps.
    Linux,
    /// `mss,nop,wscale,sackOK,TS`, padded with EOL.
    FreeBsd,
}

/// Which congestion control a new socket gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CongestionAlgorithm {
    /// NewReno (RFC 5681, 6582). Linux calls it `reno`.
    NewReno,
    /// CUBIC (RFC 9438).
    Cubic,
}

impl CongestionAlgorithm {
    /// The name that TCP_CONGESTION takes and gives.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NewReno => "reno",
            Self::Cubic => "cubic",
        }
    }

    /// The algorithm of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        [Self::NewReno, Self::Cubic].into_iter().find(|a| a.name() == name)
    }
}

/// The values by which systems differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// `"linux"`, `"freebsd"`, `"rfc"`.
    pub name: &'static str,
    /// Layout of SYN options.
    pub syn_options: SynOptions,
    /// Offer timestamps (RFC 7323).
    pub timestamps: bool,
    /// Offer window scaling (RFC 7323).
    pub window_scaling: bool,
    /// Offer selective acknowledgments (RFC 2018).
    pub sack: bool,
    /// Congestion control of new sockets.
    pub congestion: CongestionAlgorithm,
    /// Initial window in segments (RFC 6928: 10).
    pub initial_window: u32,
    /// RTO before the first sample (RFC 6298: 1 s).
    pub rto_initial: Duration,
    /// Lower bound of the RTO. Linux bounds `4 * RTTVAR` from below, not the sum.
    pub rto_min: Duration,
    /// `rto_min` bounds the variance term instead of the whole RTO (Linux).
    pub rto_min_bounds_variance: bool,
    /// Upper bound of the RTO (RFC 6298: at least 60 s; Linux 120 s).
    pub rto_max: Duration,
    /// Retransmissions of a SYN before connect fails (Linux: tcp_syn_retries 6).
    pub syn_retries: u32,
    /// Retransmissions of a SYN-ACK before the half-open connection is dropped (Linux: 5).
    pub synack_retries: u32,
    /// R1: retransmissions before the network layer is told (Linux: tcp_retries1 3).
    pub retries1: u32,
    /// R2: retransmissions before the connection is given up (Linux: tcp_retries2 15).
    pub retries2: u32,
    /// R2 for connections without a socket (Linux: tcp_orphan_retries, 8).
    pub orphan_retries: u32,
    /// Shortest delay of an ACK.
    pub delayed_ack_min: Duration,
    /// Longest delay of an ACK (RFC 9293: below 500 ms).
    pub delayed_ack_max: Duration,
    /// ACKs sent at once at the start of a connection (Linux: up to 16).
    pub initial_quick_acks: u32,
    /// How long TIME-WAIT lasts (2 MSL; Linux 60 s, RFC 9293 4 min).
    pub time_wait: Duration,
    /// How long an orphan stays in FIN-WAIT-2 (Linux: tcp_fin_timeout 60 s).
    pub fin_wait2: Duration,
    /// Keep-alive: idle time before the first probe (7200 s).
    pub keepalive_idle: Duration,
    /// Keep-alive: time between probes (75 s).
    pub keepalive_interval: Duration,
    /// Keep-alive: unanswered probes before the connection is dead (9).
    pub keepalive_count: u32,
    /// Receive buffer in octets: smallest, initial, largest by auto-tuning (Linux: tcp_rmem).
    pub rmem: [usize; 3],
    /// Send buffer in octets: smallest, initial, largest by auto-tuning (Linux: tcp_wmem).
    pub wmem: [usize; 3],
    /// Challenge ACKs per second in all; randomised (RFC 5961, Linux: tcp_challenge_ack_limit).
    pub challenge_acks: u32,
    /// Least time between two ACKs of out-of-window segments of a connection
    /// (Linux: tcp_invalid_ratelimit 500 ms).
    pub invalid_ratelimit: Duration,
    /// Hop limit of packets sent.
    pub hop_limit: u8,
    /// First and last port that bind and connect choose by themselves (Linux: ip_local_port_range).
    pub ephemeral_ports: (u16, u16),
    /// Answer SYNs with cookies when the SYN queue is full (RFC 4987; Linux: tcp_syncookies 1).
    pub syn_cookies: bool,
    /// Drop a segment without a timestamp once timestamps were agreed (RFC 7323 section 3.2 SHOULD; Linux
    /// takes it).
    pub require_timestamps: bool,
    /// Smallest MSS of a peer that is taken at its word (Linux: tcp_min_snd_mss 48).
    pub min_mss: u16,
}

impl Profile {
    /// Linux 6.x: the default.
    pub const fn linux() -> Self {
        Self {
            name: "linux",
            syn_options: SynOptions::Linux,
            timestamps: true,
            window_scaling: true,
            sack: true,
            congestion: CongestionAlgorithm::Cubic,
            initial_window: 10,
            rto_initial: Duration::from_secs(1),
            rto_min: Duration::from_millis(200),
            rto_min_bounds_variance: true,
            rto_max: Duration::from_secs(120),
            syn_retries: 6,
            synack_retries: 5,
            retries1: 3,
            retries2: 15,
            orphan_retries: 8,
            delayed_ack_min: Duration::from_millis(40),
            delayed_ack_max: Duration::from_millis(200),
            initial_quick_acks: 16,
            time_wait: Duration::from_secs(60),
            fin_wait2: Duration::from_secs(60),
            keepalive_idle: Duration::from_secs(7200),
            keepalive_interval: Duration::from_secs(75),
            keepalive_count: 9,
            rmem: [4096, 131_072, 6 << 20],
            wmem: [4096, 65_536, 4 << 20],
            challenge_acks: 1000,
            invalid_ratelimit: Duration::from_millis(500),
            hop_limit: 64,
            ephemeral_ports: (32_768, 60_999),
            syn_cookies: true,
            require_timestamps: false,
            min_mss: 48,
        }
    }

    /// FreeBSD 14.
    pub const fn freebsd() -> Self {
        Self {
            name: "freebsd",
            syn_options: SynOptions::FreeBsd,
            rto_min: Duration::from_millis(30),
            rto_min_bounds_variance: false,
            rto_max: Duration::from_secs(64),
            initial_quick_acks: 0,
            rmem: [4096, 65_536, 2 << 20],
            wmem: [4096, 32_768, 2 << 20],
            ephemeral_ports: (10_000, 65_535),
            keepalive_count: 8,
            ..Self::linux()
        }
    }

    /// The text of the RFCs where it gives a value.
    pub const fn rfc() -> Self {
        Self {
            name: "rfc",
            congestion: CongestionAlgorithm::NewReno,
            rto_min: Duration::from_secs(1),
            rto_min_bounds_variance: false,
            rto_max: Duration::from_secs(60),
            initial_quick_acks: 0,
            delayed_ack_min: Duration::from_millis(200),
            delayed_ack_max: Duration::from_millis(500),
            time_wait: Duration::from_secs(240),
            ephemeral_ports: (49_152, 65_535),
            require_timestamps: true,
            ..Self::linux()
        }
    }
}
