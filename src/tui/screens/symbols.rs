//! The symbols that were found in a project, and the source of the selected one.

use super::{Column, Line, Piece, paint};
use crate::tui::{asked::Definition, state::State, theme::Tone};

pub(super) const COLUMNS: [Column; 4] =
    [Column::new("NAME", 14, 0).up_to(20), Column::new("KIND", 11, 2), Column::new("WHERE", 26, 1).up_to(70), Column::new("IN", 12, 3).up_to(30)];

fn place(found: &Definition) -> String {
    format!("{}:{}", found.path, found.line)
}

pub(super) fn cells(state: &State, at: usize) -> Vec<Piece> {
    let found = &state.asked.found()[at];
    vec![
        (found.name.clone(), Tone::Title),
        (found.kind.clone(), Tone::Text),
        (place(found), Tone::Dim),
        (found.container.clone().unwrap_or_default(), Tone::Dim),
    ]
}

pub(super) fn card(state: &State, at: usize) -> [Line; 2] {
    let found = &state.asked.found()[at];
    [vec![(format!("{} ", found.name), Tone::Title), (found.kind.clone(), Tone::Text)], paint::plain(place(found), Tone::Dim)]
}

pub(super) fn detail(state: &State) -> Vec<Line> {
    let Some(found) = state.selected_definition() else { return Vec::new() };
    let mut lines = vec![
        vec![(format!("{} ", found.name), Tone::Title), (found.kind.clone(), Tone::Text), (format!("  {}, {} match", found.language, found.fit), Tone::Dim)],
        paint::plain(place(found), Tone::Dim),
    ];
    lines.extend(found.container.as_ref().map(|container| paint::field("in", container.as_str())));
    let Some(source) = &found.source else {
        lines.extend([paint::plain(found.signature.clone(), Tone::Text), paint::plain("The file is not there any more, or cannot be read.", Tone::Warning)]);
        return lines;
    };
    if !source.as_analysed {
        lines.push(paint::plain("The file has changed since it was analysed: these may be other lines.", Tone::Warning));
    }
    let digits = found.end_line.to_string().len();
    let numbered = (found.line..).zip(source.text.lines());
    lines.extend(numbered.map(|(number, text)| vec![(format!("{number:>digits$} "), Tone::Dim), (text.to_owned(), Tone::Text)]));
    if source.cut {
        lines.push(paint::plain("and more", Tone::Dim));
    }
    lines
}
