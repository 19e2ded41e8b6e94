//! What is measured: each cell is a name and a function that sets everything up anew and measures once.

use crate::direct::{self, Direct, Style};
use crate::machine;
use crate::measure::Times;
use crate::peer::Role;
use crate::rig::{Family, TapRig, VethRig};
use crate::smol::{self, Smol};
use crate::{linux, memory, segments, sockets};
use std::io;
use std::time::Duration;
use wirestack::device::derive_mac;

/// What one run gave: values by the name of their metric, and what went wrong on the way.
#[derive(Debug, Default)]
pub struct Outcome {
    pub values: Vec<(&'static str, f64)>,
    pub troubles: Vec<(String, u64)>,
}

impl Outcome {
    pub fn one(metric: &'static str, value: f64) -> Self {
        Self { values: vec![(metric, value)], troubles: Vec::new() }
    }
}

/// A thing to measure.
pub struct Cell {
    /// Unique, `group/variant/direction`.
    pub name: String,
    run: Box<dyn Fn(Times) -> io::Result<Outcome> + Sync>,
}

impl Cell {
    fn new(name: impl Into<String>, run: impl Fn(Times) -> io::Result<Outcome> + Sync + 'static) -> Self {
        Self { name: name.into(), run: Box::new(run) }
    }

    pub fn run(&self, times: Times) -> io::Result<Outcome> {
        (self.run)(times)
    }
}

/// What to do over a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Test {
    In,
    Out,
    RoundTrip,
    Short,
}

impl Test {
    const ALL: [(Self, &'static str); 4] =
        [(Self::In, "in"), (Self::Out, "out"), (Self::RoundTrip, "rr"), (Self::Short, "crr")];

    fn role(self) -> Role {
        match self {
            Self::In => Role::Source,
            Self::Out => Role::Sink,
            Self::RoundTrip | Self::Short => Role::Echo,
        }
    }
}

const GBPS: &str = "Gbit/s";
const PER_SECOND: &str = "connections/s";

/// All cells, in the order of the table.
pub fn all() -> Vec<Cell> {
    let mut cells = Vec::new();
    for (test, dir) in Test::ALL {
        for (family, name) in [(Family::V4, "v4"), (Family::V6, "v6")] {
            for (style, how) in [(Style::Copy, "copy"), (Style::Zero, "zero-copy")] {
                if matches!(test, Test::RoundTrip | Test::Short)
                    && (style, family) != (Style::Copy, Family::V4)
                {
                    continue;
                }
                cells.push(Cell::new(format!("tap/direct-{name}-{how}/{dir}"), move |t| {
                    tap_direct(test, family, style, true, false, t)
                }));
            }
        }
        cells.push(Cell::new(format!("tap/sockets/{dir}"), move |t| tap_sockets(test, true, false, t)));
        if test == Test::RoundTrip {
            cells.push(Cell::new("tap/direct-v4-spin/rr", |t| {
                tap_direct(Test::RoundTrip, Family::V4, Style::Copy, true, true, t)
            }));
            cells.push(Cell::new("tap/sockets-spin/rr", |t| tap_sockets(Test::RoundTrip, true, true, t)));
        }
        if matches!(test, Test::In | Test::Out) {
            cells.push(Cell::new(format!("tap-plain/direct-v4-copy/{dir}"), move |t| {
                tap_direct(test, Family::V4, Style::Copy, false, false, t)
            }));
            cells.push(Cell::new(format!("tap-plain/sockets/{dir}"), move |t| {
                tap_sockets(test, false, false, t)
            }));
            for (style, how) in [(Style::Copy, "copy"), (Style::Zero, "zero-copy")] {
                cells.push(Cell::new(format!("packet/direct-v4-{how}/{dir}"), move |t| {
                    packet_direct(test, style, t)
                }));
            }
            cells.push(Cell::new(format!("tap-plain/smoltcp-spin/{dir}"), move |t| smoltcp(test, true, t)));
        }
        cells.push(Cell::new(format!("tap-plain/smoltcp/{dir}"), move |t| smoltcp(test, false, t)));
        cells.push(Cell::new(format!("veth/kernel/{dir}"), move |t| kernel(test, t)));
    }
    cells.push(Cell::new("core/super-segments", |t| segments::run(segments::Kind::Super, t)));
    cells.push(Cell::new("core/mtu-1500", |t| segments::run(segments::Kind::Plain, t)));
    cells.push(Cell::new("memory/10k-connections", |_| memory::run(10_000)));
    cells
}

fn over<D: wirestack::link::Device>(
    mut d: Direct<D>,
    peer: &crate::peer::Peer,
    test: Test,
    style: Style,
    times: Times,
) -> io::Result<Outcome> {
    let mut outcome = match test {
        Test::In => Outcome::one(GBPS, d.receive_bulk(peer.addr(), style, times)?),
        Test::Out => Outcome::one(GBPS, d.send_bulk(peer, style, times)?),
        Test::RoundTrip => {
            Outcome { values: d.ping_pong(peer.addr(), times)?.finish(), ..Outcome::default() }
        }
        Test::Short => Outcome::one(PER_SECOND, d.short_connections(peer.addr(), times)?),
    };
    outcome.troubles = d.troubles();
    Ok(outcome)
}

fn tap_direct(
    test: Test,
    family: Family,
    style: Style,
    vnet_hdr: bool,
    spin: bool,
    times: Times,
) -> io::Result<Outcome> {
    let (rig, tap) = TapRig::tap(family, vnet_hdr)?;
    let peer = rig.peer(family, test.role())?;
    machine::pin(machine::STACK_CPU);
    let mac = tap.peer_mac();
    over(Direct::new(tap, mac, family, spin), &peer, test, style, times)
}

fn packet_direct(test: Test, style: Style, times: Times) -> io::Result<Outcome> {
    let rig = VethRig::new(false)?;
    let peer = rig.peer(test.role())?;
    machine::pin(machine::STACK_CPU);
    let packet = rig.packet()?;
    let mac = packet.peer_mac();
    over(Direct::new(packet, mac, Family::V4, false), &peer, test, style, times)
}

fn tap_sockets(test: Test, vnet_hdr: bool, spin: bool, times: Times) -> io::Result<Outcome> {
    let (rig, tap) = TapRig::tap(Family::V4, vnet_hdr)?;
    let peer = rig.peer(Family::V4, test.role())?;
    machine::pin(machine::STACK_CPU);
    let mac = tap.peer_mac();
    let spin = if spin { Duration::from_micros(50) } else { Duration::ZERO };
    let runtime = sockets::runtime(Box::new(tap), mac, spin)?;
    let mut outcome = match test {
        Test::In => Outcome::one(GBPS, sockets::receive_bulk(&runtime, peer.addr(), times)?),
        Test::Out => Outcome::one(GBPS, sockets::send_bulk(&runtime, &peer, times)?),
        Test::RoundTrip => Outcome {
            values: sockets::ping_pong(&runtime, peer.addr(), times)?.finish(),
            ..Outcome::default()
        },
        Test::Short => Outcome::one(PER_SECOND, sockets::short_connections(&runtime, peer.addr(), times)?),
    };
    outcome.troubles = runtime.with_stack(|stack, _| direct::troubles(stack));
    Ok(outcome)
}

fn smoltcp(test: Test, spin: bool, times: Times) -> io::Result<Outcome> {
    let rig = TapRig::new()?;
    // Its device cannot move to another thread: all of it happens inside the namespace.
    let outcome = rig.ns.run(|| -> io::Result<Outcome> {
        let device = smol::open(TapRig::NAME)?;
        rig.set_up(Family::V4)?;
        let peer = rig.peer(Family::V4, test.role())?;
        machine::pin(machine::STACK_CPU);
        let mut s = Smol::new(device, spin);
        Ok(match test {
            Test::In => Outcome::one(GBPS, s.receive_bulk(peer.addr(), times)?),
            Test::Out => Outcome::one(GBPS, s.send_bulk(&peer, times)?),
            Test::RoundTrip => {
                Outcome { values: s.ping_pong(peer.addr(), times)?.finish(), ..Outcome::default() }
            }
            Test::Short => Outcome::one(PER_SECOND, s.short_connections(peer.addr(), times)?),
        })
    })?;
    Ok(outcome)
}

fn kernel(test: Test, times: Times) -> io::Result<Outcome> {
    let rig = VethRig::new(true)?;
    let peer = rig.peer(test.role())?;
    machine::pin(machine::STACK_CPU);
    Ok(match test {
        Test::In => Outcome::one(GBPS, linux::receive_bulk(&rig.other, &peer, times)?),
        Test::Out => Outcome::one(GBPS, linux::send_bulk(&rig.other, &peer, times)?),
        Test::RoundTrip => {
            Outcome { values: linux::ping_pong(&rig.other, &peer, times)?.finish(), ..Outcome::default() }
        }
        Test::Short => Outcome::one(PER_SECOND, linux::short_connections(&rig.other, &peer, times)?),
    })
}

/// A stable address for stacks without a device.
pub fn mac(name: &str) -> [u8; 6] {
    derive_mac(name, [0; 6])
}
