//! The options in mdoc(7), as man/fpaste.1 carries them.
//!
//! Invariant: a command's list has every option that its help has, and nothing that the table does not say. Must never
//! let a text of the table be taken for a macro.

use super::flags::{self, FLAGS, Flag, Name};
use std::fmt::Write;

/// The list of a command's own options, or of those that every command has.
pub fn options(command: Option<Name>) -> String {
    let is_wanted = |flag: &&Flag| match command {
        Some(command) => flag.commands.contains(&command),
        None => flag.commands.is_empty(),
    };
    let items: String = FLAGS.iter().filter(is_wanted).map(|flag| item(flag, command)).collect();
    format!(".Bl -tag -width Ds\n{items}.El\n")
}

fn item(flag: &Flag, command: Option<Name>) -> String {
    let short = flag.short.map_or(String::new(), |short| format!("{short} , Fl "));
    let value = flag.value.map_or(String::new(), |value| format!(" Ar {value}"));
    let mut text = format!(".It Fl {short}\\-{}{value}\n", escaped(flag.long));
    let (help, default) = match flag.help.strip_suffix(']').and_then(|help| help.rsplit_once(" [")) {
        Some((help, default)) => (help, Some(default)),
        None => (flag.help, None),
    };
    let mut letters = help.chars();
    let capital = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    paragraph(&mut text, &format!("{capital}{}.", letters.as_str()));
    if let Some(default) = default {
        let _ = writeln!(text, "The default is\n.Li {} .", escaped(default));
    }
    // Said once, for the first command that has the option.
    let first = flag.commands.first().filter(|first| Some(**first) != command);
    match first.and_then(|first| flags::row(*first)) {
        Some(row) if !flag.manual.is_empty() => {
            let _ = writeln!(text, "As for\n.Cm {} .", row.word);
        }
        _ => paragraph(&mut text, flag.manual),
    }
    text
}

/// Sentences, each on a line of its own, with what is in backquotes as a macro.
fn paragraph(text: &mut String, sentences: &str) {
    for sentence in sentences.split_inclusive(". ") {
        for (at, part) in sentence.trim_end().split('`').enumerate() {
            // What follows a macro without a space belongs to its line.
            let is_word = at % 2 == 1;
            if is_word {
                text.push_str(&macro_of(part));
                continue;
            }
            let marks = part.len() - part.trim_start_matches(['.', ',', ';', ':', ')']).len();
            let (marks, rest) = part.split_at(if at == 0 { 0 } else { marks });
            if at > 0 {
                marks.chars().for_each(|mark| text.extend([' ', mark]));
                text.push('\n');
            }
            if !rest.trim().is_empty() {
                let _ = writeln!(text, "{}", escaped(rest.trim()));
            }
        }
    }
}

/// The macro for an option, a variable, a path or another literal.
fn macro_of(word: &str) -> String {
    if let Some(name) = word.strip_prefix('$') {
        return format!(".Ev {name}");
    }
    if word.len() > 1
        && let Some(option) = word.strip_prefix('-')
    {
        let (option, value) = option.split_once(' ').unwrap_or((option, ""));
        let value = if value.is_empty() { String::new() } else { format!(" Ar {value}") };
        return format!(".Fl {}{value}", escaped(option));
    }
    let name = if word.starts_with(['/', '~']) { "Pa" } else { "Li" };
    format!(".{name} {}", escaped(word))
}

/// A text whose hyphens are hyphens when they are copied.
fn escaped(text: &str) -> String {
    text.replace('-', "\\-").replace('…', "...")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_become_macros_and_keep_their_punctuation() {
        let mut text = String::new();
        paragraph(&mut text, "Use `-o DIR/` or `--force`, not `/tmp`. See `$HOME` (or `x`).");
        let expected = "Use\n.Fl o Ar DIR/\nor\n.Fl \\-force ,\nnot\n.Pa /tmp .\nSee\n.Ev HOME\n(or\n.Li x ) .\n";
        assert_eq!(text, expected);
    }
}
