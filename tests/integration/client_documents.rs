//! fpaste's help, man page and completions agree.

use crate::client_harness::Client;
use crate::harness::Server;
use flaskpaste::client::flags::COMMANDS;
use flaskpaste::client::manual;
use std::collections::BTreeSet;

/// The names of the commands.
fn commands() -> impl Iterator<Item = &'static str> {
    COMMANDS.iter().map(|row| row.word)
}

fn client() -> Client {
    Client::with_url("http://localhost:1")
}

const MAN_PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/man/fpaste.1");

fn man_page() -> String {
    std::fs::read_to_string(MAN_PAGE).unwrap()
}

/// The man page with freshly rendered lists of options.
fn with_options(page: &str) -> String {
    let (end, mut parts) = (".\\\" /options\n", page.split(".\\\" options of "));
    let mut text = parts.next().unwrap().to_owned();
    for part in parts {
        let (word, rest) = part.split_once('\n').unwrap();
        let (_, after) = rest.split_once(end).expect("the marker after the options");
        let command = COMMANDS.iter().find(|row| row.word == word).map(|row| row.name);
        assert!(command.is_some() || word == "every command", "{word}");
        text.extend([".\\\" options of ", word, "\n", &manual::options(command), end, after]);
    }
    text
}

#[test]
fn the_generated_part_of_the_man_page_is_current() {
    let page = man_page();
    assert!(page == with_options(&page), "run `make docs` to render the options again");
}

#[test]
#[ignore = "writes the man page; `make docs` runs it"]
fn render() {
    std::fs::write(MAN_PAGE, with_options(&man_page())).unwrap();
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
fn the_help_command_shows_what_the_help_option_shows() {
    let text = |arguments: &[&str]| client().run(arguments).succeeded().text();
    assert_eq!(text(&["help"]), text(&["--help"]));
    for command in commands() {
        assert_eq!(text(&["help", command]), text(&[command, "--help"]), "{command}");
    }
    assert!(client().run(&["help", "nonsense"]).failed(2).contains("hint: fpaste help lists the commands"));
    assert!(client().run(&[""]).failed(2).contains("error: a file name is empty"));
}

#[test]
fn the_man_page_has_every_option_and_no_other() {
    let help: BTreeSet<String> = commands()
        .flat_map(|command| options_of_help(&client().run(&[command, "--help"]).succeeded().text()))
        .collect();
    assert!(help.len() > 20, "{help:?}");
    assert_eq!(help, options_of_man_page());
    // The overview shows some of them.
    assert!(options_of_help(&client().run(&["-h"]).succeeded().text()).is_subset(&help));
}

#[test]
fn the_man_page_has_every_command_and_exit_code() {
    let page = man_page();
    for command in commands() {
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
        for command in commands() {
            assert!(script.contains(command), "{shell} {command}");
            for option in options_of_help(&client().run(&[command, "--help"]).succeeded().text()) {
                let long = option.rsplit("--").next().unwrap();
                assert!(script.contains(long), "{shell} {command} --{long}");
            }
        }
    }
}

/// The hosts, ids, keys and times in a text, which differ in each run.
fn varying(text: &str) -> Vec<&str> {
    let is_host = |word: &str| word.starts_with("localhost:") || word.starts_with("127.0.0.1:");
    // Ids have 12 digits, on PostgreSQL 32.
    let is_id = |word: &str| matches!(word.len(), 12 | 32) && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_key = |word: &str| word.len() == 43;
    let is_time = |word: &str| word.len() == 20 && word.ends_with('Z');
    let words = text.split([' ', '\'', '\n', '/', '#']);
    words.filter(|word| is_host(word) || is_id(word) || is_key(word) || is_time(word)).collect()
}

/// A text with some words replaced.
fn replaced<'a>(text: &str, words: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    words.into_iter().fold(text.to_owned(), |text, (word, other)| text.replace(word, other))
}

#[test]
fn the_session_in_the_readme_matches_the_output_of_fpaste() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let session = readme.split_once("<!-- session -->\n```console\n").unwrap().1.split_once("```").unwrap().0;
    let server = Server::start(&[]);
    let client = Client::new(&server);
    // Notes are shown only on terminals.
    let lines: Vec<&str> = session.lines().filter(|line| !line.starts_with("fpaste: note:")).collect();
    assert_eq!(lines[0], "$ cat secret.txt");
    client.file("secret.txt", format!("{}\n", lines[1]));
    // The recorded value, and the value of this run.
    let mut ours: Vec<(String, String)> = Vec::new();
    let blocks: Vec<&[&str]> = lines.chunk_by(|_, next| !next.starts_with("$ ")).collect();
    assert_eq!(blocks.len(), 5);
    for block in blocks {
        let command = replaced(&block[0][2..], ours.iter().map(|(theirs, our)| (theirs.as_str(), our.as_str())));
        let command = command.replacen("fpaste", "\"$FPASTE\"", 1);
        let output = client.shell(&format!("{{ {command}; }} 2>&1")).output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        let recorded = block[1..].join("\n");
        let blank = |text: &str| replaced(text, varying(text).into_iter().map(|word| (word, "…")));
        assert_eq!(blank(&printed).trim_end(), blank(&recorded), "{command}");
        let owned = |text: &str| varying(text).into_iter().map(str::to_owned).collect::<Vec<_>>();
        ours.extend(owned(&recorded).into_iter().zip(owned(&printed)));
    }
}
