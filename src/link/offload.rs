//! Offload.
