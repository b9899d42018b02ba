//! Records that stay on the nodes that made them: who has which pack, and who is given a copy.
//!
//! That a node has a pack is a fact; which copies are due is decided anew whenever a result is stored, a node comes or one is
//! lost. A copy that cannot be made is not tried again before that: nothing here repeats itself by time alone.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use super::{Effect, Fact, Fleet, JobSpec, JobType, Ledger, NodeSelector, Priority, Results, warming::PACKS_PER_SPARK};
use crate::{
    cache,
    ids::{Digest, NodeId, SparkId},
    time::Time,
    wire::task::{FileResult, SparkOutput},
};

/// Copies that are begun at once; what is due beyond that follows the next result or node.
const COPIES_AT_ONCE_MAX: usize = 16_384;

/// The volatile side.
#[derive(Debug)]
pub(super) struct Keeping {
    /// A node that this master has not heard yet is silent since then.
    began_at: Time,
    /// Nodes that were silent for too long.
    lost: BTreeSet<NodeId>,
    /// Nodes that had to remove some: what they are given they could not keep.
    full: BTreeSet<NodeId>,
    /// Something changed that copies may follow from.
    is_due: bool,
}

impl Keeping {
    pub(super) fn new(now: Time) -> Keeping {
        Keeping { began_at: now, lost: BTreeSet::new(), full: BTreeSet::new(), is_due: true }
    }

    pub(super) fn look_again(&mut self) {
        self.is_due = true;
    }

    pub(super) fn is_back(&mut self, node: NodeId) {
        self.lost.remove(&node);
        self.full.remove(&node);
        self.is_due = true;
    }
}

impl Fleet {
    /// Nodes that have a pack, those that can be asked now first.
    pub fn holders_of(&self, pack: Digest) -> Vec<NodeId> {
        let holders = self.ledger.holders.get(&pack);
        let (linked, others): (Vec<NodeId>, Vec<NodeId>) = holders.into_iter().flatten().copied().partition(|id| self.is_at_hand(*id));
        [linked, others].concat()
    }

    fn is_at_hand(&self, id: NodeId) -> bool {
        self.nodes.get(&id).is_some_and(super::Node::is_reachable)
    }

    /// Is every pack brought to the master?
    pub fn keeps_results_here(&self) -> bool {
        self.settings.results == Results::Master
    }

    /// What an answer names its node has: it made it, found it in its cache, or was to keep it.
    pub(super) fn note_held(&mut self, node: NodeId, spark: SparkId, output: &SparkOutput, out: &mut Vec<Effect>) {
        if self.settings.results == Results::Master {
            return;
        }
        let named = output.files.iter().filter_map(|outcome| match &outcome.result {
            FileResult::Analysed { record, .. } => Some(record.pack),
            FileResult::Skipped(_) | FileResult::Failed(_) => None,
        });
        let asked = self.ledger.jobs[&spark.job].packs.get(spark.number as usize).into_iter().flatten().copied();
        let is_new = |pack: &Digest| self.ledger.holders.get(pack).is_none_or(|holders| !holders.contains(&node));
        let packs: BTreeSet<Digest> = named.chain(asked).filter(is_new).collect();
        if !packs.is_empty() {
            self.record(Fact::PacksHeld { node, packs: packs.into_iter().collect() }, out);
        }
    }

    pub(super) fn on_packs_missed(&mut self, node: NodeId, packs: Vec<Digest>, out: &mut Vec<Effect>) {
        let packs: Vec<Digest> = packs.into_iter().filter(|pack| self.ledger.holders.get(pack).is_some_and(|holders| holders.contains(&node))).collect();
        if !packs.is_empty() {
            self.record(Fact::PacksLost { node, packs }, out);
            self.keeping.look_again();
        }
    }

    /// Of what it has dropped others are given copies, and it itself none until it begins anew.
    pub(super) fn on_packs_dropped(&mut self, node: NodeId, packs: Vec<Digest>, out: &mut Vec<Effect>) {
        self.keeping.full.insert(node);
        self.on_packs_missed(node, packs, out);
    }

    pub(super) fn on_losses_due(&mut self, now: Time) {
        let lost: Vec<NodeId> = self.absent().filter(|(_, due)| *due <= now).map(|(node, _)| node).collect();
        self.keeping.is_due |= !lost.is_empty();
        self.keeping.lost.extend(lost);
    }

    pub(super) fn loss_deadline(&self) -> Option<Time> {
        self.absent().map(|(_, due)| due).min()
    }

    /// Nodes that are not here and not given up yet, and when they are.
    fn absent(&self) -> impl Iterator<Item = (NodeId, Time)> + '_ {
        let nodes = self.ledger.nodes.keys().filter(|_| self.settings.results == Results::Nodes);
        nodes.filter(|id| !self.nodes.contains_key(id) && !self.keeping.lost.contains(id)).map(|id| {
            let since = self.records.get(id).map_or(self.keeping.began_at, |record| record.health_since);
            (*id, since + self.settings.lost_after)
        })
    }

    /// Has copies made of what too few nodes have.
    pub(super) fn make_copies(&mut self, now: Time, out: &mut Vec<Effect>) {
        if self.settings.results == Results::Master || !core::mem::take(&mut self.keeping.is_due) {
            return;
        }
        for (node, packs) in self.copies_due() {
            let spec = self.copying_to(node);
            self.accept_warming(now, spec, packs.chunks(PACKS_PER_SPARK).map(<[Digest]>::to_vec).collect(), out);
        }
    }

    fn copying_to(&self, node: NodeId) -> JobSpec {
        let fingerprint = self.nodes[&node].fingerprint;
        let nodes = NodeSelector::of_node(node);
        JobSpec { job_type: JobType::CacheWarming, fingerprint, nodes, ..JobSpec::without_tree(None, Priority::Background, Vec::new()) }
    }

    fn copies_due(&self) -> BTreeMap<NodeId, Vec<Digest>> {
        let coming = self.copies_under_way();
        // One that is for something else, or for somebody else, would never begin it.
        let takes: BTreeSet<NodeId> = self.nodes.keys().copied().filter(|id| self.is_meant(&self.copying_to(*id), *id)).collect();
        let mut due: BTreeMap<NodeId, Vec<Digest>> = BTreeMap::new();
        let mut count = 0;
        for (pack, holders) in &self.ledger.holders {
            // Whoever has the pack has the engine that made it; from nobody no copy can be had.
            let Some(source) = holders.iter().find(|id| self.is_at_hand(**id)) else { continue };
            let fingerprint = self.nodes[source].fingerprint;
            let mut counted: BTreeSet<NodeId> = holders.iter().copied().filter(|id| !self.keeping.lost.contains(id)).collect();
            counted.extend(coming.get(pack).into_iter().flatten());
            let can = |(id, node): &(&NodeId, &super::Node)| {
                let is_at_hand = node.is_reachable() && self.is_open(**id) && !self.keeping.full.contains(*id);
                is_at_hand && node.fingerprint == fingerprint && takes.contains(*id)
            };
            let nodes = self.nodes.iter().filter(can).map(|(id, _)| *id);
            for node in cache::copies_due(*pack, &counted, nodes, self.settings.copies as usize) {
                due.entry(node).or_default().push(*pack);
                count += 1;
            }
            if count >= COPIES_AT_ONCE_MAX {
                break;
            }
        }
        due
    }

    /// Nodes that are being given a pack.
    fn copies_under_way(&self) -> BTreeMap<Digest, Vec<NodeId>> {
        let mut coming: BTreeMap<Digest, Vec<NodeId>> = BTreeMap::new();
        for job in self.active.keys().map(|id| &self.ledger.jobs[id]) {
            let Some(node) = job.spec.nodes.one_node() else { continue };
            job.packs.iter().flatten().for_each(|pack| coming.entry(*pack).or_default().push(node));
        }
        coming
    }
}

impl Ledger {
    /// What nobody has any more is known of nobody.
    pub(super) fn lose_packs(&mut self, node: NodeId, lost: impl Fn(&Digest) -> bool) {
        self.holders.retain(|pack, holders| {
            if lost(pack) {
                holders.remove(&node);
            }
            !holders.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use alloc::{boxed::Box, vec};

    use super::*;
    use crate::{
        fleet::{Event, NodeCommand, Settings},
        ids::{Epoch, Incarnation},
        wire::{
            Envelope, FromAgent, ToAgent,
            task::{Task, Work},
        },
    };

    const NOW: Time = Time(1_000_000);
    const PACK: Digest = Digest([7; 32]);

    /// Nodes, the first of which has the pack.
    fn fleet_of(nodes: u64, settings: Settings) -> (Fleet, Vec<Effect>) {
        let mut ledger = Ledger::default();
        (1..=nodes).for_each(|number| ledger.apply(&Fact::NodePaired { node: NodeId(number), name: alloc::format!("node-{number}"), at: NOW }));
        ledger.apply(&Fact::PacksHeld { node: NodeId(1), packs: vec![PACK] });
        let mut fleet = Fleet::recover(Settings { results: Results::Nodes, ..settings }, ledger, NOW, &mut Vec::new());
        let mut out = Vec::new();
        (1..=nodes).for_each(|number| out.extend(hear(&mut fleet, NOW, NodeId(number), hello())));
        (fleet, out)
    }

    fn hello() -> FromAgent {
        FromAgent::Hello { slots: 1, fingerprint: Digest::default(), held: vec![], programs: vec![], profile: Box::default() }
    }

    fn hear(fleet: &mut Fleet, now: Time, node: NodeId, body: FromAgent) -> Vec<Effect> {
        handle(fleet, now, Event::Received { node, message: Envelope { epoch: Epoch(1), incarnation: Incarnation(1), body } })
    }

    fn handle(fleet: &mut Fleet, now: Time, event: Event) -> Vec<Effect> {
        let mut out = Vec::new();
        fleet.handle(now, event, &mut out);
        fleet.check();
        out
    }

    /// Who is told to keep what.
    fn given(out: &[Effect]) -> Vec<(NodeId, Task)> {
        let task = |effect: &Effect| match effect {
            Effect::Send { to, message: Envelope { body: ToAgent::ExecuteTask(task), .. } } if matches!(task.work, Work::Keep(_)) => Some((*to, task.clone())),
            _ => None,
        };
        out.iter().filter_map(task).collect()
    }

    fn finish(fleet: &mut Fleet, (node, task): (NodeId, Task)) -> Vec<Effect> {
        let body = FromAgent::Finished { spark: task.spark, attempt: task.attempt, output: SparkOutput::default(), took: Default::default() };
        hear(fleet, NOW, node, body)
    }

    #[test]
    fn what_one_node_has_another_is_given() {
        let (mut fleet, out) = fleet_of(3, Settings::default());
        let [copy] = given(&out).try_into().unwrap();
        assert_eq!(copy.1.work, Work::Keep(vec![PACK]));
        let keeper = copy.0;
        assert_ne!(keeper, NodeId(1));
        finish(&mut fleet, copy);
        assert_eq!(fleet.ledger().holders[&PACK], [NodeId(1), keeper].into());
        assert_eq!(given(&hear(&mut fleet, NOW, NodeId(3), hello())), [], "two are enough");
    }

    #[test]
    fn what_a_lost_node_had_is_copied_once_more() {
        let (mut fleet, out) = fleet_of(3, Settings::default());
        let [copy] = given(&out).try_into().unwrap();
        let (keeper, other) = (copy.0, NodeId(5 - copy.0.0));
        finish(&mut fleet, copy);
        handle(&mut fleet, NOW, Event::NodeDisconnected { node: keeper });
        let due = NOW + fleet.settings.lost_after;
        assert_eq!(fleet.loss_deadline(), Some(due));
        let out: Vec<Effect> = [NodeId(1), other].into_iter().flat_map(|node| hear(&mut fleet, due, node, hello())).collect();
        assert_eq!(given(&out).into_iter().map(|(node, _)| node).collect::<Vec<_>>(), [other]);
    }

    #[test]
    fn a_removed_node_has_nothing_and_a_node_that_lied_has_less() {
        let (mut fleet, out) = fleet_of(2, Settings::default());
        let [copy] = given(&out).try_into().unwrap();
        finish(&mut fleet, copy);
        let out = handle(&mut fleet, NOW, Event::PacksMissed { node: NodeId(2), packs: vec![PACK, Digest([8; 32])] });
        assert!(out.contains(&Effect::Record(Fact::PacksLost { node: NodeId(2), packs: vec![PACK] })), "{out:?}");
        let [again] = given(&out).try_into().unwrap();
        finish(&mut fleet, again);
        handle(&mut fleet, NOW, Event::NodeCommanded { node: NodeId(1), command: NodeCommand::Remove });
        assert_eq!(fleet.holders_of(PACK), [NodeId(2)]);
        handle(&mut fleet, NOW, Event::NodeCommanded { node: NodeId(2), command: NodeCommand::Remove });
        assert!(fleet.ledger().holders.is_empty());
    }

    #[test]
    fn what_a_node_has_no_room_for_goes_to_another_and_not_back() {
        let (mut fleet, out) = fleet_of(3, Settings::default());
        let [copy] = given(&out).try_into().unwrap();
        let (keeper, other) = (copy.0, NodeId(5 - copy.0.0));
        finish(&mut fleet, copy);
        let out = hear(&mut fleet, NOW, keeper, FromAgent::PacksDropped { packs: vec![PACK, Digest([8; 32])] });
        assert!(out.contains(&Effect::Record(Fact::PacksLost { node: keeper, packs: vec![PACK] })), "{out:?}");
        assert_eq!(given(&out).into_iter().map(|(node, _)| node).collect::<Vec<_>>(), [other]);
        handle(&mut fleet, NOW, Event::NodeCommanded { node: other, command: NodeCommand::Remove });
        assert_eq!(given(&handle(&mut fleet, NOW, Event::Woken)), [], "there is nobody else");
        let copy = given(&hear(&mut fleet, NOW, keeper, hello()));
        assert_eq!(copy.into_iter().map(|(node, _)| node).collect::<Vec<_>>(), [keeper], "it may have more room now");
    }

    #[test]
    fn where_the_master_has_everything_no_copies_are_made() {
        let (mut fleet, _) = fleet_of(2, Settings::default());
        fleet.settings.results = Results::Master;
        fleet.keeping.look_again();
        assert_eq!(handle(&mut fleet, NOW, Event::Woken), []);
        assert_eq!(fleet.loss_deadline(), None);
    }
}
