//! A spark that is a command: run without a shell, in a process group of its own, its output kept within its limit and
//! shown while it runs. A program runs only if this node's configuration names it.
//!
//! Between the agent and the command stands a supervisor: this program again, which ends everything that the command has
//! started when it is told to, and when the agent is gone without a word: either way its standard input ends.
//!
//! ```text
//! agent --- stdin: the order, then nothing until the end ---> supervisor --- starts, ends ---> command and its children
//!   ^ <----- stderr: how it ended -----------------------------'                                 |
//!   '------- stdout: what they write ------------------------------------------------------------'
//! ```

mod descendants;

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs,
    io::{self, Read},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{ffi::OsStrExt, fs::PermissionsExt, process::CommandExt},
    },
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use bitacora_core::wire::{
    command::{CommandEnd, CommandLine, ExitStatus, OUTPUT_BYTES_MAX},
    message::{Held, Output},
    task::{AttemptError, SparkOutput},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, Signal, WaitStatus, kill_process_group},
};
use serde::{Deserialize, Serialize};

use crate::{
    blobs, children,
    confine::CommandLimits,
    isolation::{ChildCommand, read_message, write_message},
    logging,
    root::Root,
    sight::Sight,
};

/// The word by which this program becomes a command.
pub const BECOME: &str = "become-command";
/// Where a program is looked for that is named without a folder, and the `PATH` that it finds.
const SEARCHED: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Between asking a process group to end and ending it.
const MERCY: Duration = Duration::from_secs(2);
/// Beyond that, for the supervisor itself.
const SUPERVISOR_MAX: Duration = Duration::from_secs(4);
/// How often the agent looks whether it should end a command that says nothing.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// What is shown at once of what a command writes, and how often: a flood of it must not crowd out heartbeats.
const SHOWN_BYTES_MAX: usize = 32 << 10;
const SHOWN_EVERY: Duration = Duration::from_millis(50);
/// Of one read from the pipe.
const READ_BYTES: usize = 64 << 10;

/// The commands of one node.
#[derive(Clone, Debug)]
pub struct Commands {
    programs: Arc<BTreeSet<String>>,
    /// Folders of running commands, and logs that are not acknowledged yet.
    place: PathBuf,
    supervisor: ChildCommand,
    limits: CommandLimits,
    /// Where a tree of the master's lies here.
    sight: Sight,
}

/// What a supervisor is told.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    program: PathBuf,
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
    /// In which it runs.
    folder: PathBuf,
    memory_bytes: Option<u64>,
    writable: Option<Vec<PathBuf>>,
}

impl Commands {
    /// Those of `programs` may be run, in folders below `place`. What an earlier life left there goes.
    pub fn open(programs: BTreeSet<String>, place: PathBuf, supervisor: ChildCommand) -> io::Result<Commands> {
        match fs::remove_dir_all(&place) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir_all(&place)?,
        }
        Ok(Commands { programs: Arc::new(programs), place, supervisor, limits: CommandLimits::default(), sight: Sight::Nothing })
    }

    /// What each of them may take and touch.
    pub fn limited(self, limits: CommandLimits) -> Commands {
        Commands { limits, ..self }
    }

    /// And which of the master's trees they can run in.
    pub fn seeing(self, sight: Sight) -> Commands {
        Commands { sight, ..self }
    }

    /// None may be run here.
    pub fn none() -> Commands {
        let supervisor = ChildCommand { program: PathBuf::new(), arguments: Vec::new() };
        Commands { programs: Arc::default(), place: PathBuf::new(), supervisor, limits: CommandLimits::default(), sight: Sight::Nothing }
    }

    pub fn programs(&self) -> Vec<String> {
        self.programs.iter().cloned().collect()
    }

    /// Runs a command to its end, or until `cancel` is set. `written` is shown what it writes.
    pub fn run(&self, held: Held, line: &CommandLine, cancel: &AtomicBool, written: &mut dyn FnMut(Output)) -> Result<SparkOutput, AttemptError> {
        line.check().map_err(|error| AttemptError::Refused(error.to_string()))?;
        if !self.programs.contains(&line.program) {
            return Err(AttemptError::Refused(format!("it is not configured to run {}", line.program)));
        }
        let program = find(&line.program).ok_or_else(|| AttemptError::Refused(format!("there is no program {}", line.program)))?;
        let storage = |what: &'static str| move |error: io::Error| AttemptError::Storage(format!("cannot {what}: {error}"));
        let folder = tempfile::Builder::new().prefix(&name(held)).tempdir_in(&self.place).map_err(storage("make the folder of a command"))?;
        let place = match &line.folder {
            None => folder.path().to_owned(),
            Some(tree) => self.place_of(Path::new(OsStr::from_bytes(tree)))?,
        };
        let mut environment = environment(held, line, folder.path());
        if self.limits.writable.is_some() {
            // Where it would be without a word it may not write.
            environment.entry("TMPDIR".to_owned()).or_insert_with(|| folder.path().to_string_lossy().into_owned());
        }
        let order = Order {
            program,
            arguments: line.arguments.clone(),
            environment,
            folder: place,
            memory_bytes: self.limits.memory_bytes,
            // Its own folder; a project's only if the owner lets commands write there.
            writable: self.limits.writable.as_ref().map(|writable| writable.iter().cloned().chain([folder.path().to_owned()]).collect()),
        };
        let mut run = Run::start(&self.supervisor, &order).map_err(storage("start a command"))?;
        let mut log = Log { held, bytes: Vec::new(), bytes_max: line.output_bytes_max, dropped: 0, shown: 0, shown_at: Instant::now() };
        let ended = run.watch(&mut log, cancel, written).map_err(storage("watch a command"))?;
        log.show(true, written);
        match ended {
            _ if cancel.load(Ordering::Relaxed) => Err(AttemptError::Cancelled),
            Err(error) => Err(error),
            Ok(status) => {
                fs::write(self.log(held), &log.bytes).map_err(storage("keep the output of a command"))?;
                let end = CommandEnd { status, log: blobs::digest(&log.bytes), log_bytes: log.bytes.len() as u64, dropped_bytes: log.dropped };
                Ok(SparkOutput { ended: Some(end), ..SparkOutput::default() })
            }
        }
    }

    /// Of a tree that is on this machine's disk.
    fn place_of(&self, tree: &Path) -> Result<PathBuf, AttemptError> {
        let place = self.sight.place(tree).ok_or_else(|| AttemptError::Refused(format!("{} is not on its disk (--sources)", tree.display())))?;
        let open = Root::open(&place);
        open.map(|_| place.clone()).map_err(|error| AttemptError::Refused(format!("it cannot open {}: {error}", place.display())))
    }

    /// Where the output of an attempt lies until the master has it.
    pub fn log(&self, held: Held) -> PathBuf {
        self.place.join(format!("{}.log", name(held)))
    }

    /// The master has it.
    pub fn forget(&self, held: Held) {
        // Of an attempt that was no command there is none.
        let _ = fs::remove_file(self.log(held));
    }
}

fn name(Held { spark, attempt }: Held) -> String {
    format!("{}-{}.{}", spark.job, spark.number, attempt.0)
}

fn environment(Held { spark, attempt }: Held, line: &CommandLine, folder: &Path) -> BTreeMap<String, String> {
    let given = line.environment.clone();
    let home = folder.to_string_lossy().into_owned();
    let ours = [
        ("PATH", SEARCHED.to_owned()),
        ("HOME", home),
        ("BITACORA_JOB", spark.job.to_string()),
        ("BITACORA_SPARK", spark.number.to_string()),
        ("BITACORA_ATTEMPT", attempt.0.to_string()),
    ];
    ours.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(given).collect()
}

/// An absolute path as it is; a name without a folder where programs lie.
fn find(program: &str) -> Option<PathBuf> {
    let is_program = |path: &PathBuf| fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0);
    match program {
        _ if program.starts_with('/') => Some(PathBuf::from(program)).filter(is_program),
        _ if program.contains('/') => None,
        _ => SEARCHED.split(':').map(|folder| Path::new(folder).join(program)).find(is_program),
    }
}

/// What was written so far, and how much of it was shown.
struct Log {
    held: Held,
    bytes: Vec<u8>,
    bytes_max: u64,
    dropped: u64,
    shown: usize,
    shown_at: Instant,
}

impl Log {
    fn take(&mut self, bytes: &[u8]) {
        let room = (self.bytes_max.min(OUTPUT_BYTES_MAX) as usize).saturating_sub(self.bytes.len());
        let kept = bytes.len().min(room);
        self.bytes.extend_from_slice(&bytes[..kept]);
        self.dropped += (bytes.len() - kept) as u64;
    }

    /// Shows some of what is new, or at the end the last of it: whoever watches sees at least that.
    fn show(&mut self, is_end: bool, written: &mut dyn FnMut(Output)) {
        let new = self.bytes.len() - self.shown;
        if new == 0 || (!is_end && self.shown_at.elapsed() < SHOWN_EVERY) {
            return;
        }
        let part = &self.bytes[self.shown..self.shown + new.min(SHOWN_BYTES_MAX)];
        written(Output { spark: self.held.spark, attempt: self.held.attempt, offset: self.shown as u64, bytes: part.to_vec() });
        self.shown += part.len();
        self.shown_at = Instant::now();
    }
}

/// A supervisor that runs.
struct Run {
    supervisor: Child,
    output: ChildStdout,
}

impl Run {
    fn start(command: &ChildCommand, order: &Order) -> io::Result<Run> {
        let mut supervisor = Command::new(&command.program);
        supervisor.args(&command.arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // What a terminal sends to the agent is the agent's to pass on.
        let mut supervisor = children::start(supervisor.process_group(0))?;
        let output = supervisor.stdout.take().expect("it was asked for");
        let stdin = supervisor.stdin.as_mut().expect("it was asked for");
        write_message(stdin, order)?;
        Ok(Run { supervisor, output })
    }

    /// Until the command has ended: how, or why it could not begin.
    fn watch(&mut self, log: &mut Log, cancel: &AtomicBool, written: &mut dyn FnMut(Output)) -> io::Result<Result<ExitStatus, AttemptError>> {
        let mut ends_by: Option<Instant> = None;
        let status = loop {
            self.read(log, LOOK_EVERY)?;
            log.show(false, written);
            if let Some(status) = self.supervisor.try_wait()? {
                break status;
            }
            if cancel.load(Ordering::Relaxed) && ends_by.is_none() {
                drop(self.supervisor.stdin.take());
                ends_by = Some(Instant::now() + SUPERVISOR_MAX);
            }
            if ends_by.is_some_and(|time| time <= Instant::now()) {
                self.supervisor.kill()?;
            }
        };
        // What a process that left the group still writes is waited for by nobody.
        while self.read(log, Duration::ZERO)? {}
        let mut said = self.supervisor.stderr.take().expect("it was asked for");
        let answer = read_message(&mut said).map(|answer: Result<ExitStatus, String>| answer.map_err(AttemptError::Refused));
        if answer.is_err() || !status.success() {
            // It did not end what it stood over, whatever was said in its name.
            children::end_strays();
        }
        Ok(answer.ok().filter(|_| status.success()).unwrap_or_else(|| Err(AttemptError::Crashed(status.to_string()))))
    }

    /// Takes what is there, waiting for it at most so long. Answers whether there was anything.
    fn read(&mut self, log: &mut Log, wait: Duration) -> io::Result<bool> {
        let timeout = Timespec { tv_sec: 0, tv_nsec: wait.subsec_nanos().into() };
        let mut watched = [PollFd::new(&self.output, PollFlags::IN)];
        if poll(&mut watched, Some(&timeout)).unwrap_or(0) == 0 {
            return Ok(false);
        }
        let mut buffer = [0; READ_BYTES];
        let read = self.output.read(&mut buffer)?;
        if read == 0 && !wait.is_zero() {
            // All writers are gone; nothing is left but to wait for the supervisor.
            thread::sleep(LOOK_EVERY / 10);
        }
        log.take(&buffer[..read]);
        Ok(read > 0)
    }
}

/// The supervisor's whole life.
pub fn supervise() -> io::Result<()> {
    logging::ignore_signals()?;
    let order: Order = read_message(&mut io::stdin())?;
    children::adopt()?;
    let answer = match begin(&order) {
        Ok(child) => Ok(attend(&child)?),
        Err(error) => Err(format!("cannot run {}: {error}", order.program.display())),
    };
    write_message(&mut io::stderr(), &answer)
}

fn begin(order: &Order) -> io::Result<Child> {
    let output: OwnedFd = io::stdout().as_fd().try_clone_to_owned()?;
    started(order)?
        .env_clear()
        .envs(&order.environment)
        .current_dir(&order.folder)
        .stdin(Stdio::null())
        .stdout(Stdio::from(output.try_clone()?))
        .stderr(Stdio::from(output))
        .process_group(0)
        .spawn()
}

/// The program itself, or this one, which becomes it once it has given up what it may not have.
fn started(order: &Order) -> io::Result<Command> {
    let (memory, writable) = (order.memory_bytes.map(|bytes| format!("--memory={bytes}")), order.writable.as_deref());
    if memory.is_none() && writable.is_none() {
        let mut command = Command::new(&order.program);
        command.args(&order.arguments);
        return Ok(command);
    }
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(BECOME).args(memory);
    if let Some(writable) = writable {
        command.arg("--confined");
        for folder in writable {
            command.arg("--writable").arg(folder);
        }
    }
    command.arg("--").arg(&order.program).args(&order.arguments);
    Ok(command)
}

/// What a supervisor waits for.
enum Heard {
    Ended(io::Result<WaitStatus>),
    /// The agent wants the command to end, or is gone.
    StdinClosed,
}

/// Waits for the command or for the word to end it; then everything that it has started is ended.
fn attend(child: &Child) -> io::Result<ExitStatus> {
    let group = Pid::from_child(child);
    let (tx, heard) = mpsc::channel();
    let ended = tx.clone();
    // Neither is joined: what they wait for may never come, and they end with this process.
    thread::spawn(move || ended.send(Heard::Ended(descendants::wait_for(group))));
    thread::spawn(move || {
        let mut nothing = [0; 64];
        while io::stdin().read(&mut nothing).is_ok_and(|read| read > 0) {}
        tx.send(Heard::StdinClosed)
    });
    let status = wait_for_end(group, &heard)?;
    // Whatever it started and left behind; there may be nobody.
    let _ = kill_process_group(group, Signal::KILL);
    descendants::end_all();
    Ok(match status.terminating_signal() {
        Some(signal) => ExitStatus::Signal(signal),
        None => ExitStatus::Code(status.exit_status().unwrap_or(-1)),
    })
}

fn wait_for_end(group: Pid, heard: &mpsc::Receiver<Heard>) -> io::Result<WaitStatus> {
    let gone = || io::Error::other("the thread that waits for the command is gone");
    match heard.recv().map_err(|_| gone())? {
        Heard::Ended(status) => return status,
        Heard::StdinClosed => {}
    }
    let _ = kill_process_group(group, Signal::TERM);
    match heard.recv_timeout(MERCY) {
        Ok(Heard::Ended(status)) => return status,
        Ok(Heard::StdinClosed) | Err(_) => {}
    }
    let _ = kill_process_group(group, Signal::KILL);
    match heard.recv().map_err(|_| gone())? {
        Heard::Ended(status) => status,
        Heard::StdinClosed => Err(gone()),
    }
}
