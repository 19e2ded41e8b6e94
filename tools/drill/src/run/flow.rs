//! What the script's numbers are on the wire: sequence numbers, timestamps, ports.

use std::net::SocketAddr;

/// A connection (or an exchange of datagrams) that the script talks about.
#[derive(Clone, Debug)]
pub struct Flow {
    /// The stack's side.
    pub local: SocketAddr,
    /// The script's side.
    pub remote: SocketAddr,
    /// On the wire the peer's sequence numbers are so much larger than in the script.
    pub peer_offset: u32,
    /// On the wire ours are so much larger: known from our SYN on.
    pub our_offset: Option<u32>,
    /// A new connection begins: the next SYN of ours may have another initial number.
    pub fresh: bool,
    /// Our initial sequence number in the script.
    pub our_isn: u32,
    /// The peer's initial sequence number in the script, once its SYN came.
    pub peer_isn: Option<u32>,
    /// Our timestamps: on the wire and in the script.
    timestamps: Vec<(u32, u32)>,
    /// What the application wrote: octet 0 follows our SYN.
    pub written: Vec<u8>,
    /// How many octets the application read.
    pub read: u64,
    /// Reads no longer tell where they are in the stream (urgent data was taken out of it).
    pub read_astray: bool,
}

impl Flow {
    /// A flow of which nothing is known yet.
    pub fn new(local: SocketAddr, remote: SocketAddr, peer_offset: u32) -> Self {
        Self {
            local,
            remote,
            peer_offset,
            our_offset: None,
            fresh: true,
            our_isn: 0,
            peer_isn: None,
            timestamps: Vec::new(),
            written: Vec::new(),
            read: 0,
            read_astray: false,
        }
    }

    /// A new connection between the same addresses begins.
    pub fn renew(&mut self) {
        *self = Self {
            fresh: true,
            our_offset: self.our_offset,
            ..Self::new(self.local, self.remote, self.peer_offset)
        };
    }

    /// Our SYN was seen: `live` stands for `script`.
    pub fn learn(&mut self, live: u32, script: u32) {
        if self.fresh {
            self.our_offset = Some(live.wrapping_sub(script));
            self.our_isn = script;
            self.fresh = false;
        }
    }

    /// One of our sequence numbers, from the script to the wire.
    pub fn ours_live(&self, script: u32) -> u32 {
        script.wrapping_add(self.our_offset.unwrap_or(0))
    }

    /// One of our sequence numbers, from the wire to the script.
    pub fn ours_script(&self, live: u32) -> u32 {
        live.wrapping_sub(self.our_offset.unwrap_or(0))
    }

    /// One of the peer's, from the script to the wire.
    pub fn peers_live(&self, script: u32) -> u32 {
        script.wrapping_add(self.peer_offset)
    }

    /// One of the peer's, from the wire to the script.
    pub fn peers_script(&self, live: u32) -> u32 {
        live.wrapping_sub(self.peer_offset)
    }

    /// A timestamp of ours from the wire: what the script calls it, if it has called it anything.
    pub fn timestamp_script(&self, live: u32) -> Option<u32> {
        self.timestamps.iter().rev().find(|t| t.0 == live).map(|t| t.1)
    }

    /// A timestamp of ours from the wire as well as it can be named: from the first one seen.
    pub fn timestamp_guess(&self, live: u32) -> u32 {
        self.timestamp_script(live)
            .or_else(|| self.timestamps.first().map(|t| live.wrapping_sub(t.0).wrapping_add(t.1)))
            .unwrap_or(live)
    }

    /// The script calls the timestamp `live` so.
    pub fn name_timestamp(&mut self, live: u32, script: u32) {
        if self.timestamp_script(live).is_none() {
            self.timestamps.push((live, script));
        }
    }

    /// The first timestamp of ours: on the wire and in the script.
    pub fn first_timestamp(&self) -> Option<(u32, u32)> {
        self.timestamps.first().copied()
    }

    /// What a timestamp of the script is on the wire: as it was named, or counted from the first.
    pub fn timestamp_live(&self, script: u32) -> u32 {
        if let Some(t) = self.timestamps.iter().rev().find(|t| t.1 == script) {
            return t.0;
        }
        match self.timestamps.first() {
            Some((live, first)) if script != 0 => script.wrapping_sub(*first).wrapping_add(*live),
            _ => script,
        }
    }

    /// What the application should have written at sequence number `seq` of the script. `None` where it
    /// wrote nothing.
    pub fn written_at(&self, seq: u32, len: usize) -> Option<&[u8]> {
        let start = seq.wrapping_sub(self.our_isn.wrapping_add(1)) as usize;
        self.written.get(start..start.checked_add(len)?)
    }
}

/// The octet of the peer's stream that follows its SYN by `at`. Prime period, so that no shift by a
/// segment size goes unseen.
pub fn pattern(at: u64) -> u8 {
    (at % 251) as u8
}
