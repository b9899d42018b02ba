//! `bitacora script`: what it runs, what it tells of it, and what it does not begin at all.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use super::{
    fleet::{Fleet, Process, until},
    support::{Place, report},
};

/// Runs a script that stands in a file.
fn run(place: &Place, script: &str, arguments: &[&str]) -> Output {
    let file = place.path("script");
    fs::write(&file, script).unwrap();
    place.run(&[&["script", file.to_str().unwrap()], arguments].concat())
}

/// The lines that it told, each of them checked against the schema.
fn told(place: &Place, output: &Output) -> Vec<Value> {
    let schema = report(&place.run(&["schema", "script"]), 0);
    let validator = jsonschema::validator_for(&schema).unwrap();
    let lines = std::str::from_utf8(&output.stdout).unwrap().lines();
    let told: Vec<Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &told {
        assert!(validator.is_valid(line), "{line}");
    }
    told
}

fn exits(told: &[Value]) -> Vec<(u64, i64)> {
    told.iter().map(|line| (line["line"].as_u64().unwrap(), line["exit"].as_i64().unwrap())).collect()
}

fn messages(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn each_command_is_told_and_the_first_that_fails_ends_it() {
    let place = Place::new();
    place.fill(2);
    let script = "# nothing\nanalyze ${TREE} -o json # all of it\n\nproject show nobody\nproject ls\n";
    let output = run(&place, script, &["--set", &format!("TREE={}", place.tree().display())]);
    let told = told(&place, &output);
    assert_eq!((output.status.code(), exits(&told)), (Some(5), vec![(2, 0), (4, 5)]));
    assert_eq!(told[0]["command"], "analyze ${TREE} -o json # all of it");
    assert_eq!(told[0]["output"]["kind"], "analysis", "a document is a document");
    assert_eq!((&told[1]["output"], told[1]["messages"].as_str().unwrap().contains("nobody")), (&"".into(), true));
    assert_eq!(messages(&output), "", "what commands say is in their lines");
}

#[test]
fn what_fails_need_not_end_it() {
    let place = Place::new();
    let script = "job show j9.9\non-error continue\njob show j9.9\njob ls -o name\non-error stop\nproject show nobody\nproject ls\n";
    let output = run(&place, script, &["--on-error", "continue"]);
    assert_eq!((output.status.code(), exits(&told(&place, &output))), (Some(5), vec![(1, 5), (3, 5), (4, 0), (6, 5)]));
    let output = run(&place, "job show j9.9\njob ls\n", &["--on-error", "continue"]);
    assert_eq!((output.status.code(), exits(&told(&place, &output))), (Some(3), vec![(1, 5), (2, 0)]));
}

#[test]
fn nothing_runs_where_anything_is_wrong() {
    let place = Place::new();
    place.fill(1);
    place.analyse(0);
    let script =
        "project rename tree other\nproject sow\nnode show ${NOBODY_SET_THIS}\nscript other\nnode 'ls\n--plain\nrun-parser\n--connect there cache stats\n";
    let output = run(&place, script, &[]);
    assert_eq!((output.status.code(), output.stdout.is_empty()), (Some(2), true));
    let file = place.path("script");
    for (line, about) in [(2, "unrecognized subcommand"), (3, "NOBODY_SET_THIS"), (4, "runs no script"), (5, "a quote"), (6, "none"), (7, "none"), (8, "disk")]
    {
        let begins = format!("{}:{line}: ", file.display());
        assert!(messages(&output).lines().any(|said| said.starts_with(&begins) && said.contains(about)), "{line}: {}", messages(&output));
    }
    assert_eq!(report(&place.run(&["project", "ls", "-o", "json"]), 0)["items"][0]["name"], "tree");
}

#[test]
fn a_dry_run_says_what_would_be_run() {
    let place = Place::new();
    place.fill(1);
    place.analyse(0);
    let output =
        run(&place, "project ls\nproject rename tree '${A} ${B}'\nproject rename tree \"${A} ${B}\"\n", &["--dry-run", "--set", "A=x", "--set", "B= y"]);
    assert_eq!(output.status.code(), Some(10));
    let told = told(&place, &output);
    assert_eq!((told[1]["words"][3].as_str(), told[2]["words"][3].as_str()), (Some("${A} ${B}"), Some("x  y")));
    assert_eq!(report(&place.run(&["project", "ls", "-o", "json"]), 0)["items"][0]["name"], "tree");
    assert_eq!(run(&place, "project ls\nnode ls -o json\n", &["--dry-run"]).status.code(), Some(0), "those only read");
}

#[test]
fn variables_come_from_the_environment_and_are_not_told() {
    let place = Place::new();
    fs::write(place.path("script"), "project show ${OF_TEST}\n").unwrap();
    let mut command = place.bitacora(&["script", place.path("script").to_str().unwrap()]);
    let output = command.env("OF_TEST", "hushhush").output().unwrap();
    assert_eq!(told(&place, &output)[0]["command"], "project show ${OF_TEST}");
    let output = place.bitacora(&["script", place.path("script").to_str().unwrap(), "--set", "OF_TEST=other"]).env("OF_TEST", "hushhush").output().unwrap();
    let said = told(&place, &output)[0]["messages"].as_str().unwrap().to_owned();
    assert!(said.contains("other") && !said.contains("hushhush"), "{said}");
    assert_eq!(place.run(&["script", "-", "--set", "1=2"]).status.code(), Some(2));
}

#[test]
fn a_script_may_come_from_stdin() {
    let place = Place::new();
    let mut child = place.bitacora(&["script", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"project ls -o name\nnonsense\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(messages(&output).contains("stdin:2: "), "{}", messages(&output));
}

#[test]
fn whoever_reads_no_more_is_sent_no_more() {
    let fleet = Fleet::new();
    let folder = fleet.place.tree();
    let script = format!("events\nevents\nanalyze {}\n", folder.display());
    fs::write(fleet.place.path("script"), script).unwrap();
    let mut command = fleet.place.bitacora(&["script", fleet.place.path("script").to_str().unwrap()]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));
    assert_eq!(report(&fleet.place.run(&["project", "ls", "-o", "json"]), 0)["items"].as_array().unwrap().len(), 0, "the analysis was not begun");
}

#[test]
fn a_signal_is_for_the_command_that_runs_and_for_the_script() {
    let fleet = Fleet::new();
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        fs::write(fleet.place.path("script"), "on-error continue\nnode ls -o json\nevents --follow\nnode ls\n").unwrap();
        let mut command = fleet.place.bitacora(&["script", fleet.place.path("script").to_str().unwrap()]);
        let mut child = Process(command.stdout(Stdio::piped()).spawn().unwrap());
        let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
        lines.next().unwrap().unwrap();
        // The command after it is begun at once; the signal is for whoever is there.
        until(|| Command::new("kill").args(["-s", signal, &child.0.id().to_string()]).status().unwrap().success());
        let rest: Vec<Value> = lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
        assert_eq!(child.0.wait().unwrap().code(), Some(code));
        assert!(rest.iter().all(|line| line["line"] == 3 && line["exit"] == code), "{rest:?}");
    }
}

/// A script of `examples/`, with what it is to be told.
fn example(place: &Place, name: &str, set: &[(&str, &str)]) -> Vec<Value> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
    let set: Vec<String> = set.iter().map(|(name, value)| format!("--set={name}={value}")).collect();
    let arguments: Vec<&str> = [&["script", file.to_str().unwrap()][..], &set.iter().map(String::as_str).collect::<Vec<_>>()].concat();
    let output = place.run(&arguments);
    assert_eq!(output.status.code(), Some(0), "{}\n{}", String::from_utf8_lossy(&output.stdout), messages(&output));
    told(place, &output)
}

#[test]
fn the_examples_do_what_they_say() {
    let fleet = Fleet::new();
    let _agent = fleet.join("anvil");
    fleet.place.fill(3);
    let (tree, out) = (fleet.place.tree(), fleet.place.path("out"));
    fs::create_dir(&out).unwrap();
    let told = example(&fleet.place, "nightly.bitacora", &[("TREE", tree.to_str().unwrap()), ("OUT", out.to_str().unwrap())]);
    assert_eq!(told[0]["output"]["items"][0]["name"], "anvil");
    let analysis: Value = serde_json::from_slice(&fs::read(out.join("analysis.json")).unwrap()).unwrap();
    assert_eq!(analysis["kind"], "analysis");
    assert!(out.join("bitacora.tar").exists());

    let told = example(&fleet.place, "maintenance.bitacora", &[("NODE", "anvil"), ("WHY", "new-disk")]);
    let node = &told.last().unwrap()["output"]["items"][0];
    assert_eq!((&node["availability"], &node["labels"]["maintenance"]), (&"cordoned".into(), &"new-disk".into()));

    let told = example(&fleet.place, "checkup.bitacora", &[]);
    assert!(told.iter().all(|line| line["exit"] == 0) && told.len() > 5, "{told:?}");
}

#[test]
fn the_name_of_an_action_does_what_its_key_does() {
    let fleet = Fleet::new();
    let _anvil = fleet.join("anvil");
    let output = run(&fleet.place, "cordon anvil\nlabel anvil zone=eu\nnode ls -o json\nrm anvil\n", &[]);
    let told = told(&fleet.place, &output);
    assert_eq!(exits(&told), [(1, 0), (2, 0), (3, 0), (4, 9)], "what cannot be taken back is not agreed to by its name: {told:?}");
    let node = &told[2]["output"]["items"][0];
    assert_eq!((&node["availability"], &node["labels"]["zone"]), (&"cordoned".into(), &"eu".into()));
    let wrong = run(&fleet.place, "raise j1.1\nquit\n", &[]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(
        messages(&wrong).contains("`job priority {job} {higher}`") && messages(&wrong).contains("quit is something to be done in a dashboard"),
        "{wrong:?}"
    );
}
