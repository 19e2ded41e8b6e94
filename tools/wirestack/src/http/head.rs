//! Where a message head ends: reading up to and including the empty line, bounded in octets and time.

use super::is_timeout;
use std::io::{self, BufRead};
use std::time::{Duration, Instant};

/// Bounds of a message head.
#[derive(Clone, Debug)]
pub struct HeadLimits {
    /// Octets of the first line.
    pub line: usize,
    /// Octets of the whole head.
    pub head: usize,
    /// Header fields.
    pub fields: usize,
    /// How long the head may take from its first octet on.
    pub time: Duration,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self { line: 8 << 10, head: 32 << 10, fields: 100, time: Duration::from_secs(30) }
    }
}

/// Why there is no head.
#[derive(Debug)]
pub enum HeadError {
    /// The peer closed before the first octet: nothing is wrong.
    Nothing,
    /// The peer stayed silent.
    Idle,
    /// The peer closed in the middle.
    Truncated,
    /// The peer was too slow.
    Slow,
    /// The first line is too long.
    LineTooLong,
    /// The head is too long.
    TooLong,
    /// Reading failed.
    Io(io::Error),
}

/// Reads a head, its empty line included, and not one octet more. Empty lines before it are skipped
/// (RFC 9112 section 2.2). `set_timeout` is called before each read with the time that is left.
pub fn read_head<R: BufRead>(
    input: &mut R,
    limits: &HeadLimits,
    idle: Duration,
    mut set_timeout: impl FnMut(&R, Duration) -> io::Result<()>,
) -> Result<Vec<u8>, HeadError> {
    let mut head = Vec::new();
    let mut deadline = None;
    let mut blank = 0;
    loop {
        let left = match deadline {
            None => idle,
            Some(d) => Instant::checked_duration_since(&d, Instant::now()).unwrap_or_default(),
        };
        if left.is_zero() {
            return Err(HeadError::Slow);
        }
        set_timeout(input, left).map_err(HeadError::Io)?;
        let got = match input.fill_buf() {
            Ok(got) => got,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) if is_timeout(&e) && deadline.is_none() => return Err(HeadError::Idle),
            Err(e) if is_timeout(&e) => return Err(HeadError::Slow),
            Err(e) => return Err(HeadError::Io(e)),
        };
        if got.is_empty() {
            return Err(if head.is_empty() { HeadError::Nothing } else { HeadError::Truncated });
        }
        deadline.get_or_insert_with(|| Instant::now() + limits.time);
        let mut used = 0;
        let mut complete = false;
        for &b in got {
            used += 1;
            if head.is_empty() && (b == b'\r' || b == b'\n') {
                blank += 1;
                continue;
            }
            head.push(b);
            if b == b'\n' && (head.ends_with(b"\r\n\r\n") || head.ends_with(b"\n\n")) {
                complete = true;
                break;
            }
            if head.len() > limits.head {
                break;
            }
        }
        input.consume(used);
        let line = head.iter().take(limits.line + 1).position(|&b| b == b'\n').unwrap_or(head.len());
        if line > limits.line {
            return Err(HeadError::LineTooLong);
        }
        if complete {
            return Ok(head);
        }
        if head.len() > limits.head || blank > 64 {
            return Err(HeadError::TooLong);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &mut &[u8]) -> Result<Vec<u8>, HeadError> {
        let limits = HeadLimits { line: 20, head: 60, ..HeadLimits::default() };
        read_head(input, &limits, Duration::from_secs(1), |_, _| Ok(()))
    }

    #[test]
    fn stops_exactly_behind_the_empty_line() {
        let mut input: &[u8] = b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nGET /next";
        assert_eq!(read(&mut input).unwrap(), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(input, b"GET /next");
    }

    #[test]
    fn tells_apart_what_can_be_wrong() {
        let mut long_line = vec![b'a'; 21];
        assert!(matches!(read(&mut &long_line[..]), Err(HeadError::LineTooLong)));
        long_line.splice(0..0, b"GET /\r\n".iter().copied());
        assert!(matches!(read(&mut &long_line[..]), Err(HeadError::Truncated)));
        long_line.extend([b'b'; 100]);
        assert!(matches!(read(&mut &long_line[..]), Err(HeadError::TooLong)));
        assert!(matches!(read(&mut &b""[..]), Err(HeadError::Nothing)));
        assert!(matches!(read(&mut &[b'\n'; 200][..]), Err(HeadError::TooLong)));
    }
}
