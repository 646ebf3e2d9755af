//! Sealed pastes in fpaste: test vectors of an independent implementation, gates, leases, names, and hostile contents.

use crate::client_harness::Client;
use crate::harness::{Paste, Server};
use flaskpaste::crypto::unhex;
use flaskpaste::e2e::Key;
use flaskpaste::sealed::{FileEntry, Manifest, Sealer, Secrets, plaintext_bytes};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;

fn hex(bytes: &[u8]) -> String {
    flaskpaste::crypto::hex(bytes)
}

fn vectors() -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("../vectors-sealed.json")).unwrap();
    all["sealed"].as_array().unwrap().clone()
}

/// A paste with this upload, behind the gate of these secrets.
fn upload(server: &Server, upload: Vec<u8>, secrets: &Secrets, reads: Option<u32>) -> Paste {
    let hash = |proof: &[u8]| hex(&Sha256::digest(proof));
    let mut request = server.post(upload).header("X-Read-Proof-SHA256", hash(secrets.link_proof().as_slice()));
    if let Some(proof) = secrets.password_proof() {
        request = request.header("X-Password-Proof-SHA256", hash(proof.as_slice()));
    }
    if let Some(reads) = reads {
        request = request.header("X-Reads", reads.to_string());
    }
    request.header("Content-Type", "application/octet-stream").created()
}

fn link(server: &Server, paste: &Paste, fragment: &str) -> String {
    format!("http://{}/{}#{fragment}", server.authority(), paste.id)
}

/// An upload with this manifest, valid or not, and these contents.
fn sealed(secrets: &Secrets, manifest: &str, contents: &[&[u8]]) -> Vec<u8> {
    let mut plaintext = u32::try_from(manifest.len()).unwrap().to_be_bytes().to_vec();
    plaintext.extend_from_slice(manifest.as_bytes());
    for content in contents {
        plaintext.extend_from_slice(content);
    }
    sealed_plaintext(secrets, plaintext)
}

/// An upload of this plaintext, padded.
fn sealed_plaintext(secrets: &Secrets, mut plaintext: Vec<u8>) -> Vec<u8> {
    let bytes = plaintext_bytes(plaintext.len() as u64, u64::MAX);
    plaintext.resize(usize::try_from(bytes).unwrap(), 0);
    let mut upload = Vec::new();
    Sealer::new(secrets).unwrap().seal(plaintext.as_slice(), bytes).read_to_end(&mut upload).unwrap();
    upload
}

/// A paste of these files, and the fragment of its link.
fn paste_of(server: &Server, files: &[(&str, &[u8])], reads: Option<u32>) -> String {
    let key = Key::random().unwrap();
    let entries = files.iter().map(|(name, content)| FileEntry {
        name: Some((*name).to_owned()),
        size: content.len() as u64,
        executable: *name == "notes/run.sh",
        ..FileEntry::default()
    });
    let manifest = Manifest { files: entries.collect(), reads: None, expires_at: None };
    let secrets = Secrets::new(&key, None);
    let manifest = String::from_utf8(manifest.render().unwrap()).unwrap();
    let contents: Vec<&[u8]> = files.iter().map(|(_, content)| *content).collect();
    let paste = upload(server, sealed(&secrets, &manifest, &contents), &secrets, reads);
    link(server, &paste, &key.fragment())
}

fn state_of(server: &Server, link: &str, token: &str) -> String {
    let id = link.split('#').next().unwrap().rsplit('/').next().unwrap();
    let request = server.request("GET", &format!("/{id}/status")).header("X-Delete-Token", token);
    request.send().expect_status(200).json()["state"].as_str().unwrap().to_owned()
}

#[test]
fn uploads_from_an_independent_implementation_are_readable() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let mut read = 0;
    for case in vectors() {
        let text = |name: &str| case[name].as_str();
        let (Some(bytes), Some(fragment)) = (text("upload_hex"), text("fragment")) else { continue };
        let secrets = Secrets::new(&Key::from_fragment(fragment).unwrap(), text("password"));
        let paste = upload(&server, unhex(bytes).unwrap(), &secrets, None);
        let link = link(&server, &paste, fragment);
        let client = client.with("FPASTE_PASSWORD", text("password").unwrap_or_default());
        let digests: Vec<&str> =
            case["files_sha256"].as_array().unwrap().iter().map(|digest| digest.as_str().unwrap()).collect();
        if let [digest] = digests.as_slice() {
            let content = client.run(&["get", &link]).succeeded().stdout;
            assert_eq!(hex(&Sha256::digest(content)), *digest, "{}", case["case"]);
        } else {
            assert!(client.run(&["get", &link]).failed(2).contains("use -O to write them here"));
            client.run(&["get", "-o", "several/", &link]).succeeded();
            let manifest = Manifest::parse(text("manifest").unwrap().as_bytes()).unwrap();
            for (file, digest) in manifest.files.iter().zip(digests) {
                let content = fs::read(client.home.join("several").join(file.name.as_ref().unwrap())).unwrap();
                assert_eq!(hex(&Sha256::digest(content)), digest);
            }
        }
        read += 1;
    }
    assert!(read >= 4);
}

#[test]
fn incomplete_and_wrong_links_fail_with_the_reason() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let link = paste_of(&server, &[("a.txt", b"sealed")], Some(1));
    let (url, _) = link.split_once('#').unwrap();
    assert!(client.run(&["get", url]).failed(2).contains("the link has no key"));
    let wrong = format!("{url}#{}", Key::random().unwrap().fragment().as_str());
    assert!(client.run(&["get", &wrong]).failed(8).contains("wrong key"));
    assert!(client.run(&["get", "--list", &link]).failed(2).contains("a listing would use one"));
    assert_eq!(client.run(&["get", &link]).succeeded().text(), "sealed");
    client.run(&["get", &link]).failed(3);
}

#[test]
fn a_password_is_proven_and_never_sent() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let case = vectors().into_iter().find(|case| case["password"].is_string()).unwrap();
    let text = |name: &str| case[name].as_str().unwrap();
    let secrets = Secrets::new(&Key::from_fragment(text("fragment")).unwrap(), Some(text("password")));
    let paste = upload(&server, unhex(text("upload_hex")).unwrap(), &secrets, Some(1));
    let link = link(&server, &paste, text("fragment"));
    assert!(client.run(&["get", &link]).failed(4).contains("use -p"));
    client.with("FPASTE_PASSWORD", "wrong").run(&["get", "-p", &link]).failed(4);
    client.with("FPASTE_PASSWORD", text("password")).run(&["get", &link]).succeeded();
    assert_eq!(state_of(&server, &link, &paste.delete_token), "read");
    assert!(!server.log().contains(text("link_proof")) && !server.log().contains(text("password_proof")));
}

#[test]
fn files_can_be_listed_and_extracted_into_a_folder() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let big = vec![b'x'; 200_000];
    let link = paste_of(&server, &[("notes/a.txt", b"one"), ("notes/run.sh", b"#!/bin/sh\n"), ("big", &big)], None);
    let listed = client.run(&["get", "--list", &link]).succeeded();
    let listed = listed.text();
    assert!(listed.contains("notes/a.txt") && listed.contains("195.31 KiB"), "{listed}");
    client.run(&["get", "-O", &link]).succeeded();
    let read = |name: &str| fs::read(client.home.join(name)).unwrap();
    assert_eq!((read("notes/a.txt"), read("big")), (b"one".to_vec(), big.clone()));
    let mode = |name: &str| fs::metadata(client.home.join(name)).unwrap().permissions().mode() & 0o111;
    assert_eq!((mode("notes/a.txt"), mode("notes/run.sh")), (0, 0o111));
    // Nothing is overwritten, and a failure leaves nothing behind.
    fs::write(client.home.join("notes/a.txt"), "mine").unwrap();
    fs::remove_file(client.home.join("big")).unwrap();
    assert!(client.run(&["get", "-O", &link]).failed(2).contains("notes/a.txt already exists"));
    assert_eq!(read("notes/a.txt"), b"mine");
    assert!(!client.home.join("big").exists());
    client.run(&["get", "-O", "--force", &link]).succeeded();
    assert_eq!((read("notes/a.txt"), read("big")), (b"one".to_vec(), big));
    client.run(&["get", "-o", "new/folder/", &link]).succeeded();
    assert_eq!(read("new/folder/notes/a.txt"), b"one");
    let drafts = |folder: &str| {
        let entries = fs::read_dir(client.home.join(folder)).unwrap().map(|entry| entry.unwrap().file_name());
        entries.filter(|name| name.to_str().unwrap().starts_with(".fpaste-")).count()
    };
    assert_eq!((drafts("."), drafts("new/folder")), (0, 0));
}

#[test]
fn nothing_is_written_outside_or_through_symbolic_links() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let outside = client.home.join("outside");
    fs::create_dir(&outside).unwrap();
    fs::create_dir(client.home.join("in")).unwrap();
    std::os::unix::fs::symlink(&outside, client.home.join("in/link")).unwrap();
    std::os::unix::fs::symlink(outside.join("target"), client.home.join("in/file")).unwrap();
    for (name, option) in [("link/x", "--force"), ("link/x", "-v"), ("file", "-v")] {
        let link = paste_of(&server, &[("good", b"1"), (name, b"2")], None);
        client.run(&["get", "-o", "in/", option, &link]).failed(2);
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "{name} {option}");
        let _ = fs::remove_file(client.home.join("in/good"));
    }
    // Invalid manifests.
    let key = Key::random().unwrap();
    let secrets = Secrets::new(&key, None);
    for name in ["../x", "/x", "a/../../x", "a\\\\b", "C:x", "a\\u0000b", ""] {
        let manifest = format!("{{\"files\":[{{\"name\":\"{name}\",\"size\":1}}]}}");
        let paste = upload(&server, sealed(&secrets, &manifest, &[b"x"]), &secrets, None);
        let link = link(&server, &paste, &key.fragment());
        assert!(client.run(&["get", "-O", &link]).failed(8).contains("damaged"), "{name}");
        client.run(&["get", &link]).failed(8);
    }
    for manifest in ["{\"files\":[{\"size\":9007199254740991}]}", "{\"files\":[{\"size\":300}]}", "no JSON", ""] {
        let paste = upload(&server, sealed(&secrets, manifest, &[b"x"]), &secrets, None);
        client.run(&["get", "-o", "out", &link(&server, &paste, &key.fragment())]).failed(8);
        assert!(!client.home.join("out").exists(), "{manifest}");
    }
}

#[test]
fn damage_is_distinguished_from_a_wrong_key_and_outputs_nothing() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let key = Key::random().unwrap();
    let secrets = Secrets::new(&key, None);
    let manifest = "{\"files\":[{\"name\":\"a\",\"size\":150000}]}";
    let whole = sealed(&secrets, manifest, &[&vec![b'x'; 150_000]]);
    let mut changed = whole.clone();
    *changed.last_mut().unwrap() ^= 1;
    let reordered = [&whole[..56], &whole[65_608..131_160], &whole[56..65_608], &whole[131_160..]].concat();
    for damaged in [changed, reordered, whole[..65_608].to_vec(), whole[..100].to_vec(), [&whole[..], b"x"].concat()] {
        let paste = upload(&server, damaged, &secrets, None);
        let link = link(&server, &paste, &key.fragment());
        for output in [&["-o", "out"][..], &["-O"]] {
            let stderr = client.run(&[&["get"], output, &[&link]].concat()).failed(8);
            assert!(stderr.contains("damaged"), "{stderr}");
        }
        let files = fs::read_dir(client.home.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(files.filter(|name| name != ".local").count(), 0);
    }
}

#[test]
fn a_manifest_longer_than_its_paste_is_damage() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let key = Key::random().unwrap();
    let secrets = Secrets::new(&key, None);
    for length in [1000_u32, u32::MAX] {
        let paste = upload(&server, sealed_plaintext(&secrets, length.to_be_bytes().to_vec()), &secrets, None);
        let stderr = client.run(&["get", &link(&server, &paste, &key.fragment())]).failed(8);
        assert!(stderr.contains("damaged"), "{stderr}");
    }
}

/// In 48 MiB; parsed into a tree, each of these manifests took twice that.
#[test]
fn a_manifest_full_of_unknown_fields_takes_little_memory() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let key = Key::random().unwrap();
    let secrets = Secrets::new(&key, None);
    let get = |manifest: &str| {
        let paste = upload(&server, sealed(&secrets, manifest, &[b"x"]), &secrets, None);
        let link = link(&server, &paste, &key.fragment());
        client.shell(&format!("ulimit -d 49152; exec \"$FPASTE\" get '{link}'")).output().unwrap()
    };
    let junk = "{\"\":0},".repeat(149_000);
    let run = get(&format!("{{\"files\":[{{\"size\":1}}],\"x\":[{junk}0]}}"));
    assert_eq!((run.status.code(), run.stdout), (Some(0), b"x".to_vec()), "{}", String::from_utf8_lossy(&run.stderr));
    let run = get(&format!("{{\"files\":[{junk}0]}}"));
    assert_eq!(run.status.code(), Some(8), "{}", String::from_utf8_lossy(&run.stderr));
}

#[test]
fn differences_from_what_the_sender_requested_are_reported() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let key = Key::random().unwrap();
    let secrets = Secrets::new(&key, None);
    let manifest = "{\"files\":[{\"size\":1}],\"reads\":1,\"expires_at\":1000}";
    let paste = upload(&server, sealed(&secrets, manifest, &[b"x"]), &secrets, None);
    let run = client.run(&["get", &link(&server, &paste, &key.fragment())]).succeeded();
    assert!(
        run.stderr.contains("the sender set a limit of 1 reads") && run.stderr.contains("the server keeps it longer"),
        "{}",
        run.stderr
    );
    assert!(client.run(&["get", "-O", &link(&server, &paste, &key.fragment())]).failed(2).contains("has no file name"));
}

/// The plaintext of an upload, opened by this crate, and its manifest.
fn opened(upload: &[u8], link: &str, password: Option<&str>) -> (Manifest, Vec<u8>) {
    let key = Key::from_fragment(link.split_once('#').unwrap().1).unwrap();
    let mut reader = upload;
    let mut opener = flaskpaste::sealed::Opener::begin(&Secrets::new(&key, password), &mut reader).unwrap();
    let mut plaintext = Vec::new();
    while let Some(chunk) = opener.next_chunk(&mut reader, upload.len() as u64).unwrap() {
        plaintext.extend_from_slice(&chunk);
    }
    let length = usize::try_from(u32::from_be_bytes(plaintext[..4].try_into().unwrap())).unwrap();
    let manifest = Manifest::parse(&plaintext[4..4 + length]).unwrap();
    (manifest, plaintext.split_off(4 + length))
}

fn stored(server: &Server, link: &str) -> Vec<u8> {
    use base64::Engine;
    let key = Key::from_fragment(link.split_once('#').unwrap().1).unwrap();
    let proof =
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(Secrets::new(&key, None).link_proof().as_slice());
    let id = link.split('#').next().unwrap().rsplit('/').next().unwrap();
    server.request("GET", &format!("/{id}/raw")).header("X-Read-Proof", proof).send().expect_status(200).body
}

#[test]
fn pastes_are_sealed_and_padded_before_upload() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    for size in [1, 300, 65_400, 65_536, 70_000, 1_000_000, 3_000_000] {
        let content: Vec<u8> = (0..size).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let piped = client.create(&content, &[]);
        client.file("a file", &content);
        let from_file = client.run(&["a file"]).succeeded().line();
        for link in [&piped, &from_file] {
            let upload = stored(&server, link);
            let (manifest, plaintext) = opened(&upload, link, None);
            assert_eq!(manifest.files[0].size, size);
            assert!(
                plaintext.starts_with(&content) && plaintext[content.len()..].iter().all(|byte| *byte == 0),
                "{size}"
            );
            // Padding: one more byte changes the size only one time in a hundred.
            assert!(upload.len() as u64 >= flaskpaste::sealed::sealed_bytes(256));
            assert!(size < 9 || !upload.windows(9).any(|window| window == &content[..9]));
            assert_eq!(client.run(&["get", link]).succeeded().stdout, content);
        }
        assert_eq!(opened(&stored(&server, &from_file), &from_file, None).0.files[0].name.as_deref(), Some("a file"));
    }
    assert!(!server.log().contains("a file"));
}

#[test]
fn files_and_folders_round_trip_in_one_paste() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let big = vec![b'x'; 200_000];
    client.file("one.txt", "one");
    let program = client.file("run.sh", "#!/bin/sh\n");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir_all(client.home.join("notes/deep/empty")).unwrap();
    client.file("notes/deep/big", &big);
    client.file("notes/empty file", "");
    std::os::unix::fs::symlink("/etc/passwd", client.home.join("notes/link")).unwrap();
    std::os::unix::fs::symlink("one.txt", client.home.join("named link")).unwrap();
    let run = client.run(&["one.txt", "run.sh", "notes", "named link", "-n", "2"]).succeeded();
    assert!(run.stderr.contains("skipping notes/link: it is a symbolic link"), "{}", run.stderr);
    let link = run.line();
    client.run(&["get", "-o", "out/", &link]).succeeded();
    let read = |name: &str| fs::read(client.home.join("out").join(name)).unwrap();
    assert_eq!((read("one.txt"), read("named link")), (b"one".to_vec(), b"one".to_vec()));
    assert_eq!((read("notes/deep/big"), read("notes/empty file")), (big, Vec::new()));
    let mode = |name: &str| fs::metadata(client.home.join("out").join(name)).unwrap().permissions().mode() & 0o111;
    assert_eq!((mode("run.sh"), mode("one.txt")), (0o111, 0));
    assert!(!client.home.join("out/notes/link").exists());
    client.run(&["get", "-o", "again/", &link]).succeeded();
    client.run(&["get", "-o", "third/", &link]).failed(3);
    // Before anything is sent.
    fs::create_dir(client.home.join("other")).unwrap();
    client.file("other/ONE.txt", "");
    assert!(client.run(&["one.txt", "other/ONE.txt"]).failed(2).contains("would have the same name"));
    client.file("back\\slash", "x");
    client.run(&["back\\slash"]).failed(2);
    client.run(&["one.txt", "nosuchfile"]).failed(2);
    client.run(&["other/../other", "-E"]).failed(2);
    assert!(client.run(&["one.txt", "run.sh", "--no-name"]).failed(2).contains("need names"));
}

#[test]
fn piped_data_can_be_named_and_file_names_omitted() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    client.file("secret name", "x");
    let named = client.create("x", &["--name", "given.txt"]);
    assert!(client.run(&["get", "--list", &named]).succeeded().text().contains("given.txt"));
    let nameless = client.run(&["secret name", "--no-name"]).succeeded().line();
    assert!(client.run(&["get", "--list", &nameless]).succeeded().text().ends_with("  -\n"));
    client.run(&["get", "-O", &nameless]).failed(2);
    client.pipe("x", &["--name", "../x"]).failed(2);
}

#[test]
fn limits_and_passwords_work_with_sealed_pastes() {
    let server = Server::start(&[]);
    let client = Client::new(&server).with("FPASTE_PASSWORD", "hunter2");
    let run = client.pipe("x", &["-p", "-n", "3", "-x", "1h", "-v"]).succeeded();
    assert!(run.stderr.contains("with a password, deleted after 3 reads"), "{}", run.stderr);
    let link = run.line();
    let metadata = client.run(&["get", "-m", "--json", &link]).succeeded().json();
    let flag = |name: &str| metadata[name].as_bool();
    assert_eq!(
        (flag("proof_required"), flag("password_proof"), metadata["reads_left"].as_u64()),
        (Some(true), Some(true), Some(3))
    );
    for _ in 0..3 {
        assert_eq!(client.run(&["get", "-p", &link]).succeeded().text(), "x");
    }
    client.run(&["get", "-p", &link]).failed(3);
    assert!(!server.log().contains("hunter2"));
}

#[test]
fn an_oversized_upload_is_refused_before_it_is_sent() {
    let server = Server::start(&[("FLASKPASTE_MAX_ANON", "100000")]);
    let client = Client::new(&server);
    client.file("large", vec![b'x'; 100_000]);
    client.run(&["large"]).failed(5);
    assert!(client.pipe(vec![b'x'; 3_000_000], &[]).failed(5).contains("exceeds the server's limit"));
    // Padding does not exceed a limit that the content keeps.
    client.file("fits", vec![b'x'; 99_800]);
    let link = client.run(&["fits"]).succeeded().line();
    assert_eq!(client.run(&["get", &link]).succeeded().stdout.len(), 99_800);
    assert_eq!(client.create(vec![b'x'; 99_500], &[]).split_once('#').unwrap().1.len(), 43);
    assert!(!server.log().contains(" 413 "), "{}", server.log());
}

#[test]
fn status_shows_the_creator_reads_and_endings() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let (once, lasting) = (client.create("once", &["-b"]), client.create("lasting", &["-x", "1h"]));
    let state = |link: &str| client.run(&["status", "--json", link]).succeeded().json()["state"].clone();
    assert_eq!((state(&once), state(&lasting)), ("unread".into(), "unread".into()));
    let elsewhere = Client::new(&server);
    elsewhere.run(&["get", "-o", "/dev/full", &once]).failed(1);
    assert_eq!(state(&once), "leased");
    elsewhere.run(&["get", &once]).succeeded();
    let told = client.run(&["status", &once]).succeeded().text();
    assert!(told.contains("state     read") && told.contains("reads     1") && told.contains("ended     20"), "{told}");
    elsewhere.run(&["get", &lasting]).succeeded();
    let listed = client.run(&["list", "--status"]).succeeded().text();
    let columns: Vec<&str> = listed.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(columns[..2], ["ID", "STATE"], "{listed}");
    assert_eq!(listed.matches(" read ").count(), 2, "{listed}");
    let json = client.run(&["list", "--status", "--json"]).succeeded().json();
    assert_eq!(json[0]["state"], "read");
    // Other clients learn nothing, and an unknown server gets no token.
    assert!(elsewhere.run(&["status", &once]).failed(4).contains("no delete token"));
    assert!(client.run(&["status"]).failed(2).contains("list --status"));
}
