//! Whatever comes in: no panic, no loop, nothing without bound.

use super::bed::*;
use crate::link::{Frame, Gso, GsoKind, PartialChecksum, RxChecksum, RxOffload};
use crate::time::Duration;
use alloc::vec;
use alloc::vec::Vec;
use proptest::prelude::*;

/// A frame of each kind that the host looks into.
fn seeds() -> Vec<Vec<u8>> {
    let quote4 = udp_packet("10.0.0.1", "192.0.2.9", b"some data");
    let quote6 = udp_packet("fd00::1", "2001:db8::9", b"some data");
    let error = |head: &[u8], quote: &[u8]| [head, quote].concat();
    let fragment = |next: u8, field: u8, data: &[u8]| {
        let payload = [&[next, 0, 0, field, 0, 0, 0, 1][..], data].concat();
        eth(&ipv6("fd00::2", "fd00::1", 44, 64, &payload))
    };
    let options =
        [&[60, 0, 5, 2, 0, 0, 1, 0, 43, 0, 0x1e, 2, 0, 0, 1, 0, 17, 0, 0, 0, 0, 0, 0, 0][..], &[0; 16]]
            .concat();
    vec![
        udp("10.0.0.2", "10.0.0.1", b"data"),
        udp("fd00::2", "fd00::1", b"data"),
        arp(1, PEER_MAC, "10.0.0.2", "10.0.0.1"),
        arp(2, PEER_MAC, "10.0.0.2", "10.0.0.1"),
        ns("fd00::2", "fd00::1", Some(PEER_MAC)),
        ns("::", "fd00::1", None),
        na("fd00::2", 0x60, Some(PEER_MAC)),
        eth(&icmpv4("10.0.0.2", "10.0.0.1", &[8, 0, 0, 0, 1, 2, 3, 4, 5, 6])),
        eth(&icmpv6("fd00::2", "fd00::1", 64, &[128, 0, 0, 0, 1, 2, 3, 4, 5, 6])),
        eth(&icmpv4("10.0.0.2", "10.0.0.1", &error(&[3, 4, 0, 0, 0, 0, 5, 0], &quote4))),
        eth(&icmpv6("fd00::2", "fd00::1", 64, &error(&[2, 0, 0, 0, 0, 0, 5, 0], &quote6))),
        eth(&ipv4("10.0.0.2", "10.0.0.1", 17, 0x2000, &[7, 7, 4, 0, 0, 0, 0, 0], &[0; 24])),
        eth(&ipv4("10.0.0.2", "10.0.0.1", 17, 3, &[], &[0; 24])),
        fragment(17, 1, &[0; 24]),
        fragment(17, 24, &[0; 5]),
        eth(&ipv6("fd00::2", "fd00::1", 0, 64, &options)),
    ]
}

/// Makes the checksums right that stand in the way of the code behind them.
fn mend(frame: &mut [u8]) {
    if frame.len() >= 34 && frame[12..14] == [8, 0] {
        let header = usize::from(frame[14] & 0xf) * 4;
        if header >= 20 && frame.len() >= 14 + header {
            fix_ipv4(&mut frame[14..]);
        }
    }
}

#[derive(Clone, Debug)]
enum Op {
    Random(Vec<u8>),
    Mutated { seed: usize, changes: Vec<(usize, u8)>, cut: usize, mend: bool },
    Pass(u64),
    Send(u8),
    Sent,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        1 => proptest::collection::vec(any::<u8>(), 0..120).prop_map(Op::Random),
        8 => (0usize..16, proptest::collection::vec((0usize..100, any::<u8>()), 0..4), 0usize..200, any::<bool>())
            .prop_map(|(seed, changes, cut, mend)| Op::Mutated { seed, changes, cut, mend }),
        1 => (0u64..20_000).prop_map(Op::Pass),
        2 => any::<u8>().prop_map(Op::Send),
        1 => Just(Op::Sent),
    ]
}

fn offload(n: u8) -> RxOffload {
    let partial = RxChecksum::Partial(PartialChecksum { start: u16::from(n), offset: 6 });
    RxOffload {
        checksum: [RxChecksum::Unknown, RxChecksum::Verified, partial][usize::from(n % 3)],
        gso: (n > 200).then_some(Gso { kind: GsoKind::Tcp4, size: u16::from(n), ecn: false }),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn whatever_comes_in(ops in proptest::collection::vec(op(), 1..60), quality: u8) {
        let seeds = seeds();
        let mut hosts = [Host::new(), Host::tun(1500)];
        for op in ops {
            for (i, h) in hosts.iter_mut().enumerate() {
                match &op {
                    Op::Random(bytes) => {
                        h.input_on(ETH, Frame::borrowed(bytes, offload(quality)));
                        // And as the payload of a frame that reaches IP.
                        h.input_on(ETH, Frame::borrowed(&eth(bytes), offload(quality)));
                    }
                    Op::Mutated { seed, changes, cut, mend: repair } => {
                        let mut f = seeds[*seed].clone();
                        for (at, value) in changes {
                            let at = at % f.len();
                            f[at] = *value;
                        }
                        f.truncate(*cut);
                        if *repair { mend(&mut f); }
                        let f = if i == 1 { f.get(14..).unwrap_or_default() } else { &f[..] };
                        h.input_on(ETH, Frame::borrowed(f, offload(quality)));
                    }
                    Op::Pass(ms) => h.pass(Duration::from_millis(*ms)),
                    Op::Send(n) => {
                        let dst = if n % 2 == 0 { alloc::format!("10.0.0.{n}") } else { alloc::format!("fd00::{n}") };
                        let path = h.path(&dst);
                        let header = udp_header(0);
                        let _ = h.emit(&outgoing(&path, ip(&dst), &header, &[]));
                    }
                    Op::Sent => {
                        // What goes out is well formed.
                        for f in h.sent() {
                            let parsed = if i == 1 { etherparse::SlicedPacket::from_ip(&f) } else { etherparse::SlicedPacket::from_ethernet(&f) };
                            prop_assert!(parsed.is_ok(), "{f:x?}");
                        }
                    }
                }
                let interface = h.ip.interface(ETH).unwrap();
                prop_assert!(interface.queue_len() <= h.around.config.limits.tx_queue);
                prop_assert!(h.ip.neighbours().len() <= h.around.config.limits.neighbours);
            }
        }
    }
}

/// Every single octet of every seed, with every value that makes a difference somewhere.
#[test]
fn each_octet_wrong_once() {
    let mut hosts = [Host::new(), Host::tun(1500)];
    for seed in seeds() {
        for at in 0..seed.len() {
            for value in [0, 1, 2, 4, 5, 6, 8, 17, 43, 44, 58, 59, 60, 64, 127, 128, 129, 254, 255] {
                let mut f = seed.clone();
                f[at] = value;
                for repair in [false, true] {
                    if repair {
                        mend(&mut f);
                    }
                    hosts[0].input(&f);
                    hosts[1].input(&f[14..]);
                }
            }
            hosts[0].input(&seed[..at]);
            hosts[1].input(seed[..at].get(14..).unwrap_or_default());
        }
        for h in &mut hosts {
            h.sent();
            h.pass(Duration::from_secs(1));
        }
    }
    for h in &mut hosts {
        h.pass(Duration::from_secs(100));
        // Everything has gone but for what is known of neighbours.
        h.sent();
        assert_eq!(h.ip.next_deadline(), None);
    }
}
