//! What must never be, asserted. The simulation runs this after every event.

use alloc::vec;

use super::{Fleet, Job, Needs, Node, SparkState};
use crate::{
    ids::{JobId, NodeId, SparkId},
    time::Span,
};

impl Fleet {
    /// Panics on a contradiction, naming it.
    pub fn check(&self) {
        for (id, job) in &self.ledger.jobs {
            let project = job.spec.about();
            assert!(project.is_none_or(|project| self.ledger.projects.contains_key(&project)), "{id} belongs to a project that exists");
            assert_eq!(self.active.contains_key(id), !job.status.is_over(), "{id} is active until it is over");
            if !job.status.is_over() {
                check_conservation(*id, job);
                self.check_queues(*id, job);
            }
        }
        self.check_flights();
        for (pack, holders) in &self.ledger.holders {
            assert!(!holders.is_empty() && holders.iter().all(|node| self.admits(*node)), "{pack} is held by nodes of the fleet");
        }
        for (id, node) in &self.nodes {
            let mut backlog = Span(0);
            for held in &node.held {
                let flight = self.flights.get(*held).filter(|flight| flight.node == *id);
                let flight = flight.unwrap_or_else(|| panic!("{} held by node {} is in flight", held.spark, id.0));
                backlog.0 = backlog.0.saturating_add(flight.estimate.0);
            }
            assert_eq!(node.backlog, backlog, "what node {} has to do is what it holds", id.0);
            self.check_slots(*id, node);
        }
    }

    fn check_slots(&self, id: NodeId, node: &Node) {
        let flying = || node.held.iter().filter_map(|held| self.flights.get(*held));
        let reserved = flying().fold(Needs::default(), |sum, flight| sum.with(flight.needs));
        assert_eq!(node.reserved, reserved, "what is reserved on node {} is what it holds", id.0);
        let all = self.capacity(id, node);
        assert!(reserved.memory_bytes <= all.memory_bytes && reserved.gpus <= all.gpus, "no more is reserved on node {} than it has", id.0);
        let running = flying().filter(|flight| flight.runs_since.is_some()).map(|flight| flight.needs.slots()).sum::<u32>();
        assert_eq!(node.running_slots, running, "slots of node {} are taken by what runs", id.0);
        let parsing = flying().filter(|flight| flight.runs_since.is_some() && flight.parses).count();
        assert_eq!(node.parsing as usize, parsing, "what node {} runs is counted by what it is", id.0);
        let next = node.line.iter().find(|held| node.held.contains(held)).and_then(|held| self.flights.get(*held));
        assert!(next.is_none_or(|next| !node.has_free_slots_for(next.needs)), "every slot of node {} has work as long as there is some", id.0);
        let waits = flying().filter(|flight| flight.runs_since.is_none()).count();
        assert_eq!(waits, node.line.iter().filter(|held| node.held.contains(held)).count(), "what waits on node {} is in line", id.0);
    }

    /// What flies is what the ledger says to run, and at most one earlier attempt at the same on another node.
    fn check_flights(&self) {
        for (id, flight) in self.flights.present() {
            let state = self.ledger.spark(id).map(|spark| &spark.state);
            assert_eq!(state, Some(&SparkState::Running { attempt: flight.attempt, node: flight.node }), "{id} in flight is running");
        }
        for (id, earlier) in self.flights.earlier() {
            let present = self.flights.present().find(|(spark, _)| *spark == id).map(|(_, flight)| flight);
            let beside = present.is_some_and(|present| earlier.attempt < present.attempt && earlier.node != present.node);
            assert!(beside, "{id} is run a second time by a later attempt on another node");
            assert!(self.ledger.jobs[&id.job].spec.project.is_some(), "{id} changes nothing, so that it may be run twice");
        }
        for (held, flight) in self.flights.iter() {
            let known = self.nodes.get(&flight.node).is_none_or(|node| node.held.contains(&held));
            assert!(known, "{} in flight is held by its node {}", held.spark, flight.node.0);
        }
    }

    /// A spark of a job that is not over is in exactly one place: ready, waiting, in flight, or over.
    fn check_queues(&self, id: JobId, job: &Job) {
        let runnable = &self.active[&id];
        for (number, spark) in (0..).zip(&job.sparks) {
            let spark_id = SparkId { job: id, number };
            let ready = runnable.ready.contains(&number);
            let waiting = runnable.waiting.iter().any(|(_, waiting)| *waiting == number);
            let flying = self.flights.flies(spark_id);
            let places = u32::from(ready) + u32::from(waiting) + u32::from(flying) + u32::from(spark.state.is_over());
            assert_eq!(places, 1, "{spark_id} is in one place: ready {ready}, waiting {waiting}, in flight {flying}, {:?}", spark.state);
        }
    }
}

/// Every file belongs to one spark that is not split, and has an outcome exactly when that spark is completed or quarantined.
fn check_conservation(id: JobId, job: &Job) {
    let mut owners = vec![0_u32; job.files.len()];
    let mut expected = 0;
    for spark in &job.sparks {
        let completed = spark.state.has_outcomes();
        for &file in &spark.files {
            owners[file as usize] += 1;
            expected += usize::from(completed);
            assert_eq!(job.aggregate.get(file).is_some(), completed, "{id}: file {file} has an outcome when its spark is completed");
        }
    }
    assert!(owners.iter().all(|&owners| owners == 1), "{id}: every file belongs to one spark");
    assert_eq!(job.aggregate.len(), expected, "{id}: no outcome without a file");
    assert_eq!(job.aggregate.duplicates(), 0, "{id}: no result is counted twice");
}
