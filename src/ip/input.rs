//! Input: from a frame to a packet for the protocols above.

use super::{Input, Ip};
use crate::IfaceId;
use crate::buf::Chunk;
use crate::env::Env;
use crate::link::{Frame, Medium, RxOffload, ethernet};
use crate::reason::Drop;
use etherparse::EtherType;

/// A packet on its way through the checks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival<'a> {
    pub iface: IfaceId,
    pub frame: Frame<'a>,
    /// Where in the frame the IP packet begins.
    pub start: usize,
    /// The frame was sent to a group of the link.
    pub link_broadcast: bool,
    /// The packet was put together from fragments.
    pub reassembled: bool,
}

impl<'a> Arrival<'a> {
    pub fn bytes(&self) -> &'a [u8] {
        self.frame.bytes().get(self.start..).unwrap_or_default()
    }
}

/// What IP's own part comes to.
#[derive(Debug)]
pub(super) enum Outcome<'a> {
    Input(Input<'a>),
    /// The packet is whole now, with its IP header at its beginning: check it once more.
    Assembled(Chunk),
    /// It was for IP itself, or its rest is awaited.
    Done,
}

impl Ip {
    /// Takes a frame in and does IP's own part: answers ARP, neighbour solicitations and echo requests,
    /// keeps fragments, checks headers. Returns what is left for the protocols above. What is dropped
    /// is counted with its reason.
    ///
    /// A packet that this frame completes is put into `assembled`, and the result borrows it from there.
    pub fn handle_frame<'a>(
        &mut self,
        env: &mut Env<'_>,
        iface: IfaceId,
        frame: Frame<'a>,
        assembled: &'a mut Option<Chunk>,
    ) -> Input<'a> {
        let first = self.frame_input(env, iface, frame);
        let outcome = match first {
            Ok((Outcome::Assembled(chunk), link_broadcast)) => {
                env.stats.count.ip_reassembled += 1;
                let frame = Frame::shared(assembled.insert(chunk), RxOffload::default());
                let arrival = Arrival { iface, frame, start: 0, link_broadcast, reassembled: true };
                self.packet_input(env, &arrival)
            }
            Ok((outcome, _)) => Ok(outcome),
            Err(reason) => Err(reason),
        };
        match outcome {
            Ok(Outcome::Input(input)) => {
                env.stats.count.ip_delivered += u64::from(input.datagram.is_some());
                input
            }
            Ok(Outcome::Assembled(_) | Outcome::Done) => Input::default(),
            Err(reason) => {
                env.drop(reason);
                Input::default()
            }
        }
    }

    /// The link header; the flag says whether the frame was sent to a group.
    fn frame_input<'a>(
        &mut self,
        env: &mut Env<'_>,
        iface: IfaceId,
        frame: Frame<'a>,
    ) -> Result<(Outcome<'a>, bool), Drop> {
        let bytes = frame.bytes();
        env.stats.count.frames_in += 1;
        env.stats.count.bytes_in += bytes.len() as u64;
        let interface = self.interface_mut(iface).ok_or(Drop::LinkInterfaceDown)?;
        interface.counters.frames_in += 1;
        interface.counters.bytes_in += bytes.len() as u64;
        let mut arrival = Arrival { iface, frame, start: 0, link_broadcast: false, reassembled: false };
        if interface.capabilities.medium == Medium::Ip {
            return Ok((self.packet_input(env, &arrival)?, false));
        }
        let own = interface.mac;
        let header = ethernet::parse(bytes)?;
        arrival.start = header.len;
        arrival.link_broadcast = ethernet::is_group(header.dst);
        if header.dst != own && !arrival.link_broadcast {
            return Err(Drop::LinkNotForUs);
        }
        let version = bytes.get(header.len).ok_or(Drop::IpTruncated).map(|b| b >> 4);
        let outcome = match header.ether_type {
            EtherType::IPV4 if version? == 4 => self.packet_input(env, &arrival)?,
            EtherType::IPV6 if version? == 6 => self.packet_input(env, &arrival)?,
            EtherType::IPV4 | EtherType::IPV6 => return Err(Drop::IpBadVersion),
            EtherType::ARP => {
                env.stats.count.arp_in += 1;
                self.arp_input(env, iface, arrival.bytes())?;
                Outcome::Done
            }
            _ => return Err(Drop::LinkUnknownProtocol),
        };
        Ok((outcome, arrival.link_broadcast))
    }

    fn packet_input<'a>(&mut self, env: &mut Env<'_>, arrival: &Arrival<'a>) -> Result<Outcome<'a>, Drop> {
        env.stats.count.ip_in += u64::from(!arrival.reassembled);
        match arrival.bytes().first().map(|b| b >> 4) {
            None => Err(Drop::IpTruncated),
            Some(4) => self.ipv4_input(env, arrival),
            Some(6) => self.ipv6_input(env, arrival),
            Some(_) => Err(Drop::IpBadVersion),
        }
    }
}
