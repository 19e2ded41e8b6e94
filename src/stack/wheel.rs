//! The timer wheel: every deadline of a stack, one entry a connection.
//!
//! A hierarchical timing wheel (Varghese and Lauck 1987, scheme 7): eight levels of 64 slots, the
//! lowest of 1 ms, each further 64 times wider; together they span every [`Instant`]. An entry
//! lies on the level of the highest group of six bits in which its millisecond differs from the
//! position `cur` of the wheel, so arming and disarming touch one list and nothing else.
//!
//! ```text
//!   level 1   ..|  64 ms  |  64 ms  |  64 ms  |..      a slot is emptied onto the levels below
//!                    |                                  when cur comes to its beginning
//!   level 0        |1|1|1|1|1|1| ... |1|
//!                     |                                 the slot of one millisecond goes into
//!   due              heap: at most this millisecond     the heap, which knows the exact order
//! ```
//!
//! Everything at or before `cur` is in the heap, everything later in a slot; so the earliest entry is
//! the top of the heap, if it has any. Deadlines are exact to the nanosecond: nothing fires early,
//! and nothing waits for its slot to pass.

mod due;
#[cfg(test)]
mod tests;

use crate::time::Instant;
use alloc::boxed::Box;
use alloc::vec::Vec;
use due::Due;

const LEVELS: usize = 8;
const SLOTS: usize = 64;
/// No entry.
const NIL: u32 = u32::MAX;

/// A handle to an armed timer. Once it has fired or was cancelled, the handle is stale and does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerId {
    index: u32,
    generation: u32,
}

/// Where an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Free,
    /// In the heap.
    Due,
    /// In the slot of that number, `level * 64 + slot`.
    Slot(u16),
}

#[derive(Clone, Debug)]
struct Entry<K> {
    at: Instant,
    /// Order of arming, for entries with the same deadline.
    order: u64,
    key: K,
    generation: u32,
    place: Place,
    /// The neighbours in a slot; `prev` is the position in the heap, `next` the next free entry.
    prev: u32,
    next: u32,
}

/// The timers of a stack, each with a key that is handed back when it expires.
#[derive(Clone, Debug)]
pub struct TimerWheel<K> {
    entries: Vec<Entry<K>>,
    free: u32,
    heads: Box<[[u32; SLOTS]; LEVELS]>,
    /// Which slots of a level have entries.
    used: [u64; LEVELS],
    due: Due,
    /// The millisecond up to which entries are in the heap. It never goes back.
    cur: u64,
    order: u64,
    len: usize,
    #[cfg(test)]
    steps: u64,
}

impl<K: Copy> TimerWheel<K> {
    /// An empty wheel that stands at `now`.
    pub fn new(now: Instant) -> Self {
        Self {
            entries: Vec::new(),
            free: NIL,
            heads: Box::new([[NIL; SLOTS]; LEVELS]),
            used: [0; LEVELS],
            due: Due::default(),
            cur: now.as_millis(),
            order: 0,
            len: 0,
            #[cfg(test)]
            steps: 0,
        }
    }

    /// Armed timers.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Is none armed?
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Arms a timer. A deadline in the past expires at the next [`Self::pop_expired`]. O(1), or O(log n) in
    /// the number of timers of the current millisecond if it is one of them.
    pub fn insert(&mut self, at: Instant, key: K) -> TimerId {
        let index = self.allocate(at, key);
        self.len += 1;
        self.place(index);
        TimerId { index, generation: self.entries[index as usize].generation }
    }

    /// Disarms a timer and gives its key; `None` if it has already fired or was cancelled.
    pub fn cancel(&mut self, id: TimerId) -> Option<K> {
        let index = self.live(id)?;
        self.unlink(index);
        Some(self.release(index))
    }

    /// Moves a timer to another deadline; its id stays. Among equal deadlines it counts as armed now.
    /// False if it has already fired or was cancelled.
    pub fn reschedule(&mut self, id: TimerId, at: Instant) -> bool {
        let Some(index) = self.live(id) else { return false };
        self.unlink(index);
        self.order += 1;
        let e = &mut self.entries[index as usize];
        e.at = at;
        e.order = self.order;
        self.place(index);
        true
    }

    /// The deadline of a timer that is armed.
    pub fn deadline(&self, id: TimerId) -> Option<Instant> {
        self.live(id).map(|i| self.entries[i as usize].at)
    }

    /// Removes a timer whose deadline is at or before `now` and gives its key: the earliest, among
    /// equal deadlines the one armed first. `None` if there is none.
    pub fn pop_expired(&mut self, now: Instant) -> Option<K> {
        let tick = now.as_millis();
        loop {
            if let Some(top) = self.due.top() {
                if self.entries[top as usize].at > now {
                    return None;
                }
                self.unlink(top);
                return Some(self.release(top));
            }
            match self.next_slot() {
                Some((level, slot, begins)) if begins <= tick => self.empty_slot(level, slot, begins),
                // Every slot up to the time is empty, so the wheel may go there in one step.
                _ => {
                    self.cur = self.cur.max(tick);
                    return None;
                }
            }
        }
    }

    /// When to call [`Self::pop_expired`] next; `None` if no timer is armed. Never later than the
    /// earliest deadline. Exact if that is in the current 64 ms (aligned); else at the latest when
    /// its slot begins, and after a call at that time it is nearer: at most seven such calls lead to a timer.
    pub fn next_deadline(&mut self) -> Option<Instant> {
        if self.due.top().is_none() {
            let (level, slot, begins) = self.next_slot()?;
            if level > 0 {
                return Some(Instant::from_millis(begins));
            }
            // Within a block of 64 ms the wheel may run ahead of the time: what is armed for before it
            // goes to the heap, which orders it.
            self.empty_slot(level, slot, begins);
        }
        self.due.top().map(|top| self.entries[top as usize].at)
    }

    fn live(&self, id: TimerId) -> Option<u32> {
        let e = self.entries.get(id.index as usize)?;
        (e.generation == id.generation && e.place != Place::Free).then_some(id.index)
    }

    fn allocate(&mut self, at: Instant, key: K) -> u32 {
        self.order += 1;
        let order = self.order;
        if self.free != NIL {
            let index = self.free;
            let e = &mut self.entries[index as usize];
            self.free = e.next;
            (e.at, e.order, e.key) = (at, order, key);
            return index;
        }
        let index = self.entries.len() as u32;
        self.entries.push(Entry { at, order, key, generation: 0, place: Place::Free, prev: NIL, next: NIL });
        index
    }

    fn release(&mut self, index: u32) -> K {
        let e = &mut self.entries[index as usize];
        e.place = Place::Free;
        e.generation = e.generation.wrapping_add(1);
        e.next = self.free;
        self.free = index;
        self.len -= 1;
        e.key
    }

    /// Puts an entry where its deadline belongs.
    fn place(&mut self, index: u32) {
        self.count_step();
        let tick = self.entries[index as usize].at.as_millis();
        if tick <= self.cur {
            self.entries[index as usize].place = Place::Due;
            self.due.push(&mut self.entries, index);
            return;
        }
        let level = (63 - (tick ^ self.cur).leading_zeros()) as usize / 6;
        let slot = (tick >> (6 * level)) as usize % SLOTS;
        let head = core::mem::replace(&mut self.heads[level][slot], index);
        self.used[level] |= 1 << slot;
        let e = &mut self.entries[index as usize];
        e.place = Place::Slot((level * SLOTS + slot) as u16);
        (e.prev, e.next) = (NIL, head);
        if head != NIL {
            self.entries[head as usize].prev = index;
        }
    }

    /// Takes an entry out of its slot or of the heap.
    fn unlink(&mut self, index: u32) {
        self.count_step();
        let Entry { place, prev, next, .. } = self.entries[index as usize];
        match place {
            Place::Free => {}
            Place::Due => self.due.remove(&mut self.entries, prev as usize),
            Place::Slot(n) => {
                let (level, slot) = (usize::from(n) / SLOTS, usize::from(n) % SLOTS);
                if next != NIL {
                    self.entries[next as usize].prev = prev;
                }
                if prev != NIL {
                    self.entries[prev as usize].next = next;
                } else {
                    self.heads[level][slot] = next;
                    if next == NIL {
                        self.used[level] &= !(1 << slot);
                    }
                }
            }
        }
    }

    /// The earliest slot with entries: level, slot, and the millisecond at which it begins. What is on a lower
    /// level shares more bits with `cur`, so it is earlier than all of a higher one.
    fn next_slot(&self) -> Option<(usize, usize, u64)> {
        let level = self.used.iter().position(|&u| u != 0)?;
        let slot = self.used[level].trailing_zeros() as usize;
        let above = 6 * (level + 1);
        let begins = (self.cur >> above << above) | (slot as u64) << (6 * level);
        Some((level, slot, begins))
    }

    /// Moves the wheel to the beginning of a slot and its entries to where they belong from there.
    fn empty_slot(&mut self, level: usize, slot: usize, begins: u64) {
        self.cur = begins;
        self.used[level] &= !(1 << slot);
        let mut index = core::mem::replace(&mut self.heads[level][slot], NIL);
        while index != NIL {
            let next = self.entries[index as usize].next;
            self.place(index);
            index = next;
        }
    }

    #[cfg(not(test))]
    const fn count_step(&mut self) {}

    #[cfg(test)]
    fn count_step(&mut self) {
        self.steps += 1;
    }
}
