//! Readiness, pending errors, and the lines of `ss`.

use super::types::{Readiness, SocketSummary, Type};
use crate::SocketId;
use crate::errno::{Errno, Result};
use crate::ip::protocol;
use crate::stack::Stack;
use crate::stack::table::Kind;
use crate::tcp::{State, Tcb, TcpInfo};
use crate::time::Instant;
use alloc::vec::Vec;
use core::net::SocketAddr;

/// # Status
impl Stack {
    /// What poll(2) would say of a socket.
    ///
    /// # Errors
    /// `EBADF`.
    pub fn readiness(&self, id: SocketId) -> Result<Readiness> {
        let socket = self.sock(id)?;
        Ok(match &socket.kind {
            // Linux: a stream socket without a connection is hung up and writable.
            Kind::Fresh(_) => Readiness::OUT | Readiness::HUP,
            Kind::Listening(l) if l.queue.is_empty() => Readiness::empty(),
            Kind::Listening(_) => Readiness::IN,
            Kind::Connected(conn) => self.tcb(*conn).map_or(Readiness::HUP, Tcb::readiness),
            Kind::Udp => self.udp.get(id).ok_or(Errno::EBADF)?.readiness(),
            Kind::Raw => self.raw.get(id).ok_or(Errno::EBADF)?.readiness(),
        })
    }

    /// SO_ERROR: the pending error, cleared by reading it.
    ///
    /// # Errors
    /// `EBADF`.
    pub fn take_error(&mut self, id: SocketId) -> Result<Option<Errno>> {
        Ok(match self.sock(id)?.kind {
            Kind::Connected(conn) => {
                self.conns.get_mut(conn).and_then(|c| c.tcb.error.take().or_else(|| c.tcb.soft_error.take()))
            }
            Kind::Udp => self.udp.get_mut(id).and_then(crate::udp::UdpSocket::take_error),
            Kind::Raw => self.raw.get_mut(id).and_then(crate::raw::RawSocket::take_error),
            Kind::Fresh(_) | Kind::Listening(_) => None,
        })
    }

    /// sockatmark(3): does the reader stand at the urgent mark?
    ///
    /// # Errors
    /// `EBADF`, `ENOTTY` if the socket is no stream.
    pub fn at_mark(&self, id: SocketId) -> Result<bool> {
        match self.sock(id)?.kind {
            Kind::Connected(conn) => Ok(self.tcb(conn).is_some_and(Tcb::at_mark)),
            Kind::Fresh(_) | Kind::Listening(_) => Ok(false),
            Kind::Udp | Kind::Raw => Err(Errno::ENOTTY),
        }
    }

    /// The TCP state of a stream socket; `Listen` for a listener, `Closed` without a connection.
    ///
    /// # Errors
    /// `EBADF`, `EOPNOTSUPP` if the socket is no stream.
    pub fn tcp_state(&self, id: SocketId) -> Result<State> {
        match self.sock(id)?.kind {
            Kind::Connected(conn) => Ok(self.tcb(conn).map_or(State::Closed, |t| t.state)),
            Kind::Listening(_) => Ok(State::Listen),
            Kind::Fresh(_) => Ok(State::Closed),
            Kind::Udp | Kind::Raw => Err(Errno::EOPNOTSUPP),
        }
    }

    /// TCP_INFO: the state of the connection of a stream socket.
    ///
    /// # Errors
    /// `EBADF`, `EOPNOTSUPP` if the socket is no stream, `ENOTCONN` if it never was connected.
    pub fn tcp_info(&self, now: Instant, id: SocketId) -> Result<TcpInfo> {
        match self.sock(id)?.kind {
            Kind::Connected(conn) => {
                Ok(self.tcb(conn).ok_or(Errno::ENOTCONN)?.info(now, &self.around.config.profile))
            }
            Kind::Fresh(_) | Kind::Listening(_) => Err(Errno::ENOTCONN),
            Kind::Udp | Kind::Raw => Err(Errno::EOPNOTSUPP),
        }
    }

    /// Every socket, every connection that no socket holds, every half-open and TIME-WAIT record: the
    /// lines of `ss`.
    pub fn sockets(&self) -> Vec<SocketSummary> {
        let mut lines: Vec<_> = self.sockets.keys().filter_map(|id| self.summary(id)).collect();
        for c in self.conns.values().filter(|c| c.tcb.socket.is_none()) {
            lines.push(tcp_line(None, &c.tcb));
        }
        lines.extend(
            self.half_open
                .values()
                .map(|e| record_line(State::SynReceived, e.record.local(), e.record.remote())),
        );
        lines.extend(
            self.time_wait
                .values()
                .map(|e| record_line(State::TimeWait, e.record.local(), e.record.remote())),
        );
        lines
    }

    fn summary(&self, id: SocketId) -> Option<SocketSummary> {
        let socket = self.sockets.get(id)?;
        let mut line = SocketSummary {
            socket: Some(id),
            ty: socket.ty,
            protocol: socket.protocol,
            state: State::Closed,
            recv_queue: 0,
            send_queue: 0,
            local: self.local_addr(id).ok()?,
            remote: self.peer_addr(id).unwrap_or_else(|_| socket.unspecified()),
        };
        match &socket.kind {
            Kind::Connected(conn) => {
                let tcp = tcp_line(Some(id), self.tcb(*conn)?);
                line = SocketSummary { local: line.local, remote: socket.user_addr(tcp.remote), ..tcp };
            }
            Kind::Listening(l) => {
                line.state = State::Listen;
                line.recv_queue = l.queue.len();
                line.send_queue = l.backlog;
            }
            Kind::Udp => {
                let udp = self.udp.get(id)?;
                line.recv_queue = udp.memory();
                if udp.peer().is_some() {
                    line.state = State::Established;
                }
            }
            Kind::Raw => line.recv_queue = self.raw.get(id)?.memory(),
            Kind::Fresh(_) => {}
        }
        Some(line)
    }
}

fn tcp_line(socket: Option<SocketId>, t: &Tcb) -> SocketSummary {
    SocketSummary {
        socket,
        ty: Type::Stream,
        protocol: protocol::TCP,
        state: t.state,
        recv_queue: t.rcv.queue.len(),
        send_queue: t.snd.queue.len(),
        local: t.local,
        remote: t.remote,
    }
}

fn record_line(state: State, local: SocketAddr, remote: SocketAddr) -> SocketSummary {
    let (ty, protocol) = (Type::Stream, protocol::TCP);
    SocketSummary { socket: None, ty, protocol, state, recv_queue: 0, send_queue: 0, local, remote }
}
