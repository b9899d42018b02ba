//! What a spark takes of its node while it runs, and what a node has left. Reserved, not measured: whoever asks for four cores has
//! them, whether they are used or not.

use alloc::{string::String, vec::Vec};
use core::fmt;

use serde::{Deserialize, Serialize};

use super::{Fleet, JobSpec, Node};
use crate::{ids::NodeId, time::Time};

/// Of one spark. What is not said is one slot, and no more is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Needs {
    /// Slots of its node.
    pub cores: u32,
    pub memory_bytes: u64,
    pub gpus: u32,
}

impl Needs {
    pub fn is_none(&self) -> bool {
        *self == Needs::default()
    }

    /// What it takes of the node's slots.
    pub fn slots(&self) -> u32 {
        self.cores.max(1)
    }

    /// Beside what is taken already.
    pub(super) fn with(self, other: Needs) -> Needs {
        Needs {
            cores: self.cores.saturating_add(other.slots()),
            memory_bytes: self.memory_bytes.saturating_add(other.memory_bytes),
            gpus: self.gpus.saturating_add(other.gpus),
        }
    }

    pub(super) fn without(self, other: Needs) -> Needs {
        Needs {
            cores: self.cores.saturating_sub(other.slots()),
            memory_bytes: self.memory_bytes.saturating_sub(other.memory_bytes),
            gpus: self.gpus.saturating_sub(other.gpus),
        }
    }

    /// How often there is as much as this in what a node has, beside what is taken of it.
    fn fits_into(&self, all: Needs, taken: Needs) -> u32 {
        let times = |all: u64, taken: u64, need: u64| all.saturating_sub(taken).checked_div(need).unwrap_or(u64::MAX);
        let slots = times(all.cores.into(), taken.cores.into(), self.slots().into());
        let memory = times(all.memory_bytes, taken.memory_bytes, self.memory_bytes);
        let gpus = times(all.gpus.into(), taken.gpus.into(), self.gpus.into());
        slots.min(memory).min(gpus).try_into().unwrap_or(u32::MAX)
    }

    /// How many sparks that need this a node may be given now. What needs anything is not sent ahead: it is free there, or the spark
    /// waits with the master, where there may be another node for it.
    pub(super) fn room_in(&self, capacity: Needs, reserved: Needs, credit: u32) -> u32 {
        if self.is_none() { credit } else { credit.min(self.fits_into(capacity, reserved)) }
    }
}

/// A node that is kept free for something.
#[derive(Clone, Copy)]
pub(super) struct Kept {
    pub(super) node: NodeId,
    /// What ends there gives it slots. Otherwise it waits for memory or a GPU, which those that need none neither have nor take.
    lacks_slots_alone: bool,
}

impl Kept {
    /// From what needs this?
    pub(super) fn is_kept_from(&self, needs: Needs) -> bool {
        self.lacks_slots_alone || needs.memory_bytes > 0 || needs.gpus > 0
    }
}

impl fmt::Display for Needs {
    /// As it is asked for: `cores=4,memory=8589934592,gpus=1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [("cores", u64::from(self.cores)), ("memory", self.memory_bytes), ("gpus", self.gpus.into())];
        let said = parts.into_iter().filter(|(_, need)| *need > 0).map(|(name, need)| alloc::format!("{name}={need}"));
        f.write_str(&said.collect::<Vec<String>>().join(","))
    }
}

impl Fleet {
    /// All that a node has, as it says itself.
    pub(super) fn capacity(&self, id: NodeId, node: &Node) -> Needs {
        let profile = self.records.get(&id).map(|record| &record.profile);
        Needs { cores: node.slots, memory_bytes: profile.map_or(0, |profile| profile.memory_bytes), gpus: profile.map_or(0, |profile| profile.gpus) }
    }

    /// Could it run one of the job's sparks if it had nothing else?
    pub(super) fn is_large_enough(&self, spec: &JobSpec, id: NodeId, node: &Node) -> bool {
        let needs = spec.needs();
        needs.is_none() || needs.fits_into(self.capacity(id, node), Needs::default()) > 0
    }

    /// The node that a spark waits for which needs more than is free anywhere: as long as it waits, that one is given nothing less
    /// urgent that would take what it lacks, or what needs little would take it each time, for ever. The one that is expected to be
    /// idle first.
    pub(super) fn kept_free_for(&self, now: Time, spec: &JobSpec) -> Option<Kept> {
        let needs = spec.needs();
        let lacks_room = |(id, node): &(NodeId, &Node)| needs.fits_into(self.capacity(*id, node), node.reserved) == 0;
        let waits_for = self.eligible(spec).filter(|(_, node)| !needs.is_none() && node.is_reachable()).filter(lacks_room);
        let (id, node) = waits_for.min_by_key(|(id, node)| (node.idle_in(now), *id))?;
        let lacks_slots_alone = needs.fits_into(self.capacity(id, node), Needs { cores: 0, ..node.reserved }) > 0;
        Some(Kept { node: id, lacks_slots_alone })
    }
}

#[cfg(test)]
mod tests {
    use alloc::{boxed::Box, string::ToString, vec};

    use super::*;
    use crate::{
        fleet::{CommandSpec, Effect, Event, Ledger, NodeSelector, Pending, Placement, Priority, Settings, SparkState},
        ids::{Digest, Epoch, Incarnation, JobId, SparkId},
        time::{Span, Time},
        wire::{
            Envelope, FromAgent, ToAgent,
            command::{CommandEnd, CommandLine, ExitStatus, OUTPUT_BYTES},
            node::NodeProfile,
            task::SparkOutput,
        },
    };

    const NOW: Time = Time(1_000_000);
    const GB: u64 = 1 << 30;

    struct Play(Fleet, Time);

    impl Play {
        /// Nodes of so many slots, each with four gigabytes and a GPU, that run `make`.
        fn of(slots: &[u32]) -> Play {
            let mut play = Play(Fleet::recover(Settings::default(), Ledger::default(), NOW, &mut Vec::new()), NOW);
            for &slots in slots {
                play.handle(Event::NodeJoined { name: "a".into(), address: None });
                let node = *play.0.ledger().nodes.keys().last().unwrap();
                let profile = Box::new(NodeProfile { memory_bytes: 4 * GB, gpus: 1, ..NodeProfile::default() });
                play.says(node, FromAgent::Hello { slots, fingerprint: Digest::default(), held: vec![], programs: vec!["make".into()], profile });
            }
            play
        }

        fn handle(&mut self, event: Event) -> Vec<Effect> {
            let mut out = Vec::new();
            self.1 += Span::from_millis(1);
            self.0.handle(self.1, event, &mut out);
            self.0.check();
            out
        }

        fn says(&mut self, node: NodeId, body: FromAgent) -> Vec<Effect> {
            self.handle(Event::Received { node, message: Envelope { epoch: Epoch(1), incarnation: Incarnation(1), body } })
        }

        fn node(&self, place: usize) -> NodeId {
            *self.0.ledger().nodes.keys().nth(place).unwrap()
        }

        fn submit(&mut self, needs: Needs, sparks: u32) -> JobId {
            self.submit_to(needs, sparks, Placement::LeastLoaded, NodeSelector::default())
        }

        fn submit_to(&mut self, needs: Needs, sparks: u32, placement: Placement, nodes: NodeSelector) -> JobId {
            let line = CommandLine { program: "make".into(), output_bytes_max: OUTPUT_BYTES, ..CommandLine::default() };
            let command = CommandSpec { line, tries: 1, timeout: Span::from_secs(60), needs, project: None };
            let spec = JobSpec { placement, nodes, ..JobSpec::without_tree(Some(command), Priority::Normal, vec![]) };
            let out = self.handle(Event::WorkSubmitted { spec, sparks });
            let tasks = out.iter().filter_map(|effect| match effect {
                Effect::Send { message: Envelope { body: ToAgent::ExecuteTask(task), .. }, .. } => Some(task.slots),
                _ => None,
            });
            let job = *self.0.ledger().jobs.keys().last().unwrap();
            assert!(tasks.clone().all(|slots| slots == needs.slots() || self.running(job).is_empty()), "the node is told");
            job
        }

        /// The sparks of a job that are with nodes.
        fn running(&self, job: JobId) -> Vec<(u32, NodeId)> {
            let sparks = (0..).zip(&self.0.ledger().jobs[&job].sparks);
            let runs = sparks.filter_map(|(number, spark)| match spark.state {
                SparkState::Running { node, .. } => Some((number, node)),
                _ => None,
            });
            runs.collect()
        }

        fn end(&mut self, job: JobId, (number, node): (u32, NodeId)) {
            let spark = SparkId { job, number };
            let ended = Some(CommandEnd { status: ExitStatus::Code(0), log: Digest::default(), log_bytes: 0, dropped_bytes: 0 });
            let attempt = crate::ids::Attempt(self.0.ledger().spark(spark).unwrap().attempts);
            self.says(node, FromAgent::Finished { spark, attempt, output: SparkOutput { ended, ..SparkOutput::default() }, took: Span(1_000_000) });
        }
    }

    #[test]
    fn no_more_is_given_than_a_node_has() {
        let cores = Needs { cores: 3, ..Needs::default() };
        let memory = Needs { memory_bytes: 3 * GB / 2, ..Needs::default() };
        let gpus = Needs { gpus: 1, ..Needs::default() };
        for (needs, at_once) in [(cores, 2), (memory, 2), (gpus, 1), (Needs { cores: 2, ..memory }, 2), (Needs { cores: 8, ..memory }, 1)] {
            let mut play = Play::of(&[8]);
            let job = play.submit(needs, 5);
            for _ in 0..5 {
                let running = play.running(job);
                assert!(running.len() <= at_once, "{needs}");
                play.end(job, running[0]);
            }
            assert!(play.0.ledger().jobs[&job].status.is_over(), "{needs}");
        }
    }

    #[test]
    fn what_needs_nothing_takes_a_slot_beside_it() {
        let mut play = Play::of(&[4]);
        let wide = play.submit(Needs { cores: 3, ..Needs::default() }, 1);
        assert_eq!(play.running(wide).len(), 1);
        play.submit(Needs::default(), 1);
        let second = play.submit(Needs { cores: 1, ..Needs::default() }, 1);
        assert!(play.running(second).is_empty() && play.0.explain(second) == [Pending::NoFreeSlot { held: 2 }], "four are taken");
    }

    fn is_reached_beside_small_sparks(needs: Needs) {
        let mut play = Play::of(&[4]);
        let small = play.submit(Needs::default(), 5_000);
        let large = play.submit(needs, 1);
        let mut ended = 0;
        while play.running(large).is_empty() {
            let running = play.running(small);
            assert!(!running.is_empty(), "what is there goes on");
            play.end(small, running[0]);
            ended += 1;
        }
        assert!(ended < 4_900, "it had to wait for what was sent before it, and for no more: {ended}");
        let node = &play.0.nodes[&play.node(0)];
        assert!(needs.cores < 2 || (node.running_slots, node.line.is_empty()) == (4, true), "nothing is sent behind it");
        let place = play.running(large)[0];
        play.end(large, place);
        assert!(!play.running(small).is_empty(), "and they go on after it");
    }

    #[test]
    fn small_sparks_do_not_overtake_one_that_needs_something_for_ever() {
        let none = Needs::default();
        for needs in [Needs { cores: 4, ..none }, Needs { cores: 1, ..none }, Needs { gpus: 1, ..none }, Needs { memory_bytes: GB, ..none }] {
            is_reached_beside_small_sparks(needs);
        }
    }

    #[test]
    fn nor_does_what_needs_little_memory_overtake_what_needs_much() {
        let mut play = Play::of(&[4]);
        let little = play.submit(Needs { memory_bytes: 2 * GB, ..Needs::default() }, 100);
        let much = play.submit(Needs { memory_bytes: 3 * GB, ..Needs::default() }, 1);
        let mut ended = 0;
        while play.running(much).is_empty() {
            let running = play.running(little)[0];
            play.end(little, running);
            ended += 1;
        }
        assert!(ended < 10, "{ended}");
    }

    #[test]
    fn while_one_waits_for_a_gpu_what_needs_none_goes_on() {
        let mut play = Play::of(&[4]);
        let gpus = play.submit(Needs { gpus: 1, ..Needs::default() }, 2);
        let small = play.submit(Needs::default(), 50);
        for _ in 0..50 {
            assert_eq!(play.running(gpus).len(), 1);
            let running = play.running(small)[0];
            play.end(small, running);
        }
        assert!(play.0.ledger().jobs[&small].status.is_over(), "though the other one is older and waits");
    }

    #[test]
    fn it_waits_for_no_node_while_another_one_is_free() {
        for busy in [0, 1] {
            for placement in Placement::ALL {
                let mut play = Play::of(&[4, 4]);
                let small = play.submit_to(Needs::default(), 1, placement, NodeSelector::of_node(play.node(busy)));
                assert_eq!(play.running(small), [(0, play.node(busy))]);
                let wide = play.submit_to(Needs { cores: 4, ..Needs::default() }, 1, placement, NodeSelector::default());
                assert_eq!(play.running(wide), [(0, play.node(1 - busy))], "{placement:?}");
            }
        }
    }

    #[test]
    fn it_goes_where_there_is_as_much_and_says_so_where_there_is_not() {
        let mut play = Play::of(&[1, 4]);
        let two = Needs { cores: 2, memory_bytes: GB, gpus: 0 };
        let job = play.submit(two, 1);
        assert_eq!(play.running(job), [(0, play.node(1))]);
        let too_large = play.submit(Needs { cores: 5, ..two }, 1);
        assert_eq!(play.0.explain(too_large), [Pending::NoneLargeEnough { needs: "cores=5,memory=1073741824".to_string() }]);
        let too_much = play.submit(Needs { memory_bytes: 5 * GB, ..Needs::default() }, 1);
        assert!(matches!(play.0.explain(too_much)[..], [Pending::NoneLargeEnough { .. }]));
    }
}
