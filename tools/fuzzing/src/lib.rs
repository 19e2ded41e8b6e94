//! What the fuzz targets do, without the fuzzer.
//!
//! Each target is a function of octets that panics when something is wrong: `fuzz/` calls them from
//! libFuzzer, `tests/replay.rs` with everything in `fuzz/corpus`, so that every finding of the past is
//! a plain test.
//!
//! Read in this order: [`input`] (octets become decisions), [`packet`] (frames made by hand),
//! [`check`] (what every frame sent must be), [`stage`] (a stack with connections in every state),
//! [`frame()`](mod@frame), [`lab`] (two stacks on a hostile wire), [`stream`] (what one end may read of what the other
//! wrote), [`operations`](mod@operations), [`parsers`](mod@parsers).

pub mod check;
pub mod frame;
pub mod input;
pub mod lab;
pub mod operations;
pub mod packet;
pub mod parsers;
pub mod stage;
pub mod stream;

pub use frame::frame;
pub use operations::operations;
pub use parsers::parsers;

/// What takes the octets of a fuzzer.
pub type Target = fn(&[u8]);

/// The targets by their names.
pub const TARGETS: [(&str, Target); 3] = [("frame", frame), ("operations", operations), ("parsers", parsers)];
