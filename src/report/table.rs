//! Tables for people, and the same columns tab-separated for pipes.

use std::io::{self, Write};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::text::{bytes, grouped, harmless};
use crate::manifest::Overview;

/// Rows of a list in a summary, and in a wide one.
const LISTED: usize = 10;
const LISTED_WIDE: usize = 20;

/// Where a table goes.
pub trait Target: Write {
    /// Does whoever reads it want colours?
    fn is_colored(&self) -> bool;
}

const TITLES: anstyle::Style = anstyle::Style::new().bold();

/// A column's title and on which side its cells stand.
#[derive(Clone, Copy)]
pub enum Column {
    Text(&'static str),
    Number(&'static str),
}

impl Column {
    const fn title(self) -> &'static str {
        match self {
            Column::Text(title) | Column::Number(title) => title,
        }
    }
}

/// Writes rows under titles, as a table or tab-separated. What a cell holds cannot steer a terminal, or break a row.
pub fn write(out: &mut impl Target, columns: &[Column], rows: Vec<Vec<String>>, plain: bool) -> io::Result<()> {
    let rows = rows.into_iter().map(|row| row.iter().map(|cell| harmless(cell)).collect::<Vec<String>>());
    if plain {
        let titles: Vec<String> = columns.iter().map(|column| column.title().to_lowercase().replace(' ', "_")).collect();
        return std::iter::once(titles).chain(rows).try_for_each(|row| writeln!(out, "{}", row.join("\t")));
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(columns.iter().map(|column| column.title()));
    for (place, column) in columns.iter().enumerate() {
        if let (Column::Number(_), Some(column)) = (column, table.column_mut(place)) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.add_rows(rows);
    let titles = if out.is_colored() { TITLES } else { anstyle::Style::new() };
    let mut lines = table.lines();
    lines.next().into_iter().try_for_each(|line| writeln!(out, "{titles}{}{titles:#}", line.trim_end()))?;
    lines.try_for_each(|line| writeln!(out, "{}", line.trim_end()))
}

/// The summary of an analysis: languages, totals, worst functions, what was left out.
pub fn summary(out: &mut impl Target, overview: &Overview, wide: bool) -> io::Result<()> {
    languages(out, overview, wide, false)?;
    let listed = if wide { LISTED_WIDE } else { LISTED };
    if !overview.worst.is_empty() {
        writeln!(out, "\n Worst functions")?;
        worst(out, overview, listed)?;
    }
    if !overview.skipped.is_empty() {
        writeln!(out, "\n Skipped: {}", by_reason(overview))?;
        let rows = overview.skipped.iter().take(listed).map(|(path, reason)| vec![reason.name().to_owned(), path.to_text()]);
        list(out, rows, overview.skipped.len(), listed)?;
    }
    if !overview.failed.is_empty() {
        writeln!(out, "\n Not analysed: {}", grouped(overview.failed.len() as u64))?;
        let rows = overview.failed.iter().take(listed).map(|(path, reason)| vec![path.to_text(), reason.describe()]);
        list(out, rows, overview.failed.len(), listed)?;
    }
    Ok(())
}

/// Languages by size, then the totals.
pub fn languages(out: &mut impl Target, overview: &Overview, wide: bool, plain: bool) -> io::Result<()> {
    let mut columns = vec![
        Column::Text("Language"),
        Column::Number("Files"),
        Column::Number("Lines"),
        Column::Number("Code"),
        Column::Number("Comment"),
        Column::Number("Blank"),
        Column::Number("Functions"),
        Column::Number("Complexity"),
    ];
    if wide || plain {
        columns.extend([Column::Number("Cognitive"), Column::Number("Symbols"), Column::Number("Bytes")]);
    }
    let mut order: Vec<_> = overview.languages.iter().map(|(name, totals)| (name.as_str(), totals)).collect();
    order.sort_by(|a, b| b.1.code.cmp(&a.1.code).then(a.0.cmp(b.0)));
    order.push(("total", &overview.totals));
    let number = |number: u64| if plain { number.to_string() } else { grouped(number) };
    let rows = order.into_iter().map(|(name, t)| {
        let mut row = vec![name.to_owned()];
        row.extend([t.files, t.lines, t.code, t.comment, t.blank, t.functions, t.cyclomatic].map(number));
        if wide || plain {
            row.extend([number(t.cognitive), number(t.symbols), if plain { t.bytes.to_string() } else { bytes(t.bytes) }]);
        }
        row
    });
    write(out, &columns, rows.collect(), plain)
}

fn worst(out: &mut impl Target, overview: &Overview, listed: usize) -> io::Result<()> {
    let columns = [Column::Number("Cyclomatic"), Column::Number("Cognitive"), Column::Number("Code"), Column::Text("Function"), Column::Text("Where")];
    let rows = overview.worst.iter().take(listed).map(|worst| {
        let function = &worst.function;
        let place = format!("{}:{}", worst.path.to_text(), function.line);
        vec![grouped(function.cyclomatic.into()), grouped(function.cognitive.into()), grouped(function.code.into()), function.name.clone(), place]
    });
    write(out, &columns, rows.collect(), false)
}

fn by_reason(overview: &Overview) -> String {
    let mut counts = std::collections::BTreeMap::<&str, u64>::new();
    overview.skipped.iter().for_each(|(_, reason)| *counts.entry(reason.name()).or_default() += 1);
    counts.iter().map(|(reason, count)| format!("{} {reason}", grouped(*count))).collect::<Vec<_>>().join(", ")
}

fn list(out: &mut impl Target, rows: impl Iterator<Item = Vec<String>>, all: usize, listed: usize) -> io::Result<()> {
    for row in rows {
        writeln!(out, "   {}", harmless(&row.join("  ")))?;
    }
    if all > listed {
        writeln!(out, "   … and {} more; -o json lists all", grouped((all - listed) as u64))?;
    }
    Ok(())
}
