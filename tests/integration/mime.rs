//! Media types: kept if specific, detected if generic or missing, replaced if a browser would execute them.

use crate::harness::{Paste, Server};

fn stored_type(server: &Server, content: &[u8], sent: Option<&str>) -> (Paste, String) {
    let request = server.post(content);
    let paste = match sent {
        Some(sent) => request.header("Content-Type", sent).created(),
        None => request.created(),
    };
    let stored = server.get(&paste.path()).json()["mime_type"].as_str().unwrap().to_owned();
    (paste, stored)
}

#[test]
fn specific_types_are_kept() {
    let server = Server::start(&[]);
    for sent in ["text/markdown", "image/png", "application/x-yaml", "text/csv; charset=utf-8", "application/pdf"] {
        let (paste, stored) = stored_type(&server, sent.as_bytes(), Some(sent));
        assert_eq!(stored, sent);
        server.get(&paste.raw()).expect_header("Content-Type", sent);
    }
}

#[test]
fn generic_or_missing_types_are_detected() {
    let server = Server::start(&[("FLASKPASTE_DEDUP_MAX", "0")]);
    let mut tar = vec![0; 512];
    tar[..5].copy_from_slice(b"a.txt");
    tar[257..265].copy_from_slice(b"ustar\x0000");
    let mut icon = b"\0\0\x01\0\x01\0\x10\x10\0\0\x01\0\x20\0\x68\x04\0\0\x16\0\0\0".to_vec();
    icon.resize(64, 0);
    let bitmap = b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x02\0\0\0\x02\0\0\0\x01\0\x18\0".to_vec();
    let sqlite = [&b"SQLite format 3\0\x10\0\x01\x01\0\x40\x20\x20"[..], &[0; 80]].concat();
    let mut mp4 = b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41".to_vec();
    mp4.resize(64, 0);
    let known: &[(&[u8], &str)] = &[
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01", "image/png"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01", "image/jpeg"),
        (b"GIF89a\x01\0\x01\0\x80\0\0\xff\xff\xff\0\0\0", "image/gif"),
        (b"RIFF\x24\0\0\0WEBPVP8 \x18\0\0\0", "image/webp"),
        (b"PK\x03\x04\x14\0\0\0\x08\0", "application/zip"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "application/pdf"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\x03", "application/gzip"),
        (b"BZh91AY&SY\x01\x02\x03\x04", "application/x-bzip2"),
        (b"\xfd7zXZ\0\0\x04\xe6\xd6", "application/x-xz"),
        (b"\x28\xb5\x2f\xfd\x04\x58\x09", "application/zstd"),
        (b"7z\xbc\xaf\x27\x1c\0\x04\0\0", "application/x-7z-compressed"),
        (&tar, "application/x-tar"),
        (b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0", "application/x-elf"),
        (b"ID3\x03\0\0\0\0\0\x21TSSE\0", "audio/mpeg"),
        (b"OggS\0\x02\0\0\0\0\0\0\0\0", "audio/ogg"),
        (b"fLaC\0\0\0\x22\x10\0\x10\0", "audio/flac"),
        (b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\x01\0", "audio/wav"),
        (&mp4, "video/mp4"),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm", "video/webm"),
        (&sqlite, "application/vnd.sqlite3"),
        (b"wOF2\0\x01\0\0\0\0\x30\x40", "font/woff2"),
        (&bitmap, "image/bmp"),
        (b"II*\0\x08\0\0\0\0\0", "image/tiff"),
        (&icon, "image/x-icon"),
        ("plain text, ünïcode\n".as_bytes(), "text/plain; charset=utf-8"),
        (b"text with a NUL\0", "application/octet-stream"),
        (b"broken UTF-8 \xff\xfe", "application/octet-stream"),
        (b"<html><script>alert(1)</script></html>", "text/plain; charset=utf-8"),
    ];
    for (content, expected) in known {
        for sent in [None, Some("application/octet-stream"), Some("application/x-www-form-urlencoded")] {
            let (_, stored) = stored_type(&server, content, sent);
            assert_eq!(stored, *expected, "{:?} sent as {sent:?}", String::from_utf8_lossy(content));
        }
    }
}

#[test]
fn text_detection_looks_at_every_byte() {
    let server = Server::start(&[]);
    let mut content = "ä".repeat(1 << 20).into_bytes();
    let (_, stored) = stored_type(&server, &content, None);
    assert_eq!(stored, "text/plain; charset=utf-8");
    content.push(0xc3);
    let (_, stored) = stored_type(&server, &content, None);
    assert_eq!(stored, "application/octet-stream", "the last character is cut");
}

#[test]
fn executable_types_are_served_as_inline_text() {
    let server = Server::start(&[]);
    let active = [
        "text/html",
        "TEXT/HTML; charset=utf-16",
        "application/xhtml+xml",
        "image/svg+xml",
        "text/xml",
        "application/xml",
        "application/rss+xml",
        "text/javascript",
        "application/javascript",
        "application/x-javascript",
        "application/ecmascript",
        "text/xsl",
    ];
    for sent in active {
        let (paste, _) = stored_type(&server, format!("<script>{sent}</script>").as_bytes(), Some(sent));
        let response = server.get(&paste.raw()).expect_header("Content-Type", "text/plain; charset=utf-8");
        let disposition = format!("inline; filename=\"{}.txt\"", paste.id);
        response.expect_header("Content-Disposition", &disposition);
    }
}

#[test]
fn hostile_types_never_reach_a_header_unchanged() {
    let server = Server::start(&[]);
    let hostile = [
        "text/plain; charset=utf-8; boundary=\"<script>\"",
        "text/plain; charset=utf-7",
        "nonsense",
        "text/",
        "/html",
        "text/html, text/plain",
        "text/plain,text/html",
        "\"text/html\"",
        "text/html;",
        "*/*",
        "multipart/x-mixed-replace; boundary=x",
    ];
    for sent in hostile {
        let (paste, _) = stored_type(&server, sent.as_bytes(), Some(sent));
        let response = server.get(&paste.raw()).expect_status(200).expect_body(sent);
        let sent_back = response.get("Content-Type").unwrap().to_ascii_lowercase();
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"/+-._*; =".contains(&b);
        response.expect(sent_back.bytes().all(plain), "no quotes, no commas, no brackets");
        response.expect(!sent_back.contains("html") && !sent_back.contains("utf-7"), "nothing a browser would execute");
        response.expect(!sent_back.starts_with("multipart"), "nothing a browser would take apart");
    }
    let long = format!("text/{}", "x".repeat(5000));
    let (paste, stored) = stored_type(&server, b"long", Some(&long));
    assert!(stored.len() < 300, "{} bytes of type", stored.len());
    server.get(&paste.raw()).expect_status(200);
}

#[test]
fn only_text_and_raster_images_are_served_inline() {
    let server = Server::start(&[]);
    let table = [
        ("text/plain", "inline", "txt"),
        ("image/png", "inline", "png"),
        ("image/jpeg", "inline", "jpg"),
        ("image/gif", "inline", "gif"),
        ("image/webp", "inline", "webp"),
        ("application/pdf", "attachment", "pdf"),
        ("application/zip", "attachment", "zip"),
        ("application/gzip", "attachment", "gz"),
        ("video/mp4", "attachment", "mp4"),
        ("application/x-unheard-of", "attachment", "bin"),
    ];
    for (sent, kind, extension) in table {
        let (paste, _) = stored_type(&server, sent.as_bytes(), Some(sent));
        let disposition = format!("{kind}; filename=\"{}.{extension}\"", paste.id);
        for method in ["GET", "HEAD"] {
            server.request(method, &paste.raw()).send().expect_header("Content-Disposition", &disposition);
        }
    }
}
