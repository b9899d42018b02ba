//! Second answers for a spark that is completed: of a copy that was outrun, of a node that was given up and is back. They count
//! nothing, and have to say the same. Where they do not, neither node is believed, and the files are reported as failed.
//!
//! Only nodes that were given the attempt are heard, and only while the job is not over: what its files came to is with the
//! ledger for as long.

use alloc::vec::Vec;

use super::{Effect, Fact, Fleet, Notice, SparkState};
use crate::{
    aggregate,
    ids::NodeId,
    wire::{
        message::Held,
        task::{FileOutcome, SparkOutput},
    },
};

impl Fleet {
    /// An answer that nobody waits for.
    pub(super) fn on_late_answer(&mut self, node: NodeId, held: Held, output: &SparkOutput, out: &mut Vec<Effect>) {
        let was_asked = self.flights.forget_lost(held, node);
        match self.contradictions(held, output).filter(|_| was_asked) {
            None => self.stale_messages += 1,
            Some(outcomes) if outcomes.is_empty() => self.duplicates += 1,
            Some(outcomes) => self.dispute(node, held, outcomes, out),
        }
    }

    /// What an answer says otherwise than the one that counts; `None` where there is nothing to compare it with.
    fn contradictions(&self, held: Held, output: &SparkOutput) -> Option<Vec<FileOutcome>> {
        self.ledger.spark(held.spark).filter(|spark| spark.state == SparkState::Completed && !spark.files.is_empty())?;
        let job = self.ledger.jobs.get(&held.spark.job).filter(|job| !job.status.is_over())?;
        self.fits(held.spark, output).ok()?;
        let contradicts = |outcome: &&FileOutcome| {
            let pinned = job.files[outcome.index as usize].content.is_some();
            job.aggregate.get(outcome.index).is_some_and(|counted| aggregate::contradict(counted, outcome, pinned))
        };
        Some(output.files.iter().filter(contradicts).cloned().collect())
    }

    fn dispute(&mut self, node: NodeId, Held { spark, attempt }: Held, outcomes: Vec<FileOutcome>, out: &mut Vec<Effect>) {
        let path = self.ledger.jobs[&spark.job].files[outcomes[0].index as usize].path.clone();
        let first = self.ledger.spark(spark).and_then(|known| known.answered_by);
        self.record(Fact::SparkDisputed { spark, attempt, node, first, path, outcomes }, out);
        // A result that is being stored holds what nobody believes any more: whoever stores it is asked anew.
        self.active.get_mut(&spark.job).expect("its job is not over").storing = None;
        out.push(Effect::Publish(Notice::JobChanged(spark.job)));
    }
}

#[cfg(test)]
mod tests {
    use alloc::{boxed::Box, vec};

    use super::*;
    use crate::{
        aggregate::Totals,
        fleet::{Dispute, Event, JobSpec, JobStatus, JobType, Ledger, ListedFile, Partitioning, Pending, Priority, ResultSummary, Settings, Submission},
        ids::{Attempt, Digest, Epoch, Incarnation, JobId, SparkId},
        paths::RelativePath,
        time::{Span, Time},
        wire::{
            Envelope, FromAgent,
            record::FileSummary,
            task::{FailReason, FileResult, FileStat, RecordRef},
        },
    };

    const NOW: Time = Time(1_000_000);
    const ONE: NodeId = NodeId(1);
    const TWO: NodeId = NodeId(2);
    const THREE: NodeId = NodeId(3);
    const FIRST: Attempt = Attempt(1);
    const SECOND: Attempt = Attempt(2);

    fn handle(fleet: &mut Fleet, event: Event) -> Vec<Effect> {
        let mut out = Vec::new();
        fleet.handle(NOW, event, &mut out);
        fleet.check();
        out
    }

    fn says(fleet: &mut Fleet, node: NodeId, body: FromAgent) -> Vec<Effect> {
        handle(fleet, Event::Received { node, message: Envelope { epoch: Epoch(1), incarnation: Incarnation(1), body } })
    }

    fn hello(fleet: &mut Fleet, node: NodeId) {
        says(fleet, node, FromAgent::Hello { slots: 2, fingerprint: Digest::default(), held: vec![], programs: vec![], profile: Box::default() });
    }

    /// A job of two sparks of two files each. The first node had both, was believed lost, and is back; the second one has them now.
    fn lost_and_back(content: Option<Digest>) -> (Fleet, SparkId) {
        let mut ledger = Ledger::default();
        for (node, name) in [(ONE, "one"), (TWO, "two"), (THREE, "three")] {
            ledger.apply(&Fact::NodePaired { node, name: name.into(), at: NOW });
        }
        let mut fleet = Fleet::recover(Settings::default(), ledger, NOW, &mut Vec::new());
        handle(&mut fleet, Event::ProjectAdded { name: "p".into(), root: b"/p".to_vec() });
        let project = *fleet.ledger().projects.keys().last().unwrap();
        let spec = JobSpec {
            project: Some(project),
            job_type: JobType::FullAnalysis,
            partitioning: Partitioning::ByLanguage,
            ..JobSpec::without_tree(None, Priority::Normal, vec![])
        };
        let file = |path: &str, language: &str| {
            let path = RelativePath::new(path.as_bytes().to_vec()).unwrap();
            ListedFile { path, size: 1, language: language.into(), complexity: 0, cluster: 0, content, is_disputed: false }
        };
        let files = vec![file("a.c", "c"), file("b.c", "c"), file("a.go", "go"), file("b.go", "go")];
        hello(&mut fleet, ONE);
        handle(&mut fleet, Event::JobSubmitted(Submission { spec, files }));
        let job = *fleet.ledger().jobs.keys().last().unwrap();
        hello(&mut fleet, TWO);
        handle(&mut fleet, Event::NodeDisconnected { node: ONE });
        hello(&mut fleet, ONE);
        hello(&mut fleet, THREE);
        let spark = SparkId { job, number: 0 };
        assert_eq!(fleet.ledger().jobs[&job].sparks.len(), 2);
        assert_eq!(fleet.ledger().spark(spark).unwrap().state, SparkState::Running { attempt: SECOND, node: TWO });
        (fleet, spark)
    }

    fn analysed(index: u32, content: u8, symbols: u32, pack: u8) -> FileOutcome {
        let record = RecordRef { pack: Digest([pack; 32]), entry: 0 };
        let summary = FileSummary { symbols, ..FileSummary::default() };
        FileOutcome { index, stat: None, result: FileResult::Analysed { content: Digest([content; 32]), language: "c".into(), record, summary } }
    }

    fn failed(index: u32, reason: FailReason) -> FileOutcome {
        FileOutcome { index, stat: None, result: FileResult::Failed(reason) }
    }

    fn finish(fleet: &mut Fleet, node: NodeId, spark: SparkId, attempt: Attempt, files: [FileOutcome; 2]) -> Vec<Effect> {
        let output = SparkOutput { files: files.into(), ..SparkOutput::default() };
        says(fleet, node, FromAgent::Finished { spark, attempt, output, took: Span::from_millis(1) })
    }

    fn facts(out: &[Effect]) -> usize {
        out.iter().filter(|effect| matches!(effect, Effect::Record(_))).count()
    }

    fn round(out: &[Effect]) -> Option<u64> {
        out.iter().find_map(|effect| match effect {
            Effect::StoreResult { round, .. } => Some(*round),
            _ => None,
        })
    }

    fn outcome(fleet: &Fleet, job: JobId, file: u32) -> &FileResult {
        &fleet.ledger().jobs[&job].aggregate.get(file).unwrap().result
    }

    const CONFLICT: FileResult = FileResult::Failed(FailReason::Conflict);

    #[test]
    fn a_late_answer_that_says_the_same_is_a_duplicate() {
        let (mut fleet, spark) = lost_and_back(None);
        finish(&mut fleet, TWO, spark, SECOND, [analysed(0, 1, 5, 2), analysed(1, 2, 6, 2)]);
        assert_eq!(fleet.ledger().spark(spark).unwrap().answered_by, Some(TWO));
        let out = finish(&mut fleet, ONE, spark, FIRST, [analysed(0, 1, 5, 1), analysed(1, 2, 6, 1)]);
        assert_eq!((facts(&out), fleet.duplicates(), fleet.stale_messages()), (0, 1, 0));
        finish(&mut fleet, ONE, spark, FIRST, [analysed(0, 1, 5, 1), analysed(1, 2, 6, 1)]);
        assert_eq!((fleet.duplicates(), fleet.stale_messages()), (1, 1), "it was heard already");
    }

    #[test]
    fn a_late_answer_that_says_otherwise_is_recorded_with_both_nodes_and_its_files_fail() {
        let (mut fleet, spark) = lost_and_back(None);
        finish(&mut fleet, TWO, spark, SECOND, [analysed(0, 1, 5, 2), analysed(1, 2, 6, 2)]);
        let out = finish(&mut fleet, ONE, spark, FIRST, [analysed(0, 1, 5, 1), analysed(1, 2, 7, 1)]);
        let path = RelativePath::new(b"b.c".to_vec()).unwrap();
        let fact = Fact::SparkDisputed { spark, attempt: FIRST, node: ONE, first: Some(TWO), path: path.clone(), outcomes: vec![analysed(1, 2, 7, 1)] };
        assert_eq!(out[0], Effect::Record(fact));
        assert_ne!(outcome(&fleet, spark.job, 0), &CONFLICT, "they agree over this one");
        assert_eq!(outcome(&fleet, spark.job, 1), &CONFLICT);
        assert_eq!(fleet.ledger().jobs[&spark.job].disputes, [Dispute { spark: 0, first: Some(TWO), second: ONE, path, files: 1 }]);
        let told = Pending::Disputed { spark: 0, nodes: ["two".into(), "one".into()], path: "b.c".into(), files: 1 };
        assert!(fleet.explain(spark.job).contains(&told), "{:?}", fleet.explain(spark.job));
        let last = SparkId { number: 1, ..spark };
        let out = finish(&mut fleet, TWO, last, SECOND, [analysed(2, 3, 1, 2), analysed(3, 4, 1, 2)]);
        assert!(round(&out).is_some(), "the rest completes");
    }

    #[test]
    fn what_the_clock_or_the_tree_decided_is_no_dispute() {
        for other in [analysed(1, 9, 7, 1), failed(1, FailReason::TimedOut), failed(1, FailReason::Changing), failed(1, FailReason::Vanished)] {
            let (mut fleet, spark) = lost_and_back(None);
            finish(&mut fleet, TWO, spark, SECOND, [analysed(0, 1, 5, 2), analysed(1, 2, 6, 2)]);
            let out = finish(&mut fleet, ONE, spark, FIRST, [analysed(0, 1, 5, 1), other]);
            assert_eq!((facts(&out), fleet.duplicates()), (0, 1));
        }
    }

    #[test]
    fn verdicts_are_compared_where_the_content_was_listed_or_the_file_looked_the_same() {
        let too_complex = || failed(1, FailReason::TooComplex);
        let (mut fleet, spark) = lost_and_back(Some(Digest([1; 32])));
        finish(&mut fleet, TWO, spark, SECOND, [analysed(0, 1, 5, 2), analysed(1, 1, 6, 2)]);
        finish(&mut fleet, ONE, spark, FIRST, [analysed(0, 1, 5, 1), too_complex()]);
        assert_eq!(outcome(&fleet, spark.job, 1), &CONFLICT);
        for (inode, disputed) in [(7, true), (8, false)] {
            let of = |inode, outcome| FileOutcome { stat: Some(FileStat { inode, ..FileStat::default() }), ..outcome };
            let (mut fleet, spark) = lost_and_back(None);
            finish(&mut fleet, TWO, spark, SECOND, [analysed(0, 1, 5, 2), of(7, analysed(1, 1, 6, 2))]);
            finish(&mut fleet, ONE, spark, FIRST, [analysed(0, 1, 5, 1), of(inode, too_complex())]);
            assert_eq!(outcome(&fleet, spark.job, 1) == &CONFLICT, disputed);
        }
    }

    #[test]
    fn only_who_was_given_the_attempt_is_heard() {
        for (node, attempt) in [(THREE, FIRST), (THREE, SECOND), (ONE, Attempt(9)), (TWO, SECOND)] {
            let (mut fleet, spark) = lost_and_back(None);
            finish(&mut fleet, TWO, spark, SECOND, [analysed(0, 1, 5, 2), analysed(1, 2, 6, 2)]);
            let out = finish(&mut fleet, node, spark, attempt, [analysed(0, 1, 50, 1), analysed(1, 2, 60, 1)]);
            assert_eq!((facts(&out), fleet.stale_messages(), fleet.duplicates()), (0, 1, 0), "{node} {attempt:?}");
            let out = finish(&mut fleet, ONE, spark, FIRST, [analysed(0, 1, 5, 1), analysed(1, 2, 60, 1)]);
            assert!(matches!(out[0], Effect::Record(Fact::SparkDisputed { node: ONE, .. })), "nobody else has taken its word: {out:?}");
        }
    }

    #[test]
    fn a_result_that_is_being_stored_is_stored_again() {
        let (mut fleet, spark) = lost_and_back(None);
        let last = SparkId { number: 1, ..spark };
        finish(&mut fleet, TWO, spark, SECOND, [analysed(0, 1, 5, 2), analysed(1, 2, 6, 2)]);
        let before = round(&finish(&mut fleet, TWO, last, SECOND, [analysed(2, 3, 1, 2), analysed(3, 4, 1, 2)])).expect("all sparks are over");
        let again = round(&finish(&mut fleet, ONE, spark, FIRST, [analysed(0, 1, 0, 1), analysed(1, 2, 0, 1)])).expect("what it holds is disputed");
        assert_ne!(before, again);
        let job = spark.job;
        let stored = |round| Event::ResultStored { job, round, result: ResultSummary { job, at: NOW, manifest: Digest([1; 32]), totals: Totals::default() } };
        handle(&mut fleet, stored(before));
        assert_eq!(fleet.ledger().jobs[&job].status, JobStatus::Running, "that is not the result any more");
        handle(&mut fleet, stored(again));
        assert_eq!(fleet.ledger().jobs[&job].status, JobStatus::Completed);
        assert_eq!(fleet.ledger().jobs[&job].disputes.len(), 1, "whoever asks later is told");
        let out = finish(&mut fleet, ONE, last, FIRST, [analysed(2, 3, 9, 1), analysed(3, 4, 9, 1)]);
        assert_eq!((facts(&out), fleet.stale_messages()), (0, 1), "what it came to is not in the ledger any more");
    }
}
