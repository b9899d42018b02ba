//! Reactions to what becomes of an attempt: finished, failed, overdue, lost.

use alloc::{format, string::String, vec::Vec};

use super::{Effect, Fact, Fleet, Flight, Notice};
use crate::{
    cache::splitmix,
    ids::{JobId, NodeId, SparkId},
    time::{Span, Time},
    wire::{
        ToAgent,
        message::{Held, Output, Progress},
        task::{AttemptError, FileResult, SparkOutput},
    },
};

/// Attempts at a spark that may take an agent's own process with them.
const WHOLE_ATTEMPTS_MAX: u32 = 2;

impl Fleet {
    pub(super) fn on_progress(&mut self, now: Time, node: NodeId, progress: &Progress, out: &mut Vec<Effect>) {
        let held = Held { spark: progress.spark, attempt: progress.attempt };
        match self.flights.get_mut(held).filter(|flight| flight.node == node) {
            Some(flight) => {
                (flight.files, flight.bytes) = (progress.files, progress.bytes);
                self.note_progress(now, node, out);
            }
            None => self.stale_messages += 1,
        }
    }

    pub(super) fn on_output(&mut self, node: NodeId, output: Output, out: &mut Vec<Effect>) {
        if self.is_current(node, Held { spark: output.spark, attempt: output.attempt }) {
            out.push(Effect::KeepOutput(output));
        } else {
            self.stale_messages += 1;
        }
    }

    /// A result counts once, for the attempt that is running; every answer is acknowledged, or the agent would keep it for ever.
    pub(super) fn on_finished(&mut self, now: Time, node: NodeId, held: Held, (output, took): (SparkOutput, Span), out: &mut Vec<Effect>) {
        if !self.is_current(node, held) {
            self.on_late_answer(node, held, &output, out);
        } else if let Err(misfit) = self.fits(held.spark, &output) {
            let error = AttemptError::Invalid(misfit);
            self.note_failed(now, node, &error);
            self.give_up(now, held, error, out);
        } else if let Some(ended) = output.ended.clone().filter(|ended| !ended.status.is_success()) {
            let error = AttemptError::Exited(ended);
            self.note_failed(now, node, &error);
            self.give_up(now, held, error, out);
        } else {
            self.note_finished(node, held.spark, took);
            let flight = self.land(now, held).expect("it is current");
            self.flights.forget_lost(held, node);
            self.speeds.learn(node, &flight.size, took);
            self.learn_lateness(now, held.spark);
            self.call_back(now, held.spark, out);
            self.note_held(node, held.spark, &output, out);
            self.record(Fact::SparkFinished { spark: held.spark, output, node: Some(node) }, out);
            out.push(Effect::Publish(Notice::JobChanged(held.spark.job)));
        }
        self.send(node, ToAgent::Acknowledge { spark: held.spark, attempt: held.attempt }, out);
        self.settle(now, held.spark.job, out);
    }

    pub(super) fn on_failed(&mut self, now: Time, node: NodeId, held: Held, error: AttemptError, out: &mut Vec<Effect>) {
        if self.is_current(node, held) {
            self.note_failed(now, node, &error);
            self.give_up(now, held, error, out);
        } else {
            self.stale_messages += 1;
        }
        self.send(node, ToAgent::Acknowledge { spark: held.spark, attempt: held.attempt }, out);
    }

    pub(super) fn on_overdue_attempts(&mut self, now: Time, out: &mut Vec<Effect>) {
        let overdue: Vec<(Held, NodeId)> = self.flights.iter().filter(|(_, flight)| flight.deadline <= now).map(|(held, flight)| (held, flight.node)).collect();
        for (held, node) in overdue {
            let connected = self.nodes.contains_key(&node);
            self.send(node, ToAgent::CancelTask { spark: held.spark, attempt: held.attempt }, out);
            let error = if connected { AttemptError::TimedOut } else { AttemptError::NodeSilent };
            self.note_failed(now, node, &error);
            self.give_up(now, held, error, out);
        }
    }

    /// An attempt came to nothing. Where another one at the same spark still runs, that is all.
    pub(super) fn give_up(&mut self, now: Time, held: Held, error: AttemptError, out: &mut Vec<Effect>) {
        self.land(now, held);
        if self.flights.flies(held.spark) {
            return;
        }
        match self.flights.fall_back(held.spark) {
            Some(&Flight { node, attempt, .. }) => self.record(Fact::CopyDropped { spark: held.spark, error, attempt, node }, out),
            None => self.try_again(now, held.spark, error, out),
        }
    }

    /// Nobody runs the spark any more: once more, in halves, or not again.
    fn try_again(&mut self, now: Time, id: SparkId, error: AttemptError, out: &mut Vec<Effect>) {
        let spark = self.ledger.spark(id).expect("what is in flight exists");
        let crashed = matches!(error, AttemptError::Crashed(_));
        // One that hangs costs its node a slot: cut as well, but a file that took too long once more is blamed for nothing else.
        let hung = error == AttemptError::TimedOut;
        let several = spark.files.len() > 1;
        let unsupplied = matches!(error, AttemptError::Unsupplied(_));
        let moved = error == AttemptError::Moved;
        let innocent = unsupplied || moved || matches!(error, AttemptError::Interrupted | AttemptError::NodeSilent);
        let poisonous = innocent && !unsupplied && !moved && spark.attempts >= self.settings.attempts_max;
        let divisible = !spark.files.is_empty();
        // While there is room elsewhere. A fleet whose nodes fill up in turn is not asked for ever, and a command may have had its effects.
        let elsewhere = divisible && matches!(error, AttemptError::Storage(_)) && spark.attempts < self.settings.attempts_max && self.has_other_room(id.job);
        let forgiven = innocent || elsewhere;
        if divisible && spark.isolated && (crashed || poisonous || (hung && several)) {
            self.narrow_down(now, id, error, out);
        } else if (poisonous && !divisible) || (!forgiven && spark.failures + 1 >= self.failures_max(id.job, &error)) {
            self.record(Fact::SparkFailed { spark: id, error }, out);
        } else {
            let suspect = crashed || hung || error == AttemptError::Interrupted || (!unsupplied && self.was_whole_often_enough(id));
            let isolate = divisible && suspect;
            // Nobody's fault, and still no reason to ask for it without a pause.
            let tries = if unsupplied { spark.attempts } else { spark.failures };
            let wait = if forgiven && !unsupplied { Span(0) } else { self.backoff(id, tries) };
            let fact = Fact::AttemptFailed { spark: id, error, not_before: now + wait, isolate, counts: !forgiven };
            self.record(fact, out);
            self.queue(now, id, now + wait);
        }
        out.push(Effect::Publish(Notice::JobChanged(id.job)));
        self.settle(now, id.job, out);
    }

    /// Further attempts are isolated whatever the earlier ones ended of: a node that is silent, that ran out of time, or
    /// that was called back, may be one that this spark took with it.
    pub(super) fn was_whole_often_enough(&self, id: SparkId) -> bool {
        self.ledger.spark(id).is_some_and(|spark| !spark.files.is_empty() && spark.attempts >= WHOLE_ATTEMPTS_MAX)
    }

    /// How often this may happen to a spark: what a command does of itself, as often as was asked for.
    fn failures_max(&self, job: JobId, error: &AttemptError) -> u32 {
        let its_own = matches!(error, AttemptError::Exited(_) | AttemptError::TimedOut | AttemptError::Refused(_) | AttemptError::Crashed(_));
        let command = self.ledger.jobs[&job].spec.command.as_ref().filter(|_| its_own);
        command.map_or(self.settings.failures_max, |command| command.tries)
    }

    /// The spark takes its process with it: halves of it go on, down to the file that does it, twice: once may be the
    /// system's doing, which kills what takes too much memory and does not ask whose fault it was.
    fn narrow_down(&mut self, now: Time, id: SparkId, error: AttemptError, out: &mut Vec<Effect>) {
        let spark = self.ledger.spark(id).expect("it was just seen");
        match (spark.files.len(), spark.failures) {
            (0 | 1, 0) => {
                let not_before = now + self.backoff(id, 0);
                self.record(Fact::AttemptFailed { spark: id, error, not_before, isolate: true, counts: true }, out);
                return self.queue(now, id, not_before);
            }
            (0 | 1, _) => return self.record(Fact::FileQuarantined { spark: id }, out),
            _ => {}
        }
        self.record(Fact::SparkSplit { spark: id }, out);
        let end = self.ledger.jobs[&id.job].sparks.len() as u32;
        for number in [end - 2, end - 1] {
            self.queue(now, SparkId { job: id.job, number }, now);
        }
    }

    /// What need not wait can go to another node in this very turn.
    pub(super) fn queue(&mut self, now: Time, id: SparkId, not_before: Time) {
        let Some(runnable) = self.active.get_mut(&id.job) else { return };
        if not_before <= now {
            runnable.ready.insert(id.number);
        } else {
            runnable.waiting.insert((not_before, id.number));
        }
    }

    /// Takes an attempt out of the air.
    fn land(&mut self, now: Time, held: Held) -> Option<Flight> {
        let flight = self.flights.remove(held)?;
        self.flights.note_lost(held, flight.node);
        if let Some(node) = self.nodes.get_mut(&flight.node)
            && node.held.remove(&held)
        {
            node.unload(now, flight.estimate, flight.needs);
            if flight.runs_since.is_some() {
                node.leaves_slots(&flight);
            }
            // What stood in front of the line may have been what waited for more than there is.
            self.take_slots(now, flight.node);
        }
        Some(flight)
    }

    /// Nobody waits any more for what runs of a spark.
    pub(super) fn call_back(&mut self, now: Time, spark: SparkId, out: &mut Vec<Effect>) {
        for held in self.flights.of_spark(spark) {
            let flight = self.land(now, held).expect("it was just listed");
            self.send(flight.node, ToAgent::CancelTask { spark, attempt: flight.attempt }, out);
        }
    }

    /// Is it one of the attempts whose answer counts?
    pub(super) fn is_current(&self, node: NodeId, held: Held) -> bool {
        self.flights.get(held).is_some_and(|flight| flight.node == node)
    }

    /// An answer names exactly the files that were asked for, with the contents that were listed.
    pub(super) fn fits(&self, id: SparkId, output: &SparkOutput) -> Result<(), String> {
        let job = &self.ledger.jobs[&id.job];
        let spark = &job.sparks[id.number as usize];
        let runs_command = self.ledger.jobs[&id.job].spec.command.is_some();
        if output.ended.is_some() != runs_command {
            return Err((if runs_command { "it does not say how the command ended" } else { "there was no command to end" }).into());
        }
        if output.files.len() != spark.files.len() {
            return Err(format!("{} files where {} were asked for", output.files.len(), spark.files.len()));
        }
        for (outcome, &asked) in output.files.iter().zip(&spark.files) {
            if outcome.index != asked {
                return Err(format!("file {} where {asked} was asked for", outcome.index));
            }
            if let (FileResult::Analysed { content, .. }, Some(listed)) = (&outcome.result, job.files[asked as usize].content)
                && *content != listed
            {
                return Err(format!("another content of file {asked} than was listed"));
            }
        }
        Ok(())
    }

    /// Exponential, with a jitter of up to a half that depends on the seed, the spark and the failure alone.
    fn backoff(&self, id: SparkId, failures: u32) -> Span {
        let whole = self.settings.backoff_first.0.saturating_mul(1 << failures.min(20)).min(self.settings.backoff_max.0);
        let key = self.settings.seed ^ (u64::from(id.job.counter) << 40) ^ (u64::from(id.number) << 8) ^ u64::from(failures);
        Span(whole / 2 + splitmix(key) % (whole / 2 + 1))
    }
}
