//! The gate: content served only with proof of the whole link, and of the password if there is one.

use crate::harness::{Paste, Server};
use crate::response::Response;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// Two different proofs in base64url: 32 bytes each.
const LINK: &str = "xNaZlRigg5YZEVI-aJQM2vo_5tM0ITK7ob1v1k7S3v4";
const PASSWORD: &str = "4HFQvDPgYqEadGJKJXJRvRS5sEYRcg4Ulr5ykRyf1IQ";
/// SHA-256 of the first.
const LINK_HASH: &str = "456ed2f1517742dce2e2f105500b5a5b019f973638c8601a2fb353385c8de637";

fn password_hash() -> String {
    use base64::Engine;
    let proof = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(PASSWORD).unwrap();
    Sha256::digest(proof).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn gated(server: &Server) -> Paste {
    server.post("sealed").header("X-Read-Proof-SHA256", LINK_HASH).created()
}

fn gated_with_password(server: &Server) -> Paste {
    let hash = password_hash();
    server.post("sealed").header("X-Read-Proof-SHA256", LINK_HASH).header("X-Password-Proof-SHA256", hash).created()
}

fn read(server: &Server, paste: &Paste, link: &str, password: &str) -> Response {
    let request = server.request("GET", &paste.raw()).header("X-Read-Proof", link);
    if password.is_empty() { request.send() } else { request.header("X-Password-Proof", password).send() }
}

#[test]
fn only_the_proof_from_the_link_opens_a_paste() {
    let mut server = Server::start(&[]);
    let created =
        server.post("sealed").header("X-Read-Proof-SHA256", LINK_HASH.to_uppercase()).send().expect_status(201);
    let created =
        created.expect_field("proof_required", true).expect_no_fields(&["password_protected", "password_proof"]);
    let id = created.json()["id"].as_str().unwrap().to_owned();
    let paste = Paste { id, delete_token: String::new() };
    server.get(&paste.path()).expect_status(200).expect_field("proof_required", true);
    for method in ["GET", "HEAD"] {
        let send = |proof: &str| server.request(method, &paste.raw()).header("X-Read-Proof", proof).send().status;
        assert_eq!(server.request(method, &paste.raw()).send().status, 403);
        assert_eq!((send("wrong"), send(PASSWORD), send(LINK)), (403, 403, 200), "{method}");
    }
    let refused = server.get(&paste.raw()).expect_code(403, "proof_required");
    let hint = refused.json()["hint"].as_str().unwrap().to_owned();
    assert!(hint.contains("the part after the #") && hint.contains("fpaste get"), "{hint}");
    for wrong in [PASSWORD, "x", &format!("{LINK}="), &LINK[..42]] {
        read(&server, &paste, wrong, "").expect_code(403, "proof_wrong");
    }
    read(&server, &paste, LINK, "").expect_status(200).expect_body("sealed");
    let part = server.request("GET", &paste.raw()).header("X-Read-Proof", LINK).header("Range", "bytes=1-2").send();
    part.expect_status(206).expect_body("ea");
    server.request("GET", &paste.raw()).header("Range", "bytes=1-2").send().expect_code(403, "proof_required");
    server.stop();
    let log = server.log();
    assert!(!log.contains(LINK) && !log.contains(PASSWORD), "{log}");
}

#[test]
fn the_password_proof_is_required_after_the_link_proof() {
    let server = Server::start(&[]);
    let paste = gated_with_password(&server);
    let metadata = server.get(&paste.path()).expect_status(200).expect_field("proof_required", true);
    metadata.expect_field("password_protected", true).expect_field("password_proof", true);
    let only_password = server.request("GET", &paste.raw()).header("X-Password-Proof", PASSWORD).send();
    only_password.expect_code(403, "proof_required");
    read(&server, &paste, PASSWORD, PASSWORD).expect_code(403, "proof_wrong");
    let refused = read(&server, &paste, LINK, "").expect_code(403, "password_required");
    assert!(refused.get("WWW-Authenticate").is_none(), "no login dialog in the browser");
    read(&server, &paste, LINK, LINK).expect_code(403, "password_wrong");
    read(&server, &paste, LINK, PASSWORD).expect_status(200).expect_body("sealed");
}

#[test]
fn wrong_passwords_count_only_with_a_valid_link_proof() {
    let server = Server::start(&[]);
    let paste = gated_with_password(&server);
    for _ in 0..30 {
        read(&server, &paste, PASSWORD, LINK).expect_code(403, "proof_wrong");
    }
    read(&server, &paste, LINK, PASSWORD).expect_status(200);
    let responses: Vec<Response> = (0..30).map(|_| read(&server, &paste, LINK, LINK)).collect();
    let throttled = responses.into_iter().find(|response| response.status == 429).expect("none was throttled");
    throttled.expect_code(429, "throttled");
    // Other clients are not throttled.
    let other = server.request("GET", &paste.raw()).header("X-Read-Proof", LINK).header("X-Password-Proof", PASSWORD);
    other.header("X-Forwarded-For", "192.0.2.7").send().expect_status(200);
}

#[test]
fn refused_reads_neither_burn_nor_extend_a_paste() {
    let server = Server::start(&[("FLASKPASTE_EXPIRY", "1000")]);
    let burn =
        server.post("sealed").header("X-Read-Proof-SHA256", LINK_HASH).header("X-Burn-After-Read", "1").created();
    for _ in 0..5 {
        server.get(&burn.raw()).expect_code(403, "proof_required");
        read(&server, &burn, PASSWORD, "").expect_code(403, "proof_wrong");
    }
    let status = server.request("GET", &format!("/{}/status", burn.id)).header("X-Delete-Token", &burn.delete_token);
    status.send().expect_field("state", "unread").expect_field("reads_left", 1);
    read(&server, &burn, LINK, "").expect_status(200).expect_body("sealed").expect_header("X-Burn-After-Read", "true");
    read(&server, &burn, LINK, "").expect_code(404, "not_found");
}

#[test]
fn a_paste_without_a_gate_ignores_proofs() {
    let server = Server::start(&[]);
    let paste = server.paste("open");
    read(&server, &paste, "nonsense", "nonsense").expect_status(200).expect_body("open");
}

#[test]
fn malformed_or_conflicting_proofs_are_refused() {
    let server = Server::start(&[]);
    let hash = LINK_HASH.to_owned();
    let create = |headers: &[(&str, &str)]| {
        let mut request = server.post("sealed");
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        request.send()
    };
    for bad in ["", "x", &hash[1..], &format!("{hash}0"), &hash.replace('4', "g"), LINK] {
        create(&[("X-Read-Proof-SHA256", bad)]).expect_code(400, "bad_request");
        create(&[("X-Read-Proof-SHA256", &hash), ("X-Password-Proof-SHA256", bad)]).expect_code(400, "bad_request");
    }
    create(&[("X-Password-Proof-SHA256", &hash)]).expect_code(400, "bad_request");
    create(&[("X-Read-Proof-SHA256", &hash), ("X-Paste-Password", "p")]).expect_code(400, "bad_request");
    for bad in ["", "0", "1001", "-1", "1.5", "many", "0x10"] {
        create(&[("X-Reads", bad)]).expect_code(400, "bad_request");
        create(&[("X-Reads", bad), ("X-Burn-After-Read", "true")]).expect_code(400, "bad_request");
    }
    let bodies: [Value; 9] = [
        json!({"content": "x", "read_proof_sha256": 5}),
        json!({"content": "x", "read_proof_sha256": ""}),
        json!({"content": "x", "read_proof_sha256": [hash]}),
        json!({"content": "x", "password_proof_sha256": hash}),
        json!({"content": "x", "read_proof_sha256": hash, "password": "p"}),
        json!({"content": "x", "reads": "3"}),
        json!({"content": "x", "reads": 0}),
        json!({"content": "x", "reads": 1.0}),
        json!({"content": "x", "reads": true}),
    ];
    for body in bodies {
        server.request("POST", "/").json(&body).send().expect_code(400, "bad_request");
    }
    for twice in [
        "\"burn_after_read\":true,\"burn_after_read\":null",
        "\"reads\":1,\"reads\":9",
        "\"password\":\"p\",\"password\":null",
    ] {
        let body = format!("{{\"content\":\"x\",{twice}}}");
        let create = server.post(body).header("Content-Type", "application/json");
        create.send().expect_code(400, "invalid_json");
    }
}

#[test]
fn fields_of_a_json_body_win_over_headers() {
    let server = Server::start(&[]);
    let fields = json!({"content": "sealed", "read_proof_sha256": LINK_HASH, "password_proof_sha256": password_hash(), "reads": 3});
    let create =
        server.request("POST", "/").json(&fields).header("X-Reads", "7").header("X-Read-Proof-SHA256", "nonsense");
    let paste = create.send().expect_status(201).expect_field("reads_left", 3).expect_field("password_proof", true);
    let paste = Paste { id: paste.json()["id"].as_str().unwrap().into(), delete_token: String::new() };
    read(&server, &paste, LINK, PASSWORD).expect_status(200).expect_body("sealed");
    server.get(&paste.path()).expect_field("reads_left", 2);
    let burn = json!({"content": "sealed", "reads": 5, "burn_after_read": true});
    let burn = server.request("POST", "/").json(&burn).send().expect_status(201);
    burn.expect_field("reads_left", 1).expect_field("burn_after_read", true);
}

#[test]
fn gated_pastes_are_not_counted_as_duplicates() {
    let server = Server::start(&[("FLASKPASTE_DEDUP_MAX", "1")]);
    for _ in 0..3 {
        gated(&server);
        server.post("sealed").header("X-Reads", "2").created();
    }
    server.paste("sealed");
    server.post("sealed").send().expect_code(429, "duplicate");
}

#[test]
fn a_gate_survives_a_crash() {
    let mut server = Server::start(&[]);
    let paste = gated_with_password(&server);
    server.crash_and_restart();
    read(&server, &paste, LINK, LINK).expect_code(403, "password_wrong");
    read(&server, &paste, LINK, PASSWORD).expect_status(200).expect_body("sealed");
}
