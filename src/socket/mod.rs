//! BSD sockets: the API of the machine itself (DESIGN D2). Every call is non-blocking; what would
//! block returns `EAGAIN` or `EINPROGRESS`, and [`Event::Socket`](crate::Event::Socket) tells when to
//! try again.
//!
//! Read in this order: [`types`] (the words), `name` (socket, bind,
//! connect, listen, accept, addresses), `message` (send and receive), `datagram` (UDP and raw),
//! `ending` (shutdown, close), `options`, `status` (readiness, errors, the lines of `ss`).

mod datagram;
mod ending;
mod message;
mod name;
mod options;
mod status;
pub mod types;

pub use types::*;
