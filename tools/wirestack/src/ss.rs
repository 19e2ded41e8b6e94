//! `wirestack ss`: the sockets of running instances.

use crate::control::{self, Answer, Request, SocketLine};
use crate::error::{Failure, Outcome, text};
use clap::Args;
use std::fmt::Write as _;
use std::net::SocketAddr;

/// Show the sockets of running instances
#[derive(Debug, Args, Default)]
pub struct Ss {
    /// Only the instance with this process id
    #[arg(long)]
    pid: Option<u32>,
    /// TCP sockets
    #[arg(short, long)]
    tcp: bool,
    /// UDP sockets
    #[arg(short, long)]
    udp: bool,
    /// Raw sockets
    #[arg(short = 'w', long)]
    raw: bool,
    /// Only listening and unconnected sockets
    #[arg(short, long, conflicts_with = "all")]
    listening: bool,
    /// Listening and connected sockets
    #[arg(short, long)]
    all: bool,
    /// Show numbers instead of names (always so)
    #[arg(short, long)]
    numeric: bool,
    /// Show counters and drops instead of sockets
    #[arg(short, long)]
    summary: bool,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// Asks each instance and prints a table.
pub fn run(args: &Ss) -> Outcome {
    let request = if args.summary { Request::Stats } else { Request::Sockets };
    let mut answers = Vec::new();
    for (pid, path) in control::instances() {
        if args.pid.is_some_and(|p| p != pid) {
            continue;
        }
        match control::ask(&path, request) {
            Ok(answer) => answers.push(answer),
            Err(e) => eprintln!("wirestack: process {pid} does not answer: {}", text(&e)),
        }
    }
    if let (Some(pid), true) = (args.pid, answers.is_empty()) {
        return Err(Failure::new(format!("process {pid} is no running wirestack of this user")));
    }
    for answer in &mut answers {
        answer.sockets.retain(|s| args.wants(s));
    }
    if args.json {
        let text = serde_json::to_string_pretty(&answers);
        println!("{}", text.map_err(|e| Failure::new(e.to_string()))?);
    } else if args.summary {
        print!("{}", summary(&answers));
    } else {
        print!("{}", table(&answers));
    }
    Ok(())
}

impl Ss {
    fn wants(&self, s: &SocketLine) -> bool {
        let any = !(self.tcp || self.udp || self.raw);
        let kind = any
            || match s.netid.as_str() {
                "tcp" => self.tcp,
                "udp" => self.udp,
                _ => self.raw,
            };
        let listening = matches!(s.state.as_str(), "LISTEN" | "UNCONN" | "CLOSED");
        kind && (self.all || self.listening == listening)
    }
}

fn endpoint(addr: SocketAddr) -> String {
    let host =
        if addr.ip().is_unspecified() && addr.is_ipv4() { "0.0.0.0".into() } else { addr.ip().to_string() };
    let host = if addr.is_ipv6() { format!("[{host}]") } else { host };
    if addr.port() == 0 { format!("{host}:*") } else { format!("{host}:{}", addr.port()) }
}

/// Columns as wide as what stands in them.
fn table(answers: &[Answer]) -> String {
    let heading =
        ["Netid", "State", "Recv-Q", "Send-Q", "Local Address:Port", "Peer Address:Port", "Process"];
    let mut rows = vec![heading.map(str::to_owned)];
    for a in answers {
        for s in &a.sockets {
            rows.push([
                s.netid.clone(),
                s.state.clone(),
                s.recv_q.to_string(),
                s.send_q.to_string(),
                endpoint(s.local),
                endpoint(s.peer),
                format!("{},pid={}", a.command, a.pid),
            ]);
        }
    }
    let mut width = [0; 7];
    for row in &rows {
        for (w, cell) in width.iter_mut().zip(row) {
            *w = (*w).max(cell.len());
        }
    }
    let mut out = String::new();
    for row in &rows {
        let mut line = String::new();
        for (i, (cell, w)) in row.iter().zip(width).enumerate() {
            let _ =
                if matches!(i, 2 | 3) { write!(line, "{cell:>w$}  ") } else { write!(line, "{cell:<w$}  ") };
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

fn summary(answers: &[Answer]) -> String {
    let mut out = String::new();
    for a in answers {
        let _ = writeln!(out, "{},pid={}", a.command, a.pid);
        for c in a.counters.iter().filter(|c| c.value > 0) {
            let _ = writeln!(out, "{:>14}  {:<28} {}", c.value, c.name, c.meaning);
        }
        if !a.drops.is_empty() {
            let _ = writeln!(out, "  dropped:");
        }
        for c in &a.drops {
            let _ = writeln!(out, "{:>14}  {:<28} {}", c.value, c.name, c.meaning);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Counter;

    fn socket(netid: &str, state: &str, local: &str, peer: &str) -> SocketLine {
        SocketLine {
            netid: netid.into(),
            state: state.into(),
            recv_q: 0,
            send_q: 4096,
            local: local.parse().unwrap(),
            peer: peer.parse().unwrap(),
            protocol: 6,
        }
    }

    fn answer() -> Answer {
        Answer {
            pid: 4711,
            command: "serve".into(),
            sockets: vec![
                socket("tcp", "LISTEN", "[::]:80", "[::]:0"),
                socket("tcp", "ESTAB", "10.0.0.2:80", "10.0.0.1:40000"),
                socket("tcp", "TIME-WAIT", "[fd00::2]:80", "[fd00::1]:40001"),
                socket("udp", "UNCONN", "0.0.0.0:53", "0.0.0.0:0"),
            ],
            counters: vec![
                Counter { name: "tcp_rto".into(), value: 3, meaning: "retransmission timeouts".into() },
                Counter { name: "udp_in".into(), value: 0, meaning: "UDP datagrams delivered".into() },
            ],
            drops: vec![Counter { name: "tcp.paws".into(), value: 1, meaning: "old timestamp".into() }],
        }
    }

    #[test]
    fn pictures() {
        insta::assert_snapshot!("table", table(&[answer()]));
        insta::assert_snapshot!("summary", summary(&[answer()]));
    }

    #[test]
    fn selection_is_that_of_ss() {
        let count = |args: Ss| answer().sockets.iter().filter(|s| args.wants(s)).count();
        assert_eq!(count(Ss::default()), 2);
        assert_eq!(count(Ss { listening: true, ..Ss::default() }), 2);
        assert_eq!(count(Ss { all: true, ..Ss::default() }), 4);
        assert_eq!(count(Ss { all: true, udp: true, ..Ss::default() }), 1);
        assert_eq!(count(Ss { tcp: true, listening: true, ..Ss::default() }), 1);
    }
}
