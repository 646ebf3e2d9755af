//! The settings: from the environment, the user's file and the system's file, in this order of precedence.
//!
//! Invariant: an invalid setting is an error that names its source; none is ignored. Must never read the contents of a
//! key file into a setting, nor change a file except for `cert --configure` and `server`.

use super::failure::{Exit, Failure};
use super::link::ServerUrl;
use crate::owner::Token;
use crate::paste::Fingerprint;
use crate::text::without_fragment;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// How many symbolic links are followed to a file that does not exist yet; the same as Linux.
const MAX_LINKS: usize = 40;

/// The system-wide file.
const SYSTEM_FILE: &str = "/etc/fpaste/config";
/// The server if none is configured.
const DEFAULT_SERVER: &str = "http://localhost:5000";
/// The size limit of a configuration file.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The keys of the files, and the environment variable that overrides each.
const KEYS: &[(&str, Option<&str>)] = &[
    ("server", Some("FLASKPASTE_SERVER")),
    ("cert_sha1", Some("FLASKPASTE_CERT_SHA1")),
    ("client_cert", Some("FLASKPASTE_CLIENT_CERT")),
    ("client_key", Some("FLASKPASTE_CLIENT_KEY")),
    ("ca_cert", Some("FLASKPASTE_CA_CERT")),
    ("token", Some("FLASKPASTE_TOKEN")),
    ("token_file", None),
    ("history", None),
];

/// The client's folders.
pub struct Folders {
    /// `~/.config/fpaste`, if there is a home folder.
    pub config: Option<PathBuf>,
    /// `~/.local/state/fpaste`, if there is a home folder.
    pub state: Option<PathBuf>,
    home: Option<PathBuf>,
}

impl Folders {
    /// Follows the XDG Base Directory Specification, which says to ignore relative paths.
    pub fn find(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let home = absolute("HOME");
        let folder = |name: &str, below: &str| {
            absolute(name).or_else(|| Some(home.as_ref()?.join(below))).map(|folder| folder.join("fpaste"))
        };
        let (config, state) = (folder("XDG_CONFIG_HOME", ".config"), folder("XDG_STATE_HOME", ".local/state"));
        Self { config, state, home }
    }

    /// The user's configuration file, if there is a folder for it.
    pub fn config_file(&self) -> Option<PathBuf> {
        self.config.as_ref().map(|folder| folder.join("config"))
    }

    /// The history file, if there is a folder for it.
    pub fn history_file(&self) -> Option<PathBuf> {
        self.state.as_ref().map(|folder| folder.join("history.jsonl"))
    }

    /// The warning about missing folders.
    pub fn missing(&self) -> Option<&'static str> {
        match (&self.config, &self.state) {
            (Some(_), Some(_)) => None,
            (None, Some(_)) => Some("HOME is not set: no configuration file is read"),
            (Some(_), None) => Some("HOME is not set: no history is kept"),
            (None, None) => Some("HOME is not set: no configuration file is read and no history is kept"),
        }
    }
}

/// A certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate chain, PEM.
    pub cert: PathBuf,
    /// The private key, PEM; the same file if it holds both.
    pub key: PathBuf,
}

/// All settings.
#[derive(Debug)]
pub struct Settings {
    /// The server.
    pub server: ServerUrl,
    /// Whether it comes from `--server`, which overrides everything else.
    pub server_is_chosen: bool,
    /// The hint if it cannot be reached; `None` with `--server`.
    pub server_origin: Option<String>,
    /// The fingerprint to send in a header; only servers that trust this client as a proxy accept it.
    pub cert_sha1: Option<Fingerprint>,
    /// The client certificate.
    pub identity: Option<Identity>,
    /// Certificate authorities to trust instead of the system's.
    pub ca_cert: Option<PathBuf>,
    /// The token, for [`Settings::server`] only.
    pub token: Option<Token>,
    /// Whether a history is kept.
    pub history: bool,
}

impl Settings {
    /// Whether there are credentials to send to our server.
    pub fn says_who_we_are(&self) -> bool {
        self.identity.is_some() || self.cert_sha1.is_some() || self.token.is_some()
    }
}

/// A value and where it came from.
struct Setting {
    value: String,
    origin: String,
    /// The base of relative paths.
    folder: PathBuf,
}

impl Setting {
    /// The hint if the server cannot be reached. Only settings from a file have a folder.
    fn hint_to_its_place(&self) -> String {
        let is_from_file = !self.folder.as_os_str().is_empty();
        let how = if is_from_file { "fpaste server URL" } else { "-s URL" };
        format!("if it is not running, use another with {how} (the address is from {})", self.origin)
    }

    fn bad(&self, why: &str) -> Failure {
        Failure::usage(format!("{}: {why}", self.origin))
    }
}

impl Settings {
    /// Merges the sources; `server` is the value of `--server`.
    ///
    /// # Errors
    /// A usage failure that names the source of the invalid setting.
    pub fn load(
        server: Option<&str>,
        folders: &Folders,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, Failure> {
        let own_file = folders.config_file();
        let files = [own_file.as_deref().map_or(Ok(None), read_file)?, read_file(Path::new(SYSTEM_FILE))?];
        let lookup = |key: &str| -> Result<Option<Setting>, Failure> {
            let name = KEYS.iter().find(|(known, _)| *known == key).and_then(|(_, name)| *name);
            let from_environment = name.and_then(|name| variable(name).filter(|value| !value.is_empty()));
            if let (Some(value), Some(name)) = (from_environment, name) {
                let value = value.into_string().map_err(|_| Failure::usage(format!("{name} is not UTF-8")))?;
                return Ok(Some(Setting { value, origin: name.into(), folder: PathBuf::new() }));
            }
            Ok(files.iter().flatten().find_map(|file| file.setting(key)))
        };
        let path = |setting: Setting| match (setting.value.strip_prefix("~/"), &folders.home) {
            (Some(below), Some(home)) => Ok(home.join(below)),
            (Some(_), None) => Err(setting.bad("cannot expand ~: HOME is not set")),
            (None, _) => Ok(setting.folder.join(setting.value)),
        };
        let server_is_chosen = server.is_some();
        let configured = lookup("server")?;
        // The configured server's token must not go to a server given with -s.
        let is_another = |text: &str| {
            let server = configured.as_ref().and_then(|setting| ServerUrl::parse(&setting.value).ok());
            server.is_some_and(|server| ServerUrl::parse(text).is_ok_and(|named| named != server))
        };
        let token = if server.is_some_and(is_another) { None } else { find_token(lookup, path)? };
        let (server, server_origin) = match (server, configured) {
            (Some(text), _) => (ServerUrl::parse(text)?, None),
            (None, Some(setting)) => (
                ServerUrl::parse(&setting.value).map_err(|f| setting.bad(&f.message))?,
                Some(setting.hint_to_its_place()),
            ),
            (None, None) => (
                ServerUrl::parse(DEFAULT_SERVER)?,
                Some("no server is configured: set one with fpaste server URL".to_owned()),
            ),
        };
        let fingerprint = |setting: Setting| {
            setting
                .value
                .parse()
                .map_err(|()| setting.bad("invalid SHA-1 fingerprint; expected 40 hex digits, with or without colons"))
        };
        let identity = match (lookup("client_cert")?, lookup("client_key")?) {
            (Some(cert), key) => {
                let cert = path(cert)?;
                Some(Identity { key: key.map_or_else(|| Ok(cert.clone()), path)?, cert })
            }
            (None, Some(key)) => return Err(key.bad("client_key needs client_cert")),
            (None, None) => None,
        };
        let history = match lookup("history")? {
            None => true,
            Some(setting) => match setting.value.as_str() {
                "on" => true,
                "off" => false,
                _ => return Err(setting.bad("invalid value for history; expected on or off")),
            },
        };
        Ok(Self {
            server,
            server_is_chosen,
            server_origin,
            cert_sha1: lookup("cert_sha1")?.map(fingerprint).transpose()?,
            identity,
            ca_cert: lookup("ca_cert")?.map(path).transpose()?,
            token,
            history,
        })
    }
}

/// The token: from `token` or its environment variable, else from the file that `token_file` names.
fn find_token(
    lookup: impl Fn(&str) -> Result<Option<Setting>, Failure>,
    path: impl Fn(Setting) -> Result<PathBuf, Failure>,
) -> Result<Option<Token>, Failure> {
    const NO_TOKEN: &str = "invalid token; expected fpt_ and 43 letters, digits, - or _";
    if let Some(setting) = lookup("token")? {
        return setting.value.parse().map(Some).map_err(|()| setting.bad(NO_TOKEN));
    }
    let Some(setting) = lookup("token_file")? else { return Ok(None) };
    let file = path(setting)?;
    let unreadable = |why: &str| Failure::usage(format!("cannot read the token in {}: {why}", file.display()));
    let text = fs::read_to_string(&file).map(Zeroizing::new).map_err(|error| unreadable(&error.to_string()))?;
    text.trim().parse().map(Some).map_err(|()| unreadable(NO_TOKEN))
}

/// The lines of a configuration file.
struct ConfigFile {
    path: PathBuf,
    lines: Vec<(usize, String, String)>,
}

impl ConfigFile {
    /// The key's value; the last line wins, an empty value counts as unset.
    fn setting(&self, key: &str) -> Option<Setting> {
        let (number, _, value) = self.lines.iter().rev().find(|(_, known, _)| known == key)?;
        (!value.is_empty()).then(|| Setting {
            value: value.clone(),
            origin: format!("{} line {number}", self.path.display()),
            folder: self.path.parent().unwrap_or(Path::new("")).to_path_buf(),
        })
    }
}

fn read_file(path: &Path) -> Result<Option<ConfigFile>, Failure> {
    let unreadable = |why: &str| Failure::usage(format!("cannot read {}: {why}", path.display()));
    let text = match fs::metadata(path).map(|metadata| (metadata.len(), metadata.is_file())) {
        Ok((size, true)) if size <= MAX_FILE_BYTES => fs::read(path),
        Ok((_, true)) => return Err(unreadable("it is too large for a configuration file")),
        Ok((_, false)) => return Err(unreadable("it is not a regular file")),
        Err(error) => Err(error),
    };
    let text = match text {
        Ok(bytes) => String::from_utf8(bytes).map_err(|_| unreadable("it is not UTF-8"))?,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(error) => return Err(unreadable(&error.to_string())),
    };
    parse_lines(path, &text).map(Some)
}

fn parse_lines(path: &Path, text: &str) -> Result<ConfigFile, Failure> {
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let bad = |why: String| Failure::usage(format!("{} line {number}: {why}", path.display()));
        let (key, value) = line.split_once('=').ok_or_else(|| bad("expected key = value".into()))?;
        let (key, value) = (key.trim(), value.trim());
        if !KEYS.iter().any(|(known, _)| *known == key) {
            let known: Vec<&str> = KEYS.iter().map(|(known, _)| *known).collect();
            return Err(bad(format!("unknown key {:?}", without_fragment(key)))
                .hint(format!("known keys: {}", known.join(", "))));
        }
        lines.push((number, key.to_owned(), value.to_owned()));
    }
    Ok(ConfigFile { path: path.to_path_buf(), lines })
}

/// Sets keys in the user's file, replacing existing lines in place; everything else is kept, including the file's
/// mode. The file is replaced atomically.
///
/// # Errors
/// When the file cannot be read or written.
pub fn set(folders: &Folders, values: &[(&str, &str)]) -> Result<(), Failure> {
    let path = folders.config_file().ok_or_else(no_place)?;
    let failed = |error: io::Error| Failure::new(Exit::Other, format!("cannot write {}: {error}", path.display()));
    // Never overwrite a file that cannot be parsed.
    read_file(&path)?;
    let old = match fs::read_to_string(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
        text => text.unwrap_or_default(),
    };
    let text = with_values(&old, values);
    // Keep a symbolic link, for example into a dotfiles folder.
    let path = behind_links(path.clone());
    let folder = path.parent().unwrap_or(Path::new("."));
    create_private_folder(folder).map_err(failed)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    if let Ok(metadata) = fs::metadata(&path) {
        file.as_file().set_permissions(metadata.permissions()).map_err(failed)?;
    }
    file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    file.persist(&path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// Resolves symbolic links; the target may not exist yet.
fn behind_links(mut path: PathBuf) -> PathBuf {
    for _ in 0..MAX_LINKS {
        match fs::read_link(&path) {
            Ok(target) => path = path.parent().unwrap_or(Path::new(".")).join(target),
            Err(_) => break,
        }
    }
    path
}

/// The failure if there is no folder for a configuration file.
pub fn no_place() -> Failure {
    Failure::usage("no folder for the configuration file: HOME is not set")
        .hint("set HOME or XDG_CONFIG_HOME, or use environment variables such as FLASKPASTE_SERVER")
}

/// Sets keys in the text: the first line of a key gets the value, its other lines are removed, new keys are appended.
fn with_values(lines: &str, values: &[(&str, &str)]) -> String {
    let mut missing = values.to_vec();
    let mut text = String::new();
    for line in lines.lines() {
        let key = line.split_once('=').map_or("", |(key, _)| key.trim());
        if !values.iter().any(|(set, _)| *set == key) {
            text.push_str(line);
            text.push('\n');
        } else if let Some(at) = missing.iter().position(|(set, _)| *set == key) {
            let (key, value) = missing.remove(at);
            let _ = writeln!(text, "{key} = {value}");
        }
    }
    for (key, value) in missing {
        let _ = writeln!(text, "{key} = {value}");
    }
    text
}

/// Creates a folder with mode 0700; missing parents get the default mode.
///
/// # Errors
/// When the system refuses.
pub fn create_private_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(path) {
        // Another fpaste created it first.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Home(tempfile::TempDir);

    impl Home {
        fn new(config: &str) -> Self {
            let home = Self(tempfile::tempdir().unwrap());
            fs::create_dir_all(home.folders().config.unwrap()).unwrap();
            fs::write(home.folders().config_file().unwrap(), config).unwrap();
            home
        }

        fn folders(&self) -> Folders {
            Folders::find(|name| (name == "HOME").then(|| self.0.path().into()))
        }

        fn load(&self, variables: &[(&str, &str)]) -> Result<Settings, Failure> {
            let variable = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| OsString::from(v));
            Settings::load(None, &self.folders(), variable)
        }
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let home = Home::new("# mine\n\nserver = https://a.example\nhistory=off\n");
        let settings = home.load(&[]).unwrap();
        assert_eq!((settings.server.to_string().as_str(), settings.history), ("https://a.example", false));
        let settings = home.load(&[("FLASKPASTE_SERVER", "https://b.example")]).unwrap();
        assert_eq!(settings.server.to_string(), "https://b.example");
        let settings = home.load(&[("FLASKPASTE_SERVER", "")]).unwrap();
        assert_eq!(settings.server.to_string(), "https://a.example");
        let settings = Settings::load(Some("https://c.example"), &home.folders(), |_| None).unwrap();
        assert_eq!((settings.server.to_string().as_str(), settings.server_origin), ("https://c.example", None));
        let settings = Home::new("").load(&[]).unwrap();
        assert_eq!(settings.server.to_string(), DEFAULT_SERVER);
        assert!(settings.server_origin.unwrap().contains("no server is configured"));
    }

    #[test]
    fn paths_are_relative_to_their_file() {
        let home = Home::new("client_cert = client.crt\nclient_key = ~/keys/k.pem\n");
        let identity = home.load(&[]).unwrap().identity.unwrap();
        assert_eq!(identity.cert, home.folders().config.unwrap().join("client.crt"));
        assert_eq!(identity.key, home.0.path().join("keys/k.pem"));
        let identity = home.load(&[("FLASKPASTE_CLIENT_CERT", "here.crt")]).unwrap().identity.unwrap();
        assert_eq!(identity.cert, Path::new("here.crt"));
    }

    #[test]
    fn errors_name_the_file_and_line() {
        for (config, named) in [
            ("\nsevrer = x\n", "line 2: unknown key \"sevrer\""),
            ("server\n", "line 1: expected key = value"),
            ("server = nonsense\n", "line 1"),
            ("cert_sha1 = 12:34\n", "line 1: invalid SHA-1 fingerprint"),
            ("history = maybe\n", "line 1: invalid value for history"),
            ("client_key = k\n", "line 1: client_key needs client_cert"),
        ] {
            let failure = Home::new(config).load(&[]).unwrap_err();
            assert!(failure.message.contains(named), "{config:?}: {failure:?}");
            assert_eq!(failure.exit, Exit::Usage);
        }
    }

    #[test]
    fn setting_a_key_keeps_the_rest() {
        let home = Home::new("# mine\nclient_cert=old\n\n# the server = x\nserver = https://a.example\nclient_cert=b");
        set(&home.folders(), &[("client_cert", "new.crt"), ("client_key", "new.key")]).unwrap();
        let text = fs::read_to_string(home.folders().config_file().unwrap()).unwrap();
        let expected = "# mine\nclient_cert = new.crt\n\n# the server = x\nserver = https://a.example\n\
                        client_key = new.key\n";
        assert_eq!(text, expected);
    }
}
