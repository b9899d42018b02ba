//! Bringing records to nodes before anybody analyses there: a job for each node, whose sparks are packs to keep.
//!
//! Where a node gets the packs from is not decided here, and neither is which records a result has.

use alloc::{boxed::Box, vec::Vec};

use super::{Effect, Fact, Fleet, JobFailure, JobSpec, JobType, NodeSelector, Notice, Priority, Refusal, Requester, Warming, jobs::refuse};
use crate::{
    ids::{Digest, JobId, NodeId},
    time::Time,
};

/// Packs of one spark: each is some megabytes, so that a lost link costs little and the journal hears of it seldom.
pub(super) const PACKS_PER_SPARK: usize = 8;
/// Packs that can be asked for at once: they stand in the journal, once for each node, and are a hundred times those of 30 million lines.
const PACKS_MAX: usize = 65_536;

impl Fleet {
    pub(super) fn on_warming_asked(&mut self, now: Time, by: Requester, warming: Warming, out: &mut Vec<Effect>) {
        let Warming { packs, fingerprint, nodes, timeout } = warming;
        if packs.len() > PACKS_MAX {
            return refuse(Refusal::TooManyPacks { packs: packs.len(), packs_max: PACKS_MAX }, out);
        }
        let asked = JobSpec { job_type: JobType::CacheWarming, fingerprint, nodes, timeout, by, ..JobSpec::without_tree(None, Priority::Normal, Vec::new()) };
        let here = self.nodes.contains_key(&NodeId::HERE).then_some(NodeId::HERE);
        let meant: Vec<NodeId> = here.into_iter().chain(self.ledger.nodes.keys().copied()).filter(|id| self.is_selected(&asked, *id)).collect();
        if meant.is_empty() {
            return refuse(Refusal::NoSuchNode, out);
        }
        for node in meant {
            let spec = JobSpec { nodes: NodeSelector::of_node(node), ..asked.clone() };
            let can = self.eligible(&spec).any(|(id, at)| id == node && at.is_reachable());
            match can {
                true if packs.is_empty() => {}
                true => self.accept_warming(now, spec, packs.chunks(PACKS_PER_SPARK).map(<[Digest]>::to_vec).collect(), out),
                false => out.push(Effect::Publish(Notice::NotWarmed(node))),
            }
        }
    }

    pub(super) fn accept_warming(&mut self, now: Time, spec: JobSpec, packs: Vec<Vec<Digest>>, out: &mut Vec<Effect>) {
        let (job, sparks, jobs_kept) = (self.next_job(), packs.len() as u32, self.settings.jobs_kept);
        self.take_on(now, job, sparks, Fact::WarmingAccepted { job, spec: Box::new(spec), packs, at: now, jobs_kept }, out);
    }

    /// What was meant for a node that belongs to the fleet no longer would wait for it for ever.
    pub(super) fn end_warming_of(&mut self, now: Time, node: NodeId, out: &mut Vec<Effect>) {
        let is_for_it = |id: &&JobId| {
            let job = &self.ledger.jobs[*id];
            !job.packs.is_empty() && job.spec.nodes.one_node() == Some(node)
        };
        for job in self.active.keys().filter(is_for_it).copied().collect::<Vec<_>>() {
            self.fail(now, job, JobFailure::Other, "its node was removed from the fleet".into(), out);
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::{boxed::Box, vec};

    use super::*;
    use crate::{
        fleet::{Event, JobStatus, Ledger, NodeCommand, Settings},
        ids::{Epoch, Incarnation},
        wire::{
            Envelope, FromAgent, ToAgent,
            task::{SparkOutput, Task, Work},
        },
    };

    const NOW: Time = Time(1_000_000);
    const ENGINE: Digest = Digest([1; 32]);

    /// Nodes of these engines, the first of which is called `node-1`.
    fn fleet_of(engines: &[Digest]) -> Fleet {
        let mut ledger = Ledger::default();
        let ids = || (1..).map(NodeId).zip(engines);
        ids().for_each(|(node, _)| ledger.apply(&Fact::NodePaired { node, name: alloc::format!("node-{}", node.0), at: NOW }));
        let mut fleet = Fleet::recover(Settings::default(), ledger, NOW, &mut Vec::new());
        for (node, fingerprint) in ids() {
            let hello = FromAgent::Hello { slots: 2, fingerprint: *fingerprint, held: vec![], programs: vec![], profile: Box::default() };
            handle(&mut fleet, hear(node, hello));
        }
        fleet
    }

    fn hear(node: NodeId, body: FromAgent) -> Event {
        Event::Received { node, message: Envelope { epoch: Epoch(1), incarnation: Incarnation(1), body } }
    }

    fn handle(fleet: &mut Fleet, event: Event) -> Vec<Effect> {
        let mut out = Vec::new();
        fleet.handle(NOW, event, &mut out);
        fleet.check();
        out
    }

    fn ask(fleet: &mut Fleet, packs: usize, nodes: &str) -> Vec<Effect> {
        let packs = (0..packs).map(|number| Digest([number as u8; 32])).collect();
        let nodes = if nodes.is_empty() { NodeSelector::default() } else { nodes.parse().unwrap() };
        handle(fleet, Event::WarmingAsked(Warming { packs, fingerprint: ENGINE, nodes, timeout: None }))
    }

    fn sent(out: &[Effect]) -> Vec<(NodeId, Task)> {
        let task = |effect: &Effect| match effect {
            Effect::Send { to, message: Envelope { body: ToAgent::ExecuteTask(task), .. } } => Some((*to, task.clone())),
            _ => None,
        };
        out.iter().filter_map(task).collect()
    }

    #[test]
    fn every_node_that_is_meant_is_given_every_pack() {
        let mut fleet = fleet_of(&[ENGINE, ENGINE]);
        let tasks = sent(&ask(&mut fleet, PACKS_PER_SPARK + 1, ""));
        for node in [NodeId(1), NodeId(2)] {
            let kept = tasks.iter().filter(|(to, _)| *to == node).flat_map(|(_, task)| match &task.work {
                Work::Keep(packs) => packs.clone(),
                other => panic!("{other:?}"),
            });
            assert_eq!(kept.count(), PACKS_PER_SPARK + 1);
        }
        for (node, task) in tasks {
            let finished = FromAgent::Finished { spark: task.spark, attempt: task.attempt, output: SparkOutput::default(), took: Default::default() };
            handle(&mut fleet, hear(node, finished));
        }
        assert!(fleet.ledger().jobs.values().all(|job| job.status == JobStatus::Completed && job.packs.is_empty()));
        assert_eq!(fleet.ledger().jobs.len(), 2);
        assert_eq!(sent(&ask(&mut fleet, 1, "node-2")).into_iter().map(|(node, _)| node).collect::<Vec<_>>(), [NodeId(2)]);
    }

    #[test]
    fn a_node_that_could_do_nothing_with_them_is_named() {
        let mut fleet = fleet_of(&[ENGINE, Digest([2; 32]), ENGINE]);
        handle(&mut fleet, Event::NodeCommanded { node: NodeId(3), command: NodeCommand::Cordon });
        let out = ask(&mut fleet, 1, "");
        let named = |node| out.contains(&Effect::Publish(Notice::NotWarmed(NodeId(node))));
        assert_eq!([1, 2, 3].map(named), [false, true, true]);
        assert_eq!(sent(&out).len(), 1);
        assert!(ask(&mut fleet, 1, "nobody").contains(&Effect::Publish(Notice::Refused(Refusal::NoSuchNode))));
        let many = ask(&mut fleet, PACKS_MAX + 1, "");
        assert!(many.contains(&Effect::Publish(Notice::Refused(Refusal::TooManyPacks { packs: PACKS_MAX + 1, packs_max: PACKS_MAX }))));
    }

    #[test]
    fn nobody_waits_for_a_node_that_was_removed() {
        let mut fleet = fleet_of(&[ENGINE, ENGINE]);
        ask(&mut fleet, 1, "");
        handle(&mut fleet, Event::NodeCommanded { node: NodeId(1), command: NodeCommand::Remove });
        let statuses: Vec<JobStatus> = fleet.ledger().jobs.values().map(|job| job.status).collect();
        assert_eq!(statuses, [JobStatus::Failed, JobStatus::Running]);
    }
}
