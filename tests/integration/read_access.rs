//! Reading protected pastes: passwords in their three forms, throttled guessing, and burn pastes.

use crate::harness::{Paste, SOON, Server, wait_until};
use crate::http_client::base64;
use crate::response::Response;

fn with_password(server: &Server, path: &str, password: &str) -> Response {
    server.request("GET", path).header("X-Paste-Password", password).send()
}

fn basic(server: &Server, path: &str, user: &str, password: &str) -> Response {
    let credentials = base64(format!("{user}:{password}").as_bytes());
    server.request("GET", path).header("Authorization", format!("Basic {credentials}")).send()
}

/// A paste with this password, given in Base64.
fn protected(server: &Server, content: &str, password: &str) -> Paste {
    server.post(content).header("X-Paste-Password-Base64", base64(password.as_bytes())).created()
}

#[test]
fn a_password_is_required_and_checked() {
    let server = Server::start(&[]);
    let paste = server.post("secret").header("X-Paste-Password", "open sesame").created();
    let response = server.get(&paste.raw()).expect_code(401, "password_required");
    response.expect(response.get("WWW-Authenticate").is_some_and(|value| value.starts_with("Basic")), "Basic");
    with_password(&server, &paste.raw(), "wrong").expect_code(403, "password_wrong");
    with_password(&server, &paste.raw(), "open sesame").expect_status(200).expect_body("secret");
    assert_eq!(server.head(&paste.raw()).status, 401);
    let head = server.request("HEAD", &paste.raw()).header("X-Paste-Password", "open sesame").send();
    head.expect_status(200).expect_header("Content-Length", "6");
    // Metadata requires no password and reveals nothing about it.
    let response = server.get(&paste.path()).expect_status(200).expect_field("password_protected", true);
    response.expect(!response.text().contains("sesame"), "no password in the metadata");
}

#[test]
fn every_way_to_send_the_right_password_works() {
    let server = Server::start(&[]);
    let ascii = protected(&server, "ascii", "a:b c");
    with_password(&server, &ascii.raw(), "a:b c").expect_status(200).expect_body("ascii");
    let base64_header = server.request("GET", &ascii.raw()).header("X-Paste-Password-Base64", base64(b"a:b c"));
    base64_header.send().expect_status(200);
    basic(&server, &ascii.raw(), "anyone", "a:b c").expect_status(200);
    basic(&server, &ascii.raw(), "", "a:b c").expect_status(200);
    basic(&server, &ascii.raw(), "anyone", "a:b").expect_code(403, "password_wrong");

    let unicode = protected(&server, "unicode", "pässwörd ✓");
    let encoded = base64("pässwörd ✓".as_bytes());
    let response = server.request("GET", &unicode.raw()).header("X-Paste-Password-Base64", encoded).send();
    response.expect_status(200).expect_body("unicode");
    basic(&server, &unicode.raw(), "ü", "pässwörd ✓").expect_status(200);
    basic(&server, &unicode.raw(), "ü", "passwort").expect_code(403, "password_wrong");
    let broken = server.request("GET", &unicode.raw()).header("X-Paste-Password-Base64", "not base64!").send();
    broken.expect_code(400, "bad_request");
}

#[test]
fn ranges_of_protected_pastes_require_the_password() {
    let server = Server::start(&[]);
    let paste = protected(&server, "secret", "p");
    server.request("GET", &paste.raw()).header("Range", "bytes=0-0").send().expect_code(401, "password_required");
    server.request("GET", &paste.raw()).header("Range", "bytes=99-").send().expect_code(401, "password_required");
}

#[test]
fn guessing_is_throttled_per_paste() {
    let server = Server::start(&[]);
    let guessed = protected(&server, "guessed", "right");
    let other = protected(&server, "other", "right");
    let mut throttled = None;
    for _ in 0..20 {
        let response = with_password(&server, &guessed.raw(), "wrong");
        if response.status == 429 {
            throttled = Some(response.expect_code(429, "throttled"));
            break;
        }
        response.expect_code(403, "password_wrong");
    }
    assert!(throttled.expect("twenty guesses in a row must be throttled").retry_after() <= 3600);
    with_password(&server, &other.raw(), "right").expect_status(200);
    server.get(&guessed.path()).expect_status(200);
    wait_until("the throttled reader with the password gets in", SOON, || {
        with_password(&server, &guessed.raw(), "right").status == 200
    });
}

/// A stranger who guesses without a pause is throttled; a reader elsewhere gets in immediately and reads the burn
/// paste.
#[test]
fn guessing_does_not_lock_out_other_readers() {
    let server = Server::start(&[]);
    let paste = server.post("once").header("X-Burn-After-Read", "1").header("X-Paste-Password", "right").created();
    let read = |client: &str, password: &str| {
        let request = server.request("GET", &paste.raw()).header("X-Forwarded-For", client);
        request.header("X-Paste-Password", password).send()
    };
    for client in ["192.0.2.1", "2001:db8:1:2::1"] {
        let guess = |number: usize| {
            // All addresses of an IPv6 /64 are one client.
            let client = if client.contains(':') { format!("2001:db8:1:2::{number:x}") } else { client.into() };
            read(&client, "wrong")
        };
        let responses: Vec<Response> = (0..30).map(guess).collect();
        assert!(responses.iter().all(|response| [403, 429, 503].contains(&response.status)));
        let throttled = responses.into_iter().find(|response| response.status == 429).expect("none was throttled");
        assert!(throttled.expect_code(429, "throttled").retry_after() <= 60);
    }
    read("2001:db8:1:3::1", "wrong").expect_code(403, "password_wrong");
    read("192.0.2.2", "right").expect_status(200).expect_body("once");
}

#[test]
fn many_password_checks_do_not_starve_other_requests() {
    let server = Server::start(&[]);
    let plain = server.paste("plain");
    std::thread::scope(|scope| {
        let protect = |n: usize| {
            let response = server.post(format!("{n}")).header("X-Paste-Password", "p").send();
            if response.status != 201 {
                response.expect_code(503, "busy").retry_after();
            }
        };
        let crowd: Vec<_> = (0..5).map(|n| scope.spawn(move || protect(n))).collect();
        wait_until("the crowd is served", 2 * SOON, || {
            server.get(&plain.raw()).expect_status(200).expect_body("plain");
            server.expect_alive();
            crowd.iter().all(std::thread::ScopedJoinHandle::is_finished)
        });
    });
}

#[test]
fn content_burns_on_the_first_get_of_its_content() {
    let server = Server::start(&[]);
    let paste = server.post("once").header("X-Burn-After-Read", "true").created();
    server.head(&paste.raw()).expect_status(200).expect_header("X-Burn-After-Read", "true");
    server.get(&paste.path()).expect_status(200).expect_field("burn_after_read", true);
    server.head(&paste.path()).expect_status(200);
    server.request("POST", &paste.raw()).body("x").send().expect_code(405, "method_not_allowed");
    server.request("OPTIONS", &paste.raw()).send().expect_status(204);
    server.get(&paste.raw()).expect_status(200).expect_body("once").expect_header("X-Burn-After-Read", "true");
    server.get(&paste.raw()).expect_code(404, "not_found");
    server.get(&paste.path()).expect_code(404, "not_found");
    assert_eq!(server.head(&paste.raw()).status, 404);
}

#[test]
fn a_burned_paste_stays_burned_across_a_crash() {
    let mut server = Server::start(&[]);
    let paste = server.post("once").header("X-Burn-After-Read", "true").created();
    server.get(&paste.raw()).expect_status(200);
    server.crash_and_restart();
    server.get(&paste.raw()).expect_code(404, "not_found");
}

#[test]
fn a_wrong_password_never_burns() {
    let server = Server::start(&[]);
    let request = server.post("once").header("X-Burn-After-Read", "true");
    let paste = request.header("X-Paste-Password", "right").created();
    server.get(&paste.raw()).expect_code(401, "password_required");
    for _ in 0..3 {
        with_password(&server, &paste.raw(), "wrong").expect_code(403, "password_wrong");
    }
    let head = server.request("HEAD", &paste.raw()).header("X-Paste-Password", "right").send();
    assert_eq!(head.status, 200);
    with_password(&server, &paste.raw(), "right").expect_status(200).expect_body("once");
    with_password(&server, &paste.raw(), "right").expect_code(404, "not_found");
}

#[test]
fn large_burn_pastes_are_delivered_whole() {
    let server = Server::start(&[]);
    let content: Vec<u8> = (0..2_500_000u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let paste = server.post(content.clone()).header("X-Burn-After-Read", "true").created();
    server.get(&paste.raw()).expect_status(200).expect_body(content);
    server.get(&paste.raw()).expect_code(404, "not_found");
}
