//! The input as a source of decisions: octets in the order in which they stand, zeros after the end.
//!
//! (`arbitrary` takes lengths from the end of the input. Here seeds are written by hand and by
//! `examples/seeds.rs`, and a mutation near the front must not change what everything behind it means.)

/// Takes decisions from an input.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    /// All of `data`.
    pub fn new(data: &'a [u8]) -> Self {
        Self { rest: data }
    }

    /// Nothing is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next octet.
    pub fn u8(&mut self) -> u8 {
        let Some((&first, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        first
    }

    /// The next two octets.
    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes([self.u8(), self.u8()])
    }

    /// The next four octets.
    pub fn u32(&mut self) -> u32 {
        u32::from(self.u16()) << 16 | u32::from(self.u16())
    }

    /// A number below `n`, which is not 0, from one octet or, if `n` needs it, two.
    pub fn below(&mut self, n: usize) -> usize {
        let v = if n <= 256 { usize::from(self.u8()) } else { usize::from(self.u16()) };
        v % n
    }

    /// True in half of all cases.
    pub fn bool(&mut self) -> bool {
        self.u8() & 1 == 1
    }

    /// The next `n` octets, or what is left of them.
    pub fn bytes(&mut self, n: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(n.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    /// A duration in microseconds, from one octet: 0, 1 us, ... 45 minutes, evenly in the logarithm.
    pub fn micros(&mut self) -> u64 {
        let v = u64::from(self.u8());
        let (octave, step) = (v >> 3, v & 7);
        if octave == 0 { step } else { (8 + step) << (octave - 1).min(28) }
    }
}
