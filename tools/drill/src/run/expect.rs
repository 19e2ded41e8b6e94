//! A packet that must leave: waited for, put together from several segments if the script wants one
//! large one, compared.

use super::compare::{differences, in_script_numbers};
use super::decode::{Decoded, DecodedBody, decode};
use super::flow::Flow;
use super::host::{Host, Sent};
use super::ladder::seconds;
use super::world::{Fault, fault};
use super::{Due, Runner};
use crate::script::{Body, Packet, Pos, TcpOption, TcpSpec};
use std::net::SocketAddr;

const FIN: u16 = 0x001;
const SYN: u16 = 0x002;
const PSH: u16 = 0x008;

impl Runner<'_> {
    pub(super) fn expect_packet(&mut self, pos: Pos, want: &Packet, due: Due) -> Result<(), Fault> {
        let tolerance = self.tolerance(&due);
        let limit = due.to + tolerance;
        let Some(first) = self.next_sent(limit)? else {
            let by = if due.any { String::new() } else { format!(" by {}", seconds(limit)) };
            return fault(pos, format!("no packet came{by}\n    expected  {want}"));
        };
        let mut got = self.taken_apart(pos, &first)?;
        let flow = self.flow_of(&got);
        let mut mapped = self.map(want, &got, flow);
        self.check_payload(pos, &mapped, &got, flow)?;
        let mut at = first.at;
        self.ladder.add(at, "<--", mapped.to_string());
        while is_first_part(want, &mapped) {
            let Some(next) = self.next_sent(limit)? else { break };
            let more = self.taken_apart(pos, &next)?;
            let part = self.map(want, &more, self.flow_of(&more));
            self.ladder.add(next.at, "<--", part.to_string());
            self.check_payload(pos, &part, &more, flow)?;
            at = next.at;
            if !join(&mut mapped, &part) {
                let text = format!(
                    "only the first {} octets came, then another packet\n    expected  {want}\n    came      {part}",
                    length(&mapped)
                );
                return fault(pos, text);
            }
            got = more;
        }
        let found = differences(want, &in_script_numbers(&got, None), &mapped);
        if !found.is_empty() {
            let text = format!(
                "another packet came: {}\n    expected  {want}\n    came      {mapped}   at {}",
                found.join("; "),
                seconds(at)
            );
            return fault(pos, text);
        }
        self.check_time(pos, &due, at, tolerance)
    }

    fn check_time(&self, pos: Pos, due: &Due, at: i64, tolerance: i64) -> Result<(), Fault> {
        if due.any || (due.from - tolerance..=due.to + tolerance).contains(&at) {
            return Ok(());
        }
        let off = if at < due.from { due.from - at } else { at - due.to };
        let side = if at < due.from { "early" } else { "late" };
        fault(
            pos,
            format!(
                "the packet came at {}, {}.{:03} ms too {side} (the script wants {})",
                seconds(at),
                off / 1000,
                off % 1000,
                seconds(due.from)
            ),
        )
    }

    /// The next packet that leaves, if one does by `limit`.
    fn next_sent(&mut self, limit: i64) -> Result<Option<Sent>, Fault> {
        let target = Host::instant(limit);
        loop {
            if let Some(s) = self.world.host.sent.pop_front() {
                return Ok(Some(s));
            }
            if !self.step(target)? {
                return Ok(self.world.host.sent.pop_front());
            }
        }
    }

    fn taken_apart(&self, pos: Pos, sent: &Sent) -> Result<Decoded, Fault> {
        decode(&sent.bytes).or_else(|e| fault(pos, format!("a packet came that is no good: {e}")))
    }

    /// A packet in words, for messages.
    pub(super) fn describe(&self, bytes: &[u8]) -> String {
        match decode(bytes) {
            Ok(d) => in_script_numbers(&d, self.flow_of(&d).map(|f| &self.world.flows[f])).to_string(),
            Err(e) => e,
        }
    }

    fn flow_of(&self, d: &Decoded) -> Option<usize> {
        let (from, to) = match &d.body {
            DecodedBody::Tcp(t) => (t.from, t.to),
            DecodedBody::Udp { from, to, .. } => (*from, *to),
            _ => return None,
        };
        self.world.flow_between(SocketAddr::new(d.src, from), SocketAddr::new(d.dst, to))
    }

    /// The packet in the script's numbers; what it tells about them is learned first.
    fn map(&mut self, want: &Packet, got: &Decoded, flow: Option<usize>) -> Packet {
        if let (Some(flow), Body::Tcp(w), DecodedBody::Tcp(t)) = (flow, &want.body, &got.body) {
            let flow = &mut self.world.flows[flow];
            if t.flags & SYN != 0 {
                flow.learn(t.seq, w.seq);
            }
            learn_timestamp(flow, w, &t.options, self.script.settings.ts_tick_usecs);
        }
        in_script_numbers(got, flow.map(|f| &self.world.flows[f]))
    }

    /// What leaves must be what the application wrote.
    fn check_payload(
        &self,
        pos: Pos,
        mapped: &Packet,
        got: &Decoded,
        flow: Option<usize>,
    ) -> Result<(), Fault> {
        let (Body::Tcp(m), DecodedBody::Tcp(t), Some(flow)) = (&mapped.body, &got.body, flow) else {
            return Ok(());
        };
        if t.payload.is_empty() {
            return Ok(());
        }
        let seq = m.seq.wrapping_add(u32::from(t.flags & SYN != 0));
        match self.world.flows[flow].written_at(seq, t.payload.len()) {
            Some(w) if w == t.payload => Ok(()),
            Some(_) => fault(pos, format!("the octets of {m} are not the ones that were written")),
            None => fault(pos, format!("{m} carries octets that nobody wrote")),
        }
    }
}

/// The script's name for a timestamp of ours is the one it uses first. With `--tcp_ts_tick_usecs` names
/// follow from the first one, so that a clock of another rate is seen.
fn learn_timestamp(flow: &mut Flow, want: &TcpSpec, got: &[TcpOption], tick: Option<u32>) {
    let value = |list: &[TcpOption]| {
        list.iter().find_map(|o| match o {
            TcpOption::Timestamps(val, _) => *val,
            _ => None,
        })
    };
    let (Some(live), Some(script)) = (value(got), want.options.as_deref().and_then(value)) else { return };
    match (tick, flow.first_timestamp()) {
        (Some(_), Some((first_live, first))) => {
            let counted = live.wrapping_sub(first_live).wrapping_add(first);
            // A millisecond more or less is the tolerance of time itself.
            let near = counted.wrapping_sub(script).wrapping_add(4) <= 8;
            flow.name_timestamp(live, if near { script } else { counted });
        }
        _ => flow.name_timestamp(live, script),
    }
}

fn length(p: &Packet) -> usize {
    match &p.body {
        Body::Tcp(t) => t.len,
        _ => 0,
    }
}

/// Is this the beginning of the segment that the script wants as one?
fn is_first_part(want: &Packet, got: &Packet) -> bool {
    let (Body::Tcp(w), Body::Tcp(g)) = (&want.body, &got.body) else { return false };
    let ends = FIN | PSH;
    g.seq == w.seq && g.len > 0 && g.len < w.len && g.flags & !ends == w.flags & !ends && g.flags & FIN == 0
}

/// Adds the next part; false if it does not continue the first.
fn join(whole: &mut Packet, part: &Packet) -> bool {
    let (Body::Tcp(w), Body::Tcp(p)) = (&mut whole.body, &part.body) else { return false };
    if p.seq != w.seq.wrapping_add(w.len as u32) || p.len == 0 {
        return false;
    }
    let len = w.len + p.len;
    *w = TcpSpec { seq: w.seq, len, ..p.clone() };
    whole.ip = part.ip;
    true
}
