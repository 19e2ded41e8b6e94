//! The system calls of scripts. A call that would block says so and is made again when something
//! happened ([`Progress`] remembers how far it came).

mod args;
mod control;
mod ends;
mod names;
mod receive;
mod select;
mod send;
mod sockopt;

use super::world::{Descriptor, Fault, World, fault};
use crate::script::{Call, Pos};
use args::Args;
use wirestack::{Errno, Instant};

/// What a call came to.
#[derive(Debug)]
pub enum Outcome {
    /// It returned a number.
    Value(i64),
    /// It returned a new descriptor.
    New(Descriptor),
    /// It returned -1.
    Error(Errno),
    /// It sleeps.
    Blocks,
}

/// How far a call that blocks has come.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// It was made before.
    pub started: bool,
    /// Octets done.
    pub done: usize,
    /// When it gives up.
    pub deadline: Option<Instant>,
}

impl From<Result<(), Errno>> for Outcome {
    fn from(r: Result<(), Errno>) -> Self {
        r.map_or_else(Outcome::Error, |()| Outcome::Value(0))
    }
}

/// Shorthand for what every call returns.
type Done = Result<Outcome, Fault>;

/// Makes a call, or makes it once more.
///
/// # Errors
/// It is unknown here, its arguments are wrong, or what it gave back is not what the script says.
pub fn make(world: &mut World, call: &Call, pos: Pos, progress: &mut Progress) -> Done {
    let a = &Args { name: &call.name, list: &call.args, pos };
    let outcome = match call.name.as_str() {
        "socket" => names::socket(world, a),
        "bind" => names::bind(world, a),
        "listen" => names::listen(world, a),
        "connect" => names::connect(world, a, progress),
        "accept" | "accept4" => names::accept(world, a),
        "getsockname" => names::name(world, a, false),
        "getpeername" => names::name(world, a, true),
        "read" | "readv" | "recv" | "recvfrom" | "recvmsg" => receive::receive(world, a, progress),
        "write" | "writev" | "send" | "sendto" | "sendmsg" => send::send(world, a, progress),
        "fcntl" => control::fcntl(world, a),
        "ioctl" => control::ioctl(world, a),
        "close" => ends::close(world, a, progress),
        "shutdown" => ends::shutdown(world, a),
        "setsockopt" => sockopt::set(world, a),
        "getsockopt" => sockopt::get(world, a),
        "poll" => select::poll(world, a, progress),
        "epoll_create" | "epoll_create1" => Ok(Outcome::New(Descriptor::Epoll(Vec::new()))),
        "epoll_ctl" => select::epoll_ctl(world, a),
        "epoll_wait" => select::epoll_wait(world, a, progress),
        "usleep" | "nanosleep" => sleep(world, a, progress),
        other => fault(pos, format!("the system call {other} is not supported")),
    };
    progress.started = true;
    world.host.drain();
    world.deliver_edges();
    outcome
}

fn sleep(world: &World, a: &Args<'_>, progress: &mut Progress) -> Done {
    let micros = a.int(0)?;
    let until = *progress.deadline.get_or_insert(Host::instant(world.host.micros() + micros));
    Ok(if world.host.now() >= until { Outcome::Value(0) } else { Outcome::Blocks })
}

use super::host::Host;

/// The number that a result stands for.
pub(super) fn number(e: &crate::script::Expr) -> Result<i64, Fault> {
    args::int(e)
}
