//! The stack under test with its virtual clock, and what came out of it.

use crate::script::Settings;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;
use wirestack::event::{Event, EventFilter, TcpHappening};
use wirestack::ip::{Cidr, Route};
use wirestack::link::{Capabilities, Frame, Medium, TxFrame};
use wirestack::stack::InterfaceConfig;
use wirestack::{Config, IfaceId, Instant, Limits, Profile, SocketId, Stack};

/// When scripts begin: not at the origin, so that a time of zero is never mistaken for "never".
const START: Instant = Instant::from_secs(1000);
/// Timer rounds at one instant before the stack is said to spin.
const SPIN: u32 = 10_000;

/// A packet that left the stack.
#[derive(Clone, Debug)]
pub struct Sent {
    /// When, in microseconds of the script.
    pub at: i64,
    /// The IP packet.
    pub bytes: Vec<u8>,
}

/// The stack, its clock, its only interface (bare IP, like a TUN device).
#[derive(Debug)]
pub struct Host {
    /// The stack.
    pub stack: Stack,
    iface: IfaceId,
    now: Instant,
    rounds: u32,
    /// Packets that left and were not looked at yet.
    pub sent: VecDeque<Sent>,
    /// Sockets that were woken since somebody last looked.
    pub woken: Vec<SocketId>,
    /// What the stack told, for the ladder.
    pub told: Vec<(i64, String)>,
}

impl Host {
    /// A stack with the addresses of the script.
    pub fn new(profile: Profile, limits: Limits, settings: &Settings, secret: [u64; 2]) -> Self {
        let events = EventFilter { transitions: true, drops: true, ..EventFilter::NONE };
        let mut stack = Stack::new(START, Config { secret, profile, limits, events });
        let prefix = |a: IpAddr| if a.is_ipv4() { 24 } else { 64 };
        let local = settings.local();
        let iface = stack.add_interface(
            START,
            InterfaceConfig {
                name: "tun0".into(),
                mac: [0; 6],
                capabilities: Capabilities {
                    medium: Medium::Ip,
                    mtu: settings.mtu,
                    max_gso: 0,
                    tx_checksum: false,
                },
                addresses: vec![Cidr::new(local, prefix(local))],
                detect_duplicates: false,
            },
        );
        let default = match local {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        // The interface is there and the network is known: this cannot fail.
        let _ = stack.add_route(Route { dst: Cidr::new(default, 0), via: None, iface, metric: 0 });
        Self {
            stack,
            iface,
            now: START,
            rounds: 0,
            sent: VecDeque::new(),
            woken: Vec::new(),
            told: Vec::new(),
        }
    }

    /// Now, as the stack counts.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Now, in microseconds of the script.
    pub fn micros(&self) -> i64 {
        micros(self.now)
    }

    /// A time of the script, as the stack counts.
    pub fn instant(micros: i64) -> Instant {
        START + Duration::from_micros(micros.max(0) as u64)
    }

    /// Takes everything that the stack has to give.
    pub fn drain(&mut self) {
        let at = self.micros();
        let sent = &mut self.sent;
        self.stack.poll_transmit(self.now, &mut |_: IfaceId, f: &TxFrame<'_>| {
            let mut bytes = vec![0; f.len()];
            f.copy_to(&mut bytes);
            sent.push_back(Sent { at, bytes });
            Ok(())
        });
        while let Some(event) = self.stack.poll_event() {
            match event {
                Event::Socket(id) => self.woken.push(id),
                Event::Dropped { at, reason } => self.told.push((micros(at), format!("dropped: {reason:?}"))),
                Event::Tcp(e) => {
                    let text = match e.what {
                        TcpHappening::State { from, to } => format!("{from} -> {to}"),
                        TcpHappening::TimerFired { timer, attempt } => format!("timer {timer:?} ({attempt})"),
                        TcpHappening::Lost { cause, .. } => format!("lost: {}", cause.label()),
                        TcpHappening::Undo => "undo".into(),
                        TcpHappening::Aborted { error } => format!("aborted: {}", error.name()),
                        TcpHappening::Dropped { reason } => format!("dropped: {reason:?}"),
                        _ => continue,
                    };
                    self.told.push((micros(e.at), text));
                }
                _ => {}
            }
        }
        self.stack.check_invariants();
    }

    /// A packet arrives.
    pub fn inject(&mut self, packet: &[u8]) {
        self.stack.handle_frame(self.now, self.iface, Frame::from(packet));
        self.drain();
    }

    /// When the stack wants to be called.
    pub fn next_due(&mut self) -> Option<Instant> {
        self.stack.poll_timeout()
    }

    /// Lets time pass up to the next thing that the stack does, at most to `until`. False once `until`
    /// is reached.
    ///
    /// # Errors
    /// The stack asks to be called at the same instant again and again.
    pub fn step(&mut self, until: Instant) -> Result<bool, String> {
        let due = self.next_due().filter(|d| *d <= until);
        let Some(due) = due else {
            self.now = self.now.max(until);
            return Ok(false);
        };
        if due > self.now {
            self.now = due;
            self.rounds = 0;
        }
        self.rounds += 1;
        if self.rounds > SPIN {
            return Err(format!("the stack spins: its timer is due again and again at {due}"));
        }
        self.stack.handle_timeout(self.now);
        self.drain();
        Ok(true)
    }
}

fn micros(at: Instant) -> i64 {
    at.since(START).as_micros() as i64
}
