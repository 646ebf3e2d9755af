//! What was printed, in other places than stdout: the clipboard, and a QR code of the link.
//!
//! Invariant: what fails here, or hangs, is a warning; the link has been printed. Must never put the link into an argument,
//! nor write a control sequence to anything but a terminal.

use super::Session;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fs::File;
use std::io::{self, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// How long a clipboard's program is waited for.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often it is looked at.
const TICK: Duration = Duration::from_millis(5);

/// Draws the link on stderr.
pub fn draw_qr(session: &Session<'_>, link: &str) {
    use qrcode::render::unicode::Dense1x2;
    let code = match qrcode::QrCode::new(link) {
        Ok(code) => code,
        Err(error) => return session.ui.warning(&format!("no QR code: {error}")),
    };
    if session.ui.is_coloured() {
        let drawn = Zeroizing::new(code.render::<Dense1x2>().build());
        for line in drawn.lines() {
            session.ui.print(&format!("{BLACK_ON_WHITE}{line}{USUAL_COLOURS}\n"));
        }
    } else {
        // For light text on a dark ground, as most terminals have it.
        let drawn = code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
        session.ui.print(&format!("{drawn}\n"));
    }
}

/// Of the fixed colours among the 256: what a theme makes of the first sixteen may be anything.
const BLACK_ON_WHITE: &str = "\x1b[38;5;16;48;5;231m";
const USUAL_COLOURS: &str = "\x1b[0m";

/// Programs that take the clipboard's text on stdin, and the variable that tells whether they can work.
const CLIPBOARDS: &[(&str, &str, &[&str])] = &[
    ("WAYLAND_DISPLAY", "wl-copy", &[]),
    ("DISPLAY", "xclip", &["-selection", "clipboard"]),
    ("DISPLAY", "xsel", &["--clipboard", "--input"]),
    ("TMUX", "tmux", &["load-buffer", "-w", "-"]),
];

/// Copies what was printed. It goes through a pipe: an argument could be seen by everybody on the machine.
pub fn copy(session: &Session<'_>, text: &str) {
    let usable = CLIPBOARDS.iter().filter(|(variable, ..)| std::env::var_os(variable).is_some());
    for (_, program, arguments) in usable {
        let command = Command::new(program)
            .args(*arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut child) = command else { continue };
        // A link is shorter than what a pipe holds: this waits for nobody.
        let written = child.stdin.take().is_some_and(|mut stdin| stdin.write_all(text.as_bytes()).is_ok());
        if written && ends_well(&mut child) {
            return session.ui.note("copied to the clipboard");
        }
    }
    let is_distant = ["SSH_TTY", "SSH_CONNECTION"].iter().any(|name| std::env::var_os(name).is_some());
    if is_distant && offer_to_terminal(text).is_ok() {
        return session.ui.note("given to the terminal to copy (OSC 52), which not every one does");
    }
    session.ui.warning("what was printed could not be copied: none of wl-copy, xclip, xsel and tmux worked");
}

/// Asks the terminal to copy, by OSC 52: the clipboard is where the terminal is, and over ssh nothing else gets there.
/// The process's own terminal, whatever stdout and stderr are.
fn offer_to_terminal(text: &str) -> io::Result<()> {
    let encoded = Zeroizing::new(STANDARD.encode(text));
    let sequence = Zeroizing::new(format!("\x1b]52;c;{}\x07", encoded.as_str()));
    File::options().write(true).open("/dev/tty")?.write_all(sequence.as_bytes())
}

/// Whether the program ends in time, without a failure. One that does not is ended.
fn ends_well(child: &mut Child) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        match child.try_wait() {
            Ok(None) => std::thread::sleep(TICK),
            ended => return ended.is_ok_and(|status| status.is_some_and(|status| status.success())),
        }
    }
    let _ = child.kill().and_then(|()| child.wait());
    false
}
