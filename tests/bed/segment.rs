//! Segments as text: `P. 1:1001(1000) ack 1 win 65535 <nop,nop,sack 2001:3001>`, the words of tcpdump and
//! packetdrill. Sequence numbers are relative to the initial one of their sender.
//!
//! Flags: `S`yn `F`in `R`st `P`ush `.`ack `U`rg `E`ce c`W`r, `0` for none. The sequence part is `1` or `1:1001` or
//! `1:1001(1000)`. After it, in any order: `ack N`, `win N` (as it stands in the header), `urg N` (the pointer),
//! `<options>` with `mss N`, `wscale N`, `sackOK`, `nop`, `eol`, `TS val N ecr N`, `sack A:B C:D`.

use etherparse::PacketBuilder;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use wirestack::wire::TcpFlags;

/// An option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opt {
    Nop,
    Eol,
    Mss(u16),
    Wscale(u8),
    SackOk,
    /// TSval and TSecr; in an expectation `None` is anything.
    Ts(Option<u32>, Option<u32>),
    /// Blocks, relative to the ISS of the data's sender. Unused ones are empty.
    Sack([(u32, u32); 4]),
    /// A kind that nobody knows.
    Unknown(u8),
}

/// The options of a segment, in their order.
pub type Options = Vec<Opt>;

/// A segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seg {
    pub flags: TcpFlags,
    /// Relative to the ISS of its sender.
    pub seq: u32,
    pub len: usize,
    /// Relative to the ISS of its receiver. In an expectation: what it must be, if it is given.
    pub ack: Option<u32>,
    pub win: Option<u16>,
    pub urg: Option<u16>,
    pub options: Option<Options>,
    /// Octets; made from the pattern of the stream unless given.
    pub payload: Option<Vec<u8>>,
}

fn flags(text: &str) -> TcpFlags {
    let mut f = TcpFlags::empty();
    for c in text.chars() {
        f |= match c {
            'S' => TcpFlags::SYN,
            'F' => TcpFlags::FIN,
            'R' => TcpFlags::RST,
            'P' => TcpFlags::PSH,
            '.' => TcpFlags::ACK,
            'U' => TcpFlags::URG,
            'E' => TcpFlags::ECE,
            'W' => TcpFlags::CWR,
            '0' => TcpFlags::empty(),
            _ => panic!("no flag {c:?} in {text:?}"),
        };
    }
    f
}

fn number<T: std::str::FromStr>(text: &str) -> T {
    text.trim().parse().unwrap_or_else(|_| panic!("{text:?} is no number that fits"))
}

fn any_or_number(text: &str) -> Option<u32> {
    (text != "*").then(|| number(text))
}

fn option(text: &str) -> Opt {
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.as_slice() {
        ["nop"] => Opt::Nop,
        ["eol"] => Opt::Eol,
        ["mss", n] => Opt::Mss(number(n)),
        ["wscale", n] => Opt::Wscale(number(n)),
        ["sackOK"] => Opt::SackOk,
        ["TS"] => Opt::Ts(None, None),
        ["TS", "val", v, "ecr", e] => Opt::Ts(any_or_number(v), any_or_number(e)),
        ["unknown", n] => Opt::Unknown(number(n)),
        ["sack", blocks @ ..] => {
            let mut out = [(0, 0); 4];
            for (o, b) in out.iter_mut().zip(blocks) {
                let (a, z) = b.split_once(':').unwrap_or_else(|| panic!("{b:?} is no SACK block"));
                *o = (number(a), number(z));
            }
            Opt::Sack(out)
        }
        _ => panic!("no option {text:?}"),
    }
}

impl Seg {
    /// Reads the text form.
    pub fn parse(text: &str) -> Self {
        let (head, options) = match text.split_once('<') {
            Some((head, rest)) => {
                let list = rest.trim_end().strip_suffix('>').unwrap_or_else(|| panic!("no > in {text:?}"));
                (head, Some(list.split(',').filter(|o| !o.trim().is_empty()).map(option).collect()))
            }
            None => (text, None),
        };
        let mut words = head.split_whitespace();
        let mut seg = Self {
            flags: flags(words.next().expect("a segment begins with its flags")),
            seq: 0,
            len: 0,
            ack: None,
            win: None,
            urg: None,
            options,
            payload: None,
        };
        let range = words.next().unwrap_or_else(|| panic!("no sequence number in {text:?}"));
        let range = range.split('(').next().unwrap();
        let (start, end) = range.split_once(':').unwrap_or((range, range));
        let (start, end): (u32, u32) = (number(start), number(end));
        seg.seq = start;
        seg.len = end.wrapping_sub(start) as usize;
        while let Some(word) = words.next() {
            let value = words.next().unwrap_or_else(|| panic!("{word:?} without a value in {text:?}"));
            match word {
                "ack" => seg.ack = Some(number(value)),
                "win" => seg.win = Some(number(value)),
                "urg" => seg.urg = Some(number(value)),
                _ => panic!("what is {word:?} in {text:?}?"),
            }
        }
        seg
    }

    /// Does the segment `got` say what this one asks for? What is not given is not compared, except the payload:
    /// that is always the pattern of the stream.
    pub fn accepts(&self, got: &Self) -> bool {
        let same_options = self.options.as_ref().is_none_or(|wanted| {
            let got = got.options.as_deref().unwrap_or(&[]);
            wanted.len() == got.len() && wanted.iter().zip(got).all(|(w, g)| same_option(w, g))
        });
        self.flags == got.flags
            && (self.seq, self.len) == (got.seq, got.len)
            && self.ack.is_none_or(|a| Some(a) == got.ack)
            && self.win.is_none_or(|w| Some(w) == got.win)
            && self.urg.is_none_or(|u| Some(u) == got.urg)
            && same_options
    }
}

fn same_option(wanted: &Opt, got: &Opt) -> bool {
    match (wanted, got) {
        (Opt::Ts(v, e), Opt::Ts(gv, ge)) => {
            v.is_none_or(|v| Some(v) == *gv) && e.is_none_or(|e| Some(e) == *ge)
        }
        _ => wanted == got,
    }
}

impl fmt::Display for Opt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let any = |n: &Option<u32>| n.map_or("*".to_owned(), |n| n.to_string());
        match self {
            Self::Nop => f.write_str("nop"),
            Self::Eol => f.write_str("eol"),
            Self::Mss(n) => write!(f, "mss {n}"),
            Self::Wscale(n) => write!(f, "wscale {n}"),
            Self::SackOk => f.write_str("sackOK"),
            Self::Ts(v, e) => write!(f, "TS val {} ecr {}", any(v), any(e)),
            Self::Sack(blocks) => {
                f.write_str("sack")?;
                blocks.iter().filter(|b| b.0 != b.1).try_for_each(|(a, z)| write!(f, " {a}:{z}"))
            }
            Self::Unknown(n) => write!(f, "unknown {n}"),
        }
    }
}

impl fmt::Display for Seg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = [
            (TcpFlags::SYN, 'S'),
            (TcpFlags::FIN, 'F'),
            (TcpFlags::RST, 'R'),
            (TcpFlags::PSH, 'P'),
            (TcpFlags::ACK, '.'),
            (TcpFlags::URG, 'U'),
            (TcpFlags::ECE, 'E'),
            (TcpFlags::CWR, 'W'),
        ];
        let flags: String = letters.iter().filter(|l| self.flags.contains(l.0)).map(|l| l.1).collect();
        let flags = if flags.is_empty() { "0".to_owned() } else { flags };
        write!(f, "{flags} {}:{}({})", self.seq, self.seq.wrapping_add(self.len as u32), self.len)?;
        if let Some(ack) = self.ack {
            write!(f, " ack {ack}")?;
        }
        if let Some(win) = self.win {
            write!(f, " win {win}")?;
        }
        if let Some(urg) = self.urg {
            write!(f, " urg {urg}")?;
        }
        if let Some(options) = self.options.as_ref().filter(|o| !o.is_empty()) {
            let list: Vec<String> = options.iter().map(ToString::to_string).collect();
            write!(f, " <{}>", list.join(","))?;
        }
        Ok(())
    }
}

/// Who sends to whom, and from which sequence numbers both count.
#[derive(Clone, Copy, Debug)]
pub struct Flight {
    pub from: SocketAddr,
    pub to: SocketAddr,
    /// ISS of the sender.
    pub iss: u32,
    /// ISS of the receiver: acknowledgments and SACK blocks count from it.
    pub peer_iss: u32,
}

fn option_bytes(options: &[Opt], peer_iss: u32) -> Vec<u8> {
    let mut out = Vec::new();
    for o in options {
        match o {
            Opt::Nop => out.push(1),
            Opt::Eol => out.push(0),
            Opt::Mss(n) => out.extend([&[2, 4][..], &n.to_be_bytes()].concat()),
            Opt::Wscale(n) => out.extend([3, 3, *n]),
            Opt::SackOk => out.extend([4, 2]),
            Opt::Ts(v, e) => {
                out.extend([8, 10]);
                out.extend(v.expect("a value for TSval").to_be_bytes());
                out.extend(e.expect("a value for TSecr").to_be_bytes());
            }
            Opt::Sack(blocks) => {
                let used: Vec<_> = blocks.iter().filter(|b| b.0 != b.1).collect();
                out.extend([5, 2 + 8 * used.len() as u8]);
                for (a, z) in used {
                    out.extend(a.wrapping_add(peer_iss).to_be_bytes());
                    out.extend(z.wrapping_add(peer_iss).to_be_bytes());
                }
            }
            Opt::Unknown(n) => out.extend([*n, 4, 0xde, 0xad]),
        }
    }
    while out.len() % 4 != 0 {
        out.push(1);
    }
    out
}

impl Seg {
    /// The IP packet of this segment, checksums made.
    pub fn to_packet(&self, flight: &Flight) -> Vec<u8> {
        let payload = match &self.payload {
            Some(p) => p.clone(),
            None => super::stream(u64::from(self.seq.wrapping_sub(1)), self.len),
        };
        let seq = self.seq.wrapping_add(flight.iss);
        let win = self.win.unwrap_or(65_535);
        let options = option_bytes(self.options.as_deref().unwrap_or(&[]), flight.peer_iss);
        let (src, dst) = (flight.from, flight.to);
        let ip = match (src.ip(), dst.ip()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => PacketBuilder::ipv4(a.octets(), b.octets(), 64),
            (IpAddr::V6(a), IpAddr::V6(b)) => PacketBuilder::ipv6(a.octets(), b.octets(), 64),
            _ => panic!("{src} and {dst} are not of one family"),
        };
        let mut b = ip.tcp(src.port(), dst.port(), seq, win);
        let has = |f| self.flags.contains(f);
        let when = |b, yes, f: fn(_) -> _| if yes { f(b) } else { b };
        b = when(b, has(TcpFlags::SYN), |b: etherparse::PacketBuilderStep<etherparse::TcpHeader>| b.syn());
        b = when(b, has(TcpFlags::FIN), etherparse::PacketBuilderStep::fin);
        b = when(b, has(TcpFlags::RST), etherparse::PacketBuilderStep::rst);
        b = when(b, has(TcpFlags::PSH), etherparse::PacketBuilderStep::psh);
        b = when(b, has(TcpFlags::ECE), etherparse::PacketBuilderStep::ece);
        b = when(b, has(TcpFlags::CWR), etherparse::PacketBuilderStep::cwr);
        if has(TcpFlags::ACK) {
            b = b.ack(self.ack.unwrap_or(0).wrapping_add(flight.peer_iss));
        }
        if has(TcpFlags::URG) {
            b = b.urg(self.urg.unwrap_or(0));
        }
        let b = b.options_raw(&options).expect("options fit 40 octets");
        let mut out = Vec::with_capacity(b.size(payload.len()));
        b.write(&mut out, &payload).expect("a packet fits");
        out
    }

    /// Reads an IP packet that the stack sent. Absolute numbers become relative where `iss` and `peer_iss` are known.
    pub fn from_packet(
        packet: &[u8],
        iss: Option<u32>,
        peer_iss: u32,
    ) -> Result<(SocketAddr, SocketAddr, Self), String> {
        let sliced = etherparse::SlicedPacket::from_ip(packet).map_err(|e| e.to_string())?;
        let (src, dst): (IpAddr, IpAddr) = match &sliced.net {
            Some(etherparse::NetSlice::Ipv4(ip)) => {
                (ip.header().source_addr().into(), ip.header().destination_addr().into())
            }
            Some(etherparse::NetSlice::Ipv6(ip)) => {
                (ip.header().source_addr().into(), ip.header().destination_addr().into())
            }
            other => return Err(format!("no IP: {other:?}")),
        };
        let Some(etherparse::TransportSlice::Tcp(tcp)) = &sliced.transport else {
            return Err(format!("no TCP: {:?}", sliced.transport));
        };
        let sum = match (src, dst) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                tcp.to_header().calc_checksum_ipv4_raw(a.octets(), b.octets(), tcp.payload()).ok()
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                tcp.to_header().calc_checksum_ipv6_raw(a.octets(), b.octets(), tcp.payload()).ok()
            }
            _ => None,
        };
        if sum != Some(tcp.checksum()) {
            return Err(format!("the checksum is {:#06x} and should be {sum:04x?}", tcp.checksum()));
        }
        let bits = u16::from_be_bytes([packet_tcp(tcp)[12], packet_tcp(tcp)[13]]) & 0x1ff;
        let flags = TcpFlags::from_bits_retain(bits);
        let own = iss.unwrap_or(if flags.contains(TcpFlags::SYN) { tcp.sequence_number() } else { 0 });
        // The RST to a segment without ACK has sequence number 0, not one of the connection.
        let own = if flags.contains(TcpFlags::RST) && tcp.sequence_number() == 0 { 0 } else { own };
        let seg = Self {
            flags,
            seq: tcp.sequence_number().wrapping_sub(own),
            len: tcp.payload().len(),
            ack: flags.contains(TcpFlags::ACK).then(|| tcp.acknowledgment_number().wrapping_sub(peer_iss)),
            win: Some(tcp.window_size()),
            urg: flags.contains(TcpFlags::URG).then(|| tcp.urgent_pointer()),
            options: Some(read_options(tcp.options(), peer_iss)),
            payload: Some(tcp.payload().to_vec()),
        };
        Ok(((src, tcp.source_port()).into(), (dst, tcp.destination_port()).into(), seg))
    }
}

fn packet_tcp<'a>(tcp: &etherparse::TcpSlice<'a>) -> &'a [u8] {
    tcp.slice()
}

fn read_options(mut o: &[u8], peer_iss: u32) -> Options {
    let mut out = Vec::new();
    while let Some(&kind) = o.first() {
        let len = if kind < 2 { 1 } else { usize::from(o[1]) };
        let body = &o[..len];
        let word = |at: usize| u32::from_be_bytes(body[at..at + 4].try_into().unwrap());
        out.push(match kind {
            0 => Opt::Eol,
            1 => Opt::Nop,
            2 => Opt::Mss(u16::from_be_bytes([body[2], body[3]])),
            3 => Opt::Wscale(body[2]),
            4 => Opt::SackOk,
            5 => {
                let mut blocks = [(0, 0); 4];
                for (i, b) in blocks.iter_mut().enumerate().take((len - 2) / 8) {
                    *b = (word(2 + 8 * i).wrapping_sub(peer_iss), word(6 + 8 * i).wrapping_sub(peer_iss));
                }
                Opt::Sack(blocks)
            }
            8 => Opt::Ts(Some(word(2)), Some(word(6))),
            k => Opt::Unknown(k),
        });
        o = &o[len..];
        if kind == 0 {
            break;
        }
    }
    out
}
