//! A neighbour that does not answer ARP or NDP: who hears of it, and when.

use std::net::SocketAddr;
use std::time::Duration;
use wirestack::ip::{InterfaceConfig, Route};
use wirestack::link::{Capabilities, TxFrame};
use wirestack::socket::{Domain, MsgFlags, Type};
use wirestack::{Config, Errno, IfaceId, Instant, Stack};

/// A host on a link where nobody else is, with a gateway that is not there either.
fn host() -> Stack {
    let mut stack = Stack::new(Instant::ZERO, Config::default());
    let iface = stack.add_interface(
        Instant::ZERO,
        InterfaceConfig {
            name: "eth0".into(),
            mac: [2, 0, 0, 0, 0, 1],
            capabilities: Capabilities::ETHERNET,
            addresses: vec!["10.0.0.1/24".parse().unwrap(), "fd00::1/64".parse().unwrap()],
            detect_duplicates: false,
        },
    );
    for (dst, via) in [("0.0.0.0/0", "10.0.0.254"), ("::/0", "fd00::254")] {
        let route = Route { dst: dst.parse().unwrap(), via: Some(via.parse().unwrap()), iface, metric: 0 };
        stack.add_route(route).unwrap();
    }
    stack
}

/// Lets time pass while all that is sent gets lost.
fn pass(stack: &mut Stack, from: Instant, time: Duration) -> Instant {
    let mut lost = |_: IfaceId, _: &TxFrame<'_>| Ok(());
    let end = from + time;
    let mut now = from;
    loop {
        stack.poll_transmit(now, &mut lost);
        while stack.poll_event().is_some() {}
        match stack.poll_timeout() {
            Some(at) if at <= end => now = now.max(at),
            _ => return end,
        }
        stack.handle_timeout(now);
    }
}

#[test]
fn a_connection_attempt_fails_when_the_next_hop_is_silent() {
    for dst in ["10.0.0.7:80", "192.0.2.1:80", "[fd00::7]:80", "[2001:db8::1]:80"] {
        let dst: SocketAddr = dst.parse().unwrap();
        let domain = if dst.is_ipv4() { Domain::Inet } else { Domain::Inet6 };
        let mut stack = host();
        let id = stack.socket(domain, Type::Stream, 0).unwrap();
        assert_eq!(stack.connect(Instant::ZERO, id, dst), Err(Errno::EINPROGRESS));
        let now = pass(&mut stack, Instant::ZERO, Duration::from_millis(2900));
        assert_eq!(stack.take_error(id), Ok(None), "{dst}");
        pass(&mut stack, now, Duration::from_millis(200));
        assert_eq!(stack.take_error(id), Ok(Some(Errno::EHOSTUNREACH)), "{dst}");
    }
}

#[test]
fn only_the_destination_concerned_hears_of_it() {
    let mut stack = host();
    let mut ids = Vec::new();
    for dst in ["10.0.0.7:9", "10.0.0.8:9"] {
        let id = stack.socket(Domain::Inet, Type::Dgram, 0).unwrap();
        stack.connect(Instant::ZERO, id, dst.parse().unwrap()).unwrap();
        ids.push(id);
    }
    stack.send(Instant::ZERO, ids[0], b"hello?", MsgFlags::empty()).unwrap();
    pass(&mut stack, Instant::ZERO, Duration::from_secs(4));
    assert_eq!(stack.take_error(ids[0]), Ok(Some(Errno::EHOSTUNREACH)));
    assert_eq!(stack.take_error(ids[1]), Ok(None));
}
