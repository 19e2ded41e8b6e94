//! The flags that every command on a device has.

use clap::Args;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use wirestack::device::ImpairConfig;
use wirestack::ip::Cidr;

/// Where the stack gets its frames, and who it is there.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Device and addresses")]
pub struct Flags {
    #[command(flatten)]
    pub device: DeviceFlag,
    /// An address of the stack with its prefix length, such as 10.0.0.2/24 or fd00::2/64; repeatable
    #[arg(long, value_name = "CIDR", required = true)]
    pub address: Vec<Cidr>,
    /// The router for everything that is not on the link; one for IPv4, one for IPv6
    #[arg(long, value_name = "ADDR")]
    pub gateway: Vec<IpAddr>,
    /// Give the kernel's end of the TAP this address; repeatable
    #[arg(long, value_name = "CIDR", requires = "tap")]
    pub peer_address: Vec<Cidr>,
    /// Open the device in this network namespace (a name of `ip netns`, or a path)
    #[arg(long, value_name = "NAME")]
    pub netns: Option<String>,
    /// The stack's own Ethernet address [default: made from the interface's name]
    #[arg(long, value_name = "MAC")]
    pub mac: Option<Mac>,
    /// Largest IP packet in octets, 576 to 65521 [default: the interface's]
    #[arg(long, value_name = "OCTETS", value_parser = clap::value_parser!(u16).range(576..=65_521))]
    pub mtu: Option<u16>,
    /// One frame a call, every checksum made: no super-segments, no virtio header
    #[arg(long)]
    pub no_offload: bool,
    #[command(flatten)]
    pub watch: WatchFlags,
}

/// The device: exactly one.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub struct DeviceFlag {
    /// A TAP interface; made if it does not exist
    #[arg(long, value_name = "NAME")]
    pub tap: Option<String>,
    /// An interface that exists (veth, network card), through AF_PACKET
    #[arg(long, value_name = "IFACE")]
    pub packet: Option<String>,
}

/// How the network is disturbed and watched.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Disturb and watch")]
pub struct WatchFlags {
    /// Disturb the link in both directions: "loss=1%,delay=20ms,jitter=5ms,..."
    #[arg(long, value_name = "SPEC")]
    pub impair: Option<ImpairConfig>,
    /// Write everything that passes to this file
    #[arg(long, value_name = "FILE.pcapng")]
    pub capture: Option<PathBuf>,
    /// Print what happens: -v states, timers, losses, drops; -vv every segment
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Make everything random come from this number
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,
}

/// An Ethernet address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mac(pub [u8; 6]);

impl FromStr for Mac {
    type Err = &'static str;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "expected six octets in hexadecimal, such as 02:00:00:00:00:01";
        let mut mac = [0; 6];
        let mut parts = s.split([':', '-']);
        for octet in &mut mac {
            let part = parts.next().filter(|p| p.len() == 2).ok_or(FORM)?;
            *octet = u8::from_str_radix(part, 16).map_err(|_| FORM)?;
        }
        if parts.next().is_some() {
            return Err(FORM);
        }
        if mac[0] & 1 != 0 || mac == [0; 6] {
            return Err("this is a group address or zero; a host needs one of its own");
        }
        Ok(Self(mac))
    }
}

#[cfg(test)]
mod tests {
    use super::Mac;

    #[test]
    fn ethernet_addresses() {
        assert_eq!("02:00:5e:10:00:Ff".parse(), Ok(Mac([2, 0, 0x5e, 0x10, 0, 0xff])));
        for bad in [
            "",
            "02:00:5e:10:00",
            "02:00:5e:10:00:01:02",
            "2:0:5e:10:0:1",
            "01:00:5e:00:00:01",
            "00:00:00:00:00:00",
        ] {
            assert!(bad.parse::<Mac>().is_err(), "{bad}");
        }
    }
}
