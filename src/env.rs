//! What every layer is handed at every entry: the time, the configuration, randomness, counters and
//! the event queue. The protocol layers own none of these.

use crate::buf::Blocks;
use crate::config::Config;
use crate::event::{Event, Events};
use crate::reason::Drop;
use crate::rng::Rng;
use crate::stats::Stats;
use crate::time::Instant;

/// The surroundings of one entry into the machine.
pub struct Env<'a> {
    /// The time of this entry.
    pub now: Instant,
    /// The configuration of the stack.
    pub config: &'a Config,
    /// Seeded randomness.
    pub rng: &'a mut Rng,
    /// Counters.
    pub stats: &'a mut Stats,
    /// Where events go.
    pub events: &'a mut Events,
    /// Free blocks of the send queues.
    pub blocks: &'a mut Blocks,
}

impl Env<'_> {
    /// Counts a drop and tells it.
    pub fn drop(&mut self, reason: Drop) {
        self.stats.drop(reason);
        if self.events.filter().drops {
            self.events.push(Event::Dropped { at: self.now, reason });
        }
    }
}

/// What an [`Env`] borrows: the machine owns one.
#[derive(Debug)]
pub(crate) struct Surroundings {
    pub(crate) config: Config,
    pub(crate) rng: Rng,
    pub(crate) stats: Stats,
    pub(crate) events: Events,
    pub(crate) blocks: Blocks,
}

impl Surroundings {
    pub(crate) fn new(config: Config, rng: Rng, events: Events) -> Self {
        Self { config, rng, stats: Stats::default(), events, blocks: Blocks::default() }
    }

    pub(crate) fn env(&mut self, now: Instant) -> Env<'_> {
        let Self { config, rng, stats, events, blocks } = self;
        Env { now, config, rng, stats, events, blocks }
    }
}
