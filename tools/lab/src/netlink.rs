//! Interfaces, addresses, routes and neighbours by rtnetlink(7): one request, one answer.

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage};
use netlink_packet_route::link::{InfoData, InfoKind, InfoVeth, LinkAttribute, LinkInfo, LinkMessage};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::{Mutex, PoisonError};

/// A netlink socket in the namespace where it was opened.
#[derive(Debug)]
pub(crate) struct Netlink(Mutex<Socket>);

const CREATE: u16 = NLM_F_CREATE | NLM_F_EXCL;

impl Netlink {
    /// A socket in the namespace of the calling thread.
    pub(crate) fn open() -> crate::Result<Self> {
        let open = || {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.bind_auto()?;
            socket.connect(&SocketAddr::new(0, 0))?;
            Ok(Self(Mutex::new(socket)))
        };
        open().map_err(|e: io::Error| crate::Error::new("opening a netlink socket", e))
    }

    /// Sends a request. The last message that comes before the acknowledgment is the answer.
    fn request(&self, message: RouteNetlinkMessage, flags: u16) -> io::Result<Option<RouteNetlinkMessage>> {
        let mut request = NetlinkMessage::from(message);
        request.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);

        let socket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        socket.send(&bytes, 0)?;
        let mut answer = None;
        loop {
            let (datagram, _) = socket.recv_from_full()?;
            let mut rest = datagram.as_slice();
            while !rest.is_empty() {
                let reply =
                    NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest).map_err(io::Error::other)?;
                match reply.payload {
                    NetlinkPayload::Error(e) if e.code.is_some() => return Err(e.to_io()),
                    NetlinkPayload::Error(_) => return Ok(answer),
                    NetlinkPayload::InnerMessage(m) => answer = Some(m),
                    _ => {}
                }
                // Messages are aligned to four octets (NLMSG_ALIGN).
                let len = (reply.header.length as usize).max(16).next_multiple_of(4);
                rest = rest.get(len..).unwrap_or_default();
            }
        }
    }

    /// What the kernel tells about an interface.
    fn get(&self, name: &str) -> io::Result<LinkMessage> {
        let mut link = LinkMessage::default();
        link.attributes.push(LinkAttribute::IfName(name.into()));
        match self.request(RouteNetlinkMessage::GetLink(link), 0)? {
            Some(RouteNetlinkMessage::NewLink(link)) => Ok(link),
            _ => Err(ErrorKind::NotFound.into()),
        }
    }

    pub(crate) fn index(&self, name: &str) -> io::Result<u32> {
        Ok(self.get(name)?.header.index)
    }

    pub(crate) fn mac(&self, name: &str) -> io::Result<[u8; 6]> {
        let link = self.get(name)?;
        let mac = link.attributes.into_iter().find_map(|a| match a {
            LinkAttribute::Address(a) => a.try_into().ok(),
            _ => None,
        });
        mac.ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "the interface has no Ethernet address"))
    }

    pub(crate) fn add_veth(&self, name: &str, peer_name: &str, peer: BorrowedFd<'_>) -> io::Result<()> {
        let mut other = LinkMessage::default();
        other.attributes =
            vec![LinkAttribute::IfName(peer_name.into()), LinkAttribute::NetNsFd(peer.as_raw_fd())];
        let mut link = LinkMessage::default();
        link.attributes = vec![
            LinkAttribute::IfName(name.into()),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::Kind(InfoKind::Veth),
                LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(other))),
            ]),
        ];
        self.request(RouteNetlinkMessage::NewLink(link), CREATE).map(drop)
    }

    pub(crate) fn delete(&self, name: &str) -> io::Result<()> {
        let mut link = LinkMessage::default();
        link.header.index = self.index(name)?;
        self.request(RouteNetlinkMessage::DelLink(link), 0).map(drop)
    }

    pub(crate) fn set(&self, name: &str, attribute: LinkAttribute) -> io::Result<()> {
        let mut link = LinkMessage::default();
        link.header.index = self.index(name)?;
        link.attributes.push(attribute);
        self.request(RouteNetlinkMessage::SetLink(link), 0).map(drop)
    }

    /// The address is usable at once: no duplicate address detection.
    pub(crate) fn add_address(&self, name: &str, addr: IpAddr, prefix_len: u8) -> io::Result<()> {
        let mut m = AddressMessage::default();
        m.header.family = family(addr);
        m.header.prefix_len = prefix_len;
        m.header.index = self.index(name)?;
        m.header.flags = AddressHeaderFlags::Nodad;
        m.attributes = vec![
            AddressAttribute::Local(addr),
            AddressAttribute::Address(addr),
            AddressAttribute::Flags(AddressFlags::Nodad),
        ];
        self.request(RouteNetlinkMessage::NewAddress(m), CREATE).map(drop)
    }

    pub(crate) fn add_route(&self, dst: IpAddr, prefix_len: u8, via: IpAddr) -> io::Result<()> {
        let mut m = RouteMessage::default();
        m.header.address_family = family(dst);
        m.header.destination_prefix_length = prefix_len;
        m.header.table = RouteHeader::RT_TABLE_MAIN;
        m.header.protocol = RouteProtocol::Static;
        m.header.scope = RouteScope::Universe;
        m.header.kind = RouteType::Unicast;
        if prefix_len > 0 {
            m.attributes.push(RouteAttribute::Destination(route_address(dst)));
        }
        m.attributes.push(RouteAttribute::Gateway(route_address(via)));
        self.request(RouteNetlinkMessage::NewRoute(m), CREATE).map(drop)
    }

    pub(crate) fn add_neighbour(&self, name: &str, addr: IpAddr, mac: [u8; 6]) -> io::Result<()> {
        let mut m = NeighbourMessage::default();
        m.header.family = family(addr);
        m.header.ifindex = self.index(name)?;
        m.header.state = NeighbourState::Permanent;
        m.attributes = vec![
            NeighbourAttribute::Destination(match addr {
                IpAddr::V4(a) => NeighbourAddress::Inet(a),
                IpAddr::V6(a) => NeighbourAddress::Inet6(a),
            }),
            NeighbourAttribute::LinkLayerAddress(mac.to_vec()),
        ];
        self.request(RouteNetlinkMessage::NewNeighbour(m), NLM_F_CREATE | NLM_F_REPLACE).map(drop)
    }
}

fn family(addr: IpAddr) -> AddressFamily {
    if addr.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

fn route_address(addr: IpAddr) -> RouteAddress {
    match addr {
        IpAddr::V4(a) => RouteAddress::Inet(a),
        IpAddr::V6(a) => RouteAddress::Inet6(a),
    }
}
