//! Other ways to upload: `curl -T`, `curl -F`, and file names.

use crate::harness::{Paste, Server};
use crate::http_client::Request;
use crate::response::Response;
use serde_json::Value;

const FORM: &str = "multipart/form-data; boundary=xyz";

/// A form of these parts, each with its head lines and its content.
fn form(parts: &[(&str, &str)]) -> Vec<u8> {
    let part = |(head, content): &(&str, &str)| {
        format!("--xyz\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n")
    };
    format!("{}--xyz--\r\n", parts.iter().map(part).collect::<String>()).into_bytes()
}

fn post_form<'a>(server: &'a Server, parts: &[(&str, &str)]) -> Request<'a> {
    server.post(form(parts)).header("Content-Type", FORM)
}

/// The paste whose URL is the response.
#[track_caller]
fn told(server: &Server, answer: Response) -> Paste {
    let answer = answer.expect_status(201).expect_header("Content-Type", "text/plain; charset=utf-8");
    let text = String::from_utf8(answer.body).unwrap();
    let id = text.strip_prefix(&format!("http://{}/", server.authority())).and_then(|rest| rest.strip_suffix('\n'));
    Paste { id: id.unwrap_or_else(|| panic!("{text:?} is not an address")).to_owned(), delete_token: String::new() }
}

fn metadata(server: &Server, paste: &Paste) -> Value {
    server.get(&paste.path()).expect_status(200).json()
}

#[test]
fn put_creates_a_paste_named_after_the_path() {
    let server = Server::start(&[("FLASKPASTE_DEDUP_MAX", "0")]);
    for (path, name) in [
        ("/notes.txt", Some("notes.txt")),
        ("/abcd1234", Some("abcd1234")),
        ("/a%20b%2Fc.txt", Some("c.txt")),
        ("/Za%C5%BC%C3%B3%C5%82%C4%87", Some("Zażółć")),
        ("/", None),
    ] {
        let paste = told(&server, server.request("PUT", path).body("content").send());
        server.get(&paste.raw()).expect_status(200).expect_body("content");
        assert_eq!(metadata(&server, &paste)["filename"].as_str(), name, "{path}");
    }
    let request = server.request("PUT", "/a.json").header("Content-Type", "application/json").body("{\"a\": 1}");
    let paste = told(&server, request.send());
    server.get(&paste.raw()).expect_header("Content-Type", "application/json").expect_body("{\"a\": 1}");
    let json = server.request("PUT", "/x").header("Accept", "application/json").body("x").send().expect_status(201);
    let json = json.expect_field("filename", "x");
    json.expect(json.json()["delete_token"].is_string(), "all of it");
    server.request("PUT", "/x").header("X-Burn-After-Read", "1").body("x").send().expect_status(201);
    server.request("PUT", "/%ff").body("x").send().expect_code(400, "bad_request");
    server.request("PUT", "/x").send().expect_code(400, "no_content");
    server.request("PUT", "/a/b").body("x").send().expect_code(404, "not_found");
    for fixed in ["/health", "/challenge", "/client", "/openapi.json", "/robots.txt", "/pastes", "/static/x"] {
        server.request("PUT", fixed).body("x").send().expect_code(405, "method_not_allowed");
    }
}

#[test]
fn put_follows_the_rules_for_creating() {
    let server = Server::start(&[
        ("FLASKPASTE_POW_DIFFICULTY", "1"),
        ("FLASK_ENV", "production"),
        ("FLASKPASTE_MAX_ANON", "10"),
    ]);
    server.request("PUT", "/x").body("x").send().expect_code(400, "pow_required");
    server.request("PUT", "/x").body("x".repeat(11)).send().expect_code(413, "too_large");
}

#[test]
fn a_form_upload_creates_a_paste() {
    let server = Server::start(&[]);
    let parts = [("name=\"file\"; filename=\"a b.c\"\r\nContent-Type: text/x-c", "int main;\r\n--xy")];
    let paste = told(&server, post_form(&server, &parts).send());
    let read = server.get(&paste.raw()).expect_status(200).expect_body("int main;\r\n--xy");
    read.expect_header("Content-Disposition", "attachment; filename=\"a b.c\"")
        .expect_header("Content-Type", "text/x-c");
    // The first part with a file name, and the fields, in any order.
    let parts = [
        ("name=\"burn_after_read\"", "true"),
        ("name=\"upload\"; filename=\"C:\\dir\\x.bin\"\r\nContent-Type: application/octet-stream", "\u{1}\u{2}"),
        ("name=\"expiry\"", "60"),
        ("name=\"comment\"", "nobody asks"),
    ];
    let json = post_form(&server, &parts).header("Accept", "application/json").send().expect_status(201);
    let json = json.expect_field("burn_after_read", true).expect_field("sliding", false).json();
    assert_eq!(json["filename"], "x.bin");
    assert_eq!(json["expires_at"].as_u64().unwrap() - json["created_at"].as_u64().unwrap(), 60);
    let parts = [("name=\"content\"", "text ż"), ("name=\"reads\"", "3"), ("name=\"file\"; filename=\"\"", "")];
    let paste = told(&server, post_form(&server, &parts).send());
    assert_eq!(metadata(&server, &paste)["reads_left"], 3);
    server.get(&paste.raw()).expect_body("text ż");
    let paste =
        told(&server, post_form(&server, &[("name=\"content\"", "x"), ("name=\"password\"", "pässword")]).send());
    server.get(&paste.raw()).expect_code(401, "password_required");
    let password = crate::http_client::base64("pässword".as_bytes());
    server.request("GET", &paste.raw()).header("X-Paste-Password-Base64", password).send().expect_body("x");
    // A field wins over a header, and a header applies if the form has no such field.
    let parts = [("name=\"content\"", "y"), ("name=\"burn\"", "false")];
    let request = post_form(&server, &parts).header("X-Burn-After-Read", "1").header("X-Expiry", "60");
    let paste = told(&server, request.send());
    let metadata = metadata(&server, &paste);
    assert!(metadata.get("burn_after_read").is_none() && metadata["sliding"] == false);
}

#[test]
fn ambiguous_forms_are_refused() {
    let server = Server::start(&[("FLASKPASTE_MAX_ANON", "20000")]);
    let file = ("name=\"file\"; filename=\"a\"", "x");
    let several = post_form(&server, &[file, ("name=\"other\"; filename=\"b\"", "y")]).send();
    let several = several.expect_code(400, "bad_request").json();
    assert!(several["hint"].as_str().unwrap().contains("fpaste"), "{several}");
    post_form(&server, &[file, ("name=\"content\"", "y")]).send().expect_code(400, "bad_request");
    for (head, value, code) in [
        ("name=\"expiry\"", "soon", "invalid_expiry"),
        ("name=\"expiry\"", "", "invalid_expiry"),
        ("name=\"burn\"", "perhaps", "bad_request"),
        ("name=\"reads\"", "0", "bad_request"),
        ("name=\"password\"", "", "bad_request"),
        ("name=\"password\"", &"x".repeat(5000), "bad_request"),
        ("name=\"read_proof_sha256\"", &"ab".repeat(32), "bad_request"),
        ("name=\"password_proof_sha256\"", &"ab".repeat(32), "bad_request"),
    ] {
        post_form(&server, &[file, (head, value)]).send().expect_code(400, code);
    }
    post_form(&server, &[("name=\"reads\"", "1"), ("name=\"reads\"", "2"), file])
        .send()
        .expect_code(400, "bad_request");
    post_form(&server, &[("name=\"reads\"", "1")]).send().expect_code(400, "no_content");
    post_form(&server, &[("name=\"content\"", "")]).send().expect_code(400, "no_content");
    post_form(&server, &[("name=\"file\"; filename=\"a\"", &"x".repeat(20_000))]).send().expect_code(413, "too_large");
    let mut cut = form(&[file]);
    cut.truncate(cut.len() - 5);
    server.post(cut).header("Content-Type", FORM).send().expect_code(400, "bad_request");
    for bad in ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=\"ż\""] {
        server.post(form(&[file])).header("Content-Type", bad).send().expect_code(400, "bad_request");
    }
    server.expect_alive();
}

#[test]
fn large_files_in_forms_round_trip() {
    let server = Server::start(&[]);
    let content: Vec<u8> = (0..2_500_000u32)
        .flat_map(|number| (number.wrapping_mul(2_654_435_761) >> 24).to_le_bytes()[..1].to_vec())
        .collect();
    let mut body = b"--xyz\r\nContent-Disposition: form-data; name=file; filename=big.bin\r\n\r\n".to_vec();
    body.extend_from_slice(&content);
    body.extend_from_slice(b"\r\n--xyz--\r\n");
    let pieces: Vec<&[u8]> = body.chunks(7001).collect();
    let request = server.request("POST", "/").header("Content-Type", FORM).chunks(&pieces);
    let paste = told(&server, request.send());
    assert!(server.get(&paste.raw()).body == content);
}

#[test]
fn names_are_stored_and_returned() {
    let server = Server::start(&[]);
    let named = |name: &str| server.post(name.to_owned()).header("X-Filename", name).created();
    let paste = named("notes.txt");
    let read = server.get(&paste.raw()).expect_header("Content-Disposition", "inline; filename=\"notes.txt\"");
    assert_eq!(read.get("Content-Type"), Some("text/plain; charset=utf-8"));
    let paste = named("UTF-8''%C5%BC%22.txt");
    assert_eq!(metadata(&server, &paste)["filename"], "ż\".txt");
    let disposition = server.get(&paste.raw()).get("Content-Disposition").unwrap().to_owned();
    assert_eq!(disposition, "inline; filename=\"__.txt\"; filename*=UTF-8''%C5%BC%22.txt");
    for (name, kept) in [("../../etc/passwd", "passwd"), ("UTF-8''x%0d%0aSet-Cookie:a%E2%80%AEb", "xSet-Cookie:ab")] {
        assert_eq!(metadata(&server, &named(name))["filename"], kept);
    }
    let nothing = named("..");
    assert!(metadata(&server, &nothing).get("filename").is_none());
    server
        .get(&nothing.raw())
        .expect_header("Content-Disposition", &format!("inline; filename=\"{}.txt\"", nothing.id));
    for bad in ["UTF-8''%zz", "UTF-8''%ff", "UTF-8'x", "ISO-8859-1''%e9"] {
        server.post("x").header("X-Filename", bad).send().expect_code(400, "bad_request");
    }
    // A name never makes content executable by a browser.
    let page =
        server.post("<script>alert(1)</script>").header("X-Filename", "x.html").header("Content-Type", "text/html");
    let read = server.get(&page.created().raw()).expect_header("Content-Type", "text/plain; charset=utf-8");
    assert!(read.get("Content-Security-Policy").unwrap().ends_with("sandbox"));
}

/// Ignoring them would leave somebody relying on a protection that does not exist.
#[test]
fn misspelled_and_conflicting_options_are_refused() {
    let server = Server::start(&[]);
    let json = |body: &str| server.post(body).header("Content-Type", "application/json").send();
    json(r#"{"content":"x","burn":true,"thread":1}"#).expect_status(201).expect_field("burn_after_read", true);
    json(r#"{"content":"x","burn":true,"burn_after_read":true}"#).expect_code(400, "invalid_json");
    for name in ["burn-after-read", "max_reads", "pasword", "Password", "expires", "read_proof"] {
        json(&format!(r#"{{"content":"x","{name}":1}}"#)).expect_code(400, "bad_request");
        let field = format!("name=\"{name}\"");
        post_form(&server, &[("name=\"content\"", "x"), (&field, "1")]).send().expect_code(400, "bad_request");
    }
    let (plain, base64) = (("X-Paste-Password", "aa"), ("X-Paste-Password-Base64", "YmI="));
    for (first, second) in [(plain, plain), (base64, base64), (plain, base64)] {
        let refused = server.post("x").header(first.0, first.1).header(second.0, second.1).send();
        assert_eq!(refused.status, 400, "{} and {}", first.0, second.0);
    }
    let paste = server.paste("x");
    let hash = "ab".repeat(32);
    for (name, value) in [("X-Burn-After-Read", "1"), ("X-Reads", "1"), plain, base64, ("X-Read-Proof-SHA256", &hash)] {
        let patch = server.request("PATCH", &paste.path()).header("X-Delete-Token", &paste.delete_token);
        patch.header("X-Expiry", "60").header(name, value).send().expect_code(400, "bad_request");
    }
}
