//! The encryption formats against an independent implementation.

use super::programs::schemathesis;
use crate::client_harness::Client;
use crate::harness::{Folder, Server};
use std::io::Write;
use std::process::{Command, Stdio};

/// The formats, checked against Python's cryptography in both directions.
#[test]
fn an_independent_implementation_interoperates() {
    let Some(tool) = schemathesis("interoperability with Python's cryptography") else { return };
    let python = tool.with_file_name("python");
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let folder = Folder::new();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop.py");
    let run = |arguments: &[&str], input: &[u8]| {
        let mut command = Command::new(&python);
        command.arg(script).args(arguments).current_dir(folder.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        output.stdout
    };
    let content: Vec<u8> = (0..100_000u32).map(|n| (n % 251) as u8).collect();
    let link = client.create(&content, &["--format", "1"]);
    let (url, key) = link.split_once('#').unwrap();
    let id = url.rsplit('/').next().unwrap();
    let stored = server.get(&format!("/{id}/raw")).expect_status(200).body;
    assert_eq!(run(&["open", key], &stored), content);
    let sealed = run(&["seal", key], &content);
    let paste = server.request("POST", "/").header("Content-Type", "application/octet-stream").body(sealed).created();
    assert_eq!(client.run(&["get", &format!("{}#{key}", paste.id)]).succeeded().stdout, content);
    for password in [None, Some("hąsło z ogonkami")] {
        let client = client.with("FPASTE_PASSWORD", password.unwrap_or_default());
        let options = if password.is_some() { &["-p"][..] } else { &[] };
        let made = client.create(&content, options);
        let (url, key) = made.split_once('#').unwrap();
        let secrets: Vec<&str> = std::iter::once(key).chain(password).collect();
        let python = |command: &str, input: &[u8]| run(&[&[command], &*secrets].concat(), input);
        let proofs = String::from_utf8(python("proof", b"")).unwrap();
        let mut read = server.request("GET", &format!("/{}/raw", url.rsplit('/').next().unwrap()));
        let mut create = server.post(python("seal2", &content)).header("Content-Type", "application/octet-stream");
        for (line, name) in proofs.lines().zip(["X-Read-Proof", "X-Password-Proof"]) {
            let (proof, hash) = line.split_once(' ').unwrap();
            read = read.header(name, proof);
            create = create.header(&format!("{name}-SHA256"), hash);
        }
        let stored = read.send().expect_status(200).body;
        assert_eq!(python("open2", &stored), content);
        let link = format!("{}#{key}", create.created().id);
        assert_eq!(client.run(&[&["get", &*link], options].concat()).succeeded().stdout, content);
    }
}
