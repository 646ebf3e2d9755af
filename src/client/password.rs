//! Where a paste's password comes from, and how it goes to the server.
//!
//! Invariant: it comes from the environment, a file or the terminal, never from the command line. Must never be shown
//! or kept.

use super::Session;
use super::command::PasswordSource;
use super::failure::Failure;
use super::prompt::ask_password;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use zeroize::Zeroizing;

/// Longest password; a header has to hold it.
const MAX_BYTES: u64 = 1024;

/// A header with the password.
pub type Header = (&'static str, Zeroizing<String>);

/// The header for this source's password, if it has one.
///
/// # Errors
/// A usage failure when there is none to be had, or it cannot be used.
pub fn header(source: &PasswordSource, session: &Session<'_>) -> Result<Option<Header>, Failure> {
    let password = match source {
        PasswordSource::None => return Ok(None),
        PasswordSource::File(path) => from_file(path)?,
        PasswordSource::Ask => match std::env::var("FPASTE_PASSWORD").map(Zeroizing::new) {
            Ok(password) if !password.is_empty() => password,
            Err(std::env::VarError::NotUnicode(_)) => return Err(Failure::usage("FPASTE_PASSWORD is not UTF-8")),
            _ => ask_password(session.interrupt)?,
        },
    };
    header_of(&password).map(Some)
}

/// ASCII as it is, anything else as the Base64 of its UTF-8.
///
/// # Errors
/// A usage failure for one that is too long.
pub fn header_of(password: &str) -> Result<Header, Failure> {
    if password.len() as u64 > MAX_BYTES {
        return Err(Failure::usage(format!("a password has at most {MAX_BYTES} bytes")));
    }
    // A header's value loses blanks at its ends.
    let is_plain = password.bytes().all(|b| (0x20..0x7f).contains(&b)) && password.trim() == password;
    Ok(if is_plain {
        ("X-Paste-Password", Zeroizing::new(password.to_owned()))
    } else {
        ("X-Paste-Password-Base64", Zeroizing::new(STANDARD.encode(password)))
    })
}

/// The first line.
fn from_file(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let unreadable =
        |error: io::Error| Failure::usage(format!("cannot read the password file {}: {error}", path.display()));
    let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
    File::open(path).and_then(|file| file.take(4096).read_to_end(&mut bytes)).map_err(unreadable)?;
    let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let text = std::str::from_utf8(first).map_err(|_| Failure::usage("the password is not UTF-8"))?;
    let password = text.strip_suffix('\r').unwrap_or(text);
    if password.is_empty() {
        return Err(Failure::usage(format!("the first line of {} is empty", path.display())));
    }
    Ok(Zeroizing::new(password.to_owned()))
}
