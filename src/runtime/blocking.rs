//! Calls that wait. Each one asks the machine, and while the answer is `EAGAIN` sleeps until the socket
//! is ready for it or the time is over. There are no signals here, so no `EINTR`.

use super::shared::{Locked, Shared, now};
use super::waiters::{ALWAYS, sleeper};
use crate::errno::{Errno, Result};
use crate::socket::{MsgFlags, OptionName, Readiness, SocketOption};
use crate::tcp::State;
use crate::time::Instant;
use crate::{SocketId, Stack};
use core::net::SocketAddr;
use std::time::Duration;

/// What makes it worth asking again after `recv` or `accept` would have blocked.
pub(super) const READABLE: Readiness = Readiness::IN.union(Readiness::RDHUP);

/// How long a call waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// Not at all: O_NONBLOCK, or MSG_DONTWAIT.
    None,
    /// As SO_RCVTIMEO says.
    Receive,
    /// As SO_SNDTIMEO says.
    Send,
    /// Until then; `None` is for ever.
    Until(Option<std::time::Instant>),
}

impl Patience {
    /// The end of the wait that begins now. Asked only when the wait is certain, to spare the calls that
    /// succeed at once.
    fn deadline(self, stack: &Stack, socket: SocketId) -> Option<std::time::Instant> {
        let name = match self {
            Self::None => return Some(std::time::Instant::now()),
            Self::Until(end) => return end,
            Self::Receive => OptionName::RecvTimeout,
            Self::Send => OptionName::SendTimeout,
        };
        match stack.option(socket, name) {
            Ok(SocketOption::RecvTimeout(t) | SocketOption::SendTimeout(t)) => {
                t.and_then(|t| std::time::Instant::now().checked_add(t))
            }
            _ => None,
        }
    }
}

impl Shared {
    /// Repeats `op` until it gives something else than `EAGAIN`, sleeping in between until `socket` is
    /// ready for one of `mask`.
    ///
    /// # Errors
    /// `EAGAIN` when the time is over; `ENETDOWN` when the runtime stops or no device is left; and what
    /// `op` gives.
    pub(super) fn wait<T>(
        &self,
        socket: SocketId,
        mask: Readiness,
        patience: Patience,
        mut op: impl FnMut(&mut Stack, Instant) -> Result<T>,
    ) -> Result<T> {
        let mut locked = self.lock();
        locked.alive()?;
        let mut nap: Option<Option<std::time::Instant>> = None;
        let mut in_time = patience != Patience::None;
        loop {
            let time = now();
            let result = op(&mut locked.stack, time);
            locked.settle(time);
            let again = matches!(result, Err(Errno::EAGAIN));
            if !again || !in_time || locked.is_cut_off(socket) {
                if nap.is_some() {
                    // The wake-up was for one of perhaps many; if something is left, the next has it.
                    locked.wake(socket);
                }
                return if again && in_time { Err(Errno::ENETDOWN) } else { result };
            }
            let deadline = *nap.get_or_insert_with(|| patience.deadline(&locked.stack, socket));
            in_time = locked.nap(socket, mask, deadline);
            locked.alive()?;
        }
    }

    /// Waits until `socket` is ready for one of `mask`, or has an error or a hang-up to tell.
    pub(super) fn wait_ready(
        &self,
        socket: SocketId,
        mask: Readiness,
        patience: Patience,
    ) -> Result<Readiness> {
        self.wait(socket, mask, patience, |stack, _| {
            let ready = stack.readiness(socket)? & (mask | ALWAYS);
            if ready.is_empty() { Err(Errno::EAGAIN) } else { Ok(ready) }
        })
    }

    /// connect(2). In-progress attempts are taken up again, as Linux does.
    ///
    /// # Errors
    /// `EINPROGRESS` if it did not come to an end in time, and every outcome of a connection attempt.
    pub(super) fn connect(&self, socket: SocketId, addr: SocketAddr, patience: Patience) -> Result<()> {
        match self.call(|stack, now| stack.connect(now, socket, addr))? {
            Err(Errno::EINPROGRESS | Errno::EALREADY) if patience != Patience::None => {}
            other => return other,
        }
        let result = self.wait(socket, Readiness::OUT, patience, |stack, _| {
            if !stack.readiness(socket)?.intersects(Readiness::OUT | ALWAYS) {
                return Err(Errno::EAGAIN);
            }
            match stack.take_error(socket)? {
                Some(e) => Err(e),
                None => stack.peer_addr(socket).map(drop),
            }
        });
        if result == Err(Errno::EAGAIN) { Err(Errno::EINPROGRESS) } else { result }
    }

    /// send(2) on a stream: waits until all of `pieces` is in the send buffer. The count is short if
    /// the time is over or an error comes after a part of it; the error is then the next call's.
    pub(super) fn send_stream(
        &self,
        socket: SocketId,
        pieces: &[impl AsRef<[u8]>],
        flags: MsgFlags,
        patience: Patience,
    ) -> Result<usize> {
        let (mut piece, mut at, mut sent) = (0, 0, 0);
        let result = self.wait(socket, Readiness::OUT, patience, |stack, now| {
            if sent > 0 && stack.readiness(socket)?.contains(Readiness::ERR) {
                return Ok(());
            }
            loop {
                let rest = &pieces.get(piece).map_or(&[][..], AsRef::as_ref)[at..];
                if rest.is_empty() && piece + 1 < pieces.len() {
                    (piece, at) = (piece + 1, 0);
                    continue;
                }
                if rest.is_empty() && sent > 0 {
                    return Ok(());
                }
                let n = stack.send(now, socket, rest, flags)?;
                (at, sent) = (at + n, sent + n);
                if rest.is_empty() || n == 0 {
                    return Ok(());
                }
            }
        });
        if sent > 0 { Ok(sent) } else { result.map(|()| 0) }
    }

    /// Without a copy: waits until the send buffer has taken all of `data`.
    pub(super) fn send_bytes(
        &self,
        socket: SocketId,
        data: &mut bytes::Bytes,
        patience: Patience,
    ) -> Result<usize> {
        let mut sent = 0;
        let result = self.wait(socket, Readiness::OUT, patience, |stack, now| {
            if sent > 0 && stack.readiness(socket)?.contains(Readiness::ERR) {
                return Ok(());
            }
            sent += stack.send_bytes(now, socket, data)?;
            if data.is_empty() { Ok(()) } else { Err(Errno::EAGAIN) }
        });
        if sent > 0 { Ok(sent) } else { result.map(|()| 0) }
    }

    /// recv(2) on a stream; with `WAITALL` it waits for the whole buffer, or the end, or an error.
    pub(super) fn recv_stream(
        &self,
        socket: SocketId,
        buf: &mut [u8],
        flags: MsgFlags,
        patience: Patience,
    ) -> Result<usize> {
        if !flags.contains(MsgFlags::WAITALL) || flags.contains(MsgFlags::PEEK) {
            return self.wait(socket, READABLE, patience, |stack, now| stack.recv(now, socket, buf, flags));
        }
        let mut got = 0;
        let result = self.wait(socket, READABLE, patience, |stack, now| {
            while got < buf.len() {
                match stack.recv(now, socket, &mut buf[got..], flags)? {
                    0 => break,
                    n => got += n,
                }
            }
            Ok(())
        });
        if got > 0 { Ok(got) } else { result.map(|()| 0) }
    }

    /// close(2). With SO_LINGER on it waits until the peer has acknowledged everything, at most that long.
    pub(super) fn close(&self, socket: SocketId) -> Result<()> {
        let mut locked = self.lock();
        locked.alive()?;
        let time = now();
        let ends = match locked.stack.option(socket, OptionName::Linger) {
            Ok(SocketOption::Linger(Some(limit))) if limit > Duration::ZERO => {
                let peer =
                    locked.stack.peer_addr(socket).and_then(|p| Ok((locked.stack.local_addr(socket)?, p)));
                peer.ok().map(|ends| (ends, limit))
            }
            _ => None,
        };
        let result = locked.stack.close(time, socket);
        locked.settle(time);
        if let Some(((local, remote), limit)) = ends {
            self.linger(&mut locked, local, remote, limit);
        }
        result
    }

    fn linger(&self, locked: &mut Locked<'_>, local: SocketAddr, remote: SocketAddr, limit: Duration) {
        let deadline = std::time::Instant::now().checked_add(limit);
        locked.progress_waiters += 1;
        let mut in_time = true;
        while in_time
            && locked.alive().is_ok()
            && !locked.devices.all_failed()
            && locked.stack.sockets().iter().any(|s| {
                s.socket.is_none()
                    && (s.local, s.remote) == (local, remote)
                    && matches!(s.state, State::FinWait1 | State::Closing | State::LastAck)
            })
        {
            in_time = locked.sleep(&self.progress, deadline);
        }
        locked.progress_waiters -= 1;
    }
}

impl Locked<'_> {
    /// Sleeps until woken for `socket` (true) or until the time is over (false).
    fn nap(&mut self, socket: SocketId, mask: Readiness, deadline: Option<std::time::Instant>) -> bool {
        let me = sleeper();
        self.waiters.enter(socket, mask, &me);
        let mut in_time = true;
        while in_time && !self.waiters.is_woken(socket, &me) {
            in_time = self.sleep(&me, deadline);
        }
        self.waiters.leave(socket, &me);
        in_time
    }
}
