use super::*;
use crate::ip::protocol::{TCP, UDP};
use alloc::collections::BTreeSet;
use slotmap::SlotMap;

struct Bench {
    rng: Rng,
    ids: SlotMap<SocketId, ()>,
    table: PortTable,
}

impl Bench {
    fn new(range: (u16, u16)) -> Self {
        let mut rng = Rng::new([7, 7]);
        let table = PortTable::new(&mut rng, range);
        Self { rng, ids: SlotMap::with_key(), table }
    }

    fn bind(&mut self, protocol: u8, port: u16, share: Share) -> Result<(SocketId, u16)> {
        let id = self.ids.insert(());
        self.table.bind(&mut self.rng, protocol, port, id, share).map(|p| (id, p))
    }
}

/// `"10.0.0.1"`, `"*4"`, `"*6"` (IPV6_V6ONLY), `"*"` (dual stack); then flags `a` SO_REUSEADDR,
/// `p` SO_REUSEPORT, `1` and `2` SO_BINDTODEVICE.
fn share(text: &str) -> Share {
    let (addr, flags) = text.split_once(' ').unwrap_or((text, ""));
    let addr = match addr {
        "*" => LocalAddr::Any,
        "*4" => LocalAddr::AnyV4,
        "*6" => LocalAddr::AnyV6,
        a => LocalAddr::Exact(a.parse().unwrap()),
    };
    let iface = flags.find(['1', '2']).map(|i| IfaceId(u32::from(flags.as_bytes()[i] - b'0')));
    Share { addr, iface, reuse_addr: flags.contains('a'), reuse_port: flags.contains('p') }
}

/// May the second be bound beside the first? (TCP with the first not listening, TCP with the first
/// listening, UDP)
const CASES: &[(&str, &str, bool, bool, bool)] = &[
    // The same address.
    ("10.0.0.1", "10.0.0.1", false, false, false),
    ("10.0.0.1 a", "10.0.0.1", false, false, false),
    ("10.0.0.1", "10.0.0.1 a", false, false, false),
    ("10.0.0.1 a", "10.0.0.1 a", true, false, true),
    ("10.0.0.1 p", "10.0.0.1", false, false, false),
    ("10.0.0.1 p", "10.0.0.1 p", true, true, true),
    ("10.0.0.1 a", "10.0.0.1 p", false, false, false),
    ("10.0.0.1 ap", "10.0.0.1 p", true, true, true),
    ("10.0.0.1 ap", "10.0.0.1 a", true, false, true),
    ("10.0.0.1 ap", "10.0.0.1 ap", true, true, true),
    // Another address.
    ("10.0.0.1", "10.0.0.2", true, true, true),
    ("10.0.0.1", "fd00::1", true, true, true),
    // A wildcard and an address.
    ("*4", "10.0.0.1", false, false, false),
    ("10.0.0.1", "*4", false, false, false),
    ("*4 a", "10.0.0.1 a", true, false, true),
    ("*4 p", "10.0.0.1 p", true, true, true),
    ("*6", "fd00::1", false, false, false),
    ("*", "fd00::1", false, false, false),
    ("*", "10.0.0.1", false, false, false),
    ("10.0.0.1", "*", false, false, false),
    ("* a", "10.0.0.1 a", true, false, true),
    ("*6", "10.0.0.1", true, true, true),
    ("*4", "fd00::1", true, true, true),
    // Two wildcards.
    ("*4", "*4", false, false, false),
    ("*4", "*", false, false, false),
    ("*", "*4", false, false, false),
    ("*4", "*6", true, true, true),
    ("*6", "*4", true, true, true),
    ("*6", "*", false, false, false),
    ("* p", "*4 p", true, true, true),
    // Interfaces.
    ("*4 1", "*4 2", true, true, true),
    ("*4 1", "*4 1", false, false, false),
    ("*4 1", "*4", false, false, false),
];

#[test]
fn binding_beside_another_socket() {
    for &(first, second, tcp, tcp_listening, udp) in CASES {
        for (protocol, listening, expected) in
            [(TCP, false, tcp), (TCP, true, tcp_listening), (UDP, false, udp)]
        {
            let mut b = Bench::new((1000, 2000));
            let (id, _) = b.bind(protocol, 80, share(first)).unwrap();
            if listening {
                b.table.listen(80, id).unwrap();
            }
            let result = b.bind(protocol, 80, share(second)).map(|_| ());
            let expected = if expected { Ok(()) } else { Err(Errno::EADDRINUSE) };
            assert_eq!(result, expected, "{first} then {second}, protocol {protocol}, listening {listening}");
        }
    }
}

#[test]
fn protocols_and_ports_are_apart() {
    let mut b = Bench::new((1000, 2000));
    b.bind(TCP, 80, share("*4")).unwrap();
    b.bind(UDP, 80, share("*4")).unwrap();
    b.bind(TCP, 81, share("*4")).unwrap();
    assert_eq!(b.table.len(), 3);
}

#[test]
fn of_two_sockets_with_reuse_addr_one_can_listen() {
    let mut b = Bench::new((1000, 2000));
    let (first, _) = b.bind(TCP, 80, share("*4 a")).unwrap();
    let (second, _) = b.bind(TCP, 80, share("*4 a")).unwrap();
    assert_eq!(b.table.listen(80, first), Ok(()));
    assert_eq!(b.table.listen(80, second), Err(Errno::EADDRINUSE));
    b.table.unlisten(80, first);
    assert_eq!(b.table.listen(80, second), Ok(()));
    assert_eq!(b.table.listen(81, second), Err(Errno::EINVAL));
}

#[test]
fn connections_and_time_wait_block_bind_unless_both_reuse() {
    // (the connection's options, the new socket's, may it bind?)
    for (held, new, ok) in [
        ("10.0.0.1", "*4", false),
        ("10.0.0.1", "*4 a", false),
        ("10.0.0.1 a", "*4", false),
        ("10.0.0.1 a", "*4 a", true),
        ("10.0.0.1 p", "*4 p", true),
        ("10.0.0.1", "10.0.0.2", true),
    ] {
        let mut b = Bench::new((1000, 2000));
        b.table.hold(80, share(held));
        b.table.hold(80, share(held));
        assert_eq!(b.bind(TCP, 80, share(new)).is_ok(), ok, "{held} and {new}");
        if !ok {
            assert!(b.table.unhold(80, share(held)));
            assert!(b.bind(TCP, 80, share(new)).is_err(), "one connection is left");
            assert!(b.table.unhold(80, share(held)));
            assert!(!b.table.unhold(80, share(held)));
            assert!(b.bind(TCP, 80, share(new)).is_ok());
        }
    }
}

#[test]
fn a_released_port_is_free_and_forgotten() {
    let mut b = Bench::new((1000, 2000));
    let (id, _) = b.bind(TCP, 80, share("*4")).unwrap();
    assert!(b.table.set_share(TCP, 80, id, share("10.0.0.1 a")));
    assert_eq!(b.table.share(TCP, 80, id), Some(share("10.0.0.1 a")));
    assert!(b.table.release(TCP, 80, id));
    assert!(!b.table.release(TCP, 80, id));
    assert!(b.table.is_empty());
    assert!(b.bind(TCP, 80, share("*4")).is_ok());
}

#[test]
fn port_zero_takes_every_port_of_the_range_once_and_then_none() {
    for (range, protocol) in [((1000, 1010), TCP), ((1001, 1010), UDP), ((5, 5), TCP)] {
        let mut b = Bench::new(range);
        let n = range.1 - range.0 + 1;
        let mut seen = BTreeSet::new();
        for i in 0..n {
            let (_, port) = b.bind(protocol, 0, share("*4")).unwrap();
            assert!(port >= range.0 && port <= range.1 && seen.insert(port));
            if i < n / 2 {
                assert_eq!((port - range.0) % 2, 1, "ports that connect does not prefer come first");
            }
        }
        assert_eq!(b.bind(protocol, 0, share("*4")), Err(Errno::EADDRINUSE));
        // SO_REUSEADDR does not make TCP share a port it was not asked to.
        if protocol == TCP {
            assert_eq!(b.bind(protocol, 0, share("*4 ap")), Err(Errno::EADDRINUSE));
        }
        assert!(b.bind(protocol, 0, share("*6")).is_ok(), "the other family is free");
    }
}

fn peer(n: u8, port: u16) -> Endpoint {
    Endpoint::new(IpAddr::from([10, 0, 1, n]), port)
}

const LOCAL: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(10, 0, 0, 1));

#[test]
fn connecting_again_takes_the_next_port() {
    let mut b = Bench::new((32_768, 60_999));
    let mut go = |p| b.table.ephemeral_for(LOCAL, p, |_| true).unwrap();
    let first = go(peer(1, 80));
    let next = go(peer(1, 80));
    assert_eq!(u32::from(next), if first == 60_998 { 32_768 } else { u32::from(first) + 2 });
    let starts: BTreeSet<_> = (0..100).map(|n| go(peer(n, 443))).collect();
    assert!(starts.len() > 90, "peers do not share a sequence");
    assert!(starts.iter().all(|p| p % 2 == 0 && (32_768..=60_999).contains(p)));
}

#[test]
fn what_one_secret_chooses_tells_nothing_about_another() {
    let first = |secret| {
        let mut rng = Rng::new(secret);
        let mut t = PortTable::new(&mut rng, (32_768, 60_999));
        t.ephemeral_for(LOCAL, peer(1, 80), |_| true).unwrap()
    };
    assert_eq!(first([1, 1]), first([1, 1]));
    let different: BTreeSet<_> = (0..50).map(|n| first([1, n])).collect();
    assert!(different.len() > 45);
}

#[test]
fn ephemeral_ports_run_out_after_one_look_at_each() {
    let mut b = Bench::new((1000, 1009));
    let mut taken = BTreeSet::new();
    for _ in 0..10 {
        let port = b.table.ephemeral_for(LOCAL, peer(1, 80), |p| !taken.contains(&p)).unwrap();
        assert!(taken.insert(port));
    }
    let mut looks = 0;
    let none = b.table.ephemeral_for(LOCAL, peer(1, 80), |_| {
        looks += 1;
        false
    });
    assert_eq!((none, looks), (None, 10));
}

#[test]
fn connect_passes_over_bound_ports_but_shares_with_connections() {
    let mut b = Bench::new((1000, 1001));
    b.bind(TCP, 1000, share("10.9.9.9")).unwrap();
    b.table.hold(1001, share("10.0.0.1"));
    for n in 0..10 {
        assert_eq!(b.table.ephemeral_for(LOCAL, peer(n, 80), |_| true), Some(1001));
    }
}
