//! Reactions about projects and jobs.

use alloc::{boxed::Box, string::String, vec::Vec};

use super::{
    AFTER_MAX, Effect, Fact, Fleet, JobCommand, JobFailure, JobSpec, JobStatus, ListedFile, Listings, NodeSelector, Notice, Refusal, Requester, ResultSummary,
    Runnable, SparkState, Storing, Submission, partition,
};
use crate::{
    ids::{JobId, ProjectId, SparkId},
    time::{Span, Time},
    wire::task::AttemptError,
};

impl Fleet {
    pub(super) fn on_project_added(&mut self, name: String, root: Vec<u8>, out: &mut Vec<Effect>) {
        let mut name_free = name.clone();
        let mut number = 2_u32;
        while is_id(&name_free) || self.ledger.projects.values().any(|project| project.name == name_free) {
            name_free = alloc::format!("{name}-{number}");
            number += 1;
        }
        let project = ProjectId { epoch: self.ledger.epoch, counter: self.ledger.counter + 1 };
        self.record(Fact::ProjectAdded { project, name: name_free, root }, out);
        out.push(Effect::Publish(Notice::ProjectAdded(project)));
    }

    pub(super) fn on_project_renamed(&mut self, project: ProjectId, name: String, out: &mut Vec<Effect>) {
        let taken = self.ledger.projects.iter().any(|(id, other)| *id != project && other.name == name);
        if !self.ledger.projects.contains_key(&project) {
            refuse(Refusal::UnknownProject(project), out);
        } else if taken {
            refuse(Refusal::NameTaken(name), out);
        } else if is_id(&name) {
            refuse(Refusal::NameIsId(name), out);
        } else {
            self.record(Fact::ProjectRenamed { project, name }, out);
        }
    }

    /// What runs already goes on where it is.
    pub(super) fn on_project_assigned(&mut self, project: ProjectId, nodes: NodeSelector, out: &mut Vec<Effect>) {
        match self.ledger.projects.get(&project) {
            None => refuse(Refusal::UnknownProject(project), out),
            Some(known) if known.nodes == nodes => {}
            Some(_) => self.record(Fact::ProjectAssigned { project, nodes }, out),
        }
    }

    pub(super) fn on_project_removed(&mut self, now: Time, project: ProjectId, out: &mut Vec<Effect>) {
        if !self.ledger.projects.contains_key(&project) {
            return refuse(Refusal::UnknownProject(project), out);
        }
        let jobs: Vec<JobId> = self.active.keys().copied().filter(|id| self.ledger.jobs[id].spec.about() == Some(project)).collect();
        let status = |job: &JobId| self.ledger.jobs[job].status;
        if let Some(job) = jobs.iter().copied().find(|job| status(job) != JobStatus::Paused || self.flights.of_job(*job).next().is_some()) {
            return refuse(Refusal::UnderAnalysis { job, status: status(&job) }, out);
        }
        jobs.into_iter().for_each(|job| self.cancel(now, job, out));
        // The jobs are forgotten with the project, and what is forgotten counts as having succeeded.
        self.follow_failures(now, out);
        self.record(Fact::ProjectRemoved { project }, out);
    }

    /// The same request as an unfinished job's is that job: what it finished is not done again.
    pub(super) fn on_job_submitted(&mut self, now: Time, by: Requester, submission: Submission, out: &mut Vec<Effect>) {
        let Submission { spec, files } = submission;
        let unfinished = self.active.keys().copied().find(|id| {
            let job = &self.ledger.jobs[id];
            job.spec.asks_for_the_same(&spec) && job.files == files
        });
        if let Some(job) = unfinished {
            self.resume_submitted(now, by, job, &spec, out);
            return self.settle(now, job, out);
        }
        if let Some(refusal) = self.objection(&spec) {
            return refuse(refusal, out);
        }
        let superseded: Vec<JobId> = self.active.keys().copied().filter(|id| self.is_superseded(*id, &spec)).collect();
        superseded.into_iter().for_each(|job| self.cancel(now, job, out));
        let slots = self.nodes.values().map(|node| node.slots).sum::<u32>().max(1);
        let sparks = partition::cut(spec.partitioning, &files, slots);
        self.accept(now, JobSpec { by, ..spec }, files, sparks, out);
    }

    /// Work that is about no tree.
    pub(super) fn on_work_submitted(&mut self, now: Time, by: Requester, spec: JobSpec, sparks: u32, out: &mut Vec<Effect>) {
        let sparks_max = self.settings.sparks_max;
        if let Some(refusal) = self.objection(&spec) {
            return refuse(refusal, out);
        }
        if sparks > sparks_max {
            return refuse(Refusal::TooManySparks { sparks, sparks_max }, out);
        }
        self.accept(now, JobSpec { by, ..spec }, Vec::new(), alloc::vec![Vec::new(); sparks as usize], out);
    }

    /// Why this cannot be done.
    fn objection(&self, spec: &JobSpec) -> Option<Refusal> {
        let line = spec.command.as_ref().and_then(|command| command.line.check().err());
        match spec.about() {
            Some(project) if !self.ledger.projects.contains_key(&project) => Some(Refusal::UnknownProject(project)),
            _ if spec.after.len() > AFTER_MAX => Some(Refusal::TooMuchAwaited),
            _ => line.map(Refusal::NoSuchWork).or_else(|| self.unknown_to_wait_for(spec).map(Refusal::UnknownAwaited)),
        }
    }

    fn accept(&mut self, now: Time, spec: JobSpec, files: Vec<ListedFile>, sparks: Vec<Vec<u32>>, out: &mut Vec<Effect>) {
        let (job, count, jobs_kept) = (self.next_job(), sparks.len() as u32, self.settings.jobs_kept);
        self.take_on(now, job, count, Fact::JobAccepted { job, spec: Box::new(spec), files, sparks, at: now, jobs_kept }, out);
    }

    pub(super) fn next_job(&self) -> JobId {
        JobId { epoch: self.ledger.epoch, counter: self.ledger.counter + 1 }
    }

    /// The fact makes the job, with so many sparks.
    pub(super) fn take_on(&mut self, now: Time, job: JobId, sparks: u32, accepted: Fact, out: &mut Vec<Effect>) {
        // It may wait for what has failed already.
        self.something_failed = true;
        self.record(accepted, out);
        self.active.insert(job, Runnable { ready: (0..sparks).collect(), ..Runnable::new(now, &self.ledger.jobs[&job], true) });
        out.push(Effect::Publish(Notice::JobAccepted(job)));
        self.settle(now, job, out);
    }

    /// An unfinished job for an earlier state of the same tree would store a result that is already out of date.
    fn is_superseded(&self, id: JobId, spec: &JobSpec) -> bool {
        self.ledger.jobs[&id].spec.is_about_the_same(spec)
    }

    /// What it is to come to is the same; how, until when and on whose word is what was asked for last.
    fn resume_submitted(&mut self, now: Time, by: Requester, job: JobId, spec: &JobSpec, out: &mut Vec<Effect>) {
        let entry = &self.ledger.jobs[&job];
        let sparks_finished = entry.sparks.iter().filter(|spark| spark.state.has_outcomes()).count() as u32;
        let (paused, prioritised) = (entry.status == JobStatus::Paused, entry.spec.priority != spec.priority);
        let pinned = entry.spec.nodes != spec.nodes;
        let by = (entry.spec.by != by).then_some(by);
        let amended = (entry.spec.placement, entry.spec.timeout) != (spec.placement, spec.timeout) || by.is_some();
        // What made a spark fail, a full disk say, may be over.
        let failed = self.failed_sparks(job);
        if !failed.is_empty() {
            self.record(Fact::JobRetried { job, at: now }, out);
        }
        if paused || !failed.is_empty() {
            self.record(Fact::JobResumed { job }, out);
        }
        if prioritised {
            self.record(Fact::JobPrioritised { job, priority: spec.priority }, out);
        }
        if pinned {
            self.record(Fact::JobPinned { job, nodes: spec.nodes.clone() }, out);
        }
        if amended {
            self.record(Fact::JobAmended { job, placement: spec.placement, timeout: spec.timeout, by }, out);
        }
        let runnable = self.active.get_mut(&job).expect("it is not over");
        runnable.listed = true;
        runnable.ready.extend(failed);
        runnable.resume(now);
        runnable.begin_time(now);
        out.push(Effect::Publish(Notice::JobResumed { job, sparks_finished }));
    }

    /// Those of a job that is not over and may be begun again. A result that is being stored is of them as they are.
    fn failed_sparks(&self, job: JobId) -> Vec<u32> {
        if self.active.get(&job).is_none_or(|runnable| runnable.storing.is_some()) {
            return Vec::new();
        }
        let failed = |(number, spark): (u32, &super::Spark)| matches!(spark.state, SparkState::Failed(_)).then_some(number);
        (0..).zip(&self.ledger.jobs[&job].sparks).filter_map(failed).collect()
    }

    pub(super) fn on_job_commanded(&mut self, now: Time, job: JobId, command: JobCommand, out: &mut Vec<Effect>) {
        let Some(status) = self.ledger.jobs.get(&job).map(|job| job.status) else {
            return refuse(Refusal::UnknownJob(job), out);
        };
        match (command, status) {
            (JobCommand::Cancel, JobStatus::Queued | JobStatus::Running | JobStatus::Paused) => self.cancel(now, job, out),
            (JobCommand::Pause, JobStatus::Queued | JobStatus::Running) => self.pause(now, job, out),
            (JobCommand::Resume, JobStatus::Paused) => self.resume(now, job, out),
            (JobCommand::Retry, JobStatus::Failed | JobStatus::Cancelled) => {
                let unknown = self.unknown_to_wait_for(&self.ledger.jobs[&job].spec);
                match (self.successor(job), unknown) {
                    (Some(by), _) => return refuse(Refusal::Superseded { job, by }, out),
                    (None, Some(awaited)) => return refuse(Refusal::UnknownAwaited(awaited), out),
                    (None, None) => self.retry(now, job, out),
                }
            }
            (JobCommand::SetPriority(priority), JobStatus::Queued | JobStatus::Running | JobStatus::Paused) => {
                self.record(Fact::JobPrioritised { job, priority }, out);
            }
            (_, status) => return refuse(Refusal::NotNow { job, status }, out),
        }
        out.push(Effect::Publish(Notice::JobChanged(job)));
        self.settle(now, job, out);
    }

    fn pause(&mut self, now: Time, job: JobId, out: &mut Vec<Effect>) {
        self.record(Fact::JobPaused { job }, out);
        self.active.get_mut(&job).expect("it is not over").pause(now);
    }

    fn resume(&mut self, now: Time, job: JobId, out: &mut Vec<Effect>) {
        self.record(Fact::JobResumed { job }, out);
        self.active.get_mut(&job).expect("it is not over").resume(now);
        self.ask_for_listing(job, out);
    }

    pub(super) fn ask_for_listing(&self, job: JobId, out: &mut Vec<Effect>) {
        if self.settings.listings == Listings::Anew && self.waits_for_listing(job) {
            out.push(Effect::ListTree { job });
        }
    }

    /// Is the job to run, and its tree not listed since this master began?
    pub fn waits_for_listing(&self, job: JobId) -> bool {
        let unlisted = self.active.get(&job).is_some_and(|runnable| !runnable.listed);
        unlisted && self.ledger.jobs[&job].status != JobStatus::Paused
    }

    pub(super) fn on_tree_not_listed(&mut self, now: Time, job: JobId, error: String, out: &mut Vec<Effect>) {
        if self.active.get(&job).is_some_and(|runnable| !runnable.listed) {
            self.fail(now, job, JobFailure::Other, alloc::format!("its tree could not be listed again: {error}"), out);
        }
    }

    /// A later job for the same: the earlier one's result would be of an older state of the tree.
    fn successor(&self, job: JobId) -> Option<JobId> {
        let spec = &self.ledger.jobs[&job].spec;
        self.ledger.jobs.range(job..).skip(1).find(|(_, later)| later.spec.is_about_the_same(spec)).map(|(id, _)| *id)
    }

    fn cancel(&mut self, now: Time, job: JobId, out: &mut Vec<Effect>) {
        self.record(Fact::JobCancelled { job, at: now }, out);
        self.let_go(now, job, out);
        out.push(Effect::Publish(Notice::JobOver(job)));
    }

    fn retry(&mut self, now: Time, job: JobId, out: &mut Vec<Effect>) {
        self.record(Fact::JobRetried { job, at: now }, out);
        // It may wait for what has failed.
        self.something_failed = true;
        let queued = |(number, spark): (u32, &super::Spark)| matches!(spark.state, SparkState::Queued { .. }).then_some(number);
        let ready = (0..).zip(&self.ledger.jobs[&job].sparks).filter_map(queued).collect();
        let listed = self.is_listed_at_first(&self.ledger.jobs[&job].spec);
        self.active.insert(job, Runnable { ready, ..Runnable::new(now, &self.ledger.jobs[&job], listed) });
        self.ask_for_listing(job, out);
    }

    /// The master ends in good order. One whose successor goes on leaves everything as it is: nodes keep what they run, and their
    /// answers. Otherwise what runs is called back and queued again, and no failure is counted.
    pub(super) fn on_stopping(&mut self, now: Time, out: &mut Vec<Effect>) {
        if self.settings.resume_recovered {
            return self.record_refusals(now, out);
        }
        for spark in self.flights.present().map(|(spark, _)| spark).collect::<Vec<_>>() {
            self.call_back(now, spark, out);
            let isolate = self.was_whole_often_enough(spark);
            let fact = Fact::AttemptFailed { spark, error: AttemptError::Cancelled, not_before: now, isolate, counts: false };
            self.record(fact, out);
            self.queue(now, spark, now);
        }
        self.pause_all(out);
        self.record_refusals(now, out);
    }

    pub(super) fn pause_all(&mut self, out: &mut Vec<Effect>) {
        let running: Vec<JobId> = self.active.keys().copied().filter(|id| self.ledger.jobs[id].status != JobStatus::Paused).collect();
        running.into_iter().for_each(|job| self.record(Fact::JobPaused { job }, out));
    }

    /// Ends what a job has in flight and forgets its volatile side.
    fn let_go(&mut self, now: Time, job: JobId, out: &mut Vec<Effect>) {
        self.active.remove(&job);
        let sparks: Vec<SparkId> = self.flights.of_job(job).map(|(spark, _)| spark).collect();
        sparks.into_iter().for_each(|spark| self.call_back(now, spark, out));
        self.flights.forget_lost_of(job);
    }

    pub(super) fn on_spark_cancelled(&mut self, now: Time, spark: SparkId, out: &mut Vec<Effect>) {
        match self.ledger.spark(spark) {
            None => return refuse(Refusal::UnknownSpark(spark), out),
            Some(entry) if entry.state.is_over() => return refuse(Refusal::SparkOver(spark), out),
            Some(_) => {}
        }
        self.call_back(now, spark, out);
        let runnable = self.active.get_mut(&spark.job).expect("a job with a spark that is not over is not over");
        runnable.ready.remove(&spark.number);
        runnable.waiting.retain(|(_, number)| *number != spark.number);
        self.record(Fact::SparkFailed { spark, error: AttemptError::Cancelled }, out);
        out.push(Effect::Publish(Notice::JobChanged(spark.job)));
        self.settle(now, spark.job, out);
    }

    /// Asks for the result to be stored once every spark is over, or fails the job when too much of it is missing. A job of
    /// commands has no result but that all of them succeeded.
    pub(super) fn settle(&mut self, now: Time, id: JobId, out: &mut Vec<Effect>) {
        let deadline = now + self.settings.aggregation_timeout;
        let (Some(runnable), Some(job)) = (self.active.get_mut(&id), self.ledger.jobs.get(&id)) else { return };
        let goes_on = self.flights.of_job(id).next().is_some() || !runnable.ready.is_empty() || !runnable.waiting.is_empty();
        if job.status == JobStatus::Paused || !runnable.listed || runnable.storing.is_some() || goes_on {
            return;
        }
        let (missing, all) =
            job.partitions().fold((0_usize, 0_usize), |(missing, all), spark| (missing + usize::from(matches!(spark.state, SparkState::Failed(_))), all + 1));
        let has_result = job.spec.project.is_some();
        if !has_result && missing == 0 {
            self.record(Fact::JobDone { job: id, at: now }, out);
            self.let_go(now, id, out);
            return out.push(Effect::Publish(Notice::JobOver(id)));
        }
        if missing * 2 > all || !has_result {
            let reason = alloc::format!("{missing} of {all} sparks failed, the first with: {}", first_failure(job));
            return self.fail(now, id, JobFailure::Other, reason, out);
        }
        self.rounds += 1;
        runnable.storing = Some(Storing { round: self.rounds, until: deadline });
        out.push(Effect::StoreResult { job: id, round: self.rounds, until: deadline });
    }

    pub(super) fn on_result_stored(&mut self, now: Time, job: JobId, round: u64, mut result: ResultSummary, out: &mut Vec<Effect>) {
        if !self.is_storing(job, round) {
            return;
        }
        result.at = now;
        self.record(Fact::JobCompleted { job, result: Box::new(result), history_max: self.settings.history_max as u32 }, out);
        self.keeping.look_again();
        self.let_go(now, job, out);
        out.push(Effect::Publish(Notice::JobOver(job)));
    }

    fn is_storing(&self, job: JobId, round: u64) -> bool {
        self.active.get(&job).and_then(|runnable| runnable.storing).is_some_and(|storing| storing.round == round)
    }

    pub(super) fn on_result_not_stored(&mut self, now: Time, job: JobId, round: u64, error: String, out: &mut Vec<Effect>) {
        if self.is_storing(job, round) {
            self.fail(now, job, JobFailure::Other, alloc::format!("the result could not be stored: {error}"), out);
        }
    }

    pub(super) fn fail(&mut self, now: Time, job: JobId, failure: JobFailure, reason: String, out: &mut Vec<Effect>) {
        self.record(Fact::JobFailed { job, reason, failure, at: now }, out);
        self.let_go(now, job, out);
        out.push(Effect::Publish(Notice::JobOver(job)));
    }

    pub(super) fn on_job_deadlines(&mut self, now: Time, out: &mut Vec<Effect>) {
        let due = |(id, runnable): (&JobId, &Runnable)| self.job_deadline(*id, runnable).is_some_and(|due| due <= now).then_some(*id);
        for job in self.active.iter().filter_map(due).collect::<Vec<_>>() {
            let runnable = self.active.get_mut(&job).expect("it was just listed");
            let over_backoff: Vec<(Time, u32)> = runnable.waiting.range(..=(now, u32::MAX)).copied().collect();
            for entry in over_backoff {
                runnable.waiting.remove(&entry);
                runnable.ready.insert(entry.1);
            }
            if runnable.storing.is_some_and(|storing| storing.until <= now) {
                self.fail(now, job, JobFailure::Other, "storing the result took too long".into(), out);
            } else if self.job_timeout(job).is_some_and(|until| until <= now) {
                self.fail(now, job, JobFailure::TimedOut, "the job ran into its time-out".into(), out);
            }
        }
    }

    pub(super) fn job_deadline(&self, id: JobId, runnable: &Runnable) -> Option<Time> {
        let backoff = runnable.waiting.first().map(|(due, _)| *due);
        [backoff, runnable.storing.map(|storing| storing.until), self.job_timeout(id)].into_iter().flatten().min()
    }

    fn job_timeout(&self, id: JobId) -> Option<Time> {
        let runnable = self.active.get(&id)?;
        Some(runnable.runs_since? + (Span(self.ledger.jobs[&id].spec.timeout?.0.saturating_sub(runnable.ran.0))))
    }
}

/// Words that look like one mean the project with that id, and no other that is called so.
fn is_id(name: &str) -> bool {
    name.parse::<ProjectId>().is_ok()
}

pub(super) fn refuse(refusal: Refusal, out: &mut Vec<Effect>) {
    out.push(Effect::Publish(Notice::Refused(refusal)));
}

fn first_failure(job: &super::Job) -> String {
    let failure = job.sparks.iter().find_map(|spark| match &spark.state {
        SparkState::Failed(error) => Some(error),
        _ => None,
    });
    failure.map(AttemptError::describe).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use alloc::{boxed::Box, vec};

    use super::*;
    use crate::{
        fleet::{Event, JobType, Ledger, Priority, Settings},
        ids::{Attempt, Digest, Epoch, Incarnation, NodeId},
        paths::RelativePath,
        wire::{Envelope, FromAgent},
    };

    const NOW: Time = Time(1_000_000);

    fn handle(fleet: &mut Fleet, now: Time, event: Event) -> Vec<Effect> {
        let mut out = Vec::new();
        fleet.handle(now, event, &mut out);
        fleet.check();
        out
    }

    fn says(epoch: u32, body: FromAgent) -> Event {
        Event::Received { node: NodeId::HERE, message: Envelope { epoch: Epoch(epoch), incarnation: Incarnation(u64::from(epoch)), body } }
    }

    /// A master with a node of so many slots, in this process.
    fn fleet(ledger: Ledger, epoch: u32, slots: u32) -> Fleet {
        let mut fleet = Fleet::recover(Settings { resume_recovered: false, ..Settings::default() }, ledger, NOW, &mut Vec::new());
        let hello = FromAgent::Hello { slots, fingerprint: Digest::default(), held: vec![], programs: vec![], profile: Box::default() };
        handle(&mut fleet, NOW, says(epoch, hello));
        fleet
    }

    fn project(fleet: &mut Fleet) -> ProjectId {
        handle(fleet, NOW, Event::ProjectAdded { name: "p".into(), root: b"/p".to_vec() });
        *fleet.ledger().projects.keys().next().unwrap()
    }

    fn submission(project: ProjectId, files: u32) -> Submission {
        let file = |number: u32| ListedFile {
            path: RelativePath::new(alloc::format!("{number}.c").into_bytes()).unwrap(),
            size: 1_000_000,
            language: "c".into(),
            complexity: 1,
            cluster: 0,
            content: None,
            is_disputed: false,
        };
        let spec = JobSpec { project: Some(project), job_type: JobType::FullAnalysis, ..JobSpec::without_tree(None, Priority::Normal, vec![]) };
        Submission { spec, files: (0..files).map(file).collect() }
    }

    fn only_job(fleet: &Fleet) -> JobId {
        let mut jobs = fleet.ledger().jobs.keys();
        let job = *jobs.next().unwrap();
        assert_eq!(jobs.next(), None);
        job
    }

    #[test]
    fn whoever_asks_for_an_unfinished_job_again_gives_failed_sparks_another_chance() {
        let mut first = fleet(Ledger::default(), 1, 64);
        let submission = submission(project(&mut first), 40);
        handle(&mut first, NOW, Event::JobSubmitted(submission.clone()));
        let job = only_job(&first);
        assert!(first.ledger().jobs[&job].sparks.len() > 1, "one of several fails");
        let spark = SparkId { job, number: 0 };
        let mut now = NOW;
        for attempt in 1.. {
            match &first.ledger().spark(spark).unwrap().state {
                SparkState::Failed(_) => break,
                SparkState::Running { attempt: running, .. } if running.0 == attempt => {}
                state => panic!("attempt {attempt}: {state:?}"),
            }
            let error = AttemptError::Storage("no space left on device".into());
            handle(&mut first, now, says(1, FromAgent::Failed { spark, attempt: Attempt(attempt), error }));
            // Later than its backoff, and before its node counts as silent.
            now += Span::from_secs(1);
            handle(&mut first, now, Event::Woken);
        }
        let mut second = fleet(first.ledger().clone(), 2, 64);
        assert_eq!(second.ledger().jobs[&job].status, JobStatus::Paused);
        let out = handle(&mut second, NOW, Event::JobSubmitted(submission));
        assert!(out.iter().any(|effect| matches!(effect, Effect::Record(Fact::JobRetried { .. }))), "{out:?}");
        assert_eq!((only_job(&second), second.ledger().jobs[&job].status), (job, JobStatus::Running));
        let entry = second.ledger().spark(spark).unwrap();
        assert!(matches!(entry.state, SparkState::Running { .. }) && entry.failures == 0, "{entry:?}");
    }

    #[test]
    fn a_project_that_is_being_analysed_is_not_removed() {
        let mut fleet = fleet(Ledger::default(), 1, 1);
        let project = project(&mut fleet);
        handle(&mut fleet, NOW, Event::JobSubmitted(submission(project, 4)));
        let job = only_job(&fleet);
        let out = handle(&mut fleet, NOW, Event::ProjectRemoved { project });
        assert_eq!(out, [Effect::Publish(Notice::Refused(Refusal::UnderAnalysis { job, status: JobStatus::Running }))]);
        handle(&mut fleet, NOW, Event::JobCommanded { job, command: JobCommand::Cancel });
        handle(&mut fleet, NOW, Event::ProjectRemoved { project });
        assert!(fleet.ledger().projects.is_empty());
    }

    #[test]
    fn no_project_is_called_like_an_id() {
        let mut fleet = fleet(Ledger::default(), 1, 1);
        let project = project(&mut fleet);
        let out = handle(&mut fleet, NOW, Event::ProjectRenamed { project, name: "p1.1".into() });
        assert_eq!(out, [Effect::Publish(Notice::Refused(Refusal::NameIsId("p1.1".into())))]);
        handle(&mut fleet, NOW, Event::ProjectAdded { name: "p9.9".into(), root: b"/p9.9".to_vec() });
        let names: Vec<&str> = fleet.ledger().projects.values().map(|project| project.name.as_str()).collect();
        assert_eq!(names, ["p", "p9.9-2"], "a folder may be called so");
    }
}
