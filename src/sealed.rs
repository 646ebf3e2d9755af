//! Sealed pastes, the second end-to-end encryption format: proofs for the server's gate, an upload in chunks, and files with
//! names inside.
//!
//! Invariant: what leaves here for a server is ciphertext or a proof from which nothing follows; nothing of a chunk is
//! released before its tag has verified. Must never do I/O but through what it is given, nor show a key in a `Debug` output.

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

/// What an upload begins with.
const MAGIC: &[u8; 8] = b"fpaste2\n";
/// Bytes of the salt of one upload.
const SALT_BYTES: usize = 16;
/// Bytes of the commitment to its keys.
const COMMITMENT_BYTES: usize = 32;
/// Bytes before the first chunk.
pub const HEAD_BYTES: usize = MAGIC.len() + SALT_BYTES + COMMITMENT_BYTES;
/// Whether these bytes are the beginning of an upload of this format.
pub fn is_upload(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// Bytes of plaintext in a chunk; the last may have fewer.
pub const CHUNK_BYTES: usize = 1 << 16;
/// Bytes of a chunk in the upload.
pub const SEALED_CHUNK_BYTES: usize = CHUNK_BYTES + TAG_BYTES;

const _: () = assert!(HEAD_BYTES == 56 && SEALED_CHUNK_BYTES == 65_552, "as the format has it");
