//! A connection between two stacks on one wire, from handshake to TIME-WAIT, in virtual time.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use wirestack::buf::Chunk;
use wirestack::ip::Cidr;
use wirestack::link::{Busy, Capabilities, Frame, RxOffload, TxFrame};
use wirestack::socket::{Domain, MsgFlags, Shutdown, Type};
use wirestack::stack::InterfaceConfig;
use wirestack::{Config, Errno, IfaceId, Instant, SocketId, Stack};

/// How much is echoed.
const OCTETS: usize = 256 << 10;
/// More than any step here takes.
const ROUNDS: usize = 100_000;
const PORT: u16 = 7;

/// What came to pass.
pub struct Report {
    /// Octets that came back right.
    pub octets: usize,
    /// Frames that crossed the wire.
    pub frames: usize,
    /// The virtual time at the end.
    pub ended: Instant,
}

/// The step that failed.
pub enum Failure {
    /// A call gave an error.
    Call(&'static str, Errno),
    /// The octets that came back are others.
    WrongData,
    /// Nothing more happens, or it goes on for ever, and this was still waited for.
    Stalled(&'static str),
    /// A connection is left.
    Left(usize),
}

impl Failure {
    /// An exit status for it.
    pub fn status(&self) -> u8 {
        match self {
            Self::Call(..) => 1,
            Self::WrongData => 2,
            Self::Stalled(_) => 3,
            Self::Left(_) => 4,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(call, errno) => write!(f, "{call} failed: {errno}"),
            Self::WrongData => f.write_str("the octets that came back are not those that were sent"),
            Self::Stalled(what) => write!(f, "still waiting for {what}"),
            Self::Left(n) => write!(f, "{n} connections are left after TIME-WAIT"),
        }
    }
}

/// Names the call in its error.
trait Named<T> {
    fn named(self, call: &'static str) -> Result<T, Failure>;
}

impl<T> Named<T> for Result<T, Errno> {
    fn named(self, call: &'static str) -> Result<T, Failure> {
        self.map_err(|e| Failure::Call(call, e))
    }
}

/// Two stacks and what is on the wire towards each.
struct Wire {
    now: Instant,
    stacks: [Stack; 2],
    iface: [IfaceId; 2],
    frames: usize,
}

impl Wire {
    fn new() -> Self {
        let now = Instant::from_secs(1);
        let mut iface = [IfaceId::LOOPBACK; 2];
        let stacks = [0, 1].map(|i| {
            let number = i as u8 + 1;
            let config = Config { secret: [number.into(), 0x70_726f_6265], ..Config::default() };
            let mut stack = Stack::new(now, config);
            iface[i] = stack.add_interface(
                now,
                InterfaceConfig {
                    name: String::from("wire0"),
                    mac: [2, 0, 0, 0, 0, number],
                    capabilities: Capabilities::ETHERNET,
                    addresses: [Cidr::new(addr(number), 24)].into(),
                    detect_duplicates: false,
                },
            );
            stack
        });
        Self { now, stacks, iface, frames: 0 }
    }

    /// Carries frames both ways until both stacks are silent.
    fn carry(&mut self) -> Result<(), Failure> {
        for _ in 0..ROUNDS {
            let mut carried = 0;
            for from in [0, 1] {
                let mut sent: Vec<Chunk> = Vec::new();
                self.stacks[from].poll_transmit(self.now, &mut |_: IfaceId, frame: &TxFrame<'_>| {
                    sent.push(frame.to_chunk());
                    Ok::<(), Busy>(())
                });
                carried += sent.len();
                let to = 1 - from;
                for frame in &sent {
                    let frame = Frame::shared(frame, RxOffload::default());
                    self.stacks[to].handle_frame(self.now, self.iface[to], frame);
                }
            }
            self.stacks.iter_mut().for_each(|s| while s.poll_event().is_some() {});
            self.frames += carried;
            if carried == 0 {
                return Ok(());
            }
        }
        Err(Failure::Stalled("silence on the wire"))
    }

    /// Lets time pass to the next timer; `None` if none runs.
    fn pass(&mut self) -> Option<()> {
        let next = self.stacks.iter_mut().filter_map(Stack::poll_timeout).min()?;
        self.now = self.now.max(next);
        let now = self.now;
        self.stacks.iter_mut().for_each(|s| s.handle_timeout(now));
        Some(())
    }

    /// Carries frames and lets time pass until `done` gives something.
    fn until<T>(
        &mut self,
        what: &'static str,
        mut done: impl FnMut(&mut [Stack; 2], Instant) -> Result<T, Errno>,
    ) -> Result<T, Failure> {
        for _ in 0..ROUNDS {
            self.carry()?;
            match done(&mut self.stacks, self.now) {
                Err(Errno::EAGAIN) => self.pass().ok_or(Failure::Stalled(what))?,
                other => return other.named(what),
            }
        }
        Err(Failure::Stalled(what))
    }
}

const fn addr(number: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, number))
}

/// All of it.
pub fn run() -> Result<Report, Failure> {
    let mut wire = Wire::new();
    let now = wire.now;

    let [client, server] = &mut wire.stacks;
    let listener = server.socket(Domain::Inet, Type::Stream, 0).named("socket")?;
    server.bind(now, listener, SocketAddr::new(addr(2), PORT)).named("bind")?;
    server.listen(now, listener, 1).named("listen")?;
    let socket = client.socket(Domain::Inet, Type::Stream, 0).named("socket")?;
    match client.connect(now, socket, SocketAddr::new(addr(2), PORT)) {
        Ok(()) | Err(Errno::EINPROGRESS) => {}
        Err(e) => return Err(Failure::Call("connect", e)),
    }
    let (accepted, _) = wire.until("accept", |s, now| s[1].accept(now, listener))?;

    echo(&mut wire, socket, accepted)?;

    wire.until("the end of the client's stream", |s, now| {
        let mut buf = [0; 64];
        match s[0].recv(now, socket, &mut buf, MsgFlags::empty())? {
            0 => Ok(()),
            _ => Err(Errno::EPROTO),
        }
    })?;
    let now = wire.now;
    wire.stacks[0].close(now, socket).named("close")?;
    wire.stacks[1].close(now, accepted).named("close")?;
    wire.stacks[1].close(now, listener).named("close")?;

    // TIME-WAIT lasts a minute; five pass. Other timers (neighbours) may go on for ever.
    wire.carry()?;
    let end = wire.now + Duration::from_secs(300);
    while wire.now < end && wire.pass().is_some() {
        wire.carry()?;
    }
    let left: usize = wire.stacks.iter().map(|s| s.sockets().len()).sum();
    if left > 0 {
        return Err(Failure::Left(left));
    }
    Ok(Report { octets: OCTETS, frames: wire.frames, ended: wire.now })
}

/// The client sends, the server sends it back and ends its half after the client's.
fn echo(wire: &mut Wire, socket: SocketId, accepted: SocketId) -> Result<(), Failure> {
    let data: Vec<u8> = (0..OCTETS as u32).map(|i| (i.wrapping_mul(0x9e37_79b9) >> 24) as u8).collect();
    let (mut sent, mut back) = (0, Vec::with_capacity(OCTETS));
    let mut waiting: Vec<u8> = Vec::new();
    let mut buf = alloc::vec![0; 16 << 10];
    let mut server_done = false;
    wire.until("the echo", |[client, server], now| {
        let none = MsgFlags::empty();
        while sent < OCTETS
            && let Some(n) = ready(client.send(now, socket, &data[sent..], none))?
        {
            sent += n;
            if sent == OCTETS {
                client.shutdown(now, socket, Shutdown::Write)?;
            }
        }
        while !server_done {
            if waiting.is_empty() {
                match ready(server.recv(now, accepted, &mut buf, none))? {
                    None => break,
                    Some(0) => {
                        server.shutdown(now, accepted, Shutdown::Write)?;
                        server_done = true;
                        break;
                    }
                    Some(n) => waiting.extend_from_slice(&buf[..n]),
                }
            }
            match ready(server.send(now, accepted, &waiting, none))? {
                None => break,
                Some(n) => drop(waiting.drain(..n)),
            }
        }
        while back.len() < OCTETS
            && let Some(n) = ready(client.recv(now, socket, &mut buf, none))?
        {
            back.extend_from_slice(&buf[..n]);
            if n == 0 {
                return Err(Errno::EPIPE);
            }
        }
        if back.len() == OCTETS { Ok(()) } else { Err(Errno::EAGAIN) }
    })?;
    if back == data { Ok(()) } else { Err(Failure::WrongData) }
}

/// `None` for "not now".
fn ready<T>(result: Result<T, Errno>) -> Result<Option<T>, Errno> {
    match result {
        Ok(x) => Ok(Some(x)),
        Err(Errno::EAGAIN) => Ok(None),
        Err(e) => Err(e),
    }
}
