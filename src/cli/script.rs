//! `bitacora script FILE|-`.

mod child;
mod plan;

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fs::File,
    io::{self, Read, Write},
    iter,
    path::PathBuf,
    time::Instant,
};

use anyhow::Context as _;
use clap::{Args, Parser};
use serde::Serialize;

use self::{
    child::{Captured, Runner},
    plan::{LineError, OnError, Step},
};
use super::{
    AloneCommand, Arguments, Command, DataCommand, Given, dashboard,
    output::{Sink, Streams, UsageError},
};
use crate::{
    exit::Exit,
    report::text::harmless,
    tui::{actions, words},
};

/// Larger is no script that a person wrote.
const SCRIPT_BYTES_MAX: u64 = 1 << 20;
/// Of what is wrong with a script, named at once.
const MISTAKES_MAX: usize = 20;

/// Runs command lines from a file, in the same words as here, without the program's name
///
/// The name of an action of the dashboard with what it is about, as `drain anvil`, is the command that its key runs; nobody is asked.
/// `#` begins a comment, quotes keep words together, ${NAME} stands for a variable of --set or of the environment. A line
/// `on-error continue` or `on-error stop` holds for those after it. Everything is checked before the first command runs.
/// For each command a line of JSON tells what became of it; `bitacora schema script` describes it. What a variable stood
/// for is not in it. Ends with the exit code of the command that stopped it, or with 3 if others failed.
#[derive(Args)]
pub(super) struct Script {
    /// The file, or - for stdin
    file: PathBuf,
    /// A variable; wins over the environment's. May be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    set: Vec<(String, String)>,
    /// What becomes of the rest when a command fails
    #[arg(long, value_name = "WHAT", default_value = "stop")]
    on_error: OnError,
    /// Checks everything, prints the commands with their variables filled in, and runs none
    #[arg(long)]
    dry_run: bool,
}

fn variable(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(name, _)| words::is_name(name));
    pair.map(|(name, value)| (name.to_owned(), value.to_owned())).ok_or_else(|| "write NAME=VALUE; a name has letters, digits and _".to_owned())
}

#[derive(Serialize)]
struct Outcome<'a> {
    line: usize,
    command: &'a str,
    exit: i32,
    seconds: f64,
    output: Output,
    messages: String,
    /// More was written than is kept.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cut: bool,
}

/// A document that a command wrote is one here, too.
#[derive(Serialize)]
#[serde(untagged)]
enum Output {
    Document(serde_json::Map<String, serde_json::Value>),
    Text(String),
}

#[derive(Serialize)]
struct Planned<'a> {
    line: usize,
    command: &'a str,
    words: &'a [String],
}

impl Script {
    pub(super) fn run(self, streams: Streams, given: &Given) -> anyhow::Result<Exit> {
        let script = self.read()?;
        let set: BTreeMap<&str, &str> = self.set.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let value = |name: &str| set.get(name).map(|value| (*value).to_owned()).or_else(|| env::var(name).ok());
        match plan::read(&script, self.on_error, &value, &dashboard::commands(), |words| arguments(words, given)) {
            Err(mistakes) => {
                for mistake in mistakes.iter().take(MISTAKES_MAX) {
                    streams.note(&format!("{}:{}: {}", self.name(), mistake.line, mistake.error));
                }
                Err(UsageError(format!("{} lines of the script are wrong; none was run", mistakes.len())).into())
            }
            Ok(steps) if self.dry_run => tell(&steps),
            Ok(steps) => run(&steps),
        }
    }

    fn name(&self) -> String {
        if self.is_stdin() { "stdin".to_owned() } else { self.file.display().to_string() }
    }

    fn is_stdin(&self) -> bool {
        self.file.as_os_str() == "-"
    }

    fn read(&self) -> anyhow::Result<String> {
        let mut text = String::new();
        let read = match self.is_stdin() {
            true => io::stdin().take(SCRIPT_BYTES_MAX + 1).read_to_string(&mut text),
            false => File::open(&self.file).and_then(|file| file.take(SCRIPT_BYTES_MAX + 1).read_to_string(&mut text)),
        };
        read.with_context(|| format!("cannot read {}", self.name()))?;
        if text.len() as u64 > SCRIPT_BYTES_MAX {
            return Err(UsageError(format!("{} has more than {SCRIPT_BYTES_MAX} bytes", self.name())).into());
        }
        Ok(text)
    }
}

/// Checks the words of a line as the command line is checked, and adds what all commands were given.
fn arguments(words: &[String], given: &Given) -> Result<Vec<OsString>, LineError> {
    let parsed = match Arguments::try_parse_from(iter::once("bitacora").chain(words.iter().map(String::as_str))) {
        Ok(parsed) => parsed,
        // Help, and the version.
        Err(error) if !error.use_stderr() => return Ok(words.iter().map(OsString::from).collect()),
        Err(error) => return Err(LineError::Grammar(in_one_line(&error))),
    };
    let is_elsewhere = parsed.connect.is_some() || given.connect.is_some() || given.behind.is_some();
    match &parsed.command {
        None
        | Some(Command::WithData(DataCommand::RunAgent | DataCommand::ReportJob(_)) | Command::Alone(AloneCommand::Supervise | AloneCommand::RunParser)) => {
            return Err(LineError::NoCommand);
        }
        Some(Command::Alone(AloneCommand::Script(_))) => return Err(LineError::Script),
        Some(_) if parsed.look.is_given() => return Err(LineError::Look),
        Some(Command::WithData(command)) if is_elsewhere && !command.is_for_any_master() => return Err(LineError::Afar),
        Some(_) => {}
    }
    let mut all = Vec::new();
    if let (None, Some(data_dir)) = (&parsed.data_dir, &given.data_dir) {
        all.extend(["--data-dir".into(), data_dir.into()]);
    }
    if let (None, Some(connect)) = (&parsed.connect, &given.connect) {
        all.extend(["--connect".into(), connect.into()]);
    }
    if let (None, Some(behind)) = (&parsed.connect, &given.behind) {
        all.extend(["--behind".into(), behind.into()]);
    }
    if let (None, Some(config)) = (&parsed.config, &given.config) {
        all.extend(["--config".into(), config.into()]);
    }
    all.extend(words.iter().map(OsString::from));
    Ok(all)
}

/// Without the reminder of how to call the program, which nobody did.
fn in_one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let lines = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"));
    let said: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    said.join("; ").trim_start_matches("error: ").to_owned()
}

fn tell(steps: &[Step]) -> anyhow::Result<Exit> {
    let mut out = Sink::open(None)?;
    for Step { line, text, words, .. } in steps {
        serde_json::to_writer(&mut out, &Planned { line: *line, command: text, words })?;
        writeln!(out)?;
    }
    out.close()?;
    Ok(if steps.iter().all(|step| actions::only_reads(&step.words)) { Exit::Ok } else { Exit::WouldChange })
}

fn run(steps: &[Step]) -> anyhow::Result<Exit> {
    let runner = Runner::new().context("cannot run commands")?;
    let (mut out, mut exit) = (Sink::open(None)?, Exit::Ok);
    for step in steps {
        if let Some(signal) = runner.told() {
            return Ok(Exit::of_signal(signal));
        }
        let begun = Instant::now();
        let ended = runner.run(&step.arguments).with_context(|| format!("cannot run the command of line {}", step.line))?;
        let (is_cut, messages) = (ended.output.is_cut || ended.messages.is_cut, harmless_lines(&ended.messages));
        let outcome = Outcome {
            line: step.line,
            command: &step.text,
            exit: ended.exit,
            seconds: begun.elapsed().as_millis() as f64 / 1e3,
            output: Output::of(&ended.output),
            messages,
            cut: is_cut,
        };
        serde_json::to_writer(&mut out, &outcome)?;
        writeln!(out)?;
        // Whoever reads along is told at once.
        out.flush()?;
        match (ended.told, ended.exit, step.on_error) {
            (Some(signal), _, _) => return Ok(Exit::of_signal(signal)),
            (None, 0, _) => {}
            (None, code, OnError::Stop) => return Ok(Exit::of_code(code)),
            (None, _, OnError::Continue) => exit = Exit::Partial,
        }
    }
    out.close()?;
    Ok(exit)
}

impl Output {
    fn of(captured: &Captured) -> Output {
        match serde_json::from_slice(&captured.bytes) {
            Ok(document) => Output::Document(document),
            Err(_) => Output::Text(String::from_utf8_lossy(&captured.bytes).into_owned()),
        }
    }
}

fn harmless_lines(captured: &Captured) -> String {
    String::from_utf8_lossy(&captured.bytes).lines().map(harmless).collect::<Vec<_>>().join("\n")
}
