//! Transfers over loss, delay and buffer size: wirestack with itself, with smoltcp, and smoltcp with itself, over the
//! same wire with the same impairments, in virtual time.
#![cfg(feature = "std")]

mod bed;
use bed::pair::{Host, Link, Ours, PLAIN, Task, links, transfer};
use bed::smol::Smol;
use bed::*;
use smoltcp::socket::tcp::CongestionControl;
use std::fmt::Write;
use std::time::Duration;
use wirestack::event::EventFilter;

const SIZE: u64 = 2 << 20;
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
        Who::Smoltcp => {
            let cc = match std::env::var("CC").as_deref() {
                Ok("none") => CongestionControl::None,
                Ok("reno") => CongestionControl::Reno,
                _ => CongestionControl::Cubic,
            };
            Box::new(Smol::new(side, link, buffer, cc))
        }
    }
}

fn goodput(sender: Who, receiver: Who, loss: &str, delay: u64, buffer: usize, seed: u64) -> (f64, Duration) {
    let impair = format!("loss={loss},delay={delay}ms,rate=1gbit,queue=100000");
    let [x, y] = links(&impair, seed, PLAIN);
    let (mut a, mut b) = (host(sender, 0, x, buffer), host(receiver, 1, y, buffer));
    let tasks = [Task::new(SIZE, 0), Task::new(0, SIZE)];
    let took = transfer(&mut *a, &mut *b, tasks, secs(30 * 86_400));
    (SIZE as f64 * 8.0 / 1e6 / took.as_secs_f64(), took)
}

#[test]
fn the_matrix() {
    use Who::{Smoltcp as S, Wirestack as W};
    let mut table = String::new();
    let mut slower = Vec::new();
    writeln!(
        table,
        "{:>5} {:>6} {:>9} | {:>8} {:>8} {:>8} {:>8}",
        "loss", "delay", "buffer", "w>w", "w>s", "s>w", "s>s"
    )
    .unwrap();
    for loss in LOSS {
        for delay in DELAY {
            for buffer in BUFFER {
                let mut row = Vec::new();
                for (a, b) in [(W, W), (W, S), (S, W), (S, S)] {
                    let seeds = 3;
                    let total: f64 =
                        (0..seeds).map(|s| goodput(a, b, loss, delay, buffer, s).1.as_secs_f64()).sum();
                    row.push(SIZE as f64 * 8.0 / 1e6 / (total / seeds as f64));
                }
                writeln!(
                    table,
                    "{loss:>5} {delay:>4}ms {:>6}KiB | {:>8.2} {:>8.2} {:>8.2} {:>8.2}",
                    buffer >> 10,
                    row[0],
                    row[1],
                    row[2],
                    row[3]
                )
                .unwrap();
                if loss != "0%" && row[0] <= row[3] {
                    slower.push(format!("{loss} {delay} ms {buffer}"));
                }
            }
        }
    }
    println!("{table}");
    assert!(slower.is_empty(), "slower than smoltcp: {slower:#?}");
}

#[test]
#[ignore]
fn trace() {
    let impair = std::env::var("IMPAIR").unwrap_or("loss=0%,delay=0ms,rate=1gbit,queue=100000".into());
    let buffer = std::env::var("BUF").map_or(16 << 10, |b| b.parse::<usize>().unwrap() << 10);
    let n = std::env::var("N").map_or(2 << 20, |b| b.parse::<u64>().unwrap() << 10);
    let options = [SocketOption::RecvBuffer(buffer), SocketOption::SendBuffer(buffer)];
    let mut p = pair::Pair::new(
        &impair,
        std::env::var("SEED").map_or(0, |s| s.parse().unwrap()),
        EventFilter { drops: true, ..EventFilter::ALL },
        &options,
    );
    let took = p.transfer(n, 0, secs(36000));
    for (at, e) in &p.a.events {
        println!("{at} {e:?}");
    }
    println!("{took:?} {:?}", p.a.stack.stats());
}
