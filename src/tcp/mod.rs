//! TCP (RFC 9293), one file a concept. Nothing here knows the machine or the sockets: a connection is
//! a value that takes segments, timeouts and calls, and gives plans for segments.
//!
//! Read in this order:
//! - [`crate::state`] (the states and their transitions), `tcb` (what a connection knows), `segment`
//! - the way in: `input` (the steps of section 3.10.7.4), `ack`, `receive`, `sack`, `urgent`
//! - the way out: `output`, `mss`, `window`, `ack_policy`
//! - the ends: `handshake`, `half_open`, `cookie`, `close`, `time_wait`
//! - time: `timer`, `expire`, `rtt`, `keepalive`
//! - losses: [`recovery`], [`congestion`]
//! - the application: `user`, `settings`, `autotune`

mod ack;
mod ack_policy;
mod autotune;
mod close;
pub mod congestion;
mod cookie;
mod expire;
mod half_open;
mod handshake;
mod icmp;
mod info;
mod input;
mod isn;
mod keepalive;
mod mss;
mod output;
mod receive;
pub mod recovery;
mod rtt;
mod sack;
mod segment;
mod settings;
mod tcb;
mod time_wait;
mod timer;
mod urgent;
mod user;
mod window;

pub use crate::event::Timer;
pub use crate::state::{Cause, State, TRANSITIONS, Transition};
pub(crate) use cookie::PRESSURE as COOKIE_PRESSURE;
pub use half_open::{HalfOpen, HalfOpenVerdict};
pub use info::TcpInfo;
pub use input::Verdict;
pub(crate) use isn::{initial_sequence, timestamp_offset};
pub use output::{Plan, ProbeKind};
pub use segment::{CHECKSUM_OFFSET, Header, Segment};
pub use settings::Settings;
pub(crate) use tcb::Opening;
pub use tcb::{RecvSide, SendSide, Signals, Tcb};
pub use time_wait::{TimeWait, TimeWaitVerdict};
pub use timer::TimerTable;
