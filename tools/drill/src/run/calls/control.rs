//! fcntl and ioctl.

use super::super::world::{World, fault};
use super::args::{Args, same};
use super::{Done, Outcome};
use crate::script::constants;
use wirestack::Errno;
use wirestack::socket::Type;

const NONBLOCK: i64 = 0o4000;
const RDWR: i64 = 2;

pub(super) fn fcntl(world: &mut World, a: &Args<'_>) -> Done {
    let command = a.int(1)?;
    let Some(s) = a.socket(world)? else { return Ok(Outcome::Error(Errno::EBADF)) };
    match command {
        1 | 2 => Ok(Outcome::Value(0)),
        3 => Ok(Outcome::Value(RDWR | if s.nonblocking { NONBLOCK } else { 0 })),
        4 => {
            s.nonblocking = a.int(2)? & NONBLOCK != 0;
            Ok(Outcome::Value(0))
        }
        _ => fault(a.get(1)?.pos, "this command of fcntl is not supported (F_GETFL, F_SETFL are)"),
    }
}

pub(super) fn ioctl(world: &mut World, a: &Args<'_>) -> Done {
    let request = a.int(1)?;
    let Some(s) = a.socket(world)? else { return Ok(Outcome::Error(Errno::EBADF)) };
    let (id, ty) = (s.id, s.ty);
    if request == 0x5421 {
        s.nonblocking = a.int(2)? != 0;
        return Ok(Outcome::Value(0));
    }
    let now = world.host.now();
    let stack = &world.host.stack;
    let line = stack.sockets().into_iter().find(|l| l.socket == Some(id));
    let line = line.as_ref();
    let value = match constants::name_of("SIOC", request) {
        Some("SIOCINQ") if ty == Type::Stream && line.is_some_and(|l| l.state.name() == "LISTEN") => {
            return Ok(Outcome::Error(Errno::EINVAL));
        }
        Some("SIOCINQ") => line.map_or(0, |l| l.recv_queue),
        Some("SIOCOUTQ") => line.map_or(0, |l| l.send_queue),
        Some("SIOCOUTQNSD") => stack.tcp_info(now, id).map_or(0, |i| i.notsent_bytes as usize),
        Some("SIOCATMARK") => match stack.at_mark(id) {
            Ok(at) => usize::from(at),
            Err(e) => return Ok(Outcome::Error(e)),
        },
        _ => {
            return fault(
                a.get(1)?.pos,
                "this request of ioctl is not supported (SIOCINQ, SIOCOUTQ, SIOCOUTQNSD, SIOCATMARK, FIONBIO are)",
            );
        }
    };
    if let Some(e) = a.list.get(2) {
        same(e, "the value", value as i64)?;
    }
    Ok(Outcome::Value(0))
}
