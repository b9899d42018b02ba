//! The loop around `core::agent`: wait, make an event of what came, handle it, perform the effects, again.
//!
//! Sparks run on worker threads, one per slot. The loop itself never reads a file, so that heartbeats are never late.

use std::{
    collections::{BTreeMap, VecDeque},
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use bitacora_core::{
    agent::{Agent, Effect, Event, Lived},
    ids::{Digest, Epoch, Incarnation},
    time::{Span, Time},
    wire::{
        Envelope, FromAgent, ToAgent,
        message::{AuditHead, Held},
        task::{Analysis, AttemptError, SparkOutput, Task, Work},
    },
};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use tokio::sync::oneshot;
use tracing::{debug, warn};

use crate::{
    allowance::Allowance,
    cache::{Cache, CacheError, CacheIndex},
    command::Commands,
    configuration::{CORES_MAX, Configuration, ConfigurationError, Settings},
    confine,
    isolation::ChildCommand,
    logging::{self, Verbosity},
    neighbours::Neighbourhood,
    sense::Sensing,
    work::{self, Hands, Supply, Worker, with_cause},
};

/// A worker that had nothing to do for so long lets go of what it works with.
const REST_AFTER: Duration = Duration::from_secs(30);
/// Messages that wait for an agent; its master blocks beyond that.
const INBOX_MAX: usize = 16_384;

/// What an agent needs to run.
#[derive(Clone)]
pub struct Config {
    /// What it lives by, slots and what it says of itself, until a master changes it.
    pub settings: Settings,
    /// What a master may change of that.
    pub configuration: Configuration,
    pub incarnation: Incarnation,
    pub data: PathBuf,
    /// Parses what is not parsed on threads of this process.
    pub child: ChildCommand,
    /// Is everything parsed by children, and not only what has ended a process before?
    pub parses_apart: bool,
    /// Where contents come from; `None` for an agent that reads its master's disk as the master itself.
    pub supply: Option<Supply>,
    /// The highest epoch that was seen, and the file that keeps it; an agent inside a master's process needs none.
    pub epoch: (Epoch, Option<PathBuf>),
    /// The file that keeps the end of the audit; none likewise.
    pub audit_head: Option<PathBuf>,
    pub commands: Commands,
    /// What packs may take of the disk; as much as there is if not given.
    pub pack_bytes_max: Option<u64>,
    /// Do its workers give way to whatever else runs on the machine? Not where somebody waits for them.
    pub gives_way: bool,
    /// Those beside it, if it gives to them and asks them.
    pub neighbours: Option<Neighbourhood>,
    /// Takes what people are told here.
    pub tell: fn(&str),
}

impl Config {
    fn hands(&self) -> Hands {
        if self.parses_apart { Hands::child(&self.child) } else { Hands::own() }
    }
}

/// What reaches the loop.
enum Input {
    Event(Event),
    Leave,
    Stop,
}

/// A running agent. Dropping it stops it: what runs is cancelled and the threads are joined.
pub struct AgentThread {
    inbox: Sender<Input>,
    thread: Option<JoinHandle<()>>,
    ended: Option<oneshot::Receiver<()>>,
    _sensing: Sensing,
    _allowance: Option<Allowance>,
}

impl AgentThread {
    /// Starts an agent inside this process. `say` takes what it says to its master; it is called on the agent's thread.
    pub fn start(config: Config, clock: fn() -> Time, say: impl FnMut(Envelope<FromAgent>) + Send + 'static) -> Result<AgentThread, CacheError> {
        let cache = Cache::open(&config.data, crate::analysis::fingerprint())?;
        let (tx, rx) = crossbeam_channel::bounded(INBOX_MAX);
        let (alive, ended) = oneshot::channel();
        let inbox = tx.clone();
        let senses = tx.clone();
        // One that finds no room is as good as the next one.
        let neighbours = config.neighbours.clone();
        let sensing = Sensing::start(config.data.clone(), move |load| {
            let counted = match &neighbours {
                Some(neighbours) => neighbours.count(load),
                None => load,
            };
            drop(senses.try_send(Input::Event(Event::Sensed(counted))));
        });
        let drops = tx.clone();
        let allowance =
            config.pack_bytes_max.map(|max| Allowance::start(cache.clone(), max, move |packs| drop(drops.try_send(Input::Event(Event::Dropped(packs))))));
        let thread = std::thread::Builder::new()
            .name("agent".into())
            .spawn(move || {
                Driver::new(config, &cache, clock, tx, say).run(rx);
                drop(alive);
            })
            .expect("the system can start a thread");
        Ok(AgentThread { inbox, thread: Some(thread), ended: Some(ended), _sensing: sensing, _allowance: allowance })
    }

    /// A connection to a master exists: the agent introduces itself.
    pub fn connected(&self) {
        let _ = self.inbox.send(Input::Event(Event::Connected));
    }

    /// The process is to end: what waits is handed back, what runs may go on for as long as the node's configuration says.
    /// The thread ends by itself once the master knows that nothing is left here.
    pub fn leave(&self) {
        let _ = self.inbox.send(Input::Leave);
    }

    /// Resolves when the thread has ended. To be asked for once.
    pub fn ended(&mut self) -> impl Future<Output = ()> + Send + use<> {
        let ended = self.ended.take();
        async move {
            match ended {
                // Nobody sends: it is the sender's end that is waited for.
                Some(ended) => drop(ended.await),
                None => std::future::pending().await,
            }
        }
    }

    /// Delivers a message from the master.
    pub fn send(&self, message: Envelope<ToAgent>) {
        // An agent that is gone is noticed by its silence.
        let _ = self.inbox.send(Input::Event(Event::Received(message)));
    }
}

impl Drop for AgentThread {
    fn drop(&mut self) {
        let _ = self.inbox.send(Input::Stop);
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed; there is nothing to add.
            let _ = thread.join();
        }
    }
}

struct Driver<Say> {
    agent: Agent,
    clock: fn() -> Time,
    say: Say,
    pool: Pool,
    cancels: BTreeMap<Held, Arc<AtomicBool>>,
    epoch_file: Option<PathBuf>,
    audit_file: Option<PathBuf>,
    commands: Commands,
    configuration: Configuration,
    leave_max: Span,
    log: Verbosity,
    neighbours: Option<Neighbourhood>,
    tell: fn(&str),
    /// What the effects themselves led to.
    followed: VecDeque<Event>,
    /// Nothing is left to do.
    over: bool,
}

impl<Say: FnMut(Envelope<FromAgent>)> Driver<Say> {
    fn new(config: Config, cache: &Cache, clock: fn() -> Time, inbox: Sender<Input>, say: Say) -> Driver<Say> {
        let agent = Agent::new(config.incarnation, config.settings.slots, cache.fingerprint(), config.epoch.0)
            .with_programs(config.commands.programs())
            .described(config.settings.profile.clone())
            .knowing(config.audit_head.as_deref().and_then(read_audit_head));
        // One that was pushed in an earlier life wins over the owner's.
        logging::set(config.settings.log);
        let pool = Pool::start(&config, cache, &inbox);
        Driver {
            agent,
            clock,
            say,
            pool,
            cancels: BTreeMap::new(),
            epoch_file: config.epoch.1,
            audit_file: config.audit_head,
            commands: config.commands,
            configuration: config.configuration,
            leave_max: config.settings.leave_max,
            log: config.settings.log,
            neighbours: config.neighbours,
            tell: config.tell,
            followed: VecDeque::new(),
            over: false,
        }
    }

    fn run(mut self, inbox: Receiver<Input>) {
        let mut effects = Vec::new();
        self.agent.handle((self.clock)(), Event::Connected, &mut effects);
        loop {
            effects.drain(..).for_each(|effect| self.perform(effect));
            if self.over {
                break;
            }
            if let Some(event) = self.followed.pop_front() {
                self.agent.handle((self.clock)(), event, &mut effects);
                continue;
            }
            let wait = self.agent.next_deadline() - (self.clock)();
            let event = match inbox.recv_timeout(Duration::from_micros(wait.0)) {
                Ok(Input::Event(event)) => event,
                Ok(Input::Leave) => Event::Leave { until: (self.clock)() + self.leave_max },
                Err(RecvTimeoutError::Timeout) => Event::Woken,
                Ok(Input::Stop) | Err(RecvTimeoutError::Disconnected) => break,
            };
            if let Event::Ended { held, result } = &event {
                self.cancels.remove(held);
                note_end(*held, result);
            }
            self.agent.handle((self.clock)(), event, &mut effects);
        }
        self.cancels.values().for_each(|cancel| cancel.store(true, Ordering::Relaxed));
        // A worker that waits for room in the inbox must not wait for ever.
        drop(inbox);
        self.pool.join();
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::KeepEpoch(epoch) => {
                // A disk that is full keeps the older one: this life refuses all the same.
                let _ = self.epoch_file.as_ref().map(|file| replace(file, &epoch.0.to_string()));
            }
            Effect::KeepAuditHead(head) => {
                // As with the epoch; it is told again with the next record.
                let _ = self.audit_file.as_ref().map(|file| replace(file, &format!("{} {}", head.number, head.hash)));
            }
            Effect::TryConfiguration { revision, text } => {
                let result = self.try_configuration(&text);
                self.followed.push_back(Event::Configured { revision, result });
            }
            Effect::KeepConfiguration => {
                if let Err(error) = self.configuration.keep() {
                    self.tell_of_leftovers(&error);
                }
            }
            Effect::TakeBackConfiguration { revision } => {
                let lived = self.take_back();
                self.followed.push_back(Event::Restored { revision, lived });
            }
            Effect::Send(message) => (self.say)(message),
            Effect::Tell(reason) => {
                // What came over the network must not steer a terminal.
                let harmless: String = reason.chars().filter(|c| !c.is_control()).collect();
                (self.tell)(&format!("the master stopped all work here: {harmless}"));
            }
            Effect::Meet(known) => {
                if let Some(neighbours) = &self.neighbours {
                    neighbours.know(known);
                }
            }
            Effect::End => self.over = true,
            Effect::Start(task) => {
                debug!(job = %task.spark.job, spark = %task.spark, attempt = task.attempt.0, "begins");
                let cancel = Arc::new(AtomicBool::new(false));
                self.cancels.insert(Held { spark: task.spark, attempt: task.attempt }, cancel.clone());
                self.pool.start_task(task, cancel);
            }
            Effect::Forget(held) => self.commands.forget(held),
            Effect::Stop(held) => {
                if let Some(cancel) = self.cancels.get(&held) {
                    cancel.store(true, Ordering::Relaxed);
                }
            }
        }
    }
}

impl<Say> Driver<Say> {
    fn try_configuration(&mut self, text: &str) -> Result<Lived, String> {
        let settings = self.configuration.change(text).map_err(|error| with_cause(&error))?;
        Ok(self.live_by(settings))
    }

    /// What cannot be taken back now is at the next start; until then this node is what its owner made of it.
    fn take_back(&mut self) -> Lived {
        let settings = self.configuration.take_back().unwrap_or_else(|error| {
            self.tell_of_leftovers(&error);
            self.configuration.own().clone()
        });
        self.live_by(settings)
    }

    fn live_by(&mut self, settings: Settings) -> Lived {
        self.leave_max = settings.leave_max;
        // Otherwise what a signal chose stays.
        if settings.log != self.log {
            self.log = settings.log;
            logging::set(settings.log);
        }
        self.pool.grow(settings.slots);
        settings.lived()
    }

    fn tell_of_leftovers(&self, error: &ConfigurationError) {
        (self.tell)(&format!("the configuration is taken back at the next start: {}", with_cause(error)));
    }
}

fn note_end(Held { spark, attempt }: Held, result: &Result<SparkOutput, AttemptError>) {
    match result {
        Ok(_) => debug!(job = %spark.job, %spark, attempt = attempt.0, "is done"),
        Err(AttemptError::Cancelled) => debug!(job = %spark.job, %spark, attempt = attempt.0, "was called off"),
        Err(error) => warn!(job = %spark.job, %spark, attempt = attempt.0, error = error.describe(), "came to nothing"),
    }
}

/// A file that is damaged tells nothing.
fn read_audit_head(file: &Path) -> Option<AuditHead> {
    let text = std::fs::read_to_string(file).ok()?;
    let (number, hash) = text.trim().split_once(' ')?;
    Some(AuditHead { number: number.parse().ok()?, hash: Digest::from_hex(hash)? })
}

/// The file has the old text or the new one, whatever happens.
fn replace(file: &Path, text: &str) -> std::io::Result<()> {
    let beside = file.with_extension("new");
    std::fs::write(&beside, text)?;
    std::fs::rename(beside, file)
}

/// One thread per slot, or more after there were more slots. The agent starts no more tasks than it has slots, so none waits here.
struct Pool {
    tasks: Sender<(Task, Arc<AtomicBool>)>,
    bench: Bench,
    threads: Vec<JoinHandle<()>>,
}

/// What a worker's thread works with.
#[derive(Clone)]
struct Bench {
    queue: Receiver<(Task, Arc<AtomicBool>)>,
    inbox: Sender<Input>,
    cache: Cache,
    config: Config,
    known: Arc<OnceLock<CacheIndex>>,
}

impl Pool {
    fn start(config: &Config, cache: &Cache, inbox: &Sender<Input>) -> Pool {
        let (tasks, queue) = crossbeam_channel::bounded(CORES_MAX as usize);
        let bench = Bench { queue, inbox: inbox.clone(), cache: cache.clone(), config: config.clone(), known: Arc::default() };
        let mut pool = Pool { tasks, bench, threads: Vec::new() };
        pool.grow(config.settings.slots);
        pool
    }

    fn grow(&mut self, slots: u32) {
        for number in self.threads.len()..slots as usize {
            let bench = self.bench.clone();
            let thread = std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || work(&bench));
            self.threads.push(thread.expect("the system can start a thread"));
        }
    }

    fn start_task(&self, task: Task, cancel: Arc<AtomicBool>) {
        // What is no work needs no thread that gives way to others; where there is no room it has one after all.
        if let Work::Nothing = task.work {
            let held = Held { spark: task.spark, attempt: task.attempt };
            if self.bench.inbox.try_send(Input::Event(Event::Ended { held, result: Ok(SparkOutput::default()) })).is_ok() {
                return;
            }
        }
        self.tasks.send((task, cancel)).expect("the workers live as long as the pool");
    }

    fn join(self) {
        drop(self.tasks);
        drop(self.bench);
        for thread in self.threads {
            // A panic there has been printed; there is nothing to add.
            let _ = thread.join();
        }
    }
}

fn work(Bench { queue, inbox, cache, config, known }: &Bench) {
    if config.gives_way {
        confine::give_way();
    }
    let mut worker: Option<Worker<'_>> = None;
    loop {
        let (task, cancel) = match queue.recv_timeout(REST_AFTER) {
            Ok(next) => next,
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                // With what it has in memory, and its child.
                worker = None;
                match queue.recv() {
                    Ok(next) => next,
                    Err(_) => return,
                }
            }
        };
        let held = Held { spark: task.spark, attempt: task.attempt };
        let result = match task.work {
            Work::Nothing => Ok(SparkOutput::default()),
            Work::Keep(packs) => {
                let known = known.get_or_init(|| look_through(cache));
                work::keep_packs(cache, known, &packs, config.supply.as_ref().map(|supply| &supply.fetch), &cancel)
            }
            // The agent is stopping when nobody listens, and behind when there is no room.
            Work::Run(line) => config.commands.run(held, &line, &cancel, &mut |output| drop(inbox.try_send(Input::Event(Event::Written(output))))),
            Work::Analyse(analysis) => {
                let begin = |hands| Worker::new(hands, cache, known.get_or_init(|| look_through(cache)), config.supply.clone());
                match analysis.isolated {
                    true => run_guarded(&mut begin(Hands::suspicious(&config.child)), held, &analysis, &cancel, inbox),
                    false => run_guarded(worker.get_or_insert_with(|| begin(config.hands())), held, &analysis, &cancel, inbox),
                }
            }
        };
        if inbox.send(Input::Event(Event::Ended { held, result })).is_err() {
            return;
        }
    }
}

/// A cache that cannot be read is an empty one.
fn look_through(cache: &Cache) -> CacheIndex {
    cache.index().unwrap_or_default()
}

/// A panic of ours in one spark is that spark's failure; the thread goes on with a new engine.
fn run_guarded(worker: &mut Worker<'_>, held: Held, analysis: &Analysis, cancel: &AtomicBool, inbox: &Sender<Input>) -> Result<SparkOutput, AttemptError> {
    let mut progress = |progress| {
        // The agent is stopping when nobody listens.
        let _ = inbox.try_send(Input::Event(Event::Progressed(progress)));
    };
    let run = std::panic::AssertUnwindSafe(|| worker.run(held, analysis, cancel, &mut progress));
    match std::panic::catch_unwind(run) {
        Ok(result) => result,
        Err(_) => {
            worker.hands.renew();
            Err(AttemptError::Crashed("a panic".into()))
        }
    }
}
