use super::*;
use crate::link::{Gso, GsoKind, PartialChecksum, TxOffload};
use std::vec;

const NOW: Instant = Instant::ZERO;

fn frame(dst: u8, src: u8, text: &[u8]) -> Vec<u8> {
    let mut f = vec![2, 0, 0, 0, 0, dst, 2, 0, 0, 0, 0, src, 0x88, 0xb5];
    if dst == 0xff {
        f[..6].fill(0xff);
    }
    f.extend_from_slice(text);
    f
}

fn send(end: &mut WireEnd, bytes: &[u8]) -> Result<(), TxError> {
    let (header, payload) = bytes.split_at(14);
    end.transmit(NOW, &TxFrame { header, payload: &[payload], offload: TxOffload::default() })
}

fn take(end: &mut WireEnd) -> Option<Vec<u8>> {
    end.receive(NOW).unwrap().map(|r| r.chunk.to_vec())
}

#[test]
fn a_cable_keeps_order_and_does_not_echo() {
    let [mut a, mut b] = Wire::pair(WireOptions::default());
    send(&mut a, &frame(2, 1, b"one")).unwrap();
    send(&mut a, &frame(9, 1, b"two")).unwrap();
    assert_eq!(take(&mut b).unwrap(), frame(2, 1, b"one"));
    assert_eq!(take(&mut b).unwrap(), frame(9, 1, b"two"));
    assert_eq!((take(&mut b), take(&mut a)), (None, None));
}

#[test]
fn offloads_arrive_as_they_left() {
    let [mut a, mut b] = Wire::pair(WireOptions::OFFLOAD);
    let checksum = PartialChecksum { start: 34, offset: 16 };
    let gso = Gso { kind: GsoKind::Tcp4, size: 1448, ecn: true };
    let payload = vec![7; 60_000];
    let offload = TxOffload { checksum: Some(checksum), gso: Some(gso) };
    a.transmit(NOW, &TxFrame { header: &[1; 66], payload: &[&payload[..100], &payload[100..]], offload })
        .unwrap();
    let r = b.receive(NOW).unwrap().unwrap();
    assert_eq!(r.chunk.len(), 60_066);
    assert_eq!(r.offload, RxOffload { checksum: RxChecksum::Partial(checksum), gso: Some(gso) });
}

#[test]
fn a_switch_learns_and_floods_what_it_does_not_know() {
    let mut ends = Wire::new(3, WireOptions::default());
    send(&mut ends[0], &frame(0xff, 10, b"hello")).unwrap();
    assert!(take(&mut ends[1]).is_some() && take(&mut ends[2]).is_some());
    send(&mut ends[1], &frame(10, 11, b"only for the first")).unwrap();
    assert!(take(&mut ends[0]).is_some() && take(&mut ends[2]).is_none());
    send(&mut ends[0], &frame(99, 10, b"unknown")).unwrap();
    assert!(take(&mut ends[1]).is_some() && take(&mut ends[2]).is_some());
    // The host moves.
    send(&mut ends[2], &frame(0xff, 10, b"here now")).unwrap();
    take(&mut ends[0]);
    take(&mut ends[1]);
    send(&mut ends[1], &frame(10, 11, b"again")).unwrap();
    assert!(take(&mut ends[2]).is_some() && take(&mut ends[0]).is_none());
}

#[test]
fn a_full_queue_is_busy_or_drops_as_asked() {
    let [mut a, mut b] = Wire::pair(WireOptions { queue: 2, ..WireOptions::PLAIN });
    for _ in 0..2 {
        send(&mut a, &frame(2, 1, b"x")).unwrap();
    }
    assert_eq!(send(&mut a, &frame(2, 1, b"x")), Err(TxError::Busy));
    take(&mut b);
    assert_eq!(send(&mut a, &frame(2, 1, b"x")), Ok(()));

    let [mut a, mut b] = Wire::pair(WireOptions { queue: 2, full: WhenFull::Drop, ..WireOptions::PLAIN });
    for n in 0..3 {
        send(&mut a, &frame(2, 1, &[n])).unwrap();
    }
    assert_eq!(a.counters(), WireCounters { frames: 3, delivered: 2, overflow: 1, oversized: 0 });
    assert_eq!((b.waiting(), take(&mut b).unwrap()[14]), (2, 0));
}

#[test]
fn a_frame_beyond_the_mtu_is_lost_and_counted() {
    let [mut a, mut b] = Wire::pair(WireOptions::OFFLOAD);
    send(&mut a, &frame(2, 1, &[0; 1500])).unwrap();
    send(&mut a, &frame(2, 1, &[0; 1501])).unwrap();
    assert!(take(&mut b).is_some() && take(&mut b).is_none());
    assert_eq!(a.counters().oversized, 1);
}

#[test]
fn a_pulled_plug_swallows_frames_and_refuses_nobody() {
    let [mut a, b] = Wire::pair(WireOptions { queue: 1, ..WireOptions::PLAIN });
    send(&mut a, &frame(2, 1, b"x")).unwrap();
    assert_eq!(send(&mut a, &frame(2, 1, b"x")), Err(TxError::Busy));
    drop(b);
    assert_eq!(send(&mut a, &frame(2, 1, b"x")), Ok(()));
}

#[test]
#[cfg(target_os = "linux")]
fn the_descriptor_is_readable_while_frames_wait_and_when_there_is_room_again() {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let readable = |end: &WireEnd| {
        let fd = end.as_fd().unwrap();
        let mut fds = [PollFd::new(&fd, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 1
    };
    let [mut a, mut b] = Wire::pair(WireOptions { queue: 1, wake: true, ..WireOptions::PLAIN });
    assert!(!readable(&b));
    send(&mut a, &frame(2, 1, b"x")).unwrap();
    assert!(readable(&b) && !readable(&a));
    assert_eq!(send(&mut a, &frame(2, 1, b"y")), Err(TxError::Busy));
    take(&mut b);
    assert!(readable(&a), "room for the refused frame");
    assert_eq!((take(&mut a), take(&mut b)), (None, None));
    assert!(!readable(&a) && !readable(&b));
}

#[test]
fn a_sleeper_in_another_thread_is_woken() {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let [mut a, mut b] = Wire::pair(WireOptions { wake: true, ..WireOptions::PLAIN });
    let sleeper = std::thread::spawn(move || {
        let fd = b.as_fd().unwrap();
        let limit = Timespec { tv_sec: 10, tv_nsec: 0 };
        assert_eq!(poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&limit)), Ok(1), "woken in time");
        take(&mut b).unwrap()
    });
    send(&mut a, &frame(2, 1, b"wake up")).unwrap();
    assert_eq!(sleeper.join().unwrap(), frame(2, 1, b"wake up"));
}
