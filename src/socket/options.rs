//! setsockopt(2) and getsockopt(2): the values and errors of Linux (socket(7), tcp(7), ip(7), ipv6(7)).

use super::types::{Domain, OptionName, SocketOption, Type};
use crate::SocketId;
use crate::errno::{Errno, Result};
use crate::stack::Stack;
use crate::stack::table::{Kind, Socket};
use crate::tcp::{Settings, Signals};
use crate::time::Instant;
use core::time::Duration;

/// Smallest buffers (Linux: SOCK_MIN_RCVBUF, SOCK_MIN_SNDBUF).
const MIN_RCVBUF: usize = 2304;
const MIN_SNDBUF: usize = 4608;
/// Largest value of SO_RCVBUF and SO_SNDBUF before it is doubled (Linux: rmem_max; here as large as
/// auto-tuning goes).
const MAX_BUFFER: usize = 32 << 20;

fn seconds(d: Duration, most: u64) -> Result<Duration> {
    if d.as_secs() >= 1 && d.as_secs() <= most {
        Ok(Duration::from_secs(d.as_secs()))
    } else {
        Err(Errno::EINVAL)
    }
}

/// # Options
impl Stack {
    /// setsockopt(2).
    ///
    /// # Errors
    /// `EINVAL` for a value out of range, `ENOPROTOOPT` for an option that the socket does not have,
    /// `ENODEV` for an interface that is not there.
    pub fn set_option(&mut self, now: Instant, id: SocketId, option: SocketOption) -> Result<()> {
        use SocketOption as O;
        match option {
            O::ReuseAddr(on) => self.sock_mut(id)?.reuse_addr = on,
            O::ReusePort(on) => self.sock_mut(id)?.reuse_port = on,
            O::Linger(time) => self.sock_mut(id)?.linger = time,
            O::RecvTimeout(time) => self.sock_mut(id)?.recv_timeout = time,
            O::SendTimeout(time) => self.sock_mut(id)?.send_timeout = time,
            O::V6Only(on) => self.set_v6only(id, on)?,
            O::BindToInterface(iface) => {
                if iface.is_some_and(|i| self.ip.interface(i).is_none()) {
                    return Err(Errno::ENODEV);
                }
                self.sock_mut(id)?.iface = iface;
            }
            _ => match self.sock(id)?.ty {
                Type::Stream => return self.set_stream_option(now, id, option),
                Type::Dgram | Type::Raw => return self.set_datagram_option(id, option),
            },
        }
        self.copy_to_datagram(id)
    }

    fn set_v6only(&mut self, id: SocketId, on: bool) -> Result<()> {
        let socket = self.sock_mut(id)?;
        if socket.domain != Domain::Inet6 {
            return Err(Errno::ENOPROTOOPT);
        }
        if socket.bound.is_some() {
            return Err(Errno::EINVAL);
        }
        socket.v6only = on;
        Ok(())
    }

    /// Options of the socket that the UDP and raw tables look at.
    fn copy_to_datagram(&mut self, id: SocketId) -> Result<()> {
        let Socket { reuse_addr, reuse_port, iface, v6only, .. } = *self.sock(id)?;
        if let Some(udp) = self.udp.get_mut(id) {
            udp.options.reuse_addr = reuse_addr;
            udp.options.reuse_port = reuse_port;
            udp.options.iface = iface;
            udp.options.v6only = v6only;
        }
        if let Some(raw) = self.raw.get_mut(id) {
            raw.iface = iface;
        }
        Ok(())
    }

    fn set_stream_option(&mut self, now: Instant, id: SocketId, option: SocketOption) -> Result<()> {
        let socket = self.sockets.get_mut(id).ok_or(Errno::EBADF)?;
        match &mut socket.kind {
            Kind::Fresh(s) => set(s, option),
            Kind::Listening(l) => set(&mut l.settings, option),
            Kind::Connected(conn) => {
                let conn = *conn;
                let c = self.conns.get_mut(conn).ok_or(Errno::EINVAL)?;
                set(&mut c.tcb.settings, option)?;
                c.tcb.option_changed(&mut self.around.env(now), option);
                self.settle(now, conn);
                Ok(())
            }
            Kind::Udp | Kind::Raw => Err(Errno::ENOPROTOOPT),
        }
    }

    fn set_datagram_option(&mut self, id: SocketId, option: SocketOption) -> Result<()> {
        use SocketOption as O;
        if let Some(udp) = self.udp.get_mut(id) {
            let o = &mut udp.options;
            match option {
                O::Broadcast(on) => o.broadcast = on,
                O::RecvBuffer(n) => o.recv_buffer = (n.min(MAX_BUFFER) * 2).max(MIN_RCVBUF),
                O::SendBuffer(n) => o.send_buffer = (n.min(MAX_BUFFER) * 2).max(MIN_SNDBUF),
                O::TrafficClass(v) => o.traffic_class = v,
                O::HopLimit(v) => o.hop_limit = valid_hop_limit(v)?,
                O::DontFragment(on) => o.dont_fragment = on,
                O::KeepAlive(_) | O::OobInline(_) | O::RecvLowAt(_) => {}
                _ => return Err(Errno::ENOPROTOOPT),
            }
            return Ok(());
        }
        let raw = self.raw.get_mut(id).ok_or(Errno::EBADF)?;
        match option {
            O::Broadcast(on) => raw.broadcast = on,
            O::RecvBuffer(n) => raw.recv_buffer = (n.min(MAX_BUFFER) * 2).max(MIN_RCVBUF),
            O::SendBuffer(_) => {}
            O::TrafficClass(v) => raw.traffic_class = v,
            O::HopLimit(v) => raw.hop_limit = valid_hop_limit(v)?,
            O::HeaderIncluded(on) => raw.header_included = on,
            _ => return Err(Errno::ENOPROTOOPT),
        }
        Ok(())
    }

    /// getsockopt(2).
    ///
    /// # Errors
    /// `ENOPROTOOPT` for an option that the socket does not have.
    pub fn option(&self, id: SocketId, name: OptionName) -> Result<SocketOption> {
        use {OptionName as N, SocketOption as O};
        let socket = self.sock(id)?;
        Ok(match name {
            N::ReuseAddr => O::ReuseAddr(socket.reuse_addr),
            N::ReusePort => O::ReusePort(socket.reuse_port),
            N::Linger => O::Linger(socket.linger),
            N::RecvTimeout => O::RecvTimeout(socket.recv_timeout),
            N::SendTimeout => O::SendTimeout(socket.send_timeout),
            N::BindToInterface => O::BindToInterface(socket.iface),
            N::V6Only if socket.domain == Domain::Inet6 => O::V6Only(socket.v6only),
            N::V6Only => return Err(Errno::ENOPROTOOPT),
            _ => match &socket.kind {
                Kind::Fresh(s) => get(s, name)?,
                Kind::Listening(l) => get(&l.settings, name)?,
                Kind::Connected(conn) => {
                    let tcb = self.tcb(*conn).ok_or(Errno::EINVAL)?;
                    match name {
                        N::MaxSegment => O::MaxSegment(tcb.snd.mss.min(65_535) as u16),
                        _ => get(&tcb.settings, name)?,
                    }
                }
                Kind::Udp | Kind::Raw => self.datagram_option(id, name)?,
            },
        })
    }

    fn datagram_option(&self, id: SocketId, name: OptionName) -> Result<SocketOption> {
        use {OptionName as N, SocketOption as O};
        if let Some(udp) = self.udp.get(id) {
            let o = &udp.options;
            return Ok(match name {
                N::Broadcast => O::Broadcast(o.broadcast),
                N::RecvBuffer => O::RecvBuffer(o.recv_buffer),
                N::SendBuffer => O::SendBuffer(o.send_buffer),
                N::TrafficClass => O::TrafficClass(o.traffic_class),
                N::HopLimit => O::HopLimit(o.hop_limit),
                N::DontFragment => O::DontFragment(o.dont_fragment),
                _ => return Err(Errno::ENOPROTOOPT),
            });
        }
        let raw = self.raw.get(id).ok_or(Errno::EBADF)?;
        Ok(match name {
            N::Broadcast => O::Broadcast(raw.broadcast),
            N::RecvBuffer => O::RecvBuffer(raw.recv_buffer),
            N::TrafficClass => O::TrafficClass(raw.traffic_class),
            N::HopLimit => O::HopLimit(raw.hop_limit),
            N::HeaderIncluded => O::HeaderIncluded(raw.header_included),
            _ => return Err(Errno::ENOPROTOOPT),
        })
    }
}

fn valid_hop_limit(v: Option<u8>) -> Result<Option<u8>> {
    if v == Some(0) { Err(Errno::EINVAL) } else { Ok(v) }
}

fn set(s: &mut Settings, option: SocketOption) -> Result<()> {
    use SocketOption as O;
    match option {
        O::NoDelay(on) => s.nodelay = on,
        O::Cork(on) => s.cork = on,
        O::QuickAck(on) => s.quickack = Some(on),
        O::OobInline(on) => s.oob_inline = on,
        O::KeepAlive(on) => s.keepalive = on,
        O::KeepIdle(d) => s.keep_idle = seconds(d, 32_767)?,
        O::KeepInterval(d) => s.keep_interval = seconds(d, 32_767)?,
        O::KeepCount(n) if (1..=127).contains(&n) => s.keep_count = n,
        O::SynCount(n) if (1..=127).contains(&n) => s.syn_retries = n,
        O::UserTimeout(d) => s.user_timeout = d,
        O::FinWait2(d) => s.fin_wait2 = d.unwrap_or(Duration::ZERO).min(Duration::from_secs(120)),
        O::Congestion(c) => s.congestion = c,
        O::MaxSegment(0) => s.max_segment = 0,
        O::MaxSegment(n) if (88..=32_767).contains(&n) => s.max_segment = n,
        O::NotSentLowAt(n) => s.notsent_lowat = n,
        O::WindowClamp(n) => s.window_clamp = n.max(MIN_RCVBUF as u32 / 2),
        O::RecvLowAt(n) => s.recv_lowat = n.max(1),
        O::RecvBuffer(n) => {
            s.rcvbuf = (n.min(MAX_BUFFER) * 2).max(MIN_RCVBUF);
            s.rcvbuf_locked = true;
        }
        O::SendBuffer(n) => {
            s.sndbuf = (n.min(MAX_BUFFER) * 2).max(MIN_SNDBUF);
            s.sndbuf_locked = true;
        }
        O::TrafficClass(v) => s.traffic_class = v,
        O::HopLimit(v) => s.hop_limit = valid_hop_limit(v)?,
        // Without meaning for a stream; accepted, as in Linux.
        O::Broadcast(_) | O::DontFragment(_) => {}
        O::KeepCount(_) | O::SynCount(_) | O::MaxSegment(_) => return Err(Errno::EINVAL),
        _ => return Err(Errno::ENOPROTOOPT),
    }
    Ok(())
}

fn get(s: &Settings, name: OptionName) -> Result<SocketOption> {
    use {OptionName as N, SocketOption as O};
    Ok(match name {
        N::NoDelay => O::NoDelay(s.nodelay),
        N::Cork => O::Cork(s.cork),
        N::QuickAck => O::QuickAck(s.quickack.unwrap_or(true)),
        N::OobInline => O::OobInline(s.oob_inline),
        N::KeepAlive => O::KeepAlive(s.keepalive),
        N::KeepIdle => O::KeepIdle(s.keep_idle),
        N::KeepInterval => O::KeepInterval(s.keep_interval),
        N::KeepCount => O::KeepCount(s.keep_count),
        N::SynCount => O::SynCount(s.syn_retries),
        N::UserTimeout => O::UserTimeout(s.user_timeout),
        N::FinWait2 => O::FinWait2(Some(s.fin_wait2).filter(|d| !d.is_zero())),
        N::Congestion => O::Congestion(s.congestion),
        N::MaxSegment => O::MaxSegment(if s.max_segment > 0 { s.max_segment } else { 536 }),
        N::NotSentLowAt => O::NotSentLowAt(s.notsent_lowat),
        N::WindowClamp => O::WindowClamp(s.window_clamp),
        N::RecvLowAt => O::RecvLowAt(s.recv_lowat),
        N::RecvBuffer => O::RecvBuffer(s.rcvbuf),
        N::SendBuffer => O::SendBuffer(s.sndbuf),
        N::TrafficClass => O::TrafficClass(s.traffic_class),
        N::HopLimit => O::HopLimit(s.hop_limit),
        N::Broadcast => O::Broadcast(false),
        N::DontFragment => O::DontFragment(true),
        _ => return Err(Errno::ENOPROTOOPT),
    })
}

impl crate::tcp::Tcb {
    /// What an option changes on a connection that is under way.
    fn option_changed(&mut self, env: &mut crate::env::Env<'_>, option: SocketOption) {
        use SocketOption as O;
        match option {
            O::NoDelay(true) | O::Cork(false) => self.push(),
            O::QuickAck(true) => self.ack_pending_now(),
            O::KeepAlive(_) | O::KeepIdle(_) | O::KeepInterval(_) | O::KeepCount(_) => {
                self.restart_keepalive(env);
            }
            O::Congestion(algorithm) => self.change_congestion(algorithm),
            O::MaxSegment(_) => self.update_mss(&env.config.profile),
            O::SendBuffer(_) | O::NotSentLowAt(_) => self.signals |= Signals::WRITABLE,
            _ => {}
        }
    }
}
