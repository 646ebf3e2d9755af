//! Parses `FLASKPASTE_DB=postgres://…`: the address of a PostgreSQL database and the security of the connection.
//!
//! Invariant: the password is in no message and no `Debug` output; connections to other machines are encrypted and the
//! server's name is verified unless the operator says otherwise. Must never fall back to a weaker mode.

use super::tls;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_postgres::config::{Config, Host, SslMode};
use zeroize::Zeroizing;

/// The timeout for connecting to a host, without handshakes.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long data may stay unacknowledged before the kernel drops the connection (`TCP_USER_TIMEOUT`).
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(10);
/// The idle time before the kernel sends keepalive probes, and the interval between them.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(5);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
/// The number of failed probes after which the connection is dropped.
const KEEPALIVE_RETRIES: u32 = 3;
/// PostgreSQL's default port.
const DEFAULT_PORT: u16 = 5432;

/// How the server's certificate is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tls {
    /// No TLS.
    Off,
    /// TLS without verification.
    Unverified,
    /// TLS with a certificate of a known authority for any name.
    Authority,
    /// TLS with a certificate of a known authority for the host's name.
    Name,
}

/// The database's address.
#[derive(Clone)]
pub struct Address {
    /// One configuration for each host, in their order.
    hosts: Vec<Config>,
    pub(super) tls: Tls,
    /// Certificate authorities to use instead of the system's.
    pub(super) root_certificates: Option<PathBuf>,
    /// Whether statements are prepared once per connection.
    pub(super) prepares: bool,
}

impl Address {
    /// Parses a `postgres://` URL. `variable` looks up environment variables: a password that is not in the URL is
    /// taken from `PGPASSWORD`, or from the file named in `PGPASSFILE`.
    ///
    /// # Errors
    /// What is wrong, to follow the name of the setting; without the password.
    pub fn parse(url: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let (plain, mut own) = split_parameters(url)?;
        let config: Config = plain.parse().map_err(|error: tokio_postgres::Error| {
            let cause = std::error::Error::source(&error).map(|cause| format!(" ({cause})")).unwrap_or_default();
            format!("is not a valid PostgreSQL URL{cause}; {EXAMPLE}")
        })?;
        check_names(&config)?;
        let tls = Tls::of(own.take("sslmode").as_deref(), config.get_hosts().iter().all(is_local))?;
        let root_certificates = own.take("sslrootcert").map(PathBuf::from);
        match &root_certificates {
            Some(_) if tls == Tls::Off => {
                return Err("has an sslrootcert but no TLS; add sslmode=verify-full".into());
            }
            Some(file) => drop(tls::roots(Some(file)).map_err(|reason| format!("cannot be used: {reason}"))?),
            None => {}
        }
        let prepares = match own.take("prepare").as_deref() {
            None | Some("on") => true,
            Some("off") => false,
            Some(_) => return Err("has an invalid prepare; expected on or off".into()),
        };
        let passwords = Passwords::of(&config, variable)?;
        let hosts = each_host(&config, tls, |host, port| passwords.find(host, port));
        Ok(Self { hosts, tls, root_certificates, prepares })
    }

    /// The configurations for connecting to each host, in order.
    pub(super) fn hosts(&self) -> &[Config] {
        &self.hosts
    }
}

impl Tls {
    /// The verification for an `sslmode`; the default is the strictest, unless everything stays on this machine.
    fn of(sslmode: Option<&str>, is_local: bool) -> Result<Self, String> {
        Ok(match sslmode {
            None if is_local => Self::Off,
            None | Some("verify-full") => Self::Name,
            Some("verify-ca") => Self::Authority,
            Some("require") => Self::Unverified,
            Some("disable") => Self::Off,
            Some(_) => return Err("has an invalid sslmode; expected verify-full, verify-ca, require or disable".into()),
        })
    }
}

/// Checks that an address is complete, and that no part of a password is in the place of a name.
fn check_names(config: &Config) -> Result<(), String> {
    if config.get_user().is_none_or(str::is_empty) || config.get_dbname().is_none_or(str::is_empty) {
        return Err(format!("must name a user and a database; {EXAMPLE}"));
    }
    if config.get_hosts().is_empty() {
        return Err(format!("must name a host, or the folder of a Unix socket; {EXAMPLE}"));
    }
    let hosts = config.get_hosts().iter().filter_map(|host| match host {
        Host::Tcp(name) => Some(name.as_str()),
        Host::Unix(_) => None,
    });
    if hosts.chain(config.get_dbname()).any(|name| name.contains(['@', ' '])) {
        return Err(format!(
            "has an @ or a space in the name of a host or database; in a password @ is %40; {EXAMPLE}"
        ));
    }
    Ok(())
}

impl fmt::Display for Address {
    /// `host:port/name`, for messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<String> = self.hosts.iter().map(host_name).collect();
        let database = self.hosts.first().and_then(Config::get_dbname).unwrap_or_default();
        write!(f, "{}/{database}", hosts.join(","))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

const EXAMPLE: &str = "expected e.g. postgres://user@host:5432/name?sslmode=verify-full";

/// The host of a single-host configuration.
pub(super) fn host_name(config: &Config) -> String {
    let port = config.get_ports().first().copied().unwrap_or(DEFAULT_PORT);
    match config.get_hosts().first() {
        Some(Host::Tcp(name)) if name.contains(':') => format!("[{name}]:{port}"),
        Some(Host::Tcp(name)) => format!("{name}:{port}"),
        Some(Host::Unix(folder)) => format!("{}/.s.PGSQL.{port}", folder.display()),
        None => String::new(),
    }
}

/// Whether connections to the host stay on this machine.
fn is_local(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()),
    }
}

/// Splits a configuration into one for each host.
fn each_host(config: &Config, tls: Tls, password: impl Fn(&Host, u16) -> Option<Zeroizing<Vec<u8>>>) -> Vec<Config> {
    let ports = config.get_ports();
    let port_of = |at: usize| ports.get(at).or(ports.first()).copied().unwrap_or(DEFAULT_PORT);
    let one = |(at, host): (usize, &Host)| {
        let mut one = Config::new();
        match host {
            // localhost never leaves the machine, whatever a name server says (RFC 6761 section 6.3).
            Host::Tcp(name) if name == "localhost" => one.host(name).hostaddr(Ipv4Addr::LOCALHOST.into()),
            Host::Tcp(name) => one.host(name),
            Host::Unix(folder) => one.host_path(folder),
        };
        one.port(port_of(at));
        one.user(config.get_user().unwrap_or_default()).dbname(config.get_dbname().unwrap_or_default());
        if let Some(password) = password(host, port_of(at)) {
            one.password(password.as_slice());
        }
        one.application_name(config.get_application_name().unwrap_or("flaskpaste"));
        // Unix sockets are never encrypted, whatever applies to the other hosts.
        let has_tls = tls != Tls::Off && matches!(host, Host::Tcp(_));
        one.ssl_mode(if has_tls { SslMode::Require } else { SslMode::Disable });
        one.connect_timeout(CONNECT_TIMEOUT).tcp_user_timeout(TCP_USER_TIMEOUT);
        one.keepalives_idle(KEEPALIVE_IDLE)
            .keepalives_interval(KEEPALIVE_INTERVAL)
            .keepalives_retries(KEEPALIVE_RETRIES);
        one
    };
    config.get_hosts().iter().enumerate().map(one).collect()
}

/// The parameters of a URL that we handle ourselves.
struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(at).1)
    }
}

/// Splits a URL into one without the parameters that we handle ourselves, and those.
fn split_parameters(url: &str) -> Result<(String, Parameters), String> {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let (mut own, mut others) = (Vec::new(), Vec::new());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match name {
            "sslmode" | "sslrootcert" | "prepare" => own.push((name.to_owned(), percent_decoded(value)?)),
            // Other parameters that affect neither our guarantees nor our timeouts.
            "host" | "port" | "user" | "password" | "dbname" | "application_name" => others.push(pair),
            _ => {
                // It may be the end of a password with a question mark.
                let is_name = base.contains('@') && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
                let named = if is_name { format!(" {name}") } else { String::new() };
                return Err(format!(
                    "has a parameter{named} that is not one of sslmode, sslrootcert, prepare, application_name, host, \
                     port, user, password and dbname; in a password, ? is %3F and @ is %40"
                ));
            }
        }
    }
    let mut names: Vec<&str> = query.split('&').filter_map(|pair| pair.split('=').next()).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| matches!(pair, [one, other] if one == other)) {
        return Err("has a parameter twice".into());
    }
    let query = if others.is_empty() { String::new() } else { format!("?{}", others.join("&")) };
    Ok((format!("{base}{query}"), Parameters(own)))
}

/// Percent-decoding (RFC 3986 section 2.1).
fn percent_decoded(text: &str) -> Result<String, String> {
    let malformed = || "has a parameter that is not valid percent-encoded UTF-8".to_owned();
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, tail) = rest.split_at_checked(2).ok_or_else(malformed)?;
        let digits = std::str::from_utf8(digits).map_err(|_| malformed())?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| malformed())?);
        rest = tail;
    }
    String::from_utf8(bytes).map_err(|_| malformed())
}

/// The source of a password, the first available: the URL, `PGPASSWORD`, the file named in `PGPASSFILE`.
enum Passwords {
    None,
    One(Zeroizing<Vec<u8>>),
    /// Lines of `host:port:database:user:password`.
    File {
        lines: Zeroizing<String>,
        database: String,
        user: String,
    },
}

impl Passwords {
    fn of(config: &Config, variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        if let Some(password) = config.get_password() {
            return Ok(Self::One(Zeroizing::new(password.to_vec())));
        }
        if let Some(password) = variable("PGPASSWORD").filter(|password| !password.is_empty()) {
            return Ok(Self::One(Zeroizing::new(password.into_bytes())));
        }
        let Some(path) = variable("PGPASSFILE").filter(|path| !path.is_empty()) else { return Ok(Self::None) };
        let lines = read_password_file(Path::new(&path))?;
        let [database, user] = [config.get_dbname(), config.get_user()].map(|text| text.unwrap_or_default().to_owned());
        Ok(Self::File { lines, database, user })
    }

    fn find(&self, host: &Host, port: u16) -> Option<Zeroizing<Vec<u8>>> {
        match self {
            Self::None => None,
            Self::One(password) => Some(password.clone()),
            Self::File { lines, database, user } => {
                let host = match host {
                    Host::Tcp(name) => name.clone(),
                    Host::Unix(folder) => folder.display().to_string(),
                };
                find_in_lines(lines, &[&host, &port.to_string(), database, user])
            }
        }
    }
}

/// Reads a password file. Like libpq we refuse one that others can read, except for the group of a file owned by root,
/// as provided by a service manager.
fn read_password_file(path: &Path) -> Result<Zeroizing<String>, String> {
    let refuse = |what: String| format!("needs a password, and PGPASSFILE {}: {what}", path.display());
    let metadata = std::fs::metadata(path).map_err(|error| refuse(format!("cannot read it: {error}")))?;
    let forbidden = if metadata.uid() == 0 { 0o037 } else { 0o077 };
    if metadata.permissions().mode() & forbidden != 0 {
        return Err(refuse("other users can read it; chmod 600 it".into()));
    }
    std::fs::read_to_string(path).map(Zeroizing::new).map_err(|error| refuse(format!("cannot read it: {error}")))
}

/// The password in the first line whose fields match or are `*`
/// (<https://www.postgresql.org/docs/15/libpq-pgpass.html>).
fn find_in_lines(lines: &str, wanted: &[&str; 4]) -> Option<Zeroizing<Vec<u8>>> {
    lines.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut fields = split_fields(line);
        let password = fields.pop().filter(|_| fields.len() == wanted.len())?;
        let matches = fields.iter().zip(wanted).all(|(field, wanted)| field == "*" || field == wanted);
        matches.then(|| Zeroizing::new(password.into_bytes()))
    })
}

/// The fields of a line; a backslash escapes a colon or a backslash.
fn split_fields(line: &str) -> Vec<String> {
    let (mut fields, mut field, mut letters) = (Vec::new(), String::new(), line.chars());
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => field.extend(letters.next()),
            ':' if fields.len() < 4 => fields.push(std::mem::take(&mut field)),
            letter => field.push(letter),
        }
    }
    fields.push(field);
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Address, String> {
        Address::parse(url, |_| None)
    }

    #[test]
    fn addresses_are_parsed_like_libpq() {
        let address =
            parse("postgres://u:s%40cret@a.example,b.example:6000/d?sslmode=verify-ca&application_name=x%20y").unwrap();
        assert_eq!((address.tls, address.prepares), (Tls::Authority, true));
        let [one, two] = address.hosts() else { panic!("{address}") };
        assert_eq!((host_name(one), host_name(two)), ("a.example:5432".into(), "b.example:6000".into()));
        assert_eq!((one.get_user(), one.get_password()), (Some("u"), Some(b"s@cret".as_slice())));
        assert_eq!(address.to_string(), "a.example:5432,b.example:6000/d");
        let socket = parse("postgresql://u@%2Frun%2Fpostgresql/d?prepare=off").unwrap();
        assert_eq!((socket.tls, socket.prepares), (Tls::Off, false));
        assert_eq!(socket.to_string(), "/run/postgresql/.s.PGSQL.5432/d");
    }

    #[test]
    fn tls_is_verified_unless_the_host_is_local() {
        let tls = |url: &str| parse(url).unwrap().tls;
        for local in ["127.0.0.1", "[::1]", "localhost", "%2Frun"] {
            assert_eq!(tls(&format!("postgres://u@{local}/d")), Tls::Off, "{local}");
        }
        for remote in ["a.example", "192.0.2.1", "localhost,a.example", "127.0.0.1.example"] {
            assert_eq!(tls(&format!("postgres://u@{remote}/d")), Tls::Name, "{remote}");
        }
        assert_eq!(tls("postgres://u@localhost/d?sslmode=verify-full"), Tls::Name);
        assert_eq!(tls("postgres://u@a.example/d?sslmode=require"), Tls::Unverified);
    }

    #[test]
    fn errors_do_not_contain_the_password() {
        for url in [
            "postgres://u:hunter2@h/d?sslmode=prefer",
            "postgres://u:hunter2@h/d?prepare=maybe",
            "postgres://u:hunter2@h/d?options=-cfsync%3Doff",
            "postgres://u:hunter2@h/d?sslrootcert=%zz",
            "postgres://u:hunter2@h",
            "postgres://:hunter2@h/d",
            "postgres://u:hunter2@h:port/d",
            "postgres:///d?user=u&password=hunter2",
            "postgres://u:x?hunter2@h/d",
            "postgres://u:x?hunter=y@h/d",
            "postgres://u:x@hunter2@h/d",
            "postgres://u:x@a/hunter2@h/d",
            "postgres://u:hunter2@h/d?sslmode=disable&sslmode=verify-full",
            "postgres://u:hunter2@localhost/d?sslrootcert=/x",
        ] {
            let refusal = parse(url).unwrap_err();
            assert!(!refusal.contains("hunter") && !refusal.contains('\n'), "{url}: {refusal}");
        }
        let address = parse("postgres://u:hunter2@h/d").unwrap();
        assert!(!format!("{address} {address:?}").contains("hunter2"));
    }

    #[test]
    fn the_password_is_taken_from_the_first_available_source() {
        let lines = "# a comment\nother:*:*:*:wrong\na\\:b:5432:d:u:one\nh:*:d:u:t\\:w\\\\o\n*:*:*:*:rest";
        let find = |host: &str| find_in_lines(lines, &[host, "5432", "d", "u"]).unwrap().to_vec();
        assert_eq!((find("a:b"), find("h"), find("x")), (b"one".to_vec(), b"t:w\\o".to_vec(), b"rest".to_vec()));
        let password = |url: &str, variables: &[(&str, &str)]| {
            let find = |name: &str| Some(variables.iter().find(|(known, _)| *known == name)?.1.to_owned());
            Address::parse(url, find).map(|address| address.hosts[0].get_password().map(<[u8]>::to_vec))
        };
        assert_eq!(password("postgres://u:x@h/d", &[("PGPASSWORD", "y")]), Ok(Some(b"x".to_vec())));
        assert_eq!(password("postgres://u@h/d", &[("PGPASSWORD", "y")]), Ok(Some(b"y".to_vec())));
        assert_eq!(password("postgres://u@h/d", &[]), Ok(None));
        let file = std::env::temp_dir().join(format!("flaskpaste-pgpass-{}", std::process::id()));
        std::fs::write(&file, lines).unwrap();
        for (mode, is_taken) in [(0o644, false), (0o600, true)] {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            let found = password("postgres://u@h/d", &[("PGPASSFILE", file.to_str().unwrap())]);
            assert_eq!(found.is_ok_and(|found| found == Some(b"t:w\\o".to_vec())), is_taken, "{mode:o}");
        }
        std::fs::remove_file(file).unwrap();
    }
}
