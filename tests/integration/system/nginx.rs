//! A real nginx in front of the server: TLS with a test CA, client certificates, and the headers that the server needs
//! from a proxy (docs/api.md, Authentication). Without nginx or openssl, tests are skipped with a message; with `CI`
//! set that is a failure.

use super::programs::{find, has};
use crate::harness::{Folder, SOON, Server};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The header with which the server trusts nginx.
pub const PROXY_SECRET: &str = "between-the-two-of-them";

/// Whether nginx and what its tests need are installed.
pub fn is_available() -> bool {
    has("a test through a proxy", &["nginx", "openssl"])
}

/// Runs openssl in a folder; its stdout.
#[track_caller]
pub fn openssl(folder: &Path, arguments: &str) -> String {
    let output = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Creates `ca.crt` and `ca.key`, a test CA.
pub fn make_authority(folder: &Path) {
    openssl(
        folder,
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.crt -subj /CN=made-up-CA -days 2",
    );
}

/// Creates `NAME.crt` and `NAME.key`, signed by the CA, with these subject alternative names and validity in days.
pub fn make_server_certificate(folder: &Path, name: &str, alternatives: &str, days: i32) {
    openssl(
        folder,
        &format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"
        ),
    );
    let extensions = format!("basicConstraints=CA:FALSE\nsubjectAltName={alternatives}\n");
    std::fs::write(folder.join(format!("{name}.ext")), extensions).unwrap();
    openssl(
        folder,
        &format!(
            "x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out {name}.crt -days {days} -extfile {name}.ext"
        ),
    );
}

/// A running nginx.
pub struct Nginx {
    child: Child,
    ports: Vec<u16>,
    _folder: Folder,
}

impl Nginx {
    /// Starts it in a folder that holds `ca.crt`, the certificates and keys; one server block per port, each with a
    /// named certificate and some directives.
    #[track_caller]
    pub fn start(folder: Folder, server: &Server, blocks: &[(&str, &str)]) -> Self {
        let authority = server.authority();
        Self::start_with(folder, blocks.len(), |ports| server_blocks(&authority, blocks, ports))
    }

    /// Starts it on some ports, with this `http` block.
    #[track_caller]
    pub fn start_with(folder: Folder, ports: usize, configuration: impl Fn(&[u16]) -> String) -> Self {
        let deadline = Instant::now() + SOON;
        loop {
            let ports = free_ports(ports);
            write_configuration(&folder, &configuration(&ports));
            let mut command = Command::new(find("nginx").unwrap());
            command.arg("-p").arg(folder.path()).args(["-c", "nginx.conf", "-e", "error.log"]);
            let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            // It exits if a port was taken meanwhile.
            while child.try_wait().unwrap().is_none() {
                if ports.iter().all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok()) {
                    return Self { child, ports, _folder: folder };
                }
                assert!(Instant::now() < deadline, "nginx is not listening");
                std::thread::sleep(Duration::from_millis(10));
            }
            let log = std::fs::read_to_string(folder.join("error.log")).unwrap_or_default();
            assert!(log.contains("Address already in use") && Instant::now() < deadline, "nginx: {log}");
        }
    }

    /// `https://127.0.0.1:PORT` of a block.
    pub fn url(&self, block: usize) -> String {
        format!("https://127.0.0.1:{}", self.ports[block])
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // TERM also ends its workers, which would survive a KILL.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

pub fn free_ports(count: usize) -> Vec<u16> {
    let listeners: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}

fn server_blocks(authority: &str, blocks: &[(&str, &str)], ports: &[u16]) -> String {
    let block = |((certificate, directives), port): (&(&str, &str), &u16)| {
        format!(
            "server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {certificate}.crt; ssl_certificate_key {certificate}.key; {directives}
             client_max_body_size 60m;
             location / {{ proxy_pass http://{authority}; proxy_http_version 1.1; proxy_set_header Host $http_host;
             proxy_set_header X-Forwarded-Proto https; proxy_set_header X-Forwarded-For $remote_addr;
             proxy_set_header X-SSL-Client-SHA1 $ssl_client_fingerprint; proxy_set_header X-Proxy-Secret \"{PROXY_SECRET}\"; }} }}\n"
        )
    };
    blocks.iter().zip(ports).map(block).collect()
}

fn write_configuration(folder: &Folder, http: &str) {
    let temporary: Vec<String> = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|name| format!("{name}_temp_path {};\n", folder.join(name).display()))
        .collect();
    // As root, nginx runs its workers as another user, who cannot read the folder.
    let user = if std::fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0) {
        "user root;\n"
    } else {
        ""
    };
    let text = format!(
        "daemon off;\n{user}pid nginx.pid;\nerror_log error.log;\nworker_processes 1;\nevents {{}}\nhttp {{\naccess_log access.log;\n{}{http}}}\n",
        temporary.concat(),
    );
    std::fs::write(folder.join("nginx.conf"), text).unwrap();
}
