//! Reads that fpaste takes and confirms, and what it reveals to an untrusted server: a stub that holds one sealed paste
//! and lies about it.

use crate::client_harness::Client;
use crate::client_network::{Stub, reply};
use crate::harness::{Server, unix_now};
use crate::sealed_format::Secret;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const ID: &str = "abcd1234";
const LEASE: &str = "abababababababababababababababab";

/// The metadata of such a server's paste, with these fields added or replaced.
fn metadata(fields: &Value) -> Vec<u8> {
    let mut all = json!({ "id": ID, "mime_type": "application/octet-stream", "proof_required": true });
    all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    reply("200 OK", "", &all.to_string())
}

fn burning() -> Value {
    json!({ "burn_after_read": true, "reads_left": 1 })
}

fn lease(fields: &Value) -> Vec<u8> {
    let mut all = json!({ "lease": LEASE, "expires_at": unix_now() + 600, "reads_left": 0 });
    all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    reply("201 Created", "", &all.to_string())
}

fn not_found() -> Vec<u8> {
    reply("404 Not Found", "", r#"{"error":"There is no such paste.","code":"not_found"}"#)
}

fn whole(upload: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", upload.len());
    [head.as_bytes(), upload].concat()
}

/// A server with this upload, whose metadata has these fields and whose responses `bend` may replace; the paste is gone
/// once a read of it is confirmed.
fn serving(upload: Vec<u8>, fields: Value, bend: impl Fn(&str) -> Option<Vec<u8>> + Send + 'static) -> Stub {
    let (is_ended, is_leased) = (AtomicBool::new(false), AtomicBool::new(false));
    let mut leased = fields.clone();
    if let Some(left) = fields["reads_left"].as_u64() {
        leased["reads_left"] = json!(left - 1);
    }
    Stub::new(move |line| {
        bend(line).unwrap_or_else(|| match line {
            line if line.starts_with("DELETE") => {
                is_ended.store(true, Ordering::Relaxed);
                reply("200 OK", "", "{}")
            }
            _ if is_ended.load(Ordering::Relaxed) => not_found(),
            line if line.starts_with("POST") => {
                is_leased.store(true, Ordering::Relaxed);
                lease(&json!({}))
            }
            line if line.contains("/raw") => whole(&upload),
            _ if is_leased.load(Ordering::Relaxed) => metadata(&leased),
            _ => metadata(&fields),
        })
    })
}

fn link(server: &Stub, secret: &Secret) -> String {
    format!("{}/{ID}#{}", server.url, secret.fragment())
}

fn one_file(secret: &Secret) -> Vec<u8> {
    secret.pack(&json!({ "files": [{ "size": 5 }], "reads": 1 }), &[b"hello"])
}

fn notes(client: &Client) -> Vec<PathBuf> {
    let Ok(folder) = fs::read_dir(client.state()) else { return Vec::new() };
    let paths = folder.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("lease-")).collect()
}

/// A read record as fpaste writes it, readable by its owner only.
fn note(path: &std::path::Path, id: &str, server: &str, ends: u64) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let text = json!({ "id": id, "server": server, "lease": LEASE, "expires_at": ends, "burns": true });
    fs::write(path, text.to_string()).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn the_password_of_a_sealed_paste_is_never_sent() {
    let secret = Secret::random(Some("hunter2"));
    let wanting = || reply("401 Unauthorized", "", r#"{"error":"No.","code":"password_required"}"#);
    for (case, code) in [
        ("no gate", 0),
        ("a password and no gate", 4),
        ("401 for the content", 4),
        ("401 for the lease", 4),
        ("HTML", 1),
        ("403", 4),
        ("another paste", 1),
    ] {
        let server = serving(one_file(&secret), json!({}), move |line| match (case, line) {
            ("no gate", line) if line.starts_with("GET /abcd1234 ") => {
                Some(metadata(&json!({ "proof_required": false })))
            }
            ("a password and no gate", line) if line.starts_with("GET /abcd1234 ") => {
                Some(metadata(&json!({ "proof_required": false, "password_protected": true })))
            }
            ("401 for the content", line) if line.contains("/raw") => Some(wanting()),
            ("401 for the lease", line) if line.starts_with("POST") => Some(wanting()),
            ("401 for the lease", line) if line.starts_with("GET /abcd1234 ") => Some(metadata(&burning())),
            ("HTML", line) if line.starts_with("GET /abcd1234 ") => Some(reply("200 OK", "", "<html>")),
            ("403", line) if line.starts_with("GET /abcd1234 ") => Some(reply("403 Forbidden", "", "<html>")),
            ("another paste", line) if line.starts_with("GET /abcd1234 ") => {
                Some(reply("200 OK", "", r#"{"id":"ffff0000"}"#))
            }
            _ => None,
        });
        let client = Client::with_url(&server.url).with("FPASTE_PASSWORD", "hunter2");
        client.file("password", "hunter2\n");
        for options in [&["-p"][..], &["--password-file", "password"]] {
            let run = client.run(&[&["get", &link(&server, &secret)], options].concat());
            assert_eq!(run.code, Some(code), "{case}: {}", run.stderr);
            assert!(
                code != 4 || case == "403" || run.stderr.contains("fpaste get --format 1 -p"),
                "{case}: {}",
                run.stderr
            );
            // Content without a gate opens all the same.
            assert_eq!(run.stdout, if code == 0 { &b"hello"[..] } else { b"" }, "{case}");
        }
        client.run(&["get", &link(&server, &secret)]);
        assert!(
            !server.heads().contains("hunter2") && !server.heads().contains("x-paste"),
            "{case}: {}",
            server.heads()
        );
    }
}

#[test]
fn a_server_side_password_is_sent_only_without_a_key_or_on_request() {
    let server = Server::start(&[]);
    let client = Client::new(&server).with("FPASTE_PASSWORD", "hunter2");
    let first = client.create("x", &["-p", "--format", "1"]);
    // The machine that created it knows that the server checks its password; another needs the option.
    assert_eq!(client.run(&["get", "-p", &first]).succeeded().text(), "x");
    let other = Client::new(&server).with("FPASTE_PASSWORD", "hunter2");
    let stderr = other.run(&["get", "-p", &first]).failed(4);
    assert!(stderr.contains("the server asks for the password, but must never see"), "{stderr}");
    assert_eq!(other.run(&["get", "--format", "1", "-p", &first]).succeeded().text(), "x");
    assert_eq!(other.run(&["get", "--format", "1", &first]).succeeded().text(), "x");
    // Without the key, this machine knows that it is encrypted.
    let (bare, _) = first.split_once('#').unwrap();
    assert!(client.run(&["get", "-p", bare]).failed(2).contains("its password must not be sent to the server"));
    let sealed = client.create("x", &["-p"]);
    assert!(client.run(&["get", "--format", "1", "-p", &sealed]).failed(2).contains("leave out --format 1"));
    let plain = client.create("plain", &["-p", "-E"]);
    assert_eq!(client.run(&["get", "-p", &plain]).succeeded().text(), "plain");
}

#[test]
fn fpaste_password_is_not_sent_to_an_unknown_server() {
    let secret = Secret::random(Some("hunter2"));
    let protected = json!({ "password_protected": true, "password_proof": true });
    let foreign = serving(one_file(&secret), protected, |_| None);
    let client = Client::with_url("http://127.0.0.1:1").with("FPASTE_PASSWORD", "hunter2");
    assert!(client.run(&["get", &link(&foreign, &secret)]).failed(4).contains("use -p"));
    assert!(!foreign.heads().contains("x-password-proof"), "{}", foreign.heads());
    // With -p, it does.
    assert_eq!(client.run(&["get", "-p", &link(&foreign, &secret)]).succeeded().text(), "hello");
    assert!(foreign.heads().contains("x-password-proof"));
}

#[test]
fn read_records_outside_the_state_folder_are_ignored() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let client = client.with("TMPDIR", client.home.path().to_str().unwrap());
    let client = client.with("FLASKPASTE_CERT_SHA1", &"ab".repeat(20));
    let link = client.create("mine", &["-E"]);
    let id = link.rsplit('/').next().unwrap();
    let url = format!("http://{}", server.authority());
    let uid = rustix::process::geteuid().as_raw();
    let planted = [format!("lease-{id}"), format!("fpaste-{uid}/lease-{id}")].map(|name| client.home.join(&name));
    for path in &planted {
        note(path, id, &url, unix_now() + 600);
    }
    // That folder is writable by others.
    fs::set_permissions(client.home.join(&format!("fpaste-{uid}")), fs::Permissions::from_mode(0o777)).unwrap();
    // A valid record, for a paste without a read limit.
    note(&client.state().join(format!("lease-{id}")), id, &url, unix_now() + 600);
    let other = client.file(&format!("lease-{id}-contract.json"), r#"{"expires_at": 5}"#);
    for _ in 0..2 {
        let run = client.run(&["get", "-v", &link]).succeeded();
        assert_eq!(run.text(), "mine");
        assert!(!run.stderr.contains("DELETE") && !run.stderr.contains("resuming an earlier read"), "{}", run.stderr);
    }
    assert!(planted.iter().chain([&other]).all(|path| path.exists()));
    assert_eq!(client.run(&["list", "--json"]).succeeded().json()[0]["id"], id);
    assert!(!server.log().contains("DELETE"));
}

#[test]
fn expired_and_invalid_read_records_are_removed_on_the_next_write() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let in_state = |name: &str| client.state().join(name);
    note(&in_state("lease-ffff0000"), "ffff0000", "http://x", 5);
    note(&in_state("lease-eeee0000"), "eeee0000", "http://x", unix_now() + 600);
    note(&in_state("lease-dddd0000"), "dddd0000", "http://x", unix_now() + 90_000_000);
    fs::write(in_state("lease-cccc0000"), "no JSON").unwrap();
    for name in ["lease-cccc0000", "lease-dddd0000"] {
        fs::set_permissions(in_state(name), fs::Permissions::from_mode(0o600)).unwrap();
        let file = fs::File::options().append(true).open(in_state(name)).unwrap();
        file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(100)).unwrap();
    }
    std::os::unix::fs::symlink(client.home.join("elsewhere"), in_state("lease-bbbb0000")).unwrap();
    let link = client.create("x", &["-b"]);
    client.run(&["get", &link]).succeeded();
    let left: Vec<String> =
        notes(&client).iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(left.contains(&"lease-eeee0000".to_owned()) && left.contains(&"lease-bbbb0000".to_owned()), "{left:?}");
}

#[test]
fn a_lease_that_already_ended_counts_as_confirmed() {
    let secret = Secret::random(None);
    let server = serving(one_file(&secret), burning(), |line| line.starts_with("DELETE").then(not_found));
    let client = Client::with_url(&server.url);
    let run = client.run(&["get", &link(&server, &secret)]).succeeded();
    assert!(
        !run.stderr.contains("cannot confirm the read") && run.stderr.contains("still has the paste"),
        "{}",
        run.stderr
    );
    assert!(notes(&client).is_empty());
}

#[test]
fn excess_reads_are_reported_even_on_a_resumed_read() {
    let secret = Secret::random(None);
    let upload = secret.pack(&json!({ "files": [{ "size": 5 }], "reads": 2, "expires_at": 1000 }), &[b"hello"]);
    let later = json!({ "reads_left": 900, "expires_at": 99_999_999_999_u64 });
    let server = serving(upload, later, |line| line.starts_with("POST").then(|| lease(&json!({ "reads_left": 899 }))));
    let client = Client::with_url(&server.url);
    let first = client.run(&["get", "-o", "/dev/full", &link(&server, &secret)]).failed(1);
    let second = client.run(&["get", &link(&server, &secret)]).succeeded().stderr;
    for stderr in [&first, &second] {
        assert!(stderr.contains("the sender set a limit of 2 reads, but the server allows 90"), "{stderr}");
        assert!(stderr.contains("the server keeps it longer"), "{stderr}");
    }
    assert_eq!(server.heads().matches("post /").count(), 1);
}

#[test]
fn a_404_from_a_proxy_does_not_end_a_read() {
    let secret = Secret::random(None);
    let seen = AtomicUsize::new(0);
    let server = serving(one_file(&secret), burning(), move |line| {
        let is_first = line.contains("/raw") && seen.fetch_add(1, Ordering::Relaxed) == 0;
        is_first.then(|| reply("404 Not Found", "", "<html>404 Not Found</html>"))
    });
    let client = Client::with_url(&server.url);
    let stderr = client.run(&["get", &link(&server, &secret)]).failed(1);
    assert!(stderr.contains("to resume this read"), "{stderr}");
    assert_eq!(notes(&client).len(), 1);
    assert_eq!(client.run(&["get", &link(&server, &secret)]).succeeded().text(), "hello");
    // A 404 of the server itself does.
    let gone = serving(one_file(&secret), burning(), |line| line.contains("/raw").then(not_found));
    client.run(&["get", &link(&gone, &secret)]).failed(3);
    assert!(notes(&client).is_empty());
}

#[test]
fn a_lost_response_consumes_no_second_read() {
    let secret = Secret::random(None);
    let unusable = [
        reply("201 Created", "", "{}"),
        lease(&json!({ "lease": "abc" })),
        lease(&json!({ "lease": format!("{LEASE}\r\nX: y") })),
        lease(&json!({ "lease": 5 })),
        reply("404 Not Found", "", "<html>"),
        b"HTTP/1.1 201 Created\r\nContent-Length: 100\r\nConnection: close\r\n\r\n{".to_vec(),
    ];
    for answer in unusable {
        let is_refused = answer.starts_with(b"HTTP/1.1 404");
        let is_cut = answer.ends_with(b"{");
        let answer = Arc::new(answer);
        let taken = Arc::clone(&answer);
        let server = if is_cut {
            cutting(&secret, answer)
        } else {
            serving(one_file(&secret), burning(), move |line| line.starts_with("POST").then(|| taken.to_vec()))
        };
        let client = Client::with_url(&server.url);
        let stderr = client.run(&["get", &link(&server, &secret)]).failed(if is_refused { 1 } else { 7 });
        assert!(is_refused || stderr.contains("the server may have counted this read"), "{stderr}");
        assert!(!server.heads().contains("/raw"), "{}", server.heads());
        assert!(notes(&client).is_empty());
    }
}

/// A server whose connection breaks in the middle of this response to a lease.
fn cutting(secret: &Secret, answer: Arc<Vec<u8>>) -> Stub {
    let stub = serving(one_file(secret), burning(), move |line| line.starts_with("POST").then(|| answer.to_vec()));
    stub.letting_go()
}

#[test]
fn a_lease_is_recorded_for_at_most_a_day() {
    let secret = Secret::random(None);
    let server = serving(one_file(&secret), burning(), |line| {
        line.starts_with("POST").then(|| {
            let body = json!({ "lease": LEASE, "expires_at": u64::MAX }).to_string();
            reply("201 Created", "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n", &body)
        })
    });
    let client = Client::with_url(&server.url);
    let stderr = client.run(&["get", "-o", "/dev/full", &link(&server, &secret)]).failed(1);
    assert!(stderr.contains("run fpaste get again within 1d") || stderr.contains("yours for 23h 59m"), "{stderr}");
    assert_eq!(client.run(&["get", &link(&server, &secret)]).succeeded().text(), "hello");
}

#[test]
fn list_works_on_a_leased_read_and_a_wrong_password_is_reported() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    client.file("right", "hunter2\n");
    client.file("wrong", "hunter3\n");
    client.file("a", "aa");
    client.file("b", "bb");
    let link = client.run(&["-b", "--password-file", "right", "a", "b"]).succeeded().line();
    let get = |password: &str, options: &[&str]| {
        client.run(&[&["get", "--password-file", password, &link], options].concat())
    };
    assert!(get("right", &["--list"]).failed(2).contains("a listing would use one"));
    assert!(get("right", &[]).failed(2).contains("to resume this read"));
    // Now that it is leased, listing costs nothing.
    assert_eq!(get("right", &["--list"]).succeeded().text().lines().count(), 2);
    let stderr = get("wrong", &[]).failed(4);
    assert!(stderr.contains("wrong password"), "{stderr}");
    // The same server under another name does not match the record.
    let named = link.replace("127.0.0.1", "localhost");
    let stderr = client.run(&["get", "--password-file", "right", &named]).failed(3);
    assert!(stderr.contains(&format!("you have started reading it under http://{}", server.authority())), "{stderr}");
    get("right", &["-o", "out/"]).succeeded();
    assert_eq!(fs::read(client.home.join("out/b")).unwrap(), b"bb");
    assert!(notes(&client).is_empty());
}

/// Tests that take seconds; `make test-quick` skips them.
mod slow {
    use super::*;

    #[test]
    fn an_unconfirmed_read_is_reported_and_confirmed_by_the_next_run() {
        let secret = Secret::random(None);
        let is_broken = Arc::new(AtomicBool::new(true));
        let broken = Arc::clone(&is_broken);
        let server = serving(one_file(&secret), burning(), move |line| {
            let is_refused = line.starts_with("DELETE") && broken.load(Ordering::Relaxed);
            is_refused.then(|| reply("500 Internal Server Error", "", ""))
        });
        let client = Client::with_url(&server.url);
        let run = client.run(&["get", "-v", &link(&server, &secret)]).succeeded();
        assert_eq!(run.text(), "hello");
        assert!(
            run.stderr.contains("cannot confirm the read to the server; it will end by itself at 20"),
            "{}",
            run.stderr
        );
        assert!(!run.stderr.contains("deleted"), "{}", run.stderr);
        assert_eq!((notes(&client).len(), server.heads().matches("delete /").count()), (1, 4));
        is_broken.store(false, Ordering::Relaxed);
        let run = client.run(&["get", "-v", &link(&server, &secret)]).succeeded();
        assert!(
            run.stderr.contains("the server has deleted the paste") && !run.stderr.contains("warning"),
            "{}",
            run.stderr
        );
        assert!(notes(&client).is_empty());
        // One read was used.
        assert_eq!(server.heads().matches("post /").count(), 1);
    }
}

#[test]
fn the_reader_of_a_limited_paste_is_told_how_many_reads_are_left() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let reader = Client::new(&server);
    for options in [&["-n", "3"][..], &["-n", "3", "-E"]] {
        let link = client.create("x", options);
        // Notes are shown on terminals, and with -v.
        let note = |client: &Client| {
            let run = client.run(&["get", "-v", &link]).succeeded();
            let note = run.stderr.lines().find_map(|line| line.strip_prefix("fpaste: note: ")).map(str::to_owned);
            (run.text(), note.unwrap())
        };
        for expected in ["reads left: 2", "reads left: 1"] {
            assert_eq!(note(&reader), ("x".to_owned(), expected.to_owned()));
        }
        assert_eq!(note(&client).1, "that was the last read; the server has deleted the paste");
        assert!(!client.run(&["list"]).succeeded().text().contains("3 reads"), "it is not listed any more");
        assert!(!reader.run(&["get", &link]).failed(3).contains("note"));
    }
}

#[test]
fn a_read_that_fails_here_says_until_when_it_can_be_repeated() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    for (reads, then) in [("1", "after that, the paste is gone"), ("2", "after that, the read is used up")] {
        let link = client.create("x", &["--name", "taken", "-n", reads]);
        client.file("taken", "mine");
        let stderr = client.run(&["get", "-O", &link]).failed(2);
        assert_eq!(stderr.matches("run fpaste get again within").count(), 1, "{stderr}");
        assert!(stderr.contains(then), "{stderr}");
        assert_eq!(client.run(&["get", &link]).succeeded().text(), "x");
    }
}
