//! What a dashboard hears: first everything, then what has changed since, and nothing for as long as nothing changes.
//!
//! The master keeps a [`Board`] of what it has told, with a number on each change. Whoever names the last number that it knows is told
//! what came after it. The board decides nothing and reads no clock.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, VecDeque},
};

use bitacora_core::{
    ids::{Epoch, JobId, NodeId, ProjectId, SparkId},
    time::{Span, Time},
};
use serde::{Deserialize, Serialize};

use super::{JobState, NodeDetail, NodeSeen, NodeState, ProjectState, Snapshot, history::History};
use crate::timeline::Happening;

/// Changes in one answer: half a megabyte. There are more answers.
pub const CHANGES_MAX: usize = 2000;
/// What is gone is remembered for so many; whoever knows less is told everything.
const GONE_MAX: usize = 4096;
/// Sparks of a job that are told of; the rest is counted.
pub const SPARKS_TOLD_MAX: usize = 500;
/// Less of a load is the noise of a machine at rest, and no news.
const LOAD_NOISE_PERMILLE: u16 = 10;
/// The same of memory, as a part of all of it.
const MEMORY_NOISE_PART: u64 = 128;
/// A way there and back that differs by less, or by this part of it.
const ROUND_TRIP_NOISE: Span = Span::from_millis(2);
const ROUND_TRIP_NOISE_PART: u64 = 4;

/// What one dashboard knows, and wants to know.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// Tells dashboards apart: whoever asks again takes back what it asked before.
    pub watcher: u64,
    /// As it was told; `None` for nothing.
    pub known: Option<Mark>,
    /// The last event that it knows.
    pub event: u64,
    pub focus: Focus,
    /// What it knows of that, as it was told; 0 for nothing.
    pub focus_known: u64,
}

/// What is wanted besides the lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Focus {
    pub node: Option<NodeId>,
    pub job: Option<JobId>,
    /// The nodes that announce themselves.
    pub nearby: bool,
}

/// How much is known, of which master.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub epoch: Epoch,
    pub change: u64,
}

/// What a watcher does not know yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct News {
    /// On the master's clock.
    pub at: Time,
    /// Where nodes link; `None` of a master that runs one command.
    pub listens: Option<String>,
    pub jobs_all: u64,
    pub mark: Mark,
    /// What was known before counts for nothing.
    pub from_nothing: bool,
    /// There is more to be asked for at once.
    pub more: bool,
    pub changes: Vec<Change>,
    pub events: Vec<Happening>,
    /// `None` when it is as it is known.
    pub focused: Option<Box<Focused>>,
    pub focus_known: u64,
    /// The load of the last minute, for whoever knew nothing of the nodes that are told of.
    #[serde(default)]
    pub histories: Vec<(NodeId, History)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    Node(Box<NodeState>),
    Job(Box<JobState>),
    Project(Box<ProjectState>),
    Gone(Gone),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Gone {
    Node(String),
    Job(JobId),
    Project(ProjectId),
}

/// What there is to say of what was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Focused {
    pub node: Option<Box<NodeDetail>>,
    pub job: Option<Box<JobDetail>>,
    pub nearby: Option<Nearby>,
}

/// Who announces itself on the local network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Nearby {
    Seen(Vec<NodeSeen>),
    /// Nobody listens to that; with the reason.
    Unknown(String),
}

/// A job in full.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobDetail {
    pub id: JobId,
    /// Why it does not run, or is not finished.
    pub reasons: Vec<String>,
    /// How many of its sparks are in which state.
    pub counts: Vec<(String, u32)>,
    /// Those that run first, then those that failed, then those that wait.
    pub sparks: Vec<SparkRow>,
}

/// A spark as it stands in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SparkRow {
    pub id: SparkId,
    pub status: String,
    /// The name of the node that has it.
    pub node: Option<String>,
    pub since: Option<Time>,
    pub files: u32,
    pub files_done: u32,
    pub bytes_done: u64,
    pub attempts: u32,
    pub failures: u32,
    /// A command, or an error.
    pub what: String,
}

impl News {
    /// Brings a snapshot up to what is told.
    pub fn apply(&self, fleet: &mut Snapshot) {
        if self.from_nothing {
            *fleet = Snapshot::default();
        }
        (fleet.at, fleet.jobs_all) = (self.at, self.jobs_all);
        fleet.listens.clone_from(&self.listens);
        self.changes.iter().for_each(|change| apply(fleet, change));
    }

    /// Is there nothing to it?
    pub fn is_empty(&self) -> bool {
        !self.from_nothing && self.changes.is_empty() && self.events.is_empty() && self.focused.is_none()
    }
}

fn apply(fleet: &mut Snapshot, change: &Change) {
    match change {
        Change::Node(node) => put(&mut fleet.nodes, (**node).clone(), number),
        Change::Job(job) => put(&mut fleet.jobs, (**job).clone(), |job| Reverse(job.id)),
        Change::Project(project) => put(&mut fleet.projects, (**project).clone(), |project| project.id),
        Change::Gone(Gone::Node(id)) => fleet.nodes.retain(|node| node.id != *id),
        Change::Gone(Gone::Job(id)) => fleet.jobs.retain(|job| job.id != *id),
        Change::Gone(Gone::Project(id)) => fleet.projects.retain(|project| project.id != *id),
    }
}

fn number(node: &NodeState) -> NodeId {
    node.id.parse().unwrap_or_default()
}

/// Into its place in the order.
fn put<Item, Place: Ord>(list: &mut Vec<Item>, item: Item, place: impl Fn(&Item) -> Place) {
    match list.binary_search_by_key(&place(&item), place) {
        Ok(at) => list[at] = item,
        Err(at) => list.insert(at, item),
    }
}

struct Entry<Item> {
    item: Item,
    change: u64,
    /// The last round that it was seen in.
    round: u64,
}

/// Everything that is told, with the number of its last change.
#[derive(Default)]
pub struct Board {
    nodes: BTreeMap<NodeId, Entry<NodeState>>,
    jobs: BTreeMap<Reverse<JobId>, Entry<JobState>>,
    projects: BTreeMap<ProjectId, Entry<ProjectState>>,
    gone: VecDeque<(u64, Gone)>,
    /// Whoever knows less than this cannot be told what is gone.
    forgotten: u64,
    change: u64,
    /// The last change that is more than another figure.
    turn: u64,
    round: u64,
}

impl Board {
    pub fn change(&self) -> u64 {
        self.change
    }

    /// The last change for which nobody is kept waiting.
    pub fn turn(&self) -> u64 {
        self.turn
    }

    /// Begins a look at everything: each thing that there is follows, then [`Board::end`].
    pub fn begin(&mut self) {
        self.round += 1;
    }

    pub fn see_node(&mut self, id: NodeId, node: NodeState) {
        let round = self.round;
        match self.nodes.get_mut(&id) {
            Some(entry) if !is_noise(&entry.item, &node) => {
                let is_turn = !node_differs_in_figures(&entry.item, &node);
                let change = next(&mut self.change, &mut self.turn, is_turn);
                *entry = Entry { item: node, change, round };
            }
            Some(entry) => entry.round = round,
            None => {
                let change = next(&mut self.change, &mut self.turn, true);
                self.nodes.insert(id, Entry { item: node, change, round });
            }
        }
    }

    /// Is this over job known as it is? Then there is no need to look at it again.
    pub fn keep_job(&mut self, id: JobId, over_at: Option<Time>) -> bool {
        let round = self.round;
        let known = self.jobs.get_mut(&Reverse(id)).filter(|entry| over_at.is_some() && entry.item.over_at == over_at && entry.item.status.is_over());
        known.map(|entry| entry.round = round).is_some()
    }

    pub fn see_job(&mut self, job: JobState) {
        let (round, id) = (self.round, Reverse(job.id));
        match self.jobs.get_mut(&id) {
            Some(entry) if entry.item != job => {
                let is_turn = !job_differs_in_figures(&entry.item, &job);
                let change = next(&mut self.change, &mut self.turn, is_turn);
                *entry = Entry { item: job, change, round };
            }
            Some(entry) => entry.round = round,
            None => {
                let change = next(&mut self.change, &mut self.turn, true);
                self.jobs.insert(id, Entry { item: job, change, round });
            }
        }
    }

    pub fn see_project(&mut self, project: ProjectState) {
        let round = self.round;
        match self.projects.get_mut(&project.id) {
            Some(entry) if entry.item == project => entry.round = round,
            _ => {
                let change = next(&mut self.change, &mut self.turn, true);
                self.projects.insert(project.id, Entry { item: project, change, round });
            }
        }
    }

    /// What was not seen since [`Board::begin`] is gone.
    pub fn end(&mut self) {
        let round = self.round;
        let nodes = self.nodes.extract_if(.., |_, entry| entry.round != round).map(|(id, _)| Gone::Node(id.to_string()));
        let jobs = self.jobs.extract_if(.., |_, entry| entry.round != round).map(|(id, _)| Gone::Job(id.0));
        let projects = self.projects.extract_if(.., |_, entry| entry.round != round).map(|(id, _)| Gone::Project(id));
        for gone in nodes.chain(jobs).chain(projects) {
            let change = next(&mut self.change, &mut self.turn, true);
            self.gone.push_back((change, gone));
        }
        while self.gone.len() > GONE_MAX {
            self.forgotten = self.gone.pop_front().map_or(self.forgotten, |(change, _)| change);
        }
    }

    /// What came after a mark, the first [`CHANGES_MAX`] of it.
    pub fn since(&self, epoch: Epoch, known: Option<Mark>) -> News {
        let known = known.filter(|mark| mark.epoch == epoch && mark.change >= self.forgotten && mark.change <= self.change);
        let (from_nothing, after) = (known.is_none(), known.map_or(0, |mark| mark.change));
        let nodes = self.nodes.values().filter(|entry| entry.change > after).map(|entry| (entry.change, Told::Node(&entry.item)));
        let jobs = self.jobs.values().filter(|entry| entry.change > after).map(|entry| (entry.change, Told::Job(&entry.item)));
        let projects = self.projects.values().filter(|entry| entry.change > after).map(|entry| (entry.change, Told::Project(&entry.item)));
        // Who knows nothing needs not be told what is gone.
        let gone = self.gone.iter().filter(|(change, _)| !from_nothing && *change > after).map(|(change, gone)| (*change, Told::Gone(gone)));
        let mut told: Vec<(u64, Told<'_>)> = nodes.chain(jobs).chain(projects).chain(gone).collect();
        told.sort_by_key(|(change, _)| *change);
        let more = told.len() > CHANGES_MAX;
        told.truncate(CHANGES_MAX);
        let change = if more { told.last().map_or(after, |(change, _)| *change) } else { self.change };
        let changes = told.into_iter().map(|(_, told)| told.change()).collect();
        News { mark: Mark { epoch, change }, from_nothing, more, changes, ..News::default() }
    }
}

fn next(change: &mut u64, turn: &mut u64, is_turn: bool) -> u64 {
    *change += 1;
    if is_turn {
        *turn = *change;
    }
    *change
}

enum Told<'a> {
    Node(&'a NodeState),
    Job(&'a JobState),
    Project(&'a ProjectState),
    Gone(&'a Gone),
}

impl Told<'_> {
    fn change(self) -> Change {
        match self {
            Told::Node(node) => Change::Node(Box::new(node.clone())),
            Told::Job(job) => Change::Job(Box::new(job.clone())),
            Told::Project(project) => Change::Project(Box::new(project.clone())),
            Told::Gone(gone) => Change::Gone(gone.clone()),
        }
    }
}

/// The same but for a load and a way that waver.
fn is_noise(known: &NodeState, node: &NodeState) -> bool {
    let NodeState { cpu_permille, memory_available_bytes, round_trip, .. } = *known;
    let steady = NodeState { cpu_permille, memory_available_bytes, round_trip, ..node.clone() };
    let way = known
        .round_trip
        .zip(node.round_trip)
        .map_or(known.round_trip == node.round_trip, |(one, other)| one.0.abs_diff(other.0) <= ROUND_TRIP_NOISE.0.max(one.0 / ROUND_TRIP_NOISE_PART));
    let load = known.cpu_permille.abs_diff(node.cpu_permille) < LOAD_NOISE_PERMILLE;
    let memory = known.memory_available_bytes.abs_diff(node.memory_available_bytes) <= node.memory_bytes / MEMORY_NOISE_PART;
    load && memory && way && steady == *known
}

/// What it runs comes and goes as fast as its load does, and whoever watches is told of both once a second.
fn node_differs_in_figures(known: &NodeState, node: &NodeState) -> bool {
    let NodeState { cpu_permille, memory_available_bytes, sparks, round_trip, .. } = *known;
    NodeState { cpu_permille, memory_available_bytes, sparks, round_trip, projects: known.projects.clone(), ..node.clone() } == *known
}

fn job_differs_in_figures(known: &JobState, job: &JobState) -> bool {
    known.status == job.status && known.priority == job.priority && known.project == job.project && known.sparks == job.sparks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(counter: u32, cpu_permille: u16) -> (NodeId, NodeState) {
        let id = NodeId::counted(Epoch(1), counter);
        let state = NodeState {
            id: id.to_string(),
            name: format!("node{counter}"),
            role: "worker".into(),
            availability: "active".into(),
            cause: None,
            health: "healthy".into(),
            linked: true,
            slots: 8,
            sparks: 0,
            projects: Vec::new(),
            cores: 8,
            cpu_permille,
            memory_bytes: 1 << 34,
            memory_available_bytes: 1 << 33,
            labels: bitacora_core::wire::node::Labels::default(),
            given_labels: bitacora_core::wire::node::Labels::default(),
            paired_at: Time(0),
            version: "0.1.0".into(),
            address: None,
            round_trip: None,
        };
        (id, state)
    }

    fn look(board: &mut Board, nodes: &[(u32, u16)]) {
        board.begin();
        nodes.iter().map(|(counter, load)| node(*counter, *load)).for_each(|(id, node)| board.see_node(id, node));
        board.end();
    }

    #[test]
    fn whoever_follows_the_news_knows_what_there_is() {
        let (mut board, mut known, mut fleet) = (Board::default(), None, Snapshot::default());
        let mut seed = 7_u32;
        for _ in 0..500 {
            let mut nodes = Vec::new();
            for counter in 1..30 {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if seed >> 30 > 0 {
                    nodes.push((counter, (seed >> 20) as u16 % 4 * 100));
                }
            }
            look(&mut board, &nodes);
            if seed >> 28 & 3 == 0 {
                continue;
            }
            let news = board.since(Epoch(1), known);
            assert_eq!(news.from_nothing, known.is_none());
            known = Some(news.mark);
            news.apply(&mut fleet);
            let expected: Vec<NodeState> = nodes.iter().map(|(counter, load)| node(*counter, *load).1).collect();
            assert_eq!(fleet.nodes, expected);
        }
    }

    #[test]
    fn what_is_known_is_not_told_again() {
        let mut board = Board::default();
        look(&mut board, &[(1, 0), (2, 0)]);
        let known = Some(board.since(Epoch(1), None).mark);
        look(&mut board, &[(1, LOAD_NOISE_PERMILLE - 1), (2, 0)]);
        assert!(board.since(Epoch(1), known).is_empty(), "that is the noise of a machine at rest");
        let turn = board.turn();
        look(&mut board, &[(1, 500), (2, 0)]);
        assert_eq!(board.since(Epoch(1), known).changes.len(), 1);
        assert_eq!(board.turn(), turn, "another figure can wait");
        let (id, busy) = node(1, 500);
        let busy = NodeState { sparks: 3, projects: vec!["linux".into()], ..busy };
        board.begin();
        board.see_node(id, busy);
        let (id, idle) = node(2, 0);
        board.see_node(id, idle);
        board.end();
        assert_eq!(board.turn(), turn, "and so can what runs now");
        look(&mut board, &[(1, 500)]);
        assert!(board.turn() > turn, "a node that is gone cannot");
        assert!(board.since(Epoch(2), known).from_nothing, "another master counts anew");
    }

    #[test]
    fn many_changes_are_told_in_parts() {
        let mut board = Board::default();
        let nodes: Vec<(u32, u16)> = (0..CHANGES_MAX as u32 * 2 + 1).map(|counter| (counter, 0)).collect();
        look(&mut board, &nodes);
        let (mut fleet, mut known, mut parts) = (Snapshot::default(), None, 0);
        loop {
            let news = board.since(Epoch(1), known);
            news.apply(&mut fleet);
            (known, parts) = (Some(news.mark), parts + 1);
            if !news.more {
                break;
            }
        }
        assert_eq!((parts, fleet.nodes.len()), (3, nodes.len()));
    }

    #[test]
    fn whoever_was_away_for_too_long_is_told_everything() {
        let mut board = Board::default();
        look(&mut board, &[(1, 0)]);
        let known = Some(board.since(Epoch(1), None).mark);
        for round in 0..=GONE_MAX as u32 {
            look(&mut board, &[(1, 0), (2 + round, 0)]);
        }
        look(&mut board, &[(1, 0)]);
        let news = board.since(Epoch(1), known);
        assert!(news.from_nothing);
        assert_eq!(news.changes.len(), 1);
    }
}
