//! `bitacora metrics`.

use std::{cmp::Reverse, io::Write};

use bitacora_core::{
    paths::RelativePath,
    wire::{
        record::FileSummary,
        task::{FileResult, RecordRef},
    },
};
use clap::Args;

use super::{
    Context,
    output::{Document, Sink},
};
use crate::{
    exit::Exit,
    journal::Journal,
    manifest::ManifestError,
    report::{
        Format,
        table::{self, Column},
        text::grouped,
    },
    result::{StoredResult, find_project},
};

/// Files in a table that nobody has limited.
const TABLE_FILES: usize = 40;

/// Shows the metrics of the last result: every file, the most complex first.
#[derive(Args)]
pub(super) struct Metrics {
    /// A project's name or folder; needed when there are several
    project: Option<String>,
    /// The most files shown; without it 40 in a table, and all in other formats
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<Format>,
}

impl Metrics {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let ledger = Journal::read(&context.data.journal())?.unwrap_or_default();
        let (_, project) = find_project(&ledger, self.project.as_deref())?;
        let result = StoredResult::last(&context.data, project)?.with_holders_of(&ledger);
        let files = measured(&result)?;
        let mut out = Sink::open(None)?;
        let mut whole = true;
        match Format::or_for(self.output, context.streams.stdout_is_terminal) {
            format @ (Format::Json | Format::Ndjson) => {
                let overview = result.manifest.overview()?;
                let document = Document { project: &project.name, overview: &overview, detailed: false, lines: format == Format::Ndjson };
                let files = files.into_iter().take(self.limit.unwrap_or(usize::MAX)).map(|file| (file.path, file.record)).collect();
                whole = document.write_files(context, &mut out, result, files)?;
            }
            Format::Name => files.iter().take(self.limit.unwrap_or(usize::MAX)).try_for_each(|file| out.name(file.path.as_bytes()))?,
            format => self.table(&mut out, &files, format == Format::Plain)?,
        }
        out.close()?;
        Ok(if whole { Exit::Ok } else { Exit::Partial })
    }

    fn table(&self, out: &mut Sink, files: &[Measured], plain: bool) -> anyhow::Result<()> {
        let shown = self.limit.unwrap_or(if plain { usize::MAX } else { TABLE_FILES });
        let number = |number: u32| if plain { number.to_string() } else { grouped(number.into()) };
        let columns = [
            Column::Number("Cyclomatic"),
            Column::Number("Cognitive"),
            Column::Number("Code"),
            Column::Number("Comment"),
            Column::Number("Functions"),
            Column::Number("Parsed"),
            Column::Text("File"),
        ];
        let rows = files.iter().take(shown).map(|Measured { path, summary, .. }| {
            let mut row: Vec<String> = [summary.cyclomatic, summary.cognitive, summary.lines.code, summary.lines.comment, summary.functions].map(number).into();
            let parsed = format!("{:.1}", f64::from(summary.confidence_ppm) / 1e4);
            row.extend([if plain { parsed } else { format!("{parsed} %") }, path.to_text()]);
            row
        });
        table::write(out, &columns, rows.collect(), plain)?;
        if files.len() > shown && !plain {
            writeln!(out, "… and {} more; --limit shows them", grouped((files.len() - shown) as u64))?;
        }
        Ok(())
    }
}

/// A file of the result.
struct Measured {
    path: RelativePath,
    record: RecordRef,
    summary: FileSummary,
}

/// The most complex first, and of the same complexity in the order of paths: the same order in every format.
fn measured(result: &StoredResult) -> Result<Vec<Measured>, ManifestError> {
    let mut files = Vec::new();
    for row in result.manifest.rows() {
        if let FileResult::Analysed { record, summary, .. } = row.result()? {
            files.push(Measured { path: row.path()?, record, summary });
        }
    }
    files.sort_by(|one, other| (Reverse(one.summary.cyclomatic), &one.path).cmp(&(Reverse(other.summary.cyclomatic), &other.path)));
    Ok(files)
}
