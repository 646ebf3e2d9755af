//! A 201 is on the disk, whatever happens next; and what was erased is on the disk no more.

use crate::harness::{Paste, SOON, Server, unix_now, wait_until};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// Within this time erased bytes are gone from every file.
const ERASED_WITHIN: Duration = Duration::from_secs(10);

/// Creates a paste over a socket that may break at any moment; its id once the server has acknowledged it.
fn try_create(authority: &str, content: &str) -> Option<String> {
    let mut socket = TcpStream::connect(authority).ok()?;
    socket.set_read_timeout(Some(SOON)).ok()?;
    let head = format!("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", content.len());
    socket.write_all(head.as_bytes()).ok()?;
    socket.write_all(content.as_bytes()).ok()?;
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    // A part of a body is an acknowledgement too, but one whose id we do not know.
    let body: serde_json::Value = serde_json::from_str(body).ok()?;
    assert!(head.starts_with("HTTP/1.1 201 "), "{answer}");
    Some(body["id"].as_str().unwrap().to_owned())
}

#[test]
fn nothing_acknowledged_is_lost_when_the_server_is_killed_under_load() {
    const WRITERS: usize = 8;
    let mut server = Server::start(&[]);
    let mut acknowledged: Vec<(String, String)> = Vec::new();
    for round in 0..4 {
        let (authority, count, stop) = (server.authority(), AtomicUsize::new(0), AtomicBool::new(false));
        let write = |writer: usize| {
            let mut written = Vec::new();
            for n in 0.. {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                let content = format!("round {round} writer {writer} paste {n} ").repeat(1 + (n * 37) % 9000);
                match try_create(&authority, &content) {
                    Some(id) => written.push((id, content)),
                    None => break,
                }
                count.fetch_add(1, Ordering::SeqCst);
            }
            written
        };
        let new = std::thread::scope(|scope| {
            let write = &write;
            let writers: Vec<_> = (0..WRITERS).map(|writer| scope.spawn(move || write(writer))).collect();
            wait_until("enough is written", SOON, || count.load(Ordering::SeqCst) > 100 + 20 * round);
            server.kill();
            stop.store(true, Ordering::SeqCst);
            writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect::<Vec<_>>()
        });
        assert!(new.len() > 100);
        acknowledged.extend(new);
        server.restart();
        for (id, content) in &acknowledged {
            server.get(&format!("/{id}/raw")).expect_status(200).expect_body(content.as_str());
        }
        let database = rusqlite::Connection::open(server.database()).unwrap();
        let check: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(check, "ok", "round {round}");
    }
}

/// A checkpoint copies pages from the WAL into the database in their order. A crash after the first one leaves a file
/// whose header tells of pages that only the WAL has.
#[test]
fn a_crash_in_the_middle_of_a_checkpoint_loses_nothing() {
    const PAGE_BYTES: usize = 4096;
    let mut server = Server::start(&[]);
    let database = server.database();
    let wal = server.folder().join("pastes.db-wal");
    let pastes: Vec<Paste> = (0..10).map(|n| server.paste(format!("paste {n} ").repeat(5000))).collect();
    server.kill();
    assert!(std::fs::metadata(&wal).unwrap().len() > 400_000, "the pastes should still be in the WAL");
    let copy = server.folder().join("copy.db");
    std::fs::copy(&database, &copy).unwrap();
    std::fs::copy(&wal, server.folder().join("copy.db-wal")).unwrap();
    drop(rusqlite::Connection::open(&copy).unwrap().query_row("PRAGMA wal_checkpoint(FULL)", [], |_| Ok(())));
    let first_page = std::fs::read(&copy).unwrap()[..PAGE_BYTES].to_vec();
    let mut bytes = std::fs::read(&database).unwrap();
    assert!(bytes[..PAGE_BYTES] != first_page, "the checkpoint should change the first page");
    bytes[..PAGE_BYTES].copy_from_slice(&first_page);
    std::fs::write(&database, bytes).unwrap();
    server.restart();
    for (n, paste) in pastes.iter().enumerate() {
        server.get(&paste.raw()).expect_status(200).expect_body(format!("paste {n} ").repeat(5000));
    }
}

#[test]
fn deletes_and_burns_survive_a_crash_too() {
    let mut server = Server::start(&[]);
    let (deleted, burned, kept) = (
        server.paste("deleted"),
        server.post("burned").header("X-Burn-After-Read", "1").created(),
        server.paste("kept"),
    );
    delete(&server, &deleted);
    server.get(&burned.raw()).expect_status(200);
    server.crash_and_restart();
    server.get(&deleted.raw()).expect_code(404, "not_found");
    server.get(&burned.raw()).expect_code(404, "not_found");
    server.get(&kept.raw()).expect_body("kept");
}

#[test]
fn pastes_survive_an_orderly_restart_with_all_their_properties() {
    let mut server = Server::start(&[]);
    let request = server.post("x").header("X-Expiry", "1000").header("X-Burn-After-Read", "1");
    let paste = request.header("X-Paste-Password", "p").header("Content-Type", "text/markdown").created();
    let before = server.get(&paste.path()).json();
    server.stop();
    server.restart();
    assert_eq!(server.get(&paste.path()).json(), before);
    server.get(&paste.raw()).expect_code(401, "password_required");
    let read = server.request("GET", &paste.raw()).header("X-Paste-Password", "p");
    read.send().expect_status(200).expect_body("x").expect_header("Content-Type", "text/markdown");
}

#[track_caller]
fn delete(server: &Server, paste: &Paste) {
    let request = server.request("DELETE", &paste.path()).header("X-Delete-Token", paste.delete_token.as_str());
    request.send().expect_status(200);
}

/// The database's files (itself, WAL, shared memory and whatever else begins with its name) that contain these bytes.
fn files_with(database: &Path, bytes: &str) -> Vec<String> {
    let name = database.file_name().unwrap().to_str().unwrap();
    let entries = std::fs::read_dir(database.parent().unwrap()).unwrap().map(Result::unwrap);
    let files = entries.filter(|entry| entry.file_name().to_str().unwrap().starts_with(name));
    let contains = |path: &Path| {
        // A file that goes meanwhile contains nothing.
        let content = std::fs::read(path).unwrap_or_default();
        content.windows(bytes.len()).any(|window| window == bytes.as_bytes())
    };
    files.filter(|file| contains(&file.path())).map(|file| file.file_name().into_string().unwrap()).collect()
}

/// Content with a marker that can be looked for, large enough to spread over many pages where `large` says so.
fn marked(marker: &str, large: bool) -> String {
    format!("{marker} ").repeat(if large { 20_000 } else { 3 })
}

#[test]
fn erased_bytes_vanish_from_every_file() {
    let server = Server::start(&[]);
    let database = server.database();
    server.paste("a paste that stays");
    for large in [false, true] {
        let name = |way: &str| format!("marker-{way}-{}-{large}", std::process::id());
        let [burned, deleted, expired] = ["burned", "deleted", "expired"].map(name);
        let burn = server.post(marked(&burned, large)).header("X-Burn-After-Read", "1").created();
        let gone = server.paste(marked(&deleted, large));
        let dying = server.post(marked(&expired, large)).header("X-Expiry", "1").created();
        for marker in [&burned, &deleted] {
            assert!(!files_with(&database, marker).is_empty(), "{marker} should be somewhere");
        }
        server.get(&burn.raw()).expect_status(200);
        delete(&server, &gone);
        for marker in [&burned, &deleted] {
            let what = format!("{marker} is in no file");
            wait_until(&what, ERASED_WITHIN, || files_with(&database, marker).is_empty());
        }
        wait_until("the paste has expired", SOON, || server.get(&dying.path()).status == 404);
        wait_until("it is purged", ERASED_WITHIN, || files_with(&database, &expired).is_empty());
    }
}

#[test]
fn what_expired_while_the_server_was_down_is_erased_after_the_start() {
    let mut server = Server::start(&[]);
    let marker = format!("marker-down-{}", std::process::id());
    let paste = server.post(marked(&marker, false)).header("X-Expiry", "2").created();
    let expires_at = server.head(&paste.path()).expect_status(200);
    assert_eq!(expires_at.status, 200);
    server.kill();
    let down_until = unix_now() + 3;
    wait_until("the paste has expired", SOON, || unix_now() > down_until);
    server.restart();
    server.get(&paste.raw()).expect_code(404, "not_found");
    let database = server.database();
    wait_until("it is erased", ERASED_WITHIN, || files_with(&database, &marker).is_empty());
}

#[test]
fn what_is_erased_before_a_crash_is_erased_after_it() {
    let mut server = Server::start(&[]);
    let marker = format!("marker-crash-{}", std::process::id());
    let paste = server.post(marked(&marker, false)).header("X-Burn-After-Read", "1").created();
    server.get(&paste.raw()).expect_status(200);
    server.crash_and_restart();
    let database = server.database();
    wait_until("it is erased", ERASED_WITHIN, || files_with(&database, &marker).is_empty());
}

#[test]
fn passwords_and_tokens_are_not_kept_as_they_are() {
    let server = Server::start(&[]);
    let password = format!("password-{}", std::process::id());
    let paste = server.post("x").header("X-Paste-Password", password.as_str()).created();
    assert!(files_with(&server.database(), &password).is_empty());
    assert!(files_with(&server.database(), &paste.delete_token).is_empty());
    assert!(!files_with(&server.database(), &paste.id).is_empty(), "the id shows that the search works");
}

#[test]
fn the_file_shrinks_after_a_big_deletion() {
    let server = Server::start(&[]);
    let size = || std::fs::metadata(server.database()).unwrap().len();
    let pastes: Vec<Paste> = (0..20).map(|n| server.paste(format!("{n:07} ").repeat(250_000))).collect();
    let total = 20 * 2_000_000;
    wait_until("the content has reached the file", SOON, || size() > total / 2);
    for paste in &pastes {
        delete(&server, paste);
    }
    wait_until("the file has shrunk", Duration::from_secs(60), || size() < total / 10);
    server.expect_alive();
}
