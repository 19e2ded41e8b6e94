//! Buffers that devices read into, used again once nobody holds a part of them.

use super::Chunk;
use alloc::collections::VecDeque;
use alloc::sync::Arc;

/// A pool of equally large buffers.
///
/// The pool keeps a reference to every buffer it lends. A buffer whose other references are gone is
/// lent again, so in steady state taking one allocates nothing. Receive queues are first in, first
/// out: the buffer that was lent first is nearly always the one that is free first, and looking at
/// the front few is enough.
#[derive(Debug)]
pub struct Pool {
    size: usize,
    limit: usize,
    slots: VecDeque<Arc<[u8]>>,
}

/// How many lent buffers [`Pool::take`] looks at before it makes a new one.
const LOOK: usize = 4;

impl Pool {
    /// A pool of buffers of `size` octets that remembers at most `limit` of them. Buffers beyond the
    /// limit are made and given back to the allocator as needed.
    pub fn new(size: usize, limit: usize) -> Self {
        Self { size, limit, slots: VecDeque::new() }
    }

    /// The size of its buffers, in octets.
    pub fn buffer_size(&self) -> usize {
        self.size
    }

    /// A buffer that nobody else holds. Its contents are whatever was in it before.
    pub fn take(&mut self) -> PoolBuf {
        for _ in 0..LOOK.min(self.slots.len()) {
            let Some(mut arc) = self.slots.pop_front() else { break };
            if Arc::get_mut(&mut arc).is_some() {
                return PoolBuf { arc };
            }
            self.slots.push_back(arc);
        }
        PoolBuf { arc: core::iter::repeat_n(0u8, self.size).collect() }
    }

    /// Makes the first `len` octets of a filled buffer a chunk, and keeps the buffer for later use.
    pub fn freeze(&mut self, buf: PoolBuf, len: usize) -> Chunk {
        if self.slots.len() < self.limit {
            self.slots.push_back(buf.arc.clone());
        }
        Chunk::from_arc(buf.arc, 0..len)
    }

    /// Takes an unused buffer back.
    pub fn give_back(&mut self, buf: PoolBuf) {
        if self.slots.len() < self.limit {
            self.slots.push_front(buf.arc);
        }
    }
}

/// A buffer of a [`Pool`] that only the holder can see: writable.
#[derive(Debug)]
pub struct PoolBuf {
    arc: Arc<[u8]>,
}

impl PoolBuf {
    /// The octets to write into.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // The pool hands out a buffer only when it holds the one reference.
        Arc::get_mut(&mut self.arc).unwrap_or_default()
    }
}
