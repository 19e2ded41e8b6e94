//! Two stacks on a wire that loses, repeats, reorders, delays, damages and cuts frames.

use crate::check;
use std::collections::BTreeMap;
use std::time::Duration;
use wirestack::link::{Capabilities, Frame, Medium, RxChecksum, RxOffload, TxFrame};
use wirestack::stack::InterfaceConfig;
use wirestack::{Config, IfaceId, Instant, Profile, SocketId, Stack};

/// The interface of each stack.
pub const IFACE: IfaceId = IfaceId(1);
/// Turns of the loop in one run; more, and something goes on for ever.
const TURNS: usize = 400_000;

/// What the wire does to frames: chances in 256.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hostility {
    /// Loses them.
    pub lose: u8,
    /// Delivers them twice.
    pub repeat: u8,
    /// Holds them back for up to the time below.
    pub delay: u8,
    /// The longest delay.
    pub longest: Duration,
    /// Turns a bit around.
    pub damage: u8,
    /// Cuts them short.
    pub cut: u8,
}

/// Two stacks and the wire.
#[derive(Debug)]
pub struct Lab {
    /// The stacks: 10.0.0.1 and fd00::1, 10.0.0.2 and fd00::2.
    pub ends: [Stack; 2],
    /// The time.
    pub now: Instant,
    /// What the wire does.
    pub hostility: Hostility,
    /// Sockets whose readiness changed, by end.
    pub awake: Vec<(usize, SocketId)>,
    caps: [Capabilities; 2],
    /// Frames under way: when they arrive and, of those, in which order; to whom; what.
    wire: BTreeMap<(Instant, u64), (usize, Vec<u8>, RxOffload)>,
    frames: u64,
    dice: u64,
}

impl Lab {
    /// Two stacks. `look` has the profile of each and whether they leave work to their devices.
    pub fn new(look: u8, seed: u32) -> Self {
        let now = Instant::from_secs(1000);
        let profile = |bits: u8| match bits & 3 {
            1 => Profile::freebsd(),
            2 => Profile::rfc(),
            _ => Profile::linux(),
        };
        let able = Capabilities { medium: Medium::Ethernet, mtu: 1500, max_gso: 65_535, tx_checksum: true };
        let caps = [0, 1].map(|i| if look >> (4 + i) & 1 != 0 { able } else { Capabilities::ETHERNET });
        let ends = [0u8, 1].map(|i| {
            let config = Config {
                secret: [u64::from(seed), u64::from(i)],
                profile: profile(look >> (2 * i)),
                ..Config::default()
            };
            let mut stack = Stack::new(now, config);
            let host = i + 1;
            let iface = stack.add_interface(
                now,
                InterfaceConfig {
                    name: "eth0".into(),
                    mac: [2, 0, 0, 0, 0, host],
                    capabilities: caps[usize::from(i)],
                    addresses: vec![
                        format!("10.0.0.{host}/24").parse().unwrap(),
                        format!("fd00::{host}/64").parse().unwrap(),
                    ],
                    detect_duplicates: false,
                },
            );
            assert_eq!(iface, IFACE);
            stack
        });
        Self {
            ends,
            now,
            hostility: Hostility::default(),
            awake: Vec::new(),
            caps,
            wire: BTreeMap::new(),
            frames: 0,
            dice: u64::from(seed),
        }
    }

    /// SplitMix64.
    fn roll(&mut self) -> u64 {
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.dice ^ (self.dice >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn chance(&mut self, of_256: u8) -> bool {
        (self.roll() & 0xff) < u64::from(of_256)
    }

    /// Drains both stacks, and looks at everything that comes out.
    pub fn step(&mut self) {
        for end in 0..2 {
            let mut out: Vec<(Vec<u8>, RxOffload)> = Vec::new();
            let caps = self.caps[end];
            self.ends[end].poll_transmit(self.now, &mut |_: IfaceId, f: &TxFrame<'_>| {
                check::frame(&caps, f);
                let mut bytes = vec![0; f.len()];
                f.copy_to(&mut bytes);
                let checksum = f.offload.checksum.map_or(RxChecksum::Unknown, RxChecksum::Partial);
                out.push((bytes, RxOffload { checksum, gso: f.offload.gso }));
                assert!(out.len() < 100_000, "a storm of frames");
                Ok(())
            });
            for (bytes, offload) in out {
                self.send(1 - end, bytes, offload);
            }
            while let Some(event) = self.ends[end].poll_event() {
                if let wirestack::Event::Socket(id) = event {
                    self.awake.push((end, id));
                }
            }
            self.ends[end].check_invariants();
        }
    }

    fn send(&mut self, to: usize, mut bytes: Vec<u8>, offload: RxOffload) {
        let h = self.hostility;
        if self.chance(h.lose) {
            return;
        }
        // A damaged frame is known by its checksum: one that was not made yet protects nothing.
        let plain = offload == RxOffload::default();
        if plain && self.chance(h.damage) {
            let bit = self.roll() as usize % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        if plain && self.chance(h.cut) {
            let len = self.roll() as usize % bytes.len();
            bytes.truncate(len);
        }
        for _ in 0..1 + usize::from(self.chance(h.repeat)) {
            let mut at = self.now + Duration::from_micros(100);
            if self.chance(h.delay) {
                at += Duration::from_micros(self.roll() % (h.longest.as_micros() as u64 + 1));
            }
            self.frames += 1;
            self.wire.insert((at, self.frames), (to, bytes.clone(), offload));
        }
    }

    /// When something happens next.
    pub fn next_instant(&mut self) -> Option<Instant> {
        let arrival = self.wire.keys().next().map(|k| k.0);
        let [a, b] = &mut self.ends;
        [arrival, a.poll_timeout(), b.poll_timeout()].into_iter().flatten().min()
    }

    /// Lets what is due at the next instant happen, if that is not after `until`; false if nothing is.
    pub fn turn(&mut self, until: Instant) -> bool {
        let Some(at) = self.next_instant().filter(|at| *at <= until) else { return false };
        self.now = self.now.max(at);
        for stack in &mut self.ends {
            if stack.poll_timeout().is_some_and(|t| t <= self.now) {
                stack.handle_timeout(self.now);
            }
        }
        while let Some(entry) = self.wire.first_entry().filter(|e| e.key().0 <= self.now) {
            let (to, bytes, offload) = entry.remove();
            self.ends[to].handle_frame(self.now, IFACE, Frame::borrowed(&bytes, offload));
        }
        self.step();
        true
    }

    /// Lets time go by; after each turn `each` may act. Ends early if nothing is to come.
    pub fn run(&mut self, time: Duration, mut each: impl FnMut(&mut Self)) {
        let until = self.now + time;
        self.step();
        each(self);
        let mut turns = 0;
        while self.turn(until) {
            each(self);
            turns += 1;
            assert!(turns < TURNS, "{turns} turns in {time:?}: something goes on for ever");
        }
        self.now = self.now.max(until);
    }
}
