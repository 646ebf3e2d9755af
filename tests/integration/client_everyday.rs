//! Everyday use of fpaste: links, servers, lists, clipboards, and messages.

use crate::client_harness::{Client, Running};
use crate::client_network::{Stub, accepting, reply};
use crate::harness::{SOON, Server, unix_now, wait_until};
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

/// The part of a link that identifies the paste.
fn id_of(link: &str) -> &str {
    link.split('#').next().unwrap().trim_end_matches("/raw").rsplit('/').next().unwrap()
}

fn url_of(server: &Server) -> String {
    format!("http://{}", server.authority())
}

/// Writes a program into the folder `bin` of the home.
fn program(client: &Client, name: &str, script: &str) {
    fs::create_dir_all(client.home.join("bin")).unwrap();
    let path = client.file(&format!("bin/{name}"), format!("#!/bin/sh\n{script}\n"));
    fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
}

fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_bare_link_argument_reads_the_paste() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let link = client.create("read me", &[]);
    assert_eq!(client.run(&[&link]).succeeded().text(), "read me");
    client.run(&[&link, "-o", "out"]).succeeded();
    assert_eq!(fs::read_to_string(client.home.join("out")).unwrap(), "read me");
    // Options may come first.
    client.run(&["-o", "second", &link]).succeeded();
    assert!(client.run(&["-m", &link]).succeeded().text().contains("burns     no"));
    let secret = client.with("FPASTE_PASSWORD", "hunter2");
    let link_with_password = secret.create("x", &["-p"]);
    assert_eq!(secret.run(&["-p", &link_with_password]).succeeded().text(), "x");
    // With `create`, the argument is a file.
    assert!(client.run(&["create", &link]).failed(2).contains("no such file"));
}

#[test]
fn a_link_read_from_a_pipe_is_one_line() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let link = client.create("x", &[]);
    // The pipe stays open: fpaste does not wait for its end.
    let mut child = Running::start(client.command(&["get", "-"]).stdin(Stdio::piped()));
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(format!("{link}\n").as_bytes()).unwrap();
    assert_eq!(child.code(), Some(0));
    // The remaining input is left for the next program.
    client.file("lines", format!("{link}\nsecond\n"));
    let output = client.shell("(\"$FPASTE\" get -; cat) < lines").output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "xsecond\n");
}

#[test]
fn the_server_command_saves_only_flaskpaste_servers() {
    let server = Server::start(&[]);
    let person = Client::with_url("");
    let url = url_of(&server);
    let run = person.run(&["server", &format!("{url}/")]).succeeded();
    let file = person.home.join(".config/fpaste/config");
    assert!(run.line().contains(&url) && run.line().contains(file.to_str().unwrap()), "{}", run.line());
    assert_eq!((fs::read_to_string(&file).unwrap(), mode_of(&file)), (format!("server = {url}\n"), 0o600));
    assert!(person.create("x", &[]).starts_with(&url));
    // The other lines and the mode are kept.
    let old = "# mine\n# server = none\nhistory = on\nserver = http://127.0.0.1:1\n# the end\n";
    person.configure(old);
    fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
    person.run(&["server", &url]).succeeded();
    let expected = old.replace("http://127.0.0.1:1", &url);
    assert_eq!((fs::read_to_string(&file).unwrap(), mode_of(&file)), (expected.clone(), 0o640));
    // A server that is not flaskpaste is not saved.
    let elsewhere = Stub::new(|_| reply("200 OK", "", r#"{"name":"Other"}"#));
    let moved = Stub::new(|_| reply("301 Moved", "Location: https://paste.example.org/p/\r\n", ""));
    let led = Stub::new({
        let url = url.clone();
        move |_| reply("302 Found", &format!("Location: {url}/\r\n"), "")
    });
    assert!(person.run(&["server", &elsewhere.url]).failed(1).contains("does not look like a flaskpaste server"));
    assert!(person.run(&["server", &led.url]).failed(1).contains(&format!("run fpaste server {url}")));
    person.run(&["server", &moved.url]).failed(7);
    person.run(&["server", "http://127.0.0.1:1"]).failed(7);
    person.run(&["server", "paste.example.org"]).failed(2);
    assert_eq!(fs::read_to_string(&file).unwrap(), expected);
    // A wrong entry can be corrected.
    person.configure("server = nonsense\n");
    person.run(&["server", &url]).succeeded();
    assert_eq!(fs::read_to_string(&file).unwrap(), format!("server = {url}\n"));
    let set = person.with("FLASKPASTE_SERVER", "http://127.0.0.1:1").run(&["server", &url]).succeeded();
    assert!(set.stderr.contains("warning: FLASKPASTE_SERVER is set"), "{}", set.stderr);
    assert!(person.with("HOME", "").run(&["server", &url]).failed(2).contains("HOME is not set"));
}

#[test]
fn connection_errors_name_the_source_of_the_address() {
    let client = Client::with_url("");
    // Whether the default address has a server is unknown here.
    client.configure("# mine\nserver = http://127.0.0.1:1\n");
    let hint = client.run(&["info"]).failed(7);
    let file = client.home.join(".config/fpaste/config");
    assert!(hint.contains(&format!("{} line 2", file.display())) && hint.contains("fpaste server URL"), "{hint}");
    let hint = client.with("FLASKPASTE_SERVER", "http://no.such.host.invalid").run(&["info"]).failed(7);
    assert!(hint.contains("from FLASKPASTE_SERVER"), "{hint}");
    // The source of an address typed on the command line is obvious.
    for arguments in [&["info", "-s", "http://127.0.0.1:2"][..], &["get", "http://127.0.0.1:2/abcd1234"]] {
        let hint = client.run(arguments).failed(7);
        assert!(hint.contains("whether the server is running") && !hint.contains("fpaste server"), "{hint}");
    }
}

#[test]
fn without_a_home_the_history_is_skipped_without_an_error() {
    let server = Server::start(&[]);
    let client = Client::new(&server).with("HOME", "");
    let client = client.with("TMPDIR", client.home.path().to_str().unwrap());
    let run = client.pipe("x", &[]).succeeded();
    assert!(
        run.stderr.contains("warning: HOME is not set: no configuration file is read and no history"),
        "{}",
        run.stderr
    );
    assert_eq!(client.run(&["get", &run.line()]).succeeded().text(), "x");
    assert_eq!(client.run(&["list", "--json"]).succeeded().json(), serde_json::json!([]));
    client.run(&["resume"]).failed(2);
    assert!(client.run(&["cert"]).failed(2).contains("-o DIR"));
    client.run(&["cert", "-c", "secp256r1", "-o", "pair"]).succeeded();
    assert!(client.run(&["cert", "-c", "secp256r1", "-o", "two", "--configure"]).failed(2).contains("HOME"));
    // A completed read is recorded in a folder of our own; piped data is reported as lost.
    let link = client.create("x", &["-b"]);
    assert!(client.run(&["get", "-o", "/dev/full", &link]).failed(1).contains("to resume this read"));
    assert_eq!(client.run(&["get", &link]).succeeded().text(), "x");
    let broken = Stub::new(|line| if line.starts_with("POST") { reply("502 No", "", "") } else { accepting(line) });
    let stderr = client.with("FLASKPASTE_SERVER", &broken.url).pipe("x", &[]).failed(7);
    assert!(stderr.contains("could not be saved: HOME is not set"), "{stderr}");
}

#[test]
fn fpaste_password_opens_a_paste_without_an_option() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let link = client.with("FPASTE_PASSWORD", "hunter2").create("x", &["-p"]);
    assert_eq!(client.with("FPASTE_PASSWORD", "hunter2").run(&["get", &link]).succeeded().text(), "x");
    client.with("FPASTE_PASSWORD", "wrong").run(&["get", &link]).failed(4);
    client.run(&["get", &link]).failed(4);
    // The secret is shown only if it is requested by name.
    let open = Stub::new(accepting);
    Client::with_url(&open.url).with("FPASTE_PASSWORD", "hunter2").run(&["get", "abcd1234"]).succeeded();
    assert!(!open.heads().contains("hunter2"), "{}", open.heads());
    // Nor is it sent to another server that says it needs one.
    let foreign =
        Stub::new(|_| reply("401 Unauthorized", "", r#"{"error":"A password, please.","code":"password_required"}"#));
    let with_password = client.with("FPASTE_PASSWORD", "hunter2");
    with_password.run(&["get", &format!("{}/abcd1234", foreign.url)]).failed(4);
    assert!(!foreign.heads().contains("hunter2"), "{}", foreign.heads());
}

#[test]
fn a_dangling_configuration_symlink_is_written_through() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let folder = client.home.join(".config/fpaste");
    std::fs::create_dir_all(&folder).unwrap();
    std::os::unix::fs::symlink("../dotfile", folder.join("config")).unwrap();
    client.run(&["server", &format!("http://{}", server.authority())]).succeeded();
    assert!(std::fs::read_link(folder.join("config")).is_ok());
    assert!(std::fs::read_to_string(client.home.join(".config/dotfile")).unwrap().contains("server = "));
}

#[test]
fn a_password_is_read_from_stdin_when_stdin_is_free() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    client.file("input", "x");
    let link = client.pipe("hunter2\r\nsecond\n", &["input", "--password-file", "-"]).succeeded().line();
    assert_eq!(client.pipe("hunter2", &["get", "--password-file", "-", &link]).succeeded().text(), "x");
    client.pipe("wrong\n", &["get", "--password-file", "-", &link]).failed(4);
    client.pipe("\n", &["get", "--password-file", "-", &link]).failed(2);
    for arguments in
        [&["--password-file", "-"][..], &["-", "--password-file", "-"], &["get", "-", "--password-file", "-"]]
    {
        let stderr = client.pipe("x\n", arguments).failed(2);
        assert!(stderr.contains("standard input cannot be both"), "{stderr}");
    }
}

#[test]
fn a_clamped_expiry_is_a_warning() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    for form in ["-q", "-j", "-r"] {
        let stderr = client.pipe("x", &["-x", "60d", form]).succeeded().stderr;
        assert_eq!(stderr, "fpaste: warning: it expires in 30d, the maximum of this server, instead of 60d\n");
    }
    let run = client.pipe("x", &["-x", "1h30m", "-j"]).succeeded();
    assert_eq!(run.json()["expires_at"].as_u64().unwrap() - run.json()["created_at"].as_u64().unwrap(), 5400);
    assert_eq!(run.stderr, "");
}

#[test]
fn a_417_response_is_retried_once_without_expect() {
    let server = Stub::with_heads(|head| match head {
        head if head.to_ascii_lowercase().contains("\nexpect:") => reply("417 Expectation Failed", "", ""),
        head => accepting(head.lines().next().unwrap()),
    });
    Client::with_url(&server.url).pipe(vec![b'x'; 2_000_000], &[]).succeeded();
    assert_eq!(server.heads().matches("post / ").count(), 2);
    // Only once: a second refusal is final.
    let stubborn = Stub::new(|line| if line.starts_with("POST") { reply("417 No", "", "") } else { accepting(line) });
    Client::with_url(&stubborn.url).pipe(vec![b'x'; 2_000_000], &[]).failed(1);
    assert_eq!(stubborn.heads().matches("post / ").count(), 2);
}

/// The server's hints are for curl; fpaste words them for its own users.
#[test]
fn hints_do_not_mention_http() {
    let codes = [
        "bad_request",
        "no_content",
        "invalid_json",
        "invalid_expiry",
        "invalid_id",
        "too_large",
        "entropy_too_low",
        "duplicate",
        "pow_required",
        "pow_invalid",
        "pow_expired",
        "pow_reused",
        "password_required",
        "password_wrong",
        "throttled",
        "auth_required",
        "permission_denied",
        "method_not_allowed",
        "range_not_satisfiable",
        "expectation_failed",
        "busy",
        "internal",
    ];
    for code in codes {
        let body = format!(r#"{{"error":"No.","code":"{code}","hint":"Send X-Header.","request_id":"r-1"}}"#);
        let server = Stub::new(move |_| reply("400 Bad Request", "Retry-After: 90\r\n", &body));
        let stderr = Client::with_url(&server.url).run(&["info"]);
        let hint = stderr.stderr.lines().find(|line| line.starts_with("fpaste: hint: ")).unwrap();
        assert!(!hint.contains("X-") && !hint.contains("Retry-After"), "{code}: {hint}");
        let expected = match code {
            "duplicate" => "fpaste list",
            "throttled" | "busy" => "try again in 1m 30s",
            "password_required" => "use -p",
            "internal" => "request r-1",
            "entropy_too_low" => "-E",
            _ => "",
        };
        assert!(hint.contains(expected), "{code}: {hint}");
    }
    // Unknown hints pass unless they mention HTTP.
    for (code, hint, shown) in [
        ("not_found", "GET / lists every route.", "check the address"),
        ("new_one", "Send X-New: 1.", "check the address"),
        ("new_one", "Ask for more.", "ask for more\n"),
    ] {
        let body = format!(r#"{{"error":"No.","code":"{code}","hint":"{hint}"}}"#);
        let server = Stub::new(move |_| reply("400 Bad Request", "", &body));
        let stderr = Client::with_url(&server.url).run(&["info"]).failed(1);
        assert!(stderr.contains(&format!("hint: {shown}")), "{code}: {stderr}");
    }
    // Every error code of the server except those whose hints suit any client.
    let source = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/api.md")).unwrap();
    for code in codes {
        assert!(source.contains(&format!("`{code}`")) || source.contains(&format!("\"{code}\"")), "{code}");
    }
}

#[test]
fn list_shows_names_sizes_and_hosts() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let path = client.file("a name\x1b[2J.txt", vec![b'x'; 3000]);
    assert!(client.run(&[path.to_str().unwrap()]).failed(2).contains("--no-name"));
    let link = client.run(&[path.to_str().unwrap(), "-x", "1h", "--no-name"]).succeeded().line();
    client.create("piped", &["-E"]);
    let text = client.run(&["list"]).succeeded().text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[0].split_whitespace().collect::<Vec<_>>(),
        ["ID", "AGE", "EXPIRES", "SIZE", "FLAGS", "HOST", "NAME"]
    );
    assert!(lines[1].starts_with(id_of(&link)) && lines[1].contains(" 2.93 KiB  -"), "{text}");
    assert!(lines[1].ends_with(&format!(" {}  a name\u{fffd}[2J.txt", server.authority())), "{text}");
    assert!(
        lines[2].contains(" 5 B ") && lines[2].contains("plain, extended by reads") && lines[2].ends_with(" -"),
        "{text}"
    );
    let json = client.run(&["list", "--json"]).succeeded().json();
    assert_eq!((&json[0]["size"], &json[1]["name"]), (&3000.into(), &serde_json::Value::Null));
    // The server does not see the name.
    assert!(!server.get(&format!("/{}", id_of(&link))).text().contains("a name"));
}

/// Writes a history with one paste created and expiring this long ago.
fn made(client: &Client, id: &str, seconds_ago: u64, lifetime: u64, slides: bool) {
    let created_at = unix_now() - seconds_ago;
    let expires_at = created_at + lifetime;
    let line = format!(
        r#"{{"id":"{id}","server":"http://127.0.0.1:1","url":"http://127.0.0.1:1/{id}","delete_token":"t","created_at":{created_at},"expires_at":{expires_at},"slides":{slides}}}"#
    );
    fs::create_dir_all(client.state()).unwrap();
    let mut file = fs::File::options().append(true).create(true).open(client.history()).unwrap();
    writeln!(file, "{line}").unwrap();
}

#[test]
fn list_keeps_pastes_that_may_still_exist() {
    let client = Client::with_url("http://127.0.0.1:1");
    let day = 86_400;
    made(&client, "aaaa1111", 9 * day, 5 * day, true);
    made(&client, "bbbb2222", day, 5 * day + 100, true);
    made(&client, "cccc3333", 9 * day, 5 * day, false);
    made(&client, "dddd4444", 200 * day, 5 * day, true);
    let text = client.run(&["list"]).succeeded().text();
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.contains("aaaa1111  9d   unless read  -") && text.contains("bbbb2222  1d   ≥ 4d         -"), "{text}");
}

#[test]
fn a_wrong_server_clock_loses_no_token() {
    // Ten years behind, and ten years ahead.
    for created_at in [unix_now() - 315_360_000, unix_now() + 315_360_000] {
        let created = format!(
            r#"{{"id":"abcd1234","url":"/abcd1234","delete_token":"the-token","created_at":{created_at},"expires_at":{}}}"#,
            created_at + 3600
        );
        let server = Stub::new(move |line| match line {
            line if line.starts_with("POST") => reply("201 Created", "", &created),
            line => accepting(line),
        });
        let client = Client::with_url(&server.url);
        client.create("x", &["-x", "1h"]);
        let entry = &client.run(&["list", "--json"]).succeeded().json()[0];
        let left = entry["expires_at"].as_u64().unwrap() - unix_now();
        assert!((3500..=3600).contains(&left), "{entry}");
        client.run(&["delete", "abcd1234"]).succeeded();
        assert!(server.heads().contains("x-delete-token: the-token"));
    }
}

#[test]
fn completion_offers_the_ids_in_the_list() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    client.file("notes.txt", "x");
    let first = client.run(&["notes.txt"]).succeeded().line();
    let second = client.create("y", &[]);
    made(&client, "cccc3333", 9000, 5, false);
    let text = client.run(&["completions", "ids"]).succeeded().text();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.len() == 2 && lines[0].starts_with(&format!("{}\ta paste, ", id_of(&second))), "{text}");
    assert!(lines[1].starts_with(&format!("{}\tnotes.txt, ", id_of(&first))), "{text}");
    // Completion runs at every keystroke, so it contacts no server.
    drop(server);
    assert_eq!(client.run(&["completions", "ids"]).succeeded().text().lines().count(), 2);
}

#[test]
fn the_clipboard_gets_the_printed_link() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    program(&client, "xclip", &format!("cat > {}", client.home.join("copied").display()));
    let path = format!("{}:/usr/bin:/bin", client.home.join("bin").display());
    let person = client.with("PATH", &path).with("DISPLAY", ":99");
    for form in ["-r", "-q", "-j", "-c"] {
        let run = person.pipe("x", &["-c", form]).succeeded();
        assert_eq!(fs::read_to_string(client.home.join("copied")).unwrap(), run.line(), "{form}");
    }
    // Without a terminal nothing can be copied, over ssh either.
    let distant = client.with("PATH", "/nowhere").with("SSH_CONNECTION", "192.0.2.1 1 192.0.2.2 22");
    let output = distant.shell("echo x | /usr/bin/setsid -w \"$FPASTE\" -c").output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && stderr.contains("cannot copy to the clipboard"), "{stderr}");
}

#[test]
fn raw_urls_of_encrypted_pastes_get_a_note() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let told = |options: &[&str]| client.pipe("x", options).succeeded().stderr;
    assert!(told(&["-rv"]).contains("note: only fpaste get can read the raw URL of a sealed paste"));
    assert!(told(&["-rv", "--format", "1"]).contains("note: this URL returns ciphertext"));
    assert!(!told(&["-rvE"]).contains("fpaste get"));
}

#[test]
fn piped_data_is_kept_when_the_upload_is_interrupted() {
    let answers = Stub::new(|line| {
        if line.starts_with("POST") {
            // A header announcing a body, and nothing more.
            b"HTTP/1.1 201 Created\r\nContent-Length: 1000\r\nConnection: close\r\n\r\n{".to_vec()
        } else {
            accepting(line)
        }
    });
    let server = Server::start(&[]);
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let client = Client::with_url(&answers.url);
        let before = answers.heads().matches("post / ").count();
        let mut child = Running::start(client.command(&["-b"]).stdin(Stdio::piped()));
        child.stdin.take().unwrap().write_all(b"the only copy").unwrap();
        wait_until("it is being uploaded", SOON, || answers.heads().matches("post / ").count() > before);
        child.signal(signal);
        let run = child.end(&[]);
        assert!(
            run.code == Some(code) && run.stderr.contains("send it with fpaste resume"),
            "{signal}: {}",
            run.stderr
        );
        let link = client.run(&["resume", "-s", &url_of(&server)]).succeeded().line();
        assert_eq!(client.run(&["get", &link]).succeeded().text(), "the only copy");
    }
}

/// The server does not distinguish gone from foreign pastes; this machine knows what it created.
#[test]
fn a_gone_paste_is_distinguished_from_one_created_elsewhere() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let link = client.create("x", &[]);
    client.run(&["delete", &link]).succeeded();
    let stderr = client.run(&["delete", &link]).failed(3);
    assert!(stderr.contains("hint: it was already deleted"), "{stderr}");
    let elsewhere = Client::new(&server).create("x", &[]);
    for command in ["delete", "status"] {
        let stderr = client.run(&[command, &elsewhere]).failed(4);
        assert!(stderr.contains("no delete token for this paste in the history"), "{stderr}");
        assert!(stderr.contains("hint: it was created on another machine or"), "{stderr}");
    }
    client.configure("history = off\n");
    let stderr = client.run(&["delete", &link]).failed(4);
    assert!(stderr.contains("the history is off"), "{stderr}");
    // With a token or link, the server's response is shown.
    let claims = client.with("FLASKPASTE_CERT_SHA1", &"ab".repeat(20));
    assert!(!claims.run(&["delete", &link]).failed(3).contains("history"));
}

#[test]
fn status_works_for_pastes_already_read_or_deleted() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let burned = client.create("burned", &["-b"]);
    let deleted = client.create("deleted", &["-x", "1h"]);
    let lasting = client.create("lasting", &["-n", "2"]);
    client.run(&["get", &burned]).succeeded();
    client.run(&["delete", &deleted]).succeeded();
    let state = |link: &str| client.run(&["status", "--json", link]).succeeded().json()["state"].clone();
    assert_eq!((state(&burned), state(&deleted), state(&lasting)), ("read".into(), "deleted".into(), "unread".into()));
    // Only pastes that may still exist are listed.
    let listed = client.run(&["list", "--json"]).succeeded().json();
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
    assert_eq!((&listed[0]["id"], &listed[0]["reads"]), (&id_of(&lasting).into(), &2.into()));
    let text = client.run(&["list"]).succeeded().text();
    assert!(text.lines().count() == 2 && text.contains("2 reads, extended by reads"), "{text}");
    assert_eq!(client.run(&["completions", "ids"]).succeeded().text().lines().count(), 1);
    let all = client.run(&["list", "--status"]).succeeded().text();
    let line = |link: &str| all.lines().find(|line| line.starts_with(id_of(link))).unwrap().to_owned();
    assert!(line(&burned).contains("  read     ") && line(&burned).contains("  burn"), "{all}");
    assert!(line(&deleted).contains("  deleted  ") && line(&lasting).contains("  unread   "), "{all}");
    // Neither a token nor its path is shown.
    assert!(!all.contains("token"));
}

#[test]
fn an_invalid_paste_argument_is_quoted_in_the_error() {
    let client = Client::with_url("http://127.0.0.1:1");
    for (arguments, named) in [
        (&["delete", "abcd1234", "http://x/abcd1234", "zz"][..], "error: argument 3: invalid paste ID \"zz\""),
        (&["delete", "zz"], "error: invalid paste ID \"zz\""),
        (&["get", "http://x/p/zz"], "invalid paste ID \"zz\""),
        (&["delete", "abcd1234", "ftp://x/abcd1234"], "argument 2: invalid server URL"),
    ] {
        let stderr = client.run(arguments).failed(2);
        assert!(stderr.contains(named), "{arguments:?}: {stderr}");
    }
}

#[test]
fn the_server_command_does_not_suggest_another_server_when_refused() {
    let client = Client::with_url("");
    let stderr = client.run(&["server", "http://127.0.0.1:1"]).failed(7);
    assert!(stderr.contains("connection refused") && !stderr.contains("-s URL"), "{stderr}");
}

#[test]
fn info_says_whether_proof_of_work_applies_to_this_client() {
    for (required, shown) in [("true", "8 bits per paste"), ("false", "none for you; 8 bits per paste for others")] {
        let body = format!(r#"{{"name":"FlaskPaste","pow":{{"enabled":true,"required":{required},"difficulty":8}}}}"#);
        let server = Stub::new(move |_| reply("200 OK", "", &body));
        let text = Client::with_url(&server.url).run(&["info"]).succeeded().text();
        assert!(text.lines().any(|line| line.starts_with("proof of work  ") && line.ends_with(shown)), "{text}");
    }
}

#[test]
fn get_accepts_an_id_with_a_key() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let link = client.create("x", &["-n", "2"]);
    let named = link.rsplit('/').next().unwrap();
    let stderr = client.run(&[named]).failed(2);
    assert!(stderr.contains("hint: to read a paste, use fpaste get 'ID#KEY'"), "{stderr}");
    // A trailing slash added to a link changes nothing, and columns do not run together.
    assert_eq!(client.run(&["get", &link.replace('#', "/#")]).succeeded().text(), "x");
    assert!(client.run(&["get", "-m", &link.replace('#', "/raw/#")]).succeeded().text().contains("left      1\n"));
    let wrong = format!("{}!", &link[..link.len() - 1]);
    assert!(client.run(&["get", &wrong]).failed(2).contains("at least one character is wrong"));
}

#[test]
fn info_says_what_is_needed_to_create() {
    for (create, needed) in
        [("token", Some("a token")), ("certificate", Some("a client certificate")), ("anyone", None)]
    {
        let server = Server::start(&[("FLASKPASTE_CREATE", create)]);
        let text = Client::new(&server).run(&["info"]).succeeded().text();
        let line = text.lines().find(|line| line.starts_with("to create"));
        assert_eq!(line.is_some(), needed.is_some(), "{text}");
        assert!(line.is_none_or(|line| line.ends_with(&format!("{} is needed", needed.unwrap()))), "{text}");
    }
}

#[test]
fn a_list_with_unknown_states_says_why_once() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    client.create("one", &[]);
    client.create("two", &[]);
    drop(server);
    let run = client.run(&["list", "--status"]).succeeded();
    assert_eq!(run.text().matches("  unknown  ").count(), 2, "{}", run.text());
    let warning = "fpaste: warning: unknown status of 2 of 2 pastes: ";
    assert!(run.stderr.starts_with(warning) && run.stderr.lines().count() == 1, "{}", run.stderr);
    assert!(run.stderr.contains("connection refused"), "{}", run.stderr);
    assert!(client.run(&["list"]).succeeded().stderr.is_empty());
}

#[test]
fn a_link_without_an_id_or_key_is_named_as_such() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let url = format!("http://{}/", server.authority());
    for arguments in [&[][..], &["get"], &["status"], &["delete"]] {
        for url in [&url, url.trim_end_matches('/')] {
            let stderr = client.run(&[arguments, &[url]].concat()).failed(2);
            assert!(stderr.contains("error: the link has no ID"), "{arguments:?}: {stderr}");
        }
    }
    client.file("saved", "x");
    for link in ["abcd1234", "http://x/abcd1234", "http://x/abcd1234#", "#"] {
        let stderr = client.run(&["get", "--from", "saved", link]).failed(2);
        assert!(stderr.contains("error: the link has no key"), "{link}: {stderr}");
    }
    let stderr = client.run(&["get", "--from", "saved", "http://x/abcd1234#short"]).failed(2);
    assert!(stderr.contains("damaged or incomplete"), "{stderr}");
}

#[test]
fn wrong_words_and_numbers_are_named() {
    let client = Client::with_url("http://127.0.0.1:1");
    assert!(client.run(&["help", "nope"]).failed(2).contains("error: nope: no such command"));
    for arguments in [&["-x", "99999999999999999999d", "-"][..], &["extend", "abcd1234", "36501d"]] {
        let stderr = client.run(arguments).failed(2);
        assert!(stderr.contains("the maximum is 36500d"), "{stderr}");
    }
}
