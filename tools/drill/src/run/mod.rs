//! A script being run: events in their order, the virtual clock moved to each.
//!
//! Read in this order: this file (the spine), [`host`] (the stack and its clock), [`world`] and
//! [`flow`] (what numbers of the script mean), `calls` (the application), `encode` (packets in),
//! `decode`, `compare` and `expect` (packets out), `sysctl`, `ladder`.

mod calls;
mod compare;
mod decode;
mod encode;
mod expect;
pub mod flow;
pub mod host;
mod ladder;
pub mod sysctl;
pub mod world;

use crate::script::{Body, Call, Event, Expected, Packet, Pos, Script, ScriptError, Time, What, constants};
use crate::snippet::{self, eval, parse::Statement, python::Program};
use calls::{Outcome, Progress};
use host::Host;
use ladder::{Ladder, seconds};
use wirestack::socket::Type;
use wirestack::{Limits, Profile};
use world::{Descriptor, Fault, World, fault};

/// How scripts are run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Whose look the stack has, before the script's own sysctls.
    pub profile: Profile,
    /// Bounds, before the script's own sysctls.
    pub limits: Limits,
    /// A packet that no line expects fails the script also if it comes with the last event.
    pub strict: bool,
    /// Added to the peer's sequence numbers on the wire: near 2^32 it makes every script wrap.
    pub peer_offset: u32,
    /// The stack's secret: other initial sequence numbers and timestamps of ours.
    pub secret: [u64; 2],
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            profile: Profile::linux(),
            limits: Limits::default(),
            strict: false,
            peer_offset: 0,
            secret: [0x6472_696c_6c00_0001, 0x7079_7265_2d31_3233],
        }
    }
}

/// What a script that passed has to say.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Settings and options that do nothing here.
    pub notes: Vec<String>,
    /// What its snippets printed.
    pub printed: Vec<String>,
    /// Everything that happened.
    pub ladder: String,
}

impl Report {
    fn take(&mut self, notes: sysctl::Notes) {
        self.notes.extend(notes.unsupported.into_iter().map(|s| format!("not supported: {s}")));
        self.notes.extend(notes.ignored.into_iter().map(|s| format!("ignored: `{s}`")));
    }
}

/// Lines of the ladder that a failure shows.
const SHOWN: usize = 40;
/// A packet that may come at any time is waited for so long, in microseconds: a day.
const ANY_TIME: i64 = 86_400_000_000;

/// Runs a script.
///
/// # Errors
/// The first thing that was not as the script says.
pub fn run(script: &Script, options: &RunOptions) -> Result<Report, Box<ScriptError>> {
    let (mut profile, mut limits) = (options.profile.clone(), options.limits.clone());
    let mut notes = sysctl::Notes::default();
    let is_command = |e: &&Event| matches!(e.what, What::Command(_));
    for event in script.events.iter().take_while(is_command) {
        if let What::Command(c) = &event.what {
            sysctl::apply(c, &mut profile, &mut limits, &mut notes);
        }
    }
    let host = Host::new(profile, limits, &script.settings, options.secret);
    let mut runner = Runner {
        script,
        world: World::new(host, script.settings.clone(), options.peer_offset),
        ladder: Ladder::default(),
        blocked: None,
        last: 0,
        names: snippet::CONSTANTS.iter().map(|(n, v)| ((*n).to_owned(), eval::Value::Int(*v))).collect(),
        snippets: read_snippets(script),
        program: Program::default(),
        report: Report::default(),
    };
    runner.report.take(notes);
    runner.report.notes.extend(script.settings.ignored.iter().map(|o| format!("ignored: {o}")));
    match runner.play(options.strict) {
        Ok(()) => {
            runner.collect_told();
            runner.report.ladder = runner.ladder.show(usize::MAX);
            Ok(runner.report)
        }
        Err(f) => {
            runner.collect_told();
            let (message, more) = f.message.split_once('\n').unwrap_or((&f.message, ""));
            let mut e = ScriptError::new(&script.file, &script.text, f.pos, message);
            let so_far = runner.ladder.show(SHOWN);
            let sep = if more.is_empty() { "" } else { "\n" };
            e.details = format!("{more}{sep}so far:\n{so_far}");
            Err(Box::new(e))
        }
    }
}

/// The snippets of a script in the order of its events, if all of them can be run here.
fn read_snippets(script: &Script) -> Option<Vec<Vec<Statement>>> {
    let codes = script.events.iter().filter_map(|e| match &e.what {
        What::Code(c) => Some(c),
        _ => None,
    });
    codes.map(|c| snippet::parse::parse(c)).collect()
}

/// A call that sleeps.
#[derive(Debug)]
struct Blocked {
    event: usize,
    progress: Progress,
    end: Option<i64>,
    since: i64,
}

/// When an event is due, in microseconds of the script.
#[derive(Clone, Copy, Debug)]
struct Due {
    from: i64,
    to: i64,
    any: bool,
    end: Option<i64>,
}

struct Runner<'s> {
    script: &'s Script,
    world: World,
    ladder: Ladder,
    blocked: Option<Blocked>,
    /// The time of the event before.
    last: i64,
    names: eval::Names,
    /// What is left of the snippets, read; `None`: python3 runs them.
    snippets: Option<Vec<Vec<Statement>>>,
    program: Program,
    report: Report,
}

/// # The spine
impl Runner<'_> {
    fn play(&mut self, strict: bool) -> Result<(), Fault> {
        if let Some(s) = &mut self.snippets {
            s.reverse();
        }
        let script = self.script;
        for (index, event) in script.events.iter().enumerate() {
            let due = self.due(event.time);
            self.event(index, event, due)?;
            self.last = match event.time {
                Time::AbsoluteRange(..) | Time::RelativeRange(..) | Time::Any => self.world.host.micros(),
                _ => due.from,
            };
        }
        let end = script.events.last().map_or(Pos::default(), |e| e.pos);
        self.finish_blocked(end)?;
        self.pass_until(self.last)?;
        self.refuse_leftovers(strict, end)?;
        if !self.program.is_empty() {
            match self.program.run() {
                Ok(text) => self.report.printed.extend(text.lines().map(str::to_owned)),
                Err((line, message)) => return fault(Pos { line, column: 1 }, message),
            }
        }
        Ok(())
    }

    fn due(&self, time: Time) -> Due {
        let last = self.last;
        let (from, to, end) = match time {
            Time::Absolute(t) => (t, t, None),
            Time::Relative(t) => (last + t, last + t, None),
            Time::AbsoluteRange(a, b) => (a, b, None),
            Time::RelativeRange(a, b) => (last + a, last + b, None),
            Time::Any => (last, last + ANY_TIME, None),
            Time::Blocking(a, b) => (a, a, Some(b)),
            Time::RelativeBlocking(a, b) => (last + a, last + a, Some(last + b)),
        };
        Due { from, to, any: time == Time::Any, end }
    }

    fn event(&mut self, index: usize, event: &Event, due: Due) -> Result<(), Fault> {
        match &event.what {
            What::Outbound(packet) => return self.expect_packet(event.pos, packet, due),
            What::Call(_) => self.finish_blocked(event.pos)?,
            _ => {}
        }
        if due.from < self.last && !due.any {
            let (due, last) = (seconds(due.from), seconds(self.last));
            return fault(event.pos, format!("this is due at {due}, before the event above it at {last}"));
        }
        self.pass_until(due.from)?;
        match &event.what {
            What::Call(call) => self.call(index, event, call, due),
            What::Inbound(packet) => {
                self.inject(packet);
                self.resume()
            }
            What::Command(command) => {
                self.command(index, command);
                Ok(())
            }
            What::Code(code) => self.code(event.pos, code),
            What::Outbound(_) => Ok(()),
        }
    }

    fn collect_told(&mut self) {
        for (at, text) in std::mem::take(&mut self.world.host.told) {
            self.ladder.add(at, ".", text);
        }
    }

    /// How far from its time something may be.
    fn tolerance(&self, due: &Due) -> i64 {
        let s = &self.script.settings;
        let share = (due.from - self.last) as f64 * s.tolerance_percent / 100.0;
        s.tolerance_usecs.max(share as i64)
    }

    /// Lets time pass, and whoever sleeps be woken.
    fn pass_until(&mut self, micros: i64) -> Result<(), Fault> {
        let target = Host::instant(micros);
        while self.step(target)? {}
        Ok(())
    }

    /// Lets time pass up to the next thing that happens; false once `target` is reached.
    fn step(&mut self, target: wirestack::Instant) -> Result<bool, Fault> {
        let now = self.world.host.now();
        let deadline = self.blocked.as_ref().and_then(|b| b.progress.deadline).filter(|d| *d > now);
        let stop = deadline.map_or(target, |d| d.min(target));
        let stepped = self.world.host.step(stop);
        let more = stepped.or_else(|message| fault(self.script.events[0].pos, message))?;
        self.world.deliver_edges();
        self.collect_told();
        self.resume()?;
        Ok(more || stop < target)
    }

    /// What left the stack and no line wants.
    fn refuse_leftovers(&mut self, strict: bool, pos: Pos) -> Result<(), Fault> {
        let last = self.last;
        let Some(sent) = self.world.host.sent.iter().find(|s| strict || s.at < last) else { return Ok(()) };
        let what = self.describe(&sent.bytes);
        fault(pos, format!("a packet left at {} that no line expects: {what}", seconds(sent.at)))
    }
}

/// # What the script does
impl Runner<'_> {
    fn inject(&mut self, packet: &Packet) {
        let (ports, syn, stream) = match &packet.body {
            Body::Tcp(t) => (t.ports, (t.flags & 0x002 != 0).then_some(t.seq), true),
            Body::Udp { ports, .. } => (*ports, None, false),
            Body::Icmp(_) => (None, None, self.world.current.is_some()),
        };
        let flow = self.world.flow_for_inbound(ports, syn, stream);
        let bytes = encode::packet(packet, &self.world.flows[flow], 8);
        self.ladder.add(self.world.host.micros(), "-->", packet.to_string());
        self.world.host.inject(&bytes);
        self.world.deliver_edges();
        self.collect_told();
    }

    fn command(&mut self, index: usize, command: &str) {
        // Those before the first event were carried out when the stack was made.
        if self.script.events[..index].iter().all(|e| matches!(e.what, What::Command(_))) {
            return;
        }
        let stack = &mut self.world.host.stack;
        let (mut profile, mut limits) = (stack.config().profile.clone(), stack.config().limits.clone());
        let (before, mut notes) = (limits.clone(), sysctl::Notes::default());
        sysctl::apply(command, &mut profile, &mut limits, &mut notes);
        if limits != before {
            notes.unsupported.push(format!("a limit once the stack runs: `{}`", command.trim()));
        }
        stack.set_profile(profile);
        self.report.take(notes);
    }

    fn code(&mut self, pos: Pos, code: &str) -> Result<(), Fault> {
        let variables = self.tcp_info();
        let Some(snippets) = &mut self.snippets else {
            self.program.add(pos.line, &variables, code);
            return Ok(());
        };
        let statements = snippets.pop().unwrap_or_default();
        self.names.extend(variables.iter().map(|(n, v)| ((*n).to_owned(), eval::Value::Int(*v))));
        match eval::run(&statements, &mut self.names) {
            Ok(printed) => self.report.printed.extend(printed),
            Err(e) => {
                let column = if e.line == 0 { pos.column } else { 1 };
                return fault(Pos { line: pos.line + e.line as u32, column }, e.message);
            }
        }
        Ok(())
    }

    /// TCP_INFO of the stream socket that was made last, or of another one that is open.
    fn tcp_info(&self) -> Vec<(&'static str, i64)> {
        let now = self.world.host.now();
        let of = |fd: i64| match self.world.fds.get(&fd) {
            Some(Descriptor::Socket(s)) => self.world.host.stack.tcp_info(now, s.id).ok(),
            _ => None,
        };
        let newest = self.world.newest_stream.and_then(of);
        let info = newest.or_else(|| self.world.fds.keys().rev().find_map(|fd| of(*fd)));
        info.map(|i| snippet::variables(&i)).unwrap_or_default()
    }
}

/// # Calls
impl Runner<'_> {
    fn call(&mut self, index: usize, event: &Event, call: &Call, due: Due) -> Result<(), Fault> {
        let mut progress = Progress::default();
        let since = self.world.host.micros();
        let outcome = calls::make(&mut self.world, call, event.pos, &mut progress)?;
        if let Outcome::Blocks = outcome {
            if due.end.is_none() {
                return fault(
                    event.pos,
                    format!("{} blocks: its time wants a duration, such as +0...0.1", call.name),
                );
            }
            self.ladder.add(since, "app", format!("{}(...) blocks", call.name));
            self.blocked = Some(Blocked { event: index, progress, end: due.end, since });
            return Ok(());
        }
        self.returned(event, call, outcome, due.end, since)
    }

    /// Makes the call that sleeps once more.
    fn resume(&mut self) -> Result<(), Fault> {
        let Some(mut b) = self.blocked.take() else { return Ok(()) };
        let event = &self.script.events[b.event];
        let What::Call(call) = &event.what else { return Ok(()) };
        match calls::make(&mut self.world, call, event.pos, &mut b.progress)? {
            Outcome::Blocks => {
                self.blocked = Some(b);
                Ok(())
            }
            outcome => self.returned(event, call, outcome, b.end, b.since),
        }
    }

    /// The next call, or the end of the script, waits for a call that sleeps.
    fn finish_blocked(&mut self, _pos: Pos) -> Result<(), Fault> {
        let Some(b) = &self.blocked else { return Ok(()) };
        let (end, event) = (b.end.unwrap_or(0), b.event);
        let tolerance = self.script.settings.tolerance_usecs;
        let limit = Host::instant(end + tolerance);
        while self.blocked.is_some() && self.step(limit)? {}
        if self.blocked.is_some() {
            let event = &self.script.events[event];
            let What::Call(call) = &event.what else { return Ok(()) };
            return fault(event.pos, format!("{} did not return by {}", call.name, seconds(end + tolerance)));
        }
        Ok(())
    }

    fn returned(
        &mut self,
        event: &Event,
        call: &Call,
        outcome: Outcome,
        end: Option<i64>,
        since: i64,
    ) -> Result<(), Fault> {
        let now = self.world.host.micros();
        let came = match &outcome {
            Outcome::Value(n) => n.to_string(),
            Outcome::New(_) => "a descriptor".into(),
            Outcome::Error(e) => format!("-1 {} ({})", e.name(), e.text()),
            Outcome::Blocks => "nothing".into(),
        };
        let short: String = event.source.split(" = ").next().unwrap_or("").chars().take(90).collect();
        self.ladder.add(now, "app", format!("{} = {came}", short.trim_start_matches(|c| c != ' ').trim()));
        self.collect_told();
        self.compare_result(event, call, outcome, &came)?;
        if let Some(end) = end {
            let tolerance = self.script.settings.tolerance_usecs;
            if (now - end).abs() > tolerance.max((end - since) / 100) {
                let (now, end) = (seconds(now), seconds(end));
                return fault(event.pos, format!("{} returned at {now}, the script wants {end}", call.name));
            }
        }
        Ok(())
    }

    fn compare_result(
        &mut self,
        event: &Event,
        call: &Call,
        outcome: Outcome,
        came: &str,
    ) -> Result<(), Fault> {
        let wrong = |want: String| {
            fault(event.pos, format!("{} returned {came}, the script wants {want}", call.name))
        };
        let number = match &call.expect {
            Expected::Any => self.world.free_fd(),
            Expected::Value(e) => calls::number(e)?,
            Expected::Error(name) => {
                let want = constants::errno(name);
                return match outcome {
                    Outcome::Error(e) if Some(e.number()) == want => Ok(()),
                    _ => wrong(format!("-1 {name}")),
                };
            }
        };
        match outcome {
            Outcome::New(_) if number < 0 => wrong(number.to_string()),
            Outcome::New(_) if self.world.fds.contains_key(&number) => {
                fault(event.pos, format!("descriptor {number} is open already"))
            }
            Outcome::New(d) => {
                if matches!(&d, Descriptor::Socket(s) if s.ty == Type::Stream) {
                    self.world.newest_stream = Some(number);
                }
                self.world.fds.insert(number, d);
                Ok(())
            }
            Outcome::Value(n) if n == number => Ok(()),
            _ if matches!(call.expect, Expected::Any) => Ok(()),
            _ => wrong(number.to_string()),
        }
    }
}
