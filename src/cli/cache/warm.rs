//! `bitacora cache warm`.

use std::{os::unix::ffi::OsStrExt, path::PathBuf, time::Duration};

use anyhow::{Context as _, bail};
use bitacora_core::{
    fleet::{Job, JobFailure, JobStatus, Ledger, NodeSelector},
    ids::{JobId, ProjectId},
    time::Span,
};
use clap::Args;

use super::super::{
    Context,
    analyze::{Analyze, TIMEOUT_SECONDS_MAX},
    manner::{self, Trial},
};
use crate::{
    control::{self, Answer, Request, Warmth},
    exit::Exit,
    journal::Journal,
};

/// How often the master is asked how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Analyses what is not known of a tree, and brings its records to the nodes of the fleet.
///
/// A later analysis finds them there, whichever node its sparks go to. Without a fleet they are kept on this machine.
#[derive(Args)]
pub(in crate::cli) struct Warm {
    /// The folder, or the name of a project that was analysed before
    path: PathBuf,
    /// To these nodes only: labels KEY=VALUE or KEY, all of them, or names, any of them; parted by commas
    #[arg(long, value_name = "SEL")]
    nodes: Option<NodeSelector>,
    /// Gives up what takes longer than so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=TIMEOUT_SECONDS_MAX))]
    timeout: Option<u64>,
    #[command(flatten)]
    trial: Trial,
}

impl Warm {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let Warm { path, nodes, timeout, trial } = self;
        let is_trial = trial.dry_run;
        let analysis = Analyze::warming(path, nodes.clone(), timeout, trial);
        let root = analysis.root(&read(context)?)?;
        let analysed = analysis.run(context)?;
        if is_trial {
            let whom = nodes.map_or_else(|| "the nodes of the fleet".to_owned(), |nodes| format!("the nodes {nodes}"));
            return Ok(manner::tell(context, Some(&format!("bring what they lack of its records to {whom}"))));
        }
        if !matches!(analysed, Exit::Ok | Exit::Partial) {
            return Ok(analysed);
        }
        let ledger = read(context)?;
        let project = ledger.projects.iter().find(|(_, project)| project.root == root.as_os_str().as_bytes());
        let project = *project.context("the project was removed before its records could be brought anywhere")?.0;
        let brought = bring(context, project, nodes.unwrap_or_default(), timeout.map(Span::from_secs))?;
        Ok(if brought == Exit::Ok { analysed } else { brought })
    }
}

fn read(context: &Context) -> anyhow::Result<Ledger> {
    Ok(Journal::read(&context.data.journal())?.unwrap_or_default())
}

fn ask(context: &Context, request: &Request) -> anyhow::Result<Option<Answer>> {
    control::ask(&context.data.control(), request).context("the bitacora that serves this data directory does not answer")
}

/// Where nobody serves a fleet the records are where they are to be.
fn bring(context: &Context, project: ProjectId, nodes: NodeSelector, timeout: Option<Span>) -> anyhow::Result<Exit> {
    let (jobs, missed) = match ask(context, &Request::Warm(Warmth { project, nodes, timeout }))? {
        None => return Ok(Exit::Ok),
        Some(Answer::Warming { jobs, missed }) => (jobs, missed),
        Some(answer) => return Ok(context.streams.conclude(&answer)),
    };
    for job in &jobs {
        if !wait(context, *job)? {
            context.streams.note("the master that had the job is gone; the same command goes on from here");
            return Ok(Exit::Unreachable);
        }
    }
    let mut exit = conclude(context, &jobs)?;
    if !missed.is_empty() {
        context.streams.note(&format!("not brought to {}: out of reach, closed, or with another engine", missed.join(", ")));
        exit = if exit == Exit::Ok { Exit::Partial } else { exit };
    }
    Ok(exit)
}

/// Answers with whether the job came to its end.
fn wait(context: &Context, job: JobId) -> anyhow::Result<bool> {
    loop {
        match ask(context, &Request::Progress { job })? {
            Some(Answer::Progress(progress)) if progress.over => return Ok(true),
            Some(Answer::Progress(_) | Answer::Busy) => std::thread::sleep(LOOK_EVERY),
            Some(_) | None => return Ok(false),
        }
    }
}

/// Says of each node that has not all of it why that is so.
fn conclude(context: &Context, jobs: &[JobId]) -> anyhow::Result<Exit> {
    let ledger = read(context)?;
    let mut exit = Exit::Ok;
    for id in jobs {
        let Some(job) = ledger.jobs.get(id) else { bail!("job {id} was forgotten before it could be looked at") };
        if job.status == JobStatus::Completed {
            continue;
        }
        let reason = if job.reason.is_empty() { String::new() } else { format!(": {}", job.reason) };
        context.streams.note(&format!("not brought to {}: job {id} is {}{reason}", node_of(&ledger, job), job.status.name()));
        exit = if job.failure == JobFailure::TimedOut { Exit::TimedOut } else { Exit::RemoteFailed };
    }
    Ok(exit)
}

/// The one node that such a job is for.
fn node_of(ledger: &Ledger, job: &Job) -> String {
    let node = job.spec.nodes.one_node().and_then(|id| ledger.nodes.get(&id));
    node.map_or_else(|| job.spec.nodes.to_string(), |node| node.name.clone())
}
