//! The machine: cores, how busy they are, and its description.

use rustix::thread::{CpuSet, sched_setaffinity};
use std::fs;

/// Where the kernel's programs run.
pub const PEER_CPU: usize = 0;
/// Where the stack under test runs.
pub const STACK_CPU: usize = 1;

/// Ties the calling thread, and those it starts, to a core. A machine without it goes unpinned.
pub fn pin(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu);
    let _ = sched_setaffinity(None, &set);
}

/// What it is, in a line.
pub fn describe() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find_map(|l| l.strip_prefix("model name").and_then(|l| l.split_once(": ")))
        .map_or("unknown processor", |(_, name)| name);
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let uname = rustix::system::uname();
    let virtual_machine = if cpuinfo.contains(" hypervisor") { ", a virtual machine" } else { "" };
    format!(
        "{model}, {cpus} cores{virtual_machine}, {} {}",
        uname.sysname().to_string_lossy(),
        uname.release().to_string_lossy()
    )
}

/// Processor time so far, in ticks: of all cores, and of this process.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    busy: u64,
    ours: u64,
    total: u64,
}

impl Usage {
    /// Now.
    pub fn now() -> Self {
        let numbers = |path: &str, skip: usize| -> Vec<u64> {
            let text = fs::read_to_string(path).unwrap_or_default();
            let line = text.lines().next().unwrap_or_default();
            // The name of a process stands in parentheses and may hold blanks.
            let line = line.rsplit_once(')').map_or(line, |(_, rest)| rest);
            line.split_ascii_whitespace().skip(skip).map_while(|w| w.parse().ok()).collect()
        };
        let stat = numbers("/proc/stat", 1);
        let own = numbers("/proc/self/stat", 11);
        let total: u64 = stat.iter().take(8).sum();
        // Interrupts belong to nobody, and most of them here are frames of the run itself.
        let busy = stat.iter().take(3).sum();
        Self { busy, ours: own.iter().take(2).sum(), total }
    }

    /// Per cent of all cores that other processes used since `before`.
    pub fn foreign_since(&self, before: &Self) -> f64 {
        let others = (self.busy - before.busy).saturating_sub(self.ours - before.ours);
        100.0 * others as f64 / (self.total - before.total).max(1) as f64
    }
}
