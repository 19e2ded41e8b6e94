//! Buffers: where octets live between the device and the application.
//!
//! Read in this order: `chunk` (a range of shared octets), `pool` (buffers that devices read
//! into, used again without an allocation), `blocks` (the same for what applications send), `queue`
//! (the chunk chains of the sockets).
//!
//! Payload is copied once by the device and once between the socket and the application; in between
//! only [`Chunk`]s move (DESIGN D3).

mod blocks;
mod chunk;
mod pool;
mod queue;

pub use blocks::Blocks;
pub use chunk::Chunk;
pub use pool::{Pool, PoolBuf};
pub use queue::{RecvQueue, SendQueue};
