//! The life of connections in the machine, from their first segment to the moment when nobody holds
//! them any more.

use super::control::Look;
use super::demux::Flow;
use super::ports::Share;
use super::{Conn, Stack, TimerKey};
use crate::endpoint::{LocalAddr, Tuple};
use crate::errno::Errno;
use crate::ip::{Datagram, Path};
use crate::reason::Drop;
use crate::tcp::{Header, Segment, Signals, State, Tcb, Verdict};
use crate::time::Instant;
use crate::{ConnId, IfaceId};
use alloc::vec::Vec;

impl Stack {
    /// A segment for an existing connection.
    pub(super) fn segment_for_connection(
        &mut self,
        now: Instant,
        id: ConnId,
        seg: &Segment,
        dg: &Datagram<'_>,
    ) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let una = conn.tcb.snd.una;
        let verdict = conn.tcb.handle_segment(&mut self.around.env(now), seg, dg);
        if conn.tcb.snd.una != una
            && let Some(path) = &conn.tcb.path
        {
            self.ip.confirm(now, path);
        }
        if let Verdict::Refused(_) = verdict {
            self.refuse(now, seg, dg);
        }
        self.settle(now, id);
    }

    /// After anything that may have changed a connection: wakes its socket, sends its RST, arms its
    /// timer, lists it for transmission, and lets it go when it is over.
    pub(crate) fn settle(&mut self, now: Instant, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let signals = core::mem::take(&mut conn.tcb.signals);
        let socket = conn.tcb.socket;
        if let Some(header) = conn.tcb.farewell.take() {
            self.send_farewell(now, id, &header);
        }
        if signals.contains(Signals::TIME_WAIT) {
            self.enter_time_wait(now, id);
        } else if signals.contains(Signals::CLOSED) {
            self.unlist(id);
        }
        if !signals.is_empty()
            && let Some(socket) = socket
        {
            self.wake(socket);
        }
        let Some(conn) = self.conns.get_mut(id) else { return };
        if conn.tcb.state == State::Closed {
            self.forget_if_unheld(id);
            return;
        }
        self.arm(id);
        self.make_ready(id);
    }

    /// Lists a connection as having perhaps something to send.
    pub(crate) fn make_ready(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(id)
            && !conn.queued
        {
            conn.queued = true;
            self.ready.push_back(id);
        }
    }

    /// Routes or addresses came: what could not be sent may go now.
    pub(super) fn make_all_ready(&mut self) {
        let ids: Vec<_> = self.conns.keys().collect();
        for id in ids {
            self.make_ready(id);
        }
    }

    /// Brings the wheel up to the connection's earliest deadline. A later deadline leaves the entry
    /// where it is: it fires early once and is armed anew, which is cheaper than moving it with every
    /// segment.
    pub(super) fn arm(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let Some(deadline) = conn.tcb.timers.next() else { return };
        match conn.timer {
            Some((_, at)) if at <= deadline => {}
            Some((timer, _)) => {
                self.wheel.reschedule(timer, deadline);
                conn.timer = Some((timer, deadline));
            }
            None => conn.timer = Some((self.wheel.insert(deadline, TimerKey::Connection(id)), deadline)),
        }
    }

    /// A connection is over: its addresses are free, whoever still holds the block.
    fn unlist(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let tuple = Tuple::new(conn.tcb.local, conn.tcb.remote);
        if let Some(share) = conn.hold.take() {
            self.ports.unhold(conn.tcb.local.port(), share);
        }
        if self.demux.get(&tuple) == Some(Flow::Connection(id)) {
            self.demux.remove(&tuple);
        }
    }

    /// A closed connection that no socket and no accept queue holds is forgotten.
    pub(crate) fn forget_if_unheld(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        if let Some((timer, _)) = conn.timer.take() {
            self.wheel.cancel(timer);
        }
        if conn.tcb.socket.is_none() && conn.listener.is_none() {
            if conn.tcb.orphan {
                self.orphans = self.orphans.saturating_sub(1);
            }
            self.conns.remove(id);
        }
    }

    fn send_farewell(&mut self, now: Instant, id: ConnId, header: &Header) {
        let Some(conn) = self.conns.get(id) else { return };
        let tcb = &conn.tcb;
        let (local, remote) = (tcb.local.ip(), tcb.remote.ip());
        let look = Look { hop_limit: tcb.settings.hop_limit, traffic_class: tcb.settings.traffic_class };
        let mut out = [0; 60];
        let len = tcb.write_farewell(&self.around.env(now), header, &mut out);
        self.around.stats.count.tcp_rst_out += 1;
        self.send_control(now, local, remote, look, |_, _, to| {
            *to = out;
            len
        });
    }

    /// The connection uses its local port.
    pub(crate) fn hold_port(&mut self, id: ConnId, reuse: (bool, bool)) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let share = share(conn.tcb.local.ip(), reuse);
        conn.hold = Some(share);
        self.ports.hold(conn.tcb.local.port(), share);
    }

    /// A socket closed and left its connection to close by itself: there may be too many of these.
    pub(crate) fn count_orphan(&mut self, now: Instant, id: ConnId) {
        self.orphans += 1;
        if self.orphans > self.around.config.limits.orphans {
            let mut env = self.around.env(now);
            env.drop(Drop::TcpTooManyOrphans);
            env.stats.count.tcp_orphans_dropped += 1;
            if let Some(conn) = self.conns.get_mut(id) {
                conn.tcb.reset(&mut env, None);
            }
        }
    }

    pub(super) fn fail_connections_over(&mut self, now: Instant, iface: IfaceId) {
        let over: Vec<_> = self
            .conns
            .iter()
            .filter(|(_, c)| c.tcb.path.is_some_and(|p: Path| p.iface == iface))
            .map(|(id, _)| id)
            .collect();
        for id in over {
            if let Some(conn) = self.conns.get_mut(id) {
                conn.tcb.fail(&mut self.around.env(now), Errno::ENETDOWN);
            }
            self.settle(now, id);
        }
    }
}

impl Conn {
    pub(crate) fn new(tcb: Tcb) -> Self {
        Self { tcb, timer: None, queued: false, listener: None, hold: None }
    }
}

pub(super) fn share(local: core::net::IpAddr, reuse: (bool, bool)) -> Share {
    Share { reuse_addr: reuse.0, reuse_port: reuse.1, ..Share::new(LocalAddr::Exact(local)) }
}
