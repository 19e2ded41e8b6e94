//! Events as lines, in the manner of tcpdump: what `-v` prints to standard error.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use wirestack::Event;
use wirestack::event::{EventFilter, SegmentInfo, TcpEvent, TcpHappening};
use wirestack::wire::TcpFlags;

/// Lines that may wait for a slow terminal; more are counted and left out.
const QUEUE: usize = 1 << 14;

/// Which events `-v` asks for, by how often it was given.
pub fn filter(verbose: u8) -> EventFilter {
    match verbose {
        0 => EventFilter::NONE,
        1 => EventFilter { transitions: true, segments: false, metrics: false, drops: true },
        _ => EventFilter::ALL,
    }
}

/// An event; `None` is the end.
type Message = Option<Event>;

/// Prints events on a thread of its own: an observer must not wait for a terminal.
#[derive(Debug)]
pub struct Printer {
    queue: SyncSender<Message>,
    missed: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Printer {
    /// Starts it.
    pub fn start() -> std::io::Result<Self> {
        let (queue, events) = sync_channel(QUEUE);
        let missed = Arc::new(AtomicU64::new(0));
        let theirs = Arc::clone(&missed);
        let thread = thread::Builder::new().name("trace".into()).spawn(move || print(&events, &theirs))?;
        Ok(Self { queue, missed, thread: Some(thread) })
    }

    /// What to give to the runtime.
    pub fn observer(&self) -> impl FnMut(&Event) + Send + 'static {
        let (queue, missed) = (self.queue.clone(), Arc::clone(&self.missed));
        move |event| {
            if matches!(event, Event::Socket(_)) {
                return;
            }
            if let Err(TrySendError::Full(_)) = queue.try_send(Some(event.clone())) {
                missed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Drop for Printer {
    /// Prints what is queued. What the observer sees later is not printed.
    fn drop(&mut self) {
        let _ = self.queue.send(None);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn print(events: &Receiver<Message>, missed: &AtomicU64) {
    while let Ok(Some(event)) = events.recv() {
        let mut err = std::io::stderr().lock();
        let skipped = missed.swap(0, Ordering::Relaxed);
        if skipped > 0 {
            let _ = writeln!(err, "({skipped} events left out: the terminal is too slow)");
        }
        if let Some(line) = line(&event) {
            let _ = writeln!(err, "{line}");
        }
    }
}

/// The line of an event; `None` for readiness, which is no news to people.
pub fn line(event: &Event) -> Option<String> {
    match event {
        Event::Tcp(e) => Some(tcp(e)),
        Event::Dropped { at, reason } => Some(format!("{at} dropped: {reason} ({})", reason.meaning())),
        Event::Neighbour { at, addr, reachable: true, .. } => {
            Some(format!("{at} neighbour {addr} is reachable"))
        }
        Event::Neighbour { at, addr, .. } => Some(format!("{at} neighbour {addr} does not answer")),
        Event::AddressConflict { at, addr, .. } => {
            Some(format!("{at} address conflict: {addr} is used by another host on the link"))
        }
        Event::Socket(_) => None,
    }
}

fn tcp(e: &TcpEvent) -> String {
    let (local, remote) = (dotted(e.local), dotted(e.remote));
    let at = e.at;
    let about = |what: String| format!("{at} {local} - {remote}: {what}");
    match &e.what {
        TcpHappening::Sent { segment, cause } => {
            let again = cause.map_or(String::new(), |c| format!(", retransmission ({})", c.label()));
            format!("{at} {local} > {remote}: {}{again}", segment_text(segment))
        }
        TcpHappening::Received { segment } => format!("{at} {remote} > {local}: {}", segment_text(segment)),
        TcpHappening::State { from, to } => about(format!("{from} -> {to}")),
        TcpHappening::TimerFired { timer, attempt } => {
            about(format!("timer {timer:?} expired, attempt {attempt}"))
        }
        TcpHappening::Rtt { sample, srtt, rttvar, rto } => {
            about(format!("rtt {sample:.1?}, srtt {srtt:.1?}, rttvar {rttvar:.1?}, rto {rto:.1?}"))
        }
        TcpHappening::Cwnd { cwnd, ssthresh: u32::MAX } => about(format!("cwnd {cwnd}")),
        TcpHappening::Cwnd { cwnd, ssthresh } => about(format!("cwnd {cwnd}, ssthresh {ssthresh}")),
        TcpHappening::Lost { seq, end, cause } => about(format!("lost {seq}:{end} ({})", cause.label())),
        TcpHappening::Undo => about("the loss was spurious, window restored".into()),
        TcpHappening::Aborted { error } => about(format!("aborted: {error}")),
        TcpHappening::Dropped { reason } => about(format!("dropped: {reason}")),
    }
}

/// `Flags [P.], seq 1:1449, ack 1, win 502, length 1448`
fn segment_text(s: &SegmentInfo) -> String {
    let mut out = format!("Flags [{}], seq {}", s.flags, s.seq);
    if s.len > 0 {
        let _ = write!(out, ":{}", s.seq + s.len);
    }
    if s.flags.contains(TcpFlags::ACK) {
        let _ = write!(out, ", ack {}", s.ack);
    }
    let _ = write!(out, ", win {}, length {}", s.window, s.len);
    out
}

/// An endpoint as tcpdump writes it: `10.0.0.1.80`, `fd00::1.80`.
fn dotted(addr: SocketAddr) -> String {
    format!("{}.{}", addr.ip(), addr.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use wirestack::event::RetransmitCause;
    use wirestack::wire::Seq;
    use wirestack::{ConnId, Instant};

    #[test]
    fn lines_read_like_those_of_tcpdump() {
        let segment = SegmentInfo {
            seq: Seq(u32::MAX),
            len: 1448,
            flags: TcpFlags::PSH | TcpFlags::ACK,
            ack: Seq(7),
            window: 64_240,
        };
        let event = |what| {
            Event::Tcp(TcpEvent {
                at: Instant::from_micros(1_500_001),
                conn: ConnId::default(),
                local: "[fd00::2]:40000".parse().unwrap(),
                remote: "[fd00::1]:80".parse().unwrap(),
                what,
            })
        };
        let sent = event(TcpHappening::Sent { segment, cause: Some(RetransmitCause::Rack) });
        assert_eq!(
            line(&sent).unwrap(),
            "1.500001 fd00::2.40000 > fd00::1.80: Flags [P.], seq 4294967295:1447, ack 7, win 64240, \
             length 1448, retransmission (rack)"
        );
        let received = event(TcpHappening::Received { segment: SegmentInfo { len: 0, ..segment } });
        assert_eq!(
            line(&received).unwrap(),
            "1.500001 fd00::1.80 > fd00::2.40000: Flags [P.], seq 4294967295, ack 7, win 64240, length 0"
        );
    }
}
