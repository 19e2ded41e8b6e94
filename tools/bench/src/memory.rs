//! What a connection costs in memory: 10,000 between two stacks, the heap of each counted.

use crate::cells::Outcome;
use crate::segments::{Lane, stack};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use wirestack::link::Capabilities;
use wirestack::socket::{Domain, Type};
use wirestack::{Config, Errno, IfaceId, Instant, SocketId, Stack};

/// A stack and the heap it holds.
struct Counted {
    stack: Stack,
    octets: i64,
}

impl Counted {
    fn new(host: u8) -> (Self, IfaceId) {
        let mut config = Config { secret: [host.into(), 9], ..Config::default() };
        config.profile.ephemeral_ports = (1024, 65_535);
        config.limits.somaxconn = 1 << 16;
        config.limits.tx_queue = 1 << 16;
        let (stack, iface) = stack(host, Capabilities::ETHERNET, config);
        (Self { stack, octets: 0 }, iface)
    }

    /// Calls the stack and counts what it keeps.
    fn call<T>(&mut self, f: impl FnOnce(&mut Stack) -> T) -> T {
        let mut result = None;
        let info = allocation_counter::measure(|| result = Some(f(&mut self.stack)));
        self.octets += info.bytes_current;
        result.expect("it was called")
    }
}

struct Pair {
    client: Counted,
    server: Counted,
    iface: IfaceId,
    now: Instant,
    to_client: Lane,
    to_server: Lane,
}

impl Pair {
    fn new() -> Self {
        let ((client, iface), (server, _)) = (Counted::new(1), Counted::new(2));
        let now = Instant::from_nanos(1_000_000);
        Self { client, server, iface, now, to_client: Lane::new(1600), to_server: Lane::new(1600) }
    }

    fn later(&mut self, by: Duration) {
        self.now += by;
        let now = self.now;
        for side in [&mut self.client, &mut self.server] {
            side.call(|s| {
                if s.poll_timeout().is_some_and(|t| t <= now) {
                    s.handle_timeout(now);
                }
            });
        }
    }

    /// Passes frames to and fro until both are silent. `answers` false: what the server answers is lost.
    fn exchange(&mut self, answers: bool) {
        let Self { client, server, iface, now, to_client, to_server } = self;
        loop {
            *now += Duration::from_micros(10);
            let now = *now;
            pump(client, to_server, now);
            let silent = to_server.frames.is_empty();
            while let Some(r) = to_server.frames.pop_front() {
                server.call(|s| s.handle_frame(now, *iface, r.as_frame()));
            }
            pump(server, to_client, now);
            if silent && to_client.frames.is_empty() {
                return;
            }
            while let Some(r) = to_client.frames.pop_front() {
                // ARP gets through in any case.
                if answers || r.chunk.get(12..14) == Some(&[8, 6]) {
                    client.call(|s| s.handle_frame(now, *iface, r.as_frame()));
                }
            }
        }
    }

    fn connect(&mut self, to: SocketAddr) -> io::Result<SocketId> {
        let now = self.now;
        self.client.call(|s| {
            let id = s.socket(Domain::Inet, Type::Stream, 0)?;
            match s.connect(now, id, to) {
                Ok(()) | Err(Errno::EINPROGRESS) => Ok(id),
                Err(e) => Err(e.into()),
            }
        })
    }
}

fn pump(from: &mut Counted, lane: &mut Lane, now: Instant) {
    // The lane's own memory is not the stack's: it is made outside of the count as far as possible.
    let mut frames = Vec::with_capacity(1 << 12);
    from.call(|s| {
        s.poll_transmit(now, &mut |_: IfaceId, f: &wirestack::link::TxFrame<'_>| {
            if frames.len() == frames.capacity() {
                return Err(wirestack::link::Busy);
            }
            let mut bytes = [0; 1600];
            let len = f.copy_to(&mut bytes);
            frames.push((len, bytes));
            Ok(())
        });
        while s.poll_event().is_some() {}
    });
    for (len, bytes) in frames {
        let chunk = wirestack::buf::Chunk::copy_from(&bytes[..len]);
        lane.frames.push_back(wirestack::link::Received { chunk, offload: Default::default() });
    }
}

/// Octets of heap per connection, half-open connection and TIME-WAIT record.
pub fn run(count: usize) -> io::Result<Outcome> {
    let mut pair = Pair::new();
    let addr: SocketAddr = "10.0.0.2:80".parse().expect("a constant");
    let now = pair.now;
    let listener = pair.server.call(|s| -> io::Result<_> {
        let l = s.socket(Domain::Inet, Type::Stream, 0)?;
        s.bind(now, l, addr)?;
        s.listen(now, l, 1 << 16)?;
        Ok(l)
    })?;
    // One first, so that neighbours and tables exist.
    let first = pair.connect(addr)?;
    pair.exchange(true);
    let (client_before, server_before) = (pair.client.octets, pair.server.octets);
    let mut clients = Vec::with_capacity(count);
    let mut servers = Vec::with_capacity(count);
    for _ in 0..count / 100 {
        for _ in 0..100 {
            clients.push(pair.connect(addr)?);
        }
        pair.exchange(true);
    }
    let now = pair.now;
    while let Ok((id, _)) = pair.server.call(|s| s.accept(now, listener)) {
        servers.push(id);
    }
    // Timers of the handshake end.
    for _ in 0..50 {
        pair.later(Duration::from_millis(100));
        pair.exchange(true);
    }
    if servers.len() != count + 1 {
        return Err(io::Error::other(format!("{} of {count} connections were accepted", servers.len())));
    }
    let per = |after: i64, before: i64, n: usize| (after - before) as f64 / n as f64;
    let mut values = vec![
        ("client: octets/connection", per(pair.client.octets, client_before, count)),
        ("server: octets/connection", per(pair.server.octets, server_before, count)),
    ];
    // The client closes first: it keeps the TIME-WAIT records.
    let now = pair.now;
    pair.client.call(|s| clients.iter().chain([&first]).try_for_each(|&id| s.close(now, id)))?;
    pair.exchange(true);
    pair.server.call(|s| servers.iter().try_for_each(|&id| s.close(now, id)))?;
    pair.exchange(true);
    let kept = pair.client.stack.usage().time_wait;
    if kept != count + 1 {
        return Err(io::Error::other(format!("{kept} of {count} connections are in TIME-WAIT")));
    }
    let before_end = pair.client.octets;
    pair.later(Duration::from_secs(120));
    pair.exchange(true);
    values.push(("TIME-WAIT: octets/record", per(before_end, pair.client.octets, kept)));
    values.push(("SYN-RECEIVED: octets/record", half_open(count)?));
    Ok(Outcome { values, troubles: Vec::new() })
}

fn half_open(count: usize) -> io::Result<f64> {
    let mut pair = Pair::new();
    let addr: SocketAddr = "10.0.0.2:80".parse().expect("a constant");
    let now = pair.now;
    pair.server.call(|s| -> io::Result<_> {
        let l = s.socket(Domain::Inet, Type::Stream, 0)?;
        s.bind(now, l, addr)?;
        Ok(s.listen(now, l, 1 << 16)?)
    })?;
    pair.connect(addr)?;
    pair.exchange(false);
    let before = (pair.server.octets, pair.server.stack.usage().half_open);
    for _ in 0..count / 100 {
        for _ in 0..100 {
            pair.connect(addr)?;
        }
        pair.exchange(false);
    }
    let records = pair.server.stack.usage().half_open - before.1;
    if records == 0 {
        return Err(io::Error::other("no connection is half open"));
    }
    Ok((pair.server.octets - before.0) as f64 / records as f64)
}
