//! The kernel's side: threads in a namespace, pinned to the first core, with CUBIC whatever the host's
//! default is (BBR paces, which would measure its pacing).

use crate::machine;
use rustix::net::{Shutdown, shutdown, sockopt::set_tcp_congestion};
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use wirestack_lab::Namespace;

/// Octets per call of the kernel's programs.
const CALL: usize = 256 << 10;
/// Threads that accept short connections.
const ACCEPTORS: usize = 4;

/// What the kernel's program does with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Reads and counts.
    Sink,
    /// Writes without end.
    Source,
    /// Gives each octet back.
    Echo,
}

/// A server of the kernel. Dropping it ends its threads.
pub struct Peer {
    addr: SocketAddr,
    received: Arc<AtomicU64>,
    listener: Arc<TcpListener>,
    /// The connection that each thread serves: the stack under test may vanish without a word.
    open: Arc<Mutex<Vec<Option<TcpStream>>>>,
    ended: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Peer {
    /// Starts one in `ns` on a free port of `ip`.
    pub fn start(ns: &Namespace, ip: IpAddr, role: Role) -> io::Result<Self> {
        let listener = ns.run(|| -> io::Result<_> {
            let l = TcpListener::bind((ip, 0))?;
            set_tcp_congestion(&l, "cubic")?;
            Ok(Arc::new(l))
        })?;
        let mut peer = Self {
            addr: listener.local_addr()?,
            received: Arc::default(),
            listener,
            open: Arc::default(),
            ended: Arc::default(),
            threads: Vec::new(),
        };
        let count = if role == Role::Echo { ACCEPTORS } else { 1 };
        peer.lock().resize_with(count, || None);
        for index in 0..count {
            let (listener, received) = (peer.listener.clone(), peer.received.clone());
            let (open, ended) = (peer.open.clone(), peer.ended.clone());
            let body = move || {
                machine::pin(machine::PEER_CPU);
                while let Ok((stream, _)) = listener.accept() {
                    let shelve = |s| open.lock().unwrap_or_else(PoisonError::into_inner)[index] = s;
                    shelve(stream.try_clone().ok());
                    if ended.load(Relaxed) {
                        return;
                    }
                    // An end of the connection is how every run ends.
                    let _ = serve(&stream, role, &received);
                    shelve(None);
                }
            };
            peer.threads.push(ns.thread("kernel-peer", body)?);
        }
        Ok(peer)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Option<TcpStream>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Octets that a sink has read so far.
    pub fn received(&self) -> u64 {
        self.received.load(Relaxed)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.ended.store(true, Relaxed);
        // Wakes accept(2) with an error.
        let _ = shutdown(&*self.listener, Shutdown::Both);
        for s in self.lock().iter_mut().filter_map(Option::take) {
            let _ = s.shutdown(std::net::Shutdown::Both);
        }
        for t in self.threads.drain(..) {
            let _ = t.join();
        }
    }
}

fn serve(mut stream: &TcpStream, role: Role, received: &AtomicU64) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buf = vec![0; CALL];
    match role {
        Role::Sink => loop {
            match stream.read(&mut buf)? {
                0 => return Ok(()),
                n => received.fetch_add(n as u64, Relaxed),
            };
        },
        Role::Source => loop {
            stream.write_all(&buf)?;
        },
        Role::Echo => loop {
            match stream.read(&mut buf[..64])? {
                0 => return Ok(()),
                n => stream.write_all(&buf[..n])?,
            }
        },
    }
}

/// A client of the kernel in `ns`.
pub fn connect(ns: &Namespace, addr: SocketAddr) -> io::Result<TcpStream> {
    let stream = ns.run(|| -> io::Result<_> {
        let s = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None)?;
        set_tcp_congestion(&s, "cubic")?;
        rustix::net::connect(&s, &addr)?;
        Ok(TcpStream::from(s))
    })?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
