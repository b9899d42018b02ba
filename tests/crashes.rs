//! Killed at every step of writing: blobs, manifests (which are blobs) and the journal, and once more while it recovers. The same
//! command again gives the same report, nothing that was kept is damaged, and what was begun is swept away.

use std::{fs, os::unix::process::ExitStatusExt, path::Path, process::Output};

use bitacora::{data::DataDirectory, journal::SNAPSHOT_AFTER};
use fleet_agent::crash::Point;
use serde_json::Value;

use super::support::{Place, report, rounds, timeless};

const SIGKILL: i32 = 9;
/// Analyses before the one that is killed: more facts than that many do not fit before a snapshot.
const EARLIER_MAX: usize = 40;

/// A tree with a change in it, a data directory that knows it as it was before, and the report of somebody who knows nothing of it.
struct Lived {
    place: Place,
    expected: Value,
}

impl Lived {
    /// The journal is so long that the next analysis ends with a snapshot.
    fn in_for_long() -> Lived {
        let place = Place::new();
        place.fill(3);
        let analyse = |place: &Place| analyse(&place.tree(), place, None);
        let mut facts = 0;
        for _ in 0..EARLIER_MAX {
            assert!(analyse(&place).status.success());
            let now = facts_since_snapshot(&place);
            if 2 * now > facts + SNAPSHOT_AFTER {
                break;
            }
            facts = now;
        }
        place.write("d0/f0.py", "def new(): pass\n");
        let reference = Place::new();
        reference.fill(3);
        reference.write("d0/f0.py", "def new(): pass\n");
        let expected = timeless(report(&analyse(&reference), 0));
        Lived { place, expected }
    }

    /// Answers with whether the point was reached so often.
    fn survives(&self, point: Point, number: u32) -> bool {
        let (tree, copy) = (self.place.tree(), Place::new());
        copy_folder(&self.place.data(), &copy.data());
        let analyse = |kill_at| analyse(&tree, &copy, kill_at);
        let killed = analyse(Some((point, number)));
        if killed.status.signal() != Some(SIGKILL) {
            assert_eq!(timeless(report(&killed, 0)), self.expected, "{point:?}, which was not reached {number} times");
            return false;
        }
        // Whoever recovers may be killed as well. Not at a blob: what was running is run in a child now, and a file that takes its
        // child with it is left alone.
        let again = analyse(Some((Point::BatchWritten, 2)));
        assert_eq!(again.status.signal(), Some(SIGKILL), "{point:?} {number}, while it recovers: {again:?}");
        assert_eq!(timeless(report(&analyse(None), 0)), self.expected, "{point:?} {number}");
        let jobs = report(&copy.run(&["job", "ls", "-o", "json"]), 0);
        assert!(jobs["items"].as_array().unwrap().iter().all(|job| job["status"] == "completed"), "{point:?} {number}: the same job went on: {jobs}");
        assert_eq!(copy.run(&["symbols", "new"]).status.code(), Some(0), "{point:?} {number}: every pack can be read");
        assert!(copy.run(&["cache", "gc"]).status.success() && half_written(&copy) == 0, "{point:?} {number}: nothing half is left");
        let metrics = report(&copy.run(&["metrics", "-o", "json"]), 0);
        assert_eq!(metrics["summary"], self.expected["summary"], "{point:?} {number}: nothing that is needed was swept away");
        true
    }
}

fn analyse(tree: &Path, data: &Place, kill_at: Option<(Point, u32)>) -> Output {
    let mut command = data.bitacora(&["analyze", tree.to_str().unwrap(), "--partition", "by-language", "--no-cache", "-o", "json"]);
    command.envs(kill_at.map(|(point, number)| ("BITACORA_TEST_KILL_AT", format!("{}:{number}", point.name()))));
    command.output().unwrap()
}

fn facts_since_snapshot(place: &Place) -> u64 {
    let journal = rusqlite::Connection::open(DataDirectory::open(Some(&place.data())).unwrap().journal()).unwrap();
    let last = |table: &str| journal.query_row(&format!("SELECT coalesce(max(sequence), 0) FROM {table}"), [], |row| row.get::<_, u64>(0)).unwrap();
    last("facts").saturating_sub(last("snapshots"))
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => copy_folder(&from, &to),
            kind if kind.is_file() => drop(fs::copy(&from, &to).unwrap()),
            // A socket of a process that is gone.
            _ => {}
        }
    }
}

/// How many files hold what was begun and not ended.
fn half_written(place: &Place) -> usize {
    let shards = ["packs", "results"].iter().flat_map(|kind| fs::read_dir(place.data().join(kind)).into_iter().flatten().flatten());
    let files = shards.flat_map(|shard| fs::read_dir(shard.path()).unwrap().flatten());
    files.filter(|file| file.path().extension().is_some_and(|extension| extension == "part" || extension == "damaged")).count()
}

#[test]
fn killed_at_any_step_of_writing_it_loses_nothing() {
    let lived = Lived::in_for_long();
    // With few rounds the first of each and one that comes later; with many one after the other.
    let stride = if rounds() > 2 { 1 } else { 3 };
    let mut kills = 0;
    for point in Point::ALL {
        let reached = (0..rounds()).map(|round| 1 + round * stride).take_while(|number| lived.survives(point, *number)).count();
        assert!(reached > 0, "{point:?} is on the way of an analysis");
        kills += reached;
    }
    println!("{kills} kills at {} points", Point::ALL.len());
}
