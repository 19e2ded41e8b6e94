//! `wirestack nc`: standard input and output on a connection.

use crate::error::{Failure, Outcome, text};
use crate::flags::Flags;
use crate::get::families;
use crate::host::{self, Families};
use crate::http::is_timeout;
use crate::interrupt;
use crate::serve::wildcard;
use crate::setup::Session;
use clap::Args;
use std::io::{self, IsTerminal, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;
use wirestack::net::{Shutdown, TcpListener, TcpStream, UdpSocket};

const CHUNK: usize = 64 << 10;

/// Connect standard input and output to the network: nc HOST PORT, or nc -l PORT
#[derive(Debug, Args)]
pub struct Nc {
    /// HOST PORT; with -l [ADDRESS] PORT
    #[arg(required = true, num_args = 1..=2, value_name = "HOST PORT")]
    place: Vec<String>,
    /// Wait for a connection
    #[arg(short, long)]
    listen: bool,
    /// Wait for the next connection when one has ended
    #[arg(short, long, requires = "listen")]
    keep: bool,
    /// Use UDP
    #[arg(short, long, conflicts_with = "keep")]
    udp: bool,
    /// Give up after this many seconds without a connection, or of silence
    #[arg(short, long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    wait: Option<u64>,
    /// Send nothing: do not read standard input
    #[arg(short = 'd', long)]
    no_input: bool,
    /// IPv4 only
    #[arg(short = '4', conflicts_with = "only_v6")]
    only_v4: bool,
    /// IPv6 only
    #[arg(short = '6')]
    only_v6: bool,
    #[command(flatten)]
    flags: Flags,
}

impl Nc {
    /// The address that is meant.
    fn addr(&self) -> Outcome<SocketAddr> {
        let (host, port) = match (self.place.as_slice(), self.listen) {
            ([host, port], _) => (Some(host), port),
            ([port], true) => (None, port),
            _ => return Err(Failure::usage("to connect, give HOST and PORT; to listen, give -l and PORT")),
        };
        let port = port.parse().ok().filter(|&p: &u16| p > 0).ok_or_else(|| {
            Failure::usage(format!("{port:?} is not a port: give a number from 1 to 65535"))
        })?;
        let asked = Families::new(self.only_v4, self.only_v6);
        let ours = families(&self.flags);
        let usable = Families { v4: asked.v4 && ours.v4, v6: asked.v6 && ours.v6 };
        if !usable.v4 && !usable.v6 {
            return Err(Failure::usage("the stack has no --address of the family that was asked for"));
        }
        let ip = match host {
            Some(host) => host::resolve(host, self.flags.netns.as_deref(), usable)?,
            None if !usable.v6 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            None if self.only_v6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            None => wildcard(&self.flags),
        };
        Ok(SocketAddr::new(ip, port))
    }

    fn patience(&self) -> Option<Duration> {
        self.wait.map(Duration::from_secs)
    }
}

/// Connects or listens, and copies in both directions.
pub fn run(args: &Nc) -> Outcome {
    let addr = args.addr()?;
    let session = Session::start(&args.flags, "nc")?;
    let result = match (args.udp, args.listen) {
        (true, _) => udp(args, &session, addr),
        (false, true) => listen(args, &session, addr),
        (false, false) => connect(args, &session, addr).and_then(|s| talk(args, &session, &s)),
    };
    let interrupted = session.interrupt.is_set();
    let ended = session.end();
    if interrupted {
        // A listener that is told to stop has done its job.
        return if args.listen { Ok(()) } else { std::process::exit(i32::from(interrupt::STATUS)) };
    }
    result.and(ended)
}

fn connect(args: &Nc, session: &Session, addr: SocketAddr) -> Outcome<TcpStream> {
    match args.patience() {
        Some(limit) => TcpStream::connect_timeout_on(&session.runtime, &addr, limit),
        None => TcpStream::connect_on(&session.runtime, addr),
    }
    .map_err(|e| session.failure(format!("cannot connect to {addr}"), &e))
}

fn listen(args: &Nc, session: &Session, addr: SocketAddr) -> Outcome {
    let listener = TcpListener::bind_on(&session.runtime, addr)
        .map_err(|e| session.failure(format!("cannot listen on {addr}"), &e))?;
    let failed = |e: io::Error| match is_timeout(&e) {
        true => Failure::new("nobody connected in time"),
        false => session.failure("cannot accept a connection", &e),
    };
    listener.set_accept_timeout(args.patience()).map_err(failed)?;
    loop {
        let (stream, peer) = listener.accept().map_err(failed)?;
        if args.flags.watch.verbose > 0 {
            eprintln!("connection from {}", SocketAddr::new(peer.ip().to_canonical(), peer.port()));
        }
        let result = talk(args, session, &stream);
        if !args.keep || session.interrupt.is_set() {
            return result;
        }
        if let Err(e) = result {
            eprintln!("wirestack: {e}");
        }
    }
}

/// Copies in both directions until both have ended. The end of standard input is sent as FIN; what
/// the peer still sends is printed.
fn talk(args: &Nc, session: &Session, stream: &TcpStream) -> Outcome {
    let (told, sender) = mpsc::channel();
    let half = stream.try_clone().map_err(|e| session.failure("cannot use the connection", &e))?;
    // After `-k`'s first connection standard input is at its end, and each later one gets a FIN at once.
    let no_input = args.no_input;
    thread::spawn(move || {
        let result = if no_input { Ok(()) } else { send_input(&half) };
        let _ = half.shutdown(Shutdown::Write);
        let _ = told.send(result);
    });
    receive(args, stream).map_err(|e| match is_timeout(&e) {
        true => Failure::new("the peer was silent for too long"),
        false => session.failure("the connection broke", &e),
    })?;
    // The peer has ended its half. Ours goes on as long as there is input, except that nobody wants to
    // press Ctrl-D for a peer that is gone.
    if (!io::stdin().is_terminal() || no_input)
        && let Ok(Err(e)) = sender.recv()
    {
        return Err(session.failure("cannot send", &e));
    }
    Ok(())
}

fn send_input(mut stream: &TcpStream) -> io::Result<()> {
    let mut buf = vec![0; CHUNK];
    let mut input = io::stdin().lock();
    loop {
        match input.read(&mut buf) {
            Ok(0) => return Ok(()),
            Ok(n) => stream.write_all(&buf[..n])?,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

fn receive(args: &Nc, mut stream: &TcpStream) -> io::Result<()> {
    stream.set_read_timeout(args.patience())?;
    let mut buf = vec![0; CHUNK];
    let mut out = io::stdout().lock();
    loop {
        match stream.read(&mut buf)? {
            0 => return Ok(()),
            n => {
                out.write_all(&buf[..n])?;
                out.flush()?;
            }
        }
    }
}

/// Each read of standard input is a datagram. A listener answers whoever wrote first.
fn udp(args: &Nc, session: &Session, addr: SocketAddr) -> Outcome {
    let failed = |what: &str| {
        let what = what.to_owned();
        move |e: io::Error| session.failure(what, &e)
    };
    let local = match (args.listen, addr) {
        (true, addr) => addr,
        (false, SocketAddr::V4(_)) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        (false, SocketAddr::V6(_)) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind_on(&session.runtime, local).map_err(failed("cannot bind"))?;
    socket.set_read_timeout(args.patience()).map_err(failed("cannot set a time limit"))?;
    let mut buf = vec![0; 65_536];
    if args.listen {
        let (n, peer) = match socket.recv_from(&mut buf) {
            Err(e) if is_timeout(&e) => return Err(Failure::new("no datagram came in time")),
            other => other.map_err(failed("cannot receive"))?,
        };
        socket.connect(peer).map_err(failed("cannot answer"))?;
        print(&buf[..n])?;
    } else {
        socket.connect(addr).map_err(failed("cannot connect"))?;
    }
    let (told, ended) = mpsc::channel();
    let half = socket.try_clone().map_err(failed("cannot use the socket"))?;
    if !args.no_input {
        thread::spawn(move || {
            let _ = told.send(send_datagrams(&half));
        });
    }
    loop {
        match socket.recv(&mut buf) {
            Ok(n) => print(&buf[..n])?,
            Err(e) if is_timeout(&e) => break,
            Err(e) => return Err(session.failure("cannot receive", &e)),
        }
    }
    match ended.recv_timeout(Duration::ZERO) {
        Ok(Err(e)) => Err(session.failure("cannot send", &e)),
        Ok(Ok(())) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Ok(()),
    }
}

fn print(data: &[u8]) -> Outcome {
    let mut out = io::stdout().lock();
    out.write_all(data)
        .and_then(|()| out.flush())
        .map_err(|e| Failure::new(format!("cannot write to standard output: {}", text(&e))))
}

fn send_datagrams(socket: &UdpSocket) -> io::Result<()> {
    // Larger reads are cut, so that a datagram is sent in one frame on most links.
    let mut buf = vec![0; 1400];
    let mut input = io::stdin().lock();
    loop {
        match input.read(&mut buf) {
            Ok(0) => return Ok(()),
            Ok(n) => {
                socket.send(&buf[..n])?;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}
