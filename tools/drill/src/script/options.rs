//! Option lines: `--name=value` before the first event.

use std::net::IpAddr;

/// Which addresses a script works with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum IpVersion {
    /// IPv4.
    #[default]
    V4,
    /// IPv6.
    V6,
    /// IPv4 packets under IPv6 sockets.
    Mapped,
}

/// What the option lines of a script, or the command line, set.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How far from its time an event may be, in microseconds.
    pub tolerance_usecs: i64,
    /// The same, in percent of the time since the event before.
    pub tolerance_percent: f64,
    /// Which addresses.
    pub ip_version: IpVersion,
    /// MTU of the interface.
    pub mtu: usize,
    /// Address of the stack.
    pub local_ip: Option<IpAddr>,
    /// Address of the peer.
    pub remote_ip: Option<IpAddr>,
    /// Port that `bind` with `...` takes.
    pub bind_port: u16,
    /// Port that `connect` with `...` goes to.
    pub connect_port: u16,
    /// Microseconds of a tick of the timestamps clock: then they are compared with the time passed.
    pub ts_tick_usecs: Option<u32>,
    /// Options that were taken note of and do nothing here.
    pub ignored: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            tolerance_usecs: 4000,
            tolerance_percent: 1.0,
            ip_version: IpVersion::V4,
            mtu: 1500,
            local_ip: None,
            remote_ip: None,
            bind_port: 8080,
            connect_port: 8080,
            ts_tick_usecs: None,
            ignored: Vec::new(),
        }
    }
}

/// Options that mean something only where a kernel and an interface of the host are tested.
const IGNORED: &[&str] = &[
    "init_scripts",
    "send_omit_free",
    "strict_segments",
    "persistent_tun_dev",
    "speed",
    "gateway_ip",
    "netmask_ip",
    "local_linux_ip",
    "dry_run",
    "verbose",
    "debug",
    "code_command",
    "code_format",
    "code_sockopt",
    "use_expect_gro",
    "no_cleanup",
    "udp_encaps",
    "non_fatal",
    "tcp_md5",
    "wire_protocol",
    "wire_client",
    "wire_server",
    "wire_server_ip",
    "wire_server_port",
    "wire_client_dev",
    "wire_server_dev",
    "so_filename",
    "so_flags",
    "tun_device",
    "fm_interface_library",
    "is_anyip",
    "remote_prefix",
];

impl Settings {
    /// Takes one option; the value is empty where none was written.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, String> {
            value.parse().map_err(|_| format!("--{name} wants a number, not \"{value}\""))
        }
        let address = |v: &str| -> Result<IpAddr, String> {
            let v = v.split('/').next().unwrap_or(v);
            v.parse().map_err(|_| format!("--{name} wants an address, not \"{v}\""))
        };
        match name {
            "tolerance_usecs" => self.tolerance_usecs = number(name, value)?,
            "tolerance_percent" => self.tolerance_percent = number(name, value)?,
            "ip_version" => {
                self.ip_version = match value {
                    "ipv4" => IpVersion::V4,
                    "ipv6" => IpVersion::V6,
                    "ipv4_mapped_ipv6" => IpVersion::Mapped,
                    _ => {
                        return Err(format!(
                            "--ip_version is ipv4, ipv6 or ipv4_mapped_ipv6, not \"{value}\""
                        ));
                    }
                };
            }
            "mtu" => self.mtu = number(name, value)?,
            "local_ip" => self.local_ip = Some(address(value)?),
            "remote_ip" => self.remote_ip = Some(address(value)?),
            "bind_port" => self.bind_port = number(name, value)?,
            "connect_port" => self.connect_port = number(name, value)?,
            "tcp_ts_tick_usecs" | "tcp_ts_ecr_scaled" => {
                self.ts_tick_usecs = Some(number(name, value)?).filter(|n| *n > 0);
            }
            _ if IGNORED.contains(&name) => self.ignored.push(format!("--{name}")),
            _ => return Err(format!("unknown option --{name}")),
        }
        Ok(())
    }

    /// The address of the stack, as on the wire.
    pub fn local(&self) -> IpAddr {
        self.local_ip.map(|a| a.to_canonical()).unwrap_or_else(|| match self.ip_version {
            IpVersion::V4 | IpVersion::Mapped => IpAddr::from([192, 168, 0, 1]),
            IpVersion::V6 => IpAddr::from([0xfd3d, 0x0a0b, 0x17d6, 0, 0, 0, 0, 1u16]),
        })
    }

    /// The address of the peer, as on the wire.
    pub fn remote(&self) -> IpAddr {
        self.remote_ip.map(|a| a.to_canonical()).unwrap_or_else(|| match self.ip_version {
            IpVersion::V4 | IpVersion::Mapped => IpAddr::from([192, 0, 2, 1]),
            IpVersion::V6 => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1u16]),
        })
    }

    /// An address of the wire as the application of this script sees it.
    pub fn as_seen(&self, addr: IpAddr) -> IpAddr {
        match (self.ip_version, addr) {
            (IpVersion::Mapped, IpAddr::V4(v4)) => IpAddr::V6(v4.to_ipv6_mapped()),
            _ => addr,
        }
    }
}
