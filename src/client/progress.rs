//! A progress line on the terminal.
//!
//! Invariant: the line is cleared when the work is done or interrupted. Must never fill the terminal's width: the
//! cursor and an echoed `^C` must stay on the line, so that clearing it removes everything.

use crate::text::{human_bytes, human_seconds};
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Shorter work shows no progress.
const PATIENCE: Duration = Duration::from_millis(400);
/// How often the line is redrawn.
const TICK: Duration = Duration::from_millis(100);
/// The width of a bar.
const BAR_CHARS: u64 = 20;
/// Columns left free at the end of the line.
const FREE_COLUMNS: usize = 4;
/// The assumed width of a terminal that does not report it.
const USUAL_COLUMNS: usize = 80;

/// The use of the terminal's last line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    Free,
    Progress,
    /// The program is exiting.
    Closed,
}

static LINE: Mutex<Line> = Mutex::new(Line::Free);

/// Removes the progress line for good. Returns whether there was one.
pub fn close() -> bool {
    replace(Line::Closed)
}

/// Clears the progress line. Returns whether there was one.
fn replace(next: Line) -> bool {
    let mut line = LINE.lock().unwrap_or_else(PoisonError::into_inner);
    let was_shown = *line == Line::Progress;
    if was_shown {
        let _ = io::stderr().write_all(b"\r\x1b[K");
    }
    if *line != Line::Closed {
        *line = next;
    }
    was_shown
}

fn show(text: &str) {
    let mut line = LINE.lock().unwrap_or_else(PoisonError::into_inner);
    if *line == Line::Closed {
        return;
    }
    let columns = rustix::termios::tcgetwinsize(io::stderr()).map_or(0, |size| usize::from(size.ws_col));
    let columns = if columns == 0 { USUAL_COLUMNS } else { columns };
    let text: String = text.chars().take(columns.saturating_sub(FREE_COLUMNS)).collect();
    let _ = io::stderr().write_all(format!("\r{text}\x1b[K").as_bytes());
    *line = Line::Progress;
}

/// Progress of one piece of work.
pub struct Meter {
    label: &'static str,
    total: Option<u64>,
    done: u64,
    started: Instant,
    drawn: Option<Instant>,
    is_watched: bool,
}

impl Meter {
    /// A progress display for `total` bytes, shown only on a terminal and after a moment. Without a total it shows a
    /// running count.
    pub fn new(label: &'static str, total: Option<u64>, is_watched: bool) -> Self {
        Self { label, total, done: 0, started: Instant::now(), drawn: None, is_watched }
    }

    /// Adds finished bytes.
    pub fn advance(&mut self, bytes: u64) {
        self.done += bytes;
        if self.is_due() {
            show(&self.bytes_text());
        }
    }

    /// Shows this text and the elapsed time, for work of unknown length.
    pub fn tick(&mut self, text: &str) {
        if self.is_due() {
            show(&format!("{text}, {} elapsed", human_seconds(self.started.elapsed().as_secs())));
        }
    }

    fn is_due(&mut self) -> bool {
        let is_due =
            self.is_watched && self.drawn.map_or(self.started.elapsed() > PATIENCE, |drawn| drawn.elapsed() > TICK);
        if is_due {
            self.drawn = Some(Instant::now());
        }
        is_due
    }

    fn bytes_text(&self) -> String {
        let milliseconds = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = (self.done.saturating_mul(1000) / milliseconds).max(1);
        let (label, done) = (self.label, human_bytes(self.done));
        let Some(total) = self.total.filter(|total| *total > 0) else {
            return format!("{label} {done}, {}/s", human_bytes(rate));
        };
        let filled = (self.done.saturating_mul(BAR_CHARS) / total).min(BAR_CHARS);
        let bar: String = (0..BAR_CHARS).map(|at| if at < filled { '#' } else { '-' }).collect();
        let left = human_seconds(total.saturating_sub(self.done) / rate);
        format!("{label} {bar} {done} of {}, {}/s, {left} left", human_bytes(total), human_bytes(rate))
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        replace(Line::Free);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_with_and_without_a_total() {
        let mut meter = Meter::new("uploading", Some(4 << 20), false);
        meter.advance(1 << 20);
        let text = meter.bytes_text();
        assert!(text.starts_with("uploading #####--------------- 1.00 MiB of 4.00 MiB, "), "{text}");
        assert!(text.ends_with(" left"), "{text}");
        meter.advance(9 << 20);
        assert!(meter.bytes_text().contains(" #################### 10.00 MiB of 4.00 MiB, "), "{}", meter.bytes_text());
        let mut endless = Meter::new("downloading", None, false);
        endless.advance(5);
        assert!(endless.bytes_text().starts_with("downloading 5 B, "), "{}", endless.bytes_text());
    }
}
