//! Our captures as an independent decoder reads them: tshark finds nothing malformed and no bad
//! checksum, and sees the same bytes.

mod interop;

use interop::files::Files;
use interop::{Attach, OURS4, OURS6, Rig, interrupt, url};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use wirestack_lab::{Child, require};

const LIMIT: Duration = Duration::from_secs(120);

/// The packets of a capture that match a display filter, one line each; every checksum is verified.
fn tshark(capture: &Path, filter: &str) -> String {
    let mut command = Command::new("tshark");
    command.arg("-n").arg("-r").arg(capture);
    for protocol in ["tcp", "udp", "ip"] {
        command.args(["-o", &format!("{protocol}.check_checksum:TRUE")]);
    }
    command.args(["-Y", filter]);
    // Its files of settings go to HOME; those of a user must not change the outcome.
    command.env("HOME", env!("CARGO_TARGET_TMPDIR")).env("XDG_CONFIG_HOME", env!("CARGO_TARGET_TMPDIR"));
    Child::start(&mut command).unwrap().finish(LIMIT).unwrap().expect_success().stdout
}

/// What must not be in a capture: malformed or cut packets, checksums with status 0 ("bad"), and
/// whatever else the decoder calls an error.
const WRONG: &str = "_ws.malformed || _ws.short || tcp.checksum.status == 0 || udp.checksum.status == 0 \
                     || ip.checksum.status == 0 || icmp.checksum.status == 0 || icmpv6.checksum.status == 0 \
                     || _ws.expert.severity == error";

/// Serves two downloads with a capture on and returns where it lies.
fn capture(files: &Files, attach: Attach, impair: Option<&str>) -> PathBuf {
    files.generate("data", 5, 2 << 20);
    let rig = Rig::new(attach);
    let capture = files.path("out.pcapng");
    let mut more = vec!["--capture", capture.to_str().unwrap()];
    more.extend(impair.iter().flat_map(|spec| ["--impair", spec]));
    let server = rig.serve(files.dir(), &more);
    for host in [OURS4, OURS6] {
        rig.curl(&["--output", "/dev/null", &url(host, "data")], LIMIT);
    }
    interrupt(server);
    capture
}

fn captured(attach: Attach, impair: Option<&str>) {
    let files = Files::new();
    let capture = capture(&files, attach, impair);
    let wrong = tshark(&capture, WRONG);
    assert!(wrong.is_empty(), "{attach:?}: tshark objects to\n{wrong}");
    for (filter, what) in [
        ("tcp.flags.syn == 1 && tcp.flags.ack == 1 && ip", "a SYN-ACK over IPv4"),
        ("tcp.flags.syn == 1 && tcp.flags.ack == 1 && ipv6", "a SYN-ACK over IPv6"),
        ("tcp.flags.fin == 1 && tcp.srcport == 80", "a FIN of ours"),
        ("tcp.checksum.status == 1 && tcp.srcport == 80 && tcp.len > 0", "data of ours with a good checksum"),
        ("tcp.checksum.status == 1 && tcp.dstport == 80 && tcp.len > 0", "a request with a good checksum"),
        ("http.response.code == 200", "an HTTP answer"),
        ("arp || icmpv6.type == 135", "the resolution of a neighbour"),
    ] {
        assert!(!tshark(&capture, filter).is_empty(), "{attach:?}: the capture has not {what}");
    }
}

#[test]
fn on_a_tap_with_super_segments() {
    require!(Namespaces, Tun, Program("curl"), Program("tshark"));
    captured(Attach::Tap, None);
}

#[test]
fn on_a_tap_without_offload() {
    require!(Namespaces, Tun, Program("curl"), Program("tshark"));
    captured(Attach::PlainTap, None);
}

#[test]
fn on_af_packet() {
    require!(Namespaces, Program("curl"), Program("tshark"));
    captured(Attach::Packet, None);
}

#[test]
fn under_loss_and_reordering() {
    require!(Namespaces, Tun, Program("curl"), Program("tshark"));
    captured(Attach::Tap, Some("loss=2%,reorder=2%,duplicate=1%,seed=1"));
}

#[test]
fn the_decoder_does_find_wrong_checksums() {
    require!(Namespaces, Tun, Program("curl"), Program("tshark"));
    let files = Files::new();
    let capture = capture(&files, Attach::Tap, Some("corrupt=2%,seed=1"));
    let wrong = tshark(&capture, WRONG);
    assert!(!wrong.is_empty(), "frames were corrupted, and nothing is wrong with any of them");
}
