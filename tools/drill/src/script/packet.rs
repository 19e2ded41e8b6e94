//! Packets: `S. 0:0(0) ack 1 win 65535 <mss 1460,nop,wscale 8>`, `udp (100)`,
//! `icmp unreachable frag_needed mtu 1200 [1:1461(1460)]`.

use super::ast::{Body, Ecn, IcmpSpec, IpInfo, Packet, Quote, TcpOption, TcpSpec};
use super::constants;
use super::parse::{Parser, Result};

/// Letters of control bits. `A` and `N` both stand for bit 8 (AE, once NS).
const FLAGS: &[(u8, u16)] = &[
    (b'F', 0x001),
    (b'S', 0x002),
    (b'R', 0x004),
    (b'P', 0x008),
    (b'.', 0x010),
    (b'U', 0x020),
    (b'E', 0x040),
    (b'W', 0x080),
    (b'C', 0x080),
    (b'A', 0x100),
    (b'N', 0x100),
];

impl Parser<'_> {
    /// A packet after its direction.
    pub(super) fn packet(&mut self, inbound: bool) -> Result<Packet> {
        let ip = self.ip_info()?;
        let body = self.body(inbound)?;
        Ok(Packet { ip, body })
    }

    fn body(&mut self, inbound: bool) -> Result<Body> {
        self.skip();
        let begin = self.offset();
        for unsupported in ["ipv4", "ipv6", "gre", "mpls"] {
            if self.eat_word(unsupported) {
                return self.fail_at(begin, format!("packets inside {unsupported} are not supported"));
            }
        }
        if self.eat_word("udp") {
            self.expect("(")?;
            let len = self.number("a number of octets")?;
            self.expect(")")?;
            return Ok(Body::Udp { ports: None, len });
        }
        if self.eat_word("icmpv6") {
            return Ok(Body::Icmp(self.icmp(true)?));
        }
        if self.eat_word("icmp") {
            return Ok(Body::Icmp(self.icmp(false)?));
        }
        let ports = self.ports()?;
        if ports.is_some() && self.eat_word("udp") {
            self.expect("(")?;
            let len = self.number("a number of octets")?;
            self.expect(")")?;
            return Ok(Body::Udp { ports, len });
        }
        Ok(Body::Tcp(self.tcp(ports, inbound)?))
    }

    /// `1050 > 8080`.
    fn ports(&mut self) -> Result<Option<(u16, u16)>> {
        if !self.peek().is_some_and(|c| c.is_ascii_digit()) {
            return Ok(None);
        }
        let from = self.number("a port")?;
        self.expect(">")?;
        let to = self.number("a port")?;
        self.skip();
        Ok(Some((from, to)))
    }

    /// `[ect0]`, `[ce, ttl 64]`, `[tos 0x10]`.
    fn ip_info(&mut self) -> Result<IpInfo> {
        let mut info = IpInfo::default();
        self.skip();
        let close = match self.peek() {
            Some(b'[') => "]",
            Some(b'(') => ")",
            _ => return Ok(info),
        };
        self.bump();
        loop {
            self.skip();
            let begin = self.offset();
            let word = self.word().to_owned();
            match word.as_str() {
                "noecn" => info.ecn = Some(Ecn::NoEcn),
                "ect0" => info.ecn = Some(Ecn::Ect0),
                "ect1" => info.ecn = Some(Ecn::Ect1),
                "ect01" => info.ecn = Some(Ecn::Ect01),
                "ce" => info.ecn = Some(Ecn::Ce),
                "tos" => info.tos = Some(self.number("a TOS octet")?),
                "ttl" => info.ttl = Some(self.number("a TTL")?),
                "flowlabel" => {
                    let _: u32 = self.number("a flow label")?;
                }
                _ => {
                    self.rewind(begin);
                    let found = self.found();
                    return self.fail(format!(
                        "expected noecn, ect0, ect1, ect01, ce, tos N or ttl N, found {found}"
                    ));
                }
            }
            self.skip();
            if self.eat(close) {
                return Ok(info);
            }
            self.eat(",");
        }
    }

    fn tcp(&mut self, ports: Option<(u16, u16)>, inbound: bool) -> Result<TcpSpec> {
        let flags = self.flags()?;
        let (seq, len) = self.sequence()?;
        let mut t = TcpSpec {
            ports,
            flags,
            seq,
            len,
            ack: None,
            window: None,
            urgent: None,
            options: Some(Vec::new()),
        };
        self.skip();
        if self.eat_word("ack") {
            t.ack = Some(self.number("an acknowledgment number after \"ack\"")?);
            self.skip();
        }
        if self.eat_word("win") {
            self.skip();
            if !self.eat("*") {
                t.window = Some(self.number("a window from 0 to 65535")?);
            }
            self.skip();
        }
        if self.eat_word("urg") {
            t.urgent = Some(self.number("an urgent pointer from 0 to 65535")?);
            self.skip();
        }
        // Between packets "<" cannot stand first: an event begins with its time.
        if self.eat("<") {
            t.options = self.tcp_options(inbound)?;
        }
        Ok(t)
    }

    fn flags(&mut self) -> Result<u16> {
        self.skip();
        if self.eat("-") {
            return Ok(0);
        }
        let begin = self.offset();
        let mut flags = 0;
        while let Some(bit) = self.peek().and_then(|c| FLAGS.iter().find(|f| f.0 == c)) {
            if flags & bit.1 != 0 {
                return self.fail("this control bit stands twice");
            }
            flags |= bit.1;
            self.bump();
        }
        if flags == 0 || !self.peek().is_some_and(|c| c.is_ascii_whitespace()) {
            self.rewind(begin);
            let found = self.found();
            return self.fail(format!(
                "expected control bits (F S R P . U E W A, or - for none), udp, icmp or icmpv6, found {found}"
            ));
        }
        Ok(flags)
    }

    /// `1:1001(1000)`.
    fn sequence(&mut self) -> Result<(u32, usize)> {
        self.skip();
        let begin = self.offset();
        let start: u32 = self.number("a sequence number")?;
        self.expect(":")?;
        let end: u32 = self.number("the sequence number after the last octet")?;
        self.expect("(")?;
        let len: u32 = self.number("a number of octets")?;
        self.expect(")")?;
        if end != start.wrapping_add(len) {
            return self.fail_at(begin, format!("{start}:{end} does not have {len} octets"));
        }
        Ok((start, len as usize))
    }

    fn tcp_options(&mut self, inbound: bool) -> Result<Option<Vec<TcpOption>>> {
        let begin = self.offset();
        let mut options = Vec::new();
        let mut any = false;
        loop {
            self.skip();
            if self.eat(">") {
                break;
            }
            if !options.is_empty() || any {
                self.expect(",")?;
                self.skip();
            }
            if self.eat("...") {
                if inbound {
                    return self.fail_at(begin, "a packet that arrives needs its options written out");
                }
                any = true;
                continue;
            }
            options.push(self.tcp_option(inbound)?);
        }
        Ok((!any).then_some(options))
    }

    fn tcp_option(&mut self, inbound: bool) -> Result<TcpOption> {
        let begin = self.offset();
        let word = self.word().to_owned();
        Ok(match word.as_str() {
            "nop" => TcpOption::Nop,
            "eol" => TcpOption::Eol,
            "mss" => TcpOption::Mss(self.number("an MSS")?),
            "wscale" => TcpOption::WindowScale(self.number("a shift")?),
            "sackOK" => TcpOption::SackOk,
            "sack" => {
                let mut blocks = Vec::new();
                loop {
                    self.skip();
                    if !self.peek().is_some_and(|c| c.is_ascii_digit()) {
                        break;
                    }
                    let from = self.number("the start of a block")?;
                    self.expect(":")?;
                    blocks.push((from, self.number("the end of a block")?));
                }
                TcpOption::Sack(blocks)
            }
            "TS" => {
                self.skip();
                if !self.eat_word("val") {
                    return self.fail("expected \"val\" after \"TS\"");
                }
                let val = self.number_or_any("a timestamp")?;
                self.skip();
                if !self.eat_word("ecr") {
                    return self.fail("expected \"ecr\" after the timestamp");
                }
                let ecr = self.number_or_any("an echoed timestamp")?;
                if inbound && (val.is_none() || ecr.is_none()) {
                    return self.fail_at(begin, "a packet that arrives needs its timestamps written out");
                }
                TcpOption::Timestamps(val, ecr)
            }
            "FO" | "FOEXP" => {
                TcpOption::FastOpen { experimental: word == "FOEXP", cookie: self.hex()?.unwrap_or_default() }
            }
            "md5" => TcpOption::Md5(self.hex()?),
            "raw" => match self.hex()? {
                Some(octets) => TcpOption::Raw(octets),
                None => return self.fail("expected octets in hexadecimal after \"raw\""),
            },
            _ => {
                self.rewind(begin);
                let found = self.found();
                return self.fail(format!(
                    "expected an option (mss, wscale, sackOK, sack, TS, nop, eol, FO, FOEXP, md5, raw or ...), found {found}"
                ));
            }
        })
    }

    fn number_or_any(&mut self, what: &str) -> Result<Option<u32>> {
        self.skip();
        if self.eat("*") { Ok(None) } else { self.number(what).map(Some) }
    }

    /// Octets in hexadecimal, with or without `0x`.
    fn hex(&mut self) -> Result<Option<Vec<u8>>> {
        self.skip();
        let begin = self.offset();
        let word = self.word();
        let digits = word.strip_prefix("0x").unwrap_or(word);
        if digits.is_empty() {
            return Ok(None);
        }
        let octets: Option<Vec<u8>> = digits
            .as_bytes()
            .chunks(2)
            .map(|pair| std::str::from_utf8(pair).ok().and_then(|p| u8::from_str_radix(p, 16).ok()))
            .collect();
        match octets {
            Some(o) if digits.len().is_multiple_of(2) => Ok(Some(o)),
            _ => self.fail_at(begin, "expected pairs of hexadecimal digits"),
        }
    }

    /// `unreachable frag_needed mtu 1200 [1:1461(1460)]`.
    fn icmp(&mut self, v6: bool) -> Result<IcmpSpec> {
        self.skip();
        let begin = self.offset();
        let name = self.word().to_owned();
        let types = constants::icmp_types(v6);
        let Some(ty) = constants::number_or(types, &name) else {
            return self.fail_at(begin, format!("\"{name}\" is no ICMP type that is known here"));
        };
        self.skip();
        let begin = self.offset();
        let mut code = 0;
        if self.peek().is_some_and(|c| c.is_ascii_alphanumeric()) {
            let name = self.word().to_owned();
            if name == "mtu" {
                self.rewind(begin);
            } else if let Some(c) = constants::number_or(constants::icmp_codes(v6, ty), &name) {
                code = c;
            } else {
                return self.fail_at(begin, format!("\"{name}\" is no code of this ICMP type"));
            }
        }
        self.skip();
        let mtu = if self.eat_word("mtu") { Some(self.number("an MTU")?) } else { None };
        self.skip();
        let quote = if self.eat("[") { Some(self.quote()?) } else { None };
        Ok(IcmpSpec { v6, ty, code, mtu, quote })
    }

    fn quote(&mut self) -> Result<Quote> {
        self.skip();
        let quote = if self.eat_word("udp") {
            self.expect("(")?;
            let len = self.number("a number of octets")?;
            self.expect(")")?;
            Quote::Udp { len }
        } else {
            self.eat_word("tcp");
            let (seq, len) = self.sequence()?;
            Quote::Tcp { seq, len }
        };
        self.expect("]")?;
        Ok(quote)
    }
}
