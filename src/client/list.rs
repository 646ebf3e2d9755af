//! `fpaste list`: the pastes of this machine that may still exist.
//!
//! Invariant: it contacts servers only with `--status`; otherwise the history is its only source. Must never print a
//! delete token.

use super::failure::{Exit, Failure};
use super::history::Entry;
use super::ui::{write_json, write_stdout};
use super::{Session, status};
use crate::clock::{UnixSeconds, unix_now};
use crate::text::{clean, human_bytes, human_seconds};
use serde_json::Value;
use std::fmt::Write;

/// Longest name shown in full.
const MAX_NAME_CHARS: usize = 40;

/// Shows the history. A server that fails does not fail the list.
///
/// # Errors
/// When stdout cannot be written.
pub fn run(json: bool, with_status: bool, session: &Session<'_>) -> Result<(), Failure> {
    if !session.settings.history {
        session.ui.warning("the history is off (history = off in the configuration)");
    }
    let now = unix_now();
    let mut entries = session.known();
    // The servers know more about ended pastes than this machine.
    entries.retain(|entry| with_status || entry.may_be_live(now));
    let mut failures = Vec::new();
    let mut listed: Vec<(Entry, Option<&str>)> = entries
        .into_iter()
        .map(|entry| {
            let state = with_status.then(|| {
                state_of(&entry, session).unwrap_or_else(|failure| {
                    failures.push(failure);
                    "unknown"
                })
            });
            (entry, state)
        })
        .collect();
    if let Some(first) = failures.first() {
        session.ui.warning(&format!(
            "unknown status of {} of {} pastes: {}",
            failures.len(),
            listed.len(),
            first.message
        ));
    }
    // Keys of asks are kept here longer than servers keep their receipts.
    listed.retain(|(entry, state)| !(entry.is_ask && *state == Some("gone") && !entry.may_be_live(now)));
    if json {
        return write_json(&listed.iter().map(|(entry, state)| without_token(entry, *state)).collect());
    }
    if listed.is_empty() {
        session.ui.note("no pastes in the history");
        return Ok(());
    }
    let mut rows = vec![["ID", "AGE", "EXPIRES", "SIZE", "FLAGS", "HOST", "NAME"].map(str::to_owned).to_vec()];
    rows.extend(listed.iter().map(|(entry, _)| row(entry, now)));
    if with_status {
        let column = std::iter::once("STATE").chain(listed.iter().map(|(_, state)| state.unwrap_or_default()));
        for (row, state) in rows.iter_mut().zip(column) {
            row.insert(1, state.to_owned());
        }
    }
    write_stdout(table(&rows).as_bytes())
}

/// Prints the IDs, newest first, each with the paste's name, for the completion scripts.
///
/// # Errors
/// When stdout cannot be written.
pub fn ids(session: &Session<'_>) -> Result<(), Failure> {
    let now = unix_now();
    let mut text = String::new();
    for entry in session.known().iter().rev().filter(|entry| entry.may_be_live(now)) {
        let age = human_seconds(now.saturating_sub(entry.created_at));
        let _ = writeln!(text, "{}\t{}, {age} old", entry.id, entry.name.as_deref().map_or("a paste".into(), clean));
    }
    write_stdout(text.as_bytes())
}

/// The state of a paste according to its server.
fn state_of(entry: &Entry, session: &Session<'_>) -> Result<&'static str, Failure> {
    match status::ask(entry, session) {
        Ok(answer) => Ok(status::state(&answer, entry.is_ask)),
        Err(failure) if failure.exit == Exit::NotFound => Ok("gone"),
        Err(failure) => {
            session.ui.trace(|| format!("{}: {}", entry.id, failure.message));
            Err(failure)
        }
    }
}

fn without_token(entry: &Entry, state: Option<&str>) -> Value {
    let mut json = entry.json();
    if let Some(fields) = json.as_object_mut() {
        fields.remove("delete_token");
        fields.extend(state.map(|state| ("state".to_owned(), state.into())));
    }
    json
}

/// The flag of a paste without a fixed expiry.
pub const EXTENDED: &str = "extended by reads";

type Row = Vec<String>;

fn row(entry: &Entry, now: UnixSeconds) -> Row {
    let left = entry.expires_at.saturating_sub(now);
    let expires = match (entry.slides, left) {
        _ if entry.ended_at.is_some() => "-".into(),
        (false, _) => human_seconds(left),
        // Each read extends the expiry, and this machine is not told.
        (true, 0) => "unless read".into(),
        (true, _) => format!("≥ {}", human_seconds(left)),
    };
    let reads = entry.reads.filter(|_| !entry.burn).map_or_else(String::new, |reads| format!("{reads} reads"));
    let flags: Vec<&str> = [
        (entry.is_ask, "request"),
        (entry.burn, "burn"),
        (!reads.is_empty(), &reads),
        (entry.password, "password"),
        (!entry.encrypted, "plain"),
        (entry.slides, EXTENDED),
    ]
    .into_iter()
    .filter_map(|(is, name)| is.then_some(name))
    .collect();
    let host = entry.server.to_string();
    vec![
        entry.id.to_string(),
        human_seconds(now.saturating_sub(entry.created_at)),
        expires,
        entry.size.map_or_else(|| "-".into(), human_bytes),
        if flags.is_empty() { "-".into() } else { flags.join(", ") },
        host.split_once("://").map_or(host.as_str(), |(_, host)| host).to_owned(),
        entry.name.as_deref().map_or_else(|| "-".into(), shown_name),
    ]
}

/// A name, truncated if it is long.
pub fn shown_name(name: &str) -> String {
    let name = clean(name);
    match name.char_indices().nth(MAX_NAME_CHARS) {
        Some((end, _)) => format!("{}…", name.get(..end).unwrap_or_default()),
        None => name,
    }
}

/// Formats rows as aligned columns.
pub fn table(rows: &[Row]) -> String {
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let mut text = String::new();
    for row in rows {
        let cell = |(column, cell): (usize, &String)| format!("{cell:<0$}", width(column).unwrap_or(0));
        let cells: Vec<String> = row.iter().enumerate().map(cell).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}
