//! Messages for the operator: one line each on stderr, in the form of the request log.
//!
//! Invariant: a message is one line, a JSON object where the log is JSON, and a closed stderr ends nothing. Must never
//! carry a secret or an id.

use crate::clock::{rfc3339, unix_now};
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// The one thing here that the whole program shares: failures are told before there is a configuration, and panics
/// wherever they happen.
static IS_JSON: AtomicBool = AtomicBool::new(false);

/// Has all later messages written as JSON objects, or as text.
pub fn use_json(is_json: bool) {
    IS_JSON.store(is_json, Ordering::Relaxed);
}

/// Writes a message.
pub fn message(text: &str) {
    // `eprintln!` would panic on a closed stderr.
    let _ = io::stderr().write_all(line(text).as_bytes());
}

/// A message as the line it is written as, with its end.
pub fn line(text: &str) -> String {
    line_as(text, IS_JSON.load(Ordering::Relaxed))
}

fn line_as(text: &str, is_json: bool) -> String {
    let text = text.replace(['\n', '\r'], " ");
    if is_json {
        format!("{}\n", serde_json::json!({ "time": rfc3339(unix_now()), "message": text }))
    } else {
        format!("flaskpaste: {text}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_in_either_form() {
        assert_eq!(line_as("two\nlines", false), "flaskpaste: two lines\n");
        let line = line_as("\"quoted\"\r\n", true);
        let json: serde_json::Value = serde_json::from_str(line.trim_end()).unwrap();
        assert_eq!(json["message"], "\"quoted\"  ");
        assert_eq!(line.lines().count(), 1);
    }
}
