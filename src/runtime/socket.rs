//! The BSD calls with waiting: the layer that the types of `net` stand on.

use super::blocking::{Patience, READABLE};
use super::handle::Runtime;
use super::shared::Shared;
use crate::buf::Chunk;
use crate::errno::Errno;
use crate::socket::{Domain, MsgFlags, OptionName, Readiness, RecvMsg, Shutdown, SocketOption, Type};
use crate::{SocketId, Stack};
use core::net::SocketAddr;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// A socket of a [`Runtime`], with the calls of socket(7) under the names of the crate `socket2`.
///
/// Calls block unless [`set_nonblocking`](Self::set_nonblocking) says otherwise, as long as SO_RCVTIMEO
/// and SO_SNDTIMEO let them; when that time is over they fail with `EAGAIN`
/// ([`io::ErrorKind::WouldBlock`]), as in Linux. All may be used from several threads at once. Writing to
/// a connection that is shut is `EPIPE`, without a signal. Every call fails with `ENETDOWN` once the
/// runtime has stopped or all of its devices have failed.
///
/// A clone is what dup(2) gives: the same socket, with the same options and the same blocking mode. The
/// last one closes it when it is dropped; with SO_LINGER on, that waits.
#[derive(Clone)]
pub struct Socket {
    file: Arc<File>,
}

/// What descriptors share that dup(2) made from one: an "open file description".
struct File {
    shared: Arc<Shared>,
    id: SocketId,
    ty: Type,
    nonblocking: AtomicBool,
}

impl Drop for File {
    fn drop(&mut self) {
        // Nobody is left to tell.
        let _ = self.shared.close(self.id);
    }
}

impl Socket {
    /// socket(2). `protocol` 0 is the type's default.
    ///
    /// # Errors
    /// `EPROTONOSUPPORT`, `ESOCKTNOSUPPORT`, `EMFILE` (see `Limits::sockets`), `ENETDOWN`.
    pub fn new(runtime: &Runtime, domain: Domain, ty: Type, protocol: u8) -> io::Result<Self> {
        let shared = runtime.shared();
        let id = shared.call(|stack, _| stack.socket(domain, ty, protocol))??;
        Ok(Self::from_id(shared, id, ty))
    }

    fn from_id(shared: &Arc<Shared>, id: SocketId, ty: Type) -> Self {
        let file = File { shared: shared.clone(), id, ty, nonblocking: AtomicBool::new(false) };
        Self { file: Arc::new(file) }
    }

    /// The stack's name for it, for [`Runtime::with_stack`].
    pub fn id(&self) -> SocketId {
        self.file.id
    }

    /// Its type.
    pub fn ty(&self) -> Type {
        self.file.ty
    }

    fn call<T>(
        &self,
        f: impl FnOnce(&mut Stack, crate::Instant, SocketId) -> Result<T, Errno>,
    ) -> io::Result<T> {
        Ok(self.file.shared.call(|stack, now| f(stack, now, self.id()))??)
    }

    /// How long a call waits that would otherwise wait as `usual` says.
    fn patience(&self, usual: Patience, flags: MsgFlags) -> Patience {
        if self.nonblocking() || flags.contains(MsgFlags::DONTWAIT) { Patience::None } else { usual }
    }

    /// O_NONBLOCK as it is.
    pub fn nonblocking(&self) -> bool {
        self.file.nonblocking.load(Relaxed)
    }

    /// O_NONBLOCK: calls that would block fail with `EAGAIN` or `EINPROGRESS` instead. Concerns all
    /// clones; calls that already wait go on waiting.
    ///
    /// # Errors
    /// None today.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.file.nonblocking.store(nonblocking, Relaxed);
        Ok(())
    }

    /// bind(2). Port 0 picks a free one.
    ///
    /// # Errors
    /// `EADDRINUSE`, `EADDRNOTAVAIL`, `EINVAL` (bound already).
    pub fn bind(&self, addr: SocketAddr) -> io::Result<()> {
        self.call(|stack, now, id| stack.bind(now, id, addr))
    }

    /// listen(2). `Limits::somaxconn` caps the backlog.
    ///
    /// # Errors
    /// `EOPNOTSUPP`, `EINVAL` (connected), `EADDRINUSE`.
    pub fn listen(&self, backlog: i32) -> io::Result<()> {
        self.call(|stack, now, id| stack.listen(now, id, backlog))
    }

    /// accept(2): waits for a connection, as long as SO_RCVTIMEO says. The new socket blocks.
    ///
    /// # Errors
    /// `EAGAIN`, `EINVAL` (no listener), `ENETDOWN`.
    pub fn accept(&self) -> io::Result<(Self, SocketAddr)> {
        let patience = self.patience(Patience::Receive, MsgFlags::empty());
        let shared = &self.file.shared;
        let (id, peer) =
            shared.wait(self.id(), READABLE, patience, |stack, now| stack.accept(now, self.file.id))?;
        Ok((Self::from_id(shared, id, self.file.ty), peer))
    }

    /// connect(2): waits for the handshake, as long as SO_SNDTIMEO says.
    ///
    /// # Errors
    /// `ECONNREFUSED`, `ETIMEDOUT`, `EHOSTUNREACH`, `ENETUNREACH`, `EADDRNOTAVAIL`, `EISCONN`;
    /// `EINPROGRESS` if the socket does not block or SO_SNDTIMEO is over, and the attempt goes on.
    pub fn connect(&self, addr: SocketAddr) -> io::Result<()> {
        let patience = self.patience(Patience::Send, MsgFlags::empty());
        Ok(self.file.shared.connect(self.id(), addr, patience)?)
    }

    /// connect(2), waiting at most `timeout`, whether the socket blocks or not. The attempt goes on
    /// after that; drop the socket to end it.
    ///
    /// # Errors
    /// `InvalidInput` for a timeout of zero; `TimedOut`; else as [`connect`](Self::connect).
    pub fn connect_timeout(&self, addr: SocketAddr, timeout: Duration) -> io::Result<()> {
        if timeout.is_zero() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "cannot set a 0 duration timeout"));
        }
        let until = Patience::Until(Instant::now().checked_add(timeout));
        match self.file.shared.connect(self.id(), addr, until) {
            Err(Errno::EINPROGRESS) => Err(io::Error::new(io::ErrorKind::TimedOut, "connection timed out")),
            other => Ok(other?),
        }
    }

    /// send(2). On a stream it waits until all of `data` is in the send buffer, as long as SO_SNDTIMEO
    /// says, and returns a short count if the time is over or an error comes in the middle.
    ///
    /// # Errors
    /// `EAGAIN`, `EPIPE`, `ECONNRESET`, `ETIMEDOUT`, `ENOTCONN`, `EDESTADDRREQ`, `EMSGSIZE`, `ENETDOWN`.
    pub fn send_with_flags(&self, data: &[u8], flags: MsgFlags) -> io::Result<usize> {
        let patience = self.patience(Patience::Send, flags);
        let shared = &self.file.shared;
        Ok(match self.file.ty {
            Type::Stream => shared.send_stream(self.id(), &[data], flags, patience)?,
            Type::Dgram | Type::Raw => shared.wait(self.id(), Readiness::OUT, patience, |stack, now| {
                stack.send(now, self.file.id, data, flags)
            })?,
        })
    }

    /// [`send_with_flags`](Self::send_with_flags) without flags.
    ///
    /// # Errors
    /// As there.
    pub fn send(&self, data: &[u8]) -> io::Result<usize> {
        self.send_with_flags(data, MsgFlags::empty())
    }

    /// writev(2): the pieces one after the other; on a datagram socket they are one datagram.
    ///
    /// # Errors
    /// As [`send_with_flags`](Self::send_with_flags).
    pub fn send_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.file.ty != Type::Stream {
            let whole: std::vec::Vec<u8> = pieces.iter().flat_map(|p| p.iter().copied()).collect();
            return self.send(&whole);
        }
        let patience = self.patience(Patience::Send, MsgFlags::empty());
        // IoSlice is no AsRef<[u8]>; a write of many pieces is rare enough for a list of them.
        let pieces: std::vec::Vec<&[u8]> = pieces.iter().map(|p| &**p).collect();
        Ok(self.file.shared.send_stream(self.id(), &pieces, MsgFlags::empty(), patience)?)
    }

    /// Sends on a stream without copying: the send buffer shares `data`. Waits until it has taken all,
    /// as long as SO_SNDTIMEO says; what it took is cut off the front.
    ///
    /// # Errors
    /// As [`send_with_flags`](Self::send_with_flags); `EOPNOTSUPP` if this is no stream.
    pub fn send_bytes(&self, data: &mut bytes::Bytes) -> io::Result<usize> {
        let patience = self.patience(Patience::Send, MsgFlags::empty());
        Ok(self.file.shared.send_bytes(self.id(), data, patience)?)
    }

    /// sendto(2).
    ///
    /// # Errors
    /// `EMSGSIZE`, `EACCES` (broadcast not allowed), `ENETUNREACH`, `EAGAIN`, `EISCONN` on a connected
    /// stream, and a pending ICMP error.
    pub fn send_to_with_flags(&self, data: &[u8], addr: SocketAddr, flags: MsgFlags) -> io::Result<usize> {
        let patience = self.patience(Patience::Send, flags);
        Ok(self.file.shared.wait(self.id(), Readiness::OUT, patience, |stack, now| {
            stack.send_to(now, self.file.id, data, flags, addr)
        })?)
    }

    /// [`send_to_with_flags`](Self::send_to_with_flags) without flags.
    ///
    /// # Errors
    /// As there.
    pub fn send_to(&self, data: &[u8], addr: SocketAddr) -> io::Result<usize> {
        self.send_to_with_flags(data, addr, MsgFlags::empty())
    }

    /// recv(2): waits for data, as long as SO_RCVTIMEO says. 0 is the end of a stream. `PEEK`, `OOB`,
    /// `DONTWAIT` and `WAITALL` work as in Linux.
    ///
    /// # Errors
    /// `EAGAIN`, `ECONNRESET`, `ETIMEDOUT`, `ENOTCONN`, `ENETDOWN`.
    pub fn recv_with_flags(&self, buf: &mut [u8], flags: MsgFlags) -> io::Result<usize> {
        // Out-of-band data is there or not: recv(MSG_OOB) never waits (tcp(7)).
        let usual = if flags.contains(MsgFlags::OOB) { Patience::None } else { Patience::Receive };
        let patience = self.patience(usual, flags);
        let shared = &self.file.shared;
        Ok(match self.file.ty {
            Type::Stream => shared.recv_stream(self.id(), buf, flags, patience)?,
            Type::Dgram | Type::Raw => shared.wait(self.id(), READABLE, patience, |stack, now| {
                stack.recv(now, self.file.id, buf, flags)
            })?,
        })
    }

    /// [`recv_with_flags`](Self::recv_with_flags) without flags.
    ///
    /// # Errors
    /// As there.
    pub fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.recv_with_flags(buf, MsgFlags::empty())
    }

    /// [`recv_with_flags`](Self::recv_with_flags) that leaves the data where it is.
    ///
    /// # Errors
    /// As there.
    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.recv_with_flags(buf, MsgFlags::PEEK)
    }

    /// Receives from a stream without copying, at most `max` octets. Empty at its end.
    ///
    /// # Errors
    /// As [`recv_with_flags`](Self::recv_with_flags); `EOPNOTSUPP` if this is no stream.
    pub fn recv_chunk(&self, max: usize) -> io::Result<Chunk> {
        let patience = self.patience(Patience::Receive, MsgFlags::empty());
        Ok(self
            .file
            .shared
            .wait(self.id(), READABLE, patience, |stack, now| stack.recv_chunk(now, self.file.id, max))?)
    }

    /// recvmsg(2): data, sender, and whether the datagram was cut.
    ///
    /// # Errors
    /// As [`recv_with_flags`](Self::recv_with_flags).
    pub fn recv_msg(&self, buf: &mut [u8], flags: MsgFlags) -> io::Result<RecvMsg> {
        let patience = self.patience(Patience::Receive, flags);
        Ok(self.file.shared.wait(self.id(), READABLE, patience, |stack, now| {
            stack.recv_msg(now, self.file.id, buf, flags)
        })?)
    }

    /// recvfrom(2): octets received and the sender. What a buffer is too short for is lost.
    ///
    /// # Errors
    /// As [`recv_with_flags`](Self::recv_with_flags); `ENOTCONN` if the message names no sender.
    pub fn recv_from(&self, buf: &mut [u8], flags: MsgFlags) -> io::Result<(usize, SocketAddr)> {
        let msg = self.recv_msg(buf, flags)?;
        let from = msg.from.ok_or(Errno::ENOTCONN)?;
        Ok((msg.len, from))
    }

    /// shutdown(2).
    ///
    /// # Errors
    /// `ENOTCONN`.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.call(|stack, now, id| stack.shutdown(now, id, how))
    }

    /// getsockname(2).
    ///
    /// # Errors
    /// `ENETDOWN`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.call(|stack, _, id| stack.local_addr(id))
    }

    /// getpeername(2).
    ///
    /// # Errors
    /// `ENOTCONN`.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.call(|stack, _, id| stack.peer_addr(id))
    }

    /// SO_ERROR: the pending error, cleared by reading it.
    ///
    /// # Errors
    /// `ENETDOWN`.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(self.call(|stack, _, id| stack.take_error(id))?.map(io::Error::from))
    }

    /// setsockopt(2).
    ///
    /// # Errors
    /// `EINVAL`, `ENOPROTOOPT`, `EDOM`.
    pub fn set_option(&self, option: SocketOption) -> io::Result<()> {
        self.call(|stack, now, id| stack.set_option(now, id, option))
    }

    /// getsockopt(2): the [`SocketOption`] of the same name.
    ///
    /// # Errors
    /// `ENOPROTOOPT`.
    pub fn option(&self, name: OptionName) -> io::Result<SocketOption> {
        self.call(|stack, _, id| stack.option(id, name))
    }

    /// What it is ready for now.
    ///
    /// # Errors
    /// `ENETDOWN`.
    pub fn readiness(&self) -> io::Result<Readiness> {
        self.call(|stack, _, id| stack.readiness(id))
    }

    /// poll(2) on one socket: waits until it is ready for one of `mask` (or has an error, or is hung
    /// up) and says for which; at most `timeout`, for ever if `None`.
    ///
    /// # Errors
    /// `EAGAIN`: the time is over. `ENETDOWN`.
    pub fn wait_ready(&self, mask: Readiness, timeout: Option<Duration>) -> io::Result<Readiness> {
        let until = Patience::Until(timeout.and_then(|t| Instant::now().checked_add(t)));
        Ok(self.file.shared.wait_ready(self.id(), mask, until)?)
    }
}

impl core::fmt::Debug for Socket {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut d = f.debug_struct("Socket");
        d.field("id", &self.file.id).field("type", &self.file.ty);
        if let Ok(addr) = self.local_addr() {
            d.field("local", &addr);
        }
        if let Ok(peer) = self.peer_addr() {
            d.field("peer", &peer);
        }
        d.finish()
    }
}
