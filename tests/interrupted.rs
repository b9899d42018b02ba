//! Killed, interrupted, and begun again: what was finished is not done again, and the report is the same.

use std::{
    collections::BTreeMap,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::support::{Place, report, rounds, timeless};

/// Halvings of the time until a kill.
const HASTE_MAX: u32 = 8;
/// Longest time that one of these runs may take before the test gives up on it.
const PATIENCE: Duration = Duration::from_secs(120);

/// Sparks of the last job that are completed, with their attempts.
fn finished(place: &Place) -> BTreeMap<String, u64> {
    let jobs = place.run(&["job", "ls", "-o", "json"]);
    let jobs: Value = serde_json::from_slice(&jobs.stdout).unwrap();
    let Some(job) = jobs["items"].as_array().and_then(|items| items.last()) else { return BTreeMap::new() };
    let sparks = report(&place.run(&["job", "show", job["id"].as_str().unwrap(), "-o", "json"]), 0);
    let completed = sparks["items"].as_array().unwrap().iter().filter(|spark| spark["status"] == "completed");
    completed.map(|spark| (spark["id"].as_str().unwrap().to_owned(), spark["attempts"].as_u64().unwrap())).collect()
}

fn start(place: &Place) -> Child {
    start_with(place, "2")
}

fn start_with(place: &Place, threads: &str) -> Child {
    let tree = place.tree();
    place.bitacora(&["analyze", tree.to_str().unwrap(), "-o", "json", "--threads", threads]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// An analysis of which some sparks are finished and others are not.
fn started(place: &Place) -> Child {
    until_started(place, start(place))
}

fn until_started(place: &Place, mut child: Child) -> Child {
    let begun = Instant::now();
    while finished(place).is_empty() {
        assert!(begun.elapsed() < PATIENCE && child.try_wait().unwrap().is_none(), "no spark finished before the end");
    }
    child
}

#[test]
fn killed_at_any_moment_it_goes_on_where_it_was() {
    let reference = Place::new();
    reference.fill(150);
    let expected = timeless(reference.analyse(0));
    let took = {
        let begun = Instant::now();
        start(&{
            let fresh = Place::new();
            fresh.fill(150);
            fresh
        })
        .wait()
        .unwrap();
        begun.elapsed()
    };
    let mut kept_in_all = 0;
    for round in 0..rounds() {
        // One that was through before it was killed is tried again, and killed sooner.
        let rounds = (0..HASTE_MAX).map(|haste| Round::run(round, took / 2_u32.pow(haste)));
        let Round { place, kills, kept, repeated } = rounds.into_iter().find(|round| round.kills > 0).expect("it is killed before it is through");
        assert_eq!(timeless(place.analyse(0)), expected, "round {round}");
        assert!(none_was_begun_anew(&place), "round {round}: the same job goes on");
        kept_in_all += kept;
        assert!(repeated * 10 <= kept, "round {round}: {repeated} of {kept} finished sparks were done again");
        println!("round {round}: {kills} kills, {kept} finished sparks seen again, {repeated} of them repeated");
    }
    assert!(kept_in_all > 0, "no kill left a finished spark behind: nothing was tried");
}

/// A new tree's analysis, killed until one gets through.
struct Round {
    place: Place,
    kills: u32,
    /// Sparks that were finished when the next attempt began, each time.
    kept: usize,
    /// Those of them that were done again.
    repeated: usize,
}

impl Round {
    /// Killed at a different moment each time, spread over what a whole run takes.
    fn run(number: u32, took: Duration) -> Round {
        let mut round = Round { place: Place::new(), kills: 0, kept: 0, repeated: 0 };
        round.place.fill(150);
        let begun = Instant::now();
        loop {
            assert!(begun.elapsed() < PATIENCE, "round {number} does not end");
            let before = finished(&round.place);
            let child = start(&round.place);
            // Every other time something is finished before the first kill.
            let mut child = if round.kills == 0 && number.is_multiple_of(2) { until_started(&round.place, child) } else { child };
            thread::sleep(took.mul_f64(f64::from((number * 7 + round.kills * 13) % 20 + 1) / 25.0));
            child.kill().unwrap();
            let ended = child.wait().unwrap();
            let after = finished(&round.place);
            if ended.success() {
                return round;
            }
            round.kills += 1;
            round.kept += before.len();
            round.repeated += before.iter().filter(|(spark, attempts)| after.get(*spark).is_some_and(|now| now != *attempts)).count();
        }
    }
}

/// A job that another one took the place of is cancelled.
fn none_was_begun_anew(place: &Place) -> bool {
    let jobs = report(&place.run(&["job", "ls", "-o", "json"]), 0);
    jobs["items"].as_array().unwrap().iter().all(|job| job["status"] == "completed")
}

#[test]
fn an_interrupt_stops_cleanly_and_suspects_nobody() {
    let place = Place::new();
    place.fill(300);
    let mut child = started(&place);
    assert!(std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let done = finished(&place);
    assert!(!done.is_empty());
    let jobs = report(&place.run(&["job", "ls", "-o", "json"]), 0);
    assert_eq!(jobs["items"][0]["status"], "paused");
    let job = jobs["items"][0]["id"].as_str().unwrap();
    let resumed = place.run(&["job", "resume", job]);
    assert_eq!(resumed.status.code(), Some(7), "nobody is there to go on with it");
    let explained = place.run(&["job", "explain", job]);
    for said in [&resumed.stderr, &explained.stdout].map(|said| String::from_utf8_lossy(said)) {
        assert!(said.contains("no bitacora is running: the same analysis of "), "{said}");
    }
    let sparks = report(&place.run(&["job", "show", job, "-o", "json"]), 0);
    assert!(sparks["items"].as_array().unwrap().iter().all(|spark| spark["isolated"] == false));
    assert_eq!(place.analyse(0)["items"].as_array().unwrap().len(), 600);
}

#[test]
fn a_running_job_can_be_cancelled_from_elsewhere() {
    let place = Place::new();
    // Far from its end while three other commands begin.
    place.fill(1500);
    let mut child = until_started(&place, start_with(&place, "1"));
    let jobs = report(&place.run(&["job", "ls", "-o", "json"]), 0);
    let job = jobs["items"][0]["id"].as_str().unwrap();
    let explained = place.run(&["job", "explain", job]);
    assert!(String::from_utf8_lossy(&explained.stdout).contains("running"), "{explained:?}");
    let refused = place.run(&["project", "rm", "tree", "--yes"]);
    assert_eq!(refused.status.code(), Some(9), "it is being analysed");
    assert!(String::from_utf8_lossy(&refused.stderr).contains(&format!("job {job} of it is running; cancel it first")), "{refused:?}");
    assert_eq!(place.run(&["job", "cancel", job]).status.code(), Some(0));
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert_eq!(place.run(&["job", "retry", job]).status.code(), Some(0));
}

#[test]
fn nothing_is_said_to_run_where_no_process_is() {
    let place = Place::new();
    place.fill(300);
    let mut child = started(&place);
    child.kill().unwrap();
    child.wait().unwrap();
    let jobs = report(&place.run(&["job", "ls", "-o", "json"]), 0);
    assert_eq!(jobs["items"][0]["status"], "paused");
    let sparks = report(&place.run(&["job", "show", jobs["items"][0]["id"].as_str().unwrap(), "-o", "json"]), 0);
    let sparks = sparks["items"].as_array().unwrap();
    assert!(sparks.iter().any(|spark| spark["status"] == "queued" && spark["attempts"] != 0), "what ran waits: {sparks:?}");
    let is_nowhere = |spark: &Value| spark["node"].is_null() || spark["status"] == "completed" && spark["node"] == "this machine";
    assert!(sparks.iter().all(|spark| spark["status"] != "running" && is_nowhere(spark)), "{sparks:?}");
}
