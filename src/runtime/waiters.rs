//! Who sleeps for what: lists of sleeping threads, by socket, under the runtime's lock.
//!
//! A thread finds that its call would block, enters itself here and sleeps on a condition variable of
//! its own, all without letting go of the lock in between, so no wake-up can be lost. An event about a
//! socket wakes one thread for each thing that the socket is ready for, not all of them: a hundred
//! threads in `accept` must not run for one connection. In return, a thread that leaves passes the
//! wake-up on if the socket is still ready ([`Waiters::wake`] again).

use crate::SocketId;
use crate::socket::Readiness;
use parking_lot::Condvar;
use std::collections::HashMap;
use std::sync::Arc;
use std::vec::Vec;

/// Errors and the end of both directions concern everyone who waits.
pub(super) const ALWAYS: Readiness = Readiness::ERR.union(Readiness::HUP);

std::thread_local! {
    /// A thread sleeps in one call at a time, so one condition variable per thread is enough.
    static SLEEPER: Arc<Condvar> = Arc::new(Condvar::new());
}

/// The condition variable of this thread. (A new one while the thread is ending, when thread-local
/// values are gone.)
pub(super) fn sleeper() -> Arc<Condvar> {
    SLEEPER.try_with(Arc::clone).unwrap_or_else(|_| Arc::new(Condvar::new()))
}

/// One sleeping thread.
#[derive(Debug)]
struct Entry {
    sleeper: Arc<Condvar>,
    mask: Readiness,
    woken: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    by_socket: HashMap<SocketId, Vec<Entry>>,
}

impl Waiters {
    /// Does anyone sleep for this socket?
    pub(super) fn any(&self, socket: SocketId) -> bool {
        !self.by_socket.is_empty() && self.by_socket.contains_key(&socket)
    }

    /// Enters a thread that is about to sleep.
    pub(super) fn enter(&mut self, socket: SocketId, mask: Readiness, sleeper: &Arc<Condvar>) {
        let entry = Entry { sleeper: sleeper.clone(), mask: mask | ALWAYS, woken: false };
        self.by_socket.entry(socket).or_default().push(entry);
    }

    /// Was the thread woken, and not merely roused (a condition variable may do that)?
    pub(super) fn is_woken(&self, socket: SocketId, sleeper: &Arc<Condvar>) -> bool {
        self.by_socket
            .get(&socket)
            .and_then(|list| list.iter().find(|e| Arc::ptr_eq(&e.sleeper, sleeper)))
            .is_none_or(|e| e.woken)
    }

    /// Takes a thread off the list that sleeps no more.
    pub(super) fn leave(&mut self, socket: SocketId, sleeper: &Arc<Condvar>) {
        if let Some(list) = self.by_socket.get_mut(&socket) {
            list.retain(|e| !Arc::ptr_eq(&e.sleeper, sleeper));
            if list.is_empty() {
                self.by_socket.remove(&socket);
            }
        }
    }

    /// The socket is ready for `ready`: wakes the longest sleeper for each bit of it, and everyone if
    /// there is an error or a hang-up.
    pub(super) fn wake(&mut self, socket: SocketId, ready: Readiness) {
        let Some(list) = self.by_socket.get_mut(&socket) else { return };
        let mut unclaimed = ready;
        for e in list.iter_mut().filter(|e| !e.woken) {
            if e.mask.intersects(unclaimed) {
                e.woken = true;
                e.sleeper.notify_one();
                unclaimed.remove(e.mask.difference(ALWAYS));
            }
        }
    }

    /// Wakes everyone who sleeps for any socket: the runtime stops, or a device failed.
    pub(super) fn wake_all(&mut self) {
        for e in self.by_socket.values_mut().flatten() {
            e.woken = true;
            e.sleeper.notify_one();
        }
    }

    /// How many threads sleep.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_socket.values().map(Vec::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(n: u64) -> SocketId {
        slotmap::KeyData::from_ffi((1 << 32) | n).into()
    }

    #[test]
    fn one_sleeper_is_woken_for_each_bit() {
        let mut w = Waiters::default();
        let s: Vec<_> = (0..4).map(|_| Arc::new(Condvar::new())).collect();
        w.enter(socket(1), Readiness::IN, &s[0]);
        w.enter(socket(1), Readiness::IN, &s[1]);
        w.enter(socket(1), Readiness::OUT, &s[2]);
        w.enter(socket(2), Readiness::IN, &s[3]);
        w.wake(socket(1), Readiness::IN);
        assert_eq!(woken(&w, &s), [true, false, false, false]);
        // Passed on: the next in line, though the first has not left yet.
        w.wake(socket(1), Readiness::IN | Readiness::OUT);
        assert_eq!(woken(&w, &s), [true, true, true, false]);
    }

    #[test]
    fn an_error_wakes_everyone_on_the_socket_and_nobody_else() {
        let mut w = Waiters::default();
        let s: Vec<_> = (0..4).map(|_| Arc::new(Condvar::new())).collect();
        w.enter(socket(1), Readiness::IN, &s[0]);
        w.enter(socket(1), Readiness::IN, &s[1]);
        w.enter(socket(1), Readiness::OUT, &s[2]);
        w.enter(socket(2), Readiness::IN, &s[3]);
        w.wake(socket(1), Readiness::ERR);
        assert_eq!(woken(&w, &s), [true, true, true, false]);
        w.leave(socket(1), &s[0]);
        w.leave(socket(1), &s[1]);
        w.leave(socket(1), &s[2]);
        assert!(!w.any(socket(1)));
        assert_eq!(w.len(), 1);
    }

    fn woken(w: &Waiters, s: &[Arc<Condvar>]) -> [bool; 4] {
        let of = |n: usize| w.is_woken(socket(if n == 3 { 2 } else { 1 }), &s[n]);
        [of(0), of(1), of(2), of(3)]
    }
}
