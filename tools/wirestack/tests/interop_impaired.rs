//! Sixteen megabytes each way between the kernel and our stack while the wire loses, delays,
//! reorders, doubles and corrupts: the bytes are the same, in bounded time.

mod interop;

use interop::files::Files;
use interop::{Attach, KERNEL4, OURS4, Rig, interrupt, url};
use std::thread;
use std::time::{Duration, Instant};
use wirestack_lab::{peer, require};

const LEN: u64 = 16 << 20;

/// The worst of them is bound by loss: with 5 % each way and a round trip of 40 ms a window of about
/// 5 segments (RFC 5681's model) moves 200 kB/s.
const PATIENCE: Duration = Duration::from_secs(300);

/// Both directions, each independently.
const IMPAIRMENTS: [&str; 6] = [
    "loss=5%",
    "delay=20ms,jitter=5ms",
    "reorder=5%",
    "duplicate=1%",
    "corrupt=0.1%",
    "loss=5%,delay=20ms,jitter=5ms,reorder=5%,duplicate=1%,corrupt=0.1%",
];

/// All at once: they wait for timers and delays most of the time, not for the processor.
fn each(test: impl Fn(&str, &Files, [u8; 32]) + Sync) {
    let files = Files::new();
    let hash = files.generate("data", 2, LEN);
    thread::scope(|scope| {
        for spec in IMPAIRMENTS {
            let (test, files) = (&test, &files);
            scope.spawn(move || {
                let start = Instant::now();
                test(&format!("{spec},seed=1"), files, hash);
                println!("{:6.1} s under {spec}", start.elapsed().as_secs_f64());
            });
        }
    });
}

#[test]
fn curl_fetches_from_serve_under_each_impairment() {
    require!(Namespaces, Tun, Program("curl"));
    each(|spec, files, hash| {
        let rig = Rig::new(Attach::Tap);
        let server = rig.serve(files.dir(), &["--impair", spec]);
        let out = format!("curl.{spec}");
        rig.curl(&["--output", files.path(&out).to_str().unwrap(), &url(OURS4, "data")], PATIENCE);
        assert!(files.take_hash(&out) == hash, "curl got other bytes under {spec}");
        interrupt(server);
    });
}

#[test]
fn get_fetches_from_python_under_each_impairment() {
    require!(Namespaces, Tun, Program("python3"));
    each(|spec, files, hash| {
        let rig = Rig::new(Attach::Tap);
        let _server = peer::serve_directory(&rig.kernel, "0.0.0.0:80".parse().unwrap(), files.dir()).unwrap();
        let out = format!("get.{spec}");
        let path = files.path(&out);
        let mut get = rig.command(&[
            "get",
            &url(KERNEL4, "data"),
            "--output",
            path.to_str().unwrap(),
            "--impair",
            spec,
        ]);
        rig.start(&mut get).finish(PATIENCE).unwrap().expect_success();
        assert!(files.take_hash(&out) == hash, "get got other bytes under {spec}");
    });
}
