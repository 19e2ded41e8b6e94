//! What a connection tells about itself: the fields of Linux's `struct tcp_info` (tcp(7)), by their
//! names without the prefix.

use super::congestion::Congestion;
use super::recovery::Phase;
use super::tcb::Tcb;
use crate::event::Timer;
use crate::state::State;
use crate::time::{Duration, Instant};

/// Counts of one connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) segs_in: u32,
    pub(crate) segs_out: u32,
    pub(crate) data_segs_in: u32,
    pub(crate) data_segs_out: u32,
    pub(crate) total_retrans: u32,
    pub(crate) delivered: u32,
    pub(crate) dsack_dups: u32,
    pub(crate) rcv_ooopack: u32,
    pub(crate) reord_seen: u32,
    pub(crate) total_rto: u16,
    pub(crate) bytes_acked: u64,
    pub(crate) bytes_received: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) bytes_retrans: u64,
}

/// The state of a connection, as TCP_INFO gives it. Times are durations; windows are octets, the
/// congestion window is segments.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the field of struct tcp_info of that name, tcp(7)")]
pub struct TcpInfo {
    pub state: State,
    /// 0 Open, 1 Disorder, 2 CWR, 3 Recovery, 4 Loss.
    pub ca_state: u8,
    pub retransmits: u8,
    pub probes: u8,
    pub backoff: u8,
    /// TCPI_OPT_TIMESTAMPS 1, SACK 2, WSCALE 4, ECN 8, ECN_SEEN 16, SYN_DATA 32.
    pub options: u8,
    pub snd_wscale: u8,
    pub rcv_wscale: u8,
    pub rto: Duration,
    pub ato: Duration,
    pub snd_mss: u32,
    pub rcv_mss: u32,
    pub unacked: u32,
    pub sacked: u32,
    pub lost: u32,
    pub retrans: u32,
    pub last_data_sent: Duration,
    pub last_data_recv: Duration,
    pub last_ack_recv: Duration,
    pub pmtu: u32,
    pub rcv_ssthresh: u32,
    pub rtt: Duration,
    pub rttvar: Duration,
    pub snd_ssthresh: u32,
    pub snd_cwnd: u32,
    pub advmss: u32,
    pub reordering: u32,
    pub rcv_rtt: Duration,
    pub rcv_space: u32,
    pub total_retrans: u32,
    pub bytes_acked: u64,
    pub bytes_received: u64,
    pub segs_out: u32,
    pub segs_in: u32,
    pub notsent_bytes: u32,
    pub min_rtt: Duration,
    pub data_segs_in: u32,
    pub data_segs_out: u32,
    pub delivered: u32,
    pub bytes_sent: u64,
    pub bytes_retrans: u64,
    pub dsack_dups: u32,
    pub reord_seen: u32,
    pub rcv_ooopack: u32,
    pub snd_wnd: u32,
    pub rcv_wnd: u32,
    pub total_rto: u16,
    /// TCP_CONGESTION.
    pub congestion: &'static str,
}

impl Tcb {
    /// The state of the connection at `now`.
    pub fn info(&self, now: Instant, profile: &crate::Profile) -> TcpInfo {
        let count = &self.count;
        let flag = |on: bool, bit: u8| if on { bit } else { 0 };
        let scaled = self.snd.wscale > 0 || self.rcv.wscale > 0;
        TcpInfo {
            state: self.state,
            ca_state: self.recovery.phase as u8,
            retransmits: if self.recovery.phase == Phase::Loss {
                self.rtt.backoff()
            } else {
                self.syn_retries
            },
            probes: self.probes,
            backoff: self.rtt.backoff(),
            options: flag(self.ts_ok, 1) | flag(self.sack_ok, 2) | flag(scaled, 4),
            snd_wscale: self.snd.wscale,
            rcv_wscale: self.rcv.wscale,
            rto: self.rtt.rto(profile),
            ato: self.rcv.ack.timeout(profile),
            snd_mss: self.snd.mss,
            rcv_mss: u32::from(self.rcv.seg_size),
            unacked: self.board.packets(),
            sacked: self.board.sacked(),
            lost: self.board.lost(),
            retrans: self.board.retrans(),
            last_data_sent: now.since(self.snd.last_at),
            last_data_recv: now.since(self.rcv.last_data_at),
            last_ack_recv: now.since(self.rcv.last_at),
            pmtu: self.path.map_or(0, |p| p.mtu as u32),
            rcv_ssthresh: (self.settings.rcvbuf / 2) as u32,
            rtt: self.rtt.srtt().unwrap_or_default(),
            rttvar: self.rtt.rttvar(),
            snd_ssthresh: self.window.ssthresh.min(0x7fff_ffff),
            snd_cwnd: self.window.cwnd,
            advmss: u32::from(self.rcv.adv_mss),
            reordering: 3,
            rcv_rtt: self.rcv.tune.rtt().unwrap_or_default(),
            rcv_space: self.rcv.tune.space() as u32,
            total_retrans: count.total_retrans,
            bytes_acked: count.bytes_acked,
            bytes_received: count.bytes_received,
            segs_out: count.segs_out,
            segs_in: count.segs_in,
            notsent_bytes: self.unsent() as u32,
            min_rtt: self.rtt.min().unwrap_or_default(),
            data_segs_in: count.data_segs_in,
            data_segs_out: count.data_segs_out,
            delivered: count.delivered,
            bytes_sent: count.bytes_sent,
            bytes_retrans: count.bytes_retrans,
            dsack_dups: count.dsack_dups,
            reord_seen: count.reord_seen,
            rcv_ooopack: count.rcv_ooopack,
            snd_wnd: self.snd.wnd,
            rcv_wnd: self.recv_window(),
            total_rto: count.total_rto,
            congestion: self.congestion.name(),
        }
    }

    /// When a timer of the connection expires, as `ss -o` shows it.
    pub fn timer(&self, timer: Timer) -> Option<Instant> {
        self.timers.get(timer)
    }
}
