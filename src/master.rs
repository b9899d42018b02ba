//! The driver around `core::fleet`: one loop that waits, handles, journals and sends. It decides nothing.
//!
//! [`Master`] serves one command here: it runs with an agent inside the process and ends with the command.

mod afar;
mod demo;
mod joining;
mod narration;
mod nodes;
mod perform;
mod records;
mod reports;
mod resident;
mod serve;
mod view;
mod watching;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError, SyncSender},
    },
    thread,
    time::{Duration, Instant},
};

use bitacora_core::{
    fleet::{Effect, Event, Fact, Fleet, JobSpec, JobView, Ledger, ListedFile, Notice, Requester, Settings, Submission},
    ids::{Digest, Epoch, Incarnation, JobId, NodeId},
    wire::{Envelope, FromAgent, message::AuditHead},
};
use fleet_agent::{
    blobs::{BlobError, Blobs},
    cache::CacheError,
    command::Commands,
    configuration::{self, Configuration},
    driver::{AgentThread, Config},
    isolation::ChildCommand,
    sense,
};

use self::view::View;
pub use self::{demo::DemoMaster, resident::Lodging, serve::Served};
use crate::{
    control::{self, Answer, Asked, ControlSocket, Request},
    data::{DataDirectory, DataError, Lock},
    journal::{Journal, JournalError},
    links::{LinkEvent, LinksError},
    logs::Logs,
    scan::Scan,
    timeline::Timeline,
    trust::TrustError,
};
pub use fleet_agent::clock::now;

/// Events handled in one turn, and so in one commit.
const TURN_EVENTS_MAX: usize = 256;
/// Between the beginnings of two turns that come one upon the other: what arrives meanwhile shares a turn and its commit, whose
/// costs are the same for one event and for fifty. Nothing waits after a pause.
const TURN_EVERY: Duration = Duration::from_millis(2);
/// What an answer leads to: its fact, its receipt, the next spark's fact and its task.
const EFFECTS_EACH: usize = 4;
/// Messages and requests that wait for the loop; agents and askers wait beyond that.
const INBOX_MAX: usize = 16_384;
/// How often whoever watches is told how far a job is, and asked whether to stop.
const WATCH_EVERY: Duration = Duration::from_millis(100);

#[derive(Debug, thiserror::Error)]
pub enum MasterError {
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error("the cache cannot be opened")]
    Cache(#[from] CacheError),
    #[error("cannot listen on the socket in the data directory")]
    Socket(#[source] std::io::Error),
    #[error("the fleet's keys cannot be used")]
    Trust(#[from] TrustError),
    #[error(transparent)]
    Links(#[from] LinksError),
    #[error("the agent inside this process has ended")]
    AgentEnded,
}

/// How a watched job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watched {
    Over,
    Stopped,
}

/// What reaches the loop.
enum Input {
    Agent(Envelope<FromAgent>),
    /// The agent's thread is over, whether or not it was asked to end.
    AgentEnded,
    Asked(Asked),
    Link(LinkEvent),
    Listed(Box<serve::Listed>),
}

/// Says that the agent's thread is over by being dropped there, after a panic too.
struct Ended(SyncSender<Input>);

impl Drop for Ended {
    fn drop(&mut self) {
        // Nobody listens when the master ended first.
        let _ = self.0.try_send(Input::AgentEnded);
    }
}

/// A listing, and what of it is to be done: of two jobs on one listing, one may have lost a file on the way or be about a part.
type Work = (Digest, Digest);

fn work(spec: &JobSpec, files: &[ListedFile]) -> Work {
    let mut hasher = blake3::Hasher::new();
    for file in files {
        hasher.update(&(file.path.as_bytes().len() as u64).to_le_bytes());
        hasher.update(file.path.as_bytes());
    }
    (spec.listing, Digest(*hasher.finalize().as_bytes()))
}

/// A master that holds a data directory.
pub struct Master {
    fleet: Fleet,
    journal: Journal,
    data: DataDirectory,
    results: Blobs,
    logs: Logs,
    scans: HashMap<Work, Arc<Scan>>,
    agent: Option<AgentThread>,
    /// The links to the nodes, of a master that stays.
    serving: Option<serve::Serving>,
    /// The standard library's: what is in it when it is dropped is dropped too, so that nobody waits for an answer to it.
    inbox: Receiver<Input>,
    outbox: SyncSender<Input>,
    /// When the last turn with anything in it began.
    turned_at: Instant,
    _control: Option<ControlSocket>,
    timeline: Timeline,
    watching: watching::Watching,
    uncommitted: perform::Uncommitted,
    /// The audit's end, when it has grown and nobody was told yet.
    audited: Option<AuditHead>,
    /// The effects of the recovery, performed with those of the first turn.
    recovery: Vec<Effect>,
    _lock: Lock,
}

impl Master {
    /// Becomes the master of a data directory; `waiting` is told who is, if somebody else is.
    pub fn open(data: &DataDirectory, settings: Settings, waiting: impl FnOnce(&str)) -> Result<Master, MasterError> {
        let lock = data.lock(waiting)?;
        let mut timeline = Timeline::default();
        let mut remember = |fact: &Fact, ledger: &Ledger| timeline.remember(fact, ledger);
        let (journal, recovered) = Journal::open_and_tell(&data.journal(), &mut remember)?;
        fleet_agent::clock::resume(recovered.ledger.latest);
        let mut recovery = Vec::new();
        let audited = journal.audit_head();
        let fleet = Fleet::recover(settings, recovered.ledger, now(), &mut recovery);
        let (outbox, inbox) = mpsc::sync_channel(INBOX_MAX);
        let results = Blobs::open(&data.manifests())?;
        let logs = data.logs()?;
        logs.forget_all();
        let data = data.clone();
        Ok(Master {
            fleet,
            journal,
            data,
            results,
            logs,
            scans: HashMap::new(),
            agent: None,
            serving: None,
            inbox,
            outbox,
            _control: None,
            timeline,
            turned_at: Instant::now(),
            watching: watching::Watching::default(),
            uncommitted: perform::Uncommitted::default(),
            audited,
            recovery,
            _lock: lock,
        })
    }

    pub fn ledger(&self) -> &Ledger {
        self.fleet.ledger()
    }

    /// Starts the agent inside this process. `program` is this program, for files that need a process of their own.
    pub fn start_agent(&mut self, slots: u32, program: PathBuf) -> Result<(), MasterError> {
        // Whoever ends it waits for nothing that it runs.
        let settings = configuration::Settings { profile: sense::profile(), slots, ..configuration::Settings::default() };
        let config = Config {
            settings: settings.clone(),
            configuration: Configuration::fixed(settings),
            incarnation: Incarnation(u64::from(self.fleet.epoch().0)),
            data: self.data.root().to_owned(),
            child: ChildCommand { program, arguments: vec!["run-parser".into()] },
            parses_apart: false,
            supply: None,
            epoch: (Epoch(0), None),
            audit_head: None,
            // Commands are for nodes that were configured to run them.
            commands: Commands::none(),
            pack_bytes_max: None,
            gives_way: false,
            neighbours: None,
            // Whoever could stop it is this process.
            tell: |_| {},
        };
        let ended = Ended(self.outbox.clone());
        // A master that is gone hears nothing; the agent is joined right after.
        self.agent = Some(AgentThread::start(config, now, move |message| drop(ended.0.send(Input::Agent(message))))?);
        self.hear_hello()?;
        let outbox = self.outbox.clone();
        // Without the socket everything works but commands from other processes; a read-only or odd file system is no reason to stop.
        self._control = ControlSocket::listen(&self.data.control(), move |asked| drop(outbox.send(Input::Asked(asked)))).ok();
        Ok(())
    }

    /// Waits for the agent's first words, so that a job is cut for the slots that there are.
    fn hear_hello(&mut self) -> Result<(), MasterError> {
        match self.inbox.recv().map_err(|_| MasterError::AgentEnded)? {
            Input::Agent(message) => self.turn([Event::Received { node: NodeId::HERE, message }]).map(drop),
            Input::AgentEnded => Err(MasterError::AgentEnded),
            Input::Asked(_) | Input::Link(_) | Input::Listed(_) => unreachable!("the socket opens after this"),
        }
    }

    /// Handles one event on behalf of whoever runs this process, and performs what follows from it; answers with what was
    /// published.
    pub fn request(&mut self, event: Event) -> Result<Vec<Notice>, MasterError> {
        self.turn_for(control::this_user(), [event])
    }

    /// Submits a job for a scanned tree, on somebody's behalf.
    pub fn submit(&mut self, by: Requester, submission: Submission, scan: Arc<Scan>) -> Result<Vec<Notice>, MasterError> {
        self.scans.insert(work(&submission.spec, &submission.files), scan);
        self.turn_for(by, [Event::JobSubmitted(submission)])
    }

    /// Runs until the job is over, or until `watch` answers that it should stop: then what runs is called back and the
    /// job stays as it is.
    pub fn run(&mut self, job: JobId, mut watch: impl FnMut(&JobView) -> bool) -> Result<Watched, MasterError> {
        while self.is_unfinished(job) {
            let (mut events, mut asked) = (Vec::new(), Vec::new());
            for input in self.wait()? {
                match input {
                    Input::Agent(message) => events.push(Event::Received { node: NodeId::HERE, message }),
                    Input::AgentEnded => return Err(MasterError::AgentEnded),
                    Input::Asked(request) => asked.push(request),
                    Input::Link(_) | Input::Listed(_) => unreachable!("a master of one command has no links"),
                }
            }
            events.push(Event::Woken);
            self.turn(events)?;
            asked.into_iter().try_for_each(|asked| self.answer(&asked))?;
            self.tell_watchers();
            let view = self.fleet.job_view(now(), job);
            if view.is_some_and(|view| watch(&view)) {
                self.turn([Event::Stopping])?;
                return Ok(Watched::Stopped);
            }
        }
        self.turn([Event::Stopping])?;
        Ok(Watched::Over)
    }

    fn is_unfinished(&self, job: JobId) -> bool {
        self.fleet.ledger().jobs.get(&job).is_some_and(|job| !job.status.is_over())
    }

    /// What arrived until something is due.
    fn wait(&mut self) -> Result<Vec<Input>, MasterError> {
        let due = self.fleet.next_deadline().map_or(WATCH_EVERY, |due| Duration::from_micros((due - now()).0).min(WATCH_EVERY));
        match self.inbox.recv_timeout(due) {
            Ok(first) => {
                thread::sleep(TURN_EVERY.saturating_sub(self.turned_at.elapsed()));
                self.turned_at = Instant::now();
                Ok(std::iter::once(first).chain(self.inbox.try_iter().take(TURN_EVENTS_MAX - 1)).collect())
            }
            Err(RecvTimeoutError::Timeout) => Ok(Vec::new()),
            Err(RecvTimeoutError::Disconnected) => Err(MasterError::AgentEnded),
        }
    }

    fn answer(&mut self, asked: &Asked) -> Result<(), MasterError> {
        let by = asked.by;
        let answer = match asked.request.clone() {
            Request::Watch(watch) => {
                self.watch(watch, asked.answer.clone());
                return Ok(());
            }
            Request::Analyse(_) => Answer::Busy,
            Request::Pair { .. } => Answer::Refused("this bitacora serves one command and no fleet".into()),
            Request::Bring { packs } => Answer::Brought { lacking: packs, nodes: Vec::new() },
            Request::Search(wanted) => Answer::Searched { found: Vec::new(), lacking: wanted.packs, nodes: Vec::new() },
            Request::Warm(warmth) => self.warm(by, warmth)?,
            Request::Sweep => self.sweep()?,
            Request::Token { name, span, operator } => self.issue_token(by, name, span, operator)?,
            Request::AddProject { root } => self.add_project(by, &root)?,
            Request::Role { name, role } => self.choose_role(by, &name, role)?,
            Request::Configure { node, text } => self.configure(by, node, text)?,
            Request::Configuration { node } => Answer::Configuration(self.fleet.push_of(node).cloned()),
            Request::Log { spark, from } => self.log_part(spark, from),
            Request::Audit { after } => self.audit_after(after),
            Request::Report(wish) => self.report(by, &wish),
            Request::ReportPart { report, part } => self.report_part(by, report, part),
            Request::EndReport { report } => self.end_report(by, report),
            request => match self.view().answer(&request) {
                Some(answer) => answer,
                None => self.carry_out(by, &request)?,
            },
        };
        // Whoever asked may be gone.
        let _ = asked.answer.send(answer);
        Ok(())
    }

    /// What is an event to the core, and nothing besides.
    fn carry_out(&mut self, by: Requester, request: &Request) -> Result<Answer, MasterError> {
        let Some(event) = request.event() else { return Ok(Answer::Refused("this bitacora cannot do that".into())) };
        Ok(request.answered(&self.turn_for(by, [event])?))
    }

    /// For those who are told of the fleet.
    fn view(&self) -> View<'_> {
        let pairing = self.serving.as_ref().map(serve::Serving::pairing).ok_or(view::UNSEEN);
        let links = self.serving.as_ref().map(serve::Serving::links);
        View { fleet: &self.fleet, timeline: &self.timeline, at: now(), links, pairing }
    }

    fn turn(&mut self, events: impl IntoIterator<Item = Event>) -> Result<Vec<Notice>, MasterError> {
        self.turn_for(Requester::Fleet, events)
    }

    fn turn_for(&mut self, by: Requester, events: impl IntoIterator<Item = Event>) -> Result<Vec<Notice>, MasterError> {
        let mut effects = std::mem::take(&mut self.recovery);
        let mut stirs = false;
        let events = events.into_iter();
        effects.reserve(EFFECTS_EACH * events.size_hint().0);
        // That time passes shows in what follows from it.
        let events = events.inspect(|event| stirs |= !matches!(event, Event::Woken));
        self.fleet.handle_turn(now(), by, events, &mut effects);
        if stirs || !effects.is_empty() {
            self.watching.stir();
        }
        self.perform(effects)
    }
}

#[cfg(test)]
mod tests {
    use bitacora_core::{fleet::Priority, paths::RelativePath};

    use super::*;

    #[test]
    fn jobs_on_one_listing_are_told_apart_by_what_is_to_be_done() {
        let file = |name: &str| ListedFile {
            path: RelativePath::new(name.into()).unwrap(),
            size: 1,
            language: "c".into(),
            complexity: 0,
            cluster: 0,
            content: None,
            is_disputed: false,
        };
        let spec = JobSpec::without_tree(None, Priority::Normal, Vec::new());
        let (both, one) = (work(&spec, &[file("a.c"), file("b.c")]), work(&spec, &[file("b.c")]));
        assert_eq!((both.0, both.1 == one.1), (one.0, false));
        assert_eq!(both, work(&spec, &[file("a.c"), file("b.c")]));
    }

    #[test]
    fn whoever_asks_a_master_that_ends_is_not_left_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let master = Master::open(&DataDirectory::open(Some(folder.path())).unwrap(), Settings::for_one_command(), |_| ()).unwrap();
        // As the thread of the socket does, which outlives the master.
        let outbox = master.outbox.clone();
        let (answer, answered) = crossbeam_channel::bounded(1);
        assert!(outbox.send(Input::Asked(Asked { by: control::this_user(), request: Request::Nodes, answer })).is_ok());
        drop(master);
        assert_eq!(answered.recv_timeout(Duration::from_secs(60)), Err(crossbeam_channel::RecvTimeoutError::Disconnected));
    }
}
