//! What was promised and what is true, remembered apart from the cores, to hold them to it.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use super::{Count, Origin};
use crate::{
    fleet::{Awaited, Effect, Fact, JobStatus, Ledger, Notice, Spark, SparkState},
    ids::{Epoch, JobId, NodeId, SparkId},
    wire::{
        Envelope, FromAgent, ToAgent,
        message::Held,
        task::{AttemptError, SparkOutput},
    },
};

/// Processes that one deadly file may take with it before its spark is isolated.
const PROCESSES_LOST_MAX: u32 = 2;

#[derive(Default)]
pub(super) struct Oracle {
    /// Attempts that a node was asked for: their numbers are never given again.
    begun: BTreeSet<Held>,
    /// Answers that a node was told to forget.
    acknowledged: BTreeSet<Held>,
    /// Jobs that a person was told of.
    accepted: BTreeSet<JobId>,
    /// The master's life that sent with this epoch.
    epochs: BTreeMap<Epoch, u64>,
    /// The latest life of a node that said Hello to this life of the master.
    introduced: BTreeMap<NodeId, u64>,
    poisoned: BTreeMap<(JobId, u32), u32>,
    /// How often people gave all of a job's sparks another chance.
    chances: BTreeMap<JobId, u32>,
    awaited: BTreeMap<JobId, Vec<Awaited>>,
    /// Attempts that this life of the master found running or asked for, and neither called back nor gave up: two of a spark are a
    /// race.
    asked: BTreeMap<Held, NodeId>,
    /// Attempts whose spark another one was faster with.
    outrun: BTreeSet<Held>,
    /// The last answer, for the planted bug that digs it up.
    pub(super) buried: Option<SparkOutput>,
}

/// What a message from a node is about, and what the ledger says of it before it is handled.
pub(super) struct Question {
    origin: Origin,
    said: Option<Held>,
    state: Option<SparkState>,
    /// Attempts that a Hello lists and that run on its node by the ledger.
    kept: BTreeSet<SparkId>,
    /// A Hello of a life before the one that is known.
    is_over: bool,
}

impl Question {
    /// A master that had lost the node cannot tell its lives apart.
    pub(super) fn after_loss(self, lost: bool) -> Question {
        Question { is_over: self.is_over && !lost, ..self }
    }
}

impl Oracle {
    pub(super) fn question(&self, origin: Origin, said: Option<Held>, node: NodeId, message: &Envelope<FromAgent>, ledger: &Ledger) -> Question {
        let state = said.and_then(|held| ledger.spark(held.spark)).map(|spark| spark.state.clone());
        let is_running = |held: &Held| {
            let running = SparkState::Running { attempt: held.attempt, node };
            ledger.spark(held.spark).is_some_and(|spark| spark.state == running)
        };
        let kept = match &message.body {
            FromAgent::Hello { held, .. } if self.is_latest(origin) => held.iter().filter(|held| is_running(held)).map(|held| held.spark).collect(),
            _ => BTreeSet::new(),
        };
        let is_over = matches!(message.body, FromAgent::Hello { .. }) && !self.is_latest(origin);
        Question { origin, said, state, kept, is_over }
    }

    fn is_latest(&self, origin: Origin) -> bool {
        self.introduced.get(&origin.node).is_none_or(|life| *life <= origin.life)
    }

    /// Was what a master made of an event right? Answers with how a race ended, if one did.
    pub(super) fn judge(&mut self, question: Option<&Question>, effects: &[Effect]) -> Option<Count> {
        let mut race = None;
        for effect in effects {
            match effect {
                Effect::Record(Fact::SparkFinished { spark, .. }) => {
                    race = self.judge_finished(*spark, question);
                    self.end_attempts(*spark);
                }
                Effect::Record(Fact::CopyDropped { spark, error, attempt, .. }) => {
                    let torn = *error == AttemptError::Interrupted && question.is_some_and(|question| question.is_over || question.kept.contains(spark));
                    assert!(!torn, "the copy of {spark} was taken from a node that came back with it, or that spoke from an earlier life");
                    self.asked.retain(|held, _| held.spark != *spark || held.attempt == *attempt);
                }
                Effect::Record(Fact::AttemptFailed { spark, error: AttemptError::Interrupted, .. }) => {
                    let torn = question.is_some_and(|question| question.is_over || question.kept.contains(spark));
                    assert!(!torn, "{spark} was taken from a node that came back with it, or that spoke from an earlier life");
                    self.end_attempts(*spark);
                }
                Effect::Record(Fact::AttemptFailed { spark, .. } | Fact::SparkFailed { spark, .. } | Fact::SparkSplit { spark }) => self.end_attempts(*spark),
                Effect::Record(Fact::JobCancelled { job, .. } | Fact::JobFailed { job, .. }) => self.asked.retain(|held, _| held.spark.job != *job),
                Effect::Send { to, message } => self.note_asked(*to, &message.body),
                Effect::Record(_)
                | Effect::Audit(_)
                | Effect::LookUpHead { .. }
                | Effect::Disconnect { .. }
                | Effect::Call { .. }
                | Effect::ListTree { .. }
                | Effect::StoreResult { .. }
                | Effect::KeepOutput(_)
                | Effect::Publish(_) => {}
            }
        }
        if let Some(Question { origin, said: Some(said), .. }) = question
            && self.introduced.get(&origin.node) == Some(&origin.life)
        {
            // Heard from one that is known, it was its end, whatever was said.
            self.asked.remove(said);
        }
        race
    }

    pub(super) fn is_outrun(&self, held: Held) -> bool {
        self.outrun.contains(&held)
    }

    fn end_attempts(&mut self, spark: SparkId) {
        self.asked.retain(|held, _| held.spark != spark);
    }

    fn note_asked(&mut self, to: NodeId, body: &ToAgent) {
        match body {
            ToAgent::ExecuteTask(task) => drop(self.asked.insert(Held { spark: task.spark, attempt: task.attempt }, to)),
            ToAgent::CancelTask { spark, attempt } => drop(self.asked.remove(&Held { spark: *spark, attempt: *attempt })),
            ToAgent::EmergencyShutdown { .. } => self.asked.retain(|_, node| *node != to),
            ToAgent::Acknowledge { .. }
            | ToAgent::AuditHead(_)
            | ToAgent::SyncState
            | ToAgent::SetPace { .. }
            | ToAgent::MigrateProject { .. }
            | ToAgent::UpdateConfiguration { .. }
            | ToAgent::Neighbours(_)
            | ToAgent::KeepConfiguration { .. }
            | ToAgent::Dismiss => {}
        }
    }

    /// What a person asked a job to wait for. Kept apart from the job's own idea of it.
    pub(super) fn on_awaited(&mut self, job: JobId, after: Vec<Awaited>) {
        self.awaited.insert(job, after);
    }

    /// A spark begins only when all that its job was to wait for has succeeded. Answers whether there was anything.
    pub(super) fn judge_begun(&self, spark: SparkId, ledger: &Ledger) -> bool {
        let after = self.awaited.get(&spark.job).map_or(&[][..], Vec::as_slice);
        for awaited in after {
            let Some(job) = ledger.jobs.get(&awaited.job()) else { continue };
            let state = match awaited {
                Awaited::Job(_) => None,
                Awaited::Spark(awaited) => ledger.spark(*awaited).map(|spark| &spark.state).filter(|state| **state != SparkState::Split),
            };
            let succeeded = state.map_or(job.status == JobStatus::Completed, |state| matches!(state, SparkState::Completed | SparkState::Quarantined));
            assert!(succeeded, "{spark} begins before {awaited} has succeeded");
        }
        !after.is_empty()
    }

    /// The answer is that of the attempt that the ledger knows, or of one that runs beside it.
    fn judge_finished(&mut self, spark: SparkId, question: Option<&Question>) -> Option<Count> {
        let Some(Question { origin, said: Some(said), state, .. }) = question else { panic!("{spark} finished and nobody said so") };
        let asked = SparkState::Running { attempt: said.attempt, node: origin.node };
        let is_beside = self.asked.get(said) == Some(&origin.node);
        assert!(
            said.spark == spark && (*state == Some(asked) || is_beside && matches!(state, Some(SparkState::Running { .. }))),
            "an answer to another question counts: {said:?} of node {} where {spark} was {state:?}",
            origin.node.0
        );
        assert!(self.is_latest(*origin), "an answer of an earlier life of node {} counts for {spark}", origin.node.0);
        let other = *self.asked.keys().find(|held| held.spark == spark && *held != said)?;
        self.outrun.insert(other);
        Some(if other.attempt < said.attempt { Count::CopyWon } else { Count::CopyLost })
    }

    /// After the master handled a Hello. One that had lost the node remembers no life of it.
    pub(super) fn on_introduced(&mut self, origin: Origin, was_known: bool) {
        let life = self.introduced.entry(origin.node).or_default();
        *life = if was_known { (*life).max(origin.life) } else { origin.life };
    }

    /// What ran by its journal it waits for still; of attempts beside those it knows nothing.
    pub(super) fn on_master_started(&mut self, ledger: &Ledger) {
        self.introduced.clear();
        let sparks = ledger.jobs.iter().flat_map(|(job, entry)| (0..).zip(&entry.sparks).map(|(number, spark)| (SparkId { job: *job, number }, spark)));
        let running = |(id, spark): (SparkId, &Spark)| match spark.state {
            SparkState::Running { attempt, node } => Some((Held { spark: id, attempt }, node)),
            _ => None,
        };
        self.asked = sparks.filter_map(running).collect();
    }

    /// A message left a master: what it says is now a promise.
    pub(super) fn on_sent(&mut self, master: u64, message: &Envelope<ToAgent>) {
        let sender = *self.epochs.entry(message.epoch).or_insert(master);
        assert_eq!(sender, master, "two masters spoke in epoch {}", message.epoch.0);
        match &message.body {
            ToAgent::ExecuteTask(task) => drop(self.begun.insert(Held { spark: task.spark, attempt: task.attempt })),
            ToAgent::Acknowledge { spark, attempt } => drop(self.acknowledged.insert(Held { spark: *spark, attempt: *attempt })),
            ToAgent::CancelTask { .. }
            | ToAgent::AuditHead(_)
            | ToAgent::SyncState
            | ToAgent::SetPace { .. }
            | ToAgent::EmergencyShutdown { .. }
            | ToAgent::MigrateProject { .. }
            | ToAgent::UpdateConfiguration { .. }
            | ToAgent::Neighbours(_)
            | ToAgent::KeepConfiguration { .. }
            | ToAgent::Dismiss => {}
        }
    }

    pub(super) fn on_published(&mut self, notice: &Notice) {
        if let Notice::JobAccepted(job) = notice {
            self.accepted.insert(*job);
        }
    }

    /// An answer that a node forgets has to be on the master's disk.
    pub(super) fn on_acknowledged(&self, held: Held, durable: &Ledger) {
        assert!(!runs(durable, held), "{} attempt {} was acknowledged and is not in the journal", held.spark, held.attempt.0);
    }

    /// Does a ledger that comes from disk keep what was promised?
    pub(super) fn check_promises(&self, ledger: &Ledger) {
        for held in &self.acknowledged {
            self.on_acknowledged(*held, ledger);
        }
        for Held { spark, attempt } in &self.begun {
            let forgotten = ledger.spark(*spark).is_some_and(|known| known.attempts < attempt.0);
            assert!(!forgotten, "{spark} attempt {} was sent and is not in the journal", attempt.0);
        }
        for job in self.accepted.iter() {
            assert!(ledger.jobs.contains_key(job), "{job} was accepted and is not in the journal");
        }
    }

    /// What a removed project takes with it was not promised to last.
    pub(super) fn on_removed(&mut self, ledger: &Ledger) {
        self.accepted.retain(|job| ledger.jobs.contains_key(job));
    }

    pub(super) fn on_second_chance(&mut self, job: JobId) {
        *self.chances.entry(job).or_default() += 1;
    }

    pub(super) fn on_process_poisoned(&mut self, job: JobId, file: u32) {
        let chances = self.chances.get(&job).copied().unwrap_or(0);
        let lost = self.poisoned.entry((job, file)).or_default();
        *lost += 1;
        assert!(*lost <= PROCESSES_LOST_MAX + chances, "file {file} of {job} took {lost} processes with it before its spark was isolated");
    }
}

/// The attempt that a message answers for, by its own words.
pub(super) fn answered(message: &Envelope<FromAgent>) -> Option<Held> {
    match &message.body {
        FromAgent::Finished { spark, attempt, .. } | FromAgent::Failed { spark, attempt, .. } => Some(Held { spark: *spark, attempt: *attempt }),
        FromAgent::Hello { .. }
        | FromAgent::Heartbeat { .. }
        | FromAgent::Leaving { .. }
        | FromAgent::Unsupported { .. }
        | FromAgent::Configuration(_)
        | FromAgent::PacksDropped { .. }
        | FromAgent::AuditHead(_)
        | FromAgent::Progress(_)
        | FromAgent::Output(_) => None,
    }
}

fn runs(ledger: &Ledger, held: Held) -> bool {
    ledger.spark(held.spark).is_some_and(|spark| matches!(spark.state, SparkState::Running { attempt, .. } if attempt == held.attempt))
}
