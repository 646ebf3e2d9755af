//! The programs on this machine, and skipping tests that need others.
//!
//! Invariant: a skip is visible. It prints a line, and with `CI` set it is a failure.

use crate::harness::search_path;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Reports that a test is skipped because something is missing; with `CI` set that is a failure.
#[track_caller]
pub fn skip(test: &str, missing: &str) {
    assert!(std::env::var_os("CI").is_none(), "{test}: requires {missing}, and with CI set nothing is skipped");
    // Not `eprintln!`: the test harness captures it, and hides it if the test passes. In a single write, so that lines
    // of concurrent tests do not mix.
    let line = format!("SKIPPED: {test}: requires {missing}\n");
    std::io::stderr().lock().write_all(line.as_bytes()).unwrap();
}

/// The path of a program.
pub fn find(name: &str) -> Option<PathBuf> {
    search_path().split(':').map(|folder| Path::new(folder).join(name)).find(|program| program.is_file())
}

/// Whether these programs are installed; if not, reports that a test is skipped.
#[track_caller]
pub fn has(test: &str, programs: &[&str]) -> bool {
    let missing: Vec<&str> = programs.iter().copied().filter(|name| find(name).is_none()).collect();
    if !missing.is_empty() {
        skip(test, &missing.join(" and "));
    }
    missing.is_empty()
}

/// Whether a supported PostgreSQL is installed; if not, reports that a test is skipped.
#[cfg(feature = "postgres")]
#[track_caller]
pub fn has_postgres(test: &str) -> bool {
    let is_there = crate::cluster::programs().is_some();
    if !is_there {
        skip(test, "PostgreSQL 15 or newer (postgresql)");
    }
    is_there
}

/// The program named by `SCHEMATHESIS`, in a virtual environment made from tests/requirements.txt; without it, reports
/// that a test is skipped.
#[track_caller]
pub fn schemathesis(test: &str) -> Option<PathBuf> {
    let program = std::env::var_os("SCHEMATHESIS").map(PathBuf::from);
    if program.is_none() {
        skip(test, "SCHEMATHESIS=PATH, a program installed by pip install -r tests/requirements.txt");
    }
    program
}

/// axe-core, the script in the file `AXE_CORE`: axe.min.js from the package axe-playwright-python; without it, reports
/// that a test is skipped.
#[track_caller]
#[cfg(feature = "client")]
pub fn axe_core(test: &str) -> Option<String> {
    let file = std::env::var_os("AXE_CORE");
    if file.is_none() {
        skip(test, "AXE_CORE=PATH, axe.min.js from pip install --no-deps axe-playwright-python");
    }
    file.map(|file| fs::read_to_string(file).expect("AXE_CORE must name a readable file"))
}

/// Whether a command succeeds: a probe of this machine.
pub fn works(command: &str) -> bool {
    Command::new("sh")
        .args(["-c", command])
        .env("PATH", search_path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap()
        .success()
}

#[test]
#[ignore = "a test that is skipped, for the next one to run"]
fn skipped() {
    skip("this test", "a missing program");
}

#[test]
fn skips_bypass_output_capture_and_fail_with_ci_set() {
    let name = format!("{}::skipped", module_path!().split_once("::").unwrap().1);
    let run = |ci: Option<&str>| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", &name, "--ignored"]).env_remove("CI").env_remove("RUST_TEST_NOCAPTURE");
        let output = command.envs(ci.map(|value| ("CI", value))).output().unwrap();
        let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        assert!(stdout.contains("running 1 test\n"), "{stdout}");
        (output.status.success(), stdout, stderr)
    };
    let (passed, _, stderr) = run(None);
    assert!(passed && stderr == "SKIPPED: this test: requires a missing program\n", "{stderr}");
    let (passed, stdout, stderr) = run(Some("1"));
    assert!(!passed && stdout.contains("this test: requires a missing program"), "{stdout}{stderr}");
    assert!(!stderr.contains("SKIPPED"), "{stderr}");
}

/// `make test-quick` relies on it: its tests start only our own programs and a shell.
#[test]
fn tests_outside_this_module_start_no_system_programs() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration");
    for file in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        let text = fs::read_to_string(&file).unwrap();
        let mut named = text.split("Command::new(\"").skip(1).map(|rest| rest.split('"').next().unwrap());
        let other = named.find(|name| !["sh", "/bin/sh"].contains(name));
        assert_eq!(other, None, "{}: it belongs in tests/integration/system/", file.display());
    }
}
