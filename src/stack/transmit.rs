//! The way out: connections plan segments, IP puts headers in front, the sink takes them.

use super::{Conn, Stack};
use crate::ConnId;
use crate::ip::{Ip, Outgoing, protocol};
use crate::link::{Busy, Sink};
use crate::tcp::{CHECKSUM_OFFSET, State};
use crate::time::Instant;
use alloc::vec::Vec;

/// Segments that one connection sends before the next has its turn.
const TURN: usize = 16;
/// Pieces of payload in one segment; a segment of more is cut shorter.
const PIECES: usize = 20;
/// Packets looped back in one call: two sockets of one stack may talk to each other for ever.
const LOOPED: usize = 1024;

/// # Output
impl Stack {
    /// Hands every frame that is due to `sink`, until nothing is left or the devices are busy. Frames to
    /// the stack's own addresses are processed on the way.
    pub fn poll_transmit(&mut self, now: Instant, sink: &mut dyn Sink) {
        self.unfinished = false;
        let mut looped = 0;
        loop {
            self.ip.poll_transmit(&mut self.around.env(now), sink);
            self.transmit_connections(now, sink);
            let mut any = false;
            while let Some(packet) = self.ip.next_looped() {
                self.handle_frame(now, crate::IfaceId::LOOPBACK, packet.as_frame());
                any = true;
                looped += 1;
                if looped >= LOOPED {
                    self.unfinished = true;
                    return;
                }
            }
            if !any {
                return;
            }
        }
    }

    fn transmit_connections(&mut self, now: Instant, sink: &mut dyn Sink) {
        // Those whose device is busy are tried again at the next call.
        let mut busy = Vec::new();
        while let Some(id) = self.ready.pop_front() {
            let Some(conn) = self.conns.get_mut(id) else { continue };
            conn.queued = false;
            match self.transmit_connection(now, id, sink) {
                Ok(more) => {
                    self.settle_sent(now, id);
                    if more {
                        self.make_ready(id);
                    }
                }
                Err(Busy) => {
                    self.arm(id);
                    busy.push(id);
                }
            }
        }
        for id in busy {
            self.make_ready(id);
        }
    }

    /// Sends what a connection has, for one turn; true if there is more.
    fn transmit_connection(&mut self, now: Instant, id: ConnId, sink: &mut dyn Sink) -> Result<bool, Busy> {
        let Self { conns, ip, around, .. } = self;
        let Some(conn) = conns.get_mut(id) else { return Ok(false) };
        let mut env = around.env(now);
        if !refresh_path(conn, ip, &mut env) {
            return Ok(false);
        }
        for _ in 0..TURN {
            let tcb = &mut conn.tcb;
            let Some(mut plan) = tcb.plan(&mut env) else {
                tcb.consider_persist(&env);
                return Ok(false);
            };
            let mut pieces: [&[u8]; PIECES] = [&[]; PIECES];
            let (_, octets) = tcb.snd.queue.pieces(plan.offset, plan.len, &mut pieces);
            plan.shorten(octets);
            let mut header = [0; 60];
            let len = tcb.write_header(&env, &plan, &mut header);
            let mut pieces: [&[u8]; PIECES] = [&[]; PIECES];
            let (count, _) = tcb.snd.queue.pieces(plan.offset, plan.len, &mut pieces);
            let Some(path) = &tcb.path else { return Ok(false) };
            let packet = Outgoing {
                path,
                src: tcb.local.ip(),
                dst: tcb.remote.ip(),
                protocol: protocol::TCP,
                hop_limit: tcb.settings.hop_limit.unwrap_or(env.config.profile.hop_limit),
                traffic_class: tcb.settings.traffic_class,
                dont_fragment: true,
                header: &header[..len],
                payload: &pieces[..count],
                checksum_offset: Some(CHECKSUM_OFFSET),
                gso_size: plan.is_super().then_some(plan.mss as u16),
            };
            ip.emit(&mut env, &packet, sink)?;
            tcb.commit(&mut env, &plan);
        }
        Ok(true)
    }

    /// After a turn: timers may have moved.
    fn settle_sent(&mut self, now: Instant, id: ConnId) {
        let Some(conn) = self.conns.get(id) else { return };
        if conn.tcb.signals.is_empty() && conn.tcb.farewell.is_none() && conn.tcb.state != State::Closed {
            self.arm(id);
        } else {
            self.settle(now, id);
        }
    }
}

/// Looks the route up again if routes or addresses changed. Without a route nothing is sent, and the
/// retransmission timer goes on: the route may come back.
fn refresh_path(conn: &mut Conn, ip: &mut Ip, env: &mut crate::env::Env<'_>) -> bool {
    let tcb = &mut conn.tcb;
    let generation = ip.generation();
    if tcb.path.is_some() && tcb.path_generation == generation {
        return true;
    }
    tcb.path = ip.path(Some(tcb.local.ip()), tcb.remote.ip(), None).ok();
    tcb.path_generation = generation;
    if tcb.path.is_some() {
        tcb.update_mss(&env.config.profile);
    } else {
        tcb.soft_error = Some(crate::Errno::ENETUNREACH);
    }
    tcb.path.is_some()
}
