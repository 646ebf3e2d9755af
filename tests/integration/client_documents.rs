//! fpaste's help, man page and completions say the same.

use crate::client_harness::Client;
use std::collections::BTreeSet;

const COMMANDS: [&str; 12] =
    ["create", "resume", "get", "ask", "answer", "delete", "list", "info", "server", "verify", "cert", "completions"];

fn client() -> Client {
    Client::with_url("http://localhost:1")
}

fn man_page() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/man/fpaste.1")).unwrap()
}

/// `-b --burn` of every option line of a help text; `--qr` alone where there is no short form.
fn options_of_help(text: &str) -> BTreeSet<String> {
    let line = |line: &str| {
        let words: Vec<&str> = line.trim_start().split([' ', ',']).filter(|word| !word.is_empty()).collect();
        let flags: Vec<&str> = words.into_iter().take_while(|word| word.starts_with('-')).collect();
        (line.starts_with("  ") && !flags.is_empty()).then(|| flags.join(" "))
    };
    text.lines().filter_map(line).collect()
}

/// The same of the man page's `.It Fl b , Fl \-burn` lines.
fn options_of_man_page() -> BTreeSet<String> {
    let page = man_page().replace("\\-", "-");
    let items = page.lines().filter_map(|line| line.strip_prefix(".It Fl "));
    items
        .map(|item| {
            let flags: Vec<String> =
                item.split(" , Fl ").map(|flag| format!("-{}", flag.split(' ').next().unwrap())).collect();
            flags.join(" ")
        })
        .collect()
}

#[test]
fn the_man_page_has_every_option_and_no_other() {
    let help: BTreeSet<String> = COMMANDS
        .iter()
        .flat_map(|command| options_of_help(&client().run(&[command, "--help"]).succeeded().text()))
        .collect();
    assert!(help.len() > 20, "{help:?}");
    assert_eq!(help, options_of_man_page());
    // What the overview shows are some of them.
    assert!(options_of_help(&client().run(&["-h"]).succeeded().text()).is_subset(&help));
}

#[test]
fn the_man_page_has_every_command_and_exit_code() {
    let page = man_page();
    for command in COMMANDS {
        assert!(page.contains(&format!(".It Cm {command}")), "{command}");
    }
    for code in [0, 1, 2, 3, 4, 5, 6, 7, 8, 130] {
        assert!(page.lines().any(|line| line == format!(".It {code}")), "{code}");
    }
}

#[test]
fn completions_know_every_command_and_option() {
    for shell in ["bash", "zsh", "fish"] {
        let script = client().run(&["completions", shell]).succeeded().text();
        for command in COMMANDS {
            assert!(script.contains(command), "{shell} {command}");
            for option in options_of_help(&client().run(&[command, "--help"]).succeeded().text()) {
                let long = option.rsplit("--").next().unwrap();
                assert!(script.contains(long), "{shell} {command} --{long}");
            }
        }
    }
}
