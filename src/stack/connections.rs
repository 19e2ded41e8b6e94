//! The life of connections in the machine: from a SYN to a half-open record, to a connection in an
//! accept queue, to a socket, to a TIME-WAIT record, to nothing.

use super::demux::{Flow, HalfOpenId, TimeWaitId};
use super::ports::Share;
use super::{Conn, HalfOpenEntry, Stack, TimeWaitEntry, TimerKey};
use crate::endpoint::{LocalAddr, Tuple};
use crate::errno::Errno;
use crate::event::{Event, TcpEvent, TcpHappening};
use crate::ip::{Datagram, Outgoing, Path, protocol};
use crate::reason::Drop;
use crate::tcp::{
    CHECKSUM_OFFSET, COOKIE_PRESSURE, HalfOpen, HalfOpenVerdict, Segment, Signals, State, Tcb, TimeWait,
    TimeWaitVerdict, Verdict,
};
use crate::time::Instant;
use crate::wire::TcpFlags;
use crate::{ConnId, IfaceId, SocketId};
use alloc::boxed::Box;
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

    /// A segment for no connection: a listener may want it (RFC 9293 sections 3.10.7.1, 3.10.7.2).
    pub(super) fn segment_for_listener(
        &mut self,
        now: Instant,
        tuple: &Tuple,
        from: State,
        seg: &Segment,
        dg: &Datagram<'_>,
    ) {
        let Some(socket) = self.demux.listener(tuple, dg.iface) else {
            self.around.env(now).drop(Drop::TcpNoSocket);
            return self.refuse(now, seg, dg);
        };
        let mut env = self.around.env(now);
        if seg.has(TcpFlags::RST) {
            return env.drop(Drop::TcpListenNotSyn);
        }
        if seg.has(TcpFlags::ACK) {
            if self.take_cookie(now, socket, seg, dg) {
                return;
            }
            self.around.env(now).drop(Drop::TcpListenNotSyn);
            return self.refuse(now, seg, dg);
        }
        if !seg.has(TcpFlags::SYN) {
            return env.drop(Drop::TcpListenNotSyn);
        }
        if seg.has(TcpFlags::FIN) {
            return env.drop(Drop::TcpBadFlags);
        }
        self.open_half(now, socket, from, seg, dg);
    }

    fn open_half(&mut self, now: Instant, socket: SocketId, from: State, seg: &Segment, dg: &Datagram<'_>) {
        let full = self.half_open.len() >= self.around.config.limits.syn_queue;
        let Ok(path) = self.ip.path(Some(dg.dst), dg.src, None) else { return };
        let Some(listener) = self.sockets.get_mut(socket).and_then(|s| s.listener_mut()) else { return };
        let mut env = self.around.env(now);
        let crowded = full || listener.half_open > listener.backlog;
        if listener.queue.len() > listener.backlog || (crowded && !env.config.profile.syn_cookies) {
            return env.drop(Drop::TcpListenBacklog);
        }
        let record = HalfOpen::from_syn(&env, socket, seg, dg, &listener.settings, &path);
        if crowded {
            listener.cookie_at = Some(now);
            env.stats.count.tcp_cookies_out += 1;
            let record = record.into_cookie(&env);
            return self.send_syn_ack_of(now, &record);
        }
        listener.half_open += 1;
        record.tell_state(&mut env, from, State::SynReceived);
        let tuple = Tuple::new(record.local(), record.remote());
        let again = now + record.retransmit_after(&env);
        let wheel = &mut self.wheel;
        let id = self.half_open.insert_with_key(|id| HalfOpenEntry {
            record,
            timer: wheel.insert(again, TimerKey::HalfOpen(id)),
        });
        self.demux.replace(tuple, Flow::HalfOpen(id));
        self.send_syn_ack(now, id);
    }

    /// Sends the SYN-ACK of a half-open connection.
    pub(super) fn send_syn_ack(&mut self, now: Instant, id: HalfOpenId) {
        if let Some(record) = self.half_open.get(id).map(|e| e.record.clone()) {
            self.send_syn_ack_of(now, &record);
        }
    }

    fn send_syn_ack_of(&mut self, now: Instant, record: &HalfOpen) {
        let (local, remote) = (record.local(), record.remote());
        let max_segment = self
            .sockets
            .get(record.listener)
            .and_then(|s| s.listener())
            .map_or(0, |l| l.settings.max_segment);
        let Ok(path) = self.ip.path(Some(local.ip()), remote.ip(), None) else { return };
        let mut env = self.around.env(now);
        let mut out = [0; 60];
        let len = record.syn_ack(&mut env, &path, max_segment, &mut out);
        let packet = Outgoing {
            path: &path,
            src: local.ip(),
            dst: remote.ip(),
            protocol: protocol::TCP,
            hop_limit: env.config.profile.hop_limit,
            traffic_class: 0,
            dont_fragment: true,
            header: &out[..len],
            payload: &[],
            checksum_offset: Some(CHECKSUM_OFFSET),
            gso_size: None,
        };
        // Lost in a full queue, it is retransmitted like one lost on the wire.
        let _ = self.ip.enqueue(&mut env, &packet);
    }

    pub(super) fn segment_for_half_open(
        &mut self,
        now: Instant,
        id: HalfOpenId,
        seg: &Segment,
        dg: &Datagram<'_>,
    ) {
        let Some(entry) = self.half_open.get_mut(id) else { return };
        match entry.record.handle_segment(&mut self.around.env(now), seg) {
            HalfOpenVerdict::Complete => self.complete_half_open(now, id, seg, dg),
            HalfOpenVerdict::Repeat => self.send_syn_ack(now, id),
            HalfOpenVerdict::Abandon => self.back_to_listen(now, id),
            HalfOpenVerdict::Refused(reason) => {
                self.around.env(now).drop(reason);
                self.refuse(now, seg, dg);
            }
            HalfOpenVerdict::Dropped { reason, ack } => {
                self.around.env(now).drop(reason);
                if ack && let Some(record) = self.half_open.get(id).map(|e| e.record.clone()) {
                    self.send_reply(now, dg, |env, out| record.plain_ack(env, out));
                }
            }
        }
    }

    /// The last ACK of the handshake: the connection goes to the accept queue if there is room.
    fn complete_half_open(&mut self, now: Instant, id: HalfOpenId, seg: &Segment, dg: &Datagram<'_>) {
        let Some(entry) = self.half_open.get_mut(id) else { return };
        let socket = entry.record.listener;
        let Some(listener) = self.sockets.get(socket).and_then(|s| s.listener()) else { return };
        if listener.queue.len() > listener.backlog
            || self.conns.len() >= self.around.config.limits.connections
        {
            entry.record.acked = true;
            return self.around.env(now).drop(Drop::TcpAcceptQueueFull);
        }
        if let Some(entry) = self.remove_half_open(id) {
            self.admit(now, &entry.record, seg, dg);
        }
    }

    /// An ACK for a listener that sent cookies lately: does it carry one?
    fn take_cookie(&mut self, now: Instant, socket: SocketId, seg: &Segment, dg: &Datagram<'_>) -> bool {
        let room = self.conns.len() < self.around.config.limits.connections;
        let Ok(path) = self.ip.path(Some(dg.dst), dg.src, None) else { return false };
        let Some(listener) = self.sockets.get(socket).and_then(|s| s.listener()) else { return false };
        if seg.has(TcpFlags::SYN) || listener.cookie_at.is_none_or(|at| now.since(at) > COOKIE_PRESSURE) {
            return false;
        }
        let mut env = self.around.env(now);
        let Some(record) = HalfOpen::from_cookie(&env, socket, seg, dg, &listener.settings, &path) else {
            env.stats.count.tcp_cookies_bad += 1;
            return false;
        };
        if listener.queue.len() > listener.backlog || !room {
            env.drop(Drop::TcpAcceptQueueFull);
            return true;
        }
        env.stats.count.tcp_cookies_in += 1;
        self.admit(now, &record, seg, dg);
        true
    }

    /// A handshake is complete: the connection joins the accept queue, and takes the segment that
    /// completed it.
    fn admit(&mut self, now: Instant, record: &HalfOpen, seg: &Segment, dg: &Datagram<'_>) {
        let socket = record.listener;
        let Some(listener) = self.sockets.get(socket).and_then(|s| s.listener()) else { return };
        let settings = (*listener.settings).clone();
        let reuse = (listener.reuse_addr, listener.reuse_port);
        let (local, remote) = (record.local(), record.remote());
        let Ok(path) = self.ip.path(Some(local.ip()), remote.ip(), None) else { return };
        let generation = self.ip.generation();
        let env = &mut self.around.env(now);
        let conn = self.conns.insert_with_key(|conn| {
            Box::new(Conn::new(record.complete(env, conn, seg, path, generation, settings)))
        });
        self.demux.replace(Tuple::new(local, remote), Flow::Connection(conn));
        self.hold_port(conn, reuse);
        if let Some(c) = self.conns.get_mut(conn) {
            c.listener = Some(socket);
        }
        if let Some(l) = self.sockets.get_mut(socket).and_then(|s| s.listener_mut()) {
            l.queue.push_back(conn);
        }
        self.wake(socket);
        self.segment_for_connection(now, conn, seg, dg);
    }

    fn remove_half_open(&mut self, id: HalfOpenId) -> Option<HalfOpenEntry> {
        let entry = self.half_open.remove(id)?;
        self.wheel.cancel(entry.timer);
        self.demux.remove(&Tuple::new(entry.record.local(), entry.record.remote()));
        if let Some(l) = self.sockets.get_mut(entry.record.listener).and_then(|s| s.listener_mut()) {
            l.half_open = l.half_open.saturating_sub(1);
        }
        Some(entry)
    }

    /// The peer took the connection back, or does not answer (figure 5, note 1).
    fn back_to_listen(&mut self, now: Instant, id: HalfOpenId) {
        if let Some(entry) = self.remove_half_open(id) {
            let mut env = self.around.env(now);
            env.stats.count.tcp_attempt_fails += 1;
            entry.record.tell_state(&mut env, State::SynReceived, State::Listen);
        }
    }

    /// The SYN-ACK was not answered in time.
    pub(super) fn half_open_timeout(&mut self, now: Instant, id: HalfOpenId) {
        let env = self.around.env(now);
        let Some(entry) = self.half_open.get_mut(id) else { return };
        if u32::from(entry.record.retries) >= env.config.profile.synack_retries {
            return self.back_to_listen(now, id);
        }
        entry.record.retries += 1;
        entry.timer = self.wheel.insert(now + entry.record.retransmit_after(&env), TimerKey::HalfOpen(id));
        self.send_syn_ack(now, id);
    }

    pub(super) fn segment_for_time_wait(
        &mut self,
        now: Instant,
        id: TimeWaitId,
        seg: &Segment,
        dg: &Datagram<'_>,
    ) {
        let Some(entry) = self.time_wait.get_mut(id) else { return };
        let mut env = self.around.env(now);
        match entry.record.handle_segment(&mut env, seg) {
            TimeWaitVerdict::Dropped(reason) => env.drop(reason),
            TimeWaitVerdict::Acknowledge { reason, restart } => {
                env.drop(reason);
                if restart {
                    let until = now + env.config.profile.time_wait;
                    self.wheel.reschedule(entry.timer, until);
                }
                let record = entry.record.clone();
                self.send_reply(now, dg, |env, out| record.ack(env, out));
            }
            TimeWaitVerdict::Reopen => {
                let tuple = Tuple::new(entry.record.local(), entry.record.remote());
                if self.demux.listener(&tuple, dg.iface).is_none() {
                    env.drop(Drop::TcpTimeWait);
                    return;
                }
                env.stats.count.tcp_time_wait_reused += 1;
                let Some(old) = self.forget_time_wait(id) else { return };
                self.segment_for_listener(now, &tuple, State::TimeWait, seg, dg);
                // The listener had no room for it.
                if self.demux.get(&tuple).is_none() {
                    old.record.tell_end(&mut self.around.env(now), old.conn);
                }
            }
        }
    }

    /// 2 MSL are over, or there are too many records.
    pub(super) fn remove_time_wait(&mut self, now: Instant, id: TimeWaitId) {
        if let Some(entry) = self.forget_time_wait(id) {
            entry.record.tell_end(&mut self.around.env(now), entry.conn);
        }
    }

    fn forget_time_wait(&mut self, id: TimeWaitId) -> Option<TimeWaitEntry> {
        let entry = self.time_wait.remove(id)?;
        self.wheel.cancel(entry.timer);
        let (local, remote) = (entry.record.local(), entry.record.remote());
        self.demux.remove(&Tuple::new(local, remote));
        self.ports.unhold(local.port(), share(local.ip(), entry.reuse));
        while self.time_wait_order.front().is_some_and(|&t| !self.time_wait.contains_key(t)) {
            self.time_wait_order.pop_front();
        }
        Some(entry)
    }

    /// A connection enters TIME-WAIT: a record takes its place, the block goes.
    fn enter_time_wait(&mut self, now: Instant, id: ConnId) {
        while self.time_wait.len() >= self.around.config.limits.time_wait {
            let Some(oldest) = self.time_wait_order.pop_front() else { break };
            self.remove_time_wait(now, oldest);
        }
        let Some(conn) = self.conns.get_mut(id) else { return };
        let tuple = Tuple::new(conn.tcb.local, conn.tcb.remote);
        let reuse = conn.hold.take().map_or((false, false), |s| (s.reuse_addr, s.reuse_port));
        let record = TimeWait::new(&conn.tcb);
        let acks = core::mem::take(&mut conn.tcb.rcv.ack.due) > 0;
        let env = self.around.env(now);
        let until = now + env.config.profile.time_wait;
        // The block holds what the application has not read yet, and is closed for all else.
        conn.tcb.retire();
        env.stats.count.tcp_time_wait += 1;
        let (wheel, id_of_block) = (&mut self.wheel, id);
        let time_wait = self.time_wait.insert_with_key(|id| TimeWaitEntry {
            record,
            timer: wheel.insert(until, TimerKey::TimeWait(id)),
            conn: id_of_block,
            reuse,
        });
        self.time_wait_order.push_back(time_wait);
        self.demux.replace(tuple, Flow::TimeWait(time_wait));
        if acks {
            self.send_time_wait_ack(now, time_wait);
        }
    }

    fn send_time_wait_ack(&mut self, now: Instant, id: TimeWaitId) {
        let Some(entry) = self.time_wait.get(id) else { return };
        let (local, remote) = (entry.record.local(), entry.record.remote());
        let Ok(path) = self.ip.path(Some(local.ip()), remote.ip(), None) else { return };
        let mut env = self.around.env(now);
        let mut out = [0; 60];
        let len = entry.record.ack(&env, &mut out);
        env.stats.count.tcp_segs_out += 1;
        let what = TcpHappening::Sent { segment: entry.record.ack_info(), cause: None };
        env.events.push(Event::Tcp(TcpEvent { at: now, conn: entry.conn, local, remote, what }));
        let packet = Outgoing {
            path: &path,
            src: local.ip(),
            dst: remote.ip(),
            protocol: protocol::TCP,
            hop_limit: env.config.profile.hop_limit,
            traffic_class: 0,
            dont_fragment: true,
            header: &out[..len],
            payload: &[],
            checksum_offset: Some(CHECKSUM_OFFSET),
            gso_size: None,
        };
        // Lost, the peer's FIN comes again and is answered again.
        let _ = self.ip.enqueue(&mut env, &packet);
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

    fn send_farewell(&mut self, now: Instant, id: ConnId, header: &crate::tcp::Header) {
        let Some(conn) = self.conns.get(id) else { return };
        let Some(path) = conn.tcb.path else { return };
        let mut env = self.around.env(now);
        let mut out = [0; 60];
        let len = conn.tcb.write_farewell(&env, header, &mut out);
        env.stats.count.tcp_rst_out += 1;
        let packet = Outgoing {
            path: &path,
            src: conn.tcb.local.ip(),
            dst: conn.tcb.remote.ip(),
            protocol: protocol::TCP,
            hop_limit: conn.tcb.settings.hop_limit.unwrap_or(env.config.profile.hop_limit),
            traffic_class: conn.tcb.settings.traffic_class,
            dont_fragment: true,
            header: &out[..len],
            payload: &[],
            checksum_offset: Some(CHECKSUM_OFFSET),
            gso_size: None,
        };
        // A RST is sent once; if it is lost the peer finds out by itself.
        let _ = self.ip.enqueue(&mut env, &packet);
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

    /// The listener is closed: what is half-open is forgotten, what waits to be accepted is reset.
    pub(crate) fn close_listener(
        &mut self,
        now: Instant,
        socket: SocketId,
        queue: impl IntoIterator<Item = ConnId>,
    ) {
        let half: Vec<_> =
            self.half_open.iter().filter(|(_, e)| e.record.listener == socket).map(|(id, _)| id).collect();
        for id in half {
            if let Some(entry) = self.remove_half_open(id) {
                entry.record.tell_state(&mut self.around.env(now), State::SynReceived, State::Closed);
            }
        }
        for id in queue {
            if let Some(conn) = self.conns.get_mut(id) {
                conn.listener = None;
                conn.tcb.orphan = true;
                self.orphans += 1;
                conn.tcb.reset(&mut self.around.env(now), None);
                conn.tcb.signals |= Signals::CLOSED;
                self.settle(now, id);
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

fn share(local: core::net::IpAddr, reuse: (bool, bool)) -> Share {
    Share { reuse_addr: reuse.0, reuse_port: reuse.1, ..Share::new(LocalAddr::Exact(local)) }
}
