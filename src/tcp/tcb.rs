//! The transmission control block: everything a connection knows, in the groups of RFC 9293 section
//! 3.3.1. What is done with it stands in the files beside this one, one concept each.

use super::congestion::{Congestion, Controller, Window};
use super::info::Tally;
use super::keepalive::KeepAlive;
use super::receive::Reassembly;
use super::recovery::Recovery;
use super::recovery::scoreboard::Scoreboard;
use super::rtt::Rtt;
use super::segment::Header;
use super::settings::Settings;
use super::timer::TimerTable;
use super::urgent::{RecvUrgent, SendUrgent};
use crate::buf::{RecvQueue, SendQueue};
use crate::env::Env;
use crate::errno::Errno;
use crate::event::{Event, TcpEvent, TcpHappening};
use crate::ip::Path;
use crate::state::{Cause, State};
use crate::time::{Duration, Instant};
use crate::wire::Seq;
use crate::wire::options::SackBlock;
use crate::{ConnId, SocketId};
use core::net::SocketAddr;

bitflags::bitflags! {
    /// What changed for the socket or the machine since the last look.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct Signals: u8 {
        /// Data, end of stream or an error can be read.
        const READABLE = 1;
        /// There is room to send, or sending fails.
        const WRITABLE = 2;
        /// Urgent data.
        const URGENT = 4;
        /// The connection attempt is over, well or not.
        const CONNECTED = 8;
        /// The connection entered TIME-WAIT: keep a record and let the block go.
        const TIME_WAIT = 16;
        /// The connection is over.
        const CLOSED = 32;
    }
}

/// The send sequence space.
#[derive(Debug)]
pub struct SendSide {
    /// SND.UNA: oldest unacknowledged sequence number.
    pub una: Seq,
    /// SND.NXT: next sequence number to send for the first time.
    pub nxt: Seq,
    /// Initial send sequence number.
    pub iss: Seq,
    /// SND.WND: the peer's window in octets, scaled.
    pub wnd: u32,
    /// The largest window the peer ever offered.
    pub max_wnd: u32,
    /// Segment sequence number used for the last window update.
    pub wl1: Seq,
    /// Segment acknowledgment number used for the last window update.
    pub wl2: Seq,
    /// Shift of the windows that the peer sends (RFC 7323).
    pub wscale: u8,
    /// The peer's MSS option, or the default (RFC 9293 section 3.7.1).
    pub peer_mss: u16,
    /// Eff.snd.MSS: payload octets of a full segment, options taken off.
    pub mss: u32,
    /// What the application wrote and the peer has not acknowledged.
    pub queue: SendQueue,
    /// The application closed: a FIN follows the queue.
    pub fin: bool,
    /// The sequence number of our FIN, once it was sent.
    pub fin_seq: Option<Seq>,
    /// The SYN has yet to be sent, or sent again.
    pub syn_due: bool,
    /// End of the last segment smaller than the MSS (Minshall's variant of Nagle).
    pub small: Seq,
    /// The application gave MSG_MORE: hold a partial segment back.
    pub more: bool,
    /// Send whatever there is once, partial segments too: the cork's time is up, or it was pulled.
    pub push_now: bool,
    /// Where PSH was last set.
    pub pushed: Seq,
    /// Urgent data.
    pub urgent: SendUrgent,
    /// When a segment with data was last sent.
    pub last_at: Instant,
    /// What one more segment is wanted for, whatever window and cwnd say.
    pub probe: Option<super::output::ProbeKind>,
    /// Sending was held back by cwnd (RFC 7661).
    pub cwnd_limited: bool,
    /// Most segments in flight since `cwnd_usage`.
    pub max_packets: u32,
    /// The usage of cwnd is judged again when this is acknowledged.
    pub cwnd_usage: Seq,
    /// The application waits for room.
    pub wants_room: bool,
}

/// The receive sequence space.
#[derive(Debug)]
pub struct RecvSide {
    /// RCV.NXT: next sequence number expected.
    pub nxt: Seq,
    /// RCV.NXT when the last ACK was sent.
    pub acked: Seq,
    /// Right edge of the window that was advertised: it never moves left.
    pub edge: Seq,
    /// Initial receive sequence number.
    pub irs: Seq,
    /// Shift of the windows that we send.
    pub wscale: u8,
    /// The peer will not send more: its FIN was received in order.
    pub fin: bool,
    /// The application does not want more (SHUT_RD or close).
    pub shut: bool,
    /// TS.Recent (RFC 7323).
    pub ts_recent: u32,
    /// When TS.Recent was taken.
    pub ts_recent_at: Instant,
    /// What can be read.
    pub queue: RecvQueue,
    /// What came out of order.
    pub ofo: Reassembly,
    /// Urgent data.
    pub urgent: RecvUrgent,
    /// MSS that we advertised.
    pub adv_mss: u16,
    /// Estimate of the MSS that the peer uses: what "every second full segment" means.
    pub seg_size: u16,
    /// A duplicate to report in the next ACK (RFC 2883).
    pub dsack: Option<SackBlock>,
    /// Acknowledgments.
    pub ack: super::ack_policy::AckPolicy,
    /// Auto-tuning of the receive buffer.
    pub tune: super::autotune::RecvTuning,
    /// When a segment last came.
    pub last_at: Instant,
    /// When data last came.
    pub last_data_at: Instant,
}

/// A connection.
#[derive(Debug)]
pub struct Tcb {
    /// Its name in events.
    pub id: ConnId,
    /// Our address and port; IPv4 also under a dual-stack socket.
    pub local: SocketAddr,
    /// The peer's.
    pub remote: SocketAddr,
    /// The socket that holds it; `None` for an orphan and before accept.
    pub socket: Option<SocketId>,
    /// The state. Changed by `Tcb::go` only.
    pub state: State,
    /// It was opened by a listener (RFC 9293 MUST-11).
    pub passive: bool,
    /// No application holds it and none will: it closes by itself.
    pub orphan: bool,
    /// Where segments go.
    pub path: Option<Path>,
    /// The generation of the routes that `path` was made from.
    pub path_generation: u32,
    /// What the application set.
    pub settings: Settings,
    /// Send sequence space.
    pub snd: SendSide,
    /// Receive sequence space.
    pub rcv: RecvSide,
    /// Both sides offered SACK.
    pub sack_ok: bool,
    /// Both sides offered timestamps.
    pub ts_ok: bool,
    /// Added to the millisecond clock to make TSval.
    pub ts_offset: u32,
    /// Round-trip time.
    pub rtt: Rtt,
    /// Congestion control.
    pub congestion: Controller,
    /// Its window.
    pub window: Window,
    /// What is in flight.
    pub board: Scoreboard,
    /// Loss recovery.
    pub recovery: Recovery,
    /// Timers.
    pub timers: TimerTable,
    /// Keep-alive.
    pub keepalive: KeepAlive,
    /// Unanswered zero-window probes in a row.
    pub probes: u8,
    /// Zero-window probes since the window closed, answered or not: their interval doubles with each.
    pub persist_backoff: u8,
    /// Retransmissions of the SYN so far.
    pub syn_retries: u8,
    /// When the oldest data that is being retransmitted was first sent again (for TCP_USER_TIMEOUT).
    pub retransmit_since: Option<Instant>,
    /// When an ACK was last sent because of an unacceptable segment (RFC 5961 section 7).
    pub challenged_at: Option<Instant>,
    /// What the application is told next.
    pub error: Option<Errno>,
    /// An ICMP error that did not end the connection: what a timeout is explained by.
    pub soft_error: Option<Errno>,
    /// What changed.
    pub signals: Signals,
    /// Counts for TCP_INFO.
    pub(crate) count: Tally,
    /// A RST to send before the block goes away.
    pub farewell: Option<Header>,
}

/// What a new connection starts from.
pub(crate) struct Opening {
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    pub(crate) settings: Settings,
    pub(crate) iss: Seq,
    pub(crate) ts_offset: u32,
    pub(crate) path: Path,
    pub(crate) path_generation: u32,
}

impl Tcb {
    /// A block in CLOSED: the handshake files take it further.
    pub(crate) fn new(env: &Env<'_>, id: ConnId, open: Opening) -> Self {
        let profile = &env.config.profile;
        let Opening { local, remote, settings, iss, ts_offset, path, path_generation } = open;
        let adv_mss = super::mss::advertised(&path, remote.is_ipv4(), settings.max_segment);
        let mut congestion = Controller::new(settings.congestion);
        congestion.on_init(profile.initial_window);
        Self {
            id,
            local,
            remote,
            socket: None,
            state: State::Closed,
            passive: false,
            orphan: false,
            path: Some(path),
            path_generation,
            snd: SendSide {
                una: iss,
                nxt: iss,
                iss,
                wnd: 0,
                max_wnd: 0,
                wl1: Seq(0),
                wl2: Seq(0),
                wscale: 0,
                peer_mss: super::mss::default_for(remote.is_ipv4()),
                mss: u32::from(super::mss::default_for(remote.is_ipv4())),
                queue: SendQueue::default(),
                fin: false,
                fin_seq: None,
                syn_due: false,
                small: iss,
                more: false,
                push_now: false,
                pushed: iss,
                urgent: SendUrgent::default(),
                last_at: env.now,
                probe: None,
                cwnd_limited: false,
                max_packets: 0,
                cwnd_usage: iss,
                wants_room: false,
            },
            rcv: RecvSide {
                nxt: Seq(0),
                acked: Seq(0),
                edge: Seq(0),
                irs: Seq(0),
                wscale: super::window::choose_scale(profile, &settings),
                fin: false,
                shut: false,
                ts_recent: 0,
                ts_recent_at: Instant::ZERO,
                queue: RecvQueue::default(),
                ofo: Reassembly::default(),
                urgent: RecvUrgent::default(),
                adv_mss,
                seg_size: adv_mss.min(536),
                dsack: None,
                ack: super::ack_policy::AckPolicy::new(profile),
                tune: super::autotune::RecvTuning::default(),
                last_at: env.now,
                last_data_at: env.now,
            },
            sack_ok: profile.sack,
            ts_ok: profile.timestamps,
            ts_offset,
            rtt: Rtt::new(profile),
            congestion,
            window: Window::new(profile.initial_window),
            board: Scoreboard::default(),
            recovery: Recovery::default(),
            timers: TimerTable::default(),
            keepalive: KeepAlive::default(),
            probes: 0,
            persist_backoff: 0,
            syn_retries: 0,
            retransmit_since: None,
            challenged_at: None,
            error: None,
            soft_error: None,
            signals: Signals::empty(),
            count: Tally::default(),
            farewell: None,
            settings,
        }
    }

    /// Follows an arrow of figure 5. An arrow that is not there is a defect of ours: it is refused, and
    /// loudly so in debug builds.
    pub(crate) fn go(&mut self, env: &mut Env<'_>, cause: Cause) {
        let Some(to) = self.state.next(cause) else {
            debug_assert!(false, "no transition from {} by {cause:?}", self.state);
            return;
        };
        let from = core::mem::replace(&mut self.state, to);
        self.tell(env, TcpHappening::State { from, to });
        match to {
            State::Established => self.signals |= Signals::CONNECTED | Signals::WRITABLE,
            State::TimeWait => self.signals |= Signals::TIME_WAIT | Signals::READABLE | Signals::WRITABLE,
            State::Closed => {
                self.signals |= Signals::CLOSED | Signals::READABLE | Signals::WRITABLE | Signals::CONNECTED;
                self.timers.clear_all();
            }
            _ => {}
        }
    }

    /// A TIME-WAIT record has taken over: what is left here is only what the application can read.
    pub(crate) fn retire(&mut self) {
        self.state = State::Closed;
        self.timers.clear_all();
    }

    /// The connection ends with an error: everything unsent is forgotten, what was received can still
    /// be read.
    pub(crate) fn fail(&mut self, env: &mut Env<'_>, error: Errno) {
        if self.state == State::Closed {
            return;
        }
        match self.state {
            State::SynSent | State::SynReceived => env.stats.count.tcp_attempt_fails += 1,
            State::Established | State::CloseWait => env.stats.count.tcp_estab_resets += 1,
            _ => {}
        }
        self.error = Some(error);
        self.tell(env, TcpHappening::Aborted { error });
        self.snd.queue.clear();
        self.board.clear();
        self.rcv.ofo.clear();
        self.go(env, Cause::Abort);
    }

    /// Tells an event.
    pub(crate) fn tell(&self, env: &mut Env<'_>, what: TcpHappening) {
        if env.events.filter() != crate::event::EventFilter::NONE {
            let at = env.now;
            let (conn, local, remote) = (self.id, self.local, self.remote);
            env.events.push(Event::Tcp(TcpEvent { at, conn, local, remote, what }));
        }
    }

    /// TSval now (RFC 7323 section 5.4: 1 ms clock).
    pub(crate) fn ts_now(&self, now: Instant) -> u32 {
        (now.as_millis() as u32).wrapping_add(self.ts_offset)
    }

    /// The sequence number of the first octet in the send queue: behind our SYN while that is not
    /// acknowledged. (SND.UNA comes by the ISS again every 4 GiB, when no SYN is there.)
    pub(crate) fn queue_seq(&self) -> Seq {
        let syn = matches!(self.state, State::SynSent | State::SynReceived) && self.snd.una == self.snd.iss;
        self.snd.una + u32::from(syn)
    }

    /// The sequence number after the last octet in the send queue.
    pub(crate) fn queue_end(&self) -> Seq {
        self.queue_seq() + self.snd.queue.len() as u32
    }

    /// Octets written and not yet sent.
    pub(crate) fn unsent(&self) -> usize {
        let sent = self.snd.nxt.latest(self.queue_seq()).distance(self.queue_seq());
        self.snd.queue.len().saturating_sub(sent as usize)
    }

    /// Our FIN was sent.
    pub(crate) fn fin_sent(&self) -> bool {
        self.snd.fin_seq.is_some()
    }

    /// Our FIN is acknowledged.
    pub(crate) fn fin_acked(&self) -> bool {
        self.snd.fin_seq.is_some_and(|f| self.snd.una.after(f))
    }

    /// Smoothed round-trip time, or the initial RTO before there is one.
    pub(crate) fn srtt_or_initial(&self) -> Duration {
        self.rtt.srtt().unwrap_or_else(|| self.rtt.base_rto())
    }

    /// Is the state sane? Called after every entry in debug and fuzz builds.
    pub(crate) fn check_invariants(&self) {
        let s = &self.snd;
        assert!(s.una.at_or_before(s.nxt), "snd.una {} after snd.nxt {}", s.una, s.nxt);
        assert!(self.rcv.nxt.at_or_before(self.rcv.edge) || !self.state.is_synchronised(), "window shrunk");
        if self.state == State::Closed {
            return;
        }
        let end = self.queue_end() + u32::from(self.fin_sent());
        assert!(
            s.nxt.at_or_before(end),
            "{}: snd.nxt {} beyond what there is to send, {end}: {s:?}",
            self.state,
            s.nxt
        );
        assert!(self.recv_window() <= 1 << 30, "a window of {}", self.recv_window());
        self.board.check_invariants(self.sack_ok);
        if let (Some(a), Some(b)) = (self.board.front(), self.board.back()) {
            assert_eq!(a.seq, s.una, "scoreboard starts elsewhere");
            assert_eq!(b.end, s.nxt, "scoreboard ends elsewhere");
            assert!(
                self.timers.is_armed(super::Timer::Retransmit)
                    || self.timers.is_armed(super::Timer::TailLossProbe)
                    || self.timers.is_armed(super::Timer::Rack)
                    || self.snd.probe.is_some()
                    || self.snd.syn_due,
                "data in flight and no timer: {} {:?}",
                self.state,
                self.timers
            );
        } else {
            assert_eq!(s.una, s.nxt, "in flight but not on the scoreboard");
        }
        self.rcv.ofo.check_invariants(self.rcv.nxt);
        assert!(self.window.cwnd > 0, "cwnd 0");
    }
}

#[cfg(test)]
pub(in crate::tcp) mod tests {
    use super::*;
    use crate::IfaceId;
    use crate::buf::Blocks;
    use crate::config::Config;
    use crate::env::Surroundings;
    use crate::event::{EventFilter, Events};
    use crate::rng::Rng;

    /// A block in ESTABLISHED with an ISS of 7000, of which nothing was sent.
    pub(in crate::tcp) fn established() -> Tcb {
        let events = Events::new(EventFilter::NONE, 0);
        let mut around = Surroundings::new(Config::default(), Rng::new([0; 2]), events);
        let env = around.env(Instant::ZERO);
        let addr: SocketAddr = "10.0.0.1:80".parse().unwrap();
        let open = Opening {
            local: addr,
            remote: addr,
            settings: Settings::new(&env.config.profile),
            iss: Seq(7000),
            ts_offset: 0,
            path: Path { iface: IfaceId(1), next_hop: addr.ip(), src: addr.ip(), mtu: 1500 },
            path_generation: 0,
        };
        Tcb { state: State::Established, ..Tcb::new(&env, ConnId::default(), open) }
    }

    #[test]
    fn the_send_queue_does_not_shift_when_una_comes_by_the_iss_again_after_4_gib() {
        let mut t = established();
        t.snd.queue.push(&[0; 10], &mut Blocks::default());
        assert_eq!((t.queue_seq(), t.unsent(), t.queue_end()), (Seq(7000), 10, Seq(7010)));
        t.state = State::SynSent;
        assert_eq!((t.queue_seq(), t.unsent()), (Seq(7001), 10));
    }
}
