//! The timers of the current millisecond and of the past: a binary heap of entry numbers. Each entry
//! knows its position (its field `prev`), so that one in the middle can be taken out.

use super::Entry;
use alloc::vec::Vec;

#[derive(Clone, Debug, Default)]
pub(super) struct Due(Vec<u32>);

impl Due {
    /// The earliest entry.
    pub(super) fn top(&self) -> Option<u32> {
        self.0.first().copied()
    }

    pub(super) fn push<K>(&mut self, entries: &mut [Entry<K>], index: u32) {
        let at = self.0.len();
        self.0.push(index);
        entries[index as usize].prev = at as u32;
        self.up(entries, at);
    }

    /// Removes what is at a position.
    pub(super) fn remove<K>(&mut self, entries: &mut [Entry<K>], at: usize) {
        self.0.swap_remove(at);
        if let Some(&moved) = self.0.get(at) {
            entries[moved as usize].prev = at as u32;
            self.down(entries, at);
            self.up(entries, at);
        }
    }

    fn up<K>(&mut self, entries: &mut [Entry<K>], mut at: usize) {
        while at > 0 {
            let parent = (at - 1) / 2;
            if !self.earlier(entries, at, parent) {
                return;
            }
            self.swap(entries, at, parent);
            at = parent;
        }
    }

    fn down<K>(&mut self, entries: &mut [Entry<K>], mut at: usize) {
        loop {
            let mut least = 2 * at + 1;
            if least >= self.0.len() {
                return;
            }
            if least + 1 < self.0.len() && self.earlier(entries, least + 1, least) {
                least += 1;
            }
            if !self.earlier(entries, least, at) {
                return;
            }
            self.swap(entries, at, least);
            at = least;
        }
    }

    fn earlier<K>(&self, entries: &[Entry<K>], a: usize, b: usize) -> bool {
        let key = |n: usize| {
            let e = &entries[self.0[n] as usize];
            (e.at, e.order)
        };
        key(a) < key(b)
    }

    fn swap<K>(&mut self, entries: &mut [Entry<K>], a: usize, b: usize) {
        self.0.swap(a, b);
        entries[self.0[a] as usize].prev = a as u32;
        entries[self.0[b] as usize].prev = b as u32;
    }
}
