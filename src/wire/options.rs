//! TCP options: read what is well formed, ignore the rest, write in the layout asked for.
//!
//! RFC 9293 section 3.1 (EOL, NOP, MSS), RFC 7323 (window scale, timestamps), RFC 2018 (SACK).

use super::Seq;

/// The largest number of SACK blocks that fit 40 octets of options.
pub const MAX_SACK_BLOCKS: usize = 4;

/// A block of a SACK option: received octets `start..end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SackBlock {
    /// First sequence number of the block.
    pub start: Seq,
    /// The sequence number after the last.
    pub end: Seq,
}

/// A timestamps option (RFC 7323 section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Timestamps {
    /// TSval: the sender's clock.
    pub value: u32,
    /// TSecr: the last TSval the sender received.
    pub echo: u32,
}

/// The options of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct TcpOptions {
    /// Maximum segment size (on SYN only).
    pub mss: Option<u16>,
    /// Window scale shift as sent, 0..=255 (on SYN only); RFC 7323 takes more than 14 as 14.
    pub window_scale: Option<u8>,
    /// SACK permitted (on SYN only).
    pub sack_permitted: bool,
    /// Timestamps.
    pub timestamps: Option<Timestamps>,
    sack: [SackBlock; MAX_SACK_BLOCKS],
    sack_len: u8,
}

/// Option kinds.
mod kind {
    pub(super) const EOL: u8 = 0;
    pub(super) const NOP: u8 = 1;
    pub(super) const MSS: u8 = 2;
    pub(super) const WINDOW_SCALE: u8 = 3;
    pub(super) const SACK_PERMITTED: u8 = 4;
    pub(super) const SACK: u8 = 5;
    pub(super) const TIMESTAMPS: u8 = 8;
}

impl TcpOptions {
    /// The SACK blocks, in the order sent.
    pub fn sack_blocks(&self) -> &[SackBlock] {
        &self.sack[..self.sack_len as usize]
    }

    /// Adds a SACK block; false if there is no room.
    pub fn push_sack(&mut self, block: SackBlock) -> bool {
        let n = self.sack_len as usize;
        if n == MAX_SACK_BLOCKS {
            return false;
        }
        self.sack[n] = block;
        self.sack_len += 1;
        true
    }

    /// Reads the options of a segment. An option of the wrong length is skipped by its length octet;
    /// a length below 2 or beyond the end stops the reading (RFC 9293 MUST-7). The last of several
    /// equal options counts, as in Linux.
    pub fn parse(mut bytes: &[u8]) -> Self {
        let mut out = Self::default();
        while let [k, rest @ ..] = bytes {
            match *k {
                kind::EOL => break,
                kind::NOP => {
                    bytes = rest;
                    continue;
                }
                _ => {}
            }
            let Some(&len) = rest.first() else { break };
            let len = len as usize;
            if len < 2 || len > bytes.len() {
                break;
            }
            out.take(*k, &bytes[2..len]);
            bytes = &bytes[len..];
        }
        out
    }

    fn take(&mut self, k: u8, body: &[u8]) {
        match (k, body) {
            (kind::MSS, &[a, b]) => self.mss = Some(u16::from_be_bytes([a, b])),
            (kind::WINDOW_SCALE, &[s]) => self.window_scale = Some(s),
            (kind::SACK_PERMITTED, &[]) => self.sack_permitted = true,
            (kind::TIMESTAMPS, &[a, b, c, d, e, f, g, h]) => {
                self.timestamps = Some(Timestamps {
                    value: u32::from_be_bytes([a, b, c, d]),
                    echo: u32::from_be_bytes([e, f, g, h]),
                });
            }
            (kind::SACK, blocks) if !blocks.is_empty() && blocks.len().is_multiple_of(8) => {
                self.sack_len = 0;
                for b in blocks.chunks_exact(8) {
                    self.push_sack(SackBlock {
                        start: Seq(u32::from_be_bytes([b[0], b[1], b[2], b[3]])),
                        end: Seq(u32::from_be_bytes([b[4], b[5], b[6], b[7]])),
                    });
                }
            }
            _ => {}
        }
    }
}

/// Options being written: at most 40 octets, always a multiple of four when [`finish`](Self::finish)ed.
#[derive(Clone, Copy, Debug)]
pub struct OptionWriter {
    buf: [u8; 40],
    len: usize,
}

impl Default for OptionWriter {
    fn default() -> Self {
        Self { buf: [0; 40], len: 0 }
    }
}

impl OptionWriter {
    /// No options yet.
    pub fn new() -> Self {
        Self::default()
    }

    fn put(&mut self, bytes: &[u8]) -> &mut Self {
        if let Some(room) = self.buf.get_mut(self.len..self.len + bytes.len()) {
            room.copy_from_slice(bytes);
            self.len += bytes.len();
        }
        self
    }

    /// Octets that are still free.
    pub fn room(&self) -> usize {
        self.buf.len() - self.len
    }

    /// `nop`
    pub fn nop(&mut self) -> &mut Self {
        self.put(&[kind::NOP])
    }

    /// `mss`
    pub fn mss(&mut self, mss: u16) -> &mut Self {
        let [a, b] = mss.to_be_bytes();
        self.put(&[kind::MSS, 4, a, b])
    }

    /// `wscale`
    pub fn window_scale(&mut self, shift: u8) -> &mut Self {
        self.put(&[kind::WINDOW_SCALE, 3, shift])
    }

    /// `sackOK`
    pub fn sack_permitted(&mut self) -> &mut Self {
        self.put(&[kind::SACK_PERMITTED, 2])
    }

    /// `TS val ecr`
    pub fn timestamps(&mut self, ts: Timestamps) -> &mut Self {
        self.put(&[kind::TIMESTAMPS, 10]).put(&ts.value.to_be_bytes()).put(&ts.echo.to_be_bytes())
    }

    /// `sack`, as many blocks as there is room for.
    pub fn sack(&mut self, blocks: &[SackBlock]) -> &mut Self {
        let fit = blocks.len().min(self.room().saturating_sub(2) / 8).min(MAX_SACK_BLOCKS);
        if fit > 0 {
            self.put(&[kind::SACK, 2 + 8 * fit as u8]);
            for b in &blocks[..fit] {
                self.put(&b.start.0.to_be_bytes()).put(&b.end.0.to_be_bytes());
            }
        }
        self
    }

    /// Pads with EOL to a multiple of four and gives the octets.
    pub fn finish(&mut self) -> &[u8] {
        self.len = self.len.next_multiple_of(4);
        &self.buf[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_lengths_are_survived() {
        for bytes in
            [&[2, 0][..], &[2, 1], &[2], &[8, 10, 0, 0], &[5, 9, 0, 0, 0, 0, 0, 0, 0], &[1; 40], &[254, 40]]
        {
            assert_eq!(TcpOptions::parse(bytes), TcpOptions::default(), "{bytes:?}");
        }
    }

    #[test]
    fn an_option_of_wrong_length_is_skipped_and_the_next_is_read() {
        let o = TcpOptions::parse(&[2, 3, 5, 77, 2, 4, 5, 0xb4]);
        // 2,3,5 is an MSS of length 3; 77,2 an unknown option; then a good MSS.
        assert_eq!(o.mss, None);
        let o = TcpOptions::parse(&[2, 3, 5, 1, 2, 4, 5, 0xb4]);
        assert_eq!(o.mss, Some(1460));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let ts = Timestamps { value: 1, echo: 2 };
        let mut w = OptionWriter::new();
        w.mss(1460).sack_permitted().timestamps(ts).nop().window_scale(7);
        let o = TcpOptions::parse(w.finish());
        assert_eq!(
            (o.mss, o.window_scale, o.sack_permitted, o.timestamps),
            (Some(1460), Some(7), true, Some(ts))
        );
        assert_eq!(w.len, 20);
    }
}
