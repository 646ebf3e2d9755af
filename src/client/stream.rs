//! Standard input, sealed while it is read: nobody knows its size before its end.
//!
//! Invariant: what is on the disk is ciphertext, in a file without a name; memory holds two chunks of it. Must never read
//! more than the server takes.

use super::Session;
use super::config::create_private_folder;
use super::failure::{Exit, Failure};
use super::pack::head;
use super::upload::Stored;
use crate::sealed::{
    CHUNK_BYTES, FileEntry, HEAD_BYTES, Manifest, SEALED_CHUNK_BYTES, Sealer, Secrets, plaintext_bytes, sealed_bytes,
};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use zeroize::Zeroizing;

/// A size that is at least as long as any other, written out.
const LONGEST_SIZE: u64 = (1 << 53) - 1;

/// What the content is, beside its bytes.
pub struct Described<'a> {
    /// What it is called in messages.
    pub shown: &'a str,
    /// What it is called.
    pub name: Option<String>,
    /// How often it can be read.
    pub reads: Option<u32>,
    /// When it goes, in unix seconds.
    pub expires_at: Option<u64>,
}

impl Described<'_> {
    fn manifest(&self, size: u64) -> Manifest {
        let file = FileEntry { name: self.name.clone(), size, ..FileEntry::default() };
        Manifest { files: vec![file], reads: self.reads.map(Into::into), expires_at: self.expires_at }
    }
}

/// Seals everything that comes; the upload, and how many bytes came.
///
/// # Errors
/// When it is larger than an upload of `limit` bytes can be, empty, or cannot be read or kept.
pub fn seal(
    input: &mut dyn Read,
    described: &Described<'_>,
    secrets: &Secrets,
    limit: u64,
    session: &Session<'_>,
) -> Result<(Stored, u64), Failure> {
    // The manifest comes first and tells the size: its place is kept until that is known.
    let reserved = head(&described.manifest(LONGEST_SIZE), 0)?.len();
    let failed = |error: io::Error| Failure::of(error, "cannot keep what is read");
    let sealer = Sealer::new(secrets).map_err(failed)?;
    let mut read = |bytes| {
        let unreadable = |error: io::Error| Failure::usage(format!("cannot read {}: {error}", described.shown));
        read_up_to(input, bytes).map_err(unreadable)
    };
    let mut first = read(CHUNK_BYTES - reserved)?;
    let room = limit.saturating_sub(sealed_bytes(reserved as u64));
    let mut size = first.len() as u64;
    let mut spool: Option<File> = None;
    let mut number = 1;
    let mut pending = Zeroizing::new(Vec::new());
    loop {
        let is_full = first.len() == CHUNK_BYTES - reserved;
        let next = if is_full { read(CHUNK_BYTES)? } else { Zeroizing::default() };
        size += next.len() as u64;
        if size > room {
            return Err(Failure::new(Exit::Limit, "this is larger than the server allows")
                .hint("fpaste info shows how much that is; compress or split it"));
        }
        if next.is_empty() {
            break;
        }
        if !pending.is_empty() {
            append(&sealer, &mut spool, number, false, &mut pending, session)?;
            number += 1;
        }
        pending = next;
    }
    if size == 0 {
        return Err(Failure::usage(format!("{} is empty; there is nothing to upload", described.shown)));
    }
    let begin = head(&described.manifest(size), reserved)?;
    first.splice(0..0, begin);
    let total = plaintext_bytes(reserved as u64 + size, limit);
    let chunks = total.div_ceil(CHUNK_BYTES as u64);
    let is_single = chunks == 1;
    while number < chunks {
        let is_last = number + 1 == chunks;
        let length = if is_last { total - number * CHUNK_BYTES as u64 } else { CHUNK_BYTES as u64 };
        pending.resize(usize::try_from(length).unwrap_or(CHUNK_BYTES), 0);
        append(&sealer, &mut spool, number, is_last, &mut pending, session)?;
        number += 1;
    }
    first.resize(if is_single { usize::try_from(total).unwrap_or(CHUNK_BYTES) } else { CHUNK_BYTES }, 0);
    let mut first = std::mem::take(&mut *first);
    sealer.seal_chunk(0, is_single, &mut first).map_err(failed)?;
    let upload = [sealer.head().as_slice(), &first].concat();
    let Some(mut file) = spool else { return Ok((Stored::Memory(upload), size)) };
    file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(&upload)).map_err(failed)?;
    Ok((Stored::File { file, offset: 0, length: sealed_bytes(total) }, size))
}

/// Seals a chunk and writes it to its place in the spool file.
fn append(
    sealer: &Sealer,
    spool: &mut Option<File>,
    number: u64,
    is_last: bool,
    chunk: &mut Zeroizing<Vec<u8>>,
    session: &Session<'_>,
) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::of(error, "cannot keep what is read");
    let mut bytes = std::mem::take(&mut **chunk);
    sealer.seal_chunk(number, is_last, &mut bytes).map_err(failed)?;
    let file = match spool {
        Some(file) => file,
        None => spool.insert(unnamed_file(session).map_err(failed)?),
    };
    let place = HEAD_BYTES as u64 + number * SEALED_CHUNK_BYTES as u64;
    file.seek(SeekFrom::Start(place)).and_then(|_| file.write_all(&bytes)).map_err(failed)
}

/// In the state folder: the folder for temporary files may be in memory.
fn unnamed_file(session: &Session<'_>) -> io::Result<File> {
    let state = session.folders.state.as_ref();
    let in_state = state.map(|state| create_private_folder(state).and_then(|()| tempfile::tempfile_in(state)));
    in_state.and_then(Result::ok).map_or_else(tempfile::tempfile, Ok)
}

/// As much as comes, up to so many bytes.
fn read_up_to(input: &mut dyn Read, bytes: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut buffer = Zeroizing::new(Vec::with_capacity(SEALED_CHUNK_BYTES));
    input.take(bytes as u64).read_to_end(&mut buffer).map(|_| buffer)
}
