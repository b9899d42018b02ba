//! People's devices: a fleet commanded from elsewhere, by those who may and no further than they may.

use std::{
    fs,
    io::Read,
    process::{Output, Stdio},
};

use serde_json::Value;

use super::{
    dashboard::Terminal,
    fleet::{Fleet, outcome, until},
    support::{Place, Timeless, report},
};

/// A device that has joined the fleet, with a data directory of its own.
pub(super) struct Device(pub(super) Place);

impl Device {
    pub(super) fn join(fleet: &Fleet, name: &str, right: &str) -> Device {
        let device = Device(Place::new());
        device.join_another(fleet, (name, right), "home");
        device
    }

    /// A fleet that this device calls so.
    fn join_another(&self, fleet: &Fleet, (name, right): (&str, &str), called: &str) {
        let token = fleet.place.run(&["node", "token", name, "--operator", right]);
        assert_eq!(token.status.code(), Some(0), "{}", said(&token));
        let file = self.0.path("token");
        fs::write(&file, &token.stdout).unwrap();
        let joined = self.0.run(&["join", &fleet.address, "--join-file", file.to_str().unwrap(), "--as", called]);
        assert_eq!(joined.status.code(), Some(0), "{}", said(&joined));
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.0.run(&[&["--connect", "home"], arguments].concat())
    }

    fn code(&self, arguments: &[&str]) -> Option<i32> {
        self.run(arguments).status.code()
    }

    fn list(&self, arguments: &[&str]) -> Vec<Value> {
        report(&self.run(&[arguments, &["-o", "json"]].concat()), 0)["items"].as_array().unwrap().clone()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_nodes_of_several_fleets_are_one_table() {
    let (home, mut work) = (Fleet::new(), Fleet::new());
    let _nodes = [home.join("one"), work.join("one"), work.join("two")];
    let none = Place::new().run(&["node", "ls", "--all-fleets"]);
    assert!(none.status.code() == Some(5) && said(&none).contains("has joined no fleet"), "{none:?}");
    let device = Device::join(&home, "laptop", "view");
    device.join_another(&work, ("laptop", "view"), "work");
    let listed = |code| {
        let document = report(&device.0.run(&["node", "ls", "--all-fleets", "-o", "json"]), code);
        let schema = report(&device.0.run(&["schema", "nodes"]), 0);
        assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&document), "{document}");
        let items = document["items"].as_array().unwrap().iter();
        items.map(|node| format!("{}/{}", node["fleet"].as_str().unwrap(), node["name"].as_str().unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(listed(0), ["home/one", "work/one", "work/two"]);
    assert_eq!(device.0.run(&["--connect", "home", "node", "ls", "--all-fleets"]).status.code(), Some(2));
    // One that is out of reach takes nothing from the others.
    work.master.take().unwrap().kill();
    assert_eq!(listed(3), ["home/one"]);
    let document = report(&device.0.run(&["node", "ls", "--all-fleets", "-o", "json"]), 3);
    assert_eq!(document["errors"][0]["fleet"], "work");
}

#[test]
fn what_a_token_would_do_is_told_and_it_is_good_afterwards() {
    let (fleet, device) = (Fleet::new(), Place::new());
    let token = fleet.place.run(&["node", "token", "laptop", "--operator", "view"]);
    let file = device.path("token");
    fs::write(&file, &token.stdout).unwrap();
    let join = |more: &[&str]| device.run(&[&["join", &fleet.address, "--join-file", file.to_str().unwrap(), "--as", "home"], more].concat());
    let planned = join(&["--dry-run"]);
    assert!(planned.status.code() == Some(10) && said(&planned).contains("called home here"), "{planned:?}");
    assert_eq!((join(&[]).status.code(), join(&["--dry-run"]).status.code()), (Some(0), Some(9)));
}

#[test]
fn a_token_is_spent_at_the_master_that_made_it_alone() {
    let (home, other, device) = (Fleet::new(), Fleet::new(), Place::new());
    let token = |fleet: &Fleet| fleet.place.run(&["node", "token", "laptop", "--operator", "view"]).stdout;
    let file = device.path("token");
    fs::write(&file, token(&home)).unwrap();
    // So that it listens for whoever joins.
    token(&other);
    let joined = device.run(&["join", &other.address, "--join-file", file.to_str().unwrap()]);
    assert!(joined.status.code() == Some(4) && said(&joined).contains("not the master that made this token"), "{joined:?}");
    assert_eq!(device.run(&["join", &home.address, "--join-file", file.to_str().unwrap()]).status.code(), Some(0), "it is good all the same");
}

#[test]
fn from_one_dashboard_a_person_goes_to_that_of_another_fleet() {
    let (home, work) = (Fleet::new(), Fleet::new());
    let _nodes = [home.join("anvil"), work.join("bellows")];
    let device = Device::join(&home, "laptop", "operate");
    device.join_another(&work, ("laptop", "operate"), "work");
    let Some(mut terminal) = Terminal::open_with(&device.0, (100, 30), &[], &["--connect", "home"]) else { return };
    terminal.see("anvil");
    terminal.press("8");
    terminal.see("bellows");
    terminal.press("/bellows\ra");
    terminal.see("work ● live");
    terminal.see("bellows");
    let arguments = fs::read_to_string(format!("/proc/{}/cmdline", terminal.process())).unwrap();
    assert!(arguments.contains("\0--connect=work\0"), "in the process that a shell waits for: {arguments:?}");
    // What is done there is done there.
    terminal.press("c");
    terminal.see("bellows cordoned");
    let listed = report(&work.place.run(&["node", "ls", "-o", "json"]), 0);
    assert_eq!(listed["items"][0]["availability"], "cordoned");
    terminal.press("q");
    assert_eq!(terminal.end().0, Some(0));
}

#[test]
fn a_viewer_looks_and_does_not_touch() {
    let fleet = Fleet::new();
    let _one = fleet.join_with("one", &["--program", "true"]);
    let device = Device::join(&fleet, "phone", "view");
    let nodes = device.list(&["node", "ls"]);
    assert_eq!((nodes.len(), &nodes[0]["name"]), (1, &Value::from("one")));
    assert_eq!(device.list(&["node", "show", "one"])[0]["name"], "one");
    assert_eq!(device.code(&["wait", "one", "--for", "healthy", "--timeout", "60"]), Some(0));
    let events = String::from_utf8(device.run(&["events", "-o", "ndjson"]).stdout).unwrap();
    assert!(events.contains("operator-paired"), "{events}");
    let records = device.list(&["audit", "ls"]);
    assert_eq!(records, report(&fleet.place.run(&["audit", "ls", "-o", "json"]), 0)["items"].as_array().unwrap().clone(), "the same from here and there");
    assert_eq!(device.code(&["audit", "verify"]), Some(0));
    for touch in [
        &["node", "cordon", "one"][..],
        &["node", "label", "one", "a=b"],
        &["node", "rm", "one", "--yes"],
        &["node", "shutdown", "one", "--yes", "--reason", "x"],
        &["node", "token", "two"],
        &["spark", "run", "true"],
        &["node", "right", "phone", "admin"],
        &["config", "push", "one", "/dev/null"],
    ] {
        let refused = device.run(touch);
        assert_eq!(refused.status.code(), Some(9), "{touch:?}: {}", said(&refused));
        assert!(said(&refused).contains("this device may view and not"), "{touch:?}: {}", said(&refused));
    }
    assert_eq!(fleet.nodes()[0]["availability"], "active");
    let records = device.list(&["audit", "ls"]);
    let refused = records.iter().filter(|record| record["action"] == "deed-refused" && record["outcome"] == "refused");
    let by = report(&fleet.place.run(&["node", "ls", "--operators", "-o", "json"]), 0)["items"][0]["id"].as_str().unwrap().to_owned();
    let named: Vec<&Value> = refused.map(|record| &record["by"]).collect();
    assert!(named.len() >= 5 && named.iter().all(|name| **name == format!("operator {by}")), "{records:?}");
}

#[test]
fn an_operator_has_work_done_and_does_not_let_anybody_in() {
    let fleet = Fleet::new();
    let _one = fleet.join_with("one", &["--program", "echo"]);
    let device = Device::join(&fleet, "laptop", "operate");
    let ran = device.run(&["spark", "run", "echo", "hello", "from", "afar"]);
    assert_eq!((ran.status.code(), String::from_utf8_lossy(&ran.stdout).as_ref()), (Some(0), "hello from afar\n"), "{}", said(&ran));
    let jobs = device.list(&["job", "ls"]);
    assert_eq!((jobs.len(), &jobs[0]["status"]), (1, &Value::from("completed")));
    let sparks = device.list(&["job", "show", jobs[0]["id"].as_str().unwrap()]);
    assert_eq!((sparks.len(), &sparks[0]["status"], &sparks[0]["command"]), (1, &Value::from("completed"), &Value::from("echo hello from afar")));
    let log = device.run(&["spark", "logs", sparks[0]["id"].as_str().unwrap()]);
    assert_eq!(String::from_utf8_lossy(&log.stdout), "hello from afar\n");
    assert_eq!(device.code(&["node", "cordon", "one"]), Some(0));
    assert_eq!(fleet.nodes()[0]["availability"], "cordoned");
    for touch in [
        &["node", "rm", "one", "--yes"][..],
        &["node", "token", "two"],
        &["node", "rm", "laptop", "--yes"],
        &["node", "right", "laptop", "view"],
        &["config", "push", "one", "/dev/null"],
    ] {
        assert_eq!(device.code(touch), Some(9), "{touch:?}");
    }
    let cordoned = device.list(&["audit", "ls"]).into_iter().find(|record| record["action"] == "node-commanded").unwrap();
    assert!(cordoned["by"].as_str().unwrap().starts_with("operator n"), "{cordoned}");
    // What reads the master's own disk says so.
    let refused = device.run(&["cache", "stats"]);
    assert!(refused.status.code() == Some(2) && said(&refused).contains("run it there"), "{}", said(&refused));
    assert_eq!(fleet.place.run(&["node", "right", "laptop", "view"]).status.code(), Some(0));
    assert_eq!(device.code(&["node", "uncordon", "one"]), Some(9), "its right was taken back");
    assert_eq!(fleet.place.run(&["node", "right", "laptop", "admin"]).status.code(), Some(9), "more than its certificate permits");
}

#[test]
fn a_device_of_one_project_and_a_node_of_one_device_keep_to_it() {
    let fleet = Fleet::new();
    fleet.place.fill(3);
    let tree = fleet.place.tree();
    let add = |name: &str| {
        let folder = fleet.place.path(name);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("a.py"), "def f(): pass\n").unwrap();
        assert_eq!(fleet.place.run(&["project", "add", folder.to_str().unwrap()]).status.code(), Some(0));
    };
    add("ours");
    add("theirs");
    let device = Device::join(&fleet, "phone", "operate");
    let limited = fleet.place.run(&["node", "right", "phone", "operate", "--only-project", "ours"]);
    assert_eq!(limited.status.code(), Some(0), "{}", said(&limited));
    let devices = report(&fleet.place.run(&["node", "ls", "--operators", "-o", "json"]), 0);
    assert_eq!(devices["items"][0]["projects"], serde_json::json!(["ours"]));
    assert_eq!(fleet.place.run(&["node", "right", "phone", "operate", "--only-project", "nobody's"]).status.code(), Some(5));

    // A node that works for another device leaves what this one wants to whoever takes it.
    let _one = fleet.join_with("one", &["--only-device", "tablet"]);
    let submitted = device.run(&["analyze", "ours", "--detach"]);
    let job = String::from_utf8(submitted.stdout.clone()).unwrap().trim().to_owned();
    assert_eq!(submitted.status.code(), Some(0), "{}", said(&submitted));
    until(|| String::from_utf8_lossy(&device.run(&["job", "explain", &job]).stdout).contains("--only-device"));
    assert_eq!(device.list(&["job", "ls"])[0]["by"], "operator phone");
    assert_eq!(report(&fleet.place.run(&["node", "show", "one", "-o", "json"]), 0)["items"][0]["only_devices"], serde_json::json!(["tablet"]));
    let _two = fleet.join_with("two", &["--only-device", "phone", "--only-project", "ours", "--program", "true"]);
    assert_eq!(device.code(&["wait", &job, "--for", "completed", "--timeout", "60"]), Some(0));
    assert_eq!(fleet.node("one")["finished"], 0);

    for other in [
        &["analyze", "theirs"][..],
        &["project", "show", "theirs"],
        &["symbols", "f"],
        &["project", "assign", "theirs", "one"],
        &["node", "cordon", "one"],
        &["spark", "run", "true"],
    ] {
        let refused = device.run(other);
        assert!(refused.status.code() == Some(9) && said(&refused).contains("act on ours alone"), "{other:?}: {}", said(&refused));
    }
    assert_eq!(device.code(&["project", "show", "ours"]), Some(0));
    assert_eq!(device.code(&["symbols", "f", "--project", "ours"]), Some(0));
    // Whoever has the master's own machine is heard, and still not for what is about another project, or about none.
    let mut waits = fleet.place.bitacora(&["analyze", tree.to_str().unwrap(), "--nodes", "two", "--timeout", "3"]);
    assert_eq!(waits.output().unwrap().status.code(), Some(6));
    let job = fleet.jobs().last().unwrap()["id"].as_str().unwrap().to_owned();
    let theirs = fleet.place.run(&["spark", "run", "--nodes", "two", "--detach", "true"]);
    assert_eq!(theirs.status.code(), Some(0), "{}", said(&theirs));
    let job_of_none = fleet.jobs().last().unwrap()["id"].as_str().unwrap().to_owned();
    assert_ne!(job, job_of_none);
    until(|| String::from_utf8_lossy(&fleet.place.run(&["job", "explain", &job_of_none]).stdout).contains("--only-project"));
}

#[test]
fn results_are_read_from_elsewhere_as_they_are_there() {
    let fleet = Fleet::new();
    let _one = fleet.join("one");
    fleet.place.fill(5);
    fleet.place.write("odd/na\tme.py", "def odd(): pass\n");
    let device = Device::join(&fleet, "laptop", "operate");
    let tree = fleet.place.tree();
    let refused = device.run(&["analyze", tree.to_str().unwrap()]);
    assert!(refused.status.code() == Some(9) && said(&refused).contains("this device may operate"), "{}", said(&refused));
    let expected = fleet.local();
    outcome(&fleet.begin().wait_with_output().unwrap());
    let name = device.list(&["project", "ls"])[0]["name"].as_str().unwrap().to_owned();
    // A project that is there already may be analysed again, by its name or its folder.
    fleet.place.write("new.py", "def added(): pass\n");
    assert_ne!(outcome(&device.run(&["analyze", &name, "-o", "json"])), expected);
    assert_eq!(outcome(&device.run(&["analyze", tree.to_str().unwrap(), "-o", "json"])), fleet.local());
    let unknown = device.run(&["analyze", "nowhere"]);
    assert!(unknown.status.code() == Some(2) && said(&unknown).contains("there is no project nowhere"), "{}", said(&unknown));
    for read in [
        &["symbols", "added"][..],
        &["symbols", "--source", "--project", &name, "--", "added"],
        &["symbols", "--limit", "2", "f"],
        &["symbols", "no_such_thing"],
        &["symbols", "--", "--limit"],
        &["symbols", "added", "--project", "nobody"],
        &["metrics", "-o", "name"],
        &["metrics", &name, "--limit", "2"],
        &["deps", &name, "--limit", "2"],
        &["deps", "--cycles", "-o", "ndjson"],
        &["project", "show", &name],
        &["project", "show", "nobody"],
    ] {
        let (there, here) = (fleet.place.run(read), device.run(read));
        assert_eq!((here.status.code(), said(&here)), (there.status.code(), said(&there)), "{read:?}");
        assert_eq!(String::from_utf8_lossy(&here.stdout), String::from_utf8_lossy(&there.stdout), "{read:?}");
    }
    let file = device.0.path("report.json");
    assert_eq!(device.code(&["analyze", &name, "-o", "json", "--out", file.to_str().unwrap()]), Some(0));
    assert_eq!(Timeless::of(&fs::read(file).unwrap()), fleet.local());
    let detached = String::from_utf8(device.run(&["analyze", &name, "--detach"]).stdout).unwrap();
    assert_eq!(device.code(&["wait", detached.trim(), "--for", "completed", "--timeout", "60"]), Some(0));
    // One who may look reads too.
    let viewer = Device::join(&fleet, "phone", "view");
    assert_eq!(viewer.list(&["symbols", "added"]).len(), 1);
    assert_eq!(viewer.code(&["analyze", &name]), Some(9));
}

#[test]
fn an_admin_lets_devices_in_and_a_removed_one_is_out() {
    let fleet = Fleet::new();
    let admin = Device::join(&fleet, "desk", "admin");
    let viewer = Device::join(&fleet, "phone", "view");
    assert_eq!(admin.code(&["node", "token", "two"]), Some(0));
    let operators = report(&admin.run(&["node", "ls", "--operators", "-o", "json"]), 0);
    let schema = report(&fleet.place.run(&["schema", "operators"]), 0);
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&operators), "{operators}");
    assert_eq!(operators["items"].as_array().unwrap().len(), 2);
    let mut follows = viewer.0.bitacora(&["--connect", "home", "events", "--follow"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 1];
    follows.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    assert_eq!(admin.code(&["node", "rm", "phone"]), Some(9), "it asks for --yes");
    assert_eq!(admin.code(&["node", "rm", "phone", "--yes"]), Some(0));
    // It was connected: its command ends because the link is cut, and no new one is opened.
    assert!(matches!(follows.wait().unwrap().code(), Some(4 | 7)));
    let refused = viewer.run(&["node", "ls"]);
    assert_eq!(refused.status.code(), Some(4), "{}", said(&refused));
    assert_eq!(admin.code(&["node", "ls"]), Some(0));
}

#[test]
fn tokens_are_for_one_kind_and_fleets_have_names() {
    let mut fleet = Fleet::new();
    let device = Device::join(&fleet, "phone", "view");
    let place = &device.0;
    let (person, node) = (place.path("person"), place.path("node"));
    fs::write(&person, fleet.place.run(&["node", "token", "tablet", "--operator", "view"]).stdout).unwrap();
    fs::write(&node, fleet.token("one")).unwrap();
    let join = |file: &std::path::Path, name: &str| place.run(&["join", &fleet.address, "--join-file", file.to_str().unwrap(), "--as", name]).status.code();
    assert_eq!(join(&person, "home"), Some(9), "there is a fleet of that name");
    assert_eq!(join(&node, "other"), Some(4), "it is for a node");
    let agent = fleet.agent("one").arg("--join-file").arg(&person).status().unwrap();
    assert_eq!(agent.code(), Some(1), "it is for a person");
    assert_eq!(join(&person, "other"), Some(0), "and none of that spent it");
    assert_eq!(place.run(&["--connect", "nowhere", "node", "ls"]).status.code(), Some(5));
    assert_eq!(place.run(&["--connect", "other", "node", "ls"]).status.code(), Some(0));
    // By where its master is, too.
    assert_eq!(place.run(&["--connect", &fleet.address, "node", "ls"]).status.code(), Some(0));
    fleet.master.take().unwrap().kill();
    assert_eq!(device.code(&["node", "ls"]), Some(7), "nobody is there");
    fleet.serve();
    until(|| device.code(&["node", "ls"]) == Some(0));
}
