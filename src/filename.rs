//! File names of pastes: parsed from a header or a path, and formatted for a header.
//!
//! Invariant: a stored name is a single component without control or bidirectional characters. Must never put a name
//! into a header without encoding it (RFC 8187).

use std::fmt::Write as _;

/// The longest name, as in file systems.
const MAX_BYTES: usize = 255;

/// A name with an invalid encoding.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed;

/// The last component of a name without control and bidirectional characters; `None` if no usable name is left.
pub fn sanitise(name: &str) -> Option<String> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let mut kept: String = last.chars().filter(|c| !c.is_control() && !turns_direction(*c)).collect();
    while kept.len() > MAX_BYTES {
        kept.pop();
    }
    let kept = kept.trim();
    (!matches!(kept, "" | "." | "..")).then(|| kept.to_owned())
}

/// Whether a character changes the text direction and so disguises a name (Unicode UAX #9).
fn turns_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Parses the name in a header: ASCII verbatim, anything else as `UTF-8''` and percent-encoded (RFC 8187 section
/// 3.2.1).
///
/// # Errors
/// When it is neither.
pub fn from_header(value: &str) -> Result<Option<String>, Malformed> {
    let encoded = value.get(..6).filter(|start| start.eq_ignore_ascii_case("utf-8'")).and_then(|_| value.get(6..));
    if value.get(..11).is_some_and(|start| start.eq_ignore_ascii_case("iso-8859-1'")) {
        return Err(Malformed);
    }
    let Some(rest) = encoded else { return if value.is_ascii() { Ok(sanitise(value)) } else { Err(Malformed) } };
    let (_language, text) = rest.split_once('\'').ok_or(Malformed)?;
    percent_decoded(text).map(|name| sanitise(&name)).ok_or(Malformed)
}

/// Parses the name in the last segment of a path.
///
/// # Errors
/// When it is not percent-encoded UTF-8.
pub fn from_path(segment: &str) -> Result<Option<String>, Malformed> {
    percent_decoded(segment).map(|name| sanitise(&name)).ok_or(Malformed)
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let mut digit =
            || rest.next().and_then(|byte| char::from(byte).to_digit(16)).and_then(|d| u8::try_from(d).ok());
        bytes.push(if byte == b'%' { digit()? << 4 | digit()? } else { byte });
    }
    String::from_utf8(bytes).ok()
}

/// A `Content-Disposition` (RFC 6266) with a name: in ASCII and, if that differs, also encoded.
pub fn disposition(kind: &str, name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%') || c == ' ';
    let plain: String = name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    let mut header = format!("{kind}; filename=\"{plain}\"");
    if plain != name {
        header.push_str("; filename*=UTF-8''");
        for byte in name.bytes() {
            // Writing to a string does not fail.
            let _ = if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
                write!(header, "{}", char::from(byte))
            } else {
                write!(header, "%{byte:02X}")
            };
        }
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_reduced_to_one_safe_component() {
        for (given, kept) in [
            ("a.txt", "a.txt"),
            ("/etc/passwd", "passwd"),
            ("..\\..\\x.exe", "x.exe"),
            ("a\r\nSet-Cookie: b", "aSet-Cookie: b"),
            ("cv\u{202e}fdp.exe", "cvfdp.exe"),
            (" Zażółć gęślą.txt ", "Zażółć gęślą.txt"),
            (".bashrc", ".bashrc"),
        ] {
            assert_eq!(sanitise(given).as_deref(), Some(kept), "{given:?}");
        }
        for nothing in ["", ".", "..", "/", "a/", "\u{202e}", "\n", "  ", "x/.."] {
            assert_eq!(sanitise(nothing), None, "{nothing:?}");
        }
        assert_eq!(sanitise(&"ż".repeat(200)).unwrap().len(), 254);
    }

    #[test]
    fn names_are_parsed_from_headers_and_paths() {
        assert_eq!(from_header("notes 100%.txt"), Ok(Some("notes 100%.txt".into())));
        assert_eq!(from_header("UTF-8''Za%C5%BC%c3%b3.txt"), Ok(Some("Zażó.txt".into())));
        assert_eq!(from_header("utf-8'pl'a%2Fb"), Ok(Some("b".into())));
        for bad in ["ż.txt", "UTF-8''%C5", "UTF-8''%zz", "UTF-8''%5", "UTF-8'x", "iso-8859-1''a%e9"] {
            assert_eq!(from_header(bad), Err(Malformed), "{bad}");
        }
        assert_eq!(from_path("a%20b.txt"), Ok(Some("a b.txt".into())));
        assert_eq!(from_path("..%2f..%2fx"), Ok(Some("x".into())));
        assert_eq!(from_path("%ff"), Err(Malformed));
    }

    #[test]
    fn content_dispositions_are_formatted() {
        assert_eq!(disposition("inline", "a b.txt"), "inline; filename=\"a b.txt\"");
        assert_eq!(
            disposition("attachment", "ż\"\\%.x"),
            "attachment; filename=\"____.x\"; filename*=UTF-8''%C5%BC%22%5C%25.x"
        );
    }
}
