//! Sealed pastes, end-to-end encryption format 2: proofs for the server's gate, chunked encryption, and named files.
//!
//! Invariant: only ciphertext and proofs that reveal nothing are meant for a server; plaintext is released only after
//! its chunk's tag was verified. Must never do I/O except on the given readers, nor show a key in `Debug` output.

#[cfg(feature = "client")]
mod ask;
mod fields;
mod keys;
mod manifest;
mod opener;
mod sealer;
mod size;

#[cfg(feature = "client")]
pub use ask::{ANSWER_HEAD_BYTES, Ask, KeyPair, MAX_LABEL_BYTES};
pub use keys::Secrets;
pub use manifest::{FileEntry, MAX_FILES, MAX_MANIFEST_BYTES, MAX_NUMBER, Malformed, Manifest, check_name, name_fault};
pub use opener::{Damage, Opener};
pub use sealer::Sealer;
pub use size::{max_plaintext, padded, plaintext_bytes, sealed_bytes};

use crate::crypto::TAG_BYTES;

/// The magic bytes of an upload.
const MAGIC: &[u8; 8] = b"fpaste2\n";
/// The size of an upload's salt.
const SALT_BYTES: usize = 16;
/// The size of the key commitment.
const COMMITMENT_BYTES: usize = 32;
/// The size of the header before the first chunk.
pub const HEAD_BYTES: usize = MAGIC.len() + SALT_BYTES + COMMITMENT_BYTES;
/// Whether content starts like an upload of this format.
pub fn is_upload(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// The plaintext size of a chunk; the last one may be shorter.
pub const CHUNK_BYTES: usize = 1 << 16;
/// The encrypted size of a chunk.
pub const SEALED_CHUNK_BYTES: usize = CHUNK_BYTES + TAG_BYTES;

const _: () = assert!(HEAD_BYTES == 56 && SEALED_CHUNK_BYTES == 65_552, "as specified by the format");
