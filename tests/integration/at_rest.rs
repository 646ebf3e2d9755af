//! At rest nothing is readable without the link: not in the database, its log, a spool file or a backup; and erased
//! data is in none of them.

use crate::harness::{Folder, Paste, SOON, Server, refusal, run, unix_now, wait_until};
use flaskpaste::crypto::{self, hex};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Erased bytes are gone from every file within this time.
pub const ERASED_WITHIN: Duration = Duration::from_secs(10);

/// Every file in a folder except the pepper.
pub fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let name = |entry: &fs::DirEntry| entry.file_name().into_string().unwrap();
    // A file deleted meanwhile contains nothing.
    let read = |entry: fs::DirEntry| (name(&entry), fs::read(entry.path()).unwrap_or_default());
    entries.filter(|entry| !name(entry).ends_with(".pepper")).map(read).collect()
}

pub fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

/// The names of the files in a folder that contain these bytes.
fn files_with(folder: &Path, wanted: impl AsRef<[u8]>) -> Vec<String> {
    files(folder).into_iter().filter(|(_, bytes)| contains(bytes, wanted.as_ref())).map(|(name, _)| name).collect()
}

/// The name of a paste's row, as documented.
fn row_name(pepper: &Path, paste: &Paste) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&unhex(fs::read_to_string(pepper).unwrap().trim())).unwrap();
    mac.update(paste.id.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn unhex(text: &str) -> Vec<u8> {
    crypto::unhex(text).unwrap()
}

#[track_caller]
fn delete(server: &Server, paste: &Paste) {
    let request = server.request("DELETE", &paste.path()).header("X-Delete-Token", paste.delete_token.as_str());
    request.send().expect_status(200);
}

#[test]
fn stored_data_is_unreadable_without_the_link() {
    let mut server = Server::embedded(&[]);
    let marker = format!("needle-{}", std::process::id());
    let content = |size: usize| format!("{marker} ").repeat(size / marker.len() + 1);
    let fingerprint = "0123456789abcdef0123456789abcdef01234567";
    let kind = format!("text/x-{marker}");
    let pastes = [
        server.paste(content(1)),
        server.post(content(100_000)).header("Content-Type", kind.as_str()).created(),
        server.post(content(2_500_000)).header("X-SSL-Client-SHA1", fingerprint).created(),
        server.post(content(10)).header("X-Paste-Password", marker.as_str()).created(),
        server.post(content(20)).header("X-Burn-After-Read", "1").created(),
        server.request("POST", "/").json(&serde_json::json!({"content": content(30)})).created(),
    ];
    let backup = server.folder().join("backup.db");
    assert!(server.run(&["backup", backup.to_str().unwrap()]).status.success());
    for stopped in [false, true] {
        if stopped {
            server.stop();
        }
        let folder = server.folder().path();
        assert_eq!(files_with(folder, &marker), Vec::<String>::new(), "stopped: {stopped}");
        assert_eq!(files_with(folder, fingerprint), Vec::<String>::new());
        assert_eq!(files_with(folder, unhex(fingerprint)), Vec::<String>::new());
        assert_eq!(files_with(folder, Sha256::digest(content(1))), Vec::<String>::new(), "the content hash was found");
        for paste in &pastes {
            for wanted in [paste.id.as_bytes(), &unhex(&paste.id), paste.delete_token.as_bytes()] {
                assert_eq!(files_with(folder, wanted), Vec::<String>::new());
            }
            let name = row_name(&server.pepper(), paste);
            assert!(!files_with(folder, &name).is_empty(), "the name of the row shows that the search works");
            assert!(files_with(folder, &name).contains(&"backup.db".to_owned()));
        }
        assert!(files_with(folder, unhex(fs::read_to_string(server.pepper()).unwrap().trim())).is_empty());
    }
    server.restart();
    server.get(&pastes[1].raw()).expect_body(content(100_000)).expect_header("Content-Type", &kind);
    server.get(&pastes[2].raw()).expect_body(content(2_500_000));
    let owner = server.request("GET", &pastes[2].path()).header("X-SSL-Client-SHA1", fingerprint);
    owner.send().expect_field("owner", fingerprint);
    let stranger = server.request("GET", &pastes[2].path()).header("X-SSL-Client-SHA1", "f".repeat(40));
    stranger.send().expect_no_fields(&["owner"]);
}

#[test]
fn the_create_response_contains_the_handle() {
    let server = Server::start(&[]);
    let answer = server.post("x").send().expect_status(201).json();
    let paste = Paste { id: answer["id"].as_str().unwrap().into(), delete_token: String::new() };
    assert_eq!(answer["handle"], hex(&row_name(&server.pepper(), &paste)[..8]));
    server.get(&paste.path()).expect_no_fields(&["handle"]);
}

#[test]
fn spool_files_hold_only_ciphertext() {
    let server = Server::embedded(&[]);
    let marker = format!("needle-{}", std::process::id());
    let body = format!("{marker} ").repeat(200_000);
    for kind in ["text/plain", "application/json"] {
        let mut connection = server.connect();
        let head =
            format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len() + 1);
        connection.send(head + &body);
        let spool_files = || -> Vec<Vec<u8>> {
            let descriptors = fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().map(Result::unwrap);
            let is_spool = |entry: &fs::DirEntry| {
                fs::read_link(entry.path()).is_ok_and(|target| {
                    target.starts_with(server.folder().path()) && target.to_string_lossy().ends_with("(deleted)")
                })
            };
            descriptors.filter(is_spool).map(|entry| fs::read(entry.path()).unwrap_or_default()).collect()
        };
        let mut found = Vec::new();
        wait_until("the upload is in an unnamed file", SOON, || {
            found = spool_files();
            found.iter().any(|bytes| bytes.len() > body.len() - 100_000)
        });
        assert!(!found.iter().any(|bytes| contains(bytes, marker.as_bytes())), "{kind}");
    }
}

/// The number of sealed keys in a database.
pub fn sealed_keys(server: &Server) -> Vec<Vec<u8>> {
    let database = rusqlite::Connection::open(server.database()).unwrap();
    let mut select = database.prepare("SELECT sealed_key FROM paste").unwrap();
    select.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn erased_data_is_in_no_file() {
    let server = Server::embedded(&[]);
    let folder = server.folder().path();
    server.paste("a paste that stays");
    for size in [10, 500_000] {
        let burn = server.post("b".repeat(size)).header("X-Burn-After-Read", "1").created();
        let gone = server.paste("d".repeat(size));
        let dying = server.paste("e".repeat(size));
        let keys = sealed_keys(&server);
        assert_eq!(keys.len(), 4);
        let left = || keys.iter().filter(|key| !files_with(folder, key).is_empty()).count();
        assert_eq!(left(), 4, "the search works");
        let patch = server.request("PATCH", &dying.path()).header("X-Delete-Token", &dying.delete_token);
        patch.header("X-Expiry", "1").send().expect_status(200);
        server.get(&burn.raw()).expect_status(200);
        delete(&server, &gone);
        wait_until("the paste has expired", SOON, || server.get(&dying.path()).status == 404);
        wait_until("the keys of all three are gone", ERASED_WITHIN, || left() == 1);
    }
}

#[test]
fn data_expired_or_deleted_before_a_crash_is_erased_after_restart() {
    let mut server = Server::embedded(&[]);
    let folder = server.shared_folder();
    let burned = server.post("b").header("X-Burn-After-Read", "1").created();
    server.post("e").header("X-Expiry", "2").created();
    let keys = sealed_keys(&server);
    server.get(&burned.raw()).expect_status(200);
    server.kill();
    let down_until = unix_now() + 3;
    wait_until("the paste has expired", SOON, || unix_now() > down_until);
    server.restart();
    let left = || keys.iter().filter(|key| !files_with(folder.path(), key).is_empty()).count();
    wait_until("both keys are gone", ERASED_WITHIN, || left() == 0);
}

#[test]
fn the_pepper_is_created_once_and_required_to_open_the_database() {
    let mut server = Server::embedded(&[]);
    let paste = server.paste("kept");
    let pepper = fs::read_to_string(server.pepper()).unwrap();
    assert!(pepper.trim().len() == 64 && pepper.trim().bytes().all(|byte| byte.is_ascii_hexdigit()), "{pepper:?}");
    assert_eq!(fs::metadata(server.pepper()).unwrap().permissions().mode() & 0o777, 0o600);
    server.stop();
    let database = server.database();
    let before = fs::read(&database).unwrap();
    let variables = [("FLASKPASTE_DB", database.to_str().unwrap()), ("FLASKPASTE_BIND", "127.0.0.1:0")];
    let refused = |expected: &str| {
        for command in [&[][..], &["stats"], &["purge"], &["backup", "copy.db"]] {
            let line = refusal(server.folder().path(), &variables, command, 1);
            assert!(line.contains(expected) && line.contains("FLASKPASTE_PEPPER_FILE"), "{line}");
        }
        assert!(fs::read(&database).unwrap() == before, "the database is untouched");
    };
    fs::remove_file(server.pepper()).unwrap();
    refused("there is no");
    assert!(!server.pepper().exists(), "no pepper is created for a database that has one");
    fs::write(server.pepper(), "0".repeat(64)).unwrap();
    fs::set_permissions(server.pepper(), fs::Permissions::from_mode(0o600)).unwrap();
    refused("different pepper");
    fs::write(server.pepper(), "0".repeat(63)).unwrap();
    let line = refusal(server.folder().path(), &variables, &[], 1);
    assert!(line.contains("64 hex digits"), "{line}");
    fs::write(server.pepper(), pepper).unwrap();
    server.restart();
    server.get(&paste.raw()).expect_body("kept");
}

#[test]
fn removing_the_pepper_stops_creates_on_the_running_server() {
    let server = Server::embedded(&[]);
    wait_until("startup logs the pepper", SOON, || {
        server.log().contains("keep a copy, apart from the database backups")
    });
    let paste = server.paste("kept");
    let aside = server.folder().join("aside");
    fs::rename(server.pepper(), &aside).unwrap();
    server.get("/health").expect_status(503);
    server.post("lost").send().expect_code(500, "internal");
    wait_until("the log has the reason", SOON, || server.log().contains("pastes.db.pepper was removed or replaced"));
    server.get(&paste.raw()).expect_body("kept");
    fs::rename(&aside, server.pepper()).unwrap();
    server.get("/health").expect_status(200);
    server.paste("kept, too");
}

#[test]
fn commands_never_create_a_pepper() {
    let folder = Folder::new();
    let path = folder.join("pastes.db");
    let variables = [("FLASKPASTE_DB", path.to_str().unwrap())];
    make_version_1(&path, "content");
    refusal(folder.path(), &variables, &["stats"], 1);
    fs::write(folder.join("empty.db"), "").unwrap();
    let empty = folder.join("empty.db");
    refusal(folder.path(), &[("FLASKPASTE_DB", empty.to_str().unwrap())], &["stats"], 1);
    let peppers = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(peppers.filter(|name| name.to_str().unwrap().contains("pepper")).count(), 0);
}

#[test]
fn a_backup_warns_that_a_pepper_stored_elsewhere_is_not_included() {
    let secrets = Folder::new();
    let pepper = secrets.join("pepper");
    let mut other = Server::embedded(&[("FLASKPASTE_PEPPER_FILE", pepper.to_str().unwrap())]);
    let paste = other.paste("kept");
    assert!(pepper.is_file() && !other.pepper().exists());
    assert!(!files_with(other.folder().path(), row_name(&pepper, &paste)).is_empty());
    let backup = other.run(&["backup", other.folder().join("backup.db").to_str().unwrap()]);
    let said = String::from_utf8(backup.stdout).unwrap();
    assert!(said.contains("pepper") && said.contains(pepper.to_str().unwrap()), "{said}");
    other.crash_and_restart();
    other.get(&paste.raw()).expect_body("kept");
}

/// A database created by version 0.1.0, with rows of every kind and deleted data still in free pages.
fn make_version_1(path: &Path, marker: &str) {
    let database = rusqlite::Connection::open(path).unwrap();
    database
        .execute_batch("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA secure_delete = OFF;")
        .unwrap();
    database.execute_batch(include_str!("../../src/store/sqlite/001_initial.sql")).unwrap();
    database.execute_batch("PRAGMA application_id = 0x66707374; PRAGMA user_version = 1;").unwrap();
    let now = i64::try_from(unix_now()).unwrap();
    let token_hash = Sha256::digest(b"token").to_vec();
    let insert = |key: i64, id: &str, kind: &str, slides: bool, burn: bool, owner: Option<&str>, pieces: &[Vec<u8>]| {
        let size: usize = pieces.iter().map(Vec::len).sum();
        database
            .execute(
                "INSERT INTO paste VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, NULL, ?9, ?10)",
                rusqlite::params![key, id, size, kind, now - 10, now + 1000, slides, burn, owner, token_hash],
            )
            .unwrap();
        for (number, piece) in (0..).zip(pieces) {
            database
                .execute("INSERT INTO content VALUES (?1, ?2)", rusqlite::params![key * 65_536 + number, piece])
                .unwrap();
        }
    };
    let piece = |size: usize| format!("{marker} ").repeat(size / marker.len() + 1).into_bytes()[..size].to_vec();
    insert(3, "aaaaaaaaaaaa", "text/plain; charset=utf-8", true, false, None, &[piece(100)]);
    insert(
        4,
        "bbbbbbbbbbbb",
        "text/x-needle",
        false,
        false,
        Some(&"ab".repeat(20)),
        &[piece(65_536), piece(65_536), piece(7)],
    );
    insert(7, "cccccccccccc", "image/png", false, true, None, &[piece(500)]);
    for key in 100..200 {
        insert(key, &format!("{key:012x}"), "text/plain", false, false, None, &[piece(30_000)]);
    }
    database.execute_batch("DELETE FROM paste WHERE key >= 100; DELETE FROM content WHERE key >= 6553600;").unwrap();
    database.execute("INSERT INTO seen VALUES (3, ?1)", [now + 5000]).unwrap();
    let hash = Sha256::digest(b"submitted before").to_vec();
    for _ in 0..3 {
        database.execute("INSERT INTO submission VALUES (?1, ?2)", rusqlite::params![hash, now - 5]).unwrap();
    }
    database.execute("INSERT INTO setting VALUES ('pow_secret', x'00112233')", []).unwrap();
    let token = [&(now + 300).to_be_bytes()[..], b"spent"].concat();
    database.execute("INSERT INTO spent_token VALUES (?1)", [token]).unwrap();
}

#[test]
fn migrating_version_1_encrypts_everything_and_leaves_no_plaintext() {
    let marker = format!("needle-{}", std::process::id());
    let folder = Arc::new(Folder::new());
    let path = folder.join("pastes.db");
    make_version_1(&path, &marker);
    let pieces = [65_536, 65_536, 7].map(|size| format!("{marker} ").repeat(size)[..size].to_owned());
    assert!(!files_with(folder.path(), &marker).is_empty(), "the search works");
    let old = fs::read(&path).unwrap();
    let line = refusal(folder.path(), &[("FLASKPASTE_DB", path.to_str().unwrap())], &["stats"], 1);
    assert!(line.contains("version 1") && line.contains("start the server"), "{line}");
    assert!(fs::read(&path).unwrap() == old, "a command changes nothing");
    // Held open: the old contents are overwritten, not only unlinked.
    let unlinked = fs::File::open(&path).unwrap();

    let mut server = Server::embedded_in(Arc::clone(&folder), &[]);
    assert!(server.log().contains("3 pastes sealed"), "{}", server.log());
    for restarted in [false, true] {
        assert_eq!(files_with(folder.path(), &marker), Vec::<String>::new());
        for readable in ["aaaaaaaaaaaa", "bbbbbbbbbbbb", "text/x-needle", "image/png", &"ab".repeat(20)] {
            assert_eq!(files_with(folder.path(), readable), Vec::<String>::new(), "{readable}");
        }
        let text = server.get("/aaaaaaaaaaaa").expect_status(200).json();
        assert!(text["expires_at"].as_u64().unwrap() >= unix_now() + 4900, "earlier reads count: {text}");
        server.get("/bbbbbbbbbbbb/raw").expect_body(pieces.concat()).expect_header("Content-Type", "text/x-needle");
        server.head("/cccccccccccc/raw").expect_header("Content-Length", "500");
        if !restarted {
            server.crash_and_restart();
        }
    }
    let mut left = Vec::new();
    std::io::Read::read_to_end(&mut &unlinked, &mut left).unwrap();
    assert!(left.iter().all(|byte| *byte == 0) && left.len() >= old.len(), "the old file's blocks still hold pastes");
    server.post("submitted before").send().expect_code(429, "duplicate");
    let owner = server.request("GET", "/bbbbbbbbbbbb").header("X-SSL-Client-SHA1", "ab".repeat(20));
    owner.send().expect_field("owner", "ab".repeat(20).as_str());
    server.get("/cccccccccccc/raw").expect_status(200).expect_header("X-Burn-After-Read", "true");
    server.get("/cccccccccccc/raw").expect_code(404, "not_found");
    server.request("DELETE", "/aaaaaaaaaaaa").header("X-Delete-Token", "token").send().expect_status(200);
    server.request("DELETE", "/bbbbbbbbbbbb").header("X-SSL-Client-SHA1", "ab".repeat(20)).send().expect_status(200);
    server.get("/000000000064").expect_code(404, "not_found");
    let database = rusqlite::Connection::open(server.database()).unwrap();
    let (check, kept): (String, Vec<u8>) = database
        .query_row(
            "SELECT (SELECT * FROM pragma_integrity_check), value FROM setting WHERE name = 'pow_secret'",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    assert_eq!((check.as_str(), kept.as_slice()), ("ok", &[0x00, 0x11, 0x22, 0x33][..]));
    let tokens: i64 = database.query_row("SELECT count(*) FROM spent_token", [], |row| row.get(0)).unwrap();
    assert_eq!(tokens, 1);
}

/// Tests that take seconds; `make test-quick` skips them.
mod slow {
    use super::*;

    #[test]
    fn an_interrupted_migration_restarts_and_a_concurrent_one_is_refused() {
        let folder = Arc::new(Folder::new());
        let path = folder.join("pastes.db");
        make_version_1(&path, "content");
        fs::write(folder.join("pastes.db.sealing"), "what a killed start left").unwrap();
        fs::write(folder.join("pastes.db.unsealed"), "what another left").unwrap();
        let reader = rusqlite::Connection::open(&path).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM paste;").unwrap();
        let variables = [("FLASKPASTE_DB", path.to_str().unwrap()), ("FLASKPASTE_BIND", "127.0.0.1:0")];
        let line = refusal(folder.path(), &variables, &[], 1);
        assert!(line.contains("another process has it open") && line.contains("nothing was changed"), "{line}");
        drop(reader);
        // A malformed row: the migration is refused, and the WAL stays.
        let database = rusqlite::Connection::open(&path).unwrap();
        database.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
        database.execute_batch("UPDATE paste SET id = 'no id' WHERE key = 3").unwrap();
        drop(database);
        let files = || [&path, &folder.join("pastes.db-wal")].map(|file| fs::read(file).unwrap());
        let before = files();
        assert!(!before[1].is_empty());
        let output = run(folder.path(), &variables, &[]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("the ID of a paste is malformed; nothing was changed"), "{said}");
        assert!(files() == before, "nothing was changed");
        let database = rusqlite::Connection::open(&path).unwrap();
        database.execute_batch("UPDATE paste SET id = 'aaaaaaaaaaaa' WHERE key = 3").unwrap();
        drop(database);
        let server = Server::embedded_in(Arc::clone(&folder), &[]);
        server.get("/aaaaaaaaaaaa/raw").expect_status(200);
        assert!(!folder.join("pastes.db.sealing").exists() && !folder.join("pastes.db.unsealed").exists());
    }

    /// A long reader, such as a backup of a large database, keeps the log from being emptied. Creates do not wait for
    /// it.
    #[test]
    fn a_long_database_reader_does_not_block_creates() {
        let server = Server::embedded(&[]);
        let first = server.paste("first");
        let reader = rusqlite::Connection::open(server.database()).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM paste;").unwrap();
        delete(&server, &first);
        let (until, mut number) = (unix_now() + 4, 0);
        wait_until("the writer has tried to empty the log a few times", SOON, || {
            let started = std::time::Instant::now();
            number += 1;
            server.paste(format!("paste {number}"));
            assert!(started.elapsed() < Duration::from_secs(2), "a create waited {:?}", started.elapsed());
            unix_now() > until
        });
        reader.execute_batch("COMMIT").unwrap();
        let wal = server.folder().join("pastes.db-wal");
        wait_until("the log is emptied", ERASED_WITHIN, || fs::metadata(&wal).unwrap().len() == 0);
    }
}
