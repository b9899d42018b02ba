//! Whole fleets in virtual time, seed by seed, with everything going wrong that can.
//!
//! A failure names its run as "agents seed"; that line belongs into `seeds.txt`. `BITACORA_SIM_SEEDS=N` plays N seeds
//! instead of the few that every build plays.

mod placement;
mod plants;
mod storms;

use std::panic::{AssertUnwindSafe, catch_unwind};

use bitacora_core::sim::{self, Report, Scenario};

/// Plays a run; what a contradiction says, when there is one.
fn play(scenario: Scenario) -> Result<Report, String> {
    // Nothing of a run is used after it panicked.
    catch_unwind(AssertUnwindSafe(|| sim::run(scenario))).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_else(|| "a panic without a text".into())
    })
}

/// Plays a run and compares each result with its tree; answers with the number of files that results lack.
fn play_and_compare(scenario: Scenario) -> Result<(Report, usize), String> {
    let report = play(scenario)?;
    let lacking = catch_unwind(AssertUnwindSafe(|| report.results.iter().map(|(tree, outcomes)| sim::compare(tree, outcomes)).sum()));
    let lacking = lacking.map_err(|panic| panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "a result differs".into()))?;
    Ok((report, lacking))
}

/// Plays a run that must go well.
fn must_go_well(scenario: Scenario) -> Report {
    let (agents, seed, gives_up) = (scenario.agents, scenario.seed, scenario.failures_max < 1_000);
    match play_and_compare(scenario) {
        Ok((report, lacking)) => {
            assert!(lacking == 0 || gives_up, "run {agents} {seed}: {lacking} files lack an outcome");
            report
        }
        Err(contradiction) => panic!("run {agents} {seed}: {contradiction}"),
    }
}
