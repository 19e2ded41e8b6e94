//! The machine put to work: one thread that carries frames, and sockets that block.
//!
//! A [`Stack`](crate::Stack) does no I/O and never waits. A [`Runtime`] owns one, with a
//! [`Device`](crate::link::Device) for each of its interfaces, and does both for it:
//!
//! ```no_run
//! use std::io::{Read, Write};
//! use wirestack::{Config, Runtime, net::TcpStream, stack::InterfaceConfig};
//!
//! # fn a_device() -> Box<dyn wirestack::link::Device + Send> { unimplemented!() }
//! # fn main() -> std::io::Result<()> {
//! let mut builder = Runtime::builder(Config::default());
//! builder.interface(
//!     a_device(),
//!     InterfaceConfig {
//!         name: "wire0".into(),
//!         mac: [2, 0, 0, 0, 0, 1],
//!         capabilities: wirestack::link::Capabilities::ETHERNET,
//!         addresses: vec!["10.0.0.2/24".parse().unwrap()],
//!         detect_duplicates: false,
//!     },
//! );
//! let runtime = builder.start()?;
//!
//! let mut stream = TcpStream::connect_on(&runtime, "10.0.0.1:80")?;
//! stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
//! let mut page = Vec::new();
//! stream.read_to_end(&mut page)?;
//! drop(stream);
//! runtime.shutdown(std::time::Duration::from_secs(5))?;
//! # Ok(())
//! # }
//! ```
//!
//! **Which runtime.** The types in [`net`] have the names and the signatures of `std::net`, and use the
//! runtime that [`Runtime::set_default`] made the process's own; so a program moves over by changing
//! its `use` lines. Where several stacks live in one process, each constructor has a twin with `_on` at
//! its end that takes the runtime first. [`Socket`] is the layer below: every BSD call and every
//! option, with the names of the crate `socket2`.
//!
//! **Who does what.** A call of the application takes the lock, makes the call, sends what follows from
//! it on the calling thread, and leaves; the engine thread is not involved, and is woken only if it
//! sleeps past a timer that the call has set. The engine reads the devices, runs the timers and wakes
//! those who wait. Nobody waits with the lock held.
//!
//! **Devices** with a descriptor (`Device::as_fd`) wake the engine by it. One without is looked at when its
//! `next_deadline` comes, and after something was sent to it: frames that come at any other time wait
//! until then. A device that fails loses its interface, and [`Runtime::device_error`] tells; nobody hangs.
//!
//! **How it ends.** Sockets do not keep a runtime alive. When its last [`Runtime`] handle is dropped,
//! the engine stops, and every call that waits or comes later fails with `ENETDOWN`. Data that the peer
//! has not acknowledged by then is lost, since nobody is left to retransmit it; use
//! [`Runtime::shutdown`] to wait for it.
//!
//! Read in this order: `shared` (what the lock protects, and what follows each call), `devices` (the
//! interfaces' side of it), `waiters` (who sleeps for what), `engine` (the thread), `blocking` (calls
//! that wait), then the outside: `builder`, `handle`, `socket`, [`net`].

mod blocking;
mod builder;
mod devices;
mod engine;
mod handle;
pub mod net;
mod shared;
mod socket;
#[cfg(test)]
mod tests;
mod waiters;

pub use builder::Builder;
pub use handle::{DeviceError, Runtime};
pub use shared::now;
pub use socket::Socket;
