//! `flaskpaste show`: a paste's metadata, and whether a reported key matches it.
//!
//! Invariant: nothing is decrypted without `--decrypt`, which is recorded in the operators' log; this neither counts as
//! a read nor extends the expiry. A terminal gets no control characters. Must never print a key or a password.

use super::arguments::Show;
use super::operators::{flags, locate};
use super::{Outcome, human_bytes, print};
use flaskpaste::clock::{rfc3339, unix_now};
use flaskpaste::crypto;
use flaskpaste::e2e::{self, Key};
use flaskpaste::mime;
use flaskpaste::operator_log;
use flaskpaste::paste::Expiry;
use flaskpaste::sealed::{Damage, MAX_MANIFEST_BYTES, Manifest, Opener, Secrets};
use flaskpaste::store::{Found, Paste, Protection, Status, Store, StoreError};
use flaskpaste::text;
use flaskpaste::user;
use std::error::Error;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;
use zeroize::Zeroizing;

type Failure = Box<dyn Error + Send + Sync>;

/// The size limit of a file with a key or a password.
const MAX_SECRET_BYTES: u64 = 64 << 10;
/// The size limit of content in format 1, which is decrypted in memory.
const MAX_FIRST_EDITION_BYTES: u64 = 256 << 20;
const NEEDS_PASSWORD: &str = "the paste also has a password: put it into a file for --password-from FILE";

/// `show`
pub fn show(store: &Store, request: &Show) -> Outcome {
    let found = locate(store, &request.id)?;
    let description = describe(store, &found)?;
    let Some(file) = &request.key_from else { return print(&description) };
    let Some(paste) = &found.paste else {
        return Err(format!("{} is a handle: checking a key or decrypting needs the ID", request.id).into());
    };
    let key = read_key(file)?;
    let password = request.password_from.as_deref().map(first_line).transpose()?;
    let verdict = check(store, paste, &key)?;
    let line = format!("{:<12}{}\n", "key", verdict.words());
    if !request.decrypt {
        return print(&format!("{description}{line}"));
    }
    // stdout is for the content only.
    io::stderr().write_all(format!("{description}{line}").as_bytes())?;
    if verdict == Verdict::Wrong {
        return Err("nothing was decrypted: the key does not match this paste".into());
    }
    let note = || store.note_decryption(&found, &user::operator(), unix_now());
    decrypt(store, paste, &key, password.as_ref().map(|text| text.as_str()), request.file, note)
}

/// The metadata of a paste, one line per field.
fn describe(store: &Store, found: &Found) -> Result<String, Failure> {
    let meta = &found.meta;
    let rounded = (meta.size >= 1024).then(|| human_bytes(meta.size));
    let mut lines = vec![
        ("handle", found.handle.to_string()),
        ("size", format!("{} bytes{}", meta.size, rounded.map(|text| format!(" ({text})")).unwrap_or_default())),
        ("created", rfc3339(meta.created_at)),
    ];
    let moves = if matches!(meta.expiry, Expiry::Sliding(_)) { ", unless read before" } else { "" };
    lines.push(("expires", format!("{}{moves}", rfc3339(meta.expiry.at()))));
    let state = store.state(found, unix_now())?;
    if let Some(Status::Asked { .. }) = state {
        lines.push(("state", "a request without an answer".into()));
    }
    if let Some(Status::Alive { reads, reads_left, .. }) = state {
        let last = reads.last_at.map(|at| format!(", last {}", rfc3339(at))).unwrap_or_default();
        let left = reads_left.map(|left| format!("; {left} left")).unwrap_or_default();
        lines.push(("reads", format!("{}{last}{left} (up to 30 s behind)", reads.count)));
    }
    let flags = flags(meta, false);
    lines.push(("flags", if flags.is_empty() { "none".into() } else { flags.join(", ") }));
    lines.push(("owner", store.maker(found)?.unwrap_or_else(|| "nobody".into())));
    match &found.paste {
        Some(paste) => {
            lines.push(("type", paste.mime_type.clone()));
            lines.extend(paste.filename.clone().map(|name| ("file", text::clean(&name))));
        }
        None => lines.push(("type", "readable only with the ID".into())),
    }
    Ok(lines.iter().fold(String::new(), |text, (name, value)| text + &format!("{name:<12}{value}\n")))
}

/// Whether a key matches a paste.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Right,
    Wrong,
    /// Known only with the password, or by decrypting.
    Unknown,
}

impl Verdict {
    fn words(self) -> &'static str {
        match self {
            Self::Right => "matches this paste",
            Self::Wrong => "does NOT match this paste",
            Self::Unknown => "cannot be checked without decrypting (try --decrypt)",
        }
    }
}

/// Checks the key against the stored proof or commitment, without decrypting.
fn check(store: &Store, paste: &Paste, key: &Key) -> Result<Verdict, Failure> {
    let secrets = Secrets::new(key, None);
    if let Protection::Gate { link_proof, .. } = &paste.meta.protection {
        let is_right = crypto::equal(&crypto::sha256(secrets.link_proof().as_slice()), link_proof);
        return Ok(if is_right { Verdict::Right } else { Verdict::Wrong });
    }
    // Without a gate, a sealed upload starts with a commitment to its key.
    match Opener::begin(&secrets, &mut store.content(paste, 0)) {
        Ok(_) => Ok(Verdict::Right),
        Err(Damage::WrongKey) => Ok(Verdict::Wrong),
        Err(Damage::NotSealed | Damage::Damaged) => Ok(Verdict::Unknown),
        Err(Damage::Io(error)) => Err(error.into()),
    }
}

/// Decrypts a paste to stdout; `note` is called first, after the key and the password were verified.
fn decrypt(
    store: &Store,
    paste: &Paste,
    key: &Key,
    password: Option<&str>,
    file: Option<usize>,
    note: impl FnOnce() -> Result<(), StoreError>,
) -> Outcome {
    let mut upload = store.content(paste, 0);
    let mut opener = match Opener::begin(&Secrets::new(key, password), &mut upload) {
        Ok(opener) => opener,
        Err(Damage::NotSealed) => return decrypt_first_edition(store, paste, key, note),
        Err(Damage::WrongKey) if password.is_none() && paste.meta.has_password() => return Err(NEEDS_PASSWORD.into()),
        Err(damage) => return Err(words(&damage)),
    };
    note()?;
    let mut plain = Vec::new();
    let mut next = || opener.next_chunk(&mut upload, paste.meta.size).map_err(|damage| words(&damage));
    let manifest = loop {
        let chunk = next()?.ok_or("the paste is damaged: its manifest is incomplete")?;
        plain.extend_from_slice(&chunk);
        if let Some(length) = plain.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes) as usize) {
            if length > MAX_MANIFEST_BYTES {
                return Err("the paste is damaged: its manifest is too long".into());
            }
            if let Some(bytes) = plain.get(4..4 + length) {
                let manifest = Manifest::parse(bytes).map_err(|_| "the paste is damaged: its manifest is invalid")?;
                plain.drain(..4 + length);
                break manifest;
            }
        }
    };
    let (number, mut skip) = choose(&manifest, file)?;
    let mut left = manifest.files.get(number).map_or(0, |file| file.size);
    let mut out = Output::new();
    while left > 0 {
        if plain.is_empty() {
            plain = next()?.ok_or("the paste is damaged: it ends before the file does")?;
        }
        let passed = usize::try_from(skip).map_or(plain.len(), |skip| skip.min(plain.len()));
        plain.drain(..passed);
        skip -= passed as u64;
        let length = usize::try_from(left).map_or(plain.len(), |left| left.min(plain.len()));
        out.write(plain.get(..length).unwrap_or_default())?;
        plain.drain(..length);
        left -= length as u64;
    }
    Ok(())
}

/// Lists the files on stderr. Returns the number of the chosen one and its offset after the manifest.
fn choose(manifest: &Manifest, file: Option<usize>) -> Result<(usize, u64), Failure> {
    for (number, file) in (1..).zip(&manifest.files) {
        let name = file.name.as_deref().map_or_else(|| "(no name)".into(), text::clean);
        let kind = file.mime_type.as_deref().map(|kind| format!(", {}", text::clean(kind))).unwrap_or_default();
        writeln!(io::stderr(), "{:<12}{number}: {name}{kind}, {}", "file", human_bytes(file.size))?;
    }
    let number = match (file, manifest.files.len()) {
        (Some(number), count) if number <= count => number - 1,
        (None, 1) => 0,
        (Some(number), count) => return Err(format!("no file {number}: the paste has {count}").into()),
        (None, _) => return Err("the paste has several files: choose one with --file N".into()),
    };
    Ok((number, manifest.files.iter().take(number).map(|file| file.size).sum()))
}

fn decrypt_first_edition(
    store: &Store,
    paste: &Paste,
    key: &Key,
    note: impl FnOnce() -> Result<(), StoreError>,
) -> Outcome {
    if paste.meta.size > MAX_FIRST_EDITION_BYTES {
        return Err("the paste has format 1 and is too large to be decrypted in memory".into());
    }
    let mut upload = Vec::new();
    store.content(paste, 0).read_to_end(&mut upload)?;
    e2e::open(key, &mut upload)
        .map_err(|_| "nothing was decrypted: the key does not match this paste, or the paste is not encrypted")?;
    note()?;
    Output::new().write(&upload)
}

fn words(damage: &Damage) -> Failure {
    match damage {
        Damage::NotSealed => "the paste is not sealed".into(),
        Damage::WrongKey => "nothing was decrypted: wrong key or password".into(),
        Damage::Damaged => "the paste is damaged: the output is incomplete".into(),
        Damage::Io(error) => format!("cannot read the paste: {error}").into(),
    }
}

/// The output: verbatim, or without control characters on a terminal.
struct Output {
    is_terminal: bool,
    is_begun: bool,
}

impl Output {
    fn new() -> Self {
        Self { is_terminal: io::stdout().is_terminal(), is_begun: false }
    }

    fn write(&mut self, bytes: &[u8]) -> Outcome {
        if bytes.is_empty() {
            return Ok(());
        }
        if !self.is_terminal {
            return Ok(io::stdout().write_all(bytes)?);
        }
        let is_first = !std::mem::replace(&mut self.is_begun, true);
        if is_first
            && (bytes.contains(&0)
                || mime::detect(bytes, std::str::from_utf8(bytes).is_ok()) == "application/octet-stream")
        {
            return Err("the file is binary: redirect the output to a file or a pipe".into());
        }
        print(&shown(&String::from_utf8_lossy(bytes)))
    }
}

/// Replaces all control characters, including colours: the author may be malicious.
fn shown(content: &str) -> String {
    let is_shown = |c| matches!(c, '\n' | '\t') || text::belongs_to_words(c) || !text::is_unsafe(c);
    content.chars().map(|c| if is_shown(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

/// The key in a file, which may be a complete report: the first word that is a key or a link with one.
fn read_key(path: &Path) -> Result<Key, Failure> {
    let text = read_secret(path)?;
    let refusal = || format!("no key found in {}: expected a link or the 43 characters after its #", path.display());
    Ok(text.split_whitespace().find_map(key_in).ok_or_else(refusal)?)
}

/// The key in a word, ignoring quotes or brackets around it.
fn key_in(word: &str) -> Option<Key> {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let fragment = word.rsplit('#').next().unwrap_or_default().trim_start_matches(|c| !is_letter(c));
    Key::from_fragment(fragment.split(|c| !is_letter(c)).next().unwrap_or_default())
}

/// The first line of a file without its line break: a password may end with a space.
fn first_line(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let text = read_secret(path)?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        operator_log::message(&format!("the first line of {} is empty", path.display()));
    }
    Ok(Zeroizing::new(line.to_owned()))
}

/// A file, or standard input for `-`.
fn read_secret(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let failed = |error: io::Error| format!("cannot read {}: {error}", path.display());
    let mut text = Zeroizing::new(String::new());
    if path.as_os_str() == "-" {
        io::stdin().lock().take(MAX_SECRET_BYTES).read_to_string(&mut text).map_err(failed)?;
    } else {
        File::open(path).map_err(failed)?.take(MAX_SECRET_BYTES).read_to_string(&mut text).map_err(failed)?;
    }
    Ok(text)
}
