//! The test bed: TCP in virtual time. Nothing here sleeps, opens a descriptor or starts a thread.
//!
//! Read in this order:
//!
//! - `segment`: segments as text, in the words of tcpdump and packetdrill, to bytes and back.
//! - `dialogue`: one stack and a peer that a test plays: `rx` a segment, expect the next by `tx`.
//! - `pair`: two stacks on an impaired wire that talk to each other, and transfers between them.
//! - `smol`: smoltcp on the same wire.
#![allow(dead_code, unused_imports, reason = "each test file uses a part of the bed")]

pub mod dialogue;
pub mod pair;
pub mod segment;
#[cfg(feature = "std")]
pub mod smol;

pub use dialogue::{Dialogue, Setup};
pub use segment::{Flight, Options, Seg};
pub use wirestack::reason::Drop;
pub use wirestack::socket::{MsgFlags, Readiness, Shutdown, SocketOption};
pub use wirestack::tcp::{Cause, State};
pub use wirestack::{Errno, Profile};

use std::sync::LazyLock;
use std::time::Duration;

/// Milliseconds.
pub const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Seconds.
pub const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// The octet at `offset` of every stream that the bed sends: no period that divides a segment or a power of two, so
/// a shifted, repeated or lost piece shows.
pub fn pattern(offset: u64) -> u8 {
    ((offset % 251) as u8) ^ ((offset / 251 % 241) as u8)
}

/// After so many octets the pattern begins anew.
const PERIOD: usize = 251 * 241;

static PATTERN: LazyLock<Vec<u8>> = LazyLock::new(|| stream(0, PERIOD + 65_536));

/// At most `len` octets of the stream from `offset` on, ready made: at least 64 KiB if so many are wanted.
pub fn piece(offset: u64, len: usize) -> &'static [u8] {
    let at = (offset % PERIOD as u64) as usize;
    &PATTERN[at..(at + len).min(PATTERN.len())]
}

/// `len` octets of the stream from `offset` on.
pub fn stream(offset: u64, len: usize) -> Vec<u8> {
    (offset..offset + len as u64).map(pattern).collect()
}
