//! Progress of long work, as one line of a terminal.
//!
//! Invariant: the line is gone once the work is done or interrupted. Must never fill the terminal's width: the cursor,
//! and the `^C` that the terminal puts there, stay on the line, so that clearing it clears all.

use crate::text::{human_bytes, human_seconds};
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Work that is done sooner shows no progress.
const PATIENCE: Duration = Duration::from_millis(400);
/// How often the line is drawn anew.
const TICK: Duration = Duration::from_millis(100);
/// The width of a bar.
const BAR_CHARS: u64 = 20;
/// Columns left free at the end of the line.
const FREE_COLUMNS: usize = 4;
/// The width of a terminal that does not tell it.
const USUAL_COLUMNS: usize = 80;

/// What the terminal's last line is used for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    Free,
    Progress,
    /// The program is ending.
    Closed,
}

static LINE: Mutex<Line> = Mutex::new(Line::Free);

/// Takes the progress off the terminal for good; whether there was any.
pub fn close() -> bool {
    replace(Line::Closed)
}

/// Clears the line if there is progress on it; whether there was.
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
    /// A display over so many bytes; it appears only if somebody watches and the work takes a moment. Without a total,
    /// a number that goes up.
    pub fn new(label: &'static str, total: Option<u64>, is_watched: bool) -> Self {
        Self { label, total, done: 0, started: Instant::now(), drawn: None, is_watched }
    }

    /// Some bytes more are done.
    pub fn advance(&mut self, bytes: u64) {
        self.done += bytes;
        if self.is_due() {
            show(&self.bytes_text());
        }
    }

    /// Shows that the work goes on, though nobody knows how long, and what is to be said of it.
    pub fn tick(&mut self, text: &str) {
        if self.is_due() {
            show(&format!("{text}, {} so far", human_seconds(self.started.elapsed().as_secs())));
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
    fn bytes_are_told_with_and_without_a_total() {
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
