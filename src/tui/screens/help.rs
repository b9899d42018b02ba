//! What every key does here: the table of actions, read aloud.

use super::{Line, paint};
use crate::tui::{
    actions::{ACTIONS, Does, Row, Scope},
    state::State,
    theme::Tone,
};

/// From here on a key and its sentence stand on one line.
const ONE_LINE_MIN: usize = 70;

pub(super) fn lines(state: &State) -> Vec<Line> {
    let here = state.screen.scope();
    let of = |scope: Scope| ACTIONS.iter().filter(move |row| row.scope == scope);
    let mut lines = vec![paint::plain(state.screen.name(), Tone::Title)];
    lines.extend(of(here).flat_map(|row| entry(state, row)));
    lines.push(Line::new());
    lines.push(paint::plain("everywhere", Tone::Title));
    lines.extend(of(Scope::Anywhere).flat_map(|row| entry(state, row)));
    lines.push(Line::new());
    lines.push(paint::plain("An action's name works after : as well.", Tone::Dim));
    lines
}

fn entry(state: &State, row: &Row) -> Vec<Line> {
    let width = usize::from(state.size.width);
    let keys: Vec<String> = state.options.keymap.keys(row).iter().map(|key| key.name()).collect();
    let first = vec![(format!("  {:<20} ", keys.join(" ")), Tone::Accent), (format!("{:<10} ", row.name), Tone::Text)];
    let begun = paint::width(&first);
    let indent = " ".repeat(if width < ONE_LINE_MIN { 4 } else { begun });
    let mut told = paint::wrapped(row.title, width.saturating_sub(indent.len())).into_iter();
    let mut lines = vec![first];
    if width >= ONE_LINE_MIN {
        lines[0].extend(told.next().map(|text| (text, Tone::Dim)));
    }
    lines.extend(told.map(|text| paint::plain(format!("{indent}{text}"), Tone::Dim)));
    if let Does::Command(command) = &row.does {
        lines.push(paint::plain(format!("{indent}bitacora {}", command.line), Tone::Dim));
    }
    lines
}
