//! Receives content: encrypts it piece by piece, keeps it in memory or, if large, in an unlinked file beside the
//! database, and computes its hash, entropy and type in the same pass.
//!
//! Invariant: memory per content is limited to [`MEMORY_BYTES`], and a spool file contains only ciphertext. Must never
//! leave a file behind: the spool file has no name, or on file systems without `O_TMPFILE` is unlinked at once.

use crate::at_rest::{ContentCipher, ContentKey, PIECE_BYTES, SEALED_PIECE_BYTES};
use crate::blocking;
use crate::crypto::{Sha256Digest, TAG_BYTES};
use crate::mime::SNIFF_BYTES;
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Content up to this size stays in memory.
pub const MEMORY_BYTES: usize = 1 << 20;

/// The size limit of all spool files together.
pub struct SpoolRoom {
    most_bytes: u64,
    taken_bytes: AtomicU64,
}

impl SpoolRoom {
    /// Room for this many bytes.
    pub fn of(most_bytes: u64) -> Arc<Self> {
        Arc::new(Self { most_bytes, taken_bytes: AtomicU64::new(0) })
    }

    /// The current size of all spool files.
    pub fn taken_bytes(&self) -> u64 {
        self.taken_bytes.load(Ordering::Relaxed)
    }
}

/// A part of the room, released on drop.
struct Taken {
    room: Arc<SpoolRoom>,
    bytes: u64,
}

impl Taken {
    /// Takes more.
    ///
    /// # Errors
    /// `ResourceBusy` when there is no room left.
    fn grow(&mut self, bytes: u64) -> io::Result<()> {
        self.bytes += bytes;
        let taken_bytes = self.room.taken_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if taken_bytes > self.room.most_bytes { Err(io::ErrorKind::ResourceBusy.into()) } else { Ok(()) }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.room.taken_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Content being received.
pub struct Spool<'a> {
    folder: &'a Path,
    key: ContentKey,
    cipher: ContentCipher,
    /// The current piece, not encrypted yet.
    piece: Vec<u8>,
    pieces: u64,
    storage: Storage,
    size: u64,
    hash: Sha256,
    histogram: Option<Box<[u64; 256]>>,
    text: TextCheck,
    head: Vec<u8>,
    taken: Taken,
}

/// Completely received and encrypted content.
pub struct Content {
    key: ContentKey,
    cipher: ContentCipher,
    storage: Storage,
    /// Length in bytes.
    pub size: u64,
    /// SHA-256.
    pub sha256: Sha256Digest,
    /// Shannon entropy in bits per byte; `None` unless requested.
    pub entropy_bits: Option<f64>,
    /// Whether all of it is UTF-8 without NUL.
    pub is_text: bool,
    /// The first bytes, for [`crate::mime::detect`].
    pub head: Vec<u8>,
    /// Released when the content has been stored.
    taken: Taken,
}

/// The encrypted pieces, concatenated.
enum Storage {
    Memory(Vec<u8>),
    File(File),
}

impl<'a> Spool<'a> {
    /// An empty spool that creates its file, if needed, in `folder`.
    ///
    /// # Errors
    /// When the system has no entropy source.
    pub fn new(folder: &'a Path, room: &Arc<SpoolRoom>, measure_entropy: bool) -> io::Result<Self> {
        let key = ContentKey::random()?;
        Ok(Self {
            folder,
            cipher: key.cipher(),
            key,
            piece: Vec::new(),
            pieces: 0,
            storage: Storage::Memory(Vec::new()),
            size: 0,
            hash: Sha256::new(),
            histogram: measure_entropy.then(|| Box::new([0; 256])),
            text: TextCheck::default(),
            head: Vec::new(),
            taken: Taken { room: Arc::clone(room), bytes: 0 },
        })
    }

    /// Bytes received so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The number of bytes in the spool file.
    pub fn spooled_bytes(&self) -> u64 {
        self.taken.bytes
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// When the spool file cannot be created or written, as on a full disk; `ResourceBusy` when other spool files leave
    /// no room.
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
        let mut rest = bytes;
        while !rest.is_empty() {
            let (fitting, more) = rest.split_at(rest.len().min(PIECE_BYTES - self.piece.len()));
            self.piece.extend_from_slice(fitting);
            rest = more;
            if self.piece.len() == PIECE_BYTES {
                // A long content takes its time, and may be written to a file.
                blocking::about_to_block();
                self.end_piece()?;
            }
        }
        Ok(())
    }

    /// Encrypts the current piece and appends it to the others.
    fn end_piece(&mut self) -> io::Result<()> {
        self.cipher.seal_piece(self.pieces, &mut self.piece)?;
        self.pieces += 1;
        match &mut self.storage {
            Storage::Memory(memory) if memory.is_empty() && self.piece.len() < SEALED_PIECE_BYTES => {
                // Most contents have only one piece.
                *memory = std::mem::take(&mut self.piece);
            }
            Storage::Memory(memory) if self.size <= MEMORY_BYTES as u64 => memory.extend_from_slice(&self.piece),
            Storage::Memory(memory) => {
                self.taken.grow((memory.len() + self.piece.len()) as u64)?;
                let mut file = unnamed_file(self.folder)?;
                file.write_all(memory)?;
                file.write_all(&self.piece)?;
                self.storage = Storage::File(file);
            }
            Storage::File(file) => {
                self.taken.grow(self.piece.len() as u64)?;
                file.write_all(&self.piece)?;
            }
        }
        self.piece.clear();
        Ok(())
    }

    /// Ends the content.
    ///
    /// # Errors
    /// As [`Spool::push`].
    pub fn finish(mut self) -> io::Result<Content> {
        if !self.piece.is_empty() {
            self.end_piece()?;
        }
        let size = self.size;
        Ok(Content {
            key: self.key,
            cipher: self.cipher,
            storage: self.storage,
            size,
            sha256: self.hash.finalize().into(),
            entropy_bits: self.histogram.map(|histogram| entropy_bits(histogram.as_slice(), size)),
            is_text: self.text.finish(),
            head: self.head,
            taken: self.taken,
        })
    }
}

impl Content {
    /// The number of bytes in the spool file.
    pub fn spooled_bytes(&self) -> u64 {
        self.taken.bytes
    }

    /// The key of its pieces.
    pub fn key(&self) -> &ContentKey {
        &self.key
    }

    /// The cipher of that key.
    pub fn cipher(&self) -> &ContentCipher {
        &self.cipher
    }

    /// Calls `each` with the number, from 0, and the bytes of each encrypted piece, in order.
    ///
    /// # Errors
    /// What `each` returned, or a failure to read the spool file.
    pub fn for_each_piece<E: From<io::Error>>(
        &self,
        mut each: impl FnMut(u64, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        match &self.storage {
            Storage::Memory(memory) => {
                for (number, piece) in (0..).zip(memory.chunks(SEALED_PIECE_BYTES)) {
                    each(number, piece)?;
                }
            }
            Storage::File(file) => {
                let mut buffer = vec![0; SEALED_PIECE_BYTES];
                for number in 0..self.size.div_ceil(PIECE_BYTES as u64) {
                    let left = self.size - number * PIECE_BYTES as u64;
                    let length = usize::try_from(left).map_or(PIECE_BYTES, |left| left.min(PIECE_BYTES));
                    let piece = buffer.get_mut(..length + TAG_BYTES).unwrap_or_default();
                    file.read_exact_at(piece, number * SEALED_PIECE_BYTES as u64)?;
                    each(number, piece)?;
                }
            }
        }
        Ok(())
    }

    /// The first encrypted piece; empty if there is no content.
    ///
    /// # Errors
    /// When the spool file cannot be read.
    #[cfg(feature = "postgres")]
    pub fn first_piece(&self) -> io::Result<Vec<u8>> {
        match &self.storage {
            Storage::Memory(memory) => Ok(memory.chunks(SEALED_PIECE_BYTES).next().unwrap_or_default().to_vec()),
            // Content in a file has more than one piece.
            Storage::File(file) => {
                let mut piece = vec![0; SEALED_PIECE_BYTES];
                file.read_exact_at(&mut piece, 0).map(|()| piece)
            }
        }
    }

    /// The decrypted content in memory, for a JSON body, which must be parsed as a whole.
    ///
    /// # Errors
    /// When the spool file cannot be read.
    pub fn into_bytes(self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(usize::try_from(self.size).unwrap_or(0));
        let mut open = Vec::new();
        self.for_each_piece(|number, piece| -> io::Result<()> {
            open.clear();
            open.extend_from_slice(piece);
            self.cipher.open_piece(number, &mut open)?;
            bytes.extend_from_slice(&open);
            Ok(())
        })?;
        Ok(bytes)
    }
}

/// Creates an unlinked file in `folder`, which no other process can open.
///
/// # Errors
/// When the folder is not writable or the disk is full.
pub fn unnamed_file(folder: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    match options.clone().custom_flags(libc::O_TMPFILE).open(folder) {
        // Some file systems (NFS, old overlays) do not support O_TMPFILE: create a named file and unlink it.
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
    // A single symbol gives -0.0; adding 0.0 makes it 0.0.
    bits + 0.0
}

/// Checks incrementally whether bytes are UTF-8 without NUL.
#[derive(Default)]
struct TextCheck {
    failed: bool,
    /// The start of a character that was split between two pieces.
    cut: Vec<u8>,
}

impl TextCheck {
    fn push(&mut self, bytes: &[u8]) {
        if self.failed {
            return;
        }
        let mut rest = bytes;
        // Complete the split character byte by byte: at most three steps.
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
        let mut spool = Spool::new(&folder, &SpoolRoom::of(u64::MAX), true).unwrap();
        for piece in pieces {
            spool.push(piece).unwrap();
        }
        spool.finish().unwrap()
    }

    /// All encrypted pieces.
    fn at_rest(content: &Content) -> Vec<u8> {
        let mut bytes = Vec::new();
        content
            .for_each_piece(|number, piece| -> io::Result<()> {
                assert_eq!(usize::try_from(number).unwrap(), bytes.len() / SEALED_PIECE_BYTES);
                bytes.extend_from_slice(piece);
                Ok(())
            })
            .unwrap();
        bytes
    }

    #[test]
    fn small_and_large_contents_round_trip() {
        for size in
            [0, 1, 65_535, 65_536, 65_537, MEMORY_BYTES - 1, MEMORY_BYTES, MEMORY_BYTES + 1, 3 * MEMORY_BYTES + 7]
        {
            let bytes: Vec<u8> = (0..size).map(|n| u8::try_from(n % 251).unwrap()).collect();
            let content = spool(&bytes.chunks(100_003).collect::<Vec<_>>());
            assert_eq!(matches!(content.storage, Storage::File(_)), size > MEMORY_BYTES, "{size}");
            assert_eq!(content.size, size as u64);
            assert_eq!(content.sha256, crate::crypto::sha256(&bytes));
            let sealed = at_rest(&content);
            assert_eq!(sealed.len(), size + size.div_ceil(PIECE_BYTES) * TAG_BYTES);
            assert!(content.into_bytes().unwrap() == bytes, "{size}");
            assert!(size < 16 || !sealed.windows(16).any(|window| window == &bytes[..16]), "{size}: readable at rest");
        }
    }

    #[test]
    fn spool_files_share_and_release_their_room() {
        let folder = std::env::temp_dir();
        let room = SpoolRoom::of(3 << 20);
        let fill = |bytes: usize| {
            let mut spool = Spool::new(&folder, &room, false).unwrap();
            vec![0; bytes].chunks(PIECE_BYTES).try_for_each(|piece| spool.push(piece)).and_then(|()| spool.finish())
        };
        let in_memory = fill(MEMORY_BYTES).unwrap();
        assert_eq!(room.taken_bytes(), 0, "content in memory takes none");
        let first = fill(2 << 20).unwrap();
        assert!(room.taken_bytes() >= 2 << 20);
        let refused = fill(2 << 20);
        assert_eq!(refused.err().unwrap().kind(), io::ErrorKind::ResourceBusy);
        drop((first, in_memory));
        assert_eq!(room.taken_bytes(), 0);
        fill(2 << 20).unwrap();
    }

    #[test]
    fn text_is_detected_however_it_is_split() {
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
