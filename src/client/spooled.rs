//! Buffers content that must be complete before it is used, because the server has deleted its copy.
//!
//! Invariant: a few megabytes are held in memory, more in an unlinked file that no other process can open. Must never
//! exceed its limit.

use super::Session;
use super::failure::{Exit, Failure};
use super::stream::unnamed_file;
use super::transport::too_large;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;

/// The most bytes held in memory.
const MEMORY_BYTES: u64 = 8 << 20;

/// Buffered content, which can be read repeatedly.
pub enum Spooled {
    /// In memory.
    Memory(Vec<u8>),
    /// In a file.
    File {
        /// The unlinked file.
        file: File,
        /// Its length in bytes.
        length: u64,
    },
}

impl Spooled {
    /// Reads everything, at most `limit` bytes.
    ///
    /// # Errors
    /// When it cannot be read or stored, or is too large.
    pub fn fill(content: &mut dyn Read, limit: u64, session: &Session<'_>) -> Result<Self, Failure> {
        let unreadable = |error: io::Error| Failure::of(error, "the content");
        let mut content = content.take(limit.saturating_add(1));
        let mut bytes = Vec::new();
        (&mut content).take(MEMORY_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        let mut length = bytes.len() as u64;
        if length > limit {
            return Err(too_large(limit));
        }
        if length <= MEMORY_BYTES {
            return Ok(Self::Memory(bytes));
        }
        let not_kept = |error: io::Error| Failure::new(Exit::Other, format!("cannot buffer the content: {error}"));
        let mut file = unnamed_file(session).map_err(not_kept)?;
        loop {
            file.write_all(&bytes).map_err(not_kept)?;
            bytes.clear();
            if (&mut content).take(MEMORY_BYTES).read_to_end(&mut bytes).map_err(unreadable)? == 0 {
                return Ok(Self::File { file, length });
            }
            length += bytes.len() as u64;
            if length > limit {
                return Err(too_large(limit));
            }
        }
    }

    /// Bytes of it.
    pub fn length(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { length, .. } => *length,
        }
    }

    /// A reader from the start.
    pub fn reader(&self) -> Box<dyn Read + '_> {
        match self {
            Self::Memory(bytes) => Box::new(bytes.as_slice()),
            Self::File { file, length } => Box::new(FromStart { file, at: 0 }.take(*length)),
        }
    }
}

/// Reads a file without moving its own position.
struct FromStart<'a> {
    file: &'a File,
    at: u64,
}

impl Read for FromStart<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}
