//! The control socket of a running instance: what `wirestack ss` asks.
//!
//! One line of JSON in, one line of JSON out, over a Unix socket named by process id in a directory
//! that only its owner may enter.

use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;
use wirestack::Runtime;
use wirestack::socket::{SocketSummary, Type};
use wirestack::tcp::State;

/// How long one side waits for the other.
const PATIENCE: Duration = Duration::from_secs(2);

/// A question.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Request {
    /// Which sockets are there?
    Sockets,
    /// What do the counters say?
    Stats,
}

/// What an instance answers.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct Answer {
    /// Process id.
    pub pid: u32,
    /// Which command it is.
    pub command: String,
    /// Its sockets.
    #[serde(default)]
    pub sockets: Vec<SocketLine>,
    /// Its counters: name, value, meaning.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counters: Vec<Counter>,
    /// What was dropped, by reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drops: Vec<Counter>,
}

/// A counter.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct Counter {
    /// Stable name.
    pub name: String,
    /// How often.
    pub value: u64,
    /// In words.
    pub meaning: String,
}

/// A socket.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct SocketLine {
    /// `tcp`, `udp`, `raw`.
    pub netid: String,
    /// As `ss` writes it.
    pub state: String,
    /// Octets received and not read; connections to accept.
    pub recv_q: usize,
    /// Octets not acknowledged and not sent; the backlog.
    pub send_q: usize,
    /// Local end.
    pub local: SocketAddr,
    /// The other end.
    pub peer: SocketAddr,
    /// IP protocol.
    pub protocol: u8,
}

impl From<&SocketSummary> for SocketLine {
    fn from(s: &SocketSummary) -> Self {
        let netid = match s.ty {
            Type::Stream => "tcp",
            Type::Dgram => "udp",
            Type::Raw => "raw",
        };
        Self {
            netid: netid.into(),
            state: state(s).into(),
            recv_q: s.recv_queue,
            send_q: s.send_queue,
            local: s.local,
            peer: s.remote,
            protocol: s.protocol,
        }
    }
}

/// The word of ss(8) for a state.
fn state(s: &SocketSummary) -> &'static str {
    match s.state {
        State::Established => "ESTAB",
        State::SynReceived => "SYN-RECV",
        State::Closed if s.ty != Type::Stream => "UNCONN",
        other => other.name(),
    }
}

/// The control socket; its file goes when this does.
#[derive(Debug)]
pub struct Control {
    path: PathBuf,
}

impl Control {
    /// Opens the socket and answers on a thread.
    pub fn open(runtime: &Runtime, command: &str) -> io::Result<Self> {
        let pid = std::process::id();
        let dir = directories().into_iter().next().ok_or(io::ErrorKind::NotFound)?;
        prepare(&dir)?;
        let path = dir.join(format!("{pid}.sock"));
        // A former process of this number may have left one.
        let _ = fs::remove_file(&path);
        let listener = UnixListener::bind(&path)?;
        // Weak in effect: the thread's handle keeps the runtime alive, but every command ends it by
        // `shutdown`, not by dropping handles.
        let (runtime, command) = (runtime.clone(), command.to_owned());
        thread::Builder::new().name("control".into()).spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = serve(&stream, |request| answer(&runtime, &command, request));
            }
        })?;
        Ok(Self { path })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn answer(runtime: &Runtime, command: &str, request: Request) -> Answer {
    let counter =
        |name: &str, value, meaning: &str| Counter { name: name.into(), value, meaning: meaning.into() };
    let mut answer = Answer {
        pid: std::process::id(),
        command: command.to_owned(),
        sockets: Vec::new(),
        counters: Vec::new(),
        drops: Vec::new(),
    };
    match request {
        Request::Sockets => {
            let sockets = runtime.with_stack(|stack, _| stack.sockets());
            answer.sockets = sockets.iter().map(SocketLine::from).collect();
        }
        Request::Stats => {
            let stats = runtime.with_stack(|stack, _| stack.stats().clone());
            answer.counters = stats.count.iter().map(|(n, v, m)| counter(n, v, m)).collect();
            answer.drops = stats.drops().map(|(r, n)| counter(r.label(), n, r.meaning())).collect();
        }
    }
    answer
}

fn serve(stream: &UnixStream, answer: impl FnOnce(Request) -> Answer) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = String::new();
    BufReader::new(stream.take(1024)).read_line(&mut line)?;
    let mut text = serde_json::to_vec(&answer(serde_json::from_str(&line)?))?;
    text.push(b'\n');
    let mut stream = stream;
    stream.write_all(&text)
}

/// Asks the instance at `path`.
pub fn ask(path: &Path, request: Request) -> io::Result<Answer> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(&request)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut text = String::new();
    // A million sockets are some 150 MB.
    stream.take(1 << 30).read_to_string(&mut text)?;
    Ok(serde_json::from_str(&text)?)
}

/// The control sockets of all instances that this user can ask: process id and path. Those of
/// processes that are gone are removed.
pub fn instances() -> Vec<(u32, PathBuf)> {
    let mut found = Vec::new();
    for dir in directories() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let path = entry.path();
            let pid = path.file_name().and_then(|n| n.to_str()?.strip_suffix(".sock")?.parse().ok());
            let Some(pid) = pid else { continue };
            match UnixStream::connect(&path) {
                Ok(_) => found.push((pid, path)),
                Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {
                    let _ = fs::remove_file(&path);
                }
                Err(_) => {}
            }
        }
    }
    found.sort();
    found
}

/// Where control sockets may be; a new one goes to the first.
fn directories() -> Vec<PathBuf> {
    let uid = rustix::process::getuid();
    let mut dirs = Vec::new();
    if let Some(dir) =
        std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|d| d.is_absolute() && d.is_dir())
    {
        dirs.push(dir.join("wirestack"));
    }
    if uid.is_root() && Path::new("/run").is_dir() {
        dirs.push("/run/wirestack".into());
    }
    dirs.push(format!("/tmp/wirestack-{}", uid.as_raw()).into());
    dirs
}

/// Makes the directory, or makes sure that it is ours: in /tmp anyone could have made it before.
fn prepare(dir: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        other => return other,
    }
    let meta = fs::symlink_metadata(dir)?;
    let ours = meta.is_dir() && meta.uid() == rustix::process::getuid().as_raw() && meta.mode() & 0o077 == 0;
    if ours {
        return Ok(());
    }
    let text = format!("{} is not a directory that only this user may enter", dir.display());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Answer {
        let socket = SocketLine {
            netid: "tcp".into(),
            state: "LISTEN".into(),
            recv_q: 0,
            send_q: 128,
            local: "[::]:80".parse().unwrap(),
            peer: "[::]:0".parse().unwrap(),
            protocol: 6,
        };
        Answer { pid: 1, command: "serve".into(), sockets: vec![socket], counters: vec![], drops: vec![] }
    }

    #[test]
    fn question_and_answer() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("1.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let server = thread::spawn(move || {
            serve(&listener.accept().unwrap().0, |r| {
                assert_eq!(r, Request::Sockets);
                example()
            })
        });
        assert_eq!(ask(&path, Request::Sockets).unwrap(), example());
        server.join().unwrap().unwrap();
    }

    #[test]
    fn nonsense_is_refused() {
        let (a, mut b) = UnixStream::pair().unwrap();
        b.write_all(b"{\"what\":1}\n").unwrap();
        assert!(serve(&a, |_| example()).is_err());
    }

    #[test]
    fn a_directory_that_others_may_enter_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("d");
        prepare(&dir).unwrap();
        prepare(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(prepare(&dir).is_err());
        let link = parent.path().join("link");
        std::os::unix::fs::symlink(parent.path(), &link).unwrap();
        assert!(prepare(&link).is_err());
    }
}
