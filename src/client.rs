//! fpaste: the client that encrypts before it uploads.
//!
//! Invariant: one module per command, each given a [`Session`]; every error is returned as a [`Failure`] and printed
//! once, by the binary. Must never depend on the server's modules.

mod answer;
pub mod args;
mod ask;
mod asks;
mod browser;
mod cert;
mod challenge;
pub mod command;
mod completions;
mod config;
mod create;
mod delete;
mod draft;
mod ending;
mod explain;
mod extend;
mod extract;
pub mod failure;
mod fetch;
mod files;
pub mod flags;
mod get;
mod history;
mod info;
pub mod interrupt;
mod items;
mod kept;
mod leases;
pub mod link;
mod list;
mod maker;
pub mod manual;
mod media;
mod names;
mod notes;
mod pack;
pub mod page;
mod page_headers;
mod password;
mod pinned;
mod plaintext;
mod progress;
mod prompt;
mod proxy;
mod remote;
mod secured;
mod server;
mod share;
mod sink;
mod solve;
mod spooled;
mod status;
mod stdio;
mod stream;
mod tls;
mod transport;
pub mod ui;
mod unsent;
mod update;
mod upload;
mod verify;
mod versions;
mod x509;

use command::{Command, Invocation, Output};
use config::{Folders, Settings};
use failure::Failure;
use history::{Entry, History};
use interrupt::Interrupt;
use link::{ServerUrl, Target};
use std::env;
use transport::Transport;
use ui::Ui;

/// The shared state of a command.
struct Session<'a> {
    settings: &'a Settings,
    folders: &'a Folders,
    ui: &'a Ui,
    interrupt: &'a Interrupt,
    history: History,
    transport: Transport<'a>,
}

impl Session<'_> {
    /// The entries of the history and the open asks; a damaged or unreadable history is only a warning.
    fn known(&self) -> Vec<Entry> {
        let mut known = self.history_entries();
        known.extend(asks::entries(self));
        known
    }

    fn history_entries(&self) -> Vec<Entry> {
        match self.history.read() {
            Ok(all) => {
                if all.damaged > 0 {
                    self.ui.warning(&format!("skipped {} damaged lines in the history", all.damaged));
                }
                all.entries
            }
            Err(error) => {
                self.ui.warning(&format!("cannot read the history: {error}"));
                Vec::new()
            }
        }
    }

    /// The target's server, its history entry, and whether that server may see our credentials: only the configured
    /// server and the one the paste was created on may.
    fn locate(&self, target: &Target, known: &[Entry]) -> Located {
        let on = |server: &ServerUrl| {
            let link = server.join(&format!("/{}", target.id));
            known.iter().rev().find(|entry| entry.id == target.id && (entry.server == *server || entry.url == link))
        };
        // A bare ID may belong to a server other than the configured one, unless the user named the server.
        let may_be_elsewhere = |entry: &&Entry| entry.id == target.id && !self.settings.server_is_chosen;
        let anywhere = || known.iter().rev().find(may_be_elsewhere);
        let entry = match &target.server {
            Some(server) => on(server),
            None => on(&self.settings.server).or_else(anywhere),
        };
        let server = match (&target.server, entry) {
            (Some(server), _) => server.clone(),
            (None, Some(entry)) => entry.server.clone(),
            (None, None) => self.settings.server.clone(),
        };
        let is_ours = server == self.settings.server || entry.is_some_and(|entry| entry.server == server);
        Located { server, is_ours, entry: entry.cloned() }
    }
}

/// The location of a target.
struct Located {
    server: ServerUrl,
    is_ours: bool,
    entry: Option<Entry>,
}

/// Runs the command.
///
/// # Errors
/// Any failure, ready to be printed.
pub fn run(invocation: &Invocation, ui: &Ui) -> Result<(), Failure> {
    if !matches!(&invocation.command, Command::Get(get) if matches!(get.output, Output::File(_))) {
        stdio::check_stdout()?;
    }
    match &invocation.command {
        Command::Help(text) => return ui::write_stdout(text.as_bytes()),
        Command::Version => return ui::write_stdout(concat!("fpaste ", env!("CARGO_PKG_VERSION"), "\n").as_bytes()),
        Command::Completions(shell) => return ui::write_stdout(completions::script(shell).as_bytes()),
        _ => {}
    }
    let interrupt = Interrupt::listen().map_err(|error| Failure::new(failure::Exit::Other, error.to_string()))?;
    let variable = |name: &str| env::var_os(name);
    let folders = Folders::find(variable);
    if let Some(text) = folders.missing() {
        // Without a history a paste cannot be deleted later: scripts should log that, too.
        match invocation.command {
            Command::Create(_) => ui.warning(text),
            _ => ui.note(text),
        }
    }
    if let Command::Cert(options) = &invocation.command {
        return cert::run(options, &folders, ui);
    }
    let settings = Settings::load(invocation.server.as_deref(), &folders, variable)?;
    let session = Session {
        settings: &settings,
        folders: &folders,
        ui,
        interrupt: &interrupt,
        history: History::new(folders.history_file().filter(|_| settings.history)),
        transport: Transport::new(&settings, ui),
    };
    match &invocation.command {
        Command::Create(options) => create::run(options, &session),
        Command::Ask(options) => ask::run(options, &session),
        Command::Answer { target, with } => answer::run(target, with, &session),
        Command::Resume(password) => unsent::run(password, &session),
        Command::Get(options) => get::run(options, &session),
        Command::Delete(targets) => delete::run(targets, &session),
        Command::Extend { target, seconds } => extend::run(target, *seconds, &session),
        Command::Update { target, with } => update::run(target, with, &session),
        Command::ListRemote { json } => remote::run(*json, &session),
        Command::List { json, status } => list::run(*json, *status, &session),
        Command::Status { target, json } => status::run(target, *json, &session),
        Command::Info { json } => info::run(*json, &session),
        Command::Server => server::run(&session),
        Command::Verify(of) => verify::run(of.as_ref(), &session),
        Command::CompletionIds => list::ids(&session),
        Command::Help(_) | Command::Version | Command::Completions(_) | Command::Cert(_) => Ok(()),
    }
}
