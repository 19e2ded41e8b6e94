//! TCP_INFO in Linux's layout: 280 octets, numbers in the order of this machine.

use std::time::Duration;
use wirestack::tcp::{State, TcpInfo};

/// Octets of struct tcp_info.
pub(crate) const SIZE: usize = 280;
/// Octets that SO_MEMINFO gives: nine counters.
pub(crate) const MEMINFO: usize = 36;

/// The number of a state (include/net/tcp_states.h as tcp(7) has it).
pub(crate) fn state(s: State) -> u8 {
    match s {
        State::Established => 1,
        State::SynSent => 2,
        State::SynReceived => 3,
        State::FinWait1 => 4,
        State::FinWait2 => 5,
        State::TimeWait => 6,
        State::Closed => 7,
        State::CloseWait => 8,
        State::LastAck => 9,
        State::Listen => 10,
        State::Closing => 11,
    }
}

/// Fills the struct. What the stack does not know is 0.
pub(crate) fn tcp_info(i: &TcpInfo) -> [u8; SIZE] {
    let mut out = [0; SIZE];
    out[..8].copy_from_slice(&[
        state(i.state),
        i.ca_state,
        i.retransmits,
        i.probes,
        i.backoff,
        i.options,
        i.snd_wscale & 15 | i.rcv_wscale << 4,
        0,
    ]);
    let us = |d: Duration| d.as_micros().min(u128::from(u32::MAX)) as u32;
    let ms = |d: Duration| d.as_millis().min(u128::from(u32::MAX)) as u32;
    for (at, value) in [
        (8, us(i.rto)),
        (12, us(i.ato)),
        (16, i.snd_mss),
        (20, i.rcv_mss),
        (24, i.unacked),
        (28, i.sacked),
        (32, i.lost),
        (36, i.retrans),
        (44, ms(i.last_data_sent)),
        (52, ms(i.last_data_recv)),
        (56, ms(i.last_ack_recv)),
        (60, i.pmtu),
        (64, i.rcv_ssthresh),
        (68, us(i.rtt)),
        (72, us(i.rttvar)),
        (76, i.snd_ssthresh),
        (80, i.snd_cwnd),
        (84, i.advmss),
        (88, i.reordering),
        (92, us(i.rcv_rtt)),
        (96, i.rcv_space),
        (100, i.total_retrans),
        (136, i.segs_out),
        (140, i.segs_in),
        (144, i.notsent_bytes),
        (148, us(i.min_rtt)),
        (152, i.data_segs_in),
        (156, i.data_segs_out),
        (192, i.delivered),
        (216, i.dsack_dups),
        (220, i.reord_seen),
        (224, i.rcv_ooopack),
        (228, i.snd_wnd),
        (232, i.rcv_wnd),
    ] {
        out[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    }
    for (at, value) in [
        (104, u64::MAX),
        (112, u64::MAX),
        (120, i.bytes_acked),
        (128, i.bytes_received),
        (200, i.bytes_sent),
        (208, i.bytes_retrans),
    ] {
        out[at..at + 8].copy_from_slice(&value.to_ne_bytes());
    }
    out[240..242].copy_from_slice(&i.total_rto.to_ne_bytes());
    out
}
