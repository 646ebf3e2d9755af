//! Read limits and leases: reads that are taken now and confirmed later.

use crate::harness::{Paste, SOON, Server, unix_now, wait_until};
use crate::response::Response;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

fn limited(server: &Server, content: &str, reads: u32) -> Paste {
    server.post(content).header("X-Reads", reads.to_string()).created()
}

fn ask_lease(server: &Server, paste: &Paste) -> Response {
    server.request("POST", &format!("/{}/lease", paste.id)).send()
}

/// A lease of the paste.
#[track_caller]
fn lease(server: &Server, paste: &Paste) -> String {
    ask_lease(server, paste).expect_status(201).json()["lease"].as_str().unwrap().to_owned()
}

fn read(server: &Server, paste: &Paste, lease: &str) -> Response {
    server.request("GET", &paste.raw()).header("X-Lease", lease).send()
}

fn confirm(server: &Server, paste: &Paste, lease: &str) -> Response {
    server.request("DELETE", &paste.path()).header("X-Lease", lease).send()
}

fn state(server: &Server, paste: &Paste) -> String {
    let request = server.request("GET", &format!("/{}/status", paste.id)).header("X-Delete-Token", &paste.delete_token);
    request.send().expect_status(200).json()["state"].as_str().unwrap().to_owned()
}

#[test]
fn content_is_served_exactly_as_often_as_requested() {
    let server = Server::start(&[]);
    let created = server.post("three times").header("X-Reads", "3").send().expect_status(201);
    let created = created.expect_field("reads_left", 3).expect_no_fields(&["burn_after_read"]);
    let path = format!("/{}", created.json()["id"].as_str().unwrap());
    for left in [3, 2, 1] {
        server.head(&format!("{path}/raw")).expect_status(200);
        server.get(&path).expect_field("reads_left", left);
        // A range counts as a full read.
        let read = server.request("GET", &format!("{path}/raw")).header("Range", "bytes=0-3").send();
        read.expect_status(200).expect_body("three times");
    }
    server.get(&path).expect_code(404, "not_found");
    server.get(&format!("{path}/raw")).expect_code(404, "not_found");
}

#[test]
fn a_leased_read_can_be_repeated_until_confirmed() {
    let mut server = Server::start(&[]);
    let paste = server.post("secret").header("X-Burn-After-Read", "true").header("Content-Type", "text/csv").created();
    let answer = ask_lease(&server, &paste).expect_status(201);
    let answer =
        answer.expect_field("size", 6).expect_field("mime_type", "text/csv").expect_field("reads_left", 0).json();
    let (lease, ends) = (answer["lease"].as_str().unwrap().to_owned(), answer["expires_at"].as_u64().unwrap());
    assert!(lease.len() == 32 && lease.bytes().all(|byte| byte.is_ascii_hexdigit()), "{lease}");
    assert!((unix_now() + 590..=unix_now() + 600).contains(&ends), "{ends}");
    for restarted in [false, true] {
        read(&server, &paste, &lease).expect_status(200).expect_body("secret");
        let part = server.request("GET", &paste.raw()).header("X-Lease", lease.as_str()).header("Range", "bytes=2-3");
        part.send().expect_status(206).expect_body("cr").expect_header("Content-Range", "bytes 2-3/6");
        // For everybody else it is gone.
        for path in [paste.path(), paste.raw()] {
            server.get(&path).expect_code(404, "not_found");
        }
        read(&server, &paste, &"0".repeat(32)).expect_code(404, "not_found");
        ask_lease(&server, &paste).expect_code(404, "not_found");
        let wrong_token = server.request("DELETE", &paste.path()).header("X-Delete-Token", "wrong").send();
        wrong_token.expect_code(404, "not_found");
        assert_eq!(state(&server, &paste), "leased", "restarted: {restarted}");
        server.crash_and_restart();
    }
    confirm(&server, &paste, &"0".repeat(32)).expect_code(404, "not_found");
    confirm(&server, &paste, &lease).expect_status(200);
    for response in [read(&server, &paste, &lease), confirm(&server, &paste, &lease)] {
        response.expect_code(404, "not_found");
    }
    assert_eq!(state(&server, &paste), "read");
    assert!(!server.log().contains(&lease));
}

#[test]
fn a_lease_takes_one_read_and_leaves_the_rest() {
    let server = Server::start(&[]);
    let paste = limited(&server, "twice", 2);
    let first = lease(&server, &paste);
    server.get(&paste.path()).expect_field("reads_left", 1);
    assert_eq!(state(&server, &paste), "read", "one of its reads is leased");
    server.get(&paste.raw()).expect_status(200).expect_body("twice");
    // No read is left, and the lease still works.
    server.get(&paste.raw()).expect_code(404, "not_found");
    read(&server, &paste, &first).expect_status(200).expect_body("twice");
    assert_eq!(state(&server, &paste), "leased");
    confirm(&server, &paste, &first).expect_status(200);
    read(&server, &paste, &first).expect_code(404, "not_found");
}

#[test]
fn an_expired_lease_counts_as_a_read() {
    let server = Server::start(&[("FLASKPASTE_LEASE_TTL", "1")]);
    let (once, twice) = (limited(&server, "once", 1), limited(&server, "twice", 2));
    let leases = [lease(&server, &once), lease(&server, &twice)];
    wait_until("the leases have expired", SOON, || read(&server, &once, &leases[0]).status == 404);
    wait_until("the receipt exists", SOON, || state(&server, &once) == "read");
    wait_until("the other has expired", SOON, || read(&server, &twice, &leases[1]).status == 404);
    server.get(&twice.raw()).expect_status(200).expect_body("twice");
    server.get(&twice.raw()).expect_code(404, "not_found");
}

#[test]
fn lease_requests_have_no_body() {
    let server = Server::start(&[]);
    let paste = limited(&server, "once", 1);
    let path = format!("/{}/lease", paste.id);
    server.request("POST", &path).body("x").send().expect_code(400, "bad_request");
    let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\n");
    for rest in [
        "Transfer-Encoding: chunked\r\n\r\nZZ\r\n",
        "Content-Length: 99999999\r\n\r\n",
        "Expect: 100-continue\r\nContent-Length: 9\r\n\r\n",
    ] {
        let answers = server.raw(format!("{head}{rest}"));
        assert!(answers.iter().all(|answer| answer.status >= 400), "{rest:?}");
    }
    server.get(&paste.path()).expect_field("reads_left", 1);
    server.request("POST", &path).header("Content-Length", "0").send().expect_status(201);
}

#[test]
fn leases_end_with_their_paste() {
    let server = Server::start(&[]);
    let dying = server.post("dying").header("X-Reads", "2").header("X-Expiry", "4").created();
    let answer = ask_lease(&server, &dying).expect_status(201).json();
    assert!(answer["expires_at"].as_u64().unwrap() <= unix_now() + 4, "{answer}");
    let held = answer["lease"].as_str().unwrap();
    wait_until("it has expired", SOON, || read(&server, &dying, held).status == 404);
    let deleted = limited(&server, "deleted", 1);
    let held = lease(&server, &deleted);
    let delete = server.request("DELETE", &deleted.path()).header("X-Delete-Token", &deleted.delete_token);
    delete.send().expect_status(200);
    read(&server, &deleted, &held).expect_code(404, "not_found");
    assert_eq!(state(&server, &deleted), "deleted");
    // The delete token means the paste, not the lease.
    let both = limited(&server, "both", 2);
    let delete = server.request("DELETE", &both.path()).header("X-Delete-Token", &both.delete_token);
    delete.header("X-Lease", "0".repeat(32)).send().expect_status(200);
}

#[test]
fn a_paste_without_a_limit_needs_no_lease() {
    let server = Server::start(&[]);
    let paste = server.paste("open");
    ask_lease(&server, &paste).expect_code(409, "no_lease_needed");
    read(&server, &paste, "nonsense").expect_status(200).expect_body("open");
    confirm(&server, &paste, "nonsense").expect_code(401, "auth_required");
    let missing = Paste { id: "abcdef012345".into(), delete_token: String::new() };
    for response in [ask_lease(&server, &missing), confirm(&server, &missing, &"0".repeat(32))] {
        response.expect_code(404, "not_found");
    }
    server.request("GET", &format!("/{}/lease", paste.id)).send().expect_code(405, "method_not_allowed");
    server.request("POST", "/xyz/lease").send().expect_code(400, "invalid_id");
}

#[test]
fn a_lease_requires_the_password_and_reads_under_it_do_not() {
    let server = Server::start(&[]);
    let paste = server.post("secret").header("X-Reads", "1").header("X-Paste-Password", "word").created();
    ask_lease(&server, &paste).expect_code(401, "password_required");
    let wrong = server.request("POST", &format!("/{}/lease", paste.id)).header("X-Paste-Password", "wrong").send();
    wrong.expect_code(403, "password_wrong");
    server.get(&paste.path()).expect_field("reads_left", 1);
    let right = server.request("POST", &format!("/{}/lease", paste.id)).header("X-Paste-Password", "word").send();
    let held = right.expect_status(201).json()["lease"].as_str().unwrap().to_owned();
    read(&server, &paste, &held).expect_status(200).expect_body("secret");
}

#[test]
fn large_contents_can_be_read_and_leased() {
    let server = Server::start(&[]);
    let content: Vec<u8> = (0..2_500_000u32).map(|at| (at % 251) as u8).collect();
    let paste = server.post(content.clone()).header("X-Reads", "2").created();
    let held = lease(&server, &paste);
    let part = server.request("GET", &paste.raw()).header("X-Lease", held.as_str()).header("Range", "bytes=2000000-");
    part.send().expect_status(206).expect_body(&content[2_000_000..]);
    server.get(&paste.raw()).expect_status(200).expect_body(&content);
    read(&server, &paste, &held).expect_status(200).expect_body(&content);
    confirm(&server, &paste, &held).expect_status(200);
}

/// Concurrent reads and leases, and a kill -9 in the middle: the total before and after never exceeds the limit.
#[test]
fn concurrent_reads_and_leases_never_exceed_the_limit() {
    const READERS: usize = 64;
    let mut server = Server::start(&[]);
    for (round, reads) in [1, 2, 5, 1, 2, 5, 5].into_iter().enumerate() {
        let content = format!("{reads} reads, round {round}");
        let paste = limited(&server, &content, reads);
        let (barrier, answered) = (Barrier::new(READERS), AtomicUsize::new(0));
        let is_killed = round % 2 == 1;
        let given: usize = std::thread::scope(|scope| {
            let (barrier, answered, server, paste) = (&barrier, &answered, &server, &paste);
            let ask = move |number: usize| {
                let mut connection = server.connect();
                barrier.wait();
                let (method, path) = if number.is_multiple_of(2) {
                    ("GET", paste.raw())
                } else {
                    ("POST", format!("/{}/lease", paste.id))
                };
                connection.send(server.request(method, &path).head_bytes());
                let response = connection.read_response(method, false);
                answered.fetch_add(1, Ordering::SeqCst);
                usize::from(response.is_some_and(|response| matches!(response.status, 200 | 201)))
            };
            let askers: Vec<_> = (0..READERS).map(|number| scope.spawn(move || ask(number))).collect();
            if is_killed {
                wait_until("some have responses", SOON, || answered.load(Ordering::SeqCst) >= round);
                server.signal("KILL");
            }
            askers.into_iter().map(|asker| asker.join().unwrap()).sum()
        });
        if is_killed {
            server.crash_and_restart();
        }
        // Reads left after the crash can be used; those taken without a response are lost, as for any reader.
        let later = (0..=reads).filter(|_| server.get(&paste.raw()).status == 200).count();
        assert!(given + later <= reads as usize, "round {round}: {given} and {later} of {reads}");
        assert!(is_killed || given == reads as usize, "round {round}: {given} of {reads}");
    }
}

/// Tests that take seconds; `make test-quick` skips them.
mod slow {
    use super::*;

    #[test]
    fn a_lease_survives_restarts_and_crashes() {
        let mut server = Server::start(&[("FLASKPASTE_EXPIRY", "10")]);
        let paste = limited(&server, "secret", 1);
        let created = server.get(&paste.path()).json()["created_at"].as_u64().unwrap();
        wait_until("half of its life is over", SOON, || unix_now() >= created + 5);
        let answer = ask_lease(&server, &paste).expect_status(201).json();
        let ends = answer["expires_at"].as_u64().unwrap();
        server.crash_and_restart();
        wait_until("its original expiry has passed", SOON, || unix_now() > created + 11);
        if unix_now() + 1 < ends {
            read(&server, &paste, answer["lease"].as_str().unwrap()).expect_status(200).expect_body("secret");
        }
    }
}
