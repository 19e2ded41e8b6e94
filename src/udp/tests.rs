use super::*;
use crate::IfaceId;
use crate::SocketId;
use crate::endpoint::{Endpoint, LocalAddr};
use crate::errno::Errno;
use crate::ip::{Datagram, ErrorKind, IcmpError, Unreachable, protocol};
use crate::link::{Frame, PartialChecksum, RxChecksum, RxOffload};
use crate::posix::{Domain, Readiness};
use crate::reason::Drop;
use crate::rng::Rng;
use crate::wire::checksum::Sum;
use alloc::vec::Vec;
use core::net::IpAddr;
use proptest::prelude::*;
use slotmap::SlotMap;

const ETH: IfaceId = IfaceId(1);

fn ip(s: &str) -> IpAddr {
    s.parse().unwrap()
}

/// A UDP datagram with a right checksum.
fn packet(src: &str, dst: &str, ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let mut b = header(ports.0, ports.1, ip(dst), payload.len()).unwrap().to_vec();
    b.extend_from_slice(payload);
    let mut sum = Sum::new();
    sum.add_pseudo_header(ip(src), ip(dst), protocol::UDP, b.len());
    sum.add(&b);
    b[6..8].copy_from_slice(&sum.checksum().to_be_bytes());
    b
}

fn datagram<'a>(src: &str, dst: &str, bytes: &'a [u8]) -> Datagram<'a> {
    let whole = 0..bytes.len();
    Datagram {
        iface: ETH,
        src: ip(src),
        dst: ip(dst),
        protocol: protocol::UDP,
        hop_limit: 61,
        traffic_class: 0x2e,
        broadcast: ip(dst).is_multicast() || dst.ends_with(".255"),
        frame: Frame::from(bytes),
        packet: whole.clone().into(),
        payload: whole.into(),
    }
}

struct Bench {
    ids: SlotMap<SocketId, ()>,
    table: UdpTable,
}

impl Bench {
    fn new() -> Self {
        Self { ids: SlotMap::with_key(), table: UdpTable::new(&mut Rng::new([3, 4])) }
    }

    fn bound(&mut self, addr: LocalAddr, port: u16, options: Options) -> SocketId {
        let domain = match addr {
            LocalAddr::AnyV4 | LocalAddr::Exact(IpAddr::V4(_)) => Domain::Inet,
            _ => Domain::Inet6,
        };
        let id = self.ids.insert(());
        self.table.insert(id, UdpSocket::new(domain, options));
        self.table.bind(id, addr, port);
        id
    }

    /// Sends "hello" and returns what became of it and who was woken.
    fn send(&mut self, src: &str, dst: &str, ports: (u16, u16)) -> (Delivery, Vec<SocketId>) {
        let bytes = packet(src, dst, ports, b"hello");
        let mut woken = Vec::new();
        let outcome = self.table.deliver(&datagram(src, dst, &bytes), |id| woken.push(id));
        (outcome, woken)
    }

    fn error(&mut self, kind: ErrorKind, dst: &str, ports: (u16, u16)) -> Result<Option<SocketId>, Drop> {
        let quote = header(ports.0, ports.1, ip(dst), 5).unwrap();
        let src = if ip(dst).is_ipv4() { ip("10.0.0.1") } else { ip("fd00::1") };
        self.table.handle_error(&IcmpError {
            from: ip(dst),
            src,
            dst: ip(dst),
            protocol: protocol::UDP,
            transport: &quote,
            kind,
        })
    }
}

fn exact(s: &str) -> LocalAddr {
    LocalAddr::Exact(ip(s))
}

fn peer(s: &str, port: u16) -> Option<Endpoint> {
    Some(Endpoint::new(ip(s), port))
}

#[test]
fn a_datagram_is_read_with_all_that_is_known_about_it() {
    let mut b = Bench::new();
    let id = b.bound(LocalAddr::AnyV4, 53, Options::default());
    assert_eq!(b.table.get(id).unwrap().readiness(), Readiness::OUT);
    assert_eq!(b.send("10.0.0.2", "10.0.0.1", (9, 53)), (Delivery::Delivered, [id].into()));
    let s = b.table.get_mut(id).unwrap();
    assert_eq!(s.readiness(), Readiness::IN | Readiness::OUT);
    assert_eq!(s.next_len(), 5);
    assert_eq!(&*s.peek().unwrap().unwrap().data, b"hello");
    let m = s.recv().unwrap().unwrap();
    assert_eq!((&*m.data, Some(m.from), m.dst), (&b"hello"[..], peer("10.0.0.2", 9), ip("10.0.0.1")));
    assert_eq!((m.iface, m.hop_limit, m.traffic_class), (ETH, 61, 0x2e));
    assert_eq!(s.recv().unwrap_err(), Errno::EAGAIN);
    assert_eq!(s.memory(), 0);
}

#[test]
fn headers_are_checked() {
    let good = packet("10.0.0.2", "10.0.0.1", (9, 53), b"hello");
    let parse_v4 = |b: &[u8]| parse(&datagram("10.0.0.2", "10.0.0.1", b)).map(|h| h.payload);
    assert_eq!(parse_v4(&good), Ok(8..13));
    for len in 0..good.len() {
        assert_eq!(parse_v4(&good[..len]), Err(Drop::UdpMalformed), "{len}");
    }
    let mut trailing = good.clone();
    trailing.extend_from_slice(b"trailer that is not summed");
    assert_eq!(parse_v4(&trailing), Ok(8..13));
    let mut short = good.clone();
    short[5] = 7;
    assert_eq!(parse_v4(&short), Err(Drop::UdpMalformed));
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(parse_v4(&bad).is_err(), "bit {bit}");
    }
    let mut empty = packet("10.0.0.2", "10.0.0.1", (0, 53), b"");
    assert_eq!(parse_v4(&empty), Ok(8..8));
    empty[6..8].fill(0);
    assert_eq!(parse_v4(&empty), Ok(8..8), "no checksum is allowed on IPv4");
    let mut six = packet("fd00::2", "fd00::1", (9, 53), b"hello");
    assert!(parse(&datagram("fd00::2", "fd00::1", &six)).is_ok());
    six[6..8].fill(0);
    assert_eq!(parse(&datagram("fd00::2", "fd00::1", &six)), Err(Drop::UdpBadChecksum));
}

#[test]
fn the_word_of_the_device_replaces_the_sum() {
    let mut bytes = packet("fd00::2", "fd00::1", (9, 53), b"hello");
    bytes[12] ^= 1;
    let with = |checksum| {
        let mut d = datagram("fd00::2", "fd00::1", &bytes);
        d.frame = Frame::borrowed(&bytes, RxOffload { checksum, gso: None });
        parse(&d).is_ok()
    };
    assert!(!with(RxChecksum::Unknown));
    assert!(with(RxChecksum::Verified));
    assert!(with(RxChecksum::Partial(PartialChecksum { start: 0, offset: 6 })));
}

#[test]
fn too_long_for_a_packet() {
    assert!(header(1, 2, ip("10.0.0.1"), 65_507).is_ok());
    assert_eq!(header(1, 2, ip("10.0.0.1"), 65_508), Err(Errno::EMSGSIZE));
    assert_eq!(header(1, 2, ip("fd00::1"), 65_527), Ok([0, 1, 0, 2, 0xff, 0xff, 0, 0]));
    assert_eq!(header(1, 2, ip("fd00::1"), 65_528), Err(Errno::EMSGSIZE));
    assert_eq!(header(1, 2, ip("fd00::1"), usize::MAX), Err(Errno::EMSGSIZE));
}

#[test]
fn the_most_specific_socket_gets_it() {
    let shared = Options { reuse_addr: true, ..Options::default() };
    let mut b = Bench::new();
    let dual = b.bound(LocalAddr::Any, 53, shared);
    let any = b.bound(LocalAddr::AnyV4, 53, shared);
    let one = b.bound(exact("10.0.0.1"), 53, shared);
    let connected = b.bound(exact("10.0.0.1"), 53, shared);
    b.table.connect(connected, exact("10.0.0.1"), peer("10.0.0.2", 9));
    // (from, to, who)
    for (src, sport, dst, expected) in [
        ("10.0.0.2", 9, "10.0.0.1", connected),
        ("10.0.0.2", 8, "10.0.0.1", one),
        ("10.0.0.3", 9, "10.0.0.1", one),
        ("10.0.0.2", 9, "10.0.0.7", any),
        ("fd00::2", 9, "fd00::1", dual),
    ] {
        assert_eq!(b.send(src, dst, (sport, 53)), (Delivery::Delivered, [expected].into()), "{src} {dst}");
    }
    assert_eq!(b.send("10.0.0.2", "10.0.0.1", (9, 54)), (Delivery::NoSocket, [].into()));
    b.table.remove(dual);
    assert_eq!(b.send("fd00::2", "fd00::1", (9, 53)).0, Delivery::NoSocket);
    b.table.bind(one, exact("10.0.0.1"), 0);
    assert_eq!(b.send("10.0.0.3", "10.0.0.1", (9, 53)).1, [any], "an unbound socket gets nothing");
}

#[test]
fn a_socket_on_an_interface_gets_only_what_came_in_there() {
    let mut b = Bench::new();
    b.bound(LocalAddr::AnyV4, 53, Options { iface: Some(IfaceId(2)), ..Options::default() });
    assert_eq!(b.send("10.0.0.2", "10.0.0.1", (9, 53)).0, Delivery::NoSocket);
    let here = b.bound(LocalAddr::AnyV4, 53, Options { iface: Some(ETH), ..Options::default() });
    b.bound(LocalAddr::AnyV4, 53, Options::default());
    assert_eq!(b.send("10.0.0.2", "10.0.0.1", (9, 53)).1, [here]);
}

#[test]
fn multicast_and_broadcast_go_to_every_socket_that_matches() {
    let shared = Options { reuse_addr: true, ..Options::default() };
    for group in ["224.0.0.251", "10.0.0.255"] {
        let mut b = Bench::new();
        let any = b.bound(LocalAddr::AnyV4, 53, shared);
        let bound = b.bound(exact(group), 53, shared);
        b.bound(exact("10.0.0.1"), 53, shared);
        let to_sender = b.bound(LocalAddr::AnyV4, 53, shared);
        b.table.connect(to_sender, LocalAddr::AnyV4, peer("10.0.0.2", 9));
        let to_other = b.bound(LocalAddr::AnyV4, 53, shared);
        b.table.connect(to_other, LocalAddr::AnyV4, peer("10.0.0.3", 9));
        assert_eq!(b.send("10.0.0.2", group, (9, 53)), (Delivery::Delivered, [any, bound, to_sender].into()));
        // Nobody answers "port unreachable" to a group (RFC 1122 section 3.2.2).
        assert_eq!(b.send("10.0.0.2", group, (9, 54)).0, Delivery::Dropped(Drop::UdpNoSocket));
    }
}

#[test]
fn reuse_port_spreads_peers_and_keeps_each_at_its_socket() {
    let mut b = Bench::new();
    let shared = Options { reuse_port: true, recv_buffer: usize::MAX, ..Options::default() };
    let ids: Vec<_> = (0..3).map(|_| b.bound(LocalAddr::AnyV4, 53, shared)).collect();
    let mut count = [0; 3];
    for port in 1..=900 {
        let first = b.send("10.0.0.2", "10.0.0.1", (port, 53)).1;
        assert_eq!(b.send("10.0.0.2", "10.0.0.1", (port, 53)).1, first);
        count[ids.iter().position(|id| *id == first[0]).unwrap()] += 1;
    }
    // 300 each expected; four standard deviations are 57.
    assert!(count.iter().all(|n| (243..=357).contains(n)), "{count:?}");
}

#[test]
fn of_sockets_with_reuse_addr_alone_the_last_one_bound_gets_it() {
    let mut b = Bench::new();
    let shared = Options { reuse_addr: true, ..Options::default() };
    b.bound(LocalAddr::AnyV4, 53, shared);
    let last = b.bound(LocalAddr::AnyV4, 53, shared);
    assert_eq!(b.send("10.0.0.2", "10.0.0.1", (9, 53)).1, [last]);
}

#[test]
fn the_receive_buffer_bounds_memory_and_holds_at_least_one() {
    for recv_buffer in [0, 2_000, 100_000] {
        let mut b = Bench::new();
        let id = b.bound(LocalAddr::AnyV4, 53, Options { recv_buffer, ..Options::default() });
        let mut taken = 0;
        while b.send("10.0.0.2", "10.0.0.1", (9, 53)).0 == Delivery::Delivered {
            taken += 1;
            assert!(taken < 10_000);
        }
        assert!(taken >= 1);
        assert_eq!(
            b.send("10.0.0.2", "10.0.0.1", (9, 53)),
            (Delivery::Dropped(Drop::UdpBufferFull), [].into())
        );
        let s = b.table.get_mut(id).unwrap();
        let one = s.memory() / taken;
        assert!(s.memory() > recv_buffer && s.memory() <= recv_buffer + one, "{}", s.memory());
        assert_eq!(s.dropped(), 2);
        while s.recv().is_ok() {}
        assert_eq!(s.memory(), 0);
        assert_eq!(b.send("10.0.0.2", "10.0.0.1", (9, 53)).0, Delivery::Delivered);
    }
}

#[test]
fn icmp_errors_reach_connected_sockets_if_they_are_fatal() {
    use ErrorKind::*;
    // (kind, IPv4 errno, is told without IP_RECVERR)
    for (kind, errno, told) in [
        (Unreachable(self::Unreachable::Port), Errno::ECONNREFUSED, true),
        (Unreachable(self::Unreachable::Protocol), Errno::ENOPROTOOPT, true),
        (Unreachable(self::Unreachable::Prohibited), Errno::EHOSTUNREACH, true),
        (Unreachable(self::Unreachable::HostUnknown), Errno::EHOSTDOWN, true),
        (Unreachable(self::Unreachable::Host), Errno::EHOSTUNREACH, false),
        (Unreachable(self::Unreachable::Network), Errno::ENETUNREACH, false),
        (TimeExceeded { code: 0 }, Errno::EHOSTUNREACH, false),
        (ParameterProblem { pointer: 0, code: 0 }, Errno::EPROTO, true),
        (PacketTooBig { mtu: 1280 }, Errno::EMSGSIZE, true),
    ] {
        for recv_err in [false, true] {
            for connected in [false, true] {
                let mut b = Bench::new();
                let id = b.bound(LocalAddr::AnyV4, 5000, Options { recv_err, ..Options::default() });
                if connected {
                    b.table.connect(id, exact("10.0.0.1"), peer("10.0.0.2", 9));
                }
                let expected = recv_err || (told && connected);
                let result = b.error(kind, "10.0.0.2", (5000, 9));
                assert_eq!(result, Ok(expected.then_some(id)), "{kind:?} {recv_err} {connected}");
                let s = b.table.get_mut(id).unwrap();
                assert_eq!(s.readiness().contains(Readiness::ERR), expected);
                assert_eq!(s.recv().unwrap_err(), if expected { errno } else { Errno::EAGAIN });
                assert_eq!(s.recv().unwrap_err(), Errno::EAGAIN, "told once");
            }
        }
    }
}

#[test]
fn an_error_about_somebody_elses_datagram_is_dropped() {
    let refused = ErrorKind::Unreachable(Unreachable::Port);
    let mut b = Bench::new();
    let id = b.bound(exact("10.0.0.1"), 5000, Options::default());
    b.table.connect(id, exact("10.0.0.1"), peer("10.0.0.2", 9));
    assert_eq!(b.error(refused, "10.0.0.2", (5001, 9)), Err(Drop::IcmpQuoteMismatch));
    assert_eq!(b.error(refused, "10.0.0.2", (5000, 8)), Err(Drop::IcmpQuoteMismatch));
    assert_eq!(b.error(refused, "10.0.0.3", (5000, 9)), Err(Drop::IcmpQuoteMismatch));
    assert_eq!(b.table.get_mut(id).unwrap().take_error(), None);
    let six = b.bound(exact("fd00::1"), 5000, Options::default());
    b.table.connect(six, exact("fd00::1"), peer("fd00::2", 9));
    let prohibited = ErrorKind::Unreachable(Unreachable::Prohibited);
    assert_eq!(b.error(prohibited, "fd00::2", (5000, 9)), Ok(Some(six)));
    assert_eq!(b.table.get_mut(six).unwrap().take_error(), Some(Errno::EACCES));
}

#[test]
fn sending_needs_a_destination_and_room() {
    let mut s = UdpSocket::new(Domain::Inet, Options { send_buffer: 1000, ..Options::default() });
    let to = peer("10.0.0.2", 9);
    assert_eq!(s.destination(None, 1), Err(Errno::EDESTADDRREQ));
    assert_eq!(s.destination(to, 1000), Ok(to.unwrap()));
    assert_eq!(s.destination(to, 1001), Err(Errno::EMSGSIZE));
    assert_eq!(s.destination(peer("10.0.0.2", 0), 1), Err(Errno::EINVAL));
    s.set_error(Errno::ECONNREFUSED);
    assert_eq!(s.destination(to, 1), Err(Errno::ECONNREFUSED));
    assert_eq!(s.destination(to, 1), Ok(to.unwrap()));
    assert_eq!(s.shutdown(true, true), Err(Errno::ENOTCONN));
    assert_eq!(s.destination(to, 1), Err(Errno::EPIPE));
    assert!(s.recv().unwrap().is_none(), "the end, not EAGAIN");
    assert!(s.readiness().contains(Readiness::HUP | Readiness::RDHUP | Readiness::IN));
}

proptest! {
    #[test]
    fn no_octets_from_the_network_panic(bytes: Vec<u8>, six: bool, cut: u8) {
        let mut b = Bench::new();
        b.bound(LocalAddr::Any, 0x0101, Options::default());
        let (src, dst) = if six { ("fd00::2", "fd00::1") } else { ("10.0.0.2", "10.0.0.1") };
        b.table.deliver(&datagram(src, dst, &bytes), |_| ());
        let quote = &bytes[..bytes.len().min(usize::from(cut))];
        let _ = b.table.handle_error(&IcmpError {
            from: ip(src), src: ip(dst), dst: ip(src), protocol: protocol::UDP, transport: quote,
            kind: ErrorKind::Unreachable(Unreachable::Port),
        });
    }
}
