use super::*;
use alloc::vec::Vec;
use core::hash::BuildHasher;
use core::net::SocketAddr;
use slotmap::SlotMap;

fn ip(s: &str) -> IpAddr {
    s.parse().unwrap()
}

fn tuple(local: &str, remote: &str) -> Tuple {
    Tuple::new(local.parse::<SocketAddr>().unwrap(), remote.parse::<SocketAddr>().unwrap())
}

fn demux() -> Demux {
    Demux::new(&mut Rng::new([1, 2]))
}

const ETH: IfaceId = IfaceId(1);

#[test]
fn a_tuple_leads_to_its_flow_until_it_is_removed() {
    let mut d = demux();
    let t = tuple("10.0.0.1:80", "10.0.0.2:5000");
    let half = Flow::HalfOpen(HalfOpenId::default());
    let conn = Flow::Connection(ConnId::default());
    assert_eq!(d.insert(t, half), Ok(()));
    assert_eq!(d.insert(t, conn), Err(half), "what is there stays");
    assert_eq!(d.replace(t, conn), Some(half));
    assert_eq!(d.get(&t), Some(conn));
    assert_eq!(d.get(&tuple("10.0.0.2:5000", "10.0.0.1:80")), None, "direction matters");
    assert_eq!((d.len(), d.iter().count()), (1, 1));
    assert_eq!(d.remove(&t), Some(conn));
    assert!(d.is_empty());
}

#[test]
fn a_mapped_address_is_the_ipv4_address() {
    assert_eq!(tuple("[::ffff:10.0.0.1]:80", "[::ffff:10.0.0.2]:9"), tuple("10.0.0.1:80", "10.0.0.2:9"));
}

#[test]
fn the_key_decides_the_hash() {
    let t = tuple("10.0.0.1:80", "10.0.0.2:5000");
    let hash = |secret| TableKey::new(&mut Rng::new(secret)).hash_one(t);
    assert_eq!(hash([1, 2]), hash([1, 2]));
    assert_ne!(hash([1, 2]), hash([1, 3]));
}

/// Which of these sockets, all on port 80, gets a SYN to an address?
#[test]
fn the_most_specific_listener_wins() {
    use LocalAddr::*;
    let mut ids: SlotMap<SocketId, ()> = SlotMap::with_key();
    let all = [Any, AnyV4, AnyV6, Exact(ip("10.0.0.1")), Exact(ip("fd00::1"))];
    let socks: Vec<_> = all.iter().map(|_| ids.insert(())).collect();
    // (listeners by number, destination, expected)
    let table: &[(&[usize], &str, Option<usize>)] = &[
        (&[0, 1, 3], "10.0.0.1", Some(3)),
        (&[0, 1, 3], "10.0.0.9", Some(1)),
        (&[0, 3], "10.0.0.9", Some(0)),
        (&[3], "10.0.0.9", None),
        (&[1], "fd00::1", None),
        (&[2], "10.0.0.1", None),
        (&[2, 4], "fd00::1", Some(4)),
        (&[0, 4], "fd00::2", Some(0)),
        (&[2], "fd00::2", Some(2)),
        (&[], "fd00::2", None),
    ];
    for &(listeners, dst, expected) in table {
        let mut orders = [listeners.to_vec(), listeners.to_vec()];
        orders[1].reverse();
        for order in orders {
            let mut d = demux();
            for &i in &order {
                d.listen_insert(all[i], 80, None, socks[i]);
            }
            let t = Tuple { local: Endpoint::new(ip(dst), 80), remote: Endpoint::new(ip(dst), 9) };
            assert_eq!(d.listener(&t, ETH), expected.map(|i| socks[i]), "{order:?} {dst}");
            let other = Tuple { local: Endpoint::new(ip(dst), 81), ..t };
            assert_eq!(d.listener(&other, ETH), None);
        }
    }
}

#[test]
fn a_listener_on_an_interface_hears_only_that_one() {
    let mut ids: SlotMap<SocketId, ()> = SlotMap::with_key();
    let (any, bound) = (ids.insert(()), ids.insert(()));
    let mut d = demux();
    d.listen_insert(LocalAddr::AnyV4, 80, None, any);
    d.listen_insert(LocalAddr::AnyV4, 80, Some(ETH), bound);
    let t = tuple("10.0.0.1:80", "10.0.0.2:9");
    assert_eq!(d.listener(&t, ETH), Some(bound));
    assert_eq!(d.listener(&t, IfaceId(2)), Some(any));
    assert!(d.listen_remove(80, any));
    assert!(!d.listen_remove(80, any));
    assert_eq!(d.listener(&t, IfaceId(2)), None);
    assert_eq!(d.listeners().collect::<Vec<_>>(), [(80, bound)]);
}

#[test]
fn equal_listeners_share_the_connections_and_each_keeps_its_own() {
    let mut ids: SlotMap<SocketId, ()> = SlotMap::with_key();
    let socks: Vec<_> = (0..4).map(|_| ids.insert(())).collect();
    let mut d = demux();
    for &s in &socks {
        d.listen_insert(LocalAddr::AnyV4, 80, None, s);
    }
    let mut count = [0u32; 4];
    for port in 1..=4000u16 {
        let t =
            Tuple { local: Endpoint::new(ip("10.0.0.1"), 80), remote: Endpoint::new(ip("10.0.0.2"), port) };
        let s = d.listener(&t, ETH).unwrap();
        assert_eq!(d.listener(&t, ETH), Some(s));
        count[socks.iter().position(|&x| x == s).unwrap()] += 1;
    }
    // 1000 each expected; four standard deviations are 110.
    assert!(count.iter().all(|n| (890..=1110).contains(n)), "{count:?}");
}

#[test]
fn the_entries_stay_small() {
    assert!(size_of::<(Tuple, Flow)>() <= 52, "{}", size_of::<(Tuple, Flow)>());
}
