//! Attempts that some node has, or is believed to have: one for each spark that runs, the one that the ledger knows, and
//! for a spark that was late an earlier one beside it. Decides nothing.

use alloc::{collections::BTreeMap, vec::Vec};

use super::{Needs, placement::Size};
use crate::{
    ids::{Attempt, JobId, NodeId, SparkId},
    time::{Span, Time},
    wire::message::Held,
};

/// Attempts whose answer nobody waits for and that are remembered all the same; beyond that the first of them are not.
const LOST_MAX: usize = 16_384;

/// Every attempt in the air.
#[derive(Default)]
pub(super) struct Flights {
    /// As the ledger knows them.
    present: BTreeMap<SparkId, Flight>,
    /// Those that a copy was made of, on another node. Never without a present one, and gone with a restart of the master.
    earlier: BTreeMap<SparkId, Flight>,
    /// Of jobs that are not over: attempts that were given up or outrun, with who had them. An answer may come all the same.
    lost: BTreeMap<Held, NodeId>,
    /// Nobody looks for late ones before this.
    pub(super) look_at: Time,
}

/// One attempt on its way.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    pub(super) node: NodeId,
    pub(super) attempt: Attempt,
    /// As far as this master knows.
    pub(super) begun_at: Time,
    /// Its node has had a slot for it since then, as far as this master can tell; `None` while it waits for one.
    pub(super) runs_since: Option<Time>,
    /// The last time.
    pub(super) sent_at: Time,
    pub(super) deadline: Time,
    /// What it was expected to take, as it counts in its node's backlog.
    pub(super) estimate: Span,
    pub(super) size: Size,
    pub(super) needs: Needs,
    /// It analyses files, and says how far it is. A command, and packs that are brought, say nothing for long.
    pub(super) parses: bool,
    pub(super) files: u32,
    pub(super) bytes: u64,
}

impl Flights {
    /// The one that flies already becomes the earlier one.
    pub(super) fn begin(&mut self, spark: SparkId, flight: Flight) {
        if let Some(earlier) = self.present.insert(spark, flight) {
            let third = self.earlier.insert(spark, earlier);
            assert!(third.is_none(), "{spark} is run at most twice at a time");
        }
    }

    pub(super) fn get(&self, held: Held) -> Option<&Flight> {
        let is_meant = |flight: &&Flight| flight.attempt == held.attempt;
        self.present.get(&held.spark).filter(is_meant).or_else(|| self.earlier.get(&held.spark).filter(is_meant))
    }

    pub(super) fn get_mut(&mut self, held: Held) -> Option<&mut Flight> {
        let of_spark = [self.present.get_mut(&held.spark), self.earlier.get_mut(&held.spark)];
        of_spark.into_iter().flatten().find(|flight| flight.attempt == held.attempt)
    }

    /// Where the present one is removed and an earlier one is left, [`Flights::fall_back`] has to follow.
    pub(super) fn remove(&mut self, held: Held) -> Option<Flight> {
        let of_spark = [&mut self.present, &mut self.earlier];
        let flights = of_spark.into_iter().find(|flights| flights.get(&held.spark).is_some_and(|flight| flight.attempt == held.attempt))?;
        flights.remove(&held.spark)
    }

    pub(super) fn note_lost(&mut self, held: Held, node: NodeId) {
        if self.lost.len() == LOST_MAX && !self.lost.contains_key(&held) {
            self.lost.pop_first();
        }
        self.lost.insert(held, node);
    }

    /// Was it this node's? Who names an attempt of another one takes nothing from it.
    pub(super) fn forget_lost(&mut self, held: Held, node: NodeId) -> bool {
        let was_its_own = self.lost.get(&held) == Some(&node);
        if was_its_own {
            self.lost.remove(&held);
        }
        was_its_own
    }

    pub(super) fn forget_lost_of(&mut self, job: JobId) {
        self.lost.retain(|held, _| held.spark.job != job);
    }

    /// The earlier attempt of a spark whose present one is gone becomes the present one.
    pub(super) fn fall_back(&mut self, spark: SparkId) -> Option<&Flight> {
        let earlier = self.earlier.remove(&spark)?;
        let gone = self.present.insert(spark, earlier);
        assert!(gone.is_none(), "nothing flies in place of what flies");
        self.present.get(&spark)
    }

    pub(super) fn present(&self) -> impl Iterator<Item = (SparkId, &Flight)> {
        self.present.iter().map(|(spark, flight)| (*spark, flight))
    }

    pub(super) fn earlier(&self) -> impl Iterator<Item = (SparkId, &Flight)> {
        self.earlier.iter().map(|(spark, flight)| (*spark, flight))
    }

    /// Of all attempts.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Held, &Flight)> {
        self.present().chain(self.earlier()).map(|(spark, flight)| (Held { spark, attempt: flight.attempt }, flight))
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Flight> {
        self.present.values_mut().chain(self.earlier.values_mut())
    }

    pub(super) fn flies(&self, spark: SparkId) -> bool {
        self.present.contains_key(&spark)
    }

    /// Is it run twice at the moment?
    pub(super) fn is_copied(&self, spark: SparkId) -> bool {
        self.earlier.contains_key(&spark)
    }

    /// One or two.
    pub(super) fn of_spark(&self, spark: SparkId) -> Vec<Held> {
        let of_spark = [self.present.get(&spark), self.earlier.get(&spark)];
        of_spark.into_iter().flatten().map(|flight| Held { spark, attempt: flight.attempt }).collect()
    }

    /// The sparks of a job that fly, each with its present attempt.
    pub(super) fn of_job(&self, job: JobId) -> impl Iterator<Item = (SparkId, &Flight)> {
        let all = SparkId { job, number: 0 }..=SparkId { job, number: u32::MAX };
        self.present.range(all).map(|(spark, flight)| (*spark, flight))
    }

    /// Files and bytes that are done of a job's sparks in the air; of a spark that is run twice, where more is done.
    pub(super) fn progress_of(&self, job: JobId) -> (u64, u64) {
        let progress = |flight: &Flight| (flight.bytes, flight.files);
        let furthest =
            self.of_job(job).map(|(spark, flight)| self.earlier.get(&spark).map_or(progress(flight), |earlier| progress(flight).max(progress(earlier))));
        furthest.fold((0, 0), |(files, bytes), (more_bytes, more_files)| (files + u64::from(more_files), u64::saturating_add(bytes, more_bytes)))
    }

    pub(super) fn len(&self) -> usize {
        self.present.len() + self.earlier.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Epoch;

    #[test]
    fn what_is_lost_twice_takes_no_place_of_another() {
        let held = |number| Held { spark: SparkId { job: JobId { epoch: Epoch(1), counter: 1 }, number }, attempt: Attempt(1) };
        let mut flights = Flights::default();
        (0..LOST_MAX as u32).for_each(|number| flights.note_lost(held(number), NodeId(1)));
        flights.note_lost(held(7), NodeId(2));
        assert!(flights.forget_lost(held(0), NodeId(1)) && flights.forget_lost(held(7), NodeId(2)));
    }
}
