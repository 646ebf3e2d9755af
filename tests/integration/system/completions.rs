//! fpaste's completions, loaded by their shells.

use super::client_terminal::Terminal;
use super::programs::has;
use crate::client_harness::Client;
use crate::harness::{SOON, Server, search_path, wait_until};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

fn completions(shell: &str) -> String {
    Client::with_url("http://localhost:1").run(&["completions", shell]).succeeded().text()
}

#[test]
fn every_shell_loads_its_completions() {
    for shell in ["bash", "zsh", "fish"] {
        if !has(&format!("completions for {shell}"), &[shell]) {
            continue;
        }
        let mut child = Command::new(shell).arg("-n").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(completions(shell).as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{shell}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Bash's script, called as bash calls it.
#[test]
fn bash_completes_words_and_values() {
    if !has("bash completion of words", &["bash"]) {
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

/// What an interactive bash makes of keystrokes: the arguments `fpaste` would get.
#[test]
fn bash_completes_files_folders_and_ids() {
    if !has("bash completion of names", &["bash", "script"]) {
        return;
    }
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let link = client.create("x", &[]);
    let id = link.split('#').next().unwrap().rsplit('/').next().unwrap();
    client.file("my file.txt", "x");
    client.file("list of names", "x");
    std::fs::create_dir_all(client.home.join("folder of mine")).unwrap();
    client.file("folder of mine/inner", "x");
    client.file(
        "rc",
        "source <(\"$FPASTE\" completions bash)\nPS1='ready> '\nbind 'set enable-bracketed-paste off'\n\
         fpaste() { [[ $1 == completions ]] && { \"$FPASTE\" \"$@\"; return; }; printf '<%s>' \"$@\"; echo; }\n",
    );
    let home = client.home.path().display();
    let mut terminal = Terminal::run(&client, "bash --rcfile rc -i");
    for (count, (keys, expected)) in (1..).zip([
        ("fpaste my\t", "<my file.txt>".to_owned()),
        ("fpaste 'my\t", "<my file.txt>".to_owned()),
        ("fpaste my\\ f\t", "<my file.txt>".to_owned()),
        ("fpaste fol\tin\t", "<folder of mine/inner>".to_owned()),
        ("fpaste ~/my\t", format!("<{home}/my file.txt>")),
        ("fpaste -b my\t", "<-b><my file.txt>".to_owned()),
        ("fpaste list\\ \t", "<list of names>".to_owned()),
        ("fpaste resu\t", "<resume>".to_owned()),
        ("fpaste get -o my\t", "<get><-o><my file.txt>".to_owned()),
        ("fpaste delete \t", format!("<delete><{id}>")),
        ("fpaste get \t", format!("<get><{id}>")),
    ]) {
        wait_until("bash is ready", SOON, || terminal.text().matches("ready> ").count() >= count);
        let before = terminal.text().len();
        terminal.type_after("", &format!("{keys}\n"));
        wait_until(&format!("{keys:?} has given {expected}"), SOON, || {
            terminal.text().matches("ready> ").count() > count
        });
        let shown = terminal.text().split_off(before);
        assert!(shown.contains(&format!("\n{expected}\r\n")), "{keys:?}: {shown}");
    }
    terminal.type_after("", "exit\n");
    terminal.end();
}

#[test]
fn fish_completes_ids_with_descriptions() {
    if !has("fish completion of names", &["fish"]) {
        return;
    }
    let server = Server::start(&[]);
    let client = Client::new(&server);
    client.file("notes.txt", "x");
    let link = client.run(&["notes.txt"]).succeeded().line();
    let id = link.split('#').next().unwrap().rsplit('/').next().unwrap();
    let bin = Path::new(env!("CARGO_BIN_EXE_fpaste")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), search_path());
    let script = "fish --no-config -c 'fpaste completions fish | source; complete -C \"fpaste delete \"'";
    let output = client.shell(script).env("PATH", path).output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.starts_with(&format!("{id}\tnotes.txt, ")) && shown.lines().count() == 1, "{shown}");
}
