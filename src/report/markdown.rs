//! The summary of an analysis in Markdown (GitHub's, with its tables): for a pull request, a wiki, a job's page.

use std::io::{self, Write};

use super::{
    sections::{Column, sections, sentence},
    text::{grouped, harmless},
};
use crate::manifest::Overview;

/// Rows of each list.
const LISTED: usize = 20;

/// Languages, totals, worst functions, and what was not analysed.
pub fn summary(out: &mut impl Write, project: &str, overview: &Overview) -> io::Result<()> {
    writeln!(out, "# {}\n", text(project))?;
    writeln!(out, "{}\n", sentence(overview))?;
    for section in sections(overview, LISTED) {
        writeln!(out, "## {}\n", section.heading)?;
        let side = |column: &Column| if matches!(column, Column::Text(_)) { ":--".to_owned() } else { "--:".to_owned() };
        row(out, section.columns.iter().map(|column| column.title().to_owned()))?;
        row(out, section.columns.iter().map(side))?;
        section.rows.iter().try_for_each(|cells| row(out, cells.iter().map(|cell| text(cell))))?;
        writeln!(out)?;
        if section.more > 0 {
            writeln!(out, "… and {} more.\n", grouped(section.more as u64))?;
        }
    }
    Ok(())
}

fn row(out: &mut impl Write, cells: impl Iterator<Item = String>) -> io::Result<()> {
    writeln!(out, "| {} |", cells.collect::<Vec<_>>().join(" | "))
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
