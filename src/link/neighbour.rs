//! Neighbours.
use core::net::IpAddr;
/// State.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NeighbourState {
    /// The link address was asked for; no answer yet.
    Incomplete,
    /// It answered lately.
    Reachable,
    /// The link address is known but old.
    Stale,
    /// Old, in use again: upper layers have a moment to confirm it.
    Delay,
    /// Old, in use, unconfirmed: it is being asked.
    Probe,
}
/// Cache.
#[derive(Debug, Default)]
pub(crate) struct NeighbourCache {
    _x: Option<IpAddr>,
}
