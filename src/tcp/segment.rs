//! A segment: read from a packet, and written in front of a payload.

use crate::reason::Drop;
use crate::wire::{Seq, TcpFlags, TcpOptions};
use etherparse::TcpSlice;

/// A received segment: its header, checked and decoded. The payload stays in the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Sender's port.
    pub src_port: u16,
    /// Receiver's port.
    pub dst_port: u16,
    /// Sequence number of the first octet (or of SYN).
    pub seq: Seq,
    /// Acknowledgment number; meaningful with ACK.
    pub ack: Seq,
    /// Control bits.
    pub flags: TcpFlags,
    /// The window as it stands in the header, not scaled.
    pub window: u16,
    /// The urgent pointer; meaningful with URG.
    pub urgent: u16,
    /// Options.
    pub options: TcpOptions,
    /// Octets of the header: where the payload starts.
    pub header_len: usize,
    /// Octets of payload.
    pub payload_len: usize,
    /// How many segments on the wire this was: more than one for a super-segment.
    pub wire_segments: u32,
}

impl Segment {
    /// Reads a segment from a transport payload whose checksum was verified.
    ///
    /// # Errors
    /// [`Drop::TcpMalformed`] if the header does not fit.
    pub fn parse(bytes: &[u8], gso_size: Option<u16>) -> Result<Self, Drop> {
        let tcp = TcpSlice::from_slice(bytes).map_err(|_| Drop::TcpMalformed)?;
        let payload_len = tcp.payload().len();
        let bits = u16::from_be_bytes([bytes[12], bytes[13]]) & 0x1ff;
        Ok(Self {
            src_port: tcp.source_port(),
            dst_port: tcp.destination_port(),
            seq: Seq(tcp.sequence_number()),
            ack: Seq(tcp.acknowledgment_number()),
            flags: TcpFlags::from_bits_retain(bits),
            window: tcp.window_size(),
            urgent: tcp.urgent_pointer(),
            options: TcpOptions::parse(tcp.options()),
            header_len: tcp.header_slice().len(),
            payload_len,
            wire_segments: match gso_size {
                Some(size) if size > 0 => (payload_len as u32).div_ceil(u32::from(size)).max(1),
                _ => 1,
            },
        })
    }

    /// Has it the flag?
    pub fn has(&self, flag: TcpFlags) -> bool {
        self.flags.contains(flag)
    }

    /// SEG.LEN: payload octets, SYN and FIN counted as one each.
    pub fn seq_len(&self) -> u32 {
        self.payload_len as u32 + u32::from(self.has(TcpFlags::SYN)) + u32::from(self.has(TcpFlags::FIN))
    }

    /// The sequence number after the segment.
    pub fn end(&self) -> Seq {
        self.seq + self.seq_len()
    }

    /// The sequence number of the first payload octet.
    pub fn payload_seq(&self) -> Seq {
        self.seq + u32::from(self.has(TcpFlags::SYN))
    }
}

/// A header to write.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// Our port.
    pub src_port: u16,
    /// The peer's.
    pub dst_port: u16,
    /// Sequence number.
    pub seq: Seq,
    /// Acknowledgment number; 0 is written without ACK.
    pub ack: Seq,
    /// Control bits.
    pub flags: TcpFlags,
    /// The window as it goes into the header.
    pub window: u16,
    /// The urgent pointer.
    pub urgent: u16,
}

/// The checksum field, from the start of the TCP header.
pub const CHECKSUM_OFFSET: u16 = 16;

impl Header {
    /// Writes the header with `options` (a multiple of 4, at most 40 octets) and a checksum field of
    /// zero; returns its length, 20..=60.
    pub fn write(&self, options: &[u8], out: &mut [u8; 60]) -> usize {
        let len = 20 + options.len().min(40);
        let ack = if self.flags.contains(TcpFlags::ACK) { self.ack } else { Seq(0) };
        out[0..2].copy_from_slice(&self.src_port.to_be_bytes());
        out[2..4].copy_from_slice(&self.dst_port.to_be_bytes());
        out[4..8].copy_from_slice(&self.seq.0.to_be_bytes());
        out[8..12].copy_from_slice(&ack.0.to_be_bytes());
        let bits = self.flags.bits() | ((len as u16 / 4) << 12);
        out[12..14].copy_from_slice(&bits.to_be_bytes());
        out[14..16].copy_from_slice(&self.window.to_be_bytes());
        out[16..18].fill(0);
        out[18..20].copy_from_slice(&self.urgent.to_be_bytes());
        out[20..len].copy_from_slice(&options[..len - 20]);
        len
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::options::OptionWriter;

    #[test]
    fn what_is_written_is_read_back() {
        let h = Header {
            src_port: 1,
            dst_port: 65_535,
            seq: Seq(0xffff_fffe),
            ack: Seq(7),
            flags: TcpFlags::ACK | TcpFlags::PSH | TcpFlags::AE,
            window: 0xabcd,
            urgent: 9,
        };
        let mut options = OptionWriter::new();
        options.mss(1400);
        let mut out = [0xff; 60];
        let n = h.write(options.finish(), &mut out);
        let s = Segment::parse(&out[..n], None).unwrap();
        assert_eq!((s.src_port, s.dst_port, s.seq, s.ack), (1, 65_535, Seq(0xffff_fffe), Seq(7)));
        assert_eq!((s.flags, s.window, s.urgent, s.header_len), (h.flags, 0xabcd, 9, 24));
        assert_eq!((s.options.mss, s.seq_len(), s.end()), (Some(1400), 0, Seq(0xffff_fffe)));
    }

    #[test]
    fn a_data_offset_below_five_or_past_the_end_is_malformed() {
        let mut bytes = [0u8; 24];
        for offset in [0u8, 4, 7, 15] {
            bytes[12] = offset << 4;
            assert_eq!(Segment::parse(&bytes, None), Err(Drop::TcpMalformed), "{offset}");
        }
        assert_eq!(Segment::parse(&bytes[..19], None), Err(Drop::TcpMalformed));
    }
}
