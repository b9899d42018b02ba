//! What a node was brought comes to the next one on its subnet from there, and from the master where that one does not answer.

use std::process::Command;

use super::{
    fleet::{Fleet, grow, outcome, until},
    lan::{Agent, Lan},
    support::Timeless,
};

fn analyse(fleet: &Fleet, node: &str) -> Timeless {
    outcome(&fleet.begin_with(&["--no-cache", "--nodes", node]).wait_with_output().unwrap())
}

/// As the node has said so far.
fn bytes(fleet: &Fleet, node: &str, whose: &str) -> u64 {
    fleet.node(node)[whose].as_u64().unwrap()
}

#[test]
fn what_a_neighbour_was_brought_comes_from_there() {
    let Some(lan) = Lan::new(3) else { return };
    let fleet = lan.fleet();
    grow(&fleet.place);
    let [one, two] = [(1, "one"), (2, "two")].map(|(machine, name)| Agent::join(&lan, machine, &fleet, name, &["--peer", &fleet.address]));
    let alone = fleet.local();
    assert_eq!(analyse(&fleet, "one"), alone);
    until(|| bytes(&fleet, "one", "from_master_bytes") > 0);
    assert_eq!(analyse(&fleet, "two"), alone);
    until(|| bytes(&fleet, "two", "from_neighbours_bytes") > 0 && bytes(&fleet, "one", "to_neighbours_bytes") > 0);
    // All that there is, by what the first was brought.
    until(|| bytes(&fleet, "two", "from_neighbours_bytes") == bytes(&fleet, "one", "from_master_bytes"));
    assert_eq!((bytes(&fleet, "two", "from_master_bytes"), bytes(&fleet, "one", "from_neighbours_bytes")), (0, 0));
    drop(one);
    // A third one's neighbour is there and does not say a word.
    let signal = |name: &str| assert!(Command::new("kill").args([name, &two.process.0.id().to_string()]).status().unwrap().success());
    let three = Agent::join(&lan, 1, &fleet, "three", &["--peer", &fleet.address]);
    signal("-STOP");
    assert_eq!(analyse(&fleet, "three"), alone);
    signal("-CONT");
    until(|| bytes(&fleet, "three", "from_master_bytes") > 0);
    assert_eq!(bytes(&fleet, "three", "from_neighbours_bytes"), 0);
    drop(three);
}
