//! The agent's program by itself: what it needs, what it refuses, and how it says so.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::process::{Command, Output, Stdio};

fn run(data: &std::path::Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleet-agent"));
    command.arg("--data-dir").arg(data).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn says(output: &Output, what: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(what), "{what:?} in {said:?}");
}

#[test]
fn what_is_missing_is_named() {
    let data = tempfile::tempdir().unwrap();
    let output = run(data.path(), &[]);
    assert_eq!(output.status.code(), Some(1));
    says(&output, "--peer");
    let output = run(data.path(), &["--peer", "127.0.0.1:9"]);
    assert_eq!(output.status.code(), Some(4));
    says(&output, "--join-file");
    let output = run(data.path(), &["--peer", "127.0.0.1:9", "--join-file", "/does/not/exist"]);
    assert_eq!(output.status.code(), Some(1));
    says(&output, "/does/not/exist");
}

#[test]
fn a_token_that_is_none_is_refused_and_not_repeated() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("token");
    std::fs::write(&file, "bita1-5ec7e7").unwrap();
    let output = run(data.path(), &["--peer", "127.0.0.1:9", "--join-file", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("5ec7e7"));
}

#[test]
fn its_version_names_the_engine() {
    let output = Command::new(env!("CARGO_BIN_EXE_fleet-agent")).arg("--version").output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains(fleet_agent::analysis::ENGINE));
}
