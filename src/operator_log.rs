//! Messages for the operator: one line each on stderr.
//!
//! Invariant: a message is one line, and a closed stderr ends nothing. Must never carry a secret or an id.

use std::io::{self, Write};

/// Writes a message.
pub fn message(text: &str) {
    // `eprintln!` would panic on a closed stderr.
    let _ = writeln!(io::stderr(), "flaskpaste: {text}");
}
