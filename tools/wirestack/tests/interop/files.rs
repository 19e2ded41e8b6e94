//! Files with known contents, in a directory that goes away with its value.

use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use wirestack_lab::Pattern;

/// A SHA-256.
pub type Hash = [u8; 32];

/// A directory for the files of one test.
pub struct Files {
    dir: tempfile::TempDir,
}

impl Files {
    pub fn new() -> Self {
        // Not /tmp, which may be in memory or small: a test has gigabytes.
        Self { dir: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap() }
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    /// Writes `len` octets of a pattern and returns their hash.
    pub fn generate(&self, name: &str, seed: u64, len: u64) -> Hash {
        let mut out = Tee { file: File::create(self.path(name)).unwrap(), hash: Sha256::new() };
        Pattern::new(seed, len).write_to(&mut out).unwrap();
        out.hash.finalize().into()
    }

    /// The hash of a file, which is removed.
    pub fn take_hash(&self, name: &str) -> Hash {
        let mut file = File::open(self.path(name)).unwrap();
        let (mut hash, mut buf) = (Sha256::new(), vec![0; 1 << 20]);
        loop {
            match file.read(&mut buf).unwrap() {
                0 => break,
                n => hash.update(&buf[..n]),
            }
        }
        std::fs::remove_file(self.path(name)).unwrap();
        hash.finalize().into()
    }
}

struct Tee {
    file: File,
    hash: Sha256,
}

impl Write for Tee {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.file.write_all(data)?;
        self.hash.update(data);
        Ok(data.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
