//! The laboratory itself, with the kernel on both sides.

use std::io::{ErrorKind, Read};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};
use wirestack_lab::{Child, Error, Link, Namespace, Offload, Pattern, peer, require};

const LIMIT: Duration = Duration::from_secs(60);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Two namespaces and a wire, up and with addresses 10.0.0.1, .2 and fd00::1, ::2.
struct Two {
    left: Namespace,
    right: Namespace,
}

impl Two {
    fn new() -> Result<Self, Error> {
        let two = Self { left: Namespace::new()?, right: Namespace::new()? };
        two.left.add_veth("a", &two.right, "b")?;
        for (link, n) in [(two.a(), 1), (two.b(), 2)] {
            link.add_address(ip(&format!("10.0.0.{n}")), 24)?;
            link.add_address(ip(&format!("fd00::{n}")), 64)?;
            link.up()?;
        }
        two.a().wait_until_running(LIMIT)?;
        two.b().wait_until_running(LIMIT)?;
        Ok(two)
    }
    fn a(&self) -> Link<'_> {
        self.left.link("a")
    }
    fn b(&self) -> Link<'_> {
        self.right.link("b")
    }
}

#[test]
fn a_pattern_crosses_the_wire_both_ways_over_both_protocols() -> Result<(), Error> {
    require!(Namespaces);
    let two = Two::new()?;
    let pattern = Pattern::new(1, 8 << 20);
    for host in ["10.0.0.2", "fd00::2"] {
        let source = peer::source(&two.right, SocketAddr::new(ip(host), 0), pattern.clone())?;
        let sink = peer::sink(&two.right, SocketAddr::new(ip(host), 0))?;
        two.left.run(|| {
            peer::receive_pattern(&TcpStream::connect(source.addr())?, pattern.clone())?;
            peer::send_pattern(&TcpStream::connect(sink.addr())?, pattern.clone())
        })?;
        assert_eq!(sink.received(), 8 << 20);
        assert_eq!((source.failures(), sink.failures()), (0, 0));
    }
    Ok(())
}

#[test]
fn curl_fetches_a_file_from_python() -> Result<(), Error> {
    require!(Namespaces, Program("curl"), Program("python3"));
    let two = Two::new()?;
    let dir = tempdir("curl");
    let mut file = std::fs::File::create(dir.join("data")).unwrap();
    Pattern::new(2, 5_000_001).write_to(&mut file).unwrap();
    let server = peer::serve_directory(&two.right, "10.0.0.2:80".parse().unwrap(), &dir)?;
    let out = dir.join("out");
    let mut curl = Command::new("curl");
    curl.args(["-sS", "-o"]).arg(&out).arg(server.url("data"));
    two.left.spawn(&mut curl)?.finish(LIMIT)?.expect_success();
    let mut got = Vec::new();
    std::fs::File::open(&out).unwrap().read_to_end(&mut got).unwrap();
    assert_eq!(got.len(), 5_000_001);
    Pattern::new(2, 5_000_001).check(&got).unwrap();
    std::fs::remove_dir_all(dir).unwrap();
    Ok(())
}

#[test]
fn offloads_mtu_mac_neighbours_routes_and_sysctls_are_set() -> Result<(), Error> {
    require!(Namespaces, Program("ip"), Program("ethtool"));
    let two = Two::new()?;
    let show = |command: &mut Command| -> Result<String, Error> {
        Ok(two.right.spawn(command)?.finish(LIMIT)?.expect_success().stdout)
    };
    let b = two.b();
    b.set_mtu(9000)?;
    b.set_mac([2, 0, 0, 0, 0, 9])?;
    assert_eq!(b.mac()?, [2, 0, 0, 0, 0, 9]);
    let text = show(Command::new("ip").args(["link", "show", "b"]))?;
    assert!(text.contains("mtu 9000") && text.contains("02:00:00:00:00:09"), "{text}");

    for offload in Offload::ALL {
        b.set_offload(offload, false)?;
    }
    let text = show(Command::new("ethtool").args(["-k", "b"]))?;
    for off in [
        "tx-tcp-segmentation: off",
        "generic-segmentation-offload: off",
        "generic-receive-offload: off",
        "tx-checksumming: off",
        "rx-checksumming: off",
    ] {
        assert!(text.contains(off), "{off} is not in {text}");
    }
    b.set_offload(Offload::TxChecksum, true)?;
    assert!(show(Command::new("ethtool").args(["-k", "b"]))?.contains("tx-checksumming: on"));

    b.add_neighbour(ip("10.0.0.77"), [2, 0, 0, 0, 0, 7])?;
    let text = show(Command::new("ip").args(["neigh", "show", "dev", "b"]))?;
    assert!(text.contains("10.0.0.77 lladdr 02:00:00:00:00:07 PERMANENT"), "{text}");

    two.right.add_route(ip("0.0.0.0"), 0, ip("10.0.0.1"))?;
    two.right.add_route(ip("2001:db8::"), 32, ip("fd00::1"))?;
    let text = show(Command::new("ip").args(["route", "show"]))?;
    assert!(text.contains("default via 10.0.0.1 dev b"), "{text}");
    let text = show(Command::new("ip").args(["-6", "route", "show"]))?;
    assert!(text.contains("2001:db8::/32 via fd00::1 dev b"), "{text}");

    two.right.sysctl("net.ipv4.tcp_syn_retries", "2")?;
    let read = |ns: &Namespace| ns.run(|| std::fs::read_to_string("/proc/sys/net/ipv4/tcp_syn_retries"));
    assert_eq!(read(&two.right)?.trim(), "2");
    assert_ne!(read(&two.left)?.trim(), "2", "a sysctl leaked to another namespace");
    Ok(())
}

#[test]
fn an_address_works_at_once_and_down_and_delete_end_it() -> Result<(), Error> {
    require!(Namespaces);
    let two = Two::new()?;
    let connect = || {
        two.left
            .run(|| TcpStream::connect_timeout(&"[fd00::2]:9".parse().unwrap(), Duration::from_millis(300)))
    };
    // Without IFA_F_NODAD the address would be tentative for a second, and nobody would answer.
    assert_eq!(connect().unwrap_err().io().kind(), ErrorKind::ConnectionRefused);
    two.b().down()?;
    assert_ne!(connect().unwrap_err().io().kind(), ErrorKind::ConnectionRefused);
    two.a().delete()?;
    assert_eq!(two.b().index().unwrap_err().io().raw_os_error(), Some(19), "ENODEV");
    Ok(())
}

#[test]
fn the_callers_namespace_is_not_touched() -> Result<(), Error> {
    require!(Namespaces);
    let here = || std::fs::read_link("/proc/thread-self/ns/net");
    let before = here().unwrap();
    let ns = Namespace::new()?;
    ns.add_veth("v0", &ns, "v1")?;
    let inside = ns.run(here)?;
    let on_thread = ns.thread("t", move || here().unwrap())?.join().unwrap();
    assert_eq!(here().unwrap(), before);
    assert_ne!(inside, before);
    assert_eq!(inside, on_thread);
    let of_child =
        ns.spawn(Command::new("readlink").arg("/proc/self/ns/net"))?.finish(LIMIT)?.expect_success().stdout;
    assert_eq!(of_child.trim(), inside.to_str().unwrap());
    // The path leads to the same namespace.
    let again = Namespace::from_fd(std::fs::File::open(ns.path()).unwrap().into())?;
    assert_eq!(again.link("v1").mac()?, ns.link("v1").mac()?);
    assert_eq!(ns.add_veth("v0", &ns, "v2").unwrap_err().io().kind(), ErrorKind::AlreadyExists);
    Ok(())
}

#[test]
fn a_namespace_is_gone_with_its_value() -> Result<(), Error> {
    require!(Namespaces);
    let (kept, dropped) = (Namespace::new()?, Namespace::new()?);
    kept.add_veth("a", &dropped, "b")?;
    let server = peer::echo(&dropped, "127.0.0.1:0".parse().unwrap())?;
    drop(server);
    drop(dropped);
    // The kernel takes namespaces down in the background; the other end of the pair goes with it.
    let end = Instant::now() + Duration::from_secs(10);
    while kept.link("a").index().is_ok() {
        assert!(Instant::now() < end, "the namespace still lives");
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

#[test]
fn a_child_is_killed_with_its_value_and_bounded_in_time() -> Result<(), Error> {
    require!(Namespaces);
    let ns = Namespace::new()?;
    let child = ns.spawn(Command::new("sleep").arg("1000"))?;
    let proc = format!("/proc/{}", child.id());
    assert!(std::fs::exists(&proc).unwrap());
    drop(child);
    assert!(!std::fs::exists(&proc).unwrap());

    let mut shell = Command::new("sh");
    let child = ns.spawn(shell.args(["-c", "echo ready; exec sleep 1000"]))?;
    child.wait_for("ready", LIMIT)?;
    let e = child.finish(Duration::from_millis(50)).unwrap_err();
    assert_eq!(e.io().kind(), ErrorKind::TimedOut);
    assert!(e.to_string().contains("ready"), "{e}");

    let e = Child::start(Command::new("sh").args(["-c", "echo oops >&2"])).unwrap().wait_for("fine", LIMIT);
    assert!(e.unwrap_err().to_string().contains("oops"));
    Ok(())
}

#[test]
fn a_busy_port_and_a_stopped_server() -> Result<(), Error> {
    require!(Namespaces);
    let ns = Namespace::new()?;
    let server = peer::echo(&ns, "127.0.0.1:7".parse().unwrap())?;
    assert_eq!(peer::echo(&ns, server.addr()).unwrap_err().io().kind(), ErrorKind::AddrInUse);
    drop(server);
    ns.run(|| TcpListener::bind("127.0.0.1:7"))?;
    Ok(())
}

/// A fresh directory under cargo's directory for test files.
fn tempdir(name: &str) -> std::path::PathBuf {
    let dir =
        std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    dir
}
