//! Killed with -9 in the middle of a job, round after round: agents, the master, both, of a fleet on four machines of one local
//! network. Each round ends with the report of one machine, byte for byte.

use std::{collections::BTreeMap, process::Child};

use serde_json::Value;

use super::{
    fleet::{Fleet, grow, outcome, until},
    lan::{Agent, Lan},
    support::rounds,
};

/// Who is killed, round by round.
const VICTIMS: [&[&str]; 5] = [&["one"], &[MASTER], &["one", "two", "three"], &["two", MASTER], &[MASTER, "one", "two", "three"]];
/// Each on a machine of its own, after the master's.
const AGENTS: [&str; 3] = ["one", "two", "three"];
const CATCHES_MAX: u32 = 10;
const MASTER: &str = "the master";

type Agents = BTreeMap<&'static str, Agent>;

/// The jobs that were begun since there were so many; the last one is the one in question.
fn job_after(fleet: &Fleet, earlier: usize) -> Option<Value> {
    let jobs = fleet.jobs();
    jobs.get(earlier..)?.last().cloned()
}

/// Has something of the job been done, and is each of the agents that are to be killed at work?
fn is_under_way(fleet: &Fleet, earlier: usize, victims: &[&str]) -> bool {
    let works = |name: &&str| **name == *MASTER || !fleet.node(name)["holds"].as_array().unwrap().is_empty();
    job_after(fleet, earlier).is_some_and(|job| job["sparks_done"].as_u64() > Some(0)) && victims.iter().all(works)
}

/// An analysis of everything that is under way; one that is over before anybody saw it in its middle is begun again.
fn begin_and_catch(fleet: &Fleet, victims: &[&str]) -> (usize, Child) {
    for _ in 0..CATCHES_MAX {
        let earlier = fleet.jobs().len();
        let analysis = fleet.begin_with(&["--no-cache"]);
        let is_over = || job_after(fleet, earlier).is_some_and(|job| !job["over_at"].is_null());
        let mut is_caught = false;
        until(|| {
            is_caught = is_under_way(fleet, earlier, victims);
            is_caught || is_over()
        });
        if is_caught {
            return (earlier, analysis);
        }
        analysis.wait_with_output().unwrap();
    }
    panic!("{victims:?} were never seen at work in the middle of a job");
}

/// An analysis of everything, and those who are killed in its middle.
fn kill(fleet: &mut Fleet, agents: &mut Agents, victims: &[&'static str]) -> (usize, Child) {
    let (earlier, analysis) = begin_and_catch(fleet, victims);
    for victim in victims {
        match *victim {
            MASTER => fleet.master.take().unwrap().kill(),
            agent => agents.remove(agent).unwrap().process.kill(),
        }
    }
    let job = job_after(fleet, earlier).unwrap();
    assert!(job["over_at"].is_null() && job["sparks_done"].as_u64() < job["sparks"].as_u64(), "{victims:?} were killed in the middle of it: {job}");
    (earlier, analysis)
}

#[test]
fn whoever_is_killed_in_the_middle_of_a_job_costs_nothing_but_time() {
    let Some(lan) = Lan::new(1 + AGENTS.len()) else { return };
    let mut fleet = lan.fleet();
    grow(&fleet.place);
    let expected = fleet.local();
    let machines: BTreeMap<&str, usize> = AGENTS.into_iter().zip(1..).collect();
    let address = fleet.address.clone();
    let mut agents: Agents = AGENTS.map(|name| (name, Agent::join(&lan, machines[name], &fleet, name, &["--peer", &address]))).into();
    for (round, victims) in (0..rounds()).zip(VICTIMS.iter().cycle()) {
        let (earlier, mut analysis) = kill(&mut fleet, &mut agents, victims);
        for victim in *victims {
            match *victim {
                MASTER => fleet.master = Some(lan.serve(&fleet.place)),
                agent => drop(agents.insert(agent, Agent::start(&lan, machines[agent], &fleet, agent, &[]))),
            }
        }
        if victims.contains(&MASTER) {
            // Who looked away in that moment has seen nothing of it; its report fills a pipe, and is read for that alone.
            let waited = analysis.wait_with_output().unwrap();
            assert!(!waited.status.success() || outcome(&waited) == expected, "whoever waits for a master that dies is told, or served");
            until(|| job_after(&fleet, earlier).unwrap()["status"] == "completed");
            assert_eq!(fleet.jobs().len(), earlier + 1, "the job goes on by itself, and is the same one");
            analysis = fleet.begin();
        }
        assert_eq!(outcome(&analysis.wait_with_output().unwrap()), expected, "round {round}: {victims:?}");
    }
}
