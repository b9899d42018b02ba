//! The master that a command needs which may be somebody's first: the one that serves the data directory, or one that is
//! started for it and outlives it.

use std::{
    env,
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};

use super::Context;
use crate::{
    control::{self, Answer, Request},
    journal::Journal,
};

/// Until one that was started answers: it reads its journal first.
const START_MAX: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// One that does not answer is asked so often before it is taken for one that is there.
const ASKED_MAX: u32 = 10;
/// How long it stays when there is nothing to do and nobody looks.
const IDLE_EXIT: &str = "10m";
/// What it says, in the data directory.
const LOG: &str = "serve.log";
/// A log that is larger is begun anew; the one before it is kept.
const LOG_BYTES_MAX: u64 = 1 << 20;
/// Of what it said last, for people.
const LAST_WORDS_BYTES_MAX: u64 = 4096;

/// For commands with which a fleet begins. A master elsewhere is there or is not.
pub(super) fn have_master_here(context: &Context) -> anyhow::Result<()> {
    match context.remote {
        Some(_) => Ok(()),
        None => have_master(context, &env::current_exe().context("cannot find this program on disk")?),
    }
}

/// A plan of such a command, and the master that it would start.
pub(super) fn with_master(context: &Context, plan: String) -> String {
    if has_master(context) { plan } else { format!("start a master, and {plan}") }
}

/// Is there somebody to ask?
pub(super) fn has_master(context: &Context) -> bool {
    context.remote.is_some() || is_served(context)
}

/// Returns once there is somebody to ask.
pub(super) fn have_master(context: &Context, program: &Path) -> anyhow::Result<()> {
    if is_served(context) {
        return Ok(());
    }
    context.streams.note("no bitacora serves here: one is started, which stays for as long as there is something to do");
    let root = fs::canonicalize(context.data.root()).with_context(|| format!("cannot find {}", context.data.root().display()))?;
    let was_told = Journal::read(&context.data.journal())?.is_some_and(|ledger| ledger.role.is_some());
    let role: &[&str] = if was_told { &[] } else { &["--role", "hybrid"] };
    let Started::Failed(reason) = start(context, program, &root, role)? else { return Ok(()) };
    bail!(
        "no master could be started: {reason}; {} has what it said; `bitacora serve` starts one by hand, and `bitacora --no-start` opens the dashboard without one",
        root.join(LOG).display()
    );
}

/// One that runs a command, and ends with it, serves nobody.
fn is_served(context: &Context) -> bool {
    for _ in 0..ASKED_MAX {
        match control::ask(&context.data.control(), &Request::Snapshot) {
            Ok(Some(Answer::Snapshot(fleet))) => return fleet.listens.is_some(),
            Ok(None) => return false,
            // It may have ended while it was asked.
            Ok(Some(_)) | Err(_) => std::thread::sleep(LOOK_EVERY),
        }
    }
    // Somebody is there; what is wrong with it the dashboard says.
    true
}

enum Started {
    Answers,
    /// With its last words.
    Failed(String),
}

fn start(context: &Context, program: &Path, root: &Path, arguments: &[&str]) -> anyhow::Result<Started> {
    let log = Log::open(root)?;
    let mut command = Command::new(program);
    command.arg("--data-dir").arg(root).arg("serve").args(arguments).args(["--idle-exit", IDLE_EXIT, "--detached", "--log", "error"]);
    // So that it keeps no folder from being removed.
    command.current_dir("/").stdin(Stdio::null()).stdout(log.file.try_clone()?).stderr(log.file.try_clone()?);
    let mut child = command.spawn().context("cannot start a master")?;
    let begun = Instant::now();
    while begun.elapsed() < START_MAX {
        if matches!(control::ask(&context.data.control(), &Request::Nodes), Ok(Some(_))) {
            dismiss_second(context, &mut child);
            return Ok(Started::Answers);
        }
        if let Some(status) = child.try_wait()? {
            return Ok(Started::Failed(log.last_words().unwrap_or_else(|| format!("it ended with {status}"))));
        }
        std::thread::sleep(LOOK_EVERY);
    }
    end(&mut child);
    Ok(Started::Failed(format!("it did not answer in {} seconds", START_MAX.as_secs())))
}

/// Two dashboards may have been opened at the same time: the master that came second would wait for the first to end.
fn dismiss_second(context: &Context, child: &mut Child) {
    if is_served(context) && context.data.holder().is_some_and(|holder| holder != child.id()) {
        end(child);
    }
}

fn end(child: &mut Child) {
    // It may have ended by itself.
    let _ = child.kill();
    let _ = child.wait();
}

/// What masters said that were started like this.
struct Log {
    file: File,
    path: PathBuf,
    /// From here on by the one that is started now.
    begin: u64,
}

impl Log {
    fn open(root: &Path) -> anyhow::Result<Log> {
        let path = root.join(LOG);
        if fs::metadata(&path).is_ok_and(|found| found.len() > LOG_BYTES_MAX) {
            // Where that is not possible it grows on.
            let _ = fs::rename(&path, path.with_extension("log.old"));
        }
        let file = File::options().create(true).append(true).open(&path).with_context(|| format!("cannot write {}", path.display()))?;
        let begin = file.metadata()?.len();
        Ok(Log { file, path, begin })
    }

    /// The last line, if it said any.
    fn last_words(&self) -> Option<String> {
        let mut file = File::open(&self.path).ok()?;
        let length = file.metadata().ok()?.len();
        file.seek(SeekFrom::Start(self.begin.max(length.saturating_sub(LAST_WORDS_BYTES_MAX)))).ok()?;
        let mut bytes = Vec::new();
        file.take(LAST_WORDS_BYTES_MAX).read_to_end(&mut bytes).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        text.lines().rev().find(|line| !line.trim().is_empty()).map(|line| line.trim().trim_start_matches("error: ").to_owned())
    }
}
