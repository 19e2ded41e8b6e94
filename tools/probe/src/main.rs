//! Proves that the core of wirestack needs neither `std` nor a C library: this program has an entry
//! point, an allocator and a panic handler of its own, and uses a [`Stack`](wirestack::Stack) whole.
//! If anything below the core pulled in `std`, there would be two panic handlers and it would not
//! build.
//!
//! Two stacks on one wire, in virtual time: a handshake, an echo of 256 KiB, both FINs. Exit status:
//! 0 if it all came to pass, 1 to 127 for the step that did not (with a line on standard error), 134
//! for a panic.
//!
//! Read `exchange` for what is proved, `platform` for what a system without `std` must bring.

#![no_std]
#![no_main]

extern crate alloc;

mod exchange;
mod platform;

/// Called by the entry point on a sound stack.
fn main() -> u8 {
    match exchange::run() {
        Ok(report) => {
            platform::print(format_args!(
                "probe: {} octets echoed in {} frames, both sides closed after {} s of virtual time, heap {} KiB\n",
                report.octets,
                report.frames,
                report.ended,
                platform::heap_used() / 1024,
            ));
            0
        }
        Err(failure) => {
            platform::print(format_args!("probe: {failure}\n"));
            failure.status()
        }
    }
}
