//! `bitacora project …`.

mod summary;

use std::{
    io::Write,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use bitacora_core::{
    fleet::{Ledger, NodeSelector, Project, Requester, Settings},
    ids::ProjectId,
};
use clap::Subcommand;
use serde::Serialize;

use self::summary::Summary;
use super::{
    Context, elsewhere,
    manner::{self, Trial},
    output::{Sink, UsageError, write_items},
};
use crate::{
    control::{self, Answer, ProjectWish, Request, report::Report},
    exit::Exit,
    journal::Journal,
    master::Master,
    report::{
        AnalysisFormat, Format,
        table::{self, Column},
        text::{counted, grouped, harmless, timestamp},
    },
    result::{ResultError, StoredResult, find_project, find_to_change},
};

/// The source trees that were analysed, and their results
#[derive(Subcommand)]
pub(super) enum ProjectCommand {
    /// Lists projects
    Ls {
        #[arg(short, long, value_name = "FORMAT")]
        output: Option<Format>,
    },
    /// Shows a project's last result and its history
    Show {
        /// Its name, id or folder; not needed when there is only one, or inside of it
        project: Option<String>,
        #[arg(short, long, value_name = "FORMAT")]
        output: Option<Format>,
    },
    /// Knows a folder as a project before anything of it is analysed, and prints its id: its sparks can be assigned to nodes first
    Add {
        /// The folder; with --connect one of the master's machine
        path: PathBuf,
        /// What it is called, instead of its folder's name
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        #[command(flatten)]
        trial: Trial,
    },
    /// Gives a project another name
    Rename {
        /// Its name, id or folder
        project: String,
        /// What it is to be called
        name: String,
        #[command(flatten)]
        trial: Trial,
    },
    /// Says on which nodes a project's sparks run from now on; on all of them if none is named
    Assign {
        /// Its name, id or folder
        project: String,
        /// Names of nodes, any of them; or labels KEY=VALUE or KEY, all of them
        nodes: Vec<String>,
        #[command(flatten)]
        trial: Trial,
    },
    /// Forgets a project and its results; its folder is not touched
    Rm {
        /// Its name, id or folder
        project: String,
        #[command(flatten)]
        trial: Trial,
    },
}

#[derive(Serialize)]
struct ProjectItem {
    id: String,
    name: String,
    root: String,
    /// Where its sparks run; empty for everywhere.
    nodes: String,
    results: Vec<ResultItem>,
    /// Of the last result, where one project is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<Summary>,
}

#[derive(Serialize)]
struct ResultItem {
    job: String,
    at: String,
    files: u64,
    lines: u64,
    code: u64,
    functions: u64,
    skipped: u64,
    failed: u64,
}

impl ProjectCommand {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        match self {
            ProjectCommand::Ls { output } => list(context, output),
            ProjectCommand::Show { project, output } => show(context, project.as_deref(), output),
            ProjectCommand::Add { path, name, trial } => add(context, &path, name, &trial),
            ProjectCommand::Rename { project, name, trial } => rename(context, &project, name, &trial),
            ProjectCommand::Assign { project, nodes, trial } => assign(context, &project, &nodes, &trial),
            ProjectCommand::Rm { project, trial } => remove(context, &project, &trial),
        }
    }
}

fn item((id, project): (ProjectId, &Project)) -> ProjectItem {
    let results = project.history.iter().map(|result| ResultItem {
        job: result.job.to_string(),
        at: timestamp(result.at),
        files: result.totals.files,
        lines: result.totals.lines,
        code: result.totals.code,
        functions: result.totals.functions,
        skipped: result.totals.skipped,
        failed: result.totals.failed,
    });
    let root = String::from_utf8_lossy(&project.root).into_owned();
    ProjectItem { id: id.to_string(), name: project.name.clone(), root, nodes: project.nodes.to_string(), results: results.collect(), summary: None }
}

fn list(context: &Context, output: Option<Format>) -> anyhow::Result<Exit> {
    let ledger = ledger(context)?;
    let items: Vec<ProjectItem> = ledger.projects.iter().map(|(id, project)| item((*id, project))).collect();
    let mut columns =
        vec![Column::Text("Name"), Column::Text("Id"), Column::Number("Files"), Column::Number("Code"), Column::Text("Last result"), Column::Text("Folder")];
    let format = Format::or_for(output, context.streams.stdout_is_terminal);
    let wide = format == Format::Wide;
    if wide {
        columns.extend([Column::Number("Lines"), Column::Number("Functions"), Column::Number("Skipped"), Column::Number("Failed"), Column::Text("Nodes")]);
    }
    let number = |number: u64| if format == Format::Plain { number.to_string() } else { grouped(number) };
    let rows = items.iter().map(|item| {
        let last = item.results.last();
        let number = |get: fn(&ResultItem) -> u64| last.map_or_else(|| "-".to_owned(), |last| number(get(last)));
        let at = last.map_or_else(|| "none".to_owned(), |last| last.at.clone());
        let mut row = vec![item.name.clone(), item.id.clone(), number(|last| last.files), number(|last| last.code), at, item.root.clone()];
        if wide {
            row.extend([number(|last| last.lines), number(|last| last.functions), number(|last| last.skipped), number(|last| last.failed)]);
            row.push(if item.nodes.is_empty() { "all".to_owned() } else { item.nodes.clone() });
        }
        row
    });
    write_items(context, Some(format), "projects", &items, &columns, rows.collect(), |item| &item.name)
}

fn show(context: &Context, wanted: Option<&str>, output: Option<Format>) -> anyhow::Result<Exit> {
    if context.remote.is_some() {
        let sink = Sink::open(None)?;
        match elsewhere::begin(context, &sink, Report::Project { project: wanted.map(str::to_owned) }, output.map(AnalysisFormat::Common))? {
            Ok(reporting) => return elsewhere::print(context, sink, &reporting),
            // A fleet that is made up has projects, and no results on a disk.
            Err(Answer::Unknown(_)) => {}
            Err(answer) => return Ok(context.streams.conclude(&answer)),
        }
    }
    let ledger = ledger(context)?;
    let found = find_project(&ledger, wanted)?;
    let mut item = item(found);
    let overview = StoredResult::last(&context.data, found.1).ok().map(|result| result.manifest.overview()).transpose()?;
    let format = Format::or_for(output, context.streams.stdout_is_terminal);
    let columns = [
        Column::Text("Job"),
        Column::Text("At"),
        Column::Number("Files"),
        Column::Number("Lines"),
        Column::Number("Functions"),
        Column::Number("Skipped"),
        Column::Number("Failed"),
    ];
    let number = |number: u64| if format == Format::Plain { number.to_string() } else { grouped(number) };
    let rows = item.results.iter().rev().map(|result| {
        let numbers = [result.files, result.lines, result.functions, result.skipped, result.failed].map(number);
        [result.job.clone(), result.at.clone()].into_iter().chain(numbers).collect()
    });
    let rows = rows.collect();
    item.summary = overview.clone().map(Summary::of);
    if matches!(format, Format::Table | Format::Wide) {
        let mut out = Sink::open(None)?;
        writeln!(out, " {} ({}) in {}\n", harmless(&item.name), item.id, harmless(&item.root))?;
        if let Some(overview) = &overview {
            table::summary(&mut out, overview, format == Format::Wide)?;
        }
        writeln!(out, "\n History")?;
        out.close()?;
    }
    write_items(context, Some(format), "projects", &[item], &columns, rows, |item| &item.name)
}

/// Of a master elsewhere the projects alone.
pub(super) fn ledger(context: &Context) -> anyhow::Result<Ledger> {
    if context.remote.is_some() {
        return Ok(match context.ask(&Request::Projects)? {
            Some(Answer::Projects(projects)) => Ledger { projects, ..Ledger::default() },
            _ => Ledger::default(),
        });
    }
    Ok(Journal::read(&context.data.journal())?.unwrap_or_default())
}

fn add(context: &Context, path: &Path, name: Option<String>, trial: &Trial) -> anyhow::Result<Exit> {
    name.iter().try_for_each(|name| check_name(name))?;
    let root = match context.remote.is_some() {
        true if path.is_absolute() => path.to_owned(),
        true => return Err(UsageError(format!("{} is a folder of the master's machine and has to be named from / on", path.display())).into()),
        false => folder(path)?,
    };
    let ledger = ledger(context)?;
    let known = ledger.projects.iter().find(|(_, project)| project.root == root.as_os_str().as_bytes());
    // Before it is added: the name may be refused.
    if let (None, Some(name)) = (known, &name)
        && ledger.projects.values().any(|project| project.name == *name)
    {
        context.streams.note(&format!("refused: another project is called {name}"));
        return Ok(Exit::Refused);
    }
    if trial.dry_run {
        return Ok(manner::tell(context, known.is_none().then(|| format!("know {} as a project", root.display())).as_deref()));
    }
    let root = root.into_os_string().into_vec();
    let answer = match context.ask(&Request::AddProject { root: root.clone() })? {
        Some(answer) => answer,
        None => alone(context)?.add_project(Requester::Fleet, &root)?,
    };
    let Answer::Added { project, name: called, is_new } = answer else { return Ok(context.streams.conclude(&answer)) };
    match name {
        Some(name) if is_new && name != called => {
            let exit = carry_out(context, project, &ProjectWish::Rename(name))?;
            if exit != Exit::Ok {
                return Ok(exit);
            }
        }
        _ if !is_new => context.streams.note(&format!("the folder is known as project {called}; `bitacora project rename` changes that")),
        _ => {}
    }
    let mut out = Sink::open(None)?;
    writeln!(out, "{project}")?;
    out.close()?;
    Ok(Exit::Ok)
}

fn folder(path: &Path) -> Result<PathBuf, UsageError> {
    let folder = path.canonicalize().map_err(|error| UsageError(format!("cannot resolve {}: {error}", path.display())))?;
    if folder.is_dir() { Ok(folder) } else { Err(UsageError(format!("{} is not a folder", folder.display()))) }
}

fn rename(context: &Context, wanted: &str, name: String, trial: &Trial) -> anyhow::Result<Exit> {
    check_name(&name)?;
    let ledger = ledger(context)?;
    let (id, project) = meant(context, &ledger, wanted)?;
    if trial.dry_run {
        let plan = (project.name != name).then(|| format!("call project {} {name}", project.name));
        return Ok(manner::tell(context, plan.as_deref()));
    }
    carry_out(context, id, &ProjectWish::Rename(name))
}

fn check_name(name: &str) -> Result<(), UsageError> {
    if name.is_empty() || name.chars().any(|c| c.is_control() || c == '/') {
        return Err(UsageError(format!("{name:?} is no name for a project: empty, or with a slash or a control character")));
    }
    if name.parse::<ProjectId>().is_ok() {
        return Err(UsageError(format!("{name} is no name for a project: it has the form of an id, and would be taken for one")));
    }
    Ok(())
}

fn assign(context: &Context, wanted: &str, nodes: &[String], trial: &Trial) -> anyhow::Result<Exit> {
    let nodes = match nodes {
        [] => NodeSelector::default(),
        nodes => nodes.join(",").parse().map_err(|error| UsageError(format!("{error}")))?,
    };
    let ledger = ledger(context)?;
    let (id, project) = meant(context, &ledger, wanted)?;
    if trial.dry_run {
        let place = if nodes == NodeSelector::default() { "all nodes".to_owned() } else { nodes.to_string() };
        let plan = (project.nodes != nodes).then(|| format!("run what project {} asks for on {place}", project.name));
        return Ok(manner::tell(context, plan.as_deref()));
    }
    // A master that serves may have nodes to come.
    if !nodes.is_empty() && context.remote.is_none() && !ledger.knows_one_of(&nodes) && !context.has_fleet()? {
        context.streams.note(&format!("no node is known that {nodes} means, and no bitacora serves a fleet from here; `bitacora serve` does"));
        return Ok(Exit::NoMatch);
    }
    if !nodes.is_empty() && context.remote.is_none() && !ledger.knows_one_of(&nodes) {
        context.streams.note(&format!("no node is known yet that {nodes} means: what {} asks for waits for one", project.name));
    }
    carry_out(context, id, &ProjectWish::Assign(nodes))
}

fn remove(context: &Context, wanted: &str, trial: &Trial) -> anyhow::Result<Exit> {
    let ledger = ledger(context)?;
    let (id, project) = meant(context, &ledger, wanted)?;
    let (results, root) = (counted(project.history.len() as u64, "result"), String::from_utf8_lossy(&project.root));
    let plan = format!("project {} ({id}) and its {results}; the folder {root} stays", project.name);
    if trial.dry_run {
        context.streams.note(&format!("would forget {plan}"));
        return Ok(Exit::WouldChange);
    }
    if !trial.yes {
        context.streams.note(&format!("this forgets {plan}; say --yes to do it"));
        return Ok(Exit::Refused);
    }
    carry_out(context, id, &ProjectWish::Remove)
}

/// The project that is to be changed. Whoever meant a name hears when it was the folder that was found.
pub(super) fn meant<'l>(context: &Context, ledger: &'l Ledger, wanted: &str) -> Result<(ProjectId, &'l Project), ResultError> {
    let (id, project, by_folder) = find_to_change(ledger, wanted)?;
    if by_folder {
        context.streams.note(&format!("{wanted} is the folder of project {} ({id})", project.name));
    }
    Ok((id, project))
}

/// A master for this command alone.
fn alone(context: &Context) -> anyhow::Result<Master> {
    let waiting = |holder: &str| context.streams.note(&format!("waiting for bitacora (process {holder}) to end"));
    Ok(Master::open(&context.data, Settings::for_one_command(), waiting)?)
}

/// By the running master, or by this process when there is none.
fn carry_out(context: &Context, project: ProjectId, command: &ProjectWish) -> anyhow::Result<Exit> {
    let request = Request::Project { project, command: command.clone() };
    let answer = match context.ask(&request)? {
        Some(answer) => answer,
        None => control::outcome(&alone(context)?.request(command.clone().event(project))?),
    };
    Ok(context.streams.conclude(&answer))
}
