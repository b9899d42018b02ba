//! Reactions about the master's own machine: whether it runs work too, and as which node.
//!
//! That node is like every other: paired, linked, cordoned, drained. What is different is who keeps its process: the
//! master's driver does, exactly while [`Fleet::resident`] names it.

use alloc::{string::String, vec::Vec};

use super::{Effect, Fact, Fleet, JobStatus, Notice, OwnRole};
use crate::{ids::NodeId, time::Time};

impl Fleet {
    /// The node whose process the driver keeps running on this machine.
    pub fn resident(&self) -> Option<NodeId> {
        self.ledger.resident.filter(|_| self.ledger.own_role() == OwnRole::Hybrid)
    }

    /// Belongs to this machine, whose work is given to others now.
    pub fn is_retired(&self, id: NodeId) -> bool {
        self.ledger.resident == Some(id) && self.resident().is_none()
    }

    /// Has nobody anything to do here or to wait for: no job that goes on, no node but the machine's own, nobody who may join?
    pub fn is_at_rest(&self) -> bool {
        let is_paused = |job| self.ledger.jobs[job].status == JobStatus::Paused;
        let is_own = |id| self.ledger.resident == Some(id);
        self.active.keys().all(is_paused) && !self.may_join() && self.nodes.iter().all(|(id, node)| is_own(*id) || !node.linked)
    }

    /// Is every job over?
    pub fn is_idle(&self) -> bool {
        self.active.is_empty()
    }

    /// A machine that runs work for the first time becomes a node of that name. What it holds when it runs none any more it
    /// hands back itself, as every agent does that is told to end.
    pub(super) fn on_role_chosen(&mut self, now: Time, role: OwnRole, name: String, out: &mut Vec<Effect>) {
        if self.ledger.role == Some(role) {
            return;
        }
        let node = match (role, self.ledger.resident) {
            (OwnRole::Hybrid, None) => Some(self.pair(now, name, out)),
            (OwnRole::Hybrid | OwnRole::Master, known) => known,
        };
        self.record(Fact::RoleTaken { role, node, at: now }, out);
        // It is this machine's own, and dials.
        node.into_iter().for_each(|node| self.calling.end(node));
        out.extend(node.map(|node| Effect::Publish(Notice::NodeChanged(node))));
    }
}

#[cfg(test)]
mod tests {
    use alloc::{boxed::Box, vec};

    use super::*;
    use crate::{
        fleet::{CommandSpec, Event, JobCommand, JobSpec, Ledger, NodeCommand, Pending, Priority, Refusal, Settings},
        ids::{Digest, Epoch, Incarnation, JobId, TokenId},
        time::Span,
        wire::{Envelope, FromAgent, node::NodeProfile},
    };

    const NOW: Time = Time(1_000_000);

    fn fleet() -> Fleet {
        Fleet::recover(Settings::default(), Ledger::default(), NOW, &mut Vec::new())
    }

    fn handle(fleet: &mut Fleet, event: Event) -> Vec<Effect> {
        let mut out = Vec::new();
        fleet.handle(NOW, event, &mut out);
        fleet.check();
        out
    }

    fn choose(fleet: &mut Fleet, role: OwnRole) -> Vec<Effect> {
        handle(fleet, Event::RoleChosen { role, name: "ada".into() })
    }

    fn says(fleet: &mut Fleet, node: NodeId, body: FromAgent) -> Vec<Effect> {
        handle(fleet, Event::Received { node, message: Envelope { epoch: Epoch(1), incarnation: Incarnation(1), body } })
    }

    fn hello(fleet: &mut Fleet, node: NodeId) {
        let profile = Box::new(NodeProfile::default());
        says(fleet, node, FromAgent::Hello { slots: 1, fingerprint: Digest::default(), held: vec![], programs: vec![], profile });
    }

    fn submit(fleet: &mut Fleet) -> JobId {
        handle(fleet, Event::WorkSubmitted { spec: JobSpec::without_tree(None::<CommandSpec>, Priority::Normal, vec![]), sparks: 1 });
        *fleet.ledger().jobs.keys().last().unwrap()
    }

    #[test]
    fn the_machine_of_the_master_is_not_removed() {
        let mut fleet = fleet();
        choose(&mut fleet, OwnRole::Hybrid);
        let node = fleet.resident().unwrap();
        let out = handle(&mut fleet, Event::NodeCommanded { node, command: NodeCommand::Remove });
        assert_eq!(out, [Effect::Publish(Notice::Refused(Refusal::OwnMachine(node)))]);
        assert_eq!(fleet.resident(), Some(node));
    }

    #[test]
    fn a_machine_that_runs_work_is_one_node_whatever_becomes_of_its_role() {
        let mut fleet = fleet();
        assert_eq!((fleet.resident(), fleet.ledger().own_role()), (None, OwnRole::Master));
        let out = choose(&mut fleet, OwnRole::Hybrid);
        let node = fleet.resident().unwrap();
        assert_eq!(fleet.ledger().nodes[&node].name, "ada");
        let [Effect::Record(Fact::NodePaired { .. }), Effect::Record(taken), Effect::Publish(Notice::NodeChanged(_))] = out.as_slice() else {
            panic!("{out:?}");
        };
        assert_eq!(*taken, Fact::RoleTaken { role: OwnRole::Hybrid, node: Some(node), at: NOW });
        assert_eq!(choose(&mut fleet, OwnRole::Hybrid), [], "it is one already");
        choose(&mut fleet, OwnRole::Master);
        assert!(fleet.resident().is_none() && fleet.is_retired(node));
        let mut again = Fleet::recover(Settings::default(), fleet.ledger().clone(), NOW, &mut Vec::new());
        assert_eq!(again.resident(), None, "after a restart too");
        choose(&mut again, OwnRole::Hybrid);
        assert_eq!((again.resident(), again.ledger().nodes.len()), (Some(node), 1), "the same node");
    }

    #[test]
    fn a_machine_that_only_commands_is_given_nothing_while_its_agent_leaves() {
        let mut fleet = fleet();
        choose(&mut fleet, OwnRole::Hybrid);
        let node = fleet.resident().unwrap();
        hello(&mut fleet, node);
        choose(&mut fleet, OwnRole::Master);
        let job = submit(&mut fleet);
        assert_eq!((fleet.held_by(node).count(), fleet.explain(job)), (0, vec![Pending::NodesClosed]));
        choose(&mut fleet, OwnRole::Hybrid);
        assert_eq!(fleet.held_by(node).count(), 1, "and again when it is back");
    }

    #[test]
    fn rest_is_when_nobody_waits_for_anything() {
        let mut fleet = fleet();
        choose(&mut fleet, OwnRole::Hybrid);
        let own = fleet.resident().unwrap();
        hello(&mut fleet, own);
        assert!(fleet.is_at_rest(), "its own node is no company");
        let job = submit(&mut fleet);
        assert!(!fleet.is_at_rest());
        handle(&mut fleet, Event::JobCommanded { job, command: JobCommand::Pause });
        assert!(fleet.is_at_rest(), "what is paused goes on when somebody says so");
        handle(&mut fleet, Event::NodeJoined { name: "bob".into(), address: None });
        let other = *fleet.ledger().nodes.keys().last().unwrap();
        assert!(fleet.is_at_rest(), "it is not here");
        hello(&mut fleet, other);
        assert!(!fleet.is_at_rest());
        handle(&mut fleet, Event::LinkLost { node: other });
        assert!(fleet.is_at_rest());
        handle(&mut fleet, Event::TokenMade { token: TokenId([1; 16]), name: "eve".into(), span: Span::from_secs(60), operator: None });
        assert!(!fleet.is_at_rest(), "somebody is about to join");
    }
}
