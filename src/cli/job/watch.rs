//! `bitacora job watch`.

use std::{
    io::Write,
    thread,
    time::{Duration, Instant},
};

use bitacora_core::{fleet::JobStatus, ids::JobId};
use clap::ValueEnum;
use serde::Serialize;

use super::Context;
use crate::{
    cli::{
        analyze::{bar, show},
        output::Sink,
        waits::{LOOK_EVERY, Waits},
    },
    control::{Answer, Progress, Request},
    exit::Exit,
    journal::Journal,
};

/// Between two lines, while the job goes on.
const LINE_EVERY: Duration = Duration::from_secs(1);

/// How each change is written.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum WatchFormat {
    /// Tab-separated, with a line of titles
    Plain,
    /// One JSON document a line
    Ndjson,
}

#[derive(PartialEq, Serialize)]
struct ProgressItem {
    job: String,
    status: String,
    stage: String,
    percent: u32,
    sparks_done: u32,
    sparks: u32,
    files_done: u64,
    files: u64,
    bytes_done: u64,
    bytes: u64,
    bytes_per_second: u64,
    seconds_to_go: Option<u64>,
}

impl ProgressItem {
    fn of(job: JobId, progress: Progress) -> ProgressItem {
        let Progress { over: _, status, stage, files, files_done, bytes, bytes_done, bytes_per_second, seconds_to_go, percent, sparks, sparks_done } = progress;
        let job = job.to_string();
        ProgressItem { job, status, stage, percent, sparks_done, sparks, files_done, files, bytes_done, bytes, bytes_per_second, seconds_to_go }
    }
}

pub(super) fn run(context: &Context, job: JobId, output: Option<WatchFormat>, timeout: Option<u64>) -> anyhow::Result<Exit> {
    let format = output.or((!context.streams.stderr_is_terminal).then_some(WatchFormat::Plain));
    let (begun, mut waits, bar) = (Instant::now(), Waits::new(job), bar(context));
    let (mut out, mut told, mut told_at) = (Sink::open(None)?, None, None::<Instant>);
    if format == Some(WatchFormat::Plain) {
        writeln!(out, "status\tstage\tpercent\tsparks_done\tsparks\tfiles_done\tfiles\tbytes_per_second")?;
    }
    let exit = loop {
        let progress = match context.ask(&Request::Progress { job })? {
            Some(Answer::Progress(progress)) => Some(progress),
            Some(Answer::Busy) => None,
            Some(answer) => return Ok(context.streams.conclude(&answer)),
            None => match at_rest(context, job)? {
                Some(progress) if progress.over => Some(progress),
                Some(_) => {
                    context.streams.note("no bitacora serves, so nothing goes on; `bitacora job show` says how it stands");
                    return Ok(Exit::Unreachable);
                }
                None => {
                    context.streams.note(&format!("there is no job {job}; `bitacora job ls` lists them"));
                    return Ok(Exit::NoMatch);
                }
            },
        };
        if let Some(progress) = progress {
            let over = progress.over.then(|| if progress.status == JobStatus::Completed.name() { Exit::Ok } else { Exit::RemoteFailed });
            match format {
                None => show(&bar, &progress),
                Some(format) => {
                    let item = ProgressItem::of(job, progress);
                    let is_due = over.is_some() || told_at.is_none_or(|at| at.elapsed() >= LINE_EVERY);
                    if is_due && told.as_ref() != Some(&item) {
                        line(&mut out, format, &item)?;
                        (told, told_at) = (Some(item), Some(Instant::now()));
                    }
                }
            }
            if let Some(exit) = over {
                break exit;
            }
        }
        if timeout.is_some_and(|seconds| begun.elapsed().as_secs() >= seconds) {
            context.streams.note(&format!("job {job} is not over; it goes on"));
            break Exit::TimedOut;
        }
        waits.look(context);
        thread::sleep(LOOK_EVERY);
    };
    bar.finish_and_clear();
    out.close()?;
    Ok(exit)
}

/// As the journal has it, where nobody serves.
fn at_rest(context: &Context, job: JobId) -> anyhow::Result<Option<Progress>> {
    let ledger = Journal::read(&context.data.journal())?.unwrap_or_default();
    Ok(ledger.jobs.get(&job).map(|known| Progress::of(&known.view(job))))
}

fn line(out: &mut Sink, format: WatchFormat, item: &ProgressItem) -> anyhow::Result<()> {
    match format {
        WatchFormat::Plain => {
            let ProgressItem { status, stage, percent, sparks_done, sparks, files_done, files, bytes_per_second, .. } = item;
            writeln!(out, "{status}\t{stage}\t{percent}\t{sparks_done}\t{sparks}\t{files_done}\t{files}\t{bytes_per_second}")?;
        }
        WatchFormat::Ndjson => {
            serde_json::to_writer(&mut *out, item)?;
            writeln!(out)?;
        }
    }
    Ok(out.flush()?)
}
