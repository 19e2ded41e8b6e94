//! What the command says and does when the machine does not give what it needs, or takes it away:
//! one sentence, a status, no hang, nothing left behind.

mod interop;

use interop::files::Files;
use interop::{Attach, KERNEL4, LIMIT, OURS4, Rig, url, wirestack};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::thread;
use std::time::Duration;
use wirestack_lab::child::Finished;
use wirestack_lab::{Child, Namespace, require};

/// It failed with status 1 and one sentence in which all of `words` occur.
#[track_caller]
fn assert_sentence(outcome: &Finished, words: &[&str]) {
    assert_eq!(outcome.status.code(), Some(1), "{outcome:?}");
    assert!(!outcome.stderr.contains("panicked"), "{outcome:?}");
    // Before it there may be what it reported while all was well.
    let (last, before) = {
        let mut lines: Vec<&str> = outcome.stderr.lines().collect();
        (lines.pop().unwrap_or_default(), lines)
    };
    assert!(last.starts_with("wirestack: "), "{outcome:?}");
    assert!(!before.iter().any(|l| l.starts_with("wirestack: ")), "more than one sentence: {outcome:?}");
    for word in words {
        assert!(last.to_lowercase().contains(&word.to_lowercase()), "{word:?} is not in {last:?}");
    }
}

fn finish(child: Child) -> Finished {
    child.finish(LIMIT).unwrap()
}

/// The names of the interfaces in a namespace.
fn interfaces(ns: &Namespace) -> Vec<String> {
    let table = ns.run(|| std::fs::read_to_string("/proc/thread-self/net/dev")).unwrap();
    table.lines().skip(2).filter_map(|l| Some(l.split_once(':')?.0.trim().to_owned())).collect()
}

#[test]
fn without_privileges() {
    require!(Namespaces, Tun, Program("setpriv"));
    // The directories above the program under test may be closed to others.
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let program = dir.path().join("wirestack");
    std::fs::copy(env!("CARGO_BIN_EXE_wirestack"), &program).unwrap();
    for device in [["--tap", "tap0"], ["--packet", "lo"]] {
        let ns = Namespace::new().unwrap();
        // setpriv, because the child must enter the namespace before it gives its privileges up.
        let mut as_nobody = Command::new("setpriv");
        as_nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]);
        as_nobody.arg(&program).args(["get", &url(KERNEL4, "x"), "--address", "10.1.0.2/24"]);
        as_nobody.args(["--output", "/dev/null"]).args(device);
        let outcome = finish(ns.spawn(&mut as_nobody).unwrap());
        assert_sentence(&outcome, &["run as root"]);
        assert_eq!(interfaces(&ns), ["lo"]);
    }
}

#[test]
fn without_a_tun_device() {
    require!(Namespaces, Tun, Program("unshare"), Program("mount"));
    // A mount namespace in which /dev/net is empty.
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c"]);
    command.arg("mount -t tmpfs none /dev/net && exec \"$@\"").arg("sh");
    command.arg(env!("CARGO_BIN_EXE_wirestack"));
    command.args([
        "get",
        &url(KERNEL4, "x"),
        "--tap",
        "tap0",
        "--address",
        "10.1.0.2/24",
        "--output",
        "/dev/null",
    ]);
    let ns = Namespace::new().unwrap();
    let outcome = finish(ns.spawn(&mut command).unwrap());
    assert_sentence(&outcome, &["/dev/net/tun"]);
}

#[test]
fn the_name_is_taken() {
    require!(Namespaces, Tun);
    let files = Files::new();
    let rig = Rig::new(Attach::Tap);
    let _first = rig.serve(files.dir(), &[]);
    let second = rig.start(&mut rig.command(&["serve", files.dir().to_str().unwrap()]));
    assert_sentence(&finish(second), &["tap0", "busy"]);
    // The first is not hurt: its directory listing comes.
    rig.curl(&["--output", "/dev/null", &url(OURS4, "")], LIMIT);

    // An interface of that name that is no TAP.
    let ns = Namespace::new().unwrap();
    ns.add_veth("tap0", &ns, "other").unwrap();
    let mut command = rig.command(&["serve", files.dir().to_str().unwrap()]);
    assert_sentence(&finish(ns.spawn(&mut command).unwrap()), &["tap0"]);
    assert_eq!(interfaces(&ns).len(), 3, "the interface of somebody else was touched");
}

#[test]
fn no_such_interface() {
    require!(Namespaces);
    let ns = Namespace::new().unwrap();
    let mut command = wirestack(&["serve", "/", "--packet", "nosuch0", "--address", "10.1.0.2/24"]);
    assert_sentence(&finish(ns.spawn(&mut command).unwrap()), &["nosuch0"]);
}

#[test]
fn the_port_is_refused_and_the_host_does_not_answer() {
    require!(Namespaces, Tun);
    let rig = Rig::new(Attach::Tap);
    let get = |url: &str| finish(rig.start(&mut rig.command(&["get", url, "--output", "/dev/null"])));
    assert_sentence(&get(&url(KERNEL4, "x")), &["10.1.0.1", "refused"]);
    assert_eq!(interfaces(&rig.kernel), ["lo"], "the TAP was left behind");
    // Nobody has this address: ARP gives up after some seconds (EHOSTUNREACH).
    assert_sentence(&get("http://10.1.0.9/x"), &["10.1.0.9"]);
    assert_eq!(interfaces(&rig.kernel), ["lo"], "the TAP was left behind");
}

#[test]
fn the_interface_is_deleted_in_the_middle() {
    require!(Namespaces, Tun);
    let files = Files::new();
    for attach in [Attach::Tap, Attach::Packet] {
        // A server without anything to do.
        let rig = Rig::new(attach);
        let server = rig.serve(files.dir(), &[]);
        let link = if attach == Attach::Tap { "tap0" } else { "k0" };
        rig.kernel.link(link).delete().unwrap();
        assert_sentence(&finish(server), &[if attach == Attach::Tap { "tap0" } else { "w0" }]);

        // A transfer that waits for data.
        let rig = Rig::new(attach);
        let listener = rig.kernel.run(|| TcpListener::bind("0.0.0.0:80")).unwrap();
        let get = rig.start(&mut rig.command(&["get", &url(KERNEL4, "x"), "--output", "/dev/null"]));
        let (_stream, from) = listener.accept().unwrap();
        assert_eq!(from.ip(), OURS4);
        rig.kernel.link(link).delete().unwrap();
        assert_sentence(&finish(get), &[if attach == Attach::Tap { "tap0" } else { "w0" }]);
        assert_eq!(interfaces(&rig.kernel), ["lo"]);
    }
}

#[test]
fn the_namespace_of_the_peer_is_gone() {
    require!(Namespaces);
    let files = Files::new();
    let mut rig = Rig::new(Attach::Packet);
    let server = rig.serve(files.dir(), &[]);
    rig.kernel = Namespace::new().unwrap();
    assert_sentence(&finish(server), &["w0"]);
}

/// A download from a server that has said nothing yet when the wire is cut.
fn cut_off_download() -> (Rig, TcpListener, Child) {
    let rig = Rig::new(Attach::Packet);
    let listener = rig.kernel.run(|| TcpListener::bind("0.0.0.0:80")).unwrap();
    let get = rig.start(&mut rig.command(&["get", &url(KERNEL4, "x"), "--output", "/dev/null"]));
    // The connection stays in the listener's queue.
    let (stream, _) = listener.accept().unwrap();
    rig.kernel.link("k0").down().unwrap();
    drop(stream);
    (rig, listener, get)
}

#[test]
fn the_peer_falls_silent_and_ctrl_c_ends_it() {
    require!(Namespaces);
    let (_rig, _listener, get) = cut_off_download();
    thread::sleep(Duration::from_millis(300));
    get.signal(rustix::process::Signal::INT).unwrap();
    let outcome = get.finish(Duration::from_secs(10)).unwrap();
    assert_eq!(outcome.status.code(), Some(130), "128 + SIGINT: {outcome:?}");
    assert!(!outcome.stderr.contains("panicked"), "{outcome:?}");
}

#[test]
fn the_peer_falls_silent_and_the_command_gives_up() {
    require!(Namespaces);
    let (_rig, _listener, get) = cut_off_download();
    // It waits a minute for data, and a few seconds for the end of its connection.
    let outcome = get.finish(Duration::from_secs(90)).unwrap();
    assert_eq!(outcome.status.code(), Some(1), "{outcome:?}");
    assert!(!outcome.stderr.contains("panicked"), "{outcome:?}");
    assert!(outcome.stderr.contains("10.1.0.1"), "{outcome:?}");
}

#[test]
fn ctrl_c_leaves_nothing_and_closes_connections() {
    require!(Namespaces, Tun);
    let files = Files::new();
    let rig = Rig::new(Attach::Tap);
    let server = rig.serve(files.dir(), &[]);
    let mut stream =
        rig.kernel.run(|| std::net::TcpStream::connect_timeout(&SocketAddr::new(OURS4, 80), LIMIT)).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    interop::interrupt(server);
    // The end of the stream or a reset, but not silence.
    let read = std::io::Read::read(&mut stream, &mut [0; 16]);
    assert!(
        matches!(&read, Ok(0)) || matches!(&read, Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset),
        "{read:?}"
    );
    assert_eq!(interfaces(&rig.kernel), ["lo"]);
}

#[test]
fn killed_it_leaves_nothing() {
    require!(Namespaces, Tun);
    let files = Files::new();
    let rig = Rig::new(Attach::Tap);
    drop(rig.serve(files.dir(), &[]));
    assert_eq!(interfaces(&rig.kernel), ["lo"]);
}

#[test]
fn the_command_line_makes_no_sense() {
    for args in [
        &["serve", "/", "--tap", "tap0", "--address", "10.1.0.2"][..],
        &["serve", "/", "--tap", "tap0", "--address", "10.1.0.300/24"],
        &["serve", "/", "--tap", "tap0", "--address", "10.1.0.2/24", "--port", "65536"],
        &["serve", "/", "--tap", "tap0", "--address", "10.1.0.2/24", "--impair", "los=1%"],
        &["serve", "/", "--tap", "tap0", "--packet", "lo", "--address", "10.1.0.2/24"],
    ] {
        let outcome = finish(Child::start(&mut wirestack(args)).unwrap());
        assert_eq!(outcome.status.code(), Some(2), "{args:?}: {outcome:?}");
        assert!(outcome.stderr.contains("error:"), "{args:?}: {outcome:?}");
    }
}
