//! A cache of the SHA-256 digests of served files.
//!
//! Invariant: a digest matches the bytes of the open file, as far as ctime tells its versions apart (before
//! Linux 6.13, it moves in steps of up to 10 ms). Must never rely on the name: a file is identified by its inode, size
//! and ctime.

use crate::blocking;
use crate::crypto::Sha256Digest;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek};
use std::os::unix::fs::MetadataExt;
use std::sync::{Mutex, PoisonError};

/// The cache size; if it is exceeded, as after many new builds, the cache is cleared.
const MAX_DIGESTS: usize = 32;

/// Identifies a version of a file: device, inode, size, and ctime in seconds and nanoseconds.
type Version = (u64, u64, u64, i64, i64);

/// The digests computed so far.
#[derive(Default)]
pub struct FileDigests(Mutex<BTreeMap<Version, Sha256Digest>>);

impl FileDigests {
    /// The digest of an open file, whose position is at the start afterwards.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(&self, file: &mut File, metadata: &Metadata) -> io::Result<Sha256Digest> {
        let version = (metadata.dev(), metadata.ino(), metadata.len(), metadata.ctime(), metadata.ctime_nsec());
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(digest) = lock().get(&version) {
            return Ok(*digest);
        }
        blocking::about_to_block();
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 64 << 10];
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                read => hash.update(buffer.get(..read).unwrap_or_default()),
            }
        }
        file.rewind()?;
        let digest = hash.finalize().into();
        let mut known = lock();
        if known.len() >= MAX_DIGESTS {
            known.clear();
        }
        known.insert(version, digest);
        Ok(digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::sha256;

    #[test]
    fn a_changed_file_gets_a_new_digest() {
        let path = std::env::temp_dir().join(format!("flaskpaste-digest-{}", std::process::id()));
        let digests = FileDigests::default();
        let of = || {
            let mut file = File::open(&path).unwrap();
            let metadata = file.metadata().unwrap();
            let digest = digests.of(&mut file, &metadata).unwrap();
            assert_eq!(file.stream_position().unwrap(), 0);
            digest
        };
        for content in ["first", "the second", "the third version"] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(of(), sha256(content.as_bytes()));
            assert_eq!(of(), sha256(content.as_bytes()), "cached");
        }
        std::fs::remove_file(&path).unwrap();
    }
}
