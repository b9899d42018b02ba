//! What has happened, for whoever watches: numbered, in words, the latest of it only. The journal knows better; nothing is
//! decided by this.

pub mod moment;

use std::collections::VecDeque;

use bitacora_core::{
    fleet::{Fact, Ledger},
    time::Time,
    wire::node::Labels,
};
use serde::{Deserialize, Serialize};

/// What is remembered: an hour of a busy fleet.
const LATEST_MAX: usize = 16_384;
/// What is told at once, so that an answer stays small.
pub const TOLD_MAX: usize = 1024;

/// Something that has happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happening {
    /// From 1, one by one, in the life of this master; the first are what its journal still told of earlier ones.
    pub number: u64,
    pub at: Time,
    pub kind: String,
    /// What it happened to: a job, a spark, a node, a project.
    pub subject: String,
    pub text: String,
}

/// The latest happenings of a master's life.
#[derive(Debug, Default)]
pub struct Timeline {
    latest: VecDeque<Happening>,
    told: u64,
}

impl Timeline {
    pub fn add(&mut self, at: Time, kind: &str, subject: String, text: String) {
        self.told += 1;
        if self.latest.len() == LATEST_MAX {
            self.latest.pop_front();
        }
        self.latest.push_back(Happening { number: self.told, at, kind: kind.to_owned(), subject, text });
    }

    /// What there was before the first fact that is told: a journal forgets facts that a snapshot holds.
    pub fn begin(&mut self, ledger: &Ledger) {
        for (id, node) in &ledger.nodes {
            self.add(ledger.latest, "node-known", id.to_string(), format!("{}, {}", node.name, node.availability.name()));
        }
        for (id, job) in ledger.jobs.iter().filter(|(_, job)| !job.status.is_over()) {
            self.add(ledger.latest, "job-known", id.to_string(), format!("{}, {}", job.spec.job_type.name(), job.status.name()));
        }
    }

    /// A fact that a journal tells of at the start, with what there was before the first of them.
    pub fn remember(&mut self, fact: &Fact, ledger: &Ledger) {
        if self.told == 0 {
            self.begin(ledger);
        }
        self.add_fact(ledger.latest, fact, ledger);
    }

    /// A fact, unless it is one of the many that every spark leaves. The ledger has it already.
    pub fn add_fact(&mut self, now: Time, fact: &Fact, ledger: &Ledger) {
        if let Some((kind, subject, text)) = in_words(fact, ledger) {
            self.add(fact.at().unwrap_or(now), kind, subject, text);
        }
    }

    /// All that is remembered, the oldest first.
    pub fn into_events(self) -> Vec<Happening> {
        self.latest.into()
    }

    /// The number of the latest.
    pub fn last(&self) -> u64 {
        self.told
    }

    /// What came after that number, the oldest first, as much as is told at once.
    pub fn after(&self, number: u64) -> Vec<Happening> {
        let known = self.latest.partition_point(|happening| happening.number <= number);
        self.latest.iter().skip(known).take(TOLD_MAX).cloned().collect()
    }
}

/// The kind, what it happened to, and what there is to say; `None` for what every spark leaves.
pub fn in_words(fact: &Fact, ledger: &Ledger) -> Option<(&'static str, String, String)> {
    let nothing = String::new;
    Some(match fact {
        Fact::EpochBegan { epoch, .. } => ("master-began", format!("epoch {}", epoch.0), nothing()),
        Fact::NodePaired { node, name, .. } => ("node-paired", node.to_string(), name.clone()),
        Fact::OperatorPaired { operator, name, right, .. } => ("operator-paired", operator.to_string(), format!("{name}, who may {}", right.name())),
        Fact::OperatorRight { operator, right, .. } => ("operator-right", operator.to_string(), right.name().to_owned()),
        Fact::OperatorRemoved { operator, .. } => ("operator-removed", operator.to_string(), nothing()),
        Fact::NodeAvailability { node, availability } => ("node-availability", node.to_string(), availability.name().to_owned()),
        Fact::NodeAddressed { node, addresses, claimed } => {
            ("node-addressed", node.to_string(), addresses.first().or(claimed.first()).map(ToString::to_string).unwrap_or_default())
        }
        Fact::NodeLabelled { node, labels } => ("node-labelled", node.to_string(), given(labels)),
        Fact::NodeDraining { node, .. } => ("node-draining", node.to_string(), nothing()),
        Fact::NodeDrained { node, .. } => ("node-drained", node.to_string(), nothing()),
        Fact::NodeStopped { node, reason, .. } => ("node-stopped", node.to_string(), reason.clone()),
        Fact::NodeRemoved { node, .. } => ("node-removed", node.to_string(), nothing()),
        Fact::RoleTaken { role, node, .. } => ("role-taken", node.map(|node| node.to_string()).unwrap_or_default(), role.name().to_owned()),
        Fact::ProjectAdded { project, name, .. } => ("project-added", project.to_string(), name.clone()),
        Fact::ProjectRenamed { project, name } => ("project-renamed", project.to_string(), name.clone()),
        Fact::ProjectAssigned { project, nodes } => ("project-assigned", project.to_string(), nodes.to_string()),
        Fact::ProjectRemoved { project } => ("project-removed", project.to_string(), nothing()),
        Fact::JobAccepted { job, spec, sparks, .. } => {
            ("job-accepted", job.to_string(), format!("{}, {}", spec.job_type.name(), counted(sparks.len(), "spark")))
        }
        Fact::WarmingAccepted { job, spec, packs, .. } => {
            ("job-accepted", job.to_string(), format!("{}, {}", spec.job_type.name(), counted(packs.len(), "spark")))
        }
        Fact::PacksLost { node, packs } => ("packs-lost", node.to_string(), counted(packs.len(), "pack")),
        Fact::AttemptFailed { spark, error, .. } => ("attempt-failed", spark.to_string(), error.describe()),
        Fact::CopyDropped { spark, error, .. } => ("copy-dropped", spark.to_string(), error.describe()),
        Fact::SparkDisputed { spark, node, first, path, .. } => {
            let [first, second] = ledger.names_of(*first, *node);
            ("spark-disputed", spark.to_string(), format!("{first} and {second} differ over {}", path.to_text()))
        }
        Fact::SparkSplit { spark } => ("spark-split", spark.to_string(), "it ends its process; halves of it go on".to_owned()),
        Fact::FileQuarantined { spark } => ("file-quarantined", spark.to_string(), nothing()),
        Fact::SparkFailed { spark, error } => ("spark-failed", spark.to_string(), error.describe()),
        Fact::JobPaused { job } => ("job-paused", job.to_string(), nothing()),
        Fact::JobResumed { job } => ("job-resumed", job.to_string(), nothing()),
        Fact::JobPinned { job, .. } => ("job-pinned", job.to_string(), nothing()),
        Fact::JobAmended { job, .. } => ("job-amended", job.to_string(), nothing()),
        Fact::JobPrioritised { job, priority } => ("job-prioritised", job.to_string(), priority.name().to_owned()),
        Fact::JobCancelled { job, .. } => ("job-cancelled", job.to_string(), nothing()),
        Fact::JobRetried { job, .. } => ("job-retried", job.to_string(), nothing()),
        Fact::JobDone { job, .. } => ("job-completed", job.to_string(), nothing()),
        Fact::JobCompleted { job, .. } => ("job-completed", job.to_string(), project_of(fact, ledger)),
        Fact::JobFailed { job, reason, .. } => ("job-failed", job.to_string(), reason.clone()),
        Fact::SparkStarted { .. } | Fact::SparkFinished { .. } | Fact::PacksHeld { .. } => return None,
    })
}

fn counted(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

/// All that people have given the node.
fn given(labels: &Labels) -> String {
    if labels.is_empty() {
        "no label is given any more".to_owned()
    } else {
        labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
    }
}

fn project_of(fact: &Fact, ledger: &Ledger) -> String {
    let Fact::JobCompleted { job, .. } = fact else { return String::new() };
    let project = ledger.jobs.get(job).and_then(|job| job.spec.project).and_then(|project| ledger.projects.get(&project));
    project.map_or_else(String::new, |project| project.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_kept_and_told_in_order() {
        let mut timeline = Timeline::default();
        (0..LATEST_MAX + 10).for_each(|number| timeline.add(Time(number as u64), "tick", number.to_string(), String::new()));
        assert_eq!(timeline.after(0)[0].number, 11, "the oldest went");
        assert_eq!(timeline.after(0).len(), TOLD_MAX);
        let end = (LATEST_MAX + 10) as u64;
        assert_eq!(timeline.after(end - 2).iter().map(|happening| happening.number).collect::<Vec<_>>(), [end - 1, end]);
        assert_eq!(timeline.after(end), []);
    }
}
