//! Renders the table of settings for `--help`, the documentation and the example environment file.
//!
//! Invariant: each format has every setting, in the order of the table. Must never add anything to the table.

use super::Config;
use super::table::SETTINGS;

/// The settings as aligned text, for `--help`.
pub fn settings_text() -> String {
    let width = SETTINGS.iter().map(|setting| setting.name.len()).max().unwrap_or(0);
    SETTINGS
        .iter()
        .fold(String::new(), |text, s| text + &format!("  {:width$}  {} [{}]\n", s.name, s.meaning, words(s.default)))
}

/// A default for people: one that is not a value, such as `(none)`, without its brackets.
fn words(default: &str) -> &str {
    default.trim_matches(['(', ')'])
}

/// The effective settings as lines of an environment file; of secrets, only whether they are set.
pub fn settings_in_force(config: &Config) -> String {
    SETTINGS.iter().fold(String::new(), |text, s| text + &format!("{}={}\n", s.name, (s.show)(config)))
}

/// The settings as a Markdown table.
pub fn settings_markdown() -> String {
    let head = "| Variable | Default | Meaning |\n|---|---|---|\n".to_owned();
    SETTINGS.iter().fold(head, |text, s| {
        let default = words(s.default);
        let default = if default == s.default { format!("`{default}`") } else { default.to_owned() };
        text + &format!("| `{}` | {default} | {} |\n", s.name, s.meaning)
    })
}

/// The settings as a list in mdoc(7), for man/flaskpaste.8.
pub fn settings_man() -> String {
    let escape = |text: &str| text.replace('-', "\\-").replace("e.g. ", "e.g.\\& ");
    SETTINGS.iter().fold(String::new(), |text, s| {
        let (meaning, default) = (escape(s.meaning), escape(words(s.default)));
        text + &format!(".It Ev {}\n{meaning}.\n.Bq Li {default}\n", s.name)
    })
}

/// Values that the systemd unit sets, so that uncommenting a line of the example file changes nothing.
const OF_THE_SERVICE: &[(&str, &str)] = &[
    ("FLASK_ENV", "production"),
    ("FLASKPASTE_DB", "/var/lib/flaskpaste/pastes.db"),
    ("FLASKPASTE_PEPPER_FILE", "/var/lib/flaskpaste/pastes.db.pepper"),
    ("FLASKPASTE_LOG", "json"),
];

/// The settings as the service's example environment file, each commented out with its value in the service.
pub fn settings_env() -> String {
    SETTINGS.iter().fold(String::new(), |text, s| {
        let of_the_service = OF_THE_SERVICE.iter().find(|(name, _)| *name == s.name).map(|(_, value)| *value);
        let default = of_the_service.unwrap_or(if s.default.contains(['(', ' ', ';']) { "" } else { s.default });
        let note = if default.is_empty() { format!(" [{}]", words(s.default)) } else { String::new() };
        text + &format!("\n# {}{note}\n#{}={default}\n", s.meaning, s.name)
    })
}
