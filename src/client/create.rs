//! `fpaste create`: read, encrypt, solve, upload, print the link.
//!
//! Invariant: stdout gets the link alone, and gets it before anything else can fail. Must never send content before
//! it is encrypted, unless that was asked for, nor hold it twice.

use super::command::{Create, Form, Input, PasswordSource};
use super::failure::{Exit, Failure};
use super::history::Entry;
use super::link::{ServerUrl, Target};
use super::text::{clean, human_bytes, human_seconds};
use super::transport::{Answer, Call, MAX_CONTENT_BYTES};
use super::ui::{write_json, write_stdout};
use super::{Session, password, solve};
use crate::clock::unix_now;
use crate::e2e::{self, Key, OVERHEAD_BYTES};
use crate::paste::Id;
use serde_json::Value;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use ureq::http::Method;
use zeroize::Zeroizing;

/// Input larger than this is held against the server's limit before the rest is read.
const UNASKED_BYTES: u64 = 1 << 20;

/// Creates a paste.
///
/// # Errors
/// Unreadable input, and every refusal.
pub fn run(options: &Create, session: &Session<'_>) -> Result<(), Failure> {
    let mut content = read_input(options, session)?;
    let mut headers = vec![("Accept", text("application/json"))];
    headers.extend(password::header(&options.password, session)?);
    let key = if options.encrypt {
        let key = Key::random().map_err(|error| Failure::new(Exit::Other, error.to_string()))?;
        e2e::seal(&key, &mut content).map_err(|error| Failure::new(Exit::Other, error.to_string()))?;
        Some(key)
    } else {
        None
    };
    headers.push(("Content-Type", text(options.mime_type.as_deref().unwrap_or("application/octet-stream"))));
    if options.burn {
        headers.push(("X-Burn-After-Read", text("true")));
    }
    if let Some(seconds) = options.expiry_seconds {
        headers.push(("X-Expiry", text(&seconds.to_string())));
    }
    headers.extend(proof_of_work(session)?);
    let server = &session.settings.server;
    let call = Call { headers, body: &content, ..Call::new(Method::POST, server, "/", true) };
    let answer = session.transport.send(&call)?.expect(201)?;
    let paste = Created::read(&answer, server)?;
    withdraw_unless_as_asked(options, session, &paste)?;
    report(options, session, &paste, key.as_ref())
}

fn text(value: &str) -> Zeroizing<String> {
    Zeroizing::new(value.to_owned())
}

/// Everything to upload, in a buffer with room for what encryption adds.
fn read_input(options: &Create, session: &Session<'_>) -> Result<Vec<u8>, Failure> {
    let (input, size, name): (Box<dyn Read>, u64, String) = match &options.input {
        Input::Stdin => {
            if io::stdin().is_terminal() {
                session.ui.note("reading from the terminal; Ctrl-D ends it");
            }
            (Box::new(io::stdin().lock()), 0, "standard input".into())
        }
        Input::File(path) => {
            let file = open(path)?;
            let size = file.metadata().map_or(0, |metadata| metadata.len());
            (Box::new(file), size, path.display().to_string())
        }
    };
    let unreadable = |error: io::Error| Failure::usage(format!("cannot read {name}: {error}"));
    let mut content = Vec::new();
    // What a file says of its size is a wish: /proc says nothing.
    let room = usize::try_from(size).unwrap_or(0).saturating_add(OVERHEAD_BYTES);
    let mut limit = MAX_CONTENT_BYTES;
    if size > UNASKED_BYTES {
        limit = allowed_bytes(session);
        check_size(size, limit)?;
    }
    content.try_reserve_exact(room).map_err(|_| Failure::new(Exit::Other, "there is not enough memory"))?;
    let mut input = input.take(UNASKED_BYTES + 1);
    input.read_to_end(&mut content).map_err(unreadable)?;
    if content.len() as u64 > UNASKED_BYTES {
        if size <= UNASKED_BYTES {
            limit = allowed_bytes(session);
        }
        input.set_limit((limit + 1).saturating_sub(content.len() as u64));
        input.read_to_end(&mut content).map_err(unreadable)?;
        check_size(content.len() as u64, limit)?;
    }
    if content.is_empty() {
        return Err(Failure::usage(format!("{name} is empty; there is nothing to upload")));
    }
    Ok(content)
}

/// The file, unless it is none. A word that is no file may have been meant as a command.
fn open(path: &Path) -> Result<File, Failure> {
    let shown = path.to_string_lossy();
    let shown = shown.split('#').next().unwrap_or_default();
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

/// The largest content this server takes from us. One that does not say is asked by uploading.
fn allowed_bytes(session: &Session<'_>) -> u64 {
    let call = Call::new(Method::GET, &session.settings.server, "/", true);
    let info = session.transport.send(&call).and_then(Answer::of_any_server);
    let limit = info.ok().and_then(|info| {
        let name = if info.get("authenticated")?.as_bool()? { "max_auth" } else { "max_anon" };
        info.get("limits")?.get(name)?.as_u64()
    });
    limit.unwrap_or(MAX_CONTENT_BYTES)
}

fn check_size(size: u64, limit: u64) -> Result<(), Failure> {
    // Encryption adds a little, and the server counts what is uploaded.
    if size <= limit {
        return Ok(());
    }
    Err(Failure::new(Exit::Limit, format!("this is larger than the server allows, {}", human_bytes(limit)))
        .hint("compress or split it; a client certificate may allow more (fpaste info)"))
}

/// The headers that pay for a paste, if the server asks for a payment.
fn proof_of_work(session: &Session<'_>) -> Result<Vec<password::Header>, Failure> {
    let call = Call::new(Method::GET, &session.settings.server, "/challenge", true);
    let challenge = session.transport.send(&call)?.of_any_server()?;
    if challenge.get("enabled").and_then(Value::as_bool) != Some(true) {
        return Ok(Vec::new());
    }
    let field = |name: &str| challenge.get(name).and_then(Value::as_str);
    let (Some(nonce), Some(token), Some(difficulty)) =
        (field("nonce"), field("token"), challenge.get("difficulty").and_then(Value::as_u64))
    else {
        return Err(Failure::new(Exit::Other, "the server's proof-of-work challenge is incomplete"));
    };
    if field("algorithm").is_some_and(|algorithm| algorithm != "sha256") {
        return Err(Failure::new(Exit::Other, "the server asks for a proof of work this fpaste does not know")
            .hint("a newer fpaste may: curl SERVER/client > fpaste"));
    }
    let solution = solve::solve(nonce, difficulty, &mut session.ui.meter("proof of work", None))?;
    Ok(vec![("X-PoW-Token", text(token)), ("X-PoW-Solution", text(&solution))])
}

/// A new paste, as the server describes it.
struct Created {
    id: Id,
    /// Without a key.
    link: String,
    json: Value,
}

impl Created {
    fn read(answer: &Answer, server: &ServerUrl) -> Result<Self, Failure> {
        let json = answer.json()?;
        let field = |name: &str| json.get(name).and_then(Value::as_str);
        let id: Id = field("id").and_then(|id| id.parse().ok()).ok_or_else(|| {
            Failure::new(Exit::Other, "the server answered 201 without an ID: nobody can tell where the paste is")
        })?;
        // The server's own address when it knows it; else the one it was reached by.
        let absolute = field("url").filter(|url| url.contains("://")).and_then(|url| Target::parse(url).ok());
        let base = absolute.and_then(|target| target.server.filter(|_| target.id == id));
        let link = base.as_ref().unwrap_or(server).join(&format!("/{id}"));
        Ok(Self { id, link, json })
    }

    fn number(&self, name: &str) -> u64 {
        self.json.get(name).and_then(Value::as_u64).unwrap_or(0)
    }
}

/// Deletes a paste again that lacks what was asked for: a proxy may drop headers, an old server not know them, and a
/// link that is thought to burn must not be handed out.
fn withdraw_unless_as_asked(options: &Create, session: &Session<'_>, paste: &Created) -> Result<(), Failure> {
    let is = |name: &str| paste.json.get(name).and_then(Value::as_bool) == Some(true);
    let missing: Vec<&str> = [
        (options.burn && !is("burn_after_read"), "burning after the first read"),
        (options.password != PasswordSource::None && !is("password_protected"), "the password"),
        (options.expiry_seconds.is_some() && is("sliding"), "the fixed expiry"),
    ]
    .into_iter()
    .filter_map(|(is_missing, name)| is_missing.then_some(name))
    .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let token = paste.json.get("delete_token").and_then(Value::as_str).unwrap_or_default();
    let mut call = Call::new(Method::DELETE, &session.settings.server, format!("/{}", paste.id), true);
    call.headers.push(("X-Delete-Token", text(token)));
    let outcome = match session.transport.send(&call).and_then(|answer| answer.expect(200)) {
        Ok(_) => "the paste was deleted again".to_owned(),
        Err(failure) => {
            remember(options, session, paste);
            format!("the paste could not be deleted ({}), fpaste delete {} tries again", failure.message, paste.id)
        }
    };
    Err(Failure::new(Exit::Other, format!("the server did not take {}; {outcome}", missing.join(" and ")))
        .hint("a proxy may drop the headers X-Burn-After-Read, X-Expiry and X-Paste-Password; ask who runs it"))
}

/// Prints the link, then does everything that may fail without costing it.
fn report(options: &Create, session: &Session<'_>, paste: &Created, key: Option<&Key>) -> Result<(), Failure> {
    let fragment = key.map_or_else(Zeroizing::default, |key| Zeroizing::new(format!("#{}", key.fragment().as_str())));
    let link = Zeroizing::new(format!("{}{}", paste.link, fragment.as_str()));
    let outcome = match options.form {
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
    remember(options, session, paste);
    outcome?;
    if options.qr {
        draw_qr(session, &link);
    }
    if options.clipboard {
        copy(session, &link);
    }
    if options.form != Form::Id {
        say_what_was_made(options, session, paste);
    }
    Ok(())
}

fn print_line(parts: &[&str]) -> Result<(), Failure> {
    write_stdout(Zeroizing::new(format!("{}\n", parts.concat())).as_bytes())
}

fn remember(options: &Create, session: &Session<'_>, paste: &Created) {
    let Some(token) = paste.json.get("delete_token").and_then(Value::as_str) else { return };
    let entry = Entry {
        id: paste.id.clone(),
        server: session.settings.server.clone(),
        url: paste.link.clone(),
        delete_token: clean(token),
        created_at: paste.number("created_at"),
        expires_at: paste.number("expires_at"),
        slides: options.expiry_seconds.is_none(),
        burn: options.burn,
        password: paste.json.get("password_protected").is_some(),
        encrypted: options.encrypt,
    };
    if let Err(error) = session.history.add(&entry, unix_now()) {
        session.ui.warning(&format!(
            "the paste could not be noted in the history, so this machine cannot delete it: {error}"
        ));
    }
}

fn say_what_was_made(options: &Create, session: &Session<'_>, paste: &Created) {
    let lifetime = paste.number("expires_at").saturating_sub(paste.number("created_at"));
    let mut parts = vec![if options.encrypt { "encrypted" } else { "not encrypted" }.to_owned()];
    if options.burn {
        parts.push("gone after the first read".into());
    }
    parts.push(match options.expiry_seconds {
        None => format!("expires {} after it was last read", human_seconds(lifetime)),
        Some(asked) if asked > lifetime => {
            format!("expires in {}, the most this server allows", human_seconds(lifetime))
        }
        Some(_) => format!("expires in {}", human_seconds(lifetime)),
    });
    session.ui.note(&parts.join(", "));
}

fn draw_qr(session: &Session<'_>, link: &str) {
    use qrcode::render::unicode::Dense1x2;
    match qrcode::QrCode::new(link) {
        // Light on dark terminals: the module colours are turned round, and the margin is drawn.
        Ok(code) => {
            let drawn = code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
            session.ui.print(&format!("{drawn}\n"));
        }
        Err(error) => session.ui.warning(&format!("no QR code: {error}")),
    }
}

/// Programs that take the clipboard's text on stdin, and the variable that tells whether they can work.
const CLIPBOARDS: &[(&str, &str, &[&str])] = &[
    ("WAYLAND_DISPLAY", "wl-copy", &[]),
    ("DISPLAY", "xclip", &["-selection", "clipboard"]),
    ("DISPLAY", "xsel", &["--clipboard", "--input"]),
    ("TMUX", "tmux", &["load-buffer", "-w", "-"]),
];

/// Copies the link. It goes through a pipe: an argument could be seen by everybody on the machine.
fn copy(session: &Session<'_>, link: &str) {
    let usable = CLIPBOARDS.iter().filter(|(variable, ..)| std::env::var_os(variable).is_some());
    for (_, program, arguments) in usable {
        let command = Command::new(program)
            .args(*arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut child) = command else { continue };
        let written = child.stdin.take().is_some_and(|mut stdin| stdin.write_all(link.as_bytes()).is_ok());
        if written && child.wait().is_ok_and(|status| status.success()) {
            return session.ui.note("the link is in the clipboard");
        }
    }
    session.ui.warning("the link could not be copied: none of wl-copy, xclip, xsel and tmux worked");
}
