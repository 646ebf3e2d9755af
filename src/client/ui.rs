//! The terminal: messages, progress, and what may be shown on it.
//!
//! Invariant: stdout carries results alone, everything else goes to stderr, and progress only to a terminal. Must
//! never show a control character that came from a server, nor a key in a message.

use super::failure::Failure;
use super::text::{clean, is_unsafe, without_keys};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// Work that is done sooner shows no progress.
const PATIENCE: Duration = Duration::from_millis(400);

/// What is known of the terminal.
pub struct Ui {
    stderr_is_terminal: bool,
    colour: bool,
    verbose: bool,
}

impl Ui {
    /// Looks at the terminal. `NO_COLOR` (no-color.org) counts when it is not empty.
    pub fn new(verbose: bool) -> Self {
        let stderr_is_terminal = io::stderr().is_terminal();
        let colour = stderr_is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { stderr_is_terminal, colour, verbose }
    }

    /// Whether a person watches stderr.
    pub fn is_watched(&self) -> bool {
        self.stderr_is_terminal
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
        if self.stderr_is_terminal || self.verbose {
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

    /// A progress display over so many steps; it appears only on a terminal and if the work takes a moment. Without a
    /// total, a number that goes up.
    pub fn meter(&self, label: &'static str, total: Option<u64>) -> Meter {
        Meter { label, total, done: 0, started: Instant::now(), shown: self.stderr_is_terminal, bar: None }
    }
}

/// Progress of one piece of work.
pub struct Meter {
    label: &'static str,
    total: Option<u64>,
    done: u64,
    started: Instant,
    shown: bool,
    bar: Option<ProgressBar>,
}

impl Meter {
    /// Some bytes more are done.
    pub fn advance(&mut self, bytes: u64) {
        self.done += bytes;
        if self.shown && self.started.elapsed() > PATIENCE {
            let (label, total) = (self.label, self.total);
            let bar = self.bar.get_or_insert_with(|| match total {
                Some(total) => styled(
                    ProgressBar::new(total),
                    "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
                    label,
                ),
                None => styled(ProgressBar::no_length(), "{msg} {bytes} {bytes_per_sec} {elapsed}", label),
            });
            bar.set_position(self.done);
        }
    }

    /// Shows that the work goes on, though nobody knows how long, and what is to be said of it.
    pub fn tick(&mut self, text: &str) {
        if self.shown && self.started.elapsed() > PATIENCE {
            let label = self.label;
            let bar =
                self.bar.get_or_insert_with(|| styled(ProgressBar::no_length(), "{spinner} {msg} {elapsed}", label));
            bar.set_message(text.to_owned());
            bar.tick();
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn styled(bar: ProgressBar, template: &str, label: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.with_style(style.progress_chars("##-")).with_message(label)
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

/// Writes JSON to stdout, a line. What a terminal would obey is escaped, as JSON allows for every character.
///
/// # Errors
/// As [`write_stdout`].
pub fn write_json(json: &Value) -> Result<(), Failure> {
    let mut line = Zeroizing::new(String::new());
    for c in Zeroizing::new(json.to_string()).chars() {
        if is_unsafe(c) {
            let _ = write!(line, "\\u{:04x}", u32::from(c));
        } else {
            line.push(c);
        }
    }
    line.push('\n');
    write_stdout(line.as_bytes())
}

/// Writes names and values to stdout, a line each.
///
/// # Errors
/// As [`write_stdout`].
pub fn write_table(lines: &[(&str, String)]) -> Result<(), Failure> {
    let line = |(name, value): &(&str, String)| format!("{name:<10}{value}\n");
    write_stdout(lines.iter().map(line).collect::<Vec<_>>().concat().as_bytes())
}
