//! What a project's last result comes to, as a document: totals by language, the worst functions, and what was left out.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{manifest::Overview, report::json::PathText};

/// Files that failed and are named; the rest is counted.
const FAILED_NAMED_MAX: usize = 20;

#[derive(Serialize)]
pub(super) struct Summary {
    bytes: u64,
    comment: u64,
    blank: u64,
    symbols: u64,
    /// The most code first.
    languages: Vec<Language>,
    worst: Vec<Worst>,
    skipped_by_reason: BTreeMap<&'static str, u64>,
    failed_files: Vec<Failed>,
}

#[derive(Serialize)]
struct Language {
    language: String,
    files: u64,
    bytes: u64,
    lines: u64,
    code: u64,
    comment: u64,
    functions: u64,
}

#[derive(Serialize)]
struct Worst {
    #[serde(flatten)]
    path: PathText,
    line: u32,
    function: String,
    code: u32,
    cyclomatic: u32,
    cognitive: u32,
}

#[derive(Serialize)]
struct Failed {
    #[serde(flatten)]
    path: PathText,
    reason: String,
}

impl Summary {
    pub(super) fn of(overview: Overview) -> Summary {
        let Overview { totals, languages, worst, skipped, failed, .. } = overview;
        let mut skipped_by_reason = BTreeMap::new();
        skipped.iter().for_each(|(_, reason)| *skipped_by_reason.entry(reason.name()).or_default() += 1);
        let mut languages: Vec<Language> = languages
            .into_iter()
            .map(|(language, totals)| Language {
                language,
                files: totals.files,
                bytes: totals.bytes,
                lines: totals.lines,
                code: totals.code,
                comment: totals.comment,
                functions: totals.functions,
            })
            .collect();
        languages.sort_by(|a, b| b.code.cmp(&a.code).then_with(|| a.language.cmp(&b.language)));
        let worst = worst.into_iter().map(|worst| Worst {
            path: PathText::new(&worst.path),
            line: worst.function.line,
            function: worst.function.name,
            code: worst.function.code,
            cyclomatic: worst.function.cyclomatic,
            cognitive: worst.function.cognitive,
        });
        let failed = failed.iter().take(FAILED_NAMED_MAX).map(|(path, reason)| Failed { path: PathText::new(path), reason: reason.describe() });
        Summary {
            bytes: totals.bytes,
            comment: totals.comment,
            blank: totals.blank,
            symbols: totals.symbols,
            languages,
            worst: worst.collect(),
            skipped_by_reason,
            failed_files: failed.collect(),
        }
    }
}
