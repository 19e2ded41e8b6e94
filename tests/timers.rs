//! Retransmission, keep-alive and their ends (RFC 6298, RFC 9293 sections 3.8.3 and 3.8.4, tcp(7)).

mod bed;
use bed::*;
use wirestack::tcp::Timer;

#[test]
fn the_rto_doubles_to_two_minutes_and_gives_up_after_fifteen_retries() {
    let mut d = Dialogue::passive(Setup::default());
    d.send(100);
    d.tx("P. 1:101(100) ack 1");
    let began = d.now;
    for n in 0..15 {
        d.tx_after(ms((200u64 << n).min(120_000)), "P. 1:101(100) ack 1");
    }
    d.quiet(secs(121));
    assert_eq!((d.state(), d.error()), (State::Closed, Some(Errno::ETIMEDOUT)));
    // ip-sysctl, tcp_retries2: 924.6 s.
    let ended = d.events.iter().rev().find_map(|e| match e {
        wirestack::Event::Tcp(t) => Some(t.at),
        _ => None,
    });
    assert_eq!(ended.unwrap().since(began).as_millis() / 100, 9246);
}

#[test]
fn the_rfc_profile_starts_at_one_second() {
    let mut d = Dialogue::passive(Setup { profile: Profile::rfc(), ..Setup::default() });
    d.send(100);
    d.tx("P. 1:101(100) ack 1");
    for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
        d.tx_after(secs(wait), "P. 1:101(100) ack 1");
    }
}

#[test]
fn an_ack_of_something_new_ends_the_backoff() {
    let mut d = Dialogue::passive(Setup::default());
    d.send(2000);
    assert_eq!(d.take().len(), 2);
    d.tx_after(ms(200), ". 1:1001(1000) ack 1");
    d.tx_after(ms(400), ". 1:1001(1000) ack 1");
    d.rx(". 1 ack 1001");
    d.tx("P. 1001:2001(1000) ack 1");
    // Karn's rule forbids a sample of what was sent twice; the timeout stays backed off until there is one
    // (RFC 6298 section 5.7, Linux keeps icsk_backoff until a valid sample).
    let sent = d.run(secs(2));
    let (at, seg) = &sent[0];
    assert_eq!((seg.seq, seg.len), (1001, 1000));
    let wait = at.since(d.now - secs(2)).as_millis();
    assert!((200..=900).contains(&wait), "{wait} ms");
}

#[test]
fn karns_rule_a_retransmitted_segment_gives_no_sample() {
    let mut d = Dialogue::passive(Setup::default());
    d.send(100);
    d.tx("P. 1:101(100) ack 1");
    d.tx_after(ms(200), "P. 1:101(100) ack 1");
    d.quiet(ms(150));
    d.events.clear();
    d.rx(". 1 ack 101");
    assert!(!d.happenings().any(|h| matches!(h, wirestack::event::TcpHappening::Rtt { .. })));
}

#[test]
fn the_user_timeout_ends_it_earlier() {
    let mut d = Dialogue::passive(Setup::default().with(SocketOption::UserTimeout(secs(5))));
    d.send(100);
    d.tx("P. 1:101(100) ack 1");
    d.run(secs(8));
    assert_eq!((d.state(), d.error()), (State::Closed, Some(Errno::ETIMEDOUT)));
}

fn keepalive() -> Dialogue {
    Dialogue::passive(
        Setup::default()
            .with(SocketOption::KeepAlive(true))
            .with(SocketOption::KeepIdle(secs(10)))
            .with(SocketOption::KeepInterval(secs(1)))
            .with(SocketOption::KeepCount(3)),
    )
}

#[test]
fn keepalive_probes_an_idle_peer_and_an_answer_satisfies_it() {
    let mut d = keepalive();
    for _ in 0..5 {
        d.tx_after(secs(10), ". 0 ack 1");
        d.rx(". 1 ack 1");
    }
    assert_eq!(d.stack.stats().count.tcp_keepalive_probes, 5);
}

#[test]
fn keepalive_gives_up_a_dead_peer() {
    let mut d = keepalive();
    d.tx_after(secs(10), ". 0 ack 1");
    d.tx_after(secs(1), ". 0 ack 1");
    d.tx_after(secs(1), ". 0 ack 1");
    d.tx_after(secs(1), "R. 1 ack 1");
    assert_eq!((d.state(), d.error()), (State::Closed, Some(Errno::ETIMEDOUT)));
}

#[test]
fn keepalive_counts_from_the_last_segment_received() {
    let mut d = keepalive();
    d.quiet(secs(6));
    d.rx("P. 1:101(100) ack 1");
    d.tx(". 1 ack 101");
    d.tx_after(secs(10), ". 0 ack 101");
}

#[test]
fn data_in_flight_suspends_keepalive() {
    let mut d = keepalive();
    d.quiet(secs(9));
    d.send(100);
    d.tx("P. 1:101(100) ack 1");
    let sent = d.run(secs(40));
    assert!(sent.iter().all(|(_, s)| s.len == 100), "a probe beside a retransmission: {sent:?}");
    assert_eq!(d.state(), State::Established);
}

#[test]
fn without_the_option_there_is_no_probe() {
    let mut d = Dialogue::passive(Setup::default());
    d.quiet(secs(100_000));
    assert_eq!(d.fired(Timer::KeepAlive), 0);
    // The default is two hours, nine probes, 75 s.
    d.set(SocketOption::KeepAlive(true));
    let sent = d.run(secs(20_000));
    assert_eq!(sent.len(), 10, "nine probes and a RST");
}

#[test]
fn keepalive_answers_a_probe_of_the_peer() {
    let mut d = Dialogue::passive(Setup::default());
    d.rx(". 0 ack 1");
    d.tx(". 1 ack 1");
    // An octet that was read already (the old form, RFC 1122 section 4.2.3.6).
    d.quiet(secs(1));
    d.rx(". 0:1(1) ack 1");
    d.tx(". 1 ack 1");
}
