//! What a header means: sequence numbers, checksums, TCP flags and options. The header formats
//! themselves come from the crate `etherparse`.

pub mod checksum;
mod flags;
pub mod options;
mod seq;

pub use flags::TcpFlags;
pub use options::TcpOptions;
pub use seq::Seq;
