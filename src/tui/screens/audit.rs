//! What was done that concerns the fleet's safety, by whom, and whether it was refused.

use super::{Column, Line, Piece, paint};
use crate::tui::{asked::Record, state::State, theme::Tone};

pub(super) const COLUMNS: [Column; 6] = [
    Column::new("NO.", 6, 5).right(),
    Column::new("AT", 20, 4),
    Column::new("BY", 10, 3).up_to(16),
    Column::new("ACTION", 19, 0),
    Column::new("SUBJECT", 16, 1).up_to(60),
    Column::new("OUTCOME", 8, 2),
];

fn tone(record: &Record) -> Tone {
    if record.outcome == "done" { Tone::Good } else { Tone::Bad }
}

pub(super) fn cells(state: &State, place: usize) -> Vec<Piece> {
    let record = &state.asked.audit[place];
    vec![
        (record.number.to_string(), Tone::Dim),
        (record.at.clone(), Tone::Dim),
        (record.by.clone(), Tone::Text),
        (record.action.clone(), Tone::Title),
        (record.subject.clone(), Tone::Text),
        (record.outcome.clone(), tone(record)),
    ]
}

pub(super) fn card(state: &State, place: usize) -> [Line; 2] {
    let record = &state.asked.audit[place];
    let first = vec![(format!("{} ", record.action), Tone::Title), (format!("{} ", record.outcome), tone(record)), (record.subject.clone(), Tone::Text)];
    [first, paint::plain(format!("{}  {}", record.at, record.by), Tone::Dim)]
}

pub(super) fn detail(state: &State) -> Vec<Line> {
    let Some(record) = state.selected_record() else { return Vec::new() };
    let mut lines = vec![vec![(format!("{} ", record.action), Tone::Title), (record.outcome.clone(), tone(record))]];
    lines.push(paint::field("subject", record.subject.as_str()));
    lines.push(paint::field("by", record.by.as_str()));
    lines.push(paint::field("at", record.at.as_str()));
    if !record.reason.is_empty() {
        lines.push(paint::field("reason", record.reason.as_str()));
    }
    lines.push(paint::field("record", format!("{}, {}", record.number, record.hash)));
    lines
}
