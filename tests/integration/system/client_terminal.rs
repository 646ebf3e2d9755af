//! fpaste on a terminal: prompts, output filtering, interrupts. The terminal is a real one, created by script(1).

use crate::client_harness::{Client, Running};
use crate::client_network::{Stub, reply};
use crate::harness::{SOON, Server, wait_until};
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// A shell command on its own terminal, with `$FPASTE` as the program.
pub struct Terminal {
    child: Running,
    shown: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Terminal {
    pub fn run(client: &Client, line: &str) -> Self {
        let inner = client.command(&[]);
        let mut command = Command::new("script");
        command.args(["-qec", line, "/dev/null"]).env_clear().current_dir(client.home.path());
        command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("FPASTE", env!("CARGO_BIN_EXE_fpaste")).env("TERM", "xterm").env("SHELL", "/bin/sh");
        let mut child = Running::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let shown = Arc::new(Mutex::new(Vec::new()));
        let (mut stdout, screen) = (child.stdout.take().unwrap(), Arc::clone(&shown));
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = stdout.read(&mut buffer) {
                screen.lock().unwrap().extend_from_slice(&buffer[..read]);
            }
        });
        Self { child, shown, reader }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned()
    }

    pub fn type_after(&mut self, prompt: &str, keys: &str) {
        wait_until(&format!("{prompt} is shown"), SOON, || self.text().contains(prompt));
        self.child.stdin.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
    }

    /// Its exit code, and everything shown.
    pub fn end(mut self) -> (i32, String) {
        let code = self.child.code().unwrap();
        // Its last output may still be in transit.
        wait_until("all of it was read", SOON, || self.reader.is_finished());
        (code, self.text())
    }
}

#[test]
fn the_password_prompt_works_with_piped_stdin_and_does_not_echo() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let mut terminal = Terminal::run(&client, "echo data | $FPASTE -p > link");
    terminal.type_after("generate one): ", "hunter2\n");
    terminal.type_after("Repeat the password: ", "hunter2\n");
    let (code, shown) = terminal.end();
    assert_eq!(code, 0, "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
    let link = std::fs::read_to_string(client.home.join("link")).unwrap();
    // On a terminal, reading prompts by itself.
    let mut terminal = Terminal::run(&client, &format!("$FPASTE get '{}'", link.trim()));
    terminal.type_after(": ", "hunter2\n");
    let (code, shown) = terminal.end();
    assert_eq!((code, shown.contains("data\r\n")), (0, true), "{shown}");
    let mut terminal = Terminal::run(&client, &format!("$FPASTE get '{}'", link.trim()));
    terminal.type_after(": ", "wrong\n");
    assert_eq!(terminal.end().0, 4);
}

#[test]
fn an_interrupted_prompt_restores_the_terminal() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    client.file("x", "x");
    // The shell outlives the interrupt and reports the state of the terminal.
    let interrupted = "trap : INT; $FPASTE x -p; code=$?; stty -a; exit $code";
    let mut terminal = Terminal::run(&client, interrupted);
    terminal.type_after(": ", "\x03");
    let (code, shown) = terminal.end();
    assert_eq!(code, 130, "{shown}");
    assert!(
        shown.starts_with("Password for the new paste (empty to generate one): \r\nspeed ") && is_as_it_was(&shown),
        "{shown}"
    );
    // At any moment, even while the echo is being turned off.
    for pause in ["0", "0.01", "0.02", "0.04", "0.1"] {
        let killed = format!(
            "(while ! pgrep -P $$ -x fpaste; do :; done > pid; sleep {pause}; kill $(cat pid)) & $FPASTE x -p; code=$?; stty -a; exit $code"
        );
        let (code, shown) = Terminal::run(&client, &killed).end();
        assert_eq!(code, 143, "{shown}");
        assert!(is_as_it_was(&shown), "{shown}");
    }
}

/// Whether this output of `stty -a` shows that echo is on.
fn is_as_it_was(shown: &str) -> bool {
    shown.contains(" echo ") && shown.contains(" icanon ")
}

#[test]
fn progress_is_shown_only_on_a_terminal() {
    let puzzle = r#"{"enabled":true,"nonce":"00","difficulty":40,"token":"t"}"#;
    let server = Stub::new(move |_| reply("200 OK", "", puzzle));
    let client = Client::with_url(&server.url);
    client.file("x", "x");
    let mut terminal = Terminal::run(&client, "$FPASTE x");
    terminal.type_after("proof of work, 40 bits: about ", "\x03");
    assert_eq!(terminal.end().0, 130);
    let mut terminal = Terminal::run(&client, "$FPASTE x 2> errors; code=$?; cat errors; exit $code");
    wait_until("the challenge was requested", SOON, || server.heads().matches("get /challenge").count() == 2);
    terminal.type_after("", "\x03");
    let (code, shown) = terminal.end();
    assert!(code == 130 && !shown.contains("proof of work"), "{shown}");
}

#[test]
fn binary_content_is_not_printed_and_a_burned_one_is_kept() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let content: Vec<u8> = (0..=255).collect();
    let link = client.create(&content, &[]);
    let (code, shown) = Terminal::run(&client, &format!("NO_COLOR=1 $FPASTE get '{link}'")).end();
    assert!(code == 1 && shown.contains("error: not showing binary content on a terminal"), "{code} {shown}");
    assert_eq!(Terminal::run(&client, &format!("$FPASTE get -o - '{link}'")).end().0, 0);
    let link = client.create(&content, &["-b"]);
    let (code, shown) = Terminal::run(&client, &format!("$FPASTE get '{link}'")).end();
    assert!(code == 1 && shown.contains("to resume this read"), "{code} {shown}");
    assert_eq!(client.run(&["get", &link]).succeeded().stdout, content);
}

#[test]
fn a_burned_text_keeps_the_characters_hidden_from_the_terminal() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let text = "\x1b]0;red\x1b[2K\x07\n";
    for options in [&["-b"][..], &["-b", "-E"]] {
        let link = client.create(text, options);
        let (code, shown) = Terminal::run(&client, &format!("NO_COLOR=1 $FPASTE get '{link}'")).end();
        assert!(code == 0 && shown.contains("3 control characters were replaced; run fpaste get again"), "{shown:?}");
        assert_eq!(client.run(&["get", &link]).succeeded().text(), text);
    }
    // Nothing is kept of a text that was shown whole, and the reader is told.
    let link = client.create("plain text\n", &["-b"]);
    let (_, shown) = Terminal::run(&client, &format!("NO_COLOR=1 $FPASTE get '{link}'")).end();
    assert!(shown.starts_with("plain text\r\n") && shown.contains("note: that was the only read"), "{shown:?}");
    assert_eq!(std::fs::read_dir(client.state()).unwrap().count(), 2, "the history and its lock");
}

#[test]
fn control_characters_never_reach_the_terminal() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let link = client.create("a\x1b]0;owned\x07b\u{202e}c\tdé", &[]);
    let (code, shown) = Terminal::run(&client, &format!("NO_COLOR=1 $FPASTE get '{link}'")).end();
    assert_eq!(code, 0);
    assert!(
        shown.starts_with("a\u{fffd}]0;owned\u{fffd}b\u{fffd}c\tdé\r\n") && shown.contains("3 control characters"),
        "{shown:?}"
    );
}

#[test]
fn colours_are_used_only_where_supported_and_wanted() {
    let client = Client::with_url("http://127.0.0.1:1");
    let (_, coloured) = Terminal::run(&client, "$FPASTE info").end();
    assert!(coloured.contains("\x1b[31merror:\x1b[0m"), "{coloured:?}");
    let (_, plain) = Terminal::run(&client, "NO_COLOR=1 $FPASTE info").end();
    assert!(plain.contains("fpaste: error: ") && !plain.contains('\x1b'), "{plain:?}");
    assert_eq!(Terminal::run(&client, "TERM=dumb $FPASTE info").end().1, plain);
    assert!(!client.run(&["info"]).failed(7).contains('\x1b'));
}

#[test]
fn without_input_on_a_terminal_it_says_what_to_do() {
    let client = Client::with_url("http://127.0.0.1:1");
    let (code, shown) = Terminal::run(&client, "$FPASTE").end();
    assert!(code == 2 && shown.contains("nothing to upload") && shown.contains("fpaste FILE"), "{shown}");
}
