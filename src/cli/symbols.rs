//! `bitacora symbols QUERY`.

use std::io::Write;

use clap::Args;
use serde::Serialize;

use super::{Context, output::Sink};
use crate::{
    exit::Exit,
    journal::Journal,
    master, names,
    report::{
        Format,
        json::{Envelope, PathText},
        table::{self, Column},
        text,
    },
    result::{StoredResult, find_project},
    search::{self, Found, Match},
};

/// Finds symbols in the last result: the same name first, then prefixes, then names that hold it; fuzzily when none does.
///
/// A query without upper-case letters matches any case. `Class.method` and `module::function` name what a symbol stands in.
#[derive(Args)]
pub(super) struct Symbols {
    query: String,
    /// A project's name or folder; needed when there are several
    #[arg(long, value_name = "PROJECT")]
    project: Option<String>,
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<Format>,
}

#[derive(Serialize)]
struct SymbolMatch<'a> {
    #[serde(flatten)]
    path: PathText,
    language: &'a str,
    name: &'a str,
    kind: &'a str,
    line: u32,
    column: u32,
    end_line: u32,
    container: Option<&'a str>,
    signature: &'a str,
    fit: &'a str,
}

impl<'a> From<&'a Match> for SymbolMatch<'a> {
    fn from(found: &'a Match) -> SymbolMatch<'a> {
        let symbol = &found.symbol;
        SymbolMatch {
            path: PathText::new(&found.path),
            language: &found.language,
            name: &symbol.name,
            kind: symbol.kind.name(),
            line: symbol.line,
            column: symbol.column,
            end_line: symbol.end_line,
            container: Some(symbol.container.as_str()).filter(|container| !container.is_empty()),
            signature: &symbol.signature,
            fit: found.fit.name(),
        }
    }
}

impl Symbols {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let ledger = Journal::read(&context.data.journal())?.unwrap_or_default();
        let (id, project) = find_project(&ledger, self.project.as_deref())?;
        let mut result = StoredResult::last(&context.data, project)?;
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let index = names::path(&context.data, id);
        let Found { matches, more, index_due } = search::symbols(&mut result, &index, &self.query, self.limit as usize, threads)?;
        let mut sink = Sink::open(None)?;
        self.write(context, &mut sink, &matches)?;
        sink.close()?;
        if more {
            context.streams.note(&format!("there are more; the best {} are shown, --limit shows others", matches.len()));
        }
        if let Some(names) = index_due {
            // Whoever asks next has it faster; nobody has to have it. A full disk, or one that cannot be written to, is no failure of a search.
            let _ = search::make_index(&result, &index, names);
        }
        Ok(if matches.is_empty() { Exit::NoMatch } else { Exit::Ok })
    }

    fn write(&self, context: &Context, out: &mut Sink, matches: &[Match]) -> anyhow::Result<()> {
        let format = Format::or_for(self.output, context.streams.stdout_is_terminal);
        let items: Vec<SymbolMatch<'_>> = matches.iter().map(SymbolMatch::from).collect();
        match format {
            Format::Json => {
                let generated_at = text::timestamp(master::now());
                let envelope = Envelope { schema: "bitacora/symbols/1", kind: "symbols", items: &items, errors: &[], generated_at: &generated_at };
                serde_json::to_writer(&mut *out, &envelope)?;
                writeln!(out)?;
            }
            Format::Ndjson => {
                for item in &items {
                    serde_json::to_writer(&mut *out, item)?;
                    writeln!(out)?;
                }
            }
            Format::Name => items.iter().try_for_each(|item| writeln!(out, "{}", item.name))?,
            Format::Table | Format::Wide | Format::Plain => {
                let columns = [Column::Text("Name"), Column::Text("Kind"), Column::Text("Where"), Column::Text("Definition")];
                let rows = items.iter().map(|item| {
                    let place = format!("{}:{}:{}", item.path.path, item.line, item.column);
                    vec![item.name.to_owned(), item.kind.to_owned(), place, item.signature.to_owned()]
                });
                table::write(out, &columns, rows.collect(), format == Format::Plain)?;
            }
        }
        Ok(())
    }
}
