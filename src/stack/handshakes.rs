//! From a SYN to an accept queue: listeners, half-open records, cookies (RFC 9293 sections 3.10.7.1,
//! 3.10.7.2, and 3.10.7.4 as far as SYN-RECEIVED is concerned; RFC 4987).

use super::control::Look;
use super::demux::{Flow, HalfOpenId};
use super::{Conn, HalfOpenEntry, Stack, TimerKey};
use crate::endpoint::Tuple;
use crate::ip::Datagram;
use crate::reason::Drop;
use crate::tcp::{COOKIE_PRESSURE, HalfOpen, HalfOpenVerdict, Segment, Signals, State};
use crate::time::Instant;
use crate::wire::{Seq, TcpFlags};
use crate::{ConnId, SocketId};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// What a SYN for a listener finds of its addresses.
#[derive(Clone, Copy, Debug)]
pub(super) enum Before {
    /// Nothing.
    Listen,
    /// A connection in TIME-WAIT, which it reopens with this ISS: beyond everything that was used
    /// (RFC 1122 section 4.2.2.13).
    TimeWait(Seq),
}

impl Before {
    fn state(self) -> State {
        match self {
            Self::Listen => State::Listen,
            Self::TimeWait(_) => State::TimeWait,
        }
    }
}

impl Stack {
    /// A segment for no connection: a listener may want it (RFC 9293 sections 3.10.7.1, 3.10.7.2).
    pub(super) fn segment_for_listener(
        &mut self,
        now: Instant,
        tuple: &Tuple,
        before: Before,
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
        self.open_half(now, socket, before, seg, dg);
    }

    fn open_half(
        &mut self,
        now: Instant,
        socket: SocketId,
        before: Before,
        seg: &Segment,
        dg: &Datagram<'_>,
    ) {
        let full = self.half_open.len() >= self.around.config.limits.syn_queue;
        let Ok(path) = self.ip.path(Some(dg.dst), dg.src, None) else { return };
        let Some(listener) = self.sockets.get_mut(socket).and_then(|s| s.listener_mut()) else { return };
        let mut env = self.around.env(now);
        let crowded = full || listener.half_open > listener.backlog;
        if listener.queue.len() > listener.backlog || (crowded && !env.config.profile.syn_cookies) {
            return env.drop(Drop::TcpListenBacklog);
        }
        let mut record = HalfOpen::from_syn(&env, socket, seg, dg, &listener.settings, &path);
        if let Before::TimeWait(iss) = before {
            record.begin_at(iss);
        }
        if crowded {
            listener.cookie_at = Some(now);
            env.stats.count.tcp_cookies_out += 1;
            let record = record.into_cookie(&env);
            return self.send_syn_ack_of(now, &record);
        }
        listener.half_open += 1;
        record.tell_state(&mut env, before.state(), State::SynReceived);
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
        self.send_control(now, local.ip(), remote.ip(), Look::default(), |env, path, out| {
            record.syn_ack(env, path, max_segment, out)
        });
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
                    self.send_control(now, dg.dst, dg.src, Look::default(), |env, _, out| {
                        record.plain_ack(env, out)
                    });
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
}
