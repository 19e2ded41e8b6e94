//! Data, lost and found (RFC 5681, 6582, 6675, 8985, 2018, 2883, 5682, 3522).

mod bed;
use bed::*;
use wirestack::tcp::Timer;

/// An established connection with a round trip of 100 ms and nothing sent.
fn with_rtt(syn: &str) -> Dialogue {
    let mut d = Dialogue::new(Setup::default());
    d.listen();
    d.rx(&format!("S 0 {syn}"));
    d.tx("S. 0 ack 1");
    d.quiet(ms(100));
    d.rx(if syn.contains("TS") { ". 1 ack 1 <nop,nop,TS val 2 ecr 0>" } else { ". 1 ack 1" });
    d.accept();
    d
}

const SACK: &str = "<mss 1000,nop,nop,sackOK>";
const PLAIN: &str = "<mss 1000>";

/// Ten segments are sent.
fn ten(syn: &str) -> Dialogue {
    let mut d = with_rtt(syn);
    d.send(10_000);
    assert_eq!(d.take().len(), 10);
    d.quiet(ms(100));
    d
}

#[test]
fn three_duplicate_acks_retransmit_without_sack() {
    let mut d = ten(PLAIN);
    d.rx(". 1 ack 1001");
    d.rx(". 1 ack 1001");
    d.rx(". 1 ack 1001");
    d.empty();
    d.rx(". 1 ack 1001");
    d.tx(". 1001:2001(1000) ack 1");
    assert_eq!(d.stack.stats().count.tcp_fast_recoveries, 1);
    // Everything arrived: the recovery is over, half the window is left.
    d.quiet(ms(100));
    d.rx(". 1 ack 10001");
    let (cwnd, ssthresh) = d.last_cwnd().unwrap();
    assert!(cwnd <= 8 && ssthresh <= 8, "{cwnd} {ssthresh}");
}

#[test]
fn a_partial_ack_retransmits_the_next_hole() {
    let mut d = ten(PLAIN);
    for _ in 0..4 {
        d.rx(". 1 ack 1001");
    }
    d.tx(". 1001:2001(1000) ack 1");
    d.quiet(ms(100));
    // Segment 4 is missing too: no three duplicates are needed (RFC 6582 section 3.2).
    d.rx(". 1 ack 4001");
    d.tx(". 4001:5001(1000) ack 1");
    d.quiet(ms(100));
    d.rx(". 1 ack 10001");
    assert_eq!(d.stack.stats().count.tcp_rto, 0);
}

#[test]
fn duplicates_after_a_recovery_do_not_start_another() {
    // RFC 6582 section 3.2 step 1: they are the echo of retransmissions that were needless.
    let mut d = ten(PLAIN);
    for _ in 0..4 {
        d.rx(". 1 ack 1001");
    }
    d.tx(". 1001:2001(1000) ack 1");
    d.quiet(ms(100));
    d.rx(". 1 ack 10001");
    d.take();
    d.send(1000);
    d.tx("P. 10001:11001(1000) ack 1");
    for _ in 0..3 {
        d.rx(". 1 ack 10001");
    }
    d.empty();
    assert_eq!(d.stack.stats().count.tcp_fast_recoveries, 1);
}

#[test]
fn a_sack_of_three_segments_retransmits_the_hole() {
    let mut d = ten(SACK);
    d.rx(". 1 ack 1 <nop,nop,sack 1001:2001>");
    d.rx(". 1 ack 1 <nop,nop,sack 1001:3001>");
    d.empty();
    d.rx(". 1 ack 1 <nop,nop,sack 1001:4001>");
    d.tx(". 1:1001(1000) ack 1");
    d.quiet(ms(99));
    d.rx(". 1 ack 10001");
    assert_eq!((d.stack.stats().count.tcp_rto, d.stack.stats().count.tcp_retrans_segs), (0, 1));
}

#[test]
fn several_holes_are_filled_in_one_round_trip() {
    let mut d = ten(SACK);
    // Segments 1, 3, 5 and 7 are lost.
    d.rx(". 1 ack 1 <nop,nop,sack 1001:2001>");
    d.rx(". 1 ack 1 <nop,nop,sack 3001:4001 1001:2001>");
    d.rx_more(". 1 ack 1 <nop,nop,sack 5001:6001 3001:4001 1001:2001>");
    d.rx_more(". 1 ack 1 <nop,nop,sack 7001:8001 5001:6001 3001:4001>");
    d.rx_more(". 1 ack 1 <nop,nop,sack 7001:9001 5001:6001 3001:4001>");
    d.rx_more(". 1 ack 1 <nop,nop,sack 7001:10001 5001:6001 3001:4001>");
    let sent: Vec<u32> = d.take().iter().map(|s| s.seq).collect();
    assert_eq!(sent, [1, 2001, 4001, 6001]);
    assert_eq!(d.stack.stats().count.tcp_rto, 0);
}

#[test]
fn one_sack_and_a_quarter_of_the_round_trip_are_enough() {
    let mut d = ten(SACK);
    d.rx(". 1 ack 1 <nop,nop,sack 1001:2001>");
    // RACK (RFC 8985 section 6.2): the reordering window is RTT / 4.
    d.tx_after(ms(25), ". 1:1001(1000) ack 1");
    assert_eq!(d.fired(Timer::Rack), 1);
}

#[test]
fn a_loss_at_the_tail_is_probed_after_two_round_trips() {
    let mut d = with_rtt(SACK);
    d.send(3000);
    assert_eq!(d.take().len(), 3);
    // PTO = 2 * SRTT + 2 ms; the last segment again (RFC 8985 section 7.3).
    d.tx_after(ms(202), "P. 2001:3001(1000) ack 1");
    assert_eq!(d.stack.stats().count.tcp_tlp_probes, 1);
    d.quiet(ms(100));
    // The first two are missing: the SACK of the probe shows it.
    d.rx(". 1 ack 1 <nop,nop,sack 2001:3001>");
    let sent: Vec<u32> = d.run(ms(30)).iter().map(|s| s.1.seq).collect();
    assert_eq!(sent[0], 1);
    assert_eq!(d.stack.stats().count.tcp_rto, 0);
}

#[test]
fn one_segment_waits_for_a_delayed_ack_before_it_is_probed() {
    let mut d = with_rtt(SACK);
    d.send(1000);
    d.tx("P. 1:1001(1000) ack 1");
    // Not before the peer's delayed ACK could have come: 2 * SRTT + 200 ms is past the RTO here, 300 ms.
    let sent = d.run(ms(450));
    assert_eq!(sent.len(), 1);
    assert!(sent[0].0.since(d.now - ms(450)) >= ms(299), "{sent:?}");
}

#[test]
fn the_timeout_follows_when_the_probe_is_lost_too() {
    let mut d = with_rtt(SACK);
    d.send(3000);
    assert_eq!(d.take().len(), 3);
    d.tx_after(ms(202), "P. 2001:3001(1000) ack 1");
    // The RTO counts from the probe: SRTT + max(4 * RTTVAR, 200 ms) = 300 ms.
    d.tx_after(ms(300), ". 1:1001(1000) ack 1");
    assert_eq!(d.stack.stats().count.tcp_rto, 1);
    assert_eq!(d.last_cwnd().unwrap().0, 1);
}

#[test]
fn a_probe_that_was_needless_costs_nothing() {
    let mut d = with_rtt(SACK);
    d.send(3000);
    d.take();
    d.tx_after(ms(202), "P. 2001:3001(1000) ack 1");
    d.rx(". 1 ack 3001");
    d.rx(". 1 ack 3001 <nop,nop,sack 2001:3001>");
    assert_eq!(d.stack.stats().count.tcp_dsack_in, 1);
    assert_eq!(d.stack.stats().count.tcp_fast_recoveries, 0);
    let (cwnd, ssthresh) = d.last_cwnd().unwrap_or((10, u32::MAX));
    assert!(cwnd >= 10 && ssthresh == u32::MAX, "{cwnd} {ssthresh}");
}

#[test]
fn a_timeout_that_timestamps_prove_spurious_is_undone() {
    let mut d = with_rtt("<mss 1000,sackOK,TS val 1 ecr 0>");
    d.send(20_000);
    let sent = d.take();
    assert_eq!(sent.len(), 10);
    let original = sent[0].options.as_ref().unwrap().iter().find_map(|o| match o {
        segment::Opt::Ts(v, _) => *v,
        _ => None,
    });
    let sent = d.run(ms(2_000));
    assert!(d.stack.stats().count.tcp_rto >= 1, "{sent:?}");
    d.events.clear();
    // The delay was a delay: the ACK of the original comes, with its timestamp.
    d.rx(&format!(". 1 ack 989 <nop,nop,TS val 9 ecr {}>", original.unwrap()));
    assert_eq!(d.stack.stats().count.tcp_spurious_rto, 1);
    assert!(d.last_cwnd().unwrap().0 >= 10, "{:?}", d.last_cwnd());
}

#[test]
fn reordering_within_the_window_retransmits_nothing() {
    let mut d = ten(SACK);
    // Segment 1 comes 20 ms late, behind two others.
    d.rx(". 1 ack 1 <nop,nop,sack 1001:2001>");
    d.quiet(ms(10));
    d.rx(". 1 ack 1 <nop,nop,sack 1001:3001>");
    d.quiet(ms(10));
    d.rx(". 1 ack 3001");
    d.rx(". 1 ack 10001");
    d.quiet(secs(1));
    assert_eq!(d.stack.stats().count.tcp_retrans_segs, 0);
}

#[test]
fn the_retransmission_timer_starts_anew_with_the_first_retransmission() {
    // Else a round trip above 200 ms times out in the middle of a recovery (RFC 6675 section 5.1 and Linux,
    // tcp_xmit_retransmit_queue).
    let mut d = Dialogue::new(Setup::sack());
    d.listen();
    d.rx(&format!("S 0 {SACK}"));
    d.tx("S. 0 ack 1");
    d.quiet(ms(600));
    d.rx(". 1 ack 1");
    d.accept();
    // Enough samples for the variance to go.
    let mut at = 1u32;
    for _ in 0..40 {
        d.send(1000);
        d.take();
        d.quiet(ms(600));
        at += 1000;
        d.rx(&format!(". 1 ack {at}"));
    }
    d.send(20_000);
    let n = d.take().len() as u32;
    d.quiet(ms(600));
    d.rx(&format!(". 1 ack {}", at + 1000));
    d.take();
    // The second is lost; its ACK comes a round trip after its retransmission, 1.2 s after the last progress.
    d.quiet(ms(590));
    d.rx_more(&format!(". 1 ack {} <nop,nop,sack {}:{}>", at + 1000, at + 2000, at + n * 1000));
    assert_eq!(d.take()[0].seq, at + 1000);
    d.quiet(ms(599));
    assert_eq!(d.stack.stats().count.tcp_rto, 0);
}

#[test]
fn out_of_order_data_is_reported_newest_first_and_duplicates_too() {
    let mut d = Dialogue::passive(Setup::sack());
    d.rx(". 1001:2001(1000) ack 1");
    d.tx(". 1 ack 1 <nop,nop,sack 1001:2001>");
    d.rx(". 3001:4001(1000) ack 1");
    d.tx(". 1 ack 1 <nop,nop,sack 3001:4001 1001:2001>");
    d.rx(". 5001:6001(1000) ack 1");
    d.tx(". 1 ack 1 <nop,nop,sack 5001:6001 3001:4001 1001:2001>");
    // A duplicate of what is held (RFC 2883 section 4.1.2).
    d.rx(". 3001:4001(1000) ack 1");
    d.tx(". 1 ack 1 <nop,nop,sack 3001:4001 5001:6001 3001:4001 1001:2001>");
    d.rx(". 1:1001(1000) ack 1");
    d.tx(". 1 ack 2001 <nop,nop,sack 5001:6001 3001:4001>");
    // A duplicate of what was acknowledged.
    d.rx(". 1:1001(1000) ack 1");
    d.tx(". 1 ack 2001 <nop,nop,sack 1:1001 5001:6001 3001:4001>");
    d.rx(". 2001:3001(1000) ack 1");
    d.tx(". 1 ack 4001 <nop,nop,sack 5001:6001>");
    d.rx(". 4001:5001(1000) ack 1");
    d.tx(". 1 ack 6001 <>");
    d.recv(6000);
}

#[test]
fn a_retransmission_that_covers_more_and_less_than_what_is_here() {
    let mut d = Dialogue::passive(Setup::default());
    d.rx("P. 1:501(500) ack 1");
    d.tx(". 1 ack 501");
    d.rx("P. 1:1001(1000) ack 1");
    d.tx(". 1 ack 1001");
    d.rx("P. 501:800(299) ack 1");
    d.tx(". 1 ack 1001");
    d.rx("P. 2001:3001(1000) ack 1");
    d.tx(". 1 ack 1001");
    d.rx("P. 1001:2501(1500) ack 1");
    d.tx(". 1 ack 3001");
    d.recv(3000);
}

#[test]
fn slow_start_begins_with_ten_segments_and_adds_one_for_each() {
    let mut d = with_rtt(PLAIN);
    d.send(30_000);
    assert_eq!(d.take().len(), 10);
    d.quiet(ms(100));
    let mut sent = 0;
    for n in 1..=10u32 {
        d.rx_more(&format!(". 1 ack {}", 1 + 1000 * n));
        sent += d.take().len();
    }
    assert_eq!(sent, 20);
}
