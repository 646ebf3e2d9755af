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
        .fold(String::new(), |text, s| text + &format!("  {:width$}  {} [{}]\n", s.name, s.meaning, s.default))
}

/// The effective settings as lines of an environment file; of secrets, only whether they are set.
pub fn settings_in_force(config: &Config) -> String {
    SETTINGS.iter().fold(String::new(), |text, s| text + &format!("{}={}\n", s.name, (s.show)(config)))
}

/// The settings as a Markdown table.
pub fn settings_markdown() -> String {
    let head = "| Variable | Default | Meaning |\n|---|---|---|\n".to_owned();
    SETTINGS.iter().fold(head, |text, s| text + &format!("| `{}` | `{}` | {} |\n", s.name, s.default, s.meaning))
}

/// The settings as a list in mdoc(7), for man/flaskpaste.8.
pub fn settings_man() -> String {
    let escape = |text: &str| text.replace('-', "\\-").replace("e.g. ", "e.g.\\& ");
    SETTINGS.iter().fold(String::new(), |text, s| {
        let (meaning, default) = (escape(s.meaning), escape(s.default.trim_matches(['(', ')'])));
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
        let note = if default.is_empty() { format!(" [{}]", s.default) } else { String::new() };
        text + &format!("\n# {}{note}\n#{}={default}\n", s.meaning, s.name)
    })
}
