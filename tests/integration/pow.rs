//! Proof of work: who needs it, what is accepted, and that a token buys one attempt.

use crate::harness::{Folder, SOON, Server, unix_now, wait_until};
use crate::http_client::Request;
use crate::response::Response;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::sync::{Arc, Barrier};

/// Nobody is exempt, and a puzzle takes no time.
const PRODUCTION: &[(&str, &str)] = &[("FLASK_ENV", "production"), ("FLASKPASTE_POW_DIFFICULTY", "8")];

fn zero_bits(digest: &[u8]) -> u32 {
    let zeros = digest.iter().take_while(|byte| **byte == 0).count();
    u32::try_from(zeros).unwrap() * 8 + digest.get(zeros).map_or(0, |byte| byte.leading_zeros())
}

fn challenge(server: &Server) -> Value {
    server.get("/challenge").expect_status(200).json()
}

/// The first decimal number that does, or does not, solve a challenge.
fn solution(challenge: &Value, solved: bool) -> String {
    let nonce = challenge["nonce"].as_str().unwrap();
    let difficulty = u32::try_from(challenge["difficulty"].as_u64().unwrap()).unwrap();
    let hash = |n: &String| Sha256::digest(format!("{nonce}:{n}").as_bytes());
    (0..=u64::MAX).map(|n| n.to_string()).find(|n| (zero_bits(&hash(n)) >= difficulty) == solved).unwrap()
}

/// A create with this proof.
fn with_proof<'a>(server: &'a Server, content: &str, challenge: &Value, solution: &str) -> Request<'a> {
    let token = challenge["token"].as_str().unwrap();
    server.post(content).header("X-PoW-Token", token).header("X-PoW-Solution", solution)
}

/// Sends a create with the right solution.
fn pay(server: &Server, content: &str, challenge: &Value) -> Response {
    with_proof(server, content, challenge, &solution(challenge, true)).send()
}

#[test]
fn the_challenge_describes_the_puzzle() {
    let server = Server::start(PRODUCTION);
    let before = unix_now();
    let response = server.get("/challenge").expect_status(200);
    let json = response.json();
    let nonce = json["nonce"].as_str().unwrap();
    response.expect(nonce.len() >= 16 && nonce.bytes().all(|b| b.is_ascii_hexdigit()), "a nonce in hex");
    response.expect((before + 300..=unix_now() + 300).contains(&json["expires"].as_u64().unwrap()), "in 300 seconds");
    response.expect(json["token"].as_str().is_some_and(|token| !token.is_empty()), "a token");
    response.expect_field("enabled", true).expect_field("difficulty", 8).expect_field("algorithm", "sha256");
    assert_ne!(challenge(&server)["nonce"], json["nonce"], "every challenge is unique");
}

#[test]
fn without_proof_of_work_the_challenge_says_disabled() {
    let server = Server::start(&[("FLASK_ENV", "production")]);
    let off = serde_json::json!({"enabled": false, "difficulty": 0});
    assert_eq!(challenge(&server), off);
    server.post("x").header("X-PoW-Token", "junk").header("X-PoW-Solution", "junk").send().expect_status(201);
    let testing = Server::start(&[("FLASK_ENV", "testing"), ("FLASKPASTE_POW_DIFFICULTY", "")]);
    assert_eq!(challenge(&testing), off);
    testing.paste("x");
}

#[test]
fn a_solved_challenge_buys_a_paste() {
    let server = Server::start(PRODUCTION);
    server.post("x").send().expect_code(400, "pow_required");
    pay(&server, "x", &challenge(&server)).expect_status(201);
}

#[test]
fn an_incomplete_proof_of_work_gets_pow_required() {
    let server = Server::start(PRODUCTION);
    let challenge = challenge(&server);
    let token = challenge["token"].as_str().unwrap();
    server.post("x").header("X-PoW-Token", token).send().expect_code(400, "pow_required");
    server.post("x").header("X-PoW-Solution", "1").send().expect_code(400, "pow_required");
    server.post("x").header("X-PoW-Token", "").header("X-PoW-Solution", "").send().expect_code(400, "pow_required");
}

#[test]
fn wrong_solutions_and_forged_tokens_are_invalid() {
    let server = Server::start(PRODUCTION);
    let challenge = challenge(&server);
    let invalid = |challenge: &Value, solution: &str| {
        with_proof(&server, "x", challenge, solution).send().expect_code(400, "pow_invalid");
    };
    invalid(&challenge, &solution(&challenge, false));
    let right = solution(&challenge, true);
    for wrong in ["abc", "-1", "0x1", &format!("+{right}"), &format!("{right}.0"), &"1".repeat(5000)] {
        invalid(&challenge, wrong);
    }
    let token = challenge["token"].as_str().unwrap();
    let mut forged = challenge.clone();
    let last = if token.ends_with('0') { "1" } else { "0" };
    for token in ["x".to_owned(), format!("{token}0"), format!("{}{last}", &token[..token.len() - 1])] {
        forged["token"] = token.into();
        invalid(&forged, &right);
    }
    // A token of another server is not accepted either.
    invalid(&self::challenge(&Server::start(PRODUCTION)), &right);
    pay(&server, "x", &challenge).expect_status(201);
}

#[test]
fn late_tokens_are_expired() {
    let server = Server::start(&[PRODUCTION, &[("FLASKPASTE_POW_TTL", "1")]].concat());
    let challenge = challenge(&server);
    wait_until("the token has expired", SOON, || unix_now() > challenge["expires"].as_u64().unwrap());
    pay(&server, "x", &challenge).expect_code(400, "pow_expired");
}

#[test]
fn a_token_is_accepted_once() {
    let server = Server::start(PRODUCTION);
    let challenge = challenge(&server);
    pay(&server, "x", &challenge).expect_status(201);
    pay(&server, "y", &challenge).expect_code(400, "pow_reused");
    pay(&server, "z", &self::challenge(&server)).expect_status(201);
}

#[test]
fn a_token_used_concurrently_buys_one_paste() {
    let server = Server::start(PRODUCTION);
    let challenge = challenge(&server);
    let barrier = Barrier::new(16);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let buy = |n: usize| {
            barrier.wait();
            let response = pay(&server, &format!("paste {n}"), &challenge);
            if response.status == 201 { 201 } else { response.expect_code(400, "pow_reused").status }
        };
        let buyers: Vec<_> = (0..16).map(|n| scope.spawn(move || buy(n))).collect();
        buyers.into_iter().map(|buyer| buyer.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
}

#[test]
fn a_token_is_spent_once_the_body_has_begun() {
    let limits = [("FLASKPASTE_MAX_ANON", "100"), ("FLASKPASTE_DEDUP_MAX", "1")];
    let mut server = Server::start(&[PRODUCTION, &limits].concat());
    pay(&server, "again", &challenge(&server)).expect_status(201);
    let spent: Vec<Value> = (0..4).map(|_| challenge(&server)).collect();
    pay(&server, "again", &spent[0]).expect_code(429, "duplicate");
    let bad_json = with_proof(&server, "{}", &spent[1], &solution(&spent[1], true));
    bad_json.header("Content-Type", "application/json").send().expect_code(400, "invalid_json");
    let cut = create_head(&spent[2], "Content-Length: 10") + "five!";
    server.raw(cut).remove(0).expect_code(400, "bad_request");
    // Refused at its first chunk.
    let too_large = create_head(&spent[3], "Transfer-Encoding: chunked") + "65\r\n";
    server.raw(too_large).remove(0).expect_code(413, "too_large");
    for again in [false, true] {
        for challenge in &spent {
            pay(&server, "x", challenge).expect_code(400, "pow_reused");
        }
        if !again {
            server.crash_and_restart();
        }
    }
}

#[test]
fn a_token_stays_valid_without_a_body_or_on_a_server_error() {
    let limits = [("FLASKPASTE_MAX_ANON", "100000"), ("FLASKPASTE_MAX_DB_SIZE", "150000")];
    let server = Server::embedded(&[PRODUCTION, &limits].concat());
    let challenge = challenge(&server);
    pay(&server, &"x".repeat(100_001), &challenge).expect_code(413, "too_large");
    pay(&server, "", &challenge).expect_code(400, "no_content");
    let bad_expiry = with_proof(&server, "x", &challenge, &solution(&challenge, true)).header("X-Expiry", "0");
    bad_expiry.send().expect_code(400, "invalid_expiry");
    server.raw(create_head(&challenge, "Content-Length: 10")).remove(0).expect_code(400, "bad_request");
    pay(&server, &"x".repeat(99_999), &challenge).expect_code(507, "storage_full");
    pay(&server, "x", &challenge).expect_status(201);
}

#[test]
fn a_token_buys_one_attempt_at_a_time() {
    let server = Server::start(PRODUCTION);
    let challenge = challenge(&server);
    let mut first = server.connect();
    first.send(create_head(&challenge, "Content-Length: 10\r\nExpect: 100-continue").as_bytes());
    assert_eq!(first.read_response("", false).unwrap().status, 100, "the first has the token");
    // Nothing was hashed or read for the others: each is answered immediately, although it announces a body.
    for _ in 0..20 {
        let password = "Content-Length: 10\r\nX-Paste-Password: secret\r\nConnection: close";
        let mut other = server.connect();
        other.send(create_head(&challenge, password).as_bytes());
        other.read_response("", false).unwrap().expect_code(400, "pow_reused");
    }
    first.send(b"ten bytes!");
    first.read_response("", false).unwrap().expect_status(201);
    pay(&server, "x", &challenge).expect_code(400, "pow_reused");
}

/// The head of a create with the right solution and these lines.
fn create_head(challenge: &Value, lines: &str) -> String {
    let (token, solution) = (challenge["token"].as_str().unwrap(), solution(challenge, true));
    format!("POST / HTTP/1.1\r\nHost: x\r\nX-PoW-Token: {token}\r\nX-PoW-Solution: {solution}\r\n{lines}\r\n\r\n")
}

#[test]
fn single_use_holds_across_restarts_while_the_secret_is_kept() {
    for secret in [None, Some(("FLASKPASTE_POW_SECRET", "an operator's secret"))] {
        let folder = Arc::new(Folder::new());
        let mut variables = PRODUCTION.to_vec();
        variables.extend(secret);
        let mut server = Server::start_in(folder, &variables);
        let (spent, unspent) = (challenge(&server), challenge(&server));
        pay(&server, "x", &spent).expect_status(201);
        server.crash_and_restart();
        pay(&server, "y", &spent).expect_code(400, "pow_reused");
        server.stop();
        server.restart();
        pay(&server, "y", &spent).expect_code(400, "pow_reused");
        pay(&server, "y", &unspent).expect_status(201);
    }
}

#[test]
fn changing_the_secret_invalidates_old_tokens() {
    let folder = Arc::new(Folder::new());
    let start =
        |secret| Server::start_in(Arc::clone(&folder), &[PRODUCTION, &[("FLASKPASTE_POW_SECRET", secret)]].concat());
    let old = challenge(&start("one-of-sixteen-bytes"));
    pay(&start("two-of-sixteen-bytes"), "x", &old).expect_code(400, "pow_invalid");
}

#[test]
fn in_development_direct_local_clients_are_exempt() {
    let server = Server::start(&[("FLASKPASTE_POW_DIFFICULTY", "8")]);
    server.paste("direct");
    for name in ["X-Forwarded-For", "X-Real-IP", "Forwarded"] {
        server.post(name).header(name, "127.0.0.1").send().expect_code(400, "pow_required");
    }
    // A token that is sent is still checked and used up.
    let challenge = challenge(&server);
    with_proof(&server, "x", &challenge, &solution(&challenge, false)).send().expect_code(400, "pow_invalid");
    pay(&server, "x", &challenge).expect_status(201);
    pay(&server, "y", &challenge).expect_code(400, "pow_reused");
}

#[test]
fn in_production_nobody_is_exempt() {
    let server = Server::start(PRODUCTION);
    let owner = "0123456789abcdef0123456789abcdef01234567";
    server.post("x").header("X-SSL-Client-SHA1", owner).send().expect_code(400, "pow_required");
    server.post("x").header("X-Forwarded-For", "192.0.2.1").send().expect_code(400, "pow_required");
}

#[test]
fn the_index_says_whether_this_client_needs_proof_of_work() {
    let pow = |server: &Server, forwarded: bool| {
        let request = server.request("GET", "/");
        let request = if forwarded { request.header("X-Forwarded-For", "192.0.2.1") } else { request };
        request.send().expect_status(200).json()["pow"].clone()
    };
    let required =
        |required: bool| serde_json::json!({"enabled": true, "required": required, "difficulty": 8, "elevated": 0});
    let development = Server::start(&[("FLASKPASTE_POW_DIFFICULTY", "8")]);
    assert_eq!(pow(&development, false), required(false));
    assert_eq!(pow(&development, true), required(true));
    assert_eq!(pow(&Server::start(PRODUCTION), false), required(true));
    let off = Server::start(&[]);
    assert_eq!(
        pow(&off, true),
        serde_json::json!({"enabled": false, "required": false, "difficulty": 0, "elevated": 0})
    );
}
