//! The words of the socket calls.

use crate::tcp::State;
use crate::{IfaceId, SocketId};
use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;

/// Address family (socket(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Domain {
    /// AF_INET.
    Inet,
    /// AF_INET6; dual stack unless `IPV6_V6ONLY` is set.
    Inet6,
}

/// Socket type (socket(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// SOCK_STREAM: TCP.
    Stream,
    /// SOCK_DGRAM: UDP, or ping with protocol ICMP.
    Dgram,
    /// SOCK_RAW.
    Raw,
}

/// Which half shutdown(2) ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shutdown {
    /// SHUT_RD.
    Read,
    /// SHUT_WR.
    Write,
    /// SHUT_RDWR.
    Both,
}

bitflags::bitflags! {
    /// What a socket is ready for, with the bits of poll(2).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
    pub struct Readiness: u16 {
        /// POLLIN: recv or accept will not block.
        const IN = 0x001;
        /// POLLPRI: urgent data.
        const PRI = 0x002;
        /// POLLOUT: send will not block.
        const OUT = 0x004;
        /// POLLERR: an error is pending.
        const ERR = 0x008;
        /// POLLHUP: both directions are closed.
        const HUP = 0x010;
        /// POLLRDHUP: the peer sends no more.
        const RDHUP = 0x2000;
    }
}

bitflags::bitflags! {
    /// Flags of send(2) and recv(2), with Linux's bits.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
    pub struct MsgFlags: u32 {
        /// Out-of-band data.
        const OOB = 0x1;
        /// Look without taking.
        const PEEK = 0x2;
        /// Set by recvmsg: control data was cut.
        const CTRUNC = 0x8;
        /// Give the real length of a datagram; set by recvmsg when it was cut.
        const TRUNC = 0x20;
        /// Do not block. (The machine never does.)
        const DONTWAIT = 0x40;
        /// End of record: without meaning for TCP.
        const EOR = 0x80;
        /// Wait for the whole buffer (the runtime's matter).
        const WAITALL = 0x100;
        /// No SIGPIPE.
        const NOSIGNAL = 0x4000;
        /// More is coming: hold back a partial segment.
        const MORE = 0x8000;
    }
}

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

/// The unspecified address of a family, port 0.
pub const fn unspecified(domain: Domain) -> SocketAddr {
    match domain {
        Domain::Inet => SocketAddr::new(core::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
        Domain::Inet6 => SocketAddr::new(core::net::IpAddr::V6(core::net::Ipv6Addr::UNSPECIFIED), 0),
    }
}
