//! Urgent data (RFC 9293 section 3.8.5, RFC 6093; tcp(7), send(2), recv(2), sockatmark(3)).

mod bed;
use bed::segment::Seg;
use bed::*;

fn open() -> Dialogue {
    Dialogue::passive(Setup::default())
}

/// The octet of the stream with this sequence number.
fn octet(seq: u64) -> Vec<u8> {
    stream(seq - 1, 1)
}

#[test]
fn the_pointer_counts_to_the_octet_after_the_urgent_one() {
    let mut d = open();
    d.send_flags(3, MsgFlags::OOB);
    d.tx("PU. 1:4(3) ack 1 urg 3");
    d.rx(". 1 ack 4");
    d.send(2);
    d.tx("P. 4:6(2) ack 1");
}

#[test]
fn the_last_octet_is_read_out_of_band_and_reads_stop_at_the_mark() {
    let mut d = open();
    d.rx("PU. 1:11(10) ack 1 urg 10");
    d.tx(". 1 ack 11");
    d.rx("P. 11:21(10) ack 1");
    d.take();
    let id = d.id();
    assert!(d.stack.readiness(id).unwrap().contains(Readiness::PRI));
    assert_eq!(d.stack.at_mark(id), Ok(false));
    assert_eq!(d.try_recv(100, MsgFlags::empty()), Ok(stream(0, 9)));
    assert_eq!(d.stack.at_mark(id), Ok(true));
    assert_eq!(d.try_recv(1, MsgFlags::OOB | MsgFlags::PEEK), Ok(octet(10)));
    assert_eq!(d.try_recv(1, MsgFlags::OOB), Ok(octet(10)));
    assert_eq!(d.try_recv(1, MsgFlags::OOB), Err(Errno::EINVAL));
    assert_eq!(d.try_recv(100, MsgFlags::empty()), Ok(stream(10, 10)));
    assert_eq!(d.stack.at_mark(id), Ok(false));
}

#[test]
fn in_line_it_stays_in_the_stream() {
    let mut d = Dialogue::passive(Setup::default().with(SocketOption::OobInline(true)));
    d.rx("PU. 1:11(10) ack 1 urg 10");
    d.tx(". 1 ack 11");
    assert_eq!(d.try_recv(1, MsgFlags::OOB), Err(Errno::EINVAL));
    assert_eq!(d.try_recv(100, MsgFlags::empty()), Ok(stream(0, 9)));
    assert_eq!(d.stack.at_mark(d.id()), Ok(true));
    assert_eq!(d.try_recv(100, MsgFlags::empty()), Ok(octet(10)));
}

#[test]
fn announced_before_it_comes() {
    let mut d = open();
    d.rx("U. 1 ack 1 urg 5");
    d.take();
    assert_eq!(d.try_recv(1, MsgFlags::OOB), Err(Errno::EAGAIN));
    d.rx("P. 1:11(10) ack 1");
    d.take();
    assert_eq!(d.try_recv(1, MsgFlags::OOB), Ok(octet(5)));
    assert_eq!(d.try_recv(100, MsgFlags::empty()), Ok(stream(0, 4)));
    assert_eq!(d.try_recv(100, MsgFlags::empty()), Ok(stream(5, 5)));
}

#[test]
fn a_newer_mark_replaces_an_older_and_an_older_does_not_come_back() {
    let mut d = open();
    d.rx("PU. 1:6(5) ack 1 urg 3");
    d.take();
    d.rx("PU. 6:11(5) ack 1 urg 5");
    d.take();
    assert_eq!(d.try_recv(1, MsgFlags::OOB), Ok(octet(10)));
    // Backwards, repeated, in what was read: nothing changes.
    d.rx_seg(&Seg {
        flags: Seg::parse("U. 1").flags,
        urg: Some(3),
        ..Seg::parse("PU. 1:6(5) ack 1 win 65535")
    });
    d.take();
    assert_eq!(d.try_recv(1, MsgFlags::OOB), Err(Errno::EINVAL));
    assert_eq!(d.try_recv(100, MsgFlags::empty()), Ok(stream(0, 9)));
}

#[test]
fn absurd_pointers_change_nothing_for_the_stream() {
    for urg in [0u16, 1, 10, 11, 12, 1000, 65_535] {
        let mut d = open();
        d.rx(&format!("PU. 1:11(10) ack 1 urg {urg}"));
        d.take();
        d.rx("P. 11:21(10) ack 1");
        d.take();
        let mut got = Vec::new();
        while let Ok(piece) = d.try_recv(100, MsgFlags::empty()) {
            got.extend(piece);
        }
        let mut wanted = stream(0, 20);
        // The pointer is one past the urgent octet; 0 counts as 1 (Linux).
        let at = usize::from(urg.max(1)) - 1;
        if at < 20 {
            wanted.remove(at);
        }
        assert_eq!(got, wanted, "urg {urg}");
    }
}

#[test]
fn the_flag_in_odd_places() {
    // URG in a SYN, in a FIN, in a RST, after the FIN: it means nothing there, and harms nothing.
    let mut d = Dialogue::new(Setup::default());
    d.listen();
    d.rx("SU 0 urg 5 <mss 1000>");
    d.tx("S. 0 ack 1");
    d.rx("U. 1 ack 1 urg 1");
    d.accept();
    d.rx("FU. 1 ack 1 urg 9");
    d.take();
    assert_eq!(d.state(), State::CloseWait);
    d.rx("U. 2 ack 1 urg 100");
    d.take();
    assert_eq!(d.try_recv(10, MsgFlags::empty()), Ok(vec![]));
    d.rx("RU 2 urg 3");
    assert_eq!(d.state(), State::Closed);
}

#[test]
fn urgent_mode_passes_a_closed_window() {
    // RFC 9293 section 3.8.5: the pointer goes out even where the data may not.
    let mut d = open();
    d.rx(". 1 ack 1 win 0");
    d.send_flags(5, MsgFlags::OOB);
    let sent = d.run(ms(250));
    assert!(!sent.is_empty(), "no probe");
}

#[test]
fn out_of_band_reads_without_urgent_data() {
    let mut d = open();
    assert_eq!(d.try_recv(1, MsgFlags::OOB), Err(Errno::EINVAL));
    d.rx("P. 1:11(10) ack 1");
    d.take();
    assert_eq!(d.try_recv(1, MsgFlags::OOB), Err(Errno::EINVAL));
    d.recv(10);
}
