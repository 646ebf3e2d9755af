//! Prompts for secrets on the terminal.
//!
//! Invariant: the prompt uses the terminal even if stdin is not one, without echo. Must never leave a copy of an answer
//! in memory.

use super::failure::Failure;
use super::interrupt::Interrupt;
use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Read, Write};
use std::os::fd::AsFd;
use zeroize::Zeroizing;

/// The longest line of a terminal (`MAX_CANON` is 255 in POSIX, 4096 on Linux).
const MAX_LINE_BYTES: usize = 4096;

/// Prompts for a password; an empty answer is allowed, the end of input (Ctrl-D) is not.
///
/// # Errors
/// A usage failure without a terminal or an answer.
pub fn ask_password(question: &str, interrupt: &Interrupt) -> Result<Zeroizing<String>, Failure> {
    let answer = ask(question, interrupt).map_err(|error| {
        Failure::usage(format!("cannot ask for the password: no terminal ({error})"))
            .hint("set FPASTE_PASSWORD or use --password-file")
    })?;
    answer.ok_or_else(|| Failure::usage("no password was entered"))
}

/// Reads one line of standard input and nothing beyond it; on a terminal with a prompt.
///
/// # Errors
/// The system's, and when it is not UTF-8.
pub fn line_of_stdin(question: &str, interrupt: &Interrupt) -> io::Result<Zeroizing<String>> {
    let answer = if io::stdin().is_terminal() {
        ask(question, interrupt)
    } else {
        line(&File::from(io::stdin().as_fd().try_clone_to_owned()?))
    };
    Ok(answer?.unwrap_or_default())
}

/// Prompts for a line without echo. `None` at the end of input.
fn ask(question: &str, interrupt: &Interrupt) -> io::Result<Option<Zeroizing<String>>> {
    let mut terminal = File::options().read(true).write(true).open("/dev/tty")?;
    let _hidden = interrupt.hiding_keys(&terminal)?;
    terminal.write_all(question.as_bytes())?;
    let answer = line(&terminal);
    // The answer's line break was not echoed.
    terminal.write_all(b"\n")?;
    answer
}

/// The next line without its line break; `None` at the end. Byte by byte, to leave the rest unread.
fn line(mut input: &File) -> io::Result<Option<Zeroizing<String>>> {
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_LINE_BYTES));
    let mut byte = [0];
    while line.len() < MAX_LINE_BYTES {
        match (input.read(&mut byte)?, line.is_empty()) {
            (0, true) => return Ok(None),
            (0, false) => break,
            _ if byte == *b"\n" => break,
            _ => line.push(byte[0]),
        }
    }
    let text = std::str::from_utf8(&line).map_err(|_| io::Error::new(ErrorKind::InvalidData, "it is not UTF-8"))?;
    Ok(Some(Zeroizing::new(text.to_owned())))
}
