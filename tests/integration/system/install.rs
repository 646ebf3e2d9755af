//! `make install` and what it installs: files, man pages, systemd units, the log filter; and all of it under a real
//! systemd.

use super::programs::{skip, works};
use crate::documents::links;
use crate::harness::{Folder, SOON, Server, wait_until};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

/// The folder of the tested programs, for `make install`.
fn built() -> &'static str {
    env!("CARGO_BIN_EXE_flaskpaste").strip_suffix("/flaskpaste").unwrap()
}

fn make(target: &str, variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new("make");
    command.arg("--silent").arg("--directory").arg(env!("CARGO_MANIFEST_DIR")).arg(target);
    // The settings of a `make test` that runs this one must not be inherited.
    command.env_remove("MAKEFLAGS").env_remove("MFLAGS");
    command.args(variables.iter().map(|(name, value)| format!("{name}={value}"))).output().unwrap()
}

/// Makes a target, which must succeed.
#[track_caller]
pub fn expect_made(target: &str, variables: &[(&str, &str)]) {
    let output = make(target, variables);
    assert!(output.status.success(), "make {target}: {output:?}");
}

/// Every file below a folder, with its permissions.
fn files(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path).iter().map(|file| format!("{}/{file}", entry.file_name().to_str().unwrap())));
        } else {
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            found.insert(format!("{} {mode:o}", entry.file_name().to_str().unwrap()));
        }
    }
    found
}

const SERVER_FILES: &[&str] = &[
    "opt/bin/flaskpaste 755",
    "man/man8/flaskpaste.8 644",
    "units/flaskpaste.service 644",
    "units/flaskpaste.socket 644",
    "opt/share/doc/flaskpaste/Caddyfile 644",
    "opt/share/doc/flaskpaste/caddy.conf 644",
    "opt/share/doc/flaskpaste/compose.Caddyfile 644",
    "opt/share/doc/flaskpaste/compose.env.example 644",
    "opt/share/doc/flaskpaste/compose.yml 644",
    "opt/share/doc/flaskpaste/flaskpaste.json 644",
    "opt/share/doc/flaskpaste/flaskpaste.rules.yml 644",
    "opt/share/doc/flaskpaste/flaskpaste-filter.conf 644",
    "opt/share/doc/flaskpaste/flaskpaste-jail.conf 644",
    "opt/share/doc/flaskpaste/flaskpaste-postgres.conf 644",
    "opt/share/doc/flaskpaste/flaskpaste-proxy.conf 644",
    "opt/share/doc/flaskpaste/flaskpaste.conf 644",
    "opt/share/doc/flaskpaste/flaskpaste.env 644",
];
const CLIENT_FILES: &[&str] = &[
    "opt/bin/fpaste 755",
    "man/man1/fpaste.1 644",
    "opt/share/bash-completion/completions/fpaste 644",
    "opt/share/zsh/site-functions/_fpaste 644",
    "opt/share/fish/vendor_completions.d/fpaste.fish 644",
];

#[test]
fn each_program_is_installed_and_uninstalled_at_the_given_prefix() {
    let folder = Folder::new();
    // Packagers' build folders sometimes have spaces in their names.
    let root = folder.join("the root");
    let variables = [
        ("DESTDIR", root.to_str().unwrap()),
        ("PREFIX", "/opt"),
        ("MANDIR", "/man"),
        ("UNITDIR", "/units"),
        ("BUILT", built()),
    ];
    let expected = |lists: &[&[&str]]| -> BTreeSet<String> { lists.concat().into_iter().map(str::to_owned).collect() };
    expect_made("install-server", &variables);
    assert_eq!(files(&root), expected(&[SERVER_FILES]));
    expect_made("uninstall", &variables);
    assert_eq!(files(&root), BTreeSet::new());
    expect_made("install-client", &variables);
    assert_eq!(files(&root), expected(&[CLIENT_FILES]));
    // Twice, over the existing files.
    expect_made("install", &variables);
    expect_made("install", &variables);
    assert_eq!(files(&root), expected(&[SERVER_FILES, CLIENT_FILES]));
    let read = |name: &str| fs::read_to_string(root.join(name)).unwrap();
    assert!(read("units/flaskpaste.service").contains("\nExecStart=/opt/bin/flaskpaste\n"));
    for installed in ["units/flaskpaste.service", "man/man8/flaskpaste.8"] {
        assert!(!read(installed).contains("/usr/local"), "{installed}");
    }
    let version = Command::new(root.join("opt/bin/fpaste")).arg("--version").output().unwrap();
    assert!(version.status.success() && version.stdout.starts_with(b"fpaste "));
    // Other files stay.
    fs::write(root.join("opt/share/doc/flaskpaste/notes"), "mine").unwrap();
    expect_made("uninstall", &variables);
    assert_eq!(files(&root), expected(&[&["opt/share/doc/flaskpaste/notes 644"]]));
}

#[test]
fn the_archive_unpacks_as_documented_without_broken_links() {
    let folder = Folder::new();
    let [archive, root] = ["archive", "the root"].map(|name| folder.join(name));
    expect_made("archive", &[("BUILT", built()), ("ARCHIVE", archive.to_str().unwrap())]);
    let name = format!("flaskpaste-{}-{}-linux.tar.gz", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
    fs::create_dir(&root).unwrap();
    let guide = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/admin.md")).unwrap();
    let unpack = "tar -C /usr/local --strip-components=1 -xzf flaskpaste-VERSION-ARCH-linux.tar.gz";
    assert!(guide.contains(unpack) && guide.contains("`target/dist/flaskpaste-VERSION-ARCH-linux.tar.gz`"));
    let words: Vec<String> = unpack
        .split(' ')
        .map(|word| {
            word.replace("/usr/local", root.to_str().unwrap()).replace("flaskpaste-VERSION-ARCH-linux.tar.gz", &name)
        })
        .collect();
    assert!(Command::new(&words[0]).args(&words[1..]).current_dir(&archive).status().unwrap().success());
    for program in ["flaskpaste", "fpaste"] {
        assert!(Command::new(root.join("bin").join(program)).arg("--version").output().unwrap().status.success());
    }
    for file in ["lib/systemd/system/flaskpaste.service", "share/man/man8/flaskpaste.8", "share/man/man1/fpaste.1"] {
        assert!(root.join(file).is_file(), "{file}");
    }
    let documents = root.join("share/doc/flaskpaste");
    let names = [
        "README.md",
        "CHANGELOG.md",
        "docs/api.md",
        "docs/reliability.md",
        "SECURITY.md",
        "CONTRIBUTING.md",
        "docs/admin.md",
        "docs/architecture.md",
        "docs/scaling.md",
        "bench/README.md",
    ];
    let links: Vec<_> = names.iter().flat_map(|name| links(&documents.join(name))).collect();
    assert!(links.len() > 8, "{links:?}");
    for link in links {
        assert!(link.exists(), "broken: {}", link.display());
    }
}

#[test]
fn make_install_without_a_build_says_so() {
    let folder = Folder::new();
    let output = make("install", &[("DESTDIR", folder.path().to_str().unwrap()), ("BUILT", "/nonexistent")]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && stderr.contains("there is no /nonexistent/flaskpaste"), "{stderr}");
    assert_eq!(files(folder.path()), BTreeSet::new());
}

#[test]
fn the_units_pass_systemd_analyze_and_are_hardened() {
    if !works("command -v systemd-analyze") {
        return skip("the systemd units", "systemd-analyze");
    }
    let folder = Folder::new();
    let at = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    expect_made("install-server", &[("PREFIX", &at("opt")), ("UNITDIR", &at("units")), ("BUILT", built())]);
    let analyze = |arguments: &[&str]| {
        let mut command = Command::new("systemd-analyze");
        // The man page is where systemd looks for it only after a real installation.
        command.args(arguments).args([at("units/flaskpaste.service"), at("units/flaskpaste.socket")]);
        let output = command.env("SYSTEMD_LOG_LEVEL", "warning").output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (is_clean, stdout, stderr) = analyze(&["verify", "--man=no"]);
    assert!(is_clean && stdout.is_empty() && stderr.is_empty(), "{stdout}{stderr}");
    let output = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager", "--threshold=15"])
        .arg(at("units/flaskpaste.service"))
        .output()
        .unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && table.contains("Overall exposure level"), "more than 1.5: {table}");
}

#[test]
fn the_postgresql_unit_passes_systemd_analyze_and_is_hardened() {
    if !works("command -v systemd-analyze") {
        return skip("the systemd unit for PostgreSQL", "systemd-analyze");
    }
    let folder = Folder::new();
    let at = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    expect_made("install-server", &[("PREFIX", &at("opt")), ("UNITDIR", &at("units")), ("BUILT", built())]);
    let part = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/systemd/flaskpaste-postgres.conf");
    let part = fs::read_to_string(part).unwrap();
    // systemd-analyze needs an existing program; this one will do.
    let program = at("opt/bin/flaskpaste-postgres");
    fs::copy(at("opt/bin/flaskpaste"), &program).unwrap();
    fs::create_dir(at("units/flaskpaste.service.d")).unwrap();
    let with_program = part.replace("/usr/local/bin/flaskpaste-postgres", &program);
    fs::write(at("units/flaskpaste.service.d/postgres.conf"), with_program).unwrap();
    let analyze = |arguments: &[&str]| {
        let mut command = Command::new("systemd-analyze");
        command.args(arguments).arg(at("units/flaskpaste.service")).env("SYSTEMD_LOG_LEVEL", "warning");
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (is_clean, stdout, stderr) = analyze(&["verify", "--man=no"]);
    assert!(is_clean && stdout.is_empty() && stderr.is_empty(), "{stdout}{stderr}");
    let (is_hardened, table, _) = analyze(&["security", "--offline=true", "--no-pager", "--threshold=15"]);
    assert!(is_hardened && table.contains("Overall exposure level"), "more than 1.5: {table}");
    // Checks that the drop-in was read: without it, neither setting is there.
    for more in ["Service has access to the host's network", "Service may allocate Internet sockets"] {
        assert!(table.contains(more), "{more}: {table}");
    }
}

#[test]
fn the_fail2ban_filter_matches_guessers_in_the_log() {
    if !works("command -v fail2ban-regex") {
        return skip("the fail2ban filter", "fail2ban");
    }
    for format in ["text", "json"] {
        let server = Server::start(&[("FLASKPASTE_LOG", format)]);
        let paste = server.post("x").header("X-Paste-Password", "right").created();
        let guess = server.request("GET", &paste.raw()).header("X-Paste-Password", "wrong");
        guess.header("X-Forwarded-For", "192.0.2.1").header("X-Request-ID", "192.0.2.9").send().expect_status(403);
        let scan = server.request("GET", "/abcdef012345?x=\"client\":\"192.0.2.8\"");
        scan.header("X-Forwarded-For", "2001:db8::2").send().expect_status(404);
        server.request("GET", &paste.path()).header("X-Forwarded-For", "192.0.2.3").send().expect_status(200);
        let all = ["192.0.2.1", "2001:db8::2", "192.0.2.3"];
        wait_until("the log has every request", SOON, || all.iter().all(|client| server.log().contains(client)));
        let log = server.folder().join("log");
        // As written to a file, and as the journal forwards it.
        let journal: Vec<String> = server.log().lines().map(|line| format!("host flaskpaste[7]: {line}")).collect();
        for (text, place) in [(server.log(), "a file"), (journal.join("\n") + "\n", "the journal")] {
            fs::write(&log, text).unwrap();
            let mut command = Command::new("fail2ban-regex");
            command.args(["--out", "ip"]).arg(&log);
            let filter = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/fail2ban/flaskpaste-filter.conf");
            let output = command.arg(filter).output().unwrap();
            let found = String::from_utf8(output.stdout).unwrap();
            let found: BTreeSet<&str> = found.lines().collect();
            assert_eq!(found, BTreeSet::from(["192.0.2.1", "2001:db8::2"]), "{format} in {place}: {}", server.log());
        }
    }
}

/// Runs a scenario of tests/systemd under a real systemd, on a copy of this machine with this folder copied over it.
#[track_caller]
pub fn boot(test: &str, scenario: &str, stage: &Path) {
    let namespaces = "unshare --mount --pid --fork --kill-child --cgroup --uts --ipc --net";
    if !works(&format!("test -x /lib/systemd/systemd && command -v curl && test \"$(id -u)\" = 0 && {namespaces} true"))
    {
        return skip(test, "systemd, curl and root with the right to create namespaces");
    }
    let result = Folder::new();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/systemd/boot.sh");
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", "300"]).args(namespaces.split(' ')).arg("sh").arg(script);
    let output = command.arg(scenario).arg(stage).arg(result.path()).output().unwrap();
    let told = fs::read_to_string(result.join("output")).unwrap_or_default();
    assert!(told.trim_end().ends_with("passed"), "{told}\n{output:?}");
}

#[test]
fn under_a_real_systemd_the_documented_commands_work() {
    let stage = Folder::new();
    expect_made("install", &[("DESTDIR", stage.path().to_str().unwrap()), ("BUILT", built())]);
    boot("the service under a real systemd", "install.sh", stage.path());
}

#[test]
fn make_help_lists_every_described_target_under_a_heading() {
    let help = String::from_utf8(make("help", &[]).stdout).unwrap();
    let headings: Vec<&str> = help.lines().filter(|line| !line.is_empty() && !line.starts_with(' ')).collect();
    assert_eq!(headings, ["run:", "test:", "measure:", "package:", "install:", "maintain:"], "{help}");
    let listed: BTreeSet<&str> =
        help.lines().filter_map(|line| line.strip_prefix("  make ")?.split(' ').next()).collect();
    let makefile = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Makefile")).unwrap();
    let described = makefile.lines().filter(|line| line.contains(':') && line.contains(" ## "));
    assert_eq!(listed, described.map(|line| line.split(':').next().unwrap()).collect());
    let columns: BTreeSet<usize> =
        help.lines().filter(|line| line.starts_with(' ')).map(|line| line.rfind("  ").unwrap()).collect();
    assert_eq!(columns.len(), 1, "the descriptions are aligned\n{help}");
    for line in help.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
}

#[test]
fn the_man_pages_are_well_formed() {
    if !works("command -v mandoc") {
        return skip("the man pages' syntax", "mandoc");
    }
    for page in ["man/flaskpaste.8", "man/fpaste.1"] {
        let output = Command::new("mandoc")
            .args(["-Tlint", "-W", "warning"])
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(page))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}
