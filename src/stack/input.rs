//! The way in: a frame to its packet, a packet to its protocol, a segment to its connection.

use super::Stack;
use super::control::Look;
use super::demux::Flow;
use super::handshakes::Before;
use crate::IfaceId;
use crate::endpoint::Tuple;
use crate::ip::{Datagram, ErrorKind, Unreachable, protocol};
use crate::link::Frame;
use crate::raw;
use crate::reason::Drop;
use crate::tcp::{Header, Segment};
use crate::time::Instant;
use crate::udp;
use crate::wire::{Seq, TcpFlags};

/// # Input
impl Stack {
    /// A frame arrived on an interface. A shared frame ([`Frame::shared`]) is kept by reference.
    pub fn handle_frame(&mut self, now: Instant, iface: IfaceId, frame: Frame<'_>) {
        let mut assembled = None;
        let input = self.ip.handle_frame(&mut self.around.env(now), iface, frame, &mut assembled);
        if let Some(error) = &input.error {
            self.handle_icmp_error(now, error);
        }
        if let Some(datagram) = &input.datagram {
            self.deliver(now, datagram);
        }
    }

    fn deliver(&mut self, now: Instant, dg: &Datagram<'_>) {
        match dg.protocol {
            protocol::TCP => self.deliver_tcp(now, dg),
            protocol::UDP => self.deliver_udp(now, dg),
            protocol::ICMP | protocol::ICMPV6 => {
                self.deliver_raw(dg);
            }
            _ => {
                if !self.deliver_raw(dg) {
                    let mut env = self.around.env(now);
                    env.drop(Drop::IpUnknownNextHeader);
                    self.ip.send_icmp_error(&mut env, dg, ErrorKind::Unreachable(Unreachable::Protocol));
                }
            }
        }
    }

    /// Did a raw socket take it?
    fn deliver_raw(&mut self, dg: &Datagram<'_>) -> bool {
        let Self { raw, sockets, awake, around, .. } = self;
        let outcome = raw.deliver(dg, |id| wake(sockets, awake, id));
        match outcome {
            raw::Delivery::NoSocket => false,
            raw::Delivery::Matched { delivered, full } => {
                around.stats.count.raw_in += u64::from(delivered);
                for _ in 0..full {
                    around.stats.drop(Drop::RawBufferFull);
                }
                true
            }
        }
    }

    fn deliver_udp(&mut self, now: Instant, dg: &Datagram<'_>) {
        let Self { udp, sockets, awake, .. } = self;
        let outcome = udp.deliver(dg, |id| wake(sockets, awake, id));
        let mut env = self.around.env(now);
        match outcome {
            udp::Delivery::Delivered => env.stats.count.udp_in += 1,
            udp::Delivery::Dropped(reason) => env.drop(reason),
            udp::Delivery::NoSocket => {
                env.drop(Drop::UdpNoSocket);
                self.ip.send_icmp_error(&mut env, dg, ErrorKind::Unreachable(Unreachable::Port));
            }
        }
    }

    fn deliver_tcp(&mut self, now: Instant, dg: &Datagram<'_>) {
        let seg = match self.check_tcp(dg) {
            Ok(seg) => seg,
            Err(reason) => return self.around.env(now).drop(reason),
        };
        let tuple = Tuple::new((dg.dst, seg.dst_port), (dg.src, seg.src_port));
        match self.demux.get(&tuple) {
            Some(Flow::Connection(id)) => self.segment_for_connection(now, id, &seg, dg),
            Some(Flow::HalfOpen(id)) => self.segment_for_half_open(now, id, &seg, dg),
            Some(Flow::TimeWait(id)) => self.segment_for_time_wait(now, id, &seg, dg),
            None => self.segment_for_listener(now, &tuple, Before::Listen, &seg, dg),
        }
    }

    /// What must hold before anything is looked up: addresses (RFC 9293 MUST-57, MUST-63), checksum
    /// (MUST-3), header.
    fn check_tcp(&mut self, dg: &Datagram<'_>) -> Result<Segment, Drop> {
        self.around.stats.count.tcp_segs_in += 1;
        if dg.broadcast {
            return Err(Drop::TcpBadAddress);
        }
        let gso = dg.frame.offload.gso.map(|g| g.size);
        // The header first: a segment too short to have a checksum field is malformed, not corrupt.
        let seg = Segment::parse(dg.payload(), gso)?;
        if !dg.checksum_ok() {
            return Err(Drop::TcpBadChecksum);
        }
        if seg.src_port == 0 || seg.dst_port == 0 {
            return Err(Drop::TcpBadAddress);
        }
        Ok(seg)
    }

    /// Answers a segment that belongs to nothing (RFC 9293 section 3.10.7.1); a RST is not answered.
    pub(super) fn refuse(&mut self, now: Instant, seg: &Segment, dg: &Datagram<'_>) {
        if seg.has(TcpFlags::RST) {
            return;
        }
        let (seq, ack, flags) = if seg.has(TcpFlags::ACK) {
            (seg.ack, Seq(0), TcpFlags::RST)
        } else {
            (Seq(0), seg.end(), TcpFlags::RST | TcpFlags::ACK)
        };
        let header =
            Header { src_port: seg.dst_port, dst_port: seg.src_port, seq, ack, flags, window: 0, urgent: 0 };
        self.send_control(now, dg.dst, dg.src, Look::default(), |_, _, out| header.write(&[], out));
        self.around.stats.count.tcp_rst_out += 1;
    }
}

/// `Stack::wake`, where only a part of the machine is at hand.
fn wake(
    sockets: &mut slotmap::SlotMap<crate::SocketId, crate::stack::table::Socket>,
    awake: &mut alloc::collections::VecDeque<crate::SocketId>,
    id: crate::SocketId,
) {
    if let Some(s) = sockets.get_mut(id)
        && !s.announced
    {
        s.announced = true;
        awake.push_back(id);
    }
}
