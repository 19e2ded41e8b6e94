//! A packet that came against the one that the script wants.

use super::decode::{Decoded, DecodedBody, DecodedTcp};
use super::flow::Flow;
use crate::script::{Body, Ecn, IcmpSpec, IpInfo, Packet, TcpOption, TcpSpec, show_flags};

/// A packet that came, in the script's numbers.
pub fn in_script_numbers(got: &Decoded, flow: Option<&Flow>) -> Packet {
    let ip = IpInfo { ecn: None, tos: Some(got.tos), ttl: Some(got.ttl) };
    let body = match &got.body {
        DecodedBody::Tcp(t) => Body::Tcp(translate(t, flow)),
        DecodedBody::Udp { payload, .. } => Body::Udp { ports: None, len: payload.len() },
        DecodedBody::Icmp { v6, ty, code, mtu } => Body::Icmp(IcmpSpec {
            v6: *v6,
            ty: *ty,
            code: *code,
            mtu: Some(*mtu).filter(|m| *m > 0),
            quote: None,
        }),
        DecodedBody::Other(p) => Body::Icmp(IcmpSpec { v6: false, ty: *p, code: 0, mtu: None, quote: None }),
    };
    Packet { ip, body }
}

fn translate(t: &DecodedTcp, flow: Option<&Flow>) -> TcpSpec {
    let none = Flow::new(([0, 0, 0, 0], 0).into(), ([0, 0, 0, 0], 0).into(), 0);
    let flow = flow.unwrap_or(&none);
    let options = t
        .options
        .iter()
        .map(|o| match o {
            TcpOption::Sack(blocks) => TcpOption::Sack(
                blocks.iter().map(|(a, b)| (flow.peers_script(*a), flow.peers_script(*b))).collect(),
            ),
            TcpOption::Timestamps(val, ecr) => {
                TcpOption::Timestamps(val.map(|v| flow.timestamp_guess(v)), *ecr)
            }
            other => other.clone(),
        })
        .collect();
    TcpSpec {
        ports: Some((t.from, t.to)),
        flags: t.flags,
        seq: flow.ours_script(t.seq),
        len: t.payload.len(),
        ack: (t.flags & 0x010 != 0).then(|| flow.peers_script(t.ack)),
        window: Some(t.window),
        urgent: (t.flags & 0x020 != 0).then_some(t.urgent),
        options: Some(options),
    }
}

/// Fields that differ, each in words: `ack 1 (the script wants 1001)`.
pub fn differences(want: &Packet, got: &Packet, mapped: &Packet) -> Vec<String> {
    let mut out = Vec::new();
    ip(&want.ip, &got.ip, &mut out);
    match (&want.body, &mapped.body) {
        (Body::Tcp(w), Body::Tcp(g)) => tcp(w, g, &mut out),
        (Body::Udp { len: w, .. }, Body::Udp { len: g, .. }) => field("octets", w, g, &mut out),
        (Body::Icmp(w), Body::Icmp(g)) => {
            field("type", &w.ty, &g.ty, &mut out);
            field("code", &w.code, &g.code, &mut out);
            if w.mtu.is_some() {
                field("mtu", &w.mtu.unwrap_or(0), &g.mtu.unwrap_or(0), &mut out);
            }
        }
        _ => out.push("another protocol".into()),
    }
    out
}

fn field<T: PartialEq + std::fmt::Display>(name: &str, want: &T, got: &T, out: &mut Vec<String>) {
    if want != got {
        out.push(format!("{name} {got} (the script wants {want})"));
    }
}

fn ip(want: &IpInfo, got: &IpInfo, out: &mut Vec<String>) {
    let tos = got.tos.unwrap_or(0);
    if let Some(w) = want.tos {
        field("tos", &w, &tos, out);
    }
    if let Some(w) = want.ttl {
        field("ttl", &w, &got.ttl.unwrap_or(0), out);
    }
    let Some(ecn) = want.ecn else { return };
    let (fits, name) = match ecn {
        Ecn::NoEcn => (tos & 3 == 0, "noecn"),
        Ecn::Ect0 => (tos & 3 == 2, "ect0"),
        Ecn::Ect1 => (tos & 3 == 1, "ect1"),
        Ecn::Ect01 => (matches!(tos & 3, 1 | 2), "ect01"),
        Ecn::Ce => (tos & 3 == 3, "ce"),
    };
    if !fits {
        let came = ["noecn", "ect1", "ect0", "ce"][usize::from(tos & 3)];
        out.push(format!("ECN mark {came} (the script wants {name})"));
    }
}

fn tcp(want: &TcpSpec, got: &TcpSpec, out: &mut Vec<String>) {
    if let (Some(w), Some(g)) = (want.ports, got.ports)
        && w != g
    {
        out.push(format!("ports {} > {} (the script wants {} > {})", g.0, g.1, w.0, w.1));
    }
    if want.flags != got.flags {
        out.push(format!("flags {} (the script wants {})", show_flags(got.flags), show_flags(want.flags)));
    }
    field("seq", &want.seq, &got.seq, out);
    field("octets", &want.len, &got.len, out);
    if want.flags & got.flags & 0x010 != 0 {
        field("ack", &want.ack.unwrap_or(0), &got.ack.unwrap_or(0), out);
    }
    if let Some(w) = want.window {
        field("win", &w, &got.window.unwrap_or(0), out);
    }
    if let Some(w) = want.urgent {
        field("urg", &w, &got.urgent.unwrap_or(0), out);
    }
    let (Some(w), Some(g)) = (&want.options, &got.options) else { return };
    let (w, g) = (without_padding(w), without_padding(g));
    if w.len() != g.len() || w.iter().zip(g).any(|(w, g)| !option_fits(w, g)) {
        let list = |o: &[TcpOption]| o.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        out.push(format!("options <{}> (the script wants <{}>)", list(g), list(w)));
    }
}

/// Octets of zero at the end fill the last word up: they are no options.
fn without_padding(options: &[TcpOption]) -> &[TcpOption] {
    let end = options.iter().rposition(|o| *o != TcpOption::Eol).map_or(0, |i| i + 1);
    &options[..end]
}

fn option_fits(want: &TcpOption, got: &TcpOption) -> bool {
    match (want, got) {
        (TcpOption::Timestamps(wv, we), TcpOption::Timestamps(gv, ge)) => {
            wv.is_none_or(|v| Some(v) == *gv) && we.is_none_or(|e| Some(e) == *ge)
        }
        (TcpOption::Md5(None), TcpOption::Md5(_)) => true,
        _ => want == got,
    }
}
