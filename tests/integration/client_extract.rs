//! Where fpaste writes files: all or nothing, whatever is in the way, fails, or interrupts it.

use crate::client_harness::{Client, Running};
use crate::client_network::{reply, serve};
use crate::harness::{SOON, Server, wait_until};
use crate::sealed_format::Secret;
use serde_json::json;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A paste on the server with these files, and its link.
fn paste(server: &Server, files: &[(&str, &[u8])], headers: &[(&str, &str)]) -> String {
    let secret = Secret::random(None);
    let entry = |(name, content): &(&str, &[u8])| json!({ "name": name, "size": content.len() });
    let manifest = json!({ "files": files.iter().map(entry).collect::<Vec<_>>() });
    let contents: Vec<&[u8]> = files.iter().map(|(_, content)| *content).collect();
    secret.post(server, secret.pack(&manifest, &contents), headers).1
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn drafts(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(".fpaste-")).collect()
}

/// A server that sends the rest of its paste, the files a and b, only when told to.
struct Slow {
    link: String,
    goes_on: Arc<AtomicBool>,
}

impl Slow {
    fn new() -> Self {
        let secret = Secret::random(None);
        let manifest = json!({ "files": [{ "name": "a", "size": 70_000 }, { "name": "b", "size": 70_000 }] });
        let upload = secret.pack(&manifest, &[&b"a".repeat(70_000), &b"b".repeat(70_000)]);
        let goes_on = Arc::new(AtomicBool::new(false));
        let may_go_on = Arc::clone(&goes_on);
        let url = serve(move |head, socket| {
            if !head.contains("/raw") {
                let metadata = r#"{"id":"abcd1234","mime_type":"application/octet-stream","proof_required":true}"#;
                let _ = socket.write_all(&reply("200 OK", "Connection: close\r\n", metadata));
                return;
            }
            let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", upload.len());
            let _ = socket.write_all(&[head.as_bytes(), &upload[..66_000]].concat());
            wait_until("the server may continue", SOON, || may_go_on.load(Ordering::Relaxed));
            let _ = socket.write_all(&upload[66_000..]);
        });
        Self { link: format!("{url}/abcd1234#{}", secret.fragment()), goes_on }
    }

    fn go_on(&self) {
        self.goes_on.store(true, Ordering::Relaxed);
    }
}

#[test]
fn one_conflicting_path_writes_no_file_at_all() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let two = paste(&server, &[("a", b"new"), ("b", b"new")], &[]);
    client.file("a", "old");
    fs::create_dir_all(client.home.join("b/full")).unwrap();
    let stderr = client.run(&["get", "-O", "--force", &two]).failed(2);
    assert!(stderr.contains("b is a folder here but a file in the paste; nothing was written"), "{stderr}");
    let below = paste(&server, &[("sub/a", b"new"), ("sub/z/f", b"new")], &[]);
    fs::create_dir(client.home.join("sub")).unwrap();
    client.file("sub/a", "old");
    client.file("sub/z", "old");
    let stderr = client.run(&["get", "-O", "--force", &below]).failed(2);
    assert!(stderr.contains("is not a folder here; nothing was written"), "{stderr}");
    for name in ["a", "sub/a", "sub/z"] {
        assert_eq!(fs::read(client.home.join(name)).unwrap(), b"old", "{name}");
    }
    assert!(drafts(client.home.path()).is_empty());
}

#[test]
fn a_failed_move_into_place_is_rolled_back() {
    let slow = Slow::new();
    let client = Client::with_url("http://127.0.0.1:1");
    client.file("a", "old");
    let child = Running::start(&mut client.command(&["get", "-O", "--force", &slow.link]));
    wait_until("a draft exists", SOON, || !drafts(client.home.path()).is_empty());
    let draft = drafts(client.home.path()).remove(0);
    wait_until("the first file exists", SOON, || draft.join("0").exists());
    assert_eq!((mode(&draft), mode(&draft.join("0"))), (0o700, 0o600));
    // Nothing was in the way at the first check.
    fs::create_dir(client.home.join("b")).unwrap();
    slow.go_on();
    let stderr = child.end(&["get"]).failed(2);
    assert!(stderr.contains("b is a folder here"), "{stderr}");
    assert_eq!(fs::read(client.home.join("a")).unwrap(), b"old");
    assert!(drafts(client.home.path()).is_empty());
}

#[test]
fn leftovers_of_a_killed_get_are_removed_by_the_next() {
    let slow = Slow::new();
    let client = Client::with_url("http://127.0.0.1:1");
    let arguments = ["get", "-O", &slow.link];
    let mut child = Running::start(&mut client.command(&arguments));
    wait_until("a draft exists", SOON, || !drafts(client.home.path()).is_empty());
    child.signal("KILL");
    child.code();
    assert_eq!(drafts(client.home.path()).len(), 1);
    slow.go_on();
    let [of_another, replacing] =
        [".fpaste-ffff0000-123456", ".fpaste-abcd1234-123456"].map(|name| client.home.join(name));
    fs::create_dir(&of_another).unwrap();
    fs::create_dir(&replacing).unwrap();
    client.file(".fpaste-abcd1234-123456/old-0", "the only copy");
    let run = client.run(&arguments).succeeded();
    assert!(run.stderr.contains("123456 holds files that an interrupted fpaste was replacing"), "{}", run.stderr);
    let leftover = client.file(".fpaste-abcd1234-Xy12Zz", "half of what -o FILE was to be");
    client.run(&["get", "-o", "out", &slow.link]).failed(2);
    assert!(!leftover.exists());
    let mut left = drafts(client.home.path());
    left.sort();
    assert_eq!(left, [replacing, of_another]);
}

#[test]
fn an_interruption_while_moving_files_into_place_leaves_none() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let names: Vec<String> = (0..1500).map(|number| format!("m/{number}")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b"x"[..])).collect();
    let link = paste(&server, &files, &[("X-Reads", "2")]);
    client.file("keep", "");
    let mut child = Running::start(&mut client.command(&["get", "-O", &link]));
    wait_until("the first file is in place", SOON, || {
        client.home.join("m").exists() || child.try_wait().unwrap().is_some()
    });
    child.signal("INT");
    match child.code() {
        Some(130) => {
            assert!(!client.home.join("m").exists());
            client.run(&["get", "-O", &link]).succeeded();
        }
        code => assert_eq!(code, Some(0)),
    }
    assert_eq!(fs::read_dir(client.home.join("m")).unwrap().count(), 1500);
    assert!(drafts(client.home.path()).is_empty());
}

#[test]
fn folders_created_for_a_failed_get_are_removed() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let secret = Secret::random(None);
    let mut upload = secret.pack(&json!({ "files": [{ "name": "a", "size": 100_000 }] }), &[&b"x".repeat(100_000)]);
    *upload.last_mut().unwrap() ^= 1;
    let (_, damaged) = secret.post(&server, upload, &[]);
    client.run(&["get", "-o", "new/deep/", &damaged]).failed(8);
    let nameless = client.create("x", &[]);
    assert!(client.run(&["get", "-o", "new/deep/", &nameless]).failed(2).contains("has no file name"));
    assert!(!client.home.join("new").exists());
    let good = paste(&server, &[("a/b", b"x")], &[]);
    client.run(&["get", "-o", "new/deep/", &good]).succeeded();
    assert_eq!(fs::read(client.home.join("new/deep/a/b")).unwrap(), b"x");
}

#[test]
fn an_unwritable_folder_consumes_no_read() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let link = paste(&server, &[("a", b"x")], &[("X-Reads", "1")]);
    client.file("file", "");
    for (place, file) in [("file/below/", "file"), ("file/", "file"), ("/dev/null/x/", "/dev/null")] {
        let stderr = client.run(&["get", "-o", place, &link]).failed(2);
        assert!(stderr.contains(&format!("error: {file} is not a folder")), "{stderr}");
        assert!(!stderr.contains(".fpaste-"), "{stderr}");
    }
    assert!(!server.log().contains("/lease"), "{}", server.log());
    client.run(&["get", &link]).succeeded();
}

#[test]
fn the_executable_bit_is_kept_with_output() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let program = client.file("run.sh", "#!/bin/sh\n");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let link = client.run(&["run.sh"]).succeeded().line();
    let shell = |script: &str| Running::start(&mut client.shell(script)).end(&[]).succeeded();
    shell(&format!("umask 027; $FPASTE get -o new '{link}'"));
    client.file("old", "");
    fs::set_permissions(client.home.join("old"), fs::Permissions::from_mode(0o600)).unwrap();
    shell(&format!("umask 022; $FPASTE get -o old '{link}'"));
    assert_eq!((mode(&client.home.join("new")), mode(&client.home.join("old"))), (0o750, 0o700));
    let text = client.create("x", &[]);
    client.run(&["get", "-o", "text", &text]).succeeded();
    assert_eq!(mode(&client.home.join("text")) & 0o111, 0);
}
