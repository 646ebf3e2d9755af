//! `fpaste verify`: compares a server's pages, as browsers get them, with those of its version.
//!
//! Invariant: everything a browser would run is compared byte for byte, and so is every page except for the values of
//! [`page`]. The server learns no more than from any visitor, and never the part of a link after the `#`. Must never exit
//! with 0 after a difference or an answer that could not be compared.

use super::Session;
use super::browser::{Browser, Opened, Visitor};
use super::command::Link;
use super::config::Settings;
use super::failure::{Exit, Failure};
use super::link::{ServerUrl, Target, is_loopback};
use super::page::{self, Expected};
use super::page_headers;
use super::transport::{Transport, Visit, not_flaskpaste};
use super::ui::{Ui, write_line};
use super::versions::{FileRow, TABLES, Version};
use crate::crypto::{hex, random, sha256};
use crate::page_values::is_plain;
use crate::text::{clean, without_fragment};
use serde_json::Value;
use std::collections::BTreeMap;
use std::thread;

/// Each visitor opens everything twice.
const TIMES: [&str; 2] = ["first", "second"];
/// The most differences shown; an entirely different server has one for every file.
const MOST_SHOWN: usize = 30;
/// The server's text in a difference is truncated to this.
const MOST_CHARS: usize = 120;

/// What is compared.
struct Comparison<'a> {
    server: ServerUrl,
    version: Version,
    contact: String,
    subjects: Vec<Subject>,
    settings: &'a Settings,
    ui: &'a Ui,
}

/// A page to compare.
struct Subject {
    path: String,
    /// The paste the link names; empty if none.
    id: String,
    /// The kind of page; empty if its answer decides.
    kind: &'static str,
}

/// A path, and what differs there.
type Difference = (String, String);

/// The differences, each with the first visit that found it and the number of visits that did.
#[derive(Default)]
struct Differences(BTreeMap<Difference, (String, usize)>);

impl Differences {
    fn add(&mut self, difference: Difference, visit: impl FnOnce() -> String) {
        self.0.entry(difference).or_insert_with(|| (visit(), 0)).1 += 1;
    }

    fn join(&mut self, others: Self) {
        for (difference, (visit, count)) in others.0 {
            self.0.entry(difference).or_insert((visit, 0)).1 += count;
        }
    }

    /// Prints one line each.
    fn show(&self) -> Result<(), Failure> {
        for ((path, what), (visit, count)) in self.0.iter().take(MOST_SHOWN) {
            let more = if *count > 1 { format!(", and {} more", count - 1) } else { String::new() };
            write_line(&format!("{path}: {what} ({visit}{more})"))?;
        }
        match self.0.len().saturating_sub(MOST_SHOWN) {
            0 => Ok(()),
            more => write_line(&format!("and {more} more differences")),
        }
    }
}

/// Compares, and prints the result.
///
/// # Errors
/// When something differs or cannot be fetched, and when this is not a flaskpaste server, or one without pages or of an
/// unknown version.
pub fn run(of: Option<&Link>, session: &Session<'_>) -> Result<(), Failure> {
    let (server, id) = place(of, session)?;
    if !is_secure(&server) {
        session.ui.warning(&format!("{server} does not use https: anyone on the network path can change the pages"));
    }
    let comparison = Comparison::begin(server, id, session)?;
    let Comparison { server, version, .. } = &comparison;
    session.ui.note(&format!("comparing the pages of {server} with those of flaskpaste {}", version.number));
    let (differences, failure) = comparison.compare();
    if differences.0.is_empty() {
        if let Some(failure) = failure {
            return Err(failure);
        }
        let (pages, files) = (comparison.subjects.len(), version.files.len());
        let languages = version.languages().len();
        write_line(&format!("the pages of {server} are those of flaskpaste {}", version.number))?;
        write_line(&format!(
            "compared: {pages} pages and {files} files, in {languages} languages, with and without a cookie, as two browsers, twice each"
        ))?;
        if comparison.subjects.iter().all(|subject| subject.id.is_empty()) {
            session.ui.note("to compare the page of a paste, too, pass its link");
        }
        return Ok(());
    }
    differences.show()?;
    if let Some(failure) = failure {
        session.ui.warning(&format!("the comparison is incomplete: {}", failure.message));
    }
    Err(Failure::new(Exit::Other, format!("the pages of {server} are not those of flaskpaste {}", version.number))
        .hint("do not open its links or enter secrets in a browser; fpaste get LINK does not use the pages"))
}

/// The server to verify, and the paste if a link was given.
fn place(of: Option<&Link>, session: &Session<'_>) -> Result<(ServerUrl, String), Failure> {
    let configured = &session.settings.server;
    let Some(link) = of else { return Ok((configured.clone(), String::new())) };
    // The key is not needed, so it is not even read.
    let address = without_fragment(link.0.trim());
    match (ServerUrl::parse(address), Target::parse(address)) {
        // With a prefix of hex digits, the server looks like a paste.
        (Ok(server), _) if server == *configured => Ok((server, String::new())),
        (_, Ok(target)) => Ok((target.server.unwrap_or_else(|| configured.clone()), target.id.as_str().to_owned())),
        (Ok(server), _) => Ok((server, String::new())),
        (Err(failure), _) => Err(failure),
    }
}

impl<'a> Comparison<'a> {
    /// Finds the server's version.
    fn begin(server: ServerUrl, id: String, session: &'a Session<'a>) -> Result<Self, Failure> {
        let visitor = Visitor { browser: Browser::Firefox, language: "en", has_cookie: false };
        let visit = session.transport.visit(&server, "/", &visitor.headers(Opened::Page, is_secure(&server)))?;
        let page = recognise(&visit, &server)?;
        let answer = page::answer(&page).ok_or_else(not_flaskpaste)?;
        let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let contact = Some(text("contact")).filter(|contact| is_contact(contact)).unwrap_or_default();
        let subject = |path: String, id: String, kind| Subject { path, id, kind };
        let missing = random::<6>().map_err(|error| Failure::new(Exit::Other, error.to_string()))?;
        let mut subjects = vec![
            subject("/".to_owned(), String::new(), "create"),
            subject("/ask".to_owned(), String::new(), "ask"),
            subject(format!("/{}", hex(&missing)), String::new(), "gone"),
        ];
        if !id.is_empty() {
            subjects.push(subject(format!("/{id}"), id, ""));
        }
        let mut versions: Vec<Version> = TABLES.iter().map(|table| Version::read(table)).collect();
        let expected = Expected { url: &server.to_string(), prefix: server.prefix(), contact: &contact, id: "" };
        let of_page = |version: &Version| has_page(version, &page, &expected, "create", "en");
        // An unknown page is compared with those of the version it claims.
        let says = text("version");
        let at = versions.iter().position(of_page).or_else(|| versions.iter().position(|known| known.number == says));
        let at = at.ok_or_else(|| unknown_version(&says, &versions))?;
        let (settings, ui) = (session.settings, session.ui);
        Ok(Self { server, version: versions.swap_remove(at), contact, subjects, settings, ui })
    }

    /// The differences, and the first error. One thread per language, like several people opening the pages at once.
    fn compare(&self) -> (Differences, Option<Failure>) {
        let (mut differences, mut failure) = (Differences::default(), None);
        thread::scope(|scope| {
            let of = |language| {
                scope.spawn(move || {
                    let transport = Transport::new(self.settings, self.ui);
                    let mut found = Differences::default();
                    let mut visits = Visitor::all([language]).into_iter();
                    let failure = visits.find_map(|visitor| self.visit(visitor, &transport, &mut found).err());
                    (found, failure)
                })
            };
            let threads: Vec<_> = self.version.languages().into_iter().map(of).collect();
            for thread in threads {
                match thread.join() {
                    Ok((found, failed)) => {
                        differences.join(found);
                        failure = failure.take().or(failed);
                    }
                    Err(_) => failure = Some(Failure::new(Exit::Other, "a comparison thread panicked")),
                }
            }
        });
        (differences, failure)
    }

    /// Opens everything as one visitor.
    fn visit(&self, visitor: Visitor, transport: &Transport<'_>, found: &mut Differences) -> Result<(), Failure> {
        let is_secure = is_secure(&self.server);
        let languages = self.version.languages();
        // A browser loads only the words of its language.
        let is_loaded = |file: &&FileRow| {
            let stem = file.name.split('.').next().unwrap_or_default();
            stem == visitor.language || !languages.contains(stem)
        };
        for time in TIMES {
            let mut add = |path: &str, faults: Vec<String>| {
                for fault in faults {
                    let path = format!("{}{path}", self.server.prefix());
                    found.add((path, fault), || format!("{}, {time} time", visitor.describe()));
                }
            };
            for subject in &self.subjects {
                let headers = visitor.headers(Opened::Page, is_secure);
                let visit = transport.visit(&self.server, &subject.path, &headers)?;
                add(&subject.path, self.faults_of_page(subject, &visit, visitor.language)?);
            }
            for file in self.version.files.iter().filter(is_loaded) {
                let path = format!("/static/{}", file.name);
                let headers = visitor.headers(Opened::of(file.name, file.media_type), is_secure);
                let visit = transport.visit(&self.server, &path, &headers)?;
                add(&path, self.faults_of_file(file, &visit)?);
            }
        }
        Ok(())
    }

    fn faults_of_file(&self, file: &FileRow, visit: &Visit) -> Result<Vec<String>, Failure> {
        if visit.status != 200 {
            return other_status(visit).map(|fault| vec![fault]);
        }
        let own = [("content-type", file.media_type)];
        let wanted: Vec<_> = self.version.file_headers.iter().copied().chain(own).collect();
        let mut faults = page_headers::faults(&wanted, &visit.headers);
        match &visit.body {
            None => faults.push(TOO_LARGE.to_owned()),
            Some(body) if hex(&sha256(body)) == file.digest => {}
            Some(_) => faults.push("the content differs".to_owned()),
        }
        Ok(faults)
    }

    fn faults_of_page(&self, subject: &Subject, visit: &Visit, language: &str) -> Result<Vec<String>, Failure> {
        let status = if subject.kind == "gone" { 404 } else { 200 };
        // The paste of a link may be gone.
        if visit.status != status && !(subject.kind.is_empty() && visit.status == 404) {
            return other_status(visit).map(|fault| vec![fault]);
        }
        let mut faults = page_headers::faults(&self.version.page_headers, &visit.headers);
        match &visit.body {
            None => faults.push(TOO_LARGE.to_owned()),
            Some(body) => faults.extend(self.fault_of_markup(subject, visit.status, body, language)),
        }
        Ok(faults)
    }

    /// What differs in the page itself.
    fn fault_of_markup(&self, subject: &Subject, status: u16, body: &[u8], language: &str) -> Option<String> {
        let other = || Some("the text or markup differs".to_owned());
        let Ok(text) = std::str::from_utf8(body) else { return other() };
        let url = self.server.to_string();
        if let Some(named) = page::url(text).filter(|named| *named != url) {
            return Some(format!("names a different server address: {}", shown(&named)));
        }
        let Some(answer) = page::answer(text) else { return other() };
        let kind = match (subject.kind, status) {
            ("", 404) => "gone",
            ("", _) if answer.get("state").is_some() => "asked",
            ("", _) => "paste",
            (kind, _) => kind,
        };
        // The page of a missing paste contains no ID.
        let id = if status == 404 { "" } else { subject.id.as_str() };
        let field = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
        if field("id") != id {
            return Some(format!("the answer is for a different ID: {}", shown(field("id"))));
        }
        if matches!(kind, "create" | "ask") && field("contact") != self.contact {
            let contact = shown(field("contact"));
            return Some(format!("names a different contact than the first page, or an invalid one: {contact}"));
        }
        let expected = Expected { url: &url, prefix: self.server.prefix(), contact: &self.contact, id };
        if has_page(&self.version, text, &expected, kind, language) { None } else { other() }
    }
}

/// The fault of a body that exceeds the limit for pages and their files.
const TOO_LARGE: &str = "larger than any page";

/// Whether a version has this page, with exactly these values.
fn has_page(version: &Version, page: &str, expected: &Expected<'_>, kind: &str, language: &str) -> bool {
    let suffix = if expected.contact.is_empty() { "" } else { "+contact" };
    page::template(page, expected).is_some_and(|template| {
        version.has_page(&format!("{kind}{suffix}"), language, &hex(&sha256(template.as_bytes())))
    })
}

/// Whether browsers treat the server as secure and send it the Sec-Fetch headers.
fn is_secure(server: &ServerUrl) -> bool {
    server.to_string().starts_with("https:") || is_loopback(server.host_name())
}

/// Whether this is a valid contact: a mail or web address without characters special in markup.
fn is_contact(text: &str) -> bool {
    ["mailto:", "https://", "http://"].iter().any(|scheme| text.starts_with(scheme)) && is_plain(text)
}

/// A text from the server, cleaned and truncated for display.
fn shown(text: &str) -> String {
    clean(text).chars().take(MOST_CHARS).collect()
}

/// The first page of a server that identifies itself as flaskpaste.
fn recognise(visit: &Visit, server: &ServerUrl) -> Result<String, Failure> {
    let body = visit.body.as_deref().unwrap_or_default();
    let is_ours = |answer: &Value| answer.get("name").and_then(Value::as_str) == Some("FlaskPaste");
    if let Some(place) = redirect(visit) {
        return Err(Failure::new(Exit::Other, format!("{server} redirects to {place}"))
            .hint("if you trust that address, verify it instead"));
    }
    match visit.status {
        200 => {}
        404 => return Err(not_flaskpaste()),
        status => return Err(Failure::refused(status, body, None)),
    }
    if serde_json::from_slice(body).is_ok_and(|answer| is_ours(&answer)) {
        return Err(Failure::new(Exit::Other, format!("{server} has no pages: they are disabled"))
            .hint("there is nothing to compare; fpaste does not need them"));
    }
    let page = String::from_utf8(body.to_vec()).map_err(|_| not_flaskpaste())?;
    if page::answer(&page).is_some_and(|answer| is_ours(&answer)) { Ok(page) } else { Err(not_flaskpaste()) }
}

/// The target of a redirect.
fn redirect(visit: &Visit) -> Option<String> {
    let location = visit.headers.iter().find(|(name, _)| name == "location")?;
    let place = without_fragment(location.1.as_deref().unwrap_or_default());
    (300..400).contains(&visit.status).then(|| shown(place))
}

/// An unexpected status: a difference, or a failure if the server, or a proxy in front of it, refuses.
fn other_status(visit: &Visit) -> Result<String, Failure> {
    match (redirect(visit), visit.status) {
        (Some(place), status) => Ok(format!("redirects to {place} (status {status})")),
        (None, 401 | 403 | 407 | 429 | 500..) => {
            Err(Failure::refused(visit.status, visit.body.as_deref().unwrap_or_default(), None))
        }
        (None, status) => Ok(format!("status {status}")),
    }
}

fn unknown_version(says: &str, versions: &[Version]) -> Failure {
    let known: Vec<&str> = versions.iter().map(|version| version.number).collect();
    Failure::new(
        Exit::Other,
        format!("the server claims to be flaskpaste {}; this fpaste knows {}", shown(says), known.join(", ")),
    )
    .hint("use an fpaste of the server's version")
}
