//! Octets to send: any amount of them from a seed, without a file, and different everywhere, so that
//! a segment that is lost, doubled or swapped shows.

use std::io::{self, ErrorKind, Read, Write};

/// A stream of `len` pseudo-random octets. The same seed gives the same octets; a position is found
/// by arithmetic, so that any part can be made or checked by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    seed: u64,
    at: u64,
    len: u64,
}

impl Pattern {
    /// `len` octets from `seed`.
    pub const fn new(seed: u64, len: u64) -> Self {
        Self { seed, at: 0, len }
    }

    /// How many octets are left.
    pub const fn remaining(&self) -> u64 {
        self.len - self.at
    }

    /// Compares `data` with the next octets and moves past them.
    ///
    /// # Errors
    /// "Invalid data" with the position, if an octet differs or there are more than `len`.
    pub fn check(&mut self, data: &[u8]) -> io::Result<()> {
        let start = self.at;
        if data.len() as u64 > self.remaining() {
            let extra = data.len() as u64 - self.remaining();
            return Err(io::Error::new(ErrorKind::InvalidData, format!("{extra} octets after the end")));
        }
        let mut expected = [0; 4096];
        for (i, piece) in data.chunks(expected.len()).enumerate() {
            self.fill(&mut expected[..piece.len()]);
            if let Some(k) = piece.iter().zip(&expected).position(|(a, b)| a != b) {
                let at = start + (i * expected.len() + k) as u64;
                return Err(io::Error::new(ErrorKind::InvalidData, format!("octet {at} is wrong")));
            }
        }
        Ok(())
    }

    /// Writes all that is left to `out`.
    ///
    /// # Errors
    /// What `out` fails with.
    pub fn write_to(mut self, out: &mut impl Write) -> io::Result<()> {
        let mut buf = vec![0; 256 << 10];
        while self.remaining() > 0 {
            let n = self.read(&mut buf)?;
            out.write_all(&buf[..n])?;
        }
        Ok(())
    }

    /// Fills `out`, whose length is within what remains.
    fn fill(&mut self, mut out: &mut [u8]) {
        while !out.is_empty() {
            let offset = (self.at % 8) as usize;
            if offset == 0 && out.len() >= 8 {
                let whole = out.len() / 8;
                let (words, rest) = out.split_at_mut(whole * 8);
                for (i, word) in words.chunks_exact_mut(8).enumerate() {
                    word.copy_from_slice(&self.word(self.at / 8 + i as u64).to_le_bytes());
                }
                self.at += (whole * 8) as u64;
                out = rest;
            } else {
                let word = self.word(self.at / 8).to_le_bytes();
                let n = out.len().min(8 - offset);
                out[..n].copy_from_slice(&word[offset..offset + n]);
                self.at += n as u64;
                out = &mut out[n..];
            }
        }
    }

    /// The `i`th eight octets: SplitMix64 (Steele, Lea, Flood 2014).
    const fn word(&self, i: u64) -> u64 {
        let mut z = self.seed.wrapping_add(i.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl Read for Pattern {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = usize::try_from(self.remaining()).unwrap_or(usize::MAX).min(buf.len());
        self.fill(&mut buf[..n]);
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_way_of_reading_gives_the_same_octets() {
        let mut whole = Vec::new();
        Pattern::new(7, 1000).read_to_end(&mut whole).unwrap();
        assert_eq!(whole.len(), 1000);
        let (mut pattern, mut parts) = (Pattern::new(7, 1000), Vec::new());
        for n in (1..=13).cycle() {
            let mut buf = vec![0; n];
            let n = pattern.read(&mut buf).unwrap();
            parts.extend_from_slice(&buf[..n]);
            if n == 0 {
                break;
            }
        }
        assert_eq!(parts, whole);
        Pattern::new(7, 1000).check(&whole).unwrap();
    }

    #[test]
    fn a_wrong_octet_is_found_and_named() {
        let mut data = Vec::new();
        Pattern::new(1, 10_000).read_to_end(&mut data).unwrap();
        data[9_001] ^= 1;
        let e = Pattern::new(1, 10_000).check(&data).unwrap_err();
        assert_eq!(e.to_string(), "octet 9001 is wrong");
        assert!(
            Pattern::new(1, 9_999).check(&data).unwrap_err().to_string().contains("1 octets after the end")
        );
    }
}
