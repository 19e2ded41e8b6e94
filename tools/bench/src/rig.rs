//! What the frames pass through: a TAP or a veth pair in namespaces of their own, made anew for each
//! run, since instances differ (the same test on a fresh TAP varies by some per cent).

use crate::peer::{Peer, Role};
use std::io;
use std::net::IpAddr;
use std::time::Duration;
use wirestack::device::{Packet, PacketOptions, Tap, TapOptions};
use wirestack::ip::Cidr;
use wirestack_lab::Namespace;

/// Version of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    fn text(self, host: u8) -> String {
        match self {
            Self::V4 => format!("10.99.0.{host}"),
            Self::V6 => format!("fd99::{host}"),
        }
    }

    fn prefix(self) -> u8 {
        if self == Self::V4 { 24 } else { 64 }
    }

    /// The kernel's address.
    pub fn kernel(self) -> IpAddr {
        self.text(1).parse().expect("a constant")
    }

    /// The stack's address.
    pub fn stack(self) -> Cidr {
        Cidr::new(self.text(2).parse().expect("a constant"), self.prefix())
    }
}

/// A namespace of the kernel's side, with buffers that do not limit it.
fn kernel_namespace() -> io::Result<Namespace> {
    let ns = Namespace::new()?;
    ns.sysctl("net.ipv4.tcp_rmem", "4096 131072 33554432")?;
    ns.sysctl("net.ipv4.tcp_wmem", "4096 65536 16777216")?;
    Ok(ns)
}

/// The kernel behind a TAP.
pub struct TapRig {
    pub ns: Namespace,
}

impl TapRig {
    pub const NAME: &str = "tap0";

    /// The namespace alone.
    pub fn new() -> io::Result<Self> {
        Ok(Self { ns: kernel_namespace()? })
    }

    /// Once the TAP is open: the kernel's address on it.
    pub fn set_up(&self, family: Family) -> io::Result<()> {
        let link = self.ns.link(Self::NAME);
        link.up()?;
        link.add_address(family.kernel(), family.prefix())?;
        link.wait_until_running(Duration::from_secs(5))?;
        Ok(())
    }

    /// With wirestack's own device.
    pub fn tap(family: Family, vnet_hdr: bool) -> io::Result<(Self, Tap)> {
        let rig = Self::new()?;
        let options = TapOptions { vnet_hdr, ..TapOptions::default() };
        let tap = rig.ns.run(|| Tap::open(Self::NAME, &options).map_err(io::Error::other))?;
        rig.set_up(family)?;
        Ok((rig, tap))
    }

    pub fn peer(&self, family: Family, role: Role) -> io::Result<Peer> {
        Peer::start(&self.ns, family.kernel(), role)
    }
}

/// Two namespaces joined by a veth pair.
pub struct VethRig {
    pub kernel: Namespace,
    pub other: Namespace,
}

impl VethRig {
    /// `addressed`: the other end is a kernel too.
    pub fn new(addressed: bool) -> io::Result<Self> {
        let (kernel, other) = (kernel_namespace()?, kernel_namespace()?);
        {
            let (a, b) = kernel.add_veth("veth0", &other, "veth1")?;
            a.add_address(Family::V4.kernel(), Family::V4.prefix())?;
            if addressed {
                b.add_address(Family::V4.stack().addr, Family::V4.prefix())?;
            } else {
                // The kernel there must stay silent.
                other.sysctl("net.ipv6.conf.veth1.disable_ipv6", "1")?;
            }
            a.up()?;
            b.up()?;
            a.wait_until_running(Duration::from_secs(5))?;
        }
        Ok(Self { kernel, other })
    }

    /// A packet socket at the other end.
    pub fn packet(&self) -> io::Result<Packet> {
        Ok(self.other.run(|| Packet::open("veth1", &PacketOptions::default()).map_err(io::Error::other))?)
    }

    pub fn peer(&self, role: Role) -> io::Result<Peer> {
        Peer::start(&self.kernel, Family::V4.kernel(), role)
    }
}
