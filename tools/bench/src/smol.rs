//! smoltcp over a TAP, as its own benchmark runs it: `phy::TunTapInterface` and `phy::wait`, with the
//! buffers that serve it best (1 MiB).

use crate::measure::{RoundTrips, Throughput, Times};
use crate::peer::Peer;
use crate::rig::Family;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Medium, TunTapInterface, wait};
use smoltcp::socket::tcp;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};

const BUFFER: usize = 1 << 20;
const CALL: usize = 256 << 10;

/// Opens its TAP in the namespace of the calling thread.
pub fn open(name: &str) -> io::Result<TunTapInterface> {
    TunTapInterface::new(name, Medium::Ethernet)
}

pub struct Smol {
    device: TunTapInterface,
    fd: RawFd,
    interface: Interface,
    sockets: SocketSet<'static>,
    socket: SocketHandle,
    spin: bool,
    port: u16,
}

fn failed(e: impl std::fmt::Display) -> io::Error {
    io::Error::other(e.to_string())
}

impl Smol {
    pub fn new(mut device: TunTapInterface, spin: bool) -> Self {
        let mac = HardwareAddress::Ethernet(EthernetAddress([2, 0, 0, 0, 0, 2]));
        let mut interface = Interface::new(Config::new(mac), &mut device, Instant::now());
        let own = Family::V4.stack();
        let IpAddr::V4(ip) = own.addr else { unreachable!("a constant") };
        interface.update_ip_addrs(|addrs| {
            let _ = addrs.push(IpCidr::new(ip.into(), own.prefix_len));
        });
        let buffer = || tcp::SocketBuffer::new(vec![0; BUFFER]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        socket.set_nagle_enabled(false);
        let mut sockets = SocketSet::new(vec![]);
        let socket = sockets.add(socket);
        let fd = device.as_raw_fd();
        Self { device, fd, interface, sockets, socket, spin, port: 49_152 }
    }

    /// Polls and calls `app` until it says how it ended. `app` tells whether it did something.
    fn run<T>(
        &mut self,
        mut app: impl FnMut(&mut tcp::Socket<'static>) -> io::Result<(bool, Option<T>)>,
    ) -> io::Result<T> {
        loop {
            let now = Instant::now();
            self.interface.poll(now, &mut self.device, &mut self.sockets);
            let (busy, result) = app(self.sockets.get_mut(self.socket))?;
            if let Some(result) = result {
                return Ok(result);
            }
            if !busy && !self.spin {
                wait(self.fd, self.interface.poll_delay(now, &self.sockets)).map_err(failed)?;
            }
        }
    }

    fn connect(&mut self, addr: SocketAddr) -> io::Result<()> {
        let IpAddr::V4(ip) = addr.ip() else { return Err(io::ErrorKind::Unsupported.into()) };
        self.port = if self.port == u16::MAX { 49_152 } else { self.port + 1 };
        let socket = self.sockets.get_mut::<tcp::Socket<'_>>(self.socket);
        socket
            .connect(self.interface.context(), (IpAddress::Ipv4(ip), addr.port()), self.port)
            .map_err(failed)?;
        self.run(|s| Ok((false, s.may_send().then_some(()))))
    }

    pub fn receive_bulk(&mut self, addr: SocketAddr, times: Times) -> io::Result<f64> {
        self.connect(addr)?;
        let (mut buf, mut octets) = (vec![0; CALL], 0u64);
        let mut throughput = Throughput::new(times);
        self.run(|s| {
            let mut busy = false;
            while s.can_recv() {
                octets += s.recv_slice(&mut buf).map_err(failed)? as u64;
                busy = true;
            }
            Ok((busy, throughput.sample(|| octets)))
        })
    }

    pub fn send_bulk(&mut self, peer: &Peer, times: Times) -> io::Result<f64> {
        self.connect(peer.addr())?;
        let buf = vec![0; CALL];
        let mut throughput = Throughput::new(times);
        self.run(|s| {
            let mut busy = false;
            while s.can_send() {
                s.send_slice(&buf).map_err(failed)?;
                busy = true;
            }
            Ok((busy, throughput.sample(|| peer.received())))
        })
    }

    pub fn ping_pong(&mut self, addr: SocketAddr, times: Times) -> io::Result<RoundTrips> {
        self.connect(addr)?;
        let mut trips = RoundTrips::new(times);
        let mut asked = false;
        self.run(|s| {
            if asked && !s.can_recv() {
                return Ok((false, None));
            }
            let over = asked && {
                s.recv_slice(&mut [0; 16]).map_err(failed)?;
                trips.answered()
            };
            asked = true;
            s.send_slice(&[1]).map_err(failed)?;
            Ok((true, over.then_some(())))
        })?;
        Ok(trips)
    }

    pub fn short_connections(&mut self, addr: SocketAddr, times: Times) -> io::Result<f64> {
        let (begin, mut count) = (std::time::Instant::now(), 0);
        while begin.elapsed() < times.window {
            self.connect(addr)?;
            self.sockets.get_mut::<tcp::Socket<'_>>(self.socket).send_slice(&[1]).map_err(failed)?;
            self.run(|s| {
                if s.can_recv() {
                    s.recv_slice(&mut [0; 16]).map_err(failed)?;
                    s.close();
                    return Ok((true, Some(())));
                }
                Ok((false, None))
            })?;
            // Its one socket is free again when the peer has closed; TIME-WAIT it does not wait for.
            self.run(|s| {
                let over = matches!(s.state(), tcp::State::TimeWait | tcp::State::Closed);
                Ok((false, over.then_some(())))
            })?;
            self.sockets.get_mut::<tcp::Socket<'_>>(self.socket).abort();
            count += 1;
        }
        Ok(f64::from(count) / begin.elapsed().as_secs_f64())
    }
}
