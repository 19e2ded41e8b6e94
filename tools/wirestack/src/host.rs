//! Names of hosts: numeric addresses, and the hosts file. The stack has no resolver, and asking the
//! system's would go over another network.

use crate::error::{Failure, Outcome};
use std::fs;
use std::net::IpAddr;

/// Which address families will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Families {
    /// IPv4 will do.
    pub v4: bool,
    /// IPv6 will do.
    pub v6: bool,
}

impl Families {
    /// What `-4` and `-6` mean: neither is both.
    pub fn new(only_v4: bool, only_v6: bool) -> Self {
        Self { v4: !only_v6, v6: !only_v4 }
    }

    fn has(self, addr: IpAddr) -> bool {
        if addr.is_ipv4() { self.v4 } else { self.v6 }
    }
}

/// The address of `host`. In a named namespace /etc/netns/NAME/hosts is asked first.
pub fn resolve(host: &str, netns: Option<&str>, families: Families) -> Outcome<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    if let Ok(addr) = bare.parse::<IpAddr>() {
        if families.has(addr) {
            return Ok(addr);
        }
        return Err(Failure::usage(format!("{addr} is not an address of the family that was asked for")));
    }
    let files = netns.filter(|n| !n.contains('/')).map(|n| format!("/etc/netns/{n}/hosts"));
    for file in files.into_iter().chain(["/etc/hosts".to_owned()]) {
        let text = fs::read_to_string(file).unwrap_or_default();
        if let Some(addr) = find(&text, bare, families) {
            return Ok(addr);
        }
    }
    Err(Failure::new(format!(
        "there is no host {host:?}: give an IP address, or a name that stands in /etc/hosts"
    )))
}

/// hosts(5): an address and its names on each line.
fn find(text: &str, host: &str, families: Families) -> Option<IpAddr> {
    text.lines().find_map(|line| {
        let mut words = line.split('#').next()?.split_ascii_whitespace();
        let addr: IpAddr = words.next()?.parse().ok()?;
        (families.has(addr) && words.any(|name| name.eq_ignore_ascii_case(host))).then_some(addr)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_file_and_families() {
        let text = "# comment\n10.0.0.1 a b # c\n\nfd00::1\tB\nnonsense b\n";
        let both = Families::new(false, false);
        assert_eq!(find(text, "B", both), Some("10.0.0.1".parse().unwrap()));
        assert_eq!(find(text, "b", Families::new(false, true)), Some("fd00::1".parse().unwrap()));
        assert_eq!(find(text, "c", both), None);
        assert!(resolve("[fd00::1]", None, both).is_ok());
        assert_eq!(resolve("10.0.0.1", None, Families::new(false, true)).unwrap_err().status(), 2);
        assert_eq!(resolve("no.such.host.invalid", None, both).unwrap_err().status(), 1);
    }
}
