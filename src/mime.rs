//! Media types: detected from the first bytes, sanitised when received, made harmless when served.
//!
//! Invariant: every returned type is short printable ASCII without quotes, and browsers do not execute what [`served`]
//! returns. Must never look at more than the first [`SNIFF_BYTES`] of the content.

/// The bytes used for detection: the longest MPEG audio frame has 1,440, and the header of the next one must follow.
pub const SNIFF_BYTES: usize = 1500;

/// Text; dangerous types are also served as this.
const TEXT: &str = "text/plain; charset=utf-8";
/// Unknown binary data.
const BINARY: &str = "application/octet-stream";
/// The longest type or subtype (RFC 6838 section 4.2).
const MAX_NAME_BYTES: usize = 127;

/// Whether content starts with a format's signature.
type Signature = fn(&[u8]) -> bool;

/// Formats detected by magic bytes. If text could start with the same characters, more of the header must match.
const SIGNATURES: &[(&str, Signature)] = &[
    ("image/png", |h| h.starts_with(b"\x89PNG\r\n\x1a\n")),
    ("image/jpeg", |h| h.starts_with(b"\xff\xd8\xff")),
    ("image/gif", |h| (h.starts_with(b"GIF87a") || h.starts_with(b"GIF89a")) && is_binary(h)),
    ("image/webp", |h| is_riff(h, b"WEBP")),
    ("audio/wav", |h| is_riff(h, b"WAVE")),
    ("application/pdf", |h| h.starts_with(b"%PDF-1.") || h.starts_with(b"%PDF-2.")),
    ("application/zip", |h| {
        [&b"PK\x03\x04"[..], b"PK\x05\x06", b"PK\x07\x08"].iter().any(|magic| h.starts_with(magic))
    }),
    // Method deflate, and no reserved flag.
    ("application/gzip", |h| h.starts_with(b"\x1f\x8b\x08") && byte(h, 3) < 0x20),
    // "BZh", a level, and the first block's magic, or the end's in an empty file.
    ("application/x-bzip2", |h| {
        h.starts_with(b"BZh")
            && byte(h, 3).is_ascii_digit()
            && (at(h, 4, b"1AY&SY") || at(h, 4, b"\x17\x72\x45\x38\x50\x90"))
    }),
    ("application/x-xz", |h| h.starts_with(b"\xfd7zXZ\0")),
    ("application/zstd", |h| h.starts_with(b"\x28\xb5\x2f\xfd")),
    ("application/x-7z-compressed", |h| h.starts_with(b"7z\xbc\xaf\x27\x1c")),
    ("application/x-tar", |h| at(h, 257, b"ustar\0") || at(h, 257, b"ustar  \0")),
    ("application/x-elf", |h| h.starts_with(b"\x7fELF")),
    ("audio/mpeg", |h| is_id3(h) || is_mpeg_audio(h)),
    ("audio/ogg", |h| h.starts_with(b"OggS\0")),
    ("audio/flac", |h| h.starts_with(b"fLaC") && matches!(byte(h, 4), 0 | 0x80) && at(h, 5, b"\0\0\x22")),
    ("video/mp4", |h| at(h, 4, b"ftyp") && h.starts_with(b"\0\0")),
    ("video/webm", |h| is_ebml(h, b"webm")),
    ("video/x-matroska", |h| is_ebml(h, b"matroska")),
    ("application/vnd.sqlite3", |h| h.starts_with(b"SQLite format 3\0")),
    ("font/woff2", |h| h.starts_with(b"wOF2") && is_binary(h)),
    // "BM", and in the header two reserved words of zero.
    ("image/bmp", |h| h.starts_with(b"BM") && at(h, 6, b"\0\0\0\0") && byte(h, 14) >= 12),
    ("image/tiff", |h| h.starts_with(b"II*\0") || h.starts_with(b"MM\0*")),
    // Reserved zero, type icon, and at least one image whose reserved byte is zero.
    ("image/x-icon", |h| {
        h.starts_with(b"\0\0\x01\0") && byte(h, 4) > 0 && byte(h, 5) == 0 && byte(h, 9) == 0 && h.len() >= 22
    }),
];

/// File name extensions by type, for `Content-Disposition`.
const EXTENSIONS: &[(&str, &str)] = &[
    ("text/plain", "txt"),
    ("text/markdown", "md"),
    ("text/csv", "csv"),
    ("application/json", "json"),
    ("image/png", "png"),
    ("image/jpeg", "jpg"),
    ("image/gif", "gif"),
    ("image/webp", "webp"),
    ("image/bmp", "bmp"),
    ("image/tiff", "tiff"),
    ("image/x-icon", "ico"),
    ("image/vnd.microsoft.icon", "ico"),
    ("image/avif", "avif"),
    ("audio/wav", "wav"),
    ("audio/mpeg", "mp3"),
    ("audio/ogg", "ogg"),
    ("audio/flac", "flac"),
    ("video/mp4", "mp4"),
    ("video/webm", "webm"),
    ("video/x-matroska", "mkv"),
    ("font/woff2", "woff2"),
    ("application/pdf", "pdf"),
    ("application/zip", "zip"),
    ("application/gzip", "gz"),
    ("application/x-bzip2", "bz2"),
    ("application/x-xz", "xz"),
    ("application/zstd", "zst"),
    ("application/x-7z-compressed", "7z"),
    ("application/x-tar", "tar"),
    ("application/x-elf", "elf"),
    ("application/vnd.sqlite3", "sqlite"),
];

/// Types a browser displays without executing anything.
const INLINE: &[&str] = &[
    "text/plain",
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
    "image/bmp",
    "image/tiff",
    "image/x-icon",
    "image/vnd.microsoft.icon",
    "image/avif",
];

/// Types that browsers execute or that contain executable parts, in addition to the patterns in [`is_active`].
const ACTIVE: &[&str] = &[
    "text/xsl",
    "text/css",
    "text/vbscript",
    "text/x-component",
    "text/cache-manifest",
    "text/x-server-parsed-html",
    "application/wasm",
    "application/x-shockwave-flash",
    "application/xml-dtd",
    "application/mathml",
    "application/manifest",
    "message/rfc822",
];

/// Accepted charsets; UTF-7 and the like could turn text into markup.
const CHARSETS: &[&str] = &["utf-8", "us-ascii", "iso-8859-1", "windows-1252"];

/// Detects the type from the first bytes, and whether all of the content is UTF-8 without NUL.
pub fn detect(head: &[u8], is_text: bool) -> &'static str {
    let known = SIGNATURES.iter().find(|(_, has_signature)| has_signature(head)).map(|(mime_type, _)| *mime_type);
    known.unwrap_or(if is_text { TEXT } else { BINARY })
}

/// Sanitises a client's `Content-Type`: lower-case type and subtype, and a charset. `None` if it is missing, malformed
/// (RFC 9110 section 8.3.1) or generic (`application/octet-stream`, a form's default, a wildcard).
pub fn sanitise(sent: Option<&str>) -> Option<String> {
    let mut parts = sent?.split(';').map(str::trim);
    let essence = parts.next()?.to_ascii_lowercase();
    let (kind, subtype) = essence.split_once('/')?;
    let generic = matches!(essence.as_str(), "application/octet-stream" | "application/x-www-form-urlencoded");
    if generic || essence.contains('*') || !is_token(kind) || !is_token(subtype) {
        return None;
    }
    let charset = parts.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"').to_ascii_lowercase())
    });
    let charset = charset.filter(|charset| CHARSETS.contains(&charset.as_str()));
    Some(charset.map_or(essence.clone(), |charset| format!("{essence}; charset={charset}")))
}

/// The served type for a stored one: the same, or text if a browser would execute it.
pub fn served(stored: &str) -> &str {
    if is_active(essence(stored)) { TEXT } else { stored }
}

/// Whether content of this served type may be displayed inline.
pub fn is_inline(served: &str) -> bool {
    INLINE.contains(&essence(served))
}

/// The file name extension for a served type, without a dot.
pub fn extension(served: &str) -> &'static str {
    EXTENSIONS.iter().find(|(known, _)| *known == essence(served)).map_or("bin", |(_, extension)| extension)
}

fn essence(mime_type: &str) -> &str {
    mime_type.split(';').next().unwrap_or_default().trim()
}

fn is_active(essence: &str) -> bool {
    // JavaScript has a dozen names (RFC 9239 section 6), and any XML type may contain XHTML or SVG.
    let is_script = ["javascript", "ecmascript", "jscript", "livescript"].iter().any(|name| essence.contains(name));
    let is_xml = essence.ends_with("+xml") || essence.ends_with("/xml");
    let is_markup = is_xml || essence.contains("html") || essence.starts_with("multipart/");
    is_script || is_markup || ACTIVE.contains(&essence)
}

/// A token (RFC 9110 section 5.6.2) of limited length.
fn is_token(text: &str) -> bool {
    let is_token_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.len() <= MAX_NAME_BYTES && text.bytes().all(is_token_byte)
}

fn byte(head: &[u8], offset: usize) -> u8 {
    head.get(offset).copied().unwrap_or(0)
}

fn at(head: &[u8], offset: usize, magic: &[u8]) -> bool {
    head.get(offset..).is_some_and(|rest| rest.starts_with(magic))
}

/// Whether there is a byte that does not occur in text. All headers checked with this have an early zero byte.
fn is_binary(head: &[u8]) -> bool {
    head.iter().take(32).any(|byte| *byte < 9)
}

fn is_riff(head: &[u8], form: &[u8]) -> bool {
    head.starts_with(b"RIFF") && at(head, 8, form) && is_binary(head)
}

/// An `ID3v2` tag: version 2 to 4, a revision, and a synchsafe size.
fn is_id3(head: &[u8]) -> bool {
    let size_is_synchsafe = head.get(6..10).is_some_and(|size| size.iter().all(|byte| *byte < 0x80));
    head.starts_with(b"ID3") && (2..=4).contains(&byte(head, 3)) && byte(head, 4) < 0x10 && size_is_synchsafe
}

/// MPEG audio, layer III: a frame followed by another one, or a silent first frame, as encoders write it. A frame
/// header alone is too short a signature: one in 25,000 ciphertexts starts like one.
fn is_mpeg_audio(head: &[u8]) -> bool {
    let Some(frame_bytes) = mpeg_frame_bytes(head) else { return false };
    let is_silent = head.get(4..12.min(head.len())).is_some_and(|begin| begin.iter().all(|byte| *byte == 0));
    let has_next = || head.get(frame_bytes..).is_some_and(|next| mpeg_frame_bytes(next).is_some());
    (is_silent && head.len() > 4) || has_next()
}

/// The length of the MPEG audio frame (ISO/IEC 11172-3 and 13818-3, layer III) at the start; `None` if there is none.
fn mpeg_frame_bytes(head: &[u8]) -> Option<usize> {
    const KILOBITS: [[usize; 14]; 2] = [
        [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
        [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
    ];
    const HERTZ: [usize; 3] = [44_100, 48_000, 32_000];
    let [0xff, second, third, _] = head.first_chunk::<4>()? else { return None };
    let version = match second {
        0xf2 | 0xf3 => 0,
        0xfa | 0xfb => 1,
        _ => return None,
    };
    let kilobits = KILOBITS.get(version)?.get(usize::from(third >> 4).checked_sub(1)?)?;
    let hertz = HERTZ.get(usize::from(third >> 2 & 3))?;
    let padding = usize::from(third >> 1 & 1);
    // MPEG-2 has half the samples per frame at half the sampling rate, so one formula covers both.
    let hertz = if version == 1 { *hertz } else { hertz / 2 };
    Some(72_000 * (version + 1) * kilobits / hertz + padding)
}

/// An EBML header (Matroska's container) whose document type is this one.
fn is_ebml(head: &[u8], doc_type: &[u8]) -> bool {
    head.starts_with(b"\x1a\x45\xdf\xa3")
        && head.get(..head.len().min(64)).unwrap_or_default().windows(doc_type.len()).any(|window| window == doc_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two MPEG audio frames of this length with noise in them.
    fn mp3_frames(header: [u8; 4], frame_bytes: usize) -> Vec<u8> {
        [&header[..], &vec![NOISE; frame_bytes - 4], &header, &[NOISE; 40]].concat()
    }

    const NOISE: u8 = 0xa5;

    /// A minimal real header of every format.
    fn samples() -> Vec<(&'static str, Vec<u8>)> {
        let mut tar = vec![b'a'; 257];
        tar.extend_from_slice(b"ustar\x0000");
        let mut ico = b"\0\0\x01\0\x01\0\x10\x10\0\0\x01\0\x20\0".to_vec();
        ico.extend_from_slice(&[0x68, 4, 0, 0, 0x16, 0, 0, 0]);
        vec![
            ("image/png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec()),
            ("image/jpeg", b"\xff\xd8\xff\xe0\0\x10JFIF\0".to_vec()),
            ("image/gif", b"GIF89a\x01\0\x01\0\x80\0\0".to_vec()),
            ("image/webp", b"RIFF\x24\0\0\0WEBPVP8 ".to_vec()),
            ("audio/wav", b"RIFF\x24\0\0\0WAVEfmt ".to_vec()),
            ("application/pdf", b"%PDF-1.7\n%\xe2\xe3".to_vec()),
            ("application/zip", b"PK\x03\x04\x14\0".to_vec()),
            ("application/gzip", b"\x1f\x8b\x08\0\0\0\0\0".to_vec()),
            ("application/x-bzip2", b"BZh91AY&SY\x01".to_vec()),
            ("application/x-xz", b"\xfd7zXZ\0\0\x04".to_vec()),
            ("application/zstd", b"\x28\xb5\x2f\xfd\x04".to_vec()),
            ("application/x-7z-compressed", b"7z\xbc\xaf\x27\x1c\0\x04".to_vec()),
            ("application/x-tar", tar),
            ("application/x-elf", b"\x7fELF\x02\x01\x01".to_vec()),
            ("audio/mpeg", b"ID3\x04\0\0\0\0\x02\x01".to_vec()),
            ("audio/mpeg", b"\xff\xfb\x90\x64\0".to_vec()),
            ("audio/mpeg", mp3_frames(*b"\xff\xfb\x90\x64", 417)),
            ("audio/mpeg", mp3_frames(*b"\xff\xfb\xe2\x64", 1045)),
            ("audio/mpeg", mp3_frames(*b"\xff\xf3\x88\x64", 288)),
            ("audio/ogg", b"OggS\0\x02\0\0".to_vec()),
            ("audio/flac", b"fLaC\0\0\0\x22\x10\0".to_vec()),
            ("video/mp4", b"\0\0\0\x20ftypisom\0\0\x02\0".to_vec()),
            ("video/webm", b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm".to_vec()),
            ("video/x-matroska", b"\x1a\x45\xdf\xa3\xa3\x42\x82\x88matroska".to_vec()),
            ("application/vnd.sqlite3", b"SQLite format 3\0\x10\0".to_vec()),
            ("font/woff2", b"wOF2\0\x01\0\0\0\0".to_vec()),
            ("image/bmp", b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec()),
            ("image/tiff", b"II*\0\x08\0\0\0".to_vec()),
            ("image/tiff", b"MM\0*\0\0\0\x08".to_vec()),
            ("image/x-icon", ico),
        ]
    }

    #[test]
    fn every_format_is_detected_and_has_an_extension() {
        let samples = samples();
        for (mime_type, head) in &samples {
            assert_eq!(detect(head, false), *mime_type);
            assert_ne!(extension(mime_type), "bin", "{mime_type}");
        }
        for (mime_type, _) in SIGNATURES {
            assert!(samples.iter().any(|(sampled, _)| sampled == mime_type), "{mime_type} has no sample");
        }
    }

    #[test]
    fn a_truncated_header_is_never_another_format() {
        for (mime_type, head) in samples() {
            for length in 0..head.len() {
                let detected = detect(&head[..length], false);
                assert!(detected == mime_type || detected == BINARY, "{mime_type} cut to {length}: {detected}");
            }
        }
    }

    #[test]
    fn text_that_starts_with_a_signature_is_text() {
        let texts = [
            "BM is an abbreviation",
            "BZh is not bzip2",
            "BZh9 either",
            "ID3 tags are nice",
            "7z x archive.7z",
            "PK",
            "PK and friends",
            "OggS is a magic",
            "fLaC is too",
            "RIFF on WEBP",
            "RIFF0000WAVE is text",
            "GIF89a is a version",
            "%PDF is a comment",
            "wOF2 font",
            "SQLite format 3",
            "II*",
            "ELF",
            "ftyp",
            "    ftypisom",
            "",
            "\u{feff}text",
        ];
        for text in texts {
            assert_eq!(detect(text.as_bytes(), true), TEXT, "{text}");
        }
        assert_eq!(detect(b"\xff\xfe\xfd", false), BINARY);
    }

    #[test]
    fn ciphertext_that_starts_like_a_frame_is_not_audio() {
        for header in [b"\xff\xfb\x90\x64", b"\xff\xfa\xe2\x64", b"\xff\xf3\x80\x64"] {
            let ciphertext = [&header[..], &[NOISE; 2000]].concat();
            assert_eq!(detect(&ciphertext[..SNIFF_BYTES], false), BINARY);
        }
    }

    #[test]
    fn specific_types_are_kept_and_cleaned() {
        let kept = [
            ("text/markdown", "text/markdown"),
            ("Text/Plain; Charset=\"UTF-8\"; x=y", "text/plain; charset=utf-8"),
            ("image/png;charset=utf-7", "image/png"),
            ("text/plain; charset=utf-7", "text/plain"),
            ("text/html; charset=windows-1252", "text/html; charset=windows-1252"),
            ("application/vnd.api+json ; charset = us-ascii", "application/vnd.api+json; charset=us-ascii"),
            ("multipart/form-data; boundary=x", "multipart/form-data"),
        ];
        for (sent, stored) in kept {
            assert_eq!(sanitise(Some(sent)).as_deref(), Some(stored));
        }
    }

    #[test]
    fn generic_and_malformed_types_are_dropped() {
        let long = format!("text/{}", "a".repeat(MAX_NAME_BYTES + 1));
        let dropped = [
            "application/octet-stream",
            "Application/Octet-Stream; x=y",
            "application/x-www-form-urlencoded",
            "",
            "/",
            "text",
            "text/",
            "/plain",
            "text/pl ain",
            "text/plain/x",
            "text/\"x\"",
            "text/plain\r\nX: y",
            "tëxt/plain",
            "*",
            &long,
        ];
        for sent in dropped {
            assert_eq!(sanitise(Some(sent)), None, "{sent}");
        }
        assert_eq!(sanitise(None), None);
    }

    #[test]
    fn executable_types_are_served_as_text() {
        let active = [
            "text/html",
            "text/html; charset=iso-8859-1",
            "application/xhtml+xml",
            "image/svg+xml",
            "other/xml",
            "text/xml",
            "application/xml",
            "application/rss+xml",
            "text/javascript",
            "application/x-javascript",
            "application/ecmascript",
            "text/jscript",
            "text/javascript1.5",
            "text/css",
            "application/wasm",
            "multipart/x-mixed-replace",
            "message/rfc822",
            "application/mathml+xml",
            "text/vnd.some.html",
            "application/x-shockwave-flash",
        ];
        for stored in active {
            assert_eq!(served(stored), TEXT, "{stored}");
            assert!(is_inline(served(stored)) && extension(served(stored)) == "txt");
        }
        for stored in ["text/plain; charset=utf-8", "image/png", "application/json", "application/pdf", "text/csv"] {
            assert_eq!(served(stored), stored);
        }
    }

    #[test]
    fn only_text_and_raster_images_are_inline() {
        assert!(is_inline("text/plain; charset=utf-8") && is_inline("image/png") && is_inline("image/webp"));
        for attached in ["application/pdf", "text/csv", "application/json", "audio/mpeg", BINARY, "image/svg+xml", ""] {
            assert!(!is_inline(attached), "{attached}");
        }
        assert_eq!(
            (extension("text/plain; charset=utf-8"), extension(BINARY), extension("text/weird")),
            ("txt", "bin", "bin")
        );
    }
}
