//! Encodes the details sealed with content: its type and file name.
//!
//! Invariant: details written by any version can be read; a NUL separates the two, so a type contains none. Must never
//! contain anything that identifies a person.

use crate::at_rest::Damaged;

/// Encodes the details for sealing.
pub(super) fn encode(mime_type: &str, filename: Option<&str>) -> Vec<u8> {
    let name = filename.map(|name| format!("\0{name}")).unwrap_or_default();
    format!("{mime_type}{name}").into_bytes()
}

/// Decodes the type and the name.
///
/// # Errors
/// [`Damaged`]
pub(super) fn decode(bytes: Vec<u8>) -> Result<(String, Option<String>), Damaged> {
    let text = String::from_utf8(bytes).map_err(|_| Damaged)?;
    Ok(match text.split_once('\0') {
        Some((mime_type, name)) => (mime_type.to_owned(), Some(name.to_owned())),
        None => (text, None),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_round_trip_with_and_without_a_name() {
        for name in [None, Some("Zażółć.txt")] {
            let bytes = encode("text/plain; charset=utf-8", name);
            assert_eq!(decode(bytes), Ok(("text/plain; charset=utf-8".into(), name.map(str::to_owned))));
        }
        assert_eq!(decode(vec![0xff]), Err(Damaged));
    }
}
