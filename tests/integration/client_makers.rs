//! What owners and token holders do: extend, update, list --remote.

use crate::client_harness::Client;
use crate::client_network::{Stub, accepting};
use crate::harness::{Server, unix_now};
use crate::sealed_format::read;

const TOKEN: &str = "fpt_fFOBxn9vyqApsLTTmcc8fDm7jhlKh6BQBrWyMShD9S0";

fn token(server: &Server, name: &str) -> String {
    let made = server.run(&["token", "add", name]);
    assert!(made.status.success());
    String::from_utf8(made.stdout).unwrap().trim_end().to_owned()
}

#[test]
fn a_token_is_read_from_the_configuration_environment_or_a_file() {
    let server = Server::start(&[("FLASKPASTE_CREATE", "token")]);
    let token = token(&server, "alice");
    let client = Client::new(&server);
    let refused = client.pipe("x", &["-q"]).failed(4);
    assert!(refused.contains("FLASKPASTE_TOKEN") && refused.contains("ask the server's operator"), "{refused}");
    client.with("FLASKPASTE_TOKEN", &token).create("one", &[]);
    let file = client.file("token", format!("{token}\n"));
    client.configure(&format!("token_file = {}\n", file.display()));
    client.create("two", &[]);
    client.configure(&format!("token = {token}\n"));
    client.create("three", &[]);
    let listed = client.run(&["list", "--remote", "--json"]).json();
    assert_eq!(listed.as_array().unwrap().len(), 3);
    // An invalid token is reported without being shown.
    for (name, value) in [("FLASKPASTE_TOKEN", "fpt_secret"), ("FLASKPASTE_TOKEN", "secret#secret")] {
        let stderr = client.with(name, value).run(&["info"]).failed(2);
        assert!(stderr.contains(name) && !stderr.contains("secret"), "{stderr}");
    }
    client.configure("token_file = /nonexistent\n");
    assert!(client.run(&["info"]).failed(2).contains("/nonexistent"));
    let stranger = client.with("FLASKPASTE_TOKEN", TOKEN).pipe("x", &["-q"]).failed(4);
    assert!(stranger.contains("check the token") && !stranger.contains(TOKEN), "{stranger}");
}

#[test]
fn a_token_is_sent_only_to_the_configured_server_and_never_in_the_clear() {
    let (ours, other) = (Stub::new(accepting), Stub::new(accepting));
    let client = Client::with_url(&ours.url).with("FLASKPASTE_TOKEN", TOKEN);
    client.create("x", &[]);
    let bearer = format!("authorization: bearer {}", TOKEN.to_lowercase());
    assert!(ours.heads().to_lowercase().contains(&bearer), "{}", ours.heads());
    client.run(&["get", &format!("{}/abcd1234", other.url)]).succeeded();
    client.run(&["-s", &other.url, "info"]);
    client.run(&["-s", &other.url, "delete", "abcd1234"]);
    assert!(!other.heads().to_lowercase().contains("authorization"), "{}", other.heads());
    // 192.0.2.1 is unassigned: fpaste does not even connect to it.
    let stderr = Client::with_url("http://192.0.2.1").with("FLASKPASTE_TOKEN", TOKEN).run(&["info"]).failed(2);
    assert!(stderr.contains("a token is configured") && !stderr.contains(TOKEN), "{stderr}");
    let verbose = client.run(&["-v", "info"]);
    assert!(!verbose.stderr.contains(TOKEN), "{}", verbose.stderr);
}

#[test]
fn extend_changes_the_expiry() {
    let server = Server::start(&[("FLASKPASTE_MAX_EXPIRY", "100000")]);
    let client = Client::new(&server);
    let link = client.create("x", &["-x", "60"]);
    let said = client.run(&["extend", &link, "1d"]).succeeded().text();
    assert!(said.contains(" expires at 20"), "{said}");
    let id = link.split('#').next().unwrap().rsplit('/').next().unwrap();
    let end = server.get(&format!("/{id}")).json()["expires_at"].as_u64().unwrap();
    assert!((86_390..=86_400).contains(&(end - unix_now())));
    let listed = client.run(&["list", "--json"]).json();
    let noted = listed[0]["expires_at"].as_u64().unwrap();
    assert!(noted.abs_diff(end) <= 1 && listed[0]["slides"] == false, "{listed}");
    let cut = client.run(&["extend", id, "30d"]).succeeded();
    assert!(cut.stderr.contains("the maximum of this server"), "{}", cut.stderr);
    // Another client has no delete token.
    let stderr = Client::new(&server).run(&["extend", &link, "1d"]).failed(4);
    assert!(stderr.contains("no delete token"), "{stderr}");
    for bad in [&["extend"][..], &["extend", id], &["extend", id, "soon"], &["extend", id, "1d", "x"]] {
        client.run(bad).failed(2);
    }
    client.run(&["delete", id]).succeeded();
    client.run(&["extend", id, "1d"]).failed(3);
}

#[test]
fn update_replaces_the_content_and_keeps_the_link() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let link = client.create("one", &[]);
    let file = client.file("zwei.txt", "two");
    let other = client.file("drei.txt", "three");
    assert_eq!(client.run(&["update", &link, file.to_str().unwrap()]).succeeded().line(), link);
    assert_eq!(client.run(&["get", &link]).succeeded().text(), "two");
    let opened = read(&server, &link, None);
    assert_eq!(opened.manifest["files"][0]["name"], "zwei.txt");
    client.run(&["update", &link, file.to_str().unwrap(), other.to_str().unwrap()]).succeeded();
    assert_eq!(read(&server, &link, None).files, [b"two".to_vec(), b"three".to_vec()]);
    client.pipe("piped", &["update", &link, "--name", "p.txt"]).succeeded();
    assert_eq!(read(&server, &link, None).files, [b"piped"]);
    let listed = client.run(&["list", "--json"]).json();
    assert_eq!((&listed[0]["size"], &listed[0]["name"]), (&5.into(), &"p.txt".into()));
    let large = client.file("large", vec![b'x'; 2_000_000]);
    client.run(&["update", &link, large.to_str().unwrap()]).succeeded();
    assert_eq!(client.run(&["get", &link]).succeeded().stdout.len(), 2_000_000);
}

#[test]
fn update_keeps_the_password_or_sets_a_new_one() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let password = client.with("FPASTE_PASSWORD", "first");
    let link = password.create("one", &["-p"]);
    let stderr = client.pipe("two", &["update", &link]).failed(2);
    assert!(stderr.contains("has a password"), "{stderr}");
    assert_eq!(read(&server, &link, Some("first")).files, [b"one"]);
    password.pipe("two", &["update", "-p", &link]).succeeded();
    assert_eq!(read(&server, &link, Some("first")).files, [b"two"]);
    client.with("FPASTE_PASSWORD", "second").pipe("three", &["update", "-p", &link]).succeeded();
    assert_eq!(read(&server, &link, Some("second")).files, [b"three"]);
}

#[test]
fn update_refuses_unsupported_pastes_before_reading_input() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let burn = client.create("one", &["-b"]);
    let stderr = client.pipe("two", &["update", &burn]).failed(1);
    assert!(stderr.contains("its reads are limited"), "{stderr}");
    let link = client.create("one", &[]);
    let bare = link.split('#').next().unwrap();
    assert!(client.pipe("two", &["update", bare]).failed(2).contains("the link has no key"));
    let stranger = Client::new(&server).pipe("two", &["update", &link]).failed(4);
    assert!(stranger.contains("no delete token"), "{stranger}");
    assert!(client.run(&["update", &link, "/nonexistent"]).failed(2).contains("no such file"));
    client.run(&["update"]).failed(2);
    // A refused update leaves the content as it was.
    assert_eq!(client.run(&["get", &link]).succeeded().text(), "one");
}

#[test]
fn extend_and_update_work_with_a_token_and_no_history() {
    let server = Server::start(&[]);
    let token = token(&server, "alice");
    let client = Client::new(&server).with("FLASKPASTE_TOKEN", &token);
    client.configure("history = off\n");
    let link = client.create("one", &["-x", "1h"]);
    client.pipe("two", &["update", &link]).succeeded();
    client.run(&["extend", &link, "1d"]).succeeded();
    let get = client.run(&["get", &link]).succeeded();
    assert_eq!(get.text(), "two");
    client.run(&["delete", &link]).succeeded();
}

#[test]
fn list_shows_the_pastes_of_a_token() {
    let server = Server::start(&[("FLASKPASTE_DEDUP_MAX", "0")]);
    let token = token(&server, "alice");
    let client = Client::new(&server).with("FLASKPASTE_TOKEN", &token);
    let stderr = Client::new(&server).run(&["list", "--remote"]).failed(2);
    assert!(stderr.contains("--remote needs a token or a client certificate"), "{stderr}");
    assert!(client.run(&["list", "--remote"]).succeeded().text().is_empty());
    let burn = client.create("x", &["-b"]);
    let request = server.post("y").header("X-Filename", "UTF-8''a%E2%80%AEb.txt");
    request.header("Authorization", format!("Bearer {token}")).created();
    let table = client.run(&["list", "--remote"]).succeeded().text();
    let id = burn.split('#').next().unwrap().rsplit('/').next().unwrap();
    assert!(table.lines().count() == 3 && table.contains(id) && table.contains("burn"), "{table}");
    assert!(!table.contains('\u{202e}'), "{table}");
    for number in 0..120 {
        let request = server.post(format!("{number}")).header("Authorization", format!("Bearer {token}"));
        request.send().expect_status(201);
    }
    assert_eq!(client.run(&["list", "--remote", "-j"]).json().as_array().unwrap().len(), 122);
    client.run(&["list", "--remote", "--status"]).failed(2);
}
