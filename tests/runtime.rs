//! Two runtimes with blocking sockets, joined by an in-memory wire: what `std::net` does, these must do.
//!
//! Real threads and real time, so every test has a limit, and waits only where waiting is the subject.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use wirestack::device::{Wire, WireOptions};
use wirestack::link::Device;
use wirestack::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use wirestack::socket::{MsgFlags, Readiness, SocketOption};
use wirestack::stack::InterfaceConfig;
use wirestack::{Config, Errno, IfaceId, Runtime};

const A: &str = "10.9.0.1";
const B: &str = "10.9.0.2";
const A6: &str = "fd09::1";
const B6: &str = "fd09::2";

/// Two runtimes on one wire.
fn pair() -> (Runtime, Runtime) {
    pair_on(WireOptions { wake: true, ..WireOptions::OFFLOAD })
}

fn pair_on(options: WireOptions) -> (Runtime, Runtime) {
    let [a, b] = Wire::pair(options);
    (runtime(a, 1), runtime(b, 2))
}

fn runtime(device: impl Device + Send + 'static, host: u8) -> Runtime {
    let mut builder = Runtime::builder(Config { secret: [7, host.into()], ..Config::default() });
    builder.interface(
        Box::new(device),
        InterfaceConfig {
            name: "wire0".into(),
            mac: [2, 0, 0, 0, 9, host],
            capabilities: wirestack::link::Capabilities::ETHERNET,
            addresses: vec![
                format!("10.9.0.{host}/24").parse().unwrap(),
                format!("fd09::{host}/64").parse().unwrap(),
            ],
            detect_duplicates: false,
        },
    );
    builder.start().unwrap()
}

/// Runs a test on a thread of its own and fails if it takes too long: a hang must not hang the suite.
fn within(limit: Duration, test: impl FnOnce() + Send + 'static) {
    let (done, finished) = mpsc::channel();
    let runner = thread::spawn(move || {
        test();
        let _ = done.send(());
    });
    match finished.recv_timeout(limit) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("not finished after {limit:?}"),
        Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => {
            if let Err(panic) = runner.join() {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

const LIMIT: Duration = Duration::from_secs(60);

/// A connection: (on the client's runtime, on the server's).
fn connected(client: &Runtime, server: &Runtime) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind_on(server, (B, 0)).unwrap();
    let stream = TcpStream::connect_on(client, listener.local_addr().unwrap()).unwrap();
    let (accepted, peer) = listener.accept().unwrap();
    assert_eq!(peer, stream.local_addr().unwrap());
    assert_eq!(accepted.local_addr().unwrap(), stream.peer_addr().unwrap());
    (stream, accepted)
}

/// Octets that repeat late, so that a piece lost, doubled or moved shows.
fn pattern(seed: u64, len: usize) -> Vec<u8> {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            (x >> 24) as u8
        })
        .collect()
}

fn kind<T: std::fmt::Debug>(result: io::Result<T>) -> ErrorKind {
    result.expect_err("an error was expected").kind()
}

fn errno<T: std::fmt::Debug>(result: io::Result<T>) -> Option<i32> {
    result.expect_err("an error was expected").raw_os_error()
}

#[test]
fn many_threads_echo_the_same_bytes() {
    within(LIMIT, || {
        for (options, addr) in [
            (WireOptions { wake: true, ..WireOptions::OFFLOAD }, B),
            (WireOptions { wake: true, ..WireOptions::PLAIN }, B6),
        ] {
            let (client, server) = pair_on(options);
            echo_threads(&client, &server, addr);
        }
    });
}

fn echo_threads(client: &Runtime, server: &Runtime, addr: &str) {
    const THREADS: usize = 16;
    const LEN: usize = 300_000;
    let listener = TcpListener::bind_on(server, (addr, 7)).unwrap();
    let serving = thread::spawn(move || {
        let handlers: Vec<_> = listener
            .incoming()
            .take(THREADS)
            .map(|stream| {
                let mut stream = stream.unwrap();
                thread::spawn(move || {
                    let mut buf = vec![0; 10_000];
                    loop {
                        match stream.read(&mut buf).unwrap() {
                            0 => break,
                            n => stream.write_all(&buf[..n]).unwrap(),
                        }
                    }
                })
            })
            .collect();
        handlers.into_iter().for_each(|h| h.join().unwrap());
    });
    let clients: Vec<_> = (0..THREADS)
        .map(|n| {
            let stream = TcpStream::connect_on(client, (addr, 7)).unwrap();
            thread::spawn(move || {
                let sent = pattern(n as u64, LEN);
                let reader = stream.try_clone().unwrap();
                let reading = thread::spawn(move || {
                    let mut got = Vec::new();
                    (&reader).read_to_end(&mut got).unwrap();
                    got
                });
                for piece in sent.chunks(7_000 + 13 * n) {
                    (&stream).write_all(piece).unwrap();
                }
                stream.shutdown(Shutdown::Write).unwrap();
                assert!(reading.join().unwrap() == sent, "thread {n} got other bytes back");
            })
        })
        .collect();
    clients.into_iter().for_each(|c| c.join().unwrap());
    serving.join().unwrap();
}

#[test]
fn both_directions_at_once_through_clones() {
    within(LIMIT, || {
        let (client, server) = pair();
        let (left, right) = connected(&client, &server);
        // More than both buffers together, so each side must read while it writes.
        const LEN: usize = 16 << 20;
        let ends = [(left, 1), (right, 2)].map(|(stream, seed)| {
            let writer = stream.try_clone().unwrap();
            let writing = thread::spawn(move || {
                (&writer).write_all(&pattern(seed, LEN)).unwrap();
                writer.shutdown(Shutdown::Write).unwrap();
            });
            let reading = thread::spawn(move || {
                let mut got = Vec::with_capacity(LEN);
                (&stream).read_to_end(&mut got).unwrap();
                got
            });
            (writing, reading, seed)
        });
        for (writing, reading, seed) in ends {
            writing.join().unwrap();
            assert!(reading.join().unwrap() == pattern(3 - seed, LEN), "other bytes than were sent");
        }
    });
}

#[test]
fn a_read_timeout_is_would_block_and_loses_nothing() {
    within(LIMIT, || {
        let (client, server) = pair();
        let (mut left, mut right) = connected(&client, &server);
        assert_eq!(left.read_timeout().unwrap(), None);
        let timeout = Duration::from_millis(60);
        left.set_read_timeout(Some(timeout)).unwrap();
        assert_eq!(left.read_timeout().unwrap(), Some(timeout));
        let begin = Instant::now();
        assert_eq!(kind(left.read(&mut [0; 10])), ErrorKind::WouldBlock);
        assert!(begin.elapsed() >= timeout, "too early: {:?}", begin.elapsed());
        assert!(begin.elapsed() < Duration::from_secs(10), "too late: {:?}", begin.elapsed());
        right.write_all(b"late").unwrap();
        left.set_read_timeout(None).unwrap();
        let mut buf = [0; 4];
        left.read_exact(&mut buf).unwrap();
        assert_eq!(&buf, b"late");
        assert_eq!(kind(left.set_read_timeout(Some(Duration::ZERO))), ErrorKind::InvalidInput);
    });
}

#[test]
fn a_write_timeout_tells_how_much_went() {
    within(LIMIT, || {
        let (client, server) = pair();
        let (mut left, right) = connected(&client, &server);
        left.set_write_timeout(Some(Duration::from_millis(60))).unwrap();
        let data = pattern(1, 64 << 20);
        // Nobody reads: the first write stops short, the next one finds no room at all.
        let n = left.write(&data).unwrap();
        assert!(n > 0 && n < data.len(), "{n}");
        assert_eq!(kind(left.write(&data[n..])), ErrorKind::WouldBlock);
        left.set_write_timeout(None).unwrap();
        let reading = thread::spawn(move || {
            let mut got = Vec::new();
            (&right).read_to_end(&mut got).unwrap();
            got
        });
        left.write_all(&data[n..]).unwrap();
        drop(left);
        assert!(reading.join().unwrap() == data);
    });
}

#[test]
fn nobody_listens_is_connection_refused() {
    within(LIMIT, || {
        let (client, _server) = pair();
        for addr in [B, B6] {
            assert_eq!(kind(TcpStream::connect_on(&client, (addr, 81))), ErrorKind::ConnectionRefused);
        }
    });
}

#[test]
fn nobody_there_is_timed_out_in_time() {
    within(LIMIT, || {
        // A neighbour that answers ARP but swallows the rest would be nicer; an address that nobody has
        // must not answer within this time either (three ARP requests a second apart).
        let (client, _server) = pair();
        let addr: SocketAddr = "10.9.0.77:80".parse().unwrap();
        let timeout = Duration::from_millis(100);
        let begin = Instant::now();
        let result = TcpStream::connect_timeout_on(&client, &addr, timeout);
        assert_eq!(kind(result), ErrorKind::TimedOut);
        assert!(begin.elapsed() >= timeout && begin.elapsed() < Duration::from_secs(10));
        let zero = TcpStream::connect_timeout_on(&client, &addr, Duration::ZERO);
        assert_eq!(kind(zero), ErrorKind::InvalidInput);
        // The attempts are not left behind.
        wait_for(|| client.with_stack(|stack, _| stack.sockets().is_empty()));
    });
}

#[test]
fn several_threads_accept_what_several_threads_connect() {
    within(LIMIT, || {
        const EACH: usize = 50;
        let (client, server) = pair();
        let listener = TcpListener::bind_on(&server, (B, 80)).unwrap();
        let accepting: Vec<_> = (0..4)
            .map(|_| {
                let listener = listener.try_clone().unwrap();
                thread::spawn(move || {
                    for stream in listener.incoming().take(EACH) {
                        stream.unwrap().write_all(b"x").unwrap();
                    }
                })
            })
            .collect();
        let connecting: Vec<_> = (0..4)
            .map(|_| {
                let client = client.clone();
                thread::spawn(move || {
                    for _ in 0..EACH {
                        let mut stream = TcpStream::connect_on(&client, (B, 80)).unwrap();
                        let mut got = Vec::new();
                        stream.read_to_end(&mut got).unwrap();
                        assert_eq!(got, b"x");
                    }
                })
            })
            .collect();
        for t in connecting.into_iter().chain(accepting) {
            t.join().unwrap();
        }
    });
}

#[test]
fn half_close_then_read_to_the_end() {
    within(LIMIT, || {
        let (client, server) = pair();
        let (mut left, mut right) = connected(&client, &server);
        left.write_all(b"question").unwrap();
        left.shutdown(Shutdown::Write).unwrap();
        assert_eq!(kind(left.write(b"more")), ErrorKind::BrokenPipe);
        let mut question = String::new();
        right.read_to_string(&mut question).unwrap();
        assert_eq!(question, "question");
        let answer = pattern(9, 2 << 20);
        let sent = answer.clone();
        let answering = thread::spawn(move || right.write_all(&sent).unwrap());
        let mut got = Vec::new();
        left.read_to_end(&mut got).unwrap();
        answering.join().unwrap();
        assert!(got == answer);
        assert_eq!(left.read(&mut [0; 1]).unwrap(), 0);
    });
}

#[test]
fn a_reset_by_the_peer_is_connection_reset() {
    within(LIMIT, || {
        let (client, server) = pair();
        let (mut left, right) = connected(&client, &server);
        let reading = thread::spawn(move || kind(left.read(&mut [0; 1])));
        right.set_linger(Some(Duration::ZERO)).unwrap();
        assert_eq!(right.linger().unwrap(), Some(Duration::ZERO));
        drop(right);
        assert_eq!(reading.join().unwrap(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn dropping_the_runtime_wakes_those_who_wait() {
    within(LIMIT, || {
        let (client, server) = pair();
        let (left, right) = connected(&client, &server);
        let listener = TcpListener::bind_on(&client, (A, 80)).unwrap();
        let udp = UdpSocket::bind_on(&client, (A, 53)).unwrap();
        let started = std::sync::Arc::new(std::sync::Barrier::new(5));
        let spawn = |f: Box<dyn FnOnce() -> io::Result<()> + Send>| {
            let started = started.clone();
            thread::spawn(move || {
                started.wait();
                f()
            })
        };
        let writer = left.try_clone().unwrap();
        let waiting = [
            spawn(Box::new(move || (&left).read(&mut [0; 1]).map(drop))),
            spawn(Box::new(move || (&writer).write_all(&vec![0; 256 << 20]))),
            spawn(Box::new(move || listener.accept().map(drop))),
            spawn(Box::new(move || udp.recv(&mut [0; 1]).map(drop))),
        ];
        started.wait();
        thread::sleep(Duration::from_millis(50));
        drop(client);
        for t in waiting {
            assert!(t.join().unwrap().is_err());
        }
        drop(right);
        drop(server);
    });
}

#[test]
fn calls_after_the_end_fail() {
    within(LIMIT, || {
        let (client, server) = pair();
        let (left, _right) = connected(&client, &server);
        client.shutdown(Duration::from_secs(10)).unwrap();
        let down = Some(Errno::ENETDOWN.number());
        assert_eq!(errno((&left).read(&mut [0; 1])), down);
        assert_eq!(errno((&left).write(b"x")), down);
        assert_eq!(errno(TcpStream::connect_on(&client, (B, 80))), down);
    });
}

#[test]
fn shutdown_delivers_what_was_written() {
    within(LIMIT, || {
        let (client, server) = pair();
        let (mut left, mut right) = connected(&client, &server);
        let data = pattern(5, 500_000);
        let reading = thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            let mut got = Vec::new();
            right.read_to_end(&mut got).unwrap();
            got
        });
        left.write_all(&data).unwrap();
        drop(left);
        client.shutdown(Duration::from_secs(20)).unwrap();
        drop(client);
        assert!(reading.join().unwrap() == data);
    });
}

#[test]
fn closing_with_linger_waits_for_the_acknowledgment() {
    within(LIMIT, || {
        let (client, server) = pair();
        let (mut left, right) = connected(&client, &server);
        left.set_linger(Some(Duration::from_secs(20))).unwrap();
        // More than the peer takes without reading.
        left.set_write_timeout(Some(Duration::from_millis(30))).unwrap();
        let n = left.write(&pattern(1, 64 << 20)).unwrap();
        let reading = thread::spawn(move || {
            thread::sleep(Duration::from_millis(60));
            io::copy(&mut &right, &mut io::sink()).unwrap()
        });
        let begin = Instant::now();
        drop(left);
        assert!(begin.elapsed() >= Duration::from_millis(20), "it did not wait");
        assert_eq!(reading.join().unwrap(), n as u64);

        // Its time over, closing goes on in the background.
        let (mut left, right) = connected(&client, &server);
        left.set_linger(Some(Duration::from_secs(1))).unwrap();
        left.set_write_timeout(Some(Duration::from_millis(30))).unwrap();
        let n = left.write(&pattern(1, 64 << 20)).unwrap();
        let begin = Instant::now();
        drop(left);
        assert!(begin.elapsed() >= Duration::from_secs(1) && begin.elapsed() < Duration::from_secs(15));
        assert_eq!(io::copy(&mut &right, &mut io::sink()).unwrap(), n as u64);
    });
}

#[test]
fn without_blocking() {
    within(LIMIT, || {
        let (client, server) = pair();
        let listener = TcpListener::bind_on(&server, (B, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        assert_eq!(kind(listener.accept()), ErrorKind::WouldBlock);
        let mut left = TcpStream::connect_on(&client, listener.local_addr().unwrap()).unwrap();
        listener.as_ref().wait_ready(Readiness::IN, Some(LIMIT)).unwrap();
        let (mut right, _) = listener.accept().unwrap();
        left.set_nonblocking(true).unwrap();
        assert_eq!(kind(left.read(&mut [0; 1])), ErrorKind::WouldBlock);
        right.write_all(b"y").unwrap();
        left.as_ref().wait_ready(Readiness::IN, Some(LIMIT)).unwrap();
        let mut y = [0; 1];
        assert_eq!(left.peek(&mut y).unwrap(), 1);
        assert_eq!(left.read(&mut y).unwrap(), 1);
        assert_eq!(&y, b"y");
        let short = left.as_ref().wait_ready(Readiness::IN, Some(Duration::from_millis(10)));
        assert_eq!(kind(short), ErrorKind::WouldBlock);
    });
}

#[test]
fn vectored_and_whole_reads() {
    within(LIMIT, || {
        let (client, server) = pair();
        let (mut left, mut right) = connected(&client, &server);
        let n =
            left.write_vectored(&[IoSlice::new(b"one"), IoSlice::new(b""), IoSlice::new(b"two")]).unwrap();
        assert_eq!(n, 6);
        let mut all = [0; 6];
        assert_eq!(right.as_ref().recv_with_flags(&mut all, MsgFlags::WAITALL).unwrap(), 6);
        assert_eq!(&all, b"onetwo");
        left.write_all(b"abcd").unwrap();
        let (mut x, mut y) = ([0; 3], [0; 3]);
        let mut got = 0;
        while got < 4 {
            got += right.read_vectored(&mut [IoSliceMut::new(&mut x), IoSliceMut::new(&mut y)]).unwrap();
        }
        assert_eq!((&x, &y[..1]), (b"abc", &b"d"[..]));
    });
}

#[test]
fn without_a_copy() {
    within(LIMIT, || {
        let (client, server) = pair();
        let (left, right) = connected(&client, &server);
        let data = pattern(3, 8 << 20);
        let mut bytes = bytes::Bytes::from(data.clone());
        let reading = thread::spawn(move || {
            let mut got = Vec::new();
            loop {
                let chunk = right.as_ref().recv_chunk(1 << 20).unwrap();
                if chunk.is_empty() {
                    return got;
                }
                got.extend_from_slice(&chunk);
            }
        });
        assert_eq!(left.as_ref().send_bytes(&mut bytes).unwrap(), data.len());
        assert!(bytes.is_empty());
        drop(left);
        assert!(reading.join().unwrap() == data);
    });
}

#[test]
fn options_read_back() {
    within(LIMIT, || {
        let (client, server) = pair();
        let (left, _right) = connected(&client, &server);
        assert!(!left.nodelay().unwrap());
        left.set_nodelay(true).unwrap();
        assert!(left.nodelay().unwrap());
        assert_eq!(left.ttl().unwrap(), 64);
        left.set_ttl(3).unwrap();
        assert_eq!(left.ttl().unwrap(), 3);
        assert_eq!(errno(left.set_ttl(256)), Some(Errno::EINVAL.number()));
        assert_eq!(errno(left.set_ttl(0)), Some(Errno::EINVAL.number()));
        assert!(left.take_error().unwrap().is_none());
        left.as_ref().set_option(SocketOption::KeepAlive(true)).unwrap();
    });
}

#[test]
fn datagrams() {
    within(LIMIT, || {
        let (client, server) = pair();
        let left = UdpSocket::bind_on(&client, (A, 0)).unwrap();
        let right = UdpSocket::bind_on(&server, (B, 53)).unwrap();
        let mut buf = [0; 100];
        assert_eq!(left.send_to(b"who", (B, 53)).unwrap(), 3);
        assert_eq!(right.peek_from(&mut buf).unwrap(), (3, left.local_addr().unwrap()));
        assert_eq!(right.recv_from(&mut buf).unwrap(), (3, left.local_addr().unwrap()));
        assert_eq!(&buf[..3], b"who");
        right.connect(left.local_addr().unwrap()).unwrap();
        assert_eq!(right.peer_addr().unwrap(), left.local_addr().unwrap());
        right.send(b"me").unwrap();
        assert_eq!(left.recv(&mut buf).unwrap(), 2);
        // Boundaries stay, empty ones too, and what does not fit is lost.
        left.send_to(b"", (B, 53)).unwrap();
        left.send_to(b"long", (B, 53)).unwrap();
        left.send_to(b"z", (B, 53)).unwrap();
        assert_eq!(right.recv(&mut buf).unwrap(), 0);
        assert_eq!(right.recv(&mut buf[..2]).unwrap(), 2);
        assert_eq!(right.recv(&mut buf).unwrap(), 1);
        left.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        assert_eq!(kind(left.recv(&mut buf)), ErrorKind::WouldBlock);
        // A port that nobody has: the ICMP error comes to the connected socket.
        let probe = UdpSocket::bind_on(&client, (A6, 0)).unwrap();
        probe.connect((B6, 54)).unwrap();
        probe.send(b"?").unwrap();
        assert_eq!(kind(probe.recv(&mut buf)), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn the_process_may_have_a_runtime_of_its_own() {
    within(LIMIT, || {
        // The only test here that touches the process-wide default.
        assert_eq!(errno(TcpStream::connect((B, 80))), Some(Errno::ENETDOWN.number()));
        let runtime = Runtime::builder(Config::default()).start().unwrap();
        assert!(runtime.set_default().is_none());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut left = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut right, _) = listener.accept().unwrap();
        left.write_all(b"on the loopback").unwrap();
        drop(left);
        let mut got = String::new();
        right.read_to_string(&mut got).unwrap();
        assert_eq!(got, "on the loopback");
        assert!(Runtime::clear_default().is_some());
    });
}

/// A wire end that breaks when told to.
struct Breakable {
    inner: wirestack::device::WireEnd,
    broken: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

impl Device for Breakable {
    fn capabilities(&self) -> wirestack::link::Capabilities {
        self.inner.capabilities()
    }
    fn receive(&mut self, now: wirestack::Instant) -> Result<Option<wirestack::link::Received>, Errno> {
        if self.broken.load(std::sync::atomic::Ordering::SeqCst) {
            Err(Errno::ENODEV)
        } else {
            self.inner.receive(now)
        }
    }
    fn transmit(
        &mut self,
        now: wirestack::Instant,
        frame: &wirestack::link::TxFrame<'_>,
    ) -> Result<(), wirestack::link::TxError> {
        if self.broken.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(wirestack::link::TxError::Failed(Errno::ENODEV));
        }
        self.inner.transmit(now, frame)
    }
    fn as_fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.inner.as_fd()
    }
}

#[test]
fn a_device_that_vanishes_takes_its_connections_with_it() {
    within(LIMIT, || {
        let [a, b] = Wire::pair(WireOptions { wake: true, ..WireOptions::OFFLOAD });
        let broken = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let client = runtime(Breakable { inner: a, broken: broken.clone() }, 1);
        let server = runtime(b, 2);
        let (left, mut right) = connected(&client, &server);
        let listener = TcpListener::bind_on(&client, "0.0.0.0:80").unwrap();
        let reading = thread::spawn(move || errno((&left).read(&mut [0; 1])));
        let accepting = thread::spawn(move || errno(listener.accept()));
        thread::sleep(Duration::from_millis(20));
        broken.store(true, std::sync::atomic::Ordering::SeqCst);
        // Something has to happen for the device to be asked.
        right.write_all(b"are you there?").unwrap();
        assert_eq!(reading.join().unwrap(), Some(Errno::ENETDOWN.number()));
        assert_eq!(accepting.join().unwrap(), Some(Errno::ENETDOWN.number()));
        let error = client.device_error().unwrap();
        assert_eq!((error.interface.as_str(), error.error), ("wire0", Errno::ENODEV));
    });
}

#[test]
fn a_full_wire_is_waited_for() {
    within(LIMIT, || {
        // Four frames at a time: the devices are busy most of the time, in both directions.
        let (client, server) = pair_on(WireOptions { wake: true, queue: 4, ..WireOptions::PLAIN });
        echo_threads(&client, &server, B);
    });
}

#[test]
fn events_reach_the_observer() {
    within(LIMIT, || {
        let [a, b] = Wire::pair(WireOptions { wake: true, ..WireOptions::PLAIN });
        let _server = runtime(b, 2);
        let events = wirestack::event::EventFilter { transitions: true, ..Default::default() };
        let mut builder = Runtime::builder(Config { secret: [7, 7], events, ..Config::default() });
        let iface = builder.interface(
            Box::new(a),
            InterfaceConfig {
                name: "wire0".into(),
                mac: [2, 0, 0, 0, 9, 1],
                capabilities: wirestack::link::Capabilities::ETHERNET,
                addresses: vec!["10.9.0.1/24".parse().unwrap()],
                detect_duplicates: false,
            },
        );
        assert_ne!(iface, IfaceId::LOOPBACK);
        let (tell, told) = mpsc::channel();
        builder.on_event(move |event| {
            let _ = tell.send(event.clone());
        });
        let client = builder.start().unwrap();
        assert_eq!(kind(TcpStream::connect_on(&client, (B, 1))), ErrorKind::ConnectionRefused);
        drop(client);
        let states = told.iter().filter(|e| matches!(e, wirestack::Event::Tcp(_))).count();
        assert!(states >= 2, "SYN-SENT and CLOSED at least, got {states}");
    });
}

fn wait_for(mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !condition() {
        assert!(Instant::now() < end, "it did not happen in time");
        thread::yield_now();
    }
}
