//! **wirestack**: a packet-level TCP/IP stack in userspace.
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

pub mod buf;
pub mod config;
#[cfg(feature = "std")]
pub mod device;
pub mod endpoint;
pub mod env;
pub mod errno;
pub mod event;
pub mod ip;
pub mod link;
pub mod posix;
pub mod profile;
pub mod raw;
pub mod reason;
pub mod rng;
#[cfg(feature = "std")]
pub mod runtime;
pub mod socket;
pub mod stack;
pub mod state;
pub mod stats;
pub mod tcp;
pub mod time;
pub mod udp;
pub mod wire;

pub use config::{Config, Limits};
pub use errno::{Errno, Result};
pub use event::Event;
pub use profile::Profile;
#[cfg(feature = "std")]
pub use runtime::{Runtime, net};
pub use stack::Stack;
pub use time::Instant;

/// An interface of a stack. Interface 0 is the loopback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IfaceId(pub u32);

impl IfaceId {
    /// The loopback interface, which every stack has.
    pub const LOOPBACK: Self = Self(0);
}

slotmap::new_key_type! {
    /// A socket of a stack. A closed socket's id is never reused for another.
    pub struct SocketId;
    /// A TCP connection of a stack; it may outlive its socket.
    pub struct ConnId;
}
