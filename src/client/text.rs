//! Text for people: without what a terminal would obey, without keys, sizes and durations in words.
//!
//! Invariant: pure functions; what comes out of the cleaning is only shown by a terminal, never obeyed. Must never let a
//! whole key through where keys are cut.

use crate::e2e::Key;

/// Whether a character would be obeyed by a terminal instead of shown: controls, and marks that reorder text.
pub fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// One line of text that a terminal only shows. Line breaks become spaces.
pub fn clean(text: &str) -> String {
    let one_line = text.chars().map(|c| if matches!(c, '\n' | '\t') { ' ' } else { c });
    one_line.filter(|c| !is_unsafe(*c)).collect()
}

/// Text of several lines that a terminal only shows, and how many characters were left out.
pub fn clean_text(text: &str) -> (String, usize) {
    let mut left_out = 0;
    let unix = text.replace("\r\n", "\n");
    let cleaned = unix
        .chars()
        .filter(|c| {
            let shown = matches!(c, '\n' | '\t') || !is_unsafe(*c);
            left_out += usize::from(!shown);
            shown
        })
        .collect();
    (cleaned, left_out)
}

/// Behind a `#`, this many characters of a key's alphabet are taken for one, perhaps a damaged one.
const KEY_LIKE_CHARS: usize = 16;

/// An argument as a message may quote it: without what follows a `#`, for it may be a link.
pub fn without_fragment(argument: &str) -> &str {
    argument.split('#').next().unwrap_or_default()
}

/// A message without keys, whatever it quotes: a path may be a link that was put in the wrong place.
pub fn without_keys(message: &str) -> String {
    let is_of_keys = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let mut shown = String::new();
    let mut rest = message;
    while let Some(start) = rest.find(is_of_keys) {
        let (before, run) = rest.split_at(start);
        let (run, after) = run.split_at(run.find(|c| !is_of_keys(c)).unwrap_or(run.len()));
        let is_key = Key::from_fragment(run).is_some() || before.ends_with('#') && run.len() >= KEY_LIKE_CHARS;
        shown.push_str(before);
        shown.push_str(if is_key { "…" } else { run });
        rest = after;
    }
    shown + rest
}

/// A size for people: `512 B`, `3.0 MiB`.
pub fn human_bytes(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

/// A duration for people, in its two largest units: `4d 23h`, `59s`.
pub fn human_seconds(seconds: u64) -> String {
    let units = [(86_400, 'd'), (3600, 'h'), (60, 'm'), (1, 's')];
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (size, name) in units {
        if rest >= size {
            parts.push(format!("{}{name}", rest / size));
            rest %= size;
        } else if !parts.is_empty() {
            break;
        }
        if parts.len() == 2 {
            break;
        }
    }
    if parts.is_empty() { "0s".into() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_unsafe_reaches_a_terminal() {
        assert_eq!(clean("a\x1b]0;x\x07b\nc\u{9b}31m\u{202e}d\r"), "a]0;xb c31md");
        assert_eq!(clean_text("a\r\nb\tc\x1b[2J\u{85}"), ("a\nb\tc[2J".into(), 2));
        assert_eq!(clean("ünïcödé 🙂"), "ünïcödé 🙂");
    }

    #[test]
    fn keys_are_cut_and_nothing_else() {
        let key = "qBlAjOUBDKLgnvWaw9ifX_hZXQK1JOYb-K-olKldWU8";
        for (text, shown) in [
            (format!("cannot read https://x/abcd#{key}: no"), "cannot read https://x/abcd#…: no"),
            (format!("there is no file {key}"), "there is no file …"),
            (format!("x#{}:L1", &key[1..]), "x#…:L1"),
            ("notes#2.txt, --from F '#KEY', ünïcödé".into(), "notes#2.txt, --from F '#KEY', ünïcödé"),
            ("a".repeat(44), &*"a".repeat(44)),
        ] {
            assert_eq!(without_keys(&text), shown);
        }
    }

    #[test]
    fn durations_for_people() {
        let cases = [(0, "0s"), (59, "59s"), (60, "1m"), (3661, "1h 1m"), (432_000, "5d"), (86_401, "1d")];
        for (seconds, text) in cases {
            assert_eq!(human_seconds(seconds), text, "{seconds}");
        }
    }
}
