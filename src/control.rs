//! How another process on this machine talks to the running master: a socket in the data directory.
//!
//! One request a connection, MessagePack behind a length, and one answer. The socket's folder belongs to the person
//! whose data it is; whoever may write there may command.

mod deeds;
mod events;
pub mod history;
mod nodes;
mod operators;
pub mod relay;
pub mod remote;
pub mod report;
mod snapshot;
mod sparks;
pub mod watch;
mod words;

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Write},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd},
        unix::net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use bitacora_core::{
    fleet::{
        Awaited, CommandSpec, Event, JobCommand, JobType, JobView, NodeSelector, OwnRole, Partitioning, Placement, Priority, Project, Push, Requester, Right,
        Spark,
    },
    ids::{Digest, JobId, NodeId, ProjectId, SparkId},
    time::Span,
    wire::task::FileLimits,
};
use crossbeam_channel::{Receiver, Sender};
use fleet_agent::{
    doctor::Finding,
    net::pairing::PairingCode,
    search::{FoundNames, NamesWanted},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub use self::{
    nodes::{Cause, HeldSpark, LinkState, NodeDetail, NodeSeen, NodeState, NodeWish, blast_radius},
    operators::{OperatorState, OperatorWish},
    snapshot::{JOBS_MAX, JobState, ProjectState, ResultState, Snapshot},
    sparks::{SparkItem, node_of, place_name},
    words::{describe, outcome},
};
use self::{
    report::{ReportPart, ReportWish},
    watch::{News, Watch},
};
use crate::timeline::Happening;

/// Where nodes and devices link with a master if nobody says otherwise; those that join use the port after it.
pub const MASTER_PORT: u16 = 7411;
/// Sparks in one answer.
pub const SPARKS_MAX: usize = 32_768;
/// Records of the audit in one answer; whoever wants more asks for those after it.
pub const AUDIT_LINKS_MAX: usize = 4096;
/// Of a log, in one answer.
pub const LOG_BYTES_MAX: usize = 1 << 20;
/// Requests are small; an answer may list a thousand nodes, each with all the labels that it may have.
pub(crate) const MESSAGE_BYTES_MAX: u32 = 16 << 20;
/// A peer that says nothing for this long is dropped.
const PATIENCE: Duration = Duration::from_secs(5);

/// Listing a tree of tens of millions of lines takes minutes on a slow disk.
const LISTING_MAX: Duration = Duration::from_secs(3600);
/// Six addresses that may each lead nowhere for two seconds over either carrier, and three answers of ten.
const PAIRING_MAX: Duration = Duration::from_secs(60);
/// For the answers that are being written when the master ends, and how often they are looked at.
const LAST_WORDS_MAX: Duration = Duration::from_secs(1);
const LAST_WORDS_LOOK: Duration = Duration::from_millis(1);
/// For as long a watcher may be left without news; then it asks again, and so finds out about a master that hangs.
pub const WATCH_MAX: Duration = Duration::from_secs(25);
/// Two copies of a pack, on nodes that may each be slow for twenty seconds, and some of those before it.
const BRINGING_MAX: Duration = Duration::from_secs(120);
/// A node has ten seconds to look at its machine.
const EXAMINATION_MAX: Duration = Duration::from_secs(15);
/// A disk that many write to takes its time for a few thousand files.
const SWEEPING_MAX: Duration = Duration::from_secs(120);
/// Packs of one request: what is wanted of them is read before the next ones are asked for.
pub const BROUGHT_MAX: usize = 64;
/// Requests that are heard at the same time.
const CONVERSATIONS_MAX: usize = 32;

/// What can be asked of a running master.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    Command {
        job: JobId,
        command: Command,
    },
    /// Why a job is as it is.
    Explain {
        job: JobId,
    },
    /// The same of a job of which nothing goes on.
    Waits {
        job: JobId,
    },
    /// Have a tree analysed by the fleet.
    Analyse(Wish),
    Progress {
        job: JobId,
    },
    /// Have work done that is about no tree.
    Run(Box<Commission>),
    /// Have packs that stay on the nodes brought to this disk.
    Bring {
        packs: Vec<Digest>,
    },
    /// Look for names in packs that stay on the nodes.
    Search(NamesWanted),
    /// Have nodes keep the records of a project's last result.
    Warm(Warmth),
    /// Remove what no result and no job needs.
    Sweep,
    Spark {
        spark: SparkId,
    },
    CancelSpark {
        spark: SparkId,
    },
    Project {
        project: ProjectId,
        command: ProjectWish,
    },
    /// Know a folder of the master's machine as a project, before anything of it is analysed.
    AddProject {
        root: Vec<u8>,
    },
    /// What has happened after the happening of this number.
    Events {
        after: u64,
    },
    /// Everything that a dashboard lists.
    Snapshot,
    /// What is new. Answered when there is something, and after [`WATCH_MAX`] in any case.
    Watch(Watch),
    Nodes,
    /// Change a node's configuration. What came of it is asked for by itself.
    Configure {
        node: NodeId,
        /// TOML.
        text: String,
    },
    /// What came of the last change of a node's configuration.
    Configuration {
        node: NodeId,
    },
    /// Everything that is known of one.
    NodeDetail {
        node: NodeId,
    },
    Node {
        node: NodeId,
        command: NodeWish,
    },
    /// What the master's own machine, which is called so, or has no name here, does from now on.
    Role {
        name: String,
        role: OwnRole,
    },
    /// A token for a node of this name to join with, or for a person's device.
    Token {
        name: String,
        /// How long it is open.
        span: Span,
        #[serde(default)]
        operator: Option<Right>,
    },
    /// The fleet's authority is about to leave this device in an archive: that is written down first.
    ExportAuthority,
    /// With their results.
    Projects,
    /// The devices that people command the fleet with.
    Operators,
    Operator {
        operator: NodeId,
        command: OperatorWish,
    },
    /// Of one job, or of all that are not over.
    Sparks {
        job: Option<JobId>,
    },
    /// What a spark's command wrote, from this byte on.
    Log {
        spark: SparkId,
        from: u64,
    },
    /// Have a node look whether its machine lets it do its work.
    Examine {
        node: NodeId,
    },
    /// Have a report made where the results lie.
    Report(ReportWish),
    /// The part of it of this number; the one before it has arrived.
    ReportPart {
        report: u64,
        part: u64,
    },
    /// Nobody reads the rest of it.
    EndReport {
        report: u64,
    },
    /// The audit's records after the one of this number.
    Audit {
        after: u64,
    },
    /// Which nodes announce themselves on the local network?
    Discovered,
    /// Pair with the node that shows this code.
    Pair {
        /// As text: the scope of an address of the link would be lost in bytes.
        addresses: Vec<String>,
        code: PairingCode,
        /// Instead of what the node calls itself.
        name: Option<String>,
    },
}

impl Request {
    /// How long its answer may take.
    pub(crate) fn patience(&self) -> Duration {
        match self {
            Request::Analyse(_) => LISTING_MAX,
            Request::Pair { .. } => PAIRING_MAX,
            Request::Watch(_) => WATCH_MAX + PATIENCE,
            Request::Bring { .. } | Request::Search(_) => BRINGING_MAX,
            Request::Examine { .. } => EXAMINATION_MAX,
            Request::Sweep => SWEEPING_MAX,
            _ => PATIENCE,
        }
    }
}

/// What a person can do to a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProjectWish {
    Rename(String),
    Assign(NodeSelector),
    Remove,
}

impl ProjectWish {
    pub fn event(self, project: ProjectId) -> Event {
        match self {
            ProjectWish::Rename(name) => Event::ProjectRenamed { project, name },
            ProjectWish::Assign(nodes) => Event::ProjectAssigned { project, nodes },
            ProjectWish::Remove => Event::ProjectRemoved { project },
        }
    }
}

/// Work that is about no tree: so many sparks of a command, or of nothing at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commission {
    pub sparks: u32,
    pub priority: Priority,
    pub after: Vec<Awaited>,
    pub command: Option<CommandSpec>,
    #[serde(default)]
    pub placement: Placement,
    /// Where it may run; anywhere if that names none.
    #[serde(default)]
    pub nodes: NodeSelector,
}

/// Whose records are to be where, and how long that may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warmth {
    pub project: ProjectId,
    pub nodes: NodeSelector,
    pub timeout: Option<Span>,
}

/// What somebody wants analysed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// An absolute folder on the master.
    pub root: Vec<u8>,
    pub job_type: JobType,
    pub priority: Priority,
    pub partitioning: Partitioning,
    pub placement: Placement,
    pub limits: FileLimits,
    pub use_cache: bool,
    pub timeout: Option<Span>,
    pub selection: Vec<String>,
    pub after: Vec<Awaited>,
    pub nodes: NodeSelector,
}

/// [`JobCommand`] as it is spoken on the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    Cancel,
    Pause,
    Resume,
    Retry,
    SetPriority(Priority),
}

impl From<Command> for JobCommand {
    fn from(command: Command) -> JobCommand {
        match command {
            Command::Cancel => JobCommand::Cancel,
            Command::Pause => JobCommand::Pause,
            Command::Resume => JobCommand::Resume,
            Command::Retry => JobCommand::Retry,
            Command::SetPriority(priority) => JobCommand::SetPriority(priority),
        }
    }
}

/// The master's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    Done,
    /// With the reason.
    Refused(String),
    /// What it is about does not exist; in words.
    Unknown(String),
    /// Why the job does not run, or is not finished.
    Reasons(Vec<String>),
    /// Not now: it ends with its command, or has much to do. Ask again.
    Busy,
    Submitted(Submitted),
    /// The project of a folder, and whether it is a new one.
    Added {
        project: ProjectId,
        name: String,
        is_new: bool,
    },
    Accepted {
        job: JobId,
        sparks: u32,
    },
    Searched {
        found: Vec<FoundNames>,
        /// Packs that nobody could look through.
        lacking: Vec<Digest>,
        /// The nodes that have them, by their names.
        nodes: Vec<String>,
    },
    Brought {
        /// Those that could not be had.
        lacking: Vec<Digest>,
        /// The nodes that have them, by their names.
        nodes: Vec<String>,
    },
    Swept {
        files: u64,
        bytes: u64,
        /// There is more: ask again.
        more: bool,
    },
    Warming {
        /// One for each node.
        jobs: Vec<JobId>,
        /// Nodes that are meant and cannot be given anything now.
        missed: Vec<String>,
    },
    Spark(Spark),
    Events(Vec<Happening>),
    Progress(Progress),
    Snapshot(Box<Snapshot>),
    News(Box<News>),
    Nodes(Vec<NodeState>),
    Node(Box<NodeDetail>),
    Token {
        /// A secret: it goes to the person who asked and nowhere else.
        token: String,
        seconds: u64,
        /// Where the master listens.
        address: String,
    },
    Configuration(Option<Push>),
    Projects(BTreeMap<ProjectId, Project>),
    Operators(Vec<OperatorState>),
    Sparks(Vec<SparkItem>),
    Log {
        bytes: Vec<u8>,
        /// Nothing will be added.
        is_over: bool,
    },
    Findings(Vec<Finding>),
    /// It is being made, under this number.
    Reporting {
        report: u64,
    },
    Part(ReportPart),
    /// Number, bytes and hash of each record.
    Audit(Vec<(u64, Vec<u8>, Digest)>),
    Discovered(Vec<NodeSeen>),
    Paired {
        node: NodeId,
    },
    NotPaired {
        failure: PairFailure,
        /// In words.
        reason: String,
    },
}

/// What kept a node from being paired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PairFailure {
    /// The code is wrong, or one side does not know it.
    Code,
    /// Not now, or not with this fleet.
    Refused,
    Unreachable,
    Time,
    /// The node may belong to the fleet or not know it yet.
    Unconfirmed,
}

/// A job that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submitted {
    pub job: JobId,
    pub project: ProjectId,
    /// Of the files that are not known.
    pub bytes: u64,
    pub unchanged: bool,
}

/// How far a job is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub over: bool,
    pub status: String,
    pub stage: String,
    pub files: u64,
    pub files_done: u64,
    pub bytes: u64,
    pub bytes_done: u64,
    pub bytes_per_second: u64,
    pub seconds_to_go: Option<u64>,
    #[serde(default)]
    pub percent: u32,
    #[serde(default)]
    pub sparks: u32,
    #[serde(default)]
    pub sparks_done: u32,
}

impl Progress {
    pub fn of(view: &JobView) -> Progress {
        Progress {
            over: view.status.is_over(),
            status: view.status.name().to_owned(),
            stage: view.stage_name().to_owned(),
            files: view.files,
            files_done: view.files_done,
            bytes: view.bytes,
            bytes_done: view.bytes_done,
            bytes_per_second: view.bytes_per_second,
            seconds_to_go: view.eta_seconds(),
            percent: view.percent(),
            sparks: view.sparks,
            sparks_done: view.sparks_done,
        }
    }
}

/// A request on its way to the master's loop.
pub struct Asked {
    /// Who asks, as the system tells it.
    pub by: Requester,
    pub request: Request,
    pub answer: Sender<Answer>,
}

/// The master's end. Removed from the file system when dropped.
pub struct ControlSocket {
    path: PathBuf,
    /// One for each conversation that goes on.
    conversations: Receiver<()>,
    /// How long those are waited for in the end.
    last_words: Duration,
}

impl ControlSocket {
    /// Listens; each request goes to `deliver`, on a thread of its own. The caller holds the data directory's lock, so
    /// a socket that is there already belongs to a master that was killed.
    pub fn listen(path: &Path, deliver: impl Fn(Asked) + Send + Clone + 'static) -> io::Result<ControlSocket> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = Reach::of(path)?.bind()?;
        let (free, taken) = crossbeam_channel::bounded::<()>(CONVERSATIONS_MAX);
        let conversations = taken.clone();
        std::thread::Builder::new().name("control".into()).spawn(move || {
            for stream in listener.incoming().flatten() {
                // More than that wait in the system's own queue.
                let _ = free.send(());
                let (deliver, taken) = (deliver.clone(), taken.clone());
                std::thread::spawn(move || {
                    // Whoever asked may be gone; that is no trouble of the master's.
                    let _ = serve(stream, &deliver);
                    let _ = taken.recv();
                });
            }
        })?;
        Ok(ControlSocket { path: path.to_owned(), conversations, last_words: LAST_WORDS_MAX })
    }

    /// Of one whose askers end before it: nobody is left to hear an answer.
    #[must_use]
    pub fn without_last_words(mut self) -> ControlSocket {
        self.last_words = Duration::ZERO;
        self
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // A file that is left is removed by the next master.
        let _ = std::fs::remove_file(&self.path);
        // Whoever was answered reads it, though the process ends next.
        let until = Instant::now() + self.last_words;
        while !self.conversations.is_empty() && Instant::now() < until {
            std::thread::sleep(LAST_WORDS_LOOK);
        }
    }
}

fn serve(mut stream: UnixStream, deliver: &impl Fn(Asked)) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request: Request = read(&mut stream)?;
    let (answer, answered) = crossbeam_channel::bounded(1);
    let patience = request.patience();
    deliver(Asked { by: peer(&stream)?, request, answer });
    // Too much to do, or ending: either way the next one to be asked knows.
    let answer = answered.recv_timeout(patience).unwrap_or(Answer::Busy);
    write(&mut stream, &answer)
}

/// The user at the other end.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn peer(stream: &UnixStream) -> io::Result<Requester> {
    Ok(Requester::User(rustix::net::sockopt::socket_peercred(stream)?.uid.as_raw()))
}

/// Where the system does not tell: the folder is this user's, and nobody else gets to the socket.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn peer(_: &UnixStream) -> io::Result<Requester> {
    Ok(this_user())
}

/// Whoever runs this process.
pub fn this_user() -> Requester {
    Requester::User(rustix::process::getuid().as_raw())
}

/// The socket by way of its opened folder: a socket's own path may have 107 bytes, a data directory's any number.
struct Reach {
    folder: File,
    name: PathBuf,
}

impl Reach {
    fn of(path: &Path) -> io::Result<Reach> {
        let (folder, name) = (path.parent().unwrap_or(Path::new(".")), path.file_name().unwrap_or_default());
        Ok(Reach { folder: File::open(folder)?, name: name.into() })
    }

    fn short(&self) -> PathBuf {
        Path::new("/proc/self/fd").join(self.folder.as_raw_fd().to_string()).join(&self.name)
    }

    fn bind(&self) -> io::Result<UnixListener> {
        UnixListener::bind(self.short())
    }

    fn connect(&self) -> io::Result<UnixStream> {
        UnixStream::connect(self.short())
    }
}

/// Asks the running master; `None` when there is none.
pub fn ask(path: &Path, request: &Request) -> io::Result<Option<Answer>> {
    begin(path, request)?.map(Asking::answer).transpose()
}

/// A question whose answer is on its way. Dropped, it is taken back.
pub struct Asking(UnixStream);

impl Asking {
    /// Waits for the answer.
    pub fn answer(mut self) -> io::Result<Answer> {
        read(&mut self.0)
    }
}

impl AsFd for Asking {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Asks without waiting for the answer.
pub fn begin(path: &Path, request: &Request) -> io::Result<Option<Asking>> {
    let reach = match Reach::of(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        reach => reach?,
    };
    let mut stream = match reach.connect() {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => return Ok(None),
        connected => connected?,
    };
    stream.set_read_timeout(Some(request.patience() + PATIENCE))?;
    write(&mut stream, request)?;
    Ok(Some(Asking(stream)))
}

/// As it is written on the socket and on the wire.
pub(crate) fn encode(message: &impl Serialize) -> Vec<u8> {
    rmp_serde::to_vec_named(message).expect("a message in memory can be written to memory")
}

fn write(stream: &mut UnixStream, message: &impl Serialize) -> io::Result<()> {
    let bytes = encode(message);
    stream.write_all(&(bytes.len() as u32).to_le_bytes())?;
    stream.write_all(&bytes)
}

fn read<M: DeserializeOwned>(stream: &mut UnixStream) -> io::Result<M> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length);
    if length > MESSAGE_BYTES_MAX {
        return Err(io::Error::other("the message is too long"));
    }
    let mut bytes = vec![0; length as usize];
    stream.read_exact(&mut bytes)?;
    rmp_serde::from_slice(&bytes).map_err(io::Error::other)
}
