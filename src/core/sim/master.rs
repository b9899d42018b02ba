//! The simulated master: a real [`Fleet`] in a process with a disk. The process dies at any point of its effects; the
//! disk keeps what was committed, and nothing else comes back.

use alloc::{collections::BTreeMap, format, string::String, vec::Vec};

use super::{Count, Happening, Origin, Plant, Simulation, oracle::Question, trees};
use crate::{
    aggregate::Totals,
    fleet::{Availability, Awaited, Effect, Event, Fact, Fleet, Job, JobStatus, Ledger, Notice, OwnRole, ResultSummary, Settings, SparkState, Submission},
    ids::{Digest, JobId, NodeId, SparkId},
    time::Time,
    wire::{
        Envelope, FromAgent,
        message::Held,
        task::{AttemptError, FailReason, FileOutcome, FileResult},
    },
};

/// The node that runs on the master's own machine.
pub(super) const OWN_NODE: NodeId = NodeId(1);
/// Commits between two comparisons of the live ledger with the replayed facts.
const COMPARE_EVERY: u64 = 64;

pub(super) struct Master {
    settings: Settings,
    /// `None` while its process is down.
    fleet: Option<Fleet>,
    life: u64,
    /// Effects that wait for the commit of their turn.
    pending: Vec<Effect>,
    wake_at: Option<Time>,
    /// The newest request to store a job's result; the answer to an older one is dropped.
    /// On disk: the facts, and the results by name.
    journal: Vec<Fact>,
    results: BTreeMap<Digest, Vec<FileOutcome>>,
    /// What the facts on disk come to.
    durable: Ledger,
    commits: u64,
    /// Of the lives before this one.
    stale_messages: u64,
    duplicates: u64,
}

/// The answer to [`Effect::StoreResult`].
pub(super) struct Stored {
    job: JobId,
    round: u64,
    result: Result<ResultSummary, String>,
}

impl Master {
    /// With that many nodes that were paired long ago.
    pub(super) fn new(settings: Settings, nodes: u32) -> Master {
        let paired = |number| Fact::NodePaired { node: NodeId(number), name: alloc::format!("node-{number}"), at: Time(0) };
        let own = Fact::RoleTaken { role: OwnRole::Hybrid, node: Some(OWN_NODE), at: Time(0) };
        let journal: Vec<Fact> = (1..=u64::from(nodes)).map(paired).chain([own]).collect();
        let mut durable = Ledger::default();
        journal.iter().for_each(|fact| durable.apply(fact));
        Master {
            settings,
            fleet: None,
            life: 0,
            pending: Vec::new(),
            wake_at: None,
            journal,
            results: BTreeMap::new(),
            durable,
            commits: 0,
            stale_messages: 0,
            duplicates: 0,
        }
    }

    pub(super) fn fleet(&self) -> Option<&Fleet> {
        self.fleet.as_ref()
    }

    pub(super) fn durable(&self) -> &Ledger {
        &self.durable
    }

    pub(super) fn stale_messages(&self) -> u64 {
        self.stale_messages + self.fleet().map_or(0, Fleet::stale_messages)
    }

    pub(super) fn duplicates(&self) -> u64 {
        self.duplicates + self.fleet().map_or(0, Fleet::duplicates)
    }

    /// Up, with all nodes known, everything committed, and every job completed or cancelled.
    pub(super) fn is_settled(&self, now: Time, nodes: usize) -> bool {
        let Some(fleet) = self.fleet() else { return false };
        self.pending.is_empty() && fleet.ledger().jobs.iter().all(|(id, job)| is_ended(fleet, *id, job)) && fleet.view(now).nodes.len() == nodes
    }

    pub(super) fn unsettled(&self, now: Time) -> String {
        let Some(fleet) = self.fleet() else { return "the master is down".into() };
        let open = fleet.view(now).jobs.into_iter().filter(|job| !is_ended(fleet, job.id, &fleet.ledger().jobs[&job.id]));
        let open: Vec<String> = open.map(|job| format!("{} is {}: {:?}", job.id, job.status.name(), fleet.explain(job.id))).collect();
        open.join("; ")
    }

    /// The facts on disk, applied from the first, come to what is believed to be on disk, and to what the fleet lives by.
    pub(super) fn compare_with_replay(&self) {
        let replayed = self.replay();
        assert!(replayed == self.durable, "the journal, replayed, differs from what was committed");
        let live = self.fleet().filter(|_| self.pending.is_empty());
        assert!(live.is_none_or(|fleet| *fleet.ledger() == replayed), "the journal, replayed, differs from the live ledger");
    }

    fn replay(&self) -> Ledger {
        let mut ledger = Ledger::default();
        self.journal.iter().for_each(|fact| ledger.apply(fact));
        ledger
    }
}

impl Simulation {
    pub(super) fn start_master(&mut self) {
        if self.has_plant(Plant::LoseFact) && !self.master.journal.is_empty() {
            let lost = self.dice.below(self.master.journal.len() as u64);
            self.master.journal.remove(lost as usize);
        }
        self.master.compare_with_replay();
        let ledger = self.master.replay();
        self.oracle.check_promises(&ledger);
        self.oracle.on_master_started(&ledger);
        let fleet = Fleet::recover(self.master.settings.clone(), ledger, self.now, &mut self.master.pending);
        fleet.check();
        self.master.life += 1;
        self.master.fleet = Some(fleet);
        self.reconnect_nodes();
        self.end_turn();
    }

    /// Nodes notice at different times that there is a master again; some have to be told by it.
    fn reconnect_nodes(&mut self) {
        for node in self.nodes.keys().copied().collect::<Vec<_>>() {
            if self.dials(node) && self.dice.chance(8_000) {
                let wait = self.dice.millis(1, 3_000);
                self.after(wait, Happening::NodeConnects { node });
            }
        }
    }

    pub(super) fn tell_master_heard(&mut self, origin: Origin, said: Option<Held>, node: NodeId, message: Envelope<FromAgent>) {
        let Some(fleet) = self.master.fleet() else { return };
        let is_hello = matches!(message.body, FromAgent::Hello { .. });
        let was_known = !is_hello || fleet.view(self.now).nodes.iter().any(|known| known.id == node);
        let question = self.oracle.question(origin, said, node, &message, fleet.ledger()).after_loss(!was_known);
        self.tell_master_asked(Event::Received { node, message }, Some(&question));
        if is_hello {
            self.oracle.on_introduced(origin, was_known);
        }
    }

    pub(super) fn tell_master(&mut self, event: Event) {
        self.tell_master_asked(event, None);
    }

    /// The master's driver: one event in; its effects are performed now, or with those of the next events.
    fn tell_master_asked(&mut self, mut event: Event, question: Option<&Question>) {
        let forgets = self.has_plant(Plant::ForgetAwaited);
        let Some(fleet) = &mut self.master.fleet else { return };
        let mut effects = Vec::new();
        let after = awaited(&mut event, forgets);
        fleet.handle(self.now, event, &mut effects);
        fleet.check();
        for effect in &effects {
            match effect {
                Effect::Record(Fact::JobAccepted { job, .. }) => self.oracle.on_awaited(*job, after.clone()),
                Effect::Publish(Notice::NodeChanged(node)) if fleet.stalled_since(*node).is_some() => self.tally.one(Count::NodeStalled),
                Effect::Record(Fact::SparkStarted { spark, .. }) => {
                    let waited = self.oracle.judge_begun(*spark, fleet.ledger());
                    self.tally.more(Count::DependantBegun, u64::from(waited));
                }
                _ => {}
            }
        }
        if let Some(count) = self.oracle.judge(question, &effects) {
            self.tally.one(count);
        }
        self.master.pending.append(&mut effects);
        self.end_turn();
    }

    fn end_turn(&mut self) {
        if self.dice.chance(7_000) {
            self.commit();
        } else {
            let wait = self.dice.millis(1, 5);
            self.after(wait, Happening::MasterCommits { life: self.master.life });
        }
        self.schedule_master();
    }

    fn schedule_master(&mut self) {
        let Some(due) = self.master.fleet().and_then(Fleet::next_deadline) else { return };
        if self.master.wake_at.is_none_or(|wake_at| due < wake_at) {
            self.master.wake_at = Some(due.max(self.now));
            self.at(due, Happening::MasterWakes);
        }
    }

    pub(super) fn on_master_wakes(&mut self) {
        if self.master.wake_at == Some(self.now) {
            self.master.wake_at = None;
            self.tell_master(Event::Woken);
        }
    }

    pub(super) fn on_master_commits(&mut self, life: u64) {
        if self.master.life == life && self.master.fleet.is_some() {
            self.commit();
        }
    }

    /// All records of the turn in one commit, then the rest in order; or death on the way.
    fn commit(&mut self) {
        let effects = core::mem::take(&mut self.master.pending);
        if effects.is_empty() {
            return;
        }
        if self.trouble(self.scenario.faults.master_killed) {
            self.tally.one(Count::MasterKilled);
            self.perform_some(effects);
            return self.stop_master();
        }
        let (records, rest): (Vec<Effect>, Vec<Effect>) = effects.into_iter().partition(is_record);
        records.into_iter().chain(rest).for_each(|effect| self.perform_for_master(effect));
        self.master.commits += 1;
        if self.master.commits.is_multiple_of(COMPARE_EVERY) {
            self.master.compare_with_replay();
        }
    }

    /// What is done of a turn when the process dies in it. The disk takes the turn's records whole; a driver that
    /// follows the order of the list, effect by effect, must be safe as well.
    fn perform_some(&mut self, mut effects: Vec<Effect>) {
        if self.has_plant(Plant::SendBeforeRecord) {
            effects.retain(|effect| !is_record(effect));
            return effects.into_iter().for_each(|effect| self.perform_for_master(effect));
        }
        let records = effects.iter().filter(|effect| is_record(effect)).count();
        let mut done = self.dice.below(effects.len() as u64 + 1) as usize;
        if self.dice.chance(5_000) {
            effects.sort_by_key(|effect| !is_record(effect));
            done = if done < records { 0 } else { done };
        }
        self.tally.more(Count::EffectsLost, (effects.len() - done) as u64);
        effects.into_iter().take(done).for_each(|effect| self.perform_for_master(effect));
    }

    /// The process is gone, and with it all that is not on disk.
    fn stop_master(&mut self) {
        self.master.stale_messages = self.master.stale_messages();
        self.master.duplicates = self.master.duplicates();
        self.master.fleet = None;
        self.master.pending.clear();
        self.master.wake_at = None;
        let wait = if self.dice.chance(2_000) { self.dice.millis(2_000, 6_000) } else { self.dice.millis(5, 500) };
        self.after(wait, Happening::MasterStarts);
    }

    /// A person ends the master in good order; it comes back later.
    pub(super) fn stop_master_well(&mut self) {
        self.tally.one(Count::MasterStopped);
        self.tell_master(Event::Stopping);
        self.commit();
        if self.master.fleet.is_some() {
            self.stop_master();
        }
    }

    fn perform_for_master(&mut self, effect: Effect) {
        match effect {
            Effect::Record(fact) => self.append(fact),
            // The chain is kept by the real driver alone; here nobody has a head to look up.
            Effect::Audit(_) | Effect::LookUpHead { .. } => {}
            Effect::Send { to, message } => {
                self.oracle.on_sent(self.master.life, &message);
                self.post_to_node(to, &message);
            }
            Effect::Disconnect { .. } => {}
            Effect::Call { node, .. } => self.call(node),
            Effect::ListTree { job } => {
                let wait = self.dice.millis(5, 400);
                self.after(wait, Happening::TreeListed { life: self.master.life, job });
            }
            Effect::StoreResult { job, round, .. } => self.store_result(job, round),
            Effect::KeepOutput(_) => {}
            Effect::Publish(notice) => self.oracle.on_published(&notice),
        }
    }

    fn call(&mut self, node: NodeId) {
        let wait = self.dice.millis(1, 400);
        self.after(wait, Happening::NodeCalled { node });
    }

    pub(super) fn append(&mut self, fact: Fact) {
        if self.has_plant(Plant::ForgetDropped) && matches!(fact, Fact::CopyDropped { .. }) {
            return;
        }
        self.on_fact(&fact);
        self.master.durable.apply(&fact);
        if matches!(fact, Fact::ProjectRemoved { .. }) {
            self.oracle.on_removed(&self.master.durable);
        }
        if self.has_plant(Plant::RepeatFact) && matches!(fact, Fact::SparkFinished { .. }) {
            self.master.journal.push(fact.clone());
        }
        self.master.journal.push(fact);
    }

    fn on_fact(&mut self, fact: &Fact) {
        match fact {
            Fact::JobCompleted { job, result, .. } => self.on_job_completed(*job, result.manifest),
            Fact::JobDone { job, .. } => self.check_warmed(*job),
            Fact::PacksHeld { node, packs } => {
                assert!(self.nodes[node].keeps(packs), "node {} is believed to have what it has not", node.0);
                self.tally.one(Count::PacksHeld);
            }
            Fact::SparkDisputed { spark, path, .. } => panic!("{spark} is disputed over {}, and every node is honest", path.to_text()),
            Fact::JobCancelled { .. } => self.tally.one(Count::JobCancelled),
            Fact::JobFailed { .. } => self.tally.one(Count::JobFailed),
            Fact::JobPaused { .. } => self.tally.one(Count::JobPaused),
            Fact::JobResumed { .. } => self.tally.one(Count::JobResumed),
            Fact::JobPrioritised { .. } => self.tally.one(Count::JobPrioritised),
            Fact::SparkSplit { .. } => self.tally.one(Count::SparkSplit),
            Fact::FileQuarantined { .. } => self.tally.one(Count::FileQuarantined),
            Fact::ProjectRemoved { .. } => self.tally.one(Count::ProjectRemoved),
            Fact::SparkStarted { spark, node, .. } => {
                self.check_copy(*spark, *node);
                let is_active = self.master.durable.nodes.get(node).is_none_or(|node| node.availability == Availability::Active);
                let open = is_active && (*node != OWN_NODE || self.master.durable.own_role() == OwnRole::Hybrid);
                assert!(open, "node {} is given work and is to be given none", node.0);
            }
            Fact::CopyDropped { .. } => self.tally.one(Count::CopyDropped),
            Fact::RoleTaken { role, .. } => {
                self.tally.one(Count::RoleTaken);
                if *role == OwnRole::Master {
                    self.ask_to_leave(OWN_NODE);
                }
            }
            Fact::NodeDrained { node, .. } => {
                self.tally.one(Count::NodeDrained);
                self.check_drained(*node);
            }
            Fact::AttemptFailed { error: AttemptError::Moved, .. } => self.tally.one(Count::SparkMoved),
            Fact::JobRetried { job, .. } => {
                self.tally.one(Count::JobRetried);
                self.oracle.on_second_chance(*job);
            }
            Fact::EpochBegan { .. }
            | Fact::NodePaired { .. }
            | Fact::OperatorPaired { .. }
            | Fact::OperatorRight { .. }
            | Fact::OperatorRemoved { .. }
            | Fact::NodeAvailability { .. }
            | Fact::NodeLabelled { .. }
            | Fact::NodeAddressed { .. }
            | Fact::NodeDraining { .. }
            | Fact::NodeStopped { .. }
            | Fact::JobPinned { .. }
            | Fact::JobAmended { .. }
            | Fact::NodeRemoved { .. }
            | Fact::ProjectAdded { .. }
            | Fact::ProjectRenamed { .. }
            | Fact::ProjectAssigned { .. }
            | Fact::JobAccepted { .. }
            | Fact::WarmingAccepted { .. }
            | Fact::PacksLost { .. }
            | Fact::SparkFinished { .. }
            | Fact::AttemptFailed { .. }
            | Fact::SparkFailed { .. } => {}
        }
    }

    /// A node that was to have records has every one of them when that is said to be done.
    fn check_warmed(&mut self, job: JobId) {
        let done = &self.master.durable.jobs[&job];
        let Some(node) = done.spec.nodes.one_node() else { return };
        assert!(done.packs.iter().all(|packs| self.nodes[&node].keeps(packs)), "{job} is done and node {} has not what it was to have", node.0);
        self.tally.one(Count::NodeWarmed);
    }

    /// What runs and is begun once more is an analysis that nobody suspects, on another node.
    fn check_copy(&mut self, spark: SparkId, node: NodeId) {
        let known = self.master.durable.spark(spark).expect("only what is there begins");
        let SparkState::Running { node: runner, .. } = known.state else { return };
        assert!(runner != node, "{spark} is run twice on node {}", node.0);
        assert!(!known.isolated && known.failures == 0, "{spark} is under suspicion and is run twice");
        assert!(self.master.durable.jobs[&spark.job].spec.project.is_some(), "{spark} has effects and is run twice");
        self.tally.one(Count::CopyBegun);
    }

    fn check_drained(&self, node: NodeId) {
        let jobs = self.master.durable.jobs.iter().filter(|(_, job)| !job.status.is_over());
        let sparks = jobs.flat_map(|(id, job)| job.sparks.iter().map(move |spark| (id, spark)));
        let left = sparks.filter(|(_, spark)| matches!(spark.state, SparkState::Running { node: runner, .. } if runner == node));
        assert_eq!(left.map(|(id, _)| *id).collect::<Vec<_>>(), [], "node {} counts as drained and has work", node.0);
    }

    fn on_job_completed(&mut self, job: JobId, manifest: Digest) {
        self.tally.one(Count::JobCompleted);
        let outcomes = self.master.results.get(&manifest).expect("a result is stored before it is recorded").clone();
        let listing = self.master.durable.jobs[&job].spec.listing;
        self.people.receive(listing, outcomes);
    }

    /// Merging and writing takes a while, and may fail; the answer comes as an event.
    fn store_result(&mut self, job: JobId, round: u64) {
        let Some(entry) = self.master.fleet().and_then(|fleet| fleet.ledger().jobs.get(&job)) else { return };
        let outcomes = merged(entry);
        let manifest = name(&outcomes);
        let result = if self.trouble(self.scenario.faults.not_stored) {
            self.tally.one(Count::ResultNotStored);
            Err("no space left on device".into())
        } else {
            self.master.results.insert(manifest, outcomes);
            Ok(ResultSummary { job, at: self.now, manifest, totals: Totals::default() })
        };
        let late = self.trouble(self.scenario.faults.late);
        let wait = if late { self.dice.millis(300, 1_500) } else { self.dice.millis(1, 200) };
        self.tally.more(Count::ResultLate, u64::from(late));
        self.after(wait, Happening::ResultStored { life: self.master.life, stored: Stored { job, round, result } });
    }

    /// The tree is as it was: the same is submitted again. Now and then its folder cannot be read.
    pub(super) fn on_tree_listed(&mut self, life: u64, job: JobId) {
        let known = self.master.fleet().and_then(|fleet| fleet.ledger().jobs.get(&job)).filter(|_| self.master.life == life);
        let Some(entry) = known.filter(|entry| !entry.status.is_over()) else { return };
        let submission = Submission { spec: entry.spec.clone(), files: entry.files.clone() };
        let gone = self.is_rough() && self.dice.chance(500);
        self.tell_master(if gone { Event::TreeNotListed { job, error: "no such file or directory".into() } } else { Event::JobSubmitted(submission) });
    }

    pub(super) fn on_result_stored(&mut self, life: u64, stored: Stored) {
        let Stored { job, round, result } = stored;
        if self.master.life != life {
            return;
        }
        self.tell_master(match result {
            Ok(result) => Event::ResultStored { job, round, result },
            Err(error) => Event::ResultNotStored { job, round, error },
        });
    }

    pub(super) fn on_disconnect_seen(&mut self, node: NodeId) {
        if self.master.fleet.is_some() {
            self.tally.one(Count::DisconnectReported);
            let gone = self.dice.chance(3_000);
            self.tell_master(if gone { Event::NodeDisconnected { node } } else { Event::LinkLost { node } });
        }
    }
}

/// A job that failed is retried, unless a later one has taken its place.
fn is_ended(fleet: &Fleet, id: JobId, job: &Job) -> bool {
    let succeeded = || fleet.ledger().jobs.range(id..).skip(1).any(|(_, later)| later.spec.is_about_the_same(&job.spec));
    matches!(job.status, JobStatus::Completed | JobStatus::Cancelled) || (job.status == JobStatus::Failed && (succeeded() || is_hopeless(fleet, job)))
}

/// What a submission is to wait for; a planted bug takes it away.
fn awaited(event: &mut Event, forgets: bool) -> Vec<Awaited> {
    let after = match event {
        Event::JobSubmitted(submission) => &mut submission.spec.after,
        Event::WorkSubmitted { spec, .. } => &mut spec.after,
        _ => return Vec::new(),
    };
    if forgets { core::mem::take(after) } else { after.clone() }
}

/// Can a failed job never succeed, for waiting for what never will?
fn is_hopeless(fleet: &Fleet, job: &Job) -> bool {
    let lost = |awaited: &Awaited| match (fleet.ledger().jobs.get(&awaited.job()), awaited) {
        (None, _) => true,
        (Some(job), Awaited::Spark(spark)) if job.status == JobStatus::Completed => matches!(job.sparks[spark.number as usize].state, SparkState::Failed(_)),
        (Some(job), _) => job.status != JobStatus::Completed && is_ended(fleet, awaited.job(), job),
    };
    job.spec.after.iter().any(lost)
}

fn is_record(effect: &Effect) -> bool {
    matches!(effect, Effect::Record(_))
}

/// One outcome for each listed file; one whose spark failed for good is named as missing.
fn merged(job: &Job) -> Vec<FileOutcome> {
    let why = |index: u32| {
        let failed = job.sparks.iter().find_map(|spark| match &spark.state {
            SparkState::Failed(error) if spark.files.contains(&index) => Some(error.describe()),
            _ => None,
        });
        FailReason::Missing(failed.unwrap_or_else(|| panic!("file {index} has no outcome and its spark did not fail")))
    };
    let missing = |index| FileOutcome { index, stat: None, result: FileResult::Failed(why(index)) };
    (0..job.files.len() as u32).map(|index| job.aggregate.get(index).cloned().unwrap_or_else(|| missing(index))).collect()
}

fn name(outcomes: &[FileOutcome]) -> Digest {
    trees::digest(&[format!("{outcomes:?}").as_bytes()])
}
