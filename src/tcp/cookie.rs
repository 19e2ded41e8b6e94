//! SYN cookies: a handshake without a record, for a listener whose SYN queue is full (RFC 4987 section
//! 3.6, Appendix A).
//!
//! The initial sequence number of the SYN-ACK carries what the record would have held:
//!
//! ```text
//!    31    27 26  24 23                                            0
//!   +--------+------+-----------------------------------------------+
//!   | minute | MSS  |  MAC(addresses, ports, IRS, minute, MSS)      |
//!   +--------+------+-----------------------------------------------+
//! ```
//!
//! A blind attacker guesses the MAC once in 2^24 tries, and only while the listener is under pressure:
//! cookies are believed for two minutes after the last one was sent. The other options survive if the
//! peer sends timestamps: the six low bits of the TSval of the SYN-ACK hold them, and its ACK echoes them.

use crate::rng::Rng;
use crate::time::{Duration, Instant};
use crate::wire::Seq;
use core::hash::{Hash, Hasher};
use core::net::{IpAddr, SocketAddr};

const PURPOSE: u64 = 0x434f_4f4b_4945;
/// How long one value of the counter lasts.
const SLOT: Duration = Duration::from_secs(64);
/// A cookie is good in the slot it was made in and in the next: 64 to 128 seconds.
const SLOTS_GOOD: u64 = 2;
/// How long after the last cookie ACKs are looked at for one.
pub(crate) const PRESSURE: Duration = Duration::from_secs(128);

/// The MSS values that three bits can say, those of common links.
const MSS: [u16; 8] = [48, 536, 1220, 1300, 1380, 1440, 1460, 8960];

/// What a cookie's timestamp carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CookieOptions {
    /// The peer's window scale, if it offered one.
    pub(crate) window_scale: Option<u8>,
    /// The peer permits SACK.
    pub(crate) sack: bool,
}

fn slot(now: Instant) -> u64 {
    now.as_nanos() / crate::time::nanos(SLOT)
}

fn mac(rng: &Rng, local: SocketAddr, remote: SocketAddr, irs: Seq, slot: u64, index: usize) -> u32 {
    let mut h = rng.keyed(PURPOSE);
    let octets = |a: SocketAddr| match a.ip() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    };
    (octets(local), local.port(), octets(remote), remote.port()).hash(&mut h);
    (irs.0, slot, index).hash(&mut h);
    h.finish() as u32 & 0x00ff_ffff
}

/// The initial sequence number for a SYN-ACK without a record.
pub(crate) fn make(
    rng: &Rng,
    now: Instant,
    local: SocketAddr,
    remote: SocketAddr,
    irs: Seq,
    mss: u16,
) -> Seq {
    let index = MSS.iter().rposition(|&m| m <= mss).unwrap_or(0);
    let t = slot(now);
    Seq(((t & 31) as u32) << 27 | (index as u32) << 24 | mac(rng, local, remote, irs, t, index))
}

/// The MSS that a cookie says; `None` if it is none of ours, or too old.
pub(crate) fn check(
    rng: &Rng,
    now: Instant,
    local: SocketAddr,
    remote: SocketAddr,
    irs: Seq,
    cookie: Seq,
) -> Option<u16> {
    let index = (cookie.0 >> 24 & 7) as usize;
    let t = slot(now);
    (0..SLOTS_GOOD.min(t + 1)).map(|age| t - age).find_map(|t| {
        let good = cookie.0 >> 27 == (t & 31) as u32
            && cookie.0 & 0x00ff_ffff == mac(rng, local, remote, irs, t, index);
        good.then_some(MSS[index])
    })
}

/// A TSval, not later than `now`, whose low bits hold the options.
pub(crate) fn stamp(now: u32, options: CookieOptions) -> u32 {
    let bits = u32::from(options.window_scale.map_or(15, |s| s.min(14))) | u32::from(options.sack) << 4;
    let ts = now & !63 | bits;
    if ts > now { ts.wrapping_sub(64) } else { ts }
}

/// The options in an echoed TSval.
pub(crate) fn unstamp(echo: u32) -> CookieOptions {
    let scale = (echo & 15) as u8;
    CookieOptions { window_scale: (scale != 15).then_some(scale), sack: echo & 16 != 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (SocketAddr, SocketAddr) {
        (SocketAddr::from(([10, 0, 0, 1], 80)), SocketAddr::from(([10, 0, 0, 2], 4000)))
    }

    #[test]
    fn a_cookie_is_good_for_its_connection_and_its_time() {
        let rng = Rng::new([1, 2]);
        let (l, r) = pair();
        let made = Instant::from_secs(1000);
        let cookie = make(&rng, made, l, r, Seq(7), 1459);
        assert_eq!(check(&rng, made, l, r, Seq(7), cookie), Some(1440), "the next smaller that it can say");
        assert_eq!(check(&rng, made + SLOT, l, r, Seq(7), cookie), Some(1440));
        assert_eq!(check(&rng, made + SLOT * 2, l, r, Seq(7), cookie), None, "too old");
        assert_eq!(check(&rng, made, l, r, Seq(8), cookie), None, "another IRS");
        assert_eq!(check(&rng, made, r, l, Seq(7), cookie), None, "other addresses");
        assert_eq!(check(&Rng::new([1, 3]), made, l, r, Seq(7), cookie), None, "another secret");
        assert_eq!(check(&rng, made, l, r, Seq(7), cookie + 1), None);
        assert_eq!(check(&rng, made, l, r, Seq(7), Seq(cookie.0 ^ 1 << 24)), None, "another MSS");
    }

    #[test]
    fn options_survive_in_the_timestamp_which_is_never_ahead_of_time() {
        for now in [64u32, 1000, 0xffff_fff0, 127] {
            for options in [
                CookieOptions { window_scale: Some(14), sack: true },
                CookieOptions { window_scale: Some(0), sack: false },
                CookieOptions { window_scale: None, sack: true },
            ] {
                let ts = stamp(now, options);
                assert_eq!(unstamp(ts), options);
                assert!(now.wrapping_sub(ts) < 128, "{now} {ts}");
            }
        }
    }
}
