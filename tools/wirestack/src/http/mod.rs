//! HTTP/1.1 (RFC 9110, 9112) as far as a file server and a downloader need it, over anything that
//! reads and writes.
//!
//! Read in this order: [`head`] (where a message head ends), [`request`] (what a client asked),
//! [`range`], [`site`] (which file answers it) with [`listing`], [`response`] (how the answer goes
//! out), [`server`] (one connection: keep-alive, pipelining, limits), then [`body`] and [`client`].

pub mod body;
pub mod client;
pub mod head;
pub mod listing;
pub mod range;
pub mod request;
pub mod response;
pub mod server;
pub mod site;

use std::io::{self, Read, Write};
use std::time::Duration;

/// A stream connection as HTTP uses it.
pub trait Transport: Read + Write {
    /// A read that waits longer fails with `WouldBlock` or `TimedOut`.
    fn set_read_timeout(&self, limit: Option<Duration>) -> io::Result<()>;
    /// A write that waits longer without progress fails in the same way.
    fn set_write_timeout(&self, limit: Option<Duration>) -> io::Result<()>;
    /// Sends FIN; reading goes on.
    fn finish_sending(&self) -> io::Result<()>;
}

impl Transport for std::net::TcpStream {
    fn set_read_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
        Self::set_read_timeout(self, limit)
    }
    fn set_write_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
        Self::set_write_timeout(self, limit)
    }
    fn finish_sending(&self) -> io::Result<()> {
        self.shutdown(std::net::Shutdown::Write)
    }
}

/// Did a read or write fail because its time was up?
pub fn is_timeout(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// What `Server:` and `User-Agent:` say.
pub const PRODUCT: &str = concat!("wirestack/", env!("CARGO_PKG_VERSION"));
