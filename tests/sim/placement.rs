//! The placement strategies against one another, on traces of a fleet in virtual time: how long each takes to the last spark.
//!
//! The mix is fleets of equal and of unequal nodes, of many and of few sparks, and of sparks that differ; each is played
//! twice by one master, because what it learns the first time is the point. No faults: what they do is tested elsewhere.
//! What is late at the end is run a second time; each trace is played with and without that.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, VecDeque},
};

use bitacora_core::{
    fleet::{Effect, Event, Fact, Fleet, JobSpec, JobStatus, JobType, Ledger, ListedFile, Partitioning, Placement, Priority, Settings, Submission},
    ids::{Digest, Epoch, Incarnation, NodeId, ProjectId},
    paths::RelativePath,
    time::{Span, Time},
    wire::{
        Envelope, FromAgent, ToAgent,
        message::Held,
        node::NodeProfile,
        record::FileSummary,
        task::{FileLimits, FileOutcome, FileResult, RecordRef, SparkOutput, Task, Work},
    },
};

const START: Time = Time(1_000_000);
const PROJECT: ProjectId = ProjectId { epoch: Epoch(1), counter: 1 };
/// There and back.
const ROUND_TRIP: Span = Span::from_millis(2);
const EVENTS_MAX: u32 = 200_000;

/// A fleet and its work.
struct Trace {
    name: &'static str,
    /// Slots, and bytes a slot analyses in a millisecond.
    nodes: Vec<(u32, u64)>,
    files: u32,
    /// The size of a file by its number.
    size: fn(u32) -> u64,
}

fn traces() -> Vec<Trace> {
    let even = |_| 60_000;
    let skewed = |number: u32| if number.is_multiple_of(97) { 3_000_000 } else { u64::from(number % 13) * 6_000 + 500 };
    vec![
        Trace { name: "four equal nodes", nodes: vec![(2, 8_000); 4], files: 1_500, size: even },
        Trace { name: "a phone among servers", nodes: vec![(8, 10_000), (8, 10_000), (2, 700)], files: 1_500, size: even },
        Trace { name: "few large files", nodes: vec![(1, 1_000), (4, 9_000), (4, 3_000)], files: 40, size: |_| 2_500_000 },
        Trace { name: "sizes that differ", nodes: vec![(2, 1_500), (4, 9_000), (1, 600), (2, 5_000)], files: 1_200, size: skewed },
        Trace {
            name: "twenty small nodes",
            nodes: (0..20).map(|number| (1 + number % 3, 1_000 + 700 * u64::from(number % 7))).collect(),
            files: 1_000,
            size: skewed,
        },
    ]
}

/// A node that does one thing after another in each slot.
struct Worker {
    slots: u32,
    speed: u64,
    /// With when each arrives, and how long it will take.
    queue: VecDeque<(Time, Span, FromAgent)>,
    running: BTreeMap<Held, FromAgent>,
}

impl Worker {
    /// What begins now that there is room, and when it will be done.
    fn begin(&mut self, now: Time) -> Vec<(Time, Held)> {
        let mut begun = Vec::new();
        while self.running.len() < self.slots as usize {
            let Some((arrives, took, answer)) = self.queue.pop_front() else { break };
            begun.push((now.max(arrives) + took, held_for(&answer)));
            self.running.insert(held_for(&answer), answer);
        }
        begun
    }

    fn held(&self) -> Vec<Held> {
        self.queue.iter().map(|(.., answer)| held_for(answer)).chain(self.running.keys().copied()).collect()
    }
}

fn held_for(answer: &FromAgent) -> Held {
    let FromAgent::Finished { spark, attempt, .. } = answer else { unreachable!("nothing fails here") };
    Held { spark: *spark, attempt: *attempt }
}

struct Player {
    fleet: Fleet,
    now: Time,
    workers: BTreeMap<NodeId, Worker>,
    /// When something will be done, the earliest first; what is called back before is not.
    due: BinaryHeap<Reverse<(Time, NodeId, Held)>>,
    /// Sparks that were run a second time.
    copies: u32,
}

impl Player {
    fn new(trace: &Trace, settings: Settings) -> Player {
        let mut ledger = Ledger::default();
        let ids = || (1..).map(NodeId).zip(&trace.nodes);
        ids().for_each(|(node, _)| ledger.apply(&Fact::NodePaired { node, name: node.to_string(), at: START }));
        ledger.apply(&Fact::ProjectAdded { project: PROJECT, name: "tree".into(), root: b"/tree".to_vec() });
        let worker = |(slots, speed): &(u32, u64)| Worker { slots: *slots, speed: *speed, queue: VecDeque::new(), running: BTreeMap::new() };
        let mut player = Player {
            fleet: Fleet::recover(settings, ledger, START, &mut Vec::new()),
            now: START,
            workers: ids().map(|(node, trace)| (node, worker(trace))).collect(),
            due: BinaryHeap::new(),
            copies: 0,
        };
        for (node, (slots, _)) in ids() {
            let profile = Box::new(NodeProfile::default());
            player.hear(node, FromAgent::Hello { slots: *slots, fingerprint: Digest::default(), held: vec![], programs: vec![], profile });
        }
        player
    }

    fn hear(&mut self, node: NodeId, body: FromAgent) {
        self.tell(Event::Received { node, message: Envelope { epoch: Epoch(1), incarnation: Incarnation(1), body } });
    }

    fn tell(&mut self, event: Event) {
        let mut effects = Vec::new();
        self.fleet.handle(self.now, event, &mut effects);
        for effect in effects {
            match effect {
                Effect::Send { to, message: Envelope { body: ToAgent::ExecuteTask(task), .. } } => self.run(to, &task),
                Effect::Send { to, message: Envelope { body: ToAgent::CancelTask { spark, attempt }, .. } } => self.stop(to, Held { spark, attempt }),
                Effect::StoreResult { job, round, .. } => {
                    let result = bitacora_core::fleet::ResultSummary { job, at: self.now, manifest: Digest::default(), totals: Default::default() };
                    self.fleet.handle(self.now, Event::ResultStored { job, round, result }, &mut Vec::new());
                }
                _ => {}
            }
        }
    }

    fn run(&mut self, node: NodeId, task: &Task) {
        let Work::Analyse(analysis) = &task.work else { panic!("only trees are analysed here") };
        let bytes: u64 = analysis.files.iter().map(|file| file.size + 1024).sum();
        let outcome = |index| {
            let record = RecordRef { pack: Digest::default(), entry: 0 };
            let result = FileResult::Analysed { content: Digest::default(), language: "c".into(), record, summary: FileSummary::default() };
            FileOutcome { index, stat: None, result }
        };
        let files = analysis.files.iter().map(|file| outcome(file.index)).collect();
        let worker = self.workers.get_mut(&node).expect("it is in the trace");
        let took = Span(bytes * 1_000 / worker.speed);
        let answer = FromAgent::Finished { spark: task.spark, attempt: task.attempt, output: SparkOutput { files, ..SparkOutput::default() }, took };
        worker.queue.push_back((self.now + ROUND_TRIP, took, answer));
        self.copies += u32::from(task.attempt.0 > 1);
        self.begin(node);
    }

    fn begin(&mut self, node: NodeId) {
        let begun = self.workers.get_mut(&node).expect("it is in the trace").begin(self.now);
        self.due.extend(begun.into_iter().map(|(done, held)| Reverse((done, node, held))));
    }

    fn stop(&mut self, node: NodeId, held: Held) {
        let worker = self.workers.get_mut(&node).expect("it is in the trace");
        worker.running.remove(&held);
        worker.queue.retain(|(.., answer)| held_for(answer) != held);
        self.begin(node);
    }

    /// The answer is said, unless it was called back.
    fn end(&mut self, node: NodeId, held: Held) {
        if let Some(answer) = self.workers.get_mut(&node).expect("it is in the trace").running.remove(&held) {
            self.begin(node);
            self.hear(node, answer);
        }
    }

    /// Plays one job to its end; answers with how long that took.
    fn play(&mut self, trace: &Trace, placement: Placement, listing: u8) -> Span {
        let begun = self.now;
        let file = |number: u32| ListedFile {
            path: RelativePath::new(format!("d{}/f{number}.c", number / 20).into_bytes()).expect("it stays inside"),
            size: (trace.size)(number),
            language: "c".into(),
            complexity: 0,
            cluster: 0,
            content: None,
            is_disputed: false,
        };
        let spec = JobSpec {
            project: Some(PROJECT),
            job_type: JobType::FullAnalysis,
            partitioning: Partitioning::default(),
            placement,
            listing: Digest([listing; 32]),
            ..JobSpec::without_tree(None, Priority::Normal, vec![])
        };
        assert_eq!(spec.limits, FileLimits::default());
        self.tell(Event::JobSubmitted(Submission { spec, files: (0..trace.files).map(file).collect() }));
        let mut beat = self.now;
        for _ in 0..EVENTS_MAX {
            if self.fleet.ledger().jobs.values().all(|job| job.status == JobStatus::Completed) {
                return self.now - begun;
            }
            let next = self.due.peek().map_or(Time::NEVER, |Reverse((time, ..))| *time);
            if next > beat {
                (self.now, beat) = (beat, beat + Span::from_millis(500));
                self.beat();
            } else {
                let Reverse((time, node, held)) = self.due.pop().expect("it was just seen");
                self.now = time;
                self.end(node, held);
            }
        }
        panic!("{} with {} does not end", trace.name, placement.name());
    }

    /// Every node lists what it has: what was asked of it and is not answered yet.
    fn beat(&mut self) {
        let held: Vec<(NodeId, Vec<Held>)> = self.workers.iter().map(|(node, worker)| (*node, worker.held())).collect();
        for (node, held) in held {
            self.hear(node, FromAgent::Heartbeat { held, load: Default::default(), pace: Span::from_millis(500) });
        }
    }
}

/// Two jobs by one master, and a third one while one of the nodes as good as stands still: how long each takes, and how many sparks
/// were run a second time.
fn played(trace: &Trace, placement: Placement, copies_per_hundred: u32) -> ([f64; 3], u32) {
    let mut player = Player::new(trace, Settings { copies_per_hundred, ..Settings::default() });
    let mut play = |listing, slower| {
        player.workers.get_mut(&NodeId(2)).expect("every trace has a second node").speed /= slower;
        player.play(trace, placement, listing).as_secs_f64()
    };
    ([play(1, 1), play(2, 1), play(3, 100)], player.copies)
}

#[test]
fn what_is_late_is_run_once_more_and_costs_no_trace_anything() {
    println!("{:<24}{:>27}{:>27}{:>8}", "seconds", "without copies", "with copies", "copies");
    for trace in traces() {
        let (without, none) = played(&trace, Placement::Intelligent, 0);
        let (with, copies) = played(&trace, Placement::Intelligent, Settings::default().copies_per_hundred);
        let columns = [without, with].concat().into_iter().map(|seconds| format!("{seconds:>9.2}"));
        println!("{:<24}{}{copies:>8}", trace.name, columns.collect::<String>());
        assert_eq!(none, 0, "a fleet that may not copy does not");
        for (with, without) in with.into_iter().zip(without) {
            assert!(with <= without * 1.02, "{}: {with:.2} s, and {without:.2} s without copies", trace.name);
        }
        let sums = [with, without].map(|jobs| jobs.iter().sum::<f64>());
        if ["few large files", "sizes that differ"].contains(&trace.name) {
            assert!(sums[0] < sums[1] * 0.5, "{}: {:.2} s, and {:.2} s without copies", trace.name, sums[0], sums[1]);
        }
    }
}

#[test]
fn the_default_placement_beats_the_best_of_the_others() {
    let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
    println!("{:<24}{}", "seconds", Placement::ALL.map(|placement| format!("{:>16}", placement.name())).concat());
    for trace in traces() {
        let played = Placement::ALL.map(|placement| played(&trace, placement, Settings::default().copies_per_hundred).0[..2].iter().sum::<f64>());
        let best = played[..4].iter().copied().fold(f64::INFINITY, f64::min);
        println!("{:<24}{}", trace.name, played.map(|seconds| format!("{seconds:>16.2}")).concat());
        // On each trace none is far behind the best: a mean over traces alone could hide a bad one.
        assert!(played[4] <= best * 1.05, "{}: {:.2} s where {best:.2} s were possible", trace.name, played[4]);
        for (placement, seconds) in Placement::ALL.into_iter().zip(played) {
            *sums.entry(placement.name()).or_default() += seconds / best;
        }
    }
    println!("{:<24}{}", "by the best, summed", Placement::ALL.map(|placement| format!("{:>16.3}", sums[placement.name()])).concat());
    let others = Placement::ALL[..4].iter().map(|placement| sums[placement.name()]).fold(f64::INFINITY, f64::min);
    assert!(sums[Placement::Intelligent.name()] < others, "{sums:?}");
}
