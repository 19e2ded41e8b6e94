//! shutdown(2) and close(2), with SO_LINGER.

use super::types::Shutdown;
use crate::errno::{Errno, Result};
use crate::stack::Stack;
use crate::stack::table::Kind;
use crate::tcp::State;
use crate::time::Instant;
use crate::{ConnId, SocketId};
use core::time::Duration;

/// # Endings
impl Stack {
    /// shutdown(2): ends one direction or both. The other end of a stream sees the end of the data
    /// after all of it.
    ///
    /// # Errors
    /// `ENOTCONN` if there is no connection.
    pub fn shutdown(&mut self, now: Instant, id: SocketId, how: Shutdown) -> Result<()> {
        let (read, write) = (how != Shutdown::Write, how != Shutdown::Read);
        match self.sock(id)?.kind {
            Kind::Connected(conn) => self.shutdown_stream(now, conn, read, write),
            Kind::Udp => {
                let result = self.udp.get_mut(id).ok_or(Errno::EBADF)?.shutdown(read, write);
                self.wake(id);
                result
            }
            // Linux: shutting down a listener for reading ends the listening.
            Kind::Listening(_) if read => {
                self.stop_listening(now, id);
                Ok(())
            }
            Kind::Listening(_) => Ok(()),
            Kind::Fresh(_) | Kind::Raw => Err(Errno::ENOTCONN),
        }
    }

    fn shutdown_stream(&mut self, now: Instant, conn: ConnId, read: bool, write: bool) -> Result<()> {
        let c = self.conns.get_mut(conn).ok_or(Errno::ENOTCONN)?;
        if c.tcb.state == State::Closed {
            return Err(Errno::ENOTCONN);
        }
        let mut env = self.around.env(now);
        if read {
            c.tcb.rcv.shut = true;
            c.tcb.signals |= crate::tcp::Signals::READABLE;
        }
        if write {
            c.tcb.shutdown_write(&mut env);
        }
        self.settle(now, conn);
        Ok(())
    }

    fn stop_listening(&mut self, now: Instant, id: SocketId) {
        if !matches!(self.sock(id), Ok(s) if matches!(s.kind, Kind::Listening(_))) {
            return;
        }
        self.tell_listener(now, id, State::Listen, State::Closed);
        let Ok(socket) = self.sock_mut(id) else { return };
        let Kind::Listening(l) = &mut socket.kind else { return };
        let (settings, queue) = (l.settings.clone(), core::mem::take(&mut l.queue));
        let bound = socket.bound;
        socket.kind = Kind::Fresh(settings);
        if let Some((_, port)) = bound {
            self.demux.listen_remove(port, id);
            self.ports.unlisten(port, id);
        }
        self.close_listener(now, id, queue);
        self.wake(id);
    }

    /// close(2). Data that was sent is still delivered, unless SO_LINGER with time 0 or unread data
    /// asks for a RST. With SO_LINGER and a time, the caller waits until [`Self::lingers`] is false or
    /// the time is over, and closes then.
    ///
    /// # Errors
    /// `EBADF`.
    pub fn close(&mut self, now: Instant, id: SocketId) -> Result<()> {
        self.stop_listening(now, id);
        let socket = self.sockets.remove(id).ok_or(Errno::EBADF)?;
        if let Some((_, port)) = socket.bound {
            self.ports.release(socket.protocol, port, id);
        }
        match socket.kind {
            Kind::Connected(conn) => self.close_stream(now, conn, socket.linger == Some(Duration::ZERO)),
            Kind::Udp => {
                self.udp.remove(id);
            }
            Kind::Raw => {
                self.raw.remove(id);
            }
            Kind::Fresh(_) | Kind::Listening(_) => {}
        }
        Ok(())
    }

    fn close_stream(&mut self, now: Instant, conn: ConnId, linger_zero: bool) {
        self.count_orphan(now, conn);
        let Some(c) = self.conns.get_mut(conn) else { return };
        c.tcb.close(&mut self.around.env(now), linger_zero);
        self.settle(now, conn);
    }

    /// Is there sent data, or a FIN, that the peer has not acknowledged? What close(2) with SO_LINGER
    /// waits for.
    pub fn lingers(&self, id: SocketId) -> bool {
        let Ok(Some(conn)) = self.conn_of(id) else { return false };
        self.tcb(conn).is_some_and(|t| {
            !t.snd.queue.is_empty() || matches!(t.state, State::FinWait1 | State::Closing | State::LastAck)
        })
    }
}
