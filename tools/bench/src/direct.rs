//! wirestack without its runtime: one thread that reads the device, calls the application and sends.

use crate::measure::{RoundTrips, Throughput, Times};
use crate::peer::Peer;
use crate::rig::Family;
use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use wirestack::link::{Busy, Device, Frame, TxError, TxFrame};
use wirestack::socket::{Domain, MsgFlags, SocketOption, Type};
use wirestack::stack::InterfaceConfig;
use wirestack::{Config, Errno, IfaceId, Instant, SocketId, Stack};

/// Octets per call of the application.
const CALL: usize = 256 << 10;
/// Frames and octets read before what they cause is sent.
const BATCH: (usize, usize) = (64, 256 << 10);

/// How the application moves octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Through a buffer of its own: one copy.
    Copy,
    /// By reference.
    Zero,
}

/// A stack with one device, run by the calling thread.
pub struct Direct<D> {
    pub stack: Stack,
    device: D,
    iface: IfaceId,
    origin: std::time::Instant,
    spin: bool,
    blocked: bool,
}

impl<D: Device> Direct<D> {
    pub fn new(device: D, mac: [u8; 6], family: Family, spin: bool) -> Self {
        let config = Config { secret: [0x5eed, std::process::id().into()], ..Config::default() };
        let mut stack = Stack::new(Instant::ZERO, config);
        let interface = InterfaceConfig {
            name: "bench0".into(),
            mac,
            capabilities: device.capabilities(),
            addresses: vec![family.stack()],
            detect_duplicates: false,
        };
        let iface = stack.add_interface(Instant::ZERO, interface);
        Self { stack, device, iface, origin: std::time::Instant::now(), spin, blocked: false }
    }

    fn now(&self) -> Instant {
        Instant::from_nanos(self.origin.elapsed().as_nanos() as u64)
    }

    /// Reads a batch; false if nothing was there.
    fn receive(&mut self, now: Instant) -> io::Result<bool> {
        let mut octets = 0;
        for frames in 0..BATCH.0 {
            let Some(r) = self.device.receive(now)? else { return Ok(frames > 0) };
            octets += r.chunk.len();
            self.stack.handle_frame(now, self.iface, Frame::shared(&r.chunk, r.offload));
            if octets >= BATCH.1 {
                break;
            }
        }
        Ok(true)
    }

    fn transmit(&mut self, now: Instant) {
        let Self { stack, device, blocked, .. } = self;
        *blocked = false;
        let mut sink = |_: IfaceId, frame: &TxFrame<'_>| match device.transmit(now, frame) {
            Err(TxError::Busy) => {
                *blocked = true;
                Err(Busy)
            }
            // A device that failed shows when it is read.
            Ok(()) | Err(TxError::Failed(_)) => Ok(()),
        };
        stack.poll_transmit(now, &mut sink);
        while stack.poll_event().is_some() {}
    }

    /// Sleeps until a frame comes or a timer is due.
    fn wait(&mut self, now: Instant) {
        if self.spin {
            return core::hint::spin_loop();
        }
        let timeout = self.stack.poll_timeout().map_or(Duration::from_millis(100), |t| t - now);
        let timeout = timeout.min(Duration::from_millis(100));
        let Some(fd) = self.device.as_fd() else { return };
        let interest = if self.blocked { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
        let timeout = Timespec { tv_sec: 0, tv_nsec: timeout.subsec_nanos().into() };
        let _ = poll(&mut [PollFd::from_borrowed_fd(fd, interest)], Some(&timeout));
    }

    /// Turns until `app` says how it ended. `app` is called after each batch.
    fn run<T>(&mut self, mut app: impl FnMut(&mut Self, Instant) -> io::Result<Option<T>>) -> io::Result<T> {
        loop {
            let now = self.now();
            let busy = self.receive(now)?;
            if self.stack.poll_timeout().is_some_and(|t| t <= now) {
                self.stack.handle_timeout(now);
            }
            if let Some(result) = app(self, now)? {
                return Ok(result);
            }
            self.transmit(now);
            if !busy {
                self.wait(now);
            }
        }
    }

    pub fn connect(&mut self, addr: SocketAddr) -> io::Result<SocketId> {
        let domain = if addr.is_ipv4() { Domain::Inet } else { Domain::Inet6 };
        let now = self.now();
        let id = self.stack.socket(domain, Type::Stream, 0)?;
        self.stack.set_option(now, id, SocketOption::NoDelay(true))?;
        match self.stack.connect(now, id, addr) {
            Ok(()) | Err(Errno::EINPROGRESS) => {}
            Err(e) => return Err(e.into()),
        }
        let limit = std::time::Instant::now() + Duration::from_secs(5);
        self.run(|d, _| {
            if let Some(e) = d.stack.take_error(id)? {
                return Err(e.into());
            }
            if std::time::Instant::now() > limit {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Ok(d.stack.peer_addr(id).is_ok().then_some(id))
        })
    }

    /// Gbit/s that the application read.
    pub fn receive_bulk(&mut self, addr: SocketAddr, style: Style, times: Times) -> io::Result<f64> {
        let id = self.connect(addr)?;
        let (mut buf, mut octets) = (vec![0; CALL], 0u64);
        let mut throughput = Throughput::new(times);
        self.run(|d, now| {
            loop {
                let n = match style {
                    Style::Copy => d.stack.recv(now, id, &mut buf, MsgFlags::empty()),
                    Style::Zero => d.stack.recv_chunk(now, id, usize::MAX).map(|c| c.len()),
                };
                match n {
                    Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Ok(n) => octets += n as u64,
                    Err(Errno::EAGAIN) => return Ok(throughput.sample(|| octets)),
                    Err(e) => return Err(e.into()),
                }
            }
        })
    }

    /// Gbit/s that the kernel's program read.
    pub fn send_bulk(&mut self, peer: &Peer, style: Style, times: Times) -> io::Result<f64> {
        let id = self.connect(peer.addr())?;
        let buf = vec![0; CALL];
        let shared = Bytes::from(vec![0; CALL]);
        let mut throughput = Throughput::new(times);
        self.run(|d, now| {
            loop {
                let n = match style {
                    Style::Copy => d.stack.send(now, id, &buf, MsgFlags::empty()),
                    Style::Zero => d.stack.send_bytes(now, id, &mut shared.clone()),
                };
                match n {
                    Ok(_) => d.transmit(now),
                    Err(Errno::EAGAIN) => return Ok(throughput.sample(|| peer.received())),
                    Err(e) => return Err(e.into()),
                }
            }
        })
    }

    /// One octet there and back, again and again.
    pub fn ping_pong(&mut self, addr: SocketAddr, times: Times) -> io::Result<RoundTrips> {
        let id = self.connect(addr)?;
        let mut trips = RoundTrips::new(times);
        let mut asked = false;
        self.run(|d, now| {
            if asked {
                match d.stack.recv(now, id, &mut [0; 16], MsgFlags::empty()) {
                    Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Ok(_) if trips.answered() => return Ok(Some(())),
                    Ok(_) => {}
                    Err(Errno::EAGAIN) => return Ok(None),
                    Err(e) => return Err(e.into()),
                }
            }
            asked = true;
            d.stack.send(now, id, &[1], MsgFlags::empty())?;
            Ok(None)
        })?;
        Ok(trips)
    }

    /// Connections per second: connect, one octet there and back, close.
    pub fn short_connections(&mut self, addr: SocketAddr, times: Times) -> io::Result<f64> {
        let end = std::time::Instant::now() + times.window;
        let begin = std::time::Instant::now();
        let mut count = 0;
        while std::time::Instant::now() < end {
            let id = self.connect(addr)?;
            let now = self.now();
            self.stack.send(now, id, &[1], MsgFlags::empty())?;
            self.transmit(now);
            self.run(|d, now| match d.stack.recv(now, id, &mut [0; 16], MsgFlags::empty()) {
                Ok(_) => Ok(Some(())),
                Err(Errno::EAGAIN) => Ok(None),
                Err(e) => Err(e.into()),
            })?;
            let now = self.now();
            self.stack.close(now, id)?;
            self.transmit(now);
            count += 1;
        }
        Ok(f64::from(count) / begin.elapsed().as_secs_f64())
    }

    /// What went wrong on the way: a healthy run has nothing to tell.
    pub fn troubles(&self) -> Vec<(String, u64)> {
        troubles(&self.stack)
    }
}

/// Retransmissions, timeouts and drops of a stack.
pub fn troubles(stack: &Stack) -> Vec<(String, u64)> {
    let c = &stack.stats().count;
    let counters = [
        ("retransmitted", c.tcp_retrans_segs),
        ("timeouts", c.tcp_rto),
        ("tail probes", c.tcp_tlp_probes),
        ("out of order", c.tcp_ofo_queued),
        ("zero-window probes", c.tcp_zero_window_probes),
    ];
    let counters = counters.iter().filter(|(_, n)| *n > 0).map(|(name, n)| (name.to_string(), *n));
    // Multicast that the kernel sends on a new interface is nobody's trouble.
    let drops = stack.stats().drops().filter(|(reason, _)| *reason != wirestack::reason::Drop::IpNotForUs);
    counters.chain(drops.map(|(reason, n)| (reason.to_string(), n))).collect()
}
