//! `fpaste get`: download, decrypt, write.
//!
//! Invariant: nothing is written unless its tag verified. A read of a limited paste is confirmed after all of it was
//! written; without leases, content that the server has deleted is printed, written or saved. Must never waste a read:
//! not without the key, nor with nowhere to write the content.

use super::command::{Get, Output};
use super::extract::{Destination, extract};
use super::failure::{Exit, Failure};
use super::fetch::{BURNED, Confirmed, Facts, Fetch, metadata_call, not_asked_here};
use super::kept::Kept;
use super::leases;
use super::link::{self, Target};
use super::plaintext::{OneFile, Plaintext};
use super::prompt::line_of_stdin;
use super::sink::{Sink, Written};
use super::spooled::Spooled;
use super::transport::{MAX_CONTENT_BYTES, read_all, too_large};
use super::ui::{write_json, write_stdout, write_table};
use super::{Located, Session, asks, password};
use crate::clock::{parse_http_date, rfc3339, unix_now};
use crate::e2e::{self, Key};
use crate::paste::Id;
use crate::sealed::{self, FileEntry, Manifest, Secrets};
use crate::text::{clean, human_bytes, human_seconds};
use serde_json::Value;
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// A smaller difference to the sender's expiry is attributed to the clocks.
const CLOCK_SLACK_SECONDS: u64 = 120;

/// Where the content goes.
enum Place<'a> {
    /// The content of a single file.
    Sink(Sink<'a>),
    /// All files, below this folder.
    Folder(Destination),
    /// Nowhere: only the names are listed.
    Names,
}

impl<'a> Place<'a> {
    fn open(options: &Get, id: Option<&Id>, session: &'a Session<'_>) -> Result<Self, Failure> {
        let below = |path: &PathBuf| {
            let to = Destination { folder: path.clone(), id: id.cloned(), overwrite: options.force };
            to.check().map(|()| Self::Folder(to))
        };
        Ok(match &options.output {
            _ if options.list => Self::Names,
            Output::Folder(path) => below(path)?,
            Output::File(path) if path.is_dir() => below(path)?,
            output => Self::Sink(Sink::open(output, id, session.interrupt)?),
        })
    }

    /// The sink for content without a name.
    fn sink(self) -> Result<Sink<'a>, Failure> {
        match self {
            Self::Sink(sink) => Ok(sink),
            Self::Folder(_) | Self::Names => Err(no_names()),
        }
    }
}

fn no_names() -> Failure {
    Failure::usage("this paste has no file name").hint("use -o FILE")
}

/// Checks that the output is writable before the content is fetched.
///
/// # Errors
/// When nothing can be written there.
pub fn check_output(options: &Get, session: &Session<'_>) -> Result<(), Failure> {
    Place::open(options, None, session).map(drop)
}

/// Fetches a paste or its metadata, or decrypts a saved one.
///
/// # Errors
/// When it cannot be fetched, decrypted or written.
pub fn run(options: &Get, session: &Session<'_>) -> Result<(), Failure> {
    let link = match options.target.0.as_str() {
        "-" => &link_from_stdin(session)?,
        link => link,
    };
    if let Some(path) = &options.from {
        return open_kept(path, link, options, session);
    }
    let target = Target::parse(link)?;
    let located = session.locate(&target, &session.known());
    if options.meta {
        return show_metadata(options.json, session, &target, &located);
    }
    if target.ask.is_some() && !located.entry.as_ref().is_some_and(|entry| entry.is_ask) {
        return Err(not_asked_here());
    }
    // Before the content is fetched: an unwritable output must not use up a read.
    let place = Place::open(options, Some(&target.id), session)?;
    let mut fetch = Fetch::look(options, session, &target, &located)?;
    if options.list && fetch.facts.is_limited && !fetch.is_leased() {
        return Err(Failure::usage("cannot list this paste: its reads are limited, and a listing would use one")
            .hint("fpaste get -m shows its metadata"));
    }
    fetch.take(options)?;
    match deliver(options, &mut fetch, &target, place, session) {
        Ok(Delivered::Whole) if !options.list => confirm(&mut fetch, session),
        Ok(Delivered::Whole) => {}
        Ok(Delivered::Taken) => forget_burned(&fetch, session),
        Ok(Delivered::InPart(what)) => {
            let fate = fetch.fate().unwrap_or_else(|| "use -o FILE to write the content unchanged".to_owned());
            session.ui.warning(&format!("{what}; {fate}"));
        }
        Err(failure) => return Err(fetch.not_delivered(failure)),
    }
    Ok(())
}

/// Confirms the delivery to the server, and tells the user what happened to the paste.
fn confirm(fetch: &mut Fetch<'_>, session: &Session<'_>) {
    match fetch.confirm() {
        Some(Confirmed::Later(ends)) => {
            session
                .ui
                .warning(&format!("cannot confirm the read to the server; it will end by itself at {}", rfc3339(ends)));
            forget_ask(fetch, session);
            return;
        }
        Some(Confirmed::Ended) if fetch.facts.is_last_read() && fetch.is_still_there() => {
            if let Some(entry) = fetch.entry().filter(|_| fetch.is_answer()) {
                // The answer was delivered: the key is not needed any more.
                asks::end(session, entry, None);
                session.ui.warning("the server still has the answer after it was read; its key was erased here");
            } else {
                session.ui.warning("the server still has the paste after its last read");
            }
            return;
        }
        _ => {}
    }
    forget_burned(fetch, session);
    match fetch.facts.reads_left {
        _ if fetch.is_answer() => {
            session.ui.note("the answer was deleted from the server, and its key from this machine");
        }
        _ if fetch.facts.burns => session.ui.note("that was the only read; the server has deleted the paste"),
        _ if fetch.facts.is_last_read() => session.ui.note("that was the last read; the server has deleted the paste"),
        Some(left) => session.ui.note(&format!("reads left: {left}")),
        None => {}
    }
}

/// Marks a paste of ours that this read has deleted in the history. Done last: a locked or broken history must not delay or withhold the
/// content.
fn forget_burned(fetch: &Fetch<'_>, session: &Session<'_>) {
    if let Some(entry) = fetch.entry().filter(|_| fetch.facts.is_last_read()) {
        let _ = session.history.remove(&entry.server, &entry.id);
    }
    forget_ask(fetch, session);
}

/// Erases the keys of an answer that was delivered.
fn forget_ask(fetch: &Fetch<'_>, session: &Session<'_>) {
    if let Some(entry) = fetch.entry() {
        asks::end(session, entry, Some(unix_now()));
    }
}

/// How much of the content was delivered.
enum Delivered {
    /// All.
    Whole,
    /// A part, and why.
    InPart(String),
    /// All that the server had; it cannot be read again, and the user was told.
    Taken,
}

/// Fetches the content and writes it.
fn deliver(
    options: &Get,
    fetch: &mut Fetch<'_>,
    target: &Target,
    place: Place<'_>,
    session: &Session<'_>,
) -> Result<Delivered, Failure> {
    let (content, head) = fetch.begin(options)?;
    let limit = fetch.limit_of(&content);
    let size = if content.status == 206 { content.range().map(|(_, size)| size) } else { content.length };
    let size = size.map(|size| size.saturating_sub(fetch.lead_bytes()));
    if size.is_some_and(|size| size > limit) {
        return Err(too_large(limit));
    }
    let is_leased = fetch.is_leased();
    let is_taken = content.header(BURNED).is_some() && !is_leased;
    let is_sealed = sealed::is_upload(&head);
    let mut content: Box<dyn Read> = Box::new(Cursor::new(head).chain(content));
    if is_taken || !fetch.is_repeatable() {
        fetch.facts.burns |= is_taken;
        let content = Spooled::fill(&mut content, limit, session)?;
        return deliver_only_copy(&content, fetch, target, place, session);
    }
    let written = match fetch.secrets.take() {
        Some(secrets) if is_sealed => {
            let facts = fetch.facts.clone();
            let again = Box::new(|offset| fetch.again(options, offset));
            let mut plaintext = Plaintext::begin(&secrets, content, size, limit, Some(again))?;
            deliver_files(&mut plaintext, &facts, place, session)?
        }
        Some(_) => deliver_first(read_all(content, size, limit)?, target.key.as_ref(), place)?,
        None => {
            if fetch.is_ours_and_encrypted() {
                session.ui.warning("this paste is encrypted; its content is useless without the key after the #");
            }
            place.sink()?.copy(&mut content, false)?
        }
    };
    Ok(match written {
        Written::Cleaned(count) => Delivered::InPart(format!("{count} control characters were replaced")),
        Written::Cut if is_leased => Delivered::InPart("the output was closed early".into()),
        Written::Whole | Written::Cut => Delivered::Whole,
    })
}

/// Decrypts and writes content that was completely received.
fn deliver_whole(
    content: &Spooled,
    key: Option<&Key>,
    secrets: &Secrets,
    facts: &Facts,
    place: Place<'_>,
    session: &Session<'_>,
) -> Result<Written, Failure> {
    let mut head = Vec::new();
    let read = content.reader().take(sealed::HEAD_BYTES as u64).read_to_end(&mut head);
    read.map_err(|error| Failure::of(error, "the content"))?;
    let length = content.length();
    if sealed::is_upload(&head) {
        let mut plaintext = Plaintext::begin(secrets, content.reader(), Some(length), length, None)?;
        return deliver_files(&mut plaintext, facts, place, session);
    }
    deliver_first(read_all(content.reader(), Some(length), MAX_CONTENT_BYTES)?, key, place)
}

/// Decrypts and writes content of format 1, which can be verified only as a whole.
fn deliver_first(mut bytes: Vec<u8>, key: Option<&Key>, place: Place<'_>) -> Result<Written, Failure> {
    let sink = place.sink()?;
    if let Some(key) = key {
        e2e::open(key, &mut bytes).map_err(|e2e::NotAuthentic| {
            Failure::new(Exit::Decryption, "cannot decrypt the content: the key is wrong, or the content was altered")
                .hint("check that the link is complete; nothing was written")
        })?;
    }
    sink.copy(&mut bytes.as_slice(), false)
}

/// Writes the files of a sealed paste, or lists them.
fn deliver_files(
    plaintext: &mut Plaintext<'_>,
    facts: &Facts,
    place: Place<'_>,
    session: &Session<'_>,
) -> Result<Written, Failure> {
    let manifest = plaintext.manifest()?;
    warn_of_differences(&manifest, facts, session);
    match (place, manifest.files.as_slice()) {
        (Place::Names, files) => list_files(files).map(|()| Written::Whole),
        (Place::Folder(to), _) => extract(&manifest, plaintext, &to, session).map(|()| Written::Whole),
        (Place::Sink(sink), [file]) => sink.copy(&mut OneFile::new(plaintext, file.size, true), file.executable),
        (Place::Sink(_), files) => Err(Failure::usage(format!("this paste has {} files", files.len()))
            .hint("use -O to write them here, or -o DIR/ to write them to another folder")),
    }
}

/// Warns if the server handles the paste differently from what its sender requested.
fn warn_of_differences(manifest: &Manifest, facts: &Facts, session: &Session<'_>) {
    let allowed = match facts.reads {
        _ if !facts.is_limited => Some("does not limit its reads".to_owned()),
        Some(allowed) if manifest.reads.is_some_and(|reads| reads < allowed) => Some(format!("allows {allowed}")),
        _ => None,
    };
    if let (Some(reads), Some(allowed)) = (manifest.reads, allowed) {
        session.ui.warning(&format!("the sender set a limit of {reads} reads, but the server {allowed}"));
    }
    let later = |asked: &u64| facts.expires_at.is_some_and(|at| at > asked.saturating_add(CLOCK_SLACK_SECONDS));
    if let Some(asked) = manifest.expires_at.filter(later) {
        session.ui.warning(&format!(
            "the sender set the expiry to {}, but the server keeps it longer; they may have extended it",
            rfc3339(asked)
        ));
    }
}

fn list_files(files: &[FileEntry]) -> Result<(), Failure> {
    let line = |file: &FileEntry| {
        let name = file.name.as_deref().map_or_else(|| "-".into(), clean);
        let mime_type = file.mime_type.as_deref().map_or_else(|| "-".into(), clean);
        format!("{:>12}  {mime_type:<28}  {name}\n", human_bytes(file.size))
    };
    write_stdout(files.iter().map(line).collect::<String>().as_bytes())
}

/// Decrypts and writes content that the server has just deleted. Ciphertext is saved first, so that a wrong key, a
/// failing output or an interruption cannot lose it; plaintext only if needed, as it should not reach the disk.
fn deliver_only_copy(
    content: &Spooled,
    fetch: &mut Fetch<'_>,
    target: &Target,
    place: Place<'_>,
    session: &Session<'_>,
) -> Result<Delivered, Failure> {
    let mut kept = target.key.as_ref().and_then(|_| Kept::store(session, &target.id, content));
    let _told = kept.as_ref().map(|kept| session.interrupt.telling(whereabouts(kept, true)));
    let written = match &fetch.secrets {
        Some(secrets) => deliver_whole(content, target.key.as_ref(), secrets, &fetch.facts, place, session),
        None => place.sink().and_then(|sink| sink.copy(&mut content.reader(), false)),
    };
    if matches!(written, Ok(Written::Whole)) {
        kept.into_iter().for_each(Kept::forget);
        session.ui.note("that was the only read; the server has deleted the paste");
        return Ok(Delivered::Taken);
    }
    if target.key.is_none() {
        kept = Kept::store(session, &target.id, content);
    }
    let place = kept.map_or_else(
        || "that was the only read, and the content could not be saved".into(),
        |kept| whereabouts(&kept, target.key.is_some()),
    );
    match written.map_err(|failure| failure.hint(place.as_str()))? {
        Written::Cleaned(count) => {
            session.ui.warning(&format!("{count} control characters were replaced; {place}"));
        }
        _ => session.ui.warning(&format!("the output was closed early; {place}")),
    }
    Ok(Delivered::Taken)
}

/// Where a burned paste was saved.
fn whereabouts(kept: &Kept, is_encrypted: bool) -> String {
    let path = kept.path().display();
    if is_encrypted {
        format!("that was the only read; the ciphertext was saved; decrypt it with fpaste get --from {path} '#KEY'")
    } else {
        format!("that was the only read; the content was saved in {path}")
    }
}

/// Decrypts a saved file without contacting a server.
fn open_kept(path: &Path, link: &str, options: &Get, session: &Session<'_>) -> Result<(), Failure> {
    let key = link::key(link)?;
    let content = File::open(path).map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())));
    let content = Spooled::fill(&mut content?, MAX_CONTENT_BYTES, session)?;
    let password = password::given(&options.password, session)?;
    let secrets = Secrets::new(&key, password.as_ref().map(|password| password.as_str()));
    let place = Place::open(options, None, session)?;
    let written =
        deliver_whole(&content, Some(&key), &secrets, &Facts::kept(), place, session).map_err(
            |failure| match failure.exit {
                Exit::Decryption | Exit::Denied => {
                    failure.hint("check the key, and the password if there is one; the file was not changed")
                }
                _ => failure,
            },
        )?;
    if let Written::Cleaned(count) = written {
        session
            .ui
            .warning(&format!("{count} control characters were replaced; use -o FILE to write the content unchanged"));
    }
    Ok(())
}

fn link_from_stdin(session: &Session<'_>) -> Result<Zeroizing<String>, Failure> {
    line_of_stdin("Link: ", session.interrupt)
        .map_err(|error| Failure::usage(format!("cannot read a link from standard input: {error}")))
}

fn show_metadata(json: bool, session: &Session<'_>, target: &Target, located: &Located) -> Result<(), Failure> {
    let mut answer = session.transport.send(&metadata_call(target, located))?;
    // A paste whose last read is leased to us is hidden from everyone else.
    if let Some(lease) = leases::peek(session, &located.server, &target.id).filter(|_| answer.status == 404) {
        let mut call = metadata_call(target, located);
        call.headers.push(("X-Lease", lease));
        answer = session.transport.send(&call)?;
    }
    let answer = answer.expect(200)?;
    let paste = answer.json()?;
    if json {
        return write_json(&paste);
    }
    // The remaining time is by the server's clock.
    let now = answer.header("Date").and_then(parse_http_date).unwrap_or_else(unix_now);
    let number = |name: &str| paste.get(name).and_then(Value::as_u64);
    let mut lines = vec![("id", target.id.to_string())];
    lines.extend(paste.get("mime_type").and_then(Value::as_str).map(|text| ("type", clean(text))));
    lines.extend(number("size").map(|size| ("size", human_bytes(size))));
    lines.extend(number("created_at").map(|at| ("created", rfc3339(at))));
    let left = |at: u64| format!("{} (in {})", rfc3339(at), human_seconds(at.saturating_sub(now)));
    lines.extend(number("expires_at").map(|at| ("expires", left(at))));
    let flag = |name: &str| paste.get(name).and_then(Value::as_bool).unwrap_or(false);
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    if let Some(state) = paste.get("state").and_then(Value::as_str) {
        lines.push(("state", clean(state)));
    } else {
        lines.push(("burns", yes(flag("burn_after_read"))));
        lines.extend(number("reads_left").map(|left| ("left", left.to_string())));
        lines.push(("password", yes(flag("password_protected"))));
    }
    lines.extend(paste.get("owner").and_then(Value::as_str).map(|owner| ("owner", clean(owner))));
    write_table(&lines)
}
