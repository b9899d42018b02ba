//! The work itself: what a spark asks of a node, and what the node answers for each file.

use alloc::{string::String, vec::Vec};
use core::fmt;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, SeqAccess, Visitor},
};

use super::{
    command::{CommandEnd, CommandLine},
    record::FileSummary,
    warrant::Warrant,
};
use crate::{
    ids::{Attempt, Digest, SparkId},
    paths::RelativePath,
    time::Span,
};

/// Files of one spark; bounds its task and its result. A result that lists more is none.
pub const SPARK_FILES_MAX: usize = 4096;

/// One attempt at a spark, complete: a node needs nothing else to run it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    pub spark: SparkId,
    pub attempt: Attempt,
    pub work: Work,
    /// After this the node gives up on its own; the master waits a little longer.
    pub timeout: Span,
    /// Of its node's, that it takes while it runs.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub slots: u32,
    #[serde(default, skip_serializing_if = "Warrant::is_plain")]
    pub warrant: Warrant,
}

fn one() -> u32 {
    1
}

fn is_one(slots: &u32) -> bool {
    *slots == 1
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Work {
    Analyse(Analysis),
    Run(CommandLine),
    /// Have these packs of records, for analyses to come.
    Keep(Vec<Digest>),
    /// Nothing at all: what a spark costs besides its work.
    Nothing,
}

/// A batch of files to analyse.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Analysis {
    /// The project's folder on the node that runs it, absolute.
    pub root: Vec<u8>,
    pub files: Vec<TaskFile>,
    pub limits: FileLimits,
    /// In a child process of its own, because an earlier attempt took its process with it.
    pub isolated: bool,
    /// May results of earlier analyses be used?
    pub use_cache: bool,
}

/// A file to analyse.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskFile {
    /// Its number in the job's listing.
    pub index: u32,
    pub path: RelativePath,
    /// By its name; empty when only its first line can tell.
    pub language: String,
    /// As it was listed.
    #[serde(default)]
    pub size: u64,
    /// The hash of its bytes, for a node that does not read them off the master's disk.
    #[serde(default)]
    pub content: Option<Digest>,
}

/// What one file may cost. A file over a limit is named in the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileLimits {
    /// A larger file is skipped as oversized.
    pub bytes_max: u64,
    /// Calls of the parser's progress callback; deterministic, unlike time.
    pub parse_steps_max: u64,
    /// The backstop; a file that runs into it is named and never cached.
    pub wall_max: Span,
}

impl Default for FileLimits {
    /// 5 MiB; two hundred times the steps that the slowest real file of that size took; one minute.
    fn default() -> FileLimits {
        FileLimits { bytes_max: 5 << 20, parse_steps_max: 20_000_000, wall_max: Span::from_secs(60) }
    }
}

/// What came of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileOutcome {
    pub index: u32,
    /// As seen when it was read; `None` when it could not be opened.
    pub stat: Option<FileStat>,
    pub result: FileResult,
}

/// How a file is recognised without reading it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStat {
    pub size: u64,
    /// Nanoseconds since the Unix epoch.
    pub modified_ns: i64,
    /// Change time of the inode, likewise: catches what set the modification time back.
    pub changed_ns: i64,
    pub inode: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileResult {
    Analysed { content: Digest, language: String, record: RecordRef, summary: FileSummary },
    Skipped(SkipReason),
    Failed(FailReason),
}

/// Where a file's full record lies: a numbered entry of a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordRef {
    pub pack: Digest,
    pub entry: u32,
}

/// Left out by choice; exit code 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SkipReason {
    /// A NUL in its first bytes, or text in an encoding that is not a superset of ASCII.
    Binary,
    Oversized,
    Minified,
    Generated,
    /// A FIFO, socket or device; never opened.
    Special,
    /// No known extension, name or first line. Not listed.
    UnknownLanguage,
}

impl SkipReason {
    pub const fn name(self) -> &'static str {
        match self {
            SkipReason::Binary => "binary",
            SkipReason::Oversized => "oversized",
            SkipReason::Minified => "minified",
            SkipReason::Generated => "generated",
            SkipReason::Special => "special",
            SkipReason::UnknownLanguage => "unknown-language",
        }
    }
}

/// Should have been analysed and was not; exit code 3.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailReason {
    /// With the system's message.
    Unreadable(String),
    /// It was there when the tree was listed.
    Vanished,
    /// It changed each time it was read.
    Changing,
    /// More parser steps than allowed.
    TooComplex,
    /// The backstop; not deterministic, so never cached.
    TimedOut,
    /// It took the process that parsed it with it, alone.
    Quarantined,
    /// Its spark did not end; with the reason.
    Missing(String),
    /// Two results for it differ.
    Conflict,
    /// What was found in it is more than one record may hold.
    TooLarge,
}

/// What a node answers for a whole spark.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SparkOutput {
    /// One outcome per file of the task, in its order.
    #[serde(deserialize_with = "files_of_one_spark")]
    pub files: Vec<FileOutcome>,
    /// How many of them came from the cache.
    pub cached: u32,
    /// Of a command.
    #[serde(default)]
    pub ended: Option<CommandEnd>,
}

/// An outcome in memory is many times what it may be on the wire, so that a list is bounded by its length and not only by its frame.
fn files_of_one_spark<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<FileOutcome>, D::Error> {
    struct Files;
    impl<'de> Visitor<'de> for Files {
        type Value = Vec<FileOutcome>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "at most {SPARK_FILES_MAX} outcomes")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<FileOutcome>, A::Error> {
            let mut files = Vec::with_capacity(list.size_hint().unwrap_or(0).min(SPARK_FILES_MAX));
            while let Some(file) = list.next_element()? {
                if files.len() == SPARK_FILES_MAX {
                    return Err(Error::invalid_length(files.len() + 1, &self));
                }
                files.push(file);
            }
            Ok(files)
        }
    }
    deserializer.deserialize_seq(Files)
}

/// Why an attempt as a whole came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttemptError {
    /// The child process ended without an answer; with the signal or status.
    Crashed(String),
    TimedOut,
    Cancelled,
    /// The node cannot write its results: disk full, no rights.
    Storage(String),
    /// The node's process that ran it is gone.
    Interrupted,
    /// The node is not heard from.
    NodeSilent,
    /// The answer does not fit the question.
    Invalid(String),
    /// It was taken off its node, which drains, leaves or was stopped; nobody's fault.
    Moved,
    /// The files' contents could not be brought to the node; nobody's fault.
    Unsupplied(String),
    /// The command ended, and not with success.
    Exited(CommandEnd),
    /// The node does not run such a thing, or cannot; with the reason.
    Refused(String),
    /// The master did not take its result: it is too large, or the master's disk is full.
    NotTaken(String),
}

impl AttemptError {
    /// For people.
    pub fn describe(&self) -> String {
        match self {
            AttemptError::Crashed(how) => alloc::format!("the process that ran it ended with {how}"),
            AttemptError::TimedOut => "it took too long".into(),
            AttemptError::Cancelled => "it was cancelled".into(),
            AttemptError::Storage(error) => alloc::format!("its result could not be written: {error}"),
            AttemptError::NotTaken(reason) => alloc::format!("the master did not take its result: {reason}"),
            AttemptError::Interrupted => "the process that ran it is gone".into(),
            AttemptError::NodeSilent => "its node is not heard from".into(),
            AttemptError::Moved => "it was taken off its node".into(),
            AttemptError::Unsupplied(error) => alloc::format!("its files could not be fetched: {error}"),
            AttemptError::Exited(ended) => alloc::format!("it ended with {}", ended.status),
            AttemptError::Refused(reason) => alloc::format!("its node refused it: {reason}"),
            AttemptError::Invalid(what) => alloc::format!("its answer does not fit: {what}"),
        }
    }
}

impl FailReason {
    /// For people and for JSON.
    pub fn describe(&self) -> String {
        match self {
            FailReason::Unreadable(error) => alloc::format!("unreadable: {error}"),
            FailReason::Vanished => "vanished".into(),
            FailReason::Changing => "changed while it was read".into(),
            FailReason::TooComplex => "too complex: over the limit of parser steps".into(),
            FailReason::TimedOut => "timed out (not deterministic)".into(),
            FailReason::Quarantined => "quarantined: it ended the process that parsed it".into(),
            FailReason::Missing(reason) => alloc::format!("missing: {reason}"),
            FailReason::Conflict => "conflict: two results for it differ".into(),
            FailReason::TooLarge => "too large: more was found in it than one record may hold".into(),
        }
    }
}
