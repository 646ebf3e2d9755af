//! fpaste's table of known pages, rendered from the server's responses. The table of a released version is never
//! overwritten.

use flaskpaste::client::page::{Expected, template};
use flaskpaste::crypto::hex;
use flaskpaste::language::LANGUAGES;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::Server;
use crate::response::Response;

/// The headers of a page that are in the table; those of a file are a subset.
const HEADERS: [&str; 9] = [
    "Content-Type",
    "Content-Security-Policy",
    "Cross-Origin-Opener-Policy",
    "Cross-Origin-Resource-Policy",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "Referrer-Policy",
    "Permissions-Policy",
    "Cache-Control",
];

fn path(root: &Path) -> PathBuf {
    root.join("src/client/versions").join(env!("CARGO_PKG_VERSION"))
}

fn digest(bytes: impl AsRef<[u8]>) -> String {
    hex(&Sha256::digest(bytes.as_ref()))
}

/// Everything between a marker and the next quote in a text.
fn behind<'a>(text: &'a str, mark: &'a str) -> impl Iterator<Item = String> + 'a {
    text.split(mark).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned())
}

/// The header lines of a response except those named.
fn headers(row: &str, response: &Response, but: &[&str]) -> String {
    let lines = HEADERS
        .iter()
        .filter(|name| !but.contains(name))
        .filter_map(|name| Some(format!("{row} {}: {}\n", name.to_lowercase(), response.get(name)?)));
    lines.collect()
}

/// The table of the running version.
fn table() -> String {
    let (mut pages, mut names, mut page_headers) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let plain = Server::start(&[]);
    for (suffix, contact) in [("", ""), ("+contact", "mailto:abuse@example.org")] {
        let server = Server::start(&[("FLASKPASTE_CONTACT", contact)]);
        let paste = server.paste("a text").id;
        let hash = "ab".repeat(32);
        let ask = server.request("POST", "/ask").header("X-Read-Proof-SHA256", &hash);
        let ask = ask.header("X-Answer-Proof-SHA256", &hash).send().expect_status(201).json()["id"].clone();
        let ask = ask.as_str().unwrap();
        let (paste_path, ask_path) = (format!("/{paste}"), format!("/{ask}"));
        let kinds = [
            ("create", "/", ""),
            ("ask", "/ask", ""),
            ("paste", &paste_path, &paste),
            ("asked", &ask_path, ask),
            ("gone", "/0123456789ab", ""),
        ];
        for (kind, path, id) in kinds {
            for language in &LANGUAGES {
                let request = server.request("GET", path).header("Accept", "text/html");
                let response = request.header("Cookie", format!("flaskpaste_language={}", language.tag)).send();
                let page = response.text();
                let url = format!("http://{}", server.authority());
                let expected = Expected { url: &url, prefix: "", contact, id };
                let template = template(&page, &expected).unwrap_or_else(|| panic!("{page}"));
                assert!(!template.contains(&server.authority()) && !template.contains("\"/"));
                pages.insert(format!("page {} {kind}{suffix} {}\n", digest(template), language.tag));
                page_headers.insert(headers("page-header", &response, &[]));
                names.extend(behind(&page, "\"/static/"));
            }
        }
    }
    assert_eq!(page_headers.len(), 1, "all pages have the same headers");
    let (mut files, mut file_headers) = (BTreeMap::new(), BTreeSet::new());
    while let Some(name) = names.pop_first() {
        let response = plain.get(&format!("/static/{name}")).expect_status(200);
        names.extend(behind(&response.text(), "\"./").filter(|name| !files.contains_key(name)));
        file_headers.insert(headers("file-header", &response, &["Content-Type"]));
        let media_type = response.get("Content-Type").unwrap();
        let line = format!("file {} {name} {media_type}\n", digest(&response.body));
        files.insert(name, line);
    }
    assert_eq!(file_headers.len(), 1, "all files have the same headers");
    let mut table = String::from("# The pages of this version, for fpaste verify. Rendered by `make docs`.\n");
    let _ = writeln!(table, "version {}", env!("CARGO_PKG_VERSION"));
    table.extend(page_headers.into_iter().chain(file_headers));
    let mut pages: Vec<String> = pages.into_iter().collect();
    pages.sort_by_key(|line| line.split_once(' ').and_then(|(_, rest)| rest.split_once(' ')).unwrap().1.to_owned());
    table.extend(pages.into_iter().chain(files.into_values()));
    table
}

/// Writes the table of the version in Cargo.toml, unless it is released and its table would change.
///
/// # Errors
/// Why it was not written, and what to do.
pub fn write(root: &Path, table: &str) -> Result<(), String> {
    if fs::read_to_string(path(root)).is_ok_and(|current| current == table) {
        return Ok(());
    }
    let output = Command::new("sh").arg(root.join("contrib/dist/source.sh")).arg("released").output().unwrap();
    let version = env!("CARGO_PKG_VERSION");
    match output.stdout.as_slice() {
        b"no\n" => fs::write(path(root), table).map_err(|error| error.to_string()),
        b"yes\n" => Err(format!(
            "version {version} is released and its table must not change; set the next version in Cargo.toml first \
             (docs/trust.md, A new version)"
        )),
        _ => Err(format!(
            "cannot tell whether version {version} is released: {}; run `make docs` in a git clone with its tags",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
    }
}

#[test]
fn fpaste_knows_the_pages_of_its_version() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert!(fs::read_to_string(path(root)).unwrap_or_default() == table(), "run `make docs` to render the table again");
}

#[test]
#[ignore = "writes the table; `make docs` runs it"]
fn render() {
    write(Path::new(env!("CARGO_MANIFEST_DIR")), &table()).unwrap();
}
