//! Servers for one purpose each, a thread per connection, and the two ends of a checked transfer.

use crate::error::{Attempt, Result};
use crate::{Namespace, Pattern};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

/// How much is read or written by a call.
const CHUNK: usize = 256 << 10;

/// A server in a namespace. Dropping it closes the listener.
#[derive(Debug)]
pub struct Server {
    addr: SocketAddr,
    listener: Arc<TcpListener>,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    bytes: AtomicU64,
    connections: AtomicU64,
    failures: AtomicU64,
}

impl Server {
    /// Where it listens; the port is a real one even if 0 was asked for.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Octets received by all connections so far.
    pub fn received(&self) -> u64 {
        self.shared.bytes.load(Ordering::Relaxed)
    }

    /// Connections that have ended so far: those that failed, too.
    pub fn ended(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Connections that ended with an error so far.
    pub fn failures(&self) -> u64 {
        self.shared.failures.load(Ordering::Relaxed)
    }

    fn start(
        ns: &Namespace,
        addr: SocketAddr,
        talk: impl Fn(&TcpStream, &AtomicU64) -> io::Result<()> + Send + Sync + 'static,
    ) -> Result<Self> {
        let listening = || format!("listening on {addr}");
        let listener = Arc::new(ns.run(|| TcpListener::bind(addr))?);
        let addr = listener.local_addr().attempt(listening)?;
        let shared = Arc::new(Shared::default());
        let theirs = (Arc::clone(&listener), Arc::clone(&shared));
        let acceptor = ns.thread("peer", move || accept(&theirs.0, &theirs.1, &Arc::new(talk)))?;
        Ok(Self { addr, listener, shared, acceptor: Some(acceptor) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // On Linux this wakes the acceptor out of accept(2).
        let _ = rustix::net::shutdown(&*self.listener, rustix::net::Shutdown::Both);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn accept(
    listener: &TcpListener,
    shared: &Arc<Shared>,
    talk: &Arc<impl Fn(&TcpStream, &AtomicU64) -> io::Result<()> + Send + Sync + 'static>,
) {
    for stream in listener.incoming() {
        if shared.stop.load(Ordering::Relaxed) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let (shared, talk) = (Arc::clone(shared), Arc::clone(talk));
        thread::spawn(move || {
            if talk(&stream, &shared.bytes).is_err() {
                shared.failures.fetch_add(1, Ordering::Relaxed);
            }
            // Closed before it is counted: who sees the count finds no connection left.
            drop(stream);
            shared.connections.fetch_add(1, Ordering::Relaxed);
        });
    }
}

/// Sends back what it receives, until the client ends its half (RFC 862).
///
/// # Errors
/// `EADDRINUSE`, `EADDRNOTAVAIL`, as bind(2).
pub fn echo(ns: &Namespace, addr: SocketAddr) -> Result<Server> {
    Server::start(ns, addr, |mut stream, bytes| {
        copy(stream, |data| {
            bytes.fetch_add(data.len() as u64, Ordering::Relaxed);
            stream.write_all(data)
        })?;
        stream.shutdown(Shutdown::Write)
    })
}

/// Reads and forgets (RFC 863), counting.
///
/// # Errors
/// As [`echo`].
pub fn sink(ns: &Namespace, addr: SocketAddr) -> Result<Server> {
    Server::start(ns, addr, |stream, bytes| {
        copy(stream, |data| {
            bytes.fetch_add(data.len() as u64, Ordering::Relaxed);
            Ok(())
        })
    })
}

/// Sends `pattern` to every client, ends its half, and waits for the client's end.
///
/// # Errors
/// As [`echo`].
pub fn source(ns: &Namespace, addr: SocketAddr, pattern: Pattern) -> Result<Server> {
    Server::start(ns, addr, move |stream, _| send_pattern(stream, pattern.clone()))
}

/// Sends `pattern` on a connection, ends this half, and waits for the other side's end.
///
/// # Errors
/// What reading or writing fails with; "invalid data" if the other side sends something.
pub fn send_pattern(mut stream: &TcpStream, pattern: Pattern) -> io::Result<()> {
    pattern.write_to(&mut stream)?;
    stream.shutdown(Shutdown::Write)?;
    copy(stream, |_| Err(ErrorKind::InvalidData.into()))
}

/// Receives exactly `pattern` on a connection, to the end of the stream.
///
/// # Errors
/// "Invalid data" where an octet differs, "unexpected end of file" if it ends early.
pub fn receive_pattern(stream: &TcpStream, mut pattern: Pattern) -> io::Result<()> {
    copy(stream, |data| pattern.check(data))?;
    if pattern.remaining() > 0 {
        let missing = format!("{} octets are missing", pattern.remaining());
        return Err(io::Error::new(ErrorKind::UnexpectedEof, missing));
    }
    Ok(())
}

/// Reads to the end and hands over what comes.
fn copy(mut stream: &TcpStream, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut buf = vec![0; CHUNK];
    loop {
        match stream.read(&mut buf) {
            Ok(0) => return Ok(()),
            Ok(n) => take(&buf[..n])?,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}
