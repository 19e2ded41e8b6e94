//! Writes the seed corpora: `cargo run -p wirestack-fuzzing --example seeds`. Findings of the past
//! (`finding-*`) stay.
//!
//! A seed of `frame` is the setting and one or a few actions; its name begins with the line of hostile
//! input that it stands for (1 header lengths .. 26 ICMP). A seed of `operations` is a dialogue.

use std::fs;
use std::path::PathBuf;

/// Actions of the target `frame`, written as it reads them.
struct Seed(Vec<u8>);

const ALL: u16 = 0xffff;

impl Seed {
    fn new(cast: u16, irs: u32) -> Self {
        Self::looking(0, cast, irs)
    }

    fn looking(look: u8, cast: u16, irs: u32) -> Self {
        let mut s = vec![look];
        s.extend(cast.to_be_bytes());
        s.extend(irs.to_be_bytes());
        Self(s)
    }

    fn put(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    /// A segment at RCV.NXT that acknowledges everything: flags, urgent pointer, payload length.
    fn segment(self, peer: u8, flags: u8, urgent: u16, len: u16) -> Self {
        let s = self.put(&[0, peer, 0, flags, 4, 0]);
        let s = if flags & 32 != 0 { s.put(&urgent.to_be_bytes()) } else { s };
        s.put(&len.to_be_bytes()).put(b"x")
    }

    /// A segment away from RCV.NXT and SND.NXT.
    fn shifted(self, peer: u8, seq: i16, ack: i16, flags: u8, window: u16, len: u16) -> Self {
        let s = self.put(&[0, peer, 2 | 0x10]).put(&seq.to_be_bytes()).put(&ack.to_be_bytes());
        let s = s.put(&[flags]).put(&window.to_be_bytes());
        let s = if flags & 32 != 0 { s.put(&[0, 3]) } else { s };
        s.put(&len.to_be_bytes()).put(b"y")
    }

    /// A segment with raw options.
    fn options(self, peer: u8, flags: u8, options: &[u8]) -> Self {
        let s = self.put(&[0, peer, 0x20, flags, 4, 0]);
        let s = if flags & 32 != 0 { s.put(&[0, 1]) } else { s };
        s.put(&[options.len() as u8]).put(options).put(&[0, 5, b'z'])
    }

    /// SACK blocks from SND.UNA: offset and length.
    fn sack(self, peer: u8, blocks: &[(i16, u16)]) -> Self {
        let mut s = self.put(&[0, peer, 0x40 | 8, 16, 4, 0, blocks.len() as u8 - 1]);
        for (at, len) in blocks {
            s = s.put(&at.to_be_bytes()).put(&len.to_be_bytes());
        }
        s.put(&[0, 0, 0])
    }

    /// A super-segment with a damaged or no checksum.
    fn super_segment(self, peer: u8, flags: u8, len: u16, size: u16) -> Self {
        let s = self.put(&[0, peer, 0x80, flags, 4, 0]);
        let s = if flags & 32 != 0 { s.put(&[0, 9]) } else { s };
        s.put(&len.to_be_bytes()).put(b"s").put(&[1]).put(&size.to_be_bytes()).put(&[0, 0])
    }

    fn raw(self, how: u8, bytes: &[u8]) -> Self {
        self.put(&[8, how]).put(&(bytes.len() as u16).to_be_bytes()).put(bytes)
    }

    fn pass(self, code: u8) -> Self {
        self.put(&[9, code])
    }

    fn icmp(self, peer: u8, ty: u8, code: u8, word: u32, seq: i16, quote: u8) -> Self {
        let s = self.put(&[10, peer, ty, code]).put(&word.to_be_bytes());
        s.put(&seq.to_be_bytes()).put(&[quote])
    }

    fn fragments(self, size: u16, pieces: &[(u16, u16, bool)]) -> Self {
        let mut s = self.put(&[11]).put(&size.to_be_bytes()).put(&[pieces.len() as u8 - 1]);
        for (at, len, more) in pieces {
            s = s.put(&at.to_be_bytes()).put(&len.to_be_bytes()).put(&[u8::from(*more)]);
        }
        s
    }
}

/// An IPv4 header with a given total length, first octet and protocol, and no checksum.
fn ipv4(first: u8, total: u16, protocol: u8) -> Vec<u8> {
    let mut p = vec![first, 0];
    p.extend(total.to_be_bytes());
    p.extend([0, 1, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1]);
    let mut sum: u32 = p.chunks(2).map(|c| u32::from(c[0]) << 8 | u32::from(c[1])).sum();
    sum = (sum & 0xffff) + (sum >> 16);
    p[10..12].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    p.extend([0x12, 0x34, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 4, 0, 0, 0, 0, 0]);
    p
}

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const PSH: u8 = 8;
const ACK: u8 = 16;
const URG: u8 = 32;
const ECE: u8 = 64;
const CWR: u8 = 128;

fn frames() -> Vec<(&'static str, Seed)> {
    let mut all =
        vec![
            (
                "01-data-offset",
                Seed::new(0, 1)
                    .raw(0x2c, &[0x12, 0x34, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x40, 2, 4, 0, 0, 0, 0, 0])
                    .raw(0x2c, &[0x12, 0x34, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0xf0, 2, 4, 0, 0, 0, 0, 0]),
            ),
            (
                "01-total-length",
                Seed::new(0, 1)
                    .raw(8, &ipv4(0x45, 12, 6))
                    .raw(8, &ipv4(0x45, 4000, 6))
                    .raw(8, &ipv4(0x45, 38, 6)),
            ),
            (
                "02-version",
                Seed::new(0, 1)
                    .raw(8, &ipv4(0x44, 40, 6))
                    .raw(8, &ipv4(0x65, 40, 6))
                    .raw(8, &[])
                    .raw(4, &ipv4(0x95, 40, 6)),
            ),
            (
                "04-mss-scale",
                Seed::new(0, 1).put(&[13, 0, 1]).options(0, SYN, &[2, 4, 0, 0, 3, 3, 255]).options(
                    0,
                    SYN,
                    &[2, 4, 0, 1, 3, 3, 15],
                ),
            ),
            ("06-land", Seed::new(0, 1).raw(8, &ipv4(0x45, 40, 6)).put(&[13, 0, 40])),
            (
                "08-urgent-again",
                Seed::new(2, u32::MAX - 60)
                    .segment(0, ACK | URG, 3, 10)
                    .segment(0, ACK | URG, 2, 10)
                    .segment(0, ACK | URG, 60_000, 10)
                    .put(&[14, 6, 1, 1, 14, 6, 0, 0, 64]),
            ),
            (
                "10-inline-toggle",
                Seed::new(2, 9)
                    .put(&[14, 6, 10, 3, 1, 14, 6, 1, 1, 14, 6, 10, 3, 0, 14, 6, 1, 1, 14, 6, 1, 2]),
            ),
            (
                "13-ack-storm",
                Seed::new(ALL, 5)
                    .shifted(0, 0, 30_000, ACK, 100, 0)
                    .shifted(0, 0, -30_000, ACK, 100, 0)
                    .shifted(5, 0, 1, ACK, 100, 0),
            ),
            (
                "14-old-ack-new-data",
                Seed::new(4, 5).shifted(0, 0, -4000, ACK, 100, 50).shifted(0, -20, -4000, ACK, 1, 50),
            ),
            (
                "15-fin-out-of-order",
                Seed::new(0x7ff, 5)
                    .shifted(0, 40, 0, ACK | FIN, 100, 5)
                    .shifted(0, 0, 0, ACK, 100, 60)
                    .shifted(1, 20, 0, ACK | FIN, 100, 0),
            ),
            (
                "16-split-handshake",
                Seed::new(0x38, 5)
                    .segment(0, SYN, 0, 0)
                    .segment(1, SYN | ACK, 0, 0)
                    .segment(1, ACK | FIN, 0, 100)
                    .segment(2, ACK, 0, 1),
            ),
            (
                "18-window-to-zero",
                Seed::new(0x2004, 5)
                    .put(&[0, 0, 0, ACK, 0, 0, 0, 0, 0])
                    .pass(200)
                    .put(&[0, 0, 0, ACK, 4, 0, 0, 0, 0]),
            ),
            ("19-silent-peer", Seed::new(0x6c0, 5).pass(255).pass(255)),
            (
                "20-alternate-octets",
                (0..40).fold(Seed::new(1, u32::MAX - 20), |s, i| s.shifted(0, 80 - 2 * i, 0, ACK, 100, 1)),
            ),
            ("20-overlaps", (0..30).fold(Seed::new(1, 5), |s, i| s.shifted(0, 300 - 9 * i, 0, ACK, 100, 40))),
            (
                "21-sack-panic",
                (0..20).fold(Seed::new(0x8004, 5), |s, i| {
                    s.sack((i & 1) as u8, &[(88 * i, 88), (9000, 1), (-50, 20), (400, 10)])
                }),
            ),
            (
                "21-reneging",
                Seed::new(4, 5)
                    .sack(0, &[(1400, 7000)])
                    .sack(0, &[(1400, 1400)])
                    .pass(150)
                    .sack(0, &[(0, 1)])
                    .pass(200),
            ),
            ("22-syn-flood", Seed::new(1, 5).put(&[13, 0, 255]).put(&[13, 4, 255]).pass(230)),
            (
                "23-ack-splitting",
                (0..30).fold(Seed::new(4, 5), |s, _| s.put(&[0, 0, 0x18, 0, 1, ACK, 4, 0, 0, 0, 0])),
            ),
            (
                "24-rst-in-window",
                (0..20).fold(Seed::new(3, 5), |s, i| s.shifted((i & 1) as u8, 10 + i, 0, RST, 0, 0)),
            ),
            (
                "25-timestamps",
                Seed::new(7, 5)
                    .put(&[0, 0, 0x60, ACK, 4, 0, 0x7f, 0xff, 5, 0xb4, 7, 0, 9, b't'])
                    .put(&[0, 1, 0x60, ACK, 4, 0, 0x80, 0, 5, 0xb4, 7, 0, 9, b't']),
            ),
            (
                "27-fragments",
                Seed::new(0, 5).fragments(100, &[(0, 48, true), (6, 60, false)]).fragments(
                    3000,
                    &[(8189, 1000, true), (0, 8, true), (0, 8, true), (0, 0, true), (1, 1480, false)],
                ),
            ),
            (
                "29-arp",
                Seed::new(0, 5).raw(
                    0,
                    &[
                        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1,
                        2, 0, 0, 0, 0, 9, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 1,
                    ],
                ),
            ),
            (
                "31-udp",
                Seed::new(0, 5)
                    .put(&[12, 0, 0, 0, 9, 1, 0, 40])
                    .put(&[12, 1, 1, 0, 9, 3, 0, 40])
                    .put(&[12, 0, 0, 0, 54, 2, 5, 0]),
            ),
            (
                "34-super-segments",
                Seed::new(3, 5)
                    .super_segment(0, ACK | PSH, 20_000, 1448)
                    .super_segment(1, ACK | FIN | URG, 9000, 536)
                    .super_segment(0, ACK | FIN | CWR, 0, 1),
            ),
        ];
    for (name, look) in [
        ("normal-freebsd", 1),
        ("normal-rfc", 2),
        ("normal-no-timestamps", 4),
        ("normal-no-sack", 8),
        ("normal-no-scale", 16),
        ("normal-events", 32),
        ("normal-orphans", 64),
        ("normal-bare", 28),
    ] {
        let s = Seed::looking(look, ALL, 0x7fff_ffff);
        let s = (0..14).fold(s, |s, p| s.segment(p, ACK | PSH, 0, 500).segment(p, ACK, 0, 0));
        all.push((name, s.put(&[14, 6, 2, 4, 0]).pass(130).segment(1, ACK | FIN, 0, 3).pass(160)));
    }
    for (name, options) in [
        ("03-length-0", &[9u8, 0, 1, 1][..]),
        ("03-length-1", &[9, 1]),
        ("03-past-end", &[2, 40, 1, 1]),
        ("03-kind-last", &[1, 1, 1, 8]),
        ("03-forty-nops", &[1; 40]),
        ("03-eol-garbage", &[0, 9, 0, 255]),
        ("03-mss-3", &[2, 3, 1, 2, 5, 1, 2, 3]),
        ("03-twice", &[2, 4, 1, 1, 2, 4, 2, 2, 3, 3, 1, 3, 3, 2]),
        ("03-sack-odd", &[5, 9, 0, 0, 0, 0, 0, 0, 0]),
        ("03-syn-only", &[4, 2, 3, 3, 2, 2, 4, 5, 5]),
        ("03-ts-9", &[8, 9, 1, 1, 1, 1, 1, 1, 1]),
        ("03-ao-urg", &[29, 3, 1, 19, 18, 0]),
    ] {
        all.push((
            name,
            Seed::new(0x10f, 5)
                .options(0, SYN, options)
                .options(1, ACK | URG, options)
                .options(2, ACK, options)
                .put(&[13, 0, 2]),
        ));
    }
    let flags = [
        ("05-syn-fin", SYN | FIN),
        ("05-syn-rst", SYN | RST),
        ("05-fin-alone", FIN),
        ("05-null", 0),
        ("05-xmas", 0xff),
        ("05-syn-urg", SYN | URG),
        ("05-syn-ece-cwr", SYN | ECE | CWR),
        ("11-rst", RST),
        ("11-rst-ack", RST | ACK),
        ("12-syn", SYN),
        ("12-syn-ack", SYN | ACK),
        ("09-urg-fin", ACK | FIN | URG),
        ("09-urg-rst", RST | URG),
    ];
    for (name, flags) in flags {
        let s = (0..16).fold(Seed::new(ALL, 5), |s, p| s.segment(p, flags, 1, u16::from(p) * 7));
        all.push((name, s.pass(140)));
    }
    for (name, seq) in
        [("11-edges-0", 0), ("11-edges-1", 1), ("11-edges-minus-1", -1), ("11-edges-far", 30_000)]
    {
        let s = (0..16).fold(Seed::new(ALL, 0x7fff_fffe), |s, p| {
            s.shifted(p, seq, 0, RST, 0, 0).shifted(p, seq, 0, SYN, 0, 0)
        });
        all.push((name, s));
    }
    for (name, urgent) in
        [("07-pointer-0", 0u16), ("07-pointer-len", 5), ("07-pointer-beyond", 6), ("07-pointer-max", 65_535)]
    {
        let s = (0..16).fold(Seed::new(ALL, u32::MAX - 2), |s, p| s.segment(p, ACK | URG, urgent, 5));
        all.push((name, s.segment(0, ACK | URG, urgent, 0).put(&[14, 6, 1, 1])));
    }
    for (name, irs) in
        [("17-wrap-max", u32::MAX), ("17-wrap-half", 0x7fff_ffff), ("17-wrap-high", 0x8000_0000)]
    {
        let s = (0..16).fold(Seed::new(ALL, irs), |s, p| s.segment(p, ACK, 0, 1000));
        all.push((name, s.pass(100)));
    }
    for (i, mtu) in [0u32, 1, 68, 1280, 1400, 9000].into_iter().enumerate() {
        let name = ["26-mtu-0", "26-mtu-1", "26-mtu-68", "26-mtu-1280", "26-mtu-1400", "26-mtu-9000"][i];
        let s = (0..6).fold(Seed::new(ALL, 5), |s, p| s.icmp(p, 0, 4, mtu, 0, 60).icmp(p, 1, 0, mtu, 0, 79));
        all.push((name, s.pass(120)));
    }
    for (name, code) in [
        ("26-unreachable-net", 0),
        ("26-unreachable-port", 3),
        ("26-unreachable-proto", 2),
        ("26-code-15", 15),
    ] {
        let s = (0..8).fold(Seed::new(ALL, 5), |s, p| {
            s.icmp(p, 0, code, 0, 0, 40).icmp(p, 0, code, 0, -9999, 40).icmp(p, 0, code, 0, 0, 24)
        });
        all.push((name, s.pass(120)));
    }
    all
}

/// Dialogues of the target `operations`: look and seed, then operations.
fn dialogues() -> Vec<(&'static str, Vec<u8>)> {
    // B listens, A connects, 1 ms, B accepts.
    let begin: &[u8] = &[0, 1, 0xf0, 1, 0, 2, 17, 80, 3];
    // A writes 4000 octets, 2 ms, B reads; B writes 60, A reads.
    let talk: &[u8] = &[5, 1, 0, 0x0f, 0xa0, 17, 88, 8, 2, 0x30, 5, 2, 4, 0, 60, 17, 88, 8, 1, 0x30];
    let storm: &[u8] = &[36, 60, 40, 128, 120, 60, 30];
    let finish: &[u8] = &[12, 1, 1, 17, 100, 12, 2, 1, 17, 120, 13, 1, 13, 0, 13, 0];
    let urgent: &[u8] = &[5, 1, 0x1c, 0, 5, 17, 70, 8, 2, 0, 8, 2, 0x13, 1, 8, 2, 0x30];
    let large: &[u8] = &[5, 1, 3, 0xc3, 0x50, 17, 140, 8, 2, 0x30, 5, 2, 3, 0xc3, 0x50, 17, 150, 8, 1, 0x30];
    let small: &[u8] = &[14, 2, 5, 0, 1, 14, 1, 6, 0, 1, 14, 1, 11, 0, 100];
    let one = |look: u8, parts: &[&[u8]]| [&[look, 0, 0, 0, 7], &parts.concat()[..]].concat();
    vec![
        ("open-end", one(0, &[begin, talk])),
        ("storm-open-end", one(0, &[begin, storm, large, talk])),
        ("plain", one(0, &[begin, talk, finish])),
        ("offloads", one(0x30, &[begin, large, talk, finish])),
        ("freebsd-rfc", one(0x09, &[begin, talk, large, finish])),
        ("storm", one(0, &[begin, storm, talk, large, talk, finish])),
        ("storm-in-handshake", one(0, &[storm, begin, &[17, 140, 3], talk, large])),
        ("urgent", one(0, &[begin, urgent, talk, urgent, finish])),
        ("urgent-in-storm", one(0x30, &[begin, storm, urgent, large, urgent, talk])),
        ("small-buffers", one(0, &[begin, small, large, talk, storm, large])),
        (
            "simultaneous-open",
            one(0, &[&[4, 0, 0, 17, 80], &[5, 0, 0, 1, 0, 5, 1, 0, 1, 0, 17, 80, 8, 0, 0x30], finish]),
        ),
        (
            "simultaneous-in-storm",
            one(0, &[storm, &[4, 50, 50, 17, 150], &[5, 0, 0, 1, 0, 5, 1, 0, 1, 0, 17, 80]]),
        ),
        (
            "backlog",
            one(0, &[&[0, 1, 0x00], &[1, 0, 2, 1, 0, 2, 1, 0, 2, 1, 0, 2], &[17, 120, 3, 17, 130, 3]]),
        ),
        ("refused", one(0, &[&[1, 0, 2, 1, 0, 0, 1, 0, 1, 17, 120]])),
        ("datagrams", one(0, &[&[15, 0, 0x10, 0, 17, 90, 15, 1, 0x20, 0, 17, 120]])),
        ("close-unread", one(0, &[begin, &[5, 1, 0, 1, 0, 17, 90, 13, 2, 17, 120]])),
        ("linger-zero", one(0, &[begin, &[14, 1, 4, 1, 0, 5, 1, 0, 1, 0, 13, 1, 17, 100]])),
        ("severed", one(0, &[begin, talk, &[16, 0], talk, finish])),
        ("listener-gone", one(0, &[&[0, 1, 0xf0, 1, 0, 2, 1, 0, 2, 17, 60, 13, 0, 17, 150]])),
        ("shut-read", one(0, &[begin, &[12, 2, 0], talk, finish])),
    ]
}

fn texts() -> Vec<(&'static str, Vec<u8>)> {
    let of = |which: u8, rest: &[u8]| [&[which], rest].concat();
    vec![
        ("options-syn", of(0, &[2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7])),
        ("options-sack", of(0, &[1, 1, 5, 18, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 9, 0, 0, 0, 10])),
        ("options-length-0", of(0, &[9, 0, 2, 4])),
        ("cidr-4", of(1, b"10.0.0.2/24")),
        ("cidr-6", of(1, b"fd00::2/64")),
        ("cidr-all", of(1, b"::/0")),
        (
            "impair",
            of(2, b"delay 20ms 5ms loss 1% reorder 2% duplicate 0.5% corrupt 0.1% rate 10mbit limit 100"),
        ),
        ("impair-commas", of(2, b"delay=20ms,loss=1%,rate=10mbit")),
        ("pcapng", of(3, b"\x05hello comment and other things to write to a file")),
        ("sum", of(4, b"odd number of octets ")),
    ]
}

fn main() {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus"));
    let frames = frames().into_iter().map(|(n, s)| (n, s.0)).collect();
    for (target, seeds) in [("frame", frames), ("operations", dialogues()), ("parsers", texts())] {
        let folder = root.join(target);
        fs::create_dir_all(&folder).unwrap();
        for (name, data) in seeds {
            let data: Vec<u8> = data;
            fs::write(folder.join(name), data).unwrap();
        }
    }
}
