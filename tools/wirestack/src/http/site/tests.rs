use super::*;
use std::fs;
use std::io::Read;

struct Dir {
    _keep: tempfile::TempDir,
    site: Site,
}

fn dir() -> Dir {
    let keep = tempfile::tempdir().unwrap();
    let root = keep.path().join("www");
    fs::create_dir_all(root.join("sub/with index")).unwrap();
    fs::write(root.join("a.txt"), "0123456789").unwrap();
    fs::write(root.join("sub/with index/index.html"), "<p>").unwrap();
    fs::write(root.join("100% #?.txt"), "odd").unwrap();
    fs::write(keep.path().join("secret"), "secret").unwrap();
    std::os::unix::fs::symlink("../secret", root.join("out")).unwrap();
    std::os::unix::fs::symlink(keep.path(), root.join("up")).unwrap();
    std::os::unix::fs::symlink("a.txt", root.join("in")).unwrap();
    rustix::fs::mknodat(CWD, root.join("fifo"), rustix::fs::FileType::Fifo, 0o644.into(), 0).unwrap();
    let site = Site::open(&root).unwrap();
    Dir { _keep: keep, site }
}

fn ask(dir: &Dir, target: &str, fields: &str) -> Response {
    let head = format!("GET {target} HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
    dir.site.answer(&Request::parse(head.as_bytes(), 20).unwrap())
}

fn body(response: Response) -> String {
    let mut out = Vec::new();
    response.send(&mut out, true, true).unwrap();
    let text = String::from_utf8(out).unwrap();
    text.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[test]
fn nothing_outside_is_served() {
    let dir = dir();
    for target in [
        "/../secret",
        "/%2e%2e/secret",
        "/sub/../../secret",
        "/sub/%2e%2e/%2E%2E/secret",
        "/..%2fsecret",
        "/out",
        "/up/secret",
        "/up/",
        "/fifo",
        "/a.txt/",
        "/a.txt/x",
        "/%00",
        "/a.txt%00.html",
        "http://host/../secret",
    ] {
        let response = ask(&dir, target, "");
        assert!(matches!(response.status, 400 | 404), "{target} gave {}", response.status);
        assert!(!body(response).contains("secret\n"), "{target}");
    }
    assert_eq!(ask(&dir, "*", "").status, 400);
    let listing = body(ask(&dir, "/", ""));
    assert!(!listing.contains("\"./out\"") && !listing.contains("\"./up/\""), "{listing}");
}

#[test]
fn names_are_decoded_and_links_inside_work() {
    let dir = dir();
    assert_eq!(body(ask(&dir, "/a.txt", "")), "0123456789");
    assert_eq!(body(ask(&dir, "//./a.txt?query#x", "")), "0123456789");
    assert_eq!(body(ask(&dir, "HTTP://some.host:80/a.txt", "")), "0123456789");
    assert_eq!(body(ask(&dir, "/in", "")), "0123456789");
    assert_eq!(body(ask(&dir, "/100%25%20%23%3f.txt", "")), "odd");
    assert_eq!(ask(&dir, "/a.txt", "").get("Content-Type"), Some("text/plain; charset=utf-8"));
}

#[test]
fn directories_are_listed_or_show_their_index() {
    let dir = dir();
    let listing = body(ask(&dir, "/", ""));
    assert!(listing.contains("href=\"./100%25%20%23%3F.txt\""), "{listing}");
    assert!(listing.contains("href=\"./sub/\""));
    assert_eq!(body(ask(&dir, "/sub/with%20index/", "")), "<p>");
    let moved = ask(&dir, "//sub/with%20index", "");
    assert_eq!((moved.status, moved.get("Location")), (301, Some("/sub/with%20index/")));
}

#[test]
fn ranges_single_several_and_none() {
    let dir = dir();
    let one = ask(&dir, "/a.txt", "Range: bytes=2-4\r\n");
    assert_eq!((one.status, one.get("Content-Range")), (206, Some("bytes 2-4/10")));
    assert_eq!(body(one), "234");
    let two = ask(&dir, "/a.txt", "Range: bytes=0-1,-1\r\n");
    assert_eq!(two.status, 206);
    let length = two.body.len();
    let text = body(two);
    assert_eq!(text.len() as u64, length);
    assert!(text.contains("Content-Range: bytes 0-1/10\r\n\r\n01\r\n--"), "{text}");
    assert!(text.contains("Content-Range: bytes 9-9/10\r\n\r\n9\r\n--"), "{text}");
    let none = ask(&dir, "/a.txt", "Range: bytes=10-\r\n");
    assert_eq!((none.status, none.get("Content-Range")), (416, Some("bytes */10")));
}

#[test]
fn a_client_that_has_the_file_does_not_get_it_again() {
    let dir = dir();
    let first = ask(&dir, "/a.txt", "");
    let tag = first.get("ETag").unwrap().to_owned();
    let date = first.get("Last-Modified").unwrap().to_owned();
    for (fields, status) in [
        (format!("If-None-Match: \"x\", {tag}\r\n"), 304),
        (format!("If-None-Match: W/{tag}\r\n"), 304),
        ("If-None-Match: *\r\n".into(), 304),
        (format!("If-None-Match: \"x\"\r\nIf-Modified-Since: {date}\r\n"), 200),
        (format!("If-Modified-Since: {date}\r\n"), 304),
        ("If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT\r\n".into(), 200),
        ("If-Modified-Since: rubbish\r\n".into(), 200),
        (format!("Range: bytes=0-0\r\nIf-Range: {tag}\r\n"), 206),
        ("Range: bytes=0-0\r\nIf-Range: \"other\"\r\n".into(), 200),
        ("Range: bytes=0-0\r\nIf-Range: Thu, 01 Jan 1970 00:00:00 GMT\r\n".into(), 200),
    ] {
        assert_eq!(ask(&dir, "/a.txt", &fields).status, status, "{fields:?}");
    }
    let mut sent = Vec::new();
    ask(&dir, "/a.txt", "If-None-Match: *\r\n").send(&mut sent, true, true).unwrap();
    assert!(sent.ends_with(b"\r\n\r\n") && !sent.windows(14).any(|w| w == b"Content-Length"));
}

#[test]
fn a_file_that_shrinks_is_an_error_not_a_short_answer() {
    let dir = dir();
    let response = ask(&dir, "/a.txt", "");
    let Body::File(file, _) = &response.body else { panic!("a file") };
    let mut content = String::new();
    (&*file).read_to_string(&mut content).unwrap();
    fs::write(dir._keep.path().join("www/a.txt"), "0").unwrap();
    let error = response.send(&mut Vec::new(), true, true).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}
