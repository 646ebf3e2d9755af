//! `fpaste create`: read, encrypt, upload, print the link.
//!
//! Invariant: stdout gets only the link, before anything else can fail; what was read from stdin is either sent or
//! saved. Must never read input that the server has refused, nor send content unencrypted unless asked to.

use super::command::{Create, Form, Format, Input, PasswordSource};
use super::failure::{Exit, Failure};
use super::items::unreadable;
use super::link::ServerUrl;
use super::pack::{Member, Names, Pack};
use super::stream::{self, Described};
use super::transport::{Answer, Call, MAX_CONTENT_BYTES};
use super::ui::{json_text, write_line};
use super::upload::{Created, Gate, Stored, Upload, Wishes, too_large};
use super::{Session, password, share, unsent};
use crate::clock::unix_now;
use crate::e2e::{self, Key, OVERHEAD_BYTES};
use crate::sealed::{MAX_NUMBER, Secrets, plaintext_bytes, sealed_bytes};
use crate::text::human_seconds;
use std::fs::{self, File};
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
    let source = Source::open(options, session)?;
    // Before reading any input: what the server refuses is not read.
    let limit = match allowed_bytes(&session.settings.server, true, session) {
        Ok(limit) => limit,
        Err(failure) if options.input == Input::Stdin => return Err(not_sent(options, source, failure, session)),
        Err(failure) => return Err(failure),
    };
    // Sealed content is not protected by a password of the server.
    let password = match options.format {
        Format::Sealed => None,
        Format::First | Format::Plain => password::for_new(&options.password, session)?,
    };
    let upload = prepare(options, source, limit, session)?;
    let printed = send(options, password, &Arc::new(upload), session)?;
    if options.qr {
        share::draw_qr(session, &printed.link);
    }
    if options.clipboard {
        share::copy(session, &printed.text);
    }
    Ok(())
}

/// Saves piped input for `fpaste resume` if the server could not be asked but may respond later. What a person types is
/// not read: they can type it again.
fn not_sent(options: &Create, source: Source, failure: Failure, session: &Session<'_>) -> Failure {
    let is_piped = matches!(&source, Source::Stream(stream) if !stream.is_terminal);
    if !(is_piped && failure.may_pass) {
        return failure.add_hint("the input was not read");
    }
    session.ui.note(&format!("{}; reading the input to save it", failure.message));
    match prepare(options, source, MAX_CONTENT_BYTES, session) {
        Ok(upload) => unsent::keep(&upload, failure, session),
        Err(why) => failure.hint(format!("the input was not saved: {}", why.message)),
    }
}

/// Reads and encrypts the content.
fn prepare(options: &Create, source: Source, limit: u64, session: &Session<'_>) -> Result<Upload, Failure> {
    if options.format != Format::Sealed {
        return unsealed(options, source, limit, session);
    }
    let key = Key::random().map_err(|error| Failure::new(Exit::Other, error.to_string()))?;
    let expiry = options.expiry_seconds;
    let expires_at = expiry.map(|seconds| unix_now().saturating_add(seconds).min(MAX_NUMBER));
    seal(options, source, key, expires_at, limit, session)
}

/// Seals the source's content and name with this key and records the requested expiry.
///
/// # Errors
/// When the input cannot be read, or is larger than `limit`.
pub fn seal(
    options: &Create,
    source: Source,
    key: Key,
    expires_at: Option<u64>,
    limit: u64,
    session: &Session<'_>,
) -> Result<Upload, Failure> {
    let password = password::text_for_new(&options.password, session)?;
    let secrets = Secrets::new(&key, password.as_ref().map(|password| password.as_str()));
    let wishes = Wishes {
        reads: options.reads,
        expiry_seconds: options.expiry_seconds,
        password: false,
        gate: Some(Gate::of(&secrets)),
        encrypt: true,
        mime_type: None,
    };
    let (content, name, size) = match source {
        Source::Files(members) => {
            let pack = Pack::new(members, options.with_names, options.reads, expires_at)?;
            check_size(sealed_bytes(pack.bytes()), limit, limit, true)?;
            let (name, size) = (pack.name(), pack.content_bytes());
            let bytes = plaintext_bytes(pack.bytes(), limit);
            (Stored::Pack { pack, secrets, bytes }, Some(name), size)
        }
        Source::Stream(mut stream) => {
            let name = stream.name.take().filter(|_| options.with_names);
            let described = Described { shown: &stream.shown, name: name.clone(), reads: options.reads, expires_at };
            stream.say_that_it_waits(session);
            let (content, size) = stream::seal(&mut stream.input, &described, &secrets, limit, session)?;
            (content, name, size)
        }
    };
    Ok(Upload { wishes, key: Some(key), content, name, size: Some(size) })
}

/// Prepares an upload in format 1 or without encryption.
fn unsealed(options: &Create, source: Source, limit: u64, session: &Session<'_>) -> Result<Upload, Failure> {
    let encrypt = options.format == Format::First;
    let name = source.name();
    let (key, content, size) = if encrypt {
        let (key, content, size) = encrypted(source, limit, session)?;
        (Some(key), content, size)
    } else {
        let (content, size) = as_it_is(source, limit, session)?;
        (None, content, size)
    };
    let wishes = Wishes {
        reads: options.reads,
        expiry_seconds: options.expiry_seconds,
        password: options.password != PasswordSource::None,
        gate: None,
        encrypt,
        mime_type: options.mime_type.clone(),
    };
    Ok(Upload { wishes, key, content, name, size: Some(size) })
}

/// Encrypts in format 1. It has a single tag, so all of the content must be in memory, once.
fn encrypted(source: Source, limit: u64, session: &Session<'_>) -> Result<(Key, Stored, u64), Failure> {
    let failed = |error: io::Error| Failure::new(Exit::Other, error.to_string());
    let allowed = limit.saturating_sub(OVERHEAD_BYTES as u64);
    let mut content = match source {
        Source::Files(members) => {
            let item = one(members)?.item;
            check_size(item.size, allowed, limit, true)?;
            in_memory(&mut item.read()?, item.size, "the file", allowed)?
        }
        Source::Stream(mut stream) => {
            stream.say_that_it_waits(session);
            in_memory(&mut stream.input, 0, &stream.shown, allowed)?
        }
    };
    let size = content.len() as u64;
    check_size(size, allowed, limit, true)?;
    let key = Key::random().map_err(failed)?;
    e2e::seal(&key, &mut content).map_err(failed)?;
    Ok((key, Stored::Memory(content), size))
}

/// Reads up to `most` + 1 bytes, to detect an overrun, into a buffer with room for the encryption overhead.
fn in_memory(input: &mut dyn Read, size: u64, shown: &str, most: u64) -> Result<Vec<u8>, Failure> {
    let mut content = Vec::new();
    // Reserved at once, to avoid growth by doubling.
    let room = usize::try_from(size).unwrap_or(usize::MAX).saturating_add(OVERHEAD_BYTES);
    content.try_reserve_exact(room).map_err(|_| Failure::new(Exit::Other, "not enough memory"))?;
    let read = input.take(most.saturating_add(1)).read_to_end(&mut content);
    read.map_err(|error| stream::unreadable(shown, error))?;
    if content.is_empty() { Err(stream::nothing(shown)) } else { Ok(content) }
}

/// Prepares an unencrypted upload: a file is read while it is sent, a stream beforehand.
fn as_it_is(source: Source, limit: u64, session: &Session<'_>) -> Result<(Stored, u64), Failure> {
    match source {
        Source::Files(members) => {
            let item = one(members)?.item;
            check_size(item.size, limit, limit, false)?;
            let size = item.size;
            Ok((Stored::Plain(item), size))
        }
        Source::Stream(mut stream) => {
            stream.say_that_it_waits(session);
            stream::keep(&mut stream.input, &stream.shown, limit, session)
        }
    }
}

/// The single file of a format without a manifest.
fn one(members: Vec<Member>) -> Result<Member, Failure> {
    let [member] = members.try_into().map_err(|_| Failure::usage("this format takes one file"))?;
    Ok(member)
}

/// Uploads and prints the link. Input from stdin is saved if that fails or is interrupted.
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

/// The content to upload, not read yet.
pub enum Source {
    /// Files of known size.
    Files(Vec<Member>),
    /// A stream of unknown size.
    Stream(Stream),
}

impl Source {
    /// Opens the input that the options name.
    ///
    /// # Errors
    /// When a file cannot be read, or cannot be part of a paste.
    pub fn open(options: &Create, session: &Session<'_>) -> Result<Self, Failure> {
        let paths = match &options.input {
            Input::Stdin => return Ok(Self::Stream(Stream::stdin(options.name.clone()))),
            Input::Files(paths) => paths,
        };
        let is_sealed = options.format == Format::Sealed;
        if let [path] = paths.as_slice() {
            let metadata = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
            if metadata.is_dir() && !is_sealed {
                let shown = path.display();
                return Err(Failure::usage(format!("{shown} is a directory"))
                    .hint("folders need the default format: leave out -E and --format 1"));
            }
            // Files in /proc, pipes and devices do not report their size.
            let says_its_size = metadata.is_dir() || metadata.is_file() && metadata.len() > 0;
            if !says_its_size {
                return Stream::file(path, options.name.clone()).map(Self::Stream);
            }
        }
        let names = match &options.name {
            Some(name) => Names::Given(name),
            None if is_sealed && options.with_names => Names::Own,
            None => Names::None,
        };
        Pack::gather(paths, names, session.ui).map(Self::Files)
    }

    /// The local name of the content.
    fn name(&self) -> Option<String> {
        match self {
            Self::Files(members) => members.first().map(|member| member.name.clone()),
            Self::Stream(stream) => stream.name.clone(),
        }
    }
}

/// Input that can be read only once.
pub struct Stream {
    input: Box<dyn Read>,
    /// Its name in the paste.
    name: Option<String>,
    /// Its name in messages.
    shown: String,
    is_terminal: bool,
}

impl Stream {
    fn stdin(name: Option<String>) -> Self {
        let is_terminal = io::stdin().is_terminal();
        Self { input: Box::new(io::stdin().lock()), name, shown: "standard input".into(), is_terminal }
    }

    fn file(path: &Path, name: Option<String>) -> Result<Self, Failure> {
        let file = File::open(path).map_err(|error| unreadable(path, &error))?;
        let metadata = file.metadata().map_err(|error| unreadable(path, &error))?;
        let own = || path.file_name().filter(|_| metadata.is_file()).map(|name| name.to_string_lossy().into_owned());
        let name = name.or_else(own);
        Ok(Self { input: Box::new(file), name, shown: path.display().to_string(), is_terminal: false })
    }

    fn say_that_it_waits(&self, session: &Session<'_>) {
        if self.is_terminal {
            session.ui.note("reading from the terminal; press Ctrl-D to finish");
        }
    }
}

/// The server's upload limit for us; if it reports none, the client's own maximum.
///
/// # Errors
/// When the server cannot be reached.
pub fn allowed_bytes(server: &ServerUrl, is_ours: bool, session: &Session<'_>) -> Result<u64, Failure> {
    let call = Call::new(Method::GET, server, "/", is_ours);
    let info = session.transport.send(&call).and_then(Answer::of_any_server)?;
    let is_known = info.get("authenticated").and_then(serde_json::Value::as_bool) == Some(true);
    let name = if is_known { "max_auth" } else { "max_anon" };
    let limit = info.get("limits").and_then(|limits| limits.get(name)?.as_u64());
    Ok(limit.unwrap_or(MAX_CONTENT_BYTES))
}

/// Refuses content larger than `allowed`; `limit` is that of the upload, for the message.
fn check_size(size: u64, allowed: u64, limit: u64, is_encrypted: bool) -> Result<(), Failure> {
    if size <= allowed { Ok(()) } else { Err(too_large(limit, is_encrypted)) }
}

/// What was printed for a paste.
pub struct Printed {
    /// The whole link.
    pub link: Zeroizing<String>,
    /// The line on stdout, without its line break.
    pub text: Zeroizing<String>,
}

/// Prints the link, records the paste in the history, and describes it on stderr.
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
        session.ui.note(if upload.wishes.gate.is_some() {
            "only fpaste get can read the raw URL of a sealed paste; for other programs use -E"
        } else {
            "this URL returns ciphertext, which fpaste get decrypts; for other programs use -E"
        });
    }
    if let Some(host) = paste.other_host.as_ref().filter(|_| *form != Form::Id) {
        session.ui.note(&format!("the link points to another server: {host}"));
    }
    Ok(Printed { link, text })
}

/// A warning, not a note: it must be seen with `--quiet`, too.
fn warn_of_a_cut(wishes: &Wishes, session: &Session<'_>, paste: &Created) {
    if let Some(asked) = wishes.expiry_seconds.filter(|asked| *asked > paste.lifetime()) {
        let (asked, got) = (human_seconds(asked), human_seconds(paste.lifetime()));
        session.ui.warning(&format!("it expires in {got}, the maximum of this server, instead of {asked}"));
    }
}

fn say_what_was_made(wishes: &Wishes, session: &Session<'_>, paste: &Created) {
    let lifetime = human_seconds(paste.lifetime());
    let mut parts = vec![if wishes.encrypt { "encrypted" } else { "not encrypted" }.to_owned()];
    if wishes.has_password() {
        parts.push("with a password".into());
    }
    let reads = match wishes.reads {
        Some(1) => Some("deleted after the first read".to_owned()),
        Some(reads) => Some(format!("deleted after {reads} reads")),
        None => None,
    };
    parts.push(match (reads, wishes.expiry_seconds) {
        (None, None) => format!("expires {lifetime} after the last read"),
        (None, Some(_)) => format!("expires in {lifetime}"),
        (Some(reads), None) => format!("{reads}, or after {lifetime} without one"),
        (Some(reads), Some(_)) => format!("{reads}, expires in {lifetime}"),
    });
    session.ui.note(&parts.join(", "));
}
