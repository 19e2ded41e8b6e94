//! How an answer goes out.

use super::PRODUCT;
use super::request::Refusal;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::time::SystemTime;

/// How much is read from a file and written to the connection at a time.
pub const CHUNK: usize = 256 << 10;

/// An answer.
#[derive(Debug)]
pub struct Response {
    /// Status code.
    pub status: u16,
    fields: Vec<(&'static str, String)>,
    /// What follows the head.
    pub body: Body,
}

/// What follows the head.
#[derive(Debug)]
pub enum Body {
    /// Octets in memory.
    Bytes(Vec<u8>),
    /// A part of a file.
    File(File, Range<u64>),
    /// Several parts of a file.
    Parts {
        /// The file.
        file: File,
        /// Each with its own head.
        parts: Vec<Part>,
        /// What closes the last.
        end: String,
    },
}

/// A part of a multipart answer.
#[derive(Debug)]
pub struct Part {
    /// Delimiter and fields.
    pub head: String,
    /// Which part of the file.
    pub range: Range<u64>,
}

impl Body {
    /// Octets.
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(b) => b.len() as u64,
            Self::File(_, r) => r.end - r.start,
            Self::Parts { parts, end, .. } => {
                let inner: u64 =
                    parts.iter().map(|p| p.head.len() as u64 + p.range.end - p.range.start).sum();
                inner + end.len() as u64
            }
        }
    }
}

impl Response {
    /// An answer without fields and body.
    pub fn new(status: u16) -> Self {
        Self { status, fields: Vec::new(), body: Body::Bytes(Vec::new()) }
    }

    /// The answer to a request that is not fulfilled.
    pub fn refusal(r: &Refusal) -> Self {
        let mut response = Self::new(r.status);
        response.set("Content-Type", "text/plain; charset=utf-8");
        if r.status == 405 {
            response.set("Allow", "GET, HEAD");
        }
        response.body = Body::Bytes(format!("{} {}\n{}\n", r.status, reason(r.status), r.why).into_bytes());
        response
    }

    /// 301 to another place.
    pub fn redirect(location: String) -> Self {
        let mut response = Self::new(301);
        response.set("Content-Type", "text/plain; charset=utf-8");
        response.body = Body::Bytes(format!("301 {}\n{location}\n", reason(301)).into_bytes());
        response.set("Location", location);
        response
    }

    /// Adds a field. Control characters, which could start another field, are left out.
    pub fn set(&mut self, name: &'static str, value: impl Into<String>) {
        let mut value: String = value.into();
        value.retain(|c| !c.is_control());
        self.fields.push((name, value));
    }

    /// A field's value.
    #[cfg(test)]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_str())
    }

    fn head(&self, keep_alive: bool) -> Vec<u8> {
        let mut out = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        let date = httpdate::fmt_http_date(SystemTime::now());
        let _ = write!(out, "Date: {date}\r\nServer: {PRODUCT}\r\n");
        for (name, value) in &self.fields {
            let _ = write!(out, "{name}: {value}\r\n");
        }
        if self.status != 304 {
            let _ = write!(out, "Content-Length: {}\r\n", self.body.len());
        }
        out.push_str(if keep_alive { "Connection: keep-alive\r\n\r\n" } else { "Connection: close\r\n\r\n" });
        out.into_bytes()
    }

    /// Sends the head and, unless it is the answer to a HEAD request, the body; returns the octets of
    /// body sent. The head travels in one write with the first octets of the body.
    ///
    /// # Errors
    /// Those of the connection; `UnexpectedEof` when the file became shorter meanwhile: then the
    /// connection must be closed, since the length is already promised.
    pub fn send(self, out: &mut impl Write, keep_alive: bool, with_body: bool) -> io::Result<u64> {
        let mut buf = self.head(keep_alive);
        let with_body = with_body && self.status != 304;
        let len = if with_body { self.body.len() } else { 0 };
        if with_body {
            match self.body {
                Body::Bytes(bytes) => buf.extend(bytes),
                Body::File(mut file, range) => send_range(out, &mut buf, &mut file, range)?,
                Body::Parts { mut file, parts, end } => {
                    for part in parts {
                        buf.extend(part.head.into_bytes());
                        send_range(out, &mut buf, &mut file, part.range)?;
                    }
                    buf.extend(end.into_bytes());
                }
            }
        }
        out.write_all(&buf)?;
        out.flush()?;
        Ok(len)
    }
}

/// Sends `pending` and the part of the file behind it; less than [`CHUNK`] octets stay in `pending`.
fn send_range(
    out: &mut impl Write,
    pending: &mut Vec<u8>,
    file: &mut File,
    range: Range<u64>,
) -> io::Result<()> {
    file.seek(SeekFrom::Start(range.start))?;
    let mut left = range.end - range.start;
    pending.reserve(CHUNK.min(usize::try_from(left).unwrap_or(CHUNK)));
    while left > 0 {
        let room = (CHUNK.saturating_sub(pending.len()).max(1) as u64).min(left);
        let got = file.take(room).read_to_end(pending)? as u64;
        if got < room {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter"));
        }
        left -= got;
        if pending.len() >= CHUNK {
            out.write_all(pending)?;
            pending.clear();
        }
    }
    Ok(())
}

/// The reason phrase of a status.
pub const fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        200 => "OK",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        410 => "Gone",
        413 => "Content Too Large",
        414 => "URI Too Long",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}
