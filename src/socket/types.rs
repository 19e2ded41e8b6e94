//! The words of the socket calls: messages, options, the lines of `ss`.

pub use crate::posix::{Domain, MsgFlags, Readiness, Shutdown, Type, unspecified};
use crate::tcp::State;
use crate::{IfaceId, SocketId};
use core::net::SocketAddr;
use core::time::Duration;

/// What a received message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecvMsg {
    /// Octets copied to the buffer.
    pub len: usize,
    /// Octets the datagram had.
    pub full_len: usize,
    /// The sender.
    pub from: Option<SocketAddr>,
    /// `TRUNC` if the datagram was cut, `OOB` for urgent data.
    pub flags: MsgFlags,
}

/// An option to set, or its value as read (setsockopt(2), tcp(7), ip(7), ipv6(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SocketOption {
    /// SO_REUSEADDR.
    ReuseAddr(bool),
    /// SO_REUSEPORT.
    ReusePort(bool),
    /// SO_KEEPALIVE.
    KeepAlive(bool),
    /// SO_BROADCAST.
    Broadcast(bool),
    /// SO_OOBINLINE.
    OobInline(bool),
    /// SO_LINGER: `None` is off.
    Linger(Option<Duration>),
    /// SO_RCVBUF in octets. As in Linux the value is doubled, and read back doubled.
    RecvBuffer(usize),
    /// SO_SNDBUF in octets. As in Linux the value is doubled, and read back doubled.
    SendBuffer(usize),
    /// SO_RCVLOWAT.
    RecvLowAt(usize),
    /// SO_RCVTIMEO: for the skins that block; `None` waits for ever.
    RecvTimeout(Option<Duration>),
    /// SO_SNDTIMEO.
    SendTimeout(Option<Duration>),
    /// SO_BINDTODEVICE; `None` unbinds.
    BindToInterface(Option<IfaceId>),
    /// TCP_NODELAY.
    NoDelay(bool),
    /// TCP_CORK.
    Cork(bool),
    /// TCP_QUICKACK.
    QuickAck(bool),
    /// TCP_MAXSEG: 88..=32767 octets.
    MaxSegment(u16),
    /// TCP_KEEPIDLE, 1..=32767 s.
    KeepIdle(Duration),
    /// TCP_KEEPINTVL, 1..=32767 s.
    KeepInterval(Duration),
    /// TCP_KEEPCNT, 1..=127.
    KeepCount(u32),
    /// TCP_SYNCNT, 1..=127.
    SynCount(u32),
    /// TCP_LINGER2: how long an orphan stays in FIN-WAIT-2; `None` for "not at all".
    FinWait2(Option<Duration>),
    /// TCP_USER_TIMEOUT; zero is the system's default.
    UserTimeout(Duration),
    /// TCP_CONGESTION.
    Congestion(crate::profile::CongestionAlgorithm),
    /// TCP_NOTSENT_LOWAT in octets.
    NotSentLowAt(u32),
    /// TCP_WINDOW_CLAMP in octets.
    WindowClamp(u32),
    /// IP_TOS / IPV6_TCLASS.
    TrafficClass(u8),
    /// IP_TTL / IPV6_UNICAST_HOPS; `None` is the default.
    HopLimit(Option<u8>),
    /// IPV6_V6ONLY.
    V6Only(bool),
    /// IP_HDRINCL.
    HeaderIncluded(bool),
    /// IP_MTU_DISCOVER / IPV6_MTU_DISCOVER: `true` sets DF and refuses to fragment here.
    DontFragment(bool),
}

/// Which option to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each is the SocketOption of the same name")]
pub enum OptionName {
    ReuseAddr,
    ReusePort,
    KeepAlive,
    Broadcast,
    OobInline,
    Linger,
    RecvBuffer,
    SendBuffer,
    RecvLowAt,
    RecvTimeout,
    SendTimeout,
    BindToInterface,
    NoDelay,
    Cork,
    QuickAck,
    MaxSegment,
    KeepIdle,
    KeepInterval,
    KeepCount,
    SynCount,
    FinWait2,
    UserTimeout,
    Congestion,
    NotSentLowAt,
    WindowClamp,
    TrafficClass,
    HopLimit,
    V6Only,
    HeaderIncluded,
    DontFragment,
}

/// One line of `ss`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketSummary {
    /// The socket; `None` for a connection that nobody holds any more.
    pub socket: Option<SocketId>,
    /// Its type.
    pub ty: Type,
    /// IP protocol.
    pub protocol: u8,
    /// TCP state; `Closed` for unconnected and `Established` for connected datagram sockets.
    pub state: State,
    /// Octets received and not read; for a listener, connections to accept.
    pub recv_queue: usize,
    /// Octets sent and not acknowledged, and not sent; for a listener, its backlog.
    pub send_queue: usize,
    /// Local address.
    pub local: SocketAddr,
    /// Peer.
    pub remote: SocketAddr,
}
