//! Messages for the operator: one line each on stderr, in the format of the request log.
//!
//! Invariant: a message is one line, a JSON object if the log is JSON, without the numbers of system errors. Must never
//! contain a secret, nor an ID unless it is one that the operator has just typed.

use crate::clock::{rfc3339, unix_now};
use crate::stderr;
use crate::text::without_error_numbers;
use std::sync::atomic::{AtomicBool, Ordering};

/// Global, because failures before the configuration and panics anywhere must be logged, too.
static IS_JSON: AtomicBool = AtomicBool::new(false);

/// Sets the format of all later messages.
pub fn use_json(is_json: bool) {
    IS_JSON.store(is_json, Ordering::Relaxed);
}

/// Writes a message.
pub fn message(text: &str) {
    stderr::write(&line(text));
}

/// Formats a message as a line, with its line break.
pub fn line(text: &str) -> String {
    line_as(text, IS_JSON.load(Ordering::Relaxed))
}

fn line_as(text: &str, is_json: bool) -> String {
    let text = without_error_numbers(&text.replace(['\n', '\r'], " "));
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
    fn a_message_is_one_line_in_both_formats() {
        assert_eq!(line_as("two\nlines", false), "flaskpaste: two lines\n");
        assert_eq!(line_as("x: Is a directory (os error 21)", false), "flaskpaste: x: is a directory\n");
        let line = line_as("\"quoted\"\r\n", true);
        let json: serde_json::Value = serde_json::from_str(line.trim_end()).unwrap();
        assert_eq!(json["message"], "\"quoted\"  ");
        assert_eq!(line.lines().count(), 1);
    }
}
