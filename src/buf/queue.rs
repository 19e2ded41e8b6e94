//! The chunk chains of a stream socket: what was sent and is not acknowledged, what was received and
//! is not read. While the connection is idle neither holds a buffer.

use super::{Blocks, Chunk};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bytes::Bytes;

/// Parts that a drained queue keeps room for: none would be an allocation for each flight.
const KEPT_PARTS: usize = 32;

/// Octets from the application until the peer has acknowledged them.
#[derive(Debug, Default)]
pub struct SendQueue {
    parts: VecDeque<Part>,
    /// Stream offset of the first octet kept.
    start: u64,
    /// Stream offset after the last.
    end: u64,
}

#[derive(Debug)]
struct Part {
    /// Stream offset of its first octet.
    at: u64,
    data: Data,
}

#[derive(Debug)]
enum Data {
    /// Copied from the application; `filled` octets are used.
    Block { buf: Box<[u8]>, filled: usize },
    /// Lent by the application.
    Shared(Bytes),
}

impl Part {
    fn bytes(&self) -> &[u8] {
        match &self.data {
            Data::Block { buf, filled } => &buf[..*filled],
            Data::Shared(b) => b,
        }
    }
}

impl SendQueue {
    /// Octets kept.
    pub fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// Has it none?
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Appends a copy of `bytes`, in blocks from `blocks`.
    pub fn push(&mut self, mut bytes: &[u8], blocks: &mut Blocks) {
        while !bytes.is_empty() {
            if let Some(Part { data: Data::Block { buf, filled }, .. }) = self.parts.back_mut()
                && *filled < buf.len()
            {
                let n = bytes.len().min(buf.len() - *filled);
                buf[*filled..*filled + n].copy_from_slice(&bytes[..n]);
                *filled += n;
                self.end += n as u64;
                bytes = &bytes[n..];
                continue;
            }
            let buf = blocks.take(bytes.len(), self.parts.is_empty());
            self.parts.push_back(Part { at: self.end, data: Data::Block { buf, filled: 0 } });
        }
    }

    /// Appends octets without copying them.
    pub fn push_shared(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            let at = self.end;
            self.end += bytes.len() as u64;
            self.parts.push_back(Part { at, data: Data::Shared(bytes) });
        }
    }

    /// Forgets the first `n` octets: the peer has them. Drained, it gives everything back to `blocks`.
    pub fn advance(&mut self, n: usize, blocks: &mut Blocks) {
        self.start = (self.start + n as u64).min(self.end);
        while self.parts.front().is_some_and(|p| p.at + p.bytes().len() as u64 <= self.start) {
            if let Some(Part { data: Data::Block { buf, .. }, .. }) = self.parts.pop_front() {
                blocks.give_back(buf);
            }
        }
        if self.parts.is_empty() {
            self.parts.shrink_to(KEPT_PARTS);
        }
    }

    /// The octets `offset .. offset + len` (counted from the first kept) as pieces, in order. Stops
    /// early when `out` is full; returns how many pieces were set and how many octets they hold.
    pub fn pieces<'a>(&'a self, offset: usize, len: usize, out: &mut [&'a [u8]]) -> (usize, usize) {
        let from = self.start + offset as u64;
        let mut left = len.min(self.len().saturating_sub(offset));
        let first = self.parts.partition_point(|p| p.at <= from).saturating_sub(1);
        let (mut count, mut octets) = (0, 0);
        for p in self.parts.iter().skip(first) {
            if left == 0 || count == out.len() {
                break;
            }
            let skip = from.saturating_sub(p.at) as usize;
            let bytes = p.bytes();
            let piece = &bytes[skip.min(bytes.len())..];
            let piece = &piece[..left.min(piece.len())];
            if !piece.is_empty() {
                out[count] = piece;
                count += 1;
                octets += piece.len();
                left -= piece.len();
            }
        }
        (count, octets)
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Octets from the network until the application reads them.
#[derive(Debug, Default)]
pub struct RecvQueue {
    chunks: VecDeque<Chunk>,
    len: usize,
    held: usize,
}

/// Pieces that are copied together become chunks of this many octets.
const COMPACT: usize = 1 << 16;

/// What a chunk costs beside the octets of its buffer.
const CHUNK_OVERHEAD: usize = 64;

impl RecvQueue {
    /// Octets that can be read.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Nothing to read?
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Octets of memory that the queue keeps alive: what the receive buffer is charged.
    pub fn memory(&self) -> usize {
        self.held
    }

    /// Appends what was received.
    pub fn push(&mut self, chunk: Chunk) {
        if !chunk.is_empty() {
            self.len += chunk.len();
            self.held += chunk.backing_len() + CHUNK_OVERHEAD;
            self.chunks.push_back(chunk);
        }
    }

    /// Copies many small pieces together if that frees more than half of the memory: a peer that sends
    /// octet by octet makes us hold 65 octets for each.
    pub fn compact(&mut self) {
        if self.held <= 2 * (self.len + CHUNK_OVERHEAD * (self.len / COMPACT + 1)) {
            return;
        }
        let (old, len) = (core::mem::take(&mut self.chunks), self.len);
        *self = Self::default();
        let mut block = Vec::with_capacity(len.min(COMPACT));
        for chunk in old {
            let mut rest = &chunk[..];
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rest.len().min(COMPACT - block.len()));
                block.extend_from_slice(now);
                rest = later;
                if block.len() == COMPACT {
                    self.push(Chunk::copy_from(&block));
                    block.clear();
                }
            }
        }
        self.push(Chunk::copy_from(&block));
    }

    /// Copies octets from `offset` on into `out` without removing them; returns how many.
    pub fn peek(&self, mut offset: usize, out: &mut [u8]) -> usize {
        let mut done = 0;
        for c in &self.chunks {
            if offset >= c.len() {
                offset -= c.len();
                continue;
            }
            let n = (c.len() - offset).min(out.len() - done);
            out[done..done + n].copy_from_slice(&c[offset..offset + n]);
            done += n;
            offset = 0;
            if done == out.len() {
                break;
            }
        }
        done
    }

    /// Moves the first octets into `out`; returns how many.
    pub fn read(&mut self, out: &mut [u8]) -> usize {
        let n = self.peek(0, out);
        self.consume(n);
        n
    }

    /// Takes up to `max` octets without copying, as far as they lie in one buffer.
    pub fn read_chunk(&mut self, max: usize) -> Option<Chunk> {
        let front = self.chunks.front()?;
        let n = front.len().min(max);
        let out = front.slice(0..n);
        self.consume(n);
        Some(out)
    }

    /// Forgets the first `n` octets.
    pub fn consume(&mut self, mut n: usize) {
        while n > 0 {
            let Some(front) = self.chunks.front_mut() else { break };
            let take = n.min(front.len());
            self.len -= take;
            n -= take;
            if take == front.len() {
                self.held -= front.backing_len() + CHUNK_OVERHEAD;
                self.chunks.pop_front();
            } else {
                front.advance(take);
            }
        }
        if self.chunks.is_empty() && self.chunks.capacity() > 64 {
            self.chunks.shrink_to(0);
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    proptest! {
        /// Whatever is pushed, advanced and looked at: the queue is the plain vector it models.
        #[test]
        fn the_send_queue_is_a_vector(ops in proptest::collection::vec((0u8..4, 0usize..90_000), 1..40)) {
            let (mut q, mut blocks) = (SendQueue::default(), Blocks::default());
            let mut model: Vec<u8> = vec![];
            let mut next = 0u8;
            for (op, n) in ops {
                match op {
                    0 | 1 => {
                        let data: Vec<u8> = (0..n).map(|_| { next = next.wrapping_mul(5).wrapping_add(3); next }).collect();
                        model.extend(&data);
                        if op == 0 { q.push(&data, &mut blocks) } else { q.push_shared(data.into()) }
                    }
                    2 => { let n = n.min(model.len()); q.advance(n, &mut blocks); model.drain(..n); }
                    _ => {
                        let offset = n.min(model.len());
                        let mut out = [&[][..]; 64];
                        let (count, octets) = q.pieces(offset, 70_000, &mut out);
                        let got: Vec<u8> = out[..count].concat();
                        prop_assert_eq!(got.len(), octets);
                        prop_assert_eq!(&got[..], &model[offset..offset + octets]);
                        prop_assert!(count == 64 || octets == 70_000.min(model.len() - offset));
                    }
                }
                prop_assert_eq!(q.len(), model.len());
            }
        }
    }

    #[test]
    fn a_drained_send_queue_holds_no_buffer_and_the_next_uses_it_again() {
        let (mut q, mut blocks) = (SendQueue::default(), Blocks::default());
        q.push(&[1; 200_000], &mut blocks);
        q.advance(200_000, &mut blocks);
        assert!(q.parts.is_empty());
        let first = blocks.take(60_000, true);
        let address = first.as_ptr();
        blocks.give_back(first);
        let mut other = SendQueue::default();
        other.push(&[2; 60_000], &mut blocks);
        let mut pieces = [&[][..]; 1];
        assert_eq!(other.pieces(0, 60_000, &mut pieces), (1, 60_000));
        assert_eq!((pieces[0].as_ptr(), pieces[0][0]), (address, 2));
    }

    #[test]
    fn reading_across_chunks() {
        let mut q = RecvQueue::default();
        q.push(Chunk::copy_from(b"abc"));
        q.push(Chunk::copy_from(b"defg"));
        let mut out = [0; 5];
        assert_eq!(q.peek(1, &mut out), 5);
        assert_eq!(&out, b"bcdef");
        assert_eq!(q.read(&mut out), 5);
        assert_eq!(&out, b"abcde");
        assert_eq!((q.len(), q.read_chunk(9).as_deref()), (2, Some(&b"fg"[..])));
        assert_eq!((q.len(), q.memory()), (0, 0));
    }

    #[test]
    fn compacting_changes_nothing_that_is_read() {
        let mut q = RecvQueue::default();
        let data: Vec<u8> = (0..200_000u32).map(|i| (i % 251) as u8).collect();
        for piece in data.chunks(3) {
            q.push(Chunk::copy_from(piece));
        }
        q.consume(1);
        q.compact();
        assert_eq!(q.len(), data.len() - 1);
        assert!(q.memory() <= data.len() + 4 * CHUNK_OVERHEAD, "{}", q.memory());
        let mut out = vec![0; data.len()];
        assert_eq!(q.read(&mut out), data.len() - 1);
        assert_eq!(&out[..data.len() - 1], &data[1..]);
        assert_eq!(q.memory(), 0);
    }
}
