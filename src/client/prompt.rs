//! Questions to the person at the terminal, whose answers are secrets.
//!
//! Invariant: it is the terminal that is asked, though stdin be data, and it echoes nothing of the answer. Must never leave
//! a copy of an answer in memory.

use super::failure::Failure;
use super::interrupt::Interrupt;
use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Read, Write};
use std::os::fd::AsFd;
use zeroize::Zeroizing;

/// What a terminal gives in one line at most (`MAX_CANON` is 255 by POSIX, 4096 on Linux).
const MAX_LINE_BYTES: usize = 4096;

/// Asks for a password; the answer may be empty, the end of the input (Ctrl-D) is none.
///
/// # Errors
/// A usage failure without a terminal, and without an answer.
pub fn ask_password(question: &str, interrupt: &Interrupt) -> Result<Zeroizing<String>, Failure> {
    let answer = ask(question, interrupt).map_err(|error| {
        Failure::usage(format!("there is no terminal to ask for the password on ({error})"))
            .hint("set FPASTE_PASSWORD, or use --password-file")
    })?;
    answer.ok_or_else(|| Failure::usage("no password was typed"))
}

/// The next line of standard input, and no more of it; where that is a terminal, it is asked for.
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

/// Asks for a line; what is typed is not shown. `None` if the input ends instead.
fn ask(question: &str, interrupt: &Interrupt) -> io::Result<Option<Zeroizing<String>>> {
    let mut terminal = File::options().read(true).write(true).open("/dev/tty")?;
    let _hidden = interrupt.hiding_keys(&terminal)?;
    terminal.write_all(question.as_bytes())?;
    let answer = line(&terminal);
    // The answer's own end was not echoed.
    terminal.write_all(b"\n")?;
    answer
}

/// The next line, without its end; `None` behind the last. Byte by byte: what follows it is not ours.
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
