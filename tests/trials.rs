//! How commands change things: told first, waited for, given up, refused; the same way for each of them.

use std::process::Output;

use super::{
    fleet::{Fleet, until},
    support::Place,
};

fn run(fleet: &Fleet, line: &str) -> Output {
    fleet.place.run(&line.split(' ').collect::<Vec<_>>())
}

fn exit(fleet: &Fleet, line: &str) -> i32 {
    run(fleet, line).status.code().unwrap()
}

fn said(fleet: &Fleet, line: &str) -> String {
    String::from_utf8(run(fleet, line).stdout).unwrap().trim().to_owned()
}

#[test]
fn what_is_only_tried_changes_nothing_and_says_whether_it_would() {
    let fleet = Fleet::new();
    let _agent = fleet.join("anvil");
    fleet.place.fill(1);
    fleet.place.analyse(0);
    for (line, then) in [
        ("node cordon anvil", 0),
        ("node uncordon anvil", 0),
        ("node label anvil disk=ssd", 0),
        ("node label anvil disk-", 0),
        ("project rename tree other", 0),
        ("project assign other anvil", 0),
        // Each time it is done anew.
        ("node drain anvil", 10),
    ] {
        let trial = format!("{line} --dry-run");
        assert_eq!((exit(&fleet, &trial), exit(&fleet, &trial)), (10, 10), "{line}");
        let output = run(&fleet, line);
        assert_eq!(output.status.code(), Some(0), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        // What was renamed is not called so any more.
        assert_eq!(exit(&fleet, &trial.replace("rename tree", "rename other")), then, "{line} again");
    }
    assert_eq!(exit(&fleet, "node cordon nobody --dry-run"), 5);
    let token = run(&fleet, "node token next --dry-run");
    assert!(token.status.code() == Some(10) && token.stdout.is_empty(), "{token:?}");
    // Where nobody serves, nobody is started for it.
    let place = Place::new();
    for line in [&["node", "token", "next", "--dry-run"], &["node", "pair", "next", "--dry-run"]] {
        let tried = place.run(line);
        assert!(tried.status.code() == Some(10) && String::from_utf8_lossy(&tried.stderr).contains("would start a master"), "{tried:?}");
    }
    assert_eq!(place.run(&["node", "ls"]).status.code(), Some(7));
    // It drains: nothing could be run on it now.
    let jobs = fleet.jobs().len();
    for (line, says) in [("--nodes=other", "on no node"), ("--count=3", "3 sparks of `true 'a b'` on no node")] {
        let tried = fleet.place.run(&["spark", "run", "--dry-run", line, "--", "true", "a b"]);
        assert!(tried.status.code() == Some(10) && String::from_utf8_lossy(&tried.stderr).contains(says), "{tried:?}");
    }
    assert_eq!(exit(&fleet, "node uncordon anvil"), 0);
    let tried = run(&fleet, "spark run --dry-run -- true");
    assert!(String::from_utf8_lossy(&tried.stderr).contains("would run 1 spark of `true` on anvil"), "{tried:?}");
    assert_eq!((exit(&fleet, "cache warm other --dry-run"), fleet.jobs().len()), (10, jobs));
    assert_eq!((exit(&fleet, "node rm anvil --dry-run"), exit(&fleet, "node rm anvil"), exit(&fleet, "node show anvil")), (10, 9, 0));
}

#[test]
fn work_is_waited_for_and_given_up() {
    let fleet = Fleet::new();
    let _agent = fleet.join_with("anvil", &["--program", "sleep"]);
    let job = said(&fleet, "spark run --detach -- sleep 1000");
    until(|| fleet.nodes().iter().any(|node| node["sparks"].as_u64() == Some(1)));
    let with = |line: &str| line.replace("JOB", &job);
    assert_eq!(exit(&fleet, &with("job cancel JOB --dry-run")), 10);
    assert_eq!(exit(&fleet, &with("job resume JOB --dry-run")), 9, "it runs");
    assert_eq!(exit(&fleet, &with("spark cancel JOB/0 --dry-run")), 10);
    assert_eq!(exit(&fleet, "node drain anvil --timeout 0"), 6);
    assert_eq!(exit(&fleet, "node uncordon anvil"), 0);
    assert_eq!(exit(&fleet, &with("job pause JOB")), 0);
    assert_eq!(exit(&fleet, &with("job resume JOB --wait --timeout 0")), 6);
    assert_eq!(exit(&fleet, &with("job cancel JOB --wait")), 0);
    assert_eq!(exit(&fleet, &with("job cancel JOB --dry-run")), 9, "it is over");
    assert_eq!(exit(&fleet, &with("job cancel JOB --timeout 3")), 2, "there is nothing to give up without --wait");
    assert_eq!(exit(&fleet, "job cancel j99.1 --dry-run"), 5);
    // What is waited for and fails is a failure here, too.
    assert_eq!(exit(&fleet, "spark run -- sleep nonsense"), 8);
    let failed = fleet.jobs().last().unwrap()["id"].as_str().unwrap().to_owned();
    assert_eq!(exit(&fleet, &format!("job retry {failed} --wait")), 8);
}

#[test]
fn an_analysis_goes_on_without_whoever_asked_for_it() {
    let fleet = Fleet::new();
    let _agent = fleet.join("anvil");
    fleet.place.fill(3);
    let tree = fleet.place.tree();
    let job = said(&fleet, &format!("analyze {} --detach", tree.display()));
    assert_eq!(exit(&fleet, &format!("wait {job} --for completed --timeout 60")), 0);
    assert_eq!(fleet.local()["summary"]["files"], 6);
    assert_eq!(said(&fleet, "project ls -o name"), "tree");
    assert_eq!(exit(&fleet, "cache gc"), 0, "the master does it itself");
    assert_eq!(exit(&fleet, "import nowhere"), 9, "nobody waits for a master that stays");
    drop(fleet.master);
    let alone = fleet.place.run(&["analyze", tree.to_str().unwrap(), "--detach"]);
    assert_eq!(alone.status.code(), Some(2), "nobody would go on with it");
}

#[test]
fn an_analysis_that_comes_to_nothing_on_a_fleet_is_told_from_one_that_fails_here() {
    let fleet = Fleet::new();
    fleet.place.fill(1);
    // There is no node: it waits.
    let waiting = fleet.begin();
    until(|| !fleet.jobs().is_empty());
    let job = fleet.jobs()[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(exit(&fleet, &format!("job cancel {job}")), 0);
    let output = waiting.wait_with_output().unwrap();
    assert!(output.status.code() == Some(8) && String::from_utf8_lossy(&output.stderr).contains("is cancelled"), "{output:?}");
}
