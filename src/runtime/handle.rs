//! The handle that an application holds.

use super::builder::Builder;
use super::engine;
use super::shared::{Locked, Shared, now};
use crate::Stack;
use crate::config::Config;
use crate::errno::Errno;
use crate::time::Instant;
use parking_lot::{Mutex, RwLock};
use std::io;
use std::string::String;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use std::vec::Vec;

/// A running stack: a cheap handle, to be cloned at will. See the [module](super) for how it works and
/// how it ends.
#[derive(Clone)]
pub struct Runtime {
    owner: Arc<Owner>,
}

/// What all handles share; the last one ends the engine.
struct Owner {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// A device that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceError {
    /// The interface's name.
    pub interface: String,
    /// What the device said: `ENODEV`, `EIO`, `ENETDOWN`, ...
    pub error: Errno,
}

/// `tap0: ENODEV: No such device`
impl core::fmt::Display for DeviceError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}: {}", self.interface, self.error)
    }
}

impl std::error::Error for DeviceError {}

static DEFAULT: RwLock<Option<Runtime>> = RwLock::new(None);

impl Runtime {
    /// Begins a runtime. A secret of zeros in `config` is replaced by random bits from the kernel.
    pub fn builder(config: Config) -> Builder {
        Builder::new(config)
    }

    pub(super) fn start(shared: Shared, name: String) -> io::Result<Self> {
        let shared = Arc::new(shared);
        let engine = shared.clone();
        let thread = std::thread::Builder::new().name(name).spawn(move || engine::run(&engine))?;
        Ok(Self { owner: Arc::new(Owner { shared, thread: Mutex::new(Some(thread)) }) })
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.owner.shared
    }

    /// Makes this the runtime of the process, which the constructors of [`net`](super::net) use that are
    /// not told one; returns the former. The process then holds a handle: `Runtime::clear_default` or
    /// [`shutdown`](Self::shutdown) ends it.
    pub fn set_default(&self) -> Option<Self> {
        DEFAULT.write().replace(self.clone())
    }

    /// Takes the process's runtime away again; returns it.
    pub fn clear_default() -> Option<Self> {
        DEFAULT.write().take()
    }

    /// The process's runtime.
    ///
    /// # Errors
    /// `ENETDOWN`: there is none.
    pub fn current() -> io::Result<Self> {
        DEFAULT.read().clone().ok_or_else(|| Errno::ENETDOWN.into())
    }

    /// The time that the runtime gives to its stack: monotonic, from an origin that all runtimes of this
    /// process share.
    pub fn now(&self) -> Instant {
        now()
    }

    /// Calls `f` with the stack: for what the socket types do not offer, such as statistics, the list of
    /// sockets, routes. What it sends is sent, and whom it wakes is woken, before this returns. Everyone
    /// else waits meanwhile, so `f` must not block, and must not use this runtime or its sockets.
    ///
    /// # Panics
    /// If `f` does; the runtime then stops with `EIO`, like a poisoned lock.
    pub fn with_stack<T>(&self, f: impl FnOnce(&mut Stack, Instant) -> T) -> T {
        let mut inner = self.owner.shared.lock();
        let now = now();
        let result = f(&mut inner.stack, now);
        if inner.stopped.is_none() {
            inner.settle(now);
        }
        result
    }

    /// The first device that failed, if one did. Its interface is removed from the stack; calls that
    /// wait on it get `ENETDOWN`.
    pub fn device_error(&self) -> Option<DeviceError> {
        self.device_errors().into_iter().next()
    }

    /// Every device that failed.
    pub fn device_errors(&self) -> Vec<DeviceError> {
        let inner = self.owner.shared.lock();
        inner.devices.errors().map(|(s, error)| DeviceError { interface: s.name.clone(), error }).collect()
    }

    /// Is it still at work? `Err` says why every call fails.
    ///
    /// # Errors
    /// `ENETDOWN`: it was shut down. `EIO`: a panic inside the stack stopped it.
    pub fn is_alive(&self) -> Result<(), Errno> {
        self.owner.shared.lock().alive()
    }

    /// Ends the runtime with good manners: closes every open socket (calls that wait on one end with an
    /// error), keeps retransmitting until the peers have acknowledged all data and our FINs, then stops
    /// the engine. Connections whose peer has not closed its side yet, or that are in TIME-WAIT, are not
    /// waited for. All handles and sockets are dead afterwards (`ENETDOWN`).
    ///
    /// # Errors
    /// `TimedOut`: `timeout` passed first, and something may not have arrived. The runtime is stopped all
    /// the same. `ENETDOWN`: it had stopped before, or its devices failed.
    pub fn shutdown(&self, timeout: Duration) -> io::Result<()> {
        let begun = self.owner.shared.begin_shutdown()?;
        let result = self.owner.shared.finish(begun, timeout);
        self.owner.stop();
        Ok(result?)
    }
}

impl Shared {
    /// Closes everything; from here on every call fails, while the engine goes on.
    fn begin_shutdown(&self) -> Result<Locked<'_>, Errno> {
        let mut locked = self.lock();
        locked.alive()?;
        let time = now();
        locked.close_all(time);
        locked.stopped = Some(Errno::ENETDOWN);
        locked.waiters.wake_all();
        locked.settle(time);
        Ok(locked)
    }

    /// Waits for the peers' acknowledgments.
    fn finish(&self, mut locked: Locked<'_>, timeout: Duration) -> Result<(), Errno> {
        let deadline = std::time::Instant::now().checked_add(timeout);
        locked.progress_waiters += 1;
        let mut in_time = true;
        let result = loop {
            if !locked.is_closing() {
                break Ok(());
            }
            // The engine panicked, or there is nothing left to send through.
            if locked.stop_engine || locked.devices.all_failed() {
                break Err(Errno::ENETDOWN);
            }
            if !in_time {
                break Err(Errno::ETIMEDOUT);
            }
            in_time = locked.sleep(&self.progress, deadline);
        };
        locked.progress_waiters -= 1;
        result
    }
}

impl Owner {
    fn stop(&self) {
        self.shared.stop(Errno::ENETDOWN);
        let thread = self.thread.lock().take();
        // An observer may hold the last handle: then this is the engine itself, which cannot wait for
        // its own end.
        if let Some(t) = thread.filter(|t| t.thread().id() != std::thread::current().id()) {
            let _ = t.join();
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.stop();
    }
}

impl core::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Runtime").field("handles", &Arc::strong_count(&self.owner)).finish_non_exhaustive()
    }
}
