//! The tail of a job: a spark that is expected to be late is run a second time on a node that has nothing to do, and the
//! first answer counts.
//!
//! Only analyses: their answer is the same wherever it is made, and making it changes nothing. Never a command, and never a
//! spark that may take its process with it. What a copy comes to is for `attempts` to say.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::cmp::Reverse;

use super::{Effect, Fleet, Flight, Node, Placement, Runnable};
use crate::{
    ids::{JobId, NodeId, SparkId},
    time::{Span, Time},
    wire::message::Held,
};

/// Between two looks for late attempts: a look costs as much as there are attempts in the air.
const LOOK_EVERY: Span = Span::from_millis(20);
/// A copy is begun only where it spares at least this: a record, a message and a second run of the work are not for nothing.
const SPARED_MIN: Span = Span::from_millis(50);
/// And at least such a part of what it takes itself: estimates err.
const SPARED_PART: u64 = 4;
/// An attempt that has taken so many times a half of what was expected is late: it is believed to take as long again.
const LATE_HALVES: u64 = 3;
/// Sparks of a job that may be copied however few it has: all that a node of eight slots has when it stalls.
const COPIES_ALWAYS: u64 = 16;
/// Late attempts that are considered in one look, the latest first; the next look is soon.
const CONSIDERED_MAX: usize = 64;

/// How much longer an attempt is expected to run that has run for so long.
fn remaining(elapsed: Span, estimate: Span) -> Span {
    if elapsed.0.saturating_mul(2) > estimate.0.saturating_mul(LATE_HALVES) { elapsed } else { Span(estimate.0.saturating_sub(elapsed.0)) }
}

impl Fleet {
    pub(super) fn copy_late_sparks(&mut self, now: Time, out: &mut Vec<Effect>) {
        if now < self.flights.look_at {
            return;
        }
        let tails: Vec<JobId> = self.active.iter().filter(|(id, runnable)| self.is_tail(**id, runnable)).map(|(id, _)| *id).collect();
        if tails.is_empty() || self.nodes.values().all(|node| !node.is_reachable() || !node.has_free_slot()) {
            return;
        }
        self.flights.look_at = now + LOOK_EVERY;
        for (Reverse(remaining), held) in self.late_ones(now, &tails).into_iter().take(CONSIDERED_MAX) {
            let spark = held.spark;
            if let Some(node) = self.is_tail(spark.job, &self.active[&spark.job]).then(|| self.faster_node(held, remaining)).flatten() {
                self.active.get_mut(&spark.job).expect("it is a tail").copies += 1;
                self.begin(now, spark, node, out);
            }
        }
    }

    /// Has the job nothing left to begin but copies, and some of these? One that was asked for a placement by another rule is
    /// placed by that rule alone.
    fn is_tail(&self, id: JobId, runnable: &Runnable) -> bool {
        let job = &self.ledger.jobs[&id];
        let share = u64::from(self.settings.copies_per_hundred);
        let copies_max = if share == 0 { 0 } else { (job.sparks.len() as u64 * share / 100).max(COPIES_ALWAYS) };
        job.spec.project.is_some()
            && job.spec.placement == Placement::Intelligent
            && runnable.ready.is_empty()
            && u64::from(runnable.copies) < copies_max
            && self.may_run(id)
    }

    /// Attempts of these jobs that may be copied, with how much longer they are expected to take: the latest first.
    fn late_ones(&self, now: Time, tails: &[JobId]) -> Vec<(Reverse<Span>, Held)> {
        let flying = || tails.iter().flat_map(|job| self.flights.of_job(*job));
        let nodes: BTreeSet<NodeId> = flying().map(|(_, flight)| flight.node).collect();
        // What a node that is not here yet has is asked of it when it is back.
        let expected: BTreeMap<Held, Span> =
            nodes.into_iter().filter(|node| self.nodes.contains_key(node)).flat_map(|node| self.expected_on(now, node)).collect();
        let held = |(spark, flight): (SparkId, &Flight)| Held { spark, attempt: flight.attempt };
        let may_be_copied = |held: &Held| !self.flights.is_copied(held.spark) && self.is_above_suspicion(held.spark);
        let late = flying().map(held).filter(may_be_copied).filter_map(|held| Some((Reverse(*expected.get(&held)?), held)));
        let mut late: Vec<(Reverse<Span>, Held)> = late.filter(|(Reverse(remaining), _)| *remaining >= SPARED_MIN).collect();
        late.sort_unstable();
        late
    }

    /// It has failed nobody: its next attempt would be a whole one again, and no file of it can take a third process.
    fn is_above_suspicion(&self, spark: SparkId) -> bool {
        !self.was_whole_often_enough(spark) && self.ledger.spark(spark).is_some_and(|spark| !spark.isolated && spark.failures == 0)
    }

    /// How long each of the attempts that a node has is expected to take from now on: they run in the order in which they
    /// were sent, in as many slots as there are.
    fn expected_on(&self, now: Time, id: NodeId) -> Vec<(Held, Span)> {
        let node = &self.nodes[&id];
        let mut line: Vec<(Held, &Flight)> = node.held.iter().map(|held| (*held, self.flights.get(*held).expect("what a node holds is in flight"))).collect();
        line.sort_by_key(|(held, flight)| (flight.runs_since.is_none(), flight.begun_at, *held));
        let mut slots: BTreeSet<(Span, u32)> = (0..node.slots.max(1)).map(|slot| (Span(0), slot)).collect();
        let mut expected = Vec::with_capacity(line.len());
        for (held, flight) in line {
            let (free_in, slot) = slots.pop_first().expect("there is a slot at least");
            let estimate = self.speeds.estimate(id, &flight.size);
            let runs = flight.runs_since.map_or(estimate, |since| remaining(now - since, estimate));
            let done_in = Span(free_in.0.saturating_add(runs.0));
            slots.insert((done_in, slot));
            expected.push((held, done_in));
        }
        expected
    }

    /// A node with a free slot that would be done with it so much sooner that a copy is worth it.
    fn faster_node(&self, held: Held, remaining: Span) -> Option<NodeId> {
        let flight = self.flights.get(held)?;
        let idle =
            self.eligible(&self.ledger.jobs[&held.spark.job].spec).filter(|(id, node)| *id != flight.node && node.is_reachable() && node.has_free_slot());
        let (takes, node) = idle.map(|(id, _)| (self.speeds.estimate(id, &flight.size), id)).min()?;
        let spared = Span(remaining.0.saturating_sub(takes.0));
        (spared >= SPARED_MIN.max(Span(takes.0 / SPARED_PART))).then_some(node)
    }

    /// Slots of a node may be free: what was sent to it first of what waits runs from now on.
    pub(super) fn take_slots(&mut self, now: Time, id: NodeId) {
        while let Some(node) = self.nodes.get_mut(&id)
            && let Some(held) = node.line.front().copied()
        {
            if node.held.contains(&held) {
                let flight = self.flights.get_mut(held).expect("what a node holds is in flight");
                if !node.has_free_slots_for(flight.needs) {
                    return;
                }
                node.takes_slots(now, flight);
                flight.runs_since = Some(now);
            }
            node.line.pop_front();
        }
    }

    /// A node that introduces itself has what it kept: what did not run before waits, or runs now.
    pub(super) fn line_up(&mut self, now: Time, id: NodeId) {
        let node = self.nodes.get_mut(&id).expect("it just said Hello");
        let flying = |held: &Held| self.flights.get(*held).expect("what a node holds is in flight");
        let (runs, mut waits): (Vec<Held>, Vec<Held>) = node.held.iter().partition(|held| flying(held).runs_since.is_some());
        waits.sort_by_key(|held| (flying(held).begun_at, *held));
        node.line = waits.into();
        runs.iter().for_each(|held| node.takes_slots(now, flying(held)));
        self.take_slots(now, id);
    }

    /// What flies of a spark is about to be called back for being slower. It took so much at least: a node that never ends
    /// anything would be taken for as fast as the others for ever.
    pub(super) fn learn_lateness(&mut self, now: Time, spark: SparkId) {
        for held in self.flights.of_spark(spark) {
            let Some(Flight { node, runs_since: Some(since), size, .. }) = self.flights.get(held) else { continue };
            let is_well = self.nodes.get(node).is_some_and(Node::is_reachable);
            if is_well && now - *since > self.speeds.estimate(*node, size) {
                self.speeds.learn(*node, size, now - *since);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::{boxed::Box, vec};

    use super::*;
    use crate::{
        fleet::{CommandSpec, Event, Fact, JobSpec, JobStatus, JobType, Ledger, ListedFile, Needs, NodeCommand, Priority, Settings, SparkState, Submission},
        ids::{Attempt, Digest, Epoch, Incarnation, ProjectId},
        paths::RelativePath,
        wire::{
            Envelope, FromAgent, ToAgent,
            command::CommandLine,
            record::FileSummary,
            task::{AttemptError, FileOutcome, FileResult, RecordRef, SparkOutput},
        },
    };

    const NOW: Time = Time(1_000_000);
    const LATER: Time = Time(2_000_000);
    const ONE: NodeId = NodeId(1);
    const TWO: NodeId = NodeId(2);
    const FIRST: Attempt = Attempt(1);
    const SECOND: Attempt = Attempt(2);

    fn handle(fleet: &mut Fleet, now: Time, event: Event) -> Vec<Effect> {
        let mut out = Vec::new();
        fleet.handle(now, event, &mut out);
        fleet.check();
        out
    }

    fn says(fleet: &mut Fleet, now: Time, node: NodeId, body: FromAgent) -> Vec<Effect> {
        handle(fleet, now, Event::Received { node, message: Envelope { epoch: Epoch(1), incarnation: Incarnation(1), body } })
    }

    fn hello(fleet: &mut Fleet, now: Time, node: NodeId, held: Vec<Held>) -> Vec<Effect> {
        let body = FromAgent::Hello { slots: 1, fingerprint: Digest::default(), held, programs: vec!["make".into()], profile: Box::default() };
        says(fleet, now, node, body)
    }

    fn beat(fleet: &mut Fleet, now: Time, node: NodeId, held: Vec<Held>) -> Vec<Effect> {
        says(fleet, now, node, FromAgent::Heartbeat { held, load: Default::default(), pace: Span::from_millis(500) })
    }

    /// Two nodes are paired and only the first is here.
    fn fleet(settings: Settings) -> Fleet {
        let mut ledger = Ledger::default();
        for (node, name) in [(ONE, "one"), (TWO, "two")] {
            ledger.apply(&Fact::NodePaired { node, name: name.into(), at: NOW });
        }
        let mut fleet = Fleet::recover(settings, ledger, NOW, &mut Vec::new());
        hello(&mut fleet, NOW, ONE, vec![]);
        fleet
    }

    fn submit(fleet: &mut Fleet) -> SparkId {
        handle(fleet, NOW, Event::ProjectAdded { name: "p".into(), root: b"/p".to_vec() });
        let project: ProjectId = *fleet.ledger().projects.keys().last().unwrap();
        let spec = JobSpec { project: Some(project), job_type: JobType::FullAnalysis, ..JobSpec::without_tree(None, Priority::Normal, vec![]) };
        let path = RelativePath::new(b"a.c".to_vec()).unwrap();
        let files = vec![ListedFile { path, size: 1, language: "c".into(), complexity: 0, cluster: 0, content: None, is_disputed: false }];
        handle(fleet, NOW, Event::JobSubmitted(Submission { spec, files }));
        SparkId { job: *fleet.ledger().jobs.keys().last().unwrap(), number: 0 }
    }

    /// The first node has the only spark for a second, which should have taken a moment; the second one comes.
    fn raced() -> (Fleet, SparkId, Vec<Effect>) {
        let mut fleet = fleet(Settings::default());
        let spark = submit(&mut fleet);
        hello(&mut fleet, NOW, TWO, vec![]);
        assert_eq!(runs(&fleet, spark), Some((FIRST, ONE)));
        let out = beat(&mut fleet, LATER, TWO, vec![]);
        assert_eq!(runs(&fleet, spark), Some((SECOND, TWO)));
        (fleet, spark, out)
    }

    fn runs(fleet: &Fleet, spark: SparkId) -> Option<(Attempt, NodeId)> {
        match fleet.ledger().spark(spark).unwrap().state {
            SparkState::Running { attempt, node } => Some((attempt, node)),
            _ => None,
        }
    }

    fn finish(fleet: &mut Fleet, spark: SparkId, attempt: Attempt, node: NodeId) -> Vec<Effect> {
        let result = FileResult::Analysed {
            content: Digest([1; 32]),
            language: "c".into(),
            record: RecordRef { pack: Digest([3; 32]), entry: 0 },
            summary: FileSummary::default(),
        };
        let output = SparkOutput { files: vec![FileOutcome { index: 0, stat: None, result }], ..SparkOutput::default() };
        says(fleet, LATER, node, FromAgent::Finished { spark, attempt, output, took: Span::from_millis(1) })
    }

    fn fail(fleet: &mut Fleet, spark: SparkId, attempt: Attempt, node: NodeId) -> Vec<Effect> {
        says(fleet, LATER, node, FromAgent::Failed { spark, attempt, error: AttemptError::Storage("full".into()) })
    }

    fn facts(out: &[Effect]) -> Vec<&Fact> {
        let mut facts = Vec::new();
        for effect in out {
            if let Effect::Record(fact) = effect {
                facts.push(fact);
            }
        }
        facts
    }

    fn called_back(out: &[Effect]) -> Vec<(NodeId, Attempt)> {
        let call = |effect: &Effect| match effect {
            Effect::Send { to, message: Envelope { body: ToAgent::CancelTask { attempt, .. }, .. } } => Some((*to, *attempt)),
            _ => None,
        };
        out.iter().filter_map(call).collect()
    }

    #[test]
    fn what_is_late_is_run_once_more_where_nothing_is_to_do() {
        let (fleet, spark, out) = raced();
        assert_eq!(facts(&out), [&Fact::SparkStarted { spark, attempt: SECOND, node: TWO }]);
        let sent = |effect: &Effect| matches!(effect, Effect::Send { to: TWO, message } if matches!(message.body, ToAgent::ExecuteTask(_)));
        assert!(out.iter().any(sent));
        assert_eq!(called_back(&out), [], "the first answer counts, whoever gives it");
        let held = [ONE, TWO].map(|node| fleet.held_by(node).map(|(held, _)| held.attempt).collect::<Vec<_>>());
        assert_eq!(held, [vec![FIRST], vec![SECOND]]);
    }

    #[test]
    fn the_first_answer_counts_and_the_other_attempt_is_called_back() {
        for (winner, loser) in [((SECOND, TWO), (FIRST, ONE)), ((FIRST, ONE), (SECOND, TWO))] {
            let (mut fleet, spark, _) = raced();
            let out = finish(&mut fleet, spark, winner.0, winner.1);
            assert!(matches!(facts(&out)[..], [Fact::SparkFinished { .. }]), "{out:?}");
            assert_eq!(called_back(&out), [(loser.1, loser.0)]);
            let out = finish(&mut fleet, spark, loser.0, loser.1);
            assert_eq!((facts(&out), fleet.stale_messages(), fleet.duplicates()), (vec![], 0, 1), "the other answer came too late");
        }
    }

    #[test]
    fn a_node_that_was_outrun_is_not_taken_for_fast_any_more() {
        let (mut fleet, spark, _) = raced();
        let size = super::super::placement::size_of(&fleet.ledger().jobs[&spark.job], 0);
        finish(&mut fleet, spark, SECOND, TWO);
        let [one, two] = [ONE, TWO].map(|node| fleet.speeds.estimate(node, &size));
        assert!(one > Span::from_millis(900) && two < Span::from_millis(2), "{one:?} {two:?}");
    }

    #[test]
    fn an_earlier_attempt_that_falls_is_no_loss() {
        let (mut fleet, spark, _) = raced();
        let out = fail(&mut fleet, spark, FIRST, ONE);
        assert_eq!((facts(&out), runs(&fleet, spark)), (vec![], Some((SECOND, TWO))));
        assert_eq!(fleet.record_of(ONE).unwrap().tally.failed, 1, "it has to answer for it");
        let (mut fleet, spark, _) = raced();
        let out = handle(&mut fleet, LATER, Event::NodeDisconnected { node: ONE });
        assert_eq!((facts(&out), runs(&fleet, spark)), (vec![], Some((SECOND, TWO))));
        finish(&mut fleet, spark, SECOND, TWO);
        assert_eq!(fleet.ledger().spark(spark).unwrap().state, SparkState::Completed);
    }

    #[test]
    fn a_copy_that_falls_leaves_the_earlier_attempt_and_is_not_made_again() {
        let (mut fleet, spark, _) = raced();
        let out = fail(&mut fleet, spark, SECOND, TWO);
        let error = AttemptError::Storage("full".into());
        assert_eq!(facts(&out), [&Fact::CopyDropped { spark, error, attempt: FIRST, node: ONE }]);
        beat(&mut fleet, LATER + Span::from_secs(1), TWO, vec![]);
        assert_eq!(runs(&fleet, spark), Some((FIRST, ONE)));
        let known = fleet.ledger().spark(spark).unwrap();
        assert_eq!((known.attempts, known.failures), (2, 0), "no number is given twice");
        fail(&mut fleet, spark, FIRST, ONE);
        let known = fleet.ledger().spark(spark).unwrap();
        assert!(known.isolated && known.failures == 0, "it was whole twice, and full disks are not its fault: {known:?}");
    }

    #[test]
    fn a_master_that_returns_knows_the_copy_and_calls_the_earlier_attempt_back() {
        let (fleet, spark, _) = raced();
        let mut fleet = Fleet::recover(Settings::default(), fleet.ledger().clone(), LATER, &mut Vec::new());
        let out = hello(&mut fleet, LATER, ONE, vec![Held { spark, attempt: FIRST }]);
        assert_eq!(called_back(&out), [(ONE, FIRST)]);
        let out = hello(&mut fleet, LATER, TWO, vec![Held { spark, attempt: SECOND }]);
        assert_eq!((called_back(&out), runs(&fleet, spark)), (vec![], Some((SECOND, TWO))));
    }

    #[test]
    fn both_nodes_may_say_hello_again_and_beat() {
        let (mut fleet, spark, _) = raced();
        for (node, attempt) in [(ONE, FIRST), (TWO, SECOND)] {
            let held = Held { spark, attempt };
            assert_eq!(called_back(&hello(&mut fleet, LATER, node, vec![held])), []);
            assert_eq!(called_back(&beat(&mut fleet, LATER, node, vec![held])), []);
            let lost = beat(&mut fleet, LATER + Settings::default().resend_after, node, vec![]);
            let again = |effect: &Effect| matches!(effect, Effect::Send { to, message } if *to == node && matches!(&message.body, ToAgent::ExecuteTask(task) if task.attempt == attempt));
            assert!(lost.iter().any(again), "what was lost on the way is sent again");
        }
        assert_eq!(runs(&fleet, spark), Some((SECOND, TWO)));
    }

    #[test]
    fn a_node_that_drains_gives_its_half_of_the_race_up() {
        for (node, left) in [(ONE, (SECOND, TWO)), (TWO, (FIRST, ONE))] {
            let (mut fleet, spark, _) = raced();
            let out = handle(&mut fleet, LATER, Event::NodeCommanded { node, command: NodeCommand::Drain { within: Some(Span(0)) } });
            assert!(out.contains(&Effect::Record(Fact::NodeDrained { node, at: LATER })));
            assert_eq!((called_back(&out).len(), runs(&fleet, spark)), (1, Some(left)));
        }
    }

    #[test]
    fn a_master_that_stops_and_a_person_who_cancels_call_both_back() {
        let (mut fleet, spark, _) = raced();
        let out = handle(&mut fleet, LATER, Event::Stopping);
        assert!(called_back(&out).is_empty(), "its successor finds both");
        fleet.settings.resume_recovered = false;
        let out = handle(&mut fleet, LATER, Event::Stopping);
        assert_eq!(called_back(&out), [(TWO, SECOND), (ONE, FIRST)]);
        assert!(matches!(fleet.ledger().spark(spark).unwrap().state, SparkState::Queued { .. }));
        let (mut fleet, spark, _) = raced();
        let out = handle(&mut fleet, LATER, Event::SparkCancelled { spark });
        assert_eq!(called_back(&out), [(TWO, SECOND), (ONE, FIRST)]);
        assert_eq!(fleet.ledger().jobs[&spark.job].status, JobStatus::Failed);
    }

    #[test]
    fn two_attempts_that_are_overdue_are_one_failure() {
        let (mut fleet, spark, _) = raced();
        let settings = Settings::default();
        let overdue = LATER + settings.attempt_max(&fleet.ledger().jobs[&spark.job].spec);
        // In time all the while, and with nothing to say but that it is there.
        fleet.nodes.values_mut().for_each(|node| node.last_heard = overdue);
        fleet.quiet_until = overdue;
        let out = handle(&mut fleet, overdue, Event::Woken);
        assert_eq!(called_back(&out), [(TWO, SECOND), (ONE, FIRST)]);
        assert_eq!(fleet.ledger().spark(spark).unwrap().failures, 1);
    }

    #[test]
    fn nothing_is_copied_that_has_effects_or_is_suspect_or_is_not_late() {
        let mut fleet = fleet(Settings::default());
        let line = CommandLine { program: "make".into(), ..CommandLine::default() };
        let command = CommandSpec { line, tries: 1, timeout: Span::from_secs(60), needs: Needs::default(), project: None };
        handle(&mut fleet, NOW, Event::WorkSubmitted { spec: JobSpec::without_tree(Some(command), Priority::Normal, vec![]), sparks: 1 });
        hello(&mut fleet, NOW, TWO, vec![]);
        let out = beat(&mut fleet, LATER + Span::from_secs(5), TWO, vec![]);
        assert_eq!(facts(&out), Vec::<&Fact>::new(), "a command has effects");

        let mut fleet = tests::fleet(Settings::default());
        let spark = submit(&mut fleet);
        hello(&mut fleet, NOW, TWO, vec![]);
        let out = beat(&mut fleet, NOW + Span::from_millis(40), TWO, vec![]);
        assert_eq!(facts(&out), Vec::<&Fact>::new(), "too little would be spared");
        says(&mut fleet, NOW, ONE, FromAgent::Failed { spark, attempt: FIRST, error: AttemptError::Crashed("signal 11".into()) });
        let again = fleet.next_deadline().unwrap();
        handle(&mut fleet, again, Event::Woken);
        let runner = runs(&fleet, spark).unwrap();
        for node in [ONE, TWO] {
            let held = fleet.held_by(node).map(|(held, _)| held).collect();
            beat(&mut fleet, again + Span::from_secs(1), node, held);
        }
        assert_eq!(runs(&fleet, spark), Some(runner), "it may take its process with it");
    }

    #[test]
    fn copies_can_be_forbidden() {
        let mut fleet = fleet(Settings { copies_per_hundred: 0, ..Settings::default() });
        let spark = submit(&mut fleet);
        hello(&mut fleet, NOW, TWO, vec![]);
        beat(&mut fleet, LATER, TWO, vec![]);
        assert_eq!(runs(&fleet, spark), Some((FIRST, ONE)));
    }
}
