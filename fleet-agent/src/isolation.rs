//! A spark in a process of its own, because an earlier attempt took its process with it.
//!
//! The child is this program again, started with arguments that its `main` leads to [`serve_one`]: one task in on stdin,
//! one output back on stdout, both MessagePack behind a length.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    io::{self, Read, Write},
    os::unix::{ffi::OsStrExt, process::ExitStatusExt},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use bitacora_core::{
    paths::RelativePath,
    wire::{
        message::Held,
        task::{Analysis, AttemptError, SparkOutput},
    },
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    cache::{Cache, CacheIndex},
    confine,
    work::{CONTENT_GONE, Fetch, Worker, with_cause},
};

/// The largest task or output between parent and child.
const MESSAGE_BYTES_MAX: u32 = 256 << 20;
/// A Rust program's status after a panic.
const PANICKED: i32 = 101;
/// How often the parent looks whether it should stop the child.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How to start this program as a child.
#[derive(Clone, Debug)]
pub struct ChildCommand {
    pub program: std::path::PathBuf,
    pub arguments: Vec<std::ffi::OsString>,
}

/// What a child is given: a spark of files.
#[derive(Debug, Serialize, Deserialize)]
struct Batch {
    held: Held,
    analysis: Analysis,
}

/// Runs a task whose files are elsewhere: their contents are laid into a folder of their own for the child to read.
pub fn run_elsewhere(
    command: &ChildCommand,
    held: Held,
    analysis: &Analysis,
    fetch: &Fetch,
    folder: &Path,
    cancel: &AtomicBool,
) -> Result<SparkOutput, AttemptError> {
    let storage = |error: io::Error| AttemptError::Storage(format!("cannot keep the contents of a spark: {error}"));
    let place = tempfile::Builder::new().prefix("spark-").tempdir_in(folder).map_err(storage)?;
    let mut here = Analysis { root: place.path().as_os_str().as_bytes().to_vec(), ..analysis.clone() };
    let mut gone = BTreeSet::new();
    for file in &mut here.files {
        // One at a time: the child reads them from the disk, so none need be in memory.
        let contents = file.content.map(|name| fetch(&[name])).transpose().map_err(|error| AttemptError::Unsupplied(with_cause(&error)))?;
        file.path = RelativePath::new(file.index.to_string().into_bytes()).expect("a number is a path");
        match contents.map(|mut contents| contents.pop().flatten()) {
            Some(Some(bytes)) => std::fs::write(place.path().join(file.index.to_string()), bytes).map_err(storage)?,
            Some(None) => drop(gone.insert(file.index)),
            // It had vanished when it was listed, and the child says so.
            None => {}
        }
    }
    let mut output = run(command, held, here, cancel)?;
    for outcome in &mut output.files {
        // How it lay in that folder says nothing about the file; nor does that it does not lie there.
        outcome.stat = None;
        if gone.contains(&outcome.index) {
            outcome.result = CONTENT_GONE;
        }
    }
    Ok(output)
}

/// Runs a task in a child and waits for it.
pub fn run(command: &ChildCommand, held: Held, analysis: Analysis, cancel: &AtomicBool) -> Result<SparkOutput, AttemptError> {
    let mut child = Command::new(&command.program)
        .args(&command.arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| AttemptError::Storage(format!("cannot start a child process: {error}")))?;
    let batch = Batch { held, analysis };
    let mut stdin = child.stdin.take().expect("it was asked for");
    let mut stdout = child.stdout.take().expect("it was asked for");
    std::thread::scope(|scope| {
        let feed = scope.spawn(move || write_message(&mut stdin, &batch));
        let read = scope.spawn(move || read_message::<Result<SparkOutput, AttemptError>>(&mut stdout));
        let status = wait(&mut child, cancel).map_err(|error| {
            // Without its end the two threads would wait for ever.
            let _ = child.kill();
            AttemptError::Storage(format!("cannot wait for a child process: {error}"))
        })?;
        // A child that died early leaves a broken pipe; its status says why.
        let _ = feed.join();
        let answer = read.join().expect("reading does not panic");
        match (status.success(), answer) {
            (true, Ok(answer)) => answer,
            _ if cancel.load(Ordering::Relaxed) => Err(AttemptError::Cancelled),
            // A signal or a panic is the work's doing; another status says that the child could not begin or answer.
            _ if status.signal().is_some() || status.code() == Some(PANICKED) => Err(AttemptError::Crashed(describe(status))),
            _ => Err(AttemptError::Storage(format!("a child process ended with {}", describe(status)))),
        }
    })
}

fn wait(child: &mut Child, cancel: &AtomicBool) -> io::Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if cancel.load(Ordering::Relaxed) {
            child.kill()?;
            return child.wait();
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("signal {signal}"),
        (None, Some(code)) => format!("status {code}"),
        (None, None) => "no status".to_owned(),
    }
}

/// The child's side: one task from stdin, its output to stdout.
pub fn serve_one(cache: &Cache) -> io::Result<()> {
    let Batch { held, analysis } = read_message(&mut io::stdin().lock())?;
    // What is parsed may be made to harm us; where the kernel cannot confine it, it is still a process of its own.
    confine::to_folders(Path::new(OsStr::from_bytes(&analysis.root)), cache.packs().folder());
    let known = if analysis.use_cache { cache.index().map_err(|error| io::Error::other(with_cause(&error)))? } else { CacheIndex::default() };
    let result = Worker::new(cache, &known, None).run(held, &analysis, &AtomicBool::new(false), &mut |_| {});
    write_message(&mut io::stdout().lock(), &result)
}

pub(crate) fn write_message(out: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    let bytes = rmp_serde::to_vec(message).map_err(io::Error::other)?;
    let length = u32::try_from(bytes.len()).ok().filter(|length| *length <= MESSAGE_BYTES_MAX).ok_or_else(|| io::Error::other("the message is too long"))?;
    out.write_all(&length.to_le_bytes())?;
    out.write_all(&bytes)?;
    out.flush()
}

pub(crate) fn read_message<M: DeserializeOwned>(input: &mut impl Read) -> io::Result<M> {
    let mut length = [0; 4];
    input.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length);
    if length > MESSAGE_BYTES_MAX {
        return Err(io::Error::other("the message is too long"));
    }
    let mut bytes = vec![0; length as usize];
    input.read_exact(&mut bytes)?;
    rmp_serde::from_slice(&bytes).map_err(io::Error::other)
}
