//! Why something was dropped: the counter in `netstat -s`, the label in a trace, and what a test asserts.

macro_rules! reasons {
    ($($name:ident, $label:literal, $doc:literal;)*) => {
        /// The reason of a drop. A closed list: a frame that is not processed has exactly one of these.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(usize)]
        pub enum Drop { $(#[doc = $doc] $name,)* }

        impl Drop {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// A short stable label, `"tcp.bad-checksum"`.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)* }
            }

            /// What it means, in a sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => $doc,)* }
            }
        }
    };
}

reasons! {
    LinkTruncated, "link.truncated", "the frame is shorter than its link header";
    LinkUnknownProtocol, "link.unknown-protocol", "the EtherType is none of IPv4, IPv6, ARP, VLAN";
    LinkVlan, "link.vlan", "the frame is tagged for a VLAN; only priority tags are taken";
    LinkNotForUs, "link.not-for-us", "the destination MAC address is another host's";
    LinkInterfaceDown, "link.interface-down", "the interface is down or gone";
    LinkDeviceFull, "link.device-full", "the device refused the frame for good";
    LinkTooLong, "link.too-long", "the frame exceeds the MTU and could not be segmented";
    LinkQueueFull, "link.queue-full", "the transmit queue of the interface is full";
    ArpMalformed, "arp.malformed", "hardware or protocol type or length is not Ethernet and IPv4";
    ArpNotForUs, "arp.not-for-us", "the ARP packet asks for or answers another host's address";
    ArpBadSender, "arp.bad-sender", "the sender address is ours, broadcast, multicast or not on the link";
    ArpUnsolicited, "arp.unsolicited", "an ARP reply that nobody asked for, about an unknown neighbour";
    NdpMalformed, "ndp.malformed", "length, hop limit, code or an option violates RFC 4861";
    NdpUnsolicited, "ndp.unsolicited", "an advertisement for an unknown neighbour";
    NdpRouter, "ndp.router", "router solicitations and advertisements are ignored: the host is configured by hand";
    NeighbourQueueFull, "neighbour.queue-full", "too many packets wait for the link address of this neighbour";
    NeighbourTableFull, "neighbour.table-full", "too many neighbours are being resolved";
    NeighbourUnreachable, "neighbour.unreachable", "the neighbour did not answer";
    IpTruncated, "ip.truncated", "the packet is shorter than its header says";
    IpBadVersion, "ip.bad-version", "the version is neither 4 nor 6 or does not fit the EtherType";
    IpBadHeaderLength, "ip.bad-header-length", "IHL below 5 or beyond the packet";
    IpBadChecksum, "ip.bad-checksum", "the IPv4 header checksum is wrong";
    IpBadSource, "ip.bad-source", "the source is multicast, broadcast, loopback from outside, or ours";
    IpNotForUs, "ip.not-for-us", "the destination is no address of this stack; it does not forward";
    IpNoRoute, "ip.no-route", "no route to the destination";
    IpNoSource, "ip.no-source", "no address of ours can be the source";
    IpBadOption, "ip.bad-option", "an IPv4 option has an impossible length";
    IpSourceRouted, "ip.source-routed", "the packet carries a source route that is not at its end";
    IpBadExtension, "ip.bad-extension", "an IPv6 extension header is malformed or asks to be discarded";
    IpUnknownNextHeader, "ip.unknown-next-header", "no protocol and no raw socket takes this protocol number";
    IpNoNextHeader, "ip.no-next-header", "IPv6 No Next Header: nothing follows";
    IpTooBig, "ip.too-big", "the packet does not fit the path MTU and must not be fragmented";
    IpHopLimit, "ip.hop-limit", "the hop limit is too small (minimum set by the socket)";
    FragmentMalformed, "fragment.malformed", "a fragment of length zero, not a multiple of 8, or past 65535";
    FragmentDuplicate, "fragment.duplicate", "the same fragment came before";
    FragmentOverlap, "fragment.overlap", "the fragment overlaps another of the same packet";
    FragmentTooMany, "fragment.too-many", "the bound on packets or octets under reassembly is reached";
    FragmentTimeout, "fragment.timeout", "the rest of the packet did not come in time";
    FragmentTinyFirst, "fragment.tiny-first", "the first fragment does not hold the transport header";
    IcmpMalformed, "icmp.malformed", "shorter than its header or with a quote that is too short";
    IcmpBadChecksum, "icmp.bad-checksum", "the ICMP checksum is wrong";
    IcmpBroadcast, "icmp.broadcast", "an echo request to broadcast or multicast is not answered";
    IcmpUnknownType, "icmp.unknown-type", "a type that nobody here handles";
    IcmpQuoteMismatch, "icmp.quote-mismatch", "the error quotes a packet that no socket of ours sent";
    IcmpRedirect, "icmp.redirect", "redirects are ignored: routes are configured by hand";
    IcmpSourceQuench, "icmp.source-quench", "Source Quench is ignored (RFC 6633)";
    UdpMalformed, "udp.malformed", "the UDP length is below 8 or beyond the packet";
    UdpBadChecksum, "udp.bad-checksum", "the UDP checksum is wrong, or zero on IPv6";
    UdpNoSocket, "udp.no-socket", "no UDP socket is bound to the destination";
    UdpBufferFull, "udp.buffer-full", "the receive buffer of the socket is full";
    RawBufferFull, "raw.buffer-full", "the receive buffer of the raw socket is full";
    TcpMalformed, "tcp.malformed", "the data offset is below 5 or beyond the segment";
    TcpBadChecksum, "tcp.bad-checksum", "the TCP checksum is wrong";
    TcpBadFlags, "tcp.bad-flags", "a combination of flags that no state accepts (SYN with FIN, or none)";
    TcpBadAddress, "tcp.bad-address", "port 0, or a broadcast, multicast or own address as source";
    TcpNoSocket, "tcp.no-socket", "no connection and no listener: answered with RST unless it is one";
    TcpListenNotSyn, "tcp.listen-not-syn", "a segment without SYN to a listener";
    TcpListenBacklog, "tcp.listen-backlog", "the SYN queue or the accept queue is full";
    TcpAcceptQueueFull, "tcp.accept-queue-full", "the handshake's last ACK is ignored: the accept queue is full";
    TcpOutOfWindow, "tcp.out-of-window", "the sequence number is outside the window: answered with an ACK";
    TcpPaws, "tcp.paws", "the timestamp is older than one already seen (RFC 7323 section 5)";
    TcpNoTimestamp, "tcp.no-timestamp", "timestamps were agreed and the segment has none (RFC 7323 section 3.2)";
    TcpBadAck, "tcp.bad-ack", "acknowledges something never sent, or too old (RFC 5961 section 5)";
    TcpNoAck, "tcp.no-ack", "a segment without ACK in a synchronised state";
    TcpRstInWindow, "tcp.rst-in-window", "RST in the window but not at its left edge: challenge ACK (RFC 5961)";
    TcpRstOutOfWindow, "tcp.rst-out-of-window", "RST outside the window";
    TcpRstTimeWait, "tcp.rst-time-wait", "RST in TIME-WAIT is ignored (RFC 1337)";
    TcpSynInWindow, "tcp.syn-in-window", "SYN on a synchronised connection: challenge ACK (RFC 5961)";
    TcpDuplicate, "tcp.duplicate", "wholly old data: acknowledged again";
    TcpAfterClose, "tcp.after-close", "new data after the application closed: answered with RST";
    TcpReceiveClosed, "tcp.receive-closed", "data after the peer's FIN";
    TcpBufferFull, "tcp.buffer-full", "the receive buffer has no room for it";
    TcpOfoFull, "tcp.ofo-full", "the bound of the out-of-order queue is reached";
    TcpChallengeLimited, "tcp.challenge-limited", "a challenge ACK was due and its budget is used up";
    TcpBadSynAck, "tcp.bad-syn-ack", "in SYN-SENT, an ACK of something else than our SYN";
    TcpTimeWait, "tcp.time-wait", "a segment in TIME-WAIT that changes nothing";
    TcpTooManyOrphans, "tcp.too-many-orphans", "the bound on orphaned connections is reached";
    TcpMemory, "tcp.memory", "the stack's memory bound for TCP is reached";
}

impl core::fmt::Display for Drop {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.label())
    }
}
