//! Counters with names: what `netstat -s` prints. Every drop has its reason here (DESIGN D4).

use crate::reason::Drop;

macro_rules! counters {
    ($($field:ident, $doc:literal;)*) => {
        /// Counters of one stack since it was made. They wrap at 2^64.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Counters { $(#[doc = $doc] pub $field: u64,)* }

        impl Counters {
            /// Every counter with its name and what it counts, in a fixed order.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64, &'static str)> + '_ {
                [$((stringify!($field), self.$field, $doc),)*].into_iter()
            }
        }
    };
}

counters! {
    frames_in, "frames received from devices";
    frames_out, "frames handed to devices";
    bytes_in, "octets received from devices";
    bytes_out, "octets handed to devices";
    ip_in, "IP packets received, before reassembly";
    ip_out, "IP packets sent, fragments counted each";
    ip_delivered, "IP packets delivered to a protocol or a raw socket";
    ip_forward_refused, "IP packets for another host";
    ip_fragments_in, "fragments received";
    ip_reassembled, "packets put together from fragments";
    ip_fragmented, "packets sent in fragments";
    icmp_in, "ICMP and ICMPv6 messages received";
    icmp_out, "ICMP and ICMPv6 messages sent";
    icmp_errors_in, "ICMP errors received about our packets";
    icmp_errors_out, "ICMP errors sent";
    icmp_rate_limited, "ICMP messages not sent because of the rate limit";
    arp_in, "ARP packets received";
    arp_out, "ARP packets sent";
    ndp_in, "neighbour discovery messages received";
    ndp_out, "neighbour discovery messages sent";
    udp_in, "UDP datagrams delivered";
    udp_out, "UDP datagrams sent";
    raw_in, "packets delivered to raw sockets";
    raw_out, "packets sent by raw sockets";
    tcp_segs_in, "TCP segments received";
    tcp_segs_out, "TCP segments sent, retransmissions excluded";
    tcp_super_segs_out, "TCP segments sent that the device or software segmentation splits";
    tcp_active_opens, "connections opened by connect";
    tcp_passive_opens, "connections opened by a listener";
    tcp_attempt_fails, "connections that failed before they were established";
    tcp_estab_resets, "established connections reset";
    tcp_retrans_segs, "segments retransmitted";
    tcp_retrans_syn, "SYN and SYN-ACK segments retransmitted";
    tcp_rto, "retransmission timeouts";
    tcp_fast_recoveries, "loss recoveries entered without a timeout";
    tcp_spurious_rto, "timeouts found spurious and undone";
    tcp_spurious_recoveries, "fast recoveries found spurious and undone";
    tcp_tlp_probes, "tail-loss probes sent";
    tcp_zero_window_probes, "zero-window probes sent";
    tcp_keepalive_probes, "keep-alive probes sent";
    tcp_delayed_acks, "delayed ACKs sent because their time was up";
    tcp_dup_acks_in, "duplicate ACKs received";
    tcp_dsack_in, "duplicate SACK blocks received";
    tcp_dsack_out, "duplicate SACK blocks sent";
    tcp_ofo_queued, "segments queued out of order";
    tcp_ofo_pruned, "out-of-order octets thrown away for want of memory";
    tcp_challenge_acks, "challenge ACKs sent (RFC 5961)";
    tcp_rst_out, "RST segments sent";
    tcp_rst_in, "RST segments accepted";
    tcp_fast_path, "segments taken by header prediction";
    tcp_timeouts, "connections given up after the last retransmission or probe";
    tcp_time_wait, "connections that entered TIME-WAIT";
    tcp_time_wait_reused, "TIME-WAIT records reused by a new SYN";
    tcp_cookies_out, "SYN-ACKs sent with a cookie";
    tcp_cookies_in, "handshakes completed with a cookie";
    tcp_cookies_bad, "ACKs to a listener under pressure that carried no good cookie";
    tcp_orphans_dropped, "orphaned connections dropped for their number or age";
}

/// The counters of a stack, and how often each reason to drop occurred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Plain counters.
    pub count: Counters,
    drops: [u64; Drop::ALL.len()],
}

impl Default for Stats {
    fn default() -> Self {
        Self { count: Counters::default(), drops: [0; Drop::ALL.len()] }
    }
}

impl Stats {
    /// Counts one drop.
    pub(crate) fn drop(&mut self, reason: Drop) {
        self.drops[reason as usize] += 1;
    }

    /// How often something was dropped for `reason`.
    pub fn dropped(&self, reason: Drop) -> u64 {
        self.drops[reason as usize]
    }

    /// Every reason that occurred, with its count.
    pub fn drops(&self) -> impl Iterator<Item = (Drop, u64)> + '_ {
        Drop::ALL.iter().map(|&r| (r, self.dropped(r))).filter(|&(_, n)| n > 0)
    }
}
