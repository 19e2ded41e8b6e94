//! One connection of the server: requests in, answers out, until one side has enough.

use super::body::BodyReader;
use super::head::{HeadError, HeadLimits, read_head};
use super::request::{BodyLength, Refusal, Request, is_disconnect};
use super::response::Response;
use super::site::Site;
use super::{Transport, is_timeout};
use std::io::{self, BufReader, Read, Write};
use std::time::{Duration, Instant};

/// Bounds of a connection.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Of a request head.
    pub head: HeadLimits,
    /// How long a connection may be silent between requests.
    pub idle: Duration,
    /// How long an answer may make no progress.
    pub write: Duration,
    /// Octets of a request body, which is read and thrown away.
    pub body: u64,
    /// How long and how much is still read after the last answer, so that it is not lost to a RST.
    pub linger: (Duration, u64),
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: HeadLimits::default(),
            idle: Duration::from_secs(60),
            write: Duration::from_secs(60),
            body: 1 << 20,
            linger: (Duration::from_secs(2), 4 << 20),
        }
    }
}

/// A line of the access log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// `GET /path`, or `-` when the request could not be read.
    pub request: String,
    /// Status of the answer.
    pub status: u16,
    /// Octets of body sent.
    pub sent: u64,
    /// From the request's head to the last octet handed to TCP.
    pub took: Duration,
    /// What ended the answer early.
    pub error: Option<String>,
}

/// Serves one connection until it ends. Requests may be pipelined.
///
/// # Errors
/// Those of the connection, except that the peer went away or stayed silent.
pub fn converse(
    stream: &mut impl Transport,
    site: &Site,
    limits: &Limits,
    log: &mut dyn FnMut(&Access),
) -> io::Result<()> {
    stream.set_write_timeout(Some(limits.write))?;
    let mut input = BufReader::with_capacity(16 << 10, stream);
    loop {
        match exchange(&mut input, site, limits, log) {
            Ok(true) => {}
            Ok(false) => return linger(input.into_inner(), limits),
            Err(e) if is_disconnect(&e) || is_timeout(&e) => return Ok(()),
            Err(e) => return Err(e),
        }
    }
}

/// One request and its answer. `false` when the connection is to be closed.
fn exchange<S: Transport>(
    input: &mut BufReader<&mut S>,
    site: &Site,
    limits: &Limits,
    log: &mut dyn FnMut(&Access),
) -> io::Result<bool> {
    let head = read_head(input, &limits.head, limits.idle, |r, t| r.get_ref().set_read_timeout(Some(t)));
    let start = Instant::now();
    let (request, response, keep) = match head {
        Err(HeadError::Io(e)) => return Err(e),
        Err(e) => match Refusal::from_head(&e) {
            None => return Ok(false),
            Some(refusal) => (None, Response::refusal(&refusal), false),
        },
        Ok(head) => match Request::parse(&head, limits.head.fields) {
            Err(refusal) => (None, Response::refusal(&refusal), false),
            Ok(request) => {
                let (response, keep) = respond(input, site, limits, &request)?;
                (Some(request), response, keep)
            }
        },
    };
    let with_body = request.as_ref().is_none_or(|r| r.method != "HEAD");
    let status = response.status;
    let sent = response.send(*input.get_mut(), keep, with_body);
    log(&Access {
        request: request.map_or_else(|| "-".to_owned(), |r| format!("{} {}", r.method, r.target)),
        status,
        sent: *sent.as_ref().unwrap_or(&0),
        took: start.elapsed(),
        error: sent.as_ref().err().map(ToString::to_string),
    });
    match sent {
        Ok(_) => Ok(keep),
        // The length is promised and cannot be kept: only closing tells it.
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(e),
    }
}

/// The answer to a well-formed request, and whether the connection may stay open.
fn respond<S: Transport>(
    input: &mut BufReader<&mut S>,
    site: &Site,
    limits: &Limits,
    request: &Request,
) -> io::Result<(Response, bool)> {
    let length = match request.body_length() {
        Ok(length) => length,
        Err(refusal) => return Ok((Response::refusal(&refusal), false)),
    };
    if matches!(length, BodyLength::Known(n) if n > limits.body) {
        return Ok((Response::refusal(&Refusal::new(413, "The body is too large.")), false));
    }
    let allowed = matches!(request.method.as_str(), "GET" | "HEAD");
    if length != BodyLength::Known(0) {
        if request.expects_continue() {
            if !allowed {
                return Ok((Response::refusal(&NOT_ALLOWED), false));
            }
            input.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        match discard(input, length, limits) {
            Ok(true) => {}
            Ok(false) => {
                return Ok((Response::refusal(&Refusal::new(413, "The body is too large.")), false));
            }
            Err(e) if e.kind() == io::ErrorKind::InvalidData => {
                return Ok((Response::refusal(&Refusal::new(400, "The chunked body is malformed.")), false));
            }
            Err(e) if is_timeout(&e) => {
                return Ok((
                    Response::refusal(&Refusal::new(408, "The body did not arrive in time.")),
                    false,
                ));
            }
            Err(e) => return Err(e),
        }
    }
    let response = if allowed { site.answer(request) } else { Response::refusal(&NOT_ALLOWED) };
    Ok((response, request.keeps_alive()))
}

const NOT_ALLOWED: Refusal = Refusal::new(405, "Files can be fetched here with GET and HEAD.");

/// Reads a request body and forgets it; `false` if it is too long.
fn discard<S: Transport>(
    input: &mut BufReader<&mut S>,
    length: BodyLength,
    limits: &Limits,
) -> io::Result<bool> {
    let deadline = Instant::now() + limits.head.time;
    let mut left = limits.body;
    let mut buf = [0; 8192];
    input.get_ref().set_read_timeout(Some(limits.head.time))?;
    let mut body = match length {
        BodyLength::Known(n) => BodyReader::with_length(input, n),
        BodyLength::Chunked => BodyReader::chunked(input),
    };
    loop {
        let n = body.read(&mut buf)? as u64;
        if n == 0 {
            return Ok(true);
        }
        if n > left {
            return Ok(false);
        }
        left -= n;
        if Instant::now() > deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
}

/// Closes without losing the last answer: FIN, then read what the peer still sends. Closing with
/// unread input would send RST, and a RST makes the peer throw away what it has not read yet
/// (RFC 9112 section 9.6).
fn linger(stream: &mut impl Transport, limits: &Limits) -> io::Result<()> {
    let (time, mut octets) = limits.linger;
    let end = Instant::now() + time;
    if stream.finish_sending().is_err() {
        return Ok(());
    }
    let mut buf = [0; 16 << 10];
    while octets > 0 {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || stream.set_read_timeout(Some(left)).is_err() {
            break;
        }
        match stream.read(&mut buf) {
            Ok(0) | Err(_) => break,
            Ok(n) => octets = octets.saturating_sub(n as u64),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
