//! On which node a spark goes next: the closed list of strategies, and what is learned of each node's speed.
//!
//! Estimates are never durable and never decide what comes out, only when: a fleet that has learned nothing does the same
//! work.

use alloc::{
    collections::BTreeMap,
    format,
    string::{String, ToString},
    vec::Vec,
};

use core::cmp::Reverse;

use serde::{Deserialize, Serialize};

use super::{Fleet, Flight, Job, Needs, Node, needs::Kept};
use crate::{
    cache::splitmix,
    ids::{JobId, NodeId},
    time::{Span, Time},
};

/// The closed list of strategies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// One after another.
    RoundRobin,
    /// Where the fewest sparks are for the slots that there are.
    LeastLoaded,
    /// Where most memory is available, and then where the processors are idle.
    ResourceAware,
    /// The same files to the same node, as long as it has room: its cache knows them.
    AffinityBased,
    /// Where it is expected to be done first, by the speeds that were learned; it waits for a fast node rather than to go to a
    /// slow one that would be done later.
    #[default]
    Intelligent,
}

impl Placement {
    pub const ALL: [Placement; 5] = [Placement::RoundRobin, Placement::LeastLoaded, Placement::ResourceAware, Placement::AffinityBased, Placement::Intelligent];

    pub const fn name(self) -> &'static str {
        match self {
            Placement::RoundRobin => "round-robin",
            Placement::LeastLoaded => "least-loaded",
            Placement::ResourceAware => "resource-aware",
            Placement::AffinityBased => "affinity-based",
            Placement::Intelligent => "intelligent",
        }
    }
}

/// What is held ahead on a node, for each of its slots, so that it never waits for the master: a round trip with a commit
/// takes some milliseconds.
pub(super) const AHEAD: Span = Span::from_millis(100);
/// Sparks that are held ahead for a slot, however short they are.
pub(super) const AHEAD_SPARKS_MAX: u32 = 512;
/// A spark of a kind that nobody has done yet: long, so that few are sent ahead.
const UNKNOWN: Span = Span::from_secs(1);
/// A pack that is to be brought to a node, over a link that nobody knows yet.
const UNKNOWN_PACK: Span = Span::from_millis(20);
/// Microseconds for 1,024 bytes of a language that nobody has analysed yet: eight megabytes a second.
const UNKNOWN_RATE: u64 = 128;
/// Microseconds for 1,024 bytes that are brought to a node which does not have them on its disk: a hundred megabytes a second, what a
/// gigabit carries. It is a part of what is learned as well, so that this weighs where little is known, or two are about as fast.
const BRINGING_RATE: u64 = 10;
/// What opening and keeping a file costs, in bytes, as the partitions count it.
const FILE_COST: u64 = 1024;
/// Kinds that are told apart; programs have any number of names.
const KINDS_MAX: usize = 4096;
/// Of a new figure in the average: a quarter.
const WEIGHT: u64 = 4;

/// What is known of how fast sparks are done, by their kind.
#[derive(Clone, Debug, Default)]
pub(super) struct Speeds(BTreeMap<String, Speed>);

/// Microseconds for 1,024 units of work of one kind.
#[derive(Clone, Debug)]
struct Speed {
    of_all: u64,
    of_nodes: BTreeMap<NodeId, u64>,
}

/// How much a spark is to do, and of what.
#[derive(Clone, Debug)]
pub(super) struct Size {
    kind: String,
    /// Bytes, or a command.
    units: u64,
    unknown_rate: u64,
}

impl Speeds {
    pub(super) fn learn(&mut self, node: NodeId, size: &Size, took: Span) {
        let rate = took.0.saturating_mul(1024) / size.units.max(1);
        let mix = |old: &mut u64| *old = (old.saturating_mul(WEIGHT - 1)).saturating_add(rate) / WEIGHT;
        let has_room = self.0.len() < KINDS_MAX;
        match self.0.get_mut(&size.kind) {
            Some(speed) => {
                mix(&mut speed.of_all);
                speed.of_nodes.entry(node).and_modify(mix).or_insert(rate);
            }
            None if has_room => drop(self.0.insert(size.kind.clone(), Speed { of_all: rate, of_nodes: [(node, rate)].into() })),
            None => {}
        }
    }

    pub(super) fn estimate(&self, node: NodeId, size: &Size) -> Span {
        size.at(self.rate(node, &size.kind).unwrap_or(size.unknown_rate))
    }

    /// The node's own, or else what others were seen to take.
    fn rate(&self, node: NodeId, kind: &str) -> Option<u64> {
        let speed = self.0.get(kind)?;
        Some(speed.of_nodes.get(&node).copied().unwrap_or(speed.of_all))
    }

    fn knows(&self, node: NodeId, kind: &str) -> bool {
        self.0.get(kind).is_some_and(|speed| speed.of_nodes.contains_key(&node))
    }
}

impl Size {
    fn at(&self, rate: u64) -> Span {
        Span(self.units.saturating_mul(rate) / 1024)
    }
}

pub(super) fn size_of(job: &Job, number: u32) -> Size {
    if let Some(command) = &job.spec.command {
        return Size { kind: format!("run {}", command.line.program), units: 1024, unknown_rate: UNKNOWN.0 };
    }
    if let Some(packs) = job.packs.get(number as usize) {
        return Size { kind: "keep records".to_string(), units: 1024 * packs.len() as u64, unknown_rate: UNKNOWN_PACK.0 };
    }
    if job.spec.project.is_none() {
        return Size { kind: "no-op".to_string(), units: 1024, unknown_rate: UNKNOWN.0 };
    }
    let mut bytes: BTreeMap<&str, u64> = BTreeMap::new();
    for file in job.sparks[number as usize].files.iter().filter_map(|&file| job.files.get(file as usize)) {
        let of_language = bytes.entry(&file.language).or_default();
        *of_language = of_language.saturating_add(FILE_COST).saturating_add(file.size);
    }
    let main = bytes.iter().max_by_key(|(_, bytes)| **bytes).map_or("", |(language, _)| *language);
    // A language is not as fast at everything that is done with it.
    let kind = format!("{} {main}", job.spec.job_type.specialisation().name());
    Size { kind, units: bytes.values().fold(0, |sum, bytes| sum.saturating_add(*bytes)), unknown_rate: UNKNOWN_RATE }
}

/// The nodes that a job's sparks may go to, looked at once for all that a turn places: a fleet has thousands.
pub(super) struct Candidates {
    /// Of each spark.
    needs: Needs,
    /// By their ids.
    nodes: Vec<Candidate>,
    /// Of each node, by the kind of work; where nobody knows one, none.
    rates: BTreeMap<String, Vec<Option<u64>>>,
}

struct Candidate {
    id: NodeId,
    /// Its part in who is preferred for which files.
    mix: u64,
    is_reachable: bool,
    slots: u32,
    memory_available: u64,
    cpu_permille: u16,
    /// Is the tree on its disk?
    has_tree: bool,
    capacity: Needs,
    burden: Burden,
    /// Sparks of the job that it may be given.
    room: u32,
}

/// What changes of a node when it is given something.
#[derive(Clone, Copy)]
pub(super) struct Burden {
    pub(super) credit: u32,
    pub(super) reserved: Needs,
    busy_for: Span,
}

impl Candidates {
    pub(super) fn update(&mut self, id: NodeId, burden: Burden) {
        if let Ok(place) = self.nodes.binary_search_by_key(&id, |node| node.id) {
            let node = &mut self.nodes[place];
            (node.burden, node.room) = (burden, self.needs.room_in(node.capacity, burden.reserved, burden.credit));
        }
    }

    /// Nothing of these jobs goes there in this turn.
    pub(super) fn withdraw(&mut self, kept: &Kept) {
        let found = self.nodes.binary_search_by_key(&kept.node, |node| node.id);
        if let Some(place) = found.ok().filter(|_| kept.is_kept_from(self.needs)) {
            (self.nodes[place].is_reachable, self.nodes[place].room) = (false, 0);
        }
    }

    /// The node that would be done with it first, unless that one has no room now. When a node has room for what needs more than a
    /// slot nobody can tell: that takes the first one among those that have.
    fn soonest(&mut self, speeds: &Speeds, size: &Size, key: u64) -> Option<NodeId> {
        if !self.rates.contains_key(&size.kind) {
            let rates = self.nodes.iter().map(|node| speeds.rate(node.id, &size.kind)).collect();
            self.rates.insert(size.kind.clone(), rates);
        }
        let done_in = |(node, rate): &(&Candidate, &Option<u64>)| {
            let estimate = size.at(rate.unwrap_or(size.unknown_rate));
            let bringing = if node.has_tree { Span(0) } else { size.at(BRINGING_RATE) };
            (node.burden.busy_for.0.saturating_add(estimate.0).saturating_add(bringing.0), !splitmix(key ^ node.mix))
        };
        let may_wait = self.needs.is_none();
        let meant = self.nodes.iter().zip(&self.rates[&size.kind]).filter(|(node, _)| node.is_reachable && (may_wait || node.room > 0));
        let best = meant.min_by_key(done_in);
        best.map(|(node, _)| node).filter(|node| node.room > 0).map(|node| node.id)
    }
}

impl Node {
    /// Attempts it may be sent now: as many as it has slots, and some ahead.
    pub(super) fn credit(&self, queued_per_slot: u32) -> u32 {
        // What takes more than a slot may take them for long, and what was sent behind it would wait out its time.
        let holds_wide = self.reserved.cores > self.held.len() as u32;
        let window = match () {
            () if !self.is_reachable() => 0,
            () if holds_wide => self.slots,
            () if self.backlog.0 < AHEAD.0 * u64::from(self.slots) => self.slots * (1 + AHEAD_SPARKS_MAX),
            () => self.slots * (1 + queued_per_slot),
        };
        window.saturating_sub(self.reserved.cores)
    }

    pub(super) fn has_free_slot(&self) -> bool {
        self.reserved.cores < self.slots
    }

    /// This runs from now on. Where nothing was parsed before, nothing of it can have stood still.
    pub(super) fn takes_slots(&mut self, now: Time, flight: &Flight) {
        if self.parsing == 0 {
            self.progressed(now);
        }
        self.running_slots += flight.needs.slots();
        self.parsing += u32::from(flight.parses);
    }

    /// It ran, and does no more.
    pub(super) fn leaves_slots(&mut self, flight: &Flight) {
        self.running_slots -= flight.needs.slots();
        self.parsing -= u32::from(flight.parses);
    }

    /// Does what needs so much run there at once? One that needs more slots than there are is the only one that runs.
    pub(super) fn has_free_slots_for(&self, needs: Needs) -> bool {
        self.running_slots == 0 || self.running_slots.saturating_add(needs.slots()) <= self.slots
    }

    /// When a slot is expected to be free: never sooner than it has already taken for what it has.
    fn busy_for(&self, now: Time) -> Span {
        if self.has_free_slot() { Span(0) } else { self.idle_in(now) }
    }

    /// When it is expected to be done with what it has, and no sooner than it has already taken for something.
    pub(super) fn idle_in(&self, now: Time) -> Span {
        Span(self.backlog.0 / u64::from(self.slots.max(1))).max(now - self.moved_at)
    }

    /// It holds something more that is expected to take so long.
    pub(super) fn load(&mut self, now: Time, estimate: Span, needs: Needs) {
        if self.held.is_empty() {
            self.moved_at = now;
            self.progressed(now);
        }
        self.backlog = Span(self.backlog.0.saturating_add(estimate.0));
        self.reserved = self.reserved.with(needs);
    }

    /// It holds it no more.
    pub(super) fn unload(&mut self, now: Time, estimate: Span, needs: Needs) {
        self.moved_at = now;
        self.progressed(now);
        self.backlog = Span(self.backlog.0.saturating_sub(estimate.0));
        self.reserved = self.reserved.without(needs);
    }
}

impl Fleet {
    /// Has any node that the job may use room for a spark?
    pub(super) fn has_room_for(&self, job: JobId) -> bool {
        let spec = &self.ledger.jobs[&job].spec;
        self.eligible(spec).any(|(id, node)| spec.needs().room_in(self.capacity(id, node), node.reserved, self.credit(node)) > 0)
    }

    /// The nodes that a job's sparks may go to, as they are now, but for these.
    pub(super) fn candidates(&self, now: Time, id: JobId, withdrawn: &[Kept]) -> Candidates {
        let spec = &self.ledger.jobs[&id].spec;
        let needs = spec.needs();
        let tree = spec.project.and_then(|project| self.ledger.projects.get(&project)).map(|project| project.root.as_slice());
        let candidate = |(id, node): (NodeId, &Node)| {
            let (capacity, burden) = (self.capacity(id, node), self.burden(now, node));
            let record = self.records.get(&id);
            let load = record.map(|record| &record.load);
            Candidate {
                id,
                mix: splitmix(id.0),
                is_reachable: node.is_reachable(),
                slots: node.slots.max(1),
                memory_available: load.map_or(0, |load| load.memory_available_bytes),
                cpu_permille: load.map_or(0, |load| load.cpu_permille),
                // What is about no tree has nothing to be brought.
                has_tree: tree.is_none_or(|tree| record.is_some_and(|record| record.profile.sources.hold(tree))),
                capacity,
                burden,
                room: needs.room_in(capacity, burden.reserved, burden.credit),
            }
        };
        let nodes = self.eligible(spec).filter(|(id, _)| !withdrawn.iter().any(|kept| kept.node == *id && kept.is_kept_from(needs))).map(candidate).collect();
        Candidates { needs, nodes, rates: BTreeMap::new() }
    }

    pub(super) fn burden(&self, now: Time, node: &Node) -> Burden {
        Burden { credit: self.credit(node), reserved: node.reserved, busy_for: node.busy_for(now) }
    }

    fn credit(&self, node: &Node) -> u32 {
        node.credit(self.settings.queued_per_slot)
    }

    /// Where the next spark of a job goes now; `None` when there is no room, or when it is better to wait.
    pub(super) fn place(&self, candidates: &mut Candidates, id: JobId, number: u32) -> Option<NodeId> {
        let job = &self.ledger.jobs[&id];
        let with_room = || candidates.nodes.iter().filter(|node| node.room > 0);
        let chosen = match job.spec.placement {
            Placement::RoundRobin => with_room().find(|node| node.id > self.placed_last).or_else(|| with_room().next()),
            Placement::LeastLoaded => with_room().min_by_key(|node| (u64::from(node.burden.reserved.cores) * 1024 / u64::from(node.slots), node.id)),
            Placement::ResourceAware => with_room().max_by_key(|node| (node.memory_available, Reverse(node.cpu_permille), Reverse(node.id))),
            Placement::AffinityBased => {
                let key = affinity_key(job, number);
                with_room().max_by_key(|node| splitmix(key ^ node.mix))
            }
            Placement::Intelligent => {
                let (size, key) = (size_of(job, number), affinity_key(job, number));
                return candidates.soonest(&self.speeds, &size, key);
            }
        };
        chosen.map(|node| node.id)
    }

    /// What a node is given first that nobody has seen at this kind of work: the job's smallest spark tells how fast it is, and
    /// the largest one on a slow node would be what everybody waits for.
    pub(super) fn probe(&self, id: JobId, number: u32, node: NodeId) -> Option<u32> {
        let job = &self.ledger.jobs[&id];
        let is_known = || self.speeds.knows(node, &size_of(job, number).kind);
        let learns = job.spec.placement == Placement::Intelligent && job.spec.project.is_some();
        (learns && !is_known()).then(|| self.active[&id].ready.last().copied()).flatten()
    }
}

/// The same for the same batch of files in a later job.
fn affinity_key(job: &Job, number: u32) -> u64 {
    let first = job.sparks[number as usize].files.first().and_then(|&file| job.files.get(file as usize));
    let path = first.map_or(&[][..], |file| file.path.as_bytes());
    let project = job.spec.project.map_or(0, |project| u64::from(project.epoch.0) << 32 | u64::from(project.counter));
    path.iter().fold(project, |key, &byte| splitmix(key ^ u64::from(byte)))
}
