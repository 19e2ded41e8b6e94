//! Segments that an attacker, or an old connection, may send (RFC 5961, RFC 7323 section 5, RFC 5927).

mod bed;
use bed::*;

fn open() -> Dialogue {
    Dialogue::passive(Setup::default())
}

#[test]
fn a_rst_counts_only_at_the_left_edge() {
    let mut d = open();
    // Beyond and before the window: silence.
    for seq in [200_000u32, 0, 0x8000_0000, 0xffff_0000] {
        d.rx(&format!("R {seq}"));
    }
    assert_eq!(d.dropped(Drop::TcpRstOutOfWindow), 4);
    // In the window: a challenge ACK, which a real peer answers with the exact RST.
    d.rx("R 2");
    d.tx(". 1 ack 1");
    d.rx("R. 1000 ack 1");
    d.quiet(ms(500));
    assert_eq!(d.dropped(Drop::TcpRstInWindow), 2);
    assert_eq!(d.state(), State::Established);
    d.rx("R 1");
    assert_eq!(d.state(), State::Closed);
}

#[test]
fn a_syn_is_challenged_wherever_it_is() {
    for seq in [0u32, 1, 100, 500_000, 0xf000_0000] {
        let mut d = open();
        d.rx(&format!("S {seq} <mss 1000>"));
        d.tx(". 1 ack 1");
        assert_eq!(d.state(), State::Established, "{seq}");
    }
}

#[test]
fn challenges_are_rationed_and_one_connection_does_not_see_anothers() {
    let mut d = open();
    for _ in 0..100 {
        d.rx("S 1");
        d.take();
    }
    assert_eq!(d.stack.stats().count.tcp_challenge_acks, 1);
    d.quiet(ms(501));
    d.rx("S 1");
    d.tx(". 1 ack 1");
    // Another connection has its own budget (CVE-2016-5696).
    let (peer, iss) = (d.peer, d.iss);
    d.peer.set_port(6000);
    d.iss = None;
    d.rx("S 0 <mss 1000>");
    d.tx("S. 0 ack 1");
    d.rx(". 1 ack 1");
    d.rx("S 1");
    d.tx(". 1 ack 1");
    (d.peer, d.iss) = (peer, iss);
}

#[test]
fn an_ack_of_what_was_never_sent_is_challenged_and_its_data_dropped() {
    let mut d = open();
    d.rx("P. 1:101(100) ack 2");
    d.tx(". 1 ack 1");
    assert_eq!(d.dropped(Drop::TcpBadAck), 1);
    // Queued and not sent is not sent: the window lets the first out only.
    let mut d = Dialogue::passive(Setup { win: 3000, ..Setup::default() });
    d.send(5000);
    assert_eq!(d.take().len(), 3);
    d.rx(". 1 ack 4001");
    d.tx(". 3001 ack 1");
    assert_eq!(d.dropped(Drop::TcpBadAck), 1);
}

#[test]
fn an_ack_too_old_is_challenged_and_one_a_little_old_is_read() {
    let mut d = open();
    d.send(1000);
    d.tx("P. 1:1001(1000) ack 1");
    d.rx(". 1 ack 1001");
    // RFC 5961 section 5.2: older than the largest window ever seen.
    d.rx("P. 1:101(100) ack 4294900000");
    d.tx(". 1001 ack 1");
    assert_eq!(d.dropped(Drop::TcpBadAck), 1);
    // Overtaken on the way: its data is good.
    d.rx("P. 1:101(100) ack 1");
    d.tx(". 1001 ack 101");
    d.recv(100);
}

#[test]
fn an_old_segment_does_not_change_the_window() {
    let mut d = open();
    d.send(1000);
    d.tx("P. 1:1001(1000) ack 1");
    d.rx("P. 1:101(100) ack 1001 win 3000");
    d.tx(". 1001 ack 101");
    // Sent before the last, arrived after it.
    d.rx(". 1 ack 1001 win 60000");
    d.take();
    d.send(9000);
    assert_eq!(d.take().iter().map(|s| s.len).sum::<usize>(), 3000);
}

#[test]
fn a_segment_without_ack_is_dropped() {
    let mut d = open();
    d.rx("P 1:101(100)");
    d.rx("0 1:101(100)");
    d.rx("F 1");
    assert_eq!(d.dropped(Drop::TcpNoAck), 3);
    assert_eq!(d.state(), State::Established);
}

#[test]
fn an_unacceptable_segment_is_answered_with_an_ack() {
    let mut d = open();
    d.rx("P. 200000:200100(100) ack 1");
    d.tx(". 1 ack 1");
    d.rx("P. 4294967196:1(101) ack 1");
    d.tx(". 1 ack 1");
    d.quiet(secs(1));
    // One without data, at a bounded rate: two ends cannot keep each other talking.
    for _ in 0..50 {
        d.rx(". 200000 ack 1");
        d.take();
    }
    assert!(d.stack.stats().count.tcp_challenge_acks <= 1);
}

const TS: &str = "<mss 1000,nop,nop,TS val 1000 ecr 0>";

fn with_timestamps() -> Dialogue {
    let mut d = Dialogue::passive(Setup { syn: TS, ..Setup::default() });
    d.rx("P. 1:101(100) ack 1 <nop,nop,TS val 1010 ecr 0>");
    d.tx(". 1 ack 101 <nop,nop,TS val * ecr 1010>");
    d
}

#[test]
fn an_older_timestamp_is_an_older_segment() {
    let mut d = with_timestamps();
    d.rx("P. 101:201(100) ack 1 <nop,nop,TS val 1009 ecr 0>");
    d.tx(". 1 ack 101 <nop,nop,TS val * ecr 1010>");
    assert_eq!(d.dropped(Drop::TcpPaws), 1);
    d.rx("P. 101:201(100) ack 1 <nop,nop,TS val 1010 ecr 0>");
    d.tx(". 1 ack 201");
    // A RST is not judged by its timestamp (RFC 7323 section 5.2).
    d.rx("R. 201 ack 1 <nop,nop,TS val 1 ecr 0>");
    assert_eq!(d.state(), State::Closed);
}

#[test]
fn a_timestamp_of_a_month_ago_says_nothing() {
    let mut d = with_timestamps();
    d.quiet(secs(25 * 86_400));
    d.rx("P. 101:201(100) ack 1 <nop,nop,TS val 5 ecr 0>");
    d.tx(". 1 ack 201 <nop,nop,TS val * ecr 5>");
    assert_eq!(d.dropped(Drop::TcpPaws), 0);
}

#[test]
fn a_segment_beyond_a_hole_does_not_set_the_echo() {
    // RFC 7323 section 4.3 (B): the echo is of the segment that began where the last ACK ended.
    let mut d = with_timestamps();
    d.rx("P. 201:301(100) ack 1 <nop,nop,TS val 1030 ecr 0>");
    d.tx(". 1 ack 101 <nop,nop,TS val * ecr 1010>");
    d.rx("P. 101:201(100) ack 1 <nop,nop,TS val 1020 ecr 0>");
    d.tx(". 1 ack 301 <nop,nop,TS val * ecr 1020>");
}

#[test]
fn a_missing_timestamp_is_taken_by_linux_and_dropped_by_the_rfc() {
    let mut d = with_timestamps();
    d.rx("P. 101:201(100) ack 1");
    d.tx(". 1 ack 201");
    let mut d = Dialogue::new(Setup { profile: Profile::rfc(), ..Setup::default() });
    d.listen();
    d.rx(&format!("S 0 {TS}"));
    d.tx("S. 0 ack 1");
    d.rx(". 1 ack 1 <nop,nop,TS val 1001 ecr 0>");
    d.accept();
    d.rx("P. 1:101(100) ack 1");
    assert_eq!(d.dropped(Drop::TcpNoTimestamp), 1);
    assert_eq!(d.try_recv(1, MsgFlags::empty()), Err(Errno::EAGAIN));
}

#[test]
fn a_land_attack_and_impossible_addresses() {
    let mut d = Dialogue::new(Setup::default());
    d.listen();
    let peer = d.peer;
    // From our own address and port.
    d.peer = d.local;
    d.rx("S 0 <mss 1000>");
    d.quiet(secs(1));
    for source in ["0.0.0.0", "255.255.255.255", "224.0.0.1", "127.0.0.1"] {
        d.peer = format!("{source}:5000").parse().unwrap();
        d.rx("S 0 <mss 1000>");
        d.quiet(secs(1));
    }
    d.peer = peer;
    d.peer.set_port(0);
    d.rx("S 0 <mss 1000>");
    d.quiet(secs(1));
    assert_eq!(d.stack.usage().half_open, 0);
}

#[test]
fn in_syn_received_only_the_exact_rst_goes_back_to_listen() {
    let mut d = Dialogue::new(Setup::default());
    d.listen();
    d.rx("S 0 <mss 1000>");
    d.tx("S. 0 ack 1");
    d.rx("R 100000");
    d.rx("R 5");
    d.tx(". 1 ack 1");
    assert_eq!(d.stack.usage().half_open, 1);
    // A SYN in the window is challenged too, and a wrong ACK refused.
    d.rx(". 1 ack 7");
    d.tx("R 7");
    assert_eq!(d.stack.usage().half_open, 1);
    d.rx("R 1");
    assert_eq!(d.stack.usage().half_open, 0);
}

#[test]
fn optimistic_acks_of_one_octet_do_not_open_the_window_faster() {
    // ACK splitting: ten segments acknowledged octet by octet count as ten segments (RFC 3465, RFC 5681 section 3.1).
    let mut d = Dialogue::passive(Setup::default());
    d.send(30_000);
    assert_eq!(d.take().len(), 10);
    let mut sent = 0;
    for ack in 2..=1001 {
        d.rx(&format!(". 1 ack {ack}"));
        sent += d.take().iter().map(|s| s.len).sum::<usize>();
    }
    assert!(sent <= 2000, "{sent} octets for one segment acknowledged");
}
