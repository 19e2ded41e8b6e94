//! Windows of time, and what is computed from what was counted in them.

use crate::peer::Peer;
use std::time::{Duration, Instant};

/// How long a measurement takes.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Until buffers and congestion windows have grown.
    pub warm_up: Duration,
    /// What is measured.
    pub window: Duration,
}

/// Octets counted over a window of time.
pub struct Throughput {
    begin: Instant,
    end: Instant,
    first: Option<(Instant, u64)>,
}

impl Throughput {
    pub fn new(times: Times) -> Self {
        let begin = Instant::now() + times.warm_up;
        Self { begin, end: begin + times.window, first: None }
    }

    /// Tells the count so far; gives Gbit/s when the window is over.
    pub fn sample(&mut self, octets: impl FnOnce() -> u64) -> Option<f64> {
        let now = Instant::now();
        match self.first {
            None if now >= self.begin => self.first = Some((now, octets())),
            Some((at, before)) if now >= self.end => {
                return Some((octets() - before) as f64 * 8.0 / (now - at).as_secs_f64() / 1e9);
            }
            _ => {}
        }
        None
    }
}

/// Octets that a sink of the kernel got, for a sender on another thread.
pub fn throughput_at(peer: &Peer, times: Times) -> f64 {
    std::thread::sleep(times.warm_up);
    let (begin, before) = (Instant::now(), peer.received());
    std::thread::sleep(times.window);
    (peer.received() - before) as f64 * 8.0 / begin.elapsed().as_secs_f64() / 1e9
}

/// Round trips of a ping-pong.
pub struct RoundTrips {
    begin: Instant,
    end: Instant,
    started: Instant,
    nanos: Vec<u64>,
}

impl RoundTrips {
    pub fn new(times: Times) -> Self {
        let now = Instant::now();
        let begin = now + times.warm_up;
        Self { begin, end: begin + times.window, started: now, nanos: Vec::with_capacity(1 << 20) }
    }

    /// An answer came. True if the time is over.
    pub fn answered(&mut self) -> bool {
        let now = Instant::now();
        if self.started >= self.begin {
            self.nanos.push((now - self.started).as_nanos() as u64);
        }
        self.started = now;
        now >= self.end
    }

    /// Median and 99th percentile in microseconds.
    pub fn finish(mut self) -> Vec<(&'static str, f64)> {
        self.nanos.sort_unstable();
        let at = |p: usize| self.nanos.get(self.nanos.len() * p / 100).map_or(f64::NAN, |&n| n as f64 / 1e3);
        vec![("p50 us", at(50)), ("p99 us", at(99))]
    }
}

/// Median, least and greatest.
pub fn summary(values: &[f64]) -> (f64, f64, f64) {
    let mut v: Vec<f64> = values.iter().copied().filter(|x| x.is_finite()).collect();
    v.sort_unstable_by(f64::total_cmp);
    match (v.first(), v.last()) {
        (Some(&min), Some(&max)) => {
            let mid = v.len() / 2;
            let median = if v.len() % 2 == 1 { v[mid] } else { f64::midpoint(v[mid - 1], v[mid]) };
            (median, min, max)
        }
        _ => (f64::NAN, f64::NAN, f64::NAN),
    }
}
