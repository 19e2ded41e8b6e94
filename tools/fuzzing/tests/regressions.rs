//! What went wrong once, told with the peers of the stage.

use std::time::Duration;
use wirestack::Instant;
use wirestack::socket::{MsgFlags, Readiness, SocketOption};
use wirestack::tcp::State;
use wirestack_fuzzing::packet::{ACK, FIN, SYN};
use wirestack_fuzzing::stage::{Setting, Stage};

/// One connection of the cast, and its peer is number 0.
fn stage(scene: u16) -> Stage {
    let mut stage = Stage::new(Setting { look: 0, cast: 1 << scene, irs: 1 });
    stage.play();
    assert_eq!(stage.peers.len(), 1);
    stage
}

/// Lets time go by with a peer that answers everything it hears with a window of zero.
fn pass_with_a_shut_window(stage: &mut Stage, time: Duration) {
    let until = stage.now + time;
    while let Some(at) = stage.stack.poll_timeout().filter(|at| *at <= until) {
        let before = stage.stack.stats().count.tcp_zero_window_probes;
        stage.pass(at.since(stage.now).max(Duration::from_nanos(1)));
        if stage.stack.stats().count.tcp_zero_window_probes > before {
            stage.segment(0, |t| t.window = 0);
            stage.step();
        }
    }
    stage.pass(until.since(stage.now));
}

/// RFC 9293 section 3.8.6.1: the interval between probes grows exponentially, and an answer that leaves
/// the window shut does not begin it anew.
#[test]
fn zero_window_probes_come_every_rto_if_the_peer_answers_them() {
    let mut stage = stage(13);
    pass_with_a_shut_window(&mut stage, Duration::from_secs(3600));
    let probes = stage.stack.stats().count.tcp_zero_window_probes;
    assert!((25..60).contains(&probes), "{probes} probes in an hour");
    assert_eq!(stage.stack.usage().connections, 1, "MUST-37: as long as it answers it is alive");
}

#[test]
fn a_peer_that_answers_and_never_opens_its_window_holds_an_orphan_for_ever() {
    let mut stage = stage(13);
    let socket = stage.sockets.pop().unwrap();
    stage.stack.close(stage.now, socket).unwrap();
    pass_with_a_shut_window(&mut stage, Duration::from_secs(3600));
    assert_eq!(stage.stack.usage().connections, 0);
}

#[test]
fn connections_reopened_out_of_time_wait_leave_an_entry_each_as_long_as_an_older_record_lives() {
    let mut stage = Stage::new(Setting { look: 0, cast: 1 << 11 | 1 << 4, irs: 1 });
    stage.play();
    assert_eq!(stage.stack.usage().time_wait, 1);
    // The half-open peer: it is established, closed, and comes again, many times.
    let p = stage.peers.iter().position(|p| p.local.port() == 80 && p.remote.port() == 1004).unwrap();
    let listener = stage.sockets[0];
    for round in 0..100u32 {
        stage.send(p, ACK, &[]);
        let (socket, _) = stage.stack.accept(stage.now, listener).unwrap();
        stage.stack.close(stage.now, socket).unwrap();
        stage.step();
        stage.send(p, ACK, &[]);
        stage.send(p, ACK | FIN, &[]);
        assert_eq!(stage.stack.usage().time_wait, 2, "round {round}");
        stage.now = Instant::from_millis(stage.now.as_millis() + 10);
        let peer = &mut stage.peers[p];
        peer.seq = peer.seq.wrapping_add(100_000);
        peer.nxt = 0;
        stage.send(p, SYN, &[]);
        let there = stage.stack.sockets();
        assert!(there.iter().any(|s| s.state == State::SynReceived), "round {round}: {there:?}");
    }
}

/// RFC 9293 section 3.10.7.3: other controls are for after ESTABLISHED.
#[test]
fn a_syn_with_a_fin_in_syn_sent_led_to_close_wait_with_our_syn_not_acknowledged() {
    let mut stage = stage(3);
    stage.send(0, SYN, &[]);
    let simultaneous = stage.stack.sockets().iter().any(|s| s.state == State::SynReceived);
    assert!(simultaneous);
    let mut stage = self::stage(3);
    stage.segment(0, |t| t.flags = SYN | FIN);
    stage.step();
    let there = stage.stack.sockets();
    assert!(there.iter().any(|s| s.state == State::SynReceived), "{there:?}");
    assert!(there.iter().all(|s| s.state != State::CloseWait));
}

/// The check of every frame that is sent says it: `check::frame`.
#[test]
fn the_urgent_pointer_of_a_retransmitted_super_segment_stood_in_each_of_its_segments() {
    let mut stage = stage(13);
    let socket = *stage.sockets.last().unwrap();
    stage.segment(0, |_| {});
    stage.step();
    stage.stack.send(stage.now, socket, b"!", MsgFlags::OOB).unwrap();
    stage.step();
    stage.pass(Duration::from_secs(2));
    let una = stage.peers[0].una;
    let before = stage.stack.stats().count.tcp_retrans_segs;
    for acked in [1448, 2896] {
        stage.segment(0, |t| t.ack = una.wrapping_add(acked));
        stage.step();
    }
    assert!(stage.stack.stats().count.tcp_retrans_segs >= before + 2);
}

#[test]
fn a_reader_with_a_low_water_mark_above_the_receive_buffer_was_never_woken() {
    let mut stage = stage(0);
    let socket = *stage.sockets.last().unwrap();
    for option in [SocketOption::RecvBuffer(1), SocketOption::RecvLowAt(1 << 20)] {
        stage.stack.set_option(stage.now, socket, option).unwrap();
    }
    stage.send(0, ACK, &[1; 500]);
    assert!(!stage.stack.readiness(socket).unwrap().contains(Readiness::IN), "the window is open still");
    for _ in 0..200 {
        if stage.peers[0].window == 0 {
            break;
        }
        stage.send(0, ACK, &[1; 500]);
    }
    assert_eq!(stage.peers[0].window, 0);
    assert!(stage.stack.readiness(socket).unwrap().contains(Readiness::IN));
}
