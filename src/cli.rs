//! The command line: one file per command. A command's arguments are documented where they are declared, and that is
//! the help.

mod analyze;
mod attach;
mod audit;
mod authority;
mod bench;
mod cache;
mod dashboard;
mod duration;
mod events;
mod export;
mod import;
mod job;
mod metrics;
mod node;
mod output;
mod passphrase;
mod project;
mod schema;
mod serve;
mod span;
mod spark;
mod symbols;
mod wait;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use self::output::Streams;
use crate::{data::DataDirectory, exit::Exit};

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
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    Analyze(analyze::Analyze),
    Symbols(symbols::Symbols),
    Metrics(metrics::Metrics),
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
    #[command(subcommand)]
    Node(node::NodeCommand),
    Events(events::Events),
    Wait(wait::Wait),
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    #[command(subcommand)]
    Authority(authority::AuthorityCommand),
    Export(export::Export),
    Import(import::Import),
    Schema(schema::Schema),
    /// One spark for a parent process
    #[command(hide = true)]
    RunSpark,
    /// The agent of the machine that serves
    #[command(hide = true)]
    RunAgent,
    /// Stands over one command
    #[command(hide = true, name = "run-command")]
    Supervise,
}

/// What a command is given besides its own arguments.
struct Context {
    data: DataDirectory,
    streams: Streams,
}

/// Runs the program.
pub fn main() -> Exit {
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
    let data = || DataDirectory::open(arguments.data_dir.as_deref()).map_err(anyhow::Error::from);
    let result = match arguments.command {
        Some(_) if arguments.look.is_given() => {
            Err(output::UsageError("--theme, --plain, --read-only and --no-start are for the dashboard, without a command".into()).into())
        }
        // Needs no data, and so no disk.
        Some(Command::Schema(command)) => command.run(),
        Some(Command::Supervise) => supervise(),
        Some(command) => data().and_then(|data| command.run(&Context { data, streams })),
        None => data().and_then(|data| dashboard::run(&Context { data, streams }, &arguments.look)),
    };
    result.unwrap_or_else(|error| streams.fail(&error))
}

impl Command {
    fn run(self, context: &Context) -> anyhow::Result<Exit> {
        match self {
            Command::Analyze(command) => command.run(context),
            Command::Symbols(command) => command.run(context),
            Command::Metrics(command) => command.run(context),
            Command::Project(command) => command.run(context),
            Command::Job(command) => command.run(context),
            Command::Spark(command) => command.run(context),
            Command::Cache(command) => command.run(context),
            Command::Bench(command) => command.run(context),
            Command::Serve(command) => command.run(context),
            Command::Node(command) => command.run(context),
            Command::Events(command) => command.run(context),
            Command::Wait(command) => command.run(context),
            Command::Audit(command) => command.run(context),
            Command::Authority(command) => command.run(context),
            Command::Export(command) => command.run(context),
            Command::Import(command) => command.run(context),
            Command::Schema(command) => command.run(),
            Command::Supervise => supervise(),
            Command::RunAgent => {
                let tell = |text: &str| Streams::new().note(&format!("the agent of this machine: {text}"));
                Ok(fleet_agent::resident::child_main(context.data.root(), tell).map(|()| Exit::Ok)?)
            }
            Command::RunSpark => Ok(fleet_agent::driver::child_main(context.data.root()).map(|()| Exit::Ok)?),
        }
    }
}

/// Needs no data either.
fn supervise() -> anyhow::Result<Exit> {
    Ok(fleet_agent::command::supervise().map(|()| Exit::Ok)?)
}
