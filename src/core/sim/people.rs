//! The people of a simulation: they submit, change their minds, and compare each result with what the tree holds.

use alloc::{collections::BTreeMap, format, string::String, vec::Vec};

use super::{
    Count, Happening, PEOPLE_EVERY, Simulation, Tree,
    node::{ENGINE, PROGRAM, SLOT_MEMORY_BYTES},
};
use crate::{
    fleet::{
        Availability, Awaited, CommandSpec, Event, Job, JobCommand, JobSpec, JobStatus, JobType, Ledger, Needs, NodeCommand, NodeSelector, OwnRole, PairedNode,
        Partitioning, Pending, Placement, Priority, Requester, Submission, Warming,
    },
    ids::{Digest, JobId, NodeId, ProjectId, SparkId},
    time::Span,
    wire::{
        command::CommandLine,
        task::{FailReason, FileLimits, FileOutcome, FileResult},
    },
};

const PRIORITIES: [Priority; 5] = [Priority::Critical, Priority::High, Priority::Normal, Priority::Low, Priority::Background];
const JOB_TYPES: [JobType; 3] = [JobType::FullAnalysis, JobType::MetricsCalculation, JobType::CacheWarming];
/// States that each project's tree goes through.
const VERSIONS: u32 = 3;

#[derive(Default)]
pub(super) struct People {
    /// Everything that was ever listed.
    trees: BTreeMap<Digest, Tree>,
    last: Option<Submission>,
    submitted: u32,
    projects: u32,
    done: bool,
    pub(super) results: Vec<(Tree, Vec<FileOutcome>)>,
}

impl People {
    /// Nobody will submit, pause or remove anything any more.
    pub(super) fn are_done(&self) -> bool {
        self.done
    }

    pub(super) fn receive(&mut self, listing: Digest, outcomes: Vec<FileOutcome>) {
        let tree = self.trees.get(&listing).expect("only what was listed is analysed").clone();
        self.results.push((tree, outcomes));
    }
}

impl Simulation {
    pub(super) fn on_people_act(&mut self) {
        self.after(PEOPLE_EVERY, Happening::PeopleAct);
        let Some(ledger) = self.master.fleet().map(|fleet| fleet.ledger()) else { return };
        if ledger.projects.len() < self.scenario.projects as usize && self.is_rough() {
            return self.add_project();
        }
        if !self.is_rough() {
            self.people.done = true;
            return self.insist();
        }
        match self.scenario.faults.moody {
            true => self.act_on_a_mood(),
            false if self.dice.chance(3_000) => self.submit_work(),
            false => self.submit(),
        }
    }

    fn add_project(&mut self) {
        self.people.projects += 1;
        let root = format!("/tree/{}", self.people.projects).into_bytes();
        self.tell_master(Event::ProjectAdded { name: "tree".into(), root });
    }

    fn act_on_a_mood(&mut self) {
        match self.dice.below(20) {
            0..=4 => self.submit(),
            5 if self.dice.chance(4_000) => self.warm(),
            5 => self.submit_work(),
            6 if self.dice.chance(5_000) => self.cancel_spark(),
            6 => self.submit_work(),
            7 => self.submit_again(),
            8 => self.command_some(JobCommand::Cancel, |status| !status.is_over()),
            9 | 10 => self.command_some(JobCommand::Pause, |status| !status.is_over()),
            11..=14 => self.command_some(JobCommand::Resume, |status| status == JobStatus::Paused),
            15 | 16 => self.command_some(JobCommand::Retry, |status| matches!(status, JobStatus::Failed | JobStatus::Cancelled)),
            17 => {
                let priority = self.dice.pick(&PRIORITIES).unwrap_or_default();
                self.command_some(JobCommand::SetPriority(priority), |_| true);
            }
            18 if self.dice.chance(5_000) => self.change_project(),
            18 => self.command_some_node(),
            _ if self.dice.chance(1_500) => self.stop_master_well(),
            _ => self.command_some_node(),
        }
    }

    fn submit(&mut self) {
        let projects: Vec<ProjectId> = self.ledger().projects.keys().copied().collect();
        let Some(project) = self.dice.pick(&projects).filter(|_| self.people.submitted < self.scenario.jobs_max) else { return };
        let root = self.ledger().projects[&project].root.clone();
        let version = self.dice.below(u64::from(VERSIONS)) as u32;
        let tree = Tree::grow(&root, version, self.scenario.files);
        let spec = JobSpec {
            project: Some(project),
            job_type: self.dice.pick(&JOB_TYPES).unwrap_or(JobType::FullAnalysis),
            priority: self.dice.pick(&PRIORITIES).unwrap_or_default(),
            partitioning: self.dice.pick(&Partitioning::ALL).unwrap_or_default(),
            placement: self.dice.pick(&Placement::ALL).unwrap_or_default(),
            fingerprint: ENGINE,
            limits: FileLimits::default(),
            use_cache: true,
            base: None,
            listing: tree.listing,
            timeout: (self.scenario.faults.moody && self.dice.chance(3_000)).then(|| self.dice.millis(1_500, 12_000)),
            selection: Vec::new(),
            after: self.pick_awaited(),
            command: None,
            nodes: self.some_nodes(),
            by: Requester::Fleet,
        };
        let submission = Submission { spec, files: tree.files.clone() };
        self.people.trees.insert(tree.listing, tree);
        self.people.submitted += 1;
        self.people.last = Some(submission.clone());
        self.tell_master(Event::JobSubmitted(submission));
    }

    /// Commands, or nothing at all, in a few sparks.
    fn submit_work(&mut self) {
        if self.people.submitted >= self.scenario.jobs_max {
            return;
        }
        let line = CommandLine { program: PROGRAM.into(), ..CommandLine::default() };
        let command = self.dice.chance(7_000).then(|| CommandSpec { line, tries: 2, timeout: Span::from_secs(4), needs: self.some_needs(), project: None });
        let priority = self.dice.pick(&PRIORITIES).unwrap_or_default();
        let spec = JobSpec::without_tree(command, priority, self.pick_awaited());
        let sparks = 1 + self.dice.below(4) as u32;
        self.people.submitted += 1;
        self.tell_master(Event::WorkSubmitted { spec, sparks });
    }

    /// No more than some node has whoever dies.
    fn some_needs(&mut self) -> Needs {
        let cores = self.slots_max().min(self.dice.below(3) as u32);
        Needs { cores, memory_bytes: u64::from(cores) * self.dice.below(SLOT_MEMORY_BYTES), gpus: 0 }
    }

    /// Somebody wants some records on some nodes.
    fn warm(&mut self) {
        if self.people.submitted >= self.scenario.jobs_max {
            return;
        }
        self.people.submitted += 1;
        let nodes = self.some_nodes();
        let packs = (0..self.dice.below(20)).map(|_| Digest([self.dice.below(256) as u8; 32])).collect();
        self.tell_master(Event::WarmingAsked(Warming { packs, fingerprint: ENGINE, nodes, timeout: None }));
    }

    /// Up to two things that exist.
    fn pick_awaited(&mut self) -> Vec<Awaited> {
        let jobs: Vec<(JobId, u32)> = self.ledger().jobs.iter().map(|(id, job)| (*id, job.sparks.len() as u32)).collect();
        let wanted = self.dice.below(3);
        let mut awaited = Vec::new();
        for _ in 0..wanted {
            let Some((job, sparks)) = self.dice.pick(&jobs) else { break };
            let number = self.dice.below(u64::from(sparks.max(1))) as u32;
            let by_spark = sparks > 0 && self.dice.chance(5_000);
            awaited.push(if by_spark { Awaited::Spark(SparkId { job, number }) } else { Awaited::Job(job) });
        }
        awaited
    }

    fn cancel_spark(&mut self) {
        let sparks = |(job, entry): (&JobId, &Job)| (0..entry.sparks.len() as u32).map(|number| SparkId { job: *job, number }).collect::<Vec<_>>();
        // Not of an analysis: its result would lack files for no fault of the fleet's.
        let commands = self.ledger().jobs.iter().filter(|(_, job)| job.spec.project.is_none());
        let sparks: Vec<SparkId> = commands.flat_map(sparks).collect();
        if let Some(spark) = self.dice.pick(&sparks) {
            self.tally.one(Count::SparkCancelled);
            self.tell_master(Event::SparkCancelled { spark });
        }
    }

    /// The same request again: the same job when it is unfinished, another one when it is over.
    fn submit_again(&mut self) {
        if let Some(mut submission) = self.people.last.clone() {
            submission.spec.placement = self.dice.pick(&Placement::ALL).unwrap_or_default();
            submission.spec.timeout = self.dice.chance(3_000).then(|| self.dice.millis(1_500, 12_000));
            self.tell_master(Event::JobSubmitted(submission));
        }
    }

    fn command_some(&mut self, command: JobCommand, suits: impl Fn(JobStatus) -> bool) {
        let jobs: Vec<JobId> = self.ledger().jobs.iter().filter(|(_, job)| suits(job.status)).map(|(id, _)| *id).collect();
        // Now and then somebody asks for what makes no sense.
        let any: Vec<JobId> = self.ledger().jobs.keys().copied().collect();
        let job = if self.dice.chance(500) { self.dice.pick(&any) } else { self.dice.pick(&jobs) };
        if let Some(job) = job {
            self.tell_master(Event::JobCommanded { job, command });
        }
    }

    fn change_project(&mut self) {
        let projects: Vec<ProjectId> = self.ledger().projects.keys().copied().collect();
        let Some(project) = self.dice.pick(&projects) else { return };
        if self.dice.chance(2_500) {
            self.tell_master(Event::ProjectRemoved { project });
        } else {
            let name = format!("tree-{}", self.dice.below(5));
            self.tell_master(Event::ProjectRenamed { project, name });
        }
    }

    /// Half of the time somebody gives a node work again: otherwise nobody would be left for it.
    fn command_some_node(&mut self) {
        let nodes: Vec<NodeId> = self.ledger().nodes.keys().copied().collect();
        let Some(node) = self.dice.pick(&nodes) else { return };
        let command = match self.dice.below(8) {
            0 => NodeCommand::Cordon,
            1 => NodeCommand::Drain { within: None },
            2 => NodeCommand::Drain { within: Some(self.dice.millis(0, 500)) },
            3 => NodeCommand::Stop { reason: "smoke".into() },
            4 => NodeCommand::Relabel { set: [("zone".into(), "eu".into())].into(), unset: ["old".into()].into() },
            5 => return self.choose_role(),
            _ => return self.uncordon_all(),
        };
        self.tell_master(Event::NodeCommanded { node, command });
    }

    fn choose_role(&mut self) {
        let role = if self.ledger().own_role() == OwnRole::Hybrid { OwnRole::Master } else { OwnRole::Hybrid };
        self.tell_master(Event::RoleChosen { role, name: "master".into() });
    }

    fn uncordon_all(&mut self) {
        let closed = |(id, node): (&NodeId, &PairedNode)| (node.availability != Availability::Active).then_some(*id);
        for node in self.ledger().nodes.iter().filter_map(closed).collect::<Vec<_>>() {
            if self.master.fleet().is_some() {
                self.tell_master(Event::NodeCommanded { node, command: NodeCommand::Uncordon });
            }
        }
        if self.master.fleet().is_some_and(|fleet| fleet.ledger().own_role() == OwnRole::Master) {
            self.choose_role();
        }
    }

    /// Now and then all but one, so that some of them live.
    fn some_nodes(&mut self) -> NodeSelector {
        let names: Vec<String> = self.ledger().nodes.values().map(|node| node.name.clone()).collect();
        if names.len() <= 3 || !self.scenario.faults.moody || !self.dice.chance(2_000) {
            return NodeSelector::default();
        }
        let left_out = self.dice.below(names.len() as u64) as usize;
        let meant: Vec<String> = names.into_iter().enumerate().filter(|(place, _)| *place != left_out).map(|(_, name)| name).collect();
        meant.join(",").parse().unwrap_or_default()
    }

    /// Once it is calm, people want everything that was not cancelled to end well.
    fn insist(&mut self) {
        self.uncordon_all();
        if self.master.fleet().is_none() {
            return;
        }
        self.give_up_retired();
        if self.master.fleet().is_none() {
            return;
        }
        let with = |ledger: &Ledger, status| ledger.jobs.iter().filter(|(_, job)| job.status == status).map(|(id, _)| *id).collect::<Vec<_>>();
        for (status, command) in [(JobStatus::Paused, JobCommand::Resume), (JobStatus::Failed, JobCommand::Retry)] {
            for job in with(self.ledger(), status) {
                self.tell_master(Event::JobCommanded { job, command });
            }
        }
        let fleet = self.master.fleet().expect("people are told when there is no master");
        let unlisted = fleet.ledger().jobs.iter().find(|(id, job)| !job.status.is_over() && fleet.explain(**id).contains(&Pending::NotListed));
        if let Some((_, job)) = unlisted {
            // A job of a master that did not keep its listing goes on when the same is asked for again.
            let submission = Submission { spec: job.spec.clone(), files: job.files.clone() };
            self.tell_master(Event::JobSubmitted(submission));
        }
    }

    /// Nobody waits for a node that is gone for good to have records.
    fn give_up_retired(&mut self) {
        let is_for = |job: &Job| job.spec.nodes.one_node().filter(|_| !job.packs.is_empty());
        let is_void = |job: &Job| is_for(job).is_some_and(|node| self.nodes[&node].is_retired());
        let void: Vec<JobId> = self.ledger().jobs.iter().filter(|(_, job)| !job.status.is_over() && is_void(job)).map(|(id, _)| *id).collect();
        for job in void {
            if self.master.fleet().is_some() {
                self.tell_master(Event::JobCommanded { job, command: JobCommand::Cancel });
            }
        }
    }

    fn ledger(&self) -> &Ledger {
        self.master.fleet().expect("people are told when there is no master").ledger()
    }
}

/// Compares a result with what its tree holds; answers with the number of files that it lacks.
pub fn compare(tree: &Tree, outcomes: &[FileOutcome]) -> usize {
    let expected = tree.expected();
    assert_eq!(outcomes.len(), expected.len(), "a result names every listed file once");
    let differs = |(found, expected): &(&FileOutcome, &FileOutcome)| found != expected;
    let is_missing = |found: &FileOutcome| matches!(found.result, FileResult::Failed(FailReason::Missing(_)));
    let different = outcomes.iter().zip(&expected).filter(differs);
    let missing = different.map(|(found, expected)| assert!(is_missing(found), "the result of a file differs: {found:?} where {expected:?} was expected"));
    missing.count()
}
