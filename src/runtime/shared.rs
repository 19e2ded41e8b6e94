//! What the lock protects, and what follows each entry into the machine.

use super::devices::Devices;
use super::waiters::Waiters;
use crate::errno::{Errno, Result};
use crate::event::Event;
use crate::socket::Readiness;
use crate::tcp::State;
use crate::time::Instant;
use crate::{SocketId, Stack};
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::boxed::Box;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::ops::{Deref, DerefMut};
use std::sync::OnceLock;

/// Told of every event but readiness, with the lock held.
pub(super) type Observer = Box<dyn FnMut(&Event) + Send>;

/// What a runtime's handles, sockets and engine share.
pub(super) struct Shared {
    /// A lock that is fair now and then (`parking_lot`): with the one of `std`, an application that
    /// receives in a tight loop keeps the engine out for milliseconds.
    inner: Mutex<Inner>,
    /// What the engine sleeps on, besides the devices: a pipe, because every Unix has that.
    pub(super) bell: (PipeReader, PipeWriter),
    /// Signalled by the engine after each turn while somebody waits for connections to finish.
    pub(super) progress: Condvar,
    /// How long the engine looks for work before it sleeps.
    pub(super) spin: std::time::Duration,
}

/// What the lock protects.
pub(super) struct Inner {
    pub(super) stack: Stack,
    pub(super) devices: Devices,
    pub(super) waiters: Waiters,
    pub(super) observer: Option<Observer>,
    /// Why every call fails from now on.
    pub(super) stopped: Option<Errno>,
    /// The engine shall end.
    pub(super) stop_engine: bool,
    /// Threads that wait for [`Shared::progress`].
    pub(super) progress_waiters: usize,
    /// When the engine wants to be awake next, after the last [`Inner::settle`].
    pub(super) deadline: Instant,
    /// Until when the engine sleeps; `None` while it is awake, or was already woken.
    pub(super) asleep_until: Option<Instant>,
    /// Devices whose writability the engine waits for in this sleep.
    pub(super) asleep_blocked: usize,
}

/// Now. All runtimes of a process count from the same origin, so that two of them can share an
/// in-memory wire, whose delays are instants.
pub fn now() -> Instant {
    static ORIGIN: OnceLock<std::time::Instant> = OnceLock::new();
    let origin = *ORIGIN.get_or_init(std::time::Instant::now);
    Instant::from_nanos(crate::time::nanos(origin.elapsed()))
}

impl Shared {
    pub(super) fn new(
        stack: Stack,
        devices: Devices,
        observer: Option<Observer>,
        spin: std::time::Duration,
    ) -> std::io::Result<Self> {
        let bell = std::io::pipe()?;
        rustix::io::ioctl_fionbio(&bell.0, true)?;
        rustix::io::ioctl_fionbio(&bell.1, true)?;
        let inner = Inner {
            stack,
            devices,
            waiters: Waiters::default(),
            observer,
            stopped: None,
            stop_engine: false,
            progress_waiters: 0,
            deadline: Instant::ZERO,
            asleep_until: None,
            asleep_blocked: 0,
        };
        Ok(Self { inner: Mutex::new(inner), bell, progress: Condvar::new(), spin })
    }

    /// Enters. Everyone who changes something calls [`Inner::settle`] before leaving.
    pub(super) fn lock(&self) -> Locked<'_> {
        let was_panicking = std::thread::panicking();
        Locked { guard: self.inner.lock(), shared: self, was_panicking, kick: false }
    }

    /// One call into the machine, with everything that follows from it.
    ///
    /// # Errors
    /// The runtime has stopped.
    pub(super) fn call<T>(&self, f: impl FnOnce(&mut Stack, Instant) -> T) -> Result<T> {
        let mut inner = self.lock();
        inner.alive()?;
        let now = now();
        let result = f(&mut inner.stack, now);
        inner.settle(now);
        Ok(result)
    }

    /// Wakes the engine. A ring before the sleep ends the sleep.
    pub(super) fn ring(&self) {
        // It can only fail when the pipe is full, and then the engine wakes anyway.
        let _ = (&self.bell.1).write(&[1]);
    }

    /// Hears the bell, so that the next sleep is one.
    pub(super) fn hear(&self) {
        let _ = (&self.bell.0).read(&mut [0; 64]);
    }

    /// Ends the runtime: closes what is open, as the end of a process does, stops the engine, and
    /// fails everyone who waits.
    pub(super) fn stop(&self, why: Errno) {
        let mut inner = self.lock();
        inner.stop_engine = true;
        if inner.stopped.is_none() {
            let now = now();
            inner.close_all(now);
            inner.settle(now);
            inner.stopped = Some(why);
        }
        inner.waiters.wake_all();
        self.progress.notify_all();
        inner.kick = true;
    }
}

impl Inner {
    pub(super) fn alive(&self) -> Result<()> {
        self.stopped.map_or(Ok(()), Err)
    }

    /// Closes every socket, so that the peers hear of it.
    pub(super) fn close_all(&mut self, now: Instant) {
        for id in self.stack.sockets().into_iter().filter_map(|s| s.socket) {
            let _ = self.stack.close(now, id);
        }
    }

    /// Does a connection without a socket still have something to say?
    pub(super) fn is_closing(&self) -> bool {
        self.stack
            .sockets()
            .iter()
            .any(|s| matches!(s.state, State::FinWait1 | State::Closing | State::LastAck))
    }

    /// A call that would block for ever must not: all devices failed, and the socket is not a local
    /// matter.
    pub(super) fn is_cut_off(&self, socket: SocketId) -> bool {
        self.devices.all_failed()
            && !self.stack.local_addr(socket).is_ok_and(|a| a.ip().to_canonical().is_loopback())
    }

    /// Wakes those who sleep for this socket and find it ready.
    pub(super) fn wake(&mut self, socket: SocketId) {
        if self.waiters.any(socket) {
            // A socket that is gone: they shall find out.
            let ready = self.stack.readiness(socket).unwrap_or(Readiness::all());
            self.waiters.wake(socket, ready);
        }
    }

    /// True if the engine has to look at once: a device is gone whose descriptor it sleeps on.
    fn settle(&mut self, now: Instant) -> bool {
        let mut look = false;
        self.devices.transmit(&mut self.stack, now);
        while self.devices.bury(&mut self.stack, now) {
            self.devices.transmit(&mut self.stack, now);
            self.waiters.wake_all();
            look = true;
        }
        while let Some(event) = self.stack.poll_event() {
            match event {
                Event::Socket(id) => self.wake(id),
                other => {
                    if let Some(observer) = &mut self.observer {
                        observer(&other);
                    }
                }
            }
        }
        let timer = self.stack.poll_timeout().unwrap_or(Instant::FAR_FUTURE);
        self.deadline = timer.min(self.devices.deadline(now));
        look
    }
}

/// The lock, held. Letting go of it rings the engine's bell if it is to be woken.
pub(super) struct Locked<'a> {
    pub(super) guard: MutexGuard<'a, Inner>,
    shared: &'a Shared,
    was_panicking: bool,
    kick: bool,
}

impl Locked<'_> {
    /// What follows every change: sends, wakes, and notes whether the engine sleeps too long now.
    pub(super) fn settle(&mut self, now: Instant) {
        let inner = &mut *self.guard;
        let look = inner.settle(now);
        if let Some(until) = inner.asleep_until
            && (look || inner.deadline < until || inner.devices.blocked() > inner.asleep_blocked)
        {
            inner.asleep_until = None; // One ring per sleep.
            self.kick = true;
        }
    }

    /// Sleeps until woken or until `deadline`; false when the time is over. Like every wait on a
    /// condition variable it may return early.
    pub(super) fn sleep(&mut self, on: &Condvar, deadline: Option<std::time::Instant>) -> bool {
        if core::mem::take(&mut self.kick) {
            self.shared.ring();
        }
        match deadline {
            Some(deadline) => !on.wait_until(&mut self.guard, deadline).timed_out(),
            None => {
                on.wait(&mut self.guard);
                true
            }
        }
    }

    /// Lets a thread that waits for the lock have it now.
    pub(super) fn give_way(&mut self) {
        MutexGuard::bump(&mut self.guard);
    }
}

impl Deref for Locked<'_> {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.guard
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut Inner {
        &mut self.guard
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() && !self.was_panicking {
            // The machine was left in the middle of something. Like a poisoned lock of `std`: nobody
            // may use it any more, and nobody may wait for it.
            self.guard.stopped = Some(Errno::EIO);
            self.guard.stop_engine = true;
            self.guard.waiters.wake_all();
            self.shared.progress.notify_all();
            self.kick = true;
        }
        if self.kick {
            // With the lock still held for these 0.3 us; ringing after letting go would need the guard
            // to be optional.
            self.shared.ring();
        }
    }
}
