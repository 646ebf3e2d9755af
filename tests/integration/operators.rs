//! What operators do while the server runs: list, show, delete, block, and read the audit log.

use crate::harness::{Paste, SOON, Server, wait_until};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs;
use std::process::Output;

const OWNER: &str = "0123456789abcdef0123456789abcdef01234567";

#[track_caller]
fn out(output: &Output, code: i32) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{errors}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn handle(server: &Server, content: &str) -> (Paste, String) {
    let answer = server.post(content).send().expect_status(201).json();
    let text = |name: &str| answer[name].as_str().unwrap().to_owned();
    (Paste { id: text("id"), delete_token: text("delete_token") }, text("handle"))
}

fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[test]
fn list_shows_every_paste_without_its_id() {
    let server = Server::start(&[]);
    let (plain, first) = handle(&server, "plain");
    let burn = server.post("burn").header("X-Burn-After-Read", "1").header("X-Filename", "secret-name.txt").created();
    server.post("limited").header("X-Reads", "5").send().expect_status(201);
    server.post("owned").header("X-SSL-Client-SHA1", OWNER).header("X-Expiry", "60").send().expect_status(201);
    let list = out(&server.run(&["list"]), 0);
    let lines: Vec<&str> = list.lines().collect();
    assert_eq!(lines.len(), 5, "{list}");
    assert!(lines[1].ends_with("owned") && lines[2].ends_with("sliding,limited") && lines[3].ends_with("sliding,burn"));
    assert!(lines[4].starts_with(&first) && lines[4].ends_with("sliding"), "the newest first: {list}");
    for secret in [plain.id.as_str(), &burn.id, "secret-name", OWNER] {
        assert!(!list.contains(secret));
    }
    let json = out(&server.run(&["list", "--json"]), 0);
    let limited: Value = serde_json::from_str(json.lines().nth(1).unwrap()).unwrap();
    assert_eq!((&limited["reads_left"], &limited["size"]), (&5.into(), &7.into()));
    assert_eq!(json.lines().count(), 4);
}

#[test]
fn long_lists_are_paginated() {
    let server = Server::start(&[("FLASKPASTE_DEDUP_MAX", "0")]);
    let mut connection = server.connect();
    for number in 0..1100 {
        server.post(format!("{number}")).send_on(&mut connection).expect_status(201);
    }
    let list = out(&server.run(&["list"]), 0);
    let handles: std::collections::BTreeSet<&str> = list.lines().skip(1).map(|line| &line[..16]).collect();
    assert_eq!(handles.len(), 1100);
}

#[test]
fn show_reveals_less_by_handle_than_by_id() {
    let server = Server::start(&[]);
    let token = out(&server.run(&["token", "add", "ci"]), 0);
    let request = server.post("hello").header("Authorization", format!("Bearer {}", token.trim_end()));
    let created = request.header("X-Filename", "UTF-8''a%C5%BC.c").send().expect_status(201).json();
    let (id, handle) = (created["id"].as_str().unwrap(), created["handle"].as_str().unwrap());
    server.get(&format!("/{id}/raw")).expect_status(200);
    let by_id = out(&server.run(&["show", id]), 0);
    for line in ["size        5 bytes", "owner       token:ci", "file        aż.c", "type        text/plain"] {
        assert!(by_id.contains(line), "{line} in {by_id}");
    }
    let by_handle = out(&server.run(&["show", handle]), 0);
    assert!(by_handle.contains("owner       token:ci") && !by_handle.contains("aż.c"), "{by_handle}");
    // Showing is not a read and extends nothing.
    let status =
        server.request("GET", &format!("/{id}/status")).header("Authorization", format!("Bearer {}", token.trim_end()));
    status.send().expect_field("reads", 1);
    for (arguments, code) in [
        (&["show", "000000000000"][..], 3),
        (&["show", "0000000000000000"], 3),
        (&["show"], 2),
        (&["show", "xyz"], 2),
        (&["show", id, "--decrypt"], 2),
        (&["show", id, "--key-from", "/nonexistent"], 1),
    ] {
        assert_eq!(server.run(arguments).status.code(), Some(code), "{arguments:?}");
    }
    let link = server.run(&["show", "http://x/abcd#FIvWYKShYD8N5nPdassdTrwxtWyJGwzGQvET57hEUY4"]);
    let words = String::from_utf8(link.stderr).unwrap();
    assert!(link.status.code() == Some(2) && !words.contains("FIvWY") && words.contains("--key-from"), "{words}");
}

#[test]
fn takedown_is_immediate_and_visible_to_the_owner() {
    let server = Server::start(&[]);
    let (by_id, _) = handle(&server, "one");
    let (by_handle, name) = handle(&server, "two");
    let (kept, _) = handle(&server, "three");
    for paste in [&by_id, &by_handle, &kept] {
        // Read twice, so that it is in the server's memory.
        server.get(&paste.raw()).expect_status(200);
        server.get(&paste.raw()).expect_status(200);
    }
    let deleted = server.run(&["delete", "000000000000", &by_id.id, &name]);
    out(&deleted, 3);
    assert!(String::from_utf8(deleted.stderr).unwrap().contains("000000000000"), "missing pastes are named");
    for paste in [&by_id, &by_handle] {
        wait_until("the change is in effect", SOON, || server.get(&paste.raw()).status == 404);
        let status = server.request("GET", &format!("{}/status", paste.path()));
        status.header("X-Delete-Token", &paste.delete_token).send().expect_field("state", "removed");
    }
    server.get(&kept.raw()).expect_status(200);
    out(&server.run(&["delete", &by_id.id]), 3);
    out(&server.run(&["delete"]), 2);
}

#[test]
fn blocked_content_is_refused_until_unblocked() {
    let server = Server::embedded(&[("FLASKPASTE_DEDUP_MAX", "0")]);
    let (paste, handle) = handle(&server, "forbidden");
    let other = server.paste("allowed");
    let printed = out(&server.run(&["block", &paste.id]), 0);
    let hash = sha256(b"forbidden");
    assert_eq!(printed, format!("{hash}  {}\n", paste.id));
    let refused = || server.post("forbidden").send().status == 403;
    wait_until("the change is in effect", SOON, refused);
    server.post("forbidden").send().expect_code(403, "blocked");
    server.request("PUT", "/x").body("forbidden").send().expect_code(403, "blocked");
    server.request("POST", "/").json(&serde_json::json!({ "content": "forbidden" })).send().expect_code(403, "blocked");
    server.post("forbidden").header("X-Burn-After-Read", "1").send().expect_code(403, "blocked");
    let replace = server.request("PUT", &other.raw()).header("X-Delete-Token", &other.delete_token);
    replace.body("forbidden").send().expect_code(403, "blocked");
    server.get(&other.raw()).expect_body("allowed");
    server.post("forbidden!").send().expect_status(201);
    server.get(&paste.raw()).expect_code(404, "not_found");
    // The database does not reveal what the blocked content is.
    let database = rusqlite::Connection::open(server.database()).unwrap();
    let mark: Vec<u8> = database.query_row("SELECT mark FROM blocked", [], |row| row.get(0)).unwrap();
    assert_ne!(mark, Sha256::digest(b"forbidden").to_vec());
    drop(database);
    // A failure does not stop the others, and takes precedence over a missing ID in the exit code.
    let [first, last] = ["another", "one more"].map(|content| server.paste(content));
    let (_, third) = self::handle(&server, "by its handle");
    out(&server.run(&["block", &first.id, "000000000000", &third, "111111111111", &last.id]), 1);
    for paste in [&first, &last] {
        wait_until("the change is in effect", SOON, || server.get(&paste.raw()).status == 404);
        out(&server.run(&["unblock", &sha256(if paste.id == first.id { b"another" } else { b"one more" })]), 0);
    }
    out(&server.run(&["block", &handle]), 3);
    out(&server.run(&["unblock", &sha256(b"other")]), 3);
    out(&server.run(&["unblock", "x"]), 2);
    out(&server.run(&["unblock", &hash]), 0);
    server.post("forbidden").send().expect_status(201);
    let log = out(&server.run(&["log"]), 0);
    let what: Vec<&str> = log.lines().map(|line| line.rsplit("  ").next().unwrap()).collect();
    assert_eq!(what.len(), 6, "{log}");
    let content = what[0].strip_prefix(&format!("block {handle}, ")).unwrap();
    assert_eq!(what[5], format!("unblock {content}"));
    assert!(!log.contains(&paste.id) && !log.contains(&hash), "neither id nor hash");
    let json: Value = serde_json::from_str(out(&server.run(&["log", "--json"]), 0).lines().next().unwrap()).unwrap();
    assert!(json["at"].is_u64() && json["who"].is_string());
}

#[test]
fn block_needs_the_id() {
    let server = Server::start(&[]);
    let (paste, handle) = handle(&server, "x");
    let refused = server.run(&["block", &handle]);
    let words = String::from_utf8(refused.stderr.clone()).unwrap();
    out(&refused, 1);
    assert!(words.contains("handle") && words.contains("only with the ID"), "{words}");
    server.get(&paste.raw()).expect_status(200);
}

#[test]
fn commands_need_a_database() {
    let folder = crate::harness::Folder::new();
    for arguments in [&["list"][..], &["log"], &["token", "list"], &["delete", "abcd"]] {
        let line = crate::harness::refusal(folder.path(), &[], arguments, 1);
        assert!(line.contains("no such database"), "{line}");
    }
}

/// Created by flaskpaste 0.1.0 before there were tokens: the dump of a version 3 database and its pepper.
#[test]
fn a_version_3_database_is_migrated() {
    let folder = std::sync::Arc::new(crate::harness::Folder::new());
    let path = folder.join("pastes.db");
    let database = rusqlite::Connection::open(&path).unwrap();
    database.execute_batch("PRAGMA auto_vacuum = INCREMENTAL;").unwrap();
    database.execute_batch(include_str!("version3.sql")).unwrap();
    database.execute_batch("PRAGMA application_id = 0x66707374; PRAGMA user_version = 3;").unwrap();
    drop(database);
    fs::write(folder.join("pastes.db.pepper"), "1cf624417a2524e3d286a0613feb0d1c363b56a7deccb888de73962d2616bb0d\n")
        .unwrap();
    let server = Server::embedded_in(folder, &[]);
    let paste = |id: &str, token: &str| Paste { id: id.into(), delete_token: token.into() };
    let status = |paste: &Paste| {
        server.request("GET", &format!("{}/status", paste.path())).header("X-Delete-Token", &paste.delete_token).send()
    };
    let sliding = paste("c8650c72d725", "5f265b08383aa87f312dd474218b65b9");
    server.get(&sliding.raw()).expect_body("a sliding paste").expect_header("Content-Type", "text/x-python");
    status(&sliding).expect_field("reads", 3);
    let fixed = paste("54f9e6abdaf2", "65134690ee42a41a4d4542c0df45b6cb");
    server.get(&fixed.path()).expect_field("sliding", false).expect_no_fields(&["filename"]);
    let replace = server.request("PUT", &fixed.raw()).header("X-Delete-Token", &fixed.delete_token).body("replaced");
    replace.send().expect_status(200);
    server.get(&fixed.raw()).expect_body("replaced");
    let three = paste("4bae98787d30", "0c2cd646e6d8035a2c284cde82529646");
    server.get(&three.raw()).expect_body("a paste of three reads");
    status(&three).expect_field("reads_left", 1);
    let read = server.request("GET", "/ca78e99ed6c5/raw").header("X-Lease", "583f87820195eaca209ced43932be59a").send();
    read.expect_status(200).expect_body("a burn paste");
    server.get("/dbf96dd522ae/raw").expect_code(403, "proof_required");
    status(&paste("a629cf1a53a0", "5e0889679d12a69ec0e9961d0d71eb47")).expect_field("state", "deleted");
    let owned = server.request("GET", "/pastes").header("X-SSL-Client-SHA1", "ab".repeat(20)).send().expect_status(200);
    assert_eq!(owned.json()["pastes"].as_array().unwrap().len(), 1);
    out(&server.run(&["delete", &sliding.id]), 0);
    wait_until("the change is in effect", SOON, || server.get(&sliding.raw()).status == 404);
}
