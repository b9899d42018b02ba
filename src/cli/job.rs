//! `bitacora job …`.

mod watch;

use std::io::Write;

use anyhow::bail;
use bitacora_core::{
    fleet::{Event, Fleet, JobStatus, JobView, Ledger, Pending, Settings},
    ids::JobId,
};
use clap::Subcommand;
use serde::Serialize;

use self::watch::WatchFormat;
use super::{
    Context,
    analyze::PriorityKind,
    manner::{self, Patience, Trial},
    output::{Sink, UsageError, write_items},
    spark, wait,
};
use crate::{
    control::{self, Answer, Command, JobState, Request},
    exit::Exit,
    journal::Journal,
    master::{self, Master},
    report::{
        Format,
        table::Column,
        text::{bytes, grouped, harmless, timestamp},
    },
};

/// Requests for analysis: what they do, how far they are, why they wait
#[derive(Subcommand)]
pub(super) enum JobCommand {
    /// Lists jobs, the newest last
    Ls {
        #[arg(short, long, value_name = "FORMAT")]
        output: Option<Format>,
    },
    /// Shows a job and its sparks
    Show {
        /// Its id, as `bitacora job ls` shows it
        job: String,
        #[arg(short, long, value_name = "FORMAT")]
        output: Option<Format>,
    },
    /// Follows a job until it is over, and ends as it does: 0 if it was completed, 8 otherwise
    Watch {
        /// Its id, as `bitacora job ls` shows it
        job: String,
        /// A line for each change instead of a bar, which is the default where stderr is no terminal
        #[arg(short, long, value_name = "FORMAT")]
        output: Option<WatchFormat>,
        /// Gives up watching after so many seconds; the job goes on
        #[arg(long, value_name = "SECONDS")]
        timeout: Option<u64>,
    },
    /// Says why a job does not run, or is not finished
    Explain {
        /// Its id, as `bitacora job ls` shows it
        job: String,
        /// A document instead of a line for each reason
        #[arg(short, long, value_name = "FORMAT")]
        output: Option<Format>,
    },
    /// Ends a job; what it finished stays in the cache
    Cancel {
        /// Its id, as `bitacora job ls` shows it
        job: String,
        #[command(flatten)]
        trial: Trial,
        #[command(flatten)]
        patience: Patience,
    },
    /// Gives the failed sparks of a failed or cancelled job another chance, when it is analysed again
    Retry {
        /// Its id, as `bitacora job ls` shows it
        job: String,
        #[command(flatten)]
        trial: Trial,
        #[command(flatten)]
        patience: Patience,
    },
    /// Starts no more sparks of a job
    Pause {
        /// Its id, as `bitacora job ls` shows it
        job: String,
        #[command(flatten)]
        trial: Trial,
    },
    /// Goes on with a paused job
    Resume {
        /// Its id, as `bitacora job ls` shows it
        job: String,
        #[command(flatten)]
        trial: Trial,
        #[command(flatten)]
        patience: Patience,
    },
    /// Changes a job's priority
    Priority {
        /// Its id, as `bitacora job ls` shows it
        job: String,
        /// What it is to be; the higher goes first
        priority: PriorityKind,
        #[command(flatten)]
        trial: Trial,
    },
}

#[derive(Serialize)]
struct JobItem {
    id: String,
    project: String,
    command: Option<String>,
    r#type: &'static str,
    status: &'static str,
    priority: &'static str,
    /// On whose behalf.
    by: String,
    stage: String,
    percent: u32,
    files_done: u64,
    files: u64,
    /// Rules do not exist yet.
    rules: u64,
    bytes: u64,
    bytes_per_second: u64,
    seconds_to_go: Option<u64>,
    sparks_done: u32,
    sparks: u32,
    attempts: u32,
    accepted_at: String,
    over_at: Option<String>,
    reason: String,
}

/// Why a job is as it is.
#[derive(Serialize)]
struct ReasonItem {
    job: String,
    reason: String,
}

impl JobCommand {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        match self {
            JobCommand::Ls { output } => list(context, output),
            JobCommand::Show { job, output } => show(context, parse(&job)?, output),
            JobCommand::Watch { job, output, timeout } => watch::run(context, parse(&job)?, output, timeout),
            JobCommand::Explain { job, output } => explain(context, parse(&job)?, output),
            JobCommand::Cancel { job, trial, patience } => awaited(context, &job, Command::Cancel, (&trial, &patience)),
            JobCommand::Retry { job, trial, patience } => awaited(context, &job, Command::Retry, (&trial, &patience)),
            JobCommand::Resume { job, trial, patience } => awaited(context, &job, Command::Resume, (&trial, &patience)),
            JobCommand::Pause { job, trial } => change(context, &job, Command::Pause, &trial),
            JobCommand::Priority { job, priority, trial } => change(context, &job, Command::SetPriority(priority.into()), &trial),
        }
    }
}

fn parse(text: &str) -> Result<JobId, UsageError> {
    text.parse().map_err(|error| UsageError(format!("{text:?} is no job: {error}; `bitacora job ls` lists them")))
}

fn item(job: JobState) -> JobItem {
    JobItem {
        id: job.id.to_string(),
        project: job.project.unwrap_or_else(|| "-".to_owned()),
        command: job.command,
        r#type: job.job_type.name(),
        status: job.status.name(),
        priority: job.priority.name(),
        by: job.by,
        stage: job.progress.stage,
        percent: job.percent,
        files_done: job.progress.files_done,
        files: job.progress.files,
        rules: 0,
        bytes: job.progress.bytes,
        bytes_per_second: job.progress.bytes_per_second,
        seconds_to_go: job.progress.seconds_to_go,
        sparks_done: job.sparks_done,
        sparks: job.sparks,
        attempts: job.attempts,
        accepted_at: timestamp(job.accepted_at),
        over_at: job.over_at.map(timestamp),
        reason: job.reason,
    }
}

fn items(context: &Context) -> anyhow::Result<Vec<JobItem>> {
    if context.remote.is_some() {
        let Some(Answer::Snapshot(fleet)) = context.ask(&Request::Snapshot)? else { bail!("the master did not tell its jobs") };
        return Ok(fleet.jobs.into_iter().rev().map(item).collect());
    }
    let ledger = Journal::read(&context.data.journal())?.unwrap_or_default();
    let served = context.data.is_served();
    let views = ledger.jobs.iter().map(|(id, job)| seen(job.view(*id), served));
    Ok(views.map(|view| item(JobState::of(&view, &ledger))).collect())
}

fn list(context: &Context, output: Option<Format>) -> anyhow::Result<Exit> {
    let items = items(context)?;
    let format = Format::or_for(output, context.streams.stdout_is_terminal);
    let wide = format == Format::Wide;
    let mut columns = vec![
        Column::Text("Job"),
        Column::Text("Project"),
        Column::Text("Type"),
        Column::Text("Status"),
        Column::Text("Priority"),
        Column::Number("Done"),
        Column::Number("Sparks"),
        Column::Text("Accepted"),
    ];
    if wide {
        columns.extend([
            Column::Text("Over"),
            Column::Number("Files"),
            Column::Number("Bytes"),
            Column::Number("Attempts"),
            Column::Text("By"),
            Column::Text("Reason"),
        ]);
    }
    let rows = items.iter().map(|item| {
        let sparks = format!("{}/{}", item.sparks_done, item.sparks);
        let about = match &item.command {
            Some(command) if format != Format::Plain && item.project == "-" => command.clone(),
            Some(command) if format != Format::Plain => format!("{}: {command}", item.project),
            _ => item.project.clone(),
        };
        let words = [item.id.as_str(), &about, item.r#type, item.status, item.priority];
        let mut row: Vec<String> = words.into_iter().map(str::to_owned).collect();
        row.extend([format!("{} %", item.percent), sparks, item.accepted_at.clone()]);
        if wide {
            let over = item.over_at.clone().unwrap_or_else(|| "-".to_owned());
            row.extend([over, grouped(item.files), bytes(item.bytes), grouped(item.attempts.into()), item.by.clone(), item.reason.clone()]);
        }
        row
    });
    write_items(context, Some(format), "jobs", &items, &columns, rows.collect(), |item| &item.id)
}

fn show(context: &Context, id: JobId, output: Option<Format>) -> anyhow::Result<Exit> {
    if context.remote.is_some() {
        return match context.ask(&Request::Sparks { job: Some(id) })? {
            Some(Answer::Sparks(items)) => spark::write(context, output, &items),
            answer => Ok(answer.map_or(Exit::Unreachable, |answer| context.streams.conclude(&answer))),
        };
    }
    let ledger = Journal::read(&context.data.journal())?.unwrap_or_default();
    let Some(job) = ledger.jobs.get(&id) else {
        context.streams.note(&format!("there is no job {id}; `bitacora job ls` lists them"));
        return Ok(Exit::NoMatch);
    };
    let format = Format::or_for(output, context.streams.stdout_is_terminal);
    if matches!(format, Format::Table | Format::Wide) {
        let mut out = Sink::open(None)?;
        headline(&mut out, &seen(job.view(id), context.data.is_served()))?;
        out.close()?;
    }
    spark::write(context, Some(format), &spark::seen(context, &ledger, Some(id)))
}

/// A job as it is: without a master nothing runs, whatever the journal's last word was.
fn seen(view: JobView, served: bool) -> JobView {
    let status = if served || view.status.is_over() { view.status } else { JobStatus::Paused };
    JobView { status, ..view }
}

fn headline(out: &mut Sink, view: &JobView) -> std::io::Result<()> {
    let (done, all) = (grouped(view.files_done), grouped(view.files));
    let status = format!("{}  {}  {}", view.id, view.spec.job_type.name(), view.status.name());
    writeln!(out, " {status}  {} %, {done} of {all} files, {}  {}\n", view.percent(), bytes(view.bytes), harmless(&view.reason))
}

/// The running master's answer; `None` when nobody runs.
fn ask(context: &Context, request: &Request) -> anyhow::Result<Option<Answer>> {
    context.ask(request)
}

fn explain(context: &Context, job: JobId, output: Option<Format>) -> anyhow::Result<Exit> {
    let reasons = match ask(context, &Request::Explain { job })? {
        Some(Answer::Reasons(reasons)) => reasons,
        Some(answer) if context.remote.is_some() => return Ok(context.streams.conclude(&answer)),
        _ => explain_alone(Journal::read(&context.data.journal())?.unwrap_or_default(), job),
    };
    if reasons.is_empty() {
        context.streams.note(&format!("there is no job {job}; `bitacora job ls` lists them"));
        return Ok(Exit::NoMatch);
    }
    if let Some(format) = output {
        let items: Vec<ReasonItem> = reasons.into_iter().map(|reason| ReasonItem { job: job.to_string(), reason }).collect();
        let rows = items.iter().map(|item| vec![item.job.clone(), item.reason.clone()]).collect();
        return write_items(context, Some(format), "reasons", &items, &[Column::Text("Job"), Column::Text("Reason")], rows, |item| &item.reason);
    }
    let mut out = Sink::open(None)?;
    reasons.iter().try_for_each(|reason| writeln!(out, "{}", harmless(reason)))?;
    out.close()?;
    Ok(Exit::Ok)
}

/// Nobody runs it: a master is made of the journal for the time of the question, and told to begin nothing. What such a master
/// lacks to go on is not the reason why the job waits.
fn explain_alone(ledger: Ledger, job: JobId) -> Vec<String> {
    let how = ledger.jobs.get(&job).filter(|job| !job.status.is_over()).map(|_| how_to_go_on(&ledger, job));
    let reasons = Fleet::recover(Settings::for_one_command(), ledger, master::now(), &mut Vec::new()).explain(job);
    let reasons = reasons.iter().filter(|reason| !matches!(reason, Pending::Paused | Pending::NotListed | Pending::NoNodes));
    how.into_iter().chain(reasons.map(control::describe)).collect()
}

/// Of a job that is not over, where nobody serves.
fn how_to_go_on(ledger: &Ledger, job: JobId) -> String {
    let root = ledger.jobs[&job].spec.project.and_then(|project| ledger.projects.get(&project)).map(|project| String::from_utf8_lossy(&project.root));
    let why = match ledger.jobs[&job].status {
        // The journal says the same of both.
        JobStatus::Paused => "paused, by somebody or for no bitacora is running",
        _ => "paused, for no bitacora is running",
    };
    let serving = format!("while `bitacora serve` runs, `bitacora job resume {job}` goes on with it");
    match root {
        Some(root) => format!("{why}: the same analysis of {root} again goes on with it; {serving}"),
        None => format!("{why}: {serving}"),
    }
}

/// By the running master. Where there is none nothing would go on.
fn resume(context: &Context, job: JobId) -> anyhow::Result<Exit> {
    if let Some(answer) = ask(context, &Request::Command { job, command: Command::Resume })? {
        return Ok(context.streams.conclude(&answer));
    }
    let ledger = Journal::read(&context.data.journal())?.unwrap_or_default();
    match ledger.jobs.get(&job) {
        None => {
            context.streams.note(&format!("there is no job {job}; `bitacora job ls` lists them"));
            Ok(Exit::NoMatch)
        }
        Some(over) if over.status.is_over() => {
            context.streams.note(&format!("refused: job {job} is {}", over.status.name()));
            Ok(Exit::Refused)
        }
        Some(_) => {
            context.streams.note(&format!("job {job} does not go on: {}", how_to_go_on(&ledger, job)));
            Ok(Exit::Unreachable)
        }
    }
}

/// Does it, and waits for what it is to lead to.
fn awaited(context: &Context, job: &str, command: Command, (trial, patience): (&Trial, &Patience)) -> anyhow::Result<Exit> {
    let exit = change(context, job, command, trial)?;
    if exit != Exit::Ok || !patience.wait || trial.dry_run {
        return Ok(exit);
    }
    let end = if command == Command::Cancel { "cancelled" } else { "completed" };
    wait::until(context, job, end, patience.timeout)
}

fn change(context: &Context, job: &str, wish: Command, trial: &Trial) -> anyhow::Result<Exit> {
    let id = parse(job)?;
    if !trial.dry_run {
        return if wish == Command::Resume { resume(context, id) } else { command(context, id, wish) };
    }
    let Some(known) = items(context)?.into_iter().find(|known| known.id == id.to_string()) else {
        context.streams.note(&format!("there is no job {id}; `bitacora job ls` lists them"));
        return Ok(Exit::NoMatch);
    };
    match plan(&known, wish) {
        Some(plan) => Ok(manner::tell(context, Some(&plan))),
        None => {
            context.streams.note(&format!("would be refused: the job is {}", known.status));
            Ok(Exit::Refused)
        }
    }
}

/// What would become of a job; `None` for what is refused to one that is as it is.
fn plan(job: &JobItem, wish: Command) -> Option<String> {
    let (id, status) = (&job.id, job.status);
    match (wish, status) {
        (Command::Cancel, "queued" | "running" | "paused") => Some(format!("end job {id}, of which {} of {} sparks are done", job.sparks_done, job.sparks)),
        (Command::Pause, "queued" | "running") => Some(format!("start no more sparks of job {id}")),
        (Command::Resume, "paused") => Some(format!("go on with job {id}")),
        (Command::Retry, "failed" | "cancelled") => Some(format!("give the failed sparks of job {id} another chance")),
        (Command::SetPriority(priority), "queued" | "running" | "paused") => Some(format!("make job {id} {} instead of {}", priority.name(), job.priority)),
        _ => None,
    }
}

/// By the running master, or by this process when there is none.
fn command(context: &Context, job: JobId, command: Command) -> anyhow::Result<Exit> {
    let answer = match ask(context, &Request::Command { job, command })? {
        Some(answer) => answer,
        None => {
            let settings = Settings::for_one_command();
            let mut master = Master::open(&context.data, settings, |holder| context.streams.note(&format!("waiting for bitacora (process {holder}) to end")))?;
            let answer = control::outcome(&master.request(Event::JobCommanded { job, command: command.into() })?);
            // Nobody is here to run anything: what could go on waits, paused, for the analysis to be asked for again.
            master.request(Event::Stopping)?;
            if answer == Answer::Done && matches!(command, Command::Retry) {
                context.streams.note(&how_to_go_on(master.ledger(), job));
            }
            answer
        }
    };
    Ok(context.streams.conclude(&answer))
}
