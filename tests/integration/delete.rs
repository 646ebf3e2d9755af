//! Deleting, ownership, and which proxies may assert the owner.

use crate::harness::{Paste, Server};
use crate::response::Response;

const OWNER: &str = "0123456789abcdef0123456789abcdef01234567";
const STRANGER: &str = "ffffffffffffffffffffffffffffffffffffffff";

fn owned(server: &Server, content: &str) -> Paste {
    server.post(content).header("X-SSL-Client-SHA1", OWNER).created()
}

fn delete(server: &Server, path: &str, headers: &[(&str, &str)]) -> Response {
    let request = server.request("DELETE", path);
    headers.iter().fold(request, |request, (name, value)| request.header(name, *value)).send()
}

#[test]
fn the_delete_token_deletes_its_paste() {
    let server = Server::start(&[]);
    let paste = server.paste("x");
    let token = ("X-Delete-Token", paste.delete_token.as_str());
    let response = delete(&server, &paste.path(), &[token]).expect_status(200);
    response.expect_field("message", "Paste deleted").expect_field("id", paste.id.as_str());
    server.get(&paste.raw()).expect_code(404, "not_found");
    delete(&server, &paste.path(), &[token]).expect_code(404, "not_found");
}

#[test]
fn the_owner_can_delete() {
    let server = Server::start(&[]);
    let paste = owned(&server, "x");
    delete(&server, &paste.path(), &[("X-SSL-Client-SHA1", OWNER)]).expect_status(200);
    server.get(&paste.path()).expect_code(404, "not_found");
}

#[test]
fn other_clients_cannot_delete() {
    let server = Server::start(&[]);
    let (paste, other) = (owned(&server, "x"), server.paste("y"));
    delete(&server, &paste.path(), &[("X-SSL-Client-SHA1", STRANGER)]).expect_code(403, "permission_denied");
    let wrong = [("X-Delete-Token", other.delete_token.as_str())];
    delete(&server, &paste.path(), &wrong).expect_code(403, "permission_denied");
    let cut = [("X-Delete-Token", &paste.delete_token[..paste.delete_token.len() - 1])];
    delete(&server, &paste.path(), &cut).expect_code(403, "permission_denied");
    delete(&server, &other.path(), &[("X-SSL-Client-SHA1", OWNER)]).expect_code(403, "permission_denied");
    server.get(&paste.raw()).expect_status(200);
    // Either proof is enough, the other may be wrong.
    let both = [("X-SSL-Client-SHA1", STRANGER), ("X-Delete-Token", paste.delete_token.as_str())];
    delete(&server, &paste.path(), &both).expect_status(200);
}

#[test]
fn deletes_without_credentials_reveal_nothing() {
    let server = Server::start(&[]);
    let paste = server.paste("x");
    let existing = delete(&server, &paste.path(), &[("X-Request-ID", "same")]).expect_code(401, "auth_required");
    let missing = delete(&server, "/0123456789ab", &[("X-Request-ID", "same")]).expect_code(401, "auth_required");
    assert_eq!(existing.body, missing.body);
    delete(&server, &paste.path(), &[("X-Delete-Token", "")]).expect_code(401, "auth_required");
    // Invalid fingerprints are ignored.
    delete(&server, &paste.path(), &[("X-SSL-Client-SHA1", "abc")]).expect_code(401, "auth_required");
    delete(&server, "/0123456789ab", &[("X-Delete-Token", "0")]).expect_code(404, "not_found");
    server.get(&paste.raw()).expect_status(200);
}

#[test]
fn protected_and_burn_pastes_can_be_deleted_unread() {
    let server = Server::start(&[]);
    let paste = server.post("x").header("X-Paste-Password", "p").header("X-Burn-After-Read", "1").created();
    delete(&server, &paste.path(), &[("X-Delete-Token", paste.delete_token.as_str())]).expect_status(200);
    server.request("GET", &paste.raw()).header("X-Paste-Password", "p").send().expect_code(404, "not_found");
}

#[test]
fn the_owner_field_is_shown_only_to_the_owner() {
    let server = Server::start(&[]);
    let response = server.post("x").header("X-SSL-Client-SHA1", OWNER).send().expect_field("owner", OWNER);
    let path = response.json()["url"].as_str().unwrap().to_owned();
    server.request("GET", &path).header("X-SSL-Client-SHA1", OWNER).send().expect_field("owner", OWNER);
    server.request("GET", &path).header("X-SSL-Client-SHA1", STRANGER).send().expect_no_fields(&["owner"]);
    server.get(&path).expect_no_fields(&["owner"]);
}

#[test]
fn fingerprints_are_normalised_or_ignored() {
    let server = Server::start(&[]);
    let pairs: Vec<&str> = (0..20).map(|n| &OWNER[2 * n..2 * n + 2]).collect();
    for (n, same) in [OWNER.to_uppercase(), pairs.join(":"), pairs.join(":").to_uppercase()].into_iter().enumerate() {
        let response = server.post(format!("{n}")).header("X-SSL-Client-SHA1", same.as_str()).send();
        response.expect_status(201).expect_field("owner", OWNER);
    }
    let (short, long, other) = (&OWNER[1..], format!("{OWNER}0"), format!("g{}", &OWNER[1..]));
    for (n, bad) in ["", short, &long, &other, "sha1 Fingerprint"].into_iter().enumerate() {
        let response = server.post(format!("bad {n}")).header("X-SSL-Client-SHA1", bad).send();
        response.expect_status(201).expect_no_fields(&["owner"]);
    }
}

#[test]
fn without_a_proxy_secret_loopback_is_trusted() {
    let server = Server::start(&[]);
    let index = |headers: &[(&str, &str)]| {
        let request = server.request("GET", "/");
        headers.iter().fold(request, |request, (name, value)| request.header(name, *value)).send()
    };
    index(&[]).expect_field("authenticated", false);
    index(&[("X-SSL-Client-SHA1", OWNER)]).expect_field("authenticated", true);
    index(&[("X-SSL-Client-SHA1", "junk")]).expect_field("authenticated", false);
}

#[test]
fn with_a_proxy_secret_only_requests_with_it_are_trusted() {
    let mut server = Server::start(&[("FLASKPASTE_PROXY_SECRET", "a-secret-of-the-proxy")]);
    let authenticated = |secret: Option<&str>| {
        let request = server.request("GET", "/").header("X-SSL-Client-SHA1", OWNER);
        let request = match secret {
            Some(secret) => request.header("X-Proxy-Secret", secret),
            None => request,
        };
        request.send().expect_status(200).json()["authenticated"].as_bool().unwrap()
    };
    assert!(authenticated(Some("a-secret-of-the-proxy")));
    for wrong in [
        None,
        Some(""),
        Some("a-secret-of-the-prox"),
        Some("a-secret-of-the-proxy1"),
        Some("A-SECRET-OF-THE-PROXY"),
        Some("wrong"),
    ] {
        assert!(!authenticated(wrong), "{wrong:?}");
    }
    // The rest of the API agrees: no owner, and no credential at a delete.
    let paste = server.post("x").header("X-SSL-Client-SHA1", OWNER).created();
    let owner = ("X-SSL-Client-SHA1", OWNER);
    delete(&server, &paste.path(), &[owner]).expect_code(401, "auth_required");
    delete(&server, &paste.path(), &[owner, ("X-Proxy-Secret", "a-secret-of-the-proxy")])
        .expect_code(403, "permission_denied");
    server.stop();
    let log = server.log();
    assert!(!log.contains("a-secret") && !log.contains("A-SECRET"), "the log must not contain the secret");
    assert_eq!(log.matches("127.0.0.1 sent a wrong X-Proxy-Secret").count(), 1, "logged once a minute: {log}");
}
