//! `fleet-agent`: a headless node. Joins a fleet once, then dials its master and runs what it is sent.

mod agent;
mod config;
mod joining;
mod report;

use std::{ffi::OsString, net::SocketAddr, path::PathBuf, process::ExitCode};

use bitacora_core::wire::node::{Specialisation, label};
use clap::{ArgAction, CommandFactory, Parser, Subcommand, ValueEnum, builder::NonEmptyStringValueParser};
use fleet_agent::{
    command,
    link::Choice,
    logging::{self, Verbosity},
    sight::Folder,
    work::with_cause,
};

use self::config::ConfigError;

/// With the engine: a node whose engine is another one is given none of a job's sparks.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (engine ", env!("BITACORA_ENGINE"), ", build ", env!("BITACORA_BUILD"), ")");

/// A mistake in what was asked for.
const USAGE: u8 = 2;

/// A worker node of a Bitácora fleet.
///
/// Started for the first time, it shows a code that `bitacora node pair` asks for, or is given a token that
/// `bitacora node token` printed. From then on it needs neither.
#[derive(Parser)]
#[command(name = "fleet-agent", version = VERSION, max_term_width = 100)]
struct Arguments {
    /// Where its key, its cache and its results are kept, instead of the platform's folder
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// What it calls itself until it belongs to a fleet, instead of the machine's name
    #[arg(long, value_name = "NAME", value_parser = joining::parse_name)]
    name: Option<String>,
    /// Where it waits to be paired, and later on for calls of its master and of nodes of its subnet, instead of port 7413, UDP and
    /// TCP, or a free one
    #[arg(long, global = true, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Once it belongs to a fleet it only dials: no master calls it, and nodes of its subnet ask it for nothing
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    no_listen: bool,
    /// Does not announce itself on the local network
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    no_discovery: bool,
    /// Brings nothing from nodes of its subnet, and gives them nothing
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    no_lending: bool,
    /// The master's address, HOST:PORT; kept from the first time on. May be repeated: whichever answers first
    #[arg(long = "peer", value_name = "ADDR")]
    peers: Vec<String>,
    /// What carries the link; auto tries QUIC first, and the WebSocket where UDP does not get through
    #[arg(long, value_name = "CARRIER", value_enum, default_value_t = Carrier::Auto)]
    carrier: Carrier,
    /// A file with a join token, or - for stdin; never the token itself, which other users would see
    #[arg(long, value_name = "FILE")]
    join_file: Option<PathBuf>,
    /// Sparks that run at the same time; as many as there are cores if not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    cores: Option<u32>,
    /// A program that commands may run here, by its name or absolute path; none if not given. May be repeated
    #[arg(long = "program", value_name = "PROGRAM")]
    programs: Vec<String>,
    /// What each process of a command may take of memory, in MB; as much as there is if not given
    #[arg(long, value_name = "MB", value_parser = clap::value_parser!(u64).range(16..=1 << 30))]
    memory: Option<u64>,
    /// What records of earlier analyses may take of the disk, in MB; as much as there is if not given
    #[arg(long, value_name = "MB", value_parser = clap::value_parser!(u64).range(1..=1 << 30))]
    disk: Option<u64>,
    /// A folder that commands may write in besides their own and /dev; if none is given, wherever this user may. May be
    /// repeated. It takes a kernel with Landlock
    #[arg(long = "writable", value_name = "DIR")]
    writable: Vec<PathBuf>,
    /// A folder of the master's that is on this disk too, or THERE=HERE where it has another place, as a clone has: files there are
    /// read instead of brought if they are what was asked for. May be repeated
    #[arg(long = "sources", value_name = "DIR")]
    sources: Vec<Folder>,
    /// What it is labelled with, KEY=VALUE; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = label)]
    label: Vec<(String, String)>,
    /// What it is for: work of other kinds goes to other nodes. Without it, everything
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = Specialisation::ALL.map(Specialisation::name))]
    specialise: Vec<String>,
    /// A project that it works for, by its name in the fleet: of what is about no such project nothing is done here. Without it,
    /// every project. May be repeated
    #[arg(long = "only-project", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    only_projects: Vec<String>,
    /// A person's device that it works for, by its name in the fleet; whoever has the master's own machine is always heard. Without
    /// it, every device that the fleet lets command. May be repeated
    #[arg(long = "only-device", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    only_devices: Vec<String>,
    /// How long it may finish what it runs when it is told to end
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=3600))]
    leave_max: u32,
    /// What a master may change from afar (`bitacora config push`): label, specialise, leave-max, cores, log; or none. Never which
    /// programs may run here
    #[arg(long, value_name = "KEY,…", value_delimiter = ',', default_value = "label,specialise,leave-max,cores,log",
        value_parser = ["label", "specialise", "leave-max", "cores", "log", "none"])]
    changeable: Vec<String>,
    /// How much it says of its work on stderr: off, error, warn, info, debug or trace. SIGUSR1 says more while it runs, SIGUSR2 less
    #[arg(long, value_name = "LEVEL", default_value_t)]
    log: Verbosity,
    /// Lines to be read, or one JSON object for each word, with job, spark and attempt
    #[arg(long, value_name = "FORMAT", default_value = "text", value_enum)]
    log_format: LogFormat,
    /// A TOML file with these flags, each a key spelled like it; BITACORA_AGENT_… in the environment win over it, flags over both
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Clone, Copy, ValueEnum)]
enum Carrier {
    Quic,
    #[value(name = "websocket")]
    WebSocket,
    Auto,
}

impl From<Carrier> for Choice {
    fn from(carrier: Carrier) -> Choice {
        match carrier {
            Carrier::Quic => Choice::Quic,
            Carrier::WebSocket => Choice::WebSocket,
            Carrier::Auto => Choice::Auto,
        }
    }
}

#[derive(Subcommand)]
enum Command {
    /// Looks whether this machine lets an agent work, and says how to mend what does not
    Doctor {
        /// plain, or json
        #[arg(short, long, default_value = "plain", value_name = "FORMAT")]
        output: Output,
    },
    /// Prints the manual's page of this program, for `man -l -`
    Man,
    /// Parses for a parent process
    #[command(hide = true)]
    RunParser,
    /// Becomes one command, within its limits
    #[command(hide = true, name = command::BECOME)]
    Become {
        #[arg(long)]
        memory: Option<u64>,
        #[arg(long)]
        confined: bool,
        #[arg(long)]
        writable: Vec<PathBuf>,
        #[arg(last = true, required = true)]
        line: Vec<OsString>,
    },
    /// Stands over one command
    #[command(hide = true, name = "run-command")]
    Supervise,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Plain,
    Json,
}

fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(error) => {
            logging::tell(&format!("error: {}", with_cause(&error)));
            return ExitCode::from(USAGE);
        }
    };
    if let Some(Command::Doctor { output }) = arguments.command {
        return report::doctor(&arguments, output);
    }
    if let Some(Command::Man) = arguments.command {
        return report::manual(Arguments::command());
    }
    let exit = match agent::run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            logging::tell(&format!("error: {error:#}"));
            ExitCode::from(agent::exit_code(&error))
        }
    };
    logging::flush();
    exit
}

/// As the command line, the environment and the configuration say together.
fn arguments() -> Result<Arguments, ConfigError> {
    let given: Vec<OsString> = std::env::args_os().collect();
    let command = Arguments::command();
    let matches = command.clone().get_matches_from(&given);
    Ok(Arguments::parse_from(config::merged(&command, given, &matches)?))
}
