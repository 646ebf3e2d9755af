//! Reads a paste's password, and encodes it for the server.
//!
//! Invariant: it comes from the environment, a file or the terminal, never from the command line. Must never be saved,
//! nor printed unless it was generated here.

use super::Session;
use super::command::PasswordSource;
use super::failure::{Exit, Failure};
use super::prompt::{ask_password, line_of_stdin};
use crate::crypto;
use crate::paste::Id;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use zeroize::Zeroizing;

/// The longest password: it must fit in a header.
const MAX_BYTES: u64 = 1024;
/// The environment variable that replaces the prompt.
const VARIABLE: &str = "FPASTE_PASSWORD";
/// How many times the two entries may differ.
const MAX_TRIES: usize = 3;
/// The length of a generated password without its dashes; a character has 5 bits.
const MADE_UP_CHARS: usize = 20;
/// The characters between two dashes.
const MADE_UP_GROUP: usize = 5;
/// Without l and 1, o and 0, which are easily confused.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// A header with the password.
pub type Header = (&'static str, Zeroizing<String>);

/// The header for the password of a new paste, if it gets one. A password is prompted for twice; for an empty answer
/// one is generated and printed.
///
/// # Errors
/// A usage failure when it cannot be read or is invalid.
pub fn for_new(source: &PasswordSource, session: &Session<'_>) -> Result<Option<Header>, Failure> {
    text_for_new(source, session)?.map(|password| header(&password)).transpose()
}

/// The same as text, for a password that the server never sees.
///
/// # Errors
/// As [`for_new`].
pub fn text_for_new(source: &PasswordSource, session: &Session<'_>) -> Result<Option<Zeroizing<String>>, Failure> {
    Ok(match given(source, session)? {
        None if *source == PasswordSource::Ask => Some(choose(session)?),
        password => password,
    })
}

/// The header for the password of an existing paste, if the source has one.
///
/// # Errors
/// As [`for_new`].
pub fn for_reading(source: &PasswordSource, session: &Session<'_>, id: &Id) -> Result<Option<Header>, Failure> {
    text_for_reading(source, session, id)?.map(|password| header(&password)).transpose()
}

/// The same as text, for a password that the server never sees; `None` if the source has none.
///
/// # Errors
/// As [`for_new`].
pub fn text_for_reading(
    source: &PasswordSource,
    session: &Session<'_>,
    id: &Id,
) -> Result<Option<Zeroizing<String>>, Failure> {
    match given(source, session)? {
        None if *source == PasswordSource::Ask => typed(&format!("paste {id}"), session).map(Some),
        password => Ok(password),
    }
}

/// Prompts for a password and returns its header.
///
/// # Errors
/// A usage failure without a terminal, or for an empty answer.
pub fn typed_for_reading(place: &str, session: &Session<'_>) -> Result<Header, Failure> {
    header(&typed(place, session)?)
}

/// Prompts for a password.
///
/// # Errors
/// As [`typed_for_reading`].
pub fn typed(place: &str, session: &Session<'_>) -> Result<Zeroizing<String>, Failure> {
    let password = ask_password(&format!("Password for {place}: "), session.interrupt)?;
    if password.is_empty() { Err(Failure::usage("the password is empty")) } else { Ok(password) }
}

/// Whether the environment variable is set.
pub fn is_in_environment() -> bool {
    std::env::var_os(VARIABLE).is_some_and(|value| !value.is_empty())
}

/// The password without a prompt; `None` if the source has none or it must be prompted for.
///
/// # Errors
/// As [`for_new`].
pub fn given(source: &PasswordSource, session: &Session<'_>) -> Result<Option<Zeroizing<String>>, Failure> {
    match source {
        PasswordSource::None => Ok(None),
        PasswordSource::File(path) => from_file(path).map(Some),
        PasswordSource::Stdin => from_stdin(session).map(Some),
        PasswordSource::Ask => match std::env::var(VARIABLE).map(Zeroizing::new) {
            Err(std::env::VarError::NotUnicode(_)) => Err(Failure::usage(format!("{VARIABLE} is not UTF-8"))),
            password => Ok(password.ok().filter(|password| !password.is_empty())),
        },
    }
}

fn choose(session: &Session<'_>) -> Result<Zeroizing<String>, Failure> {
    for _ in 0..MAX_TRIES {
        let password = ask_password("Password for the new paste (empty to generate one): ", session.interrupt)?;
        if password.is_empty() {
            return make_up(session);
        }
        if ask_password("Repeat the password: ", session.interrupt)? == password {
            return Ok(password);
        }
        session.ui.warning("the passwords do not match");
    }
    Err(Failure::usage(format!("the passwords did not match in {MAX_TRIES} attempts"))
        .hint("use --password-file, or leave it empty to generate one"))
}

/// Generates a strong password and prints it at once: it is not saved.
fn make_up(session: &Session<'_>) -> Result<Zeroizing<String>, Failure> {
    let random = crypto::random::<MADE_UP_CHARS>().map(Zeroizing::new);
    let random = random.map_err(|error| Failure::new(Exit::Other, error.to_string()))?;
    let mut password = Zeroizing::new(String::with_capacity(2 * MADE_UP_CHARS));
    for (at, byte) in random.iter().enumerate() {
        if at > 0 && at % MADE_UP_GROUP == 0 {
            password.push('-');
        }
        password.extend(ALPHABET.get(usize::from(byte % 32)).copied().map(char::from));
    }
    session.ui.print(&Zeroizing::new(format!("fpaste: password: {}\n", password.as_str())));
    Ok(password)
}

/// ASCII verbatim, anything else as the Base64 of its UTF-8.
///
/// # Errors
/// A usage failure if it is too long.
fn header(password: &str) -> Result<Header, Failure> {
    if password.len() as u64 > MAX_BYTES {
        return Err(Failure::usage(format!("the password is longer than {MAX_BYTES} bytes")));
    }
    // Leading and trailing spaces of a header value are stripped.
    let is_plain = password.bytes().all(|b| (0x20..0x7f).contains(&b)) && password.trim() == password;
    Ok(if is_plain {
        ("X-Paste-Password", Zeroizing::new(password.to_owned()))
    } else {
        ("X-Paste-Password-Base64", Zeroizing::new(STANDARD.encode(password)))
    })
}

/// The first line of a file.
fn from_file(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let unreadable =
        |error: io::Error| Failure::usage(format!("cannot read the password file {}: {error}", path.display()));
    let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
    File::open(path).and_then(|file| file.take(4096).read_to_end(&mut bytes)).map_err(unreadable)?;
    let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let text = std::str::from_utf8(first).map_err(|_| Failure::usage("the password is not UTF-8"))?;
    whole(text, &path.display().to_string())
}

/// The first line of standard input.
fn from_stdin(session: &Session<'_>) -> Result<Zeroizing<String>, Failure> {
    let line = line_of_stdin("Password: ", session.interrupt)
        .map_err(|error| Failure::usage(format!("cannot read the password from standard input: {error}")))?;
    whole(&line, "standard input")
}

/// Strips a carriage return left by a Windows editor.
fn whole(line: &str, place: &str) -> Result<Zeroizing<String>, Failure> {
    let password = line.strip_suffix('\r').unwrap_or(line);
    if password.is_empty() {
        return Err(Failure::usage(format!("the first line of {place} is empty")));
    }
    Ok(Zeroizing::new(password.to_owned()))
}
