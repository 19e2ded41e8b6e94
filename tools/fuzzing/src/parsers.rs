//! Target `parsers`: what reads text or octets by itself.

use crate::input::Input;
use wirestack::device::ImpairConfig;
use wirestack::device::pcapng::{LinkType, PacketRecord, PcapngWriter};
use wirestack::ip::Cidr;
use wirestack::wire::{TcpOptions, checksum};

/// Runs an input: the first octet says which.
pub fn parsers(data: &[u8]) {
    let mut input = Input::new(data);
    let which = input.u8() % 5;
    let rest = input.bytes(data.len());
    match which {
        0 => options(rest),
        1 => cidr(rest),
        2 => impairment(rest),
        3 => capture(rest),
        _ => assert_eq!(checksum::checksum(rest), !(crate::packet::sum(0, rest) as u16)),
    }
}

fn options(bytes: &[u8]) {
    let o = TcpOptions::parse(bytes);
    assert!(o.sack_blocks().len() <= 4);
}

fn cidr(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(cidr) = text.parse::<Cidr>() else { return };
    assert!(cidr.contains(cidr.addr), "{cidr} does not contain itself");
    assert_eq!(cidr.to_string().parse(), Ok(cidr));
}

fn impairment(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(config) = text.parse::<ImpairConfig>() {
        let _ = (config.is_clean(), format!("{config:?}"));
    }
}

/// A capture of any packets has whole blocks, one after the other, that end where it ends.
fn capture(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut w = PcapngWriter::new(Vec::new(), "fuzz").unwrap();
    let iface = w.add_interface("eth0", LinkType::Ethernet, 0).unwrap();
    for _ in 0..8 {
        let n = usize::from(input.u8());
        let (data, comment) = (input.bytes(n), String::from_utf8_lossy(input.bytes(n)).into_owned());
        let record = PacketRecord {
            interface: iface,
            timestamp: u64::from(input.u32()),
            direction: None,
            data: &[data],
            original_len: None,
            comments: &[&comment],
        };
        w.write_packet(&record).unwrap();
    }
    let file = w.into_inner();
    let mut at = 0;
    while at < file.len() {
        let len = |i: usize| u32::from_le_bytes(file[i..i + 4].try_into().unwrap()) as usize;
        let n = len(at + 4);
        assert!(n >= 12 && n.is_multiple_of(4) && at + n <= file.len(), "a block of {n} octets at {at}");
        assert_eq!(len(at + n - 4), n, "the lengths at the ends of a block differ");
        at += n;
    }
}
