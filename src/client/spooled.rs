//! Content that has to be here as a whole before anything is done with it: what a server has given out for good.
//!
//! Invariant: a few megabytes are in memory, more in a file without a name that nobody else can open. Must never hold more
//! than it was told to.

use super::Session;
use super::failure::{Exit, Failure};
use super::stream::unnamed_file;
use super::transport::too_large;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;

/// What is kept in memory.
const MEMORY_BYTES: u64 = 8 << 20;

/// Such content; it can be read as often as one likes.
pub enum Spooled {
    /// In memory.
    Memory(Vec<u8>),
    /// In a file.
    File {
        /// Which.
        file: File,
        /// Bytes of it.
        length: u64,
    },
}

impl Spooled {
    /// Takes all that comes, `limit` bytes at most.
    ///
    /// # Errors
    /// What reading says, and when it is too much, or cannot be kept.
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
        let not_kept = |error: io::Error| Failure::new(Exit::Other, format!("cannot keep the content: {error}"));
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

    /// Reads it from its beginning.
    pub fn reader(&self) -> Box<dyn Read + '_> {
        match self {
            Self::Memory(bytes) => Box::new(bytes.as_slice()),
            Self::File { file, length } => Box::new(FromStart { file, at: 0 }.take(*length)),
        }
    }
}

/// Reads a file whose own position is left alone.
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
