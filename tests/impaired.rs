//! 16 MiB each way under each impairment alone and under all together: the same octets, within a bounded virtual time.
#![cfg(feature = "std")]

mod bed;
use bed::pair::{PLAIN, Pair};
use bed::*;
use wirestack::event::EventFilter;
use wirestack::link::Capabilities;

const SIZE: u64 = 16 << 20;

/// Virtual seconds that 16 MiB both ways at a time may take: about three times what they take, so that a recovery that
/// falls back to timeouts shows, and noise does not.
fn check(impair: &str, at_most: u64) {
    check_over(impair, at_most, PLAIN);
}

fn check_over(impair: &str, at_most: u64, capabilities: Capabilities) {
    let mut pair = Pair::with(impair, 1, EventFilter::NONE, &[], Profile::linux(), capabilities);
    let took = pair.transfer(SIZE, SIZE, secs(at_most));
    println!("{impair}: {took:?}, {} timeouts", pair.a.stack.stats().count.tcp_rto);
}

/// The wire cuts super-segments before it harms them; without harm they pass whole.
#[test]
fn super_segments() {
    let capabilities = Capabilities { max_gso: 65_535, tx_checksum: true, ..PLAIN };
    check_over("", 1, capabilities);
    check_over("loss=1%,delay=1ms", 60, capabilities);
}

macro_rules! impaired {
    ($($name:ident: $impair:literal in $secs:literal s;)*) => {
        $(#[test] fn $name() { check($impair, $secs); })*
    };
}

impaired! {
    nothing: "" in 1 s;
    delay: "delay=20ms,rate=1gbit,queue=100000" in 10 s;
    jitter: "delay=20ms,jitter=5ms,rate=1gbit,queue=100000" in 10 s;
    loss: "loss=5%,delay=5ms,rate=1gbit,queue=100000" in 120 s;
    bursts: "burst-loss=0.5%/50%,delay=5ms,rate=1gbit,queue=100000" in 120 s;
    reorder: "reorder=1%,delay=5ms,rate=1gbit,queue=100000" in 30 s;
    duplicate: "duplicate=1%,delay=5ms,rate=1gbit,queue=100000" in 10 s;
    corrupt: "corrupt=0.1%,delay=5ms,rate=1gbit,queue=100000" in 60 s;
    a_slow_link_with_a_short_queue: "rate=20mbit,queue=50,delay=10ms" in 60 s;
    everything: "loss=5%,delay=20ms,jitter=5ms,reorder=1%,duplicate=1%,corrupt=0.1%,rate=1gbit,queue=100000" in 600 s;
}
