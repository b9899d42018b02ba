//! Commands as sparks, on real agents: what they write, how they end, what they wait for, and that nothing of them is left.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Output, Stdio},
    thread,
};

use serde_json::Value;

use super::{
    fleet::{Fleet, Process, until},
    support::{Place, report},
};

const PROGRAMS: [&str; 8] = ["--program", "sh", "--program", "sleep", "--program", "env", "--program", "/no/such/program"];

fn fleet() -> (Fleet, Process) {
    let fleet = Fleet::new();
    let agent = fleet.join_with("one", &PROGRAMS);
    (fleet, agent)
}

fn spark(fleet: &Fleet, arguments: &[&str]) -> Output {
    fleet.place.run(&[&["spark"], arguments].concat())
}

fn detached(fleet: &Fleet, arguments: &[&str]) -> String {
    let output = spark(fleet, &[&["run", "--detach"], arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout).trim().to_owned()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn shown(fleet: &Fleet, id: &str) -> Value {
    let output = report(&spark(fleet, &["show", id, "-o", "json"]), 0);
    let schema = report(&fleet.place.run(&["schema", "sparks"]), 0);
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&output), "{output}");
    output["items"][0].clone()
}

fn status(fleet: &Fleet, job: &str) -> Value {
    fleet.jobs().iter().find(|known| known["id"] == job).unwrap()["status"].clone()
}

/// Is a process of this command line running?
fn runs(argument: &str) -> bool {
    let of = |entry: std::io::Result<fs::DirEntry>| fs::read(entry.ok()?.path().join("cmdline")).ok();
    fs::read_dir("/proc").unwrap().filter_map(of).any(|line| line.split(|byte| *byte == 0).any(|word| word == argument.as_bytes()))
}

#[test]
fn a_command_runs_with_what_it_is_given_and_nothing_else() {
    let (fleet, _agent) = fleet();
    let output = spark(&fleet, &["run", "--env", "GREETING=hello there", "--", "env"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    let mut names: Vec<&str> = printed.lines().filter_map(|line| line.split('=').next()).collect();
    names.sort_unstable();
    assert_eq!(names, ["BITACORA_ATTEMPT", "BITACORA_JOB", "BITACORA_SPARK", "GREETING", "HOME", "PATH"], "{printed}");
    assert!(printed.contains("GREETING=hello there\n"), "an argument with a space is one: {printed}");
    let output = spark(&fleet, &["run", "--count", "3", "--", "sh", "-c", "echo $BITACORA_SPARK; echo err >&2"]);
    assert_eq!(text(&output.stdout), "0\nerr\n1\nerr\n2\nerr\n", "in the order of the sparks");
    let folder = fleet.folder("one").join("sparks");
    until(|| fs::read_dir(&folder).unwrap().count() == 0);
}

#[test]
fn a_master_that_is_told_to_end_leaves_work_to_the_next_one() {
    let (mut fleet, _agent) = fleet();
    let (log, go) = (fleet.place.path("log"), fleet.place.path("go"));
    let script = format!("echo begun >>{}; until [ -e {} ]; do sleep 0.05; done", log.display(), go.display());
    let job = detached(&fleet, &["--count", "2", "--", "sh", "-c", &script]);
    until(|| log.exists());
    assert_eq!(fleet.master.take().unwrap().terminate(), Some(0));
    fleet.serve();
    fs::write(&go, "").unwrap();
    until(|| status(&fleet, &job) == "completed");
    assert_eq!(fs::read_to_string(log).unwrap(), "begun\nbegun\n", "what ran went on, and nobody had to resume the rest");
}

#[test]
fn whoever_watches_a_job_ends_as_it_does() {
    let (fleet, _agent) = fleet();
    let watch = |job: &str, more: &[&str]| fleet.place.run(&[&["job", "watch", job, "-o", "ndjson"], more].concat());
    let lasts = detached(&fleet, &["--", "sh", "-c", "sleep 1.2; exit 0"]);
    let impatient = watch(&lasts, &["--timeout", "0"]);
    assert_eq!(impatient.status.code(), Some(6), "{}", text(&impatient.stderr));
    let watched = watch(&lasts, &[]);
    let lines: Vec<Value> = text(&watched.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let statuses: Vec<&str> = lines.iter().map(|line| line["status"].as_str().unwrap()).collect();
    assert_eq!((watched.status.code(), statuses.as_slice()), (Some(0), &["running", "completed"][..]), "{lines:?}");
    assert_eq!((&lines[1]["percent"], &lines[1]["sparks_done"]), (&Value::from(100), &Value::from(1)));
    let fails = detached(&fleet, &["--", "sh", "-c", "exit 3"]);
    assert_eq!(watch(&fails, &[]).status.code(), Some(8));
    assert_eq!(fleet.jobs().iter().find(|known| known["id"] == fails).unwrap()["command"], "sh -c exit 3");
    assert_eq!(watch("j9.9", &[]).status.code(), Some(5));
}

#[test]
fn what_needs_a_node_to_itself_has_it() {
    let fleet = Fleet::new();
    let _agent = fleet.join_with("one", &["--program", "sh", "--cores", "2"]);
    let log = fleet.folder("one").join("log");
    let script = format!("echo begun >>{0}; sleep 0.3; echo ended >>{0}", log.display());
    let job = detached(&fleet, &["--needs", "cores=2,memory=1M", "--count", "3", "--", "sh", "-c", &script]);
    until(|| status(&fleet, &job) == "completed");
    assert_eq!(fs::read_to_string(log).unwrap(), "begun\nended\n".repeat(3), "one after another, though there are two slots");
    assert_eq!(shown(&fleet, &format!("{job}/0"))["needs"], serde_json::json!({"cores": 2, "memory_bytes": 1 << 20, "gpus": 0}));
    let too_large = detached(&fleet, &["--needs", "cores=3", "--", "sh", "-c", "true"]);
    let explained = text(&fleet.place.run(&["job", "explain", &too_large]).stdout);
    assert!(explained.contains("no node that it may run on has cores=3"), "{explained}");
    for wrong in ["cores=0", "cores", "disk=1G", "memory=much", ""] {
        assert_eq!(spark(&fleet, &["run", "--needs", wrong, "--", "sh"]).status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn what_is_not_allowed_or_fails_says_so() {
    let (fleet, _agent) = fleet();
    let output = spark(&fleet, &["run", "--", "sh", "-c", "echo before; exit 3"]);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(8), "before\n"));
    assert!(text(&output.stderr).contains("it ended with status 3"), "{}", text(&output.stderr));
    let output = spark(&fleet, &["run", "--tries", "2", "--", "sh", "-c", "kill -9 $$"]);
    assert!(text(&output.stderr).contains("it ended with signal 9"), "{}", text(&output.stderr));
    let output = spark(&fleet, &["run", "--", "/no/such/program"]);
    assert!(text(&output.stderr).contains("there is no program /no/such/program"), "{}", text(&output.stderr));
    let job = detached(&fleet, &["--", "rm", "-rf", "/"]);
    let explained = text(&fleet.place.run(&["job", "explain", &job]).stdout);
    assert!(explained.contains("no connected node is configured to run rm"), "{explained}");
    let run = fleet.place.bitacora(&["spark", "run", "--", "rm", "-rf", "/"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut run = Process(run);
    let said = BufReader::new(run.0.stderr.take().unwrap()).lines().map(Result::unwrap).find(|line| line.contains("waits: "));
    assert!(said.as_ref().is_some_and(|said| said.contains("no connected node is configured to run rm")), "{said:?}");
    let output = spark(&fleet, &["run", "--timeout", "1", "--", "sleep", "1000.5"]);
    assert!(text(&output.stderr).contains("it took too long"), "{}", text(&output.stderr));
    until(|| !runs("1000.5"));
}

#[test]
fn a_command_runs_on_the_nodes_that_it_is_for() {
    let (fleet, _one) = fleet();
    let _two = fleet.join_with("two", &PROGRAMS);
    assert_eq!(fleet.place.run(&["node", "label", "two", "disk=fast"]).status.code(), Some(0));
    let ran = |node: &str| fleet.node(node)["finished"].as_u64().unwrap();
    for selector in ["two", "disk=fast"] {
        let output = spark(&fleet, &["run", "--count", "5", "--nodes", selector, "--placement", "round-robin", "--", "sh", "-c", ":"]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    }
    assert_eq!((ran("one"), ran("two")), (0, 10));
}

#[test]
fn output_beyond_its_limit_is_counted_and_dropped() {
    let (fleet, _agent) = fleet();
    let job = detached(&fleet, &["--output-bytes", "1000", "--", "sh", "-c", "i=0; while [ $i -lt 1000 ]; do echo 0123456789; i=$((i+1)); done"]);
    let log = spark(&fleet, &["logs", "--follow", &format!("{job}/0")]);
    assert_eq!(log.stdout, "0123456789\n".repeat(91).as_bytes()[..1000]);
    let item = shown(&fleet, &format!("{job}/0"));
    assert_eq!((&item["output_bytes"], &item["dropped_bytes"], &item["ended"]), (&1000.into(), &10_000.into(), &"status 0".into()));
}

#[test]
fn output_is_seen_while_the_command_runs() {
    let (fleet, _agent) = fleet();
    let go = fleet.place.path("go");
    let script = format!("echo waiting; until [ -e {} ]; do sleep 0.05; done; echo done", go.display());
    let job = detached(&fleet, &["--", "sh", "-c", &script]);
    let id = format!("{job}/0");
    until(|| text(&spark(&fleet, &["logs", &id]).stdout) == "waiting\n");
    assert_eq!(shown(&fleet, &id)["node"], "one");
    thread::scope(|scope| {
        let follower = scope.spawn(|| spark(&fleet, &["logs", "--follow", &id]));
        fs::write(&go, "").unwrap();
        assert_eq!(text(&follower.join().unwrap().stdout), "waiting\ndone\n");
    });
    until(|| shown(&fleet, &id)["status"] == "completed");
    assert_eq!(shown(&fleet, &id)["node"], "one", "whose answer it was is not forgotten");
}

#[test]
fn a_cancelled_command_ends_with_all_its_processes() {
    let (fleet, _agent) = fleet();
    let job = detached(&fleet, &["--", "sh", "-c", "trap '' TERM; sleep 1000.25 & sleep 1000.75"]);
    until(|| runs("1000.25") && runs("1000.75"));
    let output = spark(&fleet, &["cancel", &format!("{job}/0")]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    until(|| !runs("1000.25") && !runs("1000.75"));
    assert_eq!(shown(&fleet, &format!("{job}/0"))["status"], "cancelled");
    assert_eq!(spark(&fleet, &["cancel", &format!("{job}/0")]).status.code(), Some(9), "it is over");
    assert_eq!(spark(&fleet, &["cancel", "j9.9/9"]).status.code(), Some(5));
}

/// Starts a process that leaves the group and whose parent ends, and goes on once it runs.
fn runaway(argument: &str, then: &str) -> String {
    format!("(setsid sh -c 'touch \"$HOME/up\"; exec sleep \"$0\"' {argument} &); until [ -e \"$HOME/up\" ]; do sleep 0.05; done; {then}")
}

#[test]
fn nothing_that_a_command_started_outlives_its_limits() {
    let (fleet, agent) = fleet();
    let output = spark(&fleet, &["run", "--", "sh", "-c", &runaway("1000.125", "echo done")]);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), "done\n"), "{}", text(&output.stderr));
    until(|| !runs("1000.125"));
    let output = spark(&fleet, &["run", "--timeout", "1", "--", "sh", "-c", &runaway("1000.375", "sleep 1000.5")]);
    assert!(text(&output.stderr).contains("it took too long"), "{}", text(&output.stderr));
    until(|| !runs("1000.375"));
    detached(&fleet, &["--", "sh", "-c", &runaway("1000.625", "sleep 1000.5")]);
    until(|| runs("1000.625"));
    agent.kill();
    until(|| !runs("1000.625"));
}

#[test]
fn a_command_runs_in_a_project_s_folder_where_that_is() {
    let fleet = Fleet::new();
    let _blind = fleet.join_with("blind", &["--program", "sh"]);
    fleet.place.write("mark", "there");
    let (tree, clone) = (fleet.place.tree(), fleet.place.path("clone"));
    fs::create_dir(&clone).unwrap();
    fs::write(clone.join("mark"), "here").unwrap();
    assert_eq!(fleet.place.run(&["project", "add", tree.to_str().unwrap(), "--name", "ours"]).status.code(), Some(0));
    let run = ["run", "--project", "ours", "--", "sh", "-c", "cat mark; echo x >new && rm new && echo; ls -A \"$HOME\""];
    let mut waits = fleet.place.bitacora(&[&["spark"], &run[..]].concat());
    let waits = waits.stdout(Stdio::piped()).spawn().unwrap();
    until(|| !fleet.jobs().is_empty());
    let job = fleet.jobs()[0].clone();
    assert_eq!(job["project"], "ours");
    until(|| text(&fleet.place.run(&["job", "explain", job["id"].as_str().unwrap()]).stdout).contains("fleet-agent --sources"));
    assert_eq!(fleet.place.run(&["project", "rm", "ours", "--yes"]).status.code(), Some(9), "it is at work");
    let sources = format!("{}={}", tree.display(), clone.display());
    let sees = fleet.join_with("sees", &["--program", "sh", "--sources", &sources]);
    let output = waits.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), "here\n"), "in the clone, and its own folder is empty");
    // Its owner lets commands write where he says, and a project is not that by itself.
    assert_eq!(sees.terminate(), Some(0));
    let elsewhere = fleet.place.path("scratch");
    fs::create_dir(&elsewhere).unwrap();
    let mut confined = fleet.agent("sees");
    let _confined = confined.args(["--program", "sh", "--sources", &sources, "--writable", elsewhere.to_str().unwrap()]).spawn().map(Process).unwrap();
    fleet.wait_for("sees", "healthy");
    let output = spark(&fleet, &["run", "--project", "ours", "--", "sh", "-c", "cat mark; touch \"$HOME/own\" && ! touch new 2>/dev/null && echo"]);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), "here\n"), "{}", text(&output.stderr));
    assert_eq!(spark(&fleet, &["run", "--project", "nobody's", "--", "sh"]).status.code(), Some(5));
}

#[test]
fn a_command_that_kills_its_supervisor_ends_with_it() {
    let (fleet, _agent) = fleet();
    // The shell that left the group is a child of the agent's by then.
    let output = spark(&fleet, &["run", "--tries", "1", "--", "sh", "-c", &runaway("1000.875", "kill -9 $PPID; exec sleep 1001.125")]);
    assert_eq!(output.status.code(), Some(8), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("the process that ran it ended with signal: 9"), "{}", text(&output.stderr));
    until(|| !runs("1000.875") && !runs("1001.125"));
    assert_eq!(spark(&fleet, &["run", "--", "env"]).status.code(), Some(0), "the agent works on");
}

#[test]
fn a_command_waits_for_what_it_comes_after() {
    let (fleet, _agent) = fleet();
    let go = fleet.place.path("go");
    let first = detached(&fleet, &["--", "sh", "-c", &format!("until [ -e {} ]; do sleep 0.05; done", go.display())]);
    let second = detached(&fleet, &["--after", &format!("{first}/0"), "--", "sh", "-c", "exit 1"]);
    let third = detached(&fleet, &["--after", &second, "--", "env"]);
    let explained = text(&fleet.place.run(&["job", "explain", &second]).stdout);
    assert!(explained.contains(&format!("it waits for spark {first}/0")), "{explained}");
    fs::write(&go, "").unwrap();
    until(|| status(&fleet, &third) == "failed");
    assert_eq!((status(&fleet, &first), status(&fleet, &second)), ("completed".into(), "failed".into()));
    assert_eq!(shown(&fleet, &format!("{third}/0"))["attempts"], 0, "it never began");
    let output = spark(&fleet, &["run", "--after", "j9.9", "--", "env"]);
    assert_eq!(output.status.code(), Some(5), "{}", text(&output.stderr));
}

#[test]
fn an_agent_that_is_killed_takes_its_commands_with_it_and_they_run_again() {
    let (mut fleet, agent) = fleet();
    let (begun, go) = (fleet.place.path("begun"), fleet.place.path("go"));
    let script = format!("echo x >>{}; until [ -e {} ]; do sleep 0.125; done; echo ended", begun.display(), go.display());
    let job = detached(&fleet, &["--", "sh", "-c", &script]);
    let lines = |path: &Path| fs::read_to_string(path).unwrap_or_default().lines().count();
    until(|| lines(&begun) == 1);
    agent.kill();
    until(|| !runs(&script));
    let _agent = Process(fleet.agent("one").args(PROGRAMS).spawn().unwrap());
    until(|| lines(&begun) == 2);
    fleet.master.take().unwrap().kill();
    fleet.serve();
    fs::write(&go, "").unwrap();
    until(|| status(&fleet, &job) == "completed");
    assert_eq!(lines(&begun), 2, "a master that is killed costs no attempt");
    assert_eq!(text(&spark(&fleet, &["logs", &format!("{job}/0")]).stdout), "ended\n");
}

#[test]
fn sparks_without_work_measure_what_a_spark_costs() {
    let (fleet, _agent) = fleet();
    let measured = report(&fleet.place.run(&["bench", "sparks", "--count", "5000", "-o", "json"]), 0);
    let schema = report(&fleet.place.run(&["schema", "bench"]), 0);
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&measured), "{measured}");
    assert_eq!(measured["items"][0]["sparks"], 5000);
    assert_eq!(fleet.sparks_done(), 5000, "each of them is in the journal");
}

#[test]
fn what_happens_can_be_waited_for_and_watched() {
    let (fleet, _agent) = fleet();
    let go = fleet.place.path("go");
    let job = detached(&fleet, &["--", "sh", "-c", &format!("until [ -e {} ]; do sleep 0.05; done; exit 4", go.display())]);
    let id = format!("{job}/0");
    let wait = |what: &str, state: &str| fleet.place.run(&["wait", what, "--for", state, "--timeout", "30"]).status.code();
    assert_eq!(wait(&id, "running"), Some(0));
    assert_eq!(fleet.place.run(&["wait", &job, "--for", "over", "--timeout", "0"]).status.code(), Some(6));
    let mut follower = fleet.place.bitacora(&["events", "--follow", "-o", "ndjson"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    fs::write(&go, "").unwrap();
    assert_eq!(wait(&job, "completed"), Some(8), "it ended otherwise");
    assert_eq!((wait(&job, "over"), wait("one", "idle"), wait("nobody", "healthy"), wait(&job, "healthy")), (Some(0), Some(0), Some(5), Some(2)));
    assert_eq!(fleet.place.run(&["node", "label", "one", "zone=eu"]).status.code(), Some(0));
    assert_eq!((wait("zone=eu", "idle"), wait("one,two", "healthy"), wait("zone=us", "idle")), (Some(0), Some(5), Some(5)));
    let told = lines.find(|line| line.as_ref().unwrap().contains("job-failed")).unwrap().unwrap();
    follower.kill().unwrap();
    follower.wait().unwrap();
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["subject"], job.as_str());
    let events = report(&fleet.place.run(&["events", "-o", "json"]), 0);
    let schema = report(&fleet.place.run(&["schema", "events"]), 0);
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&events), "{events}");
    let kinds: Vec<&str> = events["items"].as_array().unwrap().iter().map(|event| event["kind"].as_str().unwrap()).collect();
    for kind in ["master-began", "node-paired", "node-changed", "job-accepted", "spark-failed", "job-failed"] {
        assert!(kinds.contains(&kind), "{kind} in {kinds:?}");
    }
    replayed(&fleet, &job, events["items"].as_array().unwrap());
}

/// The fleet at each of these moments, as the master remembers them.
fn replayed(fleet: &Fleet, job: &str, events: &[Value]) {
    let number = |kind: &str| events.iter().find(|event| event["kind"] == kind && event["subject"] == job).unwrap()["number"].to_string();
    let at = |when: &str| {
        let moment = report(&fleet.place.run(&["replay", "--at", when, "-o", "json"]), 0);
        let schema = report(&fleet.place.run(&["schema", "moment"]), 0);
        assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&moment), "{moment}");
        moment["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(at(&number("job-accepted")), ["n1.1", job]);
    assert_eq!((at(&number("job-failed")), at("2999-01-01T00:00:00Z")), (vec!["n1.1".to_owned()], vec!["n1.1".to_owned()]));
    let unknown = fleet.place.run(&["replay", "--at", "1999-01-01T00:00:00Z"]);
    assert!(unknown.status.code() == Some(2) && String::from_utf8_lossy(&unknown.stderr).contains("the first event is 1"), "{unknown:?}");
    let played = fleet.place.run(&["replay", "--from", &number("job-accepted"), "--speed", "1000000", "-o", "plain"]);
    let played = String::from_utf8(played.stdout).unwrap();
    let line = |kind: &str| played.lines().find(|line| line.contains(kind) && line.contains(job)).unwrap().to_owned();
    assert!(line("job-accepted").ends_with("1 node, 1 open job") && line("job-failed").ends_with("1 node, 0 open jobs"), "{played}");
    assert!(!played.contains("node-paired"), "{played}");
}

#[test]
fn what_has_happened_is_replayed_where_no_master_serves() {
    let place = Place::new();
    place.fill(1);
    place.analyse(0);
    let played = report(&place.run(&["replay", "-o", "json"]), 0);
    let kinds: Vec<&str> = played["items"].as_array().unwrap().iter().map(|event| event["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["master-began", "project-added", "job-accepted", "job-completed"]);
    assert_eq!((&played["items"][2]["jobs"], &played["items"][3]["jobs"]), (&1.into(), &0.into()));
    // What matches nothing is not told as if it was there, here and where nothing is.
    let nowhere = Place::new();
    for (place, nothing) in
        [(&place, &["replay", "--at", "99999"][..]), (&place, &["replay", "--from", "99999"]), (&nowhere, &["replay"]), (&nowhere, &["audit", "verify"])]
    {
        let output = place.run(nothing);
        assert!(output.status.code() == Some(5) && output.stdout.is_empty() && !output.stderr.is_empty(), "{nothing:?}: {output:?}");
    }
}
