//! What a dashboard draws: one answer with everything that it lists. Plain data; what is wanted of one thing alone is asked for by itself.

use bitacora_core::{
    fleet::{JobStatus, JobType, JobView, Ledger, Priority, Project},
    ids::{JobId, ProjectId},
    time::Time,
};
use serde::{Deserialize, Serialize};

use super::{NodeState, Progress, sparks::in_words};

/// The newest so many jobs are told of: a dashboard asks each second, and nobody scrolls further.
pub const JOBS_MAX: usize = 1000;

/// Of a command line: what a list has room for.
const COMMAND_CHARS_MAX: usize = 200;

/// The fleet at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// On the master's clock.
    pub at: Time,
    /// Where nodes link; `None` of a master that runs one command.
    pub listens: Option<String>,
    pub nodes: Vec<NodeState>,
    /// Newest first.
    pub jobs: Vec<JobState>,
    /// How many there are, of which those are the newest.
    pub jobs_all: u64,
    pub projects: Vec<ProjectState>,
}

/// A job as it stands in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobState {
    pub id: JobId,
    /// The name of its project.
    pub project: Option<String>,
    /// Its command line, of a job of commands.
    #[serde(default)]
    pub command: Option<String>,
    pub job_type: JobType,
    pub status: JobStatus,
    pub priority: Priority,
    /// On whose behalf.
    #[serde(default)]
    pub by: String,
    pub percent: u32,
    pub progress: Progress,
    pub sparks_done: u32,
    pub sparks: u32,
    pub attempts: u32,
    pub accepted_at: Time,
    pub over_at: Option<Time>,
    pub reason: String,
}

/// A project as it stands in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectState {
    pub id: ProjectId,
    pub name: String,
    /// Its folder on the master, with what is no UTF-8 replaced.
    pub root: String,
    /// Where its sparks run; empty for everywhere.
    #[serde(default)]
    pub nodes: String,
    /// Of its last results, the newest last.
    pub results: Vec<ResultState>,
}

/// What a result comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultState {
    pub job: JobId,
    pub at: Time,
    pub files: u64,
    pub lines: u64,
    pub code: u64,
    pub functions: u64,
    pub skipped: u64,
    pub failed: u64,
}

impl JobState {
    pub fn of(view: &JobView, ledger: &Ledger) -> JobState {
        let project = view.spec.about().and_then(|project| ledger.projects.get(&project));
        JobState {
            id: view.id,
            project: project.map(|project| project.name.clone()),
            command: view.spec.command.as_ref().map(|command| in_words(&command.line).chars().take(COMMAND_CHARS_MAX).collect()),
            job_type: view.spec.job_type,
            status: view.status,
            priority: view.spec.priority,
            by: ledger.requester_name(view.spec.by),
            percent: view.percent(),
            progress: Progress::of(view),
            sparks_done: view.sparks_done,
            sparks: view.sparks,
            attempts: view.attempts,
            accepted_at: view.accepted_at,
            over_at: view.over_at,
            reason: view.reason.clone(),
        }
    }
}

impl ProjectState {
    pub fn of(id: ProjectId, project: &Project) -> ProjectState {
        let results = project.history.iter().map(|result| ResultState {
            job: result.job,
            at: result.at,
            files: result.totals.files,
            lines: result.totals.lines,
            code: result.totals.code,
            functions: result.totals.functions,
            skipped: result.totals.skipped,
            failed: result.totals.failed,
        });
        ProjectState {
            id,
            name: project.name.clone(),
            root: String::from_utf8_lossy(&project.root).into_owned(),
            nodes: project.nodes.to_string(),
            results: results.collect(),
        }
    }
}
