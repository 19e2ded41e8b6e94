//! The link: what a device is, Ethernet and bare-IP framing, neighbours, and the one place where
//! segmentation and checksums that a device lacks are done in software.
//!
//! Read in this order: [`device`] (the trait and its capabilities), [`frame`] (what passes between
//! a device and the machine), [`ethernet`], [`neighbour`] (ARP and NDP share one cache), [`offload`].

pub mod device;
pub mod ethernet;
pub mod frame;
pub mod neighbour;
pub mod offload;

pub use device::{Capabilities, Device, Medium, TxError};
pub(crate) use frame::OwnedFrame;
pub use frame::{
    Busy, Frame, Gso, GsoKind, PartialChecksum, Received, RxChecksum, RxOffload, Sink, TxFrame, TxOffload,
};
