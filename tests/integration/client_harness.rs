//! Runs the real `fpaste` with a home of its own.
//!
//! Invariant: nothing of the machine's configuration, history or proxies reaches it, and no run outlives its test.

use crate::harness::{Folder, SOON, Server, wait_until};
use signal_hook::consts::{SIGHUP, SIGINT};
use std::io::Write;
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Once};

/// A person's home, and the server they use.
pub struct Client {
    pub home: Arc<Folder>,
    variables: Vec<(String, String)>,
}

/// The result of a run.
pub struct Run {
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
    shown: String,
}

/// Resets the signal handling of children whatever this process was started to ignore, as scripts do for background
/// jobs: a signal caught here is reset by exec, an ignored one stays ignored.
fn catch_signals() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let always = Arc::new(AtomicBool::new(true));
        signal_hook::flag::register_conditional_shutdown(SIGINT, 130, Arc::clone(&always)).unwrap();
        signal_hook::flag::register(SIGHUP, always).unwrap();
    });
}

/// A running command. It ends with its test at the latest.
pub struct Running(Child);

impl Running {
    pub fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    /// Sends it a signal, `INT` for example.
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Waits for it to end; its exit code, if no signal ended it.
    #[track_caller]
    pub fn code(&mut self) -> Option<i32> {
        let mut status = None;
        wait_until("fpaste has exited", SOON, || {
            status = self.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap().code()
    }

    /// Waits for it to end, and collects its output.
    #[track_caller]
    pub fn end(mut self, arguments: &[&str]) -> Run {
        // Read while it runs: a full pipe would block it.
        let stdout = drain(self.stdout.take());
        let stderr = drain(self.stderr.take());
        let code = self.code();
        let stdout = stdout.join().unwrap();
        let stderr = String::from_utf8(stderr.join().unwrap()).unwrap();
        let shown = format!("fpaste {arguments:?}: {code:?}\n{}\n{stderr}", String::from_utf8_lossy(&stdout));
        Run { code, stdout, stderr, shown }
    }
}

impl Deref for Running {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Running {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Client {
    /// A new home with this server in the environment.
    pub fn new(server: &Server) -> Self {
        Self::with_url(&format!("http://{}", server.authority()))
    }

    /// A new home with a server at this address.
    pub fn with_url(url: &str) -> Self {
        catch_signals();
        Self { home: Arc::new(Folder::new()), variables: vec![("FLASKPASTE_SERVER".into(), url.into())] }
    }

    /// The same home with one variable added or replaced; an empty value counts as unset.
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut variables = self.variables.clone();
        variables.retain(|(known, _)| known != name);
        variables.push((name.into(), value.into()));
        Self { home: Arc::clone(&self.home), variables }
    }

    /// Writes `~/.config/fpaste/config`.
    pub fn configure(&self, text: &str) {
        std::fs::create_dir_all(self.home.join(".config/fpaste")).unwrap();
        std::fs::write(self.home.join(".config/fpaste/config"), text).unwrap();
    }

    /// Writes a file into the home, and returns its path.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        std::fs::write(self.home.join(name), content).unwrap();
        self.home.join(name)
    }

    /// The state folder, with the history and kept files.
    pub fn state(&self) -> PathBuf {
        self.home.join(".local/state/fpaste")
    }

    pub fn history(&self) -> PathBuf {
        self.state().join("history.jsonl")
    }

    /// The command, not yet started; its working folder is the home.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fpaste"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", self.home.path());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.current_dir(self.home.path()).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// A shell in the same place, with `$FPASTE` as the program.
    pub fn shell(&self, script: &str) -> Command {
        let inner = self.command(&[]);
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).env_clear().current_dir(self.home.path());
        command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("FPASTE", env!("CARGO_BIN_EXE_fpaste")).stdin(Stdio::null());
        command
    }

    /// Runs it with empty stdin.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Run {
        Running::start(&mut self.command(arguments)).end(arguments)
    }

    /// Runs it with this on stdin.
    #[track_caller]
    pub fn pipe(&self, input: impl AsRef<[u8]>, arguments: &[&str]) -> Run {
        let mut child = Running::start(self.command(arguments).stdin(Stdio::piped()));
        let (mut stdin, input) = (child.stdin.take().unwrap(), input.as_ref().to_vec());
        // It may exit without reading everything.
        let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let run = child.end(arguments);
        writer.join().unwrap();
        run
    }

    /// Creates a paste and returns its link.
    #[track_caller]
    pub fn create(&self, input: impl AsRef<[u8]>, arguments: &[&str]) -> String {
        let arguments: Vec<&str> = [&["create", "-"], arguments].concat();
        self.pipe(input, &arguments).succeeded().line()
    }
}

fn drain(pipe: Option<impl std::io::Read + Send + 'static>) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            pipe.read_to_end(&mut bytes).unwrap();
        }
        bytes
    })
}

impl Run {
    /// The run, which must have exited with 0.
    #[track_caller]
    pub fn succeeded(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.shown);
        self
    }

    /// The run, which must have failed with this code, one `error:` line and at most one `hint:`, and nothing on
    /// stdout; its stderr.
    #[track_caller]
    pub fn failed(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{}", self.shown);
        let count = |label: &str| self.stderr.lines().filter(|line| line.starts_with(label)).count();
        assert_eq!(count("fpaste: error: "), 1, "{}", self.shown);
        assert!(count("fpaste: hint: ") <= 1, "{}", self.shown);
        assert!(self.stdout.is_empty(), "{}", self.shown);
        self.stderr
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.stdout.clone()).unwrap()
    }

    /// Its only line.
    #[track_caller]
    pub fn line(&self) -> String {
        let text = self.text();
        assert_eq!((text.lines().count(), text.ends_with('\n')), (1, true), "{}", self.shown);
        text.trim_end().to_owned()
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.shown))
    }
}
