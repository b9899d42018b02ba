//! The summary of an analysis as one page for a browser: a file that needs nothing else, on a phone and on paper too.
//!
//! Names in it are a tree's, and a tree may be anybody's: what they hold is text, and the page forbids itself scripts and everything from elsewhere
//! (Content Security Policy, W3C), should one ever not be.

use std::io::{self, Write};

use super::{
    sections::{Column, Section, sections, sentence},
    text::{grouped, harmless},
};
use crate::manifest::Overview;

/// Rows of each list: a page is scrolled through and searched.
const LISTED: usize = 500;

const HEAD: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 70rem; margin: 0 auto; padding: 1rem; }
h1 { overflow-wrap: anywhere; }
div { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid #8884; }
.n { text-align: right; white-space: nowrap; }
td:not(.n) { min-width: 6rem; overflow-wrap: anywhere; }
meter { width: 8rem; }
</style>
"#;

/// Languages, totals, worst functions, and what was not analysed.
pub fn summary(out: &mut impl Write, project: &str, overview: &Overview) -> io::Result<()> {
    let name = text(project);
    write!(out, "{HEAD}<title>{name}</title>\n</head>\n<body>\n<h1>{name}</h1>\n<p>{}</p>\n", text(&sentence(overview)))?;
    shares(out, overview)?;
    sections(overview, LISTED).iter().try_for_each(|section| self::section(out, section))?;
    writeln!(out, "</body>\n</html>")
}

/// How much of the code is in which language.
fn shares(out: &mut impl Write, overview: &Overview) -> io::Result<()> {
    let all = overview.totals.code;
    if all == 0 {
        return Ok(());
    }
    writeln!(out, "<h2>Code by language</h2>\n<div><table>")?;
    let mut languages: Vec<(&str, u64)> = overview.languages.iter().map(|(name, of)| (name.as_str(), of.code)).filter(|(_, code)| *code > 0).collect();
    languages.sort_by_key(|(_, code)| std::cmp::Reverse(*code));
    for (name, code) in languages {
        let share = code as f64 / all as f64;
        let name = text(name);
        writeln!(out, r#"<tr><th scope="row">{name}</th><td><meter value="{share:.4}"></meter></td><td class="n">{:.1} %</td></tr>"#, share * 100.0)?;
    }
    writeln!(out, "</table></div>")
}

fn section(out: &mut impl Write, section: &Section) -> io::Result<()> {
    writeln!(out, "<h2>{}</h2>\n<div><table>", section.heading)?;
    let class = |column: &Column| if matches!(column, Column::Number(_)) { r#" class="n""# } else { "" };
    let titles: String = section.columns.iter().map(|column| format!(r#"<th scope="col"{}>{}</th>"#, class(column), column.title())).collect();
    writeln!(out, "<tr>{titles}</tr>")?;
    for row in &section.rows {
        let cells: String = section.columns.iter().zip(row).map(|(column, cell)| format!("<td{}>{}</td>", class(column), text(cell))).collect();
        writeln!(out, "<tr>{cells}</tr>")?;
    }
    writeln!(out, "</table></div>")?;
    match section.more {
        0 => Ok(()),
        more => writeln!(out, "<p>… and {} more.</p>", grouped(more as u64)),
    }
}

/// As it is, whatever it holds.
fn text(raw: &str) -> String {
    let mut written = String::with_capacity(raw.len());
    for c in harmless(raw).chars() {
        match c {
            '<' => written.push_str("&lt;"),
            '>' => written.push_str("&gt;"),
            '&' => written.push_str("&amp;"),
            '"' => written.push_str("&quot;"),
            '\'' => written.push_str("&#39;"),
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
        let path = RelativePath::new(b"<img src=x onerror=\"alert('&')\">\x1b[2J.c".to_vec()).unwrap();
        let overview =
            Overview { totals: Totals { files: 1, bytes: 10, ..Totals::default() }, failed: vec![(path, FailReason::Vanished); 501], ..Overview::default() };
        let mut out = Vec::new();
        summary(&mut out, "</title><script>", &overview).unwrap();
        let written = String::from_utf8(out).unwrap();
        assert!(written.contains("<title>&lt;/title&gt;&lt;script&gt;</title>"), "{written}");
        assert!(written.contains("<td>&lt;img src=x onerror=&quot;alert(&#39;&amp;&#39;)&quot;&gt;\\u{1b}[2J.c</td>"), "{written}");
        assert!(written.contains("<p>… and 1 more.</p>") && !written.contains("Worst"), "{written}");
    }
}
