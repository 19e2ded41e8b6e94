//! `wirestack demo`: a file goes to the kernel's TCP and another comes back, over a link that loses
//! and delays, while a ladder shows what TCP does about it.
//!
//! Read in this order: [`stage`] (the two ends and the link between them), [`transfer`] (what they
//! do), [`watch`] (what is seen of it).

mod stage;
mod transfer;
mod watch;

use crate::error::{Doing, Failure, Outcome, text};
use crate::interrupt::{self, Interrupt};
use crate::ladder::{DEFAULT_WIDTH, Ladder};
use anstyle::{AnsiColor, Style};
use clap::Args;
use stage::Stage;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use transfer::{Done, Report};
use wirestack::device::ImpairConfig;

/// The demonstration is over by then, well or not; larger files get more.
const TIME: Duration = Duration::from_secs(30);
/// What is sent in that time at least.
const TIMELY: u64 = 8 << 20;

const GOOD: Style = AnsiColor::Green.on_default().bold();
const BOLD: Style = Style::new().bold();

/// Send a file both ways between the kernel's TCP and ours over a bad link, and watch
#[derive(Debug, Args)]
pub struct Demo {
    /// Octets in each direction: 4M, 500K, 1000000
    #[arg(long, default_value = "1M", value_parser = size)]
    size: u64,
    /// What is wrong with the link, in both directions
    #[arg(long, value_name = "SPEC", default_value = "loss=2%,delay=10ms")]
    impair: ImpairConfig,
    /// Lose the same packets again [default: others each time]
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Where the packets go
    #[arg(long, value_name = "FILE", default_value = "demo.pcapng")]
    capture: PathBuf,
    /// Talk to a second stack of ours in memory, even if the kernel is there to talk to
    #[arg(long)]
    memory: bool,
}

fn size(s: &str) -> Result<u64, String> {
    let (digits, unit) = match s.strip_suffix(['K', 'k']) {
        Some(d) => (d, 1 << 10),
        None => s.strip_suffix(['M', 'm']).map_or((s, 1), |d| (d, 1 << 20)),
    };
    let n: u64 = digits.parse().map_err(|_| "expected a number, such as 500K or 4M".to_owned())?;
    n.checked_mul(unit)
        .filter(|n| (1..=256 << 20).contains(n))
        .ok_or_else(|| "expected 1 octet to 256M".to_owned())
}

/// Sets up, transfers, shows, cleans up.
pub fn run(args: &Demo) -> Outcome {
    let seed = match args.seed {
        Some(seed) => seed,
        None => u64::from(random().doing(|| "cannot get random bits".into())?),
    };
    let (watcher, end, observer) = watch::channel();
    let (stage, capture) = Stage::set_up(args, seed, observer)?;
    let ladder = Ladder::new(columns());
    introduce(args, &stage, seed, &ladder);
    let runtime = stage.runtime.clone();
    let interrupt = Interrupt::install(move || {
        let _ = runtime.shutdown(Duration::from_secs(1));
    })?;
    let late = Arc::new(AtomicBool::new(false));
    let (over, still_going) = mpsc::channel::<()>();
    let watchdog = watchdog(&stage, time_limit(args.size), still_going, Arc::clone(&late))?;
    let drawing = thread::Builder::new()
        .name("ladder".into())
        .spawn(move || watcher.draw(ladder))
        .doing(|| "cannot start a thread".into())?;

    let report = transfer::run(&stage, args.size, seed);
    drop(over);
    let _ = watchdog.join();
    stage.take_down();
    end.tell();
    let seen = drawing.join().map_err(|_| Failure::new("the ladder could not be drawn"))?;
    let counters = capture.finish().doing(|| format!("cannot write {}", args.capture.display()))?;

    if interrupt.is_set() {
        eprintln!("wirestack: interrupted");
        std::process::exit(i32::from(interrupt::STATUS));
    }
    let report = report.map_err(|e| {
        if late.load(Ordering::SeqCst) {
            let limit = time_limit(args.size).as_secs();
            Failure::new(format!(
                "the transfer was not over after {limit} s: try a smaller --size or a milder --impair"
            ))
        } else {
            Failure::new(format!("the transfer failed: {}", text(&e)))
        }
    })?;
    conclude(&report, &seen);
    anstream::println!(
        "{BOLD}{}{BOLD:#} holds {} packets: look at them with Wireshark, or `tshark -r {}`",
        args.capture.display(),
        counters.written,
        args.capture.display()
    );
    if report.is_good() { Ok(()) } else { Err(Failure::new("what arrived is not what was sent")) }
}

fn time_limit(size: u64) -> Duration {
    TIME * u32::try_from(size.div_ceil(TIMELY)).unwrap_or(u32::MAX)
}

fn random() -> io::Result<u32> {
    let mut bytes = [0; 4];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(u32::from_ne_bytes(bytes))
}

fn columns() -> usize {
    let known =
        io::stdout().is_terminal().then(|| rustix::termios::tcgetwinsize(io::stdout()).ok()).flatten();
    known.map(|w| usize::from(w.ws_col)).filter(|&w| w > 0).unwrap_or(DEFAULT_WIDTH)
}

/// Ends the demonstration when its time is over.
fn watchdog(
    stage: &Stage,
    limit: Duration,
    over: mpsc::Receiver<()>,
    late: Arc<AtomicBool>,
) -> Outcome<thread::JoinHandle<()>> {
    let end = stage.emergency();
    let watch = move || {
        if over.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
            late.store(true, Ordering::SeqCst);
            end();
        }
    };
    thread::Builder::new().name("watchdog".into()).spawn(watch).doing(|| "cannot start a thread".into())
}

fn introduce(args: &Demo, stage: &Stage, seed: u64, ladder: &Ladder) {
    if let Some(why) = &stage.why_memory {
        anstream::println!("Both ends are stacks of ours, over a wire in memory: {why}.");
    }
    anstream::println!(
        "{BOLD}{}{BOLD:#} each way between wirestack and {}, over a link with {BOLD}{}{BOLD:#} (--seed {seed})\n",
        indicatif::BinaryBytes(args.size),
        stage.peer_name(),
        wrong_with(&args.impair),
    );
    let ours = format!("wirestack {}", stage::OURS);
    let theirs = format!("{} {}:{}", stage.peer_short(), stage::THEIRS, stage::PORT);
    anstream::println!("{}", ladder.heading(&ours, &theirs));
}

fn wrong_with(impair: &ImpairConfig) -> String {
    let spec = impair.to_string();
    let parts: Vec<_> = spec.split(',').filter(|p| !p.is_empty() && !p.starts_with("seed=")).collect();
    if parts.is_empty() { "nothing wrong".into() } else { parts.join(", ") }
}

fn conclude(report: &Report, seen: &watch::Seen) {
    anstream::println!();
    let line = |what: &str, done: &Done| {
        let (style, verdict) =
            if done.is_good() { (GOOD, "equal") } else { (AnsiColor::Red.on_default(), "DIFFERENT") };
        let rate = done.octets as f64 * 8e-6 / done.took.as_secs_f64().max(1e-9);
        anstream::println!(
            "{what:<9} {} in {:.2} s, {rate:.1} Mbit/s; SHA-256 at both ends {}… {style}{verdict}{style:#}",
            indicatif::BinaryBytes(done.octets),
            done.took.as_secs_f64(),
            &done.arrived[..16.min(done.arrived.len())],
        );
    };
    line("sent", &report.sent);
    line("received", &report.received);
    anstream::println!("{}", seen.summary());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(size("4M"), Ok(4 << 20));
        assert_eq!(size("500k"), Ok(500 << 10));
        assert_eq!(size("7"), Ok(7));
        for bad in ["", "M", "0", "257M", "99999999999999999999", "18446744073709551615K", "-1"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_time_grows_with_the_size() {
        assert_eq!(time_limit(4 << 20), TIME);
        assert_eq!(time_limit(9 << 20), TIME * 2);
    }
}
