//! Windows: zero, small, probed, never shrunk (RFC 9293 section 3.8.6), and what is held back for more.

mod bed;
use bed::*;
use wirestack::tcp::Timer;

fn open() -> Dialogue {
    Dialogue::passive(Setup::default())
}

#[test]
fn a_zero_window_is_probed_ever_more_rarely() {
    let mut d = open();
    d.rx(". 1 ack 1 win 0");
    d.send(1000);
    // One octet before the window asks for an ACK (Linux: tcp_xmit_probe_skb).
    for n in 0..9 {
        d.tx_after(ms(200 << n), ". 0 ack 1");
    }
    assert_eq!(d.fired(Timer::Persist), 9);
    d.rx(". 1 ack 1 win 5000");
    d.tx("P. 1:1001(1000) ack 1");
}

#[test]
fn a_peer_that_answers_probes_lives_however_long_its_window_is_closed() {
    let mut d = open();
    d.rx(". 1 ack 1 win 0");
    d.send(1000);
    let mut probes = 0;
    while d.now.since(wirestack::Instant::ZERO) < secs(3600) {
        d.run(ms(100)).iter().for_each(|_| probes += 1);
        if probes > 0 {
            d.rx(". 1 ack 1 win 0");
        }
    }
    assert_eq!(d.state(), State::Established);
    assert!((30..=200).contains(&probes), "{probes} probes in an hour: the interval does not stay doubled");
    d.rx(". 1 ack 1 win 65535");
    d.tx("P. 1:1001(1000) ack 1");
}

#[test]
fn a_peer_that_does_not_answer_probes_is_given_up() {
    let mut d = open();
    d.rx(". 1 ack 1 win 0");
    d.send(1000);
    let probes = d.run(secs(1000));
    assert_eq!(probes.len(), 15);
    assert_eq!((d.state(), d.error()), (State::Closed, Some(Errno::ETIMEDOUT)));
}

#[test]
fn a_window_that_shrinks_to_nothing_with_data_in_flight() {
    let mut d = open();
    d.send(3000);
    assert_eq!(d.take().len(), 3);
    d.rx(". 1 ack 1001 win 0");
    // What is in flight is retransmitted all the same, one segment (RFC 9293 SHLD-16), and lives by its answers.
    d.tx_after(ms(200), ". 1001:2001(1000) ack 1");
    d.rx(". 1 ack 3001 win 0");
    d.rx(". 1 ack 3001 win 65535");
    d.send(100);
    d.tx("P. 3001:3101(100) ack 1");
}

#[test]
fn a_sliver_of_a_window_is_not_filled_at_once() {
    // Sender's silly-window avoidance (section 3.8.6.2.1): a full segment, or half of the largest window, or after the
    // override timeout.
    let mut d = open();
    d.rx(". 1 ack 1 win 100");
    d.send(5000);
    let sent = d.run(secs(1));
    assert!(!sent.is_empty());
    let (at, first) = &sent[0];
    assert!(at.as_millis() >= 1200, "{first} went out at {at}");
    assert_eq!((first.seq, first.len), (1, 100));
}

#[test]
fn a_peer_with_a_tiny_buffer_still_gets_data() {
    // Half of the largest window that it ever offered, or it would wait for ever.
    let mut d = Dialogue::passive(Setup { win: 200, ..Setup::default() });
    d.send(1000);
    let sent = d.take();
    assert!(!sent.is_empty() && sent[0].len >= 100, "{sent:?}");
}

#[test]
fn nagle_holds_a_small_segment_behind_a_small_one() {
    let mut d = open();
    d.send(100);
    d.tx("P. 1:101(100) ack 1");
    d.send(100);
    d.send(100);
    d.quiet(ms(100));
    d.rx(". 1 ack 101");
    d.tx("P. 101:301(200) ack 1");
    // Minshall: a full segment in flight does not hold a small one.
    d.rx(". 1 ack 301");
    d.send(1000);
    d.tx("P. 301:1301(1000) ack 1");
    d.send(10);
    d.tx("P. 1301:1311(10) ack 1");
}

#[test]
fn nodelay_does_not_hold_anything() {
    let mut d = Dialogue::passive(Setup::default().with(SocketOption::NoDelay(true)));
    for i in 0..5u32 {
        d.send(10);
        d.tx(&format!("P. {}:{}(10) ack 1", 1 + 10 * i, 11 + 10 * i));
    }
    // Setting it sends what Nagle held.
    let mut d = open();
    d.send(100);
    d.tx("P. 1:101(100) ack 1");
    d.send(100);
    d.set(SocketOption::NoDelay(true));
    d.tx("P. 101:201(100) ack 1");
}

#[test]
fn a_cork_holds_partial_segments_for_200_ms() {
    let mut d = open();
    d.set(SocketOption::Cork(true));
    d.send(1100);
    d.tx(". 1:1001(1000) ack 1");
    d.tx_after(ms(200), "P. 1001:1101(100) ack 1");
    d.rx(". 1 ack 1101");
    d.send(100);
    d.quiet(ms(100));
    d.set(SocketOption::Cork(false));
    d.tx("P. 1101:1201(100) ack 1");
    d.rx(". 1 ack 1201");
    d.send_flags(100, MsgFlags::MORE);
    d.quiet(ms(100));
    d.send(100);
    d.tx("P. 1201:1401(200) ack 1");
}

#[test]
fn the_advertised_window_never_moves_left() {
    let mut d = Dialogue::passive(Setup::default().with(SocketOption::RecvBuffer(8000)));
    let mut edge = 0;
    let mut at = 1u32;
    for _ in 0..100 {
        let len = 1 + at * 7 % 600;
        d.rx(&format!("P. {at}:{}({len}) ack 1", at + len));
        at += len;
        let sent = d.run(ms(300));
        for (_, s) in sent {
            let right = s.ack.unwrap() + u32::from(s.win.unwrap());
            assert!(right >= edge, "{s}: the edge was {edge}");
            edge = right;
        }
        if at > edge.saturating_sub(600) {
            break;
        }
    }
    // Full: the window closes and opens by a whole segment only (section 3.8.6.2.2).
    let full = d.stack.sockets().iter().find(|l| l.socket == d.socket).unwrap().recv_queue;
    assert!(full > 4000, "{full}");
    let before = d.take().len();
    d.recv(100);
    assert_eq!((before, d.take().len()), (0, 0), "a window update for 100 octets");
    d.recv(full - 100);
    let update = d.take();
    assert_eq!(update.len(), 1, "one update after everything was read");
    assert!(u32::from(update[0].win.unwrap()) + update[0].ack.unwrap() >= edge + 1460);
}

#[test]
fn data_beyond_the_window_is_cut() {
    let mut d = Dialogue::passive(Setup::default().with(SocketOption::RecvBuffer(3000)));
    let mut at = 1u32;
    for _ in 0..20 {
        d.rx(&format!("P. {at}:{}(500) ack 1", at + 500));
        let Some((_, ack)) = d.run(ms(300)).pop() else { panic!("no ACK") };
        at = ack.ack.unwrap();
    }
    let held = d.stack.sockets().iter().find(|l| l.socket == d.socket).unwrap().recv_queue;
    assert!((1..=6000).contains(&held), "{held} octets held of a buffer of 6000");
    assert!(d.dropped(Drop::TcpBufferFull) + d.dropped(Drop::TcpOutOfWindow) > 0);
    d.recv(held);
}

#[test]
fn acks_wait_40_ms_once_the_quick_ones_are_over() {
    let mut d = open();
    d.set(SocketOption::QuickAck(false));
    d.rx("P. 1:101(100) ack 1");
    d.tx_after(ms(40), ". 1 ack 101");
    // Two full segments are acknowledged at once (RFC 5681 section 4.2).
    d.rx("P. 101:1101(1000) ack 1");
    d.empty();
    d.rx("P. 1101:2101(1000) ack 1");
    d.tx(". 1 ack 2101");
    // An answer carries the ACK.
    d.rx("P. 2101:2201(100) ack 1");
    d.empty();
    d.send(10);
    d.tx("P. 1:11(10) ack 2201");
    d.rx(". 2201 ack 11");
    d.quiet(ms(300));
    // Quick ACKs again.
    d.set(SocketOption::QuickAck(true));
    d.rx("P. 2201:2301(100) ack 11");
    d.tx(". 11 ack 2301");
}

#[test]
fn the_first_segments_are_acknowledged_at_once() {
    let mut d = open();
    for i in 0..8u32 {
        d.rx(&format!("P. {}:{}(100) ack 1", 1 + 100 * i, 101 + 100 * i));
        d.tx(&format!(". 1 ack {}", 101 + 100 * i));
    }
    let mut d = Dialogue::passive(Setup { profile: Profile::rfc(), ..Setup::default() });
    d.rx("P. 1:101(100) ack 1");
    d.tx_after(ms(200), ". 1 ack 101");
}
