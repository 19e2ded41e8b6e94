//! What is seen of the connection while it lives: the ladder, and figures for the end.

use crate::ladder::Ladder;
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel as unbounded};
use std::time::Duration;
use wirestack::event::{RetransmitCause, TcpEvent, TcpHappening};
use wirestack::{ConnId, Event};

/// The drawing end of the channel.
#[derive(Debug)]
pub struct Watcher(Receiver<Option<TcpEvent>>);

/// Tells the watcher that nothing more comes.
#[derive(Debug)]
pub struct End(Sender<Option<TcpEvent>>);

impl End {
    /// It draws what it has and is done.
    pub fn tell(&self) {
        let _ = self.0.send(None);
    }
}

/// A watcher, its end, and the observer for the runtime.
pub fn channel() -> (Watcher, End, impl FnMut(&Event) + Send + 'static) {
    let (tx, rx) = unbounded();
    let end = End(tx.clone());
    let observer = move |event: &Event| {
        if let Event::Tcp(e) = event {
            let _ = tx.send(Some(e.clone()));
        }
    };
    (Watcher(rx), end, observer)
}

/// Figures of one connection.
#[derive(Debug, Default)]
pub struct Seen {
    again: BTreeMap<RetransmitCause, u64>,
    timeouts: u64,
    spurious: u64,
    least_rtt: Option<Duration>,
    srtt: Option<Duration>,
}

impl Watcher {
    /// Draws until it is told the end.
    pub fn draw(self, mut ladder: Ladder) -> Seen {
        let mut seen = Seen::default();
        let mut conn: Option<ConnId> = None;
        while let Ok(Some(event)) = self.0.recv() {
            // The first connection is the demonstration's.
            if *conn.get_or_insert(event.conn) != event.conn {
                continue;
            }
            seen.take(&event.what);
            ladder.push(&event);
            print(ladder.take_lines());
        }
        print(ladder.finish());
        seen
    }
}

fn print(lines: Vec<String>) {
    for line in lines {
        anstream::println!("{line}");
    }
}

impl Seen {
    fn take(&mut self, what: &TcpHappening) {
        match what {
            TcpHappening::Sent { cause: Some(cause), .. } => *self.again.entry(*cause).or_default() += 1,
            TcpHappening::TimerFired { timer: wirestack::tcp::Timer::Retransmit, .. } => self.timeouts += 1,
            TcpHappening::Undo => self.spurious += 1,
            TcpHappening::Rtt { sample, srtt, .. } => {
                self.least_rtt = Some(self.least_rtt.map_or(*sample, |l| l.min(*sample)));
                self.srtt = Some(*srtt);
            }
            _ => {}
        }
    }

    /// Two lines.
    pub fn summary(&self) -> String {
        let total: u64 = self.again.values().sum();
        let by_cause: Vec<_> = self.again.iter().map(|(c, n)| format!("{n} {}", c.label())).collect();
        let mut out = match total {
            0 => "sent again nothing".to_owned(),
            1 => format!("sent again 1 segment: {}", by_cause.join(", ")),
            _ => format!("sent again {total} segments: {}", by_cause.join(", ")),
        };
        if self.timeouts > 0 {
            out += &format!("; {} timeouts", self.timeouts);
        }
        if self.spurious > 0 {
            out += &format!("; {} found needless and undone", self.spurious);
        }
        if let (Some(least), Some(srtt)) = (self.least_rtt, self.srtt) {
            let ms = |d: Duration| d.as_secs_f64() * 1e3;
            out +=
                &format!("\nround trip {:.1} ms at least, {:.1} ms smoothed at the end", ms(least), ms(srtt));
        }
        out
    }
}
