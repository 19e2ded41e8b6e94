//! The states of a connection and the transitions between them (RFC 9293 figure 5), walked from the table that the
//! machine itself looks into. A row without a dialogue fails; so does one that takes another way.

mod bed;
use bed::*;
use std::collections::BTreeSet;
use std::fmt::Write;
use wirestack::tcp::TRANSITIONS;

/// From which side a connection is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Active,
    Passive,
}
use Side::{Active, Passive};

fn established(side: Side) -> Dialogue {
    match side {
        Active => Dialogue::active(Setup::default()),
        Passive => Dialogue::passive(Setup::default()),
    }
}

/// A dialogue that has just come to a state, opened from a side; `None` if that side never has the state.
fn at(state: State, side: Side) -> Option<Dialogue> {
    let mut d = match (state, side) {
        (State::Closed, Active) => {
            let mut d = established(side);
            d.rx("R. 1 ack 1");
            d
        }
        (State::Closed, Passive) => Dialogue::new(Setup::default()),
        (State::Listen, Passive) => {
            let mut d = Dialogue::new(Setup::default());
            d.listen();
            d
        }
        (State::SynSent, Active) => {
            let mut d = Dialogue::new(Setup::default());
            d.connect();
            d.tx("S 0");
            d
        }
        (State::Listen, Active) | (State::SynSent, Passive) => return None,
        (State::SynReceived, Passive) => {
            let mut d = at(State::Listen, side)?;
            d.rx("S 0 <mss 1000>");
            d.tx("S. 0 ack 1");
            d
        }
        // A simultaneous open.
        (State::SynReceived, Active) => {
            let mut d = at(State::SynSent, side)?;
            d.rx("S 0 <mss 1000>");
            d.tx("S. 0 ack 1");
            d
        }
        (State::Established, _) => established(side),
        (State::FinWait1, _) => {
            let mut d = established(side);
            d.close();
            d.tx("F. 1 ack 1");
            d
        }
        (State::FinWait2, _) => {
            let mut d = at(State::FinWait1, side)?;
            d.rx(". 1 ack 2");
            d
        }
        (State::CloseWait, _) => {
            let mut d = established(side);
            d.rx("F. 1 ack 1");
            d.tx(". 1 ack 2");
            d
        }
        (State::Closing, _) => {
            let mut d = at(State::FinWait1, side)?;
            d.rx("F. 1 ack 1");
            d.tx(". 2 ack 2");
            d
        }
        (State::LastAck, _) => {
            let mut d = at(State::CloseWait, side)?;
            d.close();
            d.tx("F. 1 ack 2");
            d
        }
        (State::TimeWait, _) => {
            let mut d = at(State::FinWait2, side)?;
            d.rx("F. 1 ack 2");
            d.tx(". 2 ack 2");
            d
        }
    };
    d.take_states();
    Some(d)
}

fn there(state: State) -> Dialogue {
    at(state, Passive).or_else(|| at(state, Active)).expect("one of the sides has the state")
}

#[test]
fn every_state_is_reached_from_both_sides() {
    for state in State::ALL {
        for side in [Active, Passive] {
            match at(state, side) {
                None => assert!(
                    matches!((state, side), (State::Listen, Active) | (State::SynSent, Passive)),
                    "{side:?} never comes to {state}"
                ),
                Some(d) if (state, side) == (State::Listen, Passive) => {
                    assert_eq!(d.stack.tcp_state(d.listener.unwrap()), Ok(State::Listen));
                }
                Some(d) => assert_eq!(d.state(), state, "{side:?}"),
            }
        }
    }
}

/// How a row of the table is taken.
enum Way {
    /// Exactly this transition.
    Direct(Dialogue),
    /// The sockets do not offer it, or it is made of other rows: which, and why.
    Otherwise(Dialogue, &'static [(State, State)], &'static str),
}
use Way::{Direct, Otherwise};

/// Does what makes a connection leave `from` by `cause`.
fn take(from: State, cause: Cause) -> Option<Way> {
    use {Cause as C, State as S};
    let mut d = match from {
        // A simultaneous open has a connection of its own in SYN-RECEIVED; a listener's is a record.
        S::SynReceived if !matches!(cause, C::BackToListen | C::RcvAckOfSyn) => at(from, Active)?,
        _ => there(from),
    };
    match (from, cause) {
        (S::Closed, C::PassiveOpen) => d.listen(),
        (S::Closed, C::ActiveOpen) => {
            d.connect();
            d.tx("S 0");
        }
        (S::Listen, C::Close) => {
            d.stack.close(d.now, d.listener.unwrap()).unwrap();
            d.pump();
        }
        (S::Listen, C::RcvSyn) => {
            d.rx("S 0");
            d.tx("S. 0 ack 1");
        }
        (S::Listen, C::ActiveOpen) => {
            let listener = d.listener.unwrap();
            assert_eq!(d.stack.connect(d.now, listener, d.peer), Err(Errno::EISCONN));
            return Some(Otherwise(d, &[], "connect(2) on a listener is refused with EISCONN"));
        }
        (S::SynSent, C::Close) => d.close(),
        (S::SynSent, C::RcvSyn) => {
            d.rx("S 0");
            d.tx("S. 0 ack 1");
        }
        (S::SynSent, C::RcvSynAck) => {
            d.rx("S. 0 ack 1");
            d.tx(". 1 ack 1");
        }
        (S::SynReceived, C::RcvAckOfSyn) => d.rx(". 1 ack 1"),
        (S::SynReceived, C::BackToListen) => d.rx("R 1"),
        (S::SynReceived, C::Close) => {
            d.close();
            d.rx(". 1 ack 1");
            d.tx("F. 1 ack 1");
            return Some(Otherwise(
                d,
                &[(S::SynReceived, S::Established), (S::Established, S::FinWait1)],
                "the FIN waits for the handshake to end (section 3.10.4 leaves the choice)",
            ));
        }
        (S::SynReceived, C::RcvFin) => {
            d.rx("F. 1 ack 1");
            d.tx(". 1 ack 2");
            return Some(Otherwise(
                d,
                &[(S::SynReceived, S::Established), (S::Established, S::CloseWait)],
                "a FIN carries an ACK, and the ACK is looked at first",
            ));
        }
        (S::Established, C::Close) => {
            d.close();
            d.tx("F. 1 ack 1");
        }
        (S::Established | S::FinWait2, C::RcvFin) => {
            d.rx(if from == S::Established { "F. 1 ack 1" } else { "F. 1 ack 2" });
            d.take();
        }
        (S::FinWait1, C::RcvFin) => {
            d.rx("F. 1 ack 1");
            d.tx(". 2 ack 2");
        }
        (S::CloseWait, C::Close) => {
            d.close();
            d.tx("F. 1 ack 2");
        }
        (S::FinWait1, C::RcvAckOfFin) => d.rx(". 1 ack 2"),
        (S::Closing | S::LastAck, C::RcvAckOfFin) => d.rx(". 2 ack 2"),
        (S::TimeWait, C::Timeout) => d.quiet(secs(61)),
        (S::FinWait2, C::Timeout) => d.quiet(secs(61)),
        (S::SynSent, C::Abort) => d.rx("R. 0 ack 1"),
        (S::SynReceived | S::Established, C::Abort) => d.rx("R. 1 ack 1"),
        (S::FinWait1 | S::FinWait2, C::Abort) => d.rx("R. 1 ack 1"),
        (S::CloseWait | S::Closing | S::LastAck, C::Abort) => d.rx("R. 2 ack 1"),
        (S::TimeWait, C::Reopen) => {
            d.rx("S 100000 <mss 1000>");
            d.take();
        }
        _ => return None,
    }
    Some(Direct(d))
}

#[test]
fn every_transition_of_the_table_is_taken_and_no_other() {
    for &(from, cause, to) in TRANSITIONS {
        let row = format!("{from} --{cause:?}--> {to}");
        match take(from, cause).unwrap_or_else(|| panic!("{row}: no dialogue")) {
            Direct(mut d) => assert_eq!(d.take_states(), [(from, to)], "{row}"),
            Otherwise(mut d, states, why) => assert_eq!(d.take_states(), states, "{row}: {why}"),
        }
    }
}

/// The words on the arrows.
fn label(cause: Cause) -> &'static str {
    match cause {
        Cause::PassiveOpen => "passive OPEN",
        Cause::ActiveOpen => "active OPEN / SYN",
        Cause::RcvSyn => "rcv SYN / SYN,ACK",
        Cause::RcvSynAck => "rcv SYN,ACK / ACK",
        Cause::RcvAckOfSyn => "rcv ACK of SYN",
        Cause::RcvAckOfFin => "rcv ACK of FIN",
        Cause::RcvFin => "rcv FIN / ACK",
        Cause::Close => "CLOSE",
        Cause::Timeout => "timeout",
        Cause::Abort => "RST or abort",
        Cause::BackToListen => "rcv RST, or no ACK comes",
        Cause::Reopen => "rcv a new SYN / SYN,ACK",
    }
}

/// The chapter of the manual, from the table.
fn chapter() -> String {
    let id = |s: State| s.name().replace('-', "_");
    let mut out = String::from(
        "# The states of a connection\n\n\
         Drawn by `tests/states.rs` from [`TRANSITIONS`](crate::tcp::TRANSITIONS), the table in which the\n\
         machine looks up every change of state (RFC 9293 section 3.3.2, figure 5 and its notes). The same\n\
         test takes each arrow by a dialogue with a stack, and fails if the machine takes another way.\n\n\
         ```mermaid\nstateDiagram-v2\n",
    );
    for s in State::ALL {
        writeln!(out, "    state \"{}\" as {}", s.name(), id(s)).unwrap();
    }
    for &(from, cause, to) in TRANSITIONS {
        writeln!(out, "    {} --> {}: {}", id(from), id(to), label(cause)).unwrap();
    }
    out.push_str("```\n\n| from | by | to |\n|---|---|---|\n");
    for &(from, cause, to) in TRANSITIONS {
        writeln!(out, "| {from} | {} | {to} |", label(cause)).unwrap();
    }
    out.push_str("\nArrows of the figure that are taken in other steps:\n\n");
    for &(from, cause, to) in TRANSITIONS {
        if let Some(Otherwise(_, states, why)) = take(from, cause) {
            let steps: Vec<String> = states.iter().map(|(a, b)| format!("{a} to {b}")).collect();
            let steps = if steps.is_empty() { "not offered".to_owned() } else { steps.join(", then ") };
            writeln!(out, "- {from} to {to} by {}: {steps}; {why}.", label(cause)).unwrap();
        }
    }
    out
}

#[test]
fn the_manual_shows_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/manual/states.md");
    let drawn = chapter();
    if std::env::var_os("UPDATE_MANUAL").is_some() {
        std::fs::write(path, &drawn).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == drawn,
        "{path} is not what the table draws: run with UPDATE_MANUAL=1 and look at the change"
    );
}

#[test]
fn the_table_names_every_state() {
    let named: BTreeSet<State> = TRANSITIONS.iter().flat_map(|t| [t.0, t.2]).collect();
    assert_eq!(named.len(), State::ALL.len());
}
