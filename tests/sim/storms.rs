//! Runs without a planted bug: none finds anything.

use bitacora_core::{
    fleet::ListedFile,
    sim::{Count, Report, Scenario, Tally},
    wire::task::{FailReason, FileResult},
};

use super::must_go_well;

/// Seeds of ten agents that every build plays.
const SEEDS: u64 = 300;

#[test]
fn without_faults_every_job_completes_and_nothing_else_happens() {
    // A run in which nobody waits for a job that a later submission takes the place of.
    let report = must_go_well(Scenario::calm(6, 3));
    let trouble: Vec<Count> = Count::ALL.into_iter().filter(|count| count.is_trouble() && report.tally.of(*count) > 0).collect();
    assert_eq!(trouble, [], "{:?}", report.tally);
    assert!(report.tally.of(Count::JobCompleted) > 0);
}

#[test]
fn exactly_the_deadly_files_are_quarantined() {
    let report = must_go_well(Scenario::calm(2, 3));
    for (tree, outcomes) in &report.results {
        let quarantined = outcomes.iter().filter(|outcome| outcome.result == FileResult::Failed(FailReason::Quarantined)).map(|outcome| outcome.index);
        let deadly = |(_, file): &(u32, &ListedFile)| file.path.as_bytes().ends_with(b".deadly");
        let expected = (0..).zip(&tree.files).filter(deadly).map(|(index, _)| index);
        assert_eq!(quarantined.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    }
}

#[test]
fn a_seed_decides_a_run_event_by_event() {
    let [first, second] = [must_go_well(Scenario::stormy(5, 4)), must_go_well(Scenario::stormy(5, 4))];
    assert_eq!((first.events, first.lasted, first.tally), (second.events, second.lasted, second.tally));
}

#[test]
fn storms_are_compared_with_what_a_run_without_faults_comes_to() {
    let report = must_go_well(Scenario::calm(3, 3));
    assert!(!report.results.is_empty());
    for (tree, outcomes) in &report.results {
        assert_eq!(&tree.expected(), outcomes);
    }
}

#[test]
fn seeds_that_once_failed_go_well() {
    for line in include_str!("seeds.txt").lines().filter(|line| !line.starts_with('#')) {
        let (agents, seed) = line.split_once(' ').expect("a line is two numbers");
        must_go_well(Scenario::stormy(seed.parse().expect("a seed is a number"), agents.parse().expect("agents are a number")));
    }
}

#[test]
fn ten_agents_come_through_every_storm() {
    let asked = std::env::var("BITACORA_SIM_SEEDS").ok().map(|seeds| seeds.parse().expect("BITACORA_SIM_SEEDS is a number"));
    let mut tally = Tally::default();
    for seed in 0..asked.unwrap_or(SEEDS) {
        tally.add(&must_go_well(Scenario::stormy(seed, 10)).tally);
    }
    let never: Vec<Count> = Count::ALL.into_iter().filter(|count| tally.of(*count) == 0).collect();
    assert!(never.is_empty() || asked.is_some_and(|asked| asked < SEEDS), "these never happened: {never:?}");
}

/// Or as many as BITACORA_SIM_AGENTS says.
#[test]
fn a_hundred_agents_come_through_a_storm() {
    let agents = std::env::var("BITACORA_SIM_AGENTS").map_or(100, |agents| agents.parse().expect("BITACORA_SIM_AGENTS is a number"));
    let mut all = Tally::default();
    for seed in [100, 101] {
        let started = std::time::Instant::now();
        let Report { events, lasted, tally, .. } = must_go_well(Scenario::stormy(seed, agents));
        let took = started.elapsed();
        println!("{agents} agents, seed {seed}: {events} events, {:.0} virtual seconds, {:.1} s, {tally:?}", lasted.as_secs_f64(), took.as_secs_f64());
        all.add(&tally);
    }
    for count in [
        Count::MasterKilled,
        Count::NodeKilled,
        Count::NodePartitioned,
        Count::LinkHalfOpen,
        Count::MessageDuplicated,
        Count::ProcessPoisoned,
        Count::JobCompleted,
    ] {
        assert!(all.of(count) > 0, "{count:?} never happened");
    }
}
