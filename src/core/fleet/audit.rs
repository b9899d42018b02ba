//! What is written into the audit: who had what done that concerns the fleet's safety, and with what outcome.
//!
//! The records leave as effects, beside the facts that they tell of and before everything else of their turn. The chain
//! that they are kept in, and its hashes, are the driver's. Agents keep the chain's last link that they were told of, so
//! that a chain whose end was cut off is found out.

use alloc::{
    borrow::ToOwned,
    collections::BTreeMap,
    string::{String, ToString},
    vec::Vec,
};

use serde::{Deserialize, Serialize};

use super::{Deed, Effect, Event, Fact, Fleet, JobCommand, JobSpec, Notice, OwnRole, Refusal, Right};
use crate::{
    ids::{Digest, JobId, NodeId, ProjectId, TokenId},
    time::{Span, Time},
    wire::{ToAgent, message::AuditHead},
};

/// One thing that was done or refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    pub at: Time,
    pub by: Requester,
    pub action: Action,
    pub outcome: Outcome,
}

/// On whose behalf something was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Requester {
    /// Nobody's: the master itself, by a deadline.
    #[default]
    Fleet,
    /// A user of the master's machine, by the number that the system knows it by.
    User(u32),
    Node(NodeId),
    /// A person, by a device that was paired.
    Operator(NodeId),
    /// Somebody who proved a token, or proved nothing.
    Stranger,
}

impl core::fmt::Display for Requester {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Requester::Fleet => f.write_str("fleet"),
            Requester::User(user) => write!(f, "user {user}"),
            Requester::Node(node) => write!(f, "node {node}"),
            Requester::Operator(operator) => write!(f, "operator {operator}"),
            Requester::Stranger => f.write_str("stranger"),
        }
    }
}

impl Requester {
    pub(super) fn is_fleet(&self) -> bool {
        *self == Requester::Fleet
    }
}

/// What was done, or asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    AuthorityMade {
        fingerprint: Digest,
    },
    /// In an archive, sealed with a passphrase: whoever has both has the fleet.
    AuthorityExported,
    TokenMade {
        token: TokenId,
        name: String,
        span: Span,
        /// Of a person's device.
        #[serde(default)]
        operator: Option<Right>,
    },
    TokenExpired {
        token: TokenId,
    },
    /// With its name; and the token that was spent on it, if it was one.
    NodeJoined {
        node: Option<NodeId>,
        name: String,
        token: Option<TokenId>,
    },
    /// A person's device, with the right that its token gave it.
    OperatorJoined {
        operator: NodeId,
        name: String,
        right: Right,
        token: Option<TokenId>,
    },
    OperatorCommanded {
        operator: NodeId,
        command: String,
    },
    /// A person's device asked for what it may not have, so many times since that was recorded last.
    DeedRefused {
        deed: String,
        times: u64,
    },
    /// In the words of the command line.
    NodeCommanded {
        node: NodeId,
        command: String,
    },
    /// What the master's own machine does from now on.
    RoleChosen {
        role: OwnRole,
    },
    CertificateRenewed {
        node: NodeId,
    },
    /// A program is to run on nodes that allow it; its arguments may be secrets and are not told.
    CommandSubmitted {
        program: String,
        sparks: u32,
    },
    ProjectRemoved {
        project: ProjectId,
    },
    JobCancelled {
        job: JobId,
    },
    /// The fleet goes on from an archive whose audit had so many records; what came after them is not here.
    FleetRestored {
        records: u64,
    },
    /// Nobody that was let in, counted since the last such record.
    ConnectionsRefused {
        counts: BTreeMap<Intruder, u64>,
    },
    /// The node was told of a link that the chain does not have: the chain's end was cut off, or the node lies.
    HeadUnknown {
        node: NodeId,
        head: AuditHead,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Done,
    /// In one word.
    Refused(String),
}

/// Why somebody was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Intruder {
    /// No certificate, one of another authority, one that has expired; or no proper handshake at all.
    Handshake,
    /// A good certificate of a node that does not belong to the fleet, or not any more.
    NoMember,
    /// An earlier life of a node that is linked: its key was copied, or its process was started twice.
    SecondLife,
    UnknownToken,
    /// A token that is open, and not its secret.
    WrongProof,
    /// What was asked for is not sound, or came too late.
    Unsound,
    /// A node of the fleet that speaks a version that is not understood here.
    Version,
}

impl Intruder {
    pub const ALL: [Intruder; 7] =
        [Intruder::Handshake, Intruder::NoMember, Intruder::SecondLife, Intruder::UnknownToken, Intruder::WrongProof, Intruder::Unsound, Intruder::Version];

    pub const fn name(self) -> &'static str {
        match self {
            Intruder::Handshake => "handshake",
            Intruder::NoMember => "no-member",
            Intruder::SecondLife => "second-life",
            Intruder::UnknownToken => "unknown-token",
            Intruder::WrongProof => "wrong-proof",
            Intruder::Unsound => "unsound",
            Intruder::Version => "version",
        }
    }
}

impl Action {
    pub const fn name(&self) -> &'static str {
        match self {
            Action::AuthorityMade { .. } => "authority-made",
            Action::AuthorityExported => "authority-exported",
            Action::TokenMade { .. } => "token-made",
            Action::TokenExpired { .. } => "token-expired",
            Action::NodeJoined { .. } => "node-joined",
            Action::OperatorJoined { .. } => "operator-joined",
            Action::OperatorCommanded { .. } => "operator-commanded",
            Action::DeedRefused { .. } => "deed-refused",
            Action::NodeCommanded { .. } => "node-commanded",
            Action::RoleChosen { .. } => "role-chosen",
            Action::CertificateRenewed { .. } => "certificate-renewed",
            Action::CommandSubmitted { .. } => "command-submitted",
            Action::ProjectRemoved { .. } => "project-removed",
            Action::JobCancelled { .. } => "job-cancelled",
            Action::FleetRestored { .. } => "fleet-restored",
            Action::ConnectionsRefused { .. } => "connections-refused",
            Action::HeadUnknown { .. } => "head-unknown",
        }
    }
}

/// What the master remembers of the audit between two records. Nothing of it is durable.
#[derive(Debug, Default)]
pub(super) struct Watch {
    head: Option<AuditHead>,
    refused: BTreeMap<Intruder, u64>,
    /// When refused connections were recorded last.
    refused_at: Option<Time>,
    /// The last strange link that each node told of, and when it was recorded.
    strange: BTreeMap<NodeId, (AuditHead, Time)>,
    /// When each node's renewal was recorded last.
    renewed: BTreeMap<NodeId, Time>,
    /// What each device asked for in vain and was not recorded yet, and when it was last.
    pub(super) deeds: BTreeMap<(NodeId, Deed), (u64, Option<Time>)>,
}

/// What an event asks for, as far as the audit cares.
fn asked(event: &Event) -> Option<Action> {
    match event {
        Event::AuthorityMade { fingerprint } => Some(Action::AuthorityMade { fingerprint: *fingerprint }),
        Event::AuthorityExported => Some(Action::AuthorityExported),
        Event::TokenMade { token, name, span, operator } => Some(Action::TokenMade { token: *token, name: name.clone(), span: *span, operator: *operator }),
        Event::OperatorCommanded { operator, command } => Some(Action::OperatorCommanded { operator: *operator, command: command.describe() }),
        Event::TokenProved { token } => Some(Action::NodeJoined { node: None, name: String::new(), token: Some(*token) }),
        Event::NodeJoined { name, .. } => Some(Action::NodeJoined { node: None, name: name.clone(), token: None }),
        Event::NodeCommanded { node, command } => Some(Action::NodeCommanded { node: *node, command: command.name().to_owned() }),
        Event::RoleChosen { role, .. } => Some(Action::RoleChosen { role: *role }),
        Event::ConfigurationPushed { node, keys, .. } => Some(Action::NodeCommanded { node: *node, command: alloc::format!("config push {}", keys.join(",")) }),
        Event::ProjectRemoved { project } => Some(Action::ProjectRemoved { project: *project }),
        Event::JobCommanded { job, command: JobCommand::Cancel } => Some(Action::JobCancelled { job: *job }),
        Event::WorkSubmitted { spec: JobSpec { command: Some(command), .. }, sparks } => {
            Some(Action::CommandSubmitted { program: command.line.program.clone(), sparks: *sparks })
        }
        Event::Woken
        | Event::LinkSeen { .. }
        | Event::LinkLost { .. }
        | Event::ProjectAdded { .. }
        | Event::ProjectRenamed { .. }
        | Event::ProjectAssigned { .. }
        | Event::JobSubmitted(_)
        | Event::WorkSubmitted { .. }
        | Event::WarmingAsked(_)
        | Event::PacksMissed { .. }
        | Event::SparkCancelled { .. }
        | Event::JobCommanded { .. }
        | Event::TreeNotListed { .. }
        | Event::ResultStored { .. }
        | Event::ResultNotStored { .. }
        | Event::Stopping
        | Event::NodeDisconnected { .. }
        | Event::DeedAsked { .. }
        | Event::RenewalAsked { .. }
        | Event::ConnectionsRefused { .. }
        | Event::AuditAdvanced { .. }
        | Event::HeadUnknown { .. }
        | Event::Received { .. } => None,
    }
}

/// What was asked for, as it came about: the node that joined has its number and name by now.
fn came_about(action: Action, effects: &[Effect]) -> Action {
    let Action::NodeJoined { token, .. } = action else { return action };
    let joined = effects.iter().find_map(|effect| match effect {
        Effect::Record(Fact::NodePaired { node, name, .. }) => Some(Action::NodeJoined { node: Some(*node), name: name.clone(), token }),
        Effect::Record(Fact::OperatorPaired { operator, name, right, .. }) => {
            Some(Action::OperatorJoined { operator: *operator, name: name.clone(), right: *right, token })
        }
        _ => None,
    });
    joined.unwrap_or(action)
}

fn outcome(effects: &[Effect]) -> Outcome {
    let refusal = effects.iter().find_map(|effect| match effect {
        Effect::Publish(Notice::Refused(refusal)) => Some(refusal),
        _ => None,
    });
    refusal.map_or(Outcome::Done, |refusal| Outcome::Refused(refusal.name().to_owned()))
}

impl Refusal {
    /// In one word, for records that outlive the sentences.
    pub const fn name(&self) -> &'static str {
        match self {
            Refusal::UnknownProject(_) => "unknown-project",
            Refusal::UnknownJob(_) => "unknown-job",
            Refusal::UnknownNode(_) => "unknown-node",
            Refusal::OwnMachine(_) => "own-machine",
            Refusal::RightMissing { .. } => "right-missing",
            Refusal::OtherProject { .. } => "other-project",
            Refusal::NotPermitted { .. } => "not-permitted",
            Refusal::UnknownSpark(_) => "unknown-spark",
            Refusal::NoSuchWork(_) => "no-such-work",
            Refusal::TooManySparks { .. } => "too-many-sparks",
            Refusal::TooMuchAwaited => "too-much-awaited",
            Refusal::UnknownAwaited(_) => "unknown-awaited",
            Refusal::SparkOver(_) => "spark-over",
            Refusal::UnknownToken(_) => "unknown-token",
            Refusal::TooManyTokens { .. } => "too-many-tokens",
            Refusal::TokenSpan { .. } => "token-span",
            Refusal::Superseded { .. } => "superseded",
            Refusal::NameTaken(_) => "name-taken",
            Refusal::TooManyLabels(_) => "too-many-labels",
            Refusal::NodeAway(_) => "node-away",
            Refusal::NotChangeable { .. } => "not-changeable",
            Refusal::NotAccepted { .. } => "not-accepted",
            Refusal::OnTrial(_) => "on-trial",
            Refusal::ConfigurationTooLong { .. } => "configuration-too-long",
            Refusal::NotNow { .. } => "not-now",
            Refusal::NoSuchNode => "no-such-node",
            Refusal::TooManyPacks { .. } => "too-many-packs",
            Refusal::NameIsId(_) => "name-is-id",
            Refusal::UnderAnalysis { .. } => "under-analysis",
        }
    }
}

impl Fleet {
    pub(super) fn react_for(&mut self, now: Time, by: Requester, event: Event, out: &mut Vec<Effect>) {
        let (before, action) = (out.len(), asked(&event));
        self.react(now, by, event, out);
        if let Some(action) = action {
            let (action, outcome) = (came_about(action, &out[before..]), outcome(&out[before..]));
            out.push(Effect::Audit(AuditRecord { at: now, by, action, outcome }));
        }
    }

    pub(super) fn audit(&self, now: Time, by: Requester, action: Action, out: &mut Vec<Effect>) {
        out.push(Effect::Audit(AuditRecord { at: now, by, action, outcome: Outcome::Done }));
    }

    pub(super) fn audit_refusal(&self, now: Time, by: Requester, action: Action, why: &Refusal, out: &mut Vec<Effect>) {
        out.push(Effect::Audit(AuditRecord { at: now, by, action, outcome: Outcome::Refused(why.name().to_owned()) }));
    }

    /// Whoever knocks does not decide how much is written of it: the first is recorded at once, the others are counted.
    pub(super) fn on_connections_refused(&mut self, now: Time, counts: Vec<(Intruder, u64)>, out: &mut Vec<Effect>) {
        for (intruder, count) in counts {
            *self.watch.refused.entry(intruder).or_default() += count;
        }
        self.on_refusals_due(now, out);
    }

    pub(super) fn on_refusals_due(&mut self, now: Time, out: &mut Vec<Effect>) {
        if self.refusals_deadline().is_some_and(|due| due <= now) {
            self.record_refusals(now, out);
        }
    }

    /// What was counted and not yet recorded; the master is about to end.
    pub(super) fn record_refusals(&mut self, now: Time, out: &mut Vec<Effect>) {
        let counts = core::mem::take(&mut self.watch.refused);
        if !counts.is_empty() {
            self.watch.refused_at = Some(now);
            self.audit(now, Requester::Stranger, Action::ConnectionsRefused { counts }, out);
        }
    }

    pub(super) fn refusals_deadline(&self) -> Option<Time> {
        let due = self.watch.refused_at.map_or(Time(0), |at| at + self.settings.audit_repeat);
        (!self.watch.refused.is_empty()).then_some(due)
    }

    /// Only what the ledger has: a certificate alone, and be it the master's, gives nobody another one. A node that asks all
    /// the time gets a certificate each time and a record now and then.
    pub(super) fn on_renewal_asked(&mut self, now: Time, node: NodeId, out: &mut Vec<Effect>) {
        if !self.ledger.nodes.contains_key(&node) && !self.ledger.operators.contains_key(&node) {
            out.push(Effect::Publish(Notice::Refused(Refusal::UnknownNode(node))));
            return self.on_connections_refused(now, alloc::vec![(Intruder::NoMember, 1)], out);
        }
        if self.watch.renewed.get(&node).is_none_or(|at| now - *at >= self.settings.audit_repeat) {
            self.watch.renewed.insert(node, now);
            let by = if self.ledger.operators.contains_key(&node) { Requester::Operator(node) } else { Requester::Node(node) };
            self.audit(now, by, Action::CertificateRenewed { node }, out);
        }
    }

    /// The chain has grown: every node that is here is told of its end.
    pub(super) fn on_audit_advanced(&mut self, head: AuditHead, out: &mut Vec<Effect>) {
        self.watch.head = Some(head);
        for node in self.nodes.iter().filter(|(_, node)| node.linked).map(|(id, _)| *id).collect::<Vec<_>>() {
            self.send_audit_head(node, out);
        }
    }

    pub(super) fn send_audit_head(&self, to: NodeId, out: &mut Vec<Effect>) {
        if let Some(head) = self.watch.head {
            self.send(to, ToAgent::AuditHead(head), out);
        }
    }

    /// A node says which link it was told of last, by this master or an earlier one.
    pub(super) fn on_audit_head(&self, node: NodeId, head: AuditHead, out: &mut Vec<Effect>) {
        if self.watch.head != Some(head) {
            out.push(Effect::LookUpHead { node, head });
        }
    }

    /// Told each time, recorded now and then: a node that lies must not fill the disk.
    pub(super) fn on_head_unknown(&mut self, now: Time, node: NodeId, head: AuditHead, out: &mut Vec<Effect>) {
        let repeat = self.settings.audit_repeat;
        let known = self.watch.strange.get(&node).is_some_and(|(earlier, at)| *earlier == head || now - *at < repeat);
        if !known {
            self.watch.strange.insert(node, (head, now));
            self.audit(now, Requester::Node(node), Action::HeadUnknown { node, head }, out);
        }
        out.push(Effect::Publish(Notice::AuditCut { node, head }));
    }
}

impl AuditRecord {
    /// Whom or what it is about, for a table.
    pub fn subject(&self) -> String {
        match &self.action {
            Action::AuthorityMade { fingerprint } => fingerprint.to_hex(),
            Action::AuthorityExported => String::new(),
            Action::FleetRestored { records } => alloc::format!("from {records} records"),
            Action::TokenMade { token, name, operator: None, .. } => alloc::format!("{token} {name}"),
            Action::TokenMade { token, name, operator: Some(right), .. } => alloc::format!("{token} {name}, who may {}", right.name()),
            Action::OperatorJoined { operator, name, right, .. } => alloc::format!("{operator} {name}, who may {}", right.name()),
            Action::OperatorCommanded { operator, command } => alloc::format!("{operator} {command}"),
            Action::DeedRefused { deed, times: 1 } => deed.clone(),
            Action::DeedRefused { deed, times } => alloc::format!("{deed}, {times} times"),
            Action::TokenExpired { token } => token.to_string(),
            Action::NodeJoined { node: Some(node), name, .. } => alloc::format!("{node} {name}"),
            Action::NodeJoined { node: None, name, token } => token.map_or_else(|| name.clone(), |token| token.to_string()),
            Action::NodeCommanded { node, command } => alloc::format!("{node} {command}"),
            Action::RoleChosen { role } => role.name().to_owned(),
            Action::CertificateRenewed { node } => node.to_string(),
            Action::CommandSubmitted { program, sparks: 1 } => program.clone(),
            Action::CommandSubmitted { program, sparks } => alloc::format!("{program}, {sparks} times"),
            Action::ProjectRemoved { project } => project.to_string(),
            Action::JobCancelled { job } => job.to_string(),
            Action::ConnectionsRefused { counts } => {
                counts.iter().map(|(intruder, count)| alloc::format!("{} {count}", intruder.name())).collect::<Vec<_>>().join(", ")
            }
            Action::HeadUnknown { node, head } => alloc::format!("{node} knows of record {}", head.number),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::{
        fleet::{CommandSpec, Ledger, Needs, NodeCommand, Priority, Settings},
        ids::{Epoch, Incarnation},
        wire::{Envelope, FromAgent, command::CommandLine},
    };

    const NOW: Time = Time(1_000_000);
    const PERSON: Requester = Requester::User(1000);

    fn fleet() -> Fleet {
        Fleet::recover(Settings::default(), Ledger::default(), NOW, &mut Vec::new())
    }

    fn handle(fleet: &mut Fleet, now: Time, event: Event) -> Vec<Effect> {
        let mut out = Vec::new();
        fleet.handle_turn(now, PERSON, [event], &mut out);
        fleet.check();
        out
    }

    fn audited(effects: &[Effect]) -> Vec<(Requester, Action, Outcome)> {
        let record = |effect: &Effect| match effect {
            Effect::Audit(record) => Some((record.by, record.action.clone(), record.outcome.clone())),
            _ => None,
        };
        effects.iter().filter_map(record).collect()
    }

    fn says(node: NodeId, body: FromAgent) -> Event {
        Event::Received { node, message: Envelope { epoch: Epoch(1), incarnation: Incarnation(1), body } }
    }

    /// A fleet with one node that is linked.
    fn with_node() -> (Fleet, NodeId) {
        let mut fleet = fleet();
        handle(&mut fleet, NOW, Event::NodeJoined { name: "a".into(), address: None });
        let node = *fleet.ledger().nodes.keys().next().unwrap();
        handle(
            &mut fleet,
            NOW,
            says(node, FromAgent::Hello { slots: 1, fingerprint: Digest::default(), held: vec![], programs: vec![], profile: Default::default() }),
        );
        (fleet, node)
    }

    #[test]
    fn what_people_do_is_recorded_beside_the_fact_and_before_it_is_sent() {
        let (mut fleet, node) = with_node();
        let out = handle(&mut fleet, NOW, Event::NodeCommanded { node, command: NodeCommand::Remove });
        let removed = (PERSON, Action::NodeCommanded { node, command: "rm".into() }, Outcome::Done);
        assert_eq!(audited(&out), [removed]);
        let place = |wanted: fn(&Effect) -> bool| out.iter().position(wanted).unwrap();
        assert!(place(|effect| matches!(effect, Effect::Audit(_))) < place(|effect| matches!(effect, Effect::Disconnect { .. })));
        let out = handle(&mut fleet, NOW, Event::NodeCommanded { node, command: NodeCommand::Cordon });
        let refused = (PERSON, Action::NodeCommanded { node, command: "cordon".into() }, Outcome::Refused("unknown-node".into()));
        assert_eq!(audited(&out), [refused]);
    }

    #[test]
    fn a_command_is_recorded_without_its_arguments_and_work_without_one_is_not() {
        let mut fleet = fleet();
        let line = CommandLine { program: "make".into(), arguments: vec!["secret".into()], environment: BTreeMap::new(), output_bytes_max: 1, folder: None };
        let command = CommandSpec { line, tries: 1, timeout: Span::from_secs(1), needs: Needs::default(), project: None };
        let submitted = |command| Event::WorkSubmitted { spec: JobSpec::without_tree(command, Priority::Normal, vec![]), sparks: 3 };
        let records = audited(&handle(&mut fleet, NOW, submitted(Some(command))));
        assert_eq!(records, [(PERSON, Action::CommandSubmitted { program: "make".into(), sparks: 3 }, Outcome::Done)]);
        assert_eq!(audited(&handle(&mut fleet, NOW, submitted(None))), []);
    }

    #[test]
    fn the_life_of_a_token_is_recorded() {
        let (mut fleet, token) = (fleet(), TokenId([7; 16]));
        let span = Span::from_secs(60);
        let made = || Event::TokenMade { token, name: "a".into(), span, operator: None };
        assert_eq!(audited(&handle(&mut fleet, NOW, made())), [(PERSON, Action::TokenMade { token, name: "a".into(), span, operator: None }, Outcome::Done)]);
        let out = handle(&mut fleet, NOW + span, Event::Woken);
        assert_eq!(audited(&out), [(Requester::Fleet, Action::TokenExpired { token }, Outcome::Done)]);
        let out = handle(&mut fleet, NOW + span, Event::TokenProved { token });
        let late = Action::NodeJoined { node: None, name: String::new(), token: Some(token) };
        assert_eq!(audited(&out), [(PERSON, late, Outcome::Refused("unknown-token".into()))]);
        handle(&mut fleet, NOW + span, made());
        let out = handle(&mut fleet, NOW + span, Event::TokenProved { token });
        let node = fleet.ledger().nodes.keys().next().copied();
        assert_eq!(audited(&out), [(PERSON, Action::NodeJoined { node, name: "a".into(), token: Some(token) }, Outcome::Done)]);
    }

    #[test]
    fn a_node_of_the_ledger_gets_its_next_certificate_and_nobody_else() {
        let (mut fleet, node) = with_node();
        let renewed = (Requester::Node(node), Action::CertificateRenewed { node }, Outcome::Done);
        assert_eq!(audited(&handle(&mut fleet, NOW, Event::RenewalAsked { node })), [renewed]);
        assert_eq!(handle(&mut fleet, NOW, Event::RenewalAsked { node }), [], "again, and not written down again");
        handle(&mut fleet, NOW, Event::NodeCommanded { node, command: NodeCommand::Remove });
        for stranger in [node, NodeId::HERE] {
            let out = handle(&mut fleet, NOW, Event::RenewalAsked { node: stranger });
            assert!(out.contains(&Effect::Publish(Notice::Refused(Refusal::UnknownNode(stranger)))), "{out:?}");
        }
    }

    #[test]
    fn ten_thousand_who_knock_are_two_records() {
        let mut fleet = fleet();
        let knock = || Event::ConnectionsRefused { counts: vec![(Intruder::Handshake, 1)] };
        let repeat = Settings::default().audit_repeat;
        let mut records = Vec::new();
        (0..10_000).for_each(|_| records.extend(audited(&handle(&mut fleet, NOW, knock()))));
        assert_eq!(fleet.next_deadline(), Some(NOW + repeat));
        records.extend(audited(&handle(&mut fleet, NOW + repeat, Event::Woken)));
        let refused = |count| (Requester::Stranger, Action::ConnectionsRefused { counts: [(Intruder::Handshake, count)].into() }, Outcome::Done);
        assert_eq!(records, [refused(1), refused(9_999)]);
        assert_eq!(fleet.next_deadline(), None);
    }

    #[test]
    fn a_node_that_knows_better_is_looked_up_and_recorded_now_and_then() {
        let (mut fleet, node) = with_node();
        let head = |number| AuditHead { number, hash: Digest([number as u8; 32]) };
        let sent = |effects: &[Effect]| effects.iter().filter(|effect| matches!(effect, Effect::Send { .. })).count();
        assert_eq!(sent(&handle(&mut fleet, NOW, Event::AuditAdvanced { head: head(3) })), 1, "it is told");
        assert_eq!(handle(&mut fleet, NOW, says(node, FromAgent::AuditHead(head(3)))), []);
        let out = handle(&mut fleet, NOW, says(node, FromAgent::AuditHead(head(9))));
        assert_eq!(out, [Effect::LookUpHead { node, head: head(9) }]);
        let out = handle(&mut fleet, NOW, Event::HeadUnknown { node, head: head(9) });
        assert_eq!(audited(&out), [(Requester::Node(node), Action::HeadUnknown { node, head: head(9) }, Outcome::Done)]);
        for number in 9..99 {
            let out = handle(&mut fleet, NOW, Event::HeadUnknown { node, head: head(number) });
            assert_eq!(out, [Effect::Publish(Notice::AuditCut { node, head: head(number) })], "told, and not recorded again");
        }
    }
}
