//! BSD sockets: the API of the machine itself (DESIGN D2). Every call is non-blocking; what would
//! block returns `EAGAIN` or `EINPROGRESS`, and [`Event::Socket`](crate::Event::Socket) tells when to
//! try again.

mod types;

pub use types::*;
