//! The client's half: a request to send, the head of an answer, and its body.

use super::body::BodyReader;
use super::head::{HeadError, HeadLimits, read_head};
use super::{PRODUCT, Transport};
use std::fmt::Write as _;
use std::io::{self, BufReader, Read};
use std::time::Duration;
use url::Url;

/// The head of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Reason phrase as sent.
    pub reason: String,
    fields: Vec<(String, String)>,
}

impl Answer {
    /// Parses a complete head.
    pub fn parse(head: &[u8]) -> Result<Self, httparse::Error> {
        let mut fields = [httparse::EMPTY_HEADER; 128];
        let mut parsed = httparse::Response::new(&mut fields);
        parsed.parse(head)?;
        Ok(Self {
            status: parsed.code.unwrap_or(0),
            reason: parsed.reason.unwrap_or_default().to_owned(),
            fields: parsed
                .headers
                .iter()
                .map(|h| (h.name.to_ascii_lowercase(), String::from_utf8_lossy(h.value).trim().to_owned()))
                .collect(),
        })
    }

    /// A field's first value; `name` in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// `bytes 5-9/10`: where the part begins, and the length of the whole if it is told.
    pub fn content_range(&self) -> Option<(u64, Option<u64>)> {
        let (part, whole) = self.field("content-range")?.strip_prefix("bytes ")?.split_once('/')?;
        let start = part.split_once('-').map_or(Some(0), |(a, _)| a.trim().parse().ok())?;
        Some((start, whole.trim().parse().ok()))
    }

    /// Octets of the body, if they are told.
    pub fn content_length(&self) -> io::Result<Option<u64>> {
        let bad = || io::Error::new(io::ErrorKind::InvalidData, "the server sent a broken Content-Length");
        let mut lengths = self.fields.iter().filter(|(n, _)| n == "content-length").map(|(_, v)| v);
        let Some(first) = lengths.next() else { return Ok(None) };
        if lengths.any(|l| l != first) || !first.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        first.parse().map(Some).map_err(|_| bad())
    }

    fn is_chunked(&self) -> bool {
        self.field("transfer-encoding")
            .is_some_and(|t| t.rsplit(',').next().is_some_and(|c| c.trim().eq_ignore_ascii_case("chunked")))
    }

    /// Is it a redirect that names its destination?
    pub fn location(&self) -> Option<&str> {
        self.field("location").filter(|_| matches!(self.status, 301 | 302 | 303 | 307 | 308))
    }
}

/// The text of a GET request. `resume`: where to start, and the entity tag that must still hold.
pub fn request(url: &Url, resume: Option<(u64, Option<&str>)>) -> String {
    let host = url.host_str().unwrap_or_default();
    let mut out = format!("GET {}", url.path());
    if let Some(query) = url.query() {
        let _ = write!(out, "?{query}");
    }
    let _ = write!(out, " HTTP/1.1\r\nHost: {host}");
    if let Some(port) = url.port() {
        let _ = write!(out, ":{port}");
    }
    let _ = write!(out, "\r\nUser-Agent: {PRODUCT}\r\nAccept: */*\r\nConnection: close\r\n");
    if let Some((from, tag)) = resume {
        let _ = write!(out, "Range: bytes={from}-\r\n");
        if let Some(tag) = tag {
            let _ = write!(out, "If-Range: {tag}\r\n");
        }
    }
    out.push_str("\r\n");
    out
}

/// Reads the head of the answer (interim answers are skipped) and gives the body with it.
pub fn receive<S: Transport>(stream: S, silence: Duration) -> io::Result<(Answer, BodyReader<BufReader<S>>)> {
    let mut input = BufReader::with_capacity(256 << 10, stream);
    let limits = HeadLimits { head: 64 << 10, time: silence, ..HeadLimits::default() };
    let invalid = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
    let answer = loop {
        let head = read_head(&mut input, &limits, silence, |r, t| r.get_ref().set_read_timeout(Some(t)))
            .map_err(|e| match e {
                HeadError::Io(e) => e,
                HeadError::Slow | HeadError::Idle => {
                    io::Error::new(io::ErrorKind::TimedOut, "the server does not answer")
                }
                HeadError::Nothing => {
                    io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed without an answer")
                }
                HeadError::Truncated => io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the server closed in the middle of its answer",
                ),
                HeadError::LineTooLong | HeadError::TooLong => invalid("the head of the answer is too long"),
            })?;
        let answer = Answer::parse(&head).map_err(|_| invalid("the server does not speak HTTP/1.x"))?;
        if !(100..200).contains(&answer.status) {
            break answer;
        }
    };
    input.get_ref().set_read_timeout(Some(silence))?;
    let body = if matches!(answer.status, 204 | 304) {
        BodyReader::with_length(input, 0)
    } else if answer.is_chunked() {
        BodyReader::chunked(input)
    } else if answer.field("transfer-encoding").is_some() {
        return Err(invalid("the server uses an unknown transfer coding"));
    } else {
        match answer.content_length()? {
            Some(n) => BodyReader::with_length(input, n),
            None => BodyReader::until_close(input),
        }
    };
    Ok((answer, body))
}

/// Reads at most `max` octets of a body as text, for a message.
pub fn excerpt(body: &mut impl Read, max: u64) -> String {
    let mut bytes = Vec::new();
    let _ = body.take(max).read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    text.lines().map(str::trim).filter(|l| !l.is_empty()).collect::<Vec<_>>().join(" ")
}
