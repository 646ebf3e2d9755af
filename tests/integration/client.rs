//! fpaste's commands and exit codes, against a real server.

use crate::client_harness::{Client, Running};
use crate::harness::Server;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;
use std::time::{Duration, Instant};

/// The part of a link after the `#`.
fn key_of(link: &str) -> &str {
    link.split_once('#').expect("a link with a key").1
}

/// The link without its key.
fn bare(link: &str) -> &str {
    link.split('#').next().unwrap()
}

fn id_of(link: &str) -> &str {
    bare(link).rsplit('/').next().unwrap()
}

#[test]
fn uploads_round_trip_and_the_server_never_sees_the_plaintext() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    for content in [b"a secret\n".to_vec(), vec![0], (0..=255).collect(), vec![b'x'; 3_000_000]] {
        let link = client.create(&content, &["--format", "1"]);
        assert_eq!(key_of(&link).len(), 43, "{link}");
        assert_eq!(client.run(&["get", &link]).succeeded().stdout, content);
        let stored = server.get(&format!("/{}/raw", id_of(&link))).expect_status(200).body;
        assert_eq!(stored.len(), content.len() + 28);
        assert!(content.len() < 9 || !stored.windows(9).any(|window| window == &content[..9]));
        assert!(!server.log().contains(key_of(&link)));
    }
}

#[test]
fn ids_urls_and_links_all_identify_a_paste() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let link = client.create("x", &[]);
    let (key, id) = (key_of(&link), id_of(&link));
    for name in [link.clone(), format!("{}/raw#{key}", bare(&link)), format!("{id}#{key}")] {
        assert_eq!(client.run(&["get", &name]).succeeded().text(), "x", "{name}");
    }
    assert_eq!(client.pipe(format!("{link}\n"), &["get", "-"]).succeeded().text(), "x");
    // A bare ID is looked up on the server it was created on, but --server overrides that.
    let name = format!("{id}#{key}");
    let moved = client.with("FLASKPASTE_SERVER", "http://127.0.0.1:1");
    assert_eq!(moved.run(&["get", &name]).succeeded().text(), "x");
    moved.run(&["get", &name, "-s", "http://127.0.0.1:1"]).failed(7);
    // Without the key the server returns nothing; of a paste in format 1, the ciphertext.
    assert!(client.run(&["get", id]).failed(2).contains("the link has no key"));
    let old = client.create("x", &["--format", "1"]);
    assert_eq!(client.run(&["get", id_of(&old)]).succeeded().stdout.len(), 29);
}

#[test]
fn create_prints_the_requested_output() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let base = format!("http://{}", server.authority());
    assert!(client.create("a", &[]).starts_with(&base));
    let raw = client.create("b", &["-r"]);
    assert!(bare(&raw).ends_with("/raw") && key_of(&raw).len() == 43, "{raw}");
    assert_eq!(client.run(&["get", &raw]).succeeded().text(), "b");
    let quiet = client.pipe("c", &["-q"]).succeeded();
    assert!(quiet.stderr.is_empty());
    assert_eq!(client.run(&["get", &quiet.line()]).succeeded().text(), "c");
    let json = client.pipe("d", &["-j", "-b"]).succeeded().json();
    assert_eq!((&json["burn_after_read"], &json["size"]), (&true.into(), &328.into()));
    assert_eq!(client.run(&["get", json["link"].as_str().unwrap()]).succeeded().text(), "d");
    let qr = client.pipe("e", &["--qr"]).succeeded();
    assert!(qr.line().starts_with(&base) && qr.stderr.contains('█'), "{}", qr.stderr);
}

#[test]
fn create_prints_the_public_url() {
    let server =
        Server::start(&[("FLASKPASTE_PUBLIC_URL", "https://paste.example.org"), ("FLASKPASTE_URL_PREFIX", "/p")]);
    let client = Client::with_url(&format!("http://{}/p/", server.authority()));
    let link = client.create("x", &[]);
    assert!(link.starts_with("https://paste.example.org/p/"), "{link}");
    let id = format!("{}#{}", id_of(&link), key_of(&link));
    assert_eq!(client.run(&["get", &id]).succeeded().text(), "x");
}

#[test]
fn plain_pastes_keep_their_type() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let link = client.create("a,b\n", &["-E", "-t", "text/csv"]);
    assert!(!link.contains('#'));
    server.get(&format!("/{}/raw", id_of(&link))).expect_status(200).expect_header("Content-Type", "text/csv");
    assert_eq!(client.run(&["get", &link]).succeeded().text(), "a,b\n");
    assert!(client.pipe("{}", &["-E", "-t", "application/json"]).failed(2).contains("hint: leave out --type"));
    let json = client.create(r#"{"content":"no"}"#, &["-E"]);
    assert_eq!(client.run(&["get", &json]).succeeded().text(), r#"{"content":"no"}"#);
}

#[test]
fn one_reader_wins_a_burn_paste() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let link = client.create("once", &["-b"]);
    // A read that cannot succeed does not consume it.
    client.run(&["get", &link[..link.len() - 1]]).failed(2);
    assert!(client.run(&["get", &link, "-o", "no/such/folder/file"]).failed(2).contains("no such folder"));
    client.run(&["get", &link, "-o", ""]).failed(2);
    client.run(&["get", &link, "-o", "."]).failed(2);
    assert!(client.run(&["get", "-m", &link]).succeeded().text().contains("burns     yes"));
    assert_eq!(client.run(&["get", &link]).succeeded().text(), "once");
    assert!(client.run(&["get", &link]).failed(3).contains("hint: "));
    assert_eq!(client.run(&["list", "--json"]).succeeded().json(), serde_json::json!([]));
}

#[test]
fn passwords_are_read_from_the_environment_or_a_file() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    for password in ["correct horse", "pässwörd 🔑", " blank at the ends "] {
        client.file("password", format!("{password}\nsecond line\n"));
        let link = client.create("x", &["--password-file", "password"]);
        assert_eq!(client.with("FPASTE_PASSWORD", password).run(&["get", "-p", &link]).succeeded().text(), "x");
        assert!(client.run(&["get", &link]).failed(4).contains("hint: use -p"));
        client.with("FPASTE_PASSWORD", "wrong").run(&["get", "-p", &link]).failed(4);
        assert!(!std::fs::read_to_string(client.history()).unwrap().contains(password));
    }
    // No prompt possible, and no password given.
    client.pipe("x", &["-p"]).failed(2);
    client.file("empty", "\n");
    client.pipe("x", &["--password-file", "empty"]).failed(2);
    client.pipe("x", &["--password-file", "missing"]).failed(2);
}

#[test]
fn lifetimes_reach_the_server() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    for (text, seconds) in [("90", 90), ("30m", 1800), ("12h", 43_200), ("7d", 604_800), ("36500d", 2_592_000)] {
        let run = client.pipe("x", &["-j", "-x", text]).succeeded();
        let json = run.json();
        let lifetime = json["expires_at"].as_u64().unwrap() - json["created_at"].as_u64().unwrap();
        assert_eq!(lifetime, seconds, "{text}");
    }
    client.pipe("x", &["-x", "0"]).failed(2);
}

#[test]
fn delete_uses_and_updates_the_history() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let links: Vec<String> = (0..3).map(|n| client.create(format!("{n}"), &[])).collect();
    assert_eq!(client.run(&["list", "--json"]).succeeded().json().as_array().unwrap().len(), 3);
    let run = client.run(&["delete", &links[0], id_of(&links[1])]).succeeded();
    assert_eq!(run.text(), format!("deleted {}\ndeleted {}\n", id_of(&links[0]), id_of(&links[1])));
    client.run(&["get", &links[0]]).failed(3);
    let left = client.run(&["list", "--json"]).succeeded().json();
    assert_eq!(left[0]["id"].as_str(), Some(id_of(&links[2])));
    assert!(left[0].get("delete_token").is_none());
    // Another client has no token.
    assert!(Client::new(&server).run(&["delete", &links[2]]).failed(4).contains("history"));
    // The first failure sets the exit code; the others are still tried.
    let run = client.run(&["delete", "abcd1234", &links[2]]);
    assert_eq!((run.code, run.text()), (Some(4), format!("deleted {}\n", id_of(&links[2]))));
}

#[test]
fn an_owner_deletes_without_a_history() {
    let server = Server::start(&[]);
    let owner = "ab".repeat(20);
    let client = Client::new(&server).with("FLASKPASTE_CERT_SHA1", &owner);
    let link = client.create("x", &[]);
    let elsewhere = Client::new(&server).with("FLASKPASTE_CERT_SHA1", &owner);
    assert!(elsewhere.run(&["info"]).succeeded().text().contains("authenticated"));
    assert!(elsewhere.run(&["get", "-m", &link]).succeeded().text().contains(&owner));
    elsewhere.run(&["delete", &link]).succeeded();
    Client::new(&server).with("FLASKPASTE_CERT_SHA1", "12:34").run(&["info"]).failed(2);
}

#[test]
fn the_history_is_private_and_its_failure_never_loses_the_url() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let link = client.create("x", &[]);
    let mode = std::fs::metadata(client.history()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = std::fs::read_to_string(client.history()).unwrap();
    assert!(text.contains(id_of(&link)) && !text.contains(key_of(&link)), "{text}");
    // Damaged: a warning, and the valid lines are listed.
    std::fs::write(client.history(), format!("nonsense\n{text}")).unwrap();
    let run = client.run(&["list"]).succeeded();
    assert!(run.stderr.contains("warning") && run.text().contains(id_of(&link)), "{}", run.stderr);
    // A folder in its place: nothing can be written, and the link is still printed.
    std::fs::remove_file(client.history()).unwrap();
    std::fs::create_dir(client.history()).unwrap();
    let run = client.pipe("y", &["-"]).succeeded();
    assert!(run.line().contains('#') && run.stderr.contains("warning"), "{}", run.stderr);
    // Off.
    let quiet = Client::new(&server);
    quiet.configure("history = off\n");
    quiet.create("z", &[]);
    assert!(!quiet.history().exists());
}

/// Creates a paste, which must print its link without waiting for the obstacle to the history; its warning.
#[track_caller]
fn warned(client: &Client, arguments: &[&str]) -> String {
    let started = Instant::now();
    let run = client.pipe("x", arguments).succeeded();
    assert!(run.line().contains('#') && run.stderr.contains("fpaste: warning: "), "{}", run.stderr);
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    run.stderr
}

#[test]
fn a_foreign_file_in_place_of_the_history_is_not_modified() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let target = client.file("target", "somebody else's\n");
    std::fs::set_permissions(&target, PermissionsExt::from_mode(0o644)).unwrap();
    client.create("x", &[]);
    let replace = |path: &std::path::Path| {
        std::fs::remove_file(path).unwrap();
        std::os::unix::fs::symlink(&target, path).unwrap();
    };
    replace(&client.history());
    assert!(warned(&client, &[]).contains("history.jsonl is a symbolic link"));
    assert!(client.run(&["list"]).succeeded().stderr.contains("is a symbolic link"));
    std::fs::remove_file(client.history()).unwrap();
    replace(&client.state().join("history.lock"));
    assert!(warned(&client, &[]).contains("history.lock is a symbolic link"));
    let metadata = std::fs::metadata(&target).unwrap();
    assert_eq!((metadata.permissions().mode() & 0o777, metadata.len()), (0o644, 16));
    // A pipe with no writer and no reader.
    std::fs::remove_file(client.state().join("history.lock")).unwrap();
    let pipe = Command::new("sh").args(["-c", "mkfifo \"$0\""]).arg(client.history()).status().unwrap();
    assert!(pipe.success() && warned(&client, &[]).contains("not a regular file"));
    assert!(client.run(&["list"]).succeeded().stderr.contains("not a regular file"));
}

#[test]
fn each_refusal_has_its_exit_code() {
    let server = Server::start(&[
        ("FLASKPASTE_MAX_ANON", "1000"),
        ("FLASKPASTE_DEDUP_MAX", "1"),
        ("FLASKPASTE_MIN_ENTROPY", "4"),
    ]);
    let client = Client::new(&server);
    assert!(client.pipe(vec![1; 2000], &["-"]).failed(5).contains("hint: "));
    // Large input is checked against the limit before it is read to the end.
    client.pipe(vec![1; 20_000_000], &["-"]).failed(5);
    client.pipe("a".repeat(500), &["-E"]).failed(5);
    client.pipe("same", &["-E"]).succeeded();
    client.pipe("same", &["-E"]).failed(6);
    client.run(&["get", "abcd1234"]).failed(3);
    client.run(&["-s", "http://127.0.0.1:1", "info"]).failed(7);
    client.run(&["-s", "http://no.such.host.invalid", "info"]).failed(7);
}

#[test]
fn a_wrong_key_or_truncated_data_outputs_nothing() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let (link, other) = (client.create("x".repeat(1000), &["--format", "1"]), client.create("y", &[]));
    let wrong = format!("{}#{}", bare(&link), key_of(&other));
    assert!(client.run(&["get", &wrong]).failed(8).contains("hint: "));
    client.run(&["get", &wrong, "-o", "out"]).failed(8);
    for length in [0, 27, 500] {
        let stored = server.get(&format!("/{}/raw", id_of(&link))).expect_status(200).body;
        let cut = server.paste([&stored[..length], b"!"].concat());
        client.run(&["get", "-o", "out", &format!("{}#{}", cut.id, key_of(&link))]).failed(8);
    }
    // The home contains no half-written file.
    let names: Vec<_> =
        std::fs::read_dir(client.home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| name.to_str().unwrap() == ".local"), "{names:?}");
}

#[test]
fn output_files_are_written_atomically() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let link = client.create("content", &[]);
    let old = client.file("old", "old");
    std::fs::set_permissions(&old, PermissionsExt::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink(&old, client.home.join("link")).unwrap();
    client.run(&["get", "-o", "link", &link]).succeeded();
    assert_eq!(std::fs::read_to_string(&old).unwrap(), "content");
    assert_eq!(std::fs::metadata(&old).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(client.home.join("link").is_symlink());
    client.run(&["get", "-o", "old", "abcd1234"]).failed(3);
    assert_eq!(std::fs::read_to_string(&old).unwrap(), "content");
    assert_eq!(client.run(&["get", "-o", "-", &link]).succeeded().text(), "content");
    client.run(&["get", "-o", "/dev/null", &link]).succeeded();
}

/// Devices and descriptors are written to in place; replacing them would lose the output.
#[test]
fn devices_and_descriptors_are_written_in_place() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let link = client.create("content", &[]);
    let onto = |name: &str, before: &str| {
        let path = client.file("target", before);
        let inode = std::fs::metadata(&path).unwrap().ino();
        let script = format!("(echo first; \"$0\" get -o {name} '{link}'; echo last) >> target 3>&1");
        let mut command = Command::new("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_fpaste")]).env("HOME", client.home.path());
        assert!(command.current_dir(client.home.path()).status().unwrap().success(), "{name}");
        assert_eq!(std::fs::metadata(&path).unwrap().ino(), inode, "{name}");
        std::fs::read_to_string(path).unwrap()
    };
    std::os::unix::fs::symlink("/dev/stdout", client.home.join("out")).unwrap();
    for name in ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "/dev/fd/3", "out", "target"] {
        assert_eq!(onto(name, "before\n"), "before\nfirst\ncontentlast\n", "{name}");
    }
    assert!(client.home.join("out").is_symlink());
    assert!(client.run(&["get", "-o", "/dev/no-such-device", &link]).failed(2).contains("cannot write"));
    client.run(&["get", "-o", "/dev/fd/77", &link]).failed(2);
}

#[test]
fn a_dangling_symlink_is_written_through() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let link = client.create("content", &["-b"]);
    let symlink = |target: &str, name: &str| std::os::unix::fs::symlink(target, client.home.join(name)).unwrap();
    symlink("circle", "circle");
    symlink("no/such/folder", "astray");
    for name in ["circle", "astray"] {
        client.run(&["get", "-o", name, &link]).failed(2);
    }
    symlink("second", "first");
    symlink("third", "second");
    client.run(&["get", "-o", "first", &link]).succeeded();
    assert!(client.home.join("first").is_symlink() && client.home.join("second").is_symlink());
    assert_eq!(std::fs::read_to_string(client.home.join("third")).unwrap(), "content");
}

#[test]
fn a_closed_stdout_fails_before_anything_is_sent() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let link = client.create("once", &["-b"]);
    client.file("input", "x");
    let with = |redirection: &str, arguments: &str| {
        let script = format!("exec \"$0\" {arguments} {redirection}");
        let mut shell = Command::new("sh");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_fpaste")]).current_dir(client.home.path()).env_clear();
        shell.envs(client.command(&[]).get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = shell.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for redirection in [">&-", "1< input"] {
        for arguments in ["input", "list", &format!("get '{link}'"), &format!("get -o /dev/stdout '{link}'")] {
            let (code, stderr) = with(redirection, arguments);
            assert!(code == Some(1) && stderr.contains("standard output is closed"), "{arguments}: {code:?} {stderr}");
        }
    }
    assert_eq!(client.run(&["list", "--json"]).succeeded().json().as_array().unwrap().len(), 1);
    assert_eq!(with("> /dev/null", "list").0, Some(0));
    assert_eq!(with(">&-", &format!("get -o out '{link}'")), (Some(0), String::new()));
    assert_eq!(std::fs::read_to_string(client.home.join("out")).unwrap(), "once");
}

/// A certificate and its key belong together, even if another process makes a pair at the same time.
#[test]
fn a_certificate_and_its_key_are_written_together_or_not_at_all() {
    let client = Client::with_url("https://127.0.0.1:1");
    let arguments = ["cert", "-c", "secp256r1", "-o", "pair"];
    let all_at_once = |more: &[&str]| {
        let arguments = [&arguments, more].concat();
        let children: Vec<_> = (0..6).map(|_| Running::start(&mut client.command(&arguments))).collect();
        children.into_iter().filter_map(|mut child| child.wait().unwrap().success().then_some(())).count()
    };
    let pair =
        client.with("FLASKPASTE_CLIENT_CERT", "pair/client.crt").with("FLASKPASTE_CLIENT_KEY", "pair/client.key");
    for _ in 0..5 {
        assert_eq!(all_at_once(&["--force"]), 6);
        // They are checked before anything is sent; exit code 2 if they do not match.
        pair.run(&["info"]).failed(7);
    }
    let read = |name: &str| std::fs::read(client.home.join(&format!("pair/{name}"))).unwrap();
    let key = read("client.key");
    assert_eq!(all_at_once(&[]), 0);
    // If one cannot be replaced, the other stays as it was.
    std::fs::remove_file(client.home.join("pair/client.crt")).unwrap();
    std::fs::create_dir(client.home.join("pair/client.crt")).unwrap();
    client.run(&[&arguments[..], &["--force"]].concat()).failed(2);
    assert_eq!(read("client.key"), key);
    assert_eq!(std::fs::read_dir(client.home.join("pair")).unwrap().count(), 2);
    std::fs::remove_dir_all(client.home.join("pair")).unwrap();
    assert_eq!(all_at_once(&[]), 1);
    pair.run(&["info"]).failed(7);
}

#[test]
fn bad_input_gets_one_clear_error() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    client.file("empty", "");
    std::fs::create_dir(client.home.join(".config")).unwrap();
    for (arguments, named) in [
        (&["nosuchfile"][..], "nosuchfile: no such file"),
        (&["create", "-E", "."], "is a directory"),
        (&["create", ".config"], "no files found"),
        (&["empty"], "is empty"),
        (&["empty/below"], "cannot read empty/below: not a directory"),
        (&["--password-file", "nosuchfile", "empty"], "nosuchfile: no such file or directory"),
        (&["-"], "is empty"),
        (&["get", "not-a-paste"], "invalid paste ID \"not-a-paste\""),
        (&["get", "abcd1234#short"], "invalid key"),
        (&["get", "ftp://x/abcd1234"], "https://"),
        (&["-s", "nonsense", "info"], "https://"),
        (&["frobnicate", "it"], "frobnicate: no such file"),
        (&["-E", "frobnicate", "it"], "if \"frobnicate\" was meant as a command"),
        (&["--frobnicate"], "unknown option --frobnicate"),
    ] {
        let stderr = client.run(arguments).failed(2);
        assert!(stderr.contains(named) && !stderr.contains("os error"), "{arguments:?}: {stderr}");
    }
    client.configure("sever = x\n");
    assert!(client.run(&["info"]).failed(2).contains("line 1: unknown key \"sever\""));
    client.configure("");
    std::fs::remove_file(client.home.join(".config/fpaste/config")).unwrap();
    std::fs::create_dir(client.home.join(".config/fpaste/config")).unwrap();
    assert!(client.run(&["info"]).failed(2).contains("not a regular file"));
}

#[test]
fn proof_of_work_is_solved() {
    let server = Server::start(&[("FLASKPASTE_POW_DIFFICULTY", "14"), ("FLASK_ENV", "production")]);
    let client = Client::new(&server);
    let link = client.create("x", &[]);
    assert_eq!(client.run(&["get", &link]).succeeded().text(), "x");
}

#[test]
fn info_shows_the_limits() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let text = client.run(&["info"]).succeeded().text();
    let expected = format!(
        "address         http://{}\nserver          flaskpaste {}\nyou are         anonymous\nmaximum size    3.00 MiB\n\
         expiry          5d after the last read\nmaximum expiry  30d\nproof of work   none\n",
        server.authority(),
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(text, expected);
    assert_eq!(client.run(&["info", "--json"]).succeeded().json()["name"], "FlaskPaste");
}

#[test]
fn localhost_reaches_a_server_bound_to_one_address_family() {
    let server = Server::start(&[]);
    let port = server.authority().rsplit(':').next().unwrap().to_owned();
    let client = Client::with_url(&format!("http://localhost:{port}"));
    assert!(client.create("x", &[]).starts_with(&format!("http://localhost:{port}/")));
    let elsewhere = Server::start(&[("FLASKPASTE_BIND", "[::1]:0")]);
    let port = elsewhere.authority().rsplit(':').next().unwrap().to_owned();
    Client::with_url(&format!("http://localhost:{port}")).create("x", &[]);
}

#[test]
fn the_server_serves_the_client_binary() {
    // It is installed next to the server.
    let server = Server::start(&[]);
    let binary = server.get("/client").expect_status(200).body;
    assert_eq!(binary, std::fs::read(env!("CARGO_BIN_EXE_fpaste")).unwrap());
}

/// Tests that take seconds; `make test-quick` skips them.
mod slow {
    use super::*;

    #[test]
    fn after_printing_the_link_every_wait_has_a_timeout() {
        let server = Server::start(&[]);
        let client = Client::new(&server);
        client.create("x", &[]);
        let lock = std::fs::File::open(client.state().join("history.lock")).unwrap();
        lock.lock().unwrap();
        assert!(warned(&client, &[]).contains("it is locked by another program"));
        drop(lock);
        // A clipboard program that never ends, and one that takes the link.
        let program = |name: &str, script: &str| {
            std::fs::create_dir_all(client.home.join("bin")).unwrap();
            let path = client.file(&format!("bin/{name}"), format!("#!/bin/sh\n{script}\n"));
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
        };
        program("xclip", "exec sleep 300");
        let path = format!("{}:/usr/bin:/bin", client.home.join("bin").display());
        let person = client.with("PATH", &path).with("DISPLAY", ":99");
        assert!(warned(&person, &["-c"]).contains("cannot copy to the clipboard"));
        program("xsel", &format!("cat > {}", client.home.join("copied").display()));
        let link = person.create("x", &["-c"]);
        assert_eq!(std::fs::read_to_string(client.home.join("copied")).unwrap(), link);
    }
}
