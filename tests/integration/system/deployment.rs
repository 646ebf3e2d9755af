//! The programs as deployed: on IPv6, without privileges, on a read-only root, statically linked in an empty one, and
//! in a container.

#[cfg(feature = "postgres")]
use super::programs::has_postgres;
use super::programs::{find, skip, works};
use crate::harness::{Folder, Launcher, Server, search_path};
use std::env::consts::ARCH;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// An unprivileged user, for tests that run as root.
const NOBODY: u32 = 65534;

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

#[test]
fn the_server_runs_unprivileged_on_a_read_only_root() {
    let folder = Arc::new(Folder::new());
    let data = folder.join("data");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
    // Readable by any user, unlike the build folder perhaps.
    let server = folder.join("flaskpaste");
    fs::copy(env!("CARGO_BIN_EXE_flaskpaste"), &server).unwrap();
    // Root creates the mount namespace and then becomes nobody; others need a user namespace for it.
    let (namespace, become_nobody) = if is_root() {
        std::os::unix::fs::chown(&data, Some(NOBODY), Some(NOBODY)).unwrap();
        let drop = "--clear-groups --no-new-privs --bounding-set -all";
        ("-m", format!("setpriv --reuid {NOBODY} --regid {NOBODY} {drop}"))
    } else {
        ("-rm", String::new())
    };
    let script = format!(
        "mount --make-rprivate / && mount --bind {0} {0} && mount -o remount,bind,ro / &&
         {{ ! mountpoint -q {1} || mount -o remount,bind,ro {1}; }} && ! touch {1}/x 2>/dev/null && exec {become_nobody} \"$0\"",
        data.display(),
        std::env::temp_dir().display(),
    );
    let words: Vec<String> = ["unshare", namespace, "sh", "-c", &script].map(str::to_owned).to_vec();
    if !Command::new(&words[0]).args(&words[1..]).arg("true").status().unwrap().success() {
        return skip("a server on a read-only root", "the right to mount in a new namespace (unshare)");
    }
    let launcher = Launcher { words, server, ..Launcher::default() };
    let database = data.join("pastes.db");
    let mut server = Server::start_by(launcher, folder, &[("FLASKPASTE_DB", database.to_str().unwrap())]);
    if is_root() {
        assert!(server.status("Uid").split_whitespace().all(|uid| uid == NOBODY.to_string()));
    }
    assert!(server.status("CapPrm").chars().all(|digit| digit == '0') || !is_root());
    let small = server.paste("small");
    let large = server.paste(vec![b'x'; 2 << 20]);
    server.get(&small.raw()).expect_body("small");
    server.get(&large.raw()).expect_body(vec![b'x'; 2 << 20]);
    server.request("DELETE", &small.path()).header("X-Delete-Token", &small.delete_token).send().expect_status(200);
    server.crash_and_restart();
    server.get(&large.raw()).expect_status(200);
    server.stop();
}

#[test]
fn the_server_listens_on_ipv6() {
    if TcpListener::bind("[::1]:0").is_err() {
        return skip("a server on IPv6", "the address ::1");
    }
    let server = Server::start(&[("FLASKPASTE_BIND", "[::1]:0")]);
    let paste = server.post("x").header("X-SSL-Client-SHA1", "a".repeat(40)).created();
    server.get(&paste.raw()).expect_body("x");
}

/// The other of the two architectures of the releases.
pub const OTHER_ARCH: &str = if cfg!(target_arch = "x86_64") { "aarch64" } else { "x86_64" };

/// The static programs for an architecture, if they have been built.
pub fn static_programs(arch: &str) -> Option<[PathBuf; 2]> {
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".into());
    let release = format!("{target}/{arch}-unknown-linux-gnu/release");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(release);
    let programs = ["flaskpaste", "fpaste"].map(|name| folder.join(name));
    programs.iter().all(|program| program.is_file()).then_some(programs)
}

#[test]
fn static_programs_are_static_pie_stripped_and_small() {
    for arch in [ARCH, OTHER_ARCH] {
        let Some(programs) = static_programs(arch) else {
            skip(&format!("the static programs for {arch}"), &format!("the output of `make static ARCH={arch}`"));
            continue;
        };
        for (program, most_bytes) in programs.iter().zip([4 << 20, 8 << 20]) {
            let output = Command::new("readelf").args(["-hlSdW"]).arg(program).output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            assert!(output.status.success() && text.contains("LOAD"), "{text}");
            for trace in ["INTERP", "NEEDED", ".symtab", ".debug_info"] {
                assert!(!text.contains(trace), "{}: {trace}", program.display());
            }
            assert!(text.contains("DYN (Position-Independent"), "{}: {text}", program.display());
            let size = fs::metadata(program).unwrap().len();
            assert!(size <= most_bytes, "{}: {size} bytes", program.display());
        }
    }
}

#[test]
fn static_programs_run_in_an_empty_root() {
    let Some([server, client]) = static_programs(ARCH) else {
        return skip("the static programs in an empty root", "the output of `make static`");
    };
    if !works("unshare -r chroot / true && strace -V") {
        return skip(
            "the static programs in an empty root",
            "strace, and the right to chroot in a namespace (unshare)",
        );
    }
    let root = Arc::new(Folder::new());
    for (program, name) in [(server, "flaskpaste"), (client, "fpaste")] {
        fs::copy(program, root.join(name)).unwrap();
    }
    for folder in ["data", "etc", "home"] {
        fs::create_dir(root.join(folder)).unwrap();
    }
    // A static glibc with these would look for libraries.
    fs::write(root.join("etc/nsswitch.conf"), "hosts: mymachines mdns4_minimal resolve files dns\n").unwrap();
    fs::write(root.join("etc/hosts"), "127.0.0.1 paste.example\n").unwrap();
    let words = ["unshare", "-r", "chroot"].into_iter().chain(root.path().to_str());
    let words: Vec<String> = words.map(str::to_owned).collect();
    let launcher = Launcher { words: words.clone(), server: "/flaskpaste".into(), ..Launcher::default() };
    let server = Server::start_by(launcher, Arc::clone(&root), &[("FLASKPASTE_DB", "/data/pastes.db")]);
    let port = server.authority().rsplit_once(':').unwrap().1.to_owned();
    let run = |url: &str, arguments: &[&str]| -> String {
        let mut command = Command::new("strace");
        command.args(["-f", "-o"]).arg(root.join("trace")).args(["-e", "trace=execve,open,openat"]).args(&words);
        command.arg("/fpaste").args(arguments).env_clear().env("PATH", search_path());
        let output = command.env("HOME", "/home").env("FLASKPASTE_SERVER", url).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        // Through unshare and chroot, which are system programs.
        let trace = fs::read_to_string(root.join("trace")).unwrap();
        let own = trace.split_once("execve(\"/fpaste\"").expect("fpaste did not run").1.to_owned();
        assert!(!own.contains(".so"), "it looked for a library: {own}");
        own
    };
    let opened = run(&format!("http://paste.example:{port}"), &["info"]);
    assert!(opened.contains("/etc/hosts"), "{opened}");
    // The TLS library needs nothing either.
    run("http://127.0.0.1:1", &["cert", "-c", "secp256r1"]);
}

#[test]
fn the_container_has_both_programs_and_serves() {
    if static_programs(ARCH).is_none() {
        return skip("the container", "the output of `make static`");
    }
    if !works("command -v buildah && command -v curl && command -v ip && unshare --net true") {
        return skip("the container", "buildah, curl, ip and root with the right to create namespaces");
    }
    let folder = Folder::new();
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", "120", "unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    command.args(["sh", "tests/container.sh"]).arg(folder.path()).current_dir(env!("CARGO_MANIFEST_DIR"));
    if static_programs(OTHER_ARCH).is_some() && find(&format!("qemu-{OTHER_ARCH}-static")).is_some() {
        command.arg(OTHER_ARCH);
    } else {
        let missing = format!("what `make static ARCH={OTHER_ARCH}` builds, and qemu-{OTHER_ARCH}-static");
        skip(&format!("the container for {OTHER_ARCH}"), &missing);
    }
    let output = command.env_remove("MAKEFLAGS").env_remove("MFLAGS").output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.trim_end().ends_with("passed"), "{output:?}");
}

#[cfg(feature = "postgres")]
#[test]
fn the_postgresql_container_serves() {
    const TEST: &str = "the container for PostgreSQL";
    let is_built = |programs: [PathBuf; 2]| programs[0].with_file_name("flaskpaste-postgres").is_file();
    if !static_programs(ARCH).is_some_and(is_built) {
        return skip(TEST, "the output of `make static static-postgres`");
    }
    if !works("command -v buildah && command -v curl && command -v ip && unshare --net true") {
        return skip(TEST, "buildah, curl, ip and root with the right to create namespaces");
    }
    if !has_postgres(TEST) {
        return;
    }
    let (folder, cluster) = (Folder::new(), crate::cluster::Cluster::start());
    let url = cluster.database("container");
    // Its user can reach the sockets; PostgreSQL's own files are in their own folders.
    fs::set_permissions(cluster.folder(), fs::Permissions::from_mode(0o755)).unwrap();
    let (_, address) = url.split_once('@').unwrap();
    let port = address.trim_start_matches("127.0.0.1:").trim_end_matches("/container");
    let url = format!("postgres://flaskpaste@%2Fsockets:{port}/container");
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", "120", "unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    command.args(["sh", "tests/container-postgres.sh"]).arg(folder.path()).arg(cluster.folder()).arg(url);
    let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).env_remove("MAKEFLAGS").env_remove("MFLAGS").output();
    let output = output.unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.trim_end().ends_with("passed"), "{output:?}");
}
