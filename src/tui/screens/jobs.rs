//! The jobs: how far they are, when they will be done, and why they wait.

use super::{Column, Line, Piece, paint, short};
use crate::{
    control::JobState,
    report::text::{bytes, grouped, timestamp},
    tui::{
        state::State,
        theme::{Theme, Tone},
        widgets::spark,
    },
};

pub(super) const COLUMNS: [Column; 8] = [
    Column::new("STATUS", 11, 0),
    Column::new("JOB", 7, 1).up_to(10),
    Column::new("DONE", 17, 2),
    Column::new("ETA", 7, 3).right(),
    Column::new("PROJECT", 10, 4).up_to(24),
    Column::new("SPARKS", 9, 6).right(),
    Column::new("PRIORITY", 10, 5),
    Column::new("TYPE", 12, 7).up_to(20),
];

/// Sparks that are listed with their job; all of them are a list of their own.
const RUNNING_MAX: usize = 8;
/// Cells of a job's bar in a list.
const BAR: usize = 12;

fn status(job: &JobState, theme: Theme) -> Piece {
    let (sign, tone) = theme.sign(job.status.name());
    (format!("{sign} {}", job.status.name()), tone)
}

/// What is left at the present rate; of a job that does not run there is no telling.
fn eta(job: &JobState) -> String {
    match job.progress.seconds_to_go {
        Some(seconds) if !job.status.is_over() => short(bitacora_core::time::Span::from_secs(seconds)),
        _ => "-".into(),
    }
}

/// The project that it is about, or else its command.
fn project(job: &JobState) -> &str {
    job.project.as_deref().or(job.command.as_deref()).unwrap_or("-")
}

fn done(job: &JobState, theme: Theme) -> String {
    format!("{} {:>3}%", spark::gauge(job.percent, BAR, theme.signs), job.percent)
}

pub(super) fn cells(state: &State, place: usize, theme: Theme) -> Vec<Piece> {
    let job = &state.fleet.jobs[place];
    vec![
        status(job, theme),
        (job.id.to_string(), Tone::Title),
        (done(job, theme), Tone::Accent),
        (eta(job), Tone::Text),
        (project(job).to_owned(), Tone::Text),
        (format!("{}/{}", job.sparks_done, job.sparks), Tone::Text),
        (job.priority.name().to_owned(), Tone::Dim),
        (job.job_type.name().to_owned(), Tone::Dim),
    ]
}

pub(super) fn card(state: &State, place: usize, theme: Theme) -> [Line; 2] {
    let job = &state.fleet.jobs[place];
    let (status, tone) = status(job, theme);
    let first = vec![(format!("{status:<11} "), tone), (format!("{:<7} ", job.id.to_string()), Tone::Title), (done(job, theme), Tone::Accent)];
    let dot = theme.signs.dot;
    let second = format!("{} {dot} {} {dot} {}/{} {dot} {}", project(job), job.priority.name(), job.sparks_done, job.sparks, eta(job));
    [first, paint::plain(second, Tone::Dim)]
}

pub(super) fn detail(state: &State, theme: Theme) -> Vec<Line> {
    let Some(job) = state.selected_job() else { return Vec::new() };
    let (status, tone) = status(job, theme);
    let progress = &job.progress;
    let mut lines = vec![
        vec![(format!("{} ", job.id), Tone::Title), (status, tone), (format!("  {}", job.job_type.name()), Tone::Dim)],
        paint::field("project", project(job)),
        vec![(format!("{:<11} ", "done"), Tone::Dim), (done(job, theme), Tone::Accent), (format!(", to go {}", eta(job)), Tone::Text)],
    ];
    if !job.status.is_over() {
        lines.push(paint::field("stage", format!("{}, {}/s", progress.stage, bytes(progress.bytes_per_second))));
    }
    let known = state.job_detail();
    let reasons = known.map(|detail| detail.reasons.as_slice()).unwrap_or_default();
    lines.extend(reasons.iter().enumerate().map(|(nth, reason)| paint::field(if nth == 0 { "why" } else { "" }, reason.as_str())));
    lines.push(paint::field("files", format!("{} of {}", grouped(progress.files_done), grouped(progress.files))));
    lines.push(paint::field("bytes", format!("{} of {}", bytes(progress.bytes_done), bytes(progress.bytes))));
    lines.push(paint::field("sparks", format!("{} of {}, {} attempts", job.sparks_done, job.sparks, job.attempts)));
    lines.extend(known.filter(|detail| !detail.counts.is_empty()).map(|detail| {
        let counts: Vec<String> = detail.counts.iter().map(|(status, count)| format!("{count} {status}")).collect();
        paint::field("", counts.join(", "))
    }));
    lines.push(paint::field("priority", job.priority.name()));
    lines.push(paint::field("accepted", timestamp(job.accepted_at)));
    lines.extend(job.over_at.map(|at| paint::field("over", format!("{}, after {}", timestamp(at), short(at - job.accepted_at)))));
    let running = known.into_iter().flat_map(|detail| &detail.sparks).filter(|spark| spark.status == "running").take(RUNNING_MAX);
    lines.extend(running.enumerate().map(|(nth, spark)| {
        let node = spark.node.as_deref().unwrap_or("-");
        paint::field(if nth == 0 { "runs" } else { "" }, format!("{} on {node}, {} of {} files", spark.id, spark.files_done, spark.files))
    }));
    lines
}
