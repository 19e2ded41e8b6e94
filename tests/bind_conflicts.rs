//! Sequences of bind, listen and close, made at random and done twice: in the kernel, on loopback, and in
//! our port table. Each call must give the same errno.
#![cfg(all(target_os = "linux", feature = "std"))]

use rustix::fd::OwnedFd;
use rustix::net::{AddressFamily, SocketType, bind, listen, socket, sockopt};
use slotmap::SlotMap;
use std::net::{IpAddr, SocketAddr};
use wirestack::endpoint::LocalAddr;
use wirestack::ip::protocol;
use wirestack::rng::Rng;
use wirestack::stack::ports::{PortTable, Share};
use wirestack::{Errno, SocketId};

const ADDRESSES: [&str; 6] = ["127.0.0.1", "127.0.0.2", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1"];

#[derive(Clone, Debug)]
enum Op {
    Bind {
        addr: IpAddr,
        v6only: bool,
        reuse_addr: bool,
        reuse_port: bool,
    },
    Listen(usize),
    /// SO_REUSEADDR and SO_REUSEPORT of a UDP socket that is bound already. (On TCP the kernel goes by
    /// what it remembers of the port; that much is not modelled.)
    Options(usize, bool, bool),
    Close(usize),
}

fn random_ops(rng: &mut Rng, tcp: bool, v6: bool) -> Vec<Op> {
    let mapped: IpAddr = ADDRESSES[5].parse().unwrap();
    let count = 4 + rng.below(9);
    (0..count)
        .map(|_| match rng.below(10) {
            0 if tcp => Op::Listen(rng.below(8) as usize),
            1 if tcp => Op::Listen(rng.below(3) as usize),
            2 => Op::Close(rng.below(8) as usize),
            3 if !tcp => Op::Options(rng.below(8) as usize, rng.below(2) == 0, rng.below(2) == 0),
            _ => {
                let addr = ADDRESSES[rng.below(if v6 { 6 } else { 3 }) as usize].parse().unwrap();
                // A mapped address cannot be bound with IPV6_V6ONLY, in the kernel before any table is asked.
                let v6only = rng.below(2) == 0 && addr != mapped;
                // Where the kernel puts a UDP socket in its chain depends on whether it is AF_INET or AF_INET6;
                // our table knows a mapped address as IPv4 only.
                let mapped_udp = !tcp && addr == mapped;
                // More often set than not, or nearly all binds fail.
                let (reuse_addr, reuse_port) = (rng.below(3) > 0, rng.below(3) == 0 && !mapped_udp);
                Op::Bind { addr, v6only, reuse_addr, reuse_port }
            }
        })
        .collect()
}

fn errno(r: rustix::io::Result<()>) -> i32 {
    r.map_or_else(rustix::io::Errno::raw_os_error, |()| 0)
}

fn number(r: Result<(), Errno>) -> i32 {
    r.map_or_else(Errno::number, |()| 0)
}

fn kernel_socket(addr: IpAddr, tcp: bool) -> OwnedFd {
    let family = if addr.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    socket(family, if tcp { SocketType::STREAM } else { SocketType::DGRAM }, None).expect("socket")
}

/// A port on which nothing of this host is bound at the moment.
fn free_port(tcp: bool, v6: bool) -> u16 {
    let any: IpAddr = if v6 { "::" } else { "0.0.0.0" }.parse().unwrap();
    let fd = kernel_socket(any, tcp);
    bind(&fd, &SocketAddr::new(any, 0)).expect("bind to a free port");
    SocketAddr::try_from(rustix::net::getsockname(&fd).expect("getsockname")).expect("an IP address").port()
}

fn in_the_kernel(ops: &[Op], tcp: bool, port: u16) -> Vec<i32> {
    let mut open: Vec<OwnedFd> = Vec::new();
    let step = |op: &Op| match *op {
        Op::Bind { addr, v6only, reuse_addr, reuse_port } => {
            let fd = kernel_socket(addr, tcp);
            if addr.is_ipv6() {
                sockopt::set_ipv6_v6only(&fd, v6only).expect("IPV6_V6ONLY");
            }
            sockopt::set_socket_reuseaddr(&fd, reuse_addr).expect("SO_REUSEADDR");
            sockopt::set_socket_reuseport(&fd, reuse_port).expect("SO_REUSEPORT");
            let result = errno(bind(&fd, &SocketAddr::new(addr, port)));
            if result == 0 {
                open.push(fd);
            }
            result
        }
        Op::Listen(i) => open.get(i).map_or(0, |fd| errno(listen(fd, 1))),
        Op::Options(i, reuse_addr, reuse_port) => open.get(i).map_or(0, |fd| {
            sockopt::set_socket_reuseaddr(fd, reuse_addr).expect("SO_REUSEADDR");
            sockopt::set_socket_reuseport(fd, reuse_port).expect("SO_REUSEPORT");
            0
        }),
        Op::Close(i) => {
            if i < open.len() {
                open.remove(i);
            }
            0
        }
    };
    ops.iter().map(step).collect()
}

fn in_our_table(ops: &[Op], tcp: bool, port: u16) -> Vec<i32> {
    let protocol = if tcp { protocol::TCP } else { protocol::UDP };
    let mut rng = Rng::new([1, 2]);
    let mut table = PortTable::new(&mut rng, (32_768, 60_999));
    let mut ids: SlotMap<SocketId, ()> = SlotMap::with_key();
    let mut open: Vec<SocketId> = Vec::new();
    let step = |op: &Op| match *op {
        Op::Bind { addr, v6only, reuse_addr, reuse_port } => {
            let share = Share { reuse_addr, reuse_port, ..Share::new(LocalAddr::new(addr, v6only)) };
            let id = ids.insert(());
            let result = table.bind(&mut rng, protocol, port, id, share);
            if result.is_ok() {
                open.push(id);
            }
            number(result.map(|_| ()))
        }
        Op::Listen(i) => open.get(i).map_or(0, |&id| number(table.listen(port, id))),
        Op::Options(i, reuse_addr, reuse_port) => {
            if let Some(&id) = open.get(i) {
                let share = table.share(protocol, port, id).expect("it is bound");
                table.set_share(protocol, port, id, Share { reuse_addr, reuse_port, ..share });
            }
            0
        }
        Op::Close(i) => {
            if i < open.len() {
                assert!(table.release(protocol, port, open.remove(i)));
            }
            0
        }
    };
    ops.iter().map(step).collect()
}

fn compare(tcp: bool) {
    let v6 = std::net::TcpListener::bind("[::1]:0").is_ok();
    if !v6 {
        assert!(std::env::var_os("CI").is_none(), "CI needs IPv6 on loopback");
        eprintln!("no IPv6 on loopback: only IPv4 is compared");
    }
    let mut rng = Rng::new([0x5eed, u64::from(tcp)]);
    let (mut refused, mut allowed) = (0, 0);
    for n in 0..3000 {
        let ops = random_ops(&mut rng, tcp, v6);
        // Another program may take the port in between: a difference counts if it comes three times.
        let mut seen = Vec::new();
        let agreed = (0..3).any(|_| {
            let port = free_port(tcp, v6);
            let (kernel, ours) = (in_the_kernel(&ops, tcp, port), in_our_table(&ops, tcp, port));
            let same = kernel == ours;
            seen = ops.iter().zip(kernel).zip(ours).collect();
            same
        });
        let lines: String = seen
            .iter()
            .map(|((op, kernel), ours)| format!("kernel {kernel}, ours {ours}: {op:?}\n"))
            .collect();
        assert!(agreed, "sequence {n}, tcp {tcp}:\n{lines}");
        let results = seen.iter().map(|((_, kernel), _)| *kernel);
        refused += results.clone().filter(|&r| r != 0).count();
        allowed += results.filter(|&r| r == 0).count();
    }
    // The sequences are worth something only if they meet both answers often.
    assert!(refused > 2000 && allowed > 2000, "{refused} refused, {allowed} allowed");
}

#[test]
fn tcp_as_the_kernel() {
    compare(true);
}

#[test]
fn udp_as_the_kernel() {
    compare(false);
}
