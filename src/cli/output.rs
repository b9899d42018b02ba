//! Where commands write: data on stdout, everything else on stderr.

use std::{
    fs::File,
    io::{self, BufWriter, IsTerminal, Write},
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use serde::Serialize;

use super::Context;
use crate::{
    control::Answer,
    exit::Exit,
    master::{self, MasterError},
    report::{
        Format,
        json::Envelope,
        table::{self, Column},
        text::{harmless, timestamp},
    },
    result::ResultError,
};

/// Fewer, larger writes: a report has many small pieces.
const BUFFER_BYTES: usize = 256 << 10;

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
        // A closed stderr is nobody listening.
        let _ = writeln!(anstream::stderr(), "{text}");
    }

    /// Says why a request was not carried out, if it was not; answers with the exit code.
    pub(super) fn conclude(self, answer: &Answer) -> Exit {
        match answer {
            Answer::Done | Answer::Reasons(_) => Exit::Ok,
            Answer::Refused(reason) => {
                self.note(&format!("refused: {}", harmless(reason)));
                Exit::Refused
            }
            Answer::Unknown(reason) => {
                self.note(&harmless(reason));
                Exit::NoMatch
            }
        }
    }

    /// Says what failed, why, and what to do; answers with the exit code.
    pub(super) fn fail(self, error: &anyhow::Error) -> Exit {
        if is_closed_pipe(error) {
            return Exit::Ok;
        }
        let bold = anstyle::Style::new().bold().fg_color(Some(anstyle::AnsiColor::Red.into()));
        self.note(&format!("{bold}error{bold:#}: {error:#}"));
        match error.downcast_ref::<ResultError>() {
            Some(ResultError::Nothing | ResultError::NoProject(_) | ResultError::SeveralProjects(_) | ResultError::None(..)) => Exit::NoMatch,
            _ if error.is::<UsageError>() => Exit::Usage,
            _ if error.is::<MasterError>() => Exit::Failure,
            _ => Exit::Failure,
        }
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
    let mut out = Sink::open(None)?;
    match Format::or_for(output, context.streams.stdout_is_terminal) {
        Format::Json => {
            let (schema, generated_at) = (format!("bitacora/{kind}/1"), timestamp(master::now()));
            serde_json::to_writer(&mut out, &Envelope { schema: &schema, kind, items, errors: &[], generated_at: &generated_at })?;
            writeln!(out)?;
        }
        Format::Ndjson => {
            for item in items {
                serde_json::to_writer(&mut out, item)?;
                writeln!(out)?;
            }
        }
        Format::Name => items.iter().try_for_each(|item| writeln!(out, "{}", name(item)))?,
        format => table::write(&mut out, columns, rows, format == Format::Plain)?,
    }
    out.close()?;
    Ok(Exit::Ok)
}

/// Arguments that do not go together, or name what there is not.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct UsageError(pub(super) String);

/// `| head` is no failure.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let closed = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(closed)
            || cause.downcast_ref::<serde_json::Error>().is_some_and(|e| e.io_error_kind() == Some(io::ErrorKind::BrokenPipe))
    })
}

/// Where a report goes: stdout, or a file that appears whole or not at all.
pub(super) enum Sink {
    Stdout(BufWriter<io::Stdout>),
    File { writer: BufWriter<File>, beside: PathBuf, path: PathBuf },
}

impl Sink {
    pub(super) fn open(path: Option<&Path>) -> anyhow::Result<Sink> {
        let Some(path) = path else { return Ok(Sink::Stdout(BufWriter::with_capacity(BUFFER_BYTES, io::stdout()))) };
        let mut beside = path.as_os_str().to_owned();
        beside.push(".part");
        let beside = PathBuf::from(beside);
        let file = File::create(&beside).map_err(|error| anyhow::Error::new(error).context(format!("cannot create {}", beside.display())))?;
        Ok(Sink::File { writer: BufWriter::with_capacity(BUFFER_BYTES, file), beside, path: path.to_owned() })
    }

    /// Flushes, and puts a file in its place.
    pub(super) fn close(mut self) -> anyhow::Result<()> {
        self.flush()?;
        if let Sink::File { writer, beside, path } = self {
            let placed = writer.get_ref().sync_data().and_then(|()| std::fs::rename(&beside, &path));
            placed.map_err(|error| anyhow::Error::new(error).context(format!("cannot write {}", path.display())))?;
        }
        Ok(())
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Sink::Stdout(writer) => writer.write(bytes),
            Sink::File { writer, .. } => writer.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Sink::Stdout(writer) => writer.flush(),
            Sink::File { writer, .. } => writer.flush(),
        }
    }
}
