//! Round-trip time and retransmission timeout (RFC 6298), with Linux's variance floor as data of the
//! profile.

use crate::profile::Profile;
use crate::time::{Duration, Instant};

/// How long a minimum round-trip time is believed (Linux: tcp_min_rtt_wlen, 300 s).
const MIN_RTT_WINDOW: Duration = Duration::from_secs(300);

/// The estimator of a connection. Times in nanoseconds fit 32-bit microseconds: 71 minutes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rtt {
    srtt_us: u32,
    rttvar_us: u32,
    rto_us: u32,
    latest_us: u32,
    min_us: u32,
    min_at: Instant,
    /// Consecutive timeouts without an acknowledgment: the RTO is doubled this often.
    backoff: u8,
    sampled: bool,
}

fn us(d: Duration) -> u32 {
    u32::try_from(d.as_micros()).unwrap_or(u32::MAX)
}

const fn from_us(us: u32) -> Duration {
    Duration::from_micros(us as u64)
}

impl Rtt {
    /// No sample yet: the initial RTO of the profile.
    pub fn new(profile: &Profile) -> Self {
        Self {
            srtt_us: 0,
            rttvar_us: 0,
            rto_us: us(profile.rto_initial),
            latest_us: 0,
            min_us: u32::MAX,
            min_at: Instant::ZERO,
            backoff: 0,
            sampled: false,
        }
    }

    /// Takes a sample (RFC 6298 section 2.2, 2.3). The caller keeps Karn's rule.
    pub fn sample(&mut self, now: Instant, rtt: Duration, profile: &Profile) {
        let r = us(rtt).max(1);
        self.latest_us = r;
        if r <= self.min_us || now.since(self.min_at) > MIN_RTT_WINDOW {
            self.min_us = r;
            self.min_at = now;
        }
        if self.sampled {
            let err = self.srtt_us.abs_diff(r);
            self.rttvar_us = (u64::from(self.rttvar_us) * 3 / 4 + u64::from(err) / 4) as u32;
            self.srtt_us = (u64::from(self.srtt_us) * 7 / 8 + u64::from(r) / 8) as u32;
        } else {
            self.sampled = true;
            self.srtt_us = r;
            self.rttvar_us = r / 2;
        }
        let variance = self.rttvar_us.saturating_mul(4);
        let (min, max) = (us(profile.rto_min), us(profile.rto_max));
        let rto = if profile.rto_min_bounds_variance {
            self.srtt_us.saturating_add(variance.max(min))
        } else {
            self.srtt_us.saturating_add(variance.max(1_000)).max(min)
        };
        self.rto_us = rto.min(max);
    }

    /// The retransmission timeout now, backed off (RFC 6298 section 5.5), at most the profile's.
    pub fn rto(&self, profile: &Profile) -> Duration {
        let max = us(profile.rto_max);
        let doubled = u64::from(self.rto_us) << self.backoff.min(31);
        from_us(doubled.min(u64::from(max)) as u32)
    }

    /// The timeout without the backoff.
    pub fn base_rto(&self) -> Duration {
        from_us(self.rto_us)
    }

    /// One more timeout in a row.
    pub fn back_off(&mut self) {
        self.backoff = self.backoff.saturating_add(1);
    }

    /// An acknowledgment of something new came: no more backoff.
    pub fn reset_backoff(&mut self) {
        self.backoff = 0;
    }

    /// Timeouts in a row.
    pub fn backoff(&self) -> u8 {
        self.backoff
    }

    /// The SYN was lost: without a sample the RTO starts at 3 s for data (RFC 6298 section 5.7).
    pub fn syn_was_lost(&mut self) {
        if !self.sampled {
            self.rto_us = self.rto_us.max(3_000_000);
        }
    }

    /// Smoothed round-trip time; `None` before the first sample.
    pub fn srtt(&self) -> Option<Duration> {
        self.sampled.then(|| from_us(self.srtt_us))
    }

    /// Its variation.
    pub fn rttvar(&self) -> Duration {
        from_us(self.rttvar_us)
    }

    /// The latest sample.
    pub fn latest(&self) -> Option<Duration> {
        self.sampled.then(|| from_us(self.latest_us))
    }

    /// The smallest sample of the last five minutes.
    pub fn min(&self) -> Option<Duration> {
        self.sampled.then(|| from_us(self.min_us))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_formulas_of_rfc_6298() {
        let p = Profile::rfc();
        let mut r = Rtt::new(&p);
        assert_eq!(r.rto(&p), Duration::from_secs(1));
        r.sample(Instant::ZERO, 800 * MS, &p);
        // (2.2) SRTT = R, RTTVAR = R/2, RTO = SRTT + 4 * RTTVAR
        assert_eq!((r.srtt(), r.rttvar(), r.rto(&p)), (Some(800 * MS), 400 * MS, 2400 * MS));
        r.sample(Instant::ZERO, 1600 * MS, &p);
        // (2.3) RTTVAR = 3/4 * 400 + 1/4 * 800 = 500, SRTT = 7/8 * 800 + 1/8 * 1600 = 900
        assert_eq!((r.srtt(), r.rttvar(), r.rto(&p)), (Some(900 * MS), 500 * MS, 2900 * MS));
    }

    #[test]
    fn the_floor_of_linux_is_under_the_variance() {
        let p = Profile::linux();
        let mut r = Rtt::new(&p);
        for _ in 0..50 {
            r.sample(Instant::ZERO, 50 * MS, &p);
        }
        assert!(r.rto(&p) >= 250 * MS && r.rto(&p) < 251 * MS, "{:?}", r.rto(&p));
    }

    #[test]
    fn backoff_doubles_to_the_bound_and_ends_with_an_ack() {
        let p = Profile::linux();
        let mut r = Rtt::new(&p);
        let mut seen = alloc::vec::Vec::new();
        for _ in 0..9 {
            seen.push(r.rto(&p).as_secs());
            r.back_off();
        }
        assert_eq!(seen, [1, 2, 4, 8, 16, 32, 64, 120, 120]);
        r.reset_backoff();
        assert_eq!(r.rto(&p), Duration::from_secs(1));
    }
}
