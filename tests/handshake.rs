//! Handshakes (RFC 9293 sections 3.5 and 3.10.7, RFC 7323, RFC 2018): options, retries, crossing SYNs, queues.

mod bed;
use bed::*;
use std::time::Duration;

fn listening(setup: Setup) -> Dialogue {
    let mut d = Dialogue::new(setup);
    d.listen();
    d
}

fn connecting(setup: Setup) -> Dialogue {
    let mut d = Dialogue::new(setup);
    d.connect();
    d.tx("S 0");
    d
}

#[test]
fn the_syn_of_linux_offers_everything_in_its_layout() {
    let mut d = Dialogue::new(Setup::default());
    d.connect();
    d.tx("S 0 <mss 1460,sackOK,TS,nop,wscale 7>");
    let mut d = Dialogue::new(Setup { v6: true, ..Setup::default() });
    d.connect();
    d.tx("S 0 <mss 1440,sackOK,TS,nop,wscale 7>");
    let mut d = Dialogue::new(Setup { profile: Profile::freebsd(), ..Setup::default() });
    d.connect();
    let seg = &d.take()[0];
    assert!(seg.to_string().contains("<mss 1460,nop,wscale 6,sackOK,TS"), "{seg}");
}

#[test]
fn a_syn_ack_answers_only_what_was_offered() {
    for (syn, answer) in [
        ("<>", "<mss 1460>"),
        ("<mss 1000>", "<mss 1460>"),
        ("<mss 1000,nop,wscale 3>", "<mss 1460,nop,wscale 7>"),
        ("<mss 1000,nop,nop,sackOK>", "<mss 1460,nop,nop,sackOK>"),
        ("<mss 1000,nop,nop,TS val 5 ecr 0>", "<mss 1460,nop,nop,TS val * ecr 5>"),
        ("<mss 1000,sackOK,TS val 5 ecr 0,nop,wscale 3>", "<mss 1460,sackOK,TS val * ecr 5,nop,wscale 7>"),
        ("<unknown 99,mss 1000>", "<mss 1460>"),
        ("<mss 1000,eol,sackOK>", "<mss 1460>"),
    ] {
        let mut d = listening(Setup::default());
        d.rx(&format!("S 0 {syn}"));
        d.tx(&format!("S. 0 ack 1 {answer}"));
    }
}

#[test]
fn segments_are_as_large_as_the_peer_takes() {
    for (syn, v6, segment) in
        [("<>", false, 536), ("<>", true, 1220), ("<mss 700>", false, 700), ("<mss 9000>", false, 1460)]
    {
        let mut d = Dialogue::passive(Setup { syn, v6, ..Setup::default() });
        d.send(2000);
        assert_eq!(d.take()[0].len, segment, "{syn}");
    }
    // Timestamps take 12 octets of each segment (RFC 6691).
    let mut d = Dialogue::passive(Setup { syn: "<mss 1000,nop,nop,TS val 1 ecr 0>", ..Setup::default() });
    d.send(2000);
    assert_eq!(d.take()[0].len, 988);
    // A peer cannot make us send one octet at a time (CVE-2019-11479).
    let mut d = Dialogue::passive(Setup { syn: "<mss 1>", ..Setup::default() });
    d.send(100);
    assert_eq!(d.take()[0].len, 48);
}

#[test]
fn windows_are_scaled_only_after_the_handshake_and_only_if_both_offer_it() {
    let mut d = Dialogue::passive(Setup { syn: "<mss 1000,nop,wscale 2>", win: 1000, ..Setup::default() });
    d.send(9000);
    assert_eq!(d.take().iter().map(|s| s.len).sum::<usize>(), 4000, "1000 << 2");
    let mut d = Dialogue::passive(Setup { syn: "<mss 1000>", win: 3000, ..Setup::default() });
    d.send(9000);
    assert_eq!(d.take().iter().map(|s| s.len).sum::<usize>(), 3000);
    // RFC 7323 section 2.3: more than 14 counts as 14.
    let mut d = Dialogue::passive(Setup { syn: "<mss 1000,nop,wscale 255>", win: 1, ..Setup::default() });
    d.send(12_000);
    assert_eq!(d.take().iter().map(|s| s.len).sum::<usize>(), 10_000, "the initial window of ten segments");
}

#[test]
fn a_syn_is_sent_seven_times_in_127_seconds() {
    let mut d = connecting(Setup::default());
    for wait in [1, 2, 4, 8, 16, 32] {
        d.tx_after(secs(wait), "S 0 win 64240");
    }
    let began = d.now;
    d.quiet(secs(65));
    assert_eq!((d.state(), d.error()), (State::Closed, Some(Errno::ETIMEDOUT)));
    let ended = d.events.iter().rev().find_map(|e| match e {
        wirestack::Event::Tcp(t) => Some(t.at),
        _ => None,
    });
    assert_eq!(ended.unwrap().since(began).as_secs(), 64);
}

#[test]
fn tcp_syncnt_bounds_the_retries() {
    let mut d = connecting(Setup::default().with(SocketOption::SynCount(1)));
    d.tx_after(secs(1), "S 0");
    d.quiet(secs(3));
    assert_eq!(d.error(), Some(Errno::ETIMEDOUT));
}

#[test]
fn a_syn_ack_is_sent_six_times_in_63_seconds() {
    let mut d = listening(Setup::default());
    d.rx("S 0 <mss 1000>");
    d.tx("S. 0 ack 1");
    for wait in [1, 2, 4, 8, 16] {
        d.tx_after(secs(wait), "S. 0 ack 1");
    }
    assert_eq!(d.stack.usage().half_open, 1);
    d.quiet(secs(33));
    assert_eq!(d.stack.usage().half_open, 0);
    d.rx(". 1 ack 1");
    d.tx("R 1");
}

#[test]
fn a_repeated_syn_gets_the_same_syn_ack() {
    let mut d = listening(Setup::default());
    d.rx("S 0 <mss 1000>");
    d.tx("S. 0 ack 1");
    d.rx("S 0 <mss 1000>");
    d.tx("S. 0 ack 1");
    assert_eq!(d.stack.usage().half_open, 1);
}

#[test]
fn simultaneous_open_ends_with_the_syn_ack_of_the_other() {
    let mut d = connecting(Setup::default());
    d.rx("S 0 <mss 1000>");
    d.tx("S. 0 ack 1 <mss 1460>");
    assert_eq!(d.state(), State::SynReceived);
    // RFC 9293 figure 8: both get a SYN-ACK in SYN-RECEIVED, and that is the ACK they wait for.
    d.rx("S. 0 ack 1 <mss 1000>");
    d.take();
    assert_eq!(d.state(), State::Established);
    d.send(10);
    d.tx("P. 1:11(10) ack 1");
}

#[test]
fn simultaneous_open_with_a_lost_syn_ack() {
    let mut d = connecting(Setup::default());
    d.rx("S 0 <mss 1000>");
    d.tx("S. 0 ack 1");
    d.tx_after(secs(1), "S. 0 ack 1");
    d.rx(". 1 ack 1");
    assert_eq!(d.state(), State::Established);
}

#[test]
fn an_ack_of_something_else_in_syn_sent_is_refused() {
    let mut d = connecting(Setup::default());
    for ack in [0, 2, 5] {
        d.rx(&format!("S. 0 ack {ack}"));
        d.tx(&format!("R {ack}"));
        assert_eq!(d.state(), State::SynSent);
    }
    // A half-open connection of the peer's (section 3.5.1, figure 9): its ACK gets a RST, then our SYN is taken.
    d.rx(". 100 ack 300");
    d.tx("R 300");
    assert_eq!(d.state(), State::SynSent);
}

#[test]
fn a_rst_in_syn_sent_counts_only_with_the_ack_of_our_syn() {
    let mut d = connecting(Setup::default());
    d.rx("R 0");
    d.rx("R. 0 ack 0");
    d.rx("R. 0 ack 2");
    assert_eq!(d.state(), State::SynSent);
    d.rx("R. 0 ack 1");
    assert_eq!((d.state(), d.error()), (State::Closed, Some(Errno::ECONNREFUSED)));
}

#[test]
fn the_last_ack_may_carry_data_and_a_fin() {
    let mut d = listening(Setup::default());
    d.rx("S 0 <mss 1000>");
    d.tx("S. 0 ack 1");
    d.rx("FP. 1:101(100) ack 1");
    d.tx(". 1 ack 102");
    d.accept();
    d.recv(100);
    assert_eq!(d.try_recv(1, MsgFlags::empty()), Ok(vec![]));
    assert_eq!(d.state(), State::CloseWait);
}

#[test]
fn a_repeated_syn_ack_is_answered_when_the_last_ack_was_lost() {
    let mut d = Dialogue::active(Setup::default());
    d.rx("S. 0 ack 1 <mss 1000>");
    d.tx(". 1 ack 1");
    assert_eq!(d.state(), State::Established);
}

#[test]
fn a_syn_to_nobody_is_refused_and_a_rst_is_not() {
    let mut d = Dialogue::new(Setup::default());
    d.rx("S 0 <mss 1000>");
    d.tx("R. 0 ack 1");
    d.rx(". 5 ack 7");
    d.tx("R 7");
    d.rx("F 5");
    d.tx("R. 0 ack 6");
    d.rx("R. 0 ack 1");
    d.quiet(secs(1));
}

#[test]
fn what_a_listener_does_not_take() {
    let mut d = listening(Setup::default());
    d.rx("0 0");
    d.rx("F 0");
    d.rx("SF 0");
    d.rx("R 0");
    d.rx("SR 0");
    d.rx(". 0 ack 9");
    d.tx("R 9");
    d.rx("S. 0 ack 9");
    d.tx("R 9");
    assert_eq!(d.stack.usage().half_open, 0);
    // A SYN with ECN flags is a SYN (RFC 3168 section 6.1.1).
    d.rx("SEW 0 <mss 1000>");
    d.tx("S. 0 ack 1");
}

/// Another client at the same listener: its port, and what it needs to be remembered.
fn client(d: &mut Dialogue, port: u16) -> u32 {
    d.peer.set_port(port);
    d.iss = None;
    d.rx("S 0 <mss 1000>");
    d.tx("S. 0 ack 1");
    d.iss.unwrap()
}

fn switch(d: &mut Dialogue, port: u16, iss: u32) {
    d.peer.set_port(port);
    d.iss = Some(iss);
}

#[test]
fn with_a_full_accept_queue_the_last_ack_is_ignored_and_the_syn_ack_comes_again() {
    let mut d = listening(Setup { backlog: 1, ..Setup::default() });
    let a = client(&mut d, 5001);
    d.rx(". 1 ack 1");
    let b = client(&mut d, 5002);
    let c = client(&mut d, 5003);
    switch(&mut d, 5002, b);
    d.rx(". 1 ack 1");
    // Two wait: one more than the backlog, as in Linux.
    switch(&mut d, 5003, c);
    d.rx(". 1 ack 1");
    assert_eq!(d.dropped(Drop::TcpAcceptQueueFull), 1);
    assert_eq!(d.stack.usage().half_open, 1);
    d.tx_after(secs(1), "S. 0 ack 1");
    // A fourth is not even heard.
    d.peer.set_port(5004);
    d.rx("S 0");
    assert_eq!(d.dropped(Drop::TcpListenBacklog), 1);
    switch(&mut d, 5001, a);
    d.accept();
    switch(&mut d, 5003, c);
    d.rx(". 1 ack 1");
    assert_eq!(d.state(), State::Established);
    // In the order in which they were completed.
    for port in [5002, 5003] {
        let (_, peer) = d.stack.accept(d.now, d.listener.unwrap()).unwrap();
        assert_eq!(peer.port(), port);
    }
    assert_eq!(d.stack.accept(d.now, d.listener.unwrap()), Err(Errno::EAGAIN));
}

#[test]
fn a_connection_reset_before_accept_is_accepted_and_fails_then() {
    let mut d = listening(Setup::default());
    d.rx("S 0 <mss 1000>");
    d.tx("S. 0 ack 1");
    d.rx(". 1 ack 1");
    d.rx("R 1");
    d.accept();
    assert_eq!(d.try_recv(1, MsgFlags::empty()), Err(Errno::ECONNRESET));
    d.close();
    assert_eq!(d.stack.usage().connections, 0);
}

#[test]
fn closing_a_listener_resets_what_was_not_accepted() {
    let mut d = listening(Setup::default());
    d.rx("S 0 <mss 1000>");
    d.tx("S. 0 ack 1");
    d.rx(". 1 ack 1");
    let listener = d.listener.unwrap();
    d.stack.close(d.now, listener).unwrap();
    d.pump();
    d.tx("R. 1 ack 1");
    assert_eq!((d.stack.usage().connections, d.stack.usage().ports), (0, 0));
}

#[test]
fn sequence_numbers_wrap() {
    for iss in [0xffff_ffff, 0xffff_fff0, 0x7fff_ffff, 0x8000_0000] {
        for active in [false, true] {
            let setup = Setup { iss: Some(iss), peer_iss: 0xffff_fe00, ..Setup::sack() };
            let mut d = if active { Dialogue::active(setup) } else { Dialogue::passive(setup) };
            assert!(d.iss.unwrap().wrapping_sub(iss) < 4, "{:x}", d.iss.unwrap());
            d.send(3000);
            d.tx(". 1:1001(1000) ack 1");
            d.tx(". 1001:2001(1000) ack 1");
            d.tx("P. 2001:3001(1000) ack 1");
            d.rx(". 1 ack 3001");
            // Out of order across the wrap of the peer.
            d.rx("P. 501:1001(500) ack 3001");
            d.tx(". 3001 ack 1 <nop,nop,sack 501:1001>");
            d.rx("P. 1:501(500) ack 3001");
            d.tx(". 3001 ack 1001 <>");
            d.recv(1000);
            d.close();
            d.tx("F. 3001 ack 1001");
            d.rx("F. 1001 ack 3002");
            d.tx(". 3002 ack 1002");
            assert_eq!(d.state(), State::TimeWait);
        }
    }
}

#[test]
fn hard_icmp_errors_end_an_attempt_and_soft_ones_explain_its_timeout() {
    use etherparse::Icmpv4Type::DestinationUnreachable;
    use etherparse::icmpv4::DestUnreachableHeader as U;
    let mut d = connecting(Setup::default());
    d.rx_icmp_about(0, DestinationUnreachable(U::Port));
    assert_eq!((d.state(), d.error()), (State::Closed, Some(Errno::ECONNREFUSED)));

    let mut d = connecting(Setup::default().with(SocketOption::SynCount(1)));
    d.rx_icmp_about(0, DestinationUnreachable(U::Host));
    assert_eq!(d.state(), State::SynSent);
    d.tx_after(secs(1), "S 0");
    d.quiet(secs(3));
    assert_eq!(d.error(), Some(Errno::EHOSTUNREACH));

    // Not about anything in flight: forged (RFC 5927).
    let mut d = connecting(Setup::default());
    d.rx_icmp_about(77, DestinationUnreachable(U::Port));
    assert_eq!(d.state(), State::SynSent);
    assert_eq!(d.dropped(Drop::IcmpQuoteMismatch), 1);

    // An established connection survives every one of them (RFC 9293 MUST-56, RFC 5461).
    let mut d = Dialogue::active(Setup::default());
    d.send(100);
    d.tx("P. 1:101(100) ack 1");
    for e in [U::Port, U::Protocol, U::Host, U::Network] {
        d.rx_icmp_about(1, DestinationUnreachable(e));
    }
    assert_eq!(d.state(), State::Established);
}

#[test]
fn too_big_makes_segments_smaller_and_sends_them_again() {
    use etherparse::Icmpv4Type::DestinationUnreachable;
    use etherparse::icmpv4::DestUnreachableHeader::FragmentationNeeded;
    let mut d = Dialogue::active(Setup { syn: "<mss 1460>", ..Setup::default() });
    d.send(1460);
    d.tx("P. 1:1461(1460) ack 1");
    d.rx_icmp_about(1, DestinationUnreachable(FragmentationNeeded { next_hop_mtu: 1000 }));
    d.tx(". 1:961(960) ack 1");
    d.tx("P. 961:1461(500) ack 1");
    // Larger than what is known: nothing to learn.
    d.rx_icmp_about(1, DestinationUnreachable(FragmentationNeeded { next_hop_mtu: 1400 }));
    // Absurdly small (RFC 791: 68 is the least; Linux keeps 552).
    d.rx_icmp_about(1, DestinationUnreachable(FragmentationNeeded { next_hop_mtu: 1 }));
    d.run(Duration::from_millis(250));
    d.rx(". 1 ack 1461");
    d.send(1000);
    let first = d.take()[0].len;
    assert!((512..=960).contains(&first), "{first}");
}
