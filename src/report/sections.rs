//! The summary of an analysis in parts, for pages: a sentence, and tables under headings. How they are written is each format's own.

use super::text::{bytes, grouped};
use crate::manifest::Overview;

/// A table under a heading; there is none without rows.
pub(super) struct Section {
    pub heading: &'static str,
    pub columns: &'static [Column],
    pub rows: Vec<Vec<String>>,
    /// Rows that are not listed.
    pub more: usize,
}

/// A column's title and on which side its cells stand.
pub(super) enum Column {
    Text(&'static str),
    Number(&'static str),
}

impl Column {
    pub fn title(&self) -> &'static str {
        match self {
            Column::Text(title) | Column::Number(title) => title,
        }
    }
}

pub(super) fn sentence(overview: &Overview) -> String {
    let totals = &overview.totals;
    let counted = [(totals.code, "lines of code"), (totals.functions, "functions"), (totals.symbols, "symbols")];
    let counted = counted.map(|(count, what)| format!("{} {what}", grouped(count))).join(", ");
    format!("{} files, {}, {counted}.", grouped(totals.files), bytes(totals.bytes))
}

/// Languages, worst functions, what failed and what was left out; so many rows of each but the first. What a cell holds is as it is in the tree.
pub(super) fn sections(overview: &Overview, listed: usize) -> Vec<Section> {
    use Column::{Number, Text};
    const LANGUAGES: [Column; 7] =
        [Text("Language"), Number("Files"), Number("Code"), Number("Comment"), Number("Blank"), Number("Functions"), Number("Cyclomatic")];
    const WORST: [Column; 5] = [Number("Cognitive"), Number("Cyclomatic"), Number("Lines"), Text("Function"), Text("Where")];
    const FILES: [Column; 2] = [Text("File"), Text("Why")];
    let languages = overview.languages.iter().map(|(name, of)| {
        let numbers = [of.files, of.code, of.comment, of.blank, of.functions, of.cyclomatic].map(grouped);
        std::iter::once(name.to_string()).chain(numbers).collect()
    });
    let worst = overview.worst.iter().map(|worst| {
        let function = &worst.function;
        let mut row: Vec<String> = [function.cognitive, function.cyclomatic, function.code].map(|number| grouped(number.into())).into();
        row.extend([function.name.clone(), format!("{}:{}", worst.path.to_text(), function.line)]);
        row
    });
    let failed = overview.failed.iter().map(|(path, reason)| vec![path.to_text(), reason.describe()]);
    let skipped = overview.skipped.iter().map(|(path, reason)| vec![path.to_text(), reason.name().to_owned()]);
    let section = |heading, columns, rows: Vec<Vec<String>>, all: usize| Section { heading, columns, more: all - rows.len(), rows };
    let all = [
        section("Languages", &LANGUAGES, languages.collect(), overview.languages.len()),
        // A ranking: what is not in it is no surprise.
        section("Worst functions", &WORST, worst.take(listed).collect(), overview.worst.len().min(listed)),
        section("Not analysed", &FILES, failed.take(listed).collect(), overview.failed.len()),
        section("Left out", &FILES, skipped.take(listed).collect(), overview.skipped.len()),
    ];
    all.into_iter().filter(|section| !section.rows.is_empty()).collect()
}
