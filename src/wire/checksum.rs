//! The Internet checksum (RFC 1071), over pieces of any length and alignment.
//!
//! etherparse has one for headers; this one is for payloads: it sums 32-bit words into 64-bit lanes,
//! a loop that the compiler vectorises.

use core::net::IpAddr;

/// A running one's-complement sum.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum {
    sum: u64,
    /// An odd number of octets was added so far: the next goes to the low half of a word.
    odd: bool,
}

impl Sum {
    /// Nothing summed yet.
    pub const fn new() -> Self {
        Self { sum: 0, odd: false }
    }

    /// Starts from a folded sum, such as one found in a partial checksum field.
    pub const fn from_folded(sum: u16) -> Self {
        Self { sum: sum.to_be() as u64, odd: false }
    }

    /// Adds octets; pieces of odd length are joined as if they lay together.
    pub fn add(&mut self, bytes: &[u8]) {
        let piece = fold(native_sum(bytes));
        // An octet at an odd place counts in the other half of its word (RFC 1071 section 2 B).
        let piece = if self.odd { piece.swap_bytes() } else { piece };
        self.sum += u64::from(piece);
        self.odd ^= bytes.len() % 2 == 1;
    }

    /// Adds a 16-bit number in network order.
    pub fn add_u16(&mut self, n: u16) {
        self.add(&n.to_be_bytes());
    }

    /// Adds the pseudo header of RFC 9293 section 3.1 (IPv4) or RFC 8200 section 8.1 (IPv6).
    pub fn add_pseudo_header(&mut self, src: IpAddr, dst: IpAddr, protocol: u8, len: usize) {
        for addr in [src, dst] {
            match addr {
                IpAddr::V4(a) => self.add(&a.octets()),
                IpAddr::V6(a) => self.add(&a.octets()),
            }
        }
        self.add(&(len as u32).to_be_bytes());
        self.add(&[0, protocol]);
    }

    /// The sum folded to 16 bits, not complemented: what a partial checksum field holds.
    pub const fn folded(self) -> u16 {
        u16::from_be(fold(self.sum))
    }

    /// The checksum: the complement of the sum.
    pub const fn checksum(self) -> u16 {
        !self.folded()
    }
}

/// The checksum of `bytes` alone; 0 if they include a right one.
pub fn checksum(bytes: &[u8]) -> u16 {
    let mut s = Sum::new();
    s.add(bytes);
    s.checksum()
}

/// Sum of 16-bit words in memory order (the one's-complement sum does not mind the byte order as long
/// as it is the same throughout, RFC 1071 section 2 B).
fn native_sum(bytes: &[u8]) -> u64 {
    let mut sum = 0u64;
    let mut words = bytes.chunks_exact(4);
    for w in &mut words {
        sum += u64::from(u32::from_ne_bytes([w[0], w[1], w[2], w[3]]));
    }
    let rest = words.remainder();
    let mut tail = [0u8; 4];
    tail[..rest.len()].copy_from_slice(rest);
    sum + u64::from(u32::from_ne_bytes(tail))
}

const fn fold(mut sum: u64) -> u16 {
    sum = (sum & 0xffff_ffff) + (sum >> 32);
    sum = (sum & 0xffff_ffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    /// RFC 1071 section 1, word by word.
    fn by_the_text(bytes: &[u8]) -> u16 {
        let mut sum = 0u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }

    #[test]
    fn the_example_of_rfc_1071() {
        let mut s = Sum::new();
        s.add(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(s.folded(), 0xddf2);
    }

    proptest! {
        #[test]
        fn any_split_gives_what_the_text_gives(bytes: Vec<u8>, cuts: Vec<u16>) {
            let mut s = Sum::new();
            let mut rest = &bytes[..];
            for c in cuts {
                let n = c as usize % (rest.len() + 1);
                s.add(&rest[..n]);
                rest = &rest[n..];
            }
            s.add(rest);
            prop_assert_eq!(s.checksum(), by_the_text(&bytes));
        }

        #[test]
        fn a_folded_sum_goes_on_where_it_stopped(a: [u8; 8], b: Vec<u8>) {
            let mut first = Sum::new();
            first.add(&a);
            let mut resumed = Sum::from_folded(first.folded());
            resumed.add(&b);
            first.add(&b);
            prop_assert_eq!(resumed.checksum(), first.checksum());
        }
    }
}
