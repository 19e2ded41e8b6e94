//! IP: IPv4 and IPv6 input and output, routes, source addresses, fragments, ICMP, path MTU.
//!
//! Read in this order: [`types`] (what passes between this layer and those above), `input`, `output`,
//! `route`, `fragment`, `icmp`, `pmtu`.

pub mod types;

pub use types::*;
