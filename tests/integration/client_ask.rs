//! `fpaste ask` and `fpaste answer`, against the real server and against untrusted servers and links.

use crate::client_harness::{Client, Run, Running};
use crate::client_network::{Stub, reply};
use crate::harness::{Folder, Launcher, SOON, Server, unix_now, wait_until};
use crate::sealed_format::{ASK_SALT, Secret, expand, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// A running `fpaste ask`, waiting for the answer.
struct Asking {
    running: Running,
    stderr: PathBuf,
    link: String,
}

impl Asking {
    /// Runs `ask` until the link is shown.
    #[track_caller]
    fn start(client: &Client, arguments: &[&str]) -> Self {
        let stderr = client.home.join("ask.stderr");
        let mut command = client.command(&[&["ask"], arguments].concat());
        let running = Running::start(command.stderr(File::create(&stderr).unwrap()));
        let mut link = None;
        wait_until("the link is shown", SOON, || {
            let text = fs::read_to_string(&stderr).unwrap();
            link = text.lines().find(|line| line.contains("#ask:")).map(str::to_owned);
            link.is_some() && text.ends_with('\n')
        });
        Self { running, stderr, link: link.unwrap() }
    }

    fn stderr(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap()
    }

    fn id(&self) -> String {
        id_of(&self.link)
    }

    /// Waits for its end.
    #[track_caller]
    fn end(self) -> (Run, String) {
        let stderr = self.stderr.clone();
        let run = self.running.end(&["ask"]);
        (run, fs::read_to_string(stderr).unwrap())
    }
}

fn id_of(link: &str) -> String {
    link.split('#').next().unwrap().rsplit('/').next().unwrap().to_owned()
}

/// The link of an ask made with --no-wait.
#[track_caller]
fn ask(client: &Client, arguments: &[&str]) -> String {
    client.run(&[&["ask", "--no-wait"], arguments].concat()).succeeded().line()
}

/// The stored keys of open asks, each readable by its owner only.
fn kept(client: &Client) -> Vec<PathBuf> {
    let Ok(folder) = fs::read_dir(client.state()) else { return Vec::new() };
    let paths = folder.map(|entry| entry.unwrap().path());
    let kept: Vec<PathBuf> =
        paths.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("ask-")).collect();
    assert!(kept.iter().all(|path| fs::metadata(path).unwrap().permissions().mode() & 0o777 == 0o600));
    kept
}

/// Two people and their server.
fn people(server: &Server) -> (Client, Client) {
    (Client::new(server), Client::new(server))
}

/// The link with these bytes at this offset of its 48.
fn bent(link: &str, at: usize, bytes: &[u8]) -> String {
    let (address, fragment) = link.split_once("#ask:").unwrap();
    let mut keys = URL_SAFE_NO_PAD.decode(&fragment[..64]).unwrap();
    keys[at..at + bytes.len()].copy_from_slice(bytes);
    format!("{address}#ask:{}{}", URL_SAFE_NO_PAD.encode(keys), &fragment[64..])
}

/// Answers with these bytes, as anyone with the link can.
#[track_caller]
fn answer_with(server: &Server, link: &str, bytes: impl Into<Vec<u8>>) {
    let keys = URL_SAFE_NO_PAD.decode(&link.split_once("#ask:").unwrap().1[..64]).unwrap();
    let proof = expand(&hmac(ASK_SALT, &[&keys[32..]]), "answer proof", b"");
    let put = server.request("PUT", &format!("/{}/raw", id_of(link)));
    put.header("X-Answer-Proof", URL_SAFE_NO_PAD.encode(proof)).body(bytes).send().expect_status(201);
}

#[test]
fn ask_prints_the_answer() {
    let server = Server::start(&[("FLASKPASTE_POW_DIFFICULTY", "8")]);
    let (asker, other) = people(&server);
    let asking = Asking::start(&asker, &["staging database password"]);
    let (id, link) = (asking.id(), asking.link.clone());
    assert!(
        asking.stderr().contains("fpaste: send this link to the person who has the secret:\n"),
        "{}",
        asking.stderr()
    );
    let [note] = kept(&asker).try_into().unwrap();
    assert!(fs::read_to_string(&note).unwrap().contains("private_key"));
    assert!(!asker.history().exists());
    let answered = other.pipe("s3cr3t\n", &["answer", "-v", &link]).succeeded();
    assert!(answered.stderr.contains("requested: staging database password"), "{}", answered.stderr);
    assert!(answered.stderr.contains("answer delivered"), "{}", answered.stderr);
    assert!(answered.stdout.is_empty());
    let (run, _) = asking.end();
    assert_eq!(run.succeeded().text(), "s3cr3t\n");
    // Nothing is left here or on the server except what `fpaste status` needs.
    assert!(kept(&asker).is_empty());
    let history = fs::read_to_string(asker.history()).unwrap();
    assert!(history.contains("delete_token") && history.contains("staging database password"), "{history}");
    assert!(!history.contains("private_key") && !history.contains("read_token"), "{history}");
    server.get(&format!("/{id}")).expect_code(404, "not_found");
    assert!(asker.run(&["status", &id]).succeeded().text().contains("state     read"));
    let listed = asker.run(&["list", "--status", "--json"]).succeeded().json();
    assert_eq!((&listed[0]["state"], &listed[0]["ask"]), (&json!("read"), &json!(true)), "{listed}");
    assert_eq!(asker.run(&["list", "--json"]).succeeded().json(), json!([]));
    let stderr = other.pipe("late", &["answer", &link]).failed(3);
    assert!(stderr.contains("this request no longer exists"), "{stderr}");
    assert!(asker.run(&["get", &link]).failed(3).contains("the request has ended: its answer was read"));
    assert!(asker.run(&["delete", &link]).failed(3).contains("its answer was read"));
}

#[test]
fn an_answer_can_be_read_later_with_no_wait() {
    let server = Server::start(&[]);
    let (asker, other) = people(&server);
    let link = ask(&asker, &["-x", "1h", "the key"]);
    let id = id_of(&link);
    for named in [id.as_str(), link.split('#').next().unwrap(), &link] {
        let stderr = asker.run(&["get", named]).failed(3);
        assert!(stderr.contains("this request has not been answered yet"), "{named}: {stderr}");
    }
    let listed = asker.run(&["list", "--json"]).succeeded().json();
    assert_eq!((&listed[0]["id"], &listed[0]["ask"]), (&json!(id), &json!(true)));
    assert_eq!(listed[0]["name"], "the key");
    // The server was not contacted.
    for secret in ["delete_token", "private_key", "read_token", "state"] {
        assert!(listed[0].get(secret).is_none(), "{secret}");
    }
    let table = asker.run(&["list"]).succeeded().text();
    assert!(table.contains("  request  ") && table.contains("the key"), "{table}");
    assert_eq!(asker.run(&["list", "--status", "--json"]).succeeded().json()[0]["state"], "asked");
    assert!(asker.run(&["status", &id]).succeeded().text().contains("state     asked"));
    assert!(asker.run(&["get", "-m", &id]).succeeded().text().contains("state     asked"));
    // Other clients know nothing of it.
    assert!(other.run(&["get", &id]).failed(2).contains("can only be read on the machine that created it"));
    assert!(other.run(&[link.as_str()]).failed(2).contains("to answer it, use fpaste answer 'LINK' FILE"));
    other.pipe("later", &["answer", &link]).succeeded();
    assert_eq!(asker.run(&["list", "--status", "--json"]).succeeded().json()[0]["state"], "answered");
    assert_eq!(asker.run(&["get", &id]).succeeded().text(), "later");
    assert!(kept(&asker).is_empty());
    asker.run(&["get", &id]).failed(3);
}

#[test]
fn ask_prints_the_link_as_text_json_or_id() {
    let server = Server::start(&[]);
    let asker = Client::new(&server);
    let run = asker.run(&["ask", "--no-wait", "--json", "x"]).succeeded();
    let made = run.json();
    assert!(made["link"].as_str().unwrap().contains(&format!("/{}#ask:", made["id"].as_str().unwrap())));
    assert!(made.get("delete_token").is_none(), "{made}");
    let quiet = asker.run(&["ask", "--no-wait", "-q"]).succeeded();
    let (id, fragment) = quiet.line().split_once('#').map(|(id, rest)| (id.to_owned(), rest.to_owned())).unwrap();
    // With PostgreSQL, ids are longer.
    let id_length = made["id"].as_str().unwrap().len();
    assert_eq!((id.len(), fragment.len(), quiet.stderr.as_str()), (id_length, 4 + 64, ""));
    other_answers(&server, &format!("{id}#{fragment}"));
    assert_eq!(asker.run(&["get", &id]).succeeded().text(), "by its ID");
    let cut = asker.run(&["ask", "--no-wait", "-x", "999d"]).succeeded();
    assert!(cut.stderr.contains("the server changed the expiry to 30d (requested: 999d)"), "{}", cut.stderr);
}

/// Answers a link that names no server.
fn other_answers(server: &Server, link: &str) {
    Client::new(server).pipe("by its ID", &["answer", link, "-"]).succeeded();
}

#[test]
fn answers_can_be_files_and_folders() {
    let server = Server::start(&[]);
    let (asker, other) = people(&server);
    fs::create_dir_all(other.home.join("vpn/keys")).unwrap();
    other.file("vpn/keys/client.key", vec![7; 200_000]);
    other.file("vpn/readme.txt", "hello");
    other.file("one.txt", "one");
    let asking = Asking::start(&asker, &["-O", "--force"]);
    other.run(&["answer", &asking.link, "vpn", "one.txt"]).succeeded();
    let (run, _) = asking.end();
    assert!(run.succeeded().stdout.is_empty());
    assert_eq!(fs::read(asker.home.join("vpn/keys/client.key")).unwrap(), vec![7; 200_000]);
    assert_eq!(fs::read_to_string(asker.home.join("one.txt")).unwrap(), "one");
    // The way to read it is said once, and until when.
    let asking = Asking::start(&asker, &[]);
    let id = id_of(&asking.link);
    other.run(&["answer", &asking.link, "vpn", "one.txt"]).succeeded();
    let (run, stderr) = asking.end();
    assert_eq!(run.code, Some(2), "{stderr}");
    assert!(stderr.contains("after that, the answer is gone") && !stderr.contains("try again with"), "{stderr}");
    asker.run(&["get", "-o", "first/", &id]).succeeded();
    // Several files are not printed; they stay unread.
    let link = ask(&asker, &[]);
    other.run(&["answer", &link, "vpn"]).succeeded();
    let id = id_of(&link);
    let stderr = asker.run(&["get", &id]).failed(2);
    assert!(stderr.contains("this paste has 2 files") && stderr.contains("after that, the answer is gone"), "{stderr}");
    assert_eq!(kept(&asker).len(), 1);
    asker.run(&["get", "-o", "out/", &id]).succeeded();
    assert_eq!(fs::read_to_string(asker.home.join("out/vpn/readme.txt")).unwrap(), "hello");
    assert!(kept(&asker).is_empty());
    // A name for piped data, and none for a file.
    let [named, nameless] = [(); 2].map(|()| ask(&asker, &[]));
    other.pipe("x", &["answer", "--name", "given.txt", &named]).succeeded();
    other.run(&["answer", "--no-name", &nameless, "one.txt"]).succeeded();
    asker.run(&["get", "-O", &named]).succeeded();
    assert_eq!(fs::read_to_string(asker.home.join("given.txt")).unwrap(), "x");
    assert!(asker.run(&["get", "-O", &nameless]).failed(2).contains("no file name"));
    assert_eq!(asker.run(&["get", &nameless]).succeeded().text(), "one");
    // If the output cannot be written, nothing is sent.
    let stderr = asker.run(&["ask", "-o", "nowhere/out"]).failed(2);
    assert!(stderr.contains("no such folder") && kept(&asker).is_empty(), "{stderr}");
    // A large answer takes several chunks, each at its offset.
    let large: Vec<u8> = (0..2_500_000u32).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let link = ask(&asker, &[]);
    other.pipe(&large, &["answer", &link]).succeeded();
    asker.run(&["get", "-o", "large", &link]).succeeded();
    assert!(fs::read(asker.home.join("large")).unwrap() == large);
}

#[test]
fn answering_needs_the_whole_link_and_works_once() {
    let server = Server::start(&[]);
    let (asker, other) = people(&server);
    let link = ask(&asker, &[]);
    let stderr = other.pipe("x", &["answer", &bent(&link, 40, b"other")]).failed(4);
    assert!(stderr.contains("the link does not belong to this request"), "{stderr}");
    let stderr = other.pipe("x", &["answer", &link[..link.len() - 1]]).failed(2);
    assert!(stderr.contains("the part after #ask: is damaged or incomplete"), "{stderr}");
    assert!(other.pipe("x", &["answer", link.split('#').next().unwrap()]).failed(2).contains("does not ask"));
    other.pipe("first", &["answer", &link]).succeeded();
    let stderr = other.pipe("second", &["answer", &link]).failed(1);
    assert!(stderr.contains("this request has already been answered"), "{stderr}");
    assert_eq!(asker.run(&["get", &link]).succeeded().text(), "first");
    // A paste is no ask.
    let paste = asker.create("paste", &[]);
    let posing = format!("{}{}", paste.split('#').next().unwrap(), &link[link.find('#').unwrap()..]);
    assert!(
        other.pipe("x", &["answer", &posing]).failed(2).contains("this link is a paste, not a request for a secret")
    );
    assert!(other.pipe("x", &["answer", &paste]).failed(2).contains("does not ask for a secret"));
}

#[test]
fn an_oversized_answer_is_refused_before_it_is_sent() {
    let server = Server::start(&[("FLASKPASTE_MAX_ANON", "1000")]);
    let (asker, other) = people(&server);
    let link = ask(&asker, &[]);
    other.pipe([7; 1001], &["answer", &link]).failed(5);
    other.file("large", [7; 900]);
    other.run(&["answer", &link, "large"]).failed(5);
    assert!(!server.log().contains("PUT"));
    // The largest possible answer: its head counts too.
    let manifest = r#"{"files":[{"size":860}]}"#.len();
    let most = 1000 - 40 - 56 - 16 - 4 - manifest;
    other.pipe(vec![7; most + 1], &["answer", &link]).failed(5);
    other.pipe(vec![7; most], &["answer", &link]).succeeded();
    assert_eq!(asker.run(&["get", &link]).succeeded().stdout, vec![7; most]);
}

#[test]
fn an_ask_survives_the_process_that_created_it() {
    let server = Server::start(&[]);
    let (asker, other) = people(&server);
    for (signal, code) in [("KILL", None), ("INT", Some(130)), ("TERM", Some(143))] {
        let mut asking = Asking::start(&asker, &[]);
        asking.running.signal(signal);
        assert_eq!(asking.running.code(), code);
        let id = asking.id();
        let says_how =
            asking.stderr().contains(&format!("the request stays open; read the answer with fpaste get {id}"));
        assert_eq!(says_how, signal != "KILL", "{}", asking.stderr());
        other.pipe(signal, &["answer", &asking.link]).succeeded();
        assert_eq!(asker.run(&["get", &id]).succeeded().text(), signal);
        assert!(kept(&asker).is_empty());
    }
}

#[test]
fn waiting_continues_across_a_server_restart() {
    // Its socket stays open: connections queue meanwhile.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let launcher = Launcher::with_sockets([listener.into()]);
    let mut server = Server::start_by(launcher, Arc::new(Folder::new()), &[]);
    let (asker, other) = (Client::with_url(&url), Client::with_url(&url));
    let asking = Asking::start(&asker, &[]);
    server.crash_and_restart();
    other.pipe("still here", &["answer", &asking.link]).succeeded();
    server.crash_and_restart();
    let (run, _) = asking.end();
    assert_eq!(run.succeeded().text(), "still here");
}

#[test]
fn an_ended_ask_is_reported_and_its_key_removed() {
    let server = Server::start(&[]);
    let (asker, other) = people(&server);
    let asking = Asking::start(&asker, &["-x", "2"]);
    let link = asking.link.clone();
    let (run, stderr) = asking.end();
    assert_eq!(run.code, Some(3), "{stderr}");
    assert!(stderr.contains("the request has ended: it has expired") && stderr.contains("hint: ask again"), "{stderr}");
    assert!(other.pipe("x", &["answer", &link]).failed(3).contains("this request no longer exists"));
    assert!(kept(&asker).is_empty());
    assert_eq!(asker.run(&["list", "--json"]).succeeded().json(), json!([]));
    assert!(asker.run(&["status", &link]).succeeded().text().contains("expired"));
    // A deleted ask, too.
    let link = ask(&asker, &[]);
    assert!(other.run(&["delete", &link]).failed(4).contains("no delete token"));
    assert_eq!(asker.run(&["delete", &link]).succeeded().line(), format!("deleted {}", id_of(&link)));
    assert!(kept(&asker).is_empty());
    assert!(other.pipe("x", &["answer", &link]).failed(3).contains("no longer exists"));
}

/// Sets the expiry in the stored key.
#[track_caller]
fn move_noted_end(client: &Client, at: u64) {
    let [note] = kept(client).try_into().unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&fs::read_to_string(&note).unwrap()).unwrap();
    json["expires_at"] = json!(at);
    fs::write(&note, json.to_string()).unwrap();
}

#[test]
fn a_wrong_clock_loses_no_answer() {
    const DAY: u64 = 86_400;
    let server = Server::start(&[]);
    let (asker, other) = people(&server);
    let link = ask(&asker, &["-x", "1h"]);
    other.pipe("still there", &["answer", &link]).succeeded();
    move_noted_end(&asker, unix_now() - 89 * DAY);
    assert_eq!(asker.run(&["list", "--json"]).succeeded().json(), json!([]));
    assert_eq!(asker.run(&["list", "--status", "--json"]).succeeded().json()[0]["state"], "answered");
    assert_eq!(asker.run(&["get", &id_of(&link)]).succeeded().text(), "still there");
    ask(&asker, &["-x", "1h"]);
    move_noted_end(&asker, unix_now() - 91 * DAY);
    asker.run(&["list"]).succeeded();
    assert!(kept(&asker).is_empty());
}

#[test]
fn a_key_left_by_a_killed_run_is_removed_once_the_server_says_the_ask_ended() {
    let server = Server::start(&[]);
    let (asker, other) = people(&server);
    for (end, words) in [("get", "its answer was read"), ("delete", "it was deleted")] {
        let link = ask(&asker, &[]);
        other.pipe("x", &["answer", &link]).succeeded();
        let [note] = kept(&asker).try_into().unwrap();
        let saved = asker.home.join("saved");
        fs::copy(&note, &saved).unwrap();
        asker.run(&[end, &link]).succeeded();
        fs::rename(&saved, &note).unwrap();
        fs::remove_file(asker.history()).unwrap();
        let stderr = asker.run(&["get", &id_of(&link)]).failed(3);
        assert!(stderr.contains(&format!("the request has ended: {words}")), "{stderr}");
        assert!(kept(&asker).is_empty());
    }
}

#[test]
fn a_404_removes_no_key_before_the_ask_expires() {
    let server = Server::start(&[]);
    let asker = Client::new(&server);
    let link = ask(&asker, &[]);
    let id = id_of(&link);
    let [note] = kept(&asker).try_into().unwrap();
    let text = fs::read_to_string(&note).unwrap();
    let address = link.split(&format!("/{id}")).next().unwrap().to_owned();
    let proxy = Stub::new(|_| reply("404 Not Found", "", "<html>"));
    let empty = Stub::new(|_| reply("404 Not Found", "", r#"{"error":"No.","code":"not_found"}"#));
    for (stub, code) in [(&proxy, 1), (&empty, 3)] {
        fs::write(&note, text.replace(&address, &stub.url)).unwrap();
        for command in ["get", "delete"] {
            asker.run(&[command, &id]).failed(code);
            assert_eq!(kept(&asker).len(), 1, "{command}");
        }
        move_noted_end(&asker, unix_now() - 1);
        let stderr = asker.run(&["get", &id]).failed(code);
        let is_over = stub.url == empty.url;
        assert_eq!((stderr.contains("it has expired"), kept(&asker).is_empty()), (is_over, is_over), "{stderr}");
    }
}

#[test]
fn an_unusable_response_to_an_ask_is_an_error() {
    let usable =
        json!({ "id": "abcd1234", "url": "/abcd1234", "delete_token": "t", "created_at": 9, "expires_at": 99 });
    for (field, value, words) in [
        ("expires_at", json!(null), "lacks expires_at"),
        ("expires_at", json!(0), "lacks expires_at"),
        ("expires_at", json!(9), "lacks expires_at"),
        ("delete_token", json!(null), "lacks a valid delete_token"),
        ("delete_token", json!("t".repeat(65)), "lacks a valid delete_token"),
        ("url", json!(format!("http://localhost/{}/abcd1234", "x".repeat(4000))), "the server's response is too long"),
    ] {
        let mut made = usable.clone();
        made[field] = value;
        let server = Stub::new(move |line| match line {
            line if line.starts_with("POST") => reply("201 Created", "", &made.to_string()),
            _ => reply("200 OK", "", r#"{"enabled":false}"#),
        });
        let client = Client::with_url(&server.url);
        let run = client.run(&["ask", "--no-wait"]);
        assert!(run.stdout.is_empty() && kept(&client).is_empty(), "{field}");
        let stderr = run.failed(1);
        assert!(stderr.contains(words) && !stderr.contains("#ask:"), "{field}: {stderr}");
        assert!(server.heads().contains("delete /abcd1234 "), "{field}");
    }
}

#[test]
fn temporary_files_of_killed_runs_are_removed() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    ask(&client, &[]);
    let [left, empty, fresh] = ["ask-left.new", "ask-empty", "ask-fresh.new"].map(|name| client.state().join(name));
    for (path, text) in [(&left, "private_key"), (&empty, ""), (&fresh, "private_key")] {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let hour_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    for path in [&left, &empty] {
        File::options().write(true).open(path).unwrap().set_modified(hour_ago).unwrap();
    }
    assert_eq!(client.run(&["list", "--json"]).succeeded().json().as_array().unwrap().len(), 1);
    // Another process may be writing the other file.
    assert!(!left.exists() && !empty.exists() && fresh.exists());
}

#[test]
fn a_changed_expiry_is_recorded() {
    let server = Server::start(&[]);
    let (asker, other) = people(&server);
    let link = ask(&asker, &["-x", "60"]);
    asker.run(&["extend", &link, "2h"]).succeeded();
    let listed = asker.run(&["list", "--json"]).succeeded().json();
    let left = listed[0]["expires_at"].as_u64().unwrap() - listed[0]["created_at"].as_u64().unwrap();
    assert!((7190..7210).contains(&left), "{listed}");
    other.pipe("x", &["answer", &link]).succeeded();
    assert_eq!(asker.run(&["get", &link]).succeeded().text(), "x");
    assert!(kept(&asker).is_empty());
}

#[test]
fn no_ask_is_sent_when_the_key_cannot_be_stored() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let homeless = client.with("HOME", "");
    let stderr = homeless.run(&["ask"]).failed(2);
    assert!(stderr.contains("cannot save the keys to the answer: there is no state folder"), "{stderr}");
    // Others could replace its contents.
    fs::create_dir_all(client.state()).unwrap();
    fs::set_permissions(client.state(), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(client.run(&["ask"]).failed(2).contains("other users have access to it"));
    assert!(!server.log().contains("/ask"));
    // The history is handled differently.
    fs::set_permissions(client.state(), fs::Permissions::from_mode(0o700)).unwrap();
    client.configure("history = off\n");
    let link = ask(&client, &[]);
    Client::new(&server).pipe("x", &["answer", &link]).succeeded();
    assert_eq!(client.run(&["get", &link]).succeeded().text(), "x");
    assert!(!client.history().exists());
}

#[test]
fn damaged_or_world_readable_keys_are_ignored() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let link = ask(&client, &[]);
    let [note] = kept(&client).try_into().unwrap();
    fs::set_permissions(&note, fs::Permissions::from_mode(0o644)).unwrap();
    let stderr = client.run(&["get", &link]).failed(2);
    assert!(stderr.contains(&format!("other users can read or change {}", note.display())), "{stderr}");
    assert!(stderr.contains(&format!("chmod 600 {}", note.display())), "{stderr}");
    fs::set_permissions(&note, fs::Permissions::from_mode(0o600)).unwrap();
    let elsewhere = client.home.join("elsewhere");
    fs::rename(&note, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &note).unwrap();
    let stderr = client.run(&["get", &link]).failed(2);
    assert!(stderr.contains(&format!("{} is a symbolic link", note.display())), "{stderr}");
    fs::rename(&elsewhere, &note).unwrap();
    client.run(&["get", &link]).failed(3);
    let text = fs::read_to_string(&note).unwrap();
    for damaged in
        [&text[..text.len() / 2], "", "[]", &text.replace("private_key", "x"), &text.replace("\"ask\"", "\"x\"")]
    {
        fs::write(&note, damaged).unwrap();
        client.run(&["get", &link]).failed(2);
        assert_eq!(client.run(&["list", "--json"]).succeeded().json(), json!([]), "{damaged}");
    }
}

#[test]
fn an_answer_not_encrypted_for_the_ask_is_not_printed() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let sealed = Secret::random(None).pack(&json!({ "files": [{ "size": 5 }] }), &[b"hello"]);
    let head = |key: [u8; 32]| [b"fpasteA\n".as_slice(), &key].concat();
    for (what, bytes) in [
        (
            "text",
            b"just a text, and no answer at all, though it is long enough to be one, with its head and all".to_vec(),
        ),
        ("short", b"fpasteA\n".to_vec()),
        ("an all-zero key", [head([0; 32]), sealed.clone()].concat()),
        ("a key of small order", [head(std::array::from_fn(|at| u8::from(at == 0))), sealed.clone()].concat()),
        ("another key", [head([9; 32]), sealed.clone()].concat()),
        ("no key", sealed.clone()),
        ("nothing behind the head", head([9; 32])),
        ("a text behind the head", [head([9; 32]), vec![b'x'; 400]].concat()),
    ] {
        let link = ask(&client, &[]);
        answer_with(&server, &link, bytes);
        for output in [&[][..], &["-o", "out"], &["-O"]] {
            let stderr = client.run(&[&["get", &link], output].concat()).failed(8);
            assert!(stderr.contains("cannot decrypt the answer"), "{what}: {stderr}");
            assert!(stderr.ends_with("hint: ask again, and send the new link\n"), "{what}: {stderr}");
        }
        assert!(!client.home.join("out").exists());
        client.run(&["delete", &link]);
    }
}

#[test]
fn an_answer_opens_only_with_the_key_of_its_ask() {
    let server = Server::start(&[]);
    let (asker, other) = people(&server);
    let link = ask(&asker, &[]);
    // Encrypted for another key, as if somebody in between had changed the link.
    other.pipe("x", &["answer", &bent(&link, 0, &[9; 32])]).succeeded();
    assert!(asker.run(&["get", &link]).failed(8).contains("it was not encrypted for this request"));
    // A link whose key lets anybody read the answer is not answered.
    let link = ask(&asker, &[]);
    let stderr = other.pipe("x", &["answer", &bent(&link, 0, &[0; 32])]).failed(2);
    assert!(stderr.contains("anyone could read the answer; nothing was sent"), "{stderr}");
    assert!(asker.run(&["get", &link]).failed(3).contains("has not been answered yet"));
}

#[test]
fn labels_are_shown_without_control_or_bidi_characters() {
    let server = Server::start(&[]);
    let (asker, other) = people(&server);
    let link = ask(&asker, &["a\x1b[31m\u{202e}b"]);
    let run = other.pipe("x", &["answer", "-v", &link]).succeeded();
    assert!(run.stderr.contains("requested: a\u{fffd}[31m\u{fffd}b\n"), "{}", run.stderr);
    let table = asker.run(&["list"]).succeeded().text();
    assert!(table.contains("a\u{fffd}[31m\u{fffd}b") && !table.contains('\x1b'), "{table}");
    asker.run(&["ask", "--no-wait", &"x".repeat(201)]).failed(2);
    let long = ask(&asker, &[&"x".repeat(200)]);
    assert!(other.pipe("x", &["answer", "-v", &long]).succeeded().stderr.contains("requested: …"));
    // A label that is too long or not text is not shown, and the link works.
    for label in [URL_SAFE_NO_PAD.encode([b'x'; 201]), URL_SAFE_NO_PAD.encode([0xff]), "!".into(), String::new()] {
        let link = ask(&asker, &[]);
        let run = other.pipe("x", &["answer", "-v", &format!("{link}:{label}")]).succeeded();
        assert!(!run.stderr.contains("asked for"), "{}", run.stderr);
    }
}

#[test]
fn credentials_are_not_sent_to_the_server_of_a_link() {
    let stranger = Stub::new(|line| match line {
        line if line.starts_with("PUT") => reply("201 Created", "", "{}"),
        _ => reply("200 OK", "", r#"{"id":"abcd1234","state":"asked","max_size":10000}"#),
    });
    let client = Client::with_url("http://127.0.0.1:1").with("FLASKPASTE_TOKEN", &format!("fpt_{}", "A".repeat(43)));
    let client = client.with("FLASKPASTE_CERT_SHA1", &"ab".repeat(20));
    let link = format!("{}/abcd1234#ask:{}", stranger.url, URL_SAFE_NO_PAD.encode([9; 48]));
    client.pipe("x", &["answer", &link]).succeeded();
    let heads = stranger.heads();
    assert!(heads.contains("x-answer-proof: ") && heads.contains("put /abcd1234/raw"), "{heads}");
    assert!(!heads.contains("authorization") && !heads.contains("x-ssl"), "{heads}");
}

#[test]
fn ask_fails_on_a_server_without_asks() {
    let server = Stub::new(|line| match line {
        line if line.starts_with("POST") => {
            reply("405 Method Not Allowed", "", r#"{"error":"No.","code":"method_not_allowed"}"#)
        }
        _ => reply("200 OK", "", r#"{"enabled":false}"#),
    });
    let client = Client::with_url(&server.url);
    assert!(client.run(&["ask"]).failed(1).contains("does not support asking for secrets"));
    assert!(kept(&client).is_empty());
}

#[test]
fn an_ask_whose_key_cannot_be_stored_is_deleted() {
    let made = r#"{"id":"abcd1234","url":"/abcd1234","delete_token":"t0ken","created_at":1,"expires_at":99999}"#;
    let client = Client::with_url("http://127.0.0.1:1");
    let state = client.state();
    fs::create_dir_all(&state).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).unwrap();
    // The folder is removed during the request.
    let server = Stub::new(move |line| match line {
        line if line.starts_with("POST") => {
            fs::remove_dir_all(&state).unwrap();
            fs::write(&state, "").unwrap();
            reply("201 Created", "", made)
        }
        _ => reply("200 OK", "", r#"{"enabled":false}"#),
    });
    let stderr = client.with("FLASKPASTE_SERVER", &server.url).run(&["ask", "--no-wait"]).failed(1);
    assert!(
        stderr.contains("cannot save the keys to the answer") && stderr.contains("the request was deleted"),
        "{stderr}"
    );
    let heads = server.heads();
    assert!(heads.contains("delete /abcd1234 ") && heads.contains("x-delete-token: t0ken"), "{heads}");
}

/// An interrupted transfer of an answer resumes after the verified part, counting the head of the answer.
#[test]
fn an_interrupted_transfer_of_an_answer_resumes() {
    let made = json!({ "id": "abcd1234", "url": "/abcd1234", "delete_token": "t", "expires_at": unix_now() + 600 });
    let (upload, ranges) = <(Arc<Mutex<Vec<u8>>>, Arc<Mutex<Vec<String>>>)>::default();
    let (kept, asked) = (Arc::clone(&upload), Arc::clone(&ranges));
    let url = serve_with_bodies(move |head, body| {
        let upload = &mut *kept.lock().unwrap();
        let lower = head.to_ascii_lowercase();
        let range = lower.lines().find_map(|line| line.strip_prefix("range: bytes=")?.strip_suffix('-'));
        let state = if upload.is_empty() { "asked" } else { "answered" };
        let close = "Connection: close\r\n";
        match head.lines().next().unwrap() {
            line if line.starts_with("POST /ask ") => reply("201 Created", close, &made.to_string()),
            line if line.contains("/lease") => {
                let lease = json!({ "lease": "ab".repeat(16), "expires_at": unix_now() + 600, "reads_left": 0 });
                reply("201 Created", close, &lease.to_string())
            }
            line if line.starts_with("PUT") => {
                *upload = body;
                reply("201 Created", close, "{}")
            }
            line if line.starts_with("GET /abcd1234/raw") => {
                asked.lock().unwrap().push(range.unwrap_or("all").to_owned());
                let all = upload.len();
                let from: usize = range.map_or(0, |range| range.parse().unwrap());
                // The first transfer breaks off in the second chunk.
                let end = if from == 0 { 100_000 } else { all };
                let status = if from == 0 { "200 OK" } else { "206 Partial Content" };
                let part = format!("Content-Range: bytes {from}-{}/{all}\r\n", all - 1);
                let head = format!("HTTP/1.1 {status}\r\n{part}{close}Content-Length: {}\r\n\r\n", all - from);
                [head.as_bytes(), &upload[from..end]].concat()
            }
            line if line.contains("/challenge") => reply("200 OK", close, r#"{"enabled":false}"#),
            line if line.starts_with("DELETE") => reply("200 OK", close, "{}"),
            _ => {
                let now = json!({ "id": "abcd1234", "state": state, "max_size": 1_000_000 });
                reply("200 OK", close, &now.to_string())
            }
        }
    });
    let client = Client::with_url(&url);
    let link = ask(&client, &[]);
    let content: Vec<u8> = (0..300_000u32).map(|at| u8::try_from(at % 251).unwrap()).collect();
    client.pipe(&content, &["answer", &link]).succeeded();
    assert!(client.run(&["get", &link]).succeeded().stdout == content);
    // After the 40 bytes of the answer's head, the 56 of the upload's, and one chunk.
    assert_eq!(*ranges.lock().unwrap(), ["all", "65648"]);
    // That server keeps the answer; the key is erased anyway, the delete token is not.
    assert!(self::kept(&client).is_empty());
    let history = fs::read_to_string(client.history()).unwrap();
    assert!(history.contains("delete_token") && !history.contains("private_key"), "{history}");
    assert_eq!(client.run(&["delete", &link]).succeeded().line(), "deleted abcd1234");
}

/// A server that handles one request per connection with a function of its head and body.
fn serve_with_bodies(answer: impl Fn(&str, Vec<u8>) -> Vec<u8> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && socket.read(&mut byte).is_ok_and(|read| read > 0) {
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).unwrap();
            let lower = head.to_ascii_lowercase();
            let length =
                lower.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
            let mut body = vec![0; length];
            if socket.read_exact(&mut body).is_ok() {
                let _ = socket.write_all(&answer(&head, body));
            }
        }
    });
    url
}

/// Tests that take seconds; `make test-quick` skips them.
mod slow {
    use super::*;

    #[test]
    fn errors_while_waiting_are_reported_once() {
        let asked = r#"{"id":"abcd1234","state":"asked","expires_at":99999999999,"max_size":1000}"#;
        let made = r#"{"id":"abcd1234","url":"/abcd1234","delete_token":"t","created_at":1,"expires_at":99999}"#;
        let looks = AtomicUsize::new(0);
        let server = Stub::new(move |line| match line {
            line if line.contains("/challenge") => reply("200 OK", "", r#"{"enabled":false}"#),
            line if line.starts_with("POST /ask ") => reply("201 Created", "", made),
            _ => match looks.fetch_add(1, Ordering::Relaxed) {
                0 => reply("200 OK", "", asked),
                1 => reply("502 Bad Gateway", "", "<html>"),
                // A 404 of a proxy says nothing about the ask.
                2 => reply("404 Not Found", "", "<html>"),
                _ => reply("404 Not Found", "", r#"{"error":"There is no such paste.","code":"not_found"}"#),
            },
        });
        let client = Client::with_url(&server.url);
        let (run, stderr) = Asking::start(&client, &[]).end();
        assert_eq!((run.code, run.stdout.len()), (Some(3), 0), "{stderr}");
        assert_eq!(stderr.matches("still waiting, will retry").count(), 1, "{stderr}");
        assert!(
            stderr.contains("the request has ended: it expired, was deleted, or its answer was read elsewhere"),
            "{stderr}"
        );
        // A server may be wrong: the key is useful as long as the ask may be open.
        assert_eq!(kept(&client).len(), 1);
    }

    #[test]
    fn a_lost_confirmation_is_not_reported_as_already_answered() {
        let (cut, taken) =
            (b"HTTP/1.1 201 Created\r\nConnection: close\r".to_vec(), r#"{"error":"No.","code":"already_answered"}"#);
        let link = |server: &Stub| format!("{}/abcd1234#ask:{}", server.url, URL_SAFE_NO_PAD.encode([9; 48]));
        let gone = r#"{"error":"No.","code":"not_found"}"#;
        // A stored answer of the same size may be ours; of another size it is not; if a retry succeeds, all is well.
        for (case, size, code, words) in [
            ("the same size", 368, 7, "it may be this one or someone else's"),
            ("another size", 369, 1, "this request has already been answered"),
            ("read already", 1, 7, "it may be this one or someone else's"),
            ("not taken", 0, 0, "answer delivered"),
        ] {
            let (puts, cut) = (AtomicUsize::new(0), cut.clone());
            let is_sent = Arc::new(AtomicUsize::new(0));
            let server = Stub::new(move |line| match (line.starts_with("PUT"), is_sent.load(Ordering::Relaxed)) {
                (false, 0) => reply("200 OK", "", r#"{"id":"abcd1234","state":"asked","max_size":10000}"#),
                (_, 1) if size == 1 => reply("404 Not Found", "", gone),
                (false, _) => {
                    let now = json!({ "id": "abcd1234", "state": "answered", "max_size": 10000, "size": size });
                    reply("200 OK", "", &now.to_string())
                }
                (true, _) if puts.fetch_add(1, Ordering::Relaxed) == 0 => {
                    is_sent.store(1, Ordering::Relaxed);
                    cut.clone()
                }
                (true, _) if size == 0 => reply("201 Created", "", "{}"),
                (true, _) => reply("409 Conflict", "", taken),
            })
            .letting_go();
            let run = Client::with_url(&server.url).pipe("hello", &["answer", &link(&server)]);
            assert_eq!(run.code, Some(code), "{case}: {}", run.stderr);
            assert!(run.stderr.contains(words), "{case}: {}", run.stderr);
        }
    }
}
