//! JSON and NDJSON: the envelope and its items, written as they are read.
//!
//! The shapes are fixed by the schema files in `assets/schemas`. Paths that are no UTF-8 have their invalid bytes
//! replaced by U+FFFD, and a `path_base64` with the real ones.

mod item;

use std::io::{self, Write};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bitacora_core::{aggregate::Totals, paths::RelativePath};
pub use item::FileItem;
use serde::Serialize;

use crate::manifest::{Overview, Worst};

pub const ANALYSIS_SCHEMA: &str = "bitacora/analysis/1";

/// What every JSON document of this program is wrapped in.
#[derive(Serialize)]
pub struct Envelope<'a, Item, Error = Problem> {
    pub schema: &'a str,
    pub kind: &'a str,
    pub items: &'a [Item],
    pub errors: &'a [Error],
    pub generated_at: &'a str,
}

/// Something that should have been there.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    #[serde(flatten)]
    pub path: PathText,
    pub reason: String,
}

/// A path in JSON.
#[derive(Clone, Debug, Serialize)]
pub struct PathText {
    pub path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_base64: Option<String>,
}

impl PathText {
    pub fn new(path: &RelativePath) -> PathText {
        let bytes = path.as_bytes();
        let path_base64 = std::str::from_utf8(bytes).is_err().then(|| BASE64_STANDARD.encode(bytes));
        PathText { path: path.to_text(), path_base64 }
    }
}

/// The summary of an analysis.
#[derive(Serialize)]
pub struct Summary<'a> {
    project: &'a str,
    files: u64,
    bytes: u64,
    lines: TotalLines,
    symbols: u64,
    functions: u64,
    cyclomatic: u64,
    cognitive: u64,
    skipped: u64,
    failed: u64,
    other_files: u64,
    languages: Vec<LanguageItem<'a>>,
    worst_functions: Vec<WorstItem<'a>>,
}

#[derive(Serialize)]
struct TotalLines {
    total: u64,
    code: u64,
    comment: u64,
    blank: u64,
}

impl From<&Totals> for TotalLines {
    fn from(totals: &Totals) -> TotalLines {
        TotalLines { total: totals.lines, code: totals.code, comment: totals.comment, blank: totals.blank }
    }
}

#[derive(Serialize)]
struct LanguageItem<'a> {
    language: &'a str,
    files: u64,
    bytes: u64,
    lines: TotalLines,
    functions: u64,
    cyclomatic: u64,
}

#[derive(Serialize)]
struct WorstItem<'a> {
    #[serde(flatten)]
    path: PathText,
    name: &'a str,
    line: u32,
    code_lines: u32,
    cyclomatic: u32,
    cognitive: u32,
}

impl<'a> Summary<'a> {
    pub fn new(project: &'a str, overview: &'a Overview) -> Summary<'a> {
        let totals = &overview.totals;
        Summary {
            project,
            files: totals.files,
            bytes: totals.bytes,
            lines: totals.into(),
            symbols: totals.symbols,
            functions: totals.functions,
            cyclomatic: totals.cyclomatic,
            cognitive: totals.cognitive,
            skipped: totals.skipped,
            failed: totals.failed,
            other_files: overview.other_by_name + overview.other_by_content,
            languages: overview.languages.iter().map(|(language, totals)| LanguageItem::new(language, totals)).collect(),
            worst_functions: overview.worst.iter().map(WorstItem::from).collect(),
        }
    }
}

impl<'a> LanguageItem<'a> {
    fn new(language: &'a str, totals: &Totals) -> LanguageItem<'a> {
        LanguageItem { language, files: totals.files, bytes: totals.bytes, lines: totals.into(), functions: totals.functions, cyclomatic: totals.cyclomatic }
    }
}

impl<'a> From<&'a Worst> for WorstItem<'a> {
    fn from(worst: &'a Worst) -> WorstItem<'a> {
        let function = &worst.function;
        WorstItem {
            path: PathText::new(&worst.path),
            name: &function.name,
            line: function.line,
            code_lines: function.code,
            cyclomatic: function.cyclomatic,
            cognitive: function.cognitive,
        }
    }
}

/// Files left out, with the reason.
pub fn skipped(overview: &Overview) -> Vec<Problem> {
    overview.skipped.iter().map(|(path, reason)| Problem { path: PathText::new(path), reason: reason.name().to_owned() }).collect()
}

/// Files that should have been analysed and were not.
pub fn failed(overview: &Overview) -> Vec<Problem> {
    overview.failed.iter().map(|(path, reason)| Problem { path: PathText::new(path), reason: reason.describe() }).collect()
}

/// Writes the analysis envelope piece by piece, so that a tree of any size needs the memory of one file.
pub struct AnalysisWriter<W> {
    out: W,
    lines: bool,
    items: u64,
    /// One file at a time.
    item: Vec<u8>,
}

impl<W: Write> AnalysisWriter<W> {
    pub fn begin(mut out: W, lines: bool) -> io::Result<AnalysisWriter<W>> {
        if !lines {
            write!(out, r#"{{"schema":"{ANALYSIS_SCHEMA}","kind":"analysis","items":["#)?;
        }
        Ok(AnalysisWriter { out, lines, items: 0, item: Vec::new() })
    }

    pub fn item(&mut self, item: &FileItem<'_>) -> io::Result<()> {
        self.add(|into| item.write(into))
    }

    /// A file whose record was read before: see [`FileItem::fields`].
    pub fn fields(&mut self, fields: &[u8]) -> io::Result<()> {
        self.add(|into| into.write_all(fields))
    }

    fn add(&mut self, fields: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> io::Result<()> {
        let before: &[u8] = match (self.lines, self.items) {
            (true, _) => b"{\"kind\":\"file\",",
            (false, 0) => b"\n{",
            (false, _) => b",\n{",
        };
        self.items += 1;
        self.item.clear();
        self.item.extend_from_slice(before);
        fields(&mut self.item)?;
        self.item.extend_from_slice(if self.lines { b"}\n" } else { b"}" });
        self.out.write_all(&self.item)
    }

    pub fn end(mut self, summary: &Summary<'_>, skipped: &[Problem], errors: &[Problem], generated_at: &str) -> io::Result<()> {
        if self.lines {
            skipped.iter().try_for_each(|problem| self.line("skipped", problem))?;
            errors.iter().try_for_each(|problem| self.line("error", problem))?;
            self.line("summary", summary)?;
            return self.out.flush();
        }
        self.out.write_all(b"\n],\"summary\":")?;
        serde_json::to_writer(&mut self.out, summary)?;
        self.out.write_all(b",\"skipped\":")?;
        serde_json::to_writer(&mut self.out, skipped)?;
        self.out.write_all(b",\"errors\":")?;
        serde_json::to_writer(&mut self.out, errors)?;
        writeln!(self.out, ",\"generated_at\":\"{generated_at}\"}}")?;
        self.out.flush()
    }

    fn line(&mut self, kind: &str, value: &impl Serialize) -> io::Result<()> {
        #[derive(Serialize)]
        struct Line<'a, V> {
            kind: &'a str,
            #[serde(flatten)]
            value: V,
        }
        serde_json::to_writer(&mut self.out, &Line { kind, value })?;
        self.out.write_all(b"\n")
    }
}
