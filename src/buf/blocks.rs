//! Blocks that send queues fill, used again by whichever connection is next.

use alloc::boxed::Box;
use alloc::vec::Vec;

/// Octets of a block: the payload of one super-segment and a little.
const LARGE: usize = 1 << 16;
/// Octets of a block for a short request, so that it costs little.
const SMALL: usize = 2048;
/// Blocks of each size that are kept: 4 MiB of large ones, which is the most that a send buffer grows
/// to, and 256 KiB of small ones.
const KEPT: [usize; 2] = [64, 128];

/// The free blocks of a stack. A queue that is drained gives its blocks back, so that an idle
/// connection holds none, and one that sends at full speed, whose queue drains again and again, causes
/// no allocation.
#[derive(Debug, Default)]
pub struct Blocks {
    large: Vec<Box<[u8]>>,
    small: Vec<Box<[u8]>>,
}

impl Blocks {
    /// A block for the octets that are about to be queued; `only` says that nothing else is queued. Its
    /// contents are whatever was in it before.
    pub(super) fn take(&mut self, octets: usize, only: bool) -> Box<[u8]> {
        let (list, size) =
            if only && octets <= SMALL { (&mut self.small, SMALL) } else { (&mut self.large, LARGE) };
        // The one that was used last: its octets are still in the cache.
        list.pop().unwrap_or_else(|| core::iter::repeat_n(0, size).collect())
    }

    /// Takes a block back.
    pub(super) fn give_back(&mut self, block: Box<[u8]>) {
        let (list, kept) =
            if block.len() == LARGE { (&mut self.large, KEPT[0]) } else { (&mut self.small, KEPT[1]) };
        if list.len() < kept {
            list.push(block);
        }
    }
}
