//! What stands between `%{` and `}%`: assertions on TCP_INFO and a little arithmetic.
//!
//! `parse` reads the small part of Python that such snippets are made of; `eval` runs it, at the
//! moment of the snippet, with its line at hand. What is beyond it is given to python3, all snippets
//! of the script in one go at its end ([`python`]).

pub mod eval;
pub mod parse;
pub mod python;

use wirestack::tcp::TcpInfo;

/// The variables that a snippet sees.
pub fn variables(info: &TcpInfo) -> Vec<(&'static str, i64)> {
    let us = |d: std::time::Duration| d.as_micros() as i64;
    let ms = |d: std::time::Duration| d.as_millis() as i64;
    use wirestack::tcp::State as S;
    let state = match info.state {
        S::Established => 1,
        S::SynSent => 2,
        S::SynReceived => 3,
        S::FinWait1 => 4,
        S::FinWait2 => 5,
        S::TimeWait => 6,
        S::Closed => 7,
        S::CloseWait => 8,
        S::LastAck => 9,
        S::Listen => 10,
        S::Closing => 11,
    };
    vec![
        ("tcpi_state", state),
        ("tcpi_ca_state", i64::from(info.ca_state)),
        ("tcpi_retransmits", i64::from(info.retransmits)),
        ("tcpi_probes", i64::from(info.probes)),
        ("tcpi_backoff", i64::from(info.backoff)),
        ("tcpi_options", i64::from(info.options)),
        ("tcpi_snd_wscale", i64::from(info.snd_wscale)),
        ("tcpi_rcv_wscale", i64::from(info.rcv_wscale)),
        ("tcpi_rto", us(info.rto)),
        ("tcpi_ato", us(info.ato)),
        ("tcpi_snd_mss", i64::from(info.snd_mss)),
        ("tcpi_rcv_mss", i64::from(info.rcv_mss)),
        ("tcpi_unacked", i64::from(info.unacked)),
        ("tcpi_sacked", i64::from(info.sacked)),
        ("tcpi_lost", i64::from(info.lost)),
        ("tcpi_retrans", i64::from(info.retrans)),
        ("tcpi_last_data_sent", ms(info.last_data_sent)),
        ("tcpi_last_data_recv", ms(info.last_data_recv)),
        ("tcpi_last_ack_recv", ms(info.last_ack_recv)),
        ("tcpi_pmtu", i64::from(info.pmtu)),
        ("tcpi_rcv_ssthresh", i64::from(info.rcv_ssthresh)),
        ("tcpi_rtt", us(info.rtt)),
        ("tcpi_rttvar", us(info.rttvar)),
        ("tcpi_snd_ssthresh", i64::from(info.snd_ssthresh)),
        ("tcpi_snd_cwnd", i64::from(info.snd_cwnd)),
        ("tcpi_advmss", i64::from(info.advmss)),
        ("tcpi_reordering", i64::from(info.reordering)),
        ("tcpi_rcv_rtt", us(info.rcv_rtt)),
        ("tcpi_rcv_space", i64::from(info.rcv_space)),
        ("tcpi_total_retrans", i64::from(info.total_retrans)),
        ("tcpi_bytes_acked", info.bytes_acked as i64),
        ("tcpi_bytes_received", info.bytes_received as i64),
        ("tcpi_segs_out", i64::from(info.segs_out)),
        ("tcpi_segs_in", i64::from(info.segs_in)),
        ("tcpi_notsent_bytes", i64::from(info.notsent_bytes)),
        ("tcpi_min_rtt", us(info.min_rtt)),
        ("tcpi_data_segs_in", i64::from(info.data_segs_in)),
        ("tcpi_data_segs_out", i64::from(info.data_segs_out)),
        ("tcpi_delivered", i64::from(info.delivered)),
        ("tcpi_bytes_sent", info.bytes_sent as i64),
        ("tcpi_bytes_retrans", info.bytes_retrans as i64),
        ("tcpi_dsack_dups", i64::from(info.dsack_dups)),
        ("tcpi_reord_seen", i64::from(info.reord_seen)),
        ("tcpi_rcv_ooopack", i64::from(info.rcv_ooopack)),
        ("tcpi_snd_wnd", i64::from(info.snd_wnd)),
        ("tcpi_rcv_wnd", i64::from(info.rcv_wnd)),
        ("tcpi_total_rto", i64::from(info.total_rto)),
    ]
}

/// The constants that a snippet sees.
pub const CONSTANTS: &[(&str, i64)] = &[
    ("TCP_CA_Open", 0),
    ("TCP_CA_Disorder", 1),
    ("TCP_CA_CWR", 2),
    ("TCP_CA_Recovery", 3),
    ("TCP_CA_Loss", 4),
    ("TCPI_OPT_TIMESTAMPS", 1),
    ("TCPI_OPT_SACK", 2),
    ("TCPI_OPT_WSCALE", 4),
    ("TCPI_OPT_ECN", 8),
    ("TCPI_OPT_ECN_SEEN", 16),
    ("TCPI_OPT_SYN_DATA", 32),
    ("TCP_ESTABLISHED", 1),
    ("TCP_SYN_SENT", 2),
    ("TCP_SYN_RECV", 3),
    ("TCP_FIN_WAIT1", 4),
    ("TCP_FIN_WAIT2", 5),
    ("TCP_TIME_WAIT", 6),
    ("TCP_CLOSE", 7),
    ("TCP_CLOSE_WAIT", 8),
    ("TCP_LAST_ACK", 9),
    ("TCP_LISTEN", 10),
    ("TCP_CLOSING", 11),
];
