//! What has happened, as written in the journal. A released variant never changes its meaning.

use alloc::{boxed::Box, string::String, vec::Vec};
use core::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{
    NodeSelector, Placement, Requester, Right,
    ledger::{Availability, JobFailure, ListedFile, OwnRole, ResultSummary},
    spec::{JobSpec, Priority},
};
use crate::{
    ids::{Attempt, Digest, Epoch, JobId, NodeId, ProjectId, SparkId},
    paths::RelativePath,
    time::{Span, Time},
    wire::{
        node::Labels,
        task::{AttemptError, FileOutcome, SparkOutput},
    },
};

/// An outcome. [`super::Ledger::apply`] is the only reader. What is large and rare is boxed: most facts are about one spark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fact {
    EpochBegan {
        epoch: Epoch,
        at: Time,
    },
    NodePaired {
        node: NodeId,
        name: String,
        at: Time,
    },
    OperatorPaired {
        operator: NodeId,
        name: String,
        right: Right,
        at: Time,
    },
    OperatorRight {
        operator: NodeId,
        right: Right,
        /// For these alone; `None` leaves that as it was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        projects: Option<Vec<ProjectId>>,
        at: Time,
    },
    OperatorRemoved {
        operator: NodeId,
        at: Time,
    },
    NodeAvailability {
        node: NodeId,
        availability: Availability,
    },
    NodeRemoved {
        node: NodeId,
        at: Time,
    },
    /// Where it is called, the latest news first.
    NodeAddressed {
        node: NodeId,
        /// It answered there, or a person said so.
        addresses: Vec<SocketAddr>,
        /// It says that it would.
        claimed: Vec<SocketAddr>,
    },
    /// What the master's own machine does from now on, and the node that it is or was.
    RoleTaken {
        role: OwnRole,
        node: Option<NodeId>,
        at: Time,
    },
    /// The labels that a person gave it, all of them.
    NodeLabelled {
        node: NodeId,
        labels: Labels,
    },
    /// It is given nothing, and what it has at the end is moved.
    NodeDraining {
        node: NodeId,
        until: Time,
    },
    /// It has nothing any more, and stays cordoned.
    NodeDrained {
        node: NodeId,
        at: Time,
    },
    /// Its work was ended at once, and it stays cordoned.
    NodeStopped {
        node: NodeId,
        reason: String,
        at: Time,
    },
    ProjectAdded {
        project: ProjectId,
        name: String,
        root: Vec<u8>,
    },
    ProjectRenamed {
        project: ProjectId,
        name: String,
    },
    ProjectAssigned {
        project: ProjectId,
        nodes: NodeSelector,
    },
    ProjectRemoved {
        project: ProjectId,
    },
    /// `sparks` holds positions in `files`.
    JobAccepted {
        job: JobId,
        spec: Box<JobSpec>,
        files: Vec<ListedFile>,
        sparks: Vec<Vec<u32>>,
        at: Time,
        /// Jobs that are over and stay remembered.
        #[serde(default = "jobs_kept_first")]
        jobs_kept: u32,
    },
    /// Packs that a node is to have: those of each spark.
    WarmingAccepted {
        job: JobId,
        spec: Box<JobSpec>,
        packs: Vec<Vec<Digest>>,
        at: Time,
        jobs_kept: u32,
    },
    /// A node has packs that it made or was given.
    PacksHeld {
        node: NodeId,
        packs: Vec<Digest>,
    },
    /// It has them no more, whatever it said.
    PacksLost {
        node: NodeId,
        packs: Vec<Digest>,
    },
    SparkStarted {
        spark: SparkId,
        attempt: Attempt,
        node: NodeId,
    },
    /// The second run of a spark came to nothing, and the earlier attempt, which is named here, still runs.
    CopyDropped {
        spark: SparkId,
        /// Of the second run.
        error: AttemptError,
        attempt: Attempt,
        node: NodeId,
    },
    SparkFinished {
        spark: SparkId,
        output: SparkOutput,
        /// Whose answer it is; facts of before it was said do not know.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<NodeId>,
    },
    /// A second answer for a spark that is completed contradicts the first: over these files neither is believed.
    SparkDisputed {
        spark: SparkId,
        /// Of the second answer.
        attempt: Attempt,
        node: NodeId,
        /// Whose answer counted.
        first: Option<NodeId>,
        /// The first file that they differ over.
        path: RelativePath,
        /// What the second answer says of every such file.
        outcomes: Vec<FileOutcome>,
    },
    /// The attempt came to nothing; the spark is queued again.
    AttemptFailed {
        spark: SparkId,
        error: AttemptError,
        not_before: Time,
        isolate: bool,
        counts: bool,
    },
    /// It takes its process with it and holds several files: two halves take its place, at the end of the job's sparks.
    SparkSplit {
        spark: SparkId,
    },
    /// It takes its process with it and holds this one file, which is left alone from now on.
    FileQuarantined {
        spark: SparkId,
    },
    SparkFailed {
        spark: SparkId,
        error: AttemptError,
    },
    JobPaused {
        job: JobId,
    },
    JobResumed {
        job: JobId,
    },
    JobPrioritised {
        job: JobId,
        priority: Priority,
    },
    /// It was asked for again, on other nodes.
    JobPinned {
        job: JobId,
        nodes: NodeSelector,
    },
    /// It was asked for again, to be placed by another rule or given up at another time.
    JobAmended {
        job: JobId,
        placement: Placement,
        timeout: Option<Span>,
        /// By somebody else, on whose word it is from now on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Requester>,
    },
    JobCancelled {
        job: JobId,
        at: Time,
    },
    JobRetried {
        job: JobId,
        at: Time,
    },
    /// Every spark of a job that has no result succeeded.
    JobDone {
        job: JobId,
        at: Time,
    },
    JobCompleted {
        job: JobId,
        result: Box<ResultSummary>,
        history_max: u32,
    },
    JobFailed {
        job: JobId,
        reason: String,
        /// Facts of before it was said are of jobs that are over and were reported.
        #[serde(default)]
        failure: JobFailure,
        at: Time,
    },
}

/// What facts meant that were written before they said it.
const fn jobs_kept_first() -> u32 {
    200
}

impl Fact {
    /// When it happened, where it says so.
    pub fn at(&self) -> Option<Time> {
        match self {
            Fact::EpochBegan { at, .. }
            | Fact::NodePaired { at, .. }
            | Fact::OperatorPaired { at, .. }
            | Fact::OperatorRight { at, .. }
            | Fact::OperatorRemoved { at, .. }
            | Fact::NodeRemoved { at, .. }
            | Fact::RoleTaken { at, .. }
            | Fact::NodeDrained { at, .. }
            | Fact::NodeStopped { at, .. }
            | Fact::JobAccepted { at, .. }
            | Fact::WarmingAccepted { at, .. }
            | Fact::JobCancelled { at, .. }
            | Fact::JobRetried { at, .. }
            | Fact::JobDone { at, .. }
            | Fact::JobFailed { at, .. } => Some(*at),
            Fact::JobCompleted { result, .. } => Some(result.at),
            Fact::NodeAvailability { .. }
            | Fact::NodeLabelled { .. }
            | Fact::NodeAddressed { .. }
            | Fact::NodeDraining { .. }
            | Fact::JobPinned { .. }
            | Fact::JobAmended { .. }
            | Fact::ProjectAdded { .. }
            | Fact::ProjectRenamed { .. }
            | Fact::ProjectAssigned { .. }
            | Fact::ProjectRemoved { .. }
            | Fact::PacksHeld { .. }
            | Fact::PacksLost { .. }
            | Fact::SparkStarted { .. }
            | Fact::CopyDropped { .. }
            | Fact::SparkFinished { .. }
            | Fact::SparkDisputed { .. }
            | Fact::AttemptFailed { .. }
            | Fact::SparkSplit { .. }
            | Fact::FileQuarantined { .. }
            | Fact::SparkFailed { .. }
            | Fact::JobPaused { .. }
            | Fact::JobResumed { .. }
            | Fact::JobPrioritised { .. } => None,
        }
    }
}
