//! TCP (RFC 9293), one file a concept.

mod state;
mod timer;

pub use state::State;
pub use timer::Timer;
