//! Where a paste's password comes from, and how it goes to the server.
//!
//! Invariant: it comes from the environment, a file or the terminal, never from the command line. Must never be kept,
//! nor shown unless it was made up.

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

/// Longest password; a header has to hold it.
const MAX_BYTES: u64 = 1024;
/// Where it comes from before anybody is asked.
const VARIABLE: &str = "FPASTE_PASSWORD";
/// Times two answers may differ.
const MAX_TRIES: usize = 3;
/// Length of a password that is made up, without its dashes; a character has 5 bits.
const MADE_UP_CHARS: usize = 20;
/// Characters between two dashes.
const MADE_UP_GROUP: usize = 5;
/// Without what is easily mistaken: l and 1, o and 0.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// A header with the password.
pub type Header = (&'static str, Zeroizing<String>);

/// The header for the password of a paste to be made, if it is to have one. One that is typed is typed twice; for an
/// empty answer one is made up and shown.
///
/// # Errors
/// A usage failure when there is none to be had, or it cannot be used.
pub fn for_new(source: &PasswordSource, session: &Session<'_>) -> Result<Option<Header>, Failure> {
    text_for_new(source, session)?.map(|password| header(&password)).transpose()
}

/// The same as it is, for a password that the server never sees.
///
/// # Errors
/// As [`for_new`].
pub fn text_for_new(source: &PasswordSource, session: &Session<'_>) -> Result<Option<Zeroizing<String>>, Failure> {
    Ok(match given(source, session)? {
        None if *source == PasswordSource::Ask => Some(choose(session)?),
        password => password,
    })
}

/// The header for the password of a paste that is to be read, if the source has one.
///
/// # Errors
/// As [`for_new`].
pub fn for_reading(source: &PasswordSource, session: &Session<'_>, id: &Id) -> Result<Option<Header>, Failure> {
    text_for_reading(source, session, id)?.map(|password| header(&password)).transpose()
}

/// The same as it is, for a password that the server never sees; `None` if the source has none.
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

/// The header for a password that is typed, whatever else there is.
///
/// # Errors
/// A usage failure without a terminal, or for an empty answer.
pub fn typed_for_reading(place: &str, session: &Session<'_>) -> Result<Header, Failure> {
    header(&typed(place, session)?)
}

/// A password that is typed, whatever else there is.
///
/// # Errors
/// As [`typed_for_reading`].
pub fn typed(place: &str, session: &Session<'_>) -> Result<Zeroizing<String>, Failure> {
    let password = ask_password(&format!("Password of {place}: "), session.interrupt)?;
    if password.is_empty() { Err(Failure::usage("the password is empty")) } else { Ok(password) }
}

/// Whether the environment has one.
pub fn is_in_environment() -> bool {
    std::env::var_os(VARIABLE).is_some_and(|value| !value.is_empty())
}

/// What needs no question; `None` if the source has none, or somebody has to be asked.
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
        let password = ask_password("Password for the new paste (empty: one is made up): ", session.interrupt)?;
        if password.is_empty() {
            return make_up(session);
        }
        if ask_password("The same password again: ", session.interrupt)? == password {
            return Ok(password);
        }
        session.ui.warning("that was not the same password");
    }
    Err(Failure::usage("the password was never typed twice in the same way")
        .hint("--password-file takes it from a file; an empty answer makes one up"))
}

/// A password nobody guesses, shown at once: it is kept nowhere.
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

/// ASCII as it is, anything else as the Base64 of its UTF-8.
///
/// # Errors
/// A usage failure for one that is too long.
fn header(password: &str) -> Result<Header, Failure> {
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

/// A line without what a Windows editor leaves at its end.
fn whole(line: &str, place: &str) -> Result<Zeroizing<String>, Failure> {
    let password = line.strip_suffix('\r').unwrap_or(line);
    if password.is_empty() {
        return Err(Failure::usage(format!("the first line of {place} is empty")));
    }
    Ok(Zeroizing::new(password.to_owned()))
}
