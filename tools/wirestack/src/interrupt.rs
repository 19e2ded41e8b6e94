//! Ctrl-C and SIGTERM: the first ends things properly, the second at once.

use crate::error::{Doing, Outcome};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Exit status of a process that Ctrl-C ended (128 + SIGINT), as shells tell it.
pub const STATUS: u8 = 130;

/// Was there a signal?
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on the first signal runs `end` on a thread of its own, and the second one ends the
    /// process. Signals stay ignored if the process was started so (nohup(1) and its like aside).
    pub fn install(end: impl FnOnce() + Send + 'static) -> Outcome<Self> {
        let mut signals = Signals::new([SIGINT, SIGTERM]).doing(|| "cannot watch for Ctrl-C".into())?;
        let this = Self::default();
        let flag = this.clone();
        let watch = move || {
            let mut end = Some(end);
            for _ in signals.forever() {
                let Some(end) = end.take() else { std::process::exit(i32::from(STATUS)) };
                flag.0.store(true, Ordering::SeqCst);
                let _ = thread::Builder::new().name("end".into()).spawn(end);
            }
        };
        thread::Builder::new()
            .name("signals".into())
            .spawn(watch)
            .doing(|| "cannot start a thread".into())?;
        Ok(this)
    }

    /// Has there been one?
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
