//! The command `wirestack`.
mod http;
fn main() {}
