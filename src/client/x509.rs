//! Reads a certificate's validity and whether it is self-signed, which the TLS library does not expose.
//!
//! Invariant: it parses DER (RFC 5280 section 4.1) up to the subject and verifies nothing. Must never panic, whatever
//! the input.

use crate::clock::{self, UnixSeconds};

/// The tag of the optional version.
const VERSION: u8 = 0xa0;
/// The tag of a time with a two-digit year; the other kind has four digits.
const UTC_TIME: u8 = 0x17;

/// The validity of a certificate.
#[derive(Debug, PartialEq, Eq)]
pub struct Validity {
    /// Not before.
    pub from: UnixSeconds,
    /// Not after.
    pub until: UnixSeconds,
}

/// The validity of a certificate; `None` if it cannot be parsed.
pub fn validity(certificate: &[u8]) -> Option<Validity> {
    let issuer = issuer(certificate)?;
    let from = element(element(issuer.rest)?.content)?;
    let until = element(from.rest)?;
    Some(Validity { from: time(&from)?, until: time(&until)? })
}

/// Whether a certificate's issuer equals its subject.
pub fn is_self_signed(certificate: &[u8]) -> bool {
    let names = || {
        let issuer = issuer(certificate)?;
        let subject = element(element(issuer.rest)?.rest)?;
        Some((issuer.content, subject.content))
    };
    names().is_some_and(|(issuer, subject)| issuer == subject)
}

/// The issuer of a certificate; validity and subject follow it.
fn issuer(certificate: &[u8]) -> Option<Element<'_>> {
    let mut rest = element(element(certificate)?.content)?.content;
    let first = element(rest)?;
    if first.tag == VERSION {
        rest = first.rest;
    }
    // The serial number and the signature algorithm.
    for _ in 0..2 {
        rest = element(rest)?.rest;
    }
    element(rest)
}

/// A DER element and the bytes after it.
struct Element<'a> {
    tag: u8,
    content: &'a [u8],
    rest: &'a [u8],
}

fn element(bytes: &[u8]) -> Option<Element<'_>> {
    let (tag, bytes) = bytes.split_first()?;
    let (first, bytes) = bytes.split_first()?;
    // A length of 128 or more is preceded by its own length.
    let (length, bytes) = match first.checked_sub(0x80) {
        None => (usize::from(*first), bytes),
        Some(count @ 1..=4) => {
            let (length, bytes) = bytes.split_at_checked(usize::from(count))?;
            (length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), bytes)
        }
        Some(_) => return None,
    };
    let (content, rest) = bytes.split_at_checked(length)?;
    Some(Element { tag: *tag, content, rest })
}

/// Parses `YYMMDDhhmmssZ` (1950 to 2049) or `YYYYMMDDhhmmssZ`.
fn time(element: &Element<'_>) -> Option<UnixSeconds> {
    let digits = std::str::from_utf8(element.content).ok()?.strip_suffix('Z')?;
    let century = match digits.get(..2) {
        Some(years) if element.tag == UTC_TIME => {
            if years < "50" {
                "20"
            } else {
                "19"
            }
        }
        _ => "",
    };
    clock::parse_digits(&format!("{century}{digits}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The start of a certificate with this validity.
    fn certificate(from: &[u8], until: &[u8]) -> Vec<u8> {
        let sequence = |content: &[u8]| [&[0x30, 0x82, 0, u8::try_from(content.len()).unwrap()], content].concat();
        let version = [VERSION, 3, 2, 1, 2];
        sequence(&sequence(
            &[&version[..], &[2, 1, 9], &sequence(&[]), &sequence(&[]), &sequence(&[from, until].concat())].concat(),
        ))
    }

    #[test]
    fn both_time_formats_are_parsed() {
        let der = certificate(b"\x17\x0d700101000001Z", b"\x18\x0f21000301000000Z");
        assert_eq!(validity(&der), Some(Validity { from: 1, until: 4_107_542_400 }));
    }

    #[test]
    fn truncated_certificates_are_refused() {
        let der = certificate(b"\x17\x0d700101000001Z", b"\x17\x0d491231235959Z");
        assert!(validity(&der).is_some());
        for end in 0..der.len() {
            assert_eq!(validity(&der[..end]), None, "{end}");
        }
        assert_eq!(validity(&certificate(b"\x17\x0d700101000001Z", b"\x17\x0d4912312359590")), None);
        assert_eq!(validity(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
    }
}
