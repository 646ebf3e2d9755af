//! Content on its way in: kept in memory while small, in an unlinked file beside the database when large, and
//! hashed, measured and sniffed in the one pass that receives it.
//!
//! Invariant: memory per content is bounded by [`MEMORY_BYTES`] whatever its size. Must never leave a file behind:
//! the spool file has no name from the moment it exists.

use crate::crypto::Sha256Digest;
use crate::mime::SNIFF_BYTES;
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// Content up to this size stays in memory.
pub const MEMORY_BYTES: usize = 1 << 20;

/// Content being received.
pub struct Spool<'a> {
    folder: &'a Path,
    storage: Storage,
    size: u64,
    hash: Sha256,
    histogram: Option<Box<[u64; 256]>>,
    text: TextCheck,
    head: Vec<u8>,
}

/// Content received whole.
pub struct Content {
    storage: Storage,
    /// Length in bytes.
    pub size: u64,
    /// SHA-256.
    pub sha256: Sha256Digest,
    /// Shannon entropy in bits per byte; `None` unless it was asked for.
    pub entropy_bits: Option<f64>,
    /// Whether all of it is UTF-8 without NUL.
    pub is_text: bool,
    /// The first bytes, for [`crate::mime::detect`].
    pub head: Vec<u8>,
}

enum Storage {
    Memory(Vec<u8>),
    File(File),
}

impl<'a> Spool<'a> {
    /// An empty spool that puts its file, should it need one, into `folder`.
    pub fn new(folder: &'a Path, measure_entropy: bool) -> Self {
        Self {
            folder,
            storage: Storage::Memory(Vec::new()),
            size: 0,
            hash: Sha256::new(),
            histogram: measure_entropy.then(|| Box::new([0; 256])),
            text: TextCheck::default(),
            head: Vec::new(),
        }
    }

    /// Bytes received so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Takes in the next bytes.
    ///
    /// # Errors
    /// When the spool file cannot be made or written, as on a full disk.
    pub fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.size += bytes.len() as u64;
        self.hash.update(bytes);
        self.text.push(bytes);
        if let Some(histogram) = &mut self.histogram {
            for byte in bytes {
                if let Some(count) = histogram.get_mut(usize::from(*byte)) {
                    *count += 1;
                }
            }
        }
        let missing = SNIFF_BYTES.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend(bytes.iter().take(missing));
        if let Storage::Memory(memory) = &mut self.storage {
            if memory.len() + bytes.len() <= MEMORY_BYTES {
                memory.extend_from_slice(bytes);
                return Ok(());
            }
            let mut file = unnamed_file(self.folder)?;
            file.write_all(memory)?;
            self.storage = Storage::File(file);
        }
        match &mut self.storage {
            Storage::File(file) => file.write_all(bytes),
            Storage::Memory(_) => Ok(()),
        }
    }

    /// Ends the content.
    pub fn finish(self) -> Content {
        let size = self.size;
        Content {
            storage: self.storage,
            size,
            sha256: self.hash.finalize().into(),
            entropy_bits: self.histogram.map(|histogram| entropy_bits(histogram.as_slice(), size)),
            is_text: self.text.finish(),
            head: self.head,
        }
    }
}

impl Content {
    /// Calls `each` with consecutive pieces of `piece_bytes` (the last may be shorter) and their number from 0.
    ///
    /// # Errors
    /// What `each` returned, or a failure to read the spool file.
    pub fn for_each_piece<E: From<io::Error>>(
        &self,
        piece_bytes: usize,
        mut each: impl FnMut(u32, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        match &self.storage {
            Storage::Memory(memory) => {
                for (number, piece) in (0..).zip(memory.chunks(piece_bytes)) {
                    each(number, piece)?;
                }
            }
            Storage::File(file) => {
                let mut buffer = vec![0; piece_bytes];
                let (mut offset, mut number) = (0, 0);
                while offset < self.size {
                    let length = usize::try_from(self.size - offset).map_or(piece_bytes, |left| left.min(piece_bytes));
                    let piece = buffer.get_mut(..length).unwrap_or_default();
                    file.read_exact_at(piece, offset)?;
                    each(number, piece)?;
                    offset += length as u64;
                    number += 1;
                }
            }
        }
        Ok(())
    }

    /// The whole content in memory, for a JSON body, which has to be parsed as one.
    ///
    /// # Errors
    /// When the spool file cannot be read.
    pub fn into_bytes(self) -> io::Result<Vec<u8>> {
        match self.storage {
            Storage::Memory(memory) => Ok(memory),
            Storage::File(mut file) => {
                let mut bytes = Vec::with_capacity(usize::try_from(self.size).unwrap_or(0));
                file.seek(SeekFrom::Start(0))?;
                file.read_to_end(&mut bytes)?;
                Ok(bytes)
            }
        }
    }
}

/// A file without a name in `folder`, readable and writable by nobody else.
///
/// # Errors
/// When the folder is not writable or the disk is full.
pub fn unnamed_file(folder: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    match options.clone().custom_flags(libc::O_TMPFILE).open(folder) {
        // Some file systems (NFS, old overlays) have no O_TMPFILE: make a name and drop it at once.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EISDIR | libc::ENOENT)) => {
            let path = folder.join(format!(".spool-{}", crate::crypto::hex(&crate::crypto::random::<16>()?)));
            let file = options.create_new(true).open(&path)?;
            std::fs::remove_file(&path)?;
            Ok(file)
        }
        result => result,
    }
}

/// Shannon entropy of a byte histogram, in bits per byte.
fn entropy_bits(histogram: &[u64], size: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts of bytes are far below 2^53")]
    let share = |count: u64| count as f64 / size as f64;
    let bits: f64 =
        histogram.iter().filter(|count| **count > 0).map(|count| -share(*count) * share(*count).log2()).sum();
    // A single symbol gives -0.0, which would print as such; the sum with 0.0 is 0.0.
    bits + 0.0
}

/// Whether bytes that arrive in pieces are UTF-8 without NUL.
#[derive(Default)]
struct TextCheck {
    failed: bool,
    /// The beginning of a character that the last piece cut in two.
    cut: Vec<u8>,
}

impl TextCheck {
    fn push(&mut self, bytes: &[u8]) {
        if self.failed {
            return;
        }
        let mut rest = bytes;
        // Complete the cut character byte by byte: at most three steps.
        while let (false, Some((first, tail))) = (self.cut.is_empty(), rest.split_first()) {
            self.cut.push(*first);
            rest = tail;
            match std::str::from_utf8(&self.cut) {
                Ok(_) => self.cut.clear(),
                Err(error) if error.error_len().is_some() => self.failed = true,
                Err(_) => {}
            }
            if self.failed {
                return;
            }
        }
        match std::str::from_utf8(rest) {
            Ok(_) => {}
            Err(error) if error.error_len().is_some() => self.failed = true,
            Err(error) => self.cut.extend(rest.iter().skip(error.valid_up_to())),
        }
        self.failed |= bytes.contains(&0);
    }

    fn finish(self) -> bool {
        !self.failed && self.cut.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spool(pieces: &[&[u8]]) -> Content {
        let folder = std::env::temp_dir();
        let mut spool = Spool::new(&folder, true);
        for piece in pieces {
            spool.push(piece).unwrap();
        }
        spool.finish()
    }

    fn read_back(content: &Content) -> Vec<u8> {
        let mut bytes = Vec::new();
        content
            .for_each_piece(64 << 10, |number, piece| -> io::Result<()> {
                assert_eq!(usize::try_from(number).unwrap(), bytes.len() / (64 << 10));
                bytes.extend_from_slice(piece);
                Ok(())
            })
            .unwrap();
        bytes
    }

    #[test]
    fn small_and_large_contents_come_back_whole() {
        for size in [0, 1, 65_536, MEMORY_BYTES - 1, MEMORY_BYTES, MEMORY_BYTES + 1, 3 * MEMORY_BYTES + 7] {
            let bytes: Vec<u8> = (0..size).map(|n| u8::try_from(n % 251).unwrap()).collect();
            let content = spool(&bytes.chunks(100_003).collect::<Vec<_>>());
            assert_eq!(matches!(content.storage, Storage::File(_)), size > MEMORY_BYTES);
            assert_eq!(content.size, size as u64);
            assert_eq!(content.sha256, crate::crypto::sha256(&bytes));
            assert!(read_back(&content) == bytes, "{size}");
            assert!(content.into_bytes().unwrap() == bytes, "{size}");
        }
    }

    #[test]
    fn text_is_recognised_however_it_is_cut() {
        let text = "aß€𝄞z".as_bytes();
        for cut in 0..=text.len() {
            let (left, right) = text.split_at(cut);
            assert!(spool(&[left, right]).is_text, "cut at {cut}");
            assert_eq!(spool(&[left]).is_text, std::str::from_utf8(left).is_ok(), "only {cut} bytes");
        }
        let single: Vec<&[u8]> = text.chunks(1).collect();
        assert!(spool(&single).is_text);
        for binary in [&b"a\0b"[..], b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"ok\xc3"] {
            assert!(!spool(&[binary]).is_text && !spool(&binary.chunks(1).collect::<Vec<_>>()).is_text, "{binary:?}");
        }
    }

    #[test]
    fn entropy_of_known_distributions() {
        let all: Vec<u8> = (0..=255).collect();
        let cases: [(&[u8], f64); 5] =
            [(&all, 8.0), (b"aaaa", 0.0), (b"abab", 1.0), (b"abcd", 2.0), (b"aab", 0.918_295_8)];
        for (bytes, bits) in cases {
            assert!((spool(&[bytes]).entropy_bits.unwrap() - bits).abs() < 1e-6, "{bytes:?}");
        }
        assert!(spool(&[b"aaaa"]).entropy_bits.unwrap().is_sign_positive());
    }
}
