//! The kernel against itself: what a program gets that does without a stack in userspace.

use crate::machine;
use crate::measure::{RoundTrips, Throughput, Times, throughput_at};
use crate::peer::{Peer, connect};
use std::io::{self, Read, Write};
use std::time::Instant;
use wirestack_lab::Namespace;

const CALL: usize = 256 << 10;

pub fn receive_bulk(ns: &Namespace, peer: &Peer, times: Times) -> io::Result<f64> {
    let mut stream = connect(ns, peer.addr())?;
    let (mut buf, mut octets) = (vec![0; CALL], 0u64);
    let mut throughput = Throughput::new(times);
    loop {
        octets += stream.read(&mut buf)? as u64;
        if let Some(gbps) = throughput.sample(|| octets) {
            return Ok(gbps);
        }
    }
}

pub fn send_bulk(ns: &Namespace, peer: &Peer, times: Times) -> io::Result<f64> {
    let mut stream = connect(ns, peer.addr())?;
    std::thread::scope(|scope| {
        let end = Instant::now() + times.warm_up + times.window;
        let sender = scope.spawn(move || -> io::Result<()> {
            machine::pin(machine::STACK_CPU);
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

pub fn ping_pong(ns: &Namespace, peer: &Peer, times: Times) -> io::Result<RoundTrips> {
    let mut stream = connect(ns, peer.addr())?;
    let mut trips = RoundTrips::new(times);
    loop {
        stream.write_all(&[1])?;
        stream.read_exact(&mut [0])?;
        if trips.answered() {
            return Ok(trips);
        }
    }
}

pub fn short_connections(ns: &Namespace, peer: &Peer, times: Times) -> io::Result<f64> {
    let addr = peer.addr();
    let count = ns.run(move || -> io::Result<f64> {
        machine::pin(machine::STACK_CPU);
        let (begin, mut count) = (Instant::now(), 0);
        while begin.elapsed() < times.window {
            let mut stream = std::net::TcpStream::connect(addr)?;
            stream.set_nodelay(true)?;
            stream.write_all(&[1])?;
            stream.read_exact(&mut [0])?;
            count += 1;
        }
        Ok(f64::from(count) / begin.elapsed().as_secs_f64())
    })?;
    Ok(count)
}
