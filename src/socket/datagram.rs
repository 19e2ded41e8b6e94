//! UDP and raw sockets: what leaves and what is read (udp(7), raw(7)).

use super::types::{MsgFlags, RecvMsg, Type};
use crate::SocketId;
use crate::endpoint::{Endpoint, LocalAddr};
use crate::errno::{Errno, Result};
use crate::ip::{Outgoing, protocol};
use crate::stack::Stack;
use crate::time::Instant;
use crate::udp;
use core::net::{IpAddr, SocketAddr};

fn copy_out(data: &[u8], buf: &mut [u8], from: SocketAddr) -> RecvMsg {
    let len = data.len().min(buf.len());
    buf[..len].copy_from_slice(&data[..len]);
    let flags = if len < data.len() { MsgFlags::TRUNC } else { MsgFlags::empty() };
    RecvMsg { len, full_len: data.len(), from: Some(from), flags }
}

impl Stack {
    pub(super) fn connect_udp(&mut self, id: SocketId, remote: SocketAddr) -> Result<()> {
        let socket = self.sock(id)?;
        let wildcard = LocalAddr::new(socket.unspecified().ip(), socket.v6only);
        let bound = socket.bound;
        let iface = socket.iface;
        if remote.ip().is_unspecified() {
            // AF_UNSPEC and 0.0.0.0 dissolve the association.
            self.udp.connect(id, bound.map_or(wildcard, |b| b.0), None);
            return Ok(());
        }
        let src = match bound {
            Some((LocalAddr::Exact(ip), _)) => Some(ip),
            _ => None,
        };
        let path = self.ip.path(src, remote.ip(), iface)?;
        self.autobind(id)?;
        self.udp.connect(id, LocalAddr::Exact(src.unwrap_or(path.src)), Some(Endpoint::from(remote)));
        Ok(())
    }

    pub(super) fn send_udp(
        &mut self,
        now: Instant,
        id: SocketId,
        data: &[u8],
        flags: MsgFlags,
        to: Option<SocketAddr>,
    ) -> Result<usize> {
        if flags.contains(MsgFlags::OOB) {
            return Err(Errno::EOPNOTSUPP);
        }
        let socket = self.sock(id)?;
        let iface = socket.iface;
        let to = to.map(|a| socket.core_addr(a)).transpose()?.map(Endpoint::from);
        let udp = self.udp.get_mut(id).ok_or(Errno::EBADF)?;
        let to = udp.destination(to, data.len())?;
        let options = udp.options;
        self.autobind(id)?;
        let udp = self.udp.get(id).ok_or(Errno::EBADF)?;
        let bound = match udp.local() {
            LocalAddr::Exact(ip) => Some(ip),
            _ => None,
        };
        let port = udp.port();
        if self.ip.is_broadcast(to.addr) && !options.broadcast {
            return Err(Errno::EACCES);
        }
        // A socket bound to a group or to a broadcast address sends from an address of the host.
        let src = bound.filter(|ip| self.ip.is_local(*ip));
        let path = self.ip.path(src, to.addr, iface.or(options.iface))?;
        let header = udp::header(port, to.port, to.addr, data.len())?;
        let mut env = self.around.env(now);
        let hop_limit = if to.addr.is_multicast() {
            options.multicast_hop_limit
        } else {
            options.hop_limit.unwrap_or(env.config.profile.hop_limit)
        };
        let packet = Outgoing {
            path: &path,
            src: src.unwrap_or(path.src),
            dst: to.addr,
            protocol: protocol::UDP,
            hop_limit,
            traffic_class: options.traffic_class,
            dont_fragment: options.dont_fragment,
            header: &header,
            payload: &[data],
            checksum_offset: Some(udp::CHECKSUM_OFFSET),
            gso_size: None,
        };
        self.ip.enqueue(&mut env, &packet)?;
        env.stats.count.udp_out += 1;
        Ok(data.len())
    }

    pub(super) fn recv_udp(&mut self, id: SocketId, buf: &mut [u8], flags: MsgFlags) -> Result<RecvMsg> {
        if flags.contains(MsgFlags::OOB) {
            return Err(Errno::EOPNOTSUPP);
        }
        let Self { udp, sockets, .. } = self;
        let socket = sockets.get(id).ok_or(Errno::EBADF)?;
        let udp = udp.get_mut(id).ok_or(Errno::EBADF)?;
        let owned;
        let message = if flags.contains(MsgFlags::PEEK) {
            udp.peek()?
        } else {
            owned = udp.recv()?;
            owned.as_ref()
        };
        Ok(match message {
            Some(m) => copy_out(&m.data, buf, socket.user_addr(m.from.into())),
            None => RecvMsg { len: 0, full_len: 0, from: None, flags: MsgFlags::empty() },
        })
    }

    pub(super) fn send_raw(
        &mut self,
        now: Instant,
        id: SocketId,
        data: &[u8],
        to: Option<SocketAddr>,
    ) -> Result<usize> {
        let socket = self.sock(id)?;
        let to = to.map(|a| socket.core_addr(a)).transpose()?.map(|a| a.ip());
        let raw = self.raw.get_mut(id).ok_or(Errno::EBADF)?;
        if let Some(e) = raw.take_error() {
            return Err(e);
        }
        let dst = to.or(raw.peer).ok_or(Errno::EDESTADDRREQ)?;
        let raw = self.raw.get(id).ok_or(Errno::EBADF)?;
        if self.ip.is_broadcast(dst) && !raw.broadcast {
            return Err(Errno::EACCES);
        }
        let path = self.ip.path(raw.local, dst, raw.iface)?;
        let mut env = self.around.env(now);
        env.stats.count.raw_out += 1;
        if raw.header_included && dst.is_ipv4() {
            self.ip.enqueue_raw(&mut env, &path, data)?;
            return Ok(data.len());
        }
        let packet = Outgoing {
            path: &path,
            src: raw.local.unwrap_or(path.src),
            dst,
            protocol: raw.protocol(),
            hop_limit: raw.hop_limit.unwrap_or(env.config.profile.hop_limit),
            traffic_class: raw.traffic_class,
            dont_fragment: false,
            header: data,
            payload: &[],
            checksum_offset: raw.checksum_offset,
            gso_size: None,
        };
        let needed = raw.checksum_offset.map_or(0, |o| usize::from(o) + 2);
        if data.len() < needed {
            return Err(Errno::EINVAL);
        }
        self.ip.enqueue(&mut env, &packet)?;
        Ok(data.len())
    }

    pub(super) fn recv_raw(&mut self, id: SocketId, buf: &mut [u8], flags: MsgFlags) -> Result<RecvMsg> {
        if flags.contains(MsgFlags::OOB) {
            return Err(Errno::EOPNOTSUPP);
        }
        let Self { raw, sockets, .. } = self;
        let socket = sockets.get(id).ok_or(Errno::EBADF)?;
        let raw = raw.get_mut(id).ok_or(Errno::EBADF)?;
        debug_assert_eq!(socket.ty, Type::Raw);
        let name = |ip: IpAddr| socket.user_addr(SocketAddr::new(ip, 0));
        if flags.contains(MsgFlags::PEEK) {
            let m = raw.peek()?;
            return Ok(copy_out(&m.data, buf, name(m.from)));
        }
        let m = raw.recv()?;
        Ok(copy_out(&m.data, buf, name(m.from)))
    }
}
