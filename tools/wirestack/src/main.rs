//! The command `wirestack`.
mod error;
mod http;
mod ladder;
mod trace;
fn main() {}
