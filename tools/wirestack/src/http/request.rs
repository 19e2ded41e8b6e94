//! What a client asks: a parsed request, or the status that a broken one gets.

use super::head::HeadError;
use std::io;

/// A request without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `HEAD`, or anything else.
    pub method: String,
    /// The request target as sent.
    pub target: String,
    /// HTTP/1.1 (`false` is HTTP/1.0).
    pub is_1_1: bool,
    fields: Vec<(String, Vec<u8>)>,
}

/// How long the body of a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLength {
    /// So many octets, often 0.
    Known(u64),
    /// In chunks.
    Chunked,
}

/// A request that cannot be answered as asked: status and a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status code.
    pub status: u16,
    /// What is wrong, for the body of the answer.
    pub why: &'static str,
}

impl Refusal {
    /// A refusal.
    pub const fn new(status: u16, why: &'static str) -> Self {
        Self { status, why }
    }

    /// The answer to a head that could not be read; `None` when there is nobody to answer.
    pub fn from_head(e: &HeadError) -> Option<Self> {
        match e {
            HeadError::Nothing | HeadError::Idle | HeadError::Io(_) => None,
            HeadError::Truncated => Some(Self::new(400, "The request ended in the middle of its head.")),
            HeadError::Slow => Some(Self::new(408, "The request did not arrive in time.")),
            HeadError::LineTooLong => Some(Self::new(414, "The request target is too long.")),
            HeadError::TooLong => Some(Self::new(431, "The header fields are too long.")),
        }
    }
}

impl Request {
    /// Parses a complete head.
    pub fn parse(head: &[u8], max_fields: usize) -> Result<Self, Refusal> {
        let mut fields = vec![httparse::EMPTY_HEADER; max_fields];
        let mut parsed = httparse::Request::new(&mut fields);
        match parsed.parse(head) {
            Ok(httparse::Status::Complete(_)) => {}
            Err(httparse::Error::Version) => {
                return Err(Refusal::new(505, "This server speaks HTTP/1.0 and HTTP/1.1."));
            }
            Err(httparse::Error::TooManyHeaders) => {
                return Err(Refusal::new(431, "There are too many header fields."));
            }
            Ok(httparse::Status::Partial) | Err(_) => {
                return Err(Refusal::new(400, "The request is malformed."));
            }
        }
        let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version) else {
            return Err(Refusal::new(400, "The request is malformed."));
        };
        let request = Self {
            method: method.to_owned(),
            target: target.to_owned(),
            is_1_1: minor == 1,
            fields: parsed.headers.iter().map(|h| (h.name.to_ascii_lowercase(), h.value.to_vec())).collect(),
        };
        // RFC 9112 section 3.2: exactly one Host in HTTP/1.1.
        let hosts = request.values("host").count();
        if hosts > 1 || (request.is_1_1 && hosts == 0) {
            return Err(Refusal::new(400, "HTTP/1.1 asks for exactly one Host field."));
        }
        Ok(request)
    }

    fn values<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
        self.fields.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.as_slice())
    }

    /// Is the field there at all?
    pub fn has(&self, name: &'static str) -> bool {
        self.values(name).next().is_some()
    }

    /// The value of a field that occurs once and is text. `name` in lower case.
    pub fn field(&self, name: &'static str) -> Option<&str> {
        let mut values = self.values(name);
        let value = values.next()?;
        if values.next().is_some() { None } else { std::str::from_utf8(value).ok().map(str::trim) }
    }

    /// Does a comma-separated field hold this word (of any case)?
    pub fn lists(&self, name: &'static str, word: &str) -> bool {
        self.values(name)
            .filter_map(|v| std::str::from_utf8(v).ok())
            .flat_map(|v| v.split(','))
            .any(|w| w.trim().eq_ignore_ascii_case(word))
    }

    /// Does the connection stay open after the answer (RFC 9112 section 9.3)?
    pub fn keeps_alive(&self) -> bool {
        !self.lists("connection", "close") && (self.is_1_1 || self.lists("connection", "keep-alive"))
    }

    /// The length of the body (RFC 9112 section 6.3). A message that two parties could read in two
    /// ways is refused: that is how requests are smuggled.
    pub fn body_length(&self) -> Result<BodyLength, Refusal> {
        let encodings = self.values("transfer-encoding").count();
        let lengths: Vec<_> = self.values("content-length").collect();
        if encodings > 0 {
            if !lengths.is_empty() || !self.is_1_1 {
                return Err(Refusal::new(400, "Transfer-Encoding and Content-Length exclude each other."));
            }
            return match self.field("transfer-encoding") {
                Some(e) if e.eq_ignore_ascii_case("chunked") => Ok(BodyLength::Chunked),
                _ => Err(Refusal::new(501, "The only transfer coding known here is chunked.")),
            };
        }
        let Some(first) = lengths.first() else { return Ok(BodyLength::Known(0)) };
        if lengths.iter().any(|l| l != first) {
            return Err(Refusal::new(400, "The Content-Length fields contradict each other."));
        }
        let bad = Refusal::new(400, "Content-Length is not a number.");
        let text = std::str::from_utf8(first).map_err(|_| bad.clone())?.trim();
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad);
        }
        text.parse().map(BodyLength::Known).map_err(|_| Refusal::new(413, "The body is too large."))
    }

    /// Does the client wait for `100 Continue` before it sends its body?
    pub fn expects_continue(&self) -> bool {
        self.is_1_1 && self.lists("expect", "100-continue")
    }
}

/// Is it an error that only says that the peer went away?
pub fn is_disconnect(e: &io::Error) -> bool {
    use io::ErrorKind as K;
    matches!(
        e.kind(),
        K::ConnectionReset | K::ConnectionAborted | K::BrokenPipe | K::NotConnected | K::UnexpectedEof
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(head: &str) -> Result<Request, Refusal> {
        Request::parse(head.as_bytes(), 4)
    }

    #[test]
    fn reads_fields_without_regard_to_case() {
        let r = parse("GET /a%20b?q HTTP/1.1\r\nhOsT: x\r\nRange:  bytes=0-1 \r\n\r\n").unwrap();
        assert_eq!((r.method.as_str(), r.target.as_str()), ("GET", "/a%20b?q"));
        assert_eq!(r.field("range"), Some("bytes=0-1"));
        assert!(r.keeps_alive());
    }

    #[test]
    fn connection_options_decide_about_keep_alive() {
        assert!(!parse("GET / HTTP/1.1\r\nHost: x\r\nConnection: foo, Close\r\n\r\n").unwrap().keeps_alive());
        assert!(!parse("GET / HTTP/1.0\r\n\r\n").unwrap().keeps_alive());
        assert!(parse("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").unwrap().keeps_alive());
    }

    #[test]
    fn broken_requests_get_their_status() {
        for (head, status) in [
            ("GET /\r\n\r\n", 400),
            ("GET / HTTP/2.0\r\n\r\n", 505),
            ("GET / HTTP/1.1\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 1\r\nC: 1\r\nD: 1\r\n\r\n", 431),
            ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
            ("G\u{0}T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ] {
            assert_eq!(parse(head).unwrap_err().status, status, "{head:?}");
        }
    }

    #[test]
    fn ambiguous_bodies_are_refused() {
        let length = |fields: &str| parse(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).unwrap();
        assert_eq!(length("Content-Length: 5\r\n").body_length(), Ok(BodyLength::Known(5)));
        assert_eq!(
            length("Content-Length: 5\r\nContent-Length: 5\r\n").body_length(),
            Ok(BodyLength::Known(5))
        );
        assert_eq!(length("Transfer-Encoding: chunked\r\n").body_length(), Ok(BodyLength::Chunked));
        for (fields, status) in [
            ("Content-Length: 5\r\nContent-Length: 6\r\n", 400),
            ("Content-Length: +5\r\n", 400),
            ("Content-Length: \r\n", 400),
            ("Content-Length: 99999999999999999999\r\n", 413),
            ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400),
            ("Transfer-Encoding: gzip, chunked\r\n", 501),
        ] {
            assert_eq!(length(fields).body_length().unwrap_err().status, status, "{fields:?}");
        }
    }
}
