//! The engine: the thread that reads the devices, runs the timers and wakes those who wait.

use super::devices::Watch;
use super::shared::{Shared, now};
use crate::errno::Errno;
use crate::time::Instant;
use rustix::event::{PollFd, PollFlags, Timespec};
use std::time::Duration;
use std::vec::Vec;

/// Longest sleep while there is traffic. Each request of an application arms a retransmission timer, at
/// least 200 ms ahead; an engine that slept for ever would have to be woken by each of them.
const DOZE: Duration = Duration::from_millis(20);

/// How long after the last frame there still is traffic.
const TRAFFIC: Duration = Duration::from_secs(1);

/// What comes after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Sleep(Instant),
    End,
}

/// The body of the engine thread.
pub(super) fn run(shared: &Shared) {
    let _end = Ending(shared);
    let mut watch = Vec::new();
    let mut said = Vec::new();
    while let Next::Sleep(until) = turn(shared, &mut watch, &said) {
        sleep(shared, &watch, until, &mut said);
    }
}

/// However the engine ends, nobody may wait for it.
struct Ending<'a>(&'a Shared);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let mut inner = self.0.lock();
        inner.stopped.get_or_insert(Errno::ENETDOWN);
        inner.waiters.wake_all();
        self.0.progress.notify_all();
        // A TAP shall be gone when the runtime has ended, even if a forgotten socket keeps the rest.
        let devices = inner.devices.close();
        drop(inner);
        drop(devices);
    }
}

/// Works until there is nothing to do, and gives way to the application after each batch.
fn turn(shared: &Shared, watch: &mut Vec<Watch>, said: &[PollFlags]) -> Next {
    let mut locked = shared.lock();
    for (w, &said) in watch.iter().zip(said) {
        locked.devices.report(w, said);
    }
    loop {
        let inner = &mut *locked.guard;
        if inner.stop_engine {
            return Next::End;
        }
        inner.asleep_until = None;
        let time = now();
        let more = inner.devices.receive(&mut inner.stack, time);
        if inner.stack.poll_timeout().is_some_and(|t| t <= time) {
            inner.stack.handle_timeout(time);
        }
        locked.settle(time);
        if locked.progress_waiters > 0 {
            shared.progress.notify_all();
        }
        if !more && locked.deadline > time {
            let inner = &mut *locked.guard;
            inner.devices.watch(watch);
            let doze = inner.devices.last_frame().is_some_and(|t| time - t < TRAFFIC);
            let until = if doze { inner.deadline.min(time + DOZE) } else { inner.deadline };
            inner.asleep_until = Some(until);
            inner.asleep_blocked = inner.devices.blocked();
            return Next::Sleep(until);
        }
        locked.give_way();
    }
}

/// Sleeps until a device or the bell wants something, or until `until`. Spins first if asked to: it
/// spares the 30 us that waking a sleeping core takes. `said` is what poll(2) then says about each of `watch`.
fn sleep(shared: &Shared, watch: &[Watch], until: Instant, said: &mut Vec<PollFlags>) {
    let mut fds = Vec::with_capacity(watch.len() + 1);
    fds.push(PollFd::new(&shared.bell.0, PollFlags::IN));
    for w in watch {
        let interest = if w.writable { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
        fds.push(PollFd::new(&*w.fd, interest));
    }
    if !(shared.spin > Duration::ZERO && spin(&mut fds, until.min(now() + shared.spin))) {
        // A signal (EINTR) only makes for one turn in vain.
        let _ = rustix::event::poll(&mut fds, timeout(until).as_ref());
    }
    if fds[0].revents().contains(PollFlags::IN) {
        shared.hear();
    }
    said.clear();
    said.extend(fds[1..].iter().map(PollFd::revents));
}

fn spin(fds: &mut [PollFd<'_>], until: Instant) -> bool {
    let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
    while now() < until {
        if rustix::event::poll(fds, Some(&zero)).is_ok_and(|n| n > 0) {
            return true;
        }
        core::hint::spin_loop();
    }
    false
}

fn timeout(until: Instant) -> Option<Timespec> {
    if until == Instant::FAR_FUTURE {
        return None;
    }
    // A timer centuries away must not overflow the kernel's arithmetic; waking in vain is harmless.
    let d = (until - now()).min(Duration::from_secs(1 << 20));
    Some(Timespec { tv_sec: d.as_secs().cast_signed(), tv_nsec: d.subsec_nanos().into() })
}
