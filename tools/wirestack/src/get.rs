//! `wirestack get`: a file by HTTP.

use crate::error::{Doing, Failure, Outcome, text};
use crate::flags::Flags;
use crate::host::{self, Families};
use crate::http::body::BodyReader;
use crate::http::client::{self, Answer};
use crate::interrupt;
use crate::progress::Progress;
use crate::setup::Session;
use clap::Args;
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, IsTerminal, Read, Seek, SeekFrom, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use url::Url;
use wirestack::net::TcpStream;

const REDIRECTS: usize = 10;
const CONNECT: Duration = Duration::from_secs(30);
/// How long the server may be silent.
const SILENCE: Duration = Duration::from_secs(60);
const CHUNK: usize = 256 << 10;

/// Fetch a file by HTTP
#[derive(Debug, Args)]
pub struct Get {
    /// Where it is: http://HOST[:PORT]/PATH, the host an IP address or a name in /etc/hosts
    #[arg(value_parser = parse_url)]
    url: Url,
    /// Write to this file; - is standard output [default: the last part of the URL]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Go on where a former attempt stopped
    #[arg(short = 'C', long = "continue")]
    resume: bool,
    /// Print the SHA-256 of the whole file
    #[arg(long)]
    sha256: bool,
    #[command(flatten)]
    flags: Flags,
}

fn parse_url(s: &str) -> Result<Url, String> {
    let with_scheme = if s.contains("://") { s.to_owned() } else { format!("http://{s}") };
    let url = Url::parse(&with_scheme).map_err(|e| e.to_string())?;
    if url.scheme() != "http" {
        return Err(format!("{} is not spoken here, only http", url.scheme()));
    }
    Ok(url)
}

/// Where the octets go.
enum Target {
    Stdout,
    File { path: PathBuf, have: u64 },
}

/// Fetches the file.
pub fn run(args: &Get) -> Outcome {
    let target = target(args)?;
    let session = Session::start(&args.flags, "get")?;
    let result = fetch(args, &session, &target);
    let interrupted = session.interrupt.is_set();
    let ended = session.end();
    if interrupted && result.is_err() {
        eprintln!("wirestack: interrupted; `get --continue` goes on from here");
        std::process::exit(i32::from(interrupt::STATUS));
    }
    result.and(ended)
}

fn target(args: &Get) -> Outcome<Target> {
    let path = match &args.output {
        Some(path) if path.as_os_str() == "-" => {
            if args.resume {
                return Err(Failure::usage("--continue needs a file to go on with, not standard output"));
            }
            return Ok(Target::Stdout);
        }
        Some(path) => path.clone(),
        None => {
            let path = file_name(&args.url);
            if !args.resume && path.exists() {
                return Err(Failure::new(format!(
                    "{} exists: give --continue to complete it, or --output to say where to write",
                    path.display()
                )));
            }
            path
        }
    };
    let have = match std::fs::metadata(&path) {
        Ok(meta) if args.resume && meta.is_file() => meta.len(),
        _ => 0,
    };
    Ok(Target::File { path, have })
}

/// The last part of the path, decoded; never one that leads elsewhere.
fn file_name(url: &Url) -> PathBuf {
    let last = url.path_segments().and_then(|mut s| s.next_back()).unwrap_or_default();
    let name = percent_encoding::percent_decode_str(last).decode_utf8_lossy().into_owned();
    match name.as_str() {
        "" | "." | ".." => "index.html".into(),
        n if n.contains(['/', '\0']) => "index.html".into(),
        n => n.into(),
    }
}

type Body = BodyReader<BufReader<TcpStream>>;

fn fetch(args: &Get, session: &Session, target: &Target) -> Outcome {
    let resume = match target {
        Target::File { have, .. } if *have > 0 => Some((*have, None)),
        _ => None,
    };
    let (answer, mut body) = follow(args, session, resume)?;
    let start = match (answer.status, target) {
        (206, Target::File { have, .. }) if answer.content_range().map(|r| r.0) == Some(*have) => *have,
        (200, _) => 0,
        (416, Target::File { have, .. }) if answer.content_range().and_then(|r| r.1) == Some(*have) => {
            eprintln!("already complete: {have} octets");
            return finish(args, target, None);
        }
        (206, _) => return Err(Failure::new("the server sent another part of the file than was asked for")),
        (status, _) => {
            let said = client::excerpt(&mut body, 300);
            let colon = if said.is_empty() { "" } else { ": " };
            return Err(Failure::new(format!("the server answered {status} {}{colon}{said}", answer.reason)));
        }
    };
    let whole = match answer.status {
        206 => answer.content_range().and_then(|r| r.1),
        _ => answer.content_length().doing(|| "the answer is malformed".into())?,
    };
    let mut out = open(target, start)?;
    let hash = args.sha256.then(Sha256::new).map(|h| prefix(h, target, start)).transpose()?;
    let hash = copy(session, &mut body, &mut out, start, whole, hash)?;
    out.flush().doing(|| "cannot write".into())?;
    finish(args, target, hash)
}

/// Sends the request, and follows where the server sends us.
fn follow(args: &Get, session: &Session, resume: Option<(u64, Option<&str>)>) -> Outcome<(Answer, Body)> {
    let mut url = args.url.clone();
    for _ in 0..=REDIRECTS {
        let (answer, body) = ask(args, session, &url, resume)?;
        let Some(location) = answer.location() else { return Ok((answer, body)) };
        let next = url.join(location).map_err(|e| {
            Failure::new(format!("the server sends us to {location:?}, which is no URL: {e}"))
        })?;
        if next.scheme() != "http" {
            return Err(Failure::new(format!("the server sends us to {next}, and only http is spoken here")));
        }
        url = next;
    }
    Err(Failure::new(format!("more than {REDIRECTS} redirects, the last to {url}")))
}

fn ask(
    args: &Get,
    session: &Session,
    url: &Url,
    resume: Option<(u64, Option<&str>)>,
) -> Outcome<(Answer, Body)> {
    let name = url.host_str().ok_or_else(|| Failure::usage("the URL names no host"))?;
    let host = host::resolve(name, args.flags.netns.as_deref(), families(&args.flags))?;
    let addr = SocketAddr::new(host, url.port_or_known_default().unwrap_or(80));
    let mut stream = TcpStream::connect_timeout_on(&session.runtime, &addr, CONNECT)
        .map_err(|e| session.failure(format!("cannot connect to {addr}"), &e))?;
    let failed = |e: io::Error| session.failure(format!("no answer from {addr}"), &e);
    stream.set_write_timeout(Some(SILENCE)).map_err(failed)?;
    stream.write_all(client::request(url, resume).as_bytes()).map_err(failed)?;
    client::receive(stream, SILENCE).map_err(failed)
}

/// The families that the stack has addresses of.
pub fn families(flags: &Flags) -> Families {
    Families {
        v4: flags.address.iter().any(|a| a.addr.is_ipv4()),
        v6: flags.address.iter().any(|a| a.addr.is_ipv6()),
    }
}

fn open(target: &Target, start: u64) -> Outcome<Box<dyn Write>> {
    let Target::File { path, .. } = target else { return Ok(Box::new(io::stdout())) };
    let cannot = || format!("cannot write {}", path.display());
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(start == 0).open(path).doing(cannot)?;
    file.seek(SeekFrom::Start(start)).doing(cannot)?;
    Ok(Box::new(file))
}

/// Hashes what is there from a former attempt.
fn prefix(mut hash: Sha256, target: &Target, len: u64) -> Outcome<Sha256> {
    if let (Target::File { path, .. }, true) = (target, len > 0) {
        let cannot = || format!("cannot read {}", path.display());
        let mut part = File::open(path).doing(cannot)?.take(len);
        io::copy(&mut part, &mut HashWriter(&mut hash)).doing(cannot)?;
    }
    Ok(hash)
}

struct HashWriter<'a>(&'a mut Sha256);

impl Write for HashWriter<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.update(buf);
        Ok(buf.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn copy(
    session: &Session,
    body: &mut impl Read,
    out: &mut impl Write,
    start: u64,
    whole: Option<u64>,
    mut hash: Option<Sha256>,
) -> Outcome<Option<Sha256>> {
    let mut buf = vec![0; CHUNK];
    let mut progress = Progress::new(start, whole);
    let mut got = start;
    let begin = Instant::now();
    loop {
        let n = match body.read(&mut buf) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => {
                let what = match whole {
                    Some(whole) => format!("the transfer broke off after {got} of {whole} octets"),
                    None => format!("the transfer broke off after {got} octets"),
                };
                return Err(session.failure(what, &e));
            }
        };
        out.write_all(&buf[..n]).map_err(|e| Failure::new(format!("cannot write: {}", text(&e))))?;
        if let Some(hash) = &mut hash {
            hash.update(&buf[..n]);
        }
        got += n as u64;
        progress.at(got);
    }
    progress.end();
    if io::stderr().is_terminal() {
        let took = begin.elapsed();
        let rate = (got - start) as f64 * 8e-6 / took.as_secs_f64().max(1e-9);
        eprintln!("{} in {:.2?}, {rate:.1} Mbit/s", indicatif::BinaryBytes(got - start), took);
    }
    Ok(hash)
}

/// The hash, in the form of sha256sum(1).
fn finish(args: &Get, target: &Target, hash: Option<Sha256>) -> Outcome {
    if !args.sha256 {
        return Ok(());
    }
    match target {
        Target::Stdout => {
            if let Some(hash) = hash {
                eprintln!("{}  -", hex(&hash.finalize()));
            }
        }
        Target::File { path, have } => {
            let hash = hash.map_or_else(|| prefix(Sha256::new(), target, *have), Ok)?;
            println!("{}  {}", hex(&hash.finalize()), Path::new(path).display());
        }
    }
    Ok(())
}

/// Octets in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        assert_eq!(parse_url("10.0.0.1/a").unwrap().as_str(), "http://10.0.0.1/a");
        assert_eq!(parse_url("http://[fd00::1]:81").unwrap().port(), Some(81));
        assert!(parse_url("https://10.0.0.1/").is_err());
        assert!(parse_url("http://").is_err());
    }

    #[test]
    fn the_name_of_the_file_stays_in_the_directory() {
        for (url, name) in [
            ("http://a/b/c.bin?x=y", "c.bin"),
            ("http://a/b/", "index.html"),
            ("http://a", "index.html"),
            ("http://a/..%2fetc", "index.html"),
            ("http://a/%2e%2e", "index.html"),
            ("http://a/a%20b", "a b"),
        ] {
            assert_eq!(file_name(&Url::parse(url).unwrap()), Path::new(name), "{url}");
        }
    }
}
