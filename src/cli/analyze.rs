//! `bitacora analyze PATH`.

mod elsewhere;
mod kinds;
mod progress;
mod trial;

use std::{
    collections::HashSet,
    ffi::OsStr,
    io::Write,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use bitacora_core::{
    fleet::{JobFailure, JobStatus, JobType, Ledger, NodeSelector, Notice, Project, Settings, Submission},
    ids::{Digest, JobId},
    time::Span,
    wire::task::FileLimits,
};
use clap::Args;
use fleet_agent::work::with_cause;

pub(super) use self::elsewhere::ReportJob;
pub(super) use self::kinds::{PlacementKind, PriorityKind};
pub(super) use self::progress::{bar, show};
use self::{
    kinds::{JobKind, PartitionKind},
    progress::{Followed, follow},
};
use super::{
    Context,
    manner::Trial,
    output::{Document, Sink, UsageError, note_lacking},
    size,
    waits::LOOK_EVERY,
};
use crate::{
    control::{Answer, Progress, Request, Wish, this_user},
    exit::Exit,
    journal::Journal,
    manifest::{Manifest, Overview},
    master::{self, Master, Watched},
    preparation::{self, PreparationError, Prepared},
    report::{AnalysisFormat, Format, ctags::Tags, html, markdown, table, text},
    result::{StoredResult, find_project, read_manifest},
    scan::Scan,
    selection::Selection,
};

/// Files that were not analysed and are named beside a report that has no place for them.
const FAILURES_NOTED_MAX: usize = 20;
/// A year.
pub(super) const TIMEOUT_SECONDS_MAX: u64 = 365 * 24 * 3600;
/// Positions in a file have 32 bits, and a syntax tree takes some thirty times the file's size.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// Analyses a source tree: languages, lines, complexity, symbols, imports.
///
/// Files that did not change since the last time are not read again. Interrupt it at any moment: the same command
/// goes on where it was.
#[derive(Args)]
pub(super) struct Analyze {
    /// The folder to analyse, or the name of a project that was analysed before
    path: PathBuf,
    /// What to do; without it full-analysis, and partial-analysis with --only
    #[arg(long, value_name = "TYPE")]
    job: Option<JobKind>,
    /// A file, a folder or a glob in the tree: only what it names is looked at, the rest stays as it was. May be repeated
    #[arg(long, value_name = "GLOB")]
    only: Vec<String>,
    /// How the files are cut into sparks
    #[arg(long, default_value = "intelligent", value_name = "STRATEGY")]
    partition: PartitionKind,
    /// On which nodes of a fleet the sparks go
    #[arg(long, default_value = "intelligent", value_name = "STRATEGY")]
    placement: PlacementKind,
    /// Only on these nodes: labels KEY=VALUE or KEY, all of them, or names, any of them; parted by commas
    #[arg(long, value_name = "SEL")]
    nodes: Option<NodeSelector>,
    #[arg(long, default_value = "normal", value_name = "PRIORITY")]
    priority: PriorityKind,
    /// Worker threads; as many as there are cores if not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Option<u32>,
    /// Larger files are skipped as oversized: a number of bytes, or one and K, M or G; 5M if not given
    #[arg(long, value_name = "SIZE", value_parser = file_size)]
    max_file_bytes: Option<u64>,
    /// Gives the job up after so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=TIMEOUT_SECONDS_MAX))]
    timeout: Option<u64>,
    /// Has the master that serves do it, prints the job's id and does not wait
    #[arg(long, conflicts_with_all = ["output", "out"])]
    detach: bool,
    /// Reads and analyses every file again
    #[arg(long)]
    no_cache: bool,
    #[command(flatten)]
    trial: Trial,
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<AnalysisFormat>,
    /// Writes the report to a file, which appears when it is whole
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What one file may have.
fn file_size(text: &str) -> Result<u64, String> {
    let bytes = size::bytes(text)?;
    if (1..=FILE_BYTES_MAX).contains(&bytes) { Ok(bytes) } else { Err(format!("a file has 1 to {FILE_BYTES_MAX} bytes")) }
}

fn note_failures(context: &Context, overview: &Overview) {
    for (path, reason) in overview.failed.iter().take(FAILURES_NOTED_MAX) {
        context.streams.note(&format!("not analysed: {}: {}", path.to_text(), reason.describe()));
    }
    if let Some(more @ 1..) = overview.failed.len().checked_sub(FAILURES_NOTED_MAX) {
        context.streams.note(&format!("and {more} more of the files were not analysed; -o json names all of them"));
    }
}

/// The signal that came, or zero.
type Signal = Arc<AtomicUsize>;

/// While this lives, the first signal asks to stop in good order; the second one, and any after its end, ends the
/// process as it would have without us.
struct Signals {
    latest: Signal,
    armed: Arc<AtomicBool>,
}

impl Analyze {
    /// Fills the cache with what is not known of a tree, and reports nothing.
    pub(super) fn warming(path: PathBuf, nodes: Option<NodeSelector>, timeout: Option<u64>, trial: Trial) -> Analyze {
        Analyze { job: Some(JobKind::CacheWarming), nodes, timeout, trial, ..Analyze::of(path) }
    }

    /// As nobody has asked for anything special.
    fn of(path: PathBuf) -> Analyze {
        Analyze {
            path,
            job: None,
            only: Vec::new(),
            partition: PartitionKind::Intelligent,
            placement: PlacementKind::Intelligent,
            nodes: None,
            priority: PriorityKind::Normal,
            threads: None,
            max_file_bytes: None,
            timeout: None,
            detach: false,
            no_cache: false,
            trial: Trial::default(),
            output: None,
            out: None,
        }
    }

    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let job_type = self.job_type()?;
        if self.trial.dry_run {
            return self.tell(context, job_type);
        }
        // Opened first, so that hours of work do not end in a folder that is not there.
        let mut sink = Sink::open(self.out.as_deref())?;
        if context.remote.is_some() {
            return self.run_elsewhere(context, job_type, sink);
        }
        let mut told = false;
        while context.data.is_served() {
            match self.hand_over(context, job_type)? {
                HandedOver::Detached(job) => {
                    writeln!(sink, "{job}")?;
                    sink.close()?;
                    return Ok(Exit::Ok);
                }
                HandedOver::Over(ended) => return self.conclude(context, sink, *ended),
                HandedOver::Lost => {
                    context.streams.note("the master that had the job is gone; the same command goes on from here");
                    return Ok(Exit::Unreachable);
                }
                HandedOver::NotBegun(answer) => return Ok(context.streams.conclude(&answer)),
                HandedOver::NotTaken if told => std::thread::sleep(LOOK_EVERY),
                HandedOver::NotTaken => {
                    context.streams.note(&format!("waiting for another bitacora on {} to end", context.data.root().display()));
                    told = true;
                }
            }
        }
        self.run_alone(context, job_type, sink)
    }

    /// Where nobody serves this process is master and agent itself.
    fn run_alone(&self, context: &Context, job_type: JobType, sink: Sink) -> anyhow::Result<Exit> {
        self.check_alone()?;
        let mut master = Master::open(&context.data, Settings::for_one_command(), |holder| {
            context.streams.note(&format!("waiting for another bitacora (process {holder}) on {} to end", context.data.root().display()));
        })?;
        let begun = Instant::now();
        let root = self.root(master.ledger())?;
        let selection = self.selection(&root)?;
        let project = master.project_at(root.as_os_str().as_bytes())?;
        let wish = self.wish(&root, job_type);
        let threads = self.threads();
        let prepared = preparation::prepare(&context.data, &wish, &master.ledger().projects[&project], None, threads as usize, master::now());
        let Prepared { scan, files } = match prepared {
            Err(nothing @ PreparationError::NothingSelected) => {
                context.streams.note(&nothing.to_string());
                return Ok(Exit::NoMatch);
            }
            prepared => prepared?,
        };
        let (scan, bytes) = (Arc::new(scan), files.iter().map(|file| file.size).sum::<u64>());
        if !files.is_empty() {
            if let Some(advice) = assigned_elsewhere(&master.ledger().projects[&project]) {
                context.streams.note(&advice);
                return Ok(Exit::Unreachable);
            }
            master.start_agent(threads, std::env::current_exe().context("cannot find this program's own file")?)?;
        }
        let spec = preparation::spec(wish, project, &scan);
        let notices = master.submit(this_user(), Submission { spec, files }, Arc::clone(&scan))?;
        let job = notices.iter().find_map(accepted).expect("a job for a project that exists is accepted");
        let signals = Signals::watch()?;
        let bytes = bytes.saturating_sub(finished(master.ledger(), job));
        match self.watch(context, &mut master, job, &signals.latest)? {
            Watched::Over => drop(signals),
            Watched::Stopped => {
                context.streams.note("interrupted; the same command goes on from here");
                return Ok(signals.exit());
            }
        }
        let spent = Spent { bytes, unchanged: scan.unchanged, elapsed: begun.elapsed() };
        let (ledger, base) = (master.ledger().clone(), scan.base());
        // A report may be read slowly, `| less`: nobody has to wait for its end.
        drop(master);
        let known = Arc::into_inner(scan).filter(|scan| scan.unchanged).and_then(Scan::into_base);
        self.conclude(context, sink, Ended { ledger, job, base, known, selection, spent, otherwise: Exit::Failure })
    }

    /// Does it make sense where nobody serves?
    fn check_alone(&self) -> Result<(), UsageError> {
        let wrong = |text: &str| Err(UsageError(text.to_owned()));
        if self.detach {
            return wrong("--detach needs a bitacora that serves, which goes on with the job; start one with `bitacora serve`");
        }
        if self.nodes.is_some() {
            return wrong("--nodes is for a fleet, and no bitacora serves one from here; start one with `bitacora serve`");
        }
        Ok(())
    }

    /// Has the master that serves this data directory do it.
    fn hand_over(&self, context: &Context, job_type: JobType) -> anyhow::Result<HandedOver> {
        let begun = Instant::now();
        let before = Journal::read(&context.data.journal())?.unwrap_or_default();
        let root = self.root(&before)?;
        let selection = self.selection(&root)?;
        let base = before.projects.values().find(|project| project.root == root.as_os_str().as_bytes()).and_then(|project| project.history.last());
        let wish = self.wish(&root, job_type);
        let submitted = match context.ask(&Request::Analyse(wish)) {
            // A link that breaks is a master that just ended with its own command.
            Err(_) | Ok(None | Some(Answer::Busy)) => return Ok(HandedOver::NotTaken),
            Ok(Some(Answer::Submitted(submitted))) => submitted,
            Ok(Some(answer @ (Answer::Unknown(_) | Answer::Refused(_)))) => return Ok(HandedOver::NotBegun(answer)),
            Ok(Some(_)) => bail!("the master answered something else"),
        };
        if self.detach {
            return Ok(HandedOver::Detached(submitted.job));
        }
        if let Followed::Lost = follow(context, submitted.job) {
            return Ok(HandedOver::Lost);
        }
        let ledger = Journal::read(&context.data.journal())?.unwrap_or_default();
        let bytes = submitted.bytes.saturating_sub(finished(&before, submitted.job));
        let spent = Spent { bytes, unchanged: submitted.unchanged, elapsed: begun.elapsed() };
        let base = base.map(|base| base.manifest);
        Ok(HandedOver::Over(Box::new(Ended { ledger, job: submitted.job, base, known: None, selection, spent, otherwise: Exit::RemoteFailed })))
    }

    fn limits(&self) -> FileLimits {
        let limits = FileLimits::default();
        FileLimits { bytes_max: self.max_file_bytes.unwrap_or(limits.bytes_max), ..limits }
    }

    fn selection(&self, root: &Path) -> Result<Option<Selection>, UsageError> {
        let selection = (!self.only.is_empty()).then(|| Selection::new(root, &self.only));
        selection.transpose().map_err(|error| UsageError(with_cause(&error)))
    }

    fn job_type(&self) -> Result<JobType, UsageError> {
        match (self.job, self.only.is_empty()) {
            (None, true) => Ok(JobType::FullAnalysis),
            (None, false) => Ok(JobType::PartialAnalysis),
            (Some(JobKind::PartialAnalysis), true) => Err(UsageError("partial-analysis needs to know of what: say --only PATH or GLOB".to_owned())),
            (Some(kind), false) if kind != JobKind::PartialAnalysis => Err(UsageError("--only goes with the job type partial-analysis alone".to_owned())),
            (Some(kind), _) => kind.job_type(),
        }
    }

    /// A folder, or the folder of a project of that name.
    pub(super) fn root(&self, ledger: &Ledger) -> anyhow::Result<PathBuf> {
        let name = self.path.to_string_lossy();
        let known = || find_project(ledger, Some(&name)).ok().map(|(_, project)| PathBuf::from(OsStr::from_bytes(&project.root)));
        let root = match self.path.exists() {
            true => std::fs::canonicalize(&self.path).with_context(|| format!("cannot resolve {}", self.path.display()))?,
            false => known().ok_or_else(|| UsageError(format!("there is no folder {name} and no project of that name")))?,
        };
        if !root.exists() {
            let advice = "put it back, or `bitacora project rm` forgets the project";
            return Err(UsageError(format!("the folder of the project {name}, {}, is gone; {advice}", root.display())).into());
        }
        if !root.is_dir() {
            return Err(UsageError(format!("{} is not a folder; give the folder that holds it, and --only for this file alone", root.display())).into());
        }
        Ok(root)
    }

    fn threads(&self) -> u32 {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32);
        self.threads.unwrap_or(cores)
    }

    fn wish(&self, root: &Path, job_type: JobType) -> Wish {
        Wish {
            root: root.as_os_str().as_bytes().to_vec(),
            job_type,
            priority: self.priority.into(),
            partitioning: self.partition.into(),
            placement: self.placement.into(),
            limits: self.limits(),
            use_cache: !self.no_cache,
            timeout: self.timeout.map(Span::from_secs),
            selection: self.only.clone(),
            after: Vec::new(),
            nodes: self.nodes.clone().unwrap_or_default(),
        }
    }

    fn watch(&self, context: &Context, master: &mut Master, job: JobId, signal: &Signal) -> anyhow::Result<Watched> {
        let bar = bar(context);
        let watched = master.run(job, |view| {
            show(&bar, &Progress::of(view));
            signal.load(Ordering::Relaxed) != 0
        });
        bar.finish_and_clear();
        Ok(watched?)
    }

    /// Says how the job ended, and reports its result.
    fn conclude(&self, context: &Context, mut sink: Sink, ended: Ended) -> anyhow::Result<Exit> {
        let Ended { ledger, job, base, known, selection, spent, otherwise } = ended;
        let Some(over) = ledger.jobs.get(&job) else { bail!("job {job} was forgotten before its report could be written") };
        if over.status != JobStatus::Completed {
            let reason = if over.reason.is_empty() { String::new() } else { format!(": {}", over.reason) };
            context.streams.note(&format!("job {job} is {}{reason}; `bitacora job explain {job}` says more", over.status.name()));
            return Ok(if over.failure == JobFailure::TimedOut { Exit::TimedOut } else { otherwise });
        }
        let project =
            over.spec.project.and_then(|project| ledger.projects.get(&project)).context("the project was removed before its report could be written")?;
        // Another job may have ended since; the same result again stands under the later job's name.
        let of_job = project.history.iter().rev().find(|result| result.job == job);
        let last = of_job.or(project.history.last()).expect("a completed job leaves a result");
        let manifest = known.map_or_else(|| read_manifest(&context.data, last.manifest), Ok)?;
        let listed = match (selection, over.spec.job_type) {
            (Some(selection), _) => Listed::Selected(selection),
            (None, JobType::IncrementalAnalysis) => {
                // One that is gone has nothing in common with the new one.
                let base = base.and_then(|base| read_manifest(&context.data, base).ok());
                Listed::Changed(manifest.changed_since(base.as_ref()))
            }
            (None, _) => Listed::All,
        };
        let overview = match &listed {
            Listed::Selected(selection) => manifest.overview_of(|path| selection.includes(path))?,
            Listed::All | Listed::Changed(_) => manifest.overview()?,
        };
        if overview.totals.files == 0 {
            context.streams.note("no file of a known language was found; hidden files and what .gitignore and .ignore name are left out");
        }
        let result = StoredResult::open(&context.data, manifest)?.with_holders_of(&ledger);
        if !self.names_failures(context) {
            note_failures(context, &overview);
        }
        let target = || self.out.as_deref().map_or_else(|| "cannot write the report".to_owned(), |path| format!("cannot write {}", path.display()));
        let root = Path::new(OsStr::from_bytes(&project.root));
        let told = Told { project: &project.name, root, overview: &overview, spent, listed };
        let whole = self.write(context, &mut sink, result, &told).with_context(target)?;
        sink.close().with_context(target)?;
        Ok(if whole && overview.failed.is_empty() { Exit::Ok } else { Exit::Partial })
    }

    fn format(&self, context: &Context) -> AnalysisFormat {
        AnalysisFormat::or_for(self.output, context.streams.stdout_is_terminal && self.out.is_none())
    }

    /// Where the report is written to, or would be.
    fn folder_of_report(&self) -> anyhow::Result<PathBuf> {
        let folder = self.out.as_deref().and_then(Path::parent).filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        folder.canonicalize().with_context(|| format!("cannot resolve {}", folder.display()))
    }

    /// Does the report itself name the files that were not analysed?
    fn names_failures(&self, context: &Context) -> bool {
        self.job != Some(JobKind::CacheWarming) && !matches!(self.format(context), AnalysisFormat::Common(Format::Plain | Format::Name) | AnalysisFormat::Ctags)
    }

    /// Answers with whether the report is whole.
    fn write(&self, context: &Context, sink: &mut Sink, result: StoredResult, told: &Told<'_>) -> anyhow::Result<bool> {
        let overview = told.overview;
        if self.job == Some(JobKind::CacheWarming) {
            return Ok(true);
        }
        let format = match self.format(context) {
            AnalysisFormat::Common(format) => format,
            AnalysisFormat::Markdown => {
                markdown::summary(sink, told.project, overview)?;
                return Ok(true);
            }
            AnalysisFormat::Html => {
                html::summary(sink, told.project, overview)?;
                return Ok(true);
            }
            AnalysisFormat::Ctags => {
                let (mut tags, mut result) = (Tags::for_file_in(&self.folder_of_report()?, told.root), result);
                let lacking = result.each(result.files(|path| told.listed.includes(path))?, |path, record| tags.add(path, record))?;
                tags.write(sink)?;
                note_lacking(context, told.project, &result, &lacking);
                return Ok(lacking.is_empty());
            }
        };
        match format {
            format @ (Format::Table | Format::Wide) => {
                table::summary(sink, overview, format == Format::Wide)?;
                writeln!(sink, "\n {}", told.spent.describe(overview))?;
            }
            Format::Plain => table::languages(sink, overview, true, true)?,
            Format::Name => {
                for row in result.manifest.rows().filter(|row| row.is_analysed() && told.listed.includes(row.path_bytes())) {
                    sink.name(row.path_bytes())?;
                }
            }
            format @ (Format::Json | Format::Ndjson) => {
                let detailed = self.job != Some(JobKind::MetricsCalculation);
                let document = Document { project: told.project, overview, detailed, lines: format == Format::Ndjson };
                return document.write(context, sink, result, |path| told.listed.includes(path));
            }
        }
        Ok(true)
    }
}

/// Why this process may run nothing of a project; `None` if it may.
fn assigned_elsewhere(project: &Project) -> Option<String> {
    let (name, nodes) = (&project.name, &project.nodes);
    let advice = || format!("start one with `bitacora serve`, or analyse it here after `bitacora project assign {name}`, which assigns it to no nodes");
    (!nodes.is_empty()).then(|| format!("project {name} is assigned to nodes ({nodes}), and no bitacora serves a fleet from here; {}", advice()))
}

/// Bytes of the sparks of a job that are over.
fn finished(ledger: &Ledger, job: JobId) -> u64 {
    ledger.jobs.get(&job).map_or(0, |entry| entry.view(job).bytes_done)
}

/// What became of a request to the master that serves.
enum HandedOver {
    Over(Box<Ended>),
    /// It goes on without this process.
    Detached(JobId),
    /// Nothing was selected, or it is refused.
    NotBegun(Answer),
    /// It ends with its own command, or does not listen yet.
    NotTaken,
    /// It ended while the job was under way.
    Lost,
}

/// A job that is over, and what its report needs.
struct Ended {
    ledger: Ledger,
    job: JobId,
    /// The result before it.
    base: Option<Digest>,
    /// Its result, where it is in memory already.
    known: Option<Manifest>,
    selection: Option<Selection>,
    spent: Spent,
    /// What this process ends with if the job came to nothing: work that failed elsewhere is told apart from work that failed here.
    otherwise: Exit,
}

/// What a report is about.
struct Told<'a> {
    project: &'a str,
    root: &'a Path,
    overview: &'a Overview,
    spent: Spent,
    listed: Listed,
}

/// The files that a report lists.
enum Listed {
    All,
    Changed(HashSet<Vec<u8>>),
    Selected(Selection),
}

impl Listed {
    fn includes(&self, path: &[u8]) -> bool {
        match self {
            Listed::All => true,
            Listed::Changed(paths) => paths.contains(path),
            Listed::Selected(selection) => selection.includes(path),
        }
    }
}

/// What an analysis took.
struct Spent {
    /// Of the files that were not known, and that no earlier run of the same job had finished.
    bytes: u64,
    unchanged: bool,
    elapsed: Duration,
}

impl Spent {
    fn describe(&self, overview: &Overview) -> String {
        let files = text::counted(overview.totals.files, "file");
        let seconds = self.elapsed.as_secs_f64();
        let whole = format!("{files}, {} in {}", text::bytes(overview.totals.bytes), text::seconds(seconds));
        // Of what was listed, files that were skipped are not in the total either.
        match self.bytes.min(overview.totals.bytes) {
            _ if self.unchanged => format!("{whole}, nothing changed"),
            0 => whole,
            bytes => format!("{whole}; {} read: {}/s", text::bytes(bytes), text::bytes((bytes as f64 / seconds) as u64)),
        }
    }
}

fn accepted(notice: &Notice) -> Option<JobId> {
    match notice {
        Notice::JobAccepted(job) | Notice::JobResumed { job, .. } => Some(*job),
        Notice::NodePaired(_)
        | Notice::OperatorPaired { .. }
        | Notice::NodeChanged(_)
        | Notice::AuditCut { .. }
        | Notice::ProjectAdded(_)
        | Notice::NotWarmed(_)
        | Notice::JobChanged(_)
        | Notice::JobOver(_)
        | Notice::Refused(_) => None,
    }
}

impl Signals {
    fn watch() -> anyhow::Result<Signals> {
        let signals = Signals { latest: Signal::default(), armed: Arc::default() };
        for number in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            let register = || {
                signal_hook::flag::register_conditional_default(number, Arc::clone(&signals.armed))?;
                signal_hook::flag::register(number, Arc::clone(&signals.armed))?;
                signal_hook::flag::register_usize(number, Arc::clone(&signals.latest), number as usize)
            };
            register().context("cannot watch for signals")?;
        }
        Ok(signals)
    }
}

impl Signals {
    fn exit(&self) -> Exit {
        if self.latest.load(Ordering::Relaxed) == signal_hook::consts::SIGTERM as usize { Exit::Terminated } else { Exit::Interrupted }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.armed.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use bitacora_core::aggregate::Totals;

    use super::*;

    #[test]
    fn the_size_that_is_told_is_the_one_that_holds() {
        assert_eq!(file_size("5M"), Ok(FileLimits::default().bytes_max));
    }

    #[test]
    fn what_was_done_is_no_more_than_what_there_is() {
        let overview = Overview { totals: Totals { files: 1, bytes: 2_000, ..Totals::default() }, ..Overview::default() };
        let spent = |bytes, unchanged| Spent { bytes, unchanged, elapsed: Duration::from_secs(1) }.describe(&overview);
        assert_eq!(spent(9_000, false), "1 file, 2.0 kB in 1.00 s; 2.0 kB read: 2.0 kB/s");
        assert_eq!(spent(500, false), "1 file, 2.0 kB in 1.00 s; 500 B read: 500 B/s");
        assert_eq!((spent(0, false), spent(0, true)), ("1 file, 2.0 kB in 1.00 s".into(), "1 file, 2.0 kB in 1.00 s, nothing changed".into()));
    }
}
