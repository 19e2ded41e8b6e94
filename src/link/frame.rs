//! What passes between a device and the machine: frames with what the hardware did or should do.
//!
//! The unit is up to 64 KiB (DESIGN D3): a super-segment that was not yet cut, with a checksum that
//! was perhaps not yet made. The meaning of the fields is the one of struct virtio_net_hdr (Virtual
//! I/O Device 1.2, section 5.1.6).

use crate::IfaceId;
use crate::buf::Chunk;
use core::ops::Range;

/// Which kind of super-segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GsoKind {
    /// TCP over IPv4 (VIRTIO_NET_HDR_GSO_TCPV4).
    Tcp4,
    /// TCP over IPv6 (VIRTIO_NET_HDR_GSO_TCPV6).
    Tcp6,
}

/// A super-segment: one header for many segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Gso {
    /// Of which protocol.
    pub kind: GsoKind,
    /// Payload octets per segment; the last may be shorter. Never 0.
    pub size: u16,
    /// CWR stands on the first segment only (VIRTIO_NET_HDR_GSO_ECN).
    pub ecn: bool,
}

/// What is known about the transport checksum of a received frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum RxChecksum {
    /// Nothing: verify it.
    #[default]
    Unknown,
    /// The device verified it (VIRTIO_NET_HDR_F_DATA_VALID).
    Verified,
    /// It was never completed, because the frame never left the machine: the field holds the sum of
    /// the pseudo header (VIRTIO_NET_HDR_F_NEEDS_CSUM). Good by definition; complete it in captures.
    Partial(PartialChecksum),
}

/// A checksum to be completed: sum everything from `start` to the end of the frame, and store the
/// complement at `start + offset`, whose field holds the folded sum of the pseudo header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PartialChecksum {
    /// First octet to sum, from the start of the frame.
    pub start: u16,
    /// Where the field is, from `start`.
    pub offset: u16,
}

/// What the device says about a received frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct RxOffload {
    /// About its transport checksum.
    pub checksum: RxChecksum,
    /// The frame is several segments in one.
    pub gso: Option<Gso>,
}

/// A received frame, borrowed. If it lies in a shared buffer, what must be kept is kept by reference;
/// if not, it is copied.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    bytes: &'a [u8],
    backing: Option<&'a Chunk>,
    /// What the device says about it.
    pub offload: RxOffload,
}

impl<'a> Frame<'a> {
    /// A frame that lies anywhere; payload that is kept is copied.
    pub const fn borrowed(bytes: &'a [u8], offload: RxOffload) -> Self {
        Self { bytes, backing: None, offload }
    }

    /// A frame in a shared buffer; payload that is kept shares it.
    pub fn shared(chunk: &'a Chunk, offload: RxOffload) -> Self {
        Self { bytes: chunk, backing: Some(chunk), offload }
    }

    /// Its octets.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// A part of it to keep. Shares the buffer when that wastes less than half of it, copies else, so
    /// that a one-octet segment does not hold a 64 KiB buffer. A range outside is cut.
    pub fn keep(&self, range: Range<usize>) -> Chunk {
        let end = range.end.min(self.bytes.len());
        let start = range.start.min(end);
        match self.backing {
            Some(c) if (end - start) * 2 >= c.backing_len() => c.slice(start..end),
            _ => Chunk::copy_from(&self.bytes[start..end]),
        }
    }
}

impl<'a> From<&'a [u8]> for Frame<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::borrowed(bytes, RxOffload::default())
    }
}

/// A received frame, owned: what [`super::Device::receive`] gives.
#[derive(Clone, Debug)]
pub struct Received {
    /// The frame, from its link header on.
    pub chunk: Chunk,
    /// What the device says about it.
    pub offload: RxOffload,
}

impl Received {
    /// As the machine takes it.
    pub fn as_frame(&self) -> Frame<'_> {
        Frame::shared(&self.chunk, self.offload)
    }
}

/// What the device is asked to do with a frame to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct TxOffload {
    /// Complete this checksum.
    pub checksum: Option<PartialChecksum>,
    /// Cut it into segments (only together with `checksum`).
    pub gso: Option<Gso>,
}

/// A frame to send, in pieces that lie where they lie: headers in one, payload in the others.
#[derive(Clone, Copy, Debug)]
pub struct TxFrame<'a> {
    /// Link, IP and transport headers.
    pub header: &'a [u8],
    /// The payload, in order.
    pub payload: &'a [&'a [u8]],
    /// What the device should do.
    pub offload: TxOffload,
}

impl TxFrame<'_> {
    /// All octets of the frame.
    pub fn len(&self) -> usize {
        self.header.len() + self.payload_len()
    }

    /// Has it none?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Octets after the headers.
    pub fn payload_len(&self) -> usize {
        self.payload.iter().map(|p| p.len()).sum()
    }

    /// Copies all of it, one after the other, into `out`; returns the length.
    /// Octets that do not fit are left out.
    pub fn copy_to(&self, out: &mut [u8]) -> usize {
        let mut at = 0;
        for piece in core::iter::once(&self.header).chain(self.payload) {
            let n = piece.len().min(out.len() - at);
            out[at..at + n].copy_from_slice(&piece[..n]);
            at += n;
        }
        at
    }

    /// One owned copy, as a receiver on the same machine would see it.
    pub fn to_chunk(&self) -> Chunk {
        let mut v = alloc::vec![0; self.len()];
        self.copy_to(&mut v);
        Chunk::copy_from(&v)
    }
}

/// The device cannot take a frame now; the machine keeps it and tries again at the next
/// `poll_transmit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// Where `Stack::poll_transmit` puts frames.
pub trait Sink {
    /// Sends a frame on an interface. It fits the capabilities that the interface was added with.
    ///
    /// # Errors
    /// [`Busy`] if the device cannot take it now. A frame that can never be sent is the device's to
    /// count and to forget.
    fn transmit(&mut self, iface: IfaceId, frame: &TxFrame<'_>) -> Result<(), Busy>;
}

impl<F: FnMut(IfaceId, &TxFrame<'_>) -> Result<(), Busy>> Sink for F {
    fn transmit(&mut self, iface: IfaceId, frame: &TxFrame<'_>) -> Result<(), Busy> {
        self(iface, frame)
    }
}

/// A frame that waits: for the device, or for a neighbour's link address.
#[derive(Clone, Debug)]
pub(crate) struct OwnedFrame {
    /// The whole frame.
    pub bytes: alloc::vec::Vec<u8>,
    /// How many of its first octets are headers.
    pub header_len: usize,
    /// What is still to be done with it.
    pub offload: TxOffload,
    /// The IP destination that hears of it if the frame cannot be sent; `None` for ARP and NDP.
    pub dst: Option<core::net::IpAddr>,
}

impl OwnedFrame {
    /// Copies a frame.
    pub fn copy_from(frame: &TxFrame<'_>, dst: Option<core::net::IpAddr>) -> Self {
        let mut bytes = alloc::vec::Vec::with_capacity(frame.len());
        bytes.extend_from_slice(frame.header);
        for piece in frame.payload {
            bytes.extend_from_slice(piece);
        }
        Self { bytes, header_len: frame.header.len(), offload: frame.offload, dst }
    }

    /// Shows it as a frame to send.
    pub fn with<R>(&self, f: impl FnOnce(&TxFrame<'_>) -> R) -> R {
        let (header, payload) = self.bytes.split_at(self.header_len.min(self.bytes.len()));
        let pieces = [payload];
        let payload = if payload.is_empty() { &[][..] } else { &pieces[..] };
        f(&TxFrame { header, payload, offload: self.offload })
    }
}
