//! write, writev, send, sendto, sendmsg. What was written is kept, and compared with what leaves.

use super::super::world::{Fault, World, fault};
use super::args::{Args, Buffer, address, field, is_any};
use super::{Done, Outcome, Progress};
use std::net::SocketAddr;
use wirestack::Errno;
use wirestack::socket::{MsgFlags, OptionName, SocketOption, Type};

const FASTOPEN: i64 = 0x2000_0000;
const ZEROCOPY: i64 = 0x0400_0000;

/// A call taken apart.
struct Request {
    buffer: Buffer,
    flags: MsgFlags,
    to: Option<SocketAddr>,
}

fn request(world: &World, a: &Args<'_>) -> Result<Request, Fault> {
    let peer = SocketAddr::new(world.settings.remote(), world.settings.connect_port);
    let mut to = None;
    let (buffer, flags) = match a.name {
        "write" => (Buffer::single(a.get(1)?, a.int(2)?.max(0) as usize)?, 0),
        "writev" => (Buffer::vector(a.get(1)?)?, 0),
        "sendmsg" => {
            let msg = a.get(1)?;
            let Some(iov) = field(msg, "msg_iov") else {
                return fault(msg.pos, "expected {msg_iov(1) = [{..., 1000}], ...}");
            };
            if let Some(c) = field(msg, "msg_control")
                && !is_any(c)
                && !matches!(&c.kind, crate::script::ExprKind::List(l) if l.is_empty())
            {
                return fault(c.pos, "control messages (msg_control) are not supported");
            }
            if let Some(name) = field(msg, "msg_name") {
                to = Some(address(name, peer, &world.settings)?);
            }
            (Buffer::vector(iov)?, a.int(2)?)
        }
        "sendto" => {
            let target = a.get(4)?;
            if a.int(5).ok() != Some(0) {
                to = Some(address(target, peer, &world.settings)?);
            }
            (Buffer::single(a.get(1)?, a.int(2)?.max(0) as usize)?, a.int(3)?)
        }
        _ => (Buffer::single(a.get(1)?, a.int(2)?.max(0) as usize)?, a.int_or_zero(3)?),
    };
    if flags & FASTOPEN != 0 {
        return fault(a.pos, "MSG_FASTOPEN is not supported");
    }
    if flags & ZEROCOPY != 0 {
        return fault(a.pos, "MSG_ZEROCOPY is not supported");
    }
    Ok(Request { buffer, flags: MsgFlags::from_bits_truncate(flags as u32), to })
}

pub(super) fn send(world: &mut World, a: &Args<'_>, progress: &mut Progress) -> Done {
    let r = request(world, a)?;
    let Some(s) = a.socket(world)? else { return Ok(Outcome::Error(Errno::EBADF)) };
    let (id, ty, flow) = (s.id, s.ty, s.flow);
    let may_block = !s.nonblocking && !r.flags.contains(MsgFlags::DONTWAIT);
    let data = r.buffer.content();
    let now = world.host.now();
    if ty != Type::Stream {
        let stack = &mut world.host.stack;
        let sent = match r.to {
            Some(to) => stack.send_to(now, id, &data, r.flags, to),
            None => stack.send(now, id, &data, r.flags),
        };
        if sent.is_ok() {
            remember_datagram(world, a, r.to)?;
        }
        return Ok(sent.map_or_else(Outcome::Error, |n| Outcome::Value(n as i64)));
    }
    loop {
        let rest = &data[progress.done.min(data.len())..];
        match world.host.stack.send(now, id, rest, r.flags) {
            Ok(n) => {
                if let Some(f) = flow.and_then(|f| world.flows.get_mut(f)) {
                    f.written.extend(&rest[..n.min(rest.len())]);
                }
                progress.done += n;
                if progress.done >= data.len() {
                    return Ok(Outcome::Value(progress.done as i64));
                }
                // What was taken may leave at once and make room.
                world.host.drain();
            }
            Err(Errno::EAGAIN) if may_block && !timed_out(world, id, progress) => {
                return Ok(Outcome::Blocks);
            }
            Err(_) if progress.done > 0 => return Ok(Outcome::Value(progress.done as i64)),
            Err(e) => return Ok(Outcome::Error(e)),
        }
    }
}

fn timed_out(world: &World, id: wirestack::SocketId, progress: &mut Progress) -> bool {
    let now = world.host.now();
    if progress.deadline.is_none()
        && let Ok(SocketOption::SendTimeout(Some(d))) = world.host.stack.option(id, OptionName::SendTimeout)
    {
        progress.deadline = Some(now + d);
    }
    progress.deadline.is_some_and(|d| now >= d)
}

/// Datagrams belong to a flow from the first one on.
fn remember_datagram(world: &mut World, a: &Args<'_>, to: Option<SocketAddr>) -> Result<(), Fault> {
    let Some(s) = a.socket(world)? else { return Ok(()) };
    let id = s.id;
    let stack = &world.host.stack;
    let (Ok(local), Some(remote)) = (stack.local_addr(id), to.or(stack.peer_addr(id).ok())) else {
        return Ok(());
    };
    let local = if local.ip().is_unspecified() {
        SocketAddr::new(world.settings.local(), local.port())
    } else {
        local
    };
    world.open_flow(local, remote);
    Ok(())
}
