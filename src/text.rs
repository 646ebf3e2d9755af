//! Text for people: removes control characters and keys, and formats sizes and durations.
//!
//! Invariant: pure functions; cleaned text has no effect on a terminal and marks every removed character. Must never
//! let a complete key through where keys are removed.

/// Replaces a removed character, so that the text around it is not joined.
const MARK: char = '\u{fffd}';

/// Whether a character is unsafe on a terminal: control characters, bidirectional and line-breaking marks, and
/// invisible characters.
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}'
        )
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// Invisible characters that are legitimate in longer texts: joiners of letters and emoji, and soft hyphens.
pub fn belongs_to_words(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200c}' | '\u{200d}')
}

/// One line of text that is safe on a terminal. Line breaks become spaces, unsafe characters become marks.
pub fn clean(text: &str) -> String {
    let shown = |c| match c {
        '\n' | '\t' => ' ',
        c if is_unsafe(c) => MARK,
        c => c,
    };
    text.chars().map(shown).collect()
}

/// The errors of the system in a message, in plain words: `Permission denied (os error 13)` becomes `permission
/// denied`.
pub fn without_error_numbers(message: &str) -> String {
    const MARK: &str = " (os error ";
    let (mut plain, mut rest) = (String::with_capacity(message.len()), message);
    while let Some((before, after)) = rest.split_once(MARK) {
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        match after.get(digits..).and_then(|end| end.strip_prefix(')')) {
            Some(end) if digits > 0 => {
                // The error begins the message, or follows a colon or a bracket.
                let start = [": ", "("].iter().filter_map(|mark| Some(before.rfind(mark)? + mark.len())).max();
                let (context, error) = before.split_at(start.unwrap_or(0));
                plain.push_str(context);
                plain.push_str(&without_capital(error));
                rest = end;
            }
            _ => {
                plain.push_str(before);
                plain.push_str(MARK);
                rest = after;
            }
        }
    }
    plain + rest
}

/// A sentence without its first capital, unless that belongs to a name, such as `X-Expiry` or `I/O`.
pub fn without_capital(sentence: &str) -> String {
    let mut letters = sentence.split(' ').next().unwrap_or_default().chars();
    match letters.next() {
        Some(first) if !letters.any(char::is_uppercase) => {
            first.to_lowercase().chain(sentence.chars().skip(1)).collect()
        }
        _ => sentence.to_owned(),
    }
}

/// Resets all colours.
const RESET: &str = "\x1b[0m";

/// Several lines of text that are safe on a terminal, colours included, and the number of replaced characters.
pub fn clean_text(text: &str) -> (String, usize) {
    let unix = text.replace("\r\n", "\n");
    // Strip a byte order mark.
    let mut rest = unix.strip_prefix('\u{feff}').unwrap_or(&unix);
    let (mut cleaned, mut left_out, mut is_coloured) = (String::with_capacity(rest.len()), 0, false);
    while let Some(c) = rest.chars().next() {
        let colour_bytes = colour_at_start(rest);
        let (part, after) = rest.split_at(colour_bytes.unwrap_or(c.len_utf8()));
        is_coloured |= colour_bytes.is_some();
        if colour_bytes.is_some() || matches!(c, '\n' | '\t') || !is_unsafe(c) || belongs_to_words(c) {
            cleaned.push_str(part);
        } else {
            cleaned.push(MARK);
            left_out += 1;
        }
        rest = after;
    }
    // Reset the colours after the text.
    if is_coloured {
        let line_end = cleaned.len() - usize::from(cleaned.ends_with('\n'));
        cleaned.insert_str(line_end, RESET);
    }
    (cleaned, left_out)
}

/// After a `#`, this many characters of a key's alphabet count as a key, possibly a damaged one.
const KEY_LIKE_CHARS: usize = 16;

/// Elsewhere, this many count as a key of 43 characters, possibly with one or two missing. One more than the digits of
/// a SHA-1.
const KEY_CHARS_AND_LESS: usize = 41;

/// An argument as quoted in a message: without the part after a `#`, as it may be a link.
pub fn without_fragment(argument: &str) -> &str {
    argument.split('#').next().unwrap_or_default()
}

/// Removes keys from a message: a quoted path may be a misplaced link.
pub fn without_keys(message: &str) -> String {
    let is_of_keys = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let mut shown = String::new();
    let mut rest = message;
    while let Some(start) = rest.find(is_of_keys) {
        let (before, run) = rest.split_at(start);
        let (run, after) = run.split_at(run.find(|c| !is_of_keys(c)).unwrap_or(run.len()));
        let is_key = run.len() >= KEY_CHARS_AND_LESS || before.ends_with('#') && run.len() >= KEY_LIKE_CHARS;
        shown.push_str(before);
        shown.push_str(if is_key { "…" } else { run });
        rest = after;
    }
    shown + rest
}

/// The length of the colour sequence (SGR, `ESC [ … m`) at the start of the text.
fn colour_at_start(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\x1b[")?;
    let end = parameters.find(|c: char| !c.is_ascii_digit() && !matches!(c, ';' | ':'))?;
    let is_colour = parameters.get(end..)?.starts_with('m') && hides_nothing(parameters.get(..end)?);
    is_colour.then_some("\x1b[".len() + end + "m".len())
}

/// Whether none of the parameters conceals the text or makes it blink, skipping the arguments of indexed colours.
fn hides_nothing(parameters: &str) -> bool {
    let mut numbers = parameters.split(';').map(|group| group.split(':').next().unwrap_or_default());
    while let Some(number) = numbers.next() {
        match number {
            "5" | "05" | "6" | "06" | "8" | "08" => return false,
            "38" | "48" | "58" => {
                let length = match numbers.next() {
                    Some("5") => 1,
                    Some("2") => 3,
                    _ => 0,
                };
                numbers.by_ref().take(length).for_each(drop);
            }
            _ => {}
        }
    }
    true
}

/// A human-readable size: `512 B`, `3.00 MiB`.
pub fn human_bytes(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let Some((unit, name)) = units.into_iter().find(|(unit, _)| bytes >= *unit) else { return format!("{bytes} B") };
    let hundredths = (u128::from(bytes) * 100 + u128::from(unit / 2)) / u128::from(unit);
    format!("{}.{:02} {name}", hundredths / 100, hundredths % 100)
}

/// A human-readable duration in its two largest units: `4d 23h`, `59s`.
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
    fn errors_of_the_system_are_plain_words() {
        let denied = std::io::Error::from_raw_os_error(13);
        for (message, plain) in [
            (denied.to_string(), "permission denied"),
            (format!("cannot read /a: {denied}; fix its mode"), "cannot read /a: permission denied; fix its mode"),
            (format!("in use ({denied}), twice: {denied}"), "in use (permission denied), twice: permission denied"),
            ("x: RPC failed (os error 5)".into(), "x: RPC failed"),
            ("Fine (os error )".into(), "Fine (os error )"),
            ("Fine (os error 5".into(), "Fine (os error 5"),
            ("Fine (os error 5x): a (os error 6)".into(), "Fine (os error 5x): a"),
            ("é (os error 5)".into(), "é"),
            (String::new(), ""),
        ] {
            assert_eq!(without_error_numbers(&message), plain);
        }
    }

    #[test]
    fn unsafe_characters_are_replaced() {
        assert_eq!(
            clean("a\x1b]0;x\x07b\nc\u{9b}31m\u{202e}d\r"),
            "a\u{fffd}]0;x\u{fffd}b c\u{fffd}31m\u{fffd}d\u{fffd}"
        );
        assert_eq!(clean_text("a\r\nb\tc\x1b[2J\u{85}"), ("a\nb\tc\u{fffd}[2J\u{fffd}".into(), 2));
        assert_eq!(clean_text("\x1b[1;38:5:9mred\n"), ("\x1b[1;38:5:9mred\x1b[0m\n".into(), 0));
        assert_eq!(clean_text("\x1b[mx\x1b[0"), ("\x1b[mx\u{fffd}[0\x1b[0m".into(), 1));
        let (text, count) = clean_text("\x1b[?25m\x1b[1 m\x1b]m\x1b[3\x07m");
        assert_eq!((text.replace('\u{fffd}', "").as_str(), count), ("[?25m[1 m]m[3m", 5));
        assert_eq!(clean("ünïcödé 🙂"), "ünïcödé 🙂");
    }

    #[test]
    fn invisible_characters_are_marked() {
        assert_eq!(clean("rlo\u{202e}gpj.txt"), "rlo\u{fffd}gpj.txt");
        for unseen in
            "\u{61c}\u{2028}\u{2029}\u{200b}\u{200d}\u{200f}\u{ad}\u{feff}\u{e0000}\u{e0041}\u{e007f}\u{2066}".chars()
        {
            assert_eq!(clean(&format!("a{unseen}b")), "a\u{fffd}b", "{unseen:?}");
        }
        // Joiners are kept in a text, and a byte order mark is stripped.
        let (text, count) = clean_text("\u{feff}می\u{200c}خواهم 👩\u{200d}🔬 soft\u{ad}ly\n");
        assert_eq!((text.as_str(), count), ("می\u{200c}خواهم 👩\u{200d}🔬 soft\u{ad}ly\n", 0));
        assert_eq!(clean_text("a\u{202e}b\u{2028}\u{feff}c"), ("a\u{fffd}b\u{fffd}\u{fffd}c".into(), 3));
    }

    #[test]
    fn only_keys_are_removed() {
        let key = "qBlAjOUBDKLgnvWaw9ifX_hZXQK1JOYb-K-olKldWU8";
        for (text, shown) in [
            (format!("cannot read https://x/abcd#{key}: no"), "cannot read https://x/abcd#…: no"),
            (format!("there is no file {key}"), "there is no file …"),
            (format!("x#{}:L1", &key[1..]), "x#…:L1"),
            ("notes#2.txt, --from F '#KEY', ünïcödé".into(), "notes#2.txt, --from F '#KEY', ünïcödé"),
            (format!("there is no file https://x/abcd%23{key}"), "there is no file https://x/abcd%…"),
            (format!("no option --{key}, no file 4f2a{key}, {}", &key[1..]), "no option …, no file …, …"),
            ("a".repeat(40), &*"a".repeat(40)),
        ] {
            assert_eq!(without_keys(&text), shown);
        }
    }

    #[test]
    fn sizes_are_human_readable() {
        let cases = [(0, "0 B"), (1023, "1023 B"), (1024, "1.00 KiB"), (1_999_999, "1.91 MiB"), (3 << 20, "3.00 MiB")];
        for (bytes, text) in cases {
            assert_eq!(human_bytes(bytes), text, "{bytes}");
        }
    }

    #[test]
    fn durations_are_human_readable() {
        let cases = [(0, "0s"), (59, "59s"), (60, "1m"), (3661, "1h 1m"), (432_000, "5d"), (86_401, "1d")];
        for (seconds, text) in cases {
            assert_eq!(human_seconds(seconds), text, "{seconds}");
        }
    }
}
