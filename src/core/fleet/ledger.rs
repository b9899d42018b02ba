//! The durable state: projects, jobs, sparks. Decides nothing.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::{String, ToString},
    vec::Vec,
};
use core::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{Fact, JobSpec, NodeSelector, Operator, Requester, Right};
use crate::{
    aggregate::{Aggregate, Totals},
    ids::{Attempt, Digest, Epoch, JobId, NodeId, ProjectId, SparkId},
    paths::RelativePath,
    time::Time,
    wire::{
        command::CommandEnd,
        node::Labels,
        task::{AttemptError, FailReason, FileOutcome, FileResult, SparkOutput},
    },
};

/// What survives a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    pub epoch: Epoch,
    /// The last counter given in this epoch.
    pub counter: u32,
    /// The latest time that a fact tells of: a master whose clock was set back goes on from here.
    #[serde(default)]
    pub latest: Time,
    /// Those that were paired and not removed.
    #[serde(default)]
    pub nodes: BTreeMap<NodeId, PairedNode>,
    /// What the master's own machine does; `None` where nobody has said yet.
    #[serde(default)]
    pub role: Option<OwnRole>,
    /// The node that the master's own machine is, or was when it last ran work.
    #[serde(default)]
    pub resident: Option<NodeId>,
    /// People's devices; numbered as nodes are, and none of them.
    #[serde(default)]
    pub operators: BTreeMap<NodeId, Operator>,
    pub projects: BTreeMap<ProjectId, Project>,
    pub jobs: BTreeMap<JobId, Job>,
    /// Who has the packs that stay on the nodes.
    #[serde(default)]
    pub holders: BTreeMap<Digest, BTreeSet<NodeId>>,
}

/// What the machine of the master does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OwnRole {
    /// It commands.
    Master,
    /// It commands, and runs work as one of the nodes.
    Hybrid,
}

impl OwnRole {
    pub const fn name(self) -> &'static str {
        match self {
            OwnRole::Master => "master",
            OwnRole::Hybrid => "hybrid",
        }
    }
}

/// A node that belongs to the fleet, connected or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairedNode {
    pub name: String,
    pub paired_at: Time,
    pub availability: Availability,
    /// That a person gave it; they win over those that it says itself.
    #[serde(default)]
    pub labels: Labels,
    /// Where it answered when it was called, or a person said that it would; the latest news first.
    #[serde(default)]
    pub addresses: Vec<SocketAddr>,
    /// Where it says itself that it would.
    #[serde(default)]
    pub claimed: Vec<SocketAddr>,
    /// While it drains: when what it still has is moved.
    #[serde(default)]
    pub drain_until: Option<Time>,
    /// Why it is cordoned, unless a person just said so.
    #[serde(default)]
    pub cause: Option<CordonCause>,
}

impl PairedNode {
    /// Where its master calls it, the likeliest first.
    pub fn called_at(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.addresses.iter().chain(&self.claimed).copied()
    }

    fn new(name: &str, paired_at: Time) -> PairedNode {
        PairedNode {
            name: name.into(),
            paired_at,
            availability: Availability::Active,
            labels: Labels::new(),
            addresses: Vec::new(),
            claimed: Vec::new(),
            drain_until: None,
            cause: None,
        }
    }

    fn become_available(&mut self, availability: Availability, drain_until: Option<Time>, cause: Option<CordonCause>) {
        (self.availability, self.drain_until, self.cause) = (availability, drain_until, cause);
    }
}

/// What led to a node being cordoned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CordonCause {
    /// It was drained, and is empty since then.
    Drained { at: Time },
    /// All its work was ended at once.
    Stopped { at: Time, reason: String },
}

/// Whether a node is given work. A removed node is none of the fleet's and does not appear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Availability {
    #[default]
    Active,
    /// It finishes what it has and is given nothing.
    Cordoned,
    /// The same, and what it has at its deadline is moved.
    Draining,
}

impl Availability {
    pub const fn name(self) -> &'static str {
        match self {
            Availability::Active => "active",
            Availability::Cordoned => "cordoned",
            Availability::Draining => "draining",
        }
    }
}

/// A source tree and its results.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    pub name: String,
    /// Absolute, on the master.
    pub root: Vec<u8>,
    /// Newest last.
    pub history: Vec<ResultSummary>,
    /// Where its sparks run; everywhere if empty.
    #[serde(default)]
    pub nodes: NodeSelector,
}

/// A stored result and what it comes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultSummary {
    pub job: JobId,
    pub at: Time,
    /// The blob with one row per file.
    pub manifest: Digest,
    pub totals: Totals,
}

/// A file of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedFile {
    pub path: RelativePath,
    pub size: u64,
    /// By its name; empty when only its first line can tell.
    pub language: String,
    /// Cyclomatic complexity in the previous result; zero without one.
    pub complexity: u32,
    /// Files that import one another share a number; zero without a previous result.
    pub cluster: u32,
    /// The hash of its bytes when it was listed, where nodes without this disk may be asked; `None` otherwise.
    #[serde(default)]
    pub content: Option<Digest>,
    /// Two nodes have said different things of it: nobody's earlier record of its bytes is believed.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub is_disputed: bool,
}

/// A job and how far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    pub spec: JobSpec,
    pub status: JobStatus,
    pub accepted_at: Time,
    pub over_at: Option<Time>,
    /// Why it failed, for people; empty otherwise.
    pub reason: String,
    /// Why it failed, where somebody must know without reading.
    #[serde(default)]
    pub failure: JobFailure,
    /// Given back once the job is completed, or over and followed by another one for the same.
    pub files: Vec<ListedFile>,
    /// How many they were, and their bytes; these stay.
    #[serde(default)]
    pub files_total: u32,
    #[serde(default)]
    pub bytes_total: u64,
    pub sparks: Vec<Spark>,
    pub aggregate: Aggregate,
    /// The first of the disputes over its sparks.
    #[serde(default)]
    pub disputes: Vec<Dispute>,
    /// What each spark has its node keep, of a job that brings records to a node; given back once it is completed.
    #[serde(default)]
    pub packs: Vec<Vec<Digest>>,
}

/// Disputes of one job that are remembered: enough to see who is at fault.
const DISPUTES_KEPT_MAX: usize = 16;

/// Two nodes' answers for one spark that cannot both be right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispute {
    pub spark: u32,
    /// Whose answer came first, where that is known.
    pub first: Option<NodeId>,
    pub second: NodeId,
    /// The first file that they differ over.
    pub path: RelativePath,
    /// How many there are.
    pub files: u32,
}

/// What ended a job that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobFailure {
    /// What the reason says.
    #[default]
    Other,
    /// Its own time-out.
    TimedOut,
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobStatus {
    Queued,
    Running,
    Paused,
    Completed,
    Failed,
    Cancelled,
}

impl JobStatus {
    pub const ALL: [JobStatus; 6] = [JobStatus::Queued, JobStatus::Running, JobStatus::Paused, JobStatus::Completed, JobStatus::Failed, JobStatus::Cancelled];

    pub const fn is_over(self) -> bool {
        matches!(self, JobStatus::Completed | JobStatus::Failed | JobStatus::Cancelled)
    }

    pub const fn name(self) -> &'static str {
        match self {
            JobStatus::Queued => "queued",
            JobStatus::Running => "running",
            JobStatus::Paused => "paused",
            JobStatus::Completed => "completed",
            JobStatus::Failed => "failed",
            JobStatus::Cancelled => "cancelled",
        }
    }
}

/// A batch of files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spark {
    /// Positions in the job's files.
    pub files: Vec<u32>,
    pub state: SparkState,
    /// Attempts begun.
    pub attempts: u32,
    /// Failures that count against the limit.
    pub failures: u32,
    pub isolated: bool,
    /// Of a command that succeeded.
    #[serde(default)]
    pub ended: Option<CommandEnd>,
    /// How many files it had, once they are given back with those of its job.
    #[serde(default)]
    pub files_given_back: u32,
    /// Whose answer counts.
    #[serde(default)]
    pub answered_by: Option<NodeId>,
}

/// Where a spark stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SparkState {
    Queued {
        not_before: Time,
    },
    Running {
        attempt: Attempt,
        node: NodeId,
    },
    Completed,
    Failed(AttemptError),
    /// Two other sparks took its place.
    Split,
    /// Its one file is left alone, and has an outcome that says so.
    Quarantined,
}

impl SparkState {
    pub const fn is_over(&self) -> bool {
        matches!(self, SparkState::Completed | SparkState::Failed(_) | SparkState::Split | SparkState::Quarantined)
    }

    /// Does every file of it have an outcome?
    pub const fn has_outcomes(&self) -> bool {
        matches!(self, SparkState::Completed | SparkState::Quarantined)
    }
}

impl Spark {
    fn new(files: Vec<u32>, isolated: bool) -> Spark {
        Spark {
            files,
            state: SparkState::Queued { not_before: Time(0) },
            attempts: 0,
            failures: 0,
            isolated,
            ended: None,
            files_given_back: 0,
            answered_by: None,
        }
    }

    /// Files of it, whether or not their places are still known.
    pub fn file_count(&self) -> u32 {
        self.files_given_back.max(self.files.len() as u32)
    }

    /// How its command ended, where it has one that ended.
    pub fn command_end(&self) -> Option<&CommandEnd> {
        match &self.state {
            SparkState::Failed(AttemptError::Exited(ended)) => Some(ended),
            _ => self.ended.as_ref(),
        }
    }

    /// The word of the closed list for this state; `None` for a split one, whose halves stand for it.
    pub fn status(&self) -> Option<&'static str> {
        Some(match self.state {
            SparkState::Queued { .. } if self.failures > 0 => "retrying",
            SparkState::Queued { .. } => "queued",
            SparkState::Running { .. } => "running",
            SparkState::Completed => "completed",
            SparkState::Failed(AttemptError::Cancelled) => "cancelled",
            SparkState::Failed(_) => "failed",
            SparkState::Quarantined => "quarantined",
            SparkState::Split => return None,
        })
    }
}

impl Ledger {
    /// What the master's own machine does: it commands, if nobody has said anything else.
    pub fn own_role(&self) -> OwnRole {
        self.role.unwrap_or(OwnRole::Master)
    }

    /// What people call a node; its number if it belongs to the fleet no more.
    pub fn node_name(&self, id: NodeId) -> String {
        self.nodes.get(&id).map_or_else(|| id.to_string(), |node| node.name.clone())
    }

    /// On whose behalf, in words that people know.
    pub fn requester_name(&self, by: Requester) -> String {
        match by {
            Requester::Operator(id) => self.operators.get(&id).map_or_else(|| by.to_string(), |known| alloc::format!("operator {}", known.name)),
            Requester::Node(id) => alloc::format!("node {}", self.node_name(id)),
            Requester::Fleet | Requester::User(_) | Requester::Stranger => by.to_string(),
        }
    }

    /// Their names; of those that are gone their ids.
    pub fn project_names(&self, projects: &[ProjectId]) -> Vec<String> {
        projects.iter().map(|id| self.projects.get(id).map_or_else(|| id.to_string(), |project| project.name.clone())).collect()
    }

    /// By its name or its id. Rights are checked by it, and results are read by it: it is one and the same for both.
    pub fn project_called(&self, wanted: &str) -> Option<ProjectId> {
        self.projects.iter().find(|(id, project)| project.name == wanted || id.to_string() == wanted).map(|(id, _)| *id)
    }

    /// Is a node of the fleet meant, by what it is called and what people labelled it?
    pub fn knows_one_of(&self, nodes: &NodeSelector) -> bool {
        self.nodes.iter().any(|(id, node)| nodes.matches(*id, &node.name, &node.labels))
    }

    /// Of the two sides of a dispute.
    pub fn names_of(&self, first: Option<NodeId>, second: NodeId) -> [String; 2] {
        [first.map_or_else(|| "another node".into(), |node| self.node_name(node)), self.node_name(second)]
    }

    pub fn spark(&self, id: SparkId) -> Option<&Spark> {
        self.jobs.get(&id.job)?.sparks.get(id.number as usize)
    }

    /// The change that a fact stands for. A fact that does not fit the state is a broken journal, and that is a panic.
    pub fn apply(&mut self, fact: &Fact) {
        self.latest = self.latest.max(fact.at().unwrap_or_default());
        match fact {
            Fact::EpochBegan { epoch, .. } => {
                self.epoch = *epoch;
                self.counter = 0;
            }
            Fact::NodePaired { node, name, at } => self.apply_paired(*node, name, *at),
            Fact::OperatorPaired { operator, name, right, at } => self.apply_operator(*operator, name, *right, *at),
            Fact::OperatorRight { operator, right, projects, .. } => self.apply_right(*operator, *right, projects.as_deref()),
            Fact::OperatorRemoved { operator, .. } => drop(self.operators.remove(operator)),
            Fact::NodeAvailability { node, availability } => self.node_mut(*node).become_available(*availability, None, None),
            Fact::NodeLabelled { node, labels } => self.node_mut(*node).labels.clone_from(labels),
            Fact::NodeAddressed { node, addresses, claimed } => {
                let paired = self.node_mut(*node);
                paired.addresses.clone_from(addresses);
                paired.claimed.clone_from(claimed);
            }
            Fact::NodeDraining { node, until } => self.node_mut(*node).become_available(Availability::Draining, Some(*until), None),
            Fact::NodeDrained { node, at } => self.cordon(*node, CordonCause::Drained { at: *at }),
            Fact::NodeStopped { node, reason, at } => self.cordon(*node, CordonCause::Stopped { at: *at, reason: reason.clone() }),
            Fact::NodeRemoved { node, .. } => self.apply_removed(*node),
            Fact::RoleTaken { role, node, .. } => (self.role, self.resident) = (Some(*role), *node),
            Fact::PacksHeld { node, packs } => packs.iter().for_each(|pack| self.holders.entry(*pack).or_default().extend([*node])),
            Fact::PacksLost { node, packs } => self.lose_packs(*node, |pack| packs.contains(pack)),
            Fact::ProjectAdded { project, name, root } => {
                self.counter = project.counter;
                self.projects.insert(*project, Project { name: name.clone(), root: root.clone(), history: Vec::new(), nodes: NodeSelector::default() });
            }
            Fact::ProjectRenamed { project, name } => self.project_mut(*project).name.clone_from(name),
            Fact::ProjectAssigned { project, nodes } => self.project_mut(*project).nodes.clone_from(nodes),
            Fact::ProjectRemoved { project } => {
                self.projects.remove(project);
                self.jobs.retain(|_, job| job.spec.about() != Some(*project));
            }
            Fact::JobAccepted { job, spec, files, sparks, at, jobs_kept } => self.apply_accepted(*job, spec, (files, sparks, &[]), *at, *jobs_kept),
            Fact::WarmingAccepted { job, spec, packs, at, jobs_kept } => {
                self.apply_accepted(*job, spec, (&[], &alloc::vec![Vec::new(); packs.len()], packs), *at, *jobs_kept);
            }
            Fact::SparkStarted { spark, attempt, node } => self.apply_started(*spark, *attempt, *node),
            Fact::CopyDropped { spark, attempt, node, .. } => self.spark_mut(*spark).state = SparkState::Running { attempt: *attempt, node: *node },
            Fact::SparkFinished { spark, output, node } => self.apply_finished(*spark, output, *node),
            Fact::SparkDisputed { spark, node, first, path, outcomes, .. } => {
                let files = outcomes.len() as u32;
                self.apply_disputed(spark.job, Dispute { spark: spark.number, first: *first, second: *node, path: path.clone(), files }, outcomes);
            }
            Fact::AttemptFailed { spark, not_before, isolate, counts, .. } => {
                let spark = self.spark_mut(*spark);
                spark.state = SparkState::Queued { not_before: *not_before };
                spark.isolated |= isolate;
                spark.failures += u32::from(*counts);
            }
            Fact::SparkSplit { spark } => self.apply_split(*spark),
            Fact::FileQuarantined { spark } => self.apply_quarantined(*spark),
            Fact::SparkFailed { spark, error } => self.spark_mut(*spark).state = SparkState::Failed(error.clone()),
            Fact::JobPaused { job } => self.job_mut(*job).status = JobStatus::Paused,
            Fact::JobResumed { job } => self.job_mut(*job).status = JobStatus::Running,
            Fact::JobPrioritised { job, priority } => self.job_mut(*job).spec.priority = *priority,
            Fact::JobPinned { job, nodes } => self.job_mut(*job).spec.nodes.clone_from(nodes),
            Fact::JobAmended { job, placement, timeout, by } => {
                let spec = &mut self.job_mut(*job).spec;
                (spec.placement, spec.timeout, spec.by) = (*placement, *timeout, by.unwrap_or(spec.by));
            }
            Fact::JobCancelled { job, at } => self.job_mut(*job).end(JobStatus::Cancelled, *at),
            Fact::JobRetried { job, at } => self.job_mut(*job).begin_again(*at),
            Fact::JobDone { job, at } => self.job_mut(*job).end(JobStatus::Completed, *at),
            Fact::JobCompleted { job, result, history_max } => self.apply_completed(*job, result, *history_max),
            Fact::JobFailed { job, reason, failure, at } => self.job_mut(*job).fail(reason, *failure, *at),
        }
    }

    /// Whoever takes the machine's own node away says that it only commands.
    fn apply_removed(&mut self, node: NodeId) {
        self.nodes.remove(&node);
        if self.resident == Some(node) {
            (self.role, self.resident) = (Some(OwnRole::Master), None);
        }
        self.lose_packs(node, |_| true);
    }

    fn apply_started(&mut self, id: SparkId, attempt: Attempt, node: NodeId) {
        self.job_mut(id.job).status = JobStatus::Running;
        let spark = self.spark_mut(id);
        spark.attempts = attempt.0;
        spark.state = SparkState::Running { attempt, node };
    }

    fn apply_finished(&mut self, id: SparkId, output: &SparkOutput, node: Option<NodeId>) {
        let finished = self.spark_mut(id);
        finished.state = SparkState::Completed;
        finished.ended.clone_from(&output.ended);
        finished.answered_by = node;
        let aggregate = &mut self.job_mut(id.job).aggregate;
        output.files.iter().for_each(|outcome| aggregate.absorb(outcome.clone()));
    }

    fn apply_disputed(&mut self, id: JobId, dispute: Dispute, outcomes: &[FileOutcome]) {
        let job = self.job_mut(id);
        outcomes.iter().for_each(|outcome| job.aggregate.dispute(outcome.clone()));
        if job.disputes.len() < DISPUTES_KEPT_MAX {
            job.disputes.push(dispute);
        }
    }

    fn apply_paired(&mut self, node: NodeId, name: &str, at: Time) {
        self.counter = node.0 as u32;
        self.nodes.insert(node, PairedNode::new(name, at));
    }

    fn apply_operator(&mut self, operator: NodeId, name: &str, right: Right, at: Time) {
        self.counter = operator.0 as u32;
        self.operators.insert(operator, Operator { name: name.into(), permitted: right, right, projects: Vec::new(), paired_at: at });
    }

    fn apply_right(&mut self, operator: NodeId, right: Right, projects: Option<&[ProjectId]>) {
        let operator = self.operators.get_mut(&operator).expect("facts speak of devices that are paired");
        operator.right = right;
        if let Some(projects) = projects {
            operator.projects = projects.to_vec();
        }
    }

    fn apply_accepted(&mut self, id: JobId, spec: &JobSpec, (files, sparks, packs): (&[ListedFile], &[Vec<u32>], &[Vec<Digest>]), at: Time, jobs_kept: u32) {
        self.forget_superseded(spec);
        self.counter = id.counter;
        let sparks = sparks.iter().map(|files| Spark::new(files.clone(), false)).collect();
        let job = Job {
            spec: spec.clone(),
            status: JobStatus::Queued,
            accepted_at: at,
            over_at: None,
            reason: String::new(),
            failure: JobFailure::Other,
            files: files.to_vec(),
            files_total: files.len() as u32,
            bytes_total: files.iter().map(|file| file.size).sum(),
            sparks,
            aggregate: Aggregate::default(),
            disputes: Vec::new(),
            packs: packs.to_vec(),
        };
        self.jobs.insert(id, job);
        self.forget_old_jobs(jobs_kept as usize);
    }

    /// What only a retry would need: a job that has a successor is not retried.
    fn forget_superseded(&mut self, spec: &JobSpec) {
        for job in self.jobs.values_mut().filter(|job| job.status.is_over() && job.spec.is_about_the_same(spec)) {
            job.forget_files();
        }
    }

    fn forget_old_jobs(&mut self, kept: usize) {
        let over: Vec<JobId> = self.jobs.iter().filter(|(_, job)| job.status.is_over()).map(|(id, _)| *id).collect();
        for id in over.iter().take(over.len().saturating_sub(kept)) {
            self.jobs.remove(id);
        }
    }

    fn apply_split(&mut self, id: SparkId) {
        let spark = self.spark_mut(id);
        spark.state = SparkState::Split;
        let files = core::mem::take(&mut spark.files);
        let (left, right) = files.split_at(files.len() / 2);
        let halves = [Spark::new(left.to_vec(), true), Spark::new(right.to_vec(), true)];
        self.job_mut(id.job).sparks.extend(halves);
    }

    fn apply_quarantined(&mut self, id: SparkId) {
        let spark = self.spark_mut(id);
        spark.state = SparkState::Quarantined;
        let index = spark.files[0];
        let outcome = FileOutcome { index, stat: None, result: FileResult::Failed(FailReason::Quarantined) };
        self.job_mut(id.job).aggregate.absorb(outcome);
    }

    fn apply_completed(&mut self, id: JobId, result: &ResultSummary, history_max: u32) {
        let job = self.job_mut(id);
        job.end(JobStatus::Completed, result.at);
        job.forget_files();
        let project = job.spec.project.expect("only the analysis of a project has a result");
        let history = &mut self.project_mut(project).history;
        // The same result again is no history.
        history.pop_if(|last| last.manifest == result.manifest);
        history.push(result.clone());
        let surplus = history.len().saturating_sub(history_max as usize);
        history.drain(..surplus);
    }

    fn cordon(&mut self, node: NodeId, cause: CordonCause) {
        self.node_mut(node).become_available(Availability::Cordoned, None, Some(cause));
    }

    fn node_mut(&mut self, id: NodeId) -> &mut PairedNode {
        self.nodes.get_mut(&id).expect("facts speak of nodes that are paired")
    }

    fn project_mut(&mut self, id: ProjectId) -> &mut Project {
        self.projects.get_mut(&id).expect("facts speak of projects that exist")
    }

    fn job_mut(&mut self, id: JobId) -> &mut Job {
        self.jobs.get_mut(&id).expect("facts speak of jobs that exist")
    }

    fn spark_mut(&mut self, id: SparkId) -> &mut Spark {
        self.job_mut(id.job).sparks.get_mut(id.number as usize).expect("facts speak of sparks that exist")
    }
}

impl Job {
    /// What is not over ends with its job; a retry finds every spark either over or failed.
    fn end(&mut self, status: JobStatus, at: Time) {
        self.status = status;
        self.over_at = Some(at);
        if status == JobStatus::Completed {
            self.packs = Vec::new();
        }
        for spark in self.sparks.iter_mut().filter(|spark| !spark.state.is_over()) {
            spark.state = SparkState::Failed(AttemptError::Cancelled);
        }
    }

    fn fail(&mut self, reason: &str, failure: JobFailure, at: Time) {
        self.reason = reason.into();
        self.failure = failure;
        self.end(JobStatus::Failed, at);
    }

    fn forget_files(&mut self) {
        self.files = Vec::new();
        self.aggregate = Aggregate::default();
        for spark in &mut self.sparks {
            spark.files_given_back = spark.file_count();
            spark.files = Vec::new();
        }
    }

    /// Bytes of the files that have an outcome.
    pub fn bytes_done(&self) -> u64 {
        self.sparks.iter().filter(|spark| spark.state.has_outcomes()).map(|spark| self.bytes_of(spark)).sum()
    }

    pub(super) fn bytes_of(&self, spark: &Spark) -> u64 {
        spark.files.iter().map(|&file| self.files.get(file as usize).map_or(0, |file| file.size)).sum()
    }

    fn begin_again(&mut self, at: Time) {
        self.status = JobStatus::Queued;
        self.over_at = None;
        self.reason.clear();
        self.failure = JobFailure::Other;
        self.accepted_at = at;
        for spark in self.sparks.iter_mut().filter(|spark| matches!(spark.state, SparkState::Failed(_))) {
            spark.state = SparkState::Queued { not_before: at };
            spark.failures = 0;
        }
    }

    /// Sparks that count towards the job: a split one is represented by its halves.
    pub fn partitions(&self) -> impl Iterator<Item = &Spark> {
        self.sparks.iter().filter(|spark| spark.state != SparkState::Split)
    }
}
