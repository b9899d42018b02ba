//! Which spark goes where, next.
//!
//! Jobs are ordered by priority, with ageing; within a job the sparks go in their order. A node is given work while it
//! has credit; which of several is for `placement` to say.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::ToString,
    vec::Vec,
};

use super::{
    Availability, Effect, Fact, Fleet, Flight, JobSpec, JobStatus, NodeRecord, NodeSelector, Priority, Requester, Runnable,
    placement::{Candidates, size_of},
};
use crate::{
    ids::{Attempt, JobId, NodeId, ProjectId, SparkId},
    time::Time,
    wire::{
        ToAgent,
        command::CommandLine,
        message::Held,
        task::{Analysis, Task, TaskFile, Work},
        warrant::{Objection, Warrant},
    },
};

/// Attempts begun in one turn; the rest waits for the next event, so that a turn stays short.
const DISPATCH_MAX: u32 = 4096;

impl Fleet {
    pub(super) fn dispatch(&mut self, now: Time, out: &mut Vec<Effect>) {
        if self.nodes.values().all(|node| node.credit(self.settings.queued_per_slot) == 0) {
            return;
        }
        let waiting = self.active.iter().filter(|(id, runnable)| !runnable.ready.is_empty() && self.may_run(**id));
        let mut order: BTreeSet<(u64, Priority, JobId)> = waiting.map(|(id, runnable)| self.urgency(now, *id, runnable)).collect();
        let (mut candidates, mut withdrawn) = (BTreeMap::<JobId, Candidates>::new(), Vec::new());
        for _ in 0..DISPATCH_MAX {
            let Some((.., job)) = order.pop_first() else { return };
            let number = *self.active[&job].ready.first().expect("it was chosen for having one");
            let of_job = candidates.entry(job).or_insert_with(|| self.candidates(now, job, &withdrawn));
            // Room only becomes less in a turn: whoever has none now has none later.
            let Some(node) = self.place(of_job, job, number) else {
                let kept = self.kept_free_for(now, &self.ledger.jobs[&job].spec);
                kept.iter().for_each(|kept| candidates.values_mut().for_each(|nodes| nodes.withdraw(kept)));
                withdrawn.extend(kept);
                continue;
            };
            let number = self.probe(job, number, node).unwrap_or(number);
            let runnable = self.active.get_mut(&job).expect("it was just chosen");
            runnable.ready.remove(&number);
            runnable.waits_since = now;
            self.begin(now, SparkId { job, number }, node, out);
            let burden = self.burden(now, &self.nodes[&node]);
            candidates.values_mut().for_each(|nodes| nodes.update(node, burden));
            let runnable = &self.active[&job];
            if !runnable.ready.is_empty() {
                order.insert(self.urgency(now, job, runnable));
            }
        }
    }

    pub(super) fn may_run(&self, job: JobId) -> bool {
        self.active[&job].listed && self.awaited_by(job).is_none() && matches!(self.ledger.jobs[&job].status, JobStatus::Queued | JobStatus::Running)
    }

    /// Lower is sooner: the priority's rank in ageing steps, less the time since it was last given anything. What waits
    /// long enough comes before everything but what is critical; the same urgency goes by priority, then by age.
    fn urgency(&self, now: Time, id: JobId, runnable: &Runnable) -> (u64, Priority, JobId) {
        let (priority, step) = (self.ledger.jobs[&id].spec.priority, self.settings.ageing_step.0);
        let aged = (priority as u64 * step).saturating_sub((now - runnable.waits_since).0);
        let first = Priority::High as u64 * step;
        (if priority == Priority::Critical { 0 } else { aged.max(first) }, priority, id)
    }

    /// May it be given anything?
    pub(super) fn is_open(&self, id: NodeId) -> bool {
        !self.is_retired(id) && self.ledger.nodes.get(&id).is_none_or(|node| node.availability == Availability::Active)
    }

    /// Is it one that the job was asked for, and for this kind of work, and does it work for whoever asked?
    pub(super) fn is_meant(&self, spec: &JobSpec, id: NodeId) -> bool {
        let takes = |record: &NodeRecord| {
            record.profile.takes(spec.job_type.specialisation()) && self.objection_of(record, spec).is_none() && self.has_folder(record, spec)
        };
        self.is_selected(spec, id) && self.records.get(&id).is_none_or(takes)
    }

    /// Is the folder that its commands run in on the node's disk, if they run in one?
    pub(super) fn has_folder(&self, record: &NodeRecord, spec: &JobSpec) -> bool {
        let project = spec.command.as_ref().and_then(|command| command.project);
        project.is_none_or(|project| self.ledger.projects.get(&project).is_some_and(|project| record.profile.sources.hold(&project.root)))
    }

    /// What its owner has against the job.
    pub(super) fn objection_of(&self, record: &NodeRecord, spec: &JobSpec) -> Option<Objection> {
        let accepts = &record.profile.accepts;
        // Most are open, and this is asked for every node of every turn.
        if accepts.is_open() { None } else { accepts.objection(&self.warrant(spec.by, spec.about())) }
    }

    pub(super) fn warrant(&self, by: Requester, project: Option<ProjectId>) -> Warrant {
        let device = match by {
            // One that belongs to the fleet no longer is nobody's that a node knows.
            Requester::Operator(id) => Some(self.ledger.operators.get(&id).map_or_else(|| id.to_string(), |known| known.name.clone())),
            Requester::Fleet | Requester::User(_) | Requester::Node(_) | Requester::Stranger => None,
        };
        Warrant { device, project: project.and_then(|project| self.ledger.projects.get(&project)).map(|project| project.name.clone()) }
    }

    pub(super) fn is_selected(&self, spec: &JobSpec, id: NodeId) -> bool {
        let name = self.ledger.nodes.get(&id).map_or("", |node| node.name.as_str());
        let assigned = spec.about().and_then(|project| self.ledger.projects.get(&project)).map(|project| &project.nodes);
        let is_among = |nodes: &NodeSelector| nodes.is_empty() || nodes.matches(id, name, &self.labels_of(id));
        is_among(&spec.nodes) && assigned.is_none_or(is_among)
    }

    /// A spark that runs already runs twice from now on.
    pub(super) fn begin(&mut self, now: Time, spark: SparkId, node: NodeId, out: &mut Vec<Effect>) {
        let attempt = Attempt(self.ledger.spark(spark).expect("what is to begin exists").attempts + 1);
        self.record(Fact::SparkStarted { spark, attempt, node }, out);
        let deadline = now + self.settings.attempt_max(&self.ledger.jobs[&spark.job].spec);
        let size = size_of(&self.ledger.jobs[&spark.job], spark.number);
        let estimate = self.speeds.estimate(node, &size);
        let needs = self.ledger.jobs[&spark.job].spec.needs();
        self.watch_from(deadline);
        self.placed_last = node;
        let chosen = self.nodes.get_mut(&node).expect("it was just chosen");
        let runs_since = chosen.has_free_slots_for(needs).then_some(now);
        let parses = self.ledger.jobs[&spark.job].spec.project.is_some();
        let flight = Flight { node, attempt, begun_at: now, runs_since, sent_at: now, deadline, estimate, size, needs, parses, files: 0, bytes: 0 };
        match runs_since {
            Some(_) => chosen.takes_slots(now, &flight),
            None => chosen.line.push_back(Held { spark, attempt }),
        }
        self.flights.begin(spark, flight);
        chosen.load(now, estimate, needs);
        chosen.held.insert(Held { spark, attempt });
        if chosen.expect_sooner(now, self.pace.busy) {
            self.watch_from(now + self.settings.degraded_after);
        }
        let task = self.task(spark, attempt);
        self.send(node, ToAgent::ExecuteTask(task), out);
    }

    pub(super) fn task(&self, id: SparkId, attempt: Attempt) -> Task {
        let job = &self.ledger.jobs[&id.job];
        let spark = &job.sparks[id.number as usize];
        let files = spark.files.iter().map(|&index| {
            let file = &job.files[index as usize];
            TaskFile { index, path: file.path.clone(), language: file.language.clone(), size: file.size, content: file.content }
        });
        let work = match (&job.spec.command, job.spec.project) {
            (Some(command), _) => {
                let folder = command.project.map(|project| self.ledger.projects[&project].root.clone());
                Work::Run(CommandLine { folder, ..command.line.clone() })
            }
            (None, None) => job.packs.get(id.number as usize).map_or(Work::Nothing, |packs| Work::Keep(packs.clone())),
            (None, Some(project)) => Work::Analyse(Analysis {
                root: self.ledger.projects[&project].root.clone(),
                files: files.collect(),
                limits: job.spec.limits,
                isolated: spark.isolated,
                use_cache: job.spec.use_cache && !spark.files.iter().any(|&index| job.files[index as usize].is_disputed),
            }),
        };
        let warrant = self.warrant(job.spec.by, job.spec.about());
        Task { spark: id, attempt, work, timeout: self.settings.timeout_of(&job.spec), slots: job.spec.needs().slots(), warrant }
    }
}
