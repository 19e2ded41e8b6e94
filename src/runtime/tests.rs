//! The mechanics of waiting, without a protocol: the calls below are closures that say what the machine
//! would, on a socket that does not exist.

use super::Runtime;
use super::blocking::{Patience, READABLE};
use super::shared::Shared;
use crate::config::Config;
use crate::errno::Errno;
use crate::link::{Capabilities, Device, Received, TxError, TxFrame};
use crate::stack::InterfaceConfig;
use crate::time::Instant;
use crate::{SocketId, Stack};
use std::boxed::Box;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::string::ToString;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;
use std::vec::Vec;

/// Longer than anything here takes, so a hang becomes a failure.
const LIMIT: Duration = Duration::from_secs(20);

fn config() -> Config {
    Config { secret: [1, 2], ..Config::default() }
}

fn interface(name: &str) -> InterfaceConfig {
    InterfaceConfig {
        name: name.to_string(),
        mac: [2, 0, 0, 0, 0, 1],
        capabilities: Capabilities::ETHERNET,
        addresses: Vec::new(),
        detect_duplicates: false,
    }
}

fn no_socket(n: u64) -> SocketId {
    slotmap::KeyData::from_ffi((1 << 32) | n).into()
}

fn until(d: Duration) -> Patience {
    Patience::Until(std::time::Instant::now().checked_add(d))
}

/// Waits until `n` threads sleep.
fn asleep(shared: &Shared, n: usize) {
    let end = std::time::Instant::now() + LIMIT;
    while shared.lock().waiters.len() != n {
        assert!(std::time::Instant::now() < end, "{n} threads do not sleep");
        thread::yield_now();
    }
}

/// A device that counts how often it is read, and fails when told to.
struct Probe {
    reader: PipeReader,
    reads: Arc<AtomicUsize>,
    broken: Arc<AtomicBool>,
}

fn probe() -> (Probe, PipeWriter, Arc<AtomicUsize>, Arc<AtomicBool>) {
    let (reader, writer) = std::io::pipe().unwrap();
    let reads = Arc::new(AtomicUsize::new(0));
    let broken = Arc::new(AtomicBool::new(false));
    (Probe { reader, reads: reads.clone(), broken: broken.clone() }, writer, reads, broken)
}

impl Device for Probe {
    fn capabilities(&self) -> Capabilities {
        Capabilities::ETHERNET
    }
    fn receive(&mut self, _now: Instant) -> Result<Option<Received>, Errno> {
        self.reads.fetch_add(1, SeqCst);
        if self.broken.load(SeqCst) {
            return Err(Errno::ENODEV);
        }
        let mut ready = [rustix::event::PollFd::new(&self.reader, rustix::event::PollFlags::IN)];
        let zero = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        if rustix::event::poll(&mut ready, Some(&zero)) == Ok(1) {
            let _ = self.reader.read(&mut [0; 64]);
        }
        Ok(None)
    }
    fn transmit(&mut self, _now: Instant, _frame: &TxFrame<'_>) -> Result<(), TxError> {
        Ok(())
    }
    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.reader.as_fd())
    }
}

#[test]
fn a_call_that_does_not_wait_says_would_block_at_once() {
    let rt = Runtime::builder(config()).start().unwrap();
    let r: Result<(), _> =
        rt.shared().wait(no_socket(1), READABLE, Patience::None, |_, _| Err(Errno::EAGAIN));
    assert_eq!(r, Err(Errno::EAGAIN));
}

#[test]
fn a_wait_ends_when_its_time_is_over_and_asks_once_more() {
    let rt = Runtime::builder(config()).start().unwrap();
    let asked = AtomicUsize::new(0);
    let begin = std::time::Instant::now();
    let r: Result<(), _> =
        rt.shared().wait(no_socket(1), READABLE, until(Duration::from_millis(50)), |_, _| {
            asked.fetch_add(1, SeqCst);
            Err(Errno::EAGAIN)
        });
    assert_eq!(r, Err(Errno::EAGAIN));
    assert!(begin.elapsed() >= Duration::from_millis(50));
    assert!(begin.elapsed() < LIMIT);
    assert_eq!(asked.load(SeqCst), 2);
    assert_eq!(rt.shared().lock().waiters.len(), 0);
}

#[test]
fn a_wake_up_is_passed_on_until_nothing_is_left() {
    let rt = Runtime::builder(config()).start().unwrap();
    let left = Arc::new(AtomicUsize::new(0));
    let take = |left: &AtomicUsize| {
        left.fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1)).map(drop).map_err(|_| Errno::EAGAIN)
    };
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let (rt, left) = (rt.clone(), left.clone());
            thread::spawn(move || rt.shared().wait(no_socket(1), READABLE, until(LIMIT), |_, _| take(&left)))
        })
        .collect();
    asleep(rt.shared(), 8);
    left.store(8, SeqCst);
    // One event for eight connections: one thread is woken, and each wakes the next.
    rt.shared().lock().wake(no_socket(1));
    for t in threads {
        assert_eq!(t.join().unwrap(), Ok(()));
    }
    assert_eq!(left.load(SeqCst), 0);
}

#[test]
fn no_wake_up_is_lost_between_asking_and_sleeping() {
    let rt = Runtime::builder(config()).start().unwrap();
    let ball = Arc::new(AtomicUsize::new(0));
    let player = |me: usize| {
        let (rt, ball) = (rt.clone(), ball.clone());
        thread::spawn(move || {
            for _ in 0..20_000 {
                rt.shared()
                    .wait(no_socket(me as u64), READABLE, until(LIMIT), |_, _| {
                        if ball.load(SeqCst) == me { Ok(()) } else { Err(Errno::EAGAIN) }
                    })
                    .unwrap();
                let mut locked = rt.shared().lock();
                ball.store(1 - me, SeqCst);
                locked.wake(no_socket(1 - me as u64));
            }
        })
    };
    let players = [player(0), player(1)];
    for p in players {
        p.join().unwrap();
    }
}

#[test]
fn dropping_the_last_handle_wakes_those_who_wait() {
    let rt = Runtime::builder(config()).start().unwrap();
    let threads: Vec<_> = (0..4)
        .map(|n| {
            let shared = rt.shared().clone();
            thread::spawn(move || -> Result<(), Errno> {
                shared.wait(no_socket(n), READABLE, Patience::Until(None), |_, _| Err(Errno::EAGAIN))
            })
        })
        .collect();
    asleep(rt.shared(), 4);
    let second = rt.clone();
    drop(rt);
    assert_eq!(second.is_alive(), Ok(()));
    drop(second);
    for t in threads {
        assert_eq!(t.join().unwrap(), Err(Errno::ENETDOWN));
    }
}

#[test]
fn an_idle_engine_sleeps() {
    let (device, mut writer, reads, _) = probe();
    let mut b = Runtime::builder(config());
    b.interface(Box::new(device), interface("probe0"));
    let rt = b.start().unwrap();
    wait_for(|| rt.shared().lock().asleep_until.is_some());
    let before = reads.load(SeqCst);
    // Calls that set no timer do not wake it.
    for _ in 0..1000 {
        rt.with_stack(|_, _| ());
    }
    assert_eq!(reads.load(SeqCst), before);
    // Its descriptor does.
    writer.write_all(&[1]).unwrap();
    wait_for(|| reads.load(SeqCst) > before);
    wait_for(|| rt.shared().lock().asleep_until.is_some());
    assert!(reads.load(SeqCst) <= before + 2);
}

#[test]
fn a_device_that_fails_is_named_and_nobody_hangs() {
    let (device, mut writer, _, broken) = probe();
    let mut b = Runtime::builder(config());
    b.interface(Box::new(device), interface("probe0"));
    let rt = b.start().unwrap();
    assert_eq!(rt.device_error(), None);
    let shared = rt.shared().clone();
    let waiting = thread::spawn(move || -> Result<(), Errno> {
        shared.wait(no_socket(1), READABLE, Patience::Until(None), |_, _| Err(Errno::EAGAIN))
    });
    asleep(rt.shared(), 1);
    broken.store(true, SeqCst);
    writer.write_all(&[1]).unwrap();
    assert_eq!(waiting.join().unwrap(), Err(Errno::ENETDOWN));
    assert_eq!(rt.device_error().unwrap().to_string(), "probe0: ENODEV: No such device");
    // The device was dropped: the other end of its pipe is closed.
    assert!(writer.write_all(&[1]).is_err());
    // The rest of the stack goes on.
    assert_eq!(rt.is_alive(), Ok(()));
}

#[test]
fn a_descriptor_that_only_hangs_up_is_a_failed_device() {
    let (device, writer, _, _) = probe();
    let mut b = Runtime::builder(config());
    b.interface(Box::new(device), interface("probe0"));
    let rt = b.start().unwrap();
    drop(writer);
    wait_for(|| rt.device_error().is_some_and(|e| e.error == Errno::EIO));
}

#[test]
fn the_end_of_the_runtime_drops_its_devices() {
    let (device, mut writer, _, _) = probe();
    let mut b = Runtime::builder(config());
    b.interface(Box::new(device), interface("probe0"));
    let rt = b.start().unwrap();
    let forgotten = rt.shared().clone();
    rt.shutdown(LIMIT).unwrap();
    assert!(writer.write_all(&[1]).is_err());
    assert_eq!(rt.is_alive(), Err(Errno::ENETDOWN));
    assert_eq!(rt.shutdown(LIMIT).unwrap_err().raw_os_error(), Some(Errno::ENETDOWN.number()));
    assert_eq!(forgotten.call(|_, _| ()), Err(Errno::ENETDOWN));
}

#[test]
fn a_panic_inside_stops_the_runtime_instead_of_hanging_it() {
    let rt = Runtime::builder(config()).start().unwrap();
    let shared = rt.shared().clone();
    let waiting = thread::spawn(move || -> Result<(), Errno> {
        shared.wait(no_socket(1), READABLE, Patience::Until(None), |_, _| Err(Errno::EAGAIN))
    });
    asleep(rt.shared(), 1);
    let inside = rt.clone();
    let panicked = thread::spawn(move || inside.with_stack(|_: &mut Stack, _| panic!("on purpose"))).join();
    assert!(panicked.is_err());
    assert_eq!(waiting.join().unwrap(), Err(Errno::EIO));
    assert_eq!(rt.is_alive(), Err(Errno::EIO));
}

fn wait_for(mut condition: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + LIMIT;
    while !condition() {
        assert!(std::time::Instant::now() < end, "it did not happen in time");
        thread::yield_now();
    }
}
