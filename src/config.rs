//! The server's settings: one table, from which parsing, `--help` and the documentation are generated.
//!
//! Invariant: every [`Config`] is valid; an unknown or invalid variable aborts the start with one line that names it.
//! Must never print a secret, nor read anything but the given variables.

mod render;
mod table;
mod values;

pub use render::{settings_env, settings_in_force, settings_man, settings_markdown, settings_text};
pub use table::{MAX_PASTE_BYTES, SETTINGS, Setting};

use crate::http::Hsts;
use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use table::Draft;

/// The kind of deployment (`FLASK_ENV`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Direct loopback clients need no proof of work, so that plain `curl` works.
    Development,
    /// No exemptions; the log is JSON.
    Production,
    /// In-memory database, proof of work off unless set.
    Testing,
}

/// Where the server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bind {
    /// A TCP address.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

/// In the format of the variable.
impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// The database (`FLASKPASTE_DB`).
#[derive(Debug, Clone)]
pub enum Database {
    /// An SQLite database at this path.
    File(PathBuf),
    /// A PostgreSQL database with this URL, which may contain a password.
    Postgres(Secret),
}

/// In the format of the variable, without a password.
impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Postgres(url) => f.write_str(&values::without_password(url.as_str())),
        }
    }
}

/// Who may create pastes (`FLASKPASTE_CREATE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creators {
    /// Anyone who can reach the server.
    Anyone,
    /// Anyone with a token or a certificate.
    Token,
    /// Anyone with a certificate.
    Certificate,
}

impl Creators {
    /// The name in the variable and in responses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Anyone => "anyone",
            Self::Token => "token",
            Self::Certificate => "certificate",
        }
    }
}

/// How requests are logged to stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One line of text per request.
    Text,
    /// One JSON object per request.
    Json,
    /// No request log.
    Off,
}

/// A value that must not reach a log: its `Debug` shows only whether it is set. It has no `==`, which would not take
/// constant time.
#[derive(Clone, Default)]
pub struct Secret(String);

impl Secret {
    /// The bytes, for a comparison or a key.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the operator left it unset.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "(unset)" } else { "(set)" })
    }
}

/// Every setting, resolved and valid. Sizes are bytes, times are seconds.
#[derive(Debug, Clone)]
pub struct Config {
    /// `FLASK_ENV`
    pub mode: Mode,
    /// `FLASKPASTE_DB`; ignored in testing, where the database is in memory.
    pub database: Database,
    /// `FLASKPASTE_PEPPER_FILE`; unset: beside the database's file.
    pub pepper_file: Option<PathBuf>,
    /// `FLASKPASTE_ID_LENGTH`, in hex digits.
    pub id_length: usize,
    /// `FLASKPASTE_MAX_ANON`
    pub max_anon_bytes: u64,
    /// `FLASKPASTE_MAX_AUTH`
    pub max_auth_bytes: u64,
    /// `FLASKPASTE_EXPIRY`
    pub expiry_seconds: u64,
    /// `FLASKPASTE_MAX_EXPIRY`
    pub max_expiry_seconds: u64,
    /// `FLASKPASTE_DEDUP_WINDOW`
    pub dedup_window_seconds: u64,
    /// `FLASKPASTE_DEDUP_MAX`; 0 turns the throttle off.
    pub dedup_max: u64,
    /// `FLASKPASTE_PROXY_SECRET`
    pub proxy_secret: Secret,
    /// `FLASKPASTE_POW_DIFFICULTY`, in leading zero bits; 0 turns it off.
    pub pow_difficulty: u8,
    /// `FLASKPASTE_POW_TTL`
    pub pow_ttl_seconds: u64,
    /// `FLASKPASTE_POW_SECRET`; unset: generated once and stored in the database.
    pub pow_secret: Secret,
    /// `FLASKPASTE_URL_PREFIX`, empty or `/segments` without a slash at the end.
    pub url_prefix: String,
    /// `FLASKPASTE_MIN_ENTROPY`, in bits per byte; 0 turns it off.
    pub min_entropy_bits: f64,
    /// `FLASKPASTE_MIN_ENTROPY_SIZE`
    pub min_entropy_size_bytes: u64,
    /// `FLASKPASTE_BIND`
    pub bind: Bind,
    /// `FLASKPASTE_THREADS`
    pub threads: usize,
    /// `FLASKPASTE_PUBLIC_URL`, empty or without a slash at the end.
    pub public_url: String,
    /// `FLASKPASTE_CLIENT_DIR`; `None` means beside the server binary.
    pub client_dir: Option<PathBuf>,
    /// `FLASKPASTE_MAX_DB_SIZE`; 0 means no quota.
    pub max_db_bytes: u64,
    /// `FLASKPASTE_WEB`
    pub web: bool,
    /// `FLASKPASTE_HSTS`
    pub hsts: Hsts,
    /// `FLASKPASTE_CREATE`
    pub create: Creators,
    /// `FLASKPASTE_RATE`, creates per minute and address; 0: no limit.
    pub rate_per_minute: u64,
    /// `FLASKPASTE_POW_FLOOD`, creates per minute above which the difficulty rises; 0: never.
    pub pow_flood_per_minute: u64,
    /// `FLASKPASTE_CONTACT`, a URI; empty: none.
    pub contact: String,
    /// `FLASKPASTE_LEASE_TTL`, the lifetime of a lease.
    pub lease_ttl_seconds: u64,
    /// `FLASKPASTE_RECEIPT_DAYS`, days for which receipts are kept; 0: none.
    pub receipt_days: u64,
    /// `FLASKPASTE_METRICS`
    pub metrics: bool,
    /// `FLASKPASTE_LOG`
    pub log: LogFormat,
}

/// An invalid setting, as one line that names the variable.
#[derive(Debug)]
pub struct ConfigError(String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The client's variables, which have the same prefix and are ignored.
const CLIENT_VARIABLES: &[&str] = &[
    "FLASKPASTE_SERVER",
    "FLASKPASTE_CERT_SHA1",
    "FLASKPASTE_CLIENT_CERT",
    "FLASKPASTE_CLIENT_KEY",
    "FLASKPASTE_CA_CERT",
    "FLASKPASTE_TOKEN",
];

impl Config {
    /// Parses the settings from variables such as [`std::env::vars_os`]. An empty value counts as unset.
    ///
    /// # Errors
    /// The first unknown or invalid variable, in one line.
    pub fn from_variables(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Self, ConfigError> {
        let mut draft = Draft { config: Self::default(), id_length: None, pow_difficulty: None, log: None };
        for (name, value) in variables {
            let Some(name) = name.to_str() else { continue };
            let Some(setting) = SETTINGS.iter().find(|setting| setting.name == name) else {
                if name.starts_with("FLASKPASTE_") && !CLIENT_VARIABLES.contains(&name) {
                    return Err(ConfigError(unknown(name)));
                }
                continue;
            };
            let value = value.to_str().ok_or_else(|| ConfigError(format!("{name} is not valid UTF-8")))?;
            if !value.is_empty() {
                (setting.apply)(&mut draft, value).map_err(|reason| ConfigError(format!("{name} {reason}")))?;
            }
        }
        draft.resolve()
    }

    /// The path of the pepper, the key for encryption at rest.
    pub fn pepper_path(&self) -> PathBuf {
        let beside = || match &self.database {
            Database::File(path) => {
                let mut name = path.clone().into_os_string();
                name.push(".pepper");
                name.into()
            }
            // Required by `resolve`.
            Database::Postgres(_) => PathBuf::new(),
        };
        self.pepper_file.clone().unwrap_or_else(beside)
    }

    /// Whether to log JSON; readable before the settings are validated.
    pub fn wants_json_log(variable: impl Fn(&str) -> Option<OsString>) -> bool {
        match variable("FLASKPASTE_LOG").filter(|value| !value.is_empty()) {
            Some(format) => format == "json",
            None => variable("FLASK_ENV").is_some_and(|mode| mode == "production"),
        }
    }

    /// The base URL of new pastes: the public URL, if set, and the prefix.
    pub fn base_url(&self) -> String {
        format!("{}{}", self.public_url, self.url_prefix)
    }
}

/// The minimum length of ids in a shared database, of which others may have copies: 128 bits cannot be searched.
const SHARED_ID_LENGTH: usize = 32;

impl Draft {
    /// Fills in the defaults that depend on `FLASK_ENV` and on the kind of the database.
    fn resolve(self) -> Result<Config, ConfigError> {
        let mut config = self.config;
        let testing = config.mode == Mode::Testing;
        let is_shared = matches!(config.database, Database::Postgres(_)) && !testing;
        if is_shared && config.pepper_file.is_none() {
            return Err(ConfigError(
                "FLASKPASTE_PEPPER_FILE is required with PostgreSQL: all servers need the same file; the first start \
                 creates it, copy it to the others"
                    .into(),
            ));
        }
        let default_length = if is_shared { SHARED_ID_LENGTH } else { config.id_length };
        config.id_length = self.id_length.unwrap_or(default_length);
        if is_shared && config.id_length < SHARED_ID_LENGTH {
            return Err(ConfigError(format!(
                "FLASKPASTE_ID_LENGTH must be at least {SHARED_ID_LENGTH} with PostgreSQL, whose backups and logs keep \
                 deleted data"
            )));
        }
        config.pow_difficulty = self.pow_difficulty.unwrap_or(if testing { 0 } else { config.pow_difficulty });
        let production = config.mode == Mode::Production;
        config.log = self.log.unwrap_or(if production { LogFormat::Json } else { LogFormat::Text });
        Ok(config)
    }
}

impl Default for Config {
    /// The defaults of an empty environment.
    fn default() -> Self {
        Self {
            mode: Mode::Development,
            database: Database::File("./data/pastes.db".into()),
            pepper_file: None,
            id_length: 12,
            max_anon_bytes: 3 << 20,
            max_auth_bytes: 50 << 20,
            expiry_seconds: 432_000,
            max_expiry_seconds: 2_592_000,
            dedup_window_seconds: 3600,
            dedup_max: 3,
            proxy_secret: Secret::default(),
            pow_difficulty: 20,
            pow_ttl_seconds: 300,
            pow_secret: Secret::default(),
            url_prefix: String::new(),
            min_entropy_bits: 0.0,
            min_entropy_size_bytes: 256,
            bind: Bind::Tcp(SocketAddr::from(([127, 0, 0, 1], 5000))),
            // Connections at a time, and as many workers. Each costs about 16 KiB while idle and up to three
            // descriptors: 256 of them stay under 1,024 descriptors, and outlast a few hundred idle keep-alives.
            threads: 256,
            public_url: String::new(),
            client_dir: None,
            max_db_bytes: 0,
            web: true,
            hsts: Hsts::Subdomains,
            create: Creators::Anyone,
            rate_per_minute: 0,
            pow_flood_per_minute: 600,
            contact: String::new(),
            lease_ttl_seconds: 600,
            receipt_days: 30,
            metrics: false,
            log: LogFormat::Text,
        }
    }
}

/// The message for an unknown variable, with a similar known name if there is one.
fn unknown(name: &str) -> String {
    let near = SETTINGS.iter().map(|s| s.name).find(|known| known.replace('_', "") == name.replace('_', ""));
    let near = near.or_else(|| SETTINGS.iter().map(|s| s.name).find(|known| one_edit_apart(known, name)));
    match near {
        Some(known) => format!("{name} is not a setting; did you mean {known}?"),
        None => format!("{name} is not a setting; see flaskpaste --help"),
    }
}

/// Whether two names differ by one inserted, dropped or changed byte.
fn one_edit_apart(a: &str, b: &str) -> bool {
    let same_start = a.bytes().zip(b.bytes()).take_while(|(x, y)| x == y).count();
    let same_end = a.bytes().rev().zip(b.bytes().rev()).take_while(|(x, y)| x == y).count();
    let longer = a.len().max(b.len());
    a.len().abs_diff(b.len()) <= 1 && same_start + same_end + 1 >= longer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Config, String> {
        let variables = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        Config::from_variables(variables).map_err(|error| error.to_string())
    }

    #[test]
    fn documented_defaults_match_the_code() {
        let real = read(&[]).unwrap();
        let documented: Vec<(&str, &str)> = SETTINGS
            .iter()
            .filter(|setting| !setting.default.contains(['(', ' ', ';']))
            .map(|setting| (setting.name, setting.default))
            .collect();
        assert!(documented.len() > 15);
        assert_eq!(format!("{:?}", read(&documented).unwrap()), format!("{real:?}"));
    }

    #[test]
    fn printed_settings_can_be_parsed_again() {
        let set = [("FLASK_ENV", "production"), ("FLASKPASTE_BIND", "unix:/run/x"), ("FLASKPASTE_MIN_ENTROPY", "6.5")];
        for config in [read(&[]).unwrap(), read(&set).unwrap()] {
            let shown = settings_in_force(&config);
            let lines: Vec<(&str, &str)> = shown.lines().map(|line| line.split_once('=').unwrap()).collect();
            assert_eq!(lines.len(), SETTINGS.len());
            let mut again =
                read(&lines.into_iter().filter(|(_, value)| *value != "(unset)").collect::<Vec<_>>()).unwrap();
            // Explicit now; before, it was derived from the database.
            again.pepper_file = config.pepper_file.clone();
            assert_eq!(format!("{again:?}"), format!("{config:?}"));
        }
    }

    #[test]
    fn empty_counts_as_unset() {
        for setting in SETTINGS {
            assert!(read(&[(setting.name, "")]).is_ok(), "{}", setting.name);
        }
    }

    #[test]
    fn errors_are_one_line_that_names_the_variable() {
        let bad = [
            ("FLASK_ENV", "prod"),
            ("FLASKPASTE_ID_LENGTH", "7"),
            ("FLASKPASTE_ID_LENGTH", "65"),
            #[cfg(not(feature = "postgres"))]
            ("FLASKPASTE_DB", "postgres://u:hunter2@h/d"),
            ("FLASKPASTE_DB", "Postgres://u:hunter2@h/d"),
            ("FLASKPASTE_DB", " postgres://u:hunter2@h/d"),
            ("FLASKPASTE_DB", "postgres:u:hunter2@h/d"),
            ("FLASKPASTE_DB", "host=h password=hunter2"),
            ("FLASKPASTE_DB", "sqlite:///pastes.db"),
            ("FLASKPASTE_MAX_ANON", "0"),
            ("FLASKPASTE_MAX_ANON", "+5"),
            ("FLASKPASTE_MAX_ANON", "1e6"),
            ("FLASKPASTE_MAX_AUTH", "99999999999999999999999"),
            ("FLASKPASTE_MAX_AUTH", "4294967297"),
            ("FLASKPASTE_EXPIRY", "-1"),
            ("FLASKPASTE_POW_DIFFICULTY", "65"),
            ("FLASKPASTE_MIN_ENTROPY", "8.1"),
            ("FLASKPASTE_MIN_ENTROPY", "NaN"),
            ("FLASKPASTE_THREADS", "0"),
            ("FLASKPASTE_URL_PREFIX", "paste"),
            ("FLASKPASTE_URL_PREFIX", "/a//b"),
            ("FLASKPASTE_URL_PREFIX", "/a/../b"),
            ("FLASKPASTE_URL_PREFIX", "/ü"),
            ("FLASKPASTE_PUBLIC_URL", "https://x/y"),
            ("FLASKPASTE_PUBLIC_URL", "ftp://x"),
            ("FLASKPASTE_PUBLIC_URL", "https://x:0"),
            ("FLASKPASTE_PUBLIC_URL", "https://a@b"),
            ("FLASKPASTE_BIND", "5000"),
            ("FLASKPASTE_BIND", "example.org:5000"),
            ("FLASKPASTE_BIND", "unix:relative"),
            ("FLASKPASTE_WEB", "yes"),
            ("FLASKPASTE_LOG", "xml"),
            ("FLASKPASTE_HSTS", "on"),
            ("FLASKPASTE_CREATE", "nobody"),
            ("FLASKPASTE_RATE", "-1"),
            ("FLASKPASTE_POW_FLOOD", "many"),
            ("FLASKPASTE_CONTACT", "abuse"),
            ("FLASKPASTE_CONTACT", "a b@example.org"),
            ("FLASKPASTE_CONTACT", "javascript:alert(1)"),
            ("FLASKPASTE_CONTACT", "https://"),
            ("FLASKPASTE_PROXY_SECRET", "two words that are long enough"),
            ("FLASKPASTE_PROXY_SECRET", "fifteen-letters"),
            ("FLASKPASTE_POW_SECRET", "x"),
            ("FLASKPASTE_TYPO", "1"),
        ];
        for (name, value) in bad {
            let line = read(&[(name, value)]).unwrap_err();
            assert!(line.starts_with(name) && !line.contains('\n'), "{name}={value}: {line}");
        }
    }

    #[test]
    fn a_similar_name_is_suggested() {
        assert!(read(&[("FLASKPASTE_MAXANON", "1")]).unwrap_err().contains("FLASKPASTE_MAX_ANON?"));
        assert!(read(&[("FLASKPASTE_THREAD", "1")]).unwrap_err().contains("FLASKPASTE_THREADS?"));
    }

    #[test]
    fn client_variables_are_ignored() {
        for name in CLIENT_VARIABLES {
            assert!(read(&[(name, "anything")]).is_ok());
        }
    }

    #[test]
    fn a_contact_is_a_uri() {
        let contact = |text: &str| read(&[("FLASKPASTE_CONTACT", text)]).unwrap().contact;
        assert_eq!(contact("abuse@example.org"), "mailto:abuse@example.org");
        assert_eq!(contact("mailto:abuse@example.org"), "mailto:abuse@example.org");
        assert_eq!(contact("https://example.org/report?a=b"), "https://example.org/report?a=b");
    }

    #[test]
    fn flask_env_changes_defaults() {
        let production = read(&[("FLASK_ENV", "production")]).unwrap();
        assert_eq!((production.log, production.pow_difficulty), (LogFormat::Json, 20));
        let testing = read(&[("FLASK_ENV", "testing")]).unwrap();
        assert_eq!(testing.pow_difficulty, 0);
        assert_eq!(read(&[("FLASK_ENV", "testing"), ("FLASKPASTE_POW_DIFFICULTY", "9")]).unwrap().pow_difficulty, 9);
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn a_shared_database_needs_a_pepper_file_and_long_ids() {
        let with = |more: &[(&str, &str)]| {
            let mut variables = vec![("FLASKPASTE_DB", "postgres://u:hunter2@h/d?sslmode=require&password=hunter2")];
            variables.extend(more);
            read(&variables)
        };
        assert!(with(&[]).unwrap_err().starts_with("FLASKPASTE_PEPPER_FILE "));
        let pepper = ("FLASKPASTE_PEPPER_FILE", "/p");
        assert!(with(&[pepper, ("FLASKPASTE_ID_LENGTH", "31")]).unwrap_err().starts_with("FLASKPASTE_ID_LENGTH "));
        let config = with(&[pepper]).unwrap();
        assert_eq!((config.id_length, config.pepper_path()), (32, "/p".into()));
        assert_eq!(config.database.to_string(), "postgres://u@h/d?sslmode=require");
        assert!(!format!("{config:?}{}", settings_in_force(&config)).contains("hunter2"));
        assert_eq!(with(&[("FLASK_ENV", "testing")]).unwrap().id_length, 12, "in testing the database is in memory");
    }

    #[test]
    fn secrets_are_not_in_debug_output() {
        let config =
            read(&[("FLASKPASTE_PROXY_SECRET", "hunter2-hunter2-2"), ("FLASKPASTE_POW_SECRET", "hunter3-hunter3-3")]);
        let config = config.unwrap();
        assert!(!format!("{config:?}").contains("hunter"));
    }

    #[test]
    fn addresses_and_prefixes_are_normalized() {
        assert_eq!(read(&[("FLASKPASTE_URL_PREFIX", "/a/b-c/")]).unwrap().url_prefix, "/a/b-c");
        assert_eq!(read(&[("FLASKPASTE_URL_PREFIX", "/")]).unwrap().url_prefix, "");
        assert_eq!(
            read(&[("FLASKPASTE_PUBLIC_URL", "https://p.example:8443/")]).unwrap().public_url,
            "https://p.example:8443"
        );
        let local = Bind::Tcp(([127, 0, 0, 1], 5000).into());
        assert_eq!(read(&[("FLASKPASTE_BIND", "localhost:5000")]).unwrap().bind, local);
        assert_eq!(read(&[("FLASKPASTE_BIND", "unix:/run/p.sock")]).unwrap().bind, Bind::Unix("/run/p.sock".into()));
    }
}
