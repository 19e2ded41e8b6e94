//! TIME-WAIT in the machine: records in place of connections, bounded in number.

use super::connections::share;
use super::control::Look;
use super::demux::{Flow, TimeWaitId};
use super::handshakes::Before;
use super::{Stack, TimeWaitEntry, TimerKey};
use crate::ConnId;
use crate::endpoint::Tuple;
use crate::event::{Event, TcpEvent, TcpHappening};
use crate::ip::Datagram;
use crate::reason::Drop;
use crate::tcp::{Segment, TimeWait, TimeWaitVerdict};
use crate::time::Instant;

impl Stack {
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
                self.send_control(now, dg.dst, dg.src, Look::default(), |env, _, out| record.ack(env, out));
            }
            TimeWaitVerdict::Reopen => {
                let tuple = Tuple::new(entry.record.local(), entry.record.remote());
                if self.demux.listener(&tuple, dg.iface).is_none() {
                    env.drop(Drop::TcpTimeWait);
                    return;
                }
                env.stats.count.tcp_time_wait_reused += 1;
                let Some(old) = self.forget_time_wait(id) else { return };
                self.segment_for_listener(now, &tuple, Before::TimeWait(old.record.next_iss()), seg, dg);
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
    pub(super) fn enter_time_wait(&mut self, now: Instant, id: ConnId) {
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
        // Records that ended early leave their entry behind as long as an older one lives on.
        if self.time_wait_order.len() > 2 * self.time_wait.len() + 16 {
            self.time_wait_order.retain(|&t| self.time_wait.contains_key(t));
        }
        self.demux.replace(tuple, Flow::TimeWait(time_wait));
        if acks {
            self.send_time_wait_ack(now, time_wait);
        }
    }

    fn send_time_wait_ack(&mut self, now: Instant, id: TimeWaitId) {
        let Some(entry) = self.time_wait.get(id) else { return };
        let (record, conn) = (entry.record.clone(), entry.conn);
        let (local, remote) = (record.local(), record.remote());
        self.send_control(now, local.ip(), remote.ip(), Look::default(), |env, _, out| {
            env.stats.count.tcp_segs_out += 1;
            let what = TcpHappening::Sent { segment: record.ack_info(), cause: None };
            env.events.push(Event::Tcp(TcpEvent { at: now, conn, local, remote, what }));
            record.ack(env, out)
        });
    }
}
