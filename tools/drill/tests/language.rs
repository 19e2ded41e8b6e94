//! The language: what is refused and where the finger points; what a run finds and what it overlooks.

use wirestack_drill::run::{Report, RunOptions, run};
use wirestack_drill::script::{ScriptError, Settings, parse};

fn try_run(text: &str) -> Result<Report, Box<ScriptError>> {
    let script = parse("x.pkt", text, &[], &Settings::default())?;
    run(&script, &RunOptions { strict: true, ..RunOptions::default() })
}

fn place(text: &str) -> (u32, u32, String) {
    let e = try_run(text).expect_err("this must fail");
    (e.pos.line, e.pos.column, e.message)
}

const OPEN: &str = "\
0  socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
+0 < S 0:0(0) win 65535 <mss 1000>
+0 > S. 0:0(0) ack 1 <mss 1460>
+.1 < . 1:1(0) ack 1 win 65535
+0 accept(3, ..., ...) = 4
";

#[test]
fn a_fault_in_the_text_is_shown_where_it_stands() {
    for (text, line, column, words) in [
        ("0 < S 0:0(0) win 1 <mss 1460,foo>", 1, 30, "expected an option"),
        ("0 < S 0:10(0) win 1", 1, 7, "0:10 does not have 0 octets"),
        ("0 < Q 0:0(0) win 1", 1, 5, "expected control bits"),
        ("0 < . 1:1(0) ack win 1", 1, 18, "expected an acknowledgment number"),
        ("0 < . 1:1(0) ack 1 win 70000", 1, 24, "a window from 0 to 65535 is out of range"),
        ("\n\n  bind(3) = 0", 3, 3, "expected a time"),
        ("0 socket(..., SOCK_STREAM", 1, 26, "expected \",\" or \")\", found the end of the file"),
        ("0 listen(3, 1) = -1 EWHAT (no)", 1, 21, "EWHAT is no errno"),
        ("0.5...0.2 close(3) = 0", 1, 10, "ends before it begins"),
        ("0...0.2 > . 1:1(0)", 1, 1, "only a system call has a duration"),
        ("--nonsense=1\n", 1, 1, "unknown option --nonsense"),
        ("--ip_version=ipv5\n", 1, 1, "--ip_version is ipv4"),
        ("0 %{ assert 1", 1, 3, "is not closed by"),
        ("0 < ipv4 1.2.3.4 > 5.6.7.8", 1, 5, "packets inside ipv4 are not supported"),
        ("0 < . 1:1(0) ack 1 win 1 <...>", 1, 27, "needs its options written out"),
    ] {
        let found = place(text);
        assert_eq!((found.0, found.1), (line, column), "{text}: {}", found.2);
        assert!(found.2.contains(words), "{text}: {}", found.2);
    }
}

#[test]
fn every_field_of_a_packet_is_compared() {
    let answer = "+0 write(4, ..., 10) = 10\n";
    assert!(try_run(&format!("{OPEN}{answer}+0 > P. 1:11(10) ack 1 win 64240\n")).is_ok());
    for (packet, words) in [
        (". 1:11(10) ack 1", "flags P. (the script wants .)"),
        ("P. 2:12(10) ack 1", "seq 1 (the script wants 2)"),
        ("P. 1:10(9) ack 1", "octets 10 (the script wants 9)"),
        ("P. 1:11(10) ack 2", "ack 1 (the script wants 2)"),
        ("P. 1:11(10) ack 1 win 5", "win 64240 (the script wants 5)"),
        ("P. 1:11(10) ack 1 <nop>", "options <> (the script wants <nop>)"),
        ("[ce] P. 1:11(10) ack 1", "ECN mark noecn (the script wants ce)"),
        ("[ttl 9] P. 1:11(10) ack 1", "ttl 64 (the script wants 9)"),
        ("8080 > 9 P. 1:11(10) ack 1", "ports 8080 > 40001 (the script wants 8080 > 9)"),
        ("udp (10)", "another protocol"),
        ("P. 1:21(20) ack 1", "octets 10 (the script wants 20)"),
    ] {
        let (line, _, message) = place(&format!("{OPEN}{answer}+0 > {packet}\n"));
        assert_eq!(line, 9, "{packet}");
        assert!(message.contains(words), "{packet}: {message}");
    }
}

#[test]
fn time_is_compared() {
    let sent = "+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 1\n";
    // The RTO is 300 ms.
    for good in ["+.3", "+.303", "+.298", "+.2~+.4", "*", ".4", ".1~.5"] {
        assert!(try_run(&format!("{OPEN}{sent}{good} > P. 1:11(10) ack 1\n")).is_ok(), "{good}");
    }
    for (bad, words) in [
        ("+.31", "10.000 ms too early"),
        ("+.29", "no packet came by 0.394000"),
        ("+.31~+.4", "10.000 ms too early"),
        (".2", "no packet came by 0.204000"),
    ] {
        let message = place(&format!("{OPEN}{sent}{bad} > P. 1:11(10) ack 1\n")).2;
        assert!(message.contains(words), "{bad}: {message}");
    }
}

#[test]
fn an_unexpected_packet_is_found() {
    let message = place(&format!("{OPEN}+0 write(4, ..., 10) = 10\n")).2;
    assert!(message.contains("that no line expects: P. 1:11(10) ack 1"), "{message}");
    let message = place(&format!("{OPEN}+0 write(4, ..., 10) = 10\n+.1 < . 1:1(0) ack 11 win 9\n")).2;
    assert!(message.contains("that no line expects"), "{message}");
}

#[test]
fn calls_are_compared_with_their_results() {
    for (call, words) in [
        ("+0 listen(3, 1) = 5", "listen returned 0, the script wants 5"),
        ("+0 read(9, ..., 5) = 0", "read returned -1 EBADF"),
        ("+0 accept(3, ..., ...) = -1 EAGAIN (x)", "accept blocks"),
        ("+0 read(4, ..., 5) = 0", "read blocks: its time wants a duration"),
        ("+0...0.5 read(4, ..., 5) = 0", "read did not return by 0.604000"),
        ("+0 setsockopt(4, SOL_TCP, TCP_FASTOPEN, [1], 4) = 0", "TCP_FASTOPEN is not supported"),
        ("+0 fork() = 0", "the system call fork is not supported"),
        ("+0 getsockopt(4, SOL_TCP, TCP_NODELAY, [1], [4]) = 0", "the value is 0, the script wants 1"),
        ("+0 poll([{fd=4, events=POLLOUT, revents=0}], 1, 0) = 1", "revents is OUT, the script wants 0"),
        ("+0 socket(..., SOCK_STREAM, 0) = 4", "descriptor 4 is open already"),
        (
            "+0 getpeername(4, {sa_family=AF_INET, sin_port=htons(1)}, [16]) = 0",
            "the script wants 192.0.2.1:1",
        ),
    ] {
        let (line, _, message) = place(&format!("{OPEN}{call}\n"));
        assert_eq!(line, 8);
        assert!(message.contains(words), "{call}: {message}");
    }
}

#[test]
fn a_blocking_call_returns_when_the_script_says() {
    let script = |end: &str| {
        format!(
            "{OPEN}+0...{end} read(4, ..., 100) = 10\n+.2 < P. 1:11(10) ack 1 win 9\n+0 > . 1:1(0) ack 11\n"
        )
    };
    assert!(try_run(&script("0.2")).is_ok());
    let message = place(&script("0.3")).2;
    assert!(message.contains("read returned at 0.300000, the script wants 0.400000"), "{message}");
}

#[test]
fn assertions_see_tcp_info_and_fail_on_their_line() {
    assert!(try_run(&format!("{OPEN}+0 %{{ assert tcpi_snd_cwnd == 10 }}%\n")).is_ok());
    let (line, _, message) =
        place(&format!("{OPEN}+0 %{{\nassert tcpi_snd_cwnd == 10\nassert tcpi_rtt < 5\n}}%\n"));
    assert_eq!(line, 10);
    assert!(message.contains("(tcpi_rtt is 100000)"), "{message}");
}

#[test]
fn python_runs_what_is_more_than_an_assertion() {
    if std::process::Command::new("python3").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "python3 is missing");
        eprintln!("skipped: python3 is missing");
        return;
    }
    let code = |n: u32| {
        format!(
            "{OPEN}+0 %{{\n  def f(x):\n    return x * 2\n  for i in range(3):\n    assert f(tcpi_snd_cwnd) == {n}, i\n}}%\n"
        )
    };
    assert!(try_run(&code(20)).is_ok());
    let (line, _, message) = place(&code(21));
    assert_eq!(line, 12, "{message}");
    assert!(message.contains("AssertionError"), "{message}");
}

#[test]
fn defines_comments_and_blanks_are_taken_in_stride() {
    let text = format!(
        "--define=SIZE=10\n--tolerance_usecs=8000\n--init_scripts=a.sh\n// one\n# two\n/* three\n   lines */\n{OPEN}\
         +0 write(4, ..., SIZE) = SIZE // after\n+0 > P. 1:11(SIZE)\n   ack 1 /* on the next line */\n"
    );
    let report = try_run(&text).expect("passes");
    assert_eq!(report.notes, ["ignored: --init_scripts"]);
}

#[test]
fn large_packets_are_put_together_from_segments() {
    let script = |last: &str| format!("{OPEN}+0 write(4, ..., 5500) = 5500\n{last}");
    assert!(try_run(&script("+0 > P. 1:5501(5500) ack 1\n")).is_ok());
    assert!(try_run(&script("+0 > . 1:3001(3000) ack 1\n+0 > P. 3001:5501(2500) ack 1\n")).is_ok());
    let message = place(&script("+0 > P. 1:3001(3000) ack 1\n+0 > P. 3001:5501(2500) ack 1\n")).2;
    assert!(message.contains("flags . (the script wants P.)"), "{message}");
    assert!(place(&script("+0 > P. 1:2501(2500) ack 1\n")).2.contains("octets 3000"), "cut in a segment");
}
