//! Asks: one person asks for a secret, another provides it, and it is read once.

use crate::harness::{Folder, Paste, SOON, Server, unix_now, wait_until};
use crate::http_client::{Request, base64};
use crate::response::Response;
use sha2::{Digest, Sha256};
use std::sync::{Arc, Barrier};

/// What the asker needs to read the answer, and what the answerer sends.
const READ_PROOF: [u8; 32] = [3; 32];
const ANSWER_PROOF: [u8; 32] = [4; 32];

fn hash(proof: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(proof).iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// A proof as written in headers.
fn encoded(proof: &[u8]) -> String {
    base64(proof).replace('+', "-").replace('/', "_").trim_end_matches('=').to_owned()
}

fn asking(server: &Server) -> Request<'_> {
    let request = server.request("POST", "/ask").header("X-Read-Proof-SHA256", hash(&READ_PROOF));
    request.header("X-Answer-Proof-SHA256", hash(&ANSWER_PROOF))
}

pub fn ask(server: &Server) -> Paste {
    asking(server).created()
}

pub fn answering<'a>(server: &'a Server, ask: &Paste, content: &str) -> Request<'a> {
    server.request("PUT", &ask.raw()).header("X-Answer-Proof", encoded(&ANSWER_PROOF)).body(content)
}

pub fn read(server: &Server, ask: &Paste) -> Response {
    server.request("GET", &ask.raw()).header("X-Read-Proof", encoded(&READ_PROOF)).send()
}

fn status(server: &Server, ask: &Paste) -> Response {
    server.request("GET", &format!("{}/status", ask.path())).header("X-Delete-Token", &ask.delete_token).send()
}

fn state(server: &Server, ask: &Paste) -> String {
    status(server, ask).expect_status(200).json()["state"].as_str().unwrap().to_owned()
}

#[test]
fn an_ask_gets_one_answer_which_is_read_once() {
    let mut server = Server::start(&[]);
    let created = asking(&server).send().expect_status(201).expect_field("state", "asked");
    let created = created.json();
    for field in ["id", "url", "delete_token", "expires_at"] {
        assert!(!created[field].is_null(), "{field}: {created}");
    }
    let ask = Paste {
        id: created["id"].as_str().unwrap().into(),
        delete_token: created["delete_token"].as_str().unwrap().into(),
    };
    for _ in 0..2 {
        let asked = server.get(&ask.path()).expect_status(200).json();
        let fields: Vec<_> = asked.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(fields, ["created_at", "expires_at", "id", "max_size", "state"]);
        assert_eq!((&asked["state"], &asked["max_size"]), (&"asked".into(), &3_145_728.into()));
        assert_eq!(state(&server, &ask), "asked");
        // With and without the proof.
        read(&server, &ask).expect_code(404, "not_answered");
        server.get(&ask.raw()).expect_code(404, "not_answered");
        server.head(&ask.raw()).expect_status(404);
        let lease = server.request("POST", &format!("{}/lease", ask.path()));
        lease.header("X-Read-Proof", encoded(&READ_PROOF)).send().expect_code(404, "not_answered");
        server.crash_and_restart();
    }
    let answered = answering(&server, &ask, "a secret").send().expect_status(201);
    answered.expect_field("state", "answered").expect_field("size", 8).expect_field("id", ask.id.as_str());
    server.crash_and_restart();
    server.get(&ask.path()).expect_field("state", "answered").expect_field("size", 8);
    assert_eq!(state(&server, &ask), "unread");
    server.get(&ask.raw()).expect_code(403, "proof_required");
    let wrong = server.request("GET", &ask.raw()).header("X-Read-Proof", encoded(&ANSWER_PROOF)).send();
    wrong.expect_code(403, "proof_wrong");
    read(&server, &ask).expect_status(200).expect_body("a secret");
    for gone in [read(&server, &ask), server.get(&ask.path()), answering(&server, &ask, "again").send()] {
        gone.expect_code(404, "not_found");
    }
    assert_eq!(state(&server, &ask), "read");
    for secret in [encoded(&ANSWER_PROOF), encoded(&READ_PROOF), ask.delete_token, ask.id] {
        assert!(!server.log().contains(&secret));
    }
}

#[test]
fn an_answer_is_read_under_a_lease() {
    let server = Server::start(&[]);
    let ask = ask(&server);
    answering(&server, &ask, "a secret").send().expect_status(201);
    let leasing = server.request("POST", &format!("{}/lease", ask.path()));
    let lease = leasing.header("X-Read-Proof", encoded(&READ_PROOF)).send().expect_status(201).json();
    let lease = lease["lease"].as_str().unwrap();
    // For everybody else it is gone, also for answering.
    server.get(&ask.path()).expect_code(404, "not_found");
    answering(&server, &ask, "again").send().expect_code(404, "not_found");
    assert_eq!(state(&server, &ask), "leased");
    let held = server.request("GET", &ask.path()).header("X-Lease", lease).send();
    held.expect_status(200).expect_field("state", "answered");
    for _ in 0..2 {
        let part = server.request("GET", &ask.raw()).header("X-Lease", lease).header("Range", "bytes=2-").send();
        part.expect_status(206).expect_body("secret");
    }
    server.request("DELETE", &ask.path()).header("X-Lease", lease).send().expect_status(200);
    assert_eq!(state(&server, &ask), "read");
}

#[test]
fn only_one_of_64_concurrent_answers_is_accepted() {
    let server = Server::start(&[("FLASKPASTE_THREADS", "64")]);
    for large in [0, 200_000] {
        let ask = ask(&server);
        let start = Barrier::new(64);
        let mut statuses = std::thread::scope(|scope| {
            let answer = |number: usize| {
                start.wait();
                let response = answering(&server, &ask, &format!("{number:03}{}", "x".repeat(large))).send();
                (response.status, number)
            };
            let answers: Vec<_> = (0..64).map(|number| scope.spawn(move || answer(number))).collect();
            answers.into_iter().map(|answer| answer.join().unwrap()).collect::<Vec<_>>()
        });
        statuses.sort_unstable();
        let (winner, others) = statuses.split_first().unwrap();
        assert!(winner.0 == 201 && others.iter().all(|(status, _)| *status == 409), "{statuses:?}");
        answering(&server, &ask, "late").send().expect_code(409, "already_answered");
        read(&server, &ask).expect_status(200).expect_body(format!("{:03}{}", winner.1, "x".repeat(large)));
    }
}

#[test]
fn answering_requires_the_proof_from_the_link() {
    let server = Server::start(&[]);
    let ask = ask(&server);
    let put = || server.request("PUT", &ask.raw()).body("a lie");
    put().send().expect_code(403, "proof_required");
    // The asker cannot answer either.
    put().header("X-Delete-Token", &ask.delete_token).send().expect_code(403, "proof_required");
    let proof = encoded(&ANSWER_PROOF);
    for wrong in
        [encoded(&READ_PROOF), hash(&ANSWER_PROOF), proof[..42].into(), format!("{proof}="), format!("{proof}A")]
    {
        put().header("X-Answer-Proof", wrong).send().expect_code(403, "proof_wrong");
    }
    for name in ["X-Expiry", "X-Reads", "X-Paste-Password", "X-Filename"] {
        answering(&server, &ask, "no").header(name, "1").send().expect_code(400, "bad_request");
    }
    server.request("PUT", &ask.raw()).header("X-Answer-Proof", &proof).send().expect_code(400, "no_content");
    answering(&server, &ask, "").send().expect_code(400, "no_content");
    let large = answering(&server, &ask, &"x".repeat(3_145_729)).send();
    large.expect_code(413, "too_large").expect_field("max_size", 3_145_728);
    assert_eq!(state(&server, &ask), "asked");
    answering(&server, &ask, "the truth").send().expect_status(201);
    // A stranger learns nothing of an existing ask.
    put().send().expect_code(403, "proof_required");
    put().header("X-Answer-Proof", encoded(&READ_PROOF)).send().expect_code(403, "proof_wrong");
    read(&server, &ask).expect_body("the truth");
    // Pastes and missing IDs cannot be answered.
    let paste = server.paste("a paste");
    answering(&server, &paste, "no").send().expect_code(401, "auth_required");
    server.get(&paste.raw()).expect_body("a paste");
    let nothing = Paste { id: "00000000".into(), delete_token: String::new() };
    answering(&server, &nothing, "no").send().expect_code(404, "not_found");
}

#[test]
fn malformed_asks_are_rejected() {
    let server = Server::start(&[]);
    let (read, answer) = ("X-Read-Proof-SHA256", "X-Answer-Proof-SHA256");
    let good = hash(&READ_PROOF);
    for headers in [
        vec![],
        vec![(read, good.as_str())],
        vec![(answer, good.as_str())],
        vec![(read, good.as_str()), (answer, "")],
        vec![(read, good.as_str()), (answer, &good[1..])],
        vec![(read, "zz"), (answer, good.as_str())],
    ] {
        let mut request = server.request("POST", "/ask");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        request.send().expect_code(400, "bad_request");
    }
    for name in ["X-Reads", "X-Burn-After-Read", "X-Paste-Password", "X-Password-Proof-SHA256", "X-Filename"] {
        asking(&server).header(name, "1").send().expect_code(400, "bad_request");
    }
    asking(&server).header("X-Expiry", "0").send().expect_code(400, "invalid_expiry");
    asking(&server).body("a body").send().expect_code(400, "bad_request");
    asking(&server).chunks(&[b"a"]).send().expect_code(400, "bad_request");
    let length = asking(&server).body("").send();
    length.expect_status(201);
    for method in ["PUT", "DELETE", "PATCH"] {
        let refused = server.request(method, "/ask").body("x").send().expect_code(405, "method_not_allowed");
        refused.expect_header("Allow", "GET, HEAD, POST, OPTIONS");
    }
    server.get("/ask").expect_status(200).expect_field("name", "FlaskPaste").expect_no_fields(&["endpoints"]);
    let page = server.request("GET", "/ask").header("Accept", "text/html").send().expect_status(200);
    page.expect_header("Content-Type", "text/html; charset=utf-8");
}

#[test]
fn asks_expire_on_time() {
    let server = Server::start(&[("FLASKPASTE_MAX_EXPIRY", "100")]);
    let created = asking(&server).header("X-Expiry", "1000").send().expect_status(201).expect_field("sliding", false);
    let ends = created.json()["expires_at"].as_u64().unwrap();
    assert!((unix_now() + 95..=unix_now() + 100).contains(&ends), "{ends}");
    let short = asking(&server).header("X-Expiry", "1").created();
    wait_until("it has expired", SOON, || server.get(&short.path()).status == 404);
    answering(&server, &short, "late").send().expect_code(404, "not_found");
    wait_until("its receipt exists", SOON, || state(&server, &short) == "expired");
    // The asker can change the expiry, also after the answer.
    let ask = ask(&server);
    for state in ["asked", "answered"] {
        let moved = server.request("PATCH", &ask.path()).header("X-Delete-Token", &ask.delete_token);
        let moved = moved.header("X-Expiry", "50").send().expect_status(200).expect_field("state", state);
        assert!(moved.json()["expires_at"].as_u64().unwrap() <= unix_now() + 50);
        let _ = answering(&server, &ask, "an answer").send();
    }
    let delete = || server.request("DELETE", &ask.path()).header("X-Delete-Token", &ask.delete_token).send();
    delete().expect_status(200);
    delete().expect_code(404, "not_found");
    read(&server, &ask).expect_code(404, "not_found");
    assert_eq!(state(&server, &ask), "deleted");
}

#[test]
fn creating_an_ask_follows_the_rules_for_creating_a_paste() {
    let server = Server::start(&[("FLASKPASTE_POW_DIFFICULTY", "1"), ("FLASK_ENV", "production")]);
    asking(&server).send().expect_code(400, "pow_required");
    let server = Server::start(&[("FLASKPASTE_CREATE", "token")]);
    asking(&server).send().expect_code(401, "create_denied");
    let added = server.run(&["token", "add", "anna"]);
    let token = String::from_utf8(added.stdout).unwrap().trim().to_owned();
    let asked = asking(&server).header("Authorization", format!("Bearer {token}"));
    let ask = asked.created();
    let mine = server.request("GET", "/pastes").header("Authorization", format!("Bearer {token}")).send().json();
    assert_eq!((&mine["pastes"][0]["state"], &mine["pastes"][0]["id"]), (&"asked".into(), &ask.id.as_str().into()));
    // Answering needs no token and no proof of work.
    answering(&server, &ask, "an answer").send().expect_status(201);
    let server = Server::start(&[("FLASKPASTE_RATE", "1")]);
    let _ = self::ask(&server);
    asking(&server).send().expect_code(429, "rate_limited");
    answering(&server, &Paste { id: "00000000".into(), delete_token: String::new() }, "x").send().expect_status(404);
}

#[test]
fn operator_commands_and_metrics_distinguish_asks() {
    let server = Server::start(&[]);
    let ask = ask(&server);
    let text = |arguments: &[&str]| {
        let output = server.run(arguments);
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
    };
    assert!(text(&["list"]).contains("ask"));
    assert!(text(&["show", &ask.id]).contains("a request without an answer"));
    assert!(text(&["block", &ask.id]).contains("no content to block"));
    answering(&server, &ask, "abuse").send().expect_status(201);
    assert!(text(&["block", &ask.id]).contains(&ask.id));
    read(&server, &ask).expect_code(404, "not_found");
    let other = self::ask(&server);
    answering(&server, &other, "abuse").send().expect_code(403, "blocked");
    assert_eq!(state(&server, &other), "asked");
    let metrics = Server::start(&[("FLASKPASTE_METRICS", "1")]);
    let ask = self::ask(&metrics);
    answering(&metrics, &ask, "x").send().expect_status(201);
    assert!(String::from_utf8(metrics.get("/metrics").body).unwrap().contains("flaskpaste_answers_total 1\n"));
}

#[test]
fn answers_are_stored_encrypted_like_any_content() {
    let folder = Arc::new(Folder::new());
    let mut server = Server::embedded_in(Arc::clone(&folder), &[]);
    let ask = ask(&server);
    answering(&server, &ask, "a secret nobody reads").send().expect_status(201);
    server.stop();
    for file in ["pastes.db", "pastes.db-wal"] {
        let bytes = std::fs::read(folder.join(file)).unwrap_or_default();
        let has = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
        assert!(!has(b"a secret nobody") && !has(ask.id.as_bytes()) && !has(&ANSWER_PROOF), "{file}");
    }
}
