//! Initial sequence numbers and timestamp offsets (RFC 6528, RFC 7323 section 5.4): a clock plus a
//! keyed hash of the connection, so that neither can be computed from outside.

use crate::rng::Rng;
use crate::time::Instant;
use crate::wire::Seq;
use core::hash::{Hash, Hasher};
use core::net::SocketAddr;

const PURPOSE_ISN: u64 = 0x4953_4e00;
const PURPOSE_TIMESTAMP: u64 = 0x5453_0000;

fn keyed(rng: &Rng, purpose: u64, local: SocketAddr, remote: SocketAddr) -> u32 {
    let mut h = rng.keyed(purpose);
    (local.ip(), local.port(), remote.ip(), remote.port()).hash(&mut h);
    h.finish() as u32
}

/// ISN = M + F(local, remote, secret), where M counts 4 microseconds (RFC 9293 section 3.4.1).
pub(crate) fn initial_sequence(rng: &Rng, now: Instant, local: SocketAddr, remote: SocketAddr) -> Seq {
    let clock = (now.as_micros() / 4) as u32;
    Seq(keyed(rng, PURPOSE_ISN, local, remote).wrapping_add(clock))
}

/// What is added to the millisecond clock to make TSval: random a pair of addresses, so that a
/// TIME-WAIT of the same pair stays comparable (RFC 6191), and hides how long the stack is up.
pub(crate) fn timestamp_offset(rng: &Rng, local: SocketAddr, remote: SocketAddr) -> u32 {
    let without_ports = |a: SocketAddr| SocketAddr::new(a.ip(), 0);
    keyed(rng, PURPOSE_TIMESTAMP, without_ports(local), without_ports(remote))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(port: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 1], port))
    }

    #[test]
    fn the_clock_counts_four_microseconds_and_the_hash_depends_on_everything() {
        let rng = Rng::new([1, 2]);
        let isn =
            |us, local, remote| initial_sequence(&rng, Instant::from_micros(us), addr(local), addr(remote));
        assert_eq!(isn(4000, 1, 2).distance(isn(0, 1, 2)), 1000);
        assert_ne!(isn(0, 1, 2), isn(0, 2, 1));
        assert_ne!(isn(0, 1, 2), isn(0, 1, 3));
        let other = Rng::new([1, 3]);
        assert_ne!(isn(0, 1, 2), initial_sequence(&other, Instant::ZERO, addr(1), addr(2)));
    }
}
