//! What errors from the network do to a connection (RFC 9293 section 3.9.2.2, RFC 5927, RFC 5461).

use super::tcb::Tcb;
use crate::env::Env;
use crate::errno::Errno;
use crate::event::RetransmitCause;
use crate::ip::{ErrorKind, Path};
use crate::state::State;
use crate::wire::Seq;

impl Tcb {
    /// Does `seq` lie in what is sent and not acknowledged? An ICMP error about anything else is old or
    /// forged (RFC 5927 section 4.1).
    pub(crate) fn is_in_flight(&self, seq: Seq) -> bool {
        seq.at_or_after(self.snd.una) && seq.at_or_before(self.snd.nxt)
    }

    /// An ICMP error other than "too big". Hard ones end a connection attempt (SHLD-26); on an
    /// established connection every one is only remembered (MUST-56, RFC 5461).
    pub(crate) fn on_icmp_error(&mut self, env: &mut Env<'_>, kind: ErrorKind) {
        let opening = matches!(self.state, State::SynSent | State::SynReceived);
        if kind.is_hard() && opening {
            self.fail(env, kind.errno());
        } else {
            self.soft_error = Some(kind.errno());
        }
    }

    /// The next hop does not answer.
    pub(crate) fn on_host_unreachable(&mut self, env: &mut Env<'_>) {
        if matches!(self.state, State::SynSent | State::SynReceived) {
            self.fail(env, Errno::EHOSTUNREACH);
        } else {
            self.soft_error = Some(Errno::EHOSTUNREACH);
        }
    }

    /// The path takes smaller packets now: what is in flight and too large is lost for certain.
    pub(crate) fn on_path_mtu(&mut self, env: &mut Env<'_>, path: Path) {
        let before = self.snd.mss;
        self.path = Some(path);
        self.update_mss(&env.config.profile);
        if self.snd.mss < before {
            let mss = self.snd.mss;
            let lost = self.board.mark_lost(RetransmitCause::PathMtu, |s| Some(s.octets() > mss));
            if lost.is_some() {
                // Not congestion: the window stays, RFC 1191 section 6.5.
                self.recovery.phase = super::recovery::Phase::Loss;
                self.recovery.high_seq = self.snd.nxt;
            }
        }
    }
}
