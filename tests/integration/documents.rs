//! The documents say what the program does: README, docs/api.md and docs/openapi.json against the tables they come
//! from and against each other.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use flaskpaste::config::settings_markdown;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The README with the settings table rendered anew between its marks.
fn readme_with_settings() -> String {
    let readme = read("README.md");
    let (before, rest) = readme.split_once("<!-- settings -->\n").expect("the mark before the table");
    let (_, after) = rest.split_once("<!-- /settings -->").expect("the mark behind the table");
    format!("{before}<!-- settings -->\n{}<!-- /settings -->{after}", settings_markdown())
}

#[test]
fn the_readme_has_the_settings_of_the_program() {
    assert!(read("README.md") == readme_with_settings(), "run `make docs` to render the settings table anew");
}

#[test]
#[ignore = "writes the README; `make docs` runs it"]
fn render() {
    fs::write(path("README.md"), readme_with_settings()).unwrap();
}

fn openapi() -> serde_json::Value {
    serde_json::from_str(&read("docs/openapi.json")).unwrap()
}

/// "METHOD /path" of every operation that has its own section in docs/api.md.
fn described_routes() -> BTreeSet<String> {
    let mut routes = BTreeSet::new();
    for (path, item) in openapi()["paths"].as_object().unwrap() {
        for method in ["get", "post", "delete"].iter().filter(|method| item.get(**method).is_some()) {
            routes.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    routes
}

/// Every error code that stands in some `enum` of codes, with the statuses it stands under.
fn described_codes() -> BTreeSet<(String, String)> {
    let mut codes = BTreeSet::new();
    let openapi = openapi();
    let responses = openapi["paths"].as_object().unwrap().values().flat_map(|item| {
        item.as_object().unwrap().values().filter_map(|operation| operation.get("responses")?.as_object())
    });
    for (status, response) in responses.flatten() {
        let schema = &response["content"]["application/json"]["schema"]["allOf"][1]["properties"]["code"]["enum"];
        for code in schema.as_array().into_iter().flatten() {
            codes.insert((status.clone(), code.as_str().unwrap().to_owned()));
        }
    }
    codes.insert(("405".into(), "method_not_allowed".into()));
    codes
}

#[test]
fn both_descriptions_have_the_same_routes() {
    let api = read("docs/api.md");
    let methods = ["GET /", "POST /", "DELETE /"];
    let headings: BTreeSet<String> = api
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .filter(|heading| methods.iter().any(|method| heading.starts_with(method)))
        .map(str::to_owned)
        .collect();
    assert_eq!(headings, described_routes());
}

#[test]
fn both_descriptions_have_the_same_codes() {
    let api = read("docs/api.md");
    let rows = api.lines().filter(|line| line.starts_with("| 4") || line.starts_with("| 5"));
    let documented: BTreeSet<(String, String)> = rows
        .map(|row| {
            let mut cells = row.split('|').map(str::trim).skip(1);
            (cells.next().unwrap().to_owned(), cells.next().unwrap().trim_matches('`').to_owned())
        })
        .collect();
    assert_eq!(documented, described_codes());
}
