//! Writing pcapng (draft-ietf-opsawg-pcapng): what Wireshark and tshark read.
//!
//! Three of its blocks are written: section header, interface description and enhanced packet. Why not the crate pcap-file: its release 2.0.0 dates from 2022 and 3.0 is a
//! release candidate that wants a newer compiler than this crate; and both take a packet as one
//! slice and its options as a vector, that is a copy of up to 64 KiB and an allocation per frame,
//! where the frames here lie in pieces.

use std::io::{self, Write};
use std::vec::Vec;

/// What the packets of an interface begin with (LINKTYPE_*, www.tcpdump.org/linktypes.html).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkType {
    /// LINKTYPE_ETHERNET: an Ethernet header.
    Ethernet = 1,
    /// LINKTYPE_RAW: the IP header, version 4 or 6.
    RawIp = 101,
}

/// Which way a packet went, seen from the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// It was received.
    Inbound = 1,
    /// It was sent.
    Outbound = 2,
}

/// One packet to write.
#[derive(Clone, Copy, Debug)]
pub struct PacketRecord<'a> {
    /// Number of its interface, from [`PcapngWriter::add_interface`].
    pub interface: u32,
    /// When, in nanoseconds since 1970-01-01 00:00 UTC.
    pub timestamp: u64,
    /// Which way it went, if that is known.
    pub direction: Option<Direction>,
    /// Its octets, in pieces that lie where they lie.
    pub data: &'a [&'a [u8]],
    /// Its length on the wire, if octets at the end are left out of `data`; else `None`.
    pub original_len: Option<usize>,
    /// What Wireshark shows as the packet comment; an empty slice for none.
    pub comments: &'a [&'a str],
}

/// Writes a pcapng file, one section, to anything that takes octets.
///
/// Each block is put together and written with one call, so a reader of a file that is still being
/// written sees whole blocks (unless the writer below buffers).
#[derive(Debug)]
pub struct PcapngWriter<W: Write> {
    out: W,
    block: Vec<u8>,
    interfaces: u32,
}

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const OPT_END: u16 = 0;
const OPT_COMMENT: u16 = 1;
const SHB_USERAPPL: u16 = 4;
const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;
const EPB_FLAGS: u16 = 2;

impl<W: Write> PcapngWriter<W> {
    /// Begins a section; `application` is named in it as the writer.
    ///
    /// # Errors
    /// What the writer below says.
    pub fn new(out: W, application: &str) -> io::Result<Self> {
        let mut w = Self { out, block: Vec::new(), interfaces: 0 };
        w.begin(SECTION_HEADER);
        w.put(&0x1a2b_3c4du32.to_le_bytes());
        w.put(&1u16.to_le_bytes());
        w.put(&0u16.to_le_bytes());
        // The length of the section is not known.
        w.put(&u64::MAX.to_le_bytes());
        w.option(SHB_USERAPPL, application.as_bytes());
        w.option(OPT_END, &[]);
        w.end()?;
        Ok(w)
    }

    /// Describes an interface; returns its number. `snaplen` is the most octets of a packet that are
    /// written, 0 for no limit.
    ///
    /// # Errors
    /// What the writer below says.
    pub fn add_interface(&mut self, name: &str, link: LinkType, snaplen: u32) -> io::Result<u32> {
        self.begin(INTERFACE_DESCRIPTION);
        self.put(&(link as u16).to_le_bytes());
        self.put(&0u16.to_le_bytes());
        self.put(&snaplen.to_le_bytes());
        self.option(IF_NAME, name.as_bytes());
        // Timestamps count units of 10^-9 seconds.
        self.option(IF_TSRESOL, &[9]);
        self.option(OPT_END, &[]);
        self.end()?;
        self.interfaces += 1;
        Ok(self.interfaces - 1)
    }

    /// Writes a packet.
    ///
    /// # Errors
    /// What the writer below says; `InvalidInput` for an interface that was not described.
    pub fn write_packet(&mut self, p: &PacketRecord<'_>) -> io::Result<()> {
        if p.interface >= self.interfaces {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "pcapng: the interface was not described",
            ));
        }
        let len: usize = p.data.iter().map(|d| d.len()).sum();
        let size = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes();
        self.begin(ENHANCED_PACKET);
        self.put(&p.interface.to_le_bytes());
        self.put(&((p.timestamp >> 32) as u32).to_le_bytes());
        self.put(&(p.timestamp as u32).to_le_bytes());
        self.put(&size(len));
        self.put(&size(p.original_len.unwrap_or(len)));
        for piece in p.data {
            self.put(piece);
        }
        self.pad();
        if let Some(d) = p.direction {
            self.option(EPB_FLAGS, &(d as u32).to_le_bytes());
        }
        for c in p.comments {
            self.option(OPT_COMMENT, c.as_bytes());
        }
        if p.direction.is_some() || !p.comments.is_empty() {
            self.option(OPT_END, &[]);
        }
        self.end()
    }

    /// Writes what the writer below buffers.
    ///
    /// # Errors
    /// What the writer below says.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// The writer below.
    pub fn into_inner(self) -> W {
        self.out
    }

    fn begin(&mut self, kind: u32) {
        self.block.clear();
        self.put(&kind.to_le_bytes());
        // The length, set at the end.
        self.put(&[0; 4]);
    }

    fn put(&mut self, bytes: &[u8]) {
        self.block.extend_from_slice(bytes);
    }

    /// To a multiple of four octets.
    fn pad(&mut self) {
        let len = self.block.len().next_multiple_of(4);
        self.block.resize(len, 0);
    }

    /// An option; a value that is too long for its length field is cut, at a character if it is text.
    fn option(&mut self, code: u16, value: &[u8]) {
        let mut len = value.len().min(usize::from(u16::MAX));
        while len < value.len() && value[len] & 0xc0 == 0x80 {
            len -= 1;
        }
        self.put(&code.to_le_bytes());
        self.put(&(len as u16).to_le_bytes());
        self.put(&value[..len]);
        self.pad();
    }

    fn end(&mut self) -> io::Result<()> {
        let len = (self.block.len() as u32 + 4).to_le_bytes();
        self.put(&len);
        self.block[4..8].copy_from_slice(&len);
        self.out.write_all(&self.block)
    }
}
