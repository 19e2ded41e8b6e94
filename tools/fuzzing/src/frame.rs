//! Target `frame`: everything that can arrive, at a stack with connections in every state.
//!
//! Input: the setting (7 octets: look, cast, IRS), then actions until the end.

use crate::input::Input;
use crate::packet::{self, SYN};
use crate::stage::{BARE, ETHERNET, MAC, PEER_MAC, Peer, Setting, Stage};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use wirestack::link::{Frame, Gso, GsoKind, PartialChecksum, RxChecksum, RxOffload};
use wirestack::socket::{MsgFlags, Shutdown, SocketOption};

/// Actions looked at in one input.
const ACTIONS: usize = 64;

/// Runs an input.
pub fn frame(data: &[u8]) {
    let mut input = Input::new(data);
    let setting = Setting { look: input.u8(), cast: input.u16(), irs: input.u32() };
    let mut stage = Stage::new(setting);
    stage.play();
    for _ in 0..ACTIONS {
        if input.is_empty() {
            break;
        }
        act(&mut stage, &mut input);
        stage.step();
    }
    stage.pass(Duration::from_secs(600));
}

fn act(stage: &mut Stage, input: &mut Input<'_>) {
    match input.u8() % 16 {
        0..=7 => segment(stage, input),
        8 => raw(stage, input),
        9 => {
            let time = Duration::from_micros(input.micros());
            stage.pass(time);
        }
        10 => icmp_error(stage, input),
        11 => fragments(stage, input),
        12 => datagram(stage, input),
        13 => flood(stage, input),
        _ => call(stage, input),
    }
}

/// Bits of the octet that says how a segment is made.
const SEQ: u8 = 7;
const ACK_BASE: u8 = 0x18;
const OPTIONS: u8 = 0x60;
const GSO: u8 = 0x80;

fn segment(stage: &mut Stage, input: &mut Input<'_>) {
    let p = input.below(stage.peers.len().max(1));
    let Some(peer) = stage.peers.get(p).cloned() else { return };
    let how = input.u8();
    let seq = sequence_number(&peer, how & SEQ, input);
    let ack = acknowledgment(&peer, how & ACK_BASE, input);
    let flags = input.u8();
    let window = input.u16();
    let urgent = if flags & packet::URG != 0 { input.u16() } else { 0 };
    let options = options(stage, &peer, how & OPTIONS, input);
    let len = usize::from(input.u16());
    let len = if how & GSO != 0 { len % 32_768 } else { len % 3000 };
    let payload = vec![input.u8(); len];
    let t = packet::Tcp {
        src: peer.remote,
        dst: peer.local,
        seq,
        ack,
        flags,
        window,
        urgent,
        options: &options,
        payload: &payload,
    };
    let transport = packet::tcp_transport(&t);
    let packet = packet::ip(peer.remote.ip(), peer.local.ip(), 6, &transport);
    let offload = if how & GSO != 0 { super_segment(&peer, input) } else { RxOffload::default() };
    stage.packet(&packet, offload);
    if flags & SYN == 0 {
        // As a peer that goes on from what was taken.
        stage.step();
        if let Some(p) = stage.peers.get_mut(p) {
            p.seq = p.acked;
            if (ack.wrapping_sub(p.una) as i32) > 0 && (p.nxt.wrapping_sub(ack) as i32) >= 0 {
                p.una = ack;
            }
        }
    }
}

fn near(base: u32, input: &mut Input<'_>) -> u32 {
    base.wrapping_add(i32::from(input.u16() as i16) as u32)
}

fn sequence_number(peer: &Peer, how: u8, input: &mut Input<'_>) -> u32 {
    match how {
        0 | 1 => peer.acked,
        2 => near(peer.acked, input),
        3 => peer.acked.wrapping_add(u32::from(input.u8())).wrapping_sub(128),
        // At the right edge of the window, scaled or not.
        4 => near(peer.acked.wrapping_add(u32::from(peer.window) << (input.u8() % 15)), input),
        5 => near(peer.acked.wrapping_sub(1 << (input.u8() % 32)), input),
        6 => input.u32(),
        _ => peer.seq,
    }
}

fn acknowledgment(peer: &Peer, how: u8, input: &mut Input<'_>) -> u32 {
    match how {
        0 => peer.nxt,
        8 => peer.una,
        0x10 => near(peer.nxt, input),
        _ => near(peer.una, input),
    }
}

fn options(stage: &Stage, peer: &Peer, how: u8, input: &mut Input<'_>) -> Vec<u8> {
    match how {
        0 => stage.timestamps(peer),
        0x20 => {
            let n = input.below(41);
            input.bytes(n).to_vec()
        }
        0x40 => {
            // SACK blocks around what is in flight.
            let mut o = stage.timestamps(peer);
            let blocks = 1 + input.below(4);
            o.extend([1, 1, 5, 2 + 8 * blocks as u8]);
            for _ in 0..blocks {
                let start = near(peer.una, input);
                o.extend(start.to_be_bytes());
                o.extend(start.wrapping_add(u32::from(input.u16())).to_be_bytes());
            }
            o.truncate(40);
            o
        }
        _ => {
            // Timestamps of its own, and the options of a SYN.
            let mut o = vec![8, 10];
            o.extend(near(stage.now.as_millis() as u32, input).to_be_bytes());
            o.extend(peer.timestamp.unwrap_or(0).to_be_bytes());
            o.extend([2, 4]);
            o.extend(input.bytes(2));
            o.extend([3, 3]);
            o.extend(input.bytes(1));
            o
        }
    }
}

fn super_segment(peer: &Peer, input: &mut Input<'_>) -> RxOffload {
    let kind = if peer.local.is_ipv4() == input.bool() { GsoKind::Tcp4 } else { GsoKind::Tcp6 };
    let gso = Gso { kind, size: input.u16(), ecn: input.bool() };
    RxOffload { checksum: checksum_state(input), gso: (gso.size > 0).then_some(gso) }
}

fn checksum_state(input: &mut Input<'_>) -> RxChecksum {
    match input.u8() % 4 {
        0 | 1 => RxChecksum::Verified,
        2 => RxChecksum::Unknown,
        _ => RxChecksum::Partial(PartialChecksum { start: input.u16(), offset: input.u16() }),
    }
}

/// Octets as they are: as a frame, or as an IP packet.
fn raw(stage: &mut Stage, input: &mut Input<'_>) {
    let how = input.u8();
    let n = usize::from(input.u16()) % 2048;
    let bytes = input.bytes(n);
    let offload = if how & 1 != 0 {
        let gso = Gso { kind: GsoKind::Tcp4, size: input.u16().max(1), ecn: false };
        RxOffload { checksum: checksum_state(input), gso: (how & 2 != 0).then_some(gso) }
    } else {
        RxOffload::default()
    };
    match how >> 2 & 3 {
        0 => stage.stack.handle_frame(stage.now, ETHERNET, Frame::borrowed(bytes, offload)),
        1 => stage.stack.handle_frame(stage.now, BARE, Frame::borrowed(bytes, offload)),
        2 => {
            let frame = packet::ethernet(MAC, PEER_MAC, bytes);
            stage.stack.handle_frame(stage.now, ETHERNET, Frame::borrowed(&frame, offload));
        }
        _ => {
            // With an IPv4 header that is right: the rest is the transport's.
            let protocol = [1, 2, 6, 17][usize::from(how >> 4 & 3)];
            let mut transport = bytes.to_vec();
            let (src, dst): ([u8; 4], [u8; 4]) = ([10, 0, 0, 2], [10, 0, 0, 1]);
            let at = [2, 2, 16, 6][usize::from(how >> 4 & 3)];
            packet::fix_checksum(&mut transport, at, src.into(), dst.into(), protocol);
            stage.packet(&packet::ipv4(src, dst, protocol, 0x4000, &transport), offload);
        }
    }
}

/// An ICMP error that quotes a segment of a connection.
fn icmp_error(stage: &mut Stage, input: &mut Input<'_>) {
    let p = input.below(stage.peers.len().max(1));
    let Some(peer) = stage.peers.get(p).cloned() else { return };
    let (ty, code, word) = (input.u8(), input.u8(), input.u32());
    let ty = match (peer.local.is_ipv4(), ty % 4) {
        (true, n) => [3, 11, 12, 4][usize::from(n)],
        (false, n) => [1, 2, 3, 4][usize::from(n)],
    };
    let seq = near(peer.una, input);
    let quoted = packet::Tcp {
        src: peer.local,
        dst: peer.remote,
        seq,
        ack: peer.acked,
        flags: packet::ACK,
        window: 0,
        urgent: 0,
        options: &[],
        payload: &[],
    };
    let mut quote = packet::ip(peer.local.ip(), peer.remote.ip(), 6, &packet::tcp_transport(&quoted));
    quote.truncate(input.below(80));
    let message = packet::icmp(peer.remote.ip(), peer.local.ip(), ty, code, word, &quote);
    stage.packet(&message, RxOffload::default());
}

/// A datagram or a segment in fragments of any offsets.
fn fragments(stage: &mut Stage, input: &mut Input<'_>) {
    let size = usize::from(input.u16()) % 4000;
    let (src, dst): (SocketAddr, SocketAddr) =
        ("10.0.0.2:9".parse().unwrap(), "10.0.0.1:53".parse().unwrap());
    let whole = packet::udp_transport(src, dst, &vec![b'f'; size]);
    for _ in 0..1 + input.below(8) {
        let (at, len, more) = (usize::from(input.u16()) % 8192, input.u16() % 2000, input.bool());
        let from = (at * 8).min(whole.len());
        let to = (from + usize::from(len)).min(whole.len());
        let field = at as u16 | if more { 0x2000 } else { 0 };
        let piece = packet::ipv4([10, 0, 0, 2], [10, 0, 0, 1], 17, field, &whole[from..to]);
        stage.packet(&piece, RxOffload::default());
    }
}

fn datagram(stage: &mut Stage, input: &mut Input<'_>) {
    let v6 = input.bool();
    let net = input.u8() & 1;
    let address = |host: u8| -> IpAddr {
        if v6 { format!("fd0{net}::{host}") } else { format!("10.{net}.0.{host}") }.parse().unwrap()
    };
    let src = SocketAddr::new(address(2), input.u16());
    let dst = SocketAddr::new(address(1), 52 + u16::from(input.u8() % 4));
    let len = usize::from(input.u16()) % 1500;
    let transport = packet::udp_transport(src, dst, &vec![b'd'; len]);
    stage.packet(&packet::ip(src.ip(), dst.ip(), 17, &transport), RxOffload::default());
}

/// Many SYNs, or many echo requests, from one host to the next.
fn flood(stage: &mut Stage, input: &mut Input<'_>) {
    let (kind, count) = (input.u8(), input.u8());
    for i in 0..count {
        let src: IpAddr = [10, kind & 1, 0, 3 + i % 200].into();
        let dst: IpAddr = [10, kind & 1, 0, 1].into();
        let packet = if kind & 2 == 0 {
            let t = packet::Tcp {
                src: SocketAddr::new(src, 2000 + u16::from(i)),
                dst: SocketAddr::new(dst, 80 + u16::from(kind >> 2 & 1)),
                seq: input.u32(),
                ack: 0,
                flags: SYN,
                window: 0,
                urgent: 0,
                options: &[],
                payload: &[],
            };
            packet::ip(src, dst, 6, &packet::tcp_transport(&t))
        } else {
            packet::icmp(src, dst, 8, 0, u32::from(i), &[0; 32])
        };
        stage.packet(&packet, RxOffload::default());
    }
}

/// The application does something.
fn call(stage: &mut Stage, input: &mut Input<'_>) {
    let at = input.below(stage.sockets.len().max(1));
    let Some(&s) = stage.sockets.get(at) else { return };
    let now = stage.now;
    let stack = &mut stage.stack;
    match input.u8() % 12 {
        0 => {
            let mut buf = vec![0; usize::from(input.u16())];
            let _ = stack.recv(now, s, &mut buf, MsgFlags::empty());
        }
        1 => {
            let mut buf = [0; 64];
            let _ = stack.recv(now, s, &mut buf, MsgFlags::from_bits_truncate(u32::from(input.u8())));
        }
        2 => {
            let data = vec![b's'; usize::from(input.u16())];
            let _ = stack.send(now, s, &data, MsgFlags::empty());
        }
        3 => {
            let data = vec![b'S'; usize::from(input.u8())];
            let _ = stack.send(now, s, &data, MsgFlags::from_bits_truncate(u32::from(input.u16())));
        }
        4 => {
            let how = [Shutdown::Read, Shutdown::Write, Shutdown::Both][input.below(3)];
            let _ = stack.shutdown(now, s, how);
        }
        5 => {
            let linger = input.bool().then_some(Duration::ZERO);
            let _ = stack.set_option(now, s, SocketOption::Linger(linger));
            let _ = stack.close(now, s);
            stage.sockets.swap_remove(at);
        }
        6 | 7 => {
            if let Ok((new, _)) = stack.accept(now, s) {
                stage.sockets.push(new);
            }
        }
        8 => {
            let _ = stack.recv_chunk(now, s, usize::from(input.u16()));
        }
        9 => {
            let _ = (stack.at_mark(s), stack.take_error(s), stack.readiness(s), stack.sockets());
        }
        10 => drop(stack.set_option(now, s, crate::operations::option(input))),
        _ => {
            let to = SocketAddr::new([10, 0, 0, input.u8()].into(), input.u16());
            let _ = stack.connect(now, s, to);
        }
    }
}
