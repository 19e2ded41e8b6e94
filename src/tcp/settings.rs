//! What the application can set on a TCP socket, before and during a connection (tcp(7), socket(7)).

use crate::profile::{CongestionAlgorithm, Profile};
use crate::time::Duration;

/// The options of a TCP socket. A listener's are inherited by what it accepts.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// TCP_NODELAY: no Nagle algorithm.
    pub nodelay: bool,
    /// TCP_CORK: hold partial segments back, for at most 200 ms.
    pub cork: bool,
    /// TCP_QUICKACK: `Some(true)` acknowledges at once until further notice.
    pub quickack: Option<bool>,
    /// SO_OOBINLINE: urgent data stays in the stream.
    pub oob_inline: bool,
    /// SO_KEEPALIVE.
    pub keepalive: bool,
    /// TCP_KEEPIDLE.
    pub keep_idle: Duration,
    /// TCP_KEEPINTVL.
    pub keep_interval: Duration,
    /// TCP_KEEPCNT.
    pub keep_count: u32,
    /// TCP_SYNCNT.
    pub syn_retries: u32,
    /// TCP_USER_TIMEOUT; zero: the profile's retries decide.
    pub user_timeout: Duration,
    /// TCP_LINGER2: how long an orphan waits in FIN-WAIT-2.
    pub fin_wait2: Duration,
    /// TCP_CONGESTION.
    pub congestion: CongestionAlgorithm,
    /// TCP_MAXSEG; 0: not set.
    pub max_segment: u16,
    /// TCP_NOTSENT_LOWAT: not writable while more than this is unsent.
    pub notsent_lowat: u32,
    /// TCP_WINDOW_CLAMP: largest window to advertise.
    pub window_clamp: u32,
    /// SO_RCVLOWAT.
    pub recv_lowat: usize,
    /// Receive buffer in octets, as read back.
    pub rcvbuf: usize,
    /// The application set it: no auto-tuning.
    pub rcvbuf_locked: bool,
    /// Send buffer in octets, as read back.
    pub sndbuf: usize,
    /// The application set it: no auto-tuning.
    pub sndbuf_locked: bool,
    /// IP_TOS, IPV6_TCLASS.
    pub traffic_class: u8,
    /// IP_TTL, IPV6_UNICAST_HOPS; `None`: the profile's.
    pub hop_limit: Option<u8>,
}

impl Settings {
    /// What a fresh socket has.
    pub fn new(profile: &Profile) -> Self {
        Self {
            nodelay: false,
            cork: false,
            quickack: None,
            oob_inline: false,
            keepalive: false,
            keep_idle: profile.keepalive_idle,
            keep_interval: profile.keepalive_interval,
            keep_count: profile.keepalive_count,
            syn_retries: profile.syn_retries,
            user_timeout: Duration::ZERO,
            fin_wait2: profile.fin_wait2,
            congestion: profile.congestion,
            max_segment: 0,
            notsent_lowat: u32::MAX,
            window_clamp: u32::MAX,
            recv_lowat: 1,
            rcvbuf: profile.rmem[1],
            rcvbuf_locked: false,
            sndbuf: profile.wmem[1],
            sndbuf_locked: false,
            traffic_class: 0,
            hop_limit: None,
        }
    }
}
