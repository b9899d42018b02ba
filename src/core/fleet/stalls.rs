//! Nodes that beat and get nowhere: their process is alive, and what they analyse does not move. They are degraded for as long as
//! that lasts, and passed over where there is another node; what they have is cut off by its own time-out, or copied before that.

use alloc::vec::Vec;

use super::{Effect, Fleet, Health, Node};
use crate::{
    ids::NodeId,
    time::{Span, Time},
};

/// Longer than the longest file may take, with the time that its parser is given beyond that, and than what a worker has brought at
/// once takes on a slow line.
pub(super) const STALLED_AFTER: Span = Span::from_secs(300);

impl Node {
    /// Something of what it has has moved.
    pub(super) fn progressed(&mut self, now: Time) {
        (self.progressed_at, self.stalled) = (now, false);
    }

    /// As far as its health goes by what it says, and not by its silence.
    pub(super) fn health_by_word(&self) -> Health {
        if self.stalled { Health::Degraded } else { Health::Healthy }
    }
}

impl Fleet {
    pub(super) fn on_stalls(&mut self, now: Time, out: &mut Vec<Effect>) {
        let stalled_after = self.settings.stalled_after;
        let stalls = |node: &Node| !node.stalled && now - node.progressed_at >= stalled_after && node.parsing > 0;
        let stalled: Vec<NodeId> = self.nodes.iter().filter(|(_, node)| stalls(node)).map(|(id, _)| *id).collect();
        for id in stalled {
            let node = self.nodes.get_mut(&id).expect("it was just listed");
            node.stalled = true;
            node.health = node.health.max(Health::Degraded);
            let health = node.health;
            self.note_health(now, id, health, out);
        }
    }

    /// When a node may have stalled next.
    pub(super) fn stall_deadline(&self, node: &Node) -> Option<Time> {
        (!node.stalled && node.parsing > 0).then(|| node.progressed_at + self.settings.stalled_after)
    }

    /// Since when it has got nowhere, if that is too long.
    pub fn stalled_since(&self, id: NodeId) -> Option<Time> {
        self.nodes.get(&id).filter(|node| node.stalled).map(|node| node.progressed_at)
    }

    pub(super) fn is_stalled(&self, id: NodeId) -> bool {
        self.nodes.get(&id).is_some_and(|node| node.stalled)
    }

    /// What it runs has moved.
    pub(super) fn note_progress(&mut self, now: Time, id: NodeId, out: &mut Vec<Effect>) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        node.progressed(now);
        if node.health == Health::Degraded && node.linked {
            node.health = Health::Healthy;
            self.note_health(now, id, Health::Healthy, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::{boxed::Box, string::ToString, vec};

    use super::*;
    use crate::{
        fleet::{Event, JobSpec, JobType, Ledger, ListedFile, Placement, Priority, Settings, Submission},
        ids::{Digest, Epoch, Incarnation},
        paths::RelativePath,
        wire::{
            Envelope, FromAgent, ToAgent,
            message::{HEARTBEAT, Progress},
            node::Load,
            task::{AttemptError, Task},
        },
    };

    /// One fleet of two nodes with slots for everything, which beat whatever happens.
    struct Play {
        fleet: Fleet,
        now: Time,
        given: Vec<(NodeId, Task)>,
    }

    impl Play {
        fn new() -> Play {
            let now = Time(1_000_000);
            let fleet = Fleet::recover(Settings { copies_per_hundred: 0, ..Settings::default() }, Ledger::default(), now, &mut Vec::new());
            let mut play = Play { fleet, now, given: Vec::new() };
            for _ in 0..2 {
                play.handle(Event::NodeJoined { name: "a".into(), address: None });
            }
            for node in play.nodes() {
                let profile = Box::default();
                play.says(node, FromAgent::Hello { slots: 4, fingerprint: Digest::default(), held: vec![], programs: vec![], profile });
            }
            play
        }

        fn nodes(&self) -> Vec<NodeId> {
            self.fleet.ledger().nodes.keys().copied().collect()
        }

        fn handle(&mut self, event: Event) {
            let mut out = Vec::new();
            self.fleet.handle(self.now, event, &mut out);
            self.fleet.check();
            for effect in out {
                if let Effect::Send { to, message: Envelope { body: ToAgent::ExecuteTask(task), .. } } = effect {
                    self.given.push((to, task));
                }
            }
        }

        fn says(&mut self, node: NodeId, body: FromAgent) {
            self.handle(Event::Received { node, message: Envelope { epoch: Epoch(1), incarnation: Incarnation(1), body } });
        }

        fn submit(&mut self, files: u32) {
            self.handle(Event::ProjectAdded { name: "p".into(), root: b"/p".to_vec() });
            let project = *self.fleet.ledger().projects.keys().next().unwrap();
            let file = |index: u32| ListedFile {
                path: RelativePath::new(index.to_string().into_bytes()).unwrap(),
                language: "rust".into(),
                size: 3 << 20,
                content: Some(Digest([index as u8; 32])),
                complexity: 0,
                cluster: 0,
                is_disputed: false,
            };
            let spec = JobSpec {
                project: Some(project),
                job_type: JobType::FullAnalysis,
                placement: Placement::RoundRobin,
                ..JobSpec::without_tree(None, Priority::Normal, vec![])
            };
            self.handle(Event::JobSubmitted(Submission { spec, files: (0..files).map(file).collect() }));
        }

        /// Work without files, in turn.
        fn submit_commands(&mut self, sparks: u32) {
            let spec = JobSpec { placement: Placement::RoundRobin, ..JobSpec::without_tree(None, Priority::Normal, vec![]) };
            self.handle(Event::WorkSubmitted { spec, sparks });
        }

        /// Lets so much time pass, in which both nodes beat.
        fn pass(&mut self, span: Span) {
            let end = self.now + span;
            while self.now < end {
                self.now += HEARTBEAT;
                for node in self.nodes() {
                    let held = self.fleet.held_by(node).map(|(held, _)| held).collect();
                    self.says(node, FromAgent::Heartbeat { held, load: Load::default(), pace: HEARTBEAT });
                }
                self.handle(Event::Woken);
            }
        }

        fn health(&self) -> Vec<Health> {
            self.nodes().iter().map(|node| self.fleet.node_view(*node).unwrap().health).collect()
        }
    }

    #[test]
    fn who_beats_and_gets_nowhere_is_found_and_passed_over_until_something_moves() {
        let mut play = Play::new();
        play.submit(2);
        let [(first, task), (second, _)] = <[_; 2]>::try_from(core::mem::take(&mut play.given)).unwrap();
        assert_ne!(first, second);
        let mut progress = Progress { spark: task.spark, attempt: task.attempt, files: 0, bytes: 1 };
        for _ in 0..3 {
            play.pass(Span(STALLED_AFTER.0 / 2));
            progress.bytes += 1;
            play.says(first, FromAgent::Progress(progress.clone()));
        }
        let degraded = play.nodes().into_iter().map(|node| if node == second { Health::Degraded } else { Health::Healthy }).collect::<Vec<_>>();
        assert_eq!(play.health(), degraded, "it beats all the while");
        assert_eq!(play.fleet.stalled_since(second), Some(Time(1_000_000)));
        play.says(first, FromAgent::Failed { spark: task.spark, attempt: task.attempt, error: AttemptError::Interrupted });
        play.submit_commands(6);
        play.pass(Span::from_secs(5));
        assert!(!play.given.is_empty() && play.given.iter().all(|(node, _)| *node == first), "what is given anew goes to the other: {:?}", play.given);
        let (held, _) = play.fleet.held_by(second).next().unwrap();
        play.says(second, FromAgent::Progress(Progress { spark: held.spark, attempt: held.attempt, files: 0, bytes: 7 }));
        assert_eq!(play.health(), [Health::Healthy; 2]);
    }

    #[test]
    fn who_is_given_an_analysis_beside_a_long_command_has_only_begun() {
        let mut play = Play::new();
        play.submit_commands(2);
        play.pass(Span(STALLED_AFTER.0 * 2));
        assert_eq!(play.health(), [Health::Healthy; 2], "a command says nothing for long");
        play.submit(2);
        play.pass(Span(STALLED_AFTER.0 / 2));
        assert_eq!(play.health(), [Health::Healthy; 2]);
    }

    #[test]
    fn who_has_nothing_to_do_has_not_stalled() {
        let mut play = Play::new();
        play.pass(Span(STALLED_AFTER.0 * 2));
        assert_eq!(play.health(), [Health::Healthy; 2]);
        play.submit(1);
        play.pass(Span(STALLED_AFTER.0 / 2));
        assert_eq!(play.health(), [Health::Healthy; 2], "it has only begun");
    }
}
