//! fpaste's completions, read by the shells they are for.

use super::programs::has;
use crate::client_harness::Client;
use std::io::Write;
use std::process::{Command, Stdio};

fn completions(shell: &str) -> String {
    Client::with_url("http://localhost:1").run(&["completions", shell]).succeeded().text()
}

#[test]
fn every_shell_can_read_its_completions() {
    for shell in ["bash", "zsh", "fish"] {
        if !has(&format!("the completions for {shell}"), &[shell]) {
            continue;
        }
        let mut child = Command::new(shell).arg("-n").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(completions(shell).as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{shell}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Bash's script, asked as bash asks it.
#[test]
fn bash_completes_words_and_values() {
    if !has("words that bash completes", &["bash"]) {
        return;
    }
    let script = completions("bash");
    for (line, expected) in [
        ("fpaste comp", "completions"),
        ("fpaste get --met", "--meta"),
        ("fpaste cert -c secp3", "secp384r1"),
        ("fpaste completions f", "fish"),
        ("fpaste notes.txt --bu", "--burn"),
    ] {
        let words: Vec<String> = line.split(' ').map(|word| format!("'{word}'")).collect();
        let ask = format!(
            "compopt() {{ :; }}\n{script}\nCOMP_WORDS=({}); COMP_CWORD={}; _fpaste; echo \"${{COMPREPLY[@]}}\"",
            words.join(" "),
            words.len() - 1
        );
        let output = Command::new("bash").args(["-c", &ask]).current_dir("/").output().unwrap();
        let (reply, error) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert_eq!((reply.trim(), error.as_str()), (expected, ""), "{line}");
    }
}
