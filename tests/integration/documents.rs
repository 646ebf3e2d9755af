//! The documentation matches the program: README, docs/api.md and docs/openapi.json against the tables they come from
//! and against each other, and the man pages.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use flaskpaste::config::{Config, settings_env, settings_man, settings_markdown};
use serde_json::Value;

use crate::harness::{Folder, Server, run};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// What is rendered from the table of settings: the file, the surrounding lines, and the text between.
fn rendered() -> [(&'static str, &'static str, &'static str, String); 3] {
    [
        ("docs/admin.md", "<!-- settings -->\n", "<!-- /settings -->\n", settings_markdown()),
        ("man/flaskpaste.8", ".\\\" settings\n", ".\\\" /settings\n", settings_man()),
        ("contrib/flaskpaste.env", "# Settings:\n", "\n# End of the settings.\n", settings_env()),
    ]
}

/// A file with its settings freshly rendered.
fn with_settings(file: &str, begin: &str, end: &str, settings: &str) -> String {
    let text = read(file);
    let (before, rest) = text.split_once(begin).expect("the marker before the settings");
    let (_, after) = rest.split_once(end).expect("the marker after the settings");
    format!("{before}{begin}{settings}{end}{after}")
}

/// Uncommenting a value, in order to edit it, must not change anything yet.
#[test]
fn commented_values_in_the_environment_file_are_the_defaults() {
    let config = |variables: &[(&str, &str)]| {
        let variables = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let mut config = Config::from_variables(variables).unwrap();
        config.pepper_file = Some(config.pepper_path());
        format!("{config:#?}")
    };
    let unit = read("contrib/systemd/flaskpaste.service");
    let service: Vec<(&str, &str)> =
        unit.lines().filter_map(|line| line.strip_prefix("Environment=")?.split_once('=')).collect();
    assert_eq!(service.len(), 2);
    let file = read("contrib/flaskpaste.env");
    let lines = file.lines().filter_map(|line| line.strip_prefix('#')?.split_once('='));
    let uncommented: Vec<(&str, &str)> = lines.filter(|(name, _)| name.starts_with("FLASK")).collect();
    assert!(uncommented.len() > 20);
    assert_eq!(config(&[service.clone(), uncommented].concat()), config(&service));
}

#[test]
fn the_documented_settings_match_the_program() {
    for (file, begin, end, settings) in rendered() {
        let expected = with_settings(file, begin, end, &settings);
        assert!(read(file) == expected, "{file}: run `make docs` to render the settings anew");
    }
}

#[test]
fn the_readme_is_at_most_150_lines() {
    assert!(read("README.md").lines().count() <= 150);
}

/// The files that a document links to.
pub fn links(document: &Path) -> Vec<PathBuf> {
    let text = fs::read_to_string(document).unwrap();
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    let files = targets.filter(|target| !target.contains("://") && !target.starts_with('#'));
    files.map(|target| document.with_file_name(target.split('#').next().unwrap())).collect()
}

#[test]
fn links_between_documents_lead_to_files() {
    let mut documents: Vec<String> =
        ["README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md", "bench/README.md"].map(str::to_owned).into();
    let docs = fs::read_dir(path("docs")).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let guides = docs.filter_map(|name| Some(format!("docs/{}.md", name.strip_suffix(".md")?)));
    documents.extend(guides);
    let linked: Vec<PathBuf> = documents.iter().flat_map(|document| links(&path(document))).collect();
    assert!(linked.len() > 40, "{linked:?}");
    let broken: Vec<_> = linked.iter().filter(|file| !file.exists()).collect();
    assert!(broken.is_empty(), "{broken:?}");
}

#[test]
#[ignore = "writes the documents; `make docs` runs it"]
fn render() {
    for (file, begin, end, settings) in rendered() {
        fs::write(path(file), with_settings(file, begin, end, &settings)).unwrap();
    }
}

#[test]
fn the_man_page_has_every_command_and_exit_code() {
    let page = read("man/flaskpaste.8");
    let folder = Folder::new();
    let help = String::from_utf8(run(folder.path(), &[], &["--help"]).stdout).unwrap();
    let usage = help.lines().skip(1).take_while(|line| !line.starts_with("settings"));
    let usage = usage.filter_map(|line| line.trim_start_matches("usage:").trim().strip_prefix("flaskpaste "));
    let commands: BTreeSet<&str> = usage.filter_map(|line| line.split([' ', '|']).next()).collect();
    assert!(commands.len() >= 6, "{commands:?}");
    for command in commands.iter().filter(|command| !command.is_empty()) {
        let item = match command.strip_prefix("--") {
            Some(option) => format!("Fl \\-{option}"),
            None => format!(".It Cm {command}"),
        };
        assert!(page.contains(&item), "{item} of `{command}`");
    }
    for code in [0, 1, 2, 3] {
        assert!(page.lines().any(|line| line == format!(".It {code}")), "{code}");
    }
}

fn openapi() -> Value {
    serde_json::from_str(&read("docs/openapi.json")).unwrap()
}

/// "METHOD /path" of every operation with its own section in docs/api.md.
fn described_routes() -> BTreeSet<String> {
    let mut routes = BTreeSet::new();
    for (path, item) in openapi()["paths"].as_object().unwrap() {
        for method in ["get", "post", "put", "patch", "delete"].iter().filter(|method| item.get(**method).is_some()) {
            // OpenAPI has one name per path parameter; in a PUT it is that of a file.
            let path = if (*method, path.as_str()) == ("put", "/{id}") { "/{name}" } else { path };
            routes.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    routes
}

/// A node of the description: the component it refers to, or itself.
fn followed<'a>(openapi: &'a Value, place: &'a Value) -> &'a Value {
    let Some(reference) = place["$ref"].as_str() else { return place };
    let component = reference.strip_prefix('#').and_then(|pointer| openapi.pointer(pointer));
    followed(openapi, component.unwrap_or_else(|| panic!("{reference} does not exist")))
}

/// Every error code in an `enum` of codes, with the statuses it is listed under.
fn described_codes() -> BTreeSet<(String, String)> {
    let mut codes = BTreeSet::new();
    let openapi = openapi();
    let responses = openapi["paths"].as_object().unwrap().values().flat_map(|item| {
        item.as_object().unwrap().values().filter_map(|operation| operation.get("responses")?.as_object())
    });
    for (status, response) in responses.flatten() {
        let schema = followed(&openapi, &followed(&openapi, response)["content"]["application/json"]["schema"]);
        for code in schema["allOf"][1]["properties"]["code"]["enum"].as_array().into_iter().flatten() {
            codes.insert((status.clone(), code.as_str().unwrap().to_owned()));
        }
    }
    codes.insert(("405".into(), "method_not_allowed".into()));
    codes
}

/// Every reference below a node of the description.
fn references(place: &Value) -> BTreeSet<&str> {
    let inner: Vec<&Value> = match place {
        Value::Object(fields) => fields.values().collect(),
        Value::Array(items) => items.iter().collect(),
        _ => Vec::new(),
    };
    place["$ref"].as_str().into_iter().chain(inner.into_iter().flat_map(references)).collect()
}

#[test]
fn the_api_description_uses_all_and_only_its_components() {
    let openapi = openapi();
    let kinds = openapi["components"].as_object().unwrap().iter().filter(|(kind, _)| *kind != "securitySchemes");
    let names = kinds.flat_map(|(kind, components)| {
        components.as_object().unwrap().keys().map(move |name| format!("#/components/{kind}/{name}"))
    });
    let mut referred: BTreeSet<String> = references(&openapi).into_iter().map(str::to_owned).collect();
    // The 405 response belongs to no operation.
    referred.insert("#/components/responses/MethodNotAllowed".into());
    assert_eq!(referred, names.collect::<BTreeSet<String>>());
}

#[test]
fn both_api_descriptions_have_the_same_routes() {
    let api = read("docs/api.md");
    let methods = ["GET /", "POST /", "PUT /", "PATCH /", "DELETE /"];
    let headings: BTreeSet<String> = api
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .filter(|heading| methods.iter().any(|method| heading.starts_with(method)))
        .map(str::to_owned)
        .collect();
    assert_eq!(headings, described_routes());
}

#[test]
fn the_api_descriptions_match_the_routes_and_codes_of_the_server() {
    let server = Server::start(&[]);
    let index = server.get("/").json();
    let listed = index["endpoints"].as_object().unwrap().keys().map(|route| route.replace('<', "{").replace('>', "}"));
    let described = described_routes();
    let missing: Vec<String> = listed.filter(|route| !described.contains(route)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    // In the table of refusals, the code follows the status.
    let source = read("src/error.rs");
    let words: Vec<&str> =
        source.split(|c: char| c.is_whitespace() || "(),".contains(c)).filter(|word| !word.is_empty()).collect();
    let rows = words.windows(2).filter(|pair| pair[0].len() == 3 && pair[0].bytes().all(|byte| byte.is_ascii_digit()));
    let codes: BTreeSet<(String, String)> =
        rows.filter(|pair| pair[1].starts_with('"')).map(|pair| (pair[0].into(), pair[1].replace('"', ""))).collect();
    assert!(codes.len() > 20, "{codes:?}");
    assert_eq!(codes, described_codes());
}

#[test]
fn both_api_descriptions_have_the_same_codes() {
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

/// All Rust below a folder, without indentation.
fn sources(folder: &Path) -> String {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let text = |file: PathBuf| match file.extension().and_then(OsStr::to_str) {
        Some("rs") => fs::read_to_string(file).unwrap().replace("    ", ""),
        _ if file.is_dir() => sources(&file),
        _ => String::new(),
    };
    entries.map(text).collect()
}

#[test]
fn tests_named_in_the_documentation_exist() {
    let document = read("docs/reliability.md") + &read("SECURITY.md") + &read("docs/security-review.md");
    let scaling = read("docs/scaling.md");
    // The other document also names settings; its tests are in the last cells of a table.
    let cells: Vec<&str> = scaling.lines().filter_map(|line| line.strip_suffix(" |")?.rsplit('|').next()).collect();
    let texts = std::iter::once(document.as_str()).chain(cells.into_iter().filter(|cell| cell.starts_with(" `")));
    let words = texts.flat_map(|text| text.split('`').skip(1).step_by(2));
    let is_test_name = |word: &&str| {
        word.matches('_').count() >= 2
            && word.bytes().all(|b| b == b'_' || b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    let named: BTreeSet<&str> = words.filter(is_test_name).collect();
    assert!(named.len() > 20, "{named:?}");
    let sources = sources(&path("tests/integration")) + &sources(&path("src"));
    for name in named {
        assert!(sources.contains(&format!("#[test]\nfn {name}()")), "there is no test {name}");
    }
}

/// A failed download of the client must not leave an error response as an executable.
#[test]
fn documented_client_downloads_do_not_save_error_responses() {
    let usage = Server::start(&[]).get("/").json()["usage"].clone();
    let mut texts = vec![usage["get the encrypting client"].as_str().unwrap().to_owned()];
    let files = ["README.md", "docs/api.md", "src/client/failure.rs", "src/client/challenge.rs", "src/web/create.html"];
    texts.extend(files.map(read));
    for text in texts {
        let commands: Vec<&str> =
            text.lines().filter(|line| line.contains("curl ") && line.contains("fpaste")).collect();
        let fetches: Vec<&&str> = commands.iter().filter(|line| line.contains("/client")).collect();
        assert!(!fetches.is_empty(), "{text}");
        assert!(fetches.iter().all(|line| line.contains("curl -fsS -o fpaste ")), "{fetches:?}");
    }
}

/// The names in a text with this prefix.
fn names_with<'a>(text: &'a str, prefix: &str) -> BTreeSet<&'a str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c: char| !is_part(c)).filter(|word| word.starts_with(prefix) && word.len() > prefix.len()).collect()
}

#[test]
fn alerts_and_dashboard_use_existing_metrics() {
    let server = Server::start(&[("FLASKPASTE_METRICS", "1")]);
    let told = String::from_utf8(server.get("/metrics").body).unwrap();
    let mut exist = names_with(&told, "flaskpaste_");
    exist.remove("flaskpaste_request_seconds");
    for file in ["contrib/prometheus/flaskpaste.rules.yml", "contrib/grafana/flaskpaste.json"] {
        let text = read(file);
        let named = names_with(&text, "flaskpaste_");
        assert!(named.len() > 5, "{file}");
        let unknown: Vec<_> = named.difference(&exist).collect();
        assert!(unknown.is_empty(), "{file}: {unknown:?}");
    }
    // The dashboard leaves out none of our metrics; a histogram's sum and count cover its buckets.
    let dashboard = read("contrib/grafana/flaskpaste.json");
    serde_json::from_str::<Value>(&dashboard).unwrap();
    let shown = names_with(&dashboard, "flaskpaste_");
    let missing: Vec<_> =
        exist.difference(&shown).filter(|name| !name.ends_with("_sum") && !name.ends_with("_count")).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_compose_file_uses_existing_settings() {
    let compose = read("contrib/compose/compose.yml");
    let example = read("contrib/compose/compose.env.example");
    let settings: BTreeSet<&str> = flaskpaste::config::SETTINGS.iter().map(|setting| setting.name).collect();
    for text in [&compose, &example, &read("contrib/compose/compose.Caddyfile")] {
        let unknown: Vec<_> = names_with(text, "FLASKPASTE_").difference(&settings).copied().collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
    let asked = names_with(&compose, "FLASKPASTE_");
    for name in asked.iter().filter(|name| **name != "FLASKPASTE_PUBLIC_URL") {
        assert!(example.contains(&format!("{name}=")), "{name} is not in compose.env.example");
    }
}
