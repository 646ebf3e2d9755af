//! What the owner of a paste can change: its expiry and its content.

use crate::harness::{Paste, SOON, Server, unix_now, wait_until};
use crate::http_client::Request;
use crate::response::Response;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

const OWNER: (&str, &str) = ("X-SSL-Client-SHA1", "0123456789abcdef0123456789abcdef01234567");

fn by_maker<'a>(server: &'a Server, method: &str, path: &str, paste: &Paste) -> Request<'a> {
    server.request(method, path).header("X-Delete-Token", &paste.delete_token)
}

fn extend(server: &Server, paste: &Paste, seconds: &str) -> Response {
    by_maker(server, "PATCH", &paste.path(), paste).header("X-Expiry", seconds).send()
}

fn replace<'a>(server: &'a Server, paste: &Paste, content: impl Into<Vec<u8>>) -> Request<'a> {
    by_maker(server, "PUT", &paste.raw(), paste).body(content)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[test]
fn patch_changes_the_expiry() {
    let server = Server::start(&[("FLASKPASTE_MAX_EXPIRY", "1000")]);
    let paste = server.paste("sliding");
    let moved = extend(&server, &paste, "500").expect_status(200).expect_field("sliding", false);
    let expires_at = moved.json()["expires_at"].as_u64().unwrap();
    assert!((490..=500).contains(&(expires_at - unix_now())), "{expires_at}");
    // No later read changes it, not even one in progress, nor does a crash.
    server.get(&paste.raw()).expect_status(200);
    server.get(&paste.path()).expect_field("expires_at", expires_at).expect_field("sliding", false);
    let most = extend(&server, &paste, "99999999999").expect_status(200).json()["expires_at"].as_u64().unwrap();
    assert!((990..=1000).contains(&(most - unix_now())));
    let shorter = extend(&server, &paste, "1").expect_status(200).json()["expires_at"].as_u64().unwrap();
    wait_until("it is gone", SOON, || server.get(&paste.path()).status == 404);
    assert!(unix_now() >= shorter);
    extend(&server, &paste, "500").expect_code(404, "not_found");
}

#[test]
fn a_changed_expiry_survives_crashes_and_earlier_reads() {
    let mut server = Server::start(&[]);
    let paste = server.paste("x");
    server.get(&paste.raw()).expect_status(200);
    let end = extend(&server, &paste, "60").expect_status(200).json()["expires_at"].clone();
    server.get(&paste.raw()).expect_status(200);
    // Recording the reads at shutdown must not extend it.
    server.stop();
    server.restart();
    server.get(&paste.path()).expect_field("expires_at", end.clone());
    server.crash_and_restart();
    server.get(&paste.path()).expect_field("expires_at", end);
    let status = by_maker(&server, "GET", &format!("{}/status", paste.path()), &paste).send();
    status.expect_field("reads", 2);
}

#[test]
fn only_the_owner_can_change_a_paste() {
    let server = Server::start(&[]);
    let owned = server.post("x").header(OWNER.0, OWNER.1).created();
    let paste = server.paste("y");
    for (method, path) in [("PATCH", paste.path()), ("PUT", paste.raw())] {
        let request = || server.request(method, &path).header("X-Expiry", "60").body("z");
        request().send().expect_code(401, "auth_required");
        request().header("X-Delete-Token", "wrong").send().expect_code(403, "permission_denied");
        request().header(OWNER.0, OWNER.1).send().expect_code(403, "permission_denied");
        let missing = server.request(method, &path.replace(&paste.id, "000000000000"));
        let missing = missing.header("X-Expiry", "60").body("z").header("X-Delete-Token", &paste.delete_token);
        missing.send().expect_code(404, "not_found");
    }
    let request = server.request("PATCH", &owned.path()).header(OWNER.0, OWNER.1).header("X-Expiry", "60");
    request.send().expect_status(200).expect_field("owner", OWNER.1);
    server.get(&paste.raw()).expect_body("y");
    by_maker(&server, "PATCH", &paste.path(), &paste).send().expect_code(400, "bad_request");
    for bad in ["0", "-1", "soon", "1.5"] {
        extend(&server, &paste, bad).expect_code(400, "invalid_expiry");
    }
}

#[test]
fn put_replaces_the_content_under_the_same_id() {
    let server = Server::start(&[
        ("FLASK_ENV", "production"),
        ("FLASKPASTE_POW_DIFFICULTY", "0"),
        ("FLASKPASTE_CREATE", "anyone"),
    ]);
    let paste = server.post("one").header("X-Filename", "a.txt").created();
    server.get(&paste.raw()).expect_body("one");
    server.get(&paste.raw()).expect_body("one");
    let before = server.get(&paste.path()).json();
    let replaced = replace(&server, &paste, "twofold").header("Content-Type", "text/x-c").send().expect_status(200);
    let replaced =
        replaced.expect_field("size", 7).expect_field("mime_type", "text/x-c").expect_field("filename", "a.txt");
    assert_eq!([&replaced.json()["id"], &replaced.json()["created_at"]], [&before["id"], &before["created_at"]]);
    server.get(&paste.raw()).expect_body("twofold").expect_header("Content-Type", "text/x-c");
    replace(&server, &paste, vec![0; 300_000]).header("X-Filename", "zeros").send().expect_field("filename", "zeros");
    assert_eq!(server.get(&paste.raw()).body, vec![0; 300_000]);
    // The read count and the token stay, and JSON is stored like any other content.
    let status = by_maker(&server, "GET", &format!("{}/status", paste.path()), &paste).send();
    status.expect_field("reads", 4);
    replace(&server, &paste, "{\"content\": \"x\"}")
        .header("Content-Type", "application/json")
        .send()
        .expect_status(200);
    server.get(&paste.raw()).expect_body("{\"content\": \"x\"}");
    by_maker(&server, "DELETE", &paste.path(), &paste).send().expect_status(200);
    replace(&server, &paste, "late").send().expect_code(404, "not_found");
}

#[test]
fn content_that_would_be_refused_replaces_nothing() {
    let limits =
        [("FLASKPASTE_MAX_ANON", "1000"), ("FLASKPASTE_MIN_ENTROPY", "3.0"), ("FLASKPASTE_MIN_ENTROPY_SIZE", "100")];
    let server = Server::start(&limits);
    let paste = server.paste("kept");
    replace(&server, &paste, vec![b'x'; 1001]).send().expect_code(413, "too_large");
    replace(&server, &paste, vec![b'x'; 200]).send().expect_code(400, "entropy_too_low");
    replace(&server, &paste, "").send().expect_code(400, "no_content");
    let proof = |name: &str, value: &str| replace(&server, &paste, "x").header(name, value).send();
    proof("X-Read-Proof-SHA256", "x").expect_code(400, "bad_request");
    proof("X-Password-Proof-SHA256", &"ab".repeat(32)).expect_code(400, "bad_request");
    let cut = format!(
        "PUT {} HTTP/1.1\r\nHost: x\r\nX-Delete-Token: {}\r\nContent-Length: 10\r\n\r\nfive!",
        paste.raw(),
        paste.delete_token
    );
    server.raw(cut).remove(0).expect_code(400, "bad_request");
    server.get(&paste.raw()).expect_body("kept");
    for header in ["X-Burn-After-Read", "X-Reads"] {
        let limited = server.post("limited").header(header, "1").created();
        replace(&server, &limited, "x").send().expect_code(409, "limited");
        server.get(&limited.raw()).expect_body("limited");
    }
    // Headers that would be silently ignored.
    for header in ["X-Expiry", "X-Burn-After-Read", "X-Reads", "X-Paste-Password", "X-Paste-Password-Base64"] {
        replace(&server, &paste, "x").header(header, "1").send().expect_code(400, "bad_request");
    }
    server.get(&paste.raw()).expect_body("kept");
    let protected = server.post("x").header("X-Paste-Password", "word").created();
    let proofs = replace(&server, &protected, "y").header("X-Read-Proof-SHA256", "ab".repeat(32)).send();
    proofs.expect_code(400, "bad_request");
    replace(&server, &protected, "y").send().expect_status(200).expect_field("password_protected", true);
    server.get(&protected.raw()).expect_code(401, "password_required");
}

#[test]
fn proofs_change_only_when_sent() {
    use base64::Engine;
    let server = Server::start(&[]);
    let proof = |byte: u8| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode([byte; 32]);
    let hash = |byte: u8| hex(&Sha256::digest([byte; 32]));
    let paste = server.post("one").header("X-Read-Proof-SHA256", hash(1)).created();
    let read = |byte: u8| server.request("GET", &paste.raw()).header("X-Read-Proof", proof(byte)).send();
    replace(&server, &paste, "two").send().expect_status(200).expect_field("proof_required", true);
    read(1).expect_body("two");
    replace(&server, &paste, "three").header("X-Read-Proof-SHA256", hash(2)).send().expect_status(200);
    read(1).expect_code(403, "proof_wrong");
    read(2).expect_body("three");
}

#[test]
fn concurrent_readers_get_the_old_or_the_new_content_whole() {
    let server = Server::start(&[]);
    let contents: Vec<Vec<u8>> = (0..2).map(|n| vec![b'a' + n; 400_000 + usize::from(n) * 100_000]).collect();
    let paste = server.paste(contents[0].clone());
    let (is_over, reads) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let read = server.get(&paste.raw()).expect_status(200);
                    assert!(contents.contains(&read.body), "mixed content of {} bytes", read.body.len());
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for round in 0..30 {
            replace(&server, &paste, contents[(round + 1) % 2].clone()).send().expect_status(200);
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert!(reads.load(Ordering::Relaxed) > 10);
}

#[test]
fn a_crash_during_replacement_leaves_the_old_or_the_new_content_whole() {
    let mut server = Server::start(&[]);
    let content = |number: usize| number.to_string().repeat(150_000);
    let paste = server.paste(content(100));
    let mut kept = 100;
    for round in 1..=4 {
        let acknowledged = AtomicUsize::new(kept);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut connection = server.connect();
                for number in kept + 1.. {
                    let request = replace(&server, &paste, content(number));
                    connection.send([request.head_bytes(), content(number).into_bytes()].concat());
                    let Some(answer) = connection.read_response("a replacement", false) else { break };
                    answer.expect_status(200);
                    acknowledged.store(number, Ordering::SeqCst);
                }
            });
            wait_until("some are stored", SOON, || acknowledged.load(Ordering::SeqCst) >= kept + 3 * round);
            server.signal("KILL");
        });
        server.crash_and_restart();
        let last = acknowledged.load(Ordering::SeqCst);
        let found = String::from_utf8(server.get(&paste.raw()).expect_status(200).body).unwrap();
        kept = if found == content(last) { last } else { last + 1 };
        assert!(found == content(kept), "round {round}: neither the acknowledged content nor the one in progress");
    }
}

/// Tests that take seconds; `make test-quick` skips them.
mod slow {
    use super::*;

    #[test]
    fn repeated_replacements_do_not_grow_the_database() {
        let server = Server::embedded(&[]);
        let paste = server.paste("0");
        let mut connection = server.connect();
        let waiting = || -> (u32, u32) {
            let database = rusqlite::Connection::open(server.database()).unwrap();
            let sql = "SELECT count(*), coalesce(sum(bytes), 0) FROM replaced";
            database.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
        };
        for number in 1..=200 {
            replace(&server, &paste, number.to_string()).send_on(&mut connection).expect_status(200);
        }
        assert!((1..=64).contains(&waiting().0), "{:?}", waiting());
        server.get(&paste.raw()).expect_body("200");
        for number in 0..25 {
            let large = vec![b'a' + number; 3 << 20];
            replace(&server, &paste, large).send_on(&mut connection).expect_status(200);
            assert!(waiting().1 <= 64 << 20, "{:?}", waiting());
        }
        assert_eq!(server.get(&paste.raw()).body, vec![b'y'; 3 << 20]);
        wait_until("none is left", SOON, || waiting() == (0, 0));
    }

    #[test]
    fn replaced_content_is_erased() {
        let mut server = Server::embedded(&[]);
        // Encrypted chunks cannot be searched for by content, so their keys are.
        let paste = server.paste("x".repeat(200_000));
        let rows = |server: &Server| -> (u32, u32) {
            let database = rusqlite::Connection::open(server.database()).unwrap();
            let count = |sql: &str| database.query_row(sql, [], |row| row.get(0)).unwrap();
            (count("SELECT count(*) FROM content"), count("SELECT count(*) FROM replaced"))
        };
        let piece = |server: &Server| -> Vec<u8> {
            let database = rusqlite::Connection::open(server.database()).unwrap();
            database.query_row("SELECT substr(data, 1, 64) FROM content LIMIT 1", [], |row| row.get(0)).unwrap()
        };
        assert_eq!(rows(&server), (4, 0));
        let old = piece(&server);
        replace(&server, &paste, "y".repeat(100_000)).send().expect_status(200);
        assert_eq!(rows(&server), (6, 1), "kept for readers in progress");
        // Also if the server is killed meanwhile.
        server.crash_and_restart();
        wait_until("the old chunks are gone", SOON, || rows(&server) == (2, 0));
        let files = || {
            let folder = fs::read_dir(server.folder().path()).unwrap().map(|entry| entry.unwrap().path());
            folder
                .filter(|path| path.to_string_lossy().contains("pastes.db"))
                .map(|path| fs::read(path).unwrap_or_default())
        };
        wait_until("no file holds them", SOON, || {
            files().all(|bytes| !bytes.windows(old.len()).any(|window| window == old))
        });
        server.get(&paste.raw()).expect_body("y".repeat(100_000));
        by_maker(&server, "DELETE", &paste.path(), &paste).send().expect_status(200);
        wait_until("nothing is left", SOON, || rows(&server) == (0, 0));
    }
}
