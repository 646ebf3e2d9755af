//! The `flaskpaste` binary: parses the arguments and configuration, opens the store, runs the server or a command.
//!
//! Invariant: exit code 0 for success, 1 for a failure, 2 for a usage or configuration error, 3 if the named paste,
//! token or content does not exist; each failure prints one line to stderr. Must never contain rules about pastes:
//! those are in the library.

mod arguments;
#[cfg(feature = "postgres")]
mod import;
mod operators;
mod show;

use arguments::Command;
use flaskpaste::answer::Responder;
use flaskpaste::app::{self, App};
use flaskpaste::clock::{rfc3339, unix_now};
use flaskpaste::config::{self, Bind, Config, Mode, settings_in_force, settings_text};
use flaskpaste::operator_log;
use flaskpaste::server::{self, Server, StopSignals};
use flaskpaste::stderr;
use flaskpaste::store::{Database, Location, Role, Stats, Store};
use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

pub(crate) fn main() -> ExitCode {
    operator_log::use_json(Config::wants_json_log(|name| std::env::var_os(name)));
    let command = match arguments::parse() {
        Ok(command) => command,
        Err(error) => {
            operator_log::message(&format!("{error}; see flaskpaste --help"));
            return ExitCode::from(2);
        }
    };
    if let Command::Help | Command::Version = command {
        return exit_code(print(&if matches!(command, Command::Help) { help() } else { version() }));
    }
    let settings = Config::from_variables(std::env::vars_os()).map_err(|error| error.to_string());
    let exit_code = match settings.and_then(|config| Ok((database(&config)?, config))) {
        Ok((database, config)) => exit_code(run(command, config, &database)),
        Err(refusal) => {
            operator_log::message(&refusal);
            ExitCode::from(2)
        }
    };
    stderr::flush();
    exit_code
}

/// The configured database.
///
/// # Errors
/// A message for the operator.
fn database(config: &Config) -> Result<Database, String> {
    match &config.database {
        _ if config.mode == Mode::Testing => Location::memory()
            .map(Database::Sqlite)
            .map_err(|error| format!("cannot create an in-memory database: {error}")),
        config::Database::File(path) => Ok(Database::Sqlite(Location::File(path.clone()))),
        #[cfg(feature = "postgres")]
        config::Database::Postgres(url) => {
            let address = flaskpaste::store::Address::parse(url.as_str(), |name| std::env::var(name).ok());
            address.map(Database::Postgres).map_err(|reason| format!("FLASKPASTE_DB {reason}"))
        }
        // Refused by the configuration.
        #[cfg(not(feature = "postgres"))]
        config::Database::Postgres(_) => Err("FLASKPASTE_DB names a database this program cannot use".into()),
    }
}

fn exit_code(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            operator_log::message(&error.to_string());
            if error.is::<NotThere>() { ExitCode::from(3) } else { ExitCode::FAILURE }
        }
    }
}

/// A paste, token or content named on the command line does not exist: exit code 3.
#[derive(Debug)]
struct NotThere(String);

impl std::fmt::Display for NotThere {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for NotThere {}

fn run(command: Command, config: Config, database: &Database) -> Outcome {
    let existing = || open_existing(&config, database);
    match command {
        Command::Serve => serve(config, database),
        Command::CheckConfig => {
            print(&format!("{}the settings are valid; the database was not opened\n", settings_in_force(&config)))
        }
        Command::Health => health(&config),
        Command::Stats { json } => stats(&existing()?.stats(unix_now())?, json),
        Command::Purge => {
            let purged = existing()?.purge(unix_now())?;
            print(&format!("{purged} expired {} deleted\n", if purged == 1 { "paste" } else { "pastes" }))
        }
        Command::Backup(target) => {
            existing()?.backup(&target)?;
            print(&format!(
                "wrote and checked {}; it cannot be opened without the pepper in {}, which is not included\n",
                target.display(),
                config.pepper_path().display()
            ))
        }
        #[cfg(feature = "postgres")]
        Command::Import(source) => import::import(&source, database, &config),
        Command::List { json } => operators::list(&existing()?, json),
        Command::Show(request) => show::show(&existing()?, &request),
        Command::Delete(ids) => operators::delete(&existing()?, &ids),
        Command::Block(ids) => operators::block(&existing()?, &ids),
        Command::Unblock(sha256) => operators::unblock(&existing()?, &sha256),
        Command::Log { json } => operators::log(&existing()?, json),
        Command::AddToken { name, days } => operators::add_token(&existing()?, &name, days),
        Command::ListTokens => operators::list_tokens(&existing()?),
        Command::RemoveToken(name) => operators::remove_token(&existing()?, &name),
        // Handled before the configuration was read.
        Command::Help | Command::Version => Ok(()),
    }
}

fn serve(config: Config, database: &Database) -> Outcome {
    // First, so that every thread inherits the signal mask.
    let signals = StopSignals::hold()?;
    std::panic::set_hook(Box::new(|panic| {
        operator_log::message(&format!("internal error: {panic}"));
    }));
    server::limit_heaps();
    server::raise_descriptor_limit()?;
    // Before the store: a start that cannot listen must create neither a database nor a pepper.
    let bound = server::bind(&config.bind)?;
    let store = open(&config, database, Role::Server)?;
    #[cfg(feature = "postgres")]
    if let Database::Postgres(address) = database {
        operator_log::message(&format!("using the PostgreSQL database {address}"));
    }
    let origin = if bound.is_given() { " (the service manager's socket)" } else { "" };
    let addresses: Vec<String> = bound.addresses().map(str::to_owned).collect();
    stderr::start(|lines| operator_log::line(&format!("{lines} log lines were dropped because stderr is slow")))?;
    let responder = Arc::new(Responder::new(App::new(config, store)?)?);
    let server = Server::start(Arc::clone(&responder), bound)?;
    for address in &addresses {
        operator_log::message(&format!("{} listening on {address}{origin}", env!("CARGO_PKG_VERSION")));
    }
    let config = responder.app().config();
    if responder.app().store().has_new_pepper() {
        operator_log::message(&format!(
            "created the pepper {}; the database is lost without it: keep a copy, apart from the database backups",
            config.pepper_path().display()
        ));
    }
    let is_on_tcp = addresses.iter().any(|address| !address.starts_with("unix:"));
    if config.mode == Mode::Production && config.proxy_secret.is_empty() && is_on_tcp {
        operator_log::message(
            "FLASKPASTE_PROXY_SECRET is not set: X-SSL-Client-SHA1 is trusted from any connection from this machine, \
             including a proxy that passes the header on",
        );
    }
    server::notify(&format!("READY=1\nSTATUS=listening on {}", addresses.join(", ")));
    let watched = Arc::clone(&responder);
    // The watchdog is for a hung server, which a restart fixes; the database's health is in /health and the log.
    server::start_watchdog(move || {
        watched.app().is_healthy();
    })?;
    signals.wait();
    operator_log::message("stopping");
    server::notify("STOPPING=1");
    server.stop();
    responder.close();
    Ok(())
}

fn open(config: &Config, database: &Database, role: Role) -> Result<Store, Box<dyn Error + Send + Sync>> {
    Store::open(database, &config.pepper_path(), app::limits(config), role).map_err(|error| error.to_string().into())
}

/// Opens the existing database for a command beside the server.
fn open_existing(config: &Config, database: &Database) -> Result<Store, Box<dyn Error + Send + Sync>> {
    if config.mode == Mode::Testing {
        return Err("FLASK_ENV=testing keeps the database in the server's memory; commands cannot open it".into());
    }
    if let Database::Sqlite(Location::File(path)) = database
        && !path.is_file()
    {
        return Err(format!("no such database: {}; set FLASKPASTE_DB as for the server", path.display()).into());
    }
    open(config, database, Role::Beside)
}

fn stats(stats: &Stats, json: bool) -> Outcome {
    if json {
        return print(&format!(
            "{}\n",
            serde_json::json!({
                "pastes": stats.pastes,
                "content_bytes": stats.content_bytes,
                "burn_after_read": stats.burn,
                "password_protected": stats.password_protected,
                "owned": stats.owned,
                "oldest_created_at": stats.oldest_created_at,
                "expired": stats.expired,
                "database_bytes": stats.database_bytes,
                "disk_bytes": stats.disk_bytes,
                "used_bytes": stats.used_bytes,
            })
        ));
    }
    let oldest = stats.oldest_created_at.map_or_else(|| "none".into(), rfc3339);
    let (content, database) = (human_bytes(stats.content_bytes), human_bytes(stats.database_bytes));
    let (used, disk) = (human_bytes(stats.used_bytes), human_bytes(stats.disk_bytes));
    print(&format!(
        "pastes              {}\ncontent             {content}\nburn after read     {}\npassword protected  {}\n\
         owned               {}\noldest              {oldest}\nexpired, to purge   {}\n\
         database            {database}, {used} of it in use\non disk, with log   {disk}\n",
        stats.pastes, stats.burn, stats.password_protected, stats.owned, stats.expired,
    ))
}

/// A human-readable size: `512 bytes`, `3.0 MiB`.
#[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
fn human_bytes(bytes: u64) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match units.into_iter().find(|(_, shift)| bytes >> shift > 0) {
        Some((unit, shift)) => format!("{:.1} {unit}", bytes as f64 / f64::from(1 << shift)),
        None => format!("{bytes} bytes"),
    }
}

/// Asks the running server's `/health`.
fn health(config: &Config) -> Outcome {
    const TIMEOUT: Duration = Duration::from_secs(5);
    let request = format!("GET {}/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", config.url_prefix);
    let asked = match &config.bind {
        Bind::Tcp(address) => {
            let mut address = *address;
            if address.ip().is_unspecified() {
                let loopback = (Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into());
                address.set_ip(if address.is_ipv4() { loopback.0 } else { loopback.1 });
            }
            TcpStream::connect_timeout(&address, TIMEOUT)
                .and_then(|socket| socket.set_read_timeout(Some(TIMEOUT)).map(|()| socket))
                .and_then(|socket| ask(socket, &request))
        }
        Bind::Unix(path) => UnixStream::connect(path)
            .and_then(|socket| socket.set_read_timeout(Some(TIMEOUT)).map(|()| socket))
            .and_then(|socket| ask(socket, &request)),
    };
    let answer = asked.map_err(|error| format!("cannot reach the server at {}: {error}", config.bind))?;
    if answer.starts_with("HTTP/1.1 200 ") {
        print("healthy\n")
    } else {
        Err(format!("the server at {} is unhealthy", config.bind).into())
    }
}

fn ask(mut socket: impl Read + Write, request: &str) -> io::Result<String> {
    let mut answer = String::new();
    socket.write_all(request.as_bytes())?;
    socket.read_to_string(&mut answer)?;
    Ok(answer)
}

fn version() -> String {
    format!("{} {}\n", env!("CARGO_BIN_NAME"), env!("CARGO_PKG_VERSION"))
}

/// The usage that only flaskpaste-postgres has.
#[cfg(feature = "postgres")]
const IMPORT_USAGE: &str = "       flaskpaste-postgres import SQLITE_FILE\n\
                            \x20                             import the pastes of a single machine, keeping their IDs\n\
                            \x20                             FLASKPASTE_DB=postgres://user@host,host/name?sslmode=verify-full\n\
                            \x20                             password: in the URL, PGPASSWORD or PGPASSFILE\n\
                            \x20                             TMPDIR: folder for large uploads\n";
#[cfg(not(feature = "postgres"))]
const IMPORT_USAGE: &str = "";

fn help() -> String {
    format!(
        "flaskpaste {} - a pastebin people trust with secrets\n\n\
         usage: flaskpaste                 run the server, by default on 127.0.0.1:5000\n\
         \x20      flaskpaste stats [--json]  show database statistics\n\
         \x20      flaskpaste purge           delete expired pastes now\n\
         \x20      flaskpaste backup FILE     copy the live database to a new file\n\
         {IMPORT_USAGE}\
         \x20      flaskpaste health          check the running server: exit 0 if healthy, else 1\n\
         \x20      flaskpaste list [--json]   list the pastes, newest first; never IDs or names\n\
         \x20      flaskpaste show ID|HANDLE [--key-from FILE [--decrypt [--file N]] [--password-from FILE]]\n\
         \x20                             show a paste's metadata; check a reported key\n\
         \x20      flaskpaste delete ID|HANDLE...\n\
         \x20                             delete pastes\n\
         \x20      flaskpaste block ID...     delete pastes and block their content\n\
         \x20      flaskpaste unblock SHA256  accept the content again\n\
         \x20      flaskpaste log [--json]    show what operators did\n\
         \x20      flaskpaste token add NAME [--days N] | list | remove NAME\n\
         \x20                             manage tokens for creating and for larger uploads\n\
         \x20      flaskpaste --check-config  check the settings only: exit 0 if valid, else 2\n\
         \x20      flaskpaste --help | --version\n\n\
         settings, from the environment [default]:\n{}\n\
         example:\n  FLASKPASTE_BIND=127.0.0.1:8080 flaskpaste &\n  curl --data-binary @FILE http://127.0.0.1:8080/\n",
        env!("CARGO_PKG_VERSION"),
        settings_text()
    )
}

/// Writes to stdout; a closed pipe is not a failure.
fn print(text: &str) -> Outcome {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}
