//! Why a create is refused: size, entropy, and too many duplicates.

use crate::harness::Server;
use crate::http_client::chunk;
use serde_json::json;

const FINGERPRINT: &str = "0123456789abcdef0123456789abcdef01234567";
const LIMITS: &[(&str, &str)] = &[("FLASKPASTE_MAX_ANON", "1000"), ("FLASKPASTE_MAX_AUTH", "2000")];

#[test]
fn size_limits_differ_for_anonymous_and_authenticated_clients() {
    let server = Server::start(LIMITS);
    server.paste(vec![b'a'; 1000]);
    let response = server.post(vec![b'b'; 1001]).send().expect_code(413, "too_large");
    response.expect_field("max_size", 1000).expect_field("authenticated", false);
    let owned = |size| server.post(vec![b'c'; size]).header("X-SSL-Client-SHA1", FINGERPRINT).send();
    owned(2000).expect_status(201);
    owned(2001).expect_code(413, "too_large").expect_field("max_size", 2000).expect_field("authenticated", true);
}

/// A refusal or the count would reveal to a guesser that somebody has pasted this for few readers.
#[test]
fn pastes_with_restricted_reads_are_exempt_from_duplicate_detection() {
    let server = Server::start(&[("FLASKPASTE_DEDUP_MAX", "1")]);
    for _ in 0..3 {
        server.post("guess me").header("X-Burn-After-Read", "1").created();
        server.post("guess me").header("X-Paste-Password", "p").created();
    }
    server.paste("guess me");
    server.post("guess me").send().expect_code(429, "duplicate");
    server.post("guess me").header("X-Burn-After-Read", "1").created();
}

#[test]
fn limits_count_the_bytes_uploaded() {
    let server = Server::start(LIMITS);
    let body = json!({"content": "x".repeat(990)});
    server.request("POST", "/").json(&body).send().expect_code(413, "too_large");
    // Escapes count as sent, not as stored.
    let escaped = format!("{{\"content\": \"{}\"}}", "\\u0041".repeat(200));
    server.post(escaped).header("Content-Type", "application/json").send().expect_code(413, "too_large");
}

#[test]
fn a_declared_length_is_refused_before_the_body_is_sent() {
    let server = Server::start(LIMITS);
    for length in ["1001", "100000000000", "18446744073709551615"] {
        let mut connection = server.connect();
        let request = server.request("POST", "/").header("Content-Length", length);
        // Only the head is sent: the response must come without the body.
        request.send_on(&mut connection).expect_code(413, "too_large");
    }
    assert!(server.status_kib("VmHWM") < 200 << 10, "a declared length must not be allocated");
    server.expect_alive();
}

#[test]
fn a_client_that_keeps_sending_still_gets_the_refusal() {
    let server = Server::start(LIMITS);
    server.post(vec![b'x'; 4 << 20]).send().expect_code(413, "too_large");
    let content = vec![b'x'; 64 << 10];
    let pieces: Vec<&[u8]> = std::iter::repeat_n(content.as_slice(), 64).collect();
    server.request("POST", "/").chunks(&pieces).send().expect_code(413, "too_large");
}

#[test]
fn a_chunked_body_is_refused_as_soon_as_it_passes_the_limit() {
    let server = Server::start(LIMITS);
    let mut connection = server.connect();
    connection.send(server.request("POST", "/").header("Transfer-Encoding", "chunked").head_bytes());
    for _ in 0..3 {
        connection.send(chunk(&[b'x'; 400]));
    }
    // The last chunk is never sent.
    let response = connection.read_response("three chunks of 400 bytes", false).expect("a response");
    response.expect_code(413, "too_large").expect_field("max_size", 1000);
    server.request("POST", "/").chunks(&[&[b'x'; 500], &[b'x'; 500]]).send().expect_status(201);
}

#[test]
fn low_entropy_is_refused_where_encryption_is_required() {
    let server = Server::start(&[("FLASKPASTE_MIN_ENTROPY", "6.0")]);
    let response = server.post("ab".repeat(200)).send().expect_code(400, "entropy_too_low");
    response.expect_field("entropy", 1.0).expect_field("min_entropy", 6.0);
    server.paste("a".repeat(255));
    let mut random = [0; 4096];
    getrandom::fill(&mut random).unwrap();
    server.paste(random);
    // The content of a JSON body counts, not the body around it.
    let body = json!({"content": "a".repeat(300), "padding": "0123456789abcdefghijklmnopqrstuvwxyz"});
    server.request("POST", "/").json(&body).send().expect_code(400, "entropy_too_low").expect_field("entropy", 0.0);
}

#[test]
fn entropy_equal_to_the_minimum_passes() {
    let server = Server::start(&[("FLASKPASTE_MIN_ENTROPY", "1"), ("FLASKPASTE_MIN_ENTROPY_SIZE", "4")]);
    server.paste("abab");
    server.post("aaab").send().expect_code(400, "entropy_too_low");
    server.paste("aaa");
}

#[test]
fn the_entropy_of_spooled_bodies_is_checked_too() {
    let server = Server::start(&[("FLASKPASTE_MIN_ENTROPY", "6")]);
    server.post(vec![b'a'; 2 << 20]).send().expect_code(400, "entropy_too_low");
}

#[test]
fn duplicates_are_accepted_up_to_the_limit() {
    let server = Server::start(&[("FLASKPASTE_DEDUP_WINDOW", "600")]);
    for _ in 0..3 {
        server.paste("again");
    }
    let response = server.post("again").send().expect_code(429, "duplicate").expect_field("window_seconds", 600);
    response.expect(response.json()["count"].as_u64().is_some_and(|count| count >= 3), "the count so far");
    assert!((1..=600).contains(&response.retry_after()));
    server.paste("something else");
    // In any form.
    server.request("POST", "/").json(&json!({"content": "again"})).send().expect_code(429, "duplicate");
    server.request("POST", "/").chunks(&[b"ag", b"ain"]).send().expect_code(429, "duplicate");
}

#[test]
fn the_duplicate_count_survives_restarts_and_crashes() {
    let mut server = Server::start(&[]);
    server.paste("again");
    server.paste("again");
    server.stop();
    server.restart();
    server.paste("again");
    server.crash_and_restart();
    server.post("again").send().expect_code(429, "duplicate");
}

#[test]
fn deleting_does_not_reset_the_duplicate_count() {
    let server = Server::start(&[("FLASKPASTE_DEDUP_MAX", "1")]);
    let paste = server.paste("again");
    server.request("DELETE", &paste.path()).header("X-Delete-Token", &paste.delete_token).send().expect_status(200);
    server.post("again").send().expect_code(429, "duplicate");
}

#[test]
fn zero_disables_the_duplicate_limit() {
    let server = Server::start(&[("FLASKPASTE_DEDUP_MAX", "0")]);
    for _ in 0..10 {
        server.paste("again");
    }
}
