//! The node's side: what it has been asked, what runs in its slots, and answers that wait to be acknowledged.
//!
//! It decides nothing about the fleet. It runs what it is sent, keeps each answer until the master says that it is in
//! the journal, and refuses a master of an earlier epoch than it has seen.

mod configuration;

use alloc::{
    boxed::Box,
    collections::{BTreeMap, VecDeque},
    string::String,
    vec::Vec,
};

pub use self::configuration::Lived;
use self::configuration::Trial;
use crate::{
    ids::{Digest, Epoch, Incarnation},
    time::{Span, Time},
    wire::{
        Envelope, FromAgent, ToAgent,
        message::{AuditHead, HEARTBEAT, HEARTBEAT_MAX, Held, Output, Progress},
        neighbours::Neighbours,
        node::{Load, NodeProfile},
        task::{AttemptError, SparkOutput, Task},
    },
};

/// Attempts that wait for a slot; a master that sends more is answered `Storage`, which it retries elsewhere.
pub const QUEUE_MAX: usize = 4096;
/// Packs that went and are told of again and again.
const DROPPED_MAX: usize = 16_384;
/// For the master's answer to the last word of a process that ends; nobody waits longer for a master that is gone.
const FAREWELL_MAX: Span = Span::from_secs(2);

/// The state of an agent.
pub struct Agent {
    incarnation: Incarnation,
    slots: u32,
    fingerprint: Digest,
    programs: Vec<String>,
    /// The highest seen; a lower one is a master that has been replaced.
    epoch: Epoch,
    queue: VecDeque<Task>,
    running: BTreeMap<Held, Running>,
    /// Answers that the master has not acknowledged.
    answers: BTreeMap<Held, FromAgent>,
    next_heartbeat: Time,
    /// Between heartbeats, as the master wants it: of one that holds something, and of one that is idle.
    pace: Span,
    idle_pace: Span,
    profile: NodeProfile,
    /// As it was last sensed.
    load: Load,
    leaving: Option<Leaving>,
    refused: u64,
    /// The longest audit that a master told of.
    audit_head: Option<AuditHead>,
    trial: Option<Trial>,
    /// Packs that went in this life.
    dropped: Vec<Digest>,
    /// Attempts that may run: as many as there are slots, and more only while what was begun in more of them is not over.
    running_max: u32,
}

/// On the way to the process's end.
#[derive(Clone, Copy)]
struct Leaving {
    /// What runs is stopped then, and handed back too.
    until: Time,
    /// The master was told that nothing is held any more.
    told: bool,
}

struct Running {
    begun: Time,
    slots: u32,
    deadline: Time,
    /// Asked to end early; `deadline` is of no concern any more.
    stopping: bool,
    /// By the master, which expects no answer.
    cancelled: bool,
}

/// Something that has happened to an agent.
#[derive(Clone, Debug)]
pub enum Event {
    Woken,
    /// A connection to a master exists; whatever was said on an earlier one may be lost.
    Connected,
    Received(Envelope<ToAgent>),
    Progressed(Progress),
    /// A command that runs has written something.
    Written(Output),
    /// Packs that there was no room for any more.
    Dropped(Vec<Digest>),
    /// Readings of how loaded the machine is; said with the next heartbeat.
    Sensed(Load),
    /// A started attempt is over.
    Ended {
        held: Held,
        result: Result<SparkOutput, AttemptError>,
    },
    /// A configuration was tried: what the node lives by now, or why it does not.
    Configured {
        revision: u64,
        result: Result<Lived, String>,
    },
    /// A configuration was taken back.
    Restored {
        revision: u64,
        lived: Lived,
    },
    /// The process is to end: what waits is handed back at once, what runs may go on until then.
    Leave {
        until: Time,
    },
}

/// What an agent wants done, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Keep it over restarts, before anything that this master says is done: a master that it replaced is refused for ever.
    KeepEpoch(Epoch),
    /// Keep it over restarts: a master whose audit is shorter one day has lost some of it.
    KeepAuditHead(AuditHead),
    Start(Task),
    /// Ask a started attempt to end early; it still answers with `Ended`.
    Stop(Held),
    /// The master has the answer: what was kept of the attempt to go with it is wanted no more.
    Forget(Held),
    Send(Envelope<FromAgent>),
    /// Live by this configuration, on trial, and answer with `Configured`.
    TryConfiguration {
        revision: u64,
        text: String,
    },
    /// The trial is passed.
    KeepConfiguration,
    /// It is not: go back, and answer with `Restored`.
    TakeBackConfiguration {
        revision: u64,
    },
    /// From now on these may be asked, and served.
    Meet(Neighbours),
    /// The master stopped all work here, for this reason.
    Tell(String),
    /// Nothing is left that somebody waits for: the process may end.
    End,
}

impl Agent {
    /// `epoch` is the highest that this node has seen, in earlier lives too.
    pub fn new(incarnation: Incarnation, slots: u32, fingerprint: Digest, epoch: Epoch) -> Agent {
        Agent {
            incarnation,
            slots,
            fingerprint,
            programs: Vec::new(),
            epoch,
            queue: VecDeque::new(),
            running: BTreeMap::new(),
            answers: BTreeMap::new(),
            next_heartbeat: Time(0),
            pace: HEARTBEAT,
            idle_pace: HEARTBEAT,
            profile: NodeProfile::default(),
            load: Load::default(),
            leaving: None,
            refused: 0,
            audit_head: None,
            trial: None,
            dropped: Vec::new(),
            running_max: slots,
        }
    }

    /// Names of programs that this node may be asked to run.
    pub fn with_programs(self, programs: Vec<String>) -> Agent {
        Agent { programs, ..self }
    }

    /// What it says of itself to every master.
    pub fn described(self, profile: NodeProfile) -> Agent {
        Agent { profile, ..self }
    }

    /// With what an earlier life kept of the audit.
    pub fn knowing(self, audit_head: Option<AuditHead>) -> Agent {
        Agent { audit_head, ..self }
    }

    pub fn handle(&mut self, now: Time, event: Event, out: &mut Vec<Effect>) {
        match event {
            Event::Woken => {}
            Event::Sensed(load) => self.load = load,
            Event::Dropped(packs) => self.on_dropped(packs, out),
            Event::Connected => self.say_hello(out),
            Event::Received(message) => self.on_received(now, message, out),
            Event::Progressed(progress) => self.say(FromAgent::Progress(progress), out),
            Event::Written(output) => self.say(FromAgent::Output(output), out),
            Event::Ended { held, result } => self.on_ended(now, held, result, out),
            Event::Configured { revision, result } => self.on_configured(now, revision, result, out),
            Event::Restored { revision, lived } => self.on_restored(revision, lived, out),
            Event::Leave { until } => self.on_leave(until, out),
        }
        self.end_trial(now, out);
        self.stop_overdue(now, out);
        self.fill_slots(now, out);
        self.leave(now, out);
        self.beat(now, out);
    }

    pub fn next_deadline(&self) -> Time {
        let overdue = self.running.values().filter(|running| !running.stopping).map(|running| running.deadline);
        let leaving = self.leaving.map(|leaving| if leaving.told { leaving.until + FAREWELL_MAX } else { leaving.until });
        overdue.chain(leaving).chain(self.trial.map(|trial| trial.until)).min().map_or(self.next_heartbeat, |deadline| deadline.min(self.next_heartbeat))
    }

    /// Has it anything to do, or to say?
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.running.is_empty() && self.answers.is_empty()
    }

    /// Commands refused for coming from a master of an earlier epoch, or for being nothing that this node does.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Every invariant, asserted.
    pub fn check(&self) {
        assert!(self.running.len() <= self.running_max as usize, "no more attempts are begun than there are slots");
        let next = self.queue.iter().find(|task| self.may_start(task));
        assert!(next.is_none_or(|task| !self.has_slots_for(task)), "nothing that could start waits while slots are free for it");
        assert!(self.queue.len() <= QUEUE_MAX);
        for held in self.answers.keys() {
            assert!(!self.running.contains_key(held), "an attempt is answered once it is over");
        }
    }

    fn on_received(&mut self, now: Time, message: Envelope<ToAgent>, out: &mut Vec<Effect>) {
        if message.epoch < self.epoch || message.incarnation != self.incarnation {
            self.refused += 1;
            return;
        }
        let new_master = message.epoch > self.epoch;
        if new_master {
            self.epoch = message.epoch;
            out.push(Effect::KeepEpoch(self.epoch));
        }
        match message.body {
            ToAgent::SyncState => self.say_hello(out),
            _ if new_master => self.say_hello(out),
            _ => {}
        }
        match message.body {
            ToAgent::SyncState => {}
            ToAgent::EmergencyShutdown { reason } => self.on_emergency(reason, out),
            ToAgent::MigrateProject { .. } => self.say(FromAgent::Unsupported { command: "MigrateProject".into() }, out),
            ToAgent::Dismiss => {
                if self.leaving.is_some_and(|leaving| leaving.told) {
                    out.push(Effect::End);
                }
            }
            ToAgent::UpdateConfiguration { revision, text, warrant } => self.on_update(revision, text, &warrant, out),
            ToAgent::KeepConfiguration { revision } => self.on_kept(revision, out),
            ToAgent::Neighbours(neighbours) => out.push(Effect::Meet(neighbours)),
            ToAgent::AuditHead(head) => self.on_audit_head(head, out),
            ToAgent::SetPace { heartbeat, idle } => {
                self.pace = heartbeat.clamp(HEARTBEAT, HEARTBEAT_MAX);
                self.idle_pace = idle.clamp(self.pace, HEARTBEAT_MAX);
                self.next_heartbeat = self.next_heartbeat.min(now + self.pace);
            }
            ToAgent::ExecuteTask(task) => {
                self.on_execute(task, out);
                self.next_heartbeat = self.next_heartbeat.min(now + self.pace);
            }
            ToAgent::CancelTask { spark, attempt } => self.on_cancel(Held { spark, attempt }, out),
            ToAgent::Acknowledge { spark, attempt } => {
                self.forget(Held { spark, attempt }, out);
            }
        }
    }

    /// A shorter one is not believed: what was heard once is said until there is a longer one.
    fn on_audit_head(&mut self, head: AuditHead, out: &mut Vec<Effect>) {
        if self.audit_head.is_none_or(|known| head.number > known.number) {
            self.audit_head = Some(head);
            out.push(Effect::KeepAuditHead(head));
        }
    }

    /// A task that is here already, in whatever state, is the same task sent again.
    fn on_execute(&mut self, task: Task, out: &mut Vec<Effect>) {
        let held = Held { spark: task.spark, attempt: task.attempt };
        if let Some(answer) = self.answers.get(&held) {
            let answer = answer.clone();
            return self.say(answer, out);
        }
        if self.leaving.is_some() {
            // Its master hears soon that it is not here.
            return;
        }
        if let Some(objection) = self.profile.accepts.objection(&task.warrant) {
            // A master that knows this node's rules asks for no such thing; this one heard of them too late, or does not care.
            self.refused += 1;
            let error = AttemptError::Refused(objection.describe().into());
            return self.say(FromAgent::Failed { spark: held.spark, attempt: held.attempt, error }, out);
        }
        let waits = self.queue.iter().any(|task| (task.spark, task.attempt) == (held.spark, held.attempt));
        // One that is being stopped is here too: queued again it would run beside its own answer.
        let known = waits || self.running.contains_key(&held);
        if !known && self.queue.len() < QUEUE_MAX {
            self.queue.push_back(task);
        } else if !known {
            // Not kept: where there is no room for a task there is none for its answer. A lost one is sent again and refused again.
            let error = AttemptError::Storage("the agent's queue is full".into());
            self.say(FromAgent::Failed { spark: held.spark, attempt: held.attempt, error }, out);
        }
    }

    /// Whoever cancels expects no answer, and gets none.
    fn on_cancel(&mut self, held: Held, out: &mut Vec<Effect>) {
        self.queue.retain(|task| (task.spark, task.attempt) != (held.spark, held.attempt));
        self.forget(held, out);
        let Some(running) = self.running.get_mut(&held) else { return };
        running.cancelled = true;
        if !running.stopping {
            running.stopping = true;
            out.push(Effect::Stop(held));
        }
    }

    fn forget(&mut self, held: Held, out: &mut Vec<Effect>) {
        if self.answers.remove(&held).is_some() {
            out.push(Effect::Forget(held));
        }
    }

    /// What was done and not acknowledged is given up too: its master counts on nothing from here any more.
    fn on_emergency(&mut self, reason: String, out: &mut Vec<Effect>) {
        self.let_everything_go(out);
        out.push(Effect::Tell(reason));
    }

    fn let_everything_go(&mut self, out: &mut Vec<Effect>) {
        self.queue.clear();
        core::mem::take(&mut self.answers).into_keys().for_each(|held| out.push(Effect::Forget(held)));
        for (held, running) in &mut self.running {
            running.cancelled = true;
            if !core::mem::replace(&mut running.stopping, true) {
                out.push(Effect::Stop(*held));
            }
        }
    }

    fn on_leave(&mut self, until: Time, out: &mut Vec<Effect>) {
        if self.leaving.is_none() {
            self.queue.clear();
            self.leaving = Some(Leaving { until, told: false });
            self.say(FromAgent::Leaving { held: self.held().collect() }, out);
        }
    }

    /// Ends once nothing is held and the master knows it, or does not answer.
    fn leave(&mut self, now: Time, out: &mut Vec<Effect>) {
        let Some(leaving) = self.leaving else { return };
        if now >= leaving.until + FAREWELL_MAX {
            return out.push(Effect::End);
        }
        if now >= leaving.until {
            self.let_everything_go(out);
        }
        if !leaving.told && self.held().next().is_none() {
            // From here on the answer has its own time.
            self.leaving = Some(Leaving { until: now.min(leaving.until), told: true });
            self.say(FromAgent::Leaving { held: Vec::new() }, out);
        }
    }

    fn on_ended(&mut self, now: Time, held: Held, result: Result<SparkOutput, AttemptError>, out: &mut Vec<Effect>) {
        let Some(running) = self.running.remove(&held) else { return };
        let took = now - running.begun;
        match result {
            _ if running.cancelled => {}
            // Nobody cancelled it but its own deadline; what was said then may be lost, what is said now is kept.
            Err(AttemptError::Cancelled) if running.stopping => self.answer(held, took, Err(AttemptError::TimedOut), out),
            result => self.answer(held, took, result, out),
        }
    }

    fn answer(&mut self, Held { spark, attempt }: Held, took: Span, result: Result<SparkOutput, AttemptError>, out: &mut Vec<Effect>) {
        let answer = match result {
            Ok(output) => FromAgent::Finished { spark, attempt, output, took },
            Err(error) => FromAgent::Failed { spark, attempt, error },
        };
        self.answers.insert(Held { spark, attempt }, answer.clone());
        self.say(answer, out);
    }

    fn stop_overdue(&mut self, now: Time, out: &mut Vec<Effect>) {
        let mut overdue = Vec::new();
        for (held, running) in self.running.iter_mut().filter(|(_, running)| !running.stopping && running.deadline <= now) {
            running.stopping = true;
            out.push(Effect::Stop(*held));
            overdue.push(*held);
        }
        for held in overdue {
            self.answer_overdue(held, out);
        }
    }

    /// The master need not wait until the attempt has noticed.
    fn answer_overdue(&mut self, Held { spark, attempt }: Held, out: &mut Vec<Effect>) {
        self.say(FromAgent::Failed { spark, attempt, error: AttemptError::TimedOut }, out);
    }

    fn fill_slots(&mut self, now: Time, out: &mut Vec<Effect>) {
        self.running_max = self.slots.max((self.running.len() as u32).min(self.running_max));
        while self.slots_taken() < self.slots {
            let startable = self.queue.iter().position(|task| self.may_start(task));
            // Nothing overtakes what waits for more slots than are free, or it would wait for ever.
            let fits = startable.filter(|position| self.has_slots_for(&self.queue[*position]));
            let Some(task) = fits.and_then(|position| self.queue.remove(position)) else { return };
            let held = Held { spark: task.spark, attempt: task.attempt };
            self.running.insert(held, Running { begun: now, slots: task.slots, deadline: now + task.timeout, stopping: false, cancelled: false });
            out.push(Effect::Start(task));
        }
    }

    fn slots_taken(&self) -> u32 {
        self.running.values().fold(0, |sum, running| sum.saturating_add(running.slots.max(1)))
    }

    /// One that takes more slots than there are runs alone: there were more when it was sent.
    fn has_slots_for(&self, task: &Task) -> bool {
        self.running.is_empty() || self.slots_taken().saturating_add(task.slots.max(1)) <= self.slots
    }

    /// Not beside another attempt at the same spark, unless that one is to end and does not: it may hang for ever.
    fn may_start(&self, task: &Task) -> bool {
        self.running.iter().all(|(held, running)| held.spark != task.spark || running.stopping)
    }

    /// A heartbeat lists what is here, and repeats every answer that was not acknowledged.
    fn beat(&mut self, now: Time, out: &mut Vec<Effect>) {
        if now < self.next_heartbeat {
            return;
        }
        let held: Vec<Held> = self.held().collect();
        let pace = if held.is_empty() && self.leaving.is_none() { self.idle_pace } else { self.pace };
        self.next_heartbeat = now + pace;
        let beat = match self.leaving {
            Some(_) => FromAgent::Leaving { held },
            None => FromAgent::Heartbeat { held, load: Load { refused: self.refused, ..self.load.clone() }, pace },
        };
        self.say(beat, out);
        self.report_trial(out);
        for answer in self.answers.values() {
            out.push(Effect::Send(self.envelope(answer.clone())));
        }
    }

    /// With each Hello again, for a master that did not hear it; what is forgotten here it learns when it asks for one of them.
    fn on_dropped(&mut self, packs: Vec<Digest>, out: &mut Vec<Effect>) {
        self.dropped.extend(packs.iter().copied());
        let surplus = self.dropped.len().saturating_sub(DROPPED_MAX);
        self.dropped.drain(..surplus);
        self.say(FromAgent::PacksDropped { packs }, out);
    }

    fn say_hello(&self, out: &mut Vec<Effect>) {
        let (held, profile) = (self.held().collect(), Box::new(self.profile.clone()));
        self.say(FromAgent::Hello { slots: self.slots, fingerprint: self.fingerprint, held, programs: self.programs.clone(), profile }, out);
        if let Some(head) = self.audit_head {
            self.say(FromAgent::AuditHead(head), out);
        }
        if !self.dropped.is_empty() {
            self.say(FromAgent::PacksDropped { packs: self.dropped.clone() }, out);
        }
        if self.leaving.is_some() {
            self.say(FromAgent::Leaving { held: self.held().collect() }, out);
        }
        for answer in self.answers.values() {
            out.push(Effect::Send(self.envelope(answer.clone())));
        }
    }

    fn held(&self) -> impl Iterator<Item = Held> + '_ {
        let queued = self.queue.iter().map(|task| Held { spark: task.spark, attempt: task.attempt });
        let running = self.running.iter().filter(|(_, running)| !running.cancelled).map(|(held, _)| *held);
        queued.chain(running).chain(self.answers.keys().copied())
    }

    fn say(&self, body: FromAgent, out: &mut Vec<Effect>) {
        out.push(Effect::Send(self.envelope(body)));
    }

    fn envelope(&self, body: FromAgent) -> Envelope<FromAgent> {
        Envelope { epoch: self.epoch, incarnation: self.incarnation, body }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::{
        ids::{Attempt, JobId, SparkId},
        wire::{
            task::Work,
            warrant::{Acceptance, Warrant},
        },
    };

    const NOW: Time = Time(1_000_000);

    fn agent() -> Agent {
        let mut agent = Agent::new(Incarnation(7), 1, Digest::default(), Epoch(0));
        agent.handle(NOW, Event::Connected, &mut Vec::new());
        agent
    }

    fn task(number: u32) -> Task {
        Task {
            spark: SparkId { job: JobId::default(), number },
            attempt: Attempt(1),
            work: Work::Nothing,
            timeout: Span::from_secs(60),
            slots: 1,
            warrant: Warrant::default(),
        }
    }

    fn receive(agent: &mut Agent, epoch: u32, body: ToAgent) -> Vec<Effect> {
        let mut out = Vec::new();
        let message = Envelope { epoch: Epoch(epoch), incarnation: Incarnation(7), body };
        agent.handle(NOW, Event::Received(message), &mut out);
        agent.check();
        out
    }

    #[test]
    fn a_task_waits_for_a_slot() {
        let mut agent = agent();
        receive(&mut agent, 1, ToAgent::SyncState);
        assert_eq!(receive(&mut agent, 1, ToAgent::ExecuteTask(task(0))), [Effect::Start(task(0))]);
        assert_eq!(receive(&mut agent, 1, ToAgent::ExecuteTask(task(1))), []);
        assert_eq!(receive(&mut agent, 1, ToAgent::ExecuteTask(task(1))), [], "the same task again is no second task");
        let mut out = Vec::new();
        let held = Held { spark: task(0).spark, attempt: Attempt(1) };
        agent.handle(NOW, Event::Ended { held, result: Ok(SparkOutput::default()) }, &mut out);
        assert_eq!(out[1], Effect::Start(task(1)));
    }

    #[test]
    fn what_its_owner_does_not_want_done_is_refused_each_time_it_comes() {
        let accepts = Acceptance { projects: vec!["ours".into()], devices: vec![] };
        let mut agent = agent().described(NodeProfile { accepts, ..NodeProfile::default() });
        let about = |project: &str| Task { warrant: Warrant { device: None, project: Some(project.into()) }, ..task(0) };
        for refused in [about("theirs"), task(0)] {
            let out = receive(&mut agent, 1, ToAgent::ExecuteTask(refused));
            let answered = |effect: &Effect| matches!(effect, Effect::Send(Envelope { body: FromAgent::Failed { error: AttemptError::Refused(_), .. }, .. }));
            assert!(out.iter().any(answered) && !out.iter().any(|effect| matches!(effect, Effect::Start(_))), "{out:?}");
        }
        assert_eq!(agent.refused(), 2);
        assert_eq!(receive(&mut agent, 1, ToAgent::ExecuteTask(about("ours"))), [Effect::Start(about("ours"))]);
    }

    #[test]
    fn an_answer_is_repeated_until_it_is_acknowledged() {
        let mut agent = agent();
        receive(&mut agent, 1, ToAgent::ExecuteTask(task(0)));
        let held = Held { spark: task(0).spark, attempt: Attempt(1) };
        agent.handle(NOW, Event::Ended { held, result: Ok(SparkOutput::default()) }, &mut Vec::new());
        let mut out = Vec::new();
        agent.handle(NOW + HEARTBEAT, Event::Woken, &mut out);
        assert_eq!(out.len(), 2, "a heartbeat and the answer: {out:?}");
        receive(&mut agent, 1, ToAgent::Acknowledge { spark: held.spark, attempt: held.attempt });
        assert!(agent.is_idle());
    }

    #[test]
    fn an_attempt_that_is_being_stopped_is_not_begun_again() {
        let mut agent = agent();
        receive(&mut agent, 1, ToAgent::ExecuteTask(task(0)));
        let held = Held { spark: task(0).spark, attempt: Attempt(1) };
        let mut out = Vec::new();
        agent.handle(NOW + Span::from_secs(60), Event::Woken, &mut out);
        assert!(out.contains(&Effect::Stop(held)), "{out:?}");
        assert_eq!(receive(&mut agent, 1, ToAgent::ExecuteTask(task(0))), []);
        let mut out = Vec::new();
        agent.handle(NOW, Event::Ended { held, result: Err(AttemptError::Cancelled) }, &mut out);
        let FromAgent::Failed { error, .. } = agent.answers[&held].clone() else { panic!("{out:?}") };
        assert_eq!(error, AttemptError::TimedOut, "kept until it is acknowledged");
        agent.check();
    }

    #[test]
    fn a_later_attempt_does_not_wait_for_one_that_hangs() {
        let mut agent = Agent::new(Incarnation(7), 2, Digest::default(), Epoch(0));
        receive(&mut agent, 1, ToAgent::ExecuteTask(task(0)));
        let held = Held { spark: task(0).spark, attempt: Attempt(1) };
        receive(&mut agent, 1, ToAgent::CancelTask { spark: held.spark, attempt: held.attempt });
        let again = Task { attempt: Attempt(2), ..task(0) };
        assert_eq!(receive(&mut agent, 1, ToAgent::ExecuteTask(again.clone())), [Effect::Start(again)]);
        let mut out = Vec::new();
        agent.handle(NOW, Event::Ended { held, result: Ok(SparkOutput::default()) }, &mut out);
        assert_eq!(out, [], "whoever cancelled hears nothing of it");
        agent.check();
    }

    #[test]
    fn the_longest_audit_is_kept_and_said_with_each_hello() {
        let mut agent = agent();
        let head = |number| AuditHead { number, hash: Digest([number as u8; 32]) };
        receive(&mut agent, 1, ToAgent::SyncState);
        assert_eq!(receive(&mut agent, 1, ToAgent::AuditHead(head(5))), [Effect::KeepAuditHead(head(5))]);
        assert_eq!(receive(&mut agent, 1, ToAgent::AuditHead(head(4))), [], "a shorter one is not believed");
        let out = receive(&mut agent, 1, ToAgent::SyncState);
        let said = |effect: &Effect| matches!(effect, Effect::Send(Envelope { body: FromAgent::AuditHead(said), .. }) if *said == head(5));
        assert!(out.iter().any(said), "{out:?}");
    }

    #[test]
    fn a_replaced_master_is_refused() {
        let mut agent = agent();
        receive(&mut agent, 2, ToAgent::SyncState);
        assert_eq!(receive(&mut agent, 1, ToAgent::ExecuteTask(task(0))), []);
        assert_eq!(agent.refused(), 1);
        let mut again = Agent::new(Incarnation(7), 1, Digest::default(), Epoch(2));
        again.handle(NOW, Event::Connected, &mut Vec::new());
        assert_eq!(receive(&mut again, 1, ToAgent::ExecuteTask(task(0))), [], "in its next life too");
    }

    #[test]
    fn heartbeats_keep_the_pace_that_the_master_wants() {
        let mut agent = agent();
        let slow = Span::from_secs(4);
        receive(&mut agent, 1, ToAgent::SetPace { heartbeat: slow, idle: Span(0) });
        let beat = |agent: &mut Agent, now| {
            let mut out = Vec::new();
            agent.handle(now, Event::Woken, &mut out);
            out.iter().any(|effect| matches!(effect, Effect::Send(Envelope { body: FromAgent::Heartbeat { pace, .. }, .. }) if *pace == slow))
        };
        assert!(beat(&mut agent, NOW + HEARTBEAT), "the one that was due");
        assert!(!beat(&mut agent, NOW + HEARTBEAT + Span::from_secs(3)));
        assert!(beat(&mut agent, NOW + HEARTBEAT + slow));
        receive(&mut agent, 1, ToAgent::SetPace { heartbeat: Span(0), idle: Span(0) });
        assert_eq!(agent.pace, HEARTBEAT, "no master asks for a storm");
        assert_eq!(agent.next_heartbeat, NOW + HEARTBEAT, "a faster pace begins at once");
    }

    #[test]
    fn whoever_is_idle_beats_more_slowly() {
        let mut agent = agent();
        let slow = Span::from_secs(4);
        receive(&mut agent, 1, ToAgent::SetPace { heartbeat: HEARTBEAT, idle: slow });
        let now = NOW + HEARTBEAT;
        agent.handle(now, Event::Woken, &mut Vec::new());
        assert_eq!(agent.next_heartbeat, now + slow);
        let message = Envelope { epoch: Epoch(1), incarnation: Incarnation(7), body: ToAgent::ExecuteTask(task(0)) };
        agent.handle(now, Event::Received(message), &mut Vec::new());
        assert_eq!(agent.next_heartbeat, now + HEARTBEAT, "its master hears soon that it has come");
        agent.handle(now + HEARTBEAT, Event::Woken, &mut Vec::new());
        assert_eq!(agent.next_heartbeat, now + HEARTBEAT + HEARTBEAT);
    }

    fn said(out: &[Effect]) -> Vec<&FromAgent> {
        out.iter()
            .filter_map(|effect| match effect {
                Effect::Send(message) => Some(&message.body),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn a_node_that_leaves_finishes_what_runs_and_hands_back_the_rest() {
        let mut agent = agent();
        receive(&mut agent, 1, ToAgent::ExecuteTask(task(0)));
        receive(&mut agent, 1, ToAgent::ExecuteTask(task(1)));
        let held = Held { spark: task(0).spark, attempt: Attempt(1) };
        let mut out = Vec::new();
        agent.handle(NOW, Event::Leave { until: NOW + Span::from_secs(10) }, &mut out);
        assert_eq!(said(&out), [&FromAgent::Leaving { held: vec![held] }], "what waits is not listed");
        assert_eq!(receive(&mut agent, 1, ToAgent::ExecuteTask(task(2))), [], "nothing more is taken");
        assert_eq!(receive(&mut agent, 1, ToAgent::Dismiss), [], "not before it has nothing");
        agent.handle(NOW, Event::Ended { held, result: Ok(SparkOutput::default()) }, &mut Vec::new());
        let out = receive(&mut agent, 1, ToAgent::Acknowledge { spark: held.spark, attempt: held.attempt });
        assert_eq!(said(&out), [&FromAgent::Leaving { held: vec![] }]);
        assert_eq!(receive(&mut agent, 1, ToAgent::Dismiss), [Effect::End]);
    }

    #[test]
    fn a_node_that_leaves_waits_neither_for_slow_work_nor_for_a_master_that_is_gone() {
        let mut agent = agent();
        receive(&mut agent, 1, ToAgent::ExecuteTask(task(0)));
        let until = NOW + Span::from_secs(10);
        agent.handle(NOW, Event::Leave { until }, &mut Vec::new());
        let mut out = Vec::new();
        agent.handle(until, Event::Woken, &mut out);
        assert_eq!(out[0], Effect::Stop(Held { spark: task(0).spark, attempt: Attempt(1) }));
        assert!(said(&out).contains(&&FromAgent::Leaving { held: vec![] }));
        let mut out = Vec::new();
        agent.handle(until + FAREWELL_MAX, Event::Woken, &mut out);
        assert!(out.contains(&Effect::End), "{out:?}");
    }

    #[test]
    fn an_emergency_ends_everything_and_says_why() {
        let mut agent = agent();
        receive(&mut agent, 1, ToAgent::ExecuteTask(task(0)));
        receive(&mut agent, 1, ToAgent::ExecuteTask(task(1)));
        let out = receive(&mut agent, 1, ToAgent::EmergencyShutdown { reason: "fire".into() });
        let held = Held { spark: task(0).spark, attempt: Attempt(1) };
        assert_eq!(out, [Effect::Stop(held), Effect::Tell("fire".into())]);
        let mut out = Vec::new();
        agent.handle(NOW, Event::Ended { held, result: Err(AttemptError::Cancelled) }, &mut out);
        assert_eq!(out, [], "nothing is begun, nothing is answered");
        assert!(agent.is_idle());
    }

    #[test]
    fn what_is_not_built_yet_is_answered() {
        let mut agent = agent();
        receive(&mut agent, 1, ToAgent::SyncState);
        let out = receive(&mut agent, 1, ToAgent::MigrateProject { project: Default::default(), to: Default::default() });
        assert_eq!(said(&out), [&FromAgent::Unsupported { command: "MigrateProject".into() }]);
    }

    #[test]
    fn a_cancelled_attempt_gives_no_answer() {
        let mut agent = agent();
        receive(&mut agent, 1, ToAgent::ExecuteTask(task(0)));
        let held = Held { spark: task(0).spark, attempt: Attempt(1) };
        let out = receive(&mut agent, 1, ToAgent::CancelTask { spark: held.spark, attempt: held.attempt });
        assert_eq!(out, [Effect::Stop(held)]);
        let mut out = Vec::new();
        agent.handle(NOW, Event::Ended { held, result: Err(AttemptError::Cancelled) }, &mut out);
        assert_eq!(out, []);
        assert!(agent.is_idle());
    }
}
