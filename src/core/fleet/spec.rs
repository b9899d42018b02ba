//! What somebody asks for: the specification of a job, as it was given.

use alloc::{boxed::Box, string::String, vec::Vec};

use serde::{Deserialize, Serialize};

use super::{Needs, NodeSelector, Partitioning, Placement, Requester};
use crate::{
    ids::{Digest, JobId, ProjectId, SparkId},
    time::Span,
    wire::{command::CommandLine, node::Specialisation, task::FileLimits},
};

/// What a job is to do. Two submissions that agree in everything but priority, partitioning, placement, nodes, time-out and who asks are the
/// same request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// Whose tree it is about; `None` for work that is about no tree.
    pub project: Option<ProjectId>,
    pub job_type: JobType,
    pub priority: Priority,
    pub partitioning: Partitioning,
    #[serde(default)]
    pub placement: Placement,
    pub fingerprint: Digest,
    pub limits: FileLimits,
    pub use_cache: bool,
    /// The earlier result that answers for the files that are not listed.
    pub base: Option<Digest>,
    /// Identifies the whole tree as it was listed: paths, sizes, times.
    pub listing: Digest,
    pub timeout: Option<Span>,
    /// What part of the tree is meant, as it was asked for; empty for all of it.
    #[serde(default)]
    pub selection: Vec<String>,
    /// What must have succeeded before any of it begins.
    #[serde(default)]
    pub after: Vec<Awaited>,
    /// Of a job of commands.
    #[serde(default)]
    pub command: Option<Box<CommandSpec>>,
    /// On which nodes it may run.
    #[serde(default)]
    pub nodes: NodeSelector,
    /// Who asked for it, as the master knows it and nobody says it.
    #[serde(default, skip_serializing_if = "Requester::is_fleet")]
    pub by: Requester,
}

/// The command that each spark of a job runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandSpec {
    pub line: CommandLine,
    /// Ends other than with success after which a spark is given up.
    pub tries: u32,
    /// Of one attempt.
    pub timeout: Span,
    #[serde(default, skip_serializing_if = "Needs::is_none")]
    pub needs: Needs,
    /// In whose folder it runs, on nodes that have it on their disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectId>,
}

/// Something that other work waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Awaited {
    /// All of it, whatever sparks it has been cut into.
    Job(JobId),
    Spark(SparkId),
}

impl Awaited {
    pub fn job(self) -> JobId {
        match self {
            Awaited::Job(job) => job,
            Awaited::Spark(spark) => spark.job,
        }
    }
}

impl core::fmt::Display for Awaited {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Awaited::Job(job) => write!(f, "job {job}"),
            Awaited::Spark(spark) => write!(f, "spark {spark}"),
        }
    }
}

impl JobSpec {
    /// Of work that is about no tree.
    pub fn without_tree(command: Option<CommandSpec>, priority: Priority, after: Vec<Awaited>) -> JobSpec {
        JobSpec {
            project: None,
            job_type: if command.is_some() { JobType::Command } else { JobType::NoOp },
            priority,
            partitioning: Partitioning::default(),
            placement: Placement::default(),
            fingerprint: Digest::default(),
            limits: FileLimits::default(),
            use_cache: true,
            base: None,
            listing: Digest::default(),
            timeout: None,
            selection: Vec::new(),
            after,
            command: command.map(Box::new),
            nodes: NodeSelector::default(),
            by: Requester::Fleet,
        }
    }

    /// The project that it belongs to: whose tree it analyses, or in whose folder its commands run.
    pub fn about(&self) -> Option<ProjectId> {
        self.project.or_else(|| self.command.as_ref()?.project)
    }

    /// Of each of its sparks.
    pub fn needs(&self) -> Needs {
        self.command.as_ref().map_or(Needs::default(), |command| command.needs)
    }

    /// Would the result be the same?
    pub fn asks_for_the_same(&self, other: &JobSpec) -> bool {
        let of = |spec: &JobSpec| (spec.fingerprint, spec.limits, spec.use_cache, spec.base, spec.listing, spec.after.clone());
        self.is_about_the_same(other) && of(self) == of(other)
    }

    /// The later of two such jobs makes the earlier one pointless. Commands are never the same: each has its effects.
    pub fn is_about_the_same(&self, other: &JobSpec) -> bool {
        self.project.is_some() && (self.project, self.job_type, &self.selection) == (other.project, other.job_type, &other.selection)
    }
}

/// The built job types of the closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobType {
    FullAnalysis,
    PartialAnalysis,
    IncrementalAnalysis,
    MetricsCalculation,
    CacheWarming,
    /// A command line per spark.
    Command,
    /// Sparks without work, to measure what they cost.
    NoOp,
}

impl JobType {
    /// What a node has to be for to run it.
    pub const fn specialisation(self) -> Specialisation {
        match self {
            JobType::MetricsCalculation => Specialisation::MetricsCalculation,
            JobType::FullAnalysis | JobType::PartialAnalysis | JobType::IncrementalAnalysis | JobType::CacheWarming => Specialisation::Parsing,
            JobType::Command | JobType::NoOp => Specialisation::GeneralPurpose,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            JobType::FullAnalysis => "full-analysis",
            JobType::PartialAnalysis => "partial-analysis",
            JobType::IncrementalAnalysis => "incremental-analysis",
            JobType::MetricsCalculation => "metrics-calculation",
            JobType::CacheWarming => "cache-warming",
            JobType::Command => "command",
            JobType::NoOp => "no-op",
        }
    }
}

/// Most urgent first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Priority {
    Critical,
    High,
    #[default]
    Normal,
    Low,
    Background,
}

impl Priority {
    pub const fn name(self) -> &'static str {
        match self {
            Priority::Critical => "critical",
            Priority::High => "high",
            Priority::Normal => "normal",
            Priority::Low => "low",
            Priority::Background => "background",
        }
    }
}
