//! Transfers over loss, delay and buffer size: wirestack with itself, with smoltcp, and smoltcp with itself, over the
//! same wire with the same impairments, in virtual time.
#![cfg(feature = "std")]

mod bed;
use bed::pair::{Host, Link, Ours, PLAIN, Task, links, transfer};
use bed::smol::Smol;
use bed::*;
use smoltcp::socket::tcp::CongestionControl;
use std::fmt::Write;
use wirestack::event::EventFilter;

const SIZE: u64 = 1 << 20;
const SEEDS: u64 = 2;
const LOSS: [&str; 4] = ["0%", "1%", "3%", "10%"];
const DELAY: [u64; 3] = [0, 10, 50];
const BUFFER: [usize; 3] = [16 << 10, 256 << 10, 4 << 20];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Wirestack,
    Smoltcp,
}

fn host(who: Who, side: u8, link: Link, buffer: usize) -> Box<dyn Host> {
    match who {
        Who::Wirestack => {
            let options = vec![SocketOption::RecvBuffer(buffer), SocketOption::SendBuffer(buffer)];
            Box::new(Ours::new(side, link, Profile::linux(), EventFilter::NONE, options))
        }
        Who::Smoltcp => Box::new(Smol::new(side, link, buffer, CongestionControl::Cubic)),
    }
}

/// How long a transfer takes in virtual time. smoltcp does not take its RTO back after a timeout until it has another
/// sample, so that at 10 % loss it needs hours for what takes us seconds.
fn seconds(sender: Who, receiver: Who, loss: &str, delay: u64, buffer: usize, seed: u64) -> f64 {
    let impair = format!("loss={loss},delay={delay}ms,rate=1gbit,queue=100000");
    let [x, y] = links(&impair, seed, PLAIN);
    let (mut a, mut b) = (host(sender, 0, x, buffer), host(receiver, 1, y, buffer));
    let limit = if sender == Who::Wirestack { secs(600) } else { secs(30 * 86_400) };
    transfer(&mut *a, &mut *b, [Task::new(SIZE, 0), Task::new(0, SIZE)], limit).as_secs_f64()
}

/// The mean of both seeds, in Mbit/s.
fn cell(sender: Who, receiver: Who, loss: &str, delay: u64, buffer: usize) -> f64 {
    let took: f64 = (0..SEEDS).map(|seed| seconds(sender, receiver, loss, delay, buffer, seed)).sum();
    (SEEDS * SIZE * 8) as f64 / 1e6 / took
}

#[test]
fn every_transfer_completes_and_ours_is_faster_wherever_there_is_loss() {
    use Who::{Smoltcp as S, Wirestack as W};
    let mut table =
        String::from("Mbit/s over 1 Gbit/s; w: wirestack, s: smoltcp 0.14 with CUBIC; sender > receiver\n");
    let mut slower = Vec::new();
    writeln!(table, " loss  delay     buffer |     w>w     w>s     s>w     s>s").unwrap();
    for loss in LOSS {
        for delay in DELAY {
            for buffer in BUFFER {
                let [ww, ws, sw, ss] =
                    [(W, W), (W, S), (S, W), (S, S)].map(|(a, b)| cell(a, b, loss, delay, buffer));
                let kib = buffer >> 10;
                writeln!(
                    table,
                    "{loss:>5} {delay:>3} ms {kib:>6} KiB | {ww:>7.2} {ws:>7.2} {sw:>7.2} {ss:>7.2}"
                )
                .unwrap();
                if loss != "0%" && ww <= ss {
                    slower.push(format!("{loss} loss, {delay} ms, {kib} KiB: {ww:.3} and {ss:.3} Mbit/s"));
                }
            }
        }
    }
    println!("{table}");
    assert!(slower.is_empty(), "slower than smoltcp: {slower:#?}");
    insta::assert_snapshot!("matrix", table);
}
