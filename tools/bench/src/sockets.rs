//! wirestack with its runtime: an engine thread, and an application with blocking sockets.

use crate::measure::{RoundTrips, Throughput, Times, throughput_at};
use crate::peer::Peer;
use crate::rig::Family;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use wirestack::link::Device;
use wirestack::net::TcpStream;
use wirestack::stack::InterfaceConfig;
use wirestack::{Config, Runtime};

const CALL: usize = 256 << 10;

/// A runtime with one device. Its engine runs on the cores of the calling thread.
pub fn runtime(device: Box<dyn Device + Send>, mac: [u8; 6], spin: Duration) -> io::Result<Runtime> {
    let mut builder = Runtime::builder(Config::default());
    let interface = InterfaceConfig {
        name: "bench0".into(),
        mac,
        capabilities: device.capabilities(),
        addresses: vec![Family::V4.stack()],
        detect_duplicates: false,
    };
    builder.interface(device, interface);
    builder.spin(spin);
    builder.start()
}

pub fn receive_bulk(runtime: &Runtime, addr: SocketAddr, times: Times) -> io::Result<f64> {
    let mut stream = TcpStream::connect_on(runtime, addr)?;
    let (mut buf, mut octets) = (vec![0; CALL], 0u64);
    let mut throughput = Throughput::new(times);
    loop {
        octets += stream.read(&mut buf)? as u64;
        if let Some(gbps) = throughput.sample(|| octets) {
            return Ok(gbps);
        }
    }
}

pub fn send_bulk(runtime: &Runtime, peer: &Peer, times: Times) -> io::Result<f64> {
    let mut stream = TcpStream::connect_on(runtime, peer.addr())?;
    std::thread::scope(|scope| {
        let end = Instant::now() + times.warm_up + times.window;
        let sender = scope.spawn(move || -> io::Result<()> {
            let buf = vec![0; CALL];
            while Instant::now() < end {
                stream.write_all(&buf)?;
            }
            Ok(())
        });
        let gbps = throughput_at(peer, times);
        sender.join().unwrap_or_else(|p| std::panic::resume_unwind(p))?;
        Ok(gbps)
    })
}

pub fn ping_pong(runtime: &Runtime, addr: SocketAddr, times: Times) -> io::Result<RoundTrips> {
    let mut stream = TcpStream::connect_on(runtime, addr)?;
    stream.set_nodelay(true)?;
    let mut trips = RoundTrips::new(times);
    loop {
        stream.write_all(&[1])?;
        stream.read_exact(&mut [0])?;
        if trips.answered() {
            return Ok(trips);
        }
    }
}

pub fn short_connections(runtime: &Runtime, addr: SocketAddr, times: Times) -> io::Result<f64> {
    let (begin, mut count) = (Instant::now(), 0);
    while begin.elapsed() < times.window {
        let mut stream = TcpStream::connect_on(runtime, addr)?;
        stream.write_all(&[1])?;
        stream.read_exact(&mut [0])?;
        count += 1;
    }
    Ok(f64::from(count) / begin.elapsed().as_secs_f64())
}
