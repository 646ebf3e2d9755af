//! What is sealed beside a content: its type, and what its file is called.
//!
//! Invariant: what is read is what was written, by every version; a type has no NUL in it, which stands between the two. Must
//! never hold anything that names a person.

use crate::at_rest::Damaged;

/// The bytes to be sealed.
pub(super) fn encode(mime_type: &str, filename: Option<&str>) -> Vec<u8> {
    let name = filename.map(|name| format!("\0{name}")).unwrap_or_default();
    format!("{mime_type}{name}").into_bytes()
}

/// The type and the name in such bytes.
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
    fn a_type_comes_back_with_and_without_a_name() {
        for name in [None, Some("Zażółć.txt")] {
            let bytes = encode("text/plain; charset=utf-8", name);
            assert_eq!(decode(bytes), Ok(("text/plain; charset=utf-8".into(), name.map(str::to_owned))));
        }
        assert_eq!(decode(vec![0xff]), Err(Damaged));
    }
}
