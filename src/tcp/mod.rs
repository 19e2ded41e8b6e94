//! TCP (RFC 9293), one file a concept.

pub mod congestion;
mod state;
mod timer;

pub use state::State;
pub use timer::Timer;
