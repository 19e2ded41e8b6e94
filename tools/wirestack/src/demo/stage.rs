//! The two ends and the link between them. Either the kernel in a private network namespace, joined
//! by a TAP, or a second stack of ours, joined by a wire in memory.

use super::Demo;
use crate::error::{Doing, Failure, Outcome};
use crate::setup::{self, AnyDevice, CaptureFile};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use wirestack::device::{Tap, TapOptions, Wire, WireOptions};
use wirestack::event::EventFilter;
use wirestack::ip::Cidr;
use wirestack::link::Capabilities;
use wirestack::stack::InterfaceConfig;
use wirestack::{Event, Runtime};
use wirestack_lab::Namespace;

/// The address of our stack. The namespace is private: these can be anything.
pub const OURS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
/// The peer's.
pub const THEIRS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// Where the peer listens. No protocol is known by this number, so that Wireshark does not take the
/// random octets for one.
pub const PORT: u16 = 7654;
const TAP: &str = "demo";

/// Both ends.
#[derive(Debug)]
pub struct Stage {
    /// Our end.
    pub runtime: Runtime,
    /// The other end.
    pub peer: Peer,
    /// Why the peer is not the kernel.
    pub why_memory: Option<String>,
}

/// The other end.
#[derive(Debug)]
pub enum Peer {
    /// The kernel in a private namespace, which goes with this value.
    Kernel(Namespace),
    /// A stack of ours.
    Stack(Runtime),
}

impl Stage {
    /// Makes both ends and the link. Our end's events go to `observer`, its packets to the capture.
    pub fn set_up(
        args: &Demo,
        seed: u64,
        observer: impl FnMut(&Event) + Send + 'static,
    ) -> Outcome<(Self, CaptureFile)> {
        let why_memory = match args.memory {
            true => Some("--memory was given".to_owned()),
            false => wirestack_lab::can_create().err(),
        };
        let (device, mac, peer) = match why_memory {
            None => kernel()?,
            Some(_) => memory(seed)?,
        };
        let device = setup::impair(device, &args.impair, Some(seed));
        let (device, capture) = setup::capture(device, &args.capture, "wirestack demo", true)?;
        let mut config = setup::config(Some(seed));
        config.events = EventFilter::ALL;
        let mut builder = Runtime::builder(config);
        builder.interface(device, interface(OURS, mac));
        builder.on_event(observer);
        let runtime = builder.start().doing(|| "cannot start the stack".into())?;
        Ok((Self { runtime, peer, why_memory }, capture))
    }

    /// In a sentence.
    pub fn peer_name(&self) -> &'static str {
        match self.peer {
            Peer::Kernel(_) => "the Linux kernel in a network namespace of its own",
            Peer::Stack(_) => "a second wirestack",
        }
    }

    /// Over the ladder.
    pub fn peer_short(&self) -> &'static str {
        match self.peer {
            Peer::Kernel(_) => "kernel",
            Peer::Stack(_) => "second stack",
        }
    }

    /// Where the peer listens.
    pub fn addr(&self) -> SocketAddr {
        (THEIRS, PORT).into()
    }

    /// What breaks every call that waits, on either end.
    pub fn emergency(&self) -> impl FnOnce() + Send + 'static {
        let ours = self.runtime.clone();
        let theirs = match &self.peer {
            Peer::Stack(runtime) => Some(runtime.clone()),
            Peer::Kernel(_) => None,
        };
        move || {
            let _ = ours.shutdown(Duration::from_millis(100));
            if let Some(theirs) = theirs {
                let _ = theirs.shutdown(Duration::ZERO);
            }
        }
    }

    /// Ends both: what was closed is acknowledged first. The namespace, and the TAP in it, go with it.
    pub fn take_down(self) {
        let _ = self.runtime.shutdown(Duration::from_secs(1));
        if let Peer::Stack(runtime) = &self.peer {
            let _ = runtime.shutdown(Duration::from_secs(1));
        }
    }
}

fn kernel() -> Outcome<(AnyDevice, [u8; 6], Peer)> {
    let failure = |e: wirestack_lab::Error| Failure::new(e.to_string());
    let ns = Namespace::new().map_err(failure)?;
    let tap = ns
        .run(|| Ok::<_, io::Error>(Tap::open(TAP, &TapOptions::default())))
        .map_err(failure)?
        .map_err(|e| Failure::new(e.to_string()))?;
    let mac = tap.peer_mac();
    let link = ns.link(TAP);
    link.add_address(IpAddr::V4(THEIRS), 24).map_err(failure)?;
    link.up().map_err(failure)?;
    Ok((Box::new(tap), mac, Peer::Kernel(ns)))
}

fn memory(seed: u64) -> Outcome<(AnyDevice, [u8; 6], Peer)> {
    let [ours, theirs] = Wire::pair(WireOptions { wake: true, ..WireOptions::OFFLOAD });
    let mut builder = Runtime::builder(setup::config(Some(seed.wrapping_add(1))));
    builder.interface(Box::new(theirs), interface(THEIRS, [2, 0, 0, 0, 0, 1]));
    let peer = builder.start().doing(|| "cannot start the second stack".into())?;
    Ok((Box::new(ours), [2, 0, 0, 0, 0, 2], Peer::Stack(peer)))
}

fn interface(addr: Ipv4Addr, mac: [u8; 6]) -> InterfaceConfig {
    InterfaceConfig {
        name: TAP.into(),
        mac,
        capabilities: Capabilities::ETHERNET,
        addresses: vec![Cidr::new(addr.into(), 24)],
        detect_duplicates: false,
    }
}
