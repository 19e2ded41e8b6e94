//! TAP and AF_PACKET against the kernel, each test in a network namespace of its own that has no name
//! and ends with its thread. They need root; without it they are skipped, in CI they fail.

use super::segment::tests::{is_sound, make_partial};
use super::*;
use crate::errno::Errno;
use crate::link::{
    Device, Frame, Gso, GsoKind, PartialChecksum, RxChecksum, RxOffload, TxError, TxFrame, TxOffload,
};
use crate::time::Instant;
use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::process::Command;
use std::string::{String, ToString};
use std::thread;
use std::time::{Duration, Instant as Clock};
use std::vec::Vec;

type TcpStep = etherparse::PacketBuilderStep<etherparse::TcpHeader>;

const NOW: Instant = Instant::ZERO;
const LIMIT: Duration = Duration::from_secs(20);
const OUR_IP: [u8; 4] = [10, 77, 0, 2];
const HEADERS: usize = 14 + 20 + 20;

/// Runs a test in a network namespace of its own, if that is possible.
fn in_namespace(test: impl FnOnce() + Send + 'static) {
    let inside = thread::spawn(|| {
        let why = match sys::new_network_namespace() {
            Ok(()) if std::path::Path::new("/dev/net/tun").exists() => {
                test();
                return;
            }
            Ok(()) => "there is no /dev/net/tun".to_string(),
            Err(e) => std::format!("a network namespace needs root: {e}"),
        };
        assert!(std::env::var_os("CI").is_none(), "{why}");
        std::eprintln!("skipped: {why}");
    });
    if let Err(panic) = inside.join() {
        std::panic::resume_unwind(panic);
    }
}

fn ip(args: &str) {
    let out = Command::new("ip").args(args.split(' ')).output().expect("the program ip");
    assert!(out.status.success(), "ip {args}: {}", String::from_utf8_lossy(&out.stderr));
}

/// A veth: the kernel's end `va` with an address, the other end `vb`.
fn veth() {
    ip("link add va type veth peer name vb");
    ip("link set va up");
    ip("link set vb up");
    ip("addr add 10.77.0.1/24 dev va");
}

fn tap(options: &TapOptions) -> Tap {
    let tap = Tap::open("wst%d", options).unwrap();
    ip(&std::format!("addr add 10.77.0.1/24 dev {}", tap.name()));
    tap
}

/// Waits until the device is readable; false if that takes too long.
fn readable(device: &dyn Device, limit: Duration) -> bool {
    let fd = device.as_fd().unwrap();
    let limit = Timespec::try_from(limit).unwrap();
    poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&limit)).unwrap() > 0
}

fn pattern(n: usize) -> Vec<u8> {
    (0..n).map(|i| (i * 31 + i / 251) as u8).collect()
}

/// The smallest host: answers ARP, takes one TCP connection, reads it to its end, sends a reply.
struct Host<'a> {
    device: &'a mut dyn Device,
    mac: [u8; 6],
    /// What was received, in order.
    got: Vec<u8>,
    supers: usize,
    partials: usize,
    largest: usize,
    datagrams: Vec<usize>,
    peer: Option<Peer>,
    next: u32,
    fin: bool,
}

#[derive(Clone, Copy)]
struct Peer {
    mac: [u8; 6],
    ip: [u8; 4],
    port: u16,
}

impl<'a> Host<'a> {
    fn new(device: &'a mut dyn Device, mac: [u8; 6]) -> Self {
        Self {
            device,
            mac,
            got: Vec::new(),
            supers: 0,
            partials: 0,
            largest: 0,
            datagrams: Vec::new(),
            peer: None,
            next: 0,
            fin: false,
        }
    }

    /// Handles frames until `done`.
    fn run(&mut self, done: impl Fn(&Self) -> bool) {
        let begin = Clock::now();
        while !done(self) {
            assert!(begin.elapsed() < LIMIT, "the kernel did not do its part in time");
            let Some(r) = self.device.receive(NOW).unwrap() else {
                readable(self.device, Duration::from_millis(100));
                continue;
            };
            self.frame(&r.as_frame());
        }
    }

    fn frame(&mut self, f: &Frame<'_>) {
        let bytes = f.bytes();
        assert_ne!(bytes[6..12], self.mac, "a frame of our own came back");
        if bytes[12..14] == [8, 6] && bytes[38..42] == OUR_IP && bytes[21] == 1 {
            return self.arp(bytes);
        }
        let Ok(p) = SlicedPacket::from_ethernet(bytes) else { return };
        let (Some(NetSlice::Ipv4(net)), Some(transport)) = (p.net, p.transport) else { return };
        if net.header().destination() != OUR_IP {
            return;
        }
        self.largest = self.largest.max(bytes.len());
        match f.offload.checksum {
            RxChecksum::Partial(c) => {
                self.partials += 1;
                let mut copy = bytes.to_vec();
                crate::link::offload::complete_checksum(&mut copy, c);
                assert!(is_sound(&copy), "completed");
            }
            RxChecksum::Unknown => assert!(is_sound(bytes)),
            RxChecksum::Verified => {}
        }
        match transport {
            TransportSlice::Tcp(t) => {
                let mac = bytes[6..12].try_into().unwrap();
                self.peer = Some(Peer { mac, ip: net.header().source(), port: t.source_port() });
                self.tcp(&t, f.offload);
            }
            TransportSlice::Udp(u) => self.datagrams.push(u.payload().len()),
            _ => {}
        }
    }

    fn arp(&mut self, request: &[u8]) {
        let mut reply = request[..42].to_vec();
        reply.copy_within(6..12, 0);
        reply[6..12].copy_from_slice(&self.mac);
        reply[21] = 2;
        reply.copy_within(22..32, 32);
        reply[22..28].copy_from_slice(&self.mac);
        reply[28..32].copy_from_slice(&OUR_IP);
        self.send(&reply, &[], TxOffload::default());
    }

    fn tcp(&mut self, t: &etherparse::TcpSlice<'_>, offload: RxOffload) {
        let seq = t.sequence_number();
        if t.syn() {
            self.next = seq.wrapping_add(1);
            return self.segment(1000, TcpStep::syn, &[]);
        }
        if seq == self.next {
            self.got.extend_from_slice(t.payload());
            self.next = self.next.wrapping_add(t.payload().len() as u32 + u32::from(t.fin()));
            self.fin |= t.fin();
            if let Some(gso) = offload.gso {
                self.supers += 1;
                assert_eq!(gso.kind, GsoKind::Tcp4);
                assert!((536..=1460).contains(&gso.size) && t.payload().len() > usize::from(gso.size));
                assert!(matches!(
                    offload.checksum,
                    RxChecksum::Partial(PartialChecksum { start: 34, offset: 16 })
                ));
            }
        }
        if !t.payload().is_empty() || t.fin() {
            self.segment(1001, |b| b, &[]);
        }
    }

    /// A segment with all checksums made here.
    fn segment(&mut self, seq: u32, with: impl Fn(TcpStep) -> TcpStep, payload: &[u8]) {
        let frame = self.build(seq, with, payload);
        self.send(&frame, &[], TxOffload::default());
    }

    fn build(&self, seq: u32, with: impl Fn(TcpStep) -> TcpStep, payload: &[u8]) -> Vec<u8> {
        let peer = self.peer.unwrap();
        let b = PacketBuilder::ethernet2(self.mac, peer.mac).ipv4(OUR_IP, peer.ip, 64);
        let b = with(b.tcp(80, peer.port, seq, 65_535).ack(self.next));
        let mut frame = Vec::new();
        b.write(&mut frame, payload).unwrap();
        frame
    }

    /// Sends the reply, in super-segments if the device takes them, and ends the connection.
    fn reply(&mut self, data: &[u8]) {
        let caps = self.device.capabilities();
        let piece = if caps.max_gso > 0 { 28_000 } else { 1400 };
        let mut seq = 1001u32;
        for part in data.chunks(piece) {
            let mut frame = self.build(seq, TcpStep::psh, part);
            let mut offload = TxOffload::default();
            if caps.tx_checksum {
                offload.checksum = Some(make_partial(&mut frame));
                offload.gso = Some(Gso { kind: GsoKind::Tcp4, size: 1400, ecn: false });
            }
            // More pieces than one call takes.
            let payload: Vec<&[u8]> = frame[HEADERS..].chunks(300).collect();
            self.send(&frame[..HEADERS], &payload, offload);
            seq = seq.wrapping_add(part.len() as u32);
        }
        self.segment(seq, TcpStep::fin, &[]);
    }

    fn send(&mut self, header: &[u8], payload: &[&[u8]], offload: TxOffload) {
        self.device.transmit(NOW, &TxFrame { header, payload, offload }).unwrap();
    }
}

/// A kernel client sends `n` octets, and reads the answer to its end.
fn client(n: usize) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut c = TcpStream::connect((core::net::Ipv4Addr::from(OUR_IP), 80)).unwrap();
        c.set_read_timeout(Some(LIMIT)).unwrap();
        c.write_all(&pattern(n)).unwrap();
        c.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        c.read_to_end(&mut answer).unwrap();
        answer
    })
}

/// 300 kB from the kernel, 56 kB to it; what the host saw.
fn exchange(device: &mut dyn Device, mac: [u8; 6]) -> (usize, usize, usize) {
    let client = client(300_000);
    let mut host = Host::new(device, mac);
    host.run(|h| h.fin);
    assert_eq!(host.got, pattern(300_000));
    host.reply(&pattern(56_000));
    assert_eq!(client.join().unwrap(), pattern(56_000));
    (host.supers, host.partials, host.largest)
}

#[test]
fn tap_with_virtio_header_exchanges_super_segments_with_the_kernel() {
    in_namespace(|| {
        let mut tap = tap(&TapOptions::default());
        assert!(tap.name().starts_with("wst"));
        let caps = tap.capabilities();
        assert_eq!((caps.mtu, caps.max_gso, caps.tx_checksum), (1500, 65_535, true));
        let mac = tap.peer_mac();
        assert_ne!(mac, tap.kernel_mac());
        let (supers, partials, largest) = exchange(&mut tap, mac);
        assert!(supers > 5 && partials >= supers && largest > 10_000, "{supers} {partials} {largest}");
        assert_eq!(tap.counters(), DeviceCounters::default());
    });
}

#[test]
fn tap_without_virtio_header_gets_plain_frames() {
    in_namespace(|| {
        let mut tap = tap(&TapOptions { vnet_hdr: false, mtu: Some(1400), ..TapOptions::default() });
        let caps = tap.capabilities();
        assert_eq!((caps.mtu, caps.max_gso, caps.tx_checksum), (1400, 0, false));
        let mac = tap.peer_mac();
        let client = client(100_000);
        let mut host = Host::new(&mut tap, mac);
        host.run(|h| h.fin);
        assert_eq!((host.got == pattern(100_000), host.supers, host.partials), (true, 0, 0));
        assert!(host.largest <= 1414);
        host.reply(b"thanks");
        assert_eq!(client.join().unwrap(), b"thanks");
    });
}

/// A child that another test is just starting holds a copy of every descriptor until it executes its
/// program: the interface may be in use for a moment after it was dropped.
fn reopen(name: &str, options: &TapOptions) -> Tap {
    let begin = Clock::now();
    loop {
        match Tap::open(name, options) {
            Err(e) if e.errno() == Errno::EBUSY && begin.elapsed() < LIMIT => thread::yield_now(),
            other => return other.unwrap(),
        }
    }
}

#[test]
fn a_persistent_tap_forgets_the_offloads_of_its_former_owner() {
    in_namespace(|| {
        let first = Tap::open("wstp", &TapOptions { persistent: true, ..TapOptions::default() }).unwrap();
        sys::tun_set_vnet_header_size(first.as_fd().unwrap(), 12).unwrap();
        drop(first);
        ip("addr add 10.77.0.1/24 dev wstp");
        for vnet_hdr in [false, true, false] {
            let mut tap = reopen("wstp", &TapOptions { vnet_hdr, ..TapOptions::default() });
            let mac = tap.peer_mac();
            let (supers, ..) = exchange(&mut tap, mac);
            assert_eq!(supers > 0, vnet_hdr);
        }
    });
}

#[test]
fn packet_on_a_veth_exchanges_super_segments_with_the_kernel() {
    in_namespace(|| {
        veth();
        let mut p = Packet::open("vb", &PacketOptions::default()).unwrap();
        let caps = p.capabilities();
        assert_eq!((caps.mtu, caps.max_gso, caps.tx_checksum), (1500, 65_535, true));
        let mac = p.peer_mac();
        let (supers, partials, largest) = exchange(&mut p, mac);
        assert!(supers > 5 && partials >= supers && largest > 10_000, "{supers} {partials} {largest}");
        assert_eq!(p.counters(), DeviceCounters::default());
    });
}

#[test]
fn packet_does_not_see_what_the_kernel_sends_through_the_same_interface() {
    in_namespace(|| {
        veth();
        ip("addr add 10.78.0.1/24 broadcast 10.78.0.255 dev vb");
        let mut p = Packet::open("vb", &PacketOptions::default()).unwrap();
        let own = p.kernel_mac();
        let kernel = UdpSocket::bind("10.78.0.1:0").unwrap();
        kernel.set_broadcast(true).unwrap();
        for _ in 0..3 {
            kernel.send_to(b"out", "10.78.0.255:9").unwrap();
        }
        // A frame from the other end, after those: what is before it in the queue was there first.
        let mut other = Packet::open("va", &PacketOptions::default()).unwrap();
        other.transmit(NOW, &FRAME).unwrap();
        let begin = Clock::now();
        loop {
            assert!(begin.elapsed() < LIMIT);
            match p.receive(NOW).unwrap() {
                Some(r) if r.chunk[..12] == FRAME.header[..12] => break,
                Some(r) => assert_ne!(r.chunk[6..12], own),
                None => drop(readable(&p, Duration::from_millis(10))),
            }
        }
    });
}

#[test]
fn packet_without_virtio_header_says_so_and_works_with_offloads_off() {
    in_namespace(|| {
        veth();
        let Ok(out) = Command::new("ethtool").args("-K va tx off tso off gso off".split(' ')).output() else {
            assert!(std::env::var_os("CI").is_none(), "ethtool is missing");
            std::eprintln!("skipped: ethtool is not installed");
            return;
        };
        assert!(out.status.success());
        let options = PacketOptions { vnet_hdr: false, ..PacketOptions::default() };
        let mut p = Packet::open("vb", &options).unwrap();
        assert_eq!((p.capabilities().max_gso, p.capabilities().tx_checksum), (0, false));
        let mac = p.peer_mac();
        assert_eq!(exchange(&mut p, mac).0, 0);
    });
}

#[test]
fn udp_super_frames_of_the_kernel_arrive_as_datagrams() {
    in_namespace(|| {
        veth();
        let mut p = Packet::open("vb", &PacketOptions::default()).unwrap();
        let mac = p.peer_mac();
        let socket = UdpSocket::bind("10.77.0.1:0").unwrap();
        const UDP_SEGMENT: i32 = 103;
        sys::set_option(std::os::fd::AsFd::as_fd(&socket), libc::IPPROTO_UDP, UDP_SEGMENT, 1000).unwrap();
        socket.send_to(&pattern(4500), (core::net::Ipv4Addr::from(OUR_IP), 9)).unwrap();
        let mut host = Host::new(&mut p, mac);
        host.run(|h| h.datagrams.len() == 5);
        assert_eq!(host.datagrams, [1000, 1000, 1000, 1000, 500]);
    });
}

#[test]
fn opening_fails_with_one_clear_sentence() {
    in_namespace(|| {
        ip("link add va type veth peer name vb");
        let tap = Tap::open("wst0", &TapOptions::default()).unwrap();
        let open = |name: &str| Tap::open(name, &TapOptions::default()).map(drop).unwrap_err();
        let packet = |name: &str| Packet::open(name, &PacketOptions::default()).map(drop).unwrap_err();
        let cases = [
            (open("wst0"), Errno::EBUSY, "in use by another process"),
            (open("va"), Errno::EINVAL, "is not a TAP interface"),
            (open("a-name-of-16-let"), Errno::EINVAL, "too long"),
            (open(""), Errno::EINVAL, "empty"),
            (open("a/b"), Errno::EINVAL, "character"),
            (packet("lo"), Errno::EOPNOTSUPP, "not an Ethernet interface"),
            (packet("nothere"), Errno::ENODEV, "no interface \"nothere\""),
            (packet("va"), Errno::ENETDOWN, "ip link set va up"),
            (packet("a-name-of-more-than-15"), Errno::ENODEV, "no interface"),
        ];
        for (e, errno, words) in cases {
            assert_eq!(e.errno(), errno, "{e}");
            assert!(e.to_string().contains(words), "{e}");
        }
        drop(tap);
        open_without_privileges();
    });
}

/// In a thread of its own, which gives its privileges away.
fn open_without_privileges() {
    let errors = thread::spawn(|| {
        let none = rustix::thread::CapabilitySet::empty();
        let sets = rustix::thread::CapabilitySets { effective: none, permitted: none, inheritable: none };
        rustix::thread::set_capabilities(None, sets).unwrap();
        let tap = Tap::open("wst9", &TapOptions::default()).map(drop).unwrap_err();
        (tap, Packet::open("va", &PacketOptions::default()).map(drop).unwrap_err())
    });
    let (tap, packet) = errors.join().unwrap();
    assert_eq!((tap.errno(), packet.errno()), (Errno::EPERM, Errno::EPERM));
    assert!(tap.to_string().contains("CAP_NET_ADMIN: run as root"), "{tap}");
    assert!(packet.to_string().contains("CAP_NET_RAW: run as root"), "{packet}");
}

/// Takes what is there until the device fails.
fn failure(device: &mut dyn Device) -> Errno {
    let begin = Clock::now();
    loop {
        assert!(begin.elapsed() < LIMIT, "no error came");
        match device.receive(NOW) {
            Ok(Some(_)) => {}
            Ok(None) => drop(readable(device, Duration::from_millis(10))),
            Err(e) => return e,
        }
    }
}

const FRAME: TxFrame<'_> = TxFrame {
    header: &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5],
    payload: &[&[0; 46]],
    offload: TxOffload { checksum: None, gso: None },
};

#[test]
fn a_tap_that_goes_down_or_away_says_so() {
    in_namespace(|| {
        let mut tap = Tap::open("wst0", &TapOptions::default()).unwrap();
        tap.transmit(NOW, &FRAME).unwrap();
        ip("link set wst0 down");
        assert_eq!(tap.transmit(NOW, &FRAME), Err(TxError::Failed(Errno::ENETDOWN)));
        assert!(tap.receive(NOW).is_ok());
        ip("link set wst0 up");
        tap.transmit(NOW, &FRAME).unwrap();
        ip("link del wst0");
        assert_eq!(failure(&mut tap), Errno::ENODEV);
        assert_eq!(tap.transmit(NOW, &FRAME), Err(TxError::Failed(Errno::ENODEV)));
        assert_eq!(tap.receive(NOW).unwrap_err(), Errno::ENODEV);
    });
}

#[test]
fn an_interface_that_goes_down_or_away_under_a_packet_socket_says_so() {
    in_namespace(|| {
        veth();
        let mut p = Packet::open("vb", &PacketOptions::default()).unwrap();
        p.transmit(NOW, &FRAME).unwrap();
        ip("link set vb down");
        assert_eq!(failure(&mut p), Errno::ENETDOWN);
        assert_eq!(p.transmit(NOW, &FRAME), Err(TxError::Failed(Errno::ENETDOWN)));
        // What came before it went down can still be read.
        while p.receive(NOW).unwrap().is_some() {}
        ip("link set vb up");
        p.transmit(NOW, &FRAME).unwrap();
        ip("link del vb");
        assert_eq!(failure(&mut p), Errno::ENODEV);
        assert_eq!(p.transmit(NOW, &FRAME), Err(TxError::Failed(Errno::ENODEV)));
        assert_eq!(failure(&mut p), Errno::ENODEV);
    });
}

#[test]
fn reading_and_writing_allocate_nothing_once_they_run() {
    in_namespace(|| {
        veth();
        let mut a = Packet::open("va", &PacketOptions::default()).unwrap();
        let mut b = Packet::open("vb", &PacketOptions::default()).unwrap();
        let mut tap = tap(&TapOptions::default());
        let payload = pattern(20_000);
        let frame =
            TxFrame { header: FRAME.header, payload: &[&payload[..700], &payload[700..1400]], ..FRAME };
        let mut round = |n: usize| {
            let mut seen = 0;
            for _ in 0..n {
                a.transmit(NOW, &frame).unwrap();
                tap.transmit(NOW, &frame).unwrap();
                while let Some(r) = b.receive(NOW).unwrap() {
                    seen += usize::from(r.chunk.len() == 1414);
                }
                while tap.receive(NOW).unwrap().is_some() {}
            }
            seen
        };
        round(50);
        let mut seen = 0;
        let info = allocation_counter::measure(|| seen = round(500));
        assert_eq!((info.count_total, seen), (0, 500));
    });
}

#[test]
fn a_wire_allocates_nothing_once_it_runs() {
    let [mut a, mut b] = Wire::pair(WireOptions::OFFLOAD);
    let payload = pattern(60_000);
    let gso = Some(Gso { kind: GsoKind::Tcp4, size: 1448, ecn: false });
    let mut round = |n: usize| {
        for _ in 0..n {
            for len in [60, 1400, 60_000] {
                let offload = TxOffload { checksum: None, gso };
                a.transmit(NOW, &TxFrame { header: FRAME.header, payload: &[&payload[..len]], offload })
                    .unwrap();
            }
            while b.receive(NOW).unwrap().is_some() {}
        }
    };
    round(10);
    assert_eq!(allocation_counter::measure(|| round(500)).count_total, 0);
}
