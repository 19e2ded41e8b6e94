//! A range of reference-counted octets.

use alloc::sync::Arc;
use core::fmt;
use core::ops::{Deref, Range};

/// Shared, immutable octets: a range of a reference-counted buffer. Cloning and slicing copy nothing.
#[derive(Clone)]
pub struct Chunk {
    buf: Arc<[u8]>,
    start: u32,
    end: u32,
}

impl Chunk {
    /// A chunk of its own with a copy of `bytes`. At most 4 GiB - 1.
    pub fn copy_from(bytes: &[u8]) -> Self {
        Self::from_arc(Arc::from(bytes), 0..bytes.len())
    }

    /// A range of a shared buffer; a range outside it is cut to it.
    pub(crate) fn from_arc(buf: Arc<[u8]>, range: Range<usize>) -> Self {
        let end = range.end.min(buf.len()).min(u32::MAX as usize);
        let start = range.start.min(end);
        Self { buf, start: start as u32, end: end as u32 }
    }

    /// How many octets.
    pub fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// Has it none?
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The octets of the whole buffer that this chunk keeps alive.
    pub fn backing_len(&self) -> usize {
        self.buf.len()
    }

    /// A part of this chunk, sharing its buffer; a range outside it is cut to it.
    pub fn slice(&self, range: Range<usize>) -> Self {
        let end = range.end.min(self.len());
        let start = range.start.min(end);
        Self { buf: self.buf.clone(), start: self.start + start as u32, end: self.start + end as u32 }
    }

    /// Drops the first `n` octets (all, if there are fewer).
    pub fn advance(&mut self, n: usize) {
        self.start += n.min(self.len()) as u32;
    }

    /// Keeps the first `n` octets.
    pub fn truncate(&mut self, n: usize) {
        self.end = self.start + n.min(self.len()) as u32;
    }
}

impl Deref for Chunk {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.buf[self.start as usize..self.end as usize]
    }
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chunk({} of {})", self.len(), self.backing_len())
    }
}
