//! **wirestack**: a packet-level TCP/IP stack in userspace, programmed through BSD sockets, over TAP,
//! AF_PACKET or an in-memory wire.
//!
//! Three ways in, from the outside to the inside:
//!
//! - **As a program writes it**: [`net::TcpStream`], [`net::TcpListener`] and [`net::UdpSocket`] have the
//!   shape of `std::net`; a [`Runtime`] carries them over devices ([`device::Tap`],
//!   [`device::Packet`], [`device::Wire`]).
//! - **As the kernel has it**: the socket calls of [`Stack`] (`socket`, `bind`, `listen`, `accept`,
//!   `connect`, `send`, `recv`, `shutdown`, `close`, options), non-blocking, by [`SocketId`].
//! - **As a machine**: [`Stack`] is a plain value. It does no I/O, has no clock, no thread and no
//!   randomness of its own. Frames and time go in, frames and events come out:
//!
//! ```text
//!     stack.handle_frame(now, iface, frame)      a frame arrived
//!     stack.handle_timeout(now)                  the deadline passed
//!     stack.connect(now, ..), send, recv, ...    a socket call; never blocks
//!
//!     then drain: poll_transmit(now, &mut sink) -> poll_event() -> poll_timeout()
//! ```
//!
//! Change something, drain; change something, drain. That is the whole contract.
//!
//! # The layers
//!
//! An arrow only ever points down. The upper two want `std`; all below is `no_std` with `alloc`.
//!
//! ```text
//!   runtime/   threads, blocking calls, net types        device/   TAP, AF_PACKET, wire, impairment, capture
//!   -------------------------------------------------------------------------------------------- std
//!   socket/    the socket calls
//!   stack/     the machine: demultiplexing, connections, timers, poll_*
//!   tcp/  udp/  raw/
//!   ip/        IPv4, IPv6, ICMP, fragments, routes, path MTU
//!   link/      Ethernet, neighbours, segmentation and checksums in software
//!   wire/  buf/     what headers mean, sequence numbers, checksums; packet and byte buffers
//!   time rng errno posix state event reason stats profile config env endpoint     the words
//! ```
//!
//! Follow a frame: [`device`] -> [`Stack::handle_frame`] (`stack/input.rs`) -> `ip/input.rs` ->
//! `tcp/input.rs` (the steps of RFC 9293 section 3.10.7.4) -> `tcp/receive.rs` -> [`Stack::recv`].
//! Follow an octet: [`Stack::send`] -> `tcp/user.rs` -> [`Stack::poll_transmit`] (`stack/transmit.rs`) ->
//! `tcp/output.rs` (a plan) -> `ip/output.rs` -> `link/offload.rs` -> the sink.
//!
//! # Two stacks and no network
//!
//! ```
//! use wirestack::link::{Capabilities, Frame, TxFrame};
//! use wirestack::socket::{Domain, MsgFlags, Type};
//! use wirestack::stack::InterfaceConfig;
//! use wirestack::{Config, Errno, IfaceId, Instant, Stack};
//!
//! let now = Instant::ZERO;
//! let host = |n: u8| {
//!     let mut stack = Stack::new(now, Config { secret: [1, u64::from(n)], ..Config::default() });
//!     let iface = stack.add_interface(now, InterfaceConfig {
//!         name: "eth0".into(),
//!         mac: [2, 0, 0, 0, 0, n],
//!         capabilities: Capabilities::ETHERNET,
//!         addresses: vec![format!("10.0.0.{n}/24").parse().unwrap()],
//!         detect_duplicates: false,
//!     });
//!     (stack, iface)
//! };
//! let ((mut a, eth_a), (mut b, eth_b)) = (host(1), host(2));
//!
//! let listener = b.socket(Domain::Inet, Type::Stream, 0)?;
//! b.bind(now, listener, "0.0.0.0:80".parse().unwrap())?;
//! b.listen(now, listener, 16)?;
//! let client = a.socket(Domain::Inet, Type::Stream, 0)?;
//! assert_eq!(a.connect(now, client, "10.0.0.2:80".parse().unwrap()), Err(Errno::EINPROGRESS));
//!
//! // Carry frames to and fro until both are silent: ARP, SYN, SYN-ACK, ACK.
//! let mut carry = |a: &mut Stack, b: &mut Stack| {
//!     for _ in 0..8 {
//!         let mut frames = vec![];
//!         a.poll_transmit(now, &mut |_: IfaceId, f: &TxFrame<'_>| Ok(frames.push(f.to_chunk())));
//!         for f in frames.drain(..) {
//!             b.handle_frame(now, eth_b, Frame::from(&f[..]));
//!         }
//!         b.poll_transmit(now, &mut |_: IfaceId, f: &TxFrame<'_>| Ok(frames.push(f.to_chunk())));
//!         for f in frames.drain(..) {
//!             a.handle_frame(now, eth_a, Frame::from(&f[..]));
//!         }
//!     }
//! };
//! carry(&mut a, &mut b);
//! let (server, peer) = b.accept(now, listener)?;
//! assert_eq!(peer.ip(), a.local_addr(client)?.ip());
//!
//! a.send(now, client, b"hello", MsgFlags::empty())?;
//! carry(&mut a, &mut b);
//! let mut buf = [0; 16];
//! assert_eq!(b.recv(now, server, &mut buf, MsgFlags::empty())?, 5);
//! assert_eq!(&buf[..5], b"hello");
//! # Ok::<(), Errno>(())
//! ```
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
pub mod manual;
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
