use super::*;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

/// Sends `request`, ends the sending side, and gives all that comes back, with the access log.
fn dialogue(request: &[u8], limits: Limits, half_close: bool) -> (String, Vec<Access>) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a"), "alpha").unwrap();
    std::fs::write(dir.path().join("big"), vec![b'b'; 3 * super::super::response::CHUNK + 5]).unwrap();
    let site = Site::open(dir.path()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    let server = thread::spawn(move || {
        let mut log = Vec::new();
        converse(&mut stream, &site, &limits, &mut |a| log.push(a.clone())).unwrap();
        log
    });
    client.write_all(request).unwrap();
    if half_close {
        client.shutdown(Shutdown::Write).unwrap();
    }
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    drop(client);
    (String::from_utf8(answer).unwrap(), server.join().unwrap())
}

fn statuses(answer: &str) -> Vec<u16> {
    answer.match_indices("HTTP/1.1 ").map(|(i, _)| answer[i + 9..i + 12].parse().unwrap()).collect()
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let (answer, log) = dialogue(
        b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nHEAD /a HTTP/1.1\r\nHost: x\r\n\r\nGET /none HTTP/1.1\r\nHost: x\r\n\r\n\
          GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\nGET /never HTTP/1.1\r\nHost: x\r\n\r\n",
        Limits::default(),
        false,
    );
    assert_eq!(statuses(&answer), [200, 200, 404, 200]);
    assert_eq!(answer.matches("alpha").count(), 2);
    assert_eq!(answer.matches("Content-Length: 5\r\n").count(), 3);
    assert!(answer.ends_with("Connection: close\r\n\r\nalpha"));
    assert_eq!(log.iter().map(|a| a.sent).collect::<Vec<_>>()[..2], [5, 0]);
    assert_eq!(log[2].request, "GET /none");
}

#[test]
fn a_large_file_arrives_whole() {
    let (answer, log) = dialogue(b"GET /big HTTP/1.0\r\n\r\n", Limits::default(), true);
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    assert_eq!(body.len() as u64, log[0].sent);
    assert!(body.bytes().all(|b| b == b'b') && body.len() == 3 * (256 << 10) + 5);
}

#[test]
fn bodies_of_requests_are_read_past() {
    let (answer, _) = dialogue(
        b"GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcPOST /a HTTP/1.1\r\nHost: x\r\n\
          Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n",
        Limits::default(),
        true,
    );
    assert_eq!(statuses(&answer), [200, 405, 200]);
    assert!(answer.contains("Allow: GET, HEAD\r\n"));
}

#[test]
fn a_client_that_waits_is_told_to_continue() {
    let (answer, _) = dialogue(
        b"GET /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
        Limits::default(),
        true,
    );
    assert_eq!(statuses(&answer), [100, 200]);
}

#[test]
fn what_cannot_be_read_is_answered_and_the_connection_closed() {
    let long = format!("GET /{} HTTP/1.1\r\n", "a".repeat(9000));
    let fat = format!("GET / HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n", "a".repeat(40_000));
    for (request, status) in [
        ("nonsense\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: x\r\n", 400),
        (&long, 414),
        (&fat, 431),
        ("GET / HTTP/3.0\r\n\r\n", 505),
        ("PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n", 413),
        ("PUT /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
        ("PUT /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: br\r\n\r\n", 501),
    ] {
        let (answer, log) = dialogue(request.as_bytes(), Limits::default(), true);
        assert_eq!(statuses(&answer), [status], "{}", &request[..request.len().min(60)]);
        assert!(answer.contains("Connection: close\r\n"), "{answer}");
        assert_eq!(log.len(), 1);
    }
}

#[test]
fn a_slow_request_is_told_so_and_a_silent_client_is_not() {
    let limits = || Limits {
        head: HeadLimits { time: Duration::from_millis(50), ..HeadLimits::default() },
        idle: Duration::from_millis(50),
        linger: (Duration::from_millis(50), 1 << 20),
        ..Limits::default()
    };
    assert_eq!(statuses(&dialogue(b"GET / HT", limits(), false).0), [408]);
    assert_eq!(dialogue(b"", limits(), false).0, "");
}
