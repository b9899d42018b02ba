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
    Context, elsewhere,
    output::{Document, Sink},
};
use crate::{
    control::report::Report,
    exit::Exit,
    journal::Journal,
    manifest::ManifestError,
    report::{
        Format,
        table::{self, Column},
        text::{bytes, grouped},
    },
    result::{StoredResult, find_project},
};

/// Files in a table that nobody has limited.
const TABLE_FILES: usize = 40;

/// Of a report that is held in memory: records lie in another order, and each portion reads every pack that it needs once.
const PORTION_BYTES_MAX: u64 = 64 << 20;
/// What a file takes there, and each of its functions, with what the program needs beside the text.
const FILE_BYTES: u64 = 1024;
const FUNCTION_BYTES: u64 = 512;

/// Shows the metrics of the last result: every file, the most complex first.
#[derive(Args)]
pub(super) struct Metrics {
    /// A project's name or folder; needed when there are several, outside of their folders
    project: Option<String>,
    /// The most files shown; without it 40 in a table, and all in other formats
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<Format>,
}

impl Metrics {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        if context.remote.is_some() {
            return elsewhere::report(context, Report::Metrics { project: self.project, limit: self.limit }, self.output);
        }
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
                let shown = files.into_iter().take(self.limit.unwrap_or(usize::MAX));
                whole = document.write_portions(context, &mut out, result, portions(shown, PORTION_BYTES_MAX))?;
            }
            Format::Name => files.iter().take(self.limit.unwrap_or(usize::MAX)).try_for_each(|file| out.name(file.path.as_bytes()))?,
            // Titles over nothing tell a person nothing.
            Format::Table | Format::Wide if files.is_empty() => {}
            format @ (Format::Table | Format::Wide | Format::Plain) => self.table(&mut out, &files, format)?,
        }
        out.close()?;
        Ok(if whole { Exit::Ok } else { Exit::Partial })
    }

    fn table(&self, out: &mut Sink, files: &[Measured], format: Format) -> anyhow::Result<()> {
        let (plain, wide) = (format == Format::Plain, format == Format::Wide);
        let shown = self.limit.unwrap_or(if plain { usize::MAX } else { TABLE_FILES });
        let number = |number: u32| if plain { number.to_string() } else { grouped(number.into()) };
        let mut columns = vec![
            Column::Number("Cyclomatic"),
            Column::Number("Cognitive"),
            Column::Number("Code"),
            Column::Number("Comment"),
            Column::Number("Functions"),
            Column::Number("Parsed"),
        ];
        if wide {
            columns.extend([Column::Number("Lines"), Column::Number("Blank"), Column::Number("Symbols"), Column::Number("Bytes")]);
        }
        columns.push(Column::Text("File"));
        let rows = files.iter().take(shown).map(|Measured { path, summary, .. }| {
            let mut row: Vec<String> = [summary.cyclomatic, summary.cognitive, summary.lines.code, summary.lines.comment, summary.functions].map(number).into();
            let parsed = format!("{:.1}", f64::from(summary.confidence_ppm) / 1e4);
            row.push(if plain { parsed } else { format!("{parsed} %") });
            if wide {
                row.extend([summary.lines.total, summary.lines.blank, summary.symbols].map(number));
                row.push(bytes(summary.bytes));
            }
            row.push(path.to_text());
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

/// In their order, at least one in each.
fn portions(files: impl Iterator<Item = Measured>, bytes_max: u64) -> Vec<Vec<(RelativePath, RecordRef)>> {
    let (mut portions, mut room) = (Vec::new(), 0);
    for Measured { path, record, summary } in files {
        let bytes = FILE_BYTES + FUNCTION_BYTES * u64::from(summary.functions);
        if bytes > room {
            portions.push(Vec::new());
            room = bytes_max;
        }
        room = room.saturating_sub(bytes);
        portions.last_mut().expect("the first one has no room").push((path, record));
    }
    portions
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

#[cfg(test)]
mod tests {
    use bitacora_core::ids::Digest;

    use super::*;

    #[test]
    fn a_portion_is_as_large_as_what_is_held_of_it() {
        let file = |functions| Measured {
            path: RelativePath::new(b"a".to_vec()).unwrap(),
            record: RecordRef { pack: Digest([0; 32]), entry: 0 },
            summary: FileSummary { functions, ..FileSummary::default() },
        };
        let lengths =
            |functions: &[u32], bytes_max| -> Vec<usize> { portions(functions.iter().map(|count| file(*count)), bytes_max).iter().map(Vec::len).collect() };
        let lengths_of_three = |functions: &[u32]| lengths(functions, 3 * FILE_BYTES);
        assert_eq!(lengths_of_three(&[0; 7]), [3, 3, 1]);
        assert_eq!(lengths_of_three(&[0, 1_000_000, 0, 0]), [1, 1, 2]);
        assert_eq!(lengths_of_three(&[2, 2, 2]), [1, 1, 1]);
        assert!(lengths_of_three(&[]).is_empty());
    }
}
