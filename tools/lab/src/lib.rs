//! A laboratory for network programs: private network namespaces, links between them, and
//! kernel-side peers to talk to.
//!
//! Nothing here needs a program to be installed, and nothing is left behind, not even when the
//! process is killed: a [`Namespace`] has no name, it lives as long as a descriptor of it, and the
//! kernel takes its interfaces down with it; a [`Child`] dies with the thread that started it.
//!
//! Read in this order: [`namespace`], [`link`] (interfaces in a namespace), [`child`] (programs in
//! a namespace), [`peer`] (threads that play the other side with the kernel's sockets), [`pattern`]
//! (the octets that are sent), [`needs`] (what a test wants of the machine). `netlink` and `sys` are
//! how it is done; `sys` has all the `unsafe`.
//!
//! ```no_run
//! # fn main() -> Result<(), wirestack_lab::Error> {
//! use wirestack_lab::{Namespace, Offload};
//! let (left, right) = (Namespace::new()?, Namespace::new()?);
//! let (a, b) = left.add_veth("a", &right, "b")?;
//! a.add_address("10.0.0.1".parse().unwrap(), 24)?;
//! b.add_address("10.0.0.2".parse().unwrap(), 24)?;
//! b.set_offload(Offload::Segmentation, false)?;
//! a.up()?;
//! b.up()?;
//! let server = wirestack_lab::peer::echo(&right, "10.0.0.2:7".parse().unwrap())?;
//! let reply = left.run(|| std::net::TcpStream::connect(server.addr()))?;
//! # drop(reply);
//! # Ok(())
//! # }
//! ```

pub mod child;
mod error;
pub mod link;
pub mod namespace;
pub mod needs;
mod netlink;
pub mod pattern;
pub mod peer;
mod sys;

pub use child::Child;
pub use error::{Error, Result};
pub use link::{Link, Offload};
pub use namespace::Namespace;
pub use needs::{Need, can_create};
pub use pattern::Pattern;
