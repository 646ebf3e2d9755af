//! The harness: starts real servers in their own folders, waits on conditions, and cleans up after itself.
//!
//! Invariant: nothing survives a test, passed or failed: the process is killed and the folder removed on drop. Must
//! never sleep for a fixed time: use [`wait_until`].

use crate::engine;
use crate::http_client::{Connection, Peer, Request};
use crate::response::{Log, Response};
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where programs are searched, including folders missing from an ordinary user's `PATH`.
pub fn search_path() -> String {
    format!("{}:/usr/local/sbin:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}

/// The limit for anything that should be immediate, on a machine that is busy with other tests.
pub const SOON: Duration = Duration::from_secs(30);

/// Waits until a condition holds; panics if it does not within the limit.
#[track_caller]
pub fn wait_until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !condition() {
        assert!(Instant::now() < deadline, "timed out after {limit:?} waiting until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Seconds since 1970, as in the server's fields.
pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A folder that is removed on drop.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("flaskpaste-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The program with only `PATH`, `HOME` and these variables in its environment.
pub fn program(home: &Path, variables: &[(&str, &str)]) -> Command {
    bare(Command::new(engine::program()), home, variables)
}

fn bare(mut command: Command, home: &Path, variables: &[(&str, &str)]) -> Command {
    command.env_clear().env("PATH", search_path()).env("HOME", home);
    command.current_dir(home).envs(variables.iter().copied()).stdin(Stdio::null());
    command
}

/// Runs the program to its end. A server that should have refused to start is killed, and fails the test.
#[track_caller]
pub fn run(home: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command = program(home, variables);
    let mut child = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Read while it runs: its output may exceed the pipe.
    let (stdout, stderr) = (drain(child.stdout.take().unwrap()), drain(child.stderr.take().unwrap()));
    let deadline = Instant::now() + SOON;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("flaskpaste {arguments:?} with {variables:?} did not exit");
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    Output { status, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() }
}

/// Reads all output of a program.
fn drain(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

/// Runs the program, which must fail with this exit code and exactly one line on stderr; the line.
#[track_caller]
pub fn refusal(home: &Path, variables: &[(&str, &str)], arguments: &[&str], exit_code: i32) -> String {
    let output = run(home, variables, arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    let context = format!("flaskpaste {arguments:?} with {variables:?}: {}, stderr {stderr:?}", output.status);
    assert_eq!(output.status.code(), Some(exit_code), "{context}");
    assert_eq!(stderr.lines().count(), 1, "expected one line; {context}");
    stderr
}

/// How a server is started.
pub struct Launcher {
    /// A program and arguments that finally exec the server; empty: it is started directly.
    pub words: Vec<String>,
    /// The server, as `words` find it.
    pub server: PathBuf,
    /// Listening sockets passed to it as by a service manager.
    pub sockets: Vec<OwnedFd>,
}

impl Default for Launcher {
    fn default() -> Self {
        Self { words: Vec::new(), server: engine::program(), sockets: Vec::new() }
    }
}

impl Launcher {
    /// Passes one or two listening sockets.
    pub fn with_sockets(sockets: impl IntoIterator<Item = OwnedFd>) -> Self {
        // They are passed as stdin and stdout, the only descriptors a child can get in safe code.
        let script = "exec 3<&0 4<&1 </dev/null >/dev/null; export LISTEN_PID=$$; exec \"$0\"";
        let words = ["sh", "-c", script].map(str::to_owned).to_vec();
        Self { words, sockets: sockets.into_iter().collect(), ..Self::default() }
    }

    fn command(&self) -> Command {
        let Some((program, arguments)) = self.words.split_first() else { return Command::new(&self.server) };
        let mut command = Command::new(program);
        command.args(arguments).arg(&self.server);
        command
    }
}

/// A running server.
pub struct Server {
    child: Child,
    launcher: Launcher,
    folder: Arc<Folder>,
    variables: Vec<(String, String)>,
    peer: Peer,
    log: Log,
    /// Reads the log until its end.
    reader: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts a server: development, on a free port, with its database in its own folder, without proof of work, and
    /// with these variables added or replaced.
    #[track_caller]
    pub fn start(variables: &[(&str, &str)]) -> Self {
        Self::start_in(Arc::new(Folder::new()), variables)
    }

    /// The same in a given folder.
    #[track_caller]
    pub fn start_in(folder: Arc<Folder>, variables: &[(&str, &str)]) -> Self {
        Self::start_by(Launcher::default(), folder, variables)
    }

    /// A server whose database is a file in its own folder, whichever engine the others use.
    #[track_caller]
    pub fn embedded(variables: &[(&str, &str)]) -> Self {
        Self::embedded_in(Arc::new(Folder::new()), variables)
    }

    /// The same in a given folder.
    #[track_caller]
    pub fn embedded_in(folder: Arc<Folder>, variables: &[(&str, &str)]) -> Self {
        Self::embedded_by(Launcher::default(), folder, variables)
    }

    /// The same with a launcher.
    #[track_caller]
    pub fn embedded_by(launcher: Launcher, folder: Arc<Folder>, variables: &[(&str, &str)]) -> Self {
        let database = folder.join("pastes.db");
        let variables = [&[("FLASKPASTE_DB", database.to_str().unwrap())], variables].concat();
        Self::start_by(launcher, folder, &variables)
    }

    /// A server as [`Server::start_in`] starts it, with a launcher.
    #[track_caller]
    pub fn start_by(launcher: Launcher, folder: Arc<Folder>, variables: &[(&str, &str)]) -> Self {
        let mut all: Vec<(String, String)> =
            [("FLASK_ENV", "development"), ("FLASKPASTE_BIND", "127.0.0.1:0"), ("FLASKPASTE_POW_DIFFICULTY", "0")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec();
        if !variables.iter().any(|(name, _)| *name == "FLASKPASTE_DB") {
            all.extend(engine::variables(&folder).into_iter().map(|(name, value)| (name.to_owned(), value)));
        }
        for (name, value) in variables {
            all.retain(|(known, _)| known != name);
            all.push(((*name).to_owned(), (*value).to_owned()));
        }
        let (child, peer, log, reader) = spawn(&launcher, &folder, &all);
        Self { child, launcher, folder, variables: all, peer, log, reader: Some(reader) }
    }

    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The folder, for another server on the same database.
    pub fn shared_folder(&self) -> Arc<Folder> {
        Arc::clone(&self.folder)
    }

    pub fn database(&self) -> PathBuf {
        self.folder.join("pastes.db")
    }

    /// The pepper file.
    pub fn pepper(&self) -> PathBuf {
        self.folder.join("pastes.db.pepper")
    }

    /// `host:port`.
    pub fn authority(&self) -> String {
        self.peer.authority()
    }

    /// The server's stderr so far; lines arrive a little later than the responses they are about.
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// Its PID.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A field of `/proc/PID/status`.
    pub fn status(&self, field: &str) -> String {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let value = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        value.expect("no such line in /proc/PID/status").trim().to_owned()
    }

    /// Memory of the process, in KiB (`VmRSS` and the like).
    pub fn status_kib(&self, field: &str) -> u64 {
        self.status(field).trim_end_matches(" kB").parse().unwrap()
    }

    /// Runs a subcommand with this server's environment.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Output {
        let bind = match &self.peer {
            Peer::Tcp(address) => address.to_string(),
            Peer::Unix(path) => format!("unix:{}", path.display()),
        };
        let mut variables: Vec<(&str, &str)> = self.variables.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        variables.retain(|(name, _)| *name != "FLASKPASTE_BIND");
        variables.push(("FLASKPASTE_BIND", &bind));
        run(self.folder.path(), &variables, arguments)
    }

    /// Kills the process as a power cut would, and restarts it in the same folder.
    #[track_caller]
    pub fn crash_and_restart(&mut self) {
        self.kill();
        self.restart();
    }

    /// `SIGKILL`.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }

    /// Restarts the stopped server in the same folder.
    #[track_caller]
    pub fn restart(&mut self) {
        let (child, peer, log, reader) = spawn(&self.launcher, &self.folder, &self.variables);
        (self.child, self.peer, self.log, self.reader) = (child, peer, log, Some(reader));
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        signal(name, self.child.id());
    }

    /// Waits for the process to end by itself.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the server has exited", SOON, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// `SIGTERM`, and the clean shutdown that follows. Afterwards the log is complete.
    #[track_caller]
    pub fn stop(&mut self) {
        self.signal("TERM");
        let status = self.wait();
        assert!(status.success(), "after SIGTERM: {status}\n{}", self.log());
        self.reader.take().into_iter().for_each(|reader| reader.join().unwrap());
    }

    /// A new connection.
    #[track_caller]
    pub fn connect(&self) -> Connection {
        Connection::open(&self.peer, &self.log)
    }

    /// Begins a request.
    pub fn request(&self, method: &str, target: &str) -> Request<'_> {
        Request::new(self, method, target)
    }

    #[track_caller]
    pub fn get(&self, target: &str) -> Response {
        self.request("GET", target).send()
    }

    #[track_caller]
    pub fn head(&self, target: &str) -> Response {
        self.request("HEAD", target).send()
    }

    /// Begins to create a paste.
    pub fn post(&self, content: impl Into<Vec<u8>>) -> Request<'_> {
        self.request("POST", "/").body(content)
    }

    /// Creates a plain paste.
    #[track_caller]
    pub fn paste(&self, content: impl Into<Vec<u8>>) -> Paste {
        self.post(content).created()
    }

    /// Sends these bytes, closes our write side, and returns every response until the server closes its side.
    #[track_caller]
    pub fn raw(&self, bytes: impl AsRef<[u8]>) -> Vec<Response> {
        let mut connection = self.connect();
        let dump = String::from_utf8_lossy(bytes.as_ref()).into_owned();
        connection.send(bytes.as_ref());
        connection.end();
        std::iter::from_fn(|| connection.read_response(&dump, false)).collect()
    }

    /// Makes sure a normal request is answered, soon.
    #[track_caller]
    pub fn expect_alive(&self) {
        let started = Instant::now();
        self.get("/health").expect_status(200);
        assert!(started.elapsed() < SOON, "/health took {:?}\n{}", started.elapsed(), self.log());
    }
}

/// Sends a signal by its name to a process.
pub fn signal(name: &str, pid: u32) {
    let kill = format!("kill -{name} {pid}");
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success(), "{kill}");
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A created paste.
#[derive(Clone, Debug)]
pub struct Paste {
    pub id: String,
    pub delete_token: String,
}

impl Paste {
    pub fn path(&self) -> String {
        format!("/{}", self.id)
    }

    pub fn raw(&self) -> String {
        format!("/{}/raw", self.id)
    }
}

#[track_caller]
fn spawn(launcher: &Launcher, folder: &Folder, variables: &[(String, String)]) -> (Child, Peer, Log, JoinHandle<()>) {
    let mut variables: Vec<(&str, &str)> =
        variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let count = launcher.sockets.len().to_string();
    if !launcher.sockets.is_empty() {
        variables.push(("LISTEN_FDS", &count));
    }
    let mut sockets = launcher.sockets.iter().map(|socket| Stdio::from(socket.try_clone().unwrap()));
    let (stdin, stdout) = (sockets.next().unwrap_or(Stdio::null()), sockets.next().unwrap_or(Stdio::null()));
    let mut command = bare(launcher.command(), folder.path(), &variables);
    let mut child = command.stdin(stdin).stdout(stdout).stderr(Stdio::piped()).spawn().unwrap();
    let log = Log::default();
    let (stderr, lines) = (child.stderr.take().unwrap(), log.clone());
    let (announce, announced) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut reader = BufReader::new(stderr);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line).into_owned();
            if let Some((_, address)) = text.split_once("listening on ") {
                // In either log format.
                let end = address.find(['"', ' ', '\n']).unwrap_or(address.len());
                let _ = announce.send(address[..end].to_owned());
            }
            lines.push(&text);
            line.clear();
        }
    });
    let Ok(address) = announced.recv_timeout(SOON) else {
        let _ = child.kill();
        let status = child.wait();
        panic!("the server did not start with {variables:?}: {status:?}\n{}", log.text());
    };
    (child, Peer::parse(&address), log, reader)
}
