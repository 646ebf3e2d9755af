//! Decrypts a sealed paste chunk by chunk, whatever its size.
//!
//! Invariant: only verified bytes are released, and the end only after the last chunk was verified. A broken transfer
//! is resumed from the last verified chunk. Must never hold more than two chunks in memory.

use super::failure::{Exit, Failure};
use super::fetch::{wrong_key, wrong_password};
use super::transport::too_large;
use crate::sealed::{Damage, MAX_MANIFEST_BYTES, Malformed, Manifest, Opener, SEALED_CHUNK_BYTES, Secrets};
use std::io::{self, ErrorKind, Read};
use std::time::Duration;

/// How often a transfer is resumed without progress.
const MAX_TRIES: u32 = 4;
/// The pause before the first retry; it doubles each time.
const PAUSE: Duration = Duration::from_secs(1);

/// The pauses between attempts; `None` after the last one.
pub fn pauses() -> impl Iterator<Item = Option<Duration>> {
    (0..MAX_TRIES).map(|number| Some(PAUSE * 2u32.pow(number))).chain([None])
}

/// Reopens the upload at an offset.
type Reopen<'a> = Box<dyn FnMut(u64) -> Result<Box<dyn Read>, Failure> + 'a>;

/// A reader of the plaintext. Its errors are [`Failure`]s.
pub struct Plaintext<'a> {
    upload: Box<dyn Read + 'a>,
    /// `None` if it can be read only once.
    reopen: Option<Reopen<'a>>,
    opener: Opener,
    /// The size of the upload, once known.
    size: Option<u64>,
    /// Its limit.
    limit: u64,
    /// Bytes read beyond the chunk to find out whether it is the last.
    ahead: Vec<u8>,
    chunk: Vec<u8>,
    at: usize,
}

impl<'a> Plaintext<'a> {
    /// Reads the header of an upload of `size` bytes, or of at most `limit`.
    ///
    /// # Errors
    /// When the key is wrong, or the upload is damaged.
    pub fn begin(
        secrets: &Secrets,
        mut upload: Box<dyn Read + 'a>,
        size: Option<u64>,
        limit: u64,
        reopen: Option<Reopen<'a>>,
    ) -> Result<Self, Failure> {
        let opener = Opener::begin(secrets, &mut upload).map_err(|damage| match damage {
            Damage::WrongKey if secrets.has_password() => wrong_password(),
            damage => failure(damage),
        })?;
        Ok(Self { upload, reopen, opener, size, limit, ahead: Vec::new(), chunk: Vec::new(), at: 0 })
    }

    /// Reads the manifest.
    ///
    /// # Errors
    /// When it is missing or invalid.
    pub fn manifest(&mut self) -> Result<Manifest, Failure> {
        let failed = |error: io::Error| match error.kind() {
            // The plaintext is complete, but shorter than its manifest says.
            ErrorKind::UnexpectedEof => damaged(),
            _ => Failure::of(error, "the content"),
        };
        let mut length = [0; 4];
        self.read_exact(&mut length).map_err(failed)?;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > MAX_MANIFEST_BYTES {
            return Err(damaged());
        }
        let mut bytes = vec![0; length];
        self.read_exact(&mut bytes).map_err(failed)?;
        let manifest = Manifest::parse(&bytes).map_err(|Malformed| damaged())?;
        // Otherwise a file's missing end would be noticed only there.
        let announced = manifest.content_bytes().map_err(|Malformed| damaged())?;
        if announced > self.size.unwrap_or(self.limit) { Err(damaged()) } else { Ok(manifest) }
    }

    /// Reads to the end, to verify all of it.
    ///
    /// # Errors
    /// When it is damaged or incomplete.
    pub fn finish(&mut self) -> Result<(), Failure> {
        io::copy(self, &mut io::sink()).map(drop).map_err(|error| Failure::of(error, "the content"))
    }

    fn next_chunk(&mut self) -> Result<bool, Failure> {
        if self.size.is_none() && self.opener.offset() > self.limit {
            return Err(too_large(self.limit));
        }
        let mut pauses = pauses().flatten();
        loop {
            match self.read_chunk() {
                Ok(Some(chunk)) => {
                    (self.chunk, self.at) = (chunk, 0);
                    return Ok(true);
                }
                Ok(None) => return Ok(false),
                Err(Damage::Io(error)) => {
                    let (Some(reopen), Some(pause)) = (&mut self.reopen, pauses.next()) else {
                        return Err(broken(error));
                    };
                    std::thread::sleep(pause);
                    self.upload = match reopen(self.opener.offset()) {
                        Ok(upload) => upload,
                        // Reported by the next read, which is retried.
                        Err(failure) if matches!(failure.exit, Exit::Network | Exit::Busy) => {
                            Box::new(Broken(Some(failure)))
                        }
                        Err(failure) => return Err(failure),
                    };
                }
                Err(damage) => return Err(failure(damage)),
            }
        }
    }

    /// The next chunk. A failed read can be retried.
    fn read_chunk(&mut self) -> Result<Option<Vec<u8>>, Damage> {
        if let Some(size) = self.size {
            return self.opener.next_chunk(&mut self.upload, size);
        }
        // The size is unknown: one more byte means that the chunk is not the last.
        let mut bytes = std::mem::take(&mut self.ahead);
        let missing = SEALED_CHUNK_BYTES + 1 - bytes.len();
        (&mut self.upload).take(missing as u64).read_to_end(&mut bytes)?;
        let end = self.opener.offset() + bytes.len() as u64;
        if bytes.len() <= SEALED_CHUNK_BYTES {
            self.size = Some(end);
        }
        let chunk = self.opener.next_chunk(&mut bytes.as_slice(), end)?;
        self.ahead = bytes.split_off(SEALED_CHUNK_BYTES.min(bytes.len()));
        Ok(chunk)
    }
}

/// An upload that could not be reopened.
struct Broken(Option<Failure>);

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(self.0.take().map_or_else(|| ErrorKind::UnexpectedEof.into(), io::Error::other))
    }
}

impl Read for Plaintext<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.chunk.len() && !self.next_chunk().map_err(io::Error::other)? {
            return Ok(0);
        }
        let rest = self.chunk.get(self.at..).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        if let (Some(from), Some(to)) = (rest.get(..length), buffer.get_mut(..length)) {
            to.copy_from_slice(from);
        }
        self.at += length;
        Ok(length)
    }
}

/// A reader of one file. The last file ends only after the rest of the plaintext was verified, too.
pub struct OneFile<'p, 'a> {
    plaintext: &'p mut Plaintext<'a>,
    left: u64,
    is_last: bool,
}

impl<'p, 'a> OneFile<'p, 'a> {
    /// The next file, of `size` bytes.
    pub fn new(plaintext: &'p mut Plaintext<'a>, size: u64, is_last: bool) -> Self {
        Self { plaintext, left: size, is_last }
    }
}

impl Read for OneFile<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            if self.is_last {
                self.plaintext.finish().map_err(io::Error::other)?;
            }
            return Ok(0);
        }
        let length = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let read = self.plaintext.read(buffer.get_mut(..length).unwrap_or_default())?;
        if read == 0 && length > 0 {
            return Err(io::Error::other(damaged()));
        }
        self.left -= read as u64;
        Ok(read)
    }
}

fn damaged() -> Failure {
    Failure::new(Exit::Decryption, "the content is damaged: it was altered or is incomplete")
        .hint("ask the sender to send it again")
}

fn failure(damage: Damage) -> Failure {
    match damage {
        Damage::NotSealed | Damage::Damaged => damaged(),
        Damage::WrongKey => wrong_key(),
        Damage::Io(error) => broken(error),
    }
}

/// A broken transfer. A premature end is not damage: everything before it was verified.
fn broken(error: io::Error) -> Failure {
    if error.kind() == ErrorKind::UnexpectedEof {
        return Failure::new(Exit::Network, "the transfer ended prematurely").hint("try again");
    }
    Failure::of(error, "the content")
}
