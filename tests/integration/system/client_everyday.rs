//! Everyday use of fpaste that needs a terminal.

use super::client_terminal::Terminal;
use crate::client_harness::Client;
use crate::client_network::{Stub, accepting, reply};
use crate::harness::{SOON, Server, wait_until};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The link of a new paste, which a command on a terminal has written to the file `link`.
fn link_of(client: &Client) -> String {
    std::fs::read_to_string(client.home.join("link")).unwrap().trim().to_owned()
}

/// Types this after the prompt has appeared this many times.
fn answer(terminal: &mut Terminal, question: &str, times: usize, keys: &str) {
    wait_until(question, SOON, || terminal.text().matches(question).count() == times);
    terminal.type_after("", keys);
}

#[test]
fn a_new_password_is_typed_twice_and_a_mismatch_prompts_again() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let mut terminal = Terminal::run(&client, "echo data | $FPASTE -p > link");
    answer(&mut terminal, "Password for the new paste (empty to generate one): ", 1, "hunter2\n");
    answer(&mut terminal, "Repeat the password: ", 1, "hunter3\n");
    answer(
        &mut terminal,
        "the passwords do not match\r\nPassword for the new paste (empty to generate one): ",
        1,
        "hunter2\n",
    );
    answer(&mut terminal, "Repeat the password: ", 2, "hunter2\n");
    let (code, shown) = terminal.end();
    assert!(code == 0 && !shown.contains("hunter"), "{shown}");
    let link = link_of(&client);
    let mut terminal = Terminal::run(&client, &format!("$FPASTE '{link}'"));
    let id = link.split('#').next().unwrap().rsplit('/').next().unwrap();
    terminal.type_after(&format!("Password for paste {id}: "), "hunter2\n");
    let (code, shown) = terminal.end();
    assert!(code == 0 && shown.contains("data\r\n"), "{shown}");
    // The environment variable comes before any prompt.
    let (code, shown) = Terminal::run(&client, &format!("FPASTE_PASSWORD=hunter2 $FPASTE '{link}'")).end();
    assert_eq!((code, shown.as_str()), (0, "data\r\n"));
}

#[test]
fn three_password_mismatches_create_no_paste() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let mut terminal = Terminal::run(&client, "echo data | NO_COLOR=1 $FPASTE -p");
    for slip in 1..=3 {
        answer(&mut terminal, "generate one): ", slip, "one\n");
        answer(&mut terminal, "Repeat the password: ", slip, "other\n");
    }
    let (code, shown) = terminal.end();
    assert!(code == 2 && shown.contains("error: the passwords did not match in 3 attempts"), "{shown}");
}

#[test]
fn an_empty_password_prompt_generates_one() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let mut terminal = Terminal::run(&client, "echo data | $FPASTE -pq > link");
    terminal.type_after("Password for the new paste (empty to generate one): ", "\n");
    let (code, shown) = terminal.end();
    let password = shown.lines().find_map(|line| line.strip_prefix("fpaste: password: ")).unwrap();
    assert!(code == 0 && password.len() == 23 && password.split('-').all(|part| part.len() == 5), "{shown}");
    let link = link_of(&client);
    client.run(&["get", &link]).failed(4);
    assert_eq!(client.with("FPASTE_PASSWORD", password).run(&["get", &link]).succeeded().text(), "data\n");
}

#[test]
fn the_link_prompt_does_not_echo() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let link = client.create("data\n", &[]);
    let mut terminal = Terminal::run(&client, "$FPASTE get -");
    terminal.type_after("Link: ", &format!("{link}\n"));
    let (code, shown) = terminal.end();
    assert_eq!((code, shown.as_str()), (0, "Link: \r\ndata\r\n"));
    // Also with a password from standard input.
    client.file("x", "x");
    let mut terminal = Terminal::run(&client, "$FPASTE x --password-file - > link");
    terminal.type_after("Password: ", "hunter2\n");
    let (code, shown) = terminal.end();
    assert!(code == 0 && !shown.contains("hunter2"), "{shown}");
    client.with("FPASTE_PASSWORD", "hunter2").run(&["get", &link_of(&client)]).succeeded();
}

#[test]
fn colours_in_a_text_are_shown_and_reset_at_its_end() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let link = client.create("\x1b[1;31mred\x1b[2J\x1b[38;5;9m!\n", &[]);
    let (code, shown) = Terminal::run(&client, &format!("NO_COLOR=1 $FPASTE get '{link}'")).end();
    assert!(code == 0 && shown.starts_with("\x1b[1;31mred\u{fffd}[2J\x1b[38;5;9m!\x1b[0m\r\n"), "{shown:?}");
    assert!(shown.contains("1 control characters were replaced"), "{shown:?}");
}

/// Black modules on a white background, whatever the colours of the terminal.
#[test]
fn a_qr_code_is_black_on_white() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    client.file("x", "x");
    let (code, shown) = Terminal::run(&client, "$FPASTE --qr x").end();
    let lines: Vec<&str> = shown.lines().filter(|line| line.contains('█')).collect();
    assert!(code == 0 && lines.len() > 10, "{shown}");
    for line in &lines {
        assert!(line.starts_with("\x1b[38;5;16;48;5;231m    ") && line.ends_with("    \x1b[0m"), "{line:?}");
    }
    assert!(lines[0].contains("m    █▀▀▀▀▀█ "), "{:?}", lines[0]);
    // Without colours it is drawn for a dark background, as before.
    let (_, plain) = Terminal::run(&client, "NO_COLOR=1 $FPASTE --qr x").end();
    assert!(plain.contains("█ ▄▄▄▄▄ █") && !plain.contains('\x1b'), "{plain}");
}

#[test]
fn over_ssh_copying_uses_the_terminal() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    client.file("x", "x");
    let here = "PATH=/nowhere $FPASTE x -c > link";
    let (_, shown) = Terminal::run(&client, here).end();
    assert!(shown.contains("cannot copy to the clipboard") && !shown.contains("\x1b]52"), "{shown:?}");
    for variable in ["SSH_TTY=/dev/pts/9", "SSH_CONNECTION=x"] {
        // Wherever stderr leads, the terminal gets it.
        let (code, shown) = Terminal::run(&client, &format!("{variable} {here} 2> notes; cat notes")).end();
        let sequence = format!("\x1b]52;c;{}\x07", STANDARD.encode(link_of(&client)));
        assert_eq!((code, shown), (0, sequence));
    }
}

/// A shell's next prompt starts at the beginning of a line, with no progress before it.
#[test]
fn an_interrupt_leaves_a_clean_line() {
    let puzzle = r#"{"enabled":true,"nonce":"00","difficulty":40,"token":"t"}"#;
    let server = Stub::new(move |line| {
        if line.contains("/challenge") {
            return reply("200 OK", "", puzzle);
        }
        accepting(line)
    });
    let client = Client::with_url(&server.url);
    client.file("x", "x");
    let command = "trap : INT; $FPASTE x; echo after";
    let mut terminal = Terminal::run(&client, command);
    terminal.type_after("proof of work, 40 bits: about ", "\x03");
    let shown = terminal.end().1;
    let last = shown.rsplit_once("\r\x1b[K").unwrap();
    // It may have been redrawn after the ^C.
    assert!(last.1 == "after\r\n" && last.0.contains("^C"), "{shown:?}");
    // The line is not filled: the ^C added by the terminal would wrap.
    let drawn = shown.split('\r').filter(|part| part.starts_with("proof of work"));
    assert!(drawn.map(|part| part.trim_end_matches("^C").chars().count()).all(|columns| columns <= 79), "{shown:?}");
    // Before any progress.
    let waiting = Stub::new(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nConnection: close\r\n\r\nhalf".to_vec());
    let client = client.with("FLASKPASTE_SERVER", &waiting.url);
    let mut terminal = Terminal::run(&client, command);
    wait_until("the server got a request", SOON, || !waiting.heads().is_empty());
    terminal.type_after("", "\x03");
    assert_eq!(terminal.end().1, "^C\r\nafter\r\n");
}

/// End of input is not an answer; an empty line is one.
#[test]
fn end_of_input_at_a_prompt_creates_no_paste() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let mut terminal = Terminal::run(&client, "echo data | NO_COLOR=1 $FPASTE -p");
    terminal.type_after("generate one): ", "\x04");
    let (code, shown) = terminal.end();
    assert!(code == 2 && shown.contains("error: no password was entered"), "{shown}");
    assert!(!client.history().exists() && !shown.contains("fpaste: password: "), "{shown}");
}
