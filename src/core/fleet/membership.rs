//! Reactions about nodes: who is here, in which life, with what, and since when not heard.

use alloc::{
    collections::{BTreeSet, VecDeque},
    string::String,
    vec::Vec,
};
use core::net::SocketAddr;

use super::{Availability, Effect, Fact, Fleet, JobSpec, JobType, Needs, NodeCommand, Notice, Refusal, Settings, records::Pace};
use crate::{
    ids::{Digest, Incarnation, NodeId},
    time::{Span, Time},
    wire::{
        Envelope, ToAgent,
        message::{HEARTBEAT, HEARTBEAT_MAX, Held},
        node::{LABELS_MAX, Labels, Load, NodeProfile, is_label},
        task::AttemptError,
    },
};

/// A connected node as its master sees it.
#[derive(Clone, Debug)]
pub struct Node {
    pub incarnation: Incarnation,
    pub slots: u32,
    /// Its engine; a job's sparks go only to nodes with the job's.
    pub fingerprint: Digest,
    /// What it may be asked to run.
    pub programs: BTreeSet<String>,
    pub last_heard: Time,
    pub health: Health,
    /// Is there a connection to it?
    pub linked: bool,
    /// It said that it is about to end.
    pub leaving: bool,
    /// Between its heartbeats, as it says itself.
    pub pace: Span,
    /// What was sent to it and is not over.
    pub held: BTreeSet<Held>,
    /// Of that, what waits for a slot, in the order in which it was sent; some of it may be held no more.
    pub(super) line: VecDeque<Held>,
    /// What is reserved there for all that it holds; of slots, and of those for what runs.
    pub(super) reserved: Needs,
    pub(super) running_slots: u32,
    /// Of what runs, how much analyses files.
    pub(super) parsing: u32,
    /// What that is expected to take, one after another.
    pub(super) backlog: Span,
    /// When it was last done with something, or began after it had nothing.
    pub(super) moved_at: Time,
    /// When something of what it has moved last, or it was given something after it had nothing.
    pub(super) progressed_at: Time,
    /// That was too long ago.
    pub(super) stalled: bool,
}

/// How long a node has been silent, in words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    Healthy,
    Degraded,
    Unhealthy,
    #[default]
    Offline,
}

impl Health {
    pub const fn name(self) -> &'static str {
        match self {
            Health::Healthy => "healthy",
            Health::Degraded => "degraded",
            Health::Unhealthy => "unhealthy",
            Health::Offline => "offline",
        }
    }
}

impl Node {
    pub(super) fn new(incarnation: Incarnation, slots: u32, fingerprint: Digest, programs: BTreeSet<String>, now: Time) -> Node {
        let held = BTreeSet::new();
        Node {
            incarnation,
            slots,
            fingerprint,
            programs,
            last_heard: now,
            health: Health::Healthy,
            linked: true,
            leaving: false,
            pace: HEARTBEAT,
            held,
            line: VecDeque::new(),
            reserved: Needs::default(),
            running_slots: 0,
            parsing: 0,
            backlog: Span(0),
            moved_at: now,
            progressed_at: now,
            stalled: false,
        }
    }

    pub(super) fn heard(&mut self, now: Time) {
        self.last_heard = now;
        self.health = self.health_by_word();
        self.linked = true;
    }

    /// From now on it beats at this pace, having something to do. Where it was to be silent for longer, the time begins anew: it
    /// has as long as a busy one to show that it is there. Answers whether that is sooner than before.
    pub(super) fn expect_sooner(&mut self, now: Time, busy: Span) -> bool {
        let is_sooner = self.pace > busy;
        if is_sooner {
            (self.pace, self.last_heard) = (busy, now);
        }
        is_sooner
    }

    /// Has it what the work needs: the engine that the job began with, or the program?
    pub(super) fn can_do(&self, spec: &JobSpec) -> bool {
        match &spec.command {
            Some(command) => self.programs.contains(&command.line.program),
            None if spec.job_type == JobType::NoOp => true,
            None => self.fingerprint == spec.fingerprint,
        }
    }

    /// Can it be sent anything now?
    pub(super) fn is_reachable(&self) -> bool {
        self.health < Health::Unhealthy && self.linked && !self.leaving
    }

    /// How long it may be silent before it is as bad as that, where the fleet beats at this pace.
    fn silence_max(&self, health: Health, settings: &Settings, pace: Span) -> Span {
        let (after, beats) = match health {
            Health::Healthy => return Span(0),
            Health::Degraded => (settings.degraded_after, settings.beats_missed.degraded),
            Health::Unhealthy => (settings.unhealthy_after, settings.beats_missed.unhealthy),
            Health::Offline => (settings.offline_after, settings.beats_missed.offline),
        };
        // It may not have heard of a faster pace yet.
        after.max(Span(self.pace.max(pace).0 * beats))
    }

    fn health_at(&self, now: Time, settings: &Settings, pace: Span) -> Health {
        let silence = now - self.last_heard;
        let reached = |health| silence >= self.silence_max(health, settings, pace);
        match () {
            () if reached(Health::Offline) => Health::Offline,
            () if reached(Health::Unhealthy) => Health::Unhealthy,
            () if reached(Health::Degraded) => Health::Degraded,
            () => Health::Healthy,
        }
    }

    /// When silence changes its health next.
    pub(super) fn next_deadline(&self, settings: &Settings, pace: Span) -> Option<Time> {
        let next = match self.health {
            Health::Healthy => Health::Degraded,
            Health::Degraded => Health::Unhealthy,
            Health::Unhealthy => Health::Offline,
            Health::Offline => return None,
        };
        Some(self.last_heard + self.silence_max(next, settings, pace))
    }
}

impl Fleet {
    /// Does the node belong to the fleet?
    pub fn admits(&self, node: NodeId) -> bool {
        node == NodeId::HERE || self.ledger.nodes.contains_key(&node)
    }

    pub(super) fn on_node_joined(&mut self, now: Time, name: String, address: Option<SocketAddr>, out: &mut Vec<Effect>) {
        let node = self.pair(now, name, out);
        if let Some(address) = address {
            self.remember_address(node, address, out);
        }
        out.push(Effect::Publish(Notice::NodePaired(node)));
    }

    /// Names are for people: one that is taken, by a node or somebody's device, gets a number.
    pub(super) fn free_name(&self, name: String) -> String {
        let is_taken =
            |name: &str| self.ledger.nodes.values().any(|node| node.name == name) || self.ledger.operators.values().any(|operator| operator.name == name);
        let numbered = (2_u32..).map(|number| alloc::format!("{name}-{number}"));
        core::iter::once(name.clone()).chain(numbered).find(|name| !is_taken(name)).expect("there are more numbers than nodes")
    }

    pub(super) fn pair(&mut self, now: Time, name: String, out: &mut Vec<Effect>) -> NodeId {
        let name = self.free_name(name);
        let node = NodeId::counted(self.ledger.epoch, self.ledger.counter + 1);
        self.record(Fact::NodePaired { node, name, at: now }, out);
        self.miss(now, node);
        node
    }

    pub(super) fn on_node_commanded(&mut self, now: Time, node: NodeId, command: NodeCommand, out: &mut Vec<Effect>) {
        if !self.ledger.nodes.contains_key(&node) {
            return out.push(Effect::Publish(Notice::Refused(Refusal::UnknownNode(node))));
        }
        match command {
            NodeCommand::Cordon => self.make_available(node, Availability::Cordoned, out),
            NodeCommand::Uncordon => self.make_available(node, Availability::Active, out),
            NodeCommand::Drain { within } => self.drain(now, node, within, out),
            NodeCommand::Stop { reason } => self.stop_node(now, node, reason, out),
            NodeCommand::Relabel { set, unset } => self.relabel(node, set, &unset, out),
            NodeCommand::Call { addresses } => self.call_now(now, node, &addresses, out),
            NodeCommand::Remove if self.ledger.resident == Some(node) => return out.push(Effect::Publish(Notice::Refused(Refusal::OwnMachine(node)))),
            NodeCommand::Remove => {
                self.record(Fact::NodeRemoved { node, at: now }, out);
                self.lose(now, node, AttemptError::Interrupted, out);
                self.end_warming_of(now, node, out);
                self.keeping.look_again();
                self.records.remove(&node);
                self.pushes.remove(&node);
                self.vicinity.forget(node);
                self.calling.forget(node);
                out.push(Effect::Disconnect { node });
            }
        }
        out.push(Effect::Publish(Notice::NodeChanged(node)));
    }

    fn make_available(&mut self, node: NodeId, availability: Availability, out: &mut Vec<Effect>) {
        if self.ledger.nodes[&node].availability != availability {
            self.record(Fact::NodeAvailability { node, availability }, out);
        }
    }

    fn relabel(&mut self, node: NodeId, set: Labels, unset: &[String], out: &mut Vec<Effect>) {
        let before = &self.ledger.nodes[&node].labels;
        let mut labels = before.clone();
        unset.iter().for_each(|key| drop(labels.remove(key)));
        labels.extend(set.into_iter().filter(|(key, value)| is_label(key, value)));
        if labels.len() > LABELS_MAX {
            return out.push(Effect::Publish(Notice::Refused(Refusal::TooManyLabels(node))));
        }
        if labels != *before {
            self.record(Fact::NodeLabelled { node, labels }, out);
        }
    }

    /// Those that it says itself, and those that a person gave it, which win.
    pub fn labels_of(&self, id: NodeId) -> Labels {
        let mut labels = self.records.get(&id).map(|record| record.profile.labels.clone()).unwrap_or_default();
        labels.extend(self.ledger.nodes.get(&id).map(|node| node.labels.clone()).unwrap_or_default());
        labels
    }

    /// It is given nothing until it is back. Its silence counts from when it was last heard.
    pub(super) fn on_link_lost(&mut self, now: Time, id: NodeId, out: &mut Vec<Effect>) {
        self.miss(now, id);
        if let Some(node) = self.nodes.get_mut(&id) {
            node.linked = false;
            self.vicinity.look_again(id);
            out.push(Effect::Publish(Notice::NodeChanged(id)));
        }
    }

    /// A node introduces itself: what it still has of ours goes on, what it lost is given to somebody.
    pub(super) fn on_hello(&mut self, now: Time, id: NodeId, node: Node, (held, profile): (Vec<Held>, NodeProfile), out: &mut Vec<Effect>) {
        let incarnation = node.incarnation;
        if self.nodes.get(&id).is_some_and(|known| known.incarnation > incarnation) {
            self.stale_messages += 1;
            return;
        }
        let same_life = self.nodes.get(&id).is_some_and(|known| known.incarnation == incarnation);
        if !same_life {
            self.on_life_began(id);
        }
        // Not by spark: beside the attempt that runs a node may hold the answer of an earlier one.
        let listed: BTreeSet<Held> = held.into_iter().collect();
        let mut node = node;
        let ours: Vec<Held> = self.held_by(id).map(|(held, _)| held).collect();
        let (kept, lost): (Vec<_>, Vec<_>) = ours.into_iter().partition(|held| same_life || listed.contains(held));
        for held in &kept {
            let flight = self.flights.get(*held).expect("it was just listed");
            node.load(now, flight.estimate, flight.needs);
            node.held.insert(*held);
        }
        self.watch_from(now + self.settings.degraded_after);
        self.nodes.insert(id, node);
        self.calling.end(id);
        self.note_profile(id, profile);
        self.vicinity.look_again(id);
        self.note_claim(now, id, out);
        self.note_health(now, id, Health::Healthy, out);
        self.adjust_pace();
        self.line_up(now, id);
        for held in &kept {
            let deadline = now + self.settings.attempt_max(&self.ledger.jobs[&held.spark.job].spec);
            self.flights.get_mut(*held).expect("it was just listed").deadline = deadline;
        }
        for held in lost {
            self.give_up(now, held, AttemptError::Interrupted, out);
        }
        self.cancel_strangers(id, listed.into_iter(), out);
        self.stop_again(id, out);
        self.send_audit_head(id, out);
        self.keeping.is_back(id);
        out.push(Effect::Publish(Notice::NodeChanged(id)));
    }

    /// Each heartbeat says when the next one comes, so that a node that has not heard of a new pace is told again.
    pub(super) fn on_paced(&mut self, id: NodeId, is_idle: bool, load: Load, pace: Span, out: &mut Vec<Effect>) {
        self.nodes.get_mut(&id).expect("it was just heard").pace = pace.clamp(HEARTBEAT, HEARTBEAT_MAX);
        self.records.entry(id).or_default().load = load.bounded();
        let Pace { busy, idle } = self.pace;
        let wanted = if is_idle { idle } else { busy };
        // An agent of before this message says none.
        if pace != wanted && pace != Span(0) {
            self.send(id, ToAgent::SetPace { heartbeat: busy, idle }, out);
        }
    }

    /// The list of a heartbeat is compared with what was sent: a lost task is sent again, a forgotten one is called off.
    pub(super) fn on_heartbeat(&mut self, now: Time, id: NodeId, held: &[Held], out: &mut Vec<Effect>) {
        let listed: BTreeSet<Held> = held.iter().copied().collect();
        let missing: Vec<Held> = self.nodes[&id].held.difference(&listed).copied().collect();
        for held in missing {
            let flight = self.flights.get_mut(held).expect("what a node holds is in flight");
            if now - flight.sent_at >= self.settings.resend_after {
                flight.sent_at = now;
                let task = self.task(held.spark, held.attempt);
                self.send(id, ToAgent::ExecuteTask(task), out);
            }
        }
        self.cancel_strangers(id, listed.into_iter(), out);
    }

    /// What a node holds and nobody waits for.
    pub(super) fn cancel_strangers(&mut self, id: NodeId, held: impl Iterator<Item = Held>, out: &mut Vec<Effect>) {
        for held in held.filter(|held| !self.is_current(id, *held)) {
            self.send(id, ToAgent::CancelTask { spark: held.spark, attempt: held.attempt }, out);
        }
    }

    /// The connection says that the node is gone for certain; a node that is only silent waits for its deadline.
    pub(super) fn on_node_disconnected(&mut self, now: Time, id: NodeId, out: &mut Vec<Effect>) {
        self.lose(now, id, AttemptError::Interrupted, out);
    }

    pub(super) fn on_silence(&mut self, now: Time, out: &mut Vec<Effect>) {
        let mut worse = Vec::new();
        for (id, node) in &mut self.nodes {
            let health = node.health_at(now, &self.settings, self.pace.busy);
            if health > node.health {
                node.health = health;
                worse.push((*id, health));
            }
        }
        for (id, health) in worse {
            self.note_health(now, id, health, out);
            if health == Health::Offline {
                self.lose(now, id, AttemptError::NodeSilent, out);
                // A link that carries nothing may be open at one end only; closed here, a node that is alive dials again.
                out.push(Effect::Disconnect { node: id });
            }
        }
    }

    pub(super) fn lose(&mut self, now: Time, id: NodeId, error: AttemptError, out: &mut Vec<Effect>) {
        let Some(node) = self.nodes.remove(&id) else { return };
        self.miss(now, id);
        self.vicinity.look_again(id);
        self.note_health(now, id, Health::Offline, out);
        self.adjust_pace();
        for held in node.held {
            self.give_up(now, held, error.clone(), out);
        }
    }

    /// Something came from a node, or a life of one, that has not said Hello to this master.
    pub(super) fn send_unknown(&self, to: NodeId, incarnation: Incarnation, out: &mut Vec<Effect>) {
        let message = Envelope { epoch: self.ledger.epoch, incarnation, body: ToAgent::SyncState };
        out.push(Effect::Send { to, message });
    }
}

#[cfg(test)]
mod tests {
    use alloc::{boxed::Box, vec};

    use super::*;
    use crate::{
        fleet::{
            Event, Fact, Job, JobCommand, JobFailure, JobSpec, JobStatus, JobType, ListedFile, NodeSelector, Partitioning, Pending, Placement, Priority,
            Requester, SparkState, Submission,
        },
        ids::{Attempt, JobId, ProjectId, SparkId},
        paths::RelativePath,
        time::Span,
        wire::{
            FromAgent,
            record::FileSummary,
            task::{AttemptError, FileLimits, FileOutcome, FileResult, RecordRef, SparkOutput},
        },
    };

    const NOW: Time = Time(1_000_000);
    const NODE: NodeId = NodeId::HERE;

    fn recovered(facts: &[Fact]) -> Fleet {
        let mut ledger = crate::fleet::Ledger::default();
        facts.iter().for_each(|fact| ledger.apply(fact));
        Fleet::recover(Settings::default(), ledger, NOW, &mut Vec::new())
    }

    fn handle(fleet: &mut Fleet, now: Time, event: Event) -> Vec<Effect> {
        let mut out = Vec::new();
        fleet.handle(now, event, &mut out);
        fleet.check();
        out
    }

    fn says(body: FromAgent) -> Event {
        Event::Received { node: NODE, message: Envelope { epoch: crate::ids::Epoch(1), incarnation: Incarnation(1), body } }
    }

    fn hello_body() -> FromAgent {
        FromAgent::Hello { slots: 1, fingerprint: Digest::default(), held: vec![], programs: vec![], profile: Box::default() }
    }

    fn hello(held: Vec<Held>) -> Event {
        says(FromAgent::Hello { slots: 1, fingerprint: Digest::default(), held, programs: vec![], profile: Box::default() })
    }

    /// A fleet with one node that runs the only spark of the only job.
    fn busy(timeout: Option<Span>) -> (Fleet, SparkId) {
        let mut fleet = recovered(&[]);
        handle(&mut fleet, NOW, hello(vec![]));
        handle(&mut fleet, NOW, Event::ProjectAdded { name: "p".into(), root: b"/p".to_vec() });
        let project: ProjectId = *fleet.ledger().projects.keys().next().unwrap();
        let spec = JobSpec {
            project: Some(project),
            job_type: JobType::FullAnalysis,
            priority: Priority::Normal,
            partitioning: Partitioning::Intelligent,
            placement: Placement::Intelligent,
            fingerprint: Digest::default(),
            limits: FileLimits::default(),
            use_cache: true,
            base: None,
            listing: Digest::default(),
            timeout,
            selection: vec![],
            after: vec![],
            command: None,
            nodes: NodeSelector::default(),
            by: Requester::Fleet,
        };
        let path = RelativePath::new(b"a.c".to_vec()).unwrap();
        let files = vec![ListedFile { path, size: 1, language: "c".into(), complexity: 0, cluster: 0, content: None, is_disputed: false }];
        handle(&mut fleet, NOW, Event::JobSubmitted(Submission { spec, files }));
        let job: JobId = *fleet.ledger().jobs.keys().next().unwrap();
        (fleet, SparkId { job, number: 0 })
    }

    #[test]
    fn a_node_that_comes_back_with_two_attempts_keeps_the_one_that_runs() {
        let (fleet, spark) = busy(None);
        let mut ledger = fleet.ledger().clone();
        ledger.apply(&Fact::SparkStarted { spark, attempt: Attempt(2), node: NODE });
        let mut fleet = Fleet::recover(Settings::default(), ledger, NOW, &mut Vec::new());
        handle(&mut fleet, NOW, hello(vec![Held { spark, attempt: Attempt(2) }, Held { spark, attempt: Attempt(1) }]));
        assert_eq!(fleet.ledger().spark(spark).unwrap().state, SparkState::Running { attempt: Attempt(2), node: NODE });
    }

    #[test]
    fn a_job_that_ran_into_its_timeout_can_be_retried() {
        let (mut fleet, spark) = busy(Some(Span::from_secs(2)));
        let later = NOW + Span::from_secs(2);
        handle(&mut fleet, later, Event::Woken);
        let job = &fleet.ledger().jobs[&spark.job];
        assert_eq!((job.status, job.failure), (JobStatus::Failed, JobFailure::TimedOut));
        handle(&mut fleet, later, Event::JobCommanded { job: spark.job, command: JobCommand::Retry });
        assert_eq!(fleet.ledger().jobs[&spark.job].failure, JobFailure::Other, "it has not failed this time");
        assert_eq!(fleet.ledger().spark(spark).unwrap().state, SparkState::Running { attempt: Attempt(2), node: NODE });
    }

    #[test]
    fn a_master_that_slept_blames_nobody() {
        let (mut fleet, spark) = busy(None);
        let morning = NOW + Span::from_secs(8 * 3600);
        handle(&mut fleet, morning, says(FromAgent::Heartbeat { held: vec![Held { spark, attempt: Attempt(1) }], load: Load::default(), pace: HEARTBEAT }));
        assert_eq!(fleet.ledger().spark(spark).unwrap().state, SparkState::Running { attempt: Attempt(1), node: NODE });
    }

    #[test]
    fn a_job_whose_tree_is_not_listed_waits_for_its_listing() {
        let (fleet, spark) = busy(None);
        let ledger = fleet.ledger().clone();
        let submission = Submission { spec: ledger.jobs[&spark.job].spec.clone(), files: ledger.jobs[&spark.job].files.clone() };
        let mut fleet = Fleet::recover(Settings::for_one_command(), ledger, NOW, &mut Vec::new());
        handle(&mut fleet, NOW, hello(vec![]));
        handle(&mut fleet, NOW, Event::JobCommanded { job: spark.job, command: JobCommand::Resume });
        assert!(fleet.explain(spark.job).contains(&Pending::NotListed));
        assert!(matches!(fleet.ledger().spark(spark).unwrap().state, SparkState::Queued { .. }));
        handle(&mut fleet, NOW, Event::JobSubmitted(submission));
        assert_eq!(fleet.ledger().spark(spark).unwrap().state, SparkState::Running { attempt: Attempt(2), node: NODE });
    }

    #[test]
    fn a_paused_job_uses_up_none_of_its_time() {
        let (mut fleet, spark) = busy(Some(Span::from_secs(2)));
        handle(&mut fleet, NOW + Span::from_secs(1), Event::JobCommanded { job: spark.job, command: JobCommand::Pause });
        let later = NOW + Span::from_secs(60);
        handle(&mut fleet, later, Event::JobCommanded { job: spark.job, command: JobCommand::Resume });
        handle(&mut fleet, later, Event::Woken);
        assert_eq!(fleet.ledger().jobs[&spark.job].status, JobStatus::Running);
        handle(&mut fleet, later + Span::from_secs(1), Event::Woken);
        assert_eq!(fleet.ledger().jobs[&spark.job].status, JobStatus::Failed);
    }

    #[test]
    fn who_asks_again_says_when_it_is_given_up_and_how_it_is_placed() {
        for (first, second) in [(None, Some(Span::from_secs(2))), (Some(Span::from_secs(2)), None), (Some(Span::from_secs(4)), Some(Span::from_secs(2)))] {
            let (mut fleet, spark) = busy(first);
            let asked = NOW + Span::from_secs(1);
            let Job { spec, files, .. } = fleet.ledger().jobs[&spark.job].clone();
            let spec = JobSpec { timeout: second, placement: Placement::RoundRobin, priority: Priority::High, ..spec };
            let out = handle(&mut fleet, asked, Event::JobSubmitted(Submission { spec: spec.clone(), files }));
            assert!(out.contains(&Effect::Record(Fact::JobAmended { job: spark.job, placement: Placement::RoundRobin, timeout: second, by: None })));
            assert_eq!(fleet.ledger().jobs[&spark.job].spec, spec);
            handle(&mut fleet, asked + Span(1_999_999), Event::Woken);
            assert_eq!(fleet.ledger().jobs[&spark.job].status, JobStatus::Running, "it has its whole time from then on");
            handle(&mut fleet, asked + Span::from_secs(2), Event::Woken);
            assert_eq!(fleet.ledger().jobs[&spark.job].status == JobStatus::Failed, second.is_some());
        }
    }

    #[test]
    fn a_node_must_be_paired_and_ends_with_its_removal() {
        let mut fleet = recovered(&[]);
        let from = |node| Event::Received { node, message: Envelope { epoch: crate::ids::Epoch(1), incarnation: Incarnation(1), body: hello_body() } };
        assert_eq!(handle(&mut fleet, NOW, from(NodeId(7))), [], "a stranger is not answered");
        let out = handle(&mut fleet, NOW, Event::NodeJoined { name: "a".into(), address: None });
        let Some(Effect::Publish(Notice::NodePaired(node))) = out.last() else { panic!("{out:?}") };
        let node = *node;
        handle(&mut fleet, NOW, Event::NodeJoined { name: "a".into(), address: None });
        assert_eq!(fleet.ledger().nodes.values().map(|node| node.name.as_str()).collect::<Vec<_>>(), ["a", "a-2"]);
        handle(&mut fleet, NOW, from(node));
        assert!(fleet.view(NOW).nodes.iter().any(|view| view.id == node));
        let out = handle(&mut fleet, NOW, Event::NodeCommanded { node, command: NodeCommand::Remove });
        assert!(out.contains(&Effect::Disconnect { node }));
        assert_eq!(handle(&mut fleet, NOW, from(node)), [], "what it still says is heard no more");
    }

    #[test]
    fn the_link_of_a_node_that_is_not_heard_is_closed() {
        let (mut fleet, _) = busy(None);
        let mut closed = Vec::new();
        for _ in 0..3 {
            let now = fleet.next_deadline().unwrap();
            let out = handle(&mut fleet, now, Event::Woken);
            closed.push(out.contains(&Effect::Disconnect { node: NODE }));
        }
        assert_eq!(closed, [false, false, true], "degraded, unhealthy, offline");
    }

    #[test]
    fn a_lost_link_is_no_lost_work() {
        let (mut fleet, spark) = busy(None);
        handle(&mut fleet, NOW, Event::LinkLost { node: NODE });
        let running = SparkState::Running { attempt: Attempt(1), node: NODE };
        assert_eq!(fleet.ledger().spark(spark).unwrap().state, running);
        handle(&mut fleet, NOW, hello(vec![Held { spark, attempt: Attempt(1) }]));
        assert_eq!(fleet.ledger().spark(spark).unwrap().state, running, "it came back with it");
    }

    #[test]
    fn an_answer_about_another_content_is_refused() {
        let (fleet, spark) = busy(None);
        let mut ledger = fleet.ledger().clone();
        ledger.jobs.get_mut(&spark.job).unwrap().files[0].content = Some(Digest([1; 32]));
        let answer = |content| {
            let mut fleet = Fleet::recover(Settings::default(), ledger.clone(), NOW, &mut Vec::new());
            handle(&mut fleet, NOW, hello(vec![Held { spark, attempt: Attempt(1) }]));
            let record = RecordRef { pack: Digest([3; 32]), entry: 0 };
            let result = FileResult::Analysed { content: Digest(content), language: "c".into(), record, summary: FileSummary::default() };
            let output = SparkOutput { files: vec![FileOutcome { index: 0, stat: None, result }], ..SparkOutput::default() };
            let out = handle(&mut fleet, NOW, says(FromAgent::Finished { spark, attempt: Attempt(1), output, took: Span::from_secs(1) }));
            let refused = |effect: &Effect| matches!(effect, Effect::Record(Fact::AttemptFailed { error: AttemptError::Invalid(_), counts: true, .. }));
            (out.iter().any(refused), fleet.ledger().spark(spark).unwrap().state == SparkState::Completed)
        };
        assert_eq!(answer([1; 32]), (false, true));
        assert_eq!(answer([2; 32]), (true, false));
    }

    #[test]
    fn a_split_spark_is_its_halves_and_a_quarantined_one_says_so() {
        let (fleet, spark) = busy(None);
        let mut ledger = fleet.ledger().clone();
        ledger.apply(&Fact::FileQuarantined { spark });
        assert_eq!(ledger.spark(spark).unwrap().status(), Some("quarantined"));
        assert_eq!(ledger.jobs[&spark.job].view(spark.job).sparks_done, 1);
        let (fleet, spark) = busy(None);
        let mut ledger = fleet.ledger().clone();
        ledger.apply(&Fact::SparkSplit { spark });
        assert_eq!(ledger.spark(spark).unwrap().status(), None);
        assert_eq!(ledger.jobs[&spark.job].partitions().count(), 2);
    }

    #[test]
    fn the_third_attempt_is_isolated() {
        let (mut fleet, spark) = busy(None);
        let mut now = NOW;
        for _ in 0..2 {
            assert!(!fleet.ledger().spark(spark).unwrap().isolated);
            let gone = now + Settings::default().offline_after;
            while now < gone {
                now = fleet.next_deadline().unwrap();
                handle(&mut fleet, now, Event::Woken);
            }
            handle(&mut fleet, now, hello(vec![]));
        }
        let third = fleet.ledger().spark(spark).unwrap();
        assert!(third.isolated && third.attempts == 3, "{third:?}");
    }
}
