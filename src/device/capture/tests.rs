use super::*;
use crate::device::segment::tests::{is_sound, make_partial, tcp_frame};
use crate::device::wire::{Wire, WireOptions};
use crate::link::{GsoKind, TxOffload};
use pcap_parser::traits::{PcapNGPacketBlock, PcapReaderIterator};
use pcap_parser::{Block, OptionCode, PcapBlockOwned, PcapError, PcapNGReader};
use std::io::Cursor;
use std::vec;

/// A file that can be looked at afterwards.
#[derive(Clone, Debug, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Write for Memory {
    fn write(&mut self, b: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(b)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Seen {
    time: u64,
    flags: u32,
    data: Vec<u8>,
    original: u32,
    comments: Vec<String>,
}

/// Reads a file back with an independent reader: the names of its interfaces and its packets.
fn read(file: &[u8]) -> (Vec<(String, i32, u8)>, Vec<Seen>) {
    let (mut interfaces, mut packets) = (vec![], vec![]);
    let mut reader = PcapNGReader::new(1 << 18, Cursor::new(file)).unwrap();
    loop {
        match reader.next() {
            Ok((n, PcapBlockOwned::NG(block))) => {
                match block {
                    Block::InterfaceDescription(i) => {
                        let name = i.options.iter().find(|o| o.code == OptionCode::IfName).unwrap();
                        let name = std::str::from_utf8(name.as_bytes().unwrap()).unwrap().to_string();
                        interfaces.push((name, i.linktype.0, i.if_tsresol));
                    }
                    Block::EnhancedPacket(p) => {
                        let flags = p.options.iter().find(|o| o.code == OptionCode(2));
                        let flags =
                            flags.map_or(0, |o| u32::from_le_bytes(o.value()[..4].try_into().unwrap()));
                        let comments = p.options.iter().filter(|o| o.code == OptionCode::Comment);
                        packets.push(Seen {
                            time: u64::from(p.ts_high) << 32 | u64::from(p.ts_low),
                            flags,
                            data: p.packet_data()[..p.caplen as usize].to_vec(),
                            original: p.origlen,
                            comments: comments
                                .map(|o| std::str::from_utf8(o.as_bytes().unwrap()).unwrap().to_string())
                                .collect(),
                        });
                    }
                    _ => {}
                }
                reader.consume(n);
            }
            Ok(_) => panic!("not pcapng"),
            Err(PcapError::Eof) => return (interfaces, packets),
            Err(PcapError::Incomplete(_)) => reader.refill().unwrap(),
            Err(e) => panic!("{e:?}"),
        }
    }
}

fn options(name: &str) -> CaptureOptions {
    CaptureOptions { interface: name.to_string(), ..CaptureOptions::default() }
}

/// A super-segment out, a frame in, over a wire with offloads.
fn exchange(options: CaptureOptions) -> (Memory, CaptureCounters) {
    let [a, mut b] = Wire::pair(WireOptions::OFFLOAD);
    let file = Memory::default();
    let mut a = Capture::new(a, file.clone(), options).unwrap();
    let handle = a.handle();
    let mut big = tcp_frame(false, &[4; 4000]);
    let checksum = Some(make_partial(&mut big));
    let gso = Some(Gso { kind: GsoKind::Tcp4, size: 1400, ecn: false });
    let payload = [&big[66..1000], &big[1000..]];
    let frame = TxFrame { header: &big[..66], payload: &payload, offload: TxOffload { checksum, gso } };
    a.transmit(Instant::from_nanos(5_000_000_123), &frame).unwrap();
    let mut small = tcp_frame(true, b"answer");
    let checksum = Some(make_partial(&mut small));
    let frame = TxFrame { header: &small, payload: &[], offload: TxOffload { checksum, gso: None } };
    b.transmit(Instant::ZERO, &frame).unwrap();
    assert!(a.receive(Instant::from_nanos(6_000_000_456)).unwrap().is_some());
    drop(a);
    let counters = handle.finish().unwrap();
    (file, counters)
}

#[test]
fn both_directions_are_written_with_completed_checksums() {
    let origin = Duration::from_secs(1_700_000_000);
    let (file, counters) = exchange(CaptureOptions { origin, ..options("tap7") });
    let (interfaces, packets) = read(&file.0.lock().unwrap());
    assert_eq!(interfaces, [("tap7".to_string(), 1, 9)]);
    assert_eq!(counters, CaptureCounters { written: 2, lost: 0 });
    assert_eq!(packets[0].time, 1_700_000_005_000_000_123);
    assert_eq!(packets[1].time, 1_700_000_006_000_000_456);
    assert_eq!((packets[0].flags, packets[1].flags), (2, 1));
    assert_eq!(packets[0].data, tcp_frame(false, &[4; 4000]));
    assert_eq!(packets[1].data, tcp_frame(true, b"answer"));
}

#[test]
fn super_segments_are_cut_on_request() {
    let (file, counters) = exchange(CaptureOptions { cut: true, ..options("x") });
    let (_, packets) = read(&file.0.lock().unwrap());
    assert_eq!(counters.written, 4);
    assert!(packets.iter().all(|p| is_sound(&p.data) && p.data.len() <= 1466));
}

#[test]
fn a_snap_length_cuts_and_tells_the_length_there_was() {
    let (file, _) = exchange(CaptureOptions { snaplen: Some(100), ..options("x") });
    let (_, packets) = read(&file.0.lock().unwrap());
    assert_eq!((packets[0].data.len(), packets[0].original), (100, 4066));
    assert_eq!((packets[1].data.len(), packets[1].original), (92, 92));
}

#[test]
fn comments_and_raw_ip_are_read_back() {
    let mut w = PcapngWriter::new(vec![], "test").unwrap();
    let n = w.add_interface("tun0", LinkType::RawIp, 0).unwrap();
    let p = PacketRecord {
        interface: n,
        timestamp: u64::MAX,
        direction: None,
        data: &[b"\x45", b"abc", b""],
        original_len: None,
        comments: &["first RTO: 1 s", "zweite — Bemerkung"],
    };
    w.write_packet(&p).unwrap();
    assert_eq!(
        w.write_packet(&PacketRecord { interface: 1, ..p }).unwrap_err().kind(),
        io::ErrorKind::InvalidInput
    );
    let long = "é".repeat(40_000);
    w.write_packet(&PacketRecord { comments: &[&long], ..p }).unwrap();
    let (interfaces, packets) = read(&w.into_inner());
    assert_eq!(interfaces, [("tun0".to_string(), 101, 9)]);
    assert_eq!((packets[0].time, packets[0].flags, &packets[0].data[..]), (u64::MAX, 0, &b"\x45abc"[..]));
    assert_eq!(packets[0].comments, ["first RTO: 1 s", "zweite — Bemerkung"]);
    assert_eq!(packets[1].comments, ["é".repeat(32_767)], "cut at a character");
}

/// Takes `0` octets, then the disk is full.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, b: &[u8]) -> io::Result<usize> {
        if self.0 < b.len() {
            return Err(io::Error::from_raw_os_error(28));
        }
        self.0 -= b.len();
        Ok(b.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_told_and_does_not_stop_the_device() {
    let [a, mut b] = Wire::pair(WireOptions::PLAIN);
    let mut a = Capture::new(a, Full(300), options("x")).unwrap();
    let handle = a.handle();
    let frame = tcp_frame(false, b"x");
    for _ in 0..5 {
        a.transmit(Instant::ZERO, &TxFrame { header: &frame, payload: &[], offload: TxOffload::default() })
            .unwrap();
        assert!(b.receive(Instant::ZERO).unwrap().is_some());
    }
    assert_eq!(handle.finish().unwrap_err().raw_os_error(), Some(28));
    assert_eq!(handle.finish().unwrap_err().raw_os_error(), Some(28), "told again");
    let c = handle.counters();
    assert_eq!((c.written + c.lost, c.lost > 0), (5, true));
}

/// tshark is the reader that people use.
#[test]
fn tshark_reads_it_and_finds_no_bad_checksum() {
    let Ok(version) = std::process::Command::new("tshark").arg("--version").output() else {
        assert!(std::env::var_os("CI").is_none(), "tshark is missing");
        std::eprintln!("skipped: tshark is not installed");
        return;
    };
    assert!(version.status.success());
    for cut in [false, true] {
        let (file, counters) = exchange(CaptureOptions { cut, ..options("tap7") });
        let name = std::format!("wirestack-{}-{cut}.pcapng", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, &*file.0.lock().unwrap()).unwrap();
        let out = std::process::Command::new("tshark")
            .args(["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-T", "fields"])
            .args(["-e", "frame.interface_name", "-e", "tcp.checksum.status", "-e", "_ws.malformed", "-r"])
            .arg(&path)
            .output();
        std::fs::remove_file(&path).unwrap();
        let out = out.unwrap();
        let text = String::from_utf8(out.stdout).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len() as u64, counters.written, "{text} {}", String::from_utf8_lossy(&out.stderr));
        // 1: the checksum is good.
        assert!(lines.iter().all(|l| l.trim_end() == "tap7\t1"), "{text}");
    }
}
