//! fpaste loses nothing that exists nowhere else: burned content it has read, and piped data.

use crate::client_harness::{Client, Running};
use crate::client_network::{Stub, accepting, reply};
use crate::harness::{SOON, Server, wait_until};
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

/// The files in the state folder with this prefix.
fn kept(client: &Client, prefix: &str) -> Vec<PathBuf> {
    let Ok(folder) = fs::read_dir(client.state()) else { return Vec::new() };
    let paths = folder.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(prefix)).collect()
}

/// The only kept file, readable only by its owner.
#[track_caller]
fn the_kept(client: &Client, prefix: &str) -> PathBuf {
    let [path] = kept(client, prefix).try_into().unwrap_or_else(|paths| panic!("{paths:?}"));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    path
}

fn holds(path: &Path, text: &str) -> bool {
    fs::read(path).unwrap().windows(text.len()).any(|window| window == text.as_bytes())
}

fn parts(link: &str) -> (&str, &str) {
    let (url, key) = link.split_once('#').unwrap();
    (url.rsplit('/').next().unwrap(), key)
}

#[test]
fn a_burn_paste_is_not_read_without_its_key() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let link = client.create("once", &["-b"]);
    let (id, _) = parts(&link);
    let stderr = client.run(&["get", id]).failed(2);
    assert!(stderr.contains("the link has no key"), "{stderr}");
    client.run(&["get", "-o", "out", id]).failed(2);
    // It is still there and complete; nothing is left behind.
    assert_eq!(client.run(&["get", &link]).succeeded().text(), "once");
    assert!(kept(&client, "fpaste-").is_empty());
    let forced = client.create("once", &["-b", "--format", "1"]);
    assert!(client.run(&["get", parts(&forced).0]).failed(2).contains("--force"));
    assert_eq!(client.run(&["get", "--force", parts(&forced).0]).succeeded().stdout.len(), 4 + 28);
    // Without encryption no key is needed, and a paste that does not burn is not lost.
    let plain = client.create("plain", &["-b", "-E"]);
    assert_eq!(client.run(&["get", &plain]).succeeded().text(), "plain");
    let lasting = client.create("lasting", &["--format", "1"]);
    assert_eq!(client.run(&["get", parts(&lasting).0]).succeeded().stdout.len(), 7 + 28);
}

#[test]
fn a_read_with_a_wrong_key_can_be_repeated_with_the_right_one() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    // In format 1 the server cannot tell a wrong key.
    let old = ["--format", "1"];
    let (link, other) = (client.create("the only copy", &["-b", old[0], old[1]]), client.create("other", &old));
    let ((id, key), (_, wrong)) = (parts(&link), parts(&other));
    let stderr = client.run(&["get", "-o", "out", &format!("{id}#{wrong}")]).failed(8);
    assert!(stderr.contains("to resume this read") && !stderr.contains(wrong), "{stderr}");
    let lease = the_kept(&client, "lease-");
    assert!(!holds(&lease, wrong) && !holds(&lease, key));
    // For others it is gone; here it can be listed and read.
    server.get(&format!("/{id}")).expect_code(404, "not_found");
    assert!(client.run(&["get", "-m", &link]).succeeded().text().contains("burns     yes"));
    assert_eq!(client.run(&["get", &link]).succeeded().text(), "the only copy");
    assert!(kept(&client, "lease-").is_empty());
    client.run(&["get", &link]).failed(3);
    // A wrong link to a paste that does not burn has lost nothing.
    client.run(&["get", &format!("{}#{key}", parts(&other).0)]).failed(8);
    assert!(kept(&client, "lease-").is_empty() && kept(&client, "fpaste-").is_empty());
}

#[test]
fn a_read_that_could_not_be_written_can_be_repeated() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    for plain in [false, true] {
        let link = client.create("x".repeat(100_000), if plain { &["-b", "-E"] } else { &["-b"] });
        let stderr = client.run(&["get", "-o", "/dev/full", &link]).failed(1);
        assert!(stderr.contains("to resume this read"), "{stderr}");
        the_kept(&client, "lease-");
        assert_eq!(client.run(&["get", &link]).succeeded().text(), "x".repeat(100_000));
        assert!(kept(&client, "lease-").is_empty());
    }
}

#[test]
fn a_read_is_recorded_elsewhere_when_the_state_folder_is_unwritable() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let client = client.with("TMPDIR", client.home.path().to_str().unwrap());
    let link = client.create("x", &["-b"]);
    let homeless = client.with("XDG_STATE_HOME", "/dev/null/state");
    let folder = client.home.join(&format!("fpaste-{}", rustix::process::geteuid().as_raw()));
    let stderr = homeless.run(&["get", "-o", "/dev/full", &link]).failed(1);
    assert!(stderr.contains(&format!("the read is recorded in {}", folder.display())), "{stderr}");
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(client.run(&["get", &link]).succeeded().text(), "x");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    // A file writable by others is ignored.
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    let link = client.create("x", &["-b"]);
    let stderr = homeless.run(&["get", "-o", "/dev/full", &link]).failed(1);
    assert!(
        stderr.contains("nor any other folder; if the transfer fails, it cannot be resumed")
            && stderr.contains("the read could not be saved"),
        "{stderr}"
    );
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}

#[test]
fn a_closed_pipe_does_not_lose_a_burn_paste() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let link = client.create(vec![b'x'; 2_000_000], &["-b"]);
    let mut child = Running::start(&mut client.command(&["get", &link]));
    drop(child.stdout.take());
    let stderr = child.end(&["get"]).succeeded().stderr;
    assert!(stderr.contains("warning: the output was closed early; run fpaste get again within"), "{stderr}");
    assert_eq!(client.run(&["get", &link]).succeeded().stdout.len(), 2_000_000);
}

/// A server without leases: it serves the content once.
fn without_leases(id: &str, content: Vec<u8>) -> Stub {
    let metadata = format!(r#"{{"id":"{id}","burn_after_read":true,"mime_type":"application/octet-stream"}}"#);
    let left = std::sync::Mutex::new(Some(content));
    Stub::new(move |line| match line {
        line if line.contains("/raw") => match left.lock().unwrap().take() {
            Some(content) => {
                let head =
                    format!("HTTP/1.1 200 OK\r\nX-Burn-After-Read: true\r\nContent-Length: {}\r\n\r\n", content.len());
                [head.into_bytes(), content].concat()
            }
            None => reply("404 Not Found", "", r#"{"error":"There is no such paste.","code":"not_found"}"#),
        },
        line if line.starts_with("POST") => reply("404 Not Found", "", r#"{"error":"Nothing.","code":"not_found"}"#),
        _ => reply("200 OK", "", &metadata),
    })
}

#[test]
fn a_burn_paste_from_a_server_without_leases_is_kept_until_it_opens() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let link = client.create("the only copy", &["--format", "1"]);
    let (id, key) = parts(&link);
    let other = client.create("other", &[]);
    let (_, wrong) = parts(&other);
    let old = without_leases(id, server.get(&format!("/{id}/raw")).expect_status(200).body);
    let stderr = client.run(&["get", "-o", "out", &format!("{}/{id}#{wrong}", old.url)]).failed(8);
    let path = the_kept(&client, "fpaste-");
    let path = path.to_str().unwrap();
    assert!(stderr.contains("that was the only read") && stderr.contains(path), "{stderr}");
    assert!(!stderr.contains(wrong) && !holds(path.as_ref(), "the only copy"));
    // One key in 64 begins with a dash.
    let opened = |operand: &str| client.pipe(format!("#{key}\n"), &["get", "--from", path, "--", operand]);
    for operand in [&format!("#{key}"), key, &link, "-"] {
        assert_eq!(opened(operand).succeeded().text(), "the only copy", "{operand}");
    }
    let bad = opened(&format!("#{wrong}")).failed(8);
    assert!(bad.contains("the file was not changed"), "{bad}");
    opened("#short").failed(2);
    opened(id).failed(2);
    client.run(&["get", "--from", path, "-o", "out", &link]).succeeded();
    assert_eq!(fs::read_to_string(client.home.join("out")).unwrap(), "the only copy");
}

#[test]
fn stdin_is_not_read_when_the_server_refuses_at_once() {
    let locked = Stub::new(|_| reply("401 Unauthorized", "", r#"{"error":"No.","code":"token_invalid"}"#));
    let client = Client::with_url(&locked.url);
    let mut child = Running::start(client.command(&[]).stdin(Stdio::piped()));
    // It ends although the input does not.
    let mut stdin = child.stdin.take().unwrap();
    wait_until("fpaste has exited", SOON, || child.try_wait().unwrap().is_some());
    assert!(stdin.write_all(b"nobody reads this").is_err());
    assert_eq!(child.wait().unwrap().code(), Some(4));
    assert!(kept(&client, "unsent-").is_empty());
    assert!(client.pipe("x", &["-p"]).failed(4).contains("the input was not read"));
    client.pipe("x", &["nosuchfile"]).failed(2);
}

#[test]
fn piped_data_is_kept_when_the_server_is_down_from_the_start() {
    let failing = |status: &'static str| Stub::new(move |_| reply(status, "", ""));
    let (broken, busy) = (failing("500 Internal Server Error"), failing("503 Service Unavailable"));
    let server = Server::start(&[("FLASKPASTE_DEDUP_MAX", "100")]);
    let url = format!("http://{}", server.authority());
    let large = "the only copy".repeat(100_000);
    for (down, code) in
        [("http://127.0.0.1:1", 7), ("http://no.such.host.invalid", 7), (&broken.url, 1), (&busy.url, 6)]
    {
        let client = Client::with_url(down);
        client.file("password", "hunter2\n");
        for arguments in [&["-b", "-x", "1h"][..], &["--password-file", "password"], &["--format", "1"], &["-E"]] {
            let stderr = client.pipe(&large, arguments).failed(code);
            assert!(stderr.contains("saved for a day: send it with fpaste resume"), "{down} {arguments:?}: {stderr}");
            let path = the_kept(&client, "unsent-");
            let is_plain = arguments == ["-E"];
            assert_eq!((holds(&path, "the only copy"), holds(&path, "hunter2")), (is_plain, false), "{arguments:?}");
            let link = client.run(&["resume", "-s", &url]).succeeded().line();
            let read = client.with("FPASTE_PASSWORD", "hunter2").with("FLASKPASTE_SERVER", &url).run(&["get", &link]);
            assert_eq!(read.succeeded().text(), large, "{arguments:?}");
            assert!(kept(&client, "unsent-").is_empty());
        }
        // The failure is the server's, and there was nothing to keep.
        let stderr = client.pipe("", &[]).failed(code);
        assert!(stderr.contains("the input was not saved: standard input is empty"), "{stderr}");
        let file = client.file("input", "a file is still there");
        assert!(!client.run(&[file.to_str().unwrap()]).failed(code).contains("input was"));
        assert!(kept(&client, "unsent-").is_empty());
    }
}

/// A server that refuses uploads while this is set, and the head of an upload.
fn refusing(status: &'static str) -> Stub {
    Stub::new(move |line| if line.starts_with("POST") { reply(status, "", "") } else { accepting(line) })
}

#[test]
fn piped_data_is_kept_when_the_upload_fails_and_resume_sends_it() {
    let broken = refusing("502 Bad Gateway");
    let client = Client::with_url(&broken.url);
    let stderr = client.pipe("the only copy", &["-b", "-x", "1h"]).failed(7);
    assert!(stderr.contains("send it with fpaste resume"), "{stderr}");
    let elsewhere = refusing("502 Bad Gateway");
    let chosen = Client::with_url("http://127.0.0.1:1");
    let stderr = chosen.pipe("x", &["-s", &elsewhere.url]).failed(7);
    assert!(stderr.contains(&format!("send it with fpaste resume -s {}", elsewhere.url)), "{stderr}");
    let path = the_kept(&client, "unsent-");
    assert!(!holds(&path, "the only copy"));
    // It fails again and is kept.
    client.run(&["resume"]).failed(7);
    assert!(path.exists());
    // It is sent to another server only if that is named.
    let server = Server::start(&[]);
    let url = format!("http://{}", server.authority());
    let moved = client.with("FLASKPASTE_SERVER", &url);
    assert!(moved.run(&["resume"]).failed(2).contains(&broken.url));
    let run = client.run(&["resume", "-s", &url]).succeeded();
    assert!(run.line().starts_with(&url) && kept(&client, "unsent-").is_empty());
    let listed = moved.run(&["list", "--json"]).succeeded().json();
    assert_eq!((&listed[0]["burn_after_read"], &listed[0]["slides"]), (&true.into(), &false.into()));
    assert_eq!(moved.run(&["get", &run.line()]).succeeded().text(), "the only copy");
    assert!(client.run(&["resume"]).failed(2).contains("nothing to resume"));
}

#[test]
fn kept_uploads_hold_no_password_and_are_removed_after_a_day() {
    let broken = refusing("503 Service Unavailable");
    let client = Client::with_url(&broken.url);
    client.file("password", "hunter2\n");
    let from_file = client.file("input", "a file is still there");
    client.run(&[from_file.to_str().unwrap()]).failed(6);
    assert!(kept(&client, "unsent-").is_empty());
    // A password that the server never sees is not needed again.
    client.pipe("sealed", &["--password-file", "password"]).failed(6);
    assert!(!holds(&the_kept(&client, "unsent-"), "hunter2"));
    let sealed_at = Server::start(&[]);
    let link = client.run(&["resume", "-s", &format!("http://{}", sealed_at.authority())]).succeeded().line();
    client.run(&["get", &link]).failed(4);
    assert_eq!(client.run(&["get", "--password-file", "password", &link]).succeeded().text(), "sealed");
    client.pipe("x", &["--format", "1", "--password-file", "password"]).failed(6);
    let path = the_kept(&client, "unsent-");
    assert!(!holds(&path, "hunter2"));
    assert!(client.run(&["resume"]).failed(2).contains("use -p"));
    let server = Server::start(&[]);
    let url = format!("http://{}", server.authority());
    let link = client.run(&["resume", "-s", &url, "--password-file", "password"]).succeeded().line();
    client.run(&["get", &link]).failed(4);
    let first = &["get", "--format", "1", "--password-file", "password", &link];
    assert_eq!(client.run(first).succeeded().text(), "x");
    client.pipe("plain", &["-E", "-t", "text/csv"]).failed(6);
    let link = client.run(&["resume", "-s", &url]).succeeded().line();
    server.get(&format!("/{}/raw", link.rsplit('/').next().unwrap())).expect_body("plain");
    // A day later, the next create removes it.
    client.pipe("old", &[]).failed(6);
    let path = the_kept(&client, "unsent-");
    let file = fs::File::options().append(true).open(&path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(86_500)).unwrap();
    client.with("FLASKPASTE_SERVER", &url).create("new", &[]);
    assert!(!path.exists());
}

#[test]
fn resume_does_not_ignore_a_password() {
    let server = Server::start(&[]);
    let client = Client::with_url("http://127.0.0.1:1");
    let url = format!("http://{}", server.authority());
    client.file("password", "hunter2\n");
    let resumed = |arguments: &[&str]| {
        let arguments = [&["resume", "-s", &url], arguments].concat();
        client.with("FPASTE_PASSWORD", "other").run(&arguments)
    };
    for arguments in [&[][..], &["-E"], &["--format", "1"]] {
        client.pipe("x", arguments).failed(7);
        for option in [&["-p"][..], &["--password-file", "password"]] {
            let stderr = resumed(option).failed(2);
            assert!(stderr.contains("the saved upload has no password") && stderr.contains("without -p"), "{stderr}");
        }
        the_kept(&client, "unsent-");
        resumed(&[]).succeeded();
    }
    client.pipe("sealed", &["--password-file", "password"]).failed(7);
    let stderr = resumed(&["-p"]).failed(2);
    assert!(stderr.contains("the saved upload already has its password"), "{stderr}");
    let link = resumed(&[]).succeeded().line();
    let read = client.run(&["get", "--password-file", "password", &link]).succeeded();
    assert_eq!(read.text(), "sealed");
}

#[test]
fn resume_says_once_that_the_server_is_still_down_and_what_is_kept() {
    let broken = Stub::new(|_| reply("502 Bad Gateway", "", ""));
    for down in ["http://127.0.0.1:1", &broken.url] {
        let client = Client::with_url(down);
        client.pipe("one", &[]).failed(7);
        assert!(client.run(&["resume"]).failed(7).contains("the input is still saved"));
        client.pipe("two", &[]).failed(7);
        client.pipe("three", &[]).failed(7);
        let stderr = client.run(&["resume"]).failed(7);
        assert!(stderr.contains("3 inputs are still saved") && stderr.contains("fpaste resume again"), "{stderr}");
        assert_eq!(kept(&client, "unsent-").len(), 3);
    }
}
