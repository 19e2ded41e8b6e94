//! One stack and a peer that the test plays, on a bare-IP link in virtual time.
//!
//! ```text
//! let mut d = Dialogue::new(Setup::default());
//! d.listen();
//! d.rx("S 0 win 65535 <mss 1000>");
//! d.tx("S. 0 ack 1 <mss 1460>");
//! d.rx(". 1 ack 1");
//! d.accept();
//! ```
//!
//! A dialogue is strict: every segment that the stack sends must be asked for by a `tx` before the next `rx` or
//! `quiet`, in its order and at its time. What it sends must be the stream of the bed, with good checksums.
//! `Stack::check_invariants` runs after every entry.

use super::segment::{Flight, Seg};
use super::{Drop, Errno, MsgFlags, Profile, Shutdown, SocketOption, State, ms, stream};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use wirestack::event::{Event, EventFilter, TcpHappening};
use wirestack::ip::InterfaceConfig;
use wirestack::link::{Capabilities, Frame, Medium, TxFrame};
use wirestack::socket::{Domain, Type};
use wirestack::tcp::Timer;
use wirestack::{Config, IfaceId, Instant, Limits, SocketId, Stack};

/// How a dialogue begins.
#[derive(Clone, Debug)]
pub struct Setup {
    pub profile: Profile,
    pub limits: Limits,
    /// Options of the peer's SYN or SYN-ACK.
    pub syn: &'static str,
    /// Window of the peer in its SYN and everywhere else that none is given.
    pub win: u16,
    /// Set on the socket (the listener) before it opens.
    pub options: Vec<SocketOption>,
    pub v6: bool,
    /// What the ISS of the stack shall be.
    pub iss: Option<u32>,
    pub peer_iss: u32,
    pub mtu: usize,
    /// Device that cuts super-segments itself, to see what TCP makes.
    pub gso: bool,
    pub backlog: i32,
}

impl Default for Setup {
    /// Linux's look; a peer with an MSS of 1000 octets and no other option.
    fn default() -> Self {
        Self {
            profile: Profile::linux(),
            limits: Limits::default(),
            syn: "<mss 1000>",
            win: 65_535,
            options: Vec::new(),
            v6: false,
            iss: None,
            peer_iss: 1_000_000,
            mtu: 1500,
            gso: false,
            backlog: 8,
        }
    }
}

impl Setup {
    /// A peer that offers SACK.
    pub fn sack() -> Self {
        Self { syn: "<mss 1000,nop,nop,sackOK>", ..Self::default() }
    }

    /// With a socket option set before the open.
    pub fn with(mut self, option: SocketOption) -> Self {
        self.options.push(option);
        self
    }
}

/// The dialogue.
pub struct Dialogue {
    pub stack: Stack,
    pub now: Instant,
    pub setup: Setup,
    pub socket: Option<SocketId>,
    pub listener: Option<SocketId>,
    /// Everything that was told so far; [`Self::take_states`] and the like take from it.
    pub events: Vec<Event>,
    pub local: SocketAddr,
    pub peer: SocketAddr,
    /// ISS of the stack, once it has sent a SYN.
    pub iss: Option<u32>,
    pub peer_iss: u32,
    iface: IfaceId,
    out: VecDeque<(Instant, Vec<u8>)>,
    began: Instant,
    log: Vec<String>,
    written: u64,
    read: u64,
}

const PORT: u16 = 80;
const PEER_PORT: u16 = 5000;

fn address(v6: bool, last: u8) -> IpAddr {
    if v6 { format!("fd00::{last}").parse().unwrap() } else { IpAddr::from([10, 0, 0, last]) }
}

impl Dialogue {
    pub fn new(setup: Setup) -> Self {
        Self::at(Instant::from_secs(1), setup)
    }

    fn at(now: Instant, setup: Setup) -> Self {
        let config = Config {
            secret: [7, 9],
            profile: setup.profile.clone(),
            limits: setup.limits.clone(),
            events: EventFilter::ALL,
        };
        let mut stack = Stack::new(now, config);
        let prefix = if setup.v6 { "fd00::1/64" } else { "10.0.0.1/24" };
        let iface = stack.add_interface(
            now,
            InterfaceConfig {
                name: "bed0".into(),
                mac: [0; 6],
                capabilities: Capabilities {
                    medium: Medium::Ip,
                    mtu: setup.mtu,
                    max_gso: if setup.gso { 65_535 } else { 0 },
                    tx_checksum: false,
                },
                addresses: vec![prefix.parse().unwrap()],
                detect_duplicates: false,
            },
        );
        Self {
            stack,
            now,
            local: (address(setup.v6, 1), PORT).into(),
            peer: (address(setup.v6, 2), PEER_PORT).into(),
            peer_iss: setup.peer_iss,
            setup,
            socket: None,
            listener: None,
            events: Vec::new(),
            iss: None,
            iface,
            out: VecDeque::new(),
            began: now,
            log: Vec::new(),
            written: 0,
            read: 0,
        }
        .settled()
    }

    fn settled(mut self) -> Self {
        self.pump();
        self.out.clear();
        self.events.clear();
        self
    }

    /// A dialogue whose ISS will be what the setup asks for: the ISS counts time (RFC 6528), so the dialogue begins
    /// when the clock has come to it.
    fn with_iss(setup: Setup, open: fn(&mut Self)) -> Self {
        let Some(wanted) = setup.iss else { return Self::new(setup) };
        let mut probe = Self::new(setup.clone());
        open(&mut probe);
        let ticks = wanted.wrapping_sub(probe.iss.expect("a SYN went out"));
        let now = Instant::from_secs(1) + Duration::from_micros(u64::from(ticks) * 4);
        Self::at(now, setup)
    }

    /// An established connection that the peer opened.
    pub fn passive(setup: Setup) -> Self {
        let mut d = Self::with_iss(setup, |d| {
            d.listen();
            d.rx(&format!("S 0 {}", d.setup.syn));
            d.take();
        });
        d.listen();
        d.rx(&format!("S 0 {}", d.setup.syn));
        d.take_flags("S.");
        d.rx(". 1 ack 1");
        d.accept();
        d.empty();
        d
    }

    /// An established connection that the stack opened.
    pub fn active(setup: Setup) -> Self {
        let mut d = Self::with_iss(setup, |d| {
            d.connect();
            d.take();
        });
        d.connect();
        d.take_flags("S");
        d.rx(&format!("S. 0 ack 1 {}", d.setup.syn));
        d.tx(". 1 ack 1");
        d
    }

    // ----- what enters

    /// A segment of the peer.
    #[track_caller]
    pub fn rx(&mut self, text: &str) {
        self.empty();
        self.rx_more(text);
    }

    /// A segment of the peer, while what the stack sent is still to be looked at.
    #[track_caller]
    pub fn rx_more(&mut self, text: &str) {
        let mut seg = Seg::parse(text);
        seg.win = seg.win.or(Some(self.setup.win));
        self.rx_seg(&seg);
    }

    #[track_caller]
    pub fn rx_seg(&mut self, seg: &Seg) {
        let flight =
            Flight { from: self.peer, to: self.local, iss: self.peer_iss, peer_iss: self.iss.unwrap_or(0) };
        self.note('<', &seg.to_string());
        let packet = seg.to_packet(&flight);
        self.rx_packet(&packet);
    }

    /// Any IP packet.
    pub fn rx_packet(&mut self, packet: &[u8]) {
        self.stack.handle_frame(self.now, self.iface, Frame::from(packet));
        self.pump();
    }

    /// An ICMP error about a segment of ours with sequence number `seq` (relative).
    pub fn rx_icmp_about(&mut self, seq: u32, icmp: etherparse::Icmpv4Type) {
        let quoted = Seg { seq, ..Seg::parse(". 0 ack 0") };
        let flight =
            Flight { from: self.local, to: self.peer, iss: self.iss.unwrap_or(0), peer_iss: self.peer_iss };
        let quote = &quoted.to_packet(&flight)[..28];
        let (IpAddr::V4(from), IpAddr::V4(to)) = (self.peer.ip(), self.local.ip()) else {
            panic!("IPv4 only")
        };
        let b = etherparse::PacketBuilder::ipv4(from.octets(), to.octets(), 64).icmpv4(icmp);
        let mut packet = Vec::new();
        b.write(&mut packet, quote).unwrap();
        self.note('<', "icmp");
        self.rx_packet(&packet);
    }

    // ----- what leaves

    /// The next segment of the stack, now.
    #[track_caller]
    pub fn tx(&mut self, text: &str) {
        let Some((_, seg)) = self.next_out() else { self.fail(text, "nothing") };
        self.compare(text, &seg);
    }

    /// The next segment of the stack, after `after` and nothing before.
    #[track_caller]
    pub fn tx_after(&mut self, after: Duration, text: &str) {
        self.empty();
        let began = self.now;
        let until = began + after;
        // A timer may be late, but by no more than the next millisecond.
        while self.out.is_empty() && self.step(until + ms(1)) {}
        let Some((at, seg)) = self.next_out() else {
            self.now = until;
            self.fail(&format!("{text} after {after:?}"), "nothing")
        };
        let took = at.since(began);
        if took + Duration::from_micros(100) < after || took > after + ms(1) {
            self.fail(&format!("{text} after {after:?}"), &format!("{seg} after {took:?}"));
        }
        self.compare(text, &seg);
    }

    /// Nothing is sent for a time.
    #[track_caller]
    pub fn quiet(&mut self, time: Duration) {
        self.empty();
        let until = self.now + time;
        while self.step(until) {
            self.empty();
        }
    }

    /// Lets time pass; what is sent meanwhile is returned.
    pub fn run(&mut self, time: Duration) -> Vec<(Instant, Seg)> {
        let until = self.now + time;
        while self.step(until) {}
        std::iter::from_fn(|| self.next_out()).collect()
    }

    /// Everything sent so far and not asked for.
    pub fn take(&mut self) -> Vec<Seg> {
        std::iter::from_fn(|| self.next_out()).map(|o| o.1).collect()
    }

    #[track_caller]
    fn take_flags(&mut self, flags: &str) -> Seg {
        let Some((_, seg)) = self.next_out() else { self.fail(flags, "nothing") };
        if seg.flags != Seg::parse(&format!("{flags} 0")).flags {
            self.fail(flags, &seg.to_string());
        }
        seg
    }

    /// Nothing was sent that was not asked for.
    #[track_caller]
    pub fn empty(&mut self) {
        if let Some((_, seg)) = self.next_out() {
            self.fail("nothing", &seg.to_string());
        }
    }

    // ----- the application

    fn stream_socket(&mut self) -> SocketId {
        let domain = if self.setup.v6 { Domain::Inet6 } else { Domain::Inet };
        let id = self.stack.socket(domain, Type::Stream, 0).unwrap();
        for o in self.setup.options.clone() {
            self.stack.set_option(self.now, id, o).unwrap();
        }
        id
    }

    pub fn listen(&mut self) {
        let id = self.stream_socket();
        self.stack.set_option(self.now, id, SocketOption::ReuseAddr(true)).unwrap();
        self.stack.bind(self.now, id, self.local).unwrap();
        self.stack.listen(self.now, id, self.setup.backlog).unwrap();
        self.listener = Some(id);
        self.pump();
    }

    pub fn connect(&mut self) {
        let id = self.stream_socket();
        self.socket = Some(id);
        assert_eq!(self.stack.connect(self.now, id, self.peer), Err(Errno::EINPROGRESS));
        self.local = self.stack.local_addr(id).unwrap();
        self.pump();
    }

    #[track_caller]
    pub fn accept(&mut self) -> SocketId {
        let (id, _) = self.stack.accept(self.now, self.listener.unwrap()).expect("a connection to accept");
        self.socket = Some(id);
        self.pump();
        id
    }

    #[track_caller]
    pub fn id(&self) -> SocketId {
        self.socket.expect("a socket")
    }

    /// Writes `len` octets of the stream; all of them must fit the buffer.
    #[track_caller]
    pub fn send(&mut self, len: usize) {
        self.send_flags(len, MsgFlags::empty());
    }

    #[track_caller]
    pub fn send_flags(&mut self, len: usize, flags: MsgFlags) {
        assert_eq!(self.try_send(len, flags), Ok(len));
    }

    pub fn try_send(&mut self, len: usize, flags: MsgFlags) -> Result<usize, Errno> {
        let data = stream(self.written, len);
        let n = self.stack.send(self.now, self.id(), &data, flags)?;
        self.written += n as u64;
        self.pump();
        Ok(n)
    }

    /// Reads exactly `len` octets, which must be the stream's.
    #[track_caller]
    pub fn recv(&mut self, len: usize) {
        let got = self.try_recv(len, MsgFlags::empty()).unwrap_or_else(|e| panic!("recv: {e}"));
        assert!(
            got == stream(self.read, len),
            "{} octets at {}, not the stream's {len}",
            got.len(),
            self.read
        );
        self.read += len as u64;
    }

    /// Reads whatever is there, at most `max`.
    pub fn try_recv(&mut self, max: usize, flags: MsgFlags) -> Result<Vec<u8>, Errno> {
        let mut buf = vec![0; max];
        let n = self.stack.recv(self.now, self.id(), &mut buf, flags);
        self.pump();
        buf.truncate(n?);
        Ok(buf)
    }

    #[track_caller]
    pub fn close(&mut self) {
        let id = self.socket.take().expect("a socket");
        self.stack.close(self.now, id).unwrap();
        self.pump();
    }

    #[track_caller]
    pub fn shutdown(&mut self, how: Shutdown) {
        self.stack.shutdown(self.now, self.id(), how).unwrap();
        self.pump();
    }

    #[track_caller]
    pub fn set(&mut self, option: SocketOption) {
        self.stack.set_option(self.now, self.id(), option).unwrap();
        self.pump();
    }

    /// The state of the connection, whoever holds it.
    pub fn state(&self) -> State {
        self.stack
            .sockets()
            .iter()
            .filter(|l| l.local == self.local && l.remote == self.peer)
            .map(|l| l.state)
            // A socket whose connection is in TIME-WAIT has none any more: the record stands beside it.
            .find(|&s| s != State::Closed)
            .unwrap_or(State::Closed)
    }

    #[track_caller]
    pub fn error(&mut self) -> Option<Errno> {
        self.stack.take_error(self.id()).unwrap()
    }

    pub fn dropped(&self, reason: Drop) -> u64 {
        self.stack.stats().dropped(reason)
    }

    // ----- what happened

    /// The transitions since the last call.
    pub fn take_states(&mut self) -> Vec<(State, State)> {
        let states = self.happenings().filter_map(|h| match h {
            TcpHappening::State { from, to } => Some((*from, *to)),
            _ => None,
        });
        let states = states.collect();
        self.events.clear();
        states
    }

    pub fn happenings(&self) -> impl Iterator<Item = &TcpHappening> {
        self.events.iter().filter_map(|e| match e {
            Event::Tcp(t) => Some(&t.what),
            _ => None,
        })
    }

    /// How often a timer fired.
    pub fn fired(&self, timer: Timer) -> usize {
        self.happenings()
            .filter(|h| matches!(h, TcpHappening::TimerFired { timer: t, .. } if *t == timer))
            .count()
    }

    /// The latest congestion window and threshold told.
    pub fn last_cwnd(&self) -> Option<(u32, u32)> {
        self.happenings()
            .filter_map(|h| match h {
                TcpHappening::Cwnd { cwnd, ssthresh } => Some((*cwnd, *ssthresh)),
                _ => None,
            })
            .last()
    }

    // ----- the machinery

    /// Goes to the next deadline if that is by `until`, else to `until`; false if it is there.
    fn step(&mut self, until: Instant) -> bool {
        match self.stack.poll_timeout() {
            Some(at) if at <= until => {
                self.now = self.now.max(at);
                self.stack.handle_timeout(self.now);
                self.pump();
                true
            }
            _ => {
                self.now = until;
                false
            }
        }
    }

    /// After an entry: drains the stack and checks it.
    pub fn pump(&mut self) {
        self.stack.check_invariants();
        let (out, now) = (&mut self.out, self.now);
        let mut sink = |_: IfaceId, f: &TxFrame<'_>| {
            let mut bytes = vec![0; f.len()];
            f.copy_to(&mut bytes);
            out.push_back((now, bytes));
            Ok(())
        };
        self.stack.poll_transmit(now, &mut sink);
        self.stack.check_invariants();
        while let Some(e) = self.stack.poll_event() {
            self.events.push(e);
        }
        assert_eq!(self.stack.events_lost(), 0);
    }

    fn next_out(&mut self) -> Option<(Instant, Seg)> {
        let (at, packet) = self.out.pop_front()?;
        let (src, dst, seg) = match Seg::from_packet(&packet, self.iss, self.peer_iss) {
            Ok(parsed) => parsed,
            Err(e) => panic!("the stack sent a bad packet: {e}\n{}", self.history()),
        };
        assert_eq!((src, dst), (self.local, self.peer), "addresses of {seg}\n{}", self.history());
        if seg.flags.contains(wirestack::wire::TcpFlags::SYN) && self.iss.is_none() {
            self.iss = Some(read_seq(&packet, self.setup.v6));
        }
        let from = seg.seq.wrapping_sub(1);
        if let Some(payload) = &seg.payload {
            assert!(
                *payload == stream(u64::from(from), payload.len()),
                "the payload of {seg} is not the stream\n{}",
                self.history()
            );
        }
        self.log.push(format!("{:>12} > {seg}", self.clock(at)));
        Some((at, seg))
    }

    fn clock(&self, at: Instant) -> String {
        let d = at.since(self.began);
        format!("{}.{:06}", d.as_secs(), d.subsec_micros())
    }

    fn note(&mut self, direction: char, text: &str) {
        self.log.push(format!("{:>12} {direction} {text}", self.clock(self.now)));
    }

    fn history(&self) -> String {
        let from = self.log.len().saturating_sub(40);
        format!("the dialogue so far:\n{}", self.log[from..].join("\n"))
    }

    #[track_caller]
    fn compare(&self, text: &str, seg: &Seg) {
        let wanted = Seg::parse(text);
        if !wanted.accepts(seg) {
            self.fail(&wanted.to_string(), &seg.to_string());
        }
    }

    #[track_caller]
    pub fn fail(&self, wanted: &str, got: &str) -> ! {
        panic!("at {}\n  expected  {wanted}\n  got       {got}\n{}", self.clock(self.now), self.history());
    }
}

fn read_seq(packet: &[u8], v6: bool) -> u32 {
    let tcp = &packet[if v6 { 40 } else { 20 }..];
    u32::from_be_bytes(tcp[4..8].try_into().unwrap())
}
