//! Devices: where frames come from and go to. The only part of the library with system calls.
//!
//! Every device is a [`Device`](crate::link::Device): two plain calls that never block. Middleware is a device around a
//! device, so they stack: `Capture::new(Impair::new(Tap::open(..)?, config), ..)` shows what the
//! stack saw, the other way round what was on the link.
//!
//! Read in this order:
//!
//! - [`error`]: what opening a device can fail with, in one sentence.
//! - [`vnet`]: struct virtio_net_hdr, which TAP and AF_PACKET put before each frame.
//! - [`tap`]: an Ethernet interface of the kernel whose cable ends here.
//! - [`packet`]: a raw socket on an interface that exists.
//! - [`wire`]: endpoints joined in memory, for virtual time and for threads.
//! - `segment`: cutting super-segments and completing checksums, for the two below.
//! - [`impair`]: delay, loss, reordering, duplication, corruption, rate and MTU, seeded.
//! - [`pcapng`], [`capture`]: what passed, in a file.
//! - `sys`: the system calls. Nowhere else is `unsafe`.

pub mod capture;
pub mod error;
pub mod impair;
pub mod pcapng;
mod segment;
pub mod vnet;
pub mod wire;

#[cfg(target_os = "linux")]
pub mod packet;
#[cfg(target_os = "linux")]
mod port;
#[cfg(target_os = "linux")]
mod sys;
#[cfg(target_os = "linux")]
pub mod tap;

pub use capture::{Capture, CaptureHandle, CaptureOptions};
pub use error::DeviceError;
pub use impair::{Impair, ImpairConfig};
pub use pcapng::PcapngWriter;
pub use wire::{Wire, WireEnd, WireOptions};

#[cfg(target_os = "linux")]
pub use packet::{Packet, PacketOptions};
#[cfg(target_os = "linux")]
pub use tap::{Tap, TapOptions};

use core::hash::Hasher;
use siphasher::sip::SipHasher24;

/// What a device did with frames that it could not pass on. All zero on a healthy device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceCounters {
    /// Received frames that did not fit the buffer (a frame larger than 64 KiB).
    pub rx_truncated: u64,
    /// Received frames with an offload header that cannot be understood.
    pub rx_unsupported: u64,
    /// Frames that the kernel refused for what they are (`EINVAL`, `EMSGSIZE`): lost.
    pub tx_rejected: u64,
    /// Frames that a full queue behind the device swallowed (`ENOBUFS`, `ENOMEM`): lost.
    pub tx_dropped: u64,
}

/// A stable MAC address for a stack on the interface `name`: locally administered, unicast, the same
/// at every start, and not `taken` (the address that the kernel itself uses on that interface).
pub fn derive_mac(name: &str, taken: [u8; 6]) -> [u8; 6] {
    // Fixed keys: the address must be the same tomorrow. It keeps nothing secret.
    let mut h = SipHasher24::new_with_keys(0x7769_7265_7374_6163, 0x6b20_6d61_6320_3031);
    h.write(name.as_bytes());
    let b = h.finish().to_be_bytes();
    let mut mac = [0x02, b[1], b[2], b[3], b[4], b[5]];
    if mac == taken {
        mac[5] ^= 1;
    }
    mac
}

#[cfg(all(test, target_os = "linux"))]
mod kernel_tests;

#[cfg(test)]
mod tests {
    use super::*;
    use std::boxed::Box;
    use std::io::Write;

    /// The runtime moves a device to the thread that serves it.
    #[test]
    fn every_device_can_move_to_another_thread() {
        fn is_send<T: Send + 'static>() {}
        is_send::<Capture<Impair<WireEnd>, Box<dyn Write + Send>>>();
        is_send::<CaptureHandle<Box<dyn Write + Send>>>();
        #[cfg(target_os = "linux")]
        is_send::<(Tap, Packet)>();
    }

    #[test]
    fn a_derived_mac_is_local_unicast_stable_and_not_the_kernels() {
        let mac = derive_mac("tap0", [0; 6]);
        assert_eq!(mac[0] & 3, 2);
        assert_eq!(mac, derive_mac("tap0", [0; 6]));
        assert_ne!(mac, derive_mac("tap1", [0; 6]));
        assert_ne!(mac, derive_mac("tap0", mac));
    }
}
