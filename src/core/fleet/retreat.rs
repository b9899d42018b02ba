//! Taking work off nodes: one that drains, one that leaves by itself, one that a person stops at once.
//!
//! What is moved is nobody's fault, and goes to others in the same turn. A node that drains is asked about at every turn,
//! so that it never waits for anything that nobody can name: the attempts that [`Fleet::held_by`] lists are all.

use alloc::{string::String, vec::Vec};

use super::{Availability, CordonCause, Effect, Fact, Fleet, Notice};
use crate::{
    ids::NodeId,
    time::{Span, Time},
    wire::{ToAgent, message::Held, task::AttemptError},
};

impl Fleet {
    /// It is given nothing from now on and finishes what it has; what it still has at the deadline is moved.
    pub(super) fn drain(&mut self, now: Time, node: NodeId, within: Option<Span>, out: &mut Vec<Effect>) {
        let until = now + within.unwrap_or(self.settings.drain_max);
        self.record(Fact::NodeDraining { node, until }, out);
        self.draining.insert(node);
    }

    /// After every event: is one of those that drain empty, or is its time over?
    pub(super) fn settle_drains(&mut self, now: Time, out: &mut Vec<Effect>) {
        for id in self.draining.iter().copied().collect::<Vec<_>>() {
            let until = self.ledger.nodes.get(&id).filter(|node| node.availability == Availability::Draining).and_then(|node| node.drain_until);
            let Some(until) = until else {
                self.draining.remove(&id);
                continue;
            };
            if until <= now {
                self.move_off(now, id, out);
            }
            if self.is_empty(id) {
                self.draining.remove(&id);
                self.record(Fact::NodeDrained { node: id, at: now }, out);
                out.push(Effect::Publish(Notice::NodeChanged(id)));
            }
        }
    }

    /// Nothing that it has, or is believed to have.
    fn is_empty(&self, id: NodeId) -> bool {
        self.nodes.get(&id).map_or_else(|| self.held_by(id).next().is_none(), |node| node.held.is_empty())
    }

    pub(super) fn drain_deadline(&self) -> Option<Time> {
        self.draining.iter().filter_map(|id| self.ledger.nodes.get(id)?.drain_until).min()
    }

    /// All its work ends at once, and it is given nothing until a person says so.
    pub(super) fn stop_node(&mut self, now: Time, node: NodeId, reason: String, out: &mut Vec<Effect>) {
        self.record(Fact::NodeStopped { node, reason: reason.clone(), at: now }, out);
        self.draining.remove(&node);
        self.send(node, ToAgent::EmergencyShutdown { reason }, out);
        self.move_off(now, node, out);
    }

    /// A node that was stopped while nobody could tell it is told when it is back.
    pub(super) fn stop_again(&self, id: NodeId, out: &mut Vec<Effect>) {
        if let Some(CordonCause::Stopped { reason, .. }) = self.ledger.nodes.get(&id).and_then(|node| node.cause.as_ref()) {
            self.send(id, ToAgent::EmergencyShutdown { reason: reason.clone() }, out);
        }
    }

    /// It is about to end in good order: what it does not list it hands back; when it lists nothing it is let go.
    pub(super) fn on_leaving(&mut self, now: Time, id: NodeId, listed: &[Held], out: &mut Vec<Effect>) {
        let node = self.nodes.get_mut(&id).expect("it was just heard");
        node.leaving = true;
        let handed_back: Vec<Held> = node.held.iter().filter(|held| !listed.contains(held)).copied().collect();
        for held in handed_back {
            self.give_up(now, held, AttemptError::Moved, out);
        }
        self.cancel_strangers(id, listed.iter().copied(), out);
        if listed.is_empty() {
            self.send(id, ToAgent::Dismiss, out);
            self.lose(now, id, AttemptError::Moved, out);
        }
        out.push(Effect::Publish(Notice::NodeChanged(id)));
    }

    fn move_off(&mut self, now: Time, id: NodeId, out: &mut Vec<Effect>) {
        for held in self.held_by(id).map(|(held, _)| held).collect::<Vec<_>>() {
            self.send(id, ToAgent::CancelTask { spark: held.spark, attempt: held.attempt }, out);
            self.give_up(now, held, AttemptError::Moved, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::{boxed::Box, vec};

    use super::*;
    use crate::{
        fleet::{
            Event, JobSpec, JobType, Ledger, ListedFile, NodeCommand, NodeSelector, Partitioning, Pending, Placement, Priority, Requester, Settings,
            SparkState, Submission,
        },
        ids::{Attempt, Digest, Epoch, Incarnation, JobId, ProjectId, SparkId},
        paths::RelativePath,
        wire::{
            Envelope, FromAgent,
            node::{NodeProfile, Sources},
            task::FileLimits,
            warrant::{Acceptance, Objection, Warrant},
        },
    };

    const NOW: Time = Time(1_000_000);
    const ONE: NodeId = NodeId(1);
    const TWO: NodeId = NodeId(2);

    fn handle(fleet: &mut Fleet, now: Time, event: Event) -> Vec<Effect> {
        let mut out = Vec::new();
        fleet.handle(now, event, &mut out);
        fleet.check();
        out
    }

    fn says(fleet: &mut Fleet, now: Time, node: NodeId, body: FromAgent) -> Vec<Effect> {
        handle(fleet, now, Event::Received { node, message: Envelope { epoch: Epoch(1), incarnation: Incarnation(1), body } })
    }

    fn hello(fleet: &mut Fleet, node: NodeId, profile: NodeProfile) {
        says(fleet, NOW, node, FromAgent::Hello { slots: 1, fingerprint: Digest::default(), held: vec![], programs: vec![], profile: Box::new(profile) });
    }

    fn command(fleet: &mut Fleet, now: Time, node: NodeId, command: NodeCommand) -> Vec<Effect> {
        handle(fleet, now, Event::NodeCommanded { node, command })
    }

    fn submit(fleet: &mut Fleet, nodes: NodeSelector) -> SparkId {
        handle(fleet, NOW, Event::ProjectAdded { name: "p".into(), root: b"/p".to_vec() });
        let project: ProjectId = *fleet.ledger().projects.keys().last().unwrap();
        let spec = JobSpec {
            project: Some(project),
            job_type: JobType::FullAnalysis,
            priority: Priority::Normal,
            partitioning: Partitioning::Intelligent,
            placement: Placement::default(),
            fingerprint: Digest::default(),
            limits: FileLimits::default(),
            use_cache: true,
            base: None,
            listing: Digest::default(),
            timeout: None,
            selection: vec![],
            after: vec![],
            command: None,
            nodes,
            by: Requester::Fleet,
        };
        let path = RelativePath::new(b"a.c".to_vec()).unwrap();
        let files = vec![ListedFile { path, size: 1, language: "c".into(), complexity: 0, cluster: 0, content: None, is_disputed: false }];
        handle(fleet, NOW, Event::JobSubmitted(Submission { spec, files }));
        let job: JobId = *fleet.ledger().jobs.keys().last().unwrap();
        SparkId { job, number: 0 }
    }

    /// Two nodes are paired and only the first is here.
    fn fleet() -> Fleet {
        let mut ledger = Ledger::default();
        for (node, name) in [(ONE, "one"), (TWO, "two")] {
            ledger.apply(&Fact::NodePaired { node, name: name.into(), at: NOW });
        }
        let mut fleet = Fleet::recover(Settings::default(), ledger, NOW, &mut Vec::new());
        hello(&mut fleet, ONE, NodeProfile::default());
        fleet
    }

    fn runs_on(fleet: &Fleet, spark: SparkId) -> Option<(NodeId, Attempt)> {
        match fleet.ledger().spark(spark).unwrap().state {
            SparkState::Running { attempt, node } => Some((node, attempt)),
            _ => None,
        }
    }

    #[test]
    fn a_drained_node_keeps_what_it_has_until_the_deadline_and_nobody_is_blamed() {
        let mut fleet = fleet();
        let spark = submit(&mut fleet, NodeSelector::default());
        hello(&mut fleet, TWO, NodeProfile::default());
        command(&mut fleet, NOW, ONE, NodeCommand::Drain { within: Some(Span::from_secs(1)) });
        assert_eq!(runs_on(&fleet, spark), Some((ONE, Attempt(1))), "it finishes what it has");
        assert_eq!(fleet.held_by(ONE).count(), 1, "and says what it waits for");
        let until = NOW + Span::from_secs(1);
        assert_eq!(fleet.next_deadline(), Some(until));
        let out = handle(&mut fleet, until, Event::Woken);
        assert_eq!(runs_on(&fleet, spark), Some((TWO, Attempt(2))));
        assert!(out.contains(&Effect::Record(Fact::NodeDrained { node: ONE, at: until })));
        assert_eq!(fleet.ledger().spark(spark).unwrap().failures, 0);
        let node = &fleet.ledger().nodes[&ONE];
        assert_eq!((node.availability, &node.cause), (Availability::Cordoned, &Some(CordonCause::Drained { at: until })));
    }

    #[test]
    fn a_node_without_work_is_drained_at_once_and_can_come_back() {
        let mut fleet = fleet();
        command(&mut fleet, NOW, ONE, NodeCommand::Drain { within: None });
        command(&mut fleet, NOW, TWO, NodeCommand::Drain { within: None });
        assert!(fleet.ledger().nodes.values().all(|node| matches!(node.cause, Some(CordonCause::Drained { .. }))), "one that is not here too");
        let spark = submit(&mut fleet, NodeSelector::default());
        assert_eq!(fleet.explain(spark.job), [Pending::NodesClosed]);
        command(&mut fleet, NOW, ONE, NodeCommand::Uncordon);
        assert_eq!(runs_on(&fleet, spark), Some((ONE, Attempt(1))));
        assert_eq!(fleet.ledger().nodes[&ONE].cause, None);
    }

    #[test]
    fn a_drain_goes_on_after_a_restart_of_the_master() {
        let mut fleet = fleet();
        let spark = submit(&mut fleet, NodeSelector::default());
        command(&mut fleet, NOW, ONE, NodeCommand::Drain { within: Some(Span::from_secs(2)) });
        let mut fleet = Fleet::recover(Settings::default(), fleet.ledger().clone(), NOW, &mut Vec::new());
        handle(&mut fleet, NOW, Event::Woken);
        assert_eq!(fleet.ledger().nodes[&ONE].availability, Availability::Draining, "it is believed to have the spark");
        handle(&mut fleet, NOW + Span::from_secs(2), Event::Woken);
        assert_eq!((fleet.ledger().nodes[&ONE].availability, runs_on(&fleet, spark)), (Availability::Cordoned, None));
    }

    #[test]
    fn what_a_leaving_node_hands_back_runs_elsewhere_at_once() {
        let mut fleet = fleet();
        let spark = submit(&mut fleet, NodeSelector::default());
        hello(&mut fleet, TWO, NodeProfile::default());
        says(&mut fleet, NOW, ONE, FromAgent::Leaving { held: vec![Held { spark, attempt: Attempt(1) }] });
        assert_eq!(runs_on(&fleet, spark), Some((ONE, Attempt(1))), "it still does it");
        let out = says(&mut fleet, NOW, ONE, FromAgent::Leaving { held: vec![] });
        assert_eq!(runs_on(&fleet, spark), Some((TWO, Attempt(2))));
        assert!(out.iter().any(|effect| matches!(effect, Effect::Send { to: ONE, message } if message.body == ToAgent::Dismiss)));
        assert!(fleet.view(NOW).nodes.iter().all(|node| node.id != ONE), "it is gone, and nobody waits for its silence");
    }

    #[test]
    fn a_stopped_node_is_told_why_again_when_it_is_back() {
        let mut fleet = fleet();
        let spark = submit(&mut fleet, NodeSelector::default());
        let shutdown = |out: &[Effect]| {
            let reason = |effect: &Effect| matches!(effect, Effect::Send { message, .. } if matches!(&message.body, ToAgent::EmergencyShutdown { reason } if reason == "fire"));
            out.iter().any(reason)
        };
        let out = command(&mut fleet, NOW, ONE, NodeCommand::Stop { reason: "fire".into() });
        assert!(shutdown(&out));
        assert_eq!(runs_on(&fleet, spark), None);
        let body = FromAgent::Hello { slots: 1, fingerprint: Digest::default(), held: vec![], programs: vec![], profile: Box::default() };
        let again = Envelope { epoch: Epoch(1), incarnation: Incarnation(2), body };
        assert!(shutdown(&handle(&mut fleet, NOW, Event::Received { node: ONE, message: again })));
        assert_eq!(runs_on(&fleet, spark), None, "it is given nothing");
        command(&mut fleet, NOW, ONE, NodeCommand::Uncordon);
        assert_eq!(runs_on(&fleet, spark), Some((ONE, Attempt(2))));
    }

    #[test]
    fn a_job_runs_only_on_the_nodes_that_it_was_asked_for() {
        let mut fleet = fleet();
        let spark = submit(&mut fleet, "zone=eu".parse().unwrap());
        assert_eq!(fleet.explain(spark.job), [Pending::NoSelectedNode { nodes: "zone=eu".into() }]);
        hello(&mut fleet, TWO, NodeProfile { labels: [("zone".into(), "eu".into())].into(), ..NodeProfile::default() });
        assert_eq!(runs_on(&fleet, spark), Some((TWO, Attempt(1))), "by its own word");
        command(&mut fleet, NOW, TWO, NodeCommand::Relabel { set: [("zone".into(), "us".into())].into(), unset: vec![] });
        let spark = submit(&mut fleet, "zone=eu".parse().unwrap());
        assert_eq!(fleet.explain(spark.job), [Pending::NoSelectedNode { nodes: "zone=eu".into() }], "the master's word wins");
        command(&mut fleet, NOW, ONE, NodeCommand::Relabel { set: [("zone".into(), "eu".into())].into(), unset: vec![] });
        assert_eq!(runs_on(&fleet, spark), Some((ONE, Attempt(1))));
        command(&mut fleet, NOW, ONE, NodeCommand::Relabel { set: Default::default(), unset: vec!["zone".into()] });
        assert!(fleet.labels_of(ONE).is_empty());
    }

    #[test]
    fn a_specialised_node_is_given_only_that() {
        let mut fleet = fleet();
        hello(&mut fleet, ONE, NodeProfile { specialisations: vec!["ai-analysis".into()], ..NodeProfile::default() });
        let spark = submit(&mut fleet, NodeSelector::default());
        assert_eq!(fleet.explain(spark.job), [Pending::NoSpecialisedNode { kind: "parsing" }]);
        hello(&mut fleet, TWO, NodeProfile { specialisations: vec!["parsing".into()], ..NodeProfile::default() });
        assert_eq!(runs_on(&fleet, spark), Some((TWO, Attempt(1))));
    }

    #[test]
    fn of_two_idle_nodes_the_one_that_has_the_tree_is_given_it() {
        for (seeing, other) in [(ONE, TWO), (TWO, ONE)] {
            let mut fleet = fleet();
            let sources = Sources { everything: true, folders: vec![] };
            hello(&mut fleet, seeing, NodeProfile { sources, ..NodeProfile::default() });
            hello(&mut fleet, other, NodeProfile::default());
            let spark = submit(&mut fleet, NodeSelector::default());
            assert_eq!(runs_on(&fleet, spark), Some((seeing, Attempt(1))));
        }
    }

    #[test]
    fn a_node_is_given_nothing_that_its_owner_does_not_want_done() {
        let mut fleet = fleet();
        let only = |project: &str| NodeProfile { accepts: Acceptance { projects: vec![project.into()], devices: vec![] }, ..NodeProfile::default() };
        hello(&mut fleet, ONE, only("theirs"));
        let spark = submit(&mut fleet, NodeSelector::default());
        assert_eq!(fleet.explain(spark.job), [Pending::NotAccepted { objection: Objection::Project.describe() }]);
        let name = fleet.ledger().projects.values().next().unwrap().name.clone();
        hello(&mut fleet, TWO, only(&name));
        assert_eq!(runs_on(&fleet, spark), Some((TWO, Attempt(1))));
        assert_eq!(fleet.task(spark, Attempt(1)).warrant, Warrant { device: None, project: Some(name) });
    }

    #[test]
    fn labels_are_bounded() {
        let mut fleet = fleet();
        let set = (0..=crate::wire::node::LABELS_MAX).map(|number| (alloc::format!("k{number}"), "v".into())).collect();
        let out = command(&mut fleet, NOW, ONE, NodeCommand::Relabel { set, unset: vec![] });
        assert!(out.contains(&Effect::Publish(Notice::Refused(crate::fleet::Refusal::TooManyLabels(ONE)))));
    }
}
