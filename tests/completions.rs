//! Completion of command lines, in a real bash.

use std::{
    fs,
    os::unix::net::UnixListener,
    path::Path,
    process::{Command, Stdio},
};

use super::{
    fleet::{Fleet, agent_program},
    support::{Place, skip},
};

/// What bash would offer after these words; the last one is what was typed of the word that is completed.
fn offered(place: &Place, words: &[&str]) -> Option<Vec<String>> {
    let programs = Path::new(env!("CARGO_BIN_EXE_bitacora")).parent().unwrap();
    let script = r#"
        source <(bitacora completions bash) || exit 9
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE} COMP_TYPE=9
        _clap_complete_bitacora bitacora "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let data = place.data();
    let words = [&["bitacora", "--data-dir", data.to_str().unwrap()], words].concat();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let output = Command::new("bash").args(["-c", script, "bash"]).args(words).env("PATH", path).stdin(Stdio::null()).output();
    let Ok(output) = output else {
        skip("bash");
        return None;
    };
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    Some(String::from_utf8(output.stdout).unwrap().lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

#[test]
fn bash_completes_commands_and_their_words() {
    let place = Place::new();
    let Some(commands) = offered(&place, &["no"]) else { return };
    assert_eq!(commands, ["node"]);
    assert_eq!(offered(&place, &["wait", "x", "--for", "idle", "--time"]).unwrap(), ["--timeout"]);
    assert!(offered(&place, &["completions", ""]).unwrap().contains(&"zsh".to_owned()));
    assert!(!place.data().exists(), "whoever looks makes nothing");
}

#[test]
fn bash_completes_names_of_the_live_fleet() {
    let fleet = Fleet::new();
    let (_one, _two) = (fleet.join("anvil"), fleet.join("anchor"));
    fleet.place.fill(1);
    fleet.place.analyse(0);
    let offered = |words: &[&str]| offered(&fleet.place, words);
    let Some(mut nodes) = offered(&["node", "show", "an"]) else { return };
    nodes.sort();
    assert_eq!(nodes, ["anchor", "anvil"]);
    assert_eq!(offered(&["node", "drain", "anv"]).unwrap(), ["anvil"]);
    assert_eq!(offered(&["project", "assign", "tr"]).unwrap(), ["tree"]);
    assert_eq!(offered(&["project", "assign", "tree", "anc"]).unwrap(), ["anchor"]);
    assert_eq!(offered(&["symbols", "x", "--project", "t"]).unwrap(), ["tree"]);
    assert_eq!(offered(&["job", "show", "j"]).unwrap().len(), 1);
}

#[test]
fn a_master_that_is_gone_or_hangs_has_no_names() {
    let place = Place::new();
    let Some(names) = offered(&place, &["node", "show", "a"]) else { return };
    assert_eq!(names, [""; 0]);
    fs::create_dir_all(place.data()).unwrap();
    // Takes the question and never answers.
    let _hangs = UnixListener::bind(place.data().join("control")).unwrap();
    assert_eq!(offered(&place, &["node", "show", "a"]).unwrap(), [""; 0]);
}

#[test]
fn the_manual_is_written_page_by_page() {
    let place = Place::new();
    let folder = place.path("man/man1");
    assert_eq!(place.run(&["man", "--out", folder.to_str().unwrap()]).status.code(), Some(0));
    let page = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    assert!(page("bitacora.1").contains("EXIT STATUS") && page("bitacora-node-drain.1").contains("\\-\\-deadline"));
    let printed = place.run(&["man", "node", "drain"]).stdout;
    assert_eq!(String::from_utf8(printed).unwrap(), page("bitacora-node-drain.1"));
    assert_eq!(place.run(&["man", "no", "such"]).status.code(), Some(2));
    assert_eq!(place.run(&["man", "run-parser"]).status.code(), Some(2), "that is nobody's to call");
    let agent = Command::new(agent_program()).arg("man").output().unwrap();
    assert!(agent.status.success() && String::from_utf8_lossy(&agent.stdout).contains(".TH fleet-agent"));
}
