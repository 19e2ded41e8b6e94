//! A web server that is not ours: python3's.

use crate::error::{Error, Result};
use crate::{Child, Namespace};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// `python3 -m http.server` in a namespace. Dropping it ends it.
#[derive(Debug)]
pub struct HttpServer {
    /// The program.
    pub child: Child,
    addr: SocketAddr,
}

impl HttpServer {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The URL of a file in its directory.
    pub fn url(&self, file: &str) -> String {
        format!("http://{}/{file}", self.addr)
    }
}

/// Serves the files in `dir` over HTTP; returns when it listens.
///
/// # Errors
/// `ENOENT` without python3; "timed out" if it does not listen within 20 s, with what it said.
pub fn serve_directory(ns: &Namespace, addr: SocketAddr, dir: &Path) -> Result<HttpServer> {
    let mut command = Command::new("python3");
    // -u: its log arrives line by line. -S -E: nothing of the user's Python setup is loaded.
    command.args(["-u", "-E", "-S", "-m", "http.server", "--protocol", "HTTP/1.1", "--bind"]);
    command.arg(addr.ip().to_string()).arg("--directory").arg(dir).arg(addr.port().to_string());
    let mut child = ns.spawn(&mut command)?;
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let connected = ns.run(|| TcpStream::connect_timeout(&addr, Duration::from_secs(1)));
        match connected {
            Ok(_) => return Ok(HttpServer { child, addr }),
            Err(e) if child.has_ended() || Instant::now() > end => {
                let said = child.finish(Duration::from_secs(1)).map(|f| f.stderr).unwrap_or_default();
                return Err(Error::new(
                    format!("starting python3's http.server on {addr} ({said:?})"),
                    std::io::Error::from(e),
                ));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}
