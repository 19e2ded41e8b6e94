//! `wirestack ping`: ICMP echo over a raw socket.

use crate::error::Outcome;
use crate::flags::Flags;
use crate::get::families;
use crate::host;
use crate::setup::Session;
use clap::Args;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use wirestack::ip::protocol;
use wirestack::runtime::Socket;
use wirestack::socket::{Domain, MsgFlags, Readiness, Type};
use wirestack::wire::checksum::Sum;

/// Send ICMP echo requests
#[derive(Debug, Args)]
pub struct Ping {
    /// An IP address, or a name in /etc/hosts
    host: String,
    /// Stop after this many requests
    #[arg(short, long, value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Seconds between requests
    #[arg(short, long, default_value = "1", value_parser = seconds)]
    interval: Duration,
    /// Seconds to wait for an answer after the last request
    #[arg(short = 'W', long, default_value = "3", value_parser = seconds)]
    wait: Duration,
    /// Octets of data in each request
    #[arg(short, long, default_value_t = 56, value_parser = clap::value_parser!(u16).range(0..=65_507))]
    size: u16,
    #[command(flatten)]
    flags: Flags,
}

fn seconds(s: &str) -> Result<Duration, String> {
    let seconds: f64 = s.parse().map_err(|_| "expected a number of seconds, such as 0.2".to_owned())?;
    if !(0.001..=86_400.0).contains(&seconds) {
        return Err("expected 0.001 to 86400 seconds".into());
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// ICMP echo of one family: RFC 792, RFC 4443 section 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Family {
    domain: Domain,
    protocol: u8,
    request: u8,
    reply: u8,
}

impl Family {
    fn of(addr: IpAddr) -> Self {
        match addr {
            IpAddr::V4(_) => Self { domain: Domain::Inet, protocol: protocol::ICMP, request: 8, reply: 0 },
            IpAddr::V6(_) => {
                Self { domain: Domain::Inet6, protocol: protocol::ICMPV6, request: 128, reply: 129 }
            }
        }
    }
}

/// What was said about a request.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    Reply { seq: u16, octets: usize, ttl: Option<u8> },
    Error { seq: u16, what: &'static str },
}

/// Sends and counts.
pub fn run(args: &Ping) -> Outcome {
    let host = host::resolve(&args.host, args.flags.netns.as_deref(), families(&args.flags))?;
    let session = Session::start(&args.flags, "ping")?;
    let mut stats = Statistics::default();
    println!("PING {host}: {} octets of data", args.size);
    let result = exchange(args, &session, host, &mut stats);
    let interrupted = session.interrupt.is_set();
    print!("{}", stats.text(&args.host));
    let ended = session.end();
    if !interrupted {
        result?;
    }
    ended?;
    if stats.received == 0 {
        std::process::exit(1);
    }
    Ok(())
}

fn exchange(args: &Ping, session: &Session, host: IpAddr, stats: &mut Statistics) -> Outcome {
    let family = Family::of(host);
    let failed = |e: io::Error| session.failure("cannot ping", &e);
    let socket = Socket::new(&session.runtime, family.domain, Type::Raw, family.protocol).map_err(failed)?;
    // By the process, so that two pings at a time do not take each other's answers.
    let id = std::process::id() as u16;
    let mut sent: HashMap<u16, Instant> = HashMap::new();
    let mut next = Instant::now();
    let mut last = None;
    loop {
        let now = Instant::now();
        if last.is_none() && now >= next {
            stats.sent += 1;
            let seq = stats.sent as u16;
            sent.insert(seq, now);
            match socket.send_to(&request(family, id, seq, args.size), SocketAddr::new(host, 0)) {
                Ok(_) => {}
                // A neighbour that does not answer is the news, not the end.
                Err(e) if is_unreachable(&e) => println!("no answer from {host}: {}", crate::error::text(&e)),
                Err(e) => return Err(failed(e)),
            }
            next = now + args.interval;
            if args.count.is_some_and(|c| stats.sent >= c) {
                last = Some(now + args.wait);
            }
        }
        let until = last.unwrap_or(next);
        if last.is_some() && (sent.is_empty() || Instant::now() >= until) {
            return Ok(());
        }
        match hear(&socket, family, host, id, until.saturating_duration_since(Instant::now())) {
            Ok(Some(heard)) => stats.take(host, &heard, &mut sent),
            Ok(None) => {}
            Err(e) if is_unreachable(&e) => println!("no answer from {host}: {}", crate::error::text(&e)),
            Err(e) => return Err(failed(e)),
        }
        sent.retain(|_, t| t.elapsed() < Duration::from_secs(60));
    }
}

fn is_unreachable(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable)
}

/// The next thing that concerns us, within `limit`.
fn hear(
    socket: &Socket,
    family: Family,
    host: IpAddr,
    id: u16,
    limit: Duration,
) -> io::Result<Option<Heard>> {
    let mut buf = vec![0; 65_536];
    match socket.wait_ready(Readiness::IN, Some(limit.max(Duration::from_micros(1)))) {
        Err(e) if crate::http::is_timeout(&e) => return Ok(None),
        other => other?,
    };
    match socket.recv_from(&mut buf, MsgFlags::DONTWAIT) {
        Ok((n, from)) => Ok(parse(family, &buf[..n], from.ip(), host, id)),
        Err(e) if crate::http::is_timeout(&e) => Ok(None),
        Err(e) => Err(e),
    }
}

fn request(family: Family, id: u16, seq: u16, size: u16) -> Vec<u8> {
    let mut packet = vec![family.request, 0, 0, 0];
    packet.extend(id.to_be_bytes());
    packet.extend(seq.to_be_bytes());
    packet.extend((0..size).map(|i| i as u8));
    if family.domain == Domain::Inet {
        // For ICMPv6 the stack does it, because the sum is over the addresses too (RFC 3542 section 3.1).
        let mut sum = Sum::new();
        sum.add(&packet);
        packet[2..4].copy_from_slice(&sum.checksum().to_be_bytes());
    }
    packet
}

/// Is the packet an answer to one of ours? IPv4 packets come with their header.
fn parse(family: Family, packet: &[u8], from: IpAddr, host: IpAddr, id: u16) -> Option<Heard> {
    let (ttl, icmp) = if family.domain == Domain::Inet {
        let header = usize::from(packet.first()? & 15) * 4;
        (Some(*packet.get(8)?), packet.get(header..)?)
    } else {
        (None, packet)
    };
    let word = |at: usize, m: &[u8]| Some(u16::from_be_bytes([*m.get(at)?, *m.get(at + 1)?]));
    let kind = *icmp.first()?;
    if kind == family.reply {
        let ours = from == host && word(4, icmp)? == id;
        return ours.then_some(Heard::Reply { seq: word(6, icmp)?, octets: icmp.len(), ttl });
    }
    let what = error_text(family, kind, *icmp.get(1)?)?;
    // Behind eight octets the error quotes our packet.
    let quoted = icmp.get(8..)?;
    let inner = match family.domain {
        Domain::Inet => quoted.get(usize::from(quoted.first()? & 15) * 4..)?,
        Domain::Inet6 => quoted.get(40..)?,
    };
    let ours = *inner.first()? == family.request && word(4, inner)? == id;
    ours.then_some(Heard::Error { seq: word(6, inner)?, what })
}

fn error_text(family: Family, kind: u8, code: u8) -> Option<&'static str> {
    Some(match (family.domain, kind, code) {
        (Domain::Inet, 3, 0) | (Domain::Inet6, 1, 0) => "network unreachable",
        (Domain::Inet, 3, 1) | (Domain::Inet6, 1, 3) => "host unreachable",
        (Domain::Inet, 3, 4) | (Domain::Inet6, 2, _) => "packet too big",
        (Domain::Inet, 3, 9 | 10 | 13) | (Domain::Inet6, 1, 1) => "administratively prohibited",
        (Domain::Inet, 3, _) | (Domain::Inet6, 1, _) => "destination unreachable",
        (Domain::Inet, 11, _) | (Domain::Inet6, 3, _) => "time to live exceeded",
        (Domain::Inet, 12, _) | (Domain::Inet6, 4, _) => "parameter problem",
        _ => return None,
    })
}

#[derive(Debug, Default)]
struct Statistics {
    sent: u64,
    received: u64,
    duplicates: u64,
    errors: u64,
    begin: Option<Instant>,
    times: Vec<f64>,
}

impl Statistics {
    fn take(&mut self, host: IpAddr, heard: &Heard, sent: &mut HashMap<u16, Instant>) {
        match heard {
            Heard::Reply { seq, octets, ttl } => {
                let ttl = ttl.map_or(String::new(), |t| format!(" ttl={t}"));
                let Some(at) = sent.remove(seq) else {
                    self.duplicates += 1;
                    println!("{octets} bytes from {host}: icmp_seq={seq}{ttl} (DUP!)");
                    return;
                };
                self.received += 1;
                self.begin.get_or_insert(at);
                let ms = at.elapsed().as_secs_f64() * 1e3;
                self.times.push(ms);
                println!("{octets} bytes from {host}: icmp_seq={seq}{ttl} time={ms:.3} ms");
            }
            Heard::Error { seq, what } => {
                self.errors += 1;
                sent.remove(seq);
                println!("from {host}: icmp_seq={seq} {what}");
            }
        }
    }

    fn text(&self, host: &str) -> String {
        let lost = self.sent.saturating_sub(self.received);
        let percent = if self.sent == 0 { 0.0 } else { 100.0 * lost as f64 / self.sent as f64 };
        let mut out = format!("\n--- {host} ping statistics ---\n");
        out += &format!("{} packets transmitted, {} received", self.sent, self.received);
        for (n, what) in [(self.duplicates, "duplicates"), (self.errors, "errors")] {
            if n > 0 {
                out += &format!(", {n} {what}");
            }
        }
        out += &format!(", {}% packet loss\n", (percent * 10.0).round() / 10.0);
        if !self.times.is_empty() {
            let n = self.times.len() as f64;
            let mean = self.times.iter().sum::<f64>() / n;
            let deviation = (self.times.iter().map(|t| (t - mean).powi(2)).sum::<f64>() / n).sqrt();
            let min = self.times.iter().copied().fold(f64::INFINITY, f64::min);
            let max = self.times.iter().copied().fold(0.0, f64::max);
            out += &format!("rtt min/avg/max/mdev = {min:.3}/{mean:.3}/{max:.3}/{deviation:.3} ms\n");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    fn with_ip_header(icmp: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; 20];
        packet[0] = 0x45;
        packet[8] = 63;
        packet.extend(icmp);
        packet
    }

    #[test]
    fn only_answers_to_our_requests_count() {
        let family = Family::of(HOST);
        let mut echo = request(family, 7, 3, 8);
        let mut sum = Sum::new();
        sum.add(&echo);
        assert_eq!(sum.checksum(), 0);
        assert_eq!(parse(family, &with_ip_header(&echo), HOST, HOST, 7), None, "our own request");
        echo[0] = 0;
        let reply = with_ip_header(&echo);
        assert_eq!(
            parse(family, &reply, HOST, HOST, 7),
            Some(Heard::Reply { seq: 3, octets: 16, ttl: Some(63) })
        );
        assert_eq!(parse(family, &reply, HOST, HOST, 8), None);
        for n in 0..reply.len() {
            parse(family, &reply[..n], HOST, HOST, 7);
        }
    }

    #[test]
    fn errors_are_found_by_what_they_quote() {
        let family = Family::of(HOST);
        let mut error = vec![3, 1, 0, 0, 0, 0, 0, 0];
        error.extend(with_ip_header(&request(family, 7, 9, 0)));
        let packet = with_ip_header(&error);
        assert_eq!(
            parse(family, &packet, HOST, HOST, 7),
            Some(Heard::Error { seq: 9, what: "host unreachable" })
        );
        for n in 0..packet.len() {
            parse(family, &packet[..n], HOST, HOST, 7);
        }
    }

    #[test]
    fn statistics_read_like_those_of_ping() {
        let stats = Statistics { sent: 3, received: 2, times: vec![1.0, 3.0], ..Statistics::default() };
        assert_eq!(
            stats.text("h"),
            "\n--- h ping statistics ---\n3 packets transmitted, 2 received, 33.3% packet loss\n\
             rtt min/avg/max/mdev = 1.000/2.000/3.000/1.000 ms\n"
        );
        assert!(Statistics::default().text("h").contains("0 packets transmitted"));
    }
}
