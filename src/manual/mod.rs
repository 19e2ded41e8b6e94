//! Chapters about how the stack works, for reading.

#[doc = include_str!("states.md")]
pub mod states {}
