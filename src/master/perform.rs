//! Performing effects in order, with one commit for the records of a turn.

use std::collections::BTreeMap;

use bitacora_core::{
    fleet::{AuditRecord, Effect, Event, Fact, Job, Notice, Requester, ResultSummary, SparkState},
    ids::{JobId, NodeId},
    time::Time,
    wire::{Envelope, ToAgent, task::AttemptError},
};
use fleet_agent::work::with_cause;

use super::{Master, MasterError, narration::narrate, now, work};
use crate::{
    journal::SNAPSHOT_AFTER,
    manifest::Manifest,
    result::read_manifest,
    scan::{Meanwhile, Outcomes, Scan},
};

/// Rounds of effects that one turn may lead to: storing a result leads to one more.
const ROUNDS_MAX: usize = 16;

/// What goes to each node, in its order.
type Letters = BTreeMap<NodeId, Vec<Envelope<ToAgent>>>;

impl Master {
    /// Performs effects and what they lead to. Everything recorded is committed before anything leaves this process: the
    /// first message, or the notices that are the answer. So what leads to a result is one commit with the result.
    pub(super) fn perform(&mut self, effects: Vec<Effect>) -> Result<Vec<Notice>, MasterError> {
        let (mut effects, mut notices) = (effects, Vec::new());
        for _ in 0..ROUNDS_MAX {
            let stored = self.perform_round(effects, &mut notices)?;
            let mut events = stored;
            if events.is_empty() {
                self.commit()?;
                // Whoever keeps the audit's end is told once it is on the disk.
                events.extend(self.audited.take().map(|head| Event::AuditAdvanced { head }));
            }
            if events.is_empty() {
                return Ok(notices);
            }
            effects = Vec::new();
            self.fleet.handle_turn(now(), Requester::Fleet, events, &mut effects);
        }
        unreachable!("storing a result leads to no further result, and telling of the audit to no further record");
    }

    /// Answers with the events that the effects themselves led to.
    fn perform_round(&mut self, effects: Vec<Effect>, notices: &mut Vec<Notice>) -> Result<Vec<Event>, MasterError> {
        let (mut events, mut letters) = (Vec::new(), Letters::new());
        for effect in self.uncommitted.take_from(effects) {
            match effect {
                Effect::Record(_) | Effect::Audit(_) => unreachable!("taken above"),
                Effect::LookUpHead { head, .. } if self.journal.has_audited(head)? => {}
                Effect::LookUpHead { node, head } => events.push(Event::HeadUnknown { node, head }),
                Effect::Send { to, message } => letters.entry(to).or_default().push(message),
                Effect::Disconnect { node } => {
                    self.send(&mut letters)?;
                    self.commit()?;
                    if let Some(serving) = &self.serving {
                        // Not let in again before it is shown out.
                        let ledger = self.fleet.ledger();
                        serving.links.admit(ledger.nodes.keys().copied(), ledger.operators.keys().copied());
                        serving.links.disconnect(node);
                    }
                }
                Effect::Call { node, addresses } => {
                    if let Some(serving) = &self.serving {
                        let all = serving.pairing().announced(node).into_iter().chain(addresses).collect();
                        serving.links.call(node, self.fleet.epoch(), all);
                    }
                }
                Effect::ListTree { job } => self.list_again(job)?,
                Effect::StoreResult { job, round, until } => {
                    // That takes its time; nobody else has to wait for it.
                    self.send(&mut letters)?;
                    events.push(self.store_result(job, round, until));
                }
                // For whoever watches, and no more: a full disk is no reason to stop.
                Effect::KeepOutput(output) => drop(self.logs.show(&output)),
                Effect::Publish(notice) => {
                    match notice {
                        Notice::JobOver(job) => self.logs.forget(job),
                        Notice::NodeChanged(node) => self.note_node(node),
                        _ => {}
                    }
                    notices.push(notice);
                }
            }
        }
        self.send(&mut letters)?;
        Ok(events)
    }

    /// What led to the messages is committed first.
    fn send(&mut self, letters: &mut Letters) -> Result<(), MasterError> {
        if letters.is_empty() {
            return Ok(());
        }
        self.commit()?;
        for (to, messages) in std::mem::take(letters) {
            match (&self.agent, &self.serving) {
                (Some(agent), _) if to == NodeId::HERE => messages.into_iter().for_each(|message| agent.send(message)),
                (_, Some(serving)) => serving.links.send(to, messages),
                (_, None) => {}
            }
        }
        Ok(())
    }

    pub(super) fn commit(&mut self) -> Result<(), MasterError> {
        if self.uncommitted.is_empty() {
            return Ok(());
        }
        self.unpublish();
        let Uncommitted { facts, records } = std::mem::take(&mut self.uncommitted);
        let over =
            facts.iter().any(|fact| matches!(fact, Fact::JobCompleted { .. } | Fact::JobDone { .. } | Fact::JobFailed { .. } | Fact::JobCancelled { .. }));
        let head = self.journal.append(self.fleet.epoch().0, &facts, &records)?;
        self.audited = head.filter(|_| !records.is_empty()).or(self.audited);
        for fact in &facts {
            narrate(fact, self.fleet.ledger());
            self.timeline.add_fact(now(), fact, self.fleet.ledger());
        }
        if over && self.journal.since_snapshot() > SNAPSHOT_AFTER {
            match self.journal.snapshot(self.fleet.ledger()) {
                // The facts say the same, and take longer to read: a disk that is too full for it is no reason to stop.
                Err(error) if error.is_disk_full() => {}
                taken => taken?,
            }
        }
        Ok(())
    }

    fn store_result(&self, job: JobId, round: u64, until: Time) -> Event {
        match self.merged(job, until) {
            Ok(result) => Event::ResultStored { job, round, result },
            Err(error) => Event::ResultNotStored { job, round, error },
        }
    }

    fn merged(&self, id: JobId, until: Time) -> Result<ResultSummary, String> {
        let job = &self.fleet.ledger().jobs[&id];
        let scan = self.scans.get(&work(&job.spec, &job.files)).ok_or("the listing it was made for is gone; run the analysis again")?;
        let summary = |manifest, totals| ResultSummary { job: id, at: now(), manifest, totals };
        let stored = self.stored_since(scan, job);
        if let (true, Some(base), Some(manifest), None) = (scan.unchanged, scan.base(), scan.base_manifest(), &stored) {
            return Ok(summary(base, manifest.overview().map_err(|error| with_cause(&error))?.totals));
        }
        let why = |index| {
            let spark = job.sparks.iter().find(|spark| spark.files.contains(&index));
            match spark.map(|spark| &spark.state) {
                Some(SparkState::Failed(error)) => error.describe(),
                _ => AttemptError::Interrupted.describe(),
            }
        };
        let outcomes = Outcomes { found: &job.aggregate, missing: &why, is_late: &|| now() >= until };
        let before = scan.latest.filter(|_| stored.is_some()).and_then(|before| read_manifest(&self.data, before).ok());
        let meanwhile = stored.as_ref().map(|stored| Meanwhile { stored, before: before.as_ref() });
        let (bytes, totals) = scan.merge(outcomes, job.spec.fingerprint, meanwhile).map_err(|error| with_cause(&error))?;
        let manifest = self.results.write(&bytes).map_err(|error| with_cause(&error))?;
        Ok(summary(manifest, totals))
    }

    /// What another job of the project has stored after this one's tree was listed. One that cannot be read costs a computation.
    fn stored_since(&self, scan: &Scan, job: &Job) -> Option<Manifest> {
        let last = self.fleet.ledger().projects[&job.spec.project?].history.last()?;
        if scan.latest == Some(last.manifest) { None } else { read_manifest(&self.data, last.manifest).ok() }
    }
}

/// Handled and not yet in the journal.
#[derive(Default)]
pub(super) struct Uncommitted {
    facts: Vec<Fact>,
    records: Vec<AuditRecord>,
}

impl Uncommitted {
    fn is_empty(&self) -> bool {
        self.facts.is_empty() && self.records.is_empty()
    }

    /// Takes what is to be committed; leaves the rest in its order.
    fn take_from(&mut self, effects: Vec<Effect>) -> Vec<Effect> {
        let mut rest = Vec::new();
        for effect in effects {
            match effect {
                Effect::Record(fact) => self.facts.push(fact),
                Effect::Audit(record) => self.records.push(record),
                other => rest.push(other),
            }
        }
        rest
    }
}
