//! The plaintext of a sealed paste, read from its upload a chunk at a time, whatever its size.
//!
//! Invariant: what is read has been verified, and its end is only read when the last chunk was. A transfer that breaks is
//! taken up again from the last verified chunk. Must never hold more than a chunk.

use super::failure::{Exit, Failure};
use super::fetch::{wrong_key, wrong_password};
use crate::sealed::{Damage, MAX_MANIFEST_BYTES, Malformed, Manifest, Opener, Secrets};
use std::io::{self, ErrorKind, Read};
use std::time::Duration;

/// How often a transfer is taken up again without having got a chunk further.
const MAX_TRIES: u32 = 4;
/// The pause before the first of them; it doubles.
const PAUSE: Duration = Duration::from_secs(1);

/// Opens the upload anew from an offset on.
type Reopen<'a> = Box<dyn FnMut(u64) -> Result<Box<dyn Read>, Failure> + 'a>;

/// A plaintext. Its errors are [`Failure`]s.
pub struct Plaintext<'a> {
    upload: Box<dyn Read + 'a>,
    /// `None`: it can be read once.
    reopen: Option<Reopen<'a>>,
    opener: Opener,
    /// Bytes of the upload.
    size: u64,
    chunk: Vec<u8>,
    at: usize,
}

impl<'a> Plaintext<'a> {
    /// Begins to open an upload of `size` bytes.
    ///
    /// # Errors
    /// When it belongs to another key, or is damaged.
    pub fn begin(
        secrets: &Secrets,
        mut upload: Box<dyn Read + 'a>,
        size: u64,
        reopen: Option<Reopen<'a>>,
    ) -> Result<Self, Failure> {
        let opener = Opener::begin(secrets, &mut upload).map_err(|damage| match damage {
            Damage::WrongKey if secrets.has_password() => wrong_password(),
            damage => failure(damage),
        })?;
        Ok(Self { upload, reopen, opener, size, chunk: Vec::new(), at: 0 })
    }

    /// The manifest at its beginning.
    ///
    /// # Errors
    /// When there is none that keeps the rules of the format.
    pub fn manifest(&mut self) -> Result<Manifest, Failure> {
        let failed = |error: io::Error| match error.kind() {
            // The whole plaintext was there, and is shorter than what it begins with says.
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
        // Else a file would be found to be too short only at its end.
        let announced = manifest.content_bytes().map_err(|Malformed| damaged())?;
        if announced > self.size { Err(damaged()) } else { Ok(manifest) }
    }

    /// Reads on to the end, so that all of it was seen to be whole.
    ///
    /// # Errors
    /// When it is not.
    pub fn finish(&mut self) -> Result<(), Failure> {
        io::copy(self, &mut io::sink()).map(drop).map_err(|error| Failure::of(error, "the content"))
    }

    fn next_chunk(&mut self) -> Result<bool, Failure> {
        let mut tries = 0;
        loop {
            match self.opener.next_chunk(&mut self.upload, self.size) {
                Ok(Some(chunk)) => {
                    (self.chunk, self.at) = (chunk, 0);
                    return Ok(true);
                }
                Ok(None) => return Ok(false),
                Err(Damage::Io(error)) if tries < MAX_TRIES && self.reopen.is_some() => {
                    std::thread::sleep(PAUSE * 2u32.pow(tries));
                    tries += 1;
                    // A failure here is the next try's to mend, or the last one's to tell.
                    match self.reopen.as_mut().map(|reopen| reopen(self.opener.offset())) {
                        Some(Ok(upload)) => self.upload = upload,
                        Some(Err(failure)) if failure.exit != Exit::Network => return Err(failure),
                        _ if tries == MAX_TRIES => return Err(Failure::of(error, "the content")),
                        _ => {}
                    }
                }
                Err(damage) => return Err(failure(damage)),
            }
        }
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

/// One file of a plaintext, to its last byte. Of the last file, the end is told only when the rest is whole, too.
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
    Failure::new(Exit::Decryption, "the content is damaged: it was changed on its way, or is not whole")
        .hint("ask for it to be sent again")
}

fn failure(damage: Damage) -> Failure {
    match damage {
        Damage::NotSealed | Damage::Damaged => damaged(),
        Damage::WrongKey => wrong_key(),
        Damage::Io(error) => Failure::of(error, "the content"),
    }
}
