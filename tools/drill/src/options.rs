//! Socket options by the numbers of Linux: level and name, and values that are one number.

use std::time::Duration;
use wirestack::Errno;
use wirestack::socket::{OptionName as N, SocketOption as O};

const SOCKET: i64 = 1;
const IP: i64 = 0;
const TCP: i64 = 6;
const IPV6: i64 = 41;

/// The option by its level and number.
pub fn name(level: i64, number: i64) -> Option<N> {
    Some(match (level, number) {
        (SOCKET, 2) => N::ReuseAddr,
        (SOCKET, 6) => N::Broadcast,
        (SOCKET, 7 | 32) => N::SendBuffer,
        (SOCKET, 8 | 33) => N::RecvBuffer,
        (SOCKET, 9) => N::KeepAlive,
        (SOCKET, 10) => N::OobInline,
        (SOCKET, 13) => N::Linger,
        (SOCKET, 15) => N::ReusePort,
        (SOCKET, 18) => N::RecvLowAt,
        (SOCKET, 20) => N::RecvTimeout,
        (SOCKET, 21) => N::SendTimeout,
        (TCP, 1) => N::NoDelay,
        (TCP, 2) => N::MaxSegment,
        (TCP, 3) => N::Cork,
        (TCP, 4) => N::KeepIdle,
        (TCP, 5) => N::KeepInterval,
        (TCP, 6) => N::KeepCount,
        (TCP, 7) => N::SynCount,
        (TCP, 8) => N::FinWait2,
        (TCP, 10) => N::WindowClamp,
        (TCP, 12) => N::QuickAck,
        (TCP, 13) => N::Congestion,
        (TCP, 18) => N::UserTimeout,
        (TCP, 25) => N::NotSentLowAt,
        (IP, 1) | (IPV6, 67) => N::TrafficClass,
        (IP, 2) | (IPV6, 16) => N::HopLimit,
        (IP, 3) => N::HeaderIncluded,
        (IP, 10) | (IPV6, 23) => N::DontFragment,
        (IPV6, 26) => N::V6Only,
        _ => return None,
    })
}

/// The option with a value that is one number.
///
/// # Errors
/// `EINVAL` for a number that cannot be its value, `ENOPROTOOPT` for an option whose value is no number.
pub fn from_number(name: N, n: i64) -> Result<O, Errno> {
    let on = n != 0;
    let size = n.max(0) as usize;
    let seconds = Duration::from_secs(n.max(0) as u64);
    Ok(match name {
        N::ReuseAddr => O::ReuseAddr(on),
        N::ReusePort => O::ReusePort(on),
        N::KeepAlive => O::KeepAlive(on),
        N::Broadcast => O::Broadcast(on),
        N::OobInline => O::OobInline(on),
        N::RecvBuffer => O::RecvBuffer(size),
        N::SendBuffer => O::SendBuffer(size),
        N::RecvLowAt => O::RecvLowAt(size),
        N::NoDelay => O::NoDelay(on),
        N::Cork => O::Cork(on),
        N::QuickAck => O::QuickAck(on),
        N::MaxSegment => O::MaxSegment(u16::try_from(n).map_err(|_| Errno::EINVAL)?),
        N::KeepIdle => O::KeepIdle(seconds),
        N::KeepInterval => O::KeepInterval(seconds),
        N::KeepCount => O::KeepCount(size as u32),
        N::SynCount => O::SynCount(size as u32),
        N::FinWait2 => O::FinWait2((n >= 0).then_some(seconds)),
        N::UserTimeout if n < 0 => return Err(Errno::EINVAL),
        N::UserTimeout => O::UserTimeout(Duration::from_millis(n as u64)),
        N::NotSentLowAt => O::NotSentLowAt(n as u32),
        N::WindowClamp => O::WindowClamp(n as u32),
        N::TrafficClass => O::TrafficClass(n as u8),
        N::HopLimit if n == -1 => O::HopLimit(None),
        N::HopLimit => O::HopLimit(Some(u8::try_from(n).map_err(|_| Errno::EINVAL)?)),
        N::V6Only => O::V6Only(on),
        N::HeaderIncluded => O::HeaderIncluded(on),
        // IP_PMTUDISC_WANT and IP_PMTUDISC_DO.
        N::DontFragment => O::DontFragment(n == 1 || n == 2),
        _ => return Err(Errno::ENOPROTOOPT),
    })
}

/// The value of an option as one number, if it is one.
pub fn to_number(option: &O) -> Option<i64> {
    Some(match *option {
        O::ReuseAddr(on)
        | O::ReusePort(on)
        | O::KeepAlive(on)
        | O::Broadcast(on)
        | O::OobInline(on)
        | O::NoDelay(on)
        | O::Cork(on)
        | O::QuickAck(on)
        | O::V6Only(on)
        | O::HeaderIncluded(on)
        | O::DontFragment(on) => i64::from(on),
        O::RecvBuffer(n) | O::SendBuffer(n) | O::RecvLowAt(n) => n as i64,
        O::MaxSegment(n) => i64::from(n),
        O::KeepIdle(d) | O::KeepInterval(d) => d.as_secs() as i64,
        O::FinWait2(d) => d.map_or(-1, |d| d.as_secs() as i64),
        O::UserTimeout(d) => d.as_millis() as i64,
        O::KeepCount(n) | O::SynCount(n) => i64::from(n),
        O::NotSentLowAt(n) | O::WindowClamp(n) => i64::from(n as i32),
        O::TrafficClass(n) => i64::from(n),
        O::HopLimit(n) => i64::from(n.unwrap_or(64)),
        _ => return None,
    })
}
