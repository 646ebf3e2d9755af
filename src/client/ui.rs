//! Output: messages, progress and results.
//!
//! Invariant: stdout carries only results, everything else goes to stderr, and progress only to a terminal. Must never
//! print a control character from a server, nor a key in a message.

use super::failure::Failure;
use super::progress::Meter;
use crate::text::{clean, is_unsafe, without_error_numbers, without_keys};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{self, ErrorKind, IsTerminal, Write};
use zeroize::Zeroizing;

/// Where messages go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stderr {
    /// A terminal with control sequences.
    Terminal,
    /// A terminal without control sequences.
    DumbTerminal,
    /// A file or a pipe.
    Elsewhere,
}

/// The user interface on stderr.
pub struct Ui {
    stderr: Stderr,
    colour: bool,
    verbose: bool,
}

impl Ui {
    /// Detects the terminal. A non-empty `NO_COLOR` disables colours (no-color.org).
    pub fn new(verbose: bool) -> Self {
        let stderr = match std::env::var_os("TERM") {
            _ if !io::stderr().is_terminal() => Stderr::Elsewhere,
            Some(name) if name == "dumb" => Stderr::DumbTerminal,
            _ => Stderr::Terminal,
        };
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { stderr, colour: stderr == Stderr::Terminal && !no_colour, verbose }
    }

    /// Whether stderr is a terminal.
    pub fn is_watched(&self) -> bool {
        self.stderr != Stderr::Elsewhere
    }

    /// Whether stderr shows colours.
    pub fn is_coloured(&self) -> bool {
        self.colour
    }

    /// Prints a failure.
    pub fn failure(&self, failure: &Failure) {
        self.line("31", "error", &failure.message);
        if let Some(hint) = &failure.hint {
            self.line("36", "hint", hint);
        }
    }

    /// Prints a warning.
    pub fn warning(&self, text: &str) {
        self.line("33", "warning", text);
    }

    /// Prints a note, but only to a terminal or with `-v`.
    pub fn note(&self, text: &str) {
        if self.is_watched() || self.verbose {
            self.line("36", "note", text);
        }
    }

    /// Prints a trace message with `-v`.
    pub fn trace(&self, text: impl FnOnce() -> String) {
        if self.verbose {
            self.print(&format!("fpaste: {}\n", shown(&text())));
        }
    }

    fn line(&self, colour: &str, label: &str, text: &str) {
        let text = shown(text);
        self.print(&if self.colour {
            format!("fpaste: \x1b[{colour}m{label}:\x1b[0m {text}\n")
        } else {
            format!("fpaste: {label}: {text}\n")
        });
    }

    /// Writes to stderr verbatim. Errors are ignored: there is nowhere to report them.
    pub fn print(&self, text: &str) {
        let _ = io::stderr().write_all(text.as_bytes());
    }

    /// A progress display; see [`Meter::new`].
    pub fn meter(&self, label: &'static str, total: Option<u64>) -> Meter {
        Meter::new(label, total, self.stderr == Stderr::Terminal)
    }
}

/// A message as it may be shown.
fn shown(message: &str) -> String {
    clean(&without_keys(&without_error_numbers(message)))
}

/// Writes a result to stdout; a closed pipe is not a failure.
///
/// # Errors
/// When stdout cannot be written for another reason, such as a full disk.
pub fn write_stdout(bytes: &[u8]) -> Result<(), Failure> {
    match try_stdout(bytes) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(stdout_failed(error)),
        _ => Ok(()),
    }
}

/// Writes a result to stdout.
///
/// # Errors
/// The system's, including a closed pipe.
pub fn try_stdout(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush())
}

/// The failure for an error on stdout.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub fn stdout_failed(error: io::Error) -> Failure {
    Failure::new(super::failure::Exit::Other, format!("cannot write to standard output: {error}"))
}

/// JSON in one line, with control characters escaped.
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

/// Writes a line of JSON to stdout.
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

/// The least width of the names in a table.
const MIN_NAME_CHARS: usize = 8;

/// Writes names and values to stdout, one pair per line, in two columns.
///
/// # Errors
/// As [`write_stdout`].
pub fn write_table(lines: &[(&str, String)]) -> Result<(), Failure> {
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0).max(MIN_NAME_CHARS);
    let line = |(name, value): &(&str, String)| format!("{name:<width$}  {value}\n");
    write_stdout(lines.iter().map(line).collect::<Vec<_>>().concat().as_bytes())
}
