//! Urgent data (RFC 9293 section 3.8.5, RFC 6093): one octet out of band, as BSD sockets show it.
//!
//! On the wire the urgent pointer of a segment counts from its sequence number to the octet *after*
//! the urgent data (MUST-62). The socket shows the last urgent octet out of band, or leaves it in the
//! stream with SO_OOBINLINE; read(2) stops at the mark either way.

use super::segment::Segment;
use super::tcb::{Signals, Tcb};
use crate::wire::{Seq, TcpFlags};

/// Urgent data that we send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendUrgent {
    /// SND.UP: the sequence number after the urgent octet, until it is acknowledged.
    pub up: Option<Seq>,
}

/// The urgent octet of the peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OobOctet {
    /// The pointer came, the octet not yet.
    #[default]
    Announced,
    /// It is here.
    Here(u8),
    /// The application took it.
    Taken,
}

/// Urgent data that we receive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecvUrgent {
    /// The sequence number of the urgent octet: the mark.
    pub mark: Option<Seq>,
    /// The octet.
    pub octet: OobOctet,
}

impl Tcb {
    /// Sequence number of the next octet that the application reads.
    pub(crate) fn copied_seq(&self) -> Seq {
        self.rcv.nxt - (self.rcv.queue.len() as u32 + u32::from(self.rcv.fin))
    }

    /// A segment with URG: moves the mark forward, never back (RFC 9293 section 3.10.7.4, sixth).
    pub(crate) fn on_urgent_pointer(&mut self, seg: &Segment) {
        if !seg.has(TcpFlags::URG) {
            return;
        }
        let back = u32::from(seg.urgent > 0);
        let mark = seg.seq + u32::from(seg.urgent) - back;
        let old = self.copied_seq().after(mark) || mark.before(self.rcv.nxt);
        if old || self.rcv.urgent.mark.is_some_and(|m| mark.at_or_before(m)) {
            return;
        }
        // The reader stands at the old mark and never took its octet: it is lost to the stream, as the
        // new one replaces it.
        if self.rcv.urgent.mark == Some(self.copied_seq())
            && !self.settings.oob_inline
            && !self.rcv.queue.is_empty()
        {
            self.rcv.queue.consume(1);
        }
        self.rcv.urgent = RecvUrgent { mark: Some(mark), octet: OobOctet::Announced };
        self.signals |= Signals::URGENT;
    }

    /// Picks the urgent octet out of a payload that begins at `seq`.
    pub(crate) fn take_urgent_octet(&mut self, seq: Seq, payload: &[u8]) {
        let RecvUrgent { mark: Some(mark), octet: OobOctet::Announced } = self.rcv.urgent else { return };
        if let Some(&octet) = payload.get(mark.distance(seq) as usize) {
            self.rcv.urgent.octet = OobOctet::Here(octet);
            self.signals |= Signals::URGENT;
        }
    }

    /// The urgent flag and pointer for a segment to send, `seq .. seq + len`.
    pub(crate) fn urgent_for(&self, seq: Seq) -> Option<u16> {
        let up = self.snd.urgent.up?;
        if up.at_or_before(seq) {
            return None;
        }
        Some(up.distance(seq).min(0xffff) as u16)
    }

    /// Octets until read(2) must stop, or skip the urgent octet; `None` without a mark ahead.
    pub(crate) fn distance_to_mark(&self) -> Option<usize> {
        let mark = self.rcv.urgent.mark?;
        let here = self.copied_seq();
        if mark.before(here) { None } else { Some(mark.distance(here) as usize) }
    }
}
