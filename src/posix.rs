//! The words of the socket calls that every layer knows: families, types, flags, readiness.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

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

/// The unspecified address of a family, port 0.
pub const fn unspecified(domain: Domain) -> SocketAddr {
    match domain {
        Domain::Inet => SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
        Domain::Inet6 => SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0),
    }
}
