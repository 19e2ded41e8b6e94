use super::*;
use crate::link::Frame;
use slotmap::SlotMap;

const ETH: IfaceId = IfaceId(1);
const OSPF: u8 = 89;

fn ip(s: &str) -> IpAddr {
    s.parse().unwrap()
}

/// 14 octets of link header, then 20 or 40 of IP, then the payload.
fn datagram<'a>(src: &str, dst: &str, protocol: u8, bytes: &'a [u8]) -> Datagram<'a> {
    let header = if ip(src).is_ipv4() { 20 } else { 40 };
    Datagram {
        iface: ETH,
        src: ip(src),
        dst: ip(dst),
        protocol,
        hop_limit: 1,
        traffic_class: 0xc0,
        broadcast: false,
        frame: Frame::from(bytes),
        packet: (14..bytes.len()).into(),
        payload: (14 + header..bytes.len()).into(),
    }
}

struct Bench {
    ids: SlotMap<SocketId, ()>,
    table: RawTable,
}

impl Bench {
    fn new() -> Self {
        Self { ids: SlotMap::with_key(), table: RawTable::new(&mut Rng::new([5, 6])) }
    }

    fn socket(&mut self, domain: Domain, protocol: u8, set: impl FnOnce(&mut RawSocket)) -> SocketId {
        let mut s = RawSocket::new(domain, protocol, 10_000).unwrap();
        set(&mut s);
        let id = self.ids.insert(());
        self.table.insert(id, s);
        id
    }

    fn deliver(&mut self, d: &Datagram<'_>) -> Vec<SocketId> {
        let mut woken = Vec::new();
        let outcome = self.table.deliver(d, |id| woken.push(id));
        let delivered = woken.len() as u32;
        match outcome {
            Delivery::NoSocket => assert_eq!(delivered, 0),
            Delivery::Matched { delivered: n, full } => assert!(n == delivered && n + full > 0),
        }
        woken
    }
}

#[test]
fn ipv4_comes_with_its_header_and_ipv6_without() {
    let mut b = Bench::new();
    let four = b.socket(Domain::Inet, OSPF, |_| ());
    let six = b.socket(Domain::Inet6, OSPF, |_| ());
    let bytes: Vec<u8> = (0..100).collect();
    assert_eq!(b.deliver(&datagram("10.0.0.2", "10.0.0.1", OSPF, &bytes)), [four]);
    assert_eq!(b.deliver(&datagram("fd00::2", "fd00::1", OSPF, &bytes)), [six]);
    let m = b.table.get_mut(four).unwrap().recv().unwrap();
    assert_eq!((&*m.data, m.from, m.dst, m.hop_limit), (&bytes[14..], ip("10.0.0.2"), ip("10.0.0.1"), 1));
    let m = b.table.get_mut(six).unwrap().recv().unwrap();
    assert_eq!((&*m.data, m.iface, m.traffic_class), (&bytes[54..], ETH, 0xc0));
    assert_eq!(b.table.get_mut(six).unwrap().recv().unwrap_err(), Errno::EAGAIN);
}

#[test]
fn tcp_and_udp_are_never_delivered() {
    let mut b = Bench::new();
    let bytes = [0u8; 60];
    for p in [protocol::TCP, protocol::UDP, SEND_ONLY] {
        b.socket(Domain::Inet, p, |_| ());
        assert_eq!(b.table.deliver(&datagram("10.0.0.2", "10.0.0.1", p, &bytes), |_| ()), Delivery::NoSocket);
    }
    let icmp = b.socket(Domain::Inet, protocol::ICMP, |_| ());
    assert_eq!(b.deliver(&datagram("10.0.0.2", "10.0.0.1", protocol::ICMP, &bytes)), [icmp]);
    assert_eq!(RawSocket::new(Domain::Inet, 0, 1).unwrap_err(), Errno::EPROTONOSUPPORT);
}

#[test]
fn each_filter_must_let_it_pass_and_every_socket_gets_its_own() {
    let mut b = Bench::new();
    let all = b.socket(Domain::Inet, OSPF, |_| ());
    let bound = b.socket(Domain::Inet, OSPF, |s| s.local = Some(ip("10.0.0.1")));
    let connected = b.socket(Domain::Inet, OSPF, |s| s.peer = Some(ip("10.0.0.2")));
    let here = b.socket(Domain::Inet, OSPF, |s| s.iface = Some(ETH));
    b.socket(Domain::Inet, OSPF, |s| s.iface = Some(IfaceId(9)));
    b.socket(Domain::Inet, 90, |_| ());
    let bytes = [0u8; 60];
    assert_eq!(b.deliver(&datagram("10.0.0.2", "10.0.0.1", OSPF, &bytes)), [all, bound, connected, here]);
    assert_eq!(b.deliver(&datagram("10.0.0.3", "10.0.0.1", OSPF, &bytes)), [all, bound, here]);
    assert_eq!(b.deliver(&datagram("10.0.0.2", "10.0.0.4", OSPF, &bytes)), [all, connected, here]);
    b.table.remove(all);
    assert_eq!(b.deliver(&datagram("10.0.0.3", "10.0.0.4", OSPF, &bytes)), [here]);
    assert_eq!(b.table.get(here).unwrap().readiness(), Readiness::IN | Readiness::OUT);
}

#[test]
fn a_full_queue_is_not_an_unknown_protocol() {
    let mut b = Bench::new();
    let id = b.socket(Domain::Inet, OSPF, |_| ());
    let bytes = [0u8; 1000];
    let d = datagram("10.0.0.2", "10.0.0.1", OSPF, &bytes);
    let mut n = 0;
    while b.deliver(&d) == [id] {
        n += 1;
        assert!(n < 100);
    }
    assert_eq!(b.table.deliver(&d, |_| ()), Delivery::Matched { delivered: 0, full: 1 });
    let s = b.table.get_mut(id).unwrap();
    assert!(n >= 8 && s.memory() < 12_000 && s.dropped() == 2);
    while s.recv().is_ok() {}
    assert_eq!(s.memory(), 0);
    assert_eq!(b.deliver(&d), [id]);
}

#[test]
fn icmp6_has_its_checksum_made() {
    let s = RawSocket::new(Domain::Inet6, protocol::ICMPV6, 1).unwrap();
    assert_eq!(s.checksum_offset, Some(2));
    assert!(RawSocket::new(Domain::Inet, SEND_ONLY, 1).unwrap().header_included);
}
