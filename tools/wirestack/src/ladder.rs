//! A connection as a ladder: our side on the left, the peer's on the right, time downwards.
//!
//! Handshake, retransmissions, timeouts, resets and the close have a line each; the data and ACKs in
//! between are folded into one. Events go in one by one, finished lines come out, so that the picture
//! grows while the connection lives.

use anstyle::{AnsiColor, Style};
use std::fmt::Write as _;
use std::time::Duration;
use wirestack::event::{RetransmitCause, SegmentInfo, TcpEvent, TcpHappening};
use wirestack::tcp::{State, Timer};
use wirestack::wire::{Seq, TcpFlags};
use wirestack::{Errno, Instant};

/// The width that is drawn when the terminal's is not known.
pub const DEFAULT_WIDTH: usize = 100;
const MIN_WIDTH: usize = 72;
const MAX_WIDTH: usize = 120;
/// What fits a frame of Ethernet's usual 1500 octets; what is larger is a super-segment.
const LARGEST: u32 = 1460;
/// Segments sent again within this time are one burst.
const BURST: Duration = Duration::from_millis(1);
const TIME: usize = 8;
const STATE: usize = 14;

const QUIET: Style = Style::new().dimmed();
const OPENING: Style = AnsiColor::Green.on_default();
const CLOSING: Style = AnsiColor::Blue.on_default();
const AGAIN: Style = AnsiColor::Yellow.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// Draws one connection.
#[derive(Debug)]
pub struct Ladder {
    width: usize,
    origin: Option<Instant>,
    out: Half,
    into: Half,
    run: Run,
    held: Option<Row>,
    /// The retransmission that `held` shows, as long as another may continue it.
    burst: Option<Burst>,
    state: Option<(Instant, State)>,
    lines: Vec<String>,
}

/// What is known of one direction.
#[derive(Debug, Default)]
struct Half {
    base: Option<Seq>,
    /// One past the highest sequence number seen.
    end: Option<Seq>,
    segments: u32,
    /// One past the FIN, until its ACK was shown.
    fin: Option<Seq>,
}

/// Data and ACKs that are not drawn one by one.
#[derive(Debug, Default)]
struct Run {
    out: Flow,
    into: Flow,
}

#[derive(Debug, Default)]
struct Flow {
    segments: u64,
    /// Some were larger than a frame carries.
    large: bool,
    octets: u64,
    acks: u64,
}

/// Adjoining segments sent again at one time: one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Burst {
    shape: Shape,
    cause: Option<RetransmitCause>,
    start: Seq,
    end: Seq,
    segments: u32,
}

#[derive(Debug)]
struct Row {
    at: Instant,
    state: Option<State>,
    shape: Shape,
    text: String,
    style: Style,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Out,
    In,
    Note,
}

impl Ladder {
    /// A ladder of so many columns, 72 to 120.
    pub fn new(width: usize) -> Self {
        Self {
            width: width.clamp(MIN_WIDTH, MAX_WIDTH),
            origin: None,
            out: Half::default(),
            into: Half::default(),
            run: Run::default(),
            held: None,
            burst: None,
            state: None,
            lines: Vec::new(),
        }
    }

    /// The two names over the rails.
    pub fn heading(&self, ours: &str, theirs: &str) -> String {
        let room = self.rail().saturating_sub(ours.chars().count() + theirs.chars().count());
        format!("{QUIET}{:>TIME$}  {:STATE$}{QUIET:#}{ours}{:room$}{theirs}", "seconds", "our state", "")
    }

    /// Takes an event. Call [`take_lines`](Self::take_lines) for what it completed.
    pub fn push(&mut self, event: &TcpEvent) {
        self.origin.get_or_insert(event.at);
        match &event.what {
            TcpHappening::State { to, .. } => self.change_state(event.at, *to),
            TcpHappening::Sent { segment, cause } => {
                self.segment(event.at, segment, Shape::Out, cause.map(Some));
            }
            TcpHappening::Received { segment } => {
                let again = segment.len > 0 && self.into.end.is_some_and(|end| segment.seq.before(end));
                self.segment(event.at, segment, Shape::In, again.then_some(None));
            }
            TcpHappening::TimerFired { timer: Timer::Retransmit, attempt } => {
                let text = format!("retransmission timeout, number {attempt} in a row");
                self.row(event.at, Shape::Note, text, AGAIN);
            }
            TcpHappening::Undo => {
                self.row(event.at, Shape::Note, "the loss was spurious: window restored".into(), QUIET);
            }
            TcpHappening::Aborted { error } => self.abort(event.at, *error),
            _ => {}
        }
    }

    /// Lines that are complete.
    pub fn take_lines(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }

    /// Everything is over: the last lines.
    pub fn finish(&mut self) -> Vec<String> {
        self.flush_run();
        if let Some((at, state)) = self.state.take() {
            self.hold(lone(at, state));
        }
        self.flush_held();
        self.take_lines()
    }

    fn abort(&mut self, at: Instant, error: Errno) {
        self.row(at, Shape::Note, format!("the connection ends: {}", error.text()), BAD);
    }

    /// A state stands on the line of the segment that brought it about: the one just drawn if it is of
    /// the same instant, else the next one.
    fn change_state(&mut self, at: Instant, to: State) {
        match &mut self.held {
            Some(row) if row.at == at && row.state.is_none() && self.run.is_empty() => row.state = Some(to),
            _ => {
                if let Some((at, state)) = self.state.replace((at, to)) {
                    self.flush_run();
                    self.hold(lone(at, state));
                }
            }
        }
    }

    /// `again`: sent once more, and why if that is known.
    fn segment(
        &mut self,
        at: Instant,
        s: &SegmentInfo,
        shape: Shape,
        again: Option<Option<RetransmitCause>>,
    ) {
        let (same, other) = match shape {
            Shape::Out => (&mut self.out, &mut self.into),
            _ => (&mut self.into, &mut self.out),
        };
        let base = *same.base.get_or_insert(s.seq);
        let ack_base = other.base;
        same.segments += 1;
        let handshake = same.segments <= 2 && s.len == 0 && other.segments <= 1;
        let acks_fin = s.flags.contains(TcpFlags::ACK) && other.fin.is_some_and(|fin| s.ack == fin);
        if acks_fin {
            other.fin = None;
        }
        let control = s.flags.intersects(TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST);
        let end = s.seq
            + s.len
            + u32::from(s.flags.contains(TcpFlags::SYN))
            + u32::from(s.flags.contains(TcpFlags::FIN));
        same.end = Some(same.end.map_or(end, |e| e.latest(end)));
        if s.flags.contains(TcpFlags::FIN) {
            same.fin = Some(end);
        }
        if !(control || handshake || acks_fin || again.is_some()) {
            if let Some((when, state)) = self.state.take_if(|(when, _)| *when != at) {
                self.flush_run();
                self.hold(lone(when, state));
            }
            self.run.flow(shape).count(s);
            return;
        }
        if let Some(cause) = again.filter(|_| !control && s.len > 0) {
            self.sent_again(at, s, shape, cause, base);
            return;
        }
        let mut text = describe(s, base, ack_base);
        if let Some(cause) = again {
            text.push_str(&again_text(cause));
        }
        let style = match s.flags {
            f if f.contains(TcpFlags::RST) => BAD,
            _ if again.is_some() => AGAIN,
            f if f.contains(TcpFlags::SYN) => OPENING,
            f if f.contains(TcpFlags::FIN) => CLOSING,
            _ => Style::new(),
        };
        self.row(at, shape, text, style);
    }

    /// Data sent again: a line, or more of the line before.
    fn sent_again(
        &mut self,
        at: Instant,
        s: &SegmentInfo,
        shape: Shape,
        cause: Option<RetransmitCause>,
        base: Seq,
    ) {
        let mut burst = Burst { shape, cause, start: s.seq, end: s.seq + s.len, segments: 1 };
        if let (Some(last), Some(row)) = (self.burst, &self.held)
            && (last.shape, last.cause, last.end) == (shape, cause, s.seq)
            && row.state.is_none()
            && self.run.is_empty()
            && at.since(row.at) <= BURST
        {
            burst = Burst { start: last.start, segments: last.segments + 1, ..burst };
            let text = burst.text(base);
            if let Some(row) = &mut self.held {
                row.text = text;
            }
        } else {
            self.row(at, shape, burst.text(base), AGAIN);
        }
        self.burst = Some(burst);
    }

    fn row(&mut self, at: Instant, shape: Shape, text: String, style: Style) {
        self.flush_run();
        let mut state = None;
        if let Some((when, s)) = self.state.take() {
            if when == at {
                state = Some(s);
            } else {
                self.hold(lone(when, s));
            }
        }
        self.hold(Row { at, state, shape, text, style });
    }

    /// Keeps a row back until the next one, because its state may still come.
    fn hold(&mut self, row: Row) {
        self.flush_held();
        self.burst = None;
        self.held = Some(row);
    }

    fn flush_held(&mut self) {
        let Some(row) = self.held.take() else { return };
        let since = row.at.since(self.origin.unwrap_or(row.at));
        let state = row.state.map_or("", State::name);
        let rail = draw(row.shape, &row.text, self.rail());
        let style = row.style;
        self.lines.push(format!(
            "{QUIET}{:>TIME$.3}{QUIET:#}  {OPENING}{state:STATE$}{OPENING:#}{style}{rail}{style:#}",
            since.as_secs_f64()
        ));
    }

    fn flush_run(&mut self) {
        if self.run.is_empty() {
            return;
        }
        let text = self.run.text();
        self.run = Run::default();
        self.flush_held();
        let inside = self.rail() - 2;
        let rail = format!("┆{:^inside$}┆", clip(&text, inside));
        self.lines.push(format!("{:>TIME$}  {:STATE$}{QUIET}{rail}{QUIET:#}", "", ""));
    }

    fn rail(&self) -> usize {
        self.width - TIME - 2 - STATE
    }
}

impl Burst {
    fn text(self, base: Seq) -> String {
        let (start, len) = (self.start.distance(base), self.end.distance(self.start));
        let end = u64::from(start) + u64::from(len);
        let what = match self.segments {
            1 => format!("seq {start}:{end}, {len} octets"),
            n => format!("seq {start}:{end}, {n} segments"),
        };
        what + &again_text(self.cause)
    }
}

fn again_text(cause: Option<RetransmitCause>) -> String {
    cause.map_or(", again".to_owned(), |c| format!(", again: {}", c.label()))
}

impl Run {
    fn flow(&mut self, shape: Shape) -> &mut Flow {
        if shape == Shape::Out { &mut self.out } else { &mut self.into }
    }

    fn is_empty(&self) -> bool {
        [&self.out, &self.into].iter().all(|f| f.segments + f.acks == 0)
    }

    fn text(&self) -> String {
        let parts = [("→", &self.out), ("←", &self.into)].map(|(arrow, flow)| flow.text(arrow));
        parts.into_iter().flatten().collect::<Vec<_>>().join("     ")
    }
}

impl Flow {
    fn count(&mut self, s: &SegmentInfo) {
        if s.len == 0 {
            self.acks += 1;
        } else {
            self.segments += 1;
            self.octets += u64::from(s.len);
            self.large |= s.len > LARGEST;
        }
    }

    fn text(&self, arrow: &str) -> Option<String> {
        let plural = |n: u64| if n == 1 { "" } else { "s" };
        let data = (self.segments > 0).then(|| {
            let octets = indicatif::BinaryBytes(self.octets);
            let what = if self.large { "super-segment" } else { "segment" };
            format!("{} {what}{}, {octets}", self.segments, plural(self.segments))
        });
        let acks = (self.acks > 0).then(|| format!("{} ACK{}", self.acks, plural(self.acks)));
        let text = [data, acks].into_iter().flatten().collect::<Vec<_>>().join(", ");
        (!text.is_empty()).then(|| format!("{arrow} {text}"))
    }
}

/// A change of state that no segment brought about.
fn lone(at: Instant, state: State) -> Row {
    let text = match state {
        State::FinWait1 | State::LastAck => "the application closes; the FIN follows the data",
        _ => "",
    };
    Row { at, state: Some(state), shape: Shape::Note, text: text.into(), style: QUIET }
}

/// Flags, relative sequence numbers and length: `SYN ACK seq 0, ack 1, window 65160`.
fn describe(s: &SegmentInfo, base: Seq, ack_base: Option<Seq>) -> String {
    let mut out = String::new();
    for (flag, name) in
        [(TcpFlags::SYN, "SYN "), (TcpFlags::FIN, "FIN "), (TcpFlags::RST, "RST "), (TcpFlags::URG, "URG ")]
    {
        if s.flags.contains(flag) {
            out.push_str(name);
        }
    }
    let control = !out.is_empty();
    let ack = s.flags.contains(TcpFlags::ACK);
    let seq = s.seq.distance(base);
    if s.len > 0 {
        let _ = write!(out, "seq {seq}:{}, {} octets", u64::from(seq) + u64::from(s.len), s.len);
    } else if control {
        let _ = write!(out, "{}seq {seq}", if ack { "ACK " } else { "" });
    }
    if ack && (s.len == 0 || control) {
        let number = ack_base.map_or(s.ack.0, |b| s.ack.distance(b));
        let _ = write!(out, "{}{number}", if control { ", ack " } else { "ACK " });
    }
    if s.flags.contains(TcpFlags::SYN) {
        let _ = write!(out, ", window {}", s.window);
    }
    out
}

fn draw(shape: Shape, text: &str, width: usize) -> String {
    // What each shape adds to its text at least.
    let text = clip(text, width.saturating_sub(9));
    let line = |fixed: usize| "─".repeat(width.saturating_sub(fixed + text.chars().count()));
    match shape {
        Shape::Out => format!("├─ {text} {}▶│", line(6)),
        Shape::In => format!("│◀{} {text} ─┤", line(6)),
        Shape::Note => format!("│ {text:<room$}│", room = width - 3),
    }
}

fn clip(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests;
