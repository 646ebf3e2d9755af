//! Real `PostgreSQL` for the tests: starts primaries and standbys in their own folders, kills, freezes and promotes
//! them.
//!
//! Invariant: nothing survives a test process, however it ends: its watchdog notices that the pipe has closed, kills
//! the servers and removes their folder; everything that writes into the folder runs below the watchdog. Must never
//! sleep for a fixed time, nor weaken durability (`fsync` and the like) unless a test asks for it.

use std::fs::OpenOptions;
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// The limit for anything that should be immediate, on a machine that is busy with other tests.
const SOON: Duration = Duration::from_secs(60);

/// The role the tests log in with. It owns its databases and has no other rights.
const ROLE: &str = "flaskpaste";

/// The settings of every cluster: small, quick to start, and as durable as the defaults.
const SETTINGS: &str = "
listen_addresses = '127.0.0.1'
max_connections = 200
shared_buffers = 16MB
huge_pages = off
# Files in the folder, not in /dev/shm, where a killed server would leave them.
dynamic_shared_memory_type = mmap
fsync = on
full_page_writes = on
synchronous_commit = on
wal_level = replica
max_wal_size = 64MB
min_wal_size = 32MB
# Enough for a standby that was away.
wal_keep_size = 64MB
wal_retrieve_retry_interval = 100ms
timezone = 'UTC'
log_timezone = 'UTC'
logging_collector = off
log_destination = stderr
log_statement = 'none'
";

/// Runs the commands it reads until the pipe closes for any reason. Then kills the servers, frozen or not, frees the
/// shared memory of those killed before, and removes the folder.
const WATCHDOG: &str = r#"
trap '' INT TERM HUP PIPE
umask 077
mkdir "$0" && cd "$0" || exit
while read -r command; do eval "$command"; done
jobs -p >jobs
while read -r pid; do
    kill -QUIT "$pid"
    kill -CONT "$pid" $(grep -slx "PPid:.$pid" /proc/[0-9]*/status | cut -d/ -f3)
done <jobs
wait
for file in *.killed; do
    [ -e "$file" ] && ipcrm -m "$(sed -n '7s/.* //p' "$file")"
done
cd / && rm -rf "$0"
"#;

/// The program folder of the newest version; `None` without `PostgreSQL` 15 or later.
pub fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let versions = versions.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let folder = |version| PathBuf::from(format!("/usr/lib/postgresql/{version}/bin"));
    let usable = |version: &u32| *version >= 15 && folder(*version).join("postgres").exists();
    versions.filter(usable).max().map(folder)
}

/// A server of the cluster.
struct Node {
    name: &'static str,
    port: u16,
}

/// A primary, and optionally its synchronous standby, in their own folder. Killed and removed on drop.
pub struct Cluster {
    programs: PathBuf,
    folder: PathBuf,
    password: String,
    watchdog: Child,
    primary: Node,
    standby: Option<Node>,
    promoted: AtomicBool,
    creating: Mutex<()>,
}

impl Cluster {
    /// Starts a primary.
    #[track_caller]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with additional lines in `postgresql.conf`.
    #[track_caller]
    pub fn start_with(lines: &[&str]) -> Self {
        let programs = programs().expect("PostgreSQL 15 or later is not installed");
        let folder = std::env::temp_dir().join(format!("flaskpaste-pg-{}-{:x}", std::process::id(), random()));
        let mut cluster = Self {
            programs,
            watchdog: watch(&folder),
            folder,
            password: format!("{:016x}{:016x}", random(), random()),
            primary: Node { name: "primary", port: 0 },
            standby: None,
            promoted: AtomicBool::new(false),
            creating: Mutex::new(()),
        };
        cluster.run(
            "initdb -D primary -U postgres -N --no-instructions --locale=C --encoding=UTF8 --auth-local=trust \
             --auth-host=scram-sha-256",
        );
        let mut file = OpenOptions::new().append(true).open(cluster.folder.join("primary/postgresql.conf")).unwrap();
        let (folder, lines) = (cluster.folder.display(), lines.join("\n"));
        write!(file, "{SETTINGS}unix_socket_directories = '{folder}'\n{lines}\n").unwrap();
        cluster.primary = cluster.first_launch("primary");
        cluster.sql("postgres", &format!("create role {ROLE} login password '{}'", cluster.password));
        cluster
    }

    /// Starts a primary and the standby it needs for every commit.
    #[track_caller]
    pub fn start_with_standby() -> Self {
        let mut cluster = Self::start();
        let source = format!("host={} port={} user=postgres", cluster.folder.display(), cluster.primary.port);
        let source = format!("{source} application_name=standby");
        cluster.run(&format!("pg_basebackup -d '{source}' -D standby -N -c fast -R -X stream"));
        cluster.standby = Some(cluster.first_launch("standby"));
        // Only now, so that the standby's copy of the settings lacks it, and it waits for nobody after promotion.
        cluster.set("synchronous_standby_names = 'standby'");
        cluster.wait_for_standby();
        cluster
    }

    /// The primary shared by the tests of this process.
    #[track_caller]
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Creates a database unless it exists, and returns its URL, which names every node.
    #[track_caller]
    pub fn database(&self, name: &str) -> String {
        let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        assert!(plain && (1..64).contains(&name.len()), "not the name of a database: {name:?}");
        let script = format!(
            "select 'create database \"{name}\" owner {ROLE} strategy wal_log'
             where not exists (select from pg_database where datname = '{name}') \\gexec"
        );
        // Serialized, or two threads could both find it missing.
        let creating = self.creating.lock().unwrap_or_else(PoisonError::into_inner);
        let created = self.psql("postgres", &["-v", "ON_ERROR_STOP=1"], &script);
        drop(creating);
        assert!(created.is_ok(), "{name}: {}", created.unwrap_err());
        let nodes = std::iter::once(&self.primary).chain(&self.standby);
        let hosts: Vec<String> = nodes.map(|node| format!("127.0.0.1:{}", node.port)).collect();
        format!("postgres://{ROLE}:{}@{}/{name}", self.password, hosts.join(","))
    }

    /// Runs a statement as the superuser on the current primary; the output of psql without the last line feed.
    #[track_caller]
    pub fn sql(&self, database: &str, statement: &str) -> String {
        let result = self.psql(database, &["-c", statement], "");
        assert!(result.is_ok(), "{statement}: {}\n{}", result.unwrap_err(), self.last_lines());
        result.unwrap_or_default()
    }

    /// The folder with all data of the nodes.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The port of the standby.
    #[track_caller]
    pub fn standby_port(&self) -> u16 {
        self.existing_standby().port
    }

    /// The logs so far: the primary's, then the standby's.
    pub fn log(&self) -> String {
        let read = |name| std::fs::read(self.folder.join(name)).unwrap_or_default();
        ["primary.log", "standby.log"].map(|name| String::from_utf8_lossy(&read(name)).into_owned()).concat()
    }

    /// Changes a setting, given as a line of `postgresql.conf`, on the current primary, and waits until it takes
    /// effect.
    #[track_caller]
    pub fn set(&self, setting: &str) {
        let loaded = || self.sql("postgres", "select pg_conf_load_time()");
        let before = loaded();
        self.sql("postgres", &format!("alter system set {setting}"));
        self.sql("postgres", "select pg_reload_conf()");
        self.wait_until(&format!("the server has loaded {setting}"), || loaded() != before);
        // The checkpointer propagates whether commits wait for a standby and whether full pages are written.
        self.sql("postgres", "checkpoint");
    }

    /// Kills every process of the first primary, as a power cut would.
    #[track_caller]
    pub fn kill_primary(&self) {
        self.freeze_primary();
        let processes = self.processes(&self.primary);
        signal("KILL", &processes);
        self.wait_until("the primary is dead", || !processes.iter().any(|process| is_alive(*process)));
        // The PIDs in it are unused now, and may soon be reused.
        let pid_file = self.folder.join("primary/postmaster.pid");
        std::fs::rename(pid_file, self.folder.join("primary.killed")).unwrap();
    }

    /// Starts the first primary again.
    #[track_caller]
    pub fn restart_primary(&self) {
        self.wait_until("the primary has its port back", || self.launch(&self.primary));
    }

    /// Stops every process of the first primary; its sockets stay open.
    #[track_caller]
    pub fn freeze_primary(&self) {
        let stop = |processes: &[u32]| {
            signal("STOP", processes);
            let stopped = |process: &u32| matches!(state(*process), None | Some('T' | 'Z' | 'X'));
            self.wait_until("the primary is frozen", || processes.iter().all(stopped));
        };
        // The postmaster first, so that it starts no others.
        stop(&[self.postmaster(&self.primary)]);
        stop(&self.processes(&self.primary));
    }

    /// Resumes the first primary.
    #[track_caller]
    pub fn thaw_primary(&self) {
        signal("CONT", &self.processes(&self.primary));
    }

    /// Promotes the standby, which then commits alone, and waits until it accepts writes. The other methods with
    /// "primary" in their names still mean the first.
    #[track_caller]
    pub fn promote_standby(&self) {
        self.promoted.store(true, Ordering::SeqCst);
        self.run("pg_ctl promote -D standby");
        let writable = || self.sql("postgres", "select pg_is_in_recovery()") == "f";
        self.wait_until("the standby accepts writes", writable);
    }

    /// Shuts the standby down cleanly.
    #[track_caller]
    pub fn stop_standby(&self) {
        let postmaster = self.postmaster(self.existing_standby());
        signal("INT", &[postmaster]);
        self.wait_until("the standby has ended", || !is_alive(postmaster));
    }

    /// Starts the standby again and, if the primary runs, waits until commits wait for it.
    #[track_caller]
    pub fn start_standby(&self) {
        self.wait_until("the standby has its port back", || self.launch(self.existing_standby()));
        let primary = self.read_pid_file(&self.primary).and_then(|lines| lines.first()?.parse().ok());
        if primary.is_some_and(|process| is_alive(process) && state(process) != Some('T')) {
            self.wait_for_standby();
        }
    }

    #[track_caller]
    fn wait_for_standby(&self) {
        let state = || self.sql("postgres", "select sync_state from pg_stat_replication");
        self.wait_until("the standby is synchronous", || state() == "sync");
    }

    #[track_caller]
    fn existing_standby(&self) -> &Node {
        self.standby.as_ref().expect("the cluster has no standby")
    }

    /// Starts a node for the first time, on a free port.
    #[track_caller]
    fn first_launch(&self, name: &'static str) -> Node {
        for _ in 0..10 {
            let node = Node { name, port: free_port() };
            if self.launch(&node) {
                return node;
            }
        }
        panic!("every port was taken before the server could use it\n{}", self.last_lines());
    }

    /// Starts a node and waits until it is ready; false if its port is taken.
    #[track_caller]
    fn launch(&self, node: &Node) -> bool {
        let Node { name, port } = node;
        let before = self.log().matches("could not create any TCP/IP sockets").count();
        // Left by a killed server: the new one reuses its memory, and must not take another process for the owner.
        let locks = format!("rm -f {name}.killed {name}/postmaster.pid .s.PGSQL.{port}*");
        self.tell(&format!("{locks}; \"$PROGRAMS\"/postgres -D {name} -p {port} >>{name}.log 2>&1 &"));
        let mut taken = false;
        self.wait_until(&format!("the {name} is ready"), || {
            taken = self.log().matches("could not create any TCP/IP sockets").count() > before;
            let is_ready = |lines: Vec<String>| lines.get(7).is_some_and(|status| status == "ready");
            taken || self.read_pid_file(node).is_some_and(is_ready)
        });
        !taken
    }

    /// Runs a program of `PostgreSQL` to its end in the watchdog.
    #[track_caller]
    fn run(&self, command: &str) {
        let result = self.folder.join("result");
        let run = format!("(PATH=$PROGRAMS:$PATH; {command}) </dev/null >output 2>&1");
        let _ = std::fs::remove_file(&result);
        self.tell(&format!("{run}; echo $? >code; mv code result"));
        self.wait_until(command, || result.exists());
        let output = std::fs::read_to_string(self.folder.join("output")).unwrap();
        assert_eq!(std::fs::read_to_string(result).unwrap(), "0\n", "{command}\n{output}\n{}", self.last_lines());
    }

    /// Sends a line of shell to the watchdog.
    #[track_caller]
    fn tell(&self, command: &str) {
        let line = format!("PROGRAMS='{}'; {command}\n", self.programs.display());
        self.watchdog.stdin.as_ref().unwrap().write_all(line.as_bytes()).unwrap();
    }

    fn psql(&self, database: &str, arguments: &[&str], script: &str) -> Result<String, String> {
        let promoted = self.standby.as_ref().filter(|_| self.promoted.load(Ordering::SeqCst));
        let mut command = Command::new(self.programs.join("psql"));
        command.args(["-X", "-A", "-t", "-w", "-U", "postgres", "-d", database, "-h"]).arg(&self.folder);
        command.args(["-p", &promoted.unwrap_or(&self.primary).port.to_string()]).args(arguments);
        command.env_clear().env("PGCONNECT_TIMEOUT", SOON.as_secs().to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // psql does not read it if it could not connect, and reports that.
        let _ = child.stdin.take().unwrap().write_all(script.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end_matches('\n').to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// The lines of `postmaster.pid` of a running node.
    fn read_pid_file(&self, node: &Node) -> Option<Vec<String>> {
        let text = std::fs::read_to_string(self.folder.join(node.name).join("postmaster.pid")).ok()?;
        Some(text.lines().map(|line| line.trim().to_owned()).collect())
    }

    #[track_caller]
    fn postmaster(&self, node: &Node) -> u32 {
        let Some(lines) = self.read_pid_file(node) else { panic!("the {} is not running", node.name) };
        lines[0].parse().unwrap()
    }

    /// The PIDs of a node, the postmaster's last.
    #[track_caller]
    fn processes(&self, node: &Node) -> Vec<u32> {
        let postmaster = self.postmaster(node);
        let entries = std::fs::read_dir("/proc").unwrap();
        let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let is_child = |process: &u32| status(*process).is_some_and(|(_, parent)| parent == postmaster);
        numbers.filter(is_child).chain([postmaster]).collect()
    }

    /// Waits until a condition holds; panics with the end of the log if it does not.
    #[track_caller]
    fn wait_until(&self, what: &str, mut condition: impl FnMut() -> bool) {
        let deadline = Instant::now() + SOON;
        while !condition() {
            assert!(Instant::now() < deadline, "timed out after {SOON:?} waiting until {what}\n{}", self.last_lines());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn last_lines(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Closes the pipe first, which starts the cleanup.
        let _ = self.watchdog.wait();
    }
}

/// Starts the watchdog with a new folder, as a user `PostgreSQL` accepts.
fn watch(folder: &Path) -> Child {
    let as_nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"];
    let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    let words = if is_root { &as_nobody[..] } else { &["env"] };
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).args(["sh", "-c", WATCHDOG]).arg(folder);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("LC_ALL", "C");
    // Its own process group: what kills the tests from their terminal must not kill the watchdog.
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn random() -> u64 {
    RandomState::new().hash_one(0)
}

/// A free port outside the ephemeral range: the system would give that away while the server is down, even to a client
/// connecting to that very port, which would connect to itself.
fn free_port() -> u16 {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let end = range.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(0);
    let others = (10_000..end).len() as u64;
    let candidates = (0..100).filter_map(|_| u16::try_from(10_000 + random().checked_rem(others)?).ok());
    let mut free = candidates.chain([0]).filter_map(|port| TcpListener::bind(("127.0.0.1", port)).ok());
    free.next().unwrap().local_addr().unwrap().port()
}

/// Sends a signal; no error if the process has ended.
fn signal(name: &str, processes: &[u32]) {
    let numbers: Vec<String> = processes.iter().map(u32::to_string).collect();
    let mut command = Command::new("sh");
    command.args(["-c", "kill -$0 \"$@\"", name]).args(numbers).stderr(Stdio::null()).status().unwrap();
}

/// The state of a process, as in `/proc/PID/stat`, and its parent.
fn status(process: u32) -> Option<(char, u32)> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

fn state(process: u32) -> Option<char> {
    status(process).map(|(state, _)| state)
}

fn is_alive(process: u32) -> bool {
    !matches!(state(process), None | Some('Z' | 'X'))
}
