//! A program that was started: its output is collected while it runs, and it does not outlive its
//! owner.

use crate::error::{Attempt, Error, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use std::io::{self, ErrorKind, Read};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A running program. Dropping it kills it.
#[derive(Debug)]
pub struct Child {
    name: String,
    child: std::process::Child,
    stdout: Collected,
    stderr: Collected,
}

/// How a program ended, and what it wrote.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Its exit status.
    pub status: ExitStatus,
    /// What it wrote to standard output; octets that are no UTF-8 are replaced.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Child {
    /// Starts `command` where it stands; [`Namespace::spawn`](crate::Namespace::spawn) starts it
    /// inside a namespace. Standard input is empty, standard output and error are collected.
    ///
    /// # Errors
    /// `ENOENT` if there is no such program.
    pub fn start(command: &mut Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .attempt(|| format!("starting {name}"))?;
        let stdout = Collected::from(child.stdout.take());
        let stderr = Collected::from(child.stderr.take());
        Ok(Self { name, child, stdout, stderr })
    }

    /// Its process number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Has it ended?
    pub fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Sends it a signal: `Signal::INT` is Ctrl-C.
    ///
    /// # Errors
    /// `ESRCH` if it has ended and was waited for.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(self.pid()?, signal).attempt(|| format!("signalling {}", self.name))
    }

    /// Waits until it has written `text` to standard output or standard error.
    ///
    /// # Errors
    /// "Timed out" after `limit`, "unexpected end of file" if it ended or closed both before; the
    /// message holds what it wrote instead.
    pub fn wait_for(&self, text: &str, limit: Duration) -> Result<()> {
        let end = Instant::now() + limit;
        loop {
            let (out, err) = (self.stdout.lock(), self.stderr.lock());
            if out.contains(text) || err.contains(text) {
                return Ok(());
            }
            let kind = if out.closed && err.closed {
                ErrorKind::UnexpectedEof
            } else if Instant::now() >= end {
                ErrorKind::TimedOut
            } else {
                drop(err);
                // Either stream may be the one; a short nap on the first bounds the wait for the other.
                drop(self.stdout.changed.wait_timeout(out, Duration::from_millis(5)));
                continue;
            };
            let wrote = format!("{}{}", out.text(), err.text());
            return Err(Error::new(
                format!("waiting for {} to write {text:?}; it wrote {wrote:?}", self.name),
                io::Error::from(kind),
            ));
        }
    }

    /// Waits until it ends.
    ///
    /// # Errors
    /// "Timed out" if it still runs after `limit`; it is killed then, and the message holds what it
    /// wrote.
    pub fn finish(mut self, limit: Duration) -> Result<Finished> {
        let ended = self.ended_within(limit)?;
        if !ended {
            let _ = self.child.kill();
        }
        let status = self.child.wait().attempt(|| format!("waiting for {}", self.name))?;
        // A grandchild may hold the pipes open; its output is not waited for.
        let patience = Instant::now() + Duration::from_secs(2);
        let (stdout, stderr) = (self.stdout.take(patience), self.stderr.take(patience));
        if ended {
            return Ok(Finished { status, stdout, stderr });
        }
        let what = format!("{} did not end within {limit:?}; it wrote {:?}", self.name, stdout + &stderr);
        Err(Error::new(what, io::Error::from(ErrorKind::TimedOut)))
    }

    fn ended_within(&self, limit: Duration) -> Result<bool> {
        let wait = || {
            let fd = pidfd_open(self.pid()?, PidfdFlags::empty())?;
            let end = Instant::now() + limit;
            loop {
                let rest = end.saturating_duration_since(Instant::now());
                let timeout = Timespec::try_from(rest).map_err(io::Error::other)?;
                match poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&timeout)) {
                    Err(rustix::io::Errno::INTR) => {}
                    Err(e) => return Err(io::Error::from(e)),
                    Ok(n) => return Ok(n > 0),
                }
            }
        };
        wait().attempt(|| format!("waiting for {}", self.name))
    }

    fn pid(&self) -> Result<Pid> {
        i32::try_from(self.id())
            .ok()
            .and_then(Pid::from_raw)
            .ok_or_else(|| Error::new("process number", io::Error::from(ErrorKind::InvalidInput)))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Both fail only if it ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Finished {
    /// What it wrote, if it succeeded.
    ///
    /// # Panics
    /// With everything it wrote, if it did not: for tests.
    #[track_caller]
    pub fn expect_success(self) -> Self {
        assert!(self.status.success(), "{}\nstdout: {}\nstderr: {}", self.status, self.stdout, self.stderr);
        self
    }
}

/// What a pipe has brought so far. A thread reads it, so that the writer never blocks.
#[derive(Debug)]
struct Collected {
    shared: Arc<Mutex<Output>>,
    changed: Arc<Condvar>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Output {
    bytes: Vec<u8>,
    closed: bool,
}

impl Output {
    fn contains(&self, text: &str) -> bool {
        text.is_empty() || self.bytes.windows(text.len()).any(|w| w == text.as_bytes())
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

impl Collected {
    fn from<R: Read + Send + 'static>(pipe: Option<R>) -> Self {
        let shared = Arc::new(Mutex::new(Output { bytes: Vec::new(), closed: pipe.is_none() }));
        let changed = Arc::new(Condvar::new());
        let reader = pipe.map(|pipe| {
            let (shared, changed) = (Arc::clone(&shared), Arc::clone(&changed));
            thread::spawn(move || collect(pipe, &shared, &changed))
        });
        Self { shared, changed, reader }
    }

    fn lock(&self) -> MutexGuard<'_, Output> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of it, once the pipe is closed or patience is over.
    fn take(&mut self, patience: Instant) -> String {
        while !self.lock().closed && Instant::now() < patience {
            drop(self.changed.wait_timeout(self.lock(), Duration::from_millis(50)));
        }
        if self.lock().closed
            && let Some(reader) = self.reader.take()
        {
            let _ = reader.join();
        }
        self.lock().text()
    }
}

fn collect(mut pipe: impl Read, shared: &Mutex<Output>, changed: &Condvar) {
    let mut buf = [0; 4096];
    loop {
        let n = match pipe.read(&mut buf) {
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Ok(n) => n,
            Err(_) => 0,
        };
        let mut output = shared.lock().unwrap_or_else(PoisonError::into_inner);
        output.bytes.extend_from_slice(&buf[..n]);
        output.closed = n == 0;
        changed.notify_all();
        if n == 0 {
            return;
        }
    }
}
