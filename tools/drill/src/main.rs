//! The command `wirestack-drill`.

use std::process::ExitCode;

fn main() -> ExitCode {
    wirestack_drill::command::main(std::env::args().skip(1))
}
