//! A grammar that takes its process with it: the file is found, left alone, and the rest completes.

use std::{collections::BTreeSet, os::unix::process::ExitStatusExt, process::Output};

use super::support::{Place, item, reason, report};

const MARK: &str = "THIS_ABORTS";

fn analyse(place: &Place) -> Output {
    place.bitacora(&["analyze", place.tree().to_str().unwrap(), "-o", "json"]).env("BITACORA_TEST_ABORT_ON", MARK).output().unwrap()
}

/// The words that the sparks of the only job stand under, each once.
fn statuses(place: &Place) -> Vec<String> {
    let jobs = report(&place.run(&["job", "ls", "-o", "json"]), 0);
    let sparks = report(&place.run(&["job", "show", jobs["items"][0]["id"].as_str().unwrap(), "-o", "json"]), 0);
    let statuses: BTreeSet<&str> = sparks["items"].as_array().unwrap().iter().map(|spark| spark["status"].as_str().unwrap()).collect();
    statuses.into_iter().map(str::to_owned).collect()
}

#[test]
fn the_file_that_aborts_the_parser_is_found_and_quarantined() {
    let place = Place::new();
    place.fill(10);
    place.write("d3/poison.c", format!("int a; /* {MARK} */\n"));
    let first = analyse(&place);
    assert_eq!(first.status.signal(), Some(6), "the grammar call really aborts: {first:?}");
    let second = report(&analyse(&place), 3);
    assert_eq!(reason(&second, "errors", "d3/poison.c"), Some("quarantined: it ended the process that parsed it"));
    assert_eq!(second["errors"].as_array().unwrap().len(), 1);
    assert_eq!(second["items"].as_array().unwrap().len(), 20);
    assert_eq!(statuses(&place), ["completed", "quarantined"], "what was split is its halves");
    let third = report(&analyse(&place), 3);
    assert_eq!(third["errors"], second["errors"], "it is not tried again as long as it is the same");
    place.write("d3/poison.c", "int harmless;\n");
    let healed = report(&analyse(&place), 0);
    assert!(item(&healed, "d3/poison.c").is_some());
}
