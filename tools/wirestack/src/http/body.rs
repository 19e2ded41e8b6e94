//! Message bodies: of known length, in chunks (RFC 9112 section 7.1), or until the peer closes.

use std::io::{self, BufRead, Read};

/// Reads one message body and not an octet more. A body that ends early is an error, not an end.
#[derive(Debug)]
pub struct BodyReader<R> {
    input: R,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Length(u64),
    UntilClose,
    ChunkSize,
    Chunk(u64),
    Trailer,
    Done,
}

/// Longest line of chunk size and extensions, and of a trailer field.
const MAX_LINE: u64 = 4096;
/// Trailer fields.
const MAX_TRAILERS: usize = 64;

impl<R: BufRead> BodyReader<R> {
    /// A body of so many octets.
    pub fn with_length(input: R, len: u64) -> Self {
        Self { input, state: if len == 0 { State::Done } else { State::Length(len) } }
    }

    /// A chunked body.
    pub fn chunked(input: R) -> Self {
        Self { input, state: State::ChunkSize }
    }

    /// Everything until the peer closes.
    pub fn until_close(input: R) -> Self {
        Self { input, state: State::UntilClose }
    }

    fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        (&mut self.input).take(MAX_LINE).read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            return Err(if line.len() as u64 + 1 >= MAX_LINE {
                malformed("a line of the chunked body is too long")
            } else {
                truncated()
            });
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(line)
    }

    fn next_chunk(&mut self) -> io::Result<State> {
        let line = self.line()?;
        let digits = line.split(|&b| b == b';').next().unwrap_or_default().trim_ascii();
        let valid = !digits.is_empty() && digits.len() <= 16 && digits.iter().all(u8::is_ascii_hexdigit);
        let text = std::str::from_utf8(digits).ok().filter(|_| valid);
        let size = text.and_then(|t| u64::from_str_radix(t, 16).ok());
        match size.ok_or_else(|| malformed("a chunk has no size"))? {
            0 => Ok(State::Trailer),
            n => Ok(State::Chunk(n)),
        }
    }

    fn skip_trailer(&mut self) -> io::Result<State> {
        for _ in 0..MAX_TRAILERS {
            if self.line()?.is_empty() {
                return Ok(State::Done);
            }
        }
        Err(malformed("there are too many trailer fields"))
    }

    fn take(&mut self, buf: &mut [u8], left: u64) -> io::Result<usize> {
        let n = buf.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        match self.input.read(&mut buf[..n])? {
            0 => Err(truncated()),
            n => Ok(n),
        }
    }
}

fn truncated() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the peer closed before the body was complete")
}

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl<R: BufRead> Read for BodyReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        loop {
            match self.state {
                State::Done => return Ok(0),
                State::UntilClose => return self.input.read(buf),
                State::Length(left) => {
                    let n = self.take(buf, left)?;
                    let left = left - n as u64;
                    self.state = if left == 0 { State::Done } else { State::Length(left) };
                    return Ok(n);
                }
                State::Chunk(left) => {
                    let n = self.take(buf, left)?;
                    let left = left - n as u64;
                    self.state = State::Chunk(left);
                    if left == 0 {
                        if !self.line()?.is_empty() {
                            return Err(malformed("a chunk is longer than its size"));
                        }
                        self.state = State::ChunkSize;
                    }
                    return Ok(n);
                }
                State::ChunkSize => self.state = self.next_chunk()?,
                State::Trailer => self.state = self.skip_trailer()?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mut body: BodyReader<&[u8]>) -> Result<(Vec<u8>, usize), io::ErrorKind> {
        let mut out = Vec::new();
        body.read_to_end(&mut out).map_err(|e| e.kind())?;
        Ok((out, body.input.len()))
    }

    #[test]
    fn chunks_with_extensions_and_trailers() {
        let text = b"5;a=b\r\nhello\r\n6 \r\n world\r\n0\r\nX: y\r\n\r\nnext";
        assert_eq!(read(BodyReader::chunked(text)), Ok((b"hello world".to_vec(), 4)));
    }

    #[test]
    fn broken_chunks_are_errors() {
        use io::ErrorKind::{InvalidData, UnexpectedEof};
        let long = [b'1'; 5000];
        for (text, kind) in [
            (&b"5\r\nhel"[..], UnexpectedEof),
            (b"5\r\nhello\r\n", UnexpectedEof),
            (b"5\r\nhello\r\n0\r\n", UnexpectedEof),
            (b"4\r\nhello\r\n0\r\n\r\n", InvalidData),
            (b"-1\r\n\r\n", InvalidData),
            (b"\r\n", InvalidData),
            (b"11111111111111111\r\n", InvalidData),
            (&long, InvalidData),
        ] {
            assert_eq!(read(BodyReader::chunked(text)), Err(kind), "{}", text.escape_ascii());
        }
        let endless = [&b"0\r\n"[..], &b"a: b\r\n".repeat(100)].concat();
        assert_eq!(read(BodyReader::chunked(&endless)), Err(InvalidData));
    }

    #[test]
    fn a_known_length_is_kept() {
        assert_eq!(read(BodyReader::with_length(&b"hello, next"[..], 5)), Ok((b"hello".to_vec(), 6)));
        assert_eq!(read(BodyReader::with_length(&b"hel"[..], 5)), Err(io::ErrorKind::UnexpectedEof));
        assert_eq!(read(BodyReader::with_length(&b"next"[..], 0)), Ok((Vec::new(), 4)));
        assert_eq!(read(BodyReader::until_close(&b"all"[..])), Ok((b"all".to_vec(), 0)));
    }
}
