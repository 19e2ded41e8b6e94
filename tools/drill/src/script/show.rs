//! A packet written as a script writes it.

use super::ast::{Body, IcmpSpec, Packet, TcpOption, TcpSpec};
use std::fmt;

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.body {
            Body::Tcp(t) => t.fmt(f),
            Body::Udp { len, .. } => write!(f, "udp ({len})"),
            Body::Icmp(i) => i.fmt(f),
        }
    }
}

impl fmt::Display for IcmpSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "icmp{} type {} code {}", if self.v6 { "v6" } else { "" }, self.ty, self.code)?;
        self.mtu.map_or(Ok(()), |m| write!(f, " mtu {m}"))
    }
}

/// Control bits as letters, in the order of packetdrill's scripts.
pub fn flags(bits: u16) -> String {
    let letters = [
        (0x002, 'S'),
        (0x001, 'F'),
        (0x004, 'R'),
        (0x008, 'P'),
        (0x010, '.'),
        (0x020, 'U'),
        (0x040, 'E'),
        (0x080, 'W'),
        (0x100, 'A'),
    ];
    let out: String = letters.iter().filter(|(b, _)| bits & b != 0).map(|(_, c)| *c).collect();
    if out.is_empty() { "-".into() } else { out }
}

impl fmt::Display for TcpSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.seq.wrapping_add(self.len as u32);
        write!(f, "{} {}:{end}({})", flags(self.flags), self.seq, self.len)?;
        if let Some(ack) = self.ack {
            write!(f, " ack {ack}")?;
        }
        if let Some(win) = self.window {
            write!(f, " win {win}")?;
        }
        if let Some(urg) = self.urgent {
            write!(f, " urg {urg}")?;
        }
        match &self.options {
            None => f.write_str(" <...>"),
            Some(o) if o.is_empty() => Ok(()),
            Some(o) => {
                let o: Vec<_> = o.iter().map(ToString::to_string).collect();
                write!(f, " <{}>", o.join(","))
            }
        }
    }
}

impl fmt::Display for TcpOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_any = |n: &Option<u32>| n.map_or("*".into(), |n| n.to_string());
        let hex = |o: &[u8]| o.iter().map(|b| format!("{b:02x}")).collect::<String>();
        match self {
            Self::Eol => f.write_str("eol"),
            Self::Nop => f.write_str("nop"),
            Self::Mss(n) => write!(f, "mss {n}"),
            Self::WindowScale(n) => write!(f, "wscale {n}"),
            Self::SackOk => f.write_str("sackOK"),
            Self::Sack(blocks) => {
                f.write_str("sack")?;
                blocks.iter().try_for_each(|(a, b)| write!(f, " {a}:{b}"))
            }
            Self::Timestamps(val, ecr) => write!(f, "TS val {} ecr {}", or_any(val), or_any(ecr)),
            Self::FastOpen { experimental, cookie } => {
                let name = if *experimental { "FOEXP" } else { "FO" };
                let space = if cookie.is_empty() { "" } else { " " };
                write!(f, "{name}{space}{}", hex(cookie))
            }
            Self::Md5(None) => f.write_str("md5"),
            Self::Md5(Some(d)) => write!(f, "md5 {}", hex(d)),
            Self::Raw(o) => write!(f, "raw {}", hex(o)),
        }
    }
}
