//! Who may ask whom for contents and packs without the master between: nodes whose links come from one subnet.
//!
//! A hint and a permit in one, and volatile: what a neighbour does not have, or does not answer, the master is asked for.

use alloc::{collections::BTreeMap, vec::Vec};
use core::net::{IpAddr, SocketAddr};

use super::{Effect, Fleet};
use crate::{
    ids::NodeId,
    wire::{
        ToAgent,
        neighbours::{NEIGHBOURS_MAX, Neighbour, Neighbours},
    },
};

/// The volatile side.
#[derive(Debug, Default)]
pub(super) struct Vicinity {
    /// Where each node's link comes from, as the master sees it.
    addresses: BTreeMap<NodeId, IpAddr>,
    told: BTreeMap<NodeId, Neighbours>,
    /// Somebody came, went or moved.
    is_due: bool,
}

impl Vicinity {
    /// What it was told may be of a link that is gone.
    pub(super) fn look_again(&mut self, node: NodeId) {
        self.told.remove(&node);
        self.is_due = true;
    }

    pub(super) fn forget(&mut self, node: NodeId) {
        self.addresses.remove(&node);
        self.look_again(node);
    }
}

/// What one wire usually carries: the numbers that a network's machines have in common.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Subnet {
    V4([u8; 3]),
    V6([u8; 8]),
}

impl Subnet {
    fn of(address: IpAddr) -> Subnet {
        match address {
            IpAddr::V4(address) => Subnet::V4(*address.octets().first_chunk().expect("four are more than three")),
            IpAddr::V6(address) => Subnet::V6(*address.octets().first_chunk().expect("sixteen are more than eight")),
        }
    }
}

impl Fleet {
    pub(super) fn on_link_seen(&mut self, node: NodeId, address: SocketAddr, called: bool, out: &mut Vec<Effect>) {
        self.vicinity.addresses.insert(node, address.ip().to_canonical());
        self.vicinity.is_due = true;
        match called {
            true => self.remember_address(node, address, out),
            false => self.calling.arrived(node, address),
        }
    }

    /// Each node is told when that changes: one that was removed is served by nobody from then on.
    pub(super) fn tell_neighbours(&mut self, out: &mut Vec<Effect>) {
        if !core::mem::take(&mut self.vicinity.is_due) {
            return;
        }
        let due = self.neighbours();
        for &node in self.nodes.keys() {
            let now = due.get(&node).cloned().unwrap_or_default();
            let before = self.vicinity.told.get(&node);
            if before.map_or(now != Neighbours::default(), |before| *before != now) {
                self.send(node, ToAgent::Neighbours(now.clone()), out);
                self.vicinity.told.insert(node, now);
            }
        }
    }

    /// In a circle: everybody asks those that follow and serves those before.
    fn neighbours(&self) -> BTreeMap<NodeId, Neighbours> {
        let mut subnets: BTreeMap<Subnet, Vec<Neighbour>> = BTreeMap::new();
        for (&node, _) in self.nodes.iter().filter(|(_, node)| node.is_reachable()) {
            let port = self.records.get(&node).and_then(|record| record.profile.lends_on);
            let Some((port, address)) = port.zip(self.vicinity.addresses.get(&node)) else { continue };
            subnets.entry(Subnet::of(*address)).or_default().push(Neighbour { node, address: SocketAddr::new(*address, port) });
        }
        let mut all: BTreeMap<NodeId, Neighbours> = BTreeMap::new();
        for circle in subnets.into_values() {
            for (place, asker) in circle.iter().enumerate() {
                for asked in circle.iter().cycle().skip(place + 1).take(NEIGHBOURS_MAX.min(circle.len() - 1)) {
                    all.entry(asker.node).or_default().ask.push(*asked);
                    all.entry(asked.node).or_default().serve.push(asker.node);
                }
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use alloc::{boxed::Box, vec};

    use super::*;
    use crate::{
        fleet::{Event, Fact, Ledger, NodeCommand, Settings},
        ids::{Digest, Epoch, Incarnation},
        time::Time,
        wire::{Envelope, FromAgent, node::NodeProfile},
    };

    const NOW: Time = Time(1_000_000);

    fn fleet_of(nodes: u64) -> Fleet {
        let mut ledger = Ledger::default();
        (1..=nodes).for_each(|number| ledger.apply(&Fact::NodePaired { node: NodeId(number), name: alloc::format!("node-{number}"), at: NOW }));
        Fleet::recover(Settings::default(), ledger, NOW, &mut Vec::new())
    }

    /// What nodes are told by this.
    fn told(fleet: &mut Fleet, events: impl IntoIterator<Item = Event>) -> BTreeMap<NodeId, Neighbours> {
        let mut out = Vec::new();
        events.into_iter().for_each(|event| fleet.handle(NOW, event, &mut out));
        fleet.check();
        let neighbours = |effect| match effect {
            Effect::Send { to, message: Envelope { body: ToAgent::Neighbours(neighbours), .. } } => Some((to, neighbours)),
            _ => None,
        };
        out.into_iter().filter_map(neighbours).collect()
    }

    fn links(node: u64, address: &str, lends_on: Option<u16>) -> [Event; 2] {
        let profile = Box::new(NodeProfile { lends_on, ..NodeProfile::default() });
        let body = FromAgent::Hello { slots: 1, fingerprint: Digest::default(), held: vec![], programs: vec![], profile };
        let message = Envelope { epoch: Epoch(1), incarnation: Incarnation(1), body };
        [
            Event::LinkSeen { node: NodeId(node), address: SocketAddr::new(address.parse().unwrap(), 0), called: false },
            Event::Received { node: NodeId(node), message },
        ]
    }

    fn neighbours(ask: &[(u64, &str)], serve: &[u64]) -> Neighbours {
        let ask = ask.iter().map(|(node, address)| Neighbour { node: NodeId(*node), address: address.parse().unwrap() }).collect();
        Neighbours { ask, serve: serve.iter().copied().map(NodeId).collect() }
    }

    #[test]
    fn nodes_of_one_subnet_ask_one_another_and_nobody_else() {
        let mut fleet = fleet_of(5);
        let far = links(3, "10.0.1.3", Some(7));
        let silent = links(4, "10.0.0.4", None);
        let wide = links(5, "::ffff:10.0.0.5", Some(7));
        assert_eq!(told(&mut fleet, links(1, "10.0.0.1", Some(7)).into_iter().chain(far).chain(silent)), [].into());
        let both = [(NodeId(1), neighbours(&[(2, "10.0.0.2:8")], &[2])), (NodeId(2), neighbours(&[(1, "10.0.0.1:7")], &[1]))];
        assert_eq!(told(&mut fleet, links(2, "10.0.0.2", Some(8))), both.into());
        let three = told(&mut fleet, wide);
        assert_eq!(three[&NodeId(5)], neighbours(&[(1, "10.0.0.1:7"), (2, "10.0.0.2:8")], &[1, 2]), "{three:?}");
    }

    #[test]
    fn who_is_removed_or_not_linked_is_served_no_more() {
        let mut fleet = fleet_of(2);
        let alone = Neighbours::default();
        let both = |fleet: &mut Fleet| told(fleet, links(1, "fd00::1", Some(7)).into_iter().chain(links(2, "fd00::2", Some(7))));
        both(&mut fleet);
        assert_eq!(told(&mut fleet, [Event::LinkLost { node: NodeId(2) }]), [(NodeId(1), alone.clone())].into());
        assert_eq!(both(&mut fleet).len(), 2, "it is back");
        assert_eq!(both(&mut fleet).len(), 2, "and told again with each link: the other end has forgotten");
        let removed = Event::NodeCommanded { node: NodeId(2), command: NodeCommand::Remove };
        assert_eq!(told(&mut fleet, [removed]), [(NodeId(1), alone)].into());
    }

    #[test]
    fn in_a_large_subnet_everybody_has_a_few() {
        let mut fleet = fleet_of(20);
        let all = (1..=20).flat_map(|node| links(node, &alloc::format!("10.0.0.{node}"), Some(7)));
        let last = told(&mut fleet, all);
        assert_eq!(last.len(), 20);
        for (node, neighbours) in &last {
            assert_eq!((neighbours.ask.len(), neighbours.serve.len()), (NEIGHBOURS_MAX, NEIGHBOURS_MAX));
            let serve = |asked: &Neighbour| last[&asked.node].serve.contains(node);
            assert!(neighbours.ask.iter().all(serve), "whoever is told to ask is served");
        }
    }
}
