//! A 201 means the paste is on the disk, whatever happens next.

use crate::harness::{Folder, Paste, SOON, Server, program, run, wait_until};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Creates a paste over a socket that may break at any moment; its id if the server has acknowledged it.
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
    // A partial body is an acknowledgement too, but of an unknown id.
    let body: serde_json::Value = serde_json::from_str(body).ok()?;
    assert!(head.starts_with("HTTP/1.1 201 "), "{answer}");
    Some(body["id"].as_str().unwrap().to_owned())
}

#[test]
fn no_acknowledged_write_is_lost_when_the_server_is_killed_under_load() {
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

/// The server starts after a kill at any moment of its first start.
#[test]
fn the_server_starts_after_its_first_start_was_killed() {
    for milliseconds in 0..40 {
        let folder = Arc::new(Folder::new());
        let mut first =
            program(folder.path(), &[("FLASKPASTE_BIND", "127.0.0.1:0"), ("FLASKPASTE_DB", "p.db")]).spawn().unwrap();
        let started = Instant::now();
        while started.elapsed() < Duration::from_millis(milliseconds) {
            std::hint::spin_loop();
        }
        first.kill().unwrap();
        first.wait().unwrap();
        let server = Server::start_in(folder, &[("FLASKPASTE_DB", "p.db")]);
        server.paste(format!("killed after {milliseconds} ms"));
    }
}

/// A checkpoint copies pages from the WAL into the database in order. A crash after the first one leaves a file whose
/// header refers to pages that only the WAL has.
#[test]
fn a_crash_during_a_checkpoint_loses_nothing() {
    const PAGE_BYTES: usize = 4096;
    let mut server = Server::embedded(&[]);
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
fn deletes_and_burns_survive_a_crash() {
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
fn pastes_keep_all_properties_across_a_restart() {
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

#[test]
fn the_database_file_shrinks_after_large_deletions() {
    let server = Server::embedded(&[]);
    let wal = server.folder().join("pastes.db-wal");
    let size =
        || [&server.database(), &wal].into_iter().map(|file| std::fs::metadata(file).unwrap().len()).sum::<u64>();
    let pastes: Vec<Paste> = (0..20).map(|n| server.paste(format!("{n:07} ").repeat(250_000))).collect();
    let total = 20 * 2_000_000;
    wait_until("the content has reached the files", SOON, || size() > total / 2);
    for paste in &pastes {
        delete(&server, paste);
    }
    wait_until("the files have shrunk", Duration::from_secs(60), || size() < total / 10);
    server.expect_alive();
}

#[test]
fn restoring_a_backup_restores_everything() {
    let mut server = Server::embedded(&[]);
    let (kept, deleted) = (server.paste("kept"), server.paste("deleted later"));
    let updated = server.paste("before");
    let blocked = server.paste("blocked");
    assert!(server.run(&["block", &blocked.id]).status.success());
    let token = server.run(&["token", "add", "anna"]);
    let token = String::from_utf8(token.stdout).unwrap().trim().to_owned();
    let put = server.request("PUT", &updated.raw()).header("X-Delete-Token", &updated.delete_token).body("after");
    put.send().expect_status(200);
    let backup = server.folder().join("backup.db");
    assert!(server.run(&["backup", backup.to_str().unwrap()]).status.success());
    server.request("DELETE", &deleted.path()).header("X-Delete-Token", &deleted.delete_token).send().expect_status(200);
    let newer = server.paste("newer");
    server.stop();
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", server.database().display()));
    }
    std::fs::copy(&backup, server.database()).unwrap();
    server.restart();
    server.get(&kept.raw()).expect_body("kept");
    server.get(&deleted.raw()).expect_body("deleted later");
    server.get(&newer.raw()).expect_code(404, "not_found");
    server.get(&updated.raw()).expect_body("after");
    server.request("POST", "/").body("blocked").send().expect_code(403, "blocked");
    let authorization = format!("Bearer {token}");
    server.request("POST", "/").header("Authorization", &authorization).body("owned").send().expect_status(201);
    let log = server.run(&["log"]);
    let log = String::from_utf8(log.stdout).unwrap();
    assert!(log.contains("block") && log.contains("anna"), "{log}");
    server.request("DELETE", &kept.path()).header("X-Delete-Token", &kept.delete_token).send().expect_status(200);
    // The backup itself is a usable database.
    let pepper = server.pepper();
    let variables = [("FLASKPASTE_DB", backup.to_str().unwrap()), ("FLASKPASTE_PEPPER_FILE", pepper.to_str().unwrap())];
    let stats = run(server.folder().path(), &variables, &["stats", "--json"]);
    let stats: serde_json::Value = serde_json::from_slice(&stats.stdout).unwrap();
    assert_eq!(stats["pastes"], 3);
}
