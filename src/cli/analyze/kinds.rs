//! The closed lists of an analysis's flags, as they are spelled.

use bitacora_core::fleet::{JobType, Partitioning, Placement, Priority};
use clap::ValueEnum;

use crate::cli::output::UsageError;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum JobKind {
    /// Everything for all files
    FullAnalysis,
    /// Everything for the files that --only names
    PartialAnalysis,
    /// Everything, listing only files that changed since the last result
    IncrementalAnalysis,
    /// Lines and metrics only
    MetricsCalculation,
    /// Fills the cache and reports nothing
    CacheWarming,
    /// Not built yet
    #[value(hide = true)]
    RuleExecution,
    #[value(hide = true)]
    AntipatternDetection,
    #[value(hide = true)]
    EmbeddingGeneration,
}

impl JobKind {
    pub(super) fn job_type(self) -> Result<JobType, UsageError> {
        match self {
            JobKind::FullAnalysis => Ok(JobType::FullAnalysis),
            JobKind::PartialAnalysis => Ok(JobType::PartialAnalysis),
            JobKind::IncrementalAnalysis => Ok(JobType::IncrementalAnalysis),
            JobKind::MetricsCalculation => Ok(JobType::MetricsCalculation),
            JobKind::CacheWarming => Ok(JobType::CacheWarming),
            JobKind::RuleExecution | JobKind::AntipatternDetection | JobKind::EmbeddingGeneration => {
                let name = self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
                Err(UsageError(format!("the job type {name} is not built yet; `bitacora analyze --help` lists those that are")))
            }
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum PartitionKind {
    ByFileCount,
    ByLanguage,
    ByComplexity,
    ByDependencies,
    Intelligent,
}

impl From<PartitionKind> for Partitioning {
    fn from(kind: PartitionKind) -> Partitioning {
        match kind {
            PartitionKind::ByFileCount => Partitioning::ByFileCount,
            PartitionKind::ByLanguage => Partitioning::ByLanguage,
            PartitionKind::ByComplexity => Partitioning::ByComplexity,
            PartitionKind::ByDependencies => Partitioning::ByDependencies,
            PartitionKind::Intelligent => Partitioning::Intelligent,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub(in crate::cli) enum PlacementKind {
    /// One after another
    RoundRobin,
    /// Where the fewest sparks are for the slots
    LeastLoaded,
    /// Where most memory is available
    ResourceAware,
    /// The same files to the same node
    AffinityBased,
    /// Where it is expected to be done first
    Intelligent,
}

impl From<PlacementKind> for Placement {
    fn from(kind: PlacementKind) -> Placement {
        match kind {
            PlacementKind::RoundRobin => Placement::RoundRobin,
            PlacementKind::LeastLoaded => Placement::LeastLoaded,
            PlacementKind::ResourceAware => Placement::ResourceAware,
            PlacementKind::AffinityBased => Placement::AffinityBased,
            PlacementKind::Intelligent => Placement::Intelligent,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub(in crate::cli) enum PriorityKind {
    Critical,
    High,
    Normal,
    Low,
    Background,
}

impl From<PriorityKind> for Priority {
    fn from(kind: PriorityKind) -> Priority {
        match kind {
            PriorityKind::Critical => Priority::Critical,
            PriorityKind::High => Priority::High,
            PriorityKind::Normal => Priority::Normal,
            PriorityKind::Low => Priority::Low,
            PriorityKind::Background => Priority::Background,
        }
    }
}
