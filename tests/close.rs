//! Ends of connections (RFC 9293 sections 3.6 and 3.10.4, RFC 1337, RFC 6191, tcp(7), socket(7)).

mod bed;
use bed::*;

fn open() -> Dialogue {
    Dialogue::passive(Setup::default())
}

#[test]
fn half_close_by_us() {
    let mut d = open();
    d.shutdown(Shutdown::Write);
    d.tx("F. 1 ack 1");
    assert_eq!(d.try_send(1, MsgFlags::empty()), Err(Errno::EPIPE));
    d.rx(". 1 ack 2");
    assert_eq!(d.state(), State::FinWait2);
    // A socket holds it: it may stay for ever, and the peer may send.
    d.quiet(secs(3600));
    d.rx("P. 1:1001(1000) ack 2");
    d.tx(". 2 ack 1001");
    d.recv(1000);
    d.rx("F. 1001 ack 2");
    d.tx(". 2 ack 1002");
    assert_eq!(d.state(), State::TimeWait);
    assert_eq!(d.try_recv(1, MsgFlags::empty()), Ok(vec![]));
}

#[test]
fn half_close_by_the_peer() {
    let mut d = open();
    d.rx("F. 1 ack 1");
    d.tx(". 1 ack 2");
    assert_eq!(d.try_recv(1, MsgFlags::empty()), Ok(vec![]));
    d.send(1000);
    d.tx("P. 1:1001(1000) ack 2");
    d.rx(". 2 ack 1001");
    d.close();
    d.tx("F. 1001 ack 2");
    assert_eq!(d.state(), State::LastAck);
    d.rx(". 2 ack 1002");
    assert_eq!(d.stack.usage().connections + d.stack.usage().time_wait, 0);
}

#[test]
fn data_written_before_the_close_goes_before_the_fin() {
    let mut d = open();
    d.send(1500);
    d.close();
    d.tx(". 1:1001(1000) ack 1");
    d.tx("P. 1001:1501(500) ack 1");
    d.tx("F. 1501 ack 1");
    d.rx(". 1 ack 1502");
    assert_eq!(d.state(), State::FinWait2);
}

#[test]
fn simultaneous_close() {
    let mut d = open();
    d.close();
    d.tx("F. 1 ack 1");
    d.rx("F. 1 ack 1");
    d.tx(". 2 ack 2");
    assert_eq!(d.state(), State::Closing);
    d.rx(". 2 ack 2");
    assert_eq!(d.state(), State::TimeWait);
}

#[test]
fn simultaneous_close_with_a_lost_ack() {
    let mut d = open();
    d.close();
    d.tx("F. 1 ack 1");
    d.rx("F. 1 ack 1");
    d.tx(". 2 ack 2");
    d.tx_after(ms(200), "F. 1 ack 2");
    // The peer's FIN again, with the ACK of ours.
    d.rx("F. 1 ack 2");
    d.take();
    assert_eq!(d.state(), State::TimeWait);
}

#[test]
fn a_fin_with_the_ack_of_ours_goes_straight_to_time_wait() {
    let mut d = open();
    d.close();
    d.tx("F. 1 ack 1");
    d.rx("F. 1 ack 2");
    d.tx(". 2 ack 2");
    assert_eq!(d.state(), State::TimeWait);
}

#[test]
fn unread_data_at_the_close_resets() {
    let mut d = open();
    d.rx("P. 1:101(100) ack 1");
    d.tx(". 1 ack 101");
    d.close();
    d.tx("R. 1 ack 101");
    assert_eq!(d.stack.usage().connections, 0);
}

#[test]
fn data_after_the_close_resets() {
    let mut d = open();
    d.close();
    d.tx("F. 1 ack 1");
    d.rx(". 1 ack 2");
    d.rx("P. 1:101(100) ack 2");
    d.tx("R 2");
    assert_eq!(d.state(), State::Closed);
    assert_eq!(d.dropped(Drop::TcpAfterClose), 1);
    // A segment of old data does not.
    let mut d = open();
    d.rx("P. 1:101(100) ack 1");
    d.tx(". 1 ack 101");
    d.recv(100);
    d.close();
    d.tx("F. 1 ack 101");
    d.rx(". 101 ack 2");
    d.rx("P. 1:101(100) ack 2");
    d.tx(". 2 ack 101");
    assert_eq!(d.state(), State::FinWait2);
}

#[test]
fn linger_zero_resets() {
    let mut d = Dialogue::passive(Setup::default().with(SocketOption::Linger(Some(secs(0)))));
    d.send(100);
    d.tx("P. 1:101(100) ack 1");
    d.close();
    d.tx("R. 101 ack 1");
    assert_eq!(d.stack.usage().connections, 0);
}

#[test]
fn linger_tells_whether_anything_is_unacknowledged() {
    let mut d = Dialogue::passive(Setup::default().with(SocketOption::Linger(Some(secs(5)))));
    d.send(100);
    d.tx("P. 1:101(100) ack 1");
    assert!(d.stack.lingers(d.id()));
    d.shutdown(Shutdown::Write);
    d.tx("F. 101 ack 1");
    d.rx(". 1 ack 101");
    assert!(d.stack.lingers(d.id()), "the FIN is not acknowledged");
    d.rx(". 1 ack 102");
    assert!(!d.stack.lingers(d.id()));
}

/// In TIME-WAIT after closing first; the peer's FIN had sequence number 1.
fn time_wait() -> Dialogue {
    let mut d = open();
    d.close();
    d.tx("F. 1 ack 1");
    d.rx("F. 1 ack 2");
    d.tx(". 2 ack 2");
    d
}

#[test]
fn time_wait_lasts_a_minute() {
    let mut d = time_wait();
    d.quiet(ms(59_900));
    assert_eq!((d.state(), d.stack.usage().time_wait), (State::TimeWait, 1));
    d.quiet(ms(200));
    assert_eq!(d.stack.usage().time_wait, 0);
    d.rx("F. 1 ack 2");
    d.tx("R 2");
}

#[test]
fn the_rfc_keeps_time_wait_four_minutes() {
    let mut d = Dialogue::passive(Setup { profile: Profile::rfc(), ..Setup::default() });
    d.close();
    d.tx("F. 1 ack 1");
    d.rx("F. 1 ack 2");
    d.tx(". 2 ack 2");
    d.quiet(secs(239));
    assert_eq!(d.stack.usage().time_wait, 1);
    d.quiet(secs(2));
    assert_eq!(d.stack.usage().time_wait, 0);
}

#[test]
fn the_peers_fin_again_restarts_time_wait() {
    let mut d = time_wait();
    d.quiet(secs(50));
    d.rx("F. 1 ack 2");
    d.tx(". 2 ack 2");
    d.quiet(secs(50));
    assert_eq!(d.stack.usage().time_wait, 1);
    d.quiet(secs(11));
    assert_eq!(d.stack.usage().time_wait, 0);
}

#[test]
fn a_rst_does_not_assassinate_time_wait() {
    let mut d = time_wait();
    d.rx("R. 2 ack 2");
    d.rx("R 2");
    assert_eq!(d.dropped(Drop::TcpRstTimeWait), 2);
    // Nor does old data or an old SYN (RFC 1337 sections 2 and 3): an ACK answers.
    d.rx("P. 0:1(1) ack 2");
    d.tx(". 2 ack 2");
    assert_eq!(d.stack.usage().time_wait, 1);
}

#[test]
fn a_new_syn_reuses_time_wait_and_an_old_one_does_not() {
    let mut d = time_wait();
    d.rx("S 1 <mss 1000>");
    d.tx(". 2 ack 2");
    assert_eq!(d.stack.usage().time_wait, 1);
    d.rx("S 100000 <mss 1000>");
    let answer = d.take();
    assert_eq!(answer.len(), 1);
    assert_eq!(answer[0].ack, Some(100_001));
    // The new ISS lies beyond what the old connection used (RFC 1122 section 4.2.2.13).
    assert!((answer[0].seq as i32) > 2, "{}", answer[0]);
    assert_eq!((d.stack.usage().time_wait, d.stack.usage().half_open), (0, 1));
}

#[test]
fn an_orphan_waits_a_minute_in_fin_wait_2() {
    let mut d = open();
    d.close();
    d.tx("F. 1 ack 1");
    d.rx(". 1 ack 2");
    d.quiet(secs(59));
    assert_eq!(d.state(), State::FinWait2);
    d.quiet(secs(2));
    assert_eq!(d.stack.usage().connections, 0);
    // TCP_LINGER2 shortens it.
    let mut d = Dialogue::passive(Setup::default().with(SocketOption::FinWait2(Some(secs(5)))));
    d.close();
    d.tx("F. 1 ack 1");
    d.rx(". 1 ack 2");
    d.quiet(secs(6));
    assert_eq!(d.stack.usage().connections, 0);
}

#[test]
fn an_orphan_that_is_not_answered_gives_up_after_eight_retries() {
    let mut d = open();
    d.close();
    d.tx("F. 1 ack 1");
    for n in 0..8 {
        d.tx_after(ms(200 << n), "F. 1 ack 1");
    }
    d.quiet(secs(60));
    assert_eq!(d.stack.usage().connections, 0);
}

#[test]
fn a_fin_out_of_order_waits_for_what_is_before_it() {
    let mut d = open();
    d.rx("F. 101:201(100) ack 1");
    d.tx(". 1 ack 1");
    assert_eq!(d.state(), State::Established);
    d.rx("P. 1:101(100) ack 1");
    d.tx(". 1 ack 202");
    assert_eq!(d.state(), State::CloseWait);
    d.recv(200);
    assert_eq!(d.try_recv(1, MsgFlags::empty()), Ok(vec![]));
}

#[test]
fn data_after_the_peers_fin_is_not_read() {
    let mut d = open();
    d.rx("F. 1 ack 1");
    d.tx(". 1 ack 2");
    d.rx("P. 2:102(100) ack 1");
    d.tx(". 1 ack 2");
    assert_eq!(d.dropped(Drop::TcpReceiveClosed), 1);
    assert_eq!(d.try_recv(10, MsgFlags::empty()), Ok(vec![]));
}

#[test]
fn a_fin_beyond_the_window_is_not_taken() {
    let mut d = Dialogue::passive(Setup::default().with(SocketOption::RecvBuffer(4000)));
    let window = {
        d.send(1);
        let seg = &d.take()[0];
        d.rx(". 1 ack 2");
        u32::from(seg.win.unwrap())
    };
    // Its data fills the window and goes on: what is beyond is cut, and the FIN with it.
    d.rx(&format!("F. 1:{}({}) ack 2", window + 101, window + 100));
    d.take();
    assert_eq!(d.state(), State::Established);
}

#[test]
fn a_reset_tells_the_application() {
    for (state, error) in [(State::Established, Errno::ECONNRESET), (State::CloseWait, Errno::EPIPE)] {
        let mut d = open();
        if state == State::CloseWait {
            d.rx("F. 1 ack 1");
            d.tx(". 1 ack 2");
            d.rx("R 2");
        } else {
            d.rx("R 1");
        }
        assert_eq!(d.state(), State::Closed);
        assert_eq!(d.try_send(1, MsgFlags::empty()), Err(error));
        assert_eq!(d.try_send(1, MsgFlags::empty()), Err(Errno::EPIPE));
    }
}
