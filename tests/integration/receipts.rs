//! What the owner of a paste learns about it, before and after its end.

use crate::harness::{Paste, SOON, Server, unix_now, wait_until};
use crate::response::Response;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fs;

const OWNER: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn ask(server: &Server, id: &str, token: &str) -> Response {
    server.request("GET", &format!("/{id}/status")).header("X-Delete-Token", token).send()
}

fn status(server: &Server, paste: &Paste) -> Response {
    ask(server, &paste.id, &paste.delete_token).expect_status(200)
}

#[test]
fn only_reads_of_the_content_are_counted() {
    let server = Server::start(&[]);
    for paste in [server.paste("sliding"), server.post("fixed").header("X-Expiry", "1000").created()] {
        let fresh = status(&server, &paste).expect_field("state", "unread").expect_field("reads", 0);
        let fresh = fresh.expect_field("first_read_at", Value::Null).expect_no_fields(&["reads_left", "ended_at"]);
        let expires_at = server.get(&paste.path()).json()["expires_at"].clone();
        fresh.expect_field("id", paste.id.as_str()).expect_field("expires_at", expires_at);
        server.head(&paste.raw());
        server.get(&paste.path());
        status(&server, &paste).expect_field("state", "unread");
        for _ in 0..3 {
            server.get(&paste.raw()).expect_status(200);
        }
        let read = status(&server, &paste).expect_field("state", "read").expect_field("reads", 3).json();
        let (first, last) = (read["first_read_at"].as_u64().unwrap(), read["last_read_at"].as_u64().unwrap());
        assert!(first <= last && (unix_now() - 5..=unix_now()).contains(&last), "{read}");
    }
}

#[test]
fn each_ending_has_its_state() {
    let mut server = Server::start(&[]);
    let expired = server.post("expired").header("X-Expiry", "1").created();
    let deleted = server.paste("deleted");
    server.get(&deleted.raw()).expect_status(200);
    let read = server.post("read").header("X-Reads", "2").created();
    for _ in 0..2 {
        server.get(&read.raw()).expect_status(200);
    }
    server.request("DELETE", &deleted.path()).header("X-Delete-Token", &deleted.delete_token).send().expect_status(200);
    wait_until("it has expired", SOON, || server.get(&expired.path()).status == 404);
    for _ in 0..2 {
        for (paste, state, reads) in [(&expired, "expired", 0), (&deleted, "deleted", 1), (&read, "read", 2)] {
            let ended = status(&server, paste).expect_field("state", state).expect_field("reads", reads);
            let ended_at = ended.json()["ended_at"].as_u64().unwrap();
            assert!((unix_now() - 20..=unix_now()).contains(&ended_at), "{ended_at}");
        }
        server.crash_and_restart();
    }
}

#[test]
fn only_the_owner_sees_the_receipt_and_later_only_the_token() {
    let server = Server::start(&[]);
    let paste = server.post("owned").header("X-SSL-Client-SHA1", OWNER).created();
    let other = server.paste("other");
    let as_owner =
        |owner: &str| server.request("GET", &format!("/{}/status", paste.id)).header("X-SSL-Client-SHA1", owner).send();
    for ended in [false, true] {
        server.get(&format!("/{}/status", paste.id)).expect_code(401, "auth_required");
        server.get("/abcdef012345/status").expect_code(401, "auth_required");
        status(&server, &paste);
        ask(&server, &paste.id, "wrong").expect_code(404, "not_found");
        ask(&server, &paste.id, &other.delete_token).expect_code(404, "not_found");
        ask(&server, "abcdef012345", &paste.delete_token).expect_code(404, "not_found");
        as_owner(&"b".repeat(40)).expect_code(404, "not_found");
        if ended {
            as_owner(OWNER).expect_code(404, "not_found");
        } else {
            as_owner(OWNER).expect_status(200).expect_field("state", "unread");
            let delete = server.request("DELETE", &paste.path()).header("X-SSL-Client-SHA1", OWNER);
            delete.send().expect_status(200);
        }
    }
}

/// The key is derived as documented, so that neither id nor token can be found in the database.
#[test]
fn receipts_are_keyed_by_token_and_id() {
    let mut server = Server::embedded(&[]);
    let paste = server.post("gone").header("X-Burn-After-Read", "1").created();
    server.get(&paste.raw()).expect_status(200);
    server.stop();
    let token_hash = Sha256::digest(&paste.delete_token);
    let key = Sha256::digest([token_hash.as_slice(), paste.id.as_bytes()].concat());
    let database = rusqlite::Connection::open(server.database()).unwrap();
    let rows: u32 = database
        .query_row("SELECT count(*) FROM receipt WHERE token = ?1", [key.as_slice()], |row| row.get(0))
        .unwrap();
    assert_eq!(rows, 1);
    drop(database);
    let file = fs::read(server.database()).unwrap();
    for secret in [paste.id.as_bytes(), paste.delete_token.as_bytes(), token_hash.as_slice()] {
        assert!(!file.windows(secret.len()).any(|window| window == secret));
    }
}

#[test]
fn receipts_can_be_disabled() {
    let server = Server::start(&[("FLASKPASTE_RECEIPT_DAYS", "0")]);
    let paste = server.post("gone").header("X-Burn-After-Read", "1").created();
    status(&server, &paste).expect_field("state", "unread");
    server.get(&paste.raw()).expect_status(200);
    ask(&server, &paste.id, &paste.delete_token).expect_code(404, "not_found");
}

/// Created by flaskpaste 0.1.0 before there were gates: the dump of a version 2 database and its pepper.
#[test]
fn a_version_2_database_is_migrated() {
    let folder = std::sync::Arc::new(crate::harness::Folder::new());
    let path = folder.join("pastes.db");
    let database = rusqlite::Connection::open(&path).unwrap();
    database.execute_batch("PRAGMA auto_vacuum = INCREMENTAL;").unwrap();
    database.execute_batch(include_str!("version2.sql")).unwrap();
    database.execute_batch("PRAGMA application_id = 0x66707374; PRAGMA user_version = 2;").unwrap();
    drop(database);
    fs::write(folder.join("pastes.db.pepper"), "db9061719fe3dc4f414eeb413e60ee35c7aae02a262106f401c1eb1c8046de9c\n")
        .unwrap();
    let old = fs::read(&path).unwrap();
    let line = crate::harness::refusal(folder.path(), &[("FLASKPASTE_DB", path.to_str().unwrap())], &["stats"], 1);
    assert!(line.contains("version 2") && line.contains("start the server"), "{line}");
    assert!(fs::read(&path).unwrap() == old, "a command changes nothing");

    let server = Server::embedded_in(folder, &[]);
    let paste = |id: &str, token: &str| Paste { id: id.into(), delete_token: token.into() };
    let sliding = paste("771277b8bd63", "5771977c7447614bd0621d7c0725fb4d");
    server.get(&sliding.raw()).expect_status(200).expect_body("a sliding paste");
    status(&server, &sliding).expect_field("state", "read").expect_field("reads", 1);
    let fixed = paste("422ac0bff1cf", "8297ddaba83e8af1b4eff372873a4214");
    server.get(&fixed.raw()).expect_status(200).expect_body("a fixed paste");
    let burn = paste("d9c4726920ad", "b6fccf0c6433defac6c0cd1cbadaddfc");
    server.get(&burn.path()).expect_field("burn_after_read", true).expect_field("reads_left", 1);
    let held = server.request("POST", "/d9c4726920ad/lease").send().expect_status(201).json()["lease"].clone();
    let read = server.request("GET", &burn.raw()).header("X-Lease", held.as_str().unwrap()).send();
    read.expect_status(200).expect_body("a burn paste");
    server.get(&burn.raw()).expect_code(404, "not_found");
    let protected = paste("09a0f03591be", "9c4023050dbd3197ab24125918bafa6c");
    server.get(&protected.raw()).expect_code(401, "password_required");
    let read = server.request("GET", &protected.raw()).header("X-Paste-Password", "word").send();
    read.expect_status(200).expect_body("a protected paste");
    // Its id was not secret when it was created, so it leaves no receipt.
    server
        .request("DELETE", &fixed.path())
        .header("X-Delete-Token", "wrong")
        .send()
        .expect_code(403, "permission_denied");
    server.request("DELETE", &fixed.path()).header("X-Delete-Token", &fixed.delete_token).send().expect_status(200);
    ask(&server, &fixed.id, &fixed.delete_token).expect_code(404, "not_found");
    let as_owner = server.request("DELETE", &sliding.path()).header("X-SSL-Client-SHA1", OWNER).send();
    as_owner.expect_status(200);
}
