//! From flags to a running stack: opens the device where it is, puts impairment and capture around
//! it, starts the runtime, and ends all of it properly.

use crate::control::Control;
use crate::error::{Doing, Failure, Outcome, text};
use crate::flags::{Flags, WatchFlags};
use crate::interrupt::Interrupt;
use crate::trace::{self, Printer};
use std::fs::File;
use std::io::{self, BufWriter};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use wirestack::device::{
    Capture, CaptureHandle, CaptureOptions, Impair, ImpairConfig, Packet, PacketOptions, Tap, TapOptions,
};
use wirestack::ip::{Cidr, Route};
use wirestack::link::{Capabilities, Device, Received, TxError, TxFrame};
use wirestack::stack::InterfaceConfig;
use wirestack::{Config, Errno, Instant, Runtime};
use wirestack_lab::Namespace;

/// How long the end of a command waits until the peers have acknowledged everything.
const FAREWELL: Duration = Duration::from_secs(5);

/// A device of any kind.
pub type AnyDevice = Box<dyn Device + Send>;
/// A hold on the capture file.
pub type CaptureFile = CaptureHandle<BufWriter<File>>;

/// A running stack with what belongs to it.
#[derive(Debug)]
pub struct Session {
    /// The stack.
    pub runtime: Runtime,
    /// Ctrl-C.
    pub interrupt: Interrupt,
    capture: Option<(PathBuf, CaptureFile)>,
    _control: Option<Control>,
    _printer: Option<Printer>,
}

impl Session {
    /// Starts what the flags describe. `what` names the command in `wirestack ss`.
    pub fn start(flags: &Flags, what: &str) -> Outcome<Self> {
        check(flags)?;
        let (device, name, mac) = open(flags)?;
        let (device, capture) = wrap(device, &name, &flags.watch)?;
        let mut config = config(flags.watch.seed);
        config.events = trace::filter(flags.watch.verbose);
        let mut builder = Runtime::builder(config);
        let iface = builder.interface(
            device,
            InterfaceConfig {
                name,
                mac: flags.mac.map_or(mac, |m| m.0),
                capabilities: Capabilities::ETHERNET,
                addresses: flags.address.clone(),
                detect_duplicates: false,
            },
        );
        for &via in &flags.gateway {
            builder
                .route(Route { dst: everywhere(via), via: Some(via), iface, metric: 0 })
                .map_err(|e| Failure::new(format!("cannot use the gateway {via}: {}", e.text())))?;
        }
        let printer = match flags.watch.verbose {
            0 => None,
            _ => {
                let printer = Printer::start().doing(|| "cannot start a thread".into())?;
                builder.on_event(printer.observer());
                Some(printer)
            }
        };
        let runtime = builder.start().doing(|| "cannot start the stack".into())?;
        let theirs = runtime.clone();
        let interrupt = Interrupt::install(move || {
            let _ = theirs.shutdown(FAREWELL);
        })?;
        let control = match Control::open(&runtime, what) {
            Ok(control) => Some(control),
            Err(e) => {
                eprintln!("wirestack: `wirestack ss` will not show this process: {}", text(&e));
                None
            }
        };
        Ok(Self { runtime, interrupt, capture, _control: control, _printer: printer })
    }

    /// Closes every socket, waits until the peers have acknowledged it, and completes the capture.
    pub fn end(self) -> Outcome {
        match self.runtime.shutdown(FAREWELL) {
            Err(e) if e.kind() == io::ErrorKind::TimedOut && !self.interrupt.is_set() => {
                eprintln!("wirestack: a peer did not acknowledge the end of its connection within 5 s");
            }
            _ => {}
        }
        if let Some((path, capture)) = &self.capture {
            capture.finish().doing(|| format!("cannot write the capture {}", path.display()))?;
        }
        Ok(())
    }

    /// The failure that an error of a socket call stands for. If the device is gone, that is it.
    pub fn failure(&self, what: impl Into<String>, e: &io::Error) -> Failure {
        match self.runtime.device_error() {
            Some(gone) => {
                Failure::new(format!("the interface {} is gone: {}", gone.interface, gone.error.text()))
            }
            None => Failure::new(format!("{}: {}", what.into(), text(e))),
        }
    }
}

/// The configuration of a stack with its secret from a seed, or fresh.
pub fn config(seed: Option<u64>) -> Config {
    let mut config = Config::default();
    if let Some(seed) = seed {
        // Not zero, which would stand for "take fresh bits".
        config.secret = [seed, !seed];
    }
    config
}

/// What the flags say that cannot be true together.
fn check(flags: &Flags) -> Outcome {
    for (i, a) in flags.address.iter().enumerate() {
        let ip = a.addr;
        if ip.is_multicast() || ip.is_unspecified() || ip == IpAddr::V4(Ipv4Addr::BROADCAST) {
            return Err(Failure::usage(format!(
                "{ip} cannot be the address of a host: choose another --address"
            )));
        }
        if flags.address[..i].iter().any(|b| b.addr == ip) {
            return Err(Failure::usage(format!("the address {ip} is given twice")));
        }
    }
    for (i, g) in flags.gateway.iter().enumerate() {
        if !flags.address.iter().any(|a| a.contains(*g)) {
            return Err(Failure::usage(format!(
                "the gateway {g} is in the network of none of the addresses: give an --address beside it"
            )));
        }
        if flags.gateway[..i].iter().any(|h| h.is_ipv4() == g.is_ipv4()) {
            return Err(Failure::usage("there can be one gateway for IPv4 and one for IPv6"));
        }
    }
    for p in &flags.peer_address {
        if flags.address.iter().any(|a| a.addr == p.addr) {
            return Err(Failure::usage(format!(
                "{} cannot be the address of both the stack and the kernel's end",
                p.addr
            )));
        }
    }
    if flags.address.iter().any(|a| a.addr.is_ipv6()) && flags.mtu.is_some_and(|m| m < 1280) {
        return Err(Failure::usage("IPv6 needs an MTU of at least 1280 octets (RFC 8200 section 5)"));
    }
    Ok(())
}

fn everywhere(like: IpAddr) -> Cidr {
    match like {
        IpAddr::V4(_) => Cidr::new(Ipv4Addr::UNSPECIFIED.into(), 0),
        IpAddr::V6(_) => Cidr::new(Ipv6Addr::UNSPECIFIED.into(), 0),
    }
}

/// Opens the device: it, its name, and the address that suits the stack on it.
fn open(flags: &Flags) -> Outcome<(AnyDevice, String, [u8; 6])> {
    let namespace = flags.netns.as_deref().map(enter).transpose()?;
    let opened = match &namespace {
        Some(ns) => ns
            .run(|| Ok::<_, io::Error>(open_here(flags)))
            .map_err(|e| Failure::new(format!("cannot enter the network namespace: {}", text(e.io()))))?,
        None => open_here(flags),
    };
    let opened = opened?;
    if !flags.peer_address.is_empty() {
        let ns = match namespace {
            Some(ns) => ns,
            None => current_namespace()?,
        };
        configure_peer(&ns, &opened.1, &flags.peer_address)?;
    }
    Ok(opened)
}

fn open_here(flags: &Flags) -> Outcome<(AnyDevice, String, [u8; 6])> {
    let failure = |e: wirestack::device::DeviceError| Failure::new(e.to_string());
    if let Some(name) = &flags.device.tap {
        let options = TapOptions { vnet_hdr: !flags.no_offload, mtu: flags.mtu, ..TapOptions::default() };
        let tap = Tap::open(name, &options).map_err(failure)?;
        let (name, mac) = (tap.name().to_owned(), tap.peer_mac());
        return Ok((Box::new(tap), name, mac));
    }
    let name = flags.device.packet.as_deref().unwrap_or_default();
    let options = PacketOptions { vnet_hdr: !flags.no_offload, ..PacketOptions::default() };
    let packet = Packet::open(name, &options).map_err(failure)?;
    let (name, mac) = (packet.name().to_owned(), packet.peer_mac());
    let device: AnyDevice = match flags.mtu.map(usize::from) {
        Some(mtu) if mtu > packet.capabilities().mtu => {
            return Err(Failure::usage(format!(
                "the MTU of {name} is {}: --mtu {mtu} is more than it carries",
                packet.capabilities().mtu
            )));
        }
        Some(mtu) => Box::new(SmallerMtu { inner: packet, mtu }),
        None => Box::new(packet),
    };
    Ok((device, name, mac))
}

/// The namespace of that name, or at that path.
fn enter(name: &str) -> Outcome<Namespace> {
    let path = if name.contains('/') { PathBuf::from(name) } else { Path::new("/run/netns").join(name) };
    let file = File::open(&path).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => Failure::new(format!(
            "there is no network namespace {name:?}: make it with `ip netns add {name}`"
        )),
        _ => Failure::new(format!("cannot open the network namespace {name:?}: {}", text(&e))),
    })?;
    Namespace::from_fd(file.into()).map_err(|e| match e.io().kind() {
        io::ErrorKind::PermissionDenied => Failure::new(format!(
            "no permission to enter the network namespace {name:?}: run as root (CAP_SYS_ADMIN)"
        )),
        io::ErrorKind::InvalidInput => Failure::new(format!("{} is no network namespace", path.display())),
        _ => Failure::new(format!("cannot enter the network namespace {name:?}: {}", text(e.io()))),
    })
}

fn current_namespace() -> Outcome<Namespace> {
    let file = File::open("/proc/thread-self/ns/net").doing(|| "cannot open the network namespace".into())?;
    Namespace::from_fd(file.into()).map_err(|e| {
        Failure::new(format!("cannot set the address of the kernel's end: {}: run as root", text(e.io())))
    })
}

fn configure_peer(ns: &Namespace, name: &str, addresses: &[Cidr]) -> Outcome {
    let link = ns.link(name);
    for a in addresses {
        match link.add_address(a.addr, a.prefix_len) {
            // A persistent TAP may have it from last time.
            Err(e) if e.io().kind() == io::ErrorKind::AlreadyExists => {}
            other => other.map_err(|e| Failure::new(e.to_string()))?,
        }
    }
    link.up().map_err(|e| Failure::new(e.to_string()))?;
    // Else the first neighbour solicitation may be lost, and the next comes a second later.
    link.wait_until_running(Duration::from_secs(2)).map_err(|e| Failure::new(e.to_string()))
}

/// Impairment inside, capture outside: the file shows what the stack sees.
fn wrap(
    device: AnyDevice,
    name: &str,
    flags: &WatchFlags,
) -> Outcome<(AnyDevice, Option<(PathBuf, CaptureFile)>)> {
    let device = match &flags.impair {
        Some(config) => impair(device, config, flags.seed),
        None => device,
    };
    let Some(path) = &flags.capture else { return Ok((device, None)) };
    let (device, handle) = capture(device, path, name, false)?;
    Ok((device, Some((path.clone(), handle))))
}

/// Puts an impairment around a device.
pub fn impair(device: AnyDevice, config: &ImpairConfig, seed: Option<u64>) -> AnyDevice {
    let mut config = *config;
    if let Some(seed) = seed {
        config.seed = seed;
    }
    Box::new(Impair::new(device, config))
}

/// Puts a capture around a device. `cut`: super-segments are written as the frames of a wire.
pub fn capture(device: AnyDevice, path: &Path, name: &str, cut: bool) -> Outcome<(AnyDevice, CaptureFile)> {
    let cannot = || format!("cannot write the capture {}", path.display());
    let file = File::create(path).doing(cannot)?;
    let options = CaptureOptions { interface: name.to_owned(), cut, ..CaptureOptions::default() }
        .wall_clock(wirestack::runtime::now());
    let capture = Capture::new(device, BufWriter::with_capacity(1 << 20, file), options).doing(cannot)?;
    let handle = capture.handle();
    Ok((Box::new(capture), handle))
}

/// An interface of which only a part of the MTU is used.
#[derive(Debug)]
struct SmallerMtu<D> {
    inner: D,
    mtu: usize,
}

impl<D: Device> Device for SmallerMtu<D> {
    fn capabilities(&self) -> Capabilities {
        Capabilities { mtu: self.mtu, ..self.inner.capabilities() }
    }
    fn receive(&mut self, now: Instant) -> Result<Option<Received>, Errno> {
        self.inner.receive(now)
    }
    fn transmit(&mut self, now: Instant, frame: &TxFrame<'_>) -> Result<(), TxError> {
        self.inner.transmit(now, frame)
    }
    fn next_deadline(&self) -> Option<Instant> {
        self.inner.next_deadline()
    }
    fn as_fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.inner.as_fd()
    }
}
