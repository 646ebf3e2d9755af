//! The table of settings: name, default, meaning, parser and formatter.
//!
//! Invariant: only valid values are stored; every error completes a sentence that starts with the variable's name.
//! Must never contain a setting that is not in the generated documentation.

use super::values::{bind, bytes, contact, database, flag, public_url, secret, url_prefix, whole};
use super::{Config, Creators, LogFormat, Mode};
use crate::http::Hsts;

/// The parsed variables, before defaults that depend on other settings are filled in.
pub(super) struct Draft {
    pub(super) config: Config,
    pub(super) id_length: Option<usize>,
    pub(super) pow_difficulty: Option<u8>,
    pub(super) log: Option<LogFormat>,
}

/// One row of the settings table.
pub struct Setting {
    /// Name of the environment variable.
    pub name: &'static str,
    /// Default as documented.
    pub default: &'static str,
    /// Meaning and unit, for `--help`, the man page and the README.
    pub meaning: &'static str,
    /// Parses and stores a value; the error says what is valid.
    pub(super) apply: fn(&mut Draft, &str) -> Result<(), String>,
    /// Formats the effective value; of a secret, only whether it is set.
    pub(super) show: fn(&Config) -> String,
}

/// Shorthand for a row; the table below is the only place that uses it.
const fn row(
    name: &'static str,
    default: &'static str,
    meaning: &'static str,
    apply: fn(&mut Draft, &str) -> Result<(), String>,
    show: fn(&Config) -> String,
) -> Setting {
    Setting { name, default, meaning, apply, show }
}

/// The longest time: a hundred years, so that no sum of times overflows.
const MAX_SECONDS: u64 = 100 * 365 * 86_400;
/// The largest size: 1 TiB.
const MAX_BYTES: u64 = 1 << 40;
/// The largest paste: 4 GiB, as much as the store can hold.
pub const MAX_PASTE_BYTES: u64 = 4 << 30;

/// Every setting. To add one: one row here, one field in [`Config`], and its use.
pub const SETTINGS: &[Setting] = &[
    row(
        "FLASK_ENV",
        "development",
        "production: proof of work for everyone; development: none from this machine; testing: none, database in memory",
        |d, v| {
            d.config.mode = match v {
                "development" => Mode::Development,
                "production" => Mode::Production,
                "testing" => Mode::Testing,
                _ => return Err("must be development, production or testing".into()),
            };
            Ok(())
        },
        |c| format!("{:?}", c.mode).to_lowercase(),
    ),
    row(
        "FLASKPASTE_DB",
        "./data/pastes.db",
        "path of the SQLite database (its folder is created), or with flaskpaste-postgres a postgres:// URL",
        |d, v| set(&mut d.config.database, database(v)),
        |c| c.database.to_string(),
    ),
    row(
        "FLASKPASTE_PEPPER_FILE",
        "the database's path + .pepper",
        "file with the key for encryption at rest, created at the first start; the database cannot be opened without it; required with PostgreSQL",
        |d, v| {
            d.config.pepper_file = Some(v.into());
            Ok(())
        },
        |c| c.pepper_path().display().to_string(),
    ),
    row(
        "FLASKPASTE_ID_LENGTH",
        "12; 32 with PostgreSQL",
        "hex digits of new paste IDs, 8 to 64; with PostgreSQL at least 32",
        |d, v| {
            d.id_length = Some(whole(v, 8, 64)?);
            Ok(())
        },
        |c| c.id_length.to_string(),
    ),
    row(
        "FLASKPASTE_MAX_ANON",
        "3145728",
        "largest paste of an anonymous client, in bytes",
        |d, v| set(&mut d.config.max_anon_bytes, bytes(v, 1, MAX_PASTE_BYTES)),
        |c| c.max_anon_bytes.to_string(),
    ),
    row(
        "FLASKPASTE_MAX_AUTH",
        "52428800",
        "largest paste of a client with a certificate or a token, in bytes",
        |d, v| set(&mut d.config.max_auth_bytes, bytes(v, 1, MAX_PASTE_BYTES)),
        |c| c.max_auth_bytes.to_string(),
    ),
    row(
        "FLASKPASTE_EXPIRY",
        "432000",
        "seconds without a GET of a paste or its metadata after which it expires",
        |d, v| set(&mut d.config.expiry_seconds, whole(v, 1, MAX_SECONDS)),
        |c| c.expiry_seconds.to_string(),
    ),
    row(
        "FLASKPASTE_MAX_EXPIRY",
        "2592000",
        "longest expiry a client may ask for, in seconds",
        |d, v| set(&mut d.config.max_expiry_seconds, whole(v, 1, MAX_SECONDS)),
        |c| c.max_expiry_seconds.to_string(),
    ),
    row(
        "FLASKPASTE_DEDUP_WINDOW",
        "3600",
        "seconds over which identical submissions are counted",
        |d, v| set(&mut d.config.dedup_window_seconds, whole(v, 1, MAX_SECONDS)),
        |c| c.dedup_window_seconds.to_string(),
    ),
    row(
        "FLASKPASTE_DEDUP_MAX",
        "3",
        "identical submissions accepted per window; 0 = no limit",
        |d, v| set(&mut d.config.dedup_max, whole(v, 0, 1_000_000)),
        |c| c.dedup_max.to_string(),
    ),
    row(
        "FLASKPASTE_PROXY_SECRET",
        "(none)",
        "the proxy's X-Proxy-Secret; if unset, client certificates are trusted from loopback and Unix peers",
        |d, v| {
            if !v.bytes().all(|b| b.is_ascii_graphic()) {
                return Err("must be printable ASCII without spaces, because it is sent in a header".into());
            }
            set(&mut d.config.proxy_secret, secret(v))
        },
        |c| format!("{:?}", c.proxy_secret),
    ),
    row(
        "FLASKPASTE_POW_DIFFICULTY",
        "20",
        "proof of work for a paste, in leading zero bits; 0 = off",
        |d, v| {
            d.pow_difficulty = Some(whole(v, 0, 64)?);
            Ok(())
        },
        |c| c.pow_difficulty.to_string(),
    ),
    row(
        "FLASKPASTE_POW_TTL",
        "300",
        "seconds a proof-of-work token stays valid",
        |d, v| set(&mut d.config.pow_ttl_seconds, whole(v, 1, MAX_SECONDS)),
        |c| c.pow_ttl_seconds.to_string(),
    ),
    row(
        "FLASKPASTE_POW_SECRET",
        "(auto)",
        "key that signs the tokens; if unset, created once and stored in the database",
        |d, v| set(&mut d.config.pow_secret, secret(v)),
        |c| format!("{:?}", c.pow_secret),
    ),
    row(
        "FLASKPASTE_URL_PREFIX",
        "(none)",
        "path under which every route lives, e.g. /paste",
        |d, v| set(&mut d.config.url_prefix, url_prefix(v)),
        |c| c.url_prefix.clone(),
    ),
    row(
        "FLASKPASTE_MIN_ENTROPY",
        "0",
        "minimum Shannon entropy of a paste, in bits per byte; 0 = off, 6.0 refuses most unencrypted text",
        |d, v| {
            d.config.min_entropy_bits = match v.parse::<f64>() {
                Ok(bits) if (0.0..=8.0).contains(&bits) => bits,
                _ => return Err("must be a number from 0 to 8".into()),
            };
            Ok(())
        },
        |c| c.min_entropy_bits.to_string(),
    ),
    row(
        "FLASKPASTE_MIN_ENTROPY_SIZE",
        "256",
        "size in bytes below which entropy is not checked",
        |d, v| set(&mut d.config.min_entropy_size_bytes, bytes(v, 0, MAX_BYTES)),
        |c| c.min_entropy_size_bytes.to_string(),
    ),
    row(
        "FLASKPASTE_BIND",
        "127.0.0.1:5000",
        "address:port, [::1]:port or unix:/path to listen on",
        |d, v| set(&mut d.config.bind, bind(v)),
        |c| c.bind.to_string(),
    ),
    row(
        "FLASKPASTE_THREADS",
        "256",
        "size of the pool: connections served at a time",
        |d, v| set(&mut d.config.threads, whole(v, 1, 4096)),
        |c| c.threads.to_string(),
    ),
    row(
        "FLASKPASTE_PUBLIC_URL",
        "(none)",
        "scheme://host[:port] for absolute URLs, e.g. https://paste.example.org",
        |d, v| set(&mut d.config.public_url, public_url(v)),
        |c| c.public_url.clone(),
    ),
    row(
        "FLASKPASTE_CLIENT_DIR",
        "beside the server",
        "folder where /client finds fpaste and fpaste-<triple>",
        |d, v| {
            d.config.client_dir = Some(v.into());
            Ok(())
        },
        |c| c.client_dir.as_ref().map(|folder| folder.display().to_string()).unwrap_or_default(),
    ),
    row(
        "FLASKPASTE_MAX_DB_SIZE",
        "0",
        "bytes in use in the database above which new pastes get 507; 0 = no limit",
        |d, v| set(&mut d.config.max_db_bytes, bytes(v, 0, u64::MAX >> 1)),
        |c| c.max_db_bytes.to_string(),
    ),
    row(
        "FLASKPASTE_WEB",
        "1",
        "0: no pages for browsers",
        |d, v| set(&mut d.config.web, flag(v)),
        |c| u8::from(c.web).to_string(),
    ),
    row(
        "FLASKPASTE_HSTS",
        "subdomains",
        "Strict-Transport-Security: subdomains, host (without includeSubDomains) or off",
        |d, v| {
            d.config.hsts = match v {
                "subdomains" => Hsts::Subdomains,
                "host" => Hsts::Host,
                "off" => Hsts::Off,
                _ => return Err("must be subdomains, host or off".into()),
            };
            Ok(())
        },
        |c| format!("{:?}", c.hsts).to_lowercase(),
    ),
    row(
        "FLASKPASTE_CREATE",
        "anyone",
        "who may create pastes: anyone, token (a token or a client certificate) or certificate; reading is open",
        |d, v| {
            d.config.create = match v {
                "anyone" => Creators::Anyone,
                "token" => Creators::Token,
                "certificate" => Creators::Certificate,
                _ => return Err("must be anyone, token or certificate".into()),
            };
            Ok(())
        },
        |c| c.create.name().into(),
    ),
    row(
        "FLASKPASTE_RATE",
        "0",
        "pastes per minute and client address (IPv6: per /64); 0 = no limit",
        |d, v| set(&mut d.config.rate_per_minute, whole(v, 0, 1_000_000)),
        |c| c.rate_per_minute.to_string(),
    ),
    row(
        "FLASKPASTE_POW_FLOOD",
        "600",
        "pastes created per minute, by everyone together, above which each doubling adds a bit to the proof of work, at most eight; 0 = never",
        |d, v| set(&mut d.config.pow_flood_per_minute, whole(v, 0, 1_000_000_000)),
        |c| c.pow_flood_per_minute.to_string(),
    ),
    row(
        "FLASKPASTE_CONTACT",
        "(none)",
        "mail address or URL for reports, shown on the pages and in /.well-known/security.txt",
        |d, v| set(&mut d.config.contact, contact(v)),
        |c| c.contact.clone(),
    ),
    row(
        "FLASKPASTE_LEASE_TTL",
        "600",
        "seconds a reader has to take a leased read and confirm it",
        |d, v| set(&mut d.config.lease_ttl_seconds, whole(v, 1, MAX_SECONDS)),
        |c| c.lease_ttl_seconds.to_string(),
    ),
    row(
        "FLASKPASTE_RECEIPT_DAYS",
        "30",
        "days after its end during which a paste's delete token shows how it ended; 0 = none",
        |d, v| set(&mut d.config.receipt_days, whole(v, 0, MAX_SECONDS / 86_400)),
        |c| c.receipt_days.to_string(),
    ),
    row(
        "FLASKPASTE_METRICS",
        "0",
        "1: GET /metrics answers with Prometheus text",
        |d, v| set(&mut d.config.metrics, flag(v)),
        |c| u8::from(c.metrics).to_string(),
    ),
    row(
        "FLASKPASTE_LOG",
        "text; json in production",
        "request log on stderr: text, json or off",
        |d, v| {
            d.log = Some(match v {
                "text" => LogFormat::Text,
                "json" => LogFormat::Json,
                "off" => LogFormat::Off,
                _ => return Err("must be text, json or off".into()),
            });
            Ok(())
        },
        |c| format!("{:?}", c.log).to_lowercase(),
    ),
];

fn set<T>(field: &mut T, value: Result<T, String>) -> Result<(), String> {
    *field = value?;
    Ok(())
}
