//! A gigabyte each way between the kernel's TCP and ours, over each kind of device and both IP
//! versions: the bytes are the same.

mod interop;

use interop::files::Files;
use interop::{Attach, KERNEL4, KERNEL6, OURS4, OURS6, Rig, interrupt, url};
use std::net::SocketAddr;
use std::time::Duration;
use wirestack_lab::{peer, require};

const LEN: u64 = 1 << 30;

/// An idle machine needs 5 s; this is for one that has other things to do.
const PATIENCE: Duration = Duration::from_secs(300);

#[test]
fn over_a_tap_with_super_segments() {
    require!(Namespaces, Tun, Program("curl"), Program("python3"));
    both_ways(Attach::Tap);
}

#[test]
fn over_a_tap_without_offload() {
    require!(Namespaces, Tun, Program("curl"), Program("python3"));
    both_ways(Attach::PlainTap);
}

#[test]
fn over_af_packet_on_a_veth() {
    require!(Namespaces, Program("curl"), Program("python3"));
    both_ways(Attach::Packet);
}

fn both_ways(attach: Attach) {
    let files = Files::new();
    let hash = files.generate("big", 1, LEN);
    curl_fetches_from_serve(attach, &files, hash);
    get_fetches_from_python(attach, &files, hash);
}

fn curl_fetches_from_serve(attach: Attach, files: &Files, hash: [u8; 32]) {
    let rig = Rig::new(attach);
    let server = rig.serve(files.dir(), &[]);
    for host in [OURS4, OURS6] {
        let out = files.path("curl.out");
        rig.curl(&["--output", out.to_str().unwrap(), &url(host, "big")], PATIENCE);
        assert!(files.take_hash("curl.out") == hash, "{attach:?}: curl got other bytes from {host}");
    }
    interrupt(server);
}

fn get_fetches_from_python(attach: Attach, files: &Files, hash: [u8; 32]) {
    let rig = Rig::new(attach);
    for host in [KERNEL4, KERNEL6] {
        // The server is bound to every address: on a TAP the kernel's own comes with our process.
        let any = if host.is_ipv4() { "0.0.0.0:80" } else { "[::]:80" };
        let _server =
            peer::serve_directory(&rig.kernel, any.parse::<SocketAddr>().unwrap(), files.dir()).unwrap();
        let out = files.path("get.out");
        let mut get = rig.command(&["get", &url(host, "big"), "--output", out.to_str().unwrap()]);
        rig.start(&mut get).finish(PATIENCE).unwrap().expect_success();
        assert!(files.take_hash("get.out") == hash, "{attach:?}: get got other bytes from {host}");
    }
}
