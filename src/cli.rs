//! The command line: one file per command. A command's arguments are documented where they are declared, and that is
//! the help.

mod analyze;
mod attach;
mod audit;
mod authority;
mod bench;
mod cache;
mod completions;
mod config;
mod dashboard;
mod deps;
mod doctor;
mod duration;
mod elsewhere;
mod events;
mod export;
mod import;
mod job;
mod join;
mod man;
mod manner;
mod metrics;
mod node;
mod output;
mod passphrase;
mod project;
mod replay;
mod schema;
mod script;
mod serve;
mod size;
mod spark;
mod symbols;
mod wait;
mod waits;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

use self::output::{Streams, UsageError};
use crate::{
    control::{self, Answer, Request, relay::Line, remote::Device},
    data::DataDirectory,
    exit::Exit,
    report::text::harmless,
};

/// Analyses source trees, on this machine or on a fleet. Alone on a terminal it is the fleet's dashboard.
#[derive(Parser)]
#[command(name = "bitacora", version, max_term_width = 100)]
struct Arguments {
    /// Where state is kept, instead of the platform's folder
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Colours: auto, always or never; NO_COLOR and CLICOLOR_FORCE are honoured
    #[arg(long, global = true, default_value = "auto", value_name = "WHEN")]
    color: output::ColorWhen,
    #[command(flatten)]
    look: dashboard::Look,
    /// Asks the master of a fleet elsewhere, which this device has joined: by the fleet's name, or by its master's host
    #[arg(long, global = true, value_name = "FLEET")]
    connect: Option<String>,
    /// The configuration, instead of the one that `bitacora config path` names
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Asks a dashboard that has a master elsewhere, or plays one
    #[arg(long, global = true, hide = true, value_name = "SOCKET")]
    behind: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    #[command(flatten)]
    WithData(DataCommand),
    #[command(flatten)]
    Alone(AloneCommand),
}

// What reads or changes a data directory, or asks the master that does. (clap would take a doc comment for what the program does.)
#[derive(Subcommand)]
enum DataCommand {
    Analyze(analyze::Analyze),
    Symbols(symbols::Symbols),
    Metrics(metrics::Metrics),
    Deps(deps::Deps),
    #[command(subcommand)]
    Project(project::ProjectCommand),
    #[command(subcommand)]
    Job(job::JobCommand),
    #[command(subcommand)]
    Spark(spark::SparkCommand),
    #[command(subcommand)]
    Cache(cache::CacheCommand),
    #[command(subcommand)]
    Bench(bench::BenchCommand),
    Serve(serve::Serve),
    Join(join::Join),
    #[command(subcommand)]
    Node(node::NodeCommand),
    Events(events::Events),
    Replay(replay::Replay),
    Wait(wait::Wait),
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    #[command(subcommand)]
    Authority(authority::AuthorityCommand),
    Export(export::Export),
    Import(import::Import),
    #[command(hide = true)]
    ReportJob(analyze::ReportJob),
    /// The agent of the machine that serves
    #[command(hide = true)]
    RunAgent,
}

// What needs no data directory, and so runs where there can be none.
#[derive(Subcommand)]
enum AloneCommand {
    Script(script::Script),
    Schema(schema::Schema),
    Completions(completions::Completions),
    Man(man::Man),
    #[command(subcommand)]
    Config(config::ConfigCommand),
    Doctor(doctor::Doctor),
    /// Stands over one command
    #[command(hide = true, name = "run-command")]
    Supervise,
    /// Parses for a parent process
    #[command(hide = true)]
    RunParser,
}

/// What was given for whichever command it is.
struct Given {
    data_dir: Option<PathBuf>,
    connect: Option<String>,
    config: Option<PathBuf>,
    behind: Option<PathBuf>,
}

/// What a command is given besides its own arguments.
struct Context {
    data: DataDirectory,
    streams: Streams,
    /// The master that is asked instead of this data directory's.
    remote: Option<Elsewhere>,
}

/// A master that has no data directory here.
enum Elsewhere {
    Line(Line),
    /// Behind a socket of another process.
    Behind(PathBuf),
}

impl Context {
    /// `None` where the fleet that was named is none of this device's; that was said.
    fn open(streams: Streams, given: &Given) -> anyhow::Result<Option<Context>> {
        let remote = given.behind.clone().map(Elsewhere::Behind);
        let mut context = Context { data: DataDirectory::open(given.data_dir.as_deref())?, streams, remote };
        if let Some(wanted) = given.connect.as_deref() {
            let fleets = context.data.fleets();
            let Some(device) = Device::find(&fleets, wanted)? else {
                let known: Vec<String> = Device::all(&fleets)?.into_iter().map(|device| device.name).collect();
                let known = if known.is_empty() { "this device has joined none".to_owned() } else { format!("there are {}", known.join(", ")) };
                streams.note(&format!("there is no fleet {wanted}: {known}; `bitacora join` joins one"));
                return Ok(None);
            };
            context.remote = Some(Elsewhere::Line(Line::to(device)));
        }
        Ok(Some(context))
    }

    /// Is there a master that stays? Whoever needs the data directory for himself would wait for it for ever.
    fn is_served_for_good(&self) -> anyhow::Result<bool> {
        let stays = self.has_fleet()?;
        if stays {
            self.streams.note(&format!("refused: a bitacora serves {}; end it first", self.data.root().display()));
        }
        Ok(stays)
    }

    /// Is there a master that nodes link to?
    fn has_fleet(&self) -> anyhow::Result<bool> {
        Ok(matches!(self.ask(&Request::Snapshot)?, Some(Answer::Snapshot(fleet)) if fleet.listens.is_some()))
    }

    /// The master's answer; `None` where nobody serves this data directory.
    fn ask(&self, request: &Request) -> anyhow::Result<Option<Answer>> {
        let place = || format!("cannot ask the bitacora that runs on {}", self.data.root().display());
        match &self.remote {
            Some(Elsewhere::Line(line)) => Ok(Some(line.ask(request)?)),
            Some(Elsewhere::Behind(socket)) => control::ask(socket, request).with_context(place),
            None => control::ask(&self.data.control(), request).with_context(place),
        }
    }
}

/// Runs the program.
pub fn main() -> Exit {
    if let Some(exit) = completions::answer_shell() {
        return exit;
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // There is nothing to do when the help cannot be printed.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Ok };
        }
    };
    arguments.color.apply();
    let streams = Streams::new();
    let given = Given { data_dir: arguments.data_dir, connect: arguments.connect, config: arguments.config, behind: arguments.behind };
    let result = match arguments.command {
        Some(_) if arguments.look.is_given() => {
            Err(UsageError("--theme, --plain, --read-only, --no-start and --demo are for the dashboard, without a command".into()).into())
        }
        None if arguments.look.is_demo() => dashboard::demo(streams, &arguments.look, &given),
        Some(Command::Alone(command)) => command.run(streams, &given),
        Some(Command::WithData(command)) => run((Some(command), &arguments.look), streams, &given),
        None => run((None, &arguments.look), streams, &given),
    };
    let exit = result.unwrap_or_else(|error| streams.fail(&error));
    fleet_agent::logging::flush();
    exit
}

fn run((command, look): (Option<DataCommand>, &dashboard::Look), streams: Streams, given: &Given) -> anyhow::Result<Exit> {
    let is_elsewhere = given.connect.is_some() || given.behind.is_some();
    if is_elsewhere && command.as_ref().is_some_and(|command| !command.is_for_any_master()) {
        return Err(UsageError("this command needs the disk of the master itself: run it there".to_owned()).into());
    }
    let Some(context) = Context::open(streams, given)? else { return Ok(Exit::NoMatch) };
    match command {
        Some(command) => command.run(&context),
        None => dashboard::run(context, look, &config::load(streams, given)?, given),
    }
}

impl DataCommand {
    /// Can it be asked of a master elsewhere? Everything else reads or writes the data directory itself.
    fn is_for_any_master(&self) -> bool {
        matches!(
            self,
            DataCommand::Node(_)
                | DataCommand::Job(_)
                | DataCommand::Spark(_)
                | DataCommand::Project(_)
                | DataCommand::Events(_)
                | DataCommand::Replay(_)
                | DataCommand::Wait(_)
                | DataCommand::Audit(_)
                | DataCommand::Analyze(_)
                | DataCommand::Symbols(_)
                | DataCommand::Metrics(_)
                | DataCommand::Deps(_)
        )
    }

    fn run(self, context: &Context) -> anyhow::Result<Exit> {
        match self {
            DataCommand::Analyze(command) => command.run(context),
            DataCommand::Symbols(command) => command.run(context),
            DataCommand::Metrics(command) => command.run(context),
            DataCommand::Deps(command) => command.run(context),
            DataCommand::Project(command) => command.run(context),
            DataCommand::Job(command) => command.run(context),
            DataCommand::Spark(command) => command.run(context),
            DataCommand::Cache(command) => command.run(context),
            DataCommand::Bench(command) => command.run(context),
            DataCommand::Serve(command) => command.run(context),
            DataCommand::Join(command) => command.run(context),
            DataCommand::Node(command) => command.run(context),
            DataCommand::Events(command) => command.run(context),
            DataCommand::Replay(command) => command.run(context),
            DataCommand::Wait(command) => command.run(context),
            DataCommand::Audit(command) => command.run(context),
            DataCommand::Authority(command) => command.run(context),
            DataCommand::Export(command) => command.run(context),
            DataCommand::Import(command) => command.run(context),
            DataCommand::ReportJob(command) => command.run(context),
            DataCommand::RunAgent => {
                let tell = |text: &str| fleet_agent::logging::tell(&harmless(&format!("the agent of this machine: {text}")));
                Ok(fleet_agent::resident::child_main(context.data.root(), tell).map(|()| Exit::Ok)?)
            }
        }
    }
}

impl AloneCommand {
    fn run(self, streams: Streams, given: &Given) -> anyhow::Result<Exit> {
        match self {
            AloneCommand::Script(command) => command.run(streams, given),
            AloneCommand::Schema(command) => command.run(),
            AloneCommand::Completions(command) => command.run(),
            AloneCommand::Man(command) => command.run(),
            AloneCommand::Config(command) => command.run(streams, given),
            AloneCommand::Doctor(command) => command.run(streams, given),
            AloneCommand::Supervise => Ok(fleet_agent::command::supervise().map(|()| Exit::Ok)?),
            AloneCommand::RunParser => Ok(fleet_agent::isolation::serve().map(|()| Exit::Ok)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn unexplained(command: &clap::Command) -> Vec<String> {
        let here = command.get_positionals().filter(|argument| argument.get_help().is_none());
        let here = here.map(|argument| format!("{} {}", command.get_name(), argument.get_id()));
        here.chain(command.get_subcommands().flat_map(unexplained)).collect()
    }

    #[test]
    fn every_argument_without_a_flag_is_explained() {
        assert_eq!(unexplained(&Arguments::command()), Vec::<String>::new());
    }
}
