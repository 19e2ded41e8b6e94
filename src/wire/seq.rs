//! TCP sequence numbers: 32 bits that wrap (RFC 9293 section 3.4).
//!
//! `Seq` is not `Ord`: on a circle "less" has no meaning without saying around where. It offers
//! `before`, `after` and `distance` instead, and nothing on it panics.

use core::fmt;
use core::ops::{Add, AddAssign, Sub};

/// A sequence number, modulo 2^32.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Seq(pub u32);

impl Seq {
    /// Is `self` before `other` on the circle, i.e. less than 2^31 behind it?
    pub const fn before(self, other: Self) -> bool {
        (self.0.wrapping_sub(other.0) as i32) < 0
    }

    /// Is `self` after `other` on the circle?
    pub const fn after(self, other: Self) -> bool {
        other.before(self)
    }

    /// `self` is `other` or before it.
    pub const fn at_or_before(self, other: Self) -> bool {
        !other.before(self)
    }

    /// `self` is `other` or after it.
    pub const fn at_or_after(self, other: Self) -> bool {
        !self.before(other)
    }

    /// Octets from `start` to `self`, going forward: `self - start` modulo 2^32.
    pub const fn distance(self, start: Self) -> u32 {
        self.0.wrapping_sub(start.0)
    }

    /// Octets from `start` to `self` as a signed number in -2^31 .. 2^31.
    pub const fn offset_from(self, start: Self) -> i32 {
        self.0.wrapping_sub(start.0) as i32
    }

    /// Does `self` lie in the half-open range that starts at `start` and holds `len` octets?
    pub const fn in_range(self, start: Self, len: u32) -> bool {
        self.distance(start) < len
    }

    /// The earlier of two.
    pub const fn earliest(self, other: Self) -> Self {
        if other.before(self) { other } else { self }
    }

    /// The later of two.
    pub const fn latest(self, other: Self) -> Self {
        if other.after(self) { other } else { self }
    }
}

impl Add<u32> for Seq {
    type Output = Self;
    fn add(self, n: u32) -> Self {
        Self(self.0.wrapping_add(n))
    }
}

impl AddAssign<u32> for Seq {
    fn add_assign(&mut self, n: u32) {
        *self = *self + n;
    }
}

impl Sub<u32> for Seq {
    type Output = Self;
    fn sub(self, n: u32) -> Self {
        Self(self.0.wrapping_sub(n))
    }
}

impl fmt::Debug for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
