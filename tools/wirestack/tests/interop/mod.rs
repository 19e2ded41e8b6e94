//! What the tests against the kernel share: a namespace with a kernel in it, our `wirestack` beside
//! it on a TAP or on the other end of a veth pair, files with known hashes.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod files;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::Command;
use std::time::Duration;
use wirestack_lab::{Child, Namespace};

/// The kernel's addresses.
pub const KERNEL4: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 1, 0, 1));
pub const KERNEL6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1));
/// Ours.
pub const OURS4: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 1, 0, 2));
pub const OURS6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2));

/// Long enough for everything that is not a large transfer.
pub const LIMIT: Duration = Duration::from_secs(60);

/// How our stack is joined to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attach {
    /// A TAP with the virtio header: super-segments.
    Tap,
    /// A TAP without it: a frame of at most 1514 octets a call, checksums in software.
    PlainTap,
    /// AF_PACKET on one end of a veth pair, the kernel on the other.
    Packet,
}

impl Attach {
    pub const ALL: [Self; 3] = [Self::Tap, Self::PlainTap, Self::Packet];
}

/// A kernel and a place for our stack.
pub struct Rig {
    /// The kernel that is the peer.
    pub kernel: Namespace,
    /// Where our process runs when it is not beside the kernel.
    ours: Option<Namespace>,
    attach: Attach,
}

impl Rig {
    pub fn new(attach: Attach) -> Self {
        let kernel = Namespace::new().unwrap();
        let ours = (attach == Attach::Packet).then(|| {
            let ours = Namespace::new().unwrap();
            let (k, o) = kernel.add_veth("k0", &ours, "w0").unwrap();
            // The kernel of this end must not talk on the wire.
            ours.sysctl("net.ipv6.conf.w0.disable_ipv6", "1").unwrap();
            k.add_address(KERNEL4, 24).unwrap();
            k.add_address(KERNEL6, 64).unwrap();
            k.up().unwrap();
            o.up().unwrap();
            k.wait_until_running(LIMIT).unwrap();
            o.wait_until_running(LIMIT).unwrap();
            ours
        });
        Self { kernel, ours, attach }
    }

    /// The namespace that our process runs in.
    pub fn place(&self) -> &Namespace {
        self.ours.as_ref().unwrap_or(&self.kernel)
    }

    /// `wirestack ARGS...` with the flags that join it to the kernel.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = wirestack(args);
        match self.attach {
            Attach::Packet => command.args(["--packet", "w0"]),
            Attach::Tap | Attach::PlainTap => {
                command.args(["--tap", "tap0"]);
                command.args(["--peer-address", &format!("{KERNEL4}/24")]);
                command.args(["--peer-address", &format!("{KERNEL6}/64")])
            }
        };
        if self.attach == Attach::PlainTap {
            command.arg("--no-offload");
        }
        command.args(["--address", &format!("{OURS4}/24"), "--address", &format!("{OURS6}/64")]);
        command
    }

    /// Starts `command` where our process runs.
    pub fn start(&self, command: &mut Command) -> Child {
        self.place().spawn(command).unwrap()
    }

    /// Starts `wirestack serve` on port 80 and waits until it serves.
    pub fn serve(&self, dir: &std::path::Path, more: &[&str]) -> Child {
        let mut command = self.command(&["serve", dir.to_str().unwrap(), "--port", "80"]);
        let server = self.start(command.args(more));
        server.wait_for("serving ", LIMIT).unwrap();
        server
    }

    /// Runs `curl ARGS...` on the kernel.
    pub fn curl(&self, args: &[&str], limit: Duration) {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail", "--globoff"]).args(args);
        self.kernel.spawn(&mut curl).unwrap().finish(limit).unwrap().expect_success();
    }
}

/// The command under test.
pub fn wirestack(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wirestack"));
    command.args(args);
    command
}

/// `http://HOST/FILE` with the host as a URL has it.
pub fn url(host: IpAddr, file: &str) -> String {
    match host {
        IpAddr::V4(a) => format!("http://{a}/{file}"),
        IpAddr::V6(a) => format!("http://[{a}]/{file}"),
    }
}

/// Ends a server as Ctrl-C does and checks that it went well.
pub fn interrupt(server: Child) {
    server.signal(rustix::process::Signal::INT).unwrap();
    server.finish(LIMIT).unwrap().expect_success();
}
