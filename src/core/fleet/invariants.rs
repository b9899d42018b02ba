//! What must never be, asserted. The simulation runs this after every event.

use alloc::vec;

use super::{Fleet, Job, SparkState};
use crate::{
    ids::{JobId, SparkId},
    wire::message::Held,
};

impl Fleet {
    /// Panics on a contradiction, naming it.
    pub fn check(&self) {
        for (id, job) in &self.ledger.jobs {
            let project = job.spec.project;
            assert!(project.is_none_or(|project| self.ledger.projects.contains_key(&project)), "{id} belongs to a project that exists");
            assert_eq!(self.active.contains_key(id), !job.status.is_over(), "{id} is active until it is over");
            if !job.status.is_over() {
                check_conservation(*id, job);
                self.check_queues(*id, job);
            }
        }
        for (id, flight) in &self.flights {
            let state = self.ledger.spark(*id).map(|spark| &spark.state);
            assert_eq!(state, Some(&SparkState::Running { attempt: flight.attempt, node: flight.node }), "{id} in flight is running");
        }
        for (id, node) in &self.nodes {
            for Held { spark, attempt } in &node.held {
                let flight = self.flights.get(spark);
                assert!(flight.is_some_and(|f| f.node == *id && f.attempt == *attempt), "{spark} held by node {} is in flight", id.0);
            }
        }
    }

    /// A spark of a job that is not over is in exactly one place: ready, waiting, in flight, or over.
    fn check_queues(&self, id: JobId, job: &Job) {
        let runnable = &self.active[&id];
        for (number, spark) in (0..).zip(&job.sparks) {
            let spark_id = SparkId { job: id, number };
            let ready = runnable.ready.contains(&number);
            let waiting = runnable.waiting.iter().any(|(_, waiting)| *waiting == number);
            let flying = self.flights.contains_key(&spark_id);
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
