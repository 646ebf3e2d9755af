//! Failed uploads from a pipe, saved for at most a day so that `fpaste resume` can send them.
//!
//! Invariant: a file has mode 0600: it contains the key of the future link, which exists nowhere else, and the content
//! as it would have been uploaded. Must never contain a password.

use super::Session;
use super::command::{Form, PasswordSource};
use super::config::create_private_folder;
use super::create::{allowed_bytes, report};
use super::failure::{Exit, Failure};
use super::kept::write_new_from;
use super::upload::{Gate, Stored, Upload, Wishes};
use super::{files, link, password};
use crate::clock::unix_now;
use crate::crypto;
use serde_json::Value;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// How long an upload is saved.
const LIFETIME: Duration = Duration::from_secs(86_400);
/// The size limit of the first line, which holds the upload's options.
const MAX_HEAD_BYTES: u64 = 64 << 10;
/// The prefix of the file names; the time of the attempt follows.
const PREFIX: &str = "unsent-";

/// Saves a failed upload, and adds a hint how to send it.
pub fn keep(upload: &Upload, failure: Failure, session: &Session<'_>) -> Failure {
    failure.add_hint(&keeper(session)(upload))
}

/// A function that saves the upload, callable from any thread, and returns a hint how to send it.
pub fn keeping(upload: &Arc<Upload>, session: &Session<'_>) -> impl FnOnce() -> String + Send + 'static {
    let (upload, keep) = (Arc::clone(upload), keeper(session));
    move || keep(&upload)
}

/// A function that saves an upload for the session's server.
fn keeper(session: &Session<'_>) -> impl Fn(&Upload) -> String + Send + 'static {
    let (server, state) = (session.settings.server.to_string(), session.folders.state.clone());
    let option = if session.settings.server_is_chosen { format!(" -s {server}") } else { String::new() };
    move |upload| match store(upload, &server, state.as_deref()) {
        Ok(()) => format!("the input was saved for a day: send it with fpaste resume{option}"),
        Err(why) => format!("the input could not be saved{why}"),
    }
}

/// Saves an upload for this server; the error says why not.
fn store(upload: &Upload, server: &str, folder: Option<&Path>) -> Result<(), String> {
    let folder = folder.ok_or(": HOME is not set")?;
    let wishes = &upload.wishes;
    let head = serde_json::json!({
        "server": server,
        "burn": wishes.burn(),
        "reads": wishes.reads,
        "link_proof": wishes.gate.as_ref().map(|gate| crypto::hex(&gate.link_proof)),
        "password_proof": wishes.gate.as_ref().and_then(|gate| gate.password_proof).map(|hash| crypto::hex(&hash)),
        "expiry_seconds": wishes.expiry_seconds,
        "password": wishes.password,
        "encrypt": wishes.encrypt,
        "mime_type": wishes.mime_type,
        "key": upload.fragment().as_str(),
    });
    let head = Zeroizing::new(format!("{head}\n"));
    let name = format!("{PREFIX}{}", unix_now());
    let kept = create_private_folder(folder).and_then(|()| {
        let content = upload.content.read().map_err(io::Error::other)?;
        write_new_from(folder, &name, &mut head.as_bytes().chain(content))
    });
    kept.map(drop).map_err(|error| format!(" in {}: {error}", folder.display()))
}

/// Removes uploads older than a day.
pub fn forget_old(session: &Session<'_>) {
    for path in files(session) {
        let age = fs::symlink_metadata(&path).and_then(|metadata| metadata.modified()).map(|time| time.elapsed());
        if age.is_ok_and(|age| age.is_ok_and(|age| age > LIFETIME)) {
            let _ = fs::remove_file(path);
        }
    }
}

/// The saved uploads, oldest first.
fn files(session: &Session<'_>) -> Vec<PathBuf> {
    let is_ours = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
    let entries = session.folders.state.as_ref().and_then(|folder| fs::read_dir(folder).ok());
    let mut paths: Vec<PathBuf> =
        entries.into_iter().flatten().flatten().map(|entry| entry.path()).filter(is_ours).collect();
    paths.sort();
    paths
}

/// Sends the saved uploads for this server and removes them.
///
/// # Errors
/// The first failure; the others are printed as they occur, unless the server does not answer at all: then nothing more
/// is tried. When there is nothing to send.
pub fn run(source: &PasswordSource, session: &Session<'_>) -> Result<(), Failure> {
    forget_old(session);
    let mut first_failure = None;
    let mut is_any = false;
    for path in files(session) {
        // Another fpaste may be sending it.
        let Ok(file) = open(&path) else { continue };
        is_any = true;
        let sent = read(file).and_then(|(server, upload)| send(&server, &upload, source, session));
        match sent {
            Ok(()) => drop(fs::remove_file(&path)),
            Err(failure) => {
                let is_server_down =
                    failure.may_pass && allowed_bytes(&session.settings.server, true, session).is_err();
                match first_failure {
                    None => first_failure = Some(failure),
                    Some(_) => session.ui.failure(&failure),
                }
                if is_server_down {
                    break;
                }
            }
        }
    }
    if !is_any {
        return Err(Failure::usage("nothing to resume").hint("only failed uploads from a pipe are saved, for a day"));
    }
    match first_failure {
        None => Ok(()),
        // Its own hint says how to send it.
        Some(failure) if failure.exit == Exit::Usage => Err(failure),
        Some(failure) => Err(failure.add_hint(&left(session))),
    }
}

/// What is still saved after a failure.
fn left(session: &Session<'_>) -> String {
    let inputs = match files(session).len() {
        1 => "the input is".to_owned(),
        count => format!("{count} inputs are"),
    };
    format!("{inputs} still saved, for a day after the first attempt: run fpaste resume again")
}

/// Opens a file, unless another fpaste is sending it or has sent it.
fn open(path: &Path) -> io::Result<File> {
    let file = files::open(path, OpenOptions::new().read(true))?;
    file.try_lock()?;
    if file.metadata()?.nlink() > 0 { Ok(file) } else { Err(io::ErrorKind::NotFound.into()) }
}

fn read(file: File) -> Result<(String, Upload), Failure> {
    let damaged = || Failure::usage("the saved upload is damaged").hint("remove unsent-* in the state folder");
    let mut line = Zeroizing::new(Vec::new());
    let read = BufReader::new(&file).take(MAX_HEAD_BYTES).read_until(b'\n', &mut line);
    read.map_err(|error| Failure::usage(error.to_string()))?;
    let head: Value = serde_json::from_slice(&line).map_err(|_| damaged())?;
    let text = |name: &str| head.get(name).and_then(Value::as_str);
    let flag = |name: &str| head.get(name).and_then(Value::as_bool).ok_or_else(damaged);
    let hash = |name: &str| text(name).and_then(|hex| crypto::unhex(hex)?.try_into().ok());
    let reads = head.get("reads").and_then(Value::as_u64).and_then(|reads| u32::try_from(reads).ok());
    let wishes = Wishes {
        reads: if flag("burn")? { Some(1) } else { reads },
        expiry_seconds: head.get("expiry_seconds").and_then(Value::as_u64),
        password: flag("password")?,
        gate: hash("link_proof").map(|link_proof| Gate { link_proof, password_proof: hash("password_proof") }),
        encrypt: flag("encrypt")?,
        mime_type: text("mime_type").map(str::to_owned),
    };
    let key = if wishes.encrypt { Some(link::key(text("key").ok_or_else(damaged)?)?) } else { None };
    let server = text("server").ok_or_else(damaged)?.to_owned();
    let offset = line.len() as u64;
    let length = file.metadata().map_or(0, |metadata| metadata.len()).saturating_sub(offset);
    let content = Stored::File { file, offset, length };
    Ok((server, Upload { wishes, key, content, name: None, size: None }))
}

/// A password is given exactly where the server needs one: what is sealed cannot get another.
fn check_password(wishes: &Wishes, source: &PasswordSource) -> Result<(), Failure> {
    let is_sealed_with_one = wishes.gate.as_ref().is_some_and(|gate| gate.password_proof.is_some());
    match (wishes.password, *source == PasswordSource::None) {
        (true, true) => {
            Err(Failure::usage("the upload has a password, which was not saved").hint("use -p or --password-file"))
        }
        (false, false) if is_sealed_with_one => {
            Err(Failure::usage("the saved upload already has its password, which cannot be changed")
                .hint("use fpaste resume without -p or --password-file: the password is kept"))
        }
        (false, false) => Err(Failure::usage("the saved upload has no password, and none can be added")
            .hint("use fpaste resume without -p to send it without a password; for one, pipe the input again with -p")),
        _ => Ok(()),
    }
}

fn send(server: &str, upload: &Upload, source: &PasswordSource, session: &Session<'_>) -> Result<(), Failure> {
    // Another server must be named explicitly with -s.
    if !session.settings.server_is_chosen && server != session.settings.server.to_string() {
        return Err(Failure::usage(format!("the saved upload is for {server}"))
            .hint(format!("use fpaste resume -s {server}, or -s with another server")));
    }
    check_password(&upload.wishes, source)?;
    let password = if upload.wishes.password { password::for_new(source, session)? } else { None };
    let paste = upload.send(password, session)?;
    report(&Form::Link, session, upload, &paste).map(drop)
}
