//! The command line of the server.
//!
//! Invariant: a parsed command is complete and its values are well-formed. Must never take a secret as an argument:
//! other users can see them.

use flaskpaste::crypto::{self, Sha256Digest};
use flaskpaste::owner::TokenName;
use flaskpaste::paste::Id;
use lexopt::prelude::{Long, Short, Value, ValueExt};
use lexopt::{Arg, Error, Parser};
use std::path::PathBuf;
use std::str::FromStr;

/// The longest lifetime of a token: a hundred years.
const MAX_DAYS: u64 = 36_500;

/// A command.
pub enum Command {
    /// Serve.
    Serve,
    /// Show the usage.
    Help,
    /// Show the version.
    Version,
    /// Check the settings.
    CheckConfig,
    /// Show figures about the database.
    Stats {
        /// As JSON.
        json: bool,
    },
    /// Delete expired pastes.
    Purge,
    /// Copy the database to this file.
    Backup(PathBuf),
    /// Import the SQLite database in this file.
    #[cfg(feature = "postgres")]
    Import(PathBuf),
    /// Check the health of the running server.
    Health,
    /// List the pastes.
    List {
        /// As JSON.
        json: bool,
    },
    /// Show the metadata of a paste.
    Show(Show),
    /// Delete pastes.
    Delete(Vec<Id>),
    /// Delete pastes and block their contents.
    Block(Vec<Id>),
    /// Unblock a content.
    Unblock(Sha256Digest),
    /// Show the operators' log.
    Log {
        /// As JSON.
        json: bool,
    },
    /// Create a token.
    AddToken {
        /// Its name.
        name: TokenName,
        /// Its lifetime; `None` is unlimited.
        days: Option<u64>,
    },
    /// List the tokens.
    ListTokens,
    /// Revoke a token.
    RemoveToken(TokenName),
}

/// The options of `show`.
pub struct Show {
    /// The paste's id or handle.
    pub id: Id,
    /// The file with the link or the key of a report; `-` is standard input.
    pub key_from: Option<PathBuf>,
    /// The file with its password.
    pub password_from: Option<PathBuf>,
    /// Whether to decrypt it.
    pub decrypt: bool,
    /// The number of the file, from 1.
    pub file: Option<usize>,
}

/// Parses the command line.
///
/// # Errors
/// When it is invalid.
pub fn parse() -> Result<Command, Error> {
    let mut parser = Parser::from_env();
    match parser.next()? {
        None => Ok(Command::Serve),
        Some(Short('h') | Long("help")) => Ok(Command::Help),
        Some(Short('V') | Long("version")) => Ok(Command::Version),
        Some(Long("check-config")) => end(&mut parser, Command::CheckConfig),
        Some(Value(word)) => match word.to_str() {
            Some("purge") => end(&mut parser, Command::Purge),
            Some("health") => end(&mut parser, Command::Health),
            Some("stats") => json(&mut parser, |json| Command::Stats { json }),
            Some("list") => json(&mut parser, |json| Command::List { json }),
            Some("log") => json(&mut parser, |json| Command::Log { json }),
            Some("backup") => backup(&mut parser),
            #[cfg(feature = "postgres")]
            Some("import") => import(&mut parser),
            Some("show") => show(&mut parser),
            Some("delete") => pastes(&mut parser, "delete needs the IDs or handles of pastes", Command::Delete),
            Some("block") => pastes(&mut parser, "block needs the IDs of pastes", Command::Block),
            Some("unblock") => unblock(&mut parser),
            Some("token") => token(&mut parser),
            _ => Err(Value(word).unexpected()),
        },
        Some(argument) => Err(argument.unexpected()),
    }
}

/// A command without further arguments.
fn end(parser: &mut Parser, command: Command) -> Result<Command, Error> {
    match parser.next()? {
        None => Ok(command),
        Some(argument) => other(argument),
    }
}

/// Handles an argument that a command does not know: `--help`, `--version` or an error.
fn other(argument: Arg<'_>) -> Result<Command, Error> {
    match argument {
        Short('h') | Long("help") => Ok(Command::Help),
        Short('V') | Long("version") => Ok(Command::Version),
        argument => Err(argument.unexpected()),
    }
}

fn json(parser: &mut Parser, command: impl FnOnce(bool) -> Command) -> Result<Command, Error> {
    let mut json = false;
    while let Some(argument) = parser.next()? {
        match argument {
            Long("json") => json = true,
            argument => return other(argument),
        }
    }
    Ok(command(json))
}

fn backup(parser: &mut Parser) -> Result<Command, Error> {
    match parser.next()? {
        Some(Value(target)) if target == "-" => {
            Err("backup needs a file, not standard output: the copy is checked".into())
        }
        Some(Value(target)) => end(parser, Command::Backup(target.into())),
        Some(Short('h') | Long("help")) => Ok(Command::Help),
        _ => Err("backup needs the name of a new file".into()),
    }
}

#[cfg(feature = "postgres")]
fn import(parser: &mut Parser) -> Result<Command, Error> {
    match parser.next()? {
        Some(Value(source)) => end(parser, Command::Import(source.into())),
        Some(Short('h') | Long("help")) => Ok(Command::Help),
        _ => Err("import needs the path of an SQLite database".into()),
    }
}

/// The ids of a command; at least one.
fn pastes(
    parser: &mut Parser,
    missing: &'static str,
    command: impl FnOnce(Vec<Id>) -> Command,
) -> Result<Command, Error> {
    let mut ids = Vec::new();
    while let Some(argument) = parser.next()? {
        match argument {
            Value(word) => ids.push(id(&word.string()?)?),
            argument => return other(argument),
        }
    }
    if ids.is_empty() { Err(missing.into()) } else { Ok(command(ids)) }
}

/// Parses an id or a handle. Links are refused, so that no key becomes an argument that other users can see.
fn id(text: &str) -> Result<Id, Error> {
    let shown = text.split('#').next().unwrap_or_default();
    if shown.len() < text.len() {
        return Err("links are not accepted here: use the ID, and put the link into a file for --key-from".into());
    }
    text.parse().map_err(|()| format!("invalid ID or handle: {shown}").into())
}

fn show(parser: &mut Parser) -> Result<Command, Error> {
    let (mut named, mut key_from, mut password_from, mut decrypt, mut file) = (None, None, None, false, None);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("key-from") => key_from = Some(PathBuf::from(parser.value()?)),
            Long("password-from") => password_from = Some(PathBuf::from(parser.value()?)),
            Long("decrypt") => decrypt = true,
            Long("file") => file = Some(whole(&parser.value()?.string()?, "--file needs the number of a file")?),
            Value(word) if named.is_none() => named = Some(id(&word.string()?)?),
            argument => return other(argument),
        }
    }
    let id = named.ok_or("show needs the ID or the handle of a paste")?;
    if key_from.is_none() && (decrypt || password_from.is_some()) {
        return Err("--decrypt and --password-from need --key-from FILE".into());
    }
    if [&key_from, &password_from].into_iter().flatten().filter(|path| path.as_os_str() == "-").count() > 1 {
        return Err("standard input can be used only once: put the key or the password into a file".into());
    }
    if file.is_some() && !decrypt {
        return Err("--file needs --decrypt".into());
    }
    let file = file.and_then(|number: u64| usize::try_from(number).ok());
    Ok(Command::Show(Show { id, key_from, password_from, decrypt, file }))
}

fn unblock(parser: &mut Parser) -> Result<Command, Error> {
    match parser.next()? {
        Some(Value(word)) => {
            let hash = word.to_str().and_then(crypto::unhex).and_then(|bytes| bytes.try_into().ok());
            let hash = hash.ok_or("unblock needs the SHA-256 that block printed, 64 hex digits")?;
            end(parser, Command::Unblock(hash))
        }
        Some(Short('h') | Long("help")) => Ok(Command::Help),
        _ => Err("unblock needs the SHA-256 that block printed, 64 hex digits".into()),
    }
}

fn token(parser: &mut Parser) -> Result<Command, Error> {
    const USAGE: &str = "token needs one of: add NAME [--days N], list, remove NAME";
    let action = match parser.next()? {
        Some(Value(word)) => word.string()?,
        Some(Short('h') | Long("help")) => return Ok(Command::Help),
        _ => return Err(USAGE.into()),
    };
    if action == "list" {
        return end(parser, Command::ListTokens);
    }
    if !matches!(action.as_str(), "add" | "remove") {
        return Err(USAGE.into());
    }
    let (mut name, mut days) = (None, None);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("days") if action == "add" => {
                days = Some(whole(&parser.value()?.string()?, "--days needs a number of days")?);
            }
            Value(word) if name.is_none() => {
                let parsed = TokenName::from_str(&word.string()?);
                name = Some(parsed.map_err(|()| "invalid token name; expected 1 to 64 letters, digits, ., _ or -")?);
            }
            argument => return other(argument),
        }
    }
    let name = name.ok_or(USAGE)?;
    Ok(if action == "add" { Command::AddToken { name, days } } else { Command::RemoveToken(name) })
}

/// A whole number from 1 to [`MAX_DAYS`].
fn whole(text: &str, refusal: &str) -> Result<u64, Error> {
    let number = text.parse().ok().filter(|number| (1..=MAX_DAYS).contains(number));
    number
        .filter(|_| text.bytes().all(|b| b.is_ascii_digit()))
        .ok_or_else(|| format!("{refusal}, from 1 to {MAX_DAYS}").into())
}
