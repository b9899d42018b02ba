//! What is told of the nodes of the fleet, to whoever asks.

use std::{collections::BTreeSet, time::Duration};

use bitacora_core::{
    fleet::{CordonCause, Event, Health, NodeRecord, OwnRole, PairedNode, Requester},
    ids::{NodeId, ProjectId},
    time::Span,
};

use crossbeam_channel::Sender;
use fleet_agent::{configuration::Pushed, net::carrier::Link, work::with_cause};

use super::{Master, MasterError, now, view::View};
use crate::control::{self, Answer, Cause, HeldSpark, LinkState, NodeDetail, NodeState};

/// Jobs of one node that are looked at for the projects that it has: a list has room for no more.
const PROJECTS_TOLD_MAX: usize = 16;
/// A finer one would have whoever watches told of every packet.
const ROUND_TRIP_STEP: Span = Span(100);

impl View<'_> {
    /// Every node that belongs to the fleet and may run work, linked or not.
    pub(super) fn nodes(&self) -> Vec<NodeState> {
        self.node_states().map(|(_, state)| state).collect()
    }

    pub(super) fn node_states(&self) -> impl Iterator<Item = (NodeId, NodeState)> + '_ {
        self.fleet.ledger().nodes.iter().filter(|(id, _)| !self.fleet.is_retired(**id)).map(move |(id, paired)| (*id, self.state(*id, paired)))
    }

    pub(super) fn node_detail(&self, id: NodeId) -> Answer {
        let Some(paired) = self.fleet.ledger().nodes.get(&id) else { return Answer::Unknown(format!("there is no node {id}; `bitacora node ls` lists them")) };
        let (known, record) = (self.fleet.record_of(id), self.fleet.record_of(id).cloned().unwrap_or_default());
        let NodeRecord { profile, load, tally, .. } = record;
        Answer::Node(Box::new(NodeDetail {
            state: self.state(id, paired),
            profile,
            load,
            link: self.links.and_then(|links| links.link_to(id)).map(|link| link_state(&link)),
            called_at: paired.called_at().collect(),
            stalled_since: self.fleet.stalled_since(id),
            health_since: known.map(|record| record.health_since),
            holds: self.fleet.held_by(id).map(|(held, since)| HeldSpark { spark: held.spark, attempt: held.attempt.0, since }).collect(),
            finished: tally.finished,
            failed: tally.failed,
            failed_permille: tally.failed_permille(),
            bytes: tally.bytes,
            bytes_per_second: tally.bytes_per_second(),
            average: tally.average(),
            unsupported: tally.unsupported,
        }))
    }

    /// How a node is now, for the timeline.
    pub(super) fn node_in_words(&self, id: NodeId) -> Option<String> {
        let state = self.state(id, self.fleet.ledger().nodes.get(&id)?);
        let link = if state.linked { "" } else { ", no link" };
        let stalled = if self.fleet.stalled_since(id).is_some() { ", gets nowhere" } else { "" };
        Some(format!("{} is {}, {}{link}{stalled}", state.name, state.health, state.availability))
    }

    /// Those that it has work of.
    fn projects_on(&self, id: NodeId) -> Vec<String> {
        let ledger = self.fleet.ledger();
        let about = self.fleet.jobs_of(id).into_iter().filter_map(|job| ledger.jobs.get(&job)?.spec.about());
        let projects: BTreeSet<ProjectId> = about.take(PROJECTS_TOLD_MAX).collect();
        projects.into_iter().filter_map(|project| Some(ledger.projects.get(&project)?.name.clone())).collect()
    }

    fn state(&self, id: NodeId, paired: &PairedNode) -> NodeState {
        let linked = self.fleet.node_view(id);
        let record = self.fleet.record_of(id);
        let (load, profile) = (record.map(|record| &record.load), record.map(|record| &record.profile));
        let link = self.links.and_then(|links| links.link_to(id));
        NodeState {
            id: id.to_string(),
            name: paired.name.clone(),
            role: if self.fleet.resident() == Some(id) { OwnRole::Hybrid.name() } else { "worker" }.to_owned(),
            availability: paired.availability.name().to_owned(),
            cause: cause(paired),
            health: linked.as_ref().map_or(Health::Offline, |node| node.health).name().to_owned(),
            linked: linked.as_ref().is_some_and(|node| node.linked),
            slots: linked.as_ref().map_or(0, |node| node.slots),
            sparks: linked.map_or(0, |node| node.held),
            projects: self.projects_on(id),
            cores: profile.map_or(0, |profile| profile.cores),
            cpu_permille: load.map_or(0, |load| load.cpu_permille),
            memory_bytes: load.map_or(0, |load| load.memory_bytes),
            memory_available_bytes: load.map_or(0, |load| load.memory_available_bytes),
            labels: self.fleet.labels_of(id),
            given_labels: paired.labels.clone(),
            paired_at: paired.paired_at,
            version: profile.map_or_else(String::new, |profile| profile.version.clone()),
            address: link.as_ref().map(|link| link.remote_address().to_string()),
            round_trip: link.and_then(|link| link.round_trip()).map(|span| in_steps(span, Span::from_millis(1))),
        }
    }
}

impl Master {
    /// Has a node look at its machine.
    pub(super) fn examine(&self, node: NodeId, answer: Sender<Answer>) {
        let name = self.ledger().nodes.get(&node).map(|known| known.name.clone());
        let (Some(serving), Some(name)) = (&self.serving, name) else {
            // Whoever asked may be gone.
            return drop(answer.send(Answer::Unknown(format!("there is no node {node}; `bitacora node ls` lists them"))));
        };
        serving.links.examine(node, move |found| {
            let said = found.map_or_else(|why| Answer::Refused(format!("{name} cannot be examined: {why}")), Answer::Findings);
            drop(answer.send(said));
        });
    }

    /// For those who watch the fleet: how a node is now.
    pub(super) fn note_node(&mut self, id: NodeId) {
        if let Some(words) = self.view().node_in_words(id) {
            tracing::info!(kind = "node-changed", node = %id, text = words);
            self.timeline.add(now(), "node-changed", id.to_string(), words);
        }
    }
}

fn link_state(link: &Link) -> LinkState {
    let round_trip = link.round_trip().map(|span| in_steps(span, ROUND_TRIP_STEP));
    LinkState { carrier: link.carrier().name().to_owned(), address: link.remote_address().to_string(), round_trip }
}

fn in_steps(span: Duration, step: Span) -> Span {
    Span(span.as_micros() as u64 / step.0 * step.0)
}

fn cause(paired: &PairedNode) -> Option<Cause> {
    let draining = paired.drain_until.map(|until| Cause::Draining { until });
    draining.or_else(|| {
        Some(match paired.cause.clone()? {
            CordonCause::Drained { at } => Cause::Drained { at },
            CordonCause::Stopped { at, reason } => Cause::Stopped { at, reason },
        })
    })
}

impl Master {
    /// Sends a node what it is to live by, once it was found sound here.
    pub(super) fn configure(&mut self, by: Requester, node: NodeId, text: String) -> Result<Answer, MasterError> {
        match Pushed::parse(&text) {
            Err(error) => Ok(Answer::Refused(with_cause(&error))),
            Ok(pushed) => {
                let keys = pushed.keys().into_iter().map(str::to_owned).collect();
                Ok(control::outcome(&self.turn_for(by, [Event::ConfigurationPushed { node, keys, text }])?))
            }
        }
    }
}
