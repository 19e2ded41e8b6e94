//! Settings of the kernel that scripts make by shell commands, as far as they are settings of a
//! profile here.

use std::time::Duration;
use wirestack::profile::CongestionAlgorithm;
use wirestack::{Limits, Profile};

/// What became of a shell command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// Settings that this stack does not have: the script may want something else than it gets.
    pub unsupported: Vec<String>,
    /// Commands that are about the machine, not about the stack.
    pub ignored: Vec<String>,
}

/// The settings below `net.ipv4` that say how TCP looks and behaves.
pub const NAMES: &[&str] = &[
    "tcp_timestamps",
    "tcp_sack",
    "tcp_window_scaling",
    "tcp_congestion_control",
    "tcp_rmem",
    "tcp_wmem",
    "tcp_syn_retries",
    "tcp_synack_retries",
    "tcp_retries1",
    "tcp_retries2",
    "tcp_orphan_retries",
    "tcp_fin_timeout",
    "tcp_keepalive_time",
    "tcp_keepalive_intvl",
    "tcp_keepalive_probes",
    "tcp_challenge_ack_limit",
    "tcp_invalid_ratelimit",
    "tcp_min_snd_mss",
    "ip_default_ttl",
    "ip_local_port_range",
];

/// Applies what a command sets.
pub fn apply(command: &str, profile: &mut Profile, limits: &mut Limits, notes: &mut Notes) {
    for line in command.split([';', '\n']).flat_map(|l| l.split("&&")) {
        let words = words(line);
        let first = words.first().map(String::as_str).unwrap_or_default();
        if first.is_empty() || first.starts_with('#') {
            continue;
        }
        if first.ends_with("defaults.sh") || first.ends_with("set_sysctls.py") {
            usual_test_settings(profile);
        }
        let assignments: Vec<_> =
            words.iter().filter_map(|w| w.split_once('=')).filter(|(n, _)| is_setting(n)).collect();
        if assignments.is_empty() {
            match written_to_proc(&words) {
                Some((name, value)) => set_or_note(&name, &value, profile, limits, notes),
                None => notes.ignored.push(line.trim().into()),
            }
        }
        for (name, value) in assignments {
            set_or_note(name, value, profile, limits, notes);
        }
        // `set_sysctls.py /proc/sys/net/...=1` names files, `sysctl -w net.x = 1` has blanks.
        if first == "sysctl"
            && let [.., name, eq, value] = &words[..]
            && eq == "="
        {
            set_or_note(name, value, profile, limits, notes);
        }
    }
}

/// What the usual preparation of scripts for Linux sets: buffers up to 15 MiB (hence a window scale of 8).
fn usual_test_settings(profile: &mut Profile) {
    profile.rmem = [4096, 540_000, 15_728_640];
    profile.wmem = [4096, 20_000, 4_194_304];
}

fn is_setting(name: &str) -> bool {
    name.starts_with("net.") || name.starts_with("net/") || name.starts_with("/proc/sys/net/")
}

/// `echo 0 > /proc/sys/net/ipv4/tcp_sack`
fn written_to_proc(words: &[String]) -> Option<(String, String)> {
    let target = words.iter().find_map(|w| w.trim_start_matches('>').strip_prefix("/proc/sys/"))?;
    let end = words.iter().position(|w| w.starts_with('>'))?;
    let value: Vec<_> = words.get(1..end)?.iter().filter(|w| *w != "-n").cloned().collect();
    Some((target.to_owned(), value.join(" ")))
}

/// Words of a shell line, quotes taken off.
fn words(line: &str) -> Vec<String> {
    let mut out = Vec::new();
    let (mut word, mut quote, mut open) = (String::new(), None, false);
    for c in line.chars() {
        match (quote, c) {
            (Some(q), c) if q == c => quote = None,
            (None, '"' | '\'') => (quote, open) = (Some(c), true),
            (None, c) if c.is_whitespace() => {
                if open || !word.is_empty() {
                    out.push(std::mem::take(&mut word));
                }
                open = false;
            }
            (_, c) => word.push(c),
        }
    }
    if open || !word.is_empty() {
        out.push(word);
    }
    out
}

fn set_or_note(name: &str, value: &str, profile: &mut Profile, limits: &mut Limits, notes: &mut Notes) {
    let short = name.trim_start_matches("/proc/sys/").replace('/', ".");
    let short = short.trim_start_matches("net.ipv4.").trim_start_matches("net.core.");
    if set(short, value, profile, limits).is_none() {
        notes.unsupported.push(format!("{name}={value}"));
    }
}

/// Sets one setting by its name below `net.ipv4` or `net.core`. `None` if there is no such setting here,
/// or the value has no meaning for it.
pub fn set(name: &str, value: &str, p: &mut Profile, l: &mut Limits) -> Option<()> {
    let number = || value.trim().parse::<u64>().ok();
    let switch = || number().map(|n| n != 0);
    let seconds = || number().map(Duration::from_secs);
    let millis = || number().map(Duration::from_millis);
    match name {
        "tcp_timestamps" => p.timestamps = switch()?,
        "tcp_sack" => p.sack = switch()?,
        "tcp_window_scaling" => p.window_scaling = switch()?,
        "tcp_congestion_control" => p.congestion = CongestionAlgorithm::by_name(value.trim())?,
        "tcp_rmem" => p.rmem = triple(value)?,
        "tcp_wmem" => p.wmem = triple(value)?,
        "tcp_syn_retries" => p.syn_retries = number()? as u32,
        "tcp_synack_retries" => p.synack_retries = number()? as u32,
        "tcp_retries1" => p.retries1 = number()? as u32,
        "tcp_retries2" => p.retries2 = number()? as u32,
        "tcp_orphan_retries" => p.orphan_retries = Some(number()? as u32).filter(|n| *n > 0).unwrap_or(8),
        "tcp_fin_timeout" => p.fin_wait2 = seconds()?,
        "tcp_keepalive_time" => p.keepalive_idle = seconds()?,
        "tcp_keepalive_intvl" => p.keepalive_interval = seconds()?,
        "tcp_keepalive_probes" => p.keepalive_count = number()? as u32,
        "tcp_challenge_ack_limit" => p.challenge_acks = number()?.min(u64::from(u32::MAX)) as u32,
        "tcp_invalid_ratelimit" => p.invalid_ratelimit = millis()?,
        "tcp_min_snd_mss" => p.min_mss = number()? as u16,
        "tcp_max_tw_buckets" => l.time_wait = number()? as usize,
        "tcp_max_orphans" => l.orphans = number()? as usize,
        "tcp_max_syn_backlog" => l.syn_queue = number()? as usize,
        "somaxconn" => l.somaxconn = number()? as usize,
        "ip_default_ttl" => p.hop_limit = number()? as u8,
        "ip_local_port_range" => {
            let mut ends = value.split_whitespace().map(str::parse);
            p.ephemeral_ports = (ends.next()?.ok()?, ends.next()?.ok()?);
        }
        // What the stack does anyway.
        "tcp_ecn" | "tcp_mtu_probing" | "tcp_fastopen" | "tcp_autocorking" | "tcp_ecn_fallback" => {
            return (number()? == 0).then_some(());
        }
        "tcp_dsack"
        | "tcp_moderate_rcvbuf"
        | "tcp_slow_start_after_idle"
        | "tcp_recovery"
        | "tcp_syncookies"
        | "tcp_limited_transmit" => return (number()? == 1).then_some(()),
        "tcp_early_retrans" => return (number()? == 3).then_some(()),
        _ => return None,
    }
    Some(())
}

fn triple(value: &str) -> Option<[usize; 3]> {
    let n: Vec<usize> = value.split_whitespace().filter_map(|w| w.parse().ok()).collect();
    n.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(command: &str) -> (Profile, Notes) {
        let (mut p, mut l, mut n) = (Profile::linux(), Limits::default(), Notes::default());
        apply(command, &mut p, &mut l, &mut n);
        (p, n)
    }

    #[test]
    fn every_way_to_write_a_setting_is_read() {
        assert!(!applied("sysctl -q net.ipv4.tcp_timestamps=0").0.timestamps);
        assert!(!applied("sysctl -w net.ipv4.tcp_sack = 0").0.sack);
        assert!(!applied("echo 0 > /proc/sys/net/ipv4/tcp_sack").0.sack);
        let (p, n) = applied("sysctl -q net.ipv4.tcp_rmem=\"4096 9000 70000\" net.ipv4.tcp_retries2=4; true");
        assert_eq!((p.rmem, p.retries2), ([4096, 9000, 70_000], 4));
        assert_eq!(n, Notes { unsupported: vec![], ignored: vec!["true".into()] });
    }

    #[test]
    fn a_setting_that_is_not_there_is_told() {
        let (p, n) = applied("sysctl -q net.ipv4.tcp_ecn=1 net.ipv4.tcp_congestion_control=vegas");
        assert_eq!(p, Profile::linux());
        assert_eq!(n.unsupported, ["net.ipv4.tcp_ecn=1", "net.ipv4.tcp_congestion_control=vegas"]);
    }

    #[test]
    fn the_usual_preparation_gives_a_window_scale_of_eight() {
        assert_eq!(applied("../common/defaults.sh").0.rmem[2], 15_728_640);
    }
}
