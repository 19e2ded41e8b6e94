use super::*;
use wirestack::ConnId;
use wirestack::event::RetransmitCause;

/// A dialogue in relative numbers; our sequence numbers wrap in the middle of it.
struct Script {
    ladder: Ladder,
    lines: Vec<String>,
}

const OURS: u32 = u32::MAX - 2000;
const THEIRS: u32 = 700_000;

impl Script {
    fn new(width: usize) -> Self {
        let ladder = Ladder::new(width);
        let lines = vec![ladder.heading("wirestack 10.0.0.2:40000", "kernel 10.0.0.1:7")];
        Self { ladder, lines }
    }

    fn push(&mut self, ms: u64, what: TcpHappening) {
        self.ladder.push(&TcpEvent {
            at: Instant::from_millis(5000 + ms),
            conn: ConnId::default(),
            local: "10.0.0.2:40000".parse().unwrap(),
            remote: "10.0.0.1:7".parse().unwrap(),
            what,
        });
        self.lines.extend(self.ladder.take_lines());
    }

    fn state(&mut self, ms: u64, from: State, to: State) -> &mut Self {
        self.push(ms, TcpHappening::State { from, to });
        self
    }

    fn sent(&mut self, ms: u64, flags: TcpFlags, seq: u32, len: u32, ack: u32) -> &mut Self {
        self.again(ms, flags, seq, len, ack, None)
    }

    fn again(
        &mut self,
        ms: u64,
        flags: TcpFlags,
        seq: u32,
        len: u32,
        ack: u32,
        cause: Option<RetransmitCause>,
    ) -> &mut Self {
        let segment =
            SegmentInfo { seq: Seq(OURS) + seq, len, flags, ack: Seq(THEIRS) + ack, window: 64_240 };
        self.push(ms, TcpHappening::Sent { segment, cause });
        self
    }

    fn received(&mut self, ms: u64, flags: TcpFlags, seq: u32, len: u32, ack: u32) -> &mut Self {
        let segment =
            SegmentInfo { seq: Seq(THEIRS) + seq, len, flags, ack: Seq(OURS) + ack, window: 65_160 };
        self.push(ms, TcpHappening::Received { segment });
        self
    }

    fn picture(mut self) -> String {
        self.lines.extend(self.ladder.finish());
        anstream::adapter::strip_str(&self.lines.join("\n")).to_string()
    }
}

const SYN: TcpFlags = TcpFlags::SYN;
const ACK: TcpFlags = TcpFlags::ACK;
const FIN: TcpFlags = TcpFlags::FIN;

fn handshake(s: &mut Script) -> &mut Script {
    s.state(0, State::Closed, State::SynSent)
        .sent(0, SYN, 0, 0, 0)
        .received(20, SYN | ACK, 0, 0, 1)
        .state(20, State::SynSent, State::Established)
        .sent(20, ACK, 1, 0, 1)
}

#[test]
fn a_life_with_losses_on_both_sides() {
    let mut s = Script::new(100);
    handshake(&mut s);
    for i in 0..10 {
        s.sent(21, ACK, 1 + i * 1448, 1448, 1).received(41, ACK, 1, 0, 1);
    }
    s.again(52, ACK, 1, 1448, 1, Some(RetransmitCause::Rack));
    s.again(53, ACK, 1449, 1448, 1, Some(RetransmitCause::Rack)).received(73, ACK, 1, 0, 14_481);
    s.push(300, TcpHappening::TimerFired { timer: Timer::Retransmit, attempt: 1 });
    s.again(300, ACK, 14_481, 1448, 1, Some(RetransmitCause::Timeout));
    s.push(301, TcpHappening::Undo);
    s.sent(310, FIN | ACK, 15_929, 0, 1).state(310, State::Established, State::FinWait1);
    s.received(330, ACK, 1, 0, 15_930).state(330, State::FinWait1, State::FinWait2);
    for i in [0, 2, 3] {
        s.received(340, ACK, 1 + i * 1448, 1448, 15_930).sent(340, ACK, 15_930, 0, 1449);
    }
    s.received(361, ACK, 1449, 1448, 15_930).sent(361, ACK, 15_930, 0, 5793);
    s.received(370, FIN | ACK, 5793, 0, 15_930);
    s.state(370, State::FinWait2, State::TimeWait).sent(370, ACK, 15_930, 0, 5794);
    insta::assert_snapshot!(s.picture());
}

#[test]
fn a_refused_and_a_reset_connection_at_the_least_width() {
    let mut s = Script::new(10);
    s.state(0, State::Closed, State::SynSent).sent(0, SYN, 0, 0, 0);
    s.again(1000, SYN, 0, 0, 0, Some(RetransmitCause::Syn));
    s.received(1020, TcpFlags::RST | ACK, 0, 0, 1);
    s.push(1020, TcpHappening::Aborted { error: Errno::ECONNREFUSED });
    s.state(1020, State::SynSent, State::Closed);
    let picture = s.picture();
    assert!(picture.lines().all(|l| l.chars().count() == 72), "{picture}");
    insta::assert_snapshot!(picture);
}

#[test]
fn every_line_is_as_wide_as_asked() {
    for width in 72..=120 {
        let mut s = Script::new(width);
        handshake(&mut s).sent(30, ACK | FIN, 1, u32::MAX, 1).sent(31, ACK, 4, 1, 1);
        for line in s.picture().lines() {
            assert_eq!(line.chars().count(), width, "{line}");
        }
    }
}
