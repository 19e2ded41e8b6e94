//! A stack with sockets in every state, and the peers that brought it there.

use crate::check::{self, Seen};
use crate::packet::{self, ACK, FIN, PSH, SYN, Tcp, URG};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use wirestack::event::EventFilter;
use wirestack::link::{Capabilities, Frame, Medium, RxOffload, TxFrame};
use wirestack::socket::{Domain, MsgFlags, Shutdown, SocketOption, Type};
use wirestack::stack::InterfaceConfig;
use wirestack::{Config, IfaceId, Instant, Limits, Profile, SocketId, Stack};

/// The stack's Ethernet address.
pub const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// The peers'.
pub const PEER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
/// The Ethernet interface: 10.0.0.1/24, fd00::1/64.
pub const ETHERNET: IfaceId = IfaceId(1);
/// The bare-IP interface with all offloads: 10.1.0.1/24, fd01::1/64.
pub const BARE: IfaceId = IfaceId(2);

const CAPS: [Capabilities; 2] = [
    Capabilities::ETHERNET,
    Capabilities { medium: Medium::Ip, mtu: 1500, max_gso: 65_535, tx_checksum: true },
];
/// More frames than this in answer to one step are a storm.
const FRAMES_PER_STEP: usize = 20_000;
/// Timers that expire at the same instant; more, and the machine turns on the spot.
const TURNS_ON_THE_SPOT: usize = 64;

/// The other end of a connection, as it is known from what the stack sent.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The stack's end.
    pub local: SocketAddr,
    /// This end.
    pub remote: SocketAddr,
    /// What it sends next.
    pub seq: u32,
    /// The newest acknowledgment number that the stack sent: its RCV.NXT.
    pub acked: u32,
    /// The oldest sequence number of the stack that it has not acknowledged.
    pub una: u32,
    /// The newest sequence number that the stack sent: its SND.NXT.
    pub nxt: u32,
    /// The window that the stack offered last, not scaled.
    pub window: u16,
    /// The last TSval of the stack, if timestamps are on.
    pub timestamp: Option<u32>,
}

/// How the stage is set.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Bits: FreeBSD's look, the RFC's, peers without timestamps, without SACK, without window scaling.
    pub look: u8,
    /// Which of the connections of [`Stage::play`] are there.
    pub cast: u16,
    /// Initial sequence number of the peers.
    pub irs: u32,
}

/// The stack, its time and its peers.
#[derive(Debug)]
pub struct Stage {
    /// The stack.
    pub stack: Stack,
    /// The time.
    pub now: Instant,
    /// The peers.
    pub peers: Vec<Peer>,
    /// The sockets.
    pub sockets: Vec<SocketId>,
    setting: Setting,
}

/// Bounds small enough to be reached.
pub fn limits() -> Limits {
    Limits {
        sockets: 64,
        connections: 48,
        time_wait: 8,
        syn_queue: 16,
        orphans: 12,
        events: 512,
        tx_queue: 256,
        neighbours: 16,
        neighbour_queue: 8,
        reassemblies: 4,
        reassembly_bytes: 1 << 17,
        ..Limits::default()
    }
}

impl Stage {
    /// Sets the stage: interfaces, neighbours, listeners, a UDP and a raw socket.
    pub fn new(setting: Setting) -> Self {
        let profile = match setting.look & 3 {
            1 => Profile::freebsd(),
            2 => Profile::rfc(),
            _ => Profile::linux(),
        };
        let events = if setting.look & 32 == 0 { EventFilter::NONE } else { EventFilter::ALL };
        let config = Config { secret: [1, u64::from(setting.look)], profile, limits: limits(), events };
        let now = Instant::from_secs(100);
        let mut stack = Stack::new(now, config);
        for (i, caps) in CAPS.into_iter().enumerate() {
            stack.add_interface(
                now,
                InterfaceConfig {
                    name: format!("if{i}"),
                    mac: MAC,
                    capabilities: caps,
                    addresses: vec![
                        format!("10.{i}.0.1/24").parse().unwrap(),
                        format!("fd0{i}::1/64").parse().unwrap(),
                    ],
                    detect_duplicates: false,
                },
            );
        }
        let mut stage = Self { stack, now, peers: Vec::new(), sockets: Vec::new(), setting };
        stage.meet_neighbours();
        stage.open_sockets();
        stage.step();
        stage
    }

    fn meet_neighbours(&mut self) {
        self.frame(ETHERNET, &packet::arp(1, PEER_MAC, [10, 0, 0, 2], [0; 6], [10, 0, 0, 1]));
        let (us, peer): (IpAddr, IpAddr) = ("fd00::1".parse().unwrap(), "fd00::2".parse().unwrap());
        let IpAddr::V6(target) = us else { unreachable!() };
        let mut body = target.octets().to_vec();
        body.extend([1, 1]);
        body.extend(PEER_MAC);
        let mut solicitation = packet::icmp(peer, us, 135, 0, 0, &body);
        solicitation[7] = 255;
        self.frame(ETHERNET, &packet::ethernet(MAC, PEER_MAC, &solicitation));
    }

    fn open_sockets(&mut self) {
        let any = "[::]:80".parse().unwrap();
        let listener = self.socket(Domain::Inet6, Type::Stream, 0);
        self.stack.bind(self.now, listener, any).unwrap();
        self.stack.listen(self.now, listener, 6).unwrap();
        let v4 = self.socket(Domain::Inet, Type::Stream, 0);
        self.stack.bind(self.now, v4, "10.0.0.1:81".parse().unwrap()).unwrap();
        self.stack.listen(self.now, v4, 0).unwrap();
        let udp = self.socket(Domain::Inet6, Type::Dgram, 0);
        self.stack.bind(self.now, udp, "[::]:53".parse().unwrap()).unwrap();
        let connected = self.socket(Domain::Inet, Type::Dgram, 0);
        self.stack.bind(self.now, connected, "10.0.0.1:54".parse().unwrap()).unwrap();
        self.stack.connect(self.now, connected, "10.0.0.2:54".parse().unwrap()).unwrap();
        self.socket(Domain::Inet, Type::Raw, 1);
        self.socket(Domain::Inet6, Type::Raw, 58);
    }

    /// A new socket, remembered.
    fn socket(&mut self, domain: Domain, ty: Type, protocol: u8) -> SocketId {
        let id = self.stack.socket(domain, ty, protocol).unwrap();
        self.sockets.push(id);
        id
    }

    /// Brings the connections of the cast on stage, one in every state of RFC 9293 and some more.
    pub fn play(&mut self) {
        for scene in 0..16 {
            if self.setting.cast & 1 << scene != 0 {
                self.scene(scene);
            }
        }
    }

    fn scene(&mut self, scene: u16) {
        let port = 1000 + scene;
        let v6 = scene % 3 == 1;
        let net = scene % 2;
        let (local, remote) = if v6 {
            (format!("[fd0{net}::1]:80"), format!("[fd0{net}::2]:{port}"))
        } else {
            (format!("10.{net}.0.1:80"), format!("10.{net}.0.2:{port}"))
        };
        let (local, remote): (SocketAddr, SocketAddr) = (local.parse().unwrap(), remote.parse().unwrap());
        match scene {
            3 => drop(self.connect(remote)),
            4 => {
                self.syn(local, remote);
            }
            5 => {
                // Simultaneous open: SYN-RECEIVED with a socket.
                let p = self.connect(remote);
                self.send(p, SYN, &[]);
            }
            12 => {
                // Established, not accepted yet.
                let p = self.syn(local, remote);
                self.send(p, ACK, b"early");
            }
            _ => self.established(scene, local, remote),
        }
    }

    fn established(&mut self, scene: u16, local: SocketAddr, remote: SocketAddr) {
        let p = self.syn(local, remote);
        self.send(p, ACK, &[]);
        let Some(s) = self.accept() else { return };
        match scene {
            1 => self.fill_receive_queue(p),
            2 => self.write(s, 9000, true),
            6 => {
                self.write(s, 100, false);
                self.finish(s, scene);
            }
            7 => {
                self.finish(s, scene);
                self.send(p, ACK, &[]);
            }
            8 => {
                self.send(p, ACK | FIN | PSH, b"last words");
                self.write(s, 3000, false);
            }
            9 => {
                self.finish(s, scene);
                // Its FIN crosses ours.
                self.peers[p].nxt = self.peers[p].una;
                self.send(p, ACK | FIN, &[]);
            }
            10 => {
                self.send(p, ACK | FIN, &[]);
                self.finish(s, scene);
            }
            11 => {
                self.finish(s, scene);
                self.send(p, ACK, &[]);
                self.send(p, ACK | FIN, &[]);
            }
            13 => {
                self.shut_window(p);
                self.write(s, 5000, false);
            }
            14 => {
                let _ = self.stack.set_option(self.now, s, SocketOption::OobInline(true));
                self.fill_receive_queue(p);
            }
            15 => {
                let _ = self.stack.set_option(self.now, s, SocketOption::MaxSegment(88));
                let _ = self.stack.set_option(self.now, s, SocketOption::RecvBuffer(1));
                self.write(s, 4000, false);
            }
            _ => {}
        }
        self.step();
    }

    /// Data in order, data out of order with holes, and an urgent mark.
    fn fill_receive_queue(&mut self, p: usize) {
        self.send(p, ACK, b"in order");
        for gap in [100u32, 300, 500] {
            let seq = self.peers[p].seq;
            self.peers[p].seq = seq.wrapping_add(gap);
            self.send(p, ACK, &[b'o'; 50]);
            self.peers[p].seq = seq;
        }
        self.segment(p, |t| {
            t.flags = ACK | URG;
            t.urgent = 4;
            t.payload = b"urge";
        });
        self.peers[p].seq = self.peers[p].seq.wrapping_add(4);
        self.step();
    }

    fn shut_window(&mut self, p: usize) {
        self.segment(p, |t| t.window = 0);
        self.step();
    }

    /// Writes to a socket and lets it send.
    fn write(&mut self, s: SocketId, n: usize, urgent: bool) {
        let data = vec![b'w'; n];
        let _ = self.stack.send(self.now, s, &data, MsgFlags::empty());
        if urgent {
            let _ = self.stack.send(self.now, s, b"!", MsgFlags::OOB);
        }
        self.step();
    }

    /// Half a close, or a whole one: an orphan.
    fn finish(&mut self, s: SocketId, scene: u16) {
        if (self.setting.look >> 6) & 1 == scene as u8 & 1 {
            let _ = self.stack.close(self.now, s);
            self.sockets.retain(|x| *x != s);
        } else {
            let _ = self.stack.shutdown(self.now, s, Shutdown::Write);
        }
        self.step();
    }

    fn accept(&mut self) -> Option<SocketId> {
        for at in 0..2 {
            let listener = *self.sockets.get(at)?;
            if let Ok((s, _)) = self.stack.accept(self.now, listener) {
                self.sockets.push(s);
                return Some(s);
            }
        }
        None
    }

    /// A SYN from a peer; the peer that it makes.
    fn syn(&mut self, local: SocketAddr, remote: SocketAddr) -> usize {
        let p = self.peers.len();
        let irs = self.setting.irs;
        self.peers.push(Peer {
            local,
            remote,
            seq: irs,
            acked: irs,
            una: 0,
            nxt: 0,
            window: 0,
            timestamp: (self.setting.look & 4 == 0).then_some(0),
        });
        self.send(p, SYN, &[]);
        p
    }

    /// connect(2) to a peer; the peer that it makes.
    fn connect(&mut self, remote: SocketAddr) -> usize {
        let s = self.socket(if remote.is_ipv4() { Domain::Inet } else { Domain::Inet6 }, Type::Stream, 0);
        let _ = self.stack.connect(self.now, s, remote);
        self.step();
        self.peers.iter().rposition(|p| p.remote == remote).expect("the SYN was sent")
    }

    /// A well-formed segment from a peer, which acknowledges everything; then a step.
    pub fn send(&mut self, p: usize, flags: u8, payload: &[u8]) {
        let options = self.syn_options(flags);
        self.segment(p, |t| {
            t.flags = flags;
            if flags & SYN != 0 {
                t.options = &options;
            }
            t.payload = payload;
        });
        let control = u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0);
        let peer = &mut self.peers[p];
        peer.seq = peer.seq.wrapping_add(payload.len() as u32 + control);
        peer.una = peer.nxt;
        self.step();
    }

    fn syn_options(&self, flags: u8) -> Vec<u8> {
        let mut o = vec![2, 4, 5, 180];
        if flags & SYN != 0 && self.setting.look & 4 == 0 {
            o.extend([8, 10]);
            o.extend((self.now.as_millis() as u32).to_be_bytes());
            o.extend([0, 0, 0, 0, 1, 1]);
        }
        if self.setting.look & 8 == 0 {
            o.extend([4, 2, 1, 1]);
        }
        if self.setting.look & 16 == 0 {
            o.extend([3, 3, 7, 1]);
        }
        o
    }

    /// A segment of a peer as it would be, changed by `change`, and delivered.
    pub fn segment<'a>(&mut self, p: usize, change: impl FnOnce(&mut Tcp<'a>)) {
        let Some(peer) = self.peers.get(p).cloned() else { return };
        let timestamps = self.timestamps(&peer);
        let mut t = Tcp {
            src: peer.remote,
            dst: peer.local,
            seq: peer.seq,
            ack: peer.nxt,
            flags: ACK,
            window: 1000,
            urgent: 0,
            options: &[],
            payload: &[],
        };
        change(&mut t);
        let plain = t.options.is_empty();
        let t = Tcp { options: if plain { &timestamps } else { t.options }, ..t };
        let packet = packet::ip(t.src.ip(), t.dst.ip(), 6, &packet::tcp_transport(&t));
        self.packet(&packet, RxOffload::default());
    }

    /// The timestamps option of a peer's next segment.
    pub fn timestamps(&self, peer: &Peer) -> Vec<u8> {
        let Some(echo) = peer.timestamp else { return Vec::new() };
        let mut o = vec![1, 1, 8, 10];
        o.extend((self.now.as_millis() as u32).to_be_bytes());
        o.extend(echo.to_be_bytes());
        o
    }

    /// An IP packet arrives on the interface that its destination belongs to.
    pub fn packet(&mut self, packet: &[u8], offload: RxOffload) {
        let bare = match packet.first().map(|b| b >> 4) {
            Some(4) => packet.get(17) == Some(&1),
            Some(6) => packet.get(25) == Some(&1),
            _ => false,
        };
        if bare {
            self.stack.handle_frame(self.now, BARE, Frame::borrowed(packet, offload));
        } else {
            let frame = packet::ethernet(MAC, PEER_MAC, packet);
            self.stack.handle_frame(self.now, ETHERNET, Frame::borrowed(&frame, offload));
        }
    }

    /// A frame arrives as it is.
    pub fn frame(&mut self, iface: IfaceId, frame: &[u8]) {
        self.stack.handle_frame(self.now, iface, frame.into());
    }

    /// Takes everything the stack has to give, and looks at it.
    pub fn step(&mut self) {
        let Self { stack, peers, now, .. } = self;
        let mut frames = 0;
        stack.poll_transmit(*now, &mut |iface: IfaceId, f: &TxFrame<'_>| {
            frames += 1;
            assert!(frames <= FRAMES_PER_STEP, "a storm of frames");
            if let Some(seen) = check::frame(&CAPS[iface.0 as usize - 1], f) {
                note(peers, &seen);
            }
            Ok(())
        });
        let mut events = 0;
        while stack.poll_event().is_some() {
            events += 1;
            assert!(events < 10_000, "a storm of events");
        }
        stack.check_invariants();
        self.check_bounds();
    }

    fn check_bounds(&self) {
        let (used, limits) = (self.stack.usage(), limits());
        assert!(used.connections <= limits.connections, "{used:?}");
        assert!(used.half_open <= limits.syn_queue, "{used:?}");
        assert!(used.time_wait <= limits.time_wait, "{used:?}");
        assert!(used.flows <= limits.connections + limits.syn_queue + limits.time_wait, "{used:?}");
        assert!(used.timers <= used.connections + used.half_open + used.time_wait, "{used:?}");
        assert!(used.ports <= used.sockets + used.connections + used.time_wait, "{used:?}");
        assert!(self.stack.neighbours().len() <= 2 * limits.neighbours, "neighbours");
    }

    /// Time goes by, with everything that is due in it.
    pub fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        let mut on_the_spot = 0;
        while let Some(at) = self.stack.poll_timeout().filter(|at| *at <= until) {
            on_the_spot = if at <= self.now { on_the_spot + 1 } else { 0 };
            assert!(on_the_spot < TURNS_ON_THE_SPOT, "a deadline in the past does not go away");
            self.now = self.now.max(at);
            self.stack.handle_timeout(self.now);
            self.step();
        }
        self.now = until;
        self.stack.handle_timeout(self.now);
        self.step();
    }
}

/// What a peer learns from a segment.
fn note(peers: &mut Vec<Peer>, seen: &Seen) {
    if seen.flags & packet::RST != 0 {
        return;
    }
    let known = peers.iter().rposition(|p| p.local == seen.local && p.remote == seen.remote);
    let peer = match known {
        Some(i) => &mut peers[i],
        None if peers.len() < 64 => {
            peers.push(Peer {
                local: seen.local,
                remote: seen.remote,
                seq: 77,
                acked: 77,
                una: seen.seq,
                nxt: seen.end,
                window: seen.window,
                timestamp: None,
            });
            peers.last_mut().unwrap()
        }
        None => return,
    };
    if seen.flags & SYN != 0 && peer.nxt == 0 {
        peer.una = seen.seq;
        peer.nxt = seen.end;
    }
    if (seen.end.wrapping_sub(peer.nxt) as i32) > 0 {
        peer.nxt = seen.end;
    }
    if seen.flags & ACK != 0 {
        peer.acked = seen.ack;
    }
    peer.window = seen.window;
    // A SYN offers timestamps; a segment without them says that they were not agreed.
    peer.timestamp = match (seen.timestamp, peer.timestamp) {
        (Some(new), _) => Some(new),
        (None, _) => None,
    };
}
