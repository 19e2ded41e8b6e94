//! socket(2), bind(2), connect(2), listen(2), accept(2), getsockname(2), getpeername(2).

use super::types::{Domain, Type, unspecified};
use crate::endpoint::{Endpoint, LocalAddr, Tuple};
use crate::errno::{Errno, Result};
use crate::event::{Event, TcpEvent, TcpHappening};
use crate::ip::{Path, protocol};
use crate::raw::RawSocket;
use crate::stack::demux::Flow;
use crate::stack::table::{Kind, Listener, Socket};
use crate::stack::{Conn, Stack};
use crate::tcp::{Opening, Settings, State, Tcb};
use crate::time::Instant;
use crate::udp::UdpSocket;
use crate::{SocketId, tcp};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::net::{IpAddr, SocketAddr};

/// # Names
impl Stack {
    /// socket(2). Protocol 0 is the default of the type.
    ///
    /// # Errors
    /// `EPROTONOSUPPORT` for a protocol that the type does not have, `EMFILE` at the bound of
    /// [`Limits::sockets`](crate::Limits).
    pub fn socket(&mut self, domain: Domain, ty: Type, protocol: u8) -> Result<SocketId> {
        if self.sockets.len() >= self.around.config.limits.sockets {
            return Err(Errno::EMFILE);
        }
        let (kind, protocol) = match (ty, protocol) {
            (Type::Stream, 0 | protocol::TCP) => {
                (Kind::Fresh(Box::new(Settings::new(&self.around.config.profile))), protocol::TCP)
            }
            (Type::Dgram, 0 | protocol::UDP) => (Kind::Udp, protocol::UDP),
            (Type::Raw, p) if p > 0 => (Kind::Raw, p),
            _ => return Err(Errno::EPROTONOSUPPORT),
        };
        let id = self.sockets.insert(Socket {
            domain,
            ty,
            protocol,
            announced: false,
            reuse_addr: false,
            reuse_port: false,
            v6only: false,
            iface: None,
            linger: None,
            connecting: false,
            recv_timeout: None,
            send_timeout: None,
            bound: None,
            kind,
        });
        match ty {
            Type::Dgram => self.udp.insert(id, UdpSocket::new(domain, crate::udp::Options::default())),
            Type::Raw => self.raw.insert(id, RawSocket::new(domain, protocol, 212_992)?),
            Type::Stream => {}
        }
        Ok(id)
    }

    /// bind(2). Port 0 takes a free one.
    ///
    /// # Errors
    /// `EADDRINUSE`, `EADDRNOTAVAIL` for an address that is not ours, `EINVAL` if the socket is bound.
    pub fn bind(&mut self, now: Instant, id: SocketId, addr: SocketAddr) -> Result<()> {
        let _ = now;
        let socket = self.sock(id)?;
        if socket.bound.is_some() || matches!(socket.kind, Kind::Listening(_) | Kind::Connected(_)) {
            return Err(Errno::EINVAL);
        }
        // The wildcard of a dual-stack socket is both families', a mapped address is IPv4's.
        let core = socket.core_addr(addr)?;
        let ip = core.ip();
        let is_name = !ip.is_unspecified();
        let usable = self.ip.is_local(ip)
            || (socket.ty != Type::Stream && (ip.is_multicast() || self.ip.is_broadcast(ip)));
        if is_name && !usable {
            return Err(Errno::EADDRNOTAVAIL);
        }
        if let Kind::Raw = socket.kind {
            let raw = self.raw.get_mut(id).ok_or(Errno::EBADF)?;
            raw.local = is_name.then_some(ip);
            return Ok(());
        }
        let given = if addr.ip().is_unspecified() { addr.ip() } else { ip };
        let local = LocalAddr::new(given, socket.v6only);
        self.take_port(id, local, core.port())
    }

    fn take_port(&mut self, id: SocketId, local: LocalAddr, port: u16) -> Result<()> {
        let socket = self.sockets.get_mut(id).ok_or(Errno::EBADF)?;
        let share = socket.share(local);
        let port = self.ports.bind(&mut self.around.rng, socket.protocol, port, id, share)?;
        socket.bound = Some((local, port));
        if let Kind::Udp = socket.kind {
            self.udp.bind(id, local, port);
        }
        Ok(())
    }

    /// An unbound socket gets a free port on every address of its family.
    pub(super) fn autobind(&mut self, id: SocketId) -> Result<()> {
        let socket = self.sock(id)?;
        if socket.bound.is_some() {
            return Ok(());
        }
        let local = LocalAddr::new(socket.unspecified().ip(), socket.v6only);
        self.take_port(id, local, 0).map_err(|_| Errno::EAGAIN)
    }

    /// listen(2). One connection more than `backlog` may wait to be accepted, as in Linux. Calling it
    /// again changes the backlog.
    ///
    /// # Errors
    /// `EOPNOTSUPP` for a datagram socket, `EINVAL` for a connected one, `EADDRINUSE`.
    pub fn listen(&mut self, now: Instant, id: SocketId, backlog: i32) -> Result<()> {
        let most = self.around.config.limits.somaxconn;
        let backlog = usize::try_from(backlog).unwrap_or(most).min(most);
        let socket = self.sock_mut(id)?;
        match &mut socket.kind {
            Kind::Listening(l) => {
                l.backlog = backlog;
                return Ok(());
            }
            Kind::Fresh(_) => {}
            Kind::Connected(conn) => {
                let conn = *conn;
                return self.listen_again(now, id, conn, backlog);
            }
            Kind::Udp | Kind::Raw => return Err(Errno::EOPNOTSUPP),
        }
        self.start_listening(now, id, backlog)
    }

    /// A socket whose connection is over may listen.
    fn listen_again(
        &mut self,
        now: Instant,
        id: SocketId,
        conn: crate::ConnId,
        backlog: usize,
    ) -> Result<()> {
        self.recycle(id, conn).map_err(|_| Errno::EINVAL)?;
        self.start_listening(now, id, backlog)
    }

    fn start_listening(&mut self, now: Instant, id: SocketId, backlog: usize) -> Result<()> {
        self.autobind(id).map_err(|_| Errno::EADDRINUSE)?;
        let Some((local, port)) = self.sock(id)?.bound else { return Err(Errno::EADDRINUSE) };
        self.ports.listen(port, id)?;
        let socket = self.sockets.get_mut(id).ok_or(Errno::EBADF)?;
        let Kind::Fresh(settings) = &socket.kind else { return Err(Errno::EINVAL) };
        socket.kind = Kind::Listening(Box::new(Listener {
            settings: settings.clone(),
            reuse_addr: socket.reuse_addr,
            reuse_port: socket.reuse_port,
            backlog,
            half_open: 0,
            cookie_at: None,
            queue: VecDeque::new(),
        }));
        self.demux.listen_insert(local, port, socket.iface, id);
        self.tell_listener(now, id, State::Closed, State::Listen);
        Ok(())
    }

    /// Tells that a listener came or went. It has no connection and no peer.
    pub(super) fn tell_listener(&mut self, now: Instant, id: SocketId, from: State, to: State) {
        let (Ok(local), Ok(socket)) = (self.local_addr(id), self.sock(id)) else { return };
        let (conn, remote) = (crate::ConnId::default(), unspecified(socket.domain));
        let what = TcpHappening::State { from, to };
        self.around.events.push(Event::Tcp(TcpEvent { at: now, conn, local, remote, what }));
    }

    /// accept(2): the oldest connection that waits, as a socket with the listener's options.
    ///
    /// # Errors
    /// `EAGAIN` if none waits, `EINVAL` if the socket does not listen, `EOPNOTSUPP` for a datagram
    /// socket, `EMFILE` at the bound of sockets.
    pub fn accept(&mut self, now: Instant, id: SocketId) -> Result<(SocketId, SocketAddr)> {
        let full = self.sockets.len() >= self.around.config.limits.sockets;
        let socket = self.sock_mut(id)?;
        let (domain, v6only, iface) = (socket.domain, socket.v6only, socket.iface);
        let (linger, recv_timeout, send_timeout) = (socket.linger, socket.recv_timeout, socket.send_timeout);
        let listener = match &mut socket.kind {
            Kind::Listening(l) => l,
            Kind::Udp | Kind::Raw => return Err(Errno::EOPNOTSUPP),
            _ => return Err(Errno::EINVAL),
        };
        if listener.queue.is_empty() {
            return Err(Errno::EAGAIN);
        }
        if full {
            return Err(Errno::EMFILE);
        }
        let (reuse_addr, reuse_port) = (listener.reuse_addr, listener.reuse_port);
        let conn = listener.queue.pop_front().ok_or(Errno::EAGAIN)?;
        let new = self.sockets.insert(Socket {
            domain,
            ty: Type::Stream,
            protocol: protocol::TCP,
            announced: false,
            reuse_addr,
            reuse_port,
            v6only,
            iface,
            linger,
            connecting: false,
            recv_timeout,
            send_timeout,
            bound: None,
            kind: Kind::Connected(conn),
        });
        let c = self.conns.get_mut(conn).ok_or(Errno::ECONNABORTED)?;
        c.listener = None;
        c.tcb.socket = Some(new);
        let remote = c.tcb.remote;
        self.wake(new);
        self.settle(now, conn);
        Ok((new, self.sock(new)?.user_addr(remote)))
    }

    /// connect(2). A stream socket starts the handshake: writable when done, the result by
    /// [`Self::take_error`]. A datagram socket remembers its peer.
    ///
    /// # Errors
    /// `EINPROGRESS` for a stream socket: the normal case. `EALREADY` while that goes on, `EISCONN`
    /// when it is done. `ENETUNREACH` without a route, `EADDRNOTAVAIL` without a free port or when the
    /// pair of addresses is in use.
    pub fn connect(&mut self, now: Instant, id: SocketId, addr: SocketAddr) -> Result<()> {
        let socket = self.sock(id)?;
        let remote = socket.core_addr(addr)?;
        if self.connect_succeeded(id) {
            return Ok(());
        }
        match self.sock(id)?.kind {
            Kind::Udp => return self.connect_udp(id, remote),
            Kind::Raw => {
                let raw = self.raw.get_mut(id).ok_or(Errno::EBADF)?;
                raw.peer = Some(remote.ip()).filter(|ip| !ip.is_unspecified());
                return Ok(());
            }
            Kind::Listening(_) => return Err(Errno::EISCONN),
            Kind::Connected(conn) => self.recycle(id, conn)?,
            Kind::Fresh(_) => {}
        }
        self.open(now, id, remote)
    }

    /// The first connect(2) after a non-blocking one got through says so; the next is EISCONN (Linux).
    fn connect_succeeded(&mut self, id: SocketId) -> bool {
        let Ok(Some(conn)) = self.conn_of(id) else { return false };
        let state = self.tcb(conn).map_or(State::Closed, |t| t.state);
        let open = !matches!(state, State::Closed | State::SynSent | State::SynReceived);
        open && self.sock_mut(id).is_ok_and(|s| core::mem::take(&mut s.connecting))
    }

    /// A socket that had a connection: still opening, open, or over and ready for another attempt.
    fn recycle(&mut self, id: SocketId, conn: crate::ConnId) -> Result<()> {
        let Some(tcb) = self.conns.get_mut(conn).map(|c| &mut c.tcb) else { return Err(Errno::EINVAL) };
        match tcb.state {
            State::SynSent | State::SynReceived => return Err(Errno::EALREADY),
            State::Closed => {}
            _ => return Err(Errno::EISCONN),
        }
        if let Some(e) = tcb.error.take() {
            return Err(e);
        }
        let settings = Box::new(tcb.settings.clone());
        tcb.socket = None;
        self.forget_if_unheld(conn);
        self.sock_mut(id)?.kind = Kind::Fresh(settings);
        Ok(())
    }

    fn open(&mut self, now: Instant, id: SocketId, remote: SocketAddr) -> Result<()> {
        let socket = self.sock(id)?;
        let (bound, iface) = (socket.bound, socket.iface);
        // The unspecified address means this host (Linux: INADDR_ANY connects to loopback).
        let remote = if remote.ip().is_unspecified() { loopback(remote) } else { remote };
        // MUST-46: no connection to many.
        if remote.ip().is_multicast() || self.ip.is_broadcast(remote.ip()) {
            return Err(Errno::ENETUNREACH);
        }
        if self.conns.len() >= self.around.config.limits.connections {
            return Err(Errno::ENOMEM);
        }
        let src = match bound {
            Some((LocalAddr::Exact(ip), _)) => Some(ip),
            _ => None,
        };
        let path = self.ip.path(src, remote.ip(), iface)?;
        let local = self.choose_local(id, src.unwrap_or(path.src), bound.map(|b| b.1), remote)?;
        self.start_connection(now, id, local, remote, path)
    }

    fn choose_local(
        &mut self,
        id: SocketId,
        ip: IpAddr,
        port: Option<u16>,
        remote: SocketAddr,
    ) -> Result<SocketAddr> {
        let _ = id;
        let Self { ports, demux, .. } = self;
        if let Some(port) = port {
            let local = SocketAddr::new(ip, port);
            return if demux.get(&Tuple::new(local, remote)).is_none() {
                Ok(local)
            } else {
                Err(Errno::EADDRNOTAVAIL)
            };
        }
        ports
            .ephemeral_for(ip, Endpoint::from(remote), |port| {
                demux.get(&Tuple::new((ip, port), remote)).is_none()
            })
            .map(|port| SocketAddr::new(ip, port))
            .ok_or(Errno::EADDRNOTAVAIL)
    }

    fn start_connection(
        &mut self,
        now: Instant,
        id: SocketId,
        local: SocketAddr,
        remote: SocketAddr,
        path: Path,
    ) -> Result<()> {
        let generation = self.ip.generation();
        let socket = self.sockets.get_mut(id).ok_or(Errno::EBADF)?;
        let reuse = (socket.reuse_addr, socket.reuse_port);
        let Kind::Fresh(settings) = &socket.kind else { return Err(Errno::EISCONN) };
        let settings = (**settings).clone();
        let env = &mut self.around.env(now);
        let open = Opening {
            local,
            remote,
            settings,
            iss: tcp::initial_sequence(env.rng, now, local, remote),
            ts_offset: tcp::timestamp_offset(env.rng, local, remote),
            path,
            path_generation: generation,
        };
        let conn = self.conns.insert_with_key(|conn| Box::new(Conn::new(Tcb::connect(env, conn, open))));
        socket.kind = Kind::Connected(conn);
        socket.connecting = true;
        if let Some(c) = self.conns.get_mut(conn) {
            c.tcb.socket = Some(id);
        }
        self.demux.replace(Tuple::new(local, remote), Flow::Connection(conn));
        self.hold_port(conn, reuse);
        self.settle(now, conn);
        Err(Errno::EINPROGRESS)
    }

    /// getsockname(2).
    ///
    /// # Errors
    /// `EBADF`.
    pub fn local_addr(&self, id: SocketId) -> Result<SocketAddr> {
        let socket = self.sock(id)?;
        let addr = match (&socket.kind, socket.bound) {
            (Kind::Connected(conn), _) => match self.tcb(*conn) {
                Some(tcb) => tcb.local,
                None => socket.unspecified(),
            },
            (Kind::Udp, bound) => {
                let udp = self.udp.get(id).ok_or(Errno::EBADF)?;
                let port = bound.map_or(0, |b| b.1);
                SocketAddr::new(socket.wildcard(udp.local()), port)
            }
            (Kind::Raw, _) => {
                let raw = self.raw.get(id).ok_or(Errno::EBADF)?;
                SocketAddr::new(raw.local.unwrap_or(socket.unspecified().ip()), u16::from(socket.protocol))
            }
            (_, Some((local, port))) => SocketAddr::new(socket.wildcard(local), port),
            _ => socket.unspecified(),
        };
        Ok(socket.user_addr(addr))
    }

    /// getpeername(2).
    ///
    /// # Errors
    /// `ENOTCONN` before and after a connection, `EBADF`.
    pub fn peer_addr(&self, id: SocketId) -> Result<SocketAddr> {
        let socket = self.sock(id)?;
        let addr = match &socket.kind {
            Kind::Connected(conn) => {
                let tcb = self.tcb(*conn).ok_or(Errno::ENOTCONN)?;
                if matches!(tcb.state, State::Closed | State::SynSent) {
                    return Err(Errno::ENOTCONN);
                }
                tcb.remote
            }
            Kind::Udp => self.udp.get(id).and_then(UdpSocket::peer).ok_or(Errno::ENOTCONN)?.into(),
            Kind::Raw => SocketAddr::new(self.raw.get(id).and_then(|r| r.peer).ok_or(Errno::ENOTCONN)?, 0),
            _ => return Err(Errno::ENOTCONN),
        };
        Ok(socket.user_addr(addr))
    }
}

fn loopback(addr: SocketAddr) -> SocketAddr {
    let ip: IpAddr = match addr.ip() {
        IpAddr::V4(_) => core::net::Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => core::net::Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, addr.port())
}
