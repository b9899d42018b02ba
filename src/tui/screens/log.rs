//! The commands that were run from here.

use super::{Column, Line, Piece, output, paint};
use crate::{
    report::text::timestamp,
    tui::{log::Entry, state::State, theme::Tone},
};

pub(super) const COLUMNS: [Column; 4] =
    [Column::new("CODE", 7, 1).right(), Column::new("COMMAND", 20, 0).up_to(60), Column::new("IT SAID", 16, 2).up_to(60), Column::new("AT", 20, 3)];

fn code(entry: &Entry) -> Piece {
    match &entry.outcome {
        None => ("runs".into(), Tone::Accent),
        Some(outcome) if outcome.went_well() => ("0".into(), Tone::Good),
        Some(outcome) => (outcome.code.map_or_else(|| "ended".into(), |code| code.to_string()), Tone::Bad),
    }
}

fn said(entry: &Entry) -> String {
    let outcome = entry.outcome.as_ref().filter(|outcome| !outcome.text.trim().is_empty());
    outcome.map_or_else(String::new, |outcome| outcome.last_line().to_owned())
}

pub(super) fn cells(state: &State, place: usize) -> Vec<Piece> {
    let entry = &state.log.entries()[place];
    vec![code(entry), (entry.line.clone(), Tone::Title), (said(entry), Tone::Dim), (timestamp(entry.at), Tone::Dim)]
}

pub(super) fn card(state: &State, place: usize) -> [Line; 2] {
    let entry = &state.log.entries()[place];
    let (code, tone) = code(entry);
    [vec![(format!("{code:>5} "), tone), (entry.line.clone(), Tone::Title)], paint::plain(format!("      {}", said(entry)), Tone::Dim)]
}

pub(super) fn detail(state: &State, width: usize) -> Vec<Line> {
    let number = state.list().selected.as_ref().and_then(|number| number.parse().ok());
    number.map_or_else(Vec::new, |number| output::lines(state, number, width))
}
