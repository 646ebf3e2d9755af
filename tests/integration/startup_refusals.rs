//! Startup errors: invalid settings and arguments exit with 2, an unusable port or database with 1; always with one
//! line that names the cause, and with nothing changed.

use crate::harness::{Folder, Server, refusal, run};
use std::net::TcpListener;
use std::path::{Path, PathBuf};

#[test]
fn invalid_values_are_refused_with_the_name_of_the_setting() {
    let bad = [
        ("FLASK_ENV", "prod"),
        ("FLASKPASTE_ID_LENGTH", "7"),
        ("FLASKPASTE_ID_LENGTH", "65"),
        ("FLASKPASTE_ID_LENGTH", "twelve"),
        ("FLASKPASTE_MAX_ANON", "-1"),
        ("FLASKPASTE_MAX_ANON", "3M"),
        ("FLASKPASTE_MAX_AUTH", "1e6"),
        ("FLASKPASTE_EXPIRY", "0"),
        ("FLASKPASTE_EXPIRY", "soon"),
        ("FLASKPASTE_MAX_EXPIRY", "-5"),
        ("FLASKPASTE_DEDUP_WINDOW", "1.5"),
        ("FLASKPASTE_DEDUP_MAX", "-1"),
        ("FLASKPASTE_POW_DIFFICULTY", "65"),
        ("FLASKPASTE_POW_DIFFICULTY", "hard"),
        ("FLASKPASTE_POW_TTL", "0"),
        ("FLASKPASTE_URL_PREFIX", "paste"),
        ("FLASKPASTE_URL_PREFIX", "/a b"),
        ("FLASKPASTE_URL_PREFIX", "/a//b"),
        ("FLASKPASTE_URL_PREFIX", "/a?b"),
        ("FLASKPASTE_MIN_ENTROPY", "8.1"),
        ("FLASKPASTE_MIN_ENTROPY", "-0.1"),
        ("FLASKPASTE_MIN_ENTROPY", "NaN"),
        ("FLASKPASTE_MIN_ENTROPY_SIZE", "some"),
        ("FLASKPASTE_BIND", "5000"),
        ("FLASKPASTE_BIND", "127.0.0.1:99999"),
        ("FLASKPASTE_BIND", "127.0.0.1"),
        ("FLASKPASTE_BIND", "unix:"),
        ("FLASKPASTE_THREADS", "0"),
        ("FLASKPASTE_THREADS", "many"),
        ("FLASKPASTE_PUBLIC_URL", "paste.example"),
        ("FLASKPASTE_PUBLIC_URL", "ftp://paste.example"),
        ("FLASKPASTE_PUBLIC_URL", "https://paste.example/path"),
        ("FLASKPASTE_MAX_DB_SIZE", "-1"),
        ("FLASKPASTE_MAX_DB_SIZE", "1G"),
        ("FLASKPASTE_WEB", "maybe"),
        ("FLASKPASTE_METRICS", "maybe"),
        ("FLASKPASTE_LOG", "xml"),
        ("FLASKPASTE_TYPO", "1"),
        ("FLASKPASTE_", "1"),
    ];
    let folder = Folder::new();
    for (name, value) in bad {
        for arguments in [&[][..], &["--check-config"]] {
            let line = refusal(folder.path(), &[(name, value)], arguments, 2);
            assert!(line.contains(name), "{line}");
            assert!(value != "3M" || line.contains("whole number of bytes"), "{line}");
        }
    }
    assert!(!folder.join("data").exists(), "an invalid setting must not create a database");
}

#[test]
fn invalid_secrets_are_not_echoed() {
    let folder = Folder::new();
    let line = refusal(folder.path(), &[("FLASKPASTE_PROXY_SECRET", "two words")], &[], 2);
    assert!(line.contains("FLASKPASTE_PROXY_SECRET") && !line.contains("two words"), "{line}");
}

#[test]
fn empty_values_and_client_variables_are_accepted() {
    let folder = Folder::new();
    let names = [
        "FLASK_ENV",
        "DB",
        "ID_LENGTH",
        "MAX_ANON",
        "MAX_AUTH",
        "EXPIRY",
        "MAX_EXPIRY",
        "DEDUP_WINDOW",
        "DEDUP_MAX",
        "PROXY_SECRET",
        "POW_DIFFICULTY",
        "POW_TTL",
        "POW_SECRET",
        "URL_PREFIX",
        "MIN_ENTROPY",
        "MIN_ENTROPY_SIZE",
        "BIND",
        "THREADS",
        "PUBLIC_URL",
        "CLIENT_DIR",
        "MAX_DB_SIZE",
        "WEB",
        "METRICS",
        "LOG",
    ]
    .map(|name| if name == "FLASK_ENV" { name.to_owned() } else { format!("FLASKPASTE_{name}") });
    let empty: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    assert_eq!(run(folder.path(), &empty, &["--check-config"]).status.code(), Some(0));
    let clients =
        ["SERVER", "CERT_SHA1", "CLIENT_CERT", "CLIENT_KEY", "CA_CERT"].map(|name| format!("FLASKPASTE_{name}"));
    let clients: Vec<(&str, &str)> = clients.iter().map(|name| (name.as_str(), "anything")).collect();
    assert_eq!(run(folder.path(), &clients, &["--check-config"]).status.code(), Some(0));
}

#[test]
fn unknown_arguments_are_usage_errors() {
    let folder = Folder::new();
    for arguments in
        [&["--unknown"][..], &["serve-me"], &["-x"], &["stats", "--xml"], &["purge", "now"], &["health", "x"]]
    {
        refusal(folder.path(), &[], arguments, 2);
    }
}

#[test]
fn a_port_in_use_is_reported() {
    let folder = Folder::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let database = folder.join("new/pastes.db");
    let variables = [("FLASKPASTE_BIND", address.as_str()), ("FLASKPASTE_DB", database.to_str().unwrap())];
    let line = refusal(folder.path(), &variables, &[], 1);
    assert!(line.contains(&address) && line.contains("listen"), "{line}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "neither a database nor a pepper is created");
}

#[test]
fn a_refused_database_leaves_no_socket_file() {
    let folder = Folder::new();
    let (socket, database) = (folder.join("socket"), folder.join("garbage.db"));
    std::fs::write(&database, "garbage").unwrap();
    let bind = format!("unix:{}", socket.display());
    let variables = [("FLASKPASTE_BIND", bind.as_str()), ("FLASKPASTE_DB", database.to_str().unwrap())];
    let line = refusal(folder.path(), &variables, &[], 1);
    assert!(line.contains("garbage.db") && !socket.exists(), "{line}");
}

#[test]
fn errors_of_the_system_are_plain_words() {
    let folder = Folder::new();
    std::fs::write(folder.join("file"), "x").unwrap();
    let database = folder.join("pastes.db");
    let nowhere = format!("unix:{}", folder.join("nowhere/socket").display());
    let below_a_file = folder.join("file/pastes.db");
    let settings = [
        (nowhere.as_str(), database.to_str().unwrap(), ": no such file or directory; "),
        ("192.0.2.1:5000", database.to_str().unwrap(), ": cannot assign requested address; "),
        ("127.0.0.1:0", below_a_file.to_str().unwrap(), " (file exists); "),
    ];
    for (bind, database, words) in settings {
        let line = refusal(folder.path(), &[("FLASKPASTE_BIND", bind), ("FLASKPASTE_DB", database)], &[], 1);
        assert!(line.contains(words) && !line.contains("os error"), "{line}");
    }
}

/// A database after a clean shutdown.
fn real_database(folder: &Folder) -> PathBuf {
    let path = folder.join("real.db");
    let mut server = Server::start(&[("FLASKPASTE_DB", path.to_str().unwrap())]);
    (0..20).for_each(|n| drop(server.paste(format!("{n}").repeat(10_000))));
    server.stop();
    path
}

/// Starting with this file must fail with a line that names it, and leave it unchanged.
#[track_caller]
fn refused_and_unchanged(folder: &Folder, path: &Path) -> String {
    let before = std::fs::read(path).unwrap();
    let variables = [("FLASKPASTE_DB", path.to_str().unwrap()), ("FLASKPASTE_BIND", "127.0.0.1:0")];
    let line = refusal(folder.path(), &variables, &[], 1);
    assert!(line.contains(path.to_str().unwrap()), "{line}");
    assert!(std::fs::read(path).unwrap() == before, "the file was changed; {line}");
    line
}

#[test]
fn other_files_in_place_of_the_database_are_not_modified() {
    let folder = Folder::new();
    let path = folder.join("garbage.db");
    for content in [&b"garbage"[..], &[0; 8192], &[0xff; 4096], b"SQLite format 3\0"] {
        std::fs::write(&path, content).unwrap();
        refused_and_unchanged(&folder, &path);
    }
}

#[test]
fn truncated_or_damaged_databases_are_not_modified() {
    let folder = Folder::new();
    let whole = std::fs::read(real_database(&folder)).unwrap();
    let path = folder.join("damaged.db");
    for length in [50, 100, 4096, whole.len() / 2, whole.len() - 4096] {
        std::fs::write(&path, &whole[..length]).unwrap();
        refused_and_unchanged(&folder, &path);
    }
    for from in [100, 4096, 8192] {
        let mut damaged = whole.clone();
        damaged[from..].fill(0xa5);
        std::fs::write(&path, &damaged).unwrap();
        refused_and_unchanged(&folder, &path);
    }
}

#[test]
fn databases_of_other_programs_are_not_modified() {
    let folder = Folder::new();
    let path = folder.join("foreign.db");
    let foreign = rusqlite::Connection::open(&path).unwrap();
    foreign.execute_batch("CREATE TABLE recipe (name TEXT); INSERT INTO recipe VALUES ('soup');").unwrap();
    drop(foreign);
    refused_and_unchanged(&folder, &path);
}

#[test]
fn databases_of_newer_versions_are_not_modified() {
    let folder = Folder::new();
    let path = real_database(&folder);
    let newer = rusqlite::Connection::open(&path).unwrap();
    newer.execute_batch("PRAGMA user_version = 999;").unwrap();
    drop(newer);
    let line = refused_and_unchanged(&folder, &path);
    assert!(line.contains("999") || line.contains("newer"), "{line}");
}

#[test]
fn unwritable_folders_are_reported_by_name() {
    let folder = Folder::new();
    std::fs::write(folder.join("file"), "x").unwrap();
    let below_a_file = folder.join("file/pastes.db");
    for path in ["/proc/self/pastes.db", "/proc/nowhere/pastes.db", below_a_file.to_str().unwrap()] {
        let line = refusal(folder.path(), &[("FLASKPASTE_DB", path), ("FLASKPASTE_BIND", "127.0.0.1:0")], &[], 1);
        assert!(line.contains(path), "{line}");
    }
    let itself = folder.path().to_str().unwrap();
    let line = refusal(folder.path(), &[("FLASKPASTE_DB", itself), ("FLASKPASTE_BIND", "127.0.0.1:0")], &[], 1);
    assert!(line.contains(itself), "{line}");
}
