//! What a person can do to a node, on real agents: label it, choose it, empty it, stop it, end it.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Output, Stdio},
};

use bitacora::control::{self, Answer, Request, watch::Watch};
use bitacora_core::wire::{
    FromAgent,
    configuration::{ConfigurationOutcome, ConfigurationReport},
    node::NodeProfile,
};
use serde_json::{Value, json};

use super::{
    fleet::{Fleet, Process, place_of, until},
    puppet::{Node, runtime},
    support::report,
};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn node(fleet: &Fleet, arguments: &[&str]) -> Output {
    fleet.place.run(&[&["node"], arguments].concat())
}

fn done(fleet: &Fleet, arguments: &[&str]) -> String {
    let output = node(fleet, arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stderr)
}

/// Begins a command that ends by itself long after its test; its argument is what it is found by.
fn begin(fleet: &Fleet, seconds: &str) -> String {
    let output = fleet.place.run(&["spark", "run", "--detach", "--", "sleep", seconds]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout).trim().to_owned()
}

fn holds(fleet: &Fleet, name: &str) -> usize {
    fleet.node(name)["holds"].as_array().unwrap().len()
}

fn is_running(argument: &str) -> bool {
    let of = |entry: std::io::Result<fs::DirEntry>| fs::read(entry.ok()?.path().join("cmdline")).ok();
    fs::read_dir("/proc").unwrap().filter_map(of).any(|line| line.split(|byte| *byte == 0).any(|word| word == argument.as_bytes()))
}

fn sleepers(fleet: &Fleet) -> (Process, Process) {
    let program = ["--program", "sleep", "--leave-max", "0"];
    (fleet.join_with("one", &program), fleet.join_with("two", &program))
}

#[test]
fn a_drained_node_says_what_it_waits_for_and_gives_the_rest_to_others() {
    let fleet = Fleet::new();
    let _agents = sleepers(&fleet);
    done(&fleet, &["cordon", "two"]);
    begin(&fleet, "86411");
    until(|| holds(&fleet, "one") == 1);
    done(&fleet, &["uncordon", "two"]);
    done(&fleet, &["drain", "one", "--detach", "--deadline", "1h"]);
    let waiting = fleet.node("one");
    assert_eq!((&waiting["availability"], &waiting["cause"]["kind"]), (&json!("draining"), &json!("draining")), "it is left to finish");
    let said = done(&fleet, &["drain", "one", "--deadline", "1s"]);
    assert!(said.contains("waits for 1 spark: ") && said.contains("what is left is moved at") && said.contains("is drained"), "{said}");
    assert_eq!((holds(&fleet, "one"), holds(&fleet, "two")), (0, 1));
    let (one, two) = (fleet.node("one"), fleet.node("two"));
    assert_eq!((&one["availability"], &one["cause"]["kind"], &one["failed"], &two["failed"]), (&json!("cordoned"), &json!("drained"), &json!(0), &json!(0)));
    assert_eq!(two["holds"][0]["attempt"], 2);
    assert_eq!(node(&fleet, &["drain", "nobody"]).status.code(), Some(5));
    assert_eq!(node(&fleet, &["drain", "one", "--deadline", "soon"]).status.code(), Some(2));
}

#[test]
fn work_goes_to_the_nodes_that_were_asked_for() {
    let fleet = Fleet::new();
    fleet.place.fill(4);
    let _one = fleet.join_with("one", &["--label", "zone=eu", "--label", "disk=ssd", "--specialise", "parsing,metrics-calculation"]);
    let _two = fleet.join_with("two", &["--label", "zone=eu"]);
    done(&fleet, &["label", "two", "zone=us", "old=1"]);
    done(&fleet, &["label", "two", "old-"]);
    let (one, two) = (fleet.node("one"), fleet.node("two"));
    assert_eq!((&one["labels"], &two["labels"]), (&json!({"zone": "eu", "disk": "ssd"}), &json!({"zone": "us"})), "the master's word wins");
    assert_eq!(one["specialisations"], json!(["parsing", "metrics-calculation"]));
    let tree = fleet.place.tree();
    let mut analysis = fleet.place.bitacora(&["analyze", tree.to_str().unwrap(), "--nodes", "zone=mars", "-o", "json"]);
    let analysis = analysis.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until(|| !fleet.jobs().is_empty());
    let job = fleet.jobs()[0]["id"].as_str().unwrap().to_owned();
    let reasons = || text(&fleet.place.run(&["job", "explain", &job]).stdout);
    until(|| reasons().contains("zone=mars"));
    done(&fleet, &["label", "two", "zone=mars"]);
    report(&analysis.wait_with_output().unwrap(), 0);
    assert_eq!((&fleet.node("one")["finished"], fleet.node("two")["finished"].as_u64() > Some(0)), (&json!(0), true));
    for (change, code) in [("zone", 2), ("zone-=x", 2), ("-", 2), ("zone=a b", 2)] {
        assert_eq!(node(&fleet, &["label", "two", "--", change]).status.code(), Some(code), "{change}");
    }
    let alone = super::support::Place::new();
    alone.fill(1);
    assert_eq!(alone.run(&["analyze", alone.tree().to_str().unwrap(), "--nodes", "one"]).status.code(), Some(2), "there is no fleet");
}

#[test]
fn an_agent_that_is_told_to_end_hands_its_work_over_before_it_does() {
    let fleet = Fleet::new();
    let (one, _two) = sleepers(&fleet);
    done(&fleet, &["cordon", "two"]);
    begin(&fleet, "86412");
    until(|| holds(&fleet, "one") == 1);
    done(&fleet, &["uncordon", "two"]);
    assert_eq!(one.terminate(), Some(0));
    // Not waited for: the master has given it away before it let the agent go.
    let gone = fleet.node("one");
    assert_eq!((&gone["health"], &gone["failed"], &gone["holds"]), (&json!("offline"), &json!(0), &json!([])));
    assert_eq!(fleet.node("two")["holds"][0]["attempt"], 2);
}

#[test]
fn whoever_begins_to_watch_is_told_of_the_last_minute() {
    let fleet = Fleet::new();
    let _one = fleet.join("one");
    until(|| {
        let asked = control::ask(&fleet.place.data().join("control"), &Request::Watch(Watch { watcher: 1, ..Watch::default() }));
        let Ok(Some(Answer::News(news))) = asked else { panic!("{asked:?}") };
        let [(_, history)] = &news.histories[..] else { return false };
        history.newest(60, news.at.0 / 1_000_000).count() > 1
    });
}

#[test]
fn what_doctor_says_fits_its_schema() {
    let fleet = Fleet::new();
    let document = report(&fleet.agent("one").args(["doctor", "-o", "json"]).stdout(Stdio::piped()).output().unwrap(), 0);
    let schema = report(&fleet.place.run(&["schema", "doctor"]), 0);
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&document), "{document}");
    fleet.join("one").kill();
    let said = text(&fleet.agent("one").arg("doctor").stdout(Stdio::piped()).output().unwrap().stdout);
    assert!(said.contains("clock: it is as the master's"), "{said}");
    assert_eq!(node(&fleet, &["doctor", "one"]).status.code(), Some(9), "it has no link");
    assert_eq!(node(&fleet, &["doctor", "two"]).status.code(), Some(5));
    let _one = Process(fleet.agent("one").spawn().unwrap());
    fleet.wait_for("one", "healthy");
    let document = report(&node(&fleet, &["doctor", "one", "-o", "json"]), 0);
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&document), "{document}");
    let id = fleet.node("one")["id"].as_str().unwrap().to_owned();
    let is_identity = |item: &Value| item["subject"] == "identity" && item["found"].as_str().unwrap().contains(&id);
    assert!(document["items"].as_array().unwrap().iter().any(is_identity), "{document}");
}

#[test]
fn an_emergency_stops_all_work_and_says_why() {
    let fleet = Fleet::new();
    fleet.join_with("one", &["--program", "sleep"]).kill();
    let mut agent = Process(fleet.agent("one").args(["--program", "sleep"]).stderr(Stdio::piped()).spawn().unwrap());
    let stderr = BufReader::new(agent.0.stderr.take().unwrap());
    fleet.wait_for("one", "healthy");
    begin(&fleet, "86413");
    until(|| is_running("86413"));
    let refused = node(&fleet, &["shutdown", "one"]);
    assert_eq!(refused.status.code(), Some(9), "nobody is there to type its name");
    assert!(text(&refused.stderr).contains("--yes"));
    assert_eq!(node(&fleet, &["shutdown", "--all", "--dry-run"]).status.code(), Some(10));
    assert_eq!(node(&fleet, &["shutdown", "--yes", "nobody"]).status.code(), Some(5));
    assert!(is_running("86413"), "nothing has happened yet");
    done(&fleet, &["shutdown", "one", "--yes", "--reason", "smoke in the rack"]);
    until(|| !is_running("86413"));
    assert!(stderr.lines().map(Result::unwrap).any(|line| line.contains("smoke in the rack")));
    let stopped = fleet.node("one");
    assert_eq!((&stopped["linked"], &stopped["availability"], &stopped["cause"]["kind"]), (&json!(true), &json!("cordoned"), &json!("stopped")));
    assert_eq!(stopped["cause"]["reason"], "smoke in the rack");
    let listed = text(&node(&fleet, &["ls", "-o", "table"]).stdout);
    assert!(listed.contains("smoke in the rack"), "{listed}");
    let nodes: Value = report(&node(&fleet, &["ls", "-o", "json"]), 0);
    let schema = report(&fleet.place.run(&["schema", "nodes"]), 0);
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&nodes), "{nodes}");
    done(&fleet, &["uncordon", "one"]);
    until(|| is_running("86413"));
}

#[test]
fn a_pushed_configuration_is_lived_by_at_once_and_after_a_restart() {
    let fleet = Fleet::new();
    let own = ["--changeable", "label,cores", "--label", "zone=eu", "--program", "sleep"];
    let one = fleet.join_with("one", &own);
    let file = fleet.place.path("pushed.toml");
    let push = |content: &str| {
        fs::write(&file, content).unwrap();
        fleet.place.run(&["config", "push", "one", file.to_str().unwrap()])
    };
    let pushed = push("label = [\"zone=us\"]\ncores = 3\n");
    assert_eq!(pushed.status.code(), Some(0), "{}", text(&pushed.stderr));
    let lived = || (fleet.node("one")["labels"].clone(), fleet.node("one")["slots"].clone());
    assert_eq!(lived(), (json!({"zone": "us"}), json!(3)), "at once");
    let sleepers = ["86421", "86422", "86423"];
    sleepers.iter().for_each(|seconds| drop(begin(&fleet, seconds)));
    until(|| sleepers.iter().all(|seconds| is_running(seconds)));
    let nothing_has_changed = || (lived(), fleet.folder("one").join("configuration.before").exists());
    for (content, code, why) in [
        ("leave-max = 5", 9, "leave-max"),
        ("\nprogram = [\"sh\"]", 2, "line 2"),
        ("label = []\ncores = 0", 2, "line 2"),
        ("label = [\"a b\"]", 2, "is no label"),
        ("cores", 2, "line 1"),
    ] {
        let refused = push(content);
        assert!(refused.status.code() == Some(code) && text(&refused.stderr).contains(why), "{content}: {}", text(&refused.stderr));
        assert_eq!(nothing_has_changed(), ((json!({"zone": "us"}), json!(3)), false), "{content}");
    }
    fs::write(&file, "").unwrap();
    assert_eq!(fleet.place.run(&["config", "push", "nobody", file.to_str().unwrap()]).status.code(), Some(5));
    assert_eq!(fleet.node("one")["changeable"], json!(["label", "cores"]));
    one.kill();
    // What is given to a link that is believed to be there is lost with it.
    until(|| fleet.node("one")["linked"] == false);
    let _one = Process(fleet.agent("one").args(own).spawn().unwrap());
    until(|| fleet.node("one")["linked"] == true && lived() == (json!({"zone": "us"}), json!(3)));
    assert_eq!(push("").status.code(), Some(0));
    assert_eq!(lived(), (json!({"zone": "eu"}), json!(1)), "as its owner configured it");
    let audited = text(&fleet.place.run(&["audit", "ls", "-o", "plain"]).stdout);
    assert!(audited.contains("config push label,cores"), "{audited}");
}

/// A node in the test's hands takes what it is given and dies of it.
#[test]
fn a_node_that_dies_of_what_was_pushed_is_told_to_have_gone_back() {
    let fleet = Fleet::new();
    let identity = place_of(&fleet, "one");
    let file = fleet.place.path("pushed.toml");
    fs::write(&file, "cores = 2").unwrap();
    let begin_to_push = || fleet.place.bitacora(&["config", "push", "one", file.to_str().unwrap()]).stderr(Stdio::piped()).spawn().unwrap();
    let profile = || NodeProfile { changeable: vec!["cores".into()], ..NodeProfile::default() };
    runtime().block_on(async {
        let mut node = Node::link(&fleet, &identity).await;
        node.say_hello(&[], profile()).await;
        until(|| fleet.node("one")["linked"] == true);
        let pushing = begin_to_push();
        let revision = node.update().await;
        node.say(FromAgent::Configuration(ConfigurationReport { revision, outcome: ConfigurationOutcome::Applied })).await;
        assert_eq!(fleet.place.run(&["config", "push", "one", file.to_str().unwrap()]).status.code(), Some(9), "one at a time");
        node.begin_another_life();
        node.say_hello(&[], profile()).await;
        let pushed = pushing.wait_with_output().unwrap();
        assert!(pushed.status.code() == Some(8) && text(&pushed.stderr).contains("went back"), "{}", text(&pushed.stderr));
        let pushing = begin_to_push();
        let revision = node.update().await;
        let reason = "no\x1b[2J room".to_owned();
        node.say(FromAgent::Configuration(ConfigurationReport { revision, outcome: ConfigurationOutcome::Refused { reason } })).await;
        let pushed = pushing.wait_with_output().unwrap();
        let said = text(&pushed.stderr);
        assert!(pushed.status.code() == Some(9) && said.contains("room") && !said.contains('\x1b'), "{said:?}");
    });
}

/// How nice a thread of a process is, by the thread's name; the process's first one by none.
fn niceness(process: u32, thread: Option<&str>) -> i32 {
    let of = |folder: std::path::PathBuf| {
        let name = fs::read_to_string(folder.join("comm")).ok()?;
        let stat = fs::read_to_string(folder.join("stat")).ok()?;
        let nice = stat.rsplit_once(") ")?.1.split(' ').nth(16)?.parse().ok()?;
        thread.is_none_or(|thread| name.trim() == thread).then_some(nice)
    };
    let own = format!("/proc/{process}/task/{process}");
    match thread {
        None => of(own.into()).unwrap(),
        Some(_) => fs::read_dir(format!("/proc/{process}/task")).unwrap().find_map(|task| of(task.ok()?.path())).unwrap(),
    }
}

#[test]
fn commands_keep_to_what_their_node_allows_and_give_way() {
    let fleet = Fleet::new();
    let [shared, other] = ["shared", "other"].map(|name| std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id())));
    [&shared, &other].iter().for_each(|folder| fs::create_dir_all(folder).unwrap());
    let one = fleet.join_with("one", &["--program", "sh", "--memory", "128", "--writable", shared.to_str().unwrap()]);
    let before = niceness(std::process::id(), None);
    until(|| niceness(one.0.id(), Some("worker-0")) == before.max(10));
    assert_eq!(niceness(one.0.id(), Some("agent")), before, "whoever sends heartbeats waits for nobody");
    let run = |script: &str| fleet.place.run(&["spark", "run", "--tries", "1", "--", "sh", "-c", script]);
    let said = run(&format!("ulimit -v; nice; echo own > $TMPDIR/x && cat x; echo shared > {0}/x && cat {0}/x", shared.display()));
    assert_eq!((said.status.code(), text(&said.stdout)), (Some(0), format!("125000\n{}\nown\nshared\n", before.max(10))), "{}", text(&said.stderr));
    let refused = run(&format!("echo other > {}/x", other.display()));
    assert_eq!((refused.status.code(), other.join("x").exists()), (Some(8), false), "{}", text(&refused.stderr));
    let greedy = run("x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo ${#x}");
    assert_eq!(greedy.status.code(), Some(8), "{}", text(&greedy.stdout));
    [shared, other].iter().for_each(|folder| fs::remove_dir_all(folder).unwrap());
}
