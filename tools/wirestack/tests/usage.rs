//! What people get who type something wrong, or may not do what they ask for: one sentence that says
//! what to do, and the right exit status. Nothing here needs privileges.

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;

const DEVICE: [&str; 2] = ["--tap", "never-made"];
const ADDRESS: [&str; 2] = ["--address", "10.0.0.2/24"];

fn wirestack(args: &[&str]) -> assert_cmd::assert::Assert {
    Command::new(env!("CARGO_BIN_EXE_wirestack")).args(args).assert()
}

/// Runs a command with a device and an address that are right.
fn with_device(args: &[&str]) -> assert_cmd::assert::Assert {
    wirestack(&[args, &DEVICE, &ADDRESS].concat())
}

#[test]
fn without_a_command_there_is_help() {
    wirestack(&[]).code(2).stderr(contains("demo").and(contains("serve")).and(contains("wirestack ss -a")));
    wirestack(&["--version"]).success().stdout(contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn exactly_one_device() {
    let ping = ["ping", "10.0.0.1", "--address", "10.0.0.2/24"];
    wirestack(&ping).code(2).stderr(contains("--tap").and(contains("--packet")));
    let both = [&ping[..], &["--tap", "a", "--packet", "b"]].concat();
    wirestack(&both).code(2).stderr(contains("cannot be used with"));
}

#[test]
fn addresses_are_checked_before_anything_is_opened() {
    let no_address = [&["ping", "10.0.0.1"][..], &DEVICE].concat();
    wirestack(&no_address).code(2).stderr(contains("--address"));
    for (args, says) in [
        (&["--address", "10.0.0.300/24"][..], "such as 10.0.0.2/24 or fd00::2/64"),
        (&["--address", "10.0.0.3"], "with a prefix length"),
        (&["--address", "10.0.0.3/33"], "with a prefix length"),
        (&["--address", "224.0.0.1/24"], "cannot be the address of a host"),
        (&["--address", "10.0.0.2/16"], "given twice"),
        (&["--gateway", "10.0.1.1"], "in the network of none of the addresses"),
        (&["--gateway", "10.0.0.1", "--gateway", "10.0.0.3"], "one gateway for IPv4"),
        (&["--peer-address", "10.0.0.2/24"], "both the stack and the kernel's end"),
        (&["--address", "fd00::2/64", "--mtu", "1000"], "at least 1280"),
        (&["--mtu", "100"], "576..=65521"),
        (&["--mac", "01:00:5e:00:00:01"], "group address"),
        (&["--mac", "2:0:0"], "such as 02:00:00:00:00:01"),
        (&["--impair", "los=1%"], "there is no impairment \"los\""),
        (&["--impair", "loss=200%"], "loss"),
    ] {
        with_device(&[&["ping", "10.0.0.1"], args].concat()).code(2).stderr(contains(says));
    }
}

#[test]
fn what_is_to_be_served_must_be_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    with_device(&["serve", "/no/such/dir"]).code(2).stderr(contains("there is no directory /no/such/dir"));
    with_device(&["serve", file.to_str().unwrap()]).code(2).stderr(contains("is not a directory"));
    with_device(&["serve", "/", "--port", "0"]).code(2).stderr(contains("1..=65535"));
}

#[test]
fn get_wants_an_http_url_and_does_not_overwrite() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("taken"), "precious").unwrap();
    with_device(&["get", "https://10.0.0.1/"]).code(2).stderr(contains("only http"));
    with_device(&["get", "10.0.0.1/x", "-C", "-o", "-"]).code(2).stderr(contains("needs a file"));
    Command::new(env!("CARGO_BIN_EXE_wirestack"))
        .args([&["get", "http://10.0.0.1/taken"][..], &DEVICE, &ADDRESS].concat())
        .current_dir(dir.path())
        .assert()
        .code(1)
        .stderr(contains("taken exists: give --continue to complete it"));
    assert_eq!(fs::read(dir.path().join("taken")).unwrap(), b"precious");
}

#[test]
fn nc_and_ping_check_what_they_are_given() {
    for (args, says) in [
        (&["nc", "10.0.0.1"][..], "give HOST and PORT"),
        (&["nc", "10.0.0.1", "http"], "\"http\" is not a port"),
        (&["nc", "-l", "0"], "\"0\" is not a port"),
        (&["nc", "fd00::1", "1"], "not an address of the family"),
        (&["nc", "-6", "fd00::1", "1"], "no --address of the family"),
        (&["nc", "-k", "1"], "--listen"),
        (&["ping", "fd00::1"], "not an address of the family"),
        (&["ping", "10.0.0.1", "-c", "0"], "0"),
        (&["ping", "10.0.0.1", "-i", "0"], "0.001 to 86400"),
        (&["ping", "10.0.0.1", "-s", "65508"], "65508"),
    ] {
        with_device(args).code(2).stderr(contains(says));
    }
    with_device(&["ping", "no.such.host.invalid"]).code(1).stderr(contains("/etc/hosts"));
}

#[test]
fn ss_without_an_instance() {
    wirestack(&["ss", "--pid", "1"]).code(1).stderr(contains("process 1 is no running wirestack"));
    wirestack(&["ss", "-a"]).success().stdout(contains("Netid").and(contains("Local Address:Port")));
}

#[test]
fn demo_in_memory_shows_a_life_and_leaves_a_capture() {
    let dir = tempfile::tempdir().unwrap();
    Command::new(env!("CARGO_BIN_EXE_wirestack"))
        .args(["demo", "--memory", "--seed", "1", "--size", "200K"])
        .current_dir(dir.path())
        .assert()
        .success()
        .stdout(
            contains("--memory was given")
                .and(contains("SYN-SENT      ├─ SYN seq 0"))
                .and(contains("ESTABLISHED"))
                .and(contains("again: "))
                .and(contains("TIME-WAIT"))
                .and(contains("equal").count(2))
                .and(contains('\u{1b}').not()),
        );
    let capture = fs::read(dir.path().join("demo.pcapng")).unwrap();
    // A Section Header Block in either byte order, and both files in it.
    assert!(capture.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]) && capture.len() > 400_000);
}

#[test]
fn demo_checks_its_arguments() {
    wirestack(&["demo", "--size", "257M"]).code(2).stderr(contains("1 octet to 256M"));
    wirestack(&["demo", "--impair", "nonsense"]).code(2).stderr(contains("nonsense"));
    wirestack(&["demo", "--memory", "--capture", "/no/such/dir/x"])
        .code(1)
        .stderr(contains("cannot write the capture /no/such/dir/x: No such file or directory"));
}

/// The program as an ordinary user, in `dir`; `None` where that user cannot reach the program.
fn as_nobody(dir: &Path, args: &[&str]) -> Option<std::process::Output> {
    let program = dir.join("wirestack");
    fs::copy(env!("CARGO_BIN_EXE_wirestack"), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(dir, fs::Permissions::from_mode(0o777)).unwrap();
    let mut command = std::process::Command::new(&program);
    command.args(args).current_dir(dir).env_remove("XDG_RUNTIME_DIR");
    if rustix::process::getuid().is_root() {
        command.uid(65_534).gid(65_534);
    }
    match command.output() {
        Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => {
            assert!(std::env::var_os("CI").is_none(), "an ordinary user cannot run {}", program.display());
            println!("skipped: an ordinary user cannot run {}", program.display());
            None
        }
        other => Some(other.unwrap()),
    }
}

#[test]
fn without_privileges_the_demo_runs_in_memory_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let Some(output) = as_nobody(dir.path(), &["demo", "--size", "64K"]) else { return };
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let first = text.lines().next().unwrap();
    assert!(first.starts_with("Both ends are stacks of ours") && first.contains("no permission"), "{first}");
    assert_eq!(text.matches("equal").count(), 2, "{text}");
}

#[test]
fn without_privileges_a_tap_is_refused_in_one_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let args = [&["ping", "10.0.0.1", "-c", "1"][..], &DEVICE, &ADDRESS].concat();
    let Some(output) = as_nobody(dir.path(), &args) else { return };
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("run as root"), "{text}");
}
