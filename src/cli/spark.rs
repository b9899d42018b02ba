//! `bitacora spark …`.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Seek, SeekFrom, Write},
};

use anyhow::{Context as _, bail};
use bitacora_core::{
    fleet::{Availability, Awaited, CommandSpec, JobStatus, Ledger, Needs, NodeSelector, Spark, SparkState},
    ids::{JobId, ProjectId, SparkId},
    time::Span,
    wire::command::{CommandLine, OUTPUT_BYTES},
};
use clap::{Args, Subcommand};

use super::{
    Context,
    analyze::{PlacementKind, PriorityKind},
    manner::{self, Trial},
    output::{Sink, UsageError, write_items},
    project, size,
    waits::{LOOK_EVERY, Waits},
};
use crate::{
    control::{Answer, Commission, NodeState, Request, SparkItem},
    exit::Exit,
    journal::Journal,
    logs::Logs,
    report::{
        Format,
        table::Column,
        text::{counted, harmless},
    },
    tui::words,
};

/// Cores and GPUs that one spark may ask for.
const NEED_MAX: u32 = 1024;
/// A day.
const TIMEOUT_SECONDS: u64 = 24 * 3600;
const TIMEOUT_SECONDS_MAX: u64 = 365 * 24 * 3600;

/// The smallest units of work: batches of files, and commands
#[derive(Subcommand)]
pub(super) enum SparkCommand {
    Run(Run),
    /// Lists sparks of jobs that are not over
    Ls {
        /// Of this job alone, over or not
        #[arg(long, value_name = "JOB")]
        job: Option<String>,
        #[arg(short, long, value_name = "FORMAT")]
        output: Option<Format>,
    },
    /// Shows one spark
    Show {
        /// Its id, as `bitacora spark ls` shows it
        spark: String,
        #[arg(short, long, value_name = "FORMAT")]
        output: Option<Format>,
    },
    /// Prints what a command wrote
    Logs {
        /// Its id, as `bitacora spark ls` shows it
        spark: String,
        /// Goes on until the command has ended
        #[arg(short, long)]
        follow: bool,
    },
    /// Ends one spark; the rest of its job goes on
    Cancel {
        /// Its id, as `bitacora spark ls` shows it
        spark: String,
        #[command(flatten)]
        trial: Trial,
    },
}

/// Runs a command on a node whose configuration allows the program: `fleet-agent --program NAME`.
///
/// There is no shell, and the environment is empty but for PATH, HOME, BITACORA_JOB, BITACORA_SPARK and what --env gives.
/// The command runs in an empty folder of its own, or in a project's (--project). If its node is lost it is run again elsewhere.
#[derive(Args)]
pub(super) struct Run {
    /// So many sparks run the same command; each finds its number in BITACORA_SPARK
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// A job or spark that must have succeeded first. May be repeated
    #[arg(long, value_name = "ID")]
    after: Vec<String>,
    /// A variable for the command; without a value it is taken from this environment. Kept in the journal. May be repeated
    #[arg(long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// Runs it again when it fails, up to so many times in all
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    tries: u32,
    /// Ends it after so many seconds
    #[arg(long, default_value_t = TIMEOUT_SECONDS, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=TIMEOUT_SECONDS_MAX))]
    timeout: u64,
    /// What is kept of its output; the rest is counted
    #[arg(long, default_value_t = OUTPUT_BYTES, value_name = "BYTES")]
    output_bytes: u64,
    #[arg(long, default_value = "normal", value_name = "PRIORITY")]
    priority: PriorityKind,
    /// Only on these nodes: labels KEY=VALUE or KEY, all of them, or names, any of them; parted by commas
    #[arg(long, value_name = "SEL")]
    nodes: Option<NodeSelector>,
    /// On which of them the sparks go
    #[arg(long, default_value = "intelligent", value_name = "STRATEGY")]
    placement: PlacementKind,
    /// Runs it in this project's folder, by its name or id, on nodes that have it on their disk (`fleet-agent --sources`), instead of
    /// in an empty one
    #[arg(long, value_name = "PROJECT")]
    project: Option<String>,
    /// What is reserved of its node for each spark while it runs, parted by commas: cores=N (slots, which nothing else takes),
    /// memory=SIZE and gpus=N (which no other spark that asks for some is given). It waits for a node that has so much left
    #[arg(long, value_name = "NEEDS", value_parser = needs)]
    needs: Option<Needs>,
    /// Prints the job's id and does not wait
    #[arg(long)]
    detach: bool,
    #[command(flatten)]
    trial: Trial,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl SparkCommand {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        match self {
            SparkCommand::Run(run) => run.run(context),
            SparkCommand::Ls { job, output } => list(context, job.as_deref(), output),
            SparkCommand::Show { spark, output } => show(context, parse(&spark)?, output),
            SparkCommand::Logs { spark, follow } => logs(context, parse(&spark)?, follow),
            SparkCommand::Cancel { spark, trial } => cancel(context, parse(&spark)?, &trial),
        }
    }
}

fn parse(text: &str) -> Result<SparkId, UsageError> {
    text.parse().map_err(|_| UsageError(format!("{text:?} is no spark; one looks like j1.2/0, and `bitacora spark ls` lists them")))
}

fn awaited(text: &str) -> Result<Awaited, UsageError> {
    let job = |_| text.parse::<JobId>().map(Awaited::Job);
    let known = text.parse::<SparkId>().map(Awaited::Spark).or_else(job);
    known.map_err(|_| UsageError(format!("{text:?} is neither a job nor a spark; they look like j1.2 and j1.2/0")))
}

/// Reads `cores=4,memory=8G,gpus=1`.
fn needs(text: &str) -> Result<Needs, String> {
    let unknown = |part: &str| format!("{part:?} is no need; write cores=N, memory=SIZE or gpus=N, as in cores=4,memory=8G");
    let mut needs = Needs::default();
    for part in text.split(',') {
        let (name, value) = part.split_once('=').ok_or_else(|| unknown(part))?;
        let number = || value.parse::<u32>().ok().filter(|number| (1..=NEED_MAX).contains(number)).ok_or_else(|| unknown(part));
        match name {
            "cores" => needs.cores = number()?,
            "gpus" => needs.gpus = number()?,
            "memory" => needs.memory_bytes = size::bytes(value)?,
            _ => return Err(unknown(part)),
        }
    }
    Ok(needs)
}

impl Run {
    fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let (detach, dry_run) = (self.detach, self.trial.dry_run);
        let project = match &self.project {
            None => None,
            Some(wanted) => Some(project::meant(context, &project::ledger(context)?, wanted)?.0),
        };
        let commission = self.commission(project)?;
        if dry_run {
            return tell(context, &commission);
        }
        let Some(answer) = ask(context, &Request::Run(Box::new(commission)))? else { return Ok(Exit::Unreachable) };
        let Answer::Accepted { job, sparks } = answer else { return Ok(context.streams.conclude(&answer)) };
        if detach {
            let mut out = Sink::open(None)?;
            writeln!(out, "{job}")?;
            out.close()?;
            return Ok(Exit::Ok);
        }
        context.streams.note(&format!("job {job}; it goes on if this command is interrupted, and `bitacora job cancel {job}` ends it"));
        let mut waits = Waits::new(job);
        for number in 0..sparks {
            if follow(context, SparkId { job, number }, &mut waits)? == Exit::Unreachable {
                return Ok(Exit::Unreachable);
            }
        }
        let Some((status, reason)) = end_of(context, job)? else { bail!("job {job} was forgotten before it could be looked at") };
        if reason.is_empty() {
            return Ok(Exit::Ok);
        }
        context.streams.note(&format!("job {job} is {}: {reason}", status.name()));
        Ok(Exit::RemoteFailed)
    }

    fn commission(self, project: Option<ProjectId>) -> anyhow::Result<Commission> {
        let mut environment = BTreeMap::new();
        for variable in &self.env {
            let (name, value) = match variable.split_once('=') {
                Some((name, value)) => (name, value.to_owned()),
                None => (variable.as_str(), std::env::var(variable).map_err(|_| UsageError(format!("there is no variable {variable} to pass on")))?),
            };
            environment.insert(name.to_owned(), value);
        }
        let mut words = self.command.into_iter();
        let program = words.next().expect("clap asks for one");
        let line = CommandLine { program, arguments: words.collect(), environment, output_bytes_max: self.output_bytes, folder: None };
        line.check().map_err(|error| UsageError(error.to_string()))?;
        let after = self.after.iter().map(|text| awaited(text)).collect::<Result<_, _>>()?;
        let command = CommandSpec { line, tries: self.tries, timeout: Span::from_secs(self.timeout), needs: self.needs.unwrap_or_default(), project };
        let (priority, placement) = (self.priority.into(), self.placement.into());
        Ok(Commission { sparks: self.count, priority, after, command: Some(command), placement, nodes: self.nodes.unwrap_or_default() })
    }
}

/// What would be run, and on which nodes it could be now.
fn tell(context: &Context, commission: &Commission) -> anyhow::Result<Exit> {
    let nodes = match ask(context, &Request::Nodes)? {
        Some(Answer::Nodes(nodes)) => nodes,
        Some(answer) => return Ok(context.streams.conclude(&answer)),
        None => return Ok(Exit::Unreachable),
    };
    let is_open = |node: &&NodeState| node.linked && node.slots > 0 && node.availability == Availability::Active.name();
    let is_meant = |node: &&NodeState| commission.nodes.matches(node.id.parse().unwrap_or_default(), &node.name, &node.labels);
    let names: Vec<&str> = nodes.iter().filter(is_open).filter(is_meant).map(|node| node.name.as_str()).collect();
    let whom = if names.is_empty() { "no node that is meant, is linked and takes work now".to_owned() } else { names.join(", ") };
    let line = commission.command.as_ref().map(|command| std::iter::once(&command.line.program).chain(&command.line.arguments).cloned().collect::<Vec<_>>());
    let plan = format!("run {} of `{}` on {whom}", counted(commission.sparks.into(), "spark"), words::join(&line.unwrap_or_default()));
    Ok(manner::tell(context, Some(&plan)))
}

/// How a job stands, and why.
fn end_of(context: &Context, job: JobId) -> anyhow::Result<Option<(JobStatus, String)>> {
    if context.remote.is_some() {
        let Some(Answer::Snapshot(fleet)) = context.ask(&Request::Snapshot)? else { return Ok(None) };
        return Ok(fleet.jobs.into_iter().find(|known| known.id == job).map(|job| (job.status, job.reason)));
    }
    let ledger = Journal::read(&context.data.journal())?.unwrap_or_default();
    Ok(ledger.jobs.get(&job).map(|job| (job.status, job.reason.clone())))
}

/// The serving master's answer; says so when there is none.
fn ask(context: &Context, request: &Request) -> anyhow::Result<Option<Answer>> {
    let answer = context.ask(request)?;
    if answer.is_none() {
        let place = context.data.root().display();
        context.streams.note(&format!("no bitacora serves {place}; start one with `bitacora serve`"));
    }
    Ok(answer)
}

fn list(context: &Context, job: Option<&str>, output: Option<Format>) -> anyhow::Result<Exit> {
    let wanted = job.map(|text| text.parse::<JobId>().map_err(|error| UsageError(format!("{text:?} is no job: {error}")))).transpose()?;
    if context.remote.is_some() {
        return match context.ask(&Request::Sparks { job: wanted })? {
            Some(Answer::Sparks(items)) => write(context, output, &items),
            answer => Ok(answer.map_or(Exit::Unreachable, |answer| context.streams.conclude(&answer))),
        };
    }
    let ledger = Journal::read(&context.data.journal())?.unwrap_or_default();
    if wanted.is_some_and(|job| !ledger.jobs.contains_key(&job)) {
        context.streams.note(&format!("there is no job {}; `bitacora job ls` lists them", job.unwrap_or_default()));
        return Ok(Exit::NoMatch);
    }
    write(context, output, &seen(context, &ledger, wanted))
}

/// The sparks of one job, or of every job that is not over, as they are.
pub(super) fn seen(context: &Context, ledger: &Ledger, wanted: Option<JobId>) -> Vec<SparkItem> {
    let served = context.data.is_served();
    SparkItem::all(ledger, wanted).map(|item| if served { item } else { item.at_rest() }).collect()
}

fn show(context: &Context, id: SparkId, output: Option<Format>) -> anyhow::Result<Exit> {
    if context.remote.is_some() {
        let answer = context.ask(&Request::Sparks { job: Some(id.job) })?;
        let Some(Answer::Sparks(items)) = answer else { return Ok(answer.map_or(Exit::Unreachable, |answer| context.streams.conclude(&answer))) };
        let Some(item) = items.into_iter().find(|item| item.id == id.to_string()) else { return Ok(unknown(context, id)) };
        return write(context, output, &[item]);
    }
    let ledger = Journal::read(&context.data.journal())?.unwrap_or_default();
    let Some(spark) = ledger.spark(id) else { return Ok(unknown(context, id)) };
    let item = SparkItem::of(&ledger, id, spark).map(|item| if context.data.is_served() { item } else { item.at_rest() });
    if let (SparkState::Failed(error), true) = (&spark.state, context.streams.stdout_is_terminal) {
        context.streams.note(&error.describe());
    }
    write(context, output, item.as_slice())
}

fn unknown(context: &Context, id: SparkId) -> Exit {
    context.streams.note(&format!("there is no spark {id}; `bitacora spark ls --job JOB` lists those of a job"));
    Exit::NoMatch
}

/// Sparks in any format.
pub(super) fn write(context: &Context, output: Option<Format>, items: &[SparkItem]) -> anyhow::Result<Exit> {
    let columns = [
        Column::Text("Spark"),
        Column::Text("Status"),
        Column::Text("Node"),
        Column::Number("Attempts"),
        Column::Number("Failures"),
        Column::Text("Ended"),
        Column::Text("What"),
    ];
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let rows = items.iter().map(|item| {
        let what = item.command.clone().unwrap_or_else(|| format!("{}{}", counted(item.files as u64, "file"), if item.isolated { ", isolated" } else { "" }));
        let what = if item.needs.is_none() { what } else { format!("{what}, needs {}", item.needs) };
        let what = item.disputed.as_ref().map_or_else(|| what.clone(), |disputed| format!("{what}, disputed: {disputed}"));
        let (status, attempts, failures) = (item.status.clone(), item.attempts.to_string(), item.failures.to_string());
        vec![item.id.clone(), status, or_dash(&item.node), attempts, failures, or_dash(&item.ended), harmless(&what)]
    });
    write_items(context, output, "sparks", items, &columns, rows.collect(), |item| &item.id)
}

fn logs(context: &Context, id: SparkId, follows: bool) -> anyhow::Result<Exit> {
    if context.remote.is_some() {
        return log_of(context, id, follows.then(|| Waits::new(id.job)).as_mut());
    }
    if follows {
        return follow(context, id, &mut Waits::new(id.job));
    }
    let ledger = Journal::read(&context.data.journal())?.unwrap_or_default();
    let Some(spark) = ledger.spark(id) else { return Ok(unknown(context, id)) };
    let mut shown = Shown { logs: context.data.logs()?, out: Sink::open(None)?, printed: 0 };
    shown.print(id, spark)?;
    shown.out.close()?;
    Ok(Exit::Ok)
}

/// Prints what a command wrote as a master elsewhere tells it, until it has ended if that is waited for.
fn log_of(context: &Context, id: SparkId, mut waits: Option<&mut Waits>) -> anyhow::Result<Exit> {
    let (mut out, mut from) = (Sink::open(None)?, 0);
    loop {
        let (bytes, is_over) = match context.ask(&Request::Log { spark: id, from })? {
            Some(Answer::Log { bytes, is_over }) => (bytes, is_over),
            Some(Answer::Busy) => continue,
            answer => return Ok(answer.map_or(Exit::Unreachable, |answer| context.streams.conclude(&answer))),
        };
        from += bytes.len() as u64;
        out.write_all(&bytes)?;
        out.flush()?;
        if bytes.is_empty() {
            let Some(waits) = waits.as_deref_mut().filter(|_| !is_over) else {
                out.close()?;
                return Ok(Exit::Ok);
            };
            waits.look(context);
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

/// Prints what a command writes until it has ended.
fn follow(context: &Context, id: SparkId, waits: &mut Waits) -> anyhow::Result<Exit> {
    if context.remote.is_some() {
        return log_of(context, id, Some(waits));
    }
    let mut shown = Shown { logs: context.data.logs()?, out: Sink::open(None)?, printed: 0 };
    loop {
        let spark = match context.ask(&Request::Spark { spark: id })? {
            Some(Answer::Spark(spark)) => spark,
            Some(Answer::Busy) => continue,
            Some(answer) => return Ok(context.streams.conclude(&answer)),
            // Nobody serves: it is as the journal says, and nothing more will come.
            None => match Journal::read(&context.data.journal())?.unwrap_or_default().spark(id) {
                None => return Ok(unknown(context, id)),
                Some(spark) => {
                    shown.print(id, spark)?;
                    shown.out.close()?;
                    return Ok(if spark.state.is_over() { Exit::Ok } else { Exit::Unreachable });
                }
            },
        };
        shown.print(id, &spark)?;
        if spark.state.is_over() {
            shown.out.close()?;
            return Ok(Exit::Ok);
        }
        waits.look(context);
        std::thread::sleep(LOOK_EVERY);
    }
}

/// How much of a log is printed.
struct Shown {
    logs: Logs,
    out: Sink,
    printed: u64,
}

impl Shown {
    /// What is there and was not printed yet.
    fn print(&mut self, id: SparkId, spark: &Spark) -> anyhow::Result<()> {
        if let Some(ended) = spark.command_end() {
            let log = self.logs.read(ended.log).context("the output is not here any more")?;
            self.out.write_all(log.get(self.printed as usize..).unwrap_or_default())?;
        } else if let SparkState::Running { attempt, .. } = spark.state {
            self.printed += copy_from(&self.logs.live(id, attempt), self.printed, &mut self.out).context("cannot read the output")?;
        }
        Ok(self.out.flush()?)
    }
}

fn copy_from(path: &std::path::Path, offset: u64, out: &mut impl Write) -> io::Result<u64> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        file => file?,
    };
    file.seek(SeekFrom::Start(offset))?;
    io::copy(&mut file, out)
}

fn cancel(context: &Context, spark: SparkId, trial: &Trial) -> anyhow::Result<Exit> {
    if trial.dry_run {
        return match ask(context, &Request::Spark { spark })? {
            Some(Answer::Spark(known)) if known.state.is_over() => Ok(manner::tell(context, None)),
            Some(Answer::Spark(_)) => Ok(manner::tell(context, Some(&format!("end spark {spark}; the rest of its job goes on")))),
            answer => Ok(answer.map_or(Exit::Unreachable, |answer| context.streams.conclude(&answer))),
        };
    }
    let answer = ask(context, &Request::CancelSpark { spark })?;
    Ok(answer.map_or(Exit::Unreachable, |answer| context.streams.conclude(&answer)))
}
