//! `wirestack serve`: a directory over HTTP.

use crate::error::{Doing, Failure, Outcome, text};
use crate::flags::Flags;
use crate::http::Transport;
use crate::http::server::{Access, Limits, converse};
use crate::http::site::Site;
use crate::interrupt::Interrupt;
use crate::setup::Session;
use clap::Args;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;
use wirestack::net::{Shutdown, TcpListener, TcpStream};

/// Connections served at a time; more wait in the backlog.
const CONNECTIONS: usize = 1024;
/// The conversation keeps its buffers on the heap.
const THREAD_STACK: usize = 256 << 10;

/// Serve the files of a directory over HTTP/1.1
#[derive(Debug, Args)]
pub struct Serve {
    /// The directory
    dir: PathBuf,
    /// TCP port
    #[arg(short, long, default_value_t = 80, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    #[command(flatten)]
    flags: Flags,
}

impl Transport for TcpStream {
    fn set_read_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
        Self::set_read_timeout(self, limit)
    }
    fn set_write_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
        Self::set_write_timeout(self, limit)
    }
    fn finish_sending(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

/// Serves until Ctrl-C.
pub fn run(args: &Serve) -> Outcome {
    let site = open(&args.dir)?;
    let session = Session::start(&args.flags, "serve")?;
    let any = wildcard(&args.flags);
    let listener = TcpListener::bind_on(&session.runtime, SocketAddr::new(any, args.port))
        .map_err(|e| session.failure(format!("cannot listen on port {}", args.port), &e))?;
    let urls: Vec<_> = args.flags.address.iter().map(|a| url(a.addr, args.port)).collect();
    eprintln!("serving {} on {} (Ctrl-C ends it)", args.dir.display(), urls.join(" and "));
    let result = accept(&session, &listener, &Arc::new(site), args.flags.watch.verbose > 0);
    drop(listener);
    let ended = session.end();
    result.and(ended)
}

fn open(dir: &Path) -> Outcome<Site> {
    Site::open(dir).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => Failure::usage(format!("there is no directory {}", dir.display())),
        io::ErrorKind::NotADirectory => Failure::usage(format!("{} is not a directory", dir.display())),
        _ => Failure::new(format!("cannot open {}: {}", dir.display(), text(&e))),
    })
}

/// One listener for both families if there is an IPv6 address: it takes IPv4 too.
pub fn wildcard(flags: &Flags) -> IpAddr {
    if flags.address.iter().any(|a| a.addr.is_ipv6()) {
        Ipv6Addr::UNSPECIFIED.into()
    } else {
        Ipv4Addr::UNSPECIFIED.into()
    }
}

fn url(addr: IpAddr, port: u16) -> String {
    match (SocketAddr::new(addr, port), port) {
        (SocketAddr::V4(a), 80) => format!("http://{}/", a.ip()),
        (SocketAddr::V6(a), 80) => format!("http://[{}]/", a.ip()),
        (a, _) => format!("http://{a}/"),
    }
}

/// A thread for each connection, so many at a time.
fn accept(session: &Session, listener: &TcpListener, site: &Arc<Site>, log: bool) -> Outcome {
    let room = Arc::new(Room::default());
    loop {
        let place = Room::enter(&room);
        let (stream, peer) = match listener.accept() {
            Ok(accepted) => accepted,
            Err(_) if session.interrupt.is_set() => return Ok(()),
            // The client gave up between its handshake and this call.
            Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(e) => return Err(session.failure("cannot accept connections", &e)),
        };
        let site = Arc::clone(site);
        let interrupt = session.interrupt.clone();
        let serve = move || {
            let _place = place;
            serve_one(stream, peer, &site, log, &interrupt);
        };
        thread::Builder::new()
            .name("connection".into())
            .stack_size(THREAD_STACK)
            .spawn(serve)
            .doing(|| "cannot start a thread for a connection".into())?;
    }
}

fn serve_one(mut stream: TcpStream, peer: SocketAddr, site: &Site, log: bool, interrupt: &Interrupt) {
    // Answers are written in large pieces; Nagle would only hold back the last segment of each.
    let _ = stream.set_nodelay(true);
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    let outcome = converse(&mut stream, site, &Limits::default(), &mut |access| {
        if log {
            eprintln!("{}", line(peer, access));
        }
    });
    match outcome {
        // Ctrl-C took the connection away.
        Err(_) if interrupt.is_set() => {}
        Err(e) if log => eprintln!("{peer} {}", text(&e)),
        _ => {}
    }
}

fn line(peer: SocketAddr, a: &Access) -> String {
    let error = a.error.as_ref().map_or(String::new(), |e| format!(" ({e})"));
    format!("{peer} \"{}\" {} {} {:.1?}{error}", a.request.escape_debug(), a.status, a.sent, a.took)
}

/// How many are inside, and a bell for when one leaves.
#[derive(Debug, Default)]
struct Room {
    inside: Mutex<usize>,
    left: Condvar,
}

/// A place in the room.
#[derive(Debug)]
struct Place(Arc<Room>);

impl Room {
    fn enter(room: &Arc<Self>) -> Place {
        let inside = room.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let mut inside =
            room.left.wait_while(inside, |n| *n >= CONNECTIONS).unwrap_or_else(PoisonError::into_inner);
        *inside += 1;
        Place(Arc::clone(room))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *self.0.inside.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn urls_are_as_a_browser_takes_them() {
        assert_eq!(url("10.0.0.2".parse().unwrap(), 80), "http://10.0.0.2/");
        assert_eq!(url("fd00::2".parse().unwrap(), 80), "http://[fd00::2]/");
        assert_eq!(url("fd00::2".parse().unwrap(), 8080), "http://[fd00::2]:8080/");
    }

    #[test]
    fn a_full_room_waits_for_a_place() {
        let room = Arc::new(Room::default());
        let mut places: Vec<_> = (0..CONNECTIONS).map(|_| Room::enter(&room)).collect();
        let (told, entered) = mpsc::channel();
        let theirs = Arc::clone(&room);
        let waiting = thread::spawn(move || {
            told.send("tries").unwrap();
            let _place = Room::enter(&theirs);
            told.send("entered").unwrap();
        });
        assert_eq!(entered.recv(), Ok("tries"));
        assert!(entered.try_recv().is_err());
        places.pop();
        assert_eq!(entered.recv(), Ok("entered"));
        waiting.join().unwrap();
        drop(places);
        assert_eq!(*room.inside.lock().unwrap(), 0);
    }
}
