//! A large fleet in virtual time, whose master pays what its turns really take.
//!
//! ```text
//! scale [SPARKS_PER_SLOT] [BYTES_PER_SECOND]
//! ```
//!
//! The nodes are real [`Agent`]s whose work is make-believe: so many bytes a second and slot, as the engine was measured to do.
//! The master is the real core; each of its turns is timed while it decodes what came, decides, writes and syncs a real
//! journal, and encodes what it sends, and the fleet waits for it as long. Prints one JSON object per size of fleet: the part of
//! the nodes' time that was work, and the bar.

#![expect(clippy::print_stdout, reason = "the figures are the output")]

use std::{
    collections::{BTreeMap, VecDeque},
    error::Error,
    time::Instant,
};

use bitacora::journal::Journal;
use bitacora_core::{
    agent::{self, Agent},
    aggregate::Totals,
    fleet::{Effect, Event, Fact, Fleet, JobSpec, JobType, ListedFile, Priority, Requester, ResultSummary, Settings, Submission},
    ids::{Digest, Epoch, Incarnation, NodeId, ProjectId},
    paths::RelativePath,
    time::{Span, Time},
    wire::{
        Envelope, FromAgent, ToAgent,
        message::Held,
        record::FileSummary,
        task::{FileOutcome, FileResult, RecordRef, SparkOutput, Task, Work},
    },
};
use fleet_agent::net::codec::{self, Frame, Kind, RequestId, Spoken};

/// Agents, and the part of their time that has to be work.
const BARS: [(u32, f64); 2] = [(100, 0.95), (1_000, 0.9)];
const SLOTS: u32 = 2;
/// A job of a quarter of a minute.
const SPARKS_PER_SLOT: u64 = 30;
/// What one thread of this machine analyses of C: see README.md.
const BYTES_PER_SECOND: u64 = 8_000_000;
/// Large ones, so that a tree of a hundred gigabytes is a listing that fits into memory.
const FILE_BYTES: u64 = 200_000;
/// One way.
const LATENCY: Span = Span(1_000);
/// As the master's driver takes them.
const TURN_EVENTS_MAX: usize = 256;
const START: Time = Time(1_000_000);
const PROJECT: ProjectId = ProjectId { epoch: Epoch(1), counter: 1 };

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let numbers = arguments.map(|argument| argument.parse::<u64>()).collect::<Result<Vec<_>, _>>()?;
    let number = |place: usize, default: u64| numbers.get(place).copied().unwrap_or(default).max(1);
    let (per_slot, speed) = (number(0, SPARKS_PER_SLOT), number(1, BYTES_PER_SECOND));
    for (agents, bar) in BARS {
        let folder = tempfile::tempdir()?;
        let mut play = Play::new(agents, speed, Journal::open(&folder.path().join("journal.sqlite"))?.0);
        let played = play.analyse(per_slot)?;
        let efficiency = played.worked.as_secs_f64() / (played.lasted.as_secs_f64() * f64::from(agents * SLOTS));
        let turns = play.busy.as_secs_f64();
        println!(
            "{{\"agents\":{agents},\"sparks\":{},\"seconds\":{:.2},\"master_seconds\":{turns:.2},\"master_microseconds_each\":{:.1},\"efficiency\":{efficiency:.3},\"bar\":{bar},\"ok\":{}}}",
            played.sparks,
            played.lasted.as_secs_f64(),
            turns * 1e6 / played.sparks as f64,
            efficiency >= bar
        );
    }
    Ok(())
}

/// What a job came to.
struct Played {
    sparks: u64,
    lasted: Span,
    /// By all slots together.
    worked: Span,
}

enum Happening {
    NodeHears { node: NodeId, message: Envelope<ToAgent> },
    NodeWakes { node: NodeId },
    WorkEnded { node: NodeId, held: Held, output: SparkOutput },
    MasterHears { node: NodeId, frame: Frame },
    MasterWakes,
}

struct Play {
    now: Time,
    /// What is due together keeps its order.
    due: BTreeMap<(Time, u64), Happening>,
    sequence: u64,
    fleet: Fleet,
    journal: Journal,
    inbox: VecDeque<(NodeId, Frame)>,
    /// The master is in a turn until then.
    busy_until: Time,
    busy: Span,
    nodes: BTreeMap<NodeId, Agent>,
    bytes_per_second: u64,
    sparks: u64,
    worked: Span,
    stored_at: Option<Time>,
}

impl Play {
    fn new(agents: u32, bytes_per_second: u64, journal: Journal) -> Play {
        let mut ledger = bitacora_core::fleet::Ledger::default();
        let ids = (1..=u64::from(agents)).map(NodeId);
        ids.clone().for_each(|node| ledger.apply(&Fact::NodePaired { node, name: node.to_string(), at: START }));
        ledger.apply(&Fact::ProjectAdded { project: PROJECT, name: "tree".into(), root: b"/tree".to_vec() });
        let agent = |node| (node, Agent::new(Incarnation(1), SLOTS, Digest::default(), Epoch(0)));
        Play {
            now: START,
            due: BTreeMap::new(),
            sequence: 0,
            fleet: Fleet::recover(Settings::for_serving(), ledger, START, &mut Vec::new()),
            journal,
            inbox: VecDeque::new(),
            busy_until: START,
            busy: Span(0),
            nodes: ids.map(agent).collect(),
            bytes_per_second,
            sparks: 0,
            worked: Span(0),
            stored_at: None,
        }
    }

    /// Plays one job to its end, once everybody has introduced itself.
    fn analyse(&mut self, per_slot: u64) -> Result<Played, Box<dyn Error>> {
        for node in self.nodes.keys().copied().collect::<Vec<_>>() {
            self.tell_node(node, agent::Event::Connected)?;
        }
        while self.fleet.view(self.now).nodes.len() < self.nodes.len() {
            self.step()?;
        }
        let bytes = 4_194_304 * per_slot * u64::from(SLOTS) * self.nodes.len() as u64;
        let file = |number: u64| ListedFile {
            path: RelativePath::new(format!("d{}/f{number}.c", number / 20).into_bytes()).expect("it stays inside"),
            size: FILE_BYTES,
            language: "c".into(),
            complexity: 0,
            cluster: 0,
            content: None,
            is_disputed: false,
        };
        let spec = JobSpec { project: Some(PROJECT), job_type: JobType::FullAnalysis, ..JobSpec::without_tree(None, Priority::Normal, vec![]) };
        let files = (0..bytes / FILE_BYTES).map(file).collect();
        let begun = self.now;
        (self.busy, self.stored_at) = (Span(0), None);
        // Cutting the tree is a turn as well.
        self.turn([Event::JobSubmitted(Submission { spec, files })])?;
        let stored_at = loop {
            match self.stored_at {
                Some(at) => break at,
                None => self.step()?,
            }
        };
        Ok(Played { sparks: self.sparks, lasted: stored_at - begun, worked: self.worked })
    }

    fn at(&mut self, when: Time, happening: Happening) {
        self.sequence += 1;
        self.due.insert((when.max(self.now), self.sequence), happening);
    }

    fn step(&mut self) -> Result<(), Box<dyn Error>> {
        let ((now, _), happening) = self.due.pop_first().ok_or("nothing is due and the job is not done")?;
        self.now = now;
        match happening {
            Happening::NodeHears { node, message } => self.tell_node(node, agent::Event::Received(message)),
            Happening::NodeWakes { node } => self.tell_node(node, agent::Event::Woken),
            Happening::WorkEnded { node, held, output } => self.tell_node(node, agent::Event::Ended { held, result: Ok(output) }),
            Happening::MasterHears { node, frame } => {
                self.inbox.push_back((node, frame));
                self.turn_if_free()
            }
            Happening::MasterWakes => self.turn_if_free(),
        }
    }

    fn tell_node(&mut self, node: NodeId, event: agent::Event) -> Result<(), Box<dyn Error>> {
        let mut effects = Vec::new();
        let agent = self.nodes.get_mut(&node).expect("nodes stay");
        let before = agent.next_deadline();
        agent.handle(self.now, event, &mut effects);
        let after = agent.next_deadline();
        if after != before {
            self.at(after, Happening::NodeWakes { node });
        }
        for effect in effects {
            match effect {
                agent::Effect::Send(message) => {
                    let mut bytes = Vec::new();
                    codec::encode(Kind::FromAgent, RequestId(0), &message, &mut bytes)?;
                    let frame = Frame { kind: Kind::FromAgent, request: RequestId(0), payload: bytes.split_off(codec::HEADER_BYTES) };
                    self.at(self.now + LATENCY, Happening::MasterHears { node, frame });
                }
                agent::Effect::Start(task) => self.work(node, &task),
                _ => {}
            }
        }
        Ok(())
    }

    fn work(&mut self, node: NodeId, task: &Task) {
        let Work::Analyse(analysis) = &task.work else { return };
        let outcome = |index| {
            let record = RecordRef { pack: Digest([7; 32]), entry: index };
            let result = FileResult::Analysed { content: Digest([index as u8; 32]), language: "c".into(), record, summary: FileSummary::default() };
            FileOutcome { index, stat: None, result }
        };
        let bytes: u64 = analysis.files.iter().map(|file| file.size).sum();
        let took = Span(bytes * 1_000_000 / self.bytes_per_second);
        (self.sparks, self.worked) = (self.sparks + 1, Span(self.worked.0 + took.0));
        let output = SparkOutput { files: analysis.files.iter().map(|file| outcome(file.index)).collect(), ..SparkOutput::default() };
        self.at(self.now + took, Happening::WorkEnded { node, held: Held { spark: task.spark, attempt: task.attempt }, output });
    }

    fn turn_if_free(&mut self) -> Result<(), Box<dyn Error>> {
        if self.now < self.busy_until {
            // It is looked at again when the turn is over.
            return Ok(());
        }
        let count = self.inbox.len().min(TURN_EVENTS_MAX);
        let heard: Vec<(NodeId, Frame)> = self.inbox.drain(..count).collect();
        let begun = Instant::now();
        let mut events = Vec::with_capacity(heard.len() + 1);
        for (node, frame) in &heard {
            let Spoken::Known(message) = frame.envelope::<FromAgent>()? else { return Err("a message of ours is not known".into()) };
            events.push(Event::Received { node: *node, message });
        }
        events.push(Event::Woken);
        self.timed_turn(events, begun)
    }

    fn turn(&mut self, events: impl IntoIterator<Item = Event>) -> Result<(), Box<dyn Error>> {
        self.timed_turn(events, Instant::now())
    }

    /// What follows leaves when the turn is over.
    fn timed_turn(&mut self, events: impl IntoIterator<Item = Event>, begun: Instant) -> Result<(), Box<dyn Error>> {
        let (mut effects, mut facts, mut sent, mut frames) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        self.fleet.handle_turn(self.now, Requester::Fleet, events, &mut effects);
        let mut stores = Vec::new();
        for effect in effects {
            match effect {
                Effect::Record(fact) => facts.push(fact),
                Effect::Send { to, message } => {
                    frames.clear();
                    codec::encode(Kind::ToAgent, RequestId(0), &message, &mut frames)?;
                    sent.push((to, message));
                }
                Effect::StoreResult { job, round, .. } => stores.push((job, round)),
                _ => {}
            }
        }
        if !facts.is_empty() {
            self.journal.append(self.fleet.epoch().0, &facts, &[])?;
        }
        let took = Span(begun.elapsed().as_micros() as u64);
        self.busy = Span(self.busy.0 + took.0);
        self.busy_until = self.now + took;
        for (node, message) in sent {
            self.at(self.busy_until + LATENCY, Happening::NodeHears { node, message });
        }
        for (job, round) in stores {
            self.stored_at = Some(self.busy_until);
            let result = ResultSummary { job, at: self.now, manifest: Digest::default(), totals: Totals::default() };
            self.fleet.handle(self.now, Event::ResultStored { job, round, result }, &mut Vec::new());
        }
        let next = self.fleet.next_deadline().unwrap_or(Time::NEVER);
        let next = if self.inbox.is_empty() { next.max(self.busy_until) } else { self.busy_until };
        if next < Time::NEVER {
            self.at(next, Happening::MasterWakes);
        }
        Ok(())
    }
}
