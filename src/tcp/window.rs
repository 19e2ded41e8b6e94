//! The window that we advertise: from the memory that is left, never with its right edge moved back,
//! never opened by a silly bit (RFC 9293 section 3.8.6, RFC 7323 section 2).

use super::settings::Settings;
use super::tcb::Tcb;
use crate::profile::Profile;

/// A receive buffer of this many octets advertises half of it: the other half pays for what buffers
/// cost beside their payload (Linux: tcp_adv_win_scale 1).
const fn window_from_space(space: usize) -> usize {
    space / 2
}

/// The shift for our windows: enough for the largest buffer that auto-tuning may reach.
pub(crate) fn choose_scale(profile: &Profile, settings: &Settings) -> u8 {
    if !profile.window_scaling {
        return 0;
    }
    let mut space =
        if settings.rcvbuf_locked { settings.rcvbuf } else { settings.rcvbuf.max(profile.rmem[2]) };
    space = space.min(settings.window_clamp as usize);
    let mut shift = 0;
    while space > 65_535 && shift < 14 {
        space >>= 1;
        shift += 1;
    }
    shift
}

/// The window of a SYN-ACK: what the buffer of the socket-to-be gives, in whole segments.
pub(crate) fn initial(settings: &Settings, mss: u16) -> u16 {
    let space = window_from_space(settings.rcvbuf).min(settings.window_clamp as usize).min(65_535);
    let mss = usize::from(mss).max(1);
    (if space >= mss { space / mss * mss } else { space }) as u16
}

impl Tcb {
    /// Octets of memory that receiving holds.
    pub(crate) fn recv_memory(&self) -> usize {
        self.rcv.queue.memory() + self.rcv.ofo.memory()
    }

    /// The window the peer may use now: what was advertised and is not used up.
    pub(crate) fn recv_window(&self) -> u32 {
        if self.rcv.edge.before(self.rcv.nxt) { 0 } else { self.rcv.edge.distance(self.rcv.nxt) }
    }

    /// The window that memory allows, with silly-window avoidance: it opens by whole segments, and not
    /// at all while less than one fits.
    pub(crate) fn window_allowed(&self) -> u32 {
        let full = window_from_space(self.settings.rcvbuf).min(self.settings.window_clamp as usize);
        let free = window_from_space(self.settings.rcvbuf.saturating_sub(self.recv_memory())).min(full);
        let mss = usize::from(self.rcv.adv_mss).min(full).max(1);
        if free < mss || free < full / 16 {
            return 0;
        }
        let free = free.min((65_535usize) << self.rcv.wscale);
        let allowed = if self.rcv.wscale > 0 {
            free.next_multiple_of(1 << self.rcv.wscale).min(65_535 << self.rcv.wscale)
        } else {
            free / mss * mss
        };
        allowed as u32
    }

    /// The window for a segment about to be sent, as it goes into the header; moves the right edge.
    pub(crate) fn advertise(&mut self, syn: bool) -> u16 {
        let current = self.recv_window();
        let mut window = self.window_allowed();
        if window < current {
            // Never shrink: but keep it a multiple of what the field can say.
            window = current.next_multiple_of(1 << self.rcv.wscale);
        }
        if syn {
            let window = initial(&self.settings, self.rcv.adv_mss);
            self.rcv.edge = self.rcv.nxt + u32::from(window);
            return window;
        }
        let field = (window >> self.rcv.wscale).min(65_535);
        let edge = self.rcv.nxt + (field << self.rcv.wscale);
        self.rcv.edge = self.rcv.edge.latest(edge);
        field as u16
    }

    /// After the application has read: is the window so much larger now that the peer should know
    /// (RFC 9293 section 3.8.6.2.2)?
    pub(crate) fn window_update_due(&self) -> bool {
        let current = self.recv_window();
        if u64::from(current) * 2 > window_from_space(self.settings.rcvbuf) as u64 {
            return false;
        }
        let now = self.window_allowed();
        now > 0 && now >= current.saturating_mul(2)
    }
}
