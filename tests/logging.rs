//! What the programs say of their work to whoever operates them.

use std::{
    fs::{self, File},
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

use super::{
    fleet::{Fleet, Process, until},
    support::Place,
};

/// Each line is an object, whatever was said.
fn events(log: &Path) -> Vec<Value> {
    let said = fs::read_to_string(log).unwrap();
    let whole = said.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn signal(process: u32, name: &str) {
    assert!(Command::new("kill").args([format!("-{name}"), process.to_string()]).status().unwrap().success());
}

#[test]
fn an_agent_says_what_it_does_and_more_of_it_while_it_runs() {
    let fleet = Fleet::new();
    drop(fleet.join("one"));
    let log = fleet.place.path("agent.log");
    let mut agent = fleet.agent("one");
    agent.args(["--log-format", "json", "--program", "true", "--program", "false"]).stderr(File::create(&log).unwrap());
    let agent = Process(agent.spawn().unwrap());
    let of_sparks = || events(&log).into_iter().filter(|event| event["spark"].is_string()).collect::<Vec<_>>();
    let run = |program: &str, code: i32| assert_eq!(fleet.place.run(&["spark", "run", "--", program]).status.code(), Some(code));
    until(|| events(&log).iter().any(|event| event["message"].as_str().is_some_and(|message| message.starts_with("linked with the master"))));
    run("true", 0);
    assert_eq!(of_sparks(), Vec::<Value>::new(), "that much is not said");
    let file = fleet.place.path("pushed.toml");
    fs::write(&file, "log = \"debug\"").unwrap();
    assert_eq!(fleet.place.run(&["config", "push", "one", file.to_str().unwrap()]).status.code(), Some(0));
    run("true", 0);
    until(|| of_sparks().len() >= 2);
    let [begun, done] = &of_sparks()[..] else { panic!("{:?}", of_sparks()) };
    assert_eq!((&begun["message"], &done["message"], &begun["level"]), (&"begins".into(), &"is done".into(), &"DEBUG".into()));
    assert!(begun["attempt"] == 1 && begun["spark"].as_str().unwrap().starts_with(begun["job"].as_str().unwrap()), "{begun}");
    // One step less: what went well is not said.
    let changes = || events(&log).iter().filter_map(|event| event["verbosity"].as_str().map(str::to_owned)).collect::<Vec<_>>();
    signal(agent.0.id(), "USR2");
    until(|| changes() == ["debug", "info"]);
    run("true", 0);
    assert_eq!(of_sparks().len(), 2);
    signal(agent.0.id(), "USR1");
    until(|| changes() == ["debug", "info", "debug"]);
}

#[test]
fn a_master_says_what_its_journal_has() {
    let place = Place::new();
    let log = place.path("master.log");
    let serve = ["serve", "--listen", "127.0.0.1:0", "--role", "hybrid", "--no-discovery", "--program", "true", "--log", "debug", "--log-format", "json"];
    let serving = place.bitacora(&serve).stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log).unwrap()).spawn().unwrap();
    let _serving = Process(serving);
    until(|| !place.run(&["node", "ls", "-o", "name"]).stdout.is_empty());
    assert_eq!(place.run(&["spark", "run", "--", "true"]).status.code(), Some(0));
    let kinds = |kind: &str| events(&log).into_iter().find(|event| event["kind"] == kind);
    until(|| kinds("job-completed").is_some());
    let (accepted, started) = (kinds("job-accepted").unwrap(), kinds("spark-started").unwrap());
    assert_eq!((&accepted["job"], &started["attempt"], &started["level"]), (&started["job"], &1.into(), &"DEBUG".into()));
    assert!(
        events(&log).iter().any(|event| event["message"].as_str().is_some_and(|message| message.starts_with("listening on"))),
        "what people are told is an event too"
    );
}
