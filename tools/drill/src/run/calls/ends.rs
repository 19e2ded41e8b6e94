//! close and shutdown.

use super::super::world::{Descriptor, World};
use super::args::Args;
use super::{Done, Outcome, Progress};
use std::time::Duration;
use wirestack::Errno;
use wirestack::socket::{OptionName, Shutdown, SocketOption, Type};

pub(super) fn close(world: &mut World, a: &Args<'_>, progress: &mut Progress) -> Done {
    let fd = a.int(0)?;
    let now = world.host.now();
    match world.fds.get(&fd) {
        None => return Ok(Outcome::Error(Errno::EBADF)),
        Some(Descriptor::Epoll(_)) => {}
        Some(Descriptor::Socket(s)) => {
            let (id, nonblocking, ty) = (s.id, s.nonblocking, s.ty);
            let stack = &mut world.host.stack;
            let linger = match stack.option(id, OptionName::Linger) {
                Ok(SocketOption::Linger(Some(d))) => d,
                _ => Duration::ZERO,
            };
            // SO_LINGER with a time: the FIN goes out now, and close waits for what is unacknowledged.
            if !linger.is_zero() && !nonblocking && ty == Type::Stream {
                if !progress.started {
                    let _ = stack.shutdown(now, id, Shutdown::Write);
                    progress.deadline = Some(now + linger);
                }
                world.host.drain();
                let over = progress.deadline.is_some_and(|d| now >= d);
                if world.host.stack.lingers(id) && !over {
                    return Ok(Outcome::Blocks);
                }
            }
            if let Err(e) = world.host.stack.close(now, id) {
                return Ok(Outcome::Error(e));
            }
        }
    }
    world.fds.remove(&fd);
    for d in world.fds.values_mut() {
        if let Descriptor::Epoll(watches) = d {
            watches.retain(|w| w.fd != fd);
        }
    }
    Ok(Outcome::Value(0))
}

pub(super) fn shutdown(world: &mut World, a: &Args<'_>) -> Done {
    let how = match a.int(1)? {
        0 => Shutdown::Read,
        1 => Shutdown::Write,
        2 => Shutdown::Both,
        _ => return Ok(Outcome::Error(Errno::EINVAL)),
    };
    let Some(s) = a.socket(world)? else { return Ok(Outcome::Error(Errno::EBADF)) };
    let id = s.id;
    let now = world.host.now();
    Ok(world.host.stack.shutdown(now, id, how).into())
}
