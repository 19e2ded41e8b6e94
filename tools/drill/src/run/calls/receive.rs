//! read, readv, recv, recvfrom, recvmsg. What is read is compared with what the script's packets carried.

use super::super::flow::pattern;
use super::super::world::{Fault, World, fault};
use super::args::{Args, Buffer, field, int, is_any, same, same_address};
use super::{Done, Outcome, Progress};
use wirestack::socket::{MsgFlags, OptionName, Readiness, SocketOption, Type};
use wirestack::{Errno, Instant, SocketId};

/// Most that one call takes: more than any script moves.
const MOST: usize = 64 << 20;

/// A call taken apart.
struct Request {
    buffer: Buffer,
    flags: MsgFlags,
}

fn request(a: &Args<'_>) -> Result<Request, Fault> {
    let (buffer, flags) = match a.name {
        "readv" => (Buffer::vector(a.get(1)?)?, 0),
        "recvmsg" => {
            let msg = a.get(1)?;
            let Some(iov) = field(msg, "msg_iov") else {
                return fault(msg.pos, "expected {msg_iov(1) = [{..., 1000}], ...}");
            };
            (Buffer::vector(iov)?, a.int(2)?)
        }
        "read" => (Buffer::single(a.get(1)?, a.int(2)?.max(0) as usize)?, 0),
        _ => (Buffer::single(a.get(1)?, a.int(2)?.max(0) as usize)?, a.int(3)?),
    };
    Ok(Request { buffer, flags: MsgFlags::from_bits_truncate(flags as u32) })
}

pub(super) fn receive(world: &mut World, a: &Args<'_>, progress: &mut Progress) -> Done {
    let r = request(a)?;
    let Some(s) = a.socket(world)? else { return Ok(Outcome::Error(Errno::EBADF)) };
    let (id, ty) = (s.id, s.ty);
    let may_block = !s.nonblocking && !r.flags.contains(MsgFlags::DONTWAIT);
    let now = world.host.now();
    let all = may_block && r.flags.contains(MsgFlags::WAITALL) && ty == Type::Stream;
    // A call that may sleep waits for SO_RCVLOWAT octets.
    if may_block
        && ty == Type::Stream
        && !r.flags.intersects(MsgFlags::OOB | MsgFlags::PEEK)
        && r.buffer.len > 0
        && is_waiting(world, id)
        && !timed_out(world, id, now, progress)
    {
        return Ok(Outcome::Blocks);
    }
    let mut buf = vec![0; (r.buffer.len.min(MOST)).saturating_sub(progress.done)];
    match world.host.stack.recv_msg(now, id, &mut buf, r.flags - MsgFlags::DONTWAIT) {
        Ok(msg) => {
            let got = &buf[..msg.len];
            r.buffer.same(got, a.pos)?;
            check_content(world, a, got, r.flags)?;
            progress.done += msg.len;
            if all && msg.len > 0 && progress.done < r.buffer.len {
                return Ok(Outcome::Blocks);
            }
            compare_message(world, a, msg.from, msg.flags)?;
            let truncated = r.flags.contains(MsgFlags::TRUNC) && ty != Type::Stream;
            Ok(Outcome::Value(if truncated { msg.full_len } else { progress.done } as i64))
        }
        Err(_) if progress.done > 0 && !may_block => Ok(Outcome::Value(progress.done as i64)),
        Err(Errno::EAGAIN) if may_block && !r.flags.contains(MsgFlags::OOB) => {
            if timed_out(world, id, now, progress) {
                let done = progress.done as i64;
                return Ok(if done > 0 { Outcome::Value(done) } else { Outcome::Error(Errno::EAGAIN) });
            }
            Ok(Outcome::Blocks)
        }
        Err(e) => Ok(Outcome::Error(e)),
    }
}

/// Less is there than SO_RCVLOWAT, and more may come.
fn is_waiting(world: &World, id: SocketId) -> bool {
    let over = Readiness::IN | Readiness::HUP | Readiness::ERR | Readiness::RDHUP;
    let connected = world.host.stack.peer_addr(id).is_ok();
    connected && world.host.stack.readiness(id).is_ok_and(|r| !r.intersects(over))
}

fn timed_out(world: &World, id: SocketId, now: Instant, progress: &mut Progress) -> bool {
    if progress.deadline.is_none()
        && let Ok(SocketOption::RecvTimeout(Some(d))) = world.host.stack.option(id, OptionName::RecvTimeout)
    {
        progress.deadline = Some(now + d);
    }
    progress.deadline.is_some_and(|d| now >= d)
}

/// The octets of the stream must be the ones that the packets carried, in order.
fn check_content(world: &mut World, a: &Args<'_>, got: &[u8], flags: MsgFlags) -> Result<(), Fault> {
    let Some(s) = a.socket(world)? else { return Ok(()) };
    let (ty, id) = (s.ty, s.id);
    let Some(flow) = s.flow.and_then(|f| world.flows.get_mut(f)) else { return Ok(()) };
    if flags.contains(MsgFlags::OOB) || world.host.stack.at_mark(id).unwrap_or(false) {
        // Urgent data is taken out of the stream: from here on positions are not known.
        flow.read_astray = true;
    }
    if ty != Type::Stream || flow.read_astray {
        return Ok(());
    }
    for (i, octet) in got.iter().enumerate() {
        let at = flow.read + i as u64;
        if *octet != pattern(at) {
            return fault(a.pos, format!("octet {at} of the stream is not the one that was sent"));
        }
    }
    if !flags.contains(MsgFlags::PEEK) {
        flow.read += got.len() as u64;
    }
    Ok(())
}

fn compare_message(
    world: &World,
    a: &Args<'_>,
    from: Option<std::net::SocketAddr>,
    flags: MsgFlags,
) -> Result<(), Fault> {
    match a.name {
        "recvfrom" => {
            if let (Some(e), Some(from)) = (a.list.get(4), from)
                && !is_any(e)
            {
                same_address(e, from, &world.settings)?;
            }
        }
        "recvmsg" => {
            let msg = a.get(1)?;
            if let Some(e) = field(msg, "msg_flags") {
                // MSG_EOR is what a script writes for a stream's message that was not cut.
                let got = i64::from(flags.bits());
                if int(e)? != 0x80 || got != 0 {
                    same(e, "msg_flags", got)?;
                }
            }
            if let Some(e) = field(msg, "msg_control") {
                let empty = matches!(&e.kind, crate::script::ExprKind::List(l) if l.is_empty());
                if !empty && !is_any(e) {
                    return fault(e.pos, "control messages (msg_control) are not supported");
                }
            }
        }
        _ => {}
    }
    Ok(())
}
