//! Loads the library as packetdrill does, and does with it what packetdrill does: sockets by the table,
//! packets by `netdev_send` and `netdev_receive`, a blocking call on a second thread, TCP_INFO by libc's
//! `getsockopt` under LD_PRELOAD.
#![allow(unsafe_code)]

use libc::{c_int, c_void, sockaddr, sockaddr_in, socklen_t, timeval};
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const LOCAL: [u8; 4] = [192, 168, 0, 1];
const PEER: [u8; 4] = [192, 0, 2, 1];
const FIN: u8 = 1;
const SYN: u8 = 2;
const PSH: u8 = 8;
const ACK: u8 = 16;

/// Places in the table.
mod at {
    pub(super) const FREE: usize = 1;
    pub(super) const SOCKET: usize = 2;
    pub(super) const BIND: usize = 3;
    pub(super) const LISTEN: usize = 4;
    pub(super) const ACCEPT: usize = 5;
    pub(super) const CONNECT: usize = 6;
    pub(super) const READ: usize = 7;
    pub(super) const WRITE: usize = 12;
    pub(super) const FCNTL: usize = 17;
    pub(super) const CLOSE: usize = 19;
    pub(super) const POLL: usize = 23;
    pub(super) const NETDEV_SEND: usize = 24;
    pub(super) const NETDEV_RECEIVE: usize = 25;
    pub(super) const USLEEP: usize = 26;
    pub(super) const GETTIMEOFDAY: usize = 27;
}

fn library() -> PathBuf {
    let exe = std::env::current_exe().expect("this test has a path");
    let deps = exe.parent().expect("it lies in a folder");
    let name = "libwirestack_packetdrill.so";
    let places = [deps.join(name), deps.join("..").join(name)];
    places.into_iter().find(|p| p.exists()).expect("the library is built with its tests")
}

#[derive(Clone, Copy)]
struct Table([*mut c_void; 33]);

// SAFETY: addresses of functions that may be called from every thread.
unsafe impl Send for Table {}
// SAFETY: as above.
unsafe impl Sync for Table {}

/// There is one stack in a process.
static ONE: Mutex<()> = Mutex::new(());

fn load(flags: &str) -> (Table, MutexGuard<'static, ()>) {
    let guard = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let path = CString::new(library().as_os_str().as_bytes()).expect("a path");
    let how = libc::RTLD_NOW | libc::RTLD_LOCAL | libc::RTLD_NODELETE | libc::RTLD_DEEPBIND;
    // SAFETY: a path of ours; the library's start has no effects beyond itself.
    let handle = unsafe { libc::dlopen(path.as_ptr(), how) };
    assert!(!handle.is_null(), "{} does not load", library().display());
    // SAFETY: the handle is good and the name is a C string.
    let init = unsafe { libc::dlsym(handle, c"packetdrill_interface_init".as_ptr()) };
    assert!(!init.is_null());
    // SAFETY: the function of that name has this type.
    let init: unsafe extern "C" fn(*const i8, *mut Table) = unsafe { std::mem::transmute(init) };
    let mut table = Table([std::ptr::null_mut(); 33]);
    let flags = CString::new(flags).expect("no zeros");
    // SAFETY: a C string, and a table of the right size.
    unsafe { init(flags.as_ptr().cast(), &raw mut table) };
    assert!(table.0[1..].iter().all(|f| !f.is_null()), "every pointer is filled");
    (table, guard)
}

macro_rules! call {
    ($table:expr, $at:expr, ($($arg:expr => $ty:ty),*) -> $ret:ty) => {{
        let f = $table.0[$at];
        // SAFETY: the function at this place has this type, and the arguments are valid for it.
        unsafe {
            let f: unsafe extern "C" fn(*mut c_void, $($ty),*) -> $ret = std::mem::transmute(f);
            f($table.0[0], $($arg),*)
        }
    }};
}

fn address(ip: [u8; 4], port: u16) -> sockaddr_in {
    // SAFETY: zeros are valid.
    let mut a: sockaddr_in = unsafe { std::mem::zeroed() };
    a.sin_family = libc::AF_INET as u16;
    a.sin_port = port.to_be();
    a.sin_addr.s_addr = u32::from_ne_bytes(ip);
    a
}

fn errno() -> c_int {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

impl Table {
    fn socket(self) -> c_int {
        call!(self, at::SOCKET, (libc::AF_INET => c_int, libc::SOCK_STREAM => c_int, 0 => c_int) -> c_int)
    }

    fn listener(self) -> c_int {
        let fd = self.socket();
        assert!(fd >= 0);
        let a = address(LOCAL, 8080);
        let len = size_of_val(&a) as socklen_t;
        let bound = call!(self, at::BIND, (fd => c_int, (&raw const a).cast() => *const sockaddr, len => socklen_t) -> c_int);
        assert_eq!(bound, 0);
        assert_eq!(call!(self, at::LISTEN, (fd => c_int, 5 => c_int) -> c_int), 0);
        fd
    }

    fn accept(self, fd: c_int) -> (c_int, sockaddr_in) {
        let mut a = address([0; 4], 0);
        let mut len = size_of_val(&a) as socklen_t;
        let new = call!(self, at::ACCEPT, (fd => c_int, (&raw mut a).cast() => *mut sockaddr, &raw mut len => *mut socklen_t) -> c_int);
        assert!(new < 0 || len == 16);
        (new, a)
    }

    fn read(self, fd: c_int, buf: &mut [u8]) -> isize {
        call!(self, at::READ, (fd => c_int, buf.as_mut_ptr().cast() => *mut c_void, buf.len() => usize) -> isize)
    }

    fn write(self, fd: c_int, buf: &[u8]) -> isize {
        call!(self, at::WRITE, (fd => c_int, buf.as_ptr().cast() => *const c_void, buf.len() => usize) -> isize)
    }

    fn inject(self, packet: &[u8]) {
        let n = call!(self, at::NETDEV_SEND, (packet.as_ptr().cast() => *const c_void, packet.len() => usize) -> c_int);
        assert_eq!(n, 0);
    }

    fn receive(self) -> Option<(i64, Segment)> {
        let mut buf = vec![0u8; 65_536];
        let (mut n, mut at) = (buf.len(), 0i64);
        let r = call!(self, at::NETDEV_RECEIVE, (buf.as_mut_ptr().cast() => *mut c_void, &raw mut n => *mut usize, &raw mut at => *mut i64) -> c_int);
        assert_eq!(r, 0);
        (n > 0).then(|| (at, Segment::read(&buf[..n])))
    }

    fn now(self) -> i64 {
        let mut tv = timeval { tv_sec: 0, tv_usec: 0 };
        call!(self, at::GETTIMEOFDAY, (&raw mut tv => *mut timeval, std::ptr::null_mut() => *mut c_void) -> c_int);
        tv.tv_sec * 1_000_000 + tv.tv_usec
    }

    fn usleep(self, micros: u32) {
        assert_eq!(call!(self, at::USLEEP, (micros => u32) -> c_int), 0);
    }

    fn nonblocking(self, fd: c_int) {
        let flags = call!(self, at::FCNTL, (fd => c_int, libc::F_GETFL => c_int, 0 => i64) -> c_int);
        assert_eq!(flags, libc::O_RDWR);
        let set = i64::from(flags | libc::O_NONBLOCK);
        assert_eq!(call!(self, at::FCNTL, (fd => c_int, libc::F_SETFL => c_int, set => i64) -> c_int), 0);
    }

    fn close(self, fd: c_int) -> c_int {
        call!(self, at::CLOSE, (fd => c_int) -> c_int)
    }

    fn poll(self, fd: c_int, events: i16, millis: c_int) -> (c_int, i16) {
        let mut p = libc::pollfd { fd, events, revents: 0 };
        let n = call!(self, at::POLL, (&raw mut p => *mut libc::pollfd, 1 => u64, millis => c_int) -> c_int);
        (n, p.revents)
    }

    fn free(self) {
        call!(self, at::FREE, () -> ());
    }

    /// A connection from the peer; sequence numbers next to use are 1 and `iss + 1`.
    fn established(self, listener: c_int) -> u32 {
        self.inject(&segment(SYN, 0, 0, &[2, 4, 5, 180], &[]));
        let (_, syn_ack) = self.receive().expect("a SYN-ACK");
        assert_eq!((syn_ack.flags, syn_ack.ack), (SYN | ACK, 1));
        self.inject(&segment(ACK, 1, syn_ack.seq.wrapping_add(1), &[], &[]));
        assert_eq!(self.poll(listener, libc::POLLIN, 0), (1, libc::POLLIN));
        syn_ack.seq
    }
}

#[derive(Debug)]
struct Segment {
    flags: u8,
    seq: u32,
    ack: u32,
    payload: Vec<u8>,
}

impl Segment {
    fn read(p: &[u8]) -> Self {
        assert_eq!(sum(&p[..20]), 0xffff, "the checksum of the header is right");
        let t = &p[20..];
        let n = |i: usize| u32::from_be_bytes([t[i], t[i + 1], t[i + 2], t[i + 3]]);
        let offset = usize::from(t[12] >> 4) * 4;
        Self { flags: t[13], seq: n(4), ack: n(8), payload: t[offset..].to_vec() }
    }
}

fn sum(bytes: &[u8]) -> u16 {
    let mut s: u32 =
        bytes.chunks(2).map(|c| u32::from(c[0]) << 8 | c.get(1).map_or(0, |b| u32::from(*b))).sum();
    while s > 0xffff {
        s = (s & 0xffff) + (s >> 16);
    }
    s as u16
}

/// A segment of the peer, port 40000 to 8080.
fn segment(flags: u8, seq: u32, ack: u32, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut t = vec![0x9c, 0x40, 0x1f, 0x90];
    t.extend(seq.to_be_bytes());
    t.extend(ack.to_be_bytes());
    t.extend([((20 + options.len()) as u8 / 4) << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
    t.extend(options);
    t.extend(payload);
    let mut pseudo = [&PEER[..], &LOCAL[..], &[0, 6], &(t.len() as u16).to_be_bytes()].concat();
    pseudo.extend(&t);
    let check = !sum(&pseudo);
    t[16..18].copy_from_slice(&check.to_be_bytes());
    let len = (20 + t.len()) as u16;
    let mut p = vec![0x45, 0];
    p.extend(len.to_be_bytes());
    p.extend([0, 0, 0, 0, 64, 6, 0, 0]);
    p.extend(PEER);
    p.extend(LOCAL);
    let check = !sum(&p);
    p[10..12].copy_from_slice(&check.to_be_bytes());
    p.extend(t);
    p
}

#[test]
fn a_connection_from_handshake_to_close() {
    let (t, _one) = load("");
    let listener = t.listener();
    let iss = t.established(listener);
    let (fd, peer) = t.accept(listener);
    assert_eq!((peer.sin_addr.s_addr.to_ne_bytes(), u16::from_be(peer.sin_port)), (PEER, 40_000));
    t.inject(&segment(ACK | PSH, 1, iss + 1, &[], b"question"));
    let (_, ack) = t.receive().expect("an ACK");
    assert_eq!((ack.flags, ack.ack), (ACK, 9));
    let mut buf = [0; 64];
    assert_eq!(t.read(fd, &mut buf), 8);
    assert_eq!(&buf[..8], b"question");
    assert_eq!(t.write(fd, b"answer"), 6);
    let (_, data) = t.receive().expect("data");
    assert_eq!((data.flags, &data.payload[..]), (ACK | PSH, &b"answer"[..]));
    assert_eq!(t.close(fd), 0);
    assert_eq!((t.close(fd), errno()), (-1, libc::EBADF));
    let (_, fin) = t.receive().expect("a FIN");
    assert_eq!(fin.flags, FIN | ACK);
    t.free();
}

#[test]
fn time_is_virtual_and_packets_carry_their_moment() {
    let (t, _one) = load("profile=linux");
    let listener = t.listener();
    let iss = t.established(listener);
    let (fd, _) = t.accept(listener);
    let begun = Instant::now();
    let before = t.now();
    t.usleep(100_000);
    let after = t.now();
    assert!((100_000..100_100).contains(&(after - before)), "{}", after - before);
    assert_eq!(t.write(fd, b"x"), 1);
    let first = t.receive().expect("data").0;
    let mut waits = vec![];
    let mut last = first;
    for _ in 0..6 {
        let (at, again) = t.receive().expect("a retransmission");
        assert_eq!((again.seq, &again.payload[..]), (iss + 1, &b"x"[..]));
        waits.push((at - last) / 1000);
        last = at;
    }
    // The RTO doubles (RFC 6298 section 5.5); the first of them may be a tail-loss probe.
    assert!(waits[2..].windows(2).all(|w| (w[1] - 2 * w[0]).abs() <= 2), "{waits:?}");
    assert!(begun.elapsed() < Duration::from_secs(5), "minutes of the script took {:?}", begun.elapsed());
    t.free();
}

#[test]
fn a_blocked_call_sleeps_and_returns_at_its_moment() {
    let (t, _one) = load("");
    let listener = t.listener();
    let (told, tid) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        // SAFETY: gettid takes nothing and cannot fail.
        told.send(unsafe { libc::gettid() }).expect("told");
        let (fd, _) = t.accept(listener);
        (fd, t.now())
    });
    let stat = format!("/proc/self/task/{}/stat", tid.recv().expect("a thread"));
    let asleep =
        || std::fs::read_to_string(&stat).is_ok_and(|s| s.rsplit(')').next().unwrap_or("").starts_with(" S"));
    let patience = Instant::now();
    while !asleep() {
        assert!(patience.elapsed() < Duration::from_secs(5), "the thread does not sleep");
        std::thread::yield_now();
    }
    t.usleep(50_000);
    let before = t.now();
    t.inject(&segment(SYN, 0, 0, &[], &[]));
    let (_, syn_ack) = t.receive().expect("a SYN-ACK");
    t.inject(&segment(ACK, 1, syn_ack.seq.wrapping_add(1), &[], &[]));
    // The clock of the script runs on before the thread had its turn.
    t.usleep(700_000);
    let (fd, returned) = thread.join().expect("accepted");
    assert!(fd >= 0);
    assert!((0..1000).contains(&(returned - before)), "it returned {} us later", returned - before);
    t.free();
}

#[test]
fn time_passes_when_everybody_waits_for_it() {
    let (t, _one) = load("");
    let listener = t.listener();
    t.established(listener);
    let (fd, _) = t.accept(listener);
    let before = t.now();
    assert_eq!(t.poll(fd, libc::POLLIN, 500), (0, 0));
    let passed = t.now() - before;
    assert!((500_000..501_000).contains(&passed), "{passed}");
    t.free();
}

#[test]
fn a_packet_that_never_comes_is_told_at_once() {
    let (t, _one) = load("");
    t.listener();
    assert!(t.receive().is_none());
    t.free();
}

#[test]
fn an_active_open_has_packetdrills_address_until_told_another() {
    for (flags, from) in [("", LOCAL), ("local=10.1.2.3", [10, 1, 2, 3])] {
        let (t, _one) = load(flags);
        let fd = t.socket();
        t.nonblocking(fd);
        let a = address(PEER, 8080);
        let r = call!(t, at::CONNECT, (fd => c_int, (&raw const a).cast() => *const sockaddr, 16 => socklen_t) -> c_int);
        assert_eq!((r, errno()), (-1, libc::EINPROGRESS));
        let mut buf = vec![0u8; 2000];
        let (mut n, mut at) = (buf.len(), 0i64);
        call!(t, at::NETDEV_RECEIVE, (buf.as_mut_ptr().cast() => *mut c_void, &raw mut n => *mut usize, &raw mut at => *mut i64) -> c_int);
        assert_eq!(buf[12..16], from);
        t.free();
    }
}

#[test]
fn tokens_are_descriptors_of_the_kernel() {
    let (t, _one) = load("");
    let fd = t.socket();
    // SAFETY: both take numbers only.
    let (known, closed) = unsafe { (libc::fcntl(fd, libc::F_GETFD), libc::close(fd)) };
    assert!(known >= 0, "the kernel knows {fd}");
    assert_eq!(closed, 0, "packetdrill closes what is left by libc's close");
    t.free();
}

/// Runs in a process of its own, with the library preloaded.
#[test]
#[ignore = "run by preloaded_tcp_info_is_the_stacks"]
fn inside_preloaded() {
    let (t, _one) = load("");
    let listener = t.listener();
    t.established(listener);
    let (fd, _) = t.accept(listener);
    let mut info = [0u8; 512];
    let mut len = info.len() as socklen_t;
    // SAFETY: a buffer and its length.
    let r = unsafe {
        libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, info.as_mut_ptr().cast(), &raw mut len)
    };
    assert_eq!((r, len), (0, 280));
    let n = |at: usize| u32::from_ne_bytes([info[at], info[at + 1], info[at + 2], info[at + 3]]);
    assert_eq!((info[0], n(80), n(16)), (1, 10, 1460), "established, cwnd 10, MSS 1460");
    // What is not of the stack is the kernel's.
    let own = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket of the kernel");
    assert!(own.local_addr().is_ok() && own.take_error().is_ok_and(|e| e.is_none()));
    drop(own);
    // SAFETY: close takes a number.
    assert_eq!(unsafe { libc::close(fd) }, 0);
    let (_, fin) = t.receive().expect("a FIN");
    assert_eq!(fin.flags, FIN | ACK, "libc's close closes the socket of the stack");
    // SAFETY: null is allowed.
    let ticks = unsafe { (libc::times(std::ptr::null_mut()), libc::times(std::ptr::null_mut())) };
    assert_eq!(ticks.1, ticks.0 + 1);
    println!("inside: all well");
}

#[test]
fn preloaded_tcp_info_is_the_stacks() {
    let out = std::process::Command::new(std::env::current_exe().expect("a path"))
        .args(["--exact", "inside_preloaded", "--ignored", "--nocapture"])
        .env("LD_PRELOAD", library())
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&out.stdout);
    let errors = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && text.contains("inside: all well"), "{text}\n{errors}");
}
