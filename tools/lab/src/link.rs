//! An interface in a namespace: veth, TAP, loopback.

use crate::error::{Attempt, Result};
use crate::namespace::Namespace;
use crate::sys;
use netlink_packet_route::link::LinkAttribute;
use std::net::IpAddr;
use std::time::{Duration, Instant};
use std::{io, thread};

/// An interface by its name. All calls take effect at once.
#[derive(Clone, Debug)]
pub struct Link<'a> {
    ns: &'a Namespace,
    name: String,
}

/// What the kernel's side of an interface can leave to "the hardware" (ethtool(8)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offload {
    /// Super-segments handed out whole: TCP segmentation offload, and its software form.
    Segmentation,
    /// Received segments are put together before TCP sees them (GRO).
    Receive,
    /// Checksums of sent frames are left to be completed. Without it there is no
    /// [`Segmentation`](Self::Segmentation) either.
    TxChecksum,
    /// Received checksums are believed.
    RxChecksum,
}

impl Offload {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::TxChecksum, Self::RxChecksum, Self::Segmentation, Self::Receive];

    /// The commands of linux/ethtool.h that set it.
    const fn commands(self) -> &'static [u32] {
        const ETHTOOL_SRXCSUM: u32 = 0x15;
        const ETHTOOL_STXCSUM: u32 = 0x17;
        const ETHTOOL_STSO: u32 = 0x1f;
        const ETHTOOL_SGSO: u32 = 0x24;
        const ETHTOOL_SGRO: u32 = 0x2c;
        match self {
            Self::Segmentation => &[ETHTOOL_STSO, ETHTOOL_SGSO],
            Self::Receive => &[ETHTOOL_SGRO],
            Self::TxChecksum => &[ETHTOOL_STXCSUM],
            Self::RxChecksum => &[ETHTOOL_SRXCSUM],
        }
    }
}

impl<'a> Link<'a> {
    pub(crate) fn new(ns: &'a Namespace, name: &str) -> Self {
        Self { ns, name: name.into() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its number (if_nametoindex(3)).
    ///
    /// # Errors
    /// `ENODEV` if there is no such interface: the same for all calls below.
    pub fn index(&self) -> Result<u32> {
        self.ns.netlink().index(&self.name).attempt(|| self.attempted("finding"))
    }

    /// Its Ethernet address.
    ///
    /// # Errors
    /// `ENODEV`; "invalid data" if it has none.
    pub fn mac(&self) -> Result<[u8; 6]> {
        self.ns.netlink().mac(&self.name).attempt(|| self.attempted("asking the Ethernet address of"))
    }

    /// Brings it up.
    ///
    /// # Errors
    /// `ENODEV`.
    pub fn up(&self) -> Result<()> {
        sys::change_flags(self.ns.control(), &self.name, libc::IFF_UP as i16, 0)
            .attempt(|| self.attempted("bringing up"))
    }

    /// Waits until it carries packets: it and the other end are up, and the kernel has put its IPv6
    /// addresses into service, which it does in the background. A neighbour solicitation that comes
    /// before goes unanswered, and the next is sent a second later. Link-local addresses are not
    /// waited for: their duplicate address detection takes seconds.
    ///
    /// # Errors
    /// `ENODEV`; "timed out" after `limit`.
    pub fn wait_until_running(&self, limit: Duration) -> Result<()> {
        let what = || self.attempted("waiting for");
        let end = Instant::now() + limit;
        loop {
            let flags = sys::flags(self.ns.control(), &self.name).attempt(what)?;
            if i32::from(flags) & libc::IFF_RUNNING != 0 && !self.has_tentative_address()? {
                return Ok(());
            }
            if Instant::now() >= end {
                return Err(io::Error::from(io::ErrorKind::TimedOut)).attempt(what);
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Is an IPv6 address not in service yet?
    fn has_tentative_address(&self) -> Result<bool> {
        const IFA_F_TENTATIVE: u8 = 0x40;
        // "fd000000000000000000000000000002 02 40 00 c0 eth0": address, index, prefix length, scope, flags, name.
        let tentative = |line: &str| {
            let mut words = line.split_ascii_whitespace();
            let (addr, flags, name) = (words.next()?, words.nth(3)?, words.next()?);
            let flags = u8::from_str_radix(flags, 16).ok()?;
            Some(name == self.name && !addr.starts_with("fe8") && flags & IFA_F_TENTATIVE != 0)
        };
        match self.ns.run(|| std::fs::read_to_string("/proc/thread-self/net/if_inet6")) {
            Ok(table) => Ok(table.lines().any(|line| tentative(line) == Some(true))),
            // A kernel without IPv6.
            Err(e) if e.io().kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Takes it down. Its IPv6 addresses and the routes over it are gone then.
    ///
    /// # Errors
    /// `ENODEV`.
    pub fn down(&self) -> Result<()> {
        sys::change_flags(self.ns.control(), &self.name, 0, libc::IFF_UP as i16)
            .attempt(|| self.attempted("taking down"))
    }

    /// Removes it, with the other end of a pair.
    ///
    /// # Errors
    /// `ENODEV`; `EOPNOTSUPP` for the loopback.
    pub fn delete(&self) -> Result<()> {
        self.ns.netlink().delete(&self.name).attempt(|| self.attempted("deleting"))
    }

    /// Sets the largest IP packet, in octets: 68..=65535 for veth and TAP; IPv6 wants at least 1280.
    ///
    /// # Errors
    /// `ENODEV`; `EINVAL` out of the range of the interface.
    pub fn set_mtu(&self, mtu: u32) -> Result<()> {
        self.set(LinkAttribute::Mtu(mtu), "setting the MTU of")
    }

    /// Sets the Ethernet address.
    ///
    /// # Errors
    /// `ENODEV`; `EADDRNOTAVAIL` for a multicast address.
    pub fn set_mac(&self, mac: [u8; 6]) -> Result<()> {
        self.set(LinkAttribute::Address(mac.to_vec()), "setting the Ethernet address of")
    }

    /// Adds an address that is usable at once (no duplicate address detection), and the route to
    /// its network.
    ///
    /// # Errors
    /// `ENODEV`; `EEXIST` if it has the address; `EINVAL` for a prefix that is too long.
    pub fn add_address(&self, addr: IpAddr, prefix_len: u8) -> Result<()> {
        self.ns
            .netlink()
            .add_address(&self.name, addr, prefix_len)
            .attempt(|| self.attempted(&format!("adding the address {addr}/{prefix_len} to")))
    }

    /// Adds a neighbour that need not be resolved: no ARP or NDP is sent for it.
    ///
    /// # Errors
    /// `ENODEV`; `ENETDOWN` if the interface is down.
    pub fn add_neighbour(&self, addr: IpAddr, mac: [u8; 6]) -> Result<()> {
        self.ns
            .netlink()
            .add_neighbour(&self.name, addr, mac)
            .attempt(|| self.attempted(&format!("adding the neighbour {addr} on")))
    }

    /// Switches an offload.
    ///
    /// # Errors
    /// `ENODEV`; `EOPNOTSUPP` if the interface cannot.
    pub fn set_offload(&self, offload: Offload, on: bool) -> Result<()> {
        offload
            .commands()
            .iter()
            .try_for_each(|&cmd| sys::ethtool_set(self.ns.control(), &self.name, cmd, on))
            .attempt(|| self.attempted(&format!("switching {offload:?} offload of")))
    }

    fn set(&self, attribute: LinkAttribute, doing: &str) -> Result<()> {
        self.ns.netlink().set(&self.name, attribute).attempt(|| self.attempted(doing))
    }

    fn attempted(&self, doing: &str) -> String {
        format!("{doing} interface {}", self.name)
    }
}
