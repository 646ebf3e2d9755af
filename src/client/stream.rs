//! Standard input, spooled before it is sent because its size is unknown.
//!
//! Invariant: the spool is an unlinked file of ciphertext, unless encryption is off; memory holds two chunks. Must
//! never read more than the server accepts.

use super::Session;
use super::config::create_private_folder;
use super::failure::Failure;
use super::media::type_of;
use super::pack::head;
use super::upload::{Stored, too_large};
use crate::sealed::{
    CHUNK_BYTES, FileEntry, HEAD_BYTES, MAX_NUMBER, Manifest, SEALED_CHUNK_BYTES, Sealer, Secrets, max_plaintext,
    plaintext_bytes, sealed_bytes,
};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use zeroize::Zeroizing;

/// A smaller size fits in any head: a plaintext has at least 256 bytes.
const SMALL_BYTES: u64 = 999;

/// The description of the content.
pub struct Described<'a> {
    /// Its name in messages.
    pub shown: &'a str,
    /// Its name in the paste.
    pub name: Option<String>,
    /// The limit of reads.
    pub reads: Option<u32>,
    /// Its expiry in unix seconds.
    pub expires_at: Option<u64>,
}

impl Described<'_> {
    fn manifest(&self, size: u64) -> Manifest {
        let mime_type = self.name.as_deref().and_then(type_of).map(str::to_owned);
        let file = FileEntry { name: self.name.clone(), mime_type, size, executable: false };
        Manifest { files: vec![file], reads: self.reads.map(Into::into), expires_at: self.expires_at }
    }

    /// The size of the head for the largest content that fits in an upload of `limit` bytes. Smaller content needs
    /// fewer digits, but leaves more room than the padding takes: so everything that fits as a file fits as a stream.
    fn longest_head(&self, limit: u64) -> Result<usize, Failure> {
        let length = |size: u64| head(&self.manifest(size), 0).map(|head| head.len());
        let most = max_plaintext(limit).min(MAX_NUMBER);
        length(most.saturating_sub(length(most)? as u64).max(SMALL_BYTES))
    }
}

/// Reads and seals all input. Returns the upload and the size of the input.
///
/// # Errors
/// When it is too large for an upload of `limit` bytes, empty, or cannot be read or spooled.
pub fn seal(
    input: &mut dyn Read,
    described: &Described<'_>,
    secrets: &Secrets,
    limit: u64,
    session: &Session<'_>,
) -> Result<(Stored, u64), Failure> {
    let unreadable = |error: io::Error| unreadable(described.shown, error);
    // The manifest comes first but contains the size: reserve room for it.
    let reserved = described.longest_head(limit)?;
    let mut spool = Spool { sealer: Sealer::new(secrets).map_err(not_kept)?, file: None, next: 1, session };
    let mut first = read_up_to(input, CHUNK_BYTES - reserved).map_err(unreadable)?;
    let mut size = first.len() as u64;
    // Held back until it is known whether it is the last chunk.
    let mut last = Zeroizing::new(Vec::new());
    let mut is_more = first.len() == CHUNK_BYTES - reserved;
    while is_more {
        let chunk = read_up_to(input, CHUNK_BYTES).map_err(unreadable)?;
        size += chunk.len() as u64;
        if sealed_bytes(reserved as u64 + size) > limit {
            break;
        }
        is_more = chunk.len() == CHUNK_BYTES;
        if !last.is_empty() && !chunk.is_empty() {
            spool.append(false, &mut last)?;
        }
        if !chunk.is_empty() {
            last = chunk;
        }
    }
    if sealed_bytes(reserved as u64 + size) > limit {
        return Err(too_large(limit, true));
    }
    if size == 0 {
        return Err(nothing(described.shown));
    }
    first.splice(0..0, head(&described.manifest(size), reserved)?);
    let upload = spool.finish(first, last, plaintext_bytes(reserved as u64 + size, limit))?;
    Ok((upload, size))
}

/// Reads and spools all input without encryption; small input stays in memory. Returns the upload and its size.
///
/// # Errors
/// When it is larger than `limit`, empty, or cannot be read or spooled.
pub fn keep(input: &mut dyn Read, shown: &str, limit: u64, session: &Session<'_>) -> Result<(Stored, u64), Failure> {
    let read = |input: &mut dyn Read| read_up_to(input, CHUNK_BYTES).map_err(|error| unreadable(shown, error));
    let mut chunk = read(input)?;
    let mut length = chunk.len() as u64;
    let mut file = None;
    if chunk.len() == CHUNK_BYTES {
        let kept = file.insert(unnamed_file(session).map_err(not_kept)?);
        while !chunk.is_empty() && length <= limit {
            kept.write_all(&chunk).map_err(not_kept)?;
            chunk = read(input)?;
            length += chunk.len() as u64;
        }
    }
    match file {
        _ if length == 0 => Err(nothing(shown)),
        _ if length > limit => Err(too_large(limit, false)),
        Some(file) => Ok((Stored::File { file, offset: 0, length }, length)),
        None => Ok((Stored::Memory(std::mem::take(&mut chunk)), length)),
    }
}

/// The failure wrapped in a read error, or a new one.
pub fn unreadable(shown: &str, error: io::Error) -> Failure {
    match error.downcast::<Failure>() {
        Ok(failure) => failure,
        Err(error) => Failure::usage(format!("cannot read {shown}: {error}")),
    }
}

/// The failure for empty input.
pub fn nothing(shown: &str) -> Failure {
    Failure::usage(format!("{shown} is empty; nothing to upload"))
}

fn not_kept(error: io::Error) -> Failure {
    Failure::of(error, "cannot buffer the input")
}

/// The chunks after the first one, which is sealed last.
struct Spool<'a> {
    sealer: Sealer,
    file: Option<File>,
    /// The number of the next chunk.
    next: u64,
    session: &'a Session<'a>,
}

impl Spool<'_> {
    /// Seals a chunk and writes it at its offset.
    fn append(&mut self, is_last: bool, chunk: &mut Vec<u8>) -> Result<(), Failure> {
        let mut bytes = std::mem::take(chunk);
        self.sealer.seal_chunk(self.next, is_last, &mut bytes).map_err(not_kept)?;
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(unnamed_file(self.session).map_err(not_kept)?),
        };
        let place = HEAD_BYTES as u64 + self.next * SEALED_CHUNK_BYTES as u64;
        file.seek(SeekFrom::Start(place)).and_then(|_| file.write_all(&bytes)).map_err(not_kept)?;
        self.next += 1;
        Ok(())
    }

    /// Pads the plaintext to `total` bytes, and seals the remaining chunks and the first one.
    fn finish(
        mut self,
        mut first: Zeroizing<Vec<u8>>,
        mut last: Zeroizing<Vec<u8>>,
        total: u64,
    ) -> Result<Stored, Failure> {
        let chunks = total.div_ceil(CHUNK_BYTES as u64);
        let length_of = |number: u64| {
            let left = total - number * CHUNK_BYTES as u64;
            usize::try_from(left).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES))
        };
        while self.next < chunks {
            last.resize(length_of(self.next), 0);
            self.append(self.next + 1 == chunks, &mut last)?;
        }
        first.resize(length_of(0), 0);
        let mut first = std::mem::take(&mut *first);
        self.sealer.seal_chunk(0, chunks == 1, &mut first).map_err(not_kept)?;
        let begin = [self.sealer.head().as_slice(), &first].concat();
        let Some(mut file) = self.file else { return Ok(Stored::Memory(begin)) };
        file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(&begin)).map_err(not_kept)?;
        Ok(Stored::File { file, offset: 0, length: sealed_bytes(total) })
    }
}

/// Creates an unlinked file in the state folder: the one for temporary files may be in memory.
///
/// # Errors
/// When it cannot be created anywhere.
pub fn unnamed_file(session: &Session<'_>) -> io::Result<File> {
    let state = session.folders.state.as_ref();
    let in_state = state.map(|state| create_private_folder(state).and_then(|()| tempfile::tempfile_in(state)));
    in_state.and_then(Result::ok).map_or_else(tempfile::tempfile, Ok)
}

/// Reads up to this many bytes.
fn read_up_to(input: &mut dyn Read, bytes: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut buffer = Zeroizing::new(Vec::with_capacity(SEALED_CHUNK_BYTES));
    input.take(bytes as u64).read_to_end(&mut buffer).map(|_| buffer)
}
