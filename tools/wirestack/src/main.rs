//! The command `wirestack`: what people do with the stack without writing a program.
//!
//! Read in this order: [`flags`] and [`setup`] (from the command line to a running stack), then the
//! commands: [`demo`] with [`ladder`], [`serve`] and [`get`] over [`http`], [`nc`], [`ping`], and
//! [`ss`] over [`control`].

mod control;
mod demo;
mod error;
mod flags;
mod get;
mod host;
mod http;
mod interrupt;
mod ladder;
mod nc;
mod ping;
mod progress;
mod serve;
mod setup;
mod ss;
mod trace;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// A TCP/IP stack in userspace, put to work over TAP or AF_PACKET.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Try it:
  wirestack demo
  wirestack serve . --tap ws0 --address 10.0.0.2/24 --peer-address 10.0.0.1/24 &
  curl http://10.0.0.2/
  wirestack ss -a";

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Demo),
    Serve(serve::Serve),
    Get(get::Get),
    Nc(nc::Nc),
    Ping(ping::Ping),
    Ss(ss::Ss),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Demo(args) => demo::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Get(args) => get::run(&args),
        Command::Nc(args) => nc::run(&args),
        Command::Ping(args) => ping::run(&args),
        Command::Ss(args) => ss::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            anstream::eprintln!("wirestack: {failure}");
            ExitCode::from(failure.status())
        }
    }
}
