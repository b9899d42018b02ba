//! Whom the master dials: nodes that belong to the fleet and have no link. Where a node dials by itself that is done before it is
//! called; a master on a phone's network, or one that has moved, can be reached by nobody and has to call.
//!
//! Where a node answers is in the ledger: the address at which a person paired it, and those from which its links came.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::net::SocketAddr;

use super::{Effect, Fact, Fleet};
use crate::{
    ids::NodeId,
    time::{Span, Time},
};

/// Addresses of one node that are kept: where it answered, and where it says that it would.
pub const ADDRESSES_MAX: usize = 4;
pub const CLAIMED_MAX: usize = 2;
/// Between two claims of one node that are written down.
const CLAIM_EVERY: Span = Span::from_secs(60);
/// A node that lost its link has so long to dial by itself.
const CALL_FIRST: Span = Span::from_secs(1);
/// Between two calls, doubled each time up to this.
const CALL_EVERY_MAX: Span = Span::from_secs(60);
/// Between two nodes that lose their links at once: a network that is back is not flooded.
const APART: Span = Span::from_millis(10);

/// The volatile side.
#[derive(Debug, Default)]
pub(super) struct Calling {
    due: BTreeSet<(Time, NodeId)>,
    waits: BTreeMap<NodeId, Wait>,
    /// Where links come from that nodes have made, and that have said nothing yet.
    arrivals: BTreeMap<NodeId, SocketAddr>,
    /// When each node's last claim was written down.
    claimed_at: BTreeMap<NodeId, Time>,
}

#[derive(Clone, Copy, Debug)]
struct Wait {
    until: Time,
    /// How long this one is.
    span: Span,
}

impl Calling {
    fn wait(&mut self, now: Time, node: NodeId, span: Span) {
        self.end(node);
        let apart = Span(APART.0 * self.waits.len() as u64);
        let until = now + Span(span.0.max(apart.0));
        self.waits.insert(node, Wait { until, span });
        self.due.insert((until, node));
    }

    pub(super) fn arrived(&mut self, node: NodeId, address: SocketAddr) {
        self.arrivals.insert(node, address);
    }

    /// It is none of the fleet any more.
    pub(super) fn forget(&mut self, node: NodeId) {
        self.end(node);
        self.arrivals.remove(&node);
        self.claimed_at.remove(&node);
    }

    /// It is linked.
    pub(super) fn end(&mut self, node: NodeId) {
        if let Some(wait) = self.waits.remove(&node) {
            self.due.remove(&(wait.until, node));
        }
    }
}

impl Fleet {
    /// It has no link: unless it dials before that, it is called.
    pub(super) fn miss(&mut self, now: Time, node: NodeId) {
        let is_ours = self.ledger.nodes.contains_key(&node) && self.ledger.resident != Some(node);
        if is_ours && !self.calling.waits.contains_key(&node) {
            self.calling.wait(now, node, CALL_FIRST);
        }
    }

    pub(super) fn miss_everybody(&mut self, now: Time) {
        self.ledger.nodes.keys().copied().collect::<Vec<_>>().into_iter().for_each(|node| self.miss(now, node));
    }

    pub(super) fn on_calls_due(&mut self, now: Time, out: &mut Vec<Effect>) {
        while let Some(&(_, node)) = self.calling.due.first().filter(|(due, _)| *due <= now) {
            let before = self.calling.waits[&node].span;
            self.calling.wait(now, node, Span((before.0 * 2).min(CALL_EVERY_MAX.0)));
            out.push(Effect::Call { node, addresses: self.ledger.nodes[&node].called_at().collect() });
        }
    }

    /// A person says that it answers there, or that it is back.
    pub(super) fn call_now(&mut self, now: Time, node: NodeId, addresses: &[SocketAddr], out: &mut Vec<Effect>) {
        addresses.iter().take(ADDRESSES_MAX).rev().for_each(|address| self.remember_address(node, *address, out));
        if self.calling.waits.contains_key(&node) {
            self.calling.wait(now, node, CALL_FIRST);
            out.push(Effect::Call { node, addresses: self.ledger.nodes[&node].called_at().collect() });
        }
    }

    pub(super) fn call_deadline(&self) -> Option<Time> {
        self.calling.due.first().map(|(due, _)| *due)
    }

    /// A node that dialled says on which port it answers.
    pub(super) fn note_claim(&mut self, now: Time, node: NodeId, out: &mut Vec<Effect>) {
        let port = self.records.get(&node).and_then(|record| record.profile.answers_on);
        let Some((from, port)) = self.calling.arrivals.remove(&node).zip(port) else { return };
        let Some(paired) = self.ledger.nodes.get(&node) else { return };
        let address = callable(SocketAddr::new(from.ip(), port)).filter(|address| paired.called_at().all(|known| known != *address));
        let is_early = self.calling.claimed_at.get(&node).is_some_and(|at| now - *at < CLAIM_EVERY);
        let Some(address) = address.filter(|_| !is_early) else { return };
        let claimed = latest(address, &paired.claimed, CLAIMED_MAX);
        self.calling.claimed_at.insert(node, now);
        self.record(Fact::NodeAddressed { node, addresses: paired.addresses.clone(), claimed }, out);
    }

    /// A node answered there, or a person says that it does. What was known already keeps its place: links that are made by turns to
    /// two addresses are no news.
    pub(super) fn remember_address(&mut self, node: NodeId, address: SocketAddr, out: &mut Vec<Effect>) {
        let Some(paired) = self.ledger.nodes.get(&node) else { return };
        let Some(address) = callable(address).filter(|address| !paired.addresses.contains(address)) else { return };
        let claimed = paired.claimed.iter().copied().filter(|claimed| *claimed != address).collect();
        self.record(Fact::NodeAddressed { node, addresses: latest(address, &paired.addresses, ADDRESSES_MAX), claimed }, out);
    }
}

fn latest(address: SocketAddr, before: &[SocketAddr], max: usize) -> Vec<SocketAddr> {
    core::iter::once(address).chain(before.iter().copied()).take(max).collect()
}

/// In one form; an address of the link means nothing without the interface, which has another number after the next start.
fn callable(address: SocketAddr) -> Option<SocketAddr> {
    let ip = address.ip().to_canonical();
    let is_of_link = matches!(ip, core::net::IpAddr::V6(ip) if ip.is_unicast_link_local());
    (!is_of_link && !ip.is_unspecified() && address.port() != 0).then(|| SocketAddr::new(ip, address.port()))
}

#[cfg(test)]
mod tests {
    use alloc::{boxed::Box, vec};

    use super::*;
    use crate::{
        fleet::{Event, Ledger, NodeCommand, OwnRole, Settings},
        ids::{Digest, Epoch, Incarnation},
        wire::{Envelope, FromAgent, node::NodeProfile},
    };

    const NOW: Time = Time(1_000_000);
    const NODE: NodeId = NodeId(1);

    fn fleet_of(nodes: u64) -> Fleet {
        let mut ledger = Ledger::default();
        (1..=nodes).for_each(|number| ledger.apply(&Fact::NodePaired { node: NodeId(number), name: alloc::format!("node-{number}"), at: NOW }));
        Fleet::recover(Settings::default(), ledger, NOW, &mut Vec::new())
    }

    fn handle(fleet: &mut Fleet, now: Time, event: Event) -> Vec<Effect> {
        let mut out = Vec::new();
        fleet.handle(now, event, &mut out);
        fleet.check();
        out
    }

    fn links(fleet: &mut Fleet, now: Time, address: &str, called: bool, answers_on: Option<u16>) {
        handle(fleet, now, Event::LinkSeen { node: NODE, address: address.parse().unwrap(), called });
        let profile = Box::new(NodeProfile { answers_on, ..NodeProfile::default() });
        let body = FromAgent::Hello { slots: 1, fingerprint: Digest::default(), held: vec![], programs: vec![], profile };
        handle(fleet, now, Event::Received { node: NODE, message: Envelope { epoch: Epoch(1), incarnation: Incarnation(1), body } });
    }

    /// When each node is called in the time that follows, if nothing else happens.
    fn calls(fleet: &mut Fleet, until: Time) -> Vec<(Time, NodeId, Vec<SocketAddr>)> {
        let mut calls = Vec::new();
        while let Some(due) = fleet.call_deadline().filter(|due| *due <= until) {
            for effect in handle(fleet, due, Event::Woken) {
                if let Effect::Call { node, addresses } = effect {
                    calls.push((due, node, addresses));
                }
            }
        }
        calls
    }

    fn known(fleet: &Fleet) -> Vec<alloc::string::String> {
        fleet.ledger.nodes[&NODE].called_at().map(|address| alloc::string::ToString::to_string(&address)).collect()
    }

    #[test]
    fn who_does_not_dial_is_called_ever_more_rarely() {
        let mut fleet = fleet_of(1);
        let calls = calls(&mut fleet, NOW + Span::from_secs(300));
        let after: Vec<u64> = calls.iter().map(|(at, ..)| (*at - NOW).0 / 1_000_000).collect();
        assert_eq!(after, [1, 3, 7, 15, 31, 63, 123, 183, 243]);
    }

    #[test]
    fn who_is_linked_is_not_called_until_the_link_is_lost() {
        let mut fleet = fleet_of(1);
        links(&mut fleet, NOW, "10.0.0.7:5000", false, Some(7413));
        assert_eq!(fleet.call_deadline(), None);
        let later = NOW + Span::from_secs(2);
        handle(&mut fleet, later, Event::LinkLost { node: NODE });
        let calls = calls(&mut fleet, later + Span::from_secs(1));
        assert_eq!(calls, [(later + CALL_FIRST, NODE, vec!["10.0.0.7:7413".parse().unwrap()])]);
        handle(&mut fleet, later + Span::from_secs(1), Event::NodeCommanded { node: NODE, command: NodeCommand::Remove });
        assert_eq!(fleet.call_deadline(), None, "it is none of the fleet");
    }

    #[test]
    fn one_that_falls_silent_with_its_link_open_is_called_as_well() {
        let mut fleet = fleet_of(1);
        links(&mut fleet, NOW, "10.0.0.7:5000", false, Some(7413));
        let mut now = NOW;
        while fleet.call_deadline().is_none() {
            now = fleet.next_deadline().unwrap();
            handle(&mut fleet, now, Event::Woken);
        }
        assert_eq!(now - NOW, Settings::default().offline_after);
    }

    #[test]
    fn it_is_called_where_it_answered_and_not_where_only_its_link_came_from() {
        let mut fleet = fleet_of(1);
        // Behind a forwarded port, called there: its own port is nobody's outside.
        links(&mut fleet, NOW, "203.0.113.5:7500", true, Some(7413));
        assert_eq!(known(&fleet), ["203.0.113.5:7500"]);
        links(&mut fleet, NOW, "[::ffff:10.0.0.7]:40000", false, Some(7413));
        links(&mut fleet, NOW, "203.0.113.5:7500", true, Some(7413));
        assert_eq!(known(&fleet), ["203.0.113.5:7500", "10.0.0.7:7413"], "what is known is no news");
        links(&mut fleet, NOW, "10.0.0.8:40000", false, None);
        links(&mut fleet, NOW, "[fe80::8]:40000", true, None);
        assert_eq!(known(&fleet).len(), 2, "it says that it answers nowhere, or is near in a way that does not last");
        (1..9).for_each(|last| links(&mut fleet, NOW, &alloc::format!("10.0.1.{last}:1"), true, None));
        assert_eq!(known(&fleet), ["10.0.1.8:1", "10.0.1.7:1", "10.0.1.6:1", "10.0.1.5:1", "10.0.0.7:7413"]);
    }

    #[test]
    fn what_a_node_claims_pushes_nothing_out_that_was_proved_and_fills_no_journal() {
        let mut fleet = fleet_of(1);
        links(&mut fleet, NOW, "203.0.113.5:7500", true, None);
        for second in 0..600_u64 {
            let now = NOW + Span::from_secs(second);
            links(&mut fleet, now, "10.0.0.7:5000", false, Some(1000 + second as u16));
        }
        assert_eq!(known(&fleet), ["203.0.113.5:7500", "10.0.0.7:1540", "10.0.0.7:1480"]);
    }

    #[test]
    fn where_it_was_paired_is_where_it_is_called_first() {
        let mut fleet = fleet_of(0);
        let out = handle(&mut fleet, NOW, Event::NodeJoined { name: "a".into(), address: Some("198.51.100.2:7413".parse().unwrap()) });
        assert!(matches!(out.as_slice(), [Effect::Record(Fact::NodePaired { .. }), Effect::Record(Fact::NodeAddressed { .. }), ..]), "{out:?}");
        let calls = calls(&mut fleet, NOW + CALL_FIRST);
        assert_eq!(calls[0].2, ["198.51.100.2:7413".parse().unwrap()]);
    }

    #[test]
    fn a_person_can_say_where_it_is_and_that_it_is_to_be_called_now() {
        let mut fleet = fleet_of(1);
        let call = |addresses: &[&str]| Event::NodeCommanded {
            node: NODE,
            command: NodeCommand::Call { addresses: addresses.iter().map(|address| address.parse().unwrap()).collect() },
        };
        let called = |out: Vec<Effect>| out.into_iter().find_map(|effect| if let Effect::Call { addresses, .. } = effect { Some(addresses) } else { None });
        let expected = vec!["192.0.2.7:1".parse().unwrap(), "192.0.2.8:1".parse().unwrap()];
        assert_eq!(called(handle(&mut fleet, NOW, call(&["192.0.2.7:1", "192.0.2.8:1"]))), Some(expected));
        links(&mut fleet, NOW, "192.0.2.7:1", true, Some(1));
        assert_eq!(called(handle(&mut fleet, NOW, call(&["192.0.2.9:1"]))), None, "it is linked");
        assert_eq!(known(&fleet), ["192.0.2.9:1", "192.0.2.7:1", "192.0.2.8:1"]);
    }

    #[test]
    fn a_fleet_that_is_lost_at_once_is_called_one_after_another() {
        let mut fleet = fleet_of(1000);
        let calls = calls(&mut fleet, NOW + Span::from_secs(11));
        let in_second = |second: u64| calls.iter().filter(|(at, ..)| (*at - NOW).0 / 1_000_000 == second).count();
        assert!((0..11).all(|second| in_second(second) <= 220), "{:?}", (0..11).map(in_second).collect::<Vec<_>>());
        let called: BTreeSet<NodeId> = calls.iter().map(|(_, node, _)| *node).collect();
        assert_eq!(called.len(), 1000);
    }

    #[test]
    fn the_node_of_the_masters_own_machine_is_its_child_and_dials() {
        let mut ledger = Ledger::default();
        ledger.apply(&Fact::NodePaired { node: NODE, name: "own".into(), at: NOW });
        ledger.apply(&Fact::RoleTaken { role: OwnRole::Hybrid, node: Some(NODE), at: NOW });
        let fleet = Fleet::recover(Settings::default(), ledger, NOW, &mut Vec::new());
        assert_eq!(fleet.call_deadline(), None);
    }
}
