//! Scripts in packetdrill's language, run against a [`wirestack::Stack`] in process, in virtual time,
//! without privileges: a script takes milliseconds, also one about a timeout of minutes.
//!
//! ```text
//! 0    socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
//! +0   bind(3, ..., ...) = 0
//! +0   listen(3, 1) = 0
//! +0   < S 0:0(0) win 65535 <mss 1460>
//! +0   > S. 0:0(0) ack 1 <mss 1460>
//! +.1  < . 1:1(0) ack 1 win 65535
//! +0   accept(3, ..., ...) = 4
//! +0   %{ assert tcpi_snd_cwnd == 10 }%
//! ```
//!
//! Read in this order: [`script`] (the language), [`run`] (the runner), [`snippet`] (`%{ }%`),
//! [`command`] (the command line).
//!
//! # Where this differs from packetdrill
//!
//! - There is one peer, the script; packets of other protocols inside IP, GRE or MPLS are refused.
//! - What the application reads is compared with what the packets carried, and what leaves with what
//!   the application wrote: scripts get this for nothing.
//! - A packet that left before the last event and that no line expects fails the script; with
//!   `--strict` also one that left at its moment.
//! - `<raw 0203>` puts octets into the options as they stand, for options that are malformed.
//! - `1050 > 8080` before the control bits names the ports: so a script may have several connections.

pub mod command;
pub mod options;
pub mod run;
pub mod script;
pub mod snippet;
