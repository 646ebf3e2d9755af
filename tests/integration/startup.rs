//! The program: starting, stopping, sockets, and the subcommands next to a running server.

use crate::engine;
use crate::harness::{Folder, SOON, Server, refusal, run, wait_until};
use serde_json::Value;
use std::net::TcpStream;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[track_caller]
fn stdout(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn help_and_version_are_printed() {
    let folder = Folder::new();
    // Help works with invalid settings: that is when it is needed.
    let wrong = [("FLASKPASTE_TYPO", "1")];
    for argument in ["--help", "-h"] {
        let help = stdout(&run(folder.path(), &wrong, &[argument]));
        for word in ["stats", "purge", "backup", "health", "--check-config", "FLASKPASTE_BIND", "FLASK_ENV"] {
            assert!(help.contains(word), "--help does not mention {word}:\n{help}");
        }
        assert!(help.contains("  FLASKPASTE_CONTACT ") && help.contains(" [none]\n"), "{help}");
        assert!(!help.contains("[("), "a default in two kinds of brackets:\n{help}");
    }
    for argument in ["--version", "-V"] {
        let version = stdout(&run(folder.path(), &wrong, &[argument]));
        let program = engine::program();
        let name = program.file_name().unwrap().to_str().unwrap();
        assert_eq!(version, format!("{name} {}\n", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn check_config_neither_listens_nor_creates_files() {
    let folder = Folder::new();
    let database = folder.join("new/pastes.db");
    let variables =
        [("FLASKPASTE_DB", database.to_str().unwrap()), ("FLASKPASTE_PROXY_SECRET", "hunter2-hunter2-hunter2")];
    let output = run(folder.path(), &variables, &["--check-config"]);
    let text = stdout(&output) + &String::from_utf8_lossy(&output.stderr);
    assert!(!text.contains("hunter2"), "{text}");
    assert!(!folder.join("new").exists());
}

#[test]
fn check_config_lists_every_setting() {
    let folder = Folder::new();
    let variables = [("FLASKPASTE_BIND", "[::1]:8080"), ("FLASKPASTE_POW_SECRET", "a-secret-of-the-server")];
    let text = stdout(&run(folder.path(), &variables, &["--check-config"]));
    for line in ["FLASKPASTE_BIND=[::1]:8080", "FLASKPASTE_POW_SECRET=(set)", "FLASKPASTE_PROXY_SECRET=(unset)"] {
        assert!(text.lines().any(|shown| shown == line), "{line} is not in\n{text}");
    }
    assert!(text.ends_with("the settings are valid; the database was not opened\n"), "{text}");
    assert!(text.contains("FLASKPASTE_PEPPER_FILE=./data/pastes.db.pepper") && !text.contains('{'), "{text}");
}

#[test]
fn production_without_a_proxy_secret_logs_which_peers_are_trusted() {
    let production = ("FLASK_ENV", "production");
    let told = |variables: &[(&str, &str)]| {
        let mut server = Server::start(variables);
        server.stop();
        server.log().contains("FLASKPASTE_PROXY_SECRET is not set")
    };
    assert!(told(&[production]));
    assert!(!told(&[production, ("FLASKPASTE_PROXY_SECRET", "a-secret-of-the-proxy")]));
    assert!(!told(&[]));
    let folder = Folder::new();
    let socket = format!("unix:{}", folder.join("s").display());
    assert!(!told(&[production, ("FLASKPASTE_BIND", &socket)]));
}

#[test]
fn startup_errors_are_json_with_a_json_log() {
    let folder = Folder::new();
    for variables in [
        &[("FLASKPASTE_LOG", "json"), ("FLASKPASTE_TYPO", "1")],
        &[("FLASK_ENV", "production"), ("FLASKPASTE_TYPO", "1")],
    ] {
        let line = refusal(folder.path(), variables, &[], 2);
        let json: serde_json::Value = serde_json::from_str(&line).expect(&line);
        assert!(json["message"].as_str().unwrap().contains("FLASKPASTE_TYPO"), "{line}");
    }
}

#[test]
fn the_database_folder_is_created_private() {
    let folder = Arc::new(Folder::new());
    let database = folder.join("a/b/pastes.db");
    let server = Server::start_in(Arc::clone(&folder), &[("FLASKPASTE_DB", database.to_str().unwrap())]);
    server.paste("x");
    let mode = std::fs::metadata(&database).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "others must not read the pastes: {mode:o}");
}

#[test]
fn the_default_database_path_matches_the_documentation() {
    let folder = Arc::new(Folder::new());
    let server = Server::start_in(Arc::clone(&folder), &[("FLASKPASTE_DB", "")]);
    server.paste("x");
    assert!(folder.join("data/pastes.db").is_file());
}

#[test]
fn testing_keeps_everything_in_memory() {
    let variables = [("FLASK_ENV", "testing"), ("FLASKPASTE_POW_DIFFICULTY", "")];
    let mut server = Server::start(&variables);
    let paste = server.paste(vec![b'x'; 2 << 20]);
    server.get(&paste.raw()).expect_status(200);
    assert!(!server.database().exists());
    server.crash_and_restart();
    server.get(&paste.raw()).expect_code(404, "not_found");
}

#[test]
fn the_server_listens_on_a_unix_socket() {
    let folder = Arc::new(Folder::new());
    let socket = folder.join("socket");
    let bind = format!("unix:{}", socket.display());
    let mut server = Server::start_in(Arc::clone(&folder), &[("FLASKPASTE_BIND", &bind)]);
    let content = vec![b'x'; 100_000];
    let owned = server.post(content.clone()).header("X-SSL-Client-SHA1", "a".repeat(40)).send().expect_status(201);
    let raw = owned.expect_field("owner", "a".repeat(40)).json()["raw"].as_str().unwrap().to_owned();
    server.get(&raw).expect_status(200).expect_body(content);
    server.request("POST", "/").chunks(&[b"he", b"llo"]).send().expect_status(201).expect_field("size", 5);
    assert_eq!(server.run(&["health"]).status.code(), Some(0));
    // A stale socket is replaced.
    server.kill();
    assert!(std::fs::symlink_metadata(&socket).unwrap().file_type().is_socket());
    server.restart();
    server.expect_alive();
    // A socket in use is not.
    let database = folder.join("other.db");
    let variables = [("FLASKPASTE_BIND", bind.as_str()), ("FLASKPASTE_DB", database.to_str().unwrap())];
    let line = refusal(folder.path(), &variables, &[], 1);
    assert!(line.contains(socket.to_str().unwrap()), "{line}");
    server.expect_alive();
    server.stop();
    assert!(!socket.exists(), "a clean shutdown removes the socket");
}

#[test]
fn a_file_at_the_socket_path_is_not_touched() {
    let folder = Folder::new();
    let path = folder.join("precious");
    std::fs::write(&path, "content").unwrap();
    let (bind, database) = (format!("unix:{}", path.display()), folder.join("pastes.db"));
    let variables = [("FLASKPASTE_BIND", bind.as_str()), ("FLASKPASTE_DB", database.to_str().unwrap())];
    refusal(folder.path(), &variables, &[], 1);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "content");
}

#[test]
fn sigterm_lets_requests_in_flight_finish() {
    let mut server = Server::start(&[]);
    let mut connection = server.connect();
    let idle = server.connect();
    let content = "x".repeat(100_000);
    let request = server.request("POST", "/").header("Content-Length", content.len().to_string());
    // The response to `Expect` shows that the request is being handled.
    request.header("Expect", "100-continue").send_on(&mut connection).expect_status(100);
    connection.send(&content[..50_000]);
    server.signal("TERM");
    let authority = server.authority();
    wait_until("no new connections are accepted", SOON, || TcpStream::connect(&authority).is_err());
    connection.send(&content[50_000..]);
    let response = connection.read_response("the rest of the body", false).unwrap().expect_status(201);
    let raw = response.json()["raw"].as_str().unwrap().to_owned();
    assert!(server.wait().success());
    drop(idle);
    server.restart();
    server.get(&raw).expect_status(200).expect_body(content);
}

#[test]
fn signals_stop_an_idle_server_immediately() {
    for signal in ["TERM", "INT"] {
        let mut server = Server::start(&[]);
        let mut idle = server.connect();
        server.request("GET", "/health").send_on(&mut idle).expect_status(200);
        let unused = server.connect();
        let started = Instant::now();
        server.signal(signal);
        let status = server.wait();
        assert_eq!(status.code(), Some(0), "SIG{signal}: {}", server.log());
        // How long it would wait for requests in flight.
        assert!(started.elapsed() < Duration::from_secs(10), "SIG{signal} took {:?}", started.elapsed());
        drop(unused);
    }
}

#[test]
fn stats_prints_text_and_json() {
    let server = Server::start(&[]);
    server.paste("12345");
    server.post("1234567890").header("X-Burn-After-Read", "1").header("X-Paste-Password", "p").created();
    let json: Value = serde_json::from_str(&stdout(&server.run(&["stats", "--json"]))).unwrap();
    assert_eq!((&json["pastes"], &json["content_bytes"]), (&2.into(), &15.into()), "{json}");
    assert_eq!((&json["burn_after_read"], &json["password_protected"]), (&1.into(), &1.into()), "{json}");
    assert!(json["disk_bytes"].as_u64() >= json["database_bytes"].as_u64(), "{json}");
    let text = stdout(&server.run(&["stats"]));
    assert!(text.contains("content             15 bytes\n") && text.contains(" KiB\n"), "{text}");
    server.expect_alive();
}

#[test]
fn purge_deletes_only_expired_pastes() {
    let mut server = Server::start(&[]);
    let kept = server.paste("kept");
    let expired = server.post("expired").header("X-Expiry", "1").created();
    wait_until("the paste has expired", SOON, || server.get(&expired.path()).status == 404);
    stdout(&server.run(&["purge"]));
    server.get(&kept.raw()).expect_status(200);
    // And without a running server.
    server.post("expired too").header("X-Expiry", "1").created();
    server.stop();
    let expired = |server: &Server| -> u64 {
        let stats: Value = serde_json::from_str(&stdout(&server.run(&["stats", "--json"]))).unwrap();
        stats["pastes"].as_u64().unwrap()
    };
    wait_until("the other one has expired", SOON, || expired(&server) == 1);
    assert_eq!(stdout(&server.run(&["purge"])), "1 expired paste deleted\n");
    server.restart();
    server.get(&kept.raw()).expect_status(200).expect_body("kept");
}

#[test]
fn a_backup_of_a_live_database_is_complete() {
    let server = Server::embedded(&[]);
    let paste = server.paste("kept");
    let large = server.paste(vec![b'x'; 2 << 20]);
    let target = server.folder().join("backup.db");
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| (0..50).for_each(|n| drop(server.paste(format!("meanwhile {n}")))));
        stdout(&server.run(&["backup", target.to_str().unwrap()]));
        writer.join().unwrap();
    });
    assert_eq!(std::fs::metadata(&target).unwrap().permissions().mode() & 0o077, 0, "a backup is as private");
    let copy = rusqlite::Connection::open(&target).unwrap();
    let check: String = copy.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
    drop(copy);
    // It can be served, with the pepper, which it does not contain.
    let pepper = server.pepper();
    let variables = [("FLASKPASTE_DB", target.to_str().unwrap()), ("FLASKPASTE_PEPPER_FILE", pepper.to_str().unwrap())];
    let restored = Server::embedded(&variables);
    restored.get(&paste.raw()).expect_status(200).expect_body("kept");
    restored.get(&large.raw()).expect_status(200).expect_body(vec![b'x'; 2 << 20]);
}

#[test]
fn a_backup_that_cannot_start_removes_nothing() {
    let server = Server::embedded(&[]);
    let partial = server.folder().join("backup.db.partial");
    std::fs::write(&partial, "somebody's").unwrap();
    let output = server.run(&["backup", server.folder().join("backup.db").to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(std::fs::read_to_string(&partial).unwrap(), "somebody's");
    let output = server.run(&["backup", "/nonexistent/b.db"]);
    let line = String::from_utf8_lossy(&output.stderr);
    assert!(line.contains("cannot create /nonexistent/b.db: its folder does not exist"), "{line}");
}

#[test]
fn backup_never_overwrites_a_file() {
    let server = Server::embedded(&[]);
    let target = server.folder().join("precious");
    std::fs::write(&target, "content").unwrap();
    let output = server.run(&["backup", target.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "content");
    let nowhere = server.run(&["backup", "/nonexistent/folder/backup.db"]);
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nowhere.stderr).contains("/nonexistent/folder/backup.db"), "{nowhere:?}");
    let dash = server.run(&["backup", "-"]);
    assert_eq!(dash.status.code(), Some(2), "{dash:?}");
    assert!(!server.folder().join("-").exists());
    assert_eq!(server.run(&["backup"]).status.code(), Some(2));
}

#[test]
fn commands_do_not_create_a_database() {
    let folder = Folder::new();
    let database = folder.join("none.db");
    for arguments in [&["stats"][..], &["purge"], &["backup", "copy.db"]] {
        let line = refusal(folder.path(), &[("FLASKPASTE_DB", database.to_str().unwrap())], arguments, 1);
        assert!(line.contains("none.db"), "{line}");
    }
    assert!(!database.exists() && !folder.join("copy.db").exists());
}

#[test]
fn the_health_command_checks_the_running_server() {
    let mut server = Server::embedded(&[("FLASKPASTE_URL_PREFIX", "/p")]);
    assert_eq!(server.run(&["health"]).status.code(), Some(0));
    server.kill();
    let output = server.run(&["health"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let line = String::from_utf8_lossy(&output.stderr);
    assert_eq!(line.lines().count(), 1, "{output:?}");
    assert!(line.contains(&server.authority()) && !line.contains("os error"), "{line}");
    assert!(Path::new(&server.database()).exists());
}

/// Tests that take seconds; `make test-quick` skips them.
mod slow {
    use super::*;

    /// More clients have connected and sent requests than there are threads: none is reset.
    #[test]
    fn connections_accepted_before_a_stop_are_served() {
        let mut server = Server::start(&[("FLASKPASTE_THREADS", "2")]);
        for _ in 0..5 {
            let mut waiting: Vec<_> = (0..12).map(|_| server.connect()).collect();
            for connection in &mut waiting {
                connection.send("GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
            }
            server.signal("TERM");
            for connection in &mut waiting {
                connection.read_response("a request before the stop", false).expect("it was reset").expect_status(200);
            }
            assert!(server.wait().success());
            server.restart();
        }
    }
}
