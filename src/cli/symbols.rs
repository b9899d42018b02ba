//! `bitacora symbols QUERY`.

use std::{ffi::OsStr, io::Write, os::unix::ffi::OsStrExt, path::Path};

use clap::Args;
use fleet_agent::root::Root;
use serde::Serialize;

use super::{
    Context, elsewhere,
    output::{Sink, UsageError, join, note_lost, problems},
};
use crate::{
    control::report::Report,
    exit::Exit,
    journal::Journal,
    master, names,
    report::{
        Format,
        json::{Envelope, PathText, Problem},
        table::{self, Column},
        text,
    },
    result::{Lacking, StoredResult, find_project},
    search::{self, Found, Match, Source},
};

/// Finds symbols in the last result: the same name first, then prefixes, then names that hold it; fuzzily when none does.
///
/// A query without upper-case letters matches any case. `Class.method` and `module::function` name what a symbol stands in; where no
/// name holds the query as it is, a file counts as a module in Python, Rust, JavaScript and TypeScript, and a folder in Go.
#[derive(Args)]
pub(super) struct Symbols {
    /// A name, or a part of one
    query: String,
    /// A project's name or folder; needed when there are several, outside of their folders
    #[arg(long, value_name = "PROJECT")]
    project: Option<String>,
    /// The lines of each definition too, from the tree as it is now
    #[arg(long)]
    source: bool,
    /// The most symbols shown, the best first
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
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<SourceItem>,
}

#[derive(Serialize)]
struct SourceItem {
    text: String,
    /// There is more of it.
    cut: bool,
    /// Otherwise the file has changed since, and the lines may be others.
    as_analysed: bool,
}

impl From<Source> for SourceItem {
    fn from(Source { text, cut, is_as_analysed }: Source) -> SourceItem {
        SourceItem { text, cut, as_analysed: is_as_analysed }
    }
}

impl<'a> SymbolMatch<'a> {
    fn new(found: &'a Match, source: Option<Source>) -> SymbolMatch<'a> {
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
            source: source.map(SourceItem::from),
        }
    }
}

impl Symbols {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        if self.query.trim().is_empty() {
            return Err(UsageError("symbols needs a name, or a part of one".to_owned()).into());
        }
        if context.remote.is_some() {
            let Symbols { query, project, source, limit, output } = self;
            return elsewhere::report(context, Report::Symbols { query, project, limit, source }, output);
        }
        let ledger = Journal::read(&context.data.journal())?.unwrap_or_default();
        let (id, project) = find_project(&ledger, self.project.as_deref())?;
        let mut result = StoredResult::last(&context.data, project)?.with_holders_of(&ledger);
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let index = names::path(&context.data, id);
        let Found { matches, more, out_of_reach, lacking, index_due } = search::symbols(&mut result, &index, &self.query, self.limit as usize, threads)?;
        let mut sink = Sink::open(None)?;
        let sources = if self.source { sources(&result, &project.root, &matches) } else { Vec::new() };
        self.write(context, &mut sink, &matches, sources, &lacking)?;
        sink.close()?;
        if matches.is_empty() && !result.is_without_records() {
            context.streams.note(&format!("no symbol of {} is like {:?}", project.name, self.query));
        }
        if more {
            context.streams.note(&format!("there are more; --limit shows more than the best {}", matches.len()));
        }
        if !out_of_reach.is_empty() {
            context.streams.note(&format!("not all symbols were looked through: {} cannot be asked", join(&out_of_reach)));
        }
        note_lost(context, &project.name, &result, &lacking.lost);
        if !out_of_reach.is_empty() && !context.data.is_served() {
            context.streams.note("what stays on nodes is reached while `bitacora serve` runs");
        }
        if let Some(names) = index_due {
            // Whoever asks next has it faster; nobody has to have it. A full disk, or one that cannot be written to, is no failure of a search.
            let _ = search::make_index(&result, &index, names);
        }
        Ok(match matches.is_empty() {
            _ if !out_of_reach.is_empty() || !lacking.is_empty() => Exit::Partial,
            true => Exit::NoMatch,
            false => Exit::Ok,
        })
    }

    /// `sources` in the order of the matches, or none.
    fn write(&self, context: &Context, out: &mut Sink, matches: &[Match], sources: Vec<Option<Source>>, lacking: &Lacking) -> anyhow::Result<()> {
        let format = Format::or_for(self.output, context.streams.stdout_is_terminal);
        let sources = sources.into_iter().chain(std::iter::repeat(None));
        let items: Vec<SymbolMatch<'_>> = matches.iter().zip(sources).map(|(found, source)| SymbolMatch::new(found, source)).collect();
        match format {
            Format::Json => {
                let generated_at = text::timestamp(master::now());
                let errors: Vec<Problem> = problems(lacking).collect();
                let envelope = Envelope { schema: "bitacora/symbols/1", kind: "symbols", items: &items, errors: &errors, generated_at: &generated_at };
                serde_json::to_writer(&mut *out, &envelope)?;
                writeln!(out)?;
            }
            Format::Ndjson => {
                for item in &items {
                    serde_json::to_writer(&mut *out, item)?;
                    writeln!(out)?;
                }
            }
            Format::Name => items.iter().try_for_each(|item| out.name(item.name.as_bytes()))?,
            Format::Table | Format::Wide | Format::Plain if self.source => items.iter().try_for_each(|item| definition(out, item))?,
            // Titles over nothing tell a person nothing.
            Format::Table | Format::Wide if items.is_empty() => {}
            Format::Table | Format::Wide | Format::Plain => list(out, &items, format)?,
        }
        Ok(())
    }
}

fn list(out: &mut Sink, items: &[SymbolMatch<'_>], format: Format) -> std::io::Result<()> {
    let wide = format == Format::Wide;
    let mut columns = vec![Column::Text("Name"), Column::Text("Kind"), Column::Text("Where"), Column::Text("Definition")];
    if wide {
        columns.extend([Column::Text("In"), Column::Text("Language"), Column::Number("Last line"), Column::Text("Fit")]);
    }
    let rows = items.iter().map(|item| {
        let place = format!("{}:{}:{}", item.path.path, item.line, item.column);
        let mut row = vec![item.name.to_owned(), item.kind.to_owned(), place, item.signature.to_owned()];
        if wide {
            row.extend([item.container.unwrap_or("-").to_owned(), item.language.to_owned(), item.end_line.to_string(), item.fit.to_owned()]);
        }
        row
    });
    table::write(out, &columns, rows.collect(), format == Format::Plain)
}

/// Each definition's lines; `None` for one whose file is gone.
fn sources(result: &StoredResult, root: &[u8], matches: &[Match]) -> Vec<Option<Source>> {
    let Ok(folder) = Root::open(Path::new(OsStr::from_bytes(root))) else { return Vec::new() };
    let lines = |found: &Match| {
        let content = result.manifest.find(found.path.as_bytes(), 0)?.content();
        search::source(&folder, &found.path, content, found.symbol.line, found.symbol.end_line)
    };
    matches.iter().map(lines).collect()
}

fn definition(out: &mut Sink, item: &SymbolMatch<'_>) -> anyhow::Result<()> {
    writeln!(out, "{}:{}: {} {}", text::harmless(&item.path.path), item.line, item.kind, text::harmless(item.name))?;
    match &item.source {
        None => writeln!(out, "  the file is not there, or cannot be read")?,
        Some(source) => {
            if !source.as_analysed {
                writeln!(out, "  the file has changed since it was analysed")?;
            }
            for line in source.text.lines() {
                writeln!(out, "{}", text::harmless(&line.replace('\t', "    ")))?;
            }
        }
    }
    Ok(writeln!(out)?)
}
