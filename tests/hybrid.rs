//! A machine that commands and runs work: its agent is a process of its own, which may crash, and never stays behind.

use std::{fs, process::Stdio};

use serde_json::json;

use super::{
    dashboard::Terminal,
    fleet::{Fleet, Process, grow, outcome, until},
    support::{Place, Timeless, item, python, reason, report},
};

const HYBRID: [&str; 4] = ["--role", "hybrid", "--cores", "1"];
const MARK: &str = "THIS_ABORTS";

/// The name of the only hybrid among the nodes.
fn own(fleet: &Fleet) -> Option<String> {
    let nodes = fleet.nodes();
    let mut hybrids = nodes.iter().filter(|node| node["role"] == "hybrid" && node["health"] == "healthy");
    let own = hybrids.next().map(|node| node["name"].as_str().unwrap().to_owned());
    assert!(hybrids.next().is_none(), "{nodes:?}");
    own
}

fn wait_for_own(fleet: &Fleet) -> String {
    until(|| own(fleet).is_some());
    own(fleet).unwrap()
}

fn master(fleet: &Fleet) -> u32 {
    fleet.master.as_ref().unwrap().0.id()
}

/// The command line of a process; empty when it is gone, or ended and nobody has asked yet how.
fn words(process: u32) -> Vec<String> {
    let line = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).filter(|word| !word.is_empty()).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

fn parent(process: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok())
}

/// The agent of that master.
fn agent_of(master: u32) -> Option<u32> {
    let processes = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut agents = processes.filter(|process| parent(*process) == Some(master) && words(*process).iter().any(|word| word == "run-agent"));
    agents.next()
}

fn agent(fleet: &Fleet) -> u32 {
    until(|| agent_of(master(fleet)).is_some());
    agent_of(master(fleet)).unwrap()
}

fn signal(process: u32, name: &str) {
    assert!(std::process::Command::new("kill").args(["-s", name, &process.to_string()]).status().unwrap().success());
}

fn change_everything(fleet: &Fleet) -> Timeless {
    for number in 0..12 {
        let text = fs::read_to_string(fleet.place.tree().join(format!("big/f{number}.py"))).unwrap();
        fleet.place.write(&format!("big/f{number}.py"), text + "\ndef once_more(): pass\n");
    }
    // Nothing that the other way of doing it knows may be of help.
    let _ = fs::remove_dir_all(fleet.place.path("alone"));
    fleet.local()
}

#[test]
fn a_hybrid_alone_and_with_an_agent_makes_the_report_of_one_machine() {
    let fleet = Fleet::with(&[&HYBRID[..], &["--program", "true"]].concat(), &[]);
    grow(&fleet.place);
    fleet.place.write("bin.c", b"\0\0");
    fleet.place.write("run", "#!/usr/bin/env python3\ndef f(): pass\n");
    assert_eq!(outcome(&fleet.begin().wait_with_output().unwrap()), fleet.local(), "with nobody else");
    let name = wait_for_own(&fleet);
    assert!(fleet.node(&name)["finished"].as_u64() > Some(0));
    let home = fleet.place.data().join("agent");
    assert!(home.join("epoch").exists() && !home.join("packs").exists(), "its packs lie with the master's");
    assert!(!home.join("identity.pem").exists(), "its key is in no file");
    let found = report(&fleet.place.run(&["symbols", "big_3_7", "-o", "json"]), 0);
    assert_eq!(found["items"][0]["fit"], "exact");

    let _one = fleet.join("one");
    let expected = change_everything(&fleet);
    assert_eq!(outcome(&fleet.begin().wait_with_output().unwrap()), expected, "with an agent");
    assert!(fleet.node("one")["finished"].as_u64() > Some(0), "which did some of it");
    let nodes = report(&fleet.place.run(&["node", "ls", "-o", "json"]), 0);
    let schema = report(&fleet.place.run(&["schema", "nodes"]), 0);
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&nodes), "{nodes}");

    assert_eq!(fleet.place.run(&["spark", "run", "--", "true"]).status.code(), Some(0), "it is given commands too");
    assert_eq!(fleet.place.run(&["node", "label", &name, "zone=here"]).status.code(), Some(0));
    assert_eq!(fleet.place.run(&["node", "cordon", &name]).status.code(), Some(0));
    let node = fleet.node(&name);
    assert_eq!((&node["availability"], &node["labels"], &node["role"]), (&json!("cordoned"), &json!({"zone": "here"}), &json!("hybrid")));
}

#[test]
fn a_killed_agent_of_the_master_comes_back_and_costs_nothing_but_time() {
    let fleet = Fleet::with(&HYBRID, &[]);
    grow(&fleet.place);
    let expected = fleet.local();
    let name = wait_for_own(&fleet);
    let analysis = fleet.begin();
    until(|| fleet.sparks_done() > 0);
    let first = agent(&fleet);
    signal(first, "KILL");
    assert_eq!(outcome(&analysis.wait_with_output().unwrap()), expected);
    assert_ne!(agent(&fleet), first);
    assert_eq!(wait_for_own(&fleet), name, "the same node");
    assert_eq!(fleet.nodes().len(), 1);
    let events = String::from_utf8(fleet.place.run(&["events", "-o", "plain"]).stdout).unwrap();
    assert!(events.contains("agent-ended") && events.contains("signal: 9"), "{events}");
}

#[test]
fn the_agent_of_a_master_ends_with_it_however_it_ends() {
    let mut fleet = Fleet::with(&[&HYBRID[..], &["--program", "sleep"]].concat(), &[]);
    wait_for_own(&fleet);
    assert_eq!(fleet.place.run(&["spark", "run", "--detach", "--", "sleep", "86421"]).status.code(), Some(0));
    let first = agent(&fleet);
    until(|| is_running("86421"));
    signal(master(&fleet), "KILL");
    until(|| words(first).is_empty());
    until(|| !is_running("86421"));
    fleet.master.take().unwrap().0.wait().unwrap();
    fleet.serve();
    until(|| is_running("86421"));
    let second = agent(&fleet);
    assert_eq!(fleet.master.take().unwrap().terminate(), Some(0));
    assert!(words(second).is_empty(), "it was waited for");
    until(|| !is_running("86421"));
}

fn is_running(argument: &str) -> bool {
    let processes = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    processes.map(words).any(|words| words.first().is_some_and(|program| program.ends_with("sleep")) && words.iter().any(|word| word == argument))
}

#[test]
fn a_crashing_grammar_ends_the_process_that_parses_and_neither_the_agent_nor_the_master() {
    let fleet = Fleet::with(&HYBRID, &[("BITACORA_TEST_ABORT_ON", MARK)]);
    fleet.place.fill(10);
    fleet.place.write("d3/poison.c", format!("int a; /* {MARK} */\n"));
    wait_for_own(&fleet);
    let first = agent(&fleet);
    let found = report(&fleet.begin().wait_with_output().unwrap(), 3);
    assert_eq!(reason(&found, "errors", "d3/poison.c"), Some("quarantined: it ended the process that parsed it"));
    assert_eq!((found["errors"].as_array().unwrap().len(), found["items"].as_array().unwrap().len()), (1, 20));
    assert_eq!(agent(&fleet), first);
    assert!(!words(master(&fleet)).is_empty());
    fleet.place.write("d3/poison.c", "int harmless;\n");
    assert!(item(&outcome(&fleet.begin().wait_with_output().unwrap()), "d3/poison.c").is_some());
}

#[test]
fn the_role_changes_while_it_runs_and_lasts() {
    let mut fleet = Fleet::new();
    grow(&fleet.place);
    let _one = fleet.join("one");
    let role = |fleet: &Fleet, name: &str, role: &str| fleet.place.run(&["node", "role", name, role]).status.code();
    assert_eq!((role(&fleet, "nobody", "hybrid"), role(&fleet, "one", "hybrid"), role(&fleet, "one", "king")), (Some(5), Some(9), Some(2)));
    assert_eq!(fleet.place.run(&["node", "role", "king"]).status.code(), Some(2));
    assert_eq!(agent_of(master(&fleet)), None);
    let machine = fleet_agent::sense::machine_name();
    assert_eq!(role(&fleet, &machine, "hybrid"), Some(0));
    let name = wait_for_own(&fleet);
    let id = fleet.node(&name)["id"].clone();

    let looked = report(&fleet.place.run(&["node", "doctor", &name, "-o", "json"]), 0);
    let identity = looked["items"].as_array().unwrap().iter().find(|item| item["subject"] == "identity").unwrap();
    assert_eq!(identity["verdict"], "good", "{identity}");

    let expected = fleet.local();
    let analysis = fleet.begin();
    until(|| fleet.node(&name)["finished"].as_u64() > Some(0));
    let agent_before = agent(&fleet);
    assert_eq!(role(&fleet, &name, "master"), Some(0));
    assert!(own(&fleet).is_none(), "at once");
    assert_eq!(outcome(&analysis.wait_with_output().unwrap()), expected, "what it had not done was done by another");
    until(|| words(agent_before).is_empty());

    // It is not shown while it runs nothing, and belongs to the fleet all the same.
    assert_eq!(fleet.place.run(&["node", "rm", id.as_str().unwrap(), "--yes"]).status.code(), Some(5));
    // There is only one that changes: it need not be named.
    assert_eq!(fleet.place.run(&["node", "role", "hybrid"]).status.code(), Some(0));
    assert_eq!((wait_for_own(&fleet), &fleet.node(&name)["id"]), (name.clone(), &id), "the same node");
    assert_eq!(fleet.place.run(&["node", "rm", &name, "--yes"]).status.code(), Some(9), "without it there is no fleet");
    fleet.master.take().unwrap().kill();
    fleet.serve();
    assert_eq!(wait_for_own(&fleet), name, "nobody had to say it again");
    assert_eq!(fleet.master.take().unwrap().terminate(), Some(0));
    fleet.serve_with(&["--role", "master"]);
    assert!(own(&fleet).is_none() && agent_of(master(&fleet)).is_none(), "who says it on the command line is right");
    let audit = String::from_utf8(fleet.place.run(&["audit", "ls", "-o", "plain"]).stdout).unwrap();
    assert_eq!(audit.lines().filter(|line| line.contains("role-chosen")).count(), 4, "{audit}");
    assert_eq!(fleet.place.run(&["audit", "verify"]).status.code(), Some(0));
}

#[test]
fn a_master_that_nobody_needs_ends_by_itself() {
    let mut fleet = Fleet::with(&[&HYBRID[..], &["--idle-exit", "5s"]].concat(), &[]);
    fleet.place.fill(3);
    let agent = agent(&fleet);
    assert_eq!(outcome(&fleet.begin().wait_with_output().unwrap()), fleet.local());
    assert_eq!(fleet.master.take().unwrap().0.wait().unwrap().code(), Some(0));
    assert!(words(agent).is_empty());
    assert_eq!(fleet.place.run(&["serve", "--idle-exit", "soon"]).status.code(), Some(2));
}

/// The master that a dashboard started; it ends with the test.
struct Started(u32);

impl Started {
    fn of(place: &Place) -> Started {
        let lock = fs::read_to_string(place.data().join("lock")).unwrap();
        Started(lock.trim().parse().unwrap())
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        signal(self.0, "KILL");
    }
}

#[test]
fn a_dashboard_without_a_master_starts_one_and_the_work_outlives_it() {
    let place = Place::new();
    grow(&place);
    let Some(mut terminal) = Terminal::open_starting(&place, (120, 30)) else { return };
    terminal.see("healthy");
    let started = Started::of(&place);
    assert!(words(started.0).iter().any(|word| word == "--idle-exit"), "{:?}", words(started.0));
    terminal.press(&format!(":analyze {}\r", place.tree().display()));
    let jobs = || report(&place.run(&["job", "ls", "-o", "json"]), 0)["items"].as_array().unwrap().clone();
    until(|| jobs().iter().any(|job| job["sparks_done"].as_u64() > Some(0)));
    terminal.press("q");
    assert_eq!(terminal.end().0, Some(0));
    until(|| jobs()[0]["status"] == "completed");
    assert!(!words(started.0).is_empty());
    let Some(mut again) = Terminal::open_starting(&place, (120, 30)) else { return };
    again.see("healthy");
    again.press("q");
    assert_eq!(again.end().0, Some(0));
    assert_eq!(Started::of(&place).0, started.0, "the one that serves is taken");
    let log = fs::read_to_string(place.data().join("serve.log")).unwrap();
    assert!(log.contains("listening on"), "{log}");
}

#[test]
fn a_token_starts_the_master_that_it_is_for() {
    let place = Place::new();
    let token = place.run(&["node", "token", "one"]);
    assert_eq!(token.status.code(), Some(0), "{}", String::from_utf8_lossy(&token.stderr));
    let started = Started::of(&place);
    assert!(words(started.0).iter().any(|word| word == "--idle-exit"), "{:?}", words(started.0));
    assert_eq!(place.run(&["node", "token", "two"]).status.code(), Some(0));
    assert_eq!(Started::of(&place).0, started.0, "the one that serves is taken");
}

#[test]
fn a_dashboard_that_can_start_no_master_says_why() {
    let place = Place::new();
    fs::create_dir(place.data()).unwrap();
    fs::write(place.data().join("trust"), "in the way").unwrap();
    let Some(terminal) = Terminal::open_starting(&place, (200, 30)) else { return };
    let (code, said) = terminal.end();
    assert_eq!(code, Some(1));
    let said = said.replace('\n', " ");
    assert!(said.contains("no master could be started") && said.contains("serve.log") && said.contains("--no-start"), "{said}");
    assert!(place.data().join("serve.log").exists());
}

#[test]
fn a_command_in_the_way_is_waited_for_and_not_taken_for_a_master() {
    let place = Place::new();
    place.write("one.py", python(1));
    let mut analysis = place.bitacora(&["analyze", place.tree().to_str().unwrap()]);
    let mut analysis = Process(analysis.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let Some(mut terminal) = Terminal::open_starting(&place, (120, 30)) else { return };
    assert!(analysis.0.wait().unwrap().success());
    terminal.see("healthy");
    let _started = Started::of(&place);
    terminal.press("q");
    assert_eq!(terminal.end().0, Some(0));
}

#[test]
fn a_hybrid_whose_records_stay_on_the_nodes_makes_the_same_report() {
    let fleet = Fleet::with(&[&HYBRID[..], &["--results", "nodes"]].concat(), &[]);
    grow(&fleet.place);
    let one = fleet.join("one");
    let name = wait_for_own(&fleet);
    let expected = fleet.local();
    assert_eq!(outcome(&fleet.begin().wait_with_output().unwrap()), expected);
    let did = |node: &str| fleet.node(node)["finished"].as_u64().unwrap();
    assert!(did("one") > 0 && did(&name) > 0, "{} and {}", did("one"), did(&name));
    let packs = |data: &std::path::Path| fleet_agent::blobs::Blobs::open(&data.join("packs")).unwrap().list().unwrap();
    // Of each there are two: with the master's machine and with the other node.
    until(|| packs(&fleet.place.data()) == packs(&fleet.folder("one")) && !packs(&fleet.folder("one")).is_empty());
    one.kill();
    let found = report(&fleet.place.run(&["symbols", "big_3_7", "-o", "json"]), 0);
    assert_eq!(found["items"][0]["fit"], "exact");
    assert_eq!(outcome(&fleet.begin().wait_with_output().unwrap()), expected, "nothing was on the other node alone");
}
