//! Who may create: anyone, token holders, or certificate holders; and the rights of a token.

use crate::harness::{Paste, SOON, Server, unix_now, wait_until};
use crate::http_client::Request;
use crate::response::Response;
use serde_json::Value;

const OWNER: (&str, &str) = ("X-SSL-Client-SHA1", "0123456789abcdef0123456789abcdef01234567");
const TOKENS: (&str, &str) = ("FLASKPASTE_CREATE", "token");

/// A token created by the operator while the server runs.
#[track_caller]
fn token(server: &Server, name: &str) -> String {
    let made = server.run(&["token", "add", name]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let token = String::from_utf8(made.stdout).unwrap().trim_end().to_owned();
    assert!(token.starts_with("fpt_") && token.len() == 47 && !token.contains('\n'), "only the token on stdout");
    assert!(!String::from_utf8_lossy(&made.stderr).contains(&token), "shown once");
    token
}

trait Bearing {
    fn bearing(self, token: &str) -> Self;
}

impl Bearing for Request<'_> {
    fn bearing(self, token: &str) -> Self {
        self.header("Authorization", format!("Bearer {token}"))
    }
}

fn own_pastes(server: &Server, token: &str, query: &str) -> Response {
    server.request("GET", &format!("/pastes{query}")).bearing(token).send()
}

fn handles(answer: &Value) -> Vec<&str> {
    answer["pastes"].as_array().unwrap().iter().map(|paste| paste["handle"].as_str().unwrap()).collect()
}

#[test]
fn only_clients_allowed_by_the_operator_can_create() {
    let server = Server::start(&[TOKENS]);
    let token = token(&server, "ci");
    assert_eq!(server.get("/").json()["create"], "token");
    let refused = server.post("x").send().expect_code(401, "create_denied").expect_header("WWW-Authenticate", "Bearer");
    assert!(refused.json()["hint"].as_str().unwrap().contains("Bearer TOKEN"), "what to do");
    // Before any other check of the request.
    server.request("PUT", "/%ff").body("x").send().expect_code(401, "create_denied");
    let form = server.post("x").header("Content-Type", "multipart/form-data");
    form.send().expect_code(401, "create_denied");
    server.post("one").bearing(&token).send().expect_status(201).expect_field("owner", "token:ci");
    server.post("two").header(OWNER.0, OWNER.1).send().expect_status(201).expect_field("owner", OWNER.1);
    let open = server.post("three").header("Authorization", format!("bearer  {token}")).created();
    server.get(&open.raw()).expect_status(200).expect_body("three");

    let certificates = Server::start(&[("FLASKPASTE_CREATE", "certificate")]);
    let token = self::token(&certificates, "ci");
    certificates.post("x").send().expect_code(401, "create_denied");
    let refused = certificates.post("x").bearing(&token).send().expect_code(401, "create_denied");
    assert!(refused.json()["hint"].as_str().unwrap().contains("certificate"), "what to do");
    certificates.post("x").header(OWNER.0, OWNER.1).send().expect_status(201);
    // With both, the certificate allows the create and the token owns the paste.
    let both = certificates.post("y").header(OWNER.0, OWNER.1).bearing(&token).send();
    both.expect_status(201).expect_field("owner", "token:ci");
}

#[test]
fn the_right_to_create_is_checked_first() {
    let server = Server::start(&[TOKENS, ("FLASKPASTE_MAX_ANON", "10"), ("FLASK_ENV", "production")]);
    let refused = server.post("x".repeat(1000)).header("X-Expiry", "-1").header("Content-Type", "application/json");
    refused.send().expect_code(401, "create_denied");
    server.request("PUT", "/name.txt").body("x".repeat(1000)).send().expect_code(401, "create_denied");
    let form = server.post("x").header("Content-Type", "multipart/form-data; boundary=x");
    form.send().expect_code(401, "create_denied");
    // The body is not awaited.
    let head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    server.raw(head).remove(0).expect_code(401, "create_denied");
    // Pages get the refusal without a browser dialog.
    let quiet = server.post("x").header("X-Requested-With", "flaskpaste").send().expect_code(401, "create_denied");
    quiet.expect_header("WWW-Authenticate", "FlaskPaste");
}

#[test]
fn a_token_gives_the_same_rights_as_a_certificate() {
    let server = Server::start(&[("FLASKPASTE_MAX_ANON", "10")]);
    let (token, other) = (token(&server, "alice"), token(&server, "bob"));
    assert_eq!(server.request("GET", "/").bearing(&token).send().json()["authenticated"], true);
    server.post("x".repeat(100)).send().expect_code(413, "too_large").expect_field("authenticated", false);
    let paste = server.post("x".repeat(100)).bearing(&token).created();
    let chunks = server.request("POST", "/").bearing(&token).chunks(&[&[b'y'; 60], &[b'y'; 60]]);
    chunks.send().expect_status(201);
    server.request("GET", &paste.path()).bearing(&token).send().expect_field("owner", "token:alice");
    server.request("GET", &paste.path()).bearing(&other).send().expect_no_fields(&["owner"]);
    let status = format!("{}/status", paste.path());
    server.request("GET", &status).bearing(&token).send().expect_field("state", "unread");
    server.request("GET", &status).bearing(&other).send().expect_code(404, "not_found");
    server.request("DELETE", &paste.path()).bearing(&other).send().expect_code(403, "permission_denied");
    server.request("DELETE", &paste.path()).bearing(&token).send().expect_status(200);
    server.get(&paste.path()).expect_code(404, "not_found");
}

#[test]
fn an_invalid_token_is_never_treated_as_anonymous() {
    let server = Server::start(&[]);
    let good = token(&server, "ci");
    let paste = server.paste("x");
    let mut other = good.clone().into_bytes();
    other[20] ^= 1;
    let other = String::from_utf8(other).unwrap();
    for bad in ["", "x", "fpt_", &good[..46], &format!("{good}x"), &good.to_uppercase(), &other] {
        for (method, path) in
            [("POST", "/"), ("GET", "/"), ("GET", paste.path().as_str()), ("GET", &paste.raw()), ("GET", "/pastes")]
        {
            let refused = server.request(method, path).bearing(bad).body("x").send().expect_code(401, "token_invalid");
            assert!(refused.get("WWW-Authenticate").unwrap().starts_with("Bearer"), "{bad}");
        }
    }
    // Other schemes are ignored.
    server.request("GET", &paste.raw()).header("Authorization", "Basic eDp5").send().expect_status(200);
    assert!(!server.log().contains("fpt_"), "no token in the log");
}

#[test]
fn a_token_ends_when_it_expires_or_is_removed() {
    let server = Server::embedded(&[TOKENS]);
    let (kept, removed) = (token(&server, "kept"), token(&server, "removed"));
    let again = server.run(&["token", "add", "kept"]);
    assert_eq!((again.status.code(), again.stdout.len()), (Some(1), 0), "names are unique");
    assert_eq!(server.run(&["token", "remove", "nobody"]).status.code(), Some(3));
    for bad in [&["token"][..], &["token", "add"], &["token", "add", "a b"], &["token", "add", "x", "--days", "0"]] {
        assert_eq!(server.run(bad).status.code(), Some(2), "{bad:?}");
    }
    let expiring = server.run(&["token", "add", "short", "--days", "1"]);
    assert!(expiring.status.success());
    let list = String::from_utf8(server.run(&["token", "list"]).stdout).unwrap();
    assert!(
        list.lines().count() == 3 && list.contains("kept") && list.contains("never") && !list.contains("fpt_"),
        "{list}"
    );
    // It has expired.
    let database = rusqlite::Connection::open(server.database()).unwrap();
    database.execute("UPDATE token SET expires_at = ?1 WHERE name = 'short'", [unix_now()]).unwrap();
    drop(database);
    let short = String::from_utf8(expiring.stdout).unwrap();
    server.post("x").bearing(short.trim_end()).send().expect_code(401, "token_invalid");
    assert!(server.run(&["token", "remove", "removed"]).status.success());
    wait_until("the change is in effect", SOON, || server.post("y").bearing(&removed).send().status == 401);
    server.post("z").bearing(&kept).send().expect_status(201);
    let log = String::from_utf8(server.run(&["log"]).stdout).unwrap();
    for line in ["token add kept", "token add removed", "token add short", "token remove removed"] {
        assert_eq!(log.lines().filter(|found| found.ends_with(line)).count(), 1, "{log}");
    }
}

#[test]
fn an_owner_lists_its_pastes_page_by_page() {
    let server = Server::start(&[("FLASKPASTE_DEDUP_MAX", "0")]);
    let (token, other) = (token(&server, "alice"), token(&server, "bob"));
    let made: Vec<Paste> = (0..230).map(|number| server.post(format!("{number}")).bearing(&token).created()).collect();
    server.post("another's").bearing(&other).send().expect_status(201);
    server.post("nobody's").send().expect_status(201);
    let mut ids = Vec::new();
    let mut query = String::new();
    for length in [100, 100, 30] {
        let answer = own_pastes(&server, &token, &query).expect_status(200).json();
        assert_eq!(handles(&answer).len(), length);
        ids.extend(answer["pastes"].as_array().unwrap().iter().map(|paste| paste["id"].as_str().unwrap().to_owned()));
        query = answer["next"].as_str().map(|next| format!("?before={next}")).unwrap_or_default();
    }
    assert!(query.is_empty(), "this was the last page");
    let newest_first: Vec<&str> = made.iter().rev().map(|paste| paste.id.as_str()).collect();
    assert_eq!(ids, newest_first);
    let bobs = own_pastes(&server, &other, "").json();
    assert_eq!(bobs["pastes"].as_array().unwrap().len(), 1);
    assert_eq!((&bobs["pastes"][0]["owner"], &bobs["pastes"][0]["size"]), (&"token:bob".into(), &9.into()));
    server.get("/pastes").expect_code(401, "auth_required");
    for bad in ["?before=", "?before=x", "?before=0-0", "?before=123456789"] {
        own_pastes(&server, &token, bad).expect_code(400, "bad_request");
    }
    // Deleted pastes are not listed.
    server.request("DELETE", &made[229].path()).bearing(&token).send().expect_status(200);
    assert_eq!(own_pastes(&server, &token, "").json()["pastes"][0]["id"], made[228].id);
}

#[test]
fn ids_are_listed_only_for_the_token_that_created_the_paste() {
    let server = Server::start(&[]);
    let token = token(&server, "alice");
    let created = server.post("x").bearing(&token).header("X-Filename", "a.txt").send().expect_status(201).json();
    let own = own_pastes(&server, &token, "").json()["pastes"][0].clone();
    assert_eq!([&own["handle"], &own["id"], &own["filename"]], [&created["handle"], &created["id"], &"a.txt".into()]);
    // A certificate reveals no id, and without one neither type nor name.
    let owned = server.post("y").header(OWNER.0, OWNER.1).send().expect_status(201).json();
    let listed = server.request("GET", "/pastes").header(OWNER.0, OWNER.1).send().json()["pastes"][0].clone();
    assert_eq!([&listed["handle"], &listed["owner"]], [&owned["handle"], &OWNER.1.into()]);
    assert!(listed.get("id").is_none() && listed.get("mime_type").is_none() && listed.get("raw").is_none());
    // Another token of the same name owns the paste, and does not see its id.
    assert!(server.run(&["token", "remove", "alice"]).status.success());
    let again = self::token(&server, "alice");
    let own = own_pastes(&server, &again, "").json()["pastes"][0].clone();
    assert_eq!(own["handle"], created["handle"]);
    assert!(own.get("id").is_none());
    let path = format!("/{}", created["id"].as_str().unwrap());
    server.request("DELETE", &path).bearing(&again).send().expect_status(200);
}
