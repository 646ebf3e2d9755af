//! `fpaste create`: read, encrypt, upload, print the link.
//!
//! Invariant: stdout gets the link alone, and gets it before anything else can fail; what was read from stdin is sent
//! or kept. Must never read what the server would not take, send content before it is encrypted, unless that was asked
//! for, nor hold it twice.

use super::command::{Create, Form, Input, PasswordSource};
use super::failure::{Exit, Failure};
use super::text::{human_bytes, human_seconds, without_fragment};
use super::transport::{Answer, Call, MAX_CONTENT_BYTES};
use super::ui::{json_text, write_line};
use super::upload::{Created, Upload, Wishes};
use super::{Session, password, share, unsent};
use crate::e2e::{self, Key, OVERHEAD_BYTES};
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::Path;
use std::sync::Arc;
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
    let password = password::for_new(&options.password, session)?;
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
    let upload = Arc::new(Upload { wishes, key, content, name: options.input.name() });
    let printed = send(options, password, &upload, session)?;
    if options.qr {
        share::draw_qr(session, &printed.link);
    }
    if options.clipboard {
        share::copy(session, &printed.text);
    }
    Ok(())
}

/// Uploads, and prints the link. What cannot be read again is kept if that fails or is interrupted.
fn send(
    options: &Create,
    password: Option<password::Header>,
    upload: &Arc<Upload>,
    session: &Session<'_>,
) -> Result<Printed, Failure> {
    let is_read_once = options.input == Input::Stdin;
    let kept = is_read_once.then(|| session.interrupt.doing(unsent::keeping(upload, session)));
    let sent = upload.send(password, session);
    drop(kept);
    let outcome = sent.and_then(|paste| report(&options.form, session, upload, &paste));
    outcome.map_err(|failure| if is_read_once { unsent::keep(upload, failure, session) } else { failure })
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

/// What was made of a paste for the person.
pub struct Printed {
    /// The whole link.
    pub link: Zeroizing<String>,
    /// What stdout got, without the end of its line.
    pub text: Zeroizing<String>,
}

/// Prints the link, then notes the paste, and says what it is.
///
/// # Errors
/// When the link cannot be printed.
pub fn report(form: &Form, session: &Session<'_>, upload: &Upload, paste: &Created) -> Result<Printed, Failure> {
    let fragment = upload.fragment();
    let link = Zeroizing::new(format!("{}{}", paste.link, fragment.as_str()));
    let text = match form {
        Form::Link => link.clone(),
        Form::Raw => Zeroizing::new([&paste.link, "/raw", fragment.as_str()].concat()),
        Form::Id => Zeroizing::new([paste.id.as_str(), fragment.as_str()].concat()),
        Form::Json => {
            let mut json = paste.json.clone();
            if let Some(fields) = json.as_object_mut() {
                fields.insert("link".into(), link.as_str().into());
            }
            json_text(&json)
        }
    };
    let outcome = write_line(&text);
    upload.remember(session, paste);
    outcome?;
    warn_of_a_cut(&upload.wishes, session, paste);
    if *form != Form::Id {
        say_what_was_made(&upload.wishes, session, paste);
    }
    if *form == Form::Raw && upload.wishes.encrypt {
        session.ui.note("this URL gives ciphertext; fpaste get decrypts it, for other programs use -E");
    }
    Ok(Printed { link, text })
}

/// Whoever asked for more should know even where no notes are shown.
fn warn_of_a_cut(wishes: &Wishes, session: &Session<'_>, paste: &Created) {
    if let Some(asked) = wishes.expiry_seconds.filter(|asked| *asked > paste.lifetime()) {
        let (asked, got) = (human_seconds(asked), human_seconds(paste.lifetime()));
        session.ui.warning(&format!("it expires in {got}, the most this server allows, and not in {asked}"));
    }
}

fn say_what_was_made(wishes: &Wishes, session: &Session<'_>, paste: &Created) {
    let lifetime = human_seconds(paste.lifetime());
    let mut parts = vec![if wishes.encrypt { "encrypted" } else { "not encrypted" }.to_owned()];
    if wishes.burn {
        parts.push("gone after the first read".into());
    }
    parts.push(match wishes.expiry_seconds {
        None => format!("expires {lifetime} after it was last read"),
        Some(_) => format!("expires in {lifetime}"),
    });
    session.ui.note(&parts.join(", "));
}
