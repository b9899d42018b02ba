//! A whole fleet in one thread and virtual time: the real cores, simulated nodes, network, disk and people, a seed.
//!
//! [`run`] plays a [`Scenario`] to its end and panics on the first contradiction: an invariant of a core that does not
//! hold, a promise to a node or a person that a restart broke, a result that differs from what a fleet without faults
//! comes to, a job that never ends. Everything is bounded, so that a bug is a panic and never a hang.
//!
//! It decides nothing about the fleet; each `impl Simulation` beside this file plays one part:
//! `master` and its disk, `node`s and their work, the `network`, `people`. `oracle` remembers what was promised. [`demo`] is another
//! simulation, to be looked at.

pub mod demo;
mod dice;
mod master;
mod network;
mod node;
mod oracle;
mod people;
mod scenario;
mod trees;

use alloc::{collections::BTreeMap, vec::Vec};

use self::{
    dice::Dice,
    master::{Master, Stored},
    node::Node,
    oracle::Oracle,
    people::People,
};
pub use self::{
    people::compare,
    scenario::{Count, Faults, Plant, START, Scenario, Tally},
    trees::Tree,
};
use crate::{
    ids::{Attempt, JobId, NodeId},
    time::{Span, Time},
    wire::{
        Envelope, FromAgent, ToAgent,
        message::{Held, Progress},
        task::{AttemptError, FileOutcome, SparkOutput},
    },
};

/// Between looks at whether somebody or something misbehaves.
const MISCHIEF_EVERY: Span = Span::from_millis(100);
/// Between commands of people.
const PEOPLE_EVERY: Span = Span::from_millis(250);

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Report {
    pub events: u64,
    /// Virtual.
    pub lasted: Span,
    pub tally: Tally,
    /// The outcomes of each completed job beside the tree that it was asked to analyse.
    pub results: Vec<(Tree, Vec<FileOutcome>)>,
}

/// Plays a scenario to its end. Panics, naming the contradiction, when there is one.
pub fn run(scenario: Scenario) -> Report {
    let mut simulation = Simulation::new(scenario);
    while !simulation.is_settled() {
        simulation.step();
    }
    simulation.finish()
}

struct Simulation {
    scenario: Scenario,
    now: Time,
    /// Events so far.
    events: u64,
    /// Numbers what is scheduled, so that what is due together keeps its order.
    sequence: u64,
    due: BTreeMap<(Time, u64), Happening>,
    dice: Dice,
    master: Master,
    nodes: BTreeMap<NodeId, Node>,
    people: People,
    oracle: Oracle,
    tally: Tally,
}

/// Who truly said something, whatever the message claims.
#[derive(Clone, Copy, Debug)]
struct Origin {
    node: NodeId,
    life: u64,
}

/// Everything that is scheduled. A `life` or `token` that is over makes it void.
enum Happening {
    MasterHears { origin: Origin, message: Envelope<FromAgent> },
    MasterWakes,
    MasterCommits { life: u64 },
    MasterStarts,
    TreeListed { life: u64, job: JobId },
    ResultStored { life: u64, stored: Stored },
    DisconnectSeen { node: NodeId },
    NodeHears { node: NodeId, message: Envelope<ToAgent> },
    NodeWakes { node: NodeId, life: u64 },
    NodeConnects { node: NodeId },
    NodeCalled { node: NodeId },
    NodeStarts { node: NodeId },
    NodeHeals { node: NodeId, reconnects: bool },
    WorkProgressed { node: NodeId, token: u64, progress: Progress },
    WorkEnded { node: NodeId, token: u64, held: Held, result: Result<SparkOutput, AttemptError> },
    ProcessDies { node: NodeId, token: u64, victim: (Held, u32) },
    Mischief,
    PeopleAct,
}

impl Simulation {
    fn new(scenario: Scenario) -> Simulation {
        let master = Master::new(scenario.settings(), scenario.agents);
        let dice = Dice::new(scenario.seed);
        let nodes = (1..=u64::from(scenario.agents)).map(|number| (NodeId(number), Node::new(number, &scenario))).collect();
        let mut simulation = Simulation {
            scenario,
            now: START,
            events: 0,
            sequence: 0,
            due: BTreeMap::new(),
            dice,
            master,
            nodes,
            people: People::default(),
            oracle: Oracle::default(),
            tally: Tally::default(),
        };
        simulation.begin();
        simulation
    }

    fn begin(&mut self) {
        self.start_master();
        for node in self.nodes.keys().copied().collect::<Vec<_>>() {
            let wait = self.dice.millis(0, 300);
            self.after(wait, Happening::NodeStarts { node });
        }
        self.after(MISCHIEF_EVERY, Happening::Mischief);
        self.after(Span::from_millis(350), Happening::PeopleAct);
    }

    fn after(&mut self, wait: Span, happening: Happening) {
        self.at(self.now + wait, happening);
    }

    fn at(&mut self, when: Time, happening: Happening) {
        self.sequence += 1;
        self.due.insert((when.max(self.now), self.sequence), happening);
    }

    /// Names one course of work, and no other.
    fn token(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    fn step(&mut self) {
        let ((now, _), happening) = self.due.pop_first().expect("mischief and people are always due");
        self.now = now;
        self.events += 1;
        assert!(self.events < self.scenario.events_max, "live lock: {} events by {} s: {}", self.events, self.elapsed().as_secs_f64(), self.unsettled());
        let patience = self.scenario.calm_at + self.scenario.patience;
        assert!(now < patience, "unfinished {} s after the last fault: {}", self.scenario.patience.as_secs_f64(), self.unsettled());
        self.happen(happening);
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::MasterHears { origin, message } => self.on_master_hears(origin, message),
            Happening::MasterWakes => self.on_master_wakes(),
            Happening::MasterCommits { life } => self.on_master_commits(life),
            Happening::MasterStarts => self.start_master(),
            Happening::TreeListed { life, job } => self.on_tree_listed(life, job),
            Happening::ResultStored { life, stored } => self.on_result_stored(life, stored),
            Happening::DisconnectSeen { node } => self.on_disconnect_seen(node),
            Happening::NodeHears { node, message } => self.on_node_hears(node, message),
            Happening::NodeWakes { node, life } => self.on_node_wakes(node, life),
            Happening::NodeConnects { node } => self.on_node_connects(node),
            Happening::NodeCalled { node } => self.on_node_called(node),
            Happening::NodeStarts { node } => self.on_node_starts(node),
            Happening::NodeHeals { node, reconnects } => self.on_node_heals(node, reconnects),
            Happening::WorkProgressed { node, token, progress } => self.on_work_progressed(node, token, progress),
            Happening::WorkEnded { node, token, held, result } => self.on_work_ended(node, token, held, result),
            Happening::ProcessDies { node, token, victim } => self.on_process_dies(node, token, victim),
            Happening::Mischief => self.on_mischief(),
            Happening::PeopleAct => self.on_people_act(),
        }
    }

    /// Are there still faults?
    fn is_rough(&self) -> bool {
        self.now < self.scenario.calm_at
    }

    fn trouble(&mut self, per_myriad: u32) -> bool {
        self.is_rough() && self.dice.chance(per_myriad)
    }

    fn has_plant(&self, plant: Plant) -> bool {
        self.scenario.plant == Some(plant)
    }

    fn elapsed(&self) -> Span {
        self.now - START
    }

    fn on_mischief(&mut self) {
        self.after(MISCHIEF_EVERY, Happening::Mischief);
        let Faults { partitioned, killed, .. } = self.scenario.faults;
        for node in self.nodes.keys().copied().collect::<Vec<_>>() {
            if self.trouble(partitioned / 10) {
                self.partition(node);
            }
            if self.trouble(killed / 10) {
                self.tally.one(Count::NodeKilled);
                self.kill_node(node);
            }
            if self.trouble(killed / 20) {
                self.ask_to_leave(node);
            }
        }
    }

    /// Nothing is left to do, nobody holds anything, and the master knows every node that lives.
    fn is_settled(&self) -> bool {
        let is_calm = !self.is_rough() && self.people.are_done();
        let living = self.nodes.values().filter(|node| !node.is_retired()).count();
        is_calm && self.nodes.values().all(Node::is_idle) && self.master.is_settled(self.now, living)
    }

    /// What keeps the run from its end, for whoever reads the panic.
    fn unsettled(&self) -> alloc::string::String {
        let busy: Vec<_> = self.nodes.iter().filter(|(_, node)| !node.is_idle()).map(|(id, _)| id.0).collect();
        alloc::format!("nodes that hold something: {busy:?}; {}", self.master.unsettled(self.now))
    }

    fn finish(mut self) -> Report {
        self.master.compare_with_replay();
        self.oracle.check_promises(self.master.durable());
        self.tally.more(Count::StaleMessage, self.master.stale_messages());
        self.tally.more(Count::AnswerCompared, self.master.duplicates());
        let lasted = self.elapsed();
        Report { events: self.events, lasted, tally: self.tally, results: self.people.results }
    }
}

fn held(spark: crate::ids::SparkId, attempt: Attempt) -> Held {
    Held { spark, attempt }
}
