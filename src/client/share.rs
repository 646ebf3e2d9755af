//! Copies the link to the clipboard, and prints its QR code.
//!
//! Invariant: a failure or hang here is only a warning, as the link was already printed. Must never pass the link as an
//! argument, nor write a control sequence to anything but a terminal.

use super::Session;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fs::File;
use std::io::{self, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// How long to wait for a clipboard program.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often it is polled.
const TICK: Duration = Duration::from_millis(5);

/// Prints a QR code of the link to stderr.
pub fn draw_qr(session: &Session<'_>, link: &str) {
    use qrcode::render::unicode::Dense1x2;
    let code = match qrcode::QrCode::new(link) {
        Ok(code) => code,
        Err(error) => return session.ui.warning(&format!("cannot create a QR code: {error}")),
    };
    if session.ui.is_coloured() {
        let drawn = Zeroizing::new(code.render::<Dense1x2>().build());
        for line in drawn.lines() {
            session.ui.print(&format!("{BLACK_ON_WHITE}{line}{USUAL_COLOURS}\n"));
        }
    } else {
        // For light text on a dark background, as in most terminals.
        let drawn = code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
        session.ui.print(&format!("{drawn}\n"));
    }
}

/// Fixed colours of the 256-colour palette: themes change the first sixteen.
const BLACK_ON_WHITE: &str = "\x1b[38;5;16;48;5;231m";
const USUAL_COLOURS: &str = "\x1b[0m";

/// Programs that read the clipboard's text from stdin, and the environment variable they depend on.
const CLIPBOARDS: &[(&str, &str, &[&str])] = &[
    ("WAYLAND_DISPLAY", "wl-copy", &[]),
    ("DISPLAY", "xclip", &["-selection", "clipboard"]),
    ("DISPLAY", "xsel", &["--clipboard", "--input"]),
    ("TMUX", "tmux", &["load-buffer", "-w", "-"]),
];

/// Copies the text to the clipboard. It goes through a pipe: arguments are visible to all users of the machine.
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
        // A link fits in the pipe's buffer, so this does not block.
        let written = child.stdin.take().is_some_and(|mut stdin| stdin.write_all(text.as_bytes()).is_ok());
        if written && ends_well(&mut child) {
            return session.ui.note("copied to the clipboard");
        }
    }
    let is_distant = ["SSH_TTY", "SSH_CONNECTION"].iter().any(|name| std::env::var_os(name).is_some());
    if is_distant && offer_to_terminal(text).is_ok() {
        return session.ui.note("sent to the terminal's clipboard (OSC 52); not every terminal supports this");
    }
    session.ui.warning("cannot copy to the clipboard: none of wl-copy, xclip, xsel and tmux worked");
}

/// Asks the terminal to copy the text with OSC 52, which works over ssh. Uses the controlling terminal, whatever stdout
/// and stderr are.
fn offer_to_terminal(text: &str) -> io::Result<()> {
    let encoded = Zeroizing::new(STANDARD.encode(text));
    let sequence = Zeroizing::new(format!("\x1b]52;c;{}\x07", encoded.as_str()));
    File::options().write(true).open("/dev/tty")?.write_all(sequence.as_bytes())
}

/// Whether the program succeeds in time. If it hangs, it is killed.
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
