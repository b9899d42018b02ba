//! `bitacora --connect FLEET analyze PATH`: the folder is one of the master's machine, and so is whatever reads it.

use std::{ffi::OsStr, io::Write, os::unix::ffi::OsStrExt, path::PathBuf, time::Duration};

use anyhow::bail;
use bitacora_core::{fleet::JobType, ids::JobId};
use clap::{Args, ValueEnum};

use super::{Analyze, Context, Ended, Followed, JobKind, Spent, follow};
use crate::{
    cli::{
        elsewhere,
        output::{Sink, UsageError},
    },
    control::{Answer, Request, report::Report},
    exit::Exit,
    journal::Journal,
    report::AnalysisFormat,
};

/// What a job has come to, for somebody who asked for it from elsewhere
#[derive(Args)]
pub(in crate::cli) struct ReportJob {
    /// Its id
    job: JobId,
    #[arg(long)]
    output: Option<AnalysisFormat>,
}

impl Analyze {
    pub(super) fn run_elsewhere(&self, context: &Context, job_type: JobType, mut sink: Sink) -> anyhow::Result<Exit> {
        let wish = self.wish(&self.root_elsewhere(context)?, job_type);
        let submitted = match context.ask(&Request::Analyse(wish))? {
            Some(Answer::Submitted(submitted)) => submitted,
            Some(answer) => return Ok(context.streams.conclude(&answer)),
            None => bail!("the master elsewhere does not answer"),
        };
        let job = submitted.job;
        if self.detach {
            writeln!(sink, "{job}")?;
            sink.close()?;
            return Ok(Exit::Ok);
        }
        if let Followed::Lost = follow(context, job) {
            context.streams.note(&format!("the master cannot be reached any more; job {job} goes on there"));
            return Ok(Exit::Unreachable);
        }
        match elsewhere::begin(context, &sink, Report::Job { job }, self.output)? {
            Ok(reporting) => elsewhere::print(context, sink, &reporting),
            Err(answer) => Ok(context.streams.conclude(&answer)),
        }
    }

    /// A project of that name, or what may be a folder there.
    fn root_elsewhere(&self, context: &Context) -> anyhow::Result<PathBuf> {
        if self.path.is_absolute() {
            return Ok(self.path.clone());
        }
        let name = self.path.to_string_lossy();
        let known = match context.ask(&Request::Projects)? {
            Some(Answer::Projects(projects)) => projects,
            _ => bail!("the master elsewhere does not say which projects there are"),
        };
        let found = known.iter().find(|(id, project)| project.name == name || id.to_string() == name);
        let root = found.map(|(_, project)| OsStr::from_bytes(&project.root).into());
        Ok(root.ok_or_else(|| UsageError(format!("there is no project {name} there, and a folder of the master's machine is named from / on")))?)
    }
}

impl ReportJob {
    pub(in crate::cli) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let ledger = Journal::read(&context.data.journal())?.unwrap_or_default();
        let Some(job) = ledger.jobs.get(&self.job) else { bail!("job {} is not known any more", self.job) };
        let Some(project) = job.spec.project.and_then(|project| ledger.projects.get(&project)) else { bail!("job {} is about no project", self.job) };
        let root = OsStr::from_bytes(&project.root).into();
        let kind = JobKind::from_str(job.spec.job_type.name(), false).ok();
        let analyze = Analyze { job: kind, only: job.spec.selection.clone(), output: self.output, ..Analyze::of(root) };
        let result = project.history.iter().rev().find(|result| result.job == self.job).map(|result| result.manifest);
        let base = job.spec.base;
        // Of the same files the same result is made.
        let unchanged = base.is_some() && result == base;
        let elapsed = Duration::from_micros((job.over_at.unwrap_or(job.accepted_at) - job.accepted_at).0);
        let spent = Spent { bytes: job.view(self.job).bytes, unchanged, elapsed };
        let selection = analyze.selection(&analyze.path)?;
        let job = self.job;
        analyze.conclude(context, Sink::open(None)?, Ended { ledger, job, base, known: None, selection, spent, otherwise: Exit::RemoteFailed })
    }
}
