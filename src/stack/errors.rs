//! Errors from the network, brought to the socket they concern (RFC 1122 section 4.2.3.9, RFC 5927).

use super::Stack;
use super::demux::Flow;
use crate::endpoint::Tuple;
use crate::errno::Errno;
use crate::ip::{ErrorKind, IcmpError, protocol};
use crate::reason::Drop;
use crate::time::Instant;
use crate::wire::Seq;
use alloc::vec::Vec;
use core::net::IpAddr;

impl Stack {
    pub(super) fn handle_icmp_error(&mut self, now: Instant, e: &IcmpError<'_>) {
        match e.protocol {
            protocol::TCP => self.icmp_for_tcp(now, e),
            protocol::UDP => {
                let concerned = self.udp.handle_error(e);
                match concerned {
                    Ok(Some(socket)) => self.wake(socket),
                    Ok(None) => {}
                    Err(reason) => return self.around.env(now).drop(reason),
                }
                // Only a quote of what a socket sends is believed: a forged one would shrink the path
                // for all.
                if let ErrorKind::PacketTooBig { mtu } = e.kind {
                    self.ip.learn_path_mtu(now, e.dst, mtu as usize);
                }
            }
            _ => {}
        }
    }

    fn icmp_for_tcp(&mut self, now: Instant, e: &IcmpError<'_>) {
        let Some(&[s0, s1, d0, d1, q0, q1, q2, q3]) = e.transport.first_chunk::<8>() else {
            return self.around.env(now).drop(Drop::IcmpMalformed);
        };
        let local = (e.src, u16::from_be_bytes([s0, s1]));
        let remote = (e.dst, u16::from_be_bytes([d0, d1]));
        let Some(Flow::Connection(id)) = self.demux.get(&Tuple::new(local, remote)) else {
            return self.around.env(now).drop(Drop::IcmpQuoteMismatch);
        };
        let Some(conn) = self.conns.get_mut(id) else { return };
        let seq = Seq(u32::from_be_bytes([q0, q1, q2, q3]));
        let mut env = self.around.env(now);
        if !conn.tcb.is_in_flight(seq) {
            return env.drop(Drop::IcmpQuoteMismatch);
        }
        if let ErrorKind::PacketTooBig { mtu } = e.kind {
            if self.ip.learn_path_mtu(now, e.dst, mtu as usize)
                && let Ok(path) = self.ip.path(Some(e.src), e.dst, None)
            {
                conn.tcb.path_generation = self.ip.generation();
                conn.tcb.on_path_mtu(&mut env, path);
            }
        } else {
            conn.tcb.on_icmp_error(&mut env, e.kind);
        }
        self.settle(now, id);
    }

    /// Destinations whose next hop did not answer: a connection attempt over them fails, an established one only
    /// remembers why (Linux: EHOSTUNREACH as a soft error).
    pub(super) fn tell_unreachable(&mut self, now: Instant) {
        while let Some((iface, dst)) = self.ip.take_unreachable() {
            let over: Vec<_> = self
                .conns
                .iter()
                .filter(|(_, c)| c.tcb.remote.ip() == dst && c.tcb.path.is_some_and(|p| p.iface == iface))
                .map(|(id, _)| id)
                .collect();
            for id in over {
                if let Some(conn) = self.conns.get_mut(id) {
                    conn.tcb.on_host_unreachable(&mut self.around.env(now));
                }
                self.settle(now, id);
            }
            self.tell_udp_unreachable(dst);
        }
    }

    fn tell_udp_unreachable(&mut self, dst: IpAddr) {
        let concerned: Vec<_> = self
            .udp
            .iter()
            .filter(|(_, s)| s.peer().is_some_and(|p| p.addr == dst))
            .map(|(id, _)| id)
            .collect();
        for id in concerned {
            if let Some(s) = self.udp.get_mut(id) {
                s.set_error(Errno::EHOSTUNREACH);
            }
            self.wake(id);
        }
    }
}
