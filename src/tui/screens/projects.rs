//! The projects, and what their last results come to.

use super::{Column, Line, Piece, paint};
use crate::{
    control::{ProjectState, ResultState},
    report::text::{bytes, grouped, timestamp},
    tui::{
        asked::Summary,
        state::State,
        theme::{Theme, Tone},
        widgets::spark,
    },
};

pub(super) const COLUMNS: [Column; 5] = [
    Column::new("NAME", 12, 0).up_to(30),
    Column::new("FILES", 9, 2).right(),
    Column::new("CODE", 11, 1).right(),
    Column::new("LAST RESULT", 20, 3),
    Column::new("FOLDER", 16, 4).up_to(60),
];

/// Results that are listed, the newest first.
const RESULTS_MAX: usize = 12;

fn figure(project: &ProjectState, get: fn(&ResultState) -> u64) -> String {
    project.results.last().map_or_else(|| "-".into(), |last| grouped(get(last)))
}

fn last(project: &ProjectState) -> String {
    project.results.last().map_or_else(|| "none".into(), |last| timestamp(last.at))
}

pub(super) fn cells(state: &State, place: usize) -> Vec<Piece> {
    let project = &state.fleet.projects[place];
    vec![
        (project.name.clone(), Tone::Title),
        (figure(project, |last| last.files), Tone::Text),
        (figure(project, |last| last.code), Tone::Text),
        (last(project), Tone::Dim),
        (project.root.clone(), Tone::Dim),
    ]
}

pub(super) fn card(state: &State, place: usize) -> [Line; 2] {
    let project = &state.fleet.projects[place];
    let size = format!("  {} files, {} lines of code", figure(project, |last| last.files), figure(project, |last| last.code));
    [vec![(project.name.clone(), Tone::Title), (size, Tone::Text)], paint::plain(format!("{}  {}", last(project), project.root), Tone::Dim)]
}

pub(super) fn detail(state: &State, theme: Theme) -> Vec<Line> {
    let Some(project) = state.selected_project() else { return Vec::new() };
    let mut lines = vec![vec![(project.name.clone(), Tone::Title), (format!("  {}", project.id), Tone::Dim)], paint::field("folder", project.root.as_str())];
    lines.push(paint::field("runs on", if project.nodes.is_empty() { "every node" } else { project.nodes.as_str() }));
    let Some(last) = project.results.last() else {
        lines.push(paint::plain("It has no result yet: a analyses it.", Tone::Text));
        return lines;
    };
    lines.push(paint::field("result", format!("{}, by {}", timestamp(last.at), last.job)));
    lines.push(paint::field("files", format!("{}, {} skipped, {} failed", grouped(last.files), grouped(last.skipped), grouped(last.failed))));
    lines.push(paint::field("lines", format!("{}, {} of code, {} functions", grouped(last.lines), grouped(last.code), grouped(last.functions))));
    match state.asked.result(project.id) {
        None => lines.push(paint::plain("The rest is being read.", Tone::Dim)),
        Some(Err(why)) => lines.push(paint::plain(why.clone(), Tone::Bad)),
        Some(Ok(None)) => lines.push(paint::plain("The rest of it is gone; a analyses again.", Tone::Warning)),
        Some(Ok(Some(summary))) => result(&mut lines, summary, last.code, theme),
    }
    history(&mut lines, project);
    lines
}

/// Cells of a language's share.
const SHARE: usize = 8;
/// Languages that are listed; others are small.
const LANGUAGES_MAX: usize = 12;

fn result(lines: &mut Vec<Line>, summary: &Summary, code: u64, theme: Theme) {
    let comment =
        format!("{} of comment, {} blank, {}, {} symbols", grouped(summary.comment), grouped(summary.blank), bytes(summary.bytes), grouped(summary.symbols));
    lines.push(paint::field("", comment));
    lines.extend([Line::new(), paint::plain("languages", Tone::Title)]);
    lines.extend(summary.languages.iter().take(LANGUAGES_MAX).map(|language| {
        let percent = (language.code * 100).checked_div(code).unwrap_or(0) as u32;
        let name = super::table::cut(&language.language, 11);
        vec![
            (format!("{name:<11} "), Tone::Dim),
            (spark::gauge(percent, SHARE, theme.signs), Tone::Accent),
            (format!(" {percent:>3}%  {} in {} files", grouped(language.code), grouped(language.files)), Tone::Text),
        ]
    }));
    if !summary.worst.is_empty() {
        lines.extend([Line::new(), paint::plain("worst functions: cyclomatic, cognitive, lines", Tone::Title)]);
    }
    for worst in &summary.worst {
        let figures = format!("{:>4} {:>4} {:>4}  ", worst.cyclomatic, worst.cognitive, worst.code);
        lines.push(vec![(figures, Tone::Warning), (worst.function.clone(), Tone::Title), (format!("  {}:{}", worst.path, worst.line), Tone::Dim)]);
    }
    if !summary.skipped_by_reason.is_empty() {
        let reasons: Vec<String> = summary.skipped_by_reason.iter().map(|(reason, count)| format!("{} {reason}", grouped(*count))).collect();
        lines.extend([Line::new(), paint::field("skipped", reasons.join(", "))]);
    }
    let failed = summary.failed_files.iter().enumerate();
    lines.extend(failed.map(|(nth, file)| paint::field(if nth == 0 { "failed" } else { "" }, format!("{}: {}", file.path, file.reason))));
}

fn history(lines: &mut Vec<Line>, project: &ProjectState) {
    lines.extend([Line::new(), paint::plain("results", Tone::Title)]);
    for result in project.results.iter().rev().take(RESULTS_MAX) {
        let text = format!("{} files, {} lines, {} functions", grouped(result.files), grouped(result.lines), grouped(result.functions));
        lines.push(vec![(format!("{}  ", timestamp(result.at)), Tone::Dim), (text, Tone::Text)]);
    }
}
