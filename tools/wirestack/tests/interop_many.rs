//! Many clients: at the same time, and one after another.

mod interop;

use interop::files::Files;
use interop::{Attach, LIMIT, OURS4, OURS6, Rig, interrupt};
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};
use wirestack_lab::{Child, Pattern, require};

/// A request on a connection, and what came after the head of the answer.
fn fetch(mut stream: &TcpStream, file: &str, close: bool) -> io::Result<Vec<u8>> {
    let connection = if close { "close" } else { "keep-alive" };
    write!(stream, "GET /{file} HTTP/1.1\r\nHost: test\r\nConnection: {connection}\r\n\r\n")?;
    let mut answer = Vec::new();
    let mut buf = vec![0; 64 << 10];
    let (head, length) = loop {
        let n = stream.read(&mut buf)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        answer.extend_from_slice(&buf[..n]);
        if let Some(end) = answer.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
            assert!(head.starts_with("http/1.1 200 "), "{head}");
            let length = head.lines().find_map(|l| l.strip_prefix("content-length:")).expect("a length");
            break (end + 4, length.trim().parse::<usize>().expect("a number"));
        }
    };
    let mut body = answer.split_off(head);
    while body.len() < length {
        let n = stream.read(&mut buf)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        body.extend_from_slice(&buf[..n]);
    }
    Ok(body)
}

fn connect(host: IpAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&SocketAddr::new(host, 80), LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    Ok(stream)
}

#[test]
fn two_hundred_clients_at_the_same_time() {
    const CLIENTS: usize = 200;
    const LEN: u64 = 1 << 20;
    require!(Namespaces, Tun);
    let files = Files::new();
    files.generate("data", 3, LEN);
    let rig = Rig::new(Attach::Tap);
    let server = rig.serve(files.dir(), &[]);
    // Nobody asks before all are connected, so that all are served at the same time.
    let all_connected = Barrier::new(CLIENTS);
    let client = |i: usize| {
        let stream = connect(if i.is_multiple_of(2) { OURS4 } else { OURS6 });
        all_connected.wait();
        let body = fetch(&stream?, "data", true)?;
        let mut pattern = Pattern::new(3, LEN);
        pattern.check(&body)?;
        if pattern.remaining() > 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    };
    let outcomes: Vec<io::Result<()>> = rig
        .kernel
        .run(|| {
            thread::scope(|scope| {
                let clients: Vec<_> = (0..CLIENTS).map(|i| scope.spawn(move || (i, client(i)))).collect();
                Ok::<_, io::Error>(clients.into_iter().map(|c| c.join().unwrap().1).collect())
            })
        })
        .unwrap();
    let failed: Vec<_> = outcomes.iter().filter_map(|o| o.as_ref().err()).collect();
    assert!(failed.is_empty(), "{} of {CLIENTS} clients failed: {:?}", failed.len(), failed[0]);
    interrupt(server);
}

/// What a leak would show in.
#[derive(Clone, Copy, Debug)]
struct Footprint {
    sockets: usize,
    threads: usize,
    descriptors: usize,
    resident_kib: u64,
}

impl Footprint {
    fn of(server: &Child) -> Self {
        let pid = server.id();
        let entries = |dir: &str| std::fs::read_dir(format!("/proc/{pid}/{dir}")).unwrap().count();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let resident = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap();
        let mut ss = interop::wirestack(&["ss", "--all", "--pid", &pid.to_string()]);
        let table = Child::start(&mut ss).unwrap().finish(LIMIT).unwrap().expect_success().stdout;
        Self {
            // A line of headings.
            sockets: table.lines().count() - 1,
            threads: entries("task"),
            descriptors: entries("fd"),
            resident_kib: resident.trim().trim_end_matches(" kB").parse().unwrap(),
        }
    }

    /// Waits until only the listener is left.
    fn settled(server: &Child) -> Self {
        let end = Instant::now() + LIMIT;
        loop {
            let now = Self::of(server);
            if now.sockets == 1 {
                return now;
            }
            assert!(Instant::now() < end, "sockets are left: {now:?}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn ten_thousand_clients_one_after_another() {
    const CLIENTS: usize = 10_000;
    require!(Namespaces, Tun);
    let files = Files::new();
    files.generate("small", 4, 1000);
    let rig = Rig::new(Attach::Tap);
    let server = rig.serve(files.dir(), &[]);
    let clients = |n: usize| {
        rig.kernel
            .run(|| {
                for i in 0..n {
                    // The client closes first: TIME-WAIT is the kernel's, and nothing may stay here.
                    let body = fetch(&connect(OURS4)?, "small", false)
                        .map_err(|e| io::Error::new(e.kind(), format!("client {i}: {e}")))?;
                    assert_eq!(body.len(), 1000);
                }
                Ok::<_, io::Error>(())
            })
            .unwrap();
    };
    // The first ones fill caches and pools.
    clients(500);
    let before = Footprint::settled(&server);
    let start = Instant::now();
    clients(CLIENTS);
    println!("{CLIENTS} connections in {:?}", start.elapsed());
    let after = Footprint::settled(&server);
    // A thread or two may still be on their way out, in both.
    assert!(after.threads <= before.threads + 2, "{before:?}, then {after:?}");
    assert!(after.descriptors <= before.descriptors + 2, "{before:?}, then {after:?}");
    // A leak of a bare control block (about a kilobyte) would be 10 MB.
    assert!(after.resident_kib < before.resident_kib + 4096, "{before:?}, then {after:?}");
    interrupt(server);
}
