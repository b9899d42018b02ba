//! The engine in a process of its own. A grammar is foreign code, and what it reads may be made to harm: whatever it does there, it
//! ends that process and no other, and finds no file to read.
//!
//! The child is this program again, started with arguments that its `main` leads to [`serve`]: a file's bytes in on stdin, its
//! record out on stdout, one after the other; what is said about them is MessagePack behind a length.

use std::{
    collections::VecDeque,
    io::{self, BufReader, BufWriter, Read, Write},
    os::{fd::AsFd, unix::process::ExitStatusExt},
    process::{Child as Process, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{self, SyncSender},
    },
    thread,
    time::{Duration, Instant},
};

use bitacora_core::wire::{
    record::FileSummary,
    task::{AttemptError, FileLimits},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{OFlags, fcntl_setfl},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    analysis::{AnalysisError, Engine, LanguageIndex},
    children, confine,
    pack::Written,
};

/// The largest message or text between parent and child.
const MESSAGE_BYTES_MAX: u32 = 256 << 20;
/// A record, and the names in it: as much as a walk may hold.
const RECORD_BYTES_MAX: u32 = 64 << 20;
/// A Rust program's status after a panic.
const PANICKED: i32 = 101;
/// Texts that a child has been given and not answered for: while it is at one, the next one is brought.
const AHEAD_MAX: usize = 4;
/// Between parent and child, each way: most files, and their records, are smaller.
const PIPE_BYTES: usize = 1 << 20;
/// Of what is read or written at once.
const READ_BYTES: usize = 64 << 10;
/// For a child that is busy, beyond the time that its file has.
const GRACE: Duration = Duration::from_secs(1);
/// How often the parent looks whether it should stop the child.
const LOOK_EVERY: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

/// How to start this program as a child.
#[derive(Clone, Debug)]
pub struct ChildCommand {
    pub program: std::path::PathBuf,
    pub arguments: Vec<std::ffi::OsString>,
}

impl ChildCommand {
    /// This very program with these arguments, whatever lies in its place by now: another engine would not say the same.
    pub fn of_this_program(arguments: Vec<std::ffi::OsString>) -> io::Result<ChildCommand> {
        let running = std::path::PathBuf::from("/proc/self/exe");
        let program = if running.exists() { running } else { std::env::current_exe()? };
        Ok(ChildCommand { program, arguments })
    }
}

/// Before the bytes of a text.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    language: String,
    limits: FileLimits,
    bytes: u32,
}

/// Before the bytes of a record and of its names: how many there are, or why there are none.
type Answer = Result<(u32, u32, FileSummary), AnalysisError>;

/// A record for a pack, and what is said of it; or why there is none.
pub type Made<'r> = Result<(Written<'r>, FileSummary), AnalysisError>;

/// A process that analyses one file after another. It ends with its owner.
pub struct Child {
    process: Process,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    /// Texts that it was given and that it has not answered for, and how long it may take for each.
    asked: VecDeque<Duration>,
    /// Since when it is at the first of them.
    since: Instant,
    /// As they were said last.
    record: Vec<u8>,
    names: Vec<u8>,
}

impl Child {
    pub fn start(command: &ChildCommand) -> Result<Child, AttemptError> {
        let storage = |error: io::Error| AttemptError::Storage(format!("cannot start a child process: {error}"));
        let mut process = Command::new(&command.program);
        process.args(&command.arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = children::start(&mut process).map_err(storage)?;
        let (stdin, stdout) = (process.stdin.take().expect("it was asked for"), process.stdout.take().expect("it was asked for"));
        widen(&stdin);
        widen(&stdout);
        // One that does not read must not keep us from hearing that nobody wants its answer.
        fcntl_setfl(&stdin, OFlags::NONBLOCK).map_err(|error| storage(error.into()))?;
        let stdout = BufReader::with_capacity(READ_BYTES, stdout);
        Ok(Child { process, stdin, stdout, asked: VecDeque::new(), since: Instant::now(), record: Vec::new(), names: Vec::new() })
    }

    /// Is it better to take an answer before another text is given? It would wait for its own answers to be taken.
    pub fn is_full(&self) -> bool {
        self.asked.len() >= AHEAD_MAX
    }

    /// Gives it a text. After an error there is no child any more, here and below.
    pub fn ask(&mut self, text: &[u8], language: LanguageIndex, limits: &FileLimits, cancel: &AtomicBool) -> Result<(), AttemptError> {
        debug_assert!(!self.is_full());
        // Of its own accord it ends a little after the file's time; a grammar that hangs never does.
        let allowed = Duration::from_micros(limits.wall_max.0).mul_f64(1.25) + GRACE;
        // Its reader takes what it is given, whatever it is at, once it has begun.
        let mut stdin = Patient { pipe: &mut self.stdin, cancel, until: Instant::now() + allowed };
        let given = write_message(&mut stdin, &Order { language: language.name().to_owned(), limits: *limits, bytes: text.len() as u32 });
        given.and_then(|()| length(text)).and_then(|_| stdin.write_all(text)).map_err(|error| self.end(&error, cancel))?;
        if self.asked.is_empty() {
            self.since = Instant::now();
        }
        self.asked.push_back(allowed);
        Ok(())
    }

    /// What came of the first text that it has not answered for. [`AttemptError::TimedOut`] where it hangs at that one.
    pub fn answer(&mut self, cancel: &AtomicBool) -> Result<Made<'_>, AttemptError> {
        // Whoever comes late for it gives it the time to say what it has.
        let until = (self.since + self.asked.pop_front().expect("whoever takes an answer has asked")).max(Instant::now() + GRACE);
        let mut stdout = Patient { pipe: &mut self.stdout, cancel, until };
        let answer = read_message::<Answer>(&mut stdout).and_then(|answer| match answer {
            Ok((record, names, summary)) => {
                if record.max(names) > RECORD_BYTES_MAX {
                    return Err(too_long());
                }
                read_exactly(&mut stdout, record, &mut self.record)?;
                read_exactly(&mut stdout, names, &mut self.names)?;
                let written = Written { record: &self.record, names: &self.names };
                if written.is_of(&summary) { Ok(Ok(summary)) } else { Err(io::Error::other("it has other names than symbols")) }
            }
            Err(refused) => Ok(Err(refused)),
        });
        self.since = Instant::now();
        match answer {
            Ok(made) => Ok(made.map(|summary| (Written { record: &self.record, names: &self.names }, summary))),
            // What cannot be read was not written by a child in its senses.
            Err(error) => Err(self.end(&error, cancel)),
        }
    }

    /// Why it ended, or was ended, when it did not answer.
    fn end(&mut self, error: &io::Error, cancel: &AtomicBool) -> AttemptError {
        if cancel.load(Ordering::Relaxed) {
            return AttemptError::Cancelled;
        }
        if error.kind() == io::ErrorKind::TimedOut {
            return AttemptError::TimedOut;
        }
        let status = self.process.kill().and_then(|()| self.process.wait());
        match status {
            // A signal or a panic is the work's doing; another status says that the child could not begin or answer.
            Ok(status) if status.signal().is_some() || status.code() == Some(PANICKED) => AttemptError::Crashed(describe(status)),
            Ok(status) => AttemptError::Storage(format!("a child process ended with {}: {error}", describe(status))),
            Err(error) => AttemptError::Storage(format!("cannot wait for a child process: {error}")),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended; what it was at nobody wants.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What fits need not be waited for at either end. Where the system has no room for that, it is waited for.
fn widen(pipe: impl AsFd) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = rustix::pipe::fcntl_setpipe_size(pipe, PIPE_BYTES);
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = pipe;
}

/// Reads or writes for as long as nobody has cancelled and there is time.
struct Patient<'a, Pipe> {
    pipe: &'a mut Pipe,
    cancel: &'a AtomicBool,
    until: Instant,
}

impl<Pipe> Patient<'_, Pipe> {
    fn check(&self) -> io::Result<()> {
        match () {
            () if self.cancel.load(Ordering::Relaxed) => Err(io::Error::other("cancelled")),
            () if Instant::now() >= self.until => Err(io::ErrorKind::TimedOut.into()),
            () => Ok(()),
        }
    }
}

impl Read for Patient<'_, BufReader<ChildStdout>> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.check()?;
            if !self.pipe.buffer().is_empty() || poll(&mut [PollFd::new(self.pipe.get_ref(), PollFlags::IN)], Some(&LOOK_EVERY))? > 0 {
                return self.pipe.read(buffer);
            }
        }
    }
}

impl Write for Patient<'_, ChildStdin> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            self.check()?;
            match self.pipe.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    poll(&mut [PollFd::new(&*self.pipe, PollFlags::OUT)], Some(&LOOK_EVERY))?;
                }
                written => return written,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("signal {signal}"),
        (None, Some(code)) => format!("status {code}"),
        (None, None) => "no status".to_owned(),
    }
}

/// The child's whole life: one file after another, until its parent is gone.
pub fn serve() -> io::Result<()> {
    crate::logging::ignore_signals()?;
    // Where the kernel cannot confine it, it is still a process of its own.
    confine::to_nothing();
    confine::end_with_parent();
    // Read beside the work, so that the parent never waits with the next text.
    let (texts, asked) = mpsc::sync_channel(AHEAD_MAX);
    let reading = thread::spawn(move || read_orders(&mut io::stdin().lock(), &texts));
    let mut output = BufWriter::with_capacity(READ_BYTES, io::stdout().lock());
    let (mut engine, mut record, mut names) = (Engine::default(), Vec::new(), Vec::new());
    for (language, limits, text) in asked {
        let answer: Answer = match engine.analyse(&text, language, &limits, &AtomicBool::new(false)) {
            Ok(found) => {
                Written::write(&found, &mut record, &mut names);
                Ok((length(&record)?, length(&names)?, found.summary()))
            }
            Err(refused) => Err(refused),
        };
        write_message(&mut output, &answer)?;
        if answer.is_ok() {
            output.write_all(&record)?;
            output.write_all(&names)?;
        }
        output.flush()?;
    }
    reading.join().unwrap_or_else(|_| Err(io::Error::other("the reading thread panicked")))
}

fn read_orders(input: &mut impl Read, texts: &SyncSender<(LanguageIndex, FileLimits, Vec<u8>)>) -> io::Result<()> {
    loop {
        let Order { language, limits, bytes } = match read_message(input) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            order => order?,
        };
        let language = LanguageIndex::by_name(&language).ok_or_else(|| io::Error::other("an unknown language"))?;
        let mut text = Vec::new();
        read_exactly(input, bytes, &mut text)?;
        // Whoever would take it has ended, and this process with it.
        let _ = texts.send((language, limits, text));
    }
}

pub(crate) fn write_message(out: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    let bytes = rmp_serde::to_vec(message).map_err(io::Error::other)?;
    out.write_all(&length(&bytes)?.to_le_bytes())?;
    out.write_all(&bytes)
}

pub(crate) fn read_message<M: DeserializeOwned>(input: &mut impl Read) -> io::Result<M> {
    let mut length = [0; 4];
    input.read_exact(&mut length)?;
    let mut bytes = Vec::new();
    read_exactly(input, u32::from_le_bytes(length), &mut bytes)?;
    rmp_serde::from_slice(&bytes).map_err(io::Error::other)
}

fn length(bytes: &[u8]) -> io::Result<u32> {
    u32::try_from(bytes.len()).ok().filter(|length| *length <= MESSAGE_BYTES_MAX).ok_or_else(too_long)
}

fn read_exactly(input: &mut impl Read, bytes: u32, buffer: &mut Vec<u8>) -> io::Result<()> {
    if bytes > MESSAGE_BYTES_MAX {
        return Err(too_long());
    }
    buffer.clear();
    buffer.resize(bytes as usize, 0);
    input.read_exact(buffer)
}

fn too_long() -> io::Error {
    io::Error::other("the message is too long")
}
