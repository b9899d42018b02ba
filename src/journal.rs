//! Where facts are kept: append a batch only if the last sequence and epoch are the expected ones, read it back.

pub mod audit;
mod embedded;

use bitacora_core::fleet::{Fact, Ledger};
pub use embedded::Journal;

/// The version of the records written today; every earlier one stays readable, a later one is refused.
///
/// Version 1 had a row for each fact; since version 2 a row has the facts of a batch.
pub const RECORD_VERSION: u32 = 2;

/// Facts in one row: a turn has rarely more, and what is read back is decoded a row at a time.
const ROW_FACTS_MAX: usize = 4096;

/// Facts after the newest snapshot beyond which the next quiet moment takes another one.
pub const SNAPSHOT_AFTER: u64 = 64;

/// What SQLite says. Its crate's error has the same for its cause once more, in other words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SqliteError(pub rusqlite::Error);

#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("cannot {operation} the journal {path}")]
    Store { operation: &'static str, path: std::path::PathBuf, source: SqliteError },
    #[error("the journal {path} is of version {found}; this program reads up to version {known}. Use a newer bitacora")]
    Newer { path: std::path::PathBuf, found: u32, known: u32 },
    #[error("record {sequence} of the journal {path} cannot be read: {reason}")]
    Damaged { path: std::path::PathBuf, sequence: u64, reason: String },
    #[error("another master has written to the journal {path}: expected record {expected} to be the last, found {found}")]
    Overtaken { path: std::path::PathBuf, expected: u64, found: u64 },
    #[error("the journal {0} has an audit of its own, and no other can take its place")]
    Audited(std::path::PathBuf),
}

impl JournalError {
    pub fn is_disk_full(&self) -> bool {
        let JournalError::Store { source, .. } = self else { return false };
        source.0.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
    }
}

/// A journal as it was found.
#[derive(Debug)]
pub struct Recovered {
    pub ledger: Ledger,
    /// Facts read after the snapshot.
    pub replayed: u64,
}

/// Told of each fact that is read, and of the state that it leads to.
pub type Hear<'a> = &'a mut dyn FnMut(&Fact, &Ledger);

/// Rebuilds the state: a snapshot and the batches that came after it.
fn replay(mut ledger: Ledger, batches: impl Iterator<Item = Result<Vec<Fact>, JournalError>>, hear: Hear<'_>) -> Result<Recovered, JournalError> {
    let mut replayed = 0;
    for batch in batches {
        for fact in batch? {
            ledger.apply(&fact);
            hear(&fact, &ledger);
            replayed += 1;
        }
    }
    Ok(Recovered { ledger, replayed })
}

#[cfg(test)]
mod tests {
    use bitacora_core::{
        aggregate::Totals,
        fleet::{
            Availability, JobFailure, JobSpec, JobType, ListedFile, NodeSelector, OwnRole, Partitioning, Placement, Priority, Requester, ResultSummary, Right,
        },
        ids::{Attempt, Digest, Epoch, JobId, NodeId, ProjectId, SparkId},
        paths::RelativePath,
        time::{Span, Time},
        wire::task::{AttemptError, FileLimits, FileOutcome, FileResult, SkipReason, SparkOutput},
    };

    use super::*;

    /// One fact of each kind, in an order in which they can be applied.
    fn facts() -> Vec<Fact> {
        let epoch = Epoch(1);
        let (project, job) = (ProjectId { epoch, counter: 1 }, JobId { epoch, counter: 2 });
        let spark = |number| SparkId { job, number };
        let spec = JobSpec {
            project: Some(project),
            job_type: JobType::FullAnalysis,
            priority: Priority::Normal,
            partitioning: Partitioning::Intelligent,
            placement: Placement::Intelligent,
            fingerprint: Digest([1; 32]),
            limits: FileLimits::default(),
            use_cache: true,
            base: Some(Digest([2; 32])),
            listing: Digest([3; 32]),
            timeout: Some(Span::from_secs(9)),
            selection: vec![],
            after: vec![],
            command: None,
            nodes: NodeSelector::default(),
            by: Requester::Fleet,
        };
        let file = |name: &str| ListedFile {
            path: RelativePath::new(name.into()).unwrap(),
            size: 5,
            language: "c".into(),
            complexity: 2,
            cluster: 0,
            content: None,
            is_disputed: false,
        };
        let files = vec![file("a.c"), file("b.c"), file("c.c"), file("d.c")];
        let outcome = FileOutcome { index: 0, stat: None, result: FileResult::Skipped(SkipReason::Binary) };
        let again = AttemptError::Crashed("signal 6".into());
        vec![
            Fact::EpochBegan { epoch, at: Time(1) },
            Fact::ProjectAdded { project, name: "p".into(), root: b"/p".to_vec() },
            Fact::ProjectRenamed { project, name: "q".into() },
            Fact::JobAccepted { job, spec: Box::new(spec), files, sparks: vec![vec![0], vec![1, 2], vec![3]], at: Time(2), jobs_kept: 200 },
            Fact::SparkStarted { spark: spark(0), attempt: Attempt(1), node: NodeId(0) },
            Fact::SparkFinished { spark: spark(0), output: SparkOutput { files: vec![outcome], cached: 0, ended: None }, node: None },
            Fact::AttemptFailed { spark: spark(1), error: again.clone(), not_before: Time(3), isolate: true, counts: true },
            Fact::SparkSplit { spark: spark(1) },
            Fact::FileQuarantined { spark: spark(3) },
            Fact::SparkFailed { spark: spark(2), error: again },
            Fact::JobPaused { job },
            Fact::JobResumed { job },
            Fact::JobPrioritised { job, priority: Priority::High },
            Fact::JobCancelled { job, at: Time(4) },
            Fact::JobRetried { job, at: Time(5) },
            Fact::JobFailed { job, reason: "x".into(), failure: JobFailure::Other, at: Time(6) },
            Fact::JobRetried { job, at: Time(7) },
            Fact::JobCompleted {
                job,
                result: Box::new(ResultSummary { job, at: Time(8), manifest: Digest([4; 32]), totals: Totals::default() }),
                history_max: 5,
            },
            Fact::ProjectRemoved { project },
        ]
    }

    /// The bytes of version 1 as they were first written. They are never made anew: a change that cannot read them is wrong.
    #[test]
    fn facts_of_version_1_are_read_for_ever() {
        let read = read(include_str!("../tests/golden/facts-1.hex"));
        assert_eq!(read, facts());
        let mut ledger = Ledger::default();
        read.iter().for_each(|fact| ledger.apply(fact));
        assert!(ledger.projects.is_empty() && ledger.jobs.is_empty());
    }

    #[test]
    fn facts_about_nodes_are_read_and_written_alike_for_ever() {
        let node = NodeId::counted(Epoch(7), 1);
        let job = JobId { epoch: Epoch(7), counter: 2 };
        let facts = [
            Fact::NodePaired { node, name: "ada".into(), at: Time(1) },
            Fact::NodeAvailability { node, availability: Availability::Cordoned },
            Fact::NodeLabelled { node, labels: [("zone".into(), "eu".into())].into() },
            Fact::NodeDraining { node, until: Time(2) },
            Fact::NodeDrained { node, at: Time(3) },
            Fact::NodeStopped { node, reason: "smoke".into(), at: Time(4) },
            Fact::JobPinned { job, nodes: "zone=eu,ada".parse().unwrap() },
            Fact::NodeRemoved { node, at: Time(5) },
        ];
        are_read_and_written_alike(include_str!("../tests/golden/facts-1-nodes.hex"), &facts);
    }

    #[test]
    fn facts_about_addresses_are_read_and_written_alike_for_ever() {
        let node = NodeId::counted(Epoch(7), 1);
        let parsed = |addresses: &[&str]| addresses.iter().map(|address| address.parse().unwrap()).collect();
        let addressed = |addresses, claimed| Fact::NodeAddressed { node, addresses: parsed(addresses), claimed: parsed(claimed) };
        let facts = [addressed(&["192.0.2.7:7413", "[2001:db8::7]:7413"], &["192.0.2.8:1"]), addressed(&[], &[])];
        are_read_and_written_alike(include_str!("../tests/golden/facts-1-addresses.hex"), &facts);
    }

    #[test]
    fn facts_about_copies_are_read_and_written_alike_for_ever() {
        let spark = SparkId { job: JobId { epoch: Epoch(7), counter: 2 }, number: 0 };
        let dropped = Fact::CopyDropped { spark, error: AttemptError::Crashed("signal 6".into()), attempt: Attempt(1), node: NodeId(0) };
        are_read_and_written_alike(include_str!("../tests/golden/facts-1-copies.hex"), &[dropped]);
    }

    #[test]
    fn facts_about_what_is_asked_for_again_are_read_and_written_alike_for_ever() {
        let job = JobId { epoch: Epoch(7), counter: 2 };
        let amended = |placement, timeout, by| Fact::JobAmended { job, placement, timeout, by };
        let facts = [
            amended(Placement::LeastLoaded, Some(Span::from_secs(9)), None),
            amended(Placement::Intelligent, None, None),
            amended(Placement::Intelligent, None, Some(Requester::User(1000))),
        ];
        are_read_and_written_alike(include_str!("../tests/golden/facts-1-amended.hex"), &facts);
    }

    #[test]
    fn facts_about_disputes_are_read_and_written_alike_for_ever() {
        let spark = SparkId { job: JobId { epoch: Epoch(7), counter: 2 }, number: 0 };
        let outcomes = vec![FileOutcome { index: 0, stat: None, result: FileResult::Skipped(SkipReason::Binary) }];
        let output = SparkOutput { files: outcomes.clone(), cached: 0, ended: None };
        let (one, two) = (NodeId::counted(Epoch(7), 1), NodeId::counted(Epoch(7), 3));
        let path = RelativePath::new(b"a.c".to_vec()).unwrap();
        let facts = [
            Fact::SparkFinished { spark, output, node: Some(one) },
            Fact::SparkDisputed { spark, attempt: Attempt(2), node: two, first: Some(one), path: path.clone(), outcomes: outcomes.clone() },
            Fact::SparkDisputed { spark, attempt: Attempt(3), node: two, first: None, path, outcomes },
        ];
        are_read_and_written_alike(include_str!("../tests/golden/facts-1-disputes.hex"), &facts);
    }

    #[test]
    fn facts_about_the_masters_own_role_are_read_and_written_alike_for_ever() {
        let taken = |role, node, at| Fact::RoleTaken { role, node, at: Time(at) };
        let facts = [taken(OwnRole::Hybrid, Some(NodeId::counted(Epoch(7), 1)), 1), taken(OwnRole::Master, None, 2)];
        are_read_and_written_alike(include_str!("../tests/golden/facts-1-roles.hex"), &facts);
    }

    #[test]
    fn facts_about_records_are_read_and_written_alike_for_ever() {
        let (node, packs) = (NodeId::counted(Epoch(7), 1), vec![Digest([1; 32]), Digest([2; 32])]);
        let facts = [Fact::PacksHeld { node, packs: packs.clone() }, Fact::PacksLost { node, packs: packs.clone() }];
        are_read_and_written_alike(include_str!("../tests/golden/facts-1-packs.hex"), &facts);
        let job = JobId { epoch: Epoch(7), counter: 2 };
        let spec = JobSpec { job_type: JobType::CacheWarming, nodes: "n7.1".parse().unwrap(), ..JobSpec::without_tree(None, Priority::Background, vec![]) };
        let accepted = Fact::WarmingAccepted { job, spec: Box::new(spec), packs: vec![packs], at: Time(3), jobs_kept: 200 };
        assert_eq!(read(include_str!("../tests/golden/facts-1-warming.hex")), [accepted]);
    }

    fn read(golden: &str) -> Vec<Fact> {
        let bytes = |line: &str| (0..line.len() / 2).map(|at| u8::from_str_radix(&line[2 * at..2 * at + 2], 16).unwrap()).collect::<Vec<u8>>();
        golden.lines().map(|line| rmp_serde::from_slice(&bytes(line)).unwrap()).collect()
    }

    #[test]
    fn facts_about_operators_are_read_and_written_alike_for_ever() {
        let operator = NodeId::counted(Epoch(7), 1);
        let spec = Box::new(JobSpec { by: Requester::Operator(operator), ..JobSpec::without_tree(None, Priority::Low, vec![]) });
        let facts = [
            Fact::OperatorPaired { operator, name: "phone".into(), right: Right::Operate, at: Time(1) },
            Fact::OperatorRight { operator, right: Right::View, projects: None, at: Time(2) },
            Fact::OperatorRight { operator, right: Right::View, projects: Some(vec![ProjectId { epoch: Epoch(1), counter: 2 }]), at: Time(2) },
            Fact::OperatorRemoved { operator, at: Time(3) },
            Fact::JobAccepted { job: JobId { epoch: Epoch(7), counter: 2 }, spec, files: vec![], sparks: vec![vec![]], at: Time(4), jobs_kept: 9 },
        ];
        are_read_and_written_alike(include_str!("../tests/golden/facts-1-operators.hex"), &facts);
    }

    fn are_read_and_written_alike(golden: &str, facts: &[Fact]) {
        let written = |fact: &Fact| rmp_serde::to_vec_named(fact).unwrap().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(golden.lines().map(str::to_owned).collect::<Vec<_>>(), facts.iter().map(written).collect::<Vec<_>>());
        assert_eq!(read(golden), facts);
    }
}
