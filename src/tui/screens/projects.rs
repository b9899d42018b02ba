//! The projects, and what their last results come to.

use super::{Column, Line, Piece, paint};
use crate::{
    control::{ProjectState, ResultState},
    report::text::{grouped, timestamp},
    tui::{state::State, theme::Tone},
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

pub(super) fn detail(state: &State, width: usize) -> Vec<Line> {
    let Some(project) = state.selected_project() else { return Vec::new() };
    let mut lines = vec![vec![(project.name.clone(), Tone::Title), (format!("  {}", project.id), Tone::Dim)]];
    for (nth, text) in paint::wrapped(&project.root, width.saturating_sub(12)).into_iter().enumerate() {
        lines.push(paint::field(if nth == 0 { "folder" } else { "" }, text));
    }
    for result in project.results.iter().rev().take(RESULTS_MAX) {
        let text =
            format!("{}  {} files, {} lines, {} functions", timestamp(result.at), grouped(result.files), grouped(result.lines), grouped(result.functions));
        lines.push(paint::plain(text, Tone::Text));
        if result.failed + result.skipped > 0 {
            lines.push(paint::plain(format!("  {} skipped, {} failed", grouped(result.skipped), grouped(result.failed)), Tone::Dim));
        }
    }
    lines
}
