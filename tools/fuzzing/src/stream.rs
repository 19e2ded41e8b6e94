//! What one end may read of what the other wrote.

/// One direction of a connection, as the two applications see it. Octet `i` has a value that follows
/// from `i`, so what was read tells where it belongs.
#[derive(Clone, Debug)]
pub struct Stream {
    salt: u8,
    /// Octets that the writer's socket took.
    pub written: usize,
    /// The writer ended its data in good order.
    pub finished: bool,
    /// Where MSG_OOB was sent. These octets may be left out by the reader (out of band) or not (in line,
    /// or overtaken by a later mark).
    urgent: Vec<usize>,
    /// Octets that the reader has passed.
    pub read: usize,
    /// The reader was told the end.
    pub ended: bool,
}

impl Stream {
    /// An empty stream; `salt` tells it from others.
    pub fn new(salt: u8) -> Self {
        Self { salt, written: 0, finished: false, urgent: Vec::new(), read: 0, ended: false }
    }

    /// Octet `i`. No two within 80 of each other are equal.
    fn octet(&self, i: usize) -> u8 {
        ((i % 251) as u8).wrapping_mul(3).wrapping_add(self.salt)
    }

    /// What to write next.
    pub fn next(&self, n: usize) -> Vec<u8> {
        (self.written..self.written + n).map(|i| self.octet(i)).collect()
    }

    /// The socket took `n` octets; the last one as urgent data.
    pub fn wrote(&mut self, n: usize, urgent: bool) {
        self.written += n;
        if urgent && n > 0 {
            self.urgent.push(self.written - 1);
        }
    }

    /// The position after `data`, if it may be read now.
    ///
    /// # Panics
    /// If it may not.
    fn after(&self, data: &[u8]) -> usize {
        let mut at = self.read;
        for (i, b) in data.iter().enumerate() {
            while *b != self.octet(at) && self.urgent.contains(&at) {
                at += 1;
            }
            assert!(
                at < self.written,
                "octet {i} of {} read at {at}: only {} written",
                data.len(),
                self.written
            );
            assert_eq!(*b, self.octet(at), "wrong octet at {at}, {i} of {} read", data.len());
            at += 1;
        }
        at
    }

    /// The reader looked at `data`.
    pub fn peeked(&self, data: &[u8]) {
        self.after(data);
    }

    /// The reader took `data`.
    pub fn took(&mut self, data: &[u8]) {
        assert!(!self.ended || data.is_empty(), "{} octets after the end of the stream", data.len());
        self.read = self.after(data);
    }

    /// The reader took an octet out of band.
    pub fn took_urgent(&self, octet: u8) {
        assert!(
            self.urgent.iter().any(|&i| self.octet(i) == octet),
            "urgent octet {octet:#x} was never sent as one"
        );
    }

    /// Everything was read, but for urgent octets.
    pub fn complete(&self) -> bool {
        (self.read..self.written).all(|i| self.urgent.contains(&i))
    }

    /// The reader is told that this is the end.
    pub fn end(&mut self) {
        assert!(self.finished, "an end that the writer did not make, at {} of {}", self.read, self.written);
        assert!(self.complete(), "the end at {} of {}", self.read, self.written);
        self.ended = true;
    }
}
