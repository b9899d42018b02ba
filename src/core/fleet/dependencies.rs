//! What waits for what: a job begins once everything that it comes after has succeeded, and fails when one of them cannot
//! any more. Nothing can wait in a circle: what is waited for was accepted before.

use alloc::{format, vec::Vec};

use super::{Awaited, Effect, Fact, Fleet, Job, JobFailure, JobSpec, JobStatus, SparkState};
use crate::{ids::JobId, time::Time};

/// Things that one job may wait for.
pub const AFTER_MAX: usize = 1024;

/// How something that others wait for stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Open,
    Succeeded,
    Lost,
}

impl Fleet {
    /// The first thing that a job waits for.
    pub(super) fn awaited_by(&self, job: JobId) -> Option<Awaited> {
        self.ledger.jobs[&job].spec.after.iter().copied().find(|awaited| self.standing(*awaited) != Standing::Succeeded)
    }

    /// What a request waits for must be known, or nobody could say how it ended.
    pub(super) fn unknown_to_wait_for(&self, spec: &JobSpec) -> Option<Awaited> {
        let is_known = |awaited: &Awaited| match awaited {
            Awaited::Job(job) => self.ledger.jobs.contains_key(job),
            Awaited::Spark(spark) => self.ledger.spark(*spark).is_some(),
        };
        spec.after.iter().copied().find(|awaited| !is_known(awaited))
    }

    /// Jobs that wait for what has failed fail with it, and those that wait for them.
    pub(super) fn fail_dependants(&mut self, now: Time, out: &mut Vec<Effect>) {
        // Each round ends a job at least.
        for _ in 0..=self.active.len() {
            let lost_by = |spec: &JobSpec| spec.after.iter().copied().find(|awaited| self.standing(*awaited) == Standing::Lost);
            let lost = |job: &JobId| Some((*job, lost_by(&self.ledger.jobs[job].spec)?));
            let orphans: Vec<(JobId, Awaited)> = self.active.keys().filter_map(lost).collect();
            if orphans.is_empty() {
                return;
            }
            for (job, awaited) in orphans {
                self.fail(now, job, JobFailure::Other, format!("it waits for {awaited}, which did not succeed"), out);
            }
        }
    }

    /// Does this fact settle how something stands that others may wait for?
    pub(super) fn ends_badly(fact: &Fact) -> bool {
        matches!(fact, Fact::SparkFailed { .. } | Fact::JobCancelled { .. } | Fact::JobFailed { .. })
    }

    /// What is forgotten has succeeded: had it failed, whoever waits would have failed in the same turn.
    fn standing(&self, awaited: Awaited) -> Standing {
        let Some(job) = self.ledger.jobs.get(&awaited.job()) else { return Standing::Succeeded };
        match awaited {
            Awaited::Job(_) => of_job(job),
            Awaited::Spark(spark) => job.sparks.get(spark.number as usize).map_or(Standing::Succeeded, |spark| of_spark(job, &spark.state)),
        }
    }
}

fn of_job(job: &Job) -> Standing {
    match job.status {
        JobStatus::Completed => Standing::Succeeded,
        JobStatus::Failed | JobStatus::Cancelled => Standing::Lost,
        JobStatus::Queued | JobStatus::Running | JobStatus::Paused => Standing::Open,
    }
}

fn of_spark(job: &Job, state: &SparkState) -> Standing {
    match state {
        SparkState::Completed | SparkState::Quarantined => Standing::Succeeded,
        SparkState::Failed(_) => Standing::Lost,
        SparkState::Queued { .. } | SparkState::Running { .. } => Standing::Open,
        // Its halves have names that nobody could know; they are done when their job is.
        SparkState::Split => of_job(job),
    }
}

#[cfg(test)]
mod tests {
    use alloc::{boxed::Box, vec};

    use super::*;
    use crate::{
        fleet::{CommandSpec, Event, JobCommand, JobType, Ledger, ListedFile, Needs, Notice, Pending, Priority, Refusal, Requester, Settings, Submission},
        ids::{Attempt, Digest, Epoch, Incarnation, NodeId, SparkId},
        paths::RelativePath,
        time::Span,
        wire::{
            Envelope, FromAgent, ToAgent,
            command::{CommandEnd, CommandLine, ExitStatus, OUTPUT_BYTES},
            task::{AttemptError, SparkOutput, Work},
        },
    };

    const NOW: Time = Time(1_000_000);

    fn spec(after: Vec<Awaited>) -> JobSpec {
        let line = CommandLine { program: "make".into(), output_bytes_max: OUTPUT_BYTES, ..CommandLine::default() };
        JobSpec::without_tree(
            Some(CommandSpec { line, tries: 1, timeout: Span::from_secs(60), needs: Needs::default(), project: None }),
            Priority::Normal,
            after,
        )
    }

    fn handle(fleet: &mut Fleet, event: Event) -> Vec<Effect> {
        let mut out = Vec::new();
        fleet.handle(NOW, event, &mut out);
        fleet.check();
        out
    }

    fn says(body: FromAgent) -> Event {
        Event::Received { node: NodeId::HERE, message: Envelope { epoch: Epoch(1), incarnation: Incarnation(1), body } }
    }

    /// A fleet with a node of two slots that runs `make`.
    fn fleet() -> Fleet {
        let mut fleet = Fleet::recover(Settings::default(), Ledger::default(), NOW, &mut Vec::new());
        handle(
            &mut fleet,
            says(FromAgent::Hello { slots: 2, fingerprint: Digest::default(), held: vec![], programs: vec!["make".into()], profile: Box::default() }),
        );
        fleet
    }

    fn submit(fleet: &mut Fleet, sparks: u32, after: Vec<Awaited>) -> JobId {
        let out = handle(fleet, Event::WorkSubmitted { spec: spec(after), sparks });
        let accepted = out.iter().find_map(|effect| match effect {
            Effect::Publish(Notice::JobAccepted(job)) => Some(*job),
            _ => None,
        });
        accepted.unwrap_or_else(|| panic!("{out:?}"))
    }

    fn end(fleet: &mut Fleet, spark: SparkId, code: i32) -> Vec<Effect> {
        let ended = CommandEnd { status: ExitStatus::Code(code), log: Digest::default(), log_bytes: 0, dropped_bytes: 0 };
        let attempt = Attempt(fleet.ledger().spark(spark).unwrap().attempts);
        handle(fleet, says(FromAgent::Finished { spark, attempt, output: SparkOutput { ended: Some(ended), ..SparkOutput::default() }, took: Span(0) }))
    }

    fn begun(out: &[Effect]) -> Vec<SparkId> {
        let begun = |effect: &Effect| match effect {
            Effect::Send { message: Envelope { body: ToAgent::ExecuteTask(task), .. }, .. } => Some(task.spark),
            _ => None,
        };
        out.iter().filter_map(begun).collect()
    }

    #[test]
    fn a_spark_begins_when_what_it_waits_for_has_succeeded() {
        let mut fleet = fleet();
        let first = submit(&mut fleet, 2, vec![]);
        let [one, two] = [0, 1].map(|number| SparkId { job: first, number });
        let by_spark = submit(&mut fleet, 1, vec![Awaited::Spark(one)]);
        let by_job = submit(&mut fleet, 1, vec![Awaited::Job(first), Awaited::Job(by_spark)]);
        assert_eq!(fleet.explain(by_spark), [Pending::Awaits(Awaited::Spark(one))]);
        assert_eq!(begun(&end(&mut fleet, one, 0)), [SparkId { job: by_spark, number: 0 }]);
        assert_eq!(begun(&end(&mut fleet, two, 0)), [], "it waits for two things");
        assert_eq!(begun(&end(&mut fleet, SparkId { job: by_spark, number: 0 }, 0)), [SparkId { job: by_job, number: 0 }]);
        end(&mut fleet, SparkId { job: by_job, number: 0 }, 0);
        assert!(fleet.ledger().jobs.values().all(|job| job.status == JobStatus::Completed));
    }

    #[test]
    fn what_waits_for_a_failure_fails_with_it() {
        let mut fleet = fleet();
        let first = submit(&mut fleet, 1, vec![]);
        let second = submit(&mut fleet, 1, vec![Awaited::Job(first)]);
        let third = submit(&mut fleet, 1, vec![Awaited::Job(second)]);
        end(&mut fleet, SparkId { job: first, number: 0 }, 2);
        for job in [first, second, third] {
            assert_eq!(fleet.ledger().jobs[&job].status, JobStatus::Failed, "{job}");
        }
        assert!(fleet.ledger().jobs[&first].reason.contains("status 2"), "{}", fleet.ledger().jobs[&first].reason);
    }

    #[test]
    fn a_dependant_waits_over_a_restart_and_a_retry() {
        let mut fleet = fleet();
        let first = submit(&mut fleet, 1, vec![]);
        let second = submit(&mut fleet, 1, vec![Awaited::Job(first)]);
        let mut again = Fleet::recover(Settings::default(), fleet.ledger().clone(), NOW, &mut Vec::new());
        again.check();
        assert!(again.explain(second).contains(&Pending::Awaits(Awaited::Job(first))));
        handle(&mut again, Event::JobCommanded { job: first, command: JobCommand::Cancel });
        assert_eq!(again.ledger().jobs[&second].status, JobStatus::Failed);
        let out = handle(&mut again, Event::JobCommanded { job: second, command: JobCommand::Retry });
        assert_eq!(again.ledger().jobs[&second].status, JobStatus::Failed, "what it waits for has still failed: {out:?}");
    }

    #[test]
    fn what_waits_for_a_project_that_is_removed_fails_with_it() {
        let mut fleet = fleet();
        handle(&mut fleet, Event::ProjectAdded { name: "p".into(), root: b"/p".to_vec() });
        let project = *fleet.ledger().projects.keys().next().unwrap();
        let file = |number: u32| ListedFile {
            path: RelativePath::new(format!("{number}.c").into_bytes()).unwrap(),
            size: 1,
            language: "c".into(),
            complexity: 0,
            cluster: 0,
            content: None,
            is_disputed: false,
        };
        let analysis = JobSpec { project: Some(project), job_type: JobType::FullAnalysis, ..JobSpec::without_tree(None, Priority::Normal, vec![]) };
        handle(&mut fleet, Event::JobSubmitted(Submission { spec: analysis, files: vec![file(1)] }));
        let job = *fleet.ledger().jobs.keys().next().unwrap();
        let deployment = submit(&mut fleet, 1, vec![Awaited::Job(job)]);
        handle(&mut fleet, Event::JobCommanded { job, command: JobCommand::Pause });
        handle(
            &mut fleet,
            Event::Received {
                node: NodeId::HERE,
                message: Envelope {
                    epoch: Epoch(1),
                    incarnation: Incarnation(1),
                    body: FromAgent::Failed { spark: SparkId { job, number: 0 }, attempt: Attempt(1), error: AttemptError::Interrupted },
                },
            },
        );
        let mut out = Vec::new();
        // In one turn with something else that is told of afterwards.
        fleet.handle_turn(NOW, Requester::Fleet, [Event::ProjectRemoved { project }, Event::Woken], &mut out);
        fleet.check();
        assert!(!fleet.ledger().jobs.contains_key(&job));
        assert_eq!((begun(&out), fleet.ledger().jobs[&deployment].status), (vec![], JobStatus::Failed));
    }

    #[test]
    fn what_is_not_known_cannot_be_waited_for() {
        let mut fleet = fleet();
        let nobody = Awaited::Job(JobId { epoch: Epoch(9), counter: 9 });
        let out = handle(&mut fleet, Event::WorkSubmitted { spec: spec(vec![nobody]), sparks: 1 });
        assert_eq!(out, [Effect::Publish(Notice::Refused(Refusal::UnknownAwaited(nobody)))]);
    }

    #[test]
    fn one_spark_is_cancelled_and_the_others_go_on() {
        let mut fleet = fleet();
        let job = submit(&mut fleet, 2, vec![]);
        let [one, two] = [0, 1].map(|number| SparkId { job, number });
        handle(&mut fleet, Event::SparkCancelled { spark: one });
        assert_eq!(fleet.ledger().spark(one).unwrap().state, SparkState::Failed(AttemptError::Cancelled));
        end(&mut fleet, two, 0);
        assert_eq!(fleet.ledger().jobs[&job].status, JobStatus::Failed);
        let out = handle(&mut fleet, Event::SparkCancelled { spark: one });
        assert_eq!(out, [Effect::Publish(Notice::Refused(Refusal::SparkOver(one)))]);
    }

    #[test]
    fn a_command_goes_only_where_its_program_is_allowed() {
        let mut fleet = fleet();
        let mut other = spec(vec![]);
        other.command.as_mut().unwrap().line.program = "rm".into();
        let out = handle(&mut fleet, Event::WorkSubmitted { spec: other, sparks: 1 });
        assert_eq!(begun(&out), []);
        let job = *fleet.ledger().jobs.keys().next().unwrap();
        assert_eq!(fleet.explain(job), [Pending::NoNodeRuns("rm".into())]);
        let made = submit(&mut fleet, 1, vec![]);
        let state = &fleet.ledger().spark(SparkId { job: made, number: 0 }).unwrap().state;
        assert!(matches!(state, SparkState::Running { .. }));
        let task = fleet.task(SparkId { job: made, number: 0 }, Attempt(1));
        assert!(matches!(task.work, Work::Run(line) if line.program == "make"));
    }

    #[test]
    fn a_command_is_tried_as_often_as_was_asked() {
        let mut fleet = fleet();
        let mut stubborn = spec(vec![]);
        stubborn.command.as_mut().unwrap().tries = 2;
        handle(&mut fleet, Event::WorkSubmitted { spec: stubborn, sparks: 1 });
        let job = *fleet.ledger().jobs.keys().next().unwrap();
        let spark = SparkId { job, number: 0 };
        end(&mut fleet, spark, 1);
        assert_eq!(fleet.ledger().spark(spark).unwrap().status(), Some("retrying"));
        let mut out = Vec::new();
        fleet.handle(NOW + Span::from_secs(10), Event::Woken, &mut out);
        assert_eq!(begun(&out), [spark]);
        end(&mut fleet, spark, 1);
        assert_eq!(fleet.ledger().jobs[&job].status, JobStatus::Failed);
    }
}
