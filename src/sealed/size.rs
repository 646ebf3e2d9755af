//! How large things are: padding, and what sealing adds.
//!
//! Invariant: a size says little of the content, and padding never makes a paste too large that was not. Must never
//! overflow, whatever a manifest says.

use super::{CHUNK_BYTES, HEAD_BYTES, SEALED_CHUNK_BYTES};
use crate::crypto::TAG_BYTES;

/// Fewest bytes of a padded plaintext.
const MIN_BYTES: u64 = 256;

/// Padmé (Nikitin et al. 2019): at most 12 % more, and so few sizes that they tell little.
pub fn padded(bytes: u64) -> u64 {
    if bytes <= MIN_BYTES {
        return MIN_BYTES;
    }
    let exponent = bytes.ilog2();
    let kept_bits = exponent.ilog2() + 1;
    let step = 1u64 << (exponent - kept_bits);
    bytes.div_ceil(step).saturating_mul(step)
}

/// Bytes of the upload of a plaintext.
pub fn sealed_bytes(plaintext: u64) -> u64 {
    plaintext + plaintext.div_ceil(CHUNK_BYTES as u64) * TAG_BYTES as u64 + HEAD_BYTES as u64
}

/// The largest plaintext whose upload has at most so many bytes; 0 where there is none.
pub fn max_plaintext(upload: u64) -> u64 {
    let chunks = upload.saturating_sub(HEAD_BYTES as u64);
    let whole = chunks / SEALED_CHUNK_BYTES as u64;
    let rest = (chunks % SEALED_CHUNK_BYTES as u64).saturating_sub(TAG_BYTES as u64);
    whole * CHUNK_BYTES as u64 + rest
}

/// Bytes of the padded plaintext for one of `bytes`, in an upload of at most `limit`.
pub fn plaintext_bytes(bytes: u64, limit: u64) -> u64 {
    padded(bytes).min(max_plaintext(limit)).max(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::keys::tests::vectors;
    use super::*;
    use serde_json::Value;

    #[test]
    fn sizes_of_an_independent_implementation() {
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
    fn the_largest_plaintext_fits_and_one_more_byte_does_not() {
        for limit in [57, 72, 73, 74, 328, 65_608, 65_609, 65_624, 65_625, 131_160, 3_145_728, 1 << 40] {
            let most = max_plaintext(limit);
            assert!(most == 0 || sealed_bytes(most) <= limit, "{limit}");
            assert!(sealed_bytes(most + 1) > limit, "{limit}");
        }
    }

    #[test]
    fn padding_keeps_limits_that_the_content_keeps() {
        let limit = sealed_bytes(1_000_000);
        assert_eq!(plaintext_bytes(1_000_000, limit), 1_000_000);
        assert_eq!(plaintext_bytes(999_900, limit), 1_000_000);
        assert_eq!(plaintext_bytes(1_000_000, u64::MAX), 1_015_808);
        assert_eq!(plaintext_bytes(2_000_000, limit), 2_000_000, "too large is for others to say");
        assert!(padded(u64::MAX) == u64::MAX);
    }
}
