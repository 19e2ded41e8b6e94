//! What the two ends do: ours sends its file and ends its half; the peer, when it has all of it,
//! sends its own file on the same connection and closes.

use super::stage::{Peer, Stage};
use crate::get::hex;
use sha2::{Digest, Sha256};
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};
use wirestack::net::{self, Shutdown};
use wirestack_lab::Namespace;

const CHUNK: usize = 64 << 10;
/// How long the peer's own socket calls wait: it ends by itself even if our end is gone.
const PATIENCE: Duration = Duration::from_secs(60);

/// What came of both directions.
#[derive(Debug)]
pub struct Report {
    /// Ours to the peer.
    pub sent: Done,
    /// The peer's to us.
    pub received: Done,
}

/// What came of one direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// Octets that arrived.
    pub octets: u64,
    /// SHA-256 of what was sent.
    pub sent: String,
    /// SHA-256 of what arrived.
    pub arrived: String,
    /// From the first octet written to the end of the stream read.
    pub took: Duration,
}

impl Report {
    /// Did both arrive as they were sent?
    pub fn is_good(&self) -> bool {
        self.sent.is_good() && self.received.is_good()
    }
}

impl Done {
    /// Did it arrive as it was sent?
    pub fn is_good(&self) -> bool {
        self.sent == self.arrived
    }
}

/// What one end read to the end of the stream.
#[derive(Debug)]
struct Arrived {
    octets: u64,
    hash: String,
    at: Instant,
}

/// Runs both ends.
pub fn run(stage: &Stage, size: u64, seed: u64) -> io::Result<Report> {
    let (ours, theirs) = (content(size, seed), content(size, !seed));
    let (our_hash, their_hash) = (hash(&ours), hash(&theirs));
    let addr = stage.addr();
    let peer = match &stage.peer {
        Peer::Kernel(ns) => kernel_peer(ns, addr, theirs)?,
        Peer::Stack(runtime) => {
            let listener = net::TcpListener::bind_on(runtime, addr)?;
            thread::Builder::new().name("peer".into()).spawn(move || {
                let (mut stream, _) = listener.accept()?;
                answer(&mut stream, &theirs)
            })?
        }
    };
    let begin = Instant::now();
    let mut stream = net::TcpStream::connect_on(&stage.runtime, addr)?;
    stream.write_all(&ours)?;
    stream.shutdown(Shutdown::Write)?;
    let got = receive(&mut stream)?;
    let theirs = peer.join().map_err(|_| io::Error::other("the peer's thread panicked"))??;
    drop(stream);
    Ok(Report {
        sent: Done { octets: theirs.octets, sent: our_hash, arrived: theirs.hash, took: theirs.at - begin },
        received: Done { octets: got.octets, sent: their_hash, arrived: got.hash, took: got.at - theirs.at },
    })
}

type PeerThread = thread::JoinHandle<io::Result<Arrived>>;

fn kernel_peer(ns: &Namespace, addr: SocketAddr, file: Vec<u8>) -> io::Result<PeerThread> {
    let listener = ns.run(|| std::net::TcpListener::bind(addr))?;
    thread::Builder::new().name("peer".into()).spawn(move || {
        let (mut stream, _) = accept_within(&listener, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        answer(&mut stream, &file)
    })
}

/// accept(2) has no time limit of its own in std.
fn accept_within(
    listener: &std::net::TcpListener,
    limit: Duration,
) -> io::Result<(std::net::TcpStream, SocketAddr)> {
    let timeout = rustix::net::sockopt::Timeout::Recv;
    rustix::net::sockopt::set_socket_timeout(listener, timeout, Some(limit))?;
    listener.accept()
}

/// The peer's part.
fn answer(stream: &mut (impl Read + Write), file: &[u8]) -> io::Result<Arrived> {
    let arrived = receive(stream)?;
    stream.write_all(file)?;
    Ok(arrived)
}

/// Reads to the end of the stream.
fn receive(stream: &mut impl Read) -> io::Result<Arrived> {
    let mut hash = Sha256::new();
    let mut octets = 0;
    let mut buf = vec![0; CHUNK];
    loop {
        match stream.read(&mut buf) {
            Ok(0) => break,
            Ok(n) => {
                hash.update(&buf[..n]);
                octets += n as u64;
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(Arrived { octets, hash: hex(&hash.finalize()), at: Instant::now() })
}

fn hash(data: &[u8]) -> String {
    hex(&Sha256::digest(data))
}

/// A file of random octets: a segment in the wrong place changes the hash.
fn content(size: u64, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut out = Vec::new();
    while (out.len() as u64) < size {
        // SplitMix64 (Steele, Lea, Flood 2014).
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        out.extend((z ^ (z >> 31)).to_le_bytes());
    }
    out.truncate(usize::try_from(size).unwrap_or(usize::MAX));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_their_size_and_their_seed() {
        assert_eq!(content(13, 1).len(), 13);
        assert_eq!(content(13, 1), content(100, 1)[..13]);
        assert_ne!(content(13, 1), content(13, 2));
    }

    #[test]
    fn a_difference_is_found() {
        let arrived = receive(&mut &b"abc"[..]).unwrap();
        assert_eq!((arrived.octets, arrived.hash.as_str()), (3, hash(b"abc").as_str()));
        let done = Done { octets: 3, sent: hash(b"abd"), arrived: arrived.hash, took: Duration::ZERO };
        assert!(!done.is_good());
    }
}
