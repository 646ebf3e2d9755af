//! What fpaste reads from the file system: files that change, files of unknown size, and the names they get.

use crate::client_harness::{Client, Running};
use crate::client_network::{Stub, accepting, reply};
use crate::harness::{SOON, Server, wait_until};
use flaskpaste::sealed::{FileEntry, Manifest, max_plaintext, sealed_bytes};
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// A server that runs a change after fpaste has checked its files and before it reads them.
fn between(change: impl Fn() + Send + 'static) -> Stub {
    Stub::new(move |line| {
        if line.starts_with("GET / ") {
            change();
        }
        accepting(line)
    })
}

/// A folder `in` with a file `below/f`, and a file `secret` next to it.
fn folder(client: &Client) {
    let _ = fs::remove_dir_all(client.home.join("in"));
    fs::create_dir_all(client.home.join("in/below")).unwrap();
    client.file("in/below/f", "x".repeat(26));
    client.file("secret", "s".repeat(26));
}

#[test]
fn a_file_replaced_during_the_upload_is_not_sent() {
    let client = Client::with_url("");
    let path = |name: &str| client.home.join(name);
    let [f, below, aside, secret] = [path("in/below/f"), path("in/below"), path("aside"), path("secret")];
    let swap = |what: &'static str| {
        let [f, below, aside, secret] = [&f, &below, &aside, &secret].map(Clone::clone);
        move || match what {
            "a link" => {
                fs::remove_file(&f).unwrap();
                symlink(&secret, &f).unwrap();
            }
            "another file" => fs::rename(&secret, &f).unwrap(),
            _ => {
                fs::rename(&below, &aside).unwrap();
                symlink(&aside, &below).unwrap();
            }
        }
    };
    for (operand, what) in [
        ("in", "a link"),
        ("in/below/f", "a link"),
        ("in", "another file"),
        ("in/below/f", "another file"),
        ("in", "a link to the folder"),
    ] {
        folder(&client);
        let _ = fs::remove_dir_all(&aside);
        let server = between(swap(what));
        let stderr = client.run(&["-s", &server.url, operand]).failed(2);
        assert!(stderr.contains("in/below/f was replaced while it was being read"), "{what}: {stderr}");
    }
    // Unencrypted, too.
    folder(&client);
    let server = between(swap("another file"));
    assert!(client.run(&["-s", &server.url, "-E", "in/below/f"]).failed(2).contains("was replaced"));
    // Symbolic links given as arguments are followed, and may be folders.
    let server = Server::start(&[]);
    let client = Client::new(&server);
    folder(&client);
    symlink("in/below", client.home.join("to folder")).unwrap();
    symlink("in/below/f", client.home.join("to file")).unwrap();
    let link = client.run(&["to folder", "to file"]).succeeded().line();
    client.run(&["get", "-o", "out/", &link]).succeeded();
    for name in ["out/to folder/f", "out/to file"] {
        assert_eq!(fs::read(client.home.join(name)).unwrap(), [b'x'; 26], "{name}");
    }
}

#[test]
fn a_file_that_changes_size_during_the_upload_is_an_error() {
    let client = Client::with_url("");
    for (length, word) in [(1, "shorter"), (0, "shorter"), (99, "longer")] {
        for operands in
            [&["in"][..], &["secret", "in/below/f"], &["-E", "in/below/f"], &["--format", "1", "in/below/f"]]
        {
            folder(&client);
            let f = client.home.join("in/below/f");
            let server = between(move || File::options().write(true).open(&f).unwrap().set_len(length).unwrap());
            let stderr = client.run(&[&["-s", &server.url], operands].concat()).failed(2);
            assert!(stderr.contains(&format!("in/below/f became {word} while it was being read")), "{stderr}");
            assert!(stderr.contains("fpaste - < "), "{stderr}");
        }
    }
    folder(&client);
    client.file("in/empty", "");
    let server = between({
        let empty = client.home.join("in/empty");
        move || fs::write(&empty, "x").unwrap()
    });
    assert!(client.run(&["-s", &server.url, "in"]).failed(2).contains("in/empty became longer"));
}

#[test]
fn files_of_unknown_size_are_read_to_the_end() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    client.file("real", "x");
    let link = client.run(&["/proc/version", "/proc/filesystems", "real"]).succeeded().line();
    client.run(&["get", "-o", "out/", &link]).succeeded();
    for name in ["version", "filesystems"] {
        let content = fs::read(client.home.join("out").join(name)).unwrap();
        assert!(!content.is_empty() && content == fs::read(format!("/proc/{name}")).unwrap(), "{name}");
    }
    // A file that reports less than it contains.
    let says_4096 = "/sys/kernel/mm/transparent_hugepage/enabled";
    if fs::metadata(says_4096).is_ok() {
        let content = fs::read(says_4096).unwrap();
        for options in [&[][..], &["real"], &["-E"], &["--format", "1"]] {
            let link = client.run(&[options, &[says_4096]].concat()).succeeded().line();
            if options == ["real"] {
                client.run(&["get", "-o", "sys/", &link]).succeeded();
                assert_eq!(fs::read(client.home.join("sys/enabled")).unwrap(), content);
            } else {
                assert_eq!(client.run(&["get", &link]).succeeded().stdout, content, "{options:?}");
            }
        }
    }
    assert_eq!(
        client.run(&["get", &client.run(&["-E", "/proc/version"]).succeeded().line()]).succeeded().stdout,
        fs::read("/proc/version").unwrap()
    );
}

/// The peak memory of fpaste up to the end of its upload, in KiB.
fn peak_memory(client: &Client, arguments: &[&str], stdin: Stdio) -> u64 {
    let (pid, peak) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU64::new(0)));
    let server = Stub::new({
        let (pid, peak) = (Arc::clone(&pid), Arc::clone(&peak));
        move |line| {
            if line.starts_with("POST") {
                wait_until("it has started", SOON, || pid.load(Ordering::Relaxed) > 0);
                let status = fs::read_to_string(format!("/proc/{}/status", pid.load(Ordering::Relaxed))).unwrap();
                let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
                peak.store(line.trim().trim_end_matches(" kB").parse().unwrap(), Ordering::Relaxed);
            }
            accepting(line)
        }
    });
    let arguments = [&["-s", &server.url], arguments].concat();
    let child = Running::start(client.command(&arguments).stdin(stdin));
    pid.store(child.id(), Ordering::Relaxed);
    child.end(&arguments).succeeded();
    peak.load(Ordering::Relaxed)
}

#[test]
fn unencrypted_piped_data_of_any_size_round_trips() {
    let server = Server::start(&[("FLASKPASTE_MAX_ANON", "300000")]);
    let client = Client::new(&server);
    for size in [1, 65_535, 65_536, 65_537, 300_000] {
        let content: Vec<u8> = (0..size).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let link = client.create(&content, &["-E"]);
        assert_eq!(client.run(&["get", &link]).succeeded().stdout, content, "{size}");
        client.file("content", &content);
        let link = client.run(&["-E", "content", "-x", "1h"]).succeeded().line();
        assert_eq!(client.run(&["get", &link]).succeeded().stdout, content, "{size}");
    }
    client.file("content", vec![b'x'; 300_001]);
    for run in [client.pipe(vec![b'x'; 300_001], &["-E"]), client.run(&["-E", "content"])] {
        assert!(run.failed(5).contains("exceeds the server's limit of 292.97 KiB\n"));
    }
    assert!(client.pipe("", &["-E"]).failed(2).contains("standard input is empty"));
    let broken = Stub::new(|line| if line.starts_with("POST") { reply("502 No", "", "") } else { accepting(line) });
    let stderr = client.pipe(vec![b'x'; 200_000], &["-E", "-s", &broken.url]).failed(7);
    assert!(stderr.contains("resume"), "{stderr}");
    let link = client.run(&["resume", "-s", &format!("http://{}", server.authority())]).succeeded().line();
    assert_eq!(client.run(&["get", &link]).succeeded().stdout, vec![b'x'; 200_000]);
}

/// The size of the largest nameless content whose upload fits in this many bytes.
fn most(limit: u64) -> u64 {
    let fits = |size: &u64| {
        let file = FileEntry { size: *size, ..FileEntry::default() };
        let manifest = Manifest { files: vec![file], reads: None, expires_at: None };
        4 + manifest.render().unwrap().len() as u64 + size <= max_plaintext(limit)
    };
    (0..max_plaintext(limit)).rev().find(fits).unwrap()
}

#[test]
fn the_size_limit_is_the_same_for_files_and_pipes() {
    // Around the point where a size gains a digit.
    let limits = (0..3).map(|more| sealed_bytes(100_000 + 33 + more)).chain([70_000, 65_608 + 56, 200_001]);
    for limit in limits {
        let server = Server::start(&[("FLASKPASTE_MAX_ANON", &limit.to_string())]);
        let client = Client::new(&server);
        let most = usize::try_from(most(limit)).unwrap();
        for size in [most - 1, most] {
            let content = vec![b'x'; size];
            client.file("content", &content);
            let links = [client.run(&["content", "--no-name"]).succeeded().line(), client.create(&content, &[])];
            assert_eq!(client.run(&["get", &links[1]]).succeeded().stdout, content, "{size} of {limit}");
        }
        client.file("content", vec![b'x'; most + 1]);
        let from_file = client.run(&["content", "--no-name"]).failed(5);
        let piped = client.pipe(vec![b'x'; most + 1], &[]).failed(5);
        // With the same message, and nothing is kept: it could never be sent.
        assert_eq!(from_file, piped);
        assert!(piped.contains("including the overhead of encryption") && !piped.contains("resume"), "{piped}");
        assert!(!server.log().contains(" 413 "), "{limit}");
    }
}

#[test]
fn invalid_file_names_get_an_explanation() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    for (name, fault) in [
        ("", "is empty"),
        ("..", "has a part that is . or .."),
        ("../x", "has a part that is . or .."),
        ("/x", "begins with a slash"),
        ("a/", "ends in a slash"),
        ("a//b", "has two slashes in a row"),
        ("a\x1b[31mb", "has control characters"),
        ("C:x", "begins with a drive letter"),
    ] {
        let stderr = client.pipe("x", &["--name", name]).failed(2);
        assert!(stderr.contains(&format!(": it {fault}")), "{stderr}");
        assert!(!stderr.contains("--no-name"), "{stderr}");
    }
    client.file("back\\slash", "x");
    client.file("good", "x");
    let hint = |operands: &[&str]| client.run(operands).failed(2);
    let alone = hint(&["back\\slash"]);
    assert!(alone.contains("it has a backslash") && alone.contains("--no-name"), "{alone}");
    fs::create_dir(client.home.join("folder")).unwrap();
    client.file("folder/back\\slash", "x");
    for operands in [&["back\\slash", "good"][..], &["folder"]] {
        let stderr = hint(operands);
        assert!(stderr.contains("hint: rename it\n"), "{stderr}");
    }
    let bytes = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"\xff.txt");
    fs::write(client.home.join("folder").join(bytes), "x").unwrap();
    fs::remove_file(client.home.join("folder/back\\slash")).unwrap();
    assert!(hint(&["folder"]).contains("it is not UTF-8"));
    // A file and a folder with the same name.
    fs::create_dir_all(client.home.join("other/GOOD")).unwrap();
    client.file("other/GOOD/q", "x");
    for operands in [["good", "other/GOOD"], ["other/GOOD", "good"]] {
        let stderr = hint(&operands);
        assert!(stderr.contains("good would be both a file and the folder of other/GOOD/q in the paste"), "{stderr}");
        assert!(!stderr.contains("--no-name"), "{stderr}");
    }
}

#[test]
fn files_can_be_renamed_and_the_name_gives_the_type() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    client.file("a.txt", "x");
    client.file("data", "x");
    let listed = |link: &str| client.run(&["get", "--list", link]).succeeded().text();
    let words = |link: &str| listed(link).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let link = client.run(&["a.txt", "--name", "notes/b.md"]).succeeded().line();
    assert_eq!(words(&link), ["1", "B", "text/markdown", "notes/b.md"]);
    assert_eq!(client.run(&["list", "--json"]).succeeded().json()[0]["name"], "notes/b.md");
    assert_eq!(words(&client.run(&["a.txt"]).succeeded().line()), ["1", "B", "text/plain", "a.txt"]);
    assert_eq!(words(&client.run(&["data"]).succeeded().line()), ["1", "B", "-", "data"]);
    assert_eq!(words(&client.create("x", &["--name", "p.PNG"])), ["1", "B", "image/png", "p.PNG"]);
    // Without a name there is no type.
    assert_eq!(words(&client.run(&["a.txt", "--no-name"]).succeeded().line()), ["1", "B", "-", "-"]);
    fs::create_dir(client.home.join("folder")).unwrap();
    assert!(client.run(&["folder", "--name", "x"]).failed(2).contains("folder is a folder"));
    assert!(client.run(&["a.txt", "data", "--name", "x"]).failed(2).contains("--name needs a single file"));
    let stderr = client.run(&["a.txt", "-E", "--name", "x"]).failed(2);
    assert!(stderr.contains("--name cannot be used with -E"), "{stderr}");
    let stderr = client.run(&["a.txt", "data", "-E"]).failed(2);
    assert!(stderr.contains("-E takes one file, got 2"), "{stderr}");
    let stderr = client.run(&["a.txt", "data", "--format", "1"]).failed(2);
    assert!(stderr.contains("--format 1 takes one file"), "{stderr}");
    // A name that looks like an option.
    client.file("-dash.txt", "x");
    for operand in ["-dash.txt", "--dash.txt"] {
        let stderr = client.run(&[operand]).failed(2);
        assert!(stderr.contains("use ./-NAME"), "{stderr}");
    }
    assert!(!client.run(&["list", "-Z"]).failed(2).contains("./-NAME"));
    for operands in [&["--", "-dash.txt"][..], &["./-dash.txt"]] {
        assert!(listed(&client.run(operands).succeeded().line()).ends_with("  -dash.txt\n"));
    }
}

/// Tests that take seconds; `make test-quick` skips them.
mod slow {
    use super::*;

    #[test]
    fn unencrypted_uploads_stream_and_format_1_needs_one_buffer() {
        let client = Client::with_url("");
        let (large, bytes) = (client.home.join("large"), 150 << 20);
        File::create(&large).unwrap().set_len(bytes).unwrap();
        let stdin = || Stdio::from(File::open(&large).unwrap());
        for (arguments, stdin) in
            [(&["-E", "large"][..], Stdio::null()), (&["-E"], stdin()), (&["large"], Stdio::null())]
        {
            let peak = peak_memory(&client, arguments, stdin);
            assert!(peak > 0 && peak < 64 << 10, "{arguments:?}: {peak} KiB");
        }
        let peak = peak_memory(&client, &["--format", "1", "large"], Stdio::null());
        assert!(peak < (bytes + (48 << 20)) >> 10, "{peak} KiB");
    }
}
