//! The other commands, and how the program behaves towards shells and people.

use std::{io::Read, process::Stdio};

use super::support::{Place, report};

#[test]
fn symbols_are_found_by_name_prefix_part_and_letters() {
    let place = Place::new();
    place.fill(3);
    place.analyse(0);
    let find = |query: &str| {
        let found = report(&place.run(&["symbols", query, "-o", "json"]), 0);
        let first = &found["items"][0];
        (first["name"].as_str().unwrap().to_owned(), first["fit"].as_str().unwrap().to_owned())
    };
    assert_eq!(find("Class1"), ("Class1".into(), "exact".into()));
    assert_eq!(find("Class"), ("Class0".into(), "prefix".into()));
    assert_eq!(find("hing_2"), ("thing_2".into(), "substring".into()));
    assert_eq!(find("fnct27").1, "fuzzy");
    assert_eq!(place.run(&["symbols", "zzzzqqq"]).status.code(), Some(5));
}

#[test]
fn projects_can_be_listed_renamed_and_removed() {
    let place = Place::new();
    place.fill(1);
    place.analyse(0);
    assert_eq!(place.run(&["project", "rename", "tree", "mine"]).status.code(), Some(0));
    let projects = report(&place.run(&["project", "ls", "-o", "json"]), 0);
    assert_eq!(projects["items"][0]["name"], "mine");
    assert_eq!(place.run(&["analyze", "mine"]).status.code(), Some(0));
    assert_eq!(place.run(&["project", "rm", "mine"]).status.code(), Some(9), "it asks for --yes");
    assert_eq!(place.run(&["project", "rm", "mine", "--dry-run"]).status.code(), Some(10));
    assert_eq!(place.run(&["project", "rm", "mine", "--yes"]).status.code(), Some(0));
    assert_eq!(place.run(&["project", "show", "mine"]).status.code(), Some(5));
    assert_eq!(place.run(&["cache", "gc"]).status.code(), Some(0));
    let stats = report(&place.run(&["cache", "stats", "-o", "json"]), 0);
    assert_eq!((&stats["packs"], &stats["results"]), (&0.into(), &0.into()));
}

#[test]
fn mistakes_are_usage_errors_that_say_what_to_do() {
    let place = Place::new();
    for arguments in [&["analyze", "/does/not/exist"][..], &["analyze", "--job", "embedding-generation", "."], &["job", "show", "7"], &["frobnicate"]] {
        let output = place.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty());
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let place = Place::new();
    place.fill(60);
    place.analyse(0);
    let mut child = place.bitacora(&["analyze", place.tree().to_str().unwrap(), "-o", "json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut some = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut some).unwrap();
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!((child.wait().unwrap().code(), stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_job_says_what_became_of_it() {
    let place = Place::new();
    place.fill(2);
    place.analyse(0);
    let jobs = report(&place.run(&["job", "ls", "-o", "json"]), 0);
    let job = jobs["items"][0]["id"].as_str().unwrap();
    assert_eq!(jobs["items"][0]["status"], "completed");
    let explained = place.run(&["job", "explain", job]);
    assert_eq!(String::from_utf8_lossy(&explained.stdout).trim(), "the job is completed");
    assert_eq!(place.run(&["job", "cancel", job]).status.code(), Some(9));
    assert_eq!(place.run(&["job", "cancel", "j99.1"]).status.code(), Some(9));
}
