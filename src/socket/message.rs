//! send(2) and recv(2) on streams, and the dispatch to datagram sockets.

use super::types::{MsgFlags, RecvMsg};
use crate::SocketId;
use crate::buf::Chunk;
use crate::errno::{Errno, Result};
use crate::stack::Stack;
use crate::stack::table::Kind;
use crate::time::Instant;
use core::net::SocketAddr;

/// # Sending and receiving
impl Stack {
    /// send(2). On a stream it returns how many octets were buffered, possibly fewer than given.
    ///
    /// # Errors
    /// `EAGAIN` if the buffer is full, `EPIPE` after a shutdown, `ENOTCONN` or `EDESTADDRREQ` without a
    /// peer, `EMSGSIZE` for a datagram that is too long, or the pending error of the socket.
    pub fn send(&mut self, now: Instant, id: SocketId, data: &[u8], flags: MsgFlags) -> Result<usize> {
        match self.sock(id)?.kind {
            Kind::Connected(conn) => {
                let c = self.conns.get_mut(conn).ok_or(Errno::EPIPE)?;
                let sent = c.tcb.send(&mut self.around.blocks, data, flags);
                self.make_ready(conn);
                sent
            }
            Kind::Fresh(_) | Kind::Listening(_) => Err(Errno::EPIPE),
            Kind::Udp => self.send_udp(now, id, data, flags, None),
            Kind::Raw => self.send_raw(now, id, data, None),
        }
    }

    /// sendto(2). On a stream the address is ignored, as in Linux.
    ///
    /// # Errors
    /// As [`Self::send`]; `EACCES` for a broadcast address without SO_BROADCAST.
    pub fn send_to(
        &mut self,
        now: Instant,
        id: SocketId,
        data: &[u8],
        flags: MsgFlags,
        to: SocketAddr,
    ) -> Result<usize> {
        match self.sock(id)?.kind {
            Kind::Udp => self.send_udp(now, id, data, flags, Some(to)),
            Kind::Raw => self.send_raw(now, id, data, Some(to)),
            _ => self.send(now, id, data, flags),
        }
    }

    /// Sends octets of a stream without copying them: takes from the front of `data` what there is
    /// room for and leaves the rest. Returns how many.
    ///
    /// # Errors
    /// As [`Self::send`]; `EOPNOTSUPP` for other sockets.
    pub fn send_bytes(&mut self, now: Instant, id: SocketId, data: &mut bytes::Bytes) -> Result<usize> {
        let _ = now;
        match self.sock(id)?.kind {
            Kind::Connected(conn) => {
                let c = self.conns.get_mut(conn).ok_or(Errno::EPIPE)?;
                let sent = c.tcb.send_bytes(data);
                self.make_ready(conn);
                sent
            }
            Kind::Fresh(_) | Kind::Listening(_) => Err(Errno::EPIPE),
            Kind::Udp | Kind::Raw => Err(Errno::EOPNOTSUPP),
        }
    }

    /// recv(2): 0 at the end of a stream.
    ///
    /// # Errors
    /// `EAGAIN` if nothing is there, `ENOTCONN` without a connection, `EINVAL` for MSG_OOB without
    /// urgent data, or the pending error of the socket.
    pub fn recv(&mut self, now: Instant, id: SocketId, buf: &mut [u8], flags: MsgFlags) -> Result<usize> {
        match self.sock(id)?.kind {
            Kind::Connected(conn) => self.recv_stream(now, conn, buf, flags),
            _ => {
                let msg = self.recv_msg(now, id, buf, flags)?;
                Ok(if flags.contains(MsgFlags::TRUNC) { msg.full_len } else { msg.len })
            }
        }
    }

    /// recvmsg(2) without ancillary data.
    ///
    /// # Errors
    /// As [`Self::recv`].
    pub fn recv_msg(
        &mut self,
        now: Instant,
        id: SocketId,
        buf: &mut [u8],
        flags: MsgFlags,
    ) -> Result<RecvMsg> {
        match self.sock(id)?.kind {
            Kind::Connected(conn) => {
                let len = self.recv_stream(now, conn, buf, flags)?;
                Ok(RecvMsg { len, full_len: len, from: None, flags: flags & MsgFlags::OOB })
            }
            Kind::Fresh(_) | Kind::Listening(_) => Err(Errno::ENOTCONN),
            Kind::Udp => self.recv_udp(id, buf, flags),
            Kind::Raw => self.recv_raw(id, buf, flags),
        }
    }

    fn recv_stream(
        &mut self,
        now: Instant,
        conn: crate::ConnId,
        buf: &mut [u8],
        flags: MsgFlags,
    ) -> Result<usize> {
        let c = self.conns.get_mut(conn).ok_or(Errno::ENOTCONN)?;
        let got = c.tcb.recv(&mut self.around.env(now), buf, flags);
        self.after_recv(conn);
        got
    }

    /// Takes up to `max` octets of a stream without copying them, as far as they lie in one buffer; an
    /// empty chunk at the end of the stream.
    ///
    /// # Errors
    /// As [`Self::recv`]; `EOPNOTSUPP` for other sockets.
    pub fn recv_chunk(&mut self, now: Instant, id: SocketId, max: usize) -> Result<Chunk> {
        match self.sock(id)?.kind {
            Kind::Connected(conn) => {
                let c = self.conns.get_mut(conn).ok_or(Errno::ENOTCONN)?;
                let got = c.tcb.recv_chunk(&mut self.around.env(now), max);
                self.after_recv(conn);
                got
            }
            Kind::Fresh(_) | Kind::Listening(_) => Err(Errno::ENOTCONN),
            Kind::Udp | Kind::Raw => Err(Errno::EOPNOTSUPP),
        }
    }

    /// Reading may have opened the window far enough for an ACK.
    fn after_recv(&mut self, conn: crate::ConnId) {
        if self.tcb(conn).is_some_and(|t| t.rcv.ack.due > 0) {
            self.make_ready(conn);
        }
    }
}
