//! `fpaste create`: read, encrypt, upload, print the link.
//!
//! Invariant: stdout gets the link alone, and gets it before anything else can fail; what was read from stdin is sent
//! or kept. Must never read what the server would not take, send content before it is encrypted, unless that was asked
//! for, nor hold it twice.

use super::command::{Create, Form, Input, PasswordSource};
use super::failure::{Exit, Failure};
use super::text::{human_bytes, human_seconds, without_fragment};
use super::transport::{Answer, Call, MAX_CONTENT_BYTES};
use super::ui::{write_json, write_stdout};
use super::upload::{self, Created, Upload, Wishes};
use super::{Session, password, share, unsent};
use crate::e2e::{self, Key, OVERHEAD_BYTES};
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::Path;
use ureq::http::Method;
use zeroize::Zeroizing;

/// Creates a paste.
///
/// # Errors
/// Unreadable input, and every refusal.
pub fn run(options: &Create, session: &Session<'_>) -> Result<(), Failure> {
    unsent::forget_old(session);
    let source = Source::open(&options.input)?;
    // Before anything is read: what was piped in cannot be read again.
    let limit = allowed_bytes(session)?;
    let password = password::header(&options.password, session)?;
    let overhead = if options.encrypt { OVERHEAD_BYTES as u64 } else { 0 };
    let mut content = source.read(limit.saturating_sub(overhead), session)?;
    let failed = |error: io::Error| Failure::new(Exit::Other, error.to_string());
    let key = options.encrypt.then(Key::random).transpose().map_err(failed)?;
    if let Some(key) = &key {
        e2e::seal(key, &mut content).map_err(failed)?;
    }
    let wishes = Wishes {
        burn: options.burn,
        expiry_seconds: options.expiry_seconds,
        password: options.password != PasswordSource::None,
        encrypt: options.encrypt,
        mime_type: options.mime_type.clone(),
    };
    let upload = Upload { wishes, key, content };
    let outcome = upload.send(password, session).and_then(|paste| report(&options.form, session, &upload, &paste));
    let link = outcome.map_err(|failure| match options.input {
        Input::Stdin => unsent::keep(&upload, failure, session),
        Input::File(_) => failure,
    })?;
    if options.qr {
        share::draw_qr(session, &link);
    }
    if options.clipboard {
        share::copy(session, &link);
    }
    Ok(())
}

/// Where content comes from, not yet read.
struct Source {
    input: Box<dyn Read>,
    /// As the file says; 0 where nobody knows.
    size: u64,
    name: String,
    is_terminal: bool,
}

impl Source {
    fn open(input: &Input) -> Result<Self, Failure> {
        Ok(match input {
            Input::Stdin => Self {
                input: Box::new(io::stdin().lock()),
                size: 0,
                name: "standard input".into(),
                is_terminal: io::stdin().is_terminal(),
            },
            Input::File(path) => {
                let file = open(path)?;
                let size = file.metadata().map_or(0, |metadata| metadata.len());
                Self { input: Box::new(file), size, name: path.display().to_string(), is_terminal: false }
            }
        })
    }

    /// Everything to upload, in a buffer with room for what encryption adds.
    fn read(self, limit: u64, session: &Session<'_>) -> Result<Vec<u8>, Failure> {
        let Self { input, size, name, is_terminal } = self;
        check_size(size, limit)?;
        if is_terminal {
            session.ui.note("reading from the terminal; Ctrl-D ends it");
        }
        let mut content = Vec::new();
        // What a file says of its size is a wish: /proc says nothing.
        let room = usize::try_from(size).unwrap_or(0).saturating_add(OVERHEAD_BYTES);
        content.try_reserve_exact(room).map_err(|_| Failure::new(Exit::Other, "there is not enough memory"))?;
        let read = input.take(limit + 1).read_to_end(&mut content);
        read.map_err(|error| Failure::usage(format!("cannot read {name}: {error}")))?;
        if content.is_empty() {
            return Err(Failure::usage(format!("{name} is empty; there is nothing to upload")));
        }
        check_size(content.len() as u64, limit)?;
        Ok(content)
    }
}

/// The file, unless it is none. A word that is no file may have been meant as a command.
fn open(path: &Path) -> Result<File, Failure> {
    let shown = path.to_string_lossy();
    let shown = without_fragment(&shown);
    let file = File::open(path).map_err(|error| {
        let failure = match error.kind() {
            io::ErrorKind::NotFound => Failure::usage(format!("there is no file {shown}")),
            _ => Failure::usage(format!("cannot read {shown}: {error}")),
        };
        match shown.split_once("://") {
            Some(("http" | "https", _)) => failure.hint("fpaste get URL downloads"),
            _ if error.kind() == io::ErrorKind::NotFound => failure.hint("fpaste --help lists the commands"),
            _ => failure,
        }
    })?;
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err(
            Failure::usage(format!("{shown} is a directory")).hint(format!("tar c {shown} | fpaste uploads one"))
        );
    }
    Ok(file)
}

/// The largest upload this server takes from us. One that does not say is asked by uploading.
fn allowed_bytes(session: &Session<'_>) -> Result<u64, Failure> {
    let call = Call::new(Method::GET, &session.settings.server, "/", true);
    let info = session.transport.send(&call).and_then(Answer::of_any_server)?;
    let is_known = info.get("authenticated").and_then(serde_json::Value::as_bool) == Some(true);
    let name = if is_known { "max_auth" } else { "max_anon" };
    let limit = info.get("limits").and_then(|limits| limits.get(name)?.as_u64());
    Ok(limit.unwrap_or(MAX_CONTENT_BYTES))
}

fn check_size(size: u64, limit: u64) -> Result<(), Failure> {
    if size <= limit {
        return Ok(());
    }
    Err(Failure::new(Exit::Limit, format!("this is larger than the server allows, {}", human_bytes(limit)))
        .hint("compress or split it; a client certificate may allow more (fpaste info)"))
}

/// Prints the link, then notes the paste, and says what it is; the link.
///
/// # Errors
/// When the link cannot be printed.
pub fn report(
    form: &Form,
    session: &Session<'_>,
    upload: &Upload,
    paste: &Created,
) -> Result<Zeroizing<String>, Failure> {
    let fragment = upload.fragment();
    let link = Zeroizing::new(format!("{}{}", paste.link, fragment.as_str()));
    let outcome = match form {
        Form::Link => print_line(&[&link]),
        Form::Raw => print_line(&[&paste.link, "/raw", &fragment]),
        Form::Id => print_line(&[paste.id.as_str(), &fragment]),
        Form::Json => {
            let mut json = paste.json.clone();
            if let Some(fields) = json.as_object_mut() {
                fields.insert("link".into(), link.as_str().into());
            }
            write_json(&json)
        }
    };
    upload::remember(&upload.wishes, session, paste);
    outcome?;
    if *form != Form::Id {
        say_what_was_made(&upload.wishes, session, paste);
    }
    Ok(link)
}

fn print_line(parts: &[&str]) -> Result<(), Failure> {
    write_stdout(Zeroizing::new(format!("{}\n", parts.concat())).as_bytes())
}

fn say_what_was_made(wishes: &Wishes, session: &Session<'_>, paste: &Created) {
    let lifetime = paste.number("expires_at").saturating_sub(paste.number("created_at"));
    let mut parts = vec![if wishes.encrypt { "encrypted" } else { "not encrypted" }.to_owned()];
    if wishes.burn {
        parts.push("gone after the first read".into());
    }
    parts.push(match wishes.expiry_seconds {
        None => format!("expires {} after it was last read", human_seconds(lifetime)),
        Some(asked) if asked > lifetime => {
            format!("expires in {}, the most this server allows", human_seconds(lifetime))
        }
        Some(_) => format!("expires in {}", human_seconds(lifetime)),
    });
    session.ui.note(&parts.join(", "));
}
