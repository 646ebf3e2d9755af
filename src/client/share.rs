//! The link to other places than stdout: the clipboard, and a QR code.
//!
//! Invariant: what fails here, or hangs, is a warning; the link has been printed. Must never put the link into an argument.

use super::Session;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a clipboard's program is waited for.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often it is looked at.
const TICK: Duration = Duration::from_millis(5);

/// Draws the link on stderr.
pub fn draw_qr(session: &Session<'_>, link: &str) {
    use qrcode::render::unicode::Dense1x2;
    match qrcode::QrCode::new(link) {
        // Light on dark terminals: the module colours are turned round, and the margin is drawn.
        Ok(code) => {
            let drawn = code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
            session.ui.print(&format!("{drawn}\n"));
        }
        Err(error) => session.ui.warning(&format!("no QR code: {error}")),
    }
}

/// Programs that take the clipboard's text on stdin, and the variable that tells whether they can work.
const CLIPBOARDS: &[(&str, &str, &[&str])] = &[
    ("WAYLAND_DISPLAY", "wl-copy", &[]),
    ("DISPLAY", "xclip", &["-selection", "clipboard"]),
    ("DISPLAY", "xsel", &["--clipboard", "--input"]),
    ("TMUX", "tmux", &["load-buffer", "-w", "-"]),
];

/// Copies the link. It goes through a pipe: an argument could be seen by everybody on the machine.
pub fn copy(session: &Session<'_>, link: &str) {
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
        let written = child.stdin.take().is_some_and(|mut stdin| stdin.write_all(link.as_bytes()).is_ok());
        if written && ends_well(&mut child) {
            return session.ui.note("the link is in the clipboard");
        }
    }
    session.ui.warning("the link could not be copied: none of wl-copy, xclip, xsel and tmux worked");
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
