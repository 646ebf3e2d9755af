//! `fpaste get`: download, decrypt, write.
//!
//! Invariant: nothing is written unless the tag verified, and what was taken off the server for good is printed, written
//! or kept. Must never take a burn paste that cannot be used: without a key, or with nowhere to write it.

use super::command::{Get, PasswordSource};
use super::failure::{Exit, Failure};
use super::kept::Kept;
use super::link::{self, Target};
use super::prompt::line_of_stdin;
use super::sink::{Sink, Written};
use super::text::{clean, human_bytes, human_seconds};
use super::transport::{Answer, Call, MAX_CONTENT_BYTES};
use super::ui::{write_json, write_table};
use super::{Located, Session, password};
use crate::clock::{parse_http_date, rfc3339, unix_now};
use crate::e2e;
use serde_json::Value;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use ureq::http::Method;
use zeroize::Zeroizing;

/// Fetches a paste, or its metadata, or opens what was kept of one.
///
/// # Errors
/// Whatever stands between the person and the content.
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
    let sink = Sink::open(&options.output, session.interrupt)?;
    if target.key.is_none() && !options.force {
        refuse_to_waste(session, &target, &located)?;
    }
    let answer = fetch(options, session, &target, &located)?;
    if answer.header("X-Burn-After-Read").is_some() {
        let outcome = deliver_burned(answer.body, &target, sink, session);
        // Behind it: the content does not wait for a history that is locked, nor is it withheld for one that is broken.
        if let Some(entry) = &located.entry {
            let _ = session.history.remove(&entry.server, &entry.id);
        }
        return outcome;
    }
    let mut content = answer.body;
    match &target.key {
        Some(key) => e2e::open(key, &mut content).map_err(|e2e::NotAuthentic| {
            wrong_key("the content").hint("check that the link is complete; nothing was written")
        })?,
        None if located.entry.is_some_and(|entry| entry.encrypted) => {
            session.ui.warning("this paste is encrypted; without the key behind the # its content is of no use");
        }
        None => {}
    }
    say_what_is_missing(&sink.write(&content)?, session);
    Ok(())
}

/// Decrypts and writes what the server has just forgotten. Ciphertext is kept first, so that neither a wrong key nor a
/// failing target nor an interruption loses it; plain content only when it is needed, for it should be on no disk.
fn deliver_burned(mut content: Vec<u8>, target: &Target, sink: Sink<'_>, session: &Session<'_>) -> Result<(), Failure> {
    let mut kept = target.key.as_ref().and_then(|_| Kept::store(session, &target.id, &content));
    let _told = kept.as_ref().map(|kept| session.interrupt.telling(whereabouts(kept, true)));
    let written = match &target.key {
        Some(key) => e2e::open(key, &mut content).map_err(|e2e::NotAuthentic| wrong_key("the content")),
        None => Ok(()),
    };
    let written = written.and_then(|()| sink.write(&content));
    if matches!(written, Ok(Written::Whole)) {
        kept.into_iter().for_each(Kept::forget);
        session.ui.note("that was the only read; the server has forgotten the paste");
        return Ok(());
    }
    if target.key.is_none() {
        kept = Kept::store(session, &target.id, &content);
    }
    let place = kept.map_or_else(
        || "that was the only read, and it could be kept nowhere".into(),
        |kept| whereabouts(&kept, target.key.is_some()),
    );
    match written {
        Err(failure) => return Err(failure.hint(place)),
        Ok(Written::Cleaned(count)) => {
            session.ui.warning(&format!("{count} control characters were not shown; {place}"));
        }
        Ok(_) => session.ui.warning(&format!("not all of it was read; {place}")),
    }
    Ok(())
}

/// What to say of a burned paste that is kept.
fn whereabouts(kept: &Kept, is_encrypted: bool) -> String {
    let path = kept.path().display();
    if is_encrypted {
        format!("that was the only read; its ciphertext is kept: fpaste get --from {path} '#KEY' decrypts it")
    } else {
        format!("that was the only read; the content is kept in {path}")
    }
}

fn wrong_key(what: &str) -> Failure {
    Failure::new(Exit::Decryption, format!("{what} does not belong to this key, or was changed on its way"))
}

/// A burn paste that is encrypted is of no use to who has no key, and then to nobody.
fn refuse_to_waste(session: &Session<'_>, target: &Target, located: &Located) -> Result<(), Failure> {
    let answer = session.transport.send(&metadata_call(target, located))?;
    // Other refusals are the fetch's to explain.
    let Ok(paste) = answer.expect(200).and_then(|answer| answer.json()) else { return Ok(()) };
    let burns = paste.get("burn_after_read").and_then(Value::as_bool) == Some(true);
    let is_encrypted = paste.get("mime_type").and_then(Value::as_str) == Some("application/octet-stream");
    if burns && is_encrypted {
        return Err(Failure::usage("this paste is encrypted and can be read once, and the link has no key")
            .hint("use the whole link, with what follows the #; --force takes the paste as it is"));
    }
    Ok(())
}

/// Opens a file that was kept, without any server.
fn open_kept(path: &Path, link: &str, options: &Get, session: &Session<'_>) -> Result<(), Failure> {
    let key = link::key(link)?;
    let mut content = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_CONTENT_BYTES + 1).read_to_end(&mut content));
    read.map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))?;
    e2e::open(&key, &mut content).map_err(|e2e::NotAuthentic| {
        wrong_key("the file").hint("check that the key is complete; the file stays as it is")
    })?;
    let sink = Sink::open(&options.output, session.interrupt)?;
    say_what_is_missing(&sink.write(&content)?, session);
    Ok(())
}

/// The content is still where it came from.
fn say_what_is_missing(written: &Written, session: &Session<'_>) {
    if let Written::Cleaned(count) = written {
        session.ui.warning(&format!("{count} control characters were not shown; -o FILE writes the content as it is"));
    }
}

fn link_from_stdin(session: &Session<'_>) -> Result<Zeroizing<String>, Failure> {
    line_of_stdin("Link: ", session.interrupt)
        .map_err(|error| Failure::usage(format!("cannot read a link from standard input: {error}")))
}

fn metadata_call<'a>(target: &Target, located: &'a Located) -> Call<'a> {
    Call {
        headers: vec![("Accept", Zeroizing::new("application/json".into()))],
        ..Call::new(Method::GET, &located.server, format!("/{}", target.id), located.is_ours)
    }
}

fn show_metadata(json: bool, session: &Session<'_>, target: &Target, located: &Located) -> Result<(), Failure> {
    let answer = session.transport.send(&metadata_call(target, located))?.expect(200)?;
    let paste = answer.json()?;
    if json {
        return write_json(&paste);
    }
    // What is left is told by the clock that decides.
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
    lines.push(("burns", yes(flag("burn_after_read"))));
    lines.push(("password", yes(flag("password_protected"))));
    lines.extend(paste.get("owner").and_then(Value::as_str).map(|owner| ("owner", clean(owner))));
    write_table(&lines)
}

/// The content's answer; a password that turns out to be needed is taken from the environment, or asked for if somebody
/// is there.
fn fetch(options: &Get, session: &Session<'_>, target: &Target, located: &Located) -> Result<Answer, Failure> {
    let ask = |header: Option<password::Header>| {
        session.transport.send(&Call {
            headers: header.into_iter().collect(),
            wants_content: true,
            ..Call::new(Method::GET, &located.server, format!("/{}/raw", target.id), located.is_ours)
        })
    };
    let mut answer = ask(password::for_reading(&options.password, session, &target.id)?)?;
    let may_have_one = password::is_in_environment() || session.ui.is_watched();
    if answer.status == 401 && options.password == PasswordSource::None && may_have_one {
        answer = ask(password::for_reading(&PasswordSource::Ask, session, &target.id)?)?;
    }
    answer.expect(200)
}
