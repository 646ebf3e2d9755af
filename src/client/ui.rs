//! The terminal: messages, progress, and what may be shown on it.
//!
//! Invariant: stdout carries results alone, everything else goes to stderr, and progress only to a terminal. Must
//! never show a control character that came from a server, nor a key in a message.

use super::failure::Failure;
use super::progress::Meter;
use crate::text::{clean, is_unsafe, without_keys};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{self, ErrorKind, IsTerminal, Write};
use zeroize::Zeroizing;

/// Where messages go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stderr {
    /// A terminal that draws what it is told to.
    Terminal,
    /// One that only shows text.
    DumbTerminal,
    /// A file, a pipe.
    Elsewhere,
}

/// What is known of the terminal.
pub struct Ui {
    stderr: Stderr,
    colour: bool,
    verbose: bool,
}

impl Ui {
    /// Looks at the terminal. `NO_COLOR` (no-color.org) counts when it is not empty.
    pub fn new(verbose: bool) -> Self {
        let stderr = match std::env::var_os("TERM") {
            _ if !io::stderr().is_terminal() => Stderr::Elsewhere,
            Some(name) if name == "dumb" => Stderr::DumbTerminal,
            _ => Stderr::Terminal,
        };
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { stderr, colour: stderr == Stderr::Terminal && !no_colour, verbose }
    }

    /// Whether a person watches stderr.
    pub fn is_watched(&self) -> bool {
        self.stderr != Stderr::Elsewhere
    }

    /// Whether stderr shows colours.
    pub fn is_coloured(&self) -> bool {
        self.colour
    }

    /// Says why the program ends.
    pub fn failure(&self, failure: &Failure) {
        self.line("31", "error", &failure.message);
        if let Some(hint) = &failure.hint {
            self.line("36", "hint", hint);
        }
    }

    /// Says what went wrong without ending anything.
    pub fn warning(&self, text: &str) {
        self.line("33", "warning", text);
    }

    /// Says something to a person; nothing in a script.
    pub fn note(&self, text: &str) {
        if self.is_watched() || self.verbose {
            self.line("36", "note", text);
        }
    }

    /// Says what is being done, with `-v`.
    pub fn trace(&self, text: impl FnOnce() -> String) {
        if self.verbose {
            self.print(&format!("fpaste: {}\n", clean(&without_keys(&text()))));
        }
    }

    fn line(&self, colour: &str, label: &str, text: &str) {
        let text = clean(&without_keys(text));
        self.print(&if self.colour {
            format!("fpaste: \x1b[{colour}m{label}:\x1b[0m {text}\n")
        } else {
            format!("fpaste: {label}: {text}\n")
        });
    }

    /// Writes to stderr as it is. If that fails there is nobody left to tell.
    pub fn print(&self, text: &str) {
        let _ = io::stderr().write_all(text.as_bytes());
    }

    /// A progress display; see [`Meter::new`].
    pub fn meter(&self, label: &'static str, total: Option<u64>) -> Meter {
        Meter::new(label, total, self.stderr == Stderr::Terminal)
    }
}

/// Writes a result to stdout; a reader that has had enough is no failure.
///
/// # Errors
/// When stdout cannot be written for another reason, a full disk for example.
pub fn write_stdout(bytes: &[u8]) -> Result<(), Failure> {
    match try_stdout(bytes) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(stdout_failed(error)),
        _ => Ok(()),
    }
}

/// Writes a result to stdout.
///
/// # Errors
/// The system's, a reader's that has had enough included.
pub fn try_stdout(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush())
}

/// What such an error means to a person.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub fn stdout_failed(error: io::Error) -> Failure {
    Failure::new(super::failure::Exit::Other, format!("cannot write to standard output: {error}"))
}

/// JSON in one line. What a terminal would obey is escaped, as JSON allows for every character.
pub fn json_text(json: &Value) -> Zeroizing<String> {
    let mut line = Zeroizing::new(String::new());
    for c in Zeroizing::new(json.to_string()).chars() {
        if is_unsafe(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(line, "\\u{unit:04x}");
            }
        } else {
            line.push(c);
        }
    }
    line
}

/// Writes JSON to stdout, a line.
///
/// # Errors
/// As [`write_stdout`].
pub fn write_json(json: &Value) -> Result<(), Failure> {
    write_line(&json_text(json))
}

/// Writes a line to stdout.
///
/// # Errors
/// As [`write_stdout`].
pub fn write_line(text: &str) -> Result<(), Failure> {
    write_stdout(Zeroizing::new(format!("{text}\n")).as_bytes())
}

/// Writes names and values to stdout, a line each.
///
/// # Errors
/// As [`write_stdout`].
pub fn write_table(lines: &[(&str, String)]) -> Result<(), Failure> {
    let line = |(name, value): &(&str, String)| format!("{name:<10}{value}\n");
    write_stdout(lines.iter().map(line).collect::<Vec<_>>().concat().as_bytes())
}
