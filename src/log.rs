//! The request log: one line per request on stderr.
//!
//! Invariant: a line has no complete id, key, file name, query, body or header value except the request id. Must never
//! wait for whoever reads stderr.

use crate::clock::{self, UnixSeconds};
use crate::config::LogFormat;
use crate::stderr;
use std::time::Duration;

/// One answered request.
pub struct Entry<'a> {
    /// When it was answered.
    pub at: UnixSeconds,
    /// Its id.
    pub request_id: &'a str,
    /// Method as sent; a token.
    pub method: &'a str,
    /// Path without query; printable ASCII.
    pub path: &'a str,
    /// Status of the reply.
    pub status: u16,
    /// Bytes of content in the reply.
    pub bytes: u64,
    /// From the complete head to the last byte of the reply.
    pub elapsed: Duration,
    /// Address of the client, from a trusted proxy or of the connection.
    pub client: &'a str,
}

/// Logs a request, unless the log is off.
pub fn request(format: LogFormat, entry: &Entry<'_>) {
    match format {
        LogFormat::Off => {}
        LogFormat::Text => stderr::write(&text_line(entry)),
        LogFormat::Json => stderr::write(&json_line(entry)),
    }
}

fn milliseconds(elapsed: Duration) -> f64 {
    (elapsed.as_secs_f64() * 1e6).round() / 1e3
}

/// The logged hex digits of an id: enough to correlate requests, too few to read the paste.
const SHOWN_DIGITS: usize = 6;

/// A path as it is logged. An id is truncated together with the rest of its segment, so that a log line is never a
/// link, not even one whose `#` was escaped. The file name of a PUT is left out: it is sealed in the database, too.
fn shown_path(method: &str, path: &str) -> String {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    if method == "PUT" && !matches!(name, "" | "raw") {
        return format!("{}/…", shown_path("", folder));
    }
    path.split('/').map(shown_segment).collect::<Vec<_>>().join("/")
}

fn shown_segment(segment: &str) -> String {
    let end_of_id = |start: usize| {
        let digits = segment.bytes().skip(start).take_while(u8::is_ascii_hexdigit).count();
        (digits > SHOWN_DIGITS).then_some(start + SHOWN_DIGITS)
    };
    let id = (0..segment.len()).find_map(end_of_id);
    let cut = id.into_iter().chain(segment.find("%23")).min();
    match cut.and_then(|cut| segment.get(..cut)) {
        Some(shown) => format!("{shown}…"),
        None => segment.to_owned(),
    }
}

fn text_line(entry: &Entry<'_>) -> String {
    let Entry { at, request_id, method, path, status, bytes, elapsed, client } = entry;
    let (at, path) = (clock::rfc3339(*at), shown_path(method, path));
    format!("{at} {request_id} {client} {method} {path} {status} {bytes}B {:.3}ms\n", milliseconds(*elapsed))
}

fn json_line(entry: &Entry<'_>) -> String {
    let line = serde_json::json!({
        "time": clock::rfc3339(entry.at),
        "request_id": entry.request_id,
        "client": entry.client,
        "method": entry.method,
        "path": shown_path(entry.method, entry.path),
        "status": entry.status,
        "bytes": entry.bytes,
        "ms": milliseconds(entry.elapsed),
    });
    format!("{line}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_truncated() {
        for (path, shown) in [
            ("/", "/"),
            ("/0123456789ab/raw", "/012345…/raw"),
            ("/p/0123456789ABCDEF", "/p/012345…"),
            ("/abcdef", "/abcdef"),
            ("/abcdefg", "/abcdefg"),
            ("/health", "/health"),
            ("*", "*"),
        ] {
            assert_eq!(shown_path("GET", path), shown);
        }
    }

    #[test]
    fn broken_links_are_truncated_too() {
        for (path, shown) in [
            ("/0123456789ab%23FIvW_key-", "/012345…"),
            ("/0123456789ab).", "/012345…"),
            ("/%3C0123456789ab%3E", "/%3C0123…"),
            ("/see:0123456789ab/raw", "/see:012345…/raw"),
            ("/%23FIvW_key-/x", "/…/x"),
            ("/static/paste.6cd674f0.js", "/static/paste.6cd674…"),
        ] {
            assert_eq!(shown_path("GET", path), shown);
        }
    }

    #[test]
    fn file_names_are_left_out() {
        for (path, shown) in [
            ("/", "/"),
            ("/plans.pdf", "/…"),
            ("/p/plans.pdf", "/p/…"),
            ("/a/plans.pdf/", "/a/plans.pdf/"),
            ("/0123456789ab/raw", "/012345…/raw"),
        ] {
            assert_eq!(shown_path("PUT", path), shown);
        }
        assert_eq!(shown_path("GET", "/plans.pdf"), "/plans.pdf");
    }

    #[test]
    fn both_formats_have_the_same_fields() {
        let entry = Entry {
            at: 784_111_777,
            request_id: "r1",
            method: "GET",
            path: "/abcd",
            status: 200,
            bytes: 5,
            elapsed: Duration::from_micros(1234),
            client: "192.0.2.1",
        };
        assert_eq!(text_line(&entry), "1994-11-06T08:49:37Z r1 192.0.2.1 GET /abcd 200 5B 1.234ms\n");
        let json: serde_json::Value = serde_json::from_str(&json_line(&entry)).unwrap();
        assert_eq!((&json["path"], &json["ms"], &json["bytes"]), (&"/abcd".into(), &1.234.into(), &5.into()));
    }
}
