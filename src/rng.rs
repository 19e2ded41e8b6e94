//! Randomness from a seed: SipHash-2-4 of a counter, keyed with the secret of the configuration.
//!
//! The machine has no randomness of its own (DESIGN D1). Two machines with the same seed and the
//! same inputs behave the same, bit by bit; a peer who does not know the secret cannot predict it.

use core::hash::Hasher;
use siphasher::sip::SipHasher24;

/// A seeded generator, and the keyed hash that sequence numbers, ports and tables share.
#[derive(Clone, Debug)]
pub struct Rng {
    key: (u64, u64),
    counter: u64,
}

impl Rng {
    /// A generator keyed with `secret` (128 bits). Same secret, same numbers.
    pub fn new(secret: [u64; 2]) -> Self {
        Self { key: (secret[0], secret[1]), counter: 0 }
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.counter = self.counter.wrapping_add(1);
        let mut h = SipHasher24::new_with_keys(self.key.0, self.key.1);
        h.write_u64(self.counter);
        h.finish()
    }

    /// The next 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }

    /// A number in `0..bound`; 0 for `bound` 0. The bias is below 2^-32.
    pub fn below(&mut self, bound: u32) -> u32 {
        ((u64::from(self.next_u32()) * u64::from(bound)) >> 32) as u32
    }

    /// A keyed hash for one purpose: the hasher is keyed with the secret and with `purpose`, so that
    /// what one purpose shows on the wire tells nothing about another.
    pub fn keyed(&self, purpose: u64) -> SipHasher24 {
        SipHasher24::new_with_keys(self.key.0 ^ purpose.rotate_left(32), self.key.1.wrapping_add(purpose))
    }

    /// A key for a table that wants its own.
    pub fn derive_key(&mut self) -> (u64, u64) {
        (self.next_u64(), self.next_u64())
    }
}
