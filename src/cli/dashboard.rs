//! `bitacora` alone: the dashboard on a terminal, the fleet's status once where there is none.

mod plain;

use std::{
    env,
    ffi::OsString,
    fs::Permissions,
    io::IsTerminal,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;
use bitacora_core::{sim::demo::NODES_MAX, time::Time};
use clap::{Args, CommandFactory, ValueEnum};
use tempfile::TempDir;

use super::{
    Arguments, Context, Elsewhere, Given, attach,
    config::{self, Config},
    output::{Sink, Streams},
};
use crate::{
    control::{Answer, JobState, NodeState, ProjectState, Request, Snapshot, relay::Relay, remote::Device},
    data::DataDirectory,
    exit::Exit,
    master::DemoMaster,
    report::{
        table::{self, Column},
        text::{counted, timestamp},
    },
    tui::{
        self, Ended, Setting,
        state::Options,
        theme::{ASCII, Palette, Theme, UNICODE},
    },
};

/// Beside a device's key: what was shown last of that fleet.
const MEMORY_FILE: &str = "dashboard.last";

// Not a doc comment: clap would take it for what the whole program does.
#[derive(Args, Default)]
pub(super) struct Look {
    /// Of the dashboard; as the terminal says if not given
    #[arg(long, value_name = "THEME")]
    theme: Option<ThemeKind>,
    /// Instead of a dashboard: lines to be read aloud, and command lines typed one after the other
    #[arg(long)]
    plain: bool,
    /// A dashboard from which nothing can be changed
    #[arg(long)]
    read_only: bool,
    /// A dashboard that starts no master where none serves
    #[arg(long)]
    no_start: bool,
    /// A dashboard of so many nodes that are made up: no network, nothing on the disk
    #[arg(long, value_name = "N", conflicts_with_all = ["connect", "no_start"], value_parser = clap::value_parser!(u32).range(1..=i64::from(NODES_MAX)))]
    demo: Option<u32>,
    /// Of a demo: the same one plays the same
    #[arg(long, value_name = "N", default_value_t = 1, requires = "demo")]
    seed: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ThemeKind {
    Dark,
    Light,
    HighContrast,
    Mono,
}

impl Look {
    /// It is about the dashboard and nothing else.
    pub(super) fn is_given(&self) -> bool {
        self.theme.is_some() || self.plain || self.read_only || self.no_start || self.is_demo()
    }

    pub(super) fn is_demo(&self) -> bool {
        self.demo.is_some()
    }
}

/// Of this data directory's master, or of one elsewhere.
pub(super) fn run(context: Context, look: &Look, config: &Config, given: &Given) -> anyhow::Result<Exit> {
    let root = context.data.root().to_owned();
    match open(context, look, config)? {
        Next::Exit(exit) => Ok(exit),
        Next::Attach(fleet) => Err(attach_to(fleet, &root, look, given)),
    }
}

/// What comes after a dashboard.
enum Next {
    Exit(Exit),
    /// The dashboard of another fleet; `None` for that of the data directory.
    Attach(Option<String>),
}

/// Becomes the dashboard of another fleet: a new start, so that nothing of this one listens to the keys any more. Returns where that cannot be done.
fn attach_to(fleet: Option<String>, root: &Path, look: &Look, given: &Given) -> anyhow::Error {
    let program = match env::current_exe().context("cannot find this program on disk") {
        Ok(program) => program,
        Err(error) => return error,
    };
    let color = match anstream::ColorChoice::global() {
        anstream::ColorChoice::Auto => "auto",
        anstream::ColorChoice::Never => "never",
        anstream::ColorChoice::Always | anstream::ColorChoice::AlwaysAnsi => "always",
    };
    let mut arguments: Vec<OsString> = vec!["--data-dir".into(), root.into(), "--color".into(), color.into()];
    arguments.extend(fleet.map(|fleet| format!("--connect={fleet}").into()));
    arguments.extend(given.config.iter().flat_map(|config| ["--config".into(), config.into()]));
    let theme = look.theme.and_then(|theme| theme.to_possible_value());
    arguments.extend(theme.into_iter().flat_map(|theme| ["--theme".into(), theme.get_name().into()]));
    let flags = [("--read-only", look.read_only), ("--no-start", look.no_start)];
    arguments.extend(flags.into_iter().filter(|(_, is_given)| *is_given).map(|(flag, _)| flag.into()));
    // What was logged and not written yet would be lost with this program.
    fleet_agent::logging::flush();
    anyhow::Error::new(Command::new(program).args(arguments).exec()).context("cannot start the dashboard of the other fleet")
}

fn open(mut context: Context, look: &Look, config: &Config) -> anyhow::Result<Next> {
    let line = match context.remote.take() {
        Some(Elsewhere::Line(line)) => line,
        other => {
            context.remote = other;
            return show(&context, look, config, Place::default());
        }
    };
    // Lines say at once that there is no master; a screen shows what it showed last.
    if !is_drawn(&context, look) {
        line.connect()?;
    }
    let name = Some(line.device().name.clone());
    let place = Place { name: name.clone(), attached: name, memory: Some(line.device().folder().join(MEMORY_FILE)) };
    let folder = private_folder()?;
    let socket = folder.path().join("control");
    let _relay = Relay::start(&socket, line).context("cannot listen for the commands of this dashboard")?;
    context.remote = Some(Elsewhere::Behind(socket));
    show(&context, look, config, place)
}

/// Another master than this data directory's.
#[derive(Default)]
struct Place {
    /// What it is called on the screen.
    name: Option<String>,
    /// The fleet that this device has joined, if it is one; a demo is none.
    attached: Option<String>,
    /// Where it is kept what was shown of it last.
    memory: Option<PathBuf>,
}

/// On a terminal that can show it.
fn is_drawn(context: &Context, look: &Look) -> bool {
    let is_dumb = env::var_os("TERM").is_none_or(|term| term == "dumb");
    !look.plain && context.streams.stdout_is_terminal && std::io::stdin().is_terminal() && !is_dumb
}

/// Of a fleet that is made up.
pub(super) fn demo(streams: Streams, look: &Look, given: &Given) -> anyhow::Result<Exit> {
    let config = config::load(streams, given)?;
    let folder = private_folder()?;
    let data = DataDirectory::open(Some(folder.path()))?;
    let socket = data.control();
    let _master = DemoMaster::start(&socket, look.seed, look.demo.unwrap_or(1)).context("cannot start the demo")?;
    let context = Context { data, streams, remote: Some(Elsewhere::Behind(socket)) };
    match show(&context, look, &config, Place { name: Some("demo".to_owned()), ..Place::default() })? {
        Next::Exit(exit) => Ok(exit),
        Next::Attach(_) => anyhow::bail!("a demo belongs to no fleet that could be left or gone to"),
    }
}

/// Whoever reaches a socket in it may command: nobody but this user.
fn private_folder() -> anyhow::Result<TempDir> {
    let folder = tempfile::Builder::new().prefix("bitacora-").permissions(Permissions::from_mode(0o700)).tempdir();
    folder.context("cannot make a folder for what lasts as long as this dashboard")
}

/// Where nobody serves the data directory a master is started first, if anything may be changed.
fn show(context: &Context, look: &Look, config: &Config, place: Place) -> anyhow::Result<Next> {
    let options = Options { read_only: look.read_only || config.options.read_only, commands: commands(), ..config.options.clone() };
    let program = env::current_exe().context("cannot find this program on disk")?;
    let (mut arguments, mut control) = (vec!["--data-dir".into(), context.data.root().into()], context.data.control());
    if let Some(Elsewhere::Behind(socket)) = &context.remote {
        arguments.extend(["--behind".into(), socket.into()]);
        control.clone_from(socket);
    }
    if look.plain {
        status(context)?;
        return plain::run(context, &program, &arguments, &options).map(Next::Exit);
    }
    if !is_drawn(context, look) {
        return status(context).map(Next::Exit);
    }
    if context.remote.is_none() && !(look.no_start || options.read_only) {
        attach::have_master(context, &program)?;
    }
    let motion = env::var_os("NO_MOTION").is_none_or(|value| value.is_empty());
    let fleets = Device::all(&context.data.fleets())?.into_iter().map(|device| device.name).collect();
    let options = Options { motion, place: place.name, attached: place.attached, fleets, ..options };
    let wanted = look.theme.or(config.theme);
    let theme = theme(wanted, config.unicode);
    // The console of Linux answers nothing.
    let asks_background = wanted.is_none() && theme.palette != Palette::Mono && env::var_os("TERM").is_some_and(|term| term != "linux");
    Ok(match tui::run(Setting { control, program, arguments, theme, asks_background, options, memory: place.memory })? {
        Ended::Quit => Next::Exit(Exit::Ok),
        Ended::Attach(fleet) => Next::Attach(fleet),
        Ended::Signalled(signal) => Next::Exit(Exit::of_signal(signal)),
        Ended::Alone => Next::Exit(Exit::Terminated),
    })
}

/// The beginnings of all command lines.
pub(super) fn commands() -> Vec<String> {
    let (mut lines, mut program) = (Vec::new(), Arguments::command());
    // Only then is `help` one of them.
    program.build();
    for command in program.get_subcommands().filter(|command| !command.is_hide_set()) {
        lines.push(command.get_name().to_owned());
        lines.extend(command.get_subcommands().map(|inner| format!("{} {}", command.get_name(), inner.get_name())));
    }
    lines
}

/// As the person asks for, or the environment, or `--color`.
fn theme(wanted: Option<ThemeKind>, unicode: Option<bool>) -> Theme {
    let palette = match wanted {
        _ if !has_colours() => Palette::Mono,
        Some(ThemeKind::Dark) => Palette::Dark,
        Some(ThemeKind::Light) => Palette::Light,
        Some(ThemeKind::HighContrast) => Palette::HighContrast,
        Some(ThemeKind::Mono) => Palette::Mono,
        None if env::var("COLORFGBG").is_ok_and(|colours| is_light(&colours)) => Palette::Light,
        None => Palette::Dark,
    };
    Theme { palette, signs: if unicode.unwrap_or_else(is_utf8) { UNICODE } else { ASCII } }
}

/// As `--color` and the environment say.
pub(super) fn has_colours() -> bool {
    match anstream::ColorChoice::global() {
        anstream::ColorChoice::Never => false,
        anstream::ColorChoice::Always | anstream::ColorChoice::AlwaysAnsi => true,
        anstream::ColorChoice::Auto => env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    }
}

/// Does the terminal show more than ASCII?
pub(super) fn is_utf8() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(|name| env::var(name).ok()).find(|value| !value.is_empty());
    locale.is_some_and(|locale| locale.to_ascii_lowercase().replace('-', "").contains("utf8"))
}

/// `15;0`: the numbers of the colours of text and of what is behind it, as some terminals say.
fn is_light(colours: &str) -> bool {
    matches!(colours.rsplit(';').next(), Some("7" | "9" | "10" | "11" | "12" | "13" | "14" | "15"))
}

/// One line for each thing that there is: the master, its nodes, the jobs that are not over, the projects.
fn status(context: &Context) -> anyhow::Result<Exit> {
    let place = context.data.root().display();
    let fleet = match context.ask(&Request::Snapshot)? {
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
    let counts = [(fleet.nodes.len() as u64, "node"), (fleet.jobs_all, "job"), (fleet.projects.len() as u64, "project")]
        .map(|(count, one)| counted(count, one))
        .join(", ");
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
        Some(last) => row("project", &project.name, "analysed", format!("{} at {}, {}", counted(last.files, "file"), timestamp(last.at), project.root)),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::{
        cli::Arguments,
        tui::actions::{ACTIONS, Danger, Does, Row},
    };

    /// Something that each place of a line may hold.
    const SAMPLES: &[(&str, &[&str])] = &[
        ("{node}", &["anvil"]),
        ("{id}", &["n1.3"]),
        ("{job}", &["j1.9"]),
        ("{spark}", &["j1.9/3"]),
        ("{project}", &["p1.4"]),
        ("{name}", &["linux"]),
        ("{root}", &["/src/linux"]),
        ("{key}", &["k4b1d2"]),
        ("{priority}", &["normal"]),
        ("{higher}", &["high"]),
        ("{lower}", &["low"]),
        ("{closed}", &["drain", "anvil", "--deadline", "9s", "--detach"]),
        ("{nodes}", &["anvil", "zone=eu"]),
        ("{labels}", &["zone=us", "rack-"]),
        ("{said}", &["j1.9"]),
    ];

    fn typed(row: &Row) -> &'static [&'static str] {
        match row.name {
            "label" => &["zone=eu", "rack-"],
            "run" => &["make", "-j2"],
            "shutdown" => &[],
            _ => &["something"],
        }
    }

    fn parses(row: &Row, line: &str) {
        let words = line.split(' ').flat_map(|word| match SAMPLES.iter().find(|(place, _)| *place == word) {
            Some((_, sample)) => sample.to_vec(),
            None if word == "{typed}" => typed(row).to_vec(),
            None => vec![word],
        });
        let words: Vec<&str> = std::iter::once("bitacora").chain(words).collect();
        assert!(!words.iter().any(|word| word.starts_with('{')), "{words:?} has a place of which there is no sample");
        if let Err(error) = Arguments::try_parse_from(&words) {
            panic!("{}: {words:?}: {error}", row.name);
        }
    }

    #[test]
    fn what_a_key_runs_is_a_command_of_this_program() {
        for row in ACTIONS {
            let Does::Command(command) = &row.does else { continue };
            parses(row, command.line);
            if let Danger::Reversible { undo: Some(undo) } = command.danger {
                parses(row, undo);
            }
        }
    }
}
