//! The request log: one line per request on stderr.
//!
//! Invariant: a line has no complete id, key, file name, query, body or header value except the request id. A slow stderr
//! never blocks a request: lines are buffered up to a limit, then dropped and counted. Must never panic on a closed stderr.

use crate::clock::{self, UnixSeconds};
use crate::config::LogFormat;
use crate::operator_log;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The size of the buffer; further lines are dropped and counted.
const BUFFER_BYTES: usize = 1 << 20;
/// How long lines are collected before they are written together.
const GATHER: Duration = Duration::from_millis(20);

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

/// The log.
pub struct Log {
    format: LogFormat,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    filled: Condvar,
}

#[derive(Default)]
struct State {
    lines: String,
    dropped: u64,
    writing: bool,
}

impl Log {
    /// Starts the writer thread.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(format: LogFormat) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        if format != LogFormat::Off {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name("log".into())
                .stack_size(64 << 10)
                .spawn(move || shared.write_forever())?;
        }
        Ok(Self { format, shared })
    }

    /// Logs a request.
    pub fn request(&self, entry: &Entry<'_>) {
        let line = match self.format {
            LogFormat::Off => return,
            LogFormat::Text => text_line(entry),
            LogFormat::Json => json_line(entry),
        };
        let mut state = self.shared.lock();
        if state.lines.len() + line.len() > BUFFER_BYTES {
            state.dropped += 1;
            return;
        }
        // The writer sleeps only while the buffer is empty.
        if state.lines.is_empty() {
            self.shared.filled.notify_one();
        }
        state.lines.push_str(&line);
    }

    /// Waits until the buffer is written, at most a second, in case stderr is blocked.
    pub fn flush(&self) {
        for _ in 0..50 {
            let state = self.shared.lock();
            if self.format == LogFormat::Off || (state.lines.is_empty() && !state.writing) {
                return;
            }
            drop(state);
            std::thread::sleep(GATHER);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_forever(&self) {
        loop {
            let mut state = self.lock();
            while state.lines.is_empty() {
                state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            drop(state);
            std::thread::sleep(GATHER);
            let mut state = self.lock();
            let mut lines = std::mem::take(&mut state.lines);
            if std::mem::take(&mut state.dropped) > 0 {
                lines.push_str(&operator_log::line("log lines were dropped because stderr is slow"));
            }
            state.writing = true;
            drop(state);
            // An error on stderr cannot be reported anywhere.
            let _ = io::stderr().write_all(lines.as_bytes());
            self.lock().writing = false;
        }
    }
}

fn milliseconds(elapsed: Duration) -> f64 {
    (elapsed.as_secs_f64() * 1e6).round() / 1e3
}

/// The logged hex digits of an id: enough to correlate requests, too few to read the paste.
const SHOWN_DIGITS: usize = 6;

/// A path as it is logged. An id is truncated together with the rest of its segment, so that a log line is never a link, not
/// even one whose `#` was escaped. The file name of a PUT is left out: it is sealed in the database, too.
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
