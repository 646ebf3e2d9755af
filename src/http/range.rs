//! Byte ranges (RFC 9110 section 14).
//!
//! Invariant: a returned range lies within the content. Must never refuse a header that may be ignored.

use std::ops::Range;

/// What a `Range` header requests.
#[derive(Debug, PartialEq, Eq)]
pub enum Span {
    /// Everything: there is no range, or an unsupported one (RFC 9110 section 14.2 allows us to ignore it).
    Whole,
    /// These bytes.
    Part(Range<u64>),
    /// Valid, but beyond the end.
    Beyond,
}

/// Parses a single byte range (RFC 9110 section 14.1.2) of content of `size` bytes. Multiple ranges are ignored: they
/// get the whole content.
pub fn parse_range(header: &str, size: u64) -> Span {
    let number = |text: &str| -> Option<u64> {
        // Only digits; a number that overflows is a valid position far beyond the end.
        (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().unwrap_or(u64::MAX))
    };
    let unit = header.split_once('=').filter(|(unit, _)| unit.trim().eq_ignore_ascii_case("bytes"));
    let Some((first, last)) = unit.and_then(|(_, range)| range.trim().split_once('-')) else { return Span::Whole };
    match (number(first), number(last)) {
        (Some(first), Some(last)) if last < first => Span::Whole,
        (Some(first), Some(last)) if first < size => Span::Part(first..last.saturating_add(1).min(size)),
        (Some(first), None) if last.is_empty() && first < size => Span::Part(first..size),
        (None, Some(length)) if first.is_empty() && length > 0 && size > 0 => {
            Span::Part(size.saturating_sub(length)..size)
        }
        (Some(_), Some(_)) => Span::Beyond,
        (Some(_), None) if last.is_empty() => Span::Beyond,
        (None, Some(_)) if first.is_empty() => Span::Beyond,
        _ => Span::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        // The first three are the examples of RFC 9110 section 14.1.2 over 10,000 bytes.
        let cases = [
            ("bytes=0-499", 10_000, Span::Part(0..500)),
            ("bytes=-500", 10_000, Span::Part(9500..10_000)),
            ("bytes=9500-", 10_000, Span::Part(9500..10_000)),
            ("bytes=0-0", 1, Span::Part(0..1)),
            ("bytes=5-100", 10, Span::Part(5..10)),
            ("bytes=-100", 10, Span::Part(0..10)),
            ("BYTES=1-2", 10, Span::Part(1..3)),
            ("bytes=10-", 10, Span::Beyond),
            ("bytes=10-20", 10, Span::Beyond),
            ("bytes=-0", 10, Span::Beyond),
            ("bytes=99999999999999999999999-", 10, Span::Beyond),
            ("bytes=0-99999999999999999999999", 10, Span::Part(0..10)),
            ("bytes=0-18446744073709551615", 10, Span::Part(0..10)),
            ("bytes=5-4", 10, Span::Whole),
            ("bytes=-", 10, Span::Whole),
            ("bytes=a-b", 10, Span::Whole),
            ("bytes=+1-2", 10, Span::Whole),
            ("bytes=0-1,3-4", 10, Span::Whole),
            ("items=0-1", 10, Span::Whole),
            ("bytes 0-1", 10, Span::Whole),
            ("", 10, Span::Whole),
        ];
        for (header, size, expected) in cases {
            assert_eq!(parse_range(header, size), expected, "{header} of {size}");
        }
    }
}
