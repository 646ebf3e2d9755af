//! `fpaste get`: download, decrypt, write.
//!
//! Invariant: nothing is written unless the tag verified, and a file appears whole or not at all. What may go wrong
//! with the target is tried before a burn paste is taken. Must never send a terminal what is not text.

use super::command::{Get, Output, PasswordSource};
use super::failure::{Exit, Failure};
use super::link::Target;
use super::text::{clean, clean_text, human_bytes, human_seconds};
use super::transport::{Answer, Call};
use super::ui::{ask_password, write_json, write_stdout, write_table};
use super::{Located, Session, password};
use crate::clock::{rfc3339, unix_now};
use crate::e2e;
use serde_json::Value;
use std::fs;
use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;
use ureq::http::Method;
use zeroize::Zeroizing;

/// Longest link read from stdin.
const MAX_LINK_BYTES: u64 = 4096;

/// Fetches a paste, or its metadata.
///
/// # Errors
/// Whatever stands between the person and the content.
pub fn run(options: &Get, session: &Session<'_>) -> Result<(), Failure> {
    let target = match options.target.0.as_str() {
        "-" => Target::parse(&link_from_stdin()?)?,
        link => Target::parse(link)?,
    };
    let located = session.locate(&target, &session.known());
    if options.meta {
        return show_metadata(options.json, session, &target, &located);
    }
    let sink = Sink::open(&options.output)?;
    let _unfinished = sink.unfinished().map(|path| session.interrupt.removing(path));
    let answer = fetch(options, session, &target, &located)?;
    let is_burned = answer.header("X-Burn-After-Read").is_some();
    let mut content = answer.body;
    if let Some(key) = &target.key {
        e2e::open(key, &mut content).map_err(|e2e::NotAuthentic| {
            Failure::new(Exit::Decryption, "the content does not belong to this key, or was changed on its way")
                .hint("check that the link is complete; nothing was written")
        })?;
    } else if located.entry.as_ref().is_some_and(|entry| entry.encrypted) {
        session.ui.warning("this paste is encrypted; without the key behind the # its content is of no use");
    }
    if let Some(entry) = located.entry.filter(|_| is_burned) {
        // It is gone; a history that cannot be written is no reason to withhold the content.
        let _ = session.history.remove(&entry.server, &entry.id);
    }
    sink.write(&content, session).or_else(
        |failure| {
            if is_burned { rescue(&content, &target, failure) } else { Err(failure) }
        },
    )
}

fn link_from_stdin() -> Result<Zeroizing<String>, Failure> {
    let mut link = Zeroizing::new(String::new());
    let read = io::stdin().lock().take(MAX_LINK_BYTES).read_to_string(&mut link);
    read.map_err(|error| Failure::usage(format!("cannot read a link from standard input: {error}")))?;
    Ok(link)
}

fn show_metadata(json: bool, session: &Session<'_>, target: &Target, located: &Located) -> Result<(), Failure> {
    let call = Call {
        headers: vec![("Accept", Zeroizing::new("application/json".into()))],
        ..Call::new(Method::GET, &located.server, format!("/{}", target.id), located.is_ours)
    };
    let paste = session.transport.send(&call)?.expect(200)?.json()?;
    if json {
        return write_json(&paste);
    }
    let now = unix_now();
    let number = |name: &str| paste.get(name).and_then(Value::as_u64);
    let mut lines = vec![("id", target.id.to_string())];
    lines.extend(paste.get("mime_type").and_then(Value::as_str).map(|text| ("type", clean(text))));
    lines.extend(number("size").map(|size| ("size", human_bytes(size))));
    lines.extend(number("created_at").map(|at| ("created", rfc3339(at))));
    let left = |at: u64| format!("{} (in {})", rfc3339(at), human_seconds(at.saturating_sub(now)));
    lines.extend(number("expires_at").map(|at| ("expires", left(at))));
    let flag = |name: &str| paste.get(name).and_then(Value::as_bool).unwrap_or(false);
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    lines.push(("burns", yes(flag("burn_after_read"))));
    lines.push(("password", yes(flag("password_protected"))));
    lines.extend(paste.get("owner").and_then(Value::as_str).map(|owner| ("owner", clean(owner))));
    write_table(&lines)
}

/// The content's answer; a password that turns out to be needed is asked for if somebody is there.
fn fetch(options: &Get, session: &Session<'_>, target: &Target, located: &Located) -> Result<Answer, Failure> {
    let ask = |header: Option<password::Header>| {
        session.transport.send(&Call {
            headers: header.into_iter().collect(),
            wants_content: true,
            ..Call::new(Method::GET, &located.server, format!("/{}/raw", target.id), located.is_ours)
        })
    };
    let header = password::header(&options.password, session)?;
    let mut answer = ask(header)?;
    if answer.status == 401 && options.password == PasswordSource::None && session.ui.is_watched() {
        answer = ask(Some(password::header_of(&ask_password(session.interrupt)?)?))?;
    }
    answer.expect(200)
}

/// Where the content goes, opened before it is fetched.
enum Sink {
    Terminal,
    Stdout,
    /// A device or a pipe, which cannot be replaced.
    Special(PathBuf),
    File {
        unfinished: NamedTempFile,
        path: PathBuf,
    },
}

impl Sink {
    fn open(output: &Output) -> Result<Self, Failure> {
        match output {
            Output::Default if io::stdout().is_terminal() => Ok(Self::Terminal),
            Output::Default | Output::Stdout => Ok(Self::Stdout),
            Output::File(path) => Self::file(path),
        }
    }

    fn file(path: &Path) -> Result<Self, Failure> {
        let unwritable =
            |why: &dyn std::fmt::Display| Failure::usage(format!("cannot write {}: {why}", path.display()));
        let metadata = fs::metadata(path).ok();
        if metadata.as_ref().is_some_and(fs::Metadata::is_dir) {
            return Err(unwritable(&"it is a directory"));
        }
        if metadata.as_ref().is_some_and(|metadata| !metadata.is_file()) {
            return Ok(Self::Special(path.to_path_buf()));
        }
        // A symbolic link stays one; the file behind it keeps its mode.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // Only for the umask to cut, as with every new file.
        let mode = metadata.map_or(0o666, |metadata| metadata.permissions().mode() & 0o777);
        let unfinished = tempfile::Builder::new()
            .prefix(".fpaste-")
            .permissions(fs::Permissions::from_mode(mode))
            .tempfile_in(folder)
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => unwritable(&"there is no such folder"),
                kind => unwritable(&kind),
            })?;
        Ok(Self::File { unfinished, path })
    }

    /// The file that must not be left behind.
    fn unfinished(&self) -> Option<PathBuf> {
        match self {
            Self::File { unfinished, .. } => Some(unfinished.path().to_path_buf()),
            _ => None,
        }
    }

    fn write(self, content: &[u8], session: &Session<'_>) -> Result<(), Failure> {
        let failed = |path: &Path, error: io::Error| {
            Failure::new(Exit::Other, format!("cannot write {}: {error}", path.display()))
        };
        match self {
            Self::Stdout => write_stdout(content),
            Self::Terminal => show(content, session),
            Self::Special(path) => {
                let written =
                    fs::OpenOptions::new().write(true).open(&path).and_then(|mut file| file.write_all(content));
                match written {
                    Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(failed(&path, error)),
                    _ => Ok(()),
                }
            }
            Self::File { mut unfinished, path } => {
                let written = unfinished.write_all(content).and_then(|()| unfinished.as_file().sync_all());
                written.map_err(|error| failed(&path, error))?;
                unfinished.persist(&path).map(drop).map_err(|error| failed(&path, error.error))
            }
        }
    }
}

/// Shows text on a terminal, without what a terminal would obey.
fn show(content: &[u8], session: &Session<'_>) -> Result<(), Failure> {
    let text = std::str::from_utf8(content).ok().filter(|text| !text.contains('\0'));
    let Some(text) = text else {
        return Err(Failure::new(Exit::Other, "the content is binary; it is not shown on a terminal")
            .hint("-o FILE writes it to a file, -o - to the terminal all the same"));
    };
    let (shown, left_out) = clean_text(text);
    write_stdout(shown.as_bytes())?;
    if !shown.is_empty() && !shown.ends_with('\n') {
        write_stdout(b"\n")?;
    }
    if left_out > 0 {
        session
            .ui
            .warning(&format!("{left_out} control characters were not shown; -o FILE writes the content as it is"));
    }
    Ok(())
}

/// What has been burned exists nowhere else: it goes into a new file here, or in the folder for temporary files.
fn rescue(content: &[u8], target: &Target, failure: Failure) -> Result<(), Failure> {
    for folder in [PathBuf::from("."), std::env::temp_dir()] {
        let path = folder.join(format!("fpaste-{}", target.id));
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        if file.and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all())).is_ok() {
            return Err(failure.hint(format!("it was burned by this read, so it is kept in {}", path.display())));
        }
    }
    Err(failure)
}
