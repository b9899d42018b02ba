//! What people see: plain data, made when asked for.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};

use super::{Awaited, Dispute, Fleet, Health, Job, JobSpec, JobStatus, JobType, Node, NodeRecord, SparkState};
use crate::{
    ids::{Attempt, JobId, NodeId, SparkId},
    time::Time,
    wire::{message::Held, warrant::Objection},
};

/// A snapshot.
#[derive(Clone, Debug)]
pub struct FleetView {
    pub nodes: Vec<NodeView>,
    pub jobs: Vec<JobView>,
}

#[derive(Clone, Debug)]
pub struct NodeView {
    pub id: NodeId,
    pub health: Health,
    /// Is there a link to it now?
    pub linked: bool,
    pub slots: u32,
    pub held: u32,
}

/// An attempt that a node has, or is believed to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlightView {
    pub node: NodeId,
    pub begun_at: Time,
    /// Done so far.
    pub files: u32,
    pub bytes: u64,
}

/// A job and how far it is.
#[derive(Clone, Debug)]
pub struct JobView {
    pub id: JobId,
    pub spec: JobSpec,
    pub status: JobStatus,
    pub stage: Stage,
    pub files_done: u64,
    pub files: u64,
    pub bytes_done: u64,
    pub bytes: u64,
    pub sparks_done: u32,
    pub sparks: u32,
    pub attempts: u32,
    pub accepted_at: Time,
    pub over_at: Option<Time>,
    pub bytes_per_second: u64,
    pub reason: String,
}

/// The built stages of the closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Parsing,
    ResultAggregation,
    Caching,
}

impl Stage {
    pub const fn name(self) -> &'static str {
        match self {
            Stage::Parsing => "parsing",
            Stage::ResultAggregation => "result-aggregation",
            Stage::Caching => "caching",
        }
    }
}

impl JobView {
    /// The stage that it is in; how it ended, once it has.
    pub const fn stage_name(&self) -> &'static str {
        if self.status.is_over() { self.status.name() } else { self.stage.name() }
    }

    /// 0 to 100, by bytes; of what has none by sparks.
    pub fn percent(&self) -> u32 {
        match self.bytes {
            _ if self.status == JobStatus::Completed => 100,
            0 => (u64::from(self.sparks_done) * 100).checked_div(self.sparks.into()).unwrap_or(0) as u32,
            bytes => (self.bytes_done.min(bytes) * 100 / bytes) as u32,
        }
    }

    /// Seconds to go at the present rate; `None` without a rate.
    pub fn eta_seconds(&self) -> Option<u64> {
        (self.bytes - self.bytes_done.min(self.bytes)).checked_div(self.bytes_per_second)
    }
}

/// Why a job, or a spark of it, does not run now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pending {
    Paused,
    /// The listing of its tree is not at hand: it goes on when the same analysis is asked for again.
    NotListed,
    /// Something that must succeed first.
    Awaits(Awaited),
    /// No connected node is configured to run the program.
    NoNodeRuns(String),
    NoNodes,
    /// No connected node has the job's engine.
    NoMatchingNode,
    /// None of those is one that the job was asked for.
    NoSelectedNode {
        nodes: String,
    },
    /// None of those is for this kind of work.
    NoSpecialisedNode {
        kind: &'static str,
    },
    /// None of those has its project's folder on its disk.
    NoFolder,
    /// None of those works for whoever asked, or for the project.
    NotAccepted {
        objection: &'static str,
    },
    /// None of those has as much as a spark needs, whatever else it holds.
    NoneLargeEnough {
        needs: String,
    },
    /// Each of those is cordoned, drains or leaves.
    NodesClosed,
    /// Every node with the job's engine has been silent for too long.
    NodesSilent,
    /// All slots hold other work.
    NoFreeSlot {
        held: u32,
    },
    /// Until its backoff ends.
    Backoff {
        spark: u32,
        until: Time,
        failures: u32,
    },
    /// Every spark is over; the result is being stored.
    Storing,
    Running {
        sparks: u32,
    },
    Over {
        status: JobStatus,
        reason: String,
    },
    Failed {
        spark: u32,
        why: String,
    },
    /// Two nodes said different things of the same bytes.
    Disputed {
        spark: u32,
        nodes: [String; 2],
        path: String,
        /// That they differ over.
        files: u32,
    },
}

impl Fleet {
    pub fn view(&self, now: Time) -> FleetView {
        let nodes = self.nodes.keys().filter_map(|id| self.node_view(*id));
        FleetView { nodes: nodes.collect(), jobs: self.ledger.jobs.keys().filter_map(|id| self.job_view(now, *id)).collect() }
    }

    /// `None` for one that this master has not heard.
    pub fn node_view(&self, id: NodeId) -> Option<NodeView> {
        let node = self.nodes.get(&id)?;
        Some(NodeView { id, health: node.health, linked: node.linked, slots: node.slots, held: node.held.len() as u32 })
    }

    /// The sparks of a job that are with a node, each with its present attempt.
    pub fn flights_of(&self, job: JobId) -> impl Iterator<Item = (SparkId, FlightView)> + '_ {
        self.flights
            .of_job(job)
            .map(|(spark, flight)| (spark, FlightView { node: flight.node, begun_at: flight.begun_at, files: flight.files, bytes: flight.bytes }))
    }

    /// What is known of a node that is or was connected to this master.
    pub fn record_of(&self, id: NodeId) -> Option<&NodeRecord> {
        self.records.get(&id)
    }

    /// The attempts that a node has, or is believed to have, and since when.
    pub fn held_by(&self, id: NodeId) -> impl Iterator<Item = (Held, Time)> + '_ {
        self.flights.iter().filter(move |(_, flight)| flight.node == id).map(|(held, flight)| (held, flight.begun_at))
    }

    /// The jobs that a node has something of; it may hold thousands of attempts at one.
    pub fn jobs_of(&self, id: NodeId) -> Vec<JobId> {
        let Some(held) = self.nodes.get(&id).map(|node| &node.held) else { return Vec::new() };
        let from = |job: JobId| held.range(Held { spark: SparkId { job, number: 0 }, attempt: Attempt(0) }..).next().map(|held| held.spark.job);
        let after = |job: &JobId| from(JobId { counter: job.counter.checked_add(1)?, ..*job });
        core::iter::successors(from(JobId::default()), after).collect()
    }

    pub fn job_view(&self, now: Time, id: JobId) -> Option<JobView> {
        let job = self.ledger.jobs.get(&id)?;
        let (files, bytes) = self.flights.progress_of(id);
        let mut view = job.view(id);
        view.files_done += files;
        view.bytes_done = view.bytes_done.saturating_add(bytes);
        if let Some(runnable) = self.active.get(&id) {
            let elapsed = (now - runnable.started_at).0.max(1);
            let done = view.bytes_done.saturating_sub(runnable.bytes_before);
            view.bytes_per_second = (u128::from(done) * 1_000_000 / u128::from(elapsed)) as u64;
            view.stage = if runnable.storing.is_some() { Stage::ResultAggregation } else { job.work_stage() };
        }
        Some(view)
    }

    /// Why is this not running, or not finished?
    pub fn explain(&self, id: JobId) -> Vec<Pending> {
        let Some(job) = self.ledger.jobs.get(&id) else { return Vec::new() };
        let mut reasons = job.failures();
        reasons.extend(job.disputes.iter().map(|dispute| self.disputed(dispute)));
        let Some(runnable) = self.active.get(&id) else {
            reasons.insert(0, Pending::Over { status: job.status, reason: job.reason.clone() });
            return reasons;
        };
        let running = self.flights.of_job(id).filter(|(_, flight)| self.nodes.contains_key(&flight.node)).count() as u32;
        if running > 0 {
            reasons.push(Pending::Running { sparks: running });
        }
        reasons.extend((job.status == JobStatus::Paused).then_some(Pending::Paused));
        reasons.extend((!runnable.listed).then_some(Pending::NotListed));
        let awaited = self.awaited_by(id);
        reasons.extend(awaited.map(Pending::Awaits));
        reasons.extend(runnable.storing.map(|_| Pending::Storing));
        let backoff = |&(until, spark): &(Time, u32)| Pending::Backoff { spark, until, failures: job.sparks[spark as usize].failures };
        let failed = |(_, spark): &&(Time, u32)| job.sparks[*spark as usize].failures > 0;
        reasons.extend(runnable.waiting.iter().filter(failed).map(backoff));
        if runnable.listed && awaited.is_none() && !runnable.ready.is_empty() && !self.has_room_for(id) {
            reasons.push(self.why_no_node(job));
        }
        reasons
    }

    /// Why nothing of a job goes on; nothing while some of it does.
    pub fn waits(&self, id: JobId) -> Vec<Pending> {
        let mut reasons = self.explain(id);
        if reasons.iter().any(|reason| matches!(reason, Pending::Running { .. } | Pending::Storing | Pending::Over { .. })) {
            reasons.clear();
        }
        reasons
    }

    fn disputed(&self, dispute: &Dispute) -> Pending {
        let Dispute { spark, first, second, path, files } = dispute;
        Pending::Disputed { spark: *spark, nodes: self.ledger.names_of(*first, *second), path: path.to_text(), files: *files }
    }

    /// The nodes that a job and its project are for, in words.
    fn asked_for(&self, spec: &JobSpec) -> String {
        let assigned = spec.about().and_then(|project| self.ledger.projects.get(&project)).map(|project| &project.nodes);
        let asked = [Some(&spec.nodes), assigned].into_iter().flatten().filter(|nodes| !nodes.is_empty());
        asked.map(ToString::to_string).collect::<Vec<_>>().join(" and ")
    }

    /// Of nodes that could do it, and that it was asked for.
    fn why_nobody_takes(&self, spec: &JobSpec) -> Pending {
        let kind = spec.job_type.specialisation();
        let for_it = |(id, node): &(&NodeId, &Node)| node.can_do(spec) && self.is_selected(spec, **id);
        let takes = |record: &&NodeRecord| record.profile.takes(kind);
        let special: Vec<&NodeRecord> = self.nodes.iter().filter(for_it).filter_map(|(id, _)| self.records.get(id)).filter(takes).collect();
        let objections = special.iter().map(|record| self.objection_of(record, spec));
        // What is to be mended first is what its owner has decided.
        match objections.collect::<Option<Vec<Objection>>>().as_deref() {
            Some([]) => Pending::NoSpecialisedNode { kind: kind.name() },
            Some([objection, ..]) => Pending::NotAccepted { objection: objection.describe() },
            None => Pending::NoFolder,
        }
    }

    fn why_no_node(&self, job: &Job) -> Pending {
        let spec = &job.spec;
        let able = || self.nodes.iter().filter(|(_, node)| node.can_do(spec));
        let mut meant = able().filter(|(id, _)| self.is_meant(spec, **id)).peekable();
        let mut open = meant.clone().filter(|(id, node)| self.is_open(**id) && !node.leaving && self.is_large_enough(spec, **id, node)).peekable();
        match () {
            () if self.nodes.is_empty() => Pending::NoNodes,
            () if able().next().is_none() => spec.command.as_ref().map_or(Pending::NoMatchingNode, |command| Pending::NoNodeRuns(command.line.program.clone())),
            () if !able().any(|(id, _)| self.is_selected(spec, *id)) => Pending::NoSelectedNode { nodes: self.asked_for(spec) },
            () if meant.peek().is_none() => self.why_nobody_takes(spec),
            () if !meant.clone().any(|(id, node)| self.is_large_enough(spec, *id, node)) => Pending::NoneLargeEnough { needs: spec.needs().to_string() },
            () if open.peek().is_none() => Pending::NodesClosed,
            () if open.all(|(_, node)| node.health >= Health::Unhealthy || !node.linked) => Pending::NodesSilent,
            () => Pending::NoFreeSlot { held: self.flights.len() as u32 },
        }
    }
}

#[derive(Default)]
struct SparkCounts {
    done: u32,
    bytes_done: u64,
    partitions: u32,
    attempts: u32,
}

impl Job {
    const fn work_stage(&self) -> Stage {
        match (self.spec.job_type, self.spec.project) {
            (JobType::CacheWarming, None) => Stage::Caching,
            _ => Stage::Parsing,
        }
    }

    /// What the ledger alone knows: nothing of attempts in flight.
    pub fn view(&self, id: JobId) -> JobView {
        let SparkCounts { done, bytes_done, partitions, attempts } = self.count();
        JobView {
            id,
            spec: self.spec.clone(),
            status: self.status,
            stage: self.work_stage(),
            files_done: if self.status == JobStatus::Completed { u64::from(self.files_total) } else { self.aggregate.len() as u64 },
            files: u64::from(self.files_total),
            // What a completed job has no files of any more, it has done.
            bytes_done: if self.status == JobStatus::Completed { self.bytes_total } else { bytes_done },
            bytes: self.bytes_total,
            sparks_done: done,
            sparks: partitions,
            attempts,
            accepted_at: self.accepted_at,
            over_at: self.over_at,
            bytes_per_second: 0,
            reason: self.reason.clone(),
        }
    }

    /// In one go: a job may have a million sparks, and is looked at many times a second.
    fn count(&self) -> SparkCounts {
        let mut counts = SparkCounts::default();
        for spark in &self.sparks {
            counts.partitions += u32::from(spark.state != SparkState::Split);
            counts.attempts += spark.attempts;
            if spark.state.has_outcomes() {
                counts.done += 1;
                counts.bytes_done += self.bytes_of(spark);
            }
        }
        counts
    }

    fn failures(&self) -> Vec<Pending> {
        let failure = |(number, spark): (u32, &super::Spark)| match &spark.state {
            SparkState::Failed(error) => Some(Pending::Failed { spark: number, why: error.describe() }),
            _ => None,
        };
        (0..).zip(&self.sparks).filter_map(failure).collect()
    }
}
