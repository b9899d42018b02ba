//! Reactions about nodes: who is here, in which life, with what, and since when not heard.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use super::{Effect, Fleet, Flight, Settings};
use crate::{
    ids::{Digest, Incarnation, NodeId, SparkId},
    time::Time,
    wire::{Envelope, ToAgent, message::Held, task::AttemptError},
};

/// A connected node as its master sees it.
#[derive(Clone, Debug)]
pub struct Node {
    pub incarnation: Incarnation,
    pub slots: u32,
    /// Its engine; a job's sparks go only to nodes with the job's.
    pub fingerprint: Digest,
    pub last_heard: Time,
    pub health: Health,
    /// What was sent to it and is not over.
    pub held: BTreeSet<Held>,
}

/// How long a node has been silent, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    Healthy,
    Degraded,
    Unhealthy,
    Offline,
}

impl Node {
    pub(super) fn new(incarnation: Incarnation, slots: u32, fingerprint: Digest, now: Time) -> Node {
        Node { incarnation, slots, fingerprint, last_heard: now, health: Health::Healthy, held: BTreeSet::new() }
    }

    pub(super) fn heard(&mut self, now: Time) {
        self.last_heard = now;
        self.health = Health::Healthy;
    }

    /// Attempts it may be sent now.
    pub(super) fn credit(&self, settings: &Settings) -> u32 {
        let window = self.slots * (1 + settings.queued_per_slot);
        if self.health >= Health::Unhealthy { 0 } else { window.saturating_sub(self.held.len() as u32) }
    }

    fn health_at(&self, now: Time, settings: &Settings) -> Health {
        let silence = now - self.last_heard;
        match () {
            () if silence >= settings.offline_after => Health::Offline,
            () if silence >= settings.unhealthy_after => Health::Unhealthy,
            () if silence >= settings.degraded_after => Health::Degraded,
            () => Health::Healthy,
        }
    }

    /// When silence changes its health next.
    pub(super) fn next_deadline(&self, settings: &Settings) -> Option<Time> {
        let after = match self.health {
            Health::Healthy => settings.degraded_after,
            Health::Degraded => settings.unhealthy_after,
            Health::Unhealthy => settings.offline_after,
            Health::Offline => return None,
        };
        Some(self.last_heard + after)
    }
}

impl Fleet {
    /// A node introduces itself: what it still has of ours goes on, what it lost is given to somebody.
    pub(super) fn on_hello(&mut self, now: Time, id: NodeId, node: Node, held: Vec<Held>, out: &mut Vec<Effect>) {
        let incarnation = node.incarnation;
        if self.nodes.get(&id).is_some_and(|known| known.incarnation > incarnation) {
            self.stale_messages += 1;
            return;
        }
        let same_life = self.nodes.get(&id).is_some_and(|known| known.incarnation == incarnation);
        let listed: BTreeMap<SparkId, Held> = held.into_iter().map(|held| (held.spark, held)).collect();
        let mut node = node;
        let ours: Vec<(SparkId, Flight)> = self.flights.iter().filter(|(_, flight)| flight.node == id).map(|(id, f)| (*id, f.clone())).collect();
        let (kept, lost): (Vec<_>, Vec<_>) =
            ours.into_iter().partition(|(spark, flight)| listed.get(spark).is_some_and(|held| held.attempt == flight.attempt) || same_life);
        node.held.extend(kept.iter().map(|(spark, flight)| Held { spark: *spark, attempt: flight.attempt }));
        self.nodes.insert(id, node);
        for (spark, _) in &kept {
            self.flights.get_mut(spark).expect("it was just listed").deadline = now + self.settings.spark_timeout + self.settings.spark_grace;
        }
        for (spark, _) in lost {
            self.give_up(now, spark, AttemptError::Interrupted, out);
        }
        self.cancel_strangers(id, listed.into_values(), out);
    }

    /// The list of a heartbeat is compared with what was sent: a lost task is sent again, a forgotten one is called off.
    pub(super) fn on_heartbeat(&mut self, now: Time, id: NodeId, held: &[Held], out: &mut Vec<Effect>) {
        let listed: BTreeSet<Held> = held.iter().copied().collect();
        let missing: Vec<Held> = self.nodes[&id].held.difference(&listed).copied().collect();
        for held in missing {
            let flight = self.flights.get_mut(&held.spark).expect("what a node holds is in flight");
            if now - flight.sent_at >= self.settings.resend_after {
                flight.sent_at = now;
                let task = self.task(held.spark, held.attempt);
                self.send(id, ToAgent::ExecuteTask(task), out);
            }
        }
        self.cancel_strangers(id, listed.into_iter(), out);
    }

    /// What a node holds and nobody waits for.
    fn cancel_strangers(&mut self, id: NodeId, held: impl Iterator<Item = Held>, out: &mut Vec<Effect>) {
        for Held { spark, attempt } in held {
            let wanted = self.flights.get(&spark).is_some_and(|flight| flight.node == id && flight.attempt == attempt);
            if !wanted {
                self.send(id, ToAgent::CancelTask { spark, attempt }, out);
            }
        }
    }

    /// The connection says that the node is gone for certain; a node that is only silent waits for its deadline.
    pub(super) fn on_node_disconnected(&mut self, now: Time, id: NodeId, out: &mut Vec<Effect>) {
        self.lose(now, id, AttemptError::Interrupted, out);
    }

    pub(super) fn on_silence(&mut self, now: Time, out: &mut Vec<Effect>) {
        let mut offline = Vec::new();
        for (id, node) in &mut self.nodes {
            node.health = node.health.max(node.health_at(now, &self.settings));
            if node.health == Health::Offline {
                offline.push(*id);
            }
        }
        for id in offline {
            self.lose(now, id, AttemptError::NodeSilent, out);
        }
    }

    fn lose(&mut self, now: Time, id: NodeId, error: AttemptError, out: &mut Vec<Effect>) {
        let Some(node) = self.nodes.remove(&id) else { return };
        for held in node.held {
            self.give_up(now, held.spark, error.clone(), out);
        }
    }

    /// Something came from a node, or a life of one, that has not said Hello to this master.
    pub(super) fn send_unknown(&self, to: NodeId, incarnation: Incarnation, out: &mut Vec<Effect>) {
        let message = Envelope { epoch: self.ledger.epoch, incarnation, body: ToAgent::SyncState };
        out.push(Effect::Send { to, message });
    }
}
