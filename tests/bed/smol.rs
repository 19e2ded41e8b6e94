//! smoltcp on the wire of the bed.

use super::pair::{Host, Link, PORT, Task};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{self, DeviceCapabilities, Medium};
use smoltcp::socket::tcp::{CongestionControl, RecvError, Socket, SocketBuffer};
use smoltcp::time::Instant as SmolInstant;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};
use wirestack::Instant;
use wirestack::link::{Device, Received, TxFrame, TxOffload};

/// The link, and the time with its nanoseconds: smoltcp counts microseconds, and a frame that is due within the
/// current one would be asked for for ever.
struct Phy(Link, Instant);

struct Rx(Received);
struct Tx<'a>(&'a mut Link, Instant);

fn ours(t: SmolInstant) -> Instant {
    Instant::from_micros(t.total_micros() as u64)
}

fn theirs(t: Instant) -> SmolInstant {
    SmolInstant::from_micros(t.as_micros() as i64)
}

impl phy::RxToken for Rx {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0.chunk)
    }
}

impl phy::TxToken for Tx<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut bytes = vec![0; len];
        let r = f(&mut bytes);
        let frame = TxFrame { header: &bytes, payload: &[], offload: TxOffload::default() };
        self.0.transmit(self.1, &frame).expect("the wire has room");
        r
    }
}

impl phy::Device for Phy {
    type RxToken<'a> = Rx;
    type TxToken<'a> = Tx<'a>;

    fn receive(&mut self, _now: SmolInstant) -> Option<(Rx, Tx<'_>)> {
        let r = self.0.receive(self.1).unwrap()?;
        Some((Rx(r), Tx(&mut self.0, self.1)))
    }

    fn transmit(&mut self, _now: SmolInstant) -> Option<Tx<'_>> {
        Some(Tx(&mut self.0, self.1))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut c = DeviceCapabilities::default();
        c.medium = Medium::Ip;
        c.max_transmission_unit = self.0.capabilities().mtu;
        c
    }
}

/// A smoltcp host.
pub struct Smol {
    phy: Phy,
    iface: Interface,
    sockets: SocketSet<'static>,
    tcp: SocketHandle,
    side: u8,
    task: Task,
    now: Instant,
    buf: Box<[u8; 16_384]>,
}

impl Smol {
    /// With buffers of `buffer` octets, and CUBIC.
    pub fn new(side: u8, link: Link, buffer: usize, congestion: CongestionControl) -> Self {
        let now = Instant::from_secs(1);
        let mut phy = Phy(link, now);
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = u64::from(side) + 1;
        let mut iface = Interface::new(config, &mut phy, theirs(now));
        iface.update_ip_addrs(|a| {
            a.push(IpCidr::new(IpAddress::v4(10, 0, 0, side + 1), 24)).unwrap();
        });
        let mut socket = Socket::new(SocketBuffer::new(vec![0; buffer]), SocketBuffer::new(vec![0; buffer]));
        socket.set_congestion_control(congestion);
        let mut sockets = SocketSet::new(Vec::new());
        let tcp = sockets.add(socket);
        Self { phy, iface, sockets, tcp, side, task: Task::default(), now, buf: Box::new([0; 16_384]) }
    }

    fn application(&mut self) -> bool {
        let (task, buf) = (&mut self.task, &mut self.buf);
        let s = self.sockets.get_mut::<Socket<'_>>(self.tcp);
        let mut any = false;
        while s.can_send() && !task.all_written() {
            task.wrote(s.send_slice(task.piece()).unwrap());
            any = true;
        }
        while task.end_at.is_none() {
            match s.recv_slice(&mut buf[..]) {
                Ok(0) => break,
                Ok(n) => task.read(&buf[..n]),
                Err(RecvError::Finished) => task.read_end(self.now),
                Err(RecvError::InvalidState) => break,
            }
            any = true;
        }
        if task.may_finish() && s.may_send() {
            s.close();
            any |= task.finish();
        }
        any
    }
}

impl Host for Smol {
    fn poll(&mut self, now: Instant) -> bool {
        self.now = now;
        self.phy.1 = now;
        let due = self.phy.0.next_deadline().is_some_and(|at| at <= now);
        let changed = self.iface.poll(theirs(now), &mut self.phy, &mut self.sockets);
        let mut any = due || changed == smoltcp::iface::PollResult::SocketStateChanged;
        any |= self.application();
        any
    }

    fn next(&mut self) -> Option<Instant> {
        let stack = self.iface.poll_at(theirs(self.now), &self.sockets).map(ours);
        [stack, self.phy.0.next_deadline()].into_iter().flatten().min()
    }

    fn task(&self) -> &Task {
        &self.task
    }

    fn listen(&mut self, _now: Instant) {
        self.sockets.get_mut::<Socket<'_>>(self.tcp).listen(PORT).unwrap();
    }

    fn connect(&mut self, _now: Instant) {
        let peer = (IpAddress::v4(10, 0, 0, 2 - self.side), PORT);
        let s = self.sockets.get_mut::<Socket<'_>>(self.tcp);
        s.connect(self.iface.context(), peer, 40_000).unwrap();
    }

    fn assign(&mut self, task: Task) {
        self.task = task;
    }

    fn describe(&self) -> String {
        let s = self.sockets.get::<Socket<'_>>(self.tcp);
        format!("smoltcp, side {}: {:?} {} {}", self.side, self.task, s.state(), s.send_queue())
    }
}
