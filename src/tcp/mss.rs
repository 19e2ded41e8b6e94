//! Segment sizes (RFC 9293 section 3.7.1, RFC 6691).

use super::tcb::Tcb;
use crate::ip::Path;
use crate::profile::Profile;

/// Octets of IP and TCP header without options.
pub(crate) const fn headers(ipv4: bool) -> usize {
    if ipv4 { 40 } else { 60 }
}

/// What a peer takes that sent no MSS option (MUST-15).
pub(crate) const fn default_for(ipv4: bool) -> u16 {
    if ipv4 { 536 } else { 1220 }
}

/// What we say in our SYN: what fits the interface, at most what the application wants (TCP_MAXSEG).
pub(crate) fn advertised(path: &Path, ipv4: bool, max_segment: u16) -> u16 {
    let fits = path.mtu.saturating_sub(headers(ipv4)).min(65_535) as u16;
    if max_segment > 0 { fits.min(max_segment) } else { fits }
}

/// The octets that options take in every segment with data: timestamps and their padding.
pub(crate) const TIMESTAMPS: u32 = 12;

impl Tcb {
    /// Eff.snd.MSS (MUST-16): the smaller of what the peer takes and what the path takes, less the
    /// options of each segment.
    pub(crate) fn update_mss(&mut self, profile: &Profile) {
        let path = self.path.map_or(usize::MAX, |p| p.mtu.saturating_sub(headers(self.remote.is_ipv4())));
        let mut mss = u32::from(self.snd.peer_mss).min(path.min(65_535) as u32);
        if self.settings.max_segment > 0 {
            mss = mss.min(u32::from(self.settings.max_segment));
        }
        mss = mss.max(u32::from(profile.min_mss));
        if self.ts_ok {
            mss -= TIMESTAMPS;
        }
        self.snd.mss = mss;
    }

    /// The largest segment to send now: the MSS, but never more than half of the largest window that
    /// the peer ever offered, or a peer with a small window would wait for us for ever
    /// (RFC 9293 section 3.8.6.2.1). A tiny window is filled at once (Linux: tcp_bound_to_half_wnd).
    pub(crate) fn segment_size(&self) -> u32 {
        let most = self.snd.max_wnd;
        let cut = if most > u32::from(default_for(true)) { most / 2 } else { most };
        if cut > 0 { cut.min(self.snd.mss) } else { self.snd.mss }
    }
}
