//! struct virtio_net_hdr, the 10 octets that TAP (`IFF_VNET_HDR`) and AF_PACKET (`PACKET_VNET_HDR`)
//! put before each frame: which checksum is not made yet, and whether the frame is a super-segment.
//!
//! Virtual I/O Device 1.2, section 5.1.6; linux/virtio_net.h. The numbers are in the byte order of
//! the machine, as for a legacy device.
//!
//! Without the field `num_buffers`, which makes 12: 10 + 14 octets of Ethernet put the IP header on
//! a multiple of 8 in the buffer.

use crate::link::{Gso, GsoKind, PartialChecksum, RxChecksum, RxOffload, TxOffload};

/// Octets of the header.
pub const LEN: usize = 10;

const F_NEEDS_CSUM: u8 = 1;
const F_DATA_VALID: u8 = 2;
const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
const GSO_ECN: u8 = 0x80;

/// What a received header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// The frame is a segment or a TCP super-segment.
    Frame(RxOffload),
    /// The frame is several UDP datagrams in one (UDP_SEGMENT of the sender), each with this many
    /// octets of payload but the last. The checksum is partial. The machine has no such unit: cut it.
    UdpSuper {
        /// Where the UDP header begins, and the checksum in it.
        checksum: PartialChecksum,
        /// Payload octets per datagram; never 0.
        size: u16,
    },
}

/// A header that cannot be understood: an unknown kind of super-segment, or a checksum outside the
/// frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsupported;

/// Reads the header before a frame of `frame_len` octets.
///
/// # Errors
/// [`Unsupported`]: the frame cannot be taken for what it is.
pub fn decode(header: &[u8; LEN], frame_len: usize) -> Result<Decoded, Unsupported> {
    let word = |at: usize| u16::from_ne_bytes([header[at], header[at + 1]]);
    let (flags, gso_type, gso_size) = (header[0], header[1], word(4));
    let partial = PartialChecksum { start: word(6), offset: word(8) };
    let inside = usize::from(partial.start) + usize::from(partial.offset) + 2 <= frame_len;
    let checksum = match flags {
        f if f & F_NEEDS_CSUM != 0 && !inside => return Err(Unsupported),
        f if f & F_NEEDS_CSUM != 0 => RxChecksum::Partial(partial),
        f if f & F_DATA_VALID != 0 => RxChecksum::Verified,
        _ => RxChecksum::Unknown,
    };
    let kind = match gso_type & !GSO_ECN {
        GSO_NONE => return Ok(Decoded::Frame(RxOffload { checksum, gso: None })),
        _ if gso_size == 0 => return Err(Unsupported),
        GSO_TCPV4 => GsoKind::Tcp4,
        GSO_TCPV6 => GsoKind::Tcp6,
        GSO_UDP_L4 => {
            return match checksum {
                RxChecksum::Partial(checksum) => Ok(Decoded::UdpSuper { checksum, size: gso_size }),
                RxChecksum::Unknown | RxChecksum::Verified => Err(Unsupported),
            };
        }
        _ => return Err(Unsupported),
    };
    let gso = Some(Gso { kind, size: gso_size, ecn: gso_type & GSO_ECN != 0 });
    Ok(Decoded::Frame(RxOffload { checksum, gso }))
}

/// Makes the header for a frame to send whose headers are `headers_len` octets long.
pub fn encode(offload: &TxOffload, headers_len: usize) -> [u8; LEN] {
    let mut out = [0; LEN];
    let mut put = |at: usize, n: u16| out[at..at + 2].copy_from_slice(&n.to_ne_bytes());
    if let Some(c) = offload.checksum {
        put(6, c.start);
        put(8, c.offset);
    }
    if let Some(g) = offload.gso {
        // The kernel keeps this much in one piece; saying it exactly saves it a second look.
        put(2, u16::try_from(headers_len).unwrap_or(0));
        put(4, g.size);
        out[1] = match g.kind {
            GsoKind::Tcp4 => GSO_TCPV4,
            GsoKind::Tcp6 => GSO_TCPV6,
        } | if g.ecn { GSO_ECN } else { 0 };
    }
    out[0] = if offload.checksum.is_some() { F_NEEDS_CSUM } else { 0 };
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn gso() -> impl Strategy<Value = Option<Gso>> {
        proptest::option::of((any::<bool>(), 1u16.., any::<bool>()).prop_map(|(v6, size, ecn)| Gso {
            kind: if v6 { GsoKind::Tcp6 } else { GsoKind::Tcp4 },
            size,
            ecn,
        }))
    }

    proptest! {
        /// What one side asks for is what the other side is told.
        #[test]
        fn round_trip(start in 0u16..200, offset in 0u16..64, with in any::<bool>(), gso in gso()) {
            let checksum = with.then_some(PartialChecksum { start, offset });
            let header = encode(&TxOffload { checksum, gso }, 66);
            let checksum = checksum.map_or(RxChecksum::Unknown, RxChecksum::Partial);
            prop_assert_eq!(decode(&header, 300), Ok(Decoded::Frame(RxOffload { checksum, gso })));
        }

        #[test]
        fn no_header_panics(header: [u8; LEN], len in 0usize..70_000) {
            if let Ok(Decoded::Frame(RxOffload { checksum: RxChecksum::Partial(c), .. })) = decode(&header, len) {
                prop_assert!(usize::from(c.start) + usize::from(c.offset) + 2 <= len);
            }
        }
    }

    /// What Linux gives for a TCP/IPv4 super-segment with timestamps.
    #[test]
    #[cfg(target_endian = "little")]
    fn a_header_from_linux() {
        let header = [1, 1, 66, 0, 0xa8, 5, 34, 0, 16, 0];
        let checksum = PartialChecksum { start: 34, offset: 16 };
        let gso = Gso { kind: GsoKind::Tcp4, size: 1448, ecn: false };
        assert_eq!(
            decode(&header, 2962),
            Ok(Decoded::Frame(RxOffload { checksum: RxChecksum::Partial(checksum), gso: Some(gso) }))
        );
        assert_eq!(encode(&TxOffload { checksum: Some(checksum), gso: Some(gso) }, 66), header);
    }

    #[test]
    fn a_verified_checksum_is_told() {
        let offload = RxOffload { checksum: RxChecksum::Verified, gso: None };
        assert_eq!(decode(&[2, 0, 0, 0, 0, 0, 0, 0, 0, 0], 60), Ok(Decoded::Frame(offload)));
    }

    #[test]
    fn a_checksum_outside_the_frame_or_an_unknown_kind_is_refused() {
        let far =
            encode(&TxOffload { checksum: Some(PartialChecksum { start: 50, offset: 16 }), gso: None }, 54);
        assert_eq!(decode(&far, 67), Err(Unsupported));
        assert!(decode(&far, 68).is_ok());
        assert_eq!(decode(&[0, 1, 0, 0, 0, 0, 0, 0, 0, 0], 60), Err(Unsupported), "size 0");
        assert_eq!(decode(&[0, 3, 0, 0, 1, 1, 0, 0, 0, 0], 60), Err(Unsupported), "UFO");
    }
}
