//! Scripts made by rule: segments that arrive in every order, and what a receiver says after each.
//! The rule (RFC 2018 section 4) is written here a second time, in the plainest way, and knows nothing
//! of the stack. `UPDATE=1 cargo test -p wirestack-drill --test permutations` writes the files.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const SEGMENT: u32 = 1000;

/// Every order of `n` numbers, in lexicographic order.
fn permutations(n: u32) -> Vec<Vec<u32>> {
    fn extend(prefix: &[u32], n: u32, out: &mut Vec<Vec<u32>>) {
        if prefix.len() == n as usize {
            return out.push(prefix.to_vec());
        }
        for i in (1..=n).filter(|i| !prefix.contains(i)) {
            extend(&[prefix, &[i]].concat(), n, out);
        }
    }
    let mut out = Vec::new();
    extend(&[], n, &mut out);
    out
}

/// What a receiver has and says: the next octet it wants, and blocks beyond it, the one that changed
/// last first.
#[derive(Default)]
struct Receiver {
    have: Vec<u32>,
    recent: Vec<u32>,
}

impl Receiver {
    fn take(&mut self, segment: u32) {
        self.have.push(segment);
        self.recent.retain(|s| *s != segment);
        self.recent.insert(0, segment);
    }

    fn next(&self) -> u32 {
        (1..).find(|s| !self.have.contains(s)).unwrap_or(1)
    }

    /// The run of segments around one.
    fn run(&self, segment: u32) -> (u32, u32) {
        let first = (1..=segment).rev().take_while(|s| self.have.contains(s)).last().unwrap_or(segment);
        let last = (segment..).take_while(|s| self.have.contains(s)).last().unwrap_or(segment);
        (first, last)
    }

    fn blocks(&self) -> Vec<(u32, u32)> {
        let mut out = Vec::new();
        for s in self.recent.iter().filter(|s| **s > self.next()) {
            let run = self.run(*s);
            if !out.contains(&run) {
                out.push(run);
            }
        }
        out
    }
}

fn script(order: &[u32]) -> String {
    let start = |s: u32| 1 + (s - 1) * SEGMENT;
    let shown: Vec<_> = order.iter().map(ToString::to_string).collect();
    let n = order.len();
    let mut out = format!(
        "// Segments 1 to {n} arrive in the order {}: every ACK and its SACK blocks (RFC 2018 section 4).\n",
        shown.join(" ")
    );
    out.push_str(
        "0    socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n\
         +0   bind(3, ..., ...) = 0\n\
         +0   listen(3, 1) = 0\n\
         +0   < S 0:0(0) win 65535 <mss 1000,nop,nop,sackOK,nop,wscale 7>\n\
         +0   > S. 0:0(0) ack 1 <mss 1460,nop,nop,sackOK,nop,wscale 7>\n\
         +.1  < . 1:1(0) ack 1 win 512\n\
         +0   accept(3, ..., ...) = 4\n",
    );
    let mut receiver = Receiver::default();
    for s in order {
        receiver.take(*s);
        let (from, to) = (start(*s), start(s + 1));
        let _ = writeln!(out, "+.01 < . {from}:{to}({SEGMENT}) ack 1 win 512");
        let ack = start(receiver.next());
        let blocks: Vec<_> = receiver
            .blocks()
            .iter()
            .map(|(first, last)| format!(" {}:{}", start(*first), start(last + 1)))
            .collect();
        let option =
            if blocks.is_empty() { String::new() } else { format!(" <nop,nop,sack{}>", blocks.concat()) };
        let _ = writeln!(out, "+0   > . 1:1(0) ack {ack}{option}");
    }
    let all = n as u32 * SEGMENT;
    let _ = writeln!(out, "+.01 read(4, ..., {}) = {all}", all + 1);
    out
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scripts/sack-receive")
}

#[test]
fn the_files_are_what_the_rule_gives() {
    let update = std::env::var_os("UPDATE").is_some();
    if update {
        std::fs::create_dir_all(folder()).expect("a folder");
    }
    let mut count = 0;
    for order in (3..=5).flat_map(permutations) {
        let name: String = order.iter().map(ToString::to_string).collect();
        let path = folder().join(format!("order-{name}.pkt"));
        let wanted = script(&order);
        if update {
            std::fs::write(&path, &wanted).expect("written");
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(found, wanted, "{} is not what the rule gives: run with UPDATE=1", path.display());
        count += 1;
    }
    assert_eq!(count, 6 + 24 + 120);
}
