//! Nodes that cannot keep what they make: while a disk is full, its node is idle and would draw spark after spark, each to fail
//! there. It rests, ever longer, and is passed over as long as there is another node for the work.

use super::{Fleet, JobSpec, Node};
use crate::{
    ids::{JobId, NodeId},
    time::{Span, Time},
    wire::task::AttemptError,
};

/// Its queue may have been full, and no more than that.
const REST_FIRST: Span = Span::from_secs(1);
const REST_MAX: Span = Span::from_secs(300);

/// How a node stands with what it could not keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rest {
    /// It is given something else only where nobody else can do it.
    pub until: Option<Time>,
    /// The last one's length; nothing once it has kept something since.
    span: Span,
}

impl Fleet {
    /// A node has failed at something; does that say more of the node than of the work?
    pub(super) fn rest(&mut self, now: Time, id: NodeId, error: &AttemptError) {
        if !matches!(error, AttemptError::Storage(_)) {
            return;
        }
        let rest = &mut self.records.entry(id).or_default().rest;
        // What it was given before the first one failed says nothing new.
        if rest.until.is_none() {
            rest.span = Span((rest.span.0 * 2).clamp(REST_FIRST.0, REST_MAX.0));
            rest.until = Some(now + rest.span);
        }
    }

    /// A node has kept something. While it rests that says little: what needs no room succeeds on a full disk too.
    pub(super) fn end_rests(&mut self, id: NodeId) {
        if let Some(record) = self.records.get_mut(&id).filter(|record| record.rest.until.is_none()) {
            record.rest = Rest::default();
        }
    }

    /// Whoever has rested is tried again.
    pub(super) fn on_rests_due(&mut self, now: Time) {
        let due = self.records.values_mut().filter(|record| record.rest.until.is_some_and(|until| until <= now));
        due.for_each(|record| record.rest.until = None);
    }

    pub(super) fn rest_deadline(&self) -> Option<Time> {
        self.records.values().filter_map(|record| record.rest.until).min()
    }

    fn rests(&self, id: NodeId) -> bool {
        self.records.get(&id).is_some_and(|record| record.rest.until.is_some())
    }

    /// Is there a node for a job that can keep what it makes, as far as anybody knows?
    pub(super) fn has_other_room(&self, job: JobId) -> bool {
        self.eligible(&self.ledger.jobs[&job].spec).any(|(id, node)| node.is_reachable() && !self.rests(id))
    }

    /// Nodes that a job's sparks may run on, with room or without.
    pub(super) fn eligible<'a>(&'a self, spec: &'a JobSpec) -> impl Iterator<Item = (NodeId, &'a Node)> {
        let able = move || {
            self.nodes
                .iter()
                .filter(move |(id, node)| node.can_do(spec) && self.is_open(**id) && self.is_meant(spec, **id) && self.is_large_enough(spec, **id, node))
        };
        let is_out = move |id: NodeId| self.rests(id) || self.is_stalled(id);
        let may_rest = able().any(|(id, _)| is_out(*id)) && able().any(|(id, node)| node.is_reachable() && !is_out(*id));
        able().filter(move |(id, _)| !(may_rest && is_out(**id))).map(|(id, node)| (*id, node))
    }
}

#[cfg(test)]
mod tests {
    use alloc::{boxed::Box, collections::BTreeMap, vec, vec::Vec};

    use super::*;
    use crate::{
        fleet::{Effect, Event, JobStatus, JobType, Ledger, ListedFile, Priority, Settings, Submission},
        ids::{Attempt, Digest, Epoch, Incarnation, SparkId},
        paths::RelativePath,
        wire::{Envelope, FromAgent, ToAgent, task::SparkOutput},
    };

    const FULL: NodeId = NodeId(1);

    /// Does as the nodes would, of which the first can keep nothing. Counts what each was given.
    struct Play {
        fleet: Fleet,
        now: Time,
        given: BTreeMap<NodeId, u32>,
        full: bool,
    }

    impl Play {
        fn of(nodes: u64) -> Play {
            let now = Time(1_000_000);
            let fleet = Fleet::recover(Settings::default(), Ledger::default(), now, &mut Vec::new());
            let mut play = Play { fleet, now, given: BTreeMap::new(), full: true };
            for node in 1..=nodes {
                play.pair();
                play.says(NodeId(node), FromAgent::Hello { slots: 1, fingerprint: Digest::default(), held: vec![], programs: vec![], profile: Box::default() });
            }
            play
        }

        fn pair(&mut self) {
            self.fleet.handle(self.now, Event::NodeJoined { name: "a".into(), address: None }, &mut Vec::new());
        }

        fn says(&mut self, node: NodeId, body: FromAgent) {
            let node = *self.fleet.ledger().nodes.keys().nth(node.0 as usize - 1).unwrap();
            let mut out = Vec::new();
            let message = Envelope { epoch: Epoch(1), incarnation: Incarnation(1), body };
            self.fleet.handle(self.now, Event::Received { node, message }, &mut out);
            self.answer(out);
        }

        fn answer(&mut self, out: Vec<Effect>) {
            self.fleet.check();
            for effect in out {
                let Effect::Send { to, message: Envelope { body: ToAgent::ExecuteTask(task), .. } } = effect else { continue };
                let place = self.fleet.ledger().nodes.keys().position(|id| *id == to).unwrap() as u64 + 1;
                *self.given.entry(NodeId(place)).or_default() += 1;
                let (spark, attempt): (SparkId, Attempt) = (task.spark, task.attempt);
                let body = match NodeId(place) == FULL && self.full {
                    true => FromAgent::Failed { spark, attempt, error: AttemptError::Storage("no space left".into()) },
                    false => FromAgent::Finished { spark, attempt, output: SparkOutput::default(), took: Span(1_000) },
                };
                self.now += Span(1_000);
                self.says(NodeId(place), body);
            }
        }

        /// As the tail of a job, which is brought back to the full node each time the other one is busy.
        fn fail_at(&mut self, full: NodeId, spark: SparkId) {
            let error = AttemptError::Storage("no space left".into());
            let Some(held) = self.fleet.flights.of_spark(spark).first().copied() else { return };
            self.fleet.note_failed(self.now, full, &error);
            self.fleet.give_up(self.now, held, error, &mut Vec::new());
            self.fleet.handle(self.now, Event::Woken, &mut Vec::new());
        }

        fn work(&mut self, sparks: u32) -> JobStatus {
            let mut out = Vec::new();
            let spec = JobSpec { placement: crate::fleet::Placement::RoundRobin, ..JobSpec::without_tree(None, Priority::Normal, vec![]) };
            self.fleet.handle(self.now, Event::WorkSubmitted { spec, sparks }, &mut out);
            let job = *self.fleet.ledger().jobs.keys().last().unwrap();
            self.answer(out);
            while !self.fleet.ledger().jobs[&job].status.is_over() {
                self.now = self.fleet.next_deadline().unwrap().max(self.now);
                let mut out = Vec::new();
                self.fleet.handle(self.now, Event::Woken, &mut out);
                self.answer(out);
            }
            self.fleet.ledger().jobs[&job].status
        }
    }

    #[test]
    fn a_node_that_can_keep_nothing_is_passed_over_and_fails_nobody_s_job() {
        let mut play = Play::of(2);
        assert_eq!(play.work(100), JobStatus::Completed);
        assert!(play.given[&FULL] < 10, "{:?}", play.given);
        let before = play.given[&FULL];
        play.full = false;
        assert_eq!(play.work(10), JobStatus::Completed);
        // Once it has rested it has its share again.
        play.now += REST_MAX;
        play.fleet.handle(play.now, Event::Woken, &mut Vec::new());
        for node in [1, 2] {
            play.says(NodeId(node), FromAgent::Hello { slots: 1, fingerprint: Digest::default(), held: vec![], programs: vec![], profile: Box::default() });
        }
        assert_eq!(play.work(100), JobStatus::Completed);
        assert!(play.given[&FULL] > before + 20, "{:?}", play.given);
    }

    #[test]
    fn what_one_node_could_not_keep_is_held_against_no_spark_while_another_can() {
        let mut play = Play::of(2);
        play.fleet.handle(play.now, Event::ProjectAdded { name: "p".into(), root: b"/p".to_vec() }, &mut Vec::new());
        let project = play.fleet.ledger().projects.keys().next().copied();
        let spec = JobSpec { project, job_type: JobType::FullAnalysis, ..JobSpec::without_tree(None, Priority::Normal, vec![]) };
        let path = RelativePath::new(b"a.c".to_vec()).unwrap();
        let files = vec![ListedFile { path, size: 1, language: "c".into(), complexity: 0, cluster: 0, content: None, is_disputed: false }];
        play.fleet.handle(play.now, Event::JobSubmitted(Submission { spec, files }), &mut Vec::new());
        let (job, full) = (*play.fleet.ledger().jobs.keys().next().unwrap(), *play.fleet.ledger().nodes.keys().next().unwrap());
        let (spark, tries) = (SparkId { job, number: 0 }, play.fleet.settings.attempts_max);
        for round in 1..tries {
            play.fail_at(full, spark);
            let state = play.fleet.ledger().spark(spark).unwrap();
            assert_eq!((state.failures, state.attempts), (0, round + 1), "it flies again at once");
        }
        // A fleet whose nodes fill up in turn is not asked for ever.
        play.fail_at(full, spark);
        assert_eq!(play.fleet.ledger().spark(spark).unwrap().failures, 1);
    }

    #[test]
    fn each_rest_is_longer_than_the_one_before_until_something_was_kept() {
        let mut play = Play::of(2);
        let full = *play.fleet.ledger().nodes.keys().next().unwrap();
        let error = AttemptError::Storage("no space left".into());
        let mut rests = Vec::new();
        for _ in 0..12 {
            play.fleet.rest(play.now, full, &error);
            let until = play.fleet.rest_deadline().unwrap();
            play.fleet.end_rests(full);
            play.fleet.rest(play.now, full, &error);
            assert_eq!(play.fleet.rest_deadline(), Some(until), "what it had before says nothing, well or not");
            rests.push(until - play.now);
            play.now = until;
            play.fleet.on_rests_due(play.now);
            assert!(!play.fleet.rests(full));
        }
        assert_eq!((rests[0], rests[1], rests[2], rests[11]), (REST_FIRST, Span::from_secs(2), Span::from_secs(4), REST_MAX));
        play.fleet.end_rests(full);
        play.fleet.rest(play.now, full, &error);
        assert_eq!(play.fleet.rest_deadline(), Some(play.now + REST_FIRST));
    }

    #[test]
    fn where_there_is_no_other_it_is_tried_until_that_is_enough() {
        let mut play = Play::of(1);
        assert_eq!(play.work(1), JobStatus::Failed);
        assert_eq!(play.given[&FULL], play.fleet.settings.failures_max);
    }
}
