//! Sizes: padding, and the overhead of sealing.
//!
//! Invariant: a padded size reveals little about the content, and padding never pushes a paste over a limit. Must never
//! overflow, whatever a manifest contains.

use super::{CHUNK_BYTES, HEAD_BYTES, SEALED_CHUNK_BYTES};
use crate::crypto::TAG_BYTES;

/// The minimum size of a padded plaintext.
const MIN_BYTES: u64 = 256;

/// Padmé (Nikitin et al. 2019): at most 12 % overhead, and so few sizes that they reveal little.
pub fn padded(bytes: u64) -> u64 {
    if bytes <= MIN_BYTES {
        return MIN_BYTES;
    }
    let exponent = bytes.ilog2();
    let kept_bits = exponent.ilog2() + 1;
    let step = 1u64 << (exponent - kept_bits);
    bytes.div_ceil(step).saturating_mul(step)
}

/// The size of the upload for a plaintext of this size.
pub fn sealed_bytes(plaintext: u64) -> u64 {
    plaintext + plaintext.div_ceil(CHUNK_BYTES as u64) * TAG_BYTES as u64 + HEAD_BYTES as u64
}

/// The largest plaintext whose upload has at most this size; 0 if there is none.
pub fn max_plaintext(upload: u64) -> u64 {
    let chunks = upload.saturating_sub(HEAD_BYTES as u64);
    let whole = chunks / SEALED_CHUNK_BYTES as u64;
    let rest = (chunks % SEALED_CHUNK_BYTES as u64).saturating_sub(TAG_BYTES as u64);
    whole * CHUNK_BYTES as u64 + rest
}

/// The padded size of a plaintext of `bytes`, for an upload of at most `limit`.
pub fn plaintext_bytes(bytes: u64, limit: u64) -> u64 {
    padded(bytes).min(max_plaintext(limit)).max(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::keys::tests::vectors;
    use super::*;
    use serde_json::Value;

    #[test]
    fn sizes_match_an_independent_implementation() {
        let all: Value = serde_json::from_str(include_str!("../../tests/vectors-sealed.json")).unwrap();
        let pairs = all["padded_length"].as_array().unwrap();
        assert!(pairs.len() > 10);
        for pair in pairs {
            assert_eq!(padded(pair[0].as_u64().unwrap()), pair[1].as_u64().unwrap(), "{pair}");
        }
        for case in vectors() {
            let [plaintext, upload] = ["plaintext_length", "upload_length"].map(|name| case[name].as_u64().unwrap());
            assert_eq!(sealed_bytes(plaintext), upload);
            assert_eq!(max_plaintext(upload), plaintext);
        }
    }

    #[test]
    fn one_byte_more_than_the_largest_plaintext_does_not_fit() {
        for limit in [57, 72, 73, 74, 328, 65_608, 65_609, 65_624, 65_625, 131_160, 3_145_728, 1 << 40] {
            let most = max_plaintext(limit);
            assert!(most == 0 || sealed_bytes(most) <= limit, "{limit}");
            assert!(sealed_bytes(most + 1) > limit, "{limit}");
        }
    }

    #[test]
    fn padding_never_exceeds_a_limit_that_the_content_meets() {
        let limit = sealed_bytes(1_000_000);
        assert_eq!(plaintext_bytes(1_000_000, limit), 1_000_000);
        assert_eq!(plaintext_bytes(999_900, limit), 1_000_000);
        assert_eq!(plaintext_bytes(1_000_000, u64::MAX), 1_015_808);
        assert_eq!(plaintext_bytes(2_000_000, limit), 2_000_000, "an oversized plaintext is not padded");
        assert!(padded(u64::MAX) == u64::MAX);
    }
}
