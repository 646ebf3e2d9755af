//! The settings: from the environment, the person's file, the machine's file, in this order.
//!
//! Invariant: a setting that is wrong is named with the place it came from; none is ignored. Must never read the key
//! file's content into a setting, and never change a file but for `cert --configure` and `server`.

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

/// Symbolic links followed to a file that is not there yet; as many as Linux follows.
const MAX_LINKS: usize = 40;

/// The machine's file.
const SYSTEM_FILE: &str = "/etc/fpaste/config";
/// Where a server is looked for when nothing says otherwise.
const DEFAULT_SERVER: &str = "http://localhost:5000";
/// What to do about a server that is the wrong one.
const ENTER_ANOTHER: &str = "fpaste server URL enters another";
/// Largest configuration file read.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Keys of the files, and the environment variable that wins over each.
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

/// The folders everything of ours lives in.
pub struct Folders {
    /// `~/.config/fpaste`, if there is a home.
    pub config: Option<PathBuf>,
    /// `~/.local/state/fpaste`, if there is a home.
    pub state: Option<PathBuf>,
    home: Option<PathBuf>,
}

impl Folders {
    /// By the XDG base directory specification; relative values are ignored, as it says.
    pub fn find(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let home = absolute("HOME");
        let folder = |name: &str, below: &str| {
            absolute(name).or_else(|| Some(home.as_ref()?.join(below))).map(|folder| folder.join("fpaste"))
        };
        let (config, state) = (folder("XDG_CONFIG_HOME", ".config"), folder("XDG_STATE_HOME", ".local/state"));
        Self { config, state, home }
    }

    /// The person's file, if there is a place for one.
    pub fn config_file(&self) -> Option<PathBuf> {
        self.config.as_ref().map(|folder| folder.join("config"))
    }

    /// Where created pastes are noted, if there is a place for it.
    pub fn history_file(&self) -> Option<PathBuf> {
        self.state.as_ref().map(|folder| folder.join("history.jsonl"))
    }

    /// What cannot be done for want of a place.
    pub fn missing(&self) -> Option<&'static str> {
        match (&self.config, &self.state) {
            (Some(_), Some(_)) => None,
            (None, Some(_)) => Some("HOME is not set: there is no configuration"),
            (Some(_), None) => Some("HOME is not set: no history is kept"),
            (None, None) => Some("HOME is not set: there is no configuration, and no history is kept"),
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

/// Everything that is set.
#[derive(Debug)]
pub struct Settings {
    /// The server.
    pub server: ServerUrl,
    /// Whether `--server` named it, for this command: then nothing else does.
    pub server_is_chosen: bool,
    /// What to do if nobody is there; `None` for one that `--server` named.
    pub server_origin: Option<String>,
    /// The fingerprint to claim; only a server that trusts us believes it.
    pub cert_sha1: Option<Fingerprint>,
    /// The certificate to show.
    pub identity: Option<Identity>,
    /// Certificate authorities to trust instead of the system's.
    pub ca_cert: Option<PathBuf>,
    /// The token for [`Settings::server`], and for no other.
    pub token: Option<Token>,
    /// Whether created pastes are noted.
    pub history: bool,
}

impl Settings {
    /// Whether a server that is ours is told who we are.
    pub fn says_who_we_are(&self) -> bool {
        self.identity.is_some() || self.cert_sha1.is_some() || self.token.is_some()
    }
}

/// A value and where it came from.
struct Setting {
    value: String,
    origin: String,
    /// What a relative path in it is relative to.
    folder: PathBuf,
}

impl Setting {
    /// What to do about a server nobody finds. Only a file has a folder.
    fn hint_to_its_place(&self) -> String {
        let is_from_file = !self.folder.as_os_str().is_empty();
        let what = if is_from_file { ENTER_ANOTHER } else { "-s URL names another" };
        format!("is it running? the address is from {}; {what}", self.origin)
    }

    fn bad(&self, why: &str) -> Failure {
        Failure::usage(format!("{}: {why}", self.origin))
    }
}

impl Settings {
    /// Puts the sources together; `server` is the option's value.
    ///
    /// # Errors
    /// A usage failure that names the source of what is wrong.
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
            (Some(_), None) => Err(setting.bad("HOME is not set, so nobody knows what ~ is")),
            (None, _) => Ok(setting.folder.join(setting.value)),
        };
        let server_is_chosen = server.is_some();
        let configured = lookup("server")?;
        // What belongs to the configured server goes to no other that is named for once.
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
                Some("no server is configured, so this machine was asked; fpaste server URL enters one".to_owned()),
            ),
        };
        let fingerprint = |setting: Setting| {
            setting.value.parse().map_err(|()| setting.bad("a SHA-1 fingerprint is 40 hex digits, colons allowed"))
        };
        let identity = match (lookup("client_cert")?, lookup("client_key")?) {
            (Some(cert), key) => {
                let cert = path(cert)?;
                Some(Identity { key: key.map_or_else(|| Ok(cert.clone()), path)?, cert })
            }
            (None, Some(key)) => return Err(key.bad("a client key needs a certificate, client_cert")),
            (None, None) => None,
        };
        let history = match lookup("history")? {
            None => true,
            Some(setting) => match setting.value.as_str() {
                "on" => true,
                "off" => false,
                _ => return Err(setting.bad("history is on or off")),
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

/// The token, out of `token`, which the environment may hold, else out of the file that `token_file` names.
fn find_token(
    lookup: impl Fn(&str) -> Result<Option<Setting>, Failure>,
    path: impl Fn(Setting) -> Result<PathBuf, Failure>,
) -> Result<Option<Token>, Failure> {
    const NO_TOKEN: &str = "a token is fpt_ and 43 letters, digits, - and _";
    if let Some(setting) = lookup("token")? {
        return setting.value.parse().map(Some).map_err(|()| setting.bad(NO_TOKEN));
    }
    let Some(setting) = lookup("token_file")? else { return Ok(None) };
    let file = path(setting)?;
    let unreadable = |why: &str| Failure::usage(format!("cannot read the token in {}: {why}", file.display()));
    let text = fs::read_to_string(&file).map(Zeroizing::new).map_err(|error| unreadable(&error.to_string()))?;
    text.trim().parse().map(Some).map_err(|()| unreadable(NO_TOKEN))
}

/// A configuration file's lines.
struct ConfigFile {
    path: PathBuf,
    lines: Vec<(usize, String, String)>,
}

impl ConfigFile {
    /// The key's value; the last line wins, an empty one counts as unset.
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
        Ok((_, true)) => return Err(unreadable("it is too large to be a configuration")),
        Ok((_, false)) => return Err(unreadable("it is not a file")),
        Err(error) => Err(error),
    };
    let text = match text {
        Ok(bytes) => String::from_utf8(bytes).map_err(|_| unreadable("it is not UTF-8 text"))?,
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
        let (key, value) = line.split_once('=').ok_or_else(|| bad("a line is key = value".into()))?;
        let (key, value) = (key.trim(), value.trim());
        if !KEYS.iter().any(|(known, _)| *known == key) {
            let known: Vec<&str> = KEYS.iter().map(|(known, _)| *known).collect();
            return Err(bad(format!("unknown key {:?}", without_fragment(key)))
                .hint(format!("the keys are {}", known.join(", "))));
        }
        lines.push((number, key.to_owned(), value.to_owned()));
    }
    Ok(ConfigFile { path: path.to_path_buf(), lines })
}

/// Sets keys in the person's file, where they stand if they do, leaving everything else in it as it is, its mode
/// included. The file appears whole or not at all.
///
/// # Errors
/// When the file cannot be read or written.
pub fn set(folders: &Folders, values: &[(&str, &str)]) -> Result<(), Failure> {
    let path = folders.config_file().ok_or_else(no_place)?;
    let failed = |error: io::Error| Failure::new(Exit::Other, format!("cannot write {}: {error}", path.display()));
    // What could not be read back must not be overwritten.
    read_file(&path)?;
    let old = match fs::read_to_string(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
        text => text.unwrap_or_default(),
    };
    let text = with_values(&old, values);
    // A symbolic link, of a dotfiles folder for example, stays one.
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

/// Where a name leads through symbolic links, the last of which may lead to nothing yet.
fn behind_links(mut path: PathBuf) -> PathBuf {
    for _ in 0..MAX_LINKS {
        match fs::read_link(&path) {
            Ok(target) => path = path.parent().unwrap_or(Path::new(".")).join(target),
            Err(_) => break,
        }
    }
    path
}

/// What keeps a configuration from being written where there is no home.
pub fn no_place() -> Failure {
    Failure::usage("there is no place for a configuration: HOME is not set")
        .hint("set HOME or XDG_CONFIG_HOME; FLASKPASTE_SERVER and the like need no file")
}

/// The lines with these keys set: the first line of a key gets the value, others of it go, and new keys come last.
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

/// Makes a folder nobody else can look into, and those above it as the system likes.
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
        // Another fpaste was faster.
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
    fn what_is_wrong_is_named_with_its_place() {
        for (config, named) in [
            ("\nsevrer = x\n", "line 2: unknown key \"sevrer\""),
            ("server\n", "line 1: a line is key = value"),
            ("server = nonsense\n", "line 1"),
            ("cert_sha1 = 12:34\n", "line 1: a SHA-1 fingerprint"),
            ("history = maybe\n", "line 1: history is on or off"),
            ("client_key = k\n", "line 1: a client key needs"),
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
