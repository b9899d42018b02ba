//! The summary of an analysis in Markdown (GitHub's, with its tables): for a pull request, a wiki, a job's page.

use std::io::{self, Write};

use super::text::{bytes, grouped, harmless};
use crate::manifest::Overview;

/// Rows of each list.
const LISTED: usize = 20;

/// Languages, totals, worst functions, and what was not analysed.
pub fn summary(out: &mut impl Write, project: &str, overview: &Overview) -> io::Result<()> {
    let totals = &overview.totals;
    writeln!(out, "# {}\n", text(project))?;
    writeln!(
        out,
        "{} files, {}, {} lines of code, {} functions, {} symbols.\n",
        grouped(totals.files),
        bytes(totals.bytes),
        grouped(totals.code),
        grouped(totals.functions),
        grouped(totals.symbols)
    )?;
    table(
        out,
        "Languages",
        &[":Language", "Files", "Code", "Comment", "Blank", "Functions", "Cyclomatic"],
        overview.languages.iter().map(|(name, of)| {
            let numbers = [of.files, of.code, of.comment, of.blank, of.functions, of.cyclomatic].map(grouped);
            std::iter::once(text(name)).chain(numbers).collect()
        }),
    )?;
    table(
        out,
        "Worst functions",
        &["Cognitive", "Cyclomatic", "Lines", ":Function", ":Where"],
        overview.worst.iter().take(LISTED).map(|worst| {
            let function = &worst.function;
            let mut row: Vec<String> = [function.cognitive, function.cyclomatic, function.code].map(|number| grouped(number.into())).into();
            row.extend([text(&function.name), text(&format!("{}:{}", worst.path.to_text(), function.line))]);
            row
        }),
    )?;
    table(
        out,
        "Not analysed",
        &[":File", ":Why"],
        overview.failed.iter().take(LISTED).map(|(path, reason)| vec![text(&path.to_text()), text(&reason.describe())]),
    )?;
    more(out, overview.failed.len())?;
    table(out, "Left out", &[":File", ":Why"], overview.skipped.iter().take(LISTED).map(|(path, reason)| vec![text(&path.to_text()), text(reason.name())]))?;
    more(out, overview.skipped.len())
}

/// Under a heading; nothing without rows. A title that begins with a colon stands on the left, as the text below it.
fn table(out: &mut impl Write, heading: &str, titles: &[&str], rows: impl Iterator<Item = Vec<String>>) -> io::Result<()> {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return Ok(());
    }
    writeln!(out, "## {heading}\n")?;
    let line = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
    writeln!(out, "{}", line(titles.iter().map(|title| title.trim_start_matches(':').to_owned()).collect()))?;
    writeln!(out, "{}", line(titles.iter().map(|title| if title.starts_with(':') { ":--".to_owned() } else { "--:".to_owned() }).collect()))?;
    rows.try_for_each(|row| writeln!(out, "{}", line(row)))?;
    writeln!(out)
}

fn more(out: &mut impl Write, of: usize) -> io::Result<()> {
    match of.saturating_sub(LISTED) {
        0 => Ok(()),
        rest => writeln!(out, "… and {} more.\n", grouped(rest as u64)),
    }
}

/// As it is, whatever it holds: no markup, no HTML, no end of a cell.
fn text(raw: &str) -> String {
    let mut written = String::with_capacity(raw.len());
    for c in harmless(raw).chars() {
        match c {
            '<' => written.push_str("&lt;"),
            '>' => written.push_str("&gt;"),
            '&' => written.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '!' => written.extend(['\\', c]),
            c => written.push(c),
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use bitacora_core::{aggregate::Totals, paths::RelativePath, wire::task::FailReason};

    use super::*;

    #[test]
    fn what_a_file_is_called_is_no_markup() {
        let path = RelativePath::new(b"a|b<script>`x`\n[y](z).c".to_vec()).unwrap();
        let overview =
            Overview { totals: Totals { files: 1, bytes: 10, ..Totals::default() }, failed: vec![(path, FailReason::Vanished); 21], ..Overview::default() };
        let mut out = Vec::new();
        summary(&mut out, "*my* project", &overview).unwrap();
        let written = String::from_utf8(out).unwrap();
        assert!(written.starts_with("# \\*my\\* project\n\n1 files, 10 B, "), "{written}");
        assert!(written.contains("\n| a\\|b&lt;script&gt;\\`x\\`\\\\u{a}\\[y\\](z).c | "), "{written}");
        assert!(written.ends_with("… and 1 more.\n\n") && !written.contains("Worst"), "{written}");
    }
}
