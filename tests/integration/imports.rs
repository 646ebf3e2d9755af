//! The direction of imports: `bin -> server -> answer -> routes -> handlers -> app -> {admission, store} -> leaves`, as
//! one table.

use std::path::{Path, PathBuf};

/// The modules of this crate that each module may name. Tests inside a file count too; comments do not.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    (
        "server",
        &[
            "admission",
            "answer",
            "blocking",
            "clock",
            "config",
            "cores",
            "crypto",
            "error",
            "http",
            "log",
            "object_pool",
            "operator_log",
        ],
    ),
    (
        "answer",
        &[
            "admission",
            "app",
            "clock",
            "config",
            "error",
            "http",
            "language",
            "log",
            "operator_log",
            "owner",
            "request_id",
            "routes",
            "store",
        ],
    ),
    ("routes", &["app", "clock", "error", "handlers", "http", "paste"]),
    (
        "handlers",
        &[
            "admission",
            "app",
            "clock",
            "crypto",
            "error",
            "filename",
            "http",
            "metrics",
            "mime",
            "owner",
            "paste",
            "pow",
            "spool",
            "store",
        ],
    ),
    ("app", &["admission", "clock", "config", "error", "file_digest", "metrics", "operator_log", "store", "web"]),
    (
        "admission",
        &["blocking", "clock", "config", "cores", "crypto", "error", "http", "network", "paste", "pow", "recent"],
    ),
    (
        "store",
        &[
            "at_rest",
            "blocking",
            "clock",
            "cores",
            "crypto",
            "network",
            "object_pool",
            "operator_log",
            "owner",
            "paste",
            "recent",
            "spool",
            "static_names",
            "user",
        ],
    ),
    ("web", &["crypto", "http", "language", "page_values", "words"]),
    ("words", &["language"]),
    ("language", &["http"]),
    ("log", &["clock", "config", "stderr"]),
    ("config", &["http", "page_values"]),
    ("http", &["clock", "network", "owner"]),
    ("spool", &["at_rest", "blocking", "crypto", "mime"]),
    ("owner", &["crypto", "paste"]),
    ("paste", &["clock", "crypto"]),
    ("pow", &["clock", "crypto"]),
    ("at_rest", &["crypto"]),
    ("file_digest", &["blocking", "crypto"]),
    ("filename", &[]),
    ("request_id", &["crypto"]),
    // The client shares only leaf modules with the server.
    (
        "client",
        &["clock", "cores", "crypto", "e2e", "owner", "page_values", "paste", "pow", "sealed", "static_names", "text"],
    ),
    ("e2e", &["crypto"]),
    ("sealed", &["crypto", "e2e"]),
    ("blocking", &[]),
    ("clock", &[]),
    ("cores", &[]),
    ("crypto", &[]),
    ("error", &[]),
    ("metrics", &[]),
    ("mime", &[]),
    ("network", &[]),
    ("object_pool", &[]),
    ("operator_log", &["clock", "stderr", "text"]),
    ("page_values", &[]),
    ("recent", &[]),
    ("static_names", &[]),
    ("stderr", &[]),
    ("text", &[]),
    ("user", &[]),
];

/// Crates, and the modules, files or folders that may name them.
const BELONGS_TO: &[(&str, &[&str])] = &[
    ("tiny_http", &["server"]),
    ("rusqlite", &["store/sqlite"]),
    ("lexopt", &["bin", "client"]),
    ("ureq", &["client"]),
    ("rustls", &["client", "store/postgres"]),
    ("tokio", &["store/postgres"]),
    ("tokio_postgres", &["store/postgres"]),
];

/// Every source file: its module (`handlers` for `src/handlers/read.rs`), path, and text without comments.
fn sources() -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut sources) = (vec![root.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let first = path.strip_prefix(&root).unwrap().components().next().unwrap();
                let module = first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned();
                let text = std::fs::read_to_string(&path).unwrap();
                let code = text.lines().map(|line| if line.trim_start().starts_with("//") { "" } else { line });
                sources.push((module, path.clone(), code.collect::<Vec<_>>().join("\n")));
            }
        }
    }
    assert!(sources.len() > 10);
    sources
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The modules named after `crate::`, also in grouped imports.
fn named_modules(code: &str) -> Vec<String> {
    let word = |text: &str| -> String { text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect() };
    let mut names = Vec::new();
    for (at, found) in code.match_indices("crate::") {
        if at > 0 && is_word_byte(code.as_bytes()[at - 1]) {
            continue;
        }
        let rest = &code[at + found.len()..];
        let Some(group) = rest.strip_prefix('{') else {
            names.push(word(rest));
            continue;
        };
        let (mut depth, mut item) = (0u32, String::new());
        for c in group.chars() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => names.push(word(std::mem::take(&mut item).trim())),
                c if depth == 0 => item.push(c),
                _ => {}
            }
        }
        names.push(word(item.trim()));
    }
    names.retain(|name| !name.is_empty());
    names
}

#[test]
fn grouped_imports_are_parsed() {
    assert_eq!(named_modules("use crate::{a, b::{c, d}, e};\ncrate::f::g(); macrocrate::h"), ["a", "b", "e", "f"]);
}

#[test]
fn modules_import_only_from_modules_below() {
    let (mut faults, sources) = (Vec::new(), sources());
    for (module, path, code) in &sources {
        // The root only lists modules; the binary may use everything.
        if module == "lib" || module == "bin" {
            continue;
        }
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(known, _)| known == module) else {
            faults.push(format!("{}: module {module} has no row in the table", path.display()));
            continue;
        };
        for name in named_modules(code) {
            if name != *module && !allowed.contains(&name.as_str()) {
                faults.push(format!("{}: {module} may not import {name}", path.display()));
            }
        }
    }
    for (module, allowed) in MAY_IMPORT {
        let named: Vec<String> =
            sources.iter().filter(|(other, ..)| other == module).flat_map(|(.., code)| named_modules(code)).collect();
        let unused = allowed.iter().filter(|name| !named.iter().any(|used| used == *name));
        faults.extend(unused.map(|name| format!("{module} does not import {name}: remove it from the table")));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn crates_stay_in_the_module_that_owns_them() {
    let mut faults = Vec::new();
    for (module, path, code) in sources() {
        for (name, owners) in BELONGS_TO {
            let names_it = code.match_indices(name).any(|(at, found)| {
                let (before, after) = (code.as_bytes()[..at].last(), code.as_bytes().get(at + found.len()));
                !before.is_some_and(|byte| is_word_byte(*byte)) && !after.is_some_and(|byte| is_word_byte(*byte))
            });
            let is_owner = |owner: &&str| {
                let inside = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
                *owner == module || inside.starts_with(owner) || inside.with_extension("") == Path::new(owner)
            };
            if names_it && !owners.iter().any(is_owner) {
                faults.push(format!("{}: only {owners:?} may name {name}", path.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Without cycles, the modules can be sorted so that each comes before those it may name.
#[test]
fn the_import_table_has_no_cycles() {
    let mut left: Vec<_> = MAY_IMPORT.iter().collect();
    while !left.is_empty() {
        let before = left.len();
        let names: Vec<&str> = left.iter().map(|(module, _)| *module).collect();
        left.retain(|(_, imports)| imports.iter().any(|import| names.contains(import)));
        assert!(left.len() < before, "import cycle: {names:?}");
    }
}
