//! IP output: from a transport header and its payload to a frame.
//!
//! Two ways out. [`Ip::emit`] goes straight to a sink without an allocation: TCP's way. [`Ip::enqueue`]
//! keeps a copy in the interface's bounded queue until [`Ip::poll_transmit`]: for all others. A frame
//! whose neighbour is not resolved waits in the neighbour cache; a frame to ourselves goes round by
//! [`Ip::next_looped`], with its checksum and segmentation left undone.

use super::fragment::FRAGMENT_UNIT;
use super::{Ip, Outgoing, Path, protocol};
use crate::IfaceId;
use crate::buf::{Chunk, Pool};
use crate::env::Env;
use crate::errno::Errno;
use crate::link::ethernet::{self, BROADCAST, multicast_v4, multicast_v6};
use crate::link::{
    Busy, Medium, OwnedFrame, PartialChecksum, Received, RxChecksum, RxOffload, Sink, TxFrame, TxOffload,
    offload,
};
use crate::reason::Drop;
use crate::rng::Rng;
use crate::wire::checksum::Sum;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::hash::Hasher;
use core::net::{IpAddr, Ipv4Addr};
use etherparse::{
    EtherType, IpDscp, IpEcn, IpFragOffset, IpNumber, Ipv4Header, Ipv6FlowLabel, Ipv6FragmentHeader,
    Ipv6Header,
};
use siphasher::sip::SipHasher13;

/// The longest transport header that `emit` builds in place: TCP with all its options.
const MAX_TRANSPORT_HEADER: usize = 60;
/// Ethernet, IPv6, fragment and transport headers.
const MAX_HEADERS: usize = ethernet::HEADER_LEN + 40 + 8 + MAX_TRANSPORT_HEADER;

/// Headers under construction, on the stack.
struct Headers {
    bytes: [u8; MAX_HEADERS],
    len: usize,
}

impl Headers {
    fn new() -> Self {
        Self { bytes: [0; MAX_HEADERS], len: 0 }
    }

    /// Appends octets; what does not fit is left out (the callers bound it).
    fn push(&mut self, bytes: &[u8]) {
        let n = bytes.len().min(MAX_HEADERS - self.len);
        self.bytes[self.len..self.len + n].copy_from_slice(&bytes[..n]);
        self.len += n;
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Where IPv4 identifications and IPv6 flow labels come from: a keyed hash of the flow, so that
/// neither says anything about other flows (RFC 6864, RFC 7739, RFC 6437).
#[derive(Debug)]
pub(super) struct Idents {
    key: (u64, u64),
    counters: [u16; 256],
}

impl Idents {
    pub fn new(rng: &mut Rng) -> Self {
        let mut counters = [0; 256];
        counters.fill_with(|| rng.next_u32() as u16);
        Self { key: rng.derive_key(), counters }
    }

    fn flow(&self, packet: &Outgoing<'_>) -> u64 {
        let mut h = SipHasher13::new_with_keys(self.key.0, self.key.1);
        for addr in [packet.src, packet.dst] {
            match addr {
                IpAddr::V4(a) => h.write_u32(a.to_bits()),
                IpAddr::V6(a) => h.write(&a.octets()),
            }
        }
        h.write_u8(packet.protocol);
        if matches!(packet.protocol, protocol::TCP | protocol::UDP) {
            h.write(packet.header.get(..4).unwrap_or_default());
        }
        h.finish()
    }

    /// The next identification of a flow, with room for `segments` of them.
    fn next(&mut self, flow: u64, segments: usize) -> u16 {
        let counter = &mut self.counters[(flow & 0xff) as usize];
        let id = *counter;
        *counter = counter.wrapping_add(segments as u16);
        id
    }
}

/// Packets to ourselves.
#[derive(Debug)]
pub(super) struct Loop {
    queue: VecDeque<Received>,
    /// Large frames live in buffers that are used again.
    pool: Pool,
}

/// A frame at least this long is put in a pooled buffer: less than half of it is wasted, or the
/// socket copies what it keeps.
const POOLED: usize = 16 << 10;

impl Loop {
    pub fn new() -> Self {
        Self { queue: VecDeque::new(), pool: Pool::new(65_536, 64) }
    }

    fn push(&mut self, frame: &TxFrame<'_>) {
        let len = frame.len();
        let chunk = if (POOLED..=self.pool.buffer_size()).contains(&len) {
            let mut buf = self.pool.take();
            frame.copy_to(buf.as_mut_slice());
            self.pool.freeze(buf, len)
        } else if len <= 2048 {
            let mut small = [0; 2048];
            let len = frame.copy_to(&mut small);
            Chunk::copy_from(&small[..len])
        } else {
            frame.to_chunk()
        };
        let checksum = frame.offload.checksum.map_or(RxChecksum::Unknown, RxChecksum::Partial);
        self.queue.push_back(Received { chunk, offload: RxOffload { checksum, gso: frame.offload.gso } });
    }
}

/// Where a frame goes on the link.
enum LinkAddress {
    /// Bare IP: there are no link addresses.
    None,
    Known([u8; 6]),
    Unresolved,
}

/// How one packet is to be put together.
#[derive(Clone, Copy)]
struct Plan {
    src_mac: [u8; 6],
    medium: Medium,
    flow: u64,
    id: u16,
    /// Octets after the IP header (and fragment header).
    payload_len: usize,
    /// Offset and "more fragments"; `None` for a whole packet.
    fragment: Option<(usize, bool, u32)>,
}

impl Plan {
    /// Link and IP headers. `None` if the families of the addresses differ.
    fn headers(&self, packet: &Outgoing<'_>, mac: Option<[u8; 6]>) -> Option<Headers> {
        let mut out = Headers::new();
        let ether_type = if packet.dst.is_ipv4() { EtherType::IPV4 } else { EtherType::IPV6 };
        if self.medium == Medium::Ethernet {
            out.push(&ethernet::header(mac.unwrap_or_default(), self.src_mac, ether_type));
        }
        match (packet.src, packet.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let (offset, more) = self.fragment.map_or((0, false), |(o, m, _)| (o, m));
                let mut header = Ipv4Header {
                    dscp: IpDscp::try_new(packet.traffic_class >> 2).unwrap_or_default(),
                    ecn: IpEcn::try_new(packet.traffic_class & 3).unwrap_or_default(),
                    total_len: (Ipv4Header::MIN_LEN + self.payload_len) as u16,
                    identification: self.id,
                    dont_fragment: packet.dont_fragment,
                    more_fragments: more,
                    fragment_offset: IpFragOffset::try_new((offset / FRAGMENT_UNIT) as u16)
                        .unwrap_or_default(),
                    time_to_live: packet.hop_limit,
                    protocol: IpNumber(packet.protocol),
                    source: src.octets(),
                    destination: dst.octets(),
                    ..Ipv4Header::default()
                };
                header.header_checksum = header.calc_header_checksum();
                out.push(&header.to_bytes());
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                let extra = if self.fragment.is_some() { 8 } else { 0 };
                let next = IpNumber(packet.protocol);
                let header = Ipv6Header {
                    traffic_class: packet.traffic_class,
                    flow_label: Ipv6FlowLabel::try_new((self.flow >> 32) as u32 & 0xf_ffff)
                        .unwrap_or_default(),
                    payload_length: (self.payload_len + extra) as u16,
                    next_header: if extra > 0 { IpNumber::IPV6_FRAGMENTATION_HEADER } else { next },
                    hop_limit: packet.hop_limit,
                    source: src.octets(),
                    destination: dst.octets(),
                };
                out.push(&header.to_bytes());
                if let Some((offset, more, id)) = self.fragment {
                    let offset = IpFragOffset::try_new((offset / FRAGMENT_UNIT) as u16).unwrap_or_default();
                    out.push(&Ipv6FragmentHeader::new(next, offset, more, id).to_bytes());
                }
            }
            _ => return None,
        }
        Some(out)
    }
}

const fn ip_header_len(dst: IpAddr) -> usize {
    if dst.is_ipv4() { Ipv4Header::MIN_LEN } else { Ipv6Header::LEN }
}

fn payload_len(packet: &Outgoing<'_>) -> usize {
    packet.header.len() + packet.payload.iter().map(|p| p.len()).sum::<usize>()
}

/// The folded pseudo-header sum: what a partial checksum field holds.
fn pseudo(packet: &Outgoing<'_>, len: usize) -> [u8; 2] {
    let mut sum = Sum::new();
    sum.add_pseudo_header(packet.src, packet.dst, packet.protocol, len);
    sum.folded().to_be_bytes()
}

impl Ip {
    /// Sends a packet straight into the sink: the hot path of TCP. Headers are built on the stack;
    /// checksum and segmentation are left to the device, or done here if it cannot.
    ///
    /// A packet whose next hop is not resolved is kept as a copy while ARP or NDP asks. A packet that
    /// can never be sent is dropped with its reason.
    ///
    /// # Errors
    /// [`Busy`]: the device (or the queue to ourselves) is full; the packet is still the caller's.
    pub fn emit(
        &mut self,
        env: &mut Env<'_>,
        packet: &Outgoing<'_>,
        sink: &mut dyn Sink,
    ) -> Result<(), Busy> {
        let id = packet.path.iface;
        if id == IfaceId::LOOPBACK && self.loop_full(env) {
            return Err(Busy);
        }
        let Some(interface) = self.interface(id) else {
            env.drop(Drop::LinkInterfaceDown);
            return Ok(());
        };
        if !interface.queue.is_empty() && !self.flush(env, id, sink) {
            return Err(Busy);
        }
        if packet.header.len() > MAX_TRANSPORT_HEADER || !self.fits(packet) {
            // Its failure is counted there; nobody waits for it here.
            let _ = self.enqueue(env, packet);
            return Ok(());
        }
        if id == IfaceId::LOOPBACK {
            self.loop_packet(env, packet);
            return Ok(());
        }
        let address = self.link_address(env, id, packet.path.next_hop);
        let mac = match address {
            LinkAddress::Known(mac) => Some(mac),
            LinkAddress::None | LinkAddress::Unresolved => None,
        };
        let Some((headers, offload)) = self.whole(packet, mac) else {
            env.drop(Drop::IpNoSource);
            return Ok(());
        };
        let frame = TxFrame { header: headers.as_slice(), payload: packet.payload, offload };
        env.stats.count.ip_out += 1;
        if matches!(address, LinkAddress::Unresolved) {
            self.hold(env, id, packet.path.next_hop, OwnedFrame::copy_from(&frame, Some(packet.dst)));
            self.flush(env, id, sink);
            return Ok(());
        }
        self.hand_over(env, id, &frame, sink)
    }

    /// The headers of a packet that is not fragmented, and what the device is asked to do.
    fn whole(&mut self, packet: &Outgoing<'_>, mac: Option<[u8; 6]>) -> Option<(Headers, TxOffload)> {
        let interface = self.interface(packet.path.iface)?;
        let (src_mac, medium) = (interface.mac, interface.capabilities.medium);
        let len = payload_len(packet);
        let data = len - packet.header.len();
        let gso = packet.gso_size.filter(|&s| s > 0 && data > usize::from(s));
        let segments = gso.map_or(1, |s| data.div_ceil(usize::from(s)));
        let flow = self.idents.flow(packet);
        let id = if packet.dst.is_ipv4() { self.idents.next(flow, segments) } else { 0 };
        let plan = Plan { src_mac, medium, flow, id, payload_len: len, fragment: None };
        let mut headers = plan.headers(packet, mac)?;
        let start = headers.len;
        headers.push(packet.header);
        let mut offload = TxOffload::default();
        if let Some(offset) = packet.checksum_offset {
            let at = start + usize::from(offset);
            headers.bytes.get_mut(at..at + 2)?.copy_from_slice(&pseudo(packet, len));
            offload.checksum = Some(PartialChecksum { start: start as u16, offset });
            let kind =
                if packet.dst.is_ipv4() { crate::link::GsoKind::Tcp4 } else { crate::link::GsoKind::Tcp6 };
            let ecn = packet.header.get(13).is_some_and(|flags| flags & 0x80 != 0);
            offload.gso = gso.map(|size| crate::link::Gso { kind, size, ecn });
        }
        Some((headers, offload))
    }

    /// Does the packet leave in one piece (or as a super-segment)?
    fn fits(&self, packet: &Outgoing<'_>) -> bool {
        let len = payload_len(packet);
        let link = self.interface(packet.path.iface).map_or(0, |f| f.capabilities.mtu);
        let whole = len + ip_header_len(packet.dst);
        match packet.gso_size {
            Some(size) if len > packet.header.len() + usize::from(size) => whole <= 65_535,
            _ => whole <= link.min(packet.path.mtu),
        }
    }

    /// Queues a packet; [`Self::poll_transmit`] sends it. A packet that exceeds the path MTU is sent in
    /// fragments, unless `dont_fragment` is set.
    ///
    /// # Errors
    /// `EMSGSIZE`: too long for IP, or for the path with `dont_fragment`. `ENOBUFS`: the queue is full.
    /// `ENETDOWN`: the interface is gone. `EINVAL`: source and destination are of different families.
    pub fn enqueue(&mut self, env: &mut Env<'_>, packet: &Outgoing<'_>) -> Result<(), Errno> {
        let id = packet.path.iface;
        let Some(interface) = self.interface(id) else {
            env.drop(Drop::LinkInterfaceDown);
            return Err(Errno::ENETDOWN);
        };
        if packet.src.is_ipv4() != packet.dst.is_ipv4() {
            return Err(Errno::EINVAL);
        }
        let waiting = if id == IfaceId::LOOPBACK { self.looped.queue.len() } else { interface.queue.len() };
        let room = env.config.limits.tx_queue.saturating_sub(waiting);
        if !self.fits(packet) {
            if packet.dont_fragment {
                env.drop(Drop::IpTooBig);
                return Err(Errno::EMSGSIZE);
            }
            return self.send_fragments(env, packet, room);
        }
        if room == 0 {
            env.drop(Drop::LinkQueueFull);
            return Err(Errno::ENOBUFS);
        }
        // A header too long to build in place is payload as far as the link is concerned; such
        // packets have no checksum of ours.
        let split = packet.header.len().min(MAX_TRANSPORT_HEADER);
        let (first, rest) = packet.header.split_at(split);
        let mut pieces = Vec::with_capacity(1 + packet.payload.len());
        pieces.push(rest);
        pieces.extend_from_slice(packet.payload);
        let packet = Outgoing { header: first, payload: &pieces, ..*packet };
        if id == IfaceId::LOOPBACK {
            self.loop_packet(env, &packet);
            return Ok(());
        }
        let (headers, offload) = self.whole(&packet, None).ok_or(Errno::EINVAL)?;
        let frame = TxFrame { header: headers.as_slice(), payload: &pieces, offload };
        env.stats.count.ip_out += 1;
        self.send_owned(env, id, packet.path.next_hop, OwnedFrame::copy_from(&frame, Some(packet.dst)));
        Ok(())
    }

    /// RFC 791 section 3.2, RFC 8200 section 4.5. The checksum covers the whole, so it is made first.
    fn send_fragments(&mut self, env: &mut Env<'_>, packet: &Outgoing<'_>, room: usize) -> Result<(), Errno> {
        let id = packet.path.iface;
        let interface = self.interface(id).ok_or(Errno::ENETDOWN)?;
        let (src_mac, medium) = (interface.mac, interface.capabilities.medium);
        let mtu = interface.capabilities.mtu.min(packet.path.mtu);
        let total = payload_len(packet);
        let v6 = packet.dst.is_ipv6();
        // What all fragments together may hold: the offset field and the length field end at 64 KiB.
        if packet.gso_size.is_some() || total + if v6 { 0 } else { Ipv4Header::MIN_LEN } > 65_535 {
            return Err(Errno::EMSGSIZE);
        }
        let overhead = ip_header_len(packet.dst) + if v6 { 8 } else { 0 };
        let unit = mtu.saturating_sub(overhead) / FRAGMENT_UNIT * FRAGMENT_UNIT;
        if unit == 0 {
            return Err(Errno::EMSGSIZE);
        }
        let count = total.div_ceil(unit);
        if count > room {
            env.drop(Drop::LinkQueueFull);
            return Err(Errno::ENOBUFS);
        }
        let whole = assemble(packet, total)?;
        let flow = self.idents.flow(packet);
        let ident = if v6 { 0 } else { self.idents.next(flow, 1) };
        let ident6 = env.rng.next_u32();
        for (index, part) in whole.chunks(unit).enumerate() {
            let fragment = Some((index * unit, index + 1 < count, ident6));
            let plan = Plan { src_mac, medium, flow, id: ident, payload_len: part.len(), fragment };
            let headers = plan.headers(packet, None).ok_or(Errno::EINVAL)?;
            let frame =
                TxFrame { header: headers.as_slice(), payload: &[part], offload: TxOffload::default() };
            env.stats.count.ip_out += 1;
            if id == IfaceId::LOOPBACK {
                self.loop_frame(&frame);
            } else {
                let owned = OwnedFrame::copy_from(&frame, Some(packet.dst));
                self.send_owned(env, id, packet.path.next_hop, owned);
            }
        }
        env.stats.count.ip_fragmented += 1;
        Ok(())
    }

    /// IP_HDRINCL: queues a whole IPv4 packet. Fills in the total length and the checksum, and the
    /// identification and the source if they are zero (raw(7)).
    ///
    /// # Errors
    /// `EINVAL`: not an IPv4 header. `EMSGSIZE`: longer than the path MTU. `ENOBUFS`, `ENETDOWN`: as
    /// [`Self::enqueue`].
    pub fn enqueue_raw(&mut self, env: &mut Env<'_>, path: &Path, packet: &[u8]) -> Result<(), Errno> {
        let interface = self.interface(path.iface).ok_or(Errno::ENETDOWN)?;
        let (src_mac, medium) = (interface.mac, interface.capabilities.medium);
        let room = env.config.limits.tx_queue.saturating_sub(interface.queue.len());
        if packet.len() > interface.capabilities.mtu.min(65_535) {
            return Err(Errno::EMSGSIZE);
        }
        let (mut header, payload) = Ipv4Header::from_slice(packet).map_err(|_| Errno::EINVAL)?;
        header.total_len = packet.len() as u16;
        if let (IpAddr::V4(src), [0, 0, 0, 0]) = (path.src, header.source) {
            header.source = src.octets();
        }
        if header.identification == 0 {
            let src = IpAddr::V4(header.source.into());
            let dst = IpAddr::V4(header.destination.into());
            let probe = Outgoing {
                path,
                src,
                dst,
                protocol: header.protocol.0,
                hop_limit: 0,
                traffic_class: 0,
                dont_fragment: false,
                header: payload,
                payload: &[],
                checksum_offset: None,
                gso_size: None,
            };
            header.identification = self.idents.next(self.idents.flow(&probe), 1);
        }
        header.header_checksum = header.calc_header_checksum();
        let mut headers = Vec::with_capacity(ethernet::HEADER_LEN + header.header_len());
        if medium == Medium::Ethernet {
            headers.extend_from_slice(&ethernet::header([0; 6], src_mac, EtherType::IPV4));
        }
        headers.extend_from_slice(&header.to_bytes());
        let frame = TxFrame { header: &headers, payload: &[payload], offload: TxOffload::default() };
        if room == 0 || (path.iface == IfaceId::LOOPBACK && self.loop_full(env)) {
            env.drop(Drop::LinkQueueFull);
            return Err(Errno::ENOBUFS);
        }
        env.stats.count.ip_out += 1;
        if path.iface == IfaceId::LOOPBACK {
            self.loop_frame(&frame);
        } else {
            let dst = IpAddr::V4(Ipv4Addr::from(header.destination));
            let owned = OwnedFrame::copy_from(&frame, Some(dst));
            self.send_owned(env, path.iface, path.next_hop, owned);
        }
        Ok(())
    }

    /// Sends what the queues hold. An interface whose device is busy keeps the rest.
    pub fn poll_transmit(&mut self, env: &mut Env<'_>, sink: &mut dyn Sink) {
        for index in 1..self.ifaces.len() as u32 {
            self.flush(env, IfaceId(index), sink);
        }
    }

    /// The next packet that was sent to ourselves: feed it to [`Self::handle_frame`] on the loopback.
    pub fn next_looped(&mut self) -> Option<Received> {
        self.looped.queue.pop_front()
    }

    fn loop_full(&self, env: &Env<'_>) -> bool {
        self.looped.queue.len() >= env.config.limits.tx_queue
    }

    /// Sends a packet that fits to ourselves; the caller has looked whether there is room.
    fn loop_packet(&mut self, env: &mut Env<'_>, packet: &Outgoing<'_>) {
        let Some((headers, offload)) = self.whole(packet, None) else {
            env.drop(Drop::IpNoSource);
            return;
        };
        env.stats.count.ip_out += 1;
        self.loop_frame(&TxFrame { header: headers.as_slice(), payload: packet.payload, offload });
    }

    fn loop_frame(&mut self, frame: &TxFrame<'_>) {
        if let Some(lo) = self.interface_mut(IfaceId::LOOPBACK) {
            lo.counters.frames_out += 1;
            lo.counters.bytes_out += frame.len() as u64;
        }
        self.looped.push(frame);
    }

    /// The link address of a next hop.
    fn link_address(&mut self, env: &Env<'_>, id: IfaceId, next_hop: IpAddr) -> LinkAddress {
        let broadcast = self.is_broadcast(next_hop);
        let Some(interface) = self.interface_mut(id) else { return LinkAddress::None };
        if interface.capabilities.medium == Medium::Ip {
            return LinkAddress::None;
        }
        match next_hop {
            IpAddr::V4(a) if a.is_multicast() => LinkAddress::Known(multicast_v4(a)),
            IpAddr::V6(a) if a.is_multicast() => LinkAddress::Known(multicast_v6(a)),
            _ if broadcast => LinkAddress::Known(BROADCAST),
            _ => match interface.neighbours.resolve(env.now, next_hop) {
                Some(mac) => LinkAddress::Known(mac),
                None => LinkAddress::Unresolved,
            },
        }
    }

    /// Keeps a frame until its next hop is resolved, and asks.
    fn hold(&mut self, env: &mut Env<'_>, id: IfaceId, next_hop: IpAddr, frame: OwnedFrame) {
        if let Some(interface) = self.interface_mut(id) {
            interface.neighbours.hold(env, next_hop, frame);
            self.poll_neighbours(env, id);
        }
    }

    /// Puts an owned frame with an empty destination address on its way.
    fn send_owned(&mut self, env: &mut Env<'_>, id: IfaceId, next_hop: IpAddr, mut frame: OwnedFrame) {
        match self.link_address(env, id, next_hop) {
            LinkAddress::Unresolved => self.hold(env, id, next_hop, frame),
            address => {
                if let (LinkAddress::Known(mac), Some(dst)) = (address, frame.bytes.get_mut(..6)) {
                    dst.copy_from_slice(&mac);
                }
                if let Some(interface) = self.interface_mut(id) {
                    interface.queue.push_back(frame);
                }
            }
        }
    }

    /// Sends frames that waited for a link address.
    pub(super) fn release(
        &mut self,
        env: &mut Env<'_>,
        id: IfaceId,
        mac: [u8; 6],
        frames: VecDeque<OwnedFrame>,
    ) {
        let limit = env.config.limits.tx_queue;
        let Some(interface) = self.interface_mut(id) else { return };
        for mut frame in frames {
            if interface.queue.len() >= limit {
                env.drop(Drop::LinkQueueFull);
                continue;
            }
            if let Some(dst) = frame.bytes.get_mut(..6) {
                dst.copy_from_slice(&mac);
            }
            interface.queue.push_back(frame);
        }
    }

    /// Queues an ARP or NDP frame. These fill at most half of the queue: questions for hosts that do
    /// not exist must not keep other packets out. One that is left out is asked again a second later.
    pub(super) fn send_control(&mut self, env: &mut Env<'_>, id: IfaceId, bytes: Vec<u8>) -> bool {
        let limit = env.config.limits.tx_queue.div_ceil(2);
        let Some(interface) = self.interface_mut(id) else { return false };
        if interface.queue.len() >= limit {
            env.drop(Drop::LinkQueueFull);
            return false;
        }
        let header_len = bytes.len();
        interface.queue.push_back(OwnedFrame { bytes, header_len, offload: TxOffload::default(), dst: None });
        true
    }

    /// Gives a frame to the device, cut and summed as it needs; what it does not take of a cut waits at
    /// the head of the queue.
    fn hand_over(
        &mut self,
        env: &mut Env<'_>,
        id: IfaceId,
        frame: &TxFrame<'_>,
        sink: &mut dyn Sink,
    ) -> Result<(), Busy> {
        let Some(interface) = self.interface_mut(id) else { return Ok(()) };
        let mut rest = Vec::new();
        let caps = interface.capabilities;
        let sent = offload::transmit(sink, id, &caps, frame, &mut |segment| {
            rest.push(OwnedFrame::copy_from(segment, None));
        })?;
        if sent.frames == 0 {
            env.drop(Drop::LinkTooLong);
        }
        for frame in rest.into_iter().rev() {
            interface.queue.push_front(frame);
        }
        interface.counters.frames_out += sent.frames;
        interface.counters.bytes_out += sent.bytes;
        env.stats.count.frames_out += sent.frames;
        env.stats.count.bytes_out += sent.bytes;
        Ok(())
    }

    /// Sends what the queue of an interface holds; true if it is empty then.
    fn flush(&mut self, env: &mut Env<'_>, id: IfaceId, sink: &mut dyn Sink) -> bool {
        while let Some(frame) = self.interface_mut(id).and_then(|f| f.queue.pop_front()) {
            if frame.with(|f| self.hand_over(env, id, f, sink)).is_err() {
                if let Some(interface) = self.interface_mut(id) {
                    interface.queue.push_front(frame);
                }
                return false;
            }
        }
        true
    }
}

/// Transport header and payload in one piece, with the checksum made.
fn assemble(packet: &Outgoing<'_>, total: usize) -> Result<Vec<u8>, Errno> {
    let mut whole = Vec::with_capacity(total);
    whole.extend_from_slice(packet.header);
    for piece in packet.payload {
        whole.extend_from_slice(piece);
    }
    if let Some(offset) = packet.checksum_offset {
        let at = usize::from(offset);
        whole.get_mut(at..at + 2).ok_or(Errno::EINVAL)?.copy_from_slice(&pseudo(packet, total));
        offload::complete_checksum(&mut whole, PartialChecksum { start: 0, offset });
    }
    Ok(whole)
}
