//! What a run is to be: how large, how rough, and with which bug planted. Plain data.

use alloc::collections::BTreeMap;

use crate::{
    fleet::{Listings, Results, Settings},
    time::{Span, Time},
};

/// A run, complete: two runs of equal scenarios are equal, event by event.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub seed: u64,
    pub agents: u32,
    pub projects: u32,
    /// In each tree.
    pub files: u32,
    /// Submissions; people stop asking for more then.
    pub jobs_max: u32,
    pub faults: Faults,
    /// Faults and people's moods end then; what is unfinished has to finish after it.
    pub calm_at: Time,
    /// How long after that.
    pub patience: Span,
    /// A run with more events than this is a live lock.
    pub events_max: u64,
    /// A spark is given up after so many failures that count, and a result may then lack its files.
    pub failures_max: u32,
    /// Do jobs go on by themselves when their master returns?
    pub resume_recovered: bool,
    pub listings: Listings,
    pub results: Results,
    /// Have some nodes an engine that is not the one of the jobs?
    pub skewed: bool,
    /// Can nobody dial the master, so that it has to call everybody?
    pub secluded: bool,
    pub plant: Option<Plant>,
}

impl Scenario {
    /// Everything that can go wrong does, for twenty seconds.
    pub fn stormy(seed: u64, agents: u32) -> Scenario {
        Scenario {
            seed,
            agents,
            projects: 3,
            files: 24 + agents,
            jobs_max: 12,
            faults: Faults::STORM,
            calm_at: START + Span::from_secs(20),
            patience: Span::from_secs(180),
            events_max: 50_000 + 5_000 * u64::from(agents),
            // Every fourth seed lets sparks fail for good; in the others every file must get its outcome.
            failures_max: if seed % 4 == 3 { 4 } else { 100_000 },
            resume_recovered: seed % 3 != 1,
            listings: [Listings::Kept, Listings::Asked, Listings::Anew][(seed % 3) as usize],
            results: if seed.is_multiple_of(2) { Results::Nodes } else { Results::Master },
            skewed: seed % 4 == 1,
            secluded: seed % 5 == 2,
            plant: None,
        }
    }

    /// Nothing goes wrong, but for the deadly files.
    pub fn calm(seed: u64, agents: u32) -> Scenario {
        Scenario { faults: Faults::NONE, calm_at: START + Span::from_secs(2), ..Scenario::stormy(seed, agents) }
    }

    pub fn planted(self, plant: Plant) -> Scenario {
        Scenario { plant: Some(plant), ..self }
    }

    /// Shorter deadlines than in life, so that each of them is reached in a run.
    pub(super) fn settings(&self) -> Settings {
        Settings {
            seed: self.seed,
            spark_timeout: Span::from_secs(4),
            spark_grace: Span::from_secs(1),
            failures_max: self.failures_max,
            backoff_first: Span::from_millis(100),
            backoff_max: Span::from_secs(2),
            aggregation_timeout: Span::from_millis(400),
            ageing_step: Span::from_secs(5),
            queued_per_slot: 1,
            resend_after: Span::from_secs(1),
            reattach_max: Span::from_secs(4),
            degraded_after: Span::from_millis(1_500),
            unhealthy_after: Span::from_secs(3),
            offline_after: Span::from_secs(5),
            beats_missed: Settings::default().beats_missed,
            stalled_after: Span::from_secs(2),
            drain_max: Span::from_secs(3),
            resume_recovered: self.resume_recovered,
            copies_per_hundred: 50,
            listings: self.listings,
            results: self.results,
            copies: 2,
            lost_after: Span::from_secs(7),
            history_max: 50,
            // What was promised must not be forgotten: a request for records is a job for each node.
            jobs_kept: 2_000,
            tokens_max: 64,
            token_span_max: Span::from_secs(3600),
            audit_repeat: Span::from_secs(600),
            late_max: Span::from_secs(1),
            sparks_max: 1_000,
            attempts_max: 16,
        }
    }
}

/// When every run begins.
pub const START: Time = Time(1_000_000_000);

/// How often things go wrong, in ten thousand.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// Each of these by message.
    pub lost: u32,
    pub duplicated: u32,
    pub late: u32,
    /// By node and second.
    pub partitioned: u32,
    pub killed: u32,
    /// By commit.
    pub master_killed: u32,
    /// By attempt.
    pub not_stored: u32,
    pub hung: u32,
    pub command_failed: u32,
    /// By command of a person; without them people submit and wait.
    pub moody: bool,
}

impl Faults {
    pub const NONE: Faults =
        Faults { lost: 0, duplicated: 0, late: 0, partitioned: 0, killed: 0, master_killed: 0, not_stored: 0, hung: 0, command_failed: 0, moody: false };
    pub const STORM: Faults = Faults {
        lost: 300,
        duplicated: 500,
        late: 400,
        partitioned: 300,
        killed: 500,
        master_killed: 60,
        not_stored: 500,
        hung: 200,
        command_failed: 2_000,
        moody: true,
    };
}

/// A bug that the simulation itself commits, to show that it would notice. None is in the cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// A committed fact is gone when the master returns.
    LoseFact,
    /// A committed result is in the journal twice.
    RepeatFact,
    /// A master that dies has sent what its lost records would have allowed.
    SendBeforeRecord,
    /// A result is acknowledged on arrival and then lost.
    AcknowledgeEarly,
    /// Nothing arrives that lets a node forget an answer: no acknowledgement, nor the call-off that would stand for it.
    DropAcknowledge,
    /// The answer of an earlier attempt is taken for that of the present one.
    AcceptStaleAttempt,
    /// A node that starts again has its earlier number.
    ForgetIncarnation,
    /// The answer holds results of another run's files under the right numbers.
    ResurrectedResult,
    /// A child process that parsed sound files is reported as crashed.
    BlameNeighbour,
    /// A job waits for nothing that it was asked to wait for.
    ForgetAwaited,
    /// Both answers of a spark that was run twice are in the journal.
    CountLoser,
    /// The journal does not say that a copy came to nothing.
    ForgetDropped,
    /// A node says that it keeps what it was asked to keep, and does not.
    KeepNothing,
    /// A node that answers late has other figures for the same contents.
    AnswerOtherwise,
}

impl Plant {
    pub const ALL: [Plant; 14] = [
        Plant::LoseFact,
        Plant::RepeatFact,
        Plant::SendBeforeRecord,
        Plant::AcknowledgeEarly,
        Plant::DropAcknowledge,
        Plant::AcceptStaleAttempt,
        Plant::ForgetIncarnation,
        Plant::ResurrectedResult,
        Plant::BlameNeighbour,
        Plant::ForgetAwaited,
        Plant::CountLoser,
        Plant::ForgetDropped,
        Plant::KeepNothing,
        Plant::AnswerOtherwise,
    ];
}

/// Something that happened in a run and is counted, so that a test can assert that it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Count {
    MessageLost,
    MessageDuplicated,
    MessageLate,
    MessageCutOff,
    NodePartitioned,
    /// What one side says gets through, and what the other one says does not.
    LinkHalfOpen,
    NodeKilled,
    NodeStartedLate,
    NodeRetired,
    /// In good order.
    NodeLeft,
    NodeDrained,
    NodeStopped,
    DisconnectReported,
    /// A deadly file took an agent's process with it.
    ProcessPoisoned,
    /// A deadly file took the child process of an isolated spark with it.
    ChildPoisoned,
    WorkNotStored,
    WorkHung,
    WorkStopped,
    MasterKilled,
    MasterStopped,
    EffectsLost,
    ResultNotStored,
    ResultLate,
    StaleMessage,
    /// A late answer said the same as the one that counts.
    AnswerCompared,
    JobCompleted,
    JobCancelled,
    JobFailed,
    JobPaused,
    JobResumed,
    JobRetried,
    JobPrioritised,
    SparkSplit,
    FileQuarantined,
    SparkMoved,
    ProjectRemoved,
    SparkCancelled,
    CommandFailed,
    /// A job began after something that it waited for.
    DependantBegun,
    /// A spark that ran was begun a second time.
    CopyBegun,
    /// The second run of a spark answered first.
    CopyWon,
    /// The first one did.
    CopyLost,
    /// The second run came to nothing and the first went on.
    CopyDropped,
    /// A node has all the packs that it was asked to have.
    NodeWarmed,
    /// The master's own machine was to run work, or none any more.
    RoleTaken,
    /// A node is known to have packs that stay with it.
    PacksHeld,
    /// A node of another engine was given work that needs none.
    OtherEngineUsed,
    /// A spark that takes more than one slot had them.
    NeedyStarted,
    /// A node without a link answered its master's call.
    NodeCalled,
    /// A node beat and got nowhere, and its master saw it.
    NodeStalled,
}

impl Count {
    pub const ALL: [Count; 50] = [
        Count::MessageLost,
        Count::MessageDuplicated,
        Count::MessageLate,
        Count::MessageCutOff,
        Count::NodePartitioned,
        Count::LinkHalfOpen,
        Count::NodeKilled,
        Count::NodeStartedLate,
        Count::NodeRetired,
        Count::NodeLeft,
        Count::NodeDrained,
        Count::NodeStopped,
        Count::DisconnectReported,
        Count::ProcessPoisoned,
        Count::ChildPoisoned,
        Count::WorkNotStored,
        Count::WorkHung,
        Count::WorkStopped,
        Count::MasterKilled,
        Count::MasterStopped,
        Count::EffectsLost,
        Count::ResultNotStored,
        Count::ResultLate,
        Count::StaleMessage,
        Count::AnswerCompared,
        Count::JobCompleted,
        Count::JobCancelled,
        Count::JobFailed,
        Count::JobPaused,
        Count::JobResumed,
        Count::JobRetried,
        Count::JobPrioritised,
        Count::SparkSplit,
        Count::FileQuarantined,
        Count::SparkMoved,
        Count::ProjectRemoved,
        Count::SparkCancelled,
        Count::CommandFailed,
        Count::DependantBegun,
        Count::CopyBegun,
        Count::CopyWon,
        Count::CopyLost,
        Count::CopyDropped,
        Count::NodeWarmed,
        Count::RoleTaken,
        Count::PacksHeld,
        Count::OtherEngineUsed,
        Count::NeedyStarted,
        Count::NodeCalled,
        Count::NodeStalled,
    ];

    /// Does it take more than a deadly file to bring this about?
    pub fn is_trouble(self) -> bool {
        use Count::{
            AnswerCompared, ChildPoisoned, CopyBegun, CopyDropped, CopyLost, CopyWon, DependantBegun, DisconnectReported, FileQuarantined, JobCancelled,
            JobCompleted, NeedyStarted, NodeCalled, NodeWarmed, OtherEngineUsed, PacksHeld, ProcessPoisoned, SparkSplit, StaleMessage, WorkStopped,
        };
        // A later submission for the same tree cancels an unfinished earlier one and stops its work.
        !matches!(
            self,
            JobCancelled
                | WorkStopped
                | JobCompleted
                | DependantBegun
                | CopyBegun
                | CopyWon
                | CopyLost
                | CopyDropped
                | NeedyStarted
                | NodeCalled
                | NodeWarmed
                | OtherEngineUsed
                | PacksHeld
                | ProcessPoisoned
                | ChildPoisoned
                | DisconnectReported
                | StaleMessage
                | AnswerCompared
                | SparkSplit
                | FileQuarantined
        )
    }
}

/// How often each thing happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    counts: BTreeMap<Count, u64>,
}

impl Tally {
    pub fn of(&self, count: Count) -> u64 {
        self.counts.get(&count).copied().unwrap_or(0)
    }

    pub fn add(&mut self, other: &Tally) {
        other.counts.iter().for_each(|(count, times)| *self.counts.entry(*count).or_default() += times);
    }

    pub(super) fn one(&mut self, count: Count) {
        self.more(count, 1);
    }

    pub(super) fn more(&mut self, count: Count, times: u64) {
        *self.counts.entry(count).or_default() += times;
    }
}
