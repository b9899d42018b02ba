//! Messages on their way: lost, late, twice, out of order, cut off. It never looks at what a message means, unless a
//! planted bug says so.

use super::{Count, Happening, Origin, Plant, Simulation, oracle::answered};
use crate::{
    fleet::{Fact, SparkState},
    ids::NodeId,
    time::Span,
    wire::{
        Envelope, FromAgent, ToAgent,
        message::Held,
        task::{FileResult, SparkOutput},
    },
};

/// Where a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    ToMaster,
    ToNode,
}

/// What of a node's link lets nothing through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Cut {
    #[default]
    Nothing,
    Both,
    /// The other way goes on: whoever speaks does not know that nobody hears it.
    One(Way),
}

impl Cut {
    pub(super) fn cuts(self, way: Way) -> bool {
        self == Cut::Both || self == Cut::One(way)
    }
}

impl Simulation {
    pub(super) fn post_to_master(&mut self, origin: Origin, message: &Envelope<FromAgent>) {
        for wait in self.journeys(origin.node, Way::ToMaster) {
            self.after(wait, Happening::MasterHears { origin, message: message.clone() });
        }
    }

    pub(super) fn post_to_node(&mut self, node: NodeId, message: &Envelope<ToAgent>) {
        if self.has_plant(Plant::DropAcknowledge) && matches!(message.body, ToAgent::Acknowledge { .. } | ToAgent::CancelTask { .. }) {
            return;
        }
        for wait in self.journeys(node, Way::ToNode) {
            self.after(wait, Happening::NodeHears { node, message: message.clone() });
        }
    }

    /// How long each copy of a message takes; none for one that is lost.
    fn journeys(&mut self, node: NodeId, way: Way) -> impl Iterator<Item = Span> + use<> {
        let faults = self.scenario.faults;
        let copies = if self.nodes.get(&node).is_none_or(|node| node.is_cut(way)) {
            self.tally.one(Count::MessageCutOff);
            0
        } else if self.trouble(faults.lost) {
            self.tally.one(Count::MessageLost);
            0
        } else if self.trouble(faults.duplicated) {
            self.tally.one(Count::MessageDuplicated);
            2
        } else {
            1
        };
        let waits = [self.journey(faults.late), self.journey(faults.late)];
        waits.into_iter().take(copies)
    }

    /// A late message is overtaken by many others, by restarts, and by the end of what it speaks of.
    fn journey(&mut self, late: u32) -> Span {
        if self.trouble(late) {
            self.tally.one(Count::MessageLate);
            return self.dice.millis(100, 4_000);
        }
        self.dice.millis(1, 20)
    }

    pub(super) fn on_master_hears(&mut self, origin: Origin, message: Envelope<FromAgent>) {
        if self.nodes[&origin.node].is_cut(Way::ToMaster) {
            self.tally.one(Count::MessageCutOff);
            return;
        }
        let said = answered(&message);
        let Some((node, message)) = self.tampered(origin, message) else { return };
        self.tell_master_heard(origin, said, node, message);
    }

    /// What arrives once a planted bug had its way with a message; nothing but planted bugs changes it.
    fn tampered(&mut self, origin: Origin, mut message: Envelope<FromAgent>) -> Option<(NodeId, Envelope<FromAgent>)> {
        if self.has_plant(Plant::AcknowledgeEarly) && self.acknowledge_early(origin.node, &message) {
            return None;
        }
        let mut node = origin.node;
        match self.scenario.plant {
            Some(Plant::AcceptStaleAttempt) => node = self.rejuvenate(node, &mut message),
            Some(Plant::ResurrectedResult) => self.resurrect(&mut message),
            Some(Plant::AnswerOtherwise) => self.answer_otherwise(&mut message),
            Some(Plant::CountLoser) => self.count_loser(&message),
            _ => {}
        }
        Some((node, message))
    }

    /// Rewrites the answer of an earlier attempt into one of the attempt that runs now.
    fn rejuvenate(&self, node: NodeId, message: &mut Envelope<FromAgent>) -> NodeId {
        let FromAgent::Finished { spark, attempt, .. } = &mut message.body else { return node };
        let Some(fleet) = self.master.fleet() else { return node };
        let Some(&SparkState::Running { attempt: present, node: runner }) = fleet.ledger().spark(*spark).map(|spark| &spark.state) else { return node };
        *attempt = present;
        message.incarnation = self.nodes[&runner].incarnation();
        runner
    }

    /// Now and then the results are those of files of an earlier answer.
    fn resurrect(&mut self, message: &mut Envelope<FromAgent>) {
        let FromAgent::Finished { output, .. } = &mut message.body else { return };
        let fresh = output.clone();
        if let (Some(SparkOutput { files, .. }), true) = (&self.oracle.buried, self.dice.chance(1_000)) {
            for (outcome, old) in output.files.iter_mut().zip(files) {
                outcome.result = old.result.clone();
            }
        }
        self.oracle.buried = Some(fresh);
    }

    /// Whoever answers for what is done already has other figures.
    fn answer_otherwise(&self, message: &mut Envelope<FromAgent>) {
        let FromAgent::Finished { spark, output, .. } = &mut message.body else { return };
        if self.master.durable().spark(*spark).is_some_and(|known| known.state == SparkState::Completed) {
            for outcome in &mut output.files {
                if let FileResult::Analysed { summary, .. } = &mut outcome.result {
                    summary.symbols += 1;
                }
            }
        }
    }

    /// The answer of the slower attempt is written down beside that of the faster one.
    fn count_loser(&mut self, message: &Envelope<FromAgent>) {
        let FromAgent::Finished { spark, attempt, output, .. } = &message.body else { return };
        let counted = self.master.durable().spark(*spark).is_some_and(|known| known.state == SparkState::Completed && !known.files.is_empty());
        if counted && self.oracle.is_outrun(Held { spark: *spark, attempt: *attempt }) {
            self.append(Fact::SparkFinished { spark: *spark, output: output.clone(), node: None });
        }
    }

    fn acknowledge_early(&mut self, node: NodeId, message: &Envelope<FromAgent>) -> bool {
        let (FromAgent::Finished { spark, attempt, .. }, true) = (&message.body, self.dice.chance(1_000)) else { return false };
        let Some(fleet) = self.master.fleet() else { return false };
        let body = ToAgent::Acknowledge { spark: *spark, attempt: *attempt };
        let acknowledgement = Envelope { epoch: fleet.epoch(), incarnation: message.incarnation, body };
        self.post_to_node(node, &acknowledgement);
        true
    }
}
