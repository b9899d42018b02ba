//! Planted bugs: a simulation that does not find them would not find ours either.

use bitacora_core::sim::{Plant, Scenario};

use super::play_and_compare;

/// Seeds in which a planted bug has to show.
const SEEDS_MAX: u64 = 60;

#[test]
fn every_planted_bug_is_found() {
    let mut missed = Vec::new();
    for plant in Plant::ALL {
        match first_sight(plant) {
            Some((seed, contradiction)) => println!("{plant:?} shows in seed {seed}: {contradiction}"),
            None => missed.push(plant),
        }
    }
    assert_eq!(missed, [], "not found in {SEEDS_MAX} seeds");
}

/// The first seed that shows a planted bug, and how.
fn first_sight(plant: Plant) -> Option<(u64, String)> {
    (0..SEEDS_MAX).find_map(|seed| Some((seed, play_and_compare(scenario(seed).planted(plant)).err()?)))
}

#[test]
fn the_same_runs_without_a_plant_find_nothing() {
    for seed in 0..SEEDS_MAX {
        let outcome = play_and_compare(scenario(seed));
        assert!(outcome.is_ok(), "run 6 {seed}: {}", outcome.err().unwrap_or_default());
    }
}

fn scenario(seed: u64) -> Scenario {
    Scenario::stormy(seed, 6)
}
