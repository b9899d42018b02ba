//! What this master remembers of a node besides its connection: what it told of itself, how it is, how it did.
//!
//! Volatile, and kept when the connection is not: a node that is gone is asked about just then. It decides where work goes, and
//! nothing that lasts.

use alloc::vec::Vec;

use super::{Effect, Fleet, Health, Notice, resting::Rest};
use crate::{
    ids::{NodeId, SparkId},
    time::{Span, Time},
    wire::{
        message::HEARTBEAT,
        node::{Load, NodeProfile},
        task::AttemptError,
    },
};

/// Heartbeats that a master receives in a second, from all nodes together; a larger fleet beats more slowly.
pub const HEARTBEATS_PER_SECOND_MAX: u64 = 500;
/// The same where all are idle, as long as that is no rarer than every five seconds each: whoever has nothing loses nothing when it
/// is missed later. Nomad's servers take 50 (`max_heartbeats_per_second`).
pub const IDLE_HEARTBEATS_PER_SECOND_MAX: u64 = 40;
/// People look at idle nodes too, and are to see within half a minute that one is gone.
const IDLE_PACE_MAX: Span = Span::from_secs(5);

/// Between the heartbeats of one node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// That holds sparks, or answers that nobody acknowledged.
    pub(super) busy: Span,
    pub(super) idle: Span,
}

impl Pace {
    pub(super) const FASTEST: Pace = Pace { busy: HEARTBEAT, idle: HEARTBEAT };
}

/// A node as it told of itself, and as it did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeRecord {
    pub profile: NodeProfile,
    pub load: Load,
    pub health: Health,
    /// Since when it is as healthy as it is.
    pub health_since: Time,
    pub tally: NodeTally,
    pub rest: Rest,
}

/// What came of the attempts that a node was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeTally {
    pub finished: u64,
    /// Those that it has to answer for: neither called back, nor lost with a link.
    pub failed: u64,
    /// Of the files of finished ones.
    pub bytes: u64,
    /// That the finished ones ran, one after another.
    pub took: Span,
    /// Commands that it could not carry out, being older than its master.
    pub unsupported: u64,
}

impl NodeTally {
    /// Of one slot.
    pub fn bytes_per_second(&self) -> u64 {
        (u128::from(self.bytes) * 1_000_000).checked_div(u128::from(self.took.0)).unwrap_or(0) as u64
    }

    pub fn average(&self) -> Span {
        Span(self.took.0.checked_div(self.finished).unwrap_or(0))
    }

    pub fn failed_permille(&self) -> u16 {
        (self.failed * 1000).checked_div(self.finished + self.failed).unwrap_or(0) as u16
    }
}

impl Fleet {
    pub(super) fn note_profile(&mut self, id: NodeId, profile: NodeProfile) {
        self.records.entry(id).or_default().profile = profile.bounded();
    }

    pub(super) fn note_health(&mut self, now: Time, id: NodeId, health: Health, out: &mut Vec<Effect>) {
        let record = self.records.entry(id).or_default();
        if record.health != health {
            (record.health, record.health_since) = (health, now);
            out.push(Effect::Publish(Notice::NodeChanged(id)));
        }
    }

    /// To be called while the attempt is still in flight.
    pub(super) fn note_finished(&mut self, id: NodeId, spark: SparkId, took: Span) {
        let job = &self.ledger.jobs[&spark.job];
        let files = &job.sparks[spark.number as usize].files;
        let bytes: u64 = files.iter().map(|&file| job.files[file as usize].size).sum();
        self.end_rests(id);
        let tally = &mut self.records.entry(id).or_default().tally;
        tally.finished += 1;
        tally.bytes = tally.bytes.saturating_add(bytes);
        tally.took = Span(tally.took.0.saturating_add(took.0));
    }

    pub(super) fn note_failed(&mut self, now: Time, id: NodeId, error: &AttemptError) {
        self.rest(now, id, error);
        let innocent =
            matches!(error, AttemptError::Cancelled | AttemptError::Moved | AttemptError::Interrupted | AttemptError::NodeSilent | AttemptError::Unsupplied(_));
        if !innocent {
            self.records.entry(id).or_default().tally.failed += 1;
        }
    }

    /// Between the heartbeats of one node: doubled until there are few enough of them. A fleet that shrinks beats faster
    /// again only when there is room for it, so that one node that comes and goes changes nothing for the others.
    pub(super) fn adjust_pace(&mut self) {
        let nodes = self.nodes.len() as u64;
        let busy = adjusted(self.pace.busy, nodes, HEARTBEATS_PER_SECOND_MAX);
        let idle = adjusted(self.pace.idle, nodes, IDLE_HEARTBEATS_PER_SECOND_MAX);
        self.pace = Pace { busy, idle: idle.min(IDLE_PACE_MAX).max(busy) };
    }
}

fn adjusted(before: Span, nodes: u64, per_second_max: u64) -> Span {
    let rate = |pace: Span| nodes * 1_000_000 / pace.0;
    let mut pace = before;
    while rate(pace) > per_second_max {
        pace = Span(pace.0 * 2);
    }
    while pace > HEARTBEAT && rate(Span(pace.0 / 2)) <= per_second_max * 3 / 4 {
        pace = Span(pace.0 / 2);
    }
    pace
}

#[cfg(test)]
mod tests {
    use alloc::{boxed::Box, vec::Vec};

    use super::*;
    use crate::{
        fleet::{Event, Fact, JobSpec, Ledger, Priority, Settings},
        ids::{Digest, Epoch, Incarnation},
        wire::{Envelope, FromAgent, ToAgent, message::HEARTBEAT_MAX},
    };

    const NOW: Time = Time(1_000_000);

    fn fleet_of(nodes: u64) -> Fleet {
        let mut ledger = Ledger::default();
        (1..=nodes).for_each(|number| ledger.apply(&Fact::NodePaired { node: NodeId(number), name: alloc::format!("n{number}"), at: NOW }));
        let mut fleet = Fleet::recover(Settings::default(), ledger, NOW, &mut Vec::new());
        for number in 1..=nodes {
            let profile = Box::new(NodeProfile { host: "h".into(), ..NodeProfile::default() });
            hear(&mut fleet, number, FromAgent::Hello { slots: 1, fingerprint: Digest::default(), held: Vec::new(), programs: Vec::new(), profile });
        }
        fleet
    }

    fn hear(fleet: &mut Fleet, number: u64, body: FromAgent) -> Vec<Effect> {
        let mut out = Vec::new();
        let message = Envelope { epoch: Epoch(1), incarnation: Incarnation(1), body };
        fleet.handle(NOW, Event::Received { node: NodeId(number), message }, &mut out);
        fleet.check();
        out
    }

    /// From a node that holds nothing; answers with what it is told.
    fn beat(fleet: &mut Fleet, number: u64, pace: Span) -> Option<(Span, Span)> {
        let load = Load { cpu_permille: 250, ..Load::default() };
        hear(fleet, number, FromAgent::Heartbeat { held: Vec::new(), load, pace }).into_iter().find_map(|effect| match effect {
            Effect::Send { message: Envelope { body: ToAgent::SetPace { heartbeat, idle }, .. }, .. } => Some((heartbeat, idle)),
            _ => None,
        })
    }

    #[test]
    fn a_large_fleet_beats_more_slowly_and_waits_longer() {
        let mut fleet = fleet_of(20);
        assert_eq!(beat(&mut fleet, 1, HEARTBEAT), None, "as fast as it may");
        let mut fleet = fleet_of(100);
        assert_eq!(beat(&mut fleet, 1, HEARTBEAT), Some((HEARTBEAT, Span::from_secs(4))));
        let mut fleet = fleet_of(1000);
        let (busy, pace) = beat(&mut fleet, 1, HEARTBEAT).unwrap();
        assert!(1000 * 1_000_000 / busy.0 <= HEARTBEATS_PER_SECOND_MAX, "{busy:?}");
        assert_eq!(pace, IDLE_PACE_MAX);
        assert_eq!(beat(&mut fleet, 1, pace), None, "it was told");
        let mut quiet = NOW;
        while fleet.nodes.contains_key(&NodeId(1)) {
            quiet = fleet.next_deadline().unwrap();
            fleet.handle(quiet, Event::Woken, &mut Vec::new());
        }
        assert!(quiet - NOW >= Span(pace.0 * 6), "gone after {:?}", quiet - NOW);
    }

    #[test]
    fn an_idle_node_that_is_given_work_is_missed_as_soon_as_a_busy_one() {
        let mut fleet = fleet_of(200);
        let (busy, idle) = beat(&mut fleet, 1, HEARTBEAT).unwrap();
        assert_eq!((busy, idle, beat(&mut fleet, 1, idle)), (HEARTBEAT, IDLE_PACE_MAX, None));
        let later = NOW + Span::from_secs(3);
        let mut out = Vec::new();
        let spec = JobSpec::without_tree(None, Priority::Normal, Vec::new());
        fleet.handle(later, Event::WorkSubmitted { spec, sparks: 200 }, &mut out);
        fleet.check();
        let given = |effect: &Effect| matches!(effect, Effect::Send { to: NodeId(1), message } if matches!(message.body, ToAgent::ExecuteTask(_)));
        assert!(out.iter().any(given));
        assert_eq!(fleet.nodes[&NodeId(1)].health, Health::Healthy, "it was to be silent until now");
        let mut now = later;
        while fleet.nodes.contains_key(&NodeId(1)) {
            now = fleet.next_deadline().unwrap();
            fleet.handle(now, Event::Woken, &mut Vec::new());
        }
        assert_eq!(now, later + Settings::default().offline_after, "and is gone when a busy one would be");
    }

    #[test]
    fn no_node_says_that_it_may_be_silent_for_ever() {
        let mut fleet = fleet_of(1);
        beat(&mut fleet, 1, Span(u64::MAX));
        assert!(fleet.nodes[&NodeId(1)].pace <= HEARTBEAT_MAX);
    }

    #[test]
    fn what_a_node_told_outlives_its_connection() {
        let mut fleet = fleet_of(1);
        beat(&mut fleet, 1, HEARTBEAT);
        fleet.handle(NOW + Span::from_secs(1), Event::NodeDisconnected { node: NodeId(1) }, &mut Vec::new());
        let record = fleet.record_of(NodeId(1)).unwrap();
        assert_eq!((record.profile.host.as_str(), record.load.cpu_permille), ("h", 250));
        assert_eq!((record.health, record.health_since), (Health::Offline, NOW + Span::from_secs(1)));
    }

    #[test]
    fn figures_are_whole_numbers() {
        let tally = NodeTally { finished: 3, failed: 1, bytes: 9_000_000, took: Span::from_secs(6), unsupported: 0 };
        assert_eq!((tally.bytes_per_second(), tally.average(), tally.failed_permille()), (1_500_000, Span::from_secs(2), 250));
        assert_eq!((NodeTally::default().bytes_per_second(), NodeTally::default().failed_permille()), (0, 0));
    }
}
