//! `wirestack-bench`: what wirestack can do on this machine, beside the kernel and smoltcp.
//!
//! One process does everything: the kernel's programs run as threads pinned to core 0, the stack under
//! test is pinned to core 1, and what lies between is in network namespaces of its own. Every cell is
//! set up anew for every run, and the cells take turns, so that a disturbance hits all of them alike:
//! compare cells of one run, not numbers of two.
//!
//! Read in this order: `cells` (what is measured), `rig` and `peer` (over what, against what), `direct`,
//! `sockets`, `smol`, `linux` (by whom), `segments` and `memory` (the machine alone), `report`.

mod cells;
mod direct;
mod linux;
mod machine;
mod measure;
mod memory;
mod peer;
mod report;
mod rig;
mod segments;
mod smol;
mod sockets;

use measure::Times;
use report::Row;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

const HELP: &str = "\
wirestack-bench [--quick] [--only TEXT]... [--runs N] [--seconds S] [--json FILE] [--list]

Measures throughput, latency, cost per segment and memory per connection, in network namespaces of its
own (needs root). Writes a Markdown table: median and min..max of N runs that take turns.

  --quick        3 runs of 0.5 s instead of 5 of 2 s
  --only TEXT    only cells whose name contains TEXT; ends in TEXT, if TEXT ends in $
  --runs N       how often each cell is run
  --seconds S    how long each run measures
  --json FILE    also write every single value to FILE
  --list         names of the cells
";

struct Options {
    only: Vec<String>,
    runs: usize,
    seconds: f64,
    json: Option<String>,
    list: bool,
}

fn parse() -> Result<Option<Options>, String> {
    let mut o = Options { only: vec![], runs: 5, seconds: 2.0, json: None, list: false };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} needs a value"));
        match arg.as_str() {
            "--quick" => (o.runs, o.seconds) = (3, 0.5),
            "--only" => o.only.push(value()?),
            "--runs" => o.runs = value()?.parse().map_err(|_| "--runs needs a number")?,
            "--seconds" => o.seconds = value()?.parse().map_err(|_| "--seconds needs a number")?,
            "--json" => o.json = Some(value()?),
            "--list" => o.list = true,
            "--help" | "-h" => return Ok(None),
            _ => return Err(format!("unknown argument {arg}; see --help")),
        }
    }
    if !(0.01..=3600.0).contains(&o.seconds) {
        return Err("--seconds must be 0.01 to 3600".into());
    }
    Ok(Some(o))
}

fn chosen(name: &str, only: &[String]) -> bool {
    only.is_empty()
        || only.iter().any(|text| match text.strip_suffix('$') {
            Some(end) => name.ends_with(end),
            None => name.contains(text.as_str()),
        })
}

fn run(o: &Options) -> io::Result<()> {
    let cells: Vec<_> = cells::all().into_iter().filter(|c| chosen(&c.name, &o.only)).collect();
    if o.list {
        cells.iter().for_each(|c| println!("{}", c.name));
        return Ok(());
    }
    if let Err(reason) = wirestack_lab::can_create() {
        return Err(io::Error::other(reason));
    }
    let times = Times {
        warm_up: Duration::from_secs_f64((o.seconds / 2.0).min(0.5)),
        window: Duration::from_secs_f64(o.seconds),
    };
    let mut rows: Vec<Row> = cells.iter().map(|c| Row { cell: c.name.clone(), ..Row::default() }).collect();
    for turn in 1..=o.runs {
        for (cell, row) in cells.iter().zip(&mut rows) {
            eprintln!("{turn}/{} {}", o.runs, cell.name);
            let before = machine::Usage::now();
            // A thread of its own, since it is pinned.
            let outcome = std::thread::scope(|s| s.spawn(|| cell.run(times)).join());
            row.foreign.push(machine::Usage::now().foreign_since(&before));
            match outcome {
                Ok(Ok(outcome)) => {
                    outcome.values.into_iter().for_each(|(metric, value)| row.add(metric, value));
                    outcome.troubles.into_iter().for_each(|(t, n)| *row.troubles.entry(t).or_default() += n);
                }
                Ok(Err(e)) => *row.troubles.entry(format!("failed: {e}")).or_default() += 1,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    }
    let machine = machine::describe();
    print!("{}", report::markdown(&machine, &rows));
    if let Some(path) = &o.json {
        std::fs::write(path, report::json(&machine, &rows))?;
    }
    Ok(())
}

fn main() -> ExitCode {
    let options = match parse() {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(e) => {
            eprintln!("wirestack-bench: {e}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("wirestack-bench: {e}");
            ExitCode::FAILURE
        }
    }
}
