//! Records in a fleet: what anybody has found is not looked for again, and nodes are given what they are to have.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

use bitacora::journal::Journal;
use bitacora_core::ids::Digest;
use fleet_agent::{analysis, blobs::Blobs, cache::Cache};

use super::{
    fleet::{Fleet, Process, grow, outcome, until},
    support::{Place, Timeless, report},
};

fn cache_of(folder: &Path) -> Cache {
    Cache::open(folder, analysis::fingerprint()).unwrap()
}

/// The files that a data directory's cache answers for.
fn records_in(folder: &Path) -> usize {
    cache_of(folder).index().unwrap().len()
}

fn packs_in(folder: &Path) -> BTreeSet<Digest> {
    cache_of(folder).packs().list().unwrap().into_iter().map(|(name, _)| name).collect()
}

fn warm(fleet: &Fleet, arguments: &[&str]) -> (Option<i32>, String) {
    let tree = fleet.place.tree();
    let output = fleet.place.run(&[&["cache", "warm", tree.to_str().unwrap()], arguments].concat());
    assert!(output.stdout.is_empty(), "it reports nothing");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Files that the fleet's latest analysis gave to nodes.
fn given_last(fleet: &Fleet) -> u64 {
    let jobs = fleet.jobs();
    let mut analyses = jobs.iter().filter(|job| job["type"] == "full-analysis");
    analyses.next_back().unwrap()["files"].as_u64().unwrap()
}

#[test]
fn a_node_that_was_warmed_parses_nothing() {
    let mut fleet = Fleet::new();
    fleet.place.fill(60);
    let (_one, _two) = (fleet.join("one"), fleet.join("two"));
    assert_eq!(warm(&fleet, &[]).0, Some(0));
    let folders = ["one", "two", "three"].map(|name| fleet.folder(name));
    assert_eq!([0, 1].map(|place| records_in(&folders[place])), [120, 120], "both have all of it, whoever parsed it");

    let _three = fleet.join("three");
    assert_eq!(fleet.place.run(&["node", "cordon", "two"]).status.code(), Some(0));
    let (code, said) = warm(&fleet, &["--nodes", "three,two"]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("two") && !said.contains("three"), "{said}");
    assert_eq!(records_in(&folders[2]), 120, "it never parsed anything");
    assert_eq!(warm(&fleet, &["--nodes", "nobody"]).0, Some(5));
    assert_eq!(fleet.place.run(&["node", "uncordon", "two"]).status.code(), Some(0));

    // A master that has lost every record has to ask the nodes again.
    assert_eq!(fleet.master.take().unwrap().terminate(), Some(0));
    fs::remove_dir_all(fleet.place.data().join("packs")).unwrap();
    fleet.serve();
    ["one", "two", "three"].iter().for_each(|name| fleet.wait_for(name, "healthy"));
    let before = folders.each_ref().map(|folder| packs_in(folder));
    // Cut otherwise, so that whoever parses makes a pack that nobody has.
    let tree = fleet.place.tree();
    let again = outcome(&fleet.place.run(&["analyze", tree.to_str().unwrap(), "--partition", "by-language", "-o", "json"]));
    assert_eq!(given_last(&fleet), 120);
    assert_eq!(folders.each_ref().map(|folder| packs_in(folder)), before, "nobody parsed anything");
    assert_eq!(again, fleet.local());
}

#[test]
fn what_was_found_once_is_not_looked_for_again() {
    let fleet = Fleet::new();
    fleet.place.fill(10);
    fleet.place.write("run", "#!/usr/bin/env python3\ndef f(): pass\n");
    let one = fleet.join("one");
    outcome(&fleet.begin().wait_with_output().unwrap());
    assert_eq!(given_last(&fleet), 21);

    // Another project that shares files with it.
    let second = fleet.place.path("second");
    copy(&fleet.place.tree(), &second);
    fs::write(second.join("new.py"), "def added(): pass\n").unwrap();
    let analysed = |tree: &PathBuf| outcome(&fleet.place.run(&["analyze", tree.to_str().unwrap(), "-o", "json"]));
    assert_eq!(analysed(&second), alone(&fleet.place, &second));
    assert_eq!(given_last(&fleet), 1, "what the first has no node is asked for");

    // Whoever found it has lost it, and is gone.
    one.kill();
    fs::remove_dir_all(fleet.folder("one").join("packs")).unwrap();
    for number in 0..10 {
        let path = fleet.place.tree().join(format!("d{number}/f{number}.py"));
        fs::rename(&path, fleet.place.tree().join(format!("other{number}.py"))).unwrap();
    }
    assert_eq!(analysed(&fleet.place.tree()), fleet.local());
    assert_eq!(given_last(&fleet), 0, "no node is needed");
}

/// Who has each pack that any node has.
fn holders(fleet: &Fleet, names: &[&str]) -> BTreeMap<Digest, usize> {
    let mut holders = BTreeMap::new();
    names.iter().flat_map(|name| packs_in(&fleet.folder(name))).for_each(|pack| *holders.entry(pack).or_default() += 1);
    holders
}

/// As on a disk that was cleared.
fn forget_packs(data: &Path) {
    fs::remove_dir_all(data.join("packs")).unwrap();
    fs::create_dir(data.join("packs")).unwrap();
}

#[test]
fn records_stay_on_the_nodes_and_outlive_one_of_them() {
    let mut fleet = Fleet::of(Place::new(), "127.0.0.1:0".into(), None);
    fleet.serve_with(&["--results", "nodes"]);
    fleet.place.fill(60);
    let [one, two, three] = ["one", "two", "three"].map(|name| fleet.join(name));
    let tree = fleet.place.tree();
    let named = fleet.place.run(&["analyze", tree.to_str().unwrap(), "-o", "name"]);
    assert_eq!((named.status.code(), String::from_utf8_lossy(&named.stdout).lines().count()), (Some(0), 120));
    assert!(packs_in(&fleet.place.data()).is_empty(), "none was brought here");
    until(|| holders(&fleet, &["one", "two", "three"]).values().all(|copies| *copies >= 2));

    assert_eq!(outcome(&fleet.begin().wait_with_output().unwrap()), fleet.local(), "whoever wants to read them gets them");
    let found = report(&fleet.place.run(&["symbols", "function_3_7", "-o", "json"]), 0);
    assert_eq!(found["items"][0]["fit"], "exact");
    forget_packs(&fleet.place.data());
    let again = report(&fleet.place.run(&["symbols", "function_3_7", "-o", "json"]), 0);
    assert_eq!(again["items"], found["items"], "and once more");

    one.kill();
    assert_eq!(fleet.place.run(&["node", "rm", "one", "--yes"]).status.code(), Some(0));
    let all = holders(&fleet, &["one", "two", "three"]).len();
    until(|| {
        let left = holders(&fleet, &["two", "three"]);
        left.len() == all && left.values().all(|copies| *copies == 2)
    });
    forget_packs(&fleet.place.data());
    assert_eq!(outcome(&fleet.begin().wait_with_output().unwrap()), fleet.local());
    assert_eq!(given_last(&fleet), 0, "nothing is lost, and nothing is done again");

    forget_packs(&fleet.place.data());
    assert_eq!((two.terminate(), three.terminate()), (Some(0), Some(0)));
    let search = fleet.place.run(&["symbols", "function_3_7"]);
    let said = String::from_utf8_lossy(&search.stderr);
    assert_eq!(search.status.code(), Some(3), "{said}");
    assert!(said.contains("two") && said.contains("three"), "{said}");

    // With nobody to ask the nodes, what they have is not lost.
    assert_eq!(fleet.master.take().unwrap().terminate(), Some(0));
    for arguments in [&["symbols", "function_3_7"][..], &["metrics"]] {
        let partial = report(&fleet.place.run(&[arguments, &["-o", "json"]].concat()), 3);
        let errors = partial["errors"].as_array().unwrap();
        assert_eq!((errors.len(), &errors[0]["reason"]), (120, &"its record is on a node that is out of reach".into()), "{partial}");
        let said = String::from_utf8(fleet.place.run(&[arguments, &["-o", "ndjson"]].concat()).stderr).unwrap();
        assert!(said.contains("two") && said.contains("three") && !said.contains("damaged"), "{said}");
    }
}

#[test]
fn a_node_keeps_to_what_its_packs_may_take_and_says_what_went() {
    let mut fleet = Fleet::of(Place::new(), "127.0.0.1:0".into(), None);
    fleet.serve_with(&["--results", "nodes", "--copies", "1"]);
    grow(&fleet.place);
    let one = fleet.join("one");
    let named = fleet.place.run(&["analyze", fleet.place.tree().to_str().unwrap(), "-o", "name"]);
    assert_eq!(named.status.code(), Some(0));
    assert_eq!(one.terminate(), Some(0));
    let packs = Blobs::open(&fleet.folder("one").join("packs")).unwrap();
    let bytes = || packs.list().unwrap().iter().map(|(_, size)| size).sum::<u64>();
    assert!(bytes() > 1_000_000, "there is something to be removed: {} bytes", bytes());
    for name in packs_in(&fleet.folder("one")) {
        let pack = fs::File::options().append(true).open(packs.path(name)).unwrap();
        pack.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
    }
    let held = || Journal::read(&fleet.place.data().join("journal.sqlite")).unwrap().unwrap().holders.into_keys().collect::<BTreeSet<Digest>>();
    assert_eq!(held(), packs_in(&fleet.folder("one")));
    let _one = Process(fleet.agent("one").args(["--disk", "1"]).spawn().unwrap());
    until(|| bytes() <= 1_000_000);
    until(|| held() == packs_in(&fleet.folder("one")));
    assert_eq!(outcome(&fleet.begin_with(&["--no-cache"]).wait_with_output().unwrap()), fleet.local(), "what went is made again");
}

#[test]
fn a_master_that_stays_removes_what_nothing_needs() {
    let fleet = Fleet::new();
    fleet.place.fill(4);
    let one = fleet.join("one");
    outcome(&fleet.begin().wait_with_output().unwrap());
    // Every file is another one now, and nothing of the first result is needed.
    let before = packs_in(&fleet.place.data());
    (0..4).for_each(|number| fleet.place.write(&format!("d{number}/f{number}.py"), format!("def new_{number}(): pass\n")));
    (0..4).for_each(|number| fleet.place.write(&format!("d{number}/f{number}.c"), format!("int new_{number};\n")));
    outcome(&fleet.begin().wait_with_output().unwrap());
    let packs = fleet.place.data().join("packs").join("00");
    fs::create_dir_all(&packs).unwrap();
    fs::write(packs.join("x.part"), "half").unwrap();
    fs::write(packs.join("x.damaged"), "damaged").unwrap();
    let gc = |arguments: &[&str]| {
        let output = fleet.place.run(&[&["cache", "gc"], arguments].concat());
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = gc(&["--dry-run"]);
    assert!(code == Some(10) && said.contains("would remove"), "{said}");
    let files = |said: &str| said.split_whitespace().find_map(|word| word.parse::<u64>().ok()).unwrap();
    let (code, removed) = gc(&[]);
    assert_eq!((code, files(&removed)), (Some(0), files(&said) - 1), "all but what somebody may be writing: {removed}");
    assert!(packs_in(&fleet.place.data()).is_disjoint(&before) && !packs.join("x.damaged").exists());
    assert_eq!(gc(&[]).1.trim(), "removed 0 files, 0 B");
    assert_eq!(outcome(&fleet.begin().wait_with_output().unwrap()), fleet.local(), "what is needed is there");
    assert_eq!(given_last(&fleet), 0);

    // What a job has found that is not over is needed.
    one.kill();
    fleet.place.write("another.py", "def another(): pass\n");
    let mut waits = fleet.begin();
    until(|| fleet.jobs().iter().any(|job| job["status"] != "completed"));
    let (code, said) = gc(&[]);
    assert!(code == Some(9) && said.contains("not over"), "{said}");
    waits.kill().unwrap();
    waits.wait().unwrap();
}

#[test]
fn leftovers_are_counted_before_they_are_removed() {
    let place = Place::new();
    place.fill(1);
    place.analyse(0);
    let packs = place.data().join("packs").join("00");
    fs::create_dir_all(&packs).unwrap();
    fs::write(packs.join("x.part"), "half").unwrap();
    let gc = |arguments: &[&str]| {
        let output = place.run(&[&["cache", "gc"], arguments].concat());
        (output.status.code(), String::from_utf8(output.stderr).unwrap().trim().to_owned())
    };
    assert_eq!(gc(&["--dry-run"]), (Some(10), "would remove 1 file, 4 B".to_owned()));
    assert_eq!(gc(&[]), (Some(0), "removed 1 file, 4 B".to_owned()));
    assert_eq!(gc(&["--dry-run"]), (Some(0), "would remove 0 files, 0 B".to_owned()));
}

#[test]
fn without_a_fleet_the_records_stay_here() {
    let place = Place::new();
    place.fill(3);
    let tree = place.tree();
    let output = place.run(&["cache", "warm", tree.to_str().unwrap()]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 0));
    assert_eq!(records_in(&place.data()), 6);
    assert_eq!(place.run(&["cache", "warm", tree.to_str().unwrap(), "--nodes", "one"]).status.code(), Some(2), "there is nobody");
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-r").arg(from).arg(to).status().unwrap().success());
}

fn alone(place: &Place, tree: &Path) -> Timeless {
    let data = place.path("alone-too");
    let output = Command::new(env!("CARGO_BIN_EXE_bitacora")).arg("--data-dir").arg(data).arg("analyze").arg(tree).args(["-o", "json"]).output();
    outcome(&output.unwrap())
}
