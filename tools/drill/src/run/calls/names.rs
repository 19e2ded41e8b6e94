//! socket, bind, listen, connect, accept, getsockname, getpeername.

use super::super::world::{Descriptor, SocketFd, World, fault};
use super::args::{Args, address, is_any, same, same_address};
use super::{Done, Outcome, Progress};
use crate::script::{IpVersion, constants};
use std::net::SocketAddr;
use wirestack::Errno;
use wirestack::socket::{Domain, Type};
use wirestack::tcp::State;

const NONBLOCK: i64 = 0o4000;

pub(super) fn socket(world: &mut World, a: &Args<'_>) -> Done {
    let v6 = match a.get(0)? {
        e if is_any(e) => world.settings.ip_version != IpVersion::V4,
        _ => match a.int(0)? {
            2 => false,
            10 => true,
            _ => return Ok(Outcome::Error(Errno::EAFNOSUPPORT)),
        },
    };
    let flags = a.int(1)?;
    let ty = match flags & 0xf {
        1 => Type::Stream,
        2 => Type::Dgram,
        3 => Type::Raw,
        _ => return Ok(Outcome::Error(Errno::EINVAL)),
    };
    let protocol = a.int_or_zero(2)?;
    if constants::name_of("IPPROTO_", protocol) == Some("IPPROTO_MPTCP") {
        return fault(a.pos, "Multipath TCP is not supported");
    }
    let domain = if v6 { Domain::Inet6 } else { Domain::Inet };
    Ok(match world.host.stack.socket(domain, ty, protocol as u8) {
        Ok(id) => Outcome::New(Descriptor::Socket(SocketFd {
            id,
            ty,
            v6,
            nonblocking: flags & NONBLOCK != 0,
            flow: None,
        })),
        Err(e) => Outcome::Error(e),
    })
}

pub(super) fn bind(world: &mut World, a: &Args<'_>) -> Done {
    let default = SocketAddr::new(world.settings.local(), world.settings.bind_port);
    let addr = address(a.get(1)?, default, &world.settings)?;
    let Some(s) = a.socket(world)? else { return Ok(Outcome::Error(Errno::EBADF)) };
    let (id, ty) = (s.id, s.ty);
    let now = world.host.now();
    let result = world.host.stack.bind(now, id, addr);
    if result.is_ok() && ty == Type::Dgram {
        world.listening = Some(addr.port());
    }
    Ok(result.into())
}

pub(super) fn listen(world: &mut World, a: &Args<'_>) -> Done {
    let backlog = a.int(1)?;
    let Some(s) = a.socket(world)? else { return Ok(Outcome::Error(Errno::EBADF)) };
    let id = s.id;
    let now = world.host.now();
    let result = world.host.stack.listen(now, id, backlog as i32);
    if result.is_ok()
        && let Ok(addr) = world.host.stack.local_addr(id)
    {
        world.listening = Some(addr.port());
    }
    Ok(result.into())
}

pub(super) fn connect(world: &mut World, a: &Args<'_>, progress: &mut Progress) -> Done {
    let default = SocketAddr::new(world.settings.remote(), world.settings.connect_port);
    let addr = address(a.get(1)?, default, &world.settings)?;
    let Some(s) = a.socket(world)? else { return Ok(Outcome::Error(Errno::EBADF)) };
    let (id, nonblocking) = (s.id, s.nonblocking);
    let now = world.host.now();
    let stack = &mut world.host.stack;
    if progress.started {
        return Ok(match stack.tcp_state(id) {
            Ok(State::SynSent | State::SynReceived) => Outcome::Blocks,
            _ => match stack.take_error(id) {
                Ok(Some(e)) | Err(e) => Outcome::Error(e),
                Ok(None) => Outcome::Value(0),
            },
        });
    }
    let result = stack.connect(now, id, addr);
    let begun = matches!(result, Ok(()) | Err(Errno::EINPROGRESS));
    if begun && let (Ok(local), false) = (stack.local_addr(id), addr.ip().is_unspecified()) {
        let flow = world.open_flow(local, addr);
        if world.flows[flow].our_offset.is_some() {
            world.flows[flow].renew();
        }
        if let Some(s) = a.socket(world)? {
            s.flow = Some(flow);
        }
    }
    Ok(match result {
        Err(Errno::EINPROGRESS) if !nonblocking => Outcome::Blocks,
        other => other.into(),
    })
}

pub(super) fn accept(world: &mut World, a: &Args<'_>) -> Done {
    let Some(s) = a.socket(world)? else { return Ok(Outcome::Error(Errno::EBADF)) };
    let (listener, nonblocking, v6) = (s.id, s.nonblocking, s.v6);
    let flags = if a.name == "accept4" { a.int(3)? } else { 0 };
    let now = world.host.now();
    match world.host.stack.accept(now, listener) {
        Ok((id, peer)) => {
            if let Some(e) = a.list.get(1)
                && !is_any(e)
            {
                same_address(e, peer, &world.settings)?;
            }
            if let Some(e) = a.list.get(2)
                && !is_any(e)
            {
                same(e, "the length of the address", if v6 { 28 } else { 16 })?;
            }
            let local = world.host.stack.local_addr(id).unwrap_or(peer);
            let flow = world.open_flow(local, peer);
            Ok(Outcome::New(Descriptor::Socket(SocketFd {
                id,
                ty: Type::Stream,
                v6,
                nonblocking: flags & NONBLOCK != 0,
                flow: Some(flow),
            })))
        }
        Err(Errno::EAGAIN) if !nonblocking => Ok(Outcome::Blocks),
        Err(e) => Ok(Outcome::Error(e)),
    }
}

pub(super) fn name(world: &mut World, a: &Args<'_>, peer: bool) -> Done {
    let Some(s) = a.socket(world)? else { return Ok(Outcome::Error(Errno::EBADF)) };
    let id = s.id;
    let stack = &world.host.stack;
    match if peer { stack.peer_addr(id) } else { stack.local_addr(id) } {
        Ok(addr) => {
            same_address(a.get(1)?, addr, &world.settings)?;
            Ok(Outcome::Value(0))
        }
        Err(e) => Ok(Outcome::Error(e)),
    }
}
