//! Where commands write: data on stdout, everything else on stderr.

mod sink;

use std::{
    collections::BTreeSet,
    io::{self, IsTerminal, Write},
    sync::atomic::Ordering,
};

use bitacora_core::{paths::RelativePath, wire::task::RecordRef};
use clap::ValueEnum;
use fleet_agent::logging;
use serde::Serialize;
use sink::STDOUT_CLOSED;
pub(super) use sink::Sink;

use super::{Context, passphrase::PassphraseError};
use crate::{
    control::{Answer, PairFailure, remote::RemoteError},
    exit::Exit,
    manifest::Overview,
    master,
    report::{
        Format,
        json::{self, Envelope, PathText, Problem},
        table::{self, Column},
        text::{counted, harmless, timestamp},
    },
    result::{Lacking, ResultError, StoredResult},
    trust::TrustError,
};

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum ColorWhen {
    Auto,
    Always,
    Never,
}

impl ColorWhen {
    pub(super) fn apply(self) {
        match self {
            ColorWhen::Auto => {}
            ColorWhen::Always => anstream::ColorChoice::Always.write_global(),
            ColorWhen::Never => anstream::ColorChoice::Never.write_global(),
        }
    }
}

/// The process's streams.
#[derive(Clone, Copy)]
pub(super) struct Streams {
    pub(super) stdout_is_terminal: bool,
    pub(super) stderr_is_terminal: bool,
}

impl Streams {
    pub(super) fn new() -> Streams {
        Streams { stdout_is_terminal: io::stdout().is_terminal(), stderr_is_terminal: io::stderr().is_terminal() }
    }

    /// A word to the person, not part of the data.
    pub(super) fn note(self, text: &str) {
        if logging::is_json() {
            return logging::tell(&harmless(text));
        }
        // A closed stderr is nobody listening.
        let _ = writeln!(anstream::stderr(), "{}", harmless(text));
    }

    /// Says why a request was not carried out, if it was not; answers with the exit code.
    pub(super) fn conclude(self, answer: &Answer) -> Exit {
        match answer {
            Answer::Done
            | Answer::Reasons(_)
            | Answer::Submitted(_)
            | Answer::Added { .. }
            | Answer::Accepted { .. }
            | Answer::Searched { .. }
            | Answer::Brought { .. }
            | Answer::Swept { .. }
            | Answer::Warming { .. }
            | Answer::Spark(_)
            | Answer::Events(_)
            | Answer::Progress(_)
            | Answer::Snapshot(_)
            | Answer::News(_)
            | Answer::Nodes(_)
            | Answer::Node(_)
            | Answer::Token { .. }
            | Answer::Projects(_)
            | Answer::Configuration(_)
            | Answer::Operators(_)
            | Answer::Sparks(_)
            | Answer::Log { .. }
            | Answer::Reporting { .. }
            | Answer::Findings(_)
            | Answer::Part(_)
            | Answer::Audit(_)
            | Answer::Discovered(_)
            | Answer::Paired { .. } => Exit::Ok,
            Answer::NotPaired { failure, reason } => {
                self.note(&format!("not paired: {reason}"));
                match failure {
                    PairFailure::Code => Exit::Authentication,
                    PairFailure::Refused => Exit::Refused,
                    PairFailure::Unreachable => Exit::Unreachable,
                    PairFailure::Time | PairFailure::Unconfirmed => Exit::TimedOut,
                }
            }
            Answer::Refused(reason) => {
                self.note(&format!("refused: {reason}"));
                Exit::Refused
            }
            Answer::Busy => {
                self.note("the bitacora that runs is busy; ask again");
                Exit::Failure
            }
            Answer::Unknown(reason) => {
                self.note(reason);
                Exit::NoMatch
            }
        }
    }

    /// Says what failed, why, and what to do; answers with the exit code.
    pub(super) fn fail(self, error: &anyhow::Error) -> Exit {
        if STDOUT_CLOSED.load(Ordering::Relaxed) {
            return Exit::Ok;
        }
        let bold = anstyle::Style::new().bold().fg_color(Some(anstyle::AnsiColor::Red.into()));
        // A closed stderr is nobody listening.
        let _ = writeln!(anstream::stderr(), "{bold}error{bold:#}: {}", harmless(&format!("{error:#}")));
        match error.downcast_ref::<ResultError>() {
            Some(
                ResultError::Nothing | ResultError::NoProject(_) | ResultError::SeveralProjects(_) | ResultError::Ambiguous { .. } | ResultError::None(..),
            ) => Exit::NoMatch,
            _ if error.is::<UsageError>() => Exit::Usage,
            _ => secret_exit(error).or_else(|| remote_exit(error)).unwrap_or(Exit::Failure),
        }
    }
}

/// Of a failure that has to do with a passphrase or with the fleet's authority.
fn secret_exit(error: &anyhow::Error) -> Option<Exit> {
    error.chain().find_map(|cause| {
        let passphrase = cause.downcast_ref::<PassphraseError>().map(PassphraseError::exit);
        passphrase.or_else(|| cause.downcast_ref::<TrustError>().filter(|error| error.is_secret_wrong()).map(|_| Exit::Authentication))
    })
}

/// Of a failure to ask a master elsewhere.
fn remote_exit(error: &anyhow::Error) -> Option<Exit> {
    match error.downcast_ref::<RemoteError>()? {
        error if error.is_about_trust() => Some(Exit::Authentication),
        error if error.is_about_reach() => Some(Exit::Unreachable),
        RemoteError::Taken { .. } => Some(Exit::Refused),
        RemoteError::Name(_) => Some(Exit::Usage),
        _ => None,
    }
}

/// A list in any format: every listing command ends here.
pub(super) fn write_items<Item: Serialize>(
    context: &Context,
    output: Option<Format>,
    kind: &str,
    items: &[Item],
    columns: &[Column],
    rows: Vec<Vec<String>>,
    name: impl Fn(&Item) -> &str,
) -> anyhow::Result<Exit> {
    list_items(context.streams, output, kind, items, columns, rows, name)
}

/// The same, of what needs no data directory.
pub(super) fn list_items<Item: Serialize>(
    streams: Streams,
    output: Option<Format>,
    kind: &str,
    items: &[Item],
    columns: &[Column],
    rows: Vec<Vec<String>>,
    name: impl Fn(&Item) -> &str,
) -> anyhow::Result<Exit> {
    let mut out = Sink::open(None)?;
    match Format::or_for(output, streams.stdout_is_terminal) {
        Format::Json => write_document::<_, Problem>(&mut out, kind, items, &[])?,
        Format::Ndjson => {
            for item in items {
                serde_json::to_writer(&mut out, item)?;
                writeln!(out)?;
            }
        }
        Format::Name => items.iter().try_for_each(|item| out.name(name(item).as_bytes()))?,
        format => table::write(&mut out, columns, rows, format == Format::Plain)?,
    }
    out.close()?;
    Ok(Exit::Ok)
}

/// Items in their envelope, and what should have been among them.
pub(super) fn write_document<Item: Serialize, Error: Serialize>(out: &mut Sink, kind: &str, items: &[Item], errors: &[Error]) -> anyhow::Result<()> {
    let (schema, generated_at) = (format!("bitacora/{kind}/1"), timestamp(master::now()));
    serde_json::to_writer(&mut *out, &Envelope { schema: &schema, kind, items, errors, generated_at: &generated_at })?;
    Ok(writeln!(out)?)
}

/// The analysis document of a result: what is listed of it, and how much of each file.
pub(super) struct Document<'a> {
    pub(super) project: &'a str,
    pub(super) overview: &'a Overview,
    /// Symbols and imports too.
    pub(super) detailed: bool,
    pub(super) lines: bool,
}

impl Document<'_> {
    /// Once begun, the document is ended: a file whose record is lost is one of its errors. Answers with whether it is whole.
    pub(super) fn write(&self, context: &Context, out: &mut Sink, mut result: StoredResult, wanted: impl Fn(&[u8]) -> bool) -> anyhow::Result<bool> {
        let files = result.files(wanted)?;
        let mut writer = json::AnalysisWriter::begin(out, self.lines)?;
        let lacking = result.each(files, |path, record| writer.item(&json::FileItem::new(path, record, self.detailed)))?;
        self.end(context, writer, &result, &lacking)
    }

    /// Of these files, in their order: what is written of one portion of them is held in memory.
    pub(super) fn write_portions(
        &self,
        context: &Context,
        out: &mut Sink,
        mut result: StoredResult,
        portions: Vec<Vec<(RelativePath, RecordRef)>>,
    ) -> anyhow::Result<bool> {
        let mut writer = json::AnalysisWriter::begin(out, self.lines)?;
        let mut lacking = Lacking::default();
        for portion in portions {
            let mut items: Vec<Option<Vec<u8>>> = vec![None; portion.len()];
            let Lacking { lost, away } = result.each_as_it_lies(portion, |number, path, record| {
                items[number] = Some(json::FileItem::new(path, record, self.detailed).fields()?);
                Ok(())
            })?;
            lacking.lost.extend(lost);
            lacking.away.extend(away);
            items.iter().flatten().try_for_each(|fields| writer.fields(fields))?;
        }
        lacking.lost.sort_unstable();
        lacking.away.sort_unstable();
        self.end(context, writer, &result, &lacking)
    }

    fn end(&self, context: &Context, writer: json::AnalysisWriter<&mut Sink>, result: &StoredResult, lacking: &Lacking) -> anyhow::Result<bool> {
        let mut errors = json::failed(self.overview);
        errors.extend(problems(lacking));
        writer.end(&json::Summary::new(self.project, self.overview), &json::skipped(self.overview), &errors, &timestamp(master::now()))?;
        note_lacking(context, self.project, result, lacking);
        Ok(lacking.is_empty())
    }
}

/// Says which files a report lacks, and why.
pub(super) fn note_lacking(context: &Context, project: &str, result: &StoredResult, lacking: &Lacking) {
    note_lost(context, project, result, &lacking.lost);
    if !lacking.away.is_empty() {
        let of = counted(lacking.away.len() as u64, "file");
        context.streams.note(&format!("the records of {of} are out of reach, on {}", join(result.out_of_reach())));
    }
}

/// Files that were analysed and are not in a report, and why.
pub(super) fn problems(lacking: &Lacking) -> impl Iterator<Item = Problem> {
    let problem = |reason: &'static str| move |path| Problem { path: PathText::new(path), reason: reason.to_owned() };
    lacking.lost.iter().map(problem(RECORD_LOST)).chain(lacking.away.iter().map(problem(RECORD_AWAY)))
}

/// Files named where nobody asked for a list of them.
const LOST_NAMED_MAX: usize = 5;

/// Says which files an answer lacks for good, if any.
pub(super) fn note_lost(context: &Context, project: &str, result: &StoredResult, lost: &[RelativePath]) {
    if lost.is_empty() {
        return;
    }
    if result.is_without_records() {
        let advice = format!("`bitacora analyze {project}` brings them");
        return context.streams.note(&format!("the records of {project} are not here, as after an import without packs: {advice}"));
    }
    let mut named: Vec<String> = lost.iter().take(LOST_NAMED_MAX).map(RelativePath::to_text).collect();
    if lost.len() > LOST_NAMED_MAX {
        named.push(format!("and {} more", lost.len() - LOST_NAMED_MAX));
    }
    let of = counted(lost.len() as u64, "file");
    context.streams.note(&format!("the records of {of} are damaged or gone, and the next analysis makes them again: {}", named.join(", ")));
}

pub(super) fn join(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// Why a file that was analysed is not in a report.
const RECORD_LOST: &str = "its record is damaged or gone; the next analysis makes it again";
/// And where it will be once its node is back.
const RECORD_AWAY: &str = "its record is on a node that is out of reach";

/// Arguments that do not go together, or name what there is not.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct UsageError(pub(super) String);
