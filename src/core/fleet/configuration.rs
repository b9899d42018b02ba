//! Reactions about what is changed of a node's configuration from here. What a node lives by it keeps itself: of a change that
//! was made nothing is in the journal, and nothing of one that a node did not confirm is left anywhere.

use alloc::{string::String, vec::Vec};

use serde::{Deserialize, Serialize};

use super::{Effect, Fleet, Node, Notice, Refusal, Requester};
use crate::{
    ids::NodeId,
    time::{Span, Time},
    wire::{
        ToAgent,
        configuration::{ConfigurationOutcome, ConfigurationReport, TEXT_BYTES_MAX, TRIAL_MAX},
        message::HEARTBEAT,
        warrant::Warrant,
    },
};

/// Beyond the node's own trial, for its word that it went back.
const SILENCE_MAX: Span = Span::from_secs(15);

/// The last change of a node's configuration in this master's life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Push {
    pub revision: u64,
    pub state: PushState,
    /// When the node first said that it lives by it.
    heard_at: Option<Time>,
    /// When nothing more is expected.
    pub until: Time,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PushState {
    Pending,
    Kept,
    Refused {
        reason: String,
    },
    RolledBack,
    /// Nothing was heard of it. The node has gone back, or goes back when it begins again.
    Silent,
}

impl Fleet {
    /// The last change of the node's configuration.
    pub fn push_of(&self, node: NodeId) -> Option<&Push> {
        self.pushes.get(&node)
    }

    pub(super) fn on_configuration_pushed(&mut self, now: Time, by: Requester, node: NodeId, (keys, text): (&[String], String), out: &mut Vec<Effect>) {
        let warrant = self.warrant(by, None);
        if let Some(refusal) = self.push_refusal(node, keys, &text, &warrant) {
            return out.push(Effect::Publish(Notice::Refused(refusal)));
        }
        self.rounds += 1;
        // No earlier master's either: the epoch is part of it.
        let revision = u64::from(self.ledger.epoch.0) << 32 | self.rounds & u64::from(u32::MAX);
        self.pushes.insert(node, Push { revision, state: PushState::Pending, heard_at: None, until: now + TRIAL_MAX + SILENCE_MAX });
        self.send(node, ToAgent::UpdateConfiguration { revision, text, warrant }, out);
    }

    fn push_refusal(&self, node: NodeId, keys: &[String], text: &str, warrant: &Warrant) -> Option<Refusal> {
        if !self.ledger.nodes.contains_key(&node) {
            return Some(Refusal::UnknownNode(node));
        }
        if !self.nodes.get(&node).is_some_and(Node::is_reachable) {
            return Some(Refusal::NodeAway(node));
        }
        if text.len() > TEXT_BYTES_MAX {
            return Some(Refusal::ConfigurationTooLong { bytes_max: TEXT_BYTES_MAX });
        }
        if self.pushes.get(&node).is_some_and(|push| push.state == PushState::Pending) {
            return Some(Refusal::OnTrial(node));
        }
        let profile = self.records.get(&node).map(|record| &record.profile);
        if let Some(objection) = profile.and_then(|profile| profile.accepts.objection_to_device(warrant)) {
            return Some(Refusal::NotAccepted { node, objection });
        }
        let changeable = profile.map(|profile| profile.changeable.as_slice()).unwrap_or_default();
        let kept = keys.iter().find(|key| !changeable.contains(key))?;
        Some(Refusal::NotChangeable { node, key: kept.clone() })
    }

    /// A node that still speaks a heartbeat after it began to live by it is believed to be well, and is told so, again when it
    /// says so again.
    pub(super) fn on_configuration_report(&mut self, now: Time, node: NodeId, report: ConfigurationReport, out: &mut Vec<Effect>) {
        let Some(push) = self.pushes.get_mut(&node).filter(|push| push.revision == report.revision) else {
            self.stale_messages += 1;
            return;
        };
        let is_final = matches!(push.state, PushState::Refused { .. } | PushState::RolledBack);
        push.state = match report.outcome {
            // It did not hear the word in time, whatever was said here.
            ConfigurationOutcome::RolledBack => PushState::RolledBack,
            _ if is_final => return,
            ConfigurationOutcome::Refused { reason } => PushState::Refused { reason },
            ConfigurationOutcome::Applied if now - *push.heard_at.get_or_insert(now) < HEARTBEAT => return,
            ConfigurationOutcome::Applied => PushState::Kept,
        };
        if push.state == PushState::Kept {
            let revision = push.revision;
            self.send(node, ToAgent::KeepConfiguration { revision }, out);
        }
        out.push(Effect::Publish(Notice::NodeChanged(node)));
    }

    /// A process that begins goes back by itself to what it had before a trial.
    pub(super) fn on_life_began(&mut self, node: NodeId) {
        if let Some(push) = self.pushes.get_mut(&node).filter(|push| push.state == PushState::Pending) {
            push.state = PushState::RolledBack;
        }
    }

    pub(super) fn on_pushes_due(&mut self, now: Time) {
        let due = self.pushes.values_mut().filter(|push| push.state == PushState::Pending && push.until <= now);
        due.for_each(|push| push.state = PushState::Silent);
    }

    pub(super) fn push_deadline(&self) -> Option<Time> {
        self.pushes.values().filter(|push| push.state == PushState::Pending).map(|push| push.until).min()
    }
}

#[cfg(test)]
mod tests {
    use alloc::{boxed::Box, string::ToString, vec};

    use super::*;
    use crate::{
        fleet::{Event, Ledger, NodeCommand, Settings},
        ids::{Digest, Epoch, Incarnation},
        wire::{Envelope, FromAgent, node::NodeProfile},
    };

    const NOW: Time = Time(1_000_000);

    fn handle(fleet: &mut Fleet, now: Time, event: Event) -> Vec<Effect> {
        let mut out = Vec::new();
        fleet.handle(now, event, &mut out);
        fleet.check();
        out
    }

    fn says(node: NodeId, body: FromAgent) -> Event {
        Event::Received { node, message: Envelope { epoch: Epoch(1), incarnation: Incarnation(1), body } }
    }

    fn hello(node: NodeId, incarnation: Incarnation) -> Event {
        let profile = Box::new(NodeProfile { changeable: vec!["label".into()], ..NodeProfile::default() });
        let body = FromAgent::Hello { slots: 1, fingerprint: Digest::default(), held: vec![], programs: vec![], profile };
        Event::Received { node, message: Envelope { epoch: Epoch(1), incarnation, body } }
    }

    /// A fleet with one node that lets its labels be changed.
    fn fleet() -> (Fleet, NodeId) {
        let mut fleet = Fleet::recover(Settings::default(), Ledger::default(), NOW, &mut Vec::new());
        handle(&mut fleet, NOW, Event::NodeJoined { name: "a".into(), address: None });
        let node = *fleet.ledger().nodes.keys().next().unwrap();
        handle(&mut fleet, NOW, hello(node, Incarnation(1)));
        (fleet, node)
    }

    fn push(fleet: &mut Fleet, node: NodeId, key: &str) -> Vec<Effect> {
        handle(fleet, NOW, Event::ConfigurationPushed { node, keys: vec![key.to_string()], text: "x".into() })
    }

    fn sent(effects: &[Effect]) -> Vec<&ToAgent> {
        effects.iter().filter_map(|effect| if let Effect::Send { message, .. } = effect { Some(&message.body) } else { None }).collect()
    }

    fn report(node: NodeId, revision: u64, outcome: ConfigurationOutcome) -> Event {
        says(node, FromAgent::Configuration(ConfigurationReport { revision, outcome }))
    }

    fn state(fleet: &Fleet, node: NodeId) -> &PushState {
        &fleet.push_of(node).unwrap().state
    }

    #[test]
    fn what_a_node_lives_by_is_kept_once_it_has_lived_by_it_for_a_heartbeat() {
        let (mut fleet, node) = fleet();
        let out = push(&mut fleet, node, "label");
        let [ToAgent::UpdateConfiguration { revision, .. }] = sent(&out)[..] else { panic!("{out:?}") };
        let applied = || report(node, *revision, ConfigurationOutcome::Applied);
        assert_eq!(sent(&handle(&mut fleet, NOW, applied())), Vec::<&ToAgent>::new());
        assert_eq!(state(&fleet, node), &PushState::Pending);
        for _ in 0..2 {
            let out = handle(&mut fleet, NOW + HEARTBEAT, applied());
            assert_eq!(sent(&out), [&ToAgent::KeepConfiguration { revision: *revision }], "each time: the word may have been lost");
        }
        assert_eq!(state(&fleet, node), &PushState::Kept);
        handle(&mut fleet, NOW, report(node, *revision, ConfigurationOutcome::RolledBack));
        assert_eq!(state(&fleet, node), &PushState::RolledBack, "the word did not reach it");
        assert_eq!(sent(&handle(&mut fleet, NOW + HEARTBEAT, applied())), Vec::<&ToAgent>::new(), "said before that, and late");
        handle(&mut fleet, NOW, report(node, revision + 1, ConfigurationOutcome::RolledBack));
        assert_eq!(fleet.stale_messages(), 1);
    }

    #[test]
    fn a_node_that_dies_of_it_has_gone_back() {
        let (mut fleet, node) = fleet();
        let out = push(&mut fleet, node, "label");
        let [ToAgent::UpdateConfiguration { revision, .. }] = sent(&out)[..] else { panic!("{out:?}") };
        handle(&mut fleet, NOW, report(node, *revision, ConfigurationOutcome::Applied));
        handle(&mut fleet, NOW, hello(node, Incarnation(1)));
        assert_eq!(state(&fleet, node), &PushState::Pending, "the same life has only lost its link");
        handle(&mut fleet, NOW, hello(node, Incarnation(2)));
        assert_eq!(state(&fleet, node), &PushState::RolledBack);
        handle(&mut fleet, NOW, Event::NodeCommanded { node, command: NodeCommand::Remove });
        assert_eq!(fleet.push_of(node), None);
    }

    #[test]
    fn what_its_owner_keeps_to_himself_is_not_even_sent() {
        let (mut fleet, node) = fleet();
        let out = push(&mut fleet, node, "program");
        assert_eq!(out, [Effect::Publish(Notice::Refused(Refusal::NotChangeable { node, key: "program".into() }))]);
        assert_eq!(fleet.push_of(node), None);
    }

    #[test]
    fn a_silent_node_is_given_up_and_one_that_is_away_is_asked_nothing() {
        let (mut fleet, node) = fleet();
        push(&mut fleet, node, "label");
        assert_eq!(push(&mut fleet, node, "label"), [Effect::Publish(Notice::Refused(Refusal::OnTrial(node)))]);
        handle(&mut fleet, NOW + TRIAL_MAX + SILENCE_MAX, Event::Woken);
        assert_eq!(fleet.push_of(node).unwrap().state, PushState::Silent);
        handle(&mut fleet, NOW, Event::LinkLost { node });
        assert_eq!(push(&mut fleet, node, "label"), [Effect::Publish(Notice::Refused(Refusal::NodeAway(node)))]);
    }
}
