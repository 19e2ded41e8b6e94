//! Segments without payload that no connection's output plans.

use super::Stack;
use crate::env::Env;
use crate::ip::{Outgoing, Path, protocol};
use crate::tcp::CHECKSUM_OFFSET;
use crate::time::Instant;
use core::net::IpAddr;

/// What a socket sets of the IP header.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Look {
    pub(super) hop_limit: Option<u8>,
    pub(super) traffic_class: u8,
}

impl Stack {
    /// Sends a segment without payload that no connection's output plans: a RST, a SYN-ACK, an ACK of a
    /// record. It waits in the queue of the interface; lost there, it is lost as on the wire, and
    /// whoever needs it asks again.
    pub(super) fn send_control(
        &mut self,
        now: Instant,
        local: IpAddr,
        remote: IpAddr,
        look: Look,
        write: impl FnOnce(&mut Env<'_>, &Path, &mut [u8; 60]) -> usize,
    ) {
        let Ok(path) = self.ip.path(Some(local), remote, None) else { return };
        let mut env = self.around.env(now);
        let mut out = [0; 60];
        let len = write(&mut env, &path, &mut out);
        let packet = Outgoing {
            path: &path,
            src: local,
            dst: remote,
            protocol: protocol::TCP,
            hop_limit: look.hop_limit.unwrap_or(env.config.profile.hop_limit),
            traffic_class: look.traffic_class,
            dont_fragment: true,
            header: &out[..len],
            payload: &[],
            checksum_offset: Some(CHECKSUM_OFFSET),
            gso_size: None,
        };
        // The queue counts what it drops.
        let _ = self.ip.enqueue(&mut env, &packet);
    }
}
