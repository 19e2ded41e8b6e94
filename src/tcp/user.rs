//! The user calls of RFC 9293 section 3.10 on a connection: SEND, RECEIVE, STATUS.

use super::tcb::Tcb;
use super::urgent::{OobOctet, RecvUrgent};
use crate::buf::{Blocks, Chunk};
use crate::env::Env;
use crate::errno::{Errno, Result};
use crate::posix::{MsgFlags, Readiness};
use crate::state::State;
use bytes::Bytes;

impl Tcb {
    /// Why nothing can be sent: the pending error, EPIPE after a shutdown, ENOTCONN before a connect.
    fn check_sendable(&mut self) -> Result<()> {
        if let Some(e) = self.error.take() {
            return Err(e);
        }
        if self.snd.fin || matches!(self.state, State::Closed) {
            return Err(Errno::EPIPE);
        }
        match self.state {
            State::Established | State::CloseWait => Ok(()),
            State::SynSent | State::SynReceived => Err(Errno::EAGAIN),
            _ => Err(Errno::EPIPE),
        }
    }

    fn room_or_wait(&mut self) -> Result<usize> {
        let room = self.send_room();
        if room == 0 {
            self.snd.wants_room = true;
            return Err(Errno::EAGAIN);
        }
        Ok(room)
    }

    /// send(2): takes what there is room for.
    pub(crate) fn send(&mut self, blocks: &mut Blocks, data: &[u8], flags: MsgFlags) -> Result<usize> {
        self.check_sendable()?;
        if data.is_empty() {
            return Ok(0);
        }
        let n = self.room_or_wait()?.min(data.len());
        self.snd.queue.push(&data[..n], blocks);
        self.after_write(n == data.len(), flags);
        self.snd.wants_room |= n < data.len();
        Ok(n)
    }

    /// Takes octets from the front of `data` without copying them.
    pub(crate) fn send_bytes(&mut self, data: &mut Bytes) -> Result<usize> {
        self.check_sendable()?;
        if data.is_empty() {
            return Ok(0);
        }
        let n = self.room_or_wait()?.min(data.len());
        self.snd.queue.push_shared(data.split_to(n));
        self.after_write(true, MsgFlags::empty());
        self.snd.wants_room |= !data.is_empty();
        Ok(n)
    }

    fn after_write(&mut self, whole: bool, flags: MsgFlags) {
        self.snd.more = flags.contains(MsgFlags::MORE) && whole;
        if flags.contains(MsgFlags::OOB) && whole {
            self.snd.urgent.up = Some(self.queue_end());
        }
    }

    /// Waiting for data makes no sense: the peer has finished, or the application has.
    fn at_end(&self) -> bool {
        self.rcv.fin || self.rcv.shut || self.state == State::Closed
    }

    fn check_receivable(&mut self) -> Result<()> {
        if !self.rcv.queue.is_empty() {
            return Ok(());
        }
        if let Some(e) = self.error.take() {
            return Err(e);
        }
        if self.at_end() {
            return Ok(());
        }
        Err(Errno::EAGAIN)
    }

    /// Octets that one read may give: up to the urgent mark. Skips the urgent octet itself when the
    /// reader stands at it, unless it is read in line.
    fn readable(&mut self, peek: bool) -> usize {
        let len = self.rcv.queue.len();
        match self.distance_to_mark() {
            Some(0) if !self.settings.oob_inline && len > 0 && !peek => {
                self.rcv.queue.consume(1);
                self.forget_passed_mark();
                self.rcv.queue.len()
            }
            Some(d) if d > 0 => len.min(d),
            _ => len,
        }
    }

    fn forget_passed_mark(&mut self) {
        if self.rcv.urgent.mark.is_some_and(|m| m.before(self.copied_seq())) {
            self.rcv.urgent = RecvUrgent::default();
        }
    }

    /// recv(2): 0 at the end of the stream.
    pub(crate) fn recv(&mut self, env: &mut Env<'_>, buf: &mut [u8], flags: MsgFlags) -> Result<usize> {
        if flags.contains(MsgFlags::OOB) {
            return self.recv_oob(buf, flags);
        }
        self.check_receivable()?;
        let peek = flags.contains(MsgFlags::PEEK);
        let at_urgent = !self.settings.oob_inline && self.distance_to_mark() == Some(0);
        let limit = self.readable(peek);
        if peek {
            let skip = usize::from(at_urgent && limit > 0);
            let n = buf.len().min(limit.saturating_sub(skip));
            return Ok(self.rcv.queue.peek(skip, &mut buf[..n]));
        }
        if limit == 0 && at_urgent && !buf.is_empty() {
            // The urgent octet was all there was.
            return if self.at_end() { Ok(0) } else { Err(Errno::EAGAIN) };
        }
        let n = buf.len().min(limit);
        let n = self.rcv.queue.read(&mut buf[..n]);
        self.after_read(env, n);
        Ok(n)
    }

    /// Takes octets without copying them; an empty chunk at the end of the stream.
    pub(crate) fn recv_chunk(&mut self, env: &mut Env<'_>, max: usize) -> Result<Chunk> {
        self.check_receivable()?;
        let limit = self.readable(false).min(max);
        let Some(chunk) = self.rcv.queue.read_chunk(limit) else { return Ok(Chunk::copy_from(&[])) };
        self.after_read(env, chunk.len());
        Ok(chunk)
    }

    fn after_read(&mut self, env: &mut Env<'_>, n: usize) {
        self.forget_passed_mark();
        if n == 0 {
            return;
        }
        self.tune_recv_buffer(env, n);
        if !self.rcv.fin && self.state.can_receive() && self.window_update_due() {
            self.rcv.ack.now();
        }
    }

    /// recv(MSG_OOB) (tcp(7)): the urgent octet; never blocks.
    fn recv_oob(&mut self, buf: &mut [u8], flags: MsgFlags) -> Result<usize> {
        let u = self.rcv.urgent;
        if self.settings.oob_inline || u.mark.is_none() || u.octet == OobOctet::Taken {
            return Err(Errno::EINVAL);
        }
        match u.octet {
            OobOctet::Here(octet) => {
                if !flags.contains(MsgFlags::PEEK) {
                    self.rcv.urgent.octet = OobOctet::Taken;
                }
                if let Some(first) = buf.first_mut() {
                    *first = octet;
                    return Ok(1);
                }
                Ok(0)
            }
            _ if self.at_end() => Ok(0),
            _ => Err(Errno::EAGAIN),
        }
    }

    /// Is the reader at the urgent mark (SIOCATMARK, sockatmark(3))?
    pub(crate) fn at_mark(&self) -> bool {
        self.rcv.urgent.mark == Some(self.copied_seq())
    }

    /// What poll(2) gives (Linux: tcp_poll).
    pub(crate) fn readiness(&self) -> Readiness {
        let mut r = Readiness::empty();
        let both_shut = (self.rcv.fin || self.rcv.shut) && self.snd.fin;
        if both_shut || self.state == State::Closed {
            r |= Readiness::HUP;
        }
        if self.rcv.fin || self.rcv.shut || self.state == State::Closed {
            r |= Readiness::IN | Readiness::RDHUP;
        }
        if self.state != State::SynSent && self.state != State::SynReceived {
            let waiting = self.rcv.queue.len();
            let only_oob = waiting == 1 && self.distance_to_mark() == Some(0) && !self.settings.oob_inline;
            if self.is_worth_reading() && !only_oob {
                r |= Readiness::IN;
            }
            if self.snd.fin || self.state == State::Closed || self.is_writable() {
                r |= Readiness::OUT;
            }
            if matches!(self.rcv.urgent.octet, OobOctet::Here(_)) && self.rcv.urgent.mark.is_some() {
                r |= Readiness::PRI;
            }
        }
        if self.error.is_some() {
            r |= Readiness::ERR | Readiness::IN | Readiness::OUT;
        }
        r
    }

    /// SO_RCVLOWAT is reached, or as much is here as can be: a reader that waited for more than the window
    /// or the buffer has room for would wait for ever (Linux: tcp_epollin_ready).
    pub(crate) fn is_worth_reading(&self) -> bool {
        let waiting = self.rcv.queue.len();
        let full = || {
            self.recv_window() <= u32::from(self.rcv.seg_size) || self.recv_memory() >= self.settings.rcvbuf
        };
        waiting > 0 && (waiting >= self.settings.recv_lowat || full())
    }

    /// A third of the buffer is free, and little enough is unsent (Linux: sk_stream_is_writeable).
    fn is_writable(&self) -> bool {
        let unsent = self.unsent();
        self.send_room() * 3 >= self.settings.sndbuf / 2 && unsent < self.settings.notsent_lowat as usize
    }
}

/// Options changed on a connection that is under way.
impl Tcb {
    /// TCP_NODELAY was set or the cork was pulled: what is held back goes out.
    pub(crate) fn push(&mut self) {
        self.snd.push_now = self.unsent() > 0;
    }

    /// TCP_QUICKACK was set: a delayed ACK goes out.
    pub(crate) fn ack_pending_now(&mut self) {
        if self.rcv.ack.pending {
            self.rcv.ack.now();
        }
    }

    /// TCP_CONGESTION: another controller takes the window over.
    pub(crate) fn change_congestion(&mut self, algorithm: crate::profile::CongestionAlgorithm) {
        use super::congestion::{Congestion, Controller};
        if self.congestion.algorithm() != algorithm {
            self.congestion = Controller::new(algorithm);
            self.congestion.on_init(self.window.cwnd);
            self.window.cwnd_cnt = 0;
        }
    }
}
