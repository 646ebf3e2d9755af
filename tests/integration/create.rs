//! Creating pastes: the three forms of a body, the options, and every field of the response.

use crate::engine;
use crate::harness::{Server, unix_now};
use serde_json::json;

#[test]
fn raw_bodies_are_stored_and_the_response_has_every_field() {
    let server = Server::start(&[]);
    let before = unix_now();
    let response = server.post("hello\n").header("Content-Type", "text/x-rust").send().expect_status(201);
    let json = response.json();
    let id = json["id"].as_str().unwrap();
    let digits = if engine::is_postgres() { 32 } else { 12 };
    response.expect(id.len() == digits && id.bytes().all(|b| b"0123456789abcdef".contains(&b)), "hex digits");
    let created_at = json["created_at"].as_u64().unwrap();
    response.expect((before..=unix_now()).contains(&created_at), "created now");
    response.expect(json["delete_token"].as_str().is_some_and(|token| token.len() >= 22), "an unguessable token");
    let path = format!("/{id}");
    let raw = format!("/{id}/raw");
    response
        .expect_header("Content-Type", "application/json")
        .expect_header("Location", &path)
        .expect_field("url", path.as_str())
        .expect_field("raw", raw.as_str())
        .expect_field("mime_type", "text/x-rust")
        .expect_field("size", 6)
        .expect_field("expires_at", created_at + 432_000)
        .expect_no_fields(&["burn_after_read", "password_protected", "owner"]);
    server.get(&raw).expect_status(200).expect_body("hello\n");
}

#[test]
fn a_json_body_stores_its_content_and_not_itself() {
    let server = Server::start(&[]);
    let paste = server.request("POST", "/").json(&json!({"content": "a \"ß\"\n\u{1f4a9}", "unknown": [1]})).created();
    server.get(&paste.raw()).expect_status(200).expect_body("a \"ß\"\n\u{1f4a9}");
    server.get(&paste.path()).expect_field("mime_type", "text/plain; charset=utf-8").expect_field("size", 11);
}

#[test]
fn json_fields_take_effect() {
    let server = Server::start(&[]);
    let body = json!({"content": "x", "expiry": 60, "burn_after_read": true, "password": "secret"});
    let response = server.request("POST", "/").json(&body).send().expect_status(201);
    let created_at = response.json()["created_at"].as_u64().unwrap();
    response
        .expect_field("burn_after_read", true)
        .expect_field("password_protected", true)
        .expect_field("expires_at", created_at + 60);
}

#[test]
fn json_with_another_content_type_is_stored_verbatim() {
    let server = Server::start(&[]);
    let paste = server.post(r#"{"content": "x"}"#).header("Content-Type", "text/plain").created();
    server.get(&paste.raw()).expect_body(r#"{"content": "x"}"#);
}

#[test]
fn a_json_field_wins_over_the_header() {
    let server = Server::start(&[]);
    let request = |body| {
        let request = server.request("POST", "/").json(&body).header("X-Expiry", "100");
        request.header("X-Burn-After-Read", "true").header("X-Paste-Password", "header")
    };
    let body = json!({"content": "x", "expiry": 50, "burn_after_read": false, "password": "field"});
    let response = request(body).send().expect_status(201).expect_no_fields(&["burn_after_read"]);
    let json = response.json();
    assert_eq!(json["expires_at"].as_u64().unwrap(), json["created_at"].as_u64().unwrap() + 50);
    let raw = json["raw"].as_str().unwrap();
    server.request("GET", raw).header("X-Paste-Password", "header").send().expect_code(403, "password_wrong");
    server.request("GET", raw).header("X-Paste-Password", "field").send().expect_status(200);

    let response = request(json!({"content": "y"})).send().expect_status(201);
    let json = response.json();
    assert_eq!(json["expires_at"].as_u64().unwrap(), json["created_at"].as_u64().unwrap() + 100);
    response.expect_field("burn_after_read", true).expect_field("password_protected", true);
}

#[test]
fn chunked_bodies_are_stored_however_they_are_split() {
    let server = Server::start(&[]);
    let long = vec![b'x'; 70_000];
    let pieces: [&[u8]; 3] = [b"one ", b"two ", &long];
    let paste = server.request("POST", "/").chunks(&pieces).created();
    server.get(&paste.raw()).expect_status(200).expect_body(pieces.concat());
    let body = json!({"content": "chunked json"}).to_string();
    let chunked = server.request("POST", "/").chunks(&[&body.as_bytes()[..7], &body.as_bytes()[7..]]);
    let paste = chunked.header("Content-Type", "application/json").created();
    server.get(&paste.raw()).expect_body("chunked json");
}

#[test]
fn binary_content_round_trips_unchanged() {
    let server = Server::start(&[]);
    for size in [1, 255, 1024, 1025, 65_536, 65_537, (1 << 20) - 1, (1 << 20) + 1, 3 << 20] {
        let content: Vec<u8> = (0..size).map(|n: u32| n.wrapping_mul(2_654_435_761).to_be_bytes()[1]).collect();
        let paste = server.paste(content.clone());
        server.get(&paste.raw()).expect_status(200).expect_body(content);
    }
}

#[test]
fn every_spelling_of_the_burn_header_works() {
    let server = Server::start(&[]);
    for yes in ["true", "1", "yes", "True"] {
        server.post(yes).header("X-Burn-After-Read", yes).send().expect_field("burn_after_read", true);
    }
    for no in ["false", "0", "no", "FALSE"] {
        let response = server.post(format!("not {no}")).header("X-Burn-After-Read", no).send();
        response.expect_status(201).expect_no_fields(&["burn_after_read"]);
    }
    for neither in ["", "on", "2", "true, true", "y"] {
        server.post("secret").header("X-Burn-After-Read", neither).send().expect_code(400, "bad_request");
    }
}

#[test]
fn an_empty_password_is_refused() {
    let server = Server::start(&[]);
    server.post("x").header("X-Paste-Password", "").send().expect_code(400, "bad_request");
    server.post("x").header("X-Paste-Password-Base64", "").send().expect_code(400, "bad_request");
    server.post("x").header("X-Paste-Password-Base64", "!").send().expect_code(400, "bad_request");
    server.request("POST", "/").json(&json!({"content": "x", "password": ""})).send().expect_code(400, "bad_request");
}

#[test]
fn the_text_response_is_just_the_absolute_url() {
    let server = Server::start(&[]);
    let response = server.post("x").header("Accept", "text/plain").send().expect_status(201);
    let start = format!("http://{}/", server.authority());
    let id = response.text().strip_prefix(&start).and_then(|rest| rest.strip_suffix('\n')).map(str::to_owned);
    let id = id.unwrap_or_else(|| response.fail("expected the absolute URL and a newline"));
    server.get(&format!("/{id}/raw")).expect_body("x");
    let response = server.post("y").header("Accept", "text/plain").header("Host", "paste.example").send();
    response.expect(response.text().starts_with("http://paste.example/"), "the URL names the Host");
}

#[test]
fn the_url_scheme_is_taken_only_from_a_trusted_proxy() {
    let server = Server::start(&[("FLASKPASTE_PROXY_SECRET", "a-secret-of-the-proxy")]);
    let url = |secret| {
        let request = server.post("x").header("Accept", "text/plain").header("X-Forwarded-Proto", "https");
        request.header("X-Proxy-Secret", secret).send().expect_status(201).text()
    };
    assert!(url("a-secret-of-the-proxy").starts_with("https://"));
    assert!(url("wrong").starts_with("http://"));
    let direct = Server::start(&[]);
    let response = direct.post("x").header("Accept", "text/plain").header("X-Forwarded-Proto", "https").send();
    response.expect(response.text().starts_with("https://"), "loopback is trusted where there is no secret");
}

#[test]
fn urls_use_the_public_url_and_the_prefix() {
    let server =
        Server::start(&[("FLASKPASTE_PUBLIC_URL", "https://paste.example:8443"), ("FLASKPASTE_URL_PREFIX", "/p/q")]);
    let response = server.request("POST", "/p/q/").body("x").send().expect_status(201);
    let json = response.json();
    let url = format!("https://paste.example:8443/p/q/{}", json["id"].as_str().unwrap());
    response
        .expect_field("url", url.as_str())
        .expect_field("raw", format!("{url}/raw"))
        .expect_header("Location", &url);
    let response = server.request("POST", "/p/q/").body("y").header("Accept", "text/plain").send();
    response.expect(response.text().starts_with("https://paste.example:8443/p/q/"), "the public URL");

    let server = Server::start(&[("FLASKPASTE_URL_PREFIX", "/p")]);
    let response = server.request("POST", "/p/").body("x").send().expect_status(201);
    let path = format!("/p/{}", response.json()["id"].as_str().unwrap());
    response.expect_field("url", path.as_str());
    server.get(&format!("{path}/raw")).expect_body("x");
}

#[test]
fn id_length_is_configurable() {
    let server = Server::start(&[("FLASKPASTE_ID_LENGTH", "64")]);
    assert_eq!(server.paste("x").id.len(), 64);
}

#[test]
fn a_custom_expiry_is_fixed_and_clamped() {
    let server = Server::start(&[("FLASKPASTE_MAX_EXPIRY", "1000")]);
    for (sent, lives) in [("1", 1), ("999", 999), ("1001", 1000), ("99999999999999999999999999", 1000), ("007", 7)] {
        let json = server.post(sent).header("X-Expiry", sent).send().expect_status(201).json();
        assert_eq!(json["expires_at"].as_u64().unwrap() - json["created_at"].as_u64().unwrap(), lives, "{sent}");
    }
    let huge = r#"{"content": "x", "expiry": 99999999999999999999999999}"#;
    let response = server.post(huge).header("Content-Type", "application/json").send().expect_status(201);
    let json = response.json();
    response.expect(json["expires_at"].as_u64() == json["created_at"].as_u64().map(|at| at + 1000), "clamped");
}

#[test]
fn invalid_expiries_are_refused() {
    let server = Server::start(&[]);
    for bad in ["0", "00", "-1", "1.5", "1e3", "abc", "", "0x10", "1 2"] {
        server.post("x").header("X-Expiry", bad).send().expect_code(400, "invalid_expiry");
    }
    for bad in ["0", "-1", "1.5", "1e3", "\"60\"", "true", "[]", "{}"] {
        let body = format!("{{\"content\": \"x\", \"expiry\": {bad}}}");
        let request = server.post(body).header("Content-Type", "application/json");
        request.send().expect_code(400, "invalid_expiry");
    }
}

#[test]
fn undocumented_json_bodies_are_refused() {
    let server = Server::start(&[]);
    let bad: [&[u8]; 12] = [
        b"{",
        b"[]",
        b"\"text\"",
        b"null",
        b"{}",
        b"{\"content\": 1}",
        b"{\"content\": null}",
        b"{\"content\": [\"x\"]}",
        b"{\"content\": \"x\"} trailing",
        b"{\"content\": \"\xff\"}",
        b"{\"content\": \"x\", \"burn_after_read\": \"maybe\"}",
        b"{\"content\": \"x\", \"password\": 5}",
    ];
    for body in bad {
        for content_type in ["application/json", "Application/JSON; charset=utf-8"] {
            let response = server.post(body).header("Content-Type", content_type).send();
            let response = response.expect_code(400, "invalid_json");
            response.expect(response.json()["hint"].as_str().unwrap().contains("text/plain"), "how to store JSON");
        }
    }
    let nested = "[".repeat(200_000);
    server.post(nested).header("Content-Type", "application/json").send().expect_code(400, "invalid_json");
    server.expect_alive();
}

#[test]
fn requests_without_content_are_refused() {
    let server = Server::start(&[]);
    server.request("POST", "/").send().expect_code(400, "no_content");
    server.post("").send().expect_code(400, "no_content");
    server.request("POST", "/").chunks(&[]).send().expect_code(400, "no_content");
    server.request("POST", "/").json(&json!({"content": ""})).send().expect_code(400, "no_content");
}
