//! Reads content piece by piece: each is fetched and decrypted when the previous one was consumed.
//!
//! Invariant: nothing of a piece is returned before its tag was verified. Must never hold a resource of an engine
//! between pieces.

use super::model::SealedContent;
use crate::at_rest::{ContentCipher, PIECE_BYTES, SEALED_PIECE_BYTES};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

/// A reader of sealed pieces, which `fetch` returns by number; an empty one is the end.
pub(super) struct ContentReader<F> {
    cipher: ContentCipher,
    fetch: F,
    next_piece: u64,
    /// Bytes of the first piece to skip.
    skip: u64,
    piece: io::Cursor<Vec<u8>>,
}

impl<F: FnMut(u64) -> io::Result<Vec<u8>>> ContentReader<F> {
    /// Creates a reader that starts at `offset`.
    pub(super) fn new(cipher: ContentCipher, offset: u64, fetch: F) -> Self {
        let piece_bytes = PIECE_BYTES as u64;
        let (next_piece, skip) = (offset / piece_bytes, offset % piece_bytes);
        Self { cipher, fetch, next_piece, skip, piece: io::Cursor::default() }
    }
}

impl<F: FnMut(u64) -> io::Result<Vec<u8>>> Read for ContentReader<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.piece.read(buffer)?;
        if read > 0 || buffer.is_empty() {
            return Ok(read);
        }
        let mut piece = (self.fetch)(self.next_piece)?;
        if piece.is_empty() {
            return Ok(0);
        }
        self.cipher.open_piece(self.next_piece, &mut piece)?;
        self.next_piece += 1;
        self.piece = io::Cursor::new(piece);
        self.piece.set_position(std::mem::take(&mut self.skip));
        self.piece.read(buffer)
    }
}

impl SealedContent {
    /// The sealed piece with this number, empty after the last.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn piece(&self, number: u64) -> io::Result<Vec<u8>> {
        let offset = number * SEALED_PIECE_BYTES as u64;
        match self {
            Self::Memory(bytes) => {
                let at = usize::try_from(offset).map_or(bytes.len(), |offset| offset.min(bytes.len()));
                let rest = bytes.get(at..).unwrap_or_default();
                Ok(rest.get(..SEALED_PIECE_BYTES).unwrap_or(rest).to_vec())
            }
            Self::File(file) => {
                let mut piece = vec![0; SEALED_PIECE_BYTES];
                let mut filled = 0;
                while let Some(rest) = piece.get_mut(filled..).filter(|rest| !rest.is_empty()) {
                    match file.read_at(rest, offset + filled as u64)? {
                        0 => break,
                        read => filled += read,
                    }
                }
                piece.truncate(filled);
                Ok(piece)
            }
        }
    }
}
