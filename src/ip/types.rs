//! What passes between IP and the protocols on it.

use crate::IfaceId;
use crate::buf::Chunk;
use crate::errno::Errno;
use crate::link::{Frame, RxChecksum};
use core::fmt;
use core::net::IpAddr;
use core::ops::Range;

/// IP protocol numbers (IANA).
pub mod protocol {
    /// ICMP.
    pub const ICMP: u8 = 1;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// ICMPv6.
    pub const ICMPV6: u8 = 58;
}

/// An address and the length of its network prefix: `10.0.0.2/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cidr {
    /// The address.
    pub addr: IpAddr,
    /// Leading bits that are the network's: 0..=32 or 0..=128.
    pub prefix_len: u8,
}

impl Cidr {
    /// `addr/prefix_len`; the length is cut to the address's.
    pub fn new(addr: IpAddr, prefix_len: u8) -> Self {
        Self { addr, prefix_len: prefix_len.min(if addr.is_ipv4() { 32 } else { 128 }) }
    }

    /// Does `addr` lie in this network?
    pub fn contains(&self, addr: IpAddr) -> bool {
        match (self.addr, addr) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                let shift = 32 - u32::from(self.prefix_len);
                (u64::from(a.to_bits()) >> shift) == (u64::from(b.to_bits()) >> shift)
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                let shift = 128 - u32::from(self.prefix_len);
                a.to_bits().checked_shr(shift) == b.to_bits().checked_shr(shift)
            }
            _ => false,
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.prefix_len)
    }
}

/// A text that is no `ADDRESS/LENGTH`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CidrParseError;

impl fmt::Display for CidrParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected an address with a prefix length, such as 10.0.0.2/24 or fd00::2/64")
    }
}

impl core::error::Error for CidrParseError {}

impl core::str::FromStr for Cidr {
    type Err = CidrParseError;
    fn from_str(s: &str) -> Result<Self, CidrParseError> {
        let (addr, len) = s.split_once('/').ok_or(CidrParseError)?;
        let addr: IpAddr = addr.parse().map_err(|_| CidrParseError)?;
        let len: u8 = len.parse().map_err(|_| CidrParseError)?;
        if len > if addr.is_ipv4() { 32 } else { 128 } {
            return Err(CidrParseError);
        }
        Ok(Self { addr, prefix_len: len })
    }
}

/// A route: where packets to `dst` go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The destinations it is for.
    pub dst: Cidr,
    /// The gateway; `None` if the destinations are on the link.
    pub via: Option<IpAddr>,
    /// The interface.
    pub iface: IfaceId,
    /// Of two routes with equally long prefixes, the lower metric wins.
    pub metric: u32,
}

/// How a destination is reached: the outcome of a route look-up, kept by a connection until
/// `Ip::generation` changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// Through which interface.
    pub iface: IfaceId,
    /// The neighbour that gets the frame: the gateway, or the destination itself.
    pub next_hop: IpAddr,
    /// The source address for packets that have none yet.
    pub src: IpAddr,
    /// Largest IP packet towards the destination: the smaller of interface MTU and learned path MTU.
    pub mtu: usize,
}

/// A received IP packet, reassembled, with its transport payload located.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// On which interface it came.
    pub iface: IfaceId,
    /// From whom.
    pub src: IpAddr,
    /// To which address of ours (or broadcast, or multicast).
    pub dst: IpAddr,
    /// The transport protocol, after all extension headers.
    pub protocol: u8,
    /// TTL or hop limit as received.
    pub hop_limit: u8,
    /// TOS or traffic class: DSCP in the upper six bits, ECN in the lower two.
    pub traffic_class: u8,
    /// It was sent to a broadcast or multicast address (of the link or of IP).
    pub broadcast: bool,
    /// The frame that it lies in.
    pub frame: Frame<'a>,
    /// Where in the frame the IP packet lies, from its header to its end (link padding cut).
    pub packet: Range2,
    /// Where in the frame the transport header and payload lie.
    pub payload: Range2,
}

/// A range that is `Copy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Range2 {
    /// First.
    pub start: usize,
    /// One past the last.
    pub end: usize,
}

impl From<Range<usize>> for Range2 {
    fn from(r: Range<usize>) -> Self {
        Self { start: r.start, end: r.end }
    }
}

impl<'a> Datagram<'a> {
    /// The IP packet, header included.
    pub fn packet(&self) -> &'a [u8] {
        &self.frame.bytes()[self.packet.start..self.packet.end]
    }

    /// Transport header and payload.
    pub fn payload(&self) -> &'a [u8] {
        &self.frame.bytes()[self.payload.start..self.payload.end]
    }

    /// A part of the transport payload to keep; the range counts from the transport header.
    pub fn keep(&self, range: Range<usize>) -> Chunk {
        self.frame.keep(self.payload.start + range.start..self.payload.start + range.end)
    }

    /// Is the transport checksum right? Asks the device's word first, sums only if it has none.
    pub fn checksum_ok(&self) -> bool {
        match self.frame.offload.checksum {
            RxChecksum::Verified | RxChecksum::Partial(_) => true,
            RxChecksum::Unknown => {
                let bytes = self.payload();
                let mut sum = crate::wire::checksum::Sum::new();
                sum.add_pseudo_header(self.src, self.dst, self.protocol, bytes.len());
                sum.add(bytes);
                sum.checksum() == 0
            }
        }
    }
}

/// What an ICMP error says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// Destination unreachable, with the code of RFC 792 or RFC 4443 translated to Linux's meaning.
    Unreachable(Unreachable),
    /// The packet does not fit: the next hop's MTU (RFC 1191, 8201).
    PacketTooBig {
        /// As the router says; 0 if it does not.
        mtu: u32,
    },
    /// Time to live exceeded in transit (code 0) or in reassembly (code 1).
    TimeExceeded {
        /// The code.
        code: u8,
    },
    /// A header field was wrong.
    ParameterProblem {
        /// Where.
        pointer: u32,
        /// The code.
        code: u8,
    },
}

/// Codes of "destination unreachable".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreachable {
    /// No route to the network.
    Network,
    /// The host does not answer.
    Host,
    /// The protocol is not there.
    Protocol,
    /// The port is not there.
    Port,
    /// Source route failed.
    SourceRoute,
    /// The network is unknown.
    NetworkUnknown,
    /// The host is unknown.
    HostUnknown,
    /// The source host is isolated.
    Isolated,
    /// Administratively prohibited (codes 9, 10, 13 of RFC 1122 and 1812; 1, 5, 6 of RFC 4443).
    Prohibited,
    /// Anything else.
    Other(u8),
}

impl ErrorKind {
    /// What Linux tells the application (icmp_err_convert, icmpv6_err_convert).
    pub const fn errno(self) -> Errno {
        match self {
            Self::Unreachable(u) => match u {
                Unreachable::Network | Unreachable::NetworkUnknown => Errno::ENETUNREACH,
                Unreachable::Protocol => Errno::ENOPROTOOPT,
                Unreachable::Port => Errno::ECONNREFUSED,
                Unreachable::SourceRoute => Errno::EOPNOTSUPP,
                Unreachable::HostUnknown => Errno::EHOSTDOWN,
                Unreachable::Isolated => Errno::ENONET,
                Unreachable::Host | Unreachable::Prohibited | Unreachable::Other(_) => Errno::EHOSTUNREACH,
            },
            Self::PacketTooBig { .. } => Errno::EMSGSIZE,
            Self::TimeExceeded { .. } => Errno::EHOSTUNREACH,
            Self::ParameterProblem { .. } => Errno::EPROTO,
        }
    }

    /// A hard error ends a connection attempt (RFC 1122 section 4.2.3.9: protocol and port
    /// unreachable); a soft one is only remembered.
    pub const fn is_hard(self) -> bool {
        matches!(self, Self::Unreachable(Unreachable::Protocol | Unreachable::Port))
    }
}

/// A received ICMP error about a packet of ours.
#[derive(Clone, Copy, Debug)]
pub struct IcmpError<'a> {
    /// Who sent the error.
    pub from: IpAddr,
    /// Source of the quoted packet: an address of ours.
    pub src: IpAddr,
    /// Destination of the quoted packet.
    pub dst: IpAddr,
    /// Its transport protocol.
    pub protocol: u8,
    /// The beginning of its transport header: at least 8 octets.
    pub transport: &'a [u8],
    /// What is wrong.
    pub kind: ErrorKind,
}

/// What a received frame comes to, after IP has done its own part.
#[derive(Clone, Copy, Debug, Default)]
pub struct Input<'a> {
    /// A packet for the protocols and the raw sockets. ICMP messages come here too, after they were
    /// answered, because raw sockets see them.
    pub datagram: Option<Datagram<'a>>,
    /// An error about a packet that a socket of ours sent.
    pub error: Option<IcmpError<'a>>,
}

/// A packet to send.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Where it goes out and to which neighbour.
    pub path: &'a Path,
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// Transport protocol.
    pub protocol: u8,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// TOS or traffic class.
    pub traffic_class: u8,
    /// Do not fragment: set DF on IPv4, and refuse to fragment here.
    pub dont_fragment: bool,
    /// The transport header with a checksum field of zero (or no header at all).
    pub header: &'a [u8],
    /// The payload.
    pub payload: &'a [&'a [u8]],
    /// Where in `header` the transport checksum over the pseudo header goes; `None` if the
    /// protocol has none or the caller made it.
    pub checksum_offset: Option<u16>,
    /// `payload` is to be cut into segments of this many octets (TCP only).
    pub gso_size: Option<u16>,
}
