//! The agent's program by itself: what it needs, what it refuses, and how it says so.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod frames;
mod isolation;
mod messages;

use std::{
    io::{BufRead, BufReader},
    process::{Command, Output, Stdio},
};

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
    let output = run(data.path(), &["--join-file", "-"]);
    assert_eq!(output.status.code(), Some(1));
    says(&output, "--peer");
    let output = run(data.path(), &["--name", "two words"]);
    assert_eq!(output.status.code(), Some(2));
    let output = run(data.path(), &["--peer", "127.0.0.1:9", "--join-file", "/does/not/exist"]);
    assert_eq!(output.status.code(), Some(1));
    says(&output, "/does/not/exist");
}

/// The lines of an agent until one holds this text.
fn line(lines: &mut impl Iterator<Item = std::io::Result<String>>, what: &str) -> String {
    lines.map(Result::unwrap).find(|line| line.contains(what)).unwrap()
}

#[test]
fn a_node_of_no_fleet_shows_a_code_in_its_log_and_in_a_file_for_its_owner() {
    let data = tempfile::tempdir().unwrap();
    let start = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fleet-agent"));
        command.arg("--data-dir").arg(data.path()).args(["--no-discovery", "--listen", "127.0.0.1:0", "--name", "ada"]);
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let waits = line(&mut lines, "belongs to no fleet");
        let code = line(&mut lines, "pairing code ").split(' ').nth(2).unwrap().trim_end_matches(',').to_owned();
        (child, waits.split(')').next().unwrap().to_owned(), code)
    };
    let (mut child, key, code) = start();
    assert!(key.starts_with("ada ("), "{key}");
    let file = data.path().join("pairing-code");
    assert_eq!(std::fs::read_to_string(&file).unwrap().trim(), code);
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&file.metadata().unwrap()) & 0o777, 0o600);
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0), "it can be told to end while it waits");
    let (mut child, again, next) = start();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(again, key, "it is the same node after a restart");
    assert_ne!(next, code, "with another code");
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

#[test]
fn a_file_says_what_flags_say_and_flags_win() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("agent.toml");
    let config = ["--config", file.to_str().unwrap()];
    std::fs::write(&file, "peer = \"127.0.0.1:9\"\njoin-file = \"/does/not/exist\"\ncores = 2\nno-discovery = true\nlabel = [\"zone=eu\"]\n").unwrap();
    let output = run(data.path(), &config);
    assert_eq!(output.status.code(), Some(1), "the master is known");
    says(&output, "/does/not/exist");
    let output = run(data.path(), &[&config[..], &["--peer", "no address"]].concat());
    assert_eq!(output.status.code(), Some(1));
    says(&output, "\"no address\"");
    std::fs::write(&file, "cores = 0\n").unwrap();
    assert_eq!(run(data.path(), &config).status.code(), Some(2), "the same rules hold");
    std::fs::write(&file, "pear = \"127.0.0.1:9\"\n").unwrap();
    let output = run(data.path(), &config);
    assert_eq!(output.status.code(), Some(2));
    says(&output, "did you mean \"peer\"?");
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleet-agent"));
    let output = command.arg("--data-dir").arg(data.path()).env("BITACORA_AGENT_PEAR", "x").stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    says(&output, "BITACORA_AGENT_PEER");
}

#[test]
fn doctor_says_what_is_the_matter_and_how_to_mend_it() {
    let data = tempfile::tempdir().unwrap();
    let output = run(data.path(), &["doctor"]);
    assert_eq!(output.status.code(), Some(0), "nothing here is bad: {}", String::from_utf8_lossy(&output.stdout));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    for subject in ["data directory", "disk", "identity", "clock", "dialling", "listening", "udp buffers", "multicast", "landlock"] {
        assert!(said.contains(&format!("{subject}: ")), "{subject} in {said}");
    }
    assert!(said.contains("weak  identity: ") && said.contains("bitacora node token"), "{said}");
    let file = data.path().join("file");
    std::fs::write(&file, "").unwrap();
    let output = run(&file, &["doctor", "-o", "json"]);
    assert_eq!(output.status.code(), Some(1), "a file is no folder");
    assert!(String::from_utf8_lossy(&output.stdout).contains(r#""subject":"data directory","verdict":"bad""#));
}
