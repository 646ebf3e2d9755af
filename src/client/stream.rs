//! Standard input, read before it is sent: nobody knows its size before its end.
//!
//! Invariant: what is on the disk is ciphertext, unless everybody may read it, in a file without a name; memory holds two
//! chunks of it. Must never read more than the server takes.

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

/// Less than this is room for in any head: a plaintext has 256 bytes at least.
const SMALL_BYTES: u64 = 999;

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
        let mime_type = self.name.as_deref().and_then(type_of).map(str::to_owned);
        let file = FileEntry { name: self.name.clone(), mime_type, size, executable: false };
        Manifest { files: vec![file], reads: self.reads.map(Into::into), expires_at: self.expires_at }
    }

    /// Bytes of the manifest, and of its length, for as much as fits into an upload of `limit` bytes. What has as many
    /// digits fills them, and what has fewer leaves more room than the blanks take: so whatever fits as a file does.
    fn longest_head(&self, limit: u64) -> Result<usize, Failure> {
        let length = |size: u64| head(&self.manifest(size), 0).map(|head| head.len());
        let most = max_plaintext(limit).min(MAX_NUMBER);
        length(most.saturating_sub(length(most)? as u64).max(SMALL_BYTES))
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
    let unreadable = |error: io::Error| unreadable(described.shown, error);
    // The manifest comes first and tells the size: its place is kept until that is known.
    let reserved = described.longest_head(limit)?;
    let mut spool = Spool { sealer: Sealer::new(secrets).map_err(not_kept)?, file: None, next: 1, session };
    let mut first = read_up_to(input, CHUNK_BYTES - reserved).map_err(unreadable)?;
    let mut size = first.len() as u64;
    // What came last: whether it is the last chunk is known when nothing comes any more.
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

/// Everything that comes, as it is, for everybody to read; and how many bytes came. A little stays in memory.
///
/// # Errors
/// When it is more than `limit` bytes, or none, or cannot be read or kept.
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

/// Why something cannot be read, unless the error says so itself.
pub fn unreadable(shown: &str, error: io::Error) -> Failure {
    match error.downcast::<Failure>() {
        Ok(failure) => failure,
        Err(error) => Failure::usage(format!("cannot read {shown}: {error}")),
    }
}

/// There is nothing in it.
pub fn nothing(shown: &str) -> Failure {
    Failure::usage(format!("{shown} is empty; there is nothing to upload"))
}

fn not_kept(error: io::Error) -> Failure {
    Failure::of(error, "cannot keep what is read")
}

/// The chunks behind the first, which is sealed last.
struct Spool<'a> {
    sealer: Sealer,
    file: Option<File>,
    /// The number of the next chunk.
    next: u64,
    session: &'a Session<'a>,
}

impl Spool<'_> {
    /// Seals a chunk and writes it to its place.
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

    /// Pads the plaintext to `total` bytes, seals what is left of it, and the first chunk.
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

/// A file that nobody else can open, in the state folder: the one for temporary files may be in memory.
///
/// # Errors
/// When it can be made nowhere.
pub fn unnamed_file(session: &Session<'_>) -> io::Result<File> {
    let state = session.folders.state.as_ref();
    let in_state = state.map(|state| create_private_folder(state).and_then(|()| tempfile::tempfile_in(state)));
    in_state.and_then(Result::ok).map_or_else(tempfile::tempfile, Ok)
}

/// As much as comes, up to so many bytes.
fn read_up_to(input: &mut dyn Read, bytes: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut buffer = Zeroizing::new(Vec::with_capacity(SEALED_CHUNK_BYTES));
    input.take(bytes as u64).read_to_end(&mut buffer).map(|_| buffer)
}
