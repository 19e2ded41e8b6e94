//! Ends: shutdown, close, abort, the peer's FIN and RST (RFC 9293 sections 3.6, 3.10.4, 3.10.5).

use super::segment::Header;
use super::tcb::{Signals, Tcb};
use crate::env::Env;
use crate::errno::Errno;
use crate::event::Timer;
use crate::state::{Cause, State};
use crate::wire::TcpFlags;

impl Tcb {
    /// SHUT_WR: a FIN follows what was written. Without a connection there is nothing to shut down.
    pub(crate) fn shutdown_write(&mut self, env: &mut Env<'_>) {
        if self.snd.fin {
            return;
        }
        match self.state {
            State::Established | State::CloseWait | State::SynReceived => {
                self.snd.fin = true;
                self.snd.push_now = true;
                self.signals |= Signals::WRITABLE;
                if self.state != State::SynReceived {
                    self.go(env, Cause::Close);
                }
            }
            // Right after an asynchronous connect: the FIN goes out once the handshake is done.
            State::SynSent => {
                self.snd.fin = true;
                self.signals |= Signals::WRITABLE;
            }
            _ => {}
        }
    }

    /// The last descriptor is closed. `linger_zero`: SO_LINGER with time 0 asks for a RST.
    pub(crate) fn close(&mut self, env: &mut Env<'_>, linger_zero: bool) {
        self.socket = None;
        self.orphan = true;
        // Octets that nobody will read any more are lost, and the peer must know (SHLD-3, RFC 2525 2.17).
        let unread = !self.rcv.queue.is_empty();
        self.rcv.shut = true;
        self.rcv.queue.clear();
        match self.state {
            State::SynSent => {
                env.stats.count.tcp_attempt_fails += 1;
                self.board.clear();
                self.snd.una = self.snd.nxt;
                self.go(env, Cause::Close);
            }
            State::Closed => self.signals |= Signals::CLOSED,
            _ if unread || linger_zero => self.reset(env, None),
            _ => {
                self.shutdown_write(env);
                self.orphaned(env);
            }
        }
    }

    /// An orphan in FIN-WAIT-2 does not wait for ever.
    pub(crate) fn orphaned(&mut self, env: &mut Env<'_>) {
        if self.orphan && self.state == State::FinWait2 {
            if self.settings.fin_wait2.is_zero() {
                self.reset(env, None);
            } else {
                self.timers.set(Timer::FinWait2, env.now + self.settings.fin_wait2);
            }
        }
    }

    /// Ends the connection with a RST to the peer (RFC 9293 section 3.10.5), and with `error` for the
    /// application if there is one.
    pub(crate) fn reset(&mut self, env: &mut Env<'_>, error: Option<Errno>) {
        if self.state.is_synchronised() || self.state == State::SynReceived {
            self.farewell = Some(self.reset_header());
        }
        match error {
            Some(e) => self.fail(env, e),
            None => {
                self.snd.queue.clear();
                self.board.clear();
                self.snd.una = self.snd.nxt;
                self.rcv.ofo.clear();
                if self.state != State::Closed {
                    self.go(env, Cause::Abort);
                }
            }
        }
    }

    fn reset_header(&self) -> Header {
        // A RST beyond the peer's window would be ignored (Linux: tcp_acceptable_seq).
        let edge = self.snd.una + self.snd.wnd;
        Header {
            src_port: self.local.port(),
            dst_port: self.remote.port(),
            seq: if self.snd.nxt.after(edge) { edge } else { self.snd.nxt },
            ack: self.rcv.nxt,
            flags: TcpFlags::RST | TcpFlags::ACK,
            window: (self.recv_window() >> self.rcv.wscale).min(65_535) as u16,
            urgent: 0,
        }
    }

    /// The peer's RST is good (RFC 9293 section 3.10.7.4, second).
    pub(crate) fn on_reset(&mut self, env: &mut Env<'_>) {
        env.stats.count.tcp_rst_in += 1;
        let error = match self.state {
            State::SynSent => Errno::ECONNREFUSED,
            State::SynReceived if !self.passive => Errno::ECONNREFUSED,
            State::CloseWait => Errno::EPIPE,
            State::Closing | State::LastAck | State::TimeWait => {
                self.snd.queue.clear();
                self.board.clear();
                self.snd.una = self.snd.nxt;
                self.go(env, Cause::Abort);
                return;
            }
            _ => Errno::ECONNRESET,
        };
        self.fail(env, error);
    }

    /// The peer's FIN was received in order (RFC 9293 section 3.10.7.4, eighth).
    pub(crate) fn on_fin(&mut self, env: &mut Env<'_>) {
        match self.state {
            // In FIN-WAIT-1 the ACK of our FIN was looked at before: here it is not acknowledged yet.
            State::SynReceived | State::Established | State::FinWait1 => self.go(env, Cause::RcvFin),
            State::FinWait2 => {
                self.timers.clear_all();
                self.go(env, Cause::RcvFin);
            }
            _ => {}
        }
    }

    /// Our FIN is acknowledged (RFC 9293 section 3.10.7.4, fifth).
    pub(crate) fn on_fin_acked(&mut self, env: &mut Env<'_>) {
        match self.state {
            State::FinWait1 => {
                self.go(env, Cause::RcvAckOfFin);
                self.signals |= Signals::WRITABLE;
                self.orphaned(env);
            }
            State::Closing => {
                self.timers.clear_all();
                self.go(env, Cause::RcvAckOfFin);
            }
            State::LastAck => self.go(env, Cause::RcvAckOfFin),
            _ => {}
        }
    }
}
