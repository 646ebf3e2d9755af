//! What `make dist` and `make deb` build, apart from the archive's layout (install.rs): reproducible bytes, an SBOM per
//! program, and Debian packages that install, upgrade and purge properly, for both architectures. `make reproduce`
//! checks that the programs themselves are reproducible.

use super::deployment::{OTHER_ARCH, static_programs};
use super::install::{boot, expect_made};
use super::programs::{has, skip, works};
use crate::harness::{Folder, Launcher, Server, search_path};
use crate::page_tables;
use std::collections::{BTreeMap, BTreeSet};
use std::env::consts::ARCH;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Debian's name of an architecture.
fn debian(arch: &str) -> &str {
    if arch == "x86_64" { "amd64" } else { "arm64" }
}

fn write_script(path: &Path, lines: &str) {
    fs::write(path, format!("#!/bin/sh\n{lines}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

/// Makes the packages of the static programs of an architecture, in a folder.
fn make_packages(folder: &Path, arch: &str, programs: &[PathBuf; 2], version: &str) {
    let built = programs[0].parent().unwrap();
    fs::create_dir_all(folder).unwrap();
    let variables = [
        ("ARCHIVE", folder.to_str().unwrap()),
        ("ARCH", arch),
        ("BUILT", built.to_str().unwrap()),
        ("FPASTE", env!("CARGO_BIN_EXE_fpaste")),
        ("DEB_VERSION", version),
    ];
    expect_made("packages", &variables);
}

#[test]
fn archives_and_packages_are_reproducible() {
    if !has("reproducible archives and packages", &["dpkg-deb", "faketime", "python3"]) {
        return;
    }
    let folder = Folder::new();
    let built = folder.join("built");
    fs::create_dir(&built).unwrap();
    // faketime would also affect rustc, which cargo asks for its version.
    let rustc = folder.join("rustc");
    write_script(&rustc, "unset LD_PRELOAD\nexec rustc \"$@\"");
    // The packed contents do not matter here.
    write_script(&built.join("flaskpaste"), "echo flaskpaste");
    write_script(&built.join("fpaste"), "echo \"$@\"");
    let made_by = |name: &str, umask: &str, clock: &str, variables: &[(&str, &str)]| {
        let archive = folder.join(name);
        fs::create_dir(&archive).unwrap();
        let script = format!("umask {umask}; exec faketime \"$@\" make --silent archive packages");
        let mut command = Command::new("sh");
        command
            .args(["-c", &script, "sh", "-f", clock])
            .current_dir(ROOT)
            .env("BUILT", &built)
            .env("ARCHIVE", &archive);
        command.env("RUSTC", &rustc).env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("NO_FAKE_STAT", "1");
        command.env_remove("MAKEFLAGS").env_remove("MFLAGS").envs(variables.iter().copied());
        // Another clock, without changing the times of existing files.
        command.env("NO_FAKE_STAT", "1");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        contents(&archive)
    };
    let one = made_by("one", "022", "@2030-01-01 00:00:00", &[("LC_ALL", "C"), ("TZ", "UTC")]);
    // A locale with unusual letter rules.
    let locale = folder.join("tr_TR.UTF-8");
    if !works(&format!("localedef -i tr_TR -f UTF-8 {}", locale.display())) {
        return skip("reproducible archives and packages", "localedef and the source of tr_TR (locales)");
    }
    let locales = folder.path().to_str().unwrap();
    let other = [("LC_ALL", "tr_TR.UTF-8"), ("LOCPATH", locales), ("TZ", "Pacific/Kiritimati"), ("USER", "another")];
    let two = made_by("another-longer-name", "077", "@2020-06-07 08:09:10", &other);
    assert_eq!(one.keys().collect::<Vec<_>>(), two.keys().collect::<Vec<_>>());
    assert_eq!(one.len(), 3, "an archive and two packages: {:?}", one.keys());
    for (name, bytes) in &one {
        assert!(*bytes == two[name], "{name} differs");
    }
}

#[test]
fn the_source_date_is_the_commit_date_with_or_without_git() {
    let folder = Folder::new();
    for name in ["contrib/dist/source.sh", "contrib/dist/commit", "man/flaskpaste.8"] {
        fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
        fs::copy(Path::new(ROOT).join(name), folder.join(name)).unwrap();
    }
    let ask = |what: &str, epoch: &str| {
        let mut command = Command::new("sh");
        command.arg(folder.join("contrib/dist/source.sh")).arg(what);
        let output = command.env("SOURCE_DATE_EPOCH", epoch).env("TZ", "Pacific/Kiritimati").output().unwrap();
        let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        (output.status.success(), stdout.trim_end().to_owned(), stderr)
    };
    // With neither git nor `git archive`: the man page's date.
    fs::write(folder.join("man/flaskpaste.8"), ".Dd November 24, 2026\n").unwrap();
    let (_, date, note) = ask("date", "");
    assert!(date == "1795478400" && note.contains("SOURCE_DATE_EPOCH"), "{date} {note}");
    assert_eq!(ask("commit", ""), (true, "unknown".into(), String::new()));
    // As `git archive` leaves the file: with the placeholder in its second line replaced.
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let archived = fs::read_to_string(folder.join("contrib/dist/commit")).unwrap();
    let archived = archived.replace("$Format:%H %ct$", &format!("{commit} 1700000000"));
    fs::write(folder.join("contrib/dist/commit"), archived).unwrap();
    assert_eq!(ask("date", ""), (true, "1700000000".into(), String::new()));
    assert_eq!(ask("commit", ""), (true, commit.into(), String::new()));
    // If set by the caller, it is used.
    assert_eq!(ask("date", "1234567890").1, "1234567890");
    let (is_accepted, _, told) = ask("date", "yesterday");
    assert!(!is_accepted && told.contains("yesterday"), "{told}");
}

#[test]
fn the_page_digests_of_a_released_version_are_not_overwritten() {
    if !has("the page digests of a released version", &["git"]) {
        return;
    }
    let folder = Folder::new();
    for name in ["contrib/dist/source.sh", "Cargo.toml"] {
        fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
        fs::copy(Path::new(ROOT).join(name), folder.join(name)).unwrap();
    }
    let versions = folder.join("src/client/versions");
    fs::create_dir_all(&versions).unwrap();
    let table = versions.join(env!("CARGO_PKG_VERSION"));
    fs::write(&table, "first").unwrap();
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=a", "-c", "user.email=a@example.org"]).current_dir(folder.path());
        let output = command.args(arguments).output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {output:?}");
    };
    // Without git it is unknown whether there is a tag.
    let told = page_tables::write(folder.path(), "second").unwrap_err();
    assert!(told.contains("in a git clone") && fs::read_to_string(&table).unwrap() == "first", "{told}");
    git(&["init", "--quiet"]);
    git(&["commit", "--quiet", "--allow-empty", "--no-gpg-sign", "--message", "first"]);
    let tag = format!("v{}", env!("CARGO_PKG_VERSION"));
    git(&["tag", "--no-sign", &format!("{tag}-rc.1")]);
    page_tables::write(folder.path(), "second").unwrap();
    assert_eq!(fs::read_to_string(&table).unwrap(), "second");
    git(&["tag", "--no-sign", &tag]);
    let told = page_tables::write(folder.path(), "third").unwrap_err();
    assert!(told.contains("is released") && fs::read_to_string(&table).unwrap() == "second", "{told}");
    page_tables::write(folder.path(), "second").expect("nothing changes");
}

#[test]
fn a_purge_empties_a_state_folder_that_is_a_mount_point() {
    const TEST: &str = "a purge of a mount point";
    // Root creates the mount namespace; others need a user namespace for it.
    let namespace = "unshare --mount --map-root-user";
    if !works(&format!("{namespace} mount -t tmpfs tmpfs /var/lib")) {
        return skip(TEST, "the right to mount in a new namespace (unshare)");
    }
    // Nothing of this machine is in reach: neither its settings nor its state nor its service manager.
    let script = "set -eu
        export DPKG_MAINTSCRIPT_PACKAGE=flaskpaste
        mount --make-rprivate /
        for folder in /etc /run /var/lib; do mount -t tmpfs tmpfs $folder; done
        state=/var/lib/private/flaskpaste
        mkdir -p $state
        ln -s private/flaskpaste /var/lib/flaskpaste
        mount -t tmpfs tmpfs $state
        mkdir $state/lost+found
        touch $state/pastes.db $state/pastes.db.pepper $state/.hidden
        sh \"$0\" purge
        sh \"$0\" purge
        test -d $state
        test -z \"$(ls -A $state)\"
        test ! -L /var/lib/flaskpaste
        umount $state
        sh \"$0\" purge
        test ! -e $state
        mkdir /var/lib/flaskpaste
        mount -t tmpfs tmpfs /var/lib/flaskpaste
        touch /var/lib/flaskpaste/pastes.db
        sh \"$0\" purge
        test -z \"$(ls -A /var/lib/flaskpaste)\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--map-root-user", "sh", "-c", script]);
    let output = command.arg(Path::new(ROOT).join("contrib/debian/flaskpaste.postrm")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_missing_cross_compiler_is_reported_and_fails_with_ci_set() {
    let folder = Folder::new();
    write_script(&folder.join("uname"), "echo x86_64");
    write_script(&folder.join("rustc"), "echo /nonexistent");
    let run = |ci: Option<&str>| {
        let mut command = Command::new("/bin/sh");
        command.arg(Path::new(ROOT).join("contrib/dist/architectures.sh")).env_clear().env("PATH", folder.path());
        let output = command.envs(ci.map(|value| ("CI", value))).output().unwrap();
        let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        for command in ["gcc-aarch64-linux-gnu libc6-dev-arm64-cross", "rustup target add aarch64-unknown-linux-gnu"] {
            assert!(stderr.contains(command), "{stderr}");
        }
        (output.status.success(), stdout, stderr)
    };
    let (is_done, stdout, stderr) = run(None);
    assert!(is_done && stdout == "x86_64\n" && stderr.contains("SKIPPED"), "{stdout}{stderr}");
    let (is_done, _, stderr) = run(Some("1"));
    assert!(!is_done && stderr.contains("FAILED"), "{stderr}");
}

/// The crates that cargo reports as linked into a program, as purls.
fn linked(triple: &str, features: &str) -> BTreeSet<String> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["tree", "--locked", "--edges", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}"]);
    command.args(["--target", triple, "--no-default-features", "--features", features]).current_dir(ROOT);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let crates = text.lines().map(|line| {
        let mut words = line.split(' ');
        format!("pkg:cargo/{}@{}", words.next().unwrap(), words.next().unwrap().trim_start_matches('v'))
    });
    crates.filter(|purl| !purl.starts_with("pkg:cargo/flaskpaste@")).collect()
}

fn bill_of_materials(program: &str, triple: &str, variables: &[(&str, &str)]) -> String {
    let mut command = Command::new("python3");
    command.args(["contrib/dist/sbom.py", program, triple]).current_dir(ROOT).envs(variables.iter().copied());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Crates whose source files a program names in its panic messages: "crates/NAME-VERSION/src/FILE".
fn named_in(program: &Path) -> BTreeSet<String> {
    let bytes = fs::read(program).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    let paths = text.split("crates/").skip(1).filter_map(|rest| rest.split_once("/src/"));
    let folders = paths.map(|(path, _)| path.rsplit('/').next().unwrap());
    let is_name = |name: &str| {
        name.len() < 60 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte))
    };
    let purls = folders.filter(|folder| is_name(folder)).filter_map(|folder| {
        let is_version = |at: &usize| folder[at + 1..].starts_with(|sign: char| sign.is_ascii_digit());
        let at = folder.match_indices('-').map(|(at, _)| at).rev().find(is_version)?;
        Some(format!("pkg:cargo/{}@{}", &folder[..at], &folder[at + 1..]))
    });
    purls.collect()
}

#[test]
fn the_sbom_lists_exactly_the_linked_crates() {
    const PROGRAMS: [(&str, &str, &[&str]); 3] = [
        ("flaskpaste", "server", &["sqlite"]),
        ("flaskpaste-postgres", "postgres", &["sqlite", "aws-lc"]),
        ("fpaste", "client", &["aws-lc"]),
    ];
    if !has("the SBOMs", &["python3", "cc"]) {
        return;
    }
    let architectures = Command::new("sh").arg("contrib/dist/architectures.sh").current_dir(ROOT).output().unwrap();
    assert!(architectures.status.success(), "{architectures:?}");
    let architectures = String::from_utf8(architectures.stdout).unwrap();
    for arch in architectures.lines() {
        let triple = format!("{arch}-unknown-linux-gnu");
        for (program, features, bundled) in PROGRAMS {
            let text = bill_of_materials(program, &triple, &[("LC_ALL", "C"), ("TZ", "UTC")]);
            let again = bill_of_materials(program, &triple, &[("LC_ALL", "C.UTF-8"), ("PYTHONHASHSEED", "7")]);
            assert_eq!(text, again);
            assert!(!text.contains(ROOT) && !text.contains("serialNumber") && !text.contains("timestamp"));
            let bill: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!([&bill["bomFormat"], &bill["specVersion"]], ["CycloneDX", "1.6"]);
            assert_eq!(bill["metadata"]["component"]["name"], program);
            assert_eq!(bill["metadata"]["component"]["version"], env!("CARGO_PKG_VERSION"));
            let components = bill["components"].as_array().unwrap();
            let purl = |component: &serde_json::Value| component["purl"].as_str().unwrap().to_owned();
            let (crates, others): (Vec<_>, Vec<_>) = components.iter().partition(|c| purl(c).starts_with("pkg:cargo/"));
            let listed: BTreeSet<String> = crates.iter().map(|component| purl(component)).collect();
            assert_eq!(listed, linked(&triple, features), "{program} for {triple}");
            for component in &crates {
                let checksum = component["hashes"][0]["content"].as_str().unwrap();
                assert!(checksum.len() == 64 && component["licenses"][0]["expression"].is_string(), "{component}");
            }
            let others: BTreeSet<&str> = others.iter().map(|component| component["name"].as_str().unwrap()).collect();
            let expected: BTreeSet<&str> = bundled.iter().copied().chain(["glibc", "rust-std"]).collect();
            assert_eq!(others, expected, "{program}");
            expect_a_whole_graph(&bill);
            // And those in the program itself, if it has been built.
            let Some(built) = static_programs(arch).map(|programs| programs[0].with_file_name(program)) else {
                continue;
            };
            if built.is_file() {
                let named = named_in(&built);
                assert!(!named.is_empty(), "{} names no crate", built.display());
                let unlisted: Vec<_> = named.difference(&listed).collect();
                assert!(unlisted.is_empty(), "{}: {unlisted:?}", built.display());
            }
        }
    }
}

/// Every component is in the dependency graph, and the graph names no other.
#[track_caller]
fn expect_a_whole_graph(bill: &serde_json::Value) {
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let own = text(&bill["metadata"]["component"]["bom-ref"]);
    let components = bill["components"].as_array().unwrap().iter().map(|component| text(&component["bom-ref"]));
    let all: BTreeSet<String> = components.chain([own.clone()]).collect();
    let nodes = bill["dependencies"].as_array().unwrap();
    let depended: Vec<String> =
        nodes.iter().flat_map(|node| node["dependsOn"].as_array().unwrap().iter().map(text)).collect();
    assert_eq!(nodes.iter().map(|node| text(&node["ref"])).collect::<BTreeSet<_>>(), all);
    assert_eq!(depended.into_iter().chain([own]).collect::<BTreeSet<_>>(), all);
}

#[test]
fn the_packages_have_the_right_contents_and_pass_lintian() {
    const TEST: &str = "the Debian packages";
    if !has(TEST, &["dpkg-deb", "lintian"]) {
        return;
    }
    let folder = Folder::new();
    for arch in [ARCH, OTHER_ARCH] {
        let Some(programs) = static_programs(arch) else {
            skip(&format!("{TEST} for {arch}"), &format!("the output of `make static ARCH={arch}`"));
            continue;
        };
        make_packages(&folder.join(arch), arch, &programs, "1.2.3-1");
        let package = |name: &str| folder.join(arch).join(format!("{name}_1.2.3-1_{}.deb", debian(arch)));
        let ask = |name: &str, arguments: &[&str]| {
            let output =
                Command::new("dpkg-deb").arg(arguments[0]).arg(package(name)).args(&arguments[1..]).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        for name in ["flaskpaste", "fpaste"] {
            assert_eq!(ask(name, &["--field", "Architecture"]).trim_end(), debian(arch));
            let description = ask(name, &["--field", "Description"]);
            let what = env!("CARGO_PKG_DESCRIPTION").split_once(':').unwrap().0.trim_start_matches("A ");
            assert!(description.starts_with(what), "{description}");
            assert!(!ask(name, &["--contents"]).contains("/usr/local"));
        }
        let server = ask("flaskpaste", &["--contents"]);
        for file in ["bin/flaskpaste", "lib/systemd/system/flaskpaste.socket", "share/man/man8/flaskpaste.8.gz"] {
            assert!(server.contains(&format!(" ./usr/{file}")), "{file}: {server}");
        }
        assert!(!server.contains("/etc/"), "the settings are created at installation: {server}");
        let client = ask("fpaste", &["--contents"]);
        for file in ["bin/fpaste", "share/man/man1/fpaste.1.gz", "share/zsh/vendor-completions/_fpaste"] {
            assert!(client.contains(&format!(" ./usr/{file}")), "{file}: {client}");
        }
        let unpack = "dpkg-deb --fsys-tarfile \"$0\" | tar -xO ./usr/share/doc/flaskpaste/third-party.txt.gz | gzip -d";
        let output = Command::new("sh").args(["-c", unpack]).arg(package("flaskpaste")).output().unwrap();
        let notices = String::from_utf8(output.stdout).unwrap();
        let (list, texts) = notices.split_once("\n---").unwrap();
        assert!(texts.contains("Permission is hereby granted") && !notices.contains(ROOT));
        for purl in linked(&format!("{arch}-unknown-linux-gnu"), "server") {
            let name = purl.trim_start_matches("pkg:cargo/").replace('@', " ");
            assert!(list.contains(&format!("\n{name}, ")) && texts.contains(&name), "the licence of {name} is missing");
        }
        let mut lintian = Command::new("lintian");
        let output =
            lintian.args(["--fail-on", "error,warning"]).args(["flaskpaste", "fpaste"].map(package)).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

#[test]
fn the_packages_install_upgrade_and_purge_under_a_real_dpkg_and_systemd() {
    const TEST: &str = "the Debian packages under a real dpkg and systemd";
    let Some(programs) = static_programs(ARCH) else { return skip(TEST, "the output of `make static`") };
    if !has(TEST, &["dpkg", "dpkg-deb", "deb-systemd-helper"]) {
        return;
    }
    let folder = Folder::new();
    let stage = folder.join("stage");
    make_packages(&stage.join("packages/old"), ARCH, &programs, "1.0.0~test-1");
    make_packages(&stage.join("packages/new"), ARCH, &programs, "1.0.0-1");
    boot(TEST, "package.sh", &stage);
}

#[test]
fn the_ten_minute_guide_works_as_written() {
    const TEST: &str = "docs/tls.md";
    const CADDY_UNIT: &str = "lib/systemd/system/caddy.service";
    let Some(programs) = static_programs(ARCH) else { return skip(TEST, "the output of `make static`") };
    if !has(TEST, &["apt", "dpkg-deb", "deb-systemd-helper", "caddy", "ip", "curl"]) {
        return;
    }
    let folder = Folder::new();
    let stage = folder.join("stage");
    let version = format!("{}-1", env!("CARGO_PKG_VERSION"));
    make_packages(&stage.join("packages"), ARCH, &programs, &version);
    // The booted machine has this one unit of other packages.
    let unit = stage.join("usr").join(CADDY_UNIT);
    fs::create_dir_all(unit.parent().unwrap()).unwrap();
    fs::copy(Path::new("/").join(CADDY_UNIT), unit).unwrap();
    boot(TEST, "tls.sh", &stage);
}

#[test]
fn programs_for_the_other_architecture_run() {
    let test = format!("the programs for {OTHER_ARCH}");
    let emulator = format!("qemu-{OTHER_ARCH}-static");
    let Some(programs) = static_programs(OTHER_ARCH) else {
        return skip(&test, &format!("the output of `make static ARCH={OTHER_ARCH}`"));
    };
    if !has(&test, &["dpkg-deb", &emulator]) {
        return;
    }
    // From the installed packages.
    let folder = Folder::new();
    make_packages(folder.path(), OTHER_ARCH, &programs, "1.2.3-1");
    let root = folder.join("root");
    for name in ["flaskpaste", "fpaste"] {
        let package = folder.join(&format!("{name}_1.2.3-1_{}.deb", debian(OTHER_ARCH)));
        assert!(Command::new("dpkg-deb").arg("--extract").arg(package).arg(&root).status().unwrap().success());
    }
    let bin = root.join("usr/bin");
    let fpaste = |arguments: &[&str]| {
        let mut command = Command::new(&emulator);
        command.arg(bin.join("fpaste")).args(arguments).env_clear().env("PATH", search_path());
        let output = command.env("HOME", folder.path()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    };
    assert_eq!(fpaste(&["--version"]), format!("fpaste {}", env!("CARGO_PKG_VERSION")));
    let launcher = Launcher { words: vec![emulator.clone()], server: bin.join("flaskpaste"), ..Launcher::default() };
    let server = Server::start_by(launcher, Arc::new(Folder::new()), &[]);
    let paste = server.paste(vec![b'x'; 2 << 20]);
    server.get(&paste.raw()).expect_body(vec![b'x'; 2 << 20]);
    let url = format!("http://{}", server.authority());
    let file = folder.join("secret");
    fs::write(&file, "kept").unwrap();
    let link = fpaste(&["-s", &url, file.to_str().unwrap()]);
    assert_eq!(fpaste(&["get", "-o", "-", &link]), "kept");
}
