//! `bitacora` alone: the dashboard on a terminal, the fleet's status once where there is none.

use std::{env, io::IsTerminal};

use anyhow::Context as _;
use bitacora_core::time::Time;

use super::{Context, output::Sink};
use crate::{
    control::{self, Answer, JobState, NodeState, ProjectState, Request, Snapshot},
    exit::Exit,
    report::{
        table::{self, Column},
        text::{grouped, timestamp},
    },
    tui::{
        self, Ended, Setting,
        theme::{ASCII, Theme, UNICODE},
    },
};

pub(super) fn run(context: &Context) -> anyhow::Result<Exit> {
    let is_dumb = env::var_os("TERM").is_none_or(|term| term == "dumb");
    if !context.streams.stdout_is_terminal || !std::io::stdin().is_terminal() || is_dumb {
        return status(context);
    }
    let setting = Setting {
        control: context.data.control(),
        program: env::current_exe().context("cannot find this program on disk")?,
        arguments: vec!["--data-dir".into(), context.data.root().into()],
        theme: theme(),
    };
    Ok(match tui::run(setting)? {
        Ended::Quit => Exit::Ok,
        Ended::Signalled(signal_hook::consts::SIGINT) => Exit::Interrupted,
        Ended::Signalled(_) | Ended::Alone => Exit::Terminated,
    })
}

/// As the person's environment asks for, and `--color`.
fn theme() -> Theme {
    let colours = match anstream::ColorChoice::global() {
        anstream::ColorChoice::Never => false,
        anstream::ColorChoice::Always | anstream::ColorChoice::AlwaysAnsi => true,
        anstream::ColorChoice::Auto => env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    };
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(|name| env::var(name).ok()).find(|value| !value.is_empty());
    let is_utf8 = locale.is_some_and(|locale| locale.to_ascii_lowercase().replace('-', "").contains("utf8"));
    Theme { colours, signs: if is_utf8 { UNICODE } else { ASCII } }
}

/// One line for each thing that there is: the master, its nodes, the jobs that are not over, the projects.
fn status(context: &Context) -> anyhow::Result<Exit> {
    let place = context.data.root().display();
    let fleet = match control::ask(&context.data.control(), &Request::Snapshot).with_context(|| format!("cannot ask the bitacora that runs on {place}"))? {
        None => {
            context.streams.note(&format!("no bitacora serves {place}; start one with `bitacora serve`, or see `bitacora --help`"));
            return Ok(Exit::Unreachable);
        }
        Some(Answer::Snapshot(fleet)) => fleet,
        Some(answer) => return Ok(context.streams.conclude(&answer)),
    };
    let columns = [Column::Text("Kind"), Column::Text("Name"), Column::Text("Status"), Column::Text("Detail")];
    let mut out = Sink::open(None)?;
    table::write(&mut out, &columns, rows(&fleet), !context.streams.stdout_is_terminal)?;
    out.close()?;
    Ok(Exit::Ok)
}

fn rows(fleet: &Snapshot) -> Vec<Vec<String>> {
    let unfinished = fleet.jobs.iter().filter(|job| !job.status.is_over());
    std::iter::once(master(fleet))
        .chain(fleet.nodes.iter().map(node))
        .chain(unfinished.map(|found| job(found, fleet.at)))
        .chain(fleet.projects.iter().map(project))
        .collect()
}

fn row(kind: &str, name: &str, status: &str, detail: String) -> Vec<String> {
    vec![kind.into(), name.into(), status.into(), detail]
}

fn master(fleet: &Snapshot) -> Vec<String> {
    let counts = format!("{} nodes, {} jobs, {} projects", fleet.nodes.len(), fleet.jobs_all, fleet.projects.len());
    let status = if fleet.listens.is_some() { "serving" } else { "one command" };
    row("master", fleet.listens.as_deref().unwrap_or("-"), status, counts)
}

fn node(node: &NodeState) -> Vec<String> {
    let (whole, tenth) = (node.cpu_permille / 10, node.cpu_permille % 10);
    row("node", &node.name, &node.health, format!("{}, {whole}.{tenth} % load, {} of {} slots", node.availability, node.sparks, node.slots))
}

fn job(job: &JobState, now: Time) -> Vec<String> {
    let seconds = (now - job.accepted_at).0 / 1_000_000;
    let detail = format!("{} %, {} of {} sparks, {} for {seconds} s", job.percent, job.sparks_done, job.sparks, job.project.as_deref().unwrap_or("-"));
    row("job", &job.id.to_string(), job.status.name(), detail)
}

fn project(project: &ProjectState) -> Vec<String> {
    match project.results.last() {
        None => row("project", &project.name, "no result", project.root.clone()),
        Some(last) => row("project", &project.name, "analysed", format!("{} files at {}, {}", grouped(last.files), timestamp(last.at), project.root)),
    }
}
