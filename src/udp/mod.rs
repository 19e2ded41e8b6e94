//! UDP (RFC 768).
//!
//! Read in this order: `header` (the eight octets and their checks), `socket` (what one socket holds),
//! `table` (which sockets a datagram or an ICMP error concerns).
//!
//! The machine hands a datagram to [`UdpTable::deliver`] and acts on the [`Delivery`]: it wakes the
//! sockets, answers [`Delivery::NoSocket`] with "port unreachable", counts a drop. To send, it asks
//! [`UdpSocket::destination`] and puts [`header()`] before the payload.

mod header;
mod socket;
mod table;
#[cfg(test)]
mod tests;

pub use header::{CHECKSUM_OFFSET, HEADER_LEN, Header, header, parse};
pub use socket::{Message, Options, UdpSocket};
pub use table::{Delivery, UdpTable};
