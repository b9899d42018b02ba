//! `bitacora metrics`.

use std::io::Write;

use bitacora_core::wire::task::FileResult;
use clap::Args;

use super::{
    Context,
    output::{Document, Sink},
};
use crate::{
    exit::Exit,
    journal::Journal,
    report::{
        Format,
        table::{self, Column},
        text::grouped,
    },
    result::{StoredResult, find_project},
};

/// Shows the metrics of the last result: every file, the most complex first.
#[derive(Args)]
pub(super) struct Metrics {
    /// A project's name or folder; needed when there are several
    project: Option<String>,
    /// Files shown in a table
    #[arg(long, default_value_t = 40, value_name = "N")]
    limit: usize,
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<Format>,
}

impl Metrics {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let ledger = Journal::read(&context.data.journal())?.unwrap_or_default();
        let (_, project) = find_project(&ledger, self.project.as_deref())?;
        let result = StoredResult::last(&context.data, project)?;
        let overview = result.manifest.overview()?;
        let mut out = Sink::open(None)?;
        let mut whole = true;
        match Format::or_for(self.output, context.streams.stdout_is_terminal) {
            format @ (Format::Json | Format::Ndjson) => {
                let document = Document { project: &project.name, overview: &overview, detailed: false, lines: format == Format::Ndjson };
                whole = document.write(context, &mut out, result, |_| true)?;
            }
            Format::Name => {
                for row in result.manifest.rows().filter(|row| row.is_analysed()) {
                    out.write_all(row.path_bytes())?;
                    out.write_all(b"\n")?;
                }
            }
            format => self.table(&mut out, &result, format == Format::Plain)?,
        }
        out.close()?;
        Ok(if whole { Exit::Ok } else { Exit::Partial })
    }

    fn table(&self, out: &mut Sink, result: &StoredResult, plain: bool) -> anyhow::Result<()> {
        let mut files = Vec::new();
        for row in result.manifest.rows().filter(|row| row.is_analysed()) {
            if let FileResult::Analysed { summary, .. } = row.result()? {
                files.push((row.path()?, summary));
            }
        }
        files.sort_by(|a, b| b.1.cyclomatic.cmp(&a.1.cyclomatic).then_with(|| a.0.cmp(&b.0)));
        let shown = if plain { files.len() } else { self.limit };
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
        let rows = files.iter().take(shown).map(|(path, summary)| {
            let mut row: Vec<String> = [summary.cyclomatic, summary.cognitive, summary.lines.code, summary.lines.comment, summary.functions].map(number).into();
            let parsed = format!("{:.1}", f64::from(summary.confidence_ppm) / 1e4);
            row.extend([if plain { parsed } else { format!("{parsed} %") }, path.to_text()]);
            row
        });
        table::write(out, &columns, rows.collect(), plain)?;
        if files.len() > shown {
            writeln!(out, "… and {} more; --limit shows them", grouped((files.len() - shown) as u64))?;
        }
        Ok(())
    }
}
